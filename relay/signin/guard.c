/* SPDX-License-Identifier: ISC */
/* guard - two tables; passwords stand in them only as keyed digests. */
#include "relay/signin/guard.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

struct failure {
	struct map_node node;
	struct link link;
	char *who;
	unsigned count, hashing;
	struct instant last, locked; /* until; 0: not */
	uint8_t wrong[SHA256_SIZE];
};

struct belief {
	struct map_node node;
	struct link link;
	uint8_t digest[SHA256_SIZE];
	char *label;
	uint64_t changed;
	struct instant until;
};

void
guard_init(struct guard *g, struct world *w)
{
	uint64_t seed[2];
	world_random(w, seed, sizeof(seed));
	world_random(w, g->key, sizeof(g->key));
	map_init(&g->failures, seed);
	map_init(&g->believed, seed);
	list_init(&g->failures_by_use);
	list_init(&g->believed_by_use);
}

static void
forget_failure(struct guard *g, struct failure *f)
{
	map_remove(&g->failures, &f->node);
	list_remove(&f->link);
	mem_free(&f->who);
	mem_free(&f);
}

static void
forget_belief(struct guard *g, struct belief *b)
{
	map_remove(&g->believed, &b->node);
	list_remove(&b->link);
	mem_free(&b->label);
	mem_free(&b);
}

void
guard_clear(struct guard *g)
{
	LIST_EACH (&g->failures_by_use, k)
		forget_failure(g, CONTAINER_OF(k, struct failure, link));
	LIST_EACH (&g->believed_by_use, k)
		forget_belief(g, CONTAINER_OF(k, struct belief, link));
	map_clear(&g->failures);
	map_clear(&g->believed);
	explicit_bzero(g->key, sizeof(g->key));
}

/* ---- failures */

/* An IPv6 client is its /64: it has all of them. */
static void
add_client(struct buf *b, const struct net_addr *client)
{
	struct net_addr a = *client;
	char text[NET_TEXT];
	if (a.family == NET_IPV6)
		memset(a.ip + 8, 0, 8);
	net_format_ip(&a, text);
	buf_add_str(b, text);
}

/* "192.0.2.1", or "192.0.2.1 alice". */
static void
name_who(struct buf *b, const struct net_addr *client, struct span name)
{
	buf_init(b, 1024);
	add_client(b, client);
	if (name.n == 0)
		return;
	buf_add_char(b, ' ');
	for (size_t i = 0; i < name.n; i++)
		buf_add_char(b, ascii_lower(name.p[i]));
}

static struct failure *
find_failure(const struct guard *g, struct span who)
{
	struct map_node *k = map_get(&g->failures, who);
	return k != NULL ? CONTAINER_OF(k, struct failure, node) : NULL;
}

static bool
is_locked(
    struct guard *g, const struct net_addr *client, struct span name, struct instant now)
{
	struct buf who;
	name_who(&who, client, name);
	const struct failure *f = find_failure(g, buf_span(&who));
	buf_clear(&who);
	return f != NULL && f->locked.ms > now.ms;
}

bool
guard_locked(
    struct guard *g, const struct net_addr *client, struct span name, struct instant now)
{
	return is_locked(g, client, (struct span){0}, now) ||
	       (name.n > 0 && is_locked(g, client, name, now));
}

/* The longest unused of which nothing is under way; those are few. */
static void
forget_oldest(struct guard *g)
{
	LIST_EACH (&g->failures_by_use, k) {
		struct failure *f = CONTAINER_OF(k, struct failure, link);
		if (f->hashing == 0) {
			forget_failure(g, f);
			return;
		}
	}
}

static struct failure *
get_failure(struct guard *g, struct span who)
{
	struct failure *f = find_failure(g, who);
	if (f != NULL) {
		list_remove(&f->link);
		list_push(&g->failures_by_use, &f->link);
		return f;
	}
	if (g->failures.n >= GUARD_MAX)
		forget_oldest(g);
	f = NEW(struct failure);
	f->who = span_dup(who);
	map_put(&g->failures, &f->node, span_str(f->who));
	list_push(&g->failures_by_use, &f->link);
	return f;
}

static void
count(struct guard *g, const struct net_addr *client, struct span name,
    const uint8_t wrong[SHA256_SIZE], unsigned limit, int64_t lockout_ms,
    struct instant now)
{
	struct buf who;
	name_who(&who, client, name);
	struct failure *f = get_failure(g, buf_span(&who));
	buf_clear(&who);
	bool fresh = f->count == 0 || instant_since(now, f->last) > lockout_ms;
	bool again = !fresh && memcmp(f->wrong, wrong, SHA256_SIZE) == 0;
	f->last = now;
	memcpy(f->wrong, wrong, SHA256_SIZE);
	if (fresh)
		f->count = 0;
	if (!again)
		f->count++;
	if (f->count >= limit) {
		f->locked = instant_after(now, lockout_ms);
		f->count = 0;
	}
}

/* So that neither the name nor the password can be read from the table. */
static void
digest(struct guard *g, struct span name, struct span password, const char *service,
    uint8_t out[SHA256_SIZE])
{
	struct buf b;
	buf_init(&b, 4096);
	for (size_t i = 0; i < name.n; i++)
		buf_add_char(&b, ascii_lower(name.p[i]));
	buf_add_char(&b, '\0');
	buf_add_span(&b, password);
	buf_add_char(&b, '\0');
	buf_add_str(&b, service);
	hmac_of(DIGEST_SHA256, (struct span){(const char *)g->key, sizeof(g->key)},
	    buf_span(&b), out);
	buf_wipe(&b);
}

void
guard_failed(struct guard *g, const struct net_addr *client, struct span name,
    struct span wrong, const struct guard_limits *l, struct instant now)
{
	uint8_t d[SHA256_SIZE];
	digest(g, name, wrong, "", d);
	count(g, client, (struct span){0}, d, l->attempts, l->lockout_ms, now);
	if (name.n > 0)
		count(g, client, name, d, l->attempts > 1 ? l->attempts / 2 : 1,
		    l->lockout_ms, now);
}

bool
guard_hashing(struct guard *g, const struct net_addr *client, bool begins,
    const struct guard_limits *l)
{
	struct buf who;
	name_who(&who, client, (struct span){0});
	struct failure *f = get_failure(g, buf_span(&who));
	buf_clear(&who);
	if (begins && f->hashing >= 2 * l->attempts)
		return false;
	if (begins)
		f->hashing++;
	else if (f->hashing > 0)
		f->hashing--;
	return true;
}

void
guard_succeeded(struct guard *g, const struct net_addr *client, struct span name)
{
	struct buf who;
	name_who(&who, client, name);
	struct failure *f = find_failure(g, buf_span(&who));
	buf_clear(&who);
	if (f != NULL && f->hashing == 0)
		forget_failure(g, f);
}

/* ---- beliefs */

static struct belief *
find_belief(const struct guard *g, const uint8_t d[SHA256_SIZE])
{
	struct map_node *k =
	    map_get(&g->believed, (struct span){(const char *)d, SHA256_SIZE});
	return k != NULL ? CONTAINER_OF(k, struct belief, node) : NULL;
}

const char *
guard_believed(struct guard *g, struct span name, struct span password,
    const char *service, uint64_t changed, struct instant now)
{
	uint8_t d[SHA256_SIZE];
	digest(g, name, password, service, d);
	struct belief *b = find_belief(g, d);
	if (b == NULL)
		return NULL;
	if (b->changed != changed || b->until.ms <= now.ms) {
		forget_belief(g, b);
		return NULL;
	}
	list_remove(&b->link);
	list_push(&g->believed_by_use, &b->link);
	return b->label;
}

void
guard_believe(struct guard *g, struct span name, struct span password,
    const char *service, const char *label, uint64_t changed, struct instant until)
{
	uint8_t d[SHA256_SIZE];
	digest(g, name, password, service, d);
	struct belief *b = find_belief(g, d);
	if (b != NULL)
		forget_belief(g, b);
	if (g->believed.n >= BELIEVED_MAX)
		forget_belief(g,
		    CONTAINER_OF(list_first(&g->believed_by_use), struct belief, link));
	b = NEW(struct belief);
	memcpy(b->digest, d, sizeof(d));
	b->label = mem_strdup(label);
	b->changed = changed;
	b->until = until;
	map_put(&g->believed, &b->node,
	    (struct span){(const char *)b->digest, sizeof(b->digest)});
	list_push(&g->believed_by_use, &b->link);
}
