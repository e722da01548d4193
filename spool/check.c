/* SPDX-License-Identifier: ISC */
/*
 * check - the invariants of STATES.md, looked for in a spool; the numbers in
 * the sentences are the numbers there.  What rows say of each other is checked
 * in one snapshot; content is then read message by message, so that no snapshot
 * lives while a whole spool's content goes by.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "spool/check.h"
#include "spool/pages.h"

#define SENTENCES 1000 /* told; all are counted */

__attribute__((format(printf, 2, 3))) void
violation(struct check *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->found++ < SENTENCES && c->told != NULL)
		c->told(c->arg, text);
}

bool
exists(struct check *c, enum dbi d, const void *key, size_t n)
{
	struct span v;
	return db_get(c->t, c->s->dbi[d], key, n, &v) == OK;
}

/* Is there a row that begins with these octets? */
static bool
begins(struct check *c, enum dbi d, const unsigned char *prefix, size_t n)
{
	MDB_cursor *cur;
	MDB_val k, v;
	if (mdb_cursor_open(c->t, c->s->dbi[d], &cur) != 0)
		return false;
	enum err e = db_seek(cur, prefix, n, n, &k, &v);
	mdb_cursor_close(cur);
	return e == OK;
}

bool
key_fits(struct check *c, const MDB_val *k, size_t n, const char *what)
{
	if (k->mv_size == n)
		return true;
	violation(
	    c, "I0: the key of a %s has %zu octets instead of %zu", what, k->mv_size, n);
	return false;
}

/* ---- how far */

#define TELL_STEPS 512

static void
step(struct check *c, uint64_t steps)
{
	uint64_t before = c->done / TELL_STEPS;
	c->done += steps;
	if (c->progress != NULL && c->done / TELL_STEPS != before)
		c->progress(c->arg, c->done < c->total ? c->done : c->total, c->total);
}

/* A message's content takes as many steps as it has chunks, all together. */
static void
plan(struct check *c)
{
	static const enum dbi rows[] = {DB_MSG, DB_BODY, DB_RCPT, DB_SCHED, DB_DEST,
	    DB_DESTNAME, DB_KEPT, DB_MAIL, DB_GONE, DB_MIME};
	uint64_t messages = 0, chunks = 0;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		MDB_stat st;
		if (mdb_stat(c->t, c->s->dbi[rows[i]], &st) != 0)
			continue;
		c->total += st.ms_entries;
		if (rows[i] == DB_MSG || rows[i] == DB_KEPT)
			messages += st.ms_entries;
		if (rows[i] == DB_BODY)
			chunks = st.ms_entries;
	}
	c->content = messages > 0 ? 1 + chunks / messages : 0;
	c->total += messages * c->content;
}

/* ---- msg */

static void
note_file(struct check *c, uint64_t file)
{
	if (c->files == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 64;
		c->file = mem_resize(c->file, c->cap, sizeof(*c->file));
	}
	c->file[c->files++] = file;
}

static void
check_chunks(struct check *c, const unsigned char *id, unsigned chunks, const char *text)
{
	unsigned char key[KEY_BODY];
	memcpy(key, id, KEY_ID);
	for (unsigned i = 0; i < chunks; i++) {
		key_put(key + 8, i, 2);
		if (!exists(c, DB_BODY, key, KEY_BODY)) {
			violation(
			    c, "I2: message %s lacks chunk %u of %u", text, i, chunks);
			return;
		}
	}
	key_put(key + 8, chunks, 2);
	if (exists(c, DB_BODY, key, KEY_BODY))
		violation(c, "I2: message %s has more than its %u chunks", text, chunks);
}

void
check_record(struct check *c, const unsigned char *key, const MDB_val *v, const char *id)
{
	struct message_extra x;
	uint64_t size, file;
	if (record_get_sizes(check_value(v), &size, &file, &x) != OK) {
		violation(c, "I0: the record of message %s is damaged", id);
		c->damaged = true;
		return;
	}
	c->account += account_of(size, x.rcpts_total);
	if (file != 0)
		note_file(c, file);
	check_chunks(c, key, x.chunks, id);
}

static void
check_message(struct check *c, const MDB_val *k, const MDB_val *v)
{
	char id[SPOOL_ID_LEN + 1];
	if (!key_fits(c, k, KEY_ID, "message"))
		return;
	const unsigned char *key = k->mv_data;
	spool_id_format(key_get(key, 8), id);
	if (!begins(c, DB_RCPT, key, KEY_ID))
		violation(c, "I1: message %s has no recipient and should be gone", id);
	check_record(c, key, v, id);
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void
check_files(struct check *c)
{
	if (c->files > 0)
		qsort(c->file, c->files, sizeof(*c->file), by_number);
	for (size_t i = 1; i < c->files; i++)
		if (c->file[i] == c->file[i - 1])
			violation(c, "I2: file %016llx is named by two messages",
			    (unsigned long long)c->file[i]);
}

/* ---- body */

static void
check_body(struct check *c, const MDB_val *k, const MDB_val *v)
{
	char id[SPOOL_ID_LEN + 1];
	(void)v;
	if (!key_fits(c, k, KEY_BODY, "chunk"))
		return;
	const unsigned char *key = k->mv_data;
	uint64_t number = key_get(key, 8);
	if (number == c->body_id)
		return; /* said already, or fine */
	c->body_id = number;
	spool_id_format(number, id);
	if (!exists(c, DB_MSG, key, KEY_ID) && !exists(c, DB_KEPT, key, KEY_ID))
		violation(c, "I2: there is content of %s, but no message", id);
}

/* ---- rcpt */

static void
check_rcpt(struct check *c, const MDB_val *k, const MDB_val *v)
{
	char id[SPOOL_ID_LEN + 1];
	unsigned char sched[KEY_SCHED];
	struct recipient r = {0};
	if (!key_fits(c, k, KEY_RCPT, "recipient"))
		return;
	const unsigned char *key = k->mv_data;
	unsigned index = (unsigned)key_get(key + 12, 2);
	spool_id_format(key_get(key, 8), id);
	if (!exists(c, DB_MSG, key, KEY_ID))
		violation(c, "I1: recipient %s/%u has no message", id, index);
	if (!exists(c, DB_DEST, key + 8, 4))
		violation(
		    c, "I4: recipient %s/%u has a destination without a name", id, index);
	if (record_get_rcpt(check_value(v), &r) != OK) {
		violation(c, "I0: the record of recipient %s/%u is damaged", id, index);
		return;
	}
	struct sched_key row = {(uint8_t)lane_of(r.state), (uint32_t)key_get(key + 8, 4),
	    r.due.ms, key_get(key, 8)};
	sched_key_put(sched, &row);
	if (!exists(c, DB_SCHED, sched, KEY_SCHED))
		violation(
		    c, "I3: recipient %s/%u is in no row of the schedule", id, index);
}

/* ---- sched */

/* A recipient whose record is damaged may be meant by any row. */
static bool
covers_any(struct check *c, const struct sched_key *row)
{
	unsigned char prefix[KEY_RCPT];
	MDB_cursor *cur;
	MDB_val k, v;
	bool covers = false;
	rcpt_key_put(prefix, row->id, row->dest, 0);
	if (mdb_cursor_open(c->t, c->s->dbi[DB_RCPT], &cur) != 0)
		return false;
	for (enum err e = db_seek(cur, prefix, KEY_RCPT, 12, &k, &v); e == OK && !covers;
	     e = db_next(cur, prefix, 12, &k, &v)) {
		struct recipient r = {0};
		covers =
		    record_get_rcpt(check_value(&v), &r) != OK ||
		    (lane_of(r.state) == (enum lane)row->lane && r.due.ms == row->due);
	}
	mdb_cursor_close(cur);
	return covers;
}

static void
check_sched(struct check *c, const MDB_val *k, const MDB_val *v)
{
	char id[SPOOL_ID_LEN + 1];
	struct sched_key row;
	(void)v;
	if (!key_fits(c, k, KEY_SCHED, "row of the schedule"))
		return;
	sched_key_get(k->mv_data, &row);
	spool_id_format(row.id, id);
	if (!covers_any(c, &row))
		violation(c, "I3: a row of the schedule for %s covers no recipient", id);
}

/* ---- dest, destname */

static void
check_dest(struct check *c, const MDB_val *k, const MDB_val *v)
{
	struct span number;
	if (!key_fits(c, k, 4, "destination"))
		return;
	if (db_get(c->t, c->s->dbi[DB_DESTNAME], v->mv_data, v->mv_size, &number) != OK ||
	    number.n != 4 || memcmp(number.p, k->mv_data, 4) != 0)
		violation(c, "I4: the name of destination %llu does not lead back to it",
		    (unsigned long long)key_get(k->mv_data, 4));
}

static void
check_destname(struct check *c, const MDB_val *k, const MDB_val *v)
{
	struct span name;
	if (v->mv_size != 4 ||
	    db_get(c->t, c->s->dbi[DB_DEST], v->mv_data, 4, &name) != OK ||
	    !span_eq(name, check_value(k)))
		violation(c, "I4: a destination's name leads to another one");
}

/* ---- meta */

uint64_t
highest(struct check *c, enum dbi d, size_t bytes)
{
	MDB_cursor *cur;
	MDB_val k, v;
	uint64_t n = 0;
	if (mdb_cursor_open(c->t, c->s->dbi[d], &cur) != 0)
		return 0;
	if (mdb_cursor_get(cur, &k, &v, MDB_LAST) == 0 && k.mv_size >= bytes)
		n = key_get(k.mv_data, bytes);
	mdb_cursor_close(cur);
	return n;
}

static void
check_meta(struct check *c)
{
	uint64_t bytes = 0, id = 0, dest = 0;
	(void)db_get_u64(c->t, c->s, "bytes", &bytes);
	(void)db_get_u64(c->t, c->s, "id", &id);
	(void)db_get_u64(c->t, c->s, "dest", &dest);
	if (bytes != c->account && !c->damaged)
		violation(c, "I5: the account says %llu octets, the messages %llu",
		    (unsigned long long)bytes, (unsigned long long)c->account);
	if (highest(c, DB_MSG, 8) > id || highest(c, DB_BODY, 8) > id ||
	    highest(c, DB_RCPT, 8) > id)
		violation(c, "I6: an id is above the high-water mark and could be given "
			     "out again");
	if (highest(c, DB_KEPT, 8) > id || c->highest_mail > id)
		violation(c, "I6: an id of a mailbox is above the high-water mark");
	if (highest(c, DB_DEST, 4) > dest)
		violation(c, "I6: a destination's number could be given out again");
}

/* ---- content */

static void
check_content(struct check *c, uint64_t id)
{
	struct message *m;
	char text[SPOOL_ID_LEN + 1];
	enum err e = spool_read_message(c->r, id, true, &m);
	message_unref(&m);
	spool_id_format(id, text);
	if (e != OK && e != ERR_NOT_FOUND) /* gone meanwhile is fine */
		violation(c, "I2: the content of message %s is not what was accepted: %s",
		    text, err_text(e));
	step(c, c->content);
}

/* Those that only mails hold: ids from a slice of the table at a time. */
static void
check_kept_contents(struct check *c)
{
	uint64_t id[100], after = 0;
	size_t n = COUNT_OF(id);
	while (
	    n == COUNT_OF(id) && check_kept_slice(c, after, id, COUNT_OF(id), &n) == OK)
		for (size_t i = 0; i < n; i++) {
			after = id[i];
			check_content(c, after);
		}
}

static void
check_contents(struct check *c)
{
	struct message *m[100];
	uint64_t after = 0;
	size_t n = COUNT_OF(m);
	while (n == COUNT_OF(m) &&
	       spool_read_messages(c->r, after, m, COUNT_OF(m), &n) == OK)
		for (size_t i = 0; i < n; i++) {
			after = m[i]->id;
			message_unref(&m[i]);
			check_content(c, after);
		}
}

/* ---- all */

void
each(struct check *c, enum dbi d,
    void (*row)(struct check *, const MDB_val *k, const MDB_val *v))
{
	MDB_cursor *cur;
	MDB_val k, v;
	int rc = mdb_cursor_open(c->t, c->s->dbi[d], &cur);
	if (rc != 0) {
		violation(c, "I0: a table cannot be read: %s", mdb_strerror(rc));
		return;
	}
	while ((rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT)) == 0) {
		row(c, &k, &v);
		step(c, 1);
	}
	if (rc != MDB_NOTFOUND)
		violation(
		    c, "I0: a table cannot be read to its end: %s", mdb_strerror(rc));
	mdb_cursor_close(cur);
}

/* The database itself: what LMDB trusts must be right before it is let near it. */
static enum err
check_pages(struct check *c)
{
	uint64_t found = 0;
	int fd;
	if (mdb_env_get_fd(c->s->env, &fd) != 0)
		return ERR_IO;
	enum err e = pages_check(fd, mdb_txn_id(c->t), c->told, c->arg, &found);
	c->found += found;
	if (found > 0)
		violation(c, "I0: rows and content cannot be looked at: " DB_DAMAGED);
	return e;
}

/* A snapshot whose pages are sound; with a violation or an error there is none. */
static enum err
begin(struct check *c)
{
	enum err e;
	do { /* the writer may have gone on before we have found it */
		e = reader_begin(c->r);
		if (e != OK)
			return e;
		c->t = reader_txn(c->r);
		e = check_pages(c);
		if (e != OK || c->found > 0)
			reader_end(c->r);
	} while (e == ERR_AGAIN);
	return e;
}

enum err
spool_check(struct spool_reader *r, void (*told)(void *arg, const char *sentence),
    void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg,
    uint64_t *found)
{
	struct check c = {.r = r, .s = reader_spool(r), .told = told, .arg = arg};
	c.progress = progress;
	enum err e = begin(&c);
	*found = c.found;
	if (e != OK || c.found > 0)
		return e;
	plan(&c);
	each(&c, DB_MSG, check_message);
	each(&c, DB_BODY, check_body);
	each(&c, DB_RCPT, check_rcpt);
	each(&c, DB_SCHED, check_sched);
	each(&c, DB_DEST, check_dest);
	each(&c, DB_DESTNAME, check_destname);
	check_mailboxes(&c);
	check_files(&c);
	check_meta(&c);
	reader_end(r);
	check_contents(&c);
	check_kept_contents(&c);
	mem_free(&c.file);
	if (progress != NULL)
		progress(arg, c.total, c.total);
	*found = c.found;
	return OK;
}
