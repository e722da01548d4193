/* SPDX-License-Identifier: ISC */
/*
 * mime_address - lists of addresses (RFC 5322 3.4), read as tolerantly as people write
 * them: whatever is there comes out as something that a client can parse.
 */
#include <string.h>

#include "base/mem.h"
#include "relay/mime/mime_private.h"

struct addresses {
	struct span rest;
	void (*found)(void *arg, const struct mime_address *a);
	void *arg;
	bool in_group;
	struct buf phrase; /* words in front of "<", ":" or the end of the address */
	struct buf plain;  /* the same as an address is written: without blanks */
	struct buf comment;
	bool word; /* phrase ends with a word */
};

static void
tell(struct addresses *a, struct span name, struct span route, struct span local,
    struct span domain)
{
	struct mime_address one = {name, route, local, domain};
	a->found(a->arg, &one);
}

static struct span
or_nothing(const struct buf *b)
{
	return b->n > 0 ? buf_span(b) : (struct span){NULL, 0};
}

/* local@domain; without a domain it is an empty one: NIL would begin a group. */
static void
add_spec(struct addresses *a, struct span name, struct span route, struct span spec)
{
	size_t at = span_find_last(spec, '@');
	if (at == spec.n)
		tell(a, name, route, spec.n > 0 ? spec : SPAN(""), SPAN(""));
	else
		tell(a, name, route, span_cut(spec, 0, at),
		    span_cut(spec, at + 1, spec.n));
}

static void
next_address(struct addresses *a)
{
	buf_reset(&a->phrase);
	buf_reset(&a->plain);
	buf_reset(&a->comment);
	a->word = false;
}

static char
take(struct addresses *a)
{
	char c = a->rest.p[0];
	a->rest = span_cut(a->rest, 1, a->rest.n);
	return c;
}

static void
take_comment(struct addresses *a)
{
	unsigned depth = 1;
	bool keep = a->comment.n == 0;
	(void)take(a);
	while (a->rest.n > 0 && depth > 0) {
		char c = take(a);
		if (c == '\\' && a->rest.n > 0)
			c = take(a);
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			return;
		if (keep)
			buf_add_char(&a->comment, c);
	}
}

static void
add_word(struct addresses *a, struct span word)
{
	if (a->phrase.n > 0 && !a->word)
		buf_add_char(&a->phrase, ' ');
	buf_add_span(&a->phrase, word);
	a->word = true;
}

static void
take_quoted(struct addresses *a)
{
	struct buf text;
	buf_init(&text, MIME_HEADER_MAX);
	buf_add_char(&a->plain, take(a));
	while (a->rest.n > 0 && a->rest.p[0] != '"') {
		char c = take(a);
		buf_add_char(&a->plain, c);
		if (c == '\\' && a->rest.n > 0) {
			c = take(a);
			buf_add_char(&a->plain, c);
		}
		buf_add_char(&text, c);
	}
	if (a->rest.n > 0)
		buf_add_char(&a->plain, take(a));
	add_word(a, buf_span(&text));
	buf_clear(&text);
}

/* What is between "<" and ">", without its blanks; most are as they stand. */
static struct span
take_inside(struct addresses *a, struct buf *room)
{
	bool quoted = false, plain = true;
	size_t n = 1;
	for (; n < a->rest.n && (quoted || a->rest.p[n] != '>'); n++) {
		char c = a->rest.p[n];
		quoted = quoted != (c == '"');
		if (quoted || (c != ' ' && c != '\t')) {
			if (!plain)
				buf_add_char(room, c);
			continue;
		}
		if (plain)
			buf_add(room, a->rest.p + 1, n - 1);
		plain = false;
	}
	struct span s = plain ? span_cut(a->rest, 1, n - 1) : buf_span(room);
	a->rest = span_cut(a->rest, n + 1, a->rest.n);
	return s;
}

/* "<@a,@b:local@domain>" */
static void
take_angle(struct addresses *a)
{
	struct buf room;
	size_t colon;
	buf_init(&room, MIME_HEADER_MAX);
	struct span s = take_inside(a, &room), route = {NULL, 0};
	if (s.n > 0 && s.p[0] == '@' && (colon = span_find(s, ':')) < s.n) {
		route = span_cut(s, 0, colon);
		s = span_cut(s, colon + 1, s.n);
	}
	add_spec(a, or_nothing(&a->phrase), route, s);
	buf_clear(&room);
	next_address(a);
}

/* What stood alone is an address, and a comment behind it a name. */
static void
end_plain(struct addresses *a)
{
	if (a->plain.n > 0)
		add_spec(a, or_nothing(&a->comment), (struct span){NULL, 0},
		    buf_span(&a->plain));
	next_address(a);
}

static void
take_group(struct addresses *a, bool begins)
{
	struct span none = {NULL, 0};
	if (begins && !a->in_group) {
		tell(a, none, none, a->phrase.n > 0 ? buf_span(&a->phrase) : SPAN(""),
		    none);
		a->in_group = true;
	} else if (!begins && a->in_group) {
		end_plain(a);
		tell(a, none, none, none, none);
		a->in_group = false;
	}
	next_address(a);
}

/* Octets that are of a word, and end nothing. */
static size_t
plain_run(struct span s)
{
	for (size_t n = 0; n < s.n; n++) {
		switch (s.p[n]) {
		case '(':
		case '"':
		case '<':
		case ',':
		case ':':
		case ';':
		case ' ':
		case '\t': return n;
		default: break;
		}
	}
	return s.n;
}

static void
take_one(struct addresses *a)
{
	size_t n = plain_run(a->rest);
	if (n > 0) {
		add_word(a, span_cut(a->rest, 0, n));
		buf_add_span(&a->plain, span_cut(a->rest, 0, n));
		a->rest = span_cut(a->rest, n, a->rest.n);
		return;
	}
	switch (a->rest.p[0]) {
	case '(': take_comment(a); return;
	case '"': take_quoted(a); return;
	case '<': take_angle(a); return;
	default: break;
	}
	char c = take(a);
	if (c == ',')
		end_plain(a);
	else if (c == ':')
		take_group(a, true);
	else if (c == ';')
		take_group(a, false);
	else
		a->word = false;
}

void
mime_each_address(
    struct span list, void (*found)(void *arg, const struct mime_address *a), void *arg)
{
	struct addresses a = {.rest = list, .found = found, .arg = arg};
	buf_init(&a.phrase, MIME_HEADER_MAX);
	buf_init(&a.plain, MIME_HEADER_MAX);
	buf_init(&a.comment, MIME_HEADER_MAX);
	while (a.rest.n > 0)
		take_one(&a);
	end_plain(&a);
	take_group(&a, false);
	buf_clear(&a.phrase);
	buf_clear(&a.plain);
	buf_clear(&a.comment);
}
