/* SPDX-License-Identifier: ISC */
/*
 * dns_cares: real c-ares against tests/real/dns_server.py on a loopback port.
 * Real clock: the timeouts are set short.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "resolver/dnsmsg.h"
#include "resolver/resolver.h"

#define PATIENCE_MS 20000

/* ---- the server */

struct server {
	char dir[64], zone[96], log[96];
	pid_t pid;
	int in; /* closing it ends the server */
	unsigned port;
};

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
run_server(const struct server *s, int in, int out, unsigned port)
{
	char number[16];
	(void)snprintf(number, sizeof(number), "%u", port);
	(void)dup2(in, 0);
	(void)dup2(out, 1);
	(void)execl("/usr/bin/python3", "python3", "tests/real/dns_server.py", "--port",
	    number, "--log", s->log, s->zone, (char *)NULL);
	_exit(127);
}

/* port 0: any. */
static void
server_run(struct server *s, unsigned port)
{
	int to[2], from[2];
	char line[64] = "";
	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	assert_int_equal(pipe2(from, O_CLOEXEC), 0);
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0)
		run_server(s, to[0], from[1], port);
	(void)close(to[0]);
	(void)close(from[1]);
	s->in = to[1];
	FILE *f = fdopen(from[0], "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	(void)fclose(f);
	assert_int_equal(strncmp(line, "listening ", 10), 0);
	s->port = (unsigned)strtoul(line + 10, NULL, 10);
	assert_int_not_equal(s->port, 0);
}

static void
server_end(struct server *s)
{
	int status;
	(void)close(s->in);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void
server_start(struct server *s, const char *zone)
{
	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/test_dns_cares.XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	(void)snprintf(s->zone, sizeof(s->zone), "%s/zone", s->dir);
	(void)snprintf(s->log, sizeof(s->log), "%s/log", s->dir);
	write_file(s->zone, zone);
	server_run(s, 0);
}

static void
server_stop(struct server *s)
{
	server_end(s);
	(void)unlink(s->zone);
	(void)unlink(s->log);
	(void)rmdir(s->dir);
}

/* ---- the transport under test, and questions to it */

struct stage {
	struct server server;
	struct loop *loop;
	struct log *log;
	struct buf lines; /* of the log */
	struct dns_transport *t;
};

static void
on_line(void *arg, enum log_level level, struct span line)
{
	struct buf *lines = arg;
	(void)level;
	buf_add_span(lines, line);
	buf_add_char(lines, '\n');
}

static bool
logged(const struct stage *s, const char *what)
{
	return s->lines.n > 0 &&
	       memmem(s->lines.p, s->lines.n, what, strlen(what)) != NULL;
}

static void
transport_open(struct stage *s, const char *servers)
{
	struct buf why = {0};
	struct dns_options o = {.servers = servers, .timeout_ms = 250, .tries = 2};
	s->t = dns_cares_new(s->loop, s->log, &o, &why);
	assert_non_null(s->t);
	assert_int_equal(why.n, 0);
}

static void
loop_open(struct stage *s)
{
	s->loop = loop_new(world_real());
	s->log = log_new(world_real(), -1);
	log_hook(s->log, on_line, &s->lines);
}

static void
loop_close(struct stage *s)
{
	loop_free(&s->loop);
	log_free(&s->log);
	buf_clear(&s->lines);
}

static void
stage_open(struct stage *s, const char *zone)
{
	char servers[32];
	memset(s, 0, sizeof(*s));
	server_start(&s->server, zone);
	loop_open(s);
	(void)snprintf(servers, sizeof(servers), "127.0.0.1:%u", s->server.port);
	transport_open(s, servers);
}

static void
stage_close(struct stage *s)
{
	if (s->t != NULL)
		s->t->free(s->t);
	server_stop(&s->server);
	loop_close(s);
}

struct question {
	const char *name;
	uint16_t type, id;
	unsigned calls;
	enum err status;
	struct dns_answer *answer;
};

static void
on_answer(void *arg, enum err status, struct span msg)
{
	struct question *q = arg;
	q->calls++;
	q->status = status;
	if (status == OK)
		q->answer = dns_read_answer(msg, q->id, q->name, q->type);
	else
		assert_int_equal(msg.n, 0);
}

static void
ask(struct stage *s, struct question *q, const char *name, uint16_t type)
{
	struct buf query = {0};
	*q = (struct question){.name = name, .type = type, .id = 0x4711};
	dns_add_query(&query, q->id, name, type);
	s->t->ask(s->t, buf_span(&query), on_answer, q);
	assert_int_equal(q->calls, 0);
	buf_clear(&query);
}

static void
wait_for(struct stage *s, const unsigned *calls, unsigned n)
{
	struct instant end = instant_after(world_now(world_real()), PATIENCE_MS);
	while (*calls < n && instant_since(end, world_now(world_real())) > 0)
		(void)loop_turn(s->loop, true);
	assert_int_equal(*calls, n);
}

/* One question to the end; the kind of its answer, or -1 with q->status. */
static int
resolve(struct stage *s, struct question *q, const char *name, uint16_t type)
{
	ask(s, q, name, type);
	wait_for(s, &q->calls, 1);
	int kind = q->answer ? (int)q->answer->kind : -1;
	return kind;
}

static void
pass(struct stage *s, int64_t ms)
{
	struct instant end = instant_after(world_now(world_real()), ms);
	while (instant_since(end, world_now(world_real())) > 0)
		if (!loop_turn(s->loop, false))
			(void)usleep(5000);
}

#define ZONE                                                                            \
	"example.org MX 10 mx1.example.org; example.org MX 20 mx2.example.org\n"        \
	"mx1.example.org A 192.0.2.1; mx1.example.org AAAA 2001:db8::1\n"               \
	"alias.example CNAME example.org; null.example MX 0 .\n"                        \
	"servfail.example SERVFAIL; refused.example REFUSED; notimp.example NOTIMP\n"   \
	"slow.example TIMEOUT; late.example SLOW 60; late.example MX 10 late.example\n" \
	"big.example TRUNCATE; big.example MX 10 mx.big.example\n"                      \
	"drip.example DRIP; drip.example MX 10 mx.drip.example\n"                       \
	"notcp.example NOTCP; notcp.example MX 10 mx.notcp.example\n"                   \
	"garbage.example GARBAGE; empty.example EMPTY; wrongid.example WRONGID\n"       \
	"wrongname.example WRONGNAME; noq.example NOQUESTION\n"                         \
	"old.example NOEDNS; old.example MX 10 mx.old.example\n"

static void
test_answers(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint16_t type;
		int kind; /* -1: status */
		enum err status;
		const char *trouble;
	} cases[] = {
	    {"example.org", DNS_MX, DNS_DATA, OK, NULL},
	    {"mx1.example.org", DNS_A, DNS_DATA, OK, NULL},
	    {"mx1.example.org", DNS_AAAA, DNS_DATA, OK, NULL},
	    {"mx1.example.org", DNS_MX, DNS_NODATA, OK, NULL},
	    {"alias.example", DNS_MX, DNS_DATA, OK, NULL},
	    {"null.example", DNS_MX, DNS_DATA, OK, NULL},
	    {"nothing.example", DNS_MX, DNS_NXDOMAIN, OK, NULL},
	    {"late.example", DNS_MX, DNS_DATA, OK, NULL},
	    {"big.example", DNS_MX, DNS_DATA, OK, NULL},
	    {"drip.example", DNS_MX, DNS_DATA, OK, NULL},
	    {"servfail.example", DNS_MX, DNS_FAILED, OK, "SERVFAIL"},
	    {"refused.example", DNS_MX, DNS_FAILED, OK, "REFUSED"},
	    {"notimp.example", DNS_MX, DNS_FAILED, OK, "NOTIMP"},
	    {"slow.example", DNS_MX, -1, ERR_TIMEOUT, NULL},
	    {"garbage.example", DNS_MX, -1, ERR_TIMEOUT, NULL},
	    {"empty.example", DNS_MX, -1, ERR_TIMEOUT, NULL},
	    {"wrongid.example", DNS_MX, -1, ERR_TIMEOUT, NULL},
	    {"wrongname.example", DNS_MX, -1, ERR_TIMEOUT, NULL},
	    {"example.org", DNS_MX, DNS_DATA, OK, NULL},
	};
	struct stage s;
	struct question q;
	stage_open(&s, ZONE);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		if (resolve(&s, &q, cases[i].name, cases[i].type) != cases[i].kind ||
		    q.status != cases[i].status)
			fail_msg("%s: kind %d, %s (%s)", cases[i].name,
			    q.answer ? (int)q.answer->kind : -1, err_text(q.status),
			    q.answer ? q.answer->trouble : "");
		if (cases[i].trouble != NULL)
			assert_string_equal(q.answer->trouble, cases[i].trouble);
		dns_answer_unref(&q.answer);
	}
	assert_true(logged(&s, "dns-servers"));
	stage_close(&s);
}

/* TCP that is closed, or an answer without a question: never data, never permanent. */
static void
test_failures_stay_temporary(void **state)
{
	(void)state;
	static const char *const names[] = {"notcp.example", "noq.example"};
	struct stage s;
	struct question q;
	stage_open(&s, ZONE);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		int kind = resolve(&s, &q, names[i], DNS_MX);
		assert_true(kind == -1 || kind == DNS_FAILED);
		dns_answer_unref(&q.answer);
	}
	stage_close(&s);
}

static void
test_many_at_once(void **state)
{
	(void)state;
	static struct question q[5000];
	struct stage s;
	stage_open(&s, ZONE);
	for (size_t i = 0; i < COUNT_OF(q); i++)
		ask(&s, &q[i], i % 2 ? "example.org" : "mx1.example.org",
		    i % 2 ? DNS_MX : DNS_A);
	unsigned data = 0;
	for (size_t i = 0; i < COUNT_OF(q); i++) {
		wait_for(&s, &q[i].calls, 1);
		data += q[i].answer != NULL && q[i].answer->kind == DNS_DATA;
		dns_answer_unref(&q[i].answer);
	}
	/* Such a burst overruns socket buffers, and the server is slow: some time out,
	 * once each. */
	assert_in_range(data, 300, COUNT_OF(q));
	stage_close(&s);
}

/* Ids on the wire are spread over all 16 bits (e10). */
static void
test_ids(void **state)
{
	(void)state;
	struct stage s;
	struct question q;
	unsigned high[16] = {0}, id, lines = 0;
	char text[128];
	stage_open(&s, ZONE);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(resolve(&s, &q, "example.org", DNS_MX), DNS_DATA);
		dns_answer_unref(&q.answer);
	}
	FILE *f = fopen(s.server.log, "r");
	assert_non_null(f);
	while (fgets(text, sizeof(text), f) != NULL) {
		id = (unsigned)strtoul(text + 4, NULL, 10);
		high[id >> 12]++;
		lines++;
	}
	(void)fclose(f);
	assert_in_range(lines, 200, 210);
	for (int i = 0; i < 16; i++)
		assert_in_range(high[i], 1, 40);
	stage_close(&s);
}

/* The server dies and returns (e8). */
static void
test_server_returns(void **state)
{
	(void)state;
	struct stage s;
	struct question q;
	stage_open(&s, ZONE);
	assert_int_equal(resolve(&s, &q, "example.org", DNS_MX), DNS_DATA);
	dns_answer_unref(&q.answer);
	server_end(&s.server);
	assert_int_equal(resolve(&s, &q, "example.org", DNS_MX), -1);
	assert_int_equal(q.status, ERR_REFUSED);
	server_run(&s.server, s.server.port);
	assert_int_equal(resolve(&s, &q, "example.org", DNS_MX), DNS_DATA);
	dns_answer_unref(&q.answer);
	write_file(s.server.zone, "example.org MX 0 .");
	assert_int_equal(resolve(&s, &q, "mx1.example.org", DNS_A), DNS_NXDOMAIN);
	dns_answer_unref(&q.answer);
	stage_close(&s);
}

/* The first server is dead, the second answers. */
static void
test_next_server(void **state)
{
	(void)state;
	struct stage s;
	struct question q;
	struct buf text = {0};
	char servers[64];
	memset(&s, 0, sizeof(s));
	server_start(&s.server, ZONE);
	loop_open(&s);
	(void)snprintf(
	    servers, sizeof(servers), "127.0.0.1:1 , 127.0.0.1:%u", s.server.port);
	transport_open(&s, servers);
	assert_int_equal(resolve(&s, &q, "example.org", DNS_MX), DNS_DATA);
	dns_answer_unref(&q.answer);
	s.t->describe(s.t, &text);
	(void)snprintf(
	    servers, sizeof(servers), "127.0.0.1:1, 127.0.0.1:%u", s.server.port);
	assert_true(span_eq(buf_span(&text), span_str(servers)));
	buf_clear(&text);
	stage_close(&s);
}

/* One FORMERR without OPT makes c-ares drop EDNS for ever: the channel is replaced. */
static void
test_edns_comes_back(void **state)
{
	(void)state;
	struct stage s;
	struct question q;
	stage_open(&s, ZONE);
	assert_int_equal(resolve(&s, &q, "old.example", DNS_MX), DNS_DATA);
	assert_false(q.answer->opt);
	dns_answer_unref(&q.answer);
	pass(&s, 300);
	assert_true(logged(&s, "FORMERR"));
	assert_int_equal(resolve(&s, &q, "example.org", DNS_MX), DNS_DATA);
	assert_true(q.answer->opt);
	dns_answer_unref(&q.answer);
	stage_close(&s);
}

/* Silence: once in a while the sockets are made anew. */
static void
test_silence_renews(void **state)
{
	(void)state;
	struct stage s;
	struct question q[6];
	stage_open(&s, ZONE);
	for (size_t i = 0; i < COUNT_OF(q); i++)
		ask(&s, &q[i], "slow.example", DNS_MX);
	for (size_t i = 0; i < COUNT_OF(q); i++)
		wait_for(&s, &q[i].calls, 1);
	pass(&s, 300);
	assert_true(logged(&s, "no answer for a while"));
	assert_int_equal(resolve(&s, &q[0], "example.org", DNS_MX), DNS_DATA);
	dns_answer_unref(&q[0].answer);
	stage_close(&s);
}

/* Freed with questions in flight: no callback comes. */
static void
test_free_in_flight(void **state)
{
	(void)state;
	static struct question q[4000];
	struct stage s;
	stage_open(&s, ZONE);
	for (size_t i = 0; i < COUNT_OF(q); i++)
		ask(&s, &q[i], i % 2 ? "slow.example" : "big.example", DNS_MX);
	(void)loop_turn(s.loop, false);
	s.t->free(s.t);
	s.t = NULL;
	unsigned before = 0, after = 0;
	for (size_t i = 0; i < COUNT_OF(q); i++)
		before += q[i].calls;
	pass(&s, 100);
	for (size_t i = 0; i < COUNT_OF(q); i++) {
		after += q[i].calls;
		dns_answer_unref(&q[i].answer);
	}
	assert_int_equal(before, after);
	stage_close(&s);
}

static void
test_full(void **state)
{
	(void)state;
	static struct question q[14000];
	struct stage s;
	stage_open(&s, ZONE);
	for (size_t i = 0; i < COUNT_OF(q); i++)
		ask(&s, &q[i], "slow.example", DNS_MX);
	(void)loop_turn(s.loop, false);
	unsigned full = 0;
	for (size_t i = 0; i < COUNT_OF(q); i++)
		full += q[i].calls == 1 && q[i].status == ERR_FULL;
	assert_int_equal(full, 1000);
	stage_close(&s);
}

static void
test_resolv_conf(void **state)
{
	(void)state;
	struct stage s;
	struct question q;
	struct buf text = {0}, why = {0};
	char path[] = "/tmp/test_dns_cares.conf.XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	(void)close(fd);
	write_file(path, "nameserver 127.0.0.53\nnameserver ::1\n");
	memset(&s, 0, sizeof(s));
	loop_open(&s);
	struct dns_options o = {.timeout_ms = 300, .tries = 1, .resolv_conf = path};
	s.t = dns_cares_new(s.loop, s.log, &o, &why);
	assert_non_null(s.t);
	s.t->describe(s.t, &text);
	assert_true(span_eq(buf_span(&text), SPAN("127.0.0.53:53, [::1]:53")));
	buf_reset(&text);
	write_file(path, "nameserver 127.0.0.54\nnameserver 192.0.2.1\n");
	pass(&s, 5100); /* looked at every 5 s, when a question is asked */
	ask(&s, &q, "example.org", DNS_MX);
	s.t->describe(s.t, &text);
	assert_true(span_eq(buf_span(&text), SPAN("127.0.0.54:53, 192.0.2.1:53")));
	assert_true(logged(&s, "resolv.conf changed"));
	assert_true(logged(&s, "not on loopback"));
	buf_clear(&text);
	s.t->free(s.t);
	loop_close(&s);
	(void)unlink(path);
}

static void
test_bad_servers(void **state)
{
	(void)state;
	static const char *const bad[] = {"localhost", "127.0.0.1:", "127.0.0.1:0x",
	    "1.2.3", ",", "127.0.0.1:53,,", "[::1", "127.0.0.1:99999"};
	struct stage s;
	memset(&s, 0, sizeof(s));
	loop_open(&s);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct buf why = {0};
		struct dns_options o = {.servers = bad[i]};
		assert_null(dns_cares_new(s.loop, s.log, &o, &why));
		assert_true(why.n > 0);
		buf_clear(&why);
	}
	loop_close(&s);
}

/* The whole room over a real wire. */
struct reply {
	unsigned calls;
	enum mx_outcome outcome;
	char why[256];
};

static void
on_mx(void *arg, const struct mx_answer *a)
{
	struct reply *reply = arg;
	reply->calls++;
	reply->outcome = a->outcome;
	memcpy(reply->why, a->why, sizeof(reply->why));
}

static void
test_with_resolver(void **state)
{
	(void)state;
	static const struct {
		const char *domain;
		enum mx_outcome outcome;
	} cases[] = {
	    {"example.org", MX_HOSTS},
	    {"alias.example", MX_HOSTS},
	    {"null.example", MX_NULL},
	    {"nothing.example", MX_NO_DOMAIN},
	    {"big.example", MX_NO_HOST},
	    {"servfail.example", MX_TEMPORARY},
	    {"slow.example", MX_TEMPORARY},
	    {"empty.example", MX_TEMPORARY},
	    {"notcp.example", MX_TEMPORARY},
	};
	struct stage s;
	struct resolver_options o = {0};
	stage_open(&s, ZONE);
	struct resolver *r = resolver_new(s.loop, s.log, s.t, &o);
	s.t = NULL;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct reply reply = {0};
		(void)resolver_mx_start(r, span_str(cases[i].domain), 0, on_mx, &reply);
		wait_for(&s, &reply.calls, 1);
		if (reply.outcome != cases[i].outcome)
			fail_msg("%s", reply.why);
	}
	resolver_free(&r);
	stage_close(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_failures_stay_temporary),
	    cmocka_unit_test(test_many_at_once),
	    cmocka_unit_test(test_ids),
	    cmocka_unit_test(test_server_returns),
	    cmocka_unit_test(test_next_server),
	    cmocka_unit_test(test_edns_comes_back),
	    cmocka_unit_test(test_silence_renews),
	    cmocka_unit_test(test_free_in_flight),
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_resolv_conf),
	    cmocka_unit_test(test_bad_servers),
	    cmocka_unit_test(test_with_resolver),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
