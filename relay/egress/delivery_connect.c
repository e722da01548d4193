/* SPDX-License-Identifier: ISC */
/* delivery_connect - from host to host until one takes a session. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "relay/egress/delivery.h"

static void look_up(struct delivery *d);

/* ---- what is known of hosts */

#define NAME_TEXT (MX_NAME_MAX + 300)

struct name {
	char text[NAME_TEXT];
};

static struct health *
health(const struct delivery *d)
{
	return d->job->health;
}

static struct instant
now(const struct delivery *d)
{
	return loop_now(d->courier->loop);
}

static struct span
address_name(const struct net_addr *a, struct name *n)
{
	net_format(a, n->text);
	return span_str(n->text);
}

/* A configured next hop; one that is written as an address has that address's name. */
static struct span
via_name(const struct route_hop *h, struct name *n)
{
	if (h->addr.family != NET_NONE) {
		struct net_addr a = h->addr;
		a.port = h->port;
		return address_name(&a, n);
	}
	(void)snprintf(n->text, sizeof(n->text), "%.255s:%u", h->host, h->port);
	return span_str(n->text);
}

/* What a host does to this route alone: TLS and signing in are a matter of both. */
static struct span
for_route(const struct delivery *d, struct span name, struct name *n)
{
	(void)snprintf(n->text, sizeof(n->text), "%.*s (route %.200s)", (int)name.n,
	    name.p, d->route->name);
	return span_str(n->text);
}

static bool
is_aside(const struct delivery *d, struct span name)
{
	struct name n = {.text = ""};
	return health_is_aside(health(d), name, now(d)) ||
	       health_is_aside(health(d), for_route(d, name, &n), now(d));
}

static void
claim(const struct delivery *d, struct span name)
{
	struct name n = {.text = ""};
	health_claim(health(d), name, now(d));
	health_claim(health(d), for_route(d, name, &n), now(d));
}

static void
worked(const struct delivery *d, struct span name)
{
	struct name n = {.text = ""};
	health_worked(health(d), name);
	health_worked(health(d), for_route(d, name, &n));
}

static void
failed(const struct delivery *d, struct span name, const char *why)
{
	struct name n = {.text = ""};
	if (d->kind == TROUBLE_NONE)
		health_failed(health(d), name, now(d), why);
	else
		health_failed(health(d), for_route(d, name, &n), now(d), why);
}

/* ---- whom to try */

static bool
by_ipv4_only(const struct delivery *d, const struct next_hop *h)
{
	return !d->only_ipv4 || (h->addr.family == NET_IPV4 && h->via == d->ipv4_via);
}

/* The next in order; those aside only if nobody else is left. SIZE_MAX: none. */
static size_t
choose(const struct delivery *d, bool with_aside)
{
	struct name n = {.text = ""};
	for (size_t i = 0; i < d->list.n; i++) {
		const struct next_hop *h = &d->list.hop[i];
		if (d->spent[i] || !by_ipv4_only(d, h))
			continue;
		if (with_aside || !is_aside(d, address_name(&h->addr, &n)))
			return i;
	}
	return SIZE_MAX;
}

/* An idle connection is no reason to stay away from a better next hop that may work
 * again: the first of them that is not aside is the last that may be used. */
static size_t
max_rank(const struct delivery *d)
{
	struct name n = {.text = ""};
	if (!route_names_hops(d->route))
		return 0;
	for (size_t i = 0; i < d->route->hops; i++)
		if (!is_aside(d, via_name(&d->route->hop[i], &n)))
			return i;
	return SIZE_MAX;
}

static bool
may_go_clear(const struct delivery *d, const struct route_hop *via)
{
	return d->route->tls == ROUTE_TLS_OPPORTUNISTIC && (via == NULL || !via->tls);
}

static void
dial_now(struct delivery *d)
{
	struct hop_target target;
	struct name n = {.text = ""};
	const struct route_hop *via =
	    route_names_hops(d->route) ? &d->route->hop[d->now.rank] : NULL;
	client_options_for(&target, d->config, d->route, d->now.host, &d->now.addr, via,
	    d->tls, d->courier->log);
	target.options.destination = d->job->dest;
	target.options.message = d->job->id;
	struct span name = address_name(&d->now.addr, &n);
	if (may_go_clear(d, via) &&
	    (d->clear || health_knows(health(d), HEALTH_CLEAR, name, now(d)))) {
		target.options.tls = ROUTE_TLS_NONE;
		d->clear = true;
	}
	claim(d, name);
	if (via != NULL)
		claim(d, via_name(via, &n));
	d->reused = false;
	d->dialled++;
	d->client = client_new(d->courier->loop, &target.options, delivery_on_client, d);
}

static void
dial(struct delivery *d, size_t i)
{
	const struct next_hop *h = &d->list.hop[i];
	d->spent[i] = true;
	d->clear = false;
	d->now = (struct contact){.addr = h->addr};
	if (h->via != NULL)
		d->now.rank = (size_t)(h->via - d->route->hop);
	memcpy(d->now.host, h->host, sizeof(d->now.host));
	dial_now(d);
}

void
delivery_connect(struct delivery *d)
{
	if (!d->only_ipv4)
		d->client = idle_take(d->courier, d->job->dest, max_rank(d), &d->now);
	if (d->client != NULL) {
		d->reused = true;
		d->clear = false;
		d->job->session = true;
		client_set_owner(d->client, delivery_on_client, d);
		delivery_send(d);
		return;
	}
	size_t i = d->dialled < TRIES_MAX ? choose(d, false) : SIZE_MAX;
	if (i != SIZE_MAX)
		dial(d, i);
	else
		look_up(d);
}

/* Nobody else is to be looked up. */
static void
connect_last(struct delivery *d)
{
	size_t i = d->dialled < TRIES_MAX ? choose(d, true) : SIZE_MAX;
	if (i != SIZE_MAX)
		dial(d, i);
	else
		delivery_unreachable(d);
}

/* ---- what came of it */

void
delivery_connected(struct delivery *d)
{
	struct name n = {.text = ""};
	d->job->session = true;
	worked(d, address_name(&d->now.addr, &n));
	if (route_names_hops(d->route))
		worked(d, via_name(&d->route->hop[d->now.rank], &n));
}

/* A named next hop has failed when its last address has. */
static void
via_failed(struct delivery *d)
{
	const struct route_hop *via = &d->route->hop[d->now.rank];
	struct name n = {.text = ""};
	for (size_t i = 0; i < d->list.n; i++)
		if (d->list.hop[i].via == via && !d->spent[i])
			return;
	if (via->addr.family == NET_NONE)
		failed(d, via_name(via, &n), NULL);
}

static enum job_trouble
trouble_at(const struct delivery *d, enum client_stage stage)
{
	if (stage == STAGE_AUTH)
		return TROUBLE_SIGN_IN;
	bool needs =
	    d->route->tls == ROUTE_TLS_REQUIRED || d->route->tls == ROUTE_TLS_VERIFY;
	return stage == STAGE_TLS && needs ? TROUBLE_TLS : TROUBLE_NONE;
}

/* Refused before MAIL because of who we are? */
static bool
refuses_address(
    const struct delivery *d, const struct verdict *v, enum client_stage stage)
{
	if (d->now.addr.family != NET_IPV6 || !d->route->ipv4_fallback || !v->peer ||
	    !verdict_permanent(v))
		return false;
	bool policy = v->klass == 5 && v->subject == 7;
	return (stage == STAGE_GREETING && (v->code == 550 || v->code == 554)) ||
	       ((stage == STAGE_GREETING || stage == STAGE_EHLO) && policy);
}

static void
remember_ipv4(struct delivery *d, const struct verdict *why)
{
	struct span host = span_str(d->now.host);
	if (health_learn(health(d), HEALTH_IPV4, host, now(d)))
		LOG(d->courier->log, EV_NEXT_HOP_IPV4, F_SPAN("host", host),
		    F_STR("reason", why->text));
}

static bool
goes_clear(const struct delivery *d, enum client_stage stage)
{
	const struct route_hop *via =
	    route_names_hops(d->route) ? &d->route->hop[d->now.rank] : NULL;
	return stage == STAGE_TLS && !d->clear && may_go_clear(d, via);
}

static void
go_clear(struct delivery *d, const struct verdict *why)
{
	struct name n = {.text = ""};
	struct span name = address_name(&d->now.addr, &n);
	if (health_learn(health(d), HEALTH_CLEAR, name, now(d)))
		LOG(d->courier->log, EV_NEXT_HOP_CLEAR, F_SPAN("host", name),
		    F_STR("reason", why->text));
	d->clear = true;
	dial_now(d);
}

void
delivery_disconnected(struct delivery *d, const struct verdict *why)
{
	struct name n = {.text = ""};
	enum client_stage stage = client_stage(d->client);
	enum job_trouble kind = trouble_at(d, stage);
	client_free(&d->client);
	if (goes_clear(d, stage)) {
		go_clear(d, why);
		return;
	}
	if (refuses_address(d, why, stage))
		remember_ipv4(d, why);
	if (kind == TROUBLE_SIGN_IN) {
		d->job->sign_in = *why;
		span_copy(span_str(d->job->host), d->job->sign_in_host,
		    sizeof(d->job->sign_in_host));
	}
	/* A reason that no other message would change is the one to be told. */
	if (kind != TROUBLE_NONE || d->job->trouble == TROUBLE_NONE)
		d->trouble = *why;
	if (kind != TROUBLE_NONE)
		d->job->trouble = kind;
	d->kind = kind;
	failed(d, address_name(&d->now.addr, &n), why->text);
	if (route_names_hops(d->route))
		via_failed(d);
	delivery_connect(d);
}

/* ---- IPv4 in place of IPv6 */

bool
delivery_falls_back(const struct delivery *d, const struct verdict *v)
{
	return !d->only_ipv4 && d->route->ipv4_fallback && v->peer &&
	       d->now.addr.family == NET_IPV6 && verdict_permanent(v) && v->klass == 5 &&
	       v->subject == 7;
}

void
delivery_fall_back(struct delivery *d, const struct verdict *why)
{
	struct job *j = d->job;
	remember_ipv4(d, why);
	span_copy(
	    span_str(client_peer(d->client)), j->earlier_host, sizeof(j->earlier_host));
	for (size_t i = 0; i < j->results; i++)
		j->result[i].earlier = true;
	client_quit(&d->client);
	d->only_ipv4 = true;
	d->dialled = 0;
	memset(d->spent, 0, sizeof(d->spent)); /* of IPv4, none has refused the mail */
	if (route_names_hops(d->route)) {
		d->ipv4_via = &d->route->hop[d->now.rank];
		if (d->list.n == 0)
			d->via = d->now.rank;
	}
	delivery_connect(d);
}

/* ---- look up */

/* Of a host that refuses us over IPv6, IPv4 goes first; the order is kept otherwise. */
static void
prefer_ipv4(struct delivery *d, size_t from)
{
	struct next_hop *h = d->list.hop;
	for (size_t i = from; i < d->list.n; i++) {
		if (h[i].addr.family != NET_IPV4 ||
		    !health_knows(health(d), HEALTH_IPV4, span_str(h[i].host), now(d)))
			continue;
		for (size_t k = i; k > from && h[k - 1].addr.family == NET_IPV6 &&
				   strcmp(h[k - 1].host, h[k].host) == 0;
		     k--) {
			struct next_hop swap = h[k];
			h[k] = h[k - 1];
			h[k - 1] = swap;
		}
	}
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

static const char *
family_kept(const struct route *r)
{
	if (r->family == ROUTE_FAMILY_IPV4)
		return "IPv4";
	return r->family == ROUTE_FAMILY_IPV6 ? "IPv6" : NULL;
}

static void
no_family(struct delivery *d, const char *why)
{
	d->trouble = verdict_make(451, "4.4.4",
	    "route %s allows only %s, and there is no such address: %s", d->route->name,
	    family_kept(d->route), why);
}

static const struct route_hop *
looked_up(const struct delivery *d)
{
	return route_names_hops(d->route) ? &d->route->hop[d->via - 1] : NULL;
}

static void
no_answer(struct delivery *d, const struct mx_answer *a)
{
	struct verdict v = mx_verdict(a);
	bool filtered = family_kept(d->route) != NULL && a->outcome == MX_NO_HOST;
	const struct route_hop *via = looked_up(d);
	if (via == NULL && !filtered && verdict_permanent(&v)) {
		delivery_settle(d, &v);
		return;
	}
	/* A next hop that an administrator named and that has no address is his mistake,
	 * not the sender's: the mail waits. */
	if (filtered)
		no_family(d, a->why);
	else
		d->trouble = verdict_make(451, "4.4.3", "%s", a->why);
	if (via != NULL) {
		struct name n = {.text = ""};
		health_failed(health(d), via_name(via, &n), now(d), a->why);
	}
	delivery_connect(d);
}

static void
on_mx(void *arg, const struct mx_answer *a)
{
	struct delivery *d = arg;
	d->mx = NULL;
	if (a->outcome != MX_HOSTS) {
		no_answer(d, a);
		return;
	}
	size_t had = d->list.n;
	hop_list_answer(&d->list, d->route, looked_up(d), a);
	if (d->list.n == had && family_kept(d->route) != NULL)
		no_family(d, a->host[0].name);
	if (d->route->ipv4_fallback)
		prefer_ipv4(d, had);
	delivery_connect(d);
}

static void
look_up_named(struct delivery *d, const struct route_hop *h)
{
	const char *only = family_kept(d->route);
	if (h->addr.family == NET_NONE) {
		d->mx = resolver_mx_start(d->courier->resolver, span_str(h->host),
		    hop_flags(d->route, h), on_mx, d);
		return;
	}
	if (only == NULL || (only[3] == '4') == (h->addr.family == NET_IPV4))
		hop_list_literal(&d->list, h);
	else
		no_family(d, h->host);
	delivery_connect(d);
}

/* In order, those aside in a second round. */
static void
look_up_via(struct delivery *d)
{
	const struct route *r = d->route;
	struct name n = {.text = ""};
	while (d->via < r->hops) {
		const struct route_hop *h = &r->hop[d->via];
		bool later = !d->second_round && is_aside(d, via_name(h, &n));
		bool done = d->second_round && !d->via_skipped[d->via];
		d->via_skipped[d->via] = later;
		d->via++;
		if (!later && !done) {
			look_up_named(d, h);
			return;
		}
	}
	if (!d->second_round) {
		d->second_round = true;
		d->via = 0;
		look_up_via(d);
		return;
	}
	connect_last(d);
}

static void
look_up_mx(struct delivery *d)
{
	if (d->via++ > 0) { /* the one look-up has been made */
		connect_last(d);
		return;
	}
	struct span domain = route_key_split(span_str(d->job->dest)).domain;
	d->mx = resolver_mx_start(
	    d->courier->resolver, domain, hop_flags(d->route, NULL), on_mx, d);
}

static void
look_up(struct delivery *d)
{
	if (route_names_hops(d->route))
		look_up_via(d);
	else
		look_up_mx(d);
}
