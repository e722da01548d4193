/* SPDX-License-Identifier: ISC */
/*
 * login - who is it, and may he have the maildrop?  USER and PASS (RFC 1939 7) are an
 * exchange PLAIN in other words; AUTH is RFC 5034.  Then the maildrop is taken, and read.
 *
 * An answer tells nobody whether a name exists: what failed is all the same, and comes
 * when sign-in says so.
 */
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/scan.h"
#include "relay/door.h"
#include "relay/pickup/pop.h"

#define MECHANISM_MAX 20

struct opening {
	struct pop *pop;
	struct spool_query *query;
	struct maildrop drop;
	enum err err;
	char owner[MAILBOX_OWNER_MAX + 1];
};

struct signing {
	char mechanism[MECHANISM_MAX + 1];
	struct signin_exchange *exchange;
	struct account_card
	    *card;    /* right, but the client has not seen the last data yet */
	bool expects; /* a line of the client's */
	struct opening *opening;
};

/* ---- what is offered */

bool
login_clear_ok(const struct pop *s)
{
	const struct listener_config *l = s->listener;
	if (l == NULL || s->pickup->o.signin == NULL || s->io == NULL)
		return false;
	return door_clear_ok(l, s->io, &s->peer);
}

static void
facts_init(const struct pop *s, struct door_facts *x)
{
	door_facts_init(x, "pop3", s->config, s->io, &s->peer, true);
}

void
login_mechanisms(const struct pop *s, struct buf *out)
{
	struct door_facts x;
	facts_init(s, &x);
	signin_mechanisms(&x.f, true, out);
	door_facts_clear(&x);
}

/* ---- the end of it */

static void
opening_free(void *arg)
{
	struct opening *o = arg;
	maildrop_clear(&o->drop);
	mem_free(&o);
}

static void
signing_free(struct pop *s)
{
	struct signing *x = s->signing;
	if (x == NULL)
		return;
	signin_cancel(&x->exchange);
	if (x->opening != NULL)
		spool_cancel_query(
		    &x->opening->query); /* opening_free() when it is over */
	account_card_free(&x->card);
	mem_free(&s->signing);
}

void
login_leave(struct pop *s)
{
	if (s->holds)
		drops_leave(s->pickup->o.drops, span_str(s->owner));
	s->holds = false;
}

void
login_end(struct pop *s, const char *why)
{
	if (s->signing == NULL)
		return;
	if (s->io != NULL && s->card == NULL)
		door_sign_in_failed(pop_client(s), span_str(s->signing->mechanism), "",
		    why, &s->pickup->o.counters->failed_logins);
	signing_free(s);
}

static void
forget_card(struct pop *s)
{
	login_leave(s);
	account_card_free(&s->card);
	s->owner[0] = '\0';
}

/* The client spoils its own exchange. */
static void
spoil(struct pop *s, const char *text)
{
	login_end(s, text);
	pop_error(s, "", text);
}

/* ---- the maildrop */

static void
open_run(struct spool_reader *r, void *arg)
{
	struct opening *o = arg;
	o->err = maildrop_read(r, span_str(o->owner), &o->drop);
}

static void
open_done(void *arg)
{
	struct opening *o = arg;
	struct pop *s = o->pop;
	enum err e = o->err;
	s->drop = o->drop;
	o->drop = (struct maildrop){0};
	opening_free(o);
	s->signing->opening = NULL;
	signing_free(s);
	if (e != OK) {
		maildrop_clear(&s->drop);
		forget_card(s);
		pop_error(s, "[SYS/TEMP] ", "the mailbox cannot be read now");
	} else {
		s->state = POP_TRANSACTION;
		s->sequence = 0;
		pop_ok(s, "%u messages (%llu octets)", s->drop.count,
		    (unsigned long long)s->drop.octets);
	}
	pop_go_on(s);
}

static void
open_maildrop(struct pop *s)
{
	struct opening *o = NEW(struct opening);
	o->pop = s;
	span_copy(span_str(s->owner), o->owner, sizeof(o->owner));
	s->signing->opening = o;
	if (!io_paused(s->io))
		pop_wait(s);
	o->query = spool_query_start(s->pickup->o.spool, open_run, open_done,
	    opening_free, o, loop_inbox(s->pickup->o.loop));
}

static void
turn_away(struct pop *s, const char *code, const char *text)
{
	signing_free(s);
	forget_card(s);
	pop_error(s, code, text);
	pop_go_on(s);
}

/* He is who he says. */
static void
succeed(struct pop *s, struct account_card *card)
{
	s->card = card;
	door_signed_in(
	    pop_client(s), card, s->signing->mechanism, &s->pickup->o.counters->logins);
	span_copy(span_str(card->name), s->owner, sizeof(s->owner));
	for (char *c = s->owner; *c != '\0'; c++)
		*c = ascii_lower(*c);
	int64_t delay = pop_settings(s)->login_delay_ms;
	switch (drops_take(
	    s->pickup->o.drops, span_str(s->owner), loop_now(s->pickup->o.loop), delay)) {
	case DROPS_TAKEN:
		s->holds = true;
		open_maildrop(s);
		break;
	case DROPS_IN_USE:
		turn_away(s, "[IN-USE] ", "another session has this mailbox open");
		break;
	case DROPS_TOO_EARLY:
		turn_away(s, "[LOGIN-DELAY] ", "signed in a moment ago; wait a little");
		break;
	}
}

static void
fail(struct pop *s, const struct signin_answer *a)
{
	bool wrong = a->verdict.code == 535;
	door_sign_in_failed(pop_client(s), span_str(s->signing->mechanism), a->name,
	    a->why != NULL ? a->why : a->verdict.text,
	    &s->pickup->o.counters->failed_logins);
	signing_free(s);
	pop_error(s,
	    wrong                            ? "[AUTH] "
	    : verdict_temporary(&a->verdict) ? "[SYS/TEMP] "
					     : "",
	    a->verdict.text);
	if (wrong && ++s->auth_failures >= POP_AUTH_FAILURES && s->io != NULL) {
		pop_line(s, "-ERR [SYS/TEMP] too many failures to sign in");
		pop_end(s, "too many failures to sign in");
	}
}

/* ---- sign-in answers */

static void
challenge(struct pop *s, struct span data)
{
	struct buf line;
	buf_init(&line, 0);
	buf_add_str(&line, "+ ");
	base64_encode(data, &line);
	buf_add_str(&line, "\r\n");
	io_add_span(s->io, buf_span(&line));
	buf_clear(&line);
	s->signing->expects = true;
}

static void
on_answer(void *arg, const struct signin_answer *a)
{
	struct pop *s = arg;
	if (a->kind != SIGNIN_CHALLENGE)
		s->signing->exchange = NULL;
	switch (a->kind) {
	case SIGNIN_CHALLENGE: challenge(s, a->data); break;
	case SIGNIN_FAILED: fail(s, a); break;
	case SIGNIN_DONE:
		if (a->last.p == NULL) {
			succeed(s, a->card);
			return; /* it goes on when the maildrop is there */
		}
		s->signing->card = a->card;
		challenge(s, a->last);
		break;
	}
	pop_go_on(s);
}

static void
begin(struct pop *s, struct span mechanism, struct span initial)
{
	struct door_facts x;
	s->signing = NEW(struct signing);
	span_copy(mechanism, s->signing->mechanism, sizeof(s->signing->mechanism));
	facts_init(s, &x);
	s->signing->exchange =
	    signin_begin(s->pickup->o.signin, mechanism, &x.f, initial, on_answer, s);
	door_facts_clear(&x);
	pop_wait(s);
}

/* ---- USER and PASS */

static bool
may_be_clear(struct pop *s)
{
	if (login_clear_ok(s))
		return true;
	pop_error(s, "[SYS/PERM] ", "signing in needs TLS here: STLS first");
	return false;
}

void
login_user(struct pop *s, struct span args)
{
	if (!may_be_clear(s))
		return;
	mem_free(&s->user);
	s->user = span_dup(args);
	pop_ok(s, "send PASS");
}

void
login_pass(struct pop *s, struct span args)
{
	io_forget(s->io);
	if (!may_be_clear(s))
		return;
	if (s->user == NULL) {
		pop_error(s, "", "USER first");
		return;
	}
	struct buf plain;
	buf_init(&plain, 0);
	buf_add_char(&plain, '\0');
	buf_add_str(&plain, s->user);
	buf_add_char(&plain, '\0');
	buf_add_span(&plain, args);
	mem_free(&s->user);
	begin(s, SPAN("PLAIN"), buf_span(&plain));
	span_copy(SPAN("USER"), s->signing->mechanism, sizeof(s->signing->mechanism));
	buf_wipe(&plain);
}

/* RFC 1939 7: the password itself stays with the client. */
void
login_apop(struct pop *s, struct span args)
{
	size_t blank = span_find(args, ' ');
	struct buf data;
	if (s->timestamp[0] == '\0' || s->pickup->o.signin == NULL) {
		pop_error(s, "", "APOP is not offered here");
		return;
	}
	if (blank == args.n) {
		pop_error(s, "", "Syntax: APOP name digest");
		return;
	}
	buf_init(&data, 0);
	buf_add_span(&data, span_cut(args, 0, blank));
	buf_add_char(&data, '\0');
	buf_add_str(&data, s->timestamp);
	buf_add_char(&data, '\0');
	buf_add_span(&data, span_cut(args, blank + 1, args.n));
	begin(s, SPAN("APOP"), buf_span(&data));
	buf_clear(&data);
}

/* ---- AUTH */

bool
login_expects_line(const struct pop *s)
{
	return s->signing != NULL && s->signing->expects;
}

static void
respond(struct pop *s, struct span line)
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
		pop_wait(s);
	}
	buf_wipe(&data);
}

bool
login_take_response(struct pop *s)
{
	struct span line = {0};
	switch (io_line(s->io, POP_AUTH_LINE_MAX - 2, &line)) {
	case IO_MORE: return false;
	case IO_BARE:
		spoil(s, "a response is a line");
		pop_end(s, "bare LF");
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

/* Not in the standard, but asked for by old clients. */
static void
list_mechanisms(struct pop *s)
{
	struct buf all;
	buf_init(&all, 0);
	if (login_clear_ok(s))
		login_mechanisms(s, &all);
	pop_ok(s, "mechanisms");
	struct scan in = scan_over(buf_span(&all));
	struct span one;
	while (scan_word(&in, &one)) {
		pop_line(s, "%.*s", SPAN_ARG(one));
		scan_skip_blanks(&in);
	}
	pop_line(s, ".");
	buf_clear(&all);
}

void
login_auth(struct pop *s, struct span args)
{
	struct scan in = scan_over(args);
	struct span mechanism, text;
	struct buf data;
	io_forget(s->io);
	if (args.n == 0) {
		list_mechanisms(s);
		return;
	}
	if (!may_be_clear(s))
		return;
	if (!scan_run(&in, is_mechanism_char, &mechanism) ||
	    span_ieq(mechanism, SPAN("APOP")) || mechanism.n > MECHANISM_MAX ||
	    (!scan_done(&in) && !scan_blanks(&in))) {
		pop_error(s, "", "no such mechanism");
		return;
	}
	text = scan_rest(&in);
	buf_init(&data, 0);
	if (text.n == 0)
		begin(s, mechanism, (struct span){NULL, 0});
	else if (span_eq(text, SPAN("="))) /* RFC 5034 4: there, and empty */
		begin(s, mechanism, (struct span){"", 0});
	else if (base64_decode(text, &data) != OK || data.n > SIGNIN_DATA_MAX)
		pop_error(s, "", "not base64, or too long");
	else
		begin(s, mechanism, data.n > 0 ? buf_span(&data) : (struct span){"", 0});
	buf_wipe(&data);
}
