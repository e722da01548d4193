/* SPDX-License-Identifier: ISC */
/*
 * load - sends messages to an SMTP server over many connections at once and
 * keeps a ledger of what was acknowledged.
 *
 *	load --to 127.0.0.1:2525 --messages 10000 --connections 100 --size 10240
 *	     [--per-connection 1] [--rcpts 1] [--domain sink.test] [--domains 1000]
 *	     [--pipeline] [--tag RUN] [--ledger FILE] [--times FILE] [--window 10000]
 *	     [--seconds N] [--pause MS] [--give-up SECONDS]
 *	     [--tls] [--auth NAME:PASSWORD] [--no-mail] [--hold]
 *
 * --tls: STARTTLS before anything else, resuming no session; --auth: AUTH PLAIN on
 * each connection; --no-mail: a "message" is a connection that gets so far and quits;
 * --hold: all connections get so far, "held N" is printed, and they stay idle until
 * standard input closes.  --seconds (milliseconds with "ms"): no new message after
 * that; --pause: each connection waits so long between two messages; --domains: the
 * recipients' domains are d0.sink.test, d1.sink.test and so on in turn.
 *
 * Each message carries "X-Ledger: RUN-number".  The ledger gets one line per
 * message when the final 250 has been read: only those count as promised.  At
 * the end one JSON object is printed: accepted, refused, unknown (no final
 * answer seen), seconds, rate, latency of the final answer, and the rate in each
 * window of so many messages.  --times: "number dot answered" a line, in
 * microseconds of the monotonic clock.  A connection that breaks is dialled again
 * until --give-up.
 */
#include "load.h"

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/content.h"
#include "base/mem.h"
#include "base/units.h"
#include "clock.h"

#define IN_A_FILE (64u << 10) /* bodies of so many octets */

/* ---- results */

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static double
rate(uint64_t n, int64_t us)
{
	return us > 0 ? (double)n * 1e6 / (double)us : 0;
}

static void
print_latency(const struct run *r)
{
	uint64_t n = r->accepted;
	int64_t *us = mem_alloc((n + 1) * sizeof(*us));
	for (uint64_t i = 0; i < n; i++)
		us[i] = r->sent[i].answered_us - r->sent[i].dot_us;
	qsort(us, n, sizeof(*us), by_value);
	uint64_t half = n / 2, most = n * 99 / 100;
	printf(",\"latency_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}",
	    (double)us[half] / 1000, (double)us[most] / 1000,
	    n ? (double)us[n - 1] / 1000 : 0);
	mem_free(&us);
}

static void
print_windows(const struct run *r, uint64_t window)
{
	int64_t since = r->began_us;
	printf(",\"windows\":[");
	for (uint64_t i = window; i <= r->accepted; i += window) {
		int64_t until = r->sent[i - 1].answered_us;
		printf("%s%.1f", i > window ? "," : "", rate(window, until - since));
		since = until;
	}
	printf("]");
}

static void
print_result(const struct run *r, uint64_t window)
{
	int64_t us = r->last_us - r->began_us;
	printf("{\"accepted\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"unknown\":%" PRIu64
	       ",\"redials\":%" PRIu64
	       ",\"seconds\":%.3f,\"rate\":%.1f,\"began_us\":%" PRId64
	       ",\"last_us\":%" PRId64,
	    r->accepted, r->refused, r->unknown, r->redials, (double)us / 1e6,
	    rate(r->accepted, us), r->began_us, r->last_us);
	print_latency(r);
	if (window > 0)
		print_windows(r, window);
	printf("}\n");
}

static void
write_times(const struct run *r, const char *file)
{
	FILE *f = fopen(file, "w");
	if (f == NULL) {
		perror(file);
		exit(1);
	}
	for (uint64_t i = 0; i < r->accepted; i++)
		fprintf(f, "%" PRIu64 " %" PRId64 " %" PRId64 "\n", r->sent[i].number,
		    r->sent[i].dot_us, r->sent[i].answered_us);
	if (fclose(f) != 0)
		exit(1);
}

/* ---- what was asked for */

/* A large one is sent by sendfile(): what is measured is the relay, not copies made here.
 */
static int
file_of(const struct buf *b)
{
	int fd = memfd_create("body", MFD_CLOEXEC);
	if (fd < 0 || write(fd, b->p, b->n) != (ssize_t)b->n) {
		perror("load: a file in memory for the body");
		exit(1);
	}
	return fd;
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
	r->body =
	    b.n < IN_A_FILE ? content_new(NULL) : content_from_file(file_of(&b), b.n);
	if (content_in_memory(r->body)) {
		content_append(r->body, b.p, b.n);
		content_seal(r->body);
	}
	buf_clear(&b);
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

/* Seconds, or a duration with its unit. */
static int64_t
duration(const char *text)
{
	int64_t ms;
	if (units_duration(span_str(text), &ms) == OK)
		return ms;
	return (int64_t)number(text) * SECOND_MS;
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

struct output {
	const char *times;
	uint64_t window;
};

static void
parse(struct run *r, struct output *out, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"to", required_argument, NULL, 't'},
	    {"messages", required_argument, NULL, 'm'},
	    {"connections", required_argument, NULL, 'c'},
	    {"size", required_argument, NULL, 's'},
	    {"per-connection", required_argument, NULL, 'k'},
	    {"rcpts", required_argument, NULL, 'r'},
	    {"domain", required_argument, NULL, 'd'},
	    {"domains", required_argument, NULL, 'D'},
	    {"tag", required_argument, NULL, 'T'},
	    {"ledger", required_argument, NULL, 'l'},
	    {"times", required_argument, NULL, 'i'},
	    {"window", required_argument, NULL, 'w'},
	    {"seconds", required_argument, NULL, 'u'},
	    {"pause", required_argument, NULL, 'P'},
	    {"give-up", required_argument, NULL, 'g'},
	    {"pipeline", no_argument, NULL, 'p'},
	    {"tls", no_argument, NULL, 'S'},
	    {"auth", required_argument, NULL, 'a'},
	    {"no-mail", no_argument, NULL, 'n'},
	    {"hold", no_argument, NULL, 'h'},
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
		case 'D': r->domains = number(optarg); break;
		case 'T': r->tag = optarg; break;
		case 'l':
			r->ledger =
			    open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
			break;
		case 'i': out->times = optarg; break;
		case 'w': out->window = number(optarg); break;
		case 'u': r->seconds_ms = duration(optarg); break;
		case 'P': r->pause_ms = (int64_t)number(optarg); break;
		case 'g': r->give_up_ms = duration(optarg); break;
		case 'p': r->pipeline = true; break;
		case 'S': r->tls = true; break;
		case 'a': r->auth = plain_message(optarg); break;
		case 'n': r->no_mail = true; break;
		case 'h': r->hold = true; break;
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

/* ---- the run */

static void
on_end_of_time(void *arg)
{
	struct run *r = arg;
	r->over = true;
}

static void
on_stdin(void *arg, unsigned what)
{
	struct loop *l = arg;
	char c[64];
	(void)what;
	if (read(STDIN_FILENO, c, sizeof(c)) <= 0)
		loop_stop(l);
}

static void
go(struct run *r)
{
	struct timer end;
	struct watch input;
	timer_init(&end, r->loop, on_end_of_time, r);
	watch_init(&input, r->loop, STDIN_FILENO, on_stdin, r->loop);
	r->last = loop_now(r->loop);
	r->began_us = r->last_us = clock_us();
	if (r->seconds_ms > 0)
		timer_set(&end, r->seconds_ms);
	if (r->hold)
		watch_set(&input, WATCH_READ);
	senders_start(r);
	loop_run(r->loop);
	timer_clear(&end);
	watch_clear(&input);
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
	struct output out = {.times = NULL};
	parse(&r, &out, argc, argv);
	r.loop = loop_new(world_real());
	r.sent = mem_alloc((r.messages + 1) * sizeof(*r.sent));
	make_body(&r);
	if (r.tls) {
		struct buf why;
		buf_init(&why, 1024);
		r.tls_client = tls_client_new(NULL, &why);
		buf_clear(&why);
	}
	go(&r);
	if (!r.hold)
		print_result(&r, out.window);
	if (out.times != NULL)
		write_times(&r, out.times);
	senders_free(&r);
	if (r.tls_client != NULL)
		tls_client_free(&r.tls_client);
	loop_free(&r.loop);
	mem_free(&r.auth);
	mem_free(&r.sent);
	content_unref(&r.body);
	return r.over || r.hold || r.accepted == r.messages ? 0 : 1;
}
