/* SPDX-License-Identifier: ISC */
/*
 * drops - which maildrops are open (RFC 1939 4: exclusively), and when their owners
 * signed in last.  An entry that is not open is kept for a while, for LOGIN-DELAY only;
 * there are so many at most.
 */
#include <pthread.h>

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "relay/pickup/pickup.h"

#define CLOSED_MAX 10000

struct open_drop {
	struct map_node node;
	struct link link; /* in drops.closed, the oldest first */
	bool taken;
	struct instant login;
	char owner[MAILBOX_OWNER_MAX + 1];
};

struct drops {
	pthread_mutex_t mutex;
	struct map by_owner;
	struct list closed;
	size_t closed_n;
};

struct drops *
drops_new(struct world *w)
{
	struct drops *d = NEW(struct drops);
	uint64_t seed[2];
	world_random(w, seed, sizeof(seed));
	map_init(&d->by_owner, seed);
	list_init(&d->closed);
	CHECK(pthread_mutex_init(&d->mutex, NULL) == 0);
	return d;
}

static void
forget(struct drops *d, struct open_drop *o)
{
	map_remove(&d->by_owner, &o->node);
	mem_free(&o);
}

void
drops_free(struct drops **dp)
{
	struct drops *d = *dp;
	if (d == NULL)
		return;
	MAP_EACH (&d->by_owner, k)
		forget(d, CONTAINER_OF(k, struct open_drop, node));
	map_clear(&d->by_owner);
	(void)pthread_mutex_destroy(&d->mutex);
	mem_free(dp);
}

static struct open_drop *
find(struct drops *d, struct span owner)
{
	struct map_node *k = map_get(&d->by_owner, owner);
	return k != NULL ? CONTAINER_OF(k, struct open_drop, node) : NULL;
}

static struct open_drop *
make(struct drops *d, struct span owner)
{
	struct open_drop *o = NEW(struct open_drop);
	span_copy(owner, o->owner, sizeof(o->owner));
	map_put(&d->by_owner, &o->node, span_str(o->owner));
	return o;
}

enum drops_answer
drops_take(struct drops *d, struct span owner, struct instant now, int64_t delay_ms)
{
	enum drops_answer answer = DROPS_TAKEN;
	(void)pthread_mutex_lock(&d->mutex);
	struct open_drop *o = find(d, owner);
	if (o != NULL && o->taken) {
		answer = DROPS_IN_USE;
	} else if (o != NULL && instant_since(now, o->login) < delay_ms) {
		answer = DROPS_TOO_EARLY;
	} else {
		if (o == NULL) {
			o = make(d, owner);
		} else {
			list_remove(&o->link);
			d->closed_n--;
		}
		o->taken = true;
		o->login = now;
	}
	(void)pthread_mutex_unlock(&d->mutex);
	return answer;
}

void
drops_leave(struct drops *d, struct span owner)
{
	(void)pthread_mutex_lock(&d->mutex);
	struct open_drop *o = find(d, owner);
	CHECK(o != NULL && o->taken);
	o->taken = false;
	list_push(&d->closed, &o->link);
	if (++d->closed_n > CLOSED_MAX) {
		forget(d, CONTAINER_OF(list_pop(&d->closed), struct open_drop, link));
		d->closed_n--;
	}
	(void)pthread_mutex_unlock(&d->mutex);
}
