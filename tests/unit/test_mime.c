/* SPDX-License-Identifier: ISC */
/* The structure of messages: parts and their offsets, whatever way the octets come in;
 * bounds; envelope and structure in IMAP's words. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/mime/mime.h"

/* The whole text at once, or in pieces of so many octets. */
static struct mime *
parse(struct span text, size_t piece)
{
	struct mime *m = mime_new();
	while (text.n > 0) {
		size_t n = piece > 0 && piece < text.n ? piece : text.n;
		mime_take(m, span_cut(text, 0, n));
		text = span_cut(text, n, text.n);
	}
	mime_end(m);
	return m;
}

static char *
structure(const struct mime *m, bool extended)
{
	struct buf out;
	size_t n;
	buf_init(&out, 16u << 20);
	mime_add_structure(m, &mime_parts(m, &n)[0], extended, &out);
	return buf_take(&out);
}

/* Every part's place, one line each. */
static char *
places(const struct mime *m)
{
	struct buf out;
	size_t n;
	const struct mime_part *p = mime_parts(m, &n);
	buf_init(&out, 1u << 20);
	for (size_t i = 0; i < n; i++)
		buf_addf(&out, "%d.%u %llu-%llu-%llu %llu\n", (int)p[i].kind, p[i].number,
		    (unsigned long long)p[i].header, (unsigned long long)p[i].body,
		    (unsigned long long)p[i].end, (unsigned long long)p[i].lines);
	buf_add_char(&out, '\0');
	return buf_take(&out);
}

/* The body of the part of these numbers, as they are in BODY[...]; 0 ends them. */
static struct span
body_of(const struct mime *m, struct span text, const uint32_t *number)
{
	size_t n = 0;
	while (number[n] != 0)
		n++;
	const struct mime_part *p = mime_find(m, number, n);
	return p != NULL ? span_cut(text, (size_t)p->body, (size_t)(p->end - p->body))
			 : (struct span){NULL, 0};
}

#define BODY(...) body_of(m, text, (const uint32_t[]){__VA_ARGS__, 0})

static void
assert_span(struct span got, const char *expected)
{
	if (expected == NULL) {
		assert_null(got.p);
		return;
	}
	assert_non_null(got.p);
	assert_int_equal(got.n, strlen(expected));
	assert_memory_equal(got.p, expected, got.n);
}

static void
assert_structure(const char *message, bool extended, const char *expected)
{
	for (size_t piece = 0; piece < 4; piece++) {
		struct mime *m = parse(span_str(message), piece);
		char *got = structure(m, extended);
		assert_string_equal(got, expected);
		mem_free(&got);
		mime_free(&m);
	}
}

static void
assert_envelope(const char *header, const char *expected)
{
	struct mime *m = parse(span_str(header), 0);
	struct buf out;
	size_t n;
	buf_init(&out, 1u << 20);
	mime_add_envelope(m, &mime_parts(m, &n)[0], &out);
	buf_add_char(&out, '\0');
	assert_string_equal(out.p, expected);
	buf_clear(&out);
	mime_free(&m);
}

/* ---- parts */

/* A message in every kind of part: the one of RFC 9051 6.4.5.2, and its numbers. */
static const char nested[] = "Content-Type: multipart/mixed; boundary=a\r\n"
			     "\r\n"
			     "preamble\r\n"
			     "--a\r\n"
			     "\r\n"
			     "first\r\n"
			     "--a\r\n"
			     "Content-Type: message/rfc822\r\n"
			     "\r\n"
			     "Subject: in\r\n"
			     "Content-Type: multipart/alternative; boundary=\"b b\"\r\n"
			     "\r\n"
			     "--b b\r\n"
			     "Content-Type: text/plain\r\n"
			     "\r\n"
			     "second one\r\n"
			     "--b b\r\n"
			     "Content-Type: text/html\r\n"
			     "\r\n"
			     "second two\r\n"
			     "two lines\r\n"
			     "--b b--\r\n"
			     "epilogue in\r\n"
			     "--a\r\n"
			     "Content-Type: message/rfc822\r\n"
			     "\r\n"
			     "Subject: single\r\n"
			     "\r\n"
			     "third\r\n"
			     "--a--\r\n"
			     "epilogue\r\n";

static void
test_numbers(void **state)
{
	(void)state;
	struct span text = span_str(nested);
	for (size_t piece = 0; piece < 70; piece++) {
		struct mime *m = parse(text, piece);
		assert_span(BODY(1), "first");
		assert_true(span_eq(span_cut(BODY(2), 0, 11), SPAN("Subject: in")));
		assert_span(BODY(2, 1), "second one");
		assert_span(BODY(2, 2), "second two\r\ntwo lines");
		assert_span(BODY(2, 3), NULL);
		assert_span(BODY(2, 1, 1), NULL);
		assert_span(BODY(3), "Subject: single\r\n\r\nthird");
		assert_span(BODY(3, 1), "third");
		assert_span(BODY(3, 2), NULL);
		assert_span(BODY(3, 1, 1), NULL);
		assert_span(BODY(4), NULL);
		assert_span(BODY(1, 1), NULL);
		size_t n;
		const struct mime_part *p = mime_parts(m, &n);
		assert_int_equal(n, 8);
		assert_ptr_equal(mime_find(m, NULL, 0), p);
		assert_int_equal(p->end, text.n);
		const struct mime_part *second = mime_find(m, (const uint32_t[]){2}, 1);
		const struct mime_part *in = mime_inside(m, second);
		assert_non_null(in);
		assert_span(in->envelope.subject, "in");
		assert_null(mime_inside(m, p));
		mime_free(&m);
	}
}

static void
test_single(void **state)
{
	(void)state;
	struct span text = SPAN("Subject: x\r\n\r\none\r\ntwo\r\n");
	struct mime *m = parse(text, 0);
	assert_span(BODY(1), "one\r\ntwo\r\n");
	assert_span(BODY(2), NULL);
	assert_span(BODY(1, 1), NULL);
	mime_free(&m);
	assert_structure(text.p, false, "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 10 2)");
}

static void
test_odd(void **state)
{
	static const struct {
		const char *message, *places; /* kind.number header-body-end lines */
	} odd[] = {
	    {"", "0.1 0-0-0 0\n"},
	    {"\r\n", "0.1 0-2-2 0\n"},
	    {"Subject: no body", "0.1 0-16-16 0\n"},
	    {"Subject: x\n\nbare\nlf", "0.1 0-12-19 1\n"},
	    /* a boundary that nobody announced, one that is too long, an empty one */
	    {"\r\n--a\r\n\r\nx\r\n", "0.1 0-2-12 3\n"},
	    {"Content-Type: multipart/mixed\r\n\r\n--a\r\n", "0.1 0-33-38 1\n"},
	    {"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n",
		"0.1 0-46-50 1\n"},
	    /* announced, and never there; ended before it began */
	    {"Content-Type: multipart/mixed; boundary=a\r\n\r\nx\r\n", "1.1 0-45-48 1\n"},
	    {"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a--\r\n",
		"1.1 0-45-52 1\n"},
	    /* no end; a part that ends in its header; one without anything */
	    {"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx\r\n",
		"1.1 0-45-55 3\n0.1 50-52-55 1\n"},
	    {"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nX: y\r\n--a--",
		"1.1 0-45-61 2\n0.1 50-54-54 0\n"},
	    {"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n--a\r\n\r\n--a--",
		"1.1 0-45-62 3\n0.1 50-50-50 0\n0.2 55-55-55 0\n"},
	    /* blanks behind a boundary; a boundary in front of which another one stands
	     */
	    {"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a \t\r\n\r\nx\r\n--a-- "
	     "\r\n",
		"1.1 0-45-65 4\n0.1 52-54-55 0\n"},
	    {"Content-Type: multipart/mixed; boundary=a\r\n\r\n--ab\r\n--a-\r\n",
		"1.1 0-45-57 2\n"},
	    /* the outer ends while the inner is open */
	    {"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n"
	     "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--a--\r\n",
		"1.1 0-45-112 7\n1.1 50-95-103 2\n0.1 100-102-103 0\n"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(odd); i++) {
		for (size_t piece = 0; piece < 5; piece++) {
			struct mime *m = parse(span_str(odd[i].message), piece);
			char *got = places(m);
			assert_string_equal(got, odd[i].places);
			mem_free(&got);
			mime_free(&m);
		}
	}
}

static void
test_digest(void **state)
{
	(void)state;
	assert_structure("Content-Type: multipart/digest; boundary=a\r\n\r\n"
			 "--a\r\n\r\nSubject: one\r\n\r\nx\r\n"
			 "--a\r\nContent-Type: text/plain\r\n\r\ny\r\n--a--\r\n",
	    false,
	    "((\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 17 (NIL \"one\" NIL NIL NIL "
	    "NIL NIL NIL NIL NIL) (\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 0) 2)"
	    "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 0) \"digest\")");
}

/* ---- bounds */

static struct mime *
parse_buf(struct buf *b)
{
	struct mime *m = parse(buf_span(b), 0);
	buf_clear(b);
	return m;
}

static void
test_depth(void **state)
{
	(void)state;
	for (int in = 0; in < 2; in++) { /* multiparts, messages */
		struct buf b;
		size_t n;
		buf_init(&b, 1u << 20);
		for (int i = 0; i < 3 * MIME_DEPTH_MAX; i++)
			if (in == 0)
				buf_addf(&b,
				    "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n"
				    "--b%d\r\n",
				    i, i);
			else
				buf_add_str(&b, "Content-Type: message/rfc822\r\n\r\n");
		struct mime *m = parse_buf(&b);
		const struct mime_part *p = mime_parts(m, &n);
		assert_int_equal(n, MIME_DEPTH_MAX + 1);
		assert_int_equal(p[n - 1].depth, MIME_DEPTH_MAX);
		assert_int_equal(p[n - 1].kind, MIME_LEAF);
		char *text = structure(m, true);
		assert_true(strlen(text) > 0);
		mem_free(&text);
		mime_free(&m);
	}
}

static void
test_parts_bound(void **state)
{
	(void)state;
	for (int more = -1; more < 2; more++) {
		struct buf b;
		size_t n;
		buf_init(&b, 1u << 20);
		buf_add_str(&b, "Content-Type: multipart/mixed; boundary=a\r\n\r\n");
		for (int i = 0; i < MIME_PARTS_MAX - 1 + more; i++)
			buf_add_str(&b, "--a\r\n\r\nx\r\n");
		buf_add_str(&b, "--a--\r\n");
		struct mime *m = parse_buf(&b);
		const struct mime_part *p = mime_parts(m, &n);
		assert_int_equal(n, more < 0 ? MIME_PARTS_MAX - 1 : MIME_PARTS_MAX);
		assert_int_equal(p[n - 1].end - p[n - 1].body, 1);
		mime_free(&m);
	}
}

static void
test_header_bound(void **state)
{
	(void)state;
	for (int more = 0; more < 2; more++) {
		struct buf b;
		size_t n;
		buf_init(&b, 1u << 20);
		/* the field that counts ends with the octet that is the last one read */
		const char *last = "Subject: here\r\n";
		buf_add_str(&b, "X: ");
		while (b.n < MIME_HEADER_MAX - strlen(last) - 2 + (size_t)more)
			buf_add_char(&b, 'x');
		buf_add_str(&b, "\r\n");
		buf_add_str(&b, last);
		buf_add_str(&b, "\r\nbody");
		size_t body = b.n - 4;
		struct mime *m = parse_buf(&b);
		const struct mime_part *p = mime_parts(m, &n);
		assert_span(p->envelope.subject, more ? NULL : "here");
		assert_int_equal(p->body, body);
		mime_free(&m);
	}
}

/* The header's fields of all parts together: what is over the bound is as if not there.
 */
static void
test_kept_bound(void **state)
{
	(void)state;
	struct buf b;
	size_t n, kept = 0;
	buf_init(&b, 64u << 20);
	buf_add_str(&b, "Content-Type: multipart/mixed; boundary=a\r\n\r\n");
	for (int i = 0; i < 40; i++) {
		buf_add_str(&b, "--a\r\nContent-Description: ");
		for (size_t k = 0; k < 60000; k++)
			buf_add_char(&b, 'd');
		buf_add_str(&b, "\r\n\r\nx\r\n");
	}
	struct mime *m = parse_buf(&b);
	const struct mime_part *p = mime_parts(m, &n);
	assert_int_equal(n, 41);
	for (size_t i = 0; i < n; i++)
		kept += p[i].description.n;
	assert_true(kept > MIME_KEPT_MAX - 100000 && kept <= MIME_KEPT_MAX);
	assert_null(p[40].description.p);
	mime_free(&m);
}

static void
test_parameters_bound(void **state)
{
	(void)state;
	struct buf b;
	size_t n;
	buf_init(&b, 1u << 20);
	buf_add_str(&b, "Content-Type: text/plain");
	for (int i = 0; i <= MIME_PARAMETERS_MAX; i++)
		buf_addf(&b, "; p%d=v", i);
	buf_add_str(&b, "\r\n\r\n");
	struct mime *m = parse_buf(&b);
	assert_int_equal(mime_parts(m, &n)->parameters.n, MIME_PARAMETERS_MAX);
	mime_free(&m);
}

static void
test_boundary_bound(void **state)
{
	(void)state;
	for (size_t len = MIME_BOUNDARY_MAX; len <= MIME_BOUNDARY_MAX + 1; len++) {
		char name[MIME_BOUNDARY_MAX + 2] = "";
		struct buf b;
		size_t n;
		memset(name, 'b', len);
		buf_init(&b, 10000);
		buf_addf(&b,
		    "Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n\r\nx",
		    name, name);
		struct mime *m = parse_buf(&b);
		(void)mime_parts(m, &n);
		assert_int_equal(n, len == MIME_BOUNDARY_MAX ? 2 : 1);
		mime_free(&m);
	}
}

/* ---- what fields say */

static void
test_structure(void **state)
{
	(void)state;
	assert_structure(
	    "Content-Type: TEXT/Plain; charset=\"us-ascii\" (why); format = flowed\r\n"
	    "Content-ID: <x@y>\r\n"
	    "Content-Description: a\r\n folded one\r\n"
	    "Content-Transfer-Encoding: Quoted-Printable\r\n"
	    "Content-MD5: q\r\n"
	    "Content-Disposition: attachment; filename=\"a\\\"b.txt\"; size=3\r\n"
	    "Content-Language: de, en\r\n"
	    "Content-Location: http://x\r\n"
	    "\r\nabc\r\n",
	    true,
	    "(\"TEXT\" \"Plain\" (\"charset\" \"us-ascii\" \"format\" \"flowed\") "
	    "\"<x@y>\" "
	    "\"a folded one\" \"Quoted-Printable\" 5 1 \"q\" (\"attachment\" "
	    "(\"filename\" "
	    "\"a\\\"b.txt\" \"size\" \"3\")) (\"de\" \"en\") \"http://x\")");
	/* what cannot be read is text/plain, or is left out */
	assert_structure("Content-Type: text\r\nContent-Disposition: \r\n\r\n", true,
	    "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL)");
	assert_structure("Content-Type: image/png; name=two words; x\r\n\r\n", true,
	    "(\"image\" \"png\" (\"name\" \"two\") NIL NIL \"7bit\" 0 NIL NIL NIL NIL)");
	assert_structure("Content-Type: application/x; a=\"open\r\n\r\n", false,
	    "(\"application\" \"x\" (\"a\" \"open\") NIL NIL \"7bit\" 0)");
	/* no parts in it; a message that is encoded is not looked into */
	assert_structure("Content-Type: multipart/mixed; boundary=a\r\n\r\n", false,
	    "((\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0) \"mixed\")");
	assert_structure("Content-Type: multipart/mixed\r\n\r\nx\r\n", false,
	    "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 3 1)");
	assert_structure("Content-Type: message/rfc822\r\n"
			 "Content-Transfer-Encoding: base64\r\n\r\neA==\r\n",
	    false,
	    "(\"message\" \"rfc822\" NIL NIL NIL \"base64\" 6 (NIL NIL NIL NIL NIL NIL "
	    "NIL "
	    "NIL NIL NIL) (\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0) 1)");
}

static void
test_envelope(void **state)
{
	(void)state;
	assert_envelope("", "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
	assert_envelope(
	    "Date: Mon, 23 Nov 2026 12:00:00 +0000\r\nSubject: say \"hi\" \\o/\r\n"
	    "From: Ann Droid <ann@x.test>\r\nTo: b@y.test, \"C, D\" <c@y.test>\r\n"
	    "In-Reply-To: <1@x>\r\nMessage-ID: <2@x>\r\n\r\n",
	    "(\"Mon, 23 Nov 2026 12:00:00 +0000\" \"say \\\"hi\\\" \\\\o/\" "
	    "((\"Ann Droid\" NIL \"ann\" \"x.test\")) ((\"Ann Droid\" NIL \"ann\" "
	    "\"x.test\")) ((\"Ann Droid\" NIL \"ann\" \"x.test\")) ((NIL NIL \"b\" "
	    "\"y.test\")(\"C, D\" NIL \"c\" \"y.test\")) NIL NIL \"<1@x>\" \"<2@x>\")");
	/* an empty Sender is none; a literal where a quoted string cannot be */
	assert_envelope("Subject: gr\xc3\xbcn\r\nFrom: a@b\r\nSender: \r\n\r\n",
	    "(NIL {5}\r\ngr\xc3\xbcn ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) "
	    "((NIL "
	    "NIL \"a\" \"b\")) NIL NIL NIL NIL NIL)");
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *to, *expected;
	} table[] = {
	    {"", "NIL"},
	    {" , ,", "NIL"},
	    {"a@b", "((NIL NIL \"a\" \"b\"))"},
	    {"local", "((NIL NIL \"local\" \"\"))"},
	    {"<>", "((NIL NIL \"\" \"\"))"},
	    {"a@b (A name)", "((\"A name\" NIL \"a\" \"b\"))"},
	    {"A (not this) B <a@b>", "((\"A B\" NIL \"a\" \"b\"))"},
	    {"<@x,@y:a@b>", "((NIL \"@x,@y\" \"a\" \"b\"))"},
	    {"\"a b\"@c", "((NIL NIL \"\\\"a b\\\"\" \"c\"))"},
	    {"\"x@y\"@c", "((NIL NIL \"\\\"x@y\\\"\" \"c\"))"},
	    {"friends: a@b, C <c@d>;, e@f",
		"((NIL NIL \"friends\" NIL)(NIL NIL \"a\" \"b\")(\"C\" NIL \"c\" \"d\")"
		"(NIL NIL NIL NIL)(NIL NIL \"e\" \"f\"))"},
	    {"undisclosed-recipients:;",
		"((NIL NIL \"undisclosed-recipients\" NIL)(NIL NIL NIL NIL))"},
	    {"open: a@b",
		"((NIL NIL \"open\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL))"},
	    {";", "NIL"},
	    {"a@b <c@d", "((\"a@b\" NIL \"c\" \"d\"))"},
	    {"\"open <a@b>", "((NIL NIL \"\\\"open <a\" \"b>\"))"},
	    {"(open", "NIL"},
	    {"a@b\r\n\t, c@d", "((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\"))"},
	    {"=?utf-8?q?=C3=A4?= <a@b>", "((\"=?utf-8?q?=C3=A4?=\" NIL \"a\" \"b\"))"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		char header[200], expected[400];
		(void)snprintf(header, sizeof(header), "To: %s\r\n\r\n", table[i].to);
		(void)snprintf(expected, sizeof(expected),
		    "(NIL NIL NIL NIL NIL %s NIL NIL NIL NIL)", table[i].expected);
		assert_envelope(header, expected);
	}
}

/* ---- mail as it is */

#define CORPUS "../shared/corpus/mail"

/* Pieces of any size give the same parts; every part lies in its parent. */
static void
check_mail(struct span text)
{
	struct mime *whole = parse(text, 0);
	char *expected = places(whole), *words = structure(whole, true);
	static const size_t piece[] = {1, 2, 3, 7, 64, 1000};
	size_t n;
	const struct mime_part *p = mime_parts(whole, &n);
	for (size_t i = 0; i < n; i++) {
		assert_true(p[i].header <= p[i].body && p[i].body <= p[i].end);
		assert_true(p[i].end <= text.n);
		if (i > 0)
			assert_true(p[p[i].parent].body <= p[i].header &&
				    p[i].end <= p[p[i].parent].end);
	}
	for (size_t i = 0; i < COUNT_OF(piece); i++) {
		struct mime *m = parse(text, piece[i]);
		char *got = places(m), *said = structure(m, true);
		assert_string_equal(got, expected);
		assert_string_equal(said, words);
		mem_free(&got);
		mem_free(&said);
		mime_free(&m);
	}
	mem_free(&expected);
	mem_free(&words);
	mime_free(&whole);
}

static size_t
check_folder(const char *name)
{
	char path[1000];
	size_t seen = 0;
	DIR *d = opendir(name);
	for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", name, e->d_name);
		FILE *f = fopen(path, "rb");
		static char text[4u << 20];
		size_t n = f != NULL ? fread(text, 1, sizeof(text), f) : 0;
		if (n > 0)
			check_mail((struct span){text, n});
		seen += n > 0;
		if (f != NULL)
			(void)fclose(f);
	}
	if (d != NULL)
		(void)closedir(d);
	return seen;
}

static void
test_corpus(void **state)
{
	(void)state;
	check_mail(span_str(nested));
	if (check_folder(CORPUS "/legacy") + check_folder(CORPUS "/malformed") +
		check_folder(CORPUS "/rfc") + check_folder(CORPUS "/thirdparty") ==
	    0)
		skip(); /* only where a corpus lies beside the project */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_single),
	    cmocka_unit_test(test_odd),
	    cmocka_unit_test(test_digest),
	    cmocka_unit_test(test_depth),
	    cmocka_unit_test(test_parts_bound),
	    cmocka_unit_test(test_header_bound),
	    cmocka_unit_test(test_kept_bound),
	    cmocka_unit_test(test_parameters_bound),
	    cmocka_unit_test(test_boundary_bound),
	    cmocka_unit_test(test_structure),
	    cmocka_unit_test(test_envelope),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_corpus),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
