/* SPDX-License-Identifier: ISC */
/* Verdicts: enhanced codes that are and are none, text made printable and cut, the reply
 * line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "policy/verdict.h"

static void
test_lines(void **state)
{
	static const struct {
		unsigned code;
		const char *enhanced, *line, *status;
	} cases[] = {
	    {250, "2.1.5", "250 2.1.5 x", "2.1.5"},
	    {250, NULL, "250 x", "2.0.0"},
	    {354, NULL, "354 x", "4.0.0"},
	    {451, NULL, "451 x", "4.0.0"},
	    {550, NULL, "550 x", "5.0.0"},
	    {554, "5.0.0", "554 5.0.0 x", "5.0.0"},
	    {550, "5.999.999", "550 5.999.999 x", "5.999.999"},
	    {550, "4.2.2", "550 4.2.2 x", "4.2.2"},
	    /* no enhanced codes */
	    {550, "", "550 x", "5.0.0"},
	    {550, "5", "550 x", "5.0.0"},
	    {550, "5.", "550 x", "5.0.0"},
	    {550, "5.7", "550 x", "5.0.0"},
	    {550, "5.7.", "550 x", "5.0.0"},
	    {550, "5.7.1.1", "550 x", "5.0.0"},
	    {550, "5.7.1 ", "550 x", "5.0.0"},
	    {550, "5.1000.1", "550 x", "5.0.0"},
	    {550, "5.1.1000", "550 x", "5.0.0"},
	    {550, "3.1.1", "550 x", "5.0.0"},
	    {550, "0.1.1", "550 x", "5.0.0"},
	    {550, "99999.1.1", "550 x", "5.0.0"},
	    {0, NULL, "000 x", "4.0.0"},
	};
	struct buf b;
	(void)state;
	buf_init(&b, 1024);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char status[16];
		struct verdict v =
		    verdict_make(cases[i].code, cases[i].enhanced, "%s", "x");
		buf_reset(&b);
		verdict_add(&b, &v);
		verdict_status(&v, status);
		if (!span_eq(buf_span(&b), span_str(cases[i].line)) ||
		    strcmp(status, cases[i].status) != 0)
			fail_msg("%s: %.*s, %s", cases[i].line, SPAN_ARG(buf_span(&b)),
			    status);
	}
	buf_clear(&b);
}

static void
test_kinds(void **state)
{
	static const struct {
		unsigned code;
		bool ok, temporary, permanent;
	} cases[] = {
	    {0, false, false, false},
	    {199, false, false, false},
	    {200, true, false, false},
	    {399, true, false, false},
	    {400, false, true, false},
	    {499, false, true, false},
	    {500, false, false, true},
	    {599, false, false, true},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct verdict v = verdict_make(cases[i].code, NULL, "x");
		assert_int_equal(verdict_ok(&v), cases[i].ok);
		assert_int_equal(verdict_temporary(&v), cases[i].temporary);
		assert_int_equal(verdict_permanent(&v), cases[i].permanent);
	}
}

static void
test_text(void **state)
{
	char every[256], big[2 * VERDICT_TEXT];
	(void)state;
	for (unsigned c = 1; c < 256; c++)
		every[c - 1] = (char)c;
	every[255] = '\0';
	struct verdict v = verdict_make(550, "5.1.1", "%s", every);
	assert_int_equal(strlen(v.text), 255);
	for (size_t i = 0; i < 255; i++)
		assert_int_equal(
		    v.text[i], i + 1 >= 0x20 && i + 1 <= 0x7e ? every[i] : '?');
	v = verdict_make(550, "5.1.1", "no %s\r\n250 ok\x1b", "such");
	assert_string_equal(v.text, "no such??250 ok?");

	memset(big, 'a', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	v = verdict_make(550, "5.1.1", "%s", big);
	assert_int_equal(strlen(v.text), VERDICT_TEXT - 1);
	memset(big, 0xc3,
	    sizeof(big) - 1); /* cut in the middle of what might be a character */
	v = verdict_make(550, "5.1.1", "%s", big);
	assert_int_equal(strspn(v.text, "?"), VERDICT_TEXT - 1);
	assert_false(v.peer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
