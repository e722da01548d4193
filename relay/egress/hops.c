/* SPDX-License-Identifier: ISC */
#include "relay/egress/hops.h"

#include <stdio.h>

#include "base/mem.h"

void
hop_list_clear(struct hop_list *l)
{
	mem_free(&l->hop);
	l->n = 0;
}

bool
route_names_hops(const struct route *r)
{
	return r->deliver == ROUTE_VIA || r->deliver == ROUTE_LMTP;
}

/* ---- addresses */

unsigned
hop_flags(const struct route *r, const struct route_hop *via)
{
	unsigned flags = RESOLVE_MX;
	if (via != NULL)
		flags = RESOLVE_HOST | RESOLVE_FILE | RESOLVE_ALLOW_SPECIAL |
			RESOLVE_ALLOW_SELF;
	else if (r->allow_loopback)
		flags |= RESOLVE_ALLOW_SPECIAL | RESOLVE_ALLOW_SELF;
	if (r->family == ROUTE_FAMILY_IPV4)
		flags |= RESOLVE_IPV4_ONLY;
	if (r->family == ROUTE_FAMILY_IPV6)
		flags |= RESOLVE_IPV6_ONLY;
	return flags;
}

static void
add(struct hop_list *l, const char *host, const struct net_addr *addr, uint16_t port,
    const struct route_hop *via)
{
	if (l->n >= HOP_LIST_MAX)
		return;
	l->hop = mem_resize(l->hop, l->n + 1, sizeof(struct next_hop));
	struct next_hop *h = &l->hop[l->n++];
	*h = (struct next_hop){.addr = *addr, .via = via};
	span_copy(span_str(host), h->host, sizeof(h->host));
	h->addr.port = port;
}

/* The addresses of a host that are of this family (NET_NONE: all), or are not. */
static void
add_family(struct hop_list *l, const struct mx_host *h, enum net_family family, bool is,
    uint16_t port, const struct route_hop *via)
{
	for (size_t i = 0; i < h->addrs; i++)
		if ((h->addr[i].family == family) == is)
			add(l, h->name, &h->addr[i], port, via);
}

void
hop_list_answer(struct hop_list *l, const struct route *r, const struct route_hop *via,
    const struct mx_answer *a)
{
	uint16_t port = via != NULL ? via->port : r->port;
	enum net_family first = NET_NONE, only = NET_NONE;
	switch (r->family) {
	case ROUTE_FAMILY_ANY: break;
	case ROUTE_FAMILY_IPV4: only = NET_IPV4; break;
	case ROUTE_FAMILY_IPV6: only = NET_IPV6; break;
	case ROUTE_FAMILY_IPV4_FIRST: first = NET_IPV4; break;
	case ROUTE_FAMILY_IPV6_FIRST: first = NET_IPV6; break;
	}
	for (size_t i = 0; i < a->hosts; i++) {
		if (only != NET_NONE) {
			add_family(l, &a->host[i], only, true, port, via);
			continue;
		}
		add_family(l, &a->host[i], first, true, port, via);
		add_family(l, &a->host[i], first, false, port, via);
	}
}

void
hop_list_literal(struct hop_list *l, const struct route_hop *via)
{
	add(l, via->host, &via->addr, via->port, via);
}

/* ---- connections */

/* Our own address towards that one. */
static const struct net_addr *
source_for(const struct route *r, const struct net_addr *to)
{
	for (size_t i = 0; i < r->sources; i++)
		if (r->source[i].family == to->family)
			return &r->source[i];
	return NULL;
}

/* The certificate that is expected; only TLS_VERIFY looks at it before mail is sent. */
static void
expect(struct hop_target *t, const struct route *r, const char *host, uint16_t port)
{
	snprintf(t->session, sizeof(t->session), "%.255s:%u/%.100s", host, (unsigned)port,
	    r->name != NULL ? r->name : "");
	t->peer = (struct tls_peer){
	    .name = r->tls_name != NULL ? r->tls_name : host,
	    .ca_file = r->tls_ca,
	    .session = t->session,
	};
	if (r->tls != ROUTE_TLS_VERIFY)
		return;
	t->peer.verify = TLS_VERIFY_NAME;
	if (r->fingerprints.n > 0) {
		t->peer.verify = TLS_VERIFY_FINGERPRINT;
		t->peer.fingerprint = (const char *const *)r->fingerprints.name;
		t->peer.fingerprints = r->fingerprints.n;
	}
}

void
client_options_for(struct hop_target *t, const struct config *config,
    const struct route *r, const char *host, const struct net_addr *addr,
    const struct route_hop *via, struct tls_client *tls, struct log *log)
{
	*t = (struct hop_target){0};
	expect(t, r, host, addr->port);
	struct client_options *o = &t->options;
	o->to = *addr;
	o->host = host;
	o->helo = r->helo != NULL ? r->helo : config->policy.hostname;
	o->lmtp = r->deliver == ROUTE_LMTP;
	o->tls = r->tls;
	o->tls_implicit = via != NULL && via->tls;
	o->tls_client = tls;
	o->peer = &t->peer;
	o->user = r->user;
	o->secret = r->user != NULL ? r->secret : NULL;
	o->auth_in_clear = r->auth_in_clear;
	o->timeouts = &config->client;
	o->log = log;
	if (r->socks != NULL && r->socks_n > 0) {
		t->socks = r->socks->addr;
		t->socks.port = r->socks->port;
		o->socks = &t->socks;
	}
	const struct net_addr *from = source_for(r, o->socks != NULL ? o->socks : &o->to);
	if (from != NULL) {
		t->from = *from;
		o->from = &t->from;
	}
}
