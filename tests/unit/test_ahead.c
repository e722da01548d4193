/* SPDX-License-Identifier: ISC */
/*
 * Zeros behind the database's end: from which size on, how many, that they are zeros,
 * that mail lies on them afterwards, and that a full disk or a failure ends it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/fault.h"
#include "tests/lib/spool_rig.h"

#define B "smtp b.example"
#define MESSAGE 50000
#define ENOUGH \
	((uint64_t)5 << 30) /* free octets that ahead.c is content with, and more */

static uint64_t
file_size(const struct spool_rig *r)
{
	char path[512];
	struct stat st;
	(void)snprintf(path, sizeof(path), "%s/data.mdb", r->dir);
	CHECK(stat(path, &st) == 0);
	return (uint64_t)st.st_size;
}

/* How many octets at the file's end are zero. */
static uint64_t
zeros_at_end(const struct spool_rig *r)
{
	char path[512], page[4096];
	uint64_t at = file_size(r), zeros = 0;
	(void)snprintf(path, sizeof(path), "%s/data.mdb", r->dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && at % sizeof(page) == 0);
	for (bool all = true; all && at > 0; zeros += all ? sizeof(page) : 0) {
		at -= sizeof(page);
		CHECK(pread(fd, page, sizeof(page), (off_t)at) == sizeof(page));
		for (size_t i = 0; i < sizeof(page); i++)
			all = all && page[i] == 0;
	}
	(void)close(fd);
	return zeros;
}

static bool
has_room(const struct spool_rig *r)
{
	struct statvfs v;
	CHECK(statvfs(r->dir, &v) == 0);
	return (uint64_t)v.f_bavail * v.f_frsize > ENOUGH;
}

/* Otherwise there is nothing to see on this disk. */
static void
need_room(struct spool_rig *r)
{
	if (has_room(r))
		return;
	spool_rig_free(&r);
	skip();
}

static struct spool_rig *
rig_from(uint64_t zeros_from)
{
	struct spool_rig *r = spool_rig_new(0);
	r->options.zeros_from = zeros_from;
	return r;
}

static void
fill(struct spool_rig *r, unsigned from, unsigned to, uint64_t *id)
{
	for (unsigned i = from; i < to; i++) {
		struct message *m = spool_rig_message(MESSAGE, i);
		spool_rig_rcpt(m, "u@b.example", B, 0);
		id[i] = spool_rig_stored(r, m);
	}
	spool_rig_run(r);
}

static void
assert_all(struct spool_rig *r, unsigned n, const uint64_t *id)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	for (unsigned i = 0; i < n; i++) {
		struct message *m = NULL;
		assert_int_equal(spool_read_message(reader, id[i], true, &m), OK);
		assert_true(spool_rig_content_is(m, MESSAGE, i));
		message_unref(&m);
	}
	spool_reader_free(&reader);
	spool_rig_clean(r);
}

static void
test_from_a_size_on(void **state)
{
	(void)state;
	uint64_t id[80];
	struct spool_rig *r = rig_from(2 << 20);
	need_room(r);
	assert_int_equal(spool_rig_open(r), OK);
	fill(r, 0, 20, id);
	assert_true(file_size(r) < 2 << 20);
	assert_true(zeros_at_end(r) < 4096 * 4); /* small: none */
	fill(r, 20, 60, id);
	uint64_t size = file_size(r), zeros = zeros_at_end(r);
	assert_true(size > 3 << 20);
	assert_true(
	    zeros >= size / 32 && zeros <= size / 8); /* half of an eighth, at least */
	assert_all(r, 60, id);
	unsigned grown = 0;
	for (unsigned i = 60; i < 80; i++) { /* most of them lie on zeros */
		fill(r, i, i + 1, id);
		grown += file_size(r) != size;
		size = file_size(r);
	}
	assert_in_range(grown, 1, 10);
	spool_rig_reopen(r);
	assert_all(r, 80, id);
	spool_rig_free(&r);
}

static void
test_not_on_a_full_disk(void **state)
{
	(void)state;
	uint64_t id[40];
	struct statvfs v;
	struct spool_rig *r = rig_from(1);
	need_room(r);
	assert_int_equal(spool_rig_open(r), OK);
	CHECK(statvfs(r->dir, &v) == 0);
	spool_rig_close(r);
	/* between what mail needs and what zeros do; others use that disk, too */
	r->options.min_free = (uint64_t)v.f_bavail * v.f_frsize - ((uint64_t)1 << 29);
	spool_rig_reopen(r);
	fill(r, 0, 40, id);
	assert_true(zeros_at_end(r) < 4096 * 4);
	assert_all(r, 40, id);
	spool_rig_free(&r);
}

#ifdef RELAY_FAULTS
static void
test_not_again_after_a_failure(void **state)
{
	(void)state;
	uint64_t id[40];
	struct spool_rig *r = rig_from(1 << 20);
	need_room(r);
	assert_int_equal(spool_rig_open(r), OK);
	fault_plan(FAULT_FAIL, "spool.ahead", 1);
	fill(r, 0, 40, id);
	fault_plan(FAULT_NONE, NULL, 0);
	assert_true(zeros_at_end(r) < 4096 * 4);
	assert_all(r, 40, id);
	spool_rig_reopen(r); /* a new start tries anew */
	fill(r, 0, 1, id);
	assert_true(zeros_at_end(r) > 64 << 10);
	spool_rig_free(&r);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_from_a_size_on),
	    cmocka_unit_test(test_not_on_a_full_disk),
#ifdef RELAY_FAULTS
	    cmocka_unit_test(test_not_again_after_a_failure),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
