/* SPDX-License-Identifier: ISC */
/* wire - records over a socket that keeps their bounds, or over nothing at all. */
#include "relay/signin/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"

#define RECORDS_PER_TURN 64

struct packet {
	struct link link;
	size_t n;
	char bytes[];
};

struct wire {
	struct loop *loop;
	struct watch watch; /* fd -1: inline */
	struct later later; /* inline: deliver; else: the channel is broken */
	struct wire *peer;  /* inline */
	struct list queue;  /* to be sent; inline: to be delivered to us */
	size_t queued;
	char *room; /* WIRE_RECORD_MAX, for receiving */
	void (*fn)(void *arg, struct span record);
	void (*closed)(void *arg);
	void *arg;
	bool *gone; /* set when freed inside a callback */
	bool broken;
};

static struct packet *
pop(struct wire *w)
{
	struct link *k = list_pop(&w->queue);
	if (k == NULL)
		return NULL;
	struct packet *p = CONTAINER_OF(k, struct packet, link);
	w->queued -= p->n;
	return p;
}

static void
packet_free(struct packet **p)
{
	explicit_bzero((*p)->bytes, (*p)->n); /* it may hold a password */
	mem_free(p);
}

/* False: freed meanwhile. */
static bool
tell(struct wire *w, struct span record)
{
	bool gone = false;
	w->gone = &gone;
	w->fn(w->arg, record);
	if (!gone)
		w->gone = NULL;
	return !gone;
}

static void
break_off(struct wire *w)
{
	w->broken = true;
	watch_set(&w->watch, 0);
	later_set(&w->later);
}

/* ---- sockets */

static void
send_queued(struct wire *w)
{
	while (!list_empty(&w->queue)) {
		struct packet *p =
		    CONTAINER_OF(list_first(&w->queue), struct packet, link);
		ssize_t n =
		    send(w->watch.fd, p->bytes, p->n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			break_off(w);
			return;
		}
		p = pop(w);
		packet_free(&p);
	}
	watch_set(&w->watch, WATCH_READ | (list_empty(&w->queue) ? 0 : WATCH_WRITE));
}

static bool
receive_one(struct wire *w)
{
	ssize_t n = recv(w->watch.fd, w->room, WIRE_RECORD_MAX, MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0 || (size_t)n > WIRE_RECORD_MAX) {
		break_off(w);
		return false;
	}
	char *room = w->room; /* ours, whatever becomes of w */
	w->room = NULL;
	bool there = tell(w, (struct span){room, (size_t)n});
	explicit_bzero(room, (size_t)n);
	if (there)
		w->room = room;
	else
		mem_free(&room);
	return there && !w->broken;
}

static void
on_ready(void *arg, unsigned what)
{
	struct wire *w = arg;
	if (what & WATCH_WRITE)
		send_queued(w);
	for (int i = 0; (what & WATCH_READ) && i < RECORDS_PER_TURN; i++)
		if (!receive_one(arg))
			return;
}

/* ---- at the end of the turn */

static void
on_later(void *arg)
{
	struct wire *w = arg;
	if (w->broken) {
		if (w->closed != NULL)
			w->closed(w->arg);
		return;
	}
	struct packet *p;
	while ((p = pop(w)) != NULL) {
		bool there = tell(w, (struct span){p->bytes, p->n});
		packet_free(&p);
		if (!there)
			return;
	}
}

/* ---- life */

static struct wire *
make(struct loop *l, int fd, void (*fn)(void *, struct span), void *arg)
{
	struct wire *w = NEW(struct wire);
	w->loop = l;
	w->fn = fn;
	w->arg = arg;
	list_init(&w->queue);
	later_init(&w->later, l, on_later, w);
	watch_init(&w->watch, l, fd, on_ready, w);
	return w;
}

struct wire *
wire_new(struct loop *l, int fd, void (*fn)(void *arg, struct span record),
    void (*closed)(void *arg), void *arg)
{
	struct wire *w = make(l, fd, fn, arg);
	w->closed = closed;
	w->room = mem_alloc_raw(WIRE_RECORD_MAX);
	watch_set(&w->watch, WATCH_READ);
	return w;
}

struct wire *
wire_new_inline(struct loop *l, void (*fn)(void *arg, struct span record), void *arg)
{
	return make(l, -1, fn, arg);
}

void
wire_join(struct wire *a, struct wire *b)
{
	a->peer = b;
	b->peer = a;
}

void
wire_free(struct wire **wp)
{
	struct wire *w = *wp;
	struct packet *p;
	*wp = NULL;
	if (w == NULL)
		return;
	if (w->gone != NULL)
		*w->gone = true;
	if (w->peer != NULL)
		w->peer->peer = NULL;
	while ((p = pop(w)) != NULL)
		packet_free(&p);
	later_clear(&w->later);
	watch_clear(&w->watch);
	if (w->watch.fd >= 0)
		(void)close(w->watch.fd);
	mem_free(&w->room);
	mem_free(&w);
}

void
wire_send(struct wire *w, struct span record)
{
	CHECK(record.n <= WIRE_RECORD_MAX);
	bool socket = w->watch.fd >= 0;
	struct wire *to = socket ? w : w->peer;
	if (to == NULL || w->broken)
		return;
	if (to->queued + record.n > WIRE_QUEUE_MAX) {
		break_off(w);
		return;
	}
	struct packet *p = mem_alloc_raw(sizeof(*p) + record.n);
	*p = (struct packet){.n = record.n};
	memcpy(p->bytes, record.p, record.n);
	list_push(&to->queue, &p->link);
	to->queued += record.n;
	if (socket)
		send_queued(w);
	else
		later_set(&to->later);
}

/* ---- records */

static void
add_number(struct buf *b, uint64_t v, size_t octets)
{
	for (size_t i = octets; i > 0; i--)
		buf_add_char(b, (char)(v >> (8 * (i - 1))));
}

void
record_begin(struct buf *b, enum wire_kind kind, uint32_t number)
{
	buf_reset(b);
	add_number(b, WIRE_VERSION, 1);
	add_number(b, kind, 1);
	add_number(b, number, 4);
}

void
record_add_u64(struct buf *b, uint64_t v)
{
	add_number(b, v, 8);
}

void
record_add(struct buf *b, struct span s)
{
	add_number(b, s.p == NULL ? UINT32_MAX : s.n, 4);
	buf_add_span(b, s);
}

static uint64_t
take_number(struct record *r, size_t octets)
{
	uint64_t v = 0;
	if (r->rest.n < octets)
		r->bad = true;
	if (r->bad)
		return 0;
	for (size_t i = 0; i < octets; i++)
		v = v << 8 | (unsigned char)r->rest.p[i];
	r->rest = span_cut(r->rest, octets, r->rest.n);
	return v;
}

bool
record_open(struct record *r, struct span bytes)
{
	*r = (struct record){.rest = bytes};
	if (take_number(r, 1) != WIRE_VERSION)
		r->bad = true;
	r->kind = (uint8_t)take_number(r, 1);
	r->number = (uint32_t)take_number(r, 4);
	return !r->bad;
}

uint64_t
record_u64(struct record *r)
{
	return take_number(r, 8);
}

struct span
record_span(struct record *r, size_t max)
{
	uint64_t n = take_number(r, 4);
	struct span none = {0};
	if (r->bad || n == UINT32_MAX)
		return none;
	if (n > r->rest.n || n > max) {
		r->bad = true;
		return none;
	}
	struct span s = {r->rest.p, (size_t)n};
	r->rest = span_cut(r->rest, (size_t)n, r->rest.n);
	return s;
}

bool
record_done(const struct record *r)
{
	return !r->bad && r->rest.n == 0;
}
