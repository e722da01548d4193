/* SPDX-License-Identifier: ISC */
/* Compressed connections: the peer is zlib itself at the other end of a socket pair. */
#define ZLIB_CONST
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/io_private.h"
#include "base/mem.h"
#include "tests/lib/fake_world.h"

#define TURNS 100000 /* a loop that does not come to rest by then is spinning */

/*
 * The program's own functions stand before zlib's, so that the states that live
 * can be counted.
 */
static int live;

static int
pass_on(const char *name, z_stream *z)
{
	int (*real)(z_stream *);
	*(void **)(void *)&real = dlsym(RTLD_NEXT, name);
	assert_non_null(real);
	live--;
	return real(z);
}

int
inflateEnd(z_stream *z)
{
	return pass_on("inflateEnd", z);
}

int
deflateEnd(z_stream *z)
{
	return pass_on("deflateEnd", z);
}

int
inflateInit2_(z_stream *z, int bits, const char *version, int size)
{
	int (*real)(z_stream *, int, const char *, int);
	*(void **)(void *)&real = dlsym(RTLD_NEXT, "inflateInit2_");
	assert_non_null(real);
	live++;
	return real(z, bits, version, size);
}

int
deflateInit2_(z_stream *z, int level, int method, int bits, int memory, int strategy,
    const char *version, int size)
{
	int (*real)(z_stream *, int, int, int, int, int, const char *, int);
	*(void **)(void *)&real = dlsym(RTLD_NEXT, "deflateInit2_");
	assert_non_null(real);
	live++;
	return real(z, level, method, bits, memory, strategy, version, size);
}

struct peer {
	int fd;
	z_stream in, out;
	struct buf raw; /* as it came; inflated up to `at` */
	size_t at;
	struct buf got;
};

struct fixture {
	struct fake_world w;
	struct loop *loop;
	struct io *io;
	struct peer peer;
	struct buf seen; /* "line\n" per line, "<event>" per event */
	bool take_lines, pause_on_line, echo;
	int free_on; /* the event, or -1 */
};

/* ---- our side */

static void
on_line(struct fixture *f, struct span line)
{
	buf_addf(&f->seen, "%.*s\n", SPAN_ARG(line));
	if (f->echo)
		io_addf(f->io, "%.*s\r\n", SPAN_ARG(line));
	if (f->pause_on_line)
		io_pause(f->io);
	if (span_eq(line, SPAN("COMPRESS"))) {
		io_add_span(f->io, SPAN("OK\r\n"));
		assert_int_equal(io_start_deflate(f->io), OK);
	}
}

static void
on_io(void *arg, enum io_event ev)
{
	static const char *const name[] = {
	    "connected", "input", "drained", "eof", "error", "timeout", "tls"};
	struct fixture *f = arg;
	struct span line;
	if (ev != IO_INPUT)
		buf_addf(&f->seen, "<%s>", name[ev]);
	if ((int)ev == f->free_on) {
		io_free(&f->io);
		return;
	}
	if (ev != IO_INPUT)
		return;
	while (f->take_lines && !io_paused(f->io)) {
		enum io_line got = io_line(f->io, 2000, &line);
		if (got == IO_MORE)
			return;
		if (got == IO_LINE)
			on_line(f, line);
		else
			buf_add_str(&f->seen, got == IO_BARE ? "!bare\n" : "!long\n");
	}
}

static void
settle(struct fixture *f)
{
	unsigned n = 0;
	while (loop_turn(f->loop, false))
		if (++n > TURNS)
			fail_msg("the loop spins");
}

static void
expect(struct fixture *f, const char *want)
{
	if (!span_eq(buf_span(&f->seen), span_str(want)))
		fail_msg(
		    "got \"%.*s\", expected \"%s\"", SPAN_ARG(buf_span(&f->seen)), want);
	buf_reset(&f->seen);
}

/* ---- the peer */

/* What n bytes are in the peer's stream. */
static void
squeeze(struct peer *p, const void *bytes, size_t n, int flush, struct buf *into)
{
	p->out.next_in = bytes;
	p->out.avail_in = (uInt)n;
	do {
		p->out.next_out = (Bytef *)buf_room(into, 4096);
		p->out.avail_out = 4096;
		(void)deflate(&p->out, flush);
		into->n += 4096 - p->out.avail_out;
	} while (p->out.avail_out == 0);
}

static void
send_all(struct fixture *f, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t sent = write(f->peer.fd, bytes, n);
		if (sent > 0) {
			bytes += sent;
			n -= (size_t)sent;
		}
		settle(f);
	}
}

static void
say(struct fixture *f, const void *bytes, size_t n)
{
	struct buf b = {0};
	squeeze(&f->peer, bytes, n, Z_SYNC_FLUSH, &b);
	send_all(f, b.p, b.n);
	buf_clear(&b);
}

#define SAY(f, text) say(f, text, sizeof(text) - 1)

/* What has come, inflated; true if something had. */
static bool
hear(struct fixture *f)
{
	struct peer *p = &f->peer;
	ssize_t n;
	size_t before = p->raw.n;
	while ((n = read(p->fd, buf_room(&p->raw, 65536), 65536)) > 0)
		p->raw.n += (size_t)n;
	while (p->at < p->raw.n) {
		p->in.next_in = (Bytef *)p->raw.p + p->at;
		p->in.avail_in = (uInt)(p->raw.n - p->at);
		p->in.next_out = (Bytef *)buf_room(&p->got, 65536);
		p->in.avail_out = 65536;
		int result = inflate(&p->in, Z_SYNC_FLUSH);
		assert_true(result == Z_OK || result == Z_BUF_ERROR);
		p->at = p->raw.n - p->in.avail_in;
		p->got.n += 65536 - p->in.avail_out;
	}
	return p->raw.n > before;
}

static void
hear_all(struct fixture *f)
{
	do
		settle(f);
	while (hear(f));
}

static void
expect_heard(struct fixture *f, const char *want)
{
	hear_all(f);
	if (!span_eq(buf_span(&f->peer.got), span_str(want)))
		fail_msg("heard \"%.*s\", expected \"%s\"",
		    SPAN_ARG(buf_span(&f->peer.got)), want);
	buf_reset(&f->peer.got);
}

/* ---- both */

static void
stand(struct fixture *f)
{
	int pair[2];
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	f->peer = (struct peer){.fd = pair[1]};
	assert_int_equal(inflateInit2(&f->peer.in, -15), Z_OK);
	assert_int_equal(
	    deflateInit2(&f->peer.out, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
	live -= 2;
	f->io = io_new(f->loop, pair[0], on_io, f);
}

static void
fall(struct fixture *f)
{
	live += 2;
	(void)inflateEnd(&f->peer.in);
	(void)deflateEnd(&f->peer.out);
	if (f->peer.fd >= 0)
		(void)close(f->peer.fd);
	buf_clear(&f->peer.raw);
	buf_clear(&f->peer.got);
	io_free(&f->io);
	buf_reset(&f->seen);
	assert_int_equal(live, 0);
}

static void
start_over(struct fixture *f)
{
	fall(f);
	stand(f);
	assert_int_equal(io_start_deflate(f->io), OK);
}

static int
setup_plain(void **state)
{
	struct fixture *f = NEW(struct fixture);
	fake_world_init(&f->w);
	f->loop = loop_new(&f->w.world);
	f->take_lines = true;
	f->free_on = -1;
	live = 0;
	stand(f);
	*state = f;
	return 0;
}

static int
setup(void **state)
{
	(void)setup_plain(state);
	return io_start_deflate(((struct fixture *)*state)->io) == OK ? 0 : -1;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	fall(f);
	fake_world_pass(&f->w, 120 * SECOND_MS); /* whoever lingers gives up */
	settle(f);
	loop_free(&f->loop);
	buf_clear(&f->seen);
	mem_free(&f);
	return 0;
}

/* Octets that do not compress, the same each time. */
static void
scramble(char *p, size_t n)
{
	uint64_t x = 88172645463325252u;
	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (char)(unsigned char)(x >> 32);
	}
}

/* ---- starting */

static void
test_begins_behind_the_ok(void **state)
{
	struct fixture *f = *state;
	f->echo = true;
	assert_false(io_deflated(f->io));
	send_all(f, "COMPRESS\r\n", 10);
	assert_true(io_deflated(f->io));
	assert_int_equal(io_start_deflate(f->io), ERR_EXISTS);
	char clear[64] = "";
	assert_int_equal(read(f->peer.fd, clear, sizeof(clear)), 14);
	assert_string_equal(clear, "COMPRESS\r\nOK\r\n");
	SAY(f, "NOOP\r\n");
	expect(f, "COMPRESS\nNOOP\n");
	expect_heard(f, "NOOP\r\n");
}

/* The OK and what is queued behind it in the same turn: only that is compressed. */
static void
test_ok_and_more_in_one_turn(void **state)
{
	struct fixture *f = *state;
	static const char ok[] = "a OK\r\n";
	char clear[sizeof(ok)] = "";
	io_add_span(f->io, SPAN(ok));
	assert_int_equal(io_start_deflate(f->io), OK);
	io_add_span(f->io, SPAN("* 1 EXISTS\r\n"));
	settle(f);
	assert_int_equal(read(f->peer.fd, clear, sizeof(ok) - 1), sizeof(ok) - 1);
	assert_string_equal(clear, ok);
	expect_heard(f, "* 1 EXISTS\r\n");
	assert_int_equal(io_bytes_out(f->io), sizeof(ok) - 1 + 12);
}

/* RFC 4978: compressed commands may come right behind the command that starts it. */
static void
test_pipelined_start(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 1; i < 30; i++) {
		struct buf b = {0};
		fall(f);
		stand(f);
		buf_add_str(&b, "COMPRESS\r\n");
		squeeze(&f->peer, "one\r\ntwo\r\nthr", 13, Z_SYNC_FLUSH, &b);
		size_t cut = i < b.n ? i : b.n;
		send_all(f, b.p, cut);
		send_all(f, b.p + cut, b.n - cut);
		expect(f, "COMPRESS\none\ntwo\n");
		SAY(f, "ee\r\n");
		expect(f, "three\n");
		buf_clear(&b);
	}
}

/* TLS comes first. */
static void
test_no_tls_afterwards(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(io_start_tls_server(f->io, NULL), ERR_SYNTAX);
	assert_int_equal(io_start_tls_client(f->io, NULL, NULL), ERR_SYNTAX);
}

/* ---- input */

static void
test_octet_by_octet(void **state)
{
	static const int flush[] = {
	    Z_SYNC_FLUSH, Z_FULL_FLUSH, Z_PARTIAL_FLUSH, Z_NO_FLUSH};
	struct fixture *f = *state;
	for (size_t i = 0; i < COUNT_OF(flush); i++) {
		struct buf b = {0};
		start_over(f);
		squeeze(&f->peer, "a LOGIN a b\r\n", 13, flush[i], &b);
		squeeze(&f->peer, "b LOGIN a b\r\nbare\rx\r\n", 21, flush[i], &b);
		squeeze(&f->peer, "c NOOP\r\n", 8, Z_SYNC_FLUSH, &b);
		for (size_t k = 0; k < b.n; k++)
			send_all(f, b.p + k, 1);
		expect(f, "a LOGIN a b\nb LOGIN a b\n!bare\nc NOOP\n");
		assert_int_equal(io_bytes_in(f->io), 42);
		buf_clear(&b);
	}
}

static void
test_pause(void **state)
{
	struct fixture *f = *state;
	f->pause_on_line = true;
	SAY(f, "a\r\nb\r\n");
	expect(f, "a\n");
	SAY(f, "c\r\n");
	assert_int_equal(shutdown(f->peer.fd, SHUT_WR), 0);
	settle(f);
	expect(f, "");
	io_resume(f->io);
	settle(f);
	expect(f, "b\n");
	io_resume(f->io);
	settle(f);
	expect(f, "c\n");
	io_resume(f->io);
	settle(f);
	expect(f, "<eof>");
}

/* The longest lines that fit the bound, each thousands of times smaller on the wire. */
static void
test_bomb_is_too_long_a_line(void **state)
{
	struct fixture *f = *state;
	static char zeros[4 << 20];
	memset(zeros, 'x', sizeof(zeros));
	memcpy(zeros + sizeof(zeros) - 7, "\r\nend\r\n", 7);
	say(f, zeros, sizeof(zeros));
	expect(f, "!long\nend\n");
}

/* A bomb is inflated as room appears, and a turn's worth at a time. */
static void
test_bomb_waits(void **state)
{
	enum { MUCH = 20 << 20 };
	struct fixture *f = *state;
	char *zeros = mem_alloc(MUCH);
	struct buf b = {0};
	uint64_t before = 0;
	f->take_lines = false;
	squeeze(&f->peer, zeros, MUCH, Z_SYNC_FLUSH, &b);
	mem_free(&zeros);
	assert_true(b.n < MUCH / 500);
	send_all(f, b.p, b.n);
	buf_clear(&b);
	for (unsigned round = 0; io_bytes_in(f->io) < MUCH; round++) {
		(void)loop_turn(f->loop, false);
		uint64_t in = io_bytes_in(f->io);
		size_t n = io_input(f->io).n;
		assert_true(in - before <= IO_INPUT_MAX);
		assert_true(n <= IO_INPUT_MAX && f->io->cap <= IO_INPUT_MAX);
		settle(f);
		before = io_bytes_in(f->io);
		assert_false(loop_turn(f->loop, false)); /* full: nothing is done */
		n = io_input(f->io).n;
		io_consume(f->io, n < 30000u + round ? n : 30000u + round);
		io_resume(f->io);
	}
}

/* All of the stream is read and some of it stands in zlib, because there was no room. */
static void
test_room_ends_with_the_stream(void **state)
{
	static char much[IO_INPUT_MAX + 300];
	struct fixture *f = *state;
	for (size_t n = IO_INPUT_MAX - 5; n < sizeof(much); n++) {
		struct buf b = {0};
		start_over(f);
		f->take_lines = false;
		squeeze(&f->peer, much, n, Z_FINISH, &b);
		send_all(f, b.p, b.n);
		io_consume(f->io, io_input(f->io).n);
		io_resume(f->io);
		settle(f);
		assert_int_equal(io_bytes_in(f->io), n);
		expect(f, "<eof>");
		buf_clear(&b);
	}
}

/* Two megabytes of short lines in two kilobytes: other connections have their turn. */
static void
test_bomb_is_not_served_in_one_turn(void **state)
{
	struct fixture *f = *state;
	struct buf text = {0}, b = {0};
	for (int i = 0; i < 300000; i++)
		buf_add(&text, "NOOP\r\n", 6);
	squeeze(&f->peer, text.p, text.n, Z_SYNC_FLUSH, &b);
	assert_true(b.n < 10000);
	assert_int_equal(write(f->peer.fd, b.p, b.n), (ssize_t)b.n);
	uint64_t before = 0;
	while (loop_turn(f->loop, false)) {
		/* what came, and what was left of the turn before */
		assert_true(io_bytes_in(f->io) - before <= 128u << 10);
		before = io_bytes_in(f->io);
	}
	assert_int_equal(before, text.n);
	assert_int_equal(f->seen.n, 300000 * 5);
	buf_clear(&text);
	buf_clear(&b);
}

/* Empty blocks inflate to nothing, however many come. */
static void
test_empty_blocks(void **state)
{
	static char blocks[5 * 20000];
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(blocks); i += 5)
		memcpy(blocks + i, "\x00\x00\x00\xff\xff", 5);
	send_all(f, blocks, sizeof(blocks));
	expect(f, "");
	SAY(f, "a\r\n");
	expect(f, "a\n");
}

static void
expect_damage(struct fixture *f, const char *seen)
{
	expect(f, seen);
	assert_int_equal(io_error(f->io), ERR_SYNTAX);
	assert_string_equal(io_trouble(f->io), "compressed data is damaged");
}

static void
test_damaged(void **state)
{
	struct fixture *f = *state;
	struct buf b = {0};
	send_all(f, "a NOOP\r\n", 8); /* not compressed at all */
	expect_damage(f, "<error>");
	for (int bytewise = 0; bytewise < 2; bytewise++) {
		start_over(f);
		squeeze(&f->peer, "good\r\n", 6, Z_SYNC_FLUSH, &b);
		buf_add(&b, "\x07\x07\x07", 3); /* a block of no kind */
		if (bytewise)
			for (size_t i = 0; i < b.n; i++)
				send_all(f, b.p + i, 1);
		else
			send_all(f, b.p, b.n);
		expect_damage(f, "good\n<error>");
		buf_reset(&b);
	}
	start_over(f); /* behind the start, and while paused */
	f->pause_on_line = true;
	squeeze(&f->peer, "one\r\ntwo\r\n", 10, Z_SYNC_FLUSH, &b);
	buf_add(&b, "\x07", 1);
	send_all(f, b.p, b.n);
	buf_clear(&b);
	expect(f, "one\n");
	io_resume(f->io);
	settle(f);
	io_resume(f->io);
	settle(f);
	expect_damage(f, "two\n<error>");
	io_add(f->io, "more", 4);
	settle(f);
	expect(f, "");
}

/* Every octet of a stream changed in turn: something else is read or nothing, and there
 * is an end to it. */
static void
test_changed_on_the_way(void **state)
{
	struct fixture *f = *state;
	struct buf b = {0};
	squeeze(&f->peer, "a SELECT INBOX\r\nb FETCH 1:* ALL\r\n", 33, Z_SYNC_FLUSH, &b);
	for (size_t i = 0; i < b.n; i++) {
		start_over(f);
		b.p[i] ^= 0x55;
		send_all(f, b.p, b.n);
		(void)shutdown(f->peer.fd, SHUT_WR);
		settle(f);
		b.p[i] ^= 0x55;
		assert_true(f->seen.n > 0); /* <eof> or <error>, at the least */
	}
	buf_clear(&b);
}

/* Where the stream ends, the input does; nothing behind it is looked at. */
static void
test_end_of_stream(void **state)
{
	struct fixture *f = *state;
	for (int bytewise = 0; bytewise < 2; bytewise++) {
		struct buf b = {0};
		start_over(f);
		squeeze(&f->peer, "last\r\n", 6, Z_FINISH, &b);
		buf_add_str(&b, "a NOOP\r\n");
		for (size_t i = 0; bytewise && i < b.n; i++)
			send_all(f, b.p + i, 1);
		if (!bytewise)
			send_all(f, b.p, b.n);
		expect(f, "last\n<eof>");
		assert_true(io_eof(f->io));
		buf_clear(&b);
		io_add_span(f->io, SPAN("* BYE\r\n"));
		expect_heard(f, "* BYE\r\n");
	}
}

static void
test_cut_short(void **state)
{
	struct fixture *f = *state;
	struct buf b = {0};
	squeeze(&f->peer, "a NOOP\r\nb NOOP\r\n", 16, Z_SYNC_FLUSH, &b);
	send_all(f, b.p, 4);
	assert_int_equal(shutdown(f->peer.fd, SHUT_WR), 0);
	settle(f);
	assert_true(span_eq(buf_span(&f->seen), SPAN("<eof>")));
	assert_false(loop_turn(f->loop, false));
	buf_clear(&b);
}

static void
test_error_comes_after_the_last_words(void **state)
{
	struct fixture *f = *state;
	struct buf b = {0};
	squeeze(&f->peer, "421 no\r\n", 8, Z_SYNC_FLUSH, &b);
	assert_int_equal(write(f->peer.fd, b.p, b.n), (ssize_t)b.n);
	buf_clear(&b);
	close(f->peer.fd);
	f->peer.fd = -1;
	io_add(f->io, "into the void", 13);
	settle(f);
	assert_true(span_starts(buf_span(&f->seen), SPAN("421 no\n")));
}

/* ---- output */

/* However it was added, one turn's output is one burst: one flush, at its end. */
static void
test_one_flush_per_turn(void **state)
{
	static const char mark[] = "\x00\x00\xff\xff";
	struct fixture *f = *state;
	char line[64];
	size_t all = 0;
	for (int i = 0; i < 500; i++) {
		int n = snprintf(line, sizeof(line), "* %d FETCH (FLAGS ())\r\n", i);
		io_add(f->io, line, (size_t)n);
		all += (size_t)n;
	}
	hear_all(f);
	const struct buf *raw = &f->peer.raw;
	assert_int_equal(f->peer.got.n, all);
	assert_true(raw->n < all / 5);
	assert_ptr_equal(memmem(raw->p, raw->n, mark, 4), raw->p + raw->n - 4);
	assert_int_equal(io_queued(f->io), 0);
}

static void
send_content(struct fixture *f, struct content *c, const char *whole)
{
	size_t n = content_size(c);
	buf_reset(&f->peer.got);
	io_add(f->io, "<", 1);
	io_add_content(f->io, c, 10, n - 10);
	io_add(f->io, ">", 1);
	hear_all(f);
	assert_int_equal(io_queued(f->io), 0);
	assert_int_equal(f->peer.got.n, n - 10 + 2);
	assert_memory_equal(f->peer.got.p + 1, whole + 10, n - 10);
	assert_int_equal(f->peer.got.p[n - 10 + 1], '>');
}

static struct content *
as_file(const char *bytes, size_t n)
{
	char name[] = "/tmp/test_io.XXXXXX";
	int fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	return content_from_file(fd, n);
}

/* In memory and by file, of the kind that shrinks and of that which does not, through a
 * kernel with little room. */
static void
test_content(void **state)
{
	enum { MUCH = 1500000 };
	struct fixture *f = *state;
	char *bytes = mem_alloc(MUCH);
	int small = 4096;
	(void)setsockopt(io_fd(f->io), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (int random = 0; random < 2; random++) {
		for (size_t i = 0; i < MUCH; i++)
			bytes[i] = (char)(unsigned char)(i * 7 / 1000);
		if (random)
			scramble(bytes, MUCH);
		struct content *c = content_new(NULL);
		content_append(c, bytes, MUCH);
		content_seal(c);
		send_content(f, c, bytes);
		content_unref(&c);
		c = as_file(bytes, MUCH);
		send_content(f, c, bytes);
		content_unref(&c);
	}
	assert_int_equal(io_bytes_out(f->io), 4 * (MUCH - 10 + 2));
	mem_free(&bytes);
}

/* A file that has become shorter breaks the connection here, too. */
static void
test_file_cut_short(void **state)
{
	struct fixture *f = *state;
	int fd = memfd_create("short", MFD_CLOEXEC);
	assert_int_equal(write(fd, "short", 5), 5);
	struct content *c = content_from_file(fd, 1000);
	io_add_content(f->io, c, 0, 1000);
	content_unref(&c);
	settle(f);
	expect(f, "<error>");
	assert_int_equal(io_error(f->io), ERR_IO);
}

/* Zeros by the megabyte fit the kernel at once: even so a turn takes only so many. */
static void
test_much_output_takes_turns(void **state)
{
	enum { MUCH = 8 << 20 };
	struct fixture *f = *state;
	char *zeros = mem_alloc(MUCH);
	io_add(f->io, zeros, MUCH);
	mem_free(&zeros);
	uint64_t before = 0;
	while (loop_turn(f->loop, false)) {
		assert_true(io_bytes_out(f->io) - before <= 512u << 10);
		before = io_bytes_out(f->io);
	}
	assert_int_equal(before, MUCH);
	hear_all(f);
	assert_int_equal(f->peer.got.n, MUCH);
	expect(f, "<drained>");
}

static void
test_high_water(void **state)
{
	enum { MUCH = 900000 };
	struct fixture *f = *state;
	char *much = mem_alloc(MUCH);
	scramble(much, MUCH);
	io_add(f->io, much, MUCH);
	settle(f);
	assert_true(io_queued(f->io) > IO_HIGH);
	assert_true(io_deflate_ready(f->io) <= 32u << 10); /* not all of it in advance */
	SAY(f, "not read while the answers are not\r\n");
	expect(f, "");
	while (hear(f)) {
		bool low = io_queued(f->io) <= IO_LOW;
		assert_true(f->seen.n == 0 || low);
		settle(f);
	}
	expect(f, "<drained>not read while the answers are not\n");
	assert_int_equal(f->peer.got.n, MUCH);
	assert_memory_equal(f->peer.got.p, much, MUCH);
	mem_free(&much);
	io_want_drained(f->io);
	settle(f);
	expect(f, "<drained>");
}

/* ---- ends */

static void
test_finish_writes_all(void **state)
{
	enum { MUCH = 400000 };
	struct fixture *f = *state;
	char *much = mem_alloc(MUCH), end;
	int small = 4096;
	(void)setsockopt(io_fd(f->io), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	scramble(much, MUCH);
	io_add(f->io, much, MUCH);
	io_add(f->io, "bye", 3);
	io_finish(&f->io, 60 * SECOND_MS);
	hear_all(f);
	assert_int_equal(f->peer.got.n, MUCH + 3);
	assert_memory_equal(f->peer.got.p, much, MUCH);
	assert_memory_equal(f->peer.got.p + MUCH, "bye", 3);
	assert_int_equal(read(f->peer.fd, &end, 1), 0);
	mem_free(&much);
	close(f->peer.fd);
	f->peer.fd = -1;
	settle(f);
	assert_int_equal(live, 0);
}

/* What a peer still has to say to somebody who has let go is not even inflated. */
static void
test_finish_under_a_bomb(void **state)
{
	struct fixture *f = *state;
	static char zeros[4 << 20];
	struct buf b = {0};
	f->take_lines = false;
	squeeze(&f->peer, zeros, sizeof(zeros), Z_SYNC_FLUSH, &b);
	send_all(f, b.p, b.n);
	buf_clear(&b);
	io_add(f->io, "bye", 3);
	io_finish(&f->io, 5 * SECOND_MS);
	expect_heard(f, "bye");
	assert_int_equal(write(f->peer.fd, "whatever", 8), 8);
	settle(f);
	close(f->peer.fd);
	f->peer.fd = -1;
	settle(f);
	assert_int_equal(live, 0);
}

static void
test_free_in_callbacks(void **state)
{
	static const enum io_event when[] = {IO_INPUT, IO_DRAINED, IO_EOF, IO_ERROR};
	struct fixture *f = *state;
	static char zeros[1 << 20];
	for (size_t i = 0; i < COUNT_OF(when); i++) {
		struct buf b = {0};
		start_over(f);
		f->free_on = (int)when[i];
		bool ends = when[i] != IO_ERROR;
		squeeze(
		    &f->peer, zeros, sizeof(zeros), ends ? Z_FINISH : Z_SYNC_FLUSH, &b);
		buf_add(&b, "\x07", 1);
		if (when[i] == IO_DRAINED)
			io_want_drained(f->io);
		for (size_t at = 0; f->io != NULL && at < b.n; at++)
			send_all(f, b.p + at, 1);
		assert_null(f->io);
		buf_clear(&b);
	}
}

/* ---- idleness */

static void
idle(struct fixture *f)
{
	fake_world_pass(&f->w, 6 * SECOND_MS);
	settle(f);
}

/* zlib's memory goes; the conversation goes on as if nothing had been. */
static void
test_idle_costs_nothing(void **state)
{
	struct fixture *f = *state;
	char line[200];
	f->echo = true;
	scramble(line, sizeof(line));
	for (size_t i = 0; i < sizeof(line); i++)
		line[i] = (char)('0' + ((unsigned char)line[i] & 63));
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	assert_int_equal(live, 0); /* not even before there was anything */
	for (int i = 0; i < 5; i++) {
		struct buf b = {0};
		squeeze(&f->peer, line, sizeof(line), Z_SYNC_FLUSH, &b);
		assert_true(i == 0 || b.n < 20); /* refers to what came before */
		send_all(f, b.p, b.n);
		buf_clear(&b);
		hear_all(f);
		assert_int_equal(f->peer.got.n, sizeof(line));
		assert_memory_equal(f->peer.got.p, line, sizeof(line));
		buf_reset(&f->peer.got);
		assert_int_equal(live, 2);
		fake_world_pass(&f->w, 4 * SECOND_MS);
		settle(f);
		assert_int_equal(live, 2);
		idle(f);
		assert_int_equal(live, 0);
	}
}

/* The whole window is kept, not more. */
static void
test_idle_after_much(void **state)
{
	enum { MUCH = 100000, WINDOW = 32768 };
	struct fixture *f = *state;
	char *bytes = mem_alloc(MUCH);
	f->take_lines = false;
	scramble(bytes, MUCH);
	for (size_t at = 0; at < MUCH; at += 10000) {
		say(f, bytes + at, 10000);
		io_consume(f->io, 10000);
	}
	idle(f);
	assert_int_equal(live, 0);
	size_t far = WINDOW - 300; /* what zlib refers to at most */
	struct buf b = {0};
	squeeze(&f->peer, bytes + MUCH - far, 258, Z_SYNC_FLUSH, &b);
	assert_true(b.n < 20);
	send_all(f, b.p, b.n);
	assert_int_equal(io_input(f->io).n, 258);
	assert_memory_equal(io_input(f->io).p, bytes + MUCH - far, 258);
	buf_clear(&b);
	mem_free(&bytes);
}

/* A peer who leaves his stream amid a block, or an octet: that state must stay. */
static void
test_idle_amid_a_block(void **state)
{
	static const int flush[] = {Z_PARTIAL_FLUSH, Z_BLOCK, Z_SYNC_FLUSH};
	struct fixture *f = *state;
	for (size_t i = 0; i < COUNT_OF(flush); i++) {
		struct buf b = {0};
		start_over(f);
		squeeze(&f->peer, "a NOOP, a NOOP", 14, flush[i], &b);
		squeeze(&f->peer, ", a NOOP\r\n", 10, Z_SYNC_FLUSH, &b);
		for (size_t k = 0; k < b.n; k++) {
			send_all(f, b.p + k, 1);
			idle(f);
		}
		expect(f, "a NOOP, a NOOP, a NOOP\n");
		assert_int_equal(live, 0);
		buf_clear(&b);
	}
}

/* A peer who does not read: what zlib holds for him is not lost while he sleeps. */
static void
test_idle_while_blocked(void **state)
{
	enum { MUCH = 600000 };
	struct fixture *f = *state;
	char *much = mem_alloc(MUCH);
	scramble(much, MUCH);
	SAY(f, "FETCH\r\n");
	io_add(f->io, much, MUCH);
	settle(f);
	assert_true(io_queued(f->io) > 0);
	idle(f);
	hear_all(f);
	assert_int_equal(f->peer.got.n, MUCH);
	assert_memory_equal(f->peer.got.p, much, MUCH);
	idle(f);
	assert_int_equal(live, 0);
	mem_free(&much);
}

/* ---- a long conversation of every kind of step */

#define TALK_BYTES 200000
#define TALK_MOST 30000

struct talk {
	struct fixture *f;
	char *bytes;      /* what pieces are cut from */
	struct buf there; /* all that the peer says */
	struct buf back;  /* all that we say */
	struct buf wire;  /* the peer's stream, not sent yet */
	size_t checked;   /* of `there`: has arrived as it was */
	uint64_t dice;
};

static size_t
throw_dice(struct talk *t, size_t below)
{
	t->dice = t->dice * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(t->dice >> 33) % below;
}

static struct span
any_piece(struct talk *t)
{
	size_t n = throw_dice(t, throw_dice(t, 10) == 0 ? TALK_MOST : 300);
	return (struct span){t->bytes + throw_dice(t, TALK_BYTES - TALK_MOST), n};
}

static void
peer_speaks(struct talk *t)
{
	static const int flush[] = {Z_NO_FLUSH, Z_PARTIAL_FLUSH, Z_SYNC_FLUSH,
	    Z_SYNC_FLUSH, Z_FULL_FLUSH, Z_BLOCK};
	struct span s = any_piece(t);
	buf_add_span(&t->there, s);
	squeeze(&t->f->peer, s.p, s.n, flush[throw_dice(t, COUNT_OF(flush))], &t->wire);
}

static void
peer_sends(struct talk *t, size_t n)
{
	ssize_t sent = write(t->f->peer.fd, t->wire.p, n);
	buf_consume(&t->wire, sent > 0 ? (size_t)sent : 0);
}

static void
we_speak(struct talk *t)
{
	struct span s = any_piece(t);
	buf_add_span(&t->back, s);
	io_add_span(t->f->io, s);
}

static void
we_take(struct talk *t, size_t n)
{
	struct span in = io_input(t->f->io);
	assert_true(n <= in.n && t->checked + n <= t->there.n);
	assert_true(n == 0 || memcmp(in.p, t->there.p + t->checked, n) == 0);
	io_consume(t->f->io, n);
	io_resume(t->f->io);
	t->checked += n;
}

static void
one_step(struct talk *t)
{
	peer_speaks(t);
	peer_sends(t, throw_dice(t, t->wire.n + 1));
	we_speak(t);
	if (throw_dice(t, 2) == 0)
		settle(t->f);
	if (throw_dice(t, 3) == 0)
		(void)hear(t->f);
	if (throw_dice(t, 5) == 0)
		idle(t->f);
	we_take(t, throw_dice(t, io_input(t->f->io).n + 1));
}

static void
test_long_conversation(void **state)
{
	struct fixture *f = *state;
	struct talk t = {.f = f, .bytes = mem_alloc(TALK_BYTES), .dice = 4978};
	f->take_lines = false;
	scramble(t.bytes, TALK_BYTES / 2);
	for (size_t i = TALK_BYTES / 2; i < TALK_BYTES; i++)
		t.bytes[i] = "abcdefgh"[i * i % 8];
	for (int step = 0; step < 3000; step++)
		one_step(&t);
	squeeze(&f->peer, "", 0, Z_SYNC_FLUSH, &t.wire);
	while (t.checked < t.there.n || f->peer.got.n < t.back.n) {
		peer_sends(&t, t.wire.n);
		settle(f);
		(void)hear(f);
		we_take(&t, io_input(f->io).n);
	}
	assert_int_equal(f->peer.got.n, t.back.n);
	assert_memory_equal(f->peer.got.p, t.back.p, t.back.n);
	assert_int_equal(io_bytes_in(f->io), t.there.n);
	assert_int_equal(io_bytes_out(f->io), t.back.n);
	buf_clear(&t.there);
	buf_clear(&t.back);
	buf_clear(&t.wire);
	mem_free(&t.bytes);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define T_PLAIN(name) cmocka_unit_test_setup_teardown(name, setup_plain, teardown)
	const struct CMUnitTest tests[] = {
	    T_PLAIN(test_begins_behind_the_ok),
	    T_PLAIN(test_ok_and_more_in_one_turn),
	    T_PLAIN(test_pipelined_start),
	    T(test_no_tls_afterwards),
	    T(test_octet_by_octet),
	    T(test_pause),
	    T(test_bomb_is_too_long_a_line),
	    T(test_bomb_waits),
	    T(test_room_ends_with_the_stream),
	    T(test_bomb_is_not_served_in_one_turn),
	    T(test_empty_blocks),
	    T(test_damaged),
	    T(test_changed_on_the_way),
	    T(test_end_of_stream),
	    T(test_cut_short),
	    T(test_error_comes_after_the_last_words),
	    T(test_one_flush_per_turn),
	    T(test_content),
	    T(test_file_cut_short),
	    T(test_much_output_takes_turns),
	    T(test_high_water),
	    T(test_finish_writes_all),
	    T(test_finish_under_a_bomb),
	    T(test_free_in_callbacks),
	    T(test_idle_costs_nothing),
	    T(test_idle_after_much),
	    T(test_idle_amid_a_block),
	    T(test_idle_while_blocked),
	    T(test_long_conversation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
