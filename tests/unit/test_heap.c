/* SPDX-License-Identifier: ISC */
/* heap: order, ties, moves and removals against a plain search. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/heap.h"
#include "base/mem.h"

#define NODES 300

static void
test_order_and_ties(void **state)
{
	(void)state;
	struct heap h = {0};
	struct heap_node a = {0}, b = {0}, c = {0}, d = {0};
	assert_null(heap_min(&h));
	heap_remove(&h, &a);
	heap_set(&h, &a, 7);
	heap_set(&h, &b, 7);
	heap_set(&h, &c, INT64_MIN);
	heap_set(&h, &d, INT64_MAX);
	heap_set(&h, &a, 7); /* set again: behind b now */
	struct heap_node *const want[] = {&c, &b, &a, &d};
	for (size_t i = 0; i < COUNT_OF(want); i++) {
		assert_ptr_equal(heap_min(&h), want[i]);
		assert_true(heap_has(want[i]));
		heap_remove(&h, want[i]);
		assert_false(heap_has(want[i]));
	}
	assert_null(heap_min(&h));
	heap_clear(&h);
}

static void
test_clear_frees_nodes(void **state)
{
	(void)state;
	struct heap h = {0};
	struct heap_node a = {0}, b = {0};
	heap_set(&h, &a, 1);
	heap_set(&h, &b, 2);
	heap_clear(&h);
	assert_false(heap_has(&a) || heap_has(&b));
	heap_set(&h, &b, 3);
	assert_ptr_equal(heap_min(&h), &b);
	heap_clear(&h);
}

static uint32_t
next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static const struct heap_node *
least(const struct heap_node *node)
{
	const struct heap_node *best = NULL;
	for (size_t i = 0; i < NODES; i++) {
		const struct heap_node *k = &node[i];
		if (heap_has(k) && (best == NULL || k->key < best->key ||
				       (k->key == best->key && k->order < best->order)))
			best = k;
	}
	return best;
}

static void
test_against_search(void **state)
{
	(void)state;
	static struct heap_node node[NODES];
	struct heap h = {0};
	uint32_t seed = 1;
	for (int step = 0; step < 20000; step++) {
		struct heap_node *k = &node[next_random(&seed) % NODES];
		if (next_random(&seed) % 3 == 0)
			heap_remove(&h, k);
		else
			heap_set(&h, k, (int64_t)(next_random(&seed) % 50) - 25);
		assert_ptr_equal(heap_min(&h), least(node));
	}
	while (h.n > 0) {
		struct heap_node *k = heap_min(&h);
		assert_ptr_equal(k, least(node));
		heap_remove(&h, k);
	}
	assert_null(least(node));
	heap_clear(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_order_and_ties),
	    cmocka_unit_test(test_clear_frees_nodes),
	    cmocka_unit_test(test_against_search),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
