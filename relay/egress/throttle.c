/* SPDX-License-Identifier: ISC */
/* throttle - counters in memory, and a little ahead of them in the spool. */
#include "relay/egress/throttle.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define MARK_NAME 40
#define ROUTE_IN_MARK 16 /* longer names are hashed */
#define AGAIN_MS SECOND_MS
#define SLACK_MS SECOND_MS  /* a write is good for messages that go so much later */
#define SAFETY_MS SECOND_MS /* those who wait are never forgotten for longer */

static int64_t
now_us(const struct lane *lane)
{
	return world_wall(loop_world(lane->throttle->loop)).ms * 1000;
}

static void
mark_name(const struct lane *lane, size_t i, char out[MARK_NAME])
{
	static const uint64_t seed[2] = {0, 0};
	struct span route = span_str(lane->route);
	long long period = (long long)lane->rates.rate[i].period_ms;
	if (route.n <= ROUTE_IN_MARK)
		(void)snprintf(out, MARK_NAME, "rate.%s.%lld", lane->route, period);
	else
		(void)snprintf(out, MARK_NAME, "rate.#%016llx.%lld",
		    (unsigned long long)siphash(seed, route), period);
}

/* ---- lanes */

void
throttle_init(struct throttle *t, struct loop *l, struct spool *s,
    void (*wake)(void *arg, struct lane *lane), void *arg)
{
	uint64_t seed[2];
	world_random(loop_world(l), seed, sizeof(seed));
	*t = (struct throttle){.loop = l, .spool = s, .wake = wake, .arg = arg};
	map_init(&t->lanes, seed);
}

static void
lane_free(struct lane *lane)
{
	map_remove(&lane->throttle->lanes, &lane->node);
	spool_cancel_query(&lane->load);
	spool_cancel(&lane->write);
	timer_clear(&lane->timer);
	mem_free(&lane->route);
	mem_free(&lane);
}

void
throttle_clear(struct throttle *t)
{
	MAP_EACH (&t->lanes, k)
		lane_free(CONTAINER_OF(k, struct lane, node));
	map_clear(&t->lanes);
}

static void
wake(struct lane *lane)
{
	if (list_empty(&lane->waiting))
		return;
	timer_set(&lane->timer, SAFETY_MS);
	lane->throttle->wake(lane->throttle->arg, lane);
}

static void
on_timer(void *arg)
{
	wake(arg);
}

/* One rate of each period, the lower one: the counters in the spool go by it. */
static struct rate_list
simplified(const struct rate_list *from)
{
	struct rate_list out = {.n = 0};
	for (size_t i = 0; i < from->n; i++) {
		size_t k = 0;
		while (k < out.n && out.rate[k].period_ms != from->rate[i].period_ms)
			k++;
		if (k == out.n)
			out.rate[out.n++] = from->rate[i];
		else if (from->rate[i].count < out.rate[k].count)
			out.rate[k] = from->rate[i];
	}
	return out;
}

static bool
same_periods(const struct rate_list *a, const struct rate_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->rate[i].period_ms != b->rate[i].period_ms)
			return false;
	return true;
}

/* Another set of counters: what is not known in memory may be known to the spool. */
static void
set_rates(struct lane *lane, const struct rate_list *configured)
{
	struct rate_list rates = simplified(configured);
	if (!same_periods(&rates, &lane->rates)) {
		throttle_settle(lane->throttle); /* the spool keeps what was used */
		spool_cancel_query(&lane->load);
		spool_cancel(&lane->write);
		memset(lane->use, 0, sizeof(lane->use));
		memset(lane->written, 0, sizeof(lane->written));
		lane->loaded = false;
	}
	lane->rates = rates;
}

struct lane *
throttle_lane(struct throttle *t, const struct route *r)
{
	if (r == NULL || r->rates.n == 0)
		return NULL;
	struct map_node *k = map_get(&t->lanes, span_str(r->name));
	struct lane *lane = k ? CONTAINER_OF(k, struct lane, node) : NULL;
	if (lane == NULL) {
		lane = NEW(struct lane);
		lane->throttle = t;
		lane->route = mem_strdup(r->name);
		lane->chunk = 1;
		list_init(&lane->waiting);
		timer_init(&lane->timer, t->loop, on_timer, lane);
		map_put(&t->lanes, &lane->node, span_str(lane->route));
	}
	lane->kept = true;
	set_rates(lane, &r->rates);
	return lane;
}

void
throttle_begin_reload(struct throttle *t)
{
	MAP_EACH (&t->lanes, k)
		CONTAINER_OF(k, struct lane, node)->kept = false;
}

void
throttle_end_reload(struct throttle *t)
{
	throttle_settle(t);
	MAP_EACH (&t->lanes, k) {
		struct lane *lane = CONTAINER_OF(k, struct lane, node);
		if (!lane->kept && list_empty(&lane->waiting))
			lane_free(lane);
	}
}

void
throttle_settle(struct throttle *t)
{
	MAP_EACH (&t->lanes, k) {
		struct lane *lane = CONTAINER_OF(k, struct lane, node);
		spool_cancel(&lane->write); /* what is written now is written after it */
		for (size_t i = 0; lane->loaded && i < lane->rates.n; i++) {
			char name[MARK_NAME];
			if (lane->use[i].tat_us == lane->written[i].tat_us)
				continue;
			mark_name(lane, i, name);
			struct spool_request *q = spool_mark_start(t->spool, name,
			    (uint64_t)lane->use[i].tat_us, loop_inbox(t->loop), NULL,
			    NULL);
			(void)q; /* if it fails, more is thought used than was */
			lane->written[i] = lane->use[i];
		}
	}
}

/* ---- reading the counters */

struct load {
	struct lane *lane;
	size_t n;
	char name[RATE_MAX][MARK_NAME];
	uint64_t value[RATE_MAX];
};

static void
load_run(struct spool_reader *r, void *arg)
{
	struct load *l = arg;
	for (size_t i = 0; i < l->n; i++)
		l->value[i] = spool_read_mark(r, l->name[i]);
}

static void
load_drop(void *arg)
{
	struct load *l = arg;
	mem_free(&l);
}

static void
load_done(void *arg)
{
	struct load *l = arg;
	struct lane *lane = l->lane;
	lane->load = NULL;
	lane->loaded = true;
	for (size_t i = 0; i < l->n; i++) {
		int64_t us = l->value[i] <= INT64_MAX ? (int64_t)l->value[i] : 0;
		lane->use[i].tat_us = lane->written[i].tat_us = us;
	}
	mem_free(&l);
	wake(lane);
}

static void
load(struct lane *lane)
{
	timer_set(&lane->timer, SAFETY_MS);
	if (lane->load != NULL)
		return;
	struct load *l = NEW(struct load);
	l->lane = lane;
	l->n = lane->rates.n;
	for (size_t i = 0; i < l->n; i++)
		mark_name(lane, i, l->name[i]);
	lane->load = spool_query_start(lane->throttle->spool, load_run, load_done,
	    load_drop, l, loop_inbox(lane->throttle->loop));
}

/* ---- writing ahead */

static struct rate_use
after(const struct lane *lane, size_t i, int64_t now, uint32_t n)
{
	struct rate_use u = lane->use[i];
	rate_take(&lane->rates.rate[i], &u, now, n);
	return u;
}

static bool
is_written(const struct lane *lane, int64_t now)
{
	for (size_t i = 0; i < lane->rates.n; i++)
		if (after(lane, i, now, 1).tat_us > lane->written[i].tat_us)
			return false;
	return true;
}

static void
on_written(void *arg, enum err e)
{
	struct lane *lane = arg;
	struct instant now = loop_now(lane->throttle->loop);
	lane->write = NULL;
	lane->took_ms = instant_since(now, lane->wrote);
	if (e == OK) {
		memcpy(lane->written, lane->writing, sizeof(lane->written));
		wake(lane);
	} else {
		lane->not_before = instant_after(now, AGAIN_MS);
		timer_set(&lane->timer, AGAIN_MS);
	}
}

static uint32_t
next_chunk(const struct lane *lane, struct instant now)
{
	uint32_t most = UINT32_MAX, chunk = lane->chunk;
	for (size_t i = 0; i < lane->rates.n; i++)
		if (lane->rates.rate[i].count / 4 + 1 < most)
			most = lane->rates.rate[i].count / 4 + 1;
	int64_t since = instant_since(now, lane->wrote);
	if (since < SECOND_MS)
		chunk *= 2;
	else if (since > 4 * SECOND_MS)
		chunk = 1;
	return chunk < most ? chunk : most;
}

static void
write_ahead(struct lane *lane, int64_t us)
{
	struct throttle *t = lane->throttle;
	struct instant now = loop_now(t->loop);
	if (lane->write != NULL || instant_since(lane->not_before, now) > 0)
		return;
	lane->chunk = next_chunk(lane, now);
	lane->wrote = now;
	us +=
	    (SLACK_MS + 2 * lane->took_ms) * 1000; /* it will be later when it is done */
	for (size_t i = 0; i < lane->rates.n; i++) {
		char name[MARK_NAME];
		bool last = i + 1 == lane->rates.n; /* they are written in order */
		mark_name(lane, i, name);
		lane->writing[i] = after(lane, i, us, lane->chunk);
		struct spool_request *q =
		    spool_mark_start(t->spool, name, (uint64_t)lane->writing[i].tat_us,
			loop_inbox(t->loop), last ? on_written : NULL, lane);
		if (last)
			lane->write = q;
	}
}

/* ---- asking */

/* A counter further ahead than its whole allowance is from another clock or rate. */
static void
clamp(struct lane *lane, int64_t now)
{
	for (size_t i = 0; i < lane->rates.n; i++) {
		int64_t most = now + lane->rates.rate[i].period_ms * 1000;
		if (lane->use[i].tat_us > most)
			lane->use[i].tat_us = most;
	}
}

/* The rate that lets nothing go for the longest time, and how long. */
static int64_t
longest(const struct lane *lane, int64_t now, size_t *which)
{
	int64_t wait = 0;
	for (size_t i = 0; i < lane->rates.n; i++) {
		int64_t us = rate_wait(&lane->rates.rate[i], &lane->use[i], now, 1);
		if (us > wait) {
			wait = us;
			*which = i;
		}
	}
	return wait;
}

int64_t
lane_wait_ms(struct lane *lane)
{
	int64_t now = now_us(lane);
	size_t which;
	if (!lane->loaded) {
		load(lane);
		return LANE_LATER;
	}
	clamp(lane, now);
	int64_t wait = longest(lane, now, &which);
	if (wait > 0) {
		int64_t ms = (wait + 999) / 1000;
		timer_set(&lane->timer, ms < MINUTE_MS ? ms : MINUTE_MS);
		return ms;
	}
	if (!is_written(lane, now)) {
		timer_set(&lane->timer, SAFETY_MS);
		write_ahead(lane, now);
		return LANE_LATER;
	}
	return 0;
}

void
lane_take(struct lane *lane)
{
	int64_t now = now_us(lane);
	for (size_t i = 0; i < lane->rates.n; i++)
		rate_take(&lane->rates.rate[i], &lane->use[i], now, 1);
}

bool
lane_explain(const struct lane *lane, struct buf *out)
{
	size_t which = 0;
	int64_t wait = lane->loaded ? longest(lane, now_us(lane), &which) : 0;
	if (wait <= 0)
		return false;
	buf_addf(out, "route %s: its rate of ", lane->route);
	rate_add(out, &lane->rates.rate[which]);
	buf_add_str(out, " lets the next message go in ");
	duration_add(out, (wait + 999999) / 1000000 * SECOND_MS);
	return true;
}
