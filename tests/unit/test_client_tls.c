/* SPDX-License-Identifier: ISC */
/*
 * The client and TLS: next hops that have it, have it not, have a wrong
 * certificate, or slip words in before the handshake.
 */
#include <gsasl.h>
#include <stdlib.h>

#include "base/base64.h"
#include "tests/unit/client_rig.h"

#define PEER "mx.test[192.0.2.1]:25"
#define OFFERS "250-mx.test\r\n250-SIZE 1000\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n"

/* ---- certificates, once for all tests */

static char dir[] = "/tmp/test_client_tls.XXXXXX";
static char cert[100], key[100], other_cert[100], other_key[100];
static struct tls_server *server_tls;

static void
write_pair(const char *name, char *cert_file, char *key_file)
{
	struct buf why = {0};
	snprintf(cert_file, 100, "%s/%s.pem", dir, name);
	snprintf(key_file, 100, "%s/%s.key", dir, name);
	assert_int_equal(
	    tls_self_signed(name, cert_file, key_file, world_wall(world_real()), &why),
	    OK);
	buf_clear(&why);
}

static int
make_certificates(void **state)
{
	(void)state;
	struct buf why = {0};
	assert_non_null(mkdtemp(dir));
	write_pair("mx.test", cert, key);
	write_pair("other.test", other_cert, other_key);
	struct tls_files files = {cert, key};
	struct tls_server_options o = {.file = &files, .files = 1};
	server_tls = tls_server_new(&o, &why);
	assert_non_null(server_tls);
	buf_clear(&why);
	return 0;
}

static int
remove_certificates(void **state)
{
	(void)state;
	tls_server_unref(&server_tls);
	unlink(cert);
	unlink(key);
	unlink(other_cert);
	unlink(other_key);
	rmdir(dir);
	return 0;
}

/* ---- the next hop inside TLS */

struct hop {
	struct rig *rig;
	struct io *io;
	struct buf heard;
	int shaken, failed;
	struct tls_client *tc;
	struct tls_peer peer;
};

static void
on_hop(void *arg, enum io_event ev)
{
	struct hop *h = arg;
	h->shaken += ev == IO_TLS;
	h->failed += ev == IO_ERROR || ev == IO_EOF;
	if (ev == IO_INPUT) {
		buf_add_span(&h->heard, io_input(h->io));
		io_consume(h->io, io_input(h->io).n);
	}
}

static int
setup_with(void **state, const char *ca)
{
	struct hop *h = NEW(struct hop);
	struct buf why = {0};
	rig_setup((void **)&h->rig);
	h->tc = tls_client_new(ca, &why);
	assert_non_null(h->tc);
	h->peer.name = "mx.test";
	h->rig->options.tls = ROUTE_TLS_OPPORTUNISTIC;
	h->rig->options.tls_client = h->tc;
	h->rig->options.peer = &h->peer;
	buf_clear(&why);
	*state = h;
	return 0;
}

static int
setup(void **state)
{
	return setup_with(state, cert);
}

static int
teardown(void **state)
{
	struct hop *h = *state;
	client_free(&h->rig->client);
	if (h->io != NULL)
		io_free(&h->io);
	void *rig = h->rig;
	rig_teardown(&rig);
	tls_client_free(&h->tc);
	buf_clear(&h->heard);
	mem_free(&h);
	return 0;
}

/* The next hop's side of the handshake. */
static void
shake(struct hop *h)
{
	h->io = io_new(h->rig->loop, h->rig->peer, on_hop, h);
	h->rig->peer = -1;
	assert_int_equal(io_start_tls_server(h->io, server_tls), OK);
	rig_settle(h->rig);
}

static void
says(struct hop *h, const char *text)
{
	io_add_span(h->io, span_str(text));
	rig_settle(h->rig);
}

static void
hears(struct hop *h, const char *want)
{
	rig_settle(h->rig);
	buf_add_char(&h->heard, '\0');
	assert_string_equal(h->heard.p, want);
	buf_reset(&h->heard);
}

/* To the end of the handshake. */
static void
start(struct hop *h)
{
	rig_greet(h->rig, OFFERS);
	assert_int_equal(h->rig->ready, 0);
	rig_hears(h->rig, "STARTTLS\r\n");
	assert_int_equal(client_stage(h->rig->client), STAGE_TLS);
	rig_says(h->rig, "220 2.0.0 go\r\n");
	shake(h);
}

/* ---- right */

static void
test_opportunistic(void **state)
{
	struct hop *h = *state;
	start(h);
	assert_int_equal(h->shaken, 1);
	hears(h, "EHLO me.test\r\n");
	says(h, "250-mx.test\r\n250-STARTTLS\r\n250 PIPELINING\r\n");
	assert_int_equal(h->rig->ready, 1);
	/* what was said in the clear is forgotten */
	assert_int_equal(
	    client_extensions(h->rig->client), EXT_PIPELINING | EXT_STARTTLS);
	assert_int_equal(client_size_limit(h->rig->client), 0);
	assert_non_null(client_tls(h->rig->client));
	assert_string_equal(client_tls(h->rig->client)->version, "TLSv1.3");
	rig_message(h->rig, 1);
	rig_post(h->rig);
	hears(h, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nDATA\r\n");
	says(h, "250 ok\r\n250 ok\r\n354 go\r\n");
	hears(h, "Received: x\r\nSubject: hi\r\n\r\nhello\r\n.\r\n");
	says(h, "250 taken\r\n");
	assert_int_equal(h->rig->sent, 1);
	/* known even when the connection is gone */
	io_free(&h->io);
	rig_settle(h->rig);
	assert_int_equal(h->rig->lost, 1);
	assert_non_null(client_tls(h->rig->client));
}

static void
test_lmtp(void **state)
{
	struct hop *h = *state;
	h->rig->options.lmtp = true;
	start(h);
	hears(h, "LHLO me.test\r\n");
	says(h, "250 mx.test\r\n");
	assert_int_equal(h->rig->ready, 1);
}

static void
test_implicit(void **state)
{
	struct hop *h = *state;
	h->rig->options.tls_implicit = true;
	rig_go(h->rig);
	assert_int_equal(client_stage(h->rig->client), STAGE_TLS);
	shake(h);
	assert_int_equal(h->shaken, 1);
	hears(h, "");
	says(h, "220 mx.test\r\n");
	hears(h, "EHLO me.test\r\n");
	says(h, OFFERS); /* once is enough */
	assert_int_equal(h->rig->ready, 1);
	assert_non_null(client_tls(h->rig->client));
}

/* ---- certificates */

enum fate { GOES_ON, IS_LOST };

static void
with_policy(struct hop *h, enum route_tls tls, enum tls_verify verify, enum fate fate)
{
	h->rig->options.tls = tls;
	h->peer.verify = verify;
	start(h);
	if (fate == IS_LOST) {
		rig_lost(h->rig, STAGE_TLS, "451 4.7.5 " PEER ": TLS: ");
		assert_int_equal(h->heard.n, 0);
		return;
	}
	hears(h, "EHLO me.test\r\n");
	says(h, "250 mx\r\n");
	assert_int_equal(h->rig->ready, 1);
}

static void
test_policies(void **state)
{
	(void)state;
	char print[TLS_FINGERPRINT + 1], wrong[TLS_FINGERPRINT + 1];
	struct tls_look look;
	assert_int_equal(tls_look(cert, &look), OK);
	memcpy(print, look.fingerprint, sizeof(print));
	assert_int_equal(tls_look(other_cert, &look), OK);
	memcpy(wrong, look.fingerprint, sizeof(wrong));
	const char *const prints[] = {wrong, print};
	const struct {
		const char *ca, *name;
		enum route_tls tls;
		enum tls_verify verify;
		size_t prints;
		enum fate fate;
	} cases[] = {
	    {cert, "mx.test", ROUTE_TLS_VERIFY, TLS_VERIFY_NAME, 0, GOES_ON},
	    {cert, "no.test", ROUTE_TLS_VERIFY, TLS_VERIFY_NAME, 0, IS_LOST},
	    {other_cert, "mx.test", ROUTE_TLS_VERIFY, TLS_VERIFY_NAME, 0, IS_LOST},
	    {other_cert, "no.test", ROUTE_TLS_REQUIRED, TLS_VERIFY_NO, 0, GOES_ON},
	    {other_cert, "no.test", ROUTE_TLS_OPPORTUNISTIC, TLS_VERIFY_NO, 0, GOES_ON},
	    {other_cert, "no.test", ROUTE_TLS_VERIFY, TLS_VERIFY_FINGERPRINT, 2, GOES_ON},
	    {cert, "mx.test", ROUTE_TLS_VERIFY, TLS_VERIFY_FINGERPRINT, 1, IS_LOST},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		void *p;
		setup_with(&p, cases[i].ca);
		struct hop *h = p;
		h->peer.name = cases[i].name;
		h->peer.fingerprint = prints;
		h->peer.fingerprints = cases[i].prints;
		with_policy(h, cases[i].tls, cases[i].verify, cases[i].fate);
		teardown(&p);
	}
}

/* ---- not had */

static void
test_not_offered(void **state)
{
	(void)state;
	static const struct {
		enum route_tls tls;
		const char *ehlo, *want; /* want: NULL: in the clear */
	} cases[] = {
	    {ROUTE_TLS_OPPORTUNISTIC, "250 mx\r\n", NULL},
	    {ROUTE_TLS_NONE, OFFERS, NULL},
	    {ROUTE_TLS_REQUIRED, "250 mx\r\n",
		"451 4.7.4 " PEER " offers no STARTTLS, and TLS is required"},
	    {ROUTE_TLS_VERIFY, "250 mx\r\n",
		"451 4.7.4 " PEER " offers no STARTTLS, and TLS is required"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		void *p;
		setup(&p);
		struct hop *h = p;
		h->rig->options.tls = cases[i].tls;
		rig_greet(h->rig, cases[i].ehlo);
		if (cases[i].want != NULL)
			rig_lost(h->rig, STAGE_TLS, cases[i].want);
		else
			assert_int_equal(h->rig->ready, 1);
		rig_hears(h->rig, "");
		teardown(&p);
	}
}

/* EHLO itself is refused: HELO has no extensions. */
static void
test_helo_only(void **state)
{
	struct hop *h = *state;
	h->rig->options.tls = ROUTE_TLS_REQUIRED;
	rig_greet(h->rig, "502 no\r\n");
	rig_hears(h->rig, "HELO me.test\r\n");
	rig_says(h->rig, "250 mx\r\n");
	rig_lost(h->rig, STAGE_TLS, "451 4.7.4");
}

static void
test_refused(void **state)
{
	(void)state;
	static const char *const replies[] = {
	    "454 4.7.0 not now\r\n", "502 5.5.1 no\r\n"};
	static const enum route_tls policies[] = {
	    ROUTE_TLS_OPPORTUNISTIC, ROUTE_TLS_REQUIRED, ROUTE_TLS_VERIFY};
	for (size_t i = 0; i < COUNT_OF(replies); i++)
		for (size_t k = 0; k < COUNT_OF(policies); k++) {
			void *p;
			setup(&p);
			struct hop *h = p;
			h->rig->options.tls = policies[k];
			rig_greet(h->rig, OFFERS);
			rig_hears(h->rig, "STARTTLS\r\n");
			rig_says(h->rig, replies[i]);
			if (policies[k] != ROUTE_TLS_OPPORTUNISTIC) {
				rig_lost(h->rig, STAGE_TLS,
				    "451 4.7.4 " PEER " refuses STARTTLS (");
			} else {
				assert_int_equal(h->rig->ready, 1);
				assert_null(client_tls(h->rig->client));
				/* what was offered in the clear still counts */
				assert_int_equal(client_size_limit(h->rig->client), 1000);
			}
			teardown(&p);
		}
}

static void
test_no_tls_here(void **state)
{
	(void)state;
	static const struct {
		enum route_tls tls;
		bool implicit;
		const char *want;
	} cases[] = {
	    {ROUTE_TLS_OPPORTUNISTIC, false, NULL},
	    {ROUTE_TLS_REQUIRED, false,
		"451 4.7.4 " PEER " offers STARTTLS, but TLS is not available here"},
	    {ROUTE_TLS_OPPORTUNISTIC, true, "451 4.7.4 " PEER " speaks TLS only"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		void *p;
		setup(&p);
		struct hop *h = p;
		h->rig->options.tls = cases[i].tls;
		h->rig->options.tls_implicit = cases[i].implicit;
		h->rig->options.tls_client = NULL;
		if (cases[i].implicit)
			rig_go(h->rig);
		else
			rig_greet(h->rig, OFFERS);
		if (cases[i].want != NULL)
			rig_lost(h->rig, STAGE_TLS, cases[i].want);
		else
			assert_int_equal(h->rig->ready, 1);
		teardown(&p);
	}
}

/* ---- wrong */

/* CVE-2011-0411: words behind the 220 are meant to be read inside TLS. */
static void
test_injection(void **state)
{
	(void)state;
	static const char *const cases[] = {
	    "220 go\r\n250-x\r\n250 AUTH PLAIN\r\n",
	    "220 go\r\n250 x\r\n",
	    "220 go\r\n2",
	    "220 go\r\n\r\n",
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		void *p;
		setup(&p);
		struct hop *h = p;
		rig_greet(h->rig, OFFERS);
		rig_says(h->rig, cases[i]);
		rig_lost(h->rig, STAGE_TLS, "451 4.5.0 " PEER);
		rig_hears(h->rig, "STARTTLS\r\n");
		teardown(&p);
	}
}

static void
test_answers_to_starttls(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
	    {"250 fine\r\n", "451 4.5.0"},
	    {"334 fine\r\n", "451 4.5.0"},
	    {"what\r\n", "451 4.5.0"},
	    {"421 4.3.2 bye\r\n", "421 4.3.2 bye"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		void *p;
		setup(&p);
		struct hop *h = p;
		rig_greet(h->rig, OFFERS);
		rig_says(h->rig, cases[i][0]);
		rig_lost(h->rig, STAGE_TLS, cases[i][1]);
		teardown(&p);
	}
}

static void
test_handshake_fails(void **state)
{
	struct hop *h = *state;
	rig_greet(h->rig, OFFERS);
	rig_says(h->rig, "220 go\r\n");
	rig_says(h->rig, "250 this is not TLS at all, is it?\r\n");
	rig_lost(h->rig, STAGE_TLS, "451 4.7.5 " PEER ": TLS");
}

static void
test_handshake_closed(void **state)
{
	struct hop *h = *state;
	rig_greet(h->rig, OFFERS);
	rig_says(h->rig, "220 go\r\n");
	close(h->rig->peer);
	h->rig->peer = -1;
	rig_lost(h->rig, STAGE_TLS, "451 4.7.5 " PEER ": TLS");
}

static void
test_handshake_silent(void **state)
{
	struct hop *h = *state;
	rig_greet(h->rig, OFFERS);
	rig_says(h->rig, "220 go\r\n");
	rig_pass(h->rig, 301 * SECOND_MS);
	assert_int_equal(h->rig->lost, 0);
	rig_pass(h->rig, 2 * SECOND_MS);
	rig_lost(h->rig, STAGE_TLS, "451 4.7.5 " PEER ": TLS: timed out");
}

/* ---- signing in inside */

static void
test_plain_inside(void **state)
{
	struct hop *h = *state;
	h->rig->options.user = "joe";
	h->rig->options.secret = "open sesame";
	start(h);
	hears(h, "EHLO me.test\r\n");
	says(h, "250-mx.test\r\n250 AUTH PLAIN\r\n");
	hears(h, "AUTH PLAIN AGpvZQBvcGVuIHNlc2FtZQ==\r\n");
	says(h, "235 in\r\n");
	assert_int_equal(h->rig->ready, 1);
	assert_string_equal(client_mechanism(h->rig->client), "PLAIN");
}

/* AUTH that was offered in the clear only does not count inside. */
static void
test_auth_forgotten(void **state)
{
	struct hop *h = *state;
	h->rig->options.user = "joe";
	h->rig->options.secret = "open sesame";
	start(h);
	hears(h, "EHLO me.test\r\n");
	says(h, "250 mx.test\r\n");
	rig_lost(h->rig, STAGE_AUTH,
	    "454 4.7.0 " PEER ": sign-in as joe: the server does not offer it");
}

static int
on_property(Gsasl *g, Gsasl_session *s, Gsasl_property p)
{
	if (p == GSASL_PASSWORD)
		return gsasl_property_set(s, p, "open sesame");
	if (p == GSASL_SCRAM_ITER)
		return gsasl_property_set(s, p, "4096");
	if (p == GSASL_CB_TLS_EXPORTER && gsasl_callback_hook_get(g) != NULL)
		return gsasl_property_set(s, p, gsasl_callback_hook_get(g));
	return GSASL_NO_CALLBACK;
}

static int
serve(struct hop *h, Gsasl_session *s, size_t skip)
{
	char *out = NULL;
	assert_true(h->heard.n >= skip + 2);
	h->heard.p[h->heard.n - 2] = '\0';
	int rc = gsasl_step64(s, h->heard.p + skip, &out);
	buf_reset(&h->heard);
	if (rc == GSASL_OK || rc == GSASL_NEEDS_MORE) {
		io_addf(h->io, "334 %s\r\n", out);
		rig_settle(h->rig);
	}
	gsasl_free(out);
	return rc;
}

/* Bound to this connection, with both sides' own view of it. */
static void
test_scram_plus(void **state)
{
	struct hop *h = *state;
	struct buf data = {0}, text = {0};
	Gsasl *g;
	Gsasl_session *s;
	h->rig->options.user = "joe";
	h->rig->options.secret = "open sesame";
	start(h);
	hears(h, "EHLO me.test\r\n");
	assert_int_equal(io_tls_binding(h->io, TLS_BIND_EXPORTER, &data), OK);
	base64_encode(buf_span(&data), &text);
	buf_add_char(&text, '\0');
	gsasl_init(&g);
	gsasl_callback_set(g, on_property);
	gsasl_callback_hook_set(g, text.p);
	gsasl_server_start(g, "SCRAM-SHA-256-PLUS", &s);
	says(h, "250-mx\r\n250 AUTH PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS\r\n");
	assert_int_equal(
	    serve(h, s, strlen("AUTH SCRAM-SHA-256-PLUS ")), GSASL_NEEDS_MORE);
	assert_int_equal(serve(h, s, 0), GSASL_OK);
	hears(h, "\r\n");
	says(h, "235 in\r\n");
	assert_int_equal(h->rig->ready, 1);
	assert_string_equal(client_mechanism(h->rig->client), "SCRAM-SHA-256-PLUS");
	gsasl_finish(s);
	gsasl_done(g);
	buf_clear(&data);
	buf_clear(&text);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_opportunistic),
	    TEST(test_lmtp),
	    TEST(test_implicit),
	    cmocka_unit_test(test_policies),
	    cmocka_unit_test(test_not_offered),
	    TEST(test_helo_only),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_no_tls_here),
	    cmocka_unit_test(test_injection),
	    cmocka_unit_test(test_answers_to_starttls),
	    TEST(test_handshake_fails),
	    TEST(test_handshake_closed),
	    TEST(test_handshake_silent),
	    TEST(test_plain_inside),
	    TEST(test_auth_forgotten),
	    TEST(test_scram_plus),
	};
	return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
