/* SPDX-License-Identifier: ISC */
/*
 * store - STORE (RFC 9051 6.4.6, RFC 7162): one change for the whole set, answered when
 * it is on disk.  What it did is told here, for each mail of the set; what others did
 * meanwhile comes with the tagged answer, as always.
 */
#include "base/mem.h"
#include "relay/imap/flags.h"
#include "relay/imap/session.h"

struct storing {
	struct job job;
	struct imap *s;
	struct spool_request *request;
	struct mail_change *change; /* a reference, for its result */
	struct set uids;            /* that the change names */
	bool silent, conditional, expunged;
	char code[64];
};

static struct storing *
of_job(struct imap *s)
{
	return CONTAINER_OF(s->job, struct storing, job);
}

static void
storing_free(struct storing *x)
{
	mail_change_free(&x->change);
	set_clear(&x->uids);
	mem_free(&x);
}

static void
cancel(struct imap *s)
{
	struct storing *x = of_job(s);
	spool_cancel(&x->request);
	storing_free(x);
}

/* ---- the answer */

/* They come in the order of the uids. */
static bool
was_modified(const struct mail_result *r, uint32_t uid)
{
	size_t low = 0, high = r->modifieds;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (r->modified[mid] < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < r->modifieds && r->modified[low] == uid;
}

/* FETCH for each: flags, or where it was silent only what the standard asks for. */
static void
tell_each(struct imap *s, const struct storing *x, const struct mail_result *r)
{
	const struct selected *sel = s->selected;
	const struct view *v = sel->view;
	struct buf out;
	buf_init(&out, 0);
	view_lock(sel->view);
	for (size_t i = 0; i < x->uids.n; i++) {
		for (size_t k = view_from(v, x->uids.range[i].from);
		     k < v->marks && v->mark[k].uid <= x->uids.range[i].to; k++) {
			const struct mark *m = &v->mark[k];
			uint32_t number = numbers_of(&sel->numbers, m->uid);
			if (number == 0 || (x->conditional && was_modified(r, m->uid)))
				continue;
			if (!x->silent)
				update_add_fetch(s, v, m, number, &out);
			else if (s->uidonly)
				buf_addf(&out, "* %u UIDFETCH (MODSEQ (%llu))\r\n",
				    m->uid, (unsigned long long)m->modseq);
			else
				buf_addf(&out, "* %u FETCH (UID %u MODSEQ (%llu))\r\n",
				    number, m->uid, (unsigned long long)m->modseq);
		}
	}
	view_unlock(sel->view);
	imap_say(s, buf_span(&out));
	buf_clear(&out);
}

static void
add_modified(struct imap *s, const struct mail_result *r, struct buf *code)
{
	struct set all = {0};
	for (size_t i = 0; i < r->modifieds; i++) {
		uint32_t uid = r->modified[i];
		set_add(&all, s->by_uid ? uid : numbers_of(&s->selected->numbers, uid));
	}
	set_resolve(&all, 0);
	buf_add_str(code, "[MODIFIED ");
	set_write(&all, code);
	buf_add_str(code, "] ");
	set_clear(&all);
}

static void
on_stored(void *arg, enum err e)
{
	struct storing *x = arg;
	struct imap *s = x->s;
	struct mail_result r = {0};
	struct buf code;
	x->request = NULL;
	s->job = NULL;
	if (e != OK && e != ERR_NOT_FOUND) {
		storing_free(x);
		imap_spool_no(s, e);
		return;
	}
	if (e == OK)
		mail_change_result(x->change, &r);
	buf_init(&code, 0);
	if (r.modifieds > 0)
		add_modified(s, &r, &code);
	update_tell_keywords(s);
	if (!x->silent || s->condstore)
		tell_each(s, x, &r);
	if (e == OK)
		s->selected->own_modseq = r.modseq;
	bool expunged = x->expunged && !s->by_uid;
	storing_free(x);
	buf_add_char(&code, '\0');
	if (expunged)
		imap_no(s, "[EXPUNGEISSUED] ", "some of these messages are gone");
	else
		imap_ok(s, code.p, "stored");
	buf_clear(&code);
}

/* ---- the command: "1:3 (UNCHANGEDSINCE 12) +FLAGS.SILENT (\Seen)" */

static bool
scan_modifier(struct imap *s, struct lex *l, struct storing *x)
{
	uint64_t modseq = 0;
	if (!lex_char(l, '('))
		return true;
	if (!lex_word(l, "UNCHANGEDSINCE") || !lex_space(l) ||
	    !lex_number(l, INT64_MAX, &modseq) || !lex_char(l, ')') || !lex_space(l)) {
		imap_bad(s, "", "Syntax: STORE set (UNCHANGEDSINCE modseq) item flags");
		return false;
	}
	x->conditional = true;
	s->condstore = true;
	mail_change_unless(x->change, modseq);
	return true;
}

static bool
scan_item(struct imap *s, struct lex *l, struct storing *x, enum mail_store *how)
{
	*how = lex_char(l, '+')   ? MAIL_STORE_ADD
	       : lex_char(l, '-') ? MAIL_STORE_REMOVE
				  : MAIL_STORE_SET;
	x->silent = lex_word(l, "FLAGS.SILENT");
	if ((!x->silent && !lex_word(l, "FLAGS")) || !lex_space(l)) {
		imap_bad(s, "", "Syntax: STORE set [+-]FLAGS[.SILENT] (flags)");
		return false;
	}
	return true;
}

/* Only those that this session knows of: a uid that it was not told of is nobody's. */
static void
add_stores(
    struct imap *s, struct storing *x, enum mail_store how, const struct flag_list *f)
{
	const struct numbers *n = &s->selected->numbers;
	view_lock(s->selected->view);
	for (size_t i = 0; i < x->uids.n; i++) {
		for (uint32_t k = numbers_from(n, x->uids.range[i].from); k <= n->count;
		     k++) {
			uint32_t uid = numbers_uid(n, k);
			if (uid > x->uids.range[i].to)
				break;
			if (view_find(s->selected->view, uid) == NULL)
				x->expunged = true;
			mail_change_store(x->change, uid, how, f->flags, f->keywords);
		}
	}
	view_unlock(s->selected->view);
}

void
run_store(struct imap *s, struct lex *l)
{
	struct storing *x = NEW(struct storing);
	enum mail_store how;
	struct flag_list f;
	*x = (struct storing){.job = {NULL, cancel},
	    .s = s,
	    .change = mail_change_at(s->selected->view->number)};
	if (!args_space(s) || !args_uids(s, &x->uids) || !args_space(s) ||
	    !scan_modifier(s, l, x) || !scan_item(s, l, x, &how) ||
	    !flags_scan(s, l, false, x->change, &f) || !args_end(s)) {
		storing_free(x);
		return;
	}
	if (s->selected->read_only) {
		storing_free(x);
		imap_no(s, "[READ-ONLY] ", "this mailbox is selected to be read only");
		return;
	}
	/* what others have changed comes first: SILENT is of this change alone (RFC 9051
	 * 6.4.6) */
	update_tell(s, false);
	if (s->io == NULL) {
		storing_free(x);
		return;
	}
	add_stores(s, x, how, &f);
	s->job = &x->job;
	imap_wait(s);
	x->request = spool_mail_change_start(
	    imap_spool(s), mail_change_ref(x->change), imap_inbox(s), on_stored, x);
}
