/* SPDX-License-Identifier: ISC */
/* json: structure, escapes, and what is not UTF-8. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include <jansson.h>

#include "base/json.h"
#include "base/mem.h"

#define BAD "\xef\xbf\xbd"

static void
test_structure(void **state)
{
	(void)state;
	struct buf b = {0};
	struct json j = {.out = &b};
	json_open(&j, '{');
	json_str(&j, "id", SPAN("x"));
	json_open_as(&j, "to", '[');
	json_str(&j, NULL, SPAN("a"));
	json_str(&j, NULL, SPAN("b"));
	json_open(&j, '{');
	json_close(&j, '}');
	json_open(&j, '[');
	json_int(&j, NULL, INT64_MIN);
	json_close(&j, ']');
	json_close(&j, ']');
	json_bool(&j, "yes", true);
	json_bool(&j, "no", false);
	json_nothing(&j, "nil");
	json_cstr(&j, "c", NULL);
	json_cstr(&j, "d\"", "");
	json_int(&j, "n", INT64_MAX);
	json_close(&j, '}');
	assert_true(
	    span_eq(buf_span(&b), SPAN("{\"id\":\"x\",\"to\":[\"a\",\"b\",{},[-"
				       "9223372036854775808]],\"yes\":true,"
				       "\"no\":false,\"nil\":null,\"c\":null,\"d\\\"\":"
				       "\"\",\"n\":9223372036854775807}")));
	buf_clear(&b);
}

static void
test_strings(void **state)
{
	(void)state;
	static const struct {
		struct span in;
		const char *want; /* without the quotes */
	} cases[] = {
	    {{NULL, 0}, ""},
	    {{"plain", 5}, "plain"},
	    {{"\"\\/", 3}, "\\\"\\\\/"},
	    {{"\b\f\n\r\t", 5}, "\\b\\f\\n\\r\\t"},
	    {{"a\0b\x1b\x7f", 5}, "a\\u0000b\\u001b\\u007f"},
	    {{"\xc3\xa4", 2}, "\xc3\xa4"},
	    {{"\xc2\x9b\xc2\xa0", 4}, "\\u009b\xc2\xa0"},
	    {{"\xe2\x82\xac\xf0\x9f\x98\x80", 7}, "\xe2\x82\xac\xf0\x9f\x98\x80"},
	    {{"\xed\x9f\xbf\xee\x80\x80", 6}, "\xed\x9f\xbf\xee\x80\x80"},
	    {{"\xf4\x8f\xbf\xbf", 4}, "\xf4\x8f\xbf\xbf"},
	    {{"a\xffz", 3}, "a" BAD "z"},
	    {{"\x80\xbf", 2}, BAD BAD},
	    {{"\xc0\xaf", 2}, BAD BAD},                 /* overlong */
	    {{"\xe0\x80\xaf", 3}, BAD BAD BAD},         /* overlong */
	    {{"\xed\xa0\x80", 3}, BAD BAD BAD},         /* surrogate */
	    {{"\xf4\x90\x80\x80", 4}, BAD BAD BAD BAD}, /* over U+10FFFF */
	    {{"\xf5", 1}, BAD},
	    {{"\xe2\x82", 2}, BAD}, /* cut at the end: one subpart */
	    {{"\xf0\x9f\x98", 3}, BAD},
	    {{"\xc3", 1}, BAD},
	    {{"\xe2\x82\"", 3}, BAD "\\\""},
	    {{"\xe2\xe2\x82\xac", 4}, BAD "\xe2\x82\xac"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf b = {0};
		struct json j = {.out = &b};
		json_str(&j, NULL, cases[i].in);
		assert_true(b.n >= 2 && b.p[0] == '"' && b.p[b.n - 1] == '"');
		assert_true(
		    span_eq(span_cut(buf_span(&b), 1, b.n - 2), span_str(cases[i].want)));
		buf_clear(&b);
	}
}

/* Any two bytes, and three or four with a lead byte, are read by another's parser. */
static void
test_another_reads_it(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 65536; i++) {
		const char in[4] = {
		    (char)(i >> 8), (char)i, (char)(0x80 | (i & 0x3f)), (char)(i * 7)};
		struct buf b = {0};
		struct json j = {.out = &b};
		json_open(&j, '[');
		json_str(&j, NULL, (struct span){in, i % 3 + 2});
		json_close(&j, ']');
		json_error_t error;
		json_t *read = json_loadb(b.p, b.n, JSON_ALLOW_NUL, &error);
		assert_non_null(read);
		for (size_t k = 0; k < b.n; k++)
			assert_true((unsigned char)b.p[k] >= 0x20 && b.p[k] != 0x7f);
		json_decref(read);
		buf_clear(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_structure),
	    cmocka_unit_test(test_strings),
	    cmocka_unit_test(test_another_reads_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
