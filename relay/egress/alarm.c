/* SPDX-License-Identifier: ISC */
/* alarm - incidents in a short list, and one mail for each. */
#include "relay/egress/alarm.h"

#include <stdio.h>

#include "base/map.h"
#include "base/mem.h"
#include "relay/routing.h"

#define MARK_NAME 32

struct incident {
	struct link link;
	struct alarms *alarms;
	char *route, *host;
	/* the mail that waits for a look at the spool: when was the last one? */
	struct spool_query *query;
};

void
alarms_init(struct alarms *a, struct loop *l, struct log *log, struct spool *s)
{
	*a = (struct alarms){.loop = l, .log = log, .spool = s};
	list_init(&a->incidents);
}

static void
incident_free(struct incident *i)
{
	spool_cancel_query(&i->query);
	list_remove(&i->link);
	i->alarms->n--;
	mem_free(&i->route);
	mem_free(&i->host);
	mem_free(&i);
}

void
alarms_clear(struct alarms *a)
{
	LIST_EACH (&a->incidents, k)
		incident_free(CONTAINER_OF(k, struct incident, link));
}

static struct incident *
find(const struct alarms *a, struct span route)
{
	LIST_EACH (&a->incidents, k) {
		struct incident *i = CONTAINER_OF(k, struct incident, link);
		if (span_eq(span_str(i->route), route))
			return i;
	}
	return NULL;
}

/* ---- the mail */

static void
add_clean(struct buf *b, struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_add_char(b, s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?');
}

static void
compose_text(
    struct buf *b, struct span route, const char *host, const struct verdict *why)
{
	buf_add_str(b, "The next hop\r\n\r\n    ");
	add_clean(b, span_str(host));
	buf_add_str(b, "\r\n\r\nrefuses the sign-in of route \"");
	add_clean(b, route);
	buf_add_str(b, "\". It said:\r\n\r\n    ");
	add_clean(b, span_cut(span_str(why->text), 0, 700));
	buf_add_str(b, "\r\n\r\nThe mail of this route waits and nothing is lost: it is "
		       "tried again now and then.\r\n"
		       "Please look at the route's user and secret-file in the "
		       "configuration, then: relayctl reload\r\n");
}

/* The postmaster may be a name at our own host. */
static void
add_postmaster(const struct config *config, struct buf *b)
{
	if (config->postmaster != NULL)
		buf_add_str(b, config->postmaster);
	else
		buf_addf(b, "postmaster@%s", config->policy.hostname);
}

static void
compose_header(struct buf *b, const struct config *config, struct span to,
    struct span route, struct world *world)
{
	const char *us = config->policy.hostname;
	struct wall now = world_wall(world);
	buf_addf(b, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\nTo: <", us);
	add_clean(b, to);
	buf_add_str(b, ">\r\nSubject: The sign-in of route \"");
	add_clean(b, route);
	buf_addf(b, "\" is refused\r\nDate: ");
	wall_add_rfc5322(b, now);
	buf_addf(b, "\r\nMessage-ID: <%016llx.%lld@%s>\r\n",
	    (unsigned long long)world_random_u64(world), (long long)now.ms, us);
	buf_add_str(b, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
		       "Content-Type: text/plain; charset=us-ascii\r\n\r\n");
}

struct message *
alarm_compose(const struct config *config, struct span route, const char *host,
    const struct verdict *why, struct world *world)
{
	struct buf to, text;
	buf_init(&to, 1024);
	buf_init(&text, 8192);
	add_postmaster(config, &to);
	compose_header(&text, config, buf_span(&to), route, world);
	compose_text(&text, route, host, why);
	struct message *m = message_new();
	m->arrival = world_wall(world);
	m->flags = MESSAGE_NOTICE | MESSAGE_OWN;
	m->content = content_new(NULL);
	content_append(m->content, text.p, text.n);
	content_seal(m->content);
	m->size = content_size(m->content);
	m->crc = content_crc(m->content);
	struct recipient r = {.address = buf_span(&to), .notify = NOTIFY_NEVER};
	(void)message_add_rcpt(m, &r);
	buf_clear(&to);
	buf_clear(&text);
	return m;
}

static bool
address(const struct config *config, struct message *m)
{
	struct recipient *to = &m->rcpt[0];
	const struct route *r = routing_find(&config->policy.routes, m, to);
	struct buf key;
	buf_init(&key, 400);
	bool ok = r != NULL && r->deliver != ROUTE_REJECT &&
		  route_key(r, to->address, &key) == OK;
	if (ok) {
		to->dest = message_keep(m, buf_span(&key));
		to->due = m->arrival;
		if (r->deliver == ROUTE_HOLD)
			to->state = RECIPIENT_HELD;
	}
	buf_clear(&key);
	return ok;
}

/* ---- at most one a day */

struct look {
	struct incident *incident;
	struct message *mail;
	char mark[MARK_NAME];
	uint64_t last;
};

static void
look_run(struct spool_reader *r, void *arg)
{
	struct look *l = arg;
	l->last = spool_read_mark(r, l->mark);
}

static void
look_drop(void *arg)
{
	struct look *l = arg;
	message_unref(&l->mail);
	mem_free(&l);
}

static void
look_done(void *arg)
{
	struct look *l = arg;
	struct alarms *a = l->incident->alarms;
	uint64_t now = (uint64_t)world_wall(loop_world(a->loop)).ms;
	l->incident->query = NULL;
	if (l->last + ALARM_MAIL_MS <= now || l->last > now) {
		struct inbox *us = loop_inbox(a->loop);
		(void)spool_mark_start(a->spool, l->mark, now, us, NULL, NULL);
		/* The log has said it, whatever becomes of the mail. */
		(void)spool_accept_start(a->spool, l->mail, us, NULL, NULL);
	}
	look_drop(l);
}

static void
send_mail(struct incident *i, const struct config *config, const struct verdict *why)
{
	static const uint64_t seed[2] = {0, 0};
	struct alarms *a = i->alarms;
	struct message *m =
	    alarm_compose(config, span_str(i->route), i->host, why, loop_world(a->loop));
	if (!address(config, m)) {
		LOG(a->log, EV_DROPPED, F_STR("route", i->route),
		    F_STR("why", "there is no route for the mail to the postmaster"));
		message_unref(&m);
		return;
	}
	struct look *l = NEW(struct look);
	l->incident = i;
	l->mail = m;
	(void)snprintf(l->mark, sizeof(l->mark), "told.%016llx",
	    (unsigned long long)siphash(seed, span_str(i->route)));
	i->query = spool_query_start(
	    a->spool, look_run, look_done, look_drop, l, loop_inbox(a->loop));
}

/* ---- incidents */

void
alarm_raise(struct alarms *a, const struct config *config, struct span route,
    const char *host, const struct verdict *why)
{
	if (find(a, route) != NULL)
		return;
	if (a->n >= ALARMS_MAX)
		incident_free(
		    CONTAINER_OF(list_first(&a->incidents), struct incident, link));
	struct incident *i = NEW(struct incident);
	i->alarms = a;
	i->route = span_dup(route);
	i->host = mem_strdup(host);
	list_push(&a->incidents, &i->link);
	a->n++;
	struct buf reply;
	buf_init(&reply, 1024);
	verdict_add(&reply, why);
	LOG(a->log, EV_CREDENTIALS, F_STR("route", i->route), F_STR("host", host),
	    F_SPAN("reply", buf_span(&reply)),
	    F_STR("what", "the next hop refuses our sign-in; the mail waits"));
	buf_clear(&reply);
	send_mail(i, config, why);
}

void
alarm_over(struct alarms *a, struct span route, const char *host)
{
	struct incident *i = find(a, route);
	if (i == NULL || (host != NULL && !span_eq(span_str(host), span_str(i->host))))
		return;
	LOG(a->log, EV_CREDENTIALS_RIGHT, F_STR("route", i->route),
	    F_STR("host", i->host));
	incident_free(i);
}
