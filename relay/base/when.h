/* SPDX-License-Identifier: ISC */
/*
 * when - two kinds of points in time that cannot be mixed.
 *
 * struct instant: the monotonic clock, for waiting.  struct wall: Unix time,
 * for what is written down (arrival, due, expiry).  Both count milliseconds.
 * Durations are int64_t named _ms.  Only struct world reads a clock.
 */
#ifndef BASE_WHEN_H
#define BASE_WHEN_H

#include <stdint.h>

#include "base/buf.h"

struct instant {
	int64_t ms;
};

struct wall {
	int64_t
	    ms; /* since 1970-01-01T00:00:00Z; 0 means "never" where a field says so */
};

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

static inline struct instant
instant_after(struct instant t, int64_t ms)
{
	return (struct instant){t.ms + ms};
}

static inline int64_t
instant_since(struct instant later, struct instant earlier)
{
	return later.ms - earlier.ms;
}

static inline struct wall
wall_after(struct wall t, int64_t ms)
{
	return (struct wall){t.ms + ms};
}

static inline int64_t
wall_since(struct wall later, struct wall earlier)
{
	return later.ms - earlier.ms;
}

/* "Mon, 23 Nov 2026 11:39:00 +0000" in local time with its zone (RFC 5322 3.3). */
void wall_add_rfc5322(struct buf *b, struct wall t);

/* "2026-11-23T11:39:00.123Z", always UTC (RFC 3339). */
void wall_add_iso(struct buf *b, struct wall t);

/* "2026-11-23 11:39:00" local time, for tables that people read. */
void wall_add_local(struct buf *b, struct wall t);

/* A duration as people say it: "45s", "4m30s", "2h5m", "3d4h" (two units at most, rounded
 * down; "-" before a negative one). */
void duration_add(struct buf *b, int64_t ms);

#endif
