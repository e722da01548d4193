/* SPDX-License-Identifier: ISC */
/* span - comparisons and cuts over borrowed bytes. */
#include "base/span.h"

#include <string.h>

#include "base/mem.h"

struct span
span_str(const char *s)
{
	return (struct span){s, s ? strlen(s) : 0};
}

struct span
span_cut(struct span s, size_t from, size_t n)
{
	if (from >= s.n)
		return (struct span){s.n ? s.p + s.n : s.p, 0};
	size_t left = s.n - from;
	return (struct span){s.p + from, n < left ? n : left};
}

bool
span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

char
ascii_lower(char c)
{
	return (c >= 'A' && c <= 'Z') ? (char)(c + ('a' - 'A')) : c;
}

bool
span_ieq(struct span a, struct span b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
			return false;
	return true;
}

int
span_cmp(struct span a, struct span b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int d = n ? memcmp(a.p, b.p, n) : 0;
	if (d != 0)
		return d;
	return (a.n > b.n) - (a.n < b.n);
}

bool
span_starts(struct span s, struct span prefix)
{
	return s.n >= prefix.n && span_eq(span_cut(s, 0, prefix.n), prefix);
}

bool
span_istarts(struct span s, struct span prefix)
{
	return s.n >= prefix.n && span_ieq(span_cut(s, 0, prefix.n), prefix);
}

bool
span_iends(struct span s, struct span suffix)
{
	return s.n >= suffix.n && span_ieq(span_cut(s, s.n - suffix.n, suffix.n), suffix);
}

size_t
span_find(struct span s, char c)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
	return at ? (size_t)(at - s.p) : s.n;
}

size_t
span_find_last(struct span s, char c)
{
	size_t i = s.n;
	while (i > 0 && s.p[i - 1] != c)
		i--;
	return i > 0 ? i - 1 : s.n;
}

struct span
span_trim(struct span s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

char *
span_dup(struct span s)
{
	return mem_dup(s.p, s.n);
}

void
span_copy(struct span s, char *dst, size_t size)
{
	if (size == 0)
		return;
	size_t n = s.n < size - 1 ? s.n : size - 1;
	if (n > 0)
		memcpy(dst, s.p, n);
	dst[n] = '\0';
}
