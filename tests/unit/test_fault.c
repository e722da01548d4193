/* SPDX-License-Identifier: ISC */
/* fault: plans by name and for any place, dying, the environment. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"

static bool
three_places(void)
{
	bool a = fault_hit("a"), b = fault_hit("b"), c = fault_hit("c");
	return a || b || c;
}

/* How a child ends that passes a, b, c twice: its exit code, 0 if it lived, 1 for "a call
 * failed". */
static int
child_status(const char *env, const char *plan_die, unsigned long n)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = {0, 0};
		(void)setrlimit(RLIMIT_CORE, &none);
		(void)close(STDERR_FILENO);
		if (env != NULL)
			(void)setenv("RELAY_FAULT", env, 1);
		if (n > 0)
			fault_plan(FAULT_DIE, plan_die, n);
		fault_bytes("d", SPAN("some octets"));
		bool failed = three_places();
		failed = three_places() || failed;
		_exit(failed);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* First, while this process has neither plan nor pass. */
static void
test_environment(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int want;
	} cases[] = {
	    {NULL, 0},
	    {"", 0},
	    {"die:b:1", FAULT_EXIT},
	    {"die:b:2", FAULT_EXIT},
	    {"die:b:3", 0},
	    {"die::6", FAULT_EXIT},
	    {"die::7", 0},
	    {"fail:c:2", 1},
	    {"fail::1", 1},
	    {"fail:nowhere:1", 0},
	    {"die:b", -6},
	    {"die:b:0", -6},
	    {"die:b:1x", -6},
	    {"die:b:-1", -6},
	    {"live:b:1", -6},
	    {"crash:d:octets", -6},
	    {"crash::octets", -6},
	    {"crash:e:octets", 0},
	    {"crash:d:more", 0},
	    {"crash:d:", -6},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(child_status(cases[i].text, NULL, 0), cases[i].want);
	/* a plan made before the first pass stands */
	assert_int_equal(child_status("die::1", "nowhere", 1), 0);
}

/* A hang is ended by a signal from outside only. */
static void
test_hang(void **state)
{
	(void)state;
	int ready[2], status;
	char c;
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		fault_plan_bytes(FAULT_HANG, NULL, "now");
		fault_bytes("x", SPAN("not yet"));
		(void)!write(ready[1], "", 1);
		fault_bytes("x", SPAN("and now"));
		_exit(1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	(void)close(ready[0]);
	(void)close(ready[1]);
}

static void
test_die(void **state)
{
	(void)state;
	assert_int_equal(child_status(NULL, "c", 2), FAULT_EXIT);
	assert_int_equal(child_status(NULL, "c", 3), 0);
	assert_int_equal(child_status(NULL, NULL, 1), FAULT_EXIT);
	assert_int_equal(child_status(NULL, NULL, 7), 0);
}

static void
test_fail(void **state)
{
	(void)state;
	fault_plan(FAULT_FAIL, "b", 2);
	assert_int_equal(fault_passes(), 0);
	assert_false(three_places());
	assert_false(fault_hit("bb"));
	assert_true(fault_hit("b"));
	assert_false(fault_hit("b")); /* once */
	assert_int_equal(fault_passes(), 6);
	fault_plan(FAULT_FAIL, NULL, 3);
	assert_false(fault_hit("x"));
	assert_false(fault_hit("x"));
	assert_true(fault_hit("y"));
	assert_int_equal(fault_passes(), 3);
	fault_plan(FAULT_FAIL, "b", 2);
	fault_plan_times(2);
	assert_false(fault_hit("b"));
	assert_true(fault_hit("b"));
	assert_false(fault_hit("a"));
	assert_true(fault_hit("b"));
	assert_false(fault_hit("b"));
	fault_plan(FAULT_FAIL, NULL, 2);
	fault_plan_times(2);
	assert_false(fault_hit("x"));
	assert_true(fault_hit("y"));
	assert_false(fault_hit("x")); /* of that place only */
	assert_true(fault_hit("y"));
	assert_false(fault_hit("y"));
	fault_plan(FAULT_NONE, NULL, 1);
	assert_false(three_places());
	assert_int_equal(fault_passes(), 3);
}

static void
test_macro(void **state)
{
	(void)state;
	fault_plan(FAULT_FAIL, "macro", 1);
	bool failed = FAULT("macro");
#ifdef RELAY_FAULTS
	assert_true(failed);
#else
	assert_false(failed);
#endif
}

int
main(void)
{
	(void)unsetenv("RELAY_FAULT");
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_environment),
	    cmocka_unit_test(test_hang),
	    cmocka_unit_test(test_die),
	    cmocka_unit_test(test_fail),
	    cmocka_unit_test(test_macro),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
