/* SPDX-License-Identifier: ISC */
/*
 * scram - SCRAM-SHA-1 (RFC 5802), SCRAM-SHA-256 and -PLUS (RFC 7677, 9266) by
 * libgsasl, which asks for the salt while it steps.
 *
 * A client may know any of the account's secrets, and says which only by its proof.  So
 * when the proof has come, and before libgsasl sees it, it is held against the keys of
 * every secret that serves here; those that it fits are what libgsasl then checks all of
 * the message with.  Always as many keys are tried, in a time that is the same whichever
 * fits, or none.
 *
 * A name that is not there, or that has no keys (an imported hash), runs on with the salt
 * that would be its own if it came to be, and keys that nothing fits: the client cannot
 * tell.
 */
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "relay/signin/exchange.h"

#define GS2_HEADER_PARTS 2 /* "n,a=joe," */

static enum digest
digest_used(const struct exchange *x)
{
	return strcmp(x->mechanism->name, "SCRAM-SHA-1") == 0 ? DIGEST_SHA1
							      : DIGEST_SHA256;
}

/* NULL: not there, or disabled. */
static struct account *
account_named(const struct exchange *x)
{
	struct account *acc = accounts_find(x->engine->accounts, span_str(x->name));
	return acc != NULL && !acc->disabled ? acc : NULL;
}

/* The secret that was proven; NULL: none. */
static const struct secret *
proven(const struct exchange *x, struct span said, struct span proof)
{
	static const struct scram_keys nobody;
	const struct account *acc = account_named(x);
	const struct secret *fitting = NULL;
	for (size_t i = 0; i < SECRETS_MAX; i++) {
		const struct secret *s =
		    acc != NULL && i < acc->secrets ? &acc->secret[i] : NULL;
		bool serves = s != NULL && s->scram.known && secret_serves(s, x->service);
		bool fits = password_proven(
		    digest_used(x), serves ? &s->scram : &nobody, said, proof);
		if (fits && serves && fitting == NULL)
			fitting = s;
	}
	return fitting;
}

static void
set_octets(Gsasl_session *s, Gsasl_property what, const uint8_t *p, size_t n)
{
	struct buf b;
	buf_init(&b, 1024);
	base64_encode((struct span){(const char *)p, n}, &b);
	(void)gsasl_property_set_raw(s, what, b.p, b.n);
	buf_clear(&b);
}

static void
take_name(struct exchange *x, Gsasl_session *s)
{
	const char *name = gsasl_property_fast(s, GSASL_AUTHID);
	if (name != NULL)
		span_copy(span_str(name), x->name, sizeof(x->name));
}

static int
set_salt(struct exchange *x, Gsasl_session *s, Gsasl_property what)
{
	struct scram_keys k;
	char number[16];
	take_name(x, s);
	accounts_salt(x->engine->accounts, account_named(x), span_str(x->name),
	    x->service, NULL, &k);
	(void)snprintf(number, sizeof(number), "%u", k.iterations);
	if (what == GSASL_SCRAM_SALT)
		set_octets(s, what, k.salt, SCRAM_SALT);
	else
		(void)gsasl_property_set(s, what, number);
	return GSASL_OK;
}

static int
set_binding(Gsasl_session *s, Gsasl_property what, const char *data)
{
	if (data == NULL)
		return GSASL_NO_CALLBACK;
	(void)gsasl_property_set(s, what, data);
	return GSASL_OK;
}

int
scram_property(Gsasl *ctx, Gsasl_session *session, Gsasl_property what)
{
	struct exchange *x = gsasl_session_hook_get(session);
	(void)ctx;
	switch ((int)what) {
	case GSASL_SCRAM_SALT:
	case GSASL_SCRAM_ITER: return set_salt(x, session, what);
	case GSASL_CB_TLS_UNIQUE: return set_binding(session, what, x->unique);
	case GSASL_CB_TLS_EXPORTER: return set_binding(session, what, x->exporter);
	default: return GSASL_NO_CALLBACK;
	}
}

/* ---- whose proof is it? */

/* AuthMessage = client-first-bare "," server-first "," client-final-without-proof */
static void
remember_first(struct exchange *x, struct span data, struct span reply)
{
	for (int i = 0; i < GS2_HEADER_PARTS; i++)
		data = span_cut(data, span_find(data, ',') + 1, data.n);
	if (reply.n == 0) /* an empty message: libgsasl waits for one that is not */
		return;
	buf_clear(&x->said);
	buf_init(&x->said, 4 * SIGNIN_DATA_MAX);
	buf_add_span(&x->said, data);
	buf_add_char(&x->said, ',');
	buf_add_span(&x->said, reply);
	buf_add_char(&x->said, ',');
}

/* Where ",p=" begins: the proof is the last of the message (RFC 5802 7). */
static size_t
proof_at(struct span data)
{
	size_t at = data.n;
	while (at > 0 && !span_starts(span_cut(data, at, data.n), SPAN(",p=")))
		at--;
	return at;
}

/* Give libgsasl the keys that this message is to be checked with. */
static const struct secret *
choose(struct exchange *x, struct span data)
{
	size_t at = proof_at(data), n = digest_size(digest_used(x));
	uint8_t none[SHA256_SIZE];
	struct buf proof;
	buf_init(&proof, SIGNIN_DATA_MAX);
	if (base64_decode(span_cut(data, at + sizeof(",p=") - 1, data.n), &proof) != OK)
		buf_reset(&proof);
	buf_add_span(&x->said, span_cut(data, 0, at));
	const struct secret *s = proven(x, buf_span(&x->said), buf_span(&proof));
	bool one = digest_used(x) == DIGEST_SHA1;
	world_random(x->engine->accounts->world, none, sizeof(none));
	const uint8_t *stored = s == NULL ? none
				: one     ? s->scram.stored1
					  : s->scram.stored256;
	const uint8_t *server = s == NULL ? none
				: one     ? s->scram.server1
					  : s->scram.server256;
	set_octets(x->session, GSASL_SCRAM_STOREDKEY, stored, n);
	set_octets(x->session, GSASL_SCRAM_SERVERKEY, server, n);
	buf_clear(&proof);
	return s;
}

static void
succeed(struct exchange *x, const struct secret *s, struct span last)
{
	const char *identity = gsasl_property_fast(x->session, GSASL_AUTHZID);
	struct account *acc = account_named(x);
	if (acc == NULL || s == NULL)
		exchange_wrong(x, SPAN(""), "no such account");
	else if (identity != NULL && identity[0] != '\0' &&
		 !span_ieq(span_str(identity), span_str(acc->name)))
		exchange_wrong(x, SPAN(""), "wants to act for another");
	else
		exchange_done(x, acc, s->label, last);
}

void
scram_step(struct exchange *x, struct span data)
{
	const struct secret *s = NULL;
	char *out = NULL;
	size_t n = 0;
	if (x->session == NULL && gsasl_server_start(x->engine->gsasl,
				      x->mechanism->gsasl, &x->session) != GSASL_OK) {
		exchange_fail(x, 454, "4.7.0", "temporary authentication failure",
		    "libgsasl does not start");
		return;
	}
	gsasl_session_hook_set(x->session, x);
	if (x->said.n > 0)
		s = choose(x, data);
	int result = gsasl_step(x->session, data.p, data.n, &out, &n);
	take_name(x, x->session);
	struct span reply = {out, n};
	if (result == GSASL_NEEDS_MORE) {
		remember_first(x, data, reply);
		exchange_challenge(x, reply);
	} else if (result == GSASL_OK) {
		succeed(x, s, n > 0 ? reply : (struct span){0});
	} else if (result == GSASL_MECHANISM_PARSE_ERROR) {
		exchange_fail(x, 501, "5.5.2", "this is not a message of the mechanism",
		    "malformed");
	} else {
		exchange_wrong(x, data, "wrong password, or no such account");
	}
	gsasl_free(out);
}
