/* SPDX-License-Identifier: ISC */
/*
 * delivery - one job's way through a courier.
 *
 *	load        the message comes with the job or is read from the spool
 *	sort        routes are evaluated anew: moved, held, refused, dropped, or to send
 *	connect     an idle connection; else the route's hosts in order: look up, dial
 *	send        one transaction after another, until no recipient is left
 *	end         the connection is kept or ended, the job goes back
 *
 * Every recipient of the job gets exactly one result.  A host that fails before
 * it has taken MAIL leads to the next one; what a host says about a message or
 * a recipient is final for this attempt.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/egress/backoff.h"
#include "relay/egress/courier.h"
#include "relay/routing.h"

#define TRIES_MAX 10 /* addresses tried for one job */

struct hop {
	char host[MX_NAME_MAX];
	struct net_addr addr;
};

struct delivery {
	struct link link;
	struct courier *courier;
	struct job *job;
	const struct config *config; /* the snapshot in force when the job began */
	const struct route *route;   /* in config */
	struct spool_query *query;
	struct mx_request *mx;
	struct hop *hop; /* those still to try: hop[tried..hops) */
	size_t hops, tried, dialled;
	size_t via; /* ROUTE_VIA: the next of route->hop to look up */
	struct client *client;
	bool reused;
	struct mail_rcpt *todo; /* recipients without a result: todo[0..todos) */
	size_t todos;
	struct mail mail;       /* the transaction under way: the first of todo */
	struct verdict trouble; /* why the last host did not do */
	struct instant began;
};

static void connect_host(struct delivery *d);
static void look_up(struct delivery *d);

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
			idle_keep(d->courier, j->dest, &d->client);
		else
			client_quit(&d->client);
	}
	spool_cancel_query(&d->query);
	resolver_cancel(&d->mx);
	list_remove(&d->link);
	config_unref(&d->config);
	mem_free(&d->hop);
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

static void
unreachable(struct delivery *d)
{
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

/* ---- send */

static bool
too_many(const struct verdict *v)
{
	return v->code == 452 && (v->klass == 0 || (v->subject == 5 && v->detail == 3));
}

/*
 * Take the results of the transaction that is over.  Recipients refused only
 * because there were too many go again at once if others were taken (RFC 5321
 * 4.5.3.1.10).
 */
static void
collect(struct delivery *d, bool may_repeat)
{
	size_t n = d->mail.rcpts, again = 0;
	bool progress = false;
	for (size_t i = 0; i < n; i++)
		progress = progress || verdict_ok(&d->mail.rcpt[i].verdict);
	for (size_t i = 0; i < n; i++) {
		struct mail_rcpt *r = &d->mail.rcpt[i];
		if (may_repeat && progress && too_many(&r->verdict)) {
			d->todo[again++].rcpt = r->rcpt;
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

static void
send_next(struct delivery *d)
{
	size_t n = d->todos;
	if (n > d->config->client.recipients)
		n = d->config->client.recipients;
	if (d->client != NULL && d->job->results > 0 &&
	    client_messages(d->client) >= d->config->client.messages) {
		/* over the messages of one connection in the middle of a job: go on with
		 * a new one */
		client_quit(&d->client);
		d->tried = d->dialled = 0;
		connect_host(d);
		return;
	}
	d->mail = (struct mail){.message = d->job->message, .rcpt = d->todo, .rcpts = n};
	for (size_t i = 0; i < n; i++)
		d->todo[i] = (struct mail_rcpt){.rcpt = d->todo[i].rcpt};
	client_send(d->client, &d->mail);
}

static void
on_sent(struct delivery *d)
{
	collect(d, true);
	if (d->todos > 0)
		send_next(d);
	else
		end(d, JOB_DONE);
}

/* ---- connect */

static void
on_ready(struct delivery *d)
{
	d->job->session = true;
	hosts_worked(&d->courier->hosts, &d->hop[d->tried - 1].addr);
	send_next(d);
}

/* The connection broke: before MAIL the next host is tried, afterwards the attempt is
 * over. */
static void
on_lost(struct delivery *d)
{
	struct courier *c = d->courier;
	span_copy(span_str(client_peer(d->client)), d->job->host, sizeof(d->job->host));
	struct verdict why = *client_verdict(d->client);
	bool in_mail = d->mail.rcpts > 0;
	bool stale = d->reused && client_stale(d->client);
	d->job->maybe_delivered |= client_maybe_delivered(d->client);
	client_free(&d->client);
	if (in_mail && !stale) {
		collect(d, false);
		if (verdict_ok(&why) || why.code == 0)
			why = verdict_make(451, "4.4.2", "connection lost");
		result_rest(d, &why);
		end(d, JOB_DONE);
		return;
	}
	d->mail.rcpts = 0;
	if (!stale) {
		d->trouble = why;
		if (d->tried > 0)
			hosts_failed(
			    &c->hosts, &d->hop[d->tried - 1].addr, loop_now(c->loop));
	}
	connect_host(d);
}

static void
on_client(void *arg, enum client_event ev)
{
	struct delivery *d = arg;
	switch (ev) {
	case CLIENT_READY: on_ready(d); break;
	case CLIENT_SENT: on_sent(d); break;
	case CLIENT_LOST: on_lost(d); break;
	}
}

static void
dial(struct delivery *d)
{
	struct hop *hop = &d->hop[d->tried++];
	d->dialled++;
	struct client_options o = {
	    .to = hop->addr,
	    .host = hop->host,
	    .helo = d->config->policy.hostname,
	    .timeouts = &d->config->client,
	    .log = d->courier->log,
	};
	d->reused = false;
	d->client = client_new(d->courier->loop, &o, on_client, d);
}

/* The next connection: an idle one, the next address, the next hop to look up, or nobody.
 */
static void
connect_host(struct delivery *d)
{
	d->client = idle_take(d->courier, d->job->dest);
	if (d->client != NULL) {
		d->reused = true;
		d->job->session = true;
		client_set_owner(d->client, on_client, d);
		send_next(d);
	} else if (d->tried < d->hops && d->dialled < TRIES_MAX) {
		dial(d);
	} else {
		look_up(d);
	}
}

/* ---- look up */

static void
add_hop(struct delivery *d, const char *host, const struct net_addr *addr, uint16_t port)
{
	d->hop = mem_resize(d->hop, d->hops + 1, sizeof(struct hop));
	struct hop *h = &d->hop[d->hops++];
	span_copy(span_str(host), h->host, sizeof(h->host));
	h->addr = *addr;
	h->addr.port = port;
}

/* Those that failed lately go to the end, the order is kept otherwise. */
static void
put_aside(struct delivery *d)
{
	struct courier *c = d->courier;
	size_t n = d->hops - d->tried, good = 0, bad = 0;
	struct hop *from = d->hop + d->tried,
		   *late = mem_alloc((n + 1) * sizeof(struct hop));
	for (size_t i = 0; i < n; i++) {
		if (hosts_is_aside(&c->hosts, &from[i].addr, loop_now(c->loop)))
			late[bad++] = from[i];
		else
			from[good++] = from[i];
	}
	memcpy(from + good, late, bad * sizeof(struct hop));
	mem_free(&late);
}

static struct verdict
mx_verdict(const struct mx_answer *a)
{
	switch (a->outcome) {
	case MX_NULL: return verdict_make(556, "5.1.10", "%s", a->why);
	case MX_NO_DOMAIN: return verdict_make(550, "5.1.2", "%s", a->why);
	case MX_NO_HOST: return verdict_make(550, "5.4.4", "%s", a->why);
	case MX_SELF: return verdict_make(554, "5.4.6", "%s", a->why);
	case MX_HOSTS:
	case MX_TEMPORARY: break;
	}
	return verdict_make(451, "4.4.3", "%s", a->why);
}

static void
add_answer(struct delivery *d, const struct mx_answer *a, uint16_t port)
{
	size_t had = d->hops;
	for (size_t i = 0; i < a->hosts; i++)
		for (size_t k = 0; k < a->host[i].addrs; k++)
			add_hop(d, a->host[i].name, &a->host[i].addr[k], port);
	if (d->hops > had)
		put_aside(d);
}

static void
on_mx(void *arg, const struct mx_answer *a)
{
	struct delivery *d = arg;
	d->mx = NULL;
	bool via = d->route->deliver == ROUTE_VIA;
	if (a->outcome == MX_HOSTS) {
		add_answer(d, a, via ? d->route->hop[d->via - 1].port : d->route->port);
		connect_host(d);
		return;
	}
	struct verdict v = mx_verdict(a);
	if (!via && verdict_permanent(&v)) {
		d->job->local = true;
		result_rest(d, &v);
		end(d, JOB_DONE);
		return;
	}
	/* A next hop that an administrator named and that has no address is his mistake,
	 * not the sender's: the mail waits. */
	d->trouble = verdict_make(451, "4.4.3", "%s", a->why);
	connect_host(d);
}

static void
look_up_via(struct delivery *d)
{
	if (d->via >= d->route->hops) {
		unreachable(d);
		return;
	}
	const struct route_hop *h = &d->route->hop[d->via++];
	if (h->addr.family != NET_NONE) {
		add_hop(d, h->host, &h->addr, h->port);
		connect_host(d);
		return;
	}
	d->mx = resolver_mx_start(d->courier->resolver, span_str(h->host),
	    RESOLVE_HOST | RESOLVE_ALLOW_SPECIAL | RESOLVE_ALLOW_SELF, on_mx, d);
}

static void
look_up_mx(struct delivery *d)
{
	if (d->via++ > 0) { /* the one look-up has been made */
		unreachable(d);
		return;
	}
	struct span domain = route_key_split(span_str(d->job->dest)).domain;
	unsigned flags = RESOLVE_MX;
	if (d->route->allow_loopback)
		flags |= RESOLVE_ALLOW_SPECIAL | RESOLVE_ALLOW_SELF;
	d->mx = resolver_mx_start(d->courier->resolver, domain, flags, on_mx, d);
}

static void
look_up(struct delivery *d)
{
	if (d->route->deliver == ROUTE_VIA)
		look_up_via(d);
	else
		look_up_mx(d);
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
	connect_host(d);
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
	l->err = spool_read_message(r, l->id, true, &l->message);
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
	if (e == OK)
		sort(d);
	else if (e == ERR_NOT_FOUND)
		end(d, JOB_GONE);
	else
		end(d, e == ERR_DAMAGED ? JOB_DAMAGED : JOB_UNREADABLE);
}

void
delivery_start(struct courier *c, struct job *j)
{
	struct delivery *d = NEW(struct delivery);
	d->courier = c;
	d->job = j;
	d->config = config_ref(c->config);
	d->began = loop_now(c->loop);
	list_push(&c->deliveries, &d->link);
	if (c->closing) {
		end(d, JOB_CANCELLED);
		return;
	}
	if (j->message != NULL && j->message->content != NULL) {
		sort(d);
		return;
	}
	struct load *l = NEW(struct load);
	l->id = j->id;
	l->delivery = d;
	d->query = spool_query_start(
	    c->spool, load_run, load_done, load_drop, l, loop_inbox(c->loop));
}
