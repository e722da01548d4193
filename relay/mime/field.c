/* SPDX-License-Identifier: ISC */
/* field - see field.h. */
#include "relay/mime/field.h"

static bool
is_empty_line(struct span s)
{
	return s.p[0] == '\n' || (s.n > 1 && s.p[0] == '\r' && s.p[1] == '\n');
}

bool
field_next(struct span *rest, struct header_field *out)
{
	size_t at = 0;
	if (rest->n == 0 || is_empty_line(*rest))
		return false;
	do {
		size_t n = span_find(span_cut(*rest, at, rest->n), '\n');
		at = at + n < rest->n ? at + n + 1 : rest->n;
	} while (at < rest->n && (rest->p[at] == ' ' || rest->p[at] == '\t'));
	out->whole = span_cut(*rest, 0, at);
	size_t colon = span_find(out->whole, ':');
	out->name = span_trim(span_cut(out->whole, 0, colon));
	out->body =
	    colon < at ? span_cut(out->whole, colon + 1, at) : (struct span){NULL, 0};
	*rest = span_cut(*rest, at, rest->n);
	return true;
}
