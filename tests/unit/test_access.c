/* SPDX-License-Identifier: ISC */
/* Who may send where: each rule, the order of the rules, whom a network list lets in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cmocka.h>

#include "base/mem.h"
#include "policy/access.h"
#include "policy/address.h"

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
		"signed in; sign in, or ask the postmaster to add your network"},
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

/* ---- rules, block lists, accounts */

static struct access_facts
facts_from(const struct fixture *f, const char *from, struct net_addr *client)
{
	assert_int_equal(net_parse_ip(span_str(from), client), OK);
	return (struct access_facts){
	    .policy = &f->policy, .client = client, .sender = SPAN("s@s.example")};
}

/* The same facts told: the last step is the one that decided, and it alone. */
struct told {
	unsigned steps, decisions;
	char last[100];
};

static void
on_told(void *arg, const char *step, bool decided)
{
	struct told *t = arg;
	t->steps++;
	t->decisions += decided;
	assert_true(strlen(step) > 10);
	span_copy(span_cut(span_str(step), 0, span_find(span_str(step), ':')), t->last,
	    sizeof(t->last));
	assert_int_equal(t->decisions, decided ? 1 : 0);
}

static const struct rule_case {
	enum rule_action action;
	const char *client, *recipient, *listed;
	bool defer;
	unsigned code;
	const char *rule;
	bool hold;
	const char *step;
} rule_cases[] = {
    {RULE_REJECT, "192.0.2.7", "b@far.example", "", 0, 550, "rule-reject", 0, "rules"},
    {RULE_DEFER, "192.0.2.7", "b@far.example", "", 0, 450, "rule-defer", 0, "rules"},
    {RULE_HOLD, "192.0.2.7", "b@far.example", "", 0, 250, "own-client", 1, "own-client"},
    {RULE_ACCEPT, "192.0.2.7", "b@far.example", "", 0, 250, "own-client", 0,
	"own-client"},
    /* accepting gives no right to relay, and holding neither */
    {RULE_ACCEPT, "203.0.113.7", "b@far.example", "", 0, 550, "relaying-denied", 0,
	"relaying-denied"},
    {RULE_HOLD, "203.0.113.7", "b@far.example", "", 0, 550, "relaying-denied", 0,
	"relaying-denied"},
    {RULE_ACCEPT, "203.0.113.7", "b@bad.example", "", 0, 550, "route-reject", 0,
	"route-reject"},
    /* block lists: strangers only, unless a rule accepts */
    {RULE_HOLD, "203.0.113.7", "b@office.example", "bl", 0, 550, "listed", 0,
	"block-list"},
    {RULE_HOLD, "203.0.113.7", "b@office.example", "bl", 1, 450, "listed-defer", 0,
	"block-list"},
    {RULE_ACCEPT, "203.0.113.7", "b@office.example", "bl", 0, 250, "inbound-route", 0,
	"inbound-route"},
    {RULE_HOLD, "192.0.2.7", "b@far.example", "bl", 0, 250, "own-client", 1,
	"own-client"},
    {RULE_REJECT, "203.0.113.7", "b@office.example", "bl", 1, 550, "rule-reject", 0,
	"rules"},
    {RULE_REJECT, "203.0.113.7", "b@a..example", "bl", 1, 501, "recipient-domain", 0,
	"recipient-domain"},
};

static void
test_rules(void **state)
{
	struct fixture *f = *state;
	struct rule rule = {.name = (char[]){"mine"}};
	f->policy.rules = (struct rule_table){&rule, 1};
	for (size_t i = 0; i < COUNT_OF(rule_cases); i++) {
		const struct rule_case *c = &rule_cases[i];
		struct net_addr client;
		struct access_facts facts = facts_from(f, c->client, &client);
		struct access_answer a;
		struct told told = {0};
		rule.action = c->action;
		facts.listed = span_str(c->listed);
		facts.listed_defer = c->defer;
		access_recipient(&facts, span_str(c->recipient), &a);
		access_explain(&facts, span_str(c->recipient), on_told, &told);
		if (a.verdict.code != c->code || strcmp(a.rule, c->rule) != 0 ||
		    a.hold != c->hold || strcmp(told.last, c->step) != 0)
			fail_msg("%zu: %u by %s, hold %d, told %s", i, a.verdict.code,
			    a.rule, a.hold, told.last);
		assert_int_equal(told.decisions, 1);
		bool by = strcmp(c->rule, "rule-reject") == 0 ||
			  strcmp(c->rule, "rule-defer") == 0 || c->hold;
		assert_ptr_equal(a.by, by ? &rule : NULL);
	}
	f->policy.rules = (struct rule_table){0};
}

static void
test_sign_in(void **state)
{
	struct net_addr client;
	struct access_facts facts = facts_from(*state, "192.0.2.7", &client);
	struct told told = {0};
	const char *rule;
	facts.auth_required = true;
	facts.listener = SPAN("submission");
	assert_int_equal(access_sender(&facts, &rule).code, 530);
	assert_string_equal(rule, "sign-in");
	access_explain(&facts, SPAN("b@far.example"), on_told, &told);
	assert_string_equal(told.last, "sign-in");
	assert_int_equal(told.decisions, 1);
	facts.sender = SPAN("");
	assert_int_equal(access_sender(&facts, &rule).code, 530);
	facts.certificate = true; /* says as well who it is */
	assert_int_equal(access_sender(&facts, &rule).code, 250);
	facts.certificate = false;
	facts.account = SPAN("me");
	assert_int_equal(access_sender(&facts, &rule).code, 250);
}

static void
test_account_senders(void **state)
{
	struct net_addr client;
	struct access_facts facts = facts_from(*state, "203.0.113.7", &client);
	struct route_pattern bound;
	struct buf why;
	const char *rule;
	buf_init(&why, 1024);
	assert_int_equal(route_pattern_parse(SPAN("me@s.example"), &bound, &why), OK);
	facts.account = SPAN("me");
	assert_int_equal(access_sender(&facts, &rule).code, 250); /* bound to nothing */
	facts.account_sender = &bound;
	facts.account_senders = 1;
	struct verdict v = access_sender(&facts, &rule);
	assert_int_equal(v.code, 553);
	assert_string_equal(v.text, "account me may not send as s@s.example");
	assert_string_equal(rule, "sender-account");
	struct told told = {0};
	access_explain(&facts, SPAN("b@far.example"), on_told, &told);
	assert_string_equal(told.last, "sender-account");
	facts.sender = SPAN("me@S.example");
	assert_int_equal(access_sender(&facts, &rule).code, 250);
	facts.sender = SPAN("");
	assert_int_equal(access_sender(&facts, &rule).code, 250);
	facts.sender = SPAN("s@s.example");
	facts.account = SPAN(""); /* nobody has signed in: nobody is bound */
	assert_int_equal(access_sender(&facts, &rule).code, 250);
	mem_free(&bound.text);
	buf_clear(&why);
}

/* ---- relay tricks */

static const char *const tricks[] = {"b@far.example", "b%far.example@office.example",
    "b%far.example@relay.example", "far.example!b@office.example",
    "far.example!b@relay.example", "office.example!far.example!b@x.example",
    "\"b@far.example\"@office.example", "\"b@far.example\"@relay.example",
    "\"b@far.example\"@[192.0.2.1]", "b%far.example@[192.0.2.1]", "b@[192.0.2.1]",
    "b@[127.0.0.1]", "b@[IPv6:::1]", "b@[IPv6:::ffff:127.0.0.1]", "b@[IPv6:2001:db8::1]",
    "b@sub.office.example", "b@office.example.far.example", "b@xoffice.example",
    "b@office.example.", "b@office.example..", "b@.office.example", "b@office..example",
    "b@OFFICE.EXAMPLE.far.example", "b@office.example@far.example",
    "b@far.example@office.example", "\"b\"@far.example", "\"\\b\"@far.example",
    "\"\"@far.example", "b@office-example", "b@office.example,c@far.example",
    "b@office.example c@far.example", "b@office.example;c@far.example",
    "b@office.example>,<c@far.example", "b%office.example@far.example",
    "office.example!b@far.example", "\"b@office.example\"@far.example",
    "b+office.example@far.example", "b=office.example@far.example",
    "b#office.example@far.example", "b@office.example%far.example",
    "b@far.example%office.example", "b@far.example!office.example", "b@[office.example]",
    "b@[far.example]", "@office.example:b@far.example", "@far.example:b@office.example",
    "@far.example,@office.example:b@c.example",
    "@office.example,@far.example:b@c.example", "@[192.0.2.1]:b@far.example",
    ":b@far.example", "b", "b%far.example", "b!far.example", "far.example!b", "", "@",
    "b@", "@far.example", "\"b@far.example\"", "b@xn--far-.example",
    "b@office\xe3\x80\x82"
    "example.far.example",
    "b@\xef\xbc\xaf"
    "ffice.far.example",
    "b@far\xe3\x80\x82"
    "example",
    "b\xc3\xbc@far.example", "postmaster", "postmaster@far.example",
    "Postmaster%far.example", "|cat@far.example", "/etc/passwd@far.example",
    "relay@localhost", "b@127.0.0.1", "b@192.0.2.1", "b%c%d@far.example",
    "a!b!c@far.example", "\"b%far.example@office\"@c.example"};

/* A trick never leads a stranger's mail out; what is taken goes to the inbound route and
 * its domain. */
static void
test_tricks(void **state)
{
	static const char *const senders[] = {"", "b@office.example",
	    "b%far.example@office.example", "\"b@office.example\"@c.example"};
	struct fixture *f = *state;
	size_t relayed = 0, inward = 0;
	assert_true(COUNT_OF(tricks) >= 60);
	for (size_t i = 0; i < COUNT_OF(tricks) * COUNT_OF(senders); i++) {
		char path[300];
		struct address to;
		struct net_addr client;
		struct access_answer a;
		(void)snprintf(path, sizeof(path), "<%s>", tricks[i / COUNT_OF(senders)]);
		struct scan at = scan_over(span_str(path));
		if (address_path(&at, ADDRESS_FORWARD, true, &to) != OK ||
		    !scan_done(&at))
			continue;
		struct access_facts facts = facts_from(f, "203.0.113.7", &client);
		facts.sender = span_str(senders[i % COUNT_OF(senders)]);
		facts.helo = SPAN("office.example");
		access_recipient(&facts, to.text, &a);
		if (verdict_ok(&a.verdict)) {
			inward++;
			assert_string_equal(a.route->name, "office");
			assert_true(span_ieq(to.domain, SPAN("office.example")));
		}
		facts.account = SPAN("me");
		access_recipient(&facts, to.text, &a);
		relayed += verdict_ok(&a.verdict) && a.route->deliver == ROUTE_MX;
	}
	assert_true(inward >= 4);   /* the control: some are for the office, ... */
	assert_true(relayed >= 40); /* ... and who signs in may send out */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_recipient, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_mapped, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_sender, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_sign_in, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_account_senders, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_tricks, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
