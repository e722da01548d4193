/* SPDX-License-Identifier: ISC */
/*
 * mail_apply - a request of an owner inside the writer's transaction.  What can be
 * refused is refused before anything is written; then the steps are taken in their order,
 * and all that they change in one mailbox shares one modseq.
 */
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "spool/mail_change_private.h"
#include "spool/mailbox_change_private.h"

#define FEW 64 /* deletions whose content goes in the same transaction */

/* ERR_NOT_FOUND: it is gone. A damaged row is all zeros. */
enum err
read_mail_row(struct applying *a, uint32_t uid, struct mail_record *out, bool *damaged)
{
	unsigned char key[KEY_MAIL];
	struct span v;
	mail_key_put(key, a->box.number, uid);
	*damaged = false;
	enum err e = db_get(a->b->txn, a->b->spool->dbi[DB_MAIL], key, KEY_MAIL, &v);
	if (e == OK && record_get_mail(v, out) != OK) {
		*out = (struct mail_record){0};
		*damaged = true;
	}
	return e;
}

/* ---- deletions */

enum err
delete_mail(
    struct applying *a, uint32_t uid, const struct mail_record *mail, bool release)
{
	struct batch *b = a->b;
	unsigned char key[KEY_MAIL];
	struct mail_record old = *mail; /* its spans go with the row */
	mail_key_put(key, a->box.number, uid);
	enum err e = db_del(b->txn, b->spool->dbi[DB_MAIL], key, KEY_MAIL);
	mbox_count(&a->box, &old, NULL);
	(void)mbox_touch(&a->box);
	b->bytes -= MAIL_OVERHEAD;
	b->work += MAIL_OVERHEAD;
	event_mail(b, MAIL_GONE, &a->box, uid, NULL);
	if (e == OK)
		e = gone_add(b, &a->box, uid);
	a->changed++;
	if (e != OK || !release || old.message == 0)
		return e;
	return a->later ? release_later(b, old.id, old.message)
			: release_message(b, old.message);
}

static enum err
run_delete(struct applying *a, const struct mail_act *act)
{
	struct mail_record mail = {0};
	bool damaged;
	enum err e = read_mail_row(a, act->uid, &mail, &damaged);
	if (e != OK)
		return e == ERR_NOT_FOUND ? OK : e;
	if (act->kind == ACT_EXPUNGE && !damaged && !(mail.flags & MAIL_DELETED))
		return OK;
	if (act->kind == ACT_EXPUNGE && damaged)
		return OK;
	/* a damaged row can go, but says of no content that it holds it */
	a->damaged = a->damaged || damaged;
	a->deleted++;
	return delete_mail(a, act->uid, &mail, true);
}

/* ---- sums anew, where a damaged row did not say what it was */

static enum err
sum_again(struct applying *a)
{
	struct mbox *box = &a->box;
	struct mbox sums = {0};
	unsigned char key[KEY_MAIL];
	MDB_cursor *c;
	MDB_val k, v;
	mail_key_put(key, box->number, 0);
	enum err e = db_err(mdb_cursor_open(a->b->txn, a->b->spool->dbi[DB_MAIL], &c));
	if (e != OK)
		return e;
	for (e = db_seek(c, key, KEY_MAIL, 4, &k, &v); e == OK;
	     e = db_next(c, key, 4, &k, &v)) {
		struct mail_record m = {0};
		if (record_get_mail((struct span){v.mv_data, v.mv_size}, &m) != OK)
			m = (struct mail_record){.flags = MAIL_SEEN};
		mbox_count(&sums, NULL, &m);
	}
	mdb_cursor_close(c);
	box->messages += (int64_t)(sums.record.messages - box->record.messages);
	box->octets += (int64_t)(sums.record.octets - box->record.octets);
	box->record.messages = sums.record.messages;
	box->record.octets = sums.record.octets;
	box->record.unseen = sums.record.unseen;
	box->record.deleted = sums.record.deleted;
	return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- what can be refused */

static enum err
open_target(struct applying *a)
{
	struct mail_change *c = a->c;
	if (c->copies > 0 && !c->has_target)
		return ERR_RANGE;
	if (c->anew) /* when nothing can be refused any more */
		return OK;
	if (!c->has_target) {
		a->to = c->appends > 0 ? &a->box : NULL;
	} else {
		enum err e = mbox_open(a->b, span_str(c->target_owner),
		    span_str(c->target_name), false, &a->target);
		if (e != OK)
			return e == ERR_NOT_FOUND ? ERR_EXISTS : e;
		a->to = a->target.number == a->box.number ? &a->box : &a->target;
	}
	if (a->to != NULL && a->to->record.uidnext > UINT32_MAX - MESSAGE_RCPT_MAX - 1 -
							 (c->acts + c->appends))
		return ERR_RANGE;
	return OK;
}

/* A mailbox is made for whoever picks up; making it writes, so for nobody whose request
 * may still be refused. */
static bool
may_make(const struct mail_change *c)
{
	return (c->anew || (c->pickup && !c->has_target)) && c->appends == 0 &&
	       c->keywords == 0 && c->copies == 0;
}

static enum err
open_all(struct applying *a)
{
	struct mail_change *c = a->c;
	if (c->notice != NULL && !message_storable(c->notice))
		return ERR_RANGE;
	enum err e = check_appends(c);
	if (e == OK && c->notice != NULL)
		e = drops_fit(a->b, c->notice->drop, c->notice->drops);
	if (e == OK && c->anew)
		e = may_be_made(
		    a->b, span_str(c->target_owner), span_str(c->target_name));
	if (e != OK)
		return e;
	e = c->number != 0 ? mbox_open_at(a->b, c->number, &a->box)
			   : mbox_open(a->b, span_str(c->owner), span_str(c->name),
				 may_make(c), &a->box);
	if (e == OK)
		e = open_target(a);
	if (e == OK)
		e = check_quota(a);
	return e == OK ? find_keywords(a) : e;
}

/* ---- all mails, into a mailbox of their own */

static enum err
make_target(struct applying *a)
{
	struct mail_change *c = a->c;
	struct span owner = span_str(c->target_owner), name = span_str(c->target_name);
	enum err e = make_above(a->b, owner, name);
	if (e == OK)
		e = mbox_open(a->b, owner, name, true, &a->target);
	a->to = &a->target;
	(void)FAULT("spool.mail.anew");
	return e;
}

/* What is damaged stays where it is. */
static enum err
move_all(struct applying *a)
{
	unsigned char key[KEY_MAIL];
	struct mail_act act = {.kind = ACT_MOVE};
	MDB_cursor *c;
	MDB_val k, v;
	enum err e = db_err(mdb_cursor_open(a->b->txn, a->b->spool->dbi[DB_MAIL], &c));
	if (e != OK)
		return e;
	while (e == OK && act.uid < UINT32_MAX) {
		mail_key_put(key, a->box.number, act.uid + 1);
		e = db_seek(c, key, KEY_MAIL, 4, &k, &v);
		if (e != OK)
			break;
		act.uid = (uint32_t)key_get((unsigned char *)k.mv_data + 4, 4);
		e = copy_mail(a, &act);
	}
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- all of it */

static enum err
run_act(struct applying *a, const struct mail_act *act)
{
	switch (act->kind) {
	case ACT_DELETE:
	case ACT_EXPUNGE: return run_delete(a, act);
	case ACT_FLAGS:
	case ACT_STORE: return store_flags(a, act);
	case ACT_COPY:
	case ACT_MOVE: break;
	}
	return copy_mail(a, act);
}

/* What is still to come is recent, whatever was asked for. */
static uint32_t
new_recent(const struct applying *a)
{
	uint32_t next = a->box.record.uidnext;
	return a->c->recent < next ? a->c->recent : next;
}

static enum err
close_all(struct applying *a)
{
	enum err e = a->damaged ? sum_again(a) : OK;
	if (e == OK)
		e = mbox_close(a->b, &a->box);
	if (e == OK && a->to == &a->target)
		e = mbox_close(a->b, &a->target);
	(void)FAULT("spool.mail.changed");
	return e;
}

static enum err
finish(struct applying *a, size_t first_event)
{
	struct mail_change *c = a->c;
	uint32_t recent = new_recent(a);
	if (c->pickup)
		a->box.pickup = world_wall(a->b->spool->world);
	if (recent > a->box.record.recent) {
		a->box.record.recent = recent;
		event_mailbox(
		    a->b, MAILBOX_RECENT, &a->box, recent, (struct span){NULL, 0});
	}
	events_in_order(a->b, first_event);
	enum err e = close_all(a);
	c->modseq = a->box.record.modseq;
	if (a->to != NULL)
		c->uidvalidity = a->to->record.uidvalidity;
	/* it may come into one of the mailboxes that were open */
	if (e == OK && a->deleted > 0 && c->notice != NULL)
		e = accept_message(a->b, c->notice, 0);
	return e;
}

enum err
apply_mail_change(struct batch *b, struct mail_change *c)
{
	struct applying *a =
	    NEW(struct applying); /* two mailboxes are much for a stack */
	*a = (struct applying){.b = b, .c = c, .later = c->deletions > FEW};
	size_t first_event = b->events;
	c->pairs = c->modifieds = 0;
	enum err e = open_all(a);
	if (e == OK && c->anew) {
		e = make_target(a);
		first_event = b->events;
		if (e == OK)
			e = move_all(a);
	}
	for (size_t i = 0; i < c->acts && e == OK; i++)
		e = run_act(a, &c->act[i]);
	if (e == OK)
		e = append_mails(a);
	bool nothing = a->changed == 0 && c->modifieds == 0 && !c->pickup && !c->anew &&
		       new_recent(a) <= a->box.record.recent;
	if (e == OK)
		e = nothing ? ERR_NOT_FOUND : finish(a, first_event);
	mem_free(&a);
	return e;
}
