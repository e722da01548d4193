/* SPDX-License-Identifier: ISC */
/*
 * io - one connection.  All reading goes through take_bytes() and all writing
 * through give_bytes(): that is where TLS will stand.
 *
 * Input is read into one buffer that exists only while something is in it.
 * The callback is told in a loop until it takes nothing more; it is never told
 * while paused, and never from inside a call that it makes itself.
 */
#include "base/io.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"

#define READ_CHUNK (16u << 10)
#define READ_BUDGET (64u << 10) /* per turn and connection: others are served, too */
#define IOV_MAX_HERE 64
#define FILE_CHUNK (64u << 10)

/* A piece of output: bytes of our own, or a part of a content. */
struct piece {
	struct link link;
	struct content *content; /* a reference; NULL: bytes */
	uint64_t from, left;     /* content: what is still to be sent */
	size_t n, cap, sent;     /* bytes */
	char bytes[];
};

#define PIECE_BYTES 2000 /* of a piece of bytes; longer additions get one of their own \
			  */

enum io_flags {
	IO_F_CONNECTING = 1,
	IO_F_PAUSED = 2,
	IO_F_EOF = 4, /* seen on the socket */
	IO_F_EOF_TOLD = 8,
	IO_F_DEAD = 16, /* IO_ERROR was told, nothing more comes */
	IO_F_HIGH = 32, /* reading stopped because too much waits for the peer */
	IO_F_WANT_DRAINED = 64,
	IO_F_SKIP = 128,    /* throw away input up to the next CRLF */
	IO_F_SKIP_CR = 256, /* the last byte thrown away was a CR */
	IO_F_FINISH = 512,  /* the owner has let go: write, then close */
	IO_F_ERROR = 1024,  /* to be told at the end of the turn */
	IO_F_SHUT = 2048,   /* our side is closed; the peer's end is awaited */
};

struct io {
	struct loop *loop;
	io_fn *fn;
	void *arg;
	struct watch watch;
	struct later later; /* write, tell what is due */
	struct timer timer;
	struct instant deadline; /* 0: none */
	unsigned flags;
	enum err error;
	/* input: in[start..end) */
	char *in;
	size_t start, end, cap;
	size_t scanned; /* of the current line, no LF up to here */
	/* output */
	struct list out;
	size_t queued;
	uint64_t bytes_in, bytes_out;
	bool *gone; /* set when io_free() runs inside a callback */
};

static void update_watch(struct io *io);

static bool
has(const struct io *io, unsigned flag)
{
	return (io->flags & flag) != 0;
}

/* ---- telling */

/* Call the owner; false if he has freed us. */
static bool
tell(struct io *io, enum io_event ev)
{
	bool gone = false, *outer = io->gone;
	io->gone = &gone;
	io->fn(io->arg, ev);
	if (gone) {
		if (outer != NULL)
			*outer = true;
		return false;
	}
	io->gone = outer;
	return true;
}

static void
destroy(struct io *io)
{
	if (io->gone != NULL)
		*io->gone = true;
	watch_clear(&io->watch);
	later_clear(&io->later);
	timer_clear(&io->timer);
	(void)close(io->watch.fd);
	struct link *k;
	while ((k = list_pop(&io->out)) != NULL) {
		struct piece *p = CONTAINER_OF(k, struct piece, link);
		content_unref(&p->content);
		mem_free(&p);
	}
	mem_free(&io->in);
	mem_free(&io);
}

static void
fail(struct io *io, enum err e)
{
	if (has(io, IO_F_DEAD | IO_F_ERROR))
		return;
	io->error = e;
	io->flags |= IO_F_ERROR;
	later_set(&io->later);
}

/* ---- reading */

/* Bytes from the peer: n > 0, 0 at the end, -1 with ERR_AGAIN or an error in *e. */
static ssize_t
take_bytes(struct io *io, char *p, size_t n, enum err *e)
{
	ssize_t got;
	do
		got = recv(io->watch.fd, p, n, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		*e = err_from_errno(errno);
	return got;
}

static size_t
buffered(const struct io *io)
{
	return io->end - io->start;
}

static bool
make_room(struct io *io)
{
	if (buffered(io) >= IO_INPUT_MAX)
		return false;
	if (io->start > 0 &&
	    (io->start == io->end || io->cap - io->end < READ_CHUNK / 4)) {
		memmove(io->in, io->in + io->start, buffered(io));
		io->end -= io->start;
		io->start = 0;
	}
	if (io->cap - io->end < READ_CHUNK / 4) {
		io->cap = io->cap ? io->cap * 2 : READ_CHUNK;
		io->in = mem_resize(io->in, io->cap, 1);
	}
	return true;
}

static void
release_input(struct io *io)
{
	if (io->in != NULL && io->start == io->end) {
		mem_free(&io->in);
		io->start = io->end = io->cap = io->scanned = 0;
	}
}

/* Throw away what belongs to a line that has been refused. */
static void
skip(struct io *io)
{
	while (has(io, IO_F_SKIP) && buffered(io) > 0) {
		struct span s = {io->in + io->start, buffered(io)};
		size_t nl = span_find(s, '\n');
		bool cr = nl > 0 ? s.p[nl - 1] == '\r' : has(io, IO_F_SKIP_CR);
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

/* Offer what is buffered until the owner takes nothing more. False: freed. */
static bool
offer(struct io *io)
{
	for (;;) {
		skip(io);
		if (buffered(io) == 0 || has(io, IO_F_PAUSED | IO_F_DEAD | IO_F_FINISH))
			break;
		size_t before = buffered(io);
		if (!tell(io, IO_INPUT))
			return false;
		if (buffered(io) == before)
			break;
	}
	release_input(io);
	if (has(io, IO_F_EOF) && !has(io, IO_F_EOF_TOLD | IO_F_PAUSED | IO_F_DEAD |
					      IO_F_FINISH | IO_F_ERROR)) {
		io->flags |= IO_F_EOF_TOLD;
		return tell(io, IO_EOF);
	}
	return true;
}

/* What had come before the connection broke: a last answer may be among it. */
static void
read_last(struct io *io)
{
	while (!has(io, IO_F_EOF) && make_room(io)) {
		enum err e = OK;
		ssize_t got = take_bytes(io, io->in + io->end, io->cap - io->end, &e);
		if (got <= 0)
			return;
		io->end += (size_t)got;
		io->bytes_in += (size_t)got;
	}
}

static void
read_some(struct io *io)
{
	size_t budget = READ_BUDGET;
	while (budget > 0 && make_room(io)) {
		size_t room = io->cap - io->end;
		enum err e = OK;
		ssize_t got = take_bytes(io, io->in + io->end, room, &e);
		if (got < 0) {
			if (e != ERR_AGAIN)
				fail(io, e);
			break;
		}
		if (got == 0) {
			io->flags |= IO_F_EOF;
			break;
		}
		io->end += (size_t)got;
		io->bytes_in += (size_t)got;
		budget -= (size_t)got < budget ? (size_t)got : budget;
		if ((size_t)got < room)
			break;
	}
	if (offer(io))
		update_watch(io);
}

/* ---- writing */

/* Bytes to the peer: how many were taken, or -1 with *e. */
static ssize_t
give_bytes(struct io *io, struct iovec *v, size_t n, enum err *e)
{
	struct msghdr m = {.msg_iov = v, .msg_iovlen = n};
	ssize_t sent;
	do
		sent = sendmsg(io->watch.fd, &m, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		*e = err_from_errno(errno);
	return sent;
}

/* As much of the queue as fits one call. file: room for a part of a file content. */
static size_t
gather(struct io *io, struct iovec *v, char *file, enum err *e)
{
	size_t n = 0;
	LIST_EACH (&io->out, k) {
		struct piece *p = CONTAINER_OF(k, struct piece, link);
		if (p->content == NULL) {
			v[n++] = (struct iovec){p->bytes + p->sent, p->n - p->sent};
		} else if (content_in_memory(p->content)) {
			uint64_t at = p->from, left = p->left;
			while (left > 0 && n < IOV_MAX_HERE) {
				struct span s = content_slice(
				    p->content, (size_t)(at / CONTENT_SLICE));
				s = span_cut(s, (size_t)(at % CONTENT_SLICE),
				    left < s.n ? (size_t)left : s.n);
				v[n++] = (struct iovec){(void *)(uintptr_t)s.p, s.n};
				at += s.n;
				left -= s.n;
			}
			if (left > 0)
				break;
		} else {
			if (file == NULL)
				break; /* it waits for the next round */
			size_t got = 0,
			       want = p->left < FILE_CHUNK ? (size_t)p->left : FILE_CHUNK;
			*e = content_read(p->content, p->from, file, want, &got);
			if (*e == OK && got == 0)
				*e = ERR_IO;
			if (*e == OK)
				v[n++] = (struct iovec){file, got};
			break;
		}
		if (n >= IOV_MAX_HERE)
			break;
	}
	return n;
}

static void
drop_sent(struct io *io, size_t sent)
{
	io->queued -= sent;
	io->bytes_out += sent;
	while (sent > 0) {
		struct piece *p = CONTAINER_OF(list_first(&io->out), struct piece, link);
		uint64_t left = p->content ? p->left : p->n - p->sent;
		size_t part = left < sent ? (size_t)left : sent;
		if (p->content != NULL) {
			p->from += part;
			p->left -= part;
		} else {
			p->sent += part;
		}
		sent -= part;
		if (part == left) {
			list_remove(&p->link);
			content_unref(&p->content);
			mem_free(&p);
		}
	}
}

static void
write_some(struct io *io)
{
	struct iovec v[IOV_MAX_HERE + 1];
	char *file = NULL;
	while (io->queued > 0 && !has(io, IO_F_CONNECTING | IO_F_DEAD | IO_F_ERROR)) {
		enum err e = OK;
		struct piece *first =
		    CONTAINER_OF(list_first(&io->out), struct piece, link);
		if (file == NULL && first->content != NULL &&
		    !content_in_memory(first->content))
			file = mem_alloc_raw(FILE_CHUNK);
		size_t n = gather(io, v, file, &e);
		size_t want = 0;
		for (size_t i = 0; i < n; i++)
			want += v[i].iov_len;
		ssize_t sent = e == OK && n > 0 ? give_bytes(io, v, n, &e) : -1;
		if (sent > 0)
			drop_sent(io, (size_t)sent);
		if (sent < 0) {
			if (e != ERR_AGAIN)
				fail(io, e);
			break;
		}
		if ((size_t)sent < want)
			break;
	}
	mem_free(&file);
}

/* ---- events */

/* Reading goes on again, or the owner waits for room: true if freed meanwhile is false.
 */
static bool
tell_drained(struct io *io)
{
	if (io->queued > IO_LOW || !has(io, IO_F_HIGH | IO_F_WANT_DRAINED))
		return true;
	io->flags &= ~(unsigned)(IO_F_HIGH | IO_F_WANT_DRAINED);
	return tell(io, IO_DRAINED);
}

static void
update_watch(struct io *io)
{
	unsigned wanted = 0;
	if (has(io, IO_F_DEAD)) {
		watch_set(&io->watch, 0);
		return;
	}
	bool read = !has(io, IO_F_CONNECTING | IO_F_EOF | IO_F_HIGH | IO_F_FINISH) &&
		    buffered(io) < IO_INPUT_MAX &&
		    !(has(io, IO_F_PAUSED) && buffered(io) > 0);
	if (has(io, IO_F_FINISH) && !has(io, IO_F_EOF))
		read = true; /* only to see the end */
	if (read)
		wanted |= WATCH_READ;
	if (has(io, IO_F_CONNECTING) || io->queued > 0)
		wanted |= WATCH_WRITE;
	watch_set(&io->watch, wanted);
}

/*
 * Everything is written: close our side and wait for the peer's.  Closing both
 * at once while input is unread would make the kernel send a reset, and the
 * peer might never see our last answer.
 */
static void
finish_if_done(struct io *io)
{
	if (has(io, IO_F_ERROR | IO_F_DEAD) || (io->queued == 0 && has(io, IO_F_EOF))) {
		destroy(io);
		return;
	}
	if (io->queued == 0 && !has(io, IO_F_SHUT)) {
		io->flags |= IO_F_SHUT;
		(void)shutdown(io->watch.fd, SHUT_WR);
	}
	update_watch(io);
}

/* The end of a turn in which something was queued, resumed, or went wrong. */
static void
on_later(void *arg)
{
	struct io *io = arg;
	write_some(io);
	if (has(io, IO_F_FINISH)) {
		finish_if_done(io);
		return;
	}
	if (has(io, IO_F_ERROR)) {
		read_last(io);
		if (!offer(io))
			return;
		io->flags = (io->flags & ~(unsigned)IO_F_ERROR) | IO_F_DEAD;
		watch_set(&io->watch, 0);
		(void)tell(io, IO_ERROR);
		return;
	}
	if (io->queued > IO_HIGH)
		io->flags |= IO_F_HIGH;
	if (!tell_drained(io) || !offer(io))
		return;
	update_watch(io);
}

static void
on_connected(struct io *io)
{
	int error = 0;
	socklen_t n = sizeof(error);
	if (getsockopt(io->watch.fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
		error = errno;
	if (error != 0) {
		fail(io, err_from_errno(error));
		return;
	}
	io->flags &= ~(unsigned)IO_F_CONNECTING;
	if (tell(io, IO_CONNECTED))
		update_watch(io);
}

static void
discard_input(struct io *io)
{
	char junk[4096];
	enum err e = OK;
	ssize_t got = take_bytes(io, junk, sizeof(junk), &e);
	if (got == 0)
		io->flags |= IO_F_EOF;
	if (got < 0 && e != ERR_AGAIN)
		fail(io, e);
	update_watch(io);
}

static void
on_ready(void *arg, unsigned what)
{
	struct io *io = arg;
	if (has(io, IO_F_CONNECTING)) {
		on_connected(io);
		return;
	}
	if (has(io, IO_F_FINISH)) {
		if (what & WATCH_READ)
			discard_input(io);
		later_set(&io->later);
		return;
	}
	if (what & WATCH_WRITE)
		later_set(&io->later);
	if (what & WATCH_READ)
		read_some(io);
}

/* The timer may have been set for an earlier deadline than there is now. */
static void
on_timer(void *arg)
{
	struct io *io = arg;
	if (has(io, IO_F_FINISH)) {
		destroy(io);
		return;
	}
	if (io->deadline.ms == 0 || has(io, IO_F_DEAD))
		return;
	int64_t left = instant_since(io->deadline, loop_now(io->loop));
	if (left > 0) {
		timer_set(&io->timer, left);
		return;
	}
	io->deadline.ms = 0;
	(void)tell(io, IO_TIMEOUT);
}

/* ---- life */

static struct io *
make(struct loop *l, int fd, io_fn *fn, void *arg)
{
	struct io *io = NEW(struct io);
	io->loop = l;
	io->fn = fn;
	io->arg = arg;
	list_init(&io->out);
	watch_init(&io->watch, l, fd, on_ready, io);
	later_init(&io->later, l, on_later, io);
	timer_init(&io->timer, l, on_timer, io);
	return io;
}

struct io *
io_new(struct loop *l, int fd, io_fn *fn, void *arg)
{
	int one = 1;
	struct io *io = make(l, fd, fn, arg);
	/* output is gathered per turn already; on a Unix socket this fails, and that is
	 * fine */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	update_watch(io);
	return io;
}

struct io *
io_new_dialled(struct loop *l, int fd, io_fn *fn, void *arg)
{
	struct io *io = make(l, fd, fn, arg);
	io->flags |= IO_F_CONNECTING;
	update_watch(io);
	return io;
}

void
io_free(struct io **iop)
{
	struct io *io = *iop;
	*iop = NULL;
	if (io != NULL)
		destroy(io);
}

void
io_finish(struct io **iop, int64_t linger_ms)
{
	struct io *io = *iop;
	*iop = NULL;
	if (io == NULL)
		return;
	if (io->gone !=
	    NULL) { /* inside a callback: the caller up there must not touch us */
		*io->gone = true;
		io->gone = NULL;
	}
	io->flags |= IO_F_FINISH;
	io->fn = NULL;
	if (has(io, IO_F_DEAD | IO_F_CONNECTING)) {
		destroy(io);
		return;
	}
	timer_set(&io->timer, linger_ms);
	later_set(&io->later);
}

void
io_set_owner(struct io *io, io_fn *fn, void *arg)
{
	io->fn = fn;
	io->arg = arg;
}

/* ---- input */

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
	skip(io);
	struct span s = {io->in + io->start, buffered(io)};
	if (s.n == 0)
		return IO_MORE;
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
	return IO_LINE;
}

struct span
io_input(const struct io *io)
{
	return (struct span){io->in ? io->in + io->start : NULL, buffered(io)};
}

void
io_consume(struct io *io, size_t n)
{
	CHECK(n <= buffered(io));
	io->start += n;
	io->scanned = 0;
}

void
io_pause(struct io *io)
{
	io->flags |= IO_F_PAUSED;
	/* what is buffered stays; the watch is brought up to date when reading ends */
	if (io->gone == NULL)
		update_watch(io);
}

void
io_resume(struct io *io)
{
	io->flags &= ~(unsigned)IO_F_PAUSED;
	later_set(&io->later);
}

bool
io_paused(const struct io *io)
{
	return has(io, IO_F_PAUSED);
}

/* ---- output */

static struct piece *
add_piece(struct io *io, size_t cap)
{
	struct piece *p = mem_alloc_raw(sizeof(struct piece) + cap);
	*p = (struct piece){.cap = cap};
	list_push(&io->out, &p->link);
	return p;
}

void
io_add(struct io *io, const void *bytes, size_t n)
{
	const char *from = bytes;
	if (n == 0 || has(io, IO_F_DEAD))
		return;
	io->queued += n;
	later_set(&io->later);
	struct piece *p = list_empty(&io->out)
			      ? NULL
			      : CONTAINER_OF(io->out.head.prev, struct piece, link);
	if (p != NULL && p->content == NULL && p->cap > p->n) {
		size_t part = p->cap - p->n < n ? p->cap - p->n : n;
		memcpy(p->bytes + p->n, from, part);
		p->n += part;
		from += part;
		n -= part;
	}
	if (n == 0)
		return;
	p = add_piece(io, n > 200 ? (n > PIECE_BYTES ? n : PIECE_BYTES) : 200);
	memcpy(p->bytes, from, n);
	p->n = n;
}

void
io_add_span(struct io *io, struct span s)
{
	io_add(io, s.p, s.n);
}

void
io_addf(struct io *io, const char *fmt, ...)
{
	struct buf b;
	va_list ap;
	buf_init(&b, 1u << 20);
	va_start(ap, fmt);
	buf_addv(&b, fmt, ap);
	va_end(ap);
	io_add(io, b.p, b.n);
	buf_clear(&b);
}

void
io_add_content(struct io *io, struct content *c, uint64_t from, uint64_t n)
{
	CHECK(from <= content_size(c) && n <= content_size(c) - from);
	if (n == 0 || has(io, IO_F_DEAD))
		return;
	struct piece *p = add_piece(io, 0);
	p->content = content_ref(c);
	p->from = from;
	p->left = n;
	io->queued += (size_t)n;
	later_set(&io->later);
}

size_t
io_queued(const struct io *io)
{
	return io->queued;
}

void
io_want_drained(struct io *io)
{
	io->flags |= IO_F_WANT_DRAINED;
	later_set(&io->later);
}

/* ---- state */

void
io_deadline(struct io *io, int64_t ms)
{
	if (ms <= 0) {
		io->deadline.ms = 0;
		return;
	}
	io->deadline = instant_after(loop_now(io->loop), ms);
	/* a timer that fires earlier finds the new deadline by itself */
	if (!timer_is_set(&io->timer) || io->timer.node.key > io->deadline.ms)
		timer_set(&io->timer, ms);
}

enum err
io_error(const struct io *io)
{
	return io->error;
}

bool
io_eof(const struct io *io)
{
	return has(io, IO_F_EOF);
}

uint64_t
io_bytes_in(const struct io *io)
{
	return io->bytes_in;
}

uint64_t
io_bytes_out(const struct io *io)
{
	return io->bytes_out;
}

int
io_fd(const struct io *io)
{
	return io->watch.fd;
}
