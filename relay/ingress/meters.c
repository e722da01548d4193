/* SPDX-License-Identifier: ISC */
/* meters - a map of subjects, and a list of them from the least recently used on. */
#include "relay/ingress/meters.h"

#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

#define KEY_MAX 1024
#define SWEEP 8 /* subjects that are looked at for an idle one */

struct meter {
	struct map_node node;
	struct link link;
	struct rate_use use[RATE_MAX];
	struct instant quiet_until; /* a refusal has been logged */
	char key[];
};

struct meters {
	pthread_mutex_t lock;
	struct map map;
	struct list used; /* the least recently used first */
};

struct meters *
meters_new(struct world *w)
{
	struct meters *m = NEW(struct meters);
	uint64_t seed[2];
	world_random(w, seed, sizeof(seed));
	map_init(&m->map, seed);
	list_init(&m->used);
	CHECK(pthread_mutex_init(&m->lock, NULL) == 0);
	return m;
}

static void
forget(struct meters *m, struct meter *k)
{
	map_remove(&m->map, &k->node);
	list_remove(&k->link);
	mem_free(&k);
}

void
meters_free(struct meters **mp)
{
	struct meters *m = *mp;
	if (m == NULL)
		return;
	LIST_EACH (&m->used, k)
		forget(m, CONTAINER_OF(k, struct meter, link));
	map_clear(&m->map);
	pthread_mutex_destroy(&m->lock);
	mem_free(mp);
}

/* ---- which limits fit, and whom they count */

static const struct rate_list *
rates_of(const struct limit_config *l, enum meter_kind kind)
{
	switch (kind) {
	case METER_CONNECTION: return &l->connections;
	case METER_MESSAGE: return &l->messages;
	default: return &l->recipients;
	}
}

static bool
has_subject(const struct limit_config *l, const struct meter_subject *who)
{
	switch (l->per) {
	case LIMIT_PER_ACCOUNT: return who->account.n > 0;
	case LIMIT_PER_SENDER: return who->sender.n > 0;
	default: return who->client->family != NET_NONE;
	}
}

static bool
fits(const struct limit_config *l, enum meter_kind kind, const struct meter_subject *who)
{
	return rates_of(l, kind)->n > 0 && has_subject(l, who) &&
	       (l->listeners.n == 0 || name_list_has(&l->listeners, who->listener)) &&
	       (l->clients.n == 0 || network_list_has(&l->clients, who->client));
}

static void
add_lower(struct buf *b, struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_add_char(b, ascii_lower(s.p[i]));
}

/* The limit's name, what is counted, and whose. */
static void
add_key(struct buf *b, const struct limit_config *l, enum meter_kind kind,
    const struct meter_subject *who)
{
	buf_add_str(b, l->name);
	buf_add_char(b, '\0');
	buf_add_char(b, (char)('0' + (int)kind));
	buf_add_char(b, (char)('0' + (int)l->per));
	if (l->per == LIMIT_PER_ACCOUNT)
		add_lower(b, who->account);
	else if (l->per == LIMIT_PER_SENDER)
		add_lower(b, who->sender);
	else
		buf_add_span(b, (struct span){(const char *)who->client->ip,
				    who->client->family == NET_IPV4 ? 4 : 8});
}

/* ---- the table */

static bool
is_idle(const struct meter *k, struct instant now)
{
	for (size_t i = 0; i < RATE_MAX; i++)
		if (!rate_idle(&k->use[i], now.ms * 1000))
			return false;
	return true;
}

/* Idle ones go first, the least recently used one if need be. */
static void
make_room(struct meters *m, struct instant now)
{
	unsigned looked = 0;
	LIST_EACH (&m->used, k) {
		struct meter *old = CONTAINER_OF(k, struct meter, link);
		if (looked++ == SWEEP)
			break;
		if (is_idle(old, now))
			forget(m, old);
	}
	if (m->map.n >= METERS_MAX)
		forget(m, CONTAINER_OF(list_first(&m->used), struct meter, link));
}

static struct meter *
meter_of(struct meters *m, struct span key, struct instant now)
{
	struct map_node *node = map_get(&m->map, key);
	struct meter *k = node ? CONTAINER_OF(node, struct meter, node) : NULL;
	if (k == NULL) {
		make_room(m, now);
		k = mem_alloc(sizeof(*k) + key.n);
		memcpy(k->key, key.p, key.n);
		map_put(&m->map, &k->node, (struct span){k->key, key.n});
	}
	list_remove(&k->link);
	list_push(&m->used, &k->link);
	return k;
}

static struct meter *
meter_for(struct meters *m, const struct limit_config *l, enum meter_kind kind,
    const struct meter_subject *who, struct instant now)
{
	struct buf key;
	buf_init(&key, KEY_MAX);
	add_key(&key, l, kind, who);
	struct meter *k = meter_of(m, buf_span(&key), now);
	buf_clear(&key);
	return k;
}

/* ---- taking */

static bool
has_room(struct meter *k, const struct limit_config *l, const struct rate_list *rates,
    struct instant now, struct meter_refusal *why)
{
	for (size_t i = 0; i < rates->n; i++) {
		const struct rate *r = &rates->rate[i];
		int64_t wait = rate_wait(r, &k->use[i], now.ms * 1000, 1);
		if (wait == 0)
			continue;
		bool first = instant_since(now, k->quiet_until) >= 0;
		*why = (struct meter_refusal){l, r, (wait + 999) / 1000, first};
		if (first)
			k->quiet_until = instant_after(now, r->period_ms);
		return false;
	}
	return true;
}

static bool
take_all(struct meters *m, const struct config *c, enum meter_kind kind,
    const struct meter_subject *who, struct instant now, struct meter_refusal *why)
{
	for (size_t i = 0; i < c->limits; i++) {
		const struct limit_config *l = &c->limit[i];
		if (fits(l, kind, who) && !has_room(meter_for(m, l, kind, who, now), l,
					      rates_of(l, kind), now, why))
			return false;
	}
	for (size_t i = 0; i < c->limits; i++) {
		const struct limit_config *l = &c->limit[i];
		const struct rate_list *rates = rates_of(l, kind);
		if (!fits(l, kind, who))
			continue;
		struct meter *k = meter_for(m, l, kind, who, now);
		for (size_t n = 0; n < rates->n; n++)
			rate_take(&rates->rate[n], &k->use[n], now.ms * 1000, 1);
	}
	return true;
}

bool
meters_take(struct meters *m, const struct config *c, enum meter_kind kind,
    const struct meter_subject *who, struct instant now, struct meter_refusal *why)
{
	size_t i = 0;
	while (i < c->limits && !fits(&c->limit[i], kind, who))
		i++;
	if (m == NULL || i == c->limits)
		return true;
	pthread_mutex_lock(&m->lock);
	bool ok = take_all(m, c, kind, who, now, why);
	pthread_mutex_unlock(&m->lock);
	return ok;
}

size_t
meters_subjects(struct meters *m)
{
	pthread_mutex_lock(&m->lock);
	size_t n = m->map.n;
	pthread_mutex_unlock(&m->lock);
	return n;
}

void
meters_explain(const struct meter_refusal *why, enum meter_kind kind, struct buf *out)
{
	static const char *const what[] = {"connections", "messages", "recipients"};
	buf_addf(out, "limit %s: %u %s in ", why->limit->name, (unsigned)why->rate->count,
	    what[kind]);
	duration_add(out, why->rate->period_ms);
	buf_add_str(out, "; come again in ");
	duration_add(out, why->wait_ms < SECOND_MS ? SECOND_MS : why->wait_ms);
}
