/* SPDX-License-Identifier: ISC */
/* The queue as mailboxes: what is shown, told and read of it (spool/tray.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "spool/tray.h"
#include "tests/lib/spool_rig.h"

struct fixture {
	struct spool_rig *r;
	struct buf told;
	uint64_t id[4];
	uint32_t set, queue, held; /* an administrator's */
};

static void
on_mail(void *arg, const struct mail_event *event, size_t n)
{
	static const char *const kinds[] = {"came", "flags", "gone"};
	struct fixture *f = arg;
	for (size_t i = 0; i < n; i++) {
		const struct mail_event *e = &event[i];
		if (e->kind <= MAIL_GONE)
			buf_addf(&f->told, "%s %s.%u %x;", kinds[e->kind],
			    e->mailbox == f->queue  ? "q"
			    : e->mailbox == f->held ? "h"
						    : "other",
			    e->uid, (unsigned)e->keywords);
	}
}

static void
assert_told(struct fixture *f, const char *what)
{
	buf_add_char(&f->told, '\0');
	assert_string_equal(f->told.p, what);
	buf_reset(&f->told);
}

static void
begin(struct fixture *f, size_t messages)
{
	*f = (struct fixture){.r = spool_rig_new(0)};
	buf_init(&f->told, 0);
	if (spool_rig_open(f->r) != OK)
		fail_msg("%s", f->r->why);
	spool_on_mail(f->r->spool, on_mail, f);
	f->set = spool_tray_enter(f->r->spool, SPAN("ann"));
	f->queue = tray_of(f->set, TRAY_QUEUE);
	f->held = tray_of(f->set, TRAY_HELD);
	for (size_t i = 0; i < messages; i++) {
		struct message *m = spool_rig_message(300, (unsigned)i);
		spool_rig_rcpt(m, "u@b.example", "smtp b.example", 0);
		f->id[i] = spool_rig_stored(f->r, m);
	}
}

static void
end(struct fixture *f)
{
	spool_rig_clean(f->r);
	spool_rig_free(&f->r);
	buf_clear(&f->told);
}

static void
on_done(void *arg, enum err e)
{
	bool *done = arg;
	*done = true;
	assert_int_equal(e, OK);
}

static void
look(struct fixture *f, uint64_t active)
{
	struct tray_scan *scan;
	bool done = false;
	struct spool_reader *r = spool_reader_new(f->r->spool);
	assert_int_equal(spool_tray_scan(r, &scan), OK);
	spool_reader_free(&r);
	if (active != 0)
		tray_scan_active(scan, active);
	(void)spool_tray_take_start(
	    f->r->spool, scan, loop_inbox(f->r->loop), on_done, &done);
	spool_rig_wait(f->r, &done);
}

static void
outcome(struct fixture *f, size_t i, enum outcome_kind kind)
{
	assert_int_equal(spool_rig_outcome(f->r, f->id[i], "smtp b.example", 0, kind,
			     RIG_WALL_MS + 1000, NULL),
	    OK);
}

static void
test_states(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, 3);
	look(&f, 0);
	assert_told(&f, "came q.1 2;came q.2 2;came q.3 2;");
	look(&f, 0);
	assert_told(&f, "");
	look(&f, f.id[1]);
	assert_told(&f, "flags q.2 3;");
	outcome(&f, 1, OUTCOME_WAIT);
	outcome(&f, 2, OUTCOME_HELD);
	look(&f, 0);
	assert_told(&f, "flags q.2 4;flags q.3 8;came h.1 8;");
	outcome(&f, 0, OUTCOME_DELIVERED);
	outcome(&f, 2, OUTCOME_WAIT);
	look(&f, 0);
	assert_told(&f, "gone q.1 2;flags q.3 4;gone h.1 8;");
	end(&f);
}

static void
test_hidden_until_it_changes(void **state)
{
	struct fixture f;
	struct mail_change *c;
	uint64_t id;
	(void)state;
	begin(&f, 2);
	look(&f, 0);
	buf_reset(&f.told);
	assert_int_equal(spool_tray_message(f.r->spool, f.queue, 1, &id), OK);
	assert_true(id == f.id[0]);
	c = mail_change_at(f.queue);
	mail_change_delete(c, 1);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	assert_told(&f, "gone q.1 2;");
	assert_int_equal(spool_tray_message(f.r->spool, f.queue, 1, &id), ERR_NOT_FOUND);
	look(&f, 0);
	assert_told(&f, "");
	outcome(&f, 0, OUTCOME_WAIT); /* it has been tried: it is seen again */
	look(&f, 0);
	assert_told(&f, "came q.3 4;");
	/* a message that is gone while it was hidden */
	c = mail_change_at(f.queue);
	mail_change_delete(c, 3);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	outcome(&f, 0, OUTCOME_DELIVERED);
	buf_reset(&f.told);
	look(&f, 0);
	assert_told(&f, "");
	end(&f);
}

static void
test_changes(void **state)
{
	struct fixture f;
	struct mail_append how = {0};
	(void)state;
	begin(&f, 2);
	look(&f, 0);
	buf_reset(&f.told);
	struct mail_change *c = mail_change_at(f.queue), *kept = mail_change_ref(c);
	mail_change_store(c, 1, MAIL_STORE_ADD, MAIL_SEEN | MAIL_DELETED, 0);
	mail_change_store(c, 7, MAIL_STORE_ADD, MAIL_SEEN, 0);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	struct mail_result res;
	mail_change_result(kept, &res);
	mail_change_free(&kept);
	assert_told(&f, "flags q.1 2;");
	/* another one was faster */
	c = mail_change_at(f.queue);
	kept = mail_change_ref(c);
	mail_change_unless(c, res.modseq - 1);
	mail_change_store(c, 1, MAIL_STORE_REMOVE, MAIL_DELETED, 0);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	mail_change_result(kept, &res);
	assert_int_equal(res.modifieds, 1);
	mail_change_free(&kept);
	/* nothing was done with it: it stays */
	c = mail_change_at(f.queue);
	mail_change_expunge(c, 1);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	assert_told(&f, "");
	c = mail_change_at(f.queue);
	mail_change_flags(c, 1, MAIL_PICKED, 0);
	mail_change_expunge(c, 1);
	mail_change_expunge(c, 2);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	assert_told(&f, "flags q.1 2;gone q.1 2;");
	/* what a tray cannot */
	c = mail_change_at(f.queue);
	mail_change_copy(c, 2, false);
	assert_int_equal(spool_rig_change(f.r, c), ERR_RANGE);
	struct message *m = spool_rig_message(10, 1);
	c = mail_change_at(f.queue);
	mail_change_append(c, m, &how);
	message_unref(&m);
	assert_int_equal(spool_rig_change(f.r, c), ERR_RANGE);
	end(&f);
}

static uint32_t
flags_of(struct fixture *f, uint32_t number, uint32_t uid)
{
	struct spool_reader *r = spool_reader_new(f->r->spool);
	struct mail_row row = {.flags = UINT32_MAX};
	size_t n;
	assert_int_equal(spool_read_mails(r, number, uid - 1, uid + 1, &row, 1, &n), OK);
	spool_reader_free(&r);
	return row.flags;
}

/* What one has read, marked and taken from view is his own. */
static void
test_two_administrators(void **state)
{
	struct fixture f;
	(void)state;
	begin(&f, 2);
	look(&f, 0);
	buf_reset(&f.told);
	uint32_t bob = spool_tray_enter(f.r->spool, SPAN("bob"));
	assert_int_not_equal(bob, f.set);
	uint32_t queue = tray_of(bob, TRAY_QUEUE);
	look(&f, 0);
	assert_told(&f, "came other.1 2;came other.2 2;");
	struct mail_change *c = mail_change_at(f.queue);
	mail_change_store(c, 1, MAIL_STORE_ADD, MAIL_SEEN | MAIL_FLAGGED, 0);
	mail_change_delete(c, 2);
	assert_int_equal(spool_rig_change(f.r, c), OK);
	assert_told(&f, "flags q.1 2;gone q.2 2;");
	assert_int_equal(flags_of(&f, f.queue, 1), MAIL_SEEN | MAIL_FLAGGED);
	assert_int_equal(flags_of(&f, queue, 1), 0);
	assert_int_equal(flags_of(&f, queue, 2), 0);
	/* who has gone is told of nothing, and finds his trays as he left them */
	spool_tray_leave(f.r->spool, f.set);
	outcome(&f, 0, OUTCOME_WAIT);
	look(&f, 0);
	assert_told(&f, "flags other.1 4;");
	assert_int_equal(spool_tray_enter(f.r->spool, SPAN("ann")), f.set);
	look(&f, 0);
	assert_told(&f, "flags q.1 4;");
	assert_int_equal(flags_of(&f, f.queue, 1), MAIL_SEEN | MAIL_FLAGGED);
	end(&f);
}

/* The latest are kept, and all that somebody looks at; no number comes back. */
static void
test_sets_bound(void **state)
{
	struct fixture f;
	struct mailbox_view v;
	char who[20];
	uint32_t last = 0;
	(void)state;
	begin(&f, 1);
	uint32_t kept = spool_tray_enter(f.r->spool, SPAN("kept"));
	spool_tray_leave(f.r->spool, kept);
	for (int i = 0; i < TRAY_SETS_MAX - 1; i++) {
		(void)snprintf(who, sizeof(who), "a%d", i);
		uint32_t set = spool_tray_enter(f.r->spool, span_str(who));
		assert_true(tray_is(tray_of(set, TRAY_QUEUE)) &&
			    tray_is(tray_of(set, TRAY_NONE)));
		assert_true(set != kept && set != last && set != f.set);
		last = set;
	}
	assert_int_equal(spool_tray_enter(f.r->spool, SPAN("too many")), 0);
	assert_int_equal(spool_tray_enter(f.r->spool, SPAN("ann")), f.set);
	struct spool_reader *r = spool_reader_new(f.r->spool);
	assert_int_equal(
	    spool_read_mailbox_at(r, tray_of(kept, TRAY_QUEUE), &v), ERR_NOT_FOUND);
	assert_int_equal(spool_read_mailbox_at(r, tray_of(last, TRAY_HELD), &v), OK);
	spool_reader_free(&r);
	struct mail_change *c = mail_change_at(tray_of(kept, TRAY_QUEUE));
	mail_change_delete(c, 1);
	(void)spool_rig_change(f.r, c);
	spool_tray_leave(f.r->spool, last);
	uint32_t again = spool_tray_enter(f.r->spool, SPAN("kept"));
	assert_true(again != 0 && again != kept);
	end(&f);
}

struct saw {
	struct buf own;
	uint64_t size;
	size_t n;
};

static bool
on_sight(void *arg, size_t i, const struct mail_sight *x)
{
	struct saw *s = arg;
	(void)i;
	s->n++;
	buf_add_span(&s->own, x->own);
	s->size = x->row.size;
	assert_int_equal(x->head.n, 300);
	return true;
}

static void
test_reading(void **state)
{
	static const uint32_t uid[] = {1, 9};
	struct fixture f;
	struct saw s = {.n = 0};
	struct mailbox_view v;
	struct mailbox_keywords k;
	struct mail_row row[3];
	struct kept_mail *m;
	size_t n;
	(void)state;
	begin(&f, 2);
	outcome(&f, 0, OUTCOME_WAIT);
	look(&f, 0);
	struct spool_reader *r = spool_reader_new(f.r->spool);
	assert_int_equal(spool_read_mailbox_at(r, f.queue, &v), OK);
	assert_int_equal(v.messages, 2);
	assert_int_equal(v.uidnext, 3);
	assert_int_equal(spool_read_keywords(r, f.queue, &k), OK);
	assert_string_equal(k.name[TRAY_DEFERRED], "$Deferred");
	mailbox_keywords_clear(&k);
	assert_int_equal(spool_read_mails(r, f.queue, 1, 0, row, 3, &n), OK);
	assert_int_equal(n, 1);
	assert_int_equal(row[0].uid, 2);
	assert_int_equal(spool_read_gone(r, f.queue, 0, NULL, NULL), ERR_RANGE);
	assert_int_equal(
	    spool_read_sights(r, f.queue, SIGHT_ALL, uid, 2, on_sight, &s), OK);
	assert_int_equal(s.n, 1);
	buf_add_char(&s.own, '\0');
	assert_non_null(strstr(s.own.p, "X-Relay-To: <u@b.example>;\r\n state=deferred; "
					"attempts=1;\r\n"));
	assert_non_null(strstr(s.own.p, "reply=\"451 4.3.0 later\"\r\n"));
	assert_int_equal(spool_read_mail(r, f.queue, 1, true, &m), OK);
	assert_true(m->row.size == s.size);
	assert_true(m->own.n + 1 == s.own.n);
	assert_true(spool_rig_content_is(m->message, 300, 0));
	kept_mail_free(&m);
	outcome(&f, 0, OUTCOME_DELIVERED); /* shown still, but gone */
	assert_int_equal(spool_read_mail(r, f.queue, 1, true, &m), ERR_NOT_FOUND);
	spool_reader_free(&r);
	buf_clear(&s.own);
	end(&f);
}

/* The newest TRAY_MAX, and what waits for somebody. */
static void
test_bound(void **state)
{
	struct fixture f;
	struct mailbox_view v;
	uint64_t id;
	(void)state;
	begin(&f, 2);
	outcome(&f, 1, OUTCOME_HELD);
	for (unsigned i = 0; i < TRAY_MAX; i++) {
		struct message *m = spool_rig_message(1, i);
		spool_rig_rcpt(m, "u@b.example", "smtp b.example", 0);
		(void)spool_accept_start(
		    f.r->spool, m, loop_inbox(f.r->loop), NULL, NULL);
		message_unref(&m);
	}
	spool_rig_run(f.r);
	look(&f, 0);
	struct spool_reader *r = spool_reader_new(f.r->spool);
	assert_int_equal(spool_read_mailbox_at(r, f.queue, &v), OK);
	assert_int_equal(v.messages, TRAY_MAX + 1);
	assert_int_equal(spool_read_mailbox_at(r, f.held, &v), OK);
	assert_int_equal(v.messages, 1);
	spool_reader_free(&r);
	assert_int_equal(spool_tray_message(f.r->spool, f.queue, 1, &id), OK);
	assert_true(id == f.id[1]);
	end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_states),
	    cmocka_unit_test(test_hidden_until_it_changes),
	    cmocka_unit_test(test_changes),
	    cmocka_unit_test(test_two_administrators),
	    cmocka_unit_test(test_sets_bound),
	    cmocka_unit_test(test_reading),
	    cmocka_unit_test(test_bound),
	};
	(void)setenv("RELAY_TEST_NOSYNC", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
