/* SPDX-License-Identifier: ISC */
/* What is known of next hops: aside, one probe, back; facts and their time; the bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "relay/egress/health.h"

static const uint64_t seed[2] = {1, 2};
static const struct instant start = {1000};

static struct instant
at(int64_t ms)
{
	return instant_after(start, ms);
}

static void
test_aside(void **state)
{
	struct health *h = health_new(seed, NULL);
	struct span a = SPAN("192.0.2.1:25"), b = SPAN("192.0.2.2:25");
	(void)state;
	assert_false(health_is_aside(h, a, start));
	health_failed(h, a, start, "refused");
	assert_true(health_is_aside(h, a, start));
	assert_false(health_is_aside(h, b, start));
	assert_true(health_is_aside(h, a, at(HEALTH_ASIDE_MS - 1)));
	assert_false(health_is_aside(h, a, at(HEALTH_ASIDE_MS)));
	health_worked(h, a);
	assert_int_equal(health_count(h), 0);
	health_free(&h);
}

/* 1, 2, 4, 8, 10, 10 minutes: each time after one probe has failed. */
static void
test_longer(void **state)
{
	static const int minutes[] = {1, 2, 4, 8, 10, 10, 10};
	struct health *h = health_new(seed, NULL);
	struct span a = SPAN("a");
	int64_t t = 0;
	(void)state;
	for (size_t i = 0; i < COUNT_OF(minutes); i++) {
		health_claim(h, a, at(t));
		health_failed(h, a, at(t), "refused");
		/* those that were under way at the same time do not count */
		health_failed(h, a, at(t), "refused");
		int64_t until = t + minutes[i] * MINUTE_MS;
		assert_true(health_is_aside(h, a, at(until - 1)));
		assert_false(health_is_aside(h, a, at(until)));
		t = until;
	}
	health_free(&h);
}

static void
test_one_probe(void **state)
{
	struct health *h = health_new(seed, NULL);
	struct span a = SPAN("a"), b = SPAN("b");
	(void)state;
	health_claim(h, b, start); /* nothing bad is known: everybody may dial */
	assert_false(health_is_aside(h, b, start));
	health_failed(h, a, start, "refused");
	int64_t t = HEALTH_ASIDE_MS;
	assert_false(health_is_aside(h, a, at(t)));
	health_claim(h, a, at(t));
	assert_true(health_is_aside(h, a, at(t))); /* for the others */
	assert_true(health_is_aside(h, a, at(t + HEALTH_PROBE_MS - 1)));
	assert_false(health_is_aside(h, a, at(t + HEALTH_PROBE_MS))); /* no answer */
	health_worked(h, a);
	assert_false(health_is_aside(h, a, at(t)));
	health_free(&h);
}

static void
test_facts(void **state)
{
	struct health *h = health_new(seed, NULL);
	struct span a = SPAN("a");
	(void)state;
	assert_false(health_knows(h, HEALTH_CLEAR, a, start));
	assert_true(health_learn(h, HEALTH_CLEAR, a, start));
	assert_false(health_learn(h, HEALTH_CLEAR, a, start)); /* no news */
	assert_true(health_knows(h, HEALTH_CLEAR, a, at(HEALTH_CLEAR_MS - 1)));
	assert_false(health_knows(h, HEALTH_IPV4, a, start)); /* another matter */
	assert_false(health_is_aside(h, a, start));
	assert_true(health_learn(h, HEALTH_IPV4, a, start));
	assert_true(health_knows(h, HEALTH_IPV4, a, at(HEALTH_IPV4_MS - 1)));
	assert_false(health_knows(h, HEALTH_CLEAR, a, at(HEALTH_CLEAR_MS)));
	assert_false(health_knows(h, HEALTH_IPV4, a, at(HEALTH_IPV4_MS)));
	assert_int_equal(health_count(h), 0); /* what is over is forgotten */
	health_free(&h);
}

static void
test_bound(void **state)
{
	struct health *h = health_new(seed, NULL);
	char name[400];
	(void)state;
	for (unsigned i = 0; i < HEALTH_MAX + 100; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		health_failed(h, span_str(name), start, "refused");
	}
	assert_int_equal(health_count(h), HEALTH_MAX);
	assert_false(health_is_aside(h, SPAN("0"), start));
	assert_false(health_is_aside(h, SPAN("99"), start));
	assert_true(health_is_aside(h, SPAN("100"), start));
	for (size_t i = 0; i < sizeof(name); i++) /* a name over the bound is cut */
		name[i] = 'x';
	health_failed(h, (struct span){name, sizeof(name)}, start, "refused");
	assert_true(health_is_aside(h, (struct span){name, sizeof(name)}, start));
	health_failed(h, SPAN(""), start, NULL);
	assert_int_equal(health_count(h), HEALTH_MAX);
	health_free(&h);
}

static void
keep(void *arg, enum log_level level, struct span line)
{
	(void)level;
	buf_add_span(arg, line);
	buf_add_char(arg, '\n');
}

static unsigned
count(struct buf *lines, const char *word)
{
	unsigned n = 0;
	struct span s = buf_span(lines), w = span_str(word);
	for (size_t i = 0; i + w.n <= s.n; i++)
		n += span_eq(span_cut(s, i, w.n), w);
	return n;
}

/* Once per change, whatever happens in between. */
static void
test_log(void **state)
{
	struct buf lines;
	(void)state;
	buf_init(&lines, 64 << 10);
	struct log *log = log_new(world_real(), -1);
	log_set(log, LOG_INFO, LOG_TEXT);
	log_hook(log, keep, &lines);
	struct health *h = health_new(seed, log);
	for (int i = 0; i < 5; i++)
		health_failed(h, SPAN("a"), at(i * HOUR_MS), "refused");
	health_failed(h, SPAN("quiet"), start, NULL);
	health_worked(h, SPAN("quiet"));
	assert_int_equal(count(&lines, " next-hop-down host=a reason=refused"), 1);
	health_worked(h, SPAN("a"));
	health_worked(h, SPAN("a"));
	assert_int_equal(count(&lines, " next-hop-up host=a failures=5"), 1);
	assert_int_equal(count(&lines, "next-hop-"), 2);
	health_free(&h);
	log_free(&log);
	buf_clear(&lines);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_aside),
	    cmocka_unit_test(test_longer),
	    cmocka_unit_test(test_one_probe),
	    cmocka_unit_test(test_facts),
	    cmocka_unit_test(test_bound),
	    cmocka_unit_test(test_log),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
