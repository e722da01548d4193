/* SPDX-License-Identifier: ISC */
/*
 * proxied - connections of proxies that have not yet told whom they bring.
 *
 * A proxy must send its header within three seconds.  Exactly the header is
 * taken from the socket: what follows it (the client's TLS, say) is left to
 * the session.  Until then a proxy's connections count in all, but not as
 * those of one client.
 */
#ifndef RELAY_INGRESS_PROXIED_H
#define RELAY_INGRESS_PROXIED_H

#include "base/net.h"

struct ingress;

/* Takes fd; ingress_serve_told() when the header is there. The hop has been counted. */
void proxied_start(
    struct ingress *in, int fd, const struct net_addr *hop, const char *listener);

/* Close all that wait. */
void proxied_clear(struct ingress *in);

#endif
