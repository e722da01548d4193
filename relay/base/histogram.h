/* SPDX-License-Identifier: ISC */
/*
 * histogram - how often a figure fell between which bounds.  Counted by any thread,
 * relaxed, without a lock; read while that goes on, so the parts of one reading may be a
 * few counts apart.  Zeroed memory with its bounds set is an empty one.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_MAX 20

struct histogram {
	const uint64_t
	    *bound;    /* rising, each the largest value of its bucket; a constant */
	size_t bounds; /* at most HISTOGRAM_MAX; what is above all has one more */
	atomic_uint_fast64_t count[HISTOGRAM_MAX + 1];
	atomic_uint_fast64_t sum;
};

void histogram_init(struct histogram *h, const uint64_t *bound, size_t bounds);
void histogram_add(struct histogram *h, uint64_t value);

struct histogram_reading {
	uint64_t up_to[HISTOGRAM_MAX + 1]; /* cumulative; the last is all of them */
	uint64_t sum;
};
void histogram_read(const struct histogram *h, struct histogram_reading *out);

#endif
