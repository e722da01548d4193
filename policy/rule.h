/* SPDX-License-Identifier: ISC */
/*
 * rule - an administrator's own lists: who is let in or kept out, by client,
 * name, sender, recipient, account and listener.  In order, the first that fits
 * decides.  A rule never gives the right to relay: that comes from networks,
 * accounts, certificates and inbound routes alone.
 */
#ifndef POLICY_RULE_H
#define POLICY_RULE_H

#include "policy/lists.h"
#include "policy/pattern.h"

#define RULE_MAX 1000

enum rule_action {
	RULE_ACCEPT, /* no later rule and no block list is asked */
	RULE_REJECT, /* 550 5.7.1 TEXT */
	RULE_DEFER,  /* 450 4.7.1 TEXT */
	RULE_HOLD,   /* taken, but waits for an administrator */
};

struct rule {
	char *name;
	enum rule_action action;
	struct pattern_list from, to; /* empty: any */
	struct pattern_list helo;     /* domains; empty: any */
	struct network_list clients;
	struct name_list listeners, accounts;
	char *text; /* NULL: our own words */
	unsigned line;
};

struct rule_table {
	struct rule *rule; /* owned, in order */
	size_t n;
};

struct rule_facts {
	const struct net_addr *client;
	struct span helo, listener, account, sender, recipient;
};

const struct rule *rule_find(const struct rule_table *t, const struct rule_facts *f);
void rule_table_clear(struct rule_table *t);

#endif
