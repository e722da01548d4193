/* SPDX-License-Identifier: ISC */
/* patrons - see patrons.h. */
#include "relay/imap/patrons.h"

#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"

struct patron {
	struct map_node node;
	unsigned n;
	size_t name_n;
	char name[];
};

struct patrons {
	pthread_mutex_t mutex;
	struct map by_name;
};

struct patrons *
patrons_new(struct world *w)
{
	struct patrons *p = NEW(struct patrons);
	uint64_t seed[2] = {world_random_u64(w), world_random_u64(w)};
	map_init(&p->by_name, seed);
	CHECK(pthread_mutex_init(&p->mutex, NULL) == 0);
	return p;
}

void
patrons_free(struct patrons **pp)
{
	struct patrons *p = *pp;
	if (p == NULL)
		return;
	CHECK(p->by_name.n == 0);
	map_clear(&p->by_name);
	(void)pthread_mutex_destroy(&p->mutex);
	mem_free(pp);
}

bool
patrons_enter(struct patrons *p, struct span owner, unsigned max)
{
	(void)pthread_mutex_lock(&p->mutex);
	struct map_node *k = map_get(&p->by_name, owner);
	struct patron *one = k != NULL ? CONTAINER_OF(k, struct patron, node) : NULL;
	if (one == NULL) {
		one = mem_alloc(sizeof(*one) + owner.n + 1);
		memcpy(one->name, owner.p, owner.n);
		one->name_n = owner.n;
		map_put(&p->by_name, &one->node, (struct span){one->name, owner.n});
	}
	bool room = one->n < max;
	one->n += room;
	(void)pthread_mutex_unlock(&p->mutex);
	return room;
}

void
patrons_leave(struct patrons *p, struct span owner)
{
	(void)pthread_mutex_lock(&p->mutex);
	struct map_node *k = map_get(&p->by_name, owner);
	CHECK(k != NULL);
	struct patron *one = CONTAINER_OF(k, struct patron, node);
	if (--one->n == 0) {
		map_remove(&p->by_name, &one->node);
		mem_free(&one);
	}
	(void)pthread_mutex_unlock(&p->mutex);
}
