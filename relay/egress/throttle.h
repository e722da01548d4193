/* SPDX-License-Identifier: ISC */
/*
 * throttle - the rates of routes (policy/rate.h), for all threads together: the
 * scheduler asks before it hands out a job.
 *
 * A lane is one route with its counters.  They outlive the process as marks of
 * the spool, which are written ahead: before a message goes, the spool holds a
 * counter that has it in already, so that a crash never lets more out than the
 * rate says.  A write is good for several messages (twice as many each time when
 * they come fast, a quarter of the allowance at most), so there is about one a
 * second; what was written for messages that never went is lost by a crash, and
 * corrected at a graceful end (throttle_settle).
 *
 *	lane = throttle_lane(t, route);      NULL: the route has no rate
 *	if (lane_wait_ms(lane) == 0)
 *		lane_take(lane), and the message goes
 *	else
 *		list_push(&lane->waiting, ...)   wake(arg, lane) comes when it is worth
 *						 asking again
 */
#ifndef RELAY_EGRESS_THROTTLE_H
#define RELAY_EGRESS_THROTTLE_H

#include "base/list.h"
#include "base/loop.h"
#include "base/map.h"
#include "policy/rate.h"
#include "policy/route.h"
#include "spool/spool.h"

struct lane;

struct throttle {
	struct map lanes; /* by route name */
	struct loop *loop;
	struct spool *spool;
	void (*wake)(void *arg, struct lane *lane);
	void *arg;
};

struct lane {
	struct map_node node;
	struct throttle *throttle;
	char *route;
	struct rate_list rates; /* one of a period */
	struct rate_use use[RATE_MAX];
	struct rate_use written[RATE_MAX]; /* in the spool */
	struct rate_use writing[RATE_MAX]; /* on the way there */
	uint32_t chunk;                    /* messages that the last write was good for */
	int64_t took_ms;                   /* the last write */
	struct instant wrote;              /* when it was asked for */
	struct instant not_before;         /* a write failed: the next one then */
	bool loaded;
	bool kept; /* by the configuration that is being taken over */
	struct spool_query *load;
	struct spool_request *write;
	struct timer timer;
	struct list waiting; /* the owner's; wake() comes while it is not empty */
};

void throttle_init(struct throttle *t, struct loop *l, struct spool *s,
    void (*wake)(void *arg, struct lane *lane), void *arg);
void throttle_clear(struct throttle *t); /* nobody may wait any more */

/* The lane of this route, with its rates as they are now; NULL if it has none. */
struct lane *throttle_lane(struct throttle *t, const struct route *r);

/* Another configuration: lanes that are not asked for in between are forgotten. */
void throttle_begin_reload(struct throttle *t);
void throttle_end_reload(struct throttle *t);

/* No message goes any more: write what was really used. */
void throttle_settle(struct throttle *t);

/*
 * Milliseconds until the next message may go; 0: now.  Asking reads or writes the
 * counter in the spool if need be; LANE_LATER: that is under way.  wake() comes in
 * either case.
 */
#define LANE_LATER INT64_MAX
int64_t lane_wait_ms(struct lane *lane);
void lane_take(struct lane *lane); /* one message goes; lane_wait_ms() was 0 */

/* "route "x": its rate of 10/1s lets the next message go in 3s", appended; false: no
 * rate keeps it. */
bool lane_explain(const struct lane *lane, struct buf *out);

#endif
