/* SPDX-License-Identifier: ISC */
/* Directories that are made, and what is said when they cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/dir.h"

static char base[] = "/tmp/test-dir-XXXXXX";

static void
test_made_once_and_again(void **state)
{
	char path[64];
	struct stat st;
	(void)state;
	(void)snprintf(path, sizeof(path), "%s/one/", base);
	assert_int_equal(dir_make(path, 0700), OK);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(dir_make(path, 0755), OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(rmdir(path), 0);
}

static void
test_relative(void **state)
{
	(void)state;
	assert_int_equal(chdir(base), 0);
	assert_int_equal(dir_make("two", 0700), OK);
	assert_int_equal(rmdir("two"), 0);
}

/* Nobody can make anything in /proc, nor flush it. */
static void
test_below_what_cannot_be_flushed(void **state)
{
	(void)state;
	assert_int_equal(dir_make("/proc/self", 0700), OK);
}

static void
test_refused(void **state)
{
	char path[64];
	(void)state;
	(void)snprintf(path, sizeof(path), "%s/no/three", base);
	assert_int_equal(dir_make(path, 0700), ERR_NOT_FOUND);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(dir_make("/proc/three", 0700), ERR_NOT_FOUND);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_made_once_and_again),
	    cmocka_unit_test(test_relative),
	    cmocka_unit_test(test_below_what_cannot_be_flushed),
	    cmocka_unit_test(test_refused),
	};
	if (mkdtemp(base) == NULL)
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(base);
	return failed;
}
