/* SPDX-License-Identifier: ISC */
/* hosts - a bounded table of hosts that failed lately; a host that works is not in it. */
#include "relay/egress/hosts.h"

#include "base/mem.h"

struct host {
	struct map_node node;
	struct link link;
	char name[NET_TEXT];
	unsigned failures;
	struct instant until;
};

static struct host *
find(struct hosts *h, const struct net_addr *a)
{
	char name[NET_TEXT];
	net_format(a, name);
	struct map_node *k = map_get(&h->map, span_str(name));
	return k ? CONTAINER_OF(k, struct host, node) : NULL;
}

static void
forget(struct hosts *h, struct host *host)
{
	map_remove(&h->map, &host->node);
	list_remove(&host->link);
	h->n--;
	mem_free(&host);
}

void
hosts_init(struct hosts *h, const uint64_t seed[2])
{
	map_init(&h->map, seed);
	list_init(&h->by_use);
	h->n = 0;
}

void
hosts_clear(struct hosts *h)
{
	LIST_EACH (&h->by_use, k)
		forget(h, CONTAINER_OF(k, struct host, link));
	map_clear(&h->map);
}

static struct host *
add(struct hosts *h, const struct net_addr *a)
{
	if (h->n >= HOSTS_MAX)
		forget(h, CONTAINER_OF(list_first(&h->by_use), struct host, link));
	struct host *host = NEW(struct host);
	net_format(a, host->name);
	map_put(&h->map, &host->node, span_str(host->name));
	list_push(&h->by_use, &host->link);
	h->n++;
	return host;
}

void
hosts_failed(struct hosts *h, const struct net_addr *a, struct instant now)
{
	struct host *host = find(h, a);
	if (host == NULL)
		host = add(h, a);
	int64_t aside = HOSTS_ASIDE_MS;
	for (unsigned i = 0; i < host->failures && aside < HOSTS_ASIDE_MAX_MS; i++)
		aside *= 2;
	host->failures++;
	host->until =
	    instant_after(now, aside < HOSTS_ASIDE_MAX_MS ? aside : HOSTS_ASIDE_MAX_MS);
	list_remove(&host->link);
	list_push(&h->by_use, &host->link);
}

void
hosts_worked(struct hosts *h, const struct net_addr *a)
{
	struct host *host = find(h, a);
	if (host != NULL)
		forget(h, host);
}

bool
hosts_is_aside(struct hosts *h, const struct net_addr *a, struct instant now)
{
	struct host *host = find(h, a);
	return host != NULL && instant_since(host->until, now) > 0;
}
