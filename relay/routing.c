/* SPDX-License-Identifier: ISC */
/* routing - the facts are as they were when the message came in. */
#include "relay/routing.h"

struct route_facts
routing_facts(const struct message *m, const struct recipient *r)
{
	struct route_facts f = {
	    .sender = m->sender,
	    .recipient = r->address,
	    .account = m->account,
	    .listener = m->listener,
	};
	if (net_parse_ip(m->client, &f.client) != OK)
		f.client = (struct net_addr){0};
	return f;
}

const struct route *
routing_find(
    const struct route_table *t, const struct message *m, const struct recipient *r)
{
	struct route_facts f = routing_facts(m, r);
	return route_find(t, &f);
}
