/* SPDX-License-Identifier: ISC */
/*
 * mailbox_change - mailboxes are made, renamed, removed, subscribed to, annotated.  Names
 * are rows of their own (owner NUL name), so all of an owner's follow each other in the
 * order of their octets; a name that is only subscribed to has the number 0.
 */
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "spool/private.h"

struct mailbox_order {
	struct mailbox_request q;
	struct buf memory;
};

/* ---- building */

static struct span
place(const struct mailbox_order *o, size_t *at, struct span s)
{
	struct span here = {o->memory.p + *at, s.n};
	*at += s.n;
	return s.p != NULL ? here : s;
}

struct mailbox_order *
mailbox_order_new(const struct mailbox_request *q)
{
	struct mailbox_order *o = NEW(struct mailbox_order);
	const struct span part[] = {q->owner, q->name, q->to, q->entry, q->value};
	size_t at = 0;
	o->q = *q;
	buf_init(&o->memory, 0);
	buf_add_char(&o->memory, '\0'); /* so that there are octets to point to */
	for (size_t i = 0; i < COUNT_OF(part); i++)
		buf_add_span(&o->memory, part[i]);
	at = 1;
	o->q.owner = place(o, &at, q->owner);
	o->q.name = place(o, &at, q->name);
	o->q.to = place(o, &at, q->to);
	o->q.entry = place(o, &at, q->entry);
	o->q.value = place(o, &at, q->value);
	return o;
}

void
mailbox_order_free(struct mailbox_order **op)
{
	struct mailbox_order *o = *op;
	if (o == NULL)
		return;
	buf_clear(&o->memory);
	mem_free(op);
}

/* ---- names */

static bool
name_ok(struct span name)
{
	return name.n > 0 && name.n <= MAILBOX_NAME_MAX &&
	       memchr(name.p, '\0', name.n) == NULL;
}

static enum err
get_name(struct batch *b, struct span owner, struct span name, struct name_record *out)
{
	char key[NAME_KEY_MAX];
	struct span v;
	*out = (struct name_record){0};
	enum err e = db_get(
	    b->txn, b->spool->dbi[DB_MBOXNAME], key, mbox_name_key(owner, name, key), &v);
	return e == OK ? record_get_name(v, out) : e;
}

static enum err
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
		e = record_get_name((struct span){v.mv_data, v.mv_size}, out);
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

/* ---- make */

static size_t
level_end(struct span name, size_t from)
{
	while (from < name.n && name.p[from] != '/')
		from++;
	return from;
}

/* How many of a name's levels are missing. */
static enum err
count_missing(struct batch *b, struct span owner, struct span name, size_t *missing)
{
	struct name_record r;
	*missing = 0;
	for (size_t end = level_end(name, 0);; end = level_end(name, end + 1)) {
		enum err e = get_name(b, owner, span_cut(name, 0, end), &r);
		if (e != OK && e != ERR_NOT_FOUND)
			return e;
		*missing += e == ERR_NOT_FOUND;
		if (end >= name.n)
			return OK;
	}
}

/* Make what is missing above and, unless only_above, the name itself. */
static enum err
make_levels(struct batch *b, struct span owner, struct span name, bool only_above)
{
	struct mbox m;
	for (size_t end = level_end(name, 0);; end = level_end(name, end + 1)) {
		if (end >= name.n && only_above)
			return OK;
		enum err e = mbox_open(b, owner, span_cut(name, 0, end), true, &m);
		if (e == OK)
			e = mbox_close(b, &m);
		if (e != OK || end >= name.n)
			return e;
	}
}

static enum err
room_for(struct batch *b, struct span owner, struct span name)
{
	size_t missing = 0, has = 0;
	enum err e = count_missing(b, owner, name, &missing);
	if (e == OK)
		e = count_names(b, owner, &has);
	return e == OK && has + missing > MAILBOX_NAMES_MAX ? ERR_FULL : e;
}

static enum err
create(struct batch *b, const struct mailbox_request *q)
{
	struct name_record r;
	struct mbox m;
	enum err e = get_name(b, q->owner, q->name, &r);
	if (e == OK && r.number != 0)
		return ERR_EXISTS;
	if (e != OK && e != ERR_NOT_FOUND)
		return e;
	e = room_for(b, q->owner, q->name);
	if (e == OK)
		e = make_levels(b, q->owner, q->name, false);
	if (e == OK && q->use != MAILBOX_PLAIN) {
		e = mbox_open(b, q->owner, q->name, false, &m);
		m.record.use = (uint8_t)q->use;
		if (e == OK)
			e = mbox_close(b, &m);
	}
	if (e == OK && q->subscribe) {
		e = get_name(b, q->owner, q->name, &r);
		r.subscribed = true;
		if (e == OK)
			e = put_name(b, q->owner, q->name, &r);
	}
	return e;
}

/* ---- remove */

static enum err
delete_mails(struct batch *b, struct mbox *box)
{
	unsigned char prefix[KEY_MAIL];
	MDB_cursor *c;
	MDB_val k, v;
	mail_key_put(prefix, box->number, 0);
	enum err e = db_err(mdb_cursor_open(b->txn, b->spool->dbi[DB_MAIL], &c));
	if (e != OK)
		return e;
	while (e == OK && (e = db_seek(c, prefix, KEY_MAIL, 4, &k, &v)) == OK) {
		struct mail_record mail = {0};
		if (record_get_mail((struct span){v.mv_data, v.mv_size}, &mail) != OK)
			mail = (struct mail_record){0};
		uint64_t id = mail.id, message = mail.message;
		mbox_count(box, &mail, NULL);
		e = db_err(mdb_cursor_del(c, 0));
		b->bytes -= MAIL_OVERHEAD;
		b->work += MAIL_OVERHEAD;
		if (e == OK && message != 0)
			e = release_later(b, id, message);
	}
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

enum err
delete_mbox(struct batch *b, struct span owner, const char *name)
{
	unsigned char n[4];
	struct mbox box;
	enum err e = mbox_open(b, owner, span_str(name), false, &box);
	if (e != OK)
		return e;
	/* sums that a damaged row has spoiled do not stay with the owner */
	int64_t messages = (int64_t)box.record.messages,
		octets = (int64_t)box.record.octets;
	e = delete_mails(b, &box);
	box.messages = -messages;
	box.octets = -octets;
	if (e == OK)
		e = mbox_close(b, &box); /* the owner's sums */
	key_put(n, box.number, 4);
	if (e == OK)
		e = db_del(b->txn, b->spool->dbi[DB_MBOX], n, 4);
	if (e == OK)
		e = gone_delete_all(b, box.number);
	if (e == OK)
		e = delete_notes(b, owner, span_str(name), false);
	event_mailbox(b, MAILBOX_REMOVED, &box, 0, span_str(name));
	(void)FAULT("spool.mailbox.removed");
	return e;
}

static enum err
remove_name(struct batch *b, const struct mailbox_request *q)
{
	char name[MAILBOX_NAME_MAX + 1];
	struct name_record r;
	enum err e = get_name(b, q->owner, q->name, &r);
	if (e == OK && r.number == 0)
		return ERR_NOT_FOUND;
	if (e != OK)
		return e;
	span_copy(q->name, name, sizeof(name));
	e = delete_mbox(b, q->owner, name);
	r.number = 0; /* a subscription stays (RFC 9051 6.3.7) */
	return e == OK ? put_name(b, q->owner, q->name, &r) : e;
}

/* ---- rename */

static enum err
rename_one(struct batch *b, struct span owner, struct span from, struct span to)
{
	struct name_record r, there;
	struct mbox m;
	enum err e = get_name(b, owner, from, &r);
	if (e != OK || r.number == 0)
		return e;
	e = get_name(b, owner, to, &there);
	if (e == ERR_NOT_FOUND)
		e = OK;
	if (e == OK)
		e = mbox_open(b, owner, from, false, &m);
	if (e != OK)
		return e;
	there.number = r.number; /* subscriptions stay where they are */
	r.number = 0;
	e = put_name(b, owner, to, &there);
	if (e == OK)
		e = put_name(b, owner, from, &r);
	span_copy(to, m.name, sizeof(m.name));
	event_mailbox(b, MAILBOX_RENAMED, &m, 0, to);
	return e == OK ? mbox_close(b, &m) : e;
}

static bool
is_below(struct span name, struct span parent)
{
	return name.n > parent.n && name.p[parent.n] == '/' && span_starts(name, parent);
}

/* Each name below q->name: told what it becomes. Collected first: rows move. */
static enum err
rename_below(struct batch *b, const struct mailbox_request *q, bool only_look)
{
	char name[MAILBOX_NAME_MAX + 1] = "", to[2 * MAILBOX_NAME_MAX + 1];
	struct name_record r, there;
	enum err e = OK;
	while (e == OK && (e = next_name(b, q->owner, span_str(name), name, &r)) == OK) {
		struct span from = span_str(name), rest;
		if (!is_below(from, q->name) || r.number == 0)
			continue;
		rest = span_cut(from, q->name.n, from.n);
		memcpy(to, q->to.p, q->to.n);
		memcpy(to + q->to.n, rest.p, rest.n);
		struct span target = {to, q->to.n + rest.n};
		if (target.n > MAILBOX_NAME_MAX)
			return ERR_RANGE;
		if (!only_look) {
			e = rename_one(b, q->owner, from, target);
			continue;
		}
		e = get_name(b, q->owner, target, &there);
		if (e == OK && there.number != 0)
			return ERR_EXISTS;
		e = e == ERR_NOT_FOUND ? OK : e;
	}
	return e == ERR_NOT_FOUND ? OK : e;
}

static enum err
rename_tree(struct batch *b, const struct mailbox_request *q)
{
	struct name_record r;
	if (!name_ok(q->to) || is_below(q->to, q->name))
		return ERR_RANGE;
	enum err e = get_name(b, q->owner, q->name, &r);
	if (e == OK && r.number == 0)
		e = ERR_NOT_FOUND;
	if (e != OK)
		return e;
	e = get_name(b, q->owner, q->to, &r);
	if (e == OK && r.number != 0)
		return ERR_EXISTS;
	if (e == OK || e == ERR_NOT_FOUND)
		e = room_for(b, q->owner, q->to);
	if (e == OK)
		e = rename_below(b, q, true);
	if (e == OK)
		e = make_levels(b, q->owner, q->to, true);
	if (e == OK)
		e = rename_one(b, q->owner, q->name, q->to);
	(void)FAULT("spool.mailbox.renamed");
	return e == OK ? rename_below(b, q, false) : e;
}

/* ---- subscriptions */

static enum err
subscribe(struct batch *b, const struct mailbox_request *q, bool on)
{
	struct name_record r;
	struct mbox none = {0};
	size_t n = 0;
	enum err e = get_name(b, q->owner, q->name, &r);
	if (e != OK && e != ERR_NOT_FOUND)
		return e;
	bool new = e == ERR_NOT_FOUND;
	if (new && !on)
		return OK;
	e = new ? count_names(b, q->owner, &n) : OK;
	if (e == OK && n >= MAILBOX_NAMES_MAX)
		return ERR_FULL;
	if (r.subscribed == on)
		return e;
	r.subscribed = on;
	span_copy(q->owner, none.owner_name, sizeof(none.owner_name));
	event_mailbox(b, MAILBOX_SUBSCRIPTION, &none, 0, q->name);
	return e == OK ? put_name(b, q->owner, q->name, &r) : e;
}

/* ---- annotations */

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
	size_t n = note_key(owner, name, (struct span){"", 0}, key);
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
delete_notes(struct batch *b, struct span owner, struct span name, bool all)
{
	return walk_notes(b, owner, name, all, NULL);
}

static enum err
annotate(struct batch *b, const struct mailbox_request *q)
{
	char key[NOTE_KEY_MAX];
	size_t n = note_key(q->owner, q->name, q->entry, key), has = 0;
	struct span v;
	if (n == 0 || q->entry.n == 0 || memchr(q->entry.p, '\0', q->entry.n) != NULL)
		return ERR_RANGE;
	if (q->value.p == NULL)
		return db_del(b->txn, b->spool->dbi[DB_NOTE], key, n);
	if (q->value.n > MAILBOX_NOTE_MAX)
		return ERR_RANGE;
	enum err e = db_get(b->txn, b->spool->dbi[DB_NOTE], key, n, &v);
	if (e == ERR_NOT_FOUND)
		e = walk_notes(b, q->owner, q->name, true, &has);
	if (e == OK && has >= MAILBOX_NOTES_MAX)
		return ERR_FULL;
	buf_reset(&b->record);
	record_put_octets(&b->record, q->value);
	return e == OK ? db_put(b->txn, b->spool->dbi[DB_NOTE], key, n,
			     buf_span(&b->record), 0)
		       : e;
}

/* ---- requests */

enum err
apply_mailbox(struct batch *b, const struct mailbox_order *o)
{
	const struct mailbox_request *q = &o->q;
	if (q->owner.n == 0 || q->owner.n > MAILBOX_OWNER_MAX ||
	    memchr(q->owner.p, '\0', q->owner.n) != NULL ||
	    (q->act != MAILBOX_NOTE && !name_ok(q->name)) || q->name.n > MAILBOX_NAME_MAX)
		return ERR_RANGE;
	switch (q->act) {
	case MAILBOX_CREATE: return create(b, q);
	case MAILBOX_DELETE: return remove_name(b, q);
	case MAILBOX_RENAME: return rename_tree(b, q);
	case MAILBOX_SUBSCRIBE: return subscribe(b, q, true);
	case MAILBOX_UNSUBSCRIBE: return subscribe(b, q, false);
	case MAILBOX_NOTE: break;
	}
	return annotate(b, q);
}

/* ---- an owner goes */

enum err
apply_owner_delete(struct batch *b, struct span owner)
{
	char name[MAILBOX_NAME_MAX + 1] = "";
	struct usage_change gone = {.gone = true};
	struct name_record r;
	struct span v;
	if (owner.n == 0)
		return ERR_RANGE;
	enum err e = db_get(b->txn, b->spool->dbi[DB_OWNER], owner.p, owner.n, &v);
	if (e != OK)
		return e;
	while (e == OK && (e = next_name(b, owner, SPAN(""), name, &r)) == OK) {
		if (r.number != 0)
			e = delete_mbox(b, owner, name);
		if (e == OK)
			e = put_name(b, owner, span_str(name), &(struct name_record){0});
	}
	if (e == ERR_NOT_FOUND)
		e = delete_notes(b, owner, SPAN(""), true);
	if (e == OK)
		e = db_del(b->txn, b->spool->dbi[DB_OWNER], owner.p, owner.n);
	span_copy(owner, gone.owner, sizeof(gone.owner));
	will_use(b, &gone);
	return e;
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
	size_t prefix = note_key(owner, name, (struct span){"", 0}, key);
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
