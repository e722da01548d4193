/* SPDX-License-Identifier: ISC */
/* The header scanner: any split gives the same; bombs are counted, not kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistr.h>

#include <cmocka.h>

#include "base/mem.h"
#include "policy/header.h"

static const char usual[] =
    "Received: from a.example by relay.test with ESMTP;\r\n\tMon, 1 Jan 2026\r\n"
    "Received: from b.example\r\n\tby RELAY.test (relayd)\r\n"
    "received : from c.example by other.test\r\n"
    "Date: Mon, 23 Nov 2026 12:00:00 +0000\r\n"
    "Message-ID:\r\n <1@x.example>\r\n"
    "Subject: a \x1b[2J subject\r\n"
    "FROM: a@x.example\r\n"
    "To: b@x.example\r\n"
    "Return-Path: <c@x.example>\r\n"
    "\r\n"
    "Date: this is body\r\n";

static void
check_usual(const struct header_scan *h)
{
	assert_true(h->done && !h->malformed);
	assert_int_equal(h->received, 3);
	assert_int_equal(h->own_hops, 2);
	assert_int_equal(h->fields, 9);
	assert_true(
	    h->date && h->message_id && h->from && h->to_cc_bcc && h->return_path);
	assert_string_equal(h->message_id_text, "<1@x.example>");
	assert_string_equal(h->subject_text, "a ?[2J subject");
	assert_int_equal(h->size, strstr(usual, "\r\n\r\n") + 4 - usual);
}

static void
test_any_split(void **state)
{
	(void)state;
	for (size_t cut = 0; cut < sizeof(usual); cut++) {
		struct header_scan h;
		header_scan_init(&h, SPAN("relay.test"));
		header_scan_take(
		    &h, (struct span){
			    usual, cut < sizeof(usual) - 1 ? cut : sizeof(usual) - 1});
		if (cut < sizeof(usual) - 1)
			header_scan_take(
			    &h, (struct span){usual + cut, sizeof(usual) - 1 - cut});
		header_scan_end(&h);
		check_usual(&h);
	}
	struct header_scan h;
	header_scan_init(&h, SPAN("relay.test"));
	for (size_t i = 0; i < sizeof(usual) - 1; i++)
		header_scan_take(&h, (struct span){usual + i, 1});
	header_scan_end(&h);
	check_usual(&h);
}

static struct header_scan
scan_text(const char *text)
{
	struct header_scan h;
	header_scan_init(&h, SPAN("relay.test"));
	header_scan_take(&h, span_str(text));
	header_scan_end(&h);
	return h;
}

static void
test_odd_headers(void **state)
{
	(void)state;
	struct header_scan h = scan_text("");
	assert_true(h.done && h.fields == 0);
	h = scan_text("\r\nbody\r\n");
	assert_true(h.done && !h.malformed && h.size == 2);
	h = scan_text("this is no header\r\n\r\n");
	assert_true(h.malformed);
	h = scan_text(" begins with a blank: x\r\n");
	assert_true(h.malformed);
	h = scan_text("Subject: no empty line");
	assert_true(!h.malformed && h.fields == 1);
	h = scan_text(": no name\r\n");
	assert_true(h.malformed);
}

static void
test_own_hops(void **state)
{
	static const struct {
		const char *text;
		unsigned received, own;
	} cases[] = {
	    {"Received: from a by relay.test with ESMTP; x\r\n", 1, 1},
	    {"Received: from a by RELAY.Test; x\r\n", 1, 1},
	    {"received\t:\tby\trelay.test\r\n", 1, 1},
	    {"Received: from a\r\n by\r\n relay.test\r\n", 1, 1},
	    {"Received:\r\n\tby relay.test\r\n", 1, 1},
	    /* one field is one hop */
	    {"Received: by relay.test by relay.test\r\n\tby relay.test;\r\n", 1, 1},
	    {"Received: by relay.test\r\nReceived: by relay.test\r\n", 2, 2},
	    /* not us */
	    {"Received: from relay.test by a\r\n", 1, 0},
	    {"Received: from relay.test\r\n", 1, 0},
	    {"Received: by relay.test.example\r\n", 1, 0},
	    {"Received: by xrelay.test\r\n", 1, 0},
	    {"Received: by a relay.test\r\n", 1, 0},
	    {"Received: x by\r\nReceived: relay.test\r\n", 2, 0},
	    {"Received: x by\r\nX: y\r\n relay.test\r\n", 1, 0},
	    {"X: by relay.test\r\n", 0, 0},
	    {"X-Received: by relay.test\r\nReceived-SPF: by relay.test\r\n", 0, 0},
	    {"\r\nReceived: by relay.test\r\n", 0, 0},
	    {"Received: by ; ;\r\n", 1, 0},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct header_scan h = scan_text(cases[i].text);
		if (h.received != cases[i].received || h.own_hops != cases[i].own)
			fail_msg("%s: %u received, %u own", cases[i].text, h.received,
			    h.own_hops);
	}
	struct header_scan h;
	header_scan_init(&h, SPAN("")); /* without a name nothing is ours */
	header_scan_take(&h, SPAN("Received: by ; by\r\n"));
	header_scan_end(&h);
	assert_int_equal(h.own_hops, 0);
}

static void
assert_same_scan(const struct header_scan *a, const struct header_scan *b)
{
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->fields, b->fields);
	assert_int_equal(a->received, b->received);
	assert_int_equal(a->own_hops, b->own_hops);
	assert_int_equal(a->done, b->done);
	assert_int_equal(a->malformed, b->malformed);
	assert_string_equal(a->message_id_text, b->message_id_text);
	assert_string_equal(a->subject_text, b->subject_text);
}

/* Lines about as long as what is kept of one, and far longer, cut at each byte. */
static void
test_long_lines(void **state)
{
	static const size_t fill[] = {1000, 1012, 1013, 1014, 1015, 1016, 1024, 3000};
	(void)state;
	for (size_t f = 0; f < COUNT_OF(fill); f++) {
		struct buf b;
		buf_init(&b, 16384);
		buf_add_str(&b, "Subject: ");
		for (size_t i = 0; i < fill[f]; i++)
			buf_add_char(&b, i == 200 ? '\xc3' : 's');
		buf_add_str(&b, "\r\n by relay.test\r\nReceived: by relay.test\r\nno "
				"field\r\nX: y\r\n");
		struct span all = buf_span(&b);
		struct header_scan whole, cut;
		header_scan_init(&whole, SPAN("relay.test"));
		header_scan_take(&whole, all);
		header_scan_end(&whole);
		assert_true(whole.malformed && whole.fields == 2 && whole.own_hops == 1);
		assert_int_equal(whole.size, all.n - 6);
		assert_int_equal(
		    strlen(whole.subject_text), sizeof(whole.subject_text) - 1);
		for (size_t at = 0; at <= all.n; at++) {
			header_scan_init(&cut, SPAN("relay.test"));
			header_scan_take(&cut, span_cut(all, 0, at));
			header_scan_take(&cut, span_cut(all, at, all.n));
			header_scan_end(&cut);
			assert_same_scan(&whole, &cut);
		}
		buf_clear(&b);
	}
}

static void
test_many_fields(void **state)
{
	struct header_scan h;
	(void)state;
	header_scan_init(&h, SPAN("relay.test"));
	for (int i = 0; i < HEADER_FIELD_MAX; i++)
		header_scan_take(&h, SPAN("To: <a@x.example>\r\n"));
	assert_int_equal(h.fields, HEADER_FIELD_MAX);
	assert_false(h.done);
	header_scan_take(&h, SPAN("\r\n"));
	assert_true(h.done && h.to_cc_bcc && !h.malformed);
	header_scan_take(&h, SPAN("To: body\r\n"));
	assert_int_equal(h.fields, HEADER_FIELD_MAX);
	assert_int_equal(h.size, 19 * HEADER_FIELD_MAX + 2);
}

static int64_t
cpu_ns(void)
{
	struct timespec t;
	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* The best of five: what it takes to scan n octets made of `unit`, in one field and in
 * many. */
static int64_t
time_of(struct span unit, size_t n, const char *begin)
{
	struct buf b;
	int64_t best = INT64_MAX;
	buf_init(&b, 0);
	buf_add_str(&b, begin);
	while (b.n < n)
		buf_add_span(&b, unit);
	for (int i = 0; i < 5; i++) {
		struct header_scan h;
		int64_t from = cpu_ns();
		header_scan_init(&h, SPAN("relay.test"));
		for (size_t at = 0; at < b.n; at += 4096)
			header_scan_take(&h, span_cut(buf_span(&b), at, 4096));
		header_scan_end(&h);
		int64_t took = cpu_ns() - from;
		best = took < best ? took : best;
	}
	buf_clear(&b);
	return best;
}

/* Eight times the octets take about eight times as long; a quadratic scanner would
 * take 64. */
static void
test_linear_time(void **state)
{
	static const struct {
		const char *begin, *unit;
	} bombs[] = {
	    {"Received: ", "by "},
	    {"Received: ", " "},
	    {"Received: by\r\n", "\tby x;;;;\r\n"},
	    {"", "To: a\r\n"},
	    {"Subject: ", "("},
	    {"Message-ID:", "\r\n "},
	    {"", "a"},
	    {"X", " "},
	    {"", "Received: by relay.test by\r\n"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(bombs); i++) {
		int64_t small =
		    time_of(span_str(bombs[i].unit), 256 << 10, bombs[i].begin);
		int64_t large = time_of(span_str(bombs[i].unit), 2 << 20, bombs[i].begin);
		if (large > 24 * small + 5000000)
			fail_msg("%s%s...: %lld ns, then %lld ns", bombs[i].begin,
			    bombs[i].unit, (long long)small, (long long)large);
	}
}

static void
test_bombs(void **state)
{
	struct header_scan h;
	(void)state;
	header_scan_init(&h, SPAN("relay.test"));
	for (int i = 0; i < 100000; i++)
		header_scan_take(&h, SPAN("Received: x\r\n"));
	assert_int_equal(h.received, 100000);
	for (int i = 0; i < 100000; i++)
		header_scan_take(&h,
		    SPAN("X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	header_scan_end(&h);
	assert_int_equal(h.fields, 100001);
}

static void
test_received_field(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 4096);
	struct received_facts f = {
	    .helo = SPAN("evil)\r\nX-Inj: 1"),
	    .client = SPAN("[192.0.2.1]"),
	    .by = SPAN("relay.test"),
	    .protocol = SPAN("ESMTP"),
	    .id = SPAN("0000000000000"),
	    .rcpt = SPAN("\"a b\"@x.example"),
	    .when = {1764000000000},
	};
	size_t at = header_add_received(&b, &f);
	assert_memory_equal(b.p + at, "0000000000000", 13);
	struct span all = buf_span(&b);
	assert_true(
	    span_starts(all, SPAN("Received: from evil???X-Inj:?1 ([192.0.2.1])\r\n")));
	assert_true(memmem(all.p, all.n, "for <\"a b\"@x.example>", 21) != NULL);
	/* every line break is a fold, and it ends with one */
	for (size_t i = 0; i + 2 < all.n; i++)
		if (all.p[i] == '\r')
			assert_true(all.p[i + 1] == '\n' && all.p[i + 2] == '\t');
	assert_true(span_iends(all, SPAN("\r\n")));
	buf_clear(&b);
}

static bool
has(struct span all, struct span part)
{
	return memmem(all.p, all.n, part.p, part.n) != NULL;
}

/* SMTPUTF8 mail keeps valid UTF-8, cut between two characters; other mail has none. */
static void
test_received_utf8(void **state)
{
	struct buf b;
	char rcpt[400];
	(void)state;
	buf_init(&b, 4096);
	struct received_facts f = {.helo = SPAN("b\xc3\xbc.example"),
	    .client = SPAN("[192.0.2.1]"),
	    .by = SPAN("relay.test"),
	    .protocol = SPAN("UTF8SMTPS"),
	    .id = SPAN("0000000000000"),
	    .tls = SPAN("TLSv1.3 ) \r\n\xc3"),
	    .rcpt = {rcpt, sizeof(rcpt)}};
	rcpt[0] = 'a';
	for (size_t i = 1; i < sizeof(rcpt); i++)
		rcpt[i] = i % 2 ? '\xc3' : '\xbc';
	f.rcpt.n--; /* an "a" and whole characters */
	(void)header_add_received(&b, &f);
	struct span all = buf_span(&b);
	assert_null(u8_check((const uint8_t *)all.p, all.n));
	assert_true(
	    span_starts(all, SPAN("Received: from b\xc3\xbc.example ([192.0.2.1])\r\n")));
	assert_true(has(all, SPAN("\r\n\t(TLSv1.3 ? ??\?)\r\n")));
	const char *from = memmem(all.p, all.n, "for <", 5),
		   *to = memmem(all.p, all.n, ">;", 2);
	assert_true(from != NULL && to != NULL &&
		    to - from - 5 == 255); /* 256 is in a character */

	f.rcpt = SPAN("j\xc3@x.example"); /* not valid: not kept */
	buf_reset(&b);
	(void)header_add_received(&b, &f);
	assert_true(has(buf_span(&b), SPAN("for <j?@x.example>")));

	f.protocol = SPAN("ESMTP");
	f.rcpt = SPAN("j\xc3\xbc@x.example");
	buf_reset(&b);
	(void)header_add_received(&b, &f);
	for (size_t i = 0; i < b.n; i++)
		assert_true((unsigned char)b.p[i] < 0x80);
	buf_clear(&b);
}

/* A user of this machine has no address and no EHLO that would be worth a word. */
static void
test_received_local(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 4096);
	struct received_facts f = {.helo = SPAN("h"),
	    .client = SPAN("[127.0.0.1]"),
	    .by = SPAN("relay.test"),
	    .protocol = SPAN("local"),
	    .id = SPAN("0000000000000"),
	    .when = {1764000000000},
	    .local = true,
	    .user = SPAN("al(ice"),
	    .uid = 1000};
	(void)header_add_received(&b, &f);
	assert_true(span_starts(buf_span(&b),
	    SPAN("Received: from al?ice (uid 1000)\r\n\tby relay.test with local id "
		 "0000000000000;\r\n")));
	f.user = (struct span){0};
	buf_reset(&b);
	(void)header_add_received(&b, &f);
	assert_true(
	    span_starts(buf_span(&b), SPAN("Received: from unknown (uid 1000)\r\n")));
	buf_clear(&b);
}

/* Every byte in every part: the lines stay ours, and short. */
static void
test_received_hostile(void **state)
{
	char every[256 * 4];
	struct buf b;
	(void)state;
	for (size_t i = 0; i < sizeof(every); i++)
		every[i] = (char)i;
	struct span s = {every, sizeof(every)};
	buf_init(&b, 8192);
	struct received_facts f = {s, s, s, s, s, s, s, {0}, false, s, 0};
	(void)header_add_received(&b, &f);
	assert_false(b.overflow);
	size_t line = 0, lines = 0;
	for (size_t i = 0; i < b.n; i++) {
		unsigned char c = (unsigned char)b.p[i];
		if (c == '\n') {
			assert_true(i > 0 && b.p[i - 1] == '\r' && i - line < 998);
			assert_true(i + 1 == b.n || b.p[i + 1] == '\t');
			line = i;
			lines++;
		} else if (c != '\r' && c != '\t') {
			assert_true(c >= 0x20 && c < 0x7f);
		}
	}
	assert_int_equal(lines, 5);
	buf_clear(&b);
}

static void
test_other_fields(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 4096);
	header_add_date(&b, (struct wall){1764000000000});
	header_add_message_id(&b, SPAN("1.2"), SPAN("relay.test"));
	header_add_from(&b, SPAN("a\r\nb@x.example"));
	struct span s = buf_span(&b);
	assert_true(span_starts(header_find(s, SPAN("date")), SPAN("Mon, 24 Nov 2025")));
	assert_true(
	    span_eq(header_find(s, SPAN("Message-Id")), SPAN("<1.2@relay.test>")));
	assert_true(span_eq(header_find(s, SPAN("From")), SPAN("<a??b@x.example>")));
	assert_null(header_find(s, SPAN("Subject")).p);
	assert_true(span_starts(
	    header_find(SPAN("A: 1\r\nB: x\r\n y\r\nC: 3\r\n"), SPAN("b")), SPAN("x")));
	buf_clear(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_any_split),
	    cmocka_unit_test(test_odd_headers),
	    cmocka_unit_test(test_own_hops),
	    cmocka_unit_test(test_long_lines),
	    cmocka_unit_test(test_many_fields),
	    cmocka_unit_test(test_linear_time),
	    cmocka_unit_test(test_bombs),
	    cmocka_unit_test(test_received_field),
	    cmocka_unit_test(test_received_utf8),
	    cmocka_unit_test(test_received_local),
	    cmocka_unit_test(test_received_hostile),
	    cmocka_unit_test(test_other_fields),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
