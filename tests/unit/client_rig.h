/* SPDX-License-Identifier: ISC */
/*
 * client_rig - a client of which the test is the next hop: the other end of a socket
 * pair that the world's dial gives out; the clock is the test's.  Included once per
 * test program.
 */
#ifndef TESTS_UNIT_CLIENT_RIG_H
#define TESTS_UNIT_CLIENT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "relay/egress/client_private.h"

#define RIG_RCPTS 300
#define PIPE "250-mx.test\r\n250 pipelining\r\n"
#define BODY "Received: x\r\nSubject: hi\r\n\r\nhello\r\n"

struct rig {
	struct world world; /* first */
	int64_t now_ms;
	int dial_fails; /* a negative enum err instead of a connection */
	int sndbuf;     /* of the client's side; 0: the system's */
	struct loop *loop;
	struct client *client;
	int peer; /* the next hop's side; -1: closed */
	int events, ready, sent, lost;
	bool free_in_callback;
	struct mail *send_in_callback;
	struct net_addr dialled, from; /* the last dial */
	struct client_options options;
	struct smtp_client_config timeouts;
	struct message message;
	struct recipient rcpt[RIG_RCPTS];
	struct mail_rcpt to[RIG_RCPTS];
	struct mail mail;
};

static struct instant
rig_now(struct world *w)
{
	return (struct instant){((struct rig *)(void *)w)->now_ms};
}

static struct wall
rig_wall(struct world *w)
{
	(void)w;
	return (struct wall){1795435200000}; /* 2026-11-23 */
}

static void
rig_random(struct world *w, void *p, size_t n)
{
	(void)w;
	memset(p, 4, n);
}

static int
rig_dial(struct world *w, const struct net_addr *to, const struct net_addr *from)
{
	struct rig *r = (struct rig *)(void *)w;
	int fd[2];
	r->dialled = *to;
	r->from = from != NULL ? *from : (struct net_addr){0};
	if (r->dial_fails != 0)
		return r->dial_fails;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	if (r->sndbuf > 0)
		setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &r->sndbuf, sizeof(r->sndbuf));
	if (r->peer >= 0)
		close(r->peer);
	r->peer = fd[1];
	return fd[0];
}

static const struct world_ops rig_ops = {rig_now, rig_wall, rig_random, rig_dial};

static void
rig_settle(struct rig *r)
{
	while (loop_turn(r->loop, false))
		;
}

static void
rig_on_client(void *arg, enum client_event ev)
{
	struct rig *r = arg;
	assert_int_equal(r->lost, 0); /* nothing comes after LOST */
	r->events++;
	r->ready += ev == CLIENT_READY;
	r->sent += ev == CLIENT_SENT;
	r->lost += ev == CLIENT_LOST;
	if (r->free_in_callback)
		client_free(&r->client);
	if (r->send_in_callback != NULL && ev != CLIENT_LOST) {
		struct mail *m = r->send_in_callback;
		r->send_in_callback = NULL;
		client_send(r->client, m);
	}
}

static int
rig_setup(void **state)
{
	struct rig *r = NEW(struct rig);
	r->world.ops = &rig_ops;
	r->now_ms = 1000000;
	r->peer = -1;
	r->loop = loop_new(&r->world);
	r->timeouts = (struct smtp_client_config){.connect_ms = 30 * SECOND_MS,
	    .greeting_ms = 301 * SECOND_MS,
	    .helo_ms = 302 * SECOND_MS,
	    .mail_ms = 303 * SECOND_MS,
	    .rcpt_ms = 304 * SECOND_MS,
	    .data_ms = 120 * SECOND_MS,
	    .block_ms = 180 * SECOND_MS,
	    .dot_ms = 600 * SECOND_MS,
	    .quit_ms = 5 * SECOND_MS};
	r->options = (struct client_options){
	    .host = "mx.test", .helo = "me.test", .timeouts = &r->timeouts};
	assert_int_equal(net_parse_addr(SPAN("192.0.2.1:25"), &r->options.to), OK);
	*state = r;
	return 0;
}

static void
rig_hang_up(struct rig *r)
{
	if (r->peer >= 0)
		close(r->peer);
	r->peer = -1;
}

static int
rig_teardown(void **state)
{
	struct rig *r = *state;
	client_free(&r->client);
	assert_null(r->client);
	rig_hang_up(r);
	r->now_ms += MINUTE_MS; /* what io_finish() left behind */
	rig_settle(r);
	loop_free(&r->loop);
	content_unref(&r->message.content);
	mem_free(&r);
	return 0;
}

static inline void
rig_go(struct rig *r)
{
	r->client = client_new(r->loop, &r->options, rig_on_client, r);
	assert_int_equal(r->events, 0);
	rig_settle(r);
}

static inline void
rig_pass(struct rig *r, int64_t ms)
{
	r->now_ms += ms;
	rig_settle(r);
}

static inline void
rig_says_bytes(struct rig *r, const void *p, size_t n)
{
	assert_int_equal(send(r->peer, p, n, MSG_NOSIGNAL), n);
	rig_settle(r);
}

static inline void
rig_says(struct rig *r, const char *text)
{
	rig_says_bytes(r, text, strlen(text));
}

static inline size_t
rig_take(struct rig *r, char *got, size_t size)
{
	size_t n = 0;
	ssize_t k;
	rig_settle(r);
	while (n < size && (k = read(r->peer, got + n, size - n)) > 0) {
		n += (size_t)k;
		rig_settle(r);
	}
	return n;
}

static inline void
rig_hears(struct rig *r, const char *want)
{
	static char got[1 << 18];
	got[rig_take(r, got, sizeof(got) - 1)] = '\0';
	assert_string_equal(got, want);
}

/* The client has closed its side. */
static inline void
rig_hears_the_end(struct rig *r)
{
	char sink[1000];
	ssize_t k;
	rig_settle(r);
	while ((k = read(r->peer, sink, sizeof(sink))) > 0)
		;
	assert_int_equal(k, 0);
}

static inline void
rig_hears_bytes(struct rig *r, const void *want, size_t n)
{
	char got[1000];
	assert_int_equal(rig_take(r, got, sizeof(got)), n);
	assert_memory_equal(got, want, n);
}

static inline void
rig_greet(struct rig *r, const char *ehlo)
{
	rig_go(r);
	rig_says(r, "220 mx.test ESMTP\r\n");
	rig_hears(r, r->options.lmtp ? "LHLO me.test\r\n" : "EHLO me.test\r\n");
	rig_says(r, ehlo);
}

/* Up to READY. */
static inline void
rig_ready(struct rig *r, const char *ehlo)
{
	rig_greet(r, ehlo);
	assert_int_equal(r->ready, 1);
	assert_int_equal(client_stage(r->client), STAGE_IDLE);
}

static inline void
rig_verdict(const struct verdict *v, const char *want)
{
	char got[VERDICT_TEXT + 32], status[16];
	verdict_status(v, status);
	snprintf(got, sizeof(got), "%u %s %s", v->code, status, v->text);
	/* as much as is given */
	if (strncmp(got, want, strlen(want)) != 0)
		assert_string_equal(got, want);
}

static inline void
rig_rcpt(struct rig *r, size_t i, const char *want)
{
	rig_verdict(&r->to[i].verdict, want);
}

static inline void
rig_lost(struct rig *r, enum client_stage stage, const char *want)
{
	rig_settle(r);
	assert_int_equal(r->lost, 1);
	rig_verdict(client_verdict(r->client), want);
	assert_int_equal(client_stage(r->client), stage);
}

static inline struct content *
rig_content_of(const char *p, size_t n)
{
	struct content *c = content_new(NULL);
	content_append(c, p, n);
	content_seal(c);
	return c;
}

static inline void
rig_content(struct rig *r, const char *p, size_t n)
{
	content_unref(&r->message.content);
	r->message.content = rig_content_of(p, n);
}

static inline void
rig_content_is(struct rig *r, const char *text)
{
	rig_content(r, text, strlen(text));
}

static inline void
rig_message(struct rig *r, size_t rcpts)
{
	static char names[RIG_RCPTS][40];
	r->message.sender = SPAN("a@me.test");
	r->message.prefix = SPAN("Received: x\r\n");
	rig_content_is(r, "Subject: hi\r\n\r\nhello\r\n");
	for (size_t i = 0; i < rcpts; i++) {
		snprintf(names[i], sizeof(names[i]), "r%zu@x.test", i);
		r->rcpt[i] = (struct recipient){.address = span_str(names[i])};
		r->to[i] = (struct mail_rcpt){.rcpt = &r->rcpt[i]};
	}
	r->mail = (struct mail){.message = &r->message, .rcpt = r->to, .rcpts = rcpts};
}

static inline void
rig_post(struct rig *r)
{
	int before = r->events;
	client_send(r->client, &r->mail);
	assert_int_equal(r->events, before); /* never from inside */
	rig_settle(r);
}

#define RIG_TEST(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)

#endif
