/* SPDX-License-Identifier: ISC */
/*
 * world - what a test must be able to answer for: the clocks, randomness and
 * dialling out.  The real one is world_real(); the talks put a scripted one in
 * its place.  All functions may be called from any thread in the real world.
 */
#ifndef BASE_WORLD_H
#define BASE_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/net.h"
#include "base/when.h"

struct world;

struct world_ops {
	struct instant (*now)(struct world *);
	struct wall (*wall)(struct world *);
	void (*random)(struct world *, void *p, size_t n);
	int (*dial)(
	    struct world *, const struct net_addr *to, const struct net_addr *from);
};

/* Embed as first member to make a world of one's own. */
struct world {
	const struct world_ops *ops;
};

/* The machine's clocks, getrandom(2) and connect(2). A constant: nothing to free. */
struct world *world_real(void);

static inline struct instant
world_now(struct world *w)
{
	return w->ops->now(w);
}

static inline struct wall
world_wall(struct world *w)
{
	return w->ops->wall(w);
}

static inline void
world_random(struct world *w, void *p, size_t n)
{
	w->ops->random(w, p, n);
}

uint64_t world_random_u64(struct world *w);

/* A number in [0, bound); bound > 0. */
uint64_t world_random_below(struct world *w, uint64_t bound);

/*
 * Begin to connect a stream to `to` (from: local address, or NULL).  Returns a
 * non-blocking, close-on-exec descriptor that becomes writable when the
 * connection stands or has failed (getsockopt SO_ERROR tells which), or a
 * negative enum err at once.
 */
static inline int
world_dial(struct world *w, const struct net_addr *to, const struct net_addr *from)
{
	return w->ops->dial(w, to, from);
}

#endif
