/* SPDX-License-Identifier: ISC */
/*
 * map - an intrusive hash table from bytes to whatever embeds its node.
 *
 * Keys are hashed with SipHash-2-4 under a random seed, so that strangers who
 * choose keys (addresses, domains) cannot choose collisions.  The key's bytes
 * belong to the element and must not change while it is in the map.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct map_node {
	struct map_node *next;
	struct span key; /* borrowed from the element */
	uint64_t hash;
};

struct map {
	struct map_node **bucket;
	size_t buckets; /* a power of two, or 0 */
	size_t n;
	uint64_t seed[2];
};

void map_init(struct map *m, const uint64_t seed[2]);
void map_clear(struct map *m); /* frees the table, not the elements */

struct map_node *map_get(const struct map *m, struct span key); /* NULL if absent */

/* Add node under key. The key must not be present (CHECK). */
void map_put(struct map *m, struct map_node *node, struct span key);
void map_remove(struct map *m, struct map_node *node); /* must be present (CHECK) */

/* Walk all elements in no order; the current one may be removed inside the loop:
 * for (struct map_node *k = map_first(&m), *next; k && (next = map_next(&m, k), true); k
 * = next) */
struct map_node *map_first(const struct map *m);
struct map_node *map_next(const struct map *m, const struct map_node *node);
#define MAP_EACH(m, k)                                                                 \
	for (struct map_node *k = map_first(m), *k##_next = k ? map_next(m, k) : NULL; \
	     k != NULL; k = k##_next, k##_next = k ? map_next(m, k) : NULL)

/* SipHash-2-4 of a span. */
uint64_t siphash(const uint64_t seed[2], struct span key);

#endif
