/* SPDX-License-Identifier: ISC */
/* Limits: who is counted, what a refusal says and when it is logged, what is forgotten.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/ingress/meters.h"

struct fixture {
	struct meters *meters;
	struct config *config;
	struct net_addr client;
	struct meter_subject who;
	struct instant now;
	struct meter_refusal why;
};

static void
add_limit(struct fixture *f, const char *name, enum limit_per per, enum meter_kind kind,
    const char *rate)
{
	struct limit_config *l = &f->config->limit[f->config->limits++];
	struct rate_list *list = kind == METER_CONNECTION ? &l->connections
				 : kind == METER_MESSAGE  ? &l->messages
							  : &l->recipients;
	l->name = mem_strdup(name);
	l->per = per;
	list->n = 1;
	assert_int_equal(rate_parse(span_str(rate), &list->rate[0]), OK);
}

static void
from(struct fixture *f, const char *ip)
{
	assert_int_equal(net_parse_ip(span_str(ip), &f->client), OK);
}

static int
setup(void **state)
{
	struct fixture *f = NEW(struct fixture);
	f->meters = meters_new(world_real());
	f->config = NEW(struct config);
	f->who = (struct meter_subject){.client = &f->client, .listener = SPAN("smtp")};
	f->now.ms = 5000000;
	from(f, "192.0.2.7");
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < f->config->limits; i++)
		mem_free(&f->config->limit[i].name);
	mem_free(&f->config);
	meters_free(&f->meters);
	mem_free(&f);
	return 0;
}

static bool
take(struct fixture *f, enum meter_kind kind)
{
	return meters_take(f->meters, f->config, kind, &f->who, f->now, &f->why);
}

static void
test_no_limit(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 1000; i++)
		assert_true(take(f, METER_MESSAGE));
	add_limit(f, "m", LIMIT_PER_ACCOUNT, METER_MESSAGE, "1/1h");
	for (int i = 0; i < 10; i++) {
		assert_true(take(f, METER_MESSAGE)); /* no account: no subject */
		assert_true(take(f, METER_RECIPIENT));
	}
	assert_int_equal(meters_subjects(f->meters), 0);
	assert_true(
	    meters_take(NULL, f->config, METER_MESSAGE, &f->who, f->now, &f->why));
}

static void
test_words_and_time(void **state)
{
	struct fixture *f = *state;
	struct buf text;
	buf_init(&text, 300);
	add_limit(f, "many", LIMIT_PER_CLIENT, METER_MESSAGE, "100/1h");
	for (int i = 0; i < 100; i++)
		assert_true(take(f, METER_MESSAGE));
	assert_false(take(f, METER_MESSAGE));
	assert_true(f->why.first);
	assert_int_equal(f->why.wait_ms, 36000);
	meters_explain(&f->why, METER_MESSAGE, &text);
	assert_true(span_eq(
	    buf_span(&text), SPAN("limit many: 100 messages in 1h; come again in 36s")));
	f->now.ms += 35999;
	assert_false(take(f, METER_MESSAGE));
	assert_false(f->why.first);
	assert_int_equal(f->why.wait_ms, 1);
	f->now.ms += 1;
	assert_true(take(f, METER_MESSAGE));
	assert_false(take(f, METER_MESSAGE));
	assert_false(f->why.first);
	f->now.ms += HOUR_MS; /* the next period: all of it, and logged anew */
	for (int i = 0; i < 100; i++)
		assert_true(take(f, METER_MESSAGE));
	assert_false(take(f, METER_MESSAGE));
	assert_true(f->why.first);
	buf_clear(&text);
}

static void
test_subjects(void **state)
{
	struct fixture *f = *state;
	add_limit(f, "c", LIMIT_PER_CLIENT, METER_CONNECTION, "1/1h");
	static const struct {
		const char *ip;
		bool ok;
	} clients[] = {{"192.0.2.7", true}, {"192.0.2.7", false}, {"192.0.2.8", true},
	    {"::ffff:192.0.2.8", false}, {"2001:db8::1", true},
	    {"2001:db8:0:0:ffff::1", false}, {"2001:db8:0:1::1", true}};
	for (size_t i = 0; i < COUNT_OF(clients); i++) {
		from(f, clients[i].ip);
		if (take(f, METER_CONNECTION) != clients[i].ok)
			fail_msg("%s", clients[i].ip);
	}
	add_limit(f, "s", LIMIT_PER_SENDER, METER_MESSAGE, "1/1h");
	f->who.sender = SPAN("a@b.example");
	assert_true(take(f, METER_MESSAGE));
	f->who.sender = SPAN("A@B.example");
	assert_false(take(f, METER_MESSAGE));
	f->who.sender = SPAN(""); /* bounces are nobody's */
	assert_true(take(f, METER_MESSAGE));
	assert_true(take(f, METER_MESSAGE));
}

/* Who is refused by one limit uses nothing of another; a message is no recipient. */
static void
test_all_or_none(void **state)
{
	struct fixture *f = *state;
	add_limit(f, "client", LIMIT_PER_CLIENT, METER_RECIPIENT, "3/1h");
	add_limit(f, "account", LIMIT_PER_ACCOUNT, METER_RECIPIENT, "1/1h");
	f->who.account = SPAN("me");
	assert_true(take(f, METER_RECIPIENT));
	for (int i = 0; i < 10; i++) {
		assert_false(take(f, METER_RECIPIENT));
		assert_string_equal(f->why.limit->name, "account");
	}
	f->who.account = SPAN("you");
	assert_true(take(f, METER_RECIPIENT));
	f->who.account = SPAN("they");
	assert_true(take(f, METER_RECIPIENT));
	f->who.account = SPAN("we");
	assert_false(take(f, METER_RECIPIENT));
	assert_string_equal(f->why.limit->name, "client");
	assert_true(take(f, METER_MESSAGE));
}

/* A limit is known by its name: a new configuration in another order forgets nothing. */
static void
test_reload(void **state)
{
	struct fixture *f = *state;
	add_limit(f, "a", LIMIT_PER_CLIENT, METER_MESSAGE, "1/1h");
	assert_true(take(f, METER_MESSAGE));
	mem_free(&f->config->limit[0].name);
	f->config->limits = 0;
	add_limit(f, "b", LIMIT_PER_CLIENT, METER_RECIPIENT, "1/1h");
	f->config->limit[0].messages.n = 0;
	add_limit(f, "a", LIMIT_PER_CLIENT, METER_MESSAGE, "1/1h");
	assert_false(take(f, METER_MESSAGE));
	assert_string_equal(f->why.limit->name, "a");
}

static void
take_number(struct fixture *f, unsigned i)
{
	char text[32];
	(void)snprintf(
	    text, sizeof(text), "10.%u.%u.%u", i >> 16, (i >> 8) & 255, i & 255);
	from(f, text);
	assert_true(take(f, METER_CONNECTION));
}

static void
test_bound(void **state)
{
	struct fixture *f = *state;
	add_limit(f, "c", LIMIT_PER_CLIENT, METER_CONNECTION, "1/1h");
	for (unsigned i = 0; i < METERS_MAX; i++)
		take_number(f, i);
	assert_int_equal(meters_subjects(f->meters), METERS_MAX);
	from(f, "10.0.0.0");
	assert_false(take(f, METER_CONNECTION)); /* known, and used just now */
	take_number(f, METERS_MAX);
	assert_int_equal(meters_subjects(f->meters), METERS_MAX);
	assert_int_equal(f->now.ms, 5000000);
	from(f, "10.0.0.0");
	assert_false(take(f, METER_CONNECTION));
	take_number(f, 1); /* the least recently used was forgotten */
	f->now.ms += HOUR_MS;
	take_number(f, METERS_MAX + 1); /* now all are idle, and some go at once */
	assert_true(meters_subjects(f->meters) < METERS_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_no_limit, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_words_and_time, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_subjects, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_all_or_none, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
