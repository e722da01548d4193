/* SPDX-License-Identifier: ISC */
/* span and buf: borrowed bytes, growing bytes, and the memory below them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/span.h"

static const struct span absent;

static void
test_compare(void **state)
{
	(void)state;
	static const struct {
		struct span a, b;
		bool eq, ieq, starts, istarts, iends;
		int cmp;
	} cases[] = {
	    {{"", 0}, {"", 0}, true, true, true, true, true, 0},
	    {{NULL, 0}, {"", 0}, true, true, true, true, true, 0},
	    {{"a", 1}, {NULL, 0}, false, false, true, true, true, 1},
	    {{"abc", 3}, {"abc", 3}, true, true, true, true, true, 0},
	    {{"aBc", 3}, {"AbC", 3}, false, true, false, true, true, 1},
	    {{"abc", 3}, {"ab", 2}, false, false, true, true, false, 1},
	    {{"ab", 2}, {"abc", 3}, false, false, false, false, false, -1},
	    {{"abc", 3}, {"bC", 2}, false, false, false, false, true, -1},
	    {{"a\0b", 3}, {"a\0c", 3}, false, false, false, false, false, -1},
	    {{"[", 1}, {"{", 1}, false, false, false, false, false, -1},
	    {{"\xc4", 1}, {"\xe4", 1}, false, false, false, false, false, -1},
	    {{"\x80", 1}, {"a", 1}, false, false, false, false, false, 1},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct span a = cases[i].a, b = cases[i].b;
		assert_int_equal(span_eq(a, b), cases[i].eq);
		assert_int_equal(span_ieq(a, b), cases[i].ieq);
		assert_int_equal(span_starts(a, b), cases[i].starts);
		assert_int_equal(span_istarts(a, b), cases[i].istarts);
		assert_int_equal(span_iends(a, b), cases[i].iends);
		int cmp = span_cmp(a, b);
		assert_int_equal((cmp > 0) - (cmp < 0), cases[i].cmp);
	}
}

static void
test_cut(void **state)
{
	(void)state;
	static const struct {
		const char *s;
		size_t from, n;
		const char *want;
	} cases[] = {
	    {"hello", 0, 5, "hello"},
	    {"hello", 1, 2, "el"},
	    {"hello", 3, 9, "lo"},
	    {"hello", 3, SIZE_MAX, "lo"},
	    {"hello", 5, 1, ""},
	    {"hello", SIZE_MAX, SIZE_MAX, ""},
	    {"", 0, 1, ""},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct span got =
		    span_cut(span_str(cases[i].s), cases[i].from, cases[i].n);
		assert_true(span_eq(got, span_str(cases[i].want)));
	}
	assert_null(span_cut(absent, 0, 1).p);
	assert_null(span_str(NULL).p);
}

static void
test_trim_find_lower(void **state)
{
	(void)state;
	assert_true(span_eq(span_trim(SPAN(" \ta b\t ")), SPAN("a b")));
	assert_int_equal(span_trim(SPAN(" \t ")).n, 0);
	assert_int_equal(span_trim(absent).n, 0);
	assert_int_equal(span_find(SPAN("a.b.c"), '.'), 1);
	assert_int_equal(span_find(SPAN("abc"), '.'), 3);
	assert_int_equal(span_find(SPAN("ab\0"), '\0'), 2);
	assert_int_equal(span_find(absent, '.'), 0);
	assert_int_equal(span_find_last(SPAN("a.b.c"), '.'), 3);
	assert_int_equal(span_find_last(SPAN(".bc"), '.'), 0);
	assert_int_equal(span_find_last(SPAN("abc"), '.'), 3);
	assert_int_equal(span_find_last(absent, '.'), 0);
	for (int c = -128; c < 128; c++) {
		int want = c >= 'A' && c <= 'Z' ? c + 32 : c;
		assert_int_equal(ascii_lower((char)c), want);
	}
}

static void
test_copies(void **state)
{
	(void)state;
	char dst[4] = "xxx";
	span_copy(SPAN("ab"), dst, sizeof(dst));
	assert_string_equal(dst, "ab");
	span_copy(SPAN("abcdef"), dst, sizeof(dst));
	assert_string_equal(dst, "abc");
	span_copy(SPAN("zz"), dst, 0);
	assert_string_equal(dst, "abc");
	span_copy(absent, dst, 1);
	assert_string_equal(dst, "");
	char *copy = span_dup(SPAN("a\0b"));
	assert_memory_equal(copy, "a\0b", 4);
	mem_free(&copy);
	assert_null(copy);
	copy = span_dup(absent);
	assert_string_equal(copy, "");
	mem_free(&copy);
}

static void
test_mem(void **state)
{
	(void)state;
	char *p = mem_alloc(0);
	assert_non_null(p);
	mem_free(&p);
	mem_free(&p);
	p = mem_alloc(3);
	assert_memory_equal(p, "\0\0\0", 3);
	p = mem_resize(p, 0, 8);
	assert_non_null(p);
	mem_free(&p);
	p = mem_alloc_raw(0);
	assert_non_null(p);
	mem_free(&p);
	p = mem_strdup("hi");
	assert_string_equal(p, "hi");
	mem_free(&p);
}

static void
test_err(void **state)
{
	(void)state;
	static const struct {
		int errnum;
		enum err want;
	} cases[] = {{0, OK}, {EAGAIN, ERR_AGAIN}, {ENOSPC, ERR_DISK_FULL},
	    {EDQUOT, ERR_DISK_FULL}, {EACCES, ERR_DENIED}, {ENOENT, ERR_NOT_FOUND},
	    {EADDRINUSE, ERR_BUSY}, {EMFILE, ERR_FULL}, {ECONNREFUSED, ERR_REFUSED},
	    {ETIMEDOUT, ERR_TIMEOUT}, {ENETUNREACH, ERR_UNREACHABLE}, {EPIPE, ERR_CLOSED},
	    {EINVAL, ERR_IO}};
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(err_from_errno(cases[i].errnum), cases[i].want);
	for (int e = ERR_CONFIG; e <= OK; e++)
		assert_string_not_equal(err_text((enum err)e), "unknown error");
	assert_string_equal(err_text((enum err)(ERR_CONFIG - 1)), "unknown error");
}

static void
test_buf_grows(void **state)
{
	(void)state;
	struct buf b = {0};
	assert_int_equal(buf_span(&b).n, 0);
	assert_non_null(buf_room(&b, 0));
	for (int i = 0; i < 1000; i++)
		buf_addf(&b, "%04d", i);
	assert_int_equal(b.n, 4000);
	assert_memory_equal(b.p + 3996, "0999", 4);
	buf_consume(&b, 3990);
	assert_true(span_eq(buf_span(&b), SPAN("9709980999")));
	buf_consume(&b, 0);
	buf_consume(&b, 10);
	assert_int_equal(b.n, 0);
	buf_add_str(&b, "x");
	buf_add_char(&b, '\0');
	buf_add_span(&b, SPAN("yz"));
	buf_add(&b, NULL, 0);
	char *taken = buf_take(&b);
	assert_memory_equal(taken, "x\0yz", 5);
	mem_free(&taken);
	taken = buf_take(&b);
	assert_string_equal(taken, "");
	mem_free(&taken);
	buf_clear(&b);
	buf_clear(&b);
	buf_wipe(&b);
	buf_init(&b, 10);
	buf_add_str(&b, "secret");
	buf_wipe(&b);
	assert_int_equal(b.n, 0);
	assert_null(b.p);
	buf_add_str(&b, "more than ten octets");
	assert_true(b.overflow);
	buf_clear(&b);
}

static void
test_buf_bound(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 5);
	buf_add_str(&b, "abc");
	buf_add_str(&b, "def");
	assert_true(b.overflow);
	assert_true(span_eq(buf_span(&b), SPAN("abc")));
	assert_null(buf_room(&b, 3));
	assert_null(buf_room(&b, SIZE_MAX));
	buf_reset(&b);
	assert_false(b.overflow);
	buf_addf(&b, "%s", "12345");
	assert_false(b.overflow);
	assert_int_equal(b.n, 5);
	buf_clear(&b);
	assert_int_equal(b.max, 5);
}

static void
test_buf_long_format(void **state)
{
	(void)state;
	char text[601];
	memset(text, 'x', 600);
	text[600] = '\0';
	struct buf b;
	buf_init(&b, 600);
	buf_addf(&b, "%s", text);
	assert_false(b.overflow);
	assert_int_equal(b.n, 600);
	buf_reset(&b);
	buf_addf(&b, "%sy", text);
	assert_true(b.overflow);
	assert_int_equal(b.n, 0);
	for (size_t n = 250; n < 260; n++) {
		buf_reset(&b);
		buf_addf(&b, "%s", text + 600 - n);
		assert_int_equal(b.n, n);
		assert_int_equal(b.p[n - 1], 'x');
	}
	buf_clear(&b);
}

static void
test_buf_escaped(void **state)
{
	(void)state;
	struct buf b = {0};
	buf_add_escaped(&b, SPAN("a b~\r\n\0\x1b\x7f\xc3\xa4\\\""));
	assert_true(span_eq(
	    buf_span(&b), SPAN("a b~\\x0d\\x0a\\x00\\x1b\\x7f\\xc3\\xa4\\\\\\\"")));
	buf_clear(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_compare),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_trim_find_lower),
	    cmocka_unit_test(test_copies),
	    cmocka_unit_test(test_mem),
	    cmocka_unit_test(test_err),
	    cmocka_unit_test(test_buf_grows),
	    cmocka_unit_test(test_buf_bound),
	    cmocka_unit_test(test_buf_long_format),
	    cmocka_unit_test(test_buf_escaped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
