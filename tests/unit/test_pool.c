/* SPDX-License-Identifier: ISC */
/* The pool: with threads and without; order, the way back, the end. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/pool.h"
#include "tests/lib/fake_world.h"

#define JOBS 100

struct sums {
	struct loop *loop;
	struct pool *pool;
	unsigned left, ran; /* ran: only without threads */
	pthread_t owner;
	struct sum {
		struct pool_job job;
		struct sums *all;
		unsigned n, result, order, rounds;
	} sum[JOBS];
};

static void
sum_run(struct pool_job *j)
{
	struct sum *s = CONTAINER_OF(j, struct sum, job);
	s->result = 0;
	for (unsigned i = 1; i <= s->n; i++)
		s->result += i;
}

static void
sum_run_inline(struct pool_job *j)
{
	struct sum *s = CONTAINER_OF(j, struct sum, job);
	s->order = s->all->ran++;
	sum_run(j);
}

static void
sum_done(struct pool_job *j)
{
	struct sum *s = CONTAINER_OF(j, struct sum, job);
	assert_true(pthread_equal(pthread_self(), s->all->owner));
	assert_int_equal(s->result, s->n * (s->n + 1) / 2);
	if (s->rounds-- > 1) {
		pool_start(s->all->pool, j, loop_inbox(s->all->loop)); /* ours again */
		return;
	}
	if (--s->all->left == 0)
		loop_stop(s->all->loop);
}

static void
start_all(struct sums *a, void (*run)(struct pool_job *), unsigned rounds)
{
	a->left = JOBS;
	a->owner = pthread_self();
	for (unsigned i = 0; i < JOBS; i++) {
		a->sum[i] = (struct sum){
		    .job = {.run = run, .done = sum_done}, a, i, 0, 0, rounds};
		pool_start(a->pool, &a->sum[i].job, loop_inbox(a->loop));
	}
	assert_int_equal(a->left, JOBS); /* nothing comes back before start returns */
}

static void
test_threads(void **state)
{
	static const unsigned threads[] = {1, 2, 4};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(threads); i++) {
		struct sums a = {.loop = loop_new(world_real())};
		a.pool = pool_new(threads[i], NULL);
		start_all(&a, sum_run, 5);
		loop_run(a.loop);
		assert_int_equal(a.left, 0);
		pool_free(&a.pool);
		assert_null(a.pool);
		pool_free(&a.pool); /* NULL is fine */
		loop_free(&a.loop);
	}
}

/* On a clock that stands still, and never waiting: everything is there at once, in order.
 */
static void
test_inline(void **state)
{
	struct fake_world w;
	fake_world_init(&w);
	struct sums a = {.loop = loop_new(&w.world)};
	(void)state;
	a.pool = pool_new(0, a.loop);
	start_all(&a, sum_run_inline, 1);
	assert_int_equal(a.ran, 0); /* nor does it run before */
	(void)loop_turn(a.loop, false);
	assert_int_equal(a.ran, JOBS);
	assert_int_equal(a.left, JOBS); /* done() comes by the inbox, in the next turn */
	(void)loop_turn(a.loop, false);
	assert_int_equal(a.left, 0);
	for (unsigned i = 0; i < JOBS; i++)
		assert_int_equal(a.sum[i].order, i);
	pool_free(&a.pool);
	loop_free(&a.loop);
}

/* What is queued when the pool ends is run; done() waits in the inbox for its owner. */
static void
test_free_runs_what_is_queued(void **state)
{
	(void)state;
	for (unsigned threads = 0; threads <= 2; threads++) {
		struct sums a = {.loop = loop_new(world_real())};
		a.pool = pool_new(threads, a.loop);
		start_all(&a, threads ? sum_run : sum_run_inline, 1);
		pool_free(&a.pool);
		assert_int_equal(a.left, JOBS);
		assert_int_equal(inbox_open_all(loop_inbox(a.loop)), JOBS);
		assert_int_equal(a.left, 0);
		loop_free(&a.loop);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_threads),
	    cmocka_unit_test(test_inline),
	    cmocka_unit_test(test_free_runs_what_is_queued),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
