/* SPDX-License-Identifier: ISC */
/* Contents in memory and in files, their budget, their way between threads; checksums. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/content.h"
#include "base/mem.h"

/* The table is used only on old processors: taken in here, it is tested on all. */
#define crc32c crc32c_here
#include "base/crc32c.c" /* NOLINT(bugprone-suspicious-include) */
#undef crc32c

#define MOST (3 * CONTENT_SLICE)

static void
fill(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(unsigned char)(i % 251);
}

/* ---- in memory */

static void
test_sizes(void **state)
{
	static const struct {
		size_t size, slices, last;
	} cases[] = {
	    {0, 0, 0},
	    {1, 1, 1},
	    {CONTENT_SLICE - 1, 1, CONTENT_SLICE - 1},
	    {CONTENT_SLICE, 1, CONTENT_SLICE},
	    {CONTENT_SLICE + 1, 2, 1},
	    {MOST, 3, CONTENT_SLICE},
	};
	static const size_t steps[] = {1, 7, CONTENT_SLICE, CONTENT_SLICE + 1, MOST};
	char bytes[MOST];
	(void)state;
	fill(bytes, sizeof(bytes));
	for (size_t i = 0; i < COUNT_OF(cases) * COUNT_OF(steps); i++) {
		size_t n = cases[i / COUNT_OF(steps)].size,
		       step = steps[i % COUNT_OF(steps)];
		size_t slices = cases[i / COUNT_OF(steps)].slices, all = 0;
		struct content *c = content_new(NULL);
		for (size_t at = 0; at < n; at += step)
			content_append(c, bytes + at, n - at < step ? n - at : step);
		content_seal(c);
		assert_int_equal(content_size(c), n);
		assert_int_equal(content_slices(c), slices);
		assert_int_equal(content_crc(c), crc32c_here(0, bytes, n));
		for (size_t s = 0; s < slices; s++) {
			struct span part = content_slice(c, s);
			assert_int_equal(part.n, s + 1 < slices
						     ? CONTENT_SLICE
						     : cases[i / COUNT_OF(steps)].last);
			assert_memory_equal(part.p, bytes + all, part.n);
			all += part.n;
		}
		assert_int_equal(all, n);
		assert_true(content_in_memory(c));
		assert_int_equal(content_fd(c), -1);
		content_unref(&c);
	}
}

static void
check_reads(const struct content *c, const char *bytes, size_t size)
{
	static const size_t ats[] = {0, 1, CONTENT_SLICE - 1, CONTENT_SLICE,
	    CONTENT_SLICE + 1, 2 * CONTENT_SLICE, MOST - 1, MOST, MOST + 1, SIZE_MAX};
	static const size_t ns[] = {
	    0, 1, CONTENT_SLICE, CONTENT_SLICE + 1, MOST, SIZE_MAX};
	char back[MOST];
	for (size_t i = 0; i < COUNT_OF(ats) * COUNT_OF(ns); i++) {
		size_t at = ats[i / COUNT_OF(ns)], n = ns[i % COUNT_OF(ns)];
		size_t left = at < size ? size - at : 0, want = left < n ? left : n;
		size_t got = 12345;
		assert_int_equal(content_read(c, at, back, n, &got), OK);
		assert_int_equal(got, want);
		if (want > 0)
			assert_memory_equal(back, bytes + at, want);
	}
}

static void
test_read(void **state)
{
	char bytes[MOST];
	(void)state;
	fill(bytes, sizeof(bytes));
	struct content *c = content_new(NULL);
	check_reads(c, bytes, 0);
	content_append(c, bytes, MOST - 100);
	content_seal(c);
	check_reads(c, bytes, MOST - 100);
	content_unref(&c);
}

static void
test_budget(void **state)
{
	struct content_budget b = {.limit = 2 * CONTENT_SLICE};
	char bytes[MOST] = {0};
	(void)state;
	struct content *one = content_new(&b), *two = content_new(&b);
	assert_int_equal(atomic_load(&b.used), 0);
	content_append(one, bytes, 1);
	content_append(two, bytes, CONTENT_SLICE);
	assert_int_equal(atomic_load(&b.used), 2 * CONTENT_SLICE);
	assert_false(content_budget_over(&b)); /* at its limit, not over */
	content_append(two, bytes, 1);
	assert_true(content_budget_over(&b));
	struct content *same = content_ref(two);
	assert_ptr_equal(same, two);
	content_unref(&two);
	assert_null(two);
	assert_true(content_budget_over(&b)); /* somebody still has it */
	content_unref(&same);
	assert_int_equal(atomic_load(&b.used), CONTENT_SLICE);
	content_unref(&one);
	content_unref(&one); /* NULL is fine */
	assert_int_equal(atomic_load(&b.used), 0);
}

/* ---- in a file */

static int
make_file(const char *bytes, size_t n)
{
	char name[] = "/tmp/test_content.XXXXXX";
	int fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	return fd;
}

static void
test_file(void **state)
{
	char bytes[MOST], back[10];
	size_t got;
	(void)state;
	fill(bytes, sizeof(bytes));
	int fd = make_file(bytes, MOST);
	struct content *c = content_from_file(fd, MOST);
	assert_false(content_in_memory(c));
	assert_int_equal(content_fd(c), fd);
	assert_int_equal(content_size(c), MOST);
	assert_int_equal(content_slices(c), 0);
	check_reads(c, bytes, MOST);
	assert_int_equal(ftruncate(fd, 5), 0); /* somebody cuts it */
	assert_int_equal(content_read(c, 0, back, 10, &got), ERR_IO);
	content_unref(&c);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* it was taken, and is closed */
}

/* ---- between threads */

static void *
read_and_drop(void *arg)
{
	struct content *c = arg;
	uint32_t crc = 0;
	for (size_t i = 0; i < content_slices(c); i++) {
		struct span s = content_slice(c, i);
		crc = crc32c_here(crc, s.p, s.n);
	}
	bool same = crc == content_crc(c);
	content_unref(&c);
	return same ? arg : NULL;
}

static void
test_shared(void **state)
{
	struct content_budget b = {.limit = 1};
	struct content *c = content_new(&b);
	char bytes[MOST];
	pthread_t thread[4];
	(void)state;
	fill(bytes, sizeof(bytes));
	content_append(c, bytes, sizeof(bytes));
	content_seal(c);
	for (size_t i = 0; i < COUNT_OF(thread); i++)
		assert_int_equal(
		    pthread_create(&thread[i], NULL, read_and_drop, content_ref(c)), 0);
	content_unref(&c);
	for (size_t i = 0; i < COUNT_OF(thread); i++) {
		void *same;
		assert_int_equal(pthread_join(thread[i], &same), 0);
		assert_non_null(same);
	}
	assert_int_equal(atomic_load(&b.used), 0); /* whoever was last has freed it */
}

/* ---- checksums */

static uint32_t
crc_by_table(const void *p, size_t n)
{
	return ~by_bits(~0u, p, n);
}

static void
test_crc_known(void **state)
{
	char bytes[3][32];
	memset(bytes[0], 0, 32);
	memset(bytes[1], 0xff, 32);
	for (int i = 0; i < 32; i++)
		bytes[2][i] = (char)i;
	const struct {
		const void *p;
		size_t n;
		uint32_t crc;
	} cases[] = {
	    {"", 0, 0},
	    {"123456789", 9, 0xe3069283u},
	    {bytes[0], 32, 0x8a9136aau}, /* RFC 3720 B.4 */
	    {bytes[1], 32, 0x62a8ab43u},
	    {bytes[2], 32, 0x46dd794eu},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(crc32c_here(0, cases[i].p, cases[i].n), cases[i].crc);
		assert_int_equal(crc_by_table(cases[i].p, cases[i].n), cases[i].crc);
	}
}

/* Both ways agree at every length and alignment, and in two steps as in one. */
static void
test_crc_agree(void **state)
{
	char bytes[200];
	(void)state;
	fill(bytes, sizeof(bytes));
	for (size_t at = 0; at < 9; at++)
		for (size_t n = 0; n < sizeof(bytes) - at; n++) {
			uint32_t crc = crc32c_here(0, bytes + at, n);
			assert_int_equal(crc, crc_by_table(bytes + at, n));
			uint32_t half = crc32c_here(0, bytes + at, n / 3);
			assert_int_equal(
			    crc32c_here(half, bytes + at + n / 3, n - n / 3), crc);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_read),
	    cmocka_unit_test(test_budget),
	    cmocka_unit_test(test_file),
	    cmocka_unit_test(test_shared),
	    cmocka_unit_test(test_crc_known),
	    cmocka_unit_test(test_crc_agree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
