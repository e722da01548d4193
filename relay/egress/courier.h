/* SPDX-License-Identifier: ISC */
/*
 * courier (private to egress) - what a courier holds: the deliveries under way,
 * the connections that wait for the next one, and what it knows of hosts.
 */
#ifndef RELAY_EGRESS_COURIER_H
#define RELAY_EGRESS_COURIER_H

#include "base/list.h"
#include "base/map.h"
#include "relay/egress/client.h"
#include "relay/egress/egress.h"
#include "relay/egress/hops.h"
#include "relay/egress/job.h"

#define COURIER_IDLE_MAX 128 /* unused connections kept open per courier */

struct courier {
	struct loop *loop;
	struct log *log;
	struct spool *spool;
	struct resolver *resolver; /* borrowed */
	const struct config *config;
	struct directory *directory;      /* borrowed; NULL: nobody has a mailbox */
	struct egress_counters *counters; /* borrowed; NULL: nobody counts */
	struct list deliveries;
	struct list idle; /* struct idle, the most recently used first */
	unsigned idle_count;
	struct tls_client *tls; /* by config->tls.ca; NULL: there is none to be had */
	struct list old_tls; /* those of earlier configurations that are still in use */
	bool closing;
};

/* ---- idle.c: connections kept for the next job */

/* Whom a connection leads to. */
struct contact {
	char host[MX_NAME_MAX];
	struct net_addr addr;
	size_t rank; /* place in the route's list of next hops; 0 for those by MX */
};

/* Keep a ready connection for `dest`, or end it if there are too many. Takes it. */
void idle_keep(struct courier *c, const char *dest, const struct contact *who,
    struct client **client);

/*
 * The most recently used connection to `dest` whose rank is at most max_rank, now the
 * caller's, and where it leads; NULL if there is none.  They all were made by the
 * configuration in force: a reload ends those that are unused, and those in use are
 * not kept.
 */
struct client *
idle_take(struct courier *c, const char *dest, size_t max_rank, struct contact *who);

void idle_close_all(struct courier *c, bool politely);

/* ---- delivery.c: one job's way */

struct delivery;

/* Takes the job; posts it back when it is over. */
void delivery_start(struct courier *c, struct job *j);
/* Give up: the job goes back as JOB_CANCELLED. */
void delivery_cancel_all(struct courier *c);
/* Is one under way that makes its connections by this TLS? */
bool delivery_uses(const struct courier *c, const struct tls_client *tls);

#endif
