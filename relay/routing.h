/* SPDX-License-Identifier: ISC */
/* routing - what a stored message is to the routes. */
#ifndef RELAY_ROUTING_H
#define RELAY_ROUTING_H

#include "policy/route.h"
#include "spool/message.h"

/* Spans point into m and r. A notice of ours has no client, listener or account. */
struct route_facts routing_facts(const struct message *m, const struct recipient *r);

const struct route *routing_find(
    const struct route_table *t, const struct message *m, const struct recipient *r);

#endif
