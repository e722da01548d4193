/* SPDX-License-Identifier: ISC */
/* access - the rules in order; the first that decides returns. */
#include "policy/access.h"

#include "policy/address.h"

bool
network_list_has(const struct network_list *l, const struct net_addr *a)
{
	for (size_t i = 0; i < l->n; i++)
		if (net_cidr_has(&l->net[i], a))
			return true;
	return false;
}

bool
access_is_own(const struct access_facts *f)
{
	const struct network_list *l = f->networks ? f->networks : &f->policy->networks;
	return f->account.n > 0 || network_list_has(l, f->client);
}

static void
name_rule(const char **rule, const char *name)
{
	if (rule != NULL)
		*rule = name;
}

static bool
has_domain(struct span address)
{
	size_t at = address.n;
	while (at > 0 && address.p[at - 1] != '@')
		at--;
	struct buf canonical;
	buf_init(&canonical, 1024);
	bool ok = at > 0 &&
		  domain_canonical(span_cut(address, at, address.n), &canonical) == OK;
	buf_clear(&canonical);
	return ok;
}

struct verdict
access_sender(const struct access_facts *f, const char **rule)
{
	/* 1. The null reverse-path is always fine: bounces must be able to travel. */
	if (f->sender.n == 0) {
		name_rule(rule, "null-sender");
		return verdict_make(250, "2.1.0", "ok");
	}
	/* 2. A domain that cannot exist cannot take a bounce. */
	if (!has_domain(f->sender)) {
		name_rule(rule, "sender-domain");
		return verdict_make(
		    553, "5.1.7", "the sender's domain is not a valid name");
	}
	name_rule(rule, "sender-ok");
	return verdict_make(250, "2.1.0", "ok");
}

static struct verdict
denied(const struct access_facts *f)
{
	char client[NET_TEXT];
	net_format_ip(f->client, client);
	return verdict_make(550, "5.7.1",
	    "relaying denied: %s is not in this relay's networks and no one signed in",
	    client);
}

struct verdict
access_recipient(const struct access_facts *f, struct span recipient,
    const struct route **route, const char **rule)
{
	*route = NULL;
	/* 1. No form that the DNS knows: nobody could deliver it. */
	if (!has_domain(recipient)) {
		name_rule(rule, "recipient-domain");
		return verdict_make(
		    501, "5.1.3", "the recipient's domain is not a valid name");
	}
	/* 2. A route refuses, whoever asks: "this domain has moved" is meant for
	 * strangers too. */
	const struct route *r = route_find(&f->policy->routes, f->sender, recipient);
	if (r != NULL && r->deliver == ROUTE_REJECT) {
		name_rule(rule, "route-reject");
		return verdict_make(550, "5.7.1", "%s",
		    r->reject_text ? r->reject_text : "recipient refused");
	}
	/* 3. One of ours: anywhere that a route leads to. */
	bool own = access_is_own(f);
	if (own && r == NULL) {
		name_rule(rule, "no-route");
		return verdict_make(550, "5.1.2", "no route for this recipient");
	}
	/* 4. A stranger, and no route that takes mail from anyone. */
	if (!own && (r == NULL || !r->inbound)) {
		name_rule(rule, "relaying-denied");
		return denied(f);
	}
	/* 5. One of ours, or an inbound route. */
	*route = r;
	name_rule(rule, own ? "own-client" : "inbound-route");
	return verdict_make(250, "2.1.5", "ok");
}
