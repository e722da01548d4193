/* SPDX-License-Identifier: ISC */
/*
 * verb_rcpt - RCPT TO: one more recipient, if policy lets it in and there is a
 * place for it.  The same mailbox twice is taken and gets one copy.
 *
 * A route may want one recipient more for every message that it gets (always-bcc).
 * Nothing that the client sees depends on him: he counts against no limit, and
 * a client that names him as well is answered as if he were not there.
 */
#include "base/check.h"
#include "base/mem.h"
#include "relay/ingress/gate.h"
#include "relay/ingress/mailboxes.h"
#include "relay/ingress/verbs.h"

/* The block lists have answered. */
static void
again(struct session *s)
{
	union command c;
	if (s->tx != NULL && check_rcpt(s, gate_kept(s), &c))
		proceed_rcpt(s, &c);
}

bool
check_rcpt(struct session *s, struct span args, union command *c)
{
	struct verdict why;
	if (command_rcpt(args, s->tx->smtputf8, &c->rcpt, &why)) {
		if (!gate_wait(s, again))
			return true;
		gate_keep(s, args);
		return false;
	}
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
	return transaction_named(s->tx) >= session_recipients_max(s) ||
	       s->tx->message->rcpts >= MESSAGE_RCPT_MAX;
}

/* <Postmaster> alone is for everybody (RFC 5321 4.5.1), if the administrator has named
 * one. */
static bool
is_open_postmaster(const struct session *s, const struct rcpt_command *c)
{
	return c->recipient.domain.n == 0 && s->config->postmaster != NULL;
}

/* Where mail for this address goes, whoever may send it; NULL: nowhere. */
static const struct route *
route_of(const struct session *s, const struct address *a)
{
	struct route_facts f = {.sender = s->tx->message->sender,
	    .recipient = a->text,
	    .account = span_str(s->card != NULL ? s->card->name : NULL),
	    .listener = span_str(s->listener_name),
	    .client = s->peer};
	const struct route *r = route_find(&s->config->policy.routes, &f);
	return r != NULL && r->deliver != ROUTE_REJECT ? r : NULL;
}

/* ---- the copies of always-bcc */

static void
log_no_copy(const struct session *s, const struct route *wants, const char *why)
{
	LOG(s->in->o.log, EV_CONFIG, F_STR("route", wants->name),
	    F_STR("always-bcc", wants->always_bcc), F_STR("why", why),
	    F_ADDR("from", s->tx->message->sender));
}

static void
add_copy(struct session *s, const struct route *wants)
{
	struct transaction *t = s->tx;
	struct address a;
	if (wants->always_bcc == NULL || !transaction_first_of_route(t, wants) ||
	    address_parse(span_str(wants->always_bcc), &a) != OK ||
	    transaction_find(t, &a) != NULL)
		return;
	struct buf dest;
	buf_init(&dest, 0);
	const struct route *to = route_of(s, &a);
	if (to == NULL || route_key(to, a.text, &dest) != OK)
		log_no_copy(s, wants, "no route takes this address; no copy is sent");
	else if (t->message->rcpts >= MESSAGE_RCPT_MAX)
		log_no_copy(s, wants, "no place for one more recipient");
	else
		transaction_add_copy(t,
		    &(struct recipient){
			.address = a.text,
			.dest = buf_span(&dest),
			.notify = NOTIFY_NEVER,
			.state = to->deliver == ROUTE_HOLD ? RECIPIENT_HELD
							   : RECIPIENT_WAITING,
		    },
		    &a);
	buf_clear(&dest);
}

/* ---- policy */

/* What policy says, and what will be stored and by which route: 250, or why not.
 * dest holds r->dest. */
static struct verdict
judge(const struct session *s, const struct address *a, const struct rcpt_command *c,
    struct recipient *r, struct buf *dest, const struct route **via, const char **rule)
{
	struct access_facts f = session_facts(s, s->tx->message->sender);
	struct access_answer answer;
	access_recipient(&f, a->text, &answer);
	const struct route *route = answer.route;
	*rule = answer.rule;
	/* an administrator's own rule stands above it */
	if (!verdict_ok(&answer.verdict) && answer.by == NULL && is_open_postmaster(s, c))
		route = route_of(s, a);
	if (!verdict_ok(&answer.verdict) && route == NULL)
		return answer.verdict;
	if (route == NULL || route_key(route, a->text, dest) != OK) {
		*rule = "route-key";
		return verdict_make(501, "5.1.3", "This domain cannot be a destination");
	}
	if (route->deliver == ROUTE_MAILBOX) {
		struct verdict v = mailboxes_admit(s, route, a->text);
		*rule = verdict_temporary(&v) ? "mailbox-room" : "mailbox";
		if (!verdict_ok(&v))
			return v;
	}
	*via = route;
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

/* Policy, then place, then the limits: 250, or why not. */
static struct verdict
admit(struct session *s, const struct address *a, const struct rcpt_command *c,
    struct recipient *r, struct buf *dest, const struct route **via, const char **rule)
{
	struct verdict v = judge(s, a, c, r, dest, via, rule);
	if (!verdict_ok(&v))
		return v;
	if (is_full(s)) {
		*rule = "recipients";
		return verdict_make(452, "4.5.3", "Too many recipients");
	}
	struct verdict counted = gate_recipient(s, s->tx->message->sender, rule);
	return verdict_ok(&counted) ? v : counted;
}

static void
answer_late(struct session *s, const struct recipient *r)
{
	if (session_is_lmtp(s))
		transaction_answer_late(s->tx, r->index);
}

/* It is one recipient; but by LMTP each costs an answer, and so they are counted. */
static void
take_again(struct session *s, const struct recipient *r)
{
	if (s->tx->lates >= session_recipients_max(s)) {
		struct verdict v = verdict_make(452, "4.5.3", "Too many recipients");
		refuse(s, &v, "recipients", r->address);
		return;
	}
	session_say(s, "250 2.1.5 Ok");
	answer_late(s, r);
}

static void
take(struct session *s, const struct address *a, const struct rcpt_command *c)
{
	struct transaction *t = s->tx;
	struct recipient *there = transaction_find(t, a);
	if (there != NULL && !transaction_is_copy(t, there)) {
		take_again(s, there);
		return;
	}
	struct buf dest;
	buf_init(&dest, 0);
	struct recipient r = {0};
	const struct route *via = NULL;
	const char *rule = NULL;
	struct verdict v = admit(s, a, c, &r, &dest, &via, &rule);
	if (!verdict_ok(&v)) {
		refuse(s, &v, rule, a->text);
	} else {
		CHECK(via != NULL); /* who is taken has somewhere to go */
		if (there != NULL)
			transaction_name_copy(t, there, &r);
		else
			transaction_add(t, &r, a);
		answer_late(
		    s, there != NULL ? there : &t->message->rcpt[t->message->rcpts - 1]);
		t->utf8_address = t->utf8_address || a->utf8;
		session_verdict(s, &v);
		add_copy(s, via);
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
