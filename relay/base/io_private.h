/* SPDX-License-Identifier: ISC */
/*
 * io_private - what the files of io share: io.c (the connection), io_line.c
 * (input), io_out.c (output), io_deflate.c and io_tls.c (layers below them).
 * Nobody else includes it, but tests of io.
 */
#ifndef BASE_IO_PRIVATE_H
#define BASE_IO_PRIVATE_H

#include "base/io.h"
#include "base/list.h"

#define READ_CHUNK (16u << 10) /* a first buffer for input */

enum io_flags {
	IO_F_CONNECTING = 1,
	IO_F_PAUSED = 2,
	IO_F_EOF = 4, /* seen on the socket */
	IO_F_EOF_TOLD = 8,
	IO_F_DEAD = 16, /* IO_ERROR was told, nothing more comes */
	IO_F_HIGH = 32, /* reading stopped because too much waits for the peer */
	IO_F_WANT_DRAINED = 64,
	IO_F_SKIP = 128,     /* throw away input up to the next CRLF */
	IO_F_SKIP_CR = 256,  /* the last byte thrown away was a CR */
	IO_F_FINISH = 512,   /* the owner has let go: write, then close */
	IO_F_ERROR = 1024,   /* to be told at the end of the turn */
	IO_F_SHUT = 2048,    /* our side is closed; the peer's end is awaited */
	IO_F_BLOCKED = 4096, /* not all was written: wait until the kernel takes more */
	IO_F_SHAKING = 8192, /* TLS was asked for and does not stand yet */
	IO_F_MORE = 16384,   /* what is written now has something right behind it */
	IO_F_NO_SENDFILE = 32768, /* the kernel does not want to */
	IO_F_BULK = 65536,    /* the last input filled its buffer: take a larger one */
	IO_F_FORGET = 131072, /* in[0..start) held a password */
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
	uint64_t hand; /* whose fault a crash is */
	/* input: in[start..end) */
	char *in;
	size_t start, end, cap;
	size_t scanned; /* of the current line, no LF up to here */
	/* output */
	struct list out;
	size_t queued;
	uint64_t bytes_in, bytes_out;
	struct io_tls *tls;         /* NULL: in the clear */
	struct io_deflate *deflate; /* NULL: not compressed */
	struct tap *tap;            /* NULL: nobody watches */
	bool *gone;                 /* set when io_free() runs inside a callback */
};

static inline bool
io_has(const struct io *io, unsigned flag)
{
	return (io->flags & flag) != 0;
}

static inline size_t
io_buffered(const struct io *io)
{
	return io->end - io->start;
}

/* It is broken: the owner is told once, at the end of the turn. */
void io_fail(struct io *io, enum err e);

/* Bytes from TLS or the kernel: n > 0, 0 at the end, -1 with ERR_AGAIN or an error in *e.
 */
ssize_t io_wire_take(struct io *io, char *p, size_t n, enum err *e);

/* A timer's: input that waited for this turn is read now. */
void io_read_on(void *arg);

/* ---- io_line.c */

/* Room to read into at in[end..cap); false if IO_INPUT_MAX bytes are buffered. */
bool io_make_room(struct io *io);
void io_release_input(struct io *io);           /* an idle connection has no buffer */
void io_wipe_input(struct io *io, size_t from); /* if io_forget() was called for it */
void io_skip(struct io *io); /* throw away what belongs to a line that has been refused */

/* ---- io_deflate.c */

struct iovec;

void io_deflate_free(struct io *io);
/* As recv() and sendmsg(), above io_wire_take() and io_wire_give(). */
ssize_t io_deflate_take(struct io *io, char *p, size_t n, enum err *e);
ssize_t io_deflate_give(struct io *io, const struct iovec *v, size_t n, enum err *e);
/* The queue is empty: let the peer have all of it. False: the kernel has no room yet. */
bool io_deflate_flush(struct io *io);
bool io_deflate_on(const struct io *io);      /* what is written now is compressed */
size_t io_deflate_plain(const struct io *io); /* so much of the queue is written before */
void io_deflate_sent_plain(struct io *io, size_t n);
size_t io_deflate_ready(const struct io *io); /* compressed octets not written yet */
/* Input that no poll() shows; io_deflate_read_on() has it read in the next turn. */
bool io_deflate_pending(const struct io *io);
void io_deflate_read_on(struct io *io);
bool io_deflate_damaged(const struct io *io);

/* ---- io_tls.c */

void io_tls_free(struct io *io);
bool io_tls_shake(struct io *io); /* true: the handshake is done just now */
/* As recv() and sendmsg(): n > 0, 0 at the end, -1 with *e. */
ssize_t io_tls_take(struct io *io, char *p, size_t n, enum err *e);
ssize_t io_tls_give(struct io *io, const struct iovec *v, size_t n, enum err *e);
size_t io_tls_clear(
    const struct io *io); /* so much of the queue may be written now, in the clear */
void io_tls_sent_clear(struct io *io, size_t n);
bool io_tls_inside(const struct io *io);
size_t io_tls_pending(const struct io *io); /* octets in OpenSSL that no poll() shows */
bool io_tls_wants_write(const struct io *io);
bool io_tls_waits_for_input(const struct io *io);
bool io_tls_close(struct io *io); /* close_notify, once; false: no room for it yet */

/* ---- io_out.c */

/* Bytes to TLS or the kernel: how many were taken, or -1 with *e. */
ssize_t io_wire_give(struct io *io, struct iovec *v, size_t n, enum err *e);

/* Give the kernel as much as it takes; IO_F_BLOCKED if that was not all. */
void io_write_queued(struct io *io);
void io_drop_queued(struct io *io);

#endif
