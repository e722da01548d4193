/* SPDX-License-Identifier: ISC */
/*
 * scram - SCRAM-SHA-1 (RFC 5802), SCRAM-SHA-256 and -PLUS (RFC 7677, 9266) by
 * libgsasl, which asks for the salt and the keys while it steps.
 *
 * A name that is not there, or whose secret has no keys (an imported hash),
 * runs on with a salt that is made up, but always the same for the name, and
 * keys that nothing fits: the client cannot tell.
 */
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "relay/signin/exchange.h"

/* The main secret's keys, if it may be used here; else made up. */
static void
keys_of(const struct exchange *x, struct scram_keys *out)
{
	const struct accounts *a = x->engine->accounts;
	struct account *acc = accounts_find(a, span_str(x->name));
	const struct secret *s = acc != NULL ? account_secret(acc, SPAN("")) : NULL;
	if (s != NULL && !acc->disabled && s->scram.known &&
	    secret_serves(s, x->service)) {
		*out = s->scram;
		return;
	}
	uint8_t made[SHA256_SIZE];
	char key[ACCOUNT_NAME_MAX + 1];
	size_t n = strlen(x->name);
	for (size_t i = 0; i <= n; i++)
		key[i] = ascii_lower(x->name[i]);
	hmac_of(DIGEST_SHA256, (struct span){(const char *)a->salt_key, SHA256_SIZE},
	    (struct span){key, n}, made);
	*out = (struct scram_keys){.iterations = SCRAM_ITERATIONS};
	memcpy(out->salt, made, SCRAM_SALT);
	world_random(a->world, out->stored256, SHA256_SIZE);
	world_random(a->world, out->server256, SHA256_SIZE);
	memcpy(out->stored1, out->stored256, SHA1_SIZE);
	memcpy(out->server1, out->server256, SHA1_SIZE);
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
set_key(struct exchange *x, Gsasl_session *s, Gsasl_property what)
{
	struct scram_keys k;
	char number[16];
	bool one = strcmp(x->mechanism->name, "SCRAM-SHA-1") == 0;
	take_name(x, s);
	keys_of(x, &k);
	(void)snprintf(number, sizeof(number), "%u", k.iterations);
	switch (what) {
	case GSASL_SCRAM_SALT: set_octets(s, what, k.salt, SCRAM_SALT); break;
	case GSASL_SCRAM_ITER: (void)gsasl_property_set(s, what, number); break;
	case GSASL_SCRAM_STOREDKEY:
		set_octets(s, what, one ? k.stored1 : k.stored256,
		    one ? SHA1_SIZE : SHA256_SIZE);
		break;
	default:
		set_octets(s, what, one ? k.server1 : k.server256,
		    one ? SHA1_SIZE : SHA256_SIZE);
	}
	explicit_bzero(&k, sizeof(k));
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
	case GSASL_SCRAM_ITER:
	case GSASL_SCRAM_STOREDKEY:
	case GSASL_SCRAM_SERVERKEY: return set_key(x, session, what);
	case GSASL_CB_TLS_UNIQUE: return set_binding(session, what, x->unique);
	case GSASL_CB_TLS_EXPORTER: return set_binding(session, what, x->exporter);
	default: return GSASL_NO_CALLBACK;
	}
}

/* The proof was right; whose was it? */
static void
succeed(struct exchange *x, struct span last)
{
	const char *identity = gsasl_property_fast(x->session, GSASL_AUTHZID);
	struct account *acc = accounts_find(x->engine->accounts, span_str(x->name));
	if (acc == NULL || acc->disabled)
		exchange_wrong(x, SPAN(""), "no such account");
	else if (identity != NULL && identity[0] != '\0' &&
		 !span_ieq(span_str(identity), span_str(acc->name)))
		exchange_wrong(x, SPAN(""), "wants to act for another");
	else
		exchange_done(x, acc, "", last);
}

void
scram_step(struct exchange *x, struct span data)
{
	char *out = NULL;
	size_t n = 0;
	if (x->session == NULL && gsasl_server_start(x->engine->gsasl,
				      x->mechanism->gsasl, &x->session) != GSASL_OK) {
		exchange_fail(x, 454, "4.7.0", "temporary authentication failure",
		    "libgsasl does not start");
		return;
	}
	gsasl_session_hook_set(x->session, x);
	int result = gsasl_step(x->session, data.p, data.n, &out, &n);
	take_name(x, x->session);
	struct span reply = {out, n};
	if (result == GSASL_NEEDS_MORE)
		exchange_challenge(x, reply);
	else if (result == GSASL_OK)
		succeed(x, n > 0 ? reply : (struct span){0});
	else if (result == GSASL_MECHANISM_PARSE_ERROR)
		exchange_fail(x, 501, "5.5.2", "this is not a message of the mechanism",
		    "malformed");
	else
		exchange_wrong(x, data, "wrong password, or no such account");
	gsasl_free(out);
}
