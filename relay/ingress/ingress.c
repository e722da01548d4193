/* SPDX-License-Identifier: ISC */
/*
 * ingress - the sessions of one io thread: counted in, listed, swept, drained.
 *
 * A session that is over has let go of its connection and everything large; its
 * struct waits in `gone` for the end of the turn, because the end may have come
 * from inside its own callback.
 */
#include "relay/ingress/ingress.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/ingress/listener.h"
#include "relay/ingress/session.h"

static void
sweep(void *arg)
{
	struct ingress *in = arg;
	struct link *k;
	while ((k = list_pop(&in->gone)) != NULL) {
		struct session *s = CONTAINER_OF(k, struct session, link);
		session_free(&s);
	}
	if (in->draining && in->sessions_n == 0 && in->on_empty != NULL) {
		void (*on_empty)(void *) = in->on_empty;
		in->on_empty = NULL;
		on_empty(in->on_empty_arg);
	}
}

struct ingress *
ingress_new(const struct ingress_options *o)
{
	struct ingress *in = NEW(struct ingress);
	in->o = *o;
	if (in->o.counters == NULL)
		in->o.counters = &in->unseen;
	in->config = config_ref(o->config);
	list_init(&in->sessions);
	list_init(&in->gone);
	later_init(&in->sweep, o->loop, sweep, in);
	listeners_init(&in->listeners, in);
	return in;
}

void
ingress_free(struct ingress **inp)
{
	struct ingress *in = *inp;
	if (in == NULL)
		return;
	listeners_clear(&in->listeners);
	in->draining = false; /* nobody is told */
	LIST_EACH (&in->sessions, k) {
		session_break(CONTAINER_OF(k, struct session, link), "relayd stops");
	}
	later_clear(&in->sweep);
	sweep(in);
	config_unref(&in->config);
	mem_free(inp);
}

/* ---- connections */

static void
turn_away(struct ingress *in, int fd, const struct net_addr *peer, const char *listener,
    const char *why)
{
	char client[NET_TEXT];
	net_format_ip(peer, client);
	atomic_fetch_add_explicit(&in->o.counters->turned_away, 1, memory_order_relaxed);
	LOG(in->o.log, EV_TURNED_AWAY, F_STR("client", client),
	    F_STR("listener", listener), F_STR("why", why));
	struct buf b;
	buf_init(&b, 0);
	buf_addf(&b, "421 4.7.0 %s: %s\r\n", in->config->policy.hostname, why);
	/* A new connection has room for a line; who is turned away costs us nothing
	 * longer. */
	(void)!send(fd, b.p, b.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	buf_clear(&b);
	close(fd);
}

void
ingress_serve(
    struct ingress *in, int fd, const struct net_addr *peer, const char *listener)
{
	const struct smtp_server_config *limit = &in->config->server;
	if (in->draining) {
		close(fd);
		return;
	}
	switch (census_enter(
	    in->o.census, peer, limit->connections, limit->client_connections)) {
	case CENSUS_TOTAL:
		turn_away(in, fd, peer, listener, "too many connections");
		return;
	case CENSUS_CLIENT:
		turn_away(
		    in, fd, peer, listener, "too many connections from your address");
		return;
	case CENSUS_OK: break;
	}
	atomic_fetch_add_explicit(&in->o.counters->connections, 1, memory_order_relaxed);
	session_start(in, fd, peer, listener);
}

unsigned
ingress_sessions(const struct ingress *in)
{
	return in->sessions_n;
}

/* ---- change and end */

void
ingress_listen(struct ingress *in, int fd, const char *name)
{
	listeners_add(&in->listeners, fd, name);
}

void
ingress_reload(struct ingress *in, const struct config *config)
{
	const struct config *old = in->config;
	in->config = config_ref(config);
	config_unref(&old);
	listeners_keep(&in->listeners, config);
}

void
ingress_drain(struct ingress *in, void (*on_empty)(void *arg), void *arg)
{
	in->draining = true;
	in->on_empty = on_empty;
	in->on_empty_arg = arg;
	listeners_clear(&in->listeners);
	LIST_EACH (&in->sessions, k) {
		session_drain(CONTAINER_OF(k, struct session, link));
	}
	later_set(&in->sweep); /* also where there was none */
}
