/* SPDX-License-Identifier: ISC */
/*
 * census - how many connections there are, in all and per client.  Whoever can
 * use one address of an IPv6 network can use all 2^64 of them, so there the
 * /64 is the client.
 */
#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "relay/ingress/gate.h"
#include "relay/ingress/nat_watch.h"

#define KEY_MAX 9 /* family and the part of the address that counts */

struct client {
	struct map_node node;
	char key[KEY_MAX];
	unsigned n;
};

struct census {
	pthread_mutex_t lock;
	struct map clients;
	unsigned total;
	struct nat_watch watch;
	struct quiet {
		bool noted;
		struct instant until;
	} dnsbl[CONFIG_DNSBL_MAX];
};

struct census *
census_new(struct world *w)
{
	struct census *c = NEW(struct census);
	uint64_t seed[2];
	world_random(w, seed, sizeof(seed));
	map_init(&c->clients, seed);
	memcpy(c->watch.seed, seed, sizeof(seed));
	CHECK(pthread_mutex_init(&c->lock, NULL) == 0);
	return c;
}

void
census_free(struct census **cp)
{
	struct census *c = *cp;
	if (c == NULL)
		return;
	MAP_EACH (&c->clients, k) {
		struct client *client = CONTAINER_OF(k, struct client, node);
		map_remove(&c->clients, k);
		mem_free(&client);
	}
	map_clear(&c->clients);
	pthread_mutex_destroy(&c->lock);
	mem_free(cp);
}

static struct span
client_key(const struct net_addr *a, char key[KEY_MAX])
{
	size_t n = a->family == NET_IPV4 ? 4 : 8;
	key[0] = (char)a->family;
	memcpy(key + 1, a->ip, n);
	return (struct span){key, 1 + n};
}

static struct client *
find_client(struct census *c, struct span key)
{
	struct map_node *k = map_get(&c->clients, key);
	return k ? CONTAINER_OF(k, struct client, node) : NULL;
}

static struct client *
add_client(struct census *c, struct span key)
{
	struct client *client = NEW(struct client);
	memcpy(client->key, key.p, key.n);
	map_put(&c->clients, &client->node, (struct span){client->key, key.n});
	return client;
}

enum census_answer
census_enter(struct census *c, const struct net_addr *addr, unsigned max_total,
    unsigned max_client)
{
	char key[KEY_MAX];
	struct span k = client_key(addr, key);
	enum census_answer answer = CENSUS_OK;
	pthread_mutex_lock(&c->lock);
	struct client *client = find_client(c, k);
	if (c->total >= max_total)
		answer = CENSUS_TOTAL;
	else if ((client ? client->n : 0) >= max_client)
		answer = CENSUS_CLIENT;
	if (answer == CENSUS_OK) {
		if (client == NULL)
			client = add_client(c, k);
		client->n++;
		c->total++;
	}
	pthread_mutex_unlock(&c->lock);
	return answer;
}

void
census_leave(struct census *c, const struct net_addr *addr)
{
	char key[KEY_MAX];
	pthread_mutex_lock(&c->lock);
	struct client *client = find_client(c, client_key(addr, key));
	CHECK(client != NULL && c->total > 0);
	c->total--;
	if (--client->n == 0) {
		map_remove(&c->clients, &client->node);
		mem_free(&client);
	}
	pthread_mutex_unlock(&c->lock);
}

unsigned
census_total(struct census *c)
{
	pthread_mutex_lock(&c->lock);
	unsigned n = c->total;
	pthread_mutex_unlock(&c->lock);
	return n;
}

bool
census_hello(struct census *c, const struct net_addr *client, bool suspect,
    struct span name, struct instant now)
{
	pthread_mutex_lock(&c->lock);
	bool say = nat_watch_hello(&c->watch, client, suspect, name, now);
	pthread_mutex_unlock(&c->lock);
	return say;
}

bool
census_may_note(struct census *c, size_t list, struct instant now)
{
	struct quiet *q = &c->dnsbl[list];
	pthread_mutex_lock(&c->lock);
	bool may = !q->noted || instant_since(now, q->until) >= 0;
	if (may)
		*q = (struct quiet){true, instant_after(now, HOUR_MS)};
	pthread_mutex_unlock(&c->lock);
	return may;
}
