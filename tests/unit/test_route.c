/* SPDX-License-Identifier: ISC */
/* Routes: which pattern fits, which route is first, under which key mail waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "policy/route.h"

static void
test_patterns(void **state)
{
	static const struct {
		const char *pattern, *address;
		bool fits;
	} cases[] = {
	    {"example.org", "a@example.org", true},
	    {"example.org", "a@EXAMPLE.org", true},
	    {"example.org", "a@sub.example.org", false},
	    {"example.org", "a@notexample.org", false},
	    {".example.org", "a@sub.example.org", true},
	    {".example.org", "a@a.b.example.org", true},
	    {".example.org", "a@example.org", false},
	    {".example.org", "a@xexample.org", false},
	    {"@example.org", "a@example.org", true},
	    {"*@example.org", "a@example.org", true},
	    {"*@example.org", "a@sub.example.org", false},
	    {"a@example.org", "a@example.org", true},
	    {"a@example.org", "A@example.org", true},
	    {"A@example.org", "\"\\a\"@EXAMPLE.org", true},
	    {"joe@example.org", "joe1@example.org", false},
	    {"joe1@example.org", "joe@example.org", false},
	    {"a@example.org", "b@example.org", false},
	    {"*", "a@example.org", true},
	    {"*", "", true},
	    {"<>", "", true},
	    {"<>", "a@example.org", false},
	    {"example.org", "", false},
	    {"example.org", "\"a@other.example\"@example.org", true},
	    {"example.org", "\"a@example.org\"@other.example", false},
	    {"example.org", "a%example.org@other.example", false},
	    {"example.org", "example.org!a@other.example", false},
	    {"example.org", "a@example.org.other.example", false},
	    {"example.org", "a@[192.0.2.1]", false},
	    {"a@example.org", "\"a\"@example.org", true},
	    {"\"a\"@example.org", "a@example.org", true},
	    {"a@example.org", "\"\\a\"@example.org", true},
	    {"a@example.org", "\"a \"@example.org", false},
	    {"xn--bcher-kva.example",
		"a@b\xc3\xbc"
		"cher.example",
		true},
	    {"b\xc3\xbc"
	     "cher.example",
		"a@xn--bcher-kva.example", true},
	    {"[192.0.2.1]", "a@[192.0.2.1]", true},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct route_pattern p;
		struct buf why;
		buf_init(&why, 1024);
		assert_int_equal(
		    route_pattern_parse(span_str(cases[i].pattern), &p, &why), OK);
		if (route_pattern_matches(&p, span_str(cases[i].address)) !=
		    cases[i].fits)
			fail_msg("%s and %s", cases[i].pattern, cases[i].address);
		mem_free(&p.text);
		buf_clear(&why);
	}
}

static void
test_wrong_patterns(void **state)
{
	static const char *const bad[] = {
	    "", "@", ".", "a@", "a b.example", "a@b@c", "exa..mple"};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct route_pattern p;
		struct buf why;
		buf_init(&why, 1024);
		if (route_pattern_parse(span_str(bad[i]), &p, &why) != ERR_SYNTAX)
			fail_msg("\"%s\" should be refused", bad[i]);
		assert_true(why.n > 0);
		buf_clear(&why);
	}
}

/* ---- a table of five routes */

static void
add_pattern(struct route_pattern **list, size_t *n, const char *text)
{
	struct buf why;
	buf_init(&why, 1024);
	*list = mem_resize(*list, *n + 1, sizeof(**list));
	assert_int_equal(route_pattern_parse(span_str(text), &(*list)[*n], &why), OK);
	(*n)++;
	buf_clear(&why);
}

static struct route *
add_route(struct route_table *t, const char *name, enum route_deliver deliver,
    const char *to, const char *from)
{
	t->route = mem_resize(t->route, t->n + 1, sizeof(*t->route));
	struct route *r = &t->route[t->n++];
	*r = (struct route){.name = mem_strdup(name),
	    .deliver = deliver,
	    .line = (unsigned)t->n,
	    .tls = ROUTE_TLS_OPPORTUNISTIC};
	if (to != NULL)
		add_pattern(&r->to.pattern, &r->to.n, to);
	if (from != NULL)
		add_pattern(&r->from.pattern, &r->from.n, from);
	return r;
}

static int
setup(void **state)
{
	struct route_table *t = NEW(struct route_table);
	struct route *via = add_route(t, "office", ROUTE_VIA, "office.example", NULL);
	add_pattern(&via->to.pattern, &via->to.n, "boss@far.example");
	via->hop[0] =
	    (struct route_hop){.host = mem_strdup("inside.example"), .port = 25};
	via->hop[1] = (struct route_hop){.host = mem_strdup("2001:db8::1"), .port = 26};
	via->hop[1].addr.family = NET_IPV6;
	via->hops = 2;
	add_route(t, "no", ROUTE_REJECT, "bad.example", NULL)->reject_text =
	    mem_strdup("not here");
	(void)add_route(t, "sales", ROUTE_HOLD, NULL, "@sales.example");
	(void)add_route(t, "void", ROUTE_DISCARD, "null.example", "<>");
	(void)add_route(t, "world", ROUTE_MX, ".example", NULL);
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct route_table *t = *state;
	route_table_clear(t);
	mem_free(&t);
	return 0;
}

static void
test_find(void **state)
{
	static const struct {
		const char *sender, *recipient, *route; /* NULL: none */
	} cases[] = {
	    {"", "a@office.example", "office"},
	    {"x@sales.example", "a@office.example", "office"}, /* the first that fits */
	    {"x@sales.example", "a@far.test", "sales"},
	    {"x@SALES.example", "a@far.example", "sales"},
	    {"", "a@null.example", "void"},
	    {"x@y.example", "a@null.example", "world"},
	    {"", "a@Sub.Far.example", "world"},
	    {"", "boss@far.example", "office"},
	    {"", "\"boss\"@far.example", "office"}, /* no way around it by quoting */
	    {"", "\"b\\oss\"@FAR.example", "office"},
	    {"", "Boss@far.example", "office"}, /* nor by writing it large */
	    {"", "a@elsewhere.test", NULL},
	    {"", "\"a@office.example\"@elsewhere.test", NULL},
	    {"", "a@example", NULL},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct route_facts f = {.sender = span_str(cases[i].sender),
		    .recipient = span_str(cases[i].recipient)};
		const struct route *r = route_find(*state, &f);
		const char *name = r ? r->name : "none";
		if (strcmp(name, cases[i].route ? cases[i].route : "none") != 0)
			fail_msg(
			    "%s to %s: %s", cases[i].sender, cases[i].recipient, name);
	}
}

static void
test_keys_and_sentences(void **state)
{
	static const struct {
		const char *key, *sentence;
	} want[] = {
	    {"via:office",
		"route \"office\" (line 1): to inside.example:25, then [2001:db8::1]:26"},
	    {"reject:no", "route \"no\" (line 2): refused: not here"},
	    {"hold:sales",
		"route \"sales\" (line 3): held until an administrator releases it"},
	    {"discard:void", "route \"void\" (line 4): taken and thrown away"},
	    {"mx:sub.example",
		"route \"world\" (line 5): by the MX records of Sub.example, port 25"},
	};
	struct route_table *t = *state;
	struct buf b;
	buf_init(&b, 1024);
	for (size_t i = 0; i < t->n; i++) {
		buf_reset(&b);
		assert_int_equal(route_key(&t->route[i], SPAN("a@Sub.example"), &b), OK);
		if (!span_eq(buf_span(&b), span_str(want[i].key)))
			fail_msg("%s: %.*s", want[i].key, SPAN_ARG(buf_span(&b)));
		buf_reset(&b);
		route_describe(&t->route[i], SPAN("a@Sub.example"), &b);
		if (!span_eq(buf_span(&b), span_str(want[i].sentence)))
			fail_msg("%s: %.*s", want[i].key, SPAN_ARG(buf_span(&b)));
	}
	buf_reset(&b);
	assert_int_equal(route_key(&t->route[4], SPAN("a@\xff.example"), &b), ERR_SYNTAX);
	buf_clear(&b);
}

/* A route that speaks in a way of its own shares no connection with others. */
static void
test_plain(void **state)
{
	struct route_hop proxy = {.host = NULL};
	char *finger = NULL;
	const struct route plain = {.tls = ROUTE_TLS_OPPORTUNISTIC, .port = 25};
	struct route other[] = {plain, plain, plain, plain, plain, plain, plain, plain,
	    plain, plain, plain, plain, plain};
	size_t n = 0;
	char text[] = "x";
	(void)state;
	assert_true(route_is_plain(&plain));
	other[n++].tls = ROUTE_TLS_NONE;
	other[n++].tls = ROUTE_TLS_VERIFY;
	other[n++].tls_name = text;
	other[n++].tls_ca = text;
	other[n].fingerprints.name = &finger;
	other[n++].fingerprints.n = 1;
	other[n++].user = text;
	other[n++].helo = text;
	other[n++].sources = 1;
	other[n++].family = ROUTE_FAMILY_IPV6_FIRST;
	other[n].socks = &proxy;
	other[n++].socks_n = 1;
	other[n++].rates.n = 1;
	other[n++].concurrency = 3;
	other[n++].port = 2525;
	assert_int_equal(n, COUNT_OF(other));
	for (size_t i = 0; i < n; i++)
		if (route_is_plain(&other[i]))
			fail_msg("case %zu", i);
	struct buf key;
	buf_init(&key, 400);
	other[0].name = text;
	assert_int_equal(route_key(&other[0], SPAN("a@Sub.example"), &key), OK);
	assert_true(span_eq(buf_span(&key), SPAN("mx/x:sub.example")));
	struct route_key_parts parts = route_key_split(buf_span(&key));
	assert_true(span_eq(parts.kind, SPAN("mx")));
	assert_true(span_eq(parts.route, SPAN("x")));
	assert_true(span_eq(parts.domain, SPAN("sub.example")));
	buf_clear(&key);
}

/* Whatever is out of the ordinary is said. */
static void
test_describe_way(void **state)
{
	struct route_hop proxy = {.host = (char[]){"proxy.example"}, .port = 1080};
	struct rewrite rule = {.local = NULL};
	struct route r = {.name = (char[]){"provider"},
	    .line = 7,
	    .deliver = ROUTE_LMTP,
	    .tls = ROUTE_TLS_VERIFY,
	    .tls_name = (char[]){"smtp.example"},
	    .user = (char[]){"me"},
	    .family = ROUTE_FAMILY_IPV4,
	    .socks = &proxy,
	    .socks_n = 1,
	    .concurrency = 1,
	    .always_bcc = (char[]){"log@example.org"}};
	struct buf b;
	(void)state;
	r.hop[0] =
	    (struct route_hop){.host = (char[]){"in.example"}, .port = 465, .tls = true};
	r.hops = 1;
	assert_int_equal(net_parse_ip(SPAN("192.0.2.9"), &r.source[0]), OK);
	r.sources = 1;
	assert_int_equal(rate_parse(SPAN("10/1s"), &r.rates.rate[0]), OK);
	assert_int_equal(rate_parse(SPAN("2000/1d"), &r.rates.rate[1]), OK);
	r.rates.n = 2;
	r.rewriting.sender = (struct rewrite_list){&rule, 1};
	buf_init(&b, 2048);
	route_describe(&r, SPAN("a@b.example"), &b);
	if (!span_eq(buf_span(&b),
		SPAN("route \"provider\" (line 7): by LMTP to smtps://in.example:465; "
		     "only "
		     "with TLS and a certificate for smtp.example; signed in as me; from "
		     "192.0.2.9; only over IPv4; through the SOCKS proxy "
		     "proxy.example:1080; at most 10/1s and 2000/1d messages; at most 1 "
		     "connection to a destination; addresses are rewritten; a copy goes "
		     "to log@example.org")))
		fail_msg("%.*s", SPAN_ARG(buf_span(&b)));
	buf_clear(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_patterns),
	    cmocka_unit_test(test_wrong_patterns),
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_describe_way),
	    cmocka_unit_test_setup_teardown(test_find, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_keys_and_sentences, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
