/* SPDX-License-Identifier: ISC */
/*
 * SMTP sessions over socket pairs, on one loop with a clock that we turn, and a
 * real spool.  A dialogue is what the client sends and the digest of what it
 * gets: the code of each reply, with its enhanced code after a slash where
 * there is one, and "." where the server has closed.
 *
 * For the tests of the ingress, each of which is a program of its own and takes
 * what it needs of this.
 */
#ifndef TESTS_INGRESS_RIG_H
#define TESTS_INGRESS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/dot.h"
#include "base/fault.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/scan.h"
#include "policy/header.h"
#include "relay/ingress/ingress.h"

#define RIG_FN static __attribute__((unused))

#define HOST "gw.example"
#define OWN "192.0.2.7"
#define STRANGER "198.51.100.9"

#define HI "EHLO c.example\r\n"
#define MAIL "MAIL FROM:<a@c.example>\r\n"
#define RCPT "RCPT TO:<u@office.example>\r\n"
#define DATA "DATA\r\n"
#define HEAD                                                                         \
	"From: a@c.example\r\nDate: Mon, 23 Nov 2026 11:39:00 +0000\r\nMessage-ID: " \
	"<1@c>\r\n"
#define TEXT HEAD "\r\nhello\r\n"
#define DOT ".\r\n"
#define LONG10 "xxxxxxxxxx"
#define LONG100 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10
#define LONG900 LONG100 LONG100 LONG100 LONG100 LONG100 LONG100 LONG100 LONG100 LONG100
#define LONG998                                                                          \
	LONG900 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 LONG10 "xxxxxxx" \
									       "x"
#define QUIT "QUIT\r\n"

#define OK_HI "220 250 "
#define OK_RCPT OK_HI "250/2.1.0 250/2.1.5 "
#define OK_DATA OK_RCPT "354 "

/* ---- a world whose clock we turn */

struct clock_world {
	struct world world;
	int64_t ms;
	uint64_t dice;
};

RIG_FN struct instant
clock_now(struct world *w)
{
	return (struct instant){((struct clock_world *)w)->ms};
}

RIG_FN struct wall
clock_wall(struct world *w)
{
	return (struct wall){INT64_C(1795433940000) + ((struct clock_world *)w)->ms};
}

RIG_FN void
clock_random(struct world *w, void *p, size_t n)
{
	struct clock_world *c = (struct clock_world *)w;
	for (size_t i = 0; i < n; i++) {
		c->dice = c->dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
		((unsigned char *)p)[i] = (unsigned char)(c->dice >> 33);
	}
}

RIG_FN int
clock_dial(struct world *w, const struct net_addr *to, const struct net_addr *from)
{
	(void)w, (void)to, (void)from;
	return ERR_UNREACHABLE;
}

static const struct world_ops clock_ops = {
    clock_now, clock_wall, clock_random, clock_dial};

/* ---- the rig */

struct rig {
	struct clock_world clock;
	struct loop *loop;
	struct log *log;
	struct pool *pool;
	struct spool *spool;
	struct census *census;
	struct content_budget budget;
	struct ingress_counters counters;
	atomic_bool paused;
	const struct config *config;
	struct ingress *in;
	char dir[64];
	struct message *got[256];
	size_t got_n;
	struct buf lines; /* of the log */
	unsigned empty;   /* on_empty came */
};

/* What a rig is made of; all zero is one that is like any other. */
struct rig_options {
	const char *extra; /* configuration */
	uint64_t max_size; /* of the spool */
	unsigned threads;
	struct signin *signin;
	bool tls; /* certificates are made */
};

RIG_FN void
on_accepted(void *arg, struct message **m, size_t n)
{
	struct rig *r = arg;
	for (size_t i = 0; i < n; i++) {
		assert_true(r->got_n < COUNT_OF(r->got));
		r->got[r->got_n++] = m[i];
	}
}

RIG_FN void
on_failure(void *arg, enum err e)
{
	(void)arg;
	fail_msg("the spool failed: %s", err_text(e));
}

RIG_FN void
on_line(void *arg, enum log_level level, struct span line)
{
	(void)level;
	struct rig *r = arg;
	for (size_t i = 0; i < line.n; i++)
		assert_in_range((unsigned char)line.p[i], 0x20, 0x7e);
	buf_add_span(&r->lines, line);
	buf_add_char(&r->lines, '\n');
}

RIG_FN const struct config *
read_config_in(const char *extra, const char *state_dir)
{
	struct buf text = {0}, errors = {0};
	buf_addf(&text,
	    "hostname = \"" HOST "\"\n"
	    "spool { path = \"/nowhere\" }\n"
	    "networks = {\"192.0.2.0/24\"}\n"
	    "listener \"smtp\" { bind = {\"127.0.0.1:2525\"} protocol = \"smtp\" }\n"
	    "listener \"shut\" { bind = {\"127.0.0.1:2526\"} protocol = \"smtp\" "
	    "networks = "
	    "{\"203.0.113.0/24\"} }\n"
	    "route \"held\" { to = {\"held.example\"} deliver = \"hold\" }\n"
	    "route \"office\" { to = {\"office.example\"} via = {\"192.0.2.200:25\"} "
	    "inbound = "
	    "true }\n"
	    "route \"world\" { deliver = \"mx\" }\n%s",
	    extra ? extra : "");
	buf_add_char(&text, '\0');
	struct config *c = config_parse("test.conf", text.p, &errors);
	if (c == NULL)
		fail_msg("%.*s", SPAN_ARG(buf_span(&errors)));
	if (state_dir != NULL && !config_open(c, state_dir, &errors))
		fail_msg("%.*s", SPAN_ARG(buf_span(&errors)));
	buf_clear(&text);
	buf_clear(&errors);
	return c;
}

RIG_FN const struct config *
read_config(const char *extra)
{
	return read_config_in(extra, NULL);
}

RIG_FN struct rig *
rig_make(const struct rig_options *ro)
{
	struct rig *r = NEW(struct rig);
	r->clock = (struct clock_world){{&clock_ops}, 1000, 1};
	struct world *w = &r->clock.world;
	r->loop = loop_new(w);
	r->log = log_new(w, STDERR_FILENO);
	log_hook(r->log, on_line, r);
	log_set(r->log, LOG_DEBUG, LOG_TEXT);
	r->pool = pool_new(ro->threads, r->loop);
	memcpy(r->dir, "/tmp/test-ingress-XXXXXX", sizeof("/tmp/test-ingress-XXXXXX"));
	assert_non_null(mkdtemp(r->dir));
	struct spool_options so = {
	    .path = r->dir,
	    .create = true,
	    .max_size = ro->max_size,
	    .inline_max = 64 << 10,
	    .world = w,
	    .log = r->log,
	    .pool = r->pool,
	    .loop = r->loop,
	    .accepted_inbox = loop_inbox(r->loop),
	    .on_accepted = on_accepted,
	    .on_failure = on_failure,
	    .arg = r,
	};
	struct buf why = {0};
	if (spool_open(&r->spool, &so, &why) != OK)
		fail_msg("%.*s", SPAN_ARG(buf_span(&why)));
	buf_clear(&why);
	r->census = census_new(w);
	r->budget.limit = 1 << 20;
	r->config = read_config_in(ro->extra, ro->tls ? r->dir : NULL);
	struct ingress_options o = {
	    .loop = r->loop,
	    .log = r->log,
	    .spool = r->spool,
	    .census = r->census,
	    .budget = &r->budget,
	    .counters = &r->counters,
	    .paused = &r->paused,
	    .signin = ro->signin,
	    .config = r->config,
	};
	r->in = ingress_new(&o);
	return r;
}

RIG_FN struct rig *
rig_new_with(const char *extra, uint64_t max_size, unsigned threads)
{
	return rig_make(&(struct rig_options){
	    .extra = extra, .max_size = max_size, .threads = threads});
}

RIG_FN struct rig *
rig_new(const char *extra)
{
	return rig_make(&(struct rig_options){.extra = extra});
}

RIG_FN void
run(struct rig *r)
{
	while (loop_turn(r->loop, false)) {
	}
}

RIG_FN void
forget(struct rig *r)
{
	for (size_t i = 0; i < r->got_n; i++)
		message_unref(&r->got[i]);
	r->got_n = 0;
}

RIG_FN int
unlink_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

RIG_FN void
rig_free(struct rig **rp)
{
	struct rig *r = *rp;
	run(r);
	ingress_free(&r->in);
	assert_int_equal(census_total(r->census), 0);
	run(r);
	forget(r);
	assert_int_equal(atomic_load(&r->budget.used), 0);
	spool_close(&r->spool);
	run(r);
	forget(r);
	pool_free(&r->pool);
	census_free(&r->census);
	config_unref(&r->config);
	loop_free(&r->loop);
	log_free(&r->log);
	buf_clear(&r->lines);
	nftw(r->dir, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
	mem_free(rp);
}

RIG_FN void
pass(struct rig *r, int64_t ms)
{
	r->clock.ms += ms;
	run(r);
}

/* ---- a client */

struct client {
	struct rig *rig;
	int fd;
	struct buf heard;
	bool closed; /* by the server */
};

RIG_FN void
hear(struct client *c)
{
	run(c->rig);
	while (!c->closed) {
		char block[4096];
		ssize_t n = recv(c->fd, block, sizeof(block), MSG_DONTWAIT);
		if (n > 0)
			buf_add(&c->heard, block, (size_t)n);
		else if (n == 0 || errno != EAGAIN)
			c->closed = true;
		else
			return;
		run(c->rig);
	}
}

RIG_FN void
say_span(struct client *c, struct span s)
{
	while (s.n > 0) {
		ssize_t n = send(c->fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			break;
		s = span_cut(s, n > 0 ? (size_t)n : 0, s.n);
		hear(c);
	}
	hear(c);
}

RIG_FN void
say(struct client *c, const char *text)
{
	say_span(c, span_str(text));
}

RIG_FN struct client
call_at(struct rig *r, const char *from, const char *listener)
{
	int fd[2];
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd), 0);
	struct net_addr peer;
	assert_int_equal(net_parse_ip(span_str(from), &peer), OK);
	peer.port = 40000;
	ingress_serve(r->in, fd[0], &peer, listener);
	struct client c = {.rig = r, .fd = fd[1]};
	hear(&c);
	return c;
}

RIG_FN struct client
call(struct rig *r, const char *from)
{
	return call_at(r, from, "smtp");
}

RIG_FN void
hang_up(struct client *c)
{
	close(c->fd);
	c->fd = -1;
	run(c->rig);
	buf_clear(&c->heard);
}

/* What was heard, as a digest; and forget it. */
RIG_FN const char *
digest(struct client *c, char out[2000])
{
	struct buf d = {0};
	struct scan s = scan_over(buf_span(&c->heard));
	struct span line;
	while (scan_until(&s, '\n', &line)) {
		if (line.n < 4 || line.p[3] == '-')
			continue;
		buf_add(&d, line.p, 3);
		bool enhanced = line.n > 9 && line.p[4] == line.p[0] && line.p[5] == '.';
		if (enhanced) {
			struct span code = span_cut(line, 4, line.n);
			buf_add_char(&d, '/');
			buf_add_span(&d, span_cut(code, 0, span_find(code, ' ')));
		}
		buf_add_char(&d, ' ');
	}
	assert_true(scan_done(&s));
	if (c->closed)
		buf_add_char(&d, '.');
	span_copy(span_trim(buf_span(&d)), out, 2000);
	buf_clear(&d);
	buf_reset(&c->heard);
	return out;
}

RIG_FN void
expect(struct client *c, const char *want, const char *name)
{
	char got[2000];
	struct span trimmed = span_trim(span_str(want));
	digest(c, got);
	if (!span_eq(span_str(got), trimmed))
		fail_msg("%s:\n  want %s\n  got  %s", name, want, got);
}

/* Send all at once, expect, hang up. How many messages were stored by it. */
RIG_FN size_t
talk(
    struct rig *r, const char *from, struct span send, const char *want, const char *name)
{
	size_t before = r->got_n;
	struct client c = call(r, from);
	say_span(&c, send);
	expect(&c, want, name);
	hang_up(&c);
	assert_int_equal(ingress_sessions(r->in), 0);
	return r->got_n - before;
}

/* prefix and content of a stored message */
RIG_FN void
whole(const struct message *m, struct buf *out)
{
	buf_add_span(out, m->prefix);
	char *room = buf_room(out, content_size(m->content) + 1);
	size_t got;
	assert_int_equal(
	    content_read(m->content, 0, room, content_size(m->content), &got), OK);
	assert_int_equal(got, m->size);
	out->n += got;
}

RIG_FN bool
has(struct span text, const char *what)
{
	return memmem(text.p, text.n, what, strlen(what)) != NULL;
}

/* ---- a client with TLS: ours; any certificate will do */

struct tls_caller {
	struct client client; /* its fd is the io's: hang_up_tls() */
	struct io *io;
	struct tls_client *tc;
	bool tls; /* the handshake is done */
};

RIG_FN void
on_tls_caller(void *arg, enum io_event ev)
{
	struct tls_caller *c = arg;
	struct span in = io_input(c->io);
	if (ev == IO_TLS)
		c->tls = true;
	if (ev == IO_EOF || ev == IO_ERROR)
		c->client.closed = true;
	buf_add_span(&c->client.heard, in);
	io_consume(c->io, in.n);
}

/* Shake hands; what the client has heard until now it has read. */
RIG_FN void
begin_tls(struct tls_caller *c)
{
	struct tls_peer peer = {.name = HOST, .verify = TLS_VERIFY_NO};
	struct buf why = {0};
	struct rig *r = c->client.rig;
	c->tc = tls_client_new(NULL, &why);
	if (c->tc == NULL)
		fail_msg("%.*s", SPAN_ARG(buf_span(&why)));
	buf_clear(&why);
	c->io = io_new(r->loop, c->client.fd, on_tls_caller, c);
	assert_int_equal(io_start_tls_client(c->io, c->tc, &peer), OK);
	run(r);
}

RIG_FN void
say_tls(struct tls_caller *c, const char *text)
{
	io_add_span(c->io, span_str(text));
	run(c->client.rig);
}

RIG_FN void
hang_up_tls(struct tls_caller *c)
{
	io_free(&c->io);
	tls_client_free(&c->tc);
	run(c->client.rig);
	buf_clear(&c->client.heard);
}

#endif
