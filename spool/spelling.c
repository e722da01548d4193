/* SPDX-License-Identifier: ISC */
/*
 * spelling - a mailbox's name is kept in one spelling, and whoever opens the spool knows
 * which.  Up to 0.4.0 it was kept as a client typed it: put right once, in the
 * transaction that opens the spool, so that it is found by whatever spelling.
 *
 * Where two spellings of a name were two mailboxes, one of them gets a number behind.
 */
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "spool/mailbox_change_private.h"

#define NUMBERS_MAX 100 /* "name 2", "name 3" */

/* The names that are to change: owner NUL name NUL new name NUL. */
static enum err
collect(struct spool *s, MDB_txn *t, struct buf *list)
{
	struct buf settled;
	MDB_cursor *c;
	MDB_val k, v;
	enum err e = db_err(mdb_cursor_open(t, s->dbi[DB_MBOXNAME], &c));
	if (e != OK)
		return e;
	buf_init(&settled, 0);
	while ((e = db_err(mdb_cursor_get(c, &k, &v, MDB_NEXT))) == OK) {
		struct span key = {k.mv_data, k.mv_size};
		const char *nul = memchr(key.p, '\0', key.n);
		if (nul == NULL)
			continue; /* spool_check tells of it */
		struct span name = span_cut(key, (size_t)(nul + 1 - key.p), key.n);
		buf_reset(&settled);
		s->spell(name, &settled);
		if (span_eq(buf_span(&settled), name) || !new_name_ok(buf_span(&settled)))
			continue;
		buf_add_span(list, key);
		buf_add_char(list, '\0');
		buf_add_span(list, buf_span(&settled));
		buf_add_char(list, '\0');
	}
	mdb_cursor_close(c);
	buf_clear(&settled);
	return e == ERR_NOT_FOUND ? OK : e;
}

/* A name like this one that no mailbox has. */
static enum err
find_free(
    struct batch *b, struct span owner, struct span name, char out[MAILBOX_NAME_MAX + 1])
{
	struct name_record there;
	span_copy(name, out, MAILBOX_NAME_MAX + 1);
	for (unsigned i = 2; i < NUMBERS_MAX; i++) {
		enum err e = get_name(b, owner, span_str(out), &there);
		if (e == ERR_NOT_FOUND || (e == OK && there.number == 0))
			return OK;
		if (e != OK)
			return e;
		int n = snprintf(
		    out, MAILBOX_NAME_MAX + 1, "%.*s %u", (int)name.n, name.p, i);
		if (n > MAILBOX_NAME_MAX)
			return ERR_RANGE;
	}
	return ERR_EXISTS;
}

static enum err
move_subscription(struct batch *b, struct span owner, struct span from, struct span to)
{
	struct name_record r, there;
	enum err e = get_name(b, owner, from, &r);
	if (e != OK || !r.subscribed || r.number != 0)
		return e == ERR_NOT_FOUND ? OK : e;
	e = get_name(b, owner, to, &there);
	there.subscribed = true;
	r.subscribed = false;
	if (e == OK || e == ERR_NOT_FOUND)
		e = put_name(b, owner, to, &there);
	return e == OK ? put_name(b, owner, from, &r) : e;
}

static enum err
spell_one(struct batch *b, struct span owner, struct span from, struct span to)
{
	char free_name[MAILBOX_NAME_MAX + 1];
	struct owner_record sums;
	struct name_record r;
	enum err e = get_name(b, owner, from, &r);
	if (e == OK && r.number != 0) {
		e = read_owner(
		    b, owner, &sums); /* all is read before anything is written */
		if (e == OK)
			e = find_free(b, owner, to, free_name);
		to = span_str(free_name);
		if (e == OK)
			e = notes_fit(b, owner, from, to);
		if (e == OK)
			e = rename_mailbox(b, owner, from, to);
	}
	if (e == OK)
		e = move_subscription(b, owner, from, to);
	if (FAULT("spool.spelling"))
		return ERR_DISK_FULL;
	b->spool->spelled += e == OK;
	/* damaged, or no room for the name: it stays as it is */
	return e == ERR_DAMAGED || e == ERR_RANGE || e == ERR_EXISTS ? OK : e;
}

static struct span
next_text(struct span *rest)
{
	struct span text = span_str(rest->p);
	*rest = span_cut(*rest, text.n + 1, rest->n);
	return text;
}

enum err
spell_names(struct spool *s, MDB_txn *t)
{
	struct batch b;
	struct buf list;
	uint64_t done;
	enum err e = db_get_u64(t, s, "spelling", &done);
	if (e != OK || done != 0)
		return e;
	batch_begin(&b, s);
	b.txn = t;
	buf_init(&list, 0);
	e = collect(s, t, &list);
	for (struct span rest = buf_span(&list); e == OK && rest.n > 0;) {
		struct span owner = next_text(&rest), from = next_text(&rest);
		e = spell_one(&b, owner, from, next_text(&rest));
	}
	buf_clear(&list);
	batch_clear(&b);
	return e == OK ? db_put_u64(t, s, "spelling", 1) : e;
}
