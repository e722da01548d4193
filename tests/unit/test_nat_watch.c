/* SPDX-License-Identifier: ISC */
/* Everybody behind one address: when it is said, when not, and how often. */
#include "tests/unit/ingress_rig.h"

#include "relay/ingress/nat_watch.h"

#define GATEWAY "172.17.0.1"
#define BEGIN 5000000

struct scene {
	struct nat_watch w;
	struct instant now;
	unsigned said;
};

static struct net_addr
ip(const char *text)
{
	struct net_addr a;
	assert_int_equal(net_parse_ip(span_str(text), &a), OK);
	return a;
}

static void
hello(struct scene *t, const char *from, const char *name)
{
	struct net_addr a = ip(from);
	t->said +=
	    nat_watch_hello(&t->w, &a, nat_watch_is_private(&a), span_str(name), t->now);
}

/* n connections, one each step of time, by so many names in turn. */
static void
hellos(struct scene *t, const char *from, unsigned n, unsigned names, int64_t step_ms)
{
	for (unsigned i = 0; i < n; i++) {
		char name[32];
		snprintf(
		    name, sizeof(name), i % 2 ? "c%u.example" : "C%u.Example", i % names);
		hello(t, from, name);
		t->now.ms += step_ms;
	}
}

static struct scene
fresh(void)
{
	return (struct scene){.now = {BEGIN}};
}

static void
test_said(void **state)
{
	(void)state;
	struct scene t = fresh();
	hellos(&t, GATEWAY, 999, 40, 1000);
	assert_int_equal(t.said, 0);
	hello(&t, GATEWAY, "c0.example");
	assert_int_equal(t.said, 1);
}

static void
test_time(void **state)
{
	(void)state;
	struct scene t = fresh();
	hellos(&t, GATEWAY, 5000, 40, 0);
	t.now.ms = BEGIN + NAT_WATCH_MS - 1;
	hello(&t, GATEWAY, "c0.example");
	assert_int_equal(t.said, 0);
	t.now.ms++;
	hello(&t, GATEWAY, "c0.example");
	assert_int_equal(t.said, 1);
}

/* Names in other letters are the same; 20 are needed. */
static void
test_names(void **state)
{
	(void)state;
	struct scene t = fresh();
	hellos(&t, GATEWAY, 3000, 19, 1000);
	assert_int_equal(t.said, 0);
	t = fresh();
	hellos(&t, GATEWAY, 1000, 20, 1000);
	assert_int_equal(t.said, 1);
	t = fresh(); /* far more than are kept */
	hellos(&t, GATEWAY, 1000, 1000, 1000);
	assert_int_equal(t.said, 1);
	assert_true(t.w.names <= NAT_WATCH_NAMES_KEPT);
}

/* More than 95 %: 951 of 1,000 are, 950 are not. */
static void
test_share(void **state)
{
	(void)state;
	static const char *const others[] = {"192.0.2.7", "10.1.2.3", "127.0.0.1"};
	for (size_t i = 0; i < COUNT_OF(others); i++) {
		struct scene t = fresh();
		hellos(&t, GATEWAY, 950, 40, 1000);
		hellos(&t, others[i], 49, 1, 0);
		hello(&t, GATEWAY, "c0.example");
		assert_int_equal(t.said, 1);
		t = fresh();
		hellos(&t, GATEWAY, 949, 40, 1000);
		hellos(&t, others[i], 50, 1, 0);
		hello(&t, GATEWAY, "c0.example");
		assert_int_equal(t.said, 0);
	}
}

static void
test_never(void **state)
{
	(void)state;
	static const char *const from[] = {"127.0.0.1", "::1", "192.0.2.7", "2001:db8::1",
	    "172.32.0.1", "100.128.0.1", "11.0.0.1", "192.169.0.1"};
	for (size_t i = 0; i < COUNT_OF(from); i++) {
		struct scene t = fresh();
		hellos(&t, from[i], 3000, 40, 1000);
		assert_int_equal(t.said, 0);
	}
	struct scene t = fresh();
	struct net_addr proxy = ip(GATEWAY);
	for (unsigned i = 0; i < 3000; i++) {
		char name[32];
		snprintf(name, sizeof(name), "c%u.example", i);
		t.now.ms += 1000;
		assert_false(nat_watch_hello(&t.w, &proxy, false, span_str(name), t.now));
	}
}

static void
test_private(void **state)
{
	(void)state;
	static const char *const from[] = {"10.255.0.1", "172.16.0.1", "172.31.255.254",
	    "192.168.1.1", "100.64.0.1", "169.254.1.1", "fd00::1", "fe80::1"};
	for (size_t i = 0; i < COUNT_OF(from); i++) {
		struct scene t = fresh();
		hellos(&t, from[i], 1000, 40, 1000);
		assert_int_equal(t.said, 1);
	}
}

/* Who was first does not hide who is many. */
static void
test_vote(void **state)
{
	(void)state;
	struct scene t = fresh();
	hellos(&t, "10.0.0.9", 300, 40, 1000);
	hellos(&t, GATEWAY, 1301, 40, 1000);
	assert_int_equal(t.said, 1);
	t = fresh(); /* two that share are no gateway */
	for (unsigned i = 0; i < 3000; i++)
		hellos(&t, i % 2 ? "10.0.0.9" : GATEWAY, 1, 1, 1000);
	assert_int_equal(t.said, 0);
}

static void
test_once_a_day(void **state)
{
	(void)state;
	struct scene t = fresh();
	hellos(&t, GATEWAY, 86400 + 999, 40, 1000);
	assert_int_equal(t.said, 1);
	hellos(&t, GATEWAY, 1000, 40, 1000);
	assert_int_equal(t.said, 2);
}

static void
test_long_name(void **state)
{
	(void)state;
	struct scene t = fresh();
	char name[600];
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	hello(&t, GATEWAY, name);
	hello(&t, GATEWAY, "");
	assert_int_equal(t.w.names, 2);
}

/* ---- sessions */

static unsigned
times(const struct rig *r, const char *what)
{
	unsigned n = 0;
	struct span s = buf_span(&r->lines);
	const char *at = s.p;
	while (at != NULL &&
	       (at = memmem(at, s.n - (size_t)(at - s.p), what, strlen(what))) != NULL)
		n++, at++;
	return n;
}

static void
sessions(struct rig *r, const char *from, const char *listener, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char line[64];
		struct client c = call_at(r, from, listener);
		snprintf(line, sizeof(line), "EHLO c%u.example\r\n", i % 40);
		say(&c, line);
		say(&c, line); /* a session counts once */
		hang_up(&c);
		r->clock.ms += 2000;
	}
}

#define OPEN                                                                            \
	"listener \"open\" { bind = {\"127.0.0.1:2527\"} protocol = \"smtp\" networks " \
	"= "                                                                            \
	"{\"172.17.0.0/16\"} }\n"

static void
test_sessions(void **state)
{
	(void)state;
	struct rig *r = rig_new(OPEN);
	sessions(r, GATEWAY, "smtp", 999);
	assert_int_equal(times(r, "every client seems to come from"), 0);
	sessions(r, GATEWAY, "smtp", 1);
	assert_int_equal(times(r, "every client seems to come from " GATEWAY), 1);
	assert_int_equal(times(r, "OPEN RELAY"), 0);
	assert_int_equal(times(r, "proxy-from"), 1);
	rig_free(&r);

	r = rig_new(OPEN);
	sessions(r, GATEWAY, "open", 1000);
	assert_int_equal(times(r, "OPEN RELAY"), 1);
	rig_free(&r);

	r = rig_new("listener \"told\" { bind = {\"127.0.0.1:2528\"} protocol = "
		    "\"smtp\" xclient-from = {\"" GATEWAY "\"} }\n");
	sessions(r, GATEWAY, "told", 1500);
	assert_int_equal(times(r, "every client seems"), 0);
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_said),
	    cmocka_unit_test(test_time),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_share),
	    cmocka_unit_test(test_never),
	    cmocka_unit_test(test_private),
	    cmocka_unit_test(test_vote),
	    cmocka_unit_test(test_once_a_day),
	    cmocka_unit_test(test_long_name),
	    cmocka_unit_test(test_sessions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
