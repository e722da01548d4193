/* SPDX-License-Identifier: ISC */
/*
 * pickup - the sessions of one thread: listed, swept, drained.  A session that is over
 * has let go of everything large; its struct waits in `gone` for the end of the turn.
 */
#include "relay/pickup/pickup.h"

#include "base/check.h"
#include "base/mem.h"
#include "relay/pickup/pop.h"

static void
sweep(void *arg)
{
	struct pickup *p = arg;
	struct link *k;
	while ((k = list_pop(&p->gone)) != NULL) {
		struct pop *s = CONTAINER_OF(k, struct pop, link);
		pop_free(&s);
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
		pop_break(CONTAINER_OF(k, struct pop, link), "relayd stops");
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
		pop_drain(CONTAINER_OF(k, struct pop, link));
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
	LIST_EACH (&p->sessions, k) {
		struct pop *s = CONTAINER_OF(k, struct pop, link);
		if (!s->holds || !span_eq(span_str(s->owner), owner) ||
		    s->updating != NULL)
			continue;
		if (s->sending == NULL)
			pop_line(s, "-ERR [SYS/PERM] this account has changed; sign in "
				    "again");
		pop_end(s, "the account has changed");
	}
}
