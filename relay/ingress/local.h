/* SPDX-License-Identifier: ISC */
/* local - users of this machine, by the Unix socket of relay-sendmail. */
#ifndef RELAY_INGRESS_LOCAL_H
#define RELAY_INGRESS_LOCAL_H

#include "base/buf.h"
#include "relay/signin/signin.h"

#define LOCAL_PREFIX "local:"

/* "local:alice", without senders; "local:uid 1234" if this user has no name. */
struct account_card *local_card(unsigned uid);

/* The name without its prefix. */
struct span local_user(const struct account_card *c);

/* Who is at the other end of a Unix socket; false: nobody can tell. */
bool local_peer(int fd, unsigned *uid);

#endif
