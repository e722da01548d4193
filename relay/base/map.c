/* SPDX-License-Identifier: ISC */
/* map - chained hash table, doubled when full; SipHash-2-4 (Aumasson, Bernstein 2012). */
#include "base/map.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

static uint64_t
rotl(uint64_t x, int by)
{
	return (x << by) | (x >> (64 - by));
}

static void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t
siphash(const uint64_t seed[2], struct span key)
{
	uint64_t v[4] = {
	    seed[0] ^ 0x736f6d6570736575u,
	    seed[1] ^ 0x646f72616e646f6du,
	    seed[0] ^ 0x6c7967656e657261u,
	    seed[1] ^ 0x7465646279746573u,
	};
	size_t whole = key.n / 8 * 8;
	for (size_t i = 0; i < whole; i += 8) {
		uint64_t word;
		memcpy(&word, key.p + i, 8);
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
	}
	uint64_t last = (uint64_t)key.n << 56;
	for (size_t i = whole; i < key.n; i++)
		last |= (uint64_t)(unsigned char)key.p[i] << (8 * (i - whole));
	v[3] ^= last;
	sip_round(v);
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void
map_init(struct map *m, const uint64_t seed[2])
{
	*m = (struct map){.seed = {seed[0], seed[1]}};
}

void
map_clear(struct map *m)
{
	mem_free(&m->bucket);
	m->buckets = m->n = 0;
}

static void
grow(struct map *m)
{
	size_t buckets = m->buckets ? m->buckets * 2 : 16;
	struct map_node **bucket = mem_alloc(buckets * sizeof(struct map_node *));
	for (size_t i = 0; i < m->buckets; i++) {
		struct map_node *k = m->bucket[i];
		while (k != NULL) {
			struct map_node *next = k->next;
			struct map_node **to = &bucket[k->hash & (buckets - 1)];
			k->next = *to;
			*to = k;
			k = next;
		}
	}
	mem_free(&m->bucket);
	m->bucket = bucket;
	m->buckets = buckets;
}

struct map_node *
map_get(const struct map *m, struct span key)
{
	if (m->buckets == 0)
		return NULL;
	uint64_t hash = siphash(m->seed, key);
	for (struct map_node *k = m->bucket[hash & (m->buckets - 1)]; k != NULL;
	     k = k->next)
		if (k->hash == hash && span_eq(k->key, key))
			return k;
	return NULL;
}

void
map_put(struct map *m, struct map_node *node, struct span key)
{
	CHECK(map_get(m, key) == NULL);
	if (m->n >= m->buckets)
		grow(m);
	node->key = key;
	node->hash = siphash(m->seed, key);
	struct map_node **to = &m->bucket[node->hash & (m->buckets - 1)];
	node->next = *to;
	*to = node;
	m->n++;
}

void
map_remove(struct map *m, struct map_node *node)
{
	CHECK(m->buckets > 0);
	struct map_node **at = &m->bucket[node->hash & (m->buckets - 1)];
	while (*at != NULL && *at != node)
		at = &(*at)->next;
	CHECK(*at == node);
	*at = node->next;
	node->next = NULL;
	m->n--;
}

static struct map_node *
first_from(const struct map *m, size_t i)
{
	for (; i < m->buckets; i++)
		if (m->bucket[i] != NULL)
			return m->bucket[i];
	return NULL;
}

struct map_node *
map_first(const struct map *m)
{
	return first_from(m, 0);
}

struct map_node *
map_next(const struct map *m, const struct map_node *node)
{
	if (node->next != NULL)
		return node->next;
	return first_from(m, (node->hash & (m->buckets - 1)) + 1);
}
