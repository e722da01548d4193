/* SPDX-License-Identifier: ISC */
/*
 * rate - "100/1h": so many in a time, kept by the generic cell rate algorithm:
 * one number per counter, the theoretical arrival time.  A whole allowance may
 * be used at once and then comes back evenly (100/1h: one per 36 s).  Pure:
 * `now` is an argument, in microseconds of any clock that goes forward.
 */
#ifndef POLICY_RATE_H
#define POLICY_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define RATE_MAX 4 /* rates in one list: per second, minute, hour, day */

struct rate {
	uint32_t count;    /* 1 to 1,000,000,000 */
	int64_t period_ms; /* 1 s to 366 d */
};

struct rate_list {
	struct rate rate[RATE_MAX];
	size_t n;
};

/* "100/1h", "10/s" (one of a unit). ERR_SYNTAX, ERR_RANGE. */
enum err rate_parse(struct span text, struct rate *out);
void rate_add(struct buf *b, const struct rate *r); /* "100/1h" */

/* The state of one counter; zero: nothing used. */
struct rate_use {
	int64_t tat_us;
};

/* Microseconds until n more may go (0: now), without taking them. */
int64_t
rate_wait(const struct rate *r, const struct rate_use *u, int64_t now_us, uint32_t n);

/* Take n. More than the allowance may be taken; it is owed then. */
void rate_take(const struct rate *r, struct rate_use *u, int64_t now_us, uint32_t n);

/* Whether it is as if never used: it may be forgotten. */
bool rate_idle(const struct rate_use *u, int64_t now_us);

#endif
