/* SPDX-License-Identifier: ISC */
/*
 * actions - what an administrator does to messages and destinations.  Each
 * action is a report like any other; what a courier has in hand is left alone.  Held
 * recipients are in nobody's hands, and are released beside others of their message.
 */
#include <string.h>

#include "base/mem.h"
#include "relay/egress/scheduler.h"

struct act {
	struct scheduler *scheduler;
	const uint16_t *index; /* borrowed during scheduler_act only; NULL: all */
	size_t n;
	enum admin_action action;
	uint64_t id;      /* of the message */
	unsigned waiting; /* reports under way */
	unsigned touched, applied;
	bool failed;
	void (*done)(void *arg, unsigned applied);
	void *arg;
	struct later later;
};

static bool
chosen(void *arg, const struct recipient *r)
{
	const struct act *a = arg;
	if (a->action == ADMIN_RELEASE && r->state != RECIPIENT_HELD &&
	    !suspect_is_aside(a->id, r))
		return false;
	if (a->action == ADMIN_HOLD && r->state != RECIPIENT_WAITING)
		return false;
	if (a->action == ADMIN_RETRY && r->state != RECIPIENT_WAITING)
		return false;
	if (a->index == NULL)
		return true;
	for (size_t i = 0; i < a->n; i++)
		if (a->index[i] == r->index)
			return true;
	return false;
}

static void
tell(void *arg)
{
	struct act *a = arg;
	void (*done)(void *, unsigned) = a->done;
	void *done_arg = a->arg;
	unsigned applied = a->failed ? 0 : a->touched;
	later_clear(&a->later);
	mem_free(&a);
	done(done_arg, applied);
}

static void
one_over(void *arg, enum err e)
{
	struct act *a = arg;
	if (e != OK)
		a->failed = true;
	if (--a->waiting == 0)
		tell(a);
}

static struct outcome
outcome_for(const struct act *a, const struct recipient *r)
{
	struct outcome o = {.index = r->index, .due = scheduler_now(a->scheduler)};
	switch (a->action) {
	case ADMIN_HOLD: o.kind = OUTCOME_HELD; break;
	case ADMIN_DELETE: o.kind = OUTCOME_DELETED; break;
	case ADMIN_RETRY:
	case ADMIN_RELEASE:
	case ADMIN_BOUNCE: o.kind = OUTCOME_WAIT; break;
	}
	return o;
}

/* Retry and release: look at the destination at once, even if it was given up for a
 * while. */
static void
after(struct act *a, struct change *c, struct dest *d)
{
	if (a->action != ADMIN_RETRY && a->action != ADMIN_RELEASE)
		return;
	c->earliest = scheduler_now(a->scheduler);
	dest_probe_now(d);
}

static void
submit(struct act *a, struct change *c)
{
	c->done = one_over;
	c->arg = a;
	a->waiting++;
	change_submit(c);
}

/* Some of the message's recipients there are being delivered: without an entry. */
static void
release_beside(struct act *a, const struct message *m, struct entry *e)
{
	struct scheduler *s = a->scheduler;
	struct span key = span_str(e->key.dest->key);
	struct change *c = NULL;
	for (size_t i = 0; i < m->rcpts; i++) {
		const struct recipient *r = &m->rcpt[i];
		if (!span_eq(r->dest, key) || r->state != RECIPIENT_HELD || !chosen(a, r))
			continue;
		if (c == NULL)
			c = change_new(s, NULL, report_new(m->id, key, scheduler_now(s)));
		struct outcome o = outcome_for(a, r);
		report_add(c->report, &o);
		a->touched++;
	}
	if (c == NULL)
		return;
	e->again = true; /* written before that one ends, or behind it */
	c->wake = span_dup(key);
	submit(a, c);
}

static void
act_at_dest(struct act *a, const struct message *m, const struct recipient *first)
{
	struct scheduler *s = a->scheduler;
	struct dest *d = dest_get(s, first->dest);
	struct entry *e = entry_find(s, m->id, d);
	if (e != NULL && (e->state == ENTRY_RUNNING || e->state == ENTRY_REPORTING)) {
		if (a->action == ADMIN_RELEASE)
			release_beside(a, m, e);
		return;
	}
	bool was_ready = e != NULL;
	if (was_ready)
		entry_free(e);
	e = entry_new(d, m->id, NULL);
	e->state = ENTRY_REPORTING;
	e->again = was_ready; /* for those of its recipients that are not concerned */
	struct change *c =
	    change_new(s, e, report_new(m->id, first->dest, scheduler_now(s)));
	for (size_t i = 0; i < m->rcpts; i++) {
		const struct recipient *r = &m->rcpt[i];
		if (!span_eq(r->dest, first->dest) || !chosen(a, r))
			continue;
		struct outcome o = outcome_for(a, r);
		report_add(c->report, &o);
		a->touched++;
	}
	after(a, c, d);
	submit(a, c);
}

static bool
first_chosen_of_dest(const struct act *a, const struct message *m, size_t i)
{
	void *arg = (void *)(uintptr_t)a;
	if (!chosen(arg, &m->rcpt[i]))
		return false;
	for (size_t k = 0; k < i; k++)
		if (chosen(arg, &m->rcpt[k]) && span_eq(m->rcpt[k].dest, m->rcpt[i].dest))
			return false;
	return true;
}

static void
act_on(struct act *a, const struct message *m)
{
	if (a->action == ADMIN_BOUNCE) {
		struct fail_all f = {.m = m,
		    .status = "5.7.1",
		    .chosen = chosen,
		    .done = one_over,
		    .arg = a};
		f.verdict = verdict_make(
		    554, "5.7.1", "returned by the administrator of this relay");
		a->touched = fail_recipients(a->scheduler, &f);
		a->waiting += f.changes;
		return;
	}
	for (size_t i = 0; i < m->rcpts; i++)
		if (first_chosen_of_dest(a, m, i))
			act_at_dest(a, m, &m->rcpt[i]);
}

void
scheduler_act(struct scheduler *s, enum admin_action action, const struct message *m,
    const uint16_t *index, size_t n, void (*done)(void *arg, unsigned applied), void *arg)
{
	struct act *a = NEW(struct act);
	a->scheduler = s;
	a->action = action;
	a->index = index;
	a->n = n;
	a->done = done;
	a->arg = arg;
	a->id = m->id;
	later_init(&a->later, s->loop, tell, a);
	act_on(a, m);
	if (action == ADMIN_RELEASE && a->touched > 0)
		hand_clear(m->id); /* its crashes are forgiven */
	a->index = NULL;           /* borrowed: not looked at any more */
	if (a->waiting == 0)
		later_set(&a->later);
}

/* ---- pauses */

static struct pause *
find_pause(const struct scheduler *s, struct span key)
{
	LIST_EACH (&s->pauses, k) {
		struct pause *p = CONTAINER_OF(k, struct pause, link);
		if (span_eq(span_str(p->key), key))
			return p;
	}
	return NULL;
}

static void
pause_free(struct pause *p)
{
	list_remove(&p->link);
	mem_free(&p->key);
	mem_free(&p->reason);
	mem_free(&p);
}

static void
step_all(struct scheduler *s)
{
	MAP_EACH (&s->dests, k)
		dest_step(CONTAINER_OF(k, struct dest, node));
}

static bool
pause_covers(const struct pause *p, const struct dest *d)
{
	struct span key = span_str(p->key), dest = span_str(d->key);
	if (span_eq(key, SPAN("out")) || span_eq(key, dest))
		return true;
	if (!span_starts(key, SPAN("route:")))
		return false;
	struct span name = span_cut(key, 6, key.n);
	return span_eq(route_key_split(dest).route, name);
}

const struct pause *
scheduler_paused(const struct scheduler *s, const struct dest *d)
{
	struct wall now = scheduler_now(s);
	LIST_EACH (&s->pauses, k) {
		const struct pause *p = CONTAINER_OF(k, struct pause, link);
		if (pause_covers(p, d) && (p->until.ms == 0 || p->until.ms > now.ms))
			return p;
	}
	return NULL;
}

void
scheduler_pause(
    struct scheduler *s, struct span key, struct wall until, struct span reason)
{
	struct pause *p = find_pause(s, key);
	if (p != NULL)
		pause_free(p);
	p = NEW(struct pause);
	p->key = span_dup(key);
	p->reason = span_dup(reason);
	p->until = until;
	list_push(&s->pauses, &p->link);
	step_all(s);
}

bool
scheduler_resume(struct scheduler *s, struct span key)
{
	struct pause *p = find_pause(s, key);
	if (p == NULL)
		return false;
	pause_free(p);
	step_all(s);
	return true;
}
