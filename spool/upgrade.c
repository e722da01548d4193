/* SPDX-License-Identifier: ISC */
/* upgrade - mailboxes of format 2 do not say how many of their mails are unseen or
 * deleted, nor which are recent: counted once, in the transaction that opens the spool.
 */
#include <string.h>

#include "base/fault.h"
#include "spool/private.h"

static enum err
count_mails(struct spool *s, MDB_txn *t, uint32_t number, struct mbox_record *m)
{
	unsigned char key[KEY_MAIL];
	MDB_cursor *c;
	MDB_val k, v;
	mail_key_put(key, number, 0);
	enum err e = db_err(mdb_cursor_open(t, s->dbi[DB_MAIL], &c));
	if (e != OK)
		return e;
	for (e = db_seek(c, key, KEY_MAIL, 4, &k, &v); e == OK;
	     e = db_next(c, key, 4, &k, &v)) {
		struct mail_record mail;
		if (record_get_mail((struct span){v.mv_data, v.mv_size}, &mail) != OK)
			continue;
		m->unseen += !(mail.flags & MAIL_SEEN);
		m->deleted += (mail.flags & MAIL_DELETED) != 0;
	}
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

static enum err
upgrade_one(
    struct spool *s, MDB_txn *t, MDB_cursor *c, const MDB_val *k, const MDB_val *v)
{
	struct mbox_record m;
	struct buf b;
	char number[4]; /* the key lies in the page that the put rearranges */
	if (k->mv_size != sizeof(number) ||
	    record_get_mbox((struct span){v->mv_data, v->mv_size}, &m) != OK || m.counted)
		return OK; /* spool_check tells of a damaged one */
	enum err e = count_mails(s, t, (uint32_t)key_get(k->mv_data, 4), &m);
	m.recent = 1;
	m.gone_since = m.modseq;
	buf_init(&b, RECORD_MAX);
	record_put_mbox(&b, &m);
	memcpy(number, k->mv_data, sizeof(number));
	MDB_val key = {sizeof(number), number}, value = {b.n, b.p};
	if (e == OK && FAULT("spool.upgrade"))
		e = ERR_DISK_FULL;
	if (e == OK)
		e = db_err(mdb_cursor_put(c, &key, &value, MDB_CURRENT));
	buf_clear(&b);
	return e;
}

enum err
upgrade_mailboxes(struct spool *s, MDB_txn *t)
{
	MDB_cursor *c;
	MDB_val k, v;
	enum err e = db_err(mdb_cursor_open(t, s->dbi[DB_MBOX], &c));
	if (e != OK)
		return e;
	while (e == OK && (e = db_err(mdb_cursor_get(c, &k, &v, MDB_NEXT))) == OK)
		e = upgrade_one(s, t, c, &k, &v);
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}
