/* SPDX-License-Identifier: ISC */
/*
 * A spool of format 2, as the relayd before folders wrote it: its records are laid out
 * here by hand.  Opened once it is a spool of format 3 with the same mail, whatever
 * happens while it is opened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/fault.h"
#include "base/mem.h"
#include "spool/private.h"
#include "tests/lib/spool_rig.h"

#define OWNERS 150 /* mailboxes on several pages */
#define INBOX SPAN(MAILBOX_INBOX)

/* ---- records as they were */

static void
put_n(struct buf *b, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		buf_add_char(b, (char)(v >> (8 * i)));
}

static void
put_span(struct buf *b, struct span s)
{
	put_n(b, s.n, 4);
	buf_add_span(b, s);
}

static void
seal(struct buf *b)
{
	uint32_t crc = crc32c(0, b->p + 5, b->n - 5);
	b->p[0] = RECORD_VERSION;
	for (size_t i = 0; i < 4; i++)
		b->p[1 + i] = (char)(crc >> (8 * i));
}

static void
old_mail(struct buf *b, const struct mail_record *m)
{
	buf_reset(b);
	put_n(b, 0, 5);
	put_n(b, m->id, 8);
	put_n(b, m->message, 8);
	put_n(b, m->modseq, 8);
	put_n(b, m->size, 8);
	put_n(b, m->flags, 4);
	put_n(b, (uint64_t)m->arrival.ms, 8);
	put_n(b, (uint64_t)m->picked.ms, 8);
	put_span(b, m->recipient);
	put_span(b, m->own);
	seal(b);
}

static void
old_mbox(struct buf *b, const struct mbox_record *m)
{
	buf_reset(b);
	put_n(b, 0, 5);
	put_n(b, m->uidvalidity, 4);
	put_n(b, m->uidnext, 4);
	put_n(b, m->modseq, 8);
	put_n(b, m->messages, 8);
	put_n(b, m->octets, 8);
	put_span(b, m->owner);
	put_span(b, m->name);
	seal(b);
}

static void
age_mail(struct span value, struct buf *out)
{
	struct mail_record m;
	assert_int_equal(record_get_mail(value, &m), OK);
	old_mail(out, &m);
}

static void
age_mbox(struct span value, struct buf *out)
{
	struct mbox_record m;
	assert_int_equal(record_get_mbox(value, &m), OK);
	old_mbox(out, &m);
}

static void
age_name(struct span value, struct buf *out)
{
	buf_reset(out);
	buf_add_span(out, span_cut(value, 0, 4));
}

/* Every row of a table, rewritten; keys are copied, for rows move while one is written.
 */
static void
age(struct spool_rig *r, MDB_txn *t, enum dbi d,
    void (*make)(struct span value, struct buf *out))
{
	char key[512];
	struct buf value;
	MDB_cursor *c;
	MDB_val k, v;
	buf_init(&value, 0);
	assert_int_equal(mdb_cursor_open(t, r->spool->dbi[d], &c), 0);
	int rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
	while (rc == 0) {
		size_t n = k.mv_size;
		memcpy(key, k.mv_data, n);
		make((struct span){v.mv_data, v.mv_size}, &value);
		assert_int_equal(
		    db_put(t, r->spool->dbi[d], key, n, buf_span(&value), 0), OK);
		k = (MDB_val){n, key};
		rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
		if (rc == 0)
			rc = mdb_cursor_get(c, &k, &v, MDB_NEXT);
	}
	assert_int_equal(rc, MDB_NOTFOUND);
	mdb_cursor_close(c);
	buf_clear(&value);
}

static void
change(struct spool_rig *r, const char *owner, uint32_t uid, uint32_t flags)
{
	struct mail_change *c = mail_change_new(span_str(owner), INBOX);
	mail_change_flags(c, uid, flags, 0);
	assert_int_equal(spool_rig_change(r, c), OK);
}

static void
owner_name(char out[16], unsigned i)
{
	(void)snprintf(out, 16, "owner%03u", i);
}

/* Owner i has three mails, of which the first is seen and, if i is even, another one is
 * to be deleted. */
static void
fill(struct spool_rig *r)
{
	char owner[16];
	for (unsigned i = 0; i < OWNERS; i++) {
		owner_name(owner, i);
		for (unsigned k = 0; k < 3; k++) {
			struct message *m = spool_rig_message(100 + k, k);
			spool_rig_drop(m, owner, "Return-Path: <s@d>\r\n");
			assert_int_equal(spool_rig_accept(r, m), OK);
		}
		change(r, owner, 1, MAIL_SEEN | MAIL_PICKED);
		if (i % 2 == 0)
			change(r, owner, 3, MAIL_DELETED);
	}
}

static void
make_old(struct spool_rig *r)
{
	MDB_txn *t;
	fill(r);
	assert_int_equal(mdb_txn_begin(r->spool->env, NULL, 0, &t), 0);
	age(r, t, DB_MAIL, age_mail);
	age(r, t, DB_MBOX, age_mbox);
	age(r, t, DB_MBOXNAME, age_name);
	for (int d = DB_MIME; d < DB_COUNT; d++)
		assert_int_equal(mdb_drop(t, r->spool->dbi[d], 1), 0);
	assert_int_equal(db_put_u64(t, r->spool, "format", 2), OK);
	assert_int_equal(mdb_txn_commit(t), 0);
	spool_rig_close(r);
}

static uint64_t
format_of(struct spool_rig *r)
{
	MDB_txn *t;
	uint64_t v = 0;
	assert_int_equal(mdb_txn_begin(r->spool->env, NULL, MDB_RDONLY, &t), 0);
	assert_int_equal(db_get_u64(t, r->spool, "format", &v), OK);
	mdb_txn_abort(t);
	return v;
}

static void
assert_upgraded(struct spool_rig *r)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	char owner[16];
	spool_rig_clean(r);
	assert_int_equal(format_of(r), 3);
	for (unsigned i = 0; i < OWNERS; i++) {
		struct mailbox_view v;
		struct mail_row row[4];
		size_t n;
		owner_name(owner, i);
		assert_int_equal(
		    spool_read_mailbox(reader, span_str(owner), INBOX, &v), OK);
		assert_int_equal(v.messages, 3);
		assert_int_equal(v.unseen, 2);
		assert_int_equal(v.deleted, i % 2 == 0);
		assert_int_equal(v.recent, 1);
		assert_int_equal(
		    v.gone_since, v.modseq); /* what went before is unknown */
		assert_int_equal(v.use, MAILBOX_PLAIN);
		assert_int_equal(
		    spool_read_mails(reader, v.number, 0, 0, row, 4, &n), OK);
		assert_int_equal(n, 3);
		for (size_t k = 0; k < n; k++) {
			assert_int_equal(row[k].uid, k + 1);
			assert_true(row[k].origin == row[k].id && row[k].id != 0);
			assert_true(row[k].internal.ms == row[k].arrival.ms);
			assert_true(row[k].zone == 0 && row[k].keywords == 0);
		}
		assert_int_equal(row[0].flags, MAIL_SEEN | MAIL_PICKED);
	}
	spool_reader_free(&reader);
}

/* ---- tests */

static void
test_upgrade(void **state)
{
	struct spool_rig *r = spool_rig_new(0);
	(void)state;
	assert_int_equal(spool_rig_open(r), OK);
	make_old(r);
	r->options.read_only = true;
	assert_int_equal(spool_rig_open(r), ERR_VERSION);
	assert_non_null(strstr(r->why, "start this one once"));
	r->options.read_only = false;
	assert_int_equal(spool_rig_open(r), OK);
	assert_upgraded(r);
	/* once: what comes later is not counted again */
	change(r, "owner001", 2, MAIL_SEEN);
	spool_rig_reopen(r);
	spool_rig_clean(r);
	/* and old rows live on among new ones */
	struct mail_change *c = mail_change_new(SPAN("owner001"), INBOX);
	mail_change_target(c, SPAN("owner001"), INBOX);
	mail_change_copy(c, 1, false);
	mail_change_delete(c, 1);
	assert_int_equal(spool_rig_change(r, c), OK);
	struct mailbox_name name;
	struct spool_reader *reader = spool_reader_new(r->spool);
	size_t n;
	assert_int_equal(
	    spool_read_names(reader, SPAN("owner001"), SPAN(""), &name, 1, &n), OK);
	assert_true(n == 1 && name.number != 0 && !name.subscribed);
	spool_reader_free(&reader);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

/* A mailbox without mails; and one whose record is damaged: it is left as it is. */
static void
test_odd_boxes(void **state)
{
	struct spool_rig *r = spool_rig_new(0);
	struct mailbox_view v;
	MDB_txn *t;
	unsigned char number[4];
	(void)state;
	assert_int_equal(spool_rig_open(r), OK);
	struct mail_change *c = mail_change_new(SPAN("empty"), INBOX);
	mail_change_pickup(c);
	assert_int_equal(spool_rig_change(r, c), OK);
	make_old(r);
	assert_int_equal(spool_rig_open(r), OK);
	assert_upgraded(r);
	assert_int_equal(mdb_txn_begin(r->spool->env, NULL, 0, &t), 0);
	age(r, t, DB_MBOX, age_mbox);
	key_put(number, 7, 4);
	assert_int_equal(
	    db_put(t, r->spool->dbi[DB_MBOX], number, 4, SPAN("nothing of sense"), 0),
	    OK);
	assert_int_equal(db_put_u64(t, r->spool, "format", 2), OK);
	assert_int_equal(mdb_txn_commit(t), 0);
	spool_rig_close(r);
	assert_int_equal(spool_rig_open(r), OK);
	spool_rig_violates(r, "I0: the record of mailbox 7 is damaged");
	struct spool_reader *reader = spool_reader_new(r->spool);
	assert_int_equal(spool_read_mailbox(reader, SPAN("owner149"), INBOX, &v), OK);
	assert_int_equal(v.unseen, 2);
	spool_reader_free(&reader);
	spool_rig_free(&r);
}

#ifdef RELAY_FAULTS

/* Dies at each place on the way: it is of the one format or of the other. */
static void
test_die_while_upgrading(void **state)
{
	struct spool_rig *r = spool_rig_new(0);
	int status = 0;
	(void)state;
	fault_plan(FAULT_NONE, NULL, 0);
	assert_int_equal(spool_rig_open(r), OK);
	make_old(r);
	unsigned long n = 0;
	do {
		n++;
		pid_t pid = fork();
		if (pid == 0) {
			fault_plan(FAULT_DIE, NULL, n);
			_exit(spool_rig_open(r) == OK ? 0 : 2);
		}
		assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
		assert_true(WIFEXITED(status));
		status = WEXITSTATUS(status);
		assert_true(status == FAULT_EXIT || status == 0);
	} while (status == FAULT_EXIT);
	assert_true(n > OWNERS);
	fault_plan(FAULT_NONE, NULL, 0);
	assert_int_equal(spool_rig_open(r), OK);
	assert_upgraded(r);
	spool_rig_free(&r);
}

/* Fails on the way: it is still what it was, and the next try does it. */
static void
test_fail_while_upgrading(void **state)
{
	static const struct {
		const char *place;
		unsigned long n;
	} table[] = {{"spool.put.full", 1}, {"spool.upgrade", 1},
	    {"spool.upgrade", OWNERS / 2}, {"spool.upgrade", OWNERS},
	    {"spool.open.tables", 1}};
	struct spool_rig *r = spool_rig_new(0);
	(void)state;
	assert_int_equal(spool_rig_open(r), OK);
	make_old(r);
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		fault_plan(FAULT_FAIL, table[i].place, table[i].n);
		assert_int_not_equal(spool_rig_open(r), OK);
		fault_plan(FAULT_NONE, NULL, 0);
		r->options.read_only = true;
		assert_int_equal(spool_rig_open(r), ERR_VERSION);
		r->options.read_only = false;
	}
	assert_int_equal(spool_rig_open(r), OK);
	assert_upgraded(r);
	spool_rig_free(&r);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_upgrade),
	    cmocka_unit_test(test_odd_boxes),
#ifdef RELAY_FAULTS
	    cmocka_unit_test(test_die_while_upgrading),
	    cmocka_unit_test(test_fail_while_upgrading),
#endif
	};
	(void)setenv("RELAY_TEST_NOSYNC", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
