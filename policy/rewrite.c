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

bool
rewrite_address(const struct rewrite_list *l, struct span address, struct buf *out)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct rewrite *r = &l->rule[i];
		struct span local;
		if ((address.n == 0 && !r->match.null_sender) ||
		    !route_pattern_matches(&r->match, address))
			continue;
		(void)address_domain_of(address, &local);
		buf_add_span(out, r->local != NULL ? span_str(r->local) : local);
		buf_addf(out, "@%s", r->domain);
		return true;
	}
	return false;
}
