/* SPDX-License-Identifier: ISC */
/*
 * signin - the asking side: one wire per thread, exchanges by number.
 *
 * The helper may die and come back; the wire stays, and what was asked of the
 * old one is never answered: so every exchange has a deadline of its own.
 */
#include "relay/signin/signin.h"

#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "relay/signin/engine.h"
#include "relay/signin/wire.h"

#define ADMIN_WAIT_MS (60 * SECOND_MS)

struct signin {
	struct loop *loop;
	struct log *log;
	struct wire *wire; /* NULL: the helper is gone for good */
	struct map exchanges, admins;
	uint32_t last;
	bool greeted; /* an engine has said hello before */
	bool settled; /* `settings` are what the engine shall go by */
	struct signin_settings settings;
};

struct signin_exchange {
	struct map_node node;
	struct signin *signin;
	uint32_t number;
	struct timer deadline;
	signin_fn *fn;
	void *arg;
};

struct admin {
	struct map_node node;
	struct signin *signin;
	uint32_t number;
	struct timer deadline;
	void (*told)(void *arg, struct span object, bool end);
	void *arg;
};

/* ---- exchanges */

static struct span
key_of(const uint32_t *number)
{
	return (struct span){(const char *)number, sizeof(*number)};
}

static void
forget(struct signin_exchange *x)
{
	timer_clear(&x->deadline);
	map_remove(&x->signin->exchanges, &x->node);
	mem_free(&x);
}

static void
post(struct signin *s, struct buf *b)
{
	if (s->wire != NULL)
		wire_send(s->wire, buf_span(b));
	buf_wipe(b);
}

static void
send_cancel(struct signin *s, uint32_t number)
{
	struct buf b;
	buf_init(&b, 64);
	record_begin(&b, WIRE_CANCEL, number);
	post(s, &b);
}

static void
answer(struct signin_exchange *x, struct signin_answer *a)
{
	signin_fn *fn = x->fn;
	void *arg = x->arg;
	if (a->kind != SIGNIN_CHALLENGE)
		forget(x);
	fn(arg, a);
}

static void
on_deadline(void *arg)
{
	struct signin_exchange *x = arg;
	struct signin_answer a = {
	    .kind = SIGNIN_FAILED, .why = "the helper does not answer"};
	a.verdict = verdict_make(454, "4.7.0", "temporary authentication failure");
	send_cancel(x->signin, x->number);
	answer(x, &a);
}

static struct signin_exchange *
find(const struct signin *s, uint32_t number)
{
	struct map_node *k = map_get(&s->exchanges, key_of(&number));
	return k != NULL ? CONTAINER_OF(k, struct signin_exchange, node) : NULL;
}

static void
add_facts(struct buf *b, const struct signin_facts *f)
{
	char client[NET_TEXT];
	net_format_ip(&f->client, client);
	record_add(b, span_str(f->service));
	record_add(b, span_str(client));
	record_add(b, span_str(f->hostname));
	record_add(b, f->exporter);
	record_add(b, f->unique);
	record_add(b, f->fingerprint);
	record_add(b, f->certificate_name);
	record_add(b, f->certificate_email);
	record_add_u64(b, (f->certificate_verified ? 1u : 0u) | (f->any ? 2u : 0u));
}

struct signin_exchange *
signin_begin(struct signin *s, struct span mechanism, const struct signin_facts *f,
    struct span initial, signin_fn *fn, void *arg)
{
	struct signin_exchange *x = NEW(struct signin_exchange);
	x->signin = s;
	do
		x->number = ++s->last;
	while (find(s, x->number) != NULL);
	x->fn = fn;
	x->arg = arg;
	map_put(&s->exchanges, &x->node, key_of(&x->number));
	timer_init(&x->deadline, s->loop, on_deadline, x);
	timer_set(&x->deadline, s->wire != NULL ? SIGNIN_WAIT_MS : 0);
	struct buf b;
	buf_init(&b, WIRE_RECORD_MAX);
	record_begin(&b, WIRE_BEGIN, x->number);
	record_add(&b, span_cut(mechanism, 0, 64));
	add_facts(&b, f);
	record_add(&b, span_cut(initial, 0, SIGNIN_DATA_MAX));
	post(s, &b);
	return x;
}

void
signin_respond(struct signin_exchange *x, struct span response)
{
	struct buf b;
	buf_init(&b, WIRE_RECORD_MAX);
	record_begin(&b, WIRE_RESPOND, x->number);
	record_add(&b, span_cut(response, 0, SIGNIN_DATA_MAX));
	timer_set(&x->deadline, SIGNIN_WAIT_MS);
	post(x->signin, &b);
}

void
signin_cancel(struct signin_exchange **xp)
{
	struct signin_exchange *x = *xp;
	*xp = NULL;
	if (x == NULL)
		return;
	send_cancel(x->signin, x->number);
	forget(x);
}

/* ---- administrators */

static struct admin *
find_admin(const struct signin *s, uint32_t number)
{
	struct map_node *k = map_get(&s->admins, key_of(&number));
	return k != NULL ? CONTAINER_OF(k, struct admin, node) : NULL;
}

static void
admin_end(struct admin *q, struct span object)
{
	void (*told)(void *, struct span, bool) = q->told;
	void *arg = q->arg;
	timer_clear(&q->deadline);
	map_remove(&q->signin->admins, &q->node);
	mem_free(&q);
	told(arg, object, true);
}

static void
on_admin_deadline(void *arg)
{
	admin_end(
	    arg, SPAN("{\"end\":true,\"status\":1,\"error\":\"the accounts helper does "
		      "not answer; see relayd's log\"}"));
}

void
signin_admin(struct signin *s, struct span request,
    void (*told)(void *arg, struct span object, bool end), void *arg)
{
	struct admin *q = NEW(struct admin);
	struct buf b;
	q->signin = s;
	do
		q->number = ++s->last;
	while (find_admin(s, q->number) != NULL);
	q->told = told;
	q->arg = arg;
	map_put(&s->admins, &q->node, key_of(&q->number));
	timer_init(&q->deadline, s->loop, on_admin_deadline, q);
	bool fits = request.n < WIRE_RECORD_MAX - 1024;
	timer_set(&q->deadline, s->wire != NULL && fits ? ADMIN_WAIT_MS : 0);
	buf_init(&b, WIRE_RECORD_MAX);
	record_begin(&b, WIRE_ADMIN, q->number);
	record_add(&b, fits ? request : SPAN(""));
	post(s, &b);
}

void
signin_settings(struct signin *s, const struct signin_settings *settings)
{
	struct buf b;
	s->settings = *settings;
	s->settled = true;
	buf_init(&b, 256);
	record_begin(&b, WIRE_SETTINGS, 0);
	record_add_u64(&b, (uint64_t)settings->delay_ms);
	record_add_u64(&b, settings->attempts);
	record_add_u64(&b, (uint64_t)settings->lockout_ms);
	record_add_u64(&b, (uint64_t)settings->cache_ms);
	post(s, &b);
}

/* ---- what comes back */

static bool
take_senders(struct account_card *card, struct record *r)
{
	uint64_t n = record_u64(r);
	struct buf why;
	if (n > ACCOUNT_SENDERS_MAX)
		return false;
	buf_init(&why, 1024);
	card->sender = mem_alloc((size_t)(n + 1) * sizeof(*card->sender));
	bool ok = true;
	for (uint64_t i = 0; ok && i < n; i++) {
		ok = route_pattern_parse(
			 record_span(r, 1024), &card->sender[card->senders], &why) == OK;
		card->senders += ok;
	}
	buf_clear(&why);
	return ok;
}

static bool
on_done(struct signin_exchange *x, struct record *r)
{
	struct signin_answer a = {.kind = SIGNIN_DONE};
	struct account_card *card = NEW(struct account_card);
	card->name = span_dup(record_span(r, ACCOUNT_NAME_MAX));
	card->secret = span_dup(record_span(r, 256));
	card->queue = record_u64(r) == 1;
	bool ok = take_senders(card, r);
	a.last = record_span(r, SIGNIN_DATA_MAX);
	if (!ok || !record_done(r)) {
		account_card_free(&card);
		return false;
	}
	a.card = card;
	span_copy(span_str(card->name), a.name, sizeof(a.name));
	answer(x, &a);
	return true;
}

static bool
on_failed(struct signin_exchange *x, struct record *r)
{
	struct signin_answer a = {.kind = SIGNIN_FAILED};
	char status[16], text[VERDICT_TEXT], why[128];
	uint64_t code = record_u64(r);
	struct buf name;
	span_copy(record_span(r, sizeof(status)), status, sizeof(status));
	span_copy(record_span(r, sizeof(text)), text, sizeof(text));
	buf_init(&name, 4096);
	buf_add_escaped(&name, record_span(r, 4 * ACCOUNT_NAME_MAX));
	span_copy(buf_span(&name), a.name, sizeof(a.name));
	buf_clear(&name);
	span_copy(record_span(r, sizeof(why)), why, sizeof(why));
	if (!record_done(r) || code < 400 || code > 599)
		return false;
	a.verdict = verdict_make((unsigned)code, status, "%s", text);
	a.why = why;
	answer(x, &a);
	return true;
}

static bool
on_answer(struct signin *s, struct record *r)
{
	struct signin_exchange *x = find(s, r->number);
	if (x == NULL)
		return true; /* cancelled meanwhile */
	if (r->kind == WIRE_DONE)
		return on_done(x, r);
	if (r->kind == WIRE_FAILED)
		return on_failed(x, r);
	struct signin_answer a = {.kind = SIGNIN_CHALLENGE};
	a.data = record_span(r, SIGNIN_DATA_MAX);
	if (!record_done(r))
		return false;
	timer_clear(&x->deadline); /* the client's time, not the helper's */
	answer(x, &a);
	return true;
}

static bool
on_object(struct signin *s, struct record *r)
{
	struct admin *q = find_admin(s, r->number);
	struct span object = record_span(r, WIRE_RECORD_MAX);
	if (!record_done(r))
		return false;
	if (q != NULL && r->kind == WIRE_END)
		admin_end(q, object);
	else if (q != NULL)
		q->told(q->arg, object, false);
	return true;
}

/* What was asked of an engine that is gone is over at once. */
static void
fail_all(struct signin *s)
{
	MAP_EACH (&s->exchanges, k)
		timer_set(&CONTAINER_OF(k, struct signin_exchange, node)->deadline, 0);
	MAP_EACH (&s->admins, k)
		timer_set(&CONTAINER_OF(k, struct admin, node)->deadline, 0);
}

static void
on_hello(struct signin *s)
{
	struct signin_settings settings = s->settings;
	if (s->greeted)
		fail_all(s);
	s->greeted = true;
	if (s->settled)
		signin_settings(s, &settings);
}

static void on_closed(void *arg);

static void
on_record(void *arg, struct span bytes)
{
	struct signin *s = arg;
	struct record r;
	bool ok = record_open(&r, bytes);
	switch (ok ? r.kind : 0) {
	case WIRE_CHALLENGE:
	case WIRE_DONE:
	case WIRE_FAILED: ok = on_answer(s, &r); break;
	case WIRE_OBJECT:
	case WIRE_END: ok = on_object(s, &r); break;
	case WIRE_HELLO: on_hello(s); break;
	default: ok = false;
	}
	if (!ok)
		on_closed(s);
}

/* Nobody will answer any more: everything that waits fails at its deadline, which is now.
 */
static void
on_closed(void *arg)
{
	struct signin *s = arg;
	LOG(s->log, EV_FAILED, F_STR("what", "the accounts helper"),
	    F_STR("error", "it has closed its channel"),
	    F_STR("do", "nobody can sign in until relayd is started again"));
	wire_free(&s->wire);
	fail_all(s);
}

/* ---- life */

static struct signin *
make(struct loop *l, struct log *log)
{
	struct signin *s = NEW(struct signin);
	uint64_t seed[2];
	world_random(loop_world(l), seed, sizeof(seed));
	s->loop = l;
	s->log = log;
	map_init(&s->exchanges, seed);
	map_init(&s->admins, seed);
	return s;
}

struct signin *
signin_new(struct loop *l, struct log *log, int fd)
{
	struct signin *s = make(l, log);
	s->wire = wire_new(l, fd, on_record, on_closed, s);
	return s;
}

struct signin *
signin_new_inline(struct loop *l, struct log *log, struct signin_engine *e)
{
	struct signin *s = make(l, log);
	s->wire = wire_new_inline(l, on_record, s);
	signin_engine_join(e, s->wire);
	return s;
}

void
signin_free(struct signin **sp)
{
	struct signin *s = *sp;
	if (s == NULL)
		return;
	while (s->exchanges.n > 0)
		forget(
		    CONTAINER_OF(map_first(&s->exchanges), struct signin_exchange, node));
	while (
	    s->admins.n > 0) { /* control has gone before: nobody is there to be told */
		struct admin *q = CONTAINER_OF(map_first(&s->admins), struct admin, node);
		timer_clear(&q->deadline);
		map_remove(&s->admins, &q->node);
		mem_free(&q);
	}
	map_clear(&s->exchanges);
	map_clear(&s->admins);
	wire_free(&s->wire);
	mem_free(sp);
}
