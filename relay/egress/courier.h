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
#include "relay/egress/hosts.h"
#include "relay/egress/job.h"

#define COURIER_IDLE_MAX 128 /* unused connections kept open per courier */

struct courier {
	struct loop *loop;
	struct log *log;
	struct spool *spool;
	struct resolver *resolver; /* borrowed */
	const struct config *config;
	struct list deliveries;
	struct list idle; /* struct idle, the most recently used first */
	unsigned idle_count;
	struct hosts hosts;
	bool closing;
};

/* ---- idle.c: connections kept for the next job */

/* Keep a ready connection for `dest`, or end it if there are too many. Takes it. */
void idle_keep(struct courier *c, const char *dest, struct client **client);

/* The most recently used connection to `dest`, now the caller's; NULL if there is none.
 */
struct client *idle_take(struct courier *c, const char *dest);

void idle_close_all(struct courier *c, bool politely);

/* ---- delivery.c: one job's way */

struct delivery;

/* Takes the job; posts it back when it is over. */
void delivery_start(struct courier *c, struct job *j);
/* Give up: the job goes back as JOB_CANCELLED. */
void delivery_cancel_all(struct courier *c);

#endif
