/* SPDX-License-Identifier: ISC */
/* pickup - the sessions of one thread: listed, swept, drained. */
#include "relay/pickup/pickup.h"

#include "base/check.h"
#include "base/mem.h"
#include "relay/door.h"
#include "relay/imap/imap.h"
#include "relay/pickup/pop.h"

static struct seat *
seat_of(struct link *k)
{
	return CONTAINER_OF(k, struct seat, link);
}

void
seat_take(struct seat *s, struct pickup *p, const struct seat_kind *kind,
    const struct net_addr *peer)
{
	s->pickup = p;
	s->kind = kind;
	s->peer = *peer;
	list_push(&p->sessions, &s->link);
	p->sessions_n++;
}

void
seat_leave(struct seat *s)
{
	struct pickup *p = s->pickup;
	census_leave(p->o.census, &s->peer);
	list_remove(&s->link);
	list_push(&p->gone, &s->link);
	p->sessions_n--;
	later_set(&p->sweep);
}

static void
sweep(void *arg)
{
	struct pickup *p = arg;
	struct link *k;
	while ((k = list_pop(&p->gone)) != NULL) {
		struct seat *s = CONTAINER_OF(k, struct seat, link);
		s->kind->free(s);
	}
	if (p->draining && p->sessions_n == 0 && p->on_empty != NULL) {
		void (*on_empty)(void *) = p->on_empty;
		p->on_empty = NULL;
		on_empty(p->on_empty_arg);
	}
}

struct pickup *
pickup_new(const struct pickup_options *o)
{
	struct pickup *p = NEW(struct pickup);
	p->o = *o;
	if (p->o.counters == NULL)
		p->o.counters = &p->unseen;
	p->config = config_ref(o->config);
	list_init(&p->sessions);
	list_init(&p->gone);
	later_init(&p->sweep, o->loop, sweep, p);
	return p;
}

void
pickup_free(struct pickup **pp)
{
	struct pickup *p = *pp;
	if (p == NULL)
		return;
	p->draining = false; /* nobody is told */
	LIST_EACH (&p->sessions, k)
		seat_of(k)->kind->break_off(seat_of(k), "relayd stops");
	later_clear(&p->sweep);
	sweep(p);
	config_unref(&p->config);
	mem_free(pp);
}

void
pickup_serve(struct pickup *p, int fd, const struct net_addr *hop,
    const struct net_addr *peer, const char *listener)
{
	atomic_fetch_add_explicit(&p->o.counters->sessions, 1, memory_order_relaxed);
	const struct listener_config *l = door_listener(p->config, listener);
	if (l != NULL && l->protocol == LISTENER_IMAP)
		imap_start(p, fd, hop, peer, listener);
	else
		pop_start(p, fd, hop, peer, listener);
}

void
pickup_reload(struct pickup *p, const struct config *config)
{
	const struct config *old = p->config;
	p->config = config_ref(config);
	config_unref(&old);
}

void
pickup_drain(struct pickup *p, void (*on_empty)(void *arg), void *arg)
{
	p->draining = true;
	p->on_empty = on_empty;
	p->on_empty_arg = arg;
	LIST_EACH (&p->sessions, k)
		seat_of(k)->kind->drain(seat_of(k));
	later_set(&p->sweep); /* also where there was none */
}

unsigned
pickup_sessions(const struct pickup *p)
{
	return p->sessions_n;
}

void
pickup_end_account(struct pickup *p, struct span owner)
{
	LIST_EACH (&p->sessions, k)
		seat_of(k)->kind->end_account(seat_of(k), owner);
}
