/* SPDX-License-Identifier: ISC */
/* histogram - see histogram.h. */
#include "base/histogram.h"

#include "base/check.h"

void
histogram_init(struct histogram *h, const uint64_t *bound, size_t bounds)
{
	CHECK(bounds <= HISTOGRAM_MAX);
	h->bound = bound;
	h->bounds = bounds;
}

void
histogram_add(struct histogram *h, uint64_t value)
{
	size_t i = 0;
	while (i < h->bounds && value > h->bound[i])
		i++;
	atomic_fetch_add_explicit(&h->count[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum, value, memory_order_relaxed);
}

void
histogram_read(const struct histogram *h, struct histogram_reading *out)
{
	uint64_t n = 0;
	*out = (struct histogram_reading){
	    .sum = atomic_load_explicit(&h->sum, memory_order_relaxed)};
	for (size_t i = 0; i <= h->bounds; i++) {
		n += atomic_load_explicit(&h->count[i], memory_order_relaxed);
		out->up_to[i] = n;
	}
}
