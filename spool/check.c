/* SPDX-License-Identifier: ISC */
/*
 * check - the invariants of STATES.md, executed over one snapshot of a spool.
 * The numbers in the sentences are those of STATES.md.
 */
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "spool/private.h"

struct check {
	struct spool_reader *r;
	struct spool *s;
	MDB_txn *t;
	void (*told)(void *arg, const char *sentence);
	void *arg;
	uint64_t found;
	uint64_t account;
};

__attribute__((format(printf, 2, 3))) static void
violation(struct check *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->found++;
	if (c->found <= 1000 && c->told != NULL)
		c->told(c->arg, text);
}

static const char *
id_text(uint64_t id, char out[SPOOL_ID_LEN + 1])
{
	spool_id_format(id, out);
	return out;
}

static bool
exists(struct check *c, enum dbi d, const void *key, size_t n)
{
	struct span v;
	return db_get(c->t, c->s->dbi[d], key, n, &v) == OK;
}

static void
each(struct check *c, enum dbi d, void (*row)(struct check *, const MDB_val *k, const MDB_val *v))
{
	MDB_cursor *cur;
	MDB_val k, v;
	if (mdb_cursor_open(c->t, c->s->dbi[d], &cur) != 0) {
		violation(c, "a table cannot be read");
		return;
	}
	while (mdb_cursor_get(cur, &k, &v, MDB_NEXT) == 0)
		row(c, &k, &v);
	mdb_cursor_close(cur);
}

/* I1, I2, I5: a message has a recipient, its whole content, and its size in the account. */
static void
check_message(struct check *c, const MDB_val *k, const MDB_val *v)
{
	char id[SPOOL_ID_LEN + 1];
	unsigned char key[KEY_BODY];
	struct message_extra x = {0};
	MDB_cursor *cur;
	MDB_val rk, rv;
	if (k->mv_size != KEY_ID) {
		violation(c, "I0 a message with a key of %zu octets", k->mv_size);
		return;
	}
	memcpy(key, k->mv_data, KEY_ID);
	(void)id_text(key_get(key, 8), id);
	struct message *m = message_new();
	if (record_get_message((struct span){v->mv_data, v->mv_size}, m, &x) != OK) {
		violation(c, "I0 message %s: the record is damaged", id);
	} else {
		uint64_t size = 0;
		uint32_t crc = 0;
		for (unsigned i = 0; i < x.chunks; i++) {
			struct span chunk;
			key_put(key + 8, i, 2);
			if (db_get(c->t, c->s->dbi[DB_BODY], key, KEY_BODY, &chunk) != OK)
				break;
			crc = crc32c(crc, chunk.p, chunk.n);
			size += chunk.n;
		}
		if (m->file == 0 && (size != m->size || crc != m->crc))
			violation(c, "I2 message %s: its content is not what was accepted", id);
		c->account += account_of(m->size, x.rcpts_total);
	}
	if (mdb_cursor_open(c->t, c->s->dbi[DB_RCPT], &cur) == 0) {
		if (db_seek(cur, key, KEY_ID, KEY_ID, &rk, &rv) != OK)
			violation(c, "I1 message %s has no recipient and should be gone", id);
		mdb_cursor_close(cur);
	}
	message_unref(&m);
}

/* I3: every unfinished recipient is covered by exactly one schedule row, and has its message. */
static void
check_rcpt(struct check *c, const MDB_val *k, const MDB_val *v)
{
	char id[SPOOL_ID_LEN + 1];
	unsigned char sched[KEY_SCHED];
	struct recipient r = {0};
	const unsigned char *key = k->mv_data;
	if (k->mv_size != KEY_RCPT) {
		violation(c, "I0 a recipient with a key of %zu octets", k->mv_size);
		return;
	}
	(void)id_text(key_get(key, 8), id);
	if (!exists(c, DB_MSG, key, KEY_ID))
		violation(c, "I1 recipient %s/%u has no message", id, (unsigned)key_get(key + 12, 2));
	if (record_get_rcpt((struct span){v->mv_data, v->mv_size}, &r) != OK) {
		violation(c, "I0 recipient %s/%u: the record is damaged", id,
		    (unsigned)key_get(key + 12, 2));
		return;
	}
	struct sched_key row = {(uint8_t)lane_of(r.state), (uint32_t)key_get(key + 8, 4), r.due.ms,
	    key_get(key, 8)};
	sched_key_put(sched, &row);
	if (!exists(c, DB_SCHED, sched, KEY_SCHED))
		violation(c, "I3 recipient %s/%u is in no schedule row", id,
		    (unsigned)key_get(key + 12, 2));
	if (!exists(c, DB_DEST, key + 8, 4))
		violation(c, "I4 recipient %s/%u has no destination", id, (unsigned)key_get(key + 12, 2));
}

/* I3, the other way: a row that covers nobody would be tried for ever. */
static void
check_sched(struct check *c, const MDB_val *k, const MDB_val *v)
{
	char id[SPOOL_ID_LEN + 1];
	unsigned char prefix[KEY_RCPT] = {0};
	struct sched_key row;
	MDB_cursor *cur;
	MDB_val rk, rv;
	bool covers = false;
	(void)v;
	if (k->mv_size != KEY_SCHED) {
		violation(c, "I0 a schedule row with a key of %zu octets", k->mv_size);
		return;
	}
	sched_key_get(k->mv_data, &row);
	key_put(prefix, row.id, 8);
	key_put(prefix + 8, row.dest, 4);
	if (mdb_cursor_open(c->t, c->s->dbi[DB_RCPT], &cur) != 0)
		return;
	for (enum err e = db_seek(cur, prefix, KEY_RCPT, 12, &rk, &rv); e == OK && !covers;
	     e = db_next(cur, prefix, 12, &rk, &rv)) {
		struct recipient r = {0};
		covers = record_get_rcpt((struct span){rv.mv_data, rv.mv_size}, &r) != OK ||
		    (lane_of(r.state) == row.lane && r.due.ms == row.due);
	}
	mdb_cursor_close(cur);
	if (!covers)
		violation(c, "I3 a schedule row of %s covers no recipient", id_text(row.id, id));
}

/* I2, the other way: content without a message is space that nobody gives back. */
static void
check_body(struct check *c, const MDB_val *k, const MDB_val *v)
{
	char id[SPOOL_ID_LEN + 1];
	(void)v;
	if (k->mv_size != KEY_BODY)
		violation(c, "I0 a chunk with a key of %zu octets", k->mv_size);
	else if (!exists(c, DB_MSG, k->mv_data, KEY_ID))
		violation(c, "I2 content of %s without its message",
		    id_text(key_get(k->mv_data, 8), id));
}

/* I4: names and numbers of destinations are each other's inverse. */
static void
check_dest(struct check *c, const MDB_val *k, const MDB_val *v)
{
	struct span number;
	if (k->mv_size != 4 ||
	    db_get(c->t, c->s->dbi[DB_DESTNAME], v->mv_data, v->mv_size, &number) != OK ||
	    number.n != 4 || memcmp(number.p, k->mv_data, 4) != 0)
		violation(c, "I4 a destination's name and number do not fit");
}

static void
check_meta(struct check *c)
{
	uint64_t bytes = 0, last = 0;
	MDB_cursor *cur;
	MDB_val k, v;
	(void)db_get_u64(c->t, c->s, "bytes", &bytes);
	(void)db_get_u64(c->t, c->s, "id", &last);
	if (bytes != c->account)
		violation(c, "I5 the account says %llu octets, there are %llu",
		    (unsigned long long)bytes, (unsigned long long)c->account);
	if (mdb_cursor_open(c->t, c->s->dbi[DB_MSG], &cur) != 0)
		return;
	if (mdb_cursor_get(cur, &k, &v, MDB_LAST) == 0 && k.mv_size == KEY_ID &&
	    key_get(k.mv_data, 8) > last)
		violation(c, "I6 an id above the high-water mark: it could be given out again");
	mdb_cursor_close(cur);
}

/* I2 for large content: each named file is there and whole (its checksum is read). */
static void
check_files(struct check *c)
{
	struct message *m[50], *whole;
	char id[SPOOL_ID_LEN + 1];
	uint64_t after = 0;
	size_t n = COUNT_OF(m);
	while (n == COUNT_OF(m) && spool_read_messages(c->r, after, m, COUNT_OF(m), &n) == OK) {
		for (size_t i = 0; i < n; i++) {
			after = m[i]->id;
			enum err e = OK;
			if (m[i]->file != 0) {
				e = spool_read_message(c->r, m[i]->id, true, &whole);
				message_unref(&whole);
			}
			if (e != OK && e != ERR_NOT_FOUND)
				violation(c, "I2 message %s: its file is missing or damaged",
				    id_text(m[i]->id, id));
			message_unref(&m[i]);
		}
	}
}

enum err
spool_check(struct spool_reader *r, void (*told)(void *arg, const char *sentence), void *arg,
    uint64_t *found)
{
	struct check c = {.r = r, .s = reader_spool(r), .told = told, .arg = arg};
	enum err e = reader_begin(r);
	*found = 0;
	if (e != OK)
		return e;
	c.t = reader_txn(r);
	each(&c, DB_MSG, check_message);
	each(&c, DB_RCPT, check_rcpt);
	each(&c, DB_SCHED, check_sched);
	each(&c, DB_BODY, check_body);
	each(&c, DB_DEST, check_dest);
	check_meta(&c);
	reader_end(r);
	check_files(&c);
	*found = c.found;
	return OK;
}
