/* SPDX-License-Identifier: ISC */
/*
 * health - what is known of next hops, for all io threads together.
 *
 * A host is left aside after a failed connection, for a minute, then twice as
 * long each time up to ten.  When that time is over, one delivery may try it
 * (health_claim) while the others still leave it aside; if it works it is as
 * good as any at once, so mail comes back to the first of a list by itself.
 * Being aside never means that nobody is tried: it is for the caller to take
 * such a host when there is no other.
 *
 * Besides, it is remembered of a host for an hour that its TLS does not work
 * (HEALTH_CLEAR: opportunistic TLS is left out), and for a day that it refuses us
 * by policy over IPv6 (HEALTH_IPV4: IPv4 goes first).
 *
 * A name is whatever tells hosts apart: an address with port, "host:port" of a
 * configured next hop, a host's name.  Bounded: what was unused longest is
 * forgotten.  Any thread; each call takes one short lock.
 */
#ifndef RELAY_EGRESS_HEALTH_H
#define RELAY_EGRESS_HEALTH_H

#include <stdbool.h>

#include "base/log.h"
#include "base/span.h"
#include "base/when.h"

#define HEALTH_MAX 10000          /* remembered, all kinds together */
#define HEALTH_ASIDE_MS MINUTE_MS /* after the first failure; doubled per failure ... */
#define HEALTH_ASIDE_MAX_MS (10 * MINUTE_MS) /* ... up to this */
#define HEALTH_PROBE_MS \
	(2 * MINUTE_MS) /* a claim nobody has answered is void after this */
#define HEALTH_CLEAR_MS HOUR_MS
#define HEALTH_IPV4_MS DAY_MS

enum health_fact { HEALTH_CLEAR, HEALTH_IPV4 };

struct health;

/* log: may be NULL. */
struct health *health_new(const uint64_t seed[2], struct log *log);
void health_free(struct health **h);

/*
 * Whether it is to be left for later: it failed lately, or failed before and is
 * being tried by somebody now.
 */
bool health_is_aside(struct health *h, struct span name, struct instant now);

/* About to be tried: until it fails, works, or HEALTH_PROBE_MS are over, a host that has
 * failed before is aside for others. */
void health_claim(struct health *h, struct span name, struct instant now);

/* It could not be used. why: one line for the log, written at the first failure in a row;
 * NULL: nothing is logged. */
void
health_failed(struct health *h, struct span name, struct instant now, const char *why);

/* It took a session. */
void health_worked(struct health *h, struct span name);

/* A fact is learnt (true: it is news), asked for. */
bool health_learn(
    struct health *h, enum health_fact fact, struct span name, struct instant now);
bool health_knows(
    struct health *h, enum health_fact fact, struct span name, struct instant now);

size_t health_count(struct health *h);

#endif
