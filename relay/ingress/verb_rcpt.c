/* SPDX-License-Identifier: ISC */
/*
 * verb_rcpt - RCPT TO: one more recipient, if policy lets it in and there is a
 * place for it.  The same mailbox twice is taken and gets one copy.
 */
#include "base/mem.h"
#include "relay/ingress/gate.h"
#include "relay/ingress/verbs.h"

bool
check_rcpt(struct session *s, struct span args, union command *c)
{
	struct verdict why;
	if (command_rcpt(args, s->tx->smtputf8, &c->rcpt, &why))
		return true;
	s->tx->rcpts_refused++;
	session_log_refused(s, "rcpt", &why, "syntax", s->tx->message->sender, args);
	session_refuse(s, &why);
	return false;
}

/* Refusals of policy are the business of strangers' error budget: our own clients' lists
 * may hold many addresses that are wrong. */
static void
refuse(struct session *s, const struct verdict *v, const char *rule, struct span to)
{
	struct transaction *t = s->tx;
	t->rcpts_refused++;
	session_log_refused(s, "rcpt", v, rule, t->message->sender, to);
	if (t->own)
		session_verdict(s, v);
	else
		session_refuse(s, v);
}

static bool
is_full(const struct session *s)
{
	size_t n = s->tx->message->rcpts;
	return n >= session_recipients_max(s) || n >= MESSAGE_RCPT_MAX;
}

/* <Postmaster> alone is for everybody (RFC 5321 4.5.1), if the administrator has named
 * one. */
static bool
is_open_postmaster(const struct session *s, const struct rcpt_command *c)
{
	return c->recipient.domain.n == 0 && s->config->postmaster != NULL;
}

static const struct route *
postmaster_route(const struct session *s, const struct address *a)
{
	struct route_facts f = {.sender = s->tx->message->sender,
	    .recipient = a->text,
	    .listener = span_str(s->listener_name),
	    .client = s->peer};
	const struct route *r = route_find(&s->config->policy.routes, &f);
	return r != NULL && r->deliver != ROUTE_REJECT ? r : NULL;
}

/* What policy says, and what will be stored: 250, or why not. dest holds r->dest. */
static struct verdict
judge(const struct session *s, const struct address *a, const struct rcpt_command *c,
    struct recipient *r, struct buf *dest, const char **rule)
{
	struct access_facts f = session_facts(s, s->tx->message->sender);
	struct access_answer answer;
	access_recipient(&f, a->text, &answer);
	const struct route *route = answer.route;
	*rule = answer.rule;
	/* an administrator's own rule stands above it */
	if (!verdict_ok(&answer.verdict) && answer.by == NULL && is_open_postmaster(s, c))
		route = postmaster_route(s, a);
	if (!verdict_ok(&answer.verdict) && route == NULL)
		return answer.verdict;
	if (route == NULL || route_key(route, a->text, dest) != OK) {
		*rule = "route-key";
		return verdict_make(501, "5.1.3", "This domain cannot be a destination");
	}
	*r = (struct recipient){
	    .address = a->text,
	    .dest = buf_span(dest),
	    .notify = c->notify,
	    .orcpt = c->orcpt,
	    .state = answer.hold || route->deliver == ROUTE_HOLD ? RECIPIENT_HELD
								 : RECIPIENT_WAITING,
	};
	return verdict_make(250, "2.1.5", "Ok");
}

static void
take(struct session *s, const struct address *a, const struct rcpt_command *c)
{
	struct transaction *t = s->tx;
	if (transaction_has(t, a)) {
		session_say(s, "250 2.1.5 Ok");
		return;
	}
	struct buf dest;
	buf_init(&dest, 0);
	struct recipient r = {0};
	const char *rule = NULL;
	struct verdict v = judge(s, a, c, &r, &dest, &rule);
	if (verdict_ok(&v) && is_full(s)) {
		rule = "recipients";
		v = verdict_make(452, "4.5.3", "Too many recipients");
	}
	if (verdict_ok(&v)) {
		struct verdict counted = gate_recipient(s, t->message->sender, &rule);
		if (!verdict_ok(&counted))
			v = counted;
	}
	if (!verdict_ok(&v)) {
		refuse(s, &v, rule, a->text);
	} else {
		transaction_add(t, &r, a);
		t->utf8_address = t->utf8_address || a->utf8;
		session_verdict(s, &v);
	}
	buf_clear(&dest);
}

void
proceed_rcpt(struct session *s, const union command *c)
{
	if (c->rcpt.recipient.domain.n > 0) {
		take(s, &c->rcpt.recipient, &c->rcpt);
		return;
	}
	/* <Postmaster> alone (RFC 5321 4.5.1) */
	struct buf postmaster;
	buf_init(&postmaster, 0);
	session_add_postmaster(s, &postmaster);
	struct address a;
	if (address_parse(buf_span(&postmaster), &a) == OK)
		take(s, &a, &c->rcpt);
	else
		session_error(s, 501, "5.1.3", "The postmaster's address is not usable");
	buf_clear(&postmaster);
}
