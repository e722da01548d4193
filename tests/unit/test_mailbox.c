/* SPDX-License-Identifier: ISC */
/*
 * Mailboxes in the spool: content is stored once and goes with its last holder; uids and
 * mail ids never come back; a change is whole or not at all; what is damaged is
 * contained.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/mem.h"
#include "spool/private.h"
#include "tests/lib/spool_rig.h"

#define INBOX SPAN(MAILBOX_INBOX)
#define ALICE SPAN("alice")
#define B "smtp b.example"

static struct spool_rig *
open_rig(void)
{
	struct spool_rig *r = spool_rig_new(0);
	if (spool_rig_open(r) != OK)
		fail_msg("%s", r->why);
	return r;
}

static struct spool_stat
stat_of(struct spool_rig *r)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	struct spool_stat st;
	assert_int_equal(spool_read_stat(reader, &st), OK);
	spool_reader_free(&reader);
	return st;
}

static struct mailbox_usage
usage_of(struct spool_rig *r, const char *owner)
{
	struct mailbox_usage u;
	spool_mailbox_usage(r->spool, span_str(owner), &u);
	return u;
}

static uint64_t
put(struct spool_rig *r, const char *owner, size_t size, unsigned seed)
{
	struct message *m = spool_rig_message(size, seed);
	spool_rig_drop(m, owner, "Return-Path: <s@d>\r\n");
	return spool_rig_stored(r, m);
}

/* The rows of an owner's INBOX. */
static size_t
rows_of(struct spool_rig *r, const char *owner, struct mail_row *out, size_t max)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	struct mailbox_view box;
	size_t n = 0;
	enum err e = spool_read_mailbox(reader, span_str(owner), INBOX, &box);
	if (e == OK)
		e = spool_read_mails(reader, box.number, 0, 0, out, max, &n);
	assert_true(e == OK || e == ERR_NOT_FOUND);
	spool_reader_free(&reader);
	return n;
}

static struct mailbox_view
view_of(struct spool_rig *r, const char *owner)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	struct mailbox_view box;
	assert_int_equal(spool_read_mailbox(reader, span_str(owner), INBOX, &box), OK);
	spool_reader_free(&reader);
	return box;
}

static enum err
read_mail(struct spool_rig *r, const char *owner, uint32_t uid, struct kept_mail **out)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	struct mailbox_view box;
	enum err e = spool_read_mailbox(reader, span_str(owner), INBOX, &box);
	*out = NULL;
	if (e == OK)
		e = spool_read_mail(reader, box.number, uid, true, out);
	spool_reader_free(&reader);
	return e;
}

static enum err
delete_uid(struct spool_rig *r, const char *owner, uint32_t uid)
{
	struct mail_change *c = mail_change_new(span_str(owner), INBOX);
	mail_change_delete(c, uid);
	return spool_rig_change(r, c);
}

/* Nothing is left but owners that hold nothing. */
static void
assert_empty(struct spool_rig *r)
{
	struct spool_stat st = stat_of(r);
	assert_int_equal(st.messages, 0);
	assert_int_equal(st.kept, 0);
	assert_int_equal(st.mails, 0);
	assert_int_equal(st.bytes, 0);
	assert_int_equal(spool_rig_files(r), 0);
	spool_rig_clean(r);
}

/* ---- delivery */

static void
test_only_into_a_mailbox(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	struct mail_row row[2] = {{0}};
	struct kept_mail *m;
	uint64_t id = put(r, "alice", 5000, 1);
	struct spool_stat st = stat_of(r);
	assert_int_equal(st.messages, 0); /* no queue hop */
	assert_int_equal(st.kept, 1);
	assert_int_equal(st.recipients, 0);
	assert_int_equal(r->tolds, 0); /* and the scheduler hears of nothing */
	assert_int_equal(rows_of(r, "alice", row, 2), 1);
	assert_int_equal(row[0].uid, 1);
	assert_int_equal(row[0].message, id);
	assert_true(row[0].id > id);
	assert_int_equal(row[0].flags, 0);
	assert_int_equal(read_mail(r, "alice", 1, &m), OK);
	CHECK(m != NULL);
	assert_true(spool_rig_content_is(m->message, 5000, 1));
	assert_true(span_eq(m->own, SPAN("Return-Path: <s@d>\r\n")));
	assert_true(span_eq(m->recipient, SPAN("someone@local.example")));
	assert_int_equal(m->row.size, m->own.n + m->message->prefix.n + 5000 +
					  (m->message->flags & MESSAGE_NO_CRLF ? 2 : 0));
	assert_int_equal(usage_of(r, "alice").messages, 1);
	assert_int_equal(usage_of(r, "alice").octets, m->row.size);
	kept_mail_free(&m);
	spool_rig_clean(r);
	assert_int_equal(delete_uid(r, "alice", 1), OK);
	assert_int_equal(usage_of(r, "alice").messages, 0);
	assert_int_equal(usage_of(r, "alice").octets, 0);
	assert_empty(r);
	spool_rig_free(&r);
}

static void
test_content_once(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	static const char *const who[] = {"alice", "bob", "carol"};
	struct message *m = spool_rig_message(9000, 2);
	spool_rig_rcpt(m, "u@b.example", B, 0);
	for (size_t i = 0; i < 3; i++)
		spool_rig_drop(m, who[i], "");
	uint64_t id = spool_rig_stored(r, m);
	assert_int_equal(stat_of(r).messages, 1);
	assert_int_equal(stat_of(r).kept, 0);
	assert_int_equal(stat_of(r).mails, 3);
	assert_int_equal(r->tolds, 1);
	spool_rig_clean(r);
	assert_int_equal(delete_uid(r, "bob", 1), OK); /* the queue and others hold it */
	spool_rig_clean(r);
	assert_int_equal(spool_rig_outcome(r, id, B, 0, OUTCOME_DELIVERED, 0, NULL), OK);
	assert_int_equal(stat_of(r).messages, 0);
	assert_int_equal(stat_of(r).kept, 1);
	spool_rig_clean(r);
	struct kept_mail *mail;
	assert_int_equal(read_mail(r, "carol", 1, &mail), OK);
	CHECK(mail != NULL);
	assert_true(spool_rig_content_is(mail->message, 9000, 2));
	kept_mail_free(&mail);
	assert_int_equal(delete_uid(r, "alice", 1), OK);
	assert_int_equal(stat_of(r).kept, 1);
	assert_int_equal(delete_uid(r, "carol", 1), OK);
	assert_empty(r);
	spool_rig_free(&r);
}

/* All mails go while a recipient still waits: then the queue alone holds it. */
static void
test_queue_outlives_mailboxes(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	struct message *m = spool_rig_message(100, 3);
	spool_rig_rcpt(m, "u@b.example", B, 0);
	spool_rig_drop(m, "alice", "");
	uint64_t id = spool_rig_stored(r, m);
	assert_int_equal(delete_uid(r, "alice", 1), OK);
	assert_int_equal(stat_of(r).messages, 1);
	spool_rig_clean(r);
	assert_int_equal(spool_rig_outcome(r, id, B, 0, OUTCOME_DELIVERED, 0, NULL), OK);
	assert_empty(r);
	spool_rig_free(&r);
}

static void
test_from_the_queue(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	struct message *m = spool_rig_message(4000, 4);
	spool_rig_rcpt(m, "a@local.example", "mailbox:x", 0);
	spool_rig_rcpt(m, "u@b.example", B, 0);
	uint64_t id = spool_rig_stored(r, m);
	const struct drop drop[] = {{ALICE, SPAN("a@local.example"), SPAN("X: 1\r\n")},
	    {SPAN("bob"), SPAN("a@local.example"), SPAN("X: 2\r\n")}};
	struct report *rep =
	    report_new(id, SPAN("mailbox:x"), (struct wall){RIG_WALL_MS});
	struct outcome o = {.kind = OUTCOME_DELIVERED, .drop = drop, .drops = 2};
	report_add(rep, &o);
	assert_int_equal(spool_rig_report(r, rep), OK);
	spool_rig_clean(r);
	assert_int_equal(usage_of(r, "alice").messages, 1);
	assert_int_equal(usage_of(r, "bob").messages, 1);
	/* the same report again: that recipient is gone, and nobody gets it twice */
	rep = report_new(id, SPAN("mailbox:x"), (struct wall){RIG_WALL_MS});
	report_add(rep, &o);
	assert_int_equal(spool_rig_report(r, rep), ERR_NOT_FOUND);
	assert_int_equal(usage_of(r, "alice").messages, 1);
	/* only what is over can be put into a mailbox */
	rep = report_new(id, SPAN(B), (struct wall){RIG_WALL_MS});
	o.index = 1;
	o.kind = OUTCOME_HELD;
	report_add(rep, &o);
	assert_int_equal(spool_rig_report(r, rep), ERR_RANGE);
	assert_int_equal(spool_rig_outcome(r, id, B, 1, OUTCOME_DELIVERED, 0, NULL), OK);
	assert_int_equal(delete_uid(r, "alice", 1), OK);
	assert_int_equal(delete_uid(r, "bob", 1), OK);
	assert_empty(r);
	spool_rig_free(&r);
}

static void
test_large(void **state)
{
	(void)state;
	struct spool_rig *r = spool_rig_new(0);
	struct spool_body *b;
	struct spool_body_result result;
	struct kept_mail *mail;
	r->options.inline_max = 9000;
	assert_int_equal(spool_rig_open(r), OK);
	assert_int_equal(spool_rig_body(r, 100000, 5, &b, &result), OK);
	struct message *m = spool_rig_message(0, 5);
	content_unref(&m->content);
	m->content = result.content;
	m->size = content_size(result.content);
	m->file = result.file;
	m->crc = result.crc;
	spool_rig_drop(m, "alice", "");
	assert_int_equal(spool_rig_accept(r, m), OK);
	spool_body_free(&b);
	spool_rig_run(r);
	spool_rig_clean(r);
	spool_rig_reopen(r); /* its file is not swept */
	assert_int_equal(spool_rig_files(r), 1);
	assert_int_equal(read_mail(r, "alice", 1, &mail), OK);
	CHECK(mail != NULL);
	assert_true(spool_rig_content_is(mail->message, 100000, 5));
	kept_mail_free(&mail);
	assert_int_equal(delete_uid(r, "alice", 1), OK);
	spool_rig_run(r);
	assert_empty(r);
	spool_rig_free(&r);
}

/* ---- what never comes back */

static void
test_ids_and_uids(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	struct mail_row row[10];
	uint64_t last = 0;
	for (unsigned i = 0; i < 5; i++)
		(void)put(r, "alice", 50, i);
	assert_int_equal(rows_of(r, "alice", row, 10), 5);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(row[i].uid, i + 1);
		assert_true(row[i].id > last);
		last = row[i].id;
	}
	assert_int_equal(delete_uid(r, "alice", 5), OK);
	assert_int_equal(delete_uid(r, "alice", 4), OK);
	spool_rig_reopen(r);
	atomic_store(&r->wall_ms, RIG_WALL_MS - DAY_MS); /* the clock went back */
	(void)put(r, "alice", 50, 9);
	assert_int_equal(rows_of(r, "alice", row, 10), 4);
	assert_int_equal(row[3].uid, 6);
	assert_true(row[3].id > last);
	last = row[3].id;
	uint32_t validity = view_of(r, "alice").uidvalidity;
	assert_int_equal(spool_rig_owner_delete(r, "alice"), OK);
	spool_rig_run(r);
	assert_int_equal(usage_of(r, "alice").messages, 0);
	assert_empty(r);
	assert_int_equal(spool_rig_owner_delete(r, "alice"), ERR_NOT_FOUND);
	(void)put(r, "alice", 50, 9);
	assert_true(view_of(r, "alice").uidvalidity > validity);
	assert_int_equal(rows_of(r, "alice", row, 10), 1);
	assert_true(row[0].id > last);
	spool_rig_free(&r);
}

/* ---- changes */

static void
test_flags(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	struct mail_row row[3] = {{0}};
	for (unsigned i = 0; i < 3; i++)
		(void)put(r, "alice", 50, i);
	uint64_t modseq = view_of(r, "alice").modseq;
	atomic_store(&r->wall_ms, RIG_WALL_MS + HOUR_MS);
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	mail_change_flags(c, 2, MAIL_SEEN | MAIL_PICKED, 0);
	mail_change_flags(c, 7, MAIL_SEEN, 0); /* there is none */
	mail_change_pickup(c);
	assert_int_equal(spool_rig_change(r, c), OK);
	assert_int_equal(rows_of(r, "alice", row, 3), 3);
	assert_int_equal(row[0].flags, 0);
	assert_int_equal(row[1].flags, MAIL_SEEN | MAIL_PICKED);
	assert_int_equal(row[1].picked.ms, RIG_WALL_MS + HOUR_MS);
	assert_int_equal(row[0].picked.ms, 0);
	assert_true(row[1].modseq > modseq);
	assert_int_equal(row[2].modseq, modseq);
	assert_int_equal(usage_of(r, "alice").last_pickup.ms, RIG_WALL_MS + HOUR_MS);
	/* what is as it should be already is no change */
	c = mail_change_new(ALICE, INBOX);
	mail_change_flags(c, 2, MAIL_SEEN, 0);
	assert_int_equal(spool_rig_change(r, c), ERR_NOT_FOUND);
	c = mail_change_new(ALICE, INBOX);
	mail_change_flags(c, 2, 0, MAIL_SEEN);
	assert_int_equal(spool_rig_change(r, c), OK);
	assert_int_equal(rows_of(r, "alice", row, 3), 3);
	assert_int_equal(row[1].flags, MAIL_PICKED);
	spool_rig_reopen(r);
	assert_int_equal(usage_of(r, "alice").last_pickup.ms, RIG_WALL_MS + HOUR_MS);
	assert_int_equal(usage_of(r, "alice").messages, 3);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

static void
test_empty_pickup(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	struct mail_change *c = mail_change_new(SPAN("nobody"), INBOX);
	mail_change_delete(c, 1);
	assert_int_equal(spool_rig_change(r, c), ERR_NOT_FOUND);
	c = mail_change_new(SPAN("nobody"), INBOX);
	mail_change_pickup(c);
	assert_int_equal(spool_rig_change(r, c), OK);
	assert_int_equal(usage_of(r, "nobody").last_pickup.ms, RIG_WALL_MS);
	assert_empty(r);
	spool_rig_free(&r);
}

static void
test_notice(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	(void)put(r, "alice", 50, 1);
	for (uint32_t uid = 2; uid >= 1; uid--) {
		struct mail_change *c = mail_change_new(ALICE, INBOX);
		struct message *n = spool_rig_message(300, 2);
		spool_rig_rcpt(n, "s@b.example", B, 0);
		mail_change_delete(c, uid);
		mail_change_notice(c, n);
		/* nothing was deleted: no notice either */
		assert_int_equal(spool_rig_change(r, c), uid == 2 ? ERR_NOT_FOUND : OK);
		assert_int_equal(stat_of(r).messages, uid == 1);
		assert_int_equal(r->tolds, uid == 1);
	}
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	mail_change_notice(c, spool_rig_message(300, 2)); /* for nobody */
	assert_int_equal(spool_rig_change(r, c), ERR_RANGE);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

/* Many at once: gone at once, their content in slices; also after a restart between. */
static void
test_many(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	enum { MANY = 700 };
	for (unsigned i = 0; i < MANY; i++)
		(void)put(r, "alice", 100, i);
	uint64_t full = stat_of(r).bytes;
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	for (uint32_t uid = 1; uid <= MANY - 10; uid++)
		mail_change_delete(c, uid);
	(void)spool_mail_change_start(r->spool, c, loop_inbox(r->loop), NULL, NULL);
	(void)loop_turn(r->loop, false); /* the change, and slices behind it */
	assert_int_equal(usage_of(r, "alice").messages, 10);
	assert_int_equal(stat_of(r).mails, 10);
	spool_rig_clean(r);
	spool_rig_reopen(r);
	spool_rig_clean(r);
	spool_rig_run(r);
	assert_int_equal(stat_of(r).kept, 10);
	assert_true(stat_of(r).bytes < full / 60);
	spool_rig_clean(r);
	assert_int_equal(spool_rig_owner_delete(r, "alice"), OK);
	spool_rig_run(r);
	assert_empty(r);
	spool_rig_free(&r);
}

/* ---- bounds */

static void
test_bounds(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	char name[MAILBOX_OWNER_MAX + 2], own[MAIL_PREFIX_MAX + 2];
	const struct {
		size_t owner, own;
		enum err e;
	} table[] = {
	    {1, 0, OK},
	    {0, 0, ERR_RANGE},
	    {MAILBOX_OWNER_MAX, 0, OK},
	    {MAILBOX_OWNER_MAX + 1, 0, ERR_RANGE},
	    {3, MAIL_PREFIX_MAX, OK},
	    {3, MAIL_PREFIX_MAX + 1, ERR_RANGE},
	};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		memset(name, 'n', sizeof(name));
		memset(own, 'o', sizeof(own));
		name[table[i].owner] = own[table[i].own] = '\0';
		struct message *m = spool_rig_message(10, 1);
		spool_rig_drop(m, name, own);
		assert_int_equal(spool_rig_accept(r, m), table[i].e);
	}
	assert_int_equal(
	    spool_rig_accept(r, spool_rig_message(10, 1)), ERR_RANGE); /* nobody's */
	assert_int_equal(stat_of(r).mails, 3);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

static void
put_box(struct spool_rig *r, const struct mbox_record *m, uint32_t number)
{
	MDB_txn *t;
	unsigned char n[4];
	struct buf b;
	buf_init(&b, 1000);
	record_put_mbox(&b, m);
	key_put(n, number, 4);
	assert_int_equal(mdb_txn_begin(r->spool->env, NULL, 0, &t), 0);
	assert_int_equal(db_put(t, r->spool->dbi[DB_MBOX], n, 4, buf_span(&b), 0), OK);
	assert_int_equal(mdb_txn_commit(t), 0);
	buf_clear(&b);
}

static void
test_uids_end(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	(void)put(r, "alice", 10, 1);
	struct mailbox_view v = view_of(r, "alice");
	struct mbox_record m = {.uidvalidity = v.uidvalidity,
	    .uidnext = UINT32_MAX - MESSAGE_RCPT_MAX,
	    .modseq = v.modseq,
	    .messages = v.messages,
	    .octets = v.octets,
	    .unseen = v.unseen,
	    .recent = 1,
	    .owner = ALICE,
	    .name = INBOX};
	put_box(r, &m, v.number);
	struct message *one = spool_rig_message(10, 1);
	spool_rig_drop(one, "alice", "");
	assert_int_equal(spool_rig_accept(r, one), ERR_RANGE);
	m.uidnext--;
	put_box(r, &m, v.number);
	(void)put(r, "alice", 10, 1);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

/* ---- owners */

static void
test_owners(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	struct owner_row o = {0};
	(void)put(r, "bob", 20, 1);
	atomic_store(&r->wall_ms, RIG_WALL_MS + 5000);
	(void)put(r, "alice", 10, 1);
	(void)put(r, "bobby", 10, 1);
	struct spool_reader *reader = spool_reader_new(r->spool);
	static const char *const names[] = {"alice", "bob", "bobby"};
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(spool_read_owner(reader, span_str(o.name), &o), OK);
		assert_string_equal(o.name, names[i]);
		assert_int_equal(o.usage.messages, 1);
		assert_int_equal(o.oldest.ms, RIG_WALL_MS + (i == 1 ? 0 : 5000));
	}
	assert_int_equal(spool_read_owner(reader, span_str(o.name), &o), ERR_NOT_FOUND);
	spool_reader_free(&reader);
	/* "bob" goes without "bobby" */
	assert_int_equal(spool_rig_owner_delete(r, "bob"), OK);
	spool_rig_run(r);
	assert_int_equal(usage_of(r, "bob").messages, 0);
	assert_int_equal(usage_of(r, "bobby").messages, 1);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

/* ---- reading in slices */

static void
test_slices(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	struct mail_row row[10];
	size_t n;
	for (unsigned i = 0; i < 20; i++)
		(void)put(r, i % 2 ? "alice" : "bob", 10, i);
	struct spool_reader *reader = spool_reader_new(r->spool);
	uint32_t number = view_of(r, "alice").number;
	assert_int_equal(spool_read_mails(reader, number, 0, 0, row, 4, &n), OK);
	assert_int_equal(n, 4);
	assert_int_equal(row[3].uid, 4);
	assert_int_equal(spool_read_mails(reader, number, 4, 9, row, 10, &n), OK);
	assert_int_equal(n, 4);
	assert_int_equal(row[0].uid, 5);
	assert_int_equal(row[3].uid, 8);
	assert_int_equal(spool_read_mails(reader, number, 10, 0, row, 10, &n), OK);
	assert_int_equal(n, 0);
	assert_int_equal(
	    spool_read_mails(reader, number, UINT32_MAX, 0, row, 10, &n), OK);
	assert_int_equal(n, 0);
	spool_reader_free(&reader);
	spool_rig_free(&r);
}

/* ---- damage */

static void
spoil(struct spool_rig *r, enum dbi d, const void *key, size_t n, bool delete)
{
	MDB_txn *t;
	struct span v;
	char copy[9000];
	assert_int_equal(mdb_txn_begin(r->spool->env, NULL, 0, &t), 0);
	assert_int_equal(db_get(t, r->spool->dbi[d], key, n, &v), OK);
	assert_true(v.n <= sizeof(copy));
	memcpy(copy, v.p, v.n);
	copy[v.n - 1] ^= 0x40;
	if (delete)
		assert_int_equal(db_del(t, r->spool->dbi[d], key, n), OK);
	else
		assert_int_equal(
		    db_put(t, r->spool->dbi[d], key, n, (struct span){copy, v.n}, 0), OK);
	assert_int_equal(mdb_txn_commit(t), 0);
}

static void
test_damage(void **state)
{
	static const struct {
		enum dbi d;
		char key; /* m: of the message, u: of the mail, b: of the box, ... */
		bool delete;
		const char *found;
		enum err reads;
	} table[] = {
	    {DB_MAIL, 'u', false, "I0: the record of mail 1 of alice", ERR_DAMAGED},
	    {DB_MAIL, 'u', true, "I8: a mailbox of alice counts", ERR_NOT_FOUND},
	    {DB_KEPT, 'm', false, "I0: the record of message", ERR_DAMAGED},
	    {DB_KEPT, 'm', true, "I7: mail 1 of alice has no message", ERR_DAMAGED},
	    {DB_REF, 'm', true, "I7: message", OK},
	    {DB_REF, 'm', false, "I7: ", OK},
	    {DB_BODY, 'c', false, "I2: the content of message", ERR_DAMAGED},
	    {DB_BODY, 'c', true, "I2: message", ERR_DAMAGED},
	    {DB_MBOX, 'b', false, "I0: the record of mailbox", ERR_DAMAGED},
	    {DB_MBOX, 'b', true, "I8: a mail is in no mailbox", ERR_NOT_FOUND},
	    {DB_OWNER, 'o', false, "I0: the record of owner alice", OK},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct spool_rig *r = open_rig();
		struct kept_mail *m;
		unsigned char key[KEY_BODY] = {0};
		uint64_t id = put(r, "alice", 500, 1);
		uint32_t number = view_of(r, "alice").number;
		size_t n = table[i].key == 'c' ? KEY_BODY : KEY_ID;
		key_put(key, id, 8);
		if (table[i].key == 'u')
			mail_key_put(key, number, 1);
		if (table[i].key == 'b')
			key_put(key, number, n = 4);
		if (table[i].key == 'o')
			memcpy(key, "alice", n = 5);
		spoil(r, table[i].d, key, n, table[i].delete);
		spool_rig_violates(r, table[i].found);
		assert_int_equal(read_mail(r, "alice", 1, &m), table[i].reads);
		kept_mail_free(&m);
		spool_rig_free(&r);
	}
}

static void
on_result(void *arg, enum err e)
{
	*(enum err *)arg = e;
}

/* A name that leads to somebody else's mailbox leads nowhere: not to read, to deliver,
 * to change or to list. */
static void
test_name_of_another(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	struct mailbox_view box;
	struct mailbox_name name[2];
	char value[NAME_RECORD];
	size_t n = 9;
	MDB_txn *t;
	(void)put(r, "alice", 500, 1);
	(void)put(r, "bob", 600, 2);
	record_put_name(value, &(struct name_record){view_of(r, "alice").number, false});
	assert_int_equal(mdb_txn_begin(r->spool->env, NULL, 0, &t), 0);
	assert_int_equal(db_put(t, r->spool->dbi[DB_MBOXNAME], "bob\0INBOX", 9,
			     (struct span){value, sizeof(value)}, 0),
	    OK);
	assert_int_equal(mdb_txn_commit(t), 0);
	spool_rig_violates(r, "I8: the name of a mailbox of bob does not lead back");
	struct spool_reader *reader = spool_reader_new(r->spool);
	assert_int_equal(
	    spool_read_mailbox(reader, SPAN("bob"), INBOX, &box), ERR_DAMAGED);
	assert_int_equal(
	    spool_read_names(reader, SPAN("bob"), SPAN(""), name, 2, &n), OK);
	assert_int_equal(n, 0);
	spool_reader_free(&reader);
	struct message *m = spool_rig_message(700, 3);
	spool_rig_drop(m, "bob", "Return-Path: <s@d>\r\n");
	assert_int_equal(spool_rig_accept(r, m), ERR_DAMAGED);
	struct mail_change *c = mail_change_new(SPAN("bob"), INBOX);
	mail_change_delete(c, 1);
	assert_int_equal(spool_rig_change(r, c), ERR_DAMAGED);
	(void)put(r, "alice", 800, 4);
	assert_int_equal(view_of(r, "alice").messages, 2);
	spool_rig_free(&r);
}

/* Who wants something of a mailbox that is damaged is refused; whoever shares his
 * transaction is not, in front of him and behind. */
static void
test_damaged_mailbox_is_contained(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	unsigned char key[4];
	enum err result[5];
	(void)put(r, "alice", 500, 1);
	(void)put(r, "bob", 600, 2);
	key_put(key, view_of(r, "bob").number, 4);
	spoil(r, DB_MBOX, key, 4, false);
	for (unsigned i = 0; i < 5; i++) {
		struct message *m = spool_rig_message(700, 3 + i);
		result[i] = ERR_AGAIN;
		spool_rig_drop(m, "alice", "Return-Path: <s@d>\r\n");
		if (i % 2 == 1) /* alice's part of it goes back with bob's */
			spool_rig_drop(m, "bob", "Return-Path: <s@d>\r\n");
		(void)spool_accept_start(
		    r->spool, m, loop_inbox(r->loop), on_result, &result[i]);
		message_unref(&m);
	}
	spool_rig_run(r);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(result[i], i % 2 == 1 ? ERR_DAMAGED : OK);
	assert_int_equal(r->failures, 0);
	assert_int_equal(view_of(r, "alice").messages, 1 + 3);
	(void)put(r, "alice", 800, 9);
	spool_rig_violates(r, "I0: the record of mailbox");
	spool_rig_free(&r);
}

/* A damaged row is shown as one, and can be deleted; the sums are right again. */
static void
test_damaged_row_goes(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	unsigned char key[KEY_MAIL];
	struct mail_row row[2] = {{0}};
	(void)put(r, "alice", 500, 1);
	(void)put(r, "alice", 600, 2);
	mail_key_put(key, view_of(r, "alice").number, 1);
	spoil(r, DB_MAIL, key, KEY_MAIL, false);
	assert_int_equal(rows_of(r, "alice", row, 2), 2);
	assert_int_equal(row[0].id, 0);
	assert_int_equal(row[0].size, 0);
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	mail_change_flags(c, 1, MAIL_SEEN, 0);
	assert_int_equal(spool_rig_change(r, c), ERR_NOT_FOUND);
	assert_int_equal(delete_uid(r, "alice", 1), OK);
	assert_int_equal(rows_of(r, "alice", row, 2), 1);
	assert_int_equal(usage_of(r, "alice").messages, 1);
	assert_int_equal(usage_of(r, "alice").octets, row[0].size);
	spool_rig_free(&r);
}

/* ---- formats */

static void
test_older_spool(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	MDB_txn *t;
	struct message *m = spool_rig_message(10, 1);
	spool_rig_rcpt(m, "u@b.example", B, 0);
	(void)spool_rig_stored(r, m);
	assert_int_equal(mdb_txn_begin(r->spool->env, NULL, 0, &t), 0);
	for (int d = DB_KEPT; d < DB_COUNT; d++)
		assert_int_equal(mdb_drop(t, r->spool->dbi[d], 1), 0);
	assert_int_equal(db_put_u64(t, r->spool, "format", 1), OK);
	assert_int_equal(mdb_txn_commit(t), 0);
	spool_rig_close(r);
	r->options.read_only = true;
	assert_int_equal(spool_rig_open(r), ERR_VERSION);
	assert_non_null(strstr(r->why, "start this one once"));
	r->options.read_only = false;
	assert_int_equal(spool_rig_open(r), OK);
	assert_int_equal(stat_of(r).messages, 1);
	(void)put(r, "alice", 10, 1);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

#ifdef RELAY_FAULTS

/* A full disk: mail is refused, what makes room is done. */
static void
test_full_disk(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	(void)put(r, "alice", 5000, 1);
	struct message *m = spool_rig_message(10, 1);
	spool_rig_drop(m, "alice", "");
	fault_plan(FAULT_FAIL, "spool.commit.full", 1);
	assert_int_equal(spool_rig_accept(r, m), ERR_DISK_FULL);
	assert_int_equal(usage_of(r, "alice").messages, 1);
	spool_rig_clean(r);
	fault_plan(FAULT_FAIL, "spool.commit.full", 1);
	assert_int_equal(delete_uid(r, "alice", 1), OK);
	fault_plan(FAULT_NONE, NULL, 0);
	assert_empty(r);
	spool_rig_free(&r);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_only_into_a_mailbox),
	    cmocka_unit_test(test_content_once),
	    cmocka_unit_test(test_queue_outlives_mailboxes),
	    cmocka_unit_test(test_from_the_queue),
	    cmocka_unit_test(test_large),
	    cmocka_unit_test(test_ids_and_uids),
	    cmocka_unit_test(test_flags),
	    cmocka_unit_test(test_empty_pickup),
	    cmocka_unit_test(test_notice),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_uids_end),
	    cmocka_unit_test(test_owners),
	    cmocka_unit_test(test_slices),
	    cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_name_of_another),
	    cmocka_unit_test(test_damaged_mailbox_is_contained),
	    cmocka_unit_test(test_damaged_row_goes),
	    cmocka_unit_test(test_older_spool),
#ifdef RELAY_FAULTS
	    cmocka_unit_test(test_full_disk),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
