/* SPDX-License-Identifier: ISC */
/* Records between relayd and its helper: what goes in comes out, and nonsense is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/signin/wire.h"
#include "tests/lib/fake_world.h"

static void
compose(struct buf *b)
{
	buf_init(b, 4096);
	record_begin(b, WIRE_BEGIN, 0xfffffffe);
	record_add_u64(b, UINT64_C(0x0123456789abcdef));
	record_add(b, SPAN("PLAIN"));
	record_add(b, SPAN(""));
	record_add(b, (struct span){NULL, 0});
	record_add(b, SPAN("a\0b"));
}

static void
test_round_trip(void **state)
{
	struct record r;
	struct buf b;
	(void)state;
	compose(&b);
	assert_true(record_open(&r, buf_span(&b)));
	assert_int_equal(r.kind, WIRE_BEGIN);
	assert_int_equal(r.number, 0xfffffffe);
	assert_int_equal(record_u64(&r), UINT64_C(0x0123456789abcdef));
	assert_true(span_eq(record_span(&r, 5), SPAN("PLAIN")));
	struct span empty = record_span(&r, 0), absent = record_span(&r, 0);
	assert_non_null(empty.p);
	assert_int_equal(empty.n, 0);
	assert_null(absent.p);
	assert_false(record_done(&r)); /* something is left */
	assert_true(span_eq(record_span(&r, 3), SPAN("a\0b")));
	assert_true(record_done(&r));
	buf_clear(&b);
}

static bool
reads(struct span bytes)
{
	struct record r;
	(void)record_open(&r, bytes);
	(void)record_u64(&r);
	for (int i = 0; i < 4; i++)
		(void)record_span(&r, 100);
	return record_done(&r);
}

/* At every octet where it is cut, and with one more. */
static void
test_cut_and_added(void **state)
{
	struct buf b;
	(void)state;
	compose(&b);
	assert_true(reads(buf_span(&b)));
	for (size_t n = 0; n < b.n; n++)
		assert_false(reads(span_cut(buf_span(&b), 0, n)));
	buf_add_char(&b, 'x');
	assert_false(reads(buf_span(&b)));
	b.n--;
	b.p[0]++; /* another version */
	assert_false(reads(buf_span(&b)));
	buf_clear(&b);
}

/* What is longer than its reader allows is bad, and so is all that follows. */
static void
test_bounds(void **state)
{
	struct record r;
	struct buf b;
	(void)state;
	compose(&b);
	assert_true(record_open(&r, buf_span(&b)));
	(void)record_u64(&r);
	assert_null(record_span(&r, 4).p); /* PLAIN has 5 */
	assert_true(r.bad);
	assert_null(record_span(&r, 100).p);
	assert_int_equal(record_u64(&r), 0);
	assert_false(record_done(&r));
	buf_clear(&b);
}

static void
test_chance(void **state)
{
	char bytes[64];
	struct fake_world w;
	(void)state;
	fake_world_init(&w);
	for (int i = 0; i < 20000; i++) {
		world_random(&w.world, bytes, sizeof(bytes));
		bytes[0] = WIRE_VERSION;
		(void)reads((struct span){bytes, sizeof(bytes)});
	}
}

/* ---- over a socket */

struct end {
	struct wire *wire;
	unsigned records, closed;
	size_t last;
	bool hang_up; /* when the next comes */
};

static void
on_record(void *arg, struct span record)
{
	struct end *e = arg;
	e->records++;
	e->last = record.n;
	if (e->hang_up)
		wire_free(&e->wire);
}

static void
on_closed(void *arg)
{
	struct end *e = arg;
	e->closed++;
	wire_free(&e->wire);
}

struct pair {
	struct fake_world world;
	struct loop *loop;
	struct end a;
	int fd; /* the other side, raw */
};

static void
pair_init(struct pair *p)
{
	int fd[2];
	*p = (struct pair){0};
	fake_world_init(&p->world);
	p->loop = loop_new(&p->world.world);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd), 0);
	p->a.wire = wire_new(p->loop, fd[0], on_record, on_closed, &p->a);
	p->fd = fd[1];
}

static void
pair_clear(struct pair *p)
{
	wire_free(&p->a.wire);
	if (p->fd >= 0)
		(void)close(p->fd);
	loop_free(&p->loop);
}

static void
turns(struct pair *p)
{
	for (int i = 0; i < 10; i++)
		(void)loop_turn(p->loop, false);
}

static void
test_socket(void **state)
{
	struct pair p;
	char room[100];
	(void)state;
	pair_init(&p);
	wire_send(p.a.wire, SPAN("out"));
	turns(&p);
	assert_int_equal(recv(p.fd, room, sizeof(room), 0), 3);
	assert_int_equal(send(p.fd, "in and", 6, 0), 6);
	assert_int_equal(send(p.fd, "in", 2, 0), 2);
	turns(&p);
	assert_int_equal(p.a.records, 2);
	assert_int_equal(p.a.last, 2);
	(void)close(p.fd);
	p.fd = -1;
	turns(&p);
	assert_int_equal(p.a.closed, 1);
	assert_null(p.a.wire);
	pair_clear(&p);
}

/* A record over the bound closes the channel; one at the bound does not. */
static void
test_largest(void **state)
{
	char *big = mem_alloc(WIRE_RECORD_MAX + 1);
	int size = 4 * WIRE_RECORD_MAX;
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		struct pair p;
		pair_init(&p);
		assert_int_equal(
		    setsockopt(p.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
		assert_int_equal(send(p.fd, big, WIRE_RECORD_MAX + over, 0),
		    (ssize_t)(WIRE_RECORD_MAX + over));
		turns(&p);
		assert_int_equal(p.a.records, over == 0);
		assert_int_equal(p.a.closed, over == 1);
		pair_clear(&p);
	}
	mem_free(&big);
}

/* Who does not read makes a queue, and at its bound loses the channel. */
static void
test_queue(void **state)
{
	struct pair p;
	char *big = mem_alloc(WIRE_RECORD_MAX);
	size_t sent = 0;
	(void)state;
	pair_init(&p);
	while (p.a.closed == 0 && sent <= WIRE_QUEUE_MAX + 4u * WIRE_RECORD_MAX) {
		if (p.a.wire != NULL)
			wire_send(p.a.wire, (struct span){big, WIRE_RECORD_MAX});
		sent += WIRE_RECORD_MAX;
		turns(&p);
	}
	assert_int_equal(p.a.closed, 1);
	assert_true(sent > WIRE_QUEUE_MAX);
	pair_clear(&p);
	mem_free(&big);
}

/* Freed from inside its own callback, with more to come. */
static void
test_freed_inside(void **state)
{
	struct pair p;
	(void)state;
	pair_init(&p);
	p.a.hang_up = true;
	assert_int_equal(send(p.fd, "one", 3, 0), 3);
	assert_int_equal(send(p.fd, "two", 3, 0), 3);
	turns(&p);
	assert_int_equal(p.a.records, 1);
	assert_int_equal(p.a.closed, 0);
	pair_clear(&p);
}

static void
test_inline(void **state)
{
	struct pair p;
	struct end a = {0}, b = {0};
	(void)state;
	pair_init(&p);
	a.wire = wire_new_inline(p.loop, on_record, &a);
	b.wire = wire_new_inline(p.loop, on_record, &b);
	wire_join(a.wire, b.wire);
	wire_send(a.wire, SPAN("four"));
	assert_int_equal(b.records, 0); /* never before the call has returned */
	turns(&p);
	assert_int_equal(b.records, 1);
	assert_int_equal(b.last, 4);
	wire_free(&b.wire);
	wire_send(a.wire, SPAN("nobody"));
	turns(&p);
	assert_int_equal(b.records, 1);
	wire_free(&a.wire);
	pair_clear(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_cut_and_added),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_chance),
	    cmocka_unit_test(test_socket),
	    cmocka_unit_test(test_largest),
	    cmocka_unit_test(test_queue),
	    cmocka_unit_test(test_freed_inside),
	    cmocka_unit_test(test_inline),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
