/* SPDX-License-Identifier: ISC */
/*
 * io_line - the input of a connection: one buffer that exists only while
 * something is in it, and the lines in it.
 *
 * A line ends in CRLF and nothing else.  One that is too long is refused as
 * soon as that is known, and its rest thrown away as it comes (IO_F_SKIP).  A
 * bare LF is refused at once as well, because its sender may never send a
 * CRLF; what is buffered behind it is thrown away with it.
 */
#include <string.h>

#include "base/check.h"
#include "base/io_private.h"
#include "base/mem.h"

/* ---- the buffer */

void
io_forget(struct io *io)
{
	io->flags |= IO_F_FORGET;
}

void
io_wipe_input(struct io *io, size_t from)
{
	if (io_has(io, IO_F_FORGET) && io->in != NULL)
		explicit_bzero(io->in + from, io->end - from);
	io->flags &= ~(unsigned)IO_F_FORGET;
}

bool
io_make_room(struct io *io)
{
	if (io_buffered(io) >= IO_INPUT_MAX)
		return false;
	if (io->start > 0 &&
	    (io->start == io->end || io->cap - io->end < READ_CHUNK / 4)) {
		size_t left = io_buffered(io);
		memmove(io->in, io->in + io->start, left);
		io_wipe_input(io, left);
		io->end = left;
		io->start = 0;
	}
	if (io->cap - io->end < READ_CHUNK / 4 && io->cap < IO_INPUT_MAX) {
		size_t first = io_has(io, IO_F_BULK) ? IO_INPUT_MAX : READ_CHUNK;
		io->cap = io->cap ? io->cap * 2 : first;
		io->in = mem_resize(io->in, io->cap, 1);
	}
	return true;
}

void
io_release_input(struct io *io)
{
	if (io->in != NULL && io->start == io->end) {
		io_wipe_input(io, 0);
		mem_free(&io->in);
		io->start = io->end = io->cap = io->scanned = 0;
	}
}

void
io_skip(struct io *io)
{
	while (io_has(io, IO_F_SKIP) && io_buffered(io) > 0) {
		struct span s = {io->in + io->start, io_buffered(io)};
		size_t nl = span_find(s, '\n');
		bool cr = nl > 0 ? s.p[nl - 1] == '\r' : io_has(io, IO_F_SKIP_CR);
		if (nl < s.n) {
			io->start += nl + 1;
			io->flags &= ~(unsigned)IO_F_SKIP_CR;
			if (cr)
				io->flags &= ~(unsigned)IO_F_SKIP;
		} else {
			io->flags &= ~(unsigned)IO_F_SKIP_CR;
			if (s.p[s.n - 1] == '\r')
				io->flags |= IO_F_SKIP_CR;
			io->start = io->end;
		}
		io->scanned = 0;
	}
}

/* ---- lines */

static enum io_line
refuse_line(struct io *io, size_t upto, bool whole, enum io_line why)
{
	io->start += upto;
	io->scanned = 0;
	if (!whole)
		io->flags |= IO_F_SKIP;
	return why;
}

enum io_line
io_line(struct io *io, size_t max, struct span *line)
{
	CHECK(max <= IO_INPUT_MAX - 2);
	io_skip(io);
	struct span s = io_input(io);
	if (s.n == 0)
		return IO_MORE;
	CHECK(s.p != NULL);
	size_t from = io->scanned < s.n ? io->scanned : s.n;
	size_t nl = from + span_find(span_cut(s, from, s.n), '\n');
	if (nl >= s.n) {
		io->scanned = s.n;
		bool last_cr = s.p[s.n - 1] == '\r';
		if (s.n - last_cr > max) {
			if (last_cr)
				io->flags |= IO_F_SKIP_CR;
			return refuse_line(io, s.n, false, IO_TOO_LONG);
		}
		return IO_MORE;
	}
	if (nl == 0 || s.p[nl - 1] != '\r')
		/* a bare LF: nothing behind it is looked at; what is buffered goes with
		 * it */
		return refuse_line(io, s.n, true, IO_BARE);
	*line = (struct span){s.p, nl - 1};
	if (line->n > max)
		return refuse_line(io, nl + 1, true, IO_TOO_LONG);
	if (span_find(*line, '\r') < line->n || span_find(*line, '\0') < line->n)
		return refuse_line(io, nl + 1, true, IO_BARE);
	io->start += nl + 1;
	io->scanned = 0;
	if (io->tap != NULL)
		tap_came(io->tap, *line);
	return IO_LINE;
}

struct span
io_input(const struct io *io)
{
	return (struct span){io->in ? io->in + io->start : NULL, io_buffered(io)};
}

void
io_consume(struct io *io, size_t n)
{
	CHECK(n <= io_buffered(io));
	io->start += n;
	io->scanned = 0;
}
