/* SPDX-License-Identifier: ISC */
/*
 * resolver - requests and look-ups.
 *
 * A look-up is one question (name, type) under way; equal questions share it.
 * It asks the transport, follows a CNAME chain that the server did not follow,
 * puts the answer into the cache and hands it to those who wait.  It goes on
 * when nobody waits any more: the answer is wanted soon again.
 *
 * A request is one mx_fn to be called.  Its states:
 *
 *	BEGIN      literal? -> DONE;  otherwise MX, or with RESOLVE_HOST ADDRESSES
 *	MX         waits for the MX answer -> ADDRESSES, or DONE
 *	ADDRESSES  waits for A and AAAA of each host -> DONE
 *	DONE       the callback, then it is freed
 *
 * It moves on only from its own `later` or its deadline: no callback of the
 * user ever runs inside resolver_mx_start() or inside another look-up.
 */
#include "resolver/resolver.h"

#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "resolver/cache.h"
#include "resolver/dnsmsg.h"
#include "resolver/hosts_file.h"
#include "resolver/mx.h"

#define CACHE_ENTRIES 20000

struct resolver {
	struct loop *loop; /* borrowed */
	struct log *log;   /* borrowed; may be NULL */
	struct dns_transport *transport;
	struct dns_cache *cache;
	struct map lookups;
	struct list requests;
	char **own_names; /* NULL-terminated */
	struct net_addr *own_addr;
	size_t own_addrs;
	const char *hosts_file;             /* NULL: none */
	struct resolver_counters *counters; /* borrowed; NULL: nobody counts */
};

struct lookup {
	struct map_node node;
	struct resolver *r;
	struct list waiters;
	struct instant begun;
	uint16_t type, id;
	unsigned hops; /* CNAMEs over all answers */
	uint32_t ttl;  /* the smallest so far */
	char asking[DNS_NAME_MAX];
	char key[2 + DNS_NAME_MAX]; /* type, name as asked for by the waiters */
};

struct waiter {
	struct link link; /* in lookup.waiters */
	struct mx_request *request;
	struct dns_answer *answer; /* owned, once it is there */
};

enum state { BEGIN, MX, ADDRESSES, TEXT, DONE };

struct mx_request {
	struct resolver *r;
	struct link link; /* in resolver.requests */
	mx_fn *fn;
	txt_fn *txt_fn; /* in place of fn: the words of a name are asked for */
	void *arg;
	unsigned flags;
	enum state state;
	char *domain; /* as given */
	size_t domain_len;
	char name[DNS_NAME_MAX];
	struct later later;
	struct timer deadline;
	unsigned pending; /* waiters without an answer */
	bool asked;       /* the cache did not know all */
	struct waiter txt, mx, a[MX_HOST_MAX], aaaa[MX_HOST_MAX];
	struct mx_list list;
	struct mx_answer answer;
	struct mx_host host[MX_HOST_MAX];
};

/* ---- look-ups */

static const char *
lookup_name(const struct lookup *lk)
{
	return lk->key + 2;
}

static void ask(struct lookup *lk);

static void
log_answer(const struct lookup *lk, const struct dns_answer *a)
{
	static const char *const kinds[] = {
	    "data", "no-data", "no-domain", "alias", "failed"};
	struct resolver *r = lk->r;
	char word[DNS_WORD];
	if (r->log == NULL || !log_wants(r->log, EV_DNS))
		return;
	LOG(r->log, EV_DNS, F_STR("name", lk->asking),
	    F_STR("type", dns_type_name(lk->type, word)), F_STR("result", kinds[a->kind]),
	    F_STR("trouble", a->trouble), F_INT("records", a->n), F_INT("ttl", a->ttl),
	    F_INT("ms", instant_since(loop_now(r->loop), lk->begun)));
}

/* What the transport or the server did wrong, and which servers those are. */
static struct dns_answer *
answer_failed(struct resolver *r, const char *what)
{
	char text[128];
	struct buf b, servers;
	buf_init(&b, sizeof(text) - 1);
	buf_init(&servers, 1024);
	r->transport->describe(r->transport, &servers);
	buf_addf(&b, "%s from %.*s", what, SPAN_ARG(span_cut(buf_span(&servers), 0, 56)));
	span_copy(buf_span(&b), text, sizeof(text));
	buf_clear(&b);
	buf_clear(&servers);
	return dns_answer_failed(text);
}

static struct dns_answer *
read_reply(struct lookup *lk, enum err status, struct span msg)
{
	switch (status) {
	case OK: break;
	case ERR_TIMEOUT: return answer_failed(lk->r, "timeout: no answer");
	case ERR_REFUSED: return answer_failed(lk->r, "connection refused: no answer");
	case ERR_FULL:
		return dns_answer_failed("too many questions wait for the name servers");
	default: return answer_failed(lk->r, "no answer");
	}
	struct dns_answer *a = dns_read_answer(msg, lk->id, lk->asking, lk->type);
	if (a->kind == DNS_FAILED) {
		struct dns_answer *with_server = answer_failed(lk->r, a->trouble);
		with_server->rcode = a->rcode;
		dns_answer_unref(&a);
		return with_server;
	}
	return a;
}

/* The answer is for the name that was asked first, whatever we were told since. */
static void
complete(struct lookup *lk, struct dns_answer *a)
{
	if (lk->ttl < a->ttl)
		a->ttl = lk->ttl;
	if (a->alias == NULL && strcmp(lk->asking, lookup_name(lk)) != 0)
		a->alias = mem_strdup(lk->asking);
}

static void
lookup_free(struct lookup **lkp)
{
	struct lookup *lk = *lkp;
	map_remove(&lk->r->lookups, &lk->node);
	mem_free(lkp);
}

static void
hand_out(struct lookup *lk, struct dns_answer *a)
{
	for (struct link *k; (k = list_pop(&lk->waiters)) != NULL;) {
		struct waiter *w = CONTAINER_OF(k, struct waiter, link);
		w->answer = dns_answer_ref(a);
		if (--w->request->pending == 0)
			later_set(&w->request->later);
	}
}

static void
on_reply(void *arg, enum err status, struct span msg)
{
	struct lookup *lk = arg;
	struct dns_answer *a = read_reply(lk, status, msg);
	log_answer(lk, a);
	lk->hops += a->hops;
	if (lk->hops > DNS_HOPS_MAX && a->kind != DNS_FAILED) {
		dns_answer_unref(&a);
		a = dns_answer_failed("malformed: CNAME loop, or a chain of more than 8");
	}
	if (a->kind == DNS_ALIAS) {
		if (a->ttl < lk->ttl)
			lk->ttl = a->ttl;
		span_copy(span_str(a->alias), lk->asking, sizeof(lk->asking));
		dns_answer_unref(&a);
		ask(lk);
		return;
	}
	complete(lk, a);
	dns_cache_put(lk->r->cache, lookup_name(lk), lk->type, a, loop_now(lk->r->loop));
	hand_out(lk, a);
	dns_answer_unref(&a);
	lookup_free(&lk);
}

static void
ask(struct lookup *lk)
{
	struct dns_transport *t = lk->r->transport;
	struct buf query;
	buf_init(&query, 512);
	world_random(loop_world(lk->r->loop), &lk->id, sizeof(lk->id));
	dns_add_query(&query, lk->id, lk->asking, lk->type);
	CHECK(!query.overflow);
	t->ask(t, buf_span(&query), on_reply, lk);
	buf_clear(&query);
}

static struct lookup *
lookup_start(struct resolver *r, const char *name, uint16_t type)
{
	struct lookup *lk = NEW(struct lookup);
	lk->r = r;
	list_init(&lk->waiters);
	lk->begun = loop_now(r->loop);
	lk->type = type;
	lk->ttl = UINT32_MAX;
	lk->key[0] = (char)(type >> 8);
	lk->key[1] = (char)(type & 0xff);
	span_copy(span_str(name), lk->key + 2, DNS_NAME_MAX);
	span_copy(span_str(name), lk->asking, sizeof(lk->asking));
	map_put(&r->lookups, &lk->node, (struct span){lk->key, 2 + strlen(name)});
	ask(lk);
	return lk;
}

static struct lookup *
lookup_find(struct resolver *r, const char *name, uint16_t type)
{
	char key[2 + DNS_NAME_MAX] = {(char)(type >> 8), (char)(type & 0xff)};
	span_copy(span_str(name), key + 2, DNS_NAME_MAX);
	struct map_node *k = map_get(&r->lookups, (struct span){key, 2 + strlen(name)});
	return k ? CONTAINER_OF(k, struct lookup, node) : NULL;
}

/* Give w the answer, now or when it comes. */
static void
await(struct waiter *w, struct mx_request *q, const char *name, uint16_t type)
{
	struct resolver *r = q->r;
	w->request = q;
	struct dns_answer *known = dns_cache_get(r->cache, name, type, loop_now(r->loop));
	if (known != NULL) {
		w->answer = dns_answer_ref(known);
		return;
	}
	struct lookup *lk = lookup_find(r, name, type);
	if (lk == NULL)
		lk = lookup_start(r, name, type);
	list_push(&lk->waiters, &w->link);
	q->pending++;
	q->asked = true;
}

/* ---- requests */

static uint64_t
below(void *arg, uint64_t bound)
{
	return world_random_below(arg, bound);
}

static struct mx_rules
rules_of(const struct mx_request *q)
{
	const struct resolver *r = q->r;
	return (struct mx_rules){
	    .flags = q->flags,
	    .own_names = (const char *const *)r->own_names,
	    .own_addr = r->own_addr,
	    .own_addrs = r->own_addrs,
	    .below = below,
	    .arg = loop_world(r->loop),
	};
}

static struct span
domain_of(const struct mx_request *q)
{
	return (struct span){q->domain, q->domain_len};
}

static bool
is_literal(const struct mx_request *q, struct net_addr *bare)
{
	bare->family = NET_NONE;
	if (q->domain[0] == '[')
		return true;
	return (q->flags & RESOLVE_HOST) != 0 && net_parse_ip(domain_of(q), bare) == OK;
}

static enum state
answer_literal(struct mx_request *q, const struct net_addr *bare)
{
	struct mx_rules rules = rules_of(q);
	char text[NET_TEXT];
	struct span literal = domain_of(q);
	if (bare->family != NET_NONE) {
		net_format_literal(bare, text);
		literal = span_str(text);
	}
	mx_from_literal(literal, &rules, &q->answer);
	return DONE;
}

static enum state
answer_bad_name(struct mx_request *q)
{
	struct buf b;
	buf_init(&b, 1024);
	buf_add_escaped(&b, span_cut(domain_of(q), 0, 100));
	buf_add_str(&b, ": no domain name");
	q->answer.outcome = MX_NO_DOMAIN;
	span_copy(buf_span(&b), q->answer.why, sizeof(q->answer.why));
	buf_clear(&b);
	return DONE;
}

/* The hosts are known, or the outcome is. mx: NULL with RESOLVE_HOST. */
static enum state
choose(struct mx_request *q, const struct dns_answer *mx)
{
	struct mx_rules rules = rules_of(q);
	bool more = mx_begin(q->name, mx, &rules, &q->list, &q->answer);
	q->answer.host = q->host;
	if (!more)
		return DONE;
	for (size_t i = 0; i < q->list.n; i++) {
		const char *name = q->list.target[i].name;
		if ((q->flags & RESOLVE_IPV4_ONLY) == 0)
			await(&q->aaaa[i], q, name, DNS_AAAA);
		if ((q->flags & RESOLVE_IPV6_ONLY) == 0)
			await(&q->a[i], q, name, DNS_A);
	}
	return ADDRESSES;
}

/* Does the machine know this name by itself? */
static bool
answer_from_file(struct mx_request *q)
{
	enum net_family family = (q->flags & RESOLVE_IPV4_ONLY)   ? NET_IPV4
				 : (q->flags & RESOLVE_IPV6_ONLY) ? NET_IPV6
								  : NET_NONE;
	struct mx_host *host = &q->host[0];
	if ((q->flags & RESOLVE_FILE) == 0 || q->r->hosts_file == NULL)
		return false;
	*host = (struct mx_host){0};
	host->addrs = hosts_file_find(
	    q->r->hosts_file, span_str(q->name), family, host->addr, MX_ADDR_MAX);
	if (host->addrs == 0)
		return false;
	span_copy(span_str(q->name), host->name, sizeof(host->name));
	q->answer.outcome = MX_HOSTS;
	q->answer.hosts = 1;
	q->answer.host = q->host;
	return true;
}

static enum state
begin_text(struct mx_request *q)
{
	if (!dns_name_read(domain_of(q), q->name))
		return DONE;
	await(&q->txt, q, q->name, DNS_TXT);
	return TEXT;
}

static enum state
begin(struct mx_request *q)
{
	struct net_addr bare;
	if (q->txt_fn != NULL)
		return begin_text(q);
	if (is_literal(q, &bare))
		return answer_literal(q, &bare);
	if (!dns_name_read(domain_of(q), q->name))
		return answer_bad_name(q);
	if ((q->flags & RESOLVE_HOST) != 0)
		return answer_from_file(q) ? DONE : choose(q, NULL);
	await(&q->mx, q, q->name, DNS_MX);
	return MX;
}

static enum state
conclude(struct mx_request *q)
{
	struct mx_rules rules = rules_of(q);
	for (size_t i = 0; i < q->list.n; i++) {
		q->list.target[i].a = q->a[i].answer;
		q->list.target[i].aaaa = q->aaaa[i].answer;
	}
	mx_conclude(q->name, &rules, &q->list, &q->answer);
	return DONE;
}

static void
waiter_clear(struct waiter *w)
{
	list_remove(&w->link);
	dns_answer_unref(&w->answer);
}

static void
detach(struct mx_request *q)
{
	list_remove(&q->link);
	later_clear(&q->later);
	timer_clear(&q->deadline);
	waiter_clear(&q->mx);
	waiter_clear(&q->txt);
	for (size_t i = 0; i < MX_HOST_MAX; i++) {
		waiter_clear(&q->a[i]);
		waiter_clear(&q->aaaa[i]);
	}
}

static void
request_free(struct mx_request **qp)
{
	detach(*qp);
	mem_free(&(*qp)->domain);
	mem_free(qp);
}

static void
deliver_text(struct mx_request *q)
{
	struct dns_answer *a = q->txt.answer;
	q->txt.answer = NULL;
	detach(q);
	q->txt_fn(q->arg,
	    a != NULL && a->n > 0 ? span_str(a->record[0].text) : (struct span){0});
	dns_answer_unref(&a);
}

static void
count(struct resolver_counters *c, const struct mx_answer *a)
{
	if (c == NULL)
		return;
	atomic_fetch_add_explicit(&c->outcome[a->outcome], 1, memory_order_relaxed);
	if (a->cached)
		atomic_fetch_add_explicit(&c->cached, 1, memory_order_relaxed);
}

static void
deliver(struct mx_request *q)
{
	q->answer.cached = !q->asked;
	/* detached, q outlives even the resolver, if the callback ends that */
	if (q->txt_fn != NULL) {
		deliver_text(q);
	} else {
		count(q->r->counters, &q->answer);
		detach(q);
		q->fn(q->arg, &q->answer);
	}
	mem_free(&q->domain);
	mem_free(&q);
}

static void
run(void *arg)
{
	struct mx_request *q = arg;
	while (q->state != DONE && q->pending == 0) {
		switch (q->state) {
		case BEGIN: q->state = begin(q); break;
		case MX: q->state = choose(q, q->mx.answer); break;
		case ADDRESSES: q->state = conclude(q); break;
		case TEXT: q->state = DONE; break;
		case DONE: break;
		}
	}
	if (q->state == DONE)
		deliver(q);
}

static void
give_up(struct waiter *w)
{
	if (!link_in_list(&w->link))
		return;
	list_remove(&w->link);
	w->answer = answer_failed(w->request->r, "timeout: within 30 s no answer");
	w->request->pending--;
}

/* What is there by now is used; what is missing has failed for now. */
static void
on_deadline(void *arg)
{
	struct mx_request *q = arg;
	give_up(&q->mx);
	give_up(&q->txt);
	if (q->state == MX)
		q->state = choose(q, q->mx.answer);
	for (size_t i = 0; i < MX_HOST_MAX; i++) {
		give_up(&q->a[i]);
		give_up(&q->aaaa[i]);
	}
	CHECK(q->pending == 0);
	run(q);
}

static struct mx_request *
start(struct resolver *r, struct span domain, void *arg)
{
	struct mx_request *q = NEW(struct mx_request);
	q->r = r;
	q->arg = arg;
	q->domain = span_dup(domain);
	q->domain_len = domain.n;
	q->answer.host = q->host;
	list_push(&r->requests, &q->link);
	later_init(&q->later, r->loop, run, q);
	later_set(&q->later);
	timer_init(&q->deadline, r->loop, on_deadline, q);
	timer_set(&q->deadline, MX_DEADLINE_MS);
	return q;
}

struct mx_request *
resolver_mx_start(
    struct resolver *r, struct span domain, unsigned flags, mx_fn *fn, void *arg)
{
	struct mx_request *q = start(r, domain, arg);
	q->fn = fn;
	q->flags = flags;
	return q;
}

struct mx_request *
resolver_txt_start(struct resolver *r, struct span name, txt_fn *fn, void *arg)
{
	struct mx_request *q = start(r, name, arg);
	q->txt_fn = fn;
	return q;
}

void
resolver_cancel(struct mx_request **qp)
{
	if (*qp != NULL)
		request_free(qp);
}

/* ---- the resolver */

static char **
copy_names(const char *const *names)
{
	size_t n = 0;
	while (names != NULL && names[n] != NULL)
		n++;
	char **copy = mem_alloc((n + 1) * sizeof(char *));
	for (size_t i = 0; i < n; i++)
		copy[i] = mem_strdup(names[i]);
	return copy;
}

struct resolver *
resolver_new(struct loop *l, struct log *log, struct dns_transport *t,
    const struct resolver_options *o)
{
	struct resolver *r = NEW(struct resolver);
	uint64_t seed[2];
	r->loop = l;
	r->log = log;
	r->transport = t;
	world_random(loop_world(l), seed, sizeof(seed));
	map_init(&r->lookups, seed);
	list_init(&r->requests);
	r->cache = dns_cache_new(o->cache_max ? o->cache_max : CACHE_ENTRIES, seed);
	r->own_names = copy_names(o->own_names);
	r->own_addr = mem_alloc(o->own_addrs * sizeof(*r->own_addr));
	r->own_addrs = o->own_addrs;
	if (o->own_addrs > 0)
		memcpy(r->own_addr, o->own_addr, o->own_addrs * sizeof(*r->own_addr));
	r->hosts_file = o->hosts_file;
	r->counters = o->counters;
	return r;
}

static void
free_requests_and_lookups(struct resolver *r)
{
	LIST_EACH (&r->requests, k) {
		struct mx_request *q = CONTAINER_OF(k, struct mx_request, link);
		request_free(&q);
	}
	MAP_EACH (&r->lookups, k) {
		struct lookup *lk = CONTAINER_OF(k, struct lookup, node);
		lookup_free(&lk);
	}
	map_clear(&r->lookups);
}

void
resolver_free(struct resolver **rp)
{
	struct resolver *r = *rp;
	if (r == NULL)
		return;
	r->transport->free(r->transport);
	free_requests_and_lookups(r);
	dns_cache_free(&r->cache);
	for (char **name = r->own_names; *name != NULL; name++)
		mem_free(name);
	mem_free(&r->own_names);
	mem_free(&r->own_addr);
	mem_free(rp);
}

void
resolver_flush(struct resolver *r)
{
	dns_cache_flush(r->cache);
}

size_t
resolver_cached(const struct resolver *r)
{
	return dns_cache_count(r->cache);
}

const char *
mx_outcome_name(enum mx_outcome o)
{
	switch (o) {
	case MX_HOSTS: return "hosts";
	case MX_NULL: return "null-mx";
	case MX_NO_DOMAIN: return "no-domain";
	case MX_NO_HOST: return "no-host";
	case MX_SELF: return "self";
	case MX_TEMPORARY: return "temporary";
	}
	return "?";
}
