/* SPDX-License-Identifier: ISC */
/*
 * io - a line and byte connection with one callback; may be paused.
 *
 * Half-duplex by habit: while a session thinks (a spool write, a policy
 * question) it calls io_pause(), and no input arrives until io_resume().
 * Input that is already buffered is delivered after io_resume() without
 * waiting for the peer.  Output is gathered and written once at the end of the
 * loop's turn.  When more than IO_HIGH bytes wait for the peer, reading stops
 * by itself, and what is buffered is not offered any more (a client that does not
 * read its answers cannot make us buffer them); it goes on below IO_LOW, with
 * IO_DRAINED.  One IO_INPUT may still be answered at any length: an owner whose
 * answers are long looks at io_queued() between them.
 *
 *	struct io *io = io_new(loop, fd, on_io, session);
 *	io_deadline(io, 300 * SECOND_MS);
 *	...
 *	static void on_io(void *arg, enum io_event ev)
 *	{	case IO_INPUT: while (io_line(io, 512, &line) == IO_LINE) handle(line);
 *	...
 *	io_free(&io);      from anywhere, the callback included
 *
 * The line handed out stays valid until the next io_line() or io_consume(), or
 * until the callback returns.  TLS is switched on in place (io_start_tls_server(),
 * io_start_tls_client()), invisible to lines and bytes: the handshake begins when
 * what is queued has been written, IO_TLS tells that it is done, and IO_ERROR
 * that it failed (io_trouble() has the words).  Input that stands buffered when TLS is to
 * start would be a stranger's words in the peer's mouth (CVE-2011-0411): then nothing
 * starts, ERR_SYNTAX is returned, and the owner ends the connection.  Compression is
 * switched on in place as well (io_start_deflate()), inside TLS.
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/content.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/span.h"
#include "base/tap.h"
#include "base/tls.h"

#define IO_HIGH (64u << 10)
#define IO_LOW (16u << 10)
#define IO_INPUT_MAX                                                                    \
	(64u << 10) /* most input buffered; also the longest line that can be asked for \
		     */

enum io_event {
	IO_CONNECTED, /* only after io_new_dialled(): the connection stands */
	IO_INPUT,     /* new bytes are buffered: take them until IO_MORE */
	IO_DRAINED,   /* the output fell below IO_LOW after having been above it or
			 io_want_drained() */
	IO_EOF,       /* the peer will send no more; output can still be written */
	IO_ERROR,     /* reset, refused, ...: io_error() tells; nothing more will come */
	IO_TIMEOUT,   /* the deadline passed; it is no longer set */
	IO_TLS,       /* the handshake is done; io_tls() tells with whom */
};

enum io_line {
	IO_LINE,     /* one line, without its CRLF */
	IO_MORE,     /* not complete yet */
	IO_TOO_LONG, /* over max: given once; the line is thrown away up to its CRLF */
	IO_BARE,     /* the line held a bare LF or CR, or a NUL: given once, its bytes are
			thrown away. A bare LF is told as soon as it is seen, and takes
			all that is buffered with it; what comes after that is a new line,
			so whoever runs commands must end the connection here */
};

typedef void io_fn(void *arg, enum io_event ev);

struct io;

/* An established connection; takes the descriptor. The callback never comes before this
 * returns. */
struct io *io_new(struct loop *l, int fd, io_fn *fn, void *arg);

/* A descriptor from world_dial(): IO_CONNECTED or IO_ERROR comes first. */
struct io *io_new_dialled(struct loop *l, int fd, io_fn *fn, void *arg);

/* Close at once and free; queued output is lost. No callback comes any more. */
void io_free(struct io **io);

/* Write what is queued (for at most linger_ms), then close and free. The owner lets go
 * now. */
void io_finish(struct io **io, int64_t linger_ms);

/* A new callback for the same connection (a connection that changes hands). */
void io_set_owner(struct io *io, io_fn *fn, void *arg);

/* ---- input */

/* The next line of at most max octets (CRLF not counted). */
enum io_line io_line(struct io *io, size_t max, struct span *line);

/* All buffered bytes, not consumed. */
struct span io_input(const struct io *io);
void io_consume(struct io *io, size_t n);

/* What was taken of it so far held a password: it is wiped when the buffer goes. */
void io_forget(struct io *io);

void io_pause(struct io *io);  /* counts are not kept: pause twice, resume once */
void io_resume(struct io *io); /* buffered input is delivered at the end of this turn */
bool io_paused(const struct io *io);

/* ---- output */

void io_add(struct io *io, const void *p, size_t n);
void io_add_span(struct io *io, struct span s);
void io_addf(struct io *io, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Queue n bytes of content from offset `from`, by reference (in memory) or read when sent
 * (file). */
void io_add_content(struct io *io, struct content *c, uint64_t from, uint64_t n);

size_t io_queued(const struct io *io); /* bytes not yet given to the kernel or TLS */
void io_want_drained(struct io *io);   /* ask for one IO_DRAINED when below IO_LOW */

/* ---- whoever watches (tap.h) */

/* From here on, if anybody wants it. Once for a connection. */
void io_tap(struct io *io, struct tap_board *b, const struct tap_facts *f);
/* Lines that come, what is sent: secrets and content are not shown. */
void io_tap_hide(struct io *io, bool came, bool sent);

/* ---- TLS */

/*
 * Switch TLS on.  OK: no input is delivered and no output written until IO_TLS;
 * the deadline stays the owner's business (a handshake takes what io_deadline()
 * allows).  What is queued already goes out first, in the clear; what is queued
 * from now on goes out inside.  ERR_SYNTAX: input is buffered (see above), or the
 * connection is compressed already: TLS comes first.
 * A reference to ts is kept while the connection lives; tc must outlive it.
 */
enum err io_start_tls_server(struct io *io, struct tls_server *ts);
/* The same where the protocol has a name for ALPN (RFC 7301; a literal): it is chosen if
 * the client asks for it; one that asks for others only is refused. */
enum err
io_start_tls_speaking(struct io *io, struct tls_server *ts, const char *protocol);
enum err
io_start_tls_client(struct io *io, struct tls_client *tc, const struct tls_peer *peer);

/* NULL while the connection is in the clear or still shaking hands. */
const struct tls_info *io_tls(const struct io *io);

/* Channel binding data (RFC 5929 tls-unique, RFC 9266 tls-exporter). ERR_NOT_FOUND: there
 * is none (no TLS; tls-unique on TLS 1.3, or without extended master secret). */
enum err io_tls_binding(const struct io *io, enum tls_binding kind, struct buf *out);

/* ---- compression */

/*
 * Compress both ways from here on (raw deflate, RFC 4978), inside TLS if that is on.
 * What is queued already goes out as it is (the OK that announces it, queued before
 * this call); all input from here on is compressed, that which is buffered already
 * too.  Lines and bytes show what it inflates to, and IO_INPUT_MAX bounds that: more
 * is inflated only as room appears.  What does not inflate is IO_ERROR; the end of the
 * peer's stream is IO_EOF, whatever stands behind it.  zlib's memory, 80 KiB, is given
 * back after a few seconds without traffic.  ERR_EXISTS: it is compressed already.
 */
enum err io_start_deflate(struct io *io);
bool io_deflated(const struct io *io);

/* ---- state */

/* A crash that is due to this connection is put down to this message (hand.h); 0: to
 * none, as it is at first. */
void io_in_hand(struct io *io, uint64_t message);

/* One deadline: IO_TIMEOUT after ms unless set anew or cleared (0). Cheap to set per
 * command. */
void io_deadline(struct io *io, int64_t ms);

enum err io_error(const struct io *io);

/* After IO_ERROR: a phrase for people ("TLS: no shared cipher", "connection reset",
 * "compressed data is damaged"). */
const char *io_trouble(const struct io *io);

bool io_eof(const struct io *io);

/* Octets as the owner reads and writes them, before deflate and TLS. */
uint64_t io_bytes_in(const struct io *io);
uint64_t io_bytes_out(const struct io *io);
int io_fd(const struct io *io); /* borrowed */

#endif
