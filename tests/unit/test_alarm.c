/* SPDX-License-Identifier: ISC */
/* A refused sign-in: told once per incident, mailed once a day, and nothing of the other
 * side's words gets loose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/egress/alarm.h"
#include "tests/lib/spool_rig.h"

static const char text[] =
    "hostname = \"relay.test\"\n"
    "spool { path = \"/nowhere\" }\n"
    "listener \"smtp\" { bind = {\"127.0.0.1:25\"} }\n"
    "route \"refused\" { to = {\"refused.example\"}  deliver = \"reject\" }\n"
    "route \"world\" { deliver = \"mx\" }\n";

struct scene {
	struct spool_rig *rig;
	struct alarms alarms;
	struct config *config;
};

static int
setup(void **state)
{
	struct scene *s = NEW(struct scene);
	struct buf errors;
	buf_init(&errors, 4096);
	s->config = config_parse("test", text, &errors);
	if (s->config == NULL)
		fail_msg("%.*s", SPAN_ARG(buf_span(&errors)));
	buf_clear(&errors);
	s->rig = spool_rig_new(0);
	assert_int_equal(spool_rig_open(s->rig), OK);
	alarms_init(&s->alarms, s->rig->loop, s->rig->log, s->rig->spool);
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	struct scene *s = *state;
	const struct config *c = s->config;
	alarms_clear(&s->alarms);
	spool_rig_run(s->rig);
	spool_rig_free(&s->rig);
	config_unref(&c);
	mem_free(&s);
	return 0;
}

static void
raise_alarm(struct scene *s, const char *route, const char *host)
{
	struct verdict why = verdict_make(454, "4.7.8", "sign-in refused");
	alarm_raise(&s->alarms, s->config, span_str(route), host, &why);
	spool_rig_run(s->rig);
}

static void
pass(struct scene *s, int64_t ms)
{
	s->rig->mono_ms += ms;
	s->rig->wall_ms += ms;
	spool_rig_run(s->rig);
}

static void
test_once(void **state)
{
	struct scene *s = *state;
	for (int i = 0; i < 5; i++)
		raise_alarm(s, "a", "h1");
	assert_int_equal(s->rig->tolds, 1);
	const struct message *m = s->rig->told[0];
	assert_int_equal(m->sender.n, 0);
	assert_int_equal(m->rcpts, 1);
	assert_true(span_eq(m->rcpt[0].address, SPAN("postmaster@relay.test")));
	assert_true(span_eq(m->rcpt[0].dest, SPAN("mx:relay.test")));
	raise_alarm(s, "b", "h1"); /* another route is another matter */
	assert_int_equal(s->rig->tolds, 2);
}

static void
test_one_a_day(void **state)
{
	struct scene *s = *state;
	raise_alarm(s, "a", "h1");
	alarm_over(&s->alarms, SPAN("a"), "h2"); /* another host says nothing of it */
	assert_int_equal(s->alarms.n, 1);
	alarm_over(&s->alarms, SPAN("a"), "h1");
	alarm_over(&s->alarms, SPAN("b"), NULL);
	assert_int_equal(s->alarms.n, 0);
	raise_alarm(s, "a", "h1");
	assert_int_equal(s->rig->tolds, 1); /* a new incident, on the same day */
	alarms_clear(&s->alarms);           /* nor after a restart */
	alarms_init(&s->alarms, s->rig->loop, s->rig->log, s->rig->spool);
	pass(s, ALARM_MAIL_MS - 1);
	raise_alarm(s, "a", "h1");
	assert_int_equal(s->rig->tolds, 1);
	alarm_over(&s->alarms, SPAN("a"), NULL);
	pass(s, 1);
	raise_alarm(s, "a", "h1");
	assert_int_equal(s->rig->tolds, 2);
}

static void
test_no_route(void **state)
{
	struct scene *s = *state;
	s->config->postmaster = mem_strdup("me@refused.example");
	raise_alarm(s, "a", "h1");
	assert_int_equal(s->rig->tolds, 0);
	assert_int_equal(s->alarms.n, 1);
}

static void
test_bound(void **state)
{
	struct scene *s = *state;
	struct verdict why = verdict_make(454, "4.7.8", "no");
	char name[32];
	for (int i = 0; i < ALARMS_MAX + 10; i++) {
		(void)snprintf(name, sizeof(name), "r%d", i);
		alarm_raise(&s->alarms, s->config, span_str(name), "h", &why);
	}
	assert_int_equal(s->alarms.n, ALARMS_MAX);
	spool_rig_run(s->rig);
}

static void
test_hostile_words(void **state)
{
	struct scene *s = *state;
	struct verdict why = verdict_make(454, "4.7.8", "x\r\n.\r\nX-Evil: 1\x1b[2J\xff");
	char bytes[4096];
	size_t n = 0;
	struct message *m =
	    alarm_compose(s->config, SPAN("a\r\nBcc: x"), "h\r\n", &why, &s->rig->world);
	assert_int_equal(content_read(m->content, 0, bytes, sizeof(bytes) - 1, &n), OK);
	bytes[n] = '\0';
	assert_null(strstr(bytes, "\nX-Evil"));
	assert_null(strstr(bytes, "\nBcc"));
	assert_null(strchr(bytes, '\x1b'));
	assert_null(strchr(bytes, 0xff));
	for (size_t i = 0; i < n; i++)
		if (bytes[i] == '\n')
			assert_true(i > 0 && bytes[i - 1] == '\r');
	message_unref(&m);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_once),
	    TEST(test_one_a_day),
	    TEST(test_no_route),
	    TEST(test_bound),
	    TEST(test_hostile_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
