/* SPDX-License-Identifier: ISC */
/* resolver: requests over a scripted DNS on a scripted clock. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "resolver/dnsmsg.h"
#include "resolver/resolver.h"
#include "tests/lib/fake_dns.h"

/* ---- a world whose clock stands still until it is told to go on */

struct clock {
	struct world world; /* first */
	int64_t ms;
	uint64_t x;
};

static struct instant
clock_now(struct world *w)
{
	return (struct instant){((struct clock *)w)->ms};
}

static struct wall
clock_wall(struct world *w)
{
	return (struct wall){((struct clock *)w)->ms};
}

static void
clock_random(struct world *w, void *p, size_t n)
{
	struct clock *c = (struct clock *)w;
	for (size_t i = 0; i < n; i++) {
		c->x = c->x * 6364136223846793005u + 1442695040888963407u;
		((unsigned char *)p)[i] = (unsigned char)(c->x >> 56);
	}
}

static int
clock_dial(struct world *w, const struct net_addr *to, const struct net_addr *from)
{
	(void)w;
	(void)to;
	(void)from;
	return ERR_UNREACHABLE;
}

static const struct world_ops clock_ops = {
    clock_now, clock_wall, clock_random, clock_dial};

/* ---- the stage */

struct stage {
	struct clock clock;
	struct loop *loop;
	struct fake_dns *dns;
	struct resolver *r;
};

/* What came back. */
struct reply {
	unsigned calls;
	enum mx_outcome outcome;
	bool implicit, cached;
	size_t hosts;
	struct mx_host host[MX_HOST_MAX];
	char why[256];
	struct mx_request **clear; /* handles to cancel in the callback */
	struct resolver **free;
	struct mx_request *q;
};

static void
on_mx(void *arg, const struct mx_answer *a)
{
	struct reply *reply = arg;
	reply->q = NULL;
	reply->calls++;
	reply->outcome = a->outcome;
	reply->implicit = a->implicit;
	reply->cached = a->cached;
	reply->hosts = a->hosts;
	for (size_t i = 0; i < a->hosts; i++)
		reply->host[i] = a->host[i];
	memcpy(reply->why, a->why, sizeof(reply->why));
	if (reply->clear != NULL)
		resolver_cancel(reply->clear);
	if (reply->free != NULL)
		resolver_free(reply->free);
}

static void
stage_open(struct stage *s, const char *zone)
{
	static const char *const own_names[] = {"us.example", NULL};
	struct net_addr own;
	memset(s, 0, sizeof(*s));
	assert_int_equal(net_parse_ip(SPAN("192.0.2.99"), &own), OK);
	s->clock = (struct clock){{&clock_ops}, 5000000, 7};
	s->loop = loop_new(&s->clock.world);
	s->dns = fake_dns_new();
	if (!fake_dns_set(s->dns, zone))
		fail_msg("zone line: %s", fake_dns_error(s->dns));
	struct resolver_options o = {
	    .own_names = own_names, .own_addr = &own, .own_addrs = 1};
	s->r = resolver_new(s->loop, NULL, fake_dns_transport(s->dns, s->loop), &o);
}

static void
stage_close(struct stage *s)
{
	resolver_free(&s->r);
	resolver_free(&s->r);
	struct instant due;
	assert_false(loop_next_timer(s->loop, &due));
	fake_dns_free(&s->dns);
	loop_free(&s->loop);
}

static void
settle(struct stage *s)
{
	while (loop_turn(s->loop, false))
		continue;
}

static void
pass(struct stage *s, int64_t ms)
{
	int64_t end = s->clock.ms + ms;
	struct instant due;
	settle(s);
	while (loop_next_timer(s->loop, &due) && due.ms <= end) {
		s->clock.ms = due.ms > s->clock.ms ? due.ms : s->clock.ms;
		settle(s);
	}
	s->clock.ms = end;
	settle(s);
}

static void
start(struct stage *s, struct reply *reply, const char *domain, unsigned flags)
{
	memset(reply, 0, sizeof(*reply));
	reply->q = resolver_mx_start(s->r, span_str(domain), flags, on_mx, reply);
	assert_int_equal(reply->calls, 0);
}

static void
resolve(struct stage *s, struct reply *reply, const char *domain, unsigned flags)
{
	start(s, reply, domain, flags);
	settle(s);
}

/* "name=addr,addr name=..." */
static void
expect_hosts(const struct reply *reply, const char *want)
{
	struct buf b = {0};
	for (size_t i = 0; i < reply->hosts; i++) {
		buf_addf(&b, "%s%s=", i ? " " : "", reply->host[i].name);
		for (size_t j = 0; j < reply->host[i].addrs; j++) {
			char ip[NET_TEXT];
			net_format_ip(&reply->host[i].addr[j], ip);
			buf_addf(&b, "%s%s", j ? "," : "", ip);
		}
	}
	char *text = buf_take(&b);
	assert_string_equal(text, want);
	mem_free(&text);
}

#define ZONE                                                                           \
	"example.org MX 20 mx2.example.org\n"                                          \
	"example.org 600 MX 10 mx1.example.org\n"                                      \
	"mx1.example.org A 192.0.2.1; mx1.example.org AAAA 2001:db8::1\n"              \
	"mx2.example.org A 192.0.2.2\n"                                                \
	"plain.example A 192.0.2.3   # no MX\n"                                        \
	"alias.example CNAME example.org\n"                                            \
	"half.example CNAME-ONLY example.org\n"                                        \
	"halfplain.example CNAME-ONLY plain.example\n"                                 \
	"null.example MX 0 .\n"                                                        \
	"text.example TXT hello\n"                                                     \
	"v6bad.example MX 10 m.v6bad.example; m.v6bad.example A 192.0.2.4\n"           \
	"m.v6bad.example SERVFAIL AAAA\n"                                              \
	"abad.example MX 10 m.abad.example; m.abad.example SERVFAIL A\n"               \
	"m.abad.example TXT x\n"                                                       \
	"self.example MX 10 us.example; us.example A 192.0.2.50\n"                     \
	"selfaddr.example MX 10 m.selfaddr.example; m.selfaddr.example A 192.0.2.99\n" \
	"local.example MX 10 localhost; localhost A 127.0.0.1\n"                       \
	"nohost.example MX 10 nothing.nohost.example\n"                                \
	"iptext.example MX 10 192.0.2.1\n"                                             \
	"servfail.example SERVFAIL\n"                                                  \
	"servfail.example A 192.0.2.66\n"                                              \
	"refused.example REFUSED; notimp.example NOTIMP; formerr.example FORMERR\n"    \
	"slow.example TIMEOUT; dead.example UNREACHABLE\n"                             \
	"garbage.example GARBAGE; empty.example EMPTY\n"                               \
	"wrongid.example WRONGID; wrongid.example MX 0 .\n"                            \
	"wrongname.example WRONGNAME; wrongname.example MX 0 .\n"                      \
	"loop1.example CNAME loop2.example; loop2.example CNAME loop1.example\n"       \
	"lop1.example CNAME-ONLY lop2.example; lop2.example CNAME-ONLY lop1.example\n" \
	"gone.example NXDOMAIN\n"                                                      \
	"cnamemx.example MX 10 www.cnamemx.example; www.cnamemx.example CNAME "        \
	"plain.example\n"                                                              \
	"deadalias.example CNAME nowhere.example\n"

static void
test_outcomes(void **state)
{
	(void)state;
	static const struct {
		const char *domain;
		unsigned flags;
		enum mx_outcome outcome;
		const char *hosts; /* NULL: none */
		const char *why;
	} cases[] = {
	    {"example.org", 0, MX_HOSTS,
		"mx1.example.org=2001:db8::1,192.0.2.1 mx2.example.org=192.0.2.2",
		"MX example.org"},
	    {"EXAMPLE.org.", 0, MX_HOSTS,
		"mx1.example.org=2001:db8::1,192.0.2.1 mx2.example.org=192.0.2.2", NULL},
	    {"example.org", RESOLVE_IPV4_ONLY, MX_HOSTS,
		"mx1.example.org=192.0.2.1 mx2.example.org=192.0.2.2", NULL},
	    {"example.org", RESOLVE_IPV6_ONLY, MX_HOSTS,
		"mx1.example.org=2001:db8::1 mx2.example.org=", NULL},
	    {"plain.example", 0, MX_HOSTS, "plain.example=192.0.2.3",
		"none, so the name itself"},
	    {"plain.example", RESOLVE_HOST, MX_HOSTS, "plain.example=192.0.2.3",
		"host plain"},
	    {"example.org", RESOLVE_HOST, MX_NO_HOST, "example.org=", "no address"},
	    {"alias.example", 0, MX_HOSTS,
		"mx1.example.org=2001:db8::1,192.0.2.1 mx2.example.org=192.0.2.2", NULL},
	    {"half.example", 0, MX_HOSTS,
		"mx1.example.org=2001:db8::1,192.0.2.1 mx2.example.org=192.0.2.2", NULL},
	    {"halfplain.example", 0, MX_HOSTS, "plain.example=192.0.2.3", NULL},
	    {"halfplain.example", RESOLVE_HOST, MX_HOSTS, "halfplain.example=192.0.2.3",
		NULL},
	    {"null.example", 0, MX_NULL, NULL, "null MX"},
	    {"text.example", 0, MX_NO_HOST, "text.example=", NULL},
	    {"v6bad.example", 0, MX_HOSTS, "m.v6bad.example=192.0.2.4", NULL},
	    {"abad.example", 0, MX_TEMPORARY,
		"m.abad.example=", "m.abad.example A: SERVFAIL from 127.0.0.1:53"},
	    {"self.example", 0, MX_SELF, NULL, "us.example is this very host"},
	    {"self.example", RESOLVE_ALLOW_SELF, MX_HOSTS, "us.example=192.0.2.50", NULL},
	    {"selfaddr.example", 0, MX_SELF, NULL, NULL},
	    {"local.example", 0, MX_NO_HOST,
		"localhost=", "127.0.0.1 is no address for mail"},
	    {"local.example", RESOLVE_ALLOW_SPECIAL, MX_HOSTS, "localhost=127.0.0.1",
		NULL},
	    {"nohost.example", 0, MX_NO_HOST, "nothing.nohost.example=", "no such name"},
	    {"iptext.example", 0, MX_NO_HOST, "192.0.2.1=", NULL},
	    {"servfail.example", 0, MX_TEMPORARY, NULL,
		"MX servfail.example: SERVFAIL from 127.0.0.1:53"},
	    {"refused.example", 0, MX_TEMPORARY, NULL, "REFUSED"},
	    {"notimp.example", 0, MX_TEMPORARY, NULL, "NOTIMP"},
	    {"formerr.example", 0, MX_TEMPORARY, NULL, "FORMERR"},
	    {"slow.example", 0, MX_TEMPORARY, NULL,
		"timeout: no answer from 127.0.0.1:53"},
	    {"dead.example", 0, MX_TEMPORARY, NULL, "connection refused"},
	    {"garbage.example", 0, MX_TEMPORARY, NULL, "malformed"},
	    {"empty.example", 0, MX_TEMPORARY, NULL, "malformed"},
	    {"wrongid.example", 0, MX_TEMPORARY, NULL, "malformed"},
	    {"wrongname.example", 0, MX_TEMPORARY, NULL, "malformed"},
	    {"loop1.example", 0, MX_TEMPORARY, NULL, "CNAME loop"},
	    {"lop1.example", 0, MX_TEMPORARY, NULL, "CNAME loop"},
	    {"gone.example", 0, MX_NO_DOMAIN, NULL, "NXDOMAIN"},
	    {"unheard.example", 0, MX_NO_DOMAIN, NULL, "NXDOMAIN"},
	    {"unheard.example", RESOLVE_HOST, MX_NO_DOMAIN,
		"unheard.example=", "no such name"},
	    {"deadalias.example", 0, MX_NO_DOMAIN, NULL, "alias of nowhere.example"},
	    {"cnamemx.example", 0, MX_HOSTS, "www.cnamemx.example=192.0.2.3", NULL},
	    {"not a name", 0, MX_NO_DOMAIN, NULL, "not a name: no domain name"},
	    {"", 0, MX_NO_DOMAIN, NULL, NULL},
	    {".", 0, MX_NO_DOMAIN, NULL, NULL},
	    {"[192.0.2.7]", 0, MX_HOSTS, "[192.0.2.7]=192.0.2.7", NULL},
	    {"[IPv6:2001:db8::7]", RESOLVE_HOST, MX_HOSTS,
		"[IPv6:2001:db8::7]=2001:db8::7", NULL},
	    {"192.0.2.7", RESOLVE_HOST, MX_HOSTS, "[192.0.2.7]=192.0.2.7", NULL},
	    {"2001:db8::7", RESOLVE_HOST, MX_HOSTS, "[IPv6:2001:db8::7]=2001:db8::7",
		NULL},
	    {"192.0.2.7", 0, MX_NO_DOMAIN, NULL, NULL},
	    {"[127.0.0.1]", 0, MX_NO_HOST, NULL, NULL},
	    {"[nonsense]", 0, MX_NO_DOMAIN, NULL, NULL},
	};
	struct stage s;
	struct reply reply;
	stage_open(&s, ZONE);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		start(&s, &reply, cases[i].domain, cases[i].flags);
		pass(&s, FAKE_DNS_TIMEOUT_MS);
		assert_int_equal(reply.calls, 1);
		assert_int_equal(reply.outcome, cases[i].outcome);
		expect_hosts(&reply, cases[i].hosts ? cases[i].hosts : "");
		if (cases[i].why != NULL && strstr(reply.why, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].domain, reply.why);
	}
	stage_close(&s);
}

static void
test_cached(void **state)
{
	(void)state;
	struct stage s;
	struct reply reply;
	stage_open(&s, ZONE);
	resolve(&s, &reply, "example.org", 0);
	assert_false(reply.cached);
	assert_int_equal(fake_dns_asked(s.dns, NULL, 0), 5);
	assert_int_equal(resolver_cached(s.r), 5);
	resolve(&s, &reply, "Example.Org", 0);
	assert_true(reply.cached);
	assert_int_equal(fake_dns_asked(s.dns, NULL, 0), 5);
	pass(&s, 299 * SECOND_MS); /* the negative AAAA of mx2 lives 300 s */
	resolve(&s, &reply, "example.org", 0);
	assert_true(reply.cached);
	pass(&s, SECOND_MS);
	resolve(&s, &reply, "example.org", 0);
	assert_false(reply.cached);
	assert_int_equal(fake_dns_asked(s.dns, NULL, 0), 6);
	pass(&s, 300 * SECOND_MS); /* the MX lives 600 s */
	resolve(&s, &reply, "example.org", 0);
	assert_int_equal(fake_dns_asked(s.dns, "example.org", DNS_MX), 2);
	resolver_flush(s.r);
	assert_int_equal(resolver_cached(s.r), 0);
	resolve(&s, &reply, "example.org", 0);
	assert_false(reply.cached);
	stage_close(&s);
}

/* A failure is remembered for seconds, then asked anew; an answer that flips is seen. */
static void
test_failure_is_short(void **state)
{
	(void)state;
	struct stage s;
	struct reply reply;
	stage_open(&s, "a.example SERVFAIL");
	resolve(&s, &reply, "a.example", 0);
	assert_int_equal(reply.outcome, MX_TEMPORARY);
	resolve(&s, &reply, "a.example", 0);
	assert_true(reply.cached);
	assert_int_equal(fake_dns_asked(s.dns, NULL, 0), 1);
	assert_true(
	    fake_dns_set(s.dns, "a.example MX 10 m.a.example; m.a.example A 192.0.2.1"));
	pass(&s, 5 * SECOND_MS);
	resolve(&s, &reply, "a.example", 0);
	assert_int_equal(reply.outcome, MX_HOSTS);
	fake_dns_remove(s.dns, "a.example");
	fake_dns_clear(s.dns);
	pass(&s, DAY_MS);
	resolve(&s, &reply, "a.example", 0);
	assert_int_equal(reply.outcome, MX_NO_DOMAIN);
	stage_close(&s);
}

static void
test_equal_questions_are_one(void **state)
{
	(void)state;
	struct stage s;
	struct reply reply[50];
	stage_open(
	    &s, ZONE "example.org SLOW 500 MX\nother.example MX 10 mx1.example.org");
	for (size_t i = 0; i < COUNT_OF(reply); i++)
		start(&s, &reply[i], i % 2 ? "example.org" : "other.example", 0);
	pass(&s, 499);
	assert_int_equal(reply[1].calls, 0);
	pass(&s, 1);
	for (size_t i = 0; i < COUNT_OF(reply); i++) {
		assert_int_equal(reply[i].calls, 1);
		assert_int_equal(reply[i].outcome, MX_HOSTS);
	}
	assert_int_equal(fake_dns_asked(s.dns, "example.org", DNS_MX), 1);
	assert_int_equal(fake_dns_asked(s.dns, "mx1.example.org", DNS_A), 1);
	assert_int_equal(fake_dns_asked(s.dns, NULL, 0), 6);
	stage_close(&s);
}

static void
test_slow_ones_do_not_hold_others(void **state)
{
	(void)state;
	struct stage s;
	struct reply slow[100], quick;
	stage_open(&s, ZONE);
	for (unsigned i = 0; i < COUNT_OF(slow); i++) {
		char text[64];
		(void)snprintf(text, sizeof(text), "s%u.example SLOW 9000", i);
		assert_true(fake_dns_add(s.dns, text));
		*strchr(text, ' ') = '\0';
		start(&s, &slow[i], text, 0);
	}
	resolve(&s, &quick, "example.org", 0);
	assert_int_equal(quick.outcome, MX_HOSTS);
	assert_int_equal(slow[0].calls, 0);
	pass(&s, 18000); /* no MX: then the addresses, as slowly */
	for (unsigned i = 0; i < COUNT_OF(slow); i++)
		assert_int_equal(slow[i].calls, 1);
	stage_close(&s);
}

/* The deadline: what is there is used; what is missing is temporary. */
static void
test_deadline(void **state)
{
	(void)state;
	struct stage s;
	struct reply never, partly, onlyslow;
	stage_open(&s,
	    "never.example SLOW 100000\n"
	    "partly.example MX 10 slow.example; partly.example MX 20 quick.example\n"
	    "onlyslow.example MX 10 slow.example\n"
	    "slow.example SLOW 100000; slow.example A 192.0.2.1\n"
	    "quick.example A 192.0.2.2\n");
	start(&s, &never, "never.example", 0);
	start(&s, &partly, "partly.example", 0);
	start(&s, &onlyslow, "onlyslow.example", 0);
	pass(&s, MX_DEADLINE_MS - 1);
	assert_int_equal(never.calls + partly.calls + onlyslow.calls, 0);
	pass(&s, 1);
	assert_int_equal(never.outcome, MX_TEMPORARY);
	assert_string_equal(never.why,
	    "MX never.example: timeout: within 30 s no answer from 127.0.0.1:53");
	assert_int_equal(onlyslow.outcome, MX_TEMPORARY);
	assert_true(onlyslow.host[0].temporary);
	assert_int_equal(partly.outcome, MX_HOSTS);
	expect_hosts(&partly, "quick.example=192.0.2.2 slow.example=");
	assert_true(partly.host[1].temporary);
	pass(&s, 100000); /* late, but not lost: the answers went into the cache */
	resolve(&s, &onlyslow, "onlyslow.example", 0);
	assert_true(onlyslow.cached);
	assert_int_equal(onlyslow.outcome, MX_HOSTS);
	stage_close(&s);
}

static void
test_cancel(void **state)
{
	(void)state;
	struct stage s;
	struct reply a, b, c;
	stage_open(&s, ZONE "example.org SLOW 100\n");
	start(&s, &a, "example.org", 0); /* before its first step */
	resolver_cancel(&a.q);
	assert_null(a.q);
	resolver_cancel(&a.q);
	start(&s, &a, "example.org", 0); /* while the MX is asked */
	start(&s, &b, "example.org", 0);
	pass(&s, 50);
	resolver_cancel(&a.q);
	pass(&s, 50);
	assert_int_equal(a.calls, 0);
	assert_int_equal(b.calls, 1);
	/* one cancels the other from his callback, though both are due in this turn */
	resolver_flush(s.r);
	start(&s, &a, "example.org", 0);
	start(&s, &b, "example.org", 0);
	start(&s, &c, "[192.0.2.1]", 0);
	a.clear = &b.q;
	pass(&s, 100);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 0);
	assert_int_equal(c.calls, 1);
	stage_close(&s);
}

static void
test_free_with_requests(void **state)
{
	(void)state;
	struct stage s;
	struct reply a, b, c;
	stage_open(&s, ZONE);
	start(&s, &a, "slow.example", 0);
	start(&s, &b, "example.org", 0);
	pass(&s, 1);
	start(&s, &c, "plain.example", 0);
	stage_close(&s);
	assert_int_equal(a.calls, 0);
	assert_int_equal(b.calls, 1);
	assert_int_equal(c.calls, 0);
	/* from inside a callback */
	stage_open(&s, ZONE);
	start(&s, &a, "example.org", 0);
	start(&s, &b, "example.org", 0);
	a.free = &s.r;
	pass(&s, 1);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 0);
	stage_close(&s);
}

static void
test_shuffle_is_new_each_time(void **state)
{
	(void)state;
	struct stage s;
	struct reply reply;
	unsigned first[2] = {0};
	stage_open(&s, "e.example MX 10 a.e.example; e.example MX 10 b.e.example\n"
		       "a.e.example A 192.0.2.1; b.e.example A 192.0.2.2");
	for (int i = 0; i < 200; i++) {
		resolve(&s, &reply, "e.example", 0);
		first[reply.host[0].name[0] - 'a']++;
	}
	assert_in_range(first[0], 70, 130);
	assert_int_equal(fake_dns_asked(s.dns, NULL, 0), 5);
	stage_close(&s);
}

static void
test_many_mx(void **state)
{
	(void)state;
	struct stage s;
	struct reply reply;
	stage_open(&s, "");
	for (unsigned i = 0; i < 100; i++) {
		char text[128];
		(void)snprintf(text, sizeof(text),
		    "big.example MX 10 m%u.big.example; m%u.big.example A 192.0.2.%u", i,
		    i, i < 99 ? i + 1 : 200);
		assert_true(fake_dns_add(s.dns, text));
	}
	resolve(&s, &reply, "big.example", 0);
	assert_int_equal(reply.outcome, MX_HOSTS);
	assert_int_equal(reply.hosts, MX_HOST_MAX);
	assert_int_equal(fake_dns_asked(s.dns, NULL, 0), 1 + 2 * MX_HOST_MAX);
	fake_dns_forget_asked(s.dns);
	assert_int_equal(fake_dns_asked(s.dns, NULL, 0), 0);
	stage_close(&s);
}

static void
test_fake_dns_lines(void **state)
{
	(void)state;
	static const char *const bad[] = {"a.example", "a.example MX mx",
	    "a.example MX 70000 b", "a.example A 2001:db8::1", "a.example AAAA 192.0.2.1",
	    "a.example WHAT", "a.example SLOW", "a.example SERVFAIL MUCH",
	    "a b.example A 192.0.2.1 x", "a_b!.example TXT"};
	struct fake_dns *f = fake_dns_new();
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		assert_false(fake_dns_set(f, bad[i]));
		assert_string_equal(fake_dns_error(f), bad[i]);
	}
	assert_true(fake_dns_set(f, "\n\n ; # nothing\n\ta.example\tA\t192.0.2.1 # x\n"));
	assert_string_equal(fake_dns_error(f), "");
	fake_dns_free(&f);
	fake_dns_free(&f);
}

static void
test_outcome_names(void **state)
{
	(void)state;
	assert_string_equal(mx_outcome_name(MX_HOSTS), "hosts");
	assert_string_equal(mx_outcome_name(MX_NULL), "null-mx");
	assert_string_equal(mx_outcome_name(MX_NO_DOMAIN), "no-domain");
	assert_string_equal(mx_outcome_name(MX_NO_HOST), "no-host");
	assert_string_equal(mx_outcome_name(MX_SELF), "self");
	assert_string_equal(mx_outcome_name(MX_TEMPORARY), "temporary");
}

/* ---- words */

struct words {
	struct mx_request *q;
	unsigned calls;
	char text[300];
};

static void
on_words(void *arg, struct span text)
{
	struct words *w = arg;
	w->q = NULL;
	w->calls++;
	span_copy(text, w->text, sizeof(w->text));
}

static void
ask_words(struct stage *s, struct words *w, const char *name)
{
	*w = (struct words){0};
	w->q = resolver_txt_start(s->r, span_str(name), on_words, w);
	assert_int_equal(w->calls, 0);
}

static void
test_text(void **state)
{
	(void)state;
	struct stage s;
	struct words a, b;
	static const struct {
		const char *name, *want;
	} cases[] = {
	    {"words.example", "some words"},
	    {"alias.example", "some words"},
	    {"none.example", ""},
	    {"host.example", ""},
	    {"bad.example", ""},
	    {"dead.example", ""},
	    {"junk.example", ""},
	    {"a b.example", ""},
	    {"", ""},
	    {"[192.0.2.1]", ""},
	};
	stage_open(&s, "words.example TXT some words\n"
		       "alias.example CNAME words.example\n"
		       "host.example A 192.0.2.1\n"
		       "bad.example SERVFAIL\n"
		       "dead.example UNREACHABLE\n"
		       "slow.example TIMEOUT\n"
		       "late.example SLOW 40000\n"
		       "late.example TXT late\n"
		       "junk.example GARBAGE\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask_words(&s, &a, cases[i].name);
		pass(&s, 100);
		assert_int_equal(a.calls, 1);
		assert_string_equal(a.text, cases[i].want);
	}
	/* equal questions are one, and the cache knows */
	fake_dns_forget_asked(s.dns);
	resolver_flush(s.r);
	ask_words(&s, &a, "words.example");
	ask_words(&s, &b, "WORDS.example.");
	pass(&s, 100);
	assert_string_equal(b.text, "some words");
	ask_words(&s, &a, "words.example");
	pass(&s, 100);
	assert_string_equal(a.text, "some words");
	assert_int_equal(fake_dns_asked(s.dns, NULL, 0), 1);
	/* no answer, an answer behind the deadline, none wanted */
	ask_words(&s, &a, "slow.example");
	ask_words(&s, &b, "late.example");
	pass(&s, 29999);
	assert_int_equal(b.calls, 0);
	pass(&s, 1);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 1);
	assert_string_equal(b.text, "");
	pass(&s, 20000);
	ask_words(&s, &a, "slow.example");
	resolver_cancel(&a.q);
	ask_words(&s, &b, "words.example");
	pass(&s, 1);
	resolver_flush(s.r);
	ask_words(&s, &a, "late.example");
	pass(&s, 50);
	resolver_cancel(&a.q);
	assert_null(a.q);
	ask_words(&s, &a, "late.example"); /* it ends with the resolver */
	pass(&s, 1);
	stage_close(&s);
	assert_int_equal(a.calls, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_outcomes),
	    cmocka_unit_test(test_cached),
	    cmocka_unit_test(test_failure_is_short),
	    cmocka_unit_test(test_equal_questions_are_one),
	    cmocka_unit_test(test_slow_ones_do_not_hold_others),
	    cmocka_unit_test(test_deadline),
	    cmocka_unit_test(test_cancel),
	    cmocka_unit_test(test_free_with_requests),
	    cmocka_unit_test(test_shuffle_is_new_each_time),
	    cmocka_unit_test(test_many_mx),
	    cmocka_unit_test(test_fake_dns_lines),
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_outcome_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
