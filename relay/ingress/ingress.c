/* SPDX-License-Identifier: ISC */
/*
 * ingress - the sessions of one io thread: counted in, listed, swept, drained.
 *
 * A session that is over has let go of its connection and everything large; its
 * struct waits in `gone` for the end of the turn, because the end may have come
 * from inside its own callback.
 */
#include "relay/ingress/ingress.h"

#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/ingress/gate.h"
#include "relay/ingress/listener.h"
#include "relay/ingress/proxied.h"
#include "relay/ingress/session.h"
#include "relay/pickup/pickup.h"

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
	list_init(&in->proxied);
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
	proxied_clear(in);
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

void
ingress_log_turned_away(struct ingress *in, const struct net_addr *client,
    const char *listener, const char *why)
{
	char text[NET_TEXT];
	net_format_ip(client, text);
	atomic_fetch_add_explicit(&in->o.counters->turned_away, 1, memory_order_relaxed);
	LOG(in->o.log, EV_TURNED_AWAY, F_STR("client", text), F_STR("listener", listener),
	    F_STR("why", why));
}

static enum listener_protocol
protocol_of(const struct ingress *in, const char *listener)
{
	const struct listener_config *l = door_listener(in->config, listener);
	return l != NULL ? l->protocol : LISTENER_SMTP;
}

static bool
serves_pickup(enum listener_protocol p)
{
	return p == LISTENER_POP3 || p == LISTENER_IMAP;
}

static const char *
code_of(enum listener_protocol p, bool permanent)
{
	if (p == LISTENER_POP3)
		return permanent ? "-ERR [SYS/PERM]" : "-ERR [SYS/TEMP]";
	if (p == LISTENER_IMAP)
		return permanent ? "* BYE [NOPERM]" : "* BYE [UNAVAILABLE]";
	return permanent ? "554 5.7.1" : "421 4.7.0";
}

/* code: of SMTP with its enhanced one, -ERR with its own (RFC 3206), or BYE (RFC 5530).
 */
static void
say_no(const struct ingress *in, int fd, const char *code, const char *why)
{
	struct buf b;
	buf_init(&b, 0);
	buf_addf(&b, "%s %s: %s\r\n", code, in->config->policy.hostname, why);
	/* A new connection has room for a line; who is turned away costs us nothing
	 * longer. */
	(void)!send(fd, b.p, b.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	buf_clear(&b);
	close(fd);
}

static void
turn_away(struct ingress *in, int fd, const struct net_addr *peer, const char *listener,
    const char *why)
{
	ingress_log_turned_away(in, peer, listener, why);
	say_no(in, fd, code_of(protocol_of(in, listener), false), why);
}

/* False: a limit is reached, and the connection is gone. max: of one client. */
static bool
count_in(struct ingress *in, int fd, const struct net_addr *who, unsigned max,
    const char *listener)
{
	switch (census_enter(in->o.census, who, in->config->server.connections, max)) {
	case CENSUS_TOTAL:
		turn_away(in, fd, who, listener, "too many connections");
		return false;
	case CENSUS_CLIENT:
		turn_away(
		    in, fd, who, listener, "too many connections from your address");
		return false;
	case CENSUS_OK: break;
	}
	return true;
}

/* Who speaks for many clients is not counted as one. */
static unsigned
client_max(
    const struct ingress *in, const struct listener_config *l, const struct net_addr *a)
{
	bool many = l != NULL && (network_list_has(&l->xclient_from, a) ||
				     network_list_has(&l->proxy_from, a));
	return many ? UINT_MAX : in->config->server.client_connections;
}

/* What an SMTP session asks before its greeting is asked here for the pickup. */
static void
serve_pickup(struct ingress *in, int fd, const struct net_addr *hop,
    const struct net_addr *peer, const struct listener_config *l)
{
	const char *rule = NULL;
	struct verdict v = gate_connect(in, peer, l, &rule);
	if (verdict_ok(&v)) {
		pickup_serve(in->o.pickup, fd, hop, peer, l->name);
		return;
	}
	census_leave(in->o.census, peer);
	ingress_log_turned_away(in, peer, l->name, rule != NULL ? rule : v.text);
	say_no(in, fd, code_of(l->protocol, verdict_permanent(&v)), v.text);
}

static void
count_connection(struct ingress_counters *c, const char *listener)
{
	atomic_fetch_add_explicit(&c->connections, 1, memory_order_relaxed);
	for (size_t i = 0; i < COUNT_OF(c->listener) && c->listener[i].name != NULL;
	     i++) {
		if (strcmp(c->listener[i].name, listener) == 0) {
			atomic_fetch_add_explicit(
			    &c->listener[i].connections, 1, memory_order_relaxed);
			return;
		}
	}
}

static void
serve(struct ingress *in, int fd, const struct net_addr *hop, const struct net_addr *peer,
    const char *listener)
{
	count_connection(in->o.counters, listener);
	if (serves_pickup(protocol_of(in, listener)) && in->o.pickup != NULL)
		serve_pickup(in, fd, hop, peer, door_listener(in->config, listener));
	else
		session_start(in, fd, hop, peer, listener);
}

void
ingress_serve(
    struct ingress *in, int fd, const struct net_addr *peer, const char *listener)
{
	const struct listener_config *l = door_listener(in->config, listener);
	if (in->draining)
		close(fd);
	else if (!count_in(in, fd, peer, client_max(in, l, peer), listener))
		return;
	else if (l != NULL && network_list_has(&l->proxy_from, peer))
		proxied_start(in, fd, peer, listener);
	else
		serve(in, fd, peer, peer, listener);
}

void
ingress_serve_told(struct ingress *in, int fd, const struct net_addr *hop,
    const struct net_addr *told, const char *listener)
{
	const struct listener_config *l = door_listener(in->config, listener);
	if (l ==
	    NULL) /* a reload has closed it meanwhile: there are no rules left for it */
		close(fd);
	else if (count_in(in, fd, told, client_max(in, l, told), listener))
		serve(in, fd, hop, told, listener);
}

/* Local users are no client that could be limited: they count in all only. */
void
ingress_serve_local(struct ingress *in, int fd, unsigned uid)
{
	struct net_addr nobody = {0};
	if (in->draining) {
		close(fd);
		return;
	}
	if (!count_in(in, fd, &nobody, UINT_MAX, "local"))
		return;
	count_connection(in->o.counters, "local");
	session_start_local(in, fd, uid);
}

void
ingress_end_account(struct ingress *in, struct span name)
{
	LIST_EACH (&in->sessions, k) {
		struct session *s = CONTAINER_OF(k, struct session, link);
		if (s->local || s->card == NULL ||
		    !span_ieq(span_str(s->card->name), name))
			continue;
		s->account_gone = true;
		session_leave_account(s);
	}
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
ingress_listen_local(struct ingress *in, int fd)
{
	listeners_add_local(&in->listeners, fd);
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
	proxied_clear(in);
	LIST_EACH (&in->sessions, k) {
		session_drain(CONTAINER_OF(k, struct session, link));
	}
	later_set(&in->sweep); /* also where there was none */
}
