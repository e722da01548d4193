/* SPDX-License-Identifier: ISC */
/* log: text and JSON lines, quoting, levels, bounds, when they are written. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

static struct wall
fixed_wall(struct world *w)
{
	(void)w;
	return (struct wall){1795433940123};
}

static const struct world_ops fixed_ops = {.wall = fixed_wall};
static struct world fixed = {&fixed_ops};

#define STAMP "2026-11-23T11:39:00.123Z "

/* A log that keeps its last line. */
struct last {
	struct log *log;
	struct buf line;
	enum log_level level;
	unsigned lines;
};

static void
keep(void *arg, enum log_level level, struct span line)
{
	struct last *k = arg;
	buf_reset(&k->line);
	buf_add_span(&k->line, line);
	k->level = level;
	k->lines++;
}

static struct last *
last_new(enum log_format format)
{
	struct last *k = NEW(struct last);
	k->log = log_new(&fixed, -1);
	log_hook(k->log, keep, k);
	log_set(k->log, LOG_DEBUG, format);
	return k;
}

static void
last_free(struct last **k)
{
	log_free(&(*k)->log);
	buf_clear(&(*k)->line);
	mem_free(k);
}

static void
assert_line(struct last *k, const char *want)
{
	buf_add_char(&k->line, '\0');
	assert_string_equal(k->line.p, want);
}

static void
test_text_line(void **state)
{
	(void)state;
	struct last *k = last_new(LOG_TEXT);
	LOG(k->log, EV_DELIVERED, F_STR("id", "0ABC"),
	    F_ADDR("to", SPAN("b@example.org")), F_INT("delay_ms", 12));
	assert_line(k, STAMP "info delivered id=0ABC to=<b@example.org> delay_ms=12");
	assert_int_equal(k->level, LOG_INFO);
	log_write(k->log, EV_SPOOL_FAILED, NULL, 0);
	assert_line(k, STAMP "error spool-failed");
	LOG(k->log, EV_LIMIT, F_INT("n", INT64_MIN));
	assert_line(k, STAMP "warn limit n=-9223372036854775808");
	LOG(k->log, EV_NOTE, F_ADDR("from", ((struct span){NULL, 0})));
	assert_line(k, STAMP "debug note from=<>");
	last_free(&k);
}

static void
test_values(void **state)
{
	(void)state;
	static const struct {
		struct span value;
		const char *text, *addr, *json;
	} cases[] = {
	    {{"x", 1}, "x", "<x>", "x"},
	    {{NULL, 0}, "\"\"", "<>", ""},
	    {{"", 0}, "\"\"", "<>", ""},
	    {{"a b", 3}, "\"a b\"", "\"<a b>\"", "a b"},
	    {{"a=b", 3}, "\"a=b\"", "\"<a=b>\"", "a=b"},
	    {{"\"q\"", 3}, "\"\\\"q\\\"\"", "\"<\\\"q\\\">\"", "\\\"q\\\""},
	    {{"\\", 1}, "\"\\\\\"", "\"<\\\\>\"", "\\\\"},
	    {{"a\r\nb", 4}, "\"a\\x0d\\x0ab\"", "\"<a\\x0d\\x0ab>\"", "a\\r\\nb"},
	    {{"\x1b[2J\0", 5}, "\"\\x1b[2J\\x00\"", "\"<\\x1b[2J\\x00>\"",
		"\\u001b[2J\\u0000"},
	    {{"\xc3\xa4", 2}, "\"\\xc3\\xa4\"", "\"<\\xc3\\xa4>\"", "\xc3\xa4"},
	    {{"\xff", 1}, "\"\\xff\"", "\"<\\xff>\"", "\xef\xbf\xbd"},
	};
	struct last *text = last_new(LOG_TEXT), *json = last_new(LOG_JSON);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char want[256];
		LOG(text->log, EV_NOTE, F_SPAN("v", cases[i].value),
		    F_ADDR("a", cases[i].value));
		(void)snprintf(want, sizeof(want), STAMP "debug note v=%s a=%s",
		    cases[i].text, cases[i].addr);
		assert_line(text, want);
		LOG(json->log, EV_NOTE, F_SPAN("v", cases[i].value),
		    F_ADDR("a", cases[i].value));
		(void)snprintf(want, sizeof(want),
		    "{\"time\":\"2026-11-23T11:39:00.123Z\",\"level\":\"debug\","
		    "\"event\":\"note\","
		    "\"v\":\"%s\",\"a\":\"%s\"}",
		    cases[i].json, cases[i].json);
		assert_line(json, want);
	}
	last_free(&text);
	last_free(&json);
}

static void
test_levels(void **state)
{
	(void)state;
	static const enum log_event sample[] = {
	    EV_FAILED, EV_LIMIT, EV_ACCEPTED, EV_NOTE};
	struct last *k = last_new(LOG_TEXT);
	for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
		log_set(k->log, (enum log_level)level, LOG_TEXT);
		k->lines = 0;
		for (size_t i = 0; i < COUNT_OF(sample); i++) {
			assert_int_equal(log_event_level(sample[i]), (int)i);
			assert_int_equal(log_wants(k->log, sample[i]), (int)i <= level);
			LOG(k->log, sample[i], F_INT("n", 1));
		}
		assert_int_equal(k->lines, level + 1);
	}
	last_free(&k);
	log_free(&(struct log *){NULL});
}

static void
test_event_table(void **state)
{
	(void)state;
	for (int ev = 0; ev < EV_COUNT; ev++) {
		const char *name = log_event_name((enum log_event)ev);
		assert_non_null(name);
		assert_int_equal(
		    strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
		for (int other = 0; other < ev; other++)
			assert_string_not_equal(
			    name, log_event_name((enum log_event)other));
	}
}

/* However long the values, and whatever they hold: at most 8 KiB, marked, still JSON. */
static void
test_bounds(void **state)
{
	(void)state;
	static const char *const fill[] = {
	    "x", "\x01", "\xe2\x82\xac", "\xff", "\"", " "};
	for (size_t i = 0; i < COUNT_OF(fill); i++) {
		struct buf value = {0};
		while (value.n < 20000)
			buf_add_str(&value, fill[i]);
		struct log_field field[20];
		for (size_t f = 0; f < COUNT_OF(field); f++)
			field[f] = F_SPAN("value", buf_span(&value));
		field[19] = F_INT("last", 1);
		struct last *text = last_new(LOG_TEXT), *json = last_new(LOG_JSON);
		log_write(text->log, EV_NOTE, field, COUNT_OF(field));
		log_write(json->log, EV_NOTE, field, COUNT_OF(field));
		assert_in_range(text->line.n, 4000, 8192);
		assert_in_range(json->line.n, 4000, 8192);
		assert_true(span_iends(buf_span(&text->line), SPAN(" cut=1")));
		buf_add_char(&text->line, '\0');
		assert_non_null(strstr(text->line.p, "..."));
		json_error_t error;
		json_t *read =
		    json_loadb(json->line.p, json->line.n, JSON_ALLOW_NUL, &error);
		assert_non_null(read);
		assert_true(json_is_true(json_object_get(read, "cut")));
		json_decref(read);
		last_free(&text);
		last_free(&json);
		buf_clear(&value);
	}
}

static void
test_value_of_the_longest(void **state)
{
	(void)state;
	struct last *k = last_new(LOG_TEXT);
	char value[1025];
	memset(value, 'x', sizeof(value));
	LOG(k->log, EV_NOTE, F_SPAN("v", ((struct span){value, 1024})));
	assert_false(span_iends(buf_span(&k->line), SPAN("...")));
	assert_int_equal(k->line.n, strlen(STAMP "debug note v=") + 1024);
	LOG(k->log, EV_NOTE, F_SPAN("v", ((struct span){value, 1025})));
	assert_true(span_iends(buf_span(&k->line), SPAN("x...")));
	assert_int_equal(k->line.n, strlen(STAMP "debug note v=") + 1024);
	last_free(&k);
}

static size_t
bytes_in(int fd, char *p, size_t size)
{
	ssize_t n = read(fd, p, size);
	return n < 0 ? 0 : (size_t)n;
}

static void
test_when_written(void **state)
{
	(void)state;
	int fd[2];
	char got[1024];
	assert_int_equal(pipe2(fd, 0), 0);
	struct log *l = log_new(&fixed, fd[1]);
	struct span line = SPAN(STAMP "info accepted n=1\n");
	LOG(l, EV_ACCEPTED, F_INT("n", 1));
	LOG(l, EV_CONNECTED, F_INT("n", 2)); /* debug: not wanted */
	LOG(l, EV_ACCEPTED, F_INT("n", 3));
	LOG(l, EV_LIMIT,
	    F_INT("n", 4)); /* a warning takes the others with it, in order */
	size_t n = bytes_in(fd[0], got, sizeof(got));
	assert_true(span_eq((struct span){got, n},
	    SPAN(STAMP "info accepted n=1\n" STAMP "info accepted n=3\n" STAMP
		       "warn limit n=4\n")));

	LOG(l, EV_ACCEPTED, F_INT("n", 1));
	log_flush(l);
	n = bytes_in(fd[0], got, sizeof(got));
	assert_true(span_eq((struct span){got, n}, line));
	log_flush(l);

	LOG(l, EV_ACCEPTED, F_INT("n", 1));
	log_free(&l);
	assert_null(l);
	n = bytes_in(fd[0], got, sizeof(got));
	assert_true(span_eq((struct span){got, n}, line));
	close(fd[0]);
	close(fd[1]);
}

#define THREADS 4
#define LINES 2000

static void *
many_lines(void *arg)
{
	for (int i = 0; i < LINES; i++) {
		LOG(arg, i % 100 ? EV_ACCEPTED : EV_LIMIT, F_INT("n", i));
		if (i % 17 == 0)
			log_flush(arg);
	}
	return NULL;
}

static void
test_threads(void **state)
{
	(void)state;
	FILE *f = tmpfile();
	assert_non_null(f);
	struct log *l = log_new(&fixed, fileno(f));
	pthread_t thread[THREADS];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, many_lines, l), 0);
	log_set(l, LOG_INFO, LOG_TEXT);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	log_free(&l);

	rewind(f);
	char line[256];
	int lines = 0;
	while (fgets(line, sizeof(line), f) != NULL) {
		assert_true(span_starts(span_str(line), SPAN(STAMP)));
		assert_true(span_iends(span_str(line), SPAN("\n")));
		lines++;
	}
	assert_int_equal(lines, THREADS * LINES);
	(void)fclose(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text_line),
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_levels),
	    cmocka_unit_test(test_event_table),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_value_of_the_longest),
	    cmocka_unit_test(test_when_written),
	    cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
