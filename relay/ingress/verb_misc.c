/* SPDX-License-Identifier: ISC */
/* verb_misc - the verbs that need no more than an answer. */
#include "relay/ingress/verbs.h"

bool
check_nothing(struct session *s, struct span args, union command *c)
{
	(void)s;
	c->text = args;
	return true;
}

bool
check_not_offered(struct session *s, struct span args, union command *c)
{
	(void)args, (void)c;
	session_error(s, 502, "5.5.1", "Not offered here");
	return false;
}

void
proceed_rset(struct session *s, const union command *c)
{
	(void)c;
	session_reset(s);
	session_say(s, "250 2.0.0 Ok");
}

void
proceed_noop(struct session *s, const union command *c)
{
	(void)c;
	session_say(s, "250 2.0.0 Ok");
}

bool
check_vrfy(struct session *s, struct span args, union command *c)
{
	c->text = args;
	if (args.n > 0)
		return true;
	session_error(s, 501, "5.5.4", "Syntax: VRFY address");
	return false;
}

/* The same for all, known or not. */
void
proceed_vrfy(struct session *s, const union command *c)
{
	(void)c;
	session_say(s, "252 2.5.0 Cannot verify, but will take mail that may come here");
}

void
proceed_help(struct session *s, const union command *c)
{
	(void)c;
	session_say(s, "214 2.0.0 EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP "
		       "VRFY HELP QUIT (RFC 5321)");
}

void
proceed_quit(struct session *s, const union command *c)
{
	(void)c;
	session_say(s, "221 2.0.0 %s closing connection", s->config->policy.hostname);
	session_end(s, "quit");
}
