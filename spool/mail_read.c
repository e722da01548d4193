/* SPDX-License-Identifier: ISC */
/* mail_read - mailboxes as a reader sees them: each function one snapshot. */
#include <string.h>

#include "base/hand.h"
#include "base/mem.h"
#include "spool/private.h"
#include "spool/tray.h"

static struct span
value_of(const MDB_val *v)
{
	return (struct span){v->mv_data, v->mv_size};
}

static enum err
get(struct spool_reader *r, enum dbi d, const void *key, size_t n, struct span *v)
{
	return db_get(reader_txn(r), reader_spool(r)->dbi[d], key, n, v);
}

/* ---- a mailbox */

static enum err
find_mailbox(
    struct spool_reader *r, struct span owner, struct span name, uint32_t *number)
{
	char key[NAME_KEY_MAX];
	struct name_record at = {0};
	struct mbox_record m;
	struct span v;
	if (owner.n == 0 || owner.n > MAILBOX_OWNER_MAX || name.n > MAILBOX_NAME_MAX)
		return ERR_NOT_FOUND;
	enum err e = get(r, DB_MBOXNAME, key, mbox_name_key(owner, name, key), &v);
	if (e == OK)
		e = record_get_name(v, &at);
	if (e == OK && at.number == 0)
		e = ERR_NOT_FOUND;
	if (e == OK)
		e = reader_mbox(r, at.number, owner, name, &m);
	*number = at.number;
	return e;
}

static enum err
view_mailbox(struct spool_reader *r, uint32_t number, struct mailbox_view *out)
{
	struct mbox_record m;
	unsigned char n[4];
	struct span v;
	out->number = number;
	key_put(n, number, 4);
	enum err e = get(r, DB_MBOX, n, 4, &v);
	if (e == OK)
		e = record_get_mbox(v, &m);
	if (e != OK)
		return e;
	out->uidvalidity = m.uidvalidity;
	out->uidnext = m.uidnext;
	out->modseq = m.modseq;
	out->messages = m.messages;
	out->octets = m.octets;
	out->unseen = m.unseen;
	out->deleted = m.deleted;
	out->recent = m.recent;
	out->gone_since = m.gone_since;
	out->use = (enum mailbox_use)m.use;
	return OK;
}

enum err
spool_read_mailbox(
    struct spool_reader *r, struct span owner, struct span name, struct mailbox_view *out)
{
	*out = (struct mailbox_view){0};
	enum err e = reader_begin(r);
	if (e != OK)
		return e;
	uint32_t number = 0;
	e = find_mailbox(r, owner, name, &number);
	if (e == OK)
		e = view_mailbox(r, number, out);
	reader_end(r);
	return e;
}

enum err
spool_read_mailbox_at(struct spool_reader *r, uint32_t number, struct mailbox_view *out)
{
	*out = (struct mailbox_view){0};
	if (tray_is(number))
		return tray_read_mailbox(r, number, out);
	enum err e = reader_begin(r);
	if (e != OK)
		return e;
	e = view_mailbox(r, number, out);
	reader_end(r);
	return e;
}

/* ---- its mails */

static void
make_row(uint32_t uid, const struct mail_record *m, struct mail_row *out)
{
	*out = (struct mail_row){.uid = uid,
	    .flags = m->flags,
	    .keywords = m->keywords,
	    .id = m->id,
	    .origin = m->origin,
	    .message = m->message,
	    .modseq = m->modseq,
	    .size = m->size,
	    .arrival = m->arrival,
	    .internal = m->internal,
	    .zone = m->zone,
	    .picked = m->picked};
}

static enum err
collect(struct spool_reader *r, uint32_t number, uint32_t after, uint32_t until,
    struct mail_row *out, size_t max, size_t *n)
{
	unsigned char key[KEY_MAIL];
	MDB_cursor *c;
	MDB_val k, v;
	mail_key_put(key, number, after + 1);
	enum err e =
	    db_err(mdb_cursor_open(reader_txn(r), reader_spool(r)->dbi[DB_MAIL], &c));
	if (e != OK)
		return e;
	for (e = db_seek(c, key, KEY_MAIL, 4, &k, &v); e == OK && *n < max;
	     e = db_next(c, key, 4, &k, &v)) {
		struct mail_record m = {0};
		if (k.mv_size != KEY_MAIL)
			continue;
		uint32_t uid = (uint32_t)key_get((unsigned char *)k.mv_data + 4, 4);
		if (until != 0 && uid >= until)
			break;
		if (record_get_mail(value_of(&v), &m) != OK)
			m = (struct mail_record){0};
		make_row(uid, &m, &out[(*n)++]);
	}
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

enum err
spool_read_mails(struct spool_reader *r, uint32_t number, uint32_t after, uint32_t until,
    struct mail_row *out, size_t max, size_t *n)
{
	*n = 0;
	if (after == UINT32_MAX)
		return OK;
	if (tray_is(number)) {
		tray_read_mails(r, number, after, until, out, max, n);
		return OK;
	}
	enum err e = reader_begin(r);
	if (e != OK)
		return e;
	e = collect(r, number, after, until, out, max, n);
	reader_end(r);
	return e;
}

/* ---- listings */

/* Where only mails hold a message, as is the rule. */
static enum err
get_message(struct spool_reader *r, const unsigned char *id, struct span *v)
{
	enum err e = get(r, DB_KEPT, id, KEY_ID, v);
	return e == ERR_NOT_FOUND ? get(r, DB_MSG, id, KEY_ID, v) : e;
}

static enum err
see_front(struct spool_reader *r, unsigned want, unsigned char id[KEY_BODY],
    struct mail_sight *x)
{
	struct front_record f;
	struct span v;
	enum err e = get_message(r, id, &v);
	if (e == OK)
		e = record_get_front(v, &f);
	if (e != OK)
		return e;
	x->prefix = f.prefix;
	x->content = f.size;
	x->message_flags = f.flags;
	key_put(id + 8, 0, 2);
	if ((want & SIGHT_HEAD) && f.chunks > 0 &&
	    get(r, DB_BODY, id, KEY_BODY, &v) == OK)
		x->head = v;
	return OK;
}

static enum err
get_mail(struct spool_reader *r, uint32_t number, uint32_t uid, struct mail_record *out)
{
	unsigned char key[KEY_MAIL];
	struct span v;
	*out = (struct mail_record){0};
	mail_key_put(key, number, uid);
	enum err e = get(r, DB_MAIL, key, KEY_MAIL, &v);
	return e == OK ? record_get_mail(v, out) : e;
}

static enum err
see(struct spool_reader *r, uint32_t number, unsigned want, uint32_t uid,
    struct mail_sight *x)
{
	unsigned char id[KEY_BODY];
	struct mail_record m;
	struct span v;
	enum err e = get_mail(r, number, uid, &m);
	if (e != OK)
		return e;
	*x = (struct mail_sight){.own = m.own};
	make_row(uid, &m, &x->row);
	key_put(id, m.message, 8);
	if ((want & SIGHT_STRUCTURE) && !hand_condemned(m.message) &&
	    get(r, DB_MIME, id, KEY_ID, &v) == OK &&
	    record_get_octets(v, &x->structure) != OK)
		x->structure = (struct span){NULL, 0};
	return want & SIGHT_FRONT ? see_front(r, want, id, x) : OK;
}

enum err
spool_read_sights(struct spool_reader *r, uint32_t number, unsigned want,
    const uint32_t *uid, size_t n,
    bool (*told)(void *arg, size_t i, const struct mail_sight *x), void *arg)
{
	struct mail_sight x;
	enum err e = reader_begin(r);
	if (e != OK)
		return e;
	for (size_t i = 0; i < n; i++) {
		if (tray_is(number)) {
			if (!tray_see(r, number, uid[i], i, told, arg))
				break;
		} else if (see(r, number, want, uid[i], &x) == OK && !told(arg, i, &x)) {
			break;
		}
	}
	reader_end(r);
	return OK;
}

/* ---- one mail */

void
kept_mail_free(struct kept_mail **mp)
{
	struct kept_mail *m = *mp;
	if (m == NULL)
		return;
	message_unref(&m->message);
	mem_free(mp);
}

/* The mail's spans live in its message's memory, which is not shared yet. */
static enum err
load_mail(struct spool_reader *r, uint32_t number, uint32_t uid, bool with_content,
    struct kept_mail *out)
{
	struct mail_record m;
	enum err e = get_mail(r, number, uid, &m);
	if (e != OK)
		return e;
	e = reader_message(r, m.message, with_content, &out->message);
	if (e != OK)
		return e == ERR_NOT_FOUND ? ERR_DAMAGED : e;
	make_row(uid, &m, &out->row);
	out->own = message_keep(out->message, m.own);
	out->recipient = message_keep(out->message, m.recipient);
	return OK;
}

enum err
spool_read_mail(struct spool_reader *r, uint32_t number, uint32_t uid, bool with_content,
    struct kept_mail **out)
{
	struct kept_mail *m = NEW(struct kept_mail);
	*out = NULL;
	enum err e = reader_begin(r);
	if (e == OK) {
		e = tray_is(number) ? tray_load_mail(r, number, uid, with_content, m)
				    : load_mail(r, number, uid, with_content, m);
		reader_end(r);
	}
	if (e == OK && with_content && m->message->file != 0)
		e = reader_file(r, m->message);
	if (e == OK && with_content && hand_condemned(m->message->id))
		e = ERR_DAMAGED; /* whoever works on it crashes */
	if (e == ERR_NOT_FOUND && m->message != NULL) {
		/* no file: with its mail, or without? */
		struct mail_row row;
		size_t n;
		enum err again =
		    spool_read_mails(r, number, uid - 1, uid + 1, &row, 1, &n);
		e = again == OK && n == 1 ? ERR_DAMAGED : ERR_NOT_FOUND;
	}
	if (e == OK)
		*out = m;
	else
		kept_mail_free(&m);
	return e;
}

/* ---- owners */

static enum err
next_owner(struct spool_reader *r, struct span after, struct owner_row *out)
{
	MDB_cursor *c;
	MDB_val k = {after.n, (void *)(uintptr_t)after.p}, v;
	enum err e =
	    db_err(mdb_cursor_open(reader_txn(r), reader_spool(r)->dbi[DB_OWNER], &c));
	if (e != OK)
		return e;
	e = db_err(mdb_cursor_get(c, &k, &v, after.n > 0 ? MDB_SET_RANGE : MDB_FIRST));
	if (e == OK && after.n > 0 && span_eq(value_of(&k), after))
		e = db_err(mdb_cursor_get(c, &k, &v, MDB_NEXT));
	if (e == OK) {
		struct owner_record o = {0};
		(void)record_get_owner(value_of(&v), &o);
		span_copy(value_of(&k), out->name, sizeof(out->name));
		out->usage = (struct mailbox_usage){o.messages, o.octets, o.last_pickup};
	}
	mdb_cursor_close(c);
	return e;
}

static void
find_oldest(struct spool_reader *r, struct owner_row *out)
{
	uint32_t number;
	struct mail_row row;
	size_t n = 0;
	if (find_mailbox(r, span_str(out->name), SPAN(MAILBOX_INBOX), &number) == OK &&
	    collect(r, number, 0, 0, &row, 1, &n) == OK && n == 1)
		out->oldest = row.arrival;
}

enum err
spool_read_owner(struct spool_reader *r, struct span after, struct owner_row *out)
{
	char name[MAILBOX_OWNER_MAX + 1]; /* `after` may be the row of the call before */
	if (after.n > MAILBOX_OWNER_MAX)
		return ERR_NOT_FOUND;
	span_copy(after, name, sizeof(name));
	*out = (struct owner_row){0};
	enum err e = reader_begin(r);
	if (e != OK)
		return e;
	e = next_owner(r, (struct span){name, after.n}, out);
	if (e == OK)
		find_oldest(r, out);
	reader_end(r);
	return e;
}
