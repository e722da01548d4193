/* SPDX-License-Identifier: ISC */
/*
 * load - sends messages to an SMTP server over many connections at once and
 * keeps a ledger of what was acknowledged.
 *
 *	load --to 127.0.0.1:2525 --messages 10000 --connections 100 --size 10240
 *	     [--per-connection 1] [--rcpts 1] [--domain sink.test] [--pipeline]
 *	     [--tag RUN] [--ledger FILE] [--give-up SECONDS]
 *	     [--tls] [--auth NAME:PASSWORD] [--no-mail]
 *
 * --tls: STARTTLS before anything else, resuming no session; --auth: AUTH PLAIN on
 * each connection; --no-mail: a "message" is a connection that gets so far and quits.
 *
 * Each message carries "X-Ledger: RUN-number".  The ledger gets one line per
 * message when the final 250 has been read: only those count as promised.  At
 * the end one JSON object is printed: accepted, refused, unknown (no final
 * answer seen), seconds, rate, latency of the final answer.  A connection that
 * breaks is dialled again until --give-up.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/units.h"

enum step {
	STEP_GREETING,
	STEP_STARTTLS,
	STEP_SHAKING,
	STEP_EHLO,
	STEP_AUTH,
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_DOT,
	STEP_QUIT
};

struct run {
	struct loop *loop;
	struct net_addr to;
	uint64_t messages, size, per_connection, rcpts;
	unsigned connections;
	const char *domain, *tag;
	bool pipeline, tls, no_mail;
	struct tls_client *tls_client;
	char *auth; /* base64 of the PLAIN message */
	int ledger;
	int64_t give_up_ms;
	char *body; /* what follows the header */
	size_t body_n;
	uint64_t next, accepted, refused, unknown, redials;
	unsigned open;
	struct instant began, last;
	int64_t *latency; /* of accepted ones, ms */
	struct sender *sender;
};

struct sender {
	struct run *run;
	struct io *io;
	enum step step;
	uint64_t message, sent, rcpts_done;
	bool in_message, again, inside;
	struct instant dot;
	struct timer redial;
};

static void dial(void *arg);

static void
stop_sender(struct sender *s)
{
	io_free(&s->io);
	if (--s->run->open == 0)
		loop_stop(s->run->loop);
}

/* The connection broke or ended: what had no final answer is unknown. */
static void
lost(struct sender *s)
{
	struct run *r = s->run;
	io_free(&s->io);
	if (s->in_message)
		r->unknown++;
	s->in_message = false;
	bool late = instant_since(loop_now(r->loop), r->last) > r->give_up_ms;
	if (r->next >= r->messages || late) {
		stop_sender(s);
		return;
	}
	r->redials++;
	timer_set(&s->redial, 20);
}

static void
put_message(struct sender *s)
{
	struct run *r = s->run;
	io_addf(s->io,
	    "From: <load@%s>\r\nTo: <r0@%s>\r\nSubject: load\r\nDate: Mon, 23 Nov 2026 "
	    "12:00:00 +0000\r\n"
	    "Message-ID: <%s-%llu@load>\r\nX-Ledger: %s-%llu\r\n\r\n",
	    r->domain, r->domain, r->tag, (unsigned long long)s->message, r->tag,
	    (unsigned long long)s->message);
	io_add(s->io, r->body, r->body_n);
	io_add(s->io, ".\r\n", 3);
	s->dot = loop_now(r->loop);
	s->step = STEP_DOT;
}

static void
put_rcpt(struct sender *s)
{
	io_addf(s->io, "RCPT TO:<r%llu@%s>\r\n", (unsigned long long)s->rcpts_done,
	    s->run->domain);
}

/* Signed in and ready: that was all that is measured. */
static void
leave(struct sender *s)
{
	struct run *r = s->run;
	r->last = loop_now(r->loop);
	if (r->next < r->messages) {
		r->next++;
		r->latency[r->accepted++] = instant_since(r->last, s->dot);
	}
	io_add(s->io, "QUIT\r\n", 6);
	s->step = STEP_QUIT;
}

static void
next_message(struct sender *s)
{
	struct run *r = s->run;
	if (r->no_mail) {
		leave(s);
		return;
	}
	if (r->next >= r->messages ||
	    (r->per_connection > 0 && s->sent >= r->per_connection)) {
		io_add(s->io, "QUIT\r\n", 6);
		s->step = STEP_QUIT;
		return;
	}
	s->message = r->next++;
	s->sent++;
	s->in_message = true;
	s->rcpts_done = 0;
	io_addf(s->io, "MAIL FROM:<load@%s>\r\n", r->domain);
	if (r->pipeline) {
		for (s->rcpts_done = 0; s->rcpts_done < r->rcpts; s->rcpts_done++)
			put_rcpt(s);
		io_add(s->io, "DATA\r\n", 6);
		s->rcpts_done = 0;
	}
	s->step = STEP_MAIL;
}

static void
promised(struct sender *s)
{
	struct run *r = s->run;
	r->last = loop_now(r->loop);
	r->latency[r->accepted++] = instant_since(r->last, s->dot);
	s->in_message = false;
	if (r->ledger >= 0) {
		char line[128];
		int n = snprintf(line, sizeof(line), "%s-%llu\n", r->tag,
		    (unsigned long long)s->message);
		if (write(r->ledger, line, (size_t)n) != n)
			abort();
	}
	next_message(s);
}

static void
refused(struct sender *s)
{
	s->run->refused++;
	s->in_message = false;
	if (s->run->pipeline) { /* the rest of the group would be answered, too: start
				   over */
		lost(s);
		return;
	}
	s->step =
	    STEP_AUTH; /* RSET's answer is taken as that of the last step before MAIL */
	io_add(s->io, "RSET\r\n", 6);
}

static void
say_hello(struct sender *s)
{
	io_add(s->io, "EHLO load.test\r\n", 16);
	s->step = STEP_EHLO;
}

static void
start_tls(struct sender *s)
{
	struct tls_peer peer = {.name = "relay.test"};
	if (io_start_tls_client(s->io, s->run->tls_client, &peer) == OK)
		s->step = STEP_SHAKING;
	else
		lost(s);
}

static void
on_hello(struct sender *s)
{
	struct run *r = s->run;
	if (r->tls && !s->inside) {
		io_add(s->io, "STARTTLS\r\n", 10);
		s->step = STEP_STARTTLS;
	} else if (r->auth != NULL) {
		io_addf(s->io, "AUTH PLAIN %s\r\n", r->auth);
		s->step = STEP_AUTH;
	} else {
		next_message(s);
	}
}

static void
on_reply(struct sender *s, struct span line)
{
	bool good = line.n >= 3 && (line.p[0] == '2' || line.p[0] == '3');
	if (line.n > 3 && line.p[3] == '-')
		return;
	if (s->step == STEP_QUIT) {
		io_free(&s->io);
		if (s->run->next < s->run->messages)
			dial(s);
		else
			stop_sender(s);
		return;
	}
	if (!good && s->step >= STEP_MAIL) {
		refused(s);
		return;
	}
	if (!good) {
		lost(s);
		return;
	}
	switch (s->step) {
	case STEP_GREETING: say_hello(s); break;
	case STEP_STARTTLS: start_tls(s); break;
	case STEP_SHAKING: break;
	case STEP_EHLO: on_hello(s); break;
	case STEP_AUTH: next_message(s); break;
	case STEP_MAIL:
		s->step = STEP_RCPT;
		if (!s->run->pipeline)
			put_rcpt(s);
		break;
	case STEP_RCPT:
		if (++s->rcpts_done < s->run->rcpts) {
			if (!s->run->pipeline)
				put_rcpt(s);
			break;
		}
		s->step = STEP_DATA;
		if (!s->run->pipeline)
			io_add(s->io, "DATA\r\n", 6);
		break;
	case STEP_DATA: put_message(s); break;
	case STEP_DOT: promised(s); break;
	case STEP_QUIT: break;
	}
}

static void
on_io(void *arg, enum io_event ev)
{
	struct sender *s = arg;
	struct span line;
	switch (ev) {
	case IO_INPUT:
		while (s->io != NULL && io_line(s->io, 4096, &line) == IO_LINE)
			on_reply(s, line);
		break;
	case IO_EOF:
	case IO_ERROR:
	case IO_TIMEOUT: lost(s); break;
	case IO_TLS:
		s->inside = true;
		say_hello(s);
		break;
	case IO_CONNECTED:
	case IO_DRAINED: break;
	}
	if (s->io != NULL)
		io_deadline(s->io, 60 * SECOND_MS);
}

static void
dial(void *arg)
{
	struct sender *s = arg;
	s->sent = 0;
	s->step = STEP_GREETING;
	s->inside = false;
	s->dot = loop_now(s->run->loop);
	int fd = world_dial(loop_world(s->run->loop), &s->run->to, NULL);
	if (fd < 0) {
		lost(s);
		return;
	}
	s->io = io_new_dialled(s->run->loop, fd, on_io, s);
}

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void
print_result(struct run *r)
{
	double seconds = (double)instant_since(r->last, r->began) / 1000;
	uint64_t n = r->accepted;
	qsort(r->latency, n, sizeof(*r->latency), by_value);
	printf("{\"accepted\":%llu,\"refused\":%llu,\"unknown\":%llu,\"redials\":%llu,"
	       "\"seconds\":%.3f,\"rate\":%.1f,\"latency_ms\":{\"p50\":%lld,\"p99\":%lld,"
	       "\"max\":%lld}}\n",
	    (unsigned long long)n, (unsigned long long)r->refused,
	    (unsigned long long)r->unknown, (unsigned long long)r->redials, seconds,
	    seconds > 0 ? (double)n / seconds : 0, (long long)(n ? r->latency[n / 2] : 0),
	    (long long)(n ? r->latency[n * 99 / 100] : 0),
	    (long long)(n ? r->latency[n - 1] : 0));
}

static void
make_body(struct run *r)
{
	struct buf b;
	buf_init(&b, r->size + 1024);
	while (b.n + 200 < r->size || b.n == 0) {
		buf_add_str(&b, "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRST"
				"UVWXYZ01234567");
		buf_add_str(&b, "\r\n");
	}
	r->body_n = b.n;
	r->body = buf_take(&b);
}

static uint64_t
number(const char *text)
{
	uint64_t n;
	if (units_u64(span_str(text), 1u << 30, &n) != OK) {
		fprintf(stderr, "load: \"%s\" is not a number\n", text);
		exit(2);
	}
	return n;
}

/* "NAME:PASSWORD" as RFC 4616 has it, in base64. */
static char *
plain_message(const char *text)
{
	struct buf plain, coded;
	struct span s = span_str(text);
	size_t colon = span_find(s, ':');
	buf_init(&plain, 1024);
	buf_init(&coded, 4096);
	buf_add_char(&plain, '\0');
	buf_add_span(&plain, span_cut(s, 0, colon));
	buf_add_char(&plain, '\0');
	buf_add_span(&plain, span_cut(s, colon + 1, s.n));
	base64_encode(buf_span(&plain), &coded);
	buf_clear(&plain);
	return buf_take(&coded);
}

static void
parse(struct run *r, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"to", required_argument, NULL, 't'},
	    {"messages", required_argument, NULL, 'm'},
	    {"connections", required_argument, NULL, 'c'},
	    {"size", required_argument, NULL, 's'},
	    {"per-connection", required_argument, NULL, 'k'},
	    {"rcpts", required_argument, NULL, 'r'},
	    {"domain", required_argument, NULL, 'd'},
	    {"tag", required_argument, NULL, 'T'},
	    {"ledger", required_argument, NULL, 'l'},
	    {"give-up", required_argument, NULL, 'g'},
	    {"pipeline", no_argument, NULL, 'p'},
	    {"tls", no_argument, NULL, 'S'},
	    {"auth", required_argument, NULL, 'a'},
	    {"no-mail", no_argument, NULL, 'n'},
	    {NULL, 0, NULL, 0},
	};
	int c;
	bool to = false;
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 't': to = net_parse_addr(span_str(optarg), &r->to) == OK; break;
		case 'm': r->messages = number(optarg); break;
		case 'c': r->connections = (unsigned)number(optarg); break;
		case 's': r->size = number(optarg); break;
		case 'k': r->per_connection = number(optarg); break;
		case 'r': r->rcpts = number(optarg); break;
		case 'd': r->domain = optarg; break;
		case 'T': r->tag = optarg; break;
		case 'l':
			r->ledger =
			    open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
			break;
		case 'g': r->give_up_ms = (int64_t)number(optarg) * SECOND_MS; break;
		case 'p': r->pipeline = true; break;
		case 'S': r->tls = true; break;
		case 'a': r->auth = plain_message(optarg); break;
		case 'n': r->no_mail = true; break;
		default: exit(2);
		}
	}
	if (!to || r->connections == 0 || r->rcpts == 0) {
		fputs("load: --to ADDRESS:PORT, --connections and --rcpts are needed; "
		      "see load.c\n",
		    stderr);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	struct run r = {.messages = 1000,
	    .connections = 10,
	    .size = 1024,
	    .rcpts = 1,
	    .domain = "sink.test",
	    .tag = "run",
	    .ledger = -1,
	    .give_up_ms = 10 * SECOND_MS};
	parse(&r, argc, argv);
	r.loop = loop_new(world_real());
	r.latency = mem_alloc((r.messages + 1) * sizeof(int64_t));
	make_body(&r);
	if (r.tls) {
		struct buf why;
		buf_init(&why, 1024);
		r.tls_client = tls_client_new(NULL, &why);
		buf_clear(&why);
	}
	r.sender = mem_alloc(r.connections * sizeof(struct sender));
	r.began = r.last = loop_now(r.loop);
	r.open = r.connections;
	for (unsigned i = 0; i < r.connections; i++) {
		r.sender[i].run = &r;
		timer_init(&r.sender[i].redial, r.loop, dial, &r.sender[i]);
		dial(&r.sender[i]);
	}
	loop_run(r.loop);
	print_result(&r);
	for (unsigned i = 0; i < r.connections; i++)
		timer_clear(&r.sender[i].redial);
	if (r.tls_client != NULL)
		tls_client_free(&r.tls_client);
	loop_free(&r.loop);
	mem_free(&r.auth);
	mem_free(&r.sender);
	mem_free(&r.latency);
	mem_free(&r.body);
	return r.accepted == r.messages ? 0 : 1;
}
