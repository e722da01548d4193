/* SPDX-License-Identifier: ISC */
/* xtext (RFC 3461 4): what decodes and to what, what does not, and that decode undoes
 * encode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "policy/address.h"

static void
test_good(void **state)
{
	static const struct {
		const char *in, *out;
	} good[] = {{"", ""}, {"abc", "abc"}, {"a+2Bb", "a+b"}, {"a+3Db", "a=b"},
	    {"+20", " "}, {"+41", "A"}, {"+2B+2B", "++"}, {"a+2B3D", "a+3D"},
	    {"+5C", "\\"}, {"!~", "!~"}, {"+C3+BC", "\xc3\xbc"}, {"+7E", "~"}};
	struct buf b;
	(void)state;
	buf_init(&b, 1024);
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		buf_reset(&b);
		assert_int_equal(xtext_decode(span_str(good[i].in), &b), OK);
		if (!span_eq(buf_span(&b), span_str(good[i].out)))
			fail_msg("%s: %.*s", good[i].in, SPAN_ARG(buf_span(&b)));
	}
	buf_clear(&b);
}

static void
test_bad(void **state)
{
	static const char *const bad[] = {"+", "a+", "a+2", "+2", "a+2b", "a+b2", "a+GG",
	    "a+ 1", "a++", "a b", "a=b", "\x80", "a\xc3\xbc", "a\x7f", "a\tb", "a\r\nb",
	    "a+0Ab", "a+0D+0AX-Inj:", "a+00", "a+1B", "a+1F", "a+7F"};
	struct buf b;
	(void)state;
	buf_init(&b, 1024);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		buf_reset(&b);
		if (xtext_decode(span_str(bad[i]), &b) != ERR_SYNTAX)
			fail_msg("%s should be refused", bad[i]);
	}
	assert_int_equal(xtext_decode(SPAN("a\0b"), &b), ERR_SYNTAX);
	buf_clear(&b);
}

/* Each byte plain and as an escape; no control character ever comes out. */
static void
test_every_byte(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 1024);
	for (unsigned c = 0; c < 256; c++) {
		char plain = (char)c, escape[4];
		bool control = c < 0x20 || c == 0x7f;
		buf_reset(&b);
		enum err e = xtext_decode((struct span){&plain, 1}, &b);
		assert_int_equal(
		    e, c > 0x20 && c < 0x7f && c != '+' && c != '=' ? OK : ERR_SYNTAX);
		(void)snprintf(escape, sizeof(escape), "+%02X", c);
		buf_reset(&b);
		e = xtext_decode(span_str(escape), &b);
		assert_int_equal(e, control ? ERR_SYNTAX : OK);
		assert_true(control || span_eq(buf_span(&b), (struct span){&plain, 1}));
	}
	buf_clear(&b);
}

static void
test_encode(void **state)
{
	struct buf b, back;
	char all[256 - 0x21];
	size_t n = 0;
	(void)state;
	buf_init(&b, 4096);
	buf_init(&back, 4096);
	xtext_encode(SPAN("a+b=c d\xc3\n"), &b);
	assert_true(span_eq(buf_span(&b), SPAN("a+2Bb+3Dc+20d+C3+0A")));
	for (unsigned c = 0x20; c < 256; c++)
		if (c != 0x7f)
			all[n++] = (char)c;
	buf_reset(&b);
	xtext_encode((struct span){all, n}, &b);
	assert_int_equal(xtext_decode(buf_span(&b), &back), OK);
	assert_true(span_eq(buf_span(&back), (struct span){all, n}));
	buf_clear(&b);
	buf_clear(&back);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_every_byte),
	    cmocka_unit_test(test_encode),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
