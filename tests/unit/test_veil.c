/* SPDX-License-Identifier: ISC */
/* Mail of an administrator's folders as a text about it (relay/imap/veil.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/imap/veil.h"

static struct kept_mail *
mail(struct span prefix, struct span content)
{
	struct kept_mail *k = NEW(struct kept_mail);
	struct message *m = k->message = message_new();
	m->id = 7;
	m->prefix = message_keep(m, prefix);
	m->content = content_new(NULL);
	content_append(m->content, content.p, content.n);
	content_seal(m->content);
	m->size = content.n;
	m->flags = MESSAGE_NO_CRLF;
	k->own = message_keep(m, SPAN("X-Own: 1\r\n"));
	k->row.uid = 3;
	return k;
}

/* What is shown behind the own fields, which stay; freed by the caller. */
static char *
veiled(struct span prefix, struct span content, enum admin_view view)
{
	struct kept_mail *k = mail(prefix, content);
	size_t got;
	assert_int_equal(veil_mail(k, view), OK);
	size_t n = (size_t)content_size(k->message->content);
	char *text = mem_alloc(n + 1);
	assert_int_equal(content_read(k->message->content, 0, text, n, &got), OK);
	assert_int_equal(got, n);
	assert_true(span_eq(k->own, SPAN("X-Own: 1\r\n")));
	assert_int_equal(k->row.size, k->own.n + n);
	assert_int_equal(k->message->size, n);
	assert_int_equal(k->message->prefix.n, 0);
	assert_int_equal(k->message->flags & MESSAGE_NO_CRLF, 0);
	kept_mail_free(&k);
	return text;
}

#define FRONT                                                              \
	"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" \
	"Content-Transfer-Encoding: 8bit\r\nX-Relay-View: "

static void
test_views(void **state)
{
	static const struct {
		const char *prefix, *content;
		enum admin_view view;
		const char *shown;
	} rows[] = {
	    {"Received: x\r\n", "FROM: a\r\n b\r\nX: y\r\n\r\nbody", ADMIN_VIEW_SOURCE,
		"FROM: a\r\n b\r\n" FRONT "source\r\n\r\nReceived: x\r\nFROM: a\r\n b\r\n"
		"X: y\r\n\r\nbody\r\n"},
	    {"Received: x\r\n", "Subject: s\r\nX: y\r\n\r\nbody", ADMIN_VIEW_HEADER,
		"Subject: s\r\n" FRONT "header\r\n\r\nReceived: x\r\nSubject: s\r\n"
		"X: y\r\n\r\n[6 octets more are not shown]\r\n"},
	    /* no body, no line end, no header, nothing at all */
	    {"", "To: c", ADMIN_VIEW_HEADER, "To: c\r\n" FRONT "header\r\n\r\nTo: c\r\n"},
	    {"", "\r\nSubject: body", ADMIN_VIEW_SOURCE,
		FRONT "source\r\n\r\n\r\nSubject: body\r\n"},
	    {"", "", ADMIN_VIEW_SOURCE, FRONT "source\r\n\r\n"},
	    /* what a terminal would obey */
	    {"", "Subject: \x1b[2J\x07\r\n\r\n\x7f\t\xc3\xbc\r\n", ADMIN_VIEW_SOURCE,
		"Subject: ?[2J?\r\n" FRONT "source\r\n\r\nSubject: ?[2J?\r\n\r\n"
		"?\t\xc3\xbc\r\n"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char *text = veiled(
		    span_str(rows[i].prefix), span_str(rows[i].content), rows[i].view);
		assert_string_equal(text, rows[i].shown);
		mem_free(&text);
	}
}

static void
test_bounds(void **state)
{
	size_t n = 2 * VEIL_SOURCE_MAX;
	char *long_one = mem_alloc_raw(n);
	(void)state;
	memset(long_one, 'x', n);
	for (int view = ADMIN_VIEW_SOURCE; view <= ADMIN_VIEW_HEADER; view++) {
		size_t max =
		    view == ADMIN_VIEW_SOURCE ? VEIL_SOURCE_MAX : VEIL_HEADER_MAX;
		char *text =
		    veiled(SPAN(""), (struct span){long_one, n}, (enum admin_view)view);
		char end[80];
		(void)snprintf(
		    end, sizeof(end), "[%zu octets more are not shown]\r\n", n - max);
		assert_non_null(strstr(text, end));
		assert_true(strlen(text) < max + 400);
		mem_free(&text);
		/* a prefix that is longer than that */
		text = veiled(
		    (struct span){long_one, n}, SPAN("abc"), (enum admin_view)view);
		assert_true(strlen(text) < max + 400);
		mem_free(&text);
	}
	mem_free(&long_one);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_views),
	    cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
