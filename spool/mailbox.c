/* SPDX-License-Identifier: ISC */
/*
 * mailbox - what a mail writes inside the writer's transaction: its row, the
 * counters of its mailbox and of its owner, and its hold on the message's content.
 */
#include <string.h>

#include "base/mem.h"
#include "spool/private.h"

static size_t
name_key(struct span owner, struct span name, char out[])
{
	memcpy(out, owner.p, owner.n);
	out[owner.n] = '\0';
	memcpy(out + owner.n + 1, name.p, name.n);
	return owner.n + 1 + name.n;
}
#define NAME_KEY_MAX (MAILBOX_OWNER_MAX + 1 + MAILBOX_NAME_MAX)

/* ---- open and close */

static enum err
read_owner(struct batch *b, struct span owner, struct owner_record *out)
{
	struct span v;
	*out = (struct owner_record){0};
	enum err e = db_get(b->txn, b->spool->dbi[DB_OWNER], owner.p, owner.n, &v);
	if (e == ERR_NOT_FOUND)
		return OK;
	/* one that is damaged counts anew from nothing; spool_check tells of it */
	if (e == OK && record_get_owner(v, out) != OK)
		*out = (struct owner_record){0};
	return e;
}

static enum err
read_mbox(struct batch *b, uint32_t number, struct mbox *out)
{
	unsigned char n[4];
	struct span v;
	key_put(n, number, 4);
	enum err e = db_get(b->txn, b->spool->dbi[DB_MBOX], n, 4, &v);
	return e == OK ? record_get_mbox(v, &out->record) : e;
}

/* UIDVALIDITY rises with each mailbox that is made, whatever the clock does
 * (RFC 9051 2.3.1.1). */
static enum err
make_mbox(struct batch *b, const char *key, size_t key_n, struct mbox *out)
{
	unsigned char n[4];
	int64_t now = world_wall(b->spool->world).ms / SECOND_MS;
	uint32_t validity = now > 0 && now < UINT32_MAX ? (uint32_t)now : 1;
	if (validity <= b->uidvalidity)
		validity = b->uidvalidity + 1;
	b->uidvalidity = validity;
	out->number = b->next_mbox++;
	out->record =
	    (struct mbox_record){.uidvalidity = validity, .uidnext = 1, .modseq = 1};
	key_put(n, out->number, 4);
	return db_put(b->txn, b->spool->dbi[DB_MBOXNAME], key, key_n,
	    (struct span){(char *)n, 4}, 0);
}

enum err
mbox_open(
    struct batch *b, struct span owner, struct span name, bool make, struct mbox *out)
{
	char key[NAME_KEY_MAX];
	struct span v;
	size_t n = name_key(owner, name, key);
	*out = (struct mbox){0};
	enum err e = db_get(b->txn, b->spool->dbi[DB_MBOXNAME], key, n, &v);
	if (e == OK && v.n != 4)
		return ERR_DAMAGED;
	if (e == OK) {
		out->number = (uint32_t)key_get((const unsigned char *)v.p, 4);
		e = read_mbox(b, out->number, out);
	} else if (e == ERR_NOT_FOUND && make) {
		e = make_mbox(b, key, n, out);
	}
	if (e == OK)
		e = read_owner(b, owner, &out->owner);
	span_copy(owner, out->owner_name, sizeof(out->owner_name));
	span_copy(name, out->name, sizeof(out->name));
	out->record.owner = span_str(out->owner_name);
	out->record.name = span_str(out->name);
	return e;
}

enum err
mbox_close(struct batch *b, const struct mbox *m)
{
	unsigned char n[4];
	struct usage_change now = {
	    .now = {m->owner.messages, m->owner.octets, m->owner.last_pickup}};
	key_put(n, m->number, 4);
	buf_reset(&b->record);
	record_put_mbox(&b->record, &m->record);
	enum err e =
	    db_put(b->txn, b->spool->dbi[DB_MBOX], n, 4, buf_span(&b->record), 0);
	buf_reset(&b->record);
	record_put_owner(&b->record, &m->owner);
	if (e == OK)
		e = db_put(b->txn, b->spool->dbi[DB_OWNER], m->owner_name,
		    strlen(m->owner_name), buf_span(&b->record), 0);
	span_copy(span_str(m->owner_name), now.owner, sizeof(now.owner));
	will_use(b, &now);
	return e;
}

/* ---- mails */

bool
drop_storable(const struct drop *d)
{
	return d->owner.n > 0 && d->owner.n <= MAILBOX_OWNER_MAX &&
	       memchr(d->owner.p, '\0', d->owner.n) == NULL &&
	       d->own.n <= MAIL_PREFIX_MAX && d->recipient.n <= MAIL_PREFIX_MAX;
}

enum err
drops_fit(struct batch *b, const struct drop *drop, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct mbox m;
		enum err e = mbox_open(b, drop[i].owner, SPAN(MAILBOX_INBOX), false, &m);
		if (e == OK && m.record.uidnext > UINT32_MAX - MESSAGE_RCPT_MAX - 1)
			return ERR_RANGE;
		if (e != OK && e != ERR_NOT_FOUND)
			return e;
	}
	return OK;
}

static enum err
put_drop(struct batch *b, const struct message *m, const struct drop *d)
{
	struct mbox box;
	unsigned char key[KEY_MAIL];
	enum err e = mbox_open(b, d->owner, SPAN(MAILBOX_INBOX), true, &box);
	if (e != OK)
		return e;
	struct wall now = world_wall(b->spool->world);
	b->last_id = id_next(b->last_id, now, b->spool->node);
	struct mail_record mail = {
	    .id = b->last_id,
	    .message = m->id,
	    .modseq = ++box.record.modseq,
	    .size =
		d->own.n + m->prefix.n + m->size + (m->flags & MESSAGE_NO_CRLF ? 2 : 0),
	    .arrival = now,
	    .recipient = d->recipient,
	    .own = d->own,
	};
	mail_key_put(key, box.number, box.record.uidnext++);
	box.record.messages++;
	box.record.octets += mail.size;
	box.owner.messages++;
	box.owner.octets += mail.size;
	buf_reset(&b->record);
	record_put_mail(&b->record, &mail);
	e = db_put(
	    b->txn, b->spool->dbi[DB_MAIL], key, KEY_MAIL, buf_span(&b->record), 0);
	b->bytes += MAIL_OVERHEAD;
	b->work += MAIL_OVERHEAD;
	return e == OK ? mbox_close(b, &box) : e;
}

enum err
put_drops(struct batch *b, const struct message *m, const struct drop *drop, size_t n)
{
	enum err e = n > 0 ? hold_message(b, m->id, (uint32_t)n) : OK;
	for (size_t i = 0; i < n && e == OK; i++)
		e = put_drop(b, m, &drop[i]);
	return e;
}
