/* SPDX-License-Identifier: ISC */
/*
 * mailbox_change - mailboxes are made, removed, subscribed to; an owner goes with all
 * that he has.  Renaming is mailbox_rename.c, the rows of names mailbox_name.c,
 * annotations note.c.
 */
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "spool/mailbox_change_private.h"

/* ---- requests with their own memory */

struct mailbox_order {
	struct mailbox_request q;
	struct buf memory;
};

static struct span
place(const struct mailbox_order *o, size_t *at, struct span s)
{
	struct span here = {o->memory.p + *at, s.n};
	*at += s.n;
	return s.p != NULL ? here : s;
}

struct mailbox_order *
mailbox_order_new(const struct mailbox_request *q)
{
	struct mailbox_order *o = NEW(struct mailbox_order);
	const struct span part[] = {q->owner, q->name, q->to, q->entry, q->value};
	size_t at = 0;
	o->q = *q;
	buf_init(&o->memory, 0);
	buf_add_char(&o->memory, '\0'); /* so that there are octets to point to */
	for (size_t i = 0; i < COUNT_OF(part); i++)
		buf_add_span(&o->memory, part[i]);
	at = 1;
	o->q.owner = place(o, &at, q->owner);
	o->q.name = place(o, &at, q->name);
	o->q.to = place(o, &at, q->to);
	o->q.entry = place(o, &at, q->entry);
	o->q.value = place(o, &at, q->value);
	return o;
}

void
mailbox_order_free(struct mailbox_order **op)
{
	struct mailbox_order *o = *op;
	if (o == NULL)
		return;
	buf_clear(&o->memory);
	mem_free(op);
}

/* ---- make */

enum err
may_be_made(struct batch *b, struct span owner, struct span name)
{
	struct name_record r;
	size_t missing = 0;
	if (!new_name_ok(name))
		return ERR_RANGE;
	enum err e = get_name(b, owner, name, &r);
	if (e == OK && r.number != 0)
		return ERR_EXISTS;
	if (e != OK && e != ERR_NOT_FOUND)
		return e;
	e = count_missing(b, owner, name, false, &missing);
	return e == OK ? room_for(b, owner, missing) : e;
}

static enum err
create(struct batch *b, const struct mailbox_request *q)
{
	struct name_record r;
	enum err e = may_be_made(b, q->owner, q->name);
	if (e == OK)
		e = make_above(b, q->owner, q->name);
	if (e == OK)
		e = make_one(b, q->owner, q->name, q->use);
	if (e == OK && q->subscribe)
		e = get_name(b, q->owner, q->name, &r);
	if (e == OK && q->subscribe)
		e = set_subscribed(b, q, &r, true);
	(void)FAULT("spool.mailbox.made");
	return e;
}

/* ---- remove */

static enum err
delete_mails(struct batch *b, struct mbox *box)
{
	unsigned char prefix[KEY_MAIL];
	MDB_cursor *c;
	MDB_val k, v;
	mail_key_put(prefix, box->number, 0);
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_MAIL], &c));
	if (e != OK)
		return e;
	while (e == OK && (e = db_seek(c, prefix, KEY_MAIL, 4, &k, &v)) == OK) {
		struct mail_record mail = {0};
		if (record_get_mail((struct span){v.mv_data, v.mv_size}, &mail) != OK)
			mail = (struct mail_record){0};
		uint64_t id = mail.id, message = mail.message;
		mbox_count(box, &mail, NULL);
		e = db_err(mdb_cursor_del(c, 0));
		b->bytes -= MAIL_OVERHEAD;
		b->work += MAIL_OVERHEAD;
		if (e == OK && message != 0)
			e = release_later(b, id, message);
	}
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

enum err
delete_mbox(struct batch *b, struct span owner, const char *name)
{
	unsigned char n[4];
	struct mbox box;
	enum err e = mbox_open(b, owner, span_str(name), false, &box);
	if (e != OK)
		return e;
	/* sums that a damaged row has spoiled do not stay with the owner */
	int64_t messages = (int64_t)box.record.messages,
		octets = (int64_t)box.record.octets;
	e = delete_mails(b, &box);
	box.messages = -messages;
	box.octets = -octets;
	if (e == OK)
		e = mbox_close(b, &box); /* the owner's sums */
	key_put(n, box.number, 4);
	if (e == OK)
		e = db_del(b->txn, b->spool->dbi[DB_MBOX], n, 4);
	if (e == OK)
		e = gone_delete_all(b, box.number);
	if (e == OK)
		e = delete_notes(b, owner, span_str(name), false);
	event_mailbox(b, MAILBOX_REMOVED, &box, 0, span_str(name));
	(void)FAULT("spool.mailbox.removed");
	return e;
}

static enum err
remove_name(struct batch *b, const struct mailbox_request *q)
{
	char name[MAILBOX_NAME_MAX + 1];
	struct name_record r;
	enum err e = get_name(b, q->owner, q->name, &r);
	if (e == OK && r.number == 0)
		return ERR_NOT_FOUND;
	if (e != OK)
		return e;
	span_copy(q->name, name, sizeof(name));
	e = delete_mbox(b, q->owner, name);
	r.number = 0; /* a subscription stays (RFC 9051 6.3.7) */
	return e == OK ? put_name(b, q->owner, q->name, &r) : e;
}

/* ---- subscriptions */

static enum err
subscribe(struct batch *b, const struct mailbox_request *q, bool on)
{
	struct name_record r;
	enum err e = get_name(b, q->owner, q->name, &r);
	if (e == ERR_NOT_FOUND)
		e = on ? room_for(b, q->owner, 1) : OK;
	return e == OK ? set_subscribed(b, q, &r, on) : e;
}

/* ---- requests */

enum err
apply_mailbox(struct batch *b, const struct mailbox_order *o)
{
	const struct mailbox_request *q = &o->q;
	if (q->owner.n == 0 || q->owner.n > MAILBOX_OWNER_MAX ||
	    memchr(q->owner.p, '\0', q->owner.n) != NULL ||
	    (q->act != MAILBOX_NOTE && !name_ok(q->name)) || q->name.n > MAILBOX_NAME_MAX)
		return ERR_RANGE;
	switch (q->act) {
	case MAILBOX_CREATE: return create(b, q);
	case MAILBOX_DELETE: return remove_name(b, q);
	case MAILBOX_RENAME: return rename_mailboxes(b, q);
	case MAILBOX_SUBSCRIBE: return subscribe(b, q, true);
	case MAILBOX_UNSUBSCRIBE: return subscribe(b, q, false);
	case MAILBOX_NOTE: break;
	}
	return apply_note(b, q);
}

/* ---- an owner goes */

/* By mail, or by no more than a name or an annotation. */
static enum err
is_known(struct batch *b, struct span owner)
{
	char name[MAILBOX_NAME_MAX + 1];
	struct name_record r;
	struct span v;
	size_t notes = 0;
	enum err e = db_get(b->txn, b->spool->dbi[DB_OWNER], owner.p, owner.n, &v);
	if (e == ERR_NOT_FOUND)
		e = next_name(b, owner, SPAN(""), name, &r);
	if (e != ERR_NOT_FOUND)
		return e;
	e = count_notes(b, owner, &notes);
	return e == OK && notes == 0 ? ERR_NOT_FOUND : e;
}

static enum err
delete_name(struct batch *b, const struct mailbox_request *q, struct name_record *r)
{
	char name[MAILBOX_NAME_MAX + 1];
	span_copy(q->name, name, sizeof(name));
	enum err e = r->number != 0 ? delete_mbox(b, q->owner, name) : OK;
	if (e == OK && r->subscribed)
		e = set_subscribed(b, q, r, false);
	r->number = 0;
	return e == OK ? put_name(b, q->owner, q->name, r) : e;
}

enum err
apply_owner_delete(struct batch *b, struct span owner)
{
	char name[MAILBOX_NAME_MAX + 1] = "";
	struct usage_change gone = {.gone = true};
	struct name_record r;
	if (owner.n == 0)
		return ERR_RANGE;
	enum err e = is_known(b, owner);
	if (e != OK)
		return e;
	while (e == OK && (e = next_name(b, owner, SPAN(""), name, &r)) == OK) {
		struct mailbox_request q = {.owner = owner, .name = span_str(name)};
		e = delete_name(b, &q, &r);
	}
	if (e == ERR_NOT_FOUND)
		e = delete_notes(b, owner, SPAN(""), true);
	if (e == OK)
		e = db_del(b->txn, b->spool->dbi[DB_OWNER], owner.p, owner.n);
	span_copy(owner, gone.owner, sizeof(gone.owner));
	will_use(b, &gone);
	return e;
}
