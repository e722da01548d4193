/* SPDX-License-Identifier: ISC */
/* The selector grammar: each member, what fits, what is refused; and a message as JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/control/select.h"
#include "relay/control/show.h"

static struct message *
sample(void)
{
	struct message *m = message_new();
	m->id = UINT64_C(12345678901234567);
	m->arrival.ms = 10 * DAY_MS;
	m->size = 100;
	m->sender = message_keep(m, SPAN("Me@Here.example"));
	struct recipient r = {.address = SPAN("you@there.example"),
	    .dest = SPAN("mx:there.example"),
	    .attempts = 2,
	    .reply = SPAN("451 4.7.1 later \x1b[2J"),
	    .due = {10 * DAY_MS + HOUR_MS}};
	(void)message_add_rcpt(m, &r);
	return m;
}

static void
test_members(void **state)
{
	static const struct {
		const char *selector;
		bool fits;
	} cases[] = {
	    {"{}", true},
	    {"{\"all\":true}", true},
	    {"{\"from\":\"me@here.example\"}", true},
	    {"{\"from\":\"*@here.example\"}", true},
	    {"{\"from\":\"<>\"}", false},
	    {"{\"to\":\"y?u@*\"}", true},
	    {"{\"to\":\"you\"}", false},
	    {"{\"domain\":\"THERE.example\"}", true},
	    {"{\"domain\":\"here.example\"}", false},
	    {"{\"state\":\"deferred\"}", true},
	    {"{\"state\":\"waiting\"}", true},
	    {"{\"state\":\"new\"}", false},
	    {"{\"state\":\"held\"}", false},
	    {"{\"state\":\"aside\"}", false},
	    {"{\"code\":\"451\"}", true},
	    {"{\"code\":\"4.7.1\"}", true},
	    {"{\"code\":\"4.7\"}", true},
	    {"{\"code\":\"7.1\"}", false},
	    {"{\"older\":\"1h\"}", true},
	    {"{\"older\":\"3h\"}", false},
	    {"{\"younger\":\"3h\"}", true},
	    {"{\"younger\":\"1h\"}", false},
	    {"{\"route\":\"world\"}", false}, /* no routes given */
	    {"{\"domain\":\"there.example\",\"older\":\"3h\"}", false},
	};
	struct message *m = sample();
	struct wall now = {m->arrival.ms + 2 * HOUR_MS};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		json_error_t error;
		json_t *j = json_loads(cases[i].selector, 0, &error);
		struct selector s;
		struct buf why;
		buf_init(&why, 1024);
		assert_true(selector_read(&s, j, &why));
		if (selector_matches(&s, m, &m->rcpt[0], now) != cases[i].fits)
			fail_msg("%s", cases[i].selector);
		assert_int_equal(selector_is_empty(&s), i == 0);
		selector_clear(&s);
		buf_clear(&why);
		json_decref(j);
	}
	message_unref(&m);
}

static void
test_id(void **state)
{
	struct message *m = sample();
	char id[SPOOL_ID_LEN + 1], text[64];
	struct selector s;
	struct buf why;
	(void)state;
	buf_init(&why, 1024);
	spool_id_format(m->id, id);
	(void)snprintf(text, sizeof(text), "{\"id\":\"%s\"}", id);
	json_t *j = json_loads(text, 0, NULL);
	assert_true(selector_read(&s, j, &why));
	assert_true(s.has_id && s.id == m->id);
	assert_true(selector_matches(&s, m, &m->rcpt[0], m->arrival));
	selector_clear(&s);
	json_decref(j);
	buf_clear(&why);
	message_unref(&m);
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {"{\"id\":\"1\"}", "{\"id\":5}",
	    "{\"nonsense\":\"x\"}", "{\"state\":\"sleeping\"}", "{\"older\":\"5\"}",
	    "{\"older\":\"0\"}", "{\"from\":null}", "{\"all\":\"yes\"}",
	    "{\"to\":[\"x\"]}"};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		json_t *j = json_loads(bad[i], 0, NULL);
		struct selector s;
		struct buf why;
		buf_init(&why, 1024);
		if (selector_read(&s, j, &why))
			fail_msg("%s should be refused", bad[i]);
		assert_true(why.n > 0);
		buf_clear(&why);
		json_decref(j);
	}
}

static void
test_show(void **state)
{
	struct message *m = sample();
	struct buf b;
	struct json j = {.out = &b};
	struct show s = {.now = {m->arrival.ms + 2 * HOUR_MS}, .full = true};
	uint16_t index = 0;
	(void)state;
	buf_init(&b, 0);
	show_message(&j, &s, m, &index, 1);
	json_t *line = json_loadb(b.p, b.n, 0, NULL);
	assert_non_null(line);
	assert_string_equal(
	    json_string_value(json_object_get(line, "queue_name")), "deferred");
	assert_string_equal(
	    json_string_value(json_object_get(line, "sender")), "Me@Here.example");
	assert_int_equal(json_integer_value(json_object_get(line, "age_s")), 7200);
	json_t *r = json_array_get(json_object_get(line, "recipients"), 0);
	assert_int_equal(json_integer_value(json_object_get(r, "attempts")), 2);
	assert_string_equal(json_string_value(json_object_get(r, "delay_reason")),
	    "451 4.7.1 later \x1b[2J");
	assert_null(memchr(b.p, 0x1b, b.n)); /* escaped on the wire */
	json_decref(line);
	buf_reset(&b);
	show_why(&b, &s, m, &m->rcpt[0]);
	buf_add_char(&b, '\0');
	assert_non_null(strstr(b.p, "tried 2 times"));
	assert_non_null(strstr(b.p, "relayd is not running"));
	assert_null(memchr(b.p, 0x1b, b.n));
	assert_string_equal(recipient_state_name(&m->rcpt[0]), "deferred");
	assert_ptr_equal(message_find_rcpt(m, 0), &m->rcpt[0]);
	assert_null(message_find_rcpt(m, 1));
	assert_null(message_find_rcpt(NULL, 0));
	buf_clear(&b);
	message_unref(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_members),
	    cmocka_unit_test(test_id),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_show),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
