/* SPDX-License-Identifier: ISC */
/*
 * imap - the IMAP server (RFC 9051, and RFC 3501 for clients that have not asked for it),
 * as pickup knows it.  A session is one of the pickup's seats; it ends by itself.
 */
#ifndef RELAY_IMAP_IMAP_H
#define RELAY_IMAP_IMAP_H

#include "relay/pickup/seat.h"

/* Serve a connection (takes it), as pickup_serve(). */
void imap_start(struct pickup *p, int fd, const struct net_addr *hop,
    const struct net_addr *peer, const char *listener);

#endif
