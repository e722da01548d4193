/* SPDX-License-Identifier: ISC */
/*
 * outcome - what a report writes: the recipients of one message at one
 * destination are read, changed and written back; the schedule gets exactly the
 * rows that the remaining ones need; the last recipient takes the message and
 * its content along; notices are accepted in the same transaction.
 *
 * Damage is contained here: a recipient's record that does not match its
 * checksum can be finished or set aside, but is never written over.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "spool/private.h"

struct row {
	struct recipient r;
	size_t at, n; /* of its value in bytes */
	bool damaged;
	bool gone; /* leaves this destination */
};

/* A place in the schedule of one (destination, message). */
struct slot {
	uint8_t lane;
	int64_t due;
};

struct slots {
	struct slot *slot;
	size_t n, cap;
};

/* The recipients of one (message, destination), and their slots as they were. */
struct rows {
	uint64_t id;
	uint32_t dest;
	struct row *row;
	size_t n, cap;
	bool damaged;     /* one of them at least */
	struct buf bytes; /* what the spans point into */
	struct slots before;
};

static void
rows_clear(struct rows *rows)
{
	mem_free(&rows->row);
	mem_free(&rows->before.slot);
	buf_clear(&rows->bytes);
}

/* ---- slots */

static void
slots_add(struct slots *s, struct slot slot)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 4;
		s->slot = mem_resize(s->slot, s->cap, sizeof(*s->slot));
	}
	s->slot[s->n++] = slot;
}

static int
slot_order(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;
	if (x->lane != y->lane)
		return x->lane < y->lane ? -1 : 1;
	return (x->due > y->due) - (x->due < y->due);
}

/* In order, each once. */
static void
slots_sort(struct slots *s)
{
	size_t n = 0;
	if (s->n == 0)
		return;
	qsort(s->slot, s->n, sizeof(*s->slot), slot_order);
	for (size_t i = 1; i < s->n; i++)
		if (slot_order(&s->slot[n], &s->slot[i]) != 0)
			s->slot[++n] = s->slot[i];
	s->n = n + 1;
}

/* The slots that the recipients which stay need now. */
static struct slots
slots_needed(const struct rows *rows)
{
	struct slots s = {0};
	for (size_t i = 0; i < rows->n; i++)
		if (!rows->row[i].gone)
			slots_add(
			    &s, (struct slot){(uint8_t)lane_of(rows->row[i].r.state),
				    rows->row[i].r.due.ms});
	slots_sort(&s);
	return s;
}

/* The rows of the schedule that really are there: wanted when a damaged record does not
 * tell. */
static enum err
slots_find(struct batch *b, uint64_t id, uint32_t dest, struct slots *out)
{
	static const uint8_t lanes[] = {LANE_READY, LANE_HELD, LANE_ASIDE};
	MDB_cursor *c;
	MDB_val k, v;
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_SCHED], &c));
	if (e != OK)
		return e;
	for (size_t i = 0; i < COUNT_OF(lanes) && (e == OK || e == ERR_NOT_FOUND); i++) {
		unsigned char from[KEY_SCHED];
		struct sched_key row = {lanes[i], dest, 0, 0};
		sched_key_put(from, &row);
		for (e = db_seek(c, from, KEY_SCHED, 5, &k, &v); e == OK;
		     e = db_next(c, from, 5, &k, &v)) {
			sched_key_get(k.mv_data, &row);
			if (row.id == id)
				slots_add(out, (struct slot){row.lane, row.due});
		}
	}
	mdb_cursor_close(c);
	slots_sort(out);
	return e == ERR_NOT_FOUND ? OK : e;
}

static enum err
change_slot(struct batch *b, const struct rows *rows, const struct slot *slot, bool put)
{
	unsigned char key[KEY_SCHED];
	struct sched_key k = {slot->lane, rows->dest, slot->due, rows->id};
	MDB_dbi sched = b->spool->dbi[DB_SCHED];
	sched_key_put(key, &k);
	if (put)
		return db_put(b->txn, sched, key, KEY_SCHED, (struct span){"", 0}, 0);
	return db_del(b->txn, sched, key, KEY_SCHED);
}

/* The schedule from `before` to what is needed now: the difference of two sorted sets. */
static enum err
reschedule(struct batch *b, const struct rows *rows)
{
	const struct slots *old = &rows->before;
	struct slots new = slots_needed(rows);
	size_t i = 0, k = 0;
	enum err e = OK;
	while (e == OK && (i < old->n || k < new.n)) {
		int order = i == old->n  ? 1
			    : k == new.n ? -1
					 : slot_order(&old->slot[i], &new.slot[k]);
		if (order < 0)
			e = change_slot(b, rows, &old->slot[i], false);
		else if (order > 0)
			e = change_slot(b, rows, &new.slot[k], true);
		i += order <= 0;
		k += order >= 0;
	}
	mem_free(&new.slot);
	return e;
}

/* ---- reading the rows */

static void
add_row(struct rows *rows, const MDB_val *k, const MDB_val *v)
{
	if (rows->n == rows->cap) {
		rows->cap = rows->cap ? rows->cap * 2 : 4;
		rows->row = mem_resize(rows->row, rows->cap, sizeof(*rows->row));
	}
	struct row *row = &rows->row[rows->n++];
	*row = (struct row){.at = rows->bytes.n, .n = v->mv_size};
	row->r.index = (uint16_t)key_get((const unsigned char *)k->mv_data + 12, 2);
	buf_add(&rows->bytes, v->mv_data, v->mv_size);
}

static void
decode_rows(struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		struct row *row = &rows->row[i];
		struct span value = span_cut(buf_span(&rows->bytes), row->at, row->n);
		if (record_get_rcpt(value, &row->r) == OK)
			continue;
		row->damaged = rows->damaged = true;
		row->r =
		    (struct recipient){.index = row->r.index, .state = RECIPIENT_ASIDE};
	}
}

/* Values are copied out first: a put moves the pages under them. */
static enum err
read_rows(struct batch *b, struct rows *rows)
{
	unsigned char prefix[KEY_RCPT];
	MDB_cursor *c;
	MDB_val k, v;
	rcpt_key_put(prefix, rows->id, rows->dest, 0);
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_RCPT], &c));
	if (e != OK)
		return e;
	for (e = db_seek(c, prefix, KEY_RCPT, 12, &k, &v); e == OK;
	     e = db_next(c, prefix, 12, &k, &v))
		if (k.mv_size == KEY_RCPT)
			add_row(rows, &k, &v);
	mdb_cursor_close(c);
	if (e != ERR_NOT_FOUND)
		return e;
	decode_rows(rows);
	if (rows->damaged)
		return slots_find(b, rows->id, rows->dest, &rows->before);
	rows->before = slots_needed(rows);
	return OK;
}

static struct row *
find_row(struct rows *rows, uint16_t index)
{
	size_t low = 0, high = rows->n; /* they came in the order of their keys */
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (rows->row[mid].r.index < index)
			low = mid + 1;
		else
			high = mid;
	}
	bool found =
	    low < rows->n && rows->row[low].r.index == index && !rows->row[low].gone;
	return found ? &rows->row[low] : NULL;
}

/* ---- outcomes */

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
remove_row(struct batch *b, const struct rows *rows, struct row *row)
{
	unsigned char key[KEY_RCPT];
	row->gone = true;
	rcpt_key_put(key, rows->id, rows->dest, row->r.index);
	return db_del(b->txn, b->spool->dbi[DB_RCPT], key, KEY_RCPT);
}

/* To another destination; there it may share a schedule row with others of its message.
 */
static enum err
move_row(struct batch *b, const struct rows *rows, struct row *row, struct span to)
{
	uint32_t dest;
	enum err e = intern_dest(b, to, &dest);
	if (e != OK || dest == rows->dest)
		return e != OK ? e : put_rcpt(b, rows->id, dest, &row->r, 0);
	e = put_rcpt(b, rows->id, dest, &row->r, 0);
	if (e == OK)
		e = put_sched(b, dest, rows->id, &row->r);
	return e == OK ? remove_row(b, rows, row) : e;
}

static bool
finishes(enum outcome_kind k)
{
	return k == OUTCOME_DELIVERED || k == OUTCOME_FAILED || k == OUTCOME_DELETED;
}

static enum err
apply_outcome(struct batch *b, const struct rows *rows, struct row *row,
    const struct outcome *o, struct wall when)
{
	struct recipient *r = &row->r;
	if (finishes(o->kind))
		return remove_row(b, rows, row);
	if (row->damaged)
		return OK; /* it waits aside as it is */
	note_attempt(r, o, when);
	if (o->kind == OUTCOME_HELD) {
		r->state = RECIPIENT_HELD;
	} else if (o->kind == OUTCOME_ASIDE) {
		r->state = RECIPIENT_ASIDE;
	} else {
		r->state = RECIPIENT_WAITING;
		r->due = sane_due(o->due);
	}
	if (o->kind == OUTCOME_MOVED)
		return move_row(b, rows, row, o->dest);
	return put_rcpt(b, rows->id, rows->dest, r, 0);
}

static enum err
apply_outcomes(
    struct batch *b, const struct report *rep, struct rows *rows, const struct message *m)
{
	enum err e = OK;
	for (size_t i = 0; i < rep->outcomes && e == OK; i++) {
		const struct outcome *o = &rep->outcome[i];
		struct row *row = find_row(rows, o->index);
		if (row == NULL)
			continue;
		history_outcome(b, rep, m, &row->r, o);
		e = apply_outcome(b, rows, row, o, rep->when);
		if (e == OK)
			e = put_drops(b, m, o->drop, o->drops);
	}
	b->work += account_of(0, rep->outcomes);
	return e == OK ? reschedule(b, rows) : e;
}

/* ---- the message */

struct envelope {
	struct message *m;
	struct message_extra x;
	bool damaged;
};

static enum err
read_envelope(struct batch *b, uint64_t id, struct envelope *v)
{
	unsigned char key[KEY_ID];
	struct span value;
	key_put(key, id, 8);
	enum err e = db_get(b->txn, b->spool->dbi[DB_MSG], key, KEY_ID, &value);
	if (e != OK)
		return e;
	v->m = message_new();
	v->m->id = id;
	v->damaged = record_get_message(value, v->m, &v->x) != OK;
	return OK;
}

static enum err
has_recipients(struct batch *b, uint64_t id, bool *has)
{
	unsigned char key[KEY_ID];
	MDB_cursor *c;
	MDB_val k, v;
	key_put(key, id, 8);
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_RCPT], &c));
	if (e != OK)
		return e;
	e = db_seek(c, key, KEY_ID, KEY_ID, &k, &v);
	mdb_cursor_close(c);
	*has = e == OK;
	return e == ERR_NOT_FOUND ? OK : e;
}

/* Nobody waits for it any more, but it is in a mailbox: the record moves as it is. */
static enum err
keep_message(struct batch *b, const unsigned char key[KEY_ID])
{
	struct span v;
	enum err e = db_get(b->txn, b->spool->dbi[DB_MSG], key, KEY_ID, &v);
	buf_reset(&b->record);
	buf_add_span(&b->record, v);
	if (e == OK)
		e = db_put(
		    b->txn, b->spool->dbi[DB_KEPT], key, KEY_ID, buf_span(&b->record), 0);
	return e == OK ? db_del(b->txn, b->spool->dbi[DB_MSG], key, KEY_ID) : e;
}

static enum err
delete_message(struct batch *b, const struct envelope *v)
{
	unsigned char key[KEY_ID];
	uint32_t holders;
	key_put(key, v->m->id, 8);
	enum err e = count_holders(b, v->m->id, &holders);
	if (e != OK || holders > 0)
		return e == OK ? keep_message(b, key) : e;
	e = db_del(b->txn, b->spool->dbi[DB_MSG], key, KEY_ID);
	if (e == OK && (v->x.chunks > 0 || v->damaged))
		e = delete_body(b, v->m->id);
	if (e == OK)
		e = delete_structure(b, v->m->id);
	if (v->damaged)
		return e == OK ? recount(b)
			       : e; /* a file of it is swept at the next start */
	if (v->m->file != 0)
		will_unlink(b, v->m->file);
	b->bytes -= (int64_t)account_of(v->m->size, v->x.rcpts_total);
	return e;
}

/* The message's record after the outcomes: gone with its last recipient, or marked as
 * warned. */
static enum err
settle_message(struct batch *b, const struct report *rep, struct envelope *v)
{
	bool has = true;
	enum err e = has_recipients(b, rep->id, &has);
	if (e != OK)
		return e;
	if (!has)
		return delete_message(b, v);
	if (!rep->warned || v->m->warned || v->damaged)
		return OK;
	v->m->warned = true;
	return put_message(b, DB_MSG, v->m, &v->x, 0);
}

/* ---- the report */

static bool
report_storable(const struct report *rep)
{
	for (size_t i = 0; i < rep->outcomes; i++) {
		const struct outcome *o = &rep->outcome[i];
		if (o->kind == OUTCOME_MOVED &&
		    (o->dest.n == 0 || o->dest.n > DEST_KEY_MAX))
			return false;
		for (size_t k = 0; k < o->drops; k++)
			if ((o->kind != OUTCOME_DELIVERED && o->kind != OUTCOME_FAILED) ||
			    !drop_storable(&o->drop[k]))
				return false;
	}
	for (size_t i = 0; i < COUNT_OF(rep->notice); i++)
		if (rep->notice[i] != NULL && !message_storable(rep->notice[i]))
			return false;
	return true;
}

/* A mail needs the envelope that it goes on with, and a uid. */
static enum err
drops_apply(struct batch *b, const struct report *rep, const struct envelope *v)
{
	enum err e = OK;
	for (size_t i = 0; i < rep->outcomes && e == OK; i++) {
		const struct outcome *o = &rep->outcome[i];
		e = o->drops > 0 && v->damaged ? ERR_RANGE
					       : drops_fit(b, o->drop, o->drops);
	}
	return e;
}

/* A report without outcomes only marks the message as warned, once. */
static bool
any_applies(const struct report *rep, struct rows *rows, const struct envelope *v)
{
	if (rep->outcomes == 0)
		return rep->warned && !v->m->warned;
	for (size_t i = 0; i < rep->outcomes; i++)
		if (find_row(rows, rep->outcome[i].index) != NULL)
			return true;
	return false;
}

static enum err
apply_found(
    struct batch *b, const struct report *rep, struct rows *rows, struct envelope *v)
{
	enum err e = rep->outcomes > 0 ? apply_outcomes(b, rep, rows, v->m) : OK;
	if (e == OK)
		e = settle_message(b, rep, v);
	for (size_t i = 0; i < COUNT_OF(rep->notice) && e == OK; i++)
		if (rep->notice[i] != NULL)
			e = accept_message(b, rep->notice[i], rep->id);
	return e;
}

enum err
apply_report(struct batch *b, const struct report *rep)
{
	struct rows rows = {.id = rep->id};
	struct envelope v = {0};
	if (!report_storable(rep))
		return ERR_RANGE;
	enum err e = rep->dest.n > 0
			 ? db_get_dest(b->txn, b->spool, rep->dest, &rows.dest)
			 : ERR_NOT_FOUND;
	if (e == OK)
		e = read_rows(b, &rows);
	if (e == OK)
		e = read_envelope(b, rep->id, &v);
	if (e == OK)
		e = drops_apply(b, rep, &v);
	if (e == OK)
		e = any_applies(rep, &rows, &v) ? apply_found(b, rep, &rows, &v)
						: ERR_NOT_FOUND;
	rows_clear(&rows);
	message_unref(&v.m);
	return e;
}
