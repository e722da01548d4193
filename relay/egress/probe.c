/* SPDX-License-Identifier: ISC */
/*
 * probe - the way of a delivery without a message: look up, connect, tell, and so on
 * with the next host until none is left.
 */
#include "relay/egress/probe.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/egress/courier.h"
#include "relay/egress/hops.h"

struct probe {
	struct courier *courier;
	const struct config *config; /* the snapshot in force when it began */
	const struct route *route;   /* in config; NULL: there is none of this name */
	char *domain;
	void (*told)(void *arg, const struct probe_finding *f);
	void (*done)(void *arg, const char *why);
	void *arg;
	struct later begin;
	struct timer patience; /* with one host */
	struct hop_list list;  /* still to try: list.hop[tried..n) */
	size_t tried, via;     /* via: the next of route->hop to look up */
	unsigned told_of;
	struct mx_request *mx;
	struct client *client;
	bool in_clear; /* the same host once more, because TLS has failed */
	struct instant since;
};

/*
 * Somebody sits and waits.  It is also less than the time that TLS of an earlier
 * configuration is kept for (courier.c), and no host is begun with after a reload.
 */
#define PATIENCE_MS (45 * SECOND_MS)

static void next_host(struct probe *p);

static void
probe_free(struct probe **pp)
{
	struct probe *p = *pp;
	later_clear(&p->begin);
	timer_clear(&p->patience);
	resolver_cancel(&p->mx);
	client_free(&p->client);
	hop_list_clear(&p->list);
	config_unref(&p->config);
	mem_free(&p->domain);
	mem_free(pp);
}

void
probe_cancel(struct probe **pp)
{
	if (*pp != NULL)
		probe_free(pp);
}

static void
end(struct probe *p, const char *why)
{
	void (*done)(void *arg, const char *why) = p->done;
	void *arg = p->arg;
	probe_free(&p);
	done(arg, why);
}

/* ---- findings */

static int64_t
since(struct probe *p)
{
	return instant_since(loop_now(p->courier->loop), p->since);
}

static void
tell(struct probe *p, const char *host, bool ok, const char *stage, struct buf *text)
{
	buf_add_char(text, '\0');
	struct probe_finding f = {host, ok, stage, text->p, since(p)};
	p->told_of++;
	p->told(p->arg, &f);
	buf_clear(text);
}

static void
add_tls(struct buf *b, const struct tls_info *info)
{
	if (info == NULL) {
		buf_add_str(b, "no TLS");
		return;
	}
	tls_describe(info, b);
	if (info->verified)
		buf_add_str(b, ", certificate verified");
	else
		buf_addf(b, ", certificate not verified: %s",
		    info->trouble[0] != '\0' ? info->trouble : "nobody asked for it");
}

static void
add_extensions(struct buf *b, const struct client *c)
{
	static const struct {
		enum client_ext bit;
		const char *word;
	} words[] = {{EXT_PIPELINING, "PIPELINING"}, {EXT_8BITMIME, "8BITMIME"},
	    {EXT_DSN, "DSN"}, {EXT_CHUNKING, "CHUNKING"}, {EXT_BINARYMIME, "BINARYMIME"},
	    {EXT_SMTPUTF8, "SMTPUTF8"}, {EXT_STARTTLS, "STARTTLS"}, {EXT_AUTH, "AUTH"}};
	const char *before = "; ";
	unsigned has = client_extensions(c);
	if ((has & EXT_SIZE) != 0) {
		buf_addf(b, "; SIZE %" PRIu64, client_size_limit(c));
		before = ", ";
	}
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if ((has & words[i].bit) == 0)
			continue;
		buf_addf(b, "%s%s", before, words[i].word);
		before = ", ";
	}
}

static const char *
stage_name(enum client_stage stage)
{
	switch (stage) {
	case STAGE_CONNECT: return "connect";
	case STAGE_GREETING: return "greeting";
	case STAGE_EHLO: return "ehlo";
	case STAGE_TLS: return "tls";
	case STAGE_AUTH: return "sign-in";
	case STAGE_IDLE:
	case STAGE_MAIL:
	case STAGE_RCPT:
	case STAGE_DATA:
	case STAGE_DOT: break;
	}
	return "ready";
}

/* ---- one host */

static void
found_ready(struct probe *p)
{
	struct buf text = {0};
	const char *mechanism = client_mechanism(p->client);
	add_tls(&text, client_tls(p->client));
	if (mechanism != NULL)
		buf_addf(&text, "; signed in by %s", mechanism);
	add_extensions(&text, p->client);
	tell(p, client_peer(p->client), true, "ready", &text);
	client_quit(&p->client);
	p->in_clear = false;
}

static void
found_lost(struct probe *p)
{
	struct buf text = {0};
	enum client_stage stage = client_stage(p->client);
	const struct next_hop *hop = &p->list.hop[p->tried - 1];
	bool implicit = hop->via != NULL && hop->via->tls;
	verdict_add(&text, client_verdict(p->client));
	tell(p, client_peer(p->client), false, stage_name(stage), &text);
	client_free(&p->client);
	p->in_clear = !p->in_clear && stage == STAGE_TLS && !implicit &&
		      p->route->tls == ROUTE_TLS_OPPORTUNISTIC;
	if (p->in_clear)
		p->tried--;
}

static void
on_client(void *arg, enum client_event ev)
{
	struct probe *p = arg;
	timer_clear(&p->patience);
	if (ev == CLIENT_READY)
		found_ready(p);
	else
		found_lost(p);
	next_host(p);
}

static void
on_patience(void *arg)
{
	struct probe *p = arg;
	struct buf text = {0};
	buf_addf(&text, "still waiting after %d seconds; a delivery waits longer",
	    (int)(PATIENCE_MS / SECOND_MS));
	tell(
	    p, client_peer(p->client), false, stage_name(client_stage(p->client)), &text);
	client_free(&p->client);
	p->in_clear = false;
	next_host(p);
}

static void
dial(struct probe *p)
{
	const struct next_hop *hop = &p->list.hop[p->tried++];
	struct hop_target t;
	client_options_for(&t, p->config, p->route, hop->host, &hop->addr, hop->via,
	    p->courier->tls, p->courier->log);
	if (p->in_clear)
		t.options.tls = ROUTE_TLS_NONE;
	p->since = loop_now(p->courier->loop);
	timer_set(&p->patience, PATIENCE_MS);
	p->client = client_new(p->courier->loop, &t.options, on_client, p);
}

/* ---- hosts */

static const struct route_hop *
looked_up(const struct probe *p)
{
	return route_names_hops(p->route) ? &p->route->hop[p->via - 1] : NULL;
}

static void
on_mx(void *arg, const struct mx_answer *a)
{
	struct probe *p = arg;
	const struct route_hop *via = looked_up(p);
	p->mx = NULL;
	size_t had = p->list.n;
	if (a->outcome == MX_HOSTS)
		hop_list_answer(&p->list, p->route, via, a);
	if (p->list.n == had) {
		struct buf text = {0};
		buf_add_str(
		    &text, a->why[0] != '\0' ? a->why : "no address of this family");
		tell(p, via != NULL ? via->host : p->domain, false, "look-up", &text);
	}
	next_host(p);
}

static void
look_up(struct probe *p)
{
	const struct route *r = p->route;
	CHECK(r != NULL); /* found before anything is looked up */
	if (p->via >= (route_names_hops(r) ? r->hops : 1)) {
		end(p, p->told_of > 0 ? NULL : "there is no host to try");
		return;
	}
	p->via++;
	const struct route_hop *via = looked_up(p);
	if (via != NULL && via->addr.family != NET_NONE) {
		hop_list_literal(&p->list, via);
		next_host(p);
		return;
	}
	p->since = loop_now(p->courier->loop);
	p->mx = resolver_mx_start(p->courier->resolver,
	    span_str(via != NULL ? via->host : p->domain), hop_flags(r, via), on_mx, p);
}

static void
next_host(struct probe *p)
{
	if (p->told_of >= PROBE_HOSTS_MAX)
		end(p, p->tried < p->list.n
			   ? "there are more hosts; so many are enough for a probe"
			   : NULL);
	else if (p->courier->config != p->config)
		end(p, "the configuration has been read anew meanwhile");
	else if (p->tried < p->list.n)
		dial(p);
	else
		look_up(p);
}

/* ---- beginning */

static void
on_begin(void *arg)
{
	struct probe *p = arg;
	if (p->route == NULL)
		end(p, "there is no route of this name");
	else if (p->route->deliver != ROUTE_MX && !route_names_hops(p->route))
		end(p, "this route does not deliver to other hosts");
	else if (p->route->deliver == ROUTE_MX && p->domain[0] == '\0')
		end(p, "this route goes by MX records: say whose");
	else
		next_host(p);
}

struct probe *
probe_start(struct courier *c, struct span route, struct span domain,
    void (*told)(void *arg, const struct probe_finding *f),
    void (*done)(void *arg, const char *why), void *arg)
{
	struct probe *p = NEW(struct probe);
	p->courier = c;
	p->config = config_ref(c->config);
	p->route = route_named(&p->config->policy.routes, route);
	p->domain = span_dup(domain);
	p->told = told;
	p->done = done;
	p->arg = arg;
	later_init(&p->begin, c->loop, on_begin, p);
	later_set(&p->begin);
	timer_init(&p->patience, c->loop, on_patience, p);
	return p;
}
