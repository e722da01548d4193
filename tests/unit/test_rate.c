/* SPDX-License-Identifier: ISC */
/* "100/1h": what can be read, and how an allowance goes and comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/when.h"
#include "policy/rate.h"

#define SECOND_US INT64_C(1000000)

static void
test_parse(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum err e;
		uint32_t count;
		int64_t period_ms;
		const char *shown;
	} cases[] = {
	    {"1/1s", OK, 1, SECOND_MS, "1/1s"},
	    {"1000000000/366d", OK, 1000000000, 366 * DAY_MS, "1000000000/366d"},
	    {"10/s", OK, 10, SECOND_MS, "10/1s"},
	    {"10/m", OK, 10, MINUTE_MS, "10/1m"},
	    {"10/h", OK, 10, HOUR_MS, "10/1h"},
	    {"10/d", OK, 10, DAY_MS, "10/1d"},
	    {"10/w", OK, 10, 7 * DAY_MS, NULL},
	    {"100/1h30m", OK, 100, 90 * MINUTE_MS, "100/1h30m"},
	    {"7/1000ms", OK, 7, SECOND_MS, "7/1s"},
	    {"007/1s", OK, 7, SECOND_MS, "7/1s"},
	    /* bounds */
	    {"0/1s", ERR_RANGE, 0, 0, NULL},
	    {"1000000001/1s", ERR_RANGE, 0, 0, NULL},
	    {"4294967297/1s", ERR_RANGE, 0, 0, NULL},
	    {"18446744073709551617/1s", ERR_RANGE, 0, 0, NULL},
	    {"1/999ms", ERR_RANGE, 0, 0, NULL},
	    {"1/ms", ERR_RANGE, 0, 0, NULL},
	    {"1/0", ERR_RANGE, 0, 0, NULL},
	    {"1/0s", ERR_RANGE, 0, 0, NULL},
	    {"1/367d", ERR_RANGE, 0, 0, NULL},
	    {"1/366d1ms", ERR_RANGE, 0, 0, NULL},
	    {"1/99999999999999999999d", ERR_RANGE, 0, 0, NULL},
	    /* no rate */
	    {"", ERR_SYNTAX, 0, 0, NULL},
	    {"/", ERR_SYNTAX, 0, 0, NULL},
	    {"5", ERR_SYNTAX, 0, 0, NULL},
	    {"5/", ERR_SYNTAX, 0, 0, NULL},
	    {"/1h", ERR_SYNTAX, 0, 0, NULL},
	    {"5/1", ERR_SYNTAX, 0, 0, NULL},
	    {"5/x", ERR_SYNTAX, 0, 0, NULL},
	    {"5/hours", ERR_SYNTAX, 0, 0, NULL},
	    {"5/hhhhhhhhhhhhhhhh", ERR_SYNTAX, 0, 0, NULL},
	    {"5/1h/2h", ERR_SYNTAX, 0, 0, NULL},
	    {"5 /1h", ERR_SYNTAX, 0, 0, NULL},
	    {"5/ 1h", ERR_SYNTAX, 0, 0, NULL},
	    {"-5/1h", ERR_SYNTAX, 0, 0, NULL},
	    {"+5/1h", ERR_SYNTAX, 0, 0, NULL},
	    {"5/-1h", ERR_SYNTAX, 0, 0, NULL},
	    {"5.5/1h", ERR_SYNTAX, 0, 0, NULL},
	    {"5/1h ", ERR_SYNTAX, 0, 0, NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rate r = {0};
		enum err e = rate_parse(span_str(cases[i].text), &r);
		if (e != cases[i].e)
			fail_msg("\"%s\": %s", cases[i].text, err_text(e));
		if (e != OK)
			continue;
		assert_int_equal(r.count, cases[i].count);
		assert_int_equal(r.period_ms, cases[i].period_ms);
		if (cases[i].shown == NULL)
			continue;
		struct buf b;
		buf_init(&b, 64);
		rate_add(&b, &r);
		assert_true(span_eq(buf_span(&b), span_str(cases[i].shown)));
		buf_clear(&b);
	}
}

static struct rate
rate(const char *text)
{
	struct rate r;
	assert_int_equal(rate_parse(span_str(text), &r), OK);
	return r;
}

/* All of it at once, then one each period / count. */
static void
test_allowance(void **state)
{
	(void)state;
	struct rate r = rate("10/10s");
	struct rate_use u = {0};
	int64_t now = 77 * SECOND_US;
	assert_true(rate_idle(&u, now));
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(rate_wait(&r, &u, now, 1), 0);
		rate_take(&r, &u, now, 1);
	}
	assert_false(rate_idle(&u, now));
	assert_int_equal(rate_wait(&r, &u, now, 1), SECOND_US);
	assert_int_equal(rate_wait(&r, &u, now, 3), 3 * SECOND_US);
	assert_int_equal(rate_wait(&r, &u, now + SECOND_US - 1, 1), 1);
	now += SECOND_US;
	assert_int_equal(rate_wait(&r, &u, now, 1), 0);
	rate_take(&r, &u, now, 1);
	assert_int_equal(rate_wait(&r, &u, now, 1), SECOND_US);
	now += 10 * SECOND_US; /* what was not used is not saved up */
	assert_true(rate_idle(&u, now));
	now += 1000 * SECOND_US;
	rate_take(&r, &u, now, 10);
	assert_int_equal(rate_wait(&r, &u, now, 1), SECOND_US);
}

/* More than the allowance goes when all of it is free, and is owed then. */
static void
test_more_than_all(void **state)
{
	(void)state;
	struct rate r = rate("10/10s");
	struct rate_use u = {0};
	assert_int_equal(rate_wait(&r, &u, 0, 25), 0);
	rate_take(&r, &u, 0, 25);
	assert_int_equal(rate_wait(&r, &u, 0, 1), 16 * SECOND_US);
	assert_int_equal(rate_wait(&r, &u, 0, 25), 25 * SECOND_US);
	assert_false(rate_idle(&u, 25 * SECOND_US - 1));
	assert_true(rate_idle(&u, 25 * SECOND_US));
}

/* At the bounds nothing overflows. */
static void
test_bounds(void **state)
{
	(void)state;
	struct rate r = rate("1/366d");
	struct rate_use u = {0};
	int64_t now = INT64_C(40) * 366 * DAY_MS * 1000; /* a clock of forty years */
	rate_take(&r, &u, now, 1);
	assert_int_equal(rate_wait(&r, &u, now, 1), 366 * DAY_MS * 1000);
	r = rate("1000000000/1s");
	u = (struct rate_use){0};
	rate_take(&r, &u, now, 1000000000);
	assert_int_equal(rate_wait(&r, &u, now, 1000000000), SECOND_US);
	r = rate("1000000000/366d");
	u = (struct rate_use){0};
	rate_take(&r, &u, now, 999999999);
	assert_int_equal(rate_wait(&r, &u, now, 1), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_allowance),
	    cmocka_unit_test(test_more_than_all),
	    cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
