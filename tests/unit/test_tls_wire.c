/* SPDX-License-Identifier: ISC */
/* TLS as it goes over the wire: somebody in the middle hands octets on as he likes, and
 * counts records; how connections end. */
#include "tests/unit/tls_rig.h"

#define CLOSED_TURNS 200 /* a loop that does not come to rest by then is spinning */

/* The far ends of both connections. */
struct middle {
	int server, client;
	struct buf to_server, to_client; /* come, and not handed on yet */
};

static int
one_end(struct fixture *f, struct side *s)
{
	int fd[2];
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd), 0);
	side_init(f, s, fd[0]);
	return fd[1];
}

static void
middle_init(struct fixture *f, struct middle *m)
{
	m->server = one_end(f, &f->server);
	m->client = one_end(f, &f->client);
	buf_init(&m->to_server, 0);
	buf_init(&m->to_client, 0);
}

static void
middle_clear(struct middle *m)
{
	(void)close(m->server);
	(void)close(m->client);
	buf_clear(&m->to_server);
	buf_clear(&m->to_client);
}

static void
rest(struct fixture *f)
{
	unsigned n = 0;
	while (loop_turn(f->loop, false))
		if (++n > CLOSED_TURNS)
			fail_msg("the loop spins");
}

/* True if something came; the end of a connection is not handed on. */
static bool
listen_at(int fd, struct buf *into)
{
	char piece[4096];
	bool any = false;
	ssize_t n;
	while ((n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0) {
		buf_add(into, piece, (size_t)n);
		any = true;
	}
	return any;
}

static void
hand_on(int fd, struct buf *from, size_t n)
{
	while (n > 0 && from->n > 0) {
		ssize_t sent = send(fd, from->p, n < from->n ? n : from->n, MSG_NOSIGNAL);
		if (sent <= 0)
			return;
		buf_consume(from, (size_t)sent);
		n -= (size_t)sent;
	}
}

static bool
listen_both(struct fixture *f, struct middle *m)
{
	rest(f);
	bool any = listen_at(m->server, &m->to_client);
	return listen_at(m->client, &m->to_server) || any;
}

static void
hand_on_all(struct fixture *f, struct middle *m)
{
	while (listen_both(f, m)) {
		hand_on(m->server, &m->to_server, SIZE_MAX);
		hand_on(m->client, &m->to_client, SIZE_MAX);
	}
}

static void
begin(struct fixture *f, struct middle *m)
{
	middle_init(f, m);
	assert_int_equal(io_start_tls_server(f->server.io, f->ts), OK);
	assert_int_equal(io_start_tls_client(f->client.io, f->tc, &right), OK);
}

static void
stand(struct fixture *f, struct middle *m)
{
	begin(f, m);
	hand_on_all(f, m);
	assert_true(f->server.tls && f->client.tls);
}

/* How many records these are; all are whole. */
static size_t
records(const struct buf *b)
{
	size_t n = 0, at = 0;
	while (at + 5 <= b->n) {
		size_t length = (size_t)(unsigned char)b->p[at + 3] << 8 |
				(unsigned char)b->p[at + 4];
		assert_true(length <= (16u << 10) + 256);
		at += 5 + length;
		n++;
	}
	assert_int_equal(at, b->n);
	return n;
}

/* ---- handshakes */

static void
test_octet_by_octet(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	begin(f, &m);
	while (listen_both(f, &m) || m.to_server.n + m.to_client.n > 0) {
		hand_on(m.server, &m.to_server, 1);
		hand_on(m.client, &m.to_client, 1);
	}
	assert_true(f->server.tls && f->client.tls);
	middle_clear(&m);
}

static void
test_handshake_cut_short(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	begin(f, &m);
	(void)listen_both(f, &m);
	hand_on(m.server, &m.to_server, m.to_server.n / 2);
	rest(f);
	assert_false(f->server.error);
	(void)shutdown(m.server, SHUT_WR);
	rest(f);
	assert_true(f->server.error && !f->server.tls);
	assert_string_equal(
	    f->server.trouble, "TLS: the connection ended during the handshake");
	middle_clear(&m);
}

static void
test_handshake_takes_too_long(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	begin(f, &m);
	io_deadline(f->server.io, 30 * SECOND_MS);
	rest(f);
	fake_world_pass(&f->world, 29 * SECOND_MS);
	rest(f);
	assert_false(f->server.timeout);
	fake_world_pass(&f->world, SECOND_MS);
	rest(f);
	assert_true(f->server.timeout && !f->server.error && !f->server.tls);
	middle_clear(&m);
}

/* Whoever lets go during the handshake is gone at once: nobody would hear his words. */
static void
test_let_go_in_the_handshake(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	char got[64];
	middle_init(f, &m);
	io_add_span(f->server.io, SPAN("220 go\r\n"));
	assert_int_equal(io_start_tls_server(f->server.io, f->ts), OK);
	io_add_span(f->server.io, SPAN("421 inside\r\n"));
	io_finish(&f->server.io, 60 * SECOND_MS);
	rest(f);
	assert_int_equal(recv(m.server, got, sizeof(got), 0), 8);
	assert_memory_equal(got, "220 go\r\n", 8);
	assert_int_equal(recv(m.server, got, sizeof(got), 0), 0);
	middle_clear(&m);
}

static void
test_free_when_it_stands(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	begin(f, &m);
	f->client.free_on_tls = true;
	hand_on_all(f, &m);
	assert_true(f->client.tls && f->client.io == NULL);
	middle_clear(&m);
}

/* ---- records */

static void
test_small_replies_are_one_record(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	stand(f, &m);
	for (int i = 0; i < 100; i++)
		io_addf(f->server.io, "250-line %d\r\n", i);
	rest(f);
	(void)listen_at(m.server, &m.to_client);
	assert_int_equal(records(&m.to_client), 1);
	middle_clear(&m);
}

static void
test_large_content_is_large_records(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	static char much[100000];
	stand(f, &m);
	io_add(f->server.io, much, sizeof(much));
	rest(f);
	(void)listen_at(m.server, &m.to_client);
	assert_int_equal(records(&m.to_client), 7);
	assert_int_equal(io_bytes_out(f->server.io), sizeof(much));
	middle_clear(&m);
}

/* A part of a record is nothing to work on: the loop rests until more comes. */
static void
test_half_a_record_rests(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	static char block[12000];
	stand(f, &m);
	io_add(f->client.io, block, sizeof(block));
	rest(f);
	(void)listen_at(m.client, &m.to_server);
	for (int i = 0; i < 4; i++) {
		hand_on(m.server, &m.to_server, 2900);
		rest(f);
		assert_int_equal(f->server.got.n, 0);
	}
	hand_on(m.server, &m.to_server, SIZE_MAX);
	rest(f);
	assert_int_equal(f->server.got.n, sizeof(block));
	assert_int_equal(io_bytes_in(f->server.io), sizeof(block));
	middle_clear(&m);
}

/* Half a record is out when the kernel has no more room: the rest of it is the same. */
static void
test_no_room_now_and_then(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	enum { MUCH = 300000 };
	char *much = mem_alloc(MUCH);
	for (size_t i = 0; i < MUCH; i++)
		much[i] = (char)(i * 31 ^ i >> 9);
	middle_init(f, &m);
	int small = 4096;
	(void)setsockopt(
	    io_fd(f->server.io), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	assert_int_equal(io_start_tls_server(f->server.io, f->ts), OK);
	assert_int_equal(io_start_tls_client(f->client.io, f->tc, &right), OK);
	hand_on_all(f, &m);
	for (size_t at = 0; at < MUCH; at += 3000) { /* more comes behind what is stuck */
		io_add(f->server.io, much + at, 3000);
		rest(f);
	}
	assert_true(io_queued(f->server.io) > IO_HIGH);
	hand_on_all(f, &m);
	assert_int_equal(f->client.got.n, MUCH);
	assert_memory_equal(f->client.got.p, much, MUCH);
	mem_free(&much);
	middle_clear(&m);
}

static void
test_changed_on_the_way(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	stand(f, &m);
	io_add_span(f->client.io, SPAN("MAIL FROM:<a@me.test>\r\n"));
	rest(f);
	(void)listen_at(m.client, &m.to_server);
	m.to_server.p[m.to_server.n - 1] ^= 1;
	hand_on(m.server, &m.to_server, SIZE_MAX);
	rest(f);
	assert_true(f->server.error);
	assert_int_equal(f->server.got.n, 0);
	middle_clear(&m);
}

/* ---- ends */

/* close_notify is the end, without that of the connection; what is written after it is
 * still heard. */
static void
test_close_notify(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	stand(f, &m);
	io_add_span(f->client.io, SPAN("QUIT\r\n"));
	io_finish(&f->client.io, 5 * SECOND_MS);
	hand_on_all(f, &m);
	assert_true(span_eq(buf_span(&f->server.got), SPAN("QUIT\r\n")));
	assert_true(f->server.eof && !f->server.error);
	middle_clear(&m);
}

/* CVE-2026-45185 and its like: clear octets behind close_notify. */
static void
test_clear_behind_close_notify(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	stand(f, &m);
	io_finish(&f->client.io, 5 * SECOND_MS);
	(void)listen_both(f, &m);
	buf_add_str(&m.to_server, "MAIL FROM:<evil@a.test>\r\n");
	hand_on(m.server, &m.to_server, SIZE_MAX);
	rest(f);
	assert_true(f->server.eof);
	assert_int_equal(f->server.got.n, 0);
	io_add_span(f->server.io, SPAN("221 bye\r\n"));
	io_finish(&f->server.io, 5 * SECOND_MS);
	rest(f);
	(void)listen_at(m.server, &m.to_client);
	assert_true(m.to_client.n > 0);
	assert_null(
	    memmem(m.to_client.p, m.to_client.n, "221", 3)); /* not in the clear */
	middle_clear(&m);
}

/* Much is queued and the kernel has no room: everything comes, close_notify last. */
static void
test_finish_writes_all(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	static char much[200000];
	int small = 4096;
	stand(f, &m);
	(void)setsockopt(
	    io_fd(f->server.io), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	io_add(f->server.io, much, sizeof(much));
	io_finish(&f->server.io, 60 * SECOND_MS);
	hand_on_all(f, &m);
	assert_int_equal(f->client.got.n, sizeof(much));
	assert_true(f->client.eof && !f->client.error);
	middle_clear(&m);
}

/* The connection breaks off without close_notify: an ordinary end. */
static void
test_end_without_notice(void **state)
{
	struct fixture *f = *state;
	struct middle m;
	stand(f, &m);
	(void)shutdown(m.server, SHUT_WR);
	rest(f);
	assert_true(f->server.eof && !f->server.error);
	middle_clear(&m);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_octet_by_octet),
	    TEST(test_handshake_cut_short),
	    TEST(test_handshake_takes_too_long),
	    TEST(test_let_go_in_the_handshake),
	    TEST(test_free_when_it_stands),
	    TEST(test_small_replies_are_one_record),
	    TEST(test_large_content_is_large_records),
	    TEST(test_half_a_record_rests),
	    TEST(test_no_room_now_and_then),
	    TEST(test_changed_on_the_way),
	    TEST(test_close_notify),
	    TEST(test_clear_behind_close_notify),
	    TEST(test_finish_writes_all),
	    TEST(test_end_without_notice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
