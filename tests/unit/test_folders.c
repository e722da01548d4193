/* SPDX-License-Identifier: ISC */
/*
 * What IMAP does with mailboxes in the spool: flags and keywords, copies, moves and
 * appended mail, folders and their names, annotations, what went when, and what is told
 * of it all.  After each step the invariants hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "spool/private.h"
#include "tests/lib/spool_rig.h"

#define INBOX SPAN(MAILBOX_INBOX)
#define ALICE SPAN("alice")

struct fixture {
	struct spool_rig *r;
	struct buf told; /* events, as text */
};

static void
on_mail(void *arg, const struct mail_event *event, size_t n)
{
	static const char *const kinds[] = {"came", "flags", "gone", "keyword", "recent",
	    "made", "renamed", "removed", "subscription"};
	struct fixture *f = arg;
	for (size_t i = 0; i < n; i++) {
		const struct mail_event *e = &event[i];
		buf_addf(&f->told, "%s %u.%u", kinds[e->kind], e->mailbox,
		    e->kind == MAILBOX_MADE ? 0 : e->uid);
		if (e->kind <= MAIL_FLAGS)
			buf_addf(&f->told, "/%x/%llx", e->flags,
			    (unsigned long long)e->keywords);
		if (e->text.n > 0)
			buf_addf(&f->told, " %.*s", SPAN_ARG(e->text));
		buf_add_char(&f->told, ';');
	}
}

static void
begin(struct fixture *f)
{
	f->r = spool_rig_new(0);
	buf_init(&f->told, 0);
	if (spool_rig_open(f->r) != OK)
		fail_msg("%s", f->r->why);
	spool_on_mail(f->r->spool, on_mail, f);
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
put(struct fixture *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct message *m = spool_rig_message(300, i);
		spool_rig_drop(m, "alice", "Return-Path: <s@d>\r\n");
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
	a->done = true;
	a->err = e;
}

static enum err
order(struct fixture *f, const struct mailbox_request *q)
{
	struct asked a = {0};
	struct mailbox_request full = *q;
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
change(struct fixture *f, struct mail_change *c)
{
	return spool_rig_change(f->r, c);
}

static struct mailbox_view
view(struct fixture *f, const char *name)
{
	struct spool_reader *r = spool_reader_new(f->r->spool);
	struct mailbox_view v = {0};
	enum err e = spool_read_mailbox(r, ALICE, span_str(name), &v);
	if (e != OK)
		v.number = 0;
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
	spool_reader_free(&r);
	return out;
}

/* ---- flags and keywords */

static void
test_store(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f);
	put(&f, 3);
	uint64_t modseq = view(&f, "INBOX").modseq;
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	unsigned k = mail_change_keyword(c, SPAN("$Work"));
	assert_int_equal(mail_change_keyword(c, SPAN("$WORK")), k);
	mail_change_store(c, 1, MAIL_STORE_ADD, MAIL_SEEN, UINT64_C(1) << k);
	mail_change_store(c, 3, MAIL_STORE_SET, MAIL_DELETED, 0);
	mail_change_store(c, 9, MAIL_STORE_SET, MAIL_DELETED, 0);
	assert_int_equal(change(&f, c), OK);
	assert_told(&f, "keyword 1.0 $Work;flags 1.1/1/1;flags 1.3/8/0;");
	struct mailbox_view v = view(&f, "INBOX");
	assert_int_equal(v.modseq, modseq + 1); /* one for all of it */
	assert_int_equal(v.unseen, 2);
	assert_int_equal(v.deleted, 1);
	assert_int_equal(row(&f, "INBOX", 1).modseq, modseq + 1);
	/* the same again is no change */
	c = mail_change_new(ALICE, INBOX);
	mail_change_store(c, 3, MAIL_STORE_ADD, MAIL_DELETED, 0);
	assert_int_equal(change(&f, c), ERR_NOT_FOUND);
	assert_told(&f, "");
	/* unless it changed meanwhile */
	struct mail_result res;
	c = mail_change_new(ALICE, INBOX);
	mail_change_unless(c, modseq);
	mail_change_store(c, 1, MAIL_STORE_REMOVE, MAIL_SEEN, 0);
	mail_change_store(c, 2, MAIL_STORE_ADD, MAIL_FLAGGED, 0);
	struct mail_change *kept = mail_change_ref(c);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	mail_change_result(kept, &res);
	assert_int_equal(res.modifieds, 1);
	assert_int_equal(res.modified[0], 1);
	mail_change_free(&kept);
	assert_told(&f, "flags 1.2/4/0;");
	end(&f);
}

static void
test_keyword_bound(void **state)
{
	struct fixture f;
	char name[40];
	(void)state;
	begin(&f);
	put(&f, 1);
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	for (unsigned i = 0; i < MAILBOX_KEYWORDS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "k%u", i);
		assert_int_equal(mail_change_keyword(c, span_str(name)), i);
	}
	assert_int_equal(mail_change_keyword(c, SPAN("more")), MAILBOX_KEYWORDS_MAX);
	mail_change_store(c, 1, MAIL_STORE_SET, 0, UINT64_MAX);
	assert_int_equal(change(&f, c), OK);
	assert_true(row(&f, "INBOX", 1).keywords == UINT64_MAX);
	buf_reset(&f.told);
	c = mail_change_new(ALICE, INBOX);
	mail_change_store(
	    c, 1, MAIL_STORE_ADD, 0, UINT64_C(1) << mail_change_keyword(c, SPAN("one")));
	assert_int_equal(change(&f, c), ERR_FULL);
	assert_told(&f, "");
	struct spool_reader *r = spool_reader_new(f.r->spool);
	struct mailbox_keywords all;
	assert_int_equal(spool_read_keywords(r, view(&f, "INBOX").number, &all), OK);
	assert_int_equal(all.n, MAILBOX_KEYWORDS_MAX);
	assert_string_equal(all.name[63], "k63");
	mailbox_keywords_clear(&all);
	spool_reader_free(&r);
	end(&f);
}

/* ---- copies */

static void
test_copy_and_move(void **state)
{
	struct fixture f;
	struct mail_result res;
	(void)state;
	begin(&f);
	put(&f, 3);
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	mail_change_target(c, ALICE, SPAN("Box"));
	mail_change_copy(c, 1, false);
	assert_int_equal(change(&f, c), ERR_EXISTS);
	assert_int_equal(act(&f, MAILBOX_CREATE, "Box"), OK);
	c = mail_change_new(ALICE, INBOX);
	mail_change_store(c, 1, MAIL_STORE_ADD, MAIL_SEEN,
	    UINT64_C(1) << mail_change_keyword(c, SPAN("a")));
	assert_int_equal(change(&f, c), OK);
	buf_reset(&f.told);
	c = mail_change_at(view(&f, "INBOX").number);
	mail_change_target(c, ALICE, SPAN("Box"));
	mail_change_copy(c, 1, false);
	mail_change_copy(c, 3, true);
	mail_change_copy(c, 7, true); /* not there */
	struct mail_change *kept = mail_change_ref(c);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	mail_change_result(kept, &res);
	assert_int_equal(res.n, 2);
	assert_int_equal(res.uidvalidity, view(&f, "Box").uidvalidity);
	assert_true(
	    res.from[0] == 1 && res.to[0] == 1 && res.from[1] == 3 && res.to[1] == 2);
	mail_change_free(&kept);
	assert_told(&f, "keyword 2.0 a;came 2.1/1/1;came 2.2/0/0;gone 1.3;");
	struct mail_row one = row(&f, "INBOX", 1), copy = row(&f, "Box", 1);
	assert_true(one.message == copy.message && one.origin == copy.origin);
	assert_true(one.id != copy.id && one.internal.ms == copy.internal.ms);
	assert_int_equal(view(&f, "INBOX").messages, 2);
	struct mailbox_usage u;
	spool_mailbox_usage(f.r->spool, ALICE, &u);
	assert_int_equal(u.messages, 4);
	spool_rig_clean(f.r);
	/* into itself */
	c = mail_change_new(ALICE, INBOX);
	mail_change_target(c, ALICE, INBOX);
	mail_change_copy(c, 1, false);
	mail_change_copy(c, 2, true);
	assert_int_equal(change(&f, c), OK);
	assert_int_equal(view(&f, "INBOX").messages, 3);
	assert_int_equal(view(&f, "INBOX").uidnext, 6);
	end(&f);
}

/* All of INBOX into a mailbox that is made for it, in one change. */
static void
test_move_all(void **state)
{
	static const char *const refused[] = {"Box", "", "a//b"};
	struct fixture f;
	(void)state;
	begin(&f);
	put(&f, 3);
	assert_int_equal(act(&f, MAILBOX_CREATE, "Box"), OK);
	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		struct mail_change *c = mail_change_new(ALICE, INBOX);
		mail_change_move_all(c, ALICE, span_str(refused[i]));
		assert_int_equal(change(&f, c), i == 0 ? ERR_EXISTS : ERR_RANGE);
		assert_int_equal(view(&f, "INBOX").messages, 3);
	}
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	mail_change_store(c, 2, MAIL_STORE_ADD, MAIL_SEEN,
	    UINT64_C(1) << mail_change_keyword(c, SPAN("a")));
	assert_int_equal(change(&f, c), OK);
	struct mail_row old = row(&f, "INBOX", 2);
	buf_reset(&f.told);
	c = mail_change_new(ALICE, INBOX);
	mail_change_move_all(c, ALICE, SPAN("x/y"));
	assert_int_equal(change(&f, c), OK);
	assert_told(&f, "made 3.0 x;made 4.0 x/y;keyword 4.0 a;came 4.1/0/0;came 4.2/1/1;"
			"came 4.3/0/0;gone 1.1;gone 1.2;gone 1.3;");
	assert_int_equal(view(&f, "INBOX").messages, 0);
	assert_int_equal(view(&f, "INBOX").uidnext, 4);
	assert_int_equal(view(&f, "x/y").messages, 3);
	assert_int_equal(row(&f, "x/y", 2).message, old.message);
	/* nothing is left, or was ever there: it is made all the same */
	for (int i = 0; i < 2; i++) {
		struct span owner = i == 0 ? ALICE : SPAN("bob");
		c = mail_change_new(owner, INBOX);
		mail_change_move_all(c, owner, SPAN("none"));
		assert_int_equal(change(&f, c), OK);
	}
	assert_int_equal(view(&f, "none").messages, 0);
	spool_rig_clean(f.r);
	end(&f);
}

static void
test_append(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f);
	struct mail_append how = {
	    .flags = MAIL_DRAFT | MAIL_PICKED, .internal = {1000000}, .zone = -90};
	struct message *a = spool_rig_message(300, 1), *b = spool_rig_message(20000, 2);
	struct mail_change *c = mail_change_new(ALICE, SPAN("Drafts"));
	mail_change_append(c, a, &how);
	assert_int_equal(change(&f, c), ERR_NOT_FOUND);
	assert_int_equal(act(&f, MAILBOX_CREATE, "Drafts"), OK);
	c = mail_change_new(ALICE, SPAN("Drafts"));
	mail_change_append(c, a, &how);
	mail_change_append(c, b, &how);
	assert_int_equal(change(&f, c), OK);
	struct mail_row x = row(&f, "Drafts", 2);
	assert_int_equal(x.flags, MAIL_DRAFT);
	assert_int_equal(x.internal.ms, 1000000);
	assert_int_equal(x.zone, -90);
	assert_true(x.arrival.ms != x.internal.ms);
	assert_int_equal(x.size, b->prefix.n + 20000);
	message_unref(&a);
	message_unref(&b);
	spool_rig_clean(f.r);
	assert_int_equal(act(&f, MAILBOX_DELETE, "Drafts"), OK);
	spool_rig_run(f.r);
	end(&f);
}

/* ---- names */

static void
names(struct fixture *f, struct buf *out)
{
	struct spool_reader *r = spool_reader_new(f->r->spool);
	struct mailbox_name one;
	char after[MAILBOX_NAME_MAX + 1] = "";
	size_t n = 1;
	buf_reset(out);
	while (spool_read_names(r, ALICE, span_str(after), &one, 1, &n) == OK && n == 1) {
		buf_addf(out, "%s%s%s ", one.name, one.number == 0 ? "?" : "",
		    one.subscribed ? "+" : "");
		span_copy(span_str(one.name), after, sizeof(after));
	}
	buf_add_char(out, '\0');
	spool_reader_free(&r);
}

static void
test_names(void **state)
{
	struct fixture f;
	struct buf all;
	char long_name[MAILBOX_NAME_MAX + 2];
	(void)state;
	begin(&f);
	buf_init(&all, 0);
	assert_int_equal(act(&f, MAILBOX_CREATE, "a/b/c"), OK);
	assert_int_equal(act(&f, MAILBOX_CREATE, "a/b"), ERR_EXISTS);
	assert_int_equal(act(&f, MAILBOX_SUBSCRIBE, "a/b"), OK);
	assert_int_equal(act(&f, MAILBOX_SUBSCRIBE, "x"), OK);
	names(&f, &all);
	assert_string_equal(all.p, "a a/b+ a/b/c x?+ ");
	uint32_t number = view(&f, "a/b/c").number;
	struct mailbox_request q = {
	    .act = MAILBOX_RENAME, .name = SPAN("a"), .to = SPAN("p/q")};
	assert_int_equal(order(&f, &q), OK);
	names(&f, &all);
	assert_string_equal(all.p, "a/b?+ p p/q p/q/b p/q/b/c x?+ ");
	assert_int_equal(view(&f, "p/q/b/c").number, number);
	q = (struct mailbox_request){
	    .act = MAILBOX_RENAME, .name = SPAN("p"), .to = SPAN("p/x")};
	assert_int_equal(order(&f, &q), ERR_RANGE);
	q.to = SPAN("p/q");
	assert_int_equal(order(&f, &q), ERR_RANGE);
	assert_int_equal(act(&f, MAILBOX_DELETE, "p/q"), OK);
	assert_int_equal(act(&f, MAILBOX_DELETE, "p/q"), ERR_NOT_FOUND);
	assert_int_equal(act(&f, MAILBOX_UNSUBSCRIBE, "x"), OK);
	assert_int_equal(act(&f, MAILBOX_UNSUBSCRIBE, "never"), OK);
	names(&f, &all);
	assert_string_equal(all.p, "a/b?+ p p/q/b p/q/b/c ");
	memset(long_name, 'n', sizeof(long_name));
	long_name[MAILBOX_NAME_MAX] = '\0';
	assert_int_equal(act(&f, MAILBOX_CREATE, long_name), OK);
	long_name[MAILBOX_NAME_MAX] = 'n';
	long_name[MAILBOX_NAME_MAX + 1] = '\0';
	assert_int_equal(act(&f, MAILBOX_CREATE, long_name), ERR_RANGE);
	assert_int_equal(act(&f, MAILBOX_CREATE, ""), ERR_RANGE);
	/* a name that comes back is another mailbox */
	uint32_t validity = view(&f, "p/q/b").uidvalidity;
	assert_int_equal(act(&f, MAILBOX_DELETE, "p/q/b"), OK);
	assert_int_equal(act(&f, MAILBOX_CREATE, "p/q/b"), OK);
	assert_true(view(&f, "p/q/b").uidvalidity > validity);
	buf_clear(&all);
	end(&f);
}

static void
test_names_bound(void **state)
{
	struct fixture f;
	char name[40];
	(void)state;
	begin(&f);
	for (unsigned i = 0; i < MAILBOX_NAMES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "box%04u", i);
		assert_int_equal(act(&f, MAILBOX_CREATE, name), OK);
	}
	assert_int_equal(act(&f, MAILBOX_CREATE, "more"), ERR_FULL);
	assert_int_equal(act(&f, MAILBOX_SUBSCRIBE, "more"), ERR_FULL);
	assert_int_equal(act(&f, MAILBOX_SUBSCRIBE, "box0001"), OK);
	assert_int_equal(act(&f, MAILBOX_DELETE, "box0000"), OK);
	assert_int_equal(act(&f, MAILBOX_CREATE, "a/b"), ERR_FULL); /* two of them */
	assert_int_equal(act(&f, MAILBOX_CREATE, "more"), OK);
	end(&f);
}

/* ---- annotations */

static void
test_notes(void **state)
{
	struct fixture f;
	struct buf value;
	char name[80], big[MAILBOX_NOTE_MAX + 1];
	(void)state;
	begin(&f);
	buf_init(&value, 0);
	memset(big, 'v', sizeof(big));
	struct mailbox_request q = {.act = MAILBOX_NOTE,
	    .name = SPAN(""),
	    .entry = SPAN("/private/a"),
	    .value = {big, MAILBOX_NOTE_MAX}};
	assert_int_equal(order(&f, &q), OK);
	q.value.n++;
	assert_int_equal(order(&f, &q), ERR_RANGE);
	q.value = SPAN("");
	for (unsigned i = 1; i < MAILBOX_NOTES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "/private/%u", i);
		q.entry = span_str(name);
		assert_int_equal(order(&f, &q), OK);
	}
	q.entry = SPAN("/private/more");
	assert_int_equal(order(&f, &q), ERR_FULL);
	q.entry = SPAN("/private/a");
	assert_int_equal(order(&f, &q), OK); /* another value for one that is there */
	q.value = (struct span){NULL, 0};
	assert_int_equal(order(&f, &q), OK);
	struct spool_reader *r = spool_reader_new(f.r->spool);
	assert_int_equal(spool_read_note(r, ALICE, SPAN(""), SPAN("/private/a"), &value),
	    ERR_NOT_FOUND);
	assert_int_equal(
	    spool_read_note(r, ALICE, SPAN(""), SPAN("/private/7"), &value), OK);
	assert_int_equal(value.n, 0);
	spool_reader_free(&r);
	buf_clear(&value);
	end(&f);
}

/* ---- what went when */

static void
note_run(void *arg, uint32_t first, uint32_t last, uint64_t modseq)
{
	buf_addf(arg, "%u-%u@%llu ", first, last, (unsigned long long)modseq);
}

static void
test_gone(void **state)
{
	struct fixture f;
	struct buf runs;
	(void)state;
	begin(&f);
	buf_init(&runs, 0);
	put(&f, 6);
	uint64_t modseq = view(&f, "INBOX").modseq;
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	for (uint32_t u = 2; u <= 4; u++)
		mail_change_delete(c, u);
	mail_change_delete(c, 6);
	mail_change_expunge(c, 5); /* it is not marked: it stays */
	assert_int_equal(change(&f, c), OK);
	assert_told(&f, "gone 1.2;gone 1.3;gone 1.4;gone 1.6;");
	struct spool_reader *r = spool_reader_new(f.r->spool);
	uint32_t number = view(&f, "INBOX").number;
	assert_int_equal(spool_read_gone(r, number, modseq, note_run, &runs), OK);
	buf_add_char(&runs, '\0');
	char expected[80];
	(void)snprintf(expected, sizeof(expected), "2-4@%llu 6-6@%llu ",
	    (unsigned long long)modseq + 1, (unsigned long long)modseq + 1);
	assert_string_equal(runs.p, expected);
	buf_reset(&runs);
	assert_int_equal(spool_read_gone(r, number, modseq + 1, note_run, &runs), OK);
	assert_int_equal(runs.n, 0);
	spool_reader_free(&r);
	buf_clear(&runs);
	end(&f);
}

/* Only the latest runs are known; whoever asks for more is told so. */
static void
test_gone_bound(void **state)
{
	struct fixture f;
	struct buf runs;
	(void)state;
	begin(&f);
	buf_init(&runs, 0);
	put(&f, 40);
	struct mailbox_view v = view(&f, "INBOX");
	for (unsigned round = 0; round * 20 < GONE_MAX + 40; round++) {
		struct mail_change *c = mail_change_new(ALICE, INBOX);
		struct spool_reader *r = spool_reader_new(f.r->spool);
		struct mail_row rows[40];
		size_t n = 0;
		assert_int_equal(spool_read_mails(r, v.number, 0, 0, rows, 40, &n), OK);
		spool_reader_free(&r);
		for (size_t i = 0; i < n; i += 2) {
			mail_change_copy(c, rows[i].uid, false);
			mail_change_delete(c, rows[i].uid);
		}
		mail_change_target(c, ALICE, INBOX);
		for (size_t i = 1; i < n; i += 2) /* gaps between the next ones */
			mail_change_copy(c, rows[i].uid, true);
		assert_int_equal(change(&f, c), OK);
	}
	struct spool_reader *r = spool_reader_new(f.r->spool);
	struct mailbox_view now = view(&f, "INBOX");
	assert_int_equal(now.messages, 40);
	if (now.gone_since > 0) {
		assert_int_equal(
		    spool_read_gone(r, v.number, now.gone_since - 1, note_run, &runs),
		    ERR_RANGE);
	}
	assert_int_equal(
	    spool_read_gone(r, v.number, now.gone_since, note_run, &runs), OK);
	spool_reader_free(&r);
	buf_clear(&runs);
	end(&f);
}

/* ---- listings */

struct seen {
	size_t n;
	uint64_t sizes;
	size_t structures;
};

static bool
see(void *arg, size_t i, const struct mail_sight *x)
{
	struct seen *s = arg;
	(void)i;
	s->n++;
	s->sizes += x->row.size;
	s->structures += x->structure.p != NULL;
	assert_true(x->head.n <= x->content);
	assert_true(x->row.size == x->own.n + x->prefix.n + x->content);
	return s->n < 2;
}

static void
test_sights(void **state)
{
	static const uint32_t uid[] = {3, 9, 1, 2};
	struct fixture f;
	struct seen s = {0};
	struct asked a = {0};
	(void)state;
	begin(&f);
	put(&f, 3);
	(void)spool_structure_start(f.r->spool, row(&f, "INBOX", 3).message,
	    SPAN("what it is made of"), loop_inbox(f.r->loop), on_done, &a);
	spool_rig_wait(f.r, &a.done);
	assert_int_equal(a.err, OK);
	a.done = false;
	(void)spool_structure_start(
	    f.r->spool, 12345, SPAN("x"), loop_inbox(f.r->loop), on_done, &a);
	spool_rig_wait(f.r, &a.done);
	assert_int_equal(a.err, ERR_NOT_FOUND);
	struct spool_reader *r = spool_reader_new(f.r->spool);
	assert_int_equal(
	    spool_read_sights(r, view(&f, "INBOX").number, SIGHT_ALL, uid, 4, see, &s),
	    OK);
	spool_reader_free(&r);
	assert_int_equal(s.n, 2); /* it asked for no more */
	assert_int_equal(s.structures, 1);
	end(&f);
}

/* ---- owners, and a restart */

static void
test_all_goes(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f);
	put(&f, 3);
	assert_int_equal(act(&f, MAILBOX_CREATE, "a/b"), OK);
	struct mailbox_request q = {.act = MAILBOX_NOTE,
	    .name = SPAN("a"),
	    .entry = SPAN("/private/comment"),
	    .value = SPAN("x")};
	assert_int_equal(order(&f, &q), OK);
	struct mail_change *c = mail_change_new(ALICE, INBOX);
	mail_change_target(c, ALICE, SPAN("a/b"));
	mail_change_copy(c, 1, true);
	mail_change_recent(c, 3);
	assert_int_equal(change(&f, c), OK);
	spool_rig_reopen(f.r);
	spool_on_mail(f.r->spool, on_mail, &f);
	spool_rig_clean(f.r);
	assert_int_equal(view(&f, "a/b").messages, 1);
	assert_int_equal(view(&f, "INBOX").recent, 3);
	assert_int_equal(spool_rig_owner_delete(f.r, "alice"), OK);
	spool_rig_run(f.r);
	struct spool_reader *r = spool_reader_new(f.r->spool);
	struct spool_stat st;
	assert_int_equal(spool_read_stat(r, &st), OK);
	spool_reader_free(&r);
	assert_int_equal(st.mails, 0);
	assert_int_equal(st.kept, 0);
	assert_int_equal(st.bytes, 0);
	end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_store),
	    cmocka_unit_test(test_keyword_bound),
	    cmocka_unit_test(test_copy_and_move),
	    cmocka_unit_test(test_move_all),
	    cmocka_unit_test(test_append),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_names_bound),
	    cmocka_unit_test(test_notes),
	    cmocka_unit_test(test_gone),
	    cmocka_unit_test(test_gone_bound),
	    cmocka_unit_test(test_sights),
	    cmocka_unit_test(test_all_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
