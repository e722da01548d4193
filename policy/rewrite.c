/* SPDX-License-Identifier: ISC */
/* rewrite - rewritings, and the address that one makes of another. */
#include "policy/rewrite.h"

#include "base/mem.h"
#include "policy/address.h"

/* ---- reading */

static enum err
wrong(struct span text, struct buf *why)
{
	buf_addf(why,
	    "\"%.*s\" is not a rewriting; write \"@office.lan=@example.org\" or "
	    "\"*=relay@example.org\"",
	    text.n > 100 ? 100 : (int)text.n, text.n ? text.p : "");
	return ERR_SYNTAX;
}

/* "user@example.org", or "@example.org": the local part stays. */
static enum err
parse_result(struct span text, struct rewrite *out)
{
	struct span local, domain = address_domain_of(text, &local);
	struct buf canonical;
	struct address whole;
	if (domain.n == 0 || (local.n > 0 && address_parse(text, &whole) != OK))
		return ERR_SYNTAX;
	buf_init(&canonical, 1024);
	enum err e = domain_canonical(domain, &canonical);
	if (e == OK) {
		out->domain = buf_take(&canonical);
		out->local = local.n > 0 ? span_dup(local) : NULL;
	}
	buf_clear(&canonical);
	return e;
}

static void
rewrite_clear(struct rewrite *r)
{
	mem_free(&r->match.text);
	mem_free(&r->local);
	mem_free(&r->domain);
	*r = (struct rewrite){0};
}

enum err
rewrite_parse(struct span text, struct rewrite *out, struct buf *why)
{
	*out = (struct rewrite){0};
	size_t at = text.n; /* the last "=": a local part may hold others */
	while (at > 0 && text.p[at - 1] != '=')
		at--;
	if (at == 0)
		return wrong(text, why);
	struct span match = span_trim(span_cut(text, 0, at - 1));
	struct span result = span_trim(span_cut(text, at, text.n));
	enum err e = route_pattern_parse(match, &out->match, why);
	if (e != OK)
		return e;
	if (parse_result(result, out) == OK &&
	    (out->local != NULL || !out->match.null_sender))
		return OK;
	rewrite_clear(out);
	return wrong(text, why);
}

enum err
rewrite_masquerade(struct span domain, struct rewrite *out, struct buf *why)
{
	struct buf text;
	buf_init(&text, 1024);
	buf_addf(&text, ".%.*s=@%.*s", SPAN_ARG(domain), SPAN_ARG(domain));
	enum err e = rewrite_parse(buf_span(&text), out, why);
	buf_clear(&text);
	return e;
}

void
rewrite_list_clear(struct rewrite_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		rewrite_clear(&l->rule[i]);
	mem_free(&l->rule);
	l->n = 0;
}

bool
rewriting_is_empty(const struct rewriting *r)
{
	return r->sender.n + r->from.n + r->masquerade.n + r->recipient.n == 0;
}

void
rewriting_clear(struct rewriting *r)
{
	rewrite_list_clear(&r->sender);
	rewrite_list_clear(&r->from);
	rewrite_list_clear(&r->masquerade);
	rewrite_list_clear(&r->recipient);
}

/* ---- one address */

/* As route_pattern_matches(), but the domain is made canonical once for all rules. */
static bool
fits(const struct route_pattern *p, struct span local, struct span domain)
{
	if (p->null_sender || (p->domain.p == NULL && p->local.p == NULL))
		return !p->null_sender;
	if (domain.n == 0 ||
	    (p->local.p != NULL && !address_local_alike(p->local, local)))
		return false;
	if (!p->subdomains)
		return span_eq(domain, p->domain);
	return domain.n > p->domain.n && domain.p[domain.n - p->domain.n - 1] == '.' &&
	       span_iends(domain, p->domain);
}

static const struct rewrite *
first_that_fits(const struct rewrite_list *l, struct span address)
{
	struct span local, domain = address_domain_of(address, &local);
	struct buf canonical;
	const struct rewrite *found = NULL;
	buf_init(&canonical, 1024);
	if (domain.n > 0 && domain_canonical(domain, &canonical) != OK)
		buf_reset(&canonical);
	for (size_t i = 0; i < l->n && found == NULL; i++) {
		const struct route_pattern *p = &l->rule[i].match;
		if (address.n == 0 ? p->null_sender
				   : fits(p, local, buf_span(&canonical)))
			found = &l->rule[i];
	}
	buf_clear(&canonical);
	return found;
}

bool
rewrite_address(const struct rewrite_list *l, struct span address, struct buf *out)
{
	const struct rewrite *r = l->n > 0 ? first_that_fits(l, address) : NULL;
	if (r == NULL)
		return false;
	struct span local;
	(void)address_domain_of(address, &local);
	buf_add_span(out, r->local != NULL ? span_str(r->local) : local);
	buf_addf(out, "@%s", r->domain);
	return true;
}

bool
rewrite_twice(const struct rewrite_list *first, const struct rewrite_list *then,
    struct span address, struct buf *out)
{
	struct buf half;
	buf_init(&half, REWRITTEN_MAX);
	bool once = rewrite_address(first, address, &half);
	bool twice = rewrite_address(then, once ? buf_span(&half) : address, out);
	if (once && !twice)
		buf_add_span(out, buf_span(&half));
	buf_clear(&half);
	return once || twice;
}
