/* SPDX-License-Identifier: ISC */
/* SASL mechanisms of a client, against the server's side of libgsasl and by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <gsasl.h>

#include "base/mem.h"
#include "policy/sasl_client.h"

static const struct sasl_credentials joe = {.user = "joe", .secret = "open sesame"};

/* ---- choice */

static void
test_words(void **state)
{
	(void)state;
	static const struct {
		const char *words;
		unsigned set;
	} cases[] = {
	    {"", 0},
	    {"  ", 0},
	    {"GSSAPI NTLM XOAUTH2", 0},
	    {"plain LOGIN", SASL_IN_CLEAR},
	    {"\tLOGIN  PLAIN ", SASL_IN_CLEAR},
	    {"PLAINER LOGI SCRAM-SHA-256-PLUSX", 0},
	    {"SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 PLAIN LOGIN",
		SASL_ALL},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(sasl_mechanisms(span_str(cases[i].words)), cases[i].set);
}

static void
test_choice(void **state)
{
	(void)state;
	enum sasl_mechanism m;
	assert_false(sasl_choose(0, SASL_ALL, &m));
	assert_false(sasl_choose(SASL_IN_CLEAR, SASL_ALL & ~SASL_IN_CLEAR, &m));
	for (unsigned i = 0; i < SASL_MECHANISMS; i++) {
		assert_true(sasl_choose(SASL_ALL & ~((1u << i) - 1), SASL_ALL, &m));
		assert_int_equal(m, i);
		assert_int_equal(
		    sasl_mechanisms(span_str(sasl_mechanism_name(m))), 1u << i);
	}
}

/* ---- a server */

static int
on_property(Gsasl *g, Gsasl_session *s, Gsasl_property p)
{
	const char *secret = gsasl_callback_hook_get(g);
	if (p == GSASL_PASSWORD &&
	    strcmp(gsasl_property_fast(s, GSASL_AUTHID), "joe") == 0)
		return gsasl_property_set(s, GSASL_PASSWORD, secret);
	if (p == GSASL_SCRAM_ITER)
		return gsasl_property_set(s, p, "4096");
	if (p == GSASL_VALIDATE_SIMPLE)
		return strcmp(gsasl_property_fast(s, GSASL_AUTHID), "joe") == 0 &&
			       strcmp(gsasl_property_fast(s, GSASL_PASSWORD), secret) == 0
			   ? GSASL_OK
			   : GSASL_AUTHENTICATION_ERROR;
	return GSASL_NO_CALLBACK;
}

struct talk {
	bool in;     /* the server has taken it */
	bool proven; /* and the client the server */
	enum err err;
};

static bool
server_step(Gsasl_session *s, struct buf *message, struct talk *t)
{
	char *out = NULL;
	size_t n = 0;
	int rc =
	    gsasl_step(s, message->p != NULL ? message->p : "", message->n, &out, &n);
	buf_reset(message);
	buf_add(message, out, n);
	gsasl_free(out);
	t->in = rc == GSASL_OK;
	return rc == GSASL_NEEDS_MORE || (rc == GSASL_OK && n > 0);
}

static struct talk
talk(enum sasl_mechanism m, const struct sasl_credentials *c, const char *secret,
    Gsasl_property binding, const char *binding_text)
{
	Gsasl *g;
	Gsasl_session *s;
	struct talk t = {0};
	struct buf message = {0}, answer = {0};
	char *copy = mem_strdup(secret);
	assert_int_equal(gsasl_init(&g), GSASL_OK);
	gsasl_callback_set(g, on_property);
	gsasl_callback_hook_set(g, copy);
	assert_int_equal(gsasl_server_start(g, sasl_mechanism_name(m), &s), GSASL_OK);
	if (binding_text != NULL)
		gsasl_property_set(s, binding, binding_text);
	struct sasl_client *sc = sasl_client_new(m, c);
	bool more = sasl_client_first(sc) || server_step(s, &message, &t);
	for (int i = 0; more && i < 10; i++) {
		buf_reset(&answer);
		t.err = sasl_client_step(sc, buf_span(&message), &answer);
		if (t.err != OK)
			break;
		buf_reset(&message);
		buf_add_span(&message, buf_span(&answer));
		more = !t.in && server_step(s, &message, &t);
	}
	t.proven = sasl_client_proven(sc);
	sasl_client_free(&sc);
	assert_null(sc);
	gsasl_finish(s);
	gsasl_done(g);
	mem_free(&copy);
	buf_clear(&message);
	buf_clear(&answer);
	return t;
}

static void
test_each_mechanism(void **state)
{
	(void)state;
	for (unsigned m = SASL_SCRAM_SHA_256; m < SASL_MECHANISMS; m++) {
		struct talk t = talk((enum sasl_mechanism)m, &joe, joe.secret, 0, NULL);
		assert_true(t.in);
		assert_true(t.proven);
		t = talk((enum sasl_mechanism)m, &joe, "something else", 0, NULL);
		assert_false(t.in);
	}
}

static void
test_binding(void **state)
{
	(void)state;
	struct sasl_credentials c = joe;
	c.binding_data = SPAN("\1\2\3");
	static const struct {
		enum sasl_binding kind;
		Gsasl_property property;
	} kinds[] = {{SASL_BIND_UNIQUE, GSASL_CB_TLS_UNIQUE},
	    {SASL_BIND_EXPORTER, GSASL_CB_TLS_EXPORTER}};
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		c.binding = kinds[i].kind;
		struct talk t = talk(
		    SASL_SCRAM_SHA_256_PLUS, &c, c.secret, kinds[i].property, "AQID");
		assert_true(t.in && t.proven);
		/* somebody sits in between */
		t = talk(
		    SASL_SCRAM_SHA_256_PLUS, &c, c.secret, kinds[i].property, "AQIE");
		assert_false(t.in);
	}
}

/* ---- by hand */

static enum err
step(struct sasl_client *sc, const char *challenge, struct buf *answer)
{
	buf_reset(answer);
	return sasl_client_step(sc, span_str(challenge), answer);
}

static void
assert_answer(const struct buf *b, const char *want, size_t n)
{
	assert_int_equal(b->n, n);
	assert_memory_equal(b->p, want, n);
}

static void
test_plain_and_login(void **state)
{
	(void)state;
	struct buf b = {0};
	struct sasl_client *sc = sasl_client_new(SASL_PLAIN, &joe);
	assert_true(sasl_client_first(sc));
	assert_false(sasl_client_proven(sc));
	assert_int_equal(step(sc, "", &b), OK);
	assert_answer(&b, "\0joe\0open sesame", 16);
	assert_int_equal(step(sc, "", &b), ERR_SYNTAX); /* 334 where none may come */
	sasl_client_free(&sc);

	sc = sasl_client_new(SASL_LOGIN, &joe);
	assert_false(sasl_client_first(sc));
	assert_int_equal(step(sc, "Username:", &b), OK);
	assert_answer(&b, "joe", 3);
	assert_int_equal(step(sc, "Password:", &b), OK);
	assert_answer(&b, "open sesame", 11);
	for (int i = 0; i < 30; i++)
		assert_int_equal(step(sc, "And now?", &b), ERR_SYNTAX);
	assert_int_equal(b.n, 0);
	sasl_client_free(&sc);
	buf_clear(&b);
}

static void
test_cram_md5(void **state)
{
	(void)state;
	struct buf b = {0};
	/* RFC 2195 2 */
	struct sasl_credentials tim = {.user = "tim", .secret = "tanstaaftanstaaf"};
	struct sasl_client *sc = sasl_client_new(SASL_CRAM_MD5, &tim);
	assert_int_equal(step(sc, "<1896.697170952@postoffice.reston.mci.net>", &b), OK);
	assert_answer(&b, "tim b913a602c7eda7a495b4e6e7334d3890", 36);
	assert_int_equal(step(sc, "<again>", &b), ERR_SYNTAX);
	sasl_client_free(&sc);
	sc = sasl_client_new(SASL_CRAM_MD5, &tim);
	assert_int_equal(step(sc, "", &b), ERR_SYNTAX);
	sasl_client_free(&sc);
	buf_clear(&b);
}

/* A server that goes on from our nonce with this. */
static enum err
scram_against(const char *salt_and_iterations, const char *last, bool *proven)
{
	struct buf b = {0}, challenge = {0};
	struct sasl_client *sc = sasl_client_new(SASL_SCRAM_SHA_256, &joe);
	assert_int_equal(step(sc, "", &b), OK);
	size_t at = b.n; /* n,,n=joe,r=NONCE */
	while (at > 0 && b.p[at - 1] != '=')
		at--;
	buf_add_str(&challenge, "r=");
	buf_add_span(&challenge, span_cut(buf_span(&b), at, b.n));
	buf_add_str(&challenge, salt_and_iterations);
	buf_reset(&b);
	enum err e = sasl_client_step(sc, buf_span(&challenge), &b);
	if (e == OK && last != NULL)
		e = step(sc, last, &b);
	*proven = sasl_client_proven(sc);
	sasl_client_free(&sc);
	buf_clear(&b);
	buf_clear(&challenge);
	return e;
}

static void
test_scram_server_is_an_enemy(void **state)
{
	(void)state;
	static const struct {
		const char *first, *last;
		enum err err;
	} cases[] = {
	    {"3rfcNHY,s=AAAA,i=4096", NULL, OK}, /* as far as it goes */
	    {"3rfcNHY,s=AAAA,i=4096", "", ERR_SYNTAX},
	    {"3rfcNHY,s=AAAA,i=4096", "v=AAAA", ERR_SYNTAX},
	    {"3rfcNHY,s=AAAA,i=4096", "e=other-error", ERR_SYNTAX},
	    {"3rfcNHY,s=AAAA,i=4096",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", ERR_SYNTAX},
	    {"3rfcNHY,s=AAAA,i=500001", NULL, ERR_RANGE},
	    {"3rfcNHY,s=AAAA,i=4294967295", NULL, ERR_RANGE},
	    {"3rfcNHY,s=AAAA,i=99999999999999999999", NULL, ERR_RANGE},
	    {"3rfcNHY,s=AAAA,i=0", NULL, ERR_RANGE},
	    {"3rfcNHY,s=AAAA,i=", NULL, ERR_RANGE},
	    {"3rfcNHY,s=AAAA", NULL, ERR_SYNTAX},
	    {"", NULL, ERR_SYNTAX},
	    {"3rfcNHY,i=1,s=AAAA,i=999999999", NULL, ERR_SYNTAX},
	    {"3rfcNHY,s=!,i=4096", NULL, ERR_SYNTAX},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		bool proven = true;
		assert_int_equal(
		    scram_against(cases[i].first, cases[i].last, &proven), cases[i].err);
		assert_false(proven);
	}
}

static void
test_bounds(void **state)
{
	(void)state;
	struct buf b = {0}, big = {0};
	for (size_t i = 0; i < SASL_CHALLENGE_MAX; i++)
		buf_add_char(&big, 'x');
	for (unsigned m = 0; m < SASL_MECHANISMS; m++) {
		struct sasl_client *sc = sasl_client_new((enum sasl_mechanism)m, &joe);
		enum err e = sasl_client_step(sc, buf_span(&big), &b);
		assert_int_equal(e, sasl_client_first(sc) ? ERR_SYNTAX : OK);
		sasl_client_free(&sc);
	}
	buf_add_char(&big, 'x');
	for (unsigned m = 0; m < SASL_MECHANISMS; m++) {
		struct sasl_client *sc = sasl_client_new((enum sasl_mechanism)m, &joe);
		assert_int_equal(sasl_client_step(sc, buf_span(&big), &b), ERR_RANGE);
		assert_int_equal(
		    sasl_client_step(sc, (struct span){"a\0b", 3}, &b), ERR_SYNTAX);
		sasl_client_free(&sc);
	}
	buf_clear(&b);
	buf_clear(&big);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_choice),
	    cmocka_unit_test(test_each_mechanism),
	    cmocka_unit_test(test_binding),
	    cmocka_unit_test(test_plain_and_login),
	    cmocka_unit_test(test_cram_md5),
	    cmocka_unit_test(test_scram_server_is_an_enemy),
	    cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
