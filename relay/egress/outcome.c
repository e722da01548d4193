/* SPDX-License-Identifier: ISC */
/*
 * outcome - a job has come back: what it means for the destination, for each
 * recipient, and for the sender.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/egress/failed.h"
#include "relay/egress/scheduler.h"

static struct span
verdict_line(const struct verdict *v, struct buf *b)
{
	buf_reset(b);
	if (v->code != 0)
		verdict_add(b, v);
	return buf_span(b);
}

struct reporter {
	struct scheduler *s;
	struct job *job;
	struct entry *entry;
	struct dest *dest;
	const struct message *m;
	struct change *change;
	struct wall now;
	uint64_t dice; /* one for all: recipients deferred together come back together */
	bool thrown;
	const char *host; /* who said what is being reported */
	struct buf line;
	char id[SPOOL_ID_LEN + 1];
};

static void
log_outcome(struct reporter *p, enum log_event ev, const struct recipient *r,
    const struct verdict *v, struct wall next)
{
	struct buf when;
	buf_init(&when, 64);
	if (next.ms != 0)
		wall_add_iso(&when, next);
	struct span reply = verdict_line(v, &p->line);
	if (next.ms != 0)
		LOG(p->s->log, ev, F_STR("id", p->id), F_ADDR("to", r->address),
		    F_ADDR("from", p->m->sender), F_STR("host", p->host),
		    F_SPAN("reply", reply), F_INT("attempts", r->attempts + 1),
		    F_SPAN("next", buf_span(&when)));
	else
		LOG(p->s->log, ev, F_STR("id", p->id), F_ADDR("to", r->address),
		    F_ADDR("from", p->m->sender), F_STR("host", p->host),
		    F_SPAN("reply", reply), F_INT("attempts", r->attempts + 1),
		    F_INT("delay_ms", wall_since(p->now, p->m->arrival)));
	buf_clear(&when);
}

static void
count(atomic_uint_fast64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void
fail(struct reporter *p, const struct recipient *r, struct outcome *o,
    const struct verdict *v, const char *status)
{
	o->kind = OUTCOME_FAILED;
	egress_count_bounce(p->s->counters, status);
	log_outcome(p, EV_BOUNCED, r, v, (struct wall){0});
	if (notice_wanted(NOTICE_FAILED, p->m, r))
		change_notice(p->change, r->index, NOTICE_FAILED, status);
	else
		LOG(p->s->log, EV_DROPPED, F_STR("id", p->id), F_ADDR("to", r->address),
		    F_STR("why", p->m->sender.n ? "the sender wanted no notice"
						: "no notice to the null sender"));
}

static void
wait_or_expire(struct reporter *p, const struct recipient *r, struct outcome *o,
    const struct verdict *v)
{
	const struct retry_config *retry = &p->s->config->retry;
	struct wall expiry = backoff_expiry(retry, p->m->arrival, p->m->sender.n == 0);
	if (p->now.ms >= expiry.ms && sweep_may_expire(p->s)) {
		fail(p, r, o, v, "5.4.7");
		return;
	}
	o->kind = OUTCOME_WAIT;
	if (!p->thrown)
		p->dice = world_random_u64(p->s->world);
	p->thrown = true;
	o->due =
	    p->dest->state == DEST_DOWN
		? p->dest->retry_at
		: wall_after(p->now, backoff_delay_ms(retry, r->attempts + 1, p->dice));
	count(&p->s->counters->deferred);
	log_outcome(p, EV_DEFERRED, r, v, o->due);
}

static void
deliver(struct reporter *p, const struct recipient *r, const struct job_result *res)
{
	count(&p->s->counters->delivered);
	int64_t ms = wall_since(p->now, p->m->arrival);
	histogram_add(&p->s->counters->seconds, ms > 0 ? (uint64_t)ms : 0);
	log_outcome(p, EV_DELIVERED, r, &res->verdict, (struct wall){0});
	enum notice_kind kind = res->mailing != NULL ? NOTICE_DELIVERED : NOTICE_RELAYED;
	if ((!res->relayed && res->mailing == NULL) || !notice_wanted(kind, p->m, r))
		return;
	change_notice(p->change, r->index, kind, "2.0.0");
	LOG(p->s->log, EV_RELAYED_NOTICE, F_STR("id", p->id), F_ADDR("to", r->address),
	    F_ADDR("from", p->m->sender));
}

static void
report_result(struct reporter *p, const struct job_result *res)
{
	const struct recipient *r = message_find_rcpt(p->m, res->index);
	if (r == NULL)
		return;
	char status[16];
	struct outcome o = {
	    .index = res->index, .kind = res->kind, .attempted = res->attempted};
	p->host = res->earlier ? p->job->earlier_host : p->job->host;
	verdict_status(&res->verdict, status);
	switch (res->kind) {
	case OUTCOME_DELIVERED:
		deliver(p, r, res);
		o.drop = res->mailing != NULL ? res->mailing->drop : NULL;
		o.drops = res->mailing != NULL ? res->mailing->n : 0;
		break;
	case OUTCOME_FAILED: fail(p, r, &o, &res->verdict, status); break;
	case OUTCOME_WAIT: wait_or_expire(p, r, &o, &res->verdict); break;
	case OUTCOME_MOVED:
		o.dest = span_str(res->moved_to);
		o.due = p->now;
		break;
	case OUTCOME_HELD:
	case OUTCOME_ASIDE:
	case OUTCOME_DELETED: break;
	}
	o.reply = verdict_line(&res->verdict, &p->line);
	if (res->verdict.peer) /* our own words are not put into somebody else's mouth */
		o.host = span_str(p->host);
	report_add(p->change->report, &o);
	if (o.kind == OUTCOME_WAIT && o.due.ms < p->change->earliest.ms)
		p->change->earliest = o.due;
}

/*
 * What the spool has for this entry cannot be trusted, or relayd has crashed of it: set
 * all of it aside.
 */
static void
report_aside(struct reporter *p)
{
	struct outcome o = {.kind = OUTCOME_ASIDE};
	unsigned crashes = hand_crashes(p->job->id);
	if (hand_condemned(p->job->id)) {
		struct verdict v = verdict_make(451, "4.3.0",
		    SUSPECT_REPLY " %u times with this message in hand", crashes);
		o.reply = verdict_line(&v, &p->line);
		o.attempted = true;
		LOG(p->s->log, EV_SET_ASIDE, F_STR("id", p->id),
		    F_STR("dest", p->dest->key), F_INT("crashes", crashes),
		    F_STR("do", "report it; when relayd is better: relayctl release"));
	} else {
		LOG(p->s->log, EV_SPOOL_DAMAGED, F_STR("id", p->id),
		    F_STR("dest", p->dest->key),
		    F_STR("do", "look at it with: relayctl show; then delete it"));
	}
	for (size_t i = 0; p->m != NULL && i < p->m->rcpts; i++) {
		o.index = p->m->rcpt[i].index;
		if (span_eq(p->m->rcpt[i].dest, span_str(p->dest->key)))
			report_add(p->change->report, &o);
	}
}

/*
 * ---- one notice for several failures
 *
 * The sender of a message to three domains that do not exist wants one notice, not
 * three.  So a report that holds nothing but failures waits while other jobs of
 * the same message are running, for as long as their time-outs let them; then all
 * of them go to the spool together, behind the first, whose notice tells of all.
 * A delivery is never held back: it must not be repeated after a crash.
 */

static bool
only_failures(const struct change *c)
{
	for (size_t i = 0; i < c->report->outcomes; i++)
		if (c->report->outcome[i].kind != OUTCOME_FAILED)
			return false;
	return c->items > 0;
}

/* Is another job of this message running? */
static bool
others_run(struct scheduler *s, const struct change *c)
{
	const struct message *m = c->job->message;
	for (size_t i = 0; m != NULL && i < m->rcpts; i++) {
		struct dest *d = dest_find(s, m->rcpt[i].dest);
		struct entry *e =
		    d != NULL && d != c->dest ? entry_find(s, m->id, d) : NULL;
		if (e != NULL && e->state == ENTRY_RUNNING)
			return true;
	}
	return false;
}

/* What is held for this message goes with c, and c's notice tells of it. */
static void
take_held(struct scheduler *s, struct change *c)
{
	struct change *last = c;
	LIST_EACH (&s->held, k) {
		struct change *h = CONTAINER_OF(k, struct change, held);
		if (h->report->id != c->report->id)
			continue;
		list_remove(&h->held);
		for (size_t i = 0; i < h->items; i++)
			change_notice(
			    c, h->item[i].index, h->item[i].kind, h->item[i].status);
		h->items = 0;
		last->then = h;
		last = h;
	}
}

static void
submit_or_hold(struct scheduler *s, struct change *c)
{
	if (only_failures(c) && others_run(s, c)) {
		list_push(&s->held, &c->held);
		return;
	}
	if (c->items > 0)
		take_held(s, c);
	change_submit(c);
}

/* A job of this message has ended otherwise: failures may wait for nobody any more. */
static void
release_held(struct scheduler *s, uint64_t id)
{
	LIST_EACH (&s->held, k) {
		struct change *c = CONTAINER_OF(k, struct change, held);
		if (c->report->id != id)
			continue;
		if (!others_run(s, c)) {
			list_remove(&c->held);
			take_held(s, c);
			change_submit(c);
		}
		return; /* those of one message go together */
	}
}

static void
report_job(struct scheduler *s, struct entry *e, struct job *j)
{
	struct reporter p = {.s = s,
	    .job = j,
	    .entry = e,
	    .dest = e->key.dest,
	    .m = j->message,
	    .now = scheduler_now(s)};
	buf_init(&p.line, 1024);
	spool_id_format(j->id, p.id);
	if (j->maybe_delivered) {
		count(&s->counters->duplicates);
		LOG(s->log, EV_POSSIBLE_DUPLICATE, F_STR("id", p.id),
		    F_STR("host", j->host));
	}
	p.change = change_new(s, e, report_new(j->id, span_str(p.dest->key), p.now));
	if (j->end == JOB_DAMAGED)
		report_aside(&p);
	for (size_t i = 0; i < j->results; i++)
		report_result(&p, &j->result[i]);
	buf_clear(&p.line);
	failed_keep(s->spool, s->config, p.change->report, p.m);
	p.change->job = j;
	if (p.change->report->outcomes == 0 && j->end == JOB_DAMAGED) {
		e->state =
		    ENTRY_STUCK; /* nothing readable to change: keep others from it */
		suspect_ended(e);
	}
	submit_or_hold(s, p.change);
}

/* Who greets and then says no more is not one of those that others wait for. */
static bool
has_answered(const struct job *j)
{
	for (size_t i = 0; i < j->results; i++)
		if (j->result[i].kind == OUTCOME_DELIVERED ||
		    j->result[i].kind == OUTCOME_FAILED)
			return true;
	return false;
}

static void
learn(struct dest *d, const struct job *j)
{
	if (j->end == JOB_DONE)
		d->proven = has_answered(j);
	if (j->local || j->end == JOB_GONE || j->end == JOB_DAMAGED ||
	    j->end == JOB_UNREADABLE)
		return;
	struct alarms *alarms = &d->scheduler->alarms;
	struct span route = route_key_split(span_str(d->key)).route;
	if (j->sign_in.code != 0)
		alarm_raise(
		    alarms, d->scheduler->config, route, j->sign_in_host, &j->sign_in);
	if (j->end == JOB_UNREACHABLE) {
		dest_failed(d, &j->verdict, j->trouble != TROUBLE_NONE);
	} else if (j->session) {
		alarm_over(alarms, route, d->at_once ? NULL : j->host);
		dest_worked(d);
	}
}

void
on_job_ended(struct job *j)
{
	struct entry *e = j->owner;
	struct dest *d = e->key.dest;
	struct scheduler *s = d->scheduler;
	uint64_t id = j->id, was = hand_take(id);
	CHECK(e->state == ENTRY_RUNNING);
	scheduler_count(e, -1);
	if (j->kept && d->idle == NULL)
		d->idle = mem_alloc(s->couriers * sizeof(*d->idle));
	if (j->kept && d->idle[e->courier] < UINT16_MAX)
		d->idle[e->courier]++;
	learn(d, j);
	e->state = ENTRY_REPORTING;
	if (j->end == JOB_DONE || j->end == JOB_UNREACHABLE || j->end == JOB_DAMAGED) {
		report_job(s, e, j);
	} else {
		struct wall again = scheduler_now(s);
		if (j->end == JOB_UNREADABLE) {
			dest_look_again(d, (struct wall){0});
			dest_expect(d, wall_after(again, 30 * SECOND_MS));
		}
		entry_free(e);
		job_free(&j);
	}
	release_held(s, id);
	dest_step(d);
	dest_free_unused(d);
	scheduler_check_idle(s);
	hand_back(was);
}
