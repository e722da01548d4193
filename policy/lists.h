/* SPDX-License-Identifier: ISC */
/* lists - networks and names as a configuration gives them. */
#ifndef POLICY_LISTS_H
#define POLICY_LISTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/net.h"
#include "base/span.h"

struct network_list {
	struct net_cidr *net; /* owned */
	size_t n;
};

struct name_list {
	char **name; /* owned, each one, too */
	size_t n;
};

bool network_list_has(const struct network_list *l, const struct net_addr *a);
void network_list_clear(struct network_list *l);

/* ASCII case is ignored. */
bool name_list_has(const struct name_list *l, struct span name);
void name_list_clear(struct name_list *l);

#endif
