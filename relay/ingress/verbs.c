/* SPDX-License-Identifier: ISC */
/* verbs - the table, and what is the same for all of its rows. */
#include "relay/ingress/verbs.h"

#include "base/mem.h"
#include "relay/ingress/auth.h"

#define V(name)                          \
	{                                \
		(name), sizeof(name) - 1 \
	}

static const struct verb verb_table[] = {
    {V("RCPT"), VERB_HELLO | VERB_MAIL | VERB_BEFORE_DATA, check_rcpt, proceed_rcpt},
    {V("MAIL"), VERB_HELLO | VERB_NO_MAIL | VERB_SIGNED_IN, check_mail, proceed_mail},
    {V("DATA"), VERB_HELLO | VERB_MAIL | VERB_BEFORE_DATA | VERB_NO_ARGS, check_data,
	proceed_data},
    {V("BDAT"), VERB_CLEAR, check_bdat,
	proceed_bdat}, /* looks after its octets whatever is wrong */
    {V("RSET"), VERB_NO_ARGS | VERB_IDLE, check_nothing, proceed_rset},
    {V("QUIT"), VERB_NO_ARGS | VERB_ALWAYS | VERB_CLEAR, check_nothing, proceed_quit},
    {V("EHLO"), VERB_IDLE | VERB_CLEAR, check_ehlo, proceed_ehlo},
    {V("LHLO"), VERB_IDLE | VERB_CLEAR, check_ehlo, proceed_ehlo},
    {V("HELO"), VERB_IDLE, check_helo, proceed_helo},
    {V("NOOP"), VERB_IDLE | VERB_CLEAR, check_nothing, proceed_noop},
    {V("VRFY"), VERB_IDLE, check_vrfy, proceed_vrfy},
    {V("HELP"), VERB_IDLE | VERB_CLEAR, check_nothing, proceed_help},
    {V("EXPN"), 0, check_not_offered, NULL},
    {V("STARTTLS"), VERB_CLEAR, check_starttls, proceed_starttls},
    {V("AUTH"), 0, check_auth, proceed_auth},
    {V("XCLIENT"), VERB_NO_MAIL | VERB_CLEAR, check_xclient, proceed_xclient},
    {V("ETRN"), 0, check_not_offered, NULL},
    {V("TURN"), 0, check_not_offered, NULL},
};

static const struct verb *
find_verb(struct span name)
{
	for (size_t i = 0; i < COUNT_OF(verb_table); i++) {
		if (span_ieq(verb_table[i].name, name))
			return &verb_table[i];
	}
	return NULL;
}

/* PROXY as the first word: from somebody who is no proxy of ours. */
static bool
is_foreign(const struct session *s, struct span name)
{
	if (s->commands == 1 && span_ieq(name, SPAN("PROXY")))
		return true;
	return door_is_http(name);
}

/* NULL, or why this verb cannot come now. */
static const char *
wrong_order(const struct session *s, unsigned rules)
{
	if ((rules & VERB_HELLO) != 0 && s->hello == HELLO_NONE)
		return "Send EHLO first";
	if ((rules & VERB_MAIL) != 0 && s->tx == NULL)
		return "Send MAIL first";
	if ((rules & VERB_NO_MAIL) != 0 && s->tx != NULL)
		return "MAIL is already given";
	if ((rules & VERB_BEFORE_DATA) != 0 &&
	    (s->tx->receive != NULL || s->tx->chunk_refused))
		return "Not after BDAT";
	return NULL;
}

static bool
must_stop(const struct session *s, unsigned rules)
{
	bool arriving = s->tx != NULL && s->tx->receive != NULL;
	return s->in->draining && !arriving && (rules & VERB_ALWAYS) == 0;
}

static bool
needs_tls(const struct session *s, unsigned rules)
{
	return s->listener != NULL && s->listener->tls_required &&
	       (rules & VERB_CLEAR) == 0 && io_tls(s->io) == NULL;
}

/* A certificate that may relay says as well who it is. */
static bool
needs_sign_in(const struct session *s, unsigned rules)
{
	return s->listener != NULL && s->listener->auth == AUTH_REQUIRED &&
	       (rules & VERB_SIGNED_IN) != 0 && s->card == NULL && !s->certificate;
}

static bool
may_run(struct session *s, const struct verb *v, struct span args)
{
	if (needs_tls(s, v->rules)) {
		session_error(s, 530, "5.7.0", "Must issue a STARTTLS command first");
		return false;
	}
	const char *wrong = wrong_order(s, v->rules);
	if (wrong != NULL) {
		session_error(s, 503, "5.5.1", wrong);
		return false;
	}
	if (needs_sign_in(s, v->rules)) {
		session_error(s, 530, "5.7.0", "Authentication required");
		return false;
	}
	if ((v->rules & VERB_NO_ARGS) != 0 && args.n > 0) {
		session_error(s, 501, "5.5.4", "This command has no arguments");
		return false;
	}
	return true;
}

/* RFC 2033 4.1: LMTP has one greeting of its own, and SMTP has not got that. */
static bool
is_other_protocol(const struct session *s, const struct verb *v)
{
	bool lhlo = span_eq(v->name, SPAN("LHLO"));
	bool hello = v->proceed == proceed_ehlo || v->proceed == proceed_helo;
	return hello && lhlo != session_is_lmtp(s);
}

static void
not_found(struct session *s, struct span name)
{
	if (is_foreign(s, name))
		session_close(s, "4.7.0", "this is a mail server");
	else
		session_error(s, 500, "5.5.2", "Command not recognised");
}

bool
verb_run(struct session *s, struct span line)
{
	struct span name = {0}, args = {0};
	const struct verb *v = command_split(line, &name, &args) ? find_verb(name) : NULL;
	if (v != NULL && is_other_protocol(s, v))
		v = NULL;
	if (must_stop(s, v ? v->rules : 0)) {
		session_close(s, "4.3.2", "shutting down");
		return false;
	}
	if (v == NULL) {
		not_found(s, name);
		return false;
	}
	union command c;
	if (!may_run(s, v, args) || !v->check(s, args, &c))
		return false;
	if (v->proceed == proceed_mail && c.mail.auth && !auth_offered(s)) {
		session_error(s, 555, "5.5.4", "Parameter not recognised: AUTH");
		return false;
	}
	v->proceed(s, &c);
	return (v->rules & VERB_IDLE) != 0 && s->io != NULL;
}
