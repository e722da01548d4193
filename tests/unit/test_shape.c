/* SPDX-License-Identifier: ISC */
/* Shapes of messages: made in any split, stored, read; parts by their numbers as struct
 * mime finds them; BODY of BODYSTRUCTURE; what is damaged. */
#include <fcntl.h>
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

#include "base/content.h"
#include "base/mem.h"
#include "relay/mime/shape.h"
#include "relay/mime/shape_private.h"

/* The record of this content; piece: octets taken at once, 0: all. */
static struct buf
record_of(struct span text, struct span prefix, size_t piece)
{
	struct shaper *x = shaper_new();
	struct buf out = {0};
	while (text.n > 0) {
		size_t n = piece > 0 && piece < text.n ? piece : text.n;
		shaper_take(x, span_cut(text, 0, n));
		text = span_cut(text, n, text.n);
	}
	shaper_end(x, prefix, &out);
	shaper_free(&x);
	assert_null(x);
	return out;
}

static void
assert_span(struct span got, const char *expected)
{
	if (expected == NULL) {
		assert_null(got.p);
		return;
	}
	assert_non_null(got.p);
	if (got.n != strlen(expected) || memcmp(got.p, expected, got.n) != 0)
		fail_msg("\"%.*s\" is not \"%s\"", SPAN_ARG(got), expected);
}

static struct mime *
parse(struct span text)
{
	struct mime *m = mime_new();
	mime_take(m, text);
	mime_end(m);
	return m;
}

/* ---- fields */

static const char letter[] = "Received: from a by b;\r\n"
			     "\tFri, 21 Nov 1997 09:55:07 -0600\r\n"
			     "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\r\n"
			     "Sender: list@example.org (The List)\r\n"
			     "To: \"Doe, John\" <john@example.org>, jane@example.org,\r\n"
			     " =?utf-8?q?a=2C_b?= <c@d>\r\n"
			     "Cc: Friends: a@b, C <c@d>;, e@f\r\n"
			     "Bcc: undisclosed-recipients:;\r\n"
			     "Reply-To: <r@example.org>\r\n"
			     "Subject: Re: [list] =?iso-8859-1?q?caf=E9?=\r\n"
			     "  au lait\r\n"
			     "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\n"
			     "Message-ID: <1@example.org>\r\n"
			     "In-Reply-To: <0@example.org>\r\n"
			     "References: <-1@example.org>\r\n"
			     " <0@example.org>\r\n"
			     "Content-Type: text/plain; charset=utf-8\r\n"
			     "Content-Transfer-Encoding: quoted-printable\r\n"
			     "\r\n"
			     "Good day,\r\n"
			     "\r\n"
			     "  this is=\r\n"
			     " the text: =C3=A9.\r\n";

static void
a_letter(void **state)
{
	(void)state;
	struct span text = SPAN(letter);
	struct buf b = record_of(text, SPAN(""), 0);
	struct shape s;
	struct shape_part p;
	assert_int_equal(shape_open(&s, buf_span(&b)), OK);
	assert_int_equal(s.size, text.n);
	assert_int_equal(s.header, (size_t)(strstr(letter, "Good") - letter));
	assert_span(s.subject, "Re: [list] caf\xc3\xa9 au lait");
	assert_span(s.base_subject, "CAFE\xcc\x81 AU LAIT");
	assert_true(s.reply);
	assert_span(s.from, "J\xc3\xb6rg <joerg@example.org>");
	assert_span(s.sender, "The List <list@example.org>");
	assert_span(s.to, "\"Doe, John\" <john@example.org>, jane@example.org, "
			  "\"a, b\" <c@d>");
	assert_span(s.cc, "Friends: a@b, C <c@d>;, e@f");
	assert_span(s.bcc, "undisclosed-recipients: ;");
	assert_span(s.reply_to, "r@example.org");
	assert_span(s.message_id, "<1@example.org>");
	assert_span(s.in_reply_to, "<0@example.org>");
	assert_span(s.references, "<-1@example.org> <0@example.org>");
	assert_int_equal(s.sent.ms, 880127706000);
	assert_int_equal(s.sent_zone, -360);
	assert_span(s.preview, "Good day, this is the text: \xc3\xa9.");
	assert_int_equal(s.parts, 1);
	shape_part(&s, 100, 0, &p);
	assert_int_equal(p.header, 0);
	assert_int_equal(p.body, s.header + 100);
	assert_int_equal(p.end, text.n + 100);
	assert_true(p.is_message && p.text && !p.multipart && !p.message);
	assert_int_equal(p.encoding, SHAPE_QUOTED);
	assert_span(p.charset, "utf-8");
	shape_part(&s, 0, 1, &p);
	assert_int_equal(p.end, 0);
	buf_clear(&b);
}

static void
nothing_said(void **state)
{
	(void)state;
	static const char *const texts[] = {
	    "", "\r\n", "\r\nbody", "no field\r\n", "X: y"};
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct buf b = record_of(span_str(texts[i]), SPAN(""), 0);
		struct shape s;
		assert_int_equal(shape_open(&s, buf_span(&b)), OK);
		assert_span(s.subject, NULL);
		assert_span(s.base_subject, NULL);
		assert_span(s.from, NULL);
		assert_span(s.references, NULL);
		assert_false(s.reply);
		assert_int_equal(s.sent.ms, 0);
		assert_int_equal(s.sent_zone, 0);
		assert_span(s.preview, i == 2 ? "body" : "");
		assert_span(s.envelope, "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
		assert_int_equal(s.parts, 1);
		buf_clear(&b);
	}
}

static void
the_prefix_fills_in(void **state)
{
	(void)state;
	struct span text = SPAN("Subject: own\r\nFrom: a@b\r\n\r\nbody"),
		    prefix = SPAN("Received: from x\r\nDate: 1 Jan 2000 00:00 +0100\r\n"
				  "Message-ID: <x@y>\r\nSubject: other\r\n");
	struct buf b = record_of(text, prefix, 0);
	struct shape s;
	struct shape_part p;
	assert_int_equal(shape_open(&s, buf_span(&b)), OK);
	assert_span(s.subject, "own");
	assert_span(s.message_id, "<x@y>");
	assert_int_equal(s.sent.ms, 946681200000);
	assert_int_equal(s.sent_zone, 60);
	assert_span(s.envelope,
	    "(\"1 Jan 2000 00:00 +0100\" \"own\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" "
	    "\"b\")) ((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL \"<x@y>\")");
	assert_int_equal(s.size, text.n); /* of the content alone */
	shape_part(&s, prefix.n, 0, &p);
	assert_int_equal(p.header, 0);
	assert_int_equal(p.body, prefix.n + text.n - 4);
	buf_clear(&b);
}

/* ---- parts */

static const char nested[] = "Content-Type: multipart/mixed; boundary=a\r\n"
			     "\r\n"
			     "preamble\r\n"
			     "--a\r\n"
			     "Content-Type: text/plain; charset=\"iso-8859-1\"\r\n"
			     "\r\n"
			     "first \xe9\r\n"
			     "--a\r\n"
			     "Content-Type: message/rfc822\r\n"
			     "Content-Description: d \xc3\xa9\r\n"
			     "\r\n"
			     "Subject: inner\r\n"
			     "Content-Type: multipart/alternative; boundary=b\r\n"
			     "\r\n"
			     "--b\r\n"
			     "Content-Type: text/html\r\n"
			     "Content-Transfer-Encoding: base64\r\n"
			     "\r\n"
			     "PGI+eDwvYj4=\r\n"
			     "--b\r\n"
			     "\r\n"
			     "--b--\r\n"
			     "--a\r\n"
			     "Content-Type: message/rfc822\r\n"
			     "\r\n"
			     "Subject: single\r\n"
			     "\r\n"
			     "the body\r\n"
			     "--a\r\n"
			     "Content-Type: application/x; name=\"a)\\\"b\"\r\n"
			     "Content-Disposition: attachment; filename=x\r\n"
			     "Content-Language: de, en\r\n"
			     "\r\n"
			     "\r\n"
			     "--a--\r\n";

static void
assert_same_part(const struct mime *m, const struct mime_part *p,
    const struct shape_part *got, uint64_t front)
{
	size_t n;
	assert_int_equal(got->header, p == mime_parts(m, &n) ? 0 : p->header + front);
	assert_int_equal(got->body, p->body + front);
	assert_int_equal(got->end, p->end + front);
	assert_int_equal(got->is_message, p->is_message);
	assert_int_equal(got->multipart, p->kind == MIME_MULTIPART);
	assert_int_equal(got->message, p->kind == MIME_MESSAGE);
}

/* These numbers, in both ways of finding. */
static void
assert_found_alike(
    const struct mime *m, const struct shape *s, const uint32_t *number, size_t n)
{
	struct shape_part got;
	const struct mime_part *p = mime_find(m, number, n);
	enum err e = shape_find(s, 7, number, n, false, &got);
	assert_int_equal(e, p != NULL ? OK : ERR_NOT_FOUND);
	if (p != NULL)
		assert_same_part(m, p, &got, 7);
	const struct mime_part *in = p != NULL && n > 0 ? mime_inside(m, p) : p;
	e = shape_find(s, 7, number, n, true, &got);
	assert_int_equal(e, in != NULL ? OK : ERR_NOT_FOUND);
	if (in != NULL)
		assert_same_part(m, in, &got, 7);
}

static void
assert_all_found_alike(struct span text)
{
	struct buf b = record_of(text, SPAN(""), 0);
	struct mime *m = parse(text);
	struct shape s;
	size_t parts;
	(void)mime_parts(m, &parts);
	assert_int_equal(shape_open(&s, buf_span(&b)), OK);
	assert_int_equal(s.parts, parts);
	uint32_t number[4];
	for (number[0] = 0; number[0] < 6; number[0]++)
		for (number[1] = 0; number[1] < 4; number[1]++)
			for (number[2] = 0; number[2] < 4; number[2]++)
				for (number[3] = 0; number[3] < 3; number[3]++)
					for (size_t n = 0; n <= 4; n++)
						assert_found_alike(m, &s, number, n);
	mime_free(&m);
	buf_clear(&b);
}

static void
parts_are_found(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "x", nested, letter,
	    "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nbody",
	    "Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n"
	    "Content-Type: multipart/mixed; "
	    "boundary=x\r\n\r\n--x\r\n\r\n1\r\n--x\r\n\r\n",
	    "Content-Type: multipart/mixed; boundary=x\r\n\r\nnothing",
	    "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
	    "Content-Type: multipart/mixed; "
	    "boundary=y\r\n\r\n--y\r\n\r\n1\r\n--y\r\n\r\n"};
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		assert_all_found_alike(span_str(texts[i]));
}

static void
charsets_and_encodings(void **state)
{
	(void)state;
	struct buf b = record_of(SPAN(nested), SPAN(""), 0);
	struct shape s;
	struct shape_part p;
	assert_int_equal(shape_open(&s, buf_span(&b)), OK);
	assert_int_equal(shape_find(&s, 0, (const uint32_t[]){1}, 1, false, &p), OK);
	assert_true(p.text && !p.html);
	assert_span(p.charset, "iso-8859-1");
	assert_int_equal(p.encoding, SHAPE_IDENTITY);
	assert_int_equal(shape_find(&s, 0, (const uint32_t[]){2, 1}, 2, false, &p), OK);
	assert_true(p.text && p.html);
	assert_span(p.charset, NULL);
	assert_int_equal(p.encoding, SHAPE_BASE64);
	assert_int_equal(shape_find(&s, 0, (const uint32_t[]){4}, 1, false, &p), OK);
	assert_false(p.text);
	assert_span(s.preview, "first \xc3\xa9");
	buf_clear(&b);
}

/* ---- BODY */

static void
assert_body(struct span text)
{
	struct buf b = record_of(text, SPAN(""), 0), expected = {0}, got = {0};
	struct mime *m = parse(text);
	struct shape s;
	size_t n;
	assert_int_equal(shape_open(&s, buf_span(&b)), OK);
	mime_add_structure(m, mime_parts(m, &n), false, &expected);
	buf_add_str(&got, "x");
	shape_add_body(&s, &got);
	assert_true(got.n > 0 && got.p[0] == 'x');
	buf_consume(&got, 1);
	if (!span_eq(buf_span(&got), buf_span(&expected)))
		fail_msg("%.*s is not %.*s", SPAN_ARG(buf_span(&got)),
		    SPAN_ARG(buf_span(&expected)));
	mime_free(&m);
	buf_clear(&b);
	buf_clear(&expected);
	buf_clear(&got);
}

static void
body_of_structure(void **state)
{
	(void)state;
	static const char *const texts[] = {"", nested, letter,
	    "Content-Type: multipart/mixed; boundary=x\r\n\r\nnothing",
	    "Content-Type: multipart/mixed\r\n\r\nnothing",
	    "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nx",
	    "Content-Type: message/global; x=\"\xff\"\r\n\r\nSubject: \"\\\r\n\r\nx",
	    "Content-Type: message/partial\r\n\r\nx", "Content-Type: texts/x\r\n\r\nx",
	    "Content-Type: TEXT/X\r\n\r\nx", "Content-MD5: x\r\n\r\nx"};
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		assert_body(span_str(texts[i]));
}

/* What is not our own writing gives a body all the same. */
static void
body_of_rubbish(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "(", ")", "((((", "(\"text\"",
	    "{5}\r\nab", "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0) ", "(\"a\\",
	    "NIL", "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0)",
	    "(\"text\" \"plain\" NIL NIL NIL \"7bit\" {99}\r\n 0)",
	    "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 0 NIL NIL 0)"};
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct shape s = {.structure = span_str(texts[i])};
		struct buf b = {0};
		shape_add_body(&s, &b);
		assert_span(
		    buf_span(&b), "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)");
		buf_clear(&b);
	}
	struct buf deep = {0}, out = {0};
	for (size_t i = 0; i < 100000; i++)
		buf_add_char(&deep, '(');
	struct shape s = {.structure = buf_span(&deep)};
	shape_add_body(&s, &out);
	assert_span(buf_span(&out), "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)");
	buf_clear(&deep);
	buf_clear(&out);
}

/* ---- the preview */

static void
previews(void **state)
{
	(void)state;
	static const char *const table[][2] = {
	    {"\r\na\r\n\r\n  b\tc \r\n", "a b c"},
	    {"Content-Type: text/html\r\n\r\n<style>x</style><p>a<p>b &amp; c",
		"a b & c"},
	    {"Content-Type: text/html; charset=iso-8859-1\r\n"
	     "Content-Transfer-Encoding: base64\r\n\r\nPHA+6TwvcD4=",
		"\xc3\xa9"},
	    {"Content-Transfer-Encoding: x-odd\r\n\r\na", ""},
	    {"Content-Type: image/png\r\n\r\na", ""},
	    {"Content-Disposition: attachment\r\n\r\na", ""},
	    {"Content-Type: multipart/alternative; boundary=x\r\n\r\n"
	     "--x\r\nContent-Type: "
	     "text/html\r\n\r\nhtml\r\n--x\r\n\r\nplain\r\n--x--\r\n",
		"plain"},
	    {"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
	     "--x\r\nContent-Type: "
	     "text/html\r\n\r\nhtml\r\n--x\r\n\r\nplain\r\n--x--\r\n",
		"html"},
	    {"Content-Type: multipart/alternative; boundary=x\r\n\r\n"
	     "--x\r\n\r\n \r\n--x\r\nContent-Type: text/html\r\n\r\nhtml\r\n--x--\r\n",
		"html"},
	    {"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
	     "Content-Disposition: "
	     "attachment\r\n\r\nfile\r\n--x\r\n\r\nplain\r\n--x--\r\n",
		"plain"},
	    {"\r\na\xc2\xa0\xe2\x80\x8c\xc2\xa0\xe2\x80\x8c"
	     "b\xef\xbb\xbf",
		"a b\xef\xbb\xbf"},
	};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		for (size_t piece = 0; piece < 3; piece++) {
			struct buf b = record_of(span_str(table[i][0]), SPAN(""), piece);
			struct shape s;
			assert_int_equal(shape_open(&s, buf_span(&b)), OK);
			assert_span(s.preview, table[i][1]);
			buf_clear(&b);
		}
	}
}

static void
previews_are_bounded(void **state)
{
	(void)state;
	static const char *const bits[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "=E2=82=AC",
	    "x ", "<b>x</b>", "&euro;", "\xf0\x9f\x98\x80", "<a b='"};
	for (size_t i = 0; i < 2 * COUNT_OF(bits); i++) {
		struct buf text = {0};
		struct shape s;
		buf_add_str(
		    &text, i % 2 ? "Content-Type: text/html\r\n"
				   "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
				 : "\r\n");
		while (text.n < 40000)
			buf_add_str(&text, bits[i / 2]);
		struct buf b = record_of(buf_span(&text), SPAN(""), 1000);
		assert_int_equal(shape_open(&s, buf_span(&b)), OK);
		size_t characters = 0;
		for (size_t k = 0; k < s.preview.n; k++)
			characters += ((unsigned char)s.preview.p[k] & 0xc0) != 0x80;
		assert_in_range(characters, 0, 200);
		assert_in_range(s.preview.n, 0, SHAPE_PREVIEW_MAX);
		if (i / 2 < 3)
			assert_int_equal(
			    characters, i / 2 < 2 ? (i / 2 ? 128 : 200) : 85);
		buf_clear(&b);
		buf_clear(&text);
	}
}

/* ---- splits */

static void
every_split_gives_the_same(void **state)
{
	(void)state;
	static const char *const texts[] = {nested, letter, "", "\r\n\r\n"};
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		struct span text = span_str(texts[i]);
		struct buf whole = record_of(text, SPAN("X: y\r\n"), 0);
		for (size_t piece = 1; piece <= text.n; piece++) {
			struct buf b = record_of(text, SPAN("X: y\r\n"), piece);
			assert_true(span_eq(buf_span(&b), buf_span(&whole)));
			buf_clear(&b);
		}
		buf_clear(&whole);
	}
}

static void
contents_have_shapes(void **state)
{
	(void)state;
	struct buf text = {0}, expected, got = {0}, filed = {0};
	buf_add_str(&text, nested);
	while (text.n < 300000)
		buf_add_str(&text, "more of the epilogue\r\n");
	expected = record_of(buf_span(&text), SPAN("X: y\r\n"), 0);
	struct content *c = content_new(NULL);
	content_append(c, text.p, text.n);
	content_seal(c);
	assert_int_equal(shape_of_content(c, SPAN("X: y\r\n"), &got), OK);
	assert_true(span_eq(buf_span(&got), buf_span(&expected)));
	content_unref(&c);
	char path[] = "/tmp/test-shape-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(write(fd, text.p, text.n), (ssize_t)text.n);
	c = content_from_file(fd, text.n);
	assert_int_equal(shape_of_content(c, SPAN("X: y\r\n"), &filed), OK);
	assert_true(span_eq(buf_span(&filed), buf_span(&expected)));
	content_unref(&c);
	buf_clear(&text);
	buf_clear(&expected);
	buf_clear(&got);
	buf_clear(&filed);
}

/* ---- what is damaged */

/* All that can be asked of a shape. */
static void
ask_everything(const struct shape *s)
{
	struct shape_part p;
	struct buf b = {0};
	for (uint32_t i = 0; i < s->parts; i++)
		shape_part(s, 5, i, &p);
	for (uint32_t i = 0; i < 4; i++)
		(void)shape_find(s, 5, (const uint32_t[]){i, 1, i}, 3, i % 2, &p);
	shape_add_body(s, &b);
	buf_clear(&b);
}

static void
damaged_records(void **state)
{
	(void)state;
	struct buf b = record_of(SPAN(nested), SPAN(""), 0);
	struct shape s;
	assert_int_equal(shape_open(&s, SPAN("")), ERR_DAMAGED);
	assert_int_equal(shape_open(&s, SPAN("\x02")), ERR_VERSION);
	size_t names = strlen("iso-8859-1");
	for (size_t n = 1; n < b.n - names; n++) {
		char *cut = mem_dup(b.p, n);
		assert_int_equal(shape_open(&s, (struct span){cut, n}), ERR_DAMAGED);
		mem_free(&cut);
	}
	for (size_t i = 1; i < b.n; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			b.p[i] = (char)((unsigned char)b.p[i] ^ 1u << bit);
			enum err e = shape_open(&s, buf_span(&b));
			if (e == OK)
				ask_everything(&s);
			else
				assert_int_equal(e, ERR_DAMAGED);
			b.p[i] = (char)((unsigned char)b.p[i] ^ 1u << bit);
		}
	}
	buf_clear(&b);
}

/* ---- large and hostile */

static void
add_many(struct buf *b, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_add_str(b, s);
}

static void
large_records_say_less(void **state)
{
	(void)state;
	char quotes[1024] = "\r\n--b\r\nContent-Description: ";
	size_t used = strlen(quotes); /* each is two octets when it is quoted */
	memset(quotes + used, '"', sizeof(quotes) - used - 5);
	memcpy(quotes + sizeof(quotes) - 5, "\r\n\r\n", 5);
	const struct {
		const char *head, *bit, *tail;
		size_t n;
	} table[] = {
	    /* the structure alone is too large */
	    {"Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", quotes,
		"", 1000},
	    /* so are the addresses */
	    {"Subject: s\r\nFrom: a", ",x", "\r\n\r\n", 32000},
	    /* and the text of them, where it is said to be in a charset */
	    {"Subject: s", "\xef\xb7\xba", "\r\nFrom: a@b\r\n\r\n", 21000},
	};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct buf text = {0}, body = {0};
		struct shape s;
		struct shape_part p;
		buf_add_str(&text, table[i].head);
		add_many(&text, table[i].bit, table[i].n);
		buf_add_str(&text, table[i].tail);
		struct buf b = record_of(buf_span(&text), SPAN(""), 0);
		assert_in_range(b.n, 1, SHAPE_MAX);
		assert_int_equal(shape_open(&s, buf_span(&b)), OK);
		assert_int_equal(s.parts, i < 2 ? 1 : s.parts);
		assert_int_equal(s.size, text.n);
		assert_true(s.subject.n > 0);
		assert_int_equal(
		    shape_find(&s, 0, (const uint32_t[]){1}, 1, false, &p), OK);
		assert_int_equal(p.body, s.header);
		assert_int_equal(p.end, text.n);
		shape_add_body(&s, &body);
		assert_true(
		    span_starts(buf_span(&body), SPAN("(\"text\" \"plain\" NIL")));
		buf_clear(&b);
		buf_clear(&text);
		buf_clear(&body);
	}
}

/* A message of 100,000 parts, of 1,000, one 50 deep and deeper: found like struct mime
 * finds them, in little time. */
static void
many_parts(void **state)
{
	(void)state;
	clock_t begin = clock();
	for (size_t n = 999; n <= 100000; n *= 10) {
		struct buf text = {0};
		buf_add_str(&text, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
		add_many(&text, "--b\r\n\r\nx\r\n", n);
		struct buf b = record_of(buf_span(&text), SPAN(""), 0);
		struct mime *m = parse(buf_span(&text));
		struct shape s;
		assert_int_equal(shape_open(&s, buf_span(&b)), OK);
		assert_int_equal(s.parts, MIME_PARTS_MAX);
		for (uint32_t i = 0; i < 1100; i++) {
			assert_found_alike(m, &s, &i, 1);
			assert_found_alike(m, &s, (const uint32_t[]){i, 1}, 2);
		}
		mime_free(&m);
		buf_clear(&b);
		assert_body(buf_span(&text));
		buf_clear(&text);
	}
	assert_true(clock() - begin < 5 * CLOCKS_PER_SEC);
}

static void
deep_nesting(void **state)
{
	(void)state;
	for (size_t depth = 40; depth < 70; depth += 3) {
		for (int multi = 0; multi < 2; multi++) {
			struct buf text = {0};
			uint32_t number[80];
			for (size_t i = 0; i < depth; i++)
				if (multi)
					buf_addf(&text,
					    "Content-Type: multipart/mixed; "
					    "boundary=b%zu\r\n\r\n--b%zu\r\n",
					    i, i);
				else
					buf_add_str(&text,
					    "Content-Type: message/rfc822\r\n\r\n");
			struct buf b = record_of(buf_span(&text), SPAN(""), 0);
			struct mime *m = parse(buf_span(&text));
			struct shape s;
			assert_int_equal(shape_open(&s, buf_span(&b)), OK);
			for (size_t i = 0; i < COUNT_OF(number); i++)
				number[i] = 1;
			for (size_t i = 0; i < COUNT_OF(number); i++)
				assert_found_alike(m, &s, number, i);
			mime_free(&m);
			buf_clear(&b);
			assert_body(buf_span(&text));
			buf_clear(&text);
		}
	}
}

static void
hostile_headers(void **state)
{
	(void)state;
	static const char *const bits[] = {",", "x,", "(", "\"", "<", "<,", ":", ";",
	    "a:;", "\\",
	    "=?utf-8?q?x?= ", "=?gb2312?q?=C4=E3?= <x>, =?big5?q?=A7A?= <x>,", "\xe9",
	    "[fwd:", "[] ", "re:"};
	clock_t begin = clock();
	for (size_t i = 0; i < COUNT_OF(bits); i++) {
		static const char *const fields[] = {
		    "From", "To", "Subject", "Date", "References", "Content-Type"};
		for (size_t k = 0; k < COUNT_OF(fields); k++) {
			struct buf text = {0};
			struct shape s;
			buf_addf(&text, "%s: ", fields[k]);
			while (text.n < 65000)
				buf_add_str(&text, bits[i]);
			buf_add_str(&text, "\r\n\r\nbody\r\n");
			struct buf b = record_of(buf_span(&text), SPAN(""), 0);
			assert_int_equal(shape_open(&s, buf_span(&b)), OK);
			assert_span(s.preview, "body");
			buf_clear(&b);
			assert_body(buf_span(&text));
			buf_clear(&text);
		}
	}
	assert_true(clock() - begin < 20 * CLOCKS_PER_SEC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_letter),
	    cmocka_unit_test(nothing_said),
	    cmocka_unit_test(the_prefix_fills_in),
	    cmocka_unit_test(parts_are_found),
	    cmocka_unit_test(charsets_and_encodings),
	    cmocka_unit_test(body_of_structure),
	    cmocka_unit_test(body_of_rubbish),
	    cmocka_unit_test(previews),
	    cmocka_unit_test(previews_are_bounded),
	    cmocka_unit_test(every_split_gives_the_same),
	    cmocka_unit_test(contents_have_shapes),
	    cmocka_unit_test(damaged_records),
	    cmocka_unit_test(large_records_say_less),
	    cmocka_unit_test(many_parts),
	    cmocka_unit_test(deep_nesting),
	    cmocka_unit_test(hostile_headers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
