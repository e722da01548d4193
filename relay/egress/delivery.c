/* SPDX-License-Identifier: ISC */
/* delivery - a job from the message's bytes to a result for each recipient; see
 * delivery.h. */
#include "relay/egress/delivery.h"

#include <string.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/hand.h"
#include "base/mem.h"
#include "relay/egress/backoff.h"
#include "relay/egress/local.h"
#include "relay/routing.h"

#define ADDRESS_MAX 1024 /* octets of a rewritten recipient, with room to spare */

/* ---- end */

static void
on_back(struct parcel *p)
{
	struct job *j = CONTAINER_OF(p, struct job, parcel);
	j->ended(j);
}

static void
end(struct delivery *d, enum job_end how)
{
	struct job *j = d->job;
	j->end = how;
	j->took_ms = instant_since(loop_now(d->courier->loop), d->began);
	if (d->client != NULL) {
		span_copy(span_str(client_peer(d->client)), j->host, sizeof(j->host));
		bool keep = how == JOB_DONE && d->config == d->courier->config &&
			    client_messages(d->client) < d->config->client.messages;
		j->kept = keep && !d->courier->closing;
		if (keep)
			idle_keep(d->courier, j->dest, &d->now, &d->client);
		else
			client_quit(&d->client);
	}
	spool_cancel_query(&d->query);
	resolver_cancel(&d->mx);
	list_remove(&d->link);
	config_unref(&d->config);
	hop_list_clear(&d->list);
	rewriting_job_clear(&d->rewriting);
	buf_clear(&d->addresses);
	mem_free(&d->todo);
	mem_free(&d);
	j->parcel.open = on_back;
	inbox_post(j->back, &j->parcel);
}

void
delivery_cancel_all(struct courier *c)
{
	LIST_EACH (&c->deliveries, k) {
		struct delivery *d = CONTAINER_OF(k, struct delivery, link);
		if (d->client != NULL)
			client_free(&d->client);
		end(d, JOB_CANCELLED);
	}
}

bool
delivery_uses(const struct courier *c, const struct tls_client *tls)
{
	LIST_EACH (&c->deliveries, k)
		if (CONTAINER_OF(k, struct delivery, link)->tls == tls)
			return true;
	return false;
}

/* ---- results */

static enum outcome_kind
kind_of(const struct verdict *v)
{
	if (verdict_ok(v))
		return OUTCOME_DELIVERED;
	return verdict_permanent(v) ? OUTCOME_FAILED : OUTCOME_WAIT;
}

static void
result(struct delivery *d, const struct recipient *r, enum outcome_kind kind,
    const struct verdict *v, bool attempted)
{
	job_add(d->job, r, kind, v)->attempted = attempted;
}

/* All recipients still without a result get this one. */
static void
result_rest(struct delivery *d, const struct verdict *v)
{
	for (size_t i = 0; i < d->todos; i++)
		result(d, d->todo[i].rcpt, kind_of(v), v, true);
	d->todos = 0;
}

/* Those that were refused over IPv6 and found nobody over IPv4 stay refused. */
static void
result_refused(struct delivery *d)
{
	size_t left = 0;
	for (size_t i = 0; i < d->todos; i++) {
		struct verdict *v = &d->todo[i].verdict;
		if (v->code != 0) {
			result(d, d->todo[i].rcpt, kind_of(v), v, true);
			d->job->result[d->job->results - 1].earlier = true;
		} else {
			d->todo[left++] = d->todo[i];
		}
	}
	d->todos = left;
}

void
delivery_unreachable(struct delivery *d)
{
	if (d->only_ipv4)
		result_refused(d);
	if (d->only_ipv4 && d->todos == 0) {
		end(d, JOB_DONE);
		return;
	}
	if (d->trouble.code == 0)
		d->trouble = verdict_make(451, "4.4.1", "no host could be tried");
	/* A greeting of 5xx by every host is still not the domain's final word. */
	if (verdict_permanent(&d->trouble)) {
		d->trouble.code = 451;
		d->trouble.klass = d->trouble.klass ? 4 : 0;
	}
	d->job->verdict = d->trouble;
	result_rest(d, &d->trouble);
	end(d, JOB_UNREACHABLE);
}

void
delivery_settle(struct delivery *d, const struct verdict *v)
{
	if (d->only_ipv4)
		result_refused(d);
	d->job->local = true;
	result_rest(d, v);
	end(d, JOB_DONE);
}

/* ---- send */

static bool
too_many(const struct verdict *v)
{
	return v->code == 452 && (v->klass == 0 || (v->subject == 5 && v->detail == 3));
}

/*
 * Take the results of the transaction that is over.  Recipients refused only
 * because there were too many go again at once if others were taken (RFC 5321
 * 4.5.3.1.10), and those refused by policy over IPv6 over IPv4: then *why is set.
 */
static void
collect(struct delivery *d, bool may_repeat, struct verdict *why)
{
	size_t n = d->mail.rcpts, again = 0;
	bool progress = false;
	why->code = 0;
	for (size_t i = 0; i < n; i++)
		progress = progress || verdict_ok(&d->mail.rcpt[i].verdict);
	for (size_t i = 0; i < n; i++) {
		struct mail_rcpt *r = &d->mail.rcpt[i];
		if (may_repeat && progress && too_many(&r->verdict)) {
			d->todo[again++] = (struct mail_rcpt){.rcpt = r->rcpt};
			continue;
		}
		if (may_repeat && delivery_falls_back(d, &r->verdict)) {
			*why = r->verdict;
			d->todo[again++] = *r;
			continue;
		}
		struct job_result *res =
		    job_add(d->job, r->rcpt, kind_of(&r->verdict), &r->verdict);
		res->attempted = true;
		res->relayed = r->relayed;
	}
	memmove(d->todo + again, d->todo + n, (d->todos - n) * sizeof(*d->todo));
	d->todos -= n - again;
	d->mail.rcpts = 0;
}

#ifdef RELAY_FAULTS
/* Tests have it that a message crashes whoever sends it. */
static void
touch(const struct message *m)
{
	char piece[4096];
	size_t got = 0;
	if (content_read(m->content, 0, piece, sizeof(piece), &got) == OK)
		FAULT_BYTES("delivery.send", ((struct span){piece, got}));
}
#endif

/* Once per job: its recipients that go out share one route. */
static void
prepare(struct delivery *d)
{
	if (!d->prepared)
		rewriting_prepare(&d->rewriting, d->route, d->job->message);
	d->prepared = true;
}

static void
address_recipients(struct delivery *d, size_t n)
{
	size_t at = 0;
	buf_reset(&d->addresses);
	for (size_t i = 0; i < n; i++) {
		struct mail_rcpt *r = &d->todo[i];
		*r = (struct mail_rcpt){.rcpt = r->rcpt};
		size_t had = d->addresses.n;
		if (rewriting_recipient(d->route, r->rcpt->address, &d->addresses))
			r->address.n = d->addresses.n - had;
	}
	for (size_t i = 0; i < n; i++) { /* now they do not move any more */
		struct mail_rcpt *r = &d->todo[i];
		if (r->address.n > 0)
			r->address.p = d->addresses.p + at;
		at += r->address.n;
	}
}

void
delivery_send(struct delivery *d)
{
	size_t n = d->todos;
	if (n > d->config->client.recipients)
		n = d->config->client.recipients;
	if (d->client != NULL && d->job->results > 0 &&
	    client_messages(d->client) >= d->config->client.messages) {
		/* over the messages of one connection in the middle of a job: go on with
		 * a new one */
		client_quit(&d->client);
		memset(d->spent, 0, sizeof(d->spent));
		d->dialled = 0;
		delivery_connect(d);
		return;
	}
	prepare(d);
#ifdef RELAY_FAULTS
	touch(d->job->message);
#endif
	address_recipients(d, n);
	d->mail = (struct mail){.message = d->job->message,
	    .rewritten = d->rewriting.changes ? &d->rewriting.rewritten : NULL,
	    .rcpt = d->todo,
	    .rcpts = n};
	client_send(d->client, &d->mail);
}

static void
on_sent(struct delivery *d)
{
	struct verdict why;
	collect(d, true, &why);
	if (why.code != 0)
		delivery_fall_back(d, &why);
	else if (d->todos > 0)
		delivery_send(d);
	else
		end(d, JOB_DONE);
}

/* ---- the connection */

/* It broke: before MAIL the next host is tried, afterwards the attempt is over. */
static void
on_lost(struct delivery *d)
{
	span_copy(span_str(client_peer(d->client)), d->job->host, sizeof(d->job->host));
	struct verdict why = *client_verdict(d->client), refusal;
	bool in_mail = d->mail.rcpts > 0;
	bool stale = d->reused && client_stale(d->client);
	if (!in_mail && client_stage(d->client) == STAGE_TLS &&
	    d->courier->counters != NULL)
		atomic_fetch_add_explicit(
		    &d->courier->counters->tls_failed, 1, memory_order_relaxed);
	d->job->maybe_delivered |= client_maybe_delivered(d->client);
	if (stale) {
		d->mail.rcpts = 0;
		client_free(&d->client);
		delivery_connect(d);
	} else if (!in_mail) {
		delivery_disconnected(d, &why);
	} else {
		client_free(&d->client);
		collect(d, false, &refusal);
		if (verdict_ok(&why) || why.code == 0)
			why = verdict_make(451, "4.4.2", "connection lost");
		result_rest(d, &why);
		end(d, JOB_DONE);
	}
}

void
delivery_on_client(void *arg, enum client_event ev)
{
	struct delivery *d = arg;
	uint64_t was = hand_take(d->job->id);
	switch (ev) {
	case CLIENT_READY:
		if (d->courier->counters != NULL)
			egress_count_connection(
			    d->courier->counters, client_tls(d->client));
		delivery_connected(d);
		delivery_send(d);
		break;
	case CLIENT_SENT: on_sent(d); break;
	case CLIENT_LOST: on_lost(d); break;
	}
	hand_back(was);
}

/* ---- sort */

static void
moved(struct delivery *d, const struct recipient *r, struct span key)
{
	job_add(d->job, r, OUTCOME_MOVED, NULL)->moved_to = span_dup(key);
}

/* What the routes say now about one recipient; those to send go into todo. */
static void
sort_recipient(struct delivery *d, const struct recipient *r)
{
	const struct message *m = d->job->message;
	const struct route *route = routing_find(&d->config->policy.routes, m, r);
	struct verdict v;
	struct buf key;
	buf_init(&key, 400);
	if (route == NULL) {
		v = verdict_make(451, "4.3.5", "no route for this recipient any more");
		result(d, r, OUTCOME_WAIT, &v, true);
	} else if (route_key(route, r->address, &key) != OK) {
		v = verdict_make(550, "5.1.3", "the domain has no valid form");
		result(d, r, OUTCOME_FAILED, &v, true);
	} else if (route->deliver == ROUTE_REJECT) {
		v = verdict_make(550, "5.7.1", "%s",
		    route->reject_text ? route->reject_text : "refused by a route");
		result(d, r, OUTCOME_FAILED, &v, true);
	} else if (!span_eq(buf_span(&key), span_str(d->job->dest))) {
		moved(d, r, buf_span(&key));
	} else if (route->deliver == ROUTE_HOLD) {
		result(d, r, OUTCOME_HELD, NULL, false);
	} else if (route->deliver == ROUTE_DISCARD) {
		v = verdict_make(250, "2.0.0", "discarded by route %s", route->name);
		result(d, r, OUTCOME_DELIVERED, &v, true);
	} else if (route->deliver == ROUTE_MAILBOX) {
		local_deliver(d->job, d->courier->directory, d->config, d->courier->spool,
		    route, r);
	} else {
		d->route = route;
		d->todo[d->todos++].rcpt = r;
	}
	buf_clear(&key);
}

static void
sort(struct delivery *d)
{
	const struct message *m = d->job->message;
	d->todo = mem_alloc((m->rcpts + 1) * sizeof(struct mail_rcpt));
	buf_init(&d->addresses, (m->rcpts + 1) * ADDRESS_MAX);
	for (size_t i = 0; i < m->rcpts; i++) {
		const struct recipient *r = &m->rcpt[i];
		struct wall due =
		    backoff_sane_due(&d->config->retry, r->due, d->job->now);
		if (r->state == RECIPIENT_WAITING && due.ms <= d->job->now.ms &&
		    span_eq(r->dest, span_str(d->job->dest)))
			sort_recipient(d, r);
	}
	if (d->todos == 0) {
		d->job->local = true;
		end(d, d->job->results > 0 ? JOB_DONE : JOB_GONE);
		return;
	}
	delivery_connect(d);
}

/* ---- load */

struct load {
	uint64_t id;
	struct delivery *delivery;
	struct message *message;
	enum err err;
};

static void
load_run(struct spool_reader *r, void *arg)
{
	struct load *l = arg;
	uint64_t was = hand_take(l->id);
	bool condemned = hand_condemned(l->id);
	l->err = spool_read_message(r, l->id, !condemned, &l->message);
	if (l->err == OK && condemned)
		l->err = ERR_DAMAGED;
	else if (l->err == ERR_DAMAGED) /* whom it is for is known all the same */
		(void)spool_read_message(r, l->id, false, &l->message);
	hand_back(was);
}

static void
load_drop(void *arg)
{
	struct load *l = arg;
	message_unref(&l->message);
	mem_free(&l);
}

static void
load_done(void *arg)
{
	struct load *l = arg;
	struct delivery *d = l->delivery;
	enum err e = l->err;
	d->query = NULL;
	message_unref(&d->job->message);
	d->job->message = l->message;
	l->message = NULL;
	mem_free(&l);
	uint64_t was = hand_take(d->job->id);
	if (e == OK)
		sort(d);
	else if (e == ERR_NOT_FOUND)
		end(d, JOB_GONE);
	else
		end(d, e == ERR_DAMAGED ? JOB_DAMAGED : JOB_UNREADABLE);
	hand_back(was);
}

void
delivery_start(struct courier *c, struct job *j)
{
	struct delivery *d = NEW(struct delivery);
	d->courier = c;
	d->job = j;
	d->config = config_ref(c->config);
	d->tls = c->tls;
	d->began = loop_now(c->loop);
	list_push(&c->deliveries, &d->link);
	if (c->closing) {
		end(d, JOB_CANCELLED);
		return;
	}
	if (j->message != NULL && j->message->content != NULL) {
		uint64_t was = hand_take(j->id);
		sort(d);
		hand_back(was);
		return;
	}
	struct load *l = NEW(struct load);
	l->id = j->id;
	l->delivery = d;
	d->query = spool_query_start(
	    c->spool, load_run, load_done, load_drop, l, loop_inbox(c->loop));
}
