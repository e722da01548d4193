/* SPDX-License-Identifier: ISC */
/*
 * Content that arrives: in memory up to the limit, one octet over it in a file;
 * what is given up, or never stored, leaves nothing behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "spool/private.h"
#include "tests/lib/spool_rig.h"

#define B "smtp b.example"
#define LIMIT 20000

static struct spool_rig *
open_rig(unsigned threads)
{
	struct spool_rig *r = spool_rig_new(threads);
	r->options.inline_max = LIMIT;
	if (spool_rig_open(r) != OK)
		fail_msg("%s", r->why);
	return r;
}

static struct message *
with_body(const struct spool_body_result *result, unsigned seed)
{
	struct message *m = spool_rig_message(0, seed);
	content_unref(&m->content);
	m->content = result->content;
	m->size = content_size(result->content);
	m->file = result->file;
	m->crc = result->crc;
	spool_rig_rcpt(m, "u@b.example", B, 0);
	return m;
}

static uint64_t
store(struct spool_rig *r, size_t size, unsigned seed, bool *file)
{
	struct spool_body *b;
	struct spool_body_result result;
	assert_int_equal(spool_rig_body(r, size, seed, &b, &result), OK);
	*file = result.file != 0;
	assert_int_equal(content_in_memory(result.content), result.file == 0);
	uint64_t id = spool_rig_stored(r, with_body(&result, seed));
	spool_body_free(&b);
	assert_null(b);
	return id;
}

static void
assert_stored(struct spool_rig *r, uint64_t id, size_t size, unsigned seed)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	struct message *m = NULL;
	assert_int_equal(spool_read_message(reader, id, true, &m), OK);
	assert_true(spool_rig_content_is(m, size, seed));
	message_unref(&m);
	spool_reader_free(&reader);
}

static void
sizes(unsigned threads)
{
	static const size_t size[] = {0, 1, 4080, LIMIT - 1, LIMIT, LIMIT + 1, 131072,
	    262144, 262145, 300000, 3000001};
	struct spool_rig *r = open_rig(threads);
	uint64_t id[COUNT_OF(size)];
	unsigned files = 0;
	for (unsigned i = 0; i < COUNT_OF(size); i++) {
		bool file;
		id[i] = store(r, size[i], i, &file);
		assert_int_equal(file, size[i] > LIMIT);
		files += file;
		assert_stored(r, id[i], size[i], i);
	}
	spool_rig_clean(r);
	assert_int_equal(spool_rig_files(r), files);
	spool_rig_reopen(r);
	assert_int_equal(spool_rig_files(r), files);
	for (unsigned i = 0; i < COUNT_OF(size); i++)
		assert_stored(r, id[i], size[i], i);
	for (unsigned i = 0; i < COUNT_OF(size); i++)
		assert_int_equal(
		    spool_rig_outcome(r, id[i], B, 0, OUTCOME_DELIVERED, 0, NULL), OK);
	spool_rig_close(r); /* unlinking is over when the pool is */
	pool_free(&r->pool);
	assert_int_equal(spool_rig_files(r), 0);
	spool_rig_free(&r);
}

static void
test_sizes(void **state)
{
	(void)state;
	sizes(0);
}

static void
test_sizes_in_threads(void **state)
{
	(void)state;
	sizes(2);
}

static void
never(void *arg)
{
	(void)arg;
	fail();
}

static void
never_done(void *arg, enum err e, const struct spool_body_result *result)
{
	(void)arg, (void)e, (void)result;
	fail();
}

static void
ignore(void *arg)
{
	(void)arg;
}

/* Given up: in memory, while its file is written, while it is flushed, after a piece. */
static void
test_give_up(void **state)
{
	static const struct {
		size_t size;
		int turns;
		bool finish;
	} cases[] = {{10, 0, false}, {10, 0, true}, {LIMIT + 1, 0, false},
	    {LIMIT + 1, 5, false}, {LIMIT + 1, 0, true}, {500000, 0, false},
	    {500000, 5, false}, {500000, 0, true}};
	(void)state;
	for (unsigned threads = 0; threads < 3; threads += 2) {
		struct spool_rig *r = open_rig(threads);
		struct content_budget budget = {.limit = 1 << 30};
		char *octets = mem_alloc(500000);
		for (size_t i = 0; i < COUNT_OF(cases); i++) {
			struct spool_body *b = spool_body_new(r->spool, r->loop, &budget,
			    cases[i].turns ? ignore : never, NULL);
			spool_body_add(b, (struct span){octets, cases[i].size});
			for (int k = 0; k < cases[i].turns; k++)
				(void)loop_turn(r->loop, false);
			if (cases[i].finish)
				spool_body_finish(b, never_done, NULL);
			spool_body_free(&b);
		}
		mem_free(&octets);
		spool_rig_close(r);
		pool_free(&r->pool);
		spool_rig_run(r);
		assert_int_equal(atomic_load(&budget.used), 0);
		assert_int_equal(spool_rig_files(r), 0);
		spool_rig_free(&r);
	}
}

/* Finished, but the message was not stored. */
static void
test_not_stored(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig(0);
	struct spool_body *b;
	struct spool_body_result result;
	assert_int_equal(spool_rig_body(r, 50000, 1, &b, &result), OK);
	assert_int_equal(spool_rig_files(r), 1);
	content_unref(&result.content);
	spool_body_free(&b);
	spool_rig_run(r);
	assert_int_equal(spool_rig_files(r), 0);

	/* cancelled before the writer took it */
	assert_int_equal(spool_rig_body(r, 50000, 1, &b, &result), OK);
	struct message *m = with_body(&result, 1);
	struct spool_request *q =
	    spool_accept_start(r->spool, m, loop_inbox(r->loop), NULL, NULL);
	spool_cancel(&q);
	spool_body_free(&b);
	message_unref(&m);
	assert_int_equal(spool_rig_files(r), 1); /* the request still holds it */
	spool_rig_run(r);
	assert_int_equal(spool_rig_files(r), 0);

	/* the body goes before the answer comes: the request holds the file */
	assert_int_equal(spool_rig_body(r, 50000, 2, &b, &result), OK);
	m = with_body(&result, 2);
	(void)spool_accept_start(r->spool, m, loop_inbox(r->loop), NULL, NULL);
	spool_body_free(&b);
	spool_rig_run(r);
	assert_int_equal(spool_rig_files(r), 1);
	assert_stored(r, m->id, 50000, 2);
	message_unref(&m);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

/* Over the budget for memory, small content goes to a file, too. */
static void
test_budget(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig(0);
	struct content_budget budget = {.limit = 10000};
	struct content *other = content_new(&budget);
	char octets[17000] = {0};
	struct spool_body *b = spool_body_new(r->spool, r->loop, &budget, ignore, NULL);
	spool_body_add(b, (struct span){octets, 5000});
	spool_rig_run(r);
	assert_int_equal(spool_rig_files(r), 0);
	content_append(other, octets, 9000);
	spool_body_add(b, (struct span){octets, 12000});
	spool_rig_run(r);
	assert_int_equal(spool_rig_files(r), 1);
	assert_true(atomic_load(&budget.used) < 17000);
	spool_body_free(&b);
	content_unref(&other);
	spool_rig_run(r);
	assert_int_equal(spool_rig_files(r), 0);
	assert_int_equal(atomic_load(&budget.used), 0);
	spool_rig_free(&r);
}

static void
test_busy(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig(0);
	char octets[1000] = {0};
	struct spool_body *b = spool_body_new(r->spool, r->loop, NULL, ignore, NULL);
	unsigned n = 0;
	while (!spool_body_busy(b)) { /* without a turn of the loop nothing is written */
		spool_body_add(b, (struct span){octets, sizeof(octets)});
		assert_true(++n < 1000);
	}
	assert_int_equal(spool_body_size(b), n * sizeof(octets));
	spool_rig_run(r);
	assert_false(spool_body_busy(b));
	spool_body_free(&b);
	spool_rig_free(&r);
}

/* Leftovers of a crash go when the spool is opened; what a message names stays. */
static void
test_sweep(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig(0);
	bool file;
	uint64_t id = store(r, 50000, 1, &file);
	assert_true(file);
	spool_rig_close(r);
	char path[120];
	for (unsigned i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s/big/ab", r->dir);
		(void)mkdir(path, 0700);
		(void)snprintf(
		    path, sizeof(path), "%s/big/ab/ab0000000000000%u", r->dir, i);
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		(void)close(fd);
	}
	assert_int_equal(spool_rig_files(r), 4);
	buf_reset(&r->lines);
	assert_int_equal(spool_rig_open(r), OK);
	assert_int_equal(spool_rig_files(r), 1);
	buf_add_char(&r->lines, '\0');
	assert_non_null(strstr(r->lines.p, "spool-swept files=3"));
	assert_stored(r, id, 50000, 1);
	spool_rig_clean(r);
	spool_rig_free(&r);
}

static void
file_path(struct spool_rig *r, uint64_t id, char *path, size_t size)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	struct message *m = NULL;
	char name[FILE_NAME];
	assert_int_equal(spool_read_message(reader, id, false, &m), OK);
	file_name(m->file, name);
	(void)snprintf(path, size, "%s/big/%s", r->dir, name);
	message_unref(&m);
	spool_reader_free(&reader);
}

static void
test_damaged_file(void **state)
{
	(void)state;
	struct spool_rig *r = open_rig(0);
	char path[120], octet = 0;
	bool file;
	for (unsigned i = 0; i < 3; i++) {
		uint64_t id = store(r, 50000, i, &file);
		file_path(r, id, path, sizeof(path));
		int fd = open(path, O_WRONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		if (i == 0)
			assert_int_equal(pwrite(fd, &octet, 1, 12345), 1);
		else if (i == 1)
			assert_int_equal(ftruncate(fd, 49999), 0);
		else
			assert_int_equal(unlink(path), 0);
		(void)close(fd);
		struct spool_reader *reader = spool_reader_new(r->spool);
		struct message *m = NULL;
		assert_int_equal(spool_read_message(reader, id, true, &m), ERR_DAMAGED);
		assert_null(m);
		assert_int_equal(spool_read_message(reader, id, false, &m), OK);
		message_unref(&m);
		spool_reader_free(&reader);
		assert_int_equal(spool_rig_check(r, NULL), 1);
		assert_int_equal(
		    spool_rig_outcome(r, id, B, 0, OUTCOME_DELETED, 0, NULL), OK);
		spool_rig_clean(r);
	}
	spool_rig_free(&r);
}

#ifdef RELAY_FAULTS

/* The disk fails at any place: the owner is told, nothing is left, the next one works. */
static void
test_faults(void **state)
{
	static const struct {
		const char *name;
		unsigned long n;
		enum err err;
	} cases[] = {{"spool.file.create", 1, ERR_DISK_FULL},
	    {"spool.file.dir", 1, ERR_IO}, {"spool.file.write", 1, ERR_DISK_FULL},
	    {"spool.file.write", 2, ERR_DISK_FULL}, {"spool.file.sync", 1, ERR_IO}};
	(void)state;
	for (unsigned threads = 0; threads < 3; threads += 2) {
		struct spool_rig *r = open_rig(threads);
		for (size_t i = 0; i < COUNT_OF(cases); i++) {
			struct spool_body *b;
			struct spool_body_result result;
			bool file;
			fault_plan(FAULT_FAIL, cases[i].name, cases[i].n);
			assert_int_equal(
			    spool_rig_body(r, 600000, 1, &b, &result), cases[i].err);
			fault_plan(FAULT_NONE, NULL, 0);
			spool_body_free(&b);
			(void)store(r, 600000, 1, &file);
			assert_true(file);
		}
		spool_rig_clean(r);
		spool_rig_close(r);
		pool_free(&r->pool);
		assert_int_equal(spool_rig_files(r), COUNT_OF(cases));
		spool_rig_free(&r);
	}
}

#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_sizes_in_threads),
	    cmocka_unit_test(test_give_up),
	    cmocka_unit_test(test_not_stored),
	    cmocka_unit_test(test_budget),
	    cmocka_unit_test(test_busy),
	    cmocka_unit_test(test_sweep),
	    cmocka_unit_test(test_damaged_file),
#ifdef RELAY_FAULTS
	    cmocka_unit_test(test_faults),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
