/* SPDX-License-Identifier: ISC */
/*
 * sweep - expiry and delay warnings, in every state: waiting, held, behind a
 * destination that is down.  Ids rise with time, so a sweep walks the messages
 * in order from where the last one ended to those that are just old enough:
 * each message is looked at once per kind of sweep, however long the queue.
 */
#include <string.h>

#include "base/mem.h"
#include "relay/egress/failed.h"
#include "relay/egress/scheduler.h"

#define SWEEP_MS MINUTE_MS
#define SWEEP_ROWS 200
#define CLOCK_JUMP_MS HOUR_MS

enum sweep_kind { SWEEP_WARN, SWEEP_BOUNCE, SWEEP_EXPIRE, SWEEP_KINDS };

struct sweep {
	struct scheduler *scheduler;
	enum sweep_kind kind;
	uint64_t after;      /* slice: ids greater than this */
	struct wall horizon; /* given out no later than then */
	bool gap;            /* something was busy: the mark stays before it */
	size_t n;
	enum err err;
	struct message *m[SWEEP_ROWS];
};

static const char *const mark_name[SWEEP_KINDS] = {
    "sweep.warn", "sweep.bounce", "sweep.expire"};

static uint64_t *
mark_of(struct scheduler *s, enum sweep_kind kind)
{
	switch (kind) {
	case SWEEP_WARN: return &s->warn_mark;
	case SWEEP_BOUNCE: return &s->bounce_mark;
	default: return &s->expire_mark;
	}
}

static int64_t
age_of(const struct scheduler *s, enum sweep_kind kind)
{
	const struct retry_config *r = &s->config->retry;
	switch (kind) {
	case SWEEP_WARN: return r->warn_ms;
	case SWEEP_BOUNCE: return r->bounce_expire_ms;
	default: return r->expire_ms;
	}
}

/* ---- failing recipients (sweeps and administrators) */

/* All chosen recipients of one destination; NULL if none, or if they are being dealt
 * with. */
static struct change *
fail_at_dest(struct scheduler *s, struct fail_all *f, const struct recipient *first,
    struct change *head)
{
	struct dest *d = dest_get(s, first->dest);
	struct entry *e = entry_find(s, f->m->id, d);
	if (e != NULL && e->state != ENTRY_READY) {
		f->busy++;
		return NULL;
	}
	bool was_ready = e != NULL;
	if (was_ready)
		entry_free(e);
	e = entry_new(d, f->m->id, NULL);
	e->state = ENTRY_REPORTING;
	e->again = was_ready; /* for those of its recipients that are not concerned */
	struct change *c =
	    change_new(s, e, report_new(f->m->id, first->dest, scheduler_now(s)));
	struct buf line;
	buf_init(&line, 1024);
	for (size_t i = 0; i < f->m->rcpts; i++) {
		const struct recipient *r = &f->m->rcpt[i];
		if (!span_eq(r->dest, first->dest) ||
		    (f->chosen != NULL && !f->chosen(f->arg, r)))
			continue;
		const struct verdict *v = f->verdict.code ? &f->verdict : dest_reason(d);
		struct outcome o = {.index = r->index, .kind = OUTCOME_FAILED};
		buf_reset(&line);
		if (v->code != 0 && (f->verdict.code != 0 || r->reply.n == 0))
			verdict_add(&line, v);
		o.reply = buf_span(&line);
		report_add(c->report, &o);
		char id[SPOOL_ID_LEN + 1];
		spool_id_format(f->m->id, id);
		LOG(s->log, EV_BOUNCED, F_STR("id", id), F_ADDR("to", r->address),
		    F_ADDR("from", f->m->sender), F_STR("status", f->status),
		    F_SPAN("reply", o.reply.n ? o.reply : r->reply),
		    F_INT("attempts", r->attempts));
		if (notice_wanted(NOTICE_FAILED, f->m, r))
			change_notice(
			    head ? head : c, r->index, NOTICE_FAILED, f->status);
		else
			LOG(s->log, EV_DROPPED, F_STR("id", id), F_ADDR("to", r->address),
			    F_STR("why", f->m->sender.n
					     ? "the sender wanted no notice"
					     : "no notice to the null sender"));
		egress_count_bounce(s->counters, f->status);
	}
	buf_clear(&line);
	failed_keep(s->spool, s->config, c->report, f->m);
	c->done = f->done;
	c->arg = f->arg;
	return c;
}

static bool
chosen_before(const struct fail_all *f, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (span_eq(f->m->rcpt[k].dest, f->m->rcpt[i].dest) &&
		    (f->chosen == NULL || f->chosen(f->arg, &f->m->rcpt[k])))
			return true;
	return false;
}

unsigned
fail_recipients(struct scheduler *s, struct fail_all *f)
{
	struct change *head = NULL, **link = NULL;
	unsigned n = 0;
	f->busy = f->changes = 0;
	for (size_t i = 0; i < f->m->rcpts; i++) {
		const struct recipient *r = &f->m->rcpt[i];
		if ((f->chosen != NULL && !f->chosen(f->arg, r)) || chosen_before(f, i))
			continue;
		struct change *c = fail_at_dest(s, f, r, head);
		if (c == NULL)
			continue;
		n += (unsigned)c->report->outcomes;
		f->changes++;
		if (head == NULL)
			head = c;
		else
			*link = c;
		link = &c->then;
	}
	if (head != NULL)
		change_submit(head);
	return n;
}

/* ---- expiry */

static bool
expire(struct scheduler *s, const struct message *m)
{
	struct fail_all f = {.m = m, .status = "5.4.7"};
	(void)fail_recipients(s, &f);
	return f.busy == 0;
}

/* ---- delay warnings */

static bool
warn(struct scheduler *s, const struct message *m)
{
	if (m->warned || m->sender.n == 0 || (m->flags & MESSAGE_NOTICE) || m->rcpts == 0)
		return true;
	struct change *c = NULL;
	for (size_t i = 0; i < m->rcpts; i++) {
		const struct recipient *r = &m->rcpt[i];
		struct dest *d = dest_find(s, r->dest);
		struct entry *e = d ? entry_find(s, m->id, d) : NULL;
		if (e != NULL &&
		    (e->state == ENTRY_RUNNING || e->state == ENTRY_REPORTING)) {
			if (c != NULL)
				change_abandon(c);
			return false; /* what becomes of it is known soon: look again then
				       */
		}
		if (r->state != RECIPIENT_WAITING || !notice_wanted(NOTICE_DELAYED, m, r))
			continue;
		if (c == NULL)
			c = change_new(
			    s, NULL, report_new(m->id, r->dest, scheduler_now(s)));
		const char *status = "4.4.7";
		change_notice(c, r->index, NOTICE_DELAYED, status);
	}
	if (c == NULL)
		return true;
	char id[SPOOL_ID_LEN + 1];
	spool_id_format(m->id, id);
	LOG(s->log, EV_DELAYED, F_STR("id", id), F_ADDR("from", m->sender),
	    F_INT("recipients", c->items));
	c->report->warned = true;
	change_submit(c);
	return true;
}

/* ---- walking */

static bool
old_enough(const struct sweep *w, const struct message *m)
{
	return spool_id_time(m->id).ms <= w->horizon.ms;
}

/* True: dealt with. */
static bool
look_at(struct sweep *w, const struct message *m)
{
	switch (w->kind) {
	case SWEEP_WARN: return warn(w->scheduler, m);
	case SWEEP_BOUNCE: return m->sender.n > 0 || expire(w->scheduler, m);
	default: return m->sender.n == 0 || expire(w->scheduler, m);
	}
}

static void
sweep_run(struct spool_reader *r, void *arg)
{
	struct sweep *w = arg;
	w->err = spool_read_messages(r, w->after, w->m, SWEEP_ROWS, &w->n);
}

static void
sweep_clear(struct sweep *w)
{
	for (size_t i = 0; i < w->n; i++)
		message_unref(&w->m[i]);
	w->n = 0;
}

static void
sweep_drop(void *arg)
{
	struct sweep *w = arg;
	sweep_clear(w);
	mem_free(&w);
}

static void sweep_slice(struct sweep *w);

static void
put_mark(struct scheduler *s, enum sweep_kind kind, uint64_t id)
{
	*mark_of(s, kind) = id;
	struct spool_request *q = spool_mark_start(
	    s->spool, mark_name[kind], id, loop_inbox(s->loop), NULL, NULL);
	(void)q; /* best effort: at worst a sweep looks again at what it has seen */
}

/* Never past what has to be looked at again. */
static void
set_mark(struct scheduler *s, enum sweep_kind kind, uint64_t id)
{
	if (s->unswept != 0 && id >= s->unswept)
		id = s->unswept - 1;
	if (id > *mark_of(s, kind))
		put_mark(s, kind, id);
}

void
sweep_failed(struct scheduler *s, uint64_t id, enum err e)
{
	char text[SPOOL_ID_LEN + 1];
	spool_id_format(id, text);
	LOG(s->log, EV_FAILED,
	    F_STR("what", "writing what becomes of a message; it stays as it was"),
	    F_STR("id", text), F_STR("error", err_text(e)));
	if (s->unswept == 0 || id < s->unswept)
		s->unswept = id;
}

/* Back to before the first one whose change was not written. */
static void
step_back(struct scheduler *s)
{
	uint64_t until = s->unswept;
	s->unswept = 0;
	for (enum sweep_kind k = 0; until != 0 && k < SWEEP_KINDS; k++)
		if (*mark_of(s, k) >= until)
			put_mark(s, k, until - 1);
}

static void
next_kind(struct sweep *w)
{
	struct scheduler *s = w->scheduler;
	do {
		w->kind++;
		if (w->kind < SWEEP_KINDS && w->kind != SWEEP_WARN &&
		    !sweep_may_expire(s))
			w->kind = SWEEP_KINDS;
	} while (w->kind < SWEEP_KINDS && age_of(s, w->kind) <= 0);
	if (w->kind >= SWEEP_KINDS) {
		mem_free(&w);
		timer_set(&s->sweep_timer, SWEEP_MS);
		return;
	}
	w->gap = false;
	w->after = *mark_of(s, w->kind);
	w->horizon = wall_after(scheduler_now(s), -age_of(s, w->kind));
	sweep_slice(w);
}

static void
sweep_done(void *arg)
{
	struct sweep *w = arg;
	struct scheduler *s = w->scheduler;
	uint64_t mark = w->gap ? 0 : w->after;
	bool more = w->n == SWEEP_ROWS;
	s->scan = NULL;
	for (size_t i = 0; i < w->n; i++) {
		if (!old_enough(w, w->m[i])) {
			more = false;
			break;
		}
		w->after = w->m[i]->id;
		w->gap = !look_at(w, w->m[i]) || w->gap;
		if (!w->gap)
			mark = w->m[i]->id;
	}
	set_mark(s, w->kind, mark);
	sweep_clear(w);
	if (more && w->err == OK)
		sweep_slice(w);
	else
		next_kind(w);
}

static void
sweep_slice(struct sweep *w)
{
	struct scheduler *s = w->scheduler;
	s->scan = spool_query_start(
	    s->spool, sweep_run, sweep_done, sweep_drop, w, loop_inbox(s->loop));
}

/* ---- the clock */

bool
sweep_may_expire(const struct scheduler *s)
{
	return loop_now(s->loop).ms >= s->expire_hold.ms;
}

/* A wall clock that ran ahead of the monotonic one by an hour is not believed at once. */
static void
look_at_clocks(struct scheduler *s)
{
	struct wall wall = scheduler_now(s);
	struct instant mono = loop_now(s->loop);
	if (s->sweep_wall.ms != 0) {
		int64_t jump =
		    wall_since(wall, s->sweep_wall) - instant_since(mono, s->sweep_mono);
		if (jump > CLOCK_JUMP_MS) {
			s->expire_hold =
			    instant_after(mono, s->config->retry.interval_ms);
			LOG(s->log, EV_LIMIT, F_STR("what", "the clock jumped ahead"),
			    F_INT("by_s", jump / 1000),
			    F_STR("now", "nothing expires for one retry interval"));
		}
	}
	bool back = s->sweep_wall.ms != 0 && wall.ms < s->sweep_wall.ms;
	s->sweep_wall = wall;
	s->sweep_mono = mono;
	if (back) /* what was put off to a time that is now far away is due */
		MAP_EACH (&s->dests, k)
			dest_step(CONTAINER_OF(k, struct dest, node));
}

static void
on_sweep(void *arg)
{
	struct scheduler *s = arg;
	look_at_clocks(s);
	step_back(s);
	struct sweep *w = NEW(struct sweep);
	w->scheduler = s;
	w->kind = SWEEP_WARN;
	if (age_of(s, SWEEP_WARN) <= 0) {
		next_kind(w);
		return;
	}
	w->after = s->warn_mark;
	w->horizon = wall_after(scheduler_now(s), -age_of(s, SWEEP_WARN));
	sweep_slice(w);
}

/* Whatever has waited for longer than relayd was away gets one more try, and the network
 * the time to come up: nothing expires at once. */
void
sweep_start(struct scheduler *s)
{
	s->expire_hold = instant_after(loop_now(s->loop), s->config->retry.interval_ms);
	timer_init(&s->sweep_timer, s->loop, on_sweep, s);
	timer_set(&s->sweep_timer, SECOND_MS);
}

void
sweep_stop(struct scheduler *s)
{
	timer_clear(&s->sweep_timer);
	if (s->started)
		spool_cancel_query(&s->scan);
}
