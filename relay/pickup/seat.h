/* SPDX-License-Identifier: ISC */
/*
 * seat (private to pickup and imap) - what a session of any protocol is to the pickup of
 * its thread: one of a list that is drained and swept.  A session that is over has let go
 * of everything large; its struct waits in `gone` for the end of the turn.
 */
#ifndef RELAY_PICKUP_SEAT_H
#define RELAY_PICKUP_SEAT_H

#include "base/list.h"
#include "relay/pickup/pickup.h"

struct seat;

struct seat_kind {
	void (*break_off)(struct seat *s, const char *why); /* at once */
	void (*drain)(struct seat *s);
	void (*end_account)(struct seat *s, struct span owner);
	void (*free)(struct seat *s);
};

struct seat {
	struct link link; /* in pickup->sessions or ->gone */
	struct pickup *pickup;
	const struct seat_kind *kind;
	struct net_addr peer; /* as the census counts it */
};

struct pickup {
	struct pickup_options o;
	struct pickup_counters unseen;
	const struct config *config;
	struct list sessions, gone;
	unsigned sessions_n;
	struct later sweep;
	bool draining;
	void (*on_empty)(void *arg);
	void *on_empty_arg;
};

void seat_take(struct seat *s, struct pickup *p, const struct seat_kind *kind,
    const struct net_addr *peer);
void seat_leave(struct seat *s); /* once; free() comes at the end of the turn */

#endif
