/* SPDX-License-Identifier: ISC */
/*
 * listener - accepting.
 *
 * Out of descriptors: level-triggered readiness would call us again and again
 * for a connection that cannot be taken.  So one descriptor is kept in reserve;
 * it is given up to take the connection and close it (its client learns at once
 * that it has to come again), then accepting pauses for a moment.
 */
#include "relay/ingress/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "relay/ingress/local.h"
#include "relay/ingress/session.h"

#define ACCEPTS_PER_TURN 64 /* of one listener; then others are served */
#define STARVED_MS 200      /* so long accepting pauses without descriptors */

struct listener {
	struct listeners *all;
	struct link link;
	struct watch watch;
	int fd;
	char *name; /* NULL: of local users */
};

static void
open_reserve(struct listeners *l)
{
	if (l->reserve < 0)
		l->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
watch_all(struct listeners *l, unsigned wanted)
{
	LIST_EACH (&l->list, k) {
		watch_set(&CONTAINER_OF(k, struct listener, link)->watch, wanted);
	}
}

static void
on_reopen(void *arg)
{
	struct listeners *l = arg;
	open_reserve(l);
	watch_all(l, WATCH_READ);
}

static void
on_starved(struct listener *listener, int errnum)
{
	struct listeners *l = listener->all;
	if (l->reserve >= 0) {
		close(l->reserve);
		l->reserve = -1;
		int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			close(fd);
		open_reserve(l);
	}
	if (!l->starved)
		LOG(l->in->o.log, EV_LIMIT, F_STR("what", "descriptors"),
		    F_STR("error", strerror(errnum)),
		    F_STR("now", "accepting pauses until one is free"));
	l->starved = true;
	watch_all(l, 0);
	timer_set(&l->reopen, STARVED_MS);
}

static bool
is_starved(int errnum)
{
	return errnum == EMFILE || errnum == ENFILE || errnum == ENOBUFS ||
	       errnum == ENOMEM;
}

static void
serve_local(struct ingress *in, int fd)
{
	unsigned uid;
	if (local_peer(fd, &uid))
		ingress_serve_local(in, fd, uid);
	else
		close(fd);
}

/* False: none is waiting, or none can be taken now. */
static bool
accept_one(struct listener *listener)
{
	struct sockaddr_storage from;
	socklen_t n = sizeof(from);
	int fd = accept4(
	    listener->fd, (struct sockaddr *)&from, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (is_starved(errno))
			on_starved(listener, errno);
		/* what went wrong with one connection before we took it says nothing of
		 * the next */
		return !is_starved(errno) && errno != EAGAIN && errno != EWOULDBLOCK;
	}
	listener->all->starved = false;
	if (listener->name == NULL) {
		serve_local(listener->all->in, fd);
		return true;
	}
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	struct net_addr peer;
	net_from_sockaddr((struct sockaddr *)&from, &peer);
	ingress_serve(listener->all->in, fd, &peer, listener->name);
	return true;
}

static void
on_ready(void *arg, unsigned what)
{
	(void)what;
	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		if (!accept_one(arg))
			return;
	}
}

static void
listener_free(struct listener **lp)
{
	struct listener *l = *lp;
	watch_clear(&l->watch);
	list_remove(&l->link);
	close(l->fd);
	mem_free(&l->name);
	mem_free(lp);
}

/* ---- all of them */

void
listeners_init(struct listeners *l, struct ingress *in)
{
	l->in = in;
	list_init(&l->list);
	l->reserve = -1;
	timer_init(&l->reopen, in->o.loop, on_reopen, l);
}

void
listeners_clear(struct listeners *l)
{
	timer_clear(&l->reopen);
	LIST_EACH (&l->list, k) {
		struct listener *listener = CONTAINER_OF(k, struct listener, link);
		listener_free(&listener);
	}
	if (l->reserve >= 0)
		close(l->reserve);
	l->reserve = -1;
}

static void
add(struct listeners *l, int fd, char *name)
{
	struct listener *listener = NEW(struct listener);
	listener->all = l;
	listener->fd = fd;
	listener->name = name;
	list_push(&l->list, &listener->link);
	watch_init(&listener->watch, l->in->o.loop, fd, on_ready, listener);
	watch_set(&listener->watch, WATCH_READ);
	open_reserve(l);
}

void
listeners_add(struct listeners *l, int fd, const char *name)
{
	add(l, fd, mem_strdup(name));
}

void
listeners_add_local(struct listeners *l, int fd)
{
	add(l, fd, NULL);
}

static bool
is_named(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->listeners; i++) {
		if (strcmp(c->listener[i].name, name) == 0)
			return true;
	}
	return false;
}

void
listeners_keep(struct listeners *l, const struct config *config)
{
	LIST_EACH (&l->list, k) {
		struct listener *listener = CONTAINER_OF(k, struct listener, link);
		if (listener->name != NULL && !is_named(config, listener->name))
			listener_free(&listener);
	}
}
