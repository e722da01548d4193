/* SPDX-License-Identifier: ISC */
/* Routes and access: which pattern fits, which route is first, who may send where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "policy/access.h"

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
	    {"a@example.org", "a@example.org", true},
	    {"a@example.org", "A@example.org", false},
	    {"a@example.org", "b@example.org", false},
	    {"*", "a@example.org", true},
	    {"*", "", true},
	    {"<>", "", true},
	    {"<>", "a@example.org", false},
	    {"example.org", "", false},
	    {"example.org", "\"a@other.example\"@example.org", true},
	    {"example.org", "\"a@example.org\"@other.example", false},
	    {"example.org", "a%example.org@other.example", false},
	    {"xn--bcher-kva.example", "a@b\xc3\xbc" "cher.example", true},
	    {"b\xc3\xbc" "cher.example", "a@xn--bcher-kva.example", true},
	    {"[192.0.2.1]", "a@[192.0.2.1]", true},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct route_pattern p;
		struct buf why;
		buf_init(&why, 1024);
		assert_int_equal(route_pattern_parse(span_str(cases[i].pattern), &p, &why), OK);
		if (route_pattern_matches(&p, span_str(cases[i].address)) != cases[i].fits)
			fail_msg("%s and %s", cases[i].pattern, cases[i].address);
		mem_free(&p.text);
		buf_clear(&why);
	}
}

static void
test_wrong_patterns(void **state)
{
	static const char *const bad[] = {"", "@", ".", "a@", "a b.example", "a@b@c", "exa..mple"};
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

/* ---- a table of four routes */

struct fixture {
	struct policy policy;
	struct network_list listener;
};

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
add_route(struct fixture *f, const char *name, enum route_deliver deliver, const char *to, const char *from)
{
	struct route_table *t = &f->policy.routes;
	t->route = mem_resize(t->route, t->n + 1, sizeof(*t->route));
	struct route *r = &t->route[t->n++];
	*r = (struct route){.name = mem_strdup(name), .deliver = deliver, .port = 25};
	if (to != NULL)
		add_pattern(&r->to, &r->to_n, to);
	if (from != NULL)
		add_pattern(&r->from, &r->from_n, from);
	return r;
}

static void
add_net(struct network_list *l, const char *text)
{
	l->net = mem_resize(l->net, l->n + 1, sizeof(*l->net));
	assert_int_equal(net_parse_cidr(span_str(text), &l->net[l->n++]), OK);
}

static int
setup(void **state)
{
	struct fixture *f = NEW(struct fixture);
	add_net(&f->policy.networks, "192.0.2.0/24");
	add_net(&f->policy.networks, "2001:db8::/32");
	add_net(&f->listener, "198.51.100.0/24");
	struct route *in = add_route(f, "office", ROUTE_VIA, "office.example", NULL);
	in->inbound = true;
	in->hop[0] = (struct route_hop){.host = mem_strdup("inside.example"), .port = 25};
	in->hops = 1;
	struct route *no = add_route(f, "no", ROUTE_REJECT, "bad.example", NULL);
	no->reject_text = mem_strdup("not here");
	(void)add_route(f, "sales", ROUTE_HOLD, NULL, "@sales.example");
	(void)add_route(f, "world", ROUTE_MX, ".example", NULL);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	route_table_clear(&f->policy.routes);
	mem_free(&f->policy.networks.net);
	mem_free(&f->listener.net);
	mem_free(&f);
	return 0;
}

static void
test_find(void **state)
{
	struct fixture *f = *state;
	const struct route_table *t = &f->policy.routes;
	struct buf b;
	buf_init(&b, 1024);
	assert_string_equal(route_find(t, SPAN(""), SPAN("a@office.example"))->name, "office");
	assert_string_equal(route_find(t, SPAN("x@sales.example"), SPAN("a@far.test"))->name, "sales");
	const struct route *world = route_find(t, SPAN(""), SPAN("a@Sub.Far.example"));
	assert_string_equal(world->name, "world");
	assert_int_equal(route_key(world, SPAN("a@Sub.Far.example"), &b), OK);
	assert_true(span_eq(buf_span(&b), SPAN("mx:sub.far.example")));
	assert_null(route_find(t, SPAN(""), SPAN("a@elsewhere.test")));
	for (size_t i = 0; i < t->n; i++) {
		buf_reset(&b);
		route_describe(&t->route[i], SPAN("a@b.example"), &b);
		assert_true(span_starts(buf_span(&b), SPAN("route \"")));
	}
	buf_reset(&b);
	assert_int_equal(route_key(&t->route[0], SPAN("a@office.example"), &b), OK);
	assert_true(span_eq(buf_span(&b), SPAN("via:office")));
	buf_clear(&b);
}

static void
test_access(void **state)
{
	static const struct {
		const char *client, *listener, *account, *sender, *recipient;
		unsigned code;
		const char *rule;
	} cases[] = {
	    {"192.0.2.7", NULL, "", "a@x.example", "b@far.example", 250, "own-client"},
	    {"2001:db8::7", NULL, "", "", "b@far.example", 250, "own-client"},
	    {"203.0.113.7", NULL, "", "a@x.example", "b@far.example", 550, "relaying-denied"},
	    {"203.0.113.7", NULL, "", "a@x.example", "b@office.example", 250, "inbound-route"},
	    {"203.0.113.7", NULL, "", "a@x.example", "b@bad.example", 550, "relaying-denied"},
	    {"203.0.113.7", NULL, "me", "a@x.example", "b@far.example", 250, "own-client"},
	    {"192.0.2.7", NULL, "", "a@x.example", "b@bad.example", 550, "route-reject"},
	    {"192.0.2.7", NULL, "", "a@x.example", "b@nowhere.test", 550, "no-route"},
	    {"192.0.2.7", NULL, "", "a@x.example", "b@-.example", 250, NULL},
	    {"192.0.2.7", "l", "", "a@x.example", "b@far.example", 550, "relaying-denied"},
	    {"198.51.100.7", "l", "", "a@x.example", "b@far.example", 250, "own-client"},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct net_addr client;
		const struct route *route;
		const char *rule = NULL;
		if (cases[i].rule == NULL)
			continue;
		assert_int_equal(net_parse_ip(span_str(cases[i].client), &client), OK);
		struct access_facts facts = {&f->policy, cases[i].listener ? &f->listener : NULL, &client,
		    SPAN("helo"), span_str(cases[i].account), span_str(cases[i].sender)};
		struct verdict v = access_recipient(&facts, span_str(cases[i].recipient), &route, &rule);
		if (v.code != cases[i].code || strcmp(rule, cases[i].rule) != 0)
			fail_msg("%s to %s: %u by %s", cases[i].client, cases[i].recipient, v.code, rule);
		assert_true((route != NULL) == (v.code == 250));
	}
}

static void
test_sender(void **state)
{
	struct fixture *f = *state;
	struct net_addr client;
	const char *rule;
	assert_int_equal(net_parse_ip(SPAN("203.0.113.7"), &client), OK);
	struct access_facts facts = {.policy = &f->policy, .client = &client};
	assert_int_equal(access_sender(&facts, &rule).code, 250);
	facts.sender = SPAN("a@b.example");
	assert_int_equal(access_sender(&facts, NULL).code, 250);
	facts.sender = SPAN("a@\xff.example");
	assert_int_equal(access_sender(&facts, &rule).code, 553);
	assert_string_equal(rule, "sender-domain");
}

static void
test_verdict(void **state)
{
	struct buf b;
	char status[16];
	(void)state;
	buf_init(&b, 1024);
	struct verdict v = verdict_make(550, "5.1.1", "no %s\r\n250 ok\x1b", "such");
	verdict_add(&b, &v);
	assert_true(span_eq(buf_span(&b), SPAN("550 5.1.1 no such??250 ok?")));
	verdict_status(&v, status);
	assert_string_equal(status, "5.1.1");
	v = verdict_make(451, NULL, "later");
	verdict_status(&v, status);
	assert_string_equal(status, "4.0.0");
	assert_true(verdict_temporary(&v) && !verdict_ok(&v) && !verdict_permanent(&v));
	v = verdict_make(550, "5.7.", "x");
	assert_int_equal(v.klass, 0);
	v = verdict_make(550, "99999.1.1", "x");
	assert_int_equal(v.klass, 0);
	buf_clear(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_patterns),
	    cmocka_unit_test(test_wrong_patterns),
	    cmocka_unit_test_setup_teardown(test_find, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_access, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_sender, setup, teardown),
	    cmocka_unit_test(test_verdict),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
