/* SPDX-License-Identifier: ISC */
/* An administrator's rules: which is the first that fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/config.h"

static const char text[] =
    "hostname = \"gw.example\"\n"
    "spool { path = \"/nowhere\" }\n"
    "listener \"smtp\" { bind = {\"127.0.0.1:2525\"} protocol = \"smtp\" }\n"
    "listener \"Submit\" { bind = {\"127.0.0.1:2526\"} protocol = \"smtp\" }\n"
    "rule \"client\" { client = {\"203.0.113.0/24\", \"2001:db8::/32\"} "
    "action = \"reject\" }\n"
    "rule \"helo\" { helo = {\"bad.example\", \".worse.example\"} action = \"defer\" }\n"
    "rule \"null\" { from = {\"<>\"} to = {\"list@office.example\"} action = \"reject\" "
    "}\n"
    "rule \"from\" { from = {\"@spam.example\", \"one@two.example\"} action = \"reject\" "
    "text = \"no\" }\n"
    "rule \"account\" { account = {\"Alice\"} to = {\".far.example\"} action = \"hold\" "
    "}\n"
    "rule \"listener\" { listener = {\"Submit\"} from = {\"@kiosk.example\"} action = "
    "\"accept\" }\n"
    "rule \"later\" { from = {\"@spam.example\"} action = \"accept\" }\n"
    "route \"world\" { deliver = \"mx\" }\n";

static void
test_first(void **state)
{
	(void)state;
	static const struct {
		const char *client, *helo, *listener, *account, *from, *to, *want;
	} cases[] = {
	    {"192.0.2.1", "h", "smtp", "", "a@b.example", "c@d.example", NULL},
	    {"203.0.113.0", "h", "smtp", "", "a@b.example", "c@d.example", "client"},
	    {"203.0.114.0", "h", "smtp", "", "a@b.example", "c@d.example", NULL},
	    {"2001:db8:ffff::1", "h", "smtp", "", "a@b.example", "c@d.example", "client"},
	    {"2001:db9::1", "h", "smtp", "", "a@b.example", "c@d.example", NULL},
	    {"192.0.2.1", "bad.example", "smtp", "", "a@b.example", "c@d.example",
		"helo"},
	    {"192.0.2.1", "BAD.Example", "smtp", "", "a@b.example", "c@d.example",
		"helo"},
	    {"192.0.2.1", "x.bad.example", "smtp", "", "a@b.example", "c@d.example",
		NULL},
	    {"192.0.2.1", "x.worse.example", "smtp", "", "a@b.example", "c@d.example",
		"helo"},
	    {"192.0.2.1", "notworse.example", "smtp", "", "a@b.example", "c@d.example",
		NULL},
	    {"192.0.2.1", "[192.0.2.1]", "smtp", "", "a@b.example", "c@d.example", NULL},
	    {"192.0.2.1", "x@bad.example", "smtp", "", "a@b.example", "c@d.example",
		"helo"},
	    {"192.0.2.1", "", "smtp", "", "", "list@office.example", "null"},
	    {"192.0.2.1", "", "smtp", "", "", "list@OFFICE.example", "null"},
	    {"192.0.2.1", "", "smtp", "", "", "other@office.example", NULL},
	    {"192.0.2.1", "", "smtp", "", "a@b.example", "list@office.example", NULL},
	    {"192.0.2.1", "", "smtp", "", "x@spam.example", "c@d.example", "from"},
	    {"192.0.2.1", "", "smtp", "", "x@y.spam.example", "c@d.example", NULL},
	    {"192.0.2.1", "", "smtp", "", "one@two.example", "c@d.example", "from"},
	    {"192.0.2.1", "", "smtp", "", "three@two.example", "c@d.example", NULL},
	    {"192.0.2.1", "", "smtp", "", "\"@spam.example\"@b.example", "c@d.example",
		NULL},
	    {"192.0.2.1", "", "smtp", "alice", "a@b.example", "c@x.far.example",
		"account"},
	    {"192.0.2.1", "", "smtp", "alice2", "a@b.example", "c@x.far.example", NULL},
	    {"192.0.2.1", "", "smtp", "", "a@b.example", "c@x.far.example", NULL},
	    {"192.0.2.1", "", "Submit", "", "a@kiosk.example", "c@d.example", "listener"},
	    {"192.0.2.1", "", "smtp", "", "a@kiosk.example", "c@d.example", NULL},
	};
	struct buf errors = {0};
	struct config *c = config_parse("test.conf", text, &errors);
	if (c == NULL)
		fail_msg("%.*s", SPAN_ARG(buf_span(&errors)));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct net_addr client;
		assert_int_equal(net_parse_ip(span_str(cases[i].client), &client), OK);
		struct rule_facts f = {&client, span_str(cases[i].helo),
		    span_str(cases[i].listener), span_str(cases[i].account),
		    span_str(cases[i].from), span_str(cases[i].to)};
		const struct rule *r = rule_find(&c->policy.rules, &f);
		const char *got = r != NULL ? r->name : "none";
		if (strcmp(got, cases[i].want != NULL ? cases[i].want : "none") != 0)
			fail_msg("row %zu: %s", i, got);
	}
	assert_int_equal(c->policy.rules.n, 7);
	assert_int_equal(c->policy.rules.rule[3].action, RULE_REJECT);
	assert_string_equal(c->policy.rules.rule[3].text, "no");
	const struct config *done = c;
	config_unref(&done);
	buf_clear(&errors);
}

static void
test_none(void **state)
{
	(void)state;
	struct net_addr client = {0};
	struct rule_table t = {0};
	struct rule_facts f = {.client = &client};
	assert_null(rule_find(&t, &f));
	rule_table_clear(&t);
	t.rule = mem_alloc(sizeof(*t.rule)); /* without conditions: everything */
	t.n = 1;
	assert_ptr_equal(rule_find(&t, &f), &t.rule[0]);
	rule_table_clear(&t);
	assert_null(t.rule);
	assert_null(rule_find(&t, &f));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_first),
	    cmocka_unit_test(test_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
