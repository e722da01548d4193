/* SPDX-License-Identifier: ISC */
/*
 * What the scheduler reads and keeps does not grow with what waits: rows and slices are
 * counted, nothing is timed.  Nobody can be reached, so a destination goes down with
 * its first attempt, and what waits for it stays in the spool.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/config.h"
#include "relay/egress/scheduler.h"
#include "tests/lib/fake_dns.h"
#include "tests/lib/spool_rig.h"

struct bounds {
	struct spool_rig *rig;
	struct fake_dns *dns;
	struct resolver *resolver;
	const struct config *config;
	struct courier *courier;
	struct scheduler *scheduler;
	struct egress_counters counters;
	unsigned most_fetches;
};

static const struct config *
config_with_routes(unsigned routes)
{
	struct buf text = {0}, errors = {0};
	buf_add_str(&text, "hostname = \"me.test\"\nspool { path = \"/tmp\" }\n"
			   "listener \"smtp\" { bind = {\"127.0.0.1:2525\"} }\n"
			   "retry { jitter = \"0%\" }\n");
	for (unsigned i = 0; i < routes; i++)
		buf_addf(&text,
		    "route \"r%u\" { to = {\"d%u.test\"} via = {\"192.0.2.1\"} }\n", i,
		    i);
	buf_add_char(&text, '\0');
	const struct config *c = config_parse("test.conf", text.p, &errors);
	buf_add_char(&errors, '\0');
	if (c == NULL)
		assert_string_equal(errors.p, "");
	buf_clear(&errors);
	buf_clear(&text);
	return c;
}

static void
fill(struct bounds *b, unsigned routes, unsigned each)
{
	char address[60], dest[60];
	for (unsigned i = 0; i < each; i++) {
		for (unsigned k = 0; k < routes; k++) {
			struct message *m = spool_rig_message(10, i);
			snprintf(address, sizeof(address), "u@d%u.test", k);
			snprintf(dest, sizeof(dest), "via:r%u", k);
			spool_rig_rcpt(m, address, dest, 0);
			(void)spool_rig_stored(b->rig, m);
		}
	}
}

static struct bounds *
bounds_new(unsigned routes, unsigned each)
{
	struct bounds *b = NEW(struct bounds);
	struct resolver_options none = {0};
	egress_counters_init(&b->counters);
	b->rig = spool_rig_new(0);
	if (spool_rig_open(b->rig) != OK)
		fail_msg("%s", b->rig->why);
	fill(b, routes, each);
	b->dns = fake_dns_new();
	b->resolver = resolver_new(
	    b->rig->loop, b->rig->log, fake_dns_transport(b->dns, b->rig->loop), &none);
	b->config = config_with_routes(routes);
	b->courier = courier_new(&(struct courier_options){.loop = b->rig->loop,
	    .log = b->rig->log,
	    .spool = b->rig->spool,
	    .resolver = b->resolver,
	    .config = b->config});
	b->scheduler = scheduler_new(&(struct scheduler_options){.loop = b->rig->loop,
	    .log = b->rig->log,
	    .spool = b->rig->spool,
	    .courier = &b->courier,
	    .couriers = 1,
	    .counters = &b->counters,
	    .config = b->config});
	return b;
}

static void
bounds_free(struct bounds *b)
{
	courier_free(&b->courier);
	spool_rig_run(b->rig);
	scheduler_free(&b->scheduler);
	resolver_free(&b->resolver);
	spool_rig_clean(b->rig);
	spool_rig_free(&b->rig);
	fake_dns_free(&b->dns);
	config_unref(&b->config);
	mem_free(&b);
}

/* Until nothing happens any more; how much is under way at most. */
static void
settle(struct bounds *b)
{
	while (loop_turn(b->rig->loop, false))
		if (b->scheduler->fetching > b->most_fetches)
			b->most_fetches = b->scheduler->fetching;
}

static void
pass(struct bounds *b, int64_t ms)
{
	atomic_fetch_add(&b->rig->mono_ms, ms);
	atomic_fetch_add(&b->rig->wall_ms, ms);
	settle(b);
}

static uint64_t
rows(struct bounds *b)
{
	return atomic_exchange(&b->counters.rows, 0);
}

/* Is everybody down? */
static bool
all_down(const struct bounds *b)
{
	MAP_EACH (&b->scheduler->dests, k)
		if (CONTAINER_OF(k, struct dest, node)->state != DEST_DOWN)
			return false;
	return true;
}

/* However many wait for a dead destination, a probe of it reads one slice. */
static void
test_dead_destination(void **state)
{
	static const unsigned waiting[] = {1000, 3000};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(waiting); i++) {
		struct bounds *b = bounds_new(1, waiting[i]);
		scheduler_start(b->scheduler);
		settle(b);
		assert_int_equal(b->scheduler->dests.n, 1);
		for (unsigned probe = 0; probe < 4; probe++) {
			assert_true(all_down(b));
			assert_in_range(rows(b), 1, 2 * FETCH_ROWS);
			assert_int_equal(b->scheduler->entries.n, 0);
			pass(b, 40 * MINUTE_MS);
		}
		assert_true(atomic_load(&b->counters.attempts) < 40);
		bounds_free(b);
	}
}

/* A start with many destinations reads few of them at a time, and each row once. */
static void
test_many_destinations(void **state)
{
	(void)state;
	struct bounds *b = bounds_new(200, 5);
	scheduler_start(b->scheduler);
	settle(b);
	assert_int_equal(b->scheduler->dests.n, 200);
	assert_true(all_down(b));
	assert_in_range(rows(b), 200, 200 * 5);
	assert_in_range(b->most_fetches, 2, FETCHES_MAX);
	assert_int_equal(b->scheduler->entries.n, 0);
	MAP_EACH (&b->scheduler->dests, k)
		assert_null(CONTAINER_OF(k, struct dest, node)->turns);
	bounds_free(b);
}

/* Rows that are in memory already are not read again; one that comes in front of them is.
 */
static void
test_rows_are_read_once(void **state)
{
	(void)state;
	struct bounds *b = bounds_new(1, 2 * FETCH_ROWS + 50);
	struct dest *d;
	scheduler_start(b->scheduler);
	/* a pause would keep rows from being read; no connections keep them ready */
	b->scheduler->running = b->config->client.connections;
	settle(b);
	d = CONTAINER_OF(map_first(&b->scheduler->dests), struct dest, node);
	assert_int_equal(rows(b), FETCH_ROWS);
	assert_int_equal(d->ready_n, FETCH_ROWS);
	/* half of them go: the next slice begins behind the last */
	for (unsigned i = 0; i < FETCH_ROWS - 50; i++)
		entry_free(dest_next(d));
	dest_step(d);
	settle(b);
	assert_int_equal(rows(b), FETCH_ROWS);
	assert_int_equal(d->ready_n, FETCH_ROWS + 50);
	/* an administrator's "now" may be before what has been read */
	dest_expect(d, (struct wall){1});
	while (d->ready_n > 0)
		entry_free(dest_next(d));
	dest_step(d);
	settle(b);
	assert_int_equal(rows(b), FETCH_ROWS);
	assert_int_equal(d->ready_n, FETCH_ROWS);
	b->scheduler->running = 0;
	bounds_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dead_destination),
	    cmocka_unit_test(test_many_destinations),
	    cmocka_unit_test(test_rows_are_read_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
