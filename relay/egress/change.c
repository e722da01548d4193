/* SPDX-License-Identifier: ISC */
/*
 * change - one report on its way to the spool.  If the sender has to be told,
 * the message is read in the pool and the notice composed there; it goes into
 * the same report, and so into the same transaction.  A notice may tell of other reports
 * of its message, too: those follow when it is on disk, for a failure must never be there
 * without its notice.
 */
#include <string.h>

#include "base/check.h"
#include "base/hand.h"
#include "base/mem.h"
#include "relay/egress/scheduler.h"
#include "relay/routing.h"

#define AGAIN_MS \
	(10 * SECOND_MS) /* a report that the disk refused is made again after this */

struct change *
change_new(struct scheduler *s, struct entry *e, struct report *r)
{
	struct change *c = NEW(struct change);
	c->scheduler = s;
	c->entry = e;
	c->dest = e ? e->key.dest : NULL;
	c->report = r;
	c->id = r->id;
	c->config = config_ref(s->config);
	c->earliest.ms = NO_HEAD;
	list_push(&s->changes, &c->link);
	return c;
}

void
change_notice(struct change *c, uint16_t index, enum notice_kind kind, const char *status)
{
	if ((c->items & (c->items - 1)) == 0)
		c->item = mem_resize(
		    c->item, c->items ? c->items * 2 : 1, sizeof(struct notice_item));
	struct notice_item *i = &c->item[c->items++];
	*i = (struct notice_item){.index = index, .kind = kind};
	span_copy(span_str(status), i->status, sizeof(i->status));
}

static void
change_free(struct change *c)
{
	list_remove(&c->link);
	list_remove(&c->held);
	timer_clear(&c->again);
	report_free(&c->report);
	job_free(&c->job);
	config_unref(&c->config);
	mem_free(&c->item);
	mem_free(&c->wake);
	mem_free(&c);
}

void
change_abandon(struct change *c)
{
	spool_cancel_query(&c->query);
	spool_cancel(&c->request);
	change_free(c);
}

/* ---- the end */

/* Recipients that went to other destinations wait there now. */
static void
wake_moved(struct change *c)
{
	const struct job *j = c->job;
	for (size_t i = 0; j != NULL && i < j->results; i++)
		if (j->result[i].kind == OUTCOME_MOVED)
			dest_expect(
			    dest_get(c->scheduler, span_str(j->result[i].moved_to)),
			    scheduler_now(c->scheduler));
}

static void
change_over(struct change *c, enum err e)
{
	struct scheduler *s = c->scheduler;
	struct dest *d = c->dest;
	bool stuck = c->entry != NULL && c->entry->state == ENTRY_STUCK;
	if (e == OK)
		wake_moved(c);
	if (e == OK && c->wake != NULL)
		dest_expect(dest_get(s, span_str(c->wake)), scheduler_now(s));
	if (c->entry != NULL && !stuck)
		entry_free(c->entry);
	if (d != NULL && e != OK && e != ERR_NOT_FOUND) /* its rows are as they were */
		dest_look_again(d, (struct wall){0});
	if (c->job == NULL && e != OK && e != ERR_NOT_FOUND)
		sweep_failed(s, c->id, e);
	if (d != NULL && c->earliest.ms != NO_HEAD)
		dest_expect(d, c->earliest);
	void (*done)(void *, enum err) = c->done;
	void *arg = c->arg;
	if (hand_crashes(c->id) > 0) {
		if (e == OK && c->job != NULL)
			suspect_reported(c->job);
		suspects_call(s);
	}
	change_free(c);
	if (d != NULL) {
		dest_step(d);
		dest_free_unused(d);
	}
	if (done != NULL)
		done(arg, e);
	scheduler_check_idle(s);
}

/* As if these jobs had just ended: all at once, so that they share a notice again. */
static void
on_again(void *arg)
{
	for (struct change *c = arg; c != NULL; c = c->then) {
		c->entry->state = ENTRY_RUNNING;
		scheduler_count(c->entry, 1);
	}
	for (struct change *c = arg, *then; c != NULL; c = then) {
		struct job *j = c->job;
		then = c->then;
		c->job = NULL;
		c->entry = NULL;
		j->kept = false;
		j->local = true; /* the destination has learnt from it already */
		j->maybe_delivered = false;
		change_free(c);
		on_job_ended(j);
	}
}

/* This one was not written, and so those that follow it are not either. */
static void
unwritten(struct change *c, enum err e)
{
	struct scheduler *s = c->scheduler;
	if (c->job == NULL || s->draining) {
		for (struct change *then; c != NULL; c = then) {
			then = c->then;
			change_over(c, e);
		}
		return;
	}
	/* What the next hop has taken must not be sent again: keep the result and try to
	 * write it until there is room. */
	LOG(s->log, EV_FAILED, F_STR("what", "writing a delivery's result; trying again"),
	    F_STR("dest", c->dest->key), F_STR("error", err_text(e)));
	timer_init(&c->again, s->loop, on_again, c);
	timer_set(&c->again, AGAIN_MS);
}

void
changes_drain(struct scheduler *s)
{
	LIST_EACH (&s->changes, k) {
		struct change *c = CONTAINER_OF(k, struct change, link);
		if (timer_is_set(&c->again))
			timer_set(&c->again, 0);
	}
}

static void on_reported(void *arg, enum err e);

static void
give_to_spool(struct change *c)
{
	struct report *r = c->report;
	c->report = NULL;
	c->request = spool_report_start(
	    c->scheduler->spool, r, loop_inbox(c->scheduler->loop), on_reported, c);
}

/* The notice that tells of these is on disk. */
static void
give_followers(struct change *c)
{
	for (struct change *then; c != NULL; c = then) {
		then = c->then;
		c->then = NULL;
		give_to_spool(c);
	}
}

static void
on_reported(void *arg, enum err e)
{
	struct change *c = arg, *then = c->then;
	c->request = NULL;
	if (e != OK && e != ERR_NOT_FOUND) {
		unwritten(c, e);
		return;
	}
	c->then = NULL;
	if (e == OK)
		give_followers(then);
	else if (then != NULL) /* nor is its notice: they need one of their own */
		unwritten(then, ERR_AGAIN);
	change_over(c, e);
}

/* ---- notices */

struct compose {
	struct change *change; /* main thread only */
	/* what the pool works with: nobody else touches it meanwhile */
	struct report *report;    /* borrowed from the change */
	struct notice_item *item; /* owned */
	size_t items;
	const struct config *config; /* a reference */
	struct world *world;
	struct wall now;
	struct message *notice[2];
	enum err err;
};

static const struct outcome *
outcome_of(const struct report *r, uint16_t index)
{
	for (size_t i = 0; i < r->outcomes; i++)
		if (r->outcome[i].index == index)
			return &r->outcome[i];
	return NULL;
}

static struct message *
compose_kind(struct compose *c, const struct message *m, enum notice_kind kind)
{
	struct notice_recipient *list = mem_alloc((c->items + 1) * sizeof(*list));
	size_t n = 0;
	for (size_t i = 0; i < c->items; i++) {
		const struct recipient *r = message_find_rcpt(m, c->item[i].index);
		const struct notice_item *item = &c->item[i];
		if (item->kind != kind || r == NULL || !notice_wanted(kind, m, r))
			continue;
		struct notice_recipient *to = &list[n++];
		to->address = r->address;
		to->orcpt = r->orcpt;
		memcpy(to->status, item->status, sizeof(to->status));
		to->reply = item->reply ? span_str(item->reply) : r->reply;
		to->host = item->reply ? span_str(item->host) : r->host;
		to->last_try = item->attempted ? c->now : r->last_try;
		to->expires =
		    backoff_expiry(&c->config->retry, m->arrival, m->sender.n == 0);
	}
	struct notice notice = {
	    kind, c->config->policy.hostname, m, list, n, c->now, c->world};
	struct message *out = n ? notice_compose(&notice) : NULL;
	mem_free(&list);
	return out;
}

/* The notice's own recipient, the sender, needs a destination. */
static bool
address_notice(struct compose *c, struct message *notice)
{
	struct recipient *to = &notice->rcpt[0];
	const struct route *route = routing_find(&c->config->policy.routes, notice, to);
	struct buf key;
	buf_init(&key, 400);
	bool ok = route != NULL && route->deliver != ROUTE_REJECT &&
		  route_key(route, to->address, &key) == OK;
	if (ok) {
		to->dest = message_keep(notice, buf_span(&key));
		to->due = c->now;
		if (route->deliver == ROUTE_HOLD)
			to->state = RECIPIENT_HELD;
	}
	buf_clear(&key);
	return ok;
}

static void
compose_run(struct spool_reader *reader, void *arg)
{
	static const enum notice_kind kinds[] = {
	    NOTICE_FAILED, NOTICE_DELAYED, NOTICE_RELAYED, NOTICE_DELIVERED};
	struct compose *c = arg;
	struct message *m = NULL;
	uint64_t was = hand_take(c->report->id);
	bool whole = !hand_condemned(c->report->id);
	c->err = spool_read_message(reader, c->report->id, whole, &m);
	if (c->err != OK &&
	    c->err != ERR_NOT_FOUND) /* without a part of the original, then */
		c->err = spool_read_message(reader, c->report->id, false, &m);
	size_t n = 0;
	for (size_t i = 0; c->err == OK && i < COUNT_OF(kinds) && n < COUNT_OF(c->notice);
	     i++) {
		struct message *notice = compose_kind(c, m, kinds[i]);
		if (notice != NULL && address_notice(c, notice))
			c->notice[n++] = notice;
		else
			message_unref(&notice);
	}
	message_unref(&m);
	hand_back(was);
}

static void
compose_drop(void *arg)
{
	struct compose *c = arg;
	message_unref(&c->notice[0]);
	message_unref(&c->notice[1]);
	config_unref(&c->config);
	report_free(&c->report);
	for (size_t i = 0; i < c->items; i++) {
		mem_free(&c->item[i].reply);
		mem_free(&c->item[i].host);
	}
	mem_free(&c->item);
	mem_free(&c);
}

static void
compose_done(void *arg)
{
	struct compose *c = arg;
	struct change *change = c->change;
	struct scheduler *s = change->scheduler;
	enum err e = c->err;
	change->query = NULL;
	change->report = c->report;
	c->report = NULL;
	if (e != OK && e != ERR_NOT_FOUND && e != ERR_DAMAGED) {
		compose_drop(c);
		unwritten(change, e); /* no failure without its notice */
		return;
	}
	for (size_t i = 0; i < COUNT_OF(c->notice); i++) {
		change->report->notice[i] = c->notice[i];
		if (c->notice[i] != NULL)
			atomic_fetch_add_explicit(
			    &s->counters->notices, 1, memory_order_relaxed);
		c->notice[i] = NULL;
	}
	if (change->report->notice[0] == NULL && e != ERR_NOT_FOUND) {
		char id[SPOOL_ID_LEN + 1];
		spool_id_format(change->report->id, id);
		LOG(s->log, EV_DROPPED, F_STR("id", id),
		    F_STR("why", "the notice to the sender has no route or could not be "
				 "composed"));
	}
	compose_drop(c);
	give_to_spool(change);
}

/* What was said now to the recipients of this change and of those that go with it. */
static void
take_words(struct change *change)
{
	for (size_t i = 0; i < change->items; i++) {
		struct notice_item *item = &change->item[i];
		const struct outcome *o = NULL;
		for (struct change *c = change; c != NULL && o == NULL; c = c->then)
			o = outcome_of(c->report, item->index);
		if (o == NULL)
			continue;
		item->attempted = o->attempted;
		if (o->reply.n == 0)
			continue;
		item->reply = span_dup(o->reply);
		item->host = span_dup(o->host);
	}
}

void
change_submit(struct change *change)
{
	struct scheduler *s = change->scheduler;
	if (change->items == 0) {
		give_to_spool(change);
		return;
	}
	take_words(change);
	struct compose *c = NEW(struct compose);
	c->change = change;
	c->report = change->report;
	change->report = NULL;
	c->item = change->item;
	c->items = change->items;
	change->item = NULL;
	c->config = config_ref(change->config);
	c->world = s->world;
	c->now = scheduler_now(s);
	change->query = spool_query_start(
	    s->spool, compose_run, compose_done, compose_drop, c, loop_inbox(s->loop));
}
