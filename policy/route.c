/* SPDX-License-Identifier: ISC */
/* route - patterns, the first match, and the key under which mail waits. */
#include "policy/route.h"

#include <string.h>

#include "base/mem.h"
#include "policy/address.h"

/* ---- patterns */

static enum err
wrong_pattern(struct span text, struct buf *why)
{
	buf_addf(why,
	    "\"%.*s\" is not a pattern; write example.org, .example.org (subdomains), "
	    "user@example.org, <> or *",
	    text.n > 100 ? 100 : (int)text.n, text.n ? text.p : "");
	return ERR_SYNTAX;
}

/* text owns "local\0domain": both parts stand in one allocation. */
static enum err
set_parts(struct route_pattern *out, struct span local, struct span domain)
{
	struct buf b;
	buf_init(&b, 1024);
	buf_add_span(&b, local);
	buf_add_char(&b, '\0');
	size_t at = b.n;
	enum err e = domain_canonical(domain, &b);
	size_t n = b.n - at;
	out->text = buf_take(&b);
	if (local.n > 0)
		out->local = (struct span){out->text, local.n};
	out->domain = (struct span){out->text + at, n};
	if (e != OK)
		mem_free(&out->text);
	return e;
}

enum err
route_pattern_parse(struct span text, struct route_pattern *out, struct buf *why)
{
	*out = (struct route_pattern){0};
	if (span_eq(text, SPAN("*")))
		return OK;
	if (span_eq(text, SPAN("<>"))) {
		out->null_sender = true;
		return OK;
	}
	struct address a;
	enum err e;
	if (span_starts(text, SPAN("*@"))) /* as people write it elsewhere */
		text = span_cut(text, 1, text.n);
	if (text.n > 1 && text.p[0] == '@') {
		e = set_parts(out, SPAN(""), span_cut(text, 1, text.n));
	} else if (text.n > 1 && text.p[0] == '.') {
		out->subdomains = true;
		e = set_parts(out, SPAN(""), span_cut(text, 1, text.n));
	} else if (text.n > 0 && text.p[text.n - 1] != ']' &&
		   span_find(text, '@') == text.n) {
		e = set_parts(out, SPAN(""), text);
	} else if (text.n > 0 && text.p[0] == '[') {
		e = set_parts(out, SPAN(""), text);
	} else {
		e = address_parse(text, &a);
		if (e == OK)
			e = set_parts(out, a.local, a.domain);
	}
	if (e == OK)
		return OK;
	*out = (struct route_pattern){0};
	return wrong_pattern(text, why);
}

/* The last "@" ends the local part: a quoted one may hold others. */
static struct span
domain_of(struct span address, struct span *local)
{
	size_t at = address.n;
	while (at > 0 && address.p[at - 1] != '@')
		at--;
	*local = span_cut(address, 0, at ? at - 1 : address.n);
	return at ? span_cut(address, at, address.n)
		  : (struct span){address.p + address.n, 0};
}

static bool
domain_fits(const struct route_pattern *p, struct span domain)
{
	if (!p->subdomains)
		return span_eq(domain, p->domain);
	return domain.n > p->domain.n && domain.p[domain.n - p->domain.n - 1] == '.' &&
	       span_iends(domain, p->domain);
}

/* One mailbox has one route, however it is quoted: "a"@x and "\a"@x are a@x. */
static bool
local_fits(const struct route_pattern *p, struct span local)
{
	struct address mine = {.local = p->local}, theirs = {.local = local};
	return p->local.p == NULL || address_same(&mine, &theirs);
}

bool
route_pattern_matches(const struct route_pattern *p, struct span address)
{
	struct span local, domain = domain_of(address, &local);
	if (p->null_sender)
		return address.n == 0;
	if (p->domain.p == NULL && p->local.p == NULL)
		return true;
	if (address.n == 0 || !local_fits(p, local))
		return false;
	if (span_ieq(domain, p->domain) && !p->subdomains)
		return true;
	struct buf canonical;
	buf_init(&canonical, 1024);
	bool fits = domain_canonical(domain, &canonical) == OK &&
		    domain_fits(p, buf_span(&canonical));
	buf_clear(&canonical);
	return fits;
}

/* ---- routes */

static void
patterns_clear(struct route_pattern **list, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		mem_free(&(*list)[i].text);
	mem_free(list);
	*n = 0;
}

void
route_clear(struct route *r)
{
	patterns_clear(&r->to, &r->to_n);
	patterns_clear(&r->from, &r->from_n);
	for (size_t i = 0; i < r->hops; i++)
		mem_free(&r->hop[i].host);
	mem_free(&r->name);
	mem_free(&r->reject_text);
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
any_matches(const struct route_pattern *list, size_t n, struct span address)
{
	for (size_t i = 0; i < n; i++)
		if (route_pattern_matches(&list[i], address))
			return true;
	return n == 0;
}

const struct route *
route_find(const struct route_table *t, struct span sender, struct span recipient)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct route *r = &t->route[i];
		if (any_matches(r->to, r->to_n, recipient) &&
		    any_matches(r->from, r->from_n, sender))
			return r;
	}
	return NULL;
}

enum err
route_key(const struct route *r, struct span recipient, struct buf *out)
{
	struct span local, domain = domain_of(recipient, &local);
	switch (r->deliver) {
	case ROUTE_MX: buf_add_str(out, "mx:"); return domain_canonical(domain, out);
	case ROUTE_VIA: buf_addf(out, "via:%s", r->name); break;
	case ROUTE_HOLD: buf_addf(out, "hold:%s", r->name); break;
	case ROUTE_DISCARD: buf_addf(out, "discard:%s", r->name); break;
	case ROUTE_REJECT: buf_addf(out, "reject:%s", r->name); break;
	}
	return OK;
}

static void
describe_hops(const struct route *r, struct buf *out)
{
	for (size_t i = 0; i < r->hops; i++) {
		bool six = r->hop[i].addr.family == NET_IPV6;
		buf_addf(out, "%s%s%s%s:%u", i ? ", then " : "", six ? "[" : "",
		    r->hop[i].host, six ? "]" : "", r->hop[i].port);
	}
}

void
route_describe(const struct route *r, struct span recipient, struct buf *out)
{
	struct span local, domain = domain_of(recipient, &local);
	buf_addf(out, "route \"%s\" (line %u): ", r->name, r->line);
	switch (r->deliver) {
	case ROUTE_MX:
		buf_add_str(out, "by the MX records of ");
		buf_add_escaped(out, domain);
		buf_addf(out, ", port %u", r->port ? r->port : 25);
		break;
	case ROUTE_VIA:
		buf_add_str(out, "to ");
		describe_hops(r, out);
		break;
	case ROUTE_DISCARD: buf_add_str(out, "taken and thrown away"); break;
	case ROUTE_REJECT:
		buf_add_str(out, "refused: ");
		buf_add_str(out, r->reject_text ? r->reject_text : "no reason given");
		break;
	case ROUTE_HOLD:
		buf_add_str(out, "held until an administrator releases it");
		break;
	}
}
