/* SPDX-License-Identifier: ISC */
/* Connections over socket pairs: lines in any split, bounds, pausing, watermarks,
 * deadlines, ends. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hand.h"
#include "base/io_private.h"
#include "base/mem.h"
#include "tests/lib/fake_world.h"

/*
 * The program's own epoll_ctl() stands before libc's, so that what the loop
 * asks of the kernel can be counted.
 */
static unsigned epoll_ctls;

int
epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	epoll_ctls++;
	return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

#define NONE (-1)

struct fixture {
	struct fake_world w;
	struct loop *loop;
	struct io *io;
	int peer;
	struct buf seen; /* "line\n" per line, "<event>" per event */
	size_t max;
	bool take_lines, pause_on_line;
	size_t answer;          /* octets for each line, which is taken alone; 0: none */
	int free_on, finish_on; /* the event, or NONE */
	struct io **other;      /* freed along with it */
};

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
		if (f->other != NULL)
			io_free(f->other);
		return;
	}
	if ((int)ev == f->finish_on) {
		io_add(f->io, "bye", 3);
		io_finish(&f->io, 5000);
		return;
	}
	if (ev != IO_INPUT)
		return;
	while (f->take_lines && !io_paused(f->io)) {
		enum io_line got = io_line(f->io, f->max, &line);
		if (got == IO_MORE)
			return;
		if (got == IO_LINE)
			buf_addf(&f->seen, "%.*s\n", SPAN_ARG(line));
		else
			buf_add_str(&f->seen, got == IO_BARE ? "!bare\n" : "!long\n");
		if (f->answer > 0) {
			static const char much[300000];
			io_add(f->io, much, f->answer);
			return;
		}
		if (f->pause_on_line)
			io_pause(f->io);
	}
}

static void
settle(struct fixture *f)
{
	while (loop_turn(f->loop, false))
		;
}

static int
setup(void **state)
{
	struct fixture *f = NEW(struct fixture);
	int pair[2];
	fake_world_init(&f->w);
	f->loop = loop_new(&f->w.world);
	f->max = 100;
	f->free_on = f->finish_on = NONE;
	f->take_lines = true;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	f->peer = pair[1];
	f->io = io_new(f->loop, pair[0], on_io, f);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	io_free(&f->io);
	if (f->peer >= 0)
		close(f->peer);
	loop_free(&f->loop);
	buf_clear(&f->seen);
	mem_free(&f);
	return 0;
}

static void
say(struct fixture *f, const char *bytes, size_t n)
{
	assert_int_equal(write(f->peer, bytes, n), (ssize_t)n);
	settle(f);
}

static void
expect(struct fixture *f, const char *want)
{
	if (!span_eq(buf_span(&f->seen), span_str(want)))
		fail_msg(
		    "got \"%.*s\", expected \"%s\"", SPAN_ARG(buf_span(&f->seen)), want);
	buf_reset(&f->seen);
}

#define SAY(f, text) say(f, text, sizeof(text) - 1)

static void
test_lines(void **state)
{
	struct fixture *f = *state;
	SAY(f, "one\r\ntwo\r\n\r\nthr");
	expect(f, "one\ntwo\n\n");
	SAY(f, "ee\r");
	expect(f, "");
	SAY(f, "\n");
	expect(f, "three\n");
}

static void
start_over(struct fixture *f)
{
	int pair[2];
	io_free(&f->io);
	if (f->peer >= 0)
		close(f->peer);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	f->peer = pair[1];
	f->io = io_new(f->loop, pair[0], on_io, f);
	buf_reset(&f->seen);
}

#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

/* Byte by byte nothing is buffered behind a bare LF when it is seen, so nothing goes with
 * it: whoever runs commands ends the connection there. */
static void
test_any_split(void **state)
{
	static const struct {
		struct span text;
		const char *whole, *bytewise; /* NULL: the same */
	} cases[] = {
	    {SPAN("EHLO a\r\nend\r\n"), "EHLO a\nend\n", NULL},
	    {SPAN("\r\n\r\n"), "\n\n", NULL},
	    {SPAN("cr\rx\r\nend\r\n"), "!bare\nend\n", NULL},
	    {SPAN("cr\r\r\nend\r\n"), "!bare\nend\n", NULL},
	    {SPAN("\r\r\nend\r\n"), "!bare\nend\n", NULL},
	    {SPAN("nul\0x\r\nend\r\n"), "!bare\nend\n", NULL},
	    {SPAN("\0\r\nend\r\n"), "!bare\nend\n", NULL},
	    {SPAN("bare\nMAIL\r\nend\r\n"), "!bare\n", "!bare\nMAIL\nend\n"},
	    {SPAN("\nMAIL\r\n"), "!bare\n", "!bare\nMAIL\n"},
	    {SPAN("ok\r\nbare\nMAIL\r\n"), "ok\n!bare\n", "ok\n!bare\nMAIL\n"},
	    {SPAN("only\nbare\nlf\n"), "!bare\n", "!bare\n!bare\n!bare\n"},
	    {SPAN("cr\rx\nMAIL\r\n"), "!bare\n", "!bare\nMAIL\n"},
	    {SPAN(X100 "\r\nend\r\n"), X100 "\nend\n", NULL},
	    {SPAN(X100 "x\r\nend\r\n"), "!long\nend\n", NULL},
	    {SPAN(X100 "\rx\r\nend\r\n"), "!long\nend\n", NULL},
	    {SPAN(X100 X100 X100 "\r\nend\r\n"), "!long\nend\n", NULL},
	    {SPAN(X100 X10 "\rx\r\r\nend\r\n"), "!long\nend\n", NULL},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		start_over(f);
		say(f, cases[i].text.p, cases[i].text.n);
		expect(f, cases[i].whole);
		start_over(f);
		for (size_t k = 0; k < cases[i].text.n; k++)
			say(f, cases[i].text.p + k, 1);
		expect(f, cases[i].bytewise ? cases[i].bytewise : cases[i].whole);
	}
}

/* The session can answer at once, though nothing more may ever come. */
static void
test_bare_lf_is_told_at_once(void **state)
{
	struct fixture *f = *state;
	SAY(f, "HELO a\n");
	expect(f, "!bare\n");
	SAY(f, "QUIT\n");
	expect(f, "!bare\n");
	SAY(f, "NOOP\r\n");
	expect(f, "NOOP\n");
}

static void
test_long_lines(void **state)
{
	struct fixture *f = *state;
	char line[300];
	memset(line, 'x', sizeof(line));
	say(f, line, 100);
	SAY(f, "\r\n");
	assert_int_equal(f->seen.n, 101);
	buf_reset(&f->seen);
	say(f, line, 101);
	expect(f, "!long\n");
	say(f, line, 300); /* the rest of that line is thrown away, up to its CRLF */
	SAY(f, "still\r");
	SAY(f, "\nnext\r\n");
	expect(f, "next\n");
	say(f, line, 150);
	SAY(f, "\r\n");
	expect(f, "!long\n");
	SAY(f, "fine\r\n");
	expect(f, "fine\n");
}

/* Behind a password that was taken no copy of it stays when the rest moves. */
static void
test_forget(void **state)
{
	struct fixture *f = *state;
	static const char secret[] = "PASS secret\r\n";
	const size_t rest = READ_CHUNK - READ_CHUNK / 4, all = rest + sizeof(secret) - 1;
	char *text = mem_alloc(all);
	memset(text, 'y', all);
	memcpy(text, secret, sizeof(secret) - 1);
	f->max = READ_CHUNK;
	say(f, text, all);
	mem_free(&text);
	expect(f, "PASS secret\n");
	assert_int_equal(io_input(f->io).n, rest);
	assert_memory_equal(f->io->in, secret, sizeof(secret) - 1);
	io_forget(f->io);
	assert_true(io_make_room(f->io));
	assert_int_equal(io_input(f->io).n, rest);
	for (size_t i = 0; i < rest; i++)
		assert_int_equal(f->io->in[i], 'y');
	for (size_t i = rest; i < all; i++)
		assert_int_equal(f->io->in[i], 0);
}

static void
test_pause(void **state)
{
	struct fixture *f = *state;
	f->pause_on_line = true;
	SAY(f, "a\r\nb\r\n");
	expect(f, "a\n");
	SAY(f, "c\r\n");
	expect(f, "");
	io_resume(f->io);
	settle(f);
	expect(f, "b\n");
	f->pause_on_line = false;
	io_resume(f->io);
	settle(f);
	expect(f, "c\n");
}

static void
test_eof_after_input(void **state)
{
	struct fixture *f = *state;
	SAY(f, "last\r\n");
	close(f->peer);
	f->peer = -1;
	settle(f);
	expect(f, "last\n<eof>");
}

static void
test_free_in_callback(void **state)
{
	struct fixture *f = *state;
	f->free_on = IO_INPUT;
	SAY(f, "x\r\n");
	assert_null(f->io);
	expect(f, "");
}

static size_t
drain_peer(struct fixture *f)
{
	char junk[65536];
	size_t all = 0;
	ssize_t n;
	while ((n = read(f->peer, junk, sizeof(junk))) > 0)
		all += (size_t)n;
	return all;
}

static void
test_output_is_gathered(void **state)
{
	struct fixture *f = *state;
	char got[64];
	io_add(f->io, "a", 1);
	io_addf(f->io, "%d", 42);
	io_add_span(f->io, SPAN("z"));
	assert_int_equal(
	    read(f->peer, got, sizeof(got)), -1); /* not before the end of the turn */
	settle(f);
	assert_int_equal(read(f->peer, got, sizeof(got)), 4);
	assert_memory_equal(got, "a42z", 4);
	assert_int_equal(io_bytes_out(f->io), 4);
}

static void
test_high_water(void **state)
{
	struct fixture *f = *state;
	static char much[300000];
	io_add(f->io, much, sizeof(much));
	io_add(f->io, much, sizeof(much));
	settle(f);
	assert_true(io_queued(f->io) > IO_HIGH);
	SAY(f, "not read while the answers are not\r\n");
	expect(f, "");
	size_t all = 0;
	while (io_queued(f->io) > 0) {
		all += drain_peer(f);
		settle(f);
	}
	all += drain_peer(f);
	assert_int_equal(all, 2 * sizeof(much));
	settle(f);
	expect(f, "<drained>not read while the answers are not\n");
}

/* Lines that are here already wait as well: each may have a long answer. */
static void
test_high_water_pipelined(void **state)
{
	struct fixture *f = *state;
	f->answer = 250000;
	for (unsigned i = 0; i < 40; i++)
		SAY(f, "x\r\n");
	shutdown(f->peer, SHUT_WR);
	settle(f);
	assert_true(io_queued(f->io) > IO_HIGH);
	assert_true(io_queued(f->io) < IO_HIGH + 2 * f->answer);
	while (io_queued(f->io) > 0) {
		assert_true(io_queued(f->io) < IO_HIGH + 2 * f->answer);
		(void)drain_peer(f);
		settle(f);
	}
	(void)drain_peer(f);
	settle(f);
	unsigned lines = 0, ends = 0;
	for (size_t i = 0; i < f->seen.n; i++) {
		lines += f->seen.p[i] == 'x';
		ends += f->seen.n - i >= 5 && memcmp(f->seen.p + i, "<eof>", 5) == 0;
		assert_true(ends == 0 || f->seen.p[i] != 'x');
	}
	assert_int_equal(lines, 40); /* none is lost, and the end comes behind them */
	assert_int_equal(ends, 1);
}

static void
test_deadline(void **state)
{
	struct fixture *f = *state;
	io_deadline(f->io, 5000);
	fake_world_pass(&f->w, 4000);
	settle(f);
	io_deadline(f->io, 5000);
	fake_world_pass(&f->w, 2000);
	settle(f);
	expect(f, "");
	fake_world_pass(&f->w, 3000);
	settle(f);
	expect(f, "<timeout>");
	fake_world_pass(&f->w, 100000);
	settle(f);
	expect(f, "");
	io_deadline(f->io, 5000);
	io_deadline(f->io, 0);
	fake_world_pass(&f->w, 100000);
	settle(f);
	expect(f, "");
}

static void
send_content(struct fixture *f, struct content *c)
{
	struct buf got;
	char part[65536];
	ssize_t n;
	buf_init(&got, 0);
	io_add(f->io, "<", 1);
	io_add_content(f->io, c, 10, content_size(c) - 10);
	io_add(f->io, ">", 1);
	do {
		settle(f);
		while ((n = read(f->peer, part, sizeof(part))) > 0)
			buf_add(&got, part, (size_t)n);
	} while (io_queued(f->io) > 0);
	assert_int_equal(got.n, content_size(c) - 10 + 2);
	for (size_t i = 0; i < got.n - 2; i++)
		assert_int_equal(
		    (unsigned char)got.p[i + 1], (unsigned char)((i + 10) * 7));
	buf_clear(&got);
}

static void
test_content(void **state)
{
	struct fixture *f = *state;
	struct content *c = content_new(NULL);
	char name[] = "/tmp/test_io.XXXXXX";
	for (size_t i = 0; i < 200000; i++) {
		char byte = (char)(unsigned char)(i * 7);
		content_append(c, &byte, 1);
	}
	content_seal(c);
	send_content(f, c);
	int fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	for (size_t i = 0; i < content_slices(c); i++) {
		struct span s = content_slice(c, i);
		assert_int_equal(write(fd, s.p, s.n), (ssize_t)s.n);
	}
	struct content *file = content_from_file(fd, content_size(c));
	send_content(f, file);
	content_unref(&c);
	content_unref(&file);
	expect(f, "");
}

static void
test_finish(void **state)
{
	struct fixture *f = *state;
	char got[16];
	io_add(f->io, "bye", 3);
	io_finish(&f->io, 5000);
	assert_null(f->io);
	settle(f);
	assert_int_equal(read(f->peer, got, sizeof(got)), 3);
	assert_int_equal(
	    read(f->peer, got, sizeof(got)), 0); /* our side is closed, in order */
	close(f->peer);
	f->peer = -1;
	settle(f);
	expect(f, "");
}

static void
test_error_comes_after_the_last_answer(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(write(f->peer, "421 no\r\n", 8), 8);
	close(f->peer);
	f->peer = -1;
	io_add(f->io, "into the void", 13); /* fails, but what was said before is heard */
	settle(f);
	assert_true(span_starts(buf_span(&f->seen), SPAN("421 no\n")));
	buf_reset(&f->seen);
}

/* ---- bounds of the input */

static void
test_longest_line(void **state)
{
	struct fixture *f = *state;
	size_t max = IO_INPUT_MAX - 2;
	char *line = mem_alloc(max + 3);
	memset(line, 'x', max + 1);
	f->max = max;
	memcpy(line + max, "\r\n", 2);
	say(f, line, max + 2);
	assert_int_equal(f->seen.n, max + 1);
	buf_reset(&f->seen);
	memcpy(line + max, "x\r\n", 3);
	say(f, line, max + 3);
	expect(f, "!long\n");
	SAY(f, "end\r\n");
	expect(f, "end\n");
	mem_free(&line);
}

/* 64 KiB per wake, and never more than IO_INPUT_MAX buffered, however it is taken. */
static void
test_read_budget(void **state)
{
	struct fixture *f = *state;
	char junk[4096] = {0};
	uint64_t before = 0;
	int big = 1 << 20;
	f->take_lines = false;
	(void)setsockopt(f->peer, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	for (unsigned round = 0; round < 50; round++) {
		while (write(f->peer, junk, sizeof(junk)) > 0)
			;
		(void)loop_turn(f->loop, false);
		assert_true(io_bytes_in(f->io) - before <= 64u << 10);
		before = io_bytes_in(f->io);
		size_t n = io_input(f->io).n;
		assert_true(n <= IO_INPUT_MAX);
		assert_true(f->io->cap <= IO_INPUT_MAX);
		io_consume(f->io, n < 1000u + round ? n : 1000u + round);
		io_resume(f->io); /* there is room again */
	}
	assert_true(before > IO_INPUT_MAX);
}

static void
test_bytes(void **state)
{
	struct fixture *f = *state;
	f->take_lines = false;
	SAY(f, "12345six\r\n");
	assert_true(span_eq(io_input(f->io), SPAN("12345six\r\n")));
	io_consume(f->io, 5);
	assert_true(span_eq(io_input(f->io), SPAN("six\r\n")));
	f->take_lines = true;
	io_resume(f->io); /* lines and bytes may follow each other */
	settle(f);
	expect(f, "six\n");
	assert_int_equal(io_input(f->io).n, 0);
	assert_int_equal(io_bytes_in(f->io), 10);
}

/* Not a byte of buffer while nothing is going on. */
static void
test_idle_costs_nothing(void **state)
{
	struct fixture *f = *state;
	SAY(f, "NOOP\r\n");
	io_add(f->io, "250 ok\r\n", 8);
	settle(f);
	assert_null(f->io->in);
	assert_true(list_empty(&f->io->out));
	assert_true(sizeof(struct io) < 512);
	SAY(f, "par");
	assert_non_null(f->io->in);
	SAY(f, "tial\r\n");
	assert_null(f->io->in);
}

/* Answers are written without asking the kernel first whether it may be. */
static void
test_write_watch_only_when_blocked(void **state)
{
	struct fixture *f = *state;
	static char much[600000];
	settle(f);
	epoll_ctls = 0;
	for (unsigned i = 0; i < 5; i++) {
		SAY(f, "NOOP\r\n");
		io_add(f->io, "250 ok\r\n", 8);
		settle(f);
		io_deadline(f->io, 5000);
	}
	assert_int_equal(epoll_ctls, 0);
	io_add(f->io, much, sizeof(much));
	assert_false(f->io->watch.wanted & WATCH_WRITE);
	settle(f);
	assert_true(f->io->watch.wanted & WATCH_WRITE);
	assert_true(epoll_ctls > 0);
}

/* ---- ends */

static void
test_half_closed_does_not_spin(void **state)
{
	struct fixture *f = *state;
	SAY(f, "last\r\npart");
	assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
	settle(f); /* comes to an end */
	expect(f, "last\n<eof>");
	assert_true(io_eof(f->io));
	assert_true(span_eq(io_input(f->io), SPAN("part"))); /* offered, not taken */
	assert_false(loop_turn(f->loop, false));
	io_add(f->io, "bye", 3);
	settle(f);
	char got[8];
	assert_int_equal(read(f->peer, got, sizeof(got)), 3);
	expect(f, "");
}

static void
test_eof_waits_while_paused(void **state)
{
	struct fixture *f = *state;
	f->pause_on_line = true;
	SAY(f, "a\r\nb\r\n");
	assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
	settle(f);
	expect(f, "a\n");
	io_resume(f->io);
	settle(f);
	expect(f, "b\n");
	io_resume(f->io);
	settle(f);
	expect(f, "<eof>");
	io_resume(f->io);
	settle(f);
	expect(f, ""); /* once */
}

static void
test_pause_twice_resume_once(void **state)
{
	struct fixture *f = *state;
	assert_false(io_paused(f->io));
	io_pause(f->io);
	io_pause(f->io);
	assert_true(io_paused(f->io));
	SAY(f, "a\r\n");
	expect(f, "");
	assert_false(loop_turn(f->loop, false)); /* nor does it spin */
	io_resume(f->io);
	expect(f, ""); /* at the end of the turn, not from inside the call */
	settle(f);
	expect(f, "a\n");
}

static void
make_event(struct fixture *f, enum io_event ev)
{
	switch (ev) {
	case IO_INPUT: assert_int_equal(write(f->peer, "x\r\ny\r\n", 6), 6); break;
	case IO_DRAINED: io_want_drained(f->io); break;
	case IO_EOF: (void)shutdown(f->peer, SHUT_WR); break;
	case IO_TIMEOUT:
		io_deadline(f->io, 1000);
		fake_world_pass(&f->w, 1000);
		break;
	case IO_ERROR:
		close(f->peer);
		f->peer = -1;
		io_add(f->io, "x", 1);
		break;
	case IO_TLS:
	case IO_CONNECTED: break;
	}
}

/* As world_dial() would have given it; it stands at once. */
static void
redial(struct fixture *f)
{
	int fd = dup(io_fd(f->io));
	io_free(&f->io);
	f->io = io_new_dialled(f->loop, fd, on_io, f);
}

static void
test_free_or_finish_in_any_callback(void **state)
{
	static const enum io_event events[] = {
	    IO_CONNECTED, IO_INPUT, IO_DRAINED, IO_EOF, IO_ERROR, IO_TIMEOUT};
	struct fixture *f = *state;
	for (size_t i = 0; i < 2 * COUNT_OF(events); i++) {
		enum io_event ev = events[i / 2];
		start_over(f);
		if (ev == IO_CONNECTED)
			redial(f);
		f->free_on = i % 2 ? (int)ev : NONE;
		f->finish_on = i % 2 ? NONE : (int)ev;
		make_event(f, ev);
		settle(f);
		assert_null(f->io);
		fake_world_pass(&f->w, 5000); /* the linger time of those that finish */
		settle(f);
	}
}

/* Two are ready in the same turn; whichever comes first frees both. */
static void
test_free_another(void **state)
{
	struct fixture one = *(struct fixture *)*state, two = one;
	one.io = two.io = NULL;
	one.peer = two.peer = -1;
	one.seen = two.seen = (struct buf){0};
	start_over(&one);
	start_over(&two);
	one.free_on = two.free_on = IO_INPUT;
	one.other = &two.io;
	two.other = &one.io;
	assert_int_equal(write(one.peer, "x", 1), 1);
	assert_int_equal(write(two.peer, "x", 1), 1);
	settle(&one);
	assert_null(one.io);
	assert_null(two.io);
	close(one.peer);
	close(two.peer);
}

/* ---- dialled */

static void
test_connected_comes_first(void **state)
{
	struct fixture *f = *state;
	char got[8];
	redial(f);
	io_want_drained(f->io);
	io_add(f->io, "hello", 5); /* kept until there is somebody */
	assert_int_equal(write(f->peer, "220\r\n", 5), 5);
	settle(f);
	expect(f, "<connected><drained>220\n");
	assert_int_equal(read(f->peer, got, sizeof(got)), 5);
}

static void
test_dialled_refused(void **state)
{
	struct fixture *f = *state;
	struct net_addr at;
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	assert_int_equal(net_parse_addr(SPAN("127.0.0.1:0"), &at), OK);
	int fd = net_listen(&at, false);
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	net_from_sockaddr((struct sockaddr *)&sa, &at);
	close(fd);
	fd = world_dial(world_real(), &at, NULL);
	if (fd < 0) { /* the kernel may know it at once */
		assert_int_equal(fd, ERR_REFUSED);
		return;
	}
	io_free(&f->io);
	f->io = io_new_dialled(f->loop, fd, on_io, f);
	while (f->seen.n == 0)
		(void)loop_turn(f->loop, true);
	assert_int_equal(io_error(f->io), ERR_REFUSED);
	settle(f);
	expect(f, "<error>");
}

static void
test_nothing_after_error(void **state)
{
	struct fixture *f = *state;
	make_event(f, IO_ERROR);
	settle(f);
	expect(f, "<eof><error>"); /* read first, then written */
	assert_true(io_error(f->io) != OK);
	io_want_drained(f->io);
	io_add(f->io, "more", 4);
	io_resume(f->io);
	io_deadline(f->io, 1000);
	fake_world_pass(&f->w, 1000);
	settle(f);
	expect(f, "");
}

/* ---- the rest */

static void
test_want_drained(void **state)
{
	struct fixture *f = *state;
	io_want_drained(f->io);
	io_want_drained(f->io);
	expect(f, "");
	settle(f);
	expect(f, "<drained>"); /* once */
	io_add(f->io, "x", 1);
	settle(f);
	expect(f, ""); /* nobody asked */
}

/* A deadline per command moves the timer only when it must come earlier. */
static void
test_deadline_is_lazy(void **state)
{
	struct fixture *f = *state;
	struct instant first, due;
	io_deadline(f->io, 5000);
	assert_true(loop_next_timer(f->loop, &first));
	for (unsigned i = 0; i < 4; i++) {
		fake_world_pass(&f->w, 1000);
		settle(f);
		io_deadline(f->io, 5000);
		assert_true(loop_next_timer(f->loop, &due));
		assert_int_equal(due.ms, first.ms);
	}
	io_deadline(f->io, 100);
	assert_true(loop_next_timer(f->loop, &due));
	assert_int_equal(instant_since(due, loop_now(f->loop)), 100);
	fake_world_pass(&f->w, 100);
	settle(f);
	expect(f, "<timeout>");
}

static void
on_io_new_owner(void *arg, enum io_event ev)
{
	(void)ev;
	*(unsigned *)arg += 1;
}

static void
test_set_owner(void **state)
{
	struct fixture *f = *state;
	unsigned told = 0;
	io_set_owner(f->io, on_io_new_owner, &told);
	SAY(f, "x\r\n");
	assert_int_equal(told, 1);
	expect(f, "");
}

static void
on_io_look(void *arg, enum io_event ev)
{
	uint64_t had = hand_take(0);
	hand_back(had);
	if (ev == IO_INPUT || ev == IO_TIMEOUT)
		*(uint64_t *)arg = had;
}

/* What a crash is put down to, wherever the loop comes in. */
static void
test_in_hand(void **state)
{
	struct fixture *f = *state;
	char name[] = "/tmp/test_io.XXXXXX";
	uint64_t had = 0;
	int fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(hand_open(fd, (struct wall){1}, NULL, NULL), OK);
	io_set_owner(f->io, on_io_look, &had);
	SAY(f, "x"); /* of the descriptor */
	assert_int_equal(had, HAND_SESSION);
	io_in_hand(f->io, 7);
	had = 0;
	io_resume(f->io); /* of the end of a turn */
	settle(f);
	assert_int_equal(had, 7);
	had = 0;
	io_deadline(f->io, 1000); /* of a timer */
	fake_world_pass(&f->w, 1000);
	settle(f);
	assert_int_equal(had, 7);
	io_in_hand(f->io, 0);
	SAY(f, "y");
	assert_int_equal(had, HAND_SESSION);
	assert_int_equal(hand_take(0), 0); /* and it is put down */
	hand_close();
	(void)close(fd);
}

/* A file that has become shorter breaks the connection: nothing false is sent. */
static void
test_file_cut_short(void **state)
{
	struct fixture *f = *state;
	char name[] = "/tmp/test_io.XXXXXX";
	int fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(write(fd, "short", 5), 5);
	struct content *c = content_from_file(fd, 1000);
	io_add_content(f->io, c, 0, 1000);
	content_unref(&c); /* the queue has its own reference */
	settle(f);
	expect(f, "<error>");
	assert_int_equal(io_error(f->io), ERR_IO);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_lines),
	    T(test_any_split),
	    T(test_bare_lf_is_told_at_once),
	    T(test_long_lines),
	    T(test_forget),
	    T(test_pause),
	    T(test_eof_after_input),
	    T(test_free_in_callback),
	    T(test_output_is_gathered),
	    T(test_high_water),
	    T(test_high_water_pipelined),
	    T(test_deadline),
	    T(test_content),
	    T(test_finish),
	    T(test_error_comes_after_the_last_answer),
	    T(test_longest_line),
	    T(test_read_budget),
	    T(test_bytes),
	    T(test_idle_costs_nothing),
	    T(test_write_watch_only_when_blocked),
	    T(test_half_closed_does_not_spin),
	    T(test_eof_waits_while_paused),
	    T(test_pause_twice_resume_once),
	    T(test_free_or_finish_in_any_callback),
	    T(test_free_another),
	    T(test_connected_comes_first),
	    T(test_dialled_refused),
	    T(test_nothing_after_error),
	    T(test_want_drained),
	    T(test_deadline_is_lazy),
	    T(test_set_owner),
	    T(test_in_hand),
	    T(test_file_cut_short),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
