/* SPDX-License-Identifier: ISC */
/* units: numbers, durations, sizes, percentages. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/units.h"

static void
test_u64(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t max;
		enum err err;
		uint64_t want;
	} cases[] = {
	    {"0", 0, OK, 0},
	    {"1", 0, ERR_RANGE, 0},
	    {"007", 7, OK, 7},
	    {"8", 7, ERR_RANGE, 0},
	    {"18446744073709551615", UINT64_MAX, OK, UINT64_MAX},
	    {"18446744073709551616", UINT64_MAX, ERR_RANGE, 0},
	    {"18446744073709551617", 5, ERR_RANGE, 0},
	    {"99999999999999999999999999", UINT64_MAX, ERR_RANGE, 0},
	    {"99999999999999999999999999x", UINT64_MAX, ERR_SYNTAX, 0},
	    {"", 9, ERR_SYNTAX, 0},
	    {"-1", 9, ERR_SYNTAX, 0},
	    {"+1", 9, ERR_SYNTAX, 0},
	    {" 1", 9, ERR_SYNTAX, 0},
	    {"1 ", 9, ERR_SYNTAX, 0},
	    {"0x1", 99, ERR_SYNTAX, 0},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		uint64_t v = 4711;
		assert_int_equal(
		    units_u64(span_str(cases[i].text), cases[i].max, &v), cases[i].err);
		assert_int_equal(v, cases[i].err == OK ? cases[i].want : 4711);
	}
}

static void
test_duration(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum err err;
		int64_t want;
	} cases[] = {
	    {"0", OK, 0},
	    {"0s", OK, 0},
	    {"500ms", OK, 500},
	    {"30s", OK, 30000},
	    {"5m", OK, 300000},
	    {"2h", OK, 7200000},
	    {"5d", OK, 432000000},
	    {"1w", OK, 604800000},
	    {"1h30m", OK, 5400000},
	    {"1w2d3h4m5s6ms", OK, 788645006},
	    {"9223372036854775807ms", OK, INT64_MAX},
	    {"9223372036854775808ms", ERR_RANGE, 0},
	    {"18446744073709551615w", ERR_RANGE, 0},
	    {"99999999999999999999s", ERR_RANGE, 0},
	    {"15250284452w9999999999d", ERR_RANGE, 0},
	    {"", ERR_SYNTAX, 0},
	    {"1", ERR_SYNTAX, 0},
	    {"00", ERR_SYNTAX, 0},
	    {"m", ERR_SYNTAX, 0},
	    {"1h30", ERR_SYNTAX, 0},
	    {"30m1h", ERR_SYNTAX, 0},
	    {"1m1m", ERR_SYNTAX, 0},
	    {"5M", ERR_SYNTAX, 0},
	    {"-5m", ERR_SYNTAX, 0},
	    {"1.5h", ERR_SYNTAX, 0},
	    {"1 h", ERR_SYNTAX, 0},
	    {"5min", ERR_SYNTAX, 0},
	    {"99999999999999999999s1", ERR_SYNTAX, 0},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		int64_t v = 4711;
		assert_int_equal(
		    units_duration(span_str(cases[i].text), &v), cases[i].err);
		assert_int_equal(v, cases[i].err == OK ? cases[i].want : 4711);
	}
}

static void
test_size(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum err err;
		uint64_t want;
	} cases[] = {
	    {"0", OK, 0},
	    {"512B", OK, 512},
	    {"256K", OK, 256u << 10},
	    {"10M", OK, 10u << 20},
	    {"64G", OK, UINT64_C(64) << 30},
	    {"1T", OK, UINT64_C(1) << 40},
	    {"16777215T", OK, UINT64_C(16777215) << 40},
	    {"16777216T", ERR_RANGE, 0},
	    {"18446744073709551616B", ERR_RANGE, 0},
	    {"", ERR_SYNTAX, 0},
	    {"64", ERR_SYNTAX, 0},
	    {"64g", ERR_SYNTAX, 0},
	    {"64KB", ERR_SYNTAX, 0},
	    {"1G1M", ERR_SYNTAX, 0},
	    {"-1K", ERR_SYNTAX, 0},
	    {"K", ERR_SYNTAX, 0},
	    {"1 K", ERR_SYNTAX, 0},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		uint64_t v = 4711;
		assert_int_equal(units_size(span_str(cases[i].text), &v), cases[i].err);
		assert_int_equal(v, cases[i].err == OK ? cases[i].want : 4711);
	}
}

static void
test_percent(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum err err;
		unsigned want;
	} cases[] = {{"0%", OK, 0}, {"10%", OK, 10}, {"100%", OK, 100},
	    {"101%", ERR_RANGE, 0}, {"10", ERR_SYNTAX, 0}, {"%", ERR_SYNTAX, 0},
	    {"", ERR_SYNTAX, 0}, {"-1%", ERR_SYNTAX, 0}, {"10%%", ERR_SYNTAX, 0}};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		unsigned v = 4711;
		assert_int_equal(
		    units_percent(span_str(cases[i].text), &v), cases[i].err);
		assert_int_equal(v, cases[i].err == OK ? cases[i].want : 4711);
	}
}

static void
test_add_size(void **state)
{
	(void)state;
	static const struct {
		uint64_t n;
		const char *want;
	} cases[] = {{0, "0"}, {512, "512"}, {1023, "1023"}, {1024, "1K"}, {1536, "1.5K"},
	    {2047, "1.9K"}, {(1u << 20) - 1, "1023.9K"}, {1u << 20, "1M"},
	    {UINT64_C(64) << 30, "64G"}, {UINT64_MAX, "15.9E"}};
	struct buf b = {0};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		units_add_size(&b, cases[i].n);
		assert_true(span_eq(buf_span(&b), span_str(cases[i].want)));
		buf_reset(&b);
	}
	buf_clear(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_u64),
	    cmocka_unit_test(test_duration),
	    cmocka_unit_test(test_size),
	    cmocka_unit_test(test_percent),
	    cmocka_unit_test(test_add_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
