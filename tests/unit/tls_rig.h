/* SPDX-License-Identifier: ISC */
/*
 * tls_rig - two connections of one loop with TLS between them, for the tests of
 * TLS.  Included once per test program.
 */
#ifndef TESTS_UNIT_TLS_RIG_H
#define TESTS_UNIT_TLS_RIG_H

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/mem.h"
#include "tests/lib/certs.h"
#include "tests/lib/fake_world.h"

struct side {
	struct loop *loop;
	struct io *io;
	struct buf got;
	bool tls, eof, error, timeout;
	bool free_on_tls;
	char trouble[200];
};

struct fixture {
	struct loop *loop;
	struct side server, client;
	struct tls_client *tc;
	struct fake_world world;
	struct certs *certs;
	struct tls_server *ts;
};

static inline void
on_io(void *arg, enum io_event ev)
{
	struct side *s = arg;
	switch (ev) {
	case IO_INPUT:
		buf_add_span(&s->got, io_input(s->io));
		io_consume(s->io, io_input(s->io).n);
		break;
	case IO_TLS:
		s->tls = true;
		if (s->free_on_tls)
			io_free(&s->io);
		break;
	case IO_TIMEOUT: s->timeout = true; break;
	case IO_EOF: s->eof = true; break;
	case IO_ERROR:
		s->error = true;
		span_copy(span_str(io_trouble(s->io)), s->trouble, sizeof(s->trouble));
		break;
	default: break;
	}
}

static inline void
side_init(struct fixture *f, struct side *s, int fd)
{
	*s = (struct side){.loop = f->loop};
	buf_init(&s->got, 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	s->io = io_new(f->loop, fd, on_io, s);
}

static inline void
connect_sides(struct fixture *f, int small)
{
	int fd[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	if (small > 0) {
		(void)setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
		(void)setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	}
	side_init(f, &f->server, fd[0]);
	side_init(f, &f->client, fd[1]);
}

static inline void
end_sides(struct fixture *f)
{
	if (f->server.io != NULL)
		io_free(&f->server.io);
	if (f->client.io != NULL)
		io_free(&f->client.io);
	buf_clear(&f->server.got);
	buf_clear(&f->client.got);
}

static inline void
settle(struct fixture *f)
{
	for (int idle = 0; idle < 3;)
		idle = loop_turn(f->loop, false) ? 0 : idle + 1;
}

static inline struct tls_server *
serve(struct fixture *f, const struct tls_server_options *o)
{
	struct buf why;
	buf_init(&why, 0);
	struct tls_server *ts = tls_server_new(o, &why);
	if (ts == NULL)
		fail_msg("%.*s", SPAN_ARG(buf_span(&why)));
	(void)f;
	buf_clear(&why);
	return ts;
}

static inline int
setup(void **state)
{
	struct fixture *f = NEW(struct fixture);
	struct buf why;
	buf_init(&why, 0);
	fake_world_init(&f->world);
	(void)signal(SIGPIPE, SIG_IGN);
	f->loop = loop_new(&f->world.world);
	f->certs = certs_new();
	struct tls_files file = {
	    certs_path(f->certs, CERT_GOOD), certs_key(f->certs, CERT_GOOD)};
	f->ts = serve(f, &(struct tls_server_options){.file = &file, .files = 1});
	f->tc = tls_client_new(certs_ca(f->certs), &why);
	assert_non_null(f->tc);
	buf_clear(&why);
	*state = f;
	return 0;
}

static inline int
teardown(void **state)
{
	struct fixture *f = *state;
	end_sides(f);
	fake_world_pass(&f->world, 120 * SECOND_MS); /* whoever lingers gives up */
	settle(f);
	tls_client_free(&f->tc);
	tls_server_unref(&f->ts);
	certs_free(&f->certs);
	loop_free(&f->loop);
	mem_free(&f);
	return 0;
}

static inline void
shake(struct fixture *f, struct tls_server *ts, const struct tls_peer *peer)
{
	connect_sides(f, 0);
	assert_int_equal(io_start_tls_server(f->server.io, ts), OK);
	assert_int_equal(io_start_tls_client(f->client.io, f->tc, peer), OK);
	settle(f);
}

static const struct tls_peer right = {.name = "relay.test", .verify = TLS_VERIFY_NAME};

#endif
