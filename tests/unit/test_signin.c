/* SPDX-License-Identifier: ISC */
/*
 * Signing in, through the engine in this process: every mechanism with the client's
 * side of it, and what failures look like from outside.  Time is scripted, so that "no
 * difference in time" can be an equality.
 */
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

#include "base/base64.h"
#include "base/mem.h"
#include "policy/sasl_client.h"
#include "relay/signin/engine.h"
#include "relay/signin/exchange.h"
#include "relay/signin/password.h"
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

static void
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

static struct rig *
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

static void
rig_close(struct rig *r)
{
	signin_free(&r->signin);
	signin_engine_free(&r->engine);
}

static void
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

static void
turns(struct rig *r)
{
	for (int i = 0; i < 20; i++)
		(void)loop_turn(r->loop, false);
}

/* Until n answers are there; how long it took. */
static int64_t
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

static void
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
static void
add_joe(struct rig *r)
{
	(void)admin(r, 0,
	    "{\"cmd\":\"user-add\",\"name\":\"Joe\",\"password\":\"open sesame\","
	    "\"address\":[\"joe@me.test\",\"@sales.test\"]}");
}

/* ---- clients */

static void
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

static struct signin_facts
facts(void)
{
	struct signin_facts f = {.service = "smtp", .hostname = "relay.test"};
	assert_int_equal(net_parse_ip(SPAN("192.0.2.10"), &f.client), OK);
	return f;
}

static struct signin_exchange *
begin(struct rig *r, const char *mechanism, const struct signin_facts *f,
    struct span initial)
{
	struct signin_facts plain = facts();
	r->answers = 0;
	return signin_begin(
	    r->signin, span_str(mechanism), f ? f : &plain, initial, on_answer, r);
}

/* PLAIN in one message: 0 if that was right, else the reply code; took: until told. */
static unsigned
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

static unsigned
plain(struct rig *r, const char *name, const char *password)
{
	return plain_at(r, NULL, name, password, NULL);
}

/* ---- PLAIN and LOGIN */

static void
test_plain(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	int64_t took;
	add_joe(r);
	assert_int_equal(plain_at(r, NULL, "joe", "open sesame", &took), 0);
	assert_int_equal(took, 0);
	assert_string_equal(r->card->name, "Joe");
	assert_string_equal(r->card->secret, "");
	assert_false(r->has_last);
	assert_true(account_card_may_send(r->card, SPAN("JOE@me.test")));
	assert_true(account_card_may_send(r->card, SPAN("any@sales.test")));
	assert_true(account_card_may_send(r->card, SPAN("")));
	assert_false(account_card_may_send(r->card, SPAN("ann@me.test")));
	assert_int_equal(plain(r, "JOE", "open sesame"), 0);
	assert_int_equal(plain(r, "joe", "open Sesame"), 535);
	rig_free(r);
}

static void
test_plain_messages(void **state)
{
	static const struct {
		struct span message;
		unsigned code;
	} table[] = {
	    {NUL_SPAN("joe\0joe\0open sesame"), 0},
	    {NUL_SPAN("ann\0joe\0open sesame"), 535}, /* for another */
	    {NUL_SPAN(""), 501},
	    {NUL_SPAN("joe"), 501},
	    {NUL_SPAN("\0joe"), 501},
	    {NUL_SPAN("\0joe\0"), 501},
	    {NUL_SPAN("\0\0open sesame"), 501},
	    {NUL_SPAN("\0joe\0open sesame\0"), 501},
	    {NUL_SPAN("\0joe\0open\0sesame"), 501},
	};
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		(void)begin(r, "plain", NULL, table[i].message);
		(void)wait_for(r, 1);
		assert_int_equal(
		    r->kind == SIGNIN_DONE ? 0 : r->verdict.code, table[i].code);
	}
	/* without an initial response an empty challenge asks for it */
	struct signin_exchange *x = begin(r, "PLAIN", NULL, (struct span){0});
	(void)wait_for(r, 1);
	assert_int_equal(r->kind, SIGNIN_CHALLENGE);
	assert_int_equal(r->data.n, 0);
	signin_respond(x, table[0].message);
	(void)wait_for(r, 2);
	assert_int_equal(r->kind, SIGNIN_DONE);
	rig_free(r);
}

/* At the bound of a password, and one more. */
static void
test_password_bound(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	char password[PASSWORD_MAX + 2], request[PASSWORD_MAX + 100];
	memset(password, 'p', sizeof(password));
	password[PASSWORD_MAX + 1] = '\0';
	(void)snprintf(request, sizeof(request),
	    "{\"cmd\":\"user-add\",\"name\":\"a\",\"password\":\"%s\"}", password);
	(void)admin(r, 2, request);
	assert_int_equal(plain(r, "a", password), 501);
	password[PASSWORD_MAX] = '\0';
	(void)snprintf(request, sizeof(request),
	    "{\"cmd\":\"user-add\",\"name\":\"a\",\"password\":\"%s\"}", password);
	(void)admin(r, 0, request);
	assert_int_equal(plain(r, "a", password), 0);
	rig_free(r);
}

static void
test_login(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	for (int initial = 0; initial < 2; initial++) {
		unsigned n = 1;
		struct signin_exchange *x =
		    begin(r, "LOGIN", NULL, initial ? SPAN("joe") : (struct span){0});
		(void)wait_for(r, n);
		if (!initial) {
			assert_true(span_eq(buf_span(&r->data), SPAN("Username:")));
			signin_respond(x, SPAN("joe"));
			(void)wait_for(r, ++n);
		}
		assert_true(span_eq(buf_span(&r->data), SPAN("Password:")));
		signin_respond(x, SPAN("open sesame"));
		(void)wait_for(r, ++n);
		assert_int_equal(r->kind, SIGNIN_DONE);
	}
	struct signin_exchange *x = begin(r, "LOGIN", NULL, SPAN("joe"));
	(void)wait_for(r, 1);
	signin_respond(x, SPAN(""));
	(void)wait_for(r, 2);
	assert_int_equal(r->verdict.code, 501);
	rig_free(r);
}

/* Garbage at either step; a name at its bound, and one more. */
static void
test_login_garbage(void **state)
{
	char name[ACCOUNT_NAME_MAX + 1], whole[SIGNIN_DATA_MAX];
	memset(name, 'n', sizeof(name));
	memset(whole, 'w', sizeof(whole));
	const struct {
		struct span name, password;
		unsigned code;
	} table[] = {
	    {SPAN(""), {0}, 501},
	    {NUL_SPAN("\0"), {0}, 501},
	    {NUL_SPAN("joe\0"), {0}, 501},
	    {{name, ACCOUNT_NAME_MAX + 1}, {0}, 501},
	    {{whole, sizeof(whole)}, {0}, 501},
	    {{name, ACCOUNT_NAME_MAX}, SPAN("wrong"), 535},
	    {SPAN("\xff\x01\r\n"), SPAN("wrong"), 535},
	    {SPAN("joe"), NUL_SPAN("open sesame\0"), 501},
	    {SPAN("joe"), {whole, sizeof(whole)}, 501},
	};
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct signin_exchange *x = begin(r, "LOGIN", NULL, (struct span){0});
		(void)wait_for(r, 1);
		signin_respond(x, table[i].name);
		(void)wait_for(r, 2);
		if (r->kind == SIGNIN_CHALLENGE) {
			signin_respond(x, table[i].password);
			(void)wait_for(r, 3);
		} else {
			assert_null(table[i].password.p);
		}
		assert_int_equal(r->kind, SIGNIN_FAILED);
		assert_int_equal(r->verdict.code, table[i].code);
	}
	rig_free(r);
}

/* ---- SCRAM */

/* 0, or the reply code. */
static unsigned
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

static void
test_scram(void **state)
{
	static const enum sasl_mechanism both[] = {SASL_SCRAM_SHA_256, SASL_SCRAM_SHA_1};
	(void)state;
	struct rig *r = rig_new();
	struct sasl_credentials right = {.user = "joe", .secret = "open sesame"},
				wrong = {.user = "joe", .secret = "shut"},
				nobody = {.user = "nobody", .secret = "open sesame"};
	add_joe(r);
	for (size_t i = 0; i < COUNT_OF(both); i++) {
		assert_int_equal(scram(r, both[i], NULL, &right), 0);
		assert_string_equal(r->card->name, "Joe");
		assert_int_equal(scram(r, both[i], NULL, &wrong), 535);
		assert_int_equal(scram(r, both[i], NULL, &nobody), 535);
	}
	rig_free(r);
}

static void
test_scram_plus(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_facts f = facts();
	struct sasl_credentials c = {.user = "joe", .secret = "open sesame"};
	static const char data[] = "0123456789abcdef0123456789abcdef";
	add_joe(r);
	c.binding = SASL_BIND_EXPORTER;
	c.binding_data = SPAN(data);
	f.exporter = SPAN(data);
	assert_int_equal(scram(r, SASL_SCRAM_SHA_256_PLUS, &f, &c), 0);
	/* somebody between has another connection with us */
	f.exporter = SPAN("0123456789abcdef0123456789abcdeX");
	assert_int_not_equal(scram(r, SASL_SCRAM_SHA_256_PLUS, &f, &c), 0);
	f.exporter = (struct span){0};
	f.unique = SPAN("0123456789ab");
	c.binding = SASL_BIND_UNIQUE;
	c.binding_data = f.unique;
	assert_int_equal(scram(r, SASL_SCRAM_SHA_256_PLUS, &f, &c), 0);
	/* without TLS it is not offered */
	(void)begin(r, "SCRAM-SHA-256-PLUS", NULL, SPAN("p=tls-exporter,,n=joe,r=x"));
	(void)wait_for(r, 1);
	assert_int_equal(r->verdict.code, 504);
	rig_free(r);
}

/* A client by libgsasl, which is nobody of ours. 0, or the reply code. */
static unsigned
stranger(struct rig *r, const char *mechanism, const struct signin_facts *f,
    const char *exporter)
{
	Gsasl *ctx;
	Gsasl_session *c;
	char *out = NULL;
	size_t length = 0;
	unsigned n = 1;
	assert_int_equal(gsasl_init(&ctx), GSASL_OK);
	assert_int_equal(gsasl_client_start(ctx, mechanism, &c), GSASL_OK);
	(void)gsasl_property_set(c, GSASL_AUTHID, "joe");
	(void)gsasl_property_set(c, GSASL_PASSWORD, "open sesame");
	if (exporter != NULL) {
		struct buf b;
		buf_init(&b, 1000);
		base64_encode(span_str(exporter), &b);
		(void)gsasl_property_set_raw(c, GSASL_CB_TLS_EXPORTER, b.p, b.n);
		buf_clear(&b);
	}
	assert_int_equal(gsasl_step(c, NULL, 0, &out, &length), GSASL_NEEDS_MORE);
	struct signin_exchange *x = begin(r, mechanism, f, (struct span){out, length});
	gsasl_free(out);
	for ((void)wait_for(r, n); r->kind == SIGNIN_CHALLENGE; (void)wait_for(r, ++n)) {
		assert_int_equal(
		    gsasl_step(c, r->data.p, r->data.n, &out, &length), GSASL_NEEDS_MORE);
		signin_respond(x, (struct span){out, length});
		gsasl_free(out);
	}
	if (r->kind == SIGNIN_DONE) { /* it believes us, too */
		assert_int_equal(
		    gsasl_step(c, r->last.p, r->last.n, &out, &length), GSASL_OK);
		gsasl_free(out);
	}
	gsasl_finish(c);
	gsasl_done(ctx);
	return r->kind == SIGNIN_DONE ? 0 : r->verdict.code;
}

static void
test_scram_stranger(void **state)
{
	static const char data[] = "0123456789abcdef0123456789abcdef";
	(void)state;
	struct rig *r = rig_new();
	struct signin_facts f = facts();
	add_joe(r);
	assert_int_equal(stranger(r, "SCRAM-SHA-1", NULL, NULL), 0);
	assert_int_equal(stranger(r, "SCRAM-SHA-256", NULL, NULL), 0);
	f.exporter = SPAN(data);
	assert_int_equal(stranger(r, "SCRAM-SHA-256-PLUS", &f, data), 0);
	assert_int_not_equal(stranger(r, "SCRAM-SHA-256-PLUS", &f, "another"), 0);
	assert_int_equal(stranger(r, "SCRAM-SHA-256", &f, NULL), 0);
	rig_free(r);
}

static void
add_coded(struct buf *b, struct span data)
{
	struct buf text;
	buf_init(&text, 1000);
	base64_encode(data, &text);
	buf_add_span(b, buf_span(&text));
	buf_clear(&text);
}

/* The client's last message of SCRAM-SHA-256 as RFC 5802 3 has it, for this answer. */
static void
add_proof(struct buf *out, struct span header, struct span first, struct span answer)
{
	struct buf said, salt;
	uint8_t salted[SHA256_SIZE], key[SHA256_SIZE], stored[SHA256_SIZE],
	    proof[SHA256_SIZE];
	size_t nonce = span_find(answer, ','), after = nonce + 3;
	size_t length = span_find(span_cut(answer, after, answer.n), ',');
	buf_init(&salt, 100);
	buf_init(&said, 1000);
	assert_int_equal(base64_decode(span_cut(answer, after, length), &salt), OK);
	pbkdf2_of(DIGEST_SHA256, SPAN("open sesame"), buf_span(&salt), SCRAM_ITERATIONS,
	    salted);
	hmac_of(DIGEST_SHA256, (struct span){(const char *)salted, SHA256_SIZE},
	    SPAN("Client Key"), key);
	digest_of(DIGEST_SHA256, (struct span){(const char *)key, SHA256_SIZE}, stored);
	buf_add_str(out, "c=");
	add_coded(out, header);
	buf_add_char(out, ',');
	buf_add_span(out, span_cut(answer, 0, nonce));
	buf_add_span(&said, first);
	buf_add_char(&said, ',');
	buf_add_span(&said, answer);
	buf_add_char(&said, ',');
	buf_add_span(&said, buf_span(out));
	hmac_of(DIGEST_SHA256, (struct span){(const char *)stored, SHA256_SIZE},
	    buf_span(&said), proof);
	for (size_t i = 0; i < SHA256_SIZE; i++)
		proof[i] ^= key[i];
	buf_add_str(out, ",p=");
	add_coded(out, (struct span){(const char *)proof, SHA256_SIZE});
	buf_clear(&salt);
	buf_clear(&said);
}

/* joe's SCRAM-SHA-256 by hand, with this header. 0, or the reply code. */
static unsigned
by_hand(struct rig *r, const struct signin_facts *f, const char *header)
{
	struct span first = SPAN("n=joe,r=abcdefgh");
	struct buf b;
	buf_init(&b, 1000);
	buf_add_str(&b, header);
	buf_add_span(&b, first);
	struct signin_exchange *x = begin(r, "SCRAM-SHA-256", f, buf_span(&b));
	(void)wait_for(r, 1);
	if (r->kind == SIGNIN_CHALLENGE) {
		buf_reset(&b);
		add_proof(&b, span_str(header), first, buf_span(&r->data));
		signin_respond(x, buf_span(&b));
		(void)wait_for(r, 2);
	}
	buf_clear(&b);
	return r->kind == SIGNIN_DONE ? 0 : r->verdict.code;
}

/*
 * "y": the client could bind to the connection, had it been offered.  Where it was,
 * somebody between has taken it out of our answer (RFC 5802 6).
 */
static void
test_scram_downgrade(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_facts f = facts();
	add_joe(r);
	assert_int_equal(by_hand(r, &f, "n,,"), 0);
	assert_int_equal(by_hand(r, &f, "y,,"), 0);
	assert_int_equal(by_hand(r, &f, "n,a=joe,"), 0);
	assert_int_equal(by_hand(r, &f, "n,a=ann,"), 535);
	f.unique = SPAN("0123456789ab");
	assert_int_equal(by_hand(r, &f, "n,,"), 0);
	assert_int_equal(by_hand(r, &f, "y,,"), 535);
	f.unique = (struct span){0};
	f.exporter = SPAN("0123456789abcdef0123456789abcdef");
	assert_int_equal(by_hand(r, &f, "n,,"), 0);
	assert_int_equal(by_hand(r, &f, "y,,"), 535);
	rig_free(r);
}

/* The salt of a name that is not there does not change: the client cannot tell. */
static void
test_scram_made_up(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct buf salt[2];
	for (int i = 0; i < 2; i++) {
		struct signin_exchange *x =
		    begin(r, "SCRAM-SHA-256", NULL, SPAN("n,,n=nobody,r=abcdefgh"));
		(void)wait_for(r, 1);
		assert_int_equal(r->kind, SIGNIN_CHALLENGE);
		size_t s = span_find(buf_span(&r->data), ',');
		buf_init(&salt[i], 1000);
		buf_add_span(&salt[i], span_cut(buf_span(&r->data), s, r->data.n));
		signin_cancel(&x);
		turns(r);
		if (i == 0) { /* nor does a restart change it, once there is a file */
			add_joe(r);
			buf_clear(&salt[0]);
			x = begin(
			    r, "SCRAM-SHA-256", NULL, SPAN("n,,n=nobody,r=abcdefgh"));
			(void)wait_for(r, 1);
			buf_add_span(
			    &salt[0], span_cut(buf_span(&r->data), s, r->data.n));
			signin_cancel(&x);
			turns(r);
			rig_close(r);
			rig_open(r);
		}
	}
	assert_true(salt[0].n > 20);
	assert_true(span_eq(buf_span(&salt[0]), buf_span(&salt[1])));
	buf_clear(&salt[0]);
	buf_clear(&salt[1]);
	rig_free(r);
}

static void
test_scram_garbage(void **state)
{
	static const char *const first[] = {"", "n", "n,,", "y,,n=,r=", "n,,n=joe",
	    "n,a=ann,n=joe,r=abc", "p=tls-unique,,n=joe,r=abc", ",,,,,,,,", "\xff\xfe"};
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	for (size_t i = 0; i < COUNT_OF(first); i++) {
		struct signin_exchange *x =
		    begin(r, "SCRAM-SHA-256", NULL, span_str(first[i]));
		unsigned n = 1;
		for ((void)wait_for(r, n); r->kind == SIGNIN_CHALLENGE && n < 4;) {
			signin_respond(x, SPAN("c=biws,r=nonsense,p=AAAA"));
			(void)wait_for(r, ++n);
		}
		assert_int_equal(r->kind, SIGNIN_FAILED);
	}
	rig_free(r);
}

/*
 * The longest message that there may be: what a client says comes back in the challenge,
 * with more behind it.  Whatever is too long ends the exchange, and never the channel,
 * which all other clients need.
 */
static void
test_longest_message(void **state)
{
	static const size_t lengths[] = {64, 4096, SIGNIN_DATA_MAX - 80,
	    SIGNIN_DATA_MAX - 60, SIGNIN_DATA_MAX - 40, SIGNIN_DATA_MAX - 20,
	    SIGNIN_DATA_MAX - 1, SIGNIN_DATA_MAX};
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		struct buf b;
		buf_init(&b, SIGNIN_DATA_MAX);
		buf_add_str(&b, "n,,n=joe,r=");
		while (b.n < lengths[i])
			buf_add_char(&b, 'r');
		struct signin_exchange *x = begin(r, "SCRAM-SHA-256", NULL, buf_span(&b));
		(void)wait_for(r, 1);
		if (r->kind == SIGNIN_CHALLENGE) {
			assert_true(r->data.n > b.n);
			signin_cancel(&x);
		} else {
			assert_int_equal(r->verdict.code, 501);
		}
		buf_clear(&b);
		assert_int_equal(plain(r, "joe", "open sesame"), 0);
	}
	rig_free(r);
}

/* ---- EXTERNAL */

#define FINGERPRINT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void
test_external(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_facts f = facts();
	(void)admin(r, 0,
	    "{\"cmd\":\"user-add\",\"name\":\"device\",\"certificate\":[\"" FINGERPRINT
	    "\"]}");
	add_joe(r);
	f.fingerprint = SPAN(FINGERPRINT);
	static const struct {
		const char *identity;
		unsigned code;
	} table[] = {{"", 0}, {"device", 0}, {"DEVICE", 0}, {"joe", 535}};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		(void)begin(r, "EXTERNAL", &f, span_str(table[i].identity));
		(void)wait_for(r, 1);
		assert_int_equal(
		    r->kind == SIGNIN_DONE ? 0 : r->verdict.code, table[i].code);
	}
	/* a name in a certificate counts only if our authority vouches for it */
	f.fingerprint =
	    SPAN("ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
	f.certificate_name = SPAN("joe");
	(void)begin(r, "EXTERNAL", &f, SPAN(""));
	(void)wait_for(r, 1);
	assert_int_equal(r->verdict.code, 535);
	f.certificate_verified = true;
	(void)begin(r, "EXTERNAL", &f, SPAN(""));
	(void)wait_for(r, 1);
	assert_int_equal(r->kind, SIGNIN_DONE);
	assert_string_equal(r->card->name, "Joe");
	(void)begin(r, "EXTERNAL", NULL, SPAN(""));
	(void)wait_for(r, 1);
	assert_int_equal(r->verdict.code, 504);
	rig_free(r);
}

/* ---- what is offered */

static void
test_offered(void **state)
{
	struct signin_facts f = facts();
	struct buf b;
	(void)state;
	buf_init(&b, 1000);
	signin_mechanisms(&f, false, &b);
	assert_true(span_eq(buf_span(&b), SPAN("SCRAM-SHA-256 SCRAM-SHA-1")));
	buf_reset(&b);
	f.exporter = SPAN("x");
	f.fingerprint = SPAN(FINGERPRINT);
	signin_mechanisms(&f, true, &b);
	assert_true(span_eq(buf_span(&b),
	    SPAN("SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1 EXTERNAL PLAIN LOGIN")));
	buf_reset(&b);
	f.any = true;
	signin_mechanisms(&f, true, &b);
	assert_true(span_eq(buf_span(&b), SPAN("PLAIN LOGIN")));
	buf_clear(&b);
}

static void
test_any(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_facts f = facts();
	f.any = true;
	assert_int_equal(plain_at(r, &f, "whoever", "whatever", NULL), 0);
	assert_string_equal(r->card->name, "");
	(void)begin(r, "SCRAM-SHA-256", &f, SPAN("n,,n=joe,r=abc"));
	(void)wait_for(r, 1);
	assert_int_equal(r->verdict.code, 504);
	rig_free(r);
}

static void
test_unknown_mechanism(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	static const char *const names[] = {"", "X", "GSSAPI", "PLAIN2", "PLAI"};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		(void)begin(r, names[i], NULL, SPAN(""));
		assert_int_equal(wait_for(r, 1), 0); /* nothing secret in that */
		assert_int_equal(r->verdict.code, 504);
	}
	rig_free(r);
}

/* ---- failures tell nothing */

static void
test_same_words_same_time(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct verdict first;
	add_joe(r);
	(void)admin(
	    r, 0, "{\"cmd\":\"user-add\",\"name\":\"off\",\"password\":\"right\"}");
	(void)admin(r, 0, "{\"cmd\":\"user-set\",\"name\":\"off\",\"disabled\":true}");
	(void)admin(r, 0,
	    "{\"cmd\":\"user-add\",\"name\":\"pop\",\"password\":\"right\","
	    "\"service\":[\"pop3\"]}");
	static const struct {
		const char *name, *password, *why;
	} table[] = {
	    {"joe", "wrong", "wrong password"}, {"nobody", "wrong", "no such account"},
	    {"off", "right", "disabled"},
	    {"pop", "right", "wrong password"}, /* not for smtp */
	};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		int64_t took;
		assert_int_equal(
		    plain_at(r, NULL, table[i].name, table[i].password, &took), 535);
		assert_int_equal(took, DELAY_MS);
		assert_string_equal(r->why, table[i].why); /* for our log only */
		assert_string_equal(r->name, table[i].name);
		if (i == 0)
			first = r->verdict;
		assert_int_equal(r->verdict.code, first.code);
		assert_string_equal(r->verdict.text, first.text);
	}
	struct signin_facts f = facts();
	f.service = "pop3";
	assert_int_equal(plain_at(r, &f, "pop", "right", NULL), 0);
	rig_free(r);
}

/* The delay counts from the client's last message, not from the beginning. */
static void
test_delay_from_last(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_exchange *x = begin(r, "LOGIN", NULL, SPAN("joe"));
	(void)wait_for(r, 1);
	fake_world_pass(&r->world, 30 * SECOND_MS);
	turns(r);
	signin_respond(x, SPAN("wrong"));
	assert_int_equal(wait_for(r, 2), DELAY_MS);
	assert_int_equal(r->verdict.code, 535);
	rig_free(r);
}

/* The longest delay is no reason to believe that the helper has gone. */
static void
test_longest_delay(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_settings s = {
	    .delay_ms = SIGNIN_DELAY_MAX, .attempts = 10, .lockout_ms = MINUTE_MS};
	int64_t took;
	add_joe(r);
	signin_settings(r->signin, &s);
	assert_int_equal(plain_at(r, NULL, "joe", "wrong", &took), 535);
	assert_int_equal(took, SIGNIN_DELAY_MAX);
	rig_free(r);
}

/* ---- lockout */

static void
settle(struct rig *r, unsigned attempts, int64_t cache_ms)
{
	struct signin_settings s = {.delay_ms = DELAY_MS,
	    .attempts = attempts,
	    .lockout_ms = 15 * MINUTE_MS,
	    .cache_ms = cache_ms};
	signin_settings(r->signin, &s);
	turns(r);
}

static void
test_lockout(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_facts elsewhere = facts();
	char wrong[20];
	add_joe(r);
	settle(r, 10, 0);
	for (int i = 0; i < 5; i++) {
		(void)snprintf(wrong, sizeof(wrong), "wrong %d", i);
		assert_int_equal(plain(r, "joe", wrong), 535);
	}
	int64_t took;
	assert_int_equal(plain_at(r, NULL, "joe", "open sesame", &took), 454);
	assert_int_equal(took, DELAY_MS);
	assert_int_equal(plain(r, "joe", "wrong again"), 454);
	/* whatever the proof: who is locked out learns nothing */
	struct sasl_credentials bad = {.user = "joe", .secret = "no"},
				good = {.user = "joe", .secret = "open sesame"};
	assert_int_equal(scram(r, SASL_SCRAM_SHA_256, NULL, &bad), 454);
	assert_int_equal(scram(r, SASL_SCRAM_SHA_256, NULL, &good), 454);
	/* his own user elsewhere gets in */
	assert_int_equal(net_parse_ip(SPAN("192.0.2.11"), &elsewhere.client), OK);
	assert_int_equal(plain_at(r, &elsewhere, "joe", "open sesame", NULL), 0);
	fake_world_pass(&r->world, 16 * MINUTE_MS);
	turns(r);
	assert_int_equal(plain(r, "joe", "open sesame"), 0);
	rig_free(r);
}

/* An engine that is told nonsense closes the channel: nobody is locked out for a century.
 */
static void
test_settings_bounds(void **state)
{
	static const struct {
		struct signin_settings s;
		bool good;
	} table[] = {
	    {{SIGNIN_DELAY_MAX, 1, DAY_MS, DAY_MS}, true},
	    {{0, 10000, 0, 0}, true},
	    {{SIGNIN_DELAY_MAX + 1, 1, 1, 1}, false},
	    {{-1, 1, 1, 1}, false},
	    {{1, 0, 1, 1}, false},
	    {{1, 1, DAY_MS + 1, 1}, false},
	    {{1, 1, -1, 1}, false},
	    {{1, 1, 1, DAY_MS + 1}, false},
	    {{1, 1, 1, INT64_MIN}, false},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct rig *r = rig_new();
		struct signin_settings before = r->engine->settings;
		signin_settings(r->signin, &table[i].s);
		turns(r);
		const struct signin_settings *want =
		    table[i].good ? &table[i].s : &before;
		assert_int_equal(r->engine->settings.delay_ms, want->delay_ms);
		assert_int_equal(r->engine->settings.attempts, want->attempts);
		assert_int_equal(r->engine->settings.lockout_ms, want->lockout_ms);
		assert_int_equal(r->engine->settings.cache_ms, want->cache_ms);
		assert_int_equal(list_empty(&r->engine->channels), !table[i].good);
		rig_free(r);
	}
}

static void
count_answer(void *arg, const struct signin_answer *a)
{
	unsigned *codes = arg;
	assert_int_equal(a->kind, SIGNIN_FAILED);
	codes[a->verdict.code == 535] += 1;
}

/* Made at once, guesses are no more than made one by one would be, twice over. */
static void
test_parallel(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_facts f = facts();
	unsigned codes[2] = {0};
	add_joe(r);
	settle(r, 4, 0);
	for (unsigned i = 0; i < 50; i++) {
		struct buf b;
		buf_init(&b, 100);
		buf_add_char(&b, '\0');
		buf_addf(&b, "joe%u", i); /* for the address alone the limit is four */
		buf_add_char(&b, '\0');
		buf_addf(&b, "guess %u", i);
		(void)signin_begin(
		    r->signin, SPAN("PLAIN"), &f, buf_span(&b), count_answer, codes);
		buf_clear(&b);
	}
	turns(r);
	fake_world_pass(&r->world, DELAY_MS);
	turns(r);
	assert_int_equal(codes[0] + codes[1], 50);
	assert_int_equal(codes[1], 4);
	assert_int_equal(r->engine->hashing, 0);
	assert_int_equal(r->engine->exchanges, 0);
	rig_free(r);
}

/* ---- what was right is believed */

static void
test_cache(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	settle(r, 1000, 5 * MINUTE_MS);
	assert_int_equal(plain(r, "joe", "open sesame"), 0);
	for (int i = 0; i < 200; i++) /* a hash costs tens of ms: this would take long */
		assert_int_equal(plain(r, "joe", "open sesame"), 0);
	/* a new password counts at once */
	(void)admin(
	    r, 0, "{\"cmd\":\"user-passwd\",\"name\":\"joe\",\"password\":\"another\"}");
	assert_int_equal(plain(r, "joe", "open sesame"), 535);
	assert_int_equal(plain(r, "joe", "another"), 0);
	(void)admin(r, 0, "{\"cmd\":\"user-delete\",\"name\":\"joe\"}");
	assert_int_equal(plain(r, "joe", "another"), 535);
	rig_free(r);
}

/* Whether a password is hashed for this sign-in, which must be right. */
static bool
was_hashed(struct rig *r)
{
	static const char message[] = "\0joe\0open sesame";
	(void)begin(r, "PLAIN", NULL, NUL_SPAN(message));
	bool hashed = false;
	for (int i = 0; i < 20 && r->answers == 0; i++) {
		(void)loop_turn(r->loop, false);
		hashed = hashed || r->engine->hashing > 0;
	}
	assert_int_equal(r->answers, 1);
	assert_int_equal(r->kind, SIGNIN_DONE);
	return hashed;
}

static void
test_cache_expires(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	settle(r, 10, 5 * MINUTE_MS);
	assert_true(was_hashed(r));
	fake_world_pass(&r->world, 5 * MINUTE_MS - 1);
	turns(r);
	assert_false(was_hashed(r));
	fake_world_pass(&r->world, 1); /* using it has not made it last longer */
	turns(r);
	assert_true(was_hashed(r));
	settle(r, 10, 0); /* never */
	(void)admin(r, 0, "{\"cmd\":\"user-set\",\"name\":\"joe\",\"disabled\":false}");
	assert_true(was_hashed(r));
	assert_true(was_hashed(r));
	rig_free(r);
}

/* ---- several secrets */

static void
test_app_passwords(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	char password[64];
	add_joe(r);
	const char *told = admin(r, 0,
	    "{\"cmd\":\"user-secret-add\",\"name\":\"joe\",\"label\":\"printer\","
	    "\"service\":[\"smtp\"]}");
	const char *at = strstr(told, "\"password\":\"");
	assert_non_null(at);
	(void)snprintf(password, sizeof(password), "%s", at + 12);
	*strchr(password, '"') = '\0';
	assert_int_equal(plain(r, "joe", password), 0);
	assert_string_equal(r->card->secret, "printer");
	assert_int_equal(plain(r, "joe", "open sesame"), 0);
	struct signin_facts f = facts();
	f.service = "pop3";
	assert_int_equal(plain_at(r, &f, "joe", password, NULL), 535);
	(void)admin(r, 0,
	    "{\"cmd\":\"user-secret-delete\",\"name\":\"joe\",\"label\":\"printer\"}");
	assert_int_equal(plain(r, "joe", password), 535);
	assert_int_equal(plain(r, "joe", "open sesame"), 0);
	rig_free(r);
}

/* ---- imported hashes */

static void
test_imported(void **state)
{
	static const struct {
		const char *hash;
		const char *password;
		int status;
	} table[] = {
	    /* sha512crypt, bcrypt */
	    {"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/"
	     "O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
		"Hello world!", 0},
	    {"$2b$04$abcdefghijklmnopqrstuuyeG8laUfZvsCmc.AE6qIDYSPGM2efmK",
		"Hello world!", 0},
	    {"$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/", "password", 2}, /* too weak */
	    {"rl.3StKT.4T8M", "rasmuslerdorf", 2},                 /* DES */
	    {"plaintext", "plaintext", 2},
	    {"", "", 2},
	};
	(void)state;
	struct rig *r = rig_new();
	char request[400];
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		(void)snprintf(request, sizeof(request),
		    "{\"cmd\":\"user-add\",\"name\":\"u%zu\",\"hash\":\"%s\"}", i,
		    table[i].hash);
		(void)admin(r, table[i].status, request);
		char name[8];
		(void)snprintf(name, sizeof(name), "u%zu", i);
		if (table[i].status == 0)
			assert_int_equal(plain(r, name, table[i].password), 0);
	}
	rig_free(r);
}

/* ---- giving up */

static void
test_cancel(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	for (int step = 0; step < 3; step++) {
		struct signin_exchange *x =
		    begin(r, "LOGIN", NULL, step == 0 ? (struct span){0} : SPAN("joe"));
		if (step > 0)
			(void)wait_for(r, 1);
		if (step == 2)
			signin_respond(
			    x, SPAN("wrong")); /* the answer waits for its time */
		unsigned answers = r->answers;
		signin_cancel(&x);
		assert_null(x);
		fake_world_pass(&r->world, MINUTE_MS);
		turns(r);
		assert_int_equal(r->answers, answers);
	}
	struct signin_exchange *none = NULL;
	signin_cancel(&none);
	/* one that is still going on when its side is closed */
	struct signin_exchange *x = begin(r, "LOGIN", NULL, SPAN("joe"));
	(void)wait_for(r, 1);
	signin_cancel(&x);
	rig_free(r);
}

/* Two threads of relayd at one engine. */
static void
test_two_sides(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	struct signin *second = signin_new_inline(r->loop, r->log, r->engine);
	struct signin_facts f = facts();
	r->answers = 0;
	struct signin_exchange *x =
	    signin_begin(second, SPAN("LOGIN"), &f, SPAN("joe"), on_answer, r);
	(void)wait_for(r, 1);
	/* numbers of exchanges are a channel's own */
	assert_int_equal(plain(r, "joe", "open sesame"), 0);
	r->answers = 1;
	signin_respond(x, SPAN("open sesame"));
	(void)wait_for(r, 2);
	assert_int_equal(r->kind, SIGNIN_DONE);
	signin_free(&second);
	turns(r);
	rig_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_plain_messages),
	    cmocka_unit_test(test_password_bound),
	    cmocka_unit_test(test_login),
	    cmocka_unit_test(test_login_garbage),
	    cmocka_unit_test(test_scram),
	    cmocka_unit_test(test_scram_plus),
	    cmocka_unit_test(test_scram_stranger),
	    cmocka_unit_test(test_scram_downgrade),
	    cmocka_unit_test(test_scram_made_up),
	    cmocka_unit_test(test_scram_garbage),
	    cmocka_unit_test(test_longest_message),
	    cmocka_unit_test(test_external),
	    cmocka_unit_test(test_offered),
	    cmocka_unit_test(test_any),
	    cmocka_unit_test(test_unknown_mechanism),
	    cmocka_unit_test(test_same_words_same_time),
	    cmocka_unit_test(test_delay_from_last),
	    cmocka_unit_test(test_longest_delay),
	    cmocka_unit_test(test_lockout),
	    cmocka_unit_test(test_settings_bounds),
	    cmocka_unit_test(test_parallel),
	    cmocka_unit_test(test_cache),
	    cmocka_unit_test(test_cache_expires),
	    cmocka_unit_test(test_app_passwords),
	    cmocka_unit_test(test_imported),
	    cmocka_unit_test(test_cancel),
	    cmocka_unit_test(test_two_sides),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
