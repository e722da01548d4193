/* SPDX-License-Identifier: ISC */
/*
 * client_auth - signing in (RFC 4954), once, after the last EHLO.
 *
 *	AUTH   334: the mechanism's next message;  235: ready, if the server has proven
 *	       itself (SCRAM);  4xx, 5xx: lost, in the server's words
 *
 * The mail is never to blame: all that goes wrong here is temporary.  What was
 * secret is wiped as soon as it has been used, and never part of a text.
 */
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/scan.h"
#include "relay/egress/client_private.h"

#define AUTH_LINE_MAX 12288  /* RFC 4954 4: a challenge or an answer, in base64 */
#define AUTH_INITIAL_MAX 512 /* RFC 5321 4.5.3.1.4: with its command and CRLF */
#define AUTH_CHALLENGES_MAX 20

static const struct client_state *on_auth(struct client *c);

static const struct client_state AUTH = {
    "the answer to AUTH", on_auth, CLIENT_TIMEOUT(helo_ms), STAGE_AUTH};

/* ---- what the server has */

void
auth_take_words(struct client *c, struct span words)
{
	struct buf *b = &c->auth.words;
	c->extensions |= EXT_AUTH;
	c->auth.offered |= sasl_mechanisms(words);
	words = span_trim(words);
	if (words.n == 0 || b->n + words.n > AUTH_WORDS_MAX)
		return;
	if (b->n > 0)
		buf_add_char(b, ' ');
	buf_add_span(b, words);
}

void
auth_forget(struct client *c)
{
	buf_reset(&c->auth.words);
	c->auth.offered = 0;
}

/* It is over, one way or the other. */
void
auth_wipe(struct client *c)
{
	sasl_client_free(&c->auth.sasl);
	if (c->wish.secret != NULL)
		explicit_bzero(c->wish.secret, strlen(c->wish.secret));
	mem_free(&c->wish.secret);
	buf_clear(&c->auth.words);
}

/* ---- lost */

static const struct client_state *
auth_lost(struct client *c, unsigned code, const char *status, const char *why)
{
	struct verdict v = verdict_make(
	    code, status, "%s: sign-in as %s: %s", c->peer, c->wish.user, why);
	if (c->state != &AUTH)
		client_enter(c, &AUTH); /* this is the stage where it ends */
	return client_lost(c, &v, true);
}

static const struct client_state *
no_mechanism(struct client *c)
{
	struct span words = buf_span(&c->auth.words);
	char why[VERDICT_TEXT];
	bool clear = (c->auth.offered & SASL_IN_CLEAR) != 0;
	if (!client_has(c, EXT_AUTH) || words.n == 0)
		snprintf(why, sizeof(why), "the server does not offer it%s",
		    c->tls == NULL ? " without TLS" : "");
	else
		snprintf(why, sizeof(why), "the server offers %.*s only, and %s",
		    SPAN_ARG(words),
		    clear ? "TLS is missing" : "none of that can be used here");
	return auth_lost(c, 454, "4.7.0", why);
}

static const struct client_state *
refused(struct client *c)
{
	struct verdict said = reply_verdict(&c->reply), v;
	struct buf words = {0};
	verdict_add(&words, &said);
	v = verdict_make(said.code >= 500 ? 454 : said.code, NULL,
	    "%s: sign-in as %s refused: %.*s", c->peer, c->wish.user,
	    SPAN_ARG(buf_span(&words)));
	v.klass = 4;
	v.subject = said.klass != 0 ? said.subject : 7;
	v.detail = said.klass != 0 ? said.detail : 0;
	buf_clear(&words);
	return client_lost(c, &v, true);
}

/* ---- lines */

/* Base64 of the mechanism's message, behind what stands in c->out; false: too long. */
static bool
add_message(struct client *c, struct span message)
{
	size_t before = c->out.n;
	base64_encode(message, &c->out);
	return c->out.n - before <= AUTH_LINE_MAX && !c->out.overflow;
}

static void
send_line(struct client *c)
{
	buf_add_str(&c->out, "\r\n");
	io_tap_hide(c->io, false, true);
	io_add_span(c->io, buf_span(&c->out));
	io_tap_hide(c->io, false, false);
	buf_wipe(&c->out);
}

static const struct client_state *
answer(struct client *c, struct span challenge)
{
	struct buf message = {0};
	enum err e = sasl_client_step(c->auth.sasl, challenge, &message);
	buf_reset(&c->out);
	if (e == OK && !add_message(c, buf_span(&message)))
		e = ERR_RANGE;
	buf_wipe(&message);
	if (e != OK) {
		buf_wipe(&c->out);
		return auth_lost(c, 454, "4.7.0",
		    e == ERR_RANGE
			? "the server asks for too much"
			: "the server's challenge is wrong, or it cannot prove "
			  "that it knows the secret");
	}
	send_line(c);
	return &AUTH;
}

/* ---- to and fro */

static const struct client_state *
on_challenge(struct client *c)
{
	struct span text = buf_span(&c->reply.text);
	struct buf challenge = {0};
	if (c->reply.lines > 1 || text.n > AUTH_LINE_MAX ||
	    ++c->auth.challenges > AUTH_CHALLENGES_MAX ||
	    base64_decode(span_trim(text), &challenge) != OK) {
		buf_clear(&challenge);
		return client_garbled(c, "not a challenge that may come");
	}
	const struct client_state *next = answer(c, buf_span(&challenge));
	buf_clear(&challenge);
	return next;
}

static const struct client_state *
on_auth(struct client *c)
{
	if (c->reply.code == 334)
		return on_challenge(c);
	if (reply_class(&c->reply) >= 4)
		return refused(c);
	if (c->reply.code != 235)
		return client_garbled(c, "neither 235 nor a challenge");
	if (!sasl_client_proven(c->auth.sasl))
		return auth_lost(c, 454, "4.7.0",
		    "the server has not proven that it knows the secret");
	c->auth.done = true;
	auth_wipe(c);
	return hello_done(c);
}

/* ---- beginning */

/* What ties SCRAM to this TLS connection, if there is such a thing. */
static enum sasl_binding
find_binding(const struct client *c, struct buf *out)
{
	if (c->tls == NULL)
		return SASL_BIND_NONE;
	if (io_tls_binding(c->io, TLS_BIND_EXPORTER, out) == OK && out->n > 0 &&
	    strcmp(c->tls->version, "TLSv1.3") == 0)
		return SASL_BIND_EXPORTER;
	buf_reset(out);
	if (io_tls_binding(c->io, TLS_BIND_UNIQUE, out) == OK && out->n > 0)
		return SASL_BIND_UNIQUE;
	return SASL_BIND_NONE;
}

/* "AUTH PLAIN AGpvZQ...": with the first message, if the client has one and it fits. */
static const struct client_state *
send_auth(struct client *c, enum sasl_mechanism m, const struct sasl_credentials *cred)
{
	struct buf message = {0};
	c->auth.sasl = sasl_client_new(m, cred);
	c->auth.mechanism = sasl_mechanism_name(m);
	buf_reset(&c->out);
	buf_addf(&c->out, "AUTH %s", c->auth.mechanism);
	if (sasl_client_first(c->auth.sasl) &&
	    sasl_client_step(c->auth.sasl, (struct span){0}, &message) == OK) {
		size_t bare = c->out.n;
		buf_add_char(&c->out, ' ');
		base64_encode(buf_span(&message), &c->out);
		if (c->out.n + 2 > AUTH_INITIAL_MAX) { /* it is to be asked for */
			c->out.n = bare;
			sasl_client_free(&c->auth.sasl);
			c->auth.sasl = sasl_client_new(m, cred);
		}
	}
	buf_wipe(&message);
	send_line(c);
	return &AUTH;
}

bool
auth_is_due(const struct client *c)
{
	return c->wish.user != NULL && !c->auth.done;
}

const struct client_state *
auth_start(struct client *c)
{
	struct buf binding = {0};
	struct sasl_credentials cred = {.user = c->wish.user, .secret = c->wish.secret};
	unsigned allowed = SASL_ALL;
	enum sasl_mechanism m;
	if (c->tls == NULL && !c->wish.auth_in_clear)
		allowed &= ~SASL_IN_CLEAR;
	cred.binding = find_binding(c, &binding);
	cred.binding_data = buf_span(&binding);
	if (cred.binding == SASL_BIND_NONE)
		allowed &= ~(1u << SASL_SCRAM_SHA_256_PLUS);
	const struct client_state *next;
	if (sasl_choose(c->auth.offered, allowed, &m))
		next = send_auth(c, m, &cred);
	else
		next = no_mechanism(c);
	buf_wipe(&binding);
	return next;
}
