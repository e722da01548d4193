/* SPDX-License-Identifier: ISC */
/*
 * mechanism - the short ones: PLAIN (RFC 4616), LOGIN (as everybody speaks it),
 * EXTERNAL (RFC 4422 A, with the certificate of the TLS connection).
 */
#include <string.h>

#include "relay/signin/exchange.h"

static void
malformed(struct exchange *x)
{
	exchange_fail(
	    x, 501, "5.5.2", "this is not a message of the mechanism", "malformed");
}

/* [authorization identity] NUL name NUL password */
static void
plain_step(struct exchange *x, struct span data)
{
	size_t first = span_find(data, '\0');
	struct span identity = span_cut(data, 0, first);
	struct span rest = span_cut(data, first + 1, data.n);
	size_t second = span_find(rest, '\0');
	struct span name = span_cut(rest, 0, second);
	struct span password = span_cut(rest, second + 1, rest.n);
	if (first == data.n || second == rest.n || name.n == 0 || !password_ok(password))
		malformed(x);
	else if (identity.n > 0 && !span_ieq(identity, name))
		exchange_fail(x, 535, "5.7.8", "authentication credentials invalid",
		    "wants to act for another");
	else
		exchange_check(x, name, password);
}

/* The name as initial response or first answer, then the password. */
static void
login_step(struct exchange *x, struct span data)
{
	if (data.p == NULL && x->step == 0) {
		exchange_challenge(x, SPAN("Username:"));
	} else if (x->name[0] == '\0') {
		if (data.p == NULL || data.n == 0 || data.n > ACCOUNT_NAME_MAX ||
		    memchr(data.p, '\0', data.n) != NULL) {
			malformed(x);
			return;
		}
		span_copy(data, x->name, sizeof(x->name));
		exchange_challenge(x, SPAN("Password:"));
	} else if (password_ok(data)) {
		exchange_check(x, span_str(x->name), data);
	} else {
		malformed(x);
	}
}

/* By its fingerprint; or, if our authority vouches for its names, by one of them. */
static struct account *
account_of_certificate(const struct exchange *x)
{
	const struct accounts *a = x->engine->accounts;
	struct account *acc = NULL;
	if (x->fingerprint != NULL && x->fingerprint[0] != '\0')
		acc = accounts_with_certificate(a, span_str(x->fingerprint));
	if (acc == NULL && x->certificate_verified && x->certificate_email != NULL)
		acc = accounts_find(a, span_str(x->certificate_email));
	if (acc == NULL && x->certificate_verified && x->certificate_name != NULL)
		acc = accounts_find(a, span_str(x->certificate_name));
	return acc;
}

static void
external_step(struct exchange *x, struct span data)
{
	struct account *acc = account_of_certificate(x);
	span_copy(data, x->name, sizeof(x->name));
	if (acc == NULL || acc->disabled)
		exchange_wrong(x, SPAN(""), "no account for this certificate");
	else if (data.n > 0 && !span_ieq(data, span_str(acc->name)))
		exchange_wrong(x, SPAN(""), "the certificate is another account's");
	else
		exchange_done(x, acc, "certificate", (struct span){0});
}

/* What a digest of this timestamp would be, if the client knew this secret. */
static bool
is_digest_of(struct span timestamp, const char *plain, struct span digest)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t octets[MD5_SIZE];
	char text[2 * MD5_SIZE], given[2 * MD5_SIZE];
	struct buf b;
	buf_init(&b, 0);
	buf_add_span(&b, timestamp);
	buf_add_str(&b, plain);
	digest_of(DIGEST_MD5, buf_span(&b), octets);
	buf_wipe(&b);
	if (digest.n != sizeof(given))
		return false;
	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = hex[octets[i / 2] >> (i % 2 ? 0 : 4) & 15];
		given[i] = ascii_lower(digest.p[i]);
	}
	return same_secret(
	    (struct span){text, sizeof(text)}, (struct span){given, sizeof(given)});
}

/* APOP (RFC 1939 7): name NUL timestamp NUL digest.  Only secrets that were made
 * recoverable for it can be asked about. */
static void
apop_step(struct exchange *x, struct span data)
{
	size_t first = span_find(data, '\0');
	struct span name = span_cut(data, 0, first);
	struct span rest = span_cut(data, first + 1, data.n);
	size_t second = span_find(rest, '\0');
	struct span timestamp = span_cut(rest, 0, second);
	struct span digest = span_cut(rest, second + 1, rest.n);
	if (name.n == 0 || name.n > ACCOUNT_NAME_MAX || second == rest.n) {
		malformed(x);
		return;
	}
	span_copy(name, x->name, sizeof(x->name));
	struct account *acc = accounts_find(x->engine->accounts, name);
	for (size_t i = 0; acc != NULL && !acc->disabled && i < acc->secrets; i++) {
		const struct secret *s = &acc->secret[i];
		if (s->plain != NULL && secret_serves(s, x->service) &&
		    is_digest_of(timestamp, s->plain, digest)) {
			exchange_done(x, acc, s->label, (struct span){0});
			return;
		}
	}
	exchange_wrong(x, digest, "wrong password, or none that is recoverable");
}

const struct mechanism mechanisms[] = {
    {"SCRAM-SHA-256-PLUS", false, true, false, true, scram_step, "SCRAM-SHA-256-PLUS",
	NULL},
    {"SCRAM-SHA-256", false, false, false, true, scram_step, "SCRAM-SHA-256", NULL},
    {"SCRAM-SHA-1", false, false, false, true, scram_step, "SCRAM-SHA-1", NULL},
    {"EXTERNAL", false, false, true, true, external_step, NULL, NULL},
    {"PLAIN", true, false, false, true, plain_step, NULL, NULL},
    {"LOGIN", true, false, false, false, login_step, NULL, NULL},
    {.name = "APOP", .step = apop_step, .only = "pop3"},
    {0},
};

const struct mechanism *
mechanism_find(struct span name)
{
	for (const struct mechanism *m = mechanisms; m->name != NULL; m++)
		if (span_ieq(span_str(m->name), name))
			return m;
	return NULL;
}

/* ---- what is offered */

static bool
makes_sense(const struct mechanism *m, const struct signin_facts *f, bool clear_ok)
{
	if (m->only != NULL)
		return false;
	if (f->any)
		return m->clear;
	if (m->plus)
		return f->exporter.n > 0 || f->unique.n > 0;
	if (m->external)
		return f->fingerprint.n > 0;
	return clear_ok || !m->clear;
}

void
signin_mechanisms(const struct signin_facts *f, bool clear_ok, struct buf *out)
{
	const char *between = "";
	for (const struct mechanism *m = mechanisms; m->name != NULL; m++) {
		if (!makes_sense(m, f, clear_ok))
			continue;
		buf_addf(out, "%s%s", between, m->name);
		between = " ";
	}
}
