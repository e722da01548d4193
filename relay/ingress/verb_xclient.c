/* SPDX-License-Identifier: ISC */
/*
 * verb_xclient - XCLIENT: from here on the session is another client's, as if it
 * had just connected, with a greeting of its own.
 */
#include "base/mem.h"
#include "relay/ingress/gate.h"
#include "relay/ingress/opening.h"
#include "relay/ingress/verbs.h"
#include "relay/ingress/xclient.h"

bool
check_xclient(struct session *s, struct span args, union command *c)
{
	struct verdict why = verdict_make(550, "5.7.0", "Not for this client");
	c->text = args;
	if (s->may_xclient && xclient_parse(args, &c->xclient, &why))
		return true;
	session_refuse(s, &why);
	return false;
}

static struct account_card *
card_of(const char *name)
{
	struct account_card *c = NEW(struct account_card);
	c->name = mem_strdup(name);
	c->secret = mem_strdup("");
	return c;
}

/* An address that is not known must not be the trusted one of who told so. */
static void
set_peer(struct session *s, const struct xclient *x)
{
	if (x->addr)
		s->peer = x->address;
	else if (x->addr_unknown)
		s->peer = (struct net_addr){.family = NET_IPV4};
	if (x->port)
		s->peer.port = x->address.port;
}

/* Count the new client in place of the old one. */
static bool
recount(struct session *s)
{
	const struct smtp_server_config *limit = &s->config->server;
	if (!s->uncounted)
		census_leave(s->in->o.census, &s->counted);
	s->counted = s->peer;
	s->uncounted = census_enter(s->in->o.census, &s->peer, limit->connections,
			   limit->client_connections) != CENSUS_OK;
	return !s->uncounted;
}

void
proceed_xclient(struct session *s, const union command *c)
{
	const struct xclient *x = &c->xclient;
	session_forget(s);
	gate_end(s);
	s->xclient_told = true;
	s->certificate = false;
	set_peer(s, x);
	if (!recount(s)) {
		session_close(s, "4.7.0", "too many connections from this client");
		return;
	}
	if (x->login)
		s->card = card_of(x->login_name);
	opening_greet(s);
}
