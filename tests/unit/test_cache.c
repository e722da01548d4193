/* SPDX-License-Identifier: ISC */
/* cache: lifetimes, replacement, bounds. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "resolver/cache.h"

static const uint64_t seed[2] = {1, 2};

static struct instant
at(int64_t ms)
{
	return (struct instant){1000000 + ms};
}

/* Put an answer of this kind; the cache holds the only reference. */
static void
put(struct dns_cache *c, const char *name, enum dns_kind kind, uint32_t ttl, int64_t ms)
{
	struct dns_answer *a = dns_answer_failed("");
	a->kind = kind;
	a->ttl = ttl;
	dns_cache_put(c, name, DNS_MX, a, at(ms));
	dns_answer_unref(&a);
}

static bool
has(struct dns_cache *c, const char *name, int64_t ms)
{
	return dns_cache_get(c, name, DNS_MX, at(ms)) != NULL;
}

static void
test_lifetimes(void **state)
{
	(void)state;
	static const struct {
		enum dns_kind kind;
		uint32_t ttl;
		int64_t want_ms;
	} cases[] = {
	    {DNS_DATA, 0, 5000},
	    {DNS_DATA, 300, 300000},
	    {DNS_DATA, 86400, DAY_MS},
	    {DNS_DATA, INT32_MAX, DAY_MS},
	    {DNS_NODATA, 0, 5000},
	    {DNS_NODATA, 60, 60000},
	    {DNS_NODATA, 86400, 900000},
	    {DNS_NXDOMAIN, 86400, 900000},
	    {DNS_NXDOMAIN, 60, 60000},
	    {DNS_FAILED, 86400, 5000},
	    {DNS_FAILED, 0, 5000},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct dns_cache *c = dns_cache_new(10, seed);
		put(c, "a.example", cases[i].kind, cases[i].ttl, 0);
		assert_true(has(c, "a.example", cases[i].want_ms - 1));
		assert_false(has(c, "a.example", cases[i].want_ms));
		dns_cache_free(&c);
		assert_null(c);
	}
}

static void
test_failures_grow(void **state)
{
	(void)state;
	static const int64_t want[] = {5000, 10000, 20000, 30000, 30000, 30000};
	struct dns_cache *c = dns_cache_new(10, seed);
	int64_t now = 0;
	for (size_t i = 0; i < COUNT_OF(want); i++) {
		put(c, "a.example", DNS_FAILED, 0, now);
		assert_true(has(c, "a.example", now + want[i] - 1));
		assert_false(has(c, "a.example", now + want[i]));
		now += want[i];
	}
	put(c, "a.example", DNS_DATA, 5, now);
	put(c, "a.example", DNS_FAILED, 0, now + 5000);
	assert_false(has(c, "a.example", now + 10000));
	assert_int_equal(dns_cache_count(c), 1);
	dns_cache_free(&c);
}

static void
test_keys(void **state)
{
	(void)state;
	struct dns_cache *c = dns_cache_new(10, seed);
	put(c, "a.example", DNS_DATA, 60, 0);
	assert_null(dns_cache_get(c, "a.example", DNS_A, at(0)));
	assert_null(dns_cache_get(c, "b.example", DNS_MX, at(0)));
	assert_null(dns_cache_get(c, "a.exampl", DNS_MX, at(0)));
	struct dns_answer *a = dns_cache_get(c, "a.example", DNS_MX, at(0));
	assert_int_equal(a->refs, 1);
	put(c, "a.example", DNS_NODATA, 60, 0);
	assert_int_equal(dns_cache_get(c, "a.example", DNS_MX, at(0))->kind, DNS_NODATA);
	assert_int_equal(dns_cache_count(c), 1);
	dns_cache_flush(c);
	assert_int_equal(dns_cache_count(c), 0);
	assert_false(has(c, "a.example", 0));
	dns_cache_free(&c);
	dns_cache_free(&c);
}

static void
test_eviction(void **state)
{
	(void)state;
	struct dns_cache *c = dns_cache_new(3, seed);
	put(c, "a.example", DNS_DATA, 60, 0);
	put(c, "b.example", DNS_DATA, 60, 0);
	put(c, "c.example", DNS_DATA, 60, 0);
	assert_true(has(c, "a.example", 1)); /* now b is the oldest */
	put(c, "d.example", DNS_DATA, 60, 2);
	assert_int_equal(dns_cache_count(c), 3);
	assert_false(has(c, "b.example", 3));
	assert_true(has(c, "a.example", 3));
	assert_true(has(c, "c.example", 3));
	assert_true(has(c, "d.example", 3));
	dns_cache_free(&c);
}

/* Answers of many records push out others before the number of entries does. */
static void
test_bytes(void **state)
{
	(void)state;
	struct dns_cache *c = dns_cache_new(20, seed);
	for (unsigned i = 0; i < 20; i++) {
		char name[32];
		struct dns_answer *a = dns_answer_failed("");
		a->kind = DNS_DATA;
		a->ttl = 60;
		a->n = 100;
		a->record = mem_alloc(a->n * sizeof(a->record[0]));
		(void)snprintf(name, sizeof(name), "n%u.example", i);
		dns_cache_put(c, name, DNS_MX, a, at(0));
		dns_answer_unref(&a);
	}
	assert_in_range(dns_cache_count(c), 1, 19);
	assert_true(has(c, "n19.example", 1));
	assert_false(has(c, "n0.example", 1));
	dns_cache_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lifetimes),
	    cmocka_unit_test(test_failures_grow),
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_eviction),
	    cmocka_unit_test(test_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
