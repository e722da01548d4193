/* SPDX-License-Identifier: ISC */
/* A message as a route wants it: envelope, header from memory or a file, our own prefix.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "policy/header.h"
#include "relay/egress/rewritten.h"

static void
add_rule(struct rewrite_list *l, const char *text)
{
	struct buf why = {0};
	l->rule = mem_resize(l->rule, l->n + 1, sizeof(*l->rule));
	assert_int_equal(rewrite_parse(span_str(text), &l->rule[l->n++], &why), OK);
	buf_clear(&why);
}

static struct route
usual(void)
{
	struct route r = {0};
	add_rule(&r.rewriting.sender, "any.test=@out.example");
	add_rule(&r.rewriting.from, "any.test=@out.example");
	add_rule(&r.rewriting.masquerade, ".out.example=@out.example");
	add_rule(&r.rewriting.recipient, "any.test=@in.example");
	return r;
}

static struct content *
from_memory(struct span s)
{
	struct content *c = content_new(NULL);
	content_append(c, s.p, s.n);
	content_seal(c);
	return c;
}

static struct content *
from_file(struct span s)
{
	char path[] = "/tmp/relayd-test-rewritten-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, s.p, s.n), s.n);
	return content_from_file(fd, s.n);
}

/* What goes out: sender, a blank, prefix and content. */
static void
goes_out(const struct route *r, const struct message *m, struct buf *out)
{
	struct rewriting_job w = {0};
	rewriting_prepare(&w, r, m);
	const struct rewritten *x = &w.rewritten;
	assert_int_equal(
	    w.changes, x->sender.p != NULL || x->prefix.p != NULL || x->header.p != NULL);
	buf_add_span(out, x->sender.p != NULL ? x->sender : m->sender);
	buf_add_char(out, ' ');
	buf_add_span(out, x->prefix.p != NULL ? x->prefix : m->prefix);
	buf_add_span(out, x->header.p != NULL ? x->header : SPAN(""));
	uint64_t at = x->header.p != NULL ? x->header_size : 0;
	uint64_t rest = content_size(m->content) - at;
	size_t got;
	char *room = buf_room(out, rest + 1);
	assert_non_null(room);
	assert_int_equal(content_read(m->content, at, room, rest, &got), OK);
	assert_int_equal(got, rest);
	out->n += got;
	rewriting_job_clear(&w);
	assert_null(w.header.p);
}

static void
check(const struct route *r, const char *sender, const char *prefix, struct span content,
    struct span want)
{
	for (int file = 0; file < 2; file++) {
		struct message *m = message_new();
		struct buf out = {0};
		m->sender = message_keep(m, span_str(sender));
		m->prefix = message_keep(m, span_str(prefix));
		m->content = file ? from_file(content) : from_memory(content);
		goes_out(r, m, &out);
		assert_int_equal(out.n, want.n);
		assert_memory_equal(out.p, want.p, want.n);
		buf_clear(&out);
		message_unref(&m);
	}
}

static void
test_prepare(void **state)
{
	(void)state;
	struct route r = usual(), none = {0};
	struct span content =
	    SPAN("From: a@any.test\r\nTo: b@any.test\r\n\r\nFrom: a@any.test\r\n");
	check(&none, "s@any.test", "R: x\r\n", content,
	    SPAN("s@any.test R: x\r\nFrom: a@any.test\r\nTo: b@any.test\r\n\r\nFrom: "
		 "a@any.test\r\n"));
	check(&r, "s@any.test", "R: x\r\n", content,
	    SPAN("s@out.example R: x\r\nFrom: a@out.example\r\nTo: "
		 "b@any.test\r\n\r\nFrom: "
		 "a@any.test\r\n"));
	check(&r, "s@other.test", "", SPAN("From: b@other.test\r\n\r\nx"),
	    SPAN("s@other.test From: b@other.test\r\n\r\nx"));
	/* the null sender stays; inner names go after the rules */
	check(&r, "", "", SPAN("x"), SPAN(" x"));
	check(&r, "s@h.out.example", "", SPAN("From: <s@h.out.example>\r\n\r\n"),
	    SPAN("s@out.example From: <s@out.example>\r\n\r\n"));
	/* no header at all; one that begins with something else */
	check(&r, "s@any.test", "", SPAN(""), SPAN("s@out.example "));
	check(&r, "s@any.test", "", SPAN("\r\nFrom: a@any.test\r\n"),
	    SPAN("s@out.example \r\nFrom: a@any.test\r\n"));
	check(&r, "s@any.test", "", SPAN("no field\r\nFrom: a@any.test\r\n\r\n"),
	    SPAN("s@out.example no field\r\nFrom: a@any.test\r\n\r\n"));
	rewriting_clear(&r.rewriting);
}

static void
test_null_sender(void **state)
{
	(void)state;
	struct route r = {0};
	add_rule(&r.rewriting.sender, "*=relay@out.example");
	check(&r, "", "", SPAN("x"), SPAN(" x"));
	check(&r, "a@b.test", "", SPAN("x"), SPAN("relay@out.example x"));
	add_rule(&r.rewriting.sender, "<>=bounce@out.example");
	check(&r, "", "", SPAN("x"), SPAN("bounce@out.example x"));
	rewriting_clear(&r.rewriting);
}

/* Clients that sent no From have one in our prefix. */
static void
test_prefix(void **state)
{
	(void)state;
	struct route r = usual();
	check(&r, "", "R: x\r\nFrom: <a@any.test>\r\n", SPAN("Subject: y\r\n\r\n"),
	    SPAN(" R: x\r\nFrom: <a@out.example>\r\nSubject: y\r\n\r\n"));
	check(&r, "", "From: <a@any.test>\r\n", SPAN("Sender: b@any.test\r\n\r\n"),
	    SPAN(" From: <a@out.example>\r\nSender: b@out.example\r\n\r\n"));
	check(&r, "", "From: <a@any.test>\r\n", SPAN("no field"),
	    SPAN(" From: <a@out.example>\r\nno field"));
	r.rewriting.keep_reply_to = true;
	check(&r, "", "R: x\r\nFrom: <a@any.test>\r\n", SPAN("Subject: y\r\n\r\n"),
	    SPAN(" R: x\r\nFrom: <a@out.example>\r\nReply-To: <a@any.test>\r\nSubject: "
		 "y\r\n\r\n"));
	check(&r, "", "From: <a@any.test>\r\n", SPAN("Reply-To: b@other.test\r\n\r\n"),
	    SPAN(" From: <a@out.example>\r\nReply-To: b@other.test\r\n\r\n"));
	check(&r, "", "R: x\r\n", SPAN("From: a@any.test\r\n\r\n"),
	    SPAN(" R: x\r\nFrom: a@out.example\r\nReply-To: a@any.test\r\n\r\n"));
	rewriting_clear(&r.rewriting);
}

/* Up to HEADER_SIZE_MAX, over many slices; more stays. */
static void
test_size(void **state)
{
	(void)state;
	struct route r = usual();
	static const size_t sizes[] = {4079, 4080, 4081, 16383, 16384, 16385, 40000,
	    HEADER_SIZE_MAX - 1, HEADER_SIZE_MAX, HEADER_SIZE_MAX + 1};
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct buf in = {0}, want = {0};
		bool small = sizes[i] <= HEADER_SIZE_MAX;
		const char *last = "From: a@any.test\r\n\r\n";
		while (in.n + strlen(last) + 60 < sizes[i])
			buf_add_str(&in, "X: some words that fill the section\r\n");
		buf_add_str(&in, "X: ");
		while (in.n + strlen(last) + 2 < sizes[i])
			buf_add_char(&in, 'x');
		buf_add_str(&in, "\r\n");
		buf_add_str(&want, "s@out.example ");
		buf_add_span(&want, buf_span(&in));
		buf_add_str(&in, last);
		assert_int_equal(in.n, sizes[i]);
		buf_add_str(&want, small ? "From: a@out.example\r\n\r\n" : last);
		buf_add_str(&in, "body\r\n");
		buf_add_str(&want, "body\r\n");
		check(&r, "s@any.test", "", buf_span(&in), buf_span(&want));
		buf_clear(&in);
		buf_clear(&want);
	}
	rewriting_clear(&r.rewriting);
}

static void
test_twice(void **state)
{
	(void)state;
	struct route r = usual(), none = {0};
	struct rewriting_job w = {0};
	struct message *m = message_new();
	m->sender = message_keep(m, SPAN("s@any.test"));
	m->content = from_memory(SPAN("From: a@any.test\r\n\r\n"));
	rewriting_prepare(&w, &r, m);
	rewriting_prepare(&w, &r, m);
	assert_true(w.changes);
	rewriting_prepare(&w, &none, m);
	assert_false(w.changes);
	assert_null(w.rewritten.sender.p);
	rewriting_job_clear(&w);
	message_unref(&m);
	rewriting_clear(&r.rewriting);
}

static void
test_recipient(void **state)
{
	(void)state;
	struct route r = usual();
	struct buf out = {0};
	assert_true(rewriting_recipient(&r, SPAN("b@any.test"), &out));
	assert_false(rewriting_recipient(&r, SPAN("b@h.out.example"), &out));
	assert_true(span_eq(buf_span(&out), SPAN("b@in.example")));
	buf_clear(&out);
	rewriting_clear(&r.rewriting);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_prepare),
	    cmocka_unit_test(test_null_sender),
	    cmocka_unit_test(test_prefix),
	    cmocka_unit_test(test_size),
	    cmocka_unit_test(test_twice),
	    cmocka_unit_test(test_recipient),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
