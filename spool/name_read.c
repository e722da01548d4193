/* SPDX-License-Identifier: ISC */
/* name_read - the names of an owner's mailboxes, and of a mailbox's keywords. */
#include "base/mem.h"
#include "spool/private.h"
#include "spool/tray.h"

enum err
reader_mbox(struct spool_reader *r, uint32_t number, struct span owner, struct span name,
    struct mbox_record *out)
{
	unsigned char n[4];
	struct span v;
	key_put(n, number, 4);
	enum err e = db_get(reader_txn(r), reader_spool(r)->dbi[DB_MBOX], n, 4, &v);
	if (e == OK)
		e = record_get_mbox(v, out);
	return e == OK && !mbox_is(out, owner, name) ? ERR_DAMAGED : e;
}

static enum err
collect(struct spool_reader *r, struct span owner, struct span after,
    struct mailbox_name *out, size_t max, size_t *n)
{
	char key[NAME_KEY_MAX + 1];
	MDB_cursor *c;
	MDB_val k, v;
	size_t size = mbox_name_key(owner, after, key);
	if (after.n > 0)
		key[size++] = '\0'; /* the first that could follow it */
	enum err e =
	    db_err(mdb_cursor_open(reader_txn(r), reader_spool(r)->dbi[DB_MBOXNAME], &c));
	if (e != OK)
		return e;
	for (e = db_seek(c, key, size, owner.n + 1, &k, &v); e == OK && *n < max;
	     e = db_next(c, key, owner.n + 1, &k, &v)) {
		struct name_record at;
		if (record_get_name((struct span){v.mv_data, v.mv_size}, &at) != OK)
			continue; /* spool_check tells of it */
		struct mbox_record m = {.use = MAILBOX_PLAIN};
		struct span name = {
		    (char *)k.mv_data + owner.n + 1, k.mv_size - owner.n - 1};
		enum err is =
		    at.number == 0 ? OK : reader_mbox(r, at.number, owner, name, &m);
		if (is == ERR_DAMAGED && m.owner.n > 0)
			continue; /* another mailbox's number */
		struct mailbox_name *row = &out[(*n)++];
		*row = (struct mailbox_name){
		    .number = at.number, .subscribed = at.subscribed};
		span_copy(name, row->name, sizeof(row->name));
		row->use = (enum mailbox_use)m.use;
	}
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

enum err
spool_read_names(struct spool_reader *r, struct span owner, struct span after,
    struct mailbox_name *out, size_t max, size_t *n)
{
	*n = 0;
	if (owner.n == 0 || owner.n > MAILBOX_OWNER_MAX || after.n > MAILBOX_NAME_MAX)
		return OK;
	enum err e = reader_begin(r);
	if (e != OK)
		return e;
	e = collect(r, owner, after, out, max, n);
	reader_end(r);
	return e;
}

/* ---- keywords */

void
mailbox_keywords_clear(struct mailbox_keywords *k)
{
	for (size_t i = 0; i < k->n; i++)
		mem_free(&k->name[i]);
	k->n = 0;
}

static void
split(struct span all, struct mailbox_keywords *out)
{
	while (all.n > 0 && out->n < MAILBOX_KEYWORDS_MAX) {
		size_t n = span_find(all, '\0');
		out->name[out->n++] = span_dup(span_cut(all, 0, n));
		all = span_cut(all, n + 1, all.n);
	}
}

enum err
spool_read_keywords(struct spool_reader *r, uint32_t number, struct mailbox_keywords *out)
{
	unsigned char n[4];
	struct mbox_record m;
	struct span v;
	out->n = 0;
	if (tray_is(number)) {
		tray_read_keywords(out);
		return OK;
	}
	key_put(n, number, 4);
	enum err e = reader_begin(r);
	if (e != OK)
		return e;
	e = db_get(reader_txn(r), reader_spool(r)->dbi[DB_MBOX], n, 4, &v);
	if (e == OK)
		e = record_get_mbox(v, &m);
	if (e == OK)
		split(m.keywords, out);
	reader_end(r);
	return e;
}
