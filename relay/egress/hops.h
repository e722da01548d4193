/* SPDX-License-Identifier: ISC */
/*
 * hops - from a route to addresses, and from an address to a connection.
 * Deliveries and probes go the same way by these functions.
 *
 *	hop_flags(route, via)            how to look a host up
 *	hop_list_answer(&l, route, via, answer)   the addresses that are to be tried
 *	client_options_for(&t, ...)      all that client_new() wants for one of them
 *	client_new(loop, &t.options, ...)
 */
#ifndef RELAY_EGRESS_HOPS_H
#define RELAY_EGRESS_HOPS_H

#include "policy/route.h"
#include "relay/config.h"
#include "relay/egress/client.h"
#include "resolver/resolver.h"

#define HOP_LIST_MAX (MX_HOST_MAX * MX_ADDR_MAX)

/* One address to try. */
struct next_hop {
	char host[MX_NAME_MAX];
	struct net_addr addr;        /* with port */
	const struct route_hop *via; /* as the route names it (borrowed); NULL: by MX */
};

struct hop_list {
	struct next_hop *hop; /* owned */
	size_t n;
};

void hop_list_clear(struct hop_list *l);

/* Does the route name its next hops (via, lmtp), or are they asked for (MX)? */
bool route_names_hops(const struct route *r);

/* RESOLVE_* for a named next hop (via), or for the MX records of a domain (NULL): the
 * families that the route leaves out are not asked for. */
unsigned hop_flags(const struct route *r, const struct route_hop *via);

/*
 * Append what was found for `via` (NULL: MX), each with its port, at most
 * HOP_LIST_MAX in all.  The order of the hosts stays; within a host the family
 * that the route prefers comes first.
 */
void hop_list_answer(struct hop_list *l, const struct route *r,
    const struct route_hop *via, const struct mx_answer *a);

/* A next hop that is written as an address. */
void hop_list_literal(struct hop_list *l, const struct route_hop *via);

/*
 * The options of a connection to one address.  The struct is their owner: it must
 * not be moved or go before client_new() has returned; route, hop and config
 * must stay as long.
 */
struct hop_target {
	struct client_options options;
	struct tls_peer peer;
	struct net_addr from, socks;
	char session[MX_NAME_MAX + 128];
};
void client_options_for(struct hop_target *t, const struct config *config,
    const struct route *r, const char *host, const struct net_addr *addr,
    const struct route_hop *via, struct tls_client *tls, struct log *log);

#endif
