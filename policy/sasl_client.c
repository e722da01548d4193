/* SPDX-License-Identifier: ISC */
#include "policy/sasl_client.h"

#include <gsasl.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/scan.h"

static const struct mechanism {
	const char *name;
	bool scram, client_first;
} mechanisms[SASL_MECHANISMS] = {
    [SASL_SCRAM_SHA_256_PLUS] = {"SCRAM-SHA-256-PLUS", true, true},
    [SASL_SCRAM_SHA_256] = {"SCRAM-SHA-256", true, true},
    [SASL_SCRAM_SHA_1] = {"SCRAM-SHA-1", true, true},
    [SASL_CRAM_MD5] = {"CRAM-MD5", false, false},
    [SASL_PLAIN] = {"PLAIN", false, true},
    [SASL_LOGIN] = {"LOGIN", false, false},
};

struct sasl_client {
	const struct mechanism *mechanism;
	enum sasl_mechanism which;
	unsigned steps; /* challenges answered */
	bool over;      /* nothing more may be asked */
	bool proven;
	/* PLAIN, LOGIN */
	char *user, *secret;
	/* SCRAM, CRAM-MD5 */
	Gsasl *library;
	Gsasl_session *session;
};

/* ---- which */

const char *
sasl_mechanism_name(enum sasl_mechanism m)
{
	return mechanisms[m].name;
}

unsigned
sasl_mechanisms(struct span words)
{
	struct scan s = scan_over(words);
	struct span word;
	unsigned set = 0;
	scan_skip_blanks(&s);
	while (scan_word(&s, &word)) {
		for (unsigned m = 0; m < SASL_MECHANISMS; m++)
			if (span_ieq(word, span_str(mechanisms[m].name)))
				set |= 1u << m;
		scan_skip_blanks(&s);
	}
	return set;
}

bool
sasl_choose(unsigned offered, unsigned allowed, enum sasl_mechanism *out)
{
	for (unsigned m = 0; m < SASL_MECHANISMS; m++) {
		if ((offered & allowed & 1u << m) == 0)
			continue;
		*out = (enum sasl_mechanism)m;
		return true;
	}
	return false;
}

/* ---- libgsasl */

static void
set_property(struct sasl_client *sc, Gsasl_property p, const char *value)
{
	CHECK(gsasl_property_set(sc->session, p, value) == GSASL_OK);
}

/* The library frees its copies without wiping them. */
static void
wipe_property(struct sasl_client *sc, Gsasl_property p)
{
	const char *value = gsasl_property_fast(sc->session, p);
	char *copy;
	if (value == NULL)
		return;
	memcpy(&copy, &value, sizeof(copy));
	explicit_bzero(copy, strlen(copy));
}

static void
set_binding(struct sasl_client *sc, const struct sasl_credentials *c)
{
	char *text = NULL;
	if (c->binding == SASL_BIND_NONE || sc->which != SASL_SCRAM_SHA_256_PLUS)
		return;
	CHECK(gsasl_base64_to(c->binding_data.p, c->binding_data.n, &text, NULL) ==
	      GSASL_OK);
	set_property(sc,
	    c->binding == SASL_BIND_UNIQUE ? GSASL_CB_TLS_UNIQUE : GSASL_CB_TLS_EXPORTER,
	    text);
	gsasl_free(text);
}

static void
library_start(struct sasl_client *sc, const struct sasl_credentials *c)
{
	CHECK(gsasl_init(&sc->library) == GSASL_OK);
	CHECK(gsasl_client_start(sc->library, sc->mechanism->name, &sc->session) ==
	      GSASL_OK);
	set_property(sc, GSASL_AUTHID, c->user);
	set_property(sc, GSASL_PASSWORD, c->secret);
	set_binding(sc, c);
}

static enum err
library_step(struct sasl_client *sc, struct span challenge, struct buf *answer)
{
	char *out = NULL;
	size_t n = 0;
	int rc = gsasl_step(
	    sc->session, challenge.n > 0 ? challenge.p : "", challenge.n, &out, &n);
	if (rc == GSASL_OK || rc == GSASL_NEEDS_MORE)
		buf_add(answer, out, n);
	if (out != NULL) {
		explicit_bzero(out, n);
		gsasl_free(out);
	}
	if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE)
		return ERR_SYNTAX;
	sc->over = sc->proven = rc == GSASL_OK;
	return OK;
}

/* ---- mechanisms */

/* "r=...,s=...,i=4096": how often we are to hash. */
static enum err
check_iterations(struct span challenge)
{
	struct scan s = scan_over(challenge);
	struct span part;
	uint64_t n;
	while (!scan_text(&s, SPAN("i=")))
		if (!scan_until(&s, ',', &part))
			return ERR_SYNTAX;
	return scan_u64(&s, SASL_ITERATIONS_MAX, &n) && n > 0 ? OK : ERR_RANGE;
}

static enum err
scram_step(struct sasl_client *sc, struct span challenge, struct buf *answer)
{
	if (sc->steps == 1) {
		enum err e = check_iterations(challenge);
		if (e != OK)
			return e;
	}
	return library_step(sc, challenge, answer);
}

static void
plain_answer(const struct sasl_client *sc, struct buf *answer)
{
	buf_add_char(answer, '\0');
	buf_add_str(answer, sc->user);
	buf_add_char(answer, '\0');
	buf_add_str(answer, sc->secret);
}

enum err
sasl_client_step(struct sasl_client *sc, struct span challenge, struct buf *answer)
{
	enum err e = OK;
	if (challenge.n > SASL_CHALLENGE_MAX)
		return ERR_RANGE;
	bool first = sc->steps == 0;
	bool nothing_to_say = first && sc->mechanism->client_first && challenge.n > 0;
	if (sc->over || nothing_to_say ||
	    (challenge.n > 0 && memchr(challenge.p, '\0', challenge.n) != NULL))
		return ERR_SYNTAX;
	if (sc->which == SASL_PLAIN) {
		plain_answer(sc, answer);
		sc->over = true;
	} else if (sc->which == SASL_LOGIN) { /* what it asks for is text for people */
		buf_add_str(answer, first ? sc->user : sc->secret);
		sc->over = !first;
	} else if (sc->mechanism->scram) {
		e = scram_step(sc, challenge, answer);
	} else {
		e = challenge.n > 0 ? library_step(sc, challenge, answer) : ERR_SYNTAX;
	}
	sc->steps++;
	if (e != OK)
		sc->over = true;
	return e;
}

bool
sasl_client_first(const struct sasl_client *sc)
{
	return sc->mechanism->client_first;
}

bool
sasl_client_proven(const struct sasl_client *sc)
{
	return sc->mechanism->scram ? sc->proven : sc->steps > 0;
}

/* ---- life */

struct sasl_client *
sasl_client_new(enum sasl_mechanism m, const struct sasl_credentials *credentials)
{
	struct sasl_client *sc = NEW(struct sasl_client);
	sc->which = m;
	sc->mechanism = &mechanisms[m];
	if (m == SASL_PLAIN || m == SASL_LOGIN) {
		sc->user = mem_strdup(credentials->user);
		sc->secret = mem_strdup(credentials->secret);
	} else {
		library_start(sc, credentials);
	}
	return sc;
}

void
sasl_client_free(struct sasl_client **scp)
{
	struct sasl_client *sc = *scp;
	if (sc == NULL)
		return;
	if (sc->session != NULL) {
		wipe_property(sc, GSASL_PASSWORD);
		wipe_property(sc, GSASL_SCRAM_SALTED_PASSWORD);
		gsasl_finish(sc->session);
	}
	if (sc->library != NULL)
		gsasl_done(sc->library);
	if (sc->secret != NULL)
		explicit_bzero(sc->secret, strlen(sc->secret));
	mem_free(&sc->user);
	mem_free(&sc->secret);
	mem_free(scp);
}
