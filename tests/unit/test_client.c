/* SPDX-License-Identifier: ISC */
/*
 * The SMTP client against scripted next hops: each is the other end of a socket
 * pair that the world's dial gives out, and the clock is ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "relay/egress/client_private.h"

#define PLAIN "250 mx.test\r\n"
#define PIPE "250-mx.test\r\n250 pipelining\r\n"
#define ALL                                                                             \
	"250-mx.test\r\n250-PIPELINING\r\n250-size "                                    \
	"1000000\r\n250-8BITMIME\r\n250-DSN\r\n"                                        \
	"250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-STARTTLS\r\n" \
	"250 SMTPUTF8\r\n"
#define BODY "Received: x\r\nSubject: hi\r\n\r\nhello\r\n"

/* ---- the world */

struct stage {
	struct world world; /* first: the fake world itself */
	int64_t now_ms;
	int dial_fails; /* a negative enum err instead of a connection */
	int sndbuf;     /* of the client's side; 0: the system's */
	struct loop *loop;
	struct client *client;
	int peer; /* the next hop's side; -1: closed */
	int events, ready, sent, lost;
	bool free_in_callback;
	struct mail *send_in_callback;
	/* the message */
	struct message message;
	struct recipient rcpt[300];
	struct mail_rcpt to[300];
	struct mail mail;
	struct smtp_client_config timeouts;
};

static struct instant
fake_now(struct world *w)
{
	return (struct instant){((struct stage *)(void *)w)->now_ms};
}

static struct wall
fake_wall(struct world *w)
{
	return (struct wall){((struct stage *)(void *)w)->now_ms};
}

static void
fake_random(struct world *w, void *p, size_t n)
{
	(void)w;
	memset(p, 4, n);
}

static int
fake_dial(struct world *w, const struct net_addr *to, const struct net_addr *from)
{
	struct stage *s = (struct stage *)(void *)w;
	int fd[2];
	(void)to;
	assert_null(from);
	if (s->dial_fails != 0)
		return s->dial_fails;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	if (s->sndbuf > 0)
		setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &s->sndbuf, sizeof(s->sndbuf));
	s->peer = fd[1];
	return fd[0];
}

static const struct world_ops fake_ops = {fake_now, fake_wall, fake_random, fake_dial};

static void
settle(struct stage *s)
{
	while (loop_turn(s->loop, false))
		;
}

static void
pass(struct stage *s, int64_t ms)
{
	s->now_ms += ms;
	settle(s);
}

/* ---- the owner */

static void
on_client(void *arg, enum client_event ev)
{
	struct stage *s = arg;
	assert_int_equal(s->lost, 0); /* nothing comes after LOST */
	s->events++;
	s->ready += ev == CLIENT_READY;
	s->sent += ev == CLIENT_SENT;
	s->lost += ev == CLIENT_LOST;
	if (s->free_in_callback)
		client_free(&s->client);
	if (s->send_in_callback != NULL && ev != CLIENT_LOST) {
		struct mail *m = s->send_in_callback;
		s->send_in_callback = NULL;
		client_send(s->client, m);
	}
}

static int
setup(void **state)
{
	struct stage *s = NEW(struct stage);
	s->world.ops = &fake_ops;
	s->now_ms = 1000000;
	s->peer = -1;
	s->loop = loop_new(&s->world);
	s->timeouts = (struct smtp_client_config){
	    .connect_ms = 30 * SECOND_MS,
	    .greeting_ms = 301 * SECOND_MS,
	    .helo_ms = 302 * SECOND_MS,
	    .mail_ms = 303 * SECOND_MS,
	    .rcpt_ms = 304 * SECOND_MS,
	    .data_ms = 120 * SECOND_MS,
	    .block_ms = 180 * SECOND_MS,
	    .dot_ms = 600 * SECOND_MS,
	    .quit_ms = 5 * SECOND_MS,
	};
	*state = s;
	return 0;
}

static void
hang_up(struct stage *s)
{
	if (s->peer >= 0)
		close(s->peer);
	s->peer = -1;
}

static int
teardown(void **state)
{
	struct stage *s = *state;
	client_free(&s->client);
	assert_null(s->client);
	hang_up(s);
	pass(s, MINUTE_MS); /* what io_finish() left behind */
	loop_free(&s->loop);
	content_unref(&s->message.content);
	mem_free(&s);
	return 0;
}

static void
dial(struct stage *s)
{
	struct client_options o = {
	    .host = "mx.test", .helo = "me.test", .timeouts = &s->timeouts};
	assert_int_equal(net_parse_addr(SPAN("192.0.2.1:25"), &o.to), OK);
	s->client = client_new(s->loop, &o, on_client, s);
	assert_int_equal(s->events, 0);
	settle(s);
}

static struct content *
content_of(const char *text, size_t n)
{
	struct content *c = content_new(NULL);
	content_append(c, text, n);
	content_seal(c);
	return c;
}

static void
content_is(struct stage *s, const char *text)
{
	content_unref(&s->message.content);
	s->message.content = content_of(text, strlen(text));
}

static void
message(struct stage *s, size_t rcpts)
{
	static char names[300][40];
	s->message.sender = SPAN("a@me.test");
	s->message.prefix = SPAN("Received: x\r\n");
	content_is(s, "Subject: hi\r\n\r\nhello\r\n");
	for (size_t i = 0; i < rcpts; i++) {
		snprintf(names[i], sizeof(names[i]), "r%zu@x.test", i);
		s->rcpt[i] = (struct recipient){.address = span_str(names[i])};
		s->to[i] = (struct mail_rcpt){.rcpt = &s->rcpt[i]};
	}
	s->mail = (struct mail){.message = &s->message, .rcpt = s->to, .rcpts = rcpts};
}

static void
post(struct stage *s)
{
	int before = s->events;
	client_send(s->client, &s->mail);
	assert_int_equal(s->events, before); /* never from inside */
	settle(s);
}

/* ---- the next hop */

static void
says_bytes(struct stage *s, const char *p, size_t n)
{
	assert_int_equal(send(s->peer, p, n, MSG_NOSIGNAL), n);
	settle(s);
}

static void
says(struct stage *s, const char *text)
{
	says_bytes(s, text, strlen(text));
}

/* What the client has sent since is exactly this. */
static void
hears(struct stage *s, const char *want)
{
	static char got[1 << 16];
	size_t n = 0;
	ssize_t r;
	settle(s);
	while (n < sizeof(got) - 1 &&
	       (r = read(s->peer, got + n, sizeof(got) - 1 - n)) > 0) {
		n += (size_t)r;
		settle(s);
	}
	got[n] = '\0';
	assert_string_equal(got, want);
}

/* The client has closed its side. */
static void
hears_the_end(struct stage *s)
{
	char sink[1000];
	ssize_t r;
	settle(s);
	while ((r = read(s->peer, sink, sizeof(sink))) > 0)
		;
	assert_int_equal(r, 0);
}

/* Up to READY. */
static void
greet(struct stage *s, const char *ehlo)
{
	dial(s);
	says(s, "220 mx.test ESMTP\r\n");
	hears(s, "EHLO me.test\r\n");
	says(s, ehlo);
	assert_int_equal(s->ready, 1);
	assert_int_equal(client_stage(s->client), STAGE_IDLE);
}

static void
assert_verdict(const struct verdict *v, const char *want)
{
	char got[VERDICT_TEXT + 32], status[16];
	verdict_status(v, status);
	snprintf(got, sizeof(got), "%u %s %s", v->code, status, v->text);
	/* as much as is given */
	if (strncmp(got, want, strlen(want)) != 0)
		assert_string_equal(got, want);
}

static void
assert_rcpt(struct stage *s, size_t i, const char *want)
{
	assert_verdict(&s->to[i].verdict, want);
}

/* ---- happy ways */

static void
test_plain(void **state)
{
	struct stage *s = *state;
	dial(s);
	assert_int_equal(client_stage(s->client), STAGE_GREETING);
	says(s, "220-mx.test\r\n220 ESMTP\r\n");
	hears(s, "EHLO me.test\r\n");
	assert_int_equal(client_stage(s->client), STAGE_EHLO);
	says(s, PLAIN);
	assert_int_equal(client_extensions(s->client), 0);
	assert_string_equal(client_peer(s->client), "mx.test[192.0.2.1]:25");
	message(s, 2);
	post(s);
	assert_int_equal(client_stage(s->client), STAGE_MAIL);
	hears(s, "MAIL FROM:<a@me.test>\r\n");
	says(s, "250 ok\r\n");
	assert_int_equal(client_stage(s->client), STAGE_RCPT);
	hears(s, "RCPT TO:<r0@x.test>\r\n");
	says(s, "250 ok\r\n");
	hears(s, "RCPT TO:<r1@x.test>\r\n");
	says(s, "251 will forward\r\n");
	assert_int_equal(client_stage(s->client), STAGE_DATA);
	hears(s, "DATA\r\n");
	says(s, "354 go\r\n");
	assert_int_equal(client_stage(s->client), STAGE_DOT);
	hears(s, BODY ".\r\n");
	assert_int_equal(s->sent, 0);
	says(s, "250 2.6.0 taken\r\n");
	assert_int_equal(s->sent, 1);
	assert_int_equal(client_messages(s->client), 1);
	assert_rcpt(s, 0, "250 2.6.0 taken");
	assert_rcpt(s, 1, "250 2.6.0 taken");
	client_quit(&s->client);
	assert_null(s->client);
	hears(s, "QUIT\r\n");
}

static void
test_pipelining(void **state)
{
	struct stage *s = *state;
	greet(s, PIPE);
	assert_int_equal(client_extensions(s->client), EXT_PIPELINING);
	message(s, 3);
	post(s);
	hears(s, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nRCPT TO:<r1@x.test>\r\n"
		 "RCPT TO:<r2@x.test>\r\nDATA\r\n");
	says(s, "250 ok\r\n250 ok\r\n450 4.2.1 later\r\n550 5.1.1 no\r\n354 go\r\n");
	hears(s, BODY ".\r\n");
	says(s, "250 taken\r\n");
	assert_int_equal(s->sent, 1);
	assert_rcpt(s, 0, "250 2.0.0 taken");
	assert_rcpt(s, 1, "450 4.2.1 later");
	assert_rcpt(s, 2, "550 5.1.1 no");
}

static void
test_extensions(void **state)
{
	struct stage *s = *state;
	greet(s, ALL);
	assert_int_equal(client_extensions(s->client), 0x1ff);
	assert_int_equal(client_size_limit(s->client), 1000000);
	message(s, 3);
	s->message.flags = MESSAGE_8BIT | MESSAGE_SMTPUTF8 | MESSAGE_RET_HDRS;
	s->message.envid = SPAN("QQ+3D1");
	s->message.sender = SPAN("\xc3\xa4@me.test");
	s->rcpt[0].notify = NOTIFY_SUCCESS | NOTIFY_DELAY;
	s->rcpt[0].orcpt = SPAN("rfc822;r0@x.test");
	s->rcpt[1].notify = NOTIFY_NEVER;
	s->rcpt[2].orcpt = SPAN("rfc822;evil\r\nRSET"); /* not passed on */
	post(s);
	hears(s, "MAIL FROM:<\xc3\xa4@me.test> SIZE=35 BODY=8BITMIME SMTPUTF8 RET=HDRS "
		 "ENVID=QQ+3D1\r\n"
		 "RCPT TO:<r0@x.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;r0@x.test\r\n"
		 "RCPT TO:<r1@x.test> NOTIFY=NEVER\r\nRCPT TO:<r2@x.test>\r\nDATA\r\n");
	says(s, "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	hears(s, BODY ".\r\n");
	says(s, "250 taken\r\n");
	assert_int_equal(s->sent, 1);
	assert_false(s->to[0].relayed); /* the next hop has DSN */
}

static void
test_size_words(void **state)
{
	struct stage *s = *state;
	greet(s, "250-mx\r\n250-SIZE 99999999999999999999999999\r\n250-\r\n250 - \r\n");
	assert_int_equal(client_extensions(s->client), EXT_SIZE);
	assert_int_equal(client_size_limit(s->client), 0);
}

static void
test_relayed(void **state)
{
	struct stage *s = *state;
	greet(s, PIPE);
	message(s, 3);
	s->message.sender = (struct span){0};
	s->rcpt[0].notify = NOTIFY_SUCCESS;
	s->rcpt[1].notify = NOTIFY_SUCCESS | NOTIFY_FAILURE;
	post(s);
	hears(s, "MAIL FROM:<>\r\nRCPT TO:<r0@x.test>\r\nRCPT TO:<r1@x.test>\r\n"
		 "RCPT TO:<r2@x.test>\r\nDATA\r\n");
	says(s, "250 ok\r\n250 ok\r\n550 no\r\n252 perhaps\r\n354 go\r\n");
	hears(s, BODY ".\r\n");
	says(s, "250 taken\r\n");
	assert_true(s->to[0].relayed);
	assert_false(s->to[1].relayed);
	assert_false(s->to[2].relayed);
	assert_rcpt(s, 2, "250 2.0.0 taken");
}

static void
test_bdat(void **state)
{
	struct stage *s = *state;
	greet(s, ALL);
	message(s, 2);
	s->message.flags = MESSAGE_BINARY | MESSAGE_NO_CRLF;
	content_is(s, "\r\n.\r\nbare \n and \r;\r\n..");
	post(s);
	hears(s,
	    "MAIL FROM:<a@me.test> SIZE=35 BODY=BINARYMIME\r\nRCPT TO:<r0@x.test>\r\n"
	    "RCPT TO:<r1@x.test>\r\n");
	says(s, "250 ok\r\n550 no\r\n250 ok\r\n");
	hears(s, "BDAT 35 LAST\r\nReceived: x\r\n\r\n.\r\nbare \n and \r;\r\n..");
	says(s, "250 taken\r\n");
	assert_int_equal(s->sent, 1);
	assert_rcpt(s, 0, "550 5.0.0 no");
	assert_rcpt(s, 1, "250 2.0.0 taken");

	/* nobody accepted: no BDAT */
	message(s, 1);
	post(s);
	hears(s,
	    "MAIL FROM:<a@me.test> SIZE=35 BODY=BINARYMIME\r\nRCPT TO:<r0@x.test>\r\n");
	says(s, "250 ok\r\n550 no\r\n");
	assert_int_equal(s->sent, 2);
	hears(s, "");
}

static void
test_helo(void **state)
{
	struct stage *s = *state;
	dial(s);
	says(s, "220 old\r\n");
	hears(s, "EHLO me.test\r\n");
	says(s, "502 what?\r\n");
	hears(s, "HELO me.test\r\n");
	says(s, "250-old\r\n250 PIPELINING\r\n");
	assert_int_equal(s->ready, 1);
	assert_int_equal(client_extensions(s->client), 0);
}

static void
test_reuse(void **state)
{
	struct stage *s = *state;
	greet(s, PLAIN);
	for (unsigned i = 1; i <= 3; i++) {
		message(s, 1);
		post(s);
		hears(s, "MAIL FROM:<a@me.test>\r\n");
		says(s, "250 ok\r\n");
		hears(s, "RCPT TO:<r0@x.test>\r\n");
		says(s, "250 ok\r\n");
		hears(s, "DATA\r\n");
		says(s, "354 go\r\n");
		hears(s, BODY ".\r\n");
		says(s, "250 taken\r\n");
		assert_int_equal(client_messages(s->client), i);
		pass(s, HOUR_MS); /* no deadline while idle */
	}
	assert_int_equal(s->sent, 3);
	assert_int_equal(s->lost, 0);
}

/* After a transaction that the peer may still hold, RSET leads the next one. */
static void
test_reset(void **state)
{
	struct stage *s = *state;
	greet(s, PIPE);
	message(s, 1);
	post(s);
	hears(s, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nDATA\r\n");
	says(s, "250 ok\r\n550 no\r\n554 nobody\r\n");
	assert_int_equal(s->sent, 1);
	post(s);
	hears(s, "RSET\r\nMAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nDATA\r\n");
	says(s, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	hears(s, BODY ".\r\n");
	says(s, "250 taken\r\n");
	assert_rcpt(s, 0, "250 2.0.0 taken");
	post(s);
	hears(s, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nDATA\r\n");
}

static void
test_reset_plain(void **state)
{
	struct stage *s = *state;
	greet(s, PLAIN);
	message(s, 1);
	post(s);
	hears(s, "MAIL FROM:<a@me.test>\r\n");
	says(s, "250 ok\r\n");
	hears(s, "RCPT TO:<r0@x.test>\r\n");
	says(s, "550 no\r\n");
	assert_int_equal(s->sent, 1);
	hears(s, "");
	post(s);
	hears(s, "RSET\r\n");
	says(s, "500 what?\r\n");
	assert_int_equal(s->lost, 1);
	assert_rcpt(s, 0, "451 4.5.0");
	assert_true(client_stale(s->client));
}

/* ---- refusals in the transaction */

static void
test_mail_refused(void **state)
{
	struct stage *s = *state;
	greet(s, PIPE);
	message(s, 2);
	post(s);
	hears(s, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nRCPT "
		 "TO:<r1@x.test>\r\nDATA\r\n");
	says(s, "450 4.7.1 not you\r\n503 mail first\r\n503 mail first\r\n354 go on "
		"then\r\n");
	hears(s, ".\r\n");
	assert_int_equal(s->sent, 0);
	says(s, "554 nothing\r\n");
	assert_int_equal(s->sent, 1);
	assert_rcpt(s, 0, "450 4.7.1 not you");
	assert_rcpt(s, 1, "450 4.7.1 not you");

	post(s); /* nothing to forget there */
	hears(s, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nRCPT "
		 "TO:<r1@x.test>\r\nDATA\r\n");
}

static void
test_all_refused_354(void **state)
{
	struct stage *s = *state;
	greet(s, PIPE);
	message(s, 2);
	post(s);
	hears(s, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nRCPT "
		 "TO:<r1@x.test>\r\nDATA\r\n");
	says(s, "250 ok\r\n550 no\r\n450 later\r\n354 go\r\n");
	hears(s, ".\r\n");
	says(s, "250 taken\r\n"); /* means nothing */
	assert_int_equal(s->sent, 1);
	assert_rcpt(s, 0, "550 5.0.0 no");
	assert_rcpt(s, 1, "450 4.0.0 later");
}

static void
test_data_refused(void **state)
{
	struct stage *s = *state;
	greet(s, PIPE);
	message(s, 2);
	post(s);
	hears(s, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nRCPT "
		 "TO:<r1@x.test>\r\nDATA\r\n");
	says(s, "250 ok\r\n250 ok\r\n550 5.1.1 no\r\n451 4.3.0 no room\r\n");
	assert_int_equal(s->sent, 1);
	assert_rcpt(s, 0, "451 4.3.0 no room");
	assert_rcpt(s, 1, "550 5.1.1 no");
	hears(s, "");
}

static void
test_too_many(void **state)
{
	struct stage *s = *state;
	greet(s, PIPE);
	message(s, 4);
	post(s);
	says(s,
	    "250 ok\r\n250 ok\r\n552 too many\r\n552 5.5.3 too many\r\n552 5.2.2 full\r\n"
	    "354 go\r\n");
	says(s, "550 5.7.1 spam\r\n");
	assert_int_equal(s->sent, 1);
	assert_rcpt(s, 0, "550 5.7.1 spam");
	assert_rcpt(s, 1, "452 4.5.3 too many");
	assert_rcpt(s, 2, "452 4.5.3 too many");
	assert_rcpt(s, 3, "552 5.2.2 full");
}

/* ---- refused here */

static void
assert_refused_here(struct stage *s, const char *want)
{
	int sent = s->sent;
	post(s);
	assert_int_equal(s->sent, sent + 1);
	assert_rcpt(s, 0, want);
	hears(s, "");
}

static void
test_needs(void **state)
{
	struct stage *s = *state;
	greet(s, "250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 SIZE 40\r\n");
	message(s, 1);
	s->message.flags = MESSAGE_SMTPUTF8 | MESSAGE_8BIT;
	assert_refused_here(s, "550 5.6.7 mx.test[192.0.2.1]:25 does not offer SMTPUTF8");
	s->message.flags = MESSAGE_8BIT;
	assert_refused_here(s, "554 5.6.3 mx.test[192.0.2.1]:25 does not offer 8BITMIME");
	s->message.flags = MESSAGE_BINARY;
	assert_refused_here(
	    s, "554 5.6.3 mx.test[192.0.2.1]:25 does not offer BINARYMIME");
	s->message.flags = 0;
	s->message.sender = SPAN("\xc3\xa4@me.test");
	assert_refused_here(s, "550 5.6.7");
	s->message.sender = SPAN("a\r\nRSET\r\n@me.test");
	assert_refused_here(s, "553 5.1.7");
	s->message.sender = SPAN("a@me.test");
	s->rcpt[0].address = SPAN("\xc3\xa4@x.test");
	assert_refused_here(s, "553 5.6.7");
	s->rcpt[0].address = SPAN("a\r\nRSET@x.test");
	assert_refused_here(s, "553 5.1.3");
	message(s, 1);
	content_is(s, "123456789 123456789 1234567\r\n");
	assert_refused_here(s, "552 5.3.4 mx.test[192.0.2.1]:25 takes 40 octets; "
			       "the message has 42");
	assert_int_equal(s->lost, 0);
}

/* One that cannot be named does not keep the others from being served. */
static void
test_one_unnameable(void **state)
{
	struct stage *s = *state;
	greet(s, PIPE);
	message(s, 3);
	s->rcpt[0].address = SPAN("\xc3\xa4@x.test");
	s->rcpt[1].address = SPAN("b@b\xc3\xbc"
				  "cher.test");
	s->rcpt[2].address = SPAN("\xc3\xa4@x.test");
	post(s);
	hears(s, "MAIL FROM:<a@me.test>\r\nRCPT TO:<b@xn--bcher-kva.test>\r\nDATA\r\n");
	says(s, "250 ok\r\n250 ok\r\n354 go\r\n");
	hears(s, BODY ".\r\n");
	says(s, "250 taken\r\n");
	assert_rcpt(s, 0, "553 5.6.7");
	assert_rcpt(s, 1, "250 2.0.0 taken");
	assert_rcpt(s, 2, "553 5.6.7");
}

/* ---- each failure at each step */

/* What the server says up to a step; the step's own answer is the failure. */
static const struct step {
	const char *before;
	enum client_stage stage;
	int64_t timeout_ms;
	bool transaction;
} steps[] = {
    {"", STAGE_GREETING, 301 * SECOND_MS, false},
    {"220 mx\r\n", STAGE_EHLO, 302 * SECOND_MS, false},
    {"220 mx\r\n|250 mx\r\n", STAGE_MAIL, 303 * SECOND_MS, true},
    {"220 mx\r\n|250 mx\r\n|250 ok\r\n", STAGE_RCPT, 304 * SECOND_MS, true},
    {"220 mx\r\n|250 mx\r\n|250 ok\r\n|250 ok\r\n", STAGE_DATA, 120 * SECOND_MS, true},
    {"220 mx\r\n|250 mx\r\n|250 ok\r\n|250 ok\r\n|354 go\r\n", STAGE_DOT, 600 * SECOND_MS,
	true},
};

static void
walk_to(struct stage *s, const struct step *to)
{
	message(s, 1);
	s->send_in_callback = &s->mail;
	dial(s);
	struct span rest = span_str(to->before);
	while (rest.n > 0) {
		size_t n = span_find(rest, '|');
		says_bytes(s, rest.p, n);
		rest = span_cut(rest, n + 1, rest.n);
	}
	assert_int_equal(client_stage(s->client), to->stage);
	assert_int_equal(s->sent + s->lost, 0);
}

/* Do `fail` at every step; `want` is the verdict, NULL: see the caller. */
static void
at_each_step(void (*failure)(struct stage *s, const struct step *at))
{
	for (size_t i = 0; i < COUNT_OF(steps); i++) {
		void *state;
		setup(&state);
		walk_to(state, &steps[i]);
		failure(state, &steps[i]);
		teardown(&state);
	}
}

static const struct verdict *
verdict_at(struct stage *s, const struct step *at)
{
	return at->transaction ? &s->to[0].verdict : client_verdict(s->client);
}

static void
assert_lost(struct stage *s, const struct step *at, const char *want)
{
	assert_int_equal(s->lost, 1);
	assert_int_equal(s->sent, 0);
	assert_int_equal(client_stage(s->client), at->stage);
	assert_verdict(client_verdict(s->client), want);
	assert_verdict(verdict_at(s, at), want);
	assert_false(client_stale(s->client));
}

static void
fail_close(struct stage *s, const struct step *at)
{
	char sink[1000];
	while (read(s->peer, sink, sizeof(sink)) > 0)
		;
	hang_up(s);
	settle(s);
	assert_lost(s, at,
	    "451 4.4.2 mx.test[192.0.2.1]:25: connection closed while waiting for");
	assert_int_equal(client_maybe_delivered(s->client), at->stage == STAGE_DOT);
}

static void
fail_reset(struct stage *s, const struct step *at)
{
	hang_up(s); /* with unread commands: a reset, except before the first of them */
	settle(s);
	assert_lost(s, at, "451 4.4.2 mx.test[192.0.2.1]:25: ");
	assert_int_equal(client_maybe_delivered(s->client), at->stage == STAGE_DOT);
}

static void
fail_half_reply(struct stage *s, const struct step *at)
{
	says(s, "250-and\r\n25");
	fail_close(s, at);
}

static void
fail_silence(struct stage *s, const struct step *at)
{
	pass(s, at->timeout_ms - 1);
	assert_int_equal(s->lost, 0);
	pass(s, 1);
	assert_lost(
	    s, at, "451 4.4.2 mx.test[192.0.2.1]:25: timed out while waiting for");
	assert_int_equal(client_maybe_delivered(s->client), at->stage == STAGE_DOT);
	hears_the_end(s);
}

static void
fail_drip(struct stage *s, const struct step *at)
{
	for (int i = 0; i < 10; i++) {
		pass(s, at->timeout_ms / 10 - 1);
		says_bytes(s, &"250-xxxxxx"[i], 1);
	}
	pass(s, 10);
	assert_int_equal(s->lost, 1);
}

static void
fail_421(struct stage *s, const struct step *at)
{
	says(s, "421 4.3.2 going down\r\n");
	assert_lost(s, at, "421 4.3.2 going down");
	assert_false(client_maybe_delivered(s->client));
}

static void
fail_refused(struct stage *s, const struct step *at, const char *reply, const char *want)
{
	bool five = reply[0] == '5';
	says(s, reply);
	if (at->stage == STAGE_EHLO && five) {
		assert_int_equal(s->events, 0);
		says(s, reply); /* to HELO */
	}
	assert_verdict(verdict_at(s, at), want);
	assert_int_equal(s->sent, at->transaction);
	assert_int_equal(s->lost, !at->transaction);
	assert_false(client_maybe_delivered(s->client));
}

static void
fail_4xx(struct stage *s, const struct step *at)
{
	fail_refused(s, at, "450-4.2.1 not\r\n450 4.2.1 now\r\n", "450 4.2.1 not now");
}

static void
fail_5xx(struct stage *s, const struct step *at)
{
	fail_refused(s, at, "554 5.7.1 never\r\n", "554 5.7.1 never");
}

static void
test_each_failure(void **state)
{
	(void)state;
	at_each_step(fail_close);
	at_each_step(fail_reset);
	at_each_step(fail_half_reply);
	at_each_step(fail_silence);
	at_each_step(fail_drip);
	at_each_step(fail_421);
	at_each_step(fail_4xx);
	at_each_step(fail_5xx);
}

static void
test_garbage(void **state)
{
	(void)state;
	static char huge[100000], many[20000];
	memset(huge, 'x', sizeof(huge) - 1);
	memcpy(huge, "250 ", 4);
	for (size_t i = 0; i + 7 < sizeof(many); i += 7)
		memcpy(many + i, "250-x\r\n", 7);
	const char *garbage[] = {"553-\n", "553\n", "55\r\n", "\r\n", "553-\r\n\r\n",
	    "354x\r\n", "HTTP/1.1 200 OK\r\n", "300 what\r\n", "250 ok\rRSET\r\n", huge,
	    many};
	for (size_t g = 0; g < COUNT_OF(garbage); g++) {
		for (size_t i = 0; i < COUNT_OF(steps); i++) {
			void *p;
			setup(&p);
			struct stage *s = p;
			walk_to(s, &steps[i]);
			send(s->peer, garbage[g], strlen(garbage[g]), MSG_NOSIGNAL);
			settle(s);
			assert_lost(s, &steps[i],
			    "451 4.5.0 mx.test[192.0.2.1]:25: protocol error");
			assert_int_equal(client_maybe_delivered(s->client),
			    steps[i].stage == STAGE_DOT);
			teardown(&p);
		}
	}
}

/* An answer before its command: behind the awaited one, at every step. */
static void
test_early(void **state)
{
	(void)state;
	static const char *answer[] = {"220 mx\r\n250 mx\r\n", "250 mx\r\n250 ok\r\n",
	    "250 ok\r\n250 ok\r\n", "250 ok\r\n354 go\r\n", "354 go\r\n250 taken\r\n"};
	for (size_t i = 0; i < COUNT_OF(answer); i++) {
		void *p;
		setup(&p);
		struct stage *s = p;
		walk_to(s, &steps[i]);
		says(s, answer[i]);
		assert_int_equal(s->lost, 1);
		assert_int_equal(s->sent, 0);
		assert_verdict(client_verdict(s->client), "451 4.5.0");
		if (steps[i].transaction)
			assert_rcpt(s, 0, "451 4.5.0");
		assert_false(client_maybe_delivered(s->client));
		teardown(&p);
	}
}

/* After the last answer: the transaction counts, the connection does not. */
static void
test_chatter_afterwards(void **state)
{
	struct stage *s = *state;
	walk_to(s, &steps[5]);
	s->send_in_callback = &s->mail;
	says(s, "250 taken\r\n421 enough\r\n");
	assert_int_equal(s->sent, 1);
	assert_int_equal(s->lost, 1); /* with what was handed over in SENT */
	assert_true(client_stale(s->client));
	assert_int_equal(client_stage(s->client), STAGE_MAIL);
	assert_false(client_maybe_delivered(s->client));
}

static void
test_idle_input(void **state)
{
	struct stage *s = *state;
	greet(s, PIPE);
	says(s, "421 4.4.2 idle too long\r\n");
	assert_int_equal(s->lost, 1);
	assert_verdict(client_verdict(s->client), "421 4.4.2 idle too long");
}

static void
test_stale(void **state)
{
	struct stage *s = *state;
	walk_to(s, &steps[5]);
	says(s, "250 taken\r\n");
	assert_int_equal(s->sent, 1);
	hang_up(s);
	client_send(s->client, &s->mail); /* before the loop has seen it */
	settle(s);
	assert_int_equal(s->lost, 1);
	assert_int_equal(client_stage(s->client), STAGE_MAIL);
	assert_true(client_stale(s->client));
	assert_rcpt(s, 0, "451 4.4.2");
}

static void
test_stale_421(void **state)
{
	struct stage *s = *state;
	walk_to(s, &steps[5]);
	says(s, "250 taken\r\n");
	post(s);
	says(s, "421 idle too long\r\n");
	assert_int_equal(s->lost, 1);
	assert_true(client_stale(s->client));
}

static void
test_not_stale(void **state)
{
	struct stage *s = *state;
	walk_to(s, &steps[5]);
	says(s, "250 taken\r\n");
	post(s);
	says(s, "250 ok\r\n");
	hang_up(s);
	settle(s);
	assert_int_equal(s->lost, 1);
	assert_false(client_stale(s->client));
}

static void
test_lost_with_mixed(void **state)
{
	struct stage *s = *state;
	greet(s, PIPE);
	message(s, 4);
	post(s);
	says(s, "250 ok\r\n250 ok\r\n550 5.1.1 no\r\n421 4.3.2 bye\r\n");
	assert_int_equal(s->lost, 1);
	assert_rcpt(s, 0, "421 4.3.2 bye");
	assert_rcpt(s, 1, "550 5.1.1 no");
	assert_rcpt(s, 2, "421 4.3.2 bye");
	assert_rcpt(s, 3, "421 4.3.2 bye");
}

static void
test_mail_refused_then_421(void **state)
{
	struct stage *s = *state;
	greet(s, PIPE);
	message(s, 1);
	post(s);
	says(s, "550 5.7.1 not you\r\n421 4.3.2 bye\r\n");
	assert_int_equal(s->lost, 1);
	assert_rcpt(s, 0, "550 5.7.1 not you");
	assert_verdict(client_verdict(s->client), "421 4.3.2 bye");
}

static void
test_dial_fails(void **state)
{
	struct stage *s = *state;
	s->dial_fails = ERR_UNREACHABLE;
	dial(s);
	assert_int_equal(s->lost, 1);
	assert_int_equal(client_stage(s->client), STAGE_CONNECT);
	assert_verdict(
	    client_verdict(s->client), "451 4.4.1 connect to mx.test[192.0.2.1]:25: ");
}

static void
test_free_in_callback(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(steps); i++) {
		void *p;
		setup(&p);
		struct stage *s = p;
		walk_to(s, &steps[i]);
		s->free_in_callback = true;
		hang_up(s);
		settle(s);
		assert_int_equal(s->lost, 1);
		assert_null(s->client);
		teardown(&p);
	}
	for (size_t i = 0; i < COUNT_OF(steps); i++) { /* and out of the blue */
		void *p;
		setup(&p);
		struct stage *s = p;
		walk_to(s, &steps[i]);
		int before = s->events;
		if (i % 2 == 0)
			client_free(&s->client);
		else
			client_quit(&s->client);
		settle(s);
		assert_int_equal(s->events, before);
		teardown(&p);
	}
}

static void
on_other(void *arg, enum client_event ev)
{
	assert_int_equal(ev, CLIENT_LOST);
	++*(int *)arg;
}

static void
test_owner(void **state)
{
	struct stage *s = *state;
	int lost = 0;
	greet(s, PIPE);
	client_set_owner(s->client, on_other, &lost);
	hang_up(s);
	settle(s);
	assert_int_equal(lost, 1);
	assert_int_equal(s->lost, 0);
}

/* ---- any split */

static void
test_byte_by_byte(void **state)
{
	struct stage *s = *state;
	static const char *const replies[] = {"220-mx\r\n220 x\r\n", ALL,
	    "250 2.1.0 ok\r\n250-2.1.5 one\r\n250 2.1.5 ok\r\n550-5.1.1 no\r\n550 5.1.1 "
	    "no\r\n"
	    "354 go\r\n",
	    "250 2.0.0 taken\r\n"};
	message(s, 2);
	s->send_in_callback = &s->mail;
	dial(s);
	for (size_t i = 0; i < COUNT_OF(replies); i++)
		for (const char *p = replies[i]; *p != '\0'; p++)
			says_bytes(s, p, 1);
	assert_int_equal(s->sent, 1);
	assert_int_equal(client_extensions(s->client), 0x1ff);
	assert_rcpt(s, 0, "250 2.0.0 taken");
	assert_rcpt(s, 1, "550 5.1.1 no no");
}

/* ---- the window */

static size_t
count_lines(struct stage *s)
{
	static char got[1 << 16];
	size_t lines = 0;
	settle(s);
	for (ssize_t r; (r = read(s->peer, got, sizeof(got))) > 0; settle(s))
		for (ssize_t i = 0; i < r; i++)
			lines += got[i] == '\n';
	return lines;
}

static void
test_window(void **state)
{
	struct stage *s = *state;
	greet(s, PIPE);
	message(s, 300);
	post(s);
	assert_int_equal(count_lines(s), WINDOW_COMMANDS);
	for (size_t i = 0; i < 203; i++) { /* one answered, one more sent, DATA at last */
		says(s, i > 0 && i % 2 == 0 ? "550 no\r\n" : "250 ok\r\n");
		assert_int_equal(count_lines(s), i < 202);
	}
	for (size_t i = 203; i < 301; i++)
		says(s, "250 ok\r\n");
	says(s, "354 go\r\n");
	hears(s, BODY ".\r\n");
	says(s, "250 taken\r\n");
	assert_int_equal(s->sent, 1);
	assert_rcpt(s, 0, "250 2.0.0 taken");
	assert_rcpt(s, 1, "550 5.0.0 no");
	assert_rcpt(s, 299, "250 2.0.0 taken");
}

/* ---- the content on the wire */

/* The wire's bytes for this content, read `step` at a time through small buffers. */
static char *
wire_of(struct stage *s, struct content *content, size_t step, size_t *n)
{
	char *got = mem_alloc((size_t)content_size(content) * 2 + 1000);
	content_unref(&s->message.content);
	s->message.content = content;
	s->message.prefix = (struct span){0};
	s->sndbuf = 8192;
	greet(s, PIPE);
	post(s);
	hears(s, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nDATA\r\n");
	says(s, "250 ok\r\n250 ok\r\n354 go\r\n");
	*n = 0;
	for (ssize_t r; (r = read(s->peer, got + *n, step)) > 0; settle(s)) {
		*n += (size_t)r;
		if (s->client->io != NULL)
			assert_true(io_queued(s->client->io) <= IO_HIGH);
		pass(s, 20 * SECOND_MS); /* slow, but it moves */
	}
	return got;
}

/* content -> the wire, the other way round */
static char *
unstuffed(const char *wire, size_t n, size_t *out_n)
{
	char *out = mem_alloc(n + 1);
	size_t k = 0;
	bool start = true;
	assert_true(n >= 5 && memcmp(wire + n - 5, "\r\n.\r\n", 5) == 0);
	for (size_t i = 0; i < n - 3; i++) {
		if (!(start && wire[i] == '.'))
			out[k++] = wire[i];
		else
			assert_int_equal(wire[i + 1], '.');
		start = i > 0 && wire[i - 1] == '\r' && wire[i] == '\n';
		if (start && wire[i + 1] == '.' && i + 1 < n - 3)
			assert_int_equal(wire[i + 2], '.');
		if (i + 1 < n - 3 && start && wire[i + 1] == '.') {
			i++; /* the stuffed one goes, the next one stays */
			start = false;
		}
	}
	*out_n = k;
	return out;
}

#define BIG 700000

static char *
big_text(size_t n, bool dots)
{
	char *text = mem_alloc(n + 100);
	size_t at = 0;
	for (unsigned i = 0; at < n; i++)
		at += (size_t)snprintf(text + at, 100, "%sline %u%.*s\r\n",
		    dots && i % 7 == 0 ? "." : "", i, (int)(i % 61),
		    "..............................................................");
	memcpy(text + n - 2, "\r\n", 2);
	if (text[n - 3] == '\r' || text[n - 3] == '\n')
		text[n - 3] = 'x';
	if (text[n - 4] == '\r')
		text[n - 4] = 'x';
	return text;
}

static struct content *
content_in_file(const char *text, size_t n)
{
	FILE *f = tmpfile();
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	fflush(f);
	int fd = dup(fileno(f));
	fclose(f);
	return content_from_file(fd, n);
}

static void
big(struct stage *s, bool file, bool dots)
{
	char *text = big_text(BIG, dots);
	message(s, 1);
	size_t wire_n, back_n;
	struct content *c = file ? content_in_file(text, BIG) : content_of(text, BIG);
	char *wire = wire_of(s, c, 4096, &wire_n);
	assert_int_equal(s->lost, 0);
	assert_int_equal(client_stage(s->client), STAGE_DOT);
	char *back = unstuffed(wire, wire_n, &back_n);
	assert_int_equal(back_n, BIG);
	assert_memory_equal(back, text, BIG);
	says(s, "250 taken\r\n");
	assert_rcpt(s, 0, "250 2.0.0 taken");
	mem_free(&back);
	mem_free(&wire);
	mem_free(&text);
}

static void
test_big_memory(void **state)
{
	big(*state, false, true);
}

static void
test_big_memory_clean(void **state)
{
	big(*state, false, false);
}

static void
test_big_file(void **state)
{
	big(*state, true, true);
}

/* Seen to be plain when it came: it goes out as it is, of a file or of memory. */
static void
test_big_plain(void **state)
{
	(void)state;
	char *text = big_text(BIG, false), *wire;
	size_t n;
	for (unsigned file = 0; file < 2; file++) {
		void *p;
		setup(&p);
		struct stage *s = p;
		message(s, 1);
		s->message.flags |= MESSAGE_PLAIN;
		/* in steps of what sendfile() puts into a Unix socket at once */
		wire = wire_of(s,
		    file ? content_in_file(text, BIG) : content_of(text, BIG), 65536, &n);
		assert_int_equal(n, BIG + 3);
		assert_memory_equal(wire, text, BIG);
		assert_memory_equal(wire + BIG, ".\r\n", 3);
		says(s, "250 taken\r\n");
		assert_rcpt(s, 0, "250 2.0.0 taken");
		mem_free(&wire);
		teardown(&p);
	}
	mem_free(&text);
}

static void
test_stuffing(void **state)
{
	(void)state;
	static const struct {
		const char *content, *wire;
	} cases[] = {
	    {"", ".\r\n"},
	    {"x", "x\r\n.\r\n"},
	    {".", "..\r\n.\r\n"},
	    {".\r\n", "..\r\n.\r\n"},
	    {"\r\n", "\r\n.\r\n"},
	    {"a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"},
	    {"a\r\n..b\r\n", "a\r\n...b\r\n.\r\n"},
	    {"a.\r\n.b.c", "a.\r\n..b.c\r\n.\r\n"},
	    {"\r\n.\r\nMAIL FROM:<x>\r\n", "\r\n..\r\nMAIL FROM:<x>\r\n.\r\n"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		for (int file = 0; file < 2; file++) {
			void *p;
			setup(&p);
			struct stage *s = p;
			message(s, 1);
			const char *text = cases[i].content;
			size_t n;
			char *wire = wire_of(s,
			    file ? content_in_file(text, strlen(text))
				 : content_of(text, strlen(text)),
			    3, &n);
			assert_int_equal(n, strlen(cases[i].wire));
			assert_memory_equal(wire, cases[i].wire, n);
			mem_free(&wire);
			teardown(&p);
		}
	}
}

/* Every position of a line end and a dot around the edge of a slice. */
static void
test_slice_edges(void **state)
{
	(void)state;
	for (size_t at = CONTENT_SLICE - 5; at <= CONTENT_SLICE + 2; at++) {
		for (unsigned bare = 0; bare < 3; bare++) {
			char text[CONTENT_SLICE + 20];
			memset(text, 'x', sizeof(text));
			memcpy(text + at,
			    bare == 0   ? "\r\n.\r\n"
			    : bare == 1 ? "\r.\r\n."
					: "-\n.\r\n",
			    5);
			memcpy(text + sizeof(text) - 2, "\r\n", 2);
			void *p;
			setup(&p);
			struct stage *s = p;
			message(s, 1);
			size_t n;
			char *wire =
			    wire_of(s, content_of(text, sizeof(text)), 100000, &n);
			if (bare > 0) {
				assert_int_equal(s->lost, 1);
				assert_rcpt(s, 0, "554 5.6.0");
				assert_false(client_maybe_delivered(s->client));
			} else {
				assert_int_equal(n, sizeof(text) + 4);
				assert_memory_equal(wire, text, at + 2);
				assert_memory_equal(wire + at + 2, "..\r\n", 4);
			}
			mem_free(&wire);
			teardown(&p);
		}
	}
}

static void
test_bare(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t n;
	} cases[] = {{"a\nb\r\n", 5}, {"a\rb\r\n", 5}, {"a\r\n\n", 4}, {"\n", 1},
	    {"\r", 1}, {"a\r", 2}, {"a\r\r\n", 4}, {"a\n.\r\nb\r\n", 8}, {"a\0b\r\n", 5},
	    {"a\r\n\0.\r\n", 7}};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		void *p;
		setup(&p);
		struct stage *s = p;
		message(s, 1);
		size_t n;
		char *wire = wire_of(s, content_of(cases[i].text, cases[i].n), 100, &n);
		assert_int_equal(n, 0);
		assert_int_equal(s->lost, 1);
		assert_rcpt(s, 0, "554 5.6.0");
		mem_free(&wire);
		teardown(&p);
	}
}

static void
test_stalled_reader(void **state)
{
	struct stage *s = *state;
	char *text = big_text(BIG, false);
	message(s, 1);
	content_unref(&s->message.content);
	s->message.content = content_of(text, BIG);
	mem_free(&text);
	greet(s, PIPE);
	post(s);
	says(s, "250 ok\r\n250 ok\r\n354 go\r\n");
	assert_int_equal(client_stage(s->client), STAGE_DATA);
	pass(s, 180 * SECOND_MS); /* it took the first of it meanwhile */
	pass(s, 180 * SECOND_MS);
	assert_int_equal(s->lost, 1);
	assert_rcpt(s, 0,
	    "451 4.4.2 mx.test[192.0.2.1]:25: timed out while waiting for the peer");
	assert_false(client_maybe_delivered(s->client));
}

/* A refusal in the middle of the content is the peer's word; success there is none. */
static void
test_answer_in_body(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
	    {"552 5.3.4 too big\r\n", "552 5.3.4 too big"},
	    {"421 4.3.2 bye\r\n", "421 4.3.2 bye"},
	    {"250 taken\r\n", "451 4.5.0"},
	    {"what\r\n", "451 4.5.0"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		void *p;
		setup(&p);
		struct stage *s = p;
		char *text = big_text(BIG, false);
		message(s, 1);
		content_unref(&s->message.content);
		s->message.content = content_of(text, BIG);
		mem_free(&text);
		greet(s, PIPE);
		post(s);
		says(s, "250 ok\r\n250 ok\r\n354 go\r\n");
		says(s, cases[i][0]);
		assert_int_equal(s->lost, 1);
		assert_rcpt(s, 0, cases[i][1]);
		assert_false(client_maybe_delivered(s->client));
		teardown(&p);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_plain),
	    TEST(test_pipelining),
	    TEST(test_extensions),
	    TEST(test_size_words),
	    TEST(test_relayed),
	    TEST(test_bdat),
	    TEST(test_helo),
	    TEST(test_reuse),
	    TEST(test_reset),
	    TEST(test_reset_plain),
	    TEST(test_mail_refused),
	    TEST(test_all_refused_354),
	    TEST(test_data_refused),
	    TEST(test_too_many),
	    TEST(test_needs),
	    TEST(test_one_unnameable),
	    cmocka_unit_test(test_each_failure),
	    cmocka_unit_test(test_garbage),
	    cmocka_unit_test(test_early),
	    TEST(test_chatter_afterwards),
	    TEST(test_idle_input),
	    TEST(test_stale),
	    TEST(test_stale_421),
	    TEST(test_not_stale),
	    TEST(test_lost_with_mixed),
	    TEST(test_mail_refused_then_421),
	    TEST(test_dial_fails),
	    cmocka_unit_test(test_free_in_callback),
	    TEST(test_owner),
	    TEST(test_byte_by_byte),
	    TEST(test_window),
	    TEST(test_big_memory),
	    TEST(test_big_memory_clean),
	    TEST(test_big_file),
	    cmocka_unit_test(test_big_plain),
	    cmocka_unit_test(test_stuffing),
	    cmocka_unit_test(test_slice_edges),
	    cmocka_unit_test(test_bare),
	    TEST(test_stalled_reader),
	    cmocka_unit_test(test_answer_in_body),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
