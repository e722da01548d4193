/* SPDX-License-Identifier: ISC */
/* view - what an administrator sees of the scheduler: states, reasons, next steps. */
#include <string.h>

#include "base/mem.h"
#include "relay/egress/scheduler.h"

static const char *
state_name(const struct scheduler *s, const struct dest *d)
{
	if (scheduler_paused(s, d) != NULL)
		return "paused";
	switch (d->state) {
	case DEST_UP: return "up";
	case DEST_DOWN: return "down";
	case DEST_PROBING: return "probing";
	}
	return "?";
}

static struct wall
next_of(const struct dest *d, struct wall now)
{
	if (d->state == DEST_DOWN)
		return d->retry_at;
	if (d->ready_n > 0 || d->running > 0 || d->head.ms == NO_HEAD ||
	    d->head.ms <= now.ms)
		return (struct wall){0};
	return d->head;
}

void
scheduler_status(const struct scheduler *s, struct scheduler_status *out)
{
	*out =
	    (struct scheduler_status){.destinations = s->dests.n, .running = s->running};
	MAP_EACH (&s->dests, k) {
		const struct dest *d = CONTAINER_OF(k, struct dest, node);
		out->ready += d->ready_n;
		out->down += d->state != DEST_UP;
		out->paused += scheduler_paused(s, d) != NULL;
	}
	MAP_EACH (&s->entries, k) {
		const struct entry *e = CONTAINER_OF(k, struct entry, node);
		out->stuck += e->state == ENTRY_STUCK;
	}
	LIST_EACH (&s->pauses, k) {
		const struct pause *p = CONTAINER_OF(k, struct pause, link);
		out->all_paused |=
		    strcmp(p->key, "out") == 0 &&
		    (p->until.ms == 0 || p->until.ms > scheduler_now(s).ms);
	}
	if (s->timers.n > 0)
		out->next_due = (struct wall){heap_min(&s->timers)->key};
}

/*
 * A row that is due and in memory is an entry; one that is not is behind the lower
 * bound that its destination keeps, or is being read just now.
 */
bool
scheduler_will_come_back(
    const struct scheduler *s, const struct message *m, const struct recipient *r)
{
	struct dest *d = dest_find(s, r->dest);
	if (d == NULL)
		return false;
	const struct entry *e = entry_find(s, m->id, d);
	if (e != NULL)
		return e->state != ENTRY_STUCK;
	struct wall now = scheduler_now(s);
	struct wall due = backoff_sane_due(&s->config->retry, r->due, now);
	struct wall soon =
	    wall_after(now, MINUTE_MS); /* a read that failed comes again */
	bool awake = d->ready_n > 0 || d->running > 0 || heap_has(&d->timer) ||
		     scheduler_paused(s, d) != NULL;
	return d->fetch != NULL ||
	       (awake && d->head.ms <= (due.ms > soon.ms ? due.ms : soon.ms));
}

void
scheduler_each_destination(const struct scheduler *s,
    void (*told)(void *arg, const struct destination_view *v), void *arg)
{
	struct wall now = scheduler_now(s);
	MAP_EACH (&s->dests, k) {
		const struct dest *d = CONTAINER_OF(k, struct dest, node);
		struct destination_view v = {
		    .key = span_str(d->key),
		    .state = state_name(s, d),
		    .running = d->running,
		    .ready = d->ready_n,
		    .window = d->feedback.window,
		    .failures = d->failures,
		    .next = next_of(d, now),
		    .reason = span_str(dest_reason(d)->text),
		};
		told(arg, &v);
	}
}

void
scheduler_each_running(
    const struct scheduler *s, void (*told)(void *arg, uint64_t id), void *arg)
{
	MAP_EACH (&s->entries, k) {
		const struct entry *e = CONTAINER_OF(k, struct entry, node);
		if (e->state == ENTRY_RUNNING)
			told(arg, e->key.id);
	}
}

struct wall
scheduler_next_attempt(
    const struct scheduler *s, const struct message *m, const struct recipient *r)
{
	struct wall now = scheduler_now(s);
	const struct dest *d = dest_find(s, r->dest);
	struct wall due = backoff_sane_due(&s->config->retry, r->due, now);
	(void)m;
	if (d != NULL && d->state == DEST_DOWN && d->retry_at.ms > due.ms)
		due = d->retry_at;
	return due.ms <= now.ms ? (struct wall){0} : due;
}

static void
add_when(struct buf *out, struct wall t, struct wall now)
{
	wall_add_local(out, t);
	if (t.ms > now.ms) {
		buf_add_str(out, " (in ");
		duration_add(out, wall_since(t, now));
		buf_add_str(out, ")");
	}
}

static void
explain_down(const struct dest *d, struct wall now, struct buf *out)
{
	buf_addf(out, "Destination %s is down after %u failure%s in a row (", d->key,
	    d->failures, d->failures == 1 ? "" : "s");
	buf_add_escaped(out, span_str(dest_reason(d)->text));
	buf_add_str(out, "); one message probes it again at ");
	add_when(out, d->retry_at, now);
	buf_add_str(out, ", and all its mail goes out when that works.");
}

/* Does the rate of its route keep it back? */
static bool
explain_rate(const struct dest *d, const struct entry *e, struct wall due,
    struct wall now, struct buf *out)
{
	if (d == NULL || d->lane == NULL || (e == NULL && due.ms > now.ms))
		return false;
	struct buf why;
	buf_init(&why, 1024);
	bool kept = lane_explain(d->lane, &why);
	if (kept) {
		buf_add_str(out, "It waits its turn: ");
		buf_add_span(out, buf_span(&why));
		buf_add_str(out, ".");
	}
	buf_clear(&why);
	return kept;
}

static void
explain_pause(const struct pause *p, struct wall now, struct buf *out)
{
	buf_addf(out, "Delivery is paused (%s", p->key);
	if (p->reason[0] != '\0') {
		buf_add_str(out, ": ");
		buf_add_escaped(out, span_str(p->reason));
	}
	buf_add_str(out, ")");
	if (p->until.ms != 0) {
		buf_add_str(out, " until ");
		add_when(out, p->until, now);
	} else {
		buf_addf(out, "; go on with: relayctl resume %s", p->key);
	}
	buf_add_str(out, ".");
}

static void
explain_entry(const struct dest *d, const struct entry *e, struct buf *out)
{
	switch (e->state) {
	case ENTRY_RUNNING: buf_add_str(out, "It is being delivered right now."); break;
	case ENTRY_REPORTING:
		buf_add_str(out, "Its result is being written to the spool.");
		break;
	case ENTRY_STUCK:
		buf_add_str(out, "It is damaged in the spool and is not tried.");
		break;
	case ENTRY_READY:
		buf_addf(out,
		    "It is next in line: %u of %u connections to %s are busy, %u "
		    "messages wait with it.",
		    d->running, d->feedback.window, d->key, d->ready_n - 1);
		break;
	}
}

void
scheduler_explain(const struct scheduler *s, const struct message *m,
    const struct recipient *r, struct buf *out)
{
	struct wall now = scheduler_now(s);
	struct dest *d = dest_find(s, r->dest);
	const struct entry *e = d ? entry_find(s, m->id, d) : NULL;
	const struct pause *p = d ? scheduler_paused(s, d) : NULL;
	struct wall due = backoff_sane_due(&s->config->retry, r->due, now);
	if (r->state == RECIPIENT_HELD) {
		buf_add_str(out,
		    "It is held until an administrator releases it: relayctl release.");
	} else if (suspect_is_aside(m->id, r)) {
		unsigned known = hand_crashes(m->id);
		buf_addf(out,
		    "It is set aside: relayd has crashed %u times with this message in "
		    "hand. Please report it; when relayd is better: relayctl release.",
		    known > HAND_CRASHES ? known : HAND_CRASHES);
	} else if (r->state == RECIPIENT_ASIDE) {
		buf_add_str(out, "The stored message is damaged; it is kept for "
				 "inspection and not sent.");
	} else if (e != NULL && e->state != ENTRY_READY) {
		explain_entry(d, e, out);
	} else if (p != NULL) {
		explain_pause(p, now, out);
	} else if (d != NULL && d->state == DEST_DOWN) {
		explain_down(d, now, out);
	} else if (explain_rate(d, e, due, now, out)) {
		return;
	} else if (e != NULL) {
		explain_entry(d, e, out);
	} else if (due.ms > now.ms) {
		buf_add_str(out, "The next attempt is at ");
		add_when(out, due, now);
		buf_add_str(out, ".");
	} else {
		buf_add_str(out,
		    "It is due and goes out when its destination has a free connection.");
	}
}
