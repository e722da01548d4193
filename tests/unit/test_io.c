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
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/mem.h"

/* A clock that only the test moves. */
struct clock_world {
	struct world world;
	struct instant now;
};

static struct instant
clock_now(struct world *w)
{
	return CONTAINER_OF(w, struct clock_world, world)->now;
}

static struct wall
clock_wall(struct world *w)
{
	return (struct wall){CONTAINER_OF(w, struct clock_world, world)->now.ms};
}

static void
clock_random(struct world *w, void *p, size_t n)
{
	(void)w;
	memset(p, 7, n);
}

static const struct world_ops clock_ops = {clock_now, clock_wall, clock_random, NULL};

struct fixture {
	struct clock_world clock;
	struct loop *loop;
	struct io *io;
	int peer;
	struct buf seen; /* "line\n" per line, "<event>" per event */
	size_t max;
	bool take_lines, free_on_input, pause_on_line;
};

static void
on_io(void *arg, enum io_event ev)
{
	static const char *const name[] = {
	    "connected", "input", "drained", "eof", "error", "timeout"};
	struct fixture *f = arg;
	struct span line;
	if (ev != IO_INPUT) {
		buf_addf(&f->seen, "<%s>", name[ev]);
		return;
	}
	if (f->free_on_input) {
		io_free(&f->io);
		return;
	}
	while (f->take_lines && !io_paused(f->io)) {
		enum io_line got = io_line(f->io, f->max, &line);
		if (got == IO_MORE)
			return;
		if (got == IO_LINE)
			buf_addf(&f->seen, "%.*s\n", SPAN_ARG(line));
		else
			buf_add_str(&f->seen, got == IO_BARE ? "!bare\n" : "!long\n");
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
	f->clock.world.ops = &clock_ops;
	f->clock.now.ms = 1000000;
	f->loop = loop_new(&f->clock.world);
	f->max = 100;
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
test_any_split(void **state)
{
	static const char text[] = "EHLO a\r\nbare\nx\r\nnul\0x\r\ncr\rx\r\nend\r\n";
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		say(f, text + i, 1);
	/* byte by byte nothing stands behind the bare LF when it is seen */
	expect(f, "EHLO a\n!bare\nx\n!bare\n!bare\nend\n");
}

static void
test_bare_lf_takes_what_follows(void **state)
{
	struct fixture *f = *state;
	SAY(f, "RSET\nMAIL FROM:<x>\r\nRCPT\r\n");
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
	f->free_on_input = true;
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

static void
test_deadline(void **state)
{
	struct fixture *f = *state;
	io_deadline(f->io, 5000);
	f->clock.now.ms += 4000;
	settle(f);
	io_deadline(f->io, 5000);
	f->clock.now.ms += 2000;
	settle(f);
	expect(f, "");
	f->clock.now.ms += 3000;
	settle(f);
	expect(f, "<timeout>");
	f->clock.now.ms += 100000;
	settle(f);
	expect(f, "");
	io_deadline(f->io, 5000);
	io_deadline(f->io, 0);
	f->clock.now.ms += 100000;
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

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_lines),
	    T(test_any_split),
	    T(test_bare_lf_takes_what_follows),
	    T(test_long_lines),
	    T(test_pause),
	    T(test_eof_after_input),
	    T(test_free_in_callback),
	    T(test_output_is_gathered),
	    T(test_high_water),
	    T(test_deadline),
	    T(test_content),
	    T(test_finish),
	    T(test_error_comes_after_the_last_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
