/* SPDX-License-Identifier: ISC */
/*
 * The spool on a real disk, on one loop: what goes in comes out, what a report
 * says becomes true, and after each step the invariants hold.  Damage is
 * planted by hand, to see that spool_check() and the readers find it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "spool/private.h"
#include "tests/lib/spool_rig.h"

#define B "smtp b.example"
#define C "smtp c.example"
#define NOW RIG_WALL_MS

static struct spool_rig *
open_rig(void)
{
	struct spool_rig *r = spool_rig_new(0);
	if (spool_rig_open(r) != OK)
		fail_msg("%s", r->why);
	return r;
}

static struct message *
one(unsigned seed)
{
	struct message *m = spool_rig_message(100 + seed, seed);
	spool_rig_rcpt(m, "u@b.example", B, 0);
	return m;
}

/* Three at B, one at C; the last of B is held. */
static struct message *
four(unsigned seed)
{
	struct message *m = spool_rig_message(10000, seed);
	spool_rig_rcpt(m, "u0@b.example", B, NOW + 1000);
	spool_rig_rcpt(m, "u1@c.example", C, NOW + 1000);
	spool_rig_rcpt(m, "u2@b.example", B, NOW + 1000);
	spool_rig_rcpt(m, "u3@b.example", B, NOW + 1000);
	m->rcpt[3].state = RECIPIENT_HELD;
	return m;
}

static struct message *
read_back(struct spool_rig *r, uint64_t id, bool content)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	struct message *m = NULL;
	enum err e = spool_read_message(reader, id, content, &m);
	assert_true((e == OK) == (m != NULL));
	assert_true(e == OK || e == ERR_NOT_FOUND);
	spool_reader_free(&reader);
	return m;
}

static enum err
read_error(struct spool_rig *r, uint64_t id, bool content)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	struct message *m = NULL;
	enum err e = spool_read_message(reader, id, content, &m);
	message_unref(&m);
	spool_reader_free(&reader);
	return e;
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

/* Rows of the schedule that are ready at a destination, as "id due id due ...". */
static size_t
due_rows(struct spool_rig *r, const char *dest, struct due_row after, int64_t until,
    struct due_row *out, size_t max)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	size_t n;
	assert_int_equal(spool_read_due(reader, span_str(dest), after,
			     (struct wall){until}, out, max, &n),
	    OK);
	spool_reader_free(&reader);
	return n;
}

static size_t
count_due(struct spool_rig *r, const char *dest)
{
	struct due_row row[100];
	return due_rows(r, dest, (struct due_row){0}, INT64_MAX, row, 100);
}

static const struct recipient *
rcpt_of(const struct message *m, uint16_t index)
{
	for (size_t i = 0; i < m->rcpts; i++)
		if (m->rcpt[i].index == index)
			return &m->rcpt[i];
	return NULL;
}

static void
assert_gone(struct spool_rig *r)
{
	struct spool_stat st = stat_of(r);
	assert_int_equal(st.messages, 0);
	assert_int_equal(st.recipients, 0);
	assert_int_equal(st.waiting_rows, 0);
	assert_int_equal(st.bytes, 0);
	spool_rig_clean(r);
}

/* ---- accepting and reading */

static void
test_accept_and_read(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	struct message *m = four(1), *given = message_ref(m);
	uint64_t id = spool_rig_stored(r, m);
	char text[SPOOL_ID_LEN + 1];
	spool_id_format(id, text);
	assert_int_equal(r->tolds, 1);
	assert_ptr_equal(r->told[0], given);
	assert_memory_equal(given->prefix.p + 18, text, SPOOL_ID_LEN);
	assert_int_equal(spool_id_time(id).ms, NOW);
	spool_rig_clean(r);
	spool_rig_reopen(r);
	spool_rig_clean(r);

	struct message *back = read_back(r, id, true);
	assert_non_null(back);
	assert_int_equal(back->id, id);
	assert_int_equal(back->flags, given->flags);
	assert_int_equal(back->arrival.ms, given->arrival.ms);
	assert_true(span_eq(back->sender, given->sender));
	assert_true(span_eq(back->prefix, given->prefix));
	assert_true(span_eq(back->account, given->account));
	assert_true(spool_rig_content_is(back, 10000, 1));
	assert_int_equal(back->rcpts, 4);
	for (uint16_t i = 0; i < 4; i++) {
		const struct recipient *a = rcpt_of(back, i), *b = &given->rcpt[i];
		assert_non_null(a);
		assert_true(span_eq(a->address, b->address));
		assert_true(span_eq(a->orcpt, b->orcpt));
		assert_true(span_eq(a->dest, b->dest));
		assert_int_equal(a->state, b->state);
		assert_int_equal(a->notify, b->notify);
		assert_int_equal(a->due.ms, NOW + 1000);
		assert_int_equal(a->attempts, 0);
	}
	message_unref(&back);
	back = read_back(r, id, false);
	assert_null(back->content);
	message_unref(&back);
	assert_null(read_back(r, id + 1, true));
	assert_null(read_back(r, 0, false));
	message_unref(&given);
	spool_rig_free(&r);
}

static void
test_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 4079, 4080, 4081, 8160, 100000, 262144};
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t id[COUNT_OF(sizes)];
	for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
		struct message *m = spool_rig_message(sizes[i], i);
		spool_rig_rcpt(m, "u@b.example", B, 0);
		id[i] = spool_rig_stored(r, m);
	}
	spool_rig_clean(r);
	for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
		struct message *m = read_back(r, id[i], true);
		assert_true(spool_rig_content_is(m, sizes[i], i));
		message_unref(&m);
		assert_int_equal(
		    spool_rig_outcome(r, id[i], B, 0, OUTCOME_DELIVERED, 0, NULL), OK);
		assert_null(read_back(r, id[i], true));
	}
	assert_gone(r);
	spool_rig_free(&r);
}

static void
test_list(void **state)
{
	enum { N = 1203 };
	(void)state;
	struct spool_rig *r = open_rig();
	for (unsigned i = 0; i < N; i++) {
		struct message *m = one(i);
		(void)spool_accept_start(r->spool, m, loop_inbox(r->loop), NULL, NULL);
		message_unref(&m);
	}
	spool_rig_run(r);
	assert_int_equal(r->tolds, N);
	assert_int_equal(stat_of(r).commits, 1);
	struct spool_reader *reader = spool_reader_new(r->spool);
	struct message *m[N + 1];
	uint64_t after = 0;
	size_t n, sum = 0;
	do {
		assert_int_equal(spool_read_messages(reader, after, m, 200, &n), OK);
		for (size_t i = 0; i < n; i++) {
			assert_true(m[i]->id > after);
			after = m[i]->id;
			assert_int_equal(m[i]->size, 100 + sum + i);
			message_unref(&m[i]);
		}
		sum += n;
	} while (n == 200);
	assert_int_equal(sum, N);
	assert_int_equal(
	    spool_read_messages(reader, 0, m, N + 1, &n), OK); /* several snapshots */
	assert_int_equal(n, N);
	for (size_t i = 0; i < n; i++)
		message_unref(&m[i]);
	assert_int_equal(spool_read_messages(reader, UINT64_MAX, m, 10, &n), OK);
	assert_int_equal(n, 0);
	spool_reader_free(&reader);
	spool_rig_free(&r);
}

static void
test_due_order(void **state)
{
	static const int64_t due[] = {5000, 3000, 9000, 3000, 1000};
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t id[5];
	for (unsigned i = 0; i < 5; i++) {
		struct message *m = spool_rig_message(10, i);
		spool_rig_rcpt(m, "u@b.example", B, NOW + due[i]);
		id[i] = spool_rig_stored(r, m);
	}
	const unsigned order[] = {4, 1, 3, 0, 2};
	struct due_row row[10], from = {0};
	assert_int_equal(due_rows(r, B, from, INT64_MAX, row, 10), 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(row[i].id, id[order[i]]);
		assert_int_equal(row[i].due.ms, NOW + due[order[i]]);
	}
	assert_int_equal(due_rows(r, B, from, NOW + 3000, row, 10), 3);
	assert_int_equal(due_rows(r, B, from, NOW + 999, row, 10), 0);
	for (unsigned i = 0; i < 5; i++) { /* one by one, strictly behind the cursor */
		assert_int_equal(due_rows(r, B, from, INT64_MAX, row, 1), 1);
		assert_int_equal(row[0].id, id[order[i]]);
		from = row[0];
	}
	assert_int_equal(due_rows(r, B, from, INT64_MAX, row, 10), 0);
	assert_int_equal(count_due(r, C), 0);
	assert_int_equal(count_due(r, ""), 0);
	spool_rig_free(&r);
}

static void
test_destinations(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t held = spool_rig_stored(r, one(0));
	assert_int_equal(spool_rig_outcome(r, held, B, 0, OUTCOME_HELD, 0, NULL), OK);
	for (unsigned i = 0; i < 40; i++) {
		char dest[40];
		(void)snprintf(dest, sizeof(dest), "smtp d%u.example", i);
		for (unsigned k = 0; k < 3; k++) {
			struct message *m = spool_rig_message(1, i);
			spool_rig_rcpt(m, "u@d.example", dest, NOW + 1000 * (3 - k) + i);
			(void)spool_rig_stored(r, m);
		}
	}
	struct spool_reader *reader = spool_reader_new(r->spool);
	struct dest_row row;
	uint32_t cursor = 0;
	unsigned n = 0;
	size_t got;
	while (spool_read_dests(reader, &cursor, &row, 1, &got) == OK && got == 1) {
		char dest[40];
		(void)snprintf(dest, sizeof(dest), "smtp d%u.example", n);
		assert_string_equal(row.key, dest);
		assert_int_equal(row.head.ms, NOW + 1000 + n);
		n++;
	}
	assert_int_equal(n, 40); /* not B: nothing waits there */
	spool_reader_free(&reader);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

static void
test_refused(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	char longest[400];
	memset(longest, 'd', sizeof(longest));
	longest[DEST_KEY_MAX + 1] = '\0';
	struct message *m = spool_rig_message(1, 1);
	spool_rig_rcpt(m, "u@b.example", longest, 0);
	assert_int_equal(spool_rig_accept(r, m), ERR_RANGE);
	m = spool_rig_message(1, 1);
	spool_rig_rcpt(m, "u@b.example", "", 0);
	assert_int_equal(spool_rig_accept(r, m), ERR_RANGE);
	assert_int_equal(spool_rig_accept(r, spool_rig_message(1, 1)), ERR_RANGE);
	m = spool_rig_message(1, 1);
	spool_rig_rcpt(m, "u@b.example", B, 0);
	content_unref(&m->content);
	m->content = content_from_file(open("/dev/null", O_RDONLY | O_CLOEXEC), 1);
	m->file = 12345; /* of which nobody knows */
	assert_int_equal(spool_rig_accept(r, m), ERR_NOT_FOUND);
	assert_gone(r);
	longest[DEST_KEY_MAX] = '\0';
	m = spool_rig_message(1, 1);
	spool_rig_rcpt(m, "u@b.example", longest, INT64_MAX);
	uint64_t id = spool_rig_stored(r, m);
	assert_int_equal(count_due(r, longest), 1);
	assert_int_equal(
	    spool_rig_outcome(r, id, longest, 0, OUTCOME_MOVED, 5, ""), ERR_RANGE);
	assert_int_equal(r->failures, 0);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

/* ---- reports */

static void
test_wait(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t id = spool_rig_stored(r, four(1));
	assert_int_equal(count_due(r, B),
	    1); /* two recipients share a row, the held one has another */
	assert_int_equal(stat_of(r).waiting_rows, 3);
	atomic_fetch_add(&r->wall_ms, 60000);
	assert_int_equal(
	    spool_rig_outcome(r, id, B, 2, OUTCOME_WAIT, NOW + 99000, NULL), OK);
	spool_rig_clean(r);
	struct due_row row[4];
	assert_int_equal(due_rows(r, B, (struct due_row){0}, INT64_MAX, row, 4), 2);
	assert_int_equal(row[0].due.ms, NOW + 1000);
	assert_int_equal(row[1].due.ms, NOW + 99000);
	struct message *m = read_back(r, id, false);
	const struct recipient *two = rcpt_of(m, 2);
	assert_int_equal(two->attempts, 1);
	assert_int_equal(two->first_try.ms, NOW + 60000);
	assert_int_equal(two->last_try.ms, NOW + 60000);
	assert_true(span_eq(two->reply, SPAN("451 4.3.0 later")));
	assert_true(span_eq(two->host, SPAN("mx.b.example [192.0.2.2]:25")));
	assert_int_equal(rcpt_of(m, 0)->attempts, 0);
	message_unref(&m);
	atomic_fetch_add(&r->wall_ms, 60000);
	assert_int_equal(
	    spool_rig_outcome(r, id, B, 2, OUTCOME_WAIT, NOW + 1000, NULL), OK);
	assert_int_equal(count_due(r, B), 1); /* shared again */
	m = read_back(r, id, false);
	assert_int_equal(rcpt_of(m, 2)->attempts, 2);
	assert_int_equal(rcpt_of(m, 2)->first_try.ms, NOW + 60000);
	assert_int_equal(rcpt_of(m, 2)->last_try.ms, NOW + 120000);
	message_unref(&m);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

static void
test_not_attempted(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t id = spool_rig_stored(r, one(1));
	struct report *rep = report_new(id, SPAN(B), (struct wall){NOW});
	struct outcome o = {.kind = OUTCOME_WAIT,
	    .due = {NOW + 5},
	    .reply = SPAN("x"),
	    .host = SPAN("y")};
	report_add(rep, &o);
	assert_int_equal(spool_rig_report(r, rep), OK);
	struct message *m = read_back(r, id, false);
	assert_int_equal(m->rcpt[0].attempts, 0);
	assert_int_equal(m->rcpt[0].reply.n, 0);
	assert_int_equal(m->rcpt[0].due.ms, NOW + 5);
	message_unref(&m);
	spool_rig_free(&r);
}

static void
test_hold_and_release(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t id = spool_rig_stored(r, one(1));
	assert_int_equal(spool_rig_outcome(r, id, B, 0, OUTCOME_HELD, 0, NULL), OK);
	assert_int_equal(count_due(r, B), 0);
	spool_rig_clean(r);
	assert_int_equal(spool_rig_outcome(r, id, B, 0, OUTCOME_ASIDE, 0, NULL), OK);
	assert_int_equal(count_due(r, B), 0);
	spool_rig_clean(r);
	struct message *m = read_back(r, id, true);
	assert_int_equal(m->rcpt[0].state, RECIPIENT_ASIDE);
	message_unref(&m);
	assert_int_equal(spool_rig_outcome(r, id, B, 0, OUTCOME_WAIT, NOW + 7, NULL), OK);
	assert_int_equal(count_due(r, B), 1);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

static void
test_move(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t id = spool_rig_stored(r, four(1));
	assert_int_equal(
	    spool_rig_outcome(r, id, B, 0, OUTCOME_MOVED, NOW + 1000, C), OK);
	assert_int_equal(count_due(r, C), 1); /* joins its fellow's row */
	assert_int_equal(count_due(r, B), 1);
	spool_rig_clean(r);
	assert_int_equal(spool_rig_outcome(r, id, B, 3, OUTCOME_MOVED, NOW + 2000, C),
	    OK); /* held before */
	assert_int_equal(count_due(r, C), 2);
	spool_rig_clean(r);
	/* to where it is: only the time changes */
	assert_int_equal(
	    spool_rig_outcome(r, id, B, 2, OUTCOME_MOVED, NOW + 3000, B), OK);
	struct due_row row[4];
	assert_int_equal(due_rows(r, B, (struct due_row){0}, INT64_MAX, row, 4), 1);
	assert_int_equal(row[0].due.ms, NOW + 3000);
	spool_rig_clean(r);
	struct message *m = read_back(r, id, true);
	assert_int_equal(m->rcpts, 4);
	assert_true(span_eq(rcpt_of(m, 0)->dest, SPAN(C)));
	assert_true(span_eq(rcpt_of(m, 3)->dest, SPAN(C)));
	assert_true(span_eq(rcpt_of(m, 2)->dest, SPAN(B)));
	assert_int_equal(rcpt_of(m, 3)->state, RECIPIENT_WAITING);
	message_unref(&m);
	/* the old destination knows them no more */
	assert_int_equal(
	    spool_rig_outcome(r, id, B, 0, OUTCOME_DELIVERED, 0, NULL), ERR_NOT_FOUND);
	assert_int_equal(
	    spool_rig_outcome(r, id, B, 2, OUTCOME_MOVED, NOW, "smtp new.example"), OK);
	assert_int_equal(count_due(r, B), 0);
	assert_int_equal(count_due(r, "smtp new.example"), 1);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

static void
test_last_recipient(void **state)
{
	static const enum outcome_kind kinds[] = {
	    OUTCOME_DELIVERED, OUTCOME_FAILED, OUTCOME_DELETED};
	(void)state;
	struct spool_rig *r = open_rig();
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		uint64_t id = spool_rig_stored(r, four(1));
		assert_int_equal(spool_rig_outcome(r, id, C, 1, kinds[i], 0, NULL), OK);
		assert_int_equal(
		    spool_rig_outcome(r, id, C, 1, kinds[i], 0, NULL), ERR_NOT_FOUND);
		spool_rig_clean(r);
		assert_non_null(r->spool);
		struct report *rep = report_new(id, SPAN(B), (struct wall){NOW});
		for (uint16_t k = 0; k < 4; k++) { /* 1 is not here, and is skipped */
			struct outcome o = {.index = k, .kind = kinds[i]};
			report_add(rep, &o);
		}
		assert_int_equal(spool_rig_report(r, rep), OK);
		assert_gone(r);
	}
	spool_rig_free(&r);
}

static void
test_not_found(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t id = spool_rig_stored(r, one(1));
	assert_int_equal(
	    spool_rig_outcome(r, id, C, 0, OUTCOME_DELIVERED, 0, NULL), ERR_NOT_FOUND);
	assert_int_equal(
	    spool_rig_outcome(r, id, "", 0, OUTCOME_DELIVERED, 0, NULL), ERR_NOT_FOUND);
	assert_int_equal(
	    spool_rig_outcome(r, id, B, 1, OUTCOME_DELIVERED, 0, NULL), ERR_NOT_FOUND);
	assert_int_equal(spool_rig_outcome(r, id + 1, B, 0, OUTCOME_DELIVERED, 0, NULL),
	    ERR_NOT_FOUND);
	/* its notice is not stored then */
	struct report *rep = report_new(id + 1, SPAN(B), (struct wall){NOW});
	struct outcome o = {.kind = OUTCOME_FAILED};
	report_add(rep, &o);
	rep->notice[0] = one(9);
	assert_int_equal(spool_rig_report(r, rep), ERR_NOT_FOUND);
	assert_int_equal(stat_of(r).messages, 1);
	/* and it does not spoil those in the same batch */
	uint64_t commits = stat_of(r).commits;
	struct message *m = one(2);
	rep = report_new(id + 1, SPAN(B), (struct wall){NOW});
	report_add(rep, &o);
	(void)spool_report_start(r->spool, rep, loop_inbox(r->loop), NULL, NULL);
	(void)spool_accept_start(r->spool, m, loop_inbox(r->loop), NULL, NULL);
	spool_rig_run(r);
	assert_int_equal(stat_of(r).commits, commits + 1);
	assert_int_equal(stat_of(r).messages, 2);
	message_unref(&m);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

static void
test_notices(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t id = spool_rig_stored(r, one(1));
	struct report *rep = report_new(id, SPAN(B), (struct wall){NOW});
	struct outcome o = {.kind = OUTCOME_FAILED, .attempted = true};
	report_add(rep, &o);
	rep->notice[0] = one(2);
	rep->notice[1] = one(3);
	size_t told = r->tolds;
	assert_int_equal(spool_rig_report(r, rep), OK);
	assert_int_equal(r->tolds, told + 2);
	assert_null(read_back(r, id, false));
	assert_int_equal(stat_of(r).messages, 2);
	for (size_t i = 0; i < 2; i++) {
		struct message *m = read_back(r, r->told[told + i]->id, true);
		assert_true(spool_rig_content_is(m, 102 + i, 2 + (unsigned)i));
		message_unref(&m);
	}
	spool_rig_clean(r);
	spool_rig_free(&r);
}

static void
test_warned(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t id = spool_rig_stored(r, one(1));
	for (int i = 0; i < 2; i++) {
		struct report *rep = report_new(id, SPAN(B), (struct wall){NOW});
		rep->warned = true;
		rep->notice[0] = one(2);
		assert_int_equal(spool_rig_report(r, rep), i == 0 ? OK : ERR_NOT_FOUND);
		assert_int_equal(stat_of(r).messages, 2); /* the warning once */
		struct message *m = read_back(r, id, true);
		assert_true(m->warned);
		message_unref(&m);
	}
	spool_rig_clean(r);
	spool_rig_free(&r);
}

/* Ten thousand recipients at one place, in reports of a hundred, with many due times. */
static void
test_many_recipients(void **state)
{
	enum { N = 10000 };
	(void)state;
	struct spool_rig *r = open_rig();
	struct message *m = spool_rig_message(5000, 1);
	for (unsigned i = 0; i < N; i++)
		spool_rig_rcpt(m, "u@b.example", i % 2 ? B : C, 0);
	uint64_t id = spool_rig_stored(r, m);
	assert_int_equal(stat_of(r).recipients, N);
	assert_int_equal(stat_of(r).waiting_rows, 2);
	struct report *rep = report_new(id, SPAN(B), (struct wall){NOW});
	for (unsigned i = 0; i < 2000; i++) {
		struct outcome o = {
		    .index = (uint16_t)i, .kind = OUTCOME_WAIT, .due = {NOW + i % 37}};
		report_add(rep, &o);
	}
	assert_int_equal(spool_rig_report(r, rep), OK);
	assert_int_equal(stat_of(r).waiting_rows, 2 + 36); /* due at NOW: as before */
	spool_rig_clean(r);
	for (unsigned from = 0; from < N; from += 1000)
		for (unsigned d = 0; d < 2; d++) {
			rep = report_new(id, d ? SPAN(B) : SPAN(C), (struct wall){NOW});
			for (unsigned i = from; i < from + 1000; i++) {
				struct outcome o = {
				    .index = (uint16_t)i, .kind = OUTCOME_DELIVERED};
				report_add(rep, &o);
			}
			assert_int_equal(spool_rig_report(r, rep), OK);
		}
	assert_gone(r);
	spool_rig_free(&r);
}

static void
test_marks(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	struct spool_reader *reader = spool_reader_new(r->spool);
	assert_int_equal(spool_read_mark(reader, "sweep.warn"), 0);
	assert_int_equal(spool_rig_mark(r, "sweep.warn", 77), OK);
	assert_int_equal(spool_read_mark(reader, "sweep.warn"), 77);
	assert_int_equal(spool_read_mark(reader, "sweep.expire"), 0);
	spool_reader_free(&reader);
	spool_rig_reopen(r);
	reader = spool_reader_new(r->spool);
	assert_int_equal(spool_read_mark(reader, "sweep.warn"), 77);
	spool_reader_free(&reader);
	spool_rig_free(&r);
}

/* ---- requests */

static void
not_called(void *arg, enum err e)
{
	(void)arg, (void)e;
	fail();
}

static void
count_call(void *arg, enum err e)
{
	unsigned *n = arg;
	assert_int_equal(e, OK);
	(*n)++;
}

static void
test_cancel(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	unsigned calls = 0;
	struct message *a = one(1), *b = one(2);
	struct spool_request *q =
	    spool_accept_start(r->spool, a, loop_inbox(r->loop), not_called, NULL);
	(void)spool_accept_start(r->spool, b, loop_inbox(r->loop), count_call, &calls);
	spool_cancel(&q); /* before the writer took it: dropped */
	assert_null(q);
	spool_cancel(&q);
	spool_rig_run(r);
	assert_int_equal(calls, 1);
	assert_int_equal(stat_of(r).messages, 1);
	assert_int_equal(r->tolds, 1);
	assert_int_equal(a->id, 0);
	message_unref(&a);
	message_unref(&b);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

static void
test_close_commits(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	unsigned calls = 0;
	struct message *m = one(1);
	(void)spool_accept_start(r->spool, m, loop_inbox(r->loop), count_call, &calls);
	spool_close(&r->spool); /* with the request not even taken */
	spool_rig_run(r);       /* and all it has to say comes afterwards */
	assert_int_equal(calls, 1);
	assert_int_equal(r->tolds, 1);
	spool_rig_close(r);
	assert_int_equal(spool_rig_open(r), OK);
	struct message *back = read_back(r, m->id, true);
	assert_non_null(back);
	message_unref(&back);
	message_unref(&m);
	spool_rig_free(&r);
}

static void
query_run_read(struct spool_reader *reader, void *arg)
{
	struct spool_stat st;
	assert_int_equal(spool_read_stat(reader, &st), OK);
	*(uint64_t *)arg = st.messages;
}

static void
query_add(void *arg)
{
	*(uint64_t *)arg += 100;
}

static void
query_drop(void *arg)
{
	*(uint64_t *)arg += 1000;
}

static void
test_queries(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t n[3] = {0, 0, 0};
	struct inbox *in = loop_inbox(r->loop);
	(void)spool_rig_stored(r, one(1));
	(void)spool_query_start(
	    r->spool, query_run_read, query_add, query_drop, &n[0], in);
	struct spool_query *q =
	    spool_query_start(r->spool, query_run_read, query_add, query_drop, &n[1], in);
	spool_cancel_query(&q);
	assert_null(q);
	spool_cancel_query(&q);
	assert_int_equal(n[0], 0);
	spool_rig_run(r);
	assert_int_equal(n[0], 101);
	assert_int_equal(n[1], 1001);
	/* still in the pool when the spool is closed: it does not run, its owner is told
	 * all the same */
	q = spool_query_start(r->spool, query_run_read, query_add, query_drop, &n[2], in);
	spool_cancel_query(&q);
	spool_close(&r->spool);
	spool_rig_run(r);
	assert_int_equal(n[2], 1000);
	spool_rig_free(&r);
}

/* ---- room */

static void
test_quota(void **state)
{
	(void)state;
	struct spool_rig *r = spool_rig_new(0);
	r->options.max_size = 10000;
	assert_int_equal(spool_rig_open(r), OK);
	assert_int_equal(spool_admit(r->spool, 10000), OK);
	assert_int_equal(spool_admit(r->spool, 10001), ERR_FULL);
	assert_int_equal(spool_admit(r->spool, UINT64_MAX), ERR_FULL);
	struct message *m = spool_rig_message(9500, 1);
	spool_rig_rcpt(m, "u@b.example", B, 0);
	uint64_t id = spool_rig_stored(r, m);
	assert_int_equal(stat_of(r).bytes, 9500 + 600 + 300);
	assert_int_equal(spool_admit(r->spool, 0), ERR_FULL);
	atomic_fetch_add(&r->mono_ms, 1500);
	assert_int_equal(spool_rig_mark(r, "x", 1), OK);
	assert_non_null(strstr(r->lines.p, "spool-full"));
	spool_rig_reopen(r);
	assert_int_equal(spool_admit(r->spool, 0), ERR_FULL); /* the account is on disk */
	assert_int_equal(spool_rig_outcome(r, id, B, 0, OUTCOME_DELIVERED, 0, NULL), OK);
	assert_int_equal(spool_admit(r->spool, 9000), OK);
	atomic_fetch_add(&r->mono_ms, 1500);
	assert_int_equal(spool_rig_mark(r, "x", 1), OK);
	buf_add_char(&r->lines, '\0');
	assert_non_null(strstr(r->lines.p, "spool-room"));
	assert_gone(r);
	spool_rig_free(&r);
}

static void
test_min_free(void **state)
{
	(void)state;
	struct spool_rig *r = spool_rig_new(0);
	r->options.min_free = UINT64_C(1) << 60;
	assert_int_equal(spool_rig_open(r), OK);
	assert_int_equal(spool_admit(r->spool, 1), ERR_DISK_FULL);
	char path[100];
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/reserve", r->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
	spool_rig_close(r);
	r->options.min_free = 0;
	assert_int_equal(spool_rig_open(r), OK);
	assert_int_equal(spool_admit(r->spool, 1), OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, RESERVE_BYTES);
	assert_int_equal(st.st_mode & 0777, 0600);
	spool_rig_free(&r);
}

#ifdef RELAY_FAULTS

struct outcome_of {
	enum err err;
	bool came;
};

static void
note(void *arg, enum err e)
{
	*(struct outcome_of *)arg = (struct outcome_of){e, true};
}

/* One batch: new mail, a delivery, a failure with its notice. */
static void
full_batch(struct spool_rig *r, struct outcome_of got[3])
{
	struct inbox *in = loop_inbox(r->loop);
	uint64_t a = spool_rig_stored(r, one(1)), b = spool_rig_stored(r, one(2));
	struct message *m = one(3);
	struct report *delivered = report_new(a, SPAN(B), (struct wall){NOW});
	struct report *failed = report_new(b, SPAN(B), (struct wall){NOW});
	struct outcome o = {.kind = OUTCOME_DELIVERED};
	report_add(delivered, &o);
	o.kind = OUTCOME_FAILED;
	report_add(failed, &o);
	failed->notice[0] = one(4);
	memset(got, 0, 3 * sizeof(*got));
	(void)spool_accept_start(r->spool, m, in, note, &got[0]);
	(void)spool_report_start(r->spool, delivered, in, note, &got[1]);
	(void)spool_report_start(r->spool, failed, in, note, &got[2]);
	message_unref(&m);
	spool_rig_run(r);
	for (int i = 0; i < 3; i++)
		assert_true(got[i].came);
	spool_rig_clean(r);
}

static void
test_disk_full(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	struct outcome_of got[3];
	char path[100];
	(void)snprintf(path, sizeof(path), "%s/reserve", r->dir);
	(void)spool_rig_stored(r, one(0));
	fault_plan(FAULT_FAIL, "spool.commit.full",
	    3); /* after the two that full_batch() stores */
	full_batch(r, got);
	assert_int_equal(got[0].err, ERR_DISK_FULL);
	assert_int_equal(got[1].err, OK);
	assert_int_equal(got[2].err, OK);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(stat_of(r).messages, 2);     /* the first, and the notice */
	fault_plan(FAULT_FAIL, "spool.put.full", 40); /* somewhere inside */
	full_batch(r, got);
	assert_int_equal(r->failures, 0);
	fault_plan(FAULT_NONE, NULL, 0);
	assert_int_equal(spool_rig_accept(r, one(5)), OK);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

static void
test_commit_fails(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t id = spool_rig_stored(r, one(1));
	fault_plan(FAULT_FAIL, "spool.commit.io", 1);
	assert_int_equal(spool_rig_accept(r, one(2)), ERR_IO);
	assert_int_equal(r->failures, 1);
	assert_int_equal(spool_rig_accept(r, one(3)), ERR_IO); /* from now on */
	assert_int_equal(
	    spool_rig_outcome(r, id, B, 0, OUTCOME_DELIVERED, 0, NULL), ERR_IO);
	assert_int_equal(spool_admit(r->spool, 1), ERR_IO);
	assert_int_equal(r->failures, 1);
	assert_non_null(strstr(r->lines.p, "spool-failed"));
	fault_plan(FAULT_NONE, NULL, 0);
	spool_rig_reopen(r);
	assert_int_equal(stat_of(r).messages, 1);
	assert_int_equal(spool_rig_accept(r, one(2)), OK);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

#endif

/* ---- ids */

static void
test_ids_never_again(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t last = 0;
	for (unsigned i = 0; i < 30; i++) {
		uint64_t id = spool_rig_stored(r, one(i));
		assert_true(id > last);
		last = id;
		assert_int_equal(
		    spool_rig_outcome(r, id, B, 0, OUTCOME_DELIVERED, 0, NULL), OK);
		if (i % 3 == 0)
			atomic_fetch_sub(&r->wall_ms, DAY_MS);
		if (i % 4 == 0)
			spool_rig_reopen(
			    r); /* with nothing stored: only the mark knows */
		if (i % 10 == 0)
			atomic_fetch_add(&r->wall_ms, 5 * DAY_MS);
	}
	assert_gone(r);
	spool_rig_free(&r);
}

/* ---- opening */

static void
test_newer_version(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	(void)spool_rig_stored(r, one(1));
	MDB_txn *t;
	assert_int_equal(mdb_txn_begin(r->spool->env, NULL, 0, &t), 0);
	assert_int_equal(db_put_u64(t, r->spool, "format", FORMAT_VERSION + 1), OK);
	assert_int_equal(mdb_txn_commit(t), 0);
	spool_rig_close(r);
	for (int i = 0; i < 2; i++) {
		r->options.read_only = i == 1;
		assert_int_equal(spool_rig_open(r), ERR_VERSION);
		assert_non_null(strstr(r->why, "format 4"));
	}
	spool_rig_free(&r);
}

/* ---- the database's own pages */

#define HEAD_TXN 144  /* where a head has the number of its transaction */
#define HEAD_ROOT 128 /* and the first page of the table of tables */

static void
turn_bit(struct spool_rig *r, uint64_t at, unsigned bit)
{
	char path[100];
	unsigned char c;
	(void)snprintf(path, sizeof(path), "%s/data.mdb", r->dir);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, (off_t)at), 1);
	c ^= (unsigned char)(1u << bit);
	assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
	(void)close(fd);
}

static uint64_t
number_at(struct spool_rig *r, uint64_t at)
{
	char path[100];
	uint64_t v;
	(void)snprintf(path, sizeof(path), "%s/data.mdb", r->dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, &v, sizeof(v), (off_t)at), sizeof(v));
	(void)close(fd);
	return v;
}

static void
opens_not(struct spool_rig *r, const char *what)
{
	enum err e = spool_rig_open(r);
	if (e != ERR_DAMAGED || strstr(r->why, what) == NULL || strstr(r->why, "restore") == NULL)
		fail_msg("%s, not %s: %s", err_text(e), what, r->why);
}

/* An older head would be taken for the newest, or the newest leads nowhere: it does not
 * open, for whoever asks. */
static void
test_damaged_heads(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	for (unsigned i = 1; i <= 20; i++)
		(void)spool_rig_stored(r, one(i));
	spool_rig_close(r);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	for (int i = 0; i < 4; i++) {
		uint64_t head = i % 2 == 0 ? 0 : page;
		r->options.read_only = i >= 2;
		turn_bit(r, head + HEAD_TXN, 1); /* the older one: newer by one */
		opens_not(r, "database");
		turn_bit(r, head + HEAD_TXN, 1);
		turn_bit(r, head + HEAD_TXN, 0);
		opens_not(r, "one of the two heads");
		turn_bit(r, head + HEAD_TXN, 0);
		turn_bit(r, head + HEAD_ROOT + 4, 0);
		opens_not(r, "one of the two heads");
		turn_bit(r, head + HEAD_ROOT + 4, 0);
	}
	r->options.read_only = false;
	assert_int_equal(spool_rig_open(r), OK);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

/* A page that lies about itself would end us as soon as LMDB comes to it: it is named
 * before, where that is asked for. */
static void
test_damaged_page(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	for (unsigned i = 1; i <= 20; i++)
		(void)spool_rig_stored(r, one(i));
	spool_rig_close(r);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t head = number_at(r, HEAD_TXN) > number_at(r, page + HEAD_TXN) ? 0 : page;
	uint64_t root = number_at(r, head + HEAD_ROOT);
	r->options.read_only = true;
	r->options.thorough = true;
	static const struct {
		unsigned at, bit;
		const char *says;
	} table[] = {{0, 3, "says that it is another one"},
	    {10, 0, "not of the kind that belongs here"}, {12, 0, "make no sense"},
	    {12, 1, "it"}, {15, 6, "make no sense"}, {17, 7, "a row lies outside"}};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		turn_bit(r, root * page + table[i].at, table[i].bit);
		opens_not(r, table[i].says);
		turn_bit(r, root * page + table[i].at, table[i].bit);
	}
	assert_int_equal(spool_rig_open(r), OK);
	spool_rig_clean(r);
	spool_rig_close(r);
	turn_bit(r, head + 137, 4); /* the last page that was ever used */
	opens_not(r, "belong to something");
	spool_rig_free(&r);
}

static void
test_second_opener(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	struct spool_options o = r->options;
	struct spool *other;
	struct buf why = {0};
	for (int i = 0; i < 2; i++) {
		o.read_only = i == 1;
		assert_int_equal(spool_open(&other, &o, &why), ERR_BUSY);
		assert_null(other);
		assert_true(why.n > 0);
		buf_reset(&why);
	}
	uint64_t id = spool_rig_stored(r, one(1)); /* the first one does not mind */
	spool_rig_close(r);
	r->options.read_only = true;
	r->options.loop = NULL;
	assert_int_equal(spool_rig_open(r), OK);
	assert_int_equal(spool_open(&other, &o, &why), OK); /* two may look */
	spool_close(&other);
	struct message *m = read_back(r, id, true);
	assert_true(spool_rig_content_is(m, 101, 1));
	message_unref(&m);
	spool_rig_clean(r);
	o.read_only = false;
	assert_int_equal(spool_open(&other, &o, &why), ERR_BUSY);
	buf_clear(&why);
	spool_rig_free(&r);
}

static void
test_directories(void **state)
{
	(void)state;
	struct spool_rig *r = spool_rig_new(0);
	char path[100];
	(void)snprintf(path, sizeof(path), "%s/letter.txt", r->dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(spool_rig_open(r), ERR_EXISTS); /* foreign */
	assert_non_null(strstr(r->why, "letter.txt"));
	(void)snprintf(path, sizeof(path), "%s/owner.lock", r->dir);
	assert_int_not_equal(access(path, F_OK), 0); /* and nothing was put there */
	(void)snprintf(path, sizeof(path), "%s/letter.txt", r->dir);
	(void)unlink(path);
	r->options.create = false;
	assert_int_equal(spool_rig_open(r), ERR_NOT_FOUND);
	r->options.read_only = true;
	assert_int_equal(spool_rig_open(r), ERR_NOT_FOUND);
	r->options.read_only = false;
	r->options.create = true;
	assert_int_equal(chmod(r->dir, 0755), 0);
	assert_int_equal(spool_rig_open(r), OK);
	struct stat st;
	assert_int_equal(stat(r->dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	(void)snprintf(path, sizeof(path), "%s/data.mdb", r->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(fcntl(r->spool->lock, F_GETFD) & FD_CLOEXEC);
	int env_fd;
	assert_int_equal(mdb_env_get_fd(r->spool->env, &env_fd), 0);
	assert_true(fcntl(env_fd, F_GETFD) & FD_CLOEXEC);
	spool_rig_close(r);
	/* a copy that somebody made by hand */
	(void)snprintf(path, sizeof(path), "%s/owner.lock", r->dir);
	assert_int_equal(unlink(path), 0);
	r->options.read_only = true;
	assert_int_equal(spool_rig_open(r), ERR_NOT_FOUND);
	assert_non_null(strstr(r->why, "has no owner.lock"));
	r->options.read_only = false;
	spool_rig_reopen(r);
	spool_rig_close(r);
	/* a spool that is one already may have a stranger in it */
	(void)snprintf(path, sizeof(path), "%s/core", r->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	(void)close(fd);
	assert_int_equal(spool_rig_open(r), OK);
	spool_rig_close(r);
	r->options.path = "/proc/nowhere/spool";
	assert_int_not_equal(spool_rig_open(r), OK);
	spool_rig_free(&r);
}

/* ---- damage */

/* Change an octet of a stored value, as a bad disk would; what: where to begin to look.
 */
static void
damage(struct spool_rig *r, enum dbi d, const void *key, size_t n, size_t at)
{
	MDB_txn *t;
	struct span v;
	char copy[5000];
	assert_int_equal(mdb_txn_begin(r->spool->env, NULL, 0, &t), 0);
	assert_int_equal(db_get(t, r->spool->dbi[d], key, n, &v), OK);
	assert_true(v.n <= sizeof(copy) && at < v.n);
	memcpy(copy, v.p, v.n);
	copy[at] ^= 0x40;
	assert_int_equal(
	    db_put(t, r->spool->dbi[d], key, n, (struct span){copy, v.n}, 0), OK);
	assert_int_equal(mdb_txn_commit(t), 0);
}

static void
plant(struct spool_rig *r, enum dbi d, const void *key, size_t n, const char *value)
{
	MDB_txn *t;
	assert_int_equal(mdb_txn_begin(r->spool->env, NULL, 0, &t), 0);
	if (value != NULL)
		assert_int_equal(
		    db_put(t, r->spool->dbi[d], key, n, span_str(value), 0), OK);
	else
		assert_int_equal(db_del(t, r->spool->dbi[d], key, n), OK);
	assert_int_equal(mdb_txn_commit(t), 0);
}

static void
test_damaged_content(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t good = spool_rig_stored(r, four(1)), bad = spool_rig_stored(r, four(2));
	unsigned char key[KEY_BODY];
	key_put(key, bad, 8);
	key_put(key + 8, 1, 2);
	damage(r, DB_BODY, key, KEY_BODY, 7);
	assert_int_equal(read_error(r, bad, true), ERR_DAMAGED);
	assert_int_equal(read_error(r, bad, false), OK);
	assert_int_equal(read_error(r, good, true), OK);
	spool_rig_violates(r, "I2");
	plant(r, DB_BODY, key, KEY_BODY, NULL);
	assert_int_equal(read_error(r, bad, true), ERR_DAMAGED);
	spool_rig_violates(r, "lacks chunk 1 of 3");
	struct report *rep = report_new(bad, SPAN(B), (struct wall){NOW});
	for (uint16_t i = 0; i < 4; i++) {
		struct outcome o = {.index = i, .kind = OUTCOME_DELETED};
		report_add(rep, &o);
	}
	assert_int_equal(spool_rig_report(r, rep), OK);
	assert_int_equal(spool_rig_outcome(r, bad, C, 1, OUTCOME_ASIDE, 0, NULL), OK);
	assert_int_equal(spool_rig_outcome(r, bad, C, 1, OUTCOME_DELETED, 0, NULL), OK);
	spool_rig_clean(r); /* the chunks that were left are gone, too */
	spool_rig_free(&r);
}

static void
test_damaged_message(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t good = spool_rig_stored(r, four(1)), bad = spool_rig_stored(r, one(2));
	uint64_t bytes = 10000 + 600 + 4 * 300;
	unsigned char key[KEY_ID];
	key_put(key, bad, 8);
	damage(r, DB_MSG, key, KEY_ID, 20);
	assert_int_equal(read_error(r, bad, false), ERR_DAMAGED);
	assert_int_equal(read_error(r, good, true), OK);
	spool_rig_violates(r, "I0");
	spool_rig_reopen(r);
	struct report *rep = report_new(bad, SPAN(B), (struct wall){NOW});
	struct outcome o = {.kind = OUTCOME_ASIDE};
	rep->warned = true;
	report_add(rep, &o);
	assert_int_equal(spool_rig_report(r, rep), OK);
	assert_int_equal(read_error(r, bad, false), ERR_DAMAGED); /* not written over */
	assert_int_equal(spool_rig_outcome(r, bad, B, 0, OUTCOME_DELETED, 0, NULL), OK);
	assert_int_equal(stat_of(r).bytes, bytes);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

static void
test_damaged_recipient(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t other = spool_rig_stored(r, one(5)), id = spool_rig_stored(r, four(1));
	unsigned char key[KEY_RCPT];
	rcpt_key_put(key, id, 1, 2); /* B is destination 1 */
	damage(r, DB_RCPT, key, KEY_RCPT, 30);
	spool_rig_violates(r, "I0");
	struct message *m = read_back(r, id, false);
	assert_int_equal(m->rcpts, 4);
	assert_int_equal(rcpt_of(m, 2)->state, RECIPIENT_ASIDE);
	message_unref(&m);
	/* its fellow goes on, and it is set aside out of the way */
	assert_int_equal(
	    spool_rig_outcome(r, id, B, 0, OUTCOME_WAIT, NOW + 5000, NULL), OK);
	assert_int_equal(spool_rig_outcome(r, id, B, 2, OUTCOME_ASIDE, 0, NULL), OK);
	assert_int_equal(count_due(r, B), 2);
	assert_int_equal(
	    spool_rig_outcome(r, id, B, 2, OUTCOME_MOVED, NOW, C), OK); /* stays */
	assert_int_equal(spool_rig_outcome(r, id, B, 0, OUTCOME_DELIVERED, 0, NULL), OK);
	assert_int_equal(count_due(r, B), 1);
	assert_int_equal(spool_rig_outcome(r, id, B, 2, OUTCOME_DELETED, 0, NULL), OK);
	spool_rig_clean(r);
	assert_int_equal(read_error(r, other, true), OK);
	spool_rig_free(&r);
}

/* Each invariant, broken by hand, is found. */
static void
test_check_finds(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig();
	uint64_t id = spool_rig_stored(r, four(1));
	unsigned char k[32] = {0};
	spool_rig_clean(r);

	key_put(k, id - 5, 8);
	rcpt_key_put(k, id - 5, 1, 0);
	plant(r, DB_RCPT, k, KEY_RCPT, "x");
	spool_rig_violates(r, "I1");
	plant(r, DB_RCPT, k, KEY_RCPT, NULL);
	spool_rig_clean(r);

	plant(r, DB_BODY, k, KEY_BODY, "orphan");
	spool_rig_violates(r, "I2");
	plant(r, DB_BODY, k, KEY_BODY, NULL);

	key_put(k, id, 8);
	key_put(k + 8, 3, 2);
	plant(r, DB_BODY, k, KEY_BODY, "one too many");
	spool_rig_violates(r, "more than its 3 chunks");
	plant(r, DB_BODY, k, KEY_BODY, NULL);
	spool_rig_clean(r);

	struct sched_key row = {LANE_READY, 1, NOW + 4711, id};
	sched_key_put(k, &row);
	plant(r, DB_SCHED, k, KEY_SCHED, "");
	spool_rig_violates(r, "covers no recipient");
	plant(r, DB_SCHED, k, KEY_SCHED, NULL);
	row.due = NOW + 1000;
	sched_key_put(k, &row);
	plant(r, DB_SCHED, k, KEY_SCHED, NULL);
	spool_rig_violates(r, "is in no row");
	plant(r, DB_SCHED, k, KEY_SCHED, "");
	spool_rig_clean(r);

	key_put(k, 2, 4);
	plant(r, DB_DEST, k, 4, "smtp nobody");
	spool_rig_violates(r, "I4");
	plant(r, DB_DEST, k, 4, NULL);
	spool_rig_violates(r, "without a name");
	plant(r, DB_DEST, k, 4, C);
	spool_rig_clean(r);
	plant(r, DB_DESTNAME, "smtp alias", 10, "\x01\x01\x01\x01");
	spool_rig_violates(r, "I4");
	plant(r, DB_DESTNAME, "smtp alias", 10, NULL);

	plant(r, DB_SCHED, "short", 5, "");
	spool_rig_violates(r, "I0");
	plant(r, DB_SCHED, "short", 5, NULL);
	spool_rig_clean(r);

	MDB_txn *t;
	uint64_t bytes;
	assert_int_equal(mdb_txn_begin(r->spool->env, NULL, 0, &t), 0);
	assert_int_equal(db_get_u64(t, r->spool, "bytes", &bytes), OK);
	assert_int_equal(db_put_u64(t, r->spool, "bytes", bytes + 1), OK);
	assert_int_equal(mdb_txn_commit(t), 0);
	spool_rig_violates(r, "I5");
	assert_int_equal(mdb_txn_begin(r->spool->env, NULL, 0, &t), 0);
	assert_int_equal(db_put_u64(t, r->spool, "bytes", bytes), OK);
	assert_int_equal(db_put_u64(t, r->spool, "id", id - 1), OK);
	assert_int_equal(mdb_txn_commit(t), 0);
	spool_rig_violates(r, "I6");
	spool_rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accept_and_read),
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_list),
	    cmocka_unit_test(test_due_order),
	    cmocka_unit_test(test_destinations),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_wait),
	    cmocka_unit_test(test_not_attempted),
	    cmocka_unit_test(test_hold_and_release),
	    cmocka_unit_test(test_move),
	    cmocka_unit_test(test_last_recipient),
	    cmocka_unit_test(test_not_found),
	    cmocka_unit_test(test_notices),
	    cmocka_unit_test(test_warned),
	    cmocka_unit_test(test_many_recipients),
	    cmocka_unit_test(test_marks),
	    cmocka_unit_test(test_cancel),
	    cmocka_unit_test(test_close_commits),
	    cmocka_unit_test(test_queries),
	    cmocka_unit_test(test_quota),
	    cmocka_unit_test(test_min_free),
#ifdef RELAY_FAULTS
	    cmocka_unit_test(test_disk_full),
	    cmocka_unit_test(test_commit_fails),
#endif
	    cmocka_unit_test(test_ids_never_again),
	    cmocka_unit_test(test_newer_version),
	    cmocka_unit_test(test_damaged_heads),
	    cmocka_unit_test(test_damaged_page),
	    cmocka_unit_test(test_second_opener),
	    cmocka_unit_test(test_directories),
	    cmocka_unit_test(test_damaged_content),
	    cmocka_unit_test(test_damaged_message),
	    cmocka_unit_test(test_damaged_recipient),
	    cmocka_unit_test(test_check_finds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
