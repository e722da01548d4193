/* SPDX-License-Identifier: ISC */
/*
 * The helper as it is: processes, kept apart and locked in.  This program is the
 * helper's, too: what helper_start() executes comes back to main() below.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/signin/helper.h"
#include "relay/signin/sandbox.h"
#include "relay/signin/signin.h"

#define CHANNELS 2
#define PATIENCE_MS (60 * SECOND_MS) /* a test that takes longer has failed */

struct rig {
	struct loop *loop;
	struct log *log;
	struct helper *helper;
	struct signin *signin[CHANNELS];
	struct timer patience;
	char dir[64], accounts[80];
	/* the last answer */
	unsigned answers;
	enum signin_kind kind;
	unsigned code;
	struct buf told;
	bool ended;
};

/* ---- the rig */

static void
on_patience(void *arg)
{
	(void)arg;
	fail_msg("nothing happened for too long");
}

static struct rig *
rig_empty(void)
{
	struct rig *r = NEW(struct rig);
	r->loop = loop_new(world_real());
	r->log = log_new(world_real(), -1);
	timer_init(&r->patience, r->loop, on_patience, r);
	timer_set(&r->patience, PATIENCE_MS);
	(void)snprintf(r->dir, sizeof(r->dir), "/tmp/helper.XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	(void)snprintf(r->accounts, sizeof(r->accounts), "%s/accounts", r->dir);
	return r;
}

static enum err
rig_start(struct rig *r, struct buf *why)
{
	enum err e = helper_start(&r->helper, r->accounts, CHANNELS, why);
	for (unsigned i = 0; e == OK && i < CHANNELS; i++)
		r->signin[i] = signin_new(r->loop, r->log, helper_channel(r->helper, i));
	return e;
}

static struct rig *
rig_new(void)
{
	struct rig *r = rig_empty();
	struct buf why;
	buf_init(&why, 1000);
	if (rig_start(r, &why) != OK)
		fail_msg("%.*s", SPAN_ARG(buf_span(&why)));
	buf_clear(&why);
	return r;
}

static void
rig_stop(struct rig *r)
{
	for (unsigned i = 0; i < CHANNELS; i++)
		signin_free(&r->signin[i]);
	helper_stop(&r->helper);
}

static void
rig_free(struct rig *r)
{
	static const char *const files[] = {
	    "accounts/accounts", "accounts/accounts.new", "accounts/lock", "other"};
	char name[128];
	rig_stop(r);
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		(void)snprintf(name, sizeof(name), "%s/%s", r->dir, files[i]);
		(void)unlink(name);
	}
	(void)rmdir(r->accounts);
	assert_int_equal(rmdir(r->dir), 0);
	timer_clear(&r->patience);
	buf_clear(&r->told);
	log_free(&r->log);
	loop_free(&r->loop);
	mem_free(&r);
}

/* ---- what is asked of it */

static void
on_told(void *arg, struct span object, bool end)
{
	struct rig *r = arg;
	buf_add_span(&r->told, object);
	r->ended = end;
}

static void
admin(struct rig *r, const char *request)
{
	buf_reset(&r->told);
	r->ended = false;
	signin_admin(r->signin[0], span_str(request), on_told, r);
	while (!r->ended)
		(void)loop_turn(r->loop, true);
	buf_add_char(&r->told, '\0');
	if (strstr(r->told.p, "\"end\":true,\"status\":0") == NULL)
		fail_msg("%s\ngave\n%s", request, r->told.p);
}

static void
add_joe(struct rig *r)
{
	admin(r, "{\"cmd\":\"user-add\",\"name\":\"joe\",\"password\":\"open sesame\"}");
}

static void
on_answer(void *arg, const struct signin_answer *a)
{
	struct rig *r = arg;
	struct account_card *card = a->card;
	r->answers++;
	r->kind = a->kind;
	r->code = a->kind == SIGNIN_FAILED ? a->verdict.code : 0;
	if (a->kind == SIGNIN_DONE)
		account_card_free(&card);
}

static struct signin_exchange *
begin(struct rig *r, unsigned channel, const char *mechanism, struct span initial)
{
	struct signin_facts f = {.service = "smtp", .hostname = "relay.test"};
	assert_int_equal(net_parse_ip(SPAN("192.0.2.10"), &f.client), OK);
	r->answers = 0;
	return signin_begin(
	    r->signin[channel], span_str(mechanism), &f, initial, on_answer, r);
}

static void
wait_for(struct rig *r, unsigned answers)
{
	while (r->answers < answers)
		(void)loop_turn(r->loop, true);
	assert_int_equal(r->answers, answers);
}

/* PLAIN as joe: 0 if that was right, else the reply code. */
static unsigned
plain(struct rig *r, unsigned channel, const char *password)
{
	struct buf b;
	buf_init(&b, 1000);
	buf_add(&b, "\0joe\0", 5);
	buf_add_str(&b, password);
	(void)begin(r, channel, "PLAIN", buf_span(&b));
	buf_clear(&b);
	wait_for(r, 1);
	assert_int_not_equal(r->kind, SIGNIN_CHALLENGE);
	return r->code;
}

/* ---- its processes */

/* The text behind this key in a file of /proc, or NULL. */
static char *
proc_value(const char *file, const char *key, char out[64])
{
	char line[512];
	bool found = false;
	FILE *f = fopen(file, "re");
	if (f == NULL)
		return NULL;
	while (!found && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		const char *value = line + strlen(key);
		(void)snprintf(out, 64, "%s", value + strspn(value, " \t"));
		found = true;
	}
	(void)fclose(f);
	return found ? out : NULL;
}

static long
number(const char *text)
{
	assert_non_null(text);
	return strtol(text, NULL, 10);
}

/* The one child of a process; 0: it has none now. */
static pid_t
child_of(pid_t parent)
{
	pid_t child = 0;
	DIR *d = opendir("/proc");
	assert_non_null(d);
	for (const struct dirent *e; child == 0 && (e = readdir(d)) != NULL;) {
		char file[300], value[64];
		(void)snprintf(file, sizeof(file), "/proc/%s/status", e->d_name);
		if (isdigit((unsigned char)e->d_name[0]) &&
		    proc_value(file, "PPid:", value) != NULL && number(value) == parent)
			child = (pid_t)number(e->d_name);
	}
	(void)closedir(d);
	return child;
}

struct processes {
	pid_t keeper, worker;
};

/* Once the helper has answered something both are there. */
static struct processes
look(void)
{
	struct processes p = {.keeper = child_of(getpid())};
	assert_true(p.keeper > 0);
	p.worker = child_of(p.keeper);
	assert_true(p.worker > 0);
	return p;
}

static bool
is_there(pid_t pid)
{
	char file[64], value[64];
	(void)snprintf(file, sizeof(file), "/proc/%d/status", pid);
	/* who is dead, and not yet waited for, is not */
	return proc_value(file, "State:", value) != NULL && value[0] != 'Z' &&
	       value[0] != 'X';
}

/* Its channels close a moment before it is gone: this waits for its end. */
static void
expect_end(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	assert_true(pidfd >= 0);
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	(void)close(pidfd);
}

/* ---- signing in through it */

static void
test_signs_in(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct stat st;
	add_joe(r);
	for (unsigned i = 0; i < CHANNELS; i++)
		assert_int_equal(plain(r, i, "open sesame"), 0);
	assert_int_equal(plain(r, 1, "wrong"), 535);
	assert_int_equal(stat(r->accounts, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	/* and after a restart */
	rig_stop(r);
	struct buf why;
	buf_init(&why, 1000);
	assert_int_equal(rig_start(r, &why), OK);
	assert_int_equal(why.n, 0);
	assert_int_equal(plain(r, 0, "open sesame"), 0);
	rig_free(r);
}

/*
 * A worker that dies is followed by another, which knows the accounts and goes by the
 * same settings; what was under way is over at once, and only that.
 */
static void
test_worker_dies(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_settings strict = {
	    .delay_ms = 1, .attempts = 1, .lockout_ms = HOUR_MS, .cache_ms = 0};
	add_joe(r);
	for (unsigned i = 0; i < CHANNELS; i++)
		signin_settings(r->signin[i], &strict);
	for (int round = 0; round < 2; round++) {
		struct processes before = look();
		for (unsigned i = 0; i < CHANNELS; i++) {
			(void)begin(r, i, "LOGIN", SPAN("joe"));
			wait_for(r, 1);
			assert_int_equal(r->kind, SIGNIN_CHALLENGE);
		}
		r->answers = 0;
		assert_int_equal(kill(before.worker, SIGKILL), 0);
		wait_for(r, CHANNELS);
		assert_int_equal(r->kind, SIGNIN_FAILED);
		assert_int_equal(r->code, 454);
		for (unsigned i = 0; i < CHANNELS; i++)
			assert_int_equal(plain(r, i, "open sesame"), 0);
		struct processes after = look();
		assert_int_equal(after.keeper, before.keeper);
		assert_int_not_equal(after.worker, before.worker);
		assert_false(is_there(before.worker));
		/* one failure is the limit, and not ten */
		assert_int_equal(plain(r, 0, "wrong"), 535);
		assert_int_equal(plain(r, 0, "open sesame"), 454);
	}
	rig_free(r);
}

/* Read what the helper says on standard error until it says this. */
static void
expect_said(int fd, const char *what)
{
	char text[4096] = "";
	size_t n = 0;
	while (strstr(text, what) == NULL) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		ssize_t got = read(fd, text + n, sizeof(text) - 1 - n);
		assert_true(got > 0);
		n += (size_t)got;
		text[n] = '\0';
	}
}

/* Accounts that a new worker cannot read are read again; who asked meanwhile may have
 * been told to come later. */
static void
test_accounts_put_right(void **state)
{
	(void)state;
	int said[2], before = dup(STDERR_FILENO);
	char file[300], aside[300];
	assert_int_equal(pipe2(said, O_CLOEXEC), 0);
	assert_true(dup2(said[1], STDERR_FILENO) >= 0);
	struct rig *r = rig_new();
	assert_true(dup2(before, STDERR_FILENO) >= 0); /* the helper keeps the pipe */
	add_joe(r);
	(void)snprintf(file, sizeof(file), "%s/accounts", r->accounts);
	(void)snprintf(aside, sizeof(aside), "%s/aside", r->accounts);
	assert_int_equal(rename(file, aside), 0);
	FILE *f = fopen(file, "w");
	assert_non_null(f);
	assert_true(fputs("{\"half", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(kill(look().worker, SIGKILL), 0);
	expect_said(said[0], "read again in 1 s");
	assert_int_equal(rename(aside, file), 0);
	unsigned code = plain(r, 0, "open sesame");
	assert_true(code == 0 || code == 454);
	assert_int_equal(plain(r, 0, "open sesame"), 0);
	rig_free(r);
	(void)close(before);
	(void)close(said[0]);
	(void)close(said[1]);
}

/* Without its keeper there is no helper: nobody waits for one. */
static void
test_keeper_dies(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	struct processes p = look();
	int worker = (int)syscall(SYS_pidfd_open, p.worker, 0);
	(void)begin(r, 0, "LOGIN", SPAN("joe"));
	wait_for(r, 1);
	r->answers = 0;
	assert_int_equal(kill(p.keeper, SIGKILL), 0);
	wait_for(r, 1);
	assert_int_equal(r->code, 454);
	expect_end(worker);
	assert_int_equal(plain(r, 0, "open sesame"), 454);
	signin_admin(r->signin[0], SPAN("{\"cmd\":\"user-list\"}"), on_told, r);
	for (r->ended = false; !r->ended;)
		(void)loop_turn(r->loop, true);
	rig_free(r);
}

static void
test_ends_with_us(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	struct processes p = look();
	rig_stop(r);
	assert_null(r->helper);
	assert_false(is_there(p.keeper));
	assert_false(is_there(p.worker));
	assert_int_equal(child_of(getpid()), 0);
	helper_stop(&r->helper); /* nothing is left to be stopped */
	rig_free(r);
}

/* ---- it does not start */

static void
expect_refused(struct rig *r, enum err want, const char *word)
{
	struct buf why;
	buf_init(&why, 1000);
	assert_int_equal(rig_start(r, &why), want);
	assert_null(r->helper);
	buf_add_char(&why, '\0');
	if (strstr(why.p, word) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why.p, word);
	buf_clear(&why);
	assert_int_equal(child_of(getpid()), 0);
}

static void
write_file(const char *dir, const char *name, const char *text)
{
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
}

static void
test_refused(void **state)
{
	(void)state;
	struct rig *r = rig_empty();
	struct stat st;
	write_file(r->dir, "accounts", "");
	expect_refused(r, ERR_CONFIG, "is no directory");
	assert_int_equal(unlink(r->accounts), 0);
	/* a link to one is none either */
	assert_int_equal(symlink("/tmp", r->accounts), 0);
	expect_refused(r, ERR_CONFIG, "is no directory");
	assert_int_equal(unlink(r->accounts), 0);
	/* one that others can read is closed to them; what is damaged is not touched */
	assert_int_equal(mkdir(r->accounts, 0755), 0);
	assert_int_equal(chmod(r->accounts, 0755), 0);
	write_file(r->accounts, "accounts", "damaged\n");
	expect_refused(r, ERR_CONFIG, "accounts: ");
	assert_int_equal(stat(r->accounts, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	char path[128];
	(void)snprintf(path, sizeof(path), "%s/accounts", r->accounts);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, strlen("damaged\n"));
	assert_int_equal(unlink(path), 0);
	rig_free(r);
}

/* Two of them would write over each other's accounts. */
static void
test_second(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct helper *second;
	struct buf why;
	buf_init(&why, 1000);
	add_joe(r);
	assert_int_equal(helper_start(&second, r->accounts, 1, &why), ERR_CONFIG);
	assert_null(second);
	buf_add_char(&why, '\0');
	assert_non_null(strstr(why.p, "another relayd"));
	buf_clear(&why);
	assert_int_equal(plain(r, 0, "open sesame"), 0);
	rig_free(r);
}

/* Runs fn in a child; what waitpid() says of it. */
static int
in_child(int (*fn)(void *arg), void *arg)
{
	int status = 0;
	(void)fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn(arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int
misuse(void *arg)
{
	char program[] = "relayd", word[] = HELPER_ARGUMENT, dir[] = "/nowhere";
	char *argv[] = {program, word, dir, arg, NULL};
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	(void)dup2(null, STDERR_FILENO);
	return helper_main(arg != NULL ? 4 : 3, argv);
}

static void
test_misused(void **state)
{
	char many[] = "81", odd[] = "2x";
	(void)state;
	assert_int_equal(WEXITSTATUS(in_child(misuse, NULL)), 64);
	assert_int_equal(WEXITSTATUS(in_child(misuse, many)), 64);
	assert_int_equal(WEXITSTATUS(in_child(misuse, odd)), 64);
}

/* ---- locked in */

static void
test_locked_in(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	char file[300], value[64];
	unsigned threads = 0;
	add_joe(r);
	struct processes p = look();
	(void)snprintf(file, sizeof(file), "/proc/%d/status", p.keeper);
	assert_string_equal(proc_value(file, "NoNewPrivs:", value), "1");
	(void)snprintf(file, sizeof(file), "/proc/%d/limits", p.worker);
	assert_int_equal(number(proc_value(file, "Max core file size", value)), 0);
	assert_int_equal(number(proc_value(file, "Max open files", value)), 256);
	/* each thread of it: a filter that is not for all would be none */
	(void)snprintf(file, sizeof(file), "/proc/%d/task", p.worker);
	DIR *d = opendir(file);
	assert_non_null(d);
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		if (e->d_name[0] == '.')
			continue;
		threads++;
		(void)snprintf(
		    file, sizeof(file), "/proc/%d/task/%s/status", p.worker, e->d_name);
		assert_string_equal(proc_value(file, "NoNewPrivs:", value), "1");
		if (!sandbox_sanitized())
			assert_string_equal(proc_value(file, "Seccomp:", value), "2");
	}
	(void)closedir(d);
	assert_true(threads >= 3); /* the loop's, and those that hash */
	rig_free(r);
}

/* Bits of what went wrong; 100: no landlock here. */
static int
use_files(void *arg)
{
	const struct rig *r = arg;
	char path[128];
	const char *write_to[] = {r->accounts, NULL}, *none[] = {NULL};
	(void)snprintf(path, sizeof(path), "%s/accounts", r->accounts);
	sandbox_quiet(); /* without new privileges, or landlock refuses */
	if (sandbox_files(write_to, none, none) != OK)
		return 100;
	int bits = 0;
	int inside = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	bits |= inside < 0 || unlink(path) != 0 ? 1 : 0;
	bits |= open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES ? 2 : 0;
	bits |= opendir("/etc") != NULL || errno != EACCES ? 4 : 0;
	(void)snprintf(path, sizeof(path), "%s/other", r->dir);
	bits |= open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 ? 8 : 0;
	return bits;
}

static void
test_files(void **state)
{
	(void)state;
	struct rig *r = rig_empty();
	assert_int_equal(mkdir(r->accounts, 0700), 0);
	int status = in_child(use_files, r);
	rig_free(r);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 100)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int
make_socket(void *arg)
{
	(void)arg;
	sandbox_quiet();
	if (sandbox_calls() != OK)
		return 100;
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0 ? 1 : 2;
}

static int
run_program(void *arg)
{
	const char *none[] = {NULL}, *all[] = {"/", NULL};
	char program[] = "/bin/true";
	char *argv[] = {program, NULL};
	(void)arg;
	(void)sandbox_relayd(none, all, none);
	(void)execv(program, argv);
	return 1;
}

static int
may_read(void *arg)
{
	(void)arg;
	sandbox_quiet();
	if (sandbox_calls() != OK)
		return 100;
	return getpid() > 0 && close(open("/dev/null", O_RDONLY | O_CLOEXEC)) == 0 ? 0
										   : 1;
}

/* No network for the worker, no other program for relayd: whoever tries is ended. */
static void
test_calls(void **state)
{
	(void)state;
	if (sandbox_sanitized())
		skip();
	int status = in_child(make_socket, NULL);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
	status = in_child(run_program, NULL);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
	status = in_child(may_read, NULL);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], HELPER_ARGUMENT) == 0)
		return helper_main(argc, argv);
	(void)signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_signs_in),
	    cmocka_unit_test(test_worker_dies),
	    cmocka_unit_test(test_accounts_put_right),
	    cmocka_unit_test(test_keeper_dies),
	    cmocka_unit_test(test_ends_with_us),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_second),
	    cmocka_unit_test(test_misused),
	    cmocka_unit_test(test_locked_in),
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_calls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
