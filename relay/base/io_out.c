/* SPDX-License-Identifier: ISC */
/*
 * io_out - the output of a connection: a queue of pieces, each bytes of our
 * own or a part of a content, written with as few calls as possible.  A part of
 * a file goes from the page cache to the socket (sendfile) where no layer stands
 * between.
 *
 * All writing goes through give_bytes(): that is where compression stands
 * (io_deflate.c), and TLS below it (io_tls.c).
 */
#include <errno.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/check.h"
#include "base/io_private.h"
#include "base/mem.h"

#define IOV_MAX_HERE 64
#define FILE_CHUNK (64u << 10)
#define FILE_AT_ONCE (1u << 20) /* by sendfile() */
#define DEFLATE_BUDGET \
	(256u << 10) /* compressed per turn and connection: it takes milliseconds */
#define PIECE_SMALL 200
#define PIECE_BYTES 2000 /* longer additions get a piece of their own */

/* A piece of output: bytes of our own, or a part of a content. */
struct piece {
	struct link link;
	struct content *content; /* a reference; NULL: bytes */
	uint64_t from, left;     /* content: what is still to be sent */
	size_t n, cap, sent;     /* bytes */
	char bytes[];
};

/* ---- queueing */

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
	if (n == 0 || io_has(io, IO_F_DEAD))
		return;
	io->queued += n;
	if (io->tap != NULL)
		tap_sent(io->tap, (struct span){bytes, n});
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
	size_t cap = n > PIECE_BYTES ? n : n > PIECE_SMALL ? PIECE_BYTES : PIECE_SMALL;
	p = add_piece(io, cap);
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
	if (n == 0 || io_has(io, IO_F_DEAD))
		return;
	struct piece *p = add_piece(io, 0);
	p->content = content_ref(c);
	p->from = from;
	p->left = n;
	io->queued += (size_t)n;
	if (io->tap != NULL)
		tap_passed(io->tap, n);
	later_set(&io->later);
}

size_t
io_queued(const struct io *io)
{
	return io->queued + io_deflate_ready(io);
}

void
io_want_drained(struct io *io)
{
	io->flags |= IO_F_WANT_DRAINED;
	later_set(&io->later);
}

/* ---- writing */

ssize_t
io_wire_give(struct io *io, struct iovec *v, size_t n, enum err *e)
{
	struct msghdr m = {.msg_iov = v, .msg_iovlen = n};
	int more = io_has(io, IO_F_MORE) ? MSG_MORE : 0;
	ssize_t sent;
	if (io_tls_inside(io))
		return io_tls_give(io, v, n, e);
	do
		sent = sendmsg(io->watch.fd, &m, MSG_NOSIGNAL | more);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		*e = err_from_errno(errno);
	return sent;
}

/* Bytes to the peer, as io_wire_give(). */
static ssize_t
give_bytes(struct io *io, struct iovec *v, size_t n, enum err *e)
{
	return io_deflate_on(io) ? io_deflate_give(io, v, n, e)
				 : io_wire_give(io, v, n, e);
}

/* How much of the queue may go out together: layers begin within it. */
static size_t
most_at_once(const struct io *io)
{
	size_t clear = io_tls_clear(io), plain = io_deflate_plain(io);
	size_t most = io_deflate_on(io) ? DEFLATE_BUDGET : plain;
	return clear < most ? clear : most;
}

static struct piece *
first_piece(const struct io *io)
{
	struct link *k = list_first(&io->out);
	CHECK(k != NULL);
	return CONTAINER_OF(k, struct piece, link);
}

static bool
is_file(const struct piece *p)
{
	return p->content != NULL && !content_in_memory(p->content);
}

/* The part of a content in memory that still fits; how many entries are used then. */
static size_t
gather_slices(const struct piece *p, struct iovec *v, size_t n)
{
	uint64_t at = p->from, left = p->left;
	while (left > 0 && n < IOV_MAX_HERE) {
		struct span s = content_slice(p->content, (size_t)(at / CONTENT_SLICE));
		s = span_cut(
		    s, (size_t)(at % CONTENT_SLICE), left < s.n ? (size_t)left : s.n);
		v[n++] = (struct iovec){(void *)(uintptr_t)s.p, s.n};
		at += s.n;
		left -= s.n;
	}
	return n;
}

static size_t
gather_file(const struct piece *p, struct iovec *v, size_t n, char *file, enum err *e)
{
	size_t got = 0, want = p->left < FILE_CHUNK ? (size_t)p->left : FILE_CHUNK;
	*e = content_read(p->content, p->from, file, want, &got);
	if (*e == OK && got == 0)
		*e = ERR_IO;
	if (*e == OK)
		v[n++] = (struct iovec){file, got};
	return n;
}

/*
 * As much of the queue as fits one call.  file: room for a part of one file
 * content, with which the call ends; without it a file waits for the next one.
 */
static size_t
gather(struct io *io, struct iovec *v, char *file, enum err *e)
{
	size_t n = 0;
	LIST_EACH (&io->out, k) {
		const struct piece *p = CONTAINER_OF(k, struct piece, link);
		if (n == IOV_MAX_HERE)
			break;
		if (is_file(p))
			return file ? gather_file(p, v, n, file, e) : n;
		if (p->content != NULL)
			n = gather_slices(p, v, n);
		else
			v[n++] = (struct iovec){
			    (void *)(uintptr_t)(p->bytes + p->sent), p->n - p->sent};
	}
	return n;
}

static void
drop_sent(struct io *io, size_t sent)
{
	io->queued -= sent;
	io->bytes_out += sent;
	while (sent > 0) {
		struct piece *p = first_piece(io);
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

/* Nothing stands between the queue and the socket. */
static bool
is_bare(const struct io *io)
{
	return io->tls == NULL && io->deflate == NULL && !io_has(io, IO_F_NO_SENDFILE);
}

/* One call's worth from a file to the socket; 0: the kernel does not do it with this one.
 */
static ssize_t
give_file(const struct io *io, const struct piece *p, size_t want, enum err *e)
{
	off_t at = (off_t)p->from;
	ssize_t sent;
	do
		sent = sendfile(io->watch.fd, content_fd(p->content), &at, want);
	while (sent < 0 && errno == EINTR);
	if (sent > 0)
		return sent;
	if (sent < 0 && (errno == EINVAL || errno == ENOSYS))
		return 0;
	/* nothing: the file is shorter than it was, somebody has cut it */
	*e = sent == 0 ? ERR_IO : err_from_errno(errno);
	return -1;
}

static ssize_t
give_copies(struct io *io, char **file, size_t *want, enum err *e)
{
	struct iovec v[IOV_MAX_HERE];
	bool bare = is_bare(io);
	if (*file == NULL && !bare && is_file(first_piece(io)))
		*file = mem_alloc_raw(FILE_CHUNK);
	size_t n = gather(io, v, *file, e), most = most_at_once(io);
	for (size_t i = 0; i < n; i++) {
		if (v[i].iov_len > most - *want) /* the rest goes out inside a layer */
			v[i].iov_len = most - *want;
		*want += v[i].iov_len;
	}
	if (bare && *want < io->queued && n < IOV_MAX_HERE)
		io->flags |= IO_F_MORE; /* a file is next: fill its first segment */
	ssize_t sent = *e == OK ? give_bytes(io, v, n, e) : -1;
	io->flags &= ~(unsigned)IO_F_MORE;
	return sent;
}

/* One call's worth; false when the kernel took less than that, or nothing. */
static bool
write_once(struct io *io, char **file)
{
	enum err e = OK;
	size_t want = 0;
	ssize_t sent;
	const struct piece *first = first_piece(io);
	if (is_bare(io) && is_file(first)) {
		want = first->left < FILE_AT_ONCE ? (size_t)first->left : FILE_AT_ONCE;
		sent = give_file(io, first, want, &e);
		if (sent == 0) {
			io->flags |= IO_F_NO_SENDFILE;
			return true;
		}
	} else {
		sent = give_copies(io, file, &want, &e);
	}
	if (sent >= 0) {
		drop_sent(io, (size_t)sent);
		io_tls_sent_clear(io, (size_t)sent);
		io_deflate_sent_plain(io, (size_t)sent);
		return (size_t)sent == want;
	}
	if (e != ERR_AGAIN)
		io_fail(io, e);
	return false;
}

void
io_write_queued(struct io *io)
{
	char *file = NULL;
	if (io_has(io, IO_F_CONNECTING | IO_F_DEAD | IO_F_ERROR))
		return;
	uint64_t before = io->bytes_out;
	bool more = true;
	while (more && io->queued > 0 && io_tls_clear(io) > 0) {
		bool enough =
		    io_deflate_on(io) && io->bytes_out - before >= DEFLATE_BUDGET;
		more = !enough && write_once(io, &file);
	}
	if (more && io_deflate_flush(io))
		io->flags &= ~(unsigned)IO_F_BLOCKED;
	else
		io->flags |= IO_F_BLOCKED;
	mem_free(&file);
}

void
io_drop_queued(struct io *io)
{
	struct link *k;
	while ((k = list_pop(&io->out)) != NULL) {
		struct piece *p = CONTAINER_OF(k, struct piece, link);
		content_unref(&p->content);
		mem_free(&p);
	}
	io->queued = 0;
}
