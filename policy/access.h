/* SPDX-License-Identifier: ISC */
/*
 * access - who may do what.  Facts in, verdict out; no input or output.  The
 * rules are numbered in access.c, and the first that decides returns, with the
 * rule's name, so that every answer can be explained.
 */
#ifndef POLICY_ACCESS_H
#define POLICY_ACCESS_H

#include <stdbool.h>

#include "base/net.h"
#include "base/span.h"
#include "policy/route.h"
#include "policy/verdict.h"

struct network_list {
	struct net_cidr *net; /* owned */
	size_t n;
};

bool network_list_has(const struct network_list *l, const struct net_addr *a);

/* What policy needs of the configuration; borrowed from the snapshot. */
struct policy {
	struct network_list networks; /* may relay without a password */
	struct route_table routes;
	char *hostname;
	uint64_t message_size_max;
};

struct access_facts {
	const struct policy *policy;
	const struct network_list
	    *networks; /* the listener's own list, or NULL for the global one */
	const struct net_addr *client;
	struct span helo;
	struct span account; /* empty: nobody signed in */
	struct span sender;  /* "" is the null reverse-path */
};

/* Whether the client is one of ours: its network is listed, or it has signed in. */
bool access_is_own(const struct access_facts *f);

/* MAIL: is this sender fine? rule (may be NULL) gets a constant name. */
struct verdict access_sender(const struct access_facts *f, const char **rule);

/*
 * RCPT: may this client send to this recipient?  250 or a refusal; *route gets
 * the route that it will take.
 */
struct verdict access_recipient(const struct access_facts *f, struct span recipient,
    const struct route **route, const char **rule);

#endif
