/* SPDX-License-Identifier: ISC */
/*
 * note - annotations of an owner and of his mailboxes (RFC 5464): rows by owner, name and
 * entry, with a NUL between.  They are counted by owner, go with the mailbox, and go
 * where it goes when it is renamed.
 */
#include <string.h>

#include "spool/private.h"

#define NOTE_KEY_MAX 511

static size_t
note_key(struct span owner, struct span name, struct span entry, char out[NOTE_KEY_MAX])
{
	size_t n = owner.n + 1 + name.n + 1 + entry.n;
	if (n > NOTE_KEY_MAX)
		return 0;
	memcpy(out, owner.p, owner.n);
	out[owner.n] = '\0';
	if (name.n > 0)
		memcpy(out + owner.n + 1, name.p, name.n);
	out[owner.n + 1 + name.n] = '\0';
	if (entry.n > 0)
		memcpy(out + owner.n + 1 + name.n + 1, entry.p, entry.n);
	return n;
}

/* Of one name, or all of an owner's; how many there are, if only counted. */
static enum err
walk_notes(struct batch *b, struct span owner, struct span name, bool all, size_t *count)
{
	char key[NOTE_KEY_MAX];
	MDB_cursor *c;
	MDB_val k, v;
	size_t n = note_key(owner, name, SPAN(""), key);
	if (n == 0)
		return OK;
	n = all ? owner.n + 1 : n;
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_NOTE], &c));
	if (e != OK)
		return e;
	e = db_seek(c, key, n, n, &k, &v);
	while (e == OK) {
		if (count != NULL) {
			++*count;
			e = db_next(c, key, n, &k, &v);
			continue;
		}
		e = db_err(mdb_cursor_del(c, 0));
		if (e == OK)
			e = db_seek(c, key, n, n, &k, &v);
	}
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

enum err
count_notes(struct batch *b, struct span owner, size_t *n)
{
	*n = 0;
	return walk_notes(b, owner, SPAN(""), true, n);
}

enum err
delete_notes(struct batch *b, struct span owner, struct span name, bool all)
{
	return walk_notes(b, owner, name, all, NULL);
}

static bool
has_nul(struct span s)
{
	return s.n > 0 && memchr(s.p, '\0', s.n) != NULL;
}

enum err
apply_note(struct batch *b, const struct mailbox_request *q)
{
	char key[NOTE_KEY_MAX];
	size_t n = note_key(q->owner, q->name, q->entry, key), has = 0;
	struct span v;
	if (n == 0 || q->entry.n == 0 || has_nul(q->entry) || has_nul(q->name))
		return ERR_RANGE;
	if (q->value.p == NULL)
		return db_del(b->txn, b->spool->dbi[DB_NOTE], key, n);
	if (q->value.n > MAILBOX_NOTE_MAX)
		return ERR_RANGE;
	enum err e = db_get(b->txn, b->spool->dbi[DB_NOTE], key, n, &v);
	if (e == ERR_NOT_FOUND)
		e = count_notes(b, q->owner, &has);
	if (e == OK && has >= MAILBOX_NOTES_MAX)
		return ERR_FULL;
	buf_reset(&b->record);
	record_put_octets(&b->record, q->value);
	return e == OK ? db_put(b->txn, b->spool->dbi[DB_NOTE], key, n,
			     buf_span(&b->record), 0)
		       : e;
}

/* ---- a mailbox is renamed */

/* One of its annotations: where it is, what it says, where it goes. */
struct moving {
	char from[NOTE_KEY_MAX], to[NOTE_KEY_MAX];
	size_t from_n, to_n;
};

/* ERR_RANGE: it would not fit there. */
static enum err
where_to(struct span owner, struct span to, size_t prefix, const MDB_val *k,
    struct moving *out)
{
	struct span key = {k->mv_data, k->mv_size};
	if (key.n > sizeof(out->from) || key.n < prefix)
		return ERR_RANGE;
	memcpy(out->from, key.p, key.n);
	out->from_n = key.n;
	out->to_n = note_key(owner, to, span_cut(key, prefix, key.n), out->to);
	return out->to_n == 0 ? ERR_RANGE : OK;
}

enum err
notes_fit(struct batch *b, struct span owner, struct span from, struct span to)
{
	struct moving x;
	MDB_cursor *c;
	MDB_val k, v;
	char key[NOTE_KEY_MAX];
	size_t n = note_key(owner, from, SPAN(""), key);
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_NOTE], &c));
	if (e != OK)
		return e;
	for (e = db_seek(c, key, n, n, &k, &v); e == OK; e = db_next(c, key, n, &k, &v)) {
		if (where_to(owner, to, n, &k, &x) != OK)
			break;
	}
	mdb_cursor_close(c);
	return e == OK ? ERR_RANGE : e == ERR_NOT_FOUND ? OK : e;
}

/* The first that is left, as it is: its checksum goes along. */
static enum err
move_first(struct batch *b, struct span owner, struct span from, struct span to)
{
	struct moving x;
	MDB_cursor *c;
	MDB_val k, v;
	char key[NOTE_KEY_MAX];
	size_t n = note_key(owner, from, SPAN(""), key);
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_NOTE], &c));
	if (e != OK)
		return e;
	e = db_seek(c, key, n, n, &k, &v);
	if (e == OK)
		e = where_to(owner, to, n, &k, &x);
	buf_reset(&b->record);
	if (e == OK)
		buf_add(&b->record, v.mv_data, v.mv_size);
	mdb_cursor_close(c);
	if (e == OK)
		e = db_put(b->txn, b->spool->dbi[DB_NOTE], x.to, x.to_n,
		    buf_span(&b->record), 0);
	return e == OK ? db_del(b->txn, b->spool->dbi[DB_NOTE], x.from, x.from_n) : e;
}

enum err
move_notes(struct batch *b, struct span owner, struct span from, struct span to)
{
	enum err e = OK;
	while (e == OK)
		e = move_first(b, owner, from, to);
	return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- reading annotations, in a snapshot */

static enum err
read_note(struct spool_reader *r, struct span owner, struct span name, struct span entry,
    struct buf *out)
{
	char key[NOTE_KEY_MAX];
	struct span v, text = {NULL, 0};
	size_t n = note_key(owner, name, entry, key);
	enum err e =
	    n == 0 ? ERR_NOT_FOUND
		   : db_get(reader_txn(r), reader_spool(r)->dbi[DB_NOTE], key, n, &v);
	if (e == OK)
		e = record_get_octets(v, &text);
	if (e == OK)
		buf_add_span(out, text);
	return e;
}

enum err
spool_read_note(struct spool_reader *r, struct span owner, struct span name,
    struct span entry, struct buf *out)
{
	enum err e = reader_begin(r);
	if (e != OK)
		return e;
	e = read_note(r, owner, name, entry, out);
	reader_end(r);
	return e;
}

static enum err
next_note(struct spool_reader *r, struct span owner, struct span name, struct span after,
    struct buf *entry, struct buf *value)
{
	char key[NOTE_KEY_MAX + 1];
	MDB_cursor *c;
	MDB_val k, v;
	size_t prefix = note_key(owner, name, SPAN(""), key);
	size_t n = note_key(owner, name, after, key);
	struct span text = {NULL, 0};
	if (n == 0 || prefix == 0)
		return ERR_NOT_FOUND;
	if (after.n > 0)
		key[n++] = '\0';
	enum err e =
	    db_err(mdb_cursor_open(reader_txn(r), reader_spool(r)->dbi[DB_NOTE], &c));
	if (e != OK)
		return e;
	e = db_seek(c, key, n, prefix, &k, &v);
	if (e == OK)
		e = record_get_octets((struct span){v.mv_data, v.mv_size}, &text);
	if (e == OK) {
		buf_add(entry, (char *)k.mv_data + prefix, k.mv_size - prefix);
		buf_add_span(value, text);
	}
	mdb_cursor_close(c);
	return e;
}

enum err
spool_next_note(struct spool_reader *r, struct span owner, struct span name,
    struct span after, struct buf *entry, struct buf *value)
{
	enum err e = reader_begin(r);
	if (e != OK)
		return e;
	e = next_note(r, owner, name, after, entry, value);
	reader_end(r);
	return e;
}
