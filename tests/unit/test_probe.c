/* SPDX-License-Identifier: ISC */
/* Probes of next hops, with a scripted DNS and the test as every host. */
#include "relay/egress/courier.h"
#include "relay/egress/probe.h"
#include "tests/lib/fake_dns.h"
#include "tests/unit/client_rig.h"

static const char CONFIG[] =
    "hostname = \"me.test\"\n"
    "spool { path = \"/tmp\" }\n"
    "listener \"smtp\" { bind = {\"127.0.0.1:2525\"} protocol = \"smtp\" }\n"
    "route \"two\" { to = {\"two.test\"} via = {\"192.0.2.7:2526\", \"hop.test\"} }\n"
    "route \"lost\" { to = {\"lost.test\"} via = {\"nowhere.test\"} }\n"
    "route \"safe\" { to = {\"safe.test\"} via = {\"192.0.2.7\"} tls = \"required\" }\n"
    "route \"six\" { to = {\"six.test\"} deliver = \"mx\" family = \"ipv6\" }\n"
    "route \"no\" { to = {\"no.test\"} deliver = \"reject\" }\n"
    "route \"world\" { deliver = \"mx\" }\n";

struct case_of {
	struct rig *rig;
	struct fake_dns *dns;
	struct courier courier;
	struct probe *probe;
	int done;
	char why[200], found[4000];
};

static void
told(void *arg, const struct probe_finding *f)
{
	struct case_of *c = arg;
	size_t n = strlen(c->found);
	assert_int_equal(c->done, 0);
	assert_true(f->ms >= 0);
	snprintf(c->found + n, sizeof(c->found) - n, "%s|%s|%s|%s\n", f->host,
	    f->ok ? "ok" : "no", f->stage, f->text);
}

static void
done(void *arg, const char *why)
{
	struct case_of *c = arg;
	c->done++;
	c->probe = NULL;
	span_copy(span_str(why != NULL ? why : ""), c->why, sizeof(c->why));
}

static int
setup(void **state)
{
	struct case_of *c = NEW(struct case_of);
	struct buf errors = {0};
	rig_setup((void **)&c->rig);
	c->dns = fake_dns_new();
	struct resolver_options none = {0};
	c->courier.loop = c->rig->loop;
	c->courier.resolver = resolver_new(
	    c->rig->loop, NULL, fake_dns_transport(c->dns, c->rig->loop), &none);
	c->courier.config = config_parse("test.conf", CONFIG, &errors);
	buf_add_char(&errors, '\0');
	if (c->courier.config == NULL)
		assert_string_equal(errors.p, "");
	buf_clear(&errors);
	*state = c;
	return 0;
}

static int
teardown(void **state)
{
	struct case_of *c = *state;
	probe_cancel(&c->probe);
	resolver_free(&c->courier.resolver);
	config_unref(&c->courier.config);
	void *rig = c->rig;
	rig_teardown(&rig);
	fake_dns_free(&c->dns);
	mem_free(&c);
	return 0;
}

static void
probe(struct case_of *c, const char *route, const char *domain)
{
	c->probe =
	    probe_start(&c->courier, span_str(route), span_str(domain), told, done, c);
	assert_int_equal(c->done, 0);
	assert_string_equal(c->found, "");
	rig_settle(c->rig);
}

static void
next_peer(struct case_of *c)
{
	close(c->rig->peer);
	c->rig->peer = -1;
}

static void
ends(struct case_of *c, const char *why, const char *found)
{
	rig_settle(c->rig);
	assert_int_equal(c->done, 1);
	assert_string_equal(c->why, why);
	assert_string_equal(c->found, found);
}

static void
test_wrong_routes(void **state)
{
	(void)state;
	static const char *const cases[][3] = {
	    {"other", "x.test", "there is no route of this name"},
	    {"no", "x.test", "this route does not deliver to other hosts"},
	    {"world", "", "this route goes by MX records: say whose"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		void *p;
		setup(&p);
		probe(p, cases[i][0], cases[i][1]);
		ends(p, cases[i][2], "");
		teardown(&p);
	}
}

static void
test_named_hops(void **state)
{
	struct case_of *c = *state;
	assert_true(fake_dns_set(c->dns, "hop.test A 192.0.2.8"));
	probe(c, "two", "");
	rig_says(c->rig, "220 mx\r\n");
	rig_hears(c->rig, "EHLO me.test\r\n");
	rig_says(c->rig, "250-mx\r\n250-SIZE 1000\r\n250-PIPELINING\r\n250 DSN\r\n");
	rig_settle(c->rig);
	assert_string_equal(c->found,
	    "192.0.2.7[192.0.2.7]:2526|ok|ready|no TLS; SIZE 1000, PIPELINING, DSN\n");
	rig_says(c->rig, "554 5.7.1 go away\r\n");
	ends(c, "",
	    "192.0.2.7[192.0.2.7]:2526|ok|ready|no TLS; SIZE 1000, PIPELINING, DSN\n"
	    "hop.test[192.0.2.8]:25|no|greeting|554 5.7.1 go away\n");
}

static void
test_look_up_fails(void **state)
{
	struct case_of *c = *state;
	probe(c, "lost", "");
	rig_settle(c->rig);
	assert_int_equal(c->done, 1);
	assert_string_equal(c->why, "");
	assert_int_equal(memcmp(c->found, "nowhere.test|no|look-up|", 24), 0);
}

static void
test_mx(void **state)
{
	struct case_of *c = *state;
	assert_true(
	    fake_dns_set(c->dns, "x.test MX 10 mx1.x.test\nx.test MX 20 mx2.x.test\n"
				 "mx1.x.test A 192.0.2.1\nmx2.x.test A 192.0.2.2"));
	probe(c, "world", "x.test");
	next_peer(c);
	rig_settle(c->rig);
	assert_int_equal(c->rig->dialled.ip[3], 2);
	rig_says(c->rig, "220 mx\r\n");
	rig_says(c->rig, "250 mx\r\n");
	ends(c, "",
	    "mx1.x.test[192.0.2.1]:25|no|greeting|451 4.4.2 mx1.x.test[192.0.2.1]:25: "
	    "connection closed while waiting for the greeting\n"
	    "mx2.x.test[192.0.2.2]:25|ok|ready|no TLS\n");
}

static void
test_tls_is_required(void **state)
{
	struct case_of *c = *state;
	probe(c, "safe", "");
	rig_says(c->rig, "220 mx\r\n");
	rig_says(c->rig, "250 mx\r\n");
	ends(c, "",
	    "192.0.2.7[192.0.2.7]:25|no|tls|451 4.7.4 192.0.2.7[192.0.2.7]:25 offers no "
	    "STARTTLS, and TLS is required\n");
}

static void
test_at_most_so_many(void **state)
{
	struct case_of *c = *state;
	char line[200];
	for (int i = 0; i < MX_HOST_MAX; i++) {
		snprintf(line, sizeof(line),
		    "x.test MX %d m%d.x.test\nm%d.x.test A 192.0.2.%d\nm%d.x.test A "
		    "192.0.3.%d",
		    i, i, i, i + 1, i, i + 1);
		assert_true(fake_dns_add(c->dns, line));
	}
	c->rig->dial_fails = ERR_REFUSED;
	probe(c, "world", "x.test");
	rig_settle(c->rig);
	assert_int_equal(c->done, 1);
	assert_string_equal(
	    c->why, "there are more hosts; so many are enough for a probe");
	int lines = 0;
	for (const char *p = c->found; *p != '\0'; p++)
		lines += *p == '\n';
	assert_int_equal(lines, PROBE_HOSTS_MAX);
}

/* An administrator does not wait five minutes for a greeting. */
static void
test_silent(void **state)
{
	struct case_of *c = *state;
	probe(c, "safe", "");
	rig_pass(c->rig, 44 * SECOND_MS);
	assert_int_equal(c->done, 0);
	rig_pass(c->rig, 2 * SECOND_MS);
	ends(c, "",
	    "192.0.2.7[192.0.2.7]:25|no|greeting|still waiting after 45 seconds; a "
	    "delivery waits longer\n");
}

static void
test_reload_meanwhile(void **state)
{
	struct case_of *c = *state;
	const struct config *before = c->courier.config;
	struct buf errors = {0};
	probe(c, "two", "");
	c->courier.config = config_parse("test.conf", CONFIG, &errors);
	config_unref(&before);
	rig_says(c->rig, "554 no\r\n");
	ends(c, "the configuration has been read anew meanwhile",
	    "192.0.2.7[192.0.2.7]:2526|no|greeting|554 no\n");
	buf_clear(&errors);
}

/* At each step: nothing comes any more, and nothing is left. */
static void
test_cancelled(void **state)
{
	(void)state;
	for (int steps = 0; steps < 4; steps++) {
		void *p;
		setup(&p);
		struct case_of *c = p;
		fake_dns_set(c->dns, "slow.test TIMEOUT");
		if (steps == 1)
			probe(c, "world", "slow.test");
		else if (steps > 1)
			probe(c, "two", "");
		else
			c->probe = probe_start(
			    &c->courier, SPAN("two"), SPAN(""), told, done, c);
		if (steps == 3)
			rig_says(c->rig, "220 mx\r\n");
		probe_cancel(&c->probe);
		assert_null(c->probe);
		rig_settle(c->rig);
		assert_int_equal(c->done, 0);
		teardown(&p);
	}
}

/* ---- the options of a connection (hops.c) */

static void
test_family(void **state)
{
	struct case_of *c = *state;
	assert_true(fake_dns_set(c->dns,
	    "x.test MX 10 mx.x.test\nmx.x.test A 192.0.2.1\nmx.x.test AAAA 2001:db8::1"));
	c->rig->dial_fails = ERR_REFUSED;
	probe(c, "six", "x.test");
	ends(c, "",
	    "mx.x.test[2001:db8::1]:25|no|connect|451 4.4.1 connect to "
	    "mx.x.test[2001:db8::1]:25: connection refused\n");
}

static void
test_options(void **state)
{
	struct case_of *c = *state;
	struct hop_target t;
	char *prints[] = {(char[]){"aa"}, (char[]){"bb"}};
	struct route_hop proxy = {.port = 1080}, via = {.tls = true};
	struct route r = {.name = (char[]){"r"},
	    .deliver = ROUTE_LMTP,
	    .tls = ROUTE_TLS_VERIFY,
	    .fingerprints = {prints, 2},
	    .user = (char[]){"u"},
	    .secret = (char[]){"s"},
	    .sources = 2,
	    .socks = &proxy,
	    .socks_n = 1};
	struct net_addr to;
	assert_int_equal(net_parse_ip(SPAN("192.0.2.50"), &r.source[0]), OK);
	assert_int_equal(net_parse_ip(SPAN("2001:db8::50"), &r.source[1]), OK);
	assert_int_equal(net_parse_ip(SPAN("2001:db8::1080"), &proxy.addr), OK);
	assert_int_equal(net_parse_addr(SPAN("192.0.2.1:465"), &to), OK);
	client_options_for(&t, c->courier.config, &r, "mx.test", &to, &via, NULL, NULL);
	assert_true(t.options.lmtp && t.options.tls_implicit);
	assert_int_equal(t.options.socks->port, 1080);
	assert_int_equal(t.options.from->family, NET_IPV6); /* towards the proxy */
	assert_string_equal(t.options.helo, "me.test");
	assert_int_equal(t.peer.verify, TLS_VERIFY_FINGERPRINT);
	assert_string_equal(t.peer.fingerprint[1], "bb");
	assert_string_equal(t.peer.name, "mx.test");
	assert_string_equal(t.peer.session, "mx.test:465/r");
	r.socks_n = r.fingerprints.n = 0;
	r.tls_name = (char[]){"other.test"};
	client_options_for(&t, c->courier.config, &r, "mx.test", &to, NULL, NULL, NULL);
	assert_null(t.options.socks);
	assert_false(t.options.tls_implicit);
	assert_int_equal(t.options.from->family, NET_IPV4);
	assert_int_equal(t.peer.verify, TLS_VERIFY_NAME);
	assert_string_equal(t.peer.name, "other.test");
	r.tls = ROUTE_TLS_OPPORTUNISTIC;
	client_options_for(&t, c->courier.config, &r, "mx.test", &to, NULL, NULL, NULL);
	assert_int_equal(t.peer.verify, TLS_VERIFY_NO);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_wrong_routes),
	    TEST(test_named_hops),
	    TEST(test_look_up_fails),
	    TEST(test_mx),
	    TEST(test_tls_is_required),
	    TEST(test_at_most_so_many),
	    TEST(test_silent),
	    TEST(test_reload_meanwhile),
	    cmocka_unit_test(test_cancelled),
	    TEST(test_family),
	    TEST(test_options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
