/* SPDX-License-Identifier: ISC */
/* lists - looked through from the front; they are short. */
#include "policy/lists.h"

#include "base/mem.h"

bool
network_list_has(const struct network_list *l, const struct net_addr *a)
{
	for (size_t i = 0; i < l->n; i++)
		if (net_cidr_has(&l->net[i], a))
			return true;
	return false;
}

void
network_list_clear(struct network_list *l)
{
	mem_free(&l->net);
	l->n = 0;
}

bool
name_list_has(const struct name_list *l, struct span name)
{
	for (size_t i = 0; i < l->n; i++)
		if (span_ieq(span_str(l->name[i]), name))
			return true;
	return false;
}

void
name_list_clear(struct name_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		mem_free(&l->name[i]);
	mem_free(&l->name);
	l->n = 0;
}
