/* SPDX-License-Identifier: ISC */
/*
 * engine - channels and the exchanges on them.
 *
 * Whatever fails is answered `delay` after the client's last message: the time
 * tells nothing of what was wrong.  A name that is not there has a password hashed
 * all the same, so that the machine's load tells nothing either.
 */
#include <string.h>
#include <sys/types.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/mem.h"
#include "relay/signin/exchange.h"

#define DELAY_MS (2 * SECOND_MS)
#define ATTEMPTS 10
#define LOCKOUT_MS (15 * MINUTE_MS)
#define CACHE_MS (5 * MINUTE_MS)

/* A password on its way through the pool. */
struct hashing {
	struct pool_job job;
	struct signin_engine *engine;
	struct exchange *exchange; /* NULL: cancelled meanwhile */
	struct net_addr client;
	char *password;
	char *hash[SECRETS_MAX]; /* those that it may fit */
	size_t hashes;
	uint64_t changed; /* the account's, when it began */
	int fits;         /* index of the one; -1: none */
};

/* ---- the end of an exchange */

static void
wipe(char **text)
{
	if (*text != NULL)
		explicit_bzero(*text, strlen(*text));
	mem_free(text);
}

static void
exchange_free(struct exchange *x)
{
	char **text[] = {&x->service, &x->hostname, &x->fingerprint, &x->certificate_name,
	    &x->certificate_email, &x->exporter, &x->unique};
	if (x->hashing != NULL)
		x->hashing->exchange = NULL;
	timer_clear(&x->due);
	map_remove(&x->channel->exchanges, &x->node);
	x->engine->exchanges--;
	if (x->session != NULL)
		gsasl_finish(x->session);
	buf_clear(&x->said);
	wipe(&x->password);
	for (size_t i = 0; i < COUNT_OF(text); i++)
		mem_free(text[i]);
	mem_free(&x);
}

static void
post(struct channel *c, struct buf *record)
{
	wire_send(c->wire, buf_span(record));
	buf_wipe(record);
}

static void
on_due(void *arg)
{
	struct exchange *x = arg;
	struct buf b;
	char status[16];
	buf_init(&b, 4096);
	verdict_status(&x->verdict, status);
	record_begin(&b, WIRE_FAILED, x->number);
	record_add_u64(&b, x->verdict.code);
	record_add(&b, span_str(status));
	record_add(&b, span_str(x->verdict.text));
	record_add(&b, span_str(x->name));
	record_add(&b, span_str(x->why));
	post(x->channel, &b);
	exchange_free(x);
}

void
exchange_fail(struct exchange *x, unsigned code, const char *status, const char *text,
    const char *why)
{
	struct signin_engine *e = x->engine;
	x->verdict = verdict_make(code, status, "%s", text);
	x->why = why;
	x->over = true;
	wipe(&x->password);
	int64_t took = instant_since(loop_now(e->loop), x->began);
	int64_t left = e->settings.delay_ms - took;
	timer_set(&x->due, left > 0 ? left : 0);
}

static struct guard_limits
limits(const struct signin_engine *e)
{
	return (struct guard_limits){e->settings.attempts, e->settings.lockout_ms};
}

static void
locked(struct exchange *x)
{
	exchange_fail(
	    x, 454, "4.7.0", "too many failures; try again later", "locked out");
}

void
exchange_wrong(struct exchange *x, struct span wrong, const char *why)
{
	struct signin_engine *e = x->engine;
	struct guard_limits l = limits(e);
	/* Who is locked out is told so, whatever he said: or he would go on guessing. */
	if (guard_locked(&e->guard, &x->client, span_str(x->name), loop_now(e->loop))) {
		locked(x);
		return;
	}
	guard_failed(
	    &e->guard, &x->client, span_str(x->name), wrong, &l, loop_now(e->loop));
	exchange_fail(x, 535, "5.7.8", "authentication credentials invalid", why);
}

void
exchange_challenge(struct exchange *x, struct span data)
{
	struct buf b;
	/* SCRAM says the client's nonce again, and more: what was just short enough to
	 * come would be too long for the other side, which ends the channel of all. */
	if (data.n > SIGNIN_DATA_MAX) {
		exchange_fail(x, 501, "5.5.2", "this is not a message of the mechanism",
		    "too long");
		return;
	}
	buf_init(&b, SIGNIN_DATA_MAX + 64);
	record_begin(&b, WIRE_CHALLENGE, x->number);
	record_add(&b, data.p != NULL ? data : SPAN(""));
	post(x->channel, &b);
	x->step++;
}

static void
tell_done(struct exchange *x, const char *name, const char *label, bool queue,
    const struct name_list *senders, struct span last)
{
	struct buf b;
	buf_init(&b, WIRE_RECORD_MAX);
	record_begin(&b, WIRE_DONE, x->number);
	record_add(&b, span_str(name));
	record_add(&b, span_str(label));
	record_add_u64(&b, queue);
	record_add_u64(&b, senders != NULL ? senders->n : 0);
	for (size_t i = 0; senders != NULL && i < senders->n; i++)
		record_add(&b, span_str(senders->name[i]));
	record_add(&b, last);
	post(x->channel, &b);
	exchange_free(x);
}

void
exchange_done(
    struct exchange *x, struct account *acc, const char *label, struct span last)
{
	struct signin_engine *e = x->engine;
	if (guard_locked(&e->guard, &x->client, span_str(acc->name), loop_now(e->loop))) {
		locked(x);
		return;
	}
	guard_succeeded(&e->guard, &x->client, span_str(acc->name));
	acc->last = world_wall(loop_world(e->loop));
	/* a certificate is no secret: its word is not a label */
	const struct secret *s =
	    x->mechanism->external ? NULL : account_secret(acc, span_str(label));
	bool shows = strcmp(x->service, "imap") == 0 || strcmp(x->service, "queue") == 0;
	bool queue = s != NULL && shows && secret_shows_queue(s);
	tell_done(x, acc->name, label, queue, &acc->senders, last);
}

/* ---- passwords */

static void
hashing_run(struct pool_job *job)
{
	struct hashing *h = CONTAINER_OF(job, struct hashing, job);
	char nothing[HASH_TEXT];
	h->fits = -1;
	for (size_t i = 0; i < h->hashes && h->fits < 0; i++)
		if (password_fits(span_str(h->password), h->hash[i]))
			h->fits = (int)i;
	if (h->hashes == 0) /* as much work as for one who is there */
		(void)password_hash(span_str(h->password), nothing);
}

static const struct secret *
secret_with_hash(const struct account *acc, const char *hash)
{
	for (size_t i = 0; i < acc->secrets; i++)
		if (strcmp(acc->secret[i].hash, hash) == 0)
			return &acc->secret[i];
	return NULL;
}

static void
hashed(struct exchange *x, const struct hashing *h)
{
	struct signin_engine *e = x->engine;
	struct span name = span_str(x->name), password = span_str(h->password);
	struct account *acc = accounts_find(e->accounts, name);
	const struct secret *s = NULL;
	if (h->fits >= 0 && acc != NULL && acc->changed == h->changed)
		s = secret_with_hash(acc, h->hash[h->fits]);
	if (s == NULL) {
		exchange_wrong(x, password,
		    acc == NULL     ? "no such account"
		    : acc->disabled ? "disabled"
				    : "wrong password");
		return;
	}
	if (e->settings.cache_ms > 0)
		guard_believe(&e->guard, name, password, x->service, s->label,
		    acc->changed, instant_after(loop_now(e->loop), e->settings.cache_ms));
	exchange_done(x, acc, s->label, (struct span){0});
}

static void
hashing_done(struct pool_job *job)
{
	struct hashing *h = CONTAINER_OF(job, struct hashing, job);
	struct exchange *x = h->exchange;
	struct guard_limits l = limits(h->engine);
	h->engine->hashing--;
	(void)guard_hashing(&h->engine->guard, &h->client, false, &l);
	if (x != NULL) {
		x->hashing = NULL;
		hashed(x, h);
	}
	wipe(&h->password);
	for (size_t i = 0; i < h->hashes; i++)
		wipe(&h->hash[i]);
	mem_free(&h);
}

static void
start_hashing(struct exchange *x, const struct account *acc, struct span password)
{
	struct signin_engine *e = x->engine;
	struct guard_limits l = limits(e);
	if (e->hashing >= HASHING_MAX ||
	    !guard_hashing(&e->guard, &x->client, true, &l)) {
		exchange_fail(x, 454, "4.7.0", "temporary authentication failure",
		    "too many passwords at once");
		return;
	}
	struct hashing *h = NEW(struct hashing);
	h->engine = e;
	h->exchange = x;
	h->client = x->client;
	h->password = span_dup(password);
	for (size_t i = 0; acc != NULL && !acc->disabled && i < acc->secrets; i++)
		if (secret_serves(&acc->secret[i], x->service))
			h->hash[h->hashes++] = mem_strdup(acc->secret[i].hash);
	h->changed = acc != NULL ? acc->changed : 0;
	h->job.run = hashing_run;
	h->job.done = hashing_done;
	x->hashing = h;
	e->hashing++;
	pool_start(e->pool, &h->job, loop_inbox(e->loop));
}

void
exchange_check(struct exchange *x, struct span name, struct span password)
{
	struct signin_engine *e = x->engine;
	struct instant now = loop_now(e->loop);
	span_copy(name, x->name, sizeof(x->name));
	if (x->any) {
		tell_done(x, "", "", false, NULL, (struct span){0});
		return;
	}
	if (guard_locked(&e->guard, &x->client, name, now)) {
		locked(x);
		return;
	}
	struct account *acc =
	    name.n <= ACCOUNT_NAME_MAX ? accounts_find(e->accounts, name) : NULL;
	const char *label =
	    acc != NULL && !acc->disabled
		? guard_believed(&e->guard, name, password, x->service, acc->changed, now)
		: NULL;
	if (label != NULL)
		exchange_done(x, acc, label, (struct span){0});
	else
		start_hashing(x, acc, password);
}

/* ---- records */

static struct exchange *
find(const struct channel *c, uint32_t number)
{
	struct map_node *k =
	    map_get(&c->exchanges, (struct span){(const char *)&number, sizeof(number)});
	return k != NULL ? CONTAINER_OF(k, struct exchange, node) : NULL;
}

static char *
copy(struct record *r, size_t max)
{
	return span_dup(record_span(r, max));
}

static char *
copy_coded(struct record *r)
{
	struct span data = record_span(r, 256);
	struct buf b;
	if (data.n == 0)
		return NULL;
	buf_init(&b, 1024);
	base64_encode(data, &b);
	return buf_take(&b);
}

static struct exchange *
exchange_new(struct channel *c, struct record *r)
{
	struct exchange *x = NEW(struct exchange);
	x->channel = c;
	x->engine = c->engine;
	x->number = r->number;
	x->began = loop_now(c->engine->loop);
	timer_init(&x->due, c->engine->loop, on_due, x);
	map_put(&c->exchanges, &x->node,
	    (struct span){(const char *)&x->number, sizeof(x->number)});
	c->engine->exchanges++;
	return x;
}

/* Is this mechanism one that was offered for these facts? */
static bool
may_use(const struct exchange *x)
{
	const struct mechanism *m = x->mechanism;
	if (m == NULL || (x->any && !m->clear) ||
	    (m->only != NULL && strcmp(m->only, x->service) != 0))
		return false;
	if (m->plus)
		return x->exporter != NULL || x->unique != NULL;
	return !m->external || (x->fingerprint != NULL && x->fingerprint[0] != '\0');
}

static bool
take_facts(struct exchange *x, struct record *r)
{
	char *client;
	x->service = copy(r, 32);
	client = copy(r, NET_TEXT);
	x->hostname = copy(r, 256);
	x->exporter = copy_coded(r);
	x->unique = copy_coded(r);
	x->fingerprint = copy(r, 128);
	x->certificate_name = copy(r, 256);
	x->certificate_email = copy(r, 256);
	uint64_t flags = record_u64(r);
	x->certificate_verified = (flags & 1) != 0;
	x->any = (flags & 2) != 0;
	if (net_parse_ip(span_str(client), &x->client) != OK)
		x->client = (struct net_addr){0};
	mem_free(&client);
	return !r->bad;
}

static void
advance(struct exchange *x, struct span data)
{
	if (x->over || x->hashing != NULL)
		return; /* the client speaks out of turn: it gets the answer that is due
			 */
	x->began = loop_now(x->engine->loop);
	if (data.p == NULL && x->mechanism->client_first)
		exchange_challenge(x, SPAN(""));
	else
		x->mechanism->step(x, data);
}

static bool
on_begin(struct channel *c, struct record *r)
{
	if (find(c, r->number) != NULL)
		return false;
	struct span mechanism = record_span(r, 64);
	struct exchange *x = exchange_new(c, r);
	x->mechanism = mechanism_find(mechanism);
	if (!take_facts(x, r))
		return false;
	struct span initial = record_span(r, SIGNIN_DATA_MAX);
	if (!record_done(r))
		return false;
	if (!may_use(x)) {
		x->began.ms = 0; /* nothing secret is in this answer: it comes at once */
		exchange_fail(
		    x, 504, "5.5.4", "this mechanism is not offered", "not offered");
	} else if (c->engine->exchanges > EXCHANGES_MAX) {
		exchange_fail(x, 454, "4.7.0", "temporary authentication failure",
		    "too many at once");
	} else {
		advance(x, initial);
	}
	return true;
}

static bool
on_respond(struct channel *c, struct record *r)
{
	struct exchange *x = find(c, r->number);
	struct span data = record_span(r, SIGNIN_DATA_MAX);
	if (!record_done(r))
		return false;
	if (x != NULL)
		advance(x, data.p != NULL ? data : SPAN(""));
	return true;
}

/* Within what can be configured: none of it can take a clock beyond its end. */
static bool
are_bounded(const struct signin_settings *s)
{
	return s->delay_ms >= 0 && s->delay_ms <= SIGNIN_DELAY_MAX && s->attempts > 0 &&
	       s->lockout_ms >= 0 && s->lockout_ms <= DAY_MS && s->cache_ms >= 0 &&
	       s->cache_ms <= DAY_MS;
}

static bool
on_settings(struct channel *c, struct record *r)
{
	struct signin_settings s = {
	    .delay_ms = (int64_t)record_u64(r),
	    .attempts = (unsigned)record_u64(r),
	    .lockout_ms = (int64_t)record_u64(r),
	    .cache_ms = (int64_t)record_u64(r),
	};
	if (!record_done(r) || !are_bounded(&s))
		return false;
	c->engine->settings = s;
	return true;
}

struct telling {
	struct channel *channel;
	uint32_t number;
};

static void
tell_object(void *arg, struct span object, bool end)
{
	const struct telling *t = arg;
	struct buf b;
	buf_init(&b, WIRE_RECORD_MAX);
	record_begin(&b, end ? WIRE_END : WIRE_OBJECT, t->number);
	record_add(&b, object);
	post(t->channel, &b);
}

static bool
on_admin(struct channel *c, struct record *r)
{
	struct span request = record_span(r, WIRE_RECORD_MAX);
	struct telling t = {c, r->number};
	if (!record_done(r))
		return false;
	accounts_admin(c->engine->accounts, request, tell_object, &t);
	return true;
}

static void channel_free(struct channel *c);

static void
on_record(void *arg, struct span bytes)
{
	struct channel *c = arg;
	struct record r;
	struct exchange *x;
	bool ok = record_open(&r, bytes);
	switch (ok ? r.kind : 0) {
	case WIRE_BEGIN: ok = on_begin(c, &r); break;
	case WIRE_RESPOND: ok = on_respond(c, &r); break;
	case WIRE_SETTINGS: ok = on_settings(c, &r); break;
	case WIRE_ADMIN: ok = on_admin(c, &r); break;
	case WIRE_CANCEL:
		x = find(c, r.number);
		if (x != NULL)
			exchange_free(x);
		break;
	default: ok = false;
	}
	if (!ok)
		channel_free(c);
}

/* ---- channels */

static struct channel *
channel_new(struct signin_engine *e)
{
	struct channel *c = NEW(struct channel);
	uint64_t seed[2];
	world_random(loop_world(e->loop), seed, sizeof(seed));
	c->engine = e;
	map_init(&c->exchanges, seed);
	list_push(&e->channels, &c->link);
	return c;
}

static void
channel_free(struct channel *c)
{
	void (*closed)(void *) = c->closed;
	void *arg = c->arg;
	while (c->exchanges.n > 0)
		exchange_free(
		    CONTAINER_OF(map_first(&c->exchanges), struct exchange, node));
	map_clear(&c->exchanges);
	wire_free(&c->wire);
	list_remove(&c->link);
	mem_free(&c);
	if (closed != NULL)
		closed(arg);
}

static void
on_closed(void *arg)
{
	channel_free(arg);
}

void
signin_engine_serve(struct signin_engine *e, int fd, void (*closed)(void *arg), void *arg)
{
	struct channel *c = channel_new(e);
	struct buf hello;
	c->closed = closed;
	c->arg = arg;
	c->wire = wire_new(e->loop, fd, on_record, on_closed, c);
	buf_init(&hello, 64);
	record_begin(&hello, WIRE_HELLO, 0);
	post(c, &hello);
}

void
signin_engine_join(struct signin_engine *e, struct wire *other)
{
	struct channel *c = channel_new(e);
	c->wire = wire_new_inline(e->loop, on_record, c);
	wire_join(c->wire, other);
}

/* ---- life */

struct signin_engine *
signin_engine_new(const struct signin_engine_options *o, struct buf *why)
{
	struct accounts *a;
	if (accounts_open(&a, loop_world(o->loop), o->dir, why) != OK)
		return NULL;
	struct signin_engine *e = NEW(struct signin_engine);
	e->loop = o->loop;
	e->pool = o->pool;
	e->log = o->log;
	e->accounts = a;
	e->settings = (struct signin_settings){DELAY_MS, ATTEMPTS, LOCKOUT_MS, CACHE_MS};
	list_init(&e->channels);
	guard_init(&e->guard, loop_world(o->loop));
	CHECK(gsasl_init(&e->gsasl) == GSASL_OK);
	gsasl_callback_set(e->gsasl, scram_property);
	return e;
}

void
signin_engine_free(struct signin_engine **ep)
{
	struct signin_engine *e = *ep;
	if (e == NULL)
		return;
	LIST_EACH (&e->channels, k) {
		struct channel *c = CONTAINER_OF(k, struct channel, link);
		c->closed = NULL;
		channel_free(c);
	}
	guard_clear(&e->guard);
	gsasl_done(e->gsasl);
	accounts_close(&e->accounts);
	mem_free(ep);
}
