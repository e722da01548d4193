/* SPDX-License-Identifier: ISC */
/* Who may send where: each rule, the order of the rules, whom a network list lets in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cmocka.h>

#include "base/mem.h"
#include "policy/access.h"

struct fixture {
	struct policy policy;
	struct network_list listener, nobody;
};

static struct route *
add_route(struct fixture *f, const char *name, enum route_deliver deliver, const char *to)
{
	struct route_table *t = &f->policy.routes;
	struct buf why;
	buf_init(&why, 1024);
	t->route = mem_resize(t->route, t->n + 1, sizeof(*t->route));
	struct route *r = &t->route[t->n++];
	*r = (struct route){.name = mem_strdup(name), .deliver = deliver, .to.n = 1};
	r->to.pattern = NEW(struct route_pattern);
	assert_int_equal(route_pattern_parse(span_str(to), r->to.pattern, &why), OK);
	buf_clear(&why);
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
	add_net(&f->policy.networks, "127.0.0.1/32");
	add_net(&f->listener, "198.51.100.0/24");
	add_route(f, "moved", ROUTE_REJECT, "old@office.example")->reject_text =
	    mem_strdup("has moved");
	add_route(f, "office", ROUTE_VIA, "office.example")->inbound = true;
	(void)add_route(f, "no", ROUTE_REJECT, "bad.example");
	add_route(f, "inward", ROUTE_REJECT, "worse.example")->inbound = true;
	(void)add_route(f, "world", ROUTE_MX, ".example");
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

static const struct access_case {
	const char *client;
	char list; /* g: the global list, l: the listener's, 0: a listener's empty one */
	const char *account, *recipient;
	unsigned code;
	const char *rule;
} cases[] = {
    /* 1: before anything else, also for one of ours */
    {"192.0.2.7", 'g', "me", "b@\xff.example", 501, "recipient-domain"},
    {"203.0.113.7", 'g', "", "b@a..example", 501, "recipient-domain"},
    {"192.0.2.7", 'g', "", "b", 501, "recipient-domain"},
    {"192.0.2.7", 'g', "", "", 501, "recipient-domain"},
    {"192.0.2.7", 'g', "", "b@[nonsense]", 501, "recipient-domain"},
    /* 2: a route refuses, whoever asks */
    {"192.0.2.7", 'g', "", "b@bad.example", 550, "route-reject"},
    {"203.0.113.7", 'g', "me", "b@bad.example", 550, "route-reject"},
    {"203.0.113.7", 'g', "", "b@bad.example", 550, "route-reject"},
    {"203.0.113.7", 'g', "", "b@worse.example", 550, "route-reject"},
    {"203.0.113.7", 'g', "", "old@office.example", 550, "route-reject"},
    {"203.0.113.7", 'g', "", "\"old\"@office.example", 550, "route-reject"},
    /* 3: one of ours */
    {"192.0.2.7", 'g', "", "b@far.example", 250, "own-client"},
    {"192.0.2.0", 'g', "", "b@far.example", 250, "own-client"},
    {"192.0.2.255", 'g', "", "b@far.example", 250, "own-client"},
    {"2001:db8::7", 'g', "", "b@far.example", 250, "own-client"},
    {"::ffff:192.0.2.7", 'g', "", "b@far.example", 250, "own-client"},
    {"203.0.113.7", 'g', "me", "b@far.example", 250, "own-client"},
    {"192.0.2.7", 'g', "", "b@office.example", 250, "own-client"},
    {"198.51.100.7", 'l', "", "b@far.example", 250, "own-client"},
    {"192.0.2.7", 0, "me", "b@far.example", 250, "own-client"},
    {"192.0.2.7", 'g', "", "b@nowhere.test", 550, "no-route"},
    {"203.0.113.7", 'g', "me", "b@nowhere.test", 550, "no-route"},
    /* 4: an inbound route */
    {"203.0.113.7", 'g', "", "b@office.example", 250, "inbound-route"},
    {"203.0.113.7", 'g', "", "b@OFFICE.example", 250, "inbound-route"},
    {"192.0.2.7", 0, "", "b@office.example", 250, "inbound-route"},
    {"203.0.113.7", 'g', "", "b%far.example@office.example", 250, "inbound-route"},
    {"203.0.113.7", 'g', "", "\"b@far.example\"@office.example", 250, "inbound-route"},
    /* 5: all others */
    {"203.0.113.7", 'g', "", "b@far.example", 550, "relaying-denied"},
    {"203.0.113.7", 'g', "", "b@nowhere.test", 550, "relaying-denied"},
    {"203.0.113.7", 'g', "", "b@sub.office.example", 550, "relaying-denied"},
    {"203.0.113.7", 'g', "", "\"b@office.example\"@far.example", 550, "relaying-denied"},
    {"203.0.113.7", 'g', "", "b%office.example@far.example", 550, "relaying-denied"},
    {"203.0.113.7", 'g', "", "office.example!b@far.example", 550, "relaying-denied"},
    {"192.0.1.255", 'g', "", "b@far.example", 550, "relaying-denied"},
    {"192.0.3.0", 'g', "", "b@far.example", 550, "relaying-denied"},
    {"2001:db9::1", 'g', "", "b@far.example", 550, "relaying-denied"},
    {"127.0.0.66", 'g', "", "b@far.example", 550, "relaying-denied"},
    {"::1", 'g', "", "b@far.example", 550, "relaying-denied"},
    {"192.0.2.7", 'l', "", "b@far.example", 550, "relaying-denied"},
    {"192.0.2.7", 0, "", "b@far.example", 550, "relaying-denied"},
};

static void
test_recipient(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct access_case *c = &cases[i];
		const struct network_list *list =
		    c->list == 'l' ? &f->listener : &f->nobody;
		struct net_addr client;
		assert_int_equal(net_parse_ip(span_str(c->client), &client), OK);
		struct access_facts facts = {.policy = &f->policy,
		    .networks = c->list == 'g' ? NULL : list,
		    .client = &client,
		    .helo = SPAN("office.example"),
		    .account = span_str(c->account),
		    .sender = SPAN(
			"me@office.example")}; /* saying that one is ours is of no use */
		struct access_answer a;
		access_recipient(&facts, span_str(c->recipient), &a);
		if (a.verdict.code != c->code || strcmp(a.rule, c->rule) != 0)
			fail_msg("%s to %s: %u by %s", c->client, c->recipient,
			    a.verdict.code, a.rule);
		assert_true((a.route != NULL) == (a.verdict.code == 250));
		assert_int_equal(a.verdict.klass, a.verdict.code / 100);
	}
}

static struct verdict
ask(const struct fixture *f, const char *from, const char *recipient)
{
	struct net_addr client;
	struct access_answer a;
	assert_int_equal(net_parse_ip(span_str(from), &client), OK);
	struct access_facts facts = {.policy = &f->policy, .client = &client};
	access_recipient(&facts, span_str(recipient), &a);
	return a.verdict;
}

static void
test_texts(void **state)
{
	static const struct {
		const char *client, *recipient, *line;
	} want[] = {
	    {"192.0.2.1", "b@\xff",
		"501 5.1.3 the recipient's domain is not a valid name"},
	    {"203.0.113.7", "old@office.example", "550 5.7.1 has moved"},
	    {"192.0.2.1", "b@bad.example", "550 5.7.1 recipient refused"},
	    {"192.0.2.1", "b@nowhere.test", "550 5.1.2 no route for this recipient"},
	    {"203.0.113.7", "b@far.example",
		"550 5.7.1 relaying denied: 203.0.113.7 is not in this relay's networks "
		"and no one "
		"signed in"},
	};
	for (size_t i = 0; i < COUNT_OF(want); i++) {
		struct buf b;
		buf_init(&b, 1024);
		struct verdict v = ask(*state, want[i].client, want[i].recipient);
		verdict_add(&b, &v);
		if (!span_eq(buf_span(&b), span_str(want[i].line)))
			fail_msg("%.*s", SPAN_ARG(buf_span(&b)));
		buf_clear(&b);
	}
}

/* A mapped address comes from the socket as IPv4, and is let in as that alone. */
static void
test_mapped(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6};
	struct net_addr a;
	assert_int_equal(inet_pton(AF_INET6, "::ffff:127.0.0.1", &sa.sin6_addr), 1);
	net_from_sockaddr((const struct sockaddr *)&sa, &a);
	assert_true(network_list_has(&f->policy.networks, &a));
	assert_int_equal(inet_pton(AF_INET6, "::ffff:127.0.0.66", &sa.sin6_addr), 1);
	net_from_sockaddr((const struct sockaddr *)&sa, &a);
	assert_false(network_list_has(&f->policy.networks, &a));
	assert_false(network_list_has(&f->nobody, &a));
}

static void
test_sender(void **state)
{
	static const struct {
		const char *sender;
		unsigned code;
		const char *rule;
	} senders[] = {
	    {"", 250, "null-sender"},
	    {"a@b.example", 250, "sender-ok"},
	    {"a@b\xc3\xbc.example", 250, "sender-ok"},
	    {"a@[192.0.2.1]", 250, "sender-ok"},
	    {"\"a@b\"@x.example", 250, "sender-ok"},
	    {"a@\xff.example", 553, "sender-domain"},
	    {"a@b..example", 553, "sender-domain"},
	    {"a@", 553, "sender-domain"},
	    {"a", 553, "sender-domain"},
	};
	struct fixture *f = *state;
	struct net_addr client;
	assert_int_equal(net_parse_ip(SPAN("203.0.113.7"), &client), OK);
	for (size_t i = 0; i < COUNT_OF(senders); i++) {
		const char *rule = NULL;
		struct access_facts facts = {.policy = &f->policy,
		    .client = &client,
		    .sender = span_str(senders[i].sender)};
		struct verdict v = access_sender(&facts, &rule);
		if (v.code != senders[i].code || strcmp(rule, senders[i].rule) != 0)
			fail_msg("%s: %u by %s", senders[i].sender, v.code, rule);
		assert_true(v.code == 250 || (v.subject == 1 && v.detail == 7));
		assert_int_equal(access_sender(&facts, NULL).code, v.code);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_recipient, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_mapped, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_sender, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
