/* SPDX-License-Identifier: ISC */
/* The rates of routes over crashes, restarts and reloads, on a real spool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/egress/throttle.h"
#include "tests/lib/spool_rig.h"

struct scene {
	struct spool_rig *rig;
	struct throttle throttle;
	struct route route;
	struct link waiter;
	unsigned woken;
};

static void
on_wake(void *arg, struct lane *lane)
{
	struct scene *s = arg;
	(void)lane;
	s->woken++;
}

static void
set_rate(struct scene *s, const char *a, const char *b)
{
	s->route.rates.n = 0;
	assert_int_equal(rate_parse(span_str(a), &s->route.rates.rate[0]), OK);
	s->route.rates.n++;
	if (b == NULL)
		return;
	assert_int_equal(rate_parse(span_str(b), &s->route.rates.rate[1]), OK);
	s->route.rates.n++;
}

static int
setup(void **state)
{
	struct scene *s = NEW(struct scene);
	s->rig = spool_rig_new(0);
	assert_int_equal(spool_rig_open(s->rig), OK);
	s->route.name = mem_strdup("slow");
	throttle_init(&s->throttle, s->rig->loop, s->rig->spool, on_wake, s);
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct scene *s = *state;
	throttle_clear(&s->throttle);
	spool_rig_run(s->rig);
	spool_rig_free(&s->rig);
	mem_free(&s->route.name);
	mem_free(&s);
	return 0;
}

static void
pass(struct scene *s, int64_t ms)
{
	s->rig->mono_ms += ms;
	s->rig->wall_ms += ms;
	spool_rig_run(s->rig);
}

static struct lane *
lane_of(struct scene *s)
{
	struct lane *lane = throttle_lane(&s->throttle, &s->route);
	assert_non_null(lane);
	return lane;
}

/* Milliseconds until the next may go, with what has to be read and written done. */
static int64_t
wait_ms(struct scene *s)
{
	struct lane *lane = lane_of(s);
	for (int i = 0; i < 10; i++) {
		int64_t ms = lane_wait_ms(lane);
		if (ms != LANE_LATER)
			return ms;
		spool_rig_run(s->rig);
	}
	fail_msg("the counter is neither read nor written");
	return 0;
}

/* As many as may go at once. */
static unsigned
burst(struct scene *s)
{
	unsigned n = 0;
	for (; n < 10000 && wait_ms(s) == 0; n++)
		lane_take(lane_of(s));
	return n;
}

/* The process dies: nothing is settled. */
static void
crash(struct scene *s)
{
	throttle_clear(&s->throttle);
	spool_rig_run(s->rig);
	throttle_init(&s->throttle, s->rig->loop, s->rig->spool, on_wake, s);
}

static void
test_burst(void **state)
{
	struct scene *s = *state;
	set_rate(s, "10/1h", NULL);
	assert_int_equal(burst(s), 10);
	assert_int_equal(wait_ms(s), 6 * MINUTE_MS);
	pass(s, 6 * MINUTE_MS - 1);
	assert_int_equal(burst(s), 0);
	pass(s, 1);
	assert_int_equal(burst(s), 1);
	pass(s, 3 * HOUR_MS);
	assert_int_equal(burst(s), 10);
	struct route plain = {.name = s->route.name};
	assert_null(throttle_lane(&s->throttle, &plain));
	assert_null(throttle_lane(&s->throttle, NULL));
}

static void
test_all_rates(void **state)
{
	struct scene *s = *state;
	struct buf why;
	set_rate(s, "2/1s", "3/1d");
	assert_int_equal(burst(s), 2);
	pass(s, SECOND_MS);
	assert_int_equal(burst(s), 1); /* the day's last */
	assert_int_equal((wait_ms(s) + HOUR_MS / 2) / HOUR_MS, 8);
	buf_init(&why, 200);
	assert_true(lane_explain(lane_of(s), &why));
	assert_true(span_eq(buf_span(&why),
	    SPAN("route slow: its rate of 3/1d lets the next message go in 7h59m")));
	buf_clear(&why);
	/* twice the same period: the lower one counts */
	set_rate(s, "5/1m", "1/1m");
	assert_int_equal(burst(s), 1);
}

/* However it dies, there is never more than the allowance. */
static void
test_crash(void **state)
{
	struct scene *s = *state;
	unsigned gone = 0;
	set_rate(s, "100/1h", NULL);
	for (int i = 0; i < 300; i++) {
		if (wait_ms(s) == 0) {
			lane_take(lane_of(s));
			gone++;
		}
		if (i % 7 == 0)
			crash(s);
	}
	assert_true(gone <= 100);
	assert_true(gone >= 40); /* and what is lost by crashes is not all */
}

/* The counter is in the spool before the message goes. */
static void
test_written_ahead(void **state)
{
	struct scene *s = *state;
	set_rate(s, "1/1h", NULL);
	assert_int_equal(wait_ms(s), 0);
	crash(s); /* as if it had gone at this instant */
	assert_true(wait_ms(s) > HOUR_MS - MINUTE_MS);
}

static void
test_settle(void **state)
{
	struct scene *s = *state;
	set_rate(s, "100/1h", NULL);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(wait_ms(s), 0);
		lane_take(lane_of(s));
	}
	throttle_settle(&s->throttle);
	crash(s);
	assert_int_equal(burst(s), 80); /* exactly, after a graceful end */
}

static void
test_reload(void **state)
{
	struct scene *s = *state;
	set_rate(s, "10/1h", NULL);
	assert_int_equal(burst(s), 10);
	set_rate(s, "20/1h", NULL); /* the same period: what is used counts */
	assert_int_equal(burst(s), 0);
	set_rate(s, "10/1m", NULL); /* another one: its own counter */
	assert_int_equal(burst(s), 10);
	set_rate(s, "10/1h", NULL);
	assert_int_equal(burst(s), 0); /* it was not forgotten */
	throttle_begin_reload(&s->throttle);
	throttle_end_reload(&s->throttle);
	assert_int_equal(s->throttle.lanes.n, 0); /* no route has a rate any more */
	spool_rig_run(s->rig);
	assert_int_equal(burst(s), 0); /* and here it is again */
}

/* A clock that went back does not stop a route for longer than its period. */
static void
test_clock_back(void **state)
{
	struct scene *s = *state;
	set_rate(s, "10/1h", NULL);
	assert_int_equal(burst(s), 10);
	s->rig->wall_ms -= 30 * DAY_MS;
	assert_true(wait_ms(s) <= 6 * MINUTE_MS);
}

static void
test_wake(void **state)
{
	struct scene *s = *state;
	set_rate(s, "1/1m", NULL);
	struct lane *lane = lane_of(s);
	assert_int_equal(lane_wait_ms(lane), LANE_LATER);
	list_push(&lane->waiting, &s->waiter);
	spool_rig_run(s->rig);
	assert_int_equal(s->woken, 1); /* read */
	assert_int_equal(lane_wait_ms(lane), LANE_LATER);
	spool_rig_run(s->rig);
	assert_int_equal(s->woken, 2); /* written */
	assert_int_equal(lane_wait_ms(lane), 0);
	lane_take(lane);
	assert_int_equal(lane_wait_ms(lane), MINUTE_MS);
	s->woken = 0;
	pass(s, MINUTE_MS - 1);
	assert_int_equal(s->woken, 0);
	pass(s, 1);
	assert_int_equal(s->woken, 1);
	list_remove(&s->waiter);
	pass(s, HOUR_MS);
	assert_int_equal(s->woken, 1); /* nobody waits */
}

/* Names too long for a mark do not share a counter. */
static void
test_long_names(void **state)
{
	struct scene *s = *state;
	set_rate(s, "1/1h", NULL);
	mem_free(&s->route.name);
	s->route.name = mem_strdup("a-route-with-a-name-that-is-long-1");
	assert_int_equal(burst(s), 1);
	mem_free(&s->route.name);
	s->route.name = mem_strdup("a-route-with-a-name-that-is-long-2");
	assert_int_equal(burst(s), 1);
	crash(s);
	assert_int_equal(burst(s), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_burst),
	    TEST(test_all_rates),
	    TEST(test_crash),
	    TEST(test_written_ahead),
	    TEST(test_settle),
	    TEST(test_reload),
	    TEST(test_clock_back),
	    TEST(test_wake),
	    TEST(test_long_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
