/* SPDX-License-Identifier: ISC */
/*
 * What is refused writes nothing; what is told comes in order; names that are too long
 * are nobody's.  The edges of mailbox.h, one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "spool/private.h"
#include "tests/lib/spool_rig.h"

#define INBOX SPAN(MAILBOX_INBOX)
#define ALICE SPAN("alice")

/* ---- the rig, and what it is told */

struct fixture {
	struct spool_rig *r;
	struct buf told;
	unsigned calls;
	bool *before; /* is this set when the events come? */
	bool was_before;
};

static void
on_mail(void *arg, const struct mail_event *event, size_t n)
{
	static const char *const kinds[] = {"came", "flags", "gone", "keyword", "recent",
	    "made", "renamed", "removed", "subscription"};
	struct fixture *f = arg;
	f->calls++;
	if (f->before != NULL)
		f->was_before = !*f->before;
	for (size_t i = 0; i < n; i++) {
		const struct mail_event *e = &event[i];
		buf_addf(&f->told, "%s %u.%u", kinds[e->kind], e->mailbox,
		    e->kind == MAILBOX_MADE ? 0 : e->uid);
		if (e->text.n > 0)
			buf_addf(&f->told, " %.*s", SPAN_ARG(e->text));
		buf_add_char(&f->told, ';');
	}
}

static void
begin_with(struct fixture *f, unsigned threads)
{
	*f = (struct fixture){.r = spool_rig_new(threads)};
	buf_init(&f->told, 0);
	f->r->options.inline_max = 9000;
	if (spool_rig_open(f->r) != OK)
		fail_msg("%s", f->r->why);
	spool_on_mail(f->r->spool, on_mail, f);
}

static void
begin(struct fixture *f)
{
	begin_with(f, 0);
}

static void
end(struct fixture *f)
{
	spool_rig_clean(f->r);
	spool_rig_free(&f->r);
	buf_clear(&f->told);
}

static void
assert_told(struct fixture *f, const char *what)
{
	buf_add_char(&f->told, '\0');
	assert_string_equal(f->told.p, what);
	buf_reset(&f->told);
}

static void
put(struct fixture *f, const char *owner, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct message *m = spool_rig_message(300, i);
		spool_rig_drop(m, owner, "Return-Path: <s@d>\r\n");
		assert_int_equal(spool_rig_accept(f->r, m), OK);
	}
	buf_reset(&f->told);
}

struct asked {
	bool done;
	enum err err;
};

static void
on_done(void *arg, enum err e)
{
	struct asked *a = arg;
	*a = (struct asked){true, e};
}

static enum err
order(struct fixture *f, const struct mailbox_request *q)
{
	struct asked a = {0};
	struct mailbox_request full = *q;
	if (full.owner.p == NULL)
		full.owner = ALICE;
	(void)spool_mailbox_start(
	    f->r->spool, &full, loop_inbox(f->r->loop), on_done, &a);
	spool_rig_wait(f->r, &a.done);
	return a.err;
}

static enum err
act(struct fixture *f, enum mailbox_act what, const char *name)
{
	return order(f, &(struct mailbox_request){.act = what, .name = span_str(name)});
}

static enum err
rename_to(struct fixture *f, const char *name, const char *to)
{
	return order(
	    f, &(struct mailbox_request){
		   .act = MAILBOX_RENAME, .name = span_str(name), .to = span_str(to)});
}

static enum err
note(struct fixture *f, struct span name, struct span entry, struct span value)
{
	return order(
	    f, &(struct mailbox_request){
		   .act = MAILBOX_NOTE, .name = name, .entry = entry, .value = value});
}

static struct mailbox_view
view(struct fixture *f, const char *name)
{
	struct spool_reader *r = spool_reader_new(f->r->spool);
	struct mailbox_view v = {0};
	if (spool_read_mailbox(r, ALICE, span_str(name), &v) != OK)
		v = (struct mailbox_view){0};
	spool_reader_free(&r);
	return v;
}

static struct mail_row
row(struct fixture *f, const char *name, uint32_t uid)
{
	struct spool_reader *r = spool_reader_new(f->r->spool);
	struct mail_row out = {0};
	size_t n = 0;
	assert_int_equal(
	    spool_read_mails(r, view(f, name).number, uid - 1, uid + 1, &out, 1, &n), OK);
	assert_int_equal(n, 1);
	spool_reader_free(&r);
	return out;
}

/* All rows of all tables but meta, as one number: what is refused changes none. */
static uint64_t
rows_of_all(struct fixture *f)
{
	uint64_t sum = 0;
	MDB_txn *t;
	assert_int_equal(mdb_txn_begin(f->r->spool->env, NULL, MDB_RDONLY, &t), 0);
	for (int d = DB_META + 1; d < DB_COUNT; d++) {
		MDB_cursor *c;
		MDB_val k, v;
		assert_int_equal(mdb_cursor_open(t, f->r->spool->dbi[d], &c), 0);
		while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0) {
			for (size_t i = 0; i < k.mv_size; i++)
				sum = sum * 31 + ((unsigned char *)k.mv_data)[i];
			for (size_t i = 0; i < v.mv_size; i++)
				sum = sum * 37 + ((unsigned char *)v.mv_data)[i];
		}
		mdb_cursor_close(c);
	}
	mdb_txn_abort(t);
	return sum;
}

/* ---- what is refused */

static struct mail_change *
target(struct mail_change *c, struct span name)
{
	mail_change_target(c, ALICE, name);
	return c;
}

static void
test_refused_mail_changes(void **state)
{
	struct fixture f;
	char owner[MAILBOX_OWNER_MAX + 2], name[MAILBOX_NAME_MAX + 2],
	    keyword[MAILBOX_KEYWORD_MAX + 2];
	struct mail_append how = {0};
	struct mail_change *c;
	(void)state;
	begin(&f);
	put(&f, "alice", 2);
	memset(owner, 'o', sizeof(owner));
	owner[sizeof(owner) - 1] = '\0';
	memset(name, 'n', sizeof(name));
	memset(keyword, 'k', sizeof(keyword));
	struct span too_long = {name, sizeof(name) - 1},
		    long_owner = {owner, sizeof(owner) - 1},
		    long_keyword = {keyword, sizeof(keyword) - 1};
	name[MAILBOX_NAME_MAX] = '\0'; /* the mailbox that a cut name would hit */
	assert_int_equal(act(&f, MAILBOX_CREATE, name), OK);
	name[MAILBOX_NAME_MAX] = 'n';
	owner[MAILBOX_OWNER_MAX] = '\0';
	put(&f, owner, 1);
	owner[MAILBOX_OWNER_MAX] = 'o';
	uint64_t before = rows_of_all(&f);

	c = target(mail_change_new(ALICE, INBOX), SPAN("nowhere"));
	mail_change_copy(c, 1, false);
	assert_int_equal(spool_rig_change(f.r, c), ERR_EXISTS);
	c = target(mail_change_new(ALICE, INBOX), too_long);
	mail_change_copy(c, 1, true);
	assert_int_equal(spool_rig_change(f.r, c), ERR_EXISTS);
	c = target(mail_change_new(ALICE, INBOX), INBOX); /* two there are already */
	mail_change_quota(c, 2, 0);
	mail_change_copy(c, 1, false);
	assert_int_equal(spool_rig_change(f.r, c), ERR_FULL);
	c = target(mail_change_new(ALICE, INBOX), INBOX);
	mail_change_quota(c, 0, 1);
	mail_change_copy(c, 1, false);
	assert_int_equal(spool_rig_change(f.r, c), ERR_FULL);
	c = target(
	    mail_change_new(ALICE, INBOX), INBOX); /* what is not there is no more */
	mail_change_quota(c, 2, 0);
	mail_change_copy(c, 99, false);
	assert_int_equal(spool_rig_change(f.r, c), ERR_NOT_FOUND);
	c = mail_change_new(ALICE, INBOX); /* no target at all */
	mail_change_copy(c, 1, true);
	assert_int_equal(spool_rig_change(f.r, c), ERR_RANGE);
	c = mail_change_new(long_owner, INBOX);
	mail_change_delete(c, 1);
	assert_int_equal(spool_rig_change(f.r, c), ERR_NOT_FOUND);
	c = mail_change_new(long_owner, INBOX);
	mail_change_pickup(c);
	assert_int_equal(spool_rig_change(f.r, c), ERR_NOT_FOUND);
	c = mail_change_new(SPAN(""), INBOX);
	mail_change_pickup(c);
	assert_int_equal(spool_rig_change(f.r, c), ERR_NOT_FOUND);
	/* a mailbox is not made for what is refused */
	c = target(mail_change_new(SPAN("nobody"), INBOX), SPAN("nowhere"));
	mail_change_copy(c, 1, false);
	mail_change_pickup(c);
	assert_true(spool_rig_change(f.r, c) != OK);
	c = mail_change_new(SPAN("nobody"), INBOX);
	mail_change_store(
	    c, 1, MAIL_STORE_ADD, 0, UINT64_C(1) << mail_change_keyword(c, long_keyword));
	mail_change_pickup(c);
	assert_true(spool_rig_change(f.r, c) != OK);
	c = mail_change_new(ALICE, INBOX);
	mail_change_store(c, 1, MAIL_STORE_ADD, MAIL_SEEN,
	    UINT64_C(1) << mail_change_keyword(c, long_keyword));
	assert_int_equal(spool_rig_change(f.r, c), ERR_RANGE);
	c = mail_change_new(ALICE, INBOX);
	mail_change_store(c, 1, MAIL_STORE_ADD, MAIL_SEEN,
	    UINT64_C(1) << mail_change_keyword(c, SPAN("")));
	assert_int_equal(spool_rig_change(f.r, c), ERR_RANGE);
	/* what is appended goes nowhere else, too */
	struct message *m = spool_rig_message(10, 1);
	spool_rig_rcpt(m, "u@b.example", "smtp b.example", 0);
	c = mail_change_new(ALICE, INBOX);
	mail_change_append(c, m, &how);
	message_unref(&m);
	assert_int_equal(spool_rig_change(f.r, c), ERR_RANGE);
	m = spool_rig_message(10, 1);
	spool_rig_drop(m, "alice", "");
	c = mail_change_new(ALICE, INBOX);
	mail_change_append(c, m, &how);
	message_unref(&m);
	assert_int_equal(spool_rig_change(f.r, c), ERR_RANGE);
	/* the second of two cannot be stored: neither is the first */
	struct message *bad = spool_rig_message(10, 2);
	m = spool_rig_message(10, 1);
	content_unref(&bad->content);
	c = mail_change_new(ALICE, INBOX);
	mail_change_append(c, m, &how);
	mail_change_append(c, bad, &how);
	message_unref(&m);
	message_unref(&bad);
	assert_int_equal(spool_rig_change(f.r, c), ERR_RANGE);
	assert_int_equal(spool_rig_owner_delete(f.r, owner), ERR_NOT_FOUND);
	assert_true(rows_of_all(&f) == before);
	assert_told(&f, "");
	end(&f);
}

static void
test_refused_mailbox_changes(void **state)
{
	struct fixture f;
	char entry[600], value[MAILBOX_NOTE_MAX + 1], name[MAILBOX_NAME_MAX + 2];
	(void)state;
	begin(&f);
	memset(entry, 'e', sizeof(entry));
	memset(value, 'v', sizeof(value));
	memset(name, 'n', sizeof(name));
	assert_int_equal(act(&f, MAILBOX_CREATE, "a/b/c"), OK);
	assert_int_equal(act(&f, MAILBOX_CREATE, "z"), OK);
	buf_reset(&f.told);
	uint64_t before = rows_of_all(&f);
	static const char *const odd[] = {"", "/", "/a", "a/", "a//x", "a/b//", "//"};
	for (size_t i = 0; i < COUNT_OF(odd); i++) {
		assert_int_equal(act(&f, MAILBOX_CREATE, odd[i]), ERR_RANGE);
		assert_int_equal(rename_to(&f, "a", odd[i]), ERR_RANGE);
	}
	assert_int_equal(rename_to(&f, "a", "z"), ERR_EXISTS);
	assert_int_equal(rename_to(&f, "nix", "zz"), ERR_NOT_FOUND);
	assert_int_equal(rename_to(&f, "a", "a/b/x"), ERR_RANGE);
	assert_int_equal(rename_to(&f, "a", "a"), ERR_EXISTS);
	/* "a" itself would fit, "a/b/c" would not */
	struct mailbox_request q = {
	    .act = MAILBOX_RENAME, .name = SPAN("a"), .to = {name, MAILBOX_NAME_MAX - 1}};
	assert_int_equal(order(&f, &q), ERR_RANGE);
	q.to.n = MAILBOX_NAME_MAX + 1;
	assert_int_equal(order(&f, &q), ERR_RANGE);
	q.to = (struct span){"x\0y", 3};
	assert_int_equal(order(&f, &q), ERR_RANGE);
	q = (struct mailbox_request){.act = MAILBOX_CREATE, .name = {"x\0y", 3}};
	assert_int_equal(order(&f, &q), ERR_RANGE);
	q = (struct mailbox_request){.act = MAILBOX_CREATE,
	    .owner = {name, MAILBOX_OWNER_MAX + 1},
	    .name = SPAN("x")};
	assert_int_equal(order(&f, &q), ERR_RANGE);
	q.owner = SPAN("");
	assert_int_equal(order(&f, &q), ERR_RANGE);
	/* annotations */
	struct span fits = {entry, 511 - 5 - 1 - 2}, big = {value, MAILBOX_NOTE_MAX + 1};
	fits.n++;
	assert_int_equal(note(&f, SPAN("a"), fits, SPAN("v")), ERR_RANGE);
	assert_int_equal(note(&f, SPAN("a"), SPAN(""), SPAN("v")), ERR_RANGE);
	assert_int_equal(note(&f, SPAN("a"), SPAN("e"), big), ERR_RANGE);
	assert_int_equal(
	    note(&f, (struct span){"a\0b", 3}, SPAN("e"), SPAN("v")), ERR_RANGE);
	assert_int_equal(
	    note(&f, SPAN("a"), (struct span){"e\0f", 3}, SPAN("v")), ERR_RANGE);
	assert_true(rows_of_all(&f) == before);
	assert_told(&f, "");
	fits.n--;
	assert_int_equal(note(&f, SPAN("a"), fits, SPAN("v")), OK);
	end(&f);
}

/* ---- what is told */

static void
test_order_of_events(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f);
	put(&f, "alice", 6);
	/* one mailbox, asked for in no order */
	struct mail_change *c = target(mail_change_new(ALICE, INBOX), INBOX);
	mail_change_delete(c, 5);
	mail_change_recent(c, 3);
	mail_change_copy(c, 6, false);
	mail_change_store(c, 4, MAIL_STORE_ADD, MAIL_SEEN,
	    UINT64_C(1) << mail_change_keyword(c, SPAN("k")));
	mail_change_copy(c, 2, true);
	mail_change_store(c, 1, MAIL_STORE_ADD, MAIL_SEEN, 0);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	assert_told(&f, "keyword 1.0 k;flags 1.1;gone 1.2;flags 1.4;gone 1.5;came 1.7;"
			"came 1.8;recent 1.3;");
	/* two mailboxes: each in one piece */
	assert_int_equal(act(&f, MAILBOX_CREATE, "B"), OK);
	buf_reset(&f.told);
	c = target(mail_change_new(ALICE, INBOX), SPAN("B"));
	mail_change_copy(c, 1, true);
	mail_change_copy(c, 3, true);
	mail_change_copy(c, 4, true);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	assert_told(&f, "keyword 2.0 k;came 2.1;came 2.2;came 2.3;gone 1.1;gone 1.3;"
			"gone 1.4;");
	end(&f);
}

/* What one request does to a mail twice is one change of it, at one modseq. */
static void
test_unless_not_by_ourselves(void **state)
{
	struct fixture f;
	struct mail_result res;
	(void)state;
	begin(&f);
	put(&f, "alice", 2);
	uint64_t modseq = view(&f, "INBOX").modseq;
	struct mail_change *c = mail_change_new(ALICE, INBOX), *kept = mail_change_ref(c);
	mail_change_unless(c, modseq);
	mail_change_store(c, 1, MAIL_STORE_ADD, MAIL_SEEN, 0);
	mail_change_store(c, 1, MAIL_STORE_ADD, MAIL_FLAGGED, 0);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	mail_change_result(kept, &res);
	assert_int_equal(res.modifieds, 0);
	assert_true(res.modseq == modseq + 1);
	assert_int_equal(row(&f, "INBOX", 1).flags, MAIL_SEEN | MAIL_FLAGGED);
	mail_change_free(&kept);
	end(&f);
}

static void
test_subscriptions_are_told(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f);
	struct mailbox_request q = {.act = MAILBOX_CREATE,
	    .name = SPAN("a"),
	    .subscribe = true,
	    .use = MAILBOX_SENT};
	assert_int_equal(order(&f, &q), OK);
	assert_told(&f, "made 1.0 a;subscription 0.0 a;");
	assert_int_equal(act(&f, MAILBOX_SUBSCRIBE, "a"), OK);
	assert_told(&f, "");
	assert_int_equal(view(&f, "a").use, MAILBOX_SENT);
	assert_int_equal(rename_to(&f, "a", "b"), OK);
	assert_told(&f, "renamed 1.0 b;");
	assert_int_equal(act(&f, MAILBOX_UNSUBSCRIBE, "a"), OK);
	assert_told(&f, "subscription 0.0 a;");
	assert_int_equal(act(&f, MAILBOX_DELETE, "b"), OK);
	assert_told(&f, "removed 1.0 b;");
	end(&f);
}

/* From every way that a mail comes or goes; before whoever asked hears of it. */
static void
test_all_ways_are_told(void **state)
{
	struct fixture f;
	struct asked a = {0};
	(void)state;
	begin(&f);
	struct message *m = spool_rig_message(100, 1);
	spool_rig_drop(m, "alice", "");
	f.before = &a.done;
	(void)spool_accept_start(f.r->spool, m, loop_inbox(f.r->loop), on_done, &a);
	spool_rig_wait(f.r, &a.done);
	message_unref(&m);
	f.before = NULL;
	assert_true(f.was_before);
	assert_told(&f, "made 1.0 INBOX;came 1.1;");
	m = spool_rig_message(100, 2);
	spool_rig_rcpt(m, "a@local.example", "mailbox:x", 0);
	uint64_t id = spool_rig_stored(f.r, m);
	assert_told(&f, "");
	const struct drop drop = {ALICE, SPAN("a@local.example"), SPAN("X: 1\r\n")};
	struct report *rep =
	    report_new(id, SPAN("mailbox:x"), (struct wall){RIG_WALL_MS});
	struct outcome o = {.kind = OUTCOME_DELIVERED, .drop = &drop, .drops = 1};
	report_add(rep, &o);
	assert_int_equal(spool_rig_report(f.r, rep), OK);
	assert_told(&f, "came 1.2;");
	unsigned calls = f.calls;
	m = spool_rig_message(100, 3); /* no mailbox: not a word */
	spool_rig_rcpt(m, "u@b.example", "smtp b.example", 0);
	assert_int_equal(spool_rig_accept(f.r, m), OK);
	assert_int_equal(f.calls, calls);
	struct mail_change *c = mail_change_new(ALICE, INBOX); /* POP3's QUIT */
	mail_change_delete(c, 1);
	mail_change_flags(c, 2, MAIL_SEEN | MAIL_PICKED, 0);
	mail_change_pickup(c);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	assert_told(&f, "gone 1.1;flags 1.2;");
	assert_int_equal(act(&f, MAILBOX_SUBSCRIBE, "elsewhere"), OK);
	buf_reset(&f.told);
	assert_int_equal(spool_rig_owner_delete(f.r, "alice"), OK);
	assert_told(&f, "removed 1.0 INBOX;subscription 0.0 elsewhere;");
	end(&f);
}

/* With a thread of its own: the same. */
static void
test_told_by_the_thread(void **state)
{
	struct fixture f;
	struct asked a = {0};
	(void)state;
	begin_with(&f, 2);
	struct message *m = spool_rig_message(100, 1);
	spool_rig_drop(m, "alice", "");
	(void)spool_accept_start(f.r->spool, m, loop_inbox(f.r->loop), on_done, &a);
	message_unref(&m);
	spool_rig_wait(f.r, &a.done);
	assert_told(&f, "made 1.0 INBOX;came 1.1;"); /* whoever was told sees it */
	end(&f);
}

/* ---- owners of names only */

static void
test_owner_without_mail(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f);
	uint64_t before = rows_of_all(&f);
	assert_int_equal(spool_rig_owner_delete(f.r, "alice"), ERR_NOT_FOUND);
	assert_int_equal(act(&f, MAILBOX_SUBSCRIBE, "x/y"), OK);
	assert_int_equal(spool_rig_owner_delete(f.r, "alice"), OK);
	assert_int_equal(note(&f, SPAN(""), SPAN("/private/x"), SPAN("v")), OK);
	assert_int_equal(spool_rig_owner_delete(f.r, "alice"), OK);
	assert_int_equal(act(&f, MAILBOX_CREATE, "x/y"), OK);
	put(&f, "alice", 3);
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	mail_change_delete(c, 2);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	assert_int_equal(note(&f, SPAN("x"), SPAN("/private/x"), SPAN("v")), OK);
	assert_int_equal(spool_rig_owner_delete(f.r, "alice"), OK);
	spool_rig_run(f.r);
	assert_true(rows_of_all(&f) == before); /* nothing at all is left */
	end(&f);
}

/* ---- the bound of names */

static void
test_rename_at_the_bound(void **state)
{
	struct fixture f;
	char name[40];
	(void)state;
	begin(&f);
	assert_int_equal(act(&f, MAILBOX_CREATE, "t/1"), OK);
	for (unsigned i = 2; i < MAILBOX_NAMES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "box%04u", i);
		assert_int_equal(act(&f, MAILBOX_CREATE, name), OK);
	}
	assert_int_equal(act(&f, MAILBOX_CREATE, "more"), ERR_FULL);
	assert_int_equal(rename_to(&f, "t", "u"), OK); /* as many as before */
	assert_int_equal(rename_to(&f, "u", "v/w"), ERR_FULL);
	assert_int_equal(act(&f, MAILBOX_SUBSCRIBE, "u/1"), OK);
	assert_int_equal(rename_to(&f, "u", "t"), ERR_FULL); /* "u/1" would stay */
	assert_int_equal(act(&f, MAILBOX_DELETE, "box0002"), OK);
	assert_int_equal(rename_to(&f, "u", "t"), OK);
	assert_int_equal(rename_to(&f, "t", "u"), OK); /* where the name is known */
	end(&f);
}

/* ---- annotations go where the mailbox goes */

static bool
note_is(struct fixture *f, const char *name, const char *entry, const char *value)
{
	struct spool_reader *r = spool_reader_new(f->r->spool);
	struct buf b;
	buf_init(&b, 0);
	enum err e = spool_read_note(r, ALICE, span_str(name), span_str(entry), &b);
	bool is = value == NULL ? e == ERR_NOT_FOUND
				: e == OK && span_eq(buf_span(&b), span_str(value));
	buf_clear(&b);
	spool_reader_free(&r);
	return is;
}

static void
test_notes_move(void **state)
{
	struct fixture f;
	char entry[511 - 5 - 1 - 3 - 1 + 1], longer[MAILBOX_NAME_MAX + 1];
	(void)state;
	begin(&f);
	memset(entry, 'e', sizeof(entry));
	entry[sizeof(entry) - 1] = '\0';
	memset(longer, 'n', sizeof(longer));
	longer[5] = '\0';
	assert_int_equal(act(&f, MAILBOX_CREATE, "a/b"), OK);
	assert_int_equal(act(&f, MAILBOX_CREATE, "ab"), OK);
	assert_int_equal(note(&f, SPAN("a"), SPAN("/p/1"), SPAN("one")), OK);
	assert_int_equal(note(&f, SPAN("a"), SPAN("/p/2"), SPAN("two")), OK);
	assert_int_equal(note(&f, SPAN("a/b"), SPAN("/p/1"), SPAN("below")), OK);
	assert_int_equal(note(&f, SPAN("ab"), SPAN("/p/1"), SPAN("another's")), OK);
	assert_int_equal(note(&f, SPAN(""), SPAN("/p/1"), SPAN("the owner's")), OK);
	assert_int_equal(rename_to(&f, "a", "z"), OK);
	assert_true(note_is(&f, "z", "/p/1", "one") && note_is(&f, "z", "/p/2", "two"));
	assert_true(
	    note_is(&f, "z/b", "/p/1", "below") && note_is(&f, "a", "/p/1", NULL));
	assert_true(
	    note_is(&f, "a/b", "/p/1", NULL) && note_is(&f, "", "/p/1", "the owner's"));
	assert_true(note_is(&f, "ab", "/p/1", "another's"));
	/* one whose key would be too long keeps the name where it is */
	assert_int_equal(note(&f, SPAN("z/b"), span_str(entry), SPAN("v")), OK);
	uint64_t before = rows_of_all(&f);
	assert_int_equal(rename_to(&f, "z", longer), ERR_RANGE);
	assert_true(rows_of_all(&f) == before);
	assert_int_equal(act(&f, MAILBOX_DELETE, "z/b"), OK);
	assert_true(note_is(&f, "z/b", "/p/1", NULL) && note_is(&f, "z", "/p/1", "one"));
	/* reading them in order */
	struct spool_reader *r = spool_reader_new(f.r->spool);
	struct buf e, v;
	buf_init(&e, 0);
	buf_init(&v, 0);
	assert_int_equal(spool_next_note(r, ALICE, SPAN("z"), SPAN(""), &e, &v), OK);
	assert_true(
	    span_eq(buf_span(&e), SPAN("/p/1")) && span_eq(buf_span(&v), SPAN("one")));
	buf_reset(&e);
	buf_reset(&v);
	assert_int_equal(spool_next_note(r, ALICE, SPAN("z"), SPAN("/p/1"), &e, &v), OK);
	assert_true(
	    span_eq(buf_span(&e), SPAN("/p/2")) && span_eq(buf_span(&v), SPAN("two")));
	assert_int_equal(
	    spool_next_note(r, ALICE, SPAN("z"), SPAN("/p/2"), &e, &v), ERR_NOT_FOUND);
	buf_clear(&e);
	buf_clear(&v);
	spool_reader_free(&r);
	end(&f);
}

/* ---- keywords on their way */

static void
store_keywords(
    struct fixture *f, const char *box, uint32_t uid, unsigned from, unsigned n)
{
	char name[20];
	uint64_t bits = 0;
	struct mail_change *c = mail_change_new(ALICE, span_str(box));
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "k%u", from + i);
		bits |= UINT64_C(1) << mail_change_keyword(c, span_str(name));
	}
	mail_change_store(c, uid, MAIL_STORE_ADD, 0, bits);
	assert_int_equal(spool_rig_change(f->r, c), OK);
}

static void
test_keywords_of_copies(void **state)
{
	struct fixture f;
	struct mailbox_keywords all;
	(void)state;
	begin(&f);
	put(&f, "alice", 2);
	assert_int_equal(act(&f, MAILBOX_CREATE, "B"), OK);
	store_keywords(&f, "INBOX", 1, 0, 3);
	store_keywords(&f, "INBOX", 2, 2, 2);
	struct mail_change *c = target(mail_change_new(ALICE, INBOX), SPAN("B"));
	mail_change_copy(c, 2, false); /* k2 and k3 come first there */
	mail_change_copy(c, 1, false);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	assert_int_equal(row(&f, "B", 1).keywords, 3);
	assert_int_equal(row(&f, "B", 2).keywords, 1 | 4 | 8);
	struct spool_reader *r = spool_reader_new(f.r->spool);
	assert_int_equal(spool_read_keywords(r, view(&f, "B").number, &all), OK);
	assert_int_equal(all.n, 4);
	assert_string_equal(all.name[0], "k2");
	assert_string_equal(all.name[3], "k1");
	mailbox_keywords_clear(&all);
	spool_reader_free(&r);
	/* appended into another mailbox than that of the change: names of that one */
	struct mail_append how = {0};
	struct message *m = spool_rig_message(10, 1);
	c = target(mail_change_new(ALICE, INBOX), SPAN("B"));
	how.keywords = UINT64_C(1) << mail_change_keyword(c, SPAN("k3"));
	mail_change_append(c, m, &how);
	message_unref(&m);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	assert_int_equal(row(&f, "B", 3).keywords, 2);
	/* what there is no room for is left out of a copy */
	store_keywords(&f, "B", 1, 10, 60);
	store_keywords(&f, "INBOX", 1, 100, 1);
	c = target(mail_change_new(ALICE, INBOX), SPAN("B"));
	mail_change_copy(c, 1, false);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	assert_int_equal(row(&f, "B", 4).keywords, 1 | 4 | 8);
	end(&f);
}

/* ---- a notice for the mailbox that it tells of */

static void
test_notice_comes_home(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f);
	put(&f, "alice", 2);
	struct message *n = spool_rig_message(300, 2);
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	spool_rig_drop(n, "alice", "");
	mail_change_delete(c, 1);
	mail_change_notice(c, n);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	struct mailbox_view v = view(&f, "INBOX");
	assert_int_equal(v.messages, 2);
	assert_int_equal(v.uidnext, 4);
	assert_told(&f, "gone 1.1;came 1.3;");
	end(&f);
}

/* ---- what is recent, what went */

static void
test_recent(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f);
	put(&f, "alice", 2);
	uint64_t modseq = view(&f, "INBOX").modseq;
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	mail_change_recent(c, 1);
	assert_int_equal(spool_rig_change(f.r, c), ERR_NOT_FOUND); /* as it is */
	c = mail_change_new(ALICE, INBOX);
	mail_change_recent(c, UINT32_MAX); /* what is to come is recent all the same */
	assert_int_equal(spool_rig_change(f.r, c), OK);
	assert_told(&f, "recent 1.3;");
	assert_int_equal(view(&f, "INBOX").recent, 3);
	assert_true(view(&f, "INBOX").modseq == modseq);
	end(&f);
}

static void
note_run(void *arg, uint32_t first, uint32_t last, uint64_t modseq)
{
	(void)modseq;
	buf_addf(arg, "%u-%u ", first, last);
}

static void
assert_gone(struct fixture *f, const char *box, uint64_t since, const char *what)
{
	struct spool_reader *r = spool_reader_new(f->r->spool);
	struct buf runs;
	buf_init(&runs, 0);
	assert_int_equal(
	    spool_read_gone(r, view(f, box).number, since, note_run, &runs), OK);
	buf_add_char(&runs, '\0');
	assert_string_equal(runs.p, what);
	buf_clear(&runs);
	spool_reader_free(&r);
}

static void
test_runs_that_went(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f);
	put(&f, "alice", 9);
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	for (uint32_t uid = 8; uid >= 5; uid--) /* from behind: still one run */
		mail_change_delete(c, uid);
	mail_change_store(c, 2, MAIL_STORE_ADD, MAIL_DELETED, 0);
	mail_change_expunge(c, 2);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	assert_gone(&f, "INBOX", 0, "2-2 5-8 ");
	assert_gone(&f, "INBOX", UINT64_MAX, "");
	/* they go with the mailbox, and stay when it is called otherwise */
	assert_int_equal(act(&f, MAILBOX_CREATE, "B"), OK);
	c = target(mail_change_new(ALICE, INBOX), SPAN("B"));
	mail_change_copy(c, 1, true);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	c = mail_change_new(ALICE, SPAN("B"));
	mail_change_delete(c, 1);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	assert_gone(&f, "INBOX", 0, "2-2 5-8 1-1 ");
	assert_gone(&f, "B", 0, "1-1 ");
	assert_int_equal(rename_to(&f, "B", "C"), OK);
	assert_gone(&f, "C", 0, "1-1 ");
	struct spool_reader *r = spool_reader_new(f.r->spool);
	struct buf none = {0};
	uint32_t number = view(&f, "C").number;
	assert_int_equal(act(&f, MAILBOX_DELETE, "C"), OK);
	assert_int_equal(spool_read_gone(r, number, 0, note_run, &none), ERR_NOT_FOUND);
	spool_reader_free(&r);
	end(&f);
}

/* ---- structures */

static bool
see_structure(void *arg, size_t i, const struct mail_sight *x)
{
	(void)i;
	buf_add_span(arg, x->structure);
	buf_add_char(arg, ';');
	return true;
}

static void
assert_structures(struct fixture *f, const char *box, const char *what)
{
	static const uint32_t uid[] = {1, 2, 3, 4};
	struct spool_reader *r = spool_reader_new(f->r->spool);
	struct buf b;
	buf_init(&b, 0);
	assert_int_equal(spool_read_sights(r, view(f, box).number, SIGHT_STRUCTURE, uid,
			     4, see_structure, &b),
	    OK);
	buf_add_char(&b, '\0');
	assert_string_equal(b.p, what);
	buf_clear(&b);
	spool_reader_free(&r);
}

static struct message *
shaped(const char *structure)
{
	struct message *m = spool_rig_message(200, 1);
	m->structure = message_keep(m, span_str(structure));
	return m;
}

static void
test_structures(void **state)
{
	struct fixture f;
	struct mail_append how = {0};
	(void)state;
	begin(&f);
	struct message *m = shaped("accepted");
	spool_rig_drop(m, "alice", "");
	assert_int_equal(spool_rig_accept(f.r, m), OK);
	m = shaped("appended");
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	mail_change_append(c, m, &how);
	message_unref(&m);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	/* from the queue: known since it came */
	m = shaped("reported");
	spool_rig_rcpt(m, "a@local.example", "mailbox:x", 0);
	uint64_t id = spool_rig_stored(f.r, m);
	spool_rig_clean(f.r);
	const struct drop drop = {ALICE, SPAN("a@local.example"), SPAN("X: 1\r\n")};
	struct report *rep =
	    report_new(id, SPAN("mailbox:x"), (struct wall){RIG_WALL_MS});
	struct outcome o = {.kind = OUTCOME_DELIVERED, .drop = &drop, .drops = 1};
	report_add(rep, &o);
	assert_int_equal(spool_rig_report(f.r, rep), OK);
	put(&f, "alice", 1); /* none was given */
	assert_structures(&f, "INBOX", "accepted;appended;reported;;");
	/* a copy shows the same; it goes with the last of them */
	c = target(mail_change_new(ALICE, INBOX), INBOX);
	mail_change_copy(c, 1, false);
	for (uint32_t uid = 1; uid <= 4; uid++)
		mail_change_delete(c, uid);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	assert_structures(&f, "INBOX", "");
	spool_rig_clean(f.r);
	assert_int_equal(act(&f, MAILBOX_DELETE, "INBOX"), OK);
	spool_rig_run(f.r);
	spool_rig_clean(f.r);
	/* one that is relayed leaves none behind */
	m = shaped("relayed");
	spool_rig_rcpt(m, "u@b.example", "smtp b.example", 0);
	id = spool_rig_stored(f.r, m);
	assert_int_equal(
	    spool_rig_outcome(f.r, id, "smtp b.example", 0, OUTCOME_DELIVERED, 0, NULL),
	    OK);
	end(&f);
}

/* ---- appended from files */

static void
append_files(struct fixture *f, enum err expected)
{
	struct spool_body *b[2];
	struct spool_body_result result[2];
	struct mail_append how = {.flags = MAIL_SEEN};
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(
		    spool_rig_body(f->r, 20000 + i, i, &b[i], &result[i]), OK);
		struct message *m = spool_rig_message(0, i);
		content_unref(&m->content);
		m->content = result[i].content;
		m->size = content_size(m->content);
		m->file = result[i].file;
		m->crc = result[i].crc;
		mail_change_append(c, m, &how);
		message_unref(&m);
	}
	assert_int_equal(spool_rig_change(f->r, c), expected);
	for (unsigned i = 0; i < 2; i++)
		spool_body_free(&b[i]);
	spool_rig_run(f->r);
}

static void
test_append_files(void **state)
{
	struct fixture f;
	struct kept_mail *m;
	(void)state;
	begin(&f);
	append_files(&f, ERR_NOT_FOUND); /* no such mailbox: the files go */
	assert_int_equal(spool_rig_files(f.r), 0);
	put(&f, "alice", 1);
	append_files(&f, OK);
	assert_int_equal(spool_rig_files(f.r), 2);
	spool_rig_reopen(f.r);
	spool_rig_clean(f.r);
	assert_int_equal(spool_rig_files(f.r), 2);
	struct spool_reader *r = spool_reader_new(f.r->spool);
	assert_int_equal(spool_read_mail(r, view(&f, "INBOX").number, 3, true, &m), OK);
	assert_true(spool_rig_content_is(m->message, 20001, 1));
	kept_mail_free(&m);
	spool_reader_free(&r);
#ifdef RELAY_FAULTS
	fault_plan(FAULT_FAIL, "spool.commit.full", 1);
	append_files(&f, ERR_DISK_FULL);
	fault_plan(FAULT_NONE, NULL, 0);
	assert_int_equal(spool_rig_files(f.r), 2);
	assert_int_equal(view(&f, "INBOX").messages, 3);
	/* what is asked for beside it is done */
	struct asked a[2] = {{0}};
	struct mail_append how = {0};
	struct message *x = spool_rig_message(10, 1);
	struct mail_change *c = mail_change_new(ALICE, INBOX), *d;
	mail_change_append(c, x, &how);
	message_unref(&x);
	d = mail_change_new(ALICE, INBOX);
	mail_change_delete(d, 2);
	fault_plan(FAULT_FAIL, "spool.commit.full", 1);
	(void)spool_mail_change_start(
	    f.r->spool, c, loop_inbox(f.r->loop), on_done, &a[0]);
	(void)spool_mail_change_start(
	    f.r->spool, d, loop_inbox(f.r->loop), on_done, &a[1]);
	spool_rig_wait(f.r, &a[0].done);
	spool_rig_wait(f.r, &a[1].done);
	fault_plan(FAULT_NONE, NULL, 0);
	assert_int_equal(a[0].err, ERR_DISK_FULL);
	assert_int_equal(a[1].err, OK);
	spool_rig_run(f.r);
	assert_int_equal(spool_rig_files(f.r), 1);
#endif
	end(&f);
}

/* A request that is given up: nothing of it happens, and its files go. */
static void
test_append_cancelled(void **state)
{
	struct fixture f;
	struct spool_body *b;
	struct spool_body_result result;
	struct asked a = {0};
	struct mail_append how = {0};
	(void)state;
	begin(&f);
	put(&f, "alice", 1);
	assert_int_equal(spool_rig_body(f.r, 20000, 1, &b, &result), OK);
	struct message *m = spool_rig_message(0, 1);
	content_unref(&m->content);
	m->content = result.content;
	m->size = content_size(m->content);
	m->file = result.file;
	m->crc = result.crc;
	struct mail_change *c = mail_change_new(ALICE, INBOX), *kept = mail_change_ref(c);
	mail_change_append(c, m, &how);
	message_unref(&m);
	struct spool_request *q =
	    spool_mail_change_start(f.r->spool, c, loop_inbox(f.r->loop), on_done, &a);
	spool_cancel(&q);
	spool_body_free(&b);
	spool_rig_run(f.r);
	mail_change_free(&kept);
	assert_false(a.done);
	assert_int_equal(view(&f, "INBOX").messages, 1);
	assert_int_equal(spool_rig_files(f.r), 0);
	end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_refused_mail_changes),
	    cmocka_unit_test(test_refused_mailbox_changes),
	    cmocka_unit_test(test_order_of_events),
	    cmocka_unit_test(test_unless_not_by_ourselves),
	    cmocka_unit_test(test_subscriptions_are_told),
	    cmocka_unit_test(test_all_ways_are_told),
	    cmocka_unit_test(test_told_by_the_thread),
	    cmocka_unit_test(test_owner_without_mail),
	    cmocka_unit_test(test_rename_at_the_bound),
	    cmocka_unit_test(test_notes_move),
	    cmocka_unit_test(test_keywords_of_copies),
	    cmocka_unit_test(test_notice_comes_home),
	    cmocka_unit_test(test_recent),
	    cmocka_unit_test(test_runs_that_went),
	    cmocka_unit_test(test_structures),
	    cmocka_unit_test(test_append_files),
	    cmocka_unit_test(test_append_cancelled),
	};
	(void)setenv("RELAY_TEST_NOSYNC", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
