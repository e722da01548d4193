/* SPDX-License-Identifier: ISC */
/*
 * opening - from the connection to the greeting: TLS where it comes first, the
 * gate, 220; and STARTTLS, which is the same handshake later.
 */
#ifndef RELAY_INGRESS_OPENING_H
#define RELAY_INGRESS_OPENING_H

#include "relay/ingress/session.h"

/* The session is new: greet, or begin the handshake. */
void opening_start(struct session *s);

/* Ask the gate about s->peer, then greet, or say why not and end. */
void opening_greet(struct session *s);

/* Begin the handshake: what is queued goes out first. Input that is there already ends
 * the session, unread. */
void opening_handshake(struct session *s);

void opening_tls(struct session *s); /* it is done */

/* Whether this client's certificate may relay: signed by the authority of clients, or
 * one of those that the configuration names; and only where one is asked for. */
bool opening_certificate(
    const struct config *c, const struct listener_config *l, const struct tls_info *i);
void opening_failed(struct session *s, const char *why);

#endif
