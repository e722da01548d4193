/* SPDX-License-Identifier: ISC */
/*
 * access - the steps in order, as two tables; the first that decides ends the
 * walk.  access_explain() walks the same tables and listens, so that what it tells
 * cannot differ from what is done.
 */
#include "policy/access.h"

#include <stdarg.h>
#include <stdio.h>

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

static bool
has_domain(struct span address)
{
	size_t at = span_find_last(address, '@');
	struct buf canonical;
	buf_init(&canonical, 1024);
	bool ok = at < address.n && domain_canonical(span_cut(address, at + 1, address.n),
					&canonical) == OK;
	buf_clear(&canonical);
	return ok;
}

/* One walk through a table. */
struct walk {
	const struct access_facts *f;
	struct span recipient;
	const struct route *route;
	bool accepted; /* by a rule: no block list is asked */
	struct access_answer *out;
	char said[600]; /* the step's sentence, if somebody listens */
	bool listens;
};

/* Decides (true), or leaves it to the next one. */
typedef bool step_fn(struct walk *w);

static void
say(struct walk *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
say(struct walk *w, const char *fmt, ...)
{
	va_list ap;
	if (!w->listens)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(w->said, sizeof(w->said), fmt, ap);
	va_end(ap);
}

static bool
decide(struct walk *w, const char *rule, struct verdict v)
{
	w->out->rule = rule;
	w->out->verdict = v;
	return true;
}

/* ---- MAIL */

/* Sessions ask this before they look at MAIL at all, in the same words. */
static bool
sign_in(struct walk *w)
{
	const struct access_facts *f = w->f;
	bool known = f->account.n > 0 || f->certificate;
	if (!f->auth_required || known) {
		say(w, "sign-in: %s",
		    f->auth_required ? "needed here, and done" : "not needed here");
		return false;
	}
	say(w, "sign-in: needed at listener \"%.*s\", and nobody has signed in",
	    SPAN_ARG(f->listener));
	return decide(
	    w, "sign-in", verdict_make(530, "5.7.0", "Authentication required"));
}

/* The null reverse-path is always fine: bounces must be able to travel. */
static bool
null_sender(struct walk *w)
{
	if (w->f->sender.n > 0) {
		say(w, "null-sender: the sender is <%.*s>, an address",
		    SPAN_ARG(w->f->sender));
		return false;
	}
	say(w, "null-sender: <> may always be the sender");
	return decide(w, "null-sender", verdict_make(250, "2.1.0", "ok"));
}

/* A domain that cannot exist cannot take a bounce. */
static bool
sender_domain(struct walk *w)
{
	if (has_domain(w->f->sender)) {
		say(w, "sender-domain: it is a valid name");
		return false;
	}
	say(w, "sender-domain: it is not a valid name");
	return decide(w, "sender-domain",
	    verdict_make(553, "5.1.7", "the sender's domain is not a valid name"));
}

static bool
is_bound_elsewhere(const struct access_facts *f)
{
	if (f->account.n == 0 || f->account_senders == 0)
		return false;
	for (size_t i = 0; i < f->account_senders; i++)
		if (route_pattern_matches(&f->account_sender[i], f->sender))
			return false;
	return true;
}

/* Who has signed in does not write in another's name. */
static bool
sender_account(struct walk *w)
{
	const struct access_facts *f = w->f;
	if (!is_bound_elsewhere(f)) {
		say(w, "sender-account: %s",
		    f->account.n == 0 ? "nobody has signed in"
				      : "the account may send as this address");
		return false;
	}
	say(w, "sender-account: account \"%.*s\" may not send as <%.*s>",
	    SPAN_ARG(f->account), SPAN_ARG(f->sender));
	return decide(w, "sender-account",
	    verdict_make(553, "5.7.1", "account %.*s may not send as %.*s",
		SPAN_ARG(f->account), SPAN_ARG(f->sender)));
}

static bool
sender_ok(struct walk *w)
{
	say(w, "sender-ok: nothing is against this sender");
	return decide(w, "sender-ok", verdict_make(250, "2.1.0", "ok"));
}

static step_fn *const sender_steps[] = {
    sign_in, null_sender, sender_domain, sender_account, sender_ok};

/* ---- RCPT */

/* No form that the DNS knows: nobody could deliver it. */
static bool
recipient_domain(struct walk *w)
{
	if (has_domain(w->recipient)) {
		say(w, "recipient-domain: it is a valid name");
		return false;
	}
	say(w, "recipient-domain: it is not a valid name");
	return decide(w, "recipient-domain",
	    verdict_make(501, "5.1.3", "the recipient's domain is not a valid name"));
}

static bool
by_rule(struct walk *w, const struct rule *r)
{
	static const char *const action[] = {
	    [RULE_ACCEPT] =
		"accepts; no block list is asked, and this gives no right to relay",
	    [RULE_REJECT] = "refuses",
	    [RULE_DEFER] = "defers",
	    [RULE_HOLD] = "will hold it, if it is taken",
	};
	say(w, "rules: rule \"%s\" (line %u) %s", r->name ? r->name : "", r->line,
	    action[r->action]);
	switch (r->action) {
	case RULE_ACCEPT: w->accepted = true; return false;
	case RULE_HOLD:
		w->out->hold = true;
		w->out->by = r;
		return false;
	case RULE_REJECT:
		w->out->by = r;
		return decide(w, "rule-reject",
		    verdict_make(550, "5.7.1", "%s",
			r->text ? r->text : "refused by the rules of this relay"));
	default:
		w->out->by = r;
		return decide(w, "rule-defer",
		    verdict_make(450, "4.7.1", "%s",
			r->text ? r->text : "not now, by the rules of this relay"));
	}
}

static bool
rules(struct walk *w)
{
	const struct access_facts *f = w->f;
	struct rule_facts rf = {
	    f->client, f->helo, f->listener, f->account, f->sender, w->recipient};
	const struct rule *r = rule_find(&f->policy->rules, &rf);
	if (r != NULL)
		return by_rule(w, r);
	say(w, "rules: none of %zu fits", f->policy->rules.n);
	return false;
}

/* What others say of a client counts only while we do not know better. */
static bool
block_list(struct walk *w)
{
	const struct access_facts *f = w->f;
	bool asked = !w->accepted && !access_is_own(f);
	if (!asked || f->listed.n == 0) {
		say(w, "block-list: %s",
		    asked ? "none has named the client"
			  : "does not count for this client");
		return false;
	}
	say(w, "block-list: %.*s", SPAN_ARG(f->listed));
	return f->listed_defer
		   ? decide(w, "listed-defer",
			 verdict_make(450, "4.7.1", "%.*s", SPAN_ARG(f->listed)))
		   : decide(w, "listed",
			 verdict_make(550, "5.7.1", "%.*s", SPAN_ARG(f->listed)));
}

/* A route refuses, whoever asks: "this domain has moved" is meant for strangers too. */
static bool
route_reject(struct walk *w)
{
	const struct access_facts *f = w->f;
	struct route_facts rf = {
	    f->sender, w->recipient, f->account, f->listener, *f->client};
	const struct route *r = w->route = route_find(&f->policy->routes, &rf);
	if (r == NULL || r->deliver != ROUTE_REJECT) {
		say(w, "route-reject: %s%s%s", r ? "the route is \"" : "no route fits",
		    r ? r->name : "", r ? "\", and it does not refuse" : "");
		return false;
	}
	say(w, "route-reject: route \"%s\" (line %u) refuses", r->name, r->line);
	return decide(w, "route-reject",
	    verdict_make(550, "5.7.1", "%s",
		r->reject_text ? r->reject_text : "recipient refused"));
}

static bool
taken(struct walk *w, const char *rule)
{
	w->out->route = w->route;
	return decide(w, rule, verdict_make(250, "2.1.5", "ok"));
}

static void
say_own(struct walk *w, const char *why)
{
	const struct access_facts *f = w->f;
	char client[NET_TEXT];
	net_format_ip(f->client, client);
	if (why == NULL)
		say(w,
		    "own-client: %s has not signed in, has no certificate that may "
		    "relay, and is not in the networks of %s%.*s",
		    client, f->networks ? "listener " : "this relay",
		    f->networks ? (int)f->listener.n : 0,
		    f->networks ? f->listener.p : "");
	else
		say(w, "own-client: %s is one of ours by %s%s", client, why,
		    w->route ? "" : ", but no route leads to the recipient");
}

/* One of ours: anywhere that a route leads to. */
static bool
own_client(struct walk *w)
{
	const char *why = access_own_reason(w->f);
	say_own(w, why);
	if (why == NULL)
		return false;
	if (w->route != NULL)
		return taken(w, "own-client");
	return decide(
	    w, "no-route", verdict_make(550, "5.1.2", "no route for this recipient"));
}

static bool
inbound_route(struct walk *w)
{
	bool inbound = w->route != NULL && w->route->inbound;
	say(w, "inbound-route: the route %s",
	    inbound ? "takes mail from anyone" : "does not take mail from strangers");
	return inbound ? taken(w, "inbound-route") : false;
}

static bool
relaying_denied(struct walk *w)
{
	char client[NET_TEXT];
	net_format_ip(w->f->client, client);
	say(w, "relaying-denied: nothing gives this client the right to send there");
	return decide(w, "relaying-denied",
	    verdict_make(550, "5.7.1",
		"relaying denied: %s is not in this relay's networks and no one signed "
		"in; sign in, or ask the postmaster to add your network",
		client));
}

static step_fn *const recipient_steps[] = {recipient_domain, rules, block_list,
    route_reject, own_client, inbound_route, relaying_denied};

/* ---- the walks */

#define STEPS(table) table, sizeof(table) / sizeof((table)[0])

static void
walk(struct walk *w, step_fn *const *step, size_t n)
{
	*w->out = (struct access_answer){0};
	for (size_t i = 0; i < n && !step[i](w); i++)
		;
}

struct verdict
access_sender(const struct access_facts *f, const char **rule)
{
	struct access_answer out;
	struct walk w = {.f = f, .out = &out};
	walk(&w, STEPS(sender_steps));
	if (rule != NULL)
		*rule = out.rule;
	return out.verdict;
}

/* A refusal holds nothing. */
static void
forget_hold(struct access_answer *out)
{
	if (verdict_ok(&out->verdict) || !out->hold)
		return;
	out->hold = false;
	out->by = NULL;
}

void
access_recipient(
    const struct access_facts *f, struct span recipient, struct access_answer *out)
{
	struct walk w = {.f = f, .recipient = recipient, .out = out};
	walk(&w, STEPS(recipient_steps));
	forget_hold(out);
}

/* The steps one by one; true: the last one has decided for good. */
static bool
tell(struct walk *w, step_fn *const *step, size_t n, bool last,
    void (*told)(void *arg, const char *step, bool decided), void *arg)
{
	bool decided = false;
	for (size_t i = 0; i < n && !decided; i++) {
		decided = step[i](w);
		told(arg, w->said, decided && (last || !verdict_ok(&w->out->verdict)));
	}
	return !verdict_ok(&w->out->verdict);
}

void
access_explain(const struct access_facts *f, struct span recipient,
    void (*told)(void *arg, const char *step, bool decided), void *arg)
{
	struct access_answer out = {0};
	struct walk w = {.f = f, .recipient = recipient, .out = &out, .listens = true};
	if (!tell(&w, STEPS(sender_steps), false, told, arg))
		(void)tell(&w, STEPS(recipient_steps), true, told, arg);
}
