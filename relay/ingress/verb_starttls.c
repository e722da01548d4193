/* SPDX-License-Identifier: ISC */
/*
 * verb_starttls - STARTTLS (RFC 3207).  What a client has sent behind it before
 * our answer may be a stranger's words in its mouth (CVE-2011-0411): the
 * connection ends, and nothing of it is looked at.
 */
#include "relay/ingress/opening.h"
#include "relay/ingress/verbs.h"

bool
check_starttls(struct session *s, struct span args, union command *c)
{
	c->text = args;
	if (s->tls == NULL)
		session_error(s, 502, "5.5.1", "Not offered here");
	else if (io_tls(s->io) != NULL)
		session_error(s, 503, "5.5.1", "TLS is already active");
	else if (args.n > 0)
		session_error(s, 501, "5.5.4", "This command has no arguments");
	else
		return true;
	return false;
}

void
proceed_starttls(struct session *s, const union command *c)
{
	(void)c;
	session_say(s, "220 2.0.0 Ready for TLS");
	session_forget(s);
	opening_handshake(s);
}
