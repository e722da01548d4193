/* SPDX-License-Identifier: ISC */
/*
 * auth - AUTH (RFC 4954) between a session and signin: what is offered, and the
 * exchange that is going on.
 *
 * While signin thinks the io is paused.  Each AUTH has a state of its own, and
 * each ends with one line in the log, whatever ended it.
 */
#ifndef RELAY_INGRESS_AUTH_H
#define RELAY_INGRESS_AUTH_H

#include "relay/ingress/session.h"

#define AUTH_FAILURES_MAX 3 /* in one connection */

/* Whether anyone can sign in here and now: with TLS, or where passwords may go without.
 */
bool auth_offered(const struct session *s);

/* Appends "PLAIN LOGIN ..." as far as they make sense for this client now. */
void auth_mechanisms(const struct session *s, struct buf *out);

/* The session has signed in with a name, not only gone through the motions. */
bool auth_has_name(const struct session *s);

/* Give up what is going on, if anything is; why: for the log. No answer is said. */
void auth_end(struct session *s, const char *why);

#endif
