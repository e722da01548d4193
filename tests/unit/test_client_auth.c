/* SPDX-License-Identifier: ISC */
/* The client signs in: at servers that are right, wrong, and hostile. */
#include <gsasl.h>

#include "base/base64.h"
#include "tests/unit/client_rig.h"

#define WHO "451 4.5.0 mx.test[192.0.2.1]:25: "
#define AS "mx.test[192.0.2.1]:25: sign-in as joe: "
#define REFUSED "mx.test[192.0.2.1]:25: sign-in as joe refused: "

static void
hello(struct rig *r, const char *ehlo)
{
	r->options.user = "joe";
	if (r->options.secret == NULL)
		r->options.secret = "open sesame";
	rig_greet(r, ehlo);
}

static void
signed_in(struct rig *r, const char *mechanism)
{
	assert_int_equal(r->ready, 1);
	assert_int_equal(r->lost, 0);
	assert_string_equal(client_mechanism(r->client), mechanism);
	assert_int_equal(client_stage(r->client), STAGE_IDLE);
	assert_null(r->client->wish.secret); /* used, wiped */
	rig_message(r, 1);
	rig_post(r);
	rig_hears(r, "MAIL FROM:<a@me.test>\r\n");
}

/* ---- by hand */

static void
test_plain(void **state)
{
	struct rig *r = *state;
	r->options.auth_in_clear = true;
	hello(r, "250-mx\r\n250 AUTH LOGIN PLAIN\r\n");
	assert_int_equal(client_extensions(r->client), EXT_AUTH);
	rig_hears(r, "AUTH PLAIN AGpvZQBvcGVuIHNlc2FtZQ==\r\n");
	assert_int_equal(client_stage(r->client), STAGE_AUTH);
	assert_null(client_mechanism(r->client));
	assert_int_equal(r->ready, 0);
	rig_says(r, "235 2.7.0 welcome\r\n");
	signed_in(r, "PLAIN");
}

static void
test_login(void **state)
{
	struct rig *r = *state;
	r->options.auth_in_clear = true;
	hello(r, "250-mx\r\n250 auth=login\r\n");
	rig_hears(r, "AUTH LOGIN\r\n");
	rig_says(r, "334 VXNlcm5hbWU6\r\n");
	rig_hears(r, "am9l\r\n");
	rig_says(r, "334 UGFzc3dvcmQ6\r\n");
	rig_hears(r, "b3BlbiBzZXNhbWU=\r\n");
	rig_says(r, "235 welcome\r\n");
	signed_in(r, "LOGIN");
}

static void
test_cram_md5(void **state)
{
	struct rig *r = *state;
	r->options.secret = "tanstaaftanstaaf";
	r->options.user = "tim";
	rig_greet(r, "250-mx\r\n250-AUTH PLAIN\r\n250-AUTH=\r\n250 AUTH cram-md5\r\n");
	rig_hears(r, "AUTH CRAM-MD5\r\n");
	rig_says(r, "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n");
	rig_hears(r, "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n");
	rig_says(r, "235 welcome\r\n");
	signed_in(r, "CRAM-MD5");
}

/* Over 512 octets the first message has to be asked for. */
static void
test_initial_response_at_the_bound(void **state)
{
	(void)state;
	/* "AUTH PLAIN " and CRLF leave 499 octets: 372 of message in 496 of base64 */
	for (size_t n = 366; n <= 369; n++) {
		void *p;
		char secret[400] = {0}, want[600];
		struct buf b = {0}, message = {0};
		rig_setup(&p);
		struct rig *r = p;
		memset(secret, 'x', n);
		r->options.secret = secret;
		r->options.auth_in_clear = true;
		hello(r, "250-mx\r\n250 AUTH PLAIN\r\n");
		buf_add(&message, "\0joe\0", 5);
		buf_add_str(&message, secret);
		base64_encode(buf_span(&message), &b);
		bool fits = n + 5 <= 372;
		snprintf(want, sizeof(want), "AUTH PLAIN%s%.*s\r\n", fits ? " " : "",
		    fits ? (int)b.n : 0, b.p);
		rig_hears(r, want);
		if (!fits) {
			rig_says(r, "334 \r\n");
			snprintf(want, sizeof(want), "%.*s\r\n", (int)b.n, b.p);
			rig_hears(r, want);
		}
		rig_says(r, "235 welcome\r\n");
		signed_in(r, "PLAIN");
		buf_clear(&b);
		buf_clear(&message);
		rig_teardown(&p);
	}
}

/* ---- SCRAM */

static int
on_property(Gsasl *g, Gsasl_session *s, Gsasl_property p)
{
	(void)g;
	if (p == GSASL_PASSWORD)
		return gsasl_property_set(s, p, "open sesame");
	if (p == GSASL_SCRAM_ITER)
		return gsasl_property_set(s, p, "4096");
	return GSASL_NO_CALLBACK;
}

/* What the client said behind `before` is put to the server; it answers. */
static int
serve(struct rig *r, Gsasl_session *s, const char *before)
{
	char line[2000], *out = NULL, reply[2000];
	size_t n = rig_take(r, line, sizeof(line) - 1), skip = strlen(before);
	assert_true(n >= skip + 2 && memcmp(line, before, skip) == 0);
	line[n - 2] = '\0';
	int rc = gsasl_step64(s, line + skip, &out);
	if (out != NULL && (rc == GSASL_NEEDS_MORE || out[0] != '\0')) {
		snprintf(reply, sizeof(reply), "334 %s\r\n", out);
		rig_says(r, reply);
	}
	gsasl_free(out);
	return rc;
}

static void
test_scram(void **state)
{
	(void)state;
	static const char *const names[] = {"SCRAM-SHA-256", "SCRAM-SHA-1"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		void *p;
		char text[100];
		Gsasl *g;
		Gsasl_session *s;
		rig_setup(&p);
		struct rig *r = p;
		gsasl_init(&g);
		gsasl_callback_set(g, on_property);
		gsasl_server_start(g, names[i], &s);
		/* no TLS to bind to: not PLUS */
		snprintf(text, sizeof(text),
		    "250-mx\r\n250 AUTH PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256-PLUS %s\r\n",
		    names[i]);
		hello(r, text);
		snprintf(text, sizeof(text), "AUTH %s ", names[i]);
		assert_int_equal(serve(r, s, text), GSASL_NEEDS_MORE);
		assert_int_equal(serve(r, s, ""), GSASL_OK);
		rig_hears(r, "\r\n"); /* nothing more to say */
		rig_says(r, "235 welcome\r\n");
		signed_in(r, names[i]);
		gsasl_finish(s);
		gsasl_done(g);
		rig_teardown(&p);
	}
}

/* A server that lets us in without having proven itself is not the one. */
static void
test_scram_unproven(void **state)
{
	struct rig *r = *state;
	Gsasl *g;
	Gsasl_session *s;
	gsasl_init(&g);
	gsasl_callback_set(g, on_property);
	gsasl_server_start(g, "SCRAM-SHA-256", &s);
	hello(r, "250-mx\r\n250 AUTH SCRAM-SHA-256\r\n");
	assert_int_equal(serve(r, s, "AUTH SCRAM-SHA-256 "), GSASL_NEEDS_MORE);
	rig_says(r, "235 welcome\r\n");
	rig_lost(r, STAGE_AUTH, "454 4.7.0 " AS "the server has not proven");
	gsasl_finish(s);
	gsasl_done(g);
}

static void
test_scram_impostor(void **state)
{
	struct rig *r = *state;
	Gsasl *g;
	Gsasl_session *s;
	gsasl_init(&g);
	gsasl_callback_set(g, on_property);
	gsasl_server_start(g, "SCRAM-SHA-256", &s);
	r->options.secret = "another";
	hello(r, "250-mx\r\n250 AUTH SCRAM-SHA-256\r\n");
	assert_int_equal(serve(r, s, "AUTH SCRAM-SHA-256 "), GSASL_NEEDS_MORE);
	rig_says(r, "334 dj1BQUFB\r\n"); /* v=AAAA */
	rig_lost(r, STAGE_AUTH, "454 4.7.0 " AS "the server's challenge is wrong");
	gsasl_finish(s);
	gsasl_done(g);
}

/* ---- no mechanism */

static void
test_no_mechanism(void **state)
{
	(void)state;
	static const struct {
		const char *ehlo, *why;
	} cases[] = {
	    {"250 mx\r\n", "the server does not offer it without TLS"},
	    {"250-mx\r\n250 AUTH\r\n", "the server does not offer it without TLS"},
	    {"250-mx\r\n250 AUTH PLAIN LOGIN\r\n",
		"the server offers PLAIN LOGIN only, and TLS is missing"},
	    {"250-mx\r\n250 AUTH NTLM GSSAPI\r\n",
		"the server offers NTLM GSSAPI only, and none of that can be used here"},
	    {"250-mx\r\n250 AUTH SCRAM-SHA-256-PLUS\r\n",
		"the server offers SCRAM-SHA-256-PLUS only, and none of that"},
	    {"250-mx\r\n250 AUTH \xff\x01%s%n\r\n", "the server offers "},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		void *p;
		char want[200];
		rig_setup(&p);
		struct rig *r = p;
		hello(r, cases[i].ehlo);
		snprintf(want, sizeof(want), "454 4.7.0 " AS "%s", cases[i].why);
		rig_lost(r, STAGE_AUTH, want);
		rig_teardown(&p);
	}
}

/* As many lines as a reply may have, all of them AUTH. */
static void
test_huge_ehlo(void **state)
{
	struct rig *r = *state;
	struct buf b = {0};
	for (int i = 0; i < CLIENT_REPLY_LINES - 1; i++)
		buf_addf(&b, "250-AUTH NONSENSE-%d-%d-%d-%d-%d\r\n", i, i, i, i, i);
	buf_add_str(&b, "250 AUTH PLAIN\r\n");
	r->options.auth_in_clear = true;
	buf_add_char(&b, '\0');
	hello(r, b.p);
	rig_hears(r, "AUTH PLAIN AGpvZQBvcGVuIHNlc2FtZQ==\r\n");
	assert_true(r->client->auth.words.n <= AUTH_WORDS_MAX + 1);
	buf_clear(&b);
}

/* ---- refused */

static void
test_refused(void **state)
{
	(void)state;
	static const struct {
		const char *reply, *want;
	} cases[] = {
	    {"535 5.7.8 bad credentials\r\n",
		"454 4.7.8 " REFUSED "535 5.7.8 bad credentials"},
	    {"535 no\r\n", "454 4.7.0 " REFUSED "535 "},
	    {"530 5.7.0 first STARTTLS\r\n", "454 4.7.0 " REFUSED "530 5.7.0 first"},
	    {"534 5.7.9 too weak\r\n", "454 4.7.9 " REFUSED "534 5.7.9 too weak"},
	    {"454 4.7.0 later\r\n", "454 4.7.0 " REFUSED "454 4.7.0 later"},
	    {"432 4.7.12 change it\r\n", "432 4.7.12 " REFUSED "432 4.7.12 change it"},
	    {"421 4.3.2 bye\r\n", "421 4.3.2 bye"},
	    {"250 fine\r\n", WHO "protocol error waiting for the answer to AUTH"},
	    {"220 fine\r\n", WHO "protocol error"},
	    {"354 go\r\n", WHO "protocol error"},
	    {"hello\r\n", WHO "protocol error"},
	    {"334 AAAA\r\n", "454 4.7.0 " AS "the server's challenge is wrong"},
	    {"334 \r\n", "454 4.7.0 " AS "the server's challenge is wrong"},
	    {"334 A\r\n", WHO "protocol error"},
	    {"334 !!!!\r\n", WHO "protocol error"},
	    {"334 AA==AAAA\r\n", WHO "protocol error"},
	    {"334-AAAA\r\n334 AAAA\r\n", WHO "protocol error"},
	    {"235 ok\r\n250 more\r\n", WHO "protocol error"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		void *p;
		rig_setup(&p);
		struct rig *r = p;
		r->options.auth_in_clear = true;
		hello(r, "250-mx\r\n250 AUTH PLAIN\r\n");
		rig_says(r, cases[i].reply);
		rig_lost(r, STAGE_AUTH + (i == COUNT_OF(cases) - 1), cases[i].want);
		assert_null(strstr(client_verdict(r->client)->text, "sesame"));
		assert_null(r->client->wish.secret);
		rig_teardown(&p);
	}
}

static void
test_challenge_over_the_line(void **state)
{
	(void)state;
	for (size_t n = 12284; n <= 12292; n += 4) {
		void *p;
		rig_setup(&p);
		struct rig *r = p;
		char *line = mem_alloc(n + 7);
		memcpy(line, "334 ", 4);
		memset(line + 4, 'Q', n);
		memcpy(line + 4 + n, "\r\n", 3);
		hello(r, "250-mx\r\n250 AUTH CRAM-MD5\r\n");
		rig_hears(r, "AUTH CRAM-MD5\r\n");
		rig_says(r, line);
		mem_free(&line);
		if (n <= 12288) {
			assert_int_equal(r->lost, 0);
			rig_says(r, "235 ok\r\n");
			assert_int_equal(r->ready, 1);
		} else {
			rig_lost(r, STAGE_AUTH, WHO "protocol error");
		}
		rig_teardown(&p);
	}
}

static void
test_silence(void **state)
{
	struct rig *r = *state;
	hello(r, "250-mx\r\n250 AUTH CRAM-MD5\r\n");
	rig_pass(r, 303 * SECOND_MS);
	rig_lost(r, STAGE_AUTH, "451 4.4.2");
}

/* Freed in the middle: nothing may be left (the sanitizer looks). */
static void
test_freed_in_the_middle(void **state)
{
	struct rig *r = *state;
	hello(r, "250-mx\r\n250 AUTH SCRAM-SHA-256 CRAM-MD5\r\n");
	client_free(&r->client);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    RIG_TEST(test_plain),
	    RIG_TEST(test_login),
	    RIG_TEST(test_cram_md5),
	    cmocka_unit_test(test_initial_response_at_the_bound),
	    cmocka_unit_test(test_scram),
	    RIG_TEST(test_scram_unproven),
	    RIG_TEST(test_scram_impostor),
	    cmocka_unit_test(test_no_mechanism),
	    RIG_TEST(test_huge_ehlo),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_challenge_over_the_line),
	    RIG_TEST(test_silence),
	    RIG_TEST(test_freed_in_the_middle),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
