/* SPDX-License-Identifier: ISC */
/*
 * usage - how much each owner holds, in memory, for those who must know before a
 * message comes.  Read when the spool is opened, changed behind each commit; what is
 * in the tables is the truth.
 */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "spool/private.h"

struct used {
	struct map_node node;
	struct mailbox_usage usage;
	char name[];
};

void
usage_init(struct spool *s)
{
	uint64_t seed[2];
	world_random(s->world, seed, sizeof(seed));
	map_init(&s->usage.by_name, seed);
	CHECK(pthread_mutex_init(&s->usage.mutex, NULL) == 0);
}

static void
forget(struct usage *u, struct used *used)
{
	map_remove(&u->by_name, &used->node);
	mem_free(&used);
}

void
usage_clear(struct spool *s)
{
	MAP_EACH (&s->usage.by_name, k)
		forget(&s->usage, CONTAINER_OF(k, struct used, node));
	map_clear(&s->usage.by_name);
	(void)pthread_mutex_destroy(&s->usage.mutex);
}

static void
set(struct usage *u, struct span owner, const struct mailbox_usage *now)
{
	struct map_node *k = map_get(&u->by_name, owner);
	if (k == NULL) {
		struct used *new = mem_alloc(sizeof(*new) + owner.n + 1);
		memcpy(new->name, owner.p, owner.n);
		map_put(&u->by_name, &new->node, (struct span){new->name, owner.n});
		k = &new->node;
	}
	CONTAINER_OF(k, struct used, node)->usage = *now;
}

enum err
usage_load(struct spool *s, MDB_txn *t)
{
	MDB_cursor *c;
	MDB_val k, v;
	enum err e = db_err(mdb_cursor_open(t, s->dbi[DB_OWNER], &c));
	if (e != OK)
		return e;
	while ((e = db_next(c, NULL, 0, &k, &v)) == OK) {
		struct owner_record o;
		if (record_get_owner((struct span){v.mv_data, v.mv_size}, &o) != OK)
			continue; /* spool_check tells of it */
		struct mailbox_usage now = {o.messages, o.octets, o.last_pickup};
		set(&s->usage, (struct span){k.mv_data, k.mv_size}, &now);
	}
	mdb_cursor_close(c);
	return e == ERR_NOT_FOUND ? OK : e;
}

void
will_use(struct batch *b, const struct usage_change *u)
{
	if (b->usage_n == b->usage_cap) {
		b->usage_cap = b->usage_cap ? b->usage_cap * 2 : 16;
		b->usage = mem_resize(b->usage, b->usage_cap, sizeof(*b->usage));
	}
	b->usage[b->usage_n++] = *u;
}

void
usage_apply(struct batch *b)
{
	struct usage *u = &b->spool->usage;
	if (b->usage_n == 0)
		return;
	(void)pthread_mutex_lock(&u->mutex);
	for (size_t i = 0; i < b->usage_n; i++) {
		struct span owner = span_str(b->usage[i].owner);
		struct map_node *k = map_get(&u->by_name, owner);
		if (!b->usage[i].gone)
			set(u, owner, &b->usage[i].now);
		else if (k != NULL)
			forget(u, CONTAINER_OF(k, struct used, node));
	}
	(void)pthread_mutex_unlock(&u->mutex);
	b->usage_n = 0;
}

void
spool_mailbox_usage(const struct spool *s, struct span owner, struct mailbox_usage *out)
{
	struct usage *u = (struct usage *)(uintptr_t)&s->usage;
	*out = (struct mailbox_usage){0};
	(void)pthread_mutex_lock(&u->mutex);
	const struct map_node *k = map_get(&u->by_name, owner);
	if (k != NULL)
		*out = CONTAINER_OF((struct map_node *)(uintptr_t)k, struct used, node)
			   ->usage;
	(void)pthread_mutex_unlock(&u->mutex);
}
