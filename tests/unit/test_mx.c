/* SPDX-License-Identifier: ISC */
/* mx: the outcome table, line by line. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"
#include "base/units.h"
#include "resolver/mx.h"

/*
 * Answers are written in one line each:
 *	"10 mx1.example 20 mx2.example"   MX
 *	"192.0.2.1 192.0.2.2"             A, AAAA
 *	"-" no data   "!" no domain   "?" failed   NULL not asked
 */
static struct dns_answer *
answer(const char *text, bool is_mx)
{
	struct dns_answer *a;
	if (text == NULL)
		return NULL;
	a = dns_answer_failed("SERVFAIL from 127.0.0.1:53");
	if (strcmp(text, "?") == 0)
		return a;
	a->trouble[0] = '\0';
	a->kind = text[0] == '-' ? DNS_NODATA : text[0] == '!' ? DNS_NXDOMAIN : DNS_DATA;
	if (a->kind != DNS_DATA)
		return a;
	struct scan words = scan_over(span_str(text));
	struct span w;
	a->record = mem_alloc(DNS_RECORD_MAX * sizeof(a->record[0]));
	for (; scan_word(&words, &w); scan_skip_blanks(&words)) {
		struct dns_record *rec = &a->record[a->n++];
		uint64_t preference;
		if (!is_mx) {
			assert_int_equal(net_parse_ip(w, &rec->addr), OK);
			continue;
		}
		assert_int_equal(units_u64(w, UINT16_MAX, &preference), OK);
		assert_true(scan_blanks(&words) && scan_word(&words, &w));
		rec->preference = (uint16_t)preference;
		rec->host = span_dup(w);
	}
	return a;
}

struct addresses {
	const char *name, *a, *aaaa;
};

static uint64_t
last(void *arg, uint64_t bound) /* swaps each with itself: keeps the order */
{
	(void)arg;
	return bound - 1;
}

static uint64_t
dice(void *arg, uint64_t bound)
{
	uint64_t *x = arg;
	*x = *x * 6364136223846793005u + 1442695040888963407u;
	return (*x >> 33) % bound;
}

static const char *const own_names[] = {"us.example", "Also.Us.example", NULL};

struct fixture {
	struct mx_rules rules;
	struct net_addr own[2];
	struct mx_list list;
	struct mx_answer out;
	struct mx_host host[MX_HOST_MAX];
	char order[600]; /* "name=addr,addr name2=..." */
};

static void
fixture_init(struct fixture *f, unsigned flags)
{
	memset(f, 0, sizeof(*f));
	assert_int_equal(net_parse_ip(SPAN("192.0.2.99"), &f->own[0]), OK);
	assert_int_equal(net_parse_ip(SPAN("2001:db8::99"), &f->own[1]), OK);
	f->own[0].port = 25;
	f->rules = (struct mx_rules){
	    .flags = flags,
	    .own_names = own_names,
	    .own_addr = f->own,
	    .own_addrs = 2,
	    .below = last,
	};
}

static void
write_order(struct fixture *f)
{
	struct buf b = {0};
	for (size_t i = 0; i < f->out.hosts; i++) {
		buf_addf(&b, "%s%s=", i ? " " : "", f->out.host[i].name);
		for (size_t j = 0; j < f->out.host[i].addrs; j++) {
			char ip[NET_TEXT];
			net_format_ip(&f->out.host[i].addr[j], ip);
			buf_addf(&b, "%s%s", j ? "," : "", ip);
		}
		if (f->out.host[i].temporary)
			buf_add_char(&b, '?');
	}
	span_copy(buf_span(&b), f->order, sizeof(f->order));
	buf_clear(&b);
}

static const struct addresses *
find_addresses(const struct addresses *addr, const char *name)
{
	for (; addr != NULL && addr->name != NULL; addr++)
		if (strcmp(addr->name, name) == 0)
			return addr;
	return NULL;
}

/* Both steps, with the addresses given (NULL-terminated by name; a host not there has
 * none). */
static void
select_hosts(struct fixture *f, const char *mx, const struct addresses *addr)
{
	struct dns_answer *answers[1 + 2 * MX_HOST_MAX] = {answer(mx, true)};
	bool more = mx_begin("example.org", answers[0], &f->rules, &f->list, &f->out);
	f->out.host = f->host;
	if (more) {
		for (size_t i = 0; i < f->list.n; i++) {
			struct mx_target *t = &f->list.target[i];
			const struct addresses *found = find_addresses(addr, t->name);
			t->a = answers[1 + 2 * i] = answer(found ? found->a : "!", false);
			t->aaaa = answers[2 + 2 * i] =
			    answer(found ? found->aaaa : "!", false);
		}
		mx_conclude("example.org", &f->rules, &f->list, &f->out);
	}
	for (size_t i = 0; i < COUNT_OF(answers); i++)
		dns_answer_unref(&answers[i]);
	write_order(f);
}

static void
test_outcomes(void **state)
{
	(void)state;
	static const struct addresses addr[] = {
	    {"example.org", "192.0.2.9", "-"},
	    {"a.example", "192.0.2.1", "2001:db8::1"},
	    {"b.example", "192.0.2.2 192.0.2.3", "-"},
	    {"six.example", "-", "2001:db8::6"},
	    {"bad.example", "?", "?"},
	    {"half.example", "?", "-"},
	    {"halfdata.example", "?", "2001:db8::7"},
	    {"none.example", "-", "-"},
	    {"loop.example", "127.0.0.1", "::1"},
	    {"mixed.example", "169.254.1.1 192.0.2.5", "-"},
	    {"us.example", "192.0.2.77", "-"},
	    {"ouraddr.example", "192.0.2.99", "-"},
	    {"ouraddr6.example", "-", "2001:db8::99"},
	    {NULL, NULL, NULL},
	};
	static const struct {
		const char *mx;
		enum mx_outcome outcome;
		const char *order;
		const char *why;
	} cases[] = {
	    /* one MX or more: these only */
	    {"10 a.example", MX_HOSTS, "a.example=2001:db8::1,192.0.2.1",
		"MX example.org: a.example (2 addresses)"},
	    {"20 b.example 10 a.example", MX_HOSTS,
		"a.example=2001:db8::1,192.0.2.1 b.example=192.0.2.2,192.0.2.3",
		"; b.example"},
	    {"10 six.example", MX_HOSTS, "six.example=2001:db8::6", NULL},
	    {"10 a.example 20 a.example", MX_HOSTS, "a.example=2001:db8::1,192.0.2.1",
		NULL},
	    {"10 none.example 20 six.example", MX_HOSTS,
		"six.example=2001:db8::6 none.example=", "none.example: no address"},
	    {"10 bad.example 20 six.example", MX_HOSTS,
		"six.example=2001:db8::6 bad.example=?", "bad.example A: SERVFAIL"},
	    {"10 halfdata.example", MX_HOSTS, "halfdata.example=2001:db8::7", NULL},
	    {"10 mixed.example", MX_HOSTS, "mixed.example=192.0.2.5", NULL},
	    /* null MX, and "." among others */
	    {"0 .", MX_NULL, "", "null MX"},
	    {"10 .", MX_NULL, "", NULL},
	    {"0 . 10 six.example", MX_HOSTS, "six.example=2001:db8::6", NULL},
	    {"0 . 10 none.example", MX_NO_HOST, "none.example=", NULL},
	    /* no MX: the name itself */
	    {"-", MX_HOSTS, "example.org=192.0.2.9", "none, so the name itself"},
	    {"!", MX_NO_DOMAIN, "", "NXDOMAIN"},
	    {"?", MX_TEMPORARY, "", "MX example.org: SERVFAIL from 127.0.0.1:53"},
	    /* no host */
	    {"10 none.example", MX_NO_HOST, "none.example=", NULL},
	    {"10 gone.example", MX_NO_HOST,
		"gone.example=", "gone.example: no such name"},
	    {"10 loop.example", MX_NO_HOST,
		"loop.example=", "::1 is no address for mail"},
	    {"10 bad.example", MX_TEMPORARY, "bad.example=?", NULL},
	    {"10 half.example", MX_TEMPORARY, "half.example=?",
		"half.example A: SERVFAIL"},
	    {"10 none.example 20 half.example", MX_TEMPORARY,
		"none.example= half.example=?", NULL},
	    /* ourselves, by name */
	    {"10 us.example", MX_SELF, "", "us.example is this very host"},
	    {"10 also.us.example", MX_SELF, "", NULL},
	    {"10 us.example 20 a.example", MX_SELF, "", NULL},
	    {"10 us.example 10 a.example", MX_SELF, "", NULL},
	    {"5 six.example 10 us.example 10 a.example", MX_HOSTS,
		"six.example=2001:db8::6", NULL},
	    {"5 bad.example 10 us.example", MX_TEMPORARY, "bad.example=?", NULL},
	    {"5 none.example 10 us.example", MX_NO_HOST, "none.example=", NULL},
	    /* ourselves, by address */
	    {"10 ouraddr.example", MX_SELF, "", "ouraddr.example is this very host"},
	    {"10 ouraddr6.example 20 a.example", MX_SELF, "", NULL},
	    {"10 a.example 10 ouraddr.example", MX_SELF, "", NULL},
	    {"5 six.example 10 a.example 10 ouraddr.example 20 b.example", MX_HOSTS,
		"six.example=2001:db8::6", NULL},
	};
	struct fixture f;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		fixture_init(&f, RESOLVE_MX);
		select_hosts(&f, cases[i].mx, addr);
		assert_int_equal(f.out.outcome, cases[i].outcome);
		assert_string_equal(f.order, cases[i].order);
		assert_int_not_equal(f.out.why[0], '\0');
		if (cases[i].why != NULL)
			assert_non_null(strstr(f.out.why, cases[i].why));
		assert_int_equal(f.out.implicit, strcmp(cases[i].mx, "-") == 0);
	}
}

static void
test_flags(void **state)
{
	(void)state;
	static const struct addresses addr[] = {
	    {"example.org", "192.0.2.9", NULL},
	    {"us.example", "127.0.0.1 192.0.2.99", "::1"},
	    {NULL, NULL, NULL},
	};
	struct fixture f;
	fixture_init(&f, RESOLVE_ALLOW_SELF | RESOLVE_ALLOW_SPECIAL);
	select_hosts(&f, "10 us.example", addr);
	assert_int_equal(f.out.outcome, MX_HOSTS);
	assert_string_equal(f.order, "us.example=::1,127.0.0.1,192.0.2.99");
	fixture_init(&f, RESOLVE_ALLOW_SELF);
	select_hosts(&f, "10 us.example", addr);
	assert_string_equal(f.order, "us.example=192.0.2.99");
	fixture_init(&f, RESOLVE_HOST);
	select_hosts(&f, NULL, addr);
	assert_int_equal(f.out.outcome, MX_HOSTS);
	assert_false(f.out.implicit);
	assert_string_equal(f.order, "example.org=192.0.2.9");
	select_hosts(&f, NULL, NULL);
	assert_int_equal(f.out.outcome, MX_NO_DOMAIN);
}

/* The name at the end of a CNAME chain is "the initial name" (RFC 5321 5.1). */
static void
test_implicit_alias(void **state)
{
	(void)state;
	struct fixture f;
	struct dns_answer *mx = answer("-", true);
	mx->alias = mem_strdup("us.example");
	fixture_init(&f, RESOLVE_MX);
	assert_false(mx_begin("example.org", mx, &f.rules, &f.list, &f.out));
	assert_int_equal(f.out.outcome, MX_SELF);
	mx->alias[0] = 'b';
	assert_true(mx_begin("example.org", mx, &f.rules, &f.list, &f.out));
	assert_string_equal(f.list.target[0].name, "bs.example");
	dns_answer_unref(&mx);
}

/* Records that were not read, or hosts not looked at: no bounce. */
static void
test_uncertain(void **state)
{
	(void)state;
	struct fixture f;
	char text[2000] = "";
	for (int i = 0; i < 30; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    "%s10 mx%d.example", i ? " " : "", i);
	fixture_init(&f, RESOLVE_MX);
	select_hosts(&f, text, NULL);
	assert_int_equal(f.list.n, MX_HOST_MAX);
	assert_int_equal(f.out.outcome, MX_TEMPORARY);
	assert_int_equal(strlen(f.out.why), sizeof(f.out.why) - 1);
	assert_string_equal(f.out.why + strlen(f.out.why) - 3, "...");

	struct dns_answer *mx = answer("0 .", true);
	mx->incomplete = true;
	assert_false(mx_begin("example.org", mx, &f.rules, &f.list, &f.out));
	assert_int_equal(f.out.outcome, MX_TEMPORARY);
	dns_answer_unref(&mx);
}

static void
test_interleave(void **state)
{
	(void)state;
	static const struct addresses addr[] = {
	    {"a.example",
		"192.0.2.1 192.0.2.2 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 192.0.2.6 "
		"192.0.2.7",
		"2001:db8::1 2001:db8::2"},
	    {NULL, NULL, NULL},
	};
	struct fixture f;
	fixture_init(&f, RESOLVE_MX);
	select_hosts(&f, "10 a.example", addr);
	assert_string_equal(f.order,
	    "a.example=2001:db8::1,192.0.2.1,2001:db8::2,192.0.2.2,192.0.2.3,192.0.2.4,"
	    "192.0.2.5,192.0.2.6");
}

/* Each host of equal preference comes first about as often; preferences stay in order. */
static void
test_shuffle(void **state)
{
	(void)state;
	uint64_t x = 42;
	unsigned first[4] = {0};
	struct fixture f;
	struct dns_answer *mx =
	    answer("20 m0.x 20 m1.x 20 m2.x 20 m3.x 10 best.x 30 worst.x", true);
	fixture_init(&f, RESOLVE_MX);
	f.rules.below = dice;
	f.rules.arg = &x;
	for (int i = 0; i < 4000; i++) {
		assert_true(mx_begin("example.org", mx, &f.rules, &f.list, &f.out));
		assert_int_equal(f.list.n, 6);
		assert_string_equal(f.list.target[0].name, "best.x");
		assert_string_equal(f.list.target[5].name, "worst.x");
		first[f.list.target[1].name[1] - '0']++;
	}
	for (int i = 0; i < 4; i++)
		assert_in_range(first[i], 850, 1150);
	dns_answer_unref(&mx);
}

static void
test_literals(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		unsigned flags;
		enum mx_outcome outcome;
		const char *order;
	} cases[] = {
	    {"[192.0.2.1]", 0, MX_HOSTS, "[192.0.2.1]=192.0.2.1"},
	    {"[IPv6:2001:db8::1]", 0, MX_HOSTS, "[IPv6:2001:db8::1]=2001:db8::1"},
	    {"[ipv6:2001:db8::1]", 0, MX_HOSTS, "[ipv6:2001:db8::1]=2001:db8::1"},
	    {"[2001:db8::1]", 0, MX_NO_DOMAIN, ""},
	    {"[IPv6:192.0.2.1]", 0, MX_NO_DOMAIN, ""},
	    {"[192.0.2.1", 0, MX_NO_DOMAIN, ""},
	    {"[]", 0, MX_NO_DOMAIN, ""},
	    {"[", 0, MX_NO_DOMAIN, ""},
	    {"[x-tag:abc]", 0, MX_NO_DOMAIN, ""},
	    {"[127.0.0.1]", 0, MX_NO_HOST, ""},
	    {"[IPv6:::1]", 0, MX_NO_HOST, ""},
	    {"[IPv6:::ffff:127.0.0.1]", 0, MX_NO_HOST, ""},
	    {"[127.0.0.1]", RESOLVE_ALLOW_SPECIAL, MX_HOSTS, "[127.0.0.1]=127.0.0.1"},
	    {"[192.0.2.99]", 0, MX_SELF, ""},
	    {"[192.0.2.99]", RESOLVE_ALLOW_SELF, MX_HOSTS, "[192.0.2.99]=192.0.2.99"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct fixture f;
		struct net_addr addr;
		fixture_init(&f, cases[i].flags);
		f.out.host = f.host;
		mx_from_literal(span_str(cases[i].text), &f.rules, &f.out);
		write_order(&f);
		assert_int_equal(f.out.outcome, cases[i].outcome);
		assert_string_equal(f.order, cases[i].order);
		assert_non_null(strstr(f.out.why, cases[i].text));
		assert_int_equal(mx_read_literal(span_str(cases[i].text), &addr),
		    cases[i].outcome == MX_NO_DOMAIN ? ERR_SYNTAX : OK);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_outcomes),
	    cmocka_unit_test(test_flags),
	    cmocka_unit_test(test_implicit_alias),
	    cmocka_unit_test(test_uncertain),
	    cmocka_unit_test(test_interleave),
	    cmocka_unit_test(test_shuffle),
	    cmocka_unit_test(test_literals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
