/* SPDX-License-Identifier: ISC */
/* Compressed connections inside TLS; somebody in the middle hands octets on. */
#define ZLIB_CONST
#include <zlib.h>

#include "base/io_private.h"
#include "tests/unit/tls_rig.h"

#define TURNS 100000

/* The far ends of both connections, and what has come through them. */
struct middle {
	int server, client;
	size_t to_server, to_client;
	size_t step; /* octets handed on at once */
};

static int
one_end(struct fixture *f, struct side *s)
{
	int fd[2], small = 4096;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd), 0);
	(void)setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	side_init(f, s, fd[0]);
	return fd[1];
}

static size_t
hand_on(int from, int to, size_t most)
{
	char piece[4096];
	ssize_t n = recv(from, piece, most < sizeof(piece) ? most : sizeof(piece), 0);
	if (n <= 0)
		return 0;
	assert_int_equal(send(to, piece, (size_t)n, MSG_NOSIGNAL), n);
	return (size_t)n;
}

static void
rest(struct fixture *f)
{
	unsigned n = 0;
	while (loop_turn(f->loop, false))
		if (++n > TURNS)
			fail_msg("the loop spins");
}

static void
run(struct fixture *f, struct middle *m)
{
	size_t there, back;
	do {
		rest(f);
		there = hand_on(m->client, m->server, m->step);
		back = hand_on(m->server, m->client, m->step);
		m->to_server += there;
		m->to_client += back;
	} while (there + back > 0);
}

static void
stand(struct fixture *f, struct middle *m)
{
	*m = (struct middle){.step = SIZE_MAX};
	m->server = one_end(f, &f->server);
	m->client = one_end(f, &f->client);
	assert_int_equal(io_start_tls_server(f->server.io, f->ts), OK);
	assert_int_equal(io_start_tls_client(f->client.io, f->tc, &right), OK);
	run(f, m);
	assert_true(f->server.tls && f->client.tls);
	m->to_server = m->to_client = 0;
}

static void
stand_compressed(struct fixture *f, struct middle *m)
{
	stand(f, m);
	assert_int_equal(io_start_deflate(f->server.io), OK);
	assert_int_equal(io_start_deflate(f->client.io), OK);
}

static void
middle_clear(struct middle *m)
{
	(void)close(m->server);
	(void)close(m->client);
}

static void
squeeze(const void *bytes, size_t n, struct buf *into)
{
	z_stream z = {0};
	assert_int_equal(
	    deflateInit2(&z, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	size_t most = deflateBound(&z, n) + 16;
	z.next_in = bytes;
	z.avail_in = (uInt)n;
	z.next_out = (Bytef *)buf_room(into, most);
	z.avail_out = (uInt)most;
	assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	into->n += most - z.avail_out;
	(void)deflateEnd(&z);
}

/* Half of it shrinks, half of it does not. */
static char *
make_bytes(size_t n)
{
	char *p = mem_alloc(n);
	uint64_t x = 88172645463325252u;
	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = i < n / 2 ? (char)(unsigned char)(x >> 32) : (char)('a' + i % 20);
	}
	return p;
}

static void
expect_got(struct side *s, const char *bytes, size_t n)
{
	assert_int_equal(s->got.n, n);
	assert_memory_equal(s->got.p, bytes, n);
	buf_reset(&s->got);
}

/* ---- both ways */

static void
test_both_ways(void **state)
{
	enum { MUCH = 600000 };
	struct fixture *f = *state;
	struct middle m;
	char *bytes = make_bytes(MUCH);
	struct content *c = content_new(NULL);
	content_append(c, bytes, MUCH);
	content_seal(c);
	stand_compressed(f, &m);
	io_add_content(f->server.io, c, 0, MUCH);
	run(f, &m);
	expect_got(&f->client, bytes, MUCH);
	io_add(f->client.io, bytes, MUCH);
	run(f, &m);
	expect_got(&f->server, bytes, MUCH);
	assert_int_equal(io_queued(f->server.io), 0);
	assert_int_equal(io_bytes_out(f->server.io), MUCH);
	assert_int_equal(io_bytes_in(f->server.io), MUCH);
	assert_true(m.to_server < MUCH * 6 / 10 && m.to_client < MUCH * 6 / 10);
	content_unref(&c);
	mem_free(&bytes);
	middle_clear(&m);
}

static void
test_octet_by_octet(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	stand_compressed(f, &m);
	m.step = 1;
	for (int i = 0; i < 3; i++) {
		io_add_span(f->client.io, SPAN("a FETCH 1:* (FLAGS)\r\n"));
		io_add_span(f->server.io, SPAN("* 1 FETCH (FLAGS ())\r\na OK\r\n"));
		run(f, &m);
		expect_got(&f->server, "a FETCH 1:* (FLAGS)\r\n", 21);
		expect_got(&f->client, "* 1 FETCH (FLAGS ())\r\na OK\r\n", 28);
		fake_world_pass(&f->world, 10 * SECOND_MS); /* idle in between */
	}
	middle_clear(&m);
}

/* A burst is one record, as without compression. */
static void
test_small_answers_are_one_record(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	char record[4096];
	stand_compressed(f, &m);
	for (int i = 0; i < 100; i++)
		io_addf(f->server.io, "* %d FETCH (FLAGS ())\r\n", i);
	rest(f);
	ssize_t n = recv(m.server, record, sizeof(record), 0);
	assert_true(n > 5 && n < 1500);
	assert_int_equal((unsigned char)record[3] << 8 | (unsigned char)record[4], n - 5);
	middle_clear(&m);
}

/* ---- starting */

static void
on_command(void *arg, enum io_event ev)
{
	struct side *s = arg;
	struct span line;
	if (ev != IO_INPUT) {
		on_io(arg, ev);
		return;
	}
	while (io_line(s->io, 1000, &line) == IO_LINE) {
		buf_addf(&s->got, "%.*s\n", SPAN_ARG(line));
		if (!io_deflated(s->io)) {
			io_add_span(s->io, SPAN("OK\r\n"));
			assert_int_equal(io_start_deflate(s->io), OK);
		}
	}
}

/* The command and what is compressed behind it, in one record and in two. */
static void
test_pipelined_start(void **state)
{
	struct fixture *f = *state;
	for (int records = 1; records <= 2; records++) {
		struct middle m;
		struct buf b = {0};
		stand(f, &m);
		io_set_owner(f->server.io, on_command, &f->server);
		squeeze("NOOP\r\nLOGOUT\r\n", 14, &b);
		io_add_span(f->client.io, SPAN("COMPRESS\r\n"));
		if (records == 2)
			rest(f);
		io_add(f->client.io, b.p, b.n);
		run(f, &m);
		expect_got(&f->server, "COMPRESS\nNOOP\nLOGOUT\n", 21);
		expect_got(&f->client, "OK\r\n", 4);
		buf_clear(&b);
		middle_clear(&m);
		end_sides(f);
	}
}

/* ---- hostile */

static void
on_io_take_nothing(void *arg, enum io_event ev)
{
	if (ev != IO_INPUT)
		on_io(arg, ev);
}

static void
test_bomb_waits(void **state)
{
	enum { MUCH = 8 << 20 };
	struct fixture *f = *state;
	struct middle m;
	struct buf b = {0};
	char *zeros = mem_alloc(MUCH);
	stand(f, &m);
	squeeze(zeros, MUCH, &b);
	mem_free(&zeros);
	assert_int_equal(io_start_deflate(f->server.io), OK);
	io_set_owner(f->server.io, on_io_take_nothing, &f->server);
	io_add(f->client.io, b.p, b.n);
	buf_clear(&b);
	while (io_bytes_in(f->server.io) < MUCH) {
		run(f, &m);
		size_t n = io_input(f->server.io).n;
		assert_true(n > 0 && n <= IO_INPUT_MAX);
		assert_true(f->server.io->cap <= IO_INPUT_MAX);
		io_consume(f->server.io, n < 50000 ? n : 50000);
		io_resume(f->server.io);
	}
	middle_clear(&m);
}

static void
test_damaged(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	stand(f, &m);
	assert_int_equal(io_start_deflate(f->server.io), OK);
	io_add_span(f->client.io, SPAN("a NOOP\r\n"));
	run(f, &m);
	assert_true(f->server.error);
	assert_string_equal(f->server.trouble, "compressed data is damaged");
	middle_clear(&m);
}

/* ---- the end */

static void
test_finish_writes_all(void **state)
{
	enum { MUCH = 200000 };
	struct fixture *f = *state;
	struct middle m;
	char *bytes = make_bytes(MUCH);
	stand_compressed(f, &m);
	io_add(f->server.io, bytes, MUCH);
	io_finish(&f->server.io, 60 * SECOND_MS);
	run(f, &m);
	expect_got(&f->client, bytes, MUCH);
	assert_true(f->client.eof && !f->client.error);
	mem_free(&bytes);
	middle_clear(&m);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_both_ways),
	    TEST(test_octet_by_octet),
	    TEST(test_small_answers_are_one_record),
	    TEST(test_pipelined_start),
	    TEST(test_bomb_waits),
	    TEST(test_damaged),
	    TEST(test_finish_writes_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
