/* SPDX-License-Identifier: ISC */
/*
 * hosts - what is known of next hops by address: after a failed connection a
 * host is left aside for a while, longer each time, if there is another one to
 * try.  It is never a reason to try nobody.  Pure: `now` is an argument.
 */
#ifndef RELAY_EGRESS_HOSTS_H
#define RELAY_EGRESS_HOSTS_H

#include "base/list.h"
#include "base/map.h"
#include "base/net.h"
#include "base/when.h"

#define HOSTS_MAX 10000          /* remembered; the longest unused is forgotten first */
#define HOSTS_ASIDE_MS MINUTE_MS /* after the first failure; doubled per failure ... */
#define HOSTS_ASIDE_MAX_MS (10 * MINUTE_MS) /* ... up to this */

struct hosts {
	struct map map;
	struct list by_use;
	size_t n;
};

void hosts_init(struct hosts *h, const uint64_t seed[2]);
void hosts_clear(struct hosts *h);
void hosts_failed(struct hosts *h, const struct net_addr *a, struct instant now);
void hosts_worked(struct hosts *h, const struct net_addr *a);
bool hosts_is_aside(struct hosts *h, const struct net_addr *a, struct instant now);

#endif
