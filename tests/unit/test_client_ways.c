/* SPDX-License-Identifier: ISC */
/* The client by other ways: proxies, own addresses, LMTP, rewritten mail. */
#include "tests/unit/client_rig.h"

/* ---- SOCKS5 */

#define PEER "mx.test[192.0.2.1]:25"
#define PROXY "connect to " PEER ": proxy 127.0.0.1:1080: "

static const char request4[] = {5, 1, 0, 1, (char)192, 0, 2, 1, 0, 25};

static struct net_addr
address(const char *text)
{
	struct net_addr a;
	assert_int_equal(net_parse_addr(span_str(text), &a), OK);
	return a;
}

static void
go_by_proxy(struct rig *r)
{
	static struct net_addr proxy;
	proxy = address("127.0.0.1:1080");
	r->options.socks = &proxy;
	rig_go(r);
	if (r->dial_fails == 0)
		rig_hears_bytes(r, "\5\1\0", 3);
}

static void
test_socks(void **state)
{
	struct rig *r = *state;
	go_by_proxy(r);
	assert_int_equal(r->dialled.port, 1080);
	assert_string_equal(client_peer(r->client), PEER);
	assert_int_equal(client_stage(r->client), STAGE_CONNECT);
	rig_says_bytes(r, "\5\0", 2);
	rig_hears_bytes(r, request4, sizeof(request4));
	rig_says_bytes(r, "\5\0\0\1\0\0\0\0\0\0", 10);
	assert_int_equal(client_stage(r->client), STAGE_GREETING);
	rig_says(r, "220 mx\r\n");
	rig_hears(r, "EHLO me.test\r\n");
	rig_says(r, "250 mx\r\n");
	assert_int_equal(r->ready, 1);
}

static void
test_socks_ipv6(void **state)
{
	struct rig *r = *state;
	static const char want[] = {5, 1, 0, 4, 0x20, 1, 0xd, (char)0xb8, 0, 0, 0, 0, 0,
	    0, 0, 0, 0, 0, 0, 9, 2, 0x4b};
	r->options.to = address("[2001:db8::9]:587");
	go_by_proxy(r);
	rig_says_bytes(r, "\5\0", 2);
	rig_hears_bytes(r, want, sizeof(want));
	rig_says_bytes(r, "\5\0\0\3\4host\0\0", 11);
	rig_says(r, "220 mx\r\n");
	rig_hears(r, "EHLO me.test\r\n");
}

/* Each kind of bound address, octet by octet, the greeting directly behind it. */
static void
test_socks_byte_by_byte(void **state)
{
	(void)state;
	char name[4 + 1 + 255 + 2] = {5, 0, 0, 3, (char)255};
	static const char four[10] = {5, 0, 0, 1}, six[22] = {5, 0, 0, 4},
			  none[7] = {5, 0, 0, 3, 0};
	const struct {
		const char *p;
		size_t n;
	} answers[] = {{four, sizeof(four)}, {six, sizeof(six)}, {none, sizeof(none)},
	    {name, sizeof(name)}};
	for (size_t i = 0; i < COUNT_OF(answers); i++) {
		void *p;
		rig_setup(&p);
		struct rig *r = p;
		go_by_proxy(r);
		rig_says_bytes(r, "\5", 1);
		rig_says_bytes(r, "\0", 1);
		rig_hears_bytes(r, request4, sizeof(request4));
		for (size_t k = 0; k < answers[i].n; k++) {
			assert_int_equal(client_stage(r->client), STAGE_CONNECT);
			rig_says_bytes(r, answers[i].p + k, 1);
		}
		assert_int_equal(client_stage(r->client), STAGE_GREETING);
		rig_says(r, "220 mx\r\n");
		rig_hears(r, "EHLO me.test\r\n");
		rig_teardown(&p);
	}
}

static void
test_socks_refusals(void **state)
{
	(void)state;
	static const struct {
		const char *method, *answer; /* answer: NULL: it ends before */
		size_t n;
		const char *why;
	} cases[] = {
	    {"\5\xff", NULL, 2, "it wants to be signed in at"},
	    {"\5\2", NULL, 2, "it wants to be signed in at"},
	    {"4", NULL, 1, "it does not speak SOCKS5"},
	    {"\4", NULL, 1, "it does not speak SOCKS5"},
	    {"HTTP/1.1 400\r\n", NULL, 14, "it does not speak SOCKS5"},
	    {"\5\0x", NULL, 3, "it answers before it is asked"},
	    {"\5\0", "\5\1\0\1\0\0\0\0\0\0", 10, "it failed"},
	    {"\5\0", "\5\2\0\1\0\0\0\0\0\0", 10, "its rules do not allow"},
	    {"\5\0", "\5\3", 2, "network unreachable"},
	    {"\5\0", "\5\4", 2, "host unreachable"},
	    {"\5\0", "\5\5", 2, "connection refused by destination"},
	    {"\5\0", "\5\6", 2, "the destination is too many hops away"},
	    {"\5\0", "\5\7", 2, "it cannot connect"},
	    {"\5\0", "\5\x8", 2, "it does not know this kind of address"},
	    {"\5\0", "\5\x9", 2, "it failed for a reason"},
	    {"\5\0", "\5\xff", 2, "it failed for a reason"},
	    {"\5\0", "\4", 1, "it does not speak SOCKS5"},
	    {"\5\0", "\5\0\0\2", 4, "its answer has an unknown kind of address"},
	    {"\5\0", "220 mx\r\n", 8, "it does not speak SOCKS5"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		void *p;
		char want[200];
		rig_setup(&p);
		struct rig *r = p;
		go_by_proxy(r);
		rig_says_bytes(
		    r, cases[i].method, cases[i].answer != NULL ? 2 : cases[i].n);
		if (cases[i].answer != NULL)
			rig_says_bytes(r, cases[i].answer, cases[i].n);
		snprintf(want, sizeof(want), "451 4.4.1 " PROXY "%s", cases[i].why);
		rig_lost(r, STAGE_CONNECT, want);
		rig_teardown(&p);
	}
}

static void
test_socks_silence(void **state)
{
	struct rig *r = *state;
	go_by_proxy(r);
	rig_pass(r, 29 * SECOND_MS);
	rig_says_bytes(r, "\5", 1); /* dripping does not help */
	rig_pass(r, 2 * SECOND_MS);
	rig_lost(r, STAGE_CONNECT, "451 4.4.1 " PROXY "timed out");
}

static void
test_socks_closed(void **state)
{
	struct rig *r = *state;
	go_by_proxy(r);
	rig_says_bytes(r, "\5\0", 2);
	close(r->peer);
	r->peer = -1;
	rig_lost(r, STAGE_CONNECT, "451 4.4.1 " PROXY "connection ");
}

static void
test_socks_no_proxy(void **state)
{
	struct rig *r = *state;
	r->dial_fails = ERR_REFUSED;
	go_by_proxy(r);
	rig_lost(r, STAGE_CONNECT, "451 4.4.1 " PROXY "connection refused");
}

/* ---- own address */

static void
test_from(void **state)
{
	struct rig *r = *state;
	struct net_addr from = address("192.0.2.99:0");
	r->options.from = &from;
	rig_go(r);
	assert_true(net_same_ip(&r->from, &from));
	rig_says(r, "220 mx\r\n");
	rig_hears(r, "EHLO me.test\r\n");
}

static void
test_from_is_not_ours(void **state)
{
	struct rig *r = *state;
	struct net_addr from = address("192.0.2.99:0");
	r->options.from = &from;
	r->dial_fails = ERR_UNREACHABLE;
	rig_go(r);
	rig_lost(r, STAGE_CONNECT,
	    "451 4.4.1 connect to " PEER ": unreachable from 192.0.2.99, which may be no "
	    "address of this machine");
}

/* ---- LMTP */

#define LMTP_HELLO \
	"250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"

static void
lmtp_to_the_dot(struct rig *r, size_t rcpts, const char *answers)
{
	char want[1000];
	r->options.lmtp = true;
	rig_greet(r, LMTP_HELLO);
	assert_int_equal(r->ready, 1);
	rig_message(r, rcpts);
	rig_post(r);
	size_t n = (size_t)snprintf(want, sizeof(want), "MAIL FROM:<a@me.test>\r\n");
	for (size_t i = 0; i < rcpts; i++)
		n += (size_t)snprintf(
		    want + n, sizeof(want) - n, "RCPT TO:<r%zu@x.test>\r\n", i);
	snprintf(want + n, sizeof(want) - n, "DATA\r\n");
	rig_hears(r, want);
	rig_says(r, answers);
	rig_hears(r, BODY ".\r\n");
	assert_int_equal(client_stage(r->client), STAGE_DOT);
}

static void
test_lmtp(void **state)
{
	struct rig *r = *state;
	lmtp_to_the_dot(r, 5,
	    "250 ok\r\n250 a\r\n550 5.1.1 no\r\n250 c\r\n250 d\r\n450 4.2.1 later\r\n354 "
	    "go\r\n");
	rig_says(r, "250 2.1.5 first\r\n");
	assert_int_equal(r->sent, 0);
	rig_says(r, "552 5.2.2 full\r\n");
	assert_int_equal(r->sent, 0);
	rig_says(r, "452 4.2.2 third\r\n");
	assert_int_equal(r->sent, 1);
	rig_verdict(&r->to[0].verdict, "250 2.1.5 first");
	rig_verdict(&r->to[1].verdict, "550 5.1.1 no");
	rig_verdict(&r->to[2].verdict, "552 5.2.2 full");
	rig_verdict(&r->to[3].verdict, "452 4.2.2 third");
	rig_verdict(&r->to[4].verdict, "450 4.2.1 later");
	/* and the connection goes on */
	rig_message(r, 1);
	rig_post(r);
	rig_hears(r, "RSET\r\nMAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nDATA\r\n");
	rig_says(r, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	rig_hears(r, BODY ".\r\n");
	rig_says(r, "250 2.0.0 saved\r\n");
	assert_int_equal(r->sent, 2);
	rig_verdict(&r->to[0].verdict, "250 2.0.0 saved");
}

static void
test_lmtp_all_in_one_segment(void **state)
{
	struct rig *r = *state;
	lmtp_to_the_dot(r, 3, "250 ok\r\n250 a\r\n250 b\r\n250 c\r\n354 go\r\n");
	rig_says(r, "250 2.0.0 a\r\n250-2.0.0 b\r\n250 more\r\n250 2.0.0 c\r\n");
	assert_int_equal(r->sent, 1);
	assert_int_equal(r->lost, 0);
	rig_verdict(&r->to[2].verdict, "250 2.0.0 c");
}

/* One answer too many is an answer to nothing. */
static void
test_lmtp_one_too_many(void **state)
{
	struct rig *r = *state;
	lmtp_to_the_dot(r, 1, "250 ok\r\n250 a\r\n354 go\r\n");
	rig_says(r, "250 2.0.0 a\r\n250 2.0.0 b\r\n");
	assert_int_equal(r->sent, 1);
	assert_int_equal(r->lost, 1);
	rig_verdict(&r->to[0].verdict, "250 2.0.0 a");
}

/* What was answered stays; the others wait. */
static void
test_lmtp_lost_between(void **state)
{
	struct rig *r = *state;
	lmtp_to_the_dot(r, 3, "250 ok\r\n250 a\r\n250 b\r\n250 c\r\n354 go\r\n");
	rig_says(r, "250 2.0.0 a\r\n");
	close(r->peer);
	r->peer = -1;
	rig_lost(r, STAGE_DOT, "451 4.4.2");
	assert_int_equal(r->sent, 0);
	assert_true(client_maybe_delivered(r->client));
	rig_verdict(&r->to[0].verdict, "250 2.0.0 a");
	rig_verdict(&r->to[1].verdict, "451 4.4.2");
	rig_verdict(&r->to[2].verdict, "451 4.4.2");
}

static void
test_lmtp_421_between(void **state)
{
	struct rig *r = *state;
	lmtp_to_the_dot(r, 3, "250 ok\r\n250 a\r\n250 b\r\n250 c\r\n354 go\r\n");
	rig_says(r, "550 5.7.1 a\r\n421 4.3.2 bye\r\n");
	rig_lost(r, STAGE_DOT, "421 4.3.2 bye");
	rig_verdict(&r->to[0].verdict, "550 5.7.1 a");
	rig_verdict(&r->to[1].verdict, "421 4.3.2 bye");
}

static void
test_lmtp_nobody(void **state)
{
	struct rig *r = *state;
	r->options.lmtp = true;
	rig_greet(r, LMTP_HELLO);
	rig_message(r, 1);
	rig_post(r);
	rig_says(r, "250 ok\r\n550 5.1.1 no\r\n354 go\r\n");
	rig_lost(r, STAGE_DATA, "451 4.5.0");
	rig_verdict(&r->to[0].verdict, "550 5.1.1 no");
}

static void
test_lmtp_is_not_spoken(void **state)
{
	struct rig *r = *state;
	r->options.lmtp = true;
	rig_greet(r, "500 5.5.1 what?\r\n");
	rig_lost(r, STAGE_EHLO, "500 5.5.1 what?");
}

/* ---- rewritten */

#define EHLO_ALL                                                                       \
	"250-mx\r\n250-PIPELINING\r\n250-SIZE\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250 " \
	"BINARYMIME\r\n"

static void
rewritten_goes_out(struct rig *r, const struct rewritten *w, bool binary,
    const char *mail, const char *body)
{
	char want[400];
	rig_greet(r, EHLO_ALL);
	rig_message(r, 2);
	r->mail.rewritten = w;
	r->to[1].address = SPAN("other@y.test");
	r->message.flags = binary ? MESSAGE_BINARY : 0;
	rig_post(r);
	snprintf(want, sizeof(want),
	    "%sRCPT TO:<r0@x.test>\r\nRCPT TO:<other@y.test>\r\n%s", mail,
	    binary ? "" : "DATA\r\n");
	rig_hears(r, want);
	rig_says(r, "250 ok\r\n250 ok\r\n250 ok\r\n");
	if (!binary)
		rig_says(r, "354 go\r\n");
	rig_hears(r, body);
	rig_says(r, "250 taken\r\n");
	assert_int_equal(r->sent, 1);
}

static void
test_rewritten(void **state)
{
	struct rig *r = *state;
	struct rewritten w = {.sender = SPAN("b@out.test"),
	    .header = SPAN("Subject: ho\r\n.dot: x\r\n\r\n"),
	    .header_size = 15};
	/* prefix 13, header 25, the rest 7 */
	rewritten_goes_out(r, &w, false, "MAIL FROM:<b@out.test> SIZE=44\r\n",
	    "Received: x\r\nSubject: ho\r\n..dot: x\r\n\r\nhello\r\n.\r\n");
}

static void
test_rewritten_bdat(void **state)
{
	struct rig *r = *state;
	struct rewritten w = {
	    .header = SPAN("Subject: ho\r\n.dot: x\r\n\r\n"), .header_size = 15};
	rewritten_goes_out(r, &w, true,
	    "MAIL FROM:<a@me.test> SIZE=44 BODY=BINARYMIME\r\n",
	    "BDAT 44 LAST\r\nReceived: x\r\nSubject: ho\r\n.dot: x\r\n\r\nhello\r\n");
}

/* All of the content is header; the null sender; and a header that is gone. */
static void
test_rewritten_edges(void **state)
{
	struct rig *r = *state;
	struct rewritten w = {.sender = SPAN(""), .header = SPAN(""), .header_size = 22};
	rewritten_goes_out(
	    r, &w, false, "MAIL FROM:<> SIZE=13\r\n", "Received: x\r\n.\r\n");
}

static void
test_rewritten_envelope_only(void **state)
{
	struct rig *r = *state;
	struct rewritten w = {.sender = SPAN("b@out.test")};
	rewritten_goes_out(
	    r, &w, false, "MAIL FROM:<b@out.test> SIZE=35\r\n", BODY ".\r\n");
}

/* An address that became non-ASCII needs SMTPUTF8. */
static void
test_rewritten_utf8(void **state)
{
	struct rig *r = *state;
	struct rewritten w = {.sender = SPAN("\xc3\xa4@out.test")};
	rewritten_goes_out(r, &w, false,
	    "MAIL FROM:<\xc3\xa4@out.test> SIZE=35 SMTPUTF8\r\n", BODY ".\r\n");
}

static void
test_rewritten_cannot(void **state)
{
	struct rig *r = *state;
	struct rewritten w = {.sender = SPAN("\xc3\xa4@out.test")};
	rig_greet(r, "250 mx\r\n");
	rig_message(r, 1);
	r->mail.rewritten = &w;
	rig_post(r);
	rig_verdict(&r->to[0].verdict, "550 5.6.7");
	w.sender = SPAN("b@out.test");
	r->to[0].address = SPAN("x\r\nRSET@y.test");
	rig_post(r);
	rig_verdict(&r->to[0].verdict, "553 5.1.3");
	rig_hears(r, "");
}

/* A long header and content of several slices, cut at every offset around one. */
static void
test_rewritten_slices(void **state)
{
	(void)state;
	static char header[70000], text[3 * CONTENT_SLICE],
	    want[sizeof(header) + sizeof(text) + 99];
	memset(header, 'h', sizeof(header));
	for (size_t i = 100; i < sizeof(header); i += 100)
		memcpy(header + i - 2, "\r\n", 2);
	memcpy(header + sizeof(header) - 2, "\r\n", 2);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 23);
	memcpy(text + sizeof(text) - 2, "\r\n", 2);
	for (size_t skip = CONTENT_SLICE - 2; skip <= CONTENT_SLICE + 2; skip++) {
		void *p;
		rig_setup(&p);
		struct rig *r = p;
		struct rewritten w = {
		    .header = {header, sizeof(header)}, .header_size = skip};
		rig_greet(r, "250 mx\r\n");
		rig_message(r, 1);
		rig_content(r, text, sizeof(text));
		r->mail.rewritten = &w;
		rig_post(r);
		rig_says(r, "250 ok\r\n");
		rig_says(r, "250 ok\r\n");
		rig_hears(r, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nDATA\r\n");
		rig_says(r, "354 go\r\n");
		snprintf(want, sizeof(want), "Received: x\r\n%.*s%.*s.\r\n",
		    (int)sizeof(header), header, (int)(sizeof(text) - skip), text + skip);
		rig_hears(r, want);
		rig_says(r, "250 taken\r\n");
		assert_int_equal(r->sent, 1);
		rig_teardown(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    RIG_TEST(test_socks),
	    RIG_TEST(test_socks_ipv6),
	    cmocka_unit_test(test_socks_byte_by_byte),
	    cmocka_unit_test(test_socks_refusals),
	    RIG_TEST(test_socks_silence),
	    RIG_TEST(test_socks_closed),
	    RIG_TEST(test_socks_no_proxy),
	    RIG_TEST(test_from),
	    RIG_TEST(test_from_is_not_ours),
	    RIG_TEST(test_lmtp),
	    RIG_TEST(test_lmtp_all_in_one_segment),
	    RIG_TEST(test_lmtp_one_too_many),
	    RIG_TEST(test_lmtp_lost_between),
	    RIG_TEST(test_lmtp_421_between),
	    RIG_TEST(test_lmtp_nobody),
	    RIG_TEST(test_lmtp_is_not_spoken),
	    RIG_TEST(test_rewritten),
	    RIG_TEST(test_rewritten_bdat),
	    RIG_TEST(test_rewritten_edges),
	    RIG_TEST(test_rewritten_envelope_only),
	    RIG_TEST(test_rewritten_utf8),
	    RIG_TEST(test_rewritten_cannot),
	    cmocka_unit_test(test_rewritten_slices),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
