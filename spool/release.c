/* SPDX-License-Identifier: ISC */
/*
 * release - who holds a message's content, and how it goes when nobody does.
 *
 * Recipients hold it by their rows, mails by a count (table ref).  With the last
 * recipient a message that mails still hold moves from msg to kept.  A mail that is
 * deleted with many others leaves a row in freed instead of letting go at once, so
 * that one transaction can delete a whole mailbox; the writer lets go in slices.
 */
#include "base/mem.h"
#include "spool/private.h"

#define SLICE_ROWS_MAX 200
#define SLICE_WORK (4u << 20)

/* ---- content */

/* All chunks, whatever the message's record says of their number. */
enum err
delete_body(struct batch *b, uint64_t id)
{
	unsigned char key[KEY_BODY] = {0};
	MDB_cursor *c;
	MDB_val k, v;
	key_put(key, id, 8);
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_BODY], &c));
	if (e != OK)
		return e;
	while (e == OK && (e = db_seek(c, key, KEY_BODY, KEY_ID, &k, &v)) == OK) {
		b->work += v.mv_size;
		e = db_err(mdb_cursor_del(c, 0));
	}
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

void
will_unlink(struct batch *b, uint64_t file)
{
	if (b->unlink_n == b->unlink_cap) {
		b->unlink_cap = b->unlink_cap ? b->unlink_cap * 2 : 8;
		b->unlink = mem_resize(b->unlink, b->unlink_cap, sizeof(*b->unlink));
	}
	b->unlink[b->unlink_n++] = file;
}

static enum err
sum_accounts(struct batch *b, enum dbi d, uint64_t *sum)
{
	MDB_cursor *c;
	MDB_val k, v;
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[d], &c));
	if (e != OK)
		return e;
	while ((e = db_next(c, NULL, 0, &k, &v)) == OK) {
		struct message_extra x;
		uint64_t size, file;
		if (record_get_sizes(
			(struct span){v.mv_data, v.mv_size}, &size, &file, &x) == OK)
			*sum += account_of(size, x.rcpts_total);
	}
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

/* The account anew: what a damaged message had in it is not known. */
enum err
recount(struct batch *b)
{
	MDB_stat mails;
	uint64_t sum = 0;
	enum err e = sum_accounts(b, DB_MSG, &sum);
	if (e == OK)
		e = sum_accounts(b, DB_KEPT, &sum);
	if (e == OK)
		e = db_err(mdb_stat(b->txn, b->spool->dbi[DB_MAIL], &mails));
	if (e == OK)
		sum += MAIL_OVERHEAD * (uint64_t)mails.ms_entries;
	b->bytes = (int64_t)(sum - atomic_load(&b->spool->bytes));
	return e;
}

/* ---- holders */

enum err
count_holders(struct batch *b, uint64_t id, uint32_t *n)
{
	unsigned char key[KEY_ID];
	struct span v;
	key_put(key, id, 8);
	*n = 0;
	enum err e = db_get(b->txn, b->spool->dbi[DB_REF], key, KEY_ID, &v);
	if (e == ERR_NOT_FOUND)
		return OK;
	if (e == OK && v.n != 4)
		return ERR_DAMAGED;
	if (e == OK)
		*n = (uint32_t)key_get((const unsigned char *)v.p, 4);
	return e;
}

static enum err
set_holders(struct batch *b, uint64_t id, uint32_t n)
{
	unsigned char key[KEY_ID], value[4];
	key_put(key, id, 8);
	if (n == 0)
		return db_del(b->txn, b->spool->dbi[DB_REF], key, KEY_ID);
	key_put(value, n, 4);
	return db_put(b->txn, b->spool->dbi[DB_REF], key, KEY_ID,
	    (struct span){(char *)value, 4}, 0);
}

enum err
hold_message(struct batch *b, uint64_t id, uint32_t more)
{
	uint32_t n;
	enum err e = count_holders(b, id, &n);
	return e == OK ? set_holders(b, id, n + more) : e;
}

static enum err
delete_kept(struct batch *b, uint64_t id)
{
	unsigned char key[KEY_ID];
	struct message_extra x = {0};
	struct span v;
	uint64_t size = 0, file = 0;
	key_put(key, id, 8);
	enum err e = db_get(b->txn, b->spool->dbi[DB_KEPT], key, KEY_ID, &v);
	if (e == ERR_NOT_FOUND)
		return OK; /* recipients hold it, too */
	bool damaged = e == OK && record_get_sizes(v, &size, &file, &x) != OK;
	if (e == OK)
		e = db_del(b->txn, b->spool->dbi[DB_KEPT], key, KEY_ID);
	if (e == OK && (x.chunks > 0 || damaged))
		e = delete_body(b, id);
	if (e == OK)
		e = delete_structure(b, id);
	if (damaged)
		return e == OK ? recount(b) : e;
	if (file != 0)
		will_unlink(b, file);
	b->bytes -= (int64_t)account_of(size, x.rcpts_total);
	b->work += MAIL_OVERHEAD;
	return e;
}

enum err
release_message(struct batch *b, uint64_t id)
{
	uint32_t n;
	enum err e = count_holders(b, id, &n);
	if (e != OK || n == 0)
		return e;
	e = set_holders(b, id, n - 1);
	return e == OK && n == 1 ? delete_kept(b, id) : e;
}

/* ---- later */

enum err
release_later(struct batch *b, uint64_t mail, uint64_t message)
{
	unsigned char key[KEY_ID], value[8];
	key_put(key, mail, 8);
	key_put(value, message, 8);
	b->freed = true;
	return db_put(b->txn, b->spool->dbi[DB_FREED], key, KEY_ID,
	    (struct span){(char *)value, 8}, 0);
}

static enum err
release_first(struct batch *b)
{
	MDB_cursor *c;
	MDB_val k, v;
	uint64_t id = 0;
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_FREED], &c));
	if (e != OK)
		return e;
	e = db_err(mdb_cursor_get(c, &k, &v, MDB_FIRST));
	if (e == OK && v.mv_size == 8)
		id = key_get(v.mv_data, 8);
	if (e == OK)
		e = db_err(mdb_cursor_del(c, 0));
	mdb_cursor_close(c);
	return e == OK && id != 0 ? release_message(b, id) : e;
}

enum err
release_slice(struct batch *b, bool *more)
{
	enum err e = OK;
	for (size_t i = 0; i < SLICE_ROWS_MAX && b->work < SLICE_WORK && e == OK; i++)
		e = release_first(b);
	*more = e != ERR_NOT_FOUND;
	return e == ERR_NOT_FOUND ? OK : e;
}
