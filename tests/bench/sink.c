/* SPDX-License-Identifier: ISC */
/*
 * sink - an SMTP server that takes everything and counts.
 *
 *	sink --listen 127.0.0.1:0 [--ledger FILE] [--delay MS] [--times FILE]
 *	     [--certificate FILE --key FILE]
 *
 * Prints "listening ADDRESS:PORT" when it is ready.  With --ledger each
 * message's "X-Ledger:" value is written as a line before its 250 is sent.
 * --delay: each answer comes so much later, as from far away (a group of
 * pipelined commands is answered at once).  With a certificate STARTTLS is
 * offered.  Lines on standard input ask for things:
 *
 *	begin TAG	count the messages of this run of load from now on
 *	expect N	report when N different (message, recipient) pairs have come
 *	report		report now
 *
 * A report is one JSON object (sink_tally.h); --times names a file that gets the
 * moment of each arrival then.  Ends on SIGTERM or when its standard input closes.
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
#include "base/tls.h"
#include "base/units.h"
#include "clock.h"
#include "sink_tally.h"

struct sink {
	struct loop *loop;
	struct watch accept, input;
	struct tally *tally;
	struct tls_server *tls;
	const char *times;
	int fd, ledger;
	bool expecting;
	uint64_t expected, bytes, connections;
	int64_t delay_ms;
	struct buf asked; /* standard input */
};

struct session {
	struct sink *sink;
	struct io *io;
	bool data, inside;
	bool late; /* the delay has passed: answer what is there */
	struct undot undot;
	uint64_t recipients; /* a set: tally_recipient() */
	char head[1024];     /* the beginning of the message, where X-Ledger stands */
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
report(struct sink *k)
{
	k->expecting = false;
	if (k->times != NULL)
		tally_write_times(k->tally, k->times);
	tally_print(k->tally, k->bytes, k->connections);
}

/* ---- messages */

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

static struct span
ledger_id(const struct session *s)
{
	static const char name[] = "X-Ledger: ";
	const char *at = memmem(s->head, s->head_n, name, sizeof(name) - 1);
	if (at == NULL)
		return (struct span){NULL, 0};
	at += sizeof(name) - 1;
	struct span rest = {at, s->head_n - (size_t)(at - s->head)};
	return span_cut(rest, 0, span_find(rest, '\r'));
}

static void
write_ledger(const struct sink *k, struct span id)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "%.*s\n", SPAN_ARG(id));
	if (write(k->ledger, line, (size_t)n) != n)
		abort();
}

static void
end_of_data(struct session *s)
{
	struct sink *k = s->sink;
	struct span id = ledger_id(s);
	s->data = false;
	if (k->ledger >= 0 && id.n > 0)
		write_ledger(k, id);
	tally_add(k->tally, id, s->recipients, clock_us());
	io_add(s->io, "250 2.0.0 taken\r\n", 17);
	if (k->expecting && tally_pairs(k->tally) >= k->expected)
		report(k);
}

/* ---- commands */

static bool
is(struct span line, const char *verb)
{
	return span_istarts(line, span_str(verb));
}

static void
say_hello(struct session *s)
{
	io_add_span(s->io,
	    SPAN("250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"));
	if (s->sink->tls != NULL && !s->inside)
		io_add_span(s->io, SPAN("250-STARTTLS\r\n"));
	io_add_span(s->io, SPAN("250-DSN\r\n250 SIZE 0\r\n"));
}

/* False: the session is over. */
static bool
start_tls(struct session *s)
{
	io_add_span(s->io, SPAN("220 2.0.0 go on\r\n"));
	s->inside = true;
	if (io_start_tls_server(s->io, s->sink->tls) == OK)
		return true;
	end_session(s);
	return false;
}

/* False: the session is over. */
static bool
on_line(struct session *s, struct span line)
{
	if (is(line, "EHLO")) {
		say_hello(s);
	} else if (is(line, "STARTTLS") && s->sink->tls != NULL && !s->inside) {
		return start_tls(s);
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
		if (is(line, "MAIL"))
			s->recipients = 0;
		if (is(line, "RCPT"))
			s->recipients |= tally_recipient(line);
		io_add_span(s->io, SPAN("250 2.0.0 ok\r\n"));
	}
	return true;
}

/* Whether what there is may be answered now; if not, it is looked at again later. */
static bool
in_time(struct session *s)
{
	if (s->sink->delay_ms == 0 || s->late)
		return true;
	io_pause(s->io);
	timer_set(&s->delay, s->sink->delay_ms);
	return false;
}

/* Takes data as it comes; false: all there is has been taken, the end is not there. */
static bool
take_data(struct session *s)
{
	struct span in = io_input(s->io);
	if (in.n == 0)
		return false;
	io_consume(s->io, undot_take(&s->undot, in, collect, s));
	return s->undot.end;
}

static void
on_input(struct session *s)
{
	struct span line;
	while (true) {
		if (s->data && !s->undot.end && !take_data(s))
			break;
		if (io_input(s->io).n == 0 && !s->data)
			break;
		if (!in_time(s))
			return;
		if (s->data)
			end_of_data(s);
		else if (io_line(s->io, 4096, &line) != IO_LINE)
			break;
		else if (!on_line(s, line))
			return;
	}
	s->late = false;
}

static void
on_delay(void *arg)
{
	struct session *s = arg;
	s->late = true;
	io_resume(s->io);
	on_input(s);
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
		timer_init(&s->delay, k->loop, on_delay, s);
		s->io = io_new(k->loop, fd, on_io, s);
		io_add_span(s->io, SPAN("220 sink.test ESMTP\r\n"));
	}
}

/* ---- what is asked for */

static void
on_question(struct sink *k, struct span line)
{
	if (span_starts(line, SPAN("begin "))) {
		tally_begin(k->tally, span_cut(line, 6, line.n));
		k->bytes = k->connections = 0;
	} else if (span_starts(line, SPAN("expect "))) {
		k->expecting =
		    units_u64(span_cut(line, 7, line.n), 1u << 30, &k->expected) == OK;
		if (k->expecting && tally_pairs(k->tally) >= k->expected)
			report(k);
	} else if (span_eq(line, SPAN("report"))) {
		report(k);
	} else {
		fprintf(stderr, "sink: what is \"%.*s\"?\n", SPAN_ARG(line));
		exit(2);
	}
}

static void
on_stdin(void *arg, unsigned what)
{
	struct sink *k = arg;
	char c[512];
	(void)what;
	ssize_t n = read(STDIN_FILENO, c, sizeof(c));
	if (n <= 0) {
		loop_stop(k->loop);
		return;
	}
	buf_add(&k->asked, c, (size_t)n);
	for (;;) {
		struct span all = buf_span(&k->asked);
		size_t end = span_find(all, '\n');
		if (end == all.n)
			return;
		on_question(k, span_cut(all, 0, end));
		buf_consume(&k->asked, end + 1);
	}
}

static void
on_signal(void *arg, int signo)
{
	struct sink *k = arg;
	(void)signo;
	loop_stop(k->loop);
}

/* ---- start */

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
load_certificate(struct sink *k, const struct tls_files *files)
{
	struct tls_server_options o = {.file = files, .files = 1};
	struct buf why;
	buf_init(&why, 1024);
	k->tls = tls_server_new(&o, &why);
	if (k->tls == NULL) {
		fprintf(stderr, "sink: %.*s\n", SPAN_ARG(buf_span(&why)));
		exit(1);
	}
	buf_clear(&why);
}

static void
parse(struct sink *k, struct net_addr *at, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"listen", required_argument, NULL, 'l'},
	    {"ledger", required_argument, NULL, 'L'},
	    {"delay", required_argument, NULL, 'd'},
	    {"times", required_argument, NULL, 't'},
	    {"certificate", required_argument, NULL, 'c'},
	    {"key", required_argument, NULL, 'k'},
	    {NULL, 0, NULL, 0},
	};
	struct tls_files files = {.certificate = NULL};
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
		case 'd':
			if (units_u64(span_str(optarg), 3600000, &n) != OK)
				exit(2);
			k->delay_ms = (int64_t)n;
			break;
		case 't': k->times = optarg; break;
		case 'c': files.certificate = optarg; break;
		case 'k': files.key = optarg; break;
		default: exit(2);
		}
	}
	if (files.certificate != NULL)
		load_certificate(k, &files);
}

int
main(int argc, char **argv)
{
	static const int signals[] = {SIGTERM, SIGINT};
	struct sink k = {.ledger = -1};
	struct net_addr at;
	(void)net_parse_addr(SPAN("127.0.0.1:0"), &at);
	parse(&k, &at, argc, argv);
	buf_init(&k.asked, 4096);
	k.tally = tally_new();
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
	exit(0); /* with sessions open, as they are */
}
