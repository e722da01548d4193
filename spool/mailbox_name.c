/* SPDX-License-Identifier: ISC */
/*
 * mailbox_name - the rows of names.  Each is a row of its own (owner NUL name), so all of
 * an owner's follow each other in the order of their octets; a name that is only
 * subscribed to has the number 0.
 */
#include <string.h>

#include "base/mem.h"
#include "spool/mailbox_change_private.h"

bool
name_ok(struct span name)
{
	return name.n > 0 && name.n <= MAILBOX_NAME_MAX &&
	       memchr(name.p, '\0', name.n) == NULL;
}

/* One that is made: no level of it is empty. */
bool
new_name_ok(struct span name)
{
	for (size_t i = 0; i + 1 < name.n; i++) {
		if (name.p[i] == '/' && name.p[i + 1] == '/')
			return false;
	}
	return name_ok(name) && name.p[0] != '/' && name.p[name.n - 1] != '/';
}

enum err
get_name(struct batch *b, struct span owner, struct span name, struct name_record *out)
{
	char key[NAME_KEY_MAX];
	struct span v;
	*out = (struct name_record){0};
	enum err e = db_get(
	    b->txn, b->spool->dbi[DB_MBOXNAME], key, mbox_name_key(owner, name, key), &v);
	return e == OK ? record_get_name(v, out) : e;
}

enum err
put_name(
    struct batch *b, struct span owner, struct span name, const struct name_record *n)
{
	char key[NAME_KEY_MAX], value[NAME_RECORD];
	size_t size = mbox_name_key(owner, name, key);
	if (n->number == 0 && !n->subscribed)
		return db_del(b->txn, b->spool->dbi[DB_MBOXNAME], key, size);
	record_put_name(value, n);
	return db_put(b->txn, b->spool->dbi[DB_MBOXNAME], key, size,
	    (struct span){value, sizeof(value)}, 0);
}

enum err
next_name(struct batch *b, struct span owner, struct span after,
    char name[MAILBOX_NAME_MAX + 1], struct name_record *out)
{
	char key[NAME_KEY_MAX + 1];
	MDB_cursor *c;
	MDB_val k, v;
	size_t n = mbox_name_key(owner, after, key);
	if (after.n > 0)
		key[n++] = '\0'; /* the first that could follow it */
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_MBOXNAME], &c));
	if (e != OK)
		return e;
	e = db_seek(c, key, n, owner.n + 1, &k, &v);
	if (e == OK) {
		span_copy((struct span){(char *)k.mv_data + owner.n + 1,
			      k.mv_size - owner.n - 1},
		    name, MAILBOX_NAME_MAX + 1);
		if (record_get_name((struct span){v.mv_data, v.mv_size}, out) != OK)
			*out = (struct name_record){0}; /* spool_check tells of it */
	}
	mdb_cursor_close(c);
	return e;
}

static enum err
count_names(struct batch *b, struct span owner, size_t *n)
{
	char name[MAILBOX_NAME_MAX + 1] = "";
	struct name_record r;
	enum err e = OK;
	for (*n = 0; *n <= MAILBOX_NAMES_MAX && e == OK; ++*n)
		e = next_name(b, owner, span_str(name), name, &r);
	if (e == ERR_NOT_FOUND)
		--*n;
	return e == ERR_NOT_FOUND ? OK : e;
}

enum err
set_subscribed(
    struct batch *b, const struct mailbox_request *q, struct name_record *r, bool on)
{
	struct mbox none = {0};
	if (r->subscribed == on)
		return OK;
	r->subscribed = on;
	span_copy(q->owner, none.owner_name, sizeof(none.owner_name));
	event_mailbox(b, MAILBOX_SUBSCRIPTION, &none, 0, q->name);
	return put_name(b, q->owner, q->name, r);
}

/* ---- levels of a name */

static size_t
level_end(struct span name, size_t from)
{
	while (from < name.n && name.p[from] != '/')
		from++;
	return from;
}

/* How many of a name's levels have no row; without the name itself if only_above. */
enum err
count_missing(struct batch *b, struct span owner, struct span name, bool only_above,
    size_t *missing)
{
	struct name_record r;
	*missing = 0;
	for (size_t end = level_end(name, 0);; end = level_end(name, end + 1)) {
		if (end >= name.n && only_above)
			return OK;
		enum err e = get_name(b, owner, span_cut(name, 0, end), &r);
		if (e != OK && e != ERR_NOT_FOUND)
			return e;
		*missing += e == ERR_NOT_FOUND;
		if (end >= name.n)
			return OK;
	}
}

/* What is there is not touched. */
enum err
make_one(struct batch *b, struct span owner, struct span name, enum mailbox_use use)
{
	struct name_record r;
	struct mbox m;
	enum err e = get_name(b, owner, name, &r);
	if (e == OK && r.number != 0)
		return OK;
	if (e == OK || e == ERR_NOT_FOUND)
		e = mbox_open(b, owner, name, true, &m);
	if (e != OK)
		return e;
	m.record.use = (uint8_t)use;
	return mbox_close(b, &m);
}

enum err
make_above(struct batch *b, struct span owner, struct span name)
{
	enum err e = OK;
	for (size_t end = level_end(name, 0); end < name.n && e == OK;
	     end = level_end(name, end + 1))
		e = make_one(b, owner, span_cut(name, 0, end), MAILBOX_PLAIN);
	return e;
}

enum err
room_for(struct batch *b, struct span owner, size_t more)
{
	size_t has = 0;
	enum err e = count_names(b, owner, &has);
	return e == OK && has + more > MAILBOX_NAMES_MAX ? ERR_FULL : e;
}
