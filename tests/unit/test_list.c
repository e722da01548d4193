/* SPDX-License-Identifier: ISC */
/* list: order, removal (twice, inside a walk), links that are in none. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/list.h"
#include "base/mem.h"

struct item {
	int n;
	struct link link;
};

static void
assert_items(const struct list *l, const int *want, size_t count)
{
	size_t i = 0;
	LIST_EACH (l, k) {
		assert_true(i < count);
		assert_int_equal(CONTAINER_OF(k, struct item, link)->n, want[i++]);
		assert_ptr_equal(k->next->prev, k);
	}
	assert_int_equal(i, count);
}

static void
test_order(void **state)
{
	(void)state;
	struct list l;
	list_init(&l);
	assert_true(list_empty(&l));
	assert_null(list_first(&l));
	assert_null(list_pop(&l));
	struct item a = {.n = 1}, b = {.n = 2}, c = {.n = 3}, d = {.n = 4};
	list_push(&l, &b.link);
	list_push(&l, &d.link);
	list_unshift(&l, &a.link);
	link_insert_before(&d.link, &c.link);
	assert_items(&l, (const int[]){1, 2, 3, 4}, 4);
	assert_ptr_equal(list_pop(&l), &a.link);
	assert_false(link_in_list(&a.link));
	assert_ptr_equal(list_first(&l), &b.link);
	assert_items(&l, (const int[]){2, 3, 4}, 3);
	list_push(&l, &a.link);
	assert_items(&l, (const int[]){2, 3, 4, 1}, 4);
}

static void
test_remove_twice(void **state)
{
	(void)state;
	struct list l;
	list_init(&l);
	struct item a = {.n = 1}, b = {.n = 2};
	assert_false(link_in_list(&a.link));
	list_remove(&a.link); /* zeroed, never in a list */
	list_push(&l, &a.link);
	list_push(&l, &b.link);
	assert_true(link_in_list(&a.link));
	list_remove(&a.link);
	list_remove(&a.link);
	assert_items(&l, (const int[]){2}, 1);
	list_remove(&b.link);
	assert_true(list_empty(&l));
}

static void
test_remove_in_walk(void **state)
{
	(void)state;
	struct list l;
	list_init(&l);
	struct item item[6];
	for (int i = 0; i < 6; i++) {
		item[i].n = i;
		list_push(&l, &item[i].link);
	}
	LIST_EACH (&l, k) {
		if (CONTAINER_OF(k, struct item, link)->n % 2 == 0)
			list_remove(k);
	}
	assert_items(&l, (const int[]){1, 3, 5}, 3);
	LIST_EACH (&l, k)
		list_remove(k);
	assert_true(list_empty(&l));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_remove_twice),
	    cmocka_unit_test(test_remove_in_walk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
