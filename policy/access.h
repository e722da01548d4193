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
#include "policy/rule.h"
#include "policy/verdict.h"

/* What policy needs of the configuration; borrowed from the snapshot. */
struct policy {
	struct network_list networks; /* may relay without a password */
	struct rule_table rules;
	struct route_table routes;
	char *hostname;
	uint64_t message_size_max;
};

struct access_facts {
	const struct policy *policy;
	const struct network_list
	    *networks; /* the listener's own list, or NULL for the global one */
	const struct net_addr *client;
	struct span helo, listener;
	struct span account; /* empty: nobody signed in */
	const struct route_pattern
	    *account_sender; /* the account is bound to these; none: any */
	size_t account_senders;
	bool certificate;   /* the client showed a certificate that may relay */
	bool auth_required; /* the listener wants everyone to sign in */
	struct span listed; /* a DNS block list's words about a client that is in it;
			       empty: not */
	bool listed_defer;  /* and it asks for a 4xx, not a 5xx */
	struct span sender; /* "" is the null reverse-path */
};

/* Why the client is one of ours: "account", "certificate" or "networks"; NULL: it is not.
 */
const char *access_own_reason(const struct access_facts *f);
bool access_is_own(const struct access_facts *f);

/* MAIL: is this sender fine? rule (may be NULL) gets a constant name. */
struct verdict access_sender(const struct access_facts *f, const char **rule);

/* What RCPT comes to. */
struct access_answer {
	struct verdict verdict; /* 250 or a refusal */
	const char *rule;      /* a constant name: "own-client", "relaying-denied", ... */
	const struct rule *by; /* the administrator's rule that decided, if one did */
	const struct route *route; /* where it will go; NULL if refused */
	bool hold;                 /* taken, but held for an administrator */
};

/* RCPT: may this client send to this recipient? */
void access_recipient(
    const struct access_facts *f, struct span recipient, struct access_answer *out);

/*
 * The same decisions told step by step, in the order in which they are made, first
 * those of MAIL, then those of RCPT, up to the one that decides
 * (policy-test): told(arg, "networks: 192.0.2.7 is not in the list of listener \"smtp\"",
 * decided), decided: this step was the one.
 */
void access_explain(const struct access_facts *f, struct span recipient,
    void (*told)(void *arg, const char *step, bool decided), void *arg);

#endif
