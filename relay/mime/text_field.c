/* SPDX-License-Identifier: ISC */
/*
 * text_field - a header field's body as people read it (RFC 2047).  More is taken for an
 * encoded word than the RFC allows, because it is sent: one inside of quotes, one that
 * touches other text, one with blanks in it, one that is too long.  Words that follow
 * each other in the same charset and encoding are read as if they were one, since some
 * cut characters and even groups of base64 in two.
 */
#include <string.h>

#include "relay/mime/shape.h"
#include "relay/mime/text_private.h"

#define CHARSET_OCTETS_MAX 40
#define OPENS_MAX 16 /* of one field */

struct word {
	struct span charset, text;
	bool base64;
};

struct field {
	struct squeeze to;
	struct buf octets, utf8; /* of one word */
	bool in_words;           /* the reader below is that of the word before */
	struct word last;
	struct text_reader reader;
	struct text_decoder decoder;
	unsigned *opens;
};

/* ---- finding words */

static struct span
from(struct span s, size_t at)
{
	return (struct span){s.p + at, s.n - at};
}

/* Where `what` is in s; s.n: nowhere. */
static size_t
find(struct span s, struct span what)
{
	const char *p = s.n > 0 ? memmem(s.p, s.n, what.p, what.n) : NULL;
	return p != NULL ? (size_t)(p - s.p) : s.n;
}

/* "=?charset*language?b?text?=" at the beginning of s; returns its octets, or 0. */
static size_t
scan_word(struct span s, bool *no_end, struct word *w)
{
	struct span head = from(s, 2);
	size_t n = span_find(
	    span_cut(head, 0, CHARSET_OCTETS_MAX + 1), '?'); /* of the charset */
	if (n == 0 || n > CHARSET_OCTETS_MAX || head.n < n + 3 || head.p[n] != '?' ||
	    head.p[n + 2] != '?')
		return 0;
	char how = ascii_lower(head.p[n + 1]);
	if (how != 'b' && how != 'q')
		return 0;
	struct span text = from(head, n + 3);
	size_t end = find(text, SPAN("?="));
	*no_end = end == text.n;
	if (*no_end)
		return 0;
	w->charset = span_cut(head, 0, n);
	w->charset.n = span_find(w->charset, '*'); /* RFC 2231 5 */
	w->base64 = how == 'b';
	w->text = span_cut(text, 0, end);
	return 2 + n + 3 + end + 2;
}

/* ---- words */

static void
end_words(struct field *f)
{
	if (!f->in_words)
		return;
	buf_reset(&f->octets);
	buf_reset(&f->utf8);
	text_decode_end(&f->decoder, &f->octets);
	text_reader_take(&f->reader, buf_span(&f->octets), &f->utf8);
	text_reader_end(&f->reader, &f->utf8);
	*f->opens -= f->reader.opened;
	text_reader_clear(&f->reader);
	squeeze_put(&f->to, buf_span(&f->utf8));
	f->in_words = false;
}

static void
begin_words(struct field *f, const struct word *w)
{
	struct span none = {NULL, 0};
	text_reader_init(&f->reader, *f->opens > 0 ? w->charset : none);
	f->decoder = (struct text_decoder){.encoding = SHAPE_BASE64};
	f->in_words = true;
	f->last = *w;
}

/* "Q": quoted-printable with "_" for the blank, and without lines. */
static void
decode_q(struct span s, struct buf *out)
{
	struct text_decoder d = {.encoding = SHAPE_QUOTED};
	while (s.n > 0) {
		size_t n = 0;
		while (n < s.n && s.p[n] != '_' && s.p[n] != ' ')
			n++;
		text_decode(&d, span_cut(s, 0, n), out);
		text_decode_end(&d, out);
		if (n < s.n)
			buf_add_char(out, ' ');
		s = span_cut(s, n + 1, s.n);
	}
}

static void
put_word(struct field *f, const struct word *w)
{
	if (f->in_words &&
	    (w->base64 != f->last.base64 || !span_ieq(w->charset, f->last.charset)))
		end_words(f);
	if (!f->in_words)
		begin_words(f, w);
	buf_reset(&f->octets);
	buf_reset(&f->utf8);
	if (w->base64)
		text_decode(&f->decoder, w->text, &f->octets);
	else
		decode_q(w->text, &f->octets);
	text_reader_take(&f->reader, buf_span(&f->octets), &f->utf8);
	squeeze_put(&f->to, buf_span(&f->utf8));
}

/* ---- what is between them */

static bool
is_white(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (memchr(" \t\r\n", s.p[i], 4) == NULL)
			return false;
	return true;
}

static void
put_plain(struct field *f, struct span s)
{
	if (s.n == 0)
		return;
	end_words(f);
	if (utf8_valid(s) < s.n) {
		buf_reset(&f->utf8);
		text_to_utf8((struct span){NULL, 0}, s, &f->utf8);
		s = buf_span(&f->utf8);
	}
	squeeze_put(&f->to, s);
}

void
text_add_words(struct span body, unsigned *opens, struct buf *out)
{
	struct field f = {.to.out = out, .opens = opens};
	struct span rest = body; /* that no word has been found in yet */
	bool no_end = false;
	while (rest.n > 0 && !no_end && !out->overflow) {
		struct word w;
		size_t at = find(rest, SPAN("=?"));
		if (at == rest.n)
			break;
		size_t n = scan_word(from(rest, at), &no_end, &w);
		struct span before = {body.p, (size_t)(rest.p - body.p) + at};
		rest = from(rest, at + (n > 0 ? n : 2));
		if (n == 0)
			continue;
		if (!f.in_words || !is_white(before))
			put_plain(&f, before);
		put_word(&f, &w);
		body = rest;
	}
	put_plain(&f, body);
	end_words(&f);
	buf_clear(&f.octets);
	buf_clear(&f.utf8);
}

void
text_add_field(struct span body, struct buf *out)
{
	unsigned opens = OPENS_MAX;
	text_add_words(body, &opens, out);
}
