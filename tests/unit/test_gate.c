/* SPDX-License-Identifier: ISC */
/* Between the verbs: what block lists say of strangers, and when they say nothing; rules
 * and limits at connect and behind it. */
#include "tests/unit/ingress_rig.h"

#include "relay/ingress/session.h"
#include "resolver/dnsmsg.h"
#include "tests/lib/fake_dns.h"

#define BL "dnsbl \"bad\" { zone = \"bl.test\" }\n"
#define GREY \
	"dnsbl \"grey\" { zone = \"grey.test\" action = \"defer\" text = \"later\" }\n"
#define SHORT "dnsbl \"bad\" { zone = \"bl.test\" text = \"no\" }\n"
#define REVERSED "9.100.51.198."
#define NIBBLES "2.0.0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.test"

/* A rig with block lists and limits. */
struct scene {
	struct rig *r;
	struct fake_dns *dns;
	struct resolver *resolver;
	struct meters *meters;
};

static struct scene
scene_new(const char *extra, const char *zone)
{
	struct rig *r = rig_new(extra);
	struct scene s = {.r = r, .dns = fake_dns_new()};
	if (!fake_dns_set(s.dns, zone))
		fail_msg("zone: %s", fake_dns_error(s.dns));
	s.resolver = resolver_new(r->loop, r->log, fake_dns_transport(s.dns, r->loop),
	    &(struct resolver_options){0});
	s.meters = meters_new(&r->clock.world);
	r->in->o.resolver = s.resolver;
	r->in->o.meters = s.meters;
	return s;
}

/* Sessions may still be there. */
static void
scene_free(struct scene *s)
{
	ingress_free(&s->r->in);
	resolver_free(&s->resolver);
	meters_free(&s->meters);
	rig_free(&s->r);
	fake_dns_free(&s->dns);
}

static unsigned
times(const struct scene *s, const char *what)
{
	unsigned n = 0;
	struct span in = buf_span(&s->r->lines);
	for (size_t i = 0; i + strlen(what) <= in.n; i++)
		n += memcmp(in.p + i, what, strlen(what)) == 0;
	return n;
}

static void
expect_rcpt(struct scene *s, const char *from, const char *want, const char *name)
{
	char all[200];
	snprintf(all, sizeof(all), OK_HI "250/2.1.0 %s", want);
	talk(s->r, from, span_str(HI MAIL RCPT), all, name);
}

/* ---- what lists say */

static void
test_answers(void **state)
{
	(void)state;
	static const struct {
		const char *name, *extra, *zone, *want;
	} cases[] = {
	    {"not listed", BL, "", "250/2.1.5"},
	    {"listed", BL, REVERSED "bl.test A 127.0.0.2", "550/5.7.1"},
	    {"listed, for now", GREY, REVERSED "grey.test A 127.0.0.2", "450/4.7.1"},
	    {"only noted", "dnsbl \"log\" { zone = \"bl.test\" action = \"log\" }\n",
		REVERSED "bl.test A 127.0.0.2", "250/2.1.5"},
	    {"for good, then for now", BL GREY,
		REVERSED "bl.test A 127.0.0.2 ; " REVERSED "grey.test A 127.0.0.2",
		"550/5.7.1"},
	    {"for now, then for good", GREY BL,
		REVERSED "bl.test A 127.0.0.2 ; " REVERSED "grey.test A 127.0.0.2",
		"550/5.7.1"},
	    {"no address of a list", BL, REVERSED "bl.test A 192.0.2.1", "250/2.1.5"},
	    {"one of several", BL,
		REVERSED "bl.test A 192.0.2.1 ; " REVERSED "bl.test A 127.0.0.9",
		"550/5.7.1"},
	    {"the last that count", BL, REVERSED "bl.test A 127.254.255.255",
		"550/5.7.1"},
	    {"the list refuses us", BL, REVERSED "bl.test A 127.255.0.0", "250/2.1.5"},
	    {"only IPv6", BL, REVERSED "bl.test AAAA ::1", "250/2.1.5"},
	    {"broken", BL, REVERSED "bl.test SERVFAIL", "250/2.1.5"},
	    {"garbage", BL, REVERSED "bl.test GARBAGE", "250/2.1.5"},
	    {"unreachable", BL, REVERSED "bl.test UNREACHABLE", "250/2.1.5"},
	    {"an answer that counts",
		"dnsbl \"x\" { zone = \"bl.test\" answers = {\"127.0.0.4/30\"} }\n",
		REVERSED "bl.test A 127.0.0.7", "550/5.7.1"},
	    {"an answer that does not",
		"dnsbl \"x\" { zone = \"bl.test\" answers = {\"127.0.0.4/30\"} }\n",
		REVERSED "bl.test A 127.0.0.8", "250/2.1.5"},
	    {"a rule accepts",
		BL "rule \"in\" { client = {\"198.51.100.9\"} action = \"accept\" }\n",
		REVERSED "bl.test A 127.0.0.2", "250/2.1.5"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct scene s = scene_new(cases[i].extra, cases[i].zone);
		expect_rcpt(&s, STRANGER, cases[i].want, cases[i].name);
		scene_free(&s);
	}
}

static void
test_listed_is_told(void **state)
{
	(void)state;
	struct scene s =
	    scene_new("dnsbl \"log\" { zone = \"bl.test\" action = \"log\" }\n" BL,
		REVERSED "bl.test A 127.0.0.2");
	struct client c = call(s.r, STRANGER);
	say(&c, HI MAIL RCPT);
	assert_true(
	    has(buf_span(&c.heard), "550 5.7.1 " STRANGER " is listed by bl.test"));
	hang_up(&c);
	assert_int_equal(times(&s, "list=log client=" STRANGER " action=log"), 1);
	assert_int_equal(times(&s, "list=bad client=" STRANGER " action=reject"), 1);
	scene_free(&s);
}

static void
expect_words(const char *extra, const char *zone, int64_t ms, const char *want)
{
	struct scene s = scene_new(extra, zone);
	struct client c = call(s.r, STRANGER);
	say(&c, HI MAIL RCPT);
	pass(s.r, ms);
	hear(&c);
	if (!has(buf_span(&c.heard), want))
		fail_msg("%s: %.*s", want, SPAN_ARG(buf_span(&c.heard)));
	hang_up(&c);
	scene_free(&s);
}

#define LISTED REVERSED "bl.test A 127.0.0.2 ; "
#define WORDS100                                                                    \
	"0123456789012345678901234567890123456789012345678901234567890123456789012" \
	"345678901234567890123456789"

static void
test_words(void **state)
{
	(void)state;
	expect_words(BL, LISTED REVERSED "bl.test TXT see https://bl.test/?9", 0,
	    "550 5.7.1 " STRANGER " is listed by bl.test: see https://bl.test/?9\r\n");
	expect_words(BL, LISTED REVERSED "bl.test TXT", 0,
	    "550 5.7.1 " STRANGER " is listed by bl.test\r\n");
	expect_words(BL, LISTED REVERSED "bl.test SERVFAIL TXT", 0,
	    "550 5.7.1 " STRANGER " is listed by bl.test\r\n");
	expect_words(BL, LISTED REVERSED "bl.test TXT " WORDS100 WORDS100, 0,
	    "bl.test: " WORDS100
	    "01234567890123456789012345678901234567890123456789\r\n");
	/* our own words stand above the list's; a list for good above one for now */
	expect_words(GREY,
	    REVERSED "grey.test A 127.0.0.2 ; " REVERSED "grey.test TXT no", 0,
	    "450 4.7.1 later\r\n");
	expect_words("dnsbl \"grey\" { zone = \"grey.test\" action = \"defer\" }\n" BL,
	    REVERSED "grey.test A 127.0.0.2 ; " REVERSED
		     "grey.test TXT grey words ; " LISTED REVERSED
		     "bl.test TXT bad words",
	    0, "550 5.7.1 " STRANGER " is listed by bl.test: bad words\r\n");
	/* words that do not come are not waited for */
	expect_words(BL, LISTED REVERSED "bl.test TIMEOUT TXT", 5000,
	    "550 5.7.1 " STRANGER " is listed by bl.test\r\n");
}

/* ---- who is asked about */

static void
test_ipv6(void **state)
{
	(void)state;
	struct scene s = scene_new(BL, NIBBLES " A 127.0.0.2");
	expect_rcpt(&s, "2001:db8::1:2", "550/5.7.1", "nibbles");
	assert_int_equal(fake_dns_asked(s.dns, NIBBLES, DNS_A), 1);
	assert_int_equal(fake_dns_asked(s.dns, NIBBLES, DNS_TXT), 1);
	assert_int_equal(fake_dns_asked(s.dns, NULL, 0), 2);
	expect_rcpt(&s, "2001:db8::1:3", "250/2.1.5", "its neighbour");
	scene_free(&s);
}

static void
test_never_asked(void **state)
{
	(void)state;
	static const char *const from[] = {OWN, "10.0.0.1", "172.16.0.1", "192.168.0.1",
	    "100.64.0.1", "127.0.0.1", "169.254.0.1", "0.0.0.0", "::", "::1", "fd00::1",
	    "fe80::1"};
	struct scene s = scene_new(BL GREY, "");
	for (size_t i = 0; i < COUNT_OF(from); i++)
		expect_rcpt(&s, from[i], "250/2.1.5", from[i]);
	assert_int_equal(fake_dns_asked(s.dns, NULL, 0), 0);
	expect_rcpt(&s, "172.32.0.1", "250/2.1.5", "not private");
	assert_int_equal(fake_dns_asked(s.dns, NULL, 0), 2);
	scene_free(&s);
}

#define BEHIND                                                                   \
	"listener \"behind\" { bind = {\"127.0.0.1:2527\"} protocol = \"smtp\" " \
	"proxy-from = {\"203.0.113.0/24\"} }\n"                                  \
	"listener \"tests\" { bind = {\"127.0.0.1:2528\"} protocol = \"smtp\" "  \
	"xclient-from = {\"198.51.100.0/24\"} }\n"

/* The proxy is not asked about, its client is. */
static void
test_proxy(void **state)
{
	(void)state;
	struct scene s = scene_new(BL BEHIND, REVERSED "bl.test A 127.0.0.2");
	struct client c = call_at(s.r, "203.0.113.1", "behind");
	say(&c, "PROXY TCP4 " STRANGER " 192.0.2.1 40000 25\r\n" HI MAIL RCPT);
	expect(&c, OK_HI "250/2.1.0 550/5.7.1", "told by a proxy");
	hang_up(&c);
	assert_int_equal(fake_dns_asked(s.dns, REVERSED "bl.test", DNS_A), 1);
	assert_int_equal(fake_dns_asked(s.dns, NULL, DNS_A), 1);
	scene_free(&s);
}

/* What was said of one address does not hold for the next. */
static void
test_xclient(void **state)
{
	(void)state;
	struct scene s = scene_new(BL BEHIND,
	    REVERSED "bl.test A 127.0.0.2 ; 8.100.51.198.bl.test SLOW 3000 ; "
		     "8.100.51.198.bl.test A 127.0.0.2");
	struct client c = call_at(s.r, STRANGER, "tests");
	say(&c, HI MAIL RCPT "RSET\r\n");
	expect(&c, OK_HI "250/2.1.0 550/5.7.1 250/2.0.0", "listed");
	say(&c, "XCLIENT ADDR=198.51.100.7\r\n" HI MAIL RCPT "RSET\r\n");
	expect(&c, OK_HI "250/2.1.0 250/2.1.5 250/2.0.0", "not listed");
	/* the question about .8 is on its way, and must not tell of .9 or .7 */
	say(&c, "XCLIENT ADDR=198.51.100.8\r\n");
	say(&c, "XCLIENT ADDR=198.51.100.7\r\n" HI MAIL RCPT "RSET\r\n");
	expect(&c, "220 " OK_HI "250/2.1.0 250/2.1.5 250/2.0.0", "another one");
	pass(s.r, 4000);
	say(&c, MAIL RCPT "RSET\r\n");
	expect(&c, "250/2.1.0 250/2.1.5 250/2.0.0", "the old answer");
	say(&c, "XCLIENT ADDR=198.51.100.9\r\n" HI MAIL RCPT);
	expect(&c, OK_HI "250/2.1.0 550/5.7.1", "listed again");
	hang_up(&c);
	scene_free(&s);
}

/* ---- waiting */

static void
test_deadline(void **state)
{
	(void)state;
	struct scene s = scene_new(BL GREY,
	    REVERSED "bl.test TIMEOUT ; " REVERSED "grey.test SLOW 5001 ; " REVERSED
		     "grey.test A 127.0.0.2");
	struct client c = call(s.r, STRANGER);
	say(&c, HI MAIL RCPT "NOOP\r\n");
	expect(&c, OK_HI "250/2.1.0", "it waits");
	pass(s.r, 4999);
	hear(&c);
	expect(&c, "", "it waits still");
	pass(s.r, 1);
	hear(&c);
	expect(&c, "250/2.1.5 250/2.0.0", "nobody has answered");
	assert_int_equal(times(&s, "a block list has not answered"), 2);
	pass(s.r, 20000);
	say(&c, "RCPT TO:<v@office.example>\r\n");
	expect(&c, "250/2.1.5", "too late");
	hang_up(&c);
	scene_free(&s);
}

static void
test_in_time(void **state)
{
	(void)state;
	struct scene s = scene_new(
	    SHORT, REVERSED "bl.test SLOW 4999 ; " REVERSED "bl.test A 127.0.0.2");
	struct client c = call(s.r, STRANGER);
	/* in one packet: the order of the answers stays */
	say(&c, HI MAIL RCPT "RCPT TO:<v@office.example>\r\n" DATA QUIT);
	expect(&c, OK_HI "250/2.1.0", "it waits");
	pass(s.r, 4999);
	hear(&c);
	expect(&c, "550/5.7.1 550/5.7.1 554/5.5.1 221/2.0.0 .", "in order");
	hang_up(&c);
	scene_free(&s);
}

/* An own client does not wait, nor does a syntax error. */
static void
test_no_need_to_wait(void **state)
{
	(void)state;
	struct scene s = scene_new(BL, REVERSED "bl.test TIMEOUT");
	struct client c = call(s.r, STRANGER);
	say(&c, HI MAIL "RCPT TO:<a b>\r\n");
	expect(&c, OK_HI "250/2.1.0 501/5.1.3", "syntax");
	hang_up(&c);
	scene_free(&s);
}

static void
test_end_while_waiting(void **state)
{
	(void)state;
	enum { GONE, GONE_LATER, RELAY_STOPS, END_OF_INPUT, WAYS };
	const char *zone = REVERSED "bl.test SLOW 3000 ; " REVERSED "bl.test A 127.0.0.2";
	for (unsigned way = 0; way < WAYS; way++) {
		struct scene s = scene_new(SHORT GREY, zone);
		struct client c = call(s.r, STRANGER);
		say(&c, HI MAIL RCPT);
		expect(&c, OK_HI "250/2.1.0", "it waits");
		if (way == GONE_LATER)
			pass(s.r, 2999);
		if (way == RELAY_STOPS)
			ingress_free(&s.r->in);
		if (way == END_OF_INPUT) { /* many scripts wait so for their answers */
			shutdown(c.fd, SHUT_WR);
			pass(s.r, 3000);
			hear(&c);
			expect(&c, "550/5.7.1 .", "a script");
		}
		hang_up(&c);
		pass(s.r, 10000);
		if (way != RELAY_STOPS)
			assert_int_equal(ingress_sessions(s.r->in), 0);
		scene_free(&s);
	}
}

/* The list has said yes, its words are on their way. */
static void
test_end_while_words_come(void **state)
{
	(void)state;
	for (unsigned stops = 0; stops < 2; stops++) {
		struct scene s = scene_new(
		    BL, REVERSED "bl.test SLOW 1000 ; " REVERSED "bl.test A 127.0.0.2");
		struct client c = call(s.r, STRANGER);
		say(&c, HI MAIL RCPT);
		pass(s.r, 1000);
		assert_int_equal(fake_dns_asked(s.dns, NULL, DNS_TXT), 1);
		hear(&c);
		expect(&c, OK_HI "250/2.1.0", "it waits");
		if (stops)
			ingress_free(&s.r->in);
		hang_up(&c);
		pass(s.r, 1000);
		scene_free(&s);
	}
}

/* Errors end a session inside the answer of a list. */
static void
test_budget(void **state)
{
	(void)state;
	struct scene s = scene_new("limits { errors = 1 }\n" SHORT,
	    REVERSED "bl.test SLOW 1000 ; " REVERSED "bl.test A 127.0.0.2");
	struct client c = call(s.r, STRANGER);
	say(&c, HI MAIL RCPT RCPT);
	pass(s.r, 1000);
	hear(&c);
	expect(&c, OK_HI "250/2.1.0 550/5.7.1 421/4.7.0 .", "too many errors");
	hang_up(&c);
	scene_free(&s);
}

/* A list that refuses our name server is told of once an hour, each for itself. */
static void
test_refusing_list(void **state)
{
	(void)state;
	struct scene s = scene_new(BL GREY,
	    REVERSED "bl.test A 127.255.255.254 ; " REVERSED "grey.test A 127.255.0.1");
	for (unsigned i = 0; i < 3; i++)
		expect_rcpt(&s, STRANGER, "250/2.1.5", "a list that refuses us");
	assert_int_equal(times(&s, "dnsbl=bad"), 1);
	assert_int_equal(times(&s, "dnsbl=grey"), 1);
	pass(s.r, HOUR_MS - 1);
	expect_rcpt(&s, STRANGER, "250/2.1.5", "a list that refuses us");
	assert_int_equal(times(&s, "dnsbl=bad"), 1);
	pass(s.r, 1);
	expect_rcpt(&s, STRANGER, "250/2.1.5", "a list that refuses us");
	assert_int_equal(times(&s, "dnsbl=bad"), 2);
	assert_int_equal(times(&s, "127.255.0.0/16"), 4);
	scene_free(&s);
}

/* ---- rules and limits */

static void
test_connect(void **state)
{
	(void)state;
	static const char extra[] =
	    "listener \"few\" { bind = {\"127.0.0.1:2527\"} protocol = \"smtp\" clients "
	    "= {\"192.0.2.0/24\"} }\n"
	    "rule \"later\" { client = {\"203.0.113.1\"} helo = {\"x.example\"} action = "
	    "\"accept\" }\n"
	    "rule \"out\" { client = {\"203.0.113.0/24\"} action = \"reject\" text = "
	    "\"go\" }\n"
	    "rule \"wait\" { client = {\"203.0.112.0/24\"} listener = {\"smtp\"} action "
	    "= \"defer\" }\n";
	static const struct {
		const char *from, *listener, *want;
	} cases[] = {
	    {"192.0.2.1", "few", "220"},
	    {STRANGER, "few", "554/5.7.1 ."},
	    {"203.0.113.1", "smtp", "220"}, /* the first may fit later */
	    {"203.0.113.2", "smtp", "554/5.7.1 ."},
	    {"203.0.112.2", "smtp", "421/4.7.1 ."},
	    {"203.0.112.2", "shut", "220"},
	    {STRANGER, "smtp", "220"},
	};
	struct scene s = scene_new(extra, "");
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct client c = call_at(s.r, cases[i].from, cases[i].listener);
		expect(&c, cases[i].want, cases[i].from);
		hang_up(&c);
	}
	scene_free(&s);
}

static void
test_limits(void **state)
{
	(void)state;
	struct scene s =
	    scene_new("limit \"c\" { connections = {\"3/1h\"} }\n"
		      "limit \"m\" { messages = {\"3/1h\"} }\n"
		      "limit \"r\" { per = \"sender\" recipients = {\"4/1h\"} }\n",
		"");
	struct client c = call(s.r, STRANGER);
	say(&c, HI MAIL RCPT RCPT RCPT RCPT RCPT); /* the same one counts once */
	expect(&c, OK_RCPT "250/2.1.5 250/2.1.5 250/2.1.5 250/2.1.5", "one recipient");
	say(&c, "RCPT TO:<x@far.example>\r\n"); /* refused: not counted */
	expect(&c, "550/5.7.1", "refused");
	say(&c, "RCPT TO:<1@office.example>\r\nRCPT TO:<2@office.example>\r\n"
		"RCPT TO:<3@office.example>\r\nRCPT TO:<4@office.example>\r\n");
	expect(&c, "250/2.1.5 250/2.1.5 250/2.1.5 450/4.7.0", "the fifth");
	say(&c, "RSET\r\n" MAIL "RSET\r\n" MAIL "RSET\r\n" MAIL);
	expect(&c, "250/2.0.0 250/2.1.0 250/2.0.0 250/2.1.0 250/2.0.0 450/4.7.0",
	    "the fourth message");
	hang_up(&c);
	for (unsigned i = 0; i < 3; i++) {
		c = call(s.r, STRANGER);
		expect(&c, i < 2 ? "220" : "421/4.7.0 .", "connections");
		hang_up(&c);
	}
	c = call(s.r, OWN);
	expect(&c, "220", "another client");
	hang_up(&c);
	pass(s.r, HOUR_MS);
	talk(s.r, STRANGER, span_str(HI MAIL RCPT), OK_RCPT, "an hour later");
	scene_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_listed_is_told),
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_ipv6),
	    cmocka_unit_test(test_never_asked),
	    cmocka_unit_test(test_proxy),
	    cmocka_unit_test(test_xclient),
	    cmocka_unit_test(test_deadline),
	    cmocka_unit_test(test_in_time),
	    cmocka_unit_test(test_no_need_to_wait),
	    cmocka_unit_test(test_end_while_waiting),
	    cmocka_unit_test(test_end_while_words_come),
	    cmocka_unit_test(test_budget),
	    cmocka_unit_test(test_refusing_list),
	    cmocka_unit_test(test_connect),
	    cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
