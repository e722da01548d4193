/* SPDX-License-Identifier: ISC */
/*
 * shape_body - BODY of BODYSTRUCTURE: what stands behind the fields that every part of
 * its kind has is extension data, and goes.  What is read is our own writing; something
 * else makes an empty text of it.
 */
#include "base/scan.h"
#include "relay/mime/shape.h"

#define DEPTH_MAX (2 * MIME_DEPTH_MAX + 10)

struct copy {
	struct scan in;
	struct buf *out;
	unsigned depth;
};

/* ---- passing over values */

static bool
skip_quoted(struct scan *s)
{
	for (s->p++; !scan_done(s) && *s->p != '"'; s->p++)
		if (*s->p == '\\' && ++s->p == s->end)
			return false;
	return scan_char(s, '"');
}

/* "{n}", CRLF and n octets. */
static bool
skip_literal(struct scan *s)
{
	uint64_t n;
	if (!scan_char(s, '{') || !scan_u64(s, SIZE_MAX, &n) ||
	    !scan_text(s, SPAN("}\r\n")) || n > scan_rest(s).n)
		return false;
	s->p += n;
	return true;
}

/* NIL, a number, a string, or a list with all that is in it. */
static bool
skip_value(struct scan *s)
{
	unsigned depth = 0;
	do {
		const char *from = s->p;
		(void)scan_char(s, ' ');
		switch (scan_peek(s)) {
		case -1: return false;
		case '"':
			if (!skip_quoted(s))
				return false;
			break;
		case '{':
			if (!skip_literal(s))
				return false;
			break;
		case '(':
			depth++;
			s->p++;
			break;
		case ')':
			if (depth-- == 0)
				return false;
			s->p++;
			break;
		default:
			while (!scan_done(s) && is_alnum((unsigned char)*s->p))
				s->p++;
			if (s->p == from)
				return false;
			break;
		}
	} while (depth > 0);
	return true;
}

/* ---- copying */

static bool
copy_value(struct copy *c)
{
	const char *from = c->in.p;
	if (!skip_value(&c->in))
		return false;
	buf_add(c->out, from, (size_t)(c->in.p - from));
	return true;
}

static bool
copy_values(struct copy *c, unsigned n)
{
	while (n-- > 0)
		if (!copy_value(c))
			return false;
	return true;
}

static bool
drop_rest(struct copy *c)
{
	while (scan_peek(&c->in) == ' ')
		if (!skip_value(&c->in))
			return false;
	buf_add_char(c->out, ')');
	return scan_char(&c->in, ')');
}

static bool copy_body(struct copy *c);

/* Behind "(": type, subtype, parameters, id, description, encoding, octets; envelope, the
 * body in it and lines of a message; lines of a text. */
static bool
copy_leaf(struct copy *c)
{
	struct scan type = c->in;
	bool text = scan_itext(&type, SPAN("\"text\" "));
	bool message = scan_itext(&type, SPAN("\"message\" ")) &&
		       (scan_itext(&type, SPAN("\"rfc822\"")) ||
			   scan_itext(&type, SPAN("\"global\"")));
	if (!copy_values(c, 7))
		return false;
	if (message) {
		if (!copy_value(c) || !scan_char(&c->in, ' '))
			return false;
		buf_add_char(c->out, ' ');
		if (!copy_body(c))
			return false;
	}
	return (!(text || message) || copy_value(c)) && drop_rest(c);
}

/* "(body)(body) subtype": not deeper than our own writing goes. */
static bool
copy_body(struct copy *c)
{
	bool fine = c->depth < DEPTH_MAX && scan_char(&c->in, '(');
	if (!fine)
		return false;
	c->depth++;
	buf_add_char(c->out, '(');
	if (scan_peek(&c->in) != '(') {
		fine = copy_leaf(c);
	} else {
		while (fine && scan_peek(&c->in) == '(')
			fine = copy_body(c);
		fine = fine && copy_value(c) && drop_rest(c);
	}
	c->depth--;
	return fine;
}

void
shape_add_body(const struct shape *s, struct buf *out)
{
	struct copy c = {.in = scan_over(s->structure), .out = out};
	size_t before = out->n;
	if (copy_body(&c) && scan_done(&c.in))
		return;
	if (out->n > before)
		out->n = before;
	buf_add_str(out, "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)");
}
