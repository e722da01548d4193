/* SPDX-License-Identifier: ISC */
/* Connections of POP3 listeners: who gets them, who is turned away and with which words.
 * The program's own pickup_serve() stands before the real one. */
#include "tests/unit/ingress_rig.h"

#include "relay/ingress/session.h"
#include "relay/pickup/pickup.h"

static struct served {
	unsigned n;
	int fd;
	struct net_addr hop, peer;
	char listener[65];
} served;

void
pickup_serve(struct pickup *p, int fd, const struct net_addr *hop,
    const struct net_addr *peer, const char *listener)
{
	assert_ptr_equal(p, &served);
	served.n++;
	served.fd = fd;
	served.hop = *hop;
	served.peer = *peer;
	span_copy(span_str(listener), served.listener, sizeof(served.listener));
}

/* The session is over: as the pickup would. */
static void
served_over(struct rig *r)
{
	census_leave(r->census, &served.peer);
	close(served.fd);
}

#define POP3 \
	"listener pop { protocol = pop3 auth-in-clear = true bind = {\"[::1]:1110\"} "

static struct rig *
rig_pickup(const char *extra)
{
	struct rig *r = rig_new(extra);
	r->in->o.pickup = (struct pickup *)(void *)&served;
	served.n = 0;
	return r;
}

static void
heard_is(const struct client *c, const char *want)
{
	struct span got = buf_span(&c->heard);
	if (!c->closed || !span_eq(got, span_str(want)))
		fail_msg("%.*s, not %s", SPAN_ARG(got), want);
}

static void
test_served(void **state)
{
	(void)state;
	struct rig *r = rig_pickup(POP3 "}\n");
	struct client c = call_at(r, STRANGER, "pop");
	struct net_addr stranger;
	hear(&c);
	assert_int_equal(c.heard.n, 0);
	assert_int_equal(net_parse_ip(SPAN(STRANGER), &stranger), OK);
	assert_int_equal(served.n, 1);
	assert_string_equal(served.listener, "pop");
	assert_true(net_same_ip(&served.peer, &stranger));
	assert_true(net_same_ip(&served.hop, &stranger));
	assert_int_equal(census_total(r->census), 1);
	assert_int_equal(ingress_sessions(r->in), 0);
	assert_int_equal(atomic_load(&r->counters.connections), 1);
	served_over(r);
	struct client s = call(r, STRANGER); /* another listener is SMTP's as ever */
	expect(&s, "220", "SMTP");
	assert_int_equal(served.n, 1);
	hang_up(&c), hang_up(&s);
	rig_free(&r);
}

static void
test_limits(void **state)
{
	(void)state;
	struct rig *r = rig_pickup(POP3 "}\nlimits { client-connections = 1 }\n");
	struct client a = call_at(r, STRANGER, "pop"), b = call_at(r, STRANGER, "pop");
	hear(&b);
	heard_is(
	    &b, "-ERR [SYS/TEMP] " HOST ": too many connections from your address\r\n");
	assert_int_equal(served.n, 1);
	assert_int_equal(census_total(r->census), 1);
	assert_int_equal(atomic_load(&r->counters.turned_away), 1);
	served_over(r);
	hang_up(&a), hang_up(&b);
	rig_free(&r);
}

static void
test_policy(void **state)
{
	(void)state;
	struct rig *r =
	    rig_pickup(POP3 "clients = {\"192.0.2.0/24\"} }\n"
			    "rule out { client = {\"192.0.2.9\"} listener = {\"pop\"}\n"
			    "  text = \"go away\" }\n"
			    "rule late { client = {\"192.0.2.8\"} action = defer }\n");
	struct client a = call_at(r, STRANGER, "pop");
	hear(&a);
	assert_true(a.closed);
	assert_true(span_starts(buf_span(&a.heard), SPAN("-ERR [SYS/PERM] " HOST ": ")));
	assert_true(has(buf_span(&r->lines), " turned-away "));
	assert_true(has(buf_span(&r->lines), " why=clients"));
	struct client b = call_at(r, "192.0.2.9", "pop");
	hear(&b);
	heard_is(&b, "-ERR [SYS/PERM] " HOST ": go away\r\n");
	struct client d = call_at(r, "192.0.2.8", "pop");
	hear(&d);
	assert_true(span_starts(buf_span(&d.heard), SPAN("-ERR [SYS/TEMP] " HOST ": ")));
	assert_int_equal(served.n, 0);
	assert_int_equal(census_total(r->census), 0);
	assert_int_equal(atomic_load(&r->counters.turned_away), 3);
	struct client c = call_at(r, OWN, "pop");
	assert_int_equal(served.n, 1);
	served_over(r);
	hang_up(&a), hang_up(&b), hang_up(&c), hang_up(&d);
	rig_free(&r);
}

/* Behind a proxy the client is whom the proxy tells. */
static void
test_proxied(void **state)
{
	(void)state;
	struct rig *r = rig_pickup(POP3 "proxy-from = {\"192.0.2.7\"} }\n");
	struct client c = call_at(r, OWN, "pop");
	struct net_addr own, told;
	assert_int_equal(served.n, 0);
	say(&c, "PROXY TCP4 " STRANGER " 192.0.2.1 5555 110\r\nCAPA\r\n");
	assert_int_equal(served.n, 1);
	assert_int_equal(net_parse_ip(SPAN(OWN), &own), OK);
	assert_int_equal(net_parse_ip(SPAN(STRANGER), &told), OK);
	assert_true(net_same_ip(&served.hop, &own));
	assert_true(net_same_ip(&served.peer, &told));
	char rest[20];
	assert_int_equal(recv(served.fd, rest, sizeof(rest), MSG_DONTWAIT), 6);
	assert_int_equal(census_total(r->census), 1);
	served_over(r);
	hang_up(&c);
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_served),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_policy),
	    cmocka_unit_test(test_proxied),
	};
	return cmocka_run_group_tests_name("ingress_pickup", tests, NULL, NULL);
}
