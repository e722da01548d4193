/* SPDX-License-Identifier: ISC */
/*
 * shape - how old the queue is, and whose: recipients counted by a name (the
 * recipient's domain, the sender's, the route taken now, or what was answered last)
 * and by age, in columns of which each reaches twice as far as the one before.  What
 * relayd's control and relayctl with a stopped spool have in common.
 */
#ifndef RELAY_CONTROL_SHAPE_H
#define RELAY_CONTROL_SHAPE_H

#include <jansson.h>

#include "base/json.h"
#include "policy/route.h"
#include "spool/message.h"

#define SHAPE_BUCKETS_MAX 24
#define SHAPE_NAMES_MAX 100000 /* whoever comes later is counted as "(others)" */

enum shape_by { SHAPE_DOMAIN, SHAPE_SENDER, SHAPE_ROUTE, SHAPE_ERROR };

struct shape_options {
	enum shape_by by;
	unsigned buckets;                 /* and one more for all that is older */
	int64_t first_ms;                 /* the first one reaches so far */
	bool linear;                      /* all of one width */
	const struct route_table *routes; /* borrowed, for SHAPE_ROUTE */
};

/* "by", "buckets", "bucket" (a duration), "linear".  False: `why` says what is wrong. */
bool shape_read(struct shape_options *o, const json_t *request, struct buf *why);

struct shape;
struct shape *shape_new(const struct shape_options *o, const uint64_t seed[2]);
void shape_free(struct shape **s);

void shape_add(
    struct shape *s, const struct message *m, const struct recipient *r, struct wall now);

/*
 * The sums of all as the first object, then each name, the most recipients first; at
 * most so many (0: all).  Each is built in scratch, and borrowed for the call.
 */
void shape_tell(const struct shape *s, uint64_t limit, struct buf *scratch,
    void (*told)(void *arg, struct span object), void *arg);

#endif
