/* SPDX-License-Identifier: ISC */
/* fake_world - clocks that stand still. */
#include "tests/lib/fake_world.h"

static struct instant
fake_now(struct world *world)
{
	struct fake_world *w = (struct fake_world *)world;
	fake_world_pass(w, w->step_ms);
	return w->now;
}

static struct wall
fake_wall(struct world *world)
{
	return ((struct fake_world *)world)->wall;
}

/* splitmix64 */
static uint64_t
roll(struct fake_world *w)
{
	uint64_t z = w->dice += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static void
fake_random(struct world *world, void *p, size_t n)
{
	unsigned char *at = p;
	for (size_t i = 0; i < n; i++)
		at[i] = (unsigned char)(roll((struct fake_world *)world) >> 24);
}

static int
fake_dial(struct world *world, const struct net_addr *to, const struct net_addr *from)
{
	struct fake_world *w = (struct fake_world *)world;
	return w->dial ? w->dial(w->dial_arg, to, from) : ERR_UNREACHABLE;
}

static const struct world_ops fake_ops = {fake_now, fake_wall, fake_random, fake_dial};

void
fake_world_init(struct fake_world *w)
{
	*w = (struct fake_world){
	    .world = {&fake_ops},
	    .now = {1000000},
	    .wall = {INT64_C(1795435200000)},
	};
}

void
fake_world_pass(struct fake_world *w, int64_t ms)
{
	w->now.ms += ms;
	w->wall.ms += ms;
}
