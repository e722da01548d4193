/* SPDX-License-Identifier: ISC */
/*
 * apply - what a request does inside the writer's transaction.  A request whose
 * subject is gone (ERR_NOT_FOUND) has written nothing; any other error spoils
 * the transaction, and the writer aborts it.
 */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "spool/private.h"

#define RECORD_OVERHEAD 600
#define RCPT_OVERHEAD 300

uint64_t
account_of(uint64_t size, uint64_t rcpts)
{
	return size + RECORD_OVERHEAD + rcpts * RCPT_OVERHEAD;
}

void
batch_begin(struct batch *b, struct spool *s)
{
	*b = (struct batch){.spool = s, .last_id = s->last_id, .next_dest = s->next_dest};
	buf_init(&b->record, RECORD_MAX);
}

void
batch_clear(struct batch *b)
{
	for (size_t i = 0; i < b->accepted_n; i++)
		message_unref(&b->accepted[i]);
	mem_free(&b->accepted);
	mem_free(&b->unlink);
	buf_clear(&b->record);
}

/* ---- destinations */

static enum err
find_dest(struct batch *b, struct span key, uint32_t *number)
{
	struct span v;
	enum err e = db_get(b->txn, b->spool->dbi[DB_DESTNAME], key.p, key.n, &v);
	if (e == OK && v.n != 4)
		return ERR_DAMAGED;
	if (e == OK)
		*number = (uint32_t)key_get((const unsigned char *)v.p, 4);
	return e;
}

static enum err
intern_dest(struct batch *b, struct span key, uint32_t *number)
{
	unsigned char n[4];
	CHECK(key.n > 0 && key.n < 300);
	enum err e = find_dest(b, key, number);
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

/* ---- rows */

static enum err
put_sched(struct batch *b, uint32_t dest, uint64_t id, const struct recipient *r)
{
	unsigned char key[KEY_SCHED];
	struct sched_key k = {(uint8_t)lane_of(r->state), dest, r->due.ms, id};
	sched_key_put(key, &k);
	return db_put(b->txn, b->spool->dbi[DB_SCHED], key, KEY_SCHED, (struct span){"", 0}, 0);
}

static enum err
del_sched(struct batch *b, uint32_t dest, uint64_t id, const struct recipient *r)
{
	unsigned char key[KEY_SCHED];
	struct sched_key k = {(uint8_t)lane_of(r->state), dest, r->due.ms, id};
	sched_key_put(key, &k);
	return db_del(b->txn, b->spool->dbi[DB_SCHED], key, KEY_SCHED);
}

static void
rcpt_key(unsigned char key[KEY_RCPT], uint64_t id, uint32_t dest, uint16_t index)
{
	key_put(key, id, 8);
	key_put(key + 8, dest, 4);
	key_put(key + 12, index, 2);
}

static enum err
put_rcpt(struct batch *b, uint64_t id, uint32_t dest, const struct recipient *r)
{
	unsigned char key[KEY_RCPT];
	rcpt_key(key, id, dest, r->index);
	buf_reset(&b->record);
	record_put_rcpt(&b->record, r);
	return db_put(b->txn, b->spool->dbi[DB_RCPT], key, KEY_RCPT, buf_span(&b->record), 0);
}

/* ---- accept */

static enum err
put_body(struct batch *b, const struct message *m, struct message_extra *x)
{
	unsigned char key[KEY_BODY];
	enum err e = OK;
	if (m->file != 0)
		return OK;
	size_t n = content_slices(m->content);
	CHECK(n <= UINT16_MAX);
	key_put(key, m->id, 8);
	for (size_t i = 0; i < n && e == OK; i++) {
		key_put(key + 8, i, 2);
		e = db_put(b->txn, b->spool->dbi[DB_BODY], key, KEY_BODY, content_slice(m->content, i),
		    MDB_APPEND);
	}
	x->chunks = (uint16_t)n;
	return e;
}

static enum err
put_message(struct batch *b, const struct message *m, const struct message_extra *x, unsigned flags)
{
	unsigned char key[KEY_ID];
	key_put(key, m->id, 8);
	buf_reset(&b->record);
	record_put_message(&b->record, m, x);
	if (b->record.overflow)
		return ERR_RANGE;
	return db_put(b->txn, b->spool->dbi[DB_MSG], key, KEY_ID, buf_span(&b->record), flags);
}

static enum err
put_recipients(struct batch *b, struct message *m)
{
	uint32_t dest = 0;
	for (size_t i = 0; i < m->rcpts; i++) {
		struct recipient *r = &m->rcpt[i];
		if (r->due.ms == 0)
			r->due = m->arrival;
		enum err e = OK;
		if (i == 0 || !span_eq(r->dest, m->rcpt[i - 1].dest))
			e = intern_dest(b, r->dest, &dest);
		if (e == OK)
			e = put_rcpt(b, m->id, dest, r);
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
		b->accepted = mem_resize(b->accepted, b->accepted_cap, sizeof(*b->accepted));
	}
	b->accepted[b->accepted_n++] = message_ref(m);
}

static enum err
accept_message(struct batch *b, struct message *m)
{
	struct message_extra x = {.rcpts_total = (uint16_t)m->rcpts};
	char text[SPOOL_ID_LEN + 1];
	CHECK(m->rcpts > 0 && m->content != NULL);
	if (m->file != 0 && !files_take(b->spool, m->file))
		return ERR_NOT_FOUND; /* the session has gone, and taken the file along */
	m->id = id_next(b->last_id, world_wall(b->spool->world), b->spool->node);
	b->last_id = m->id;
	if (m->id_at != SIZE_MAX) {
		CHECK(m->id_at + SPOOL_ID_LEN <= m->prefix.n);
		spool_id_format(m->id, text);
		/* the prefix is the message's own memory, and nobody else has seen it yet */
		memcpy((char *)(uintptr_t)m->prefix.p + m->id_at, text, SPOOL_ID_LEN);
	}
	enum err e = put_body(b, m, &x);
	if (e == OK)
		e = put_message(b, m, &x, MDB_APPEND);
	if (e == OK)
		e = put_recipients(b, m);
	if (e == OK) {
		b->bytes += (int64_t)account_of(m->size, m->rcpts);
		will_tell(b, m);
	}
	return e;
}

/* ---- report */

/* The rows of one (message, destination) as they are now. */
struct rows {
	struct recipient *r;
	bool *gone;      /* leaves this destination */
	size_t n;
	struct buf bytes; /* what the spans point into */
};

static void
rows_clear(struct rows *rows)
{
	mem_free(&rows->r);
	mem_free(&rows->gone);
	buf_clear(&rows->bytes);
}

/* Copy the values out first: a put moves the pages under them. */
static enum err
read_rows(struct batch *b, uint64_t id, uint32_t dest, struct rows *rows)
{
	unsigned char prefix[KEY_RCPT] = {0};
	size_t *at = NULL, cap = 0;
	MDB_cursor *c;
	MDB_val k, v;
	rcpt_key(prefix, id, dest, 0);
	buf_init(&rows->bytes, BUF_DEFAULT_MAX);
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_RCPT], &c));
	if (e != OK)
		return e;
	for (e = db_seek(c, prefix, KEY_RCPT, 12, &k, &v); e == OK;
	     e = db_next(c, prefix, 12, &k, &v)) {
		if (rows->n == cap) {
			cap = cap ? cap * 2 : 4;
			rows->r = mem_resize(rows->r, cap, sizeof(*rows->r));
			at = mem_resize(at, cap + 1, sizeof(*at));
		}
		rows->r[rows->n] =
		    (struct recipient){.index = (uint16_t)key_get((unsigned char *)k.mv_data + 12, 2)};
		at[rows->n++] = rows->bytes.n;
		buf_add(&rows->bytes, v.mv_data, v.mv_size);
	}
	mdb_cursor_close(c);
	rows->gone = mem_alloc(rows->n + 1);
	if (e == ERR_NOT_FOUND)
		e = OK;
	for (size_t i = 0; i < rows->n && e == OK; i++) {
		size_t end = i + 1 < rows->n ? at[i + 1] : rows->bytes.n;
		e = record_get_rcpt(span_cut(buf_span(&rows->bytes), at[i], end - at[i]), &rows->r[i]);
		if (e == ERR_DAMAGED) { /* as much as is known: set aside */
			rows->r[i].state = RECIPIENT_ASIDE;
			e = OK;
		}
	}
	mem_free(&at);
	return e;
}

static void
note_attempt(struct recipient *r, const struct outcome *o, struct wall when)
{
	if (!o->attempted)
		return;
	r->attempts++;
	if (r->first_try.ms == 0)
		r->first_try = when;
	r->last_try = when;
	r->reply = o->reply;
	r->host = o->host;
}

static enum err
move(struct batch *b, const struct report *rep, struct recipient *r, const struct outcome *o)
{
	uint32_t dest;
	enum err e = intern_dest(b, o->dest, &dest);
	r->state = RECIPIENT_WAITING;
	r->due = o->due;
	if (e == OK)
		e = put_rcpt(b, rep->id, dest, r);
	if (e == OK)
		e = put_sched(b, dest, rep->id, r);
	return e;
}

static enum err
apply_outcome(struct batch *b, const struct report *rep, struct rows *rows, size_t i,
    const struct outcome *o, uint32_t dest)
{
	struct recipient *r = &rows->r[i];
	unsigned char key[KEY_RCPT];
	enum err e = OK;
	note_attempt(r, o, rep->when);
	switch (o->kind) {
	case OUTCOME_WAIT:
		r->state = RECIPIENT_WAITING;
		r->due = o->due;
		return put_rcpt(b, rep->id, dest, r);
	case OUTCOME_HELD: r->state = RECIPIENT_HELD; return put_rcpt(b, rep->id, dest, r);
	case OUTCOME_ASIDE: r->state = RECIPIENT_ASIDE; return put_rcpt(b, rep->id, dest, r);
	case OUTCOME_MOVED: e = move(b, rep, r, o); break;
	case OUTCOME_DELIVERED:
	case OUTCOME_FAILED:
	case OUTCOME_DELETED: break;
	}
	rows->gone[i] = true;
	rcpt_key(key, rep->id, dest, r->index);
	return e == OK ? db_del(b->txn, b->spool->dbi[DB_RCPT], key, KEY_RCPT) : e;
}

static enum err
apply_outcomes(struct batch *b, const struct report *rep, struct rows *rows, uint32_t dest,
    bool *applied)
{
	enum err e = OK;
	/* every row of the schedule that these recipients had goes, those needed come back */
	for (size_t i = 0; i < rows->n && e == OK; i++)
		e = del_sched(b, dest, rep->id, &rows->r[i]);
	for (size_t k = 0; k < rep->outcomes && e == OK; k++)
		for (size_t i = 0; i < rows->n && e == OK; i++)
			if (rows->r[i].index == rep->outcome[k].index && !rows->gone[i]) {
				e = apply_outcome(b, rep, rows, i, &rep->outcome[k], dest);
				*applied = true;
			}
	for (size_t i = 0; i < rows->n && e == OK; i++)
		if (!rows->gone[i])
			e = put_sched(b, dest, rep->id, &rows->r[i]);
	return e;
}

static bool
any_applies(const struct report *rep, const struct rows *rows)
{
	for (size_t k = 0; k < rep->outcomes; k++)
		for (size_t i = 0; i < rows->n; i++)
			if (rows->r[i].index == rep->outcome[k].index)
				return true;
	return false;
}

static bool
has_recipients(struct batch *b, uint64_t id, enum err *e)
{
	unsigned char key[KEY_ID];
	MDB_cursor *c;
	MDB_val k, v;
	key_put(key, id, 8);
	*e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_RCPT], &c));
	if (*e != OK)
		return true;
	*e = db_seek(c, key, KEY_ID, KEY_ID, &k, &v);
	mdb_cursor_close(c);
	bool has = *e != ERR_NOT_FOUND;
	if (*e == ERR_NOT_FOUND)
		*e = OK;
	return has;
}

static void
will_unlink(struct batch *b, uint64_t file)
{
	if (b->unlink_n == b->unlink_cap) {
		b->unlink_cap = b->unlink_cap ? b->unlink_cap * 2 : 8;
		b->unlink = mem_resize(b->unlink, b->unlink_cap, sizeof(*b->unlink));
	}
	b->unlink[b->unlink_n++] = file;
}

static enum err
delete_message(struct batch *b, const struct message *m, const struct message_extra *x)
{
	unsigned char key[KEY_BODY];
	key_put(key, m->id, 8);
	enum err e = db_del(b->txn, b->spool->dbi[DB_MSG], key, KEY_ID);
	for (unsigned i = 0; i < x->chunks && e == OK; i++) {
		key_put(key + 8, i, 2);
		e = db_del(b->txn, b->spool->dbi[DB_BODY], key, KEY_BODY);
	}
	if (m->file != 0)
		will_unlink(b, m->file);
	b->bytes -= (int64_t)account_of(m->size, x->rcpts_total);
	return e;
}

static enum err
read_envelope(struct batch *b, uint64_t id, struct message *m, struct message_extra *x)
{
	unsigned char key[KEY_ID];
	struct span v;
	key_put(key, id, 8);
	enum err e = db_get(b->txn, b->spool->dbi[DB_MSG], key, KEY_ID, &v);
	m->id = id;
	return e == OK ? record_get_message(v, m, x) : e;
}

/* The message record after the outcomes: gone with its last recipient, or marked as warned. */
static enum err
settle_message(struct batch *b, const struct report *rep, struct message *m, struct message_extra *x)
{
	enum err e;
	if (!has_recipients(b, rep->id, &e))
		return e == OK ? delete_message(b, m, x) : e;
	if (e == OK && rep->warned && !m->warned) {
		m->warned = true;
		e = put_message(b, m, x, 0);
	}
	return e;
}

static enum err
apply_to_rows(struct batch *b, const struct report *rep, struct rows *rows, uint32_t dest)
{
	struct message *m = message_new();
	struct message_extra x = {0};
	bool applied = false;
	enum err e = read_envelope(b, rep->id, m, &x);
	if (e == ERR_DAMAGED)
		e = rep->outcomes > 0 ? OK : ERR_NOT_FOUND; /* its recipients can still be dealt with */
	if (e == OK && rep->outcomes > 0)
		e = apply_outcomes(b, rep, rows, dest, &applied);
	if (e == OK)
		e = settle_message(b, rep, m, &x);
	for (size_t i = 0; i < 2 && e == OK; i++)
		if (rep->notice[i] != NULL)
			e = accept_message(b, rep->notice[i]);
	message_unref(&m);
	return e;
}

static enum err
apply_report(struct batch *b, const struct report *rep)
{
	struct rows rows = {0};
	uint32_t dest = 0;
	enum err e = find_dest(b, rep->dest, &dest);
	if (e != OK)
		return e;
	e = read_rows(b, rep->id, dest, &rows);
	if (e == OK && !(rep->outcomes == 0 && rep->warned) && !any_applies(rep, &rows))
		e = ERR_NOT_FOUND;
	if (e == OK)
		e = apply_to_rows(b, rep, &rows, dest);
	rows_clear(&rows);
	return e;
}

enum err
apply_request(struct batch *b, struct spool_request *q)
{
	switch (q->kind) {
	case REQUEST_ACCEPT: return accept_message(b, q->message);
	case REQUEST_REPORT: return apply_report(b, q->report);
	case REQUEST_MARK: return db_put_u64(b->txn, b->spool, q->name, q->value);
	}
	return ERR_IO;
}
