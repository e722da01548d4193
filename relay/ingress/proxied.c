/* SPDX-License-Identifier: ISC */
/*
 * proxied - see proxied.h.
 *
 * Bytes are looked at (MSG_PEEK) before they are taken: as long as the header is
 * not complete all of them belong to it, so that nothing stays in the socket
 * and wakes us again and again.
 */
#include "relay/ingress/proxied.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "relay/ingress/proxy.h"
#include "relay/ingress/session.h"

#define HEADER_MS (3 * SECOND_MS)

struct proxied {
	struct ingress *in;
	struct link link; /* in->proxied */
	int fd;           /* -1: handed on */
	struct net_addr hop;
	char *listener;
	struct watch watch;
	struct timer timer;
	size_t n;
	char header[PROXY_HEADER_MAX];
};

static void
proxied_free(struct proxied **pp)
{
	struct proxied *p = *pp;
	watch_clear(&p->watch);
	timer_clear(&p->timer);
	list_remove(&p->link);
	if (p->fd >= 0)
		close(p->fd);
	census_leave(p->in->o.census, &p->hop);
	mem_free(&p->listener);
	mem_free(pp);
}

static void
give_up(struct proxied *p, const char *why)
{
	ingress_log_turned_away(p->in, &p->hop, p->listener, why);
	proxied_free(&p);
}

static void
hand_on(struct proxied *p, const struct proxy_header *h)
{
	struct ingress *in = p->in;
	int fd = p->fd;
	struct net_addr hop = p->hop;
	char *listener = p->listener;
	p->fd = -1;
	p->listener = NULL;
	proxied_free(&p);
	ingress_serve_told(in, fd, &hop, h->told ? &h->from : &hop, listener);
	mem_free(&listener);
}

/* Take what has been looked at. */
static bool
take(struct proxied *p, size_t n)
{
	ssize_t got = n > 0 ? recv(p->fd, p->header + p->n, n, MSG_DONTWAIT) : 0;
	if (got < 0 || (size_t)got != n)
		return false;
	p->n += n;
	return true;
}

static void
on_ready(void *arg, unsigned what)
{
	struct proxied *p = arg;
	(void)what;
	ssize_t n = recv(
	    p->fd, p->header + p->n, sizeof(p->header) - p->n, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		give_up(p, "closed before its PROXY header");
		return;
	}
	struct span in = {p->header, p->n + (size_t)n};
	struct proxy_header h;
	switch (proxy_parse(in, &h)) {
	case PROXY_MORE:
		if (!take(p, (size_t)n))
			give_up(p, "no PROXY header");
		return;
	case PROXY_DONE:
		if (take(p, h.size - p->n)) {
			hand_on(p, &h);
			return;
		}
		break;
	case PROXY_BAD: break;
	}
	give_up(p, "no PROXY header");
}

static void
on_timer(void *arg)
{
	give_up(arg, "no PROXY header in time");
}

void
proxied_start(
    struct ingress *in, int fd, const struct net_addr *hop, const char *listener)
{
	struct proxied *p = NEW(struct proxied);
	p->in = in;
	p->fd = fd;
	p->hop = *hop;
	p->listener = mem_strdup(listener);
	list_push(&in->proxied, &p->link);
	timer_init(&p->timer, in->o.loop, on_timer, p);
	timer_set(&p->timer, HEADER_MS);
	watch_init(&p->watch, in->o.loop, fd, on_ready, p);
	watch_set(&p->watch, WATCH_READ);
}

void
proxied_clear(struct ingress *in)
{
	LIST_EACH (&in->proxied, k) {
		struct proxied *p = CONTAINER_OF(k, struct proxied, link);
		proxied_free(&p);
	}
}
