/* SPDX-License-Identifier: ISC */
/*
 * dnsbl - DNS block lists (RFC 5782): one question per list, side by side, begun
 * at the greeting.  A list that has the client may have words about it (TXT), which
 * the refusal repeats.  No answer within DEADLINE_MS is as good as none: a list that
 * is down keeps no mail out, and one without words is believed without them.
 */
#include "base/mem.h"
#include "relay/ingress/gate.h"
#include "relay/ingress/nat_watch.h"

#define DEADLINE_MS (5 * SECOND_MS)
#define WORDS_MAX 150 /* octets of a list's own words that are repeated */
#define FLAGS \
	(RESOLVE_HOST | RESOLVE_ALLOW_SPECIAL | RESOLVE_ALLOW_SELF | RESOLVE_IPV4_ONLY)

struct question {
	struct gate *gate;
	const struct dnsbl_config *list;
	struct mx_request *request; /* NULL: answered */
};

struct gate {
	struct session *session;
	const struct config *config; /* a reference: the lists are its */
	struct question question[CONFIG_DNSBL_MAX];
	size_t pending;
	struct timer deadline;
	void (*again)(struct session *s); /* a verb waits */
	char *kept;
	char listed[VERDICT_TEXT];
	const struct question *by; /* who said so */
	bool defer;
};

static void
finish(struct gate *g)
{
	struct session *s = g->session;
	void (*again)(struct session *) = g->again;
	timer_clear(&g->deadline);
	g->again = NULL;
	if (again == NULL || s->io == NULL)
		return;
	again(s); /* may end the session, and g with it */
	session_go_on(s);
}

static void
on_deadline(void *arg)
{
	struct gate *g = arg;
	for (size_t i = 0; i < g->config->dnsbls; i++) {
		struct question *q = &g->question[i];
		if (q->request != NULL)
			LOG(g->session->in->o.log, EV_NOTE,
			    F_STR("what", "a block list has not answered"),
			    F_STR("list", q->list->name));
		resolver_cancel(&q->request);
	}
	g->pending = 0;
	finish(g);
}

/* ---- names */

/* 7.2.0.192.ZONE, or 32 nibbles from the last to the first. */
static void
add_name(struct buf *b, const struct net_addr *a, const char *zone)
{
	if (a->family == NET_IPV4)
		buf_addf(b, "%u.%u.%u.%u.", a->ip[3], a->ip[2], a->ip[1], a->ip[0]);
	for (int i = 15; a->family == NET_IPV6 && i >= 0; i--)
		buf_addf(b, "%x.%x.", a->ip[i] & 15u, a->ip[i] >> 4);
	buf_add_str(b, zone);
}

/* ---- answers */

/* The list tells that it refuses to serve our resolver: said once an hour. */
static void
note_blocked(const struct question *q)
{
	const struct ingress *in = q->gate->session->in;
	size_t place = (size_t)(q - q->gate->question);
	if (census_may_note(in->o.census, place, loop_now(in->o.loop)))
		LOG(in->o.log, EV_CONFIG, F_STR("dnsbl", q->list->name),
		    F_STR("why",
			"the list does not answer this name server (127.255.0.0/16): ask "
			"it by a resolver of your own, or remove it"));
}

static bool
counts(const struct question *q, const struct net_addr *a)
{
	if (q->list->answers.n > 0)
		return network_list_has(&q->list->answers, a);
	if (a->family != NET_IPV4 || a->ip[0] != 127)
		return false;
	if (a->ip[1] == 255)
		note_blocked(q);
	return a->ip[1] != 255;
}

static bool
has_it(const struct question *q, const struct mx_answer *answer)
{
	if (answer->outcome != MX_HOSTS)
		return false;
	for (size_t i = 0; i < answer->hosts; i++)
		for (size_t k = 0; k < answer->host[i].addrs; k++)
			if (counts(q, &answer->host[i].addr[k]))
				return true;
	return false;
}

static void
refuse(struct gate *g, const struct question *by, struct span words)
{
	const struct dnsbl_config *l = by->list;
	char client[NET_TEXT];
	struct buf b;
	net_format_ip(&g->session->peer, client);
	buf_init(&b, sizeof(g->listed) - 1);
	if (l->text != NULL)
		buf_add_str(&b, l->text);
	else
		buf_addf(&b, "%s is listed by %s", client, l->zone);
	if (words.n > 0)
		buf_addf(&b, ": %.*s", SPAN_ARG(span_cut(words, 0, WORDS_MAX)));
	span_copy(buf_span(&b), g->listed, sizeof(g->listed));
	buf_clear(&b);
	g->by = by;
	g->defer = l->action == DNSBL_DEFER;
}

static void
log_listed(const struct question *q)
{
	static const char *const action[] = {"reject", "defer", "log"};
	const struct session *s = q->gate->session;
	char client[NET_TEXT];
	net_format_ip(&s->peer, client);
	LOG(s->in->o.log, EV_LISTED, F_STR("list", q->list->name),
	    F_STR("client", client), F_STR("action", action[q->list->action]));
}

/* A refusal for good stands above one for now. */
static bool
stands_above(const struct question *q)
{
	const struct gate *g = q->gate;
	return q->list->action != DNSBL_LOG &&
	       (g->by == NULL || (g->defer && q->list->action == DNSBL_REJECT));
}

static void
answered(struct gate *g)
{
	if (--g->pending == 0)
		finish(g);
}

static void
on_words(void *arg, struct span words)
{
	struct question *q = arg;
	q->request = NULL;
	if (words.n > 0 && q->gate->by == q)
		refuse(q->gate, q, words);
	answered(q->gate);
}

static void
ask_for_words(struct question *q)
{
	const struct session *s = q->gate->session;
	struct buf name;
	buf_init(&name, 1024);
	add_name(&name, &s->peer, q->list->zone);
	q->request = resolver_txt_start(s->in->o.resolver, buf_span(&name), on_words, q);
	buf_clear(&name);
}

static void
on_answer(void *arg, const struct mx_answer *answer)
{
	struct question *q = arg;
	q->request = NULL;
	bool listed = has_it(q, answer);
	if (listed)
		log_listed(q);
	if (!listed || !stands_above(q)) {
		answered(q->gate);
		return;
	}
	refuse(q->gate, q, (struct span){0});
	if (q->list->text == NULL)
		ask_for_words(q);
	else
		answered(q->gate);
}

/* ---- questions */

static bool
is_own(const struct session *s)
{
	struct access_facts f = session_facts(s, (struct span){0});
	return access_is_own(&f);
}

void
gate_begin(struct session *s)
{
	const struct config *c = s->config;
	gate_end(s);
	if (c->dnsbls == 0 || s->in->o.resolver == NULL || s->peer.family == NET_NONE ||
	    net_is_special(&s->peer) || nat_watch_is_private(&s->peer) || is_own(s))
		return;
	struct gate *g = s->gate = NEW(struct gate);
	g->session = s;
	g->config = config_ref(c);
	timer_init(&g->deadline, s->in->o.loop, on_deadline, g);
	timer_set(&g->deadline, DEADLINE_MS);
	for (size_t i = 0; i < c->dnsbls; i++) {
		struct question *q = &g->question[i];
		struct buf name;
		buf_init(&name, 1024);
		add_name(&name, &s->peer, c->dnsbl[i].zone);
		*q = (struct question){g, &c->dnsbl[i], NULL};
		q->request = resolver_mx_start(
		    s->in->o.resolver, buf_span(&name), FLAGS, on_answer, q);
		g->pending++;
		buf_clear(&name);
	}
}

void
gate_end(struct session *s)
{
	struct gate *g = s->gate;
	if (g == NULL)
		return;
	for (size_t i = 0; i < g->config->dnsbls; i++)
		resolver_cancel(&g->question[i].request);
	timer_clear(&g->deadline);
	config_unref(&g->config);
	mem_free(&g->kept);
	mem_free(&s->gate);
}

bool
gate_wait(struct session *s, void (*again)(struct session *s))
{
	if (s->gate == NULL || s->gate->pending == 0 || is_own(s))
		return false;
	s->gate->again = again;
	session_wait(s);
	return true;
}

void
gate_keep(struct session *s, struct span args)
{
	mem_free(&s->gate->kept);
	s->gate->kept = span_dup(args);
}

struct span
gate_kept(const struct session *s)
{
	return span_str(s->gate->kept);
}

struct span
gate_listed(const struct session *s, bool *defer)
{
	const struct gate *g = s->gate;
	*defer = g != NULL && g->defer;
	return span_str(g != NULL ? g->listed : NULL);
}
