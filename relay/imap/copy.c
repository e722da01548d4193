/* SPDX-License-Identifier: ISC */
/*
 * copy - mails that leave for another mailbox, and those that leave for good: COPY, MOVE
 * (RFC 6851), EXPUNGE, CLOSE (RFC 9051 6.4).  Each is one change; deletions are told by
 * the update that comes with the answer.
 */
#include <stdio.h>

#include "base/mem.h"
#include "relay/imap/queue.h"
#include "relay/imap/session.h"

struct copying {
	struct job job;
	struct imap *s;
	struct spool_request *request;
	struct mail_change *change;
	void (*answer)(struct imap *s, struct copying *x, enum err e);
	bool move;
};

static struct copying *
of_job(struct imap *s)
{
	return CONTAINER_OF(s->job, struct copying, job);
}

static void
copying_free(struct copying *x)
{
	mail_change_free(&x->change);
	mem_free(&x);
}

static void
cancel(struct imap *s)
{
	struct copying *x = of_job(s);
	spool_cancel(&x->request);
	copying_free(x);
}

static void
on_changed(void *arg, enum err e)
{
	struct copying *x = arg;
	struct imap *s = x->s;
	x->request = NULL;
	s->job = NULL;
	x->answer(s, x, e);
}

static struct copying *
copying_new(struct imap *s, void (*answer)(struct imap *s, struct copying *x, enum err e))
{
	struct copying *x = NEW(struct copying);
	*x = (struct copying){.job = {NULL, cancel},
	    .s = s,
	    .answer = answer,
	    .change = mail_change_at(s->selected->view->number)};
	return x;
}

static void
start(struct imap *s, struct copying *x)
{
	s->job = &x->job;
	imap_wait(s);
	x->request = spool_mail_change_start(
	    imap_spool(s), mail_change_ref(x->change), imap_inbox(s), on_changed, x);
}

/* Each known uid of a set. */
static void
each_uid(struct imap *s, const struct set *uids, struct mail_change *c,
    void (*add)(struct mail_change *c, uint32_t uid))
{
	const struct numbers *n = &s->selected->numbers;
	for (size_t i = 0; i < uids->n; i++) {
		for (uint32_t k = numbers_from(n, uids->range[i].from); k <= n->count;
		     k++) {
			uint32_t uid = numbers_uid(n, k);
			if (uid > uids->range[i].to)
				break;
			add(c, uid);
		}
	}
}

/* ---- COPY and MOVE */

/* "[COPYUID 38505 304,319:320 3956:3958] " (RFC 4315): in the order of the uids. */
static void
add_copyuid(const struct mail_result *r, struct buf *out)
{
	struct set from = {0}, to = {0};
	if (r->n == 0)
		return;
	for (size_t i = 0; i < r->n; i++) {
		set_add(&from, r->from[i]);
		set_add(&to, r->to[i]);
	}
	buf_addf(out, "[COPYUID %u ", r->uidvalidity);
	set_write(&from, out);
	buf_add_char(out, ' ');
	set_write(&to, out);
	buf_add_str(out, "] ");
	set_clear(&from);
	set_clear(&to);
}

static void
answer_copy(struct imap *s, struct copying *x, enum err e)
{
	struct mail_result r = {0};
	struct buf code;
	bool move = x->move;
	if (e == ERR_EXISTS) {
		copying_free(x);
		imap_no(s, "[TRYCREATE] ", "there is no such mailbox");
		return;
	}
	mail_change_result(x->change, &r);
	if (e == ERR_FULL && r.over_quota) {
		copying_free(x);
		imap_no(s, "[OVERQUOTA] ", "your mailboxes are full");
		return;
	}
	if (e != OK && e != ERR_NOT_FOUND) {
		copying_free(x);
		imap_spool_no(s, e);
		return;
	}
	buf_init(&code, 0);
	if (e != OK)
		r = (struct mail_result){0};
	add_copyuid(&r, &code);
	copying_free(x);
	if (move && code.n > 0) { /* the new uids before the old ones go (RFC 6851 4.3) */
		imap_sayf(s, "OK %.*smoved", SPAN_ARG(buf_span(&code)));
		buf_reset(&code);
	}
	buf_add_char(&code, '\0');
	imap_ok(s, code.p, move ? "moved" : "copied");
	buf_clear(&code);
}

static void
add_copy(struct mail_change *c, uint32_t uid)
{
	mail_change_copy(c, uid, false);
}

static void
add_move(struct mail_change *c, uint32_t uid)
{
	mail_change_copy(c, uid, true);
}

static void
copy_or_move(struct imap *s, struct lex *l, bool move)
{
	struct copying *x = copying_new(s, answer_copy);
	struct set uids = {0};
	char name[MAILBOX_NAME_MAX + 1];
	(void)l;
	x->move = move;
	bool ok = args_space(s) && args_uids(s, &uids) && args_space(s) &&
		  args_mailbox(s, name) && args_end(s);
	if (ok && move && s->selected->read_only) {
		imap_no(s, "[READ-ONLY] ", "this mailbox is selected to be read only");
		ok = false;
	}
	if (!ok) {
		set_clear(&uids);
		copying_free(x);
		return;
	}
	if (queue_copy(s, &uids, name, move)) {
		set_clear(&uids);
		copying_free(x);
		return;
	}
	mail_change_target(x->change, span_str(s->owner), span_str(name));
	mail_change_quota(
	    x->change, imap_settings(s)->quota_messages, imap_settings(s)->quota);
	each_uid(s, &uids, x->change, move ? add_move : add_copy);
	set_clear(&uids);
	start(s, x);
}

void
run_copy(struct imap *s, struct lex *l)
{
	copy_or_move(s, l, false);
}

void
run_move(struct imap *s, struct lex *l)
{
	copy_or_move(s, l, true);
}

/* ---- EXPUNGE, CLOSE */

/* Those that this session knows as deleted; whether they still are, the spool sees. */
static void
add_deleted(struct imap *s, const struct set *only, struct mail_change *c)
{
	const struct selected *sel = s->selected;
	view_lock(sel->view);
	for (size_t i = 0; i < sel->view->marks; i++) {
		const struct mark *m = &sel->view->mark[i];
		if ((m->flags & MAIL_DELETED) && (only == NULL || set_has(only, m->uid)))
			mail_change_expunge(c, m->uid);
	}
	view_unlock(sel->view);
}

static void
answer_expunge(struct imap *s, struct copying *x, enum err e)
{
	struct mail_result r = {0};
	char code[48] = "";
	if (e == OK)
		mail_change_result(x->change, &r);
	copying_free(x);
	if (e != OK && e != ERR_NOT_FOUND) {
		imap_spool_no(s, e);
		return;
	}
	if (s->qresync && e == OK)
		(void)snprintf(code, sizeof(code), "[HIGHESTMODSEQ %llu] ",
		    (unsigned long long)r.modseq);
	imap_ok(s, code, "expunged");
}

void
run_expunge(struct imap *s, struct lex *l)
{
	struct set only = {0};
	(void)l;
	if (s->by_uid && (!args_space(s) || !args_uids(s, &only)))
		return;
	bool ok = args_end(s);
	if (ok && s->selected->read_only) {
		imap_no(s, "[READ-ONLY] ", "this mailbox is selected to be read only");
		ok = false;
	}
	if (ok && queue_selected(s)) {
		queue_expunge(s, s->by_uid ? &only : NULL);
	} else if (ok) {
		struct copying *x = copying_new(s, answer_expunge);
		add_deleted(s, s->by_uid ? &only : NULL, x->change);
		start(s, x);
	}
	set_clear(&only);
}

static void
answer_close(struct imap *s, struct copying *x, enum err e)
{
	copying_free(x);
	if (e != OK && e != ERR_NOT_FOUND) {
		imap_spool_no(s, e);
		return;
	}
	select_leave(s); /* nobody is told: nothing is selected */
	imap_ok(s, "", "closed");
}

void
run_close(struct imap *s, struct lex *l)
{
	(void)l;
	if (!args_end(s))
		return;
	struct copying *x = copying_new(s, answer_close);
	if (!s->selected->read_only)
		add_deleted(s, NULL, x->change);
	start(s, x);
}
