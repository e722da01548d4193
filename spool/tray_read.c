/* SPDX-License-Identifier: ISC */
/*
 * tray_read - the queue as it is on disk: the scan that the trays are made of, and the
 * mails of a tray, whose own fields are written while they are read.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "spool/tray_private.h"

/* ---- the scan */

static uint64_t
mix(uint64_t stamp, uint64_t value)
{
	return (stamp ^ value) * UINT64_C(0x100000001b3);
}

/* States and attempts of its recipients. */
static enum err
see_recipients(MDB_cursor *c, struct tray_seen *seen)
{
	unsigned char key[KEY_ID];
	MDB_val k, v;
	enum err e;
	key_put(key, seen->id, 8);
	for (e = db_seek(c, key, KEY_ID, KEY_ID, &k, &v); e == OK;
	     e = db_next(c, key, KEY_ID, &k, &v)) {
		struct recipient rcpt = {0};
		if (record_get_rcpt((struct span){v.mv_data, v.mv_size}, &rcpt) != OK)
			rcpt.state = RECIPIENT_ASIDE;
		enum tray_keyword is = rcpt.state == RECIPIENT_HELD    ? TRAY_IS_HELD
				       : rcpt.state == RECIPIENT_ASIDE ? TRAY_ASIDE
				       : rcpt.attempts > 0             ? TRAY_DEFERRED
								       : TRAY_NEW;
		seen->keywords |= UINT32_C(1) << is;
		seen->stamp =
		    mix(seen->stamp, (uint64_t)rcpt.state << 32 | rcpt.attempts);
		if (k.mv_size == KEY_RCPT)
			seen->stamp = mix(seen->stamp,
			    key_get((unsigned char *)k.mv_data + 8, KEY_RCPT - 8));
	}
	return e == ERR_NOT_FOUND ? OK : e;
}

/* The newest, from the end. */
static enum err
scan_messages(struct spool_reader *r, struct tray_scan *s)
{
	MDB_cursor *c, *of;
	MDB_val k, v;
	const MDB_dbi *dbi = reader_spool(r)->dbi;
	enum err e = db_err(mdb_cursor_open(reader_txn(r), dbi[DB_MSG], &c));
	if (e != OK)
		return e;
	e = db_err(mdb_cursor_open(reader_txn(r), dbi[DB_RCPT], &of));
	MDB_cursor_op op = MDB_LAST;
	size_t at = TRAY_MAX;
	while (e == OK && at > 0 && (e = db_err(mdb_cursor_get(c, &k, &v, op))) == OK) {
		op = MDB_PREV;
		if (k.mv_size != KEY_ID)
			continue;
		s->seen[--at] = (struct tray_seen){.id = key_get(k.mv_data, 8)};
		e = see_recipients(of, &s->seen[at]);
	}
	s->n = TRAY_MAX - at;
	memmove(s->seen, s->seen + at, s->n * sizeof(*s->seen));
	if (of != NULL)
		mdb_cursor_close(of);
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

/* What is held or aside waits for somebody: all of it, up to TRAY_MAX, however old. */
static enum err
find_waiting(struct spool_reader *r, uint64_t before, uint64_t *id, size_t *n)
{
	static const uint8_t lanes[] = {LANE_HELD, LANE_ASIDE};
	MDB_cursor *c;
	MDB_val k, v;
	enum err e =
	    db_err(mdb_cursor_open(reader_txn(r), reader_spool(r)->dbi[DB_SCHED], &c));
	if (e != OK)
		return e;
	for (size_t i = 0; i < COUNT_OF(lanes) && (e == OK || e == ERR_NOT_FOUND); i++) {
		for (e = db_seek(c, &lanes[i], 1, 1, &k, &v); e == OK && *n < TRAY_MAX;
		     e = db_next(c, &lanes[i], 1, &k, &v)) {
			struct sched_key row;
			if (k.mv_size != KEY_SCHED)
				continue;
			sched_key_get(k.mv_data, &row);
			if (row.id < before)
				id[(*n)++] = row.id;
		}
	}
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* In front of the newest; a message may be there for several recipients. */
static enum err
scan_waiting(struct spool_reader *r, struct tray_scan *s)
{
	uint64_t *id = mem_alloc(TRAY_MAX * sizeof(*id));
	size_t n = 0, kept = 0;
	MDB_cursor *c = NULL;
	enum err e = find_waiting(r, s->seen[0].id, id, &n);
	if (e == OK)
		e = db_err(
		    mdb_cursor_open(reader_txn(r), reader_spool(r)->dbi[DB_RCPT], &c));
	qsort(id, n, sizeof(*id), by_number);
	for (size_t i = 0; i < n; i++) {
		if (kept == 0 || id[kept - 1] != id[i])
			id[kept++] = id[i];
	}
	s->seen = mem_resize(s->seen, kept + s->n, sizeof(*s->seen));
	memmove(s->seen + kept, s->seen, s->n * sizeof(*s->seen));
	s->n += kept;
	for (size_t i = 0; i < kept; i++) {
		s->seen[i] = (struct tray_seen){.id = id[i]};
		if (e == OK)
			e = see_recipients(c, &s->seen[i]);
	}
	if (c != NULL)
		mdb_cursor_close(c);
	mem_free(&id);
	return e;
}

enum err
spool_tray_scan(struct spool_reader *r, struct tray_scan **out)
{
	struct tray_scan *s = NEW(struct tray_scan);
	*out = NULL;
	s->seen = mem_alloc(TRAY_MAX * sizeof(*s->seen));
	enum err e = reader_begin(r);
	if (e == OK) {
		e = scan_messages(r, s);
		if (e == OK && s->n == TRAY_MAX)
			e = scan_waiting(r, s);
		reader_end(r);
	}
	if (e == OK)
		*out = s;
	else
		tray_scan_free(&s);
	return e;
}

void
tray_scan_active(struct tray_scan *s, uint64_t message)
{
	size_t low = 0, high = s->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (s->seen[mid].id < message)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < s->n && s->seen[low].id == message)
		s->seen[low].keywords |= 1u << TRAY_ACTIVE;
}

void
tray_scan_free(struct tray_scan **sp)
{
	if (*sp == NULL)
		return;
	mem_free(&(*sp)->seen);
	mem_free(sp);
}

/* ---- own fields */

static void
add_text(struct buf *out, struct span text)
{
	buf_add_escaped(out, span_cut(text, 0, 300));
}

static void
add_recipient(const struct recipient *r, struct buf *out)
{
	static const char *const states[] = {"waiting", "held", "aside: it is damaged"};
	buf_add_str(out, "X-Relay-To: <");
	add_text(out, r->address);
	buf_addf(out, ">;\r\n state=%s; attempts=%u",
	    r->state == RECIPIENT_WAITING && r->attempts > 0 ? "deferred"
							     : states[r->state],
	    r->attempts);
	buf_add_str(out, ";\r\n route=\"");
	add_text(out, r->dest);
	buf_add_str(out, "\"");
	if (r->last_try.ms != 0) {
		buf_add_str(out, ";\r\n last=");
		wall_add_iso(out, r->last_try);
	}
	if (r->state == RECIPIENT_WAITING && r->due.ms != 0) {
		buf_add_str(out, ";\r\n next=");
		wall_add_iso(out, r->due);
	}
	if (r->reply.n > 0) {
		buf_add_str(out, ";\r\n host=\"");
		add_text(out, r->host);
		buf_add_str(out, "\";\r\n reply=\"");
		add_text(out, r->reply);
		buf_add_str(out, "\"");
	}
	buf_add_str(out, "\r\n");
}

static void
add_own_fields(const struct message *m, struct buf *out)
{
	char id[SPOOL_ID_LEN + 1];
	spool_id_format(m->id, id);
	buf_addf(out, "X-Relay-Id: %s\r\nX-Relay-From: <", id);
	add_text(out, m->sender);
	buf_add_str(out, ">\r\nX-Relay-Arrival: ");
	wall_add_rfc5322(out, m->arrival);
	buf_add_str(out, "\r\n");
	for (size_t i = 0; i < m->rcpts && i < TRAY_RCPTS_SHOWN; i++)
		add_recipient(&m->rcpt[i], out);
	if (m->rcpts > TRAY_RCPTS_SHOWN)
		buf_addf(out,
		    "X-Relay-More: %zu recipients; relayctl show %s tells of all\r\n",
		    m->rcpts - TRAY_RCPTS_SHOWN, id);
}

/* ---- one mail */

/* Its message, with its recipients, in a snapshot that is open. */
static enum err
load(struct spool_reader *r, const struct tray_mail *t, bool with_content,
    struct message **m, struct mail_row *row, struct buf *own)
{
	enum err e = reader_message(r, t->id, with_content, m);
	if (e != OK)
		return e;
	const struct message *x = *m;
	if (x->rcpts == 0) {
		message_unref(m); /* delivered meanwhile; a mailbox has it */
		return ERR_NOT_FOUND;
	}
	buf_init(own, 0);
	add_own_fields(x, own);
	*row = (struct mail_row){.uid = t->uid,
	    .flags = t->flags,
	    .keywords = t->keywords,
	    .id = t->id,
	    .origin = t->id,
	    .message = t->id,
	    .modseq = t->modseq,
	    .size = own->n + x->prefix.n + x->size + (x->flags & MESSAGE_NO_CRLF ? 2 : 0),
	    .arrival = x->arrival,
	    .internal = x->arrival};
	return OK;
}

static bool
get_shown(struct spool *s, uint32_t number, uint32_t uid, struct tray_mail *out)
{
	(void)pthread_mutex_lock(&s->trays->mutex);
	const struct tray_mail *m = tray_find(trays_get(s, number), uid);
	if (m != NULL)
		*out = *m;
	(void)pthread_mutex_unlock(&s->trays->mutex);
	return m != NULL;
}

/* ---- as mailbox.h reads */

enum err
tray_read_mailbox(struct spool_reader *r, uint32_t number, struct mailbox_view *out)
{
	struct spool *s = reader_spool(r);
	(void)pthread_mutex_lock(&s->trays->mutex);
	const struct tray *t = trays_get(s, number);
	if (t != NULL)
		*out = (struct mailbox_view){.number = number,
		    .uidvalidity = t->uidvalidity,
		    .uidnext = t->uidnext,
		    .modseq = t->modseq,
		    .recent = UINT32_MAX,
		    .gone_since = UINT64_MAX};
	for (size_t i = 0; t != NULL && i < t->n; i++) {
		const struct tray_mail *m = &t->mail[i];
		out->messages += !m->hidden;
		out->unseen += !m->hidden && !(m->flags & MAIL_SEEN);
		out->deleted += !m->hidden && (m->flags & MAIL_DELETED);
	}
	(void)pthread_mutex_unlock(&s->trays->mutex);
	return t != NULL ? OK : ERR_NOT_FOUND;
}

void
tray_read_keywords(struct mailbox_keywords *out)
{
	static const char *const names[TRAY_KEYWORDS] = {
	    "$Active", "$New", "$Deferred", "$Held", "$Aside"};
	*out = (struct mailbox_keywords){.n = TRAY_KEYWORDS};
	for (size_t i = 0; i < TRAY_KEYWORDS; i++)
		out->name[i] = mem_strdup(names[i]);
}

/* Sizes and dates are not told: whoever wants them reads sights. */
void
tray_read_mails(struct spool_reader *r, uint32_t number, uint32_t after, uint32_t until,
    struct mail_row *out, size_t max, size_t *n)
{
	struct spool *s = reader_spool(r);
	(void)pthread_mutex_lock(&s->trays->mutex);
	const struct tray *t = trays_get(s, number);
	for (size_t i = 0; t != NULL && i < t->n && *n < max; i++) {
		const struct tray_mail *m = &t->mail[i];
		if (m->hidden || m->uid <= after || (until != 0 && m->uid >= until))
			continue;
		out[(*n)++] = (struct mail_row){.uid = m->uid,
		    .flags = m->flags,
		    .keywords = m->keywords,
		    .id = m->id,
		    .origin = m->id,
		    .message = m->id,
		    .modseq = m->modseq,
		    .arrival = spool_id_time(m->id),
		    .internal = spool_id_time(m->id)};
	}
	(void)pthread_mutex_unlock(&s->trays->mutex);
}

bool
tray_see(struct spool_reader *r, uint32_t number, uint32_t uid, size_t i,
    bool (*told)(void *arg, size_t i, const struct mail_sight *x), void *arg)
{
	struct spool *s = reader_spool(r);
	struct tray_mail t;
	struct mail_sight x = {.own = {NULL, 0}};
	struct message *m = NULL;
	struct buf own = {0};
	unsigned char key[KEY_BODY];
	struct span v;
	if (!get_shown(s, number, uid, &t) || load(r, &t, false, &m, &x.row, &own) != OK)
		return true;
	x.own = buf_span(&own);
	x.prefix = m->prefix;
	x.content = m->size;
	x.message_flags = m->flags;
	key_put(key, t.id, 8);
	key_put(key + 8, 0, 2);
	if (db_get(reader_txn(r), s->dbi[DB_MIME], key, KEY_ID, &v) == OK &&
	    record_get_octets(v, &x.structure) != OK)
		x.structure = (struct span){NULL, 0};
	if (m->file == 0 &&
	    db_get(reader_txn(r), s->dbi[DB_BODY], key, KEY_BODY, &v) == OK)
		x.head = v;
	bool more = told(arg, i, &x);
	message_unref(&m);
	buf_clear(&own);
	return more;
}

enum err
tray_load_mail(struct spool_reader *r, uint32_t number, uint32_t uid, bool with_content,
    struct kept_mail *out)
{
	struct tray_mail t;
	struct buf own = {0};
	if (!get_shown(reader_spool(r), number, uid, &t))
		return ERR_NOT_FOUND;
	enum err e = load(r, &t, with_content, &out->message, &out->row, &own);
	if (e != OK)
		return e;
	out->own = message_keep(out->message, buf_span(&own));
	out->recipient = out->message->rcpt[0].address;
	buf_clear(&own);
	return OK;
}
