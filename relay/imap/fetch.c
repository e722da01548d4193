/* SPDX-License-Identifier: ISC */
/*
 * fetch - FETCH, slice by slice.  What the view knows (flags, uids) is taken under its
 * lock; what is on disk is read and written out in the pool; the next slice is asked for
 * when the peer has taken the one before.  Content that is large is sent from where it
 * is.
 */
#include "relay/imap/fetch.h"

#include "base/fault.h"
#include "base/hand.h"
#include "base/mem.h"
#include "relay/imap/session.h"
#include "relay/imap/veil.h"

#define UNREADABLE "a message cannot be read; the log says more"
#define FOUND_MAX 64         /* structures that one slice stores */
#define READ_MAX (16u << 20) /* octets of one query, of which little may be sent */

struct fetching;

/* One query: it may outlive the session. */
struct slice {
	struct fetching *f; /* NULL: nobody waits any more */
	struct spool_query *query;
	struct fetch_program *program; /* shared by reference count */
	uint32_t mailbox;
	bool uidonly;
	enum admin_view veil;
	size_t n, next; /* written up to here: the rest was too much at once */
	size_t from;
	uint64_t read; /* octets of mails that were read whole for this query */
	bool stuck, gone, damaged;
	struct fetch_mail mail[FETCH_SLICE];
	struct buf flags; /* where their flags are written */
	size_t flags_at[FETCH_SLICE + 1];
	struct fetch_out out;
	enum err err;
};

struct fetching {
	struct job job;
	struct imap *s;
	struct fetch_program *program;
	struct set uids;
	size_t range; /* where the next slice begins */
	uint32_t at;  /* the uid; 0: at the beginning of the range */
	bool expunged, damaged, unknown_cte, too_big;
	struct slice *slice;
	struct mail_change *seen; /* what becomes \Seen; NULL: nothing yet */
	struct spool_request *storing;
};

static struct fetching *
of_job(struct imap *s)
{
	return CONTAINER_OF(s->job, struct fetching, job);
}

/* ---- programs are shared by the session and the pool */

static void
slice_free(void *arg)
{
	struct slice *x = arg;
	fetch_program_free(&x->program);
	fetch_out_clear(&x->out);
	buf_clear(&x->flags);
	mem_free(&x);
}

static void
fetching_free(struct fetching *f)
{
	fetch_program_free(&f->program);
	set_clear(&f->uids);
	mail_change_free(&f->seen);
	mem_free(&f);
}

static void
cancel(struct imap *s)
{
	struct fetching *f = of_job(s);
	if (f->slice != NULL && f->slice->query != NULL)
		spool_cancel_query(&f->slice->query); /* slice_free() when it is over */
	else if (f->slice != NULL)
		slice_free(f->slice); /* it waits for the peer */
	spool_cancel(&f->storing);
	fetching_free(f);
}

/* ---- which mails come next */

/* The next uid of the set that this session knows; 0: there is none. */
static uint32_t
next_uid(struct fetching *f)
{
	const struct numbers *n = &f->s->selected->numbers;
	while (f->range < f->uids.n) {
		const struct set_range *r = &f->uids.range[f->range];
		uint32_t from = f->at > r->from ? f->at : r->from;
		uint32_t number = numbers_from(n, from);
		uint32_t uid = number <= n->count ? numbers_uid(n, number) : 0;
		if (uid != 0 && uid <= r->to) {
			f->at = uid + 1;
			return uid;
		}
		f->range++;
		f->at = 0;
	}
	return 0;
}

static bool
add_mail(struct fetching *f, struct slice *x, uint32_t uid)
{
	const struct selected *sel = f->s->selected;
	const struct mark *m = view_find(sel->view, uid);
	if (m == NULL) {
		f->expunged = true;
		return false;
	}
	if (f->program->changed_since && m->modseq <= f->program->since)
		return false;
	x->mail[x->n] = (struct fetch_mail){numbers_of(&sel->numbers, uid), uid, *m, {0}};
	x->flags_at[x->n] = x->flags.n;
	if (f->program->flags) {
		struct mark shown = *m;
		if (f->program->seen && !sel->read_only)
			shown.flags |= MAIL_SEEN; /* as it will be */
		imap_add_flags(
		    f->s, sel->view, &shown, set_has(&sel->recent, uid), &x->flags);
	}
	x->n++;
	return true;
}

static void
note_seen(struct fetching *f, const struct fetch_mail *m)
{
	const struct selected *sel = f->s->selected;
	if (!f->program->seen || sel->read_only || (m->mark.flags & MAIL_SEEN))
		return;
	if (f->seen == NULL)
		f->seen = mail_change_at(sel->view->number);
	mail_change_store(f->seen, m->uid, MAIL_STORE_ADD, MAIL_SEEN, 0);
}

static struct slice *
gather(struct fetching *f)
{
	struct slice *x = NEW(struct slice);
	uint32_t uid;
	size_t most = f->program->needs & NEED_CONTENT ? FETCH_SLICE / 4 : FETCH_SLICE;
	x->f = f;
	x->program = fetch_program_ref(f->program);
	x->mailbox = f->s->selected->view->number;
	x->uidonly = f->s->uidonly;
	x->veil = f->s->selected->veil;
	view_lock(f->s->selected->view);
	while (x->n < most && (uid = next_uid(f)) != 0)
		(void)add_mail(f, x, uid);
	view_unlock(f->s->selected->view);
	x->flags_at[x->n] = x->flags.n;
	for (size_t i = 0; i < x->n; i++) {
		x->mail[i].flags = span_cut(buf_span(&x->flags), x->flags_at[i],
		    x->flags_at[i + 1] - x->flags_at[i]);
		note_seen(f, &x->mail[i]);
	}
	return x;
}

/* ---- in the pool */

static bool
write_one(struct slice *x, size_t i, const struct mail_sight *sight,
    const struct kept_mail *kept)
{
	struct shape shape;
	struct fetch_source src = {
	    .mail = &x->mail[i], .sight = sight, .kept = kept, .uidonly = x->uidonly};
	struct buf made;
	buf_init(&made, 0);
	uint64_t was = hand_take(sight->row.message);
	if (kept != NULL && content_slices(kept->message->content) > 0)
		FAULT_BYTES("mail.read", content_slice(kept->message->content, 0));
	bool shaped = !(x->program->needs & NEED_SHAPE);
	if (!shaped && sight->structure.p != NULL &&
	    shape_open(&shape, sight->structure) == OK)
		shaped = true;
	if (!shaped && kept != NULL &&
	    shape_of_content(kept->message->content, kept->message->prefix, &made) ==
		OK &&
	    shape_open(&shape, buf_span(&made)) == OK)
		shaped = true;
	src.shape = &shape;
	bool written = shaped && fetch_write(x->program, &src, &x->out);
	if (made.n > 0 && x->veil == ADMIN_VIEW_WHOLE)
		fetch_out_found(&x->out, sight->row.message, &made);
	buf_clear(&made);
	hand_back(was);
	return written;
}

static bool
is_full(const struct slice *x)
{
	return x->out.octets + x->out.text.n > FETCH_OCTETS || x->read > READ_MAX;
}

/* Mails are answered in their order; those that nothing is told of have gone. */
static bool
on_sight(void *arg, size_t i, const struct mail_sight *sight)
{
	struct slice *x = arg;
	i += x->from;
	x->next = i;
	if (is_full(x))
		return false;
	x->stuck = !write_one(x, i, sight, NULL);
	x->next = x->stuck ? i : i + 1;
	return !x->stuck;
}

static void
to_sight(const struct kept_mail *k, struct mail_sight *out)
{
	*out = (struct mail_sight){.row = k->row,
	    .own = k->own,
	    .prefix = k->message->prefix,
	    .content = k->message->size,
	    .message_flags = k->message->flags};
}

/* One that needs its content, or whose structure was not stored. */
static void
read_next(struct slice *x, struct spool_reader *r)
{
	struct kept_mail *kept;
	struct mail_sight sight;
	size_t i = x->next++;
	enum err e = spool_read_mail(r, x->mailbox, x->mail[i].uid, true, &kept);
	if (e == OK) {
		x->read += kept->row.size;
		if (x->veil != ADMIN_VIEW_WHOLE)
			x->err = veil_mail(kept, x->veil);
		to_sight(kept, &sight);
		if (x->err == OK && !write_one(x, i, &sight, kept))
			x->err = ERR_DAMAGED;
		kept_mail_free(&kept);
	} else if (e == ERR_NOT_FOUND) {
		x->gone = true;
	} else if (e == ERR_DAMAGED) {
		x->damaged = true; /* the others are told of */
	} else {
		x->err = e;
	}
}

static unsigned
sight_of(unsigned needs)
{
	return (needs & NEED_SHAPE ? SIGHT_STRUCTURE : 0) |
	       (needs & NEED_CONTENT ? SIGHT_FRONT | SIGHT_HEAD : 0);
}

/* As many as one snapshot can show; then one that is read as a whole, alone. */
static void
run(struct spool_reader *r, void *arg)
{
	struct slice *x = arg;
	uint32_t uid[FETCH_SLICE];
	size_t n = 0;
	for (size_t i = 0; i < x->n; i++)
		uid[n++] = x->mail[i].uid;
	x->read = 0;
	while (x->next < x->n && !is_full(x) && x->err == OK) {
		x->stuck = x->program->whole || x->veil != ADMIN_VIEW_WHOLE;
		x->from = x->next;
		if (!x->stuck)
			x->err =
			    spool_read_sights(r, x->mailbox, sight_of(x->program->needs),
				uid + x->next, x->n - x->next, on_sight, x);
		if (x->stuck && x->err == OK)
			read_next(x, r);
		else if (!is_full(x))
			x->next = x->n;
	}
}

/* ---- on the loop */

static void
finish(struct imap *s)
{
	struct fetching *f = of_job(s);
	bool expunged = f->expunged && !s->by_uid, damaged = f->damaged,
	     unknown = f->unknown_cte, too_big = f->too_big;
	s->job = NULL;
	fetching_free(f);
	if (damaged)
		imap_no(s, "[SERVERBUG] ", UNREADABLE);
	else if (unknown)
		imap_no(s, "[UNKNOWN-CTE] ", "this encoding cannot be decoded");
	else if (too_big)
		imap_no(s, "[TOOBIG] ", "this part is too large to be decoded here");
	else if (expunged)
		imap_no(s, "[EXPUNGEISSUED] ", "some of these messages are gone");
	else
		imap_ok(s, "", "fetched");
}

static void
on_seen(void *arg, enum err e)
{
	struct fetching *f = arg;
	struct mail_result r;
	f->storing = NULL;
	if (e == OK && f->program->flags) { /* the answer has told of it */
		mail_change_result(f->seen, &r);
		f->s->selected->own_modseq = r.modseq;
	} /* that it was read is not worth an error */
	finish(f->s);
}

static void
end(struct imap *s)
{
	struct fetching *f = of_job(s);
	if (f->seen == NULL) {
		finish(s);
		return;
	}
	f->storing = spool_mail_change_start(
	    imap_spool(s), mail_change_ref(f->seen), imap_inbox(s), on_seen, f);
}

static void more(struct imap *s);

static void
send_out(struct imap *s, const struct fetch_out *out)
{
	size_t at = 0;
	for (size_t i = 0; i < out->pieces && s->io != NULL; i++) {
		const struct fetch_piece *p = &out->piece[i];
		io_add(s->io, out->text.p + at, p->at - at);
		io_add_content(s->io, p->content, p->from, p->n);
		at = p->at;
	}
	if (s->io != NULL)
		io_add(s->io, out->text.p + at, out->text.n - at);
	s->sent += out->octets + out->text.n;
}

/* Structures that had to be made are stored, so that the next listing finds them. */
static void
keep_found(struct imap *s, const struct fetch_out *out)
{
	for (size_t i = 0; i < out->founds && i < FOUND_MAX; i++)
		(void)spool_structure_start(imap_spool(s), out->found[i].message,
		    buf_span(&out->found[i].structure), imap_inbox(s), NULL, NULL);
}

static void
on_slice(void *arg)
{
	struct slice *x = arg;
	struct fetching *f = x->f;
	struct imap *s = f->s;
	enum err e = x->err;
	x->query = NULL;
	f->unknown_cte = f->unknown_cte || x->out.unknown_cte > 0;
	f->too_big = f->too_big || x->out.too_big > 0;
	f->expunged = f->expunged || x->gone;
	f->damaged = f->damaged || x->damaged;
	send_out(s, &x->out);
	keep_found(s, &x->out);
	fetch_out_clear(&x->out);
	if (e != OK) {
		f->slice = NULL;
		slice_free(x);
		s->job = NULL;
		fetching_free(f);
		imap_no(s, "[SERVERBUG] ", UNREADABLE);
		return;
	}
	if (x->next == x->n) {
		s->fetched += x->n;
		f->slice = NULL;
		slice_free(x);
	}
	more(s);
}

/* All that is asked for is in the view: no disk. */
static void
write_at_once(struct imap *s, struct slice *x)
{
	for (size_t i = 0; i < x->n; i++) {
		struct fetch_source src = {.mail = &x->mail[i], .uidonly = x->uidonly};
		(void)fetch_write(x->program, &src, &x->out);
	}
	s->fetched += x->n;
	send_out(s, &x->out);
	slice_free(x);
}

/* False: there is no more. */
static bool
next_slice(struct imap *s)
{
	struct fetching *f = of_job(s);
	while (f->slice == NULL) {
		struct slice *x = gather(f);
		bool last = f->range >= f->uids.n;
		if (x->n > 0 && f->program->needs == 0) {
			write_at_once(s, x);
			return !last;
		}
		if (x->n > 0) {
			f->slice = x;
			return true;
		}
		slice_free(x);
		if (last)
			return false;
	}
	return true;
}

static void
more(struct imap *s)
{
	struct fetching *f = of_job(s);
	while (s->io != NULL) {
		if (io_queued(s->io) > IO_HIGH) {
			io_want_drained(s->io);
			io_deadline(s->io, s->config->server.imap_ms); /* it may never */
			return;
		}
		if (!next_slice(s)) {
			end(s);
			return;
		}
		if (f->slice != NULL) {
			f->slice->query = spool_query_start(imap_spool(s), run, on_slice,
			    slice_free, f->slice, imap_inbox(s));
			return;
		}
	}
}

static void
drained(struct imap *s)
{
	struct fetching *f = of_job(s);
	if (f->storing == NULL && (f->slice == NULL || f->slice->query == NULL))
		more(s);
}

/* ---- the command */

/* "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12 VANISHED)": what of the set has gone. */
struct vanishing {
	struct job job;
	struct imap *s;
	struct spool_query *query;
	struct fetching *f;
	uint32_t mailbox;
	uint64_t since;
	struct set gone;
	bool known;
};

static void
begin(struct imap *s, struct fetching *f)
{
	s->job = &f->job;
	imap_wait(s);
	more(s);
}

static void
vanishing_free(void *arg)
{
	struct vanishing *x = arg;
	set_clear(&x->gone);
	if (x->f != NULL)
		fetching_free(x->f);
	mem_free(&x);
}

static void
vanishing_cancel(struct imap *s)
{
	struct vanishing *x = CONTAINER_OF(s->job, struct vanishing, job);
	spool_cancel_query(&x->query);
}

static void
add_gone(void *arg, uint32_t first, uint32_t last, uint64_t modseq)
{
	struct vanishing *x = arg;
	(void)modseq;
	if (x->gone.n < SET_RANGES_MAX)
		set_add_range(&x->gone, first, last);
	else
		x->known = false;
}

static void
vanishing_run(struct spool_reader *r, void *arg)
{
	struct vanishing *x = arg;
	x->known = true;
	if (spool_read_gone(r, x->mailbox, x->since, add_gone, x) != OK)
		x->known = false;
}

static void
vanishing_done(void *arg)
{
	struct vanishing *x = arg;
	struct imap *s = x->s;
	struct fetching *f = x->f;
	struct set out = {0};
	struct buf line;
	x->f = NULL;
	set_resolve(&x->gone, 0);
	view_lock(s->selected->view);
	view_missing(s->selected->view, x->known ? &x->gone : NULL, &f->uids, &out);
	view_unlock(s->selected->view);
	if (out.n > 0) {
		buf_init(&line, 0);
		buf_add_str(&line, "* VANISHED (EARLIER) ");
		set_write(&out, &line);
		buf_add_str(&line, "\r\n");
		imap_say(s, buf_span(&line));
		buf_clear(&line);
	}
	set_clear(&out);
	vanishing_free(x);
	begin(s, f);
}

static void
look_for_vanished(struct imap *s, struct fetching *f)
{
	struct vanishing *x = NEW(struct vanishing);
	*x = (struct vanishing){.job = {NULL, vanishing_cancel},
	    .s = s,
	    .f = f,
	    .mailbox = s->selected->view->number,
	    .since = f->program->since};
	s->job = &x->job;
	imap_wait(s);
	x->query = spool_query_start(imap_spool(s), vanishing_run, vanishing_done,
	    vanishing_free, x, imap_inbox(s));
}

/* Of the mails that are asked for those at some places. */
static void
take_part(struct imap *s, struct fetching *f)
{
	const struct numbers *n = &s->selected->numbers;
	struct set known = {0}, part = {0};
	for (size_t i = 0; i < f->uids.n; i++) {
		for (uint32_t k = numbers_from(n, f->uids.range[i].from); k <= n->count;
		     k++) {
			uint32_t uid = numbers_uid(n, k);
			if (uid > f->uids.range[i].to)
				break;
			set_add(&known, uid);
		}
	}
	set_slice(&known, f->program->part_from, f->program->part_to, &part);
	set_clear(&known);
	set_clear(&f->uids);
	f->uids = part;
}

/* MODSEQ and what needs it switch CONDSTORE on (RFC 7162 3.1). */
static void
settle_program(struct imap *s, struct fetch_program *p)
{
	for (size_t i = 0; i < p->n; i++)
		s->condstore = s->condstore || p->item[i].kind == FETCH_MODSEQ;
	s->condstore = s->condstore || p->changed_since;
	if (s->by_uid)
		fetch_begin_with_uid(p);
	if (p->changed_since)
		fetch_add_item(p, FETCH_MODSEQ);
}

void
run_fetch(struct imap *s, struct lex *l)
{
	struct fetching *f = NEW(struct fetching);
	const char *why = NULL;
	*f = (struct fetching){.job = {drained, cancel}, .s = s};
	if (!args_space(s) || !args_uids(s, &f->uids) || !args_space(s)) {
		fetching_free(f);
		return;
	}
	f->program = fetch_parse(l, &why);
	if (why == NULL && f->program->vanished && (!s->by_uid || !s->qresync))
		why = "VANISHED goes with UID FETCH, once QRESYNC is enabled";
	if (why == NULL && f->program->partial && !s->by_uid)
		why = "PARTIAL goes with UID FETCH";
	if (why != NULL) {
		fetching_free(f);
		imap_bad(s, "", why);
		return;
	}
	settle_program(s, f->program);
	if (f->program->partial)
		take_part(s, f);
	if (f->program->flags)
		update_tell_keywords(s);
	if (f->program->vanished)
		look_for_vanished(s, f);
	else
		begin(s, f);
}
