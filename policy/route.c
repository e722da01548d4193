/* SPDX-License-Identifier: ISC */
/* route - patterns, the first match, and the key under which mail waits. */
#include "policy/route.h"

#include <string.h>

#include "base/mem.h"
#include "policy/address.h"

/* ---- routes */

void
route_clear(struct route *r)
{
	pattern_list_clear(&r->to);
	pattern_list_clear(&r->from);
	name_list_clear(&r->accounts);
	name_list_clear(&r->listeners);
	network_list_clear(&r->clients);
	name_list_clear(&r->fingerprints);
	rewriting_clear(&r->rewriting);
	for (size_t i = 0; i < r->hops; i++)
		mem_free(&r->hop[i].host);
	for (size_t i = 0; i < r->socks_n; i++)
		mem_free(&r->socks[i].host);
	mem_free(&r->socks);
	if (r->secret != NULL)
		explicit_bzero(r->secret, strlen(r->secret));
	char **text[] = {&r->name, &r->reject_text, &r->catch_all, &r->tls_name,
	    &r->tls_ca, &r->user, &r->secret_file, &r->secret, &r->helo, &r->always_bcc};
	for (size_t i = 0; i < COUNT_OF(text); i++)
		mem_free(text[i]);
	*r = (struct route){0};
}

void
route_table_clear(struct route_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		route_clear(&t->route[i]);
	mem_free(&t->route);
	t->n = 0;
}

static bool
fits(const struct route *r, const struct route_facts *f)
{
	return pattern_list_fits(&r->to, f->recipient) &&
	       pattern_list_fits(&r->from, f->sender) &&
	       (r->accounts.n == 0 || name_list_has(&r->accounts, f->account)) &&
	       (r->listeners.n == 0 || name_list_has(&r->listeners, f->listener)) &&
	       (r->clients.n == 0 || network_list_has(&r->clients, &f->client));
}

const struct route *
route_find(const struct route_table *t, const struct route_facts *f)
{
	for (size_t i = 0; i < t->n; i++)
		if (fits(&t->route[i], f))
			return &t->route[i];
	return NULL;
}

const struct route *
route_named(const struct route_table *t, struct span name)
{
	for (size_t i = 0; i < t->n; i++)
		if (span_eq(span_str(t->route[i].name), name))
			return &t->route[i];
	return NULL;
}

/* ---- keys */

bool
route_is_plain(const struct route *r)
{
	bool trusts = r->tls_name == NULL && r->tls_ca == NULL && r->fingerprints.n == 0;
	bool anybody = r->user == NULL && r->helo == NULL && r->sources == 0;
	bool unhurried = r->rates.n == 0 && r->concurrency == 0;
	return r->tls == ROUTE_TLS_OPPORTUNISTIC && trusts && anybody && unhurried &&
	       r->family == ROUTE_FAMILY_ANY && r->socks_n == 0 &&
	       rewriting_is_empty(&r->rewriting) && (r->port == 0 || r->port == 25);
}

struct route_key_parts
route_key_split(struct span key)
{
	size_t colon = span_find(key, ':'), slash;
	struct route_key_parts p = {.kind = span_cut(key, 0, colon)};
	struct span rest = span_cut(key, colon + 1, key.n);
	slash = span_find(p.kind, '/');
	if (!span_starts(p.kind, SPAN("mx"))) {
		p.route = rest;
		return p;
	}
	p.domain = rest;
	p.route = span_cut(p.kind, slash + 1, p.kind.n);
	p.kind = span_cut(p.kind, 0, slash);
	return p;
}

enum err
route_key(const struct route *r, struct span recipient, struct buf *out)
{
	struct span local, domain = address_domain_of(recipient, &local);
	switch (r->deliver) {
	case ROUTE_MX:
		if (route_is_plain(r))
			buf_add_str(out, "mx:");
		else
			buf_addf(out, "mx/%s:", r->name);
		return domain_canonical(domain, out);
	case ROUTE_LMTP:
	case ROUTE_VIA: buf_addf(out, "via:%s", r->name); break;
	case ROUTE_HOLD: buf_addf(out, "hold:%s", r->name); break;
	case ROUTE_DISCARD: buf_addf(out, "discard:%s", r->name); break;
	case ROUTE_MAILBOX: buf_addf(out, "mailbox:%s", r->name); break;
	case ROUTE_REJECT: buf_addf(out, "reject:%s", r->name); break;
	}
	return OK;
}

/* ---- for people */

static void
describe_hop(const struct route_hop *h, struct buf *out)
{
	bool six = h->addr.family == NET_IPV6;
	buf_addf(out, "%s%s%s%s:%u", h->tls ? "smtps://" : "", six ? "[" : "", h->host,
	    six ? "]" : "", h->port);
}

static void
describe_hops(const struct route *r, struct buf *out)
{
	for (size_t i = 0; i < r->hops; i++) {
		buf_add_str(out, i ? ", then " : "");
		describe_hop(&r->hop[i], out);
	}
}

static void
describe_tls(const struct route *r, struct buf *out)
{
	switch (r->tls) {
	case ROUTE_TLS_NONE: buf_add_str(out, "; never with TLS"); break;
	case ROUTE_TLS_OPPORTUNISTIC: break; /* what everybody does */
	case ROUTE_TLS_REQUIRED: buf_add_str(out, "; only with TLS"); break;
	case ROUTE_TLS_VERIFY:
		buf_add_str(out, "; only with TLS and ");
		if (r->fingerprints.n > 0)
			buf_addf(out, "one of %zu known certificates", r->fingerprints.n);
		else if (r->tls_name != NULL)
			buf_addf(out, "a certificate for %s", r->tls_name);
		else
			buf_add_str(out, "a certificate for the host's name");
		break;
	}
}

static void
describe_source(const struct route *r, struct buf *out)
{
	static const char *const families[] = {
	    [ROUTE_FAMILY_IPV4] = "; only over IPv4",
	    [ROUTE_FAMILY_IPV6] = "; only over IPv6",
	    [ROUTE_FAMILY_IPV4_FIRST] = "; over IPv4 first",
	    [ROUTE_FAMILY_IPV6_FIRST] = "; over IPv6 first",
	};
	char ip[NET_TEXT];
	for (size_t i = 0; i < r->sources; i++) {
		net_format_ip(&r->source[i], ip);
		buf_addf(out, "%s%s", i ? " or " : "; from ", ip);
	}
	if (r->family != ROUTE_FAMILY_ANY)
		buf_add_str(out, families[r->family]);
	for (size_t i = 0; i < r->socks_n; i++) {
		buf_add_str(out, "; through the SOCKS proxy ");
		describe_hop(&r->socks[i], out);
	}
}

static void
describe_pace(const struct route *r, struct buf *out)
{
	for (size_t i = 0; i < r->rates.n; i++) {
		buf_add_str(out, i ? " and " : "; at most ");
		rate_add(out, &r->rates.rate[i]);
	}
	if (r->rates.n > 0)
		buf_add_str(out, " messages");
	if (r->concurrency > 0)
		buf_addf(out, "; at most %u connection%s to a destination",
		    r->concurrency, r->concurrency == 1 ? "" : "s");
}

/* How we speak to a next hop, where it is not as every plain route does. */
static void
describe_way(const struct route *r, struct buf *out)
{
	describe_tls(r, out);
	if (r->user != NULL) {
		buf_add_str(out, "; signed in as ");
		buf_add_escaped(out, span_str(r->user));
	}
	describe_source(r, out);
	describe_pace(r, out);
	if (!rewriting_is_empty(&r->rewriting))
		buf_add_str(out, "; addresses are rewritten");
	if (r->always_bcc != NULL) {
		buf_add_str(out, "; a copy goes to ");
		buf_add_escaped(out, span_str(r->always_bcc));
	}
}

void
route_describe(const struct route *r, struct span recipient, struct buf *out)
{
	struct span local, domain = address_domain_of(recipient, &local);
	buf_addf(out, "route \"%s\" (line %u): ", r->name, r->line);
	switch (r->deliver) {
	case ROUTE_MX:
		buf_add_str(out, "by the MX records of ");
		buf_add_escaped(out, domain);
		buf_addf(out, ", port %u", r->port ? r->port : 25);
		describe_way(r, out);
		break;
	case ROUTE_LMTP:
	case ROUTE_VIA:
		buf_add_str(out, r->deliver == ROUTE_LMTP ? "by LMTP to " : "to ");
		describe_hops(r, out);
		describe_way(r, out);
		break;
	case ROUTE_DISCARD: buf_add_str(out, "taken and thrown away"); break;
	case ROUTE_MAILBOX: buf_add_str(out, "into the mailbox of its account"); break;
	case ROUTE_REJECT:
		buf_add_str(out, "refused: ");
		buf_add_str(out, r->reject_text ? r->reject_text : "no reason given");
		break;
	case ROUTE_HOLD:
		buf_add_str(out, "held until an administrator releases it");
		break;
	}
}
