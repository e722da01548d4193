/* SPDX-License-Identifier: ISC */
/* verb_auth - AUTH: see auth.h. */
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/scan.h"
#include "relay/door.h"
#include "relay/ingress/auth.h"
#include "relay/ingress/verbs.h"

#define MECHANISM_MAX 20 /* RFC 4422 3.1 */

struct auth {
	char mechanism[MECHANISM_MAX + 1]; /* printable, for the log */
	struct account_card *card; /* right, but the client has not yet seen the last data
				    */
};

/* ---- what is offered */

static bool
is_wanted(const struct session *s)
{
	return s->listener != NULL && s->listener->auth != AUTH_NO &&
	       s->in->o.signin != NULL;
}

bool
auth_offered(const struct session *s)
{
	return is_wanted(s) && door_clear_ok(s->listener, s->io, &s->peer);
}

bool
auth_has_name(const struct session *s)
{
	return s->card != NULL && !s->local && s->card->name[0] != '\0';
}

static void
facts_init(const struct session *s, struct door_facts *x)
{
	door_facts_init(x, "smtp", s->config, s->io, &s->peer, !s->xclient_told);
	x->f.any = s->listener->auth == AUTH_ANY;
}

void
auth_mechanisms(const struct session *s, struct buf *out)
{
	if (!auth_offered(s))
		return;
	struct door_facts x;
	facts_init(s, &x);
	signin_mechanisms(&x.f, true, out);
	door_facts_clear(&x);
}

/* ---- the end of an exchange */

static void
failed(const struct session *s, struct span mechanism, const char *name, const char *why)
{
	door_sign_in_failed(
	    session_client(s), mechanism, name, why, &s->in->o.counters->failed_signins);
}

static void
auth_free(struct session *s)
{
	signin_cancel(&s->exchange);
	account_card_free(&s->auth->card);
	mem_free(&s->auth);
}

void
auth_end(struct session *s, const char *why)
{
	if (s->auth == NULL)
		return;
	failed(s, span_str(s->auth->mechanism), "", why);
	auth_free(s);
	session_enter(s, &session_command);
}

/* The client spoils its own exchange. */
static void
spoil(struct session *s, unsigned code, const char *status, const char *text)
{
	auth_end(s, text);
	session_error(s, code, status, text);
}

static void
succeed(struct session *s, struct account_card *card)
{
	s->card = card;
	door_signed_in(
	    session_client(s), card, s->auth->mechanism, &s->in->o.counters->signins);
	auth_free(s);
	session_enter(s, &session_command);
	session_say(s, "235 2.7.0 Signed in");
}

static void
fail(struct session *s, const struct signin_answer *a)
{
	failed(s, span_str(s->auth->mechanism), a->name,
	    a->why != NULL ? a->why : a->verdict.text);
	auth_free(s);
	session_enter(s, &session_command);
	session_refuse(s, &a->verdict);
	if (a->verdict.code == 535 && ++s->auth_failures >= AUTH_FAILURES_MAX &&
	    s->io != NULL)
		session_close(s, "4.7.0", "too many failures to sign in");
}

/* ---- signin answers */

static void
challenge(struct session *s, struct span data)
{
	struct buf line;
	buf_init(&line, 0);
	buf_add_str(&line, "334 ");
	base64_encode(data, &line);
	buf_add_str(&line, "\r\n");
	io_add_span(s->io, buf_span(&line));
	buf_clear(&line);
	session_enter(s, &session_auth);
}

static void
on_answer(void *arg, const struct signin_answer *a)
{
	struct session *s = arg;
	if (a->kind != SIGNIN_CHALLENGE)
		s->exchange = NULL;
	switch (a->kind) {
	case SIGNIN_CHALLENGE: challenge(s, a->data); break;
	case SIGNIN_FAILED: fail(s, a); break;
	case SIGNIN_DONE:
		if (a->last.p == NULL) {
			succeed(s, a->card);
		} else {
			s->auth->card = a->card;
			challenge(s, a->last);
		}
		break;
	}
	session_go_on(s);
}

/* ---- what the client sends */

/* The decoded line; false: it is refused. Nothing is kept of a secret. */
static bool
decode(struct session *s, struct span text, struct buf *out)
{
	buf_init(out, 0);
	if (base64_decode(text, out) != OK) {
		spoil(s, 501, "5.5.2", "Not base64");
		return false;
	}
	if (out->n > SIGNIN_DATA_MAX) {
		spoil(s, 500, "5.5.6", "Response too long");
		return false;
	}
	return true;
}

/* After the last data of a success only an empty response makes sense. */
static void
confirm(struct session *s, struct span line)
{
	if (line.n > 0) {
		spoil(s, 501, "5.5.2", "An empty response was expected");
		return;
	}
	struct account_card *card = s->auth->card;
	s->auth->card = NULL;
	succeed(s, card);
}

static void
respond(struct session *s, struct span line)
{
	struct buf data;
	if (decode(s, line, &data)) {
		signin_respond(
		    s->exchange, data.n > 0 ? buf_span(&data) : (struct span){"", 0});
		session_wait(s);
	}
	buf_wipe(&data);
}

static bool
take_response(struct session *s)
{
	struct span line = {0};
	switch (session_take_line(s, AUTH_LINE_MAX, &line)) {
	case IO_MORE: return false;
	case IO_BARE: auth_end(s, "a response is not a line"); return true;
	case IO_TOO_LONG: spoil(s, 500, "5.5.6", "Response too long"); return true;
	case IO_LINE: break;
	}
	io_forget(s->io);
	if (span_eq(line, SPAN("*")))
		spoil(s, 501, "5.7.0", "Cancelled");
	else if (s->auth->card != NULL)
		confirm(s, line);
	else
		respond(s, line);
	return true;
}

const struct session_state session_auth = {"auth", take_response};

/* ---- the command */

bool
check_auth(struct session *s, struct span args, union command *c)
{
	io_forget(s->io);
	if (!is_wanted(s)) {
		session_error(s, 502, "5.5.1", "Not offered here");
		return false;
	}
	const char *wrong = s->hello == HELLO_NONE ? "Send EHLO first"
			    : s->card != NULL      ? "Already signed in"
			    : s->tx != NULL        ? "Not after MAIL"
						   : NULL;
	if (wrong != NULL) {
		session_error(s, 503, "5.5.1", wrong);
		return false;
	}
	if (args.n == 0) {
		session_error(s, 501, "5.5.4", "Syntax: AUTH mechanism [response]");
		return false;
	}
	if (!door_clear_ok(s->listener, s->io, &s->peer)) {
		failed(s, span_cut(args, 0, span_find(args, ' ')), "", "not without TLS");
		session_error(s, 538, "5.7.11", "Signing in needs TLS here");
		return false;
	}
	c->text = args;
	return true;
}

static bool
is_mechanism_char(unsigned char c)
{
	return is_alnum(c) || c == '-' || c == '_';
}

static bool
take_mechanism(struct scan *s, struct span *out)
{
	return scan_run(s, is_mechanism_char, out) && out->n <= MECHANISM_MAX &&
	       (scan_done(s) || scan_blanks(s));
}

/* RFC 4954 4: "=" is an initial response that is there and empty. */
void
proceed_auth(struct session *s, const union command *c)
{
	struct scan args = scan_over(c->text);
	struct span mechanism;
	if (!take_mechanism(&args, &mechanism)) {
		session_error(s, 504, "5.5.4", "Mechanism not known");
		return;
	}
	s->auth = NEW(struct auth);
	span_copy(mechanism, s->auth->mechanism, sizeof(s->auth->mechanism));
	struct span text = scan_rest(&args), initial = {0};
	struct buf data;
	buf_init(&data, 0);
	bool empty = span_eq(text, SPAN("="));
	if (text.n == 0 || empty || decode(s, text, &data)) {
		if (text.n > 0)
			initial = data.n > 0 ? buf_span(&data) : (struct span){"", 0};
		struct door_facts x;
		facts_init(s, &x);
		s->exchange =
		    signin_begin(s->in->o.signin, mechanism, &x.f, initial, on_answer, s);
		door_facts_clear(&x);
		session_wait(s);
	}
	buf_wipe(&data);
}
