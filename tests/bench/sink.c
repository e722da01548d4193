/* SPDX-License-Identifier: ISC */
/*
 * sink - an SMTP server that takes everything and counts.
 *
 *	sink --listen 127.0.0.1:0 [--ledger FILE] [--count N] [--answer-after MS]
 *
 * Prints "listening ADDRESS:PORT" when it is ready.  With --ledger each
 * message's "X-Ledger:" value is written as a line before its 250 is sent.
 * Ends after N messages, on SIGTERM, or when its standard input closes, and
 * prints one JSON object: messages, recipients, bytes, connections, seconds
 * between the first and the last message.
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/dot.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/units.h"

struct sink {
	struct loop *loop;
	struct watch accept, input;
	int fd, ledger;
	uint64_t count, messages, recipients, bytes, connections;
	int64_t delay_ms;
	struct instant first, last;
};

struct session {
	struct sink *sink;
	struct io *io;
	bool data;
	struct undot undot;
	char head[512]; /* the beginning of the message, where X-Ledger stands */
	size_t head_n;
	struct timer delay;
};

static void
end_session(struct session *s)
{
	timer_clear(&s->delay);
	io_free(&s->io);
	mem_free(&s);
}

static void
collect(void *arg, struct span bytes)
{
	struct session *s = arg;
	size_t n = sizeof(s->head) - s->head_n;
	s->sink->bytes += bytes.n;
	if (n > bytes.n)
		n = bytes.n;
	memcpy(s->head + s->head_n, bytes.p, n);
	s->head_n += n;
}

static void
write_ledger(struct session *s)
{
	static const char name[] = "X-Ledger: ";
	const char *at = memmem(s->head, s->head_n, name, sizeof(name) - 1);
	if (s->sink->ledger < 0 || at == NULL)
		return;
	at += sizeof(name) - 1;
	const char *end = memchr(at, '\r', s->head_n - (size_t)(at - s->head));
	if (end == NULL)
		return;
	char line[256];
	int n = snprintf(line, sizeof(line), "%.*s\n", (int)(end - at), at);
	if (write(s->sink->ledger, line, (size_t)n) != n)
		abort();
}

static void
answer(void *arg)
{
	struct session *s = arg;
	io_add(s->io, "250 2.0.0 taken\r\n", 17);
	io_resume(s->io);
}

static void
end_of_data(struct session *s)
{
	struct sink *k = s->sink;
	s->data = false;
	write_ledger(s);
	k->last = loop_now(k->loop);
	if (k->messages++ == 0)
		k->first = k->last;
	if (k->delay_ms > 0) {
		io_pause(s->io);
		timer_set(&s->delay, k->delay_ms);
	} else {
		io_add(s->io, "250 2.0.0 taken\r\n", 17);
	}
	if (k->count > 0 && k->messages >= k->count)
		loop_stop(k->loop);
}

static bool
is(struct span line, const char *verb)
{
	return span_istarts(line, span_str(verb));
}

/* False: the session is over. */
static bool
on_line(struct session *s, struct span line)
{
	if (is(line, "EHLO")) {
		io_add_span(
		    s->io, SPAN("250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-"
				"SMTPUTF8\r\n250-DSN\r\n250 SIZE 0\r\n"));
	} else if (is(line, "DATA")) {
		undot_init(&s->undot, false);
		s->data = true;
		s->head_n = 0;
		io_add_span(s->io, SPAN("354 go on\r\n"));
	} else if (is(line, "QUIT")) {
		io_add_span(s->io, SPAN("221 2.0.0 bye\r\n"));
		io_finish(&s->io, SECOND_MS);
		end_session(s);
		return false;
	} else {
		s->sink->recipients += is(line, "RCPT");
		io_add_span(s->io, SPAN("250 2.0.0 ok\r\n"));
	}
	return true;
}

static void
on_input(struct session *s)
{
	struct span line;
	while (!io_paused(s->io)) {
		if (s->data) {
			struct span in = io_input(s->io);
			if (in.n == 0)
				return;
			io_consume(s->io, undot_take(&s->undot, in, collect, s));
			if (!s->undot.end)
				return;
			end_of_data(s);
		} else if (io_line(s->io, 4096, &line) != IO_LINE || !on_line(s, line)) {
			return;
		}
	}
}

static void
on_io(void *arg, enum io_event ev)
{
	if (ev == IO_INPUT)
		on_input(arg);
	else if (ev == IO_EOF || ev == IO_ERROR)
		end_session(arg);
}

static void
on_accept(void *arg, unsigned what)
{
	struct sink *k = arg;
	(void)what;
	for (int i = 0; i < 64; i++) {
		int fd = accept4(k->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		struct session *s = NEW(struct session);
		s->sink = k;
		k->connections++;
		timer_init(&s->delay, k->loop, answer, s);
		s->io = io_new(k->loop, fd, on_io, s);
		io_add_span(s->io, SPAN("220 sink.test ESMTP\r\n"));
	}
}

static void
on_stdin(void *arg, unsigned what)
{
	struct sink *k = arg;
	char c[64];
	(void)what;
	if (read(STDIN_FILENO, c, sizeof(c)) <= 0)
		loop_stop(k->loop);
}

static void
on_signal(void *arg, int signo)
{
	struct sink *k = arg;
	(void)signo;
	loop_stop(k->loop);
}

static void
say_where(const struct sink *k)
{
	struct sockaddr_storage sa;
	struct net_addr at;
	socklen_t n = sizeof(sa);
	char text[NET_TEXT];
	if (getsockname(k->fd, (struct sockaddr *)&sa, &n) != 0)
		exit(1);
	net_from_sockaddr((struct sockaddr *)&sa, &at);
	net_format(&at, text);
	printf("listening %s\n", text);
	fflush(stdout);
}

static void
parse(struct sink *k, struct net_addr *at, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"listen", required_argument, NULL, 'l'},
	    {"ledger", required_argument, NULL, 'L'},
	    {"count", required_argument, NULL, 'c'},
	    {"answer-after", required_argument, NULL, 'a'},
	    {NULL, 0, NULL, 0},
	};
	int c;
	uint64_t n = 0;
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'l':
			if (net_parse_addr(span_str(optarg), at) != OK)
				exit(2);
			break;
		case 'L':
			k->ledger =
			    open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
			break;
		case 'c':
			if (units_u64(span_str(optarg), 1u << 30, &k->count) != OK)
				exit(2);
			break;
		case 'a':
			if (units_u64(span_str(optarg), 3600000, &n) != OK)
				exit(2);
			k->delay_ms = (int64_t)n;
			break;
		default: exit(2);
		}
	}
}

int
main(int argc, char **argv)
{
	static const int signals[] = {SIGTERM, SIGINT};
	struct sink k = {.ledger = -1};
	struct net_addr at;
	(void)net_parse_addr(SPAN("127.0.0.1:0"), &at);
	parse(&k, &at, argc, argv);
	k.loop = loop_new(world_real());
	k.fd = net_listen(&at, false);
	if (k.fd < 0) {
		fputs("sink: cannot listen there\n", stderr);
		return 1;
	}
	watch_init(&k.accept, k.loop, k.fd, on_accept, &k);
	watch_set(&k.accept, WATCH_READ);
	watch_init(&k.input, k.loop, STDIN_FILENO, on_stdin, &k);
	watch_set(&k.input, WATCH_READ);
	loop_signals(k.loop, signals, COUNT_OF(signals), on_signal, &k);
	say_where(&k);
	loop_run(k.loop);
	double seconds = (double)instant_since(k.last, k.first) / 1000;
	printf("{\"messages\":%llu,\"recipients\":%llu,\"bytes\":%llu,\"connections\":%"
	       "llu,\"seconds\":%.3f,\"rate\":%.1f}\n",
	    (unsigned long long)k.messages, (unsigned long long)k.recipients,
	    (unsigned long long)k.bytes, (unsigned long long)k.connections, seconds,
	    seconds > 0 ? (double)k.messages / seconds : 0);
	return 0;
}
