/* SPDX-License-Identifier: ISC */
/*
 * heap - an intrusive binary heap: the element with the smallest key first.
 * Equal keys come out in the order in which they were set, so that what a
 * scripted clock replays is the same each time.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
	int64_t key;
	uint64_t order;
	size_t at; /* position + 1; 0 while in no heap */
};

struct heap {
	struct heap_node **node; /* owned array of borrowed nodes */
	size_t n, cap;
	uint64_t next_order;
};

void heap_clear(struct heap *h); /* zeroed memory is an empty heap */
void heap_set(
    struct heap *h, struct heap_node *node, int64_t key); /* insert or move; O(log n) */
void heap_remove(
    struct heap *h, struct heap_node *node); /* nothing happens if it is in no heap */
struct heap_node *heap_min(const struct heap *h); /* NULL if empty */
static inline bool
heap_has(const struct heap_node *node)
{
	return node->at != 0;
}

#endif
