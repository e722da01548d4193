/* SPDX-License-Identifier: ISC */
/*
 * login - who is it?  LOGIN is an exchange PLAIN in other words; AUTHENTICATE is RFC 9051
 * 6.2.2.  An answer tells nobody whether a name exists: what failed is all the same, and
 * comes when sign-in says so.
 */
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "relay/door.h"
#include "relay/imap/patrons.h"
#include "relay/imap/queue.h"
#include "relay/imap/session.h"

#define MECHANISM_MAX 20
#define RESPONSE_MAX (IMAP_LINE_BEFORE - 2)

struct signing {
	char mechanism[MECHANISM_MAX + 1];
	struct signin_exchange *exchange;
	struct account_card
	    *card;    /* right, but the client has not seen the last data yet */
	bool expects; /* a line of the client's */
};

bool
signing_clear_ok(const struct imap *s)
{
	const struct listener_config *l = s->listener;
	if (l == NULL || s->pickup->o.signin == NULL || s->io == NULL)
		return false;
	return door_clear_ok(l, s->io, &s->peer);
}

bool
signing_expects_line(const struct imap *s)
{
	return s->signing != NULL && s->signing->expects;
}

/* ---- the end of it */

static void
signing_free(struct imap *s)
{
	struct signing *x = s->signing;
	if (x == NULL)
		return;
	signin_cancel(&x->exchange);
	account_card_free(&x->card);
	mem_free(&s->signing);
}

void
signing_end(struct imap *s, const char *why)
{
	if (s->signing == NULL)
		return;
	if (s->io != NULL && s->card == NULL)
		door_sign_in_failed(imap_client(s), span_str(s->signing->mechanism), "",
		    why, &s->pickup->o.counters->failed_logins);
	signing_free(s);
}

void
signing_leave(struct imap *s)
{
	queue_leave(s);
	if (s->card != NULL)
		patrons_leave(s->pickup->o.patrons, span_str(s->owner));
}

/* The client spoils its own exchange. */
static void
spoil(struct imap *s, const char *text)
{
	signing_end(s, text);
	imap_bad(s, "", text);
}

/* ---- answers of sign-in */

static void
say_signed_in(struct imap *s)
{
	struct buf code;
	buf_init(&code, 0);
	buf_add_str(&code, "[CAPABILITY ");
	capability_add(s, &code);
	buf_add_str(&code, "] ");
	buf_add_char(&code, '\0');
	imap_ok(s, code.p, "signed in");
	buf_clear(&code);
}

static void
succeed(struct imap *s, struct account_card *card)
{
	span_copy(span_str(card->name), s->owner, sizeof(s->owner));
	for (char *c = s->owner; *c != '\0'; c++)
		*c = ascii_lower(*c);
	if (!patrons_enter(s->pickup->o.patrons, span_str(s->owner),
		s->config->server.account_sessions)) {
		account_card_free(&card);
		signing_free(s);
		s->owner[0] = '\0';
		imap_no(s, "[LIMIT] ", "this account has too many sessions already");
		return;
	}
	s->card = card;
	door_signed_in(
	    imap_client(s), card, s->signing->mechanism, &s->pickup->o.counters->logins);
	signing_free(s);
	s->state = IMAP_IN;
	s->errors = 0;
	queue_enter(s);
	boxes_prepare(s, say_signed_in);
}

static void
fail(struct imap *s, const struct signin_answer *a)
{
	bool wrong = a->verdict.code == 535;
	door_sign_in_failed(imap_client(s), span_str(s->signing->mechanism), a->name,
	    a->why != NULL ? a->why : a->verdict.text,
	    &s->pickup->o.counters->failed_logins);
	signing_free(s);
	if (wrong)
		imap_no(s, "[AUTHENTICATIONFAILED] ", a->verdict.text);
	else if (verdict_temporary(&a->verdict))
		imap_no(s, "[UNAVAILABLE] ", a->verdict.text);
	else if (a->verdict.code == 504)
		imap_no(s, "[CANNOT] ", a->verdict.text);
	else
		imap_bad(s, "", a->verdict.text);
	if (wrong && ++s->auth_failures >= IMAP_AUTH_FAILURES)
		imap_bye(s, "", "too many failures to sign in");
}

static void
challenge(struct imap *s, struct span data)
{
	struct buf line;
	buf_init(&line, 0);
	buf_add_str(&line, "+ ");
	base64_encode(data, &line);
	buf_add_str(&line, "\r\n");
	imap_say(s, buf_span(&line));
	buf_clear(&line);
	s->signing->expects = true;
	imap_go_on(s);
}

static void
on_answer(void *arg, const struct signin_answer *a)
{
	struct imap *s = arg;
	if (a->kind != SIGNIN_CHALLENGE)
		s->signing->exchange = NULL;
	switch (a->kind) {
	case SIGNIN_CHALLENGE: challenge(s, a->data); break;
	case SIGNIN_FAILED: fail(s, a); break;
	case SIGNIN_DONE:
		if (a->last.p == NULL) {
			succeed(s, a->card);
			break;
		}
		s->signing->card = a->card;
		challenge(s, a->last);
		break;
	}
}

static void
begin(struct imap *s, struct span mechanism, struct span initial)
{
	struct door_facts x;
	s->signing = NEW(struct signing);
	span_copy(mechanism, s->signing->mechanism, sizeof(s->signing->mechanism));
	door_facts_init(&x, "imap", s->config, s->io, &s->peer, true);
	s->signing->exchange =
	    signin_begin(s->pickup->o.signin, mechanism, &x.f, initial, on_answer, s);
	door_facts_clear(&x);
	imap_wait(s);
}

/* ---- LOGIN */

static bool
may_be_clear(struct imap *s)
{
	if (signing_clear_ok(s))
		return true;
	imap_no(s, "[PRIVACYREQUIRED] ", "signing in needs TLS here: STARTTLS first");
	return false;
}

void
run_login(struct imap *s, struct lex *l)
{
	struct span name, password;
	struct buf plain;
	if (!lex_space(l) || !lex_astring(l, &name) || !lex_space(l) ||
	    !lex_astring(l, &password) || !lex_done(l)) {
		imap_bad(s, "", "Syntax: LOGIN name password");
		return;
	}
	if (!may_be_clear(s))
		return;
	buf_init(&plain, 0);
	buf_add_char(&plain, '\0');
	buf_add_span(&plain, name);
	buf_add_char(&plain, '\0');
	buf_add_span(&plain, password);
	begin(s, SPAN("PLAIN"), buf_span(&plain));
	span_copy(SPAN("LOGIN"), s->signing->mechanism, sizeof(s->signing->mechanism));
	buf_wipe(&plain);
}

/* ---- AUTHENTICATE */

static void
respond(struct imap *s, struct span line)
{
	struct buf data;
	buf_init(&data, 0);
	if (base64_decode(line, &data) != OK) {
		spoil(s, "not base64");
	} else if (data.n > SIGNIN_DATA_MAX) {
		spoil(s, "response too long");
	} else {
		signin_respond(s->signing->exchange,
		    data.n > 0 ? buf_span(&data) : (struct span){"", 0});
		imap_wait(s);
	}
	buf_wipe(&data);
}

bool
signing_take_response(struct imap *s)
{
	struct span line = {0};
	switch (io_line(s->io, RESPONSE_MAX, &line)) {
	case IO_MORE: return false;
	case IO_BARE:
		spoil(s, "a response is a line");
		imap_bye(s, "", "a response is a line");
		return false;
	case IO_TOO_LONG: spoil(s, "response too long"); return true;
	case IO_LINE: break;
	}
	io_forget(s->io);
	s->signing->expects = false;
	if (span_eq(line, SPAN("*"))) {
		spoil(s, "cancelled");
	} else if (s->signing->card == NULL) {
		respond(s, line);
	} else if (line.n > 0) {
		spoil(s, "an empty response was expected");
	} else {
		struct account_card *card = s->signing->card;
		s->signing->card = NULL;
		succeed(s, card);
	}
	return true;
}

static bool
is_mechanism_char(unsigned char c)
{
	return is_alnum(c) || c == '-' || c == '_';
}

void
run_authenticate(struct imap *s, struct lex *l)
{
	struct span mechanism, text = {NULL, 0};
	struct buf data;
	if (!lex_space(l) || !scan_run(&l->in, is_mechanism_char, &mechanism) ||
	    (!lex_done(l) && !lex_space(l))) {
		imap_bad(s, "", "Syntax: AUTHENTICATE mechanism [initial-response]");
		return;
	}
	if (!may_be_clear(s))
		return;
	if (span_ieq(mechanism, SPAN("APOP")) || mechanism.n > MECHANISM_MAX) {
		imap_no(s, "[CANNOT] ", "no such mechanism");
		return;
	}
	text = scan_rest(&l->in);
	buf_init(&data, 0);
	if (text.n == 0)
		begin(s, mechanism, (struct span){NULL, 0});
	else if (span_eq(text, SPAN("="))) /* RFC 4959: there, and empty */
		begin(s, mechanism, (struct span){"", 0});
	else if (base64_decode(text, &data) != OK || data.n > SIGNIN_DATA_MAX)
		imap_bad(s, "", "not base64, or too long");
	else
		begin(s, mechanism, data.n > 0 ? buf_span(&data) : (struct span){"", 0});
	buf_wipe(&data);
}

/* ---- TLS, and the way out */

void
run_starttls(struct imap *s, struct lex *l)
{
	(void)l;
	if (!args_end(s))
		return;
	if (s->tls == NULL) {
		imap_bad(s, "", "TLS is not offered here");
	} else if (io_tls(s->io) != NULL) {
		imap_bad(s, "", "TLS is active already");
	} else {
		/* what was sent behind the command would be a stranger's words */
		imap_ok(s, "", "begin TLS");
		if (s->io != NULL)
			imap_start_tls(s);
	}
}

void
run_logout(struct imap *s, struct lex *l)
{
	(void)l;
	if (!args_end(s))
		return;
	imap_sayf(s, "BYE until the next time");
	io_addf(s->io, "%s OK done\r\n", s->tag);
	imap_end(s, "LOGOUT");
}
