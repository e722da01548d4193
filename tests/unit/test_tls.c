/* SPDX-License-Identifier: ISC */
/* TLS between two connections of one loop: handshakes, lines and much data inside,
 * what a certificate is worth, sessions, what may not be smuggled in. */
#include "tests/unit/tls_rig.h"

static void
test_words_inside(void **state)
{
	struct fixture *f = *state;
	connect_sides(f, 0);
	io_add_span(f->server.io, SPAN("220 go\r\n")); /* before: in the clear */
	assert_int_equal(io_start_tls_server(f->server.io, f->ts), OK);
	assert_null(io_tls(f->server.io));
	io_add_span(f->server.io, SPAN("inside\r\n"));
	settle(f);
	assert_true(span_eq(buf_span(&f->client.got), SPAN("220 go\r\n")));
	assert_int_equal(io_start_tls_client(f->client.io, f->tc, &right), OK);
	io_add_span(f->client.io, SPAN("EHLO\r\n"));
	settle(f);
	assert_true(f->server.tls && f->client.tls);
	assert_true(span_eq(buf_span(&f->client.got), SPAN("220 go\r\ninside\r\n")));
	assert_true(span_eq(buf_span(&f->server.got), SPAN("EHLO\r\n")));
	const struct tls_info *i = io_tls(f->client.io);
	assert_true(i->verified && i->certificate && i->trouble[0] == '\0');
	assert_string_equal(i->version, "TLSv1.3");
	assert_int_equal(strlen(i->fingerprint), TLS_FINGERPRINT);
	assert_string_equal(io_tls(f->server.io)->sni, "relay.test");
	assert_true(io_tls(f->server.io)->server);
}

static void
test_much_both_ways(void **state)
{
	struct fixture *f = *state;
	enum { MUCH = 1 << 20 };
	char *bytes = mem_alloc(MUCH);
	for (size_t i = 0; i < MUCH; i++)
		bytes[i] = (char)(i * 7 ^ i >> 8);
	connect_sides(f, 4096);
	assert_int_equal(io_start_tls_server(f->server.io, f->ts), OK);
	assert_int_equal(io_start_tls_client(f->client.io, f->tc, &right), OK);
	settle(f);
	io_add(f->server.io, bytes, MUCH);
	settle(f);
	io_add(f->client.io, bytes, MUCH);
	settle(f);
	assert_int_equal(f->server.got.n, MUCH);
	assert_int_equal(f->client.got.n, MUCH);
	assert_memory_equal(f->server.got.p, bytes, MUCH);
	assert_memory_equal(f->client.got.p, bytes, MUCH);
	assert_int_equal(io_bytes_in(f->client.io), MUCH);
	mem_free(&bytes);
}

/* A paused reader gets what OpenSSL holds when he goes on, without a new record. */
static void
test_nothing_stalls(void **state)
{
	struct fixture *f = *state;
	shake(f, f->ts, &right);
	io_pause(f->server.io);
	char block[12000];
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 20; i++)
		io_add(f->client.io, block, sizeof(block));
	settle(f);
	assert_int_equal(f->server.got.n, 0);
	io_resume(f->server.io);
	settle(f);
	assert_int_equal(f->server.got.n, 20 * sizeof(block));
}

static void
test_injected(void **state)
{
	struct fixture *f = *state;
	connect_sides(f, 0);
	io_pause(f->server.io);
	io_add_span(f->client.io, SPAN("STARTTLS\r\nNOOP\r\n"));
	settle(f);
	assert_int_equal(io_start_tls_server(f->server.io, f->ts), ERR_SYNTAX);
	assert_null(io_tls(f->server.io));
	io_pause(f->client.io);
	io_add_span(f->server.io, SPAN("220 go\r\n250 AUTH\r\n"));
	settle(f);
	assert_int_equal(io_start_tls_client(f->client.io, f->tc, &right), ERR_SYNTAX);
}

static void
test_garbage_instead(void **state)
{
	struct fixture *f = *state;
	connect_sides(f, 0);
	assert_int_equal(io_start_tls_server(f->server.io, f->ts), OK);
	io_add_span(f->client.io, SPAN("MAIL FROM:<a@b>\r\n"));
	settle(f);
	assert_true(f->server.error && !f->server.tls);
	assert_int_equal(f->server.got.n, 0);
	assert_true(span_starts(span_str(f->server.trouble), SPAN("TLS: ")));
}

static void
test_gone_in_the_handshake(void **state)
{
	struct fixture *f = *state;
	connect_sides(f, 0);
	assert_int_equal(io_start_tls_server(f->server.io, f->ts), OK);
	settle(f);
	io_free(&f->client.io);
	settle(f);
	assert_true(f->server.error && !f->server.tls);
}

static void
test_policies(void **state)
{
	struct fixture *f = *state;
	static const struct {
		enum cert cert;
		enum tls_verify verify;
		const char *name, *words; /* NULL: it is fine */
	} cases[] = {
	    {CERT_GOOD, TLS_VERIFY_NAME, "relay.test", NULL},
	    {CERT_GOOD, TLS_VERIFY_NAME, "RELAY.test", NULL},
	    {CERT_GOOD, TLS_VERIFY_NAME, "a.wild.test", NULL},
	    {CERT_GOOD, TLS_VERIFY_NAME, "a.b.wild.test", "other names"},
	    {CERT_GOOD, TLS_VERIFY_NAME, "other.test", "other names (relay.test"},
	    {CERT_ONLY_CN, TLS_VERIFY_NAME, "relay.test", "other names (none at all)"},
	    {CERT_EXPIRED, TLS_VERIFY_NAME, "relay.test", "expired on 2021-01-01"},
	    {CERT_SELF_SIGNED, TLS_VERIFY_NAME, "relay.test", "self-signed"},
	    {CERT_UNKNOWN_CA, TLS_VERIFY_NAME, "relay.test", "unknown authority"},
	    {CERT_EXPIRED, TLS_VERIFY_NO, "relay.test", NULL},
	    {CERT_SELF_SIGNED, TLS_VERIFY_NO, "x.test", NULL},
	    {CERT_GOOD, TLS_VERIFY_FINGERPRINT, "x.test", "another fingerprint"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct tls_files file = {certs_path(f->certs, cases[i].cert),
		    certs_key(f->certs, cases[i].cert)};
		struct tls_server *ts =
		    serve(f, &(struct tls_server_options){.file = &file, .files = 1});
		struct tls_peer peer = {.name = cases[i].name, .verify = cases[i].verify};
		shake(f, ts, &peer);
		if (cases[i].words == NULL) {
			assert_true(f->client.tls && !f->client.error);
			assert_int_equal(
			    io_tls(f->client.io)->verified, cases[i].cert == CERT_GOOD);
		} else if (!f->client.error || f->client.tls ||
			   strstr(f->client.trouble, cases[i].words) == NULL) {
			fail_msg("%zu: %s", i, f->client.trouble);
		}
		end_sides(f);
		tls_server_unref(&ts);
	}
}

static void
test_fingerprint(void **state)
{
	struct fixture *f = *state;
	struct tls_look look;
	assert_int_equal(tls_look(certs_path(f->certs, CERT_EXPIRED), &look), OK);
	const char *list[] = {
	    "0000000000000000000000000000000000000000000000000000000000000000",
	    look.fingerprint};
	struct tls_files file = {
	    certs_path(f->certs, CERT_EXPIRED), certs_key(f->certs, CERT_EXPIRED)};
	struct tls_server *ts =
	    serve(f, &(struct tls_server_options){.file = &file, .files = 1});
	struct tls_peer peer = {.name = "x.test",
	    .verify = TLS_VERIFY_FINGERPRINT,
	    .fingerprint = list,
	    .fingerprints = 2};
	shake(f, ts, &peer);
	assert_true(f->client.tls && io_tls(f->client.io)->verified);
	tls_server_unref(&ts);
}

static void
test_names_choose(void **state)
{
	struct fixture *f = *state;
	struct tls_files files[] = {
	    {certs_path(f->certs, CERT_OTHER), certs_key(f->certs, CERT_OTHER)},
	    {certs_path(f->certs, CERT_GOOD), certs_key(f->certs, CERT_GOOD)},
	    {certs_path(f->certs, CERT_GOOD_RSA), certs_key(f->certs, CERT_GOOD_RSA)},
	};
	static const struct {
		const char *ask, *subject;
	} cases[] = {{"relay.test", "relay.test"}, {"X.wild.test", "relay.test"},
	    {"other.test", "other.test"}, {"stranger.test", "other.test"},
	    {NULL, "other.test"}};
	struct tls_server *ts =
	    serve(f, &(struct tls_server_options){.file = files, .files = 3});
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct tls_peer peer = {.name = cases[i].ask, .verify = TLS_VERIFY_NO};
		shake(f, ts, &peer);
		assert_string_equal(io_tls(f->client.io)->subject, cases[i].subject);
		end_sides(f);
	}
	tls_server_unref(&ts);
}

static bool
resumes(struct fixture *f, const struct tls_peer *peer)
{
	shake(f, f->ts, peer);
	assert_true(f->client.tls);
	io_add_span(f->server.io, SPAN("x")); /* the ticket comes with the first data */
	settle(f);
	bool yes = io_tls(f->client.io)->resumed;
	end_sides(f);
	return yes;
}

static void
test_sessions(void **state)
{
	struct fixture *f = *state;
	struct tls_peer peer = right, loose = {.name = "relay.test", .session = "a"};
	assert_false(resumes(f, &peer));
	assert_false(resumes(f, &peer)); /* nothing to keep it under */
	peer.session = loose.session = "a";
	assert_false(resumes(f, &peer));
	assert_true(resumes(f, &peer));
	assert_true(resumes(f, &peer));
	assert_false(resumes(f, &loose)); /* another policy */
	peer.session = "b";
	assert_false(resumes(f, &peer));
}

static void
test_reload(void **state)
{
	struct fixture *f = *state;
	shake(f, f->ts, &right);
	tls_server_unref(&f->ts); /* a new one has come; this connection goes on */
	io_add_span(f->client.io, SPAN("still\r\n"));
	settle(f);
	assert_true(span_eq(buf_span(&f->server.got), SPAN("still\r\n")));
}

static void
test_client_certificate(void **state)
{
	struct fixture *f = *state;
	struct tls_files file = {
	    certs_path(f->certs, CERT_GOOD), certs_key(f->certs, CERT_GOOD)};
	struct tls_server *asks = serve(f, &(struct tls_server_options){.file = &file,
					       .files = 1,
					       .ask = TLS_ASK_YES,
					       .client_ca = certs_ca(f->certs)});
	struct tls_server *requires = serve(f, &(struct tls_server_options){.file = &file,
						   .files = 1,
						   .ask = TLS_ASK_REQUIRE,
						   .client_ca = certs_ca(f->certs)});
	shake(f, asks, &right);
	assert_true(f->server.tls && !io_tls(f->server.io)->certificate);
	assert_false(io_tls(f->server.io)->verified);
	end_sides(f);
	shake(f, requires, &right);
	assert_true(f->server.error && !f->server.tls);
	tls_server_unref(&asks);
	tls_server_unref(&requires);
}

static void
test_bindings(void **state)
{
	struct fixture *f = *state;
	struct buf a, b;
	buf_init(&a, 0);
	buf_init(&b, 0);
	connect_sides(f, 0);
	assert_int_equal(
	    io_tls_binding(f->client.io, TLS_BIND_EXPORTER, &a), ERR_NOT_FOUND);
	end_sides(f);
	shake(f, f->ts, &right);
	assert_int_equal(io_tls_binding(f->client.io, TLS_BIND_EXPORTER, &a), OK);
	assert_int_equal(io_tls_binding(f->server.io, TLS_BIND_EXPORTER, &b), OK);
	assert_int_equal(a.n, 32);
	assert_true(span_eq(buf_span(&a), buf_span(&b)));
	assert_int_equal(
	    io_tls_binding(f->client.io, TLS_BIND_UNIQUE, &a), ERR_NOT_FOUND);
	buf_clear(&a);
	buf_clear(&b);
}

static void
test_ends(void **state)
{
	struct fixture *f = *state;
	shake(f, f->ts, &right);
	io_add_span(f->server.io, SPAN("221 bye\r\n"));
	io_finish(&f->server.io, 1000);
	settle(f);
	assert_true(f->client.eof && !f->client.error);
	assert_true(span_eq(buf_span(&f->client.got), SPAN("221 bye\r\n")));
	io_free(&f->client.io); /* now the finished one lets go, too */
	settle(f);
}

static void
test_clear_after_tls_is_nothing(void **state)
{
	struct fixture *f = *state;
	shake(f, f->ts, &right);
	static const char clear[] = "MAIL FROM:<a@b>\r\n";
	assert_int_equal(
	    send(io_fd(f->client.io), clear, sizeof(clear) - 1, 0), sizeof(clear) - 1);
	settle(f);
	assert_int_equal(f->server.got.n, 0);
	assert_true(f->server.error);
}

static void
test_files(void **state)
{
	struct fixture *f = *state;
	struct buf why;
	const char *good = certs_path(f->certs, CERT_GOOD), *ca = certs_ca(f->certs);
	const char *other = certs_key(f->certs, CERT_OTHER);
	const struct {
		struct tls_files file;
		const char *words;
	} cases[] = {
	    {{"/nonexistent.pem", NULL}, "No such file"},
	    {{good, "/nonexistent.key"}, "No such file"},
	    {{good, other}, "key"},
	    {{other, other}, "no PEM certificate"},
	    {{ca, NULL}, "key"},
	    {{good, certs_key(f->certs, CERT_PASSPHRASE)}, "passphrase"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		buf_init(&why, 0);
		struct tls_server_options o = {.file = &cases[i].file, .files = 1};
		assert_null(tls_server_new(&o, &why));
		buf_add_char(&why, '\0');
		if (strstr(why.p, cases[i].words) == NULL)
			fail_msg("%zu: %s", i, why.p);
		buf_clear(&why);
	}
	buf_init(&why, 0);
	assert_null(tls_client_new("/nonexistent.pem", &why));
	assert_true(why.n > 0);
	buf_clear(&why);
}

static void
test_self_signed_and_stamp(void **state)
{
	struct fixture *f = *state;
	char cert[200], key[200];
	struct tls_look look;
	struct buf why;
	struct stat st;
	buf_init(&why, 0);
	(void)snprintf(cert, sizeof(cert), "%s/own.pem", certs_dir(f->certs));
	(void)snprintf(key, sizeof(key), "%s/own.key", certs_dir(f->certs));
	struct tls_files file = {cert, key};
	assert_int_equal(tls_files_stamp(&file, 1), 0);
	struct wall now = world_wall(world_real());
	assert_int_equal(tls_self_signed("gw.office.test", cert, key, now, &why), OK);
	assert_int_equal(tls_look(cert, &look), OK);
	assert_string_equal(look.names, "gw.office.test");
	assert_true(look.self_signed && look.from.ms <= now.ms);
	assert_true(look.until.ms > now.ms + 3600 * DAY_MS);
	assert_int_equal(stat(key, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	uint64_t before = tls_files_stamp(&file, 1);
	assert_int_not_equal(before, 0);
	assert_true(before == tls_files_stamp(&file, 1));
	assert_int_equal(tls_self_signed("gw.office.test", cert, key, now, &why), OK);
	assert_true(before != tls_files_stamp(&file, 1));
	assert_int_equal(tls_look("/nonexistent", &look), ERR_NOT_FOUND);
	assert_int_equal(tls_look(key, &look), ERR_SYNTAX);
	buf_clear(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_words_inside, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_much_both_ways, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_nothing_stalls, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_injected, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_garbage_instead, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_gone_in_the_handshake, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_policies, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_fingerprint, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_names_choose, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_sessions, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_client_certificate, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bindings, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_clear_after_tls_is_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_files, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_self_signed_and_stamp, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
