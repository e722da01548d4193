/* SPDX-License-Identifier: ISC */
/* Turns, timers, laters, inboxes between threads, the pool, contents, checksums, base64.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/content.h"
#include "base/crc32c.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/pool.h"

/* ---- timers and laters */

struct log {
	char text[64];
	struct loop *loop;
	struct timer other;
	struct later again;
};

static void
note(struct log *l, const char *what)
{
	strncat(l->text, what, sizeof(l->text) - strlen(l->text) - 1);
}

static void
on_first(void *arg)
{
	struct log *l = arg;
	note(l, "1");
	timer_clear(&l->other); /* due in this very turn, and must not come any more */
}

static void
on_other(void *arg)
{
	note(arg, "2");
}

static void
on_again(void *arg)
{
	note(arg, "l");
}

static void
test_timers(void **state)
{
	struct log l = {.loop = loop_new(world_real())};
	struct timer first;
	struct instant due;
	(void)state;
	timer_init(&first, l.loop, on_first, &l);
	timer_init(&l.other, l.loop, on_other, &l);
	assert_false(loop_next_timer(l.loop, &due));
	timer_set(&first, 0);
	timer_set(&l.other, 0);
	assert_true(timer_is_set(&l.other) && loop_next_timer(l.loop, &due));
	(void)loop_turn(l.loop, true);
	assert_string_equal(l.text, "1");
	later_init(&l.again, l.loop, on_again, &l);
	later_set(&l.again);
	later_set(&l.again);
	(void)loop_turn(l.loop, true);
	assert_string_equal(l.text, "1l");
	later_set(&l.again);
	later_clear(&l.again);
	assert_false(loop_turn(l.loop, false));
	loop_free(&l.loop);
}

/* ---- descriptors */

static void
on_readable(void *arg, unsigned what)
{
	struct watch *w = arg;
	char c;
	assert_int_equal(what, WATCH_READ);
	assert_int_equal(read(w->fd, &c, 1), 1);
	loop_stop(w->loop);
}

static void
test_watch(void **state)
{
	int p[2];
	struct watch w;
	struct loop *l = loop_new(world_real());
	(void)state;
	assert_int_equal(pipe(p), 0);
	watch_init(&w, l, p[0], on_readable, &w);
	watch_set(&w, WATCH_READ);
	assert_int_equal(write(p[1], "x", 1), 1);
	loop_run(l);
	watch_set(&w, 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_false(loop_turn(l, false));
	watch_clear(&w);
	watch_clear(&w);
	close(p[0]);
	close(p[1]);
	loop_free(&l);
}

/* ---- inboxes between threads */

#define PARCELS 20000

struct counted {
	struct parcel parcel;
	unsigned number;
	struct receiver *to;
};

struct receiver {
	struct loop *loop;
	unsigned got, next[2];
	struct counted parcel[2][PARCELS];
};

static void
on_counted(struct parcel *p)
{
	struct counted *c = CONTAINER_OF(p, struct counted, parcel);
	struct receiver *r = c->to;
	unsigned sender = c >= r->parcel[1];
	assert_int_equal(c->number, r->next[sender]++); /* in the order of posting */
	if (++r->got == 2 * PARCELS)
		loop_stop(r->loop);
}

static void *
post_all(void *arg)
{
	struct counted *c = arg;
	for (unsigned i = 0; i < PARCELS; i++)
		inbox_post(loop_inbox(c->to->loop), &c[i].parcel);
	return NULL;
}

static void
test_inbox(void **state)
{
	struct receiver *r = NEW(struct receiver);
	pthread_t thread[2];
	(void)state;
	r->loop = loop_new(world_real());
	for (unsigned s = 0; s < 2; s++)
		for (unsigned i = 0; i < PARCELS; i++)
			r->parcel[s][i] = (struct counted){{NULL, on_counted}, i, r};
	for (unsigned s = 0; s < 2; s++)
		assert_int_equal(
		    pthread_create(&thread[s], NULL, post_all, r->parcel[s]), 0);
	loop_run(r->loop);
	for (unsigned s = 0; s < 2; s++)
		assert_int_equal(pthread_join(thread[s], NULL), 0);
	assert_int_equal(r->got, 2 * PARCELS);
	loop_free(&r->loop);
	mem_free(&r);
}

/* ---- the pool, with threads and without */

struct sum {
	struct pool_job job;
	struct loop *loop;
	unsigned n, result, *left;
};

static void
sum_run(struct pool_job *j)
{
	struct sum *s = CONTAINER_OF(j, struct sum, job);
	for (unsigned i = 1; i <= s->n; i++)
		s->result += i;
}

static void
sum_done(struct pool_job *j)
{
	struct sum *s = CONTAINER_OF(j, struct sum, job);
	if (--*s->left == 0)
		loop_stop(s->loop);
}

static void
run_pool(unsigned threads)
{
	struct loop *l = loop_new(world_real());
	struct pool *p = pool_new(threads, l);
	struct sum sums[100];
	unsigned left = COUNT_OF(sums);
	for (unsigned i = 0; i < COUNT_OF(sums); i++) {
		sums[i] = (struct sum){
		    .job = {.run = sum_run, .done = sum_done}, l, i, 0, &left};
		pool_start(p, &sums[i].job, loop_inbox(l));
	}
	assert_int_equal(
	    left, COUNT_OF(sums)); /* nothing comes back before start returns */
	loop_run(l);
	for (unsigned i = 0; i < COUNT_OF(sums); i++)
		assert_int_equal(sums[i].result, i * (i + 1) / 2);
	pool_free(&p);
	loop_free(&l);
}

static void
test_pool(void **state)
{
	(void)state;
	run_pool(0);
	run_pool(2);
}

/* ---- contents and checksums */

static void
test_content(void **state)
{
	struct content_budget budget = {.limit = 10000};
	struct content *c = content_new(&budget);
	char bytes[9000], back[9000];
	size_t got;
	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i % 251);
	content_append(c, bytes, 1);
	content_append(c, bytes + 1, CONTENT_SLICE - 1);
	content_append(c, bytes + CONTENT_SLICE, sizeof(bytes) - CONTENT_SLICE);
	content_seal(c);
	assert_int_equal(content_size(c), sizeof(bytes));
	assert_int_equal(content_slices(c), 3);
	assert_int_equal(content_slice(c, 0).n, CONTENT_SLICE);
	assert_int_equal(content_slice(c, 2).n, sizeof(bytes) - 2 * CONTENT_SLICE);
	assert_int_equal(content_crc(c), crc32c(0, bytes, sizeof(bytes)));
	assert_true(content_budget_over(&budget));
	assert_true(content_in_memory(c) && content_fd(c) == -1);
	for (size_t at = 0; at <= sizeof(bytes); at += 997) {
		assert_int_equal(content_read(c, at, back, 5000, &got), OK);
		assert_int_equal(
		    got, sizeof(bytes) - at < 5000 ? sizeof(bytes) - at : 5000);
		assert_memory_equal(back, bytes + at, got);
	}
	struct content *same = content_ref(c);
	content_unref(&c);
	assert_null(c);
	content_unref(&same);
	assert_false(content_budget_over(&budget));
	assert_int_equal(atomic_load(&budget.used), 0);
	content_unref(&same); /* NULL is fine */
}

static void
test_crc32c(void **state)
{
	char zeros[32] = {0};
	(void)state;
	assert_int_equal(
	    crc32c(0, "123456789", 9), 0xe3069283u);         /* RFC 3720's check value */
	assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aau); /* RFC 3720 B.4 */
	assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283u);
	assert_int_equal(crc32c(0, "", 0), 0);
}

static void
test_base64(void **state)
{
	static const char *const good[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
	    {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
	    {"foobar", "Zm9vYmFy"}};
	static const char *const bad[] = {"Z", "Zg", "Zg=", "Zg=a",
	    "Z===", "====", "Zm9v\n", "Zm 9", "Zm9*", "=m9v", "Zg==Zg=="};
	struct buf b;
	(void)state;
	buf_init(&b, 0);
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		buf_reset(&b);
		base64_encode(span_str(good[i][0]), &b);
		assert_true(span_eq(buf_span(&b), span_str(good[i][1])));
		buf_reset(&b);
		assert_int_equal(base64_decode(span_str(good[i][1]), &b), OK);
		assert_true(span_eq(buf_span(&b), span_str(good[i][0])));
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		buf_reset(&b);
		if (base64_decode(span_str(bad[i]), &b) == OK)
			fail_msg("\"%s\" should be refused", bad[i]);
	}
	char big[10000], *p;
	memset(big, 'x', sizeof(big));
	buf_reset(&b);
	base64_encode((struct span){big, sizeof(big)}, &b);
	p = buf_take(&b);
	assert_int_equal(base64_decode(span_str(p), &b), OK);
	assert_int_equal(b.n, sizeof(big));
	assert_memory_equal(b.p, big, sizeof(big));
	mem_free(&p);
	buf_clear(&b);
}

static void
test_world(void **state)
{
	struct world *w = world_real();
	struct instant a = world_now(w), b = world_now(w);
	(void)state;
	assert_true(instant_since(b, a) >= 0);
	assert_true(world_wall(w).ms > INT64_C(1700000000000));
	for (int i = 0; i < 1000; i++)
		assert_true(world_random_below(w, 7) < 7);
	assert_true(world_random_u64(w) != world_random_u64(w));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_timers),
	    cmocka_unit_test(test_watch),
	    cmocka_unit_test(test_inbox),
	    cmocka_unit_test(test_pool),
	    cmocka_unit_test(test_content),
	    cmocka_unit_test(test_crc32c),
	    cmocka_unit_test(test_base64),
	    cmocka_unit_test(test_world),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
