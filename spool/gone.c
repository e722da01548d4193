/* SPDX-License-Identifier: ISC */
/*
 * gone - which uids went at which modseq, so that a client that comes back hears what it
 * has missed (RFC 7162, VANISHED).  Runs of uids are one row; of each mailbox the latest
 * GONE_MAX rows are kept, and gone_since says from where on they are all there.
 */
#include "spool/private.h"
#include "spool/tray.h"

static enum err
prune(struct batch *b, struct mbox *m)
{
	unsigned char key[KEY_GONE];
	MDB_cursor *c;
	MDB_val k, v;
	gone_key_put(key, m->number, 0, 0);
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_GONE], &c));
	if (e != OK)
		return e;
	while (e == OK && m->record.gones > GONE_MAX &&
	       (e = db_seek(c, key, KEY_GONE, 4, &k, &v)) == OK) {
		uint64_t modseq = key_get((const unsigned char *)k.mv_data + 4, 8);
		if (modseq > m->record.gone_since)
			m->record.gone_since = modseq;
		m->record.gones--;
		e = db_err(mdb_cursor_del(c, 0));
	}
	mdb_cursor_close(c);
	if (e == ERR_NOT_FOUND) {
		m->record.gones = 0;
		return OK;
	}
	return e;
}

enum err
gone_flush(struct batch *b, struct mbox *m)
{
	unsigned char key[KEY_GONE], last[4];
	if (m->gone_first == 0)
		return OK;
	gone_key_put(key, m->number, m->record.modseq, m->gone_first);
	key_put(last, m->gone_last, 4);
	enum err e = db_put(b->txn, b->spool->dbi[DB_GONE], key, KEY_GONE,
	    (struct span){(char *)last, 4}, 0);
	m->gone_first = m->gone_last = 0;
	m->record.gones++;
	return e == OK && m->record.gones > GONE_MAX ? prune(b, m) : e;
}

enum err
gone_add(struct batch *b, struct mbox *m, uint32_t uid)
{
	bool behind = uid == m->gone_last + 1, before = uid + 1 == m->gone_first;
	if (m->gone_first != 0 && (behind || before)) {
		m->gone_last += behind;
		m->gone_first -= before;
		return OK;
	}
	enum err e = gone_flush(b, m);
	m->gone_first = m->gone_last = uid;
	return e;
}

enum err
gone_delete_all(struct batch *b, uint32_t number)
{
	unsigned char key[KEY_GONE];
	MDB_cursor *c;
	MDB_val k, v;
	gone_key_put(key, number, 0, 0);
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_GONE], &c));
	if (e != OK)
		return e;
	while (e == OK && (e = db_seek(c, key, KEY_GONE, 4, &k, &v)) == OK)
		e = db_err(mdb_cursor_del(c, 0));
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- in a snapshot */

static enum err
read_gone(struct spool_reader *r, uint32_t number, uint64_t since,
    void (*told)(void *arg, uint32_t first, uint32_t last, uint64_t modseq), void *arg)
{
	unsigned char key[KEY_GONE], n[4];
	struct mbox_record m;
	struct span value;
	MDB_cursor *c;
	MDB_val k, v;
	key_put(n, number, 4);
	enum err e = db_get(reader_txn(r), reader_spool(r)->dbi[DB_MBOX], n, 4, &value);
	if (e == OK)
		e = record_get_mbox(value, &m);
	if (e == OK && since < m.gone_since)
		return ERR_RANGE;
	if (e == OK && since == UINT64_MAX)
		return OK;
	gone_key_put(key, number, since + 1, 0);
	if (e == OK)
		e = db_err(
		    mdb_cursor_open(reader_txn(r), reader_spool(r)->dbi[DB_GONE], &c));
	if (e != OK)
		return e;
	for (e = db_seek(c, key, KEY_GONE, 4, &k, &v); e == OK;
	     e = db_next(c, key, 4, &k, &v)) {
		const unsigned char *p = k.mv_data;
		if (k.mv_size == KEY_GONE && v.mv_size == 4)
			told(arg, (uint32_t)key_get(p + 12, 4),
			    (uint32_t)key_get(v.mv_data, 4), key_get(p + 4, 8));
	}
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

enum err
spool_read_gone(struct spool_reader *r, uint32_t number, uint64_t since,
    void (*told)(void *arg, uint32_t first, uint32_t last, uint64_t modseq), void *arg)
{
	if (tray_is(number))
		return ERR_RANGE;
	enum err e = reader_begin(r);
	if (e != OK)
		return e;
	e = read_gone(r, number, since, told, arg);
	reader_end(r);
	return e;
}
