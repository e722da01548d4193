/* SPDX-License-Identifier: ISC */
/* check_mail - the invariants of mailboxes (STATES.md, I7 and I8). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "spool/check.h"

/* What is counted while the rows go by. */
struct tally {
	uint64_t *held; /* message of each mail, and of each that is to be let go of */
	size_t n, cap;
};

static void
hold(struct tally *t, uint64_t message)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 256;
		t->held = mem_resize(t->held, t->cap, sizeof(*t->held));
	}
	t->held[t->n++] = message;
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* How many hold this message: the list is sorted. */
static size_t
count_held(const struct tally *t, uint64_t message)
{
	size_t low = 0, high = t->n, n = 0;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (t->held[mid] < message)
			low = mid + 1;
		else
			high = mid;
	}
	while (low + n < t->n && t->held[low + n] == message)
		n++;
	return n;
}

/* ---- kept */

static void
check_kept(struct check *c, const MDB_val *k, const MDB_val *v)
{
	char id[SPOOL_ID_LEN + 1];
	if (!key_fits(c, k, KEY_ID, "kept message"))
		return;
	const unsigned char *key = k->mv_data;
	spool_id_format(key_get(key, 8), id);
	if (!exists(c, DB_REF, key, KEY_ID))
		violation(c, "I7: message %s is kept and nobody holds it", id);
	if (exists(c, DB_MSG, key, KEY_ID))
		violation(c, "I7: message %s is both waiting and kept", id);
	check_record(c, key, v, id);
}

enum err
check_kept_slice(struct check *c, uint64_t after, uint64_t *id, size_t max, size_t *n)
{
	unsigned char key[KEY_ID];
	MDB_cursor *cur;
	MDB_val k, v;
	*n = 0;
	enum err e = reader_begin(c->r);
	if (e != OK)
		return e;
	key_put(key, after + 1, 8);
	e = db_err(mdb_cursor_open(reader_txn(c->r), c->s->dbi[DB_KEPT], &cur));
	if (e == OK) {
		for (e = db_seek(cur, key, KEY_ID, 0, &k, &v); e == OK && *n < max;
		     e = db_next(cur, key, 0, &k, &v))
			if (k.mv_size == KEY_ID)
				id[(*n)++] = key_get(k.mv_data, 8);
		mdb_cursor_close(cur);
	}
	reader_end(c->r);
	return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- mails: table by table, so that each can be compared with the other */

/* The sums of one mailbox's rows. */
struct sums {
	uint64_t messages, octets, unseen, deleted;
	uint32_t last;
	bool damaged;
};

static void
check_mail(struct check *c, struct tally *t, uint32_t uid, const MDB_val *v,
    struct sums *sums, const char *owner)
{
	struct mail_record m;
	unsigned char key[KEY_ID];
	sums->messages++;
	sums->last = uid; /* keys rise (pages.c) */
	c->account += MAIL_OVERHEAD;
	if (record_get_mail(check_value(v), &m) != OK) {
		violation(c, "I0: the record of mail %u of %s is damaged", uid, owner);
		sums->damaged = true;
		return;
	}
	sums->octets += m.size;
	sums->unseen += !(m.flags & MAIL_SEEN);
	sums->deleted += (m.flags & MAIL_DELETED) != 0;
	hold(t, m.message);
	if (m.id > c->highest_mail)
		c->highest_mail = m.id;
	key_put(key, m.message, 8);
	if (!exists(c, DB_MSG, key, KEY_ID) && !exists(c, DB_KEPT, key, KEY_ID))
		violation(c, "I7: mail %u of %s has no message", uid, owner);
}

static struct sums
sum_mailbox(struct check *c, struct tally *t, uint32_t number, const char *owner)
{
	unsigned char key[KEY_MAIL];
	struct sums sums = {0};
	MDB_cursor *cur;
	MDB_val k, v;
	mail_key_put(key, number, 0);
	if (mdb_cursor_open(c->t, c->s->dbi[DB_MAIL], &cur) != 0)
		return sums;
	for (enum err e = db_seek(cur, key, KEY_MAIL, 4, &k, &v); e == OK;
	     e = db_next(cur, key, 4, &k, &v))
		if (key_fits(c, &k, KEY_MAIL, "mail"))
			check_mail(c, t,
			    (uint32_t)key_get((unsigned char *)k.mv_data + 4, 4), &v,
			    &sums, owner);
	mdb_cursor_close(cur);
	return sums;
}

static void
check_name(
    struct check *c, const MDB_val *k, const struct mbox_record *m, const char *owner)
{
	char key[NAME_KEY_MAX];
	struct name_record at = {0};
	struct span v;
	if (m->owner.n > MAILBOX_OWNER_MAX || m->name.n > MAILBOX_NAME_MAX) {
		violation(c, "I8: a mailbox has a name that is too long");
		return;
	}
	if (db_get(c->t, c->s->dbi[DB_MBOXNAME], key,
		mbox_name_key(m->owner, m->name, key), &v) != OK ||
	    record_get_name(v, &at) != OK || at.number != key_get(k->mv_data, 4))
		violation(
		    c, "I8: the name of a mailbox of %s does not lead back to it", owner);
}

/* An owner's mailboxes follow each other in no order: what they hold is added up here. */
struct owner_sum {
	struct map_node node;
	struct owner_record sum;
	bool damaged;
	char name[MAILBOX_OWNER_MAX + 1];
};

struct owners {
	struct map by_name;
};

static void
add_to_owner(struct owners *o, struct span owner, const struct sums *sums)
{
	struct map_node *k = map_get(&o->by_name, owner);
	if (k == NULL) {
		struct owner_sum *new = NEW(struct owner_sum);
		span_copy(owner, new->name, sizeof(new->name));
		map_put(&o->by_name, &new->node, span_str(new->name));
		k = &new->node;
	}
	struct owner_sum *s = CONTAINER_OF(k, struct owner_sum, node);
	s->sum.messages += sums->messages;
	s->sum.octets += sums->octets;
	s->damaged = s->damaged || sums->damaged;
}

static void
check_mbox(struct check *c, struct tally *t, struct owners *o, const MDB_val *k,
    const MDB_val *v)
{
	char owner[MAILBOX_OWNER_MAX + 1];
	struct mbox_record m;
	if (!key_fits(c, k, 4, "mailbox"))
		return;
	uint32_t number = (uint32_t)key_get(k->mv_data, 4);
	if (record_get_mbox(check_value(v), &m) != OK) {
		violation(c, "I0: the record of mailbox %u is damaged", number);
		(void)sum_mailbox(c, t, number, "?");
		return;
	}
	span_copy(m.owner, owner, sizeof(owner));
	check_name(c, k, &m, owner);
	struct sums sums = sum_mailbox(c, t, number, owner);
	add_to_owner(o, span_str(owner), &sums);
	if (sums.last >= m.uidnext)
		violation(c, "I8: a mailbox of %s could give a uid out again", owner);
	if (!sums.damaged && (sums.messages != m.messages || sums.octets != m.octets))
		violation(c,
		    "I8: a mailbox of %s counts %llu mails and %llu octets, and "
		    "has %llu and %llu",
		    owner, (unsigned long long)m.messages, (unsigned long long)m.octets,
		    (unsigned long long)sums.messages, (unsigned long long)sums.octets);
	if (!sums.damaged && (sums.unseen != m.unseen || sums.deleted != m.deleted))
		violation(c,
		    "I9: a mailbox of %s counts %llu unseen and %llu deleted mails, and "
		    "has %llu and %llu",
		    owner, (unsigned long long)m.unseen, (unsigned long long)m.deleted,
		    (unsigned long long)sums.unseen, (unsigned long long)sums.deleted);
}

/* What went is not there, and its mailbox is. */
static void
check_gone(struct check *c, const MDB_val *k, const MDB_val *v)
{
	unsigned char key[KEY_MAIL];
	struct mbox_record m;
	struct span value;
	if (!key_fits(c, k, KEY_GONE, "row of deleted mails") || v->mv_size != 4)
		return;
	const unsigned char *p = k->mv_data;
	uint32_t first = (uint32_t)key_get(p + 12, 4),
		 last = (uint32_t)key_get(v->mv_data, 4);
	if (db_get(c->t, c->s->dbi[DB_MBOX], p, 4, &value) != OK) {
		violation(c, "I9: mails have gone from a mailbox that does not exist");
		return;
	}
	if (record_get_mbox(value, &m) != OK)
		return;
	if (last < first || last >= m.uidnext || key_get(p + 4, 8) > m.modseq)
		violation(c, "I9: mails have gone from mailbox %u that it never had",
		    (uint32_t)key_get(p, 4));
	memcpy(key, p, 4);
	for (uint32_t u = first; u <= last && u - first < 10000; u++) {
		key_put(key + 4, u, 4);
		if (exists(c, DB_MAIL, key, KEY_MAIL))
			violation(c, "I9: mail %u has gone and is there", u);
	}
}

static void
check_structure(struct check *c, const MDB_val *k, const MDB_val *v)
{
	char id[SPOOL_ID_LEN + 1];
	struct span octets;
	if (!key_fits(c, k, KEY_ID, "structure"))
		return;
	spool_id_format(key_get(k->mv_data, 8), id);
	if (record_get_octets(check_value(v), &octets) != OK)
		violation(c, "I0: the structure of message %s is damaged", id);
	if (!exists(c, DB_MSG, k->mv_data, KEY_ID) &&
	    !exists(c, DB_KEPT, k->mv_data, KEY_ID))
		violation(c, "I9: there is a structure of message %s, which is gone", id);
}

static void
check_owner(struct check *c, struct owners *o, const MDB_val *k, const MDB_val *v)
{
	char owner[MAILBOX_OWNER_MAX + 1];
	struct owner_record r;
	struct owner_sum none = {0}, *s = &none;
	span_copy(check_value(k), owner, sizeof(owner));
	if (record_get_owner(check_value(v), &r) != OK) {
		violation(c, "I0: the record of owner %s is damaged", owner);
		return;
	}
	struct map_node *node = map_get(&o->by_name, check_value(k));
	if (node != NULL)
		s = CONTAINER_OF(node, struct owner_sum, node);
	if (!s->damaged && (s->sum.messages != r.messages || s->sum.octets != r.octets))
		violation(c,
		    "I8: owner %s counts %llu mails and %llu octets, and has %llu "
		    "and %llu",
		    owner, (unsigned long long)r.messages, (unsigned long long)r.octets,
		    (unsigned long long)s->sum.messages,
		    (unsigned long long)s->sum.octets);
}

/* ---- tables */

static void
walk_mailboxes(struct check *c, struct tally *t, struct owners *o)
{
	MDB_cursor *cur;
	MDB_val k, v;
	if (mdb_cursor_open(c->t, c->s->dbi[DB_MBOX], &cur) != 0)
		return;
	while (mdb_cursor_get(cur, &k, &v, MDB_NEXT) == 0)
		check_mbox(c, t, o, &k, &v);
	mdb_cursor_close(cur);
	if (mdb_cursor_open(c->t, c->s->dbi[DB_OWNER], &cur) != 0)
		return;
	while (mdb_cursor_get(cur, &k, &v, MDB_NEXT) == 0)
		check_owner(c, o, &k, &v);
	mdb_cursor_close(cur);
}

/* A mail's mailbox must exist. */
static void
check_orphan(struct check *c, const MDB_val *k, const MDB_val *v)
{
	(void)v;
	if (k->mv_size == KEY_MAIL && !exists(c, DB_MBOX, k->mv_data, 4))
		violation(c, "I8: a mail is in no mailbox");
}

static void
walk_freed(struct check *c, struct tally *t)
{
	MDB_cursor *cur;
	MDB_val k, v;
	if (mdb_cursor_open(c->t, c->s->dbi[DB_FREED], &cur) != 0)
		return;
	while (mdb_cursor_get(cur, &k, &v, MDB_NEXT) == 0)
		if (v.mv_size == 8)
			hold(t, key_get(v.mv_data, 8));
	mdb_cursor_close(cur);
}

static void
walk_holders(struct check *c, const struct tally *t)
{
	char id[SPOOL_ID_LEN + 1];
	MDB_cursor *cur;
	MDB_val k, v;
	size_t seen = 0;
	if (mdb_cursor_open(c->t, c->s->dbi[DB_REF], &cur) != 0)
		return;
	while (mdb_cursor_get(cur, &k, &v, MDB_NEXT) == 0) {
		if (!key_fits(c, &k, KEY_ID, "count of holders") || v.mv_size != 4)
			continue;
		uint64_t message = key_get(k.mv_data, 8), says = key_get(v.mv_data, 4);
		size_t has = count_held(t, message);
		seen += has;
		spool_id_format(message, id);
		if (says != has)
			violation(c, "I7: %llu mails are said to hold message %s, %zu do",
			    (unsigned long long)says, id, has);
	}
	mdb_cursor_close(cur);
	if (seen != t->n)
		violation(
		    c, "I7: %zu mails hold a message that does not know it", t->n - seen);
}

void
check_mailboxes(struct check *c)
{
	static const uint64_t seed[2] = {1, 2};
	struct tally t = {0};
	struct owners o = {0};
	map_init(&o.by_name, seed);
	each(c, DB_KEPT, check_kept);
	each(c, DB_MAIL, check_orphan);
	each(c, DB_GONE, check_gone);
	each(c, DB_MIME, check_structure);
	walk_mailboxes(c, &t, &o);
	walk_freed(c, &t);
	if (t.n > 0)
		qsort(t.held, t.n, sizeof(*t.held), by_number);
	walk_holders(c, &t);
	MAP_EACH (&o.by_name, k) {
		struct owner_sum *s = CONTAINER_OF(k, struct owner_sum, node);
		map_remove(&o.by_name, k);
		mem_free(&s);
	}
	map_clear(&o.by_name);
	mem_free(&t.held);
}
