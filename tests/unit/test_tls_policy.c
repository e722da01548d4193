/* SPDX-License-Identifier: ISC */
/* What a peer is asked for and compared with; versions; certificates of clients; sessions
 * that are forgotten; authorities that change. */
#include "tests/unit/tls_rig.h"

#include "tests/lib/secure.h"

static struct tls_server *
serve_one(struct fixture *f, enum cert kind, const char *names)
{
	struct tls_files file = {0};
	file.certificate = certs_for(f->certs, kind, names, &file.key);
	return serve(f, &(struct tls_server_options){.file = &file, .files = 1});
}

static void
test_names(void **state)
{
	static const struct {
		const char *names, *looked_for; /* of the certificate; ours */
		const char *words;              /* NULL: it is fine */
	} cases[] = {
	    {"DNS:mx.test", "mx.test", NULL},
	    {"DNS:mx.test", "mx.test.", NULL},
	    {"DNS:mx.test", NULL, "no name"},
	    {"DNS:mx.test", "", "no name"},
	    {"DNS:mx.test", ".", "no name"},
	    {"DNS:mx.test", ".test", "no name"},
	    {"DNS:mx.test", "xmx.test", "other names (mx.test)"},
	    {"DNS:*.a.test", "mx.a.test", NULL},
	    {"DNS:m*.a.test", "mx.a.test", "other names"},
	    {"DNS:*.a.test", "a.test", "other names"},
	    {"DNS:*.*", "mx.test", "other names"},
	    {"DNS:*", "mx.test", "other names"},
	    {"DNS:x.test,IP:192.0.2.7", "192.0.2.7", NULL},
	    {"DNS:x.test,IP:192.0.2.7", "192.0.2.8", "other names (x.test, 192.0.2.7)"},
	    {"DNS:192.0.2.7", "192.0.2.7", "other names"},
	    {"IP:2001:db8::1", "2001:db8::1", NULL},
	    {"email:mx.test", "mx.test", "other names (none at all)"},
	    /* a name goes on behind a NUL octet (2009), in the common name, too */
	    {"DNS:mx.test" CERT_NUL ".evil.test", "mx.test",
		"other names (mx.test?.evil.test)"},
	    {"DNS:mx.test" CERT_NUL, "mx.test", "other names (mx.test?)"},
	    {"DNS:" CERT_NUL "mx.test", "mx.test", "other names (?mx.test)"},
	    {"DNS:*.a.test" CERT_NUL ".evil.test", "mx.a.test", "other names"},
	    {"DNS:evil.test,DNS:mx.test" CERT_NUL "evil.test", "mx.test", "other names"},
	    {"email:mx.test" CERT_NUL ".evil.test", "mx.test", "none at all"},
	    {"DNS:mx.test" CERT_NUL ".evil.test,DNS:mx.test", "mx.test", NULL},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct tls_server *ts = serve_one(f, CERT_GOOD, cases[i].names);
		struct tls_peer peer = {
		    .name = cases[i].looked_for, .verify = TLS_VERIFY_NAME};
		shake(f, ts, &peer);
		const char *words = cases[i].words;
		if (words == NULL ? !f->client.tls
				  : !f->client.error || f->client.tls ||
					strstr(f->client.trouble, words) == NULL)
			fail_msg("%zu: \"%s\"", i, f->client.trouble);
		assert_int_equal(f->server.got.n, 0);
		end_sides(f);
		tls_server_unref(&ts);
	}
}

static void
test_nobody_is_verified_without_a_name(void **state)
{
	struct fixture *f = *state;
	struct tls_peer peer = {.verify = TLS_VERIFY_NO};
	shake(f, f->ts, &peer);
	assert_true(f->client.tls);
	assert_false(io_tls(f->client.io)->verified);
	assert_non_null(strstr(io_tls(f->client.io)->trouble, "no name"));
}

/* More names than fit any text of ours. */
static void
test_many_names(void **state)
{
	struct fixture *f = *state;
	char names[400] = "DNS:first.test", name[64];
	size_t n = strlen(names);
	for (int i = 0; i < 12; i++)
		n += (size_t)snprintf(
		    names + n, sizeof(names) - n, ",DNS:number-%02d.long.names.test", i);
	struct tls_files files[2] = {
	    {certs_path(f->certs, CERT_OTHER), certs_key(f->certs, CERT_OTHER)}};
	files[1].certificate = certs_for(f->certs, CERT_GOOD, names, &files[1].key);
	struct tls_server *ts =
	    serve(f, &(struct tls_server_options){.file = files, .files = 2});
	for (int i = 0; i < 12; i++) {
		(void)snprintf(name, sizeof(name), "Number-%02d.long.names.TEST", i);
		struct tls_peer peer = {.name = name, .verify = TLS_VERIFY_NAME};
		shake(f, ts, &peer);
		assert_true(f->client.tls);
		end_sides(f);
	}
	tls_server_unref(&ts);
}

/* ---- the other side by OpenSSL: versions, and what it shows */

static enum secure_is
shake_with(struct fixture *f, struct tls_server *ts, struct secure **s,
    const struct secure_wish *w)
{
	int fd[2];
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd), 0);
	side_init(f, &f->server, fd[0]);
	assert_int_equal(io_start_tls_server(f->server.io, ts), OK);
	*s = secure_new(fd[1], w);
	for (int i = 0; i < 20 && secure_shake(*s) == SECURE_SHAKING; i++)
		settle(f);
	settle(f);
	return secure_shake(*s);
}

static void
hang_up(struct fixture *f, struct secure **s)
{
	int fd = secure_fd(*s);
	secure_free(s, true);
	(void)close(fd);
	settle(f);
	end_sides(f);
}

static void
test_versions(void **state)
{
	static const struct {
		const char *version;
		bool modern, legacy;
	} cases[] = {{"1.0", false, true}, {"1.1", false, true}, {"1.2", true, true},
	    {"1.3", true, true}};
	struct fixture *f = *state;
	struct tls_files files[] = {
	    {certs_path(f->certs, CERT_GOOD), certs_key(f->certs, CERT_GOOD)},
	    {certs_path(f->certs, CERT_GOOD_RSA), certs_key(f->certs, CERT_GOOD_RSA)}};
	for (size_t i = 0; i < 2 * COUNT_OF(cases); i++) {
		bool legacy = i % 2 == 1;
		struct tls_server *ts = serve(
		    f, &(struct tls_server_options){.file = files,
			   .files = 2,
			   .profile = legacy ? TLS_PROFILE_LEGACY : TLS_PROFILE_MODERN});
		struct secure *s;
		enum secure_is is = shake_with(f, ts, &s,
		    &(struct secure_wish){.version = span_str(cases[i / 2].version)});
		bool want = legacy ? cases[i / 2].legacy : cases[i / 2].modern;
		assert_int_equal(is == SECURE_DONE, want);
		assert_int_equal(f->server.tls, want);
		assert_int_equal(f->server.error, !want);
		if (!want)
			assert_true(
			    span_starts(span_str(f->server.trouble), SPAN("TLS: ")));
		hang_up(f, &s);
		tls_server_unref(&ts);
	}
}

/* Who asks for one handshake after the other gets none, and what was said stays said. */
static void
test_no_renegotiation(void **state)
{
	struct fixture *f = *state;
	struct secure *s;
	char text[16];
	assert_int_equal(
	    shake_with(f, f->ts, &s, &(struct secure_wish){.version = SPAN("1.2")}),
	    SECURE_DONE);
	assert_int_equal(secure_send(s, "before", 6), 6);
	settle(f);
	assert_true(span_eq(buf_span(&f->server.got), SPAN("before")));
	f->server.tls = false;
	secure_renegotiate(s);
	settle(f);
	assert_int_equal(secure_recv(s, text, sizeof(text)), 0); /* no_renegotiation */
	settle(f);
	assert_false(f->server.tls);
	assert_true(span_eq(buf_span(&f->server.got), SPAN("before")));
	hang_up(f, &s);
}

static void
test_client_certificates(void **state)
{
	struct fixture *f = *state;
	struct tls_look look;
	const struct {
		enum cert shown;
		enum tls_ask ask;
		bool ca, verified;
		const char *trouble;
	} cases[] = {
	    {CERT_CLIENT, TLS_ASK_YES, true, true, ""},
	    {CERT_CLIENT, TLS_ASK_REQUIRE, true, true, ""},
	    {CERT_CLIENT, TLS_ASK_YES, false, false, "unknown authority"},
	    {CERT_EXPIRED, TLS_ASK_YES, true, false, "expired on 2021-01-01"},
	    {CERT_SELF_SIGNED, TLS_ASK_REQUIRE, true, false, "self-signed"},
	};
	struct tls_files file = {
	    certs_path(f->certs, CERT_GOOD), certs_key(f->certs, CERT_GOOD)};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct tls_server *ts =
		    serve(f, &(struct tls_server_options){.file = &file,
				 .files = 1,
				 .ask = cases[i].ask,
				 .client_ca = cases[i].ca ? certs_ca(f->certs) : NULL});
		const char *shown = certs_path(f->certs, cases[i].shown);
		struct secure *s;
		assert_int_equal(shake_with(f, ts, &s,
				     &(struct secure_wish){.certificate = shown,
					 .key = certs_key(f->certs, cases[i].shown)}),
		    SECURE_DONE);
		const struct tls_info *info = io_tls(f->server.io);
		assert_true(info != NULL && info->certificate);
		assert_int_equal(info->verified, cases[i].verified);
		assert_non_null(strstr(info->trouble, cases[i].trouble));
		assert_int_equal(tls_look(shown, &look), OK);
		assert_string_equal(info->fingerprint, look.fingerprint);
		if (cases[i].shown == CERT_CLIENT) {
			assert_string_equal(info->subject, "device.test");
			assert_string_equal(info->email, "device@client.test");
		}
		hang_up(f, &s);
		tls_server_unref(&ts);
	}
}

/* What we know the client by is never the front of a name that goes on behind a NUL. */
static void
test_client_certificate_with_nul(void **state)
{
	static const char names[] =
	    "DNS:device.test" CERT_NUL ".evil.test,email:device@client.test" CERT_NUL
	    "@evil.test";
	struct fixture *f = *state;
	struct secure *s;
	struct tls_files file = {
	    certs_path(f->certs, CERT_GOOD), certs_key(f->certs, CERT_GOOD)};
	struct tls_server *ts = serve(
	    f, &(struct tls_server_options){.file = &file,
		   .files = 1,
		   .ask = TLS_ASK_YES,
		   .client_ca = certs_ca(f->certs)});
	struct secure_wish wish = {0};
	wish.certificate = certs_for(f->certs, CERT_GOOD, names, &wish.key);
	assert_int_equal(shake_with(f, ts, &s, &wish), SECURE_DONE);
	const struct tls_info *info = io_tls(f->server.io);
	assert_true(info->verified); /* by its authority */
	assert_string_equal(info->subject, "device.test?.evil.test");
	assert_string_equal(info->email, "device@client.test?@evil.test");
	hang_up(f, &s);
	tls_server_unref(&ts);
}

static void
test_unique(void **state)
{
	struct fixture *f = *state;
	struct secure *s;
	struct buf ours;
	unsigned char theirs[64];
	buf_init(&ours, 0);
	assert_int_equal(
	    shake_with(f, f->ts, &s, &(struct secure_wish){.version = SPAN("1.2")}),
	    SECURE_DONE);
	assert_int_equal(io_tls_binding(f->server.io, TLS_BIND_UNIQUE, &ours), OK);
	size_t n = secure_unique(s, theirs, sizeof(theirs));
	assert_int_equal(n, 12);
	assert_int_equal(ours.n, n);
	assert_memory_equal(ours.p, theirs, n);
	buf_reset(&ours);
	assert_int_equal(io_tls_binding(f->server.io, TLS_BIND_EXPORTER, &ours), OK);
	assert_int_equal(ours.n, 32);
	buf_clear(&ours);
	hang_up(f, &s);
}

/* ---- what is kept */

static bool
resumes(struct fixture *f, const struct tls_peer *peer)
{
	shake(f, f->ts, peer);
	assert_true(f->client.tls);
	bool yes = io_tls(f->client.io)->resumed;
	assert_true(io_tls(f->client.io)->verified);
	end_sides(f);
	return yes;
}

/* A thousand peers are remembered; the one unused for longest goes. */
static void
test_sessions_are_bounded(void **state)
{
	struct fixture *f = *state;
	char name[32];
	struct tls_peer peer = right;
	for (int i = 0; i <= 1000; i++) {
		(void)snprintf(name, sizeof(name), "peer %d", i);
		peer.session = name;
		assert_false(resumes(f, &peer));
	}
	peer.session = "peer 1";
	assert_true(resumes(f, &peer));
	peer.session = "peer 0";
	assert_false(resumes(f, &peer));
}

static void
copy_file(const char *from, const char *to)
{
	char command[600];
	(void)snprintf(command, sizeof(command), "cp '%s' '%s.new' && mv '%s.new' '%s'",
	    from, to, to, to);
	assert_int_equal(system(command), 0);
}

/* A file that has changed is read again, and what it let pass is not resumed. */
static void
test_authorities_change(void **state)
{
	struct fixture *f = *state;
	char file[200];
	(void)snprintf(file, sizeof(file), "%s/theirs.pem", certs_dir(f->certs));
	struct tls_peer peer = right;
	peer.ca_file = file;
	peer.session = "a";
	shake(f, f->ts, &peer);
	assert_true(f->client.error && !f->client.tls);
	assert_non_null(strstr(f->client.trouble, file));
	end_sides(f);
	copy_file(certs_ca(f->certs), file);
	assert_false(resumes(f, &peer));
	assert_true(resumes(f, &peer));
	copy_file(certs_path(f->certs, CERT_SELF_SIGNED), file);
	shake(f, f->ts, &peer);
	assert_true(f->client.error && !f->client.tls);
	assert_non_null(strstr(f->client.trouble, "unknown authority"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_names, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_nobody_is_verified_without_a_name, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_many_names, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_renegotiation, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_client_certificates, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_client_certificate_with_nul, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_unique, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_sessions_are_bounded, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_authorities_change, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
