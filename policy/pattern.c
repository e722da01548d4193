/* SPDX-License-Identifier: ISC */
/* pattern - which addresses an administrator means. */
#include "policy/pattern.h"

#include <string.h>

#include "base/mem.h"
#include "policy/address.h"

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
struct span
address_domain_of(struct span address, struct span *local)
{
	size_t at = span_find_last(address, '@');
	*local = span_cut(address, 0, at);
	return span_cut(address, at + 1, address.n);
}

static bool
domain_fits(const struct route_pattern *p, struct span domain)
{
	if (!p->subdomains)
		return span_eq(domain, p->domain);
	return domain.n > p->domain.n && domain.p[domain.n - p->domain.n - 1] == '.' &&
	       span_iends(domain, p->domain);
}

/* One mailbox has one route, however it is written: "a"@x, "\a"@x and A@x are a@x. */
static bool
local_fits(const struct route_pattern *p, struct span local)
{
	return p->local.p == NULL || address_local_alike(p->local, local);
}

bool
route_pattern_matches(const struct route_pattern *p, struct span address)
{
	struct span local, domain = address_domain_of(address, &local);
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

/* ---- lists */

bool
pattern_list_has(const struct pattern_list *l, struct span address)
{
	for (size_t i = 0; i < l->n; i++)
		if (route_pattern_matches(&l->pattern[i], address))
			return true;
	return false;
}

bool
pattern_list_fits(const struct pattern_list *l, struct span address)
{
	return l->n == 0 || pattern_list_has(l, address);
}

void
pattern_list_clear(struct pattern_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		mem_free(&l->pattern[i].text);
	mem_free(&l->pattern);
	l->n = 0;
}
