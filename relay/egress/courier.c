/* SPDX-License-Identifier: ISC */
/* courier - takes jobs from its inbox; see delivery.c for what becomes of one. */
#include "relay/egress/courier.h"

#include "base/mem.h"
#include "base/tls.h"

static void
open_tls(struct courier *c)
{
	struct buf why;
	buf_init(&why, 1024);
	c->tls = tls_client_new(c->config->tls.ca, &why);
	if (c->tls == NULL)
		LOG(c->log, EV_FAILED, F_STR("what", "TLS to next hops"),
		    F_SPAN("error", buf_span(&why)));
	buf_clear(&why);
}

/*
 * ---- the TLS of an earlier configuration
 *
 * It must outlive its connections: those of deliveries, and those that say QUIT.
 */

#define OLD_TLS_MS HOUR_MS /* longer than any connection of a probe */

struct old_tls {
	struct link link;
	struct courier *courier;
	struct tls_client *tls;
	struct timer timer;
};

static void
old_tls_free(struct old_tls *o)
{
	timer_clear(&o->timer);
	list_remove(&o->link);
	tls_client_free(&o->tls);
	mem_free(&o);
}

static void
on_old_tls(void *arg)
{
	struct old_tls *o = arg;
	if (delivery_uses(o->courier, o->tls))
		timer_set(&o->timer, OLD_TLS_MS);
	else
		old_tls_free(o);
}

static void
retire_tls(struct courier *c)
{
	if (c->tls == NULL)
		return;
	struct old_tls *o = NEW(struct old_tls);
	o->courier = c;
	o->tls = c->tls;
	c->tls = NULL;
	list_push(&c->old_tls, &o->link);
	timer_init(&o->timer, c->loop, on_old_tls, o);
	timer_set(&o->timer, OLD_TLS_MS + c->config->client.quit_ms);
}

/* Other authorities, or one of the files has changed. */
static bool
tls_differs(const struct config *a, const struct config *b)
{
	struct span x = span_str(a->tls.ca ? a->tls.ca : "");
	struct span y = span_str(b->tls.ca ? b->tls.ca : "");
	return a->files_stamp != b->files_stamp || !span_eq(x, y);
}

/* ---- life */

struct courier *
courier_new(const struct courier_options *o)
{
	struct courier *c = NEW(struct courier);
	c->loop = o->loop;
	c->log = o->log;
	c->spool = o->spool;
	c->directory = o->directory;
	c->counters = o->counters;
	c->resolver = o->resolver;
	c->config = config_ref(o->config);
	list_init(&c->deliveries);
	list_init(&c->idle);
	list_init(&c->old_tls);
	open_tls(c);
	return c;
}

void
courier_free(struct courier **cp)
{
	struct courier *c = *cp;
	if (c == NULL)
		return;
	c->closing = true;
	delivery_cancel_all(c);
	idle_close_all(c, false);
	LIST_EACH (&c->old_tls, k)
		old_tls_free(CONTAINER_OF(k, struct old_tls, link));
	tls_client_free(&c->tls);
	config_unref(&c->config);
	mem_free(cp);
}

void
courier_reload(struct courier *c, const struct config *config)
{
	const struct config *old = c->config;
	bool anew = tls_differs(old, config) || c->tls == NULL;
	if (anew)
		retire_tls(c);
	c->config = config_ref(config);
	config_unref(&old);
	idle_close_all(c, true);
	if (anew)
		open_tls(c);
}

void
courier_close_idle(struct courier *c)
{
	idle_close_all(c, true);
}

static void
on_job(struct parcel *p)
{
	struct job *j = CONTAINER_OF(p, struct job, parcel);
	delivery_start(j->courier, j);
}

void
courier_post(
    struct courier *c, struct job *j, struct inbox *back, void (*ended)(struct job *))
{
	j->courier = c;
	j->back = back;
	j->ended = ended;
	j->parcel.open = on_job;
	inbox_post(loop_inbox(c->loop), &j->parcel);
}
