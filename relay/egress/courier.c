/* SPDX-License-Identifier: ISC */
/* courier - takes jobs from its inbox; see delivery.c for what becomes of one. */
#include "relay/egress/courier.h"

#include "base/mem.h"
#include "base/tls.h"

/* The authorities are read anew, and with them goes every session to be resumed. */
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

struct courier *
courier_new(const struct courier_options *o)
{
	struct courier *c = NEW(struct courier);
	c->loop = o->loop;
	c->log = o->log;
	c->spool = o->spool;
	c->resolver = o->resolver;
	c->config = config_ref(o->config);
	list_init(&c->deliveries);
	list_init(&c->idle);
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
	tls_client_free(&c->tls);
	config_unref(&c->config);
	mem_free(cp);
}

void
courier_reload(struct courier *c, const struct config *config)
{
	const struct config *old = c->config;
	c->config = config_ref(config);
	config_unref(&old);
	idle_close_all(c, true);
	tls_client_free(&c->tls); /* connections keep what they need of it */
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
