/* SPDX-License-Identifier: ISC */
/*
 * text_html - what is read of HTML: no parser, but one pass that knows where a tag ends.
 * What a search for a closing mark has not found once is not looked for again: so the
 * time is linear, whatever comes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"
#include "relay/mime/text_private.h"

#define REFERENCE_MAX 12 /* octets of a name or number */
#define TAG_NAME_MAX 12

struct html {
	struct span rest;
	struct squeeze to;
	bool no_tag_end, no_quote[2]; /* in all the rest */
};

static void
skip(struct html *h, size_t n)
{
	h->rest = span_cut(h->rest, n, h->rest.n);
}

static void
put(struct html *h, struct span s)
{
	struct buf text = {0};
	if (utf8_valid(s) == s.n) {
		squeeze_put(&h->to, s);
		return;
	}
	text_to_utf8(SPAN("utf-8"), s, &text);
	squeeze_put(&h->to, buf_span(&text));
	buf_clear(&text);
}

/* ---- character references */

struct entity {
	const char *name;
	unsigned code;
};

static const struct entity entities[] = {
#define ENTITY(name, code) {name, code},
#include "relay/mime/text_entities.def"
#undef ENTITY
};

static int
compare(const void *key, const void *element)
{
	return strcmp(key, ((const struct entity *)element)->name);
}

/* "#233" or "#xe9"; 0: neither. */
static uint32_t
number_of(const char *s)
{
	char *end;
	bool hex = s[1] == 'x' || s[1] == 'X';
	const char *digits = s + (hex ? 2 : 1);
	if (s[0] != '#' || !(hex ? strchr("0123456789abcdefABCDEF", digits[0]) != NULL
				 : is_digit((unsigned char)digits[0])))
		return 0;
	unsigned long n = strtoul(digits, &end, hex ? 16 : 10);
	if (*end != '\0' || digits[0] == '\0')
		return 0;
	return n == 0 || n > 0x10ffff ? UTF8_REPLACEMENT : (uint32_t)n;
}

static void
put_code(struct html *h, uint32_t c)
{
	struct buf one = {0};
	char octet = (char)c;
	if (c >= 0x80 && c < 0xa0) /* meant as Windows has it */
		text_to_utf8(SPAN("windows-1252"), (struct span){&octet, 1}, &one);
	else
		text_put_char(&one, c);
	squeeze_put(&h->to, buf_span(&one));
	buf_clear(&one);
}

/* At "&". */
static void
take_reference(struct html *h)
{
	char name[REFERENCE_MAX + 1];
	struct span s = span_cut(h->rest, 1, REFERENCE_MAX + 1);
	size_t n = span_find(s, ';');
	if (n < s.n && n <= REFERENCE_MAX && memchr(s.p, '\0', n) == NULL) {
		span_copy(span_cut(s, 0, n), name, sizeof(name));
		const struct entity *e = bsearch(
		    name, entities, COUNT_OF(entities), sizeof(entities[0]), compare);
		uint32_t code = e != NULL ? e->code : number_of(name);
		if (code != 0) {
			put_code(h, code);
			skip(h, n + 2);
			return;
		}
	}
	put(h, SPAN("&"));
	skip(h, 1);
}

/* ---- tags */

/* Where `what` is in the rest, behind it; 0: nowhere. */
static size_t
behind(const struct html *h, struct span what)
{
	const char *p = memmem(h->rest.p, h->rest.n, what.p, what.n);
	return p != NULL ? (size_t)(p - h->rest.p) + what.n : 0;
}

/* Where the next ">" is that is not between quotes; the rest's end: nowhere. */
static size_t
tag_end(struct html *h)
{
	struct span s = h->rest;
	size_t at = 1;
	for (; at < s.n && s.p[at] != '>'; at++) {
		bool twice = s.p[at] == '"';
		if ((!twice && s.p[at] != '\'') || h->no_quote[twice])
			continue;
		size_t left = s.n - at - 1;
		size_t n = span_find((struct span){s.p + at + 1, left}, s.p[at]);
		h->no_quote[twice] = n == left;
		at += n < left ? n + 1 : 0;
	}
	return at < s.n ? at : s.n;
}

/* The octets of the tag at the beginning; 0: it has no end. */
static size_t
tag_length(struct html *h)
{
	size_t at = h->no_tag_end ? h->rest.n : tag_end(h);
	if (at == h->rest.n && !h->no_tag_end) { /* as if there were no quotes */
		h->no_quote[0] = h->no_quote[1] = true;
		at = tag_end(h);
	}
	h->no_tag_end = at == h->rest.n;
	return h->no_tag_end ? 0 : at + 1;
}

static bool
is_one_of(struct span name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (span_ieq(name, span_str(list[i])))
			return true;
	return false;
}

/* Tags inside of a word; all others end one. */
static bool
is_inside_word(struct span name)
{
	static const char *const list[] = {"a", "abbr", "acronym", "b", "bdo", "big",
	    "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd", "mark", "o:p",
	    "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "tt",
	    "u", "var", "wbr"};
	return is_one_of(name, list, COUNT_OF(list));
}

/* What is not for reading, up to its closing tag. */
static bool
is_hidden(struct span name)
{
	static const char *const list[] = {
	    "script", "style", "title", "noscript", "template", "xml"};
	return is_one_of(name, list, COUNT_OF(list));
}

static void
skip_to_close(struct html *h, struct span name)
{
	for (;;) {
		size_t n = behind(h, SPAN("</"));
		if (n == 0)
			n = h->rest.n;
		skip(h, n);
		if (h->rest.n == 0 || span_istarts(h->rest, name))
			break;
	}
	size_t end = span_find(h->rest, '>');
	skip(h, end + 1);
}

/* "<!-- ... -->", or all the rest. False: it is none. */
static bool
take_comment(struct html *h)
{
	if (!span_starts(h->rest, SPAN("<!--")))
		return false;
	size_t n = behind(h, SPAN("-->"));
	skip(h, n > 0 ? n : h->rest.n);
	return true;
}

static void
take_tag(struct html *h)
{
	struct span s = h->rest, name;
	bool closing = s.n > 1 && s.p[1] == '/';
	struct scan at = scan_over(span_cut(s, closing ? 2 : 1, TAG_NAME_MAX));
	if (take_comment(h))
		return;
	bool named = scan_peek(&at) >= 0 && is_alpha((unsigned char)*at.p);
	if (!named && !(s.n > 1 && memchr("!?/", s.p[1], 3) != NULL)) {
		put(h, SPAN("<"));
		skip(h, 1);
		return;
	}
	name = scan_rest(&at);
	size_t n = 0;
	while (n < name.n && (is_alnum((unsigned char)name.p[n]) || name.p[n] == ':'))
		n++;
	name.n = n;
	n = tag_length(h);
	if (n == 0)
		put(h, SPAN("<"));
	else if (!is_inside_word(name))
		squeeze_put(&h->to, SPAN(" "));
	skip(h, n > 0 ? n : 1);
	if (n > 0 && !closing && is_hidden(name))
		skip_to_close(h, name);
}

void
text_of_html(struct span html, struct buf *out)
{
	struct html h = {.rest = html, .to.out = out};
	while (h.rest.n > 0 && !out->overflow) {
		size_t n = 0;
		while (n < h.rest.n && h.rest.p[n] != '<' && h.rest.p[n] != '&')
			n++;
		put(&h, span_cut(h.rest, 0, n));
		skip(&h, n);
		if (h.rest.n == 0)
			break;
		if (h.rest.p[0] == '<')
			take_tag(&h);
		else
			take_reference(&h);
	}
}
