/* SPDX-License-Identifier: ISC */
/* hand: who is suspect after which end of the process, counts, and what is forgotten. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/hand.h"
#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define DAY (24 * 3600 * 1000)

static int fd;
static struct hand_crash crash[2 * HAND_THREADS];
static size_t crashes;

static void
told(void *arg, const struct hand_crash *c)
{
	(void)arg;
	crash[crashes++] = *c;
}

static void
open_at(int64_t ms)
{
	crashes = 0;
	assert_int_equal(hand_open(fd, (struct wall){ms}, told, NULL), OK);
}

static int
setup(void **state)
{
	char name[] = "/tmp/hand.XXXXXX";
	(void)state;
	fd = mkstemp(name);
	return fd < 0 || unlink(name) != 0;
}

static int
teardown(void **state)
{
	(void)state;
	hand_close();
	return close(fd);
}

/* ---- ends of a child that has the sheet open */

static void
by_abort(void)
{
	(void)hand_take(7);
	abort();
}

static void
by_nothing_in_hand(void)
{
	hand_back(hand_take(7));
	abort();
}

static volatile int nothing;

static void
by_segv(void)
{
	(void)hand_take(7);
	hand_back(hand_take(8));
	(void)raise(SIGSEGV);
}

static void
by_check(void)
{
	(void)hand_take(7);
	CHECK(nothing != 0);
}

static void
by_memory(void)
{
	(void)hand_take(7);
	hand_blameless();
	abort();
}

/* What becomes of the file meanwhile is not felt; the end writes it anew. */
static void
by_abort_without_a_file(void)
{
	if (ftruncate(fd, 0) != 0)
		_exit(1);
	(void)hand_take(7);
	abort();
}

static void
by_kill(void)
{
	(void)hand_take(7);
	(void)raise(SIGKILL);
}

static void
by_exit(void)
{
	(void)hand_take(7);
	_exit(0);
}

static void *
has_9_for_ever(void *arg)
{
	int *ready = arg;
	(void)hand_take(9);
	(void)!write(*ready, "", 1);
	for (;;)
		(void)pause();
	return NULL;
}

/* Another thread has 9 in hand; this one does what comes. */
static void
beside_another(void)
{
	int ready[2];
	char c;
	pthread_t t;
	if (pipe(ready) != 0 ||
	    pthread_create(&t, NULL, has_9_for_ever, &ready[1]) != 0 ||
	    read(ready[0], &c, 1) != 1)
		_exit(1);
}

static void
by_this_thread(void)
{
	beside_another();
	(void)hand_take(7);
	abort();
}

static void
by_an_idle_thread(void)
{
	beside_another();
	hand_back(hand_take(7));
	abort();
}

/* A stranger's octets, beside and behind messages. */
static void
by_a_session(void)
{
	beside_another();
	hand_back(hand_take(7));
	(void)hand_take(HAND_SESSION);
	abort();
}

static void
by_a_message_in_a_session(void)
{
	beside_another();
	hand_back(hand_take(8));
	(void)hand_take(HAND_SESSION);
	(void)hand_take(7);
	abort();
}

/* It was an episode: what was in hand before it is still what was last. */
static void
by_nothing_in_hand_behind_a_session(void)
{
	hand_back(hand_take(7));
	hand_back(hand_take(HAND_SESSION));
	abort();
}

static void
from_outside(int signo)
{
	pid_t parent = getpid();
	if (fork() == 0) {
		(void)kill(parent, signo);
		_exit(0);
	}
	for (;;)
		(void)pause();
}

static void
by_segv_from_outside(void)
{
	(void)hand_take(7);
	from_outside(SIGSEGV);
}

static void
by_a_watchdog(void)
{
	uint64_t id;
	beside_another();
	hand_back(hand_take(7));
	for (int64_t ms = 1000; ms <= 3000; ms += 1000)
		(void)hand_look((struct instant){ms}, INT64_C(1) << 40, &id);
	from_outside(SIGABRT);
}

static void
by_abort_from_outside_while_all_is_well(void)
{
	uint64_t id;
	for (int64_t ms = 1000; ms <= 3000; ms += 1000) {
		hand_back(hand_take(7));
		(void)hand_look((struct instant){ms}, INT64_C(1) << 40, &id);
	}
	(void)hand_take(7);
	from_outside(SIGABRT);
}

static void
by_a_watchdog_over_a_session(void)
{
	uint64_t id;
	(void)hand_take(HAND_SESSION);
	for (int64_t ms = 1000; ms <= 3000; ms += 1000)
		(void)hand_look((struct instant){ms}, INT64_C(1) << 40, &id);
	from_outside(SIGABRT);
}

/* The thread that looks at the others is the one that hangs. */
static void
by_a_watchdog_that_nobody_feeds(void)
{
	uint64_t id;
	(void)hand_look((struct instant){1}, 1, &id);
	(void)hand_take(7);
	from_outside(SIGABRT);
}

static size_t
deep(size_t n)
{
	volatile char room[4096];
	memset((void *)(uintptr_t)room, (int)n, sizeof(room));
	return nothing != 0 ? 0 : deep(n + 1) + (size_t)room[n % sizeof(room)];
}

static void
by_stack(void)
{
	(void)hand_take(7);
	_exit((int)deep(0));
}

static void
end_by(void (*end)(void), int64_t ms)
{
	(void)fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = {0, 0}, small = {1u << 20, 1u << 20};
		(void)setrlimit(RLIMIT_CORE, &none);
		if (end == by_stack)
			(void)setrlimit(RLIMIT_STACK, &small);
		(void)close(STDERR_FILENO);
		static const int caught[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
		for (size_t i = 0; i < COUNT_OF(caught); i++)
			(void)signal(caught[i], SIG_DFL); /* cmocka would go on */
		if (hand_open(fd, (struct wall){ms}, NULL, NULL) != OK)
			_exit(2);
		end();
		_exit(3);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (end == by_exit)
		assert_int_equal(status, 0);
	else if (!WIFSIGNALED(status)) /* a sanitizer says what it was, and exits */
		assert_true(
		    SANITIZED && WEXITSTATUS(status) != 2 && WEXITSTATUS(status) != 3);
}

static void
test_ends(void **state)
{
	static const struct {
		const char *what;
		void (*end)(void);
		size_t n;
		uint64_t id[2];
	} cases[] = {
	    {"abort", by_abort, 1, {7}},
	    {"segv", by_segv, 1, {7}},
	    {"check", by_check, 1, {7}},
	    {"what it had before", by_nothing_in_hand, 1, {7}},
	    {"no memory", by_memory, 0, {0}},
	    {"the file was cut", by_abort_without_a_file, 1, {7}},
	    {"kill -9", by_kill, 0, {0}},
	    {"exit", by_exit, 0, {0}},
	    {"this thread", by_this_thread, 1, {7}},
	    {"an idle thread", by_an_idle_thread, 2, {9, 7}},
	    {"a session", by_a_session, 0, {0}},
	    {"a message in a session", by_a_message_in_a_session, 1, {7}},
	    {"behind a session", by_nothing_in_hand_behind_a_session, 1, {7}},
	    {"a watchdog over a session", by_a_watchdog_over_a_session, 0, {0}},
	    {"kill -SEGV", by_segv_from_outside, 0, {0}},
	    {"a watchdog", by_a_watchdog, 1, {9}},
	    {"kill -ABRT", by_abort_from_outside_while_all_is_well, 0, {0}},
	    {"main hangs", by_a_watchdog_that_nobody_feeds, 1, {7}},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(ftruncate(fd, 0), 0);
		end_by(cases[i].end, 1);
		open_at(2);
		if (crashes != cases[i].n)
			print_error("%s: %zu suspects\n", cases[i].what, crashes);
		assert_int_equal(crashes, cases[i].n);
		for (size_t k = 0; k < crashes; k++) {
			assert_true(crash[k].id == cases[i].id[0] ||
				    crash[k].id == cases[i].id[1]);
			assert_int_equal(crash[k].crashes, 1);
			assert_int_equal(hand_crashes(crash[k].id), 1);
			assert_false(hand_condemned(crash[k].id));
		}
		hand_close();
	}
}

/* The handler runs on a stack of its own. (A sanitizer brings its own.) */
static void
test_stack(void **state)
{
	(void)state;
	if (SANITIZED)
		skip();
	end_by(by_stack, 1);
	open_at(2);
	assert_int_equal(crashes, 1);
	assert_int_equal(crash[0].id, 7);
	assert_int_equal(crash[0].signal, SIGSEGV);
}

static void
test_twice(void **state)
{
	uint64_t id[HAND_SUSPECTS];
	(void)state;
	end_by(by_abort, 1);
	end_by(by_kill, 2); /* is no crash, and forgets none */
	end_by(by_abort, 3);
	open_at(4);
	assert_int_equal(crashes, 1);
	assert_int_equal(crash[0].crashes, 2);
	assert_int_equal(crash[0].signal, SIGABRT);
	assert_true(hand_condemned(7));
	assert_false(hand_condemned(8));
	assert_int_equal(hand_suspects(id), 1);
	hand_close();
	open_at(5 + 100 * (int64_t)DAY); /* condemned is condemned */
	assert_int_equal(crashes, 0);
	assert_true(hand_condemned(7));
	hand_clear(7);
	hand_clear(7);
	assert_false(hand_condemned(7));
	assert_int_equal(hand_suspects(id), 0);
	hand_close();
	open_at(6);
	assert_int_equal(hand_crashes(7), 0);
}

static void
test_forgotten(void **state)
{
	(void)state;
	end_by(by_abort, 1);
	open_at(6 * (int64_t)DAY);
	assert_int_equal(hand_crashes(7), 1);
	hand_close();
	open_at(12 * (int64_t)DAY);
	assert_int_equal(hand_crashes(7), 1);
	hand_close();
	open_at(14 * (int64_t)DAY);
	assert_int_equal(hand_crashes(7), 0);
}

/* ---- the file */

static void
test_file(void **state)
{
	char junk[3000];
	(void)state;
	memset(junk, 0xa5, sizeof(junk));
	assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
	open_at(1);
	assert_int_equal(crashes, 0);
	assert_int_equal(hand_open(fd, (struct wall){1}, told, NULL), ERR_EXISTS);
	hand_close();
	int closed = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_not_equal(hand_open(closed, (struct wall){1}, told, NULL), OK);
	(void)close(closed);
	/* without it nothing is noted, and nothing is known */
	assert_int_equal(hand_take(5), 0);
	hand_back(0);
	assert_int_equal(hand_crashes(5), 0);
	hand_clear(5);
	uint64_t id[HAND_SUSPECTS];
	assert_int_equal(hand_suspects(id), 0);
	assert_int_equal(hand_look((struct instant){1}, 1, id), 0);
}

/* What an older relayd wrote has lines that mean something else: it accuses nobody. */
static void
test_older_file(void **state)
{
	(void)state;
	end_by(by_abort, 1);
	assert_int_equal(pwrite(fd, "RlyHand1", 8, 0), 8);
	open_at(2);
	assert_int_equal(crashes, 0);
	assert_int_equal(hand_crashes(7), 0);
	hand_close();
	end_by(by_abort, 3);
	open_at(4);
	assert_int_equal(hand_crashes(7), 1);
}

static uint64_t next_id;

static void
by_one_more(void)
{
	(void)hand_take(next_id);
	abort();
}

/* When there is no room the oldest goes, and of the condemned none before all others. */
static void
test_room(void **state)
{
	(void)state;
	next_id = 1000;
	end_by(by_one_more, 1);
	end_by(by_one_more, 2);
	for (next_id = 1; next_id <= HAND_SUSPECTS; next_id++)
		end_by(by_one_more, 2 + (int64_t)next_id);
	open_at(100);
	assert_true(hand_condemned(1000));
	assert_int_equal(hand_crashes(1), 0);
	for (uint64_t i = 2; i <= HAND_SUSPECTS; i++)
		assert_int_equal(hand_crashes(i), 1);
}

static void
test_nested(void **state)
{
	uint64_t id;
	(void)state;
	open_at(1);
	assert_int_equal(hand_take(1), 0);
	assert_int_equal(hand_take(2), 1);
	hand_back(1);
	assert_int_equal(hand_take(3), 1);
	hand_back(1);
	hand_back(0);
	assert_int_equal(hand_take(0), 0);
	/* the same thing in hand, and put down once in between: it does not stand still
	 */
	(void)hand_take(4);
	assert_int_equal(hand_look((struct instant){1000}, 1000, &id), 0);
	assert_int_equal(hand_look((struct instant){2000}, 1000, &id), 0);
	hand_back(0);
	(void)hand_take(4);
	assert_int_equal(hand_look((struct instant){3000}, 1000, &id), 0);
	assert_int_equal(hand_look((struct instant){4000}, 1000, &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(hand_look((struct instant){5000}, 1000, &id), 2000);
	assert_int_equal(id, 4);
	hand_back(0);
	assert_int_equal(hand_look((struct instant){6000}, 1000, &id), 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_ends),
	    TEST(test_stack),
	    TEST(test_twice),
	    TEST(test_forgotten),
	    TEST(test_file),
	    TEST(test_older_file),
	    TEST(test_room),
	    TEST(test_nested),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
