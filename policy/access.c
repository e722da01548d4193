/* SPDX-License-Identifier: ISC */
/* access - the rules in order; the first that decides returns. */
#include "policy/access.h"

#include "policy/address.h"

const char *
access_own_reason(const struct access_facts *f)
{
	const struct network_list *l = f->networks ? f->networks : &f->policy->networks;
	if (f->account.n > 0)
		return "account";
	if (f->certificate)
		return "certificate";
	return network_list_has(l, f->client) ? "networks" : NULL;
}

bool
access_is_own(const struct access_facts *f)
{
	return access_own_reason(f) != NULL;
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

static void
answer(struct access_answer *out, const char *rule, struct verdict v)
{
	out->rule = rule;
	out->verdict = v;
}

void
access_recipient(
    const struct access_facts *f, struct span recipient, struct access_answer *out)
{
	*out = (struct access_answer){0};
	/* 1. No form that the DNS knows: nobody could deliver it. */
	if (!has_domain(recipient)) {
		answer(out, "recipient-domain",
		    verdict_make(
			501, "5.1.3", "the recipient's domain is not a valid name"));
		return;
	}
	/* 2. A route refuses, whoever asks: "this domain has moved" is meant for
	 * strangers too. */
	struct route_facts rf = {
	    f->sender, recipient, f->account, f->listener, *f->client};
	const struct route *r = route_find(&f->policy->routes, &rf);
	if (r != NULL && r->deliver == ROUTE_REJECT) {
		answer(out, "route-reject",
		    verdict_make(550, "5.7.1", "%s",
			r->reject_text ? r->reject_text : "recipient refused"));
		return;
	}
	/* 3. One of ours: anywhere that a route leads to. */
	bool own = access_is_own(f);
	if (own && r == NULL) {
		answer(out, "no-route",
		    verdict_make(550, "5.1.2", "no route for this recipient"));
		return;
	}
	/* 4. A stranger, and no route that takes mail from anyone. */
	if (!own && (r == NULL || !r->inbound)) {
		answer(out, "relaying-denied", denied(f));
		return;
	}
	/* 5. One of ours, or an inbound route. */
	out->route = r;
	answer(
	    out, own ? "own-client" : "inbound-route", verdict_make(250, "2.1.5", "ok"));
}
