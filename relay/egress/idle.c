/* SPDX-License-Identifier: ISC */
/*
 * idle - connections that wait for the next message to the same destination.
 * Most recently used first, so that the surplus ages and is closed.
 */
#include "base/mem.h"
#include "relay/egress/courier.h"

#include <string.h>

struct idle {
	struct link link;
	struct courier *courier;
	struct client *client;
	struct timer timer;
	char *dest;
	struct contact who;
};

static void
drop(struct idle *i, bool politely)
{
	if (i->client != NULL && politely)
		client_quit(&i->client);
	else if (i->client != NULL)
		client_free(&i->client);
	timer_clear(&i->timer);
	list_remove(&i->link);
	i->courier->idle_count--;
	mem_free(&i->dest);
	mem_free(&i);
}

static void
on_expired(void *arg)
{
	drop(arg, true);
}

static void
on_client(void *arg, enum client_event ev)
{
	if (ev == CLIENT_LOST)
		drop(arg, false);
}

void
idle_keep(struct courier *c, const char *dest, const struct contact *who,
    struct client **client)
{
	if (c->closing || c->config->client.idle_ms <= 0) {
		client_quit(client);
		return;
	}
	if (c->idle_count >= COURIER_IDLE_MAX)
		drop(CONTAINER_OF(c->idle.head.prev, struct idle, link), true);
	struct idle *i = NEW(struct idle);
	i->courier = c;
	i->client = *client;
	*client = NULL;
	i->dest = mem_strdup(dest);
	i->who = *who;
	client_set_owner(i->client, on_client, i);
	timer_init(&i->timer, c->loop, on_expired, i);
	timer_set(&i->timer, c->config->client.idle_ms);
	list_unshift(&c->idle, &i->link);
	c->idle_count++;
}

struct client *
idle_take(struct courier *c, const char *dest, size_t max_rank, struct contact *who)
{
	LIST_EACH (&c->idle, k) {
		struct idle *i = CONTAINER_OF(k, struct idle, link);
		if (i->who.rank <= max_rank && strcmp(i->dest, dest) == 0) {
			*who = i->who;
			struct client *client = i->client;
			i->client = NULL;
			drop(i, false);
			return client;
		}
	}
	return NULL;
}

void
idle_close_all(struct courier *c, bool politely)
{
	LIST_EACH (&c->idle, k)
		drop(CONTAINER_OF(k, struct idle, link), politely);
}
