/* SPDX-License-Identifier: ISC */
/* scan - a cursor that moves over the whole of a thing or not at all. */
#include "base/scan.h"

#include "base/units.h"

int
scan_peek(const struct scan *s)
{
	return scan_done(s) ? -1 : (unsigned char)*s->p;
}

static bool
advance(struct scan *s, size_t n, struct span *out)
{
	if (n == 0)
		return false;
	*out = (struct span){s->p, n};
	s->p += n;
	return true;
}

bool
scan_char(struct scan *s, char c)
{
	if (scan_done(s) || *s->p != c)
		return false;
	s->p++;
	return true;
}

bool
scan_text(struct scan *s, struct span text)
{
	if (!span_starts(scan_rest(s), text))
		return false;
	if (text.n > 0)
		s->p += text.n;
	return true;
}

bool
scan_itext(struct scan *s, struct span text)
{
	if (!span_istarts(scan_rest(s), text))
		return false;
	if (text.n > 0)
		s->p += text.n;
	return true;
}

bool
scan_run(struct scan *s, bool (*is)(unsigned char), struct span *out)
{
	struct span rest = scan_rest(s);
	size_t n = 0;
	while (n < rest.n && is((unsigned char)rest.p[n]))
		n++;
	return advance(s, n, out);
}

bool
scan_until(struct scan *s, char c, struct span *out)
{
	struct span rest = scan_rest(s);
	size_t n = span_find(rest, c);
	if (n == rest.n)
		return false;
	*out = (struct span){rest.p, n};
	s->p += n + 1;
	return true;
}

bool
scan_u64(struct scan *s, uint64_t max, uint64_t *out)
{
	struct scan ahead = *s;
	struct span digits;
	if (!scan_run(&ahead, is_digit, &digits) || units_u64(digits, max, out) != OK)
		return false;
	*s = ahead;
	return true;
}

static bool
is_blank(unsigned char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_not_blank(unsigned char c)
{
	return !is_blank(c);
}

bool
scan_blanks(struct scan *s)
{
	struct span ignored;
	return scan_run(s, is_blank, &ignored);
}

void
scan_skip_blanks(struct scan *s)
{
	(void)scan_blanks(s);
}

bool
scan_word(struct scan *s, struct span *out)
{
	return scan_run(s, is_not_blank, out);
}

bool
is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

bool
is_alpha(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool
is_alnum(unsigned char c)
{
	return is_digit(c) || is_alpha(c);
}
