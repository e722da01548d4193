/* SPDX-License-Identifier: ISC */
/*
 * A compressed connection whose peer sends anything.  The first octet says how the rest
 * is cut into pieces, and whether the connection falls asleep between them; whatever the
 * cut, what comes out is what zlib makes of the whole, the bound of the input holds, and
 * what we say arrives.
 */
#define ZLIB_CONST
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "base/check.h"
#include "base/io_private.h"
#include "base/mem.h"
#include "tests/lib/fake_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ANSWER "* OK Still here\r\n"
#define MOST (1u << 20) /* of a bomb: the rest of it is more of the same */

struct fuzz {
	struct fake_world world;
	struct loop *loop;
	struct io *io;
	int peer;
	struct buf got, want;
	bool eof, error;
};

static void
on_io(void *arg, enum io_event ev)
{
	struct fuzz *f = arg;
	f->eof = f->eof || ev == IO_EOF;
	f->error = f->error || ev == IO_ERROR;
}

/* What zlib makes of it at once; true if the peer's stream goes on behind it. */
static bool
expected(struct fuzz *f, const uint8_t *data, size_t size)
{
	z_stream z = {.next_in = data, .avail_in = (uInt)size};
	int result;
	CHECK(inflateInit2(&z, -15) == Z_OK);
	z.next_out = (Bytef *)buf_room(&f->want, MOST);
	z.avail_out = MOST;
	result = inflate(&z, Z_SYNC_FLUSH);
	f->want.n = MOST - z.avail_out;
	(void)inflateEnd(&z);
	return result == Z_OK || result == Z_BUF_ERROR;
}

static void
settle(struct fuzz *f)
{
	struct span in;
	do {
		while (loop_turn(f->loop, false))
			;
		in = io_input(f->io);
		CHECK(in.n <= IO_INPUT_MAX && f->io->cap <= IO_INPUT_MAX);
		buf_add_span(&f->got, in);
		io_consume(f->io, in.n);
		io_resume(f->io);
	} while (in.n > 0 && f->got.n < MOST);
}

static void
feed(struct fuzz *f, const uint8_t *data, size_t size, uint8_t how)
{
	size_t piece = how % 16 == 0 ? size : how % 16;
	while (size > 0) {
		size_t n = piece < size ? piece : size;
		if (send(f->peer, data, n, MSG_NOSIGNAL) != (ssize_t)n)
			return;
		data += n;
		size -= n;
		settle(f);
		if (how & 16)
			fake_world_pass(&f->world, 6 * SECOND_MS);
	}
}

/* Ours does not depend on what the peer says. */
static void
check_answer(struct fuzz *f)
{
	uint8_t wire[256], text[256];
	io_add_span(f->io, SPAN(ANSWER));
	while (loop_turn(f->loop, false))
		;
	ssize_t n = recv(f->peer, wire, sizeof(wire), 0);
	CHECK(n > 0);
	z_stream z = {.next_in = wire, .avail_in = (uInt)n};
	CHECK(inflateInit2(&z, -15) == Z_OK);
	z.next_out = text;
	z.avail_out = sizeof(text);
	CHECK(inflate(&z, Z_SYNC_FLUSH) == Z_OK);
	CHECK(z.total_out == sizeof(ANSWER) - 1);
	CHECK(memcmp(text, ANSWER, sizeof(ANSWER) - 1) == 0);
	(void)inflateEnd(&z);
}

static void
check_outcome(struct fuzz *f, bool goes_on)
{
	size_t n = f->want.n;
	if (n == MOST) { /* what becomes of the rest is not known here */
		CHECK(f->got.n >= n);
	} else {
		CHECK(f->got.n == n);
		CHECK(goes_on != (f->eof || f->error));
	}
	CHECK(n == 0 || memcmp(f->got.p, f->want.p, n) == 0);
	if (!f->error)
		check_answer(f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = {0};
	int pair[2];
	if (size < 1)
		return 0;
	fake_world_init(&f.world);
	f.loop = loop_new(&f.world.world);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) ==
	      0);
	f.peer = pair[1];
	f.io = io_new(f.loop, pair[0], on_io, &f);
	CHECK(io_start_deflate(f.io) == OK);
	bool goes_on = expected(&f, data + 1, size - 1);
	feed(&f, data + 1, size - 1, data[0]);
	check_outcome(&f, goes_on);
	io_free(&f.io);
	(void)close(f.peer);
	loop_free(&f.loop);
	buf_clear(&f.got);
	buf_clear(&f.want);
	return 0;
}
