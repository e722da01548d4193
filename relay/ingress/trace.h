/* SPDX-License-Identifier: ISC */
/* trace - what we write about a message and in front of it; its bytes stay as they came.
 */
#ifndef RELAY_INGRESS_TRACE_H
#define RELAY_INGRESS_TRACE_H

#include "relay/ingress/session.h"

/* Envelope facts (client, helo, protocol, listener, arrival) and the prefix of
 * s->tx->message. */
void trace_complete(struct session *s, const struct header_scan *h);

#endif
