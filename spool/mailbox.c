/* SPDX-License-Identifier: ISC */
/*
 * mailbox - what a mail writes inside the writer's transaction: its row, the
 * counters of its mailbox and of its owner, and its hold on the message's content.
 */
#include <string.h>

#include "base/mem.h"
#include "spool/private.h"

size_t
mbox_name_key(struct span owner, struct span name, char out[NAME_KEY_MAX])
{
	memcpy(out, owner.p, owner.n);
	out[owner.n] = '\0';
	if (name.n > 0)
		memcpy(out + owner.n + 1, name.p, name.n);
	return owner.n + 1 + name.n;
}

/* A number in `mboxname` has no checksum: another one would be somebody else's mailbox.
 */
bool
mbox_is(const struct mbox_record *m, struct span owner, struct span name)
{
	return span_eq(m->owner, owner) && span_eq(m->name, name);
}

/* ---- open and close */

enum err
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

/* What is read lies in a page that the next write may move: all of it is copied. */
static enum err
read_mbox(struct batch *b, uint32_t number, struct mbox *out)
{
	unsigned char n[4];
	struct span v;
	key_put(n, number, 4);
	out->number = number;
	enum err e = db_get(b->txn, b->spool->dbi[DB_MBOX], n, 4, &v);
	if (e == OK)
		e = record_get_mbox(v, &out->record);
	if (e != OK)
		return e;
	if (out->record.keywords.n > sizeof(out->keywords))
		return ERR_DAMAGED;
	out->keywords_n = out->record.keywords.n;
	if (out->keywords_n > 0)
		memcpy(out->keywords, out->record.keywords.p, out->keywords_n);
	span_copy(out->record.owner, out->owner_name, sizeof(out->owner_name));
	span_copy(out->record.name, out->name, sizeof(out->name));
	return OK;
}

/* UIDVALIDITY rises with each mailbox that is made, whatever the clock does
 * (RFC 9051 2.3.1.1). */
static enum err
make_mbox(
    struct batch *b, const char *key, size_t key_n, bool subscribed, struct mbox *out)
{
	char value[NAME_RECORD];
	int64_t now = world_wall(b->spool->world).ms / SECOND_MS;
	uint32_t validity = now > 0 && now < UINT32_MAX ? (uint32_t)now : 1;
	if (validity <= b->uidvalidity)
		validity = b->uidvalidity + 1;
	b->uidvalidity = validity;
	out->number = b->next_mbox++;
	out->record = (struct mbox_record){
	    .uidvalidity = validity, .uidnext = 1, .modseq = 1, .recent = 1};
	record_put_name(value, &(struct name_record){out->number, subscribed});
	return db_put(b->txn, b->spool->dbi[DB_MBOXNAME], key, key_n,
	    (struct span){value, sizeof(value)}, 0);
}

static void
settle_spans(struct mbox *m)
{
	m->record.owner = span_str(m->owner_name);
	m->record.name = span_str(m->name);
	m->record.keywords = (struct span){m->keywords, m->keywords_n};
}

enum err
mbox_open_at(struct batch *b, uint32_t number, struct mbox *out)
{
	*out = (struct mbox){0};
	enum err e = read_mbox(b, number, out);
	settle_spans(out);
	return e;
}

enum err
mbox_open(
    struct batch *b, struct span owner, struct span name, bool make, struct mbox *out)
{
	char key[NAME_KEY_MAX];
	struct name_record at = {0};
	struct span v;
	bool made = false;
	*out = (struct mbox){0};
	if (owner.n == 0 || owner.n > MAILBOX_OWNER_MAX || name.n == 0 ||
	    name.n > MAILBOX_NAME_MAX)
		return ERR_NOT_FOUND;
	size_t n = mbox_name_key(owner, name, key);
	enum err e = db_get(b->txn, b->spool->dbi[DB_MBOXNAME], key, n, &v);
	if (e == OK)
		e = record_get_name(v, &at);
	if (e == OK && at.number == 0)
		e = ERR_NOT_FOUND;
	if (e == OK) {
		e = read_mbox(b, at.number, out);
		if (e == OK && !mbox_is(&out->record, owner, name))
			e = ERR_DAMAGED; /* it is not for him */
	} else if (e == ERR_NOT_FOUND && make) {
		e = make_mbox(b, key, n, at.subscribed, out);
		made = true;
	}
	span_copy(owner, out->owner_name, sizeof(out->owner_name));
	span_copy(name, out->name, sizeof(out->name));
	settle_spans(out);
	if (e == OK && made)
		event_mailbox(b, MAILBOX_MADE, out, out->record.uidvalidity, name);
	return e;
}

/* The owner's sums are read anew: another mailbox of his may be open, too. */
static enum err
close_owner(struct batch *b, const struct mbox *m)
{
	struct owner_record o;
	enum err e = read_owner(b, span_str(m->owner_name), &o);
	if (e != OK)
		return e;
	int64_t messages = (int64_t)o.messages + m->messages,
		octets = (int64_t)o.octets + m->octets;
	o.messages = messages > 0 ? (uint64_t)messages : 0;
	o.octets = octets > 0 ? (uint64_t)octets : 0;
	if (m->pickup.ms != 0)
		o.last_pickup = m->pickup;
	struct usage_change now = {.now = {o.messages, o.octets, o.last_pickup}};
	buf_reset(&b->record);
	record_put_owner(&b->record, &o);
	e = db_put(b->txn, b->spool->dbi[DB_OWNER], m->owner_name, strlen(m->owner_name),
	    buf_span(&b->record), 0);
	span_copy(span_str(m->owner_name), now.owner, sizeof(now.owner));
	will_use(b, &now);
	return e;
}

enum err
mbox_close(struct batch *b, struct mbox *m)
{
	unsigned char n[4];
	enum err e = gone_flush(b, m);
	key_put(n, m->number, 4);
	settle_spans(m);
	buf_reset(&b->record);
	record_put_mbox(&b->record, &m->record);
	if (e == OK)
		e = db_put(b->txn, b->spool->dbi[DB_MBOX], n, 4, buf_span(&b->record), 0);
	if (e == OK)
		e = close_owner(b, m);
	m->messages = m->octets = 0;
	return e;
}

uint64_t
mbox_touch(struct mbox *m)
{
	m->record.modseq += !m->touched;
	m->touched = true;
	return m->record.modseq;
}

/* ---- sums */

static void
add_to(uint64_t *sum, int64_t n)
{
	*sum = n < 0 && *sum < (uint64_t)-n ? 0 : *sum + (uint64_t)n;
}

static void
count_one(struct mbox *m, const struct mail_record *mail, int sign)
{
	if (mail == NULL)
		return;
	int64_t size = sign * (int64_t)mail->size;
	add_to(&m->record.messages, sign);
	add_to(&m->record.octets, size);
	m->messages += sign;
	m->octets += size;
	add_to(&m->record.unseen, mail->flags & MAIL_SEEN ? 0 : sign);
	add_to(&m->record.deleted, mail->flags & MAIL_DELETED ? sign : 0);
}

void
mbox_count(
    struct mbox *m, const struct mail_record *before, const struct mail_record *after)
{
	count_one(m, before, -1);
	count_one(m, after, 1);
}

/* ---- keywords: their names, each with a NUL behind */

struct span
mbox_keyword_name(const struct mbox *m, size_t i)
{
	size_t at = 0;
	while (at < m->keywords_n) {
		struct span rest = {m->keywords + at, m->keywords_n - at};
		size_t n = span_find(rest, '\0');
		if (i-- == 0)
			return span_cut(rest, 0, n);
		at += n + 1;
	}
	return (struct span){NULL, 0};
}

size_t
mbox_keyword_count(const struct mbox *m)
{
	size_t n = 0;
	for (size_t i = 0; i < m->keywords_n; i++)
		n += m->keywords[i] == '\0';
	return n;
}

int
mbox_keyword(struct batch *b, struct mbox *m, struct span name, bool add)
{
	size_t n = 0;
	struct span has;
	for (; (has = mbox_keyword_name(m, n)).p != NULL; n++) {
		if (span_ieq(has, name))
			return (int)n;
	}
	if (!add || n >= MAILBOX_KEYWORDS_MAX || name.n == 0 ||
	    name.n > MAILBOX_KEYWORD_MAX)
		return -1;
	memcpy(m->keywords + m->keywords_n, name.p, name.n);
	m->keywords_n += name.n;
	m->keywords[m->keywords_n++] = '\0';
	event_mailbox(b, MAILBOX_KEYWORD, m, (uint32_t)n, name);
	return (int)n;
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

enum err
mbox_put_mail(
    struct batch *b, struct mbox *m, uint32_t uid, const struct mail_record *mail)
{
	unsigned char key[KEY_MAIL];
	mail_key_put(key, m->number, uid);
	buf_reset(&b->record);
	record_put_mail(&b->record, mail); /* copied before a page moves */
	b->work += MAIL_OVERHEAD;
	return db_put(
	    b->txn, b->spool->dbi[DB_MAIL], key, KEY_MAIL, buf_span(&b->record), 0);
}

static enum err
put_drop(struct batch *b, const struct message *m, const struct drop *d)
{
	struct mbox box;
	enum err e = mbox_open(b, d->owner, SPAN(MAILBOX_INBOX), true, &box);
	if (e != OK)
		return e;
	struct wall now = world_wall(b->spool->world);
	b->last_id = id_next(b->last_id, now, b->spool->node);
	struct mail_record mail = {
	    .id = b->last_id,
	    .origin = b->last_id,
	    .message = m->id,
	    .modseq = mbox_touch(&box),
	    .size =
		d->own.n + m->prefix.n + m->size + (m->flags & MESSAGE_NO_CRLF ? 2 : 0),
	    .arrival = now,
	    .internal = now,
	    .recipient = d->recipient,
	    .own = d->own,
	};
	uint32_t uid = box.record.uidnext++;
	mbox_count(&box, NULL, &mail);
	e = mbox_put_mail(b, &box, uid, &mail);
	event_mail(b, MAIL_CAME, &box, uid, &mail);
	b->bytes += MAIL_OVERHEAD;
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
