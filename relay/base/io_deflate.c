/* SPDX-License-Identifier: ISC */
/*
 * io_deflate - a connection compressed both ways (RFC 4978): raw deflate between
 * the queue and lines above, and TLS or the kernel below.
 *
 * Input stands in `staged` as it came and is inflated only as far as the
 * connection's own buffer has room: a bomb is a slow peer, not a large one.
 * Output is compressed as the kernel takes it and waits in `ready` for no longer
 * than that.  When the queue is empty a sync flush lets the peer have all of it.
 *
 * After IDLE_MS without traffic both states of zlib are put to sleep.  Output
 * needs nothing kept: behind a flush, which ends at the edge of an octet, a new
 * state may continue the old one's stream, because it refers to nothing that it
 * has not seen itself.  For input the peer decides how far back he refers: what
 * the window holds is kept as it is, a few hundred octets of commands as a
 * rule.  That needs his stream to stand at the edge of a block and of an octet, as
 * it does after his own sync flush; where it does not, that state stays awake.
 */
#define ZLIB_CONST
#include <sys/uio.h>
#include <zlib.h>

#include "base/check.h"
#include "base/io_private.h"
#include "base/mem.h"

#define CHUNK (16u << 10) /* read at once, written at once: a record of TLS */
#define IDLE_MS (5 * SECOND_MS)

/* 38 KiB.  Level 3 is as fast as 1 and packs better; with less memory blocks become so
 * short that it is slower, with more it gains little. */
#define LEVEL 3
#define OUT_WINDOW (-12) /* negative: raw deflate */
#define OUT_MEMORY 5

#define IN_WINDOW (-15) /* the peer may use all of it; 40 KiB */
#define AT_EDGE 128     /* z_stream.data_type: a block has ended, with its octet */

struct io_deflate {
	z_stream *in, *out; /* NULL: asleep, or not used yet */
	struct buf staged;  /* input not inflated yet */
	struct buf window;  /* while `in` sleeps: what it may be referred to */
	struct buf ready;   /* compressed, not written yet */
	size_t plain;       /* octets of the queue that were there before */
	bool full;          /* inflate has used all room it had: it may hold more */
	bool ended;         /* the peer's stream has come to its end */
	bool damaged;
	bool dirty; /* deflate has taken octets since the last flush */
	struct timer again, idle;
};

/* ---- the states of zlib */

static void
wake_in(struct io_deflate *d)
{
	if (d->in != NULL)
		return;
	d->in = NEW(z_stream);
	CHECK(inflateInit2(d->in, IN_WINDOW) == Z_OK);
	if (d->window.n > 0)
		CHECK(inflateSetDictionary(
			  d->in, (const Bytef *)d->window.p, (uInt)d->window.n) == Z_OK);
	buf_clear(&d->window);
}

static void
wake_out(struct io_deflate *d)
{
	if (d->out != NULL)
		return;
	d->out = NEW(z_stream);
	CHECK(deflateInit2(d->out, LEVEL, Z_DEFLATED, OUT_WINDOW, OUT_MEMORY,
		  Z_DEFAULT_STRATEGY) == Z_OK);
}

static void
free_in(struct io_deflate *d)
{
	if (d->in != NULL)
		(void)inflateEnd(d->in);
	mem_free(&d->in);
}

static void
free_out(struct io_deflate *d)
{
	if (d->out != NULL)
		(void)deflateEnd(d->out);
	mem_free(&d->out);
}

static void
sleep_in(struct io_deflate *d)
{
	uInt n = 0;
	CHECK(inflateGetDictionary(d->in, NULL, &n) == Z_OK);
	char *room = buf_room(&d->window, n);
	CHECK(inflateGetDictionary(d->in, (Bytef *)room, &n) == Z_OK);
	d->window.n = n;
	free_in(d);
}

static bool
is_pending(const struct io_deflate *d)
{
	return d->staged.n > 0 || d->full || d->ended || d->damaged;
}

static void
on_idle(void *arg)
{
	struct io_deflate *d = arg;
	if (!d->dirty)
		free_out(d);
	if (d->in != NULL && !is_pending(d) && d->in->data_type == AT_EDGE)
		sleep_in(d);
}

/* ---- starting */

enum err
io_start_deflate(struct io *io)
{
	CHECK(!io_has(io, IO_F_CONNECTING | IO_F_SHAKING));
	if (io->deflate != NULL)
		return ERR_EXISTS;
	struct io_deflate *d = NEW(struct io_deflate);
	timer_init(&d->again, io->loop, io_read_on, io);
	timer_init(&d->idle, io->loop, on_idle, d);
	d->plain = io->queued;
	buf_add_span(&d->staged, io_input(io));
	io_consume(io, io_buffered(io));
	io->deflate = d;
	later_set(&io->later);
	return OK;
}

bool
io_deflated(const struct io *io)
{
	return io->deflate != NULL;
}

void
io_deflate_free(struct io *io)
{
	struct io_deflate *d = io->deflate;
	if (d == NULL)
		return;
	timer_clear(&d->again);
	timer_clear(&d->idle);
	free_in(d);
	free_out(d);
	buf_clear(&d->staged);
	buf_clear(&d->window);
	buf_clear(&d->ready);
	mem_free(&io->deflate);
}

/* ---- reading */

/* As much of what is staged as fits. */
static size_t
inflate_staged(struct io_deflate *d, char *p, size_t n)
{
	if (d->ended || d->damaged)
		return 0;
	wake_in(d);
	z_stream *z = d->in;
	z->next_in = (const Bytef *)d->staged.p;
	z->avail_in = (uInt)d->staged.n;
	z->next_out = (Bytef *)p;
	z->avail_out = (uInt)n;
	int result = inflate(z, Z_SYNC_FLUSH);
	CHECK(result != Z_MEM_ERROR && result != Z_STREAM_ERROR);
	d->ended = result == Z_STREAM_END;
	d->damaged = result == Z_DATA_ERROR || result == Z_NEED_DICT;
	d->full = z->avail_out == 0;
	buf_consume(&d->staged, d->staged.n - z->avail_in);
	if (d->staged.n == 0 || d->ended || d->damaged)
		buf_clear(&d->staged); /* nothing behind the end or the damage is read */
	timer_set(&d->idle, IDLE_MS);
	return n - z->avail_out;
}

static ssize_t
stage(struct io *io, enum err *e)
{
	struct io_deflate *d = io->deflate;
	char *room = buf_room(&d->staged, CHUNK);
	ssize_t got = io_wire_take(io, room, CHUNK, e);
	if (got > 0)
		d->staged.n += (size_t)got;
	else
		buf_clear(&d->staged);
	return got;
}

/*
 * The wire is asked once at most, and only when nothing is staged: empty blocks,
 * which inflate to nothing, do not hold up the loop.
 */
ssize_t
io_deflate_take(struct io *io, char *p, size_t n, enum err *e)
{
	struct io_deflate *d = io->deflate;
	size_t got = is_pending(d) ? inflate_staged(d, p, n) : 0;
	if (got == 0 && !is_pending(d)) {
		ssize_t staged = stage(io, e);
		if (staged <= 0)
			return staged;
		got = inflate_staged(d, p, n);
	}
	if (got > 0 || d->ended)
		return (ssize_t)got;
	*e = d->damaged ? ERR_SYNTAX : ERR_AGAIN;
	return -1;
}

bool
io_deflate_pending(const struct io *io)
{
	return io->deflate != NULL && is_pending(io->deflate);
}

void
io_deflate_read_on(struct io *io)
{
	timer_set(&io->deflate->again, 0);
}

bool
io_deflate_damaged(const struct io *io)
{
	return io->deflate != NULL && io->deflate->damaged;
}

/* ---- writing */

/* What is ready, to the wire; false with *e if not all was taken. */
static bool
push(struct io *io, enum err *e)
{
	struct buf *ready = &io->deflate->ready;
	while (ready->n > 0) {
		struct iovec v = {ready->p, ready->n};
		ssize_t sent = io_wire_give(io, &v, 1, e);
		if (sent < 0)
			return false;
		buf_consume(ready, (size_t)sent);
	}
	return true;
}

/* One call of zlib; true if it had room enough. */
static bool
press(struct io_deflate *d, int flush)
{
	z_stream *z = d->out;
	z->next_out = (Bytef *)buf_room(&d->ready, CHUNK);
	z->avail_out = CHUNK;
	int result = deflate(z, flush);
	CHECK(result == Z_OK || result == Z_BUF_ERROR);
	d->ready.n += CHUNK - z->avail_out;
	return z->avail_out > 0;
}

/* How many of these octets were taken; less than all only with *e. */
static size_t
squeeze(struct io *io, const struct iovec *v, enum err *e)
{
	struct io_deflate *d = io->deflate;
	z_stream *z = d->out;
	z->next_in = v->iov_base;
	z->avail_in = (uInt)v->iov_len;
	while (z->avail_in > 0 && (d->ready.n < CHUNK || push(io, e))) {
		(void)press(d, Z_NO_FLUSH);
		d->dirty = true;
	}
	return v->iov_len - z->avail_in;
}

ssize_t
io_deflate_give(struct io *io, const struct iovec *v, size_t n, enum err *e)
{
	size_t taken = 0;
	wake_out(io->deflate);
	for (size_t i = 0; i < n; i++) {
		size_t part = squeeze(io, &v[i], e);
		taken += part;
		if (part < v[i].iov_len)
			return taken > 0 && *e == ERR_AGAIN ? (ssize_t)taken : -1;
	}
	return (ssize_t)taken;
}

/* With a flush of its own behind each burst, never one that is half done: `ready` grows
 * by what zlib holds, which is little. */
bool
io_deflate_flush(struct io *io)
{
	struct io_deflate *d = io->deflate;
	enum err e = OK;
	if (!io_deflate_on(io))
		return true;
	if (d->dirty) {
		while (!press(d, Z_SYNC_FLUSH))
			;
		d->dirty = false;
		timer_set(&d->idle, IDLE_MS);
	}
	if (push(io, &e)) {
		buf_clear(&d->ready);
		return true;
	}
	if (e != ERR_AGAIN)
		io_fail(io, e);
	return false;
}

bool
io_deflate_on(const struct io *io)
{
	return io->deflate != NULL && io->deflate->plain == 0;
}

size_t
io_deflate_plain(const struct io *io)
{
	return io->deflate != NULL ? io->deflate->plain : SIZE_MAX;
}

void
io_deflate_sent_plain(struct io *io, size_t n)
{
	if (io->deflate != NULL && io->deflate->plain > 0)
		io->deflate->plain -= n;
}

size_t
io_deflate_ready(const struct io *io)
{
	return io->deflate != NULL ? io->deflate->ready.n : 0;
}
