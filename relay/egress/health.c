/* SPDX-License-Identifier: ISC */
/* health - one bounded table under one lock; a host of which nothing bad is known is not
 * in it. */
#include "relay/egress/health.h"

#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

#define NAME_MAX_OCTETS 300

enum row_kind { ROW_ASIDE, ROW_CLEAR, ROW_IPV4 };

struct row {
	struct map_node node;
	struct link link;
	char *key;         /* the kind and the name */
	unsigned failures; /* ROW_ASIDE */
	bool claimed;      /* ROW_ASIDE: somebody tries it, until then */
	bool told;         /* ROW_ASIDE: the log knows that it is down */
	struct instant until;
};

struct health {
	pthread_mutex_t lock;
	struct map map;
	struct list by_use; /* the longest unused first */
	struct log *log;
};

struct key {
	char text[NAME_MAX_OCTETS + 1];
	size_t n;
};

static struct span
key_of(struct key *k, enum row_kind kind, struct span name)
{
	k->text[0] = (char)('0' + kind);
	k->n = name.n < NAME_MAX_OCTETS ? name.n : NAME_MAX_OCTETS;
	if (k->n > 0)
		memcpy(k->text + 1, name.p, k->n);
	return (struct span){k->text, k->n + 1};
}

static struct row *
find(struct health *h, enum row_kind kind, struct span name)
{
	struct key key;
	struct map_node *k = map_get(&h->map, key_of(&key, kind, name));
	return k ? CONTAINER_OF(k, struct row, node) : NULL;
}

static void
forget(struct health *h, struct row *row)
{
	map_remove(&h->map, &row->node);
	list_remove(&row->link);
	mem_free(&row->key);
	mem_free(&row);
}

static struct row *
get(struct health *h, enum row_kind kind, struct span name)
{
	struct row *row = find(h, kind, name);
	if (row == NULL) {
		if (h->map.n >= HEALTH_MAX)
			forget(h, CONTAINER_OF(list_first(&h->by_use), struct row, link));
		struct key key;
		row = NEW(struct row);
		row->key = span_dup(key_of(&key, kind, name));
		map_put(&h->map, &row->node, span_str(row->key));
	}
	list_remove(&row->link);
	list_push(&h->by_use, &row->link);
	return row;
}

static void
enter(struct health *h)
{
	CHECK(pthread_mutex_lock(&h->lock) == 0);
}

static void
leave(struct health *h)
{
	CHECK(pthread_mutex_unlock(&h->lock) == 0);
}

struct health *
health_new(const uint64_t seed[2], struct log *log)
{
	struct health *h = NEW(struct health);
	CHECK(pthread_mutex_init(&h->lock, NULL) == 0);
	map_init(&h->map, seed);
	list_init(&h->by_use);
	h->log = log;
	return h;
}

void
health_free(struct health **hp)
{
	struct health *h = *hp;
	if (h == NULL)
		return;
	LIST_EACH (&h->by_use, k)
		forget(h, CONTAINER_OF(k, struct row, link));
	map_clear(&h->map);
	(void)pthread_mutex_destroy(&h->lock);
	mem_free(hp);
}

size_t
health_count(struct health *h)
{
	enter(h);
	size_t n = h->map.n;
	leave(h);
	return n;
}

/* ---- aside */

bool
health_is_aside(struct health *h, struct span name, struct instant now)
{
	enter(h);
	const struct row *row = find(h, ROW_ASIDE, name);
	bool aside = row != NULL && instant_since(row->until, now) > 0;
	leave(h);
	return aside;
}

void
health_claim(struct health *h, struct span name, struct instant now)
{
	enter(h);
	struct row *row = find(h, ROW_ASIDE, name);
	if (row != NULL && instant_since(row->until, now) < HEALTH_PROBE_MS) {
		row->until = instant_after(now, HEALTH_PROBE_MS);
		row->claimed = true;
	}
	leave(h);
}

static int64_t
aside_ms(unsigned failures)
{
	int64_t ms = HEALTH_ASIDE_MS;
	for (unsigned i = 1; i < failures && ms < HEALTH_ASIDE_MAX_MS; i++)
		ms *= 2;
	return ms < HEALTH_ASIDE_MAX_MS ? ms : HEALTH_ASIDE_MAX_MS;
}

void
health_failed(struct health *h, struct span name, struct instant now, const char *why)
{
	enter(h);
	struct row *row = get(h, ROW_ASIDE, name);
	/* Deliveries that were under way together are one failure. */
	if (row->claimed || instant_since(row->until, now) <= 0) {
		row->failures++;
		row->until = instant_after(now, aside_ms(row->failures));
		row->claimed = false;
	}
	bool tell = why != NULL && !row->told && h->log != NULL;
	row->told = row->told || tell;
	leave(h);
	if (tell)
		LOG(h->log, EV_NEXT_HOP_DOWN, F_SPAN("host", name), F_STR("reason", why));
}

void
health_worked(struct health *h, struct span name)
{
	enter(h);
	struct row *row = find(h, ROW_ASIDE, name);
	bool tell = row != NULL && row->told;
	unsigned failures = row ? row->failures : 0;
	if (row != NULL)
		forget(h, row);
	leave(h);
	if (tell)
		LOG(h->log, EV_NEXT_HOP_UP, F_SPAN("host", name),
		    F_INT("failures", failures));
}

/* ---- facts */

static enum row_kind
kind_of(enum health_fact fact)
{
	return fact == HEALTH_CLEAR ? ROW_CLEAR : ROW_IPV4;
}

bool
health_learn(
    struct health *h, enum health_fact fact, struct span name, struct instant now)
{
	int64_t ms = fact == HEALTH_CLEAR ? HEALTH_CLEAR_MS : HEALTH_IPV4_MS;
	enter(h);
	const struct row *old = find(h, kind_of(fact), name);
	bool news = old == NULL || instant_since(old->until, now) <= 0;
	get(h, kind_of(fact), name)->until = instant_after(now, ms);
	leave(h);
	return news;
}

bool
health_knows(
    struct health *h, enum health_fact fact, struct span name, struct instant now)
{
	enter(h);
	struct row *row = find(h, kind_of(fact), name);
	bool known = row != NULL && instant_since(row->until, now) > 0;
	if (row != NULL && !known)
		forget(h, row);
	leave(h);
	return known;
}
