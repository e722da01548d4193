/* SPDX-License-Identifier: ISC */
/* service - one datagram socket to the service manager; descriptors from it. */
#include "base/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/units.h"

#define FIRST_FD 3
#define SOCKETS_MAX 256

struct handed {
	int fd;
	struct net_addr at; /* NET_NONE: no address of a network */
	bool stream, taken;
};

struct service {
	int fd; /* connected to the manager; -1: there is none */
	int64_t watchdog_ms;
	struct handed handed[SOCKETS_MAX];
	size_t n;
};

/* A number of the environment; 0 if there is none. */
static uint64_t
number(const char *name)
{
	const char *text = getenv(name);
	uint64_t v = 0;
	return text != NULL && units_u64(span_str(text), UINT64_MAX, &v) == OK ? v : 0;
}

/* A path, or "@name" in the abstract name space. */
static int
connect_manager(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	size_t n = path != NULL ? strlen(path) : 0;
	if (n < 2 || n >= sizeof(at.sun_path) || (path[0] != '/' && path[0] != '@'))
		return -1;
	memcpy(at.sun_path, path, n);
	if (path[0] == '@')
		at.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (connect(fd, (const struct sockaddr *)&at, length) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static void
take_handed(struct service *s, uint64_t n)
{
	for (uint64_t i = 0; i < n && i < SOCKETS_MAX; i++) {
		struct handed *h = &s->handed[s->n];
		struct sockaddr_storage at;
		socklen_t at_n = sizeof(at), type_n = sizeof(int);
		int type = 0;
		h->fd = FIRST_FD + (int)i;
		int flags = fcntl(h->fd, F_GETFL);
		if (flags < 0)
			continue;
		(void)fcntl(h->fd, F_SETFD, FD_CLOEXEC);
		(void)fcntl(h->fd, F_SETFL, flags | O_NONBLOCK);
		if (getsockname(h->fd, (struct sockaddr *)&at, &at_n) == 0)
			net_from_sockaddr((const struct sockaddr *)&at, &h->at);
		h->stream = getsockopt(h->fd, SOL_SOCKET, SO_TYPE, &type, &type_n) == 0 &&
			    type == SOCK_STREAM;
		s->n++;
	}
}

struct service *
service_new(void)
{
	static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC",
	    "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};
	struct service *s = NEW(struct service);
	uint64_t self = (uint64_t)getpid(), whose = number("WATCHDOG_PID");
	s->fd = connect_manager(getenv("NOTIFY_SOCKET"));
	if (s->fd >= 0 && (whose == 0 || whose == self))
		s->watchdog_ms = (int64_t)(number("WATCHDOG_USEC") / 1000);
	if (number("LISTEN_PID") == self)
		take_handed(s, number("LISTEN_FDS"));
	for (size_t i = 0; i < COUNT_OF(names); i++)
		(void)unsetenv(names[i]);
	return s;
}

void
service_free(struct service **sp)
{
	struct service *s = *sp;
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++)
		(void)close(s->handed[i].fd);
	if (s->fd >= 0)
		(void)close(s->fd);
	mem_free(sp);
}

bool
service_journal(int fd)
{
	const char *text = getenv("JOURNAL_STREAM");
	struct stat st;
	char own[64];
	if (text == NULL || fstat(fd, &st) != 0)
		return false;
	(void)snprintf(own, sizeof(own), "%llu:%llu", (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino);
	return strcmp(text, own) == 0;
}

/* Nobody is to wait for a manager that does not read. */
static void
say(struct service *s, struct span text)
{
	(void)!send(s->fd, text.p, text.n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void
service_say(struct service *s, const char *fmt, ...)
{
	struct buf text;
	va_list ap;
	if (s == NULL || s->fd < 0)
		return;
	buf_init(&text, 4096);
	va_start(ap, fmt);
	buf_addv(&text, fmt, ap);
	va_end(ap);
	say(s, buf_span(&text));
	buf_clear(&text);
}

void
service_say_reloading(struct service *s)
{
	struct timespec t;
	(void)clock_gettime(
	    CLOCK_MONOTONIC, &t); /* the manager compares it with its own */
	long long us = (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
	service_say(s, "RELOADING=1\nMONOTONIC_USEC=%lld", us);
}

int64_t
service_watchdog_ms(const struct service *s)
{
	return s != NULL ? s->watchdog_ms : 0;
}

int
service_socket(struct service *s, const struct net_addr *at)
{
	for (size_t i = 0; s != NULL && i < s->n; i++) {
		struct handed *h = &s->handed[i];
		if (!h->stream || h->at.family == NET_NONE || h->at.port != at->port ||
		    !net_same_ip(&h->at, at))
			continue;
		int fd = fcntl(h->fd, F_DUPFD_CLOEXEC, 0);
		h->taken = h->taken || fd >= 0;
		return fd;
	}
	return -1;
}

bool
service_left_over(const struct service *s, struct buf *out)
{
	bool any = false;
	for (size_t i = 0; s != NULL && i < s->n; i++) {
		char text[NET_TEXT] = "a socket that is no TCP port";
		if (s->handed[i].taken)
			continue;
		if (s->handed[i].stream && s->handed[i].at.family != NET_NONE)
			net_format(&s->handed[i].at, text);
		buf_addf(out, "%s%s", any ? ", " : "", text);
		any = true;
	}
	return any;
}
