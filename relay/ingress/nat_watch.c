/* SPDX-License-Identifier: ISC */
/* nat_watch - a majority vote of addresses, and what it is told with. */
#include "relay/ingress/nat_watch.h"

#include "base/map.h"
#include "relay/ingress/session.h"

bool
nat_watch_is_private(const struct net_addr *a)
{
	static const char *const inner[] = {"10.0.0.0/8", "100.64.0.0/10",
	    "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"};
	for (size_t i = 0; i < sizeof(inner) / sizeof(inner[0]); i++) {
		struct net_cidr net;
		if (net_parse_cidr(span_str(inner[i]), &net) == OK &&
		    net_cidr_has(&net, a))
			return true;
	}
	return false;
}

/* ---- the vote */

static void
begin(struct nat_watch *w, const struct net_addr *one, struct instant now)
{
	w->one = *one;
	w->began = now;
	w->connections = w->hits = 0;
	w->names = 0;
}

/* Upper and lower case are one name. */
static uint64_t
hash_name(const struct nat_watch *w, struct span name)
{
	char lower[256];
	size_t n = name.n < sizeof(lower) ? name.n : sizeof(lower);
	for (size_t i = 0; i < n; i++)
		lower[i] = ascii_lower(name.p[i]);
	return siphash(w->seed, (struct span){lower, n});
}

static void
keep_name(struct nat_watch *w, struct span name)
{
	uint64_t hash = hash_name(w, name);
	for (size_t i = 0; i < w->names; i++)
		if (w->name[i] == hash)
			return;
	if (w->names < NAT_WATCH_NAMES_KEPT)
		w->name[w->names++] = hash;
}

static bool
is_long_enough(const struct nat_watch *w, struct instant now)
{
	return w->connections >= NAT_WATCH_CONNECTIONS &&
	       instant_since(now, w->began) >= NAT_WATCH_MS;
}

static bool
tells(const struct nat_watch *w)
{
	return w->hits * 100 > w->connections * NAT_WATCH_PERCENT &&
	       w->names >= NAT_WATCH_NAMES;
}

static bool
may_say(struct nat_watch *w, struct instant now)
{
	if (w->said && instant_since(now, w->quiet_until) < 0)
		return false;
	w->said = true;
	w->quiet_until = instant_after(now, NAT_WATCH_QUIET_MS);
	return true;
}

bool
nat_watch_hello(struct nat_watch *w, const struct net_addr *client, bool suspect,
    struct span name, struct instant now)
{
	if (suspect && (w->one.family == NET_NONE || w->hits * 2 <= w->connections) &&
	    !net_same_ip(&w->one, client))
		begin(w, client, now);
	if (w->one.family == NET_NONE)
		return false;
	w->connections++;
	if (suspect && net_same_ip(&w->one, client)) {
		w->hits++;
		keep_name(w, name);
	}
	if (!is_long_enough(w, now))
		return false;
	bool say = tells(w) && may_say(w, now);
	w->one = (struct net_addr){0};
	return say;
}

/* ---- the process's sessions */

static bool
is_proxy(const struct session *s)
{
	const struct listener_config *l = s->listener;
	return l != NULL && (network_list_has(&l->proxy_from, &s->peer) ||
				network_list_has(&l->xclient_from, &s->peer));
}

static bool
is_trusted(const struct session *s)
{
	const struct listener_config *l = s->listener;
	return network_list_has(
	    l != NULL && l->has_networks ? &l->networks : &s->config->policy.networks,
	    &s->peer);
}

static void
tell(const struct session *s)
{
	char client[NET_TEXT];
	net_format_ip(&s->peer, client);
	const char *harm =
	    is_trusted(s)
		? "THIS IS AN OPEN RELAY for everybody behind it, because networks "
		  "contains "
		  "this address: take it out, and"
		: "limits per client hit all of them at once, and networks must never "
		  "contain this address;";
	struct buf why;
	buf_init(&why, 0);
	buf_addf(&why,
	    "every client seems to come from %s: network address translation (the "
	    "gateway of a container or router) seems to hide them. %s use the PROXY "
	    "protocol (proxy-from) or the host's network",
	    client, harm);
	LOG(s->in->o.log, EV_CONFIG, F_STR("client", client),
	    F_STR("listener", s->listener_name), F_SPAN("why", buf_span(&why)));
	buf_clear(&why);
}

void
nat_watch_session(struct session *s, struct span name)
{
	if (s->local || s->watched)
		return;
	s->watched = true;
	bool suspect = nat_watch_is_private(&s->peer) && !is_proxy(s);
	if (census_hello(
		s->in->o.census, &s->peer, suspect, name, loop_now(s->in->o.loop)))
		tell(s);
}
