/* SPDX-License-Identifier: ISC */
/* scan: each function takes all of its thing or nothing. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/scan.h"

/* The cursor stands before exactly this text. */
static void
assert_rest(const struct scan *s, const char *want)
{
	assert_true(span_eq(scan_rest(s), span_str(want)));
	assert_int_equal(scan_peek(s), *want ? (unsigned char)*want : -1);
}

static void
test_text(void **state)
{
	(void)state;
	struct scan s = scan_over(SPAN("MAIL From:<x>"));
	assert_false(scan_text(&s, SPAN("mail")));
	assert_false(scan_itext(&s, SPAN("MAIL TO")));
	assert_false(scan_itext(&s, SPAN("MAIL From:<x>y")));
	assert_false(scan_char(&s, 'm'));
	assert_rest(&s, "MAIL From:<x>");
	assert_true(scan_text(&s, SPAN("MAIL")));
	assert_true(scan_itext(&s, SPAN(" FROM:")));
	assert_true(scan_char(&s, '<'));
	assert_true(scan_text(&s, SPAN("")));
	assert_rest(&s, "x>");
	assert_true(scan_text(&s, SPAN("x>")));
	assert_true(scan_done(&s));
	assert_false(scan_char(&s, '>'));
	assert_rest(&s, "");
}

static void
test_empty(void **state)
{
	(void)state;
	struct scan s = scan_over((struct span){NULL, 0});
	struct span out;
	uint64_t v;
	assert_true(scan_done(&s));
	assert_int_equal(scan_peek(&s), -1);
	assert_true(scan_text(&s, SPAN("")));
	assert_true(scan_itext(&s, (struct span){NULL, 0}));
	assert_false(scan_text(&s, SPAN("x")) || scan_char(&s, '\0') || scan_blanks(&s));
	assert_false(scan_run(&s, is_digit, &out) || scan_until(&s, ':', &out));
	assert_false(scan_word(&s, &out) || scan_u64(&s, UINT64_MAX, &v));
	scan_skip_blanks(&s);
	s = scan_over(SPAN("\xff"));
	assert_int_equal(scan_peek(&s), 0xff);
}

static void
test_runs(void **state)
{
	(void)state;
	struct span out;
	struct scan s = scan_over(SPAN("abc123: \t two\twords"));
	assert_false(scan_run(&s, is_digit, &out));
	assert_true(scan_run(&s, is_alpha, &out));
	assert_true(span_eq(out, SPAN("abc")));
	assert_false(scan_until(&s, ';', &out));
	assert_rest(&s, "123: \t two\twords");
	assert_true(scan_until(&s, ':', &out));
	assert_true(span_eq(out, SPAN("123")));
	assert_false(scan_word(&s, &out));
	assert_true(scan_blanks(&s));
	assert_false(scan_blanks(&s));
	scan_skip_blanks(&s);
	assert_true(scan_word(&s, &out));
	assert_true(span_eq(out, SPAN("two")));
	scan_skip_blanks(&s);
	assert_true(scan_word(&s, &out));
	assert_true(span_eq(out, SPAN("words")));
	assert_true(scan_done(&s));
	s = scan_over(SPAN(":x"));
	assert_true(scan_until(&s, ':', &out));
	assert_int_equal(out.n, 0);
	assert_rest(&s, "x");
}

static void
test_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t max;
		bool good;
		uint64_t want;
		const char *rest;
	} cases[] = {
	    {"25 x", 25, true, 25, " x"},
	    {"26 x", 25, false, 0, "26 x"},
	    {"18446744073709551615", UINT64_MAX, true, UINT64_MAX, ""},
	    {"18446744073709551616", UINT64_MAX, false, 0, "18446744073709551616"},
	    {"4294967296", UINT32_MAX, false, 0, "4294967296"},
	    {"-1", 9, false, 0, "-1"},
	    {"+1", 9, false, 0, "+1"},
	    {" 1", 9, false, 0, " 1"},
	    {"0", 0, true, 0, ""},
	    {"0007}", 9, true, 7, "}"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct scan s = scan_over(span_str(cases[i].text));
		uint64_t v = 0;
		assert_int_equal(scan_u64(&s, cases[i].max, &v), cases[i].good);
		assert_int_equal(v, cases[i].want);
		assert_rest(&s, cases[i].rest);
	}
}

static void
test_classes(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		bool digit = c >= '0' && c <= '9';
		bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		assert_int_equal(is_digit((unsigned char)c), digit);
		assert_int_equal(is_alpha((unsigned char)c), alpha);
		assert_int_equal(is_alnum((unsigned char)c), digit || alpha);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_runs),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_classes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
