/* SPDX-License-Identifier: ISC */
/* when: dates in three forms, several zones, and durations. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "base/when.h"

static void
assert_text(struct buf *b, const char *want)
{
	char *got = buf_take(b);
	assert_string_equal(got, want);
	mem_free(&got);
}

static void
test_iso(void **state)
{
	(void)state;
	static const struct {
		int64_t ms;
		const char *want;
	} cases[] = {
	    {0, "1970-01-01T00:00:00.000Z"},
	    {-1, "1969-12-31T23:59:59.999Z"},
	    {1795433940123, "2026-11-23T11:39:00.123Z"},
	    {951782399999, "2000-02-28T23:59:59.999Z"},
	    {951782400000, "2000-02-29T00:00:00.000Z"},
	    {951868800000, "2000-03-01T00:00:00.000Z"},
	    {4107542399000, "2100-02-28T23:59:59.000Z"},
	    {4107542400000, "2100-03-01T00:00:00.000Z"},
	    {253402300799999, "9999-12-31T23:59:59.999Z"},
	};
	struct buf b = {0};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		wall_add_iso(&b, (struct wall){cases[i].ms});
		assert_text(&b, cases[i].want);
	}
}

/* Each day from 1890 to 2110 as the C library has it. */
static void
test_iso_like_gmtime(void **state)
{
	(void)state;
	struct buf b = {0};
	for (int64_t day = -29000; day < 51500; day++) {
		time_t t = (time_t)(day * 86400);
		struct tm tm;
		char want[64];
		assert_non_null(gmtime_r(&t, &tm));
		assert_true(
		    strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000Z", &tm) > 0);
		wall_add_iso(&b, (struct wall){day * DAY_MS});
		assert_text(&b, want);
	}
}

static void
test_local(void **state)
{
	(void)state;
	static const struct {
		const char *zone; /* POSIX form: needs no zone files */
		int64_t ms;
		const char *rfc5322, *local;
	} cases[] = {
	    {"UTC0", 1795433940123, "Mon, 23 Nov 2026 11:39:00 +0000",
		"2026-11-23 11:39:00"},
	    {"UTC0", -1, "Wed, 31 Dec 1969 23:59:59 +0000", "1969-12-31 23:59:59"},
	    {"CET-1CEST,M3.5.0,M10.5.0/3", 1795433940123,
		"Mon, 23 Nov 2026 12:39:00 +0100", "2026-11-23 12:39:00"},
	    {"CET-1CEST,M3.5.0,M10.5.0/3", 1783000000000,
		"Thu, 2 Jul 2026 15:46:40 +0200", "2026-07-02 15:46:40"},
	    {"XXX3:30", 1795433940123, "Mon, 23 Nov 2026 08:09:00 -0330",
		"2026-11-23 08:09:00"},
	    {"XXX0:30", 1795433940123, "Mon, 23 Nov 2026 11:09:00 -0030",
		"2026-11-23 11:09:00"},
	    {"XXX-5:45", 1795433940123, "Mon, 23 Nov 2026 17:24:00 +0545",
		"2026-11-23 17:24:00"},
	};
	struct buf b = {0};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(setenv("TZ", cases[i].zone, 1), 0);
		tzset();
		wall_add_rfc5322(&b, (struct wall){cases[i].ms});
		assert_text(&b, cases[i].rfc5322);
		wall_add_local(&b, (struct wall){cases[i].ms});
		assert_text(&b, cases[i].local);
	}
}

static void
test_extremes_do_not_crash(void **state)
{
	(void)state;
	struct buf b = {0};
	for (int i = 0; i < 2; i++) {
		struct wall t = {i ? INT64_MAX : INT64_MIN};
		wall_add_iso(&b, t);
		wall_add_local(&b, t);
		wall_add_rfc5322(&b, t);
		duration_add(&b, t.ms);
	}
	buf_clear(&b);
}

static void
test_duration(void **state)
{
	(void)state;
	static const struct {
		int64_t ms;
		const char *want;
	} cases[] = {
	    {0, "0s"},
	    {999, "0s"},
	    {-999, "0s"},
	    {1000, "1s"},
	    {45 * SECOND_MS + 999, "45s"},
	    {MINUTE_MS, "1m"},
	    {4 * MINUTE_MS + 30 * SECOND_MS, "4m30s"},
	    {2 * HOUR_MS + 5 * MINUTE_MS + 59 * SECOND_MS, "2h5m"},
	    {2 * HOUR_MS + 59 * SECOND_MS, "2h"},
	    {3 * DAY_MS + 4 * HOUR_MS, "3d4h"},
	    {DAY_MS - 1, "23h59m"},
	    {-90 * SECOND_MS, "-1m30s"},
	};
	struct buf b = {0};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		duration_add(&b, cases[i].ms);
		assert_text(&b, cases[i].want);
	}
}

static void
test_arithmetic(void **state)
{
	(void)state;
	struct instant i = instant_after((struct instant){5}, 7);
	assert_int_equal(i.ms, 12);
	assert_int_equal(instant_since(i, (struct instant){20}), -8);
	struct wall w = wall_after((struct wall){5}, -7);
	assert_int_equal(w.ms, -2);
	assert_int_equal(wall_since(w, (struct wall){-3}), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_iso),
	    cmocka_unit_test(test_iso_like_gmtime),
	    cmocka_unit_test(test_local),
	    cmocka_unit_test(test_extremes_do_not_crash),
	    cmocka_unit_test(test_duration),
	    cmocka_unit_test(test_arithmetic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
