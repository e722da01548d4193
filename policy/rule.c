/* SPDX-License-Identifier: ISC */
/* rule - a list that is looked through from the front. */
#include "policy/rule.h"

#include "base/mem.h"

static bool
named(const struct name_list *l, struct span name)
{
	return l->n == 0 || name_list_has(l, name);
}

/* Patterns are made for addresses; a name is looked at as the domain of one. */
static bool
helo_fits(const struct rule *r, struct span helo)
{
	struct buf address;
	buf_init(&address, 1024);
	buf_add_str(&address, "x@");
	buf_add_span(&address, helo);
	bool ok = pattern_list_fits(&r->helo, buf_span(&address));
	buf_clear(&address);
	return ok;
}

static bool
fits(const struct rule *r, const struct rule_facts *f)
{
	return (r->clients.n == 0 || network_list_has(&r->clients, f->client)) &&
	       named(&r->listeners, f->listener) && named(&r->accounts, f->account) &&
	       pattern_list_fits(&r->from, f->sender) &&
	       pattern_list_fits(&r->to, f->recipient) &&
	       (r->helo.n == 0 || helo_fits(r, f->helo));
}

const struct rule *
rule_find(const struct rule_table *t, const struct rule_facts *f)
{
	for (size_t i = 0; i < t->n; i++)
		if (fits(&t->rule[i], f))
			return &t->rule[i];
	return NULL;
}

void
rule_table_clear(struct rule_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct rule *r = &t->rule[i];
		pattern_list_clear(&r->from);
		pattern_list_clear(&r->to);
		pattern_list_clear(&r->helo);
		network_list_clear(&r->clients);
		name_list_clear(&r->listeners);
		name_list_clear(&r->accounts);
		mem_free(&r->text);
		mem_free(&r->name);
	}
	mem_free(&t->rule);
	t->n = 0;
}
