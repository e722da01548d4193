/* SPDX-License-Identifier: ISC */
/* Names of mailboxes that an older relayd kept as they were typed get one spelling when
 * the spool is opened: once, all of them or none.  Here it is that without tildes. */
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

#include "base/fault.h"
#include "base/mem.h"
#include "spool/private.h"
#include "tests/lib/spool_rig.h"

#define ALICE SPAN("alice")

static void
without_tildes(struct span name, struct buf *out)
{
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] != '~')
			buf_add_char(out, name.p[i]);
	}
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

static void
order(struct spool_rig *r, struct mailbox_request q)
{
	struct asked a = {0};
	q.owner = ALICE;
	(void)spool_mailbox_start(r->spool, &q, loop_inbox(r->loop), on_done, &a);
	spool_rig_wait(r, &a.done);
	assert_int_equal(a.err, OK);
}

static void
act(struct spool_rig *r, enum mailbox_act what, const char *name)
{
	order(r, (struct mailbox_request){.act = what, .name = span_str(name)});
}

/* As a relayd before this one left it: a~b, with a mail, an annotation and a
 * subscription, one below it, one that is there in both spellings, one that is only
 * subscribed to. */
static void
make_old(struct spool_rig *r)
{
	static const char *const names[] = {
	    "a~b", "a~b/c~d", "plain", "x~y", "x~~y", "xy"};
	assert_int_equal(spool_rig_open(r), OK);
	struct message *m = spool_rig_message(100, 1);
	spool_rig_drop(m, "alice", "Return-Path: <s@d>\r\n");
	assert_int_equal(spool_rig_accept(r, m), OK);
	for (size_t i = 0; i < COUNT_OF(names); i++)
		act(r, MAILBOX_CREATE, names[i]);
	act(r, MAILBOX_SUBSCRIBE, "a~b");
	act(r, MAILBOX_SUBSCRIBE, "s~t");
	order(r, (struct mailbox_request){.act = MAILBOX_NOTE,
		     .name = SPAN("a~b"),
		     .entry = SPAN("/private/comment"),
		     .value = SPAN("kept")});
	struct mail_change *c = mail_change_new(ALICE, SPAN(MAILBOX_INBOX));
	mail_change_target(c, ALICE, SPAN("a~b"));
	mail_change_copy(c, 1, false);
	assert_int_equal(spool_rig_change(r, c), OK);
	spool_rig_close(r);
	r->options.spell = without_tildes;
}

/* The names as a text: "name+" is subscribed to, "name-" only that. */
static void
assert_names(struct spool_rig *r, const char *want)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	struct mailbox_name name[16];
	struct buf text;
	size_t n;
	buf_init(&text, 0);
	assert_int_equal(spool_read_names(reader, ALICE, SPAN(""), name, 16, &n), OK);
	for (size_t i = 0; i < n; i++)
		buf_addf(&text, "%s%s%s", i > 0 ? ", " : "", name[i].name,
		    name[i].number == 0  ? "-"
		    : name[i].subscribed ? "+"
					 : "");
	char *got = buf_take(&text);
	assert_string_equal(got, want);
	mem_free(&got);
	spool_reader_free(&reader);
}

static void
assert_spelled(struct spool_rig *r)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	struct mailbox_view v;
	struct buf value;
	buf_init(&value, 0);
	spool_rig_clean(r);
	assert_names(r, "INBOX, ab+, ab/cd, plain, st-, xy, xy 2, xy 3");
	assert_int_equal(spool_read_mailbox(reader, ALICE, SPAN("ab"), &v), OK);
	assert_int_equal(v.messages, 1);
	assert_int_equal(
	    spool_read_note(reader, ALICE, SPAN("ab"), SPAN("/private/comment"), &value),
	    OK);
	assert_true(span_eq(buf_span(&value), SPAN("kept")));
	buf_clear(&value);
	spool_reader_free(&reader);
}

static bool
is_logged(struct spool_rig *r, const char *text)
{
	return memmem(r->lines.p, r->lines.n, text, strlen(text)) != NULL;
}

static void
test_spelled_once(void **state)
{
	struct spool_rig *r = spool_rig_new(0);
	(void)state;
	make_old(r);
	r->options.read_only = true;
	assert_int_equal(spool_rig_open(r), OK);
	assert_names(r, "INBOX, a~b+, a~b/c~d, plain, s~t-, xy, x~y, x~~y");
	spool_rig_close(r);
	r->options.read_only = false;
	assert_int_equal(spool_rig_open(r), OK);
	assert_true(is_logged(r, " spool-names "));
	assert_true(is_logged(r, " names=5"));
	assert_spelled(r);
	/* what comes later is spelled by whoever asks for it */
	act(r, MAILBOX_CREATE, "n~m");
	buf_reset(&r->lines);
	spool_rig_reopen(r);
	assert_names(r, "INBOX, ab+, ab/cd, n~m, plain, st-, xy, xy 2, xy 3");
	assert_false(is_logged(r, " spool-names "));
	spool_rig_free(&r);
}

/* Long names, for which there is no number, stay; the others do not mind. */
static void
test_no_room(void **state)
{
	struct spool_rig *r = spool_rig_new(0);
	char with[MAILBOX_NAME_MAX + 1], without[MAILBOX_NAME_MAX + 1];
	struct spool_reader *reader;
	struct mailbox_view v;
	(void)state;
	memset(with, 'l', sizeof(with) - 1);
	with[MAILBOX_NAME_MAX] = '\0';
	with[0] = '~';
	memcpy(without, with + 1, sizeof(without) - 1);
	make_old(r);
	r->options.spell = NULL;
	assert_int_equal(spool_rig_open(r), OK);
	act(r, MAILBOX_CREATE, with);
	act(r, MAILBOX_CREATE, without);
	spool_rig_close(r);
	r->options.spell = without_tildes;
	assert_int_equal(spool_rig_open(r), OK);
	spool_rig_clean(r);
	reader = spool_reader_new(r->spool);
	assert_int_equal(spool_read_mailbox(reader, ALICE, span_str(with), &v), OK);
	assert_int_equal(spool_read_mailbox(reader, ALICE, SPAN("xy 3"), &v), OK);
	spool_reader_free(&reader);
	spool_rig_free(&r);
}

#ifdef RELAY_FAULTS

/* It dies or fails on the way: all names are as they were, and the next time does it. */
static void
test_all_or_none(void **state)
{
	struct spool_rig *r = spool_rig_new(0);
	(void)state;
	make_old(r);
	for (unsigned long n = 1; n <= 5; n++) {
		int status = 0;
		pid_t pid = fork();
		if (pid == 0) {
			fault_plan(FAULT_DIE, "spool.spelling", n);
			_exit(spool_rig_open(r) == OK ? 0 : 2);
		}
		assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
		assert_int_equal(WEXITSTATUS(status), FAULT_EXIT);
		fault_plan(FAULT_FAIL, "spool.spelling", n);
		assert_int_not_equal(spool_rig_open(r), OK);
		fault_plan(FAULT_NONE, NULL, 0);
		r->options.read_only = true;
		assert_int_equal(spool_rig_open(r), OK);
		assert_names(r, "INBOX, a~b+, a~b/c~d, plain, s~t-, xy, x~y, x~~y");
		spool_rig_close(r);
		r->options.read_only = false;
	}
	assert_int_equal(spool_rig_open(r), OK);
	assert_spelled(r);
	spool_rig_free(&r);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_spelled_once),
	    cmocka_unit_test(test_no_room),
#ifdef RELAY_FAULTS
	    cmocka_unit_test(test_all_or_none),
#endif
	};
	(void)setenv("RELAY_TEST_NOSYNC", "1", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
