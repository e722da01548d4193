/* SPDX-License-Identifier: ISC */
/* record - encoding and decoding; decode(encode(x)) = x. */
#include "spool/record.h"

#include <stddef.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"

#define HEAD 5 /* version, crc */

/* ---- numbers */

static void
put_n(struct buf *b, uint64_t v, size_t bytes)
{
	unsigned char p[8];
	for (size_t i = 0; i < bytes; i++)
		p[i] = (unsigned char)(v >> (8 * i));
	buf_add(b, p, bytes);
}

static void
put_span(struct buf *b, struct span s)
{
	put_n(b, s.n, 4);
	buf_add_span(b, s);
}

/* A bounded reader that remembers having failed. */
struct reader {
	struct span rest;
	bool bad;
};

static uint64_t
get_n(struct reader *r, size_t bytes)
{
	uint64_t v = 0;
	if (r->bad || r->rest.n < bytes) {
		r->bad = true;
		return 0;
	}
	for (size_t i = 0; i < bytes; i++)
		v |= (uint64_t)(unsigned char)r->rest.p[i] << (8 * i);
	r->rest = span_cut(r->rest, bytes, r->rest.n);
	return v;
}

static struct span
get_span(struct reader *r)
{
	uint64_t n = get_n(r, 4);
	if (r->bad || n > r->rest.n) {
		r->bad = true;
		return (struct span){"", 0};
	}
	struct span s = span_cut(r->rest, 0, (size_t)n);
	r->rest = span_cut(r->rest, (size_t)n, r->rest.n);
	return s;
}

/* ---- frame */

static size_t
begin(struct buf *b)
{
	size_t at = b->n;
	put_n(b, RECORD_VERSION, 1);
	put_n(b, 0, 4);
	return at;
}

static void
end(struct buf *b, size_t at)
{
	if (b->overflow)
		return;
	uint32_t crc = crc32c(0, b->p + at + HEAD, b->n - at - HEAD);
	for (size_t i = 0; i < 4; i++)
		b->p[at + 1 + i] = (char)(crc >> (8 * i));
}

static struct reader
open_record(struct span value)
{
	struct reader r = {.rest = value};
	uint64_t version = get_n(&r, 1);
	uint64_t crc = get_n(&r, 4);
	if (r.bad || version != RECORD_VERSION || crc32c(0, r.rest.p, r.rest.n) != crc)
		r.bad = true;
	return r;
}

/* ---- message */

void
record_put_message(struct buf *b, const struct message *m, const struct message_extra *x)
{
	size_t at = begin(b);
	put_n(b, m->flags, 4);
	put_n(b, m->warned, 1);
	put_n(b, (uint64_t)m->arrival.ms, 8);
	put_n(b, m->size, 8);
	put_n(b, m->file, 8);
	put_n(b, m->crc, 4);
	put_n(b, x->chunks, 2);
	put_n(b, x->rcpts_total, 2);
	put_span(b, m->sender);
	put_span(b, m->envid);
	put_span(b, m->client);
	put_span(b, m->helo);
	put_span(b, m->protocol);
	put_span(b, m->listener);
	put_span(b, m->account);
	put_span(b, m->prefix);
	end(b, at);
}

static void
get_numbers(struct reader *r, struct message *m, struct message_extra *x)
{
	m->flags = (uint32_t)get_n(r, 4);
	m->warned = get_n(r, 1) != 0;
	m->arrival.ms = (int64_t)get_n(r, 8);
	m->size = get_n(r, 8);
	m->file = get_n(r, 8);
	m->crc = (uint32_t)get_n(r, 4);
	x->chunks = (uint16_t)get_n(r, 2);
	x->rcpts_total = (uint16_t)get_n(r, 2);
}

enum err
record_get_message(struct span value, struct message *m, struct message_extra *x)
{
	struct reader r = open_record(value);
	get_numbers(&r, m, x);
	struct span *const field[] = {&m->sender, &m->envid, &m->client, &m->helo,
	    &m->protocol, &m->listener, &m->account, &m->prefix};
	for (size_t i = 0; i < COUNT_OF(field); i++)
		*field[i] = message_keep(m, get_span(&r));
	return r.bad ? ERR_DAMAGED : OK;
}

enum err
record_get_sizes(
    struct span value, uint64_t *size, uint64_t *file, struct message_extra *x)
{
	struct message m = {0};
	struct reader r = open_record(value);
	get_numbers(&r, &m, x);
	*size = m.size;
	*file = m.file;
	return r.bad ? ERR_DAMAGED : OK;
}

/* ---- recipient */

void
record_put_rcpt(struct buf *b, const struct recipient *r)
{
	size_t at = begin(b);
	put_n(b, (uint64_t)r->state, 1);
	put_n(b, r->notify, 1);
	put_n(b, r->attempts, 4);
	put_n(b, (uint64_t)r->due.ms, 8);
	put_n(b, (uint64_t)r->first_try.ms, 8);
	put_n(b, (uint64_t)r->last_try.ms, 8);
	put_span(b, r->address);
	put_span(b, r->orcpt);
	put_span(b, r->reply);
	put_span(b, r->host);
	end(b, at);
}

enum err
record_get_rcpt(struct span value, struct recipient *r)
{
	struct reader in = open_record(value);
	uint64_t state = get_n(&in, 1);
	if (state > RECIPIENT_ASIDE)
		in.bad = true;
	r->state = (enum recipient_state)(in.bad ? RECIPIENT_ASIDE : state);
	r->notify = (uint8_t)get_n(&in, 1);
	r->attempts = (uint32_t)get_n(&in, 4);
	r->due.ms = (int64_t)get_n(&in, 8);
	r->first_try.ms = (int64_t)get_n(&in, 8);
	r->last_try.ms = (int64_t)get_n(&in, 8);
	r->address = get_span(&in);
	r->orcpt = get_span(&in);
	r->reply = get_span(&in);
	r->host = get_span(&in);
	return in.bad ? ERR_DAMAGED : OK;
}

enum lane
lane_of(enum recipient_state s)
{
	switch (s) {
	case RECIPIENT_HELD: return LANE_HELD;
	case RECIPIENT_ASIDE: return LANE_ASIDE;
	case RECIPIENT_WAITING: break;
	}
	return LANE_READY;
}

/* ---- mailboxes */

void
record_put_mail(struct buf *b, const struct mail_record *m)
{
	size_t at = begin(b);
	put_n(b, m->id, 8);
	put_n(b, m->message, 8);
	put_n(b, m->modseq, 8);
	put_n(b, m->size, 8);
	put_n(b, m->flags, 4);
	put_n(b, (uint64_t)m->arrival.ms, 8);
	put_n(b, (uint64_t)m->picked.ms, 8);
	put_span(b, m->recipient);
	put_span(b, m->own);
	put_n(b, m->keywords, 8);
	put_n(b, m->origin, 8);
	put_n(b, (uint64_t)m->internal.ms, 8);
	put_n(b, (uint64_t)(int64_t)m->zone, 2);
	end(b, at);
}

enum err
record_get_mail(struct span value, struct mail_record *m)
{
	struct reader r = open_record(value);
	m->id = get_n(&r, 8);
	m->message = get_n(&r, 8);
	m->modseq = get_n(&r, 8);
	m->size = get_n(&r, 8);
	m->flags = (uint32_t)get_n(&r, 4);
	m->arrival.ms = (int64_t)get_n(&r, 8);
	m->picked.ms = (int64_t)get_n(&r, 8);
	m->recipient = get_span(&r);
	m->own = get_span(&r);
	if (r.bad || r.rest.n == 0) {
		m->keywords = 0;
		m->origin = m->id;
		m->internal = m->arrival;
		m->zone = 0;
		return r.bad ? ERR_DAMAGED : OK;
	}
	m->keywords = get_n(&r, 8);
	m->origin = get_n(&r, 8);
	m->internal.ms = (int64_t)get_n(&r, 8);
	m->zone = (int16_t)get_n(&r, 2);
	return r.bad ? ERR_DAMAGED : OK;
}

void
record_put_mbox(struct buf *b, const struct mbox_record *m)
{
	size_t at = begin(b);
	put_n(b, m->uidvalidity, 4);
	put_n(b, m->uidnext, 4);
	put_n(b, m->modseq, 8);
	put_n(b, m->messages, 8);
	put_n(b, m->octets, 8);
	put_span(b, m->owner);
	put_span(b, m->name);
	put_n(b, m->unseen, 8);
	put_n(b, m->deleted, 8);
	put_n(b, m->gone_since, 8);
	put_n(b, m->recent, 4);
	put_n(b, m->gones, 4);
	put_n(b, m->use, 1);
	put_span(b, m->keywords);
	end(b, at);
}

enum err
record_get_mbox(struct span value, struct mbox_record *m)
{
	struct reader r = open_record(value);
	m->uidvalidity = (uint32_t)get_n(&r, 4);
	m->uidnext = (uint32_t)get_n(&r, 4);
	m->modseq = get_n(&r, 8);
	m->messages = get_n(&r, 8);
	m->octets = get_n(&r, 8);
	m->owner = get_span(&r);
	m->name = get_span(&r);
	m->counted = !r.bad && r.rest.n > 0;
	if (!m->counted)
		return r.bad ? ERR_DAMAGED : OK;
	m->unseen = get_n(&r, 8);
	m->deleted = get_n(&r, 8);
	m->gone_since = get_n(&r, 8);
	m->recent = (uint32_t)get_n(&r, 4);
	m->gones = (uint32_t)get_n(&r, 4);
	m->use = (uint8_t)get_n(&r, 1);
	m->keywords = get_span(&r);
	return r.bad ? ERR_DAMAGED : OK;
}

void
record_put_name(char out[NAME_RECORD], const struct name_record *n)
{
	key_put((unsigned char *)out, n->number, 4);
	out[4] = n->subscribed ? 1 : 0;
}

enum err
record_get_name(struct span value, struct name_record *n)
{
	*n = (struct name_record){0};
	if (value.n != 4 && value.n != NAME_RECORD)
		return ERR_DAMAGED;
	n->number = (uint32_t)key_get((const unsigned char *)value.p, 4);
	n->subscribed = value.n == NAME_RECORD && value.p[4] != 0;
	return OK;
}

void
record_put_octets(struct buf *b, struct span octets)
{
	size_t at = begin(b);
	buf_add_span(b, octets);
	end(b, at);
}

enum err
record_get_octets(struct span value, struct span *octets)
{
	struct reader r = open_record(value);
	*octets = r.rest;
	return r.bad ? ERR_DAMAGED : OK;
}

enum err
record_get_front(struct span value, struct front_record *f)
{
	struct message m = {0};
	struct message_extra x;
	struct reader r = open_record(value);
	get_numbers(&r, &m, &x);
	for (size_t i = 0; i < 7; i++)
		(void)get_span(&r);
	*f = (struct front_record){m.flags, m.size, x.chunks, get_span(&r)};
	return r.bad ? ERR_DAMAGED : OK;
}

void
record_put_owner(struct buf *b, const struct owner_record *o)
{
	size_t at = begin(b);
	put_n(b, o->messages, 8);
	put_n(b, o->octets, 8);
	put_n(b, (uint64_t)o->last_pickup.ms, 8);
	end(b, at);
}

enum err
record_get_owner(struct span value, struct owner_record *o)
{
	struct reader r = open_record(value);
	o->messages = get_n(&r, 8);
	o->octets = get_n(&r, 8);
	o->last_pickup.ms = (int64_t)get_n(&r, 8);
	return r.bad ? ERR_DAMAGED : OK;
}

/* ---- keys */

void
mail_key_put(unsigned char p[KEY_MAIL], uint32_t mailbox, uint32_t uid)
{
	key_put(p, mailbox, 4);
	key_put(p + 4, uid, 4);
}

void
gone_key_put(unsigned char p[KEY_GONE], uint32_t mailbox, uint64_t modseq, uint32_t uid)
{
	key_put(p, mailbox, 4);
	key_put(p + 4, modseq, 8);
	key_put(p + 12, uid, 4);
}

void
key_put(unsigned char *p, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		p[i] = (unsigned char)(v >> (8 * (bytes - 1 - i)));
}

uint64_t
key_get(const unsigned char *p, size_t bytes)
{
	uint64_t v = 0;
	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

void
rcpt_key_put(unsigned char p[KEY_RCPT], uint64_t id, uint32_t dest, uint16_t index)
{
	key_put(p, id, 8);
	key_put(p + 8, dest, 4);
	key_put(p + 12, index, 2);
}

void
sched_key_put(unsigned char p[KEY_SCHED], const struct sched_key *k)
{
	key_put(p, k->lane, 1);
	key_put(p + 1, k->dest, 4);
	key_put(p + 5, (uint64_t)k->due, 6);
	key_put(p + 11, k->id, 8);
}

void
sched_key_get(const unsigned char p[KEY_SCHED], struct sched_key *k)
{
	k->lane = p[0];
	k->dest = (uint32_t)key_get(p + 1, 4);
	k->due = (int64_t)key_get(p + 5, 6);
	k->id = key_get(p + 11, 8);
}

/* ---- history */

static const size_t history_texts[] = {
    offsetof(struct history_event, sender),
    offsetof(struct history_event, recipient),
    offsetof(struct history_event, owner),
    offsetof(struct history_event, client),
    offsetof(struct history_event, account),
    offsetof(struct history_event, message_id),
    offsetof(struct history_event, dest),
    offsetof(struct history_event, host),
    offsetof(struct history_event, reply),
};

void
record_put_history(struct buf *b, const struct history_event *e)
{
	size_t at = begin(b);
	put_n(b, e->kind, 1);
	put_n(b, (uint64_t)e->when.ms, 8);
	put_n(b, e->id, 8);
	put_n(b, e->about, 8);
	put_n(b, e->size, 8);
	put_n(b, e->attempts, 4);
	put_n(b, (uint64_t)e->due.ms, 8);
	for (size_t i = 0; i < COUNT_OF(history_texts); i++) {
		const struct span *s = (const void *)((const char *)e + history_texts[i]);
		struct span cut = span_cut(*s, 0, HISTORY_TEXT_MAX);
		put_n(b, cut.n, 2);
		buf_add_span(b, cut);
	}
	end(b, at);
}

enum err
record_get_history(struct span value, struct history_event *e)
{
	struct reader r = open_record(value);
	uint64_t kind = get_n(&r, 1);
	*e = (struct history_event){.kind = (enum history_kind)kind};
	e->when.ms = (int64_t)get_n(&r, 8);
	e->id = get_n(&r, 8);
	e->about = get_n(&r, 8);
	e->size = get_n(&r, 8);
	e->attempts = (uint32_t)get_n(&r, 4);
	e->due.ms = (int64_t)get_n(&r, 8);
	for (size_t i = 0; i < COUNT_OF(history_texts); i++) {
		struct span *s = (void *)((char *)e + history_texts[i]);
		uint64_t n = get_n(&r, 2);
		r.bad = r.bad || n > r.rest.n || n > HISTORY_TEXT_MAX;
		*s = r.bad ? (struct span){"", 0} : span_cut(r.rest, 0, (size_t)n);
		r.rest = span_cut(r.rest, s->n, r.rest.n);
	}
	bool known = kind >= HISTORY_ACCEPTED && kind < HISTORY_KIND_END;
	return r.bad || !known ? ERR_DAMAGED : OK;
}
