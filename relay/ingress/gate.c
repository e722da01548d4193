/* SPDX-License-Identifier: ISC */
/* gate - the administrator's word at connect, and the limits. */
#include "relay/ingress/gate.h"

#include "relay/ingress/meters.h"

static struct verdict
fine(void)
{
	return verdict_make(250, "2.0.0", "ok");
}

/* ---- limits */

static void
log_limit(struct log *log, const struct meter_refusal *why,
    const struct meter_subject *who, struct span text)
{
	char client[NET_TEXT];
	net_format_ip(who->client, client);
	LOG(log, EV_LIMIT, F_STR("limit", why->limit->name), F_STR("client", client),
	    F_SPAN("account", who->account), F_ADDR("from", who->sender),
	    F_SPAN("what", text));
}

static struct verdict
count(struct ingress *in, const struct config *c, enum meter_kind kind,
    const struct meter_subject *who, const char **rule)
{
	struct meter_refusal why;
	if (meters_take(in->o.meters, c, kind, who, loop_now(in->o.loop), &why))
		return fine();
	struct buf text;
	buf_init(&text, VERDICT_TEXT);
	meters_explain(&why, kind, &text);
	if (why.first)
		log_limit(in->o.log, &why, who, buf_span(&text));
	struct verdict v = verdict_make(kind == METER_CONNECTION ? 421 : 450, "4.7.0",
	    "%.*s", SPAN_ARG(buf_span(&text)));
	buf_clear(&text);
	*rule = why.limit->name;
	return v;
}

static struct verdict
count_session(
    struct session *s, enum meter_kind kind, struct span sender, const char **rule)
{
	struct meter_subject who = {
	    .client = &s->peer,
	    .listener = span_str(s->listener_name),
	    .account = span_str(s->card != NULL ? s->card->name : NULL),
	    .sender = sender,
	};
	return count(s->in, s->config, kind, &who, rule);
}

struct verdict
gate_message(struct session *s, struct span sender, const char **rule)
{
	return count_session(s, METER_MESSAGE, sender, rule);
}

struct verdict
gate_recipient(struct session *s, struct span sender, const char **rule)
{
	return count_session(s, METER_RECIPIENT, sender, rule);
}

/* ---- connecting */

static bool
asks_for_more(const struct rule *r)
{
	return r->from.n > 0 || r->to.n > 0 || r->helo.n > 0 || r->accounts.n > 0;
}

/*
 * The first rule that fits what is known now, if that is all that it asks about.
 * A rule that may fit later, when more is known, stands before those behind it: then
 * nothing is decided yet.
 */
static const struct rule *
rule_at_connect(const struct rule_table *t, const struct net_addr *peer, struct span name)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct rule *r = &t->rule[i];
		if (r->clients.n > 0 && !network_list_has(&r->clients, peer))
			continue;
		if (r->listeners.n > 0 && !name_list_has(&r->listeners, name))
			continue;
		return asks_for_more(r) ? NULL : r;
	}
	return NULL;
}

static struct verdict
by_rule(const struct rule *r, const char **rule)
{
	if (r == NULL || (r->action != RULE_REJECT && r->action != RULE_DEFER))
		return fine();
	*rule = r->action == RULE_REJECT ? "rule-reject" : "rule-defer";
	if (r->action == RULE_DEFER)
		return verdict_make(421, "4.7.1", "%s",
		    r->text ? r->text : "not now, by the rules of this relay");
	return verdict_make(
	    554, "5.7.1", "%s", r->text ? r->text : "refused by the rules of this relay");
}

struct verdict
gate_connect(struct ingress *in, const struct net_addr *peer,
    const struct listener_config *l, const char **rule)
{
	struct span name = span_str(l != NULL ? l->name : NULL);
	if (l != NULL && l->clients.n > 0 && !network_list_has(&l->clients, peer)) {
		*rule = "clients";
		return verdict_make(554, "5.7.1", "this client may not connect here");
	}
	const struct rule *r = rule_at_connect(&in->config->policy.rules, peer, name);
	struct verdict v = by_rule(r, rule);
	if (!verdict_ok(&v))
		return v;
	struct meter_subject who = {.client = peer, .listener = name};
	return count(in, in->config, METER_CONNECTION, &who, rule);
}

/* ---- block lists: nobody is asked */

void
gate_begin(struct session *s)
{
	(void)s;
}

void
gate_end(struct session *s)
{
	(void)s;
}

bool
gate_wait(struct session *s, void (*again)(struct session *s))
{
	(void)s, (void)again;
	return false;
}

struct span
gate_listed(const struct session *s, bool *defer)
{
	(void)s;
	*defer = false;
	return (struct span){0};
}
