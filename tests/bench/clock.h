/* SPDX-License-Identifier: ISC */
/*
 * clock - the monotonic clock in microseconds.  It is one clock for all processes of a
 * machine: what load and sink note can be subtracted.
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t
clock_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

#endif
