/* SPDX-License-Identifier: ISC */
/* STARTTLS and implicit TLS in a session. */
#include "tests/unit/ingress_rig.h"

#define LISTENERS                                                                \
	"limits { errors = 1000 }\n"                                             \
	"listener \"start\" { bind = {\"127.0.0.1:1\"} tls = \"starttls\" }\n"   \
	"listener \"strict\" { bind = {\"127.0.0.1:2\"} tls = \"starttls\" "     \
	"tls-required = true }\n"                                                \
	"listener \"smtps\" { bind = {\"127.0.0.1:465\"} tls = \"implicit\" }\n" \
	"listener \"behind\" { bind = {\"127.0.0.1:466\"} tls = \"implicit\" "   \
	"proxy-from = {\"10.0.0.0/8\"} }\n"                                      \
	"listener \"old\" { bind = {\"127.0.0.1:3\"} tls = \"legacy\" "          \
	"clients = {\"192.0.2.0/24\"} }\n"                                       \
	"listener \"olds\" { bind = {\"127.0.0.2:465\"} tls = \"legacy\" "       \
	"clients = {\"192.0.2.0/24\"} }\n"

static struct rig *
tls_rig(void)
{
	struct buf why = {0};
	struct tls_client *tc = tls_client_new(NULL, &why);
	if (tc == NULL && why.n == 0) /* absent_tls.c; goes with it */
		skip();
	buf_clear(&why);
	tls_client_free(&tc);
	return rig_make(&(struct rig_options){.extra = LISTENERS, .tls = true});
}

static struct tls_caller
caller(struct rig *r, const char *from, const char *listener)
{
	return (struct tls_caller){.client = call_at(r, from, listener)};
}

/* STARTTLS, and the handshake behind its 220. */
static void
start(struct tls_caller *c, const char *before, const char *want)
{
	say(&c->client, before);
	say(&c->client, "STARTTLS\r\n");
	expect(&c->client, want, "STARTTLS");
	begin_tls(c);
	assert_true(c->tls);
}

static void
test_starttls(void **state)
{
	(void)state;
	struct rig *r = tls_rig();
	struct tls_caller c = caller(r, OWN, "start");
	say(&c.client, HI);
	assert_true(has(buf_span(&c.client.heard), "250-STARTTLS\r\n"));
	expect(&c.client, OK_HI, "EHLO");
	say(&c.client, "STARTTLS x\r\n");
	expect(&c.client, "501/5.5.4", "no argument");
	start(&c, "", "220/2.0.0");
	say_tls(&c, MAIL);
	expect(&c.client, "503/5.5.1", "EHLO is needed again");
	say_tls(&c, HI);
	assert_false(has(buf_span(&c.client.heard), "STARTTLS"));
	expect(&c.client, "250", "inside");
	say_tls(&c, "STARTTLS\r\n" MAIL RCPT DATA TEXT DOT QUIT);
	expect(
	    &c.client, "503/5.5.1 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0 .", "mail");
	hang_up_tls(&c);
	assert_int_equal(r->got_n, 1);
	assert_true(span_eq(r->got[0]->protocol, SPAN("ESMTPS")));
	assert_true(has(r->got[0]->prefix, " with ESMTPS id "));
	assert_true(has(r->got[0]->prefix, "\r\n\t(TLSv1.3 with cipher TLS_"));
	assert_true(has(buf_span(&r->lines), "debug tls client=" OWN));
	rig_free(&r);
}

/* RFC 3207 4.2: what was said in the clear is forgotten. */
static void
test_forgotten(void **state)
{
	(void)state;
	struct rig *r = tls_rig();
	struct tls_caller c = caller(r, OWN, "start");
	start(&c, HI MAIL RCPT, OK_HI "250/2.1.0 250/2.1.5 220/2.0.0");
	say_tls(&c, RCPT DATA HI RCPT DATA);
	expect(
	    &c.client, "503/5.5.1 503/5.5.1 250 503/5.5.1 503/5.5.1", "nothing is left");
	hang_up_tls(&c);
	rig_free(&r);
}

/* CVE-2011-0411: nothing of what stands behind STARTTLS is done. */
static void
test_injected(void **state)
{
	(void)state;
	static const char *const sent[] = {"STARTTLS\r\nNOOP\r\n",
	    "STARTTLS\r\nMAIL FROM:<in", "STARTTLS\r\n\x16", "STARTTLS\r\n\r\n",
	    "STARTTLS\r\nSTARTTLS\r\n"};
	struct rig *r = tls_rig();
	for (size_t i = 0; i < COUNT_OF(sent); i++) {
		struct client c = call_at(r, OWN, "start");
		say(&c, HI);
		say(&c, sent[i]);
		expect(&c, OK_HI "220/2.0.0 .", sent[i]);
		hang_up(&c);
	}
	rig_free(&r);
}

static void
test_handshake_fails(void **state)
{
	(void)state;
	struct rig *r = tls_rig();
	struct client c = call_at(r, OWN, "start");
	say(&c, HI "STARTTLS\r\n");
	expect(&c, OK_HI "220/2.0.0", "STARTTLS");
	say(&c, "EHLO again.example\r\n");
	assert_true(c.closed);
	hang_up(&c);
	assert_true(
	    has(buf_span(&r->lines), "tls-failed client=" OWN " listener=start why="));

	buf_reset(&r->lines);
	c = call_at(r, OWN, "start");
	say(&c, "STARTTLS\r\n");
	expect(&c, "220 220/2.0.0", "STARTTLS");
	pass(r, 29999);
	hear(&c);
	assert_false(c.closed);
	pass(r, 1);
	hear(&c);
	assert_true(c.closed);
	hang_up(&c);
	assert_true(has(buf_span(&r->lines), "listener=start why=timeout"));

	c = call_at(r, OWN, "smtps");
	expect(&c, "", "no word before the handshake");
	ingress_drain(r->in, NULL, NULL);
	hear(&c);
	assert_true(c.closed);
	hang_up(&c);
	rig_free(&r);
}

static void
test_implicit(void **state)
{
	(void)state;
	static const char *const listeners[] = {"smtps", "olds"};
	struct rig *r = tls_rig();
	for (size_t i = 0; i < COUNT_OF(listeners); i++) {
		struct tls_caller c = caller(r, OWN, listeners[i]);
		expect(&c.client, "", "nothing in the clear");
		begin_tls(&c);
		assert_true(c.tls);
		expect(&c.client, "220", "the greeting");
		say_tls(&c, HI "STARTTLS\r\n" QUIT);
		expect(&c.client, "250 503/5.5.1 221/2.0.0 .", "inside");
		hang_up_tls(&c);
	}
	struct tls_caller c = caller(r, OWN, "old");
	start(&c, HI, OK_HI "220/2.0.0");
	hang_up_tls(&c);
	c = caller(r, OWN, "old");
	say(&c.client, HI MAIL QUIT);
	expect(&c.client, OK_HI "250/2.1.0 221/2.0.0 .", "an old device in the clear");
	hang_up(&c.client);
	rig_free(&r);
}

/* The client's first bytes may come in one segment with the header. */
static void
test_proxied(void **state)
{
	(void)state;
	struct rig *r = tls_rig();
	int fd[2];
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd), 0);
	struct tls_caller c = {.client = {.rig = r, .fd = fd[1]}};
	static const char header[] = "PROXY TCP4 192.0.2.77 192.0.2.1 40000 465\r\n";
	assert_int_equal(send(fd[1], header, sizeof(header) - 1, 0), sizeof(header) - 1);
	begin_tls(&c);
	assert_false(c.tls);
	struct net_addr hop;
	assert_int_equal(net_parse_ip(SPAN("10.0.0.1"), &hop), OK);
	ingress_serve(r->in, fd[0], &hop, "behind");
	run(r);
	assert_true(c.tls);
	say_tls(&c, HI MAIL "RCPT TO:<x@far.example>\r\n");
	expect(&c.client, OK_HI "250/2.1.0 250/2.1.5", "behind a proxy");
	hang_up_tls(&c);
	rig_free(&r);
}

static void
test_required(void **state)
{
	(void)state;
	struct rig *r = tls_rig();
	struct tls_caller c = caller(r, OWN, "strict");
	start(&c, HI MAIL "NOOP\r\n", OK_HI "530/5.7.0 250/2.0.0 220/2.0.0");
	say_tls(&c, HI MAIL);
	expect(&c.client, "250 250/2.1.0", "inside");
	hang_up_tls(&c);
	rig_free(&r);
}

/* A session keeps the certificate that it began with. */
static void
test_reload(void **state)
{
	(void)state;
	struct rig *r = tls_rig();
	struct tls_caller c = caller(r, OWN, "start");
	const struct config *other =
	    read_config("listener \"start\" { bind = {\"127.0.0.1:1\"} "
			"tls = \"none\" }\n");
	ingress_reload(r->in, other);
	config_unref(&r->config);
	r->config = other;
	start(&c, HI, OK_HI "220/2.0.0");
	struct client plain = call_at(r, OWN, "start");
	say(&plain, "STARTTLS\r\n");
	expect(&plain, "220 502/5.5.1", "new ones have none");
	hang_up(&plain);
	hang_up_tls(&c);
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_starttls),
	    cmocka_unit_test(test_forgotten),
	    cmocka_unit_test(test_injected),
	    cmocka_unit_test(test_handshake_fails),
	    cmocka_unit_test(test_implicit),
	    cmocka_unit_test(test_proxied),
	    cmocka_unit_test(test_required),
	    cmocka_unit_test(test_reload),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
