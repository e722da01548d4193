/* SPDX-License-Identifier: ISC */
/*
 * signin_rig - the engine of signing in and its asking side on one loop, with accounts in
 * a directory of their own.  Time is scripted, so that "no difference in time" can be an
 * equality.  For test_signin*.c.
 */
#ifndef TESTS_UNIT_SIGNIN_RIG_H
#define TESTS_UNIT_SIGNIN_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "policy/sasl_client.h"
#include "relay/signin/exchange.h"
#include "tests/lib/fake_world.h"

#define DELAY_MS 2000
#define NUL_SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})

struct rig {
	struct fake_world world;
	struct loop *loop;
	struct pool *pool;
	struct log *log;
	struct signin_engine *engine;
	struct signin *signin;
	char dir[40];
	/* the last answer */
	unsigned answers;
	enum signin_kind kind;
	struct verdict verdict;
	struct buf data, last;
	bool has_last;
	struct account_card *card;
	char why[64], name[ACCOUNT_NAME_MAX + 1];
	/* of the administrator's last request */
	struct buf told;
	bool ended;
};

/* ---- the rig */

static inline void
rig_open(struct rig *r)
{
	struct buf why;
	buf_init(&why, 1000);
	struct signin_engine_options o = {.loop = r->loop,
	    .pool = r->pool,
	    .dir = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	assert_true(o.dir >= 0);
	r->engine = signin_engine_new(&o, &why);
	if (r->engine == NULL)
		fail_msg("%.*s", SPAN_ARG(buf_span(&why)));
	r->signin = signin_new_inline(r->loop, r->log, r->engine);
	buf_clear(&why);
}

static inline struct rig *
rig_new(void)
{
	struct rig *r = NEW(struct rig);
	fake_world_init(&r->world);
	r->loop = loop_new(&r->world.world);
	r->pool = pool_new(0, r->loop);
	r->log = log_new(&r->world.world, -1);
	(void)snprintf(r->dir, sizeof(r->dir), "/tmp/signin.XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	rig_open(r);
	return r;
}

static inline void
rig_close(struct rig *r)
{
	signin_free(&r->signin);
	signin_engine_free(&r->engine);
}

static inline void
rig_free(struct rig *r)
{
	char name[80];
	rig_close(r);
	pool_free(&r->pool);
	log_free(&r->log);
	loop_free(&r->loop);
	account_card_free(&r->card);
	buf_clear(&r->data);
	buf_clear(&r->last);
	buf_clear(&r->told);
	static const char *const files[] = {"accounts", "accounts.new", "lock"};
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		(void)snprintf(name, sizeof(name), "%s/%s", r->dir, files[i]);
		(void)unlink(name);
	}
	assert_int_equal(rmdir(r->dir), 0);
	mem_free(&r);
}

static inline void
turns(struct rig *r)
{
	for (int i = 0; i < 20; i++)
		(void)loop_turn(r->loop, false);
}

/* Until n answers are there; how long it took. */
static inline int64_t
wait_for(struct rig *r, unsigned n)
{
	int64_t began = r->world.now.ms;
	struct instant due;
	for (int i = 0; i < 100 && r->answers < n; i++) {
		turns(r);
		if (r->answers < n && loop_next_timer(r->loop, &due))
			fake_world_pass(&r->world, due.ms - r->world.now.ms);
	}
	assert_int_equal(r->answers, n);
	return r->world.now.ms - began;
}

/* ---- administrators */

static inline void
on_told(void *arg, struct span object, bool end)
{
	struct rig *r = arg;
	buf_add_span(&r->told, object);
	buf_add_char(&r->told, '\n');
	r->ended = r->ended || end;
}

/* The answer's text; it must end with this status. */
static const char *
admin(struct rig *r, int status, const char *request)
{
	char end[40];
	buf_reset(&r->told);
	r->ended = false;
	signin_admin(r->signin, span_str(request), on_told, r);
	for (int i = 0; i < 50 && !r->ended; i++)
		turns(r);
	assert_true(r->ended);
	buf_add_char(&r->told, '\0');
	(void)snprintf(end, sizeof(end), "\"end\":true,\"status\":%d", status);
	if (strstr(r->told.p, end) == NULL)
		fail_msg("%s\ngave\n%s", request, r->told.p);
	return r->told.p;
}

/* joe's password is "open sesame", by a hash that is quick to compute. */
static inline void
add_joe(struct rig *r)
{
	(void)admin(r, 0,
	    "{\"cmd\":\"user-add\",\"name\":\"Joe\",\"password\":\"open sesame\","
	    "\"address\":[\"joe@me.test\",\"@sales.test\"]}");
}

/* ---- clients */

static inline void
on_answer(void *arg, const struct signin_answer *a)
{
	struct rig *r = arg;
	r->answers++;
	r->kind = a->kind;
	r->verdict = a->verdict;
	buf_reset(&r->data);
	buf_add_span(&r->data, a->data);
	if (a->kind == SIGNIN_DONE) {
		account_card_free(&r->card);
		r->card = a->card;
		r->has_last = a->last.p != NULL;
		buf_reset(&r->last);
		buf_add_span(&r->last, a->last);
	}
	if (a->kind == SIGNIN_FAILED) {
		span_copy(span_str(a->why), r->why, sizeof(r->why));
		span_copy(span_str(a->name), r->name, sizeof(r->name));
	}
}

static inline struct signin_facts
facts(void)
{
	struct signin_facts f = {.service = "smtp", .hostname = "relay.test"};
	assert_int_equal(net_parse_ip(SPAN("192.0.2.10"), &f.client), OK);
	return f;
}

static inline struct signin_exchange *
begin(struct rig *r, const char *mechanism, const struct signin_facts *f,
    struct span initial)
{
	struct signin_facts plain = facts();
	r->answers = 0;
	return signin_begin(
	    r->signin, span_str(mechanism), f ? f : &plain, initial, on_answer, r);
}

/* PLAIN in one message: 0 if that was right, else the reply code; took: until told. */
static inline unsigned
plain_at(struct rig *r, const struct signin_facts *f, const char *name,
    const char *password, int64_t *took)
{
	struct buf b;
	buf_init(&b, 1000);
	buf_add_char(&b, '\0');
	buf_add_str(&b, name);
	buf_add_char(&b, '\0');
	buf_add_str(&b, password);
	(void)begin(r, "PLAIN", f, buf_span(&b));
	assert_int_equal(r->answers, 0); /* never before the call has returned */
	int64_t ms = wait_for(r, 1);
	if (took != NULL)
		*took = ms;
	buf_clear(&b);
	assert_true(r->kind == SIGNIN_DONE || r->kind == SIGNIN_FAILED);
	return r->kind == SIGNIN_DONE ? 0 : r->verdict.code;
}

static inline unsigned
plain(struct rig *r, const char *name, const char *password)
{
	return plain_at(r, NULL, name, password, NULL);
}

/* 0, or the reply code. */
static inline unsigned
scram(struct rig *r, enum sasl_mechanism m, const struct signin_facts *f,
    const struct sasl_credentials *c)
{
	struct buf answer;
	unsigned n = 1;
	buf_init(&answer, 10000);
	struct sasl_client *sc = sasl_client_new(m, c);
	assert_int_equal(sasl_client_step(sc, SPAN(""), &answer), OK);
	struct signin_exchange *x =
	    begin(r, sasl_mechanism_name(m), f, buf_span(&answer));
	for ((void)wait_for(r, n); r->kind == SIGNIN_CHALLENGE; (void)wait_for(r, ++n)) {
		buf_reset(&answer);
		assert_int_equal(sasl_client_step(sc, buf_span(&r->data), &answer), OK);
		signin_respond(x, buf_span(&answer));
	}
	if (r->kind == SIGNIN_DONE) {
		assert_true(r->has_last); /* the server proves itself, too */
		buf_reset(&answer);
		assert_int_equal(sasl_client_step(sc, buf_span(&r->last), &answer), OK);
		assert_true(sasl_client_proven(sc));
	}
	sasl_client_free(&sc);
	buf_clear(&answer);
	return r->kind == SIGNIN_DONE ? 0 : r->verdict.code;
}

#endif
