/* SPDX-License-Identifier: ISC */
/* The pure parts of the scheduler: when to try again, how many at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/egress/backoff.h"
#include "relay/egress/feedback.h"

static const struct retry_config usual = {.interval_ms = 30 * MINUTE_MS,
    .first_ms = 5 * MINUTE_MS,
    .jitter_percent = 10,
    .expire_ms = 5 * DAY_MS,
    .warn_ms = 4 * HOUR_MS,
    .bounce_expire_ms = DAY_MS};

static void
test_delay(void **state)
{
	static const struct {
		uint32_t attempts;
		int64_t least, most;
	} cases[] = {
	    {1, 270 * SECOND_MS, 330 * SECOND_MS},
	    {2, 27 * MINUTE_MS, 33 * MINUTE_MS},
	    {200, 27 * MINUTE_MS, 33 * MINUTE_MS},
	    {UINT32_MAX, 27 * MINUTE_MS, 33 * MINUTE_MS},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		int64_t low = INT64_MAX, high = 0;
		for (uint64_t dice = 0; dice < 400000; dice += 7) {
			int64_t ms =
			    backoff_delay_ms(&usual, cases[i].attempts, dice * 977);
			low = ms < low ? ms : low;
			high = ms > high ? ms : high;
			assert_true(ms >= cases[i].least && ms <= cases[i].most);
		}
		assert_true(high > low); /* it is spread */
	}
	struct retry_config exact = usual;
	exact.jitter_percent = 0;
	assert_int_equal(backoff_delay_ms(&exact, 1, 12345), 5 * MINUTE_MS);
	assert_int_equal(backoff_delay_ms(&exact, 2, 12345), 30 * MINUTE_MS);
}

static void
test_expiry(void **state)
{
	struct wall t = {1000};
	(void)state;
	assert_int_equal(backoff_expiry(&usual, t, false).ms, 1000 + 5 * DAY_MS);
	assert_int_equal(backoff_expiry(&usual, t, true).ms, 1000 + DAY_MS);
}

static void
test_sane_due(void **state)
{
	struct wall now = {100 * DAY_MS};
	(void)state;
	assert_int_equal(
	    backoff_sane_due(&usual, (struct wall){now.ms - 5}, now).ms, now.ms - 5);
	struct wall soon = wall_after(now, 33 * MINUTE_MS);
	assert_int_equal(backoff_sane_due(&usual, soon, now).ms, soon.ms);
	/* further ahead than we ever plan: the clock went back */
	assert_int_equal(
	    backoff_sane_due(&usual, wall_after(now, 2 * DAY_MS), now).ms, now.ms);
}

static void
test_window(void **state)
{
	struct feedback f;
	(void)state;
	feedback_init(&f, 5, 20);
	assert_int_equal(f.window, 5);
	for (int i = 0; i < 1000; i++)
		feedback_success(&f, f.window);
	assert_int_equal(
	    f.window, 20); /* grows to the limit while it is used, never over it */
	feedback_init(&f, 5, 20);
	for (int i = 0; i < 1000; i++)
		feedback_success(&f, 1);
	assert_true(f.window <= 6); /* not used: no growth beyond busy + initial */
	feedback_init(&f, 0, 0);
	assert_int_equal(f.window, 1);
	feedback_init(&f, 50, 20);
	assert_int_equal(f.window, 20);
}

static void
test_down(void **state)
{
	struct feedback f;
	(void)state;
	feedback_init(&f, 5, 20);
	assert_true(feedback_failure(&f, 1)); /* the only one failed: down */
	feedback_init(&f, 5, 20);
	for (int i = 0; i < 4; i++)
		assert_false(feedback_failure(&f, 5));
	assert_true(feedback_failure(&f, 5)); /* as many in a row as ran at once */
	assert_true(f.window >= 1);
	feedback_init(&f, 5, 20);
	for (int i = 0; i < 100;
	     i++) { /* one bad host behind a balancer does not bring it down */
		assert_false(feedback_failure(&f, 5));
		feedback_success(&f, 5);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_delay),
	    cmocka_unit_test(test_expiry),
	    cmocka_unit_test(test_sane_due),
	    cmocka_unit_test(test_window),
	    cmocka_unit_test(test_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
