/* SPDX-License-Identifier: ISC */
/* The header scanner: any split gives the same; bombs are counted, not kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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
	assert_true(h->date && h->message_id && h->from && h->to_cc_bcc && h->return_path);
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
		header_scan_take(&h, (struct span){usual, cut < sizeof(usual) - 1 ? cut : sizeof(usual) - 1});
		if (cut < sizeof(usual) - 1)
			header_scan_take(&h, (struct span){usual + cut, sizeof(usual) - 1 - cut});
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
test_bombs(void **state)
{
	struct header_scan h;
	(void)state;
	header_scan_init(&h, SPAN("relay.test"));
	for (int i = 0; i < 100000; i++)
		header_scan_take(&h, SPAN("Received: x\r\n"));
	assert_int_equal(h.received, 100000);
	for (int i = 0; i < 100000; i++)
		header_scan_take(&h, SPAN("X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
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
	assert_true(span_starts(all, SPAN("Received: from evil???X-Inj:?1 ([192.0.2.1])\r\n")));
	assert_true(memmem(all.p, all.n, "for <\"a b\"@x.example>", 21) != NULL);
	/* every line break is a fold, and it ends with one */
	for (size_t i = 0; i + 2 < all.n; i++)
		if (all.p[i] == '\r')
			assert_true(all.p[i + 1] == '\n' && all.p[i + 2] == '\t');
	assert_true(span_iends(all, SPAN("\r\n")));
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
	assert_true(span_eq(header_find(s, SPAN("Message-Id")), SPAN("<1.2@relay.test>")));
	assert_true(span_eq(header_find(s, SPAN("From")), SPAN("<a??b@x.example>")));
	assert_null(header_find(s, SPAN("Subject")).p);
	assert_true(span_starts(header_find(SPAN("A: 1\r\nB: x\r\n y\r\nC: 3\r\n"), SPAN("b")), SPAN("x")));
	buf_clear(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_any_split),
	    cmocka_unit_test(test_odd_headers),
	    cmocka_unit_test(test_bombs),
	    cmocka_unit_test(test_received_field),
	    cmocka_unit_test(test_other_fields),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
