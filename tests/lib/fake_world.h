/* SPDX-License-Identifier: ISC */
/*
 * fake_world - a world whose clocks only the test moves, whose dice always
 * fall alike, and which dials wherever the test says.  One thread.
 *
 *	struct fake_world w;
 *	fake_world_init(&w);
 *	struct loop *l = loop_new(&w.world);
 *	fake_world_pass(&w, 5 * SECOND_MS);
 */
#ifndef TESTS_LIB_FAKE_WORLD_H
#define TESTS_LIB_FAKE_WORLD_H

#include <stdint.h>

#include "base/world.h"

struct fake_world {
	struct world world; /* first */
	struct instant now;
	struct wall wall;
	int64_t
	    step_ms; /* both clocks go on by this at each reading of `now`; usually 0 */
	uint64_t dice;
	/* NULL: everything is unreachable */
	int (*dial)(void *arg, const struct net_addr *to, const struct net_addr *from);
	void *dial_arg;
};

/* 2026-11-23T12:00:00Z, the same dice each time, nobody to dial. */
void fake_world_init(struct fake_world *w);

/* Time goes by, on both clocks. */
void fake_world_pass(struct fake_world *w, int64_t ms);

#endif
