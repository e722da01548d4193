/* SPDX-License-Identifier: ISC */
/*
 * Dying, and failing, at every place.
 *
 * A story of operations is played once undisturbed; what is stored after each
 * is written down.  Then a child plays it again and again, and dies at the
 * first, second, ... named place it passes, until it survives.  After each death the
 * spool is opened again: the invariants must hold, and what is stored must be what the
 * story says after the last operation that the child was told of, or after the
 * one that was under way, and nothing in between.  The same again with calls
 * that fail instead, and with deaths while the spool is being opened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/mem.h"
#include "tests/lib/spool_rig.h"

#define B "smtp b.example"
#define C "smtp c.example"
#define NOW RIG_WALL_MS
#define INLINE_MAX 9000

/* What survives a child's death. */
struct ledger {
	unsigned done;    /* operations that were told */
	uint64_t highest; /* id that was told */
	uint64_t id[8];   /* of the story's messages */
	bool opened;
};

struct story {
	struct spool_rig *rig;
	struct ledger *ledger;
};

#ifdef RELAY_FAULTS

/* ---- the operations */

static enum err
store(struct story *s, unsigned slot, struct message *m)
{
	struct message *keep = message_ref(m);
	enum err e = spool_rig_accept(s->rig, m);
	if (e == OK) {
		CHECK(keep->id > s->ledger->highest);
		s->ledger->highest = s->ledger->id[slot] = keep->id;
	}
	message_unref(&keep);
	return e;
}

static enum err
accept_small(struct story *s)
{
	struct message *m = spool_rig_message(500, 1);
	spool_rig_rcpt(m, "u@b.example", B, 0);
	return store(s, 0, m);
}

static enum err
accept_many(struct story *s)
{
	struct message *m = spool_rig_message(8500, 2);
	spool_rig_rcpt(m, "u0@b.example", B, NOW + 1000);
	spool_rig_rcpt(m, "u1@c.example", C, NOW + 1000);
	spool_rig_rcpt(m, "u2@b.example", B, NOW + 1000);
	spool_rig_rcpt(m, "u3@c.example", C, NOW + 5000);
	return store(s, 1, m);
}

static enum err
accept_large(struct story *s)
{
	struct spool_body *b;
	struct spool_body_result result;
	enum err e = spool_rig_body(s->rig, 20000, 3, &b, &result);
	if (e == OK) {
		struct message *m = spool_rig_message(0, 3);
		content_unref(&m->content);
		m->content = result.content;
		m->size = content_size(result.content);
		m->file = result.file;
		m->crc = result.crc;
		spool_rig_rcpt(m, "u@c.example", C, 0);
		e = store(s, 2, m);
	}
	spool_body_free(&b);
	spool_rig_run(s->rig);
	return e;
}

static enum err
defer(struct story *s)
{
	return spool_rig_outcome(
	    s->rig, s->ledger->id[1], B, 2, OUTCOME_WAIT, NOW + 99000, NULL);
}

static enum err
hold(struct story *s)
{
	return spool_rig_outcome(s->rig, s->ledger->id[1], C, 3, OUTCOME_HELD, 0, NULL);
}

static enum err
move(struct story *s)
{
	return spool_rig_outcome(
	    s->rig, s->ledger->id[1], B, 0, OUTCOME_MOVED, NOW + 1000, "smtp d.example");
}

static enum err
mark(struct story *s)
{
	return spool_rig_mark(s->rig, "sweep.warn", s->ledger->id[0]);
}

static enum err
deliver_large(struct story *s)
{
	return spool_rig_outcome(
	    s->rig, s->ledger->id[2], C, 0, OUTCOME_DELIVERED, 0, NULL);
}

static enum err
bounce(struct story *s)
{
	struct report *rep = report_new(s->ledger->id[0], SPAN(B), (struct wall){NOW});
	struct outcome o = {.kind = OUTCOME_FAILED, .attempted = true};
	report_add(rep, &o);
	rep->notice[0] = spool_rig_message(700, 4);
	spool_rig_rcpt(rep->notice[0], "sender@d.example", "smtp d.example", 0);
	return spool_rig_report(s->rig, rep);
}

static enum err
finish_some(struct story *s)
{
	struct report *rep = report_new(s->ledger->id[1], SPAN(C), (struct wall){NOW});
	struct outcome o = {.index = 1, .kind = OUTCOME_DELIVERED};
	report_add(rep, &o);
	o = (struct outcome){.index = 3, .kind = OUTCOME_DELETED};
	report_add(rep, &o);
	return spool_rig_report(s->rig, rep);
}

static enum err
finish_more(struct story *s)
{
	return spool_rig_outcome(s->rig, s->ledger->id[1], B, 2, OUTCOME_FAILED, 0, NULL);
}

static enum err
finish_last(struct story *s)
{
	return spool_rig_outcome(
	    s->rig, s->ledger->id[1], "smtp d.example", 0, OUTCOME_DELIVERED, 0, NULL);
}

/* ---- into mailboxes, and out of them */

static enum err
accept_held(struct story *s)
{
	struct message *m = spool_rig_message(6000, 5);
	spool_rig_drop(m, "alice", "Return-Path: <a@b>\r\n");
	spool_rig_drop(m, "bob", "Return-Path: <b@b>\r\n");
	return store(s, 3, m);
}

static enum err
accept_mixed(struct story *s)
{
	struct message *m = spool_rig_message(3000, 6);
	spool_rig_rcpt(m, "u@b.example", B, 0);
	spool_rig_drop(m, "alice", "");
	return store(s, 4, m);
}

static enum err
finish_mixed(struct story *s)
{
	return spool_rig_outcome(
	    s->rig, s->ledger->id[4], B, 0, OUTCOME_DELIVERED, 0, NULL);
}

static enum err
accept_for_later(struct story *s)
{
	struct message *m = spool_rig_message(2000, 7);
	spool_rig_rcpt(m, "carol@local.example", "mailbox:local", 0);
	return store(s, 5, m);
}

static enum err
into_mailbox(struct story *s)
{
	const struct drop drop = {
	    SPAN("alice"), SPAN("alice@local.example"), SPAN("X: y\r\n")};
	struct report *rep =
	    report_new(s->ledger->id[5], SPAN("mailbox:local"), (struct wall){NOW});
	struct outcome o = {.kind = OUTCOME_DELIVERED, .drop = &drop, .drops = 1};
	report_add(rep, &o);
	return spool_rig_report(s->rig, rep);
}

static enum err
pick_up(struct story *s)
{
	struct mail_change *c = mail_change_new(SPAN("alice"), SPAN(MAILBOX_INBOX));
	mail_change_delete(c, 1);
	mail_change_flags(c, 2, MAIL_SEEN | MAIL_PICKED, 0);
	mail_change_delete(c, 3);
	mail_change_pickup(c);
	return spool_rig_change(s->rig, c);
}

static enum err
return_unread(struct story *s)
{
	struct mail_change *c = mail_change_new(SPAN("bob"), SPAN(MAILBOX_INBOX));
	struct message *notice = spool_rig_message(700, 8);
	spool_rig_rcpt(notice, "sender@d.example", "smtp d.example", 0);
	mail_change_delete(c, 1);
	mail_change_notice(c, notice);
	return spool_rig_change(s->rig, c);
}

static enum err
owner_goes(struct story *s)
{
	return spool_rig_owner_delete(s->rig, "alice");
}

typedef enum err op_fn(struct story *);

static op_fn *const ops[] = {accept_small, accept_many, accept_large, defer, hold, move,
    mark, deliver_large, bounce, finish_some, finish_more, finish_last, accept_held,
    accept_mixed, finish_mixed, accept_for_later, into_mailbox, pick_up, return_unread,
    owner_goes};

#define OPS COUNT_OF(ops)

/* ---- the undisturbed run */

static struct ledger *
ledger_new(void)
{
	void *p = mmap(NULL, sizeof(struct ledger), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(p != MAP_FAILED);
	return p;
}

static struct spool_rig *
rig_new(void)
{
	struct spool_rig *r = spool_rig_new(0);
	r->options.inline_max = INLINE_MAX;
	return r;
}

static void
tell_story(struct buf dump[OPS + 1])
{
	struct story s = {rig_new(), ledger_new()};
	fault_plan(FAULT_NONE, NULL, 0);
	assert_int_equal(spool_rig_open(s.rig), OK);
	spool_rig_dump(s.rig, &dump[0]);
	for (size_t i = 0; i < OPS; i++) {
		assert_int_equal(ops[i](&s), OK);
		spool_rig_clean(s.rig);
		spool_rig_dump(s.rig, &dump[i + 1]);
	}
	spool_rig_free(&s.rig);
	assert_int_equal(munmap(s.ledger, sizeof(*s.ledger)), 0);
}

static void
dumps_clear(struct buf dump[OPS + 1])
{
	for (size_t i = 0; i <= OPS; i++)
		buf_clear(&dump[i]);
}

/* ---- dying */

/* The child: plays the story and ends; or dies of the plan. Never returns. */
static void
play(struct story *s, unsigned long n)
{
	fault_plan(FAULT_DIE, NULL, n);
	if (spool_rig_open(s->rig) != OK)
		_exit(2);
	s->ledger->opened = true;
	while (s->ledger->done < OPS) {
		if (ops[s->ledger->done](s) != OK)
			_exit(3);
		s->ledger->done++;
	}
	spool_rig_close(s->rig);
	_exit(0);
}

static int
status_of_child(pid_t pid)
{
	int status;
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static unsigned
stored_files(const struct buf *dump)
{
	unsigned n = 0;
	for (size_t i = 0; i + 6 < dump->n; i++)
		n += memcmp(dump->p + i, "file=1", 6) == 0;
	return n;
}

/* The spool after a death, opened again: as the story says. */
static void
look_after(struct story *s, const struct buf dump[OPS + 1], unsigned long n)
{
	struct buf now = {0};
	unsigned done = s->ledger->done;
	if (spool_rig_open(s->rig) != OK)
		fail_msg("after dying at pass %lu: %s", n, s->rig->why);
	spool_rig_clean(s->rig);
	spool_rig_dump(s->rig, &now);
	bool before = span_eq(buf_span(&now), buf_span(&dump[done]));
	bool after = done < OPS && span_eq(buf_span(&now), buf_span(&dump[done + 1]));
	if (!before && !after)
		fail_msg(
		    "after dying at pass %lu, %u operations told:\n%.*s\nexpected:\n%.*s",
		    n, done, SPAN_ARG(buf_span(&now)), SPAN_ARG(buf_span(&dump[done])));
	assert_int_equal(spool_rig_files(s->rig), stored_files(&now));
	/* and it goes on, with an id that nobody has seen */
	struct message *m = spool_rig_message(10, 9);
	spool_rig_rcpt(m, "u@b.example", B, 0);
	assert_true(spool_rig_stored(s->rig, m) > s->ledger->highest);
	spool_rig_clean(s->rig);
	buf_clear(&now);
}

static void
test_die_everywhere(void **state)
{
	struct buf dump[OPS + 1] = {{0}};
	int status = FAULT_EXIT;
	unsigned long n = 0;
	(void)state;
	tell_story(dump);
	while (status == FAULT_EXIT) {
		struct story s = {rig_new(), ledger_new()};
		pid_t pid = fork();
		if (pid == 0)
			play(&s, n + 1);
		status = status_of_child(pid);
		assert_true(status == FAULT_EXIT || status == 0);
		fault_plan(FAULT_NONE, NULL, 0);
		look_after(&s, dump, ++n);
		spool_rig_free(&s.rig);
		assert_int_equal(munmap(s.ledger, sizeof(*s.ledger)), 0);
		assert_true(n < 5000);
	}
	assert_true(n > 100);
	print_message("died at %lu places\n", n - 1);
	dumps_clear(dump);
}

/* ---- dying while it is opened, with something to sweep */

static void
leave_files(struct spool_rig *r)
{
	char path[120];
	(void)snprintf(path, sizeof(path), "%s/big/0f", r->dir);
	(void)mkdir(path, 0700);
	for (unsigned i = 0; i < 3; i++) {
		(void)snprintf(
		    path, sizeof(path), "%s/big/0f/0f0000000000000%u", r->dir, i);
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		(void)close(fd);
	}
}

static void
test_die_while_opening(void **state)
{
	struct story s = {rig_new(), ledger_new()};
	struct buf before = {0}, after = {0};
	int status = FAULT_EXIT;
	(void)state;
	fault_plan(FAULT_NONE, NULL, 0);
	assert_int_equal(spool_rig_open(s.rig), OK);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(ops[i](&s), OK);
	spool_rig_dump(s.rig, &before);
	spool_rig_close(s.rig);
	for (unsigned long n = 1; status == FAULT_EXIT; n++) {
		leave_files(s.rig);
		pid_t pid = fork();
		if (pid == 0) {
			fault_plan(FAULT_DIE, NULL, n);
			_exit(spool_rig_open(s.rig) == OK ? 0 : 2);
		}
		status = status_of_child(pid);
		assert_true(status == FAULT_EXIT || status == 0);
		fault_plan(FAULT_NONE, NULL, 0);
		assert_int_equal(spool_rig_open(s.rig), OK);
		spool_rig_clean(s.rig);
		buf_reset(&after);
		spool_rig_dump(s.rig, &after);
		assert_true(span_eq(buf_span(&before), buf_span(&after)));
		assert_int_equal(spool_rig_files(s.rig), 1);
		spool_rig_close(s.rig);
		assert_true(n < 100);
	}
	buf_clear(&before);
	buf_clear(&after);
	spool_rig_free(&s.rig);
	assert_int_equal(munmap(s.ledger, sizeof(*s.ledger)), 0);
}

/* ---- failing */

static void
open_stubbornly(struct spool_rig *r)
{
	if (spool_rig_open(r) != OK)
		assert_int_equal(spool_rig_open(r), OK); /* a fault strikes once */
}

/* What failed has not happened; tried again it works. True: the plan was reached. */
static bool
fail_once(const struct buf dump[OPS + 1], unsigned long n)
{
	struct story s = {rig_new(), ledger_new()};
	struct buf now = {0};
	fault_plan(FAULT_FAIL, NULL, n);
	open_stubbornly(s.rig);
	for (size_t i = 0; i < OPS; i++) {
		enum err e = ops[i](&s);
		if (e == OK)
			continue;
		assert_true(e == ERR_DISK_FULL || e == ERR_IO);
		if (s.rig->failures > 0)
			spool_rig_reopen(s.rig);
		buf_reset(&now);
		spool_rig_clean(s.rig);
		spool_rig_dump(s.rig, &now);
		assert_true(span_eq(buf_span(&now), buf_span(&dump[i])));
		assert_int_equal(ops[i](&s), OK);
	}
	bool reached = fault_passes() >= n;
	fault_plan(FAULT_NONE, NULL, 0);
	buf_reset(&now);
	spool_rig_clean(s.rig);
	spool_rig_dump(s.rig, &now);
	assert_true(span_eq(buf_span(&now), buf_span(&dump[OPS])));
	assert_int_equal(spool_rig_files(s.rig), stored_files(&now));
	buf_clear(&now);
	spool_rig_free(&s.rig);
	assert_int_equal(munmap(s.ledger, sizeof(*s.ledger)), 0);
	return reached;
}

static void
test_fail_everywhere(void **state)
{
	struct buf dump[OPS + 1] = {{0}};
	unsigned long n = 1;
	(void)state;
	tell_story(dump);
	while (fail_once(dump, n)) {
		n++;
		assert_true(n < 5000);
	}
	assert_true(n > 100);
	dumps_clear(dump);
}

#endif

static void
test_nothing(void **state)
{
	(void)state; /* the release variant has no faults */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nothing),
#ifdef RELAY_FAULTS
	    cmocka_unit_test(test_die_everywhere),
	    cmocka_unit_test(test_die_while_opening),
	    cmocka_unit_test(test_fail_everywhere),
#endif
	};
	/* a process that dies takes nothing along that the kernel has: no flush is needed
	 * here */
	(void)setenv("RELAY_TEST_NOSYNC", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
