/* SPDX-License-Identifier: ISC */
/* mail_change - what an owner does with mail: built by one thread, applied by the writer.
 */
#include <string.h>

#include "base/mem.h"
#include "spool/private.h"

#define FEW 64 /* deletions whose content goes in the same transaction */

struct mail_act {
	uint32_t uid;
	uint32_t set, clear;
	bool delete;
};

struct mail_change {
	char owner[MAILBOX_OWNER_MAX + 1], name[MAILBOX_NAME_MAX + 1];
	struct mail_act *act;
	size_t acts, cap, deletions;
	bool pickup;
	struct message *notice;
};

struct mail_change *
mail_change_new(struct span owner, struct span name)
{
	struct mail_change *c = NEW(struct mail_change);
	span_copy(owner, c->owner, sizeof(c->owner));
	span_copy(name, c->name, sizeof(c->name));
	return c;
}

void
mail_change_free(struct mail_change **cp)
{
	struct mail_change *c = *cp;
	if (c == NULL)
		return;
	message_unref(&c->notice);
	mem_free(&c->act);
	mem_free(cp);
}

static void
add(struct mail_change *c, const struct mail_act *a)
{
	if (c->acts == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 16;
		c->act = mem_resize(c->act, c->cap, sizeof(*c->act));
	}
	c->act[c->acts++] = *a;
}

void
mail_change_delete(struct mail_change *c, uint32_t uid)
{
	add(c, &(struct mail_act){.uid = uid, .delete = true});
	c->deletions++;
}

void
mail_change_flags(struct mail_change *c, uint32_t uid, uint32_t set, uint32_t clear)
{
	add(c, &(struct mail_act){.uid = uid, .set = set, .clear = clear});
}

void
mail_change_pickup(struct mail_change *c)
{
	c->pickup = true;
}

void
mail_change_notice(struct mail_change *c, struct message *notice)
{
	message_unref(&c->notice);
	c->notice = notice;
}

struct message *
mail_change_get_notice(const struct mail_change *c)
{
	return c->notice;
}

/* ---- in the writer's transaction */

struct deletion {
	bool later;   /* content goes in slices */
	bool damaged; /* a row that did not say what it held: the sums are made anew */
	size_t n;
};

static enum err
delete_mail(struct batch *b, struct mbox *box, const unsigned char *key,
    const struct mail_record *mail, bool later)
{
	uint64_t id = mail->id, message = mail->message, size = mail->size;
	enum err e = db_del(b->txn, b->spool->dbi[DB_MAIL], key, KEY_MAIL);
	box->record.messages -= box->record.messages > 0;
	box->record.octets -= size < box->record.octets ? size : box->record.octets;
	box->owner.messages -= box->owner.messages > 0;
	box->owner.octets -= size < box->owner.octets ? size : box->owner.octets;
	b->bytes -= MAIL_OVERHEAD;
	b->work += MAIL_OVERHEAD;
	if (e != OK || message == 0)
		return e;
	return later ? release_later(b, id, message) : release_message(b, message);
}

static enum err
flag_mail(struct batch *b, struct mbox *box, const unsigned char *key,
    const struct mail_record *old, const struct mail_act *a)
{
	struct mail_record mail = *old;
	uint32_t flags = (mail.flags & ~a->clear) | a->set;
	if (flags == mail.flags)
		return OK;
	if ((flags & MAIL_PICKED) && !(mail.flags & MAIL_PICKED))
		mail.picked = world_wall(b->spool->world);
	mail.flags = flags;
	mail.modseq = ++box->record.modseq;
	buf_reset(&b->record);
	record_put_mail(&b->record, &mail); /* copied before the page moves */
	b->work += MAIL_OVERHEAD;
	return db_put(
	    b->txn, b->spool->dbi[DB_MAIL], key, KEY_MAIL, buf_span(&b->record), 0);
}

static enum err
apply_act(struct batch *b, struct mbox *box, const struct mail_act *a, struct deletion *d)
{
	unsigned char key[KEY_MAIL];
	struct mail_record mail = {0};
	struct span v;
	mail_key_put(key, box->number, a->uid);
	enum err e = db_get(b->txn, b->spool->dbi[DB_MAIL], key, KEY_MAIL, &v);
	if (e != OK)
		return e == ERR_NOT_FOUND ? OK : e;
	if (record_get_mail(v, &mail) != OK) {
		/* a damaged row can go, but says of no content that it holds it */
		mail = (struct mail_record){0};
		if (!a->delete)
			return OK;
		d->damaged = true;
	}
	if (!a->delete)
		return flag_mail(b, box, key, &mail, a);
	d->n++;
	return delete_mail(b, box, key, &mail, d->later);
}

static enum err
sum_again(struct batch *b, struct mbox *box)
{
	unsigned char key[KEY_MAIL];
	uint64_t messages = 0, octets = 0;
	MDB_cursor *c;
	MDB_val k, v;
	mail_key_put(key, box->number, 0);
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_MAIL], &c));
	if (e != OK)
		return e;
	for (e = db_seek(c, key, KEY_MAIL, 4, &k, &v); e == OK;
	     e = db_next(c, key, 4, &k, &v)) {
		struct mail_record m = {0};
		messages++;
		if (record_get_mail((struct span){v.mv_data, v.mv_size}, &m) == OK)
			octets += m.size;
	}
	mdb_cursor_close(c);
	box->owner.messages += messages - box->record.messages;
	box->owner.octets += octets - box->record.octets;
	box->record.messages = messages;
	box->record.octets = octets;
	return e == ERR_NOT_FOUND ? OK : e;
}

enum err
apply_mail_change(struct batch *b, const struct mail_change *c)
{
	struct mbox box;
	struct deletion d = {.later = c->deletions > FEW};
	if (c->notice != NULL && !message_storable(c->notice))
		return ERR_RANGE;
	enum err e = mbox_open(b, span_str(c->owner), span_str(c->name), c->pickup, &box);
	uint64_t before = box.record.modseq;
	for (size_t i = 0; i < c->acts && e == OK; i++)
		e = apply_act(b, &box, &c->act[i], &d);
	if (e != OK)
		return e;
	if (d.n == 0 && box.record.modseq == before && !c->pickup)
		return ERR_NOT_FOUND;
	if (c->pickup)
		box.owner.last_pickup = world_wall(b->spool->world);
	box.record.modseq += d.n > 0;
	if (d.damaged)
		e = sum_again(b, &box);
	if (e == OK && d.n > 0 && c->notice != NULL)
		e = accept_message(b, c->notice);
	return e == OK ? mbox_close(b, &box) : e;
}

/* ---- an owner goes */

/* The first mailbox of an owner; its name is put into name. */
static enum err
first_mbox(struct batch *b, struct span owner, char name[MAILBOX_NAME_MAX + 1])
{
	char prefix[MAILBOX_OWNER_MAX + 1];
	MDB_cursor *c;
	MDB_val k, v;
	memcpy(prefix, owner.p, owner.n);
	prefix[owner.n] = '\0';
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_MBOXNAME], &c));
	if (e != OK)
		return e;
	e = db_seek(c, prefix, owner.n + 1, owner.n + 1, &k, &v);
	if (e == OK)
		span_copy((struct span){(char *)k.mv_data + owner.n + 1,
			      k.mv_size - owner.n - 1},
		    name, MAILBOX_NAME_MAX + 1);
	mdb_cursor_close(c);
	return e;
}

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
		e = db_err(mdb_cursor_del(c, 0));
		b->bytes -= MAIL_OVERHEAD;
		b->work += MAIL_OVERHEAD;
		if (e == OK && message != 0)
			e = release_later(b, id, message);
	}
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

static enum err
delete_mbox(struct batch *b, struct span owner, const char *name)
{
	char key[MAILBOX_OWNER_MAX + 1 + MAILBOX_NAME_MAX + 1];
	unsigned char n[4];
	struct mbox box;
	enum err e = mbox_open(b, owner, span_str(name), false, &box);
	if (e != OK)
		return e;
	e = delete_mails(b, &box);
	key_put(n, box.number, 4);
	if (e == OK)
		e = db_del(b->txn, b->spool->dbi[DB_MBOX], n, 4);
	memcpy(key, owner.p, owner.n);
	key[owner.n] = '\0';
	memcpy(key + owner.n + 1, name, strlen(name));
	if (e == OK)
		e = db_del(
		    b->txn, b->spool->dbi[DB_MBOXNAME], key, owner.n + 1 + strlen(name));
	return e;
}

enum err
apply_owner_delete(struct batch *b, struct span owner)
{
	char name[MAILBOX_NAME_MAX + 1];
	struct usage_change gone = {.gone = true};
	struct span v;
	if (owner.n == 0)
		return ERR_RANGE;
	enum err e = db_get(b->txn, b->spool->dbi[DB_OWNER], owner.p, owner.n, &v);
	if (e != OK)
		return e;
	while (e == OK && (e = first_mbox(b, owner, name)) == OK)
		e = delete_mbox(b, owner, name);
	if (e == ERR_NOT_FOUND)
		e = db_del(b->txn, b->spool->dbi[DB_OWNER], owner.p, owner.n);
	span_copy(owner, gone.owner, sizeof(gone.owner));
	will_use(b, &gone);
	return e;
}
