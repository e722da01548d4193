/* SPDX-License-Identifier: ISC */
/* The words of IMAP commands: sets, numbers, names, dates, strings (relay/imap). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/imap/lex.h"
#include "relay/imap/numbers.h"
#include "relay/imap/utf7.h"

/* ---- sets */

static char *
text_of(const struct set *s)
{
	struct buf b;
	buf_init(&b, 0);
	set_write(s, &b);
	return buf_take(&b);
}

static void
test_sets(void **state)
{
	static const struct {
		const char *text;
		uint32_t last;
		const char *resolved; /* NULL: it is none */
		bool exceeds;
	} cases[] = {
	    {"1", 5, "1", false},
	    {"1:3,2:4,9", 9, "1:4,9", false},
	    {"*", 7, "7", false},
	    {"*:3", 7, "3:7", false},
	    {"9:*", 7, "7:9", true},
	    {"5,1,3,2,4", 5, "1:5", false},
	    {"0", 5, "", true},
	    {"*", 0, "", true},
	    {"1:*", 0, "1", true},
	    {"4294967294:4294967294", 5, "4294967294", true},
	    {"2:4294967295", 5, "2:4294967294", true},
	    {"4294967296", 5, NULL, false},
	    {"", 5, NULL, false},
	    {"a", 5, NULL, false},
	    {"1:", 5, NULL, false},
	    {",1", 5, NULL, false},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct set s;
		struct scan in = scan_over(span_str(cases[i].text));
		bool ok = set_scan(&in, &s);
		if (ok != (cases[i].resolved != NULL))
			fail_msg("%s", cases[i].text);
		if (!ok)
			continue;
		assert_int_equal(set_exceeds(&s, cases[i].last), cases[i].exceeds);
		set_resolve(&s, cases[i].last);
		char *text = text_of(&s);
		assert_string_equal(text, cases[i].resolved);
		mem_free(&text);
		set_clear(&s);
	}
}

/* Of uids: the last mail is 7, and 9 was the last that ever came. */
static void
test_sets_of_uids(void **state)
{
	static const struct {
		const char *text, *resolved;
	} cases[] = {{"*", "7:9"}, {"8:*", "7:9"}, {"*:20", "7:9"}, {"3:*", "3:9"},
	    {"8", "8"}, {"1:3,*:5", "1:3,5:9"}};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct set s;
		struct scan in = scan_over(span_str(cases[i].text));
		assert_true(set_scan(&in, &s));
		set_resolve_uids(&s, 7, 9);
		char *text = text_of(&s);
		assert_string_equal(text, cases[i].resolved);
		mem_free(&text);
		set_clear(&s);
	}
}

/* So many ranges and no more. */
static void
test_set_bound(void **state)
{
	struct buf b;
	struct set s;
	(void)state;
	buf_init(&b, 0);
	for (unsigned i = 0; i < SET_RANGES_MAX; i++)
		buf_addf(&b, "%s%u", i > 0 ? "," : "", 2 * i + 1);
	struct scan in = scan_over(buf_span(&b));
	assert_true(set_scan(&in, &s));
	set_resolve(&s, 1);
	assert_int_equal(set_count(&s), SET_RANGES_MAX);
	assert_true(
	    set_has(&s, 1) && !set_has(&s, 2) && set_has(&s, 2 * SET_RANGES_MAX - 1));
	assert_false(set_has(&s, 2 * SET_RANGES_MAX));
	set_clear(&s);
	buf_add_str(&b, ",1");
	in = scan_over(buf_span(&b));
	assert_false(set_scan(&in, &s));
	buf_clear(&b);
}

/* Against one number after the other. */
static void
test_set_remove(void **state)
{
	unsigned dice = 3;
	(void)state;
	for (int round = 0; round < 300; round++) {
		struct set a = {0}, b = {0};
		bool in_a[64] = {false}, in_b[64] = {false};
		for (uint32_t i = 1; i < 64; i++) {
			dice = dice * 1103515245 + 12345;
			in_a[i] = dice >> 16 & 3;
			in_b[i] = (dice >> 20 & 7) < 2;
			if (in_a[i])
				set_add(&a, i);
			if (in_b[i])
				set_add(&b, i);
		}
		set_remove(&a, &b);
		for (uint32_t i = 1; i < 64; i++)
			assert_int_equal(set_has(&a, i), in_a[i] && !in_b[i]);
		set_clear(&a);
		set_clear(&b);
	}
}

/* ---- sequence numbers */

static void
note(void *arg, uint32_t number, uint32_t uid)
{
	buf_addf(arg, "%u=%u ", number, uid);
}

/* Against a plain array, with random deletions. */
static void
test_numbers(void **state)
{
	struct numbers n = {0};
	uint32_t plain[400];
	size_t count = 0;
	unsigned dice = 7;
	(void)state;
	for (uint32_t uid = 1; count < 400; uid++) {
		dice = dice * 1103515245 + 12345;
		if (dice >> 16 & 3) {
			numbers_add(&n, uid);
			plain[count++] = uid;
		}
	}
	for (int round = 0; round < 40 && count > 0; round++) {
		struct set gone = {0};
		size_t left = 0;
		for (size_t i = 0; i < count; i++) {
			dice = dice * 1103515245 + 12345;
			if ((dice >> 16 & 15) == 0)
				set_add(&gone, plain[i]);
			else
				plain[left++] = plain[i];
		}
		numbers_remove(&n, &gone, NULL, NULL);
		set_clear(&gone);
		count = left;
		assert_int_equal(n.count, count);
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(numbers_uid(&n, (uint32_t)i + 1), plain[i]);
			assert_int_equal(numbers_of(&n, plain[i]), i + 1);
			if (i + 1 < count && plain[i] + 1 < plain[i + 1]) {
				assert_int_equal(numbers_from(&n, plain[i] + 1), i + 2);
				assert_int_equal(numbers_of(&n, plain[i] + 1), 0);
			}
		}
		assert_int_equal(numbers_last(&n), count > 0 ? plain[count - 1] : 0);
	}
	numbers_clear(&n);
}

/* Each EXPUNGE is told as it is when those before it have gone. */
static void
test_numbers_told(void **state)
{
	struct numbers n = {0};
	struct set gone = {0}, uids = {0}, some = {0};
	struct buf told;
	(void)state;
	buf_init(&told, 0);
	for (uint32_t uid = 10; uid <= 20; uid++)
		numbers_add(&n, uid);
	set_add_range(&gone, 5, 10);
	set_add_range(&gone, 12, 13);
	set_add(&gone, 20);
	set_add_range(&gone, 30, UINT32_MAX - 1);
	numbers_remove(&n, &gone, note, &told);
	buf_add_char(&told, '\0');
	assert_string_equal(told.p, "1=10 2=12 2=13 8=20 ");
	set_add_range(&some, 1, 3);
	numbers_to_uids(&n, &some, &uids);
	char *text = text_of(&uids);
	assert_string_equal(text, "11,14:15");
	mem_free(&text);
	set_clear(&gone);
	set_clear(&uids);
	set_clear(&some);
	numbers_clear(&n);
	assert_int_equal(numbers_from(&n, 1), 1);
	buf_clear(&told);
}

/* ---- mailbox names */

static void
test_utf7(void **state)
{
	static const char *const pairs[][2] = {
	    {"INBOX", "INBOX"},
	    {"a&-b", "a&b"},
	    {"&-", "&"},
	    {"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/"
						"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
	    {"Entw&APw-rfe", "Entw\xc3\xbcrfe"},
	    {"&2D3cAA-", "\xf0\x9f\x90\x80"},
	    {"&APw--&APw-", NULL},
	};
	static const char *const wrong[] = {"a&b", "&", "&AGEA-", "&ZeVnLIq-",
	    "&ZeVnLIqf", "&2D0-", "&3AA-", "&APw-&APw-", "\xc3\xa4", "a\x01", "&!-",
	    "&AP-", "&APx-"};
	struct buf b;
	(void)state;
	buf_init(&b, 0);
	for (size_t i = 0; i + 1 < COUNT_OF(pairs); i++) {
		buf_reset(&b);
		assert_true(utf7_decode(span_str(pairs[i][0]), &b));
		assert_true(span_eq(buf_span(&b), span_str(pairs[i][1])));
		buf_reset(&b);
		utf7_encode(span_str(pairs[i][1]), &b);
		assert_true(span_eq(buf_span(&b), span_str(pairs[i][0])));
	}
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		buf_reset(&b);
		if (utf7_decode(span_str(wrong[i]), &b))
			fail_msg("taken: %s", wrong[i]);
	}
	buf_clear(&b);
	buf_init(&b, 0);
	utf8_name_settle(SPAN("plain/x"), &b);
	assert_true(span_eq(buf_span(&b), SPAN("plain/x")));
	buf_reset(&b);
	utf8_name_settle(SPAN("a\xcc\x88/\xe2\x84\xab"), &b);
	assert_true(span_eq(buf_span(&b), SPAN("\xc3\xa4/\xc3\x85")));
	buf_clear(&b);
	assert_false(
	    utf8_name_ok(SPAN("x\xe2\x80\xa8")) || utf8_name_ok(SPAN("\xe2\x80\xa9x")));
	assert_true(utf8_name_ok(SPAN("\xe2\x80\xa7")));
	assert_true(utf8_name_ok(SPAN("\xc3\xa4")));
	assert_false(utf8_name_ok(SPAN("\xc3")) || utf8_name_ok(SPAN("a\nb")) ||
		     utf8_name_ok(SPAN("\xc2\x85")) ||
		     utf8_name_ok(SPAN("\xed\xa0\x80")));
}

/* ---- dates */

static void
test_dates(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} cases[] = {
	    {"\"23-Nov-2026 12:00:00 +0000\"", true},
	    {"\" 1-Feb-2026 01:02:03 +0100\"", true},
	    {"\"29-Feb-2024 23:59:60 -1200\"", true},
	    {"\"01-Jan-1970 00:00:00 +0000\"", true},
	    {"\"31-Dec-9999 23:59:59 +0000\"", true},
	    {"\"31-Dec-9999 23:59:60 -1159\"", true},
	    {"\"01-Jan-0001 00:00:00 +0000\"", true},
	    {"\"31-Feb-2026 00:00:00 +0000\"", false},
	    {"\"29-Feb-2025 00:00:00 +0000\"", false},
	    {"\"1-Foo-2026 00:00:00 +0000\"", false},
	    {"\"1-Feb-2026 24:00:00 +0000\"", false},
	    {"\"1-Feb-2026 00:00:00 +0060\"", false},
	    {"\"1-Feb-2026 00:00:00 0000\"", false},
	    {"\"1-Feb-26 00:00:00 +0000\"", false},
	    {"1-Feb-2026 00:00:00 +0000", false},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct lex l = lex_over(span_str(cases[i].text), false);
		struct wall when = {0}, again = {0};
		int16_t zone = 0, zone2 = 0;
		struct buf b;
		if (lex_date_time(&l, &when, &zone) != cases[i].ok)
			fail_msg("%s", cases[i].text);
		if (!cases[i].ok)
			continue;
		buf_init(&b, 0);
		lex_add_date_time(when, zone, &b);
		struct lex l2 = lex_over(buf_span(&b), false);
		assert_true(lex_date_time(&l2, &again, &zone2));
		assert_true(again.ms == when.ms && zone2 == zone);
		buf_clear(&b);
	}
	struct lex l = lex_over(SPAN("1-Mar-2024"), false);
	int64_t day = 0;
	assert_true(lex_date(&l, &day));
	assert_int_equal(day, 19783);
	assert_int_equal(lex_day_of((struct wall){day * DAY_MS - 1}, 0), day - 1);
	assert_int_equal(lex_day_of((struct wall){day * DAY_MS - 1}, 1), day);
	assert_int_equal(lex_day_of((struct wall){-1}, 0), -1);
}

/* Every day of four centuries has a name of its own that leads back to it. */
static void
test_calendar(void **state)
{
	(void)state;
	for (int64_t d = -140000; d < 150000; d += 13) {
		struct wall when = {d * DAY_MS + 5000}, again = {0};
		int16_t zone = 0;
		struct buf b;
		buf_init(&b, 0);
		lex_add_date_time(when, 0, &b);
		struct lex l = lex_over(buf_span(&b), false);
		assert_true(lex_date_time(&l, &again, &zone));
		assert_true(again.ms == when.ms);
		buf_clear(&b);
	}
}

/* ---- words and strings */

static void
test_strings(void **state)
{
	static const struct {
		const char *text, *value; /* value NULL: refused */
		bool utf8;
	} cases[] = {
	    {"abc def", "abc", false},
	    {"a]b", "a]b", false},
	    {"\"\"", "", false},
	    {"\"a b\"", "a b", false},
	    {"\"a\\\"b\\\\\"", "a\"b\\", false},
	    {"\"a\\b\"", NULL, false},
	    {"\"a", NULL, false},
	    {"\"a\r\nb\"", NULL, false},
	    {"\"\xc3\xa4\"", NULL, false},
	    {"\"\xc3\xa4\"", "\xc3\xa4", true},
	    {"{3}\r\nabc", "abc", false},
	    {"{3+}\r\nab\n", "ab\n", false},
	    {"{0}\r\n", "", false},
	    {"{4}\r\nabc", NULL, false},
	    {"{99999999999999999999}\r\nabc", NULL, false},
	    {"{}\r\n", NULL, false},
	    {"(", NULL, false},
	    {"", NULL, false},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct lex l = lex_over(span_str(cases[i].text), cases[i].utf8);
		struct span s = {NULL, 0};
		const char *before = l.in.p;
		if (lex_astring(&l, &s) != (cases[i].value != NULL))
			fail_msg("%s", cases[i].text);
		if (cases[i].value != NULL)
			assert_true(span_eq(s, span_str(cases[i].value)));
		else
			assert_ptr_equal(l.in.p, before);
		lex_clear(&l);
	}
	struct lex l = lex_over(((struct span){"{3}\r\na\0b", 8}), false);
	struct span s;
	assert_false(lex_string(&l, &s));
	l = lex_over(((struct span){"~{3}\r\na\0b", 9}), false);
	assert_true(lex_string(&l, &s) && s.n == 3);
}

static void
test_words(void **state)
{
	struct lex l = lex_over(SPAN("fetch 1:3,$ (nil \\Seen $x %* )"), false);
	struct set set;
	struct span s;
	(void)state;
	assert_false(lex_word(&l, "FET"));
	assert_true(lex_word(&l, "FETCH") && lex_space(&l) && !lex_space(&l));
	assert_false(lex_set(&l, &set) && set.n == 3);
	l = lex_over(SPAN("$ (nil \\Seen $x %* )"), false);
	assert_true(lex_set(&l, &set) && set.saved && lex_space(&l) && lex_char(&l, '('));
	assert_true(lex_nstring(&l, &s) && s.p == NULL && lex_space(&l));
	assert_true(lex_flag(&l, &s) && span_eq(s, SPAN("\\Seen")) && lex_space(&l));
	assert_true(lex_flag(&l, &s) && span_eq(s, SPAN("$x")) && lex_space(&l));
	assert_false(lex_atom(&l, &s));
	assert_true(lex_list_mailbox(&l, &s) && span_eq(s, SPAN("%*")) && lex_space(&l));
	assert_true(lex_char(&l, ')') && lex_done(&l));
	static const char *const plain[][2] = {{"a", "a"}, {"", "\"\""},
	    {"a b", "\"a b\""}, {"nil", "\"nil\""}, {"a\"", "\"a\\\"\""},
	    {"a\nb", "{3}\r\na\nb"}};
	for (size_t i = 0; i < COUNT_OF(plain); i++) {
		struct buf b;
		buf_init(&b, 0);
		lex_add_astring(span_str(plain[i][0]), &b);
		assert_true(span_eq(buf_span(&b), span_str(plain[i][1])));
		buf_clear(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sets),
	    cmocka_unit_test(test_sets_of_uids),
	    cmocka_unit_test(test_set_bound),
	    cmocka_unit_test(test_set_remove),
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_numbers_told),
	    cmocka_unit_test(test_utf7),
	    cmocka_unit_test(test_dates),
	    cmocka_unit_test(test_calendar),
	    cmocka_unit_test(test_strings),
	    cmocka_unit_test(test_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
