/* SPDX-License-Identifier: ISC */
/*
 * gate - what policy has to say between the verbs: who may connect, how often,
 * and what block lists know of strangers.
 *
 *	gate_connect()    before the greeting; may be asked again when PROXY or XCLIENT
 *	                  has told another address
 *	gate_begin()      the client's address is final: block lists are asked, if any
 *	                  apply; the session goes on meanwhile
 *	gate_wait()       RCPT (verb_rcpt.c) needs the answers: true, and the session
 *	                  waits (session_wait); it goes on by itself
 *	gate_end()        the session is over
 */
#ifndef RELAY_INGRESS_GATE_H
#define RELAY_INGRESS_GATE_H

#include "relay/ingress/session.h"

/*
 * May this client be on this listener at all: its list of clients, rules that
 * name only clients and listeners, the limits on connections.  250 (counted), or the
 * answer that takes the greeting's place (554 5.7.1, 421 4.7.0) and *rule.
 */
struct verdict gate_connect(struct ingress *in, const struct net_addr *peer,
    const struct listener_config *l, const char **rule);

void gate_begin(struct session *s);
void gate_end(struct session *s);

/* The answers are not all there yet: the session has been told to wait; run the verb
 * again when it goes on (again(s) is called then instead of the next input). */
bool gate_wait(struct session *s, void (*again)(struct session *s));

/* The arguments of the verb that waits, for again(). */
void gate_keep(struct session *s, struct span args);
struct span gate_kept(const struct session *s);

/* A list does not serve our name server: true once an hour for the list at this place
 * (census.c). */
bool census_may_note(struct census *c, size_t list, struct instant now);

/* What the lists said; empty: nothing against this client. */
struct span gate_listed(const struct session *s, bool *defer);

/* Count one message of this sender, or n recipients; 250, or 450 4.7.0 with when to come
 * again, and the limit's name in *rule. */
struct verdict gate_message(struct session *s, struct span sender, const char **rule);
struct verdict gate_recipient(struct session *s, struct span sender, const char **rule);

#endif
