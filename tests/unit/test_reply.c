/* SPDX-License-Identifier: ISC */
/* Replies of a next hop: what is one, what is none, and what becomes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "relay/egress/client.h"

/* Each line separately allocated, so that a sanitizer sees the first octet read behind
 * it. */
static enum err
add(struct reply *r, const char *line, size_t n)
{
	char *exact = mem_alloc_raw(n);
	memcpy(exact, line, n);
	enum err e = reply_add_line(r, (struct span){exact, n});
	mem_free(&exact);
	return e;
}

static void
assert_text(const struct reply *r, const char *want)
{
	char *got = span_dup(buf_span(&r->text));
	assert_string_equal(got, want);
	mem_free(&got);
}

static void
test_one_line(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		enum err e;
		unsigned code;
		const char *text;
		unsigned klass, subject, detail;
	} cases[] = {
	    {"250 ok", OK, 250, "ok", 0, 0, 0},
	    {"250", OK, 250, "", 0, 0, 0},
	    {"250 ", OK, 250, "", 0, 0, 0},
	    {"250  two", OK, 250, " two", 0, 0, 0},
	    {"550 5.1.1 no such user", OK, 550, "no such user", 5, 1, 1},
	    {"550 5.7.1", OK, 550, "", 5, 7, 1},
	    {"550 5.7.1 ", OK, 550, "", 5, 7, 1},
	    {"550 5.999.999 x", OK, 550, "x", 5, 999, 999},
	    {"451 4.7.1\tgrey", OK, 451, "grey", 4, 7, 1},
	    {"250 caf\xc3\xa9", OK, 250, "caf\xc3\xa9", 0, 0, 0},
	    /* enhanced codes that are none stay text */
	    {"550 5.7.", OK, 550, "5.7.", 0, 0, 0},
	    {"550 5.7", OK, 550, "5.7", 0, 0, 0},
	    {"550 5.", OK, 550, "5.", 0, 0, 0},
	    {"550 5", OK, 550, "5", 0, 0, 0},
	    {"550 .", OK, 550, ".", 0, 0, 0},
	    {"550 5..1 x", OK, 550, "5..1 x", 0, 0, 0},
	    {"550 5.7.1x", OK, 550, "5.7.1x", 0, 0, 0},
	    {"550 5.7.1.2 x", OK, 550, "5.7.1.2 x", 0, 0, 0},
	    {"550 99999.1.1 x", OK, 550, "99999.1.1 x", 0, 0, 0},
	    {"550 5.1000.1 x", OK, 550, "5.1000.1 x", 0, 0, 0},
	    {"550 5.1.99999999999999999999 x", OK, 550, "5.1.99999999999999999999 x", 0,
		0, 0},
	    {"550 3.1.1 x", OK, 550, "3.1.1 x", 0, 0, 0},
	    {"550 0.1.1 x", OK, 550, "0.1.1 x", 0, 0, 0},
	    {"550 -5.1.1 x", OK, 550, "-5.1.1 x", 0, 0, 0},
	    /* no replies */
	    {"", ERR_SYNTAX, 0, "", 0, 0, 0},
	    {" ", ERR_SYNTAX, 0, "", 0, 0, 0},
	    {"5", ERR_SYNTAX, 0, "", 0, 0, 0},
	    {"55", ERR_SYNTAX, 0, "", 0, 0, 0},
	    {"55 0 x", ERR_SYNTAX, 0, "", 0, 0, 0},
	    {"5501 x", ERR_SYNTAX, 0, "", 0, 0, 0},
	    {"550x", ERR_SYNTAX, 0, "", 0, 0, 0},
	    {"550\tx", ERR_SYNTAX, 0, "", 0, 0, 0},
	    {" 550 x", ERR_SYNTAX, 0, "", 0, 0, 0},
	    {"150 x", ERR_SYNTAX, 0, "", 0, 0, 0},
	    {"650 x", ERR_SYNTAX, 0, "", 0, 0, 0},
	    {"-50 x", ERR_SYNTAX, 0, "", 0, 0, 0},
	    {"2a0 x", ERR_SYNTAX, 0, "", 0, 0, 0},
	    {"HTTP/1.1 400 Bad Request", ERR_SYNTAX, 0, "", 0, 0, 0},
	    {"\xff\xfe\xfd", ERR_SYNTAX, 0, "", 0, 0, 0},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct reply r = {0};
		const char *line = cases[i].line;
		assert_int_equal(add(&r, line, strlen(line)), cases[i].e);
		assert_int_equal(r.complete, cases[i].e == OK);
		assert_int_equal(r.code, cases[i].code);
		assert_text(&r, cases[i].text);
		assert_int_equal(r.klass, cases[i].klass);
		assert_int_equal(r.subject, cases[i].subject);
		assert_int_equal(r.detail, cases[i].detail);
		buf_clear(&r.text);
	}
}

/* Lines separated by '|'; the last one completes the reply, or brings `e`. */
static void
test_lines(void **state)
{
	(void)state;
	static const struct {
		const char *lines;
		enum err e;
		unsigned code;
		const char *text;
		bool complete;
	} cases[] = {
	    {"250-one|250-two|250 three", OK, 250, "one\ntwo\nthree", true},
	    {"250-one|250", OK, 250, "one\n", true},
	    {"250-|250-|250 ", OK, 250, "\n\n", true},
	    {"553-", OK, 553, "", false},
	    {"550-5.7.1 one|550 5.7.1 two", OK, 550, "one\ntwo", true},
	    {"550-one|550 5.7.1 two", OK, 550, "one\ntwo", true},
	    /* the highest code counts, wherever it stands */
	    {"250-fine|550 not at all", OK, 550, "fine\nnot at all", true},
	    {"451-later|250 fine", OK, 451, "later\nfine", true},
	    {"250-one||250 three", ERR_SYNTAX, 250, "one", false},
	    {"250-one|two", ERR_SYNTAX, 250, "one", false},
	    {"553-|55", ERR_SYNTAX, 553, "", false},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct reply r = {0};
		enum err e = OK;
		struct span rest = span_str(cases[i].lines);
		for (bool more = true; more && e == OK;) {
			size_t n = span_find(rest, '|');
			more = n < rest.n;
			e = add(&r, rest.p, n);
			rest = span_cut(rest, n + 1, rest.n);
		}
		assert_int_equal(e, cases[i].e);
		assert_int_equal(r.complete, cases[i].complete);
		assert_int_equal(r.code, cases[i].code);
		assert_text(&r, cases[i].text);
		buf_clear(&r.text);
	}
}

static void
test_bounds(void **state)
{
	(void)state;
	char line[CLIENT_REPLY_MAX + 1];
	memset(line, 'x', sizeof(line));
	memcpy(line, "250-", 4);
	struct reply r = {0};

	assert_int_equal(add(&r, line, CLIENT_REPLY_MAX), OK);
	assert_int_equal(add(&r, line, 100), ERR_RANGE);
	reply_reset(&r);
	assert_int_equal(add(&r, line, CLIENT_REPLY_MAX + 1), ERR_RANGE);

	reply_reset(&r);
	for (unsigned i = 0; i < CLIENT_REPLY_LINES; i++)
		assert_int_equal(add(&r, "250-x", 5), OK);
	assert_int_equal(add(&r, "250 x", 5), ERR_RANGE);

	/* 100 kB in lines of 1000 octets */
	reply_reset(&r);
	unsigned taken = 0;
	while (taken < 100 && add(&r, line, 1000) == OK)
		taken++;
	assert_int_equal(taken, CLIENT_REPLY_MAX / 1000);
	assert_true(r.text.n <= CLIENT_REPLY_MAX && !r.text.overflow);
	buf_clear(&r.text);
}

static void
test_next_reply(void **state)
{
	(void)state;
	struct reply r = {0};
	assert_int_equal(add(&r, "550 5.1.1 no", 12), OK);
	assert_int_equal(add(&r, "250-yes", 7), OK); /* begins the next one by itself */
	assert_false(r.complete);
	assert_int_equal(r.code, 250);
	assert_int_equal(r.klass, 0);
	assert_int_equal(r.lines, 1);
	reply_reset(&r);
	assert_int_equal(r.code, 0);
	assert_int_equal(r.text.n, 0);
	buf_clear(&r.text);
}

static void
test_verdict(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		const char *status, *text;
	} cases[] = {
	    {"550 5.1.1 no such user", "5.1.1", "no such user"},
	    {"550 2.1.5 what?", "5.0.0", "what?"}, /* the class does not fit the code */
	    {"450 5.1.1 x", "4.0.0", "x"},
	    {"250", "2.0.0", ""},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct reply r = {0};
		char status[16];
		assert_int_equal(add(&r, cases[i].line, strlen(cases[i].line)), OK);
		struct verdict v = reply_verdict(&r);
		verdict_status(&v, status);
		assert_int_equal(v.code, r.code);
		assert_string_equal(status, cases[i].status);
		assert_string_equal(v.text, cases[i].text);
		buf_clear(&r.text);
	}

	struct reply r = {0};
	assert_int_equal(add(&r, "550-5.7.1 one", 13), OK);
	assert_int_equal(add(&r, "550 two\x1b[2J\xc3\xa9\r", 15), OK);
	struct verdict v = reply_verdict(&r);
	assert_int_equal(strncmp(v.text, "one two", 7), 0);
	for (const char *p = v.text; *p != '\0'; p++)
		assert_true(*p >= 0x20 && *p < 0x7f);
	buf_clear(&r.text);
}

static void
test_long_verdict(void **state)
{
	(void)state;
	char line[5000];
	memset(line, 'x', sizeof(line));
	memcpy(line, "550 ", 4);
	struct reply r = {0};
	assert_int_equal(add(&r, line, sizeof(line)), OK);
	struct verdict v = reply_verdict(&r);
	assert_true(strlen(v.text) < VERDICT_TEXT && strlen(v.text) > VERDICT_TEXT - 10);
	buf_clear(&r.text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_one_line),
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_next_reply),
	    cmocka_unit_test(test_verdict),
	    cmocka_unit_test(test_long_verdict),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
