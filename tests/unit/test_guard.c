/* SPDX-License-Identifier: ISC */
/* Who is locked out, for how long, and what is believed: at the bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/signin/guard.h"
#include "tests/lib/fake_world.h"

#define JOE SPAN("joe")
#define T(ms) ((struct instant){1000000 + (ms)})

static const struct guard_limits limits = {10, 15 * MINUTE_MS};

struct rig {
	struct fake_world world;
	struct guard g;
	struct net_addr client;
};

static struct net_addr
addr(const char *text)
{
	struct net_addr a;
	assert_int_equal(net_parse_ip(span_str(text), &a), OK);
	return a;
}

static void
rig_init(struct rig *r)
{
	fake_world_init(&r->world);
	guard_init(&r->g, &r->world.world);
	r->client = addr("192.0.2.1");
}

static void
guess(struct rig *r, const struct net_addr *client, const char *name, unsigned n,
    struct instant now)
{
	static unsigned number;
	char wrong[20];
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(wrong, sizeof(wrong), "wrong %u", number++);
		guard_failed(
		    &r->g, client, span_str(name), span_str(wrong), &limits, now);
	}
}

/* Half as many for one name as for the address. */
static void
test_lockout(void **state)
{
	struct rig r;
	(void)state;
	rig_init(&r);
	guess(&r, &r.client, "joe", 4, T(0));
	assert_false(guard_locked(&r.g, &r.client, JOE, T(0)));
	guess(&r, &r.client, "joe", 1, T(0));
	assert_true(guard_locked(&r.g, &r.client, JOE, T(0)));
	assert_false(guard_locked(&r.g, &r.client, SPAN("ann"), T(0)));
	guess(&r, &r.client, "ann", 4, T(0));
	assert_false(guard_locked(&r.g, &r.client, SPAN("bob"), T(0)));
	guess(&r, &r.client, "bob", 1, T(0));
	assert_true(guard_locked(&r.g, &r.client, SPAN("eve"), T(0)));
	/* and the owner elsewhere is not */
	struct net_addr other = addr("192.0.2.2");
	assert_false(guard_locked(&r.g, &other, JOE, T(0)));
	/* it ends */
	assert_true(guard_locked(&r.g, &r.client, JOE, T(limits.lockout_ms - 1)));
	assert_false(guard_locked(&r.g, &r.client, JOE, T(limits.lockout_ms)));
	/* and then it takes as many again */
	guess(&r, &r.client, "joe", 4, T(limits.lockout_ms));
	assert_false(guard_locked(&r.g, &r.client, JOE, T(limits.lockout_ms)));
	guess(&r, &r.client, "joe", 1, T(limits.lockout_ms));
	assert_true(guard_locked(&r.g, &r.client, JOE, T(limits.lockout_ms)));
	guard_clear(&r.g);
}

/* Old failures are forgotten: who mistypes now and then is never locked out. */
static void
test_forgotten(void **state)
{
	struct rig r;
	(void)state;
	rig_init(&r);
	for (int i = 0; i < 100; i++) {
		guess(&r, &r.client, "joe", 1, T(i * (limits.lockout_ms + 1)));
		assert_false(
		    guard_locked(&r.g, &r.client, JOE, T(i * (limits.lockout_ms + 1))));
	}
	guard_clear(&r.g);
}

static void
test_success_forgives(void **state)
{
	struct rig r;
	(void)state;
	rig_init(&r);
	guess(&r, &r.client, "joe", 4, T(0));
	guard_succeeded(&r.g, &r.client, JOE);
	guess(&r, &r.client, "joe", 4, T(1));
	assert_false(guard_locked(&r.g, &r.client, JOE, T(1)));
	guard_clear(&r.g);
}

/* A device with an old password asks again and again: that is one failure. */
static void
test_same_wrong(void **state)
{
	struct rig r;
	(void)state;
	rig_init(&r);
	for (int i = 0; i < 100; i++)
		guard_failed(&r.g, &r.client, JOE, SPAN("old"), &limits, T(i));
	assert_false(guard_locked(&r.g, &r.client, JOE, T(100)));
	guard_clear(&r.g);
}

/* Two devices of one address with an old password each look like a guesser. */
static void
test_alternating(void **state)
{
	struct rig r;
	(void)state;
	rig_init(&r);
	for (int i = 0; i < 5; i++) {
		assert_false(guard_locked(&r.g, &r.client, JOE, T(i)));
		guard_failed(&r.g, &r.client, SPAN("JOE"), i % 2 ? SPAN("a") : SPAN("b"),
		    &limits, T(i));
	}
	assert_true(guard_locked(&r.g, &r.client, JOE, T(5)));
	guard_clear(&r.g);
}

/* The smallest limit there is: one failure, for the address as for the name. */
static void
test_one_attempt(void **state)
{
	static const struct guard_limits one = {1, SECOND_MS};
	struct rig r;
	(void)state;
	rig_init(&r);
	guard_failed(&r.g, &r.client, JOE, SPAN("x"), &one, T(0));
	assert_true(guard_locked(&r.g, &r.client, JOE, T(999)));
	assert_true(guard_locked(&r.g, &r.client, SPAN(""), T(999)));
	assert_false(guard_locked(&r.g, &r.client, JOE, T(1000)));
	guard_clear(&r.g);
}

/* One customer's IPv6 network is one client; IPv4 addresses are one each. */
static void
test_networks(void **state)
{
	struct rig r;
	char text[40];
	(void)state;
	rig_init(&r);
	for (unsigned i = 0; i < 10; i++) {
		(void)snprintf(text, sizeof(text), "2001:db8:1:2::%x", i + 1);
		struct net_addr a = addr(text);
		guess(&r, &a, "joe", 1, T(0));
	}
	struct net_addr same = addr("2001:db8:1:2:ffff::1"),
			other = addr("2001:db8:1:3::1");
	assert_true(guard_locked(&r.g, &same, SPAN("ann"), T(0)));
	assert_false(guard_locked(&r.g, &other, SPAN("ann"), T(0)));
	guard_clear(&r.g);
}

/* Guesses made at once are bounded, too. */
static void
test_hashing(void **state)
{
	struct rig r;
	unsigned n = 0;
	(void)state;
	rig_init(&r);
	while (n < 1000 && guard_hashing(&r.g, &r.client, true, &limits))
		n++;
	assert_int_equal(n, 2 * limits.attempts);
	struct net_addr other = addr("192.0.2.2");
	assert_true(guard_hashing(&r.g, &other, true, &limits));
	(void)guard_hashing(&r.g, &r.client, false, &limits);
	assert_true(guard_hashing(&r.g, &r.client, true, &limits));
	assert_false(guard_hashing(&r.g, &r.client, true, &limits));
	/* an end too many is none */
	(void)guard_hashing(&r.g, &other, false, &limits);
	(void)guard_hashing(&r.g, &other, false, &limits);
	for (n = 0; n < 1000 && guard_hashing(&r.g, &other, true, &limits);)
		n++;
	assert_int_equal(n, 2 * limits.attempts);
	/* a whole /64 is one client here, too */
	struct net_addr a = addr("2001:db8::1"), b = addr("2001:db8::ffff:1");
	for (n = 0; n < 1000 && guard_hashing(&r.g, n % 2 ? &a : &b, true, &limits);)
		n++;
	assert_int_equal(n, 2 * limits.attempts);
	guard_clear(&r.g);
}

/* ---- what was right */

static const char *
believed(struct rig *r, const char *password, const char *service, uint64_t changed,
    struct instant now)
{
	return guard_believed(&r->g, JOE, span_str(password), service, changed, now);
}

static void
test_believed(void **state)
{
	struct rig r;
	(void)state;
	rig_init(&r);
	guard_believe(&r.g, JOE, SPAN("right"), "smtp", "phone", 7, T(1000));
	assert_string_equal(believed(&r, "right", "smtp", 7, T(999)), "phone");
	assert_null(believed(&r, "wrong", "smtp", 7, T(0)));
	assert_null(believed(&r, "right", "pop3", 7, T(0)));
	assert_null(guard_believed(&r.g, SPAN("ann"), SPAN("right"), "smtp", 7, T(0)));
	assert_null(believed(&r, "right", "smtp", 7, T(1000))); /* its time is over */
	assert_null(believed(&r, "right", "smtp", 7, T(0)));    /* and it is gone */
	guard_believe(&r.g, JOE, SPAN("right"), "smtp", "phone", 7, T(1000));
	assert_null(believed(&r, "right", "smtp", 8, T(0))); /* the account has changed */
	guard_clear(&r.g);
}

/* The tables are bounded: who was not used for longest goes. */
static void
test_bounds(void **state)
{
	struct rig r;
	char text[20];
	(void)state;
	rig_init(&r);
	for (unsigned i = 0; i < BELIEVED_MAX + 1; i++) {
		(void)snprintf(text, sizeof(text), "password %u", i);
		guard_believe(&r.g, JOE, span_str(text), "smtp", "", 1, T(DAY_MS));
		if (i == 1) /* used: it stays */
			assert_non_null(believed(&r, "password 0", "smtp", 1, T(0)));
	}
	assert_non_null(believed(&r, "password 0", "smtp", 1, T(0)));
	assert_null(believed(&r, "password 1", "smtp", 1, T(0)));
	assert_int_equal(r.g.believed.n, BELIEVED_MAX);
	/* whose password is being hashed stays, however many come */
	struct net_addr busy = addr("192.0.2.7");
	for (unsigned i = 0; i < 2 * limits.attempts; i++)
		assert_true(guard_hashing(&r.g, &busy, true, &limits));
	for (unsigned i = 0; i < GUARD_MAX; i++) {
		(void)snprintf(
		    text, sizeof(text), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
		struct net_addr a = addr(text);
		guess(&r, &a, "joe", 1, T(0));
	}
	assert_int_equal(r.g.failures.n, GUARD_MAX);
	assert_false(guard_hashing(&r.g, &busy, true, &limits));
	guard_clear(&r.g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lockout),
	    cmocka_unit_test(test_forgotten),
	    cmocka_unit_test(test_success_forgives),
	    cmocka_unit_test(test_same_wrong),
	    cmocka_unit_test(test_alternating),
	    cmocka_unit_test(test_one_attempt),
	    cmocka_unit_test(test_networks),
	    cmocka_unit_test(test_hashing),
	    cmocka_unit_test(test_believed),
	    cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
