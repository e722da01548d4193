/* SPDX-License-Identifier: ISC */
/*
 * io - one connection: its events, its deadline, its life.  Lines are found in
 * io_line.c, output is queued and written in io_out.c.
 *
 * All reading goes through take_bytes() here and all writing through
 * give_bytes() in io_out.c: that is where compression stands (io_deflate.c),
 * and TLS below it (io_tls.c).
 *
 * The callback is told in a loop until it takes nothing more; it is never told
 * while paused, and never from inside a call that it makes itself.
 *
 * The loop comes in at four places (on_ready, on_later, on_timer, io_read_on); each notes
 * what the connection is for, so that a crash anywhere below is put down to it.
 *
 * In the usual turn a connection costs two system calls, recv and sendmsg: the
 * descriptor is watched for writing only after the kernel has refused some.
 */
#include "base/io_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/hand.h"
#include "base/mem.h"

#define READ_BUDGET (64u << 10) /* per turn and connection: others are served, too */

static void update_watch(struct io *io);

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
	io_deflate_free(io);
	io_tls_free(io);
	(void)close(io->watch.fd);
	io_drop_queued(io);
	tap_free(&io->tap);
	io_wipe_input(io, 0);
	mem_free(&io->in);
	mem_free(&io);
}

void
io_fail(struct io *io, enum err e)
{
	if (io_has(io, IO_F_DEAD | IO_F_ERROR))
		return;
	io->error = e;
	io->flags |= IO_F_ERROR;
	later_set(&io->later);
}

/* ---- reading */

ssize_t
io_wire_take(struct io *io, char *p, size_t n, enum err *e)
{
	ssize_t got;
	if (io_tls_inside(io))
		return io_tls_take(io, p, n, e);
	do
		got = recv(io->watch.fd, p, n, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		*e = err_from_errno(errno);
	return got;
}

/* Bytes from the peer, as io_wire_take(). */
static ssize_t
take_bytes(struct io *io, char *p, size_t n, enum err *e)
{
	return io->deflate != NULL ? io_deflate_take(io, p, n, e)
				   : io_wire_take(io, p, n, e);
}

/* The peer does not take his answers: he is given no more of them. */
static bool
is_full(struct io *io)
{
	if (io_queued(io) > IO_HIGH)
		io->flags |= IO_F_HIGH;
	return io_has(io, IO_F_HIGH);
}

/* Offer what is buffered until the owner takes nothing more. False: freed. */
static bool
offer(struct io *io)
{
	for (;;) {
		io_skip(io);
		if (io_buffered(io) == 0 ||
		    io_has(io, IO_F_PAUSED | IO_F_DEAD | IO_F_FINISH))
			break;
		if (is_full(io))
			return true; /* IO_DRAINED comes, and then the rest of it */
		size_t before = io_buffered(io);
		FAULT_BYTES("io.input", io_input(io));
		if (!tell(io, IO_INPUT))
			return false;
		if (io_buffered(io) == before)
			break;
	}
	io_release_input(io);
	if (io_has(io, IO_F_EOF) && !io_has(io, IO_F_EOF_TOLD | IO_F_PAUSED | IO_F_DEAD |
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
	if (io->tls != NULL && !io_tls_inside(io))
		return; /* octets of a handshake are nobody's words */
	while (!io_has(io, IO_F_EOF) && io_make_room(io)) {
		enum err e = OK;
		ssize_t got = take_bytes(io, io->in + io->end, io->cap - io->end, &e);
		if (got <= 0)
			return;
		io->end += (size_t)got;
		io->bytes_in += (size_t)got;
	}
}

static void
read_some(struct io *io, size_t budget)
{
	while (budget > 0 && io_make_room(io)) {
		size_t room = io->cap - io->end;
		if (room > budget)
			room = budget;
		enum err e = OK;
		ssize_t got = take_bytes(io, io->in + io->end, room, &e);
		if (got < 0) {
			if (e != ERR_AGAIN)
				io_fail(io, e);
			break;
		}
		if (got == 0) {
			io->flags |= IO_F_EOF;
			break;
		}
		io->end += (size_t)got;
		io->bytes_in += (size_t)got;
		budget -= (size_t)got;
		if ((size_t)got < room && io_tls_pending(io) == 0)
			break;
	}
	if (io_buffered(io) >= READ_CHUNK)
		io->flags |= IO_F_BULK;
	else
		io->flags &= ~(unsigned)IO_F_BULK;
	if (!offer(io))
		return;
	if (io_tls_pending(io) > 0)
		later_set(&io->later); /* no poll() will tell of it */
	update_watch(io);
}

/* ---- events */

/* Reading goes on again, or the owner waits for room. False: freed. */
static bool
tell_drained(struct io *io)
{
	if (io_queued(io) > IO_LOW || !io_has(io, IO_F_HIGH | IO_F_WANT_DRAINED))
		return true;
	io->flags &= ~(unsigned)(IO_F_HIGH | IO_F_WANT_DRAINED);
	return tell(io, IO_DRAINED);
}

static bool
may_read(const struct io *io)
{
	return !io_has(io, IO_F_CONNECTING | IO_F_EOF | IO_F_HIGH | IO_F_FINISH |
			       IO_F_SHAKING | IO_F_DEAD | IO_F_ERROR) &&
	       io_buffered(io) < IO_INPUT_MAX &&
	       !(io_has(io, IO_F_PAUSED) && io_buffered(io) > 0);
}

static void
update_watch(struct io *io)
{
	unsigned wanted = 0;
	if (io_has(io, IO_F_DEAD)) {
		watch_set(&io->watch, 0);
		return;
	}
	if (io_has(io, IO_F_SHAKING)) {
		bool writes = io_tls_wants_write(io) || io_has(io, IO_F_BLOCKED);
		watch_set(&io->watch, writes ? WATCH_WRITE : WATCH_READ);
		return;
	}
	bool read = may_read(io);
	if (read && io_deflate_pending(io))
		io_deflate_read_on(io);
	if (io_has(io, IO_F_FINISH) && !io_has(io, IO_F_EOF))
		read = true; /* only to see the end */
	if (read)
		wanted |= WATCH_READ;
	bool blocked = io_has(io, IO_F_BLOCKED) && !io_tls_waits_for_input(io);
	if (io_has(io, IO_F_CONNECTING) || blocked || io_tls_wants_write(io))
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
	/* nobody will hear what was to be said inside a TLS that does not stand */
	bool unheard = io_has(io, IO_F_SHAKING) && io_tls_clear(io) == 0;
	if (unheard || io_has(io, IO_F_ERROR | IO_F_DEAD) ||
	    (io_queued(io) == 0 && io_has(io, IO_F_EOF))) {
		destroy(io);
		return;
	}
	if (io_queued(io) == 0 && !io_has(io, IO_F_SHUT)) {
		if (io_tls_close(io)) {
			io->flags |= IO_F_SHUT;
			(void)shutdown(io->watch.fd, SHUT_WR);
		} else {
			io->flags |= IO_F_BLOCKED; /* no room for close_notify yet */
		}
	}
	update_watch(io);
}

/* What was queued in the clear is out: one step of the handshake. */
static void
shake(struct io *io)
{
	if (io_tls_shake(io)) {
		later_set(&io->later); /* what has been queued meanwhile */
		if (!tell(io, IO_TLS))
			return;
	}
	update_watch(io);
}

/* Before the owner hears of the end he is offered what came before it. */
static void
end_broken(struct io *io)
{
	read_last(io);
	if (!offer(io))
		return;
	io->flags = (io->flags & ~(unsigned)IO_F_ERROR) | IO_F_DEAD;
	watch_set(&io->watch, 0);
	(void)tell(io, IO_ERROR);
}

static void
end_turn(struct io *io)
{
	io_write_queued(io);
	if (io_has(io, IO_F_FINISH)) {
		finish_if_done(io);
		return;
	}
	if (io_has(io, IO_F_ERROR)) {
		end_broken(io);
		return;
	}
	if (io_has(io, IO_F_CONNECTING | IO_F_DEAD))
		return; /* IO_CONNECTED comes first, and nothing after IO_ERROR */
	if (io_has(io, IO_F_SHAKING)) {
		shake(io);
		return;
	}
	if (io_queued(io) > IO_HIGH)
		io->flags |= IO_F_HIGH;
	if (!tell_drained(io) || !offer(io))
		return;
	/* not more than OpenSSL holds: what the kernel has is the next turn's */
	if (io_tls_pending(io) > 0 && may_read(io))
		read_some(io, io_tls_pending(io));
	else
		update_watch(io);
}

/* The end of a turn in which something was queued, resumed, or went wrong. */
static void
on_later(void *arg)
{
	struct io *io = arg;
	uint64_t was = hand_take(io->hand);
	end_turn(io);
	hand_back(was);
}

void
io_read_on(void *arg)
{
	struct io *io = arg;
	uint64_t was = hand_take(io->hand);
	if (may_read(io))
		read_some(io, READ_BUDGET);
	hand_back(was);
}

static void
on_connected(struct io *io)
{
	int error = 0;
	socklen_t n = sizeof(error);
	if (getsockopt(io->watch.fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
		error = errno;
	if (error != 0) {
		io_fail(io, err_from_errno(error));
		return;
	}
	io->flags &= ~(unsigned)IO_F_CONNECTING;
	later_set(&io->later); /* for what was queued or asked for meanwhile */
	if (tell(io, IO_CONNECTED))
		update_watch(io);
}

static void
discard_input(struct io *io)
{
	char junk[4096];
	enum err e = OK;
	ssize_t got = io_wire_take(io, junk, sizeof(junk), &e); /* not inflated first */
	if (got == 0)
		io->flags |= IO_F_EOF;
	if (got < 0 && e != ERR_AGAIN)
		io_fail(io, e);
	update_watch(io);
}

static void
serve(struct io *io, unsigned what)
{
	if (io_has(io, IO_F_CONNECTING)) {
		on_connected(io);
		return;
	}
	if (io_has(io, IO_F_FINISH)) {
		if (what & WATCH_READ)
			discard_input(io);
		later_set(&io->later);
		return;
	}
	if (io_has(io, IO_F_SHAKING)) {
		if (io->queued > 0)
			later_set(&io->later);
		else
			shake(io);
		return;
	}
	if ((what & WATCH_WRITE) || io_tls_waits_for_input(io))
		later_set(&io->later);
	if ((what & WATCH_READ) || io_tls_wants_write(io))
		read_some(io, READ_BUDGET);
}

static void
on_ready(void *arg, unsigned what)
{
	struct io *io = arg;
	uint64_t was = hand_take(io->hand);
	serve(io, what);
	hand_back(was);
}

/* The timer may have been set for an earlier deadline than there is now. */
static void
look_at_deadline(struct io *io)
{
	if (io_has(io, IO_F_FINISH)) {
		destroy(io);
		return;
	}
	if (io->deadline.ms == 0 || io_has(io, IO_F_DEAD))
		return;
	int64_t left = instant_since(io->deadline, loop_now(io->loop));
	if (left > 0) {
		timer_set(&io->timer, left);
		return;
	}
	io->deadline.ms = 0;
	(void)tell(io, IO_TIMEOUT);
}

static void
on_timer(void *arg)
{
	struct io *io = arg;
	uint64_t was = hand_take(io->hand);
	look_at_deadline(io);
	hand_back(was);
}

/* ---- life */

static struct io *
make(struct loop *l, int fd, io_fn *fn, void *arg)
{
	struct io *io = NEW(struct io);
	io->loop = l;
	io->fn = fn;
	io->arg = arg;
	io->hand = HAND_SESSION;
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
io_tap(struct io *io, struct tap_board *b, const struct tap_facts *f)
{
	if (io->tap == NULL)
		io->tap = tap_new(b, f);
}

void
io_tap_hide(struct io *io, bool came, bool sent)
{
	if (io->tap != NULL)
		tap_hide(io->tap, came, sent);
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
	if (io_has(io, IO_F_DEAD | IO_F_CONNECTING)) {
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
	return io_has(io, IO_F_PAUSED);
}

/* ---- state */

void
io_in_hand(struct io *io, uint64_t message)
{
	io->hand = message != 0 ? message : HAND_SESSION;
}

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
	return io_has(io, IO_F_EOF);
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
