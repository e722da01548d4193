/* SPDX-License-Identifier: ISC */
/* mem: what is freed between things that stay goes back to the system. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

#define PIECES 2000
#define LARGE 16384 /* as a TLS record's buffer */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_MALLOC false /* the sanitizer's is asked, which keeps no such books */
#else
#define OWN_MALLOC true
#endif

static size_t
resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	char line[200], *at = line;
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	(void)fclose(f);
	(void)strtoul(at, &at, 10); /* all of it */
	size_t here = strtoul(at, &at, 10), shared = strtoul(at, &at, 10);
	assert_true(here > shared);
	return (here - shared) * (size_t)sysconf(_SC_PAGESIZE);
}

static void
test_give_back(void **state)
{
	(void)state;
	static char *large[PIECES], *small[PIECES];
	size_t kept = 0;
	(void)mem_give_back(&kept);
	for (size_t i = 0; i < PIECES; i++) {
		large[i] = mem_alloc_raw(LARGE);
		for (size_t at = 0; at < LARGE; at += 1024)
			((volatile char *)large[i])[at] = 1;
		small[i] = mem_alloc(64);
	}
	assert_false(mem_give_back(&kept)); /* all is in use */
	for (size_t i = 0; i < PIECES; i++)
		mem_free(&large[i]);
	size_t before = resident();
	bool given = mem_give_back(&kept);
	if (OWN_MALLOC) {
		assert_true(given);
		assert_true(resident() + (size_t)PIECES * LARGE / 2 < before);
	}
	assert_false(mem_give_back(&kept)); /* nothing new */
	for (size_t i = 0; i < PIECES; i++)
		mem_free(&small[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_give_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
