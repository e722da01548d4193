/* SPDX-License-Identifier: ISC */
/* heap - sift up, sift down. */
#include "base/heap.h"

#include "base/check.h"
#include "base/mem.h"

static bool
before(const struct heap_node *a, const struct heap_node *b)
{
	return a->key != b->key ? a->key < b->key : a->order < b->order;
}

static void
place(struct heap *h, struct heap_node *node, size_t i)
{
	h->node[i] = node;
	node->at = i + 1;
}

static void
sift_up(struct heap *h, size_t i)
{
	struct heap_node *node = h->node[i];
	while (i > 0) {
		size_t parent = (i - 1) / 2;
		if (!before(node, h->node[parent]))
			break;
		place(h, h->node[parent], i);
		i = parent;
	}
	place(h, node, i);
}

static void
sift_down(struct heap *h, size_t i)
{
	struct heap_node *node = h->node[i];
	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= h->n)
			break;
		if (child + 1 < h->n && before(h->node[child + 1], h->node[child]))
			child++;
		if (!before(h->node[child], node))
			break;
		place(h, h->node[child], i);
		i = child;
	}
	place(h, node, i);
}

void
heap_clear(struct heap *h)
{
	for (size_t i = 0; i < h->n; i++)
		h->node[i]->at = 0;
	mem_free(&h->node);
	*h = (struct heap){0};
}

void
heap_set(struct heap *h, struct heap_node *node, int64_t key)
{
	heap_remove(h, node);
	if (h->n == h->cap) {
		h->cap = h->cap ? h->cap * 2 : 16;
		h->node = mem_resize(h->node, h->cap, sizeof(struct heap_node *));
	}
	node->key = key;
	node->order = h->next_order++;
	place(h, node, h->n++);
	sift_up(h, node->at - 1);
}

void
heap_remove(struct heap *h, struct heap_node *node)
{
	if (node->at == 0)
		return;
	size_t i = node->at - 1;
	CHECK(i < h->n && h->node[i] == node);
	node->at = 0;
	struct heap_node *last = h->node[--h->n];
	if (last == node)
		return;
	place(h, last, i);
	sift_up(h, i);
	sift_down(h, last->at - 1);
}

struct heap_node *
heap_min(const struct heap *h)
{
	return h->n ? h->node[0] : NULL;
}
