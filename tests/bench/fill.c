/* SPDX-License-Identifier: ISC */
/*
 * fill - a spool with as many messages as one likes, made offline through the
 * spool's own interface: seconds for a million, where SMTP would take minutes.
 *
 *	fill --spool DIR --messages 1000000 [--destinations 100000] [--size 1024]
 *	     [--key via:up] [--domain fill.test] [--due-in SECONDS] [--batch 1000]
 *	     [--deliver BEHIND]
 *
 * Message i goes to u@dI.DOMAIN with I = i mod destinations; its destination is
 * "mx:dI.DOMAIN", or the one that --key names.  --batch: so many requests wait for
 * the writer at a time.  --deliver: each message is reported as delivered when
 * BEHIND newer ones have been stored, so what a message costs in its whole life can be
 * counted.  At the end one JSON object is printed: messages, delivered, seconds,
 * commits, written (octets given to write calls), file_bytes, used_pages.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/units.h"
#include "spool/spool.h"

struct fill {
	const char *path, *key, *domain;
	uint64_t messages, destinations, size, batch, behind, due_in;
	bool deliver;
	struct loop *loop;
	struct spool *spool;
	struct wall now;
	uint64_t started, stored, reported, failed, flying;
	uint64_t *id; /* of the stored ones */
	char *text;
	size_t text_n;
};

static void
put_domain(const struct fill *f, uint64_t i, char *out, size_t n)
{
	(void)snprintf(out, n, "d%" PRIu64 ".%s", i % f->destinations, f->domain);
}

static struct span
dest_of(const struct fill *f, uint64_t i, char *out, size_t n)
{
	char domain[300];
	put_domain(f, i, domain, sizeof(domain));
	(void)snprintf(out, n, "mx:%s", domain);
	return span_str(f->key ? f->key : out);
}

static struct message *
make_message(struct fill *f, uint64_t i)
{
	struct message *m = message_new();
	char dest[320], domain[300], address[320], prefix[400];
	struct span key = dest_of(f, i, dest, sizeof(dest));
	put_domain(f, i, domain, sizeof(domain));
	(void)snprintf(address, sizeof(address), "u@%s", domain);
	int at = snprintf(prefix, sizeof(prefix),
	    "Received: from load.test (load.test [192.0.2.1])\r\n"
	    "\tby relay.test (relayd) with ESMTP id ");
	int n = snprintf(prefix + at, sizeof(prefix) - (size_t)at,
	    "0000000000000\r\n\tfor <%s>; Mon, 23 Nov 2026 12:00:00 +0000\r\n", address);
	m->prefix = message_keep(m, (struct span){prefix, (size_t)(at + n)});
	m->id_at = (size_t)at;
	m->flags = MESSAGE_PLAIN;
	m->arrival = f->now;
	m->sender = message_keep(m, SPAN("load@load.test"));
	m->client = message_keep(m, SPAN("192.0.2.1"));
	m->helo = message_keep(m, SPAN("load.test"));
	m->protocol = message_keep(m, SPAN("ESMTP"));
	m->listener = message_keep(m, SPAN("smtp"));
	m->content = content_new(NULL);
	char head[200];
	int h = snprintf(head, sizeof(head),
	    "From: <load@load.test>\r\nTo: <%s>\r\nSubject: fill\r\n"
	    "X-Ledger: fill-%" PRIu64 "\r\n\r\n",
	    address, i);
	content_append(m->content, head, (size_t)h);
	if (f->text_n > (size_t)h)
		content_append(m->content, f->text + h, f->text_n - (size_t)h);
	content_seal(m->content);
	struct recipient r = {.address = span_str(address), .dest = key};
	if (f->due_in > 0)
		r.due = wall_after(f->now, (int64_t)f->due_in * SECOND_MS);
	message_add_rcpt(m, &r);
	return m;
}

static void next(struct fill *f);

static void
on_reported(void *arg, enum err e)
{
	struct fill *f = arg;
	f->reported++;
	f->failed += e != OK;
	f->flying--;
	next(f);
}

static void
deliver(struct fill *f, uint64_t i)
{
	char dest[320];
	struct span key = dest_of(f, i, dest, sizeof(dest));
	struct report *r = report_new(f->id[i], key, f->now);
	report_add(r, &(struct outcome){.kind = OUTCOME_DELIVERED});
	f->flying++;
	(void)spool_report_start(f->spool, r, loop_inbox(f->loop), on_reported, f);
}

struct one {
	struct fill *fill;
	struct message *message;
};

static void
on_stored(void *arg, enum err e)
{
	struct one *o = arg;
	struct fill *f = o->fill;
	f->failed += e != OK;
	f->id[f->stored++] = o->message->id;
	f->flying--;
	message_unref(&o->message);
	mem_free(&o);
	if (f->deliver && f->stored > f->behind)
		deliver(f, f->stored - f->behind - 1);
	next(f);
}

static void
next(struct fill *f)
{
	while (f->flying < f->batch && f->started < f->messages) {
		struct one *o = NEW(struct one);
		o->fill = f;
		o->message = make_message(f, f->started++);
		f->flying++;
		(void)spool_accept_start(
		    f->spool, o->message, loop_inbox(f->loop), on_stored, o);
	}
	if (f->flying == 0)
		loop_stop(f->loop);
}

/* ---- figures */

static uint64_t
octets_written(void)
{
	char line[100];
	unsigned long long n = 0;
	FILE *io = fopen("/proc/self/io", "re");
	while (io != NULL && fgets(line, sizeof(line), io) != NULL)
		if (strncmp(line, "wchar: ", 7) == 0)
			n = strtoull(line + 7, NULL, 10);
	if (io != NULL)
		(void)fclose(io);
	return n;
}

static void
print_result(struct fill *f, double seconds, uint64_t written)
{
	struct spool_stat st;
	struct spool_reader *r = spool_reader_new(f->spool);
	(void)spool_read_stat(r, &st);
	spool_reader_free(&r);
	printf("{\"messages\":%" PRIu64 ",\"delivered\":%" PRIu64 ",\"failed\":%" PRIu64
	       ",\"seconds\":%.3f,\"commits\":%" PRIu64 ",\"written\":%" PRIu64
	       ",\"file_bytes\":%" PRIu64 ",\"used_pages\":%" PRIu64 "}\n",
	    f->stored, f->reported, f->failed, seconds, st.commits, written,
	    st.file_bytes, st.used_pages);
}

static uint64_t
number(const char *s)
{
	uint64_t n;
	if (units_u64(span_str(s), UINT64_MAX, &n) != OK) {
		fprintf(stderr, "fill: %s is no number\n", s);
		exit(2);
	}
	return n;
}

static void
parse(struct fill *f, int argc, char **argv)
{
	static const struct option longs[] = {
	    {"spool", required_argument, NULL, 'p'},
	    {"messages", required_argument, NULL, 'm'},
	    {"destinations", required_argument, NULL, 'd'},
	    {"size", required_argument, NULL, 's'},
	    {"key", required_argument, NULL, 'k'},
	    {"domain", required_argument, NULL, 'D'},
	    {"due-in", required_argument, NULL, 'u'},
	    {"batch", required_argument, NULL, 'b'},
	    {"deliver", required_argument, NULL, 'r'},
	    {NULL, 0, NULL, 0},
	};
	int c;
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'p': f->path = optarg; break;
		case 'm': f->messages = number(optarg); break;
		case 'd': f->destinations = number(optarg); break;
		case 's': f->size = number(optarg); break;
		case 'k': f->key = optarg; break;
		case 'D': f->domain = optarg; break;
		case 'u': f->due_in = number(optarg); break;
		case 'b': f->batch = number(optarg); break;
		case 'r':
			f->behind = number(optarg);
			f->deliver = true;
			break;
		default: exit(2);
		}
	}
	if (f->path == NULL || f->destinations == 0 || f->batch == 0) {
		fputs("fill: --spool DIR is needed; see fill.c\n", stderr);
		exit(2);
	}
}

static void
make_text(struct fill *f)
{
	static const char line[] =
	    "The quick brown fox jumps over the lazy dog, and then once more.\r\n";
	f->text_n = (size_t)f->size;
	f->text = mem_alloc(f->text_n + sizeof(line));
	for (size_t at = 0; at < f->text_n; at += sizeof(line) - 1)
		memcpy(f->text + at, line, sizeof(line) - 1);
	if (f->text_n >= 2)
		memcpy(f->text + f->text_n - 2, "\r\n", 2);
}

int
main(int argc, char **argv)
{
	struct fill f = {.messages = 1000,
	    .destinations = 1,
	    .size = 1024,
	    .domain = "fill.test",
	    .batch = 1000};
	parse(&f, argc, argv);
	struct world *world = world_real();
	struct log *log = log_new(world, STDERR_FILENO);
	struct buf why;
	buf_init(&why, 1024);
	f.loop = loop_new(world);
	f.now = world_wall(world);
	struct pool *pool = pool_new(1, f.loop);
	struct spool_options o = {
	    .path = f.path, .create = true, .world = world, .log = log, .pool = pool};
	if (spool_open(&f.spool, &o, &why) != OK) {
		fprintf(stderr, "fill: %.*s\n", (int)why.n, why.p);
		return 1;
	}
	f.id = mem_alloc((f.messages + 1) * sizeof(*f.id));
	make_text(&f);
	uint64_t before = octets_written();
	struct instant began = world_now(world);
	next(&f);
	loop_run(f.loop);
	for (uint64_t i = f.messages - (f.behind < f.messages ? f.behind : f.messages);
	     f.deliver && i < f.messages; i++) {
		deliver(&f, i);
		if (f.flying >= f.batch || i + 1 == f.messages)
			loop_run(f.loop);
	}
	double seconds = (double)instant_since(world_now(world), began) / 1000;
	print_result(&f, seconds, octets_written() - before);
	spool_close(&f.spool);
	pool_free(&pool);
	(void)loop_turn(f.loop, false);
	loop_free(&f.loop);
	log_free(&log);
	buf_clear(&why);
	mem_free(&f.text);
	mem_free(&f.id);
	return f.failed == 0 ? 0 : 1;
}
