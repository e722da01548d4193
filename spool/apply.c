/* SPDX-License-Identifier: ISC */
/*
 * apply - what accepting a message writes inside the writer's transaction, and
 * the rows that it shares with reports (outcome.c).
 *
 * A request is looked at before anything of it is written: if it cannot be
 * stored (ERR_RANGE) or its subject is gone (ERR_NOT_FOUND) the transaction is
 * as it was before.  Any other error spoils the transaction, and the writer
 * aborts it.
 */
#include <string.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/mem.h"
#include "spool/private.h"

#define RECORD_OVERHEAD 600
#define RCPT_OVERHEAD 300

uint64_t
account_of(uint64_t size, uint64_t rcpts)
{
	return size + RECORD_OVERHEAD + rcpts * RCPT_OVERHEAD;
}

struct wall
sane_due(struct wall due)
{
	if (due.ms < 0)
		due.ms = 0;
	if (due.ms > DUE_MAX)
		due.ms = DUE_MAX;
	return due;
}

void
batch_begin(struct batch *b, struct spool *s)
{
	*b = (struct batch){.spool = s,
	    .last_id = s->last_id,
	    .next_dest = s->next_dest,
	    .next_mbox = s->next_mbox,
	    .uidvalidity = s->uidvalidity,
	    .freed = s->freed};
	buf_init(&b->record, RECORD_MAX);
}

void
batch_clear(struct batch *b)
{
	for (size_t i = 0; i < b->accepted_n; i++)
		message_unref(&b->accepted[i]);
	b->accepted_n = 0;
	mem_free(&b->accepted);
	mem_free(&b->unlink);
	mem_free(&b->usage);
	events_clear(b);
	buf_clear(&b->record);
	buf_clear(&b->history);
}

/* ---- rows */

enum err
intern_dest(struct batch *b, struct span key, uint32_t *number)
{
	unsigned char n[4];
	enum err e = db_get_dest(b->txn, b->spool, key, number);
	if (e != ERR_NOT_FOUND)
		return e;
	*number = b->next_dest++;
	key_put(n, *number, 4);
	struct span value = {(char *)n, 4};
	e = db_put(b->txn, b->spool->dbi[DB_DESTNAME], key.p, key.n, value, 0);
	if (e == OK)
		e = db_put(b->txn, b->spool->dbi[DB_DEST], n, 4, key, 0);
	return e;
}

enum err
put_sched(struct batch *b, uint32_t dest, uint64_t id, const struct recipient *r)
{
	unsigned char key[KEY_SCHED];
	struct sched_key k = {(uint8_t)lane_of(r->state), dest, r->due.ms, id};
	sched_key_put(key, &k);
	return db_put(
	    b->txn, b->spool->dbi[DB_SCHED], key, KEY_SCHED, (struct span){"", 0}, 0);
}

enum err
put_rcpt(struct batch *b, uint64_t id, uint32_t dest, const struct recipient *r,
    unsigned flags)
{
	unsigned char key[KEY_RCPT];
	rcpt_key_put(key, id, dest, r->index);
	buf_reset(&b->record);
	record_put_rcpt(&b->record, r);
	return db_put(
	    b->txn, b->spool->dbi[DB_RCPT], key, KEY_RCPT, buf_span(&b->record), flags);
}

enum err
put_message(struct batch *b, enum dbi where, const struct message *m,
    const struct message_extra *x, unsigned flags)
{
	unsigned char key[KEY_ID];
	key_put(key, m->id, 8);
	buf_reset(&b->record);
	record_put_message(&b->record, m, x);
	return db_put(
	    b->txn, b->spool->dbi[where], key, KEY_ID, buf_span(&b->record), flags);
}

/* ---- what can be stored at all */

static bool
recipient_storable(const struct recipient *r)
{
	return r->dest.n > 0 && r->dest.n <= DEST_KEY_MAX &&
	       r->address.n + r->orcpt.n < RECORD_MAX / 2;
}

bool
content_storable(const struct message *m)
{
	const struct span text[] = {m->sender, m->envid, m->client, m->helo, m->protocol,
	    m->listener, m->account, m->prefix};
	size_t n = 0;
	for (size_t i = 0; i < COUNT_OF(text); i++)
		n += text[i].n;
	bool fits = n < RECORD_MAX / 2 && m->content != NULL;
	if (m->file == 0 && m->content != NULL)
		fits = fits && content_in_memory(m->content) &&
		       content_slices(m->content) <= UINT16_MAX &&
		       content_size(m->content) == m->size;
	return fits;
}

bool
message_storable(const struct message *m)
{
	bool fits = m->rcpts + m->drops > 0 && content_storable(m);
	for (size_t i = 0; i < m->rcpts && fits; i++)
		fits = recipient_storable(&m->rcpt[i]);
	for (size_t i = 0; i < m->drops && fits; i++)
		fits = drop_storable(&m->drop[i]);
	return fits;
}

/* ---- accept */

static void
give_id(struct batch *b, struct message *m, struct wall now)
{
	char text[SPOOL_ID_LEN + 1];
	m->id = id_next(b->last_id, now, b->spool->node);
	b->last_id = m->id;
	if (m->id_at == SIZE_MAX)
		return;
	CHECK(m->id_at + SPOOL_ID_LEN <= m->prefix.n);
	spool_id_format(m->id, text);
	/* the prefix is the message's own memory, and nobody else has seen it yet */
	memcpy((char *)(uintptr_t)m->prefix.p + m->id_at, text, SPOOL_ID_LEN);
}

static enum err
put_body(struct batch *b, const struct message *m, size_t chunks)
{
	unsigned char key[KEY_BODY];
	enum err e = OK;
	key_put(key, m->id, 8);
	for (size_t i = 0; i < chunks && e == OK; i++) {
		key_put(key + 8, i, 2);
		e = db_put(b->txn, b->spool->dbi[DB_BODY], key, KEY_BODY,
		    content_slice(m->content, i), MDB_APPEND);
	}
	return e;
}

/* The id is new, so its rows are the last of their table; they can be appended while keys
 * rise. */
static enum err
put_recipients(struct batch *b, struct message *m, struct wall now)
{
	uint32_t dest = 0, highest = 0;
	for (size_t i = 0; i < m->rcpts; i++) {
		struct recipient *r = &m->rcpt[i];
		r->due = r->due.ms == 0 ? now : sane_due(r->due);
		r->index = (uint16_t)i;
		enum err e = OK;
		if (i == 0 || !span_eq(r->dest, m->rcpt[i - 1].dest))
			e = intern_dest(b, r->dest, &dest);
		bool rises = dest >= highest;
		highest = rises ? dest : highest;
		if (e == OK)
			e = put_rcpt(b, m->id, dest, r, rises ? MDB_APPEND : 0);
		if (e == OK)
			e = put_sched(b, dest, m->id, r);
		if (e != OK)
			return e;
	}
	return OK;
}

static void
will_tell(struct batch *b, struct message *m)
{
	if (b->accepted_n == b->accepted_cap) {
		b->accepted_cap = b->accepted_cap ? b->accepted_cap * 2 : 16;
		b->accepted =
		    mem_resize(b->accepted, b->accepted_cap, sizeof(*b->accepted));
	}
	b->accepted[b->accepted_n++] = message_ref(m);
}

enum err
accept_message(struct batch *b, struct message *m, uint64_t about)
{
	struct wall now = world_wall(b->spool->world);
	size_t chunks = m->file == 0 ? content_slices(m->content) : 0;
	struct message_extra x = {(uint16_t)chunks, (uint16_t)m->rcpts};
	give_id(b, m, now);
	enum err e = put_body(b, m, chunks);
	if (e == OK)
		e = m->rcpts > 0 ? put_message(b, DB_MSG, m, &x, MDB_APPEND)
				 : put_message(b, DB_KEPT, m, &x, 0);
	if (e == OK)
		e = put_recipients(b, m, now);
	if (e == OK)
		e = put_structure(b, m->id, m->structure);
	if (e == OK)
		e = put_drops(b, m, m->drop, m->drops);
	if (e != OK)
		return e;
	b->bytes += (int64_t)account_of(m->size, m->rcpts);
	b->work += chunks * CONTENT_SLICE + account_of(0, m->rcpts);
	if (m->rcpts > 0)
		will_tell(b, m);
	history_accepted(b, m, about);
	return OK;
}

static enum err
accept_if_fine(struct batch *b, struct message *m)
{
	FAULT_BYTES("spool.accept", m->sender);
	if (!message_storable(m))
		return ERR_RANGE;
	enum err e = drops_fit(b, m->drop, m->drops);
	return e == OK ? accept_message(b, m, 0) : e;
}

static enum err
run_request(struct batch *b, struct spool_request *q)
{
	switch (q->kind) {
	case REQUEST_ACCEPT: return accept_if_fine(b, q->message);
	case REQUEST_MAIL:
		return concerns_trays(q) ? check_tray_change(q->change)
					 : apply_mail_change(b, q->change);
	case REQUEST_OWNER: return apply_owner_delete(b, span_str(q->name));
	case REQUEST_REPORT: return apply_report(b, q->report);
	case REQUEST_MAILBOX: return apply_mailbox(b, q->order);
	case REQUEST_STRUCTURE: return apply_structure(b, q->value, buf_span(&q->octets));
	case REQUEST_TRAY: return OK;
	case REQUEST_MARK: break;
	}
	return db_put_u64(b->txn, b->spool, q->name, q->value);
}

enum err
apply_request(struct batch *b, struct spool_request *q)
{
	size_t events = b->events, history = b->history.n;
	enum err e = run_request(b, q);
	if (e != OK) { /* nothing of it has happened */
		b->events = events;
		b->history.n = history;
	}
	return e;
}
