/* SPDX-License-Identifier: ISC */
/*
 * cache - a hash table and a list in order of use.
 *
 * What is too old stays until the bound pushes it out or an answer replaces
 * it: so a name that fails again and again is known as one.
 */
#include "resolver/cache.h"

#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

struct entry {
	struct map_node node;
	struct link used; /* in order of use: the last is the freshest */
	struct instant expires;
	struct dns_answer *answer;
	unsigned failures; /* in a row */
	size_t bytes;
	char key[]; /* type, name */
};

struct dns_cache {
	struct map map;
	struct list used;
	size_t max;
	size_t bytes;
};

/* Two octets of type, then the name. */
#define KEY_MAX (2 + DNS_NAME_MAX)

static struct span
make_key(char key[KEY_MAX], const char *name, uint16_t type)
{
	size_t n = strlen(name);
	CHECK(n < DNS_NAME_MAX);
	key[0] = (char)(type >> 8);
	key[1] = (char)(type & 0xff);
	memcpy(key + 2, name, n);
	return (struct span){key, n + 2};
}

struct dns_cache *
dns_cache_new(size_t max, const uint64_t seed[2])
{
	CHECK(max > 0);
	struct dns_cache *c = NEW(struct dns_cache);
	c->max = max;
	map_init(&c->map, seed);
	list_init(&c->used);
	return c;
}

static void
drop(struct dns_cache *c, struct entry *e)
{
	c->bytes -= e->bytes;
	map_remove(&c->map, &e->node);
	list_remove(&e->used);
	dns_answer_unref(&e->answer);
	mem_free(&e);
}

void
dns_cache_flush(struct dns_cache *c)
{
	LIST_EACH (&c->used, k)
		drop(c, CONTAINER_OF(k, struct entry, used));
}

void
dns_cache_free(struct dns_cache **cp)
{
	struct dns_cache *c = *cp;
	if (c == NULL)
		return;
	dns_cache_flush(c);
	map_clear(&c->map);
	mem_free(cp);
}

static struct entry *
find(struct dns_cache *c, struct span key)
{
	struct map_node *k = map_get(&c->map, key);
	return k ? CONTAINER_OF(k, struct entry, node) : NULL;
}

struct dns_answer *
dns_cache_get(struct dns_cache *c, const char *name, uint16_t type, struct instant now)
{
	char key[KEY_MAX];
	struct entry *e = find(c, make_key(key, name, type));
	if (e == NULL || instant_since(e->expires, now) <= 0)
		return NULL;
	list_remove(&e->used);
	list_push(&c->used, &e->used);
	return e->answer;
}

static int64_t
clamp(int64_t v, int64_t low, int64_t high)
{
	return v < low ? low : v > high ? high : v;
}

static int64_t
lifetime(const struct dns_answer *a, unsigned failures)
{
	int64_t ttl_ms = (int64_t)a->ttl * SECOND_MS;
	if (a->kind == DNS_DATA)
		return clamp(ttl_ms, CACHE_TTL_MIN_MS, CACHE_TTL_MAX_MS);
	if (a->kind != DNS_FAILED)
		return clamp(ttl_ms, CACHE_TTL_MIN_MS, CACHE_NEGATIVE_MAX_MS);
	int64_t ms = CACHE_TTL_MIN_MS;
	for (unsigned i = 1; i < failures && ms < CACHE_FAILED_MAX_MS; i++)
		ms *= 2;
	return clamp(ms, CACHE_TTL_MIN_MS, CACHE_FAILED_MAX_MS);
}

static struct entry *
entry_new(struct span key)
{
	struct entry *e = mem_alloc(sizeof(struct entry) + key.n);
	memcpy(e->key, key.p, key.n);
	return e;
}

static void
shrink(struct dns_cache *c)
{
	while (c->map.n > c->max ||
	       (c->bytes > c->max * CACHE_BYTES_PER_ENTRY && c->map.n > 1))
		drop(c, CONTAINER_OF(list_first(&c->used), struct entry, used));
}

void
dns_cache_put(struct dns_cache *c, const char *name, uint16_t type, struct dns_answer *a,
    struct instant now)
{
	char room[KEY_MAX];
	CHECK(a->kind != DNS_ALIAS);
	struct span key = make_key(room, name, type);
	struct entry *e = find(c, key);
	dns_answer_ref(a);
	if (e == NULL) {
		e = entry_new(key);
		map_put(&c->map, &e->node, (struct span){e->key, key.n});
	}
	dns_answer_unref(&e->answer);
	c->bytes -= e->bytes;
	e->answer = a;
	e->bytes = sizeof(*e) + key.n + dns_answer_size(a);
	c->bytes += e->bytes;
	if (a->kind != DNS_FAILED)
		e->failures = 0;
	else if (e->failures < 8)
		e->failures++;
	e->expires = instant_after(now, lifetime(a, e->failures));
	list_remove(&e->used);
	list_push(&c->used, &e->used);
	shrink(c);
}

size_t
dns_cache_count(const struct dns_cache *c)
{
	return c->map.n;
}
