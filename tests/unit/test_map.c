/* SPDX-License-Identifier: ISC */
/* map: SipHash's reference vectors, put, get, remove, walk. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

#define THINGS 1000

struct thing {
	struct map_node node;
	char key[16];
};

static const uint64_t seed[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

/* Key 00..0f, messages 00, 00 01, ...: from the authors' vectors.h (vectors_sip64). */
static void
test_siphash(void **state)
{
	(void)state;
	static const struct {
		size_t n;
		uint64_t want;
	} cases[] = {
	    {0, 0x726fdb47dd0e0e31u},
	    {1, 0x74f839c593dc67fdu},
	    {2, 0x0d6c8009d9a94f5au},
	    {7, 0xab0200f58b01d137u},
	    {8, 0x93f5f5799a932462u},
	    {15, 0xa129ca6149be45e5u},
	    {63, 0x958a324ceb064572u},
	};
	char message[64];
	for (int i = 0; i < 64; i++)
		message[i] = (char)i;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(
		    siphash(seed, (struct span){message, cases[i].n}), cases[i].want);
	assert_int_equal(siphash(seed, (struct span){NULL, 0}), cases[0].want);
}

static struct thing *
things_new(struct map *m)
{
	struct thing *t = mem_alloc(THINGS * sizeof(*t));
	for (int i = 0; i < THINGS; i++) {
		(void)snprintf(t[i].key, sizeof(t[i].key), "key%d", i);
		map_put(m, &t[i].node, span_str(t[i].key));
	}
	return t;
}

static void
test_put_get_remove(void **state)
{
	(void)state;
	struct map m;
	map_init(&m, seed);
	assert_null(map_get(&m, SPAN("key0")));
	assert_null(map_first(&m));
	struct thing *t = things_new(&m);
	assert_int_equal(m.n, THINGS);
	for (int i = 0; i < THINGS; i++)
		assert_ptr_equal(map_get(&m, span_str(t[i].key)), &t[i].node);
	for (int i = 0; i < THINGS; i += 2)
		map_remove(&m, &t[i].node);
	for (int i = 0; i < THINGS; i++)
		assert_ptr_equal(
		    map_get(&m, span_str(t[i].key)), i % 2 ? &t[i].node : NULL);
	assert_null(map_get(&m, SPAN("key")));
	map_put(&m, &t[0].node, span_str(t[0].key));
	assert_int_equal(m.n, THINGS / 2 + 1);
	map_clear(&m);
	assert_null(map_get(&m, SPAN("key1")));
	mem_free(&t);
}

static void
test_keys_with_any_byte(void **state)
{
	(void)state;
	struct map m;
	map_init(&m, seed);
	struct map_node a, b, empty;
	map_put(&m, &a, SPAN("x\0a"));
	map_put(&m, &b, SPAN("x\0b"));
	map_put(&m, &empty, (struct span){NULL, 0});
	assert_ptr_equal(map_get(&m, SPAN("x\0a")), &a);
	assert_ptr_equal(map_get(&m, SPAN("x\0b")), &b);
	assert_ptr_equal(map_get(&m, SPAN("")), &empty);
	map_clear(&m);
}

static void
test_walk_and_remove(void **state)
{
	(void)state;
	struct map m;
	map_init(&m, seed);
	struct thing *t = things_new(&m);
	size_t seen = 0;
	MAP_EACH (&m, k) {
		struct thing *at = CONTAINER_OF(k, struct thing, node);
		assert_true(at >= t && at < t + THINGS);
		if (seen++ % 3 == 0) {
			map_remove(&m, k);
			memset(at, 0xee, sizeof(*at)); /* the walk must not look again */
		}
	}
	assert_int_equal(seen, THINGS);
	seen = 0;
	MAP_EACH (&m, k)
		seen++;
	assert_int_equal(seen, m.n);
	assert_int_equal(seen, THINGS - (THINGS + 2) / 3);
	map_clear(&m);
	mem_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_siphash),
	    cmocka_unit_test(test_put_get_remove),
	    cmocka_unit_test(test_keys_with_any_byte),
	    cmocka_unit_test(test_walk_and_remove),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
