/* SPDX-License-Identifier: ISC */
/*
 * select - SELECT and EXAMINE (RFC 9051 6.3.2, RFC 7162): the mailbox is looked up and
 * its view loaded in the pool, then this session's numbers are made of it.  A client that
 * knows the mailbox from before (QRESYNC) is told what has changed since.
 */
#include "base/mem.h"
#include "relay/egress/failed.h"
#include "relay/imap/queue.h"
#include "relay/imap/session.h"

struct qresync {
	uint64_t uidvalidity, modseq;
	struct set known; /* uids; none: all */
};

struct selecting {
	struct job job;
	struct imap *s;
	struct spool_query *query;
	struct desk_request *asking;  /* the desk, before a tray is looked at */
	uint32_t tray;                /* 0: it is none */
	struct spool_request *making; /* INBOX, when it is not there yet */
	char owner[MAILBOX_OWNER_MAX + 1], name[MAILBOX_NAME_MAX + 1];
	struct span asked; /* name as the client spells it; in the command */
	bool read_only, qresync;
	bool failed; /* the mailbox of mail that has failed: owner is its own */
	struct qresync q;
	struct hub *hub;
	/* what the pool has found */
	enum err err;
	struct mailbox_view box;
	struct view *view;
	struct set gone; /* not resolved: as they went */
	bool gone_known;
};

static struct selecting *
of_job(struct imap *s)
{
	return CONTAINER_OF(s->job, struct selecting, job);
}

static void
selecting_free(void *arg)
{
	struct selecting *x = arg;
	view_close(&x->view);
	set_clear(&x->q.known);
	set_clear(&x->gone);
	mem_free(&x);
}

static void
cancel(struct imap *s)
{
	struct selecting *x = of_job(s);
	spool_cancel(&x->making);
	desk_cancel(&x->asking);
	if (x->query != NULL)
		spool_cancel_query(&x->query); /* selecting_free() when it is over */
	else
		selecting_free(x);
}

/* ---- leaving */

void
select_leave(struct imap *s)
{
	struct selected *x = s->selected;
	if (x == NULL)
		return;
	if (x->claimed) {
		struct mail_change *c = mail_change_at(x->view->number);
		mail_change_recent(c, x->last + 1);
		(void)spool_mail_change_start(
		    imap_spool(s), c, imap_inbox(s), NULL, NULL);
	}
	view_watch_stop(&x->watch);
	view_close(&x->view);
	numbers_clear(&x->numbers);
	set_clear(&x->recent);
	set_clear(&x->saved);
	mem_free(&s->selected);
	if (s->state == IMAP_SELECTED)
		s->state = IMAP_IN;
}

/* ---- in the pool */

static void
add_gone(void *arg, uint32_t first, uint32_t last, uint64_t modseq)
{
	struct selecting *x = arg;
	(void)modseq;
	if (x->gone.n < SET_RANGES_MAX)
		set_add_range(&x->gone, first, last);
	else
		x->gone_known =
		    false; /* more than is worth keeping: all that is missing */
}

static void
run(struct spool_reader *r, void *arg)
{
	struct selecting *x = arg;
	x->err = x->tray != 0
		     ? spool_read_mailbox_at(r, x->tray, &x->box)
		     : spool_read_mailbox(r, span_str(x->owner),
			   x->failed ? SPAN(MAILBOX_INBOX) : span_str(x->name), &x->box);
	if (x->err != OK)
		return;
	x->view = view_open(x->hub, x->box.number);
	x->err = view_load(x->view, r);
	if (x->err == OK && x->qresync) {
		x->gone_known = true;
		if (spool_read_gone(r, x->box.number, x->q.modseq, add_gone, x) != OK)
			x->gone_known = false;
	}
}

/* ---- what SELECT answers */

static uint32_t
first_unseen(const struct view *v)
{
	for (size_t i = 0; i < v->marks; i++) {
		if (!(v->mark[i].flags & MAIL_SEEN))
			return (uint32_t)i + 1;
	}
	return 0;
}

static void
take_view(struct imap *s, struct selected *n)
{
	struct view *v = n->view;
	for (size_t i = 0; i < v->marks; i++)
		numbers_add(&n->numbers, v->mark[i].uid);
	for (size_t i = view_from(v, v->recent); !s->rev2 && i < v->marks; i++)
		set_add(&n->recent, v->mark[i].uid);
	n->last = v->uidnext > 0 ? v->uidnext - 1 : 0;
	if (n->recent.n > 0 && !n->read_only) {
		v->recent = v->uidnext;
		n->claimed = true;
	}
	n->told = n->told_gone = v->modseq;
	n->keywords = v->keywords;
}

static void
add_mailbox_id(const struct view *v, struct buf *out)
{
	buf_addf(out, "* OK [MAILBOXID (F%x-%x)] its own for ever\r\n", v->number,
	    v->uidvalidity);
}

static void
add_answer(struct imap *s, const struct selected *n, struct span asked, struct buf *out)
{
	struct view *v = n->view;
	uint32_t unseen = first_unseen(v);
	buf_add_str(out, "* FLAGS ");
	update_add_flag_list(s, v, false, out);
	buf_addf(out, "\r\n* %u EXISTS\r\n", n->numbers.count);
	if (!s->rev2)
		buf_addf(
		    out, "* %llu RECENT\r\n", (unsigned long long)set_count(&n->recent));
	if (unseen > 0 && !s->rev2 && !s->uidonly)
		buf_addf(out, "* OK [UNSEEN %u] the first of them\r\n", unseen);
	buf_add_str(out, "* OK [PERMANENTFLAGS ");
	update_add_flag_list(s, v, true, out);
	buf_addf(out, "] these stay\r\n* OK [UIDNEXT %u] the next\r\n", v->uidnext);
	buf_addf(out, "* OK [UIDVALIDITY %u] uids hold\r\n", v->uidvalidity);
	buf_addf(out, "* OK [HIGHESTMODSEQ %llu] the last change\r\n",
	    (unsigned long long)v->modseq);
	add_mailbox_id(v, out);
	if (s->rev2)
		imap_add_list(s, span_str(n->name), asked, out);
}

/* ---- QRESYNC: what a client that was here before has missed (RFC 7162 3.2.5) */

static void
add_vanished(const struct view *v, struct selecting *x, struct buf *out)
{
	struct set gone = {0};
	set_resolve(&x->gone, 0);
	view_missing(v, x->gone_known ? &x->gone : NULL, &x->q.known, &gone);
	if (gone.n > 0) {
		buf_add_str(out, "* VANISHED (EARLIER) ");
		set_write(&gone, out);
		buf_add_str(out, "\r\n");
	}
	set_clear(&gone);
}

static void
add_missed(struct imap *s, struct selecting *x, struct buf *out)
{
	const struct view *v = s->selected->view;
	if (!x->qresync || x->q.uidvalidity != v->uidvalidity)
		return;
	add_vanished(v, x, out);
	for (size_t i = 0; i < v->marks; i++) {
		const struct mark *m = &v->mark[i];
		if (m->modseq > x->q.modseq &&
		    (x->q.known.n == 0 || set_has(&x->q.known, m->uid)))
			update_add_fetch(s, v, m, (uint32_t)i + 1, out);
	}
}

/* ---- on the loop */

static void
open_selected(struct imap *s, struct selecting *x)
{
	struct selected *n = NEW(struct selected);
	struct buf out;
	bool read_only = x->read_only;
	n->view = x->view;
	x->view = NULL;
	n->read_only = read_only;
	if (x->failed || x->tray != 0)
		n->veil = s->admin_view;
	span_copy(span_str(x->name), n->name, sizeof(n->name));
	buf_init(&out, 0);
	s->selected = n;
	s->state = IMAP_SELECTED;
	view_lock(n->view);
	take_view(s, n);
	add_answer(s, n, x->asked, &out);
	add_missed(s, x, &out);
	view_unlock(n->view);
	n->watch = view_watch_start(n->view, imap_inbox(s), update_on_change, s);
	imap_say(s, buf_span(&out));
	buf_clear(&out);
	selecting_free(x);
	s->job = NULL;
	imap_ok(s, read_only ? "[READ-ONLY] " : "[READ-WRITE] ", "selected");
}

static void done(void *arg);

static void
look(struct selecting *x)
{
	x->query = spool_query_start(
	    imap_spool(x->s), run, done, selecting_free, x, imap_inbox(x->s));
}

/* A tray that could not be made anew is shown as it was. */
static void
on_asked(void *arg, const struct desk_result *r)
{
	struct selecting *x = arg;
	(void)r;
	x->asking = NULL;
	look(x);
}

static void
on_made(void *arg, enum err e)
{
	struct selecting *x = arg;
	struct imap *s = x->s;
	x->making = NULL;
	if (e == OK || e == ERR_EXISTS) {
		look(x);
		return;
	}
	s->job = NULL;
	selecting_free(x);
	imap_spool_no(s, e);
}

/* INBOX always is (RFC 9051 5.1), though nothing was ever delivered to it. */
static void
make_inbox(struct selecting *x)
{
	struct mailbox_request q = {.act = MAILBOX_CREATE,
	    .owner = span_str(x->owner),
	    .name = SPAN(MAILBOX_INBOX)};
	x->making =
	    spool_mailbox_start(imap_spool(x->s), &q, imap_inbox(x->s), on_made, x);
}

static void
done(void *arg)
{
	struct selecting *x = arg;
	struct imap *s = x->s;
	enum err e = x->err;
	x->query = NULL;
	if (e == OK) {
		open_selected(s, x);
		return;
	}
	if (e == ERR_NOT_FOUND &&
	    (x->failed || span_eq(span_str(x->name), SPAN(MAILBOX_INBOX)))) {
		make_inbox(x);
		return;
	}
	s->job = NULL;
	selecting_free(x);
	imap_spool_no(s, e);
}

/* ---- the command */

static bool
scan_qresync(struct imap *s, struct lex *l, struct selecting *x)
{
	struct set seqs = {0}, uids = {0};
	if (!s->qresync) {
		imap_bad(s, "", "ENABLE QRESYNC first");
		return false;
	}
	bool ok = lex_space(l) && lex_char(l, '(') &&
		  lex_number(l, UINT32_MAX, &x->q.uidvalidity) && lex_space(l) &&
		  lex_number(l, INT64_MAX, &x->q.modseq);
	if (ok && lex_space(l)) {
		if (scan_peek(&l->in) != '(')
			ok = lex_set(l, &x->q.known) && (lex_space(l) || true);
		if (ok && lex_char(l, '(')) /* a hint that saves us nothing */
			ok = lex_set(l, &seqs) && lex_space(l) && lex_set(l, &uids) &&
			     lex_char(l, ')');
	}
	set_clear(&seqs);
	set_clear(&uids);
	ok = ok && lex_char(l, ')');
	if (!ok)
		imap_bad(s, "", "Syntax: QRESYNC (uidvalidity modseq [uids])");
	set_resolve(&x->q.known, SET_STAR - 1);
	x->qresync = ok;
	return ok;
}

static bool
scan_options(struct imap *s, struct lex *l, struct selecting *x)
{
	if (lex_done(l))
		return true;
	if (!lex_space(l) || !lex_char(l, '(')) {
		imap_bad(s, "", "Syntax: SELECT mailbox [(options)]");
		return false;
	}
	do {
		if (lex_word(l, "CONDSTORE")) {
			s->condstore = true;
		} else if (lex_word(l, "QRESYNC")) {
			if (!scan_qresync(s, l, x))
				return false;
		} else {
			imap_bad(s, "", "this option is not known");
			return false;
		}
	} while (lex_space(l));
	if (!lex_char(l, ')')) {
		imap_bad(s, "", "a parenthesis is missing");
		return false;
	}
	return args_end(s);
}

/* What was selected is left before the new one is tried, whether that is there or not
 * (RFC 9051 6.3.2). */
static void
leave_before(struct imap *s)
{
	if (s->selected == NULL)
		return;
	select_leave(s);
	if (s->qresync || s->rev2)
		imap_sayf(s, "OK [CLOSED] the mailbox before is closed");
}

static void
begin(struct imap *s, struct lex *l, bool read_only)
{
	struct selecting *x = NEW(struct selecting);
	struct span raw = {NULL, 0};
	*x = (struct selecting){.job = {NULL, cancel},
	    .s = s,
	    .read_only = read_only,
	    .hub = s->pickup->o.hub};
	span_copy(span_str(s->owner), x->owner, sizeof(x->owner));
	bool ok = args_astring(s, &raw) && scan_options(s, l, x);
	if (ok)
		leave_before(s);
	if (!ok || !args_name(s, raw, x->name)) {
		selecting_free(x);
		return;
	}
	const struct queue_box *box = queue_box(s, x->name);
	x->asked = raw;
	s->job = &x->job;
	imap_wait(s);
	x->failed = box != NULL && box->failed;
	if (x->failed)
		span_copy(SPAN(FAILED_OWNER), x->owner, sizeof(x->owner));
	if (box == NULL || x->failed) {
		look(x);
		return;
	}
	x->tray = queue_number(s, box);
	x->read_only = read_only || box->acts;
	x->asking = desk_look_start(s->pickup->o.desk, imap_inbox(s), on_asked, x);
}

void
run_select(struct imap *s, struct lex *l)
{
	begin(s, l, false);
}

void
run_examine(struct imap *s, struct lex *l)
{
	begin(s, l, true);
}

void
run_unselect(struct imap *s, struct lex *l)
{
	(void)l;
	if (!args_end(s))
		return;
	select_leave(s);
	imap_ok(s, "", "no mailbox is selected");
}
