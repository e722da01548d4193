/* SPDX-License-Identifier: ISC */
/*
 * Failures tell nothing; too many lock out; what was right is believed for a while.
 */
#include "tests/unit/signin_rig.h"

/* ---- failures tell nothing */

static void
test_same_words_same_time(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct verdict first;
	add_joe(r);
	(void)admin(
	    r, 0, "{\"cmd\":\"user-add\",\"name\":\"off\",\"password\":\"right\"}");
	(void)admin(r, 0, "{\"cmd\":\"user-set\",\"name\":\"off\",\"disabled\":true}");
	(void)admin(r, 0,
	    "{\"cmd\":\"user-add\",\"name\":\"pop\",\"password\":\"right\","
	    "\"service\":[\"pop3\"]}");
	static const struct {
		const char *name, *password, *why;
	} table[] = {
	    {"joe", "wrong", "wrong password"}, {"nobody", "wrong", "no such account"},
	    {"off", "right", "disabled"},
	    {"pop", "right", "wrong password"}, /* not for smtp */
	};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		int64_t took;
		assert_int_equal(
		    plain_at(r, NULL, table[i].name, table[i].password, &took), 535);
		assert_int_equal(took, DELAY_MS);
		assert_string_equal(r->why, table[i].why); /* for our log only */
		assert_string_equal(r->name, table[i].name);
		if (i == 0)
			first = r->verdict;
		assert_int_equal(r->verdict.code, first.code);
		assert_string_equal(r->verdict.text, first.text);
	}
	struct signin_facts f = facts();
	f.service = "pop3";
	assert_int_equal(plain_at(r, &f, "pop", "right", NULL), 0);
	rig_free(r);
}

/* The delay counts from the client's last message, not from the beginning. */
static void
test_delay_from_last(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_exchange *x = begin(r, "LOGIN", NULL, SPAN("joe"));
	(void)wait_for(r, 1);
	fake_world_pass(&r->world, 30 * SECOND_MS);
	turns(r);
	signin_respond(x, SPAN("wrong"));
	assert_int_equal(wait_for(r, 2), DELAY_MS);
	assert_int_equal(r->verdict.code, 535);
	rig_free(r);
}

/* The longest delay is no reason to believe that the helper has gone. */
static void
test_longest_delay(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_settings s = {
	    .delay_ms = SIGNIN_DELAY_MAX, .attempts = 10, .lockout_ms = MINUTE_MS};
	int64_t took;
	add_joe(r);
	signin_settings(r->signin, &s);
	assert_int_equal(plain_at(r, NULL, "joe", "wrong", &took), 535);
	assert_int_equal(took, SIGNIN_DELAY_MAX);
	rig_free(r);
}

/* ---- lockout */

static void
settle(struct rig *r, unsigned attempts, int64_t cache_ms)
{
	struct signin_settings s = {.delay_ms = DELAY_MS,
	    .attempts = attempts,
	    .lockout_ms = 15 * MINUTE_MS,
	    .cache_ms = cache_ms};
	signin_settings(r->signin, &s);
	turns(r);
}

static void
test_lockout(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_facts elsewhere = facts();
	char wrong[20];
	add_joe(r);
	settle(r, 10, 0);
	for (int i = 0; i < 5; i++) {
		(void)snprintf(wrong, sizeof(wrong), "wrong %d", i);
		assert_int_equal(plain(r, "joe", wrong), 535);
	}
	int64_t took;
	assert_int_equal(plain_at(r, NULL, "joe", "open sesame", &took), 454);
	assert_int_equal(took, DELAY_MS);
	assert_int_equal(plain(r, "joe", "wrong again"), 454);
	/* whatever the proof: who is locked out learns nothing */
	struct sasl_credentials bad = {.user = "joe", .secret = "no"},
				good = {.user = "joe", .secret = "open sesame"};
	assert_int_equal(scram(r, SASL_SCRAM_SHA_256, NULL, &bad), 454);
	assert_int_equal(scram(r, SASL_SCRAM_SHA_256, NULL, &good), 454);
	/* his own user elsewhere gets in */
	assert_int_equal(net_parse_ip(SPAN("192.0.2.11"), &elsewhere.client), OK);
	assert_int_equal(plain_at(r, &elsewhere, "joe", "open sesame", NULL), 0);
	fake_world_pass(&r->world, 16 * MINUTE_MS);
	turns(r);
	assert_int_equal(plain(r, "joe", "open sesame"), 0);
	rig_free(r);
}

/* An engine that is told nonsense closes the channel: nobody is locked out for a century.
 */
static void
test_settings_bounds(void **state)
{
	static const struct {
		struct signin_settings s;
		bool good;
	} table[] = {
	    {{SIGNIN_DELAY_MAX, 1, DAY_MS, DAY_MS}, true},
	    {{0, 10000, 0, 0}, true},
	    {{SIGNIN_DELAY_MAX + 1, 1, 1, 1}, false},
	    {{-1, 1, 1, 1}, false},
	    {{1, 0, 1, 1}, false},
	    {{1, 1, DAY_MS + 1, 1}, false},
	    {{1, 1, -1, 1}, false},
	    {{1, 1, 1, DAY_MS + 1}, false},
	    {{1, 1, 1, INT64_MIN}, false},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct rig *r = rig_new();
		struct signin_settings before = r->engine->settings;
		signin_settings(r->signin, &table[i].s);
		turns(r);
		const struct signin_settings *want =
		    table[i].good ? &table[i].s : &before;
		assert_int_equal(r->engine->settings.delay_ms, want->delay_ms);
		assert_int_equal(r->engine->settings.attempts, want->attempts);
		assert_int_equal(r->engine->settings.lockout_ms, want->lockout_ms);
		assert_int_equal(r->engine->settings.cache_ms, want->cache_ms);
		assert_int_equal(list_empty(&r->engine->channels), !table[i].good);
		rig_free(r);
	}
}

static void
count_answer(void *arg, const struct signin_answer *a)
{
	unsigned *codes = arg;
	assert_int_equal(a->kind, SIGNIN_FAILED);
	codes[a->verdict.code == 535] += 1;
}

/* Made at once, guesses are no more than made one by one would be, twice over. */
static void
test_parallel(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	struct signin_facts f = facts();
	unsigned codes[2] = {0};
	add_joe(r);
	settle(r, 4, 0);
	for (unsigned i = 0; i < 50; i++) {
		struct buf b;
		buf_init(&b, 100);
		buf_add_char(&b, '\0');
		buf_addf(&b, "joe%u", i); /* for the address alone the limit is four */
		buf_add_char(&b, '\0');
		buf_addf(&b, "guess %u", i);
		(void)signin_begin(
		    r->signin, SPAN("PLAIN"), &f, buf_span(&b), count_answer, codes);
		buf_clear(&b);
	}
	turns(r);
	fake_world_pass(&r->world, DELAY_MS);
	turns(r);
	assert_int_equal(codes[0] + codes[1], 50);
	assert_int_equal(codes[1], 4);
	assert_int_equal(r->engine->hashing, 0);
	assert_int_equal(r->engine->exchanges, 0);
	rig_free(r);
}

/* ---- what was right is believed */

static void
test_cache(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	settle(r, 1000, 5 * MINUTE_MS);
	assert_int_equal(plain(r, "joe", "open sesame"), 0);
	for (int i = 0; i < 200; i++) /* a hash costs tens of ms: this would take long */
		assert_int_equal(plain(r, "joe", "open sesame"), 0);
	/* a new password counts at once */
	(void)admin(
	    r, 0, "{\"cmd\":\"user-passwd\",\"name\":\"joe\",\"password\":\"another\"}");
	assert_int_equal(plain(r, "joe", "open sesame"), 535);
	assert_int_equal(plain(r, "joe", "another"), 0);
	(void)admin(r, 0, "{\"cmd\":\"user-delete\",\"name\":\"joe\"}");
	assert_int_equal(plain(r, "joe", "another"), 535);
	rig_free(r);
}

/* Whether a password is hashed for this sign-in, which must be right. */
static bool
was_hashed(struct rig *r)
{
	static const char message[] = "\0joe\0open sesame";
	(void)begin(r, "PLAIN", NULL, NUL_SPAN(message));
	bool hashed = false;
	for (int i = 0; i < 20 && r->answers == 0; i++) {
		(void)loop_turn(r->loop, false);
		hashed = hashed || r->engine->hashing > 0;
	}
	assert_int_equal(r->answers, 1);
	assert_int_equal(r->kind, SIGNIN_DONE);
	return hashed;
}

static void
test_cache_expires(void **state)
{
	(void)state;
	struct rig *r = rig_new();
	add_joe(r);
	settle(r, 10, 5 * MINUTE_MS);
	assert_true(was_hashed(r));
	fake_world_pass(&r->world, 5 * MINUTE_MS - 1);
	turns(r);
	assert_false(was_hashed(r));
	fake_world_pass(&r->world, 1); /* using it has not made it last longer */
	turns(r);
	assert_true(was_hashed(r));
	settle(r, 10, 0); /* never */
	(void)admin(r, 0, "{\"cmd\":\"user-set\",\"name\":\"joe\",\"disabled\":false}");
	assert_true(was_hashed(r));
	assert_true(was_hashed(r));
	rig_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same_words_same_time),
	    cmocka_unit_test(test_delay_from_last),
	    cmocka_unit_test(test_longest_delay),
	    cmocka_unit_test(test_lockout),
	    cmocka_unit_test(test_settings_bounds),
	    cmocka_unit_test(test_parallel),
	    cmocka_unit_test(test_cache),
	    cmocka_unit_test(test_cache_expires),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
