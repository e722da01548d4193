/* SPDX-License-Identifier: ISC */
/*
 * Taps: a watch is told the lines of the connections that it wants and of no
 * others; secrets are hidden; what is slower than the wire loses lines and is
 * told how many; there is a bound to everything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/tap.h"

struct ear {
	struct buf text;
	uint64_t lost;
};

static void
on_line(void *arg, const struct tap_line *l)
{
	struct ear *e = arg;
	buf_addf(&e->text, "%s%.*s|", l->sent ? ">" : "<", SPAN_ARG(l->text));
	e->lost += l->lost;
}

static void
heard(struct inbox *in, struct ear *e, const char *want)
{
	(void)inbox_open_all(in);
	assert_int_equal(e->text.n, strlen(want));
	assert_memory_equal(e->text.n ? e->text.p : "", want, e->text.n);
	buf_reset(&e->text);
}

static struct tap_facts
facts(const char *ip, const char *name, const char *about)
{
	struct tap_facts f = {
	    .side = about ? TAP_OUTBOUND : TAP_INBOUND, .name = name, .about = about};
	assert_int_equal(net_parse_ip(span_str(ip), &f.who), OK);
	return f;
}

static void
test_lines(void **state)
{
	(void)state;
	struct tap_board *b = tap_board_new();
	struct inbox *in = inbox_new();
	struct ear e = {0};
	struct tap_facts f = facts("192.0.2.7", "smtp", NULL);
	assert_null(tap_new(b, &f)); /* nobody watches */
	assert_null(tap_new(NULL, &f));
	struct tap_want want = {.side = TAP_INBOUND};
	struct tap_watch *w = tap_watch_start(b, &want, in, on_line, &e);
	struct tap *t = tap_new(b, &f);
	assert_non_null(t);
	tap_sent(t, SPAN("220 he"));
	tap_sent(t, SPAN("re\r\n250-a\r\n250 b\r\n25"));
	tap_came(t, SPAN("EHLO x"));
	heard(in, &e, ">220 here|>250-a|>250 b|<EHLO x|");
	tap_hide(t, true, false);
	tap_came(t, SPAN("secret"));
	tap_hide(t, false, true);
	tap_sent(t, SPAN("body\r\nof mail\r\n"));
	tap_passed(t, 100);
	tap_hide(t, false, false);
	tap_sent(t, SPAN("0 c\r\n"));
	heard(in, &e, "<(not shown)|>(115 octets not shown)|>250 c|");
	char line[2 * TAP_LINE_MAX + 1];
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	tap_sent(t, (struct span){line, sizeof(line)});
	tap_came(t, (struct span){line, sizeof(line)});
	(void)inbox_open_all(in);
	assert_int_equal(e.text.n, 2 * (TAP_LINE_MAX + 2));
	buf_reset(&e.text);
	tap_free(&t);
	assert_null(t);
	heard(in, &e, "<(closed)|");
	tap_watch_stop(&w);
	tap_free(&t); /* nothing */
	buf_clear(&e.text);
	inbox_free(&in);
	tap_board_free(&b);
}

static void
test_wanted(void **state)
{
	static const struct {
		enum tap_side side;
		const char *net, *name;
		bool in, out; /* the two connections below */
	} cases[] = {
	    {TAP_INBOUND, NULL, NULL, true, false},
	    {TAP_OUTBOUND, NULL, NULL, false, true},
	    {TAP_INBOUND, "192.0.2.0/24", NULL, true, false},
	    {TAP_INBOUND, "192.0.3.0/24", NULL, false, false},
	    {TAP_INBOUND, NULL, "SMTP", true, false},
	    {TAP_INBOUND, NULL, "submission", false, false},
	    {TAP_OUTBOUND, NULL, "mx1.*", false, true},
	    {TAP_OUTBOUND, NULL, "example.org", false, true},
	    {TAP_OUTBOUND, NULL, "mx:example.org", false, true},
	    {TAP_OUTBOUND, "2001:db8::1", "*.org", false, true},
	    {TAP_OUTBOUND, "2001:db8::2", "*.org", false, false},
	};
	(void)state;
	struct tap_board *b = tap_board_new();
	struct inbox *reply = inbox_new();
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct ear e = {0};
		struct tap_want want = {.side = cases[i].side, .name = cases[i].name};
		if (cases[i].net != NULL)
			assert_int_equal(
			    net_parse_cidr(span_str(cases[i].net), &want.net), OK);
		struct tap_watch *w = tap_watch_start(b, &want, reply, on_line, &e);
		struct tap_facts in = facts("192.0.2.7", "smtp", NULL),
				 out = facts(
				     "2001:db8::1", "mx1.example.org", "mx:example.org");
		struct tap *x = tap_new(b, &in), *y = tap_new(b, &out);
		assert_int_equal(x != NULL, cases[i].in);
		assert_int_equal(y != NULL, cases[i].out);
		tap_free(&x);
		tap_free(&y);
		heard(reply, &e, cases[i].in || cases[i].out ? "<(closed)|" : "");
		tap_watch_stop(&w);
		buf_clear(&e.text);
	}
	inbox_free(&reply);
	tap_board_free(&b);
}

static void
test_bounds(void **state)
{
	(void)state;
	struct tap_board *b = tap_board_new();
	struct inbox *in = inbox_new();
	struct ear e = {0}, other = {0};
	struct tap_want want = {.side = TAP_INBOUND};
	struct tap_watch *w[TAP_WATCHES_MAX + 1] = {NULL};
	for (size_t i = 0; i < TAP_WATCHES_MAX; i++)
		assert_non_null(w[i] = tap_watch_start(b, &want, in, on_line, &other));
	assert_null(tap_watch_start(b, &want, in, on_line, &e));
	for (size_t i = 0; i < TAP_WATCHES_MAX; i++)
		tap_watch_stop(&w[i]);
	tap_watch_stop(&w[0]); /* nothing */
	w[0] = tap_watch_start(b, &want, in, on_line, &e);
	struct tap_facts f = facts("192.0.2.7", "smtp", NULL);
	struct tap *t = tap_new(b, &f);
	for (size_t i = 0; i < TAP_UNREAD_MAX + 5; i++)
		tap_came(t, SPAN("x"));
	(void)inbox_open_all(in);
	assert_int_equal(e.text.n, 3 * TAP_UNREAD_MAX);
	assert_int_equal(e.lost, 0);
	buf_reset(&e.text);
	tap_came(t, SPAN("y"));
	heard(in, &e, "<y|");
	assert_int_equal(e.lost, 5);
	/* what is on its way when the watch ends is not told */
	tap_came(t, SPAN("z"));
	tap_watch_stop(&w[0]);
	heard(in, &e, "");
	tap_free(&t);
	assert_int_equal(other.text.n, 0);
	buf_clear(&e.text);
	inbox_free(&in);
	tap_board_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_wanted),
	    cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
