/* SPDX-License-Identifier: ISC */
/*
 * scheduler - what goes out when: new mail comes in, timers fire, slots are
 * given out in turns to the destinations that have something ready.
 */
#include "relay/egress/scheduler.h"

#include <string.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/mem.h"

/* ---- pumping: one job per destination and round, so that nobody starves */

static size_t
choose_courier(struct scheduler *s, struct dest *d)
{
	size_t best = 0;
	for (size_t i = 0; i < s->couriers; i++) {
		if (d->idle != NULL && d->idle[i] > 0) {
			d->idle[i]--;
			return i;
		}
		if (s->load[i] < s->load[best])
			best = i;
	}
	return best;
}

void
scheduler_count(struct entry *e, int n)
{
	struct dest *d = e->key.dest;
	struct scheduler *s = d->scheduler;
	if (n > 0)
		e->standing = dest_standing(d);
	d->running += (unsigned)n;
	s->running += (unsigned)n;
	s->busy[e->standing] += (unsigned)n;
	s->load[e->courier] += (unsigned)n;
}

static void
start_job(struct scheduler *s, struct dest *d)
{
	struct entry *e = dest_next(d);
	if (suspect_waits(e)) {
		entry_free(e);
		return;
	}
	if (d->lane != NULL)
		lane_take(d->lane);
	e->state = ENTRY_RUNNING;
	e->probe = d->state == DEST_PROBING;
	e->courier = choose_courier(s, d);
	scheduler_count(e, 1);
	struct job *j = job_new(e->key.id, d->key, e->message);
	j->owner = e;
	j->health = s->health;
	j->now = e->began = scheduler_now(s);
	message_unref(&e->message);
	atomic_fetch_add_explicit(&s->counters->attempts, 1, memory_order_relaxed);
	courier_post(s->courier[e->courier], j, loop_inbox(s->loop), on_job_ended);
}

/*
 * Those that wait for their route's rate stand in its lane; one at a time comes back
 * into the round, and calls the next when it has been served.
 */
static void
next_in_lane(struct lane *lane)
{
	struct link *k = lane ? list_pop(&lane->waiting) : NULL;
	if (k != NULL)
		scheduler_line_up(CONTAINER_OF(k, struct dest, runnable));
}

static void
on_lane(void *arg, struct lane *lane)
{
	struct scheduler *s = arg;
	next_in_lane(lane);
	scheduler_pump_soon(s);
}

/* Rounded up, so that with one connection everybody may have it. */
static bool
may_have_more(const struct scheduler *s, enum standing x)
{
	unsigned all = s->config->client.connections;
	unsigned bad = s->busy[STANDING_BAD], doubtful = bad + s->busy[STANDING_NEW];
	return s->running < all && (x == STANDING_GOOD || doubtful < all - all / 4) &&
	       (x != STANDING_BAD || bad < all - all / 2);
}

static struct dest *
whose_turn(struct scheduler *s)
{
	for (unsigned i = 1; i <= STANDINGS; i++) {
		enum standing x = (s->served + i) % STANDINGS;
		struct link *k = may_have_more(s, x) ? list_pop(&s->runnable[x]) : NULL;
		if (k == NULL)
			continue;
		s->served = x;
		return CONTAINER_OF(k, struct dest, runnable);
	}
	return NULL;
}

static void
pump(void *arg)
{
	struct scheduler *s = arg;
	struct dest *d;
	while (!s->draining && (d = whose_turn(s)) != NULL) {
		if (!dest_may_run(d) || scheduler_paused(s, d) != NULL) {
			next_in_lane(d->lane);
			continue;
		}
		if (dest_standing(d) != s->served) { /* it has changed meanwhile */
			scheduler_line_up(d);
			continue;
		}
		if (d->lane != NULL && lane_wait_ms(d->lane) > 0) {
			list_push(&d->lane->waiting, &d->runnable);
			continue;
		}
		start_job(s, d);
		next_in_lane(d->lane);
		if (dest_may_run(d))
			scheduler_line_up(d);
		else if (d->head.ms != NO_HEAD && d->fetch == NULL)
			dest_step(d);
	}
}

void
scheduler_line_up(struct dest *d)
{
	list_push(&d->scheduler->runnable[dest_standing(d)], &d->runnable);
}

void
scheduler_pump_soon(struct scheduler *s)
{
	later_set(&s->pump);
}

/* ---- timers: the heap is keyed by wall time, the loop waits on the monotonic clock */

#define TICK_MAX_MS \
	MINUTE_MS /* the wall clock may jump: look at it again at least so often */

void
scheduler_arm(struct scheduler *s)
{
	struct heap_node *first = heap_min(&s->timers);
	if (first == NULL) {
		timer_clear(&s->tick);
		return;
	}
	int64_t wait = first->key - scheduler_now(s).ms;
	if (wait < 0)
		wait = 0;
	timer_set(&s->tick, wait < TICK_MAX_MS ? wait : TICK_MAX_MS);
}

static void
on_tick(void *arg)
{
	struct scheduler *s = arg;
	int64_t now = scheduler_now(s).ms;
	struct heap_node *k;
	while ((k = heap_min(&s->timers)) != NULL && k->key <= now) {
		struct dest *d = CONTAINER_OF(k, struct dest, timer);
		heap_remove(&s->timers, k);
		dest_step(d);
		dest_free_unused(d);
	}
	scheduler_arm(s);
}

/* ---- new mail */

static void
accept_for_dest(struct scheduler *s, struct message *m, const struct recipient *r)
{
	struct wall now = scheduler_now(s);
	struct dest *d = dest_get(s, r->dest);
	if (entry_find(s, m->id, d) != NULL) /* a slice was read in between */
		return;
	if (FAULT("scheduler.lose")) /* what the watchdog is there for */
		return;
	struct wall due = r->due.ms ? r->due : m->arrival;
	bool memory = s->budget == NULL || !content_budget_over(s->budget);
	bool backlog = d->head.ms <= now.ms || d->fetch != NULL;
	bool in_turn = !backlog || dest_in_turn(d, dest_turn(d, m)) < FRESH_MAX;
	if (due.ms <= now.ms && in_turn && memory && d->state == DEST_UP &&
	    dest_has_room(d) && s->started) {
		entry_ready(entry_new(d, m->id, m));
		dest_step(d);
	} else {
		dest_expect(d, due);
	}
}

static bool
first_of_its_dest(const struct message *m, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (m->rcpt[k].state == RECIPIENT_WAITING &&
		    span_eq(m->rcpt[k].dest, m->rcpt[i].dest))
			return false;
	return true;
}

void
scheduler_accepted(struct scheduler *s, struct message **m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t was = hand_take(m[i]->id);
		for (size_t k = 0; k < m[i]->rcpts; k++)
			if (m[i]->rcpt[k].state == RECIPIENT_WAITING &&
			    first_of_its_dest(m[i], k))
				accept_for_dest(s, m[i], &m[i]->rcpt[k]);
		hand_back(was);
		message_unref(&m[i]);
	}
}

/* ---- start: every destination with waiting rows, then the sweeps */

#define SCAN_ROWS 500

struct scan {
	struct scheduler *scheduler;
	uint32_t cursor;
	size_t n;
	bool end;
	uint64_t warn, expire, bounce;
	struct dest_row row[SCAN_ROWS];
};

static void
scan_run(struct spool_reader *r, void *arg)
{
	struct scan *scan = arg;
	enum err e = spool_read_dests(r, &scan->cursor, scan->row, SCAN_ROWS, &scan->n);
	scan->end = e != OK || scan->n < SCAN_ROWS;
	scan->warn = spool_read_mark(r, "sweep.warn");
	scan->expire = spool_read_mark(r, "sweep.expire");
	scan->bounce = spool_read_mark(r, "sweep.bounce");
}

static void
scan_drop(void *arg)
{
	struct scan *scan = arg;
	mem_free(&scan);
}

static void scan_start(struct scan *scan);

static void
scan_done(void *arg)
{
	struct scan *scan = arg;
	struct scheduler *s = scan->scheduler;
	s->scan = NULL;
	for (size_t i = 0; i < scan->n; i++) {
		struct dest *d = dest_get(s, span_str(scan->row[i].key));
		dest_expect(d, scan->row[i].head);
	}
	if (!scan->end) {
		scan_start(scan);
		return;
	}
	s->started = true;
	s->warn_mark = scan->warn;
	s->expire_mark = scan->expire;
	s->bounce_mark = scan->bounce;
	mem_free(&scan);
	MAP_EACH (&s->dests, k) {
		struct dest *d = CONTAINER_OF(k, struct dest, node);
		dest_step(d);
		dest_free_unused(d);
	}
	sweep_start(s);
	suspects_call(s);
}

static void
scan_start(struct scan *scan)
{
	struct scheduler *s = scan->scheduler;
	s->scan = spool_query_start(
	    s->spool, scan_run, scan_done, scan_drop, scan, loop_inbox(s->loop));
}

void
scheduler_start(struct scheduler *s)
{
	struct scan *scan = NEW(struct scan);
	scan->scheduler = s;
	scan_start(scan);
}

/* ---- life */

struct scheduler *
scheduler_new(const struct scheduler_options *o)
{
	CHECK(o->couriers > 0 && o->couriers <= COURIERS_MAX);
	struct scheduler *s = NEW(struct scheduler);
	s->loop = o->loop;
	s->world = loop_world(o->loop);
	s->log = o->log;
	s->spool = o->spool;
	s->couriers = o->couriers;
	memcpy(s->courier, o->courier, o->couriers * sizeof(struct courier *));
	s->config = config_ref(o->config);
	s->budget = o->budget;
	s->counters = o->counters;
	uint64_t seed[2];
	world_random(s->world, seed, sizeof(seed));
	map_init(&s->dests, seed);
	map_init(&s->entries, seed);
	for (size_t i = 0; i < STANDINGS; i++)
		list_init(&s->runnable[i]);
	list_init(&s->hungry);
	list_init(&s->pauses);
	list_init(&s->changes);
	list_init(&s->held);
	later_init(&s->pump, s->loop, pump, s);
	s->health = health_new(seed, s->log);
	throttle_init(&s->throttle, s->loop, s->spool, on_lane, s);
	alarms_init(&s->alarms, s->loop, s->log, s->spool);
	timer_init(&s->tick, s->loop, on_tick, s);
	return s;
}

void
scheduler_free(struct scheduler **sp)
{
	struct scheduler *s = *sp;
	if (s == NULL)
		return;
	sweep_stop(s);
	spool_cancel_query(&s->scan);
	spool_cancel_query(&s->roll);
	LIST_EACH (&s->changes, k)
		change_abandon(CONTAINER_OF(k, struct change, link));
	while (s->entries.n > 0)
		entry_free(CONTAINER_OF(map_first(&s->entries), struct entry, node));
	while (s->dests.n > 0)
		dest_free(CONTAINER_OF(map_first(&s->dests), struct dest, node));
	LIST_EACH (&s->pauses, k) {
		struct pause *p = CONTAINER_OF(k, struct pause, link);
		list_remove(&p->link);
		mem_free(&p->key);
		mem_free(&p->reason);
		mem_free(&p);
	}
	later_clear(&s->pump);
	timer_clear(&s->tick);
	alarms_clear(&s->alarms);
	throttle_clear(&s->throttle);
	health_free(&s->health);
	heap_clear(&s->timers);
	map_clear(&s->dests);
	map_clear(&s->entries);
	config_unref(&s->config);
	mem_free(sp);
}

void
scheduler_reload(struct scheduler *s, const struct config *config)
{
	const struct config *old = s->config;
	s->config = config_ref(config);
	config_unref(&old);
	throttle_begin_reload(&s->throttle);
	MAP_EACH (&s->dests, k)
		dest_configure(CONTAINER_OF(k, struct dest, node));
	throttle_end_reload(&s->throttle);
	MAP_EACH (&s->dests, k) {
		struct dest *d = CONTAINER_OF(k, struct dest, node);
		if (d->state == DEST_DOWN && d->at_once)
			dest_probe_now(d); /* the mistake may have been corrected */
		else
			dest_step(d);
	}
}

/* Drained: no job runs and nothing is on its way to the spool. */
void
scheduler_check_idle(struct scheduler *s)
{
	if (!s->draining || s->running > 0 || !list_empty(&s->changes) ||
	    s->on_idle == NULL)
		return;
	void (*on_idle)(void *) = s->on_idle;
	s->on_idle = NULL;
	on_idle(s->on_idle_arg);
}

static void
on_drain_pump(void *arg)
{
	scheduler_check_idle(arg);
}

void
scheduler_drain(struct scheduler *s, void (*on_idle)(void *arg), void *arg)
{
	s->draining = true;
	s->on_idle = on_idle;
	s->on_idle_arg = arg;
	throttle_settle(&s->throttle);
	sweep_stop(s);
	later_clear(&s->pump);
	later_init(&s->pump, s->loop, on_drain_pump, s);
	later_set(&s->pump);
	changes_drain(s);
}
