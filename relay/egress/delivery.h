/* SPDX-License-Identifier: ISC */
/*
 * delivery (private to egress) - one job's way through a courier.
 *
 *	load        the message comes with the job or is read from the spool
 *	sort        routes are evaluated anew: moved, held, refused, dropped, or to send
 *	connect     an idle connection; else the route's hosts in order: look up, dial
 *	send        one transaction after another, until no recipient is left
 *	end         the connection is kept or ended, the job goes back
 *
 * delivery.c holds all of it but connect, which is delivery_connect.c.
 *
 * Every recipient of the job gets exactly one result.  A host that fails before
 * it has taken MAIL leads to the next one; what a host says about a message or
 * a recipient is final for this attempt, but for one case: what is refused by
 * policy (5.7.x) over IPv6 is said once more over IPv4, if the route allows it.
 *
 * The order of the hosts is the route's and the DNS's; those that health.h knows
 * to fail come last, and are tried only if there is nobody else.  A handshake of
 * opportunistic TLS that fails leads to the same host again, in the clear.
 */
#ifndef RELAY_EGRESS_DELIVERY_H
#define RELAY_EGRESS_DELIVERY_H

#include "relay/egress/courier.h"
#include "relay/egress/rewritten.h"

#define TRIES_MAX 10 /* connections dialled for one job */

struct delivery {
	struct link link;
	struct courier *courier;
	struct job *job;
	const struct config *config; /* the snapshot in force when the job began */
	const struct route *route;   /* in config */
	struct tls_client *tls;      /* the courier's when the job began */
	struct spool_query *query;
	struct mx_request *mx;
	/* connect */
	struct hop_list list;            /* what has been found so far */
	bool spent[HOP_LIST_MAX];        /* of those: tried already */
	size_t dialled;                  /* connections, for TRIES_MAX */
	size_t via;                      /* the next of route->hop to look up */
	bool via_skipped[ROUTE_HOP_MAX]; /* left for the second round: aside */
	bool second_round;
	struct contact now;               /* who is spoken to */
	bool clear;                       /* without the TLS that the route would have */
	bool only_ipv4;                   /* after a refusal over IPv6 */
	const struct route_hop *ipv4_via; /* only_ipv4: addresses of this one */
	struct client *client;
	bool reused;
	struct verdict trouble; /* why the last host did not do */
	enum job_trouble kind;
	/* send */
	struct mail_rcpt *todo; /* recipients without a result: todo[0..todos) */
	size_t todos;
	struct mail mail; /* the transaction under way: the first of todo */
	struct rewriting_job rewriting;
	struct buf addresses; /* of recipients, as the route rewrites them */
	bool prepared;
	struct instant began;
};

/* ---- delivery_connect.c */

/* The next connection, or delivery_unreachable(). */
void delivery_connect(struct delivery *d);
/* The connection is ready: its host is well. */
void delivery_connected(struct delivery *d);
/* It was lost before any mail was said, because of `why`: go on with the next. */
void delivery_disconnected(struct delivery *d, const struct verdict *why);
/* Refused by policy over IPv6: from now on by IPv4, and at once. */
bool delivery_falls_back(const struct delivery *d, const struct verdict *v);
void delivery_fall_back(struct delivery *d, const struct verdict *why);

/* ---- delivery.c */

void delivery_on_client(void *arg, enum client_event ev);
void delivery_send(struct delivery *d); /* on d->client, which is ready */
void delivery_unreachable(struct delivery *d);
/* The same verdict for all that are left, found without asking a host; the job ends. */
void delivery_settle(struct delivery *d, const struct verdict *v);

#endif
