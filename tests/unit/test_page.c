/* SPDX-License-Identifier: ISC */
/* The page beside a real spool: the survey and its watchdog, health, figures, and who is
 * turned away; histograms, and what a bounce is counted as. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/control/page_private.h"
#include "relay/egress/scheduler.h"
#include "tests/lib/spool_rig.h"

static const char configuration[] = "hostname = \"relay.test\"\n"
				    "spool { path = \"/nowhere\" }\n"
				    "metrics { hosts = {\"other.test\"} }\n"
				    "listener \"smtp\" { bind = {\"127.0.0.1:25\"} }\n";

struct fixture {
	struct spool_rig *rig;
	const struct config *config;
	struct scheduler *scheduler;
	struct page *page;
	struct ingress_counters ingress;
	struct egress_counters egress;
	struct pickup_counters pickup;
	struct resolver_counters resolver;
	struct content_budget budget;
	const char *not_ready;
	bool hangs; /* thread 1 does not turn */
	void (*back)(void *arg);
	void *back_arg;
	char got[70000];
};

static const struct config *
the_config(void *arg)
{
	return ((struct fixture *)arg)->config;
}

static unsigned
sessions(void *arg)
{
	(void)arg;
	return 7;
}

static bool
paused_in(void *arg)
{
	(void)arg;
	return false;
}

static const char *
not_ready(void *arg)
{
	return ((struct fixture *)arg)->not_ready;
}

static void
ping(void *arg, unsigned i, void (*back)(void *back_arg), void *back_arg)
{
	struct fixture *f = arg;
	if (i == 1 && f->hangs) {
		f->back = back;
		f->back_arg = back_arg;
	} else {
		back(back_arg);
	}
}

static int
setup(void **state)
{
	static struct courier *none[1];
	struct fixture *f = NEW(struct fixture);
	struct buf errors;
	buf_init(&errors, 4096);
	f->rig = spool_rig_new(0);
	assert_int_equal(spool_rig_open(f->rig), OK);
	f->config = config_parse("t.conf", configuration, &errors);
	assert_non_null(f->config);
	buf_clear(&errors);
	egress_counters_init(&f->egress);
	f->ingress.listener[0].name = "sm\"tp";
	struct scheduler_options so = {.loop = f->rig->loop,
	    .log = f->rig->log,
	    .spool = f->rig->spool,
	    .courier = none,
	    .couriers = 1,
	    .counters = &f->egress,
	    .config = f->config};
	f->scheduler = scheduler_new(&so);
	struct page_options po = {.loop = f->rig->loop,
	    .log = f->rig->log,
	    .spool = f->rig->spool,
	    .scheduler = f->scheduler,
	    .ingress = &f->ingress,
	    .egress = &f->egress,
	    .pickup = &f->pickup,
	    .resolver = &f->resolver,
	    .budget = &f->budget,
	    .host = {the_config, sessions, not_ready, paused_in, ping, NULL, 2, f}};
	f->page = page_new(&po);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	page_free(&f->page);
	scheduler_free(&f->scheduler);
	spool_rig_free(&f->rig);
	config_unref(&f->config);
	mem_free(state);
	return 0;
}

static void
pass(struct fixture *f, int64_t ms)
{
	spool_rig_run(f->rig);
	f->rig->mono_ms += ms;
	f->rig->wall_ms += ms;
	spool_rig_run(f->rig);
}

static const char *
ask(struct fixture *f, const char *request, int64_t wait_ms)
{
	static const struct net_addr peer = {NET_IPV4, {127, 0, 0, 1}, 1, 0};
	int pair[2];
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	page_serve(f->page, pair[0], &peer);
	assert_int_equal(
	    send(pair[1], request, strlen(request), 0), (ssize_t)strlen(request));
	spool_rig_run(f->rig);
	if (wait_ms > 0)
		pass(f, wait_ms);
	ssize_t n = recv(pair[1], f->got, sizeof(f->got) - 1, 0);
	f->got[n > 0 ? n : 0] = '\0';
	(void)close(pair[1]);
	spool_rig_run(f->rig);
	return f->got;
}

static const char *
get(struct fixture *f, const char *path)
{
	char request[200];
	(void)snprintf(
	    request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
	return ask(f, request, 0);
}

static void
has(const char *text, const char *what)
{
	if (strstr(text, what) == NULL)
		fail_msg("no \"%s\" in %s", what, text);
}

static void
test_watchdog(void **state)
{
	struct fixture *f = *state;
	int64_t later = f->rig->wall_ms + 20 * MINUTE_MS;
	struct message *m = spool_rig_message(10, 1);
	spool_rig_rcpt(m, "a@a.test", "mx:a.test", later);
	spool_rig_rcpt(m, "b@b.test", "mx:b.test", later);
	(void)spool_rig_stored(f->rig, m);
	/* a destination that has a timer for one of them; nobody knows of the other */
	f->scheduler->started = true;
	dest_expect(dest_get(f->scheduler, SPAN("mx:a.test")), (struct wall){later});
	pass(f, 3 * SECOND_MS);
	has(get(f, "/metrics"), "\nrelayd_watchdog_stuck_recipients 0\n");
	has(f->got, "\nrelayd_queue_recipients{state=\"new\",age=\"1m\"} 2\n");
	has(f->got, "\nrelayd_queue_messages 1\n");
	assert_null(memmem(f->rig->lines.p, f->rig->lines.n, " stuck ", 7));
	pass(f, 31 * SECOND_MS);
	has(get(f, "/metrics"), "\nrelayd_watchdog_stuck_recipients 1\n");
	assert_non_null(memmem(f->rig->lines.p, f->rig->lines.n, "error stuck id=", 15));
	/* told once, and over when somebody has it */
	buf_reset(&f->rig->lines);
	pass(f, 31 * SECOND_MS);
	assert_null(memmem(f->rig->lines.p, f->rig->lines.n, " stuck ", 7));
	dest_expect(dest_get(f->scheduler, SPAN("mx:b.test")), (struct wall){later});
	pass(f, 31 * SECOND_MS);
	has(get(f, "/metrics"), "\nrelayd_watchdog_stuck_recipients 0\n");
	f->scheduler->started = false;
}

static void
test_ages(void **state)
{
	struct fixture *f = *state;
	struct message *m = spool_rig_message(10, 1);
	spool_rig_rcpt(m, "a@a.test", "mx:a.test", 0);
	(void)spool_rig_stored(f->rig, m);
	pass(f, 3 * SECOND_MS);
	static const struct {
		int64_t ms;
		const char *age;
	} cases[] = {{4 * MINUTE_MS, "5m"}, {20 * MINUTE_MS, "30m"}, {7 * HOUR_MS, "8h"},
	    {12 * HOUR_MS, "1d"}, {9 * DAY_MS, "older"}};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char want[100];
		pass(f, cases[i].ms);
		(void)snprintf(want, sizeof(want),
		    "\nrelayd_queue_recipients{state=\"new\",age=\"%s\"} 1\n",
		    cases[i].age);
		has(get(f, "/metrics"), want);
	}
}

static void
test_health(void **state)
{
	struct fixture *f = *state;
	has(get(f, "/healthz"), "HTTP/1.1 200 ");
	has(get(f, "/readyz"), "HTTP/1.1 200 ");
	f->not_ready = "the spool is full";
	has(get(f, "/readyz"), "HTTP/1.1 503 ");
	has(f->got, "the spool is full\n");
	has(get(f, "/healthz"), "HTTP/1.1 200 ");
	f->hangs = true;
	has(ask(f, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 3 * SECOND_MS),
	    "HTTP/1.1 503 ");
	has(f->got, "io thread 1 does not turn\n");
	f->hangs = false;
	f->back(f->back_arg); /* it turns again */
	has(get(f, "/healthz"), "HTTP/1.1 200 ");
}

static void
test_names(void **state)
{
	static const struct {
		const char *host;
		unsigned status;
	} cases[] = {{"localhost", 200}, {"RELAY.test:9525", 200}, {"other.test", 200},
	    {"192.0.2.1", 200}, {"[2001:db8::1]:9525", 200}, {"evil.test", 421},
	    {"localhost.evil.test", 421}, {"", 421}, {"[", 421}, {"[]", 421}, {":", 421}};
	struct fixture *f = *state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char request[200], want[40];
		(void)snprintf(request, sizeof(request),
		    "GET /readyz HTTP/1.1\r\nHost: %s\r\n\r\n", cases[i].host);
		(void)snprintf(want, sizeof(want), "HTTP/1.1 %u ", cases[i].status);
		has(ask(f, request, 0), want);
	}
}

static void
test_strangers(void **state)
{
	struct fixture *f = *state;
	has(get(f, "/"), "Sign in");
	has(f->got, "Taking mail and delivering it.");
	has(get(f, "/style.css"), "text/css");
	has(get(f, "/page.js"), "text/javascript");
	has(get(f, "/nothing"), "HTTP/1.1 404 ");
	has(ask(f,
		"POST /act HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n"
		"do=retry&id=aaa",
		0),
	    "Not over this connection"); /* there is no signin here */
	has(get(f, "/metrics"), "relayd_connections_total{listener=\"sm\\\"tp\"} 0\n");
	has(f->got, "\nrelayd_sessions 7\n");
}

static void
test_histogram(void **state)
{
	static const uint64_t bounds[] = {10, 20};
	struct histogram h = {0};
	struct histogram_reading r;
	(void)state;
	histogram_init(&h, bounds, COUNT_OF(bounds));
	static const uint64_t values[] = {0, 10, 11, 20, 21, 1000};
	for (size_t i = 0; i < COUNT_OF(values); i++)
		histogram_add(&h, values[i]);
	histogram_read(&h, &r);
	assert_int_equal(r.up_to[0], 2);
	assert_int_equal(r.up_to[1], 4);
	assert_int_equal(r.up_to[2], 6);
	assert_int_equal(r.sum, 1062);
}

static void
test_bounce_classes(void **state)
{
	static const struct {
		const char *status;
		enum bounce_class class;
	} cases[] = {{"5.1.1", BOUNCE_ADDRESS}, {"5.2.2", BOUNCE_MAILBOX},
	    {"5.4.4", BOUNCE_NETWORK}, {"5.4.7", BOUNCE_EXPIRED},
	    {"5.7.26", BOUNCE_POLICY}, {"5.0.0", BOUNCE_OTHER}, {"5.9.1", BOUNCE_OTHER},
	    {"", BOUNCE_OTHER}, {"5", BOUNCE_OTHER}, {"5.71", BOUNCE_OTHER}};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct egress_counters c = {0};
		egress_count_bounce(&c, cases[i].status);
		assert_int_equal(c.bounced_by[cases[i].class], 1);
		assert_int_equal(c.failed, 1);
	}
	for (unsigned i = 0; i < BOUNCE_CLASSES; i++)
		assert_non_null(bounce_class_name((enum bounce_class)i));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_watchdog, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_ages, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_health, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_names, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
	    cmocka_unit_test(test_histogram),
	    cmocka_unit_test(test_bounce_classes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
