/* SPDX-License-Identifier: ISC */
/* world - the real one. */
#include "base/world.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

static int64_t
read_clock(clockid_t which)
{
	struct timespec t;
	CHECK(clock_gettime(which, &t) == 0);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct instant
real_now(struct world *w)
{
	(void)w;
	return (struct instant){read_clock(CLOCK_MONOTONIC)};
}

static struct wall
real_wall(struct world *w)
{
	(void)w;
	return (struct wall){read_clock(CLOCK_REALTIME)};
}

static void
real_random(struct world *w, void *p, size_t n)
{
	(void)w;
	char *at = p;
	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		CHECK(got > 0);
		at += got;
		n -= (size_t)got;
	}
}

static enum err
begin(int fd, const struct net_addr *to, const struct net_addr *from)
{
	struct sockaddr_storage sa;
	int one = 1;
	if (from != NULL) {
		socklen_t n = net_to_sockaddr(from, &sa);
		if (bind(fd, (struct sockaddr *)&sa, n) != 0)
			return err_from_errno(errno);
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	socklen_t n = net_to_sockaddr(to, &sa);
	if (connect(fd, (struct sockaddr *)&sa, n) != 0 && errno != EINPROGRESS)
		return err_from_errno(errno);
	return OK;
}

static int
real_dial(struct world *w, const struct net_addr *to, const struct net_addr *from)
{
	(void)w;
	int family = to->family == NET_IPV6 ? AF_INET6 : AF_INET;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_from_errno(errno);
	enum err e = begin(fd, to, from);
	if (e == OK)
		return fd;
	(void)close(fd);
	return e;
}

static const struct world_ops real_ops = {real_now, real_wall, real_random, real_dial};

struct world *
world_real(void)
{
	static struct world real = {&real_ops}; /* never changes: no state */
	return &real;
}

uint64_t
world_random_u64(struct world *w)
{
	uint64_t n;
	world_random(w, &n, sizeof(n));
	return n;
}

uint64_t
world_random_below(struct world *w, uint64_t bound)
{
	CHECK(bound > 0);
	uint64_t limit = UINT64_MAX - UINT64_MAX % bound, n;
	do
		n = world_random_u64(w);
	while (n >= limit);
	return n % bound;
}
