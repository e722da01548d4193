/* SPDX-License-Identifier: ISC */
/* dest - the table of destinations, their entries, and reading more of them from the
 * spool. */
#include "relay/egress/scheduler.h"

#include <limits.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

/* ---- entries */

struct entry *
entry_find(const struct scheduler *s, uint64_t id, struct dest *d)
{
	struct entry_key key = {id, d};
	struct map_node *k =
	    map_get(&s->entries, (struct span){(const char *)&key, sizeof(key)});
	return k ? CONTAINER_OF(k, struct entry, node) : NULL;
}

struct entry *
entry_new(struct dest *d, uint64_t id, struct message *m)
{
	struct entry *e = NEW(struct entry);
	e->key = (struct entry_key){id, d};
	e->message = m ? message_ref(m) : NULL;
	map_put(&d->scheduler->entries, &e->node,
	    (struct span){(const char *)&e->key, sizeof(e->key)});
	d->entries++;
	return e;
}

uint8_t
dest_turn(const struct dest *d, const struct message *m)
{
	struct span who = m->account.n ? m->account : m->client;
	return (uint8_t)(1 + siphash(d->scheduler->dests.seed, who) % (TURNS - 1));
}

void
entry_ready(struct entry *e)
{
	struct dest *d = e->key.dest;
	e->state = ENTRY_READY;
	e->turn = e->message ? dest_turn(d, e->message) : 0;
	if (d->turns == NULL) {
		d->turns = NEW(struct turns);
		for (unsigned i = 0; i < TURNS; i++)
			list_init(&d->turns->ready[i]);
	}
	list_push(&d->turns->ready[e->turn], &e->link);
	d->turns->n[e->turn]++;
	d->ready_n++;
}

size_t
dest_in_turn(const struct dest *d, uint8_t turn)
{
	return d->turns ? d->turns->n[turn] : 0;
}

static void
unlist(struct entry *e)
{
	struct dest *d = e->key.dest;
	list_remove(&e->link);
	d->turns->n[e->turn]--;
	if (--d->ready_n == 0)
		mem_free(&d->turns);
}

struct entry *
dest_next(struct dest *d)
{
	struct turns *t = d->turns;
	for (unsigned i = 0; t != NULL && i < TURNS; i++) {
		t->last = (uint8_t)((t->last + 1) % TURNS);
		struct link *k = list_first(&t->ready[t->last]);
		if (k != NULL) {
			struct entry *e = CONTAINER_OF(k, struct entry, link);
			unlist(e);
			return e;
		}
	}
	return NULL;
}

/* Over ENTRIES_MAX everybody may still have two, so that nobody is kept out by others. */
bool
dest_has_room(const struct dest *d)
{
	return d->ready_n < READY_MAX &&
	       (d->scheduler->entries.n < ENTRIES_MAX || d->entries < 2);
}

void
entry_free(struct entry *e)
{
	struct dest *d = e->key.dest;
	if (e->state == ENTRY_READY && link_in_list(&e->link))
		unlist(e);
	suspect_ended(e);
	struct wall now = scheduler_now(d->scheduler);
	if (e->again) {
		dest_look_again(d, (struct wall){0});
		if (d->head.ms > now.ms)
			d->head = now;
	}
	list_remove(&e->link);
	map_remove(&d->scheduler->entries, &e->node);
	d->entries--;
	message_unref(&e->message);
	mem_free(&e);
}

/* ---- destinations */

struct dest *
dest_find(const struct scheduler *s, struct span key)
{
	struct map_node *k = map_get(&s->dests, key);
	return k ? CONTAINER_OF(k, struct dest, node) : NULL;
}

void
dest_configure(struct dest *d)
{
	struct scheduler *s = d->scheduler;
	struct span name = route_key_split(span_str(d->key)).route;
	const struct route *route =
	    name.n ? route_named(&s->config->policy.routes, name) : NULL;
	bool own = route != NULL && route->concurrency > 0;
	d->feedback.limit = own ? route->concurrency : s->config->client.concurrency;
	if (d->feedback.window > d->feedback.limit)
		d->feedback.window = d->feedback.limit;
	struct lane *lane = throttle_lane(&s->throttle, route);
	if (lane != d->lane)
		list_remove(&d->runnable); /* it may stand in the old one */
	d->lane = lane;
}

struct dest *
dest_get(struct scheduler *s, struct span key)
{
	struct dest *d = dest_find(s, key);
	if (d != NULL)
		return d;
	d = NEW(struct dest);
	d->scheduler = s;
	d->key = span_dup(key);
	d->head.ms = NO_HEAD;
	feedback_init(&d->feedback, s->config->client.initial, UINT_MAX);
	map_put(&s->dests, &d->node, span_str(d->key));
	dest_configure(d);
	return d;
}

static void
drop_entries(struct dest *d)
{
	for (unsigned i = 0; d->turns != NULL && i < TURNS; i++) {
		struct link *k; /* with the last entry the queues go */
		while (d->turns != NULL && (k = list_first(&d->turns->ready[i])) != NULL)
			entry_free(CONTAINER_OF(k, struct entry, link));
	}
}

void
dest_free(struct dest *d)
{
	if (d->fetch != NULL)
		d->scheduler->fetching--;
	spool_cancel_query(&d->fetch);
	drop_entries(d);
	heap_remove(&d->scheduler->timers, &d->timer);
	list_remove(&d->runnable);
	list_remove(&d->hungry);
	mem_free(&d->reason);
	mem_free(&d->idle);
	map_remove(&d->scheduler->dests, &d->node);
	mem_free(&d->key);
	mem_free(&d);
}

void
dest_free_unused(struct dest *d)
{
	if (d->entries > 0 || d->head.ms != NO_HEAD || d->fetch != NULL ||
	    d->running > 0 || d->state != DEST_UP)
		return;
	if (d->seen.id == 0 || !d->scheduler->started || d->scheduler->draining) {
		dest_free(d);
		return;
	}
	/* all has been read, each row once: once more from the beginning, to be sure */
	d->seen = (struct due_row){0};
	d->head = scheduler_now(d->scheduler);
	dest_step(d);
}

void
dest_drop_ready(struct dest *d)
{
	struct wall now = scheduler_now(d->scheduler);
	if (d->ready_n > 0 && d->head.ms > now.ms)
		d->head = now; /* their rows are due and in the spool */
	dest_look_again(d, (struct wall){0});
	drop_entries(d);
}

void
dest_look_again(struct dest *d, struct wall from)
{
	if (from.ms <= d->seen.due.ms)
		d->seen = (struct due_row){from, 0};
	if (d->fetch != NULL && from.ms < d->back.ms)
		d->back = from;
}

void
dest_expect(struct dest *d, struct wall due)
{
	dest_look_again(d, due);
	if (due.ms < d->head.ms) {
		d->head = due;
		dest_wake(d);
	}
}

/* ---- reading rows */

static void feed(struct scheduler *s);

static void
count_rows(struct scheduler *s, size_t n)
{
	atomic_fetch_add_explicit(&s->counters->fetches, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->counters->rows, n, memory_order_relaxed);
}

struct fetch {
	struct dest *dest;
	char *key;
	struct due_row after;
	size_t max, n;
	enum err err;
	struct due_row *row;
};

static void
fetch_free(void *arg)
{
	struct fetch *f = arg;
	mem_free(&f->row);
	mem_free(&f->key);
	mem_free(&f);
}

static void
fetch_run(struct spool_reader *r, void *arg)
{
	struct fetch *f = arg;
	struct wall far = {NO_HEAD};
	f->err =
	    spool_read_due(r, span_str(f->key), f->after, far, f->row, f->max, &f->n);
}

/*
 * Recipients of one message may be due at different times: each time is a row.
 * What has become due since the job began is not part of it.
 */
static bool
is_known(struct dest *d, const struct due_row *row, struct wall due)
{
	struct entry *e = entry_find(d->scheduler, row->id, d);
	if (e != NULL && e->state != ENTRY_READY && due.ms > e->began.ms)
		e->again = true;
	return e != NULL;
}

static void
head_by(struct dest *d, struct wall due)
{
	if (due.ms < d->head.ms)
		d->head = due;
}

static void
take_rows(struct dest *d, const struct fetch *f)
{
	struct scheduler *s = d->scheduler;
	struct wall now = scheduler_now(s);
	for (size_t i = 0; i < f->n; i++) {
		struct wall due = backoff_sane_due(&s->config->retry, f->row[i].due, now);
		bool known = due.ms <= now.ms && is_known(d, &f->row[i], due);
		if (!known && (due.ms > now.ms || !dest_has_room(d))) {
			head_by(d, due);
			return;
		}
		if (!known)
			entry_ready(entry_new(d, f->row[i].id, NULL));
		d->seen = f->row[i];
	}
	if (f->n == f->max) /* there may be more behind these */
		head_by(
		    d, backoff_sane_due(&s->config->retry, f->row[f->n - 1].due, now));
}

static void
fetch_done(void *arg)
{
	struct fetch *f = arg;
	struct dest *d = f->dest;
	struct scheduler *s = d->scheduler;
	d->fetch = NULL;
	s->fetching--;
	count_rows(s, f->n);
	if (f->err == OK) {
		take_rows(d, f);
		dest_look_again(d, d->back);
	} else {
		LOG(d->scheduler->log, EV_FAILED, F_STR("what", "reading the schedule"),
		    F_STR("dest", d->key), F_STR("error", err_text(f->err)));
		d->head = wall_after(scheduler_now(d->scheduler), 30 * SECOND_MS);
	}
	fetch_free(f);
	dest_step(d);
	dest_free_unused(d);
	feed(s);
}

/* Many destinations share the entries that may be in memory. */
static size_t
slice_of(const struct scheduler *s)
{
	size_t share = ENTRIES_MAX / (s->dests.n + 1);
	return share > FETCH_ROWS    ? FETCH_ROWS
	       : share < FETCH_LEAST ? FETCH_LEAST
				     : share;
}

static void
fetch(struct dest *d)
{
	struct fetch *f = NEW(struct fetch);
	f->dest = d;
	f->key = mem_strdup(d->key);
	f->after = d->seen;
	f->max = slice_of(d->scheduler);
	f->row = mem_alloc(f->max * sizeof(struct due_row));
	d->head.ms = NO_HEAD; /* what is learnt meanwhile is kept by dest_expect() */
	d->back.ms = NO_HEAD;
	d->scheduler->fetching++;
	d->fetch = spool_query_start(d->scheduler->spool, fetch_run, fetch_done,
	    fetch_free, f, loop_inbox(d->scheduler->loop));
}

/* ---- steps */

static unsigned
slots(const struct dest *d)
{
	if (d->state == DEST_DOWN)
		return 0;
	unsigned window = d->state == DEST_PROBING ? 1 : d->feedback.window;
	return d->running < window ? window - d->running : 0;
}

bool
dest_may_run(const struct dest *d)
{
	return d->ready_n > 0 && slots(d) > 0;
}

static bool
wants_rows(const struct dest *d, struct wall now)
{
	return d->head.ms <= now.ms && d->fetch == NULL && dest_has_room(d) &&
	       dest_in_turn(d, 0) < slots(d) + FETCH_ROWS / 4;
}

/* Those that want rows, one after the other. */
static void
feed(struct scheduler *s)
{
	struct link *k;
	while (s->fetching < FETCHES_MAX && (k = list_pop(&s->hungry)) != NULL) {
		struct dest *d = CONTAINER_OF(k, struct dest, hungry);
		if (s->started && !s->draining && d->state != DEST_DOWN &&
		    scheduler_paused(s, d) == NULL && wants_rows(d, scheduler_now(s)))
			fetch(d);
	}
}

static void
set_timer(struct dest *d, int64_t at)
{
	if (at == NO_HEAD)
		heap_remove(&d->scheduler->timers, &d->timer);
	else
		heap_set(&d->scheduler->timers, &d->timer, at);
	scheduler_arm(d->scheduler);
}

void
dest_step(struct dest *d)
{
	struct scheduler *s = d->scheduler;
	struct wall now = scheduler_now(s);
	if (!s->started || s->draining) {
		set_timer(d, NO_HEAD);
		return;
	}
	const struct pause *p = scheduler_paused(s, d);
	if (p != NULL) {
		set_timer(d, p->until.ms ? p->until.ms : NO_HEAD);
		return;
	}
	d->retry_at = backoff_sane_due(&s->config->retry, d->retry_at, now);
	if (d->head.ms != NO_HEAD)
		d->head = backoff_sane_due(&s->config->retry, d->head, now);
	if (d->state == DEST_DOWN && d->retry_at.ms > now.ms) {
		set_timer(d, d->retry_at.ms);
		return;
	}
	if (d->state == DEST_DOWN)
		d->state = DEST_PROBING;
	if (d->state == DEST_PROBING && d->head.ms == NO_HEAD && d->entries == 0 &&
	    d->fetch == NULL) {
		d->state = DEST_UP; /* nobody waits for the answer any more */
		d->failures = 0;
	}
	if (wants_rows(d, now) && !link_in_list(&d->hungry)) {
		list_push(&s->hungry, &d->hungry);
		feed(s);
	}
	set_timer(d, d->head.ms > now.ms ? d->head.ms : NO_HEAD);
	if (dest_may_run(d) && !link_in_list(&d->runnable))
		scheduler_line_up(d);
	for (size_t i = 0; i < STANDINGS; i++)
		if (!list_empty(&s->runnable[i]))
			scheduler_pump_soon(s);
}

void
dest_wake(struct dest *d)
{
	dest_step(d);
}

/* ---- health */

enum standing
dest_standing(const struct dest *d)
{
	if (d->failures > 0)
		return STANDING_BAD;
	return d->proven ? STANDING_GOOD : STANDING_NEW;
}

const struct verdict *
dest_reason(const struct dest *d)
{
	static const struct verdict none = {.code = 0};
	return d->reason ? d->reason : &none;
}

void
dest_failed(struct dest *d, const struct verdict *why, bool at_once)
{
	struct scheduler *s = d->scheduler;
	bool was_probe = d->state == DEST_PROBING;
	if (d->reason == NULL)
		d->reason = NEW(struct verdict);
	*d->reason = *why;
	bool down = feedback_failure(&d->feedback, d->running + 1);
	if (!down && !was_probe && !at_once)
		return;
	if (d->state == DEST_DOWN) /* one of those that were under way: known already */
		return;
	d->failures++;
	d->proven = false;
	d->state = DEST_DOWN;
	d->at_once = d->at_once || at_once;
	d->retry_at = wall_after(scheduler_now(s),
	    backoff_delay_ms(&s->config->retry, d->failures, world_random_u64(s->world)));
	dest_drop_ready(d);
	struct buf next;
	buf_init(&next, 64);
	wall_add_iso(&next, d->retry_at);
	LOG(s->log, EV_DESTINATION_DOWN, F_STR("dest", d->key),
	    F_INT("failures", d->failures), F_SPAN("next_probe", buf_span(&next)),
	    F_STR("reason", why->text));
	buf_clear(&next);
}

void
dest_worked(struct dest *d)
{
	struct scheduler *s = d->scheduler;
	if (d->failures > 0) {
		LOG(s->log, EV_DESTINATION_UP, F_STR("dest", d->key),
		    F_INT("failures", d->failures));
		feedback_init(&d->feedback, s->config->client.initial, d->feedback.limit);
	}
	d->failures = 0;
	d->state = DEST_UP;
	d->at_once = false;
	mem_free(&d->reason);
	feedback_success(&d->feedback, d->running + 1);
}

void
dest_probe_now(struct dest *d)
{
	if (d->state == DEST_DOWN)
		d->retry_at = scheduler_now(d->scheduler);
	if (d->state == DEST_PROBING && d->running == 0)
		d->state = DEST_DOWN; /* the step makes it a probe again */
	dest_step(d);
}
