/* SPDX-License-Identifier: ISC */
/* service: what is said to a service manager, and the sockets that it hands over. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/service.h"

/* The manager's end: an abstract name of this process's own. */
static int
manager(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char name[64];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	snprintf(name, sizeof(name), "@relayd-test-service-%d", (int)getpid());
	memcpy(at.sun_path, name, strlen(name));
	at.sun_path[0] = '\0';
	socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, n), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	return fd;
}

static void
hears(int fd, const char *what)
{
	char text[4096];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	assert_string_equal(text, what);
}

static void
test_nobody(void **state)
{
	(void)state;
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	struct service *s = service_new();
	service_say(s, "READY=1");
	service_say(NULL, "READY=1");
	assert_int_equal(service_watchdog_ms(s), 0);
	assert_int_equal(service_watchdog_ms(NULL), 0);
	service_free(&s);
	assert_null(s);
	service_free(&s);
}

static void
test_said(void **state)
{
	(void)state;
	int fd = manager();
	struct service *s = service_new();
	assert_null(getenv("NOTIFY_SOCKET")); /* no child believes that it is meant */
	service_say(s, "READY=1\nSTATUS=%d sessions", 3);
	hears(fd, "READY=1\nSTATUS=3 sessions");
	char text[256];
	service_say_reloading(s);
	ssize_t n = recv(fd, text, sizeof(text), 0);
	assert_true(n > 0 && memcmp(text, "RELOADING=1\nMONOTONIC_USEC=", 27) == 0);
	service_free(&s);
	(void)close(fd);
	/* a manager that is gone, or no name of one */
	static const char *const names[] = {
	    "@relayd-test-nobody", "relative", "@", "/", ""};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		assert_int_equal(setenv("NOTIFY_SOCKET", names[i], 1), 0);
		s = service_new();
		service_say(s, "READY=1");
		service_free(&s);
	}
}

static void
test_watchdog(void **state)
{
	(void)state;
	static const struct {
		const char *usec, *pid; /* NULL: this process */
		int64_t ms;
	} cases[] = {
	    {"3000000", NULL, 3000}, {"3000000", "1", 0}, {"x", NULL, 0}, {"", NULL, 0}};
	char self[32];
	snprintf(self, sizeof(self), "%d", (int)getpid());
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		int fd = manager();
		assert_int_equal(setenv("WATCHDOG_USEC", cases[i].usec, 1), 0);
		assert_int_equal(
		    setenv("WATCHDOG_PID", cases[i].pid ? cases[i].pid : self, 1), 0);
		struct service *s = service_new();
		assert_int_equal(service_watchdog_ms(s), cases[i].ms);
		assert_null(getenv("WATCHDOG_USEC"));
		service_free(&s);
		(void)close(fd);
	}
}

/* In a child, where the descriptors from 3 on are free: 3 a listening socket on loopback,
 * 4 one of datagrams. */
static int
in_child(void)
{
	struct net_addr at, other;
	char self[32];
	struct sockaddr_storage bound;
	socklen_t n = sizeof(bound);
	if (net_parse_addr(SPAN("127.0.0.1:0"), &at) != OK)
		return 1;
	int fd = net_listen(&at, false), udp = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || udp < 0 || getsockname(fd, (struct sockaddr *)&bound, &n) != 0)
		return 2;
	net_from_sockaddr((struct sockaddr *)&bound, &at);
	fd = fcntl(fd, F_DUPFD, 100);
	udp = fcntl(udp, F_DUPFD, 100);
	if (dup2(fd, 3) != 3 || dup2(udp, 4) != 4)
		return 3;
	snprintf(self, sizeof(self), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", self, 1);
	(void)setenv("LISTEN_FDS", "2", 1);
	struct service *s = service_new();
	other = at;
	other.port = (uint16_t)(at.port + 1);
	if (service_socket(s, &other) != -1)
		return 4;
	int one = service_socket(s, &at), two = service_socket(s, &at);
	if (one < 5 || two < 5 || one == two)
		return 5;
	if ((fcntl(one, F_GETFL) & O_NONBLOCK) == 0 ||
	    (fcntl(one, F_GETFD) & FD_CLOEXEC) == 0)
		return 6;
	struct buf left;
	buf_init(&left, 4096);
	if (!service_left_over(s, &left) ||
	    !span_eq(buf_span(&left), SPAN("a socket that is no TCP port")))
		return 7;
	buf_clear(&left);
	service_free(&s);
	/* those of another process are not ours */
	(void)setenv("LISTEN_PID", "1", 1);
	(void)setenv("LISTEN_FDS", "2", 1);
	s = service_new();
	int result = service_socket(s, &at) == -1 && getenv("LISTEN_FDS") == NULL ? 0 : 8;
	service_free(&s);
	return result;
}

static void
test_sockets(void **state)
{
	(void)state;
	int status = -1;
	pid_t child = fork();
	if (child == 0)
		_exit(in_child());
	assert_true(child > 0);
	assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
test_journal(void **state)
{
	(void)state;
	struct stat st;
	char own[64];
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(own, sizeof(own), "%llu:%llu", (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", own, 1), 0);
	assert_true(service_journal(STDERR_FILENO));
	assert_int_equal(setenv("JOURNAL_STREAM", "1:2", 1), 0);
	assert_false(service_journal(STDERR_FILENO));
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
	assert_false(service_journal(STDERR_FILENO));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nobody),
	    cmocka_unit_test(test_said),
	    cmocka_unit_test(test_watchdog),
	    cmocka_unit_test(test_sockets),
	    cmocka_unit_test(test_journal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
