/* SPDX-License-Identifier: ISC */
/*
 * reader - snapshot reads.  Each function renews the transaction, copies out
 * and resets it: no snapshot outlives a call, because one that is kept pins
 * pages and makes the file grow without end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/fault.h"
#include "base/hand.h"
#include "base/mem.h"
#include "spool/private.h"

struct spool_reader {
	struct spool *spool;
	MDB_txn *txn; /* reset between uses; NULL before the first */
};

struct spool_reader *
spool_reader_new(struct spool *s)
{
	struct spool_reader *r = NEW(struct spool_reader);
	r->spool = s;
	return r;
}

void
spool_reader_free(struct spool_reader **rp)
{
	struct spool_reader *r = *rp;
	if (r == NULL)
		return;
	if (r->txn != NULL)
		mdb_txn_abort(r->txn);
	mem_free(rp);
}

enum err
reader_begin(struct spool_reader *r)
{
	if (r->txn == NULL)
		return db_err(mdb_txn_begin(r->spool->env, NULL, MDB_RDONLY, &r->txn));
	return db_err(mdb_txn_renew(r->txn));
}

void
reader_end(struct spool_reader *r)
{
	mdb_txn_reset(r->txn);
}

MDB_txn *
reader_txn(struct spool_reader *r)
{
	return r->txn;
}

struct spool *
reader_spool(struct spool_reader *r)
{
	return r->spool;
}

/* ---- messages */

/* The key of a destination; "?" if its row is missing (spool_check reports that). */
static struct span
dest_key(struct spool_reader *r, uint32_t number)
{
	unsigned char n[4];
	struct span v;
	key_put(n, number, 4);
	return db_get(r->txn, r->spool->dbi[DB_DEST], n, 4, &v) == OK ? v : SPAN("?");
}

static enum err
read_recipients(struct spool_reader *r, struct message *m)
{
	unsigned char key[KEY_ID];
	MDB_cursor *c;
	MDB_val k, v;
	key_put(key, m->id, 8);
	enum err e = db_err(mdb_cursor_open(r->txn, r->spool->dbi[DB_RCPT], &c));
	if (e != OK)
		return e;
	for (e = db_seek(c, key, KEY_ID, KEY_ID, &k, &v);
	     e == OK && m->rcpts < MESSAGE_RCPT_MAX;
	     e = db_next(c, key, KEY_ID, &k, &v)) {
		struct recipient rcpt = {0};
		if (k.mv_size != KEY_RCPT)
			continue;
		if (record_get_rcpt((struct span){v.mv_data, v.mv_size}, &rcpt) != OK)
			rcpt.state = RECIPIENT_ASIDE;
		rcpt.dest =
		    dest_key(r, (uint32_t)key_get((unsigned char *)k.mv_data + 8, 4));
		uint16_t index = (uint16_t)key_get((unsigned char *)k.mv_data + 12, 2);
		message_add_rcpt(m, &rcpt)->index = index;
	}
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

static enum err
read_chunks(struct spool_reader *r, struct message *m, unsigned chunks)
{
	unsigned char key[KEY_BODY];
	struct span v;
	enum err e = OK;
	m->content = content_new(NULL);
	key_put(key, m->id, 8);
	for (unsigned i = 0; i < chunks && e == OK; i++) {
		key_put(key + 8, i, 2);
		e = db_get(r->txn, r->spool->dbi[DB_BODY], key, KEY_BODY, &v);
		if (e == OK)
			content_append(m->content, v.p, v.n);
	}
	content_seal(m->content);
	if (e == ERR_NOT_FOUND)
		e = ERR_DAMAGED;
	if (e == OK &&
	    (content_size(m->content) != m->size || content_crc(m->content) != m->crc))
		e = ERR_DAMAGED;
	return e;
}

/* The whole file against its checksum. */
static enum err
check_file(int fd, const struct message *m)
{
	char chunk[64u << 10];
	uint64_t at = 0;
	uint32_t crc = 0;
	for (;;) {
		ssize_t n = pread(fd, chunk, sizeof(chunk), (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_IO;
		if (n == 0)
			return at == m->size && crc == m->crc ? OK : ERR_DAMAGED;
		crc = crc32c(crc, chunk, (size_t)n);
		at += (uint64_t)n;
	}
}

enum err
reader_file(struct spool_reader *r, struct message *m)
{
	char name[FILE_NAME];
	file_name(m->file, name);
	if (FAULT("spool.file.open"))
		return ERR_FULL; /* as without a descriptor */
	int fd = openat(r->spool->commons->big, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_from_errno(errno);
	enum err e = check_file(fd, m);
	if (e == OK)
		m->content = content_from_file(fd, m->size);
	else
		(void)close(fd);
	return e;
}

static enum err
read_envelope(struct spool_reader *r, struct span value, uint64_t id,
    struct message **out, unsigned *chunks)
{
	struct message_extra x = {0};
	struct message *m = message_new();
	m->id = id;
	enum err e = record_get_message(value, m, &x);
	if (e == OK)
		e = read_recipients(r, m);
	*chunks = x.chunks;
	if (e == OK)
		*out = m;
	else
		message_unref(&m);
	return e;
}

enum err
reader_message(
    struct spool_reader *r, uint64_t id, bool with_content, struct message **out)
{
	struct span v;
	enum dbi where;
	unsigned chunks = 0;
	*out = NULL;
	uint64_t was = hand_take(id);
	enum err e = db_get_message(r->txn, r->spool, id, &v, &where);
	if (e == OK)
		e = read_envelope(r, v, id, out, &chunks);
	if (e == OK && with_content && (*out)->file == 0)
		e = read_chunks(r, *out, chunks);
	if (e != OK)
		message_unref(out);
	hand_back(was);
	return e;
}

static enum err
read_one(struct spool_reader *r, uint64_t id, bool with_content, struct message **out)
{
	enum err e = FAULT("spool.read") ? ERR_IO : reader_begin(r);
	if (e != OK)
		return e;
	e = reader_message(r, id, with_content, out);
	reader_end(r);
	return e;
}

enum err
spool_read_message(
    struct spool_reader *r, uint64_t id, bool with_content, struct message **out)
{
	*out = NULL;
	enum err e = read_one(r, id, with_content, out);
	if (e == OK && with_content && (*out)->file != 0)
		e = reader_file(r, *out);
	if (e == ERR_NOT_FOUND && *out != NULL) {
		/* no file: with its message, or without? */
		message_unref(out);
		e = read_one(r, id, false, out) == OK ? ERR_DAMAGED : ERR_NOT_FOUND;
	}
	if (e != OK)
		message_unref(out);
	return e;
}

/* One snapshot's worth; *after moves along, also over damaged records (spool_check names
 * them). */
static enum err
read_slice(
    struct spool_reader *r, uint64_t *after, struct message **out, size_t max, size_t *n)
{
	unsigned char key[KEY_ID];
	MDB_cursor *c;
	MDB_val k, v;
	unsigned chunks;
	key_put(key, *after + 1, 8);
	enum err e = db_err(mdb_cursor_open(r->txn, r->spool->dbi[DB_MSG], &c));
	if (e != OK)
		return e;
	size_t rows = 0;
	for (e = db_seek(c, key, KEY_ID, 0, &k, &v); e == OK;
	     e = db_next(c, key, 0, &k, &v)) {
		if (*n == max || rows++ == SLICE_ROWS)
			break;
		*after = key_get(k.mv_data, 8);
		uint64_t was = hand_take(*after);
		*n += read_envelope(r, (struct span){v.mv_data, v.mv_size}, *after,
			  &out[*n], &chunks) == OK;
		hand_back(was);
	}
	mdb_cursor_close(c);
	return e;
}

enum err
spool_read_messages(
    struct spool_reader *r, uint64_t after, struct message **out, size_t max, size_t *n)
{
	enum err e = OK;
	*n = 0;
	while (e == OK && *n < max && after < UINT64_MAX) {
		e = reader_begin(r);
		if (e != OK)
			return e;
		e = read_slice(r, &after, out, max, n);
		reader_end(r);
	}
	return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- the schedule */

static enum err
collect_due(struct spool_reader *r, const unsigned char *from, struct due_row after,
    struct wall until, struct due_row *out, size_t max, size_t *n)
{
	MDB_cursor *c;
	MDB_val k, v;
	enum err e = db_err(mdb_cursor_open(r->txn, r->spool->dbi[DB_SCHED], &c));
	if (e != OK)
		return e;
	for (e = db_seek(c, from, KEY_SCHED, 5, &k, &v); e == OK && *n < max;
	     e = db_next(c, from, 5, &k, &v)) {
		struct sched_key row;
		sched_key_get(k.mv_data, &row);
		if (row.due > until.ms)
			break;
		if (row.due == after.due.ms && row.id == after.id)
			continue;
		out[(*n)++] = (struct due_row){{row.due}, row.id};
	}
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

enum err
spool_read_due(struct spool_reader *r, struct span dest, struct due_row after,
    struct wall until, struct due_row *out, size_t max, size_t *n)
{
	unsigned char from[KEY_SCHED];
	struct sched_key k = {
	    .lane = LANE_READY, .due = sane_due(after.due).ms, .id = after.id};
	*n = 0;
	if (dest.n == 0 || dest.n > DEST_KEY_MAX)
		return OK;
	enum err e = reader_begin(r);
	if (e != OK)
		return e;
	e = db_get_dest(r->txn, r->spool, dest, &k.dest);
	if (e == OK) {
		sched_key_put(from, &k);
		e = collect_due(r, from, after, until, out, max, n);
	}
	reader_end(r);
	return e == ERR_NOT_FOUND ? OK : e;
}

static enum err
next_dest(struct spool_reader *r, MDB_cursor *c, uint32_t *cursor, struct dest_row *out)
{
	unsigned char from[KEY_SCHED] = {0};
	struct sched_key k = {.lane = LANE_READY, .dest = *cursor + 1};
	MDB_val key, v;
	if (*cursor == UINT32_MAX)
		return ERR_NOT_FOUND;
	sched_key_put(from, &k);
	enum err e = db_seek(c, from, KEY_SCHED, 1, &key, &v);
	if (e != OK)
		return e;
	sched_key_get(key.mv_data, &k);
	*cursor = k.dest;
	out->number = k.dest;
	out->head.ms = k.due;
	span_copy(dest_key(r, k.dest), out->key, sizeof(out->key));
	return OK;
}

enum err
spool_read_dests(
    struct spool_reader *r, uint32_t *cursor, struct dest_row *out, size_t max, size_t *n)
{
	MDB_cursor *c;
	*n = 0;
	enum err e = reader_begin(r);
	if (e != OK)
		return e;
	e = db_err(mdb_cursor_open(r->txn, r->spool->dbi[DB_SCHED], &c));
	if (e == OK) {
		while (*n < max && (e = next_dest(r, c, cursor, &out[*n])) == OK)
			++*n;
		mdb_cursor_close(c);
	}
	reader_end(r);
	return e == ERR_NOT_FOUND ? OK : e;
}

uint64_t
spool_read_mark(struct spool_reader *r, const char *name)
{
	char key[40];
	uint64_t v = 0;
	(void)snprintf(key, sizeof(key), "mark.%s", name);
	if (reader_begin(r) != OK)
		return 0;
	(void)db_get_u64(r->txn, r->spool, key, &v);
	reader_end(r);
	return v;
}

/* ---- figures */

static uint64_t
entries(struct spool_reader *r, enum dbi d)
{
	MDB_stat st;
	return mdb_stat(r->txn, r->spool->dbi[d], &st) == 0 ? st.ms_entries : 0;
}

/* LMDB's own table 0 lists what is free, one record per transaction: a count, then the
 * pages. */
static uint64_t
free_pages(struct spool_reader *r)
{
	MDB_cursor *c;
	MDB_val k, v;
	uint64_t sum = 0;
	if (mdb_cursor_open(r->txn, 0, &c) != 0)
		return 0;
	while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0) {
		size_t n = 0;
		if (v.mv_size >= sizeof(n))
			memcpy(&n, v.mv_data, sizeof(n));
		sum += n;
	}
	mdb_cursor_close(c);
	return sum;
}

static void
read_tables(struct spool_reader *r, struct spool_stat *out)
{
	MDB_envinfo info;
	out->messages = entries(r, DB_MSG);
	out->recipients = entries(r, DB_RCPT);
	out->waiting_rows = entries(r, DB_SCHED);
	out->destinations = entries(r, DB_DEST);
	out->kept = entries(r, DB_KEPT);
	out->mails = entries(r, DB_MAIL);
	out->free_pages = free_pages(r);
	if (mdb_env_info(r->spool->env, &info) == 0 &&
	    info.me_last_pgno + 1 > out->free_pages)
		out->used_pages = info.me_last_pgno + 1 - out->free_pages;
}

enum err
spool_read_stat(struct spool_reader *r, struct spool_stat *out)
{
	struct spool *s = r->spool;
	struct stat st;
	struct statvfs v;
	int fd;
	*out = (struct spool_stat){0};
	enum err e = reader_begin(r);
	if (e != OK)
		return e;
	read_tables(r, out);
	reader_end(r);
	out->bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed);
	out->commits = atomic_load_explicit(&s->commits, memory_order_relaxed);
	out->flush_us_total = atomic_load_explicit(&s->flush_us, memory_order_relaxed);
	out->requests = atomic_load_explicit(&s->requests, memory_order_relaxed);
	if (mdb_env_get_fd(s->env, &fd) == 0 && fstat(fd, &st) == 0)
		out->file_bytes = (uint64_t)st.st_size;
	if (fstatvfs(s->dir, &v) == 0)
		out->disk_free = (uint64_t)v.f_bavail * v.f_frsize;
	return OK;
}

/* ---- history */

enum err
spool_read_history(struct spool_reader *r, struct history_cursor *at, size_t octets,
    bool (*on_event)(void *arg, const struct history_event *e), void *arg)
{
	return history_read(r->spool, at, octets, on_event, arg);
}
