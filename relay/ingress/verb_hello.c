/* SPDX-License-Identifier: ISC */
/* verb_hello - EHLO and HELO (RFC 5321 4.1.1.1), and what we can (the extensions). */
#include "base/mem.h"
#include "relay/ingress/auth.h"
#include "relay/ingress/nat_watch.h"
#include "relay/ingress/verbs.h"

bool
check_ehlo(struct session *s, struct span args, union command *c)
{
	if (!address_is_helo(args)) {
		session_error(
		    s, 501, "5.5.4", "A domain or an address literal is needed");
		return false;
	}
	c->text = args;
	return true;
}

bool
check_helo(struct session *s, struct span args, union command *c)
{
	return check_ehlo(s, args, c);
}

/* Either one begins anew (RFC 5321 4.1.4). */
static void
greet(struct session *s, struct span name, enum hello hello)
{
	session_reset(s);
	mem_free(&s->helo);
	s->helo = span_dup(name);
	s->hello = hello;
	nat_watch_session(s, name);
}

void
proceed_helo(struct session *s, const union command *c)
{
	greet(s, c->text, HELLO_HELO);
	session_say(s, "250 %s", s->config->policy.hostname);
}

static void
say_auth(struct session *s)
{
	struct buf line;
	buf_init(&line, 0);
	auth_mechanisms(s, &line);
	if (line.n > 0)
		session_say(s, "250-AUTH %.*s", SPAN_ARG(buf_span(&line)));
	buf_clear(&line);
}

void
proceed_ehlo(struct session *s, const union command *c)
{
	const struct smtp_server_config *limit = &s->config->server;
	greet(s, c->text, HELLO_EHLO);
	session_say(s, "250-%s", s->config->policy.hostname);
	session_say(s, "250-PIPELINING");
	session_say(s, "250-SIZE %llu", (unsigned long long)session_message_size(s));
	session_say(s, "250-8BITMIME");
	session_say(s, "250-SMTPUTF8");
	session_say(s, "250-DSN");
	session_say(s, "250-ENHANCEDSTATUSCODES");
	session_say(s, "250-CHUNKING");
	session_say(s, "250-BINARYMIME");
	if (s->tls != NULL && io_tls(s->io) == NULL)
		session_say(s, "250-STARTTLS");
	say_auth(s);
	if (s->may_xclient)
		session_say(s, "250-XCLIENT " XCLIENT_ATTRIBUTES);
	session_say(s, "250 LIMITS RCPTMAX=%u MAILMAX=%u", session_recipients_max(s),
	    limit->messages);
}
