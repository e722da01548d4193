/* SPDX-License-Identifier: ISC */
/* opening - see opening.h. */
#include "relay/ingress/opening.h"

#include "base/mem.h"
#include "relay/door.h"
#include "relay/ingress/gate.h"

#define PORT_SUBMISSIONS 465 /* RFC 8314: TLS from the first byte */

/* ---- the greeting */

static void
log_connected(const struct session *s)
{
	char client[NET_TEXT], hop[NET_TEXT];
	net_format(&s->peer, client);
	net_format(&s->hop, hop);
	LOG(s->in->o.log, EV_CONNECTED, F_STR("client", client),
	    F_STR("listener", s->listener_name), F_STR("by", hop),
	    F_STR("user", s->local ? s->card->name : "-"));
}

/* Local users are exempt: they have no address that a list could name. */
static bool
is_let_in(struct session *s)
{
	if (s->local)
		return true;
	const char *rule = NULL;
	struct verdict v = gate_connect(s->in, &s->peer, s->listener, &rule);
	if (verdict_ok(&v))
		return true;
	ingress_log_turned_away(
	    s->in, &s->peer, s->listener_name, rule != NULL ? rule : v.text);
	session_verdict(s, &v);
	session_end(s, "turned away");
	return false;
}

void
opening_greet(struct session *s)
{
	log_connected(s);
	if (!is_let_in(s))
		return;
	s->greeted = true;
	if (s->in->draining) {
		session_close(s, "4.3.2", "shutting down");
		return;
	}
	if (!s->local)
		gate_begin(s);
	session_say(s, "220 %s %s relayd", s->config->policy.hostname,
	    session_is_lmtp(s) ? "LMTP" : "ESMTP");
}

/* ---- TLS */

void
opening_start(struct session *s)
{
	if (door_tls_first(s->listener, s->io, PORT_SUBMISSIONS))
		opening_handshake(s);
	else
		opening_greet(s);
}

static bool
take_nothing(struct session *s)
{
	(void)s;
	return false;
}

const struct session_state session_handshake = {"handshake", take_nothing};

void
opening_handshake(struct session *s)
{
	session_enter(s, &session_handshake);
	if (s->tls == NULL)
		opening_failed(s, "there is no certificate");
	else if (io_start_tls_server(s->io, s->tls) != OK)
		session_end(s, "input before the TLS handshake");
}

bool
opening_certificate(
    const struct config *c, const struct listener_config *l, const struct tls_info *i)
{
	if (!i->certificate || l == NULL || l->certificate == CERTIFICATE_NO)
		return false;
	return (c->tls.client_ca != NULL && i->verified) ||
	       name_list_has(&c->tls.client_fingerprints, span_str(i->fingerprint));
}

void
opening_tls(struct session *s)
{
	/* after XCLIENT it is the proxy's, not the client's */
	s->certificate = !s->xclient_told &&
			 opening_certificate(s->config, s->listener, io_tls(s->io));
	door_tls_stands(session_client(s), s->in->o.counters->tls);
	session_forget(s);
	if (!s->greeted)
		opening_greet(s);
	if (s->io != NULL)
		session_go_on(s);
}

void
opening_failed(struct session *s, const char *why)
{
	door_tls_failed(session_client(s), why, &s->in->o.counters->tls_failed);
	session_break(s, "no TLS");
}
