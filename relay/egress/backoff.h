/* SPDX-License-Identifier: ISC */
/*
 * backoff - when to try again, and when to stop (RFC 5321 4.5.4.1).  Pure: the
 * clock and the dice are arguments.
 */
#ifndef RELAY_EGRESS_BACKOFF_H
#define RELAY_EGRESS_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/when.h"
#include "relay/config.h"

/*
 * The delay after the n-th failed attempt (n >= 1): retry.first after the first,
 * retry.interval after each later one, spread by the jitter.  dice: any random
 * number.
 */
int64_t backoff_delay_ms(const struct retry_config *r, uint32_t attempts, uint64_t dice);

/* When a message that arrived then is given up; the null sender's sooner. */
struct wall
backoff_expiry(const struct retry_config *r, struct wall arrival, bool null_sender);

/*
 * A stored due time as it is to be understood now: one that lies further ahead
 * than any delay we give means that the clock went back, and counts as due.
 */
struct wall
backoff_sane_due(const struct retry_config *r, struct wall due, struct wall now);

#endif
