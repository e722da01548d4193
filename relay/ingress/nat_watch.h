/* SPDX-License-Identifier: ISC */
/*
 * nat_watch - does everybody seem to come from one address?
 *
 * Behind a router or a container's gateway that translates addresses, all clients
 * have the gateway's.  Then networks that hold it let everybody relay, and limits of
 * one client are limits of all.  Nobody sees that from inside, except by this: one
 * private address makes nearly all connections, and greets by many names.
 *
 * A window begins with a connection of the address that is looked at, and is over
 * when another address becomes the one (by majority vote), or when it was long
 * enough to tell.  It holds a fixed number of octets, whoever connects.
 */
#ifndef RELAY_INGRESS_NAT_WATCH_H
#define RELAY_INGRESS_NAT_WATCH_H

#include "base/loop.h"
#include "base/net.h"
#include "base/span.h"

#define NAT_WATCH_CONNECTIONS 1000    /* at least so many ... */
#define NAT_WATCH_MS (10 * MINUTE_MS) /* ... in at least this time, */
#define NAT_WATCH_PERCENT 95          /* more than so many of them from one address, */
#define NAT_WATCH_NAMES 20            /* by so many names, tell of a gateway; */
#define NAT_WATCH_QUIET_MS DAY_MS     /* once in this time */

#define NAT_WATCH_NAMES_KEPT 64

struct nat_watch {
	uint64_t seed[2];
	struct net_addr one; /* the address that is looked at; NET_NONE: none */
	struct instant began;
	uint64_t connections, hits;          /* in the window; those of `one` */
	uint64_t name[NAT_WATCH_NAMES_KEPT]; /* hashes of how it greeted */
	size_t names;
	bool said;
	struct instant quiet_until; /* if it has been said */
};

/* Zeroed is ready; a seed of chance keeps hostile names apart. */

/*
 * A session has said EHLO.  suspect: the address is one that a gateway may have
 * (nat_watch_is_private, and no proxy of ours).  True: all connections seem to come
 * from there, and that has not been said for a day.
 */
bool nat_watch_hello(struct nat_watch *w, const struct net_addr *client, bool suspect,
    struct span name, struct instant now);

/* A private address that is not our own: 10/8, 172.16/12, 192.168/16, 100.64/10,
 * link-local, fc00::/7. */
bool nat_watch_is_private(const struct net_addr *a);

struct census;
struct session;

/* The same for the one watch of the process, with its lock (census.c). */
bool census_hello(struct census *c, const struct net_addr *client, bool suspect,
    struct span name, struct instant now);

/* A session's EHLO, before it is answered: counted once, and told if need be. */
void nat_watch_session(struct session *s, struct span name);

#endif
