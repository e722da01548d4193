/* SPDX-License-Identifier: ISC */
/*
 * History: what the writer notes is read again in order, in slices of any size;
 * damage costs the events in it alone; days end, and go when they are old or
 * too large together; what cannot be written holds no mail up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "spool/private.h"
#include "tests/lib/spool_rig.h"

#define B "smtp b.example"
#define TODAY "2026-11-23"
#define SLICE 4096

static struct spool_rig *
open_rig(unsigned days, uint64_t max)
{
	struct spool_rig *r = spool_rig_new(0);
	r->options.history_days = days;
	r->options.history_max = max;
	if (spool_rig_open(r) != OK)
		fail_msg("%s", r->why);
	return r;
}

static uint64_t
stored(struct spool_rig *r, unsigned seed)
{
	struct message *m = spool_rig_message(100, seed);
	m->sender = message_keep(m, SPAN("a@me.test"));
	m->message_id = message_keep(m, SPAN("<one@me.test>"));
	spool_rig_rcpt(m, "u@b.example", B, 0);
	return spool_rig_stored(r, m);
}

static void
path_of(const struct spool_rig *r, const char *day, char out[256])
{
	(void)snprintf(out, 256, "%s/history/%s", r->dir, day);
}

static off_t
size_of(const struct spool_rig *r, const char *day)
{
	char path[256];
	struct stat st;
	path_of(r, day, path);
	return stat(path, &st) == 0 ? st.st_size : -1;
}

/* ---- events as text */

struct heard {
	struct buf text;
	size_t n, stop_after; /* 0: never */
};

static bool
on_event(void *arg, const struct history_event *e)
{
	struct heard *h = arg;
	buf_addf(&h->text, "%s %.*s>%.*s %u %.*s\n", history_kind_name(e->kind),
	    SPAN_ARG(e->sender), SPAN_ARG(e->recipient), e->attempts, SPAN_ARG(e->reply));
	return ++h->n != h->stop_after;
}

static char *
all(struct spool_rig *r, size_t octets, size_t stop_after, struct wall since)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	struct history_cursor at = {.since = since};
	struct heard h = {.stop_after = stop_after};
	for (size_t i = 0; !at.done; i++) {
		assert_true(i < 100000);
		assert_int_equal(
		    spool_read_history(reader, &at, octets, on_event, &h), OK);
		if (stop_after != 0)
			h.n = 0;
	}
	spool_reader_free(&reader);
	return buf_take(&h.text);
}

static void
tells(struct spool_rig *r, const char *want)
{
	static const size_t octets[] = {1, 100, SLICE, 4u << 20};
	for (size_t i = 0; i < COUNT_OF(octets); i++) {
		for (size_t stop = 0; stop < 2; stop++) {
			char *got = all(r, octets[i], stop, (struct wall){0});
			assert_string_equal(got, want);
			mem_free(&got);
		}
	}
}

/* ---- tests */

static void
test_life(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig(3, 0);
	tells(r, "");
	uint64_t id = stored(r, 1);
	struct report *rep = report_new(id, SPAN(B), (struct wall){RIG_WALL_MS + 5});
	struct outcome o = {.kind = OUTCOME_WAIT,
	    .attempted = true,
	    .due = {RIG_WALL_MS + 1000},
	    .reply = SPAN("451 later"),
	    .host = SPAN("mx")};
	report_add(rep, &o);
	assert_int_equal(spool_rig_report(r, rep), OK);
	rep = report_new(id, SPAN(B), (struct wall){RIG_WALL_MS + 6});
	o.attempted = false; /* another time, and no attempt: nobody's question */
	report_add(rep, &o);
	assert_int_equal(spool_rig_report(r, rep), OK);
	rep = report_new(id, SPAN(B), (struct wall){RIG_WALL_MS + 7});
	o.kind = OUTCOME_DELIVERED;
	o.attempted = true;
	o.reply = SPAN("250 taken");
	report_add(rep, &o);
	assert_int_equal(spool_rig_report(r, rep), OK);
	static const char want[] = "accepted a@me.test>u@b.example 0 \n"
				   "deferred a@me.test>u@b.example 1 451 later\n"
				   "delivered a@me.test>u@b.example 2 250 taken\n";
	tells(r, want);
	spool_rig_reopen(r);
	tells(r, want);
	char *late = all(r, SLICE, 0, (struct wall){RIG_WALL_MS + 6});
	assert_string_equal(late, "delivered a@me.test>u@b.example 2 250 taken\n");
	mem_free(&late);
	assert_int_equal(history_begin(id).ms, spool_id_time(id).ms - DAY_MS);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

/* What was refused has not happened. */
static void
test_refused(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig(3, 0);
	uint64_t id = stored(r, 1);
	assert_int_equal(spool_rig_outcome(r, id + 1, B, 0, OUTCOME_DELIVERED, 0, NULL),
	    ERR_NOT_FOUND);
	assert_int_equal(
	    spool_rig_outcome(r, id, B, 9, OUTCOME_DELIVERED, 0, NULL), ERR_NOT_FOUND);
	tells(r, "accepted a@me.test>u@b.example 0 \n");
	spool_rig_free(&r);
}

/* At every offset an octet is wrong once: what is read else is what was written. */
static void
test_damage(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig(3, 0);
	char path[256];
	for (unsigned i = 0; i < 3; i++)
		(void)stored(r, i);
	path_of(r, TODAY, path);
	off_t size = size_of(r, TODAY);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0 && size > 0 && size % 3 == 0);
	for (off_t at = 0; at < size; at++) {
		unsigned char was, is;
		assert_int_equal(pread(fd, &was, 1, at), 1);
		is = was ^ 0x5a;
		assert_int_equal(pwrite(fd, &is, 1, at), 1);
		char *got = all(r, SLICE, 0, (struct wall){0});
		assert_string_equal(got, "accepted a@me.test>u@b.example 0 \n"
					 "accepted a@me.test>u@b.example 0 \n");
		mem_free(&got);
		assert_int_equal(pwrite(fd, &was, 1, at), 1);
	}
	/* cut off at the end, as a crash leaves it, and gone on with behind it */
	for (off_t cut = 1; cut < size / 3; cut += 7) {
		assert_int_equal(ftruncate(fd, size - cut), 0);
		char *got = all(r, SLICE, 0, (struct wall){0});
		assert_string_equal(got, "accepted a@me.test>u@b.example 0 \n"
					 "accepted a@me.test>u@b.example 0 \n");
		mem_free(&got);
	}
	(void)stored(r, 4);
	tells(r, "accepted a@me.test>u@b.example 0 \n"
		 "accepted a@me.test>u@b.example 0 \n"
		 "accepted a@me.test>u@b.example 0 \n");
	assert_int_equal(close(fd), 0);
	spool_rig_free(&r);
}

static void
tomorrow(struct spool_rig *r)
{
	atomic_fetch_add(&r->wall_ms, DAY_MS);
	atomic_fetch_add(&r->mono_ms, DAY_MS);
}

static void
test_days(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig(2, 0);
	(void)stored(r, 1);
	tomorrow(r);
	(void)stored(r, 2);
	assert_true(size_of(r, TODAY) > 0 && size_of(r, "2026-11-24") > 0);
	tells(r, "accepted a@me.test>u@b.example 0 \n"
		 "accepted a@me.test>u@b.example 0 \n");
	tomorrow(r);
	(void)stored(r, 3);
	assert_int_equal(size_of(r, TODAY), -1);
	assert_true(size_of(r, "2026-11-24") > 0 && size_of(r, "2026-11-25") > 0);
	/* what has another name is not ours */
	char path[256];
	path_of(r, "2026-11-2x", path);
	assert_int_equal(mkdir(path, 0700), 0);
	tomorrow(r);
	tomorrow(r);
	spool_rig_reopen(r);
	assert_int_equal(size_of(r, "2026-11-25"), -1);
	assert_true(size_of(r, "2026-11-2x") >= 0);
	assert_int_equal(rmdir(path), 0);
	tells(r, "");
	spool_rig_free(&r);
}

/* All of them within max-size: the oldest goes first, and today is not written over it.
 */
static void
test_max_size(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig(10, 700);
	(void)stored(r, 1);
	off_t one = size_of(r, TODAY);
	assert_true(one > 100 && one < 350);
	(void)stored(r, 2);
	tomorrow(r);
	(void)stored(r, 3);
	(void)stored(r, 4);
	(void)stored(r, 5);
	(void)stored(r, 6);
	(void)stored(r, 7);
	(void)stored(r, 8);
	assert_int_equal(size_of(r, TODAY), -1);
	assert_true(size_of(r, "2026-11-24") <= 700);
	assert_true(size_of(r, "2026-11-24") >= 700 - one);
	assert_non_null(strstr(r->lines.p, "history is full"));
	spool_rig_clean(r);
	spool_rig_free(&r);
}

static void
test_cannot(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig(3, 0);
	fault_plan(FAULT_FAIL, "spool.history.open", 1);
	(void)stored(r, 1);
	fault_plan(FAULT_NONE, NULL, 0);
	(void)stored(r, 2);
	fault_plan(FAULT_FAIL, "spool.history.write", 1);
	(void)stored(r, 3);
	fault_plan(FAULT_NONE, NULL, 0);
	(void)stored(r, 4);
#ifdef RELAY_FAULTS
	tells(r, "accepted a@me.test>u@b.example 0 \n"
		 "accepted a@me.test>u@b.example 0 \n");
	assert_non_null(strstr(r->lines.p, "a file of the history cannot be opened"));
#endif
	spool_rig_clean(r);
	spool_rig_free(&r);
}

static void
test_none(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig(0, 0);
	(void)stored(r, 1);
	assert_int_equal(size_of(r, ""), -1);
	tells(r, "");
	spool_rig_free(&r);
}

/* More recipients than are noted: their ends would be. */
static void
test_many(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig(3, 0);
	struct message *m = spool_rig_message(10, 1);
	for (size_t i = 0; i < HISTORY_RCPT_MAX + 10; i++)
		spool_rig_rcpt(m, "u@b.example", B, 0);
	(void)spool_rig_stored(r, m);
	char *got = all(r, SLICE, 0, (struct wall){0});
	size_t lines = 0;
	for (const char *p = got; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_int_equal(lines, HISTORY_RCPT_MAX);
	mem_free(&got);
	spool_rig_free(&r);
}

static void
test_record(void **state)
{
	(void)state;
	char long_text[HISTORY_TEXT_MAX + 100];
	memset(long_text, 'x', sizeof(long_text));
	struct history_event e = {.kind = HISTORY_FAILED,
	    .when = {-5},
	    .id = UINT64_MAX,
	    .about = 7,
	    .size = UINT64_MAX,
	    .attempts = UINT32_MAX,
	    .due = {INT64_MAX},
	    .sender = {long_text, sizeof(long_text)},
	    .recipient = {long_text, sizeof(long_text)},
	    .owner = {long_text, sizeof(long_text)},
	    .client = {long_text, sizeof(long_text)},
	    .account = {long_text, sizeof(long_text)},
	    .message_id = {long_text, sizeof(long_text)},
	    .dest = {long_text, sizeof(long_text)},
	    .host = {long_text, sizeof(long_text)},
	    .reply = {long_text, sizeof(long_text)}};
	struct history_event got;
	struct buf b;
	buf_init(&b, 0);
	record_put_history(&b, &e);
	assert_true(b.n <= RECORD_HISTORY_MAX);
	assert_int_equal(record_get_history(buf_span(&b), &got), OK);
	assert_true(got.kind == e.kind && got.when.ms == -5 && got.id == UINT64_MAX);
	assert_true(got.about == 7 && got.size == UINT64_MAX && got.due.ms == INT64_MAX);
	assert_int_equal(got.reply.n, HISTORY_TEXT_MAX);
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(
		    record_get_history(span_cut(buf_span(&b), 0, n), &got), ERR_DAMAGED);
	buf_clear(&b);
	assert_string_equal(history_kind_name(HISTORY_KIND_END), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_life),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_days),
	    cmocka_unit_test(test_max_size),
	    cmocka_unit_test(test_cannot),
	    cmocka_unit_test(test_none),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_record),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
