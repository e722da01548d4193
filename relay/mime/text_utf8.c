/* SPDX-License-Identifier: ISC */
/* text_utf8 - UTF-8 (RFC 3629) as it comes from outside. */
#include <string.h>

#include "relay/mime/text_private.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)

size_t
utf8_ascii(struct span s)
{
	size_t n = 0;
	uint64_t word;
	for (; s.n - n >= sizeof(word); n += sizeof(word)) {
		memcpy(&word, s.p + n, sizeof(word));
		if ((word & HIGH_BITS) != 0)
			break;
	}
	while (n < s.n && (unsigned char)s.p[n] < 0x80)
		n++;
	return n;
}

/* Octets of the character that begins so, and what its second may be; 0: none does. */
static size_t
length_of(unsigned char first, unsigned char *low, unsigned char *high)
{
	*low = 0x80;
	*high = 0xbf;
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	if (first < 0xe0)
		return 2;
	if (first == 0xe0)
		*low = 0xa0; /* shorter ones have their own form */
	else if (first == 0xed)
		*high = 0x9f; /* surrogates */
	else if (first == 0xf0)
		*low = 0x90;
	else if (first == 0xf4)
		*high = 0x8f; /* over U+10FFFF */
	return first < 0xf0 ? 3 : 4;
}

enum utf8
utf8_step(struct span s, size_t *len)
{
	unsigned char low, high;
	size_t n = length_of((unsigned char)s.p[0], &low, &high);
	*len = 1;
	if (n == 0)
		return UTF8_BAD;
	for (; *len < n && *len < s.n; ++*len) {
		unsigned char c = (unsigned char)s.p[*len];
		if (c < low || c > high)
			return UTF8_BAD;
		low = 0x80;
		high = 0xbf;
	}
	return *len == n ? UTF8_CHAR : UTF8_MORE;
}

size_t
utf8_valid(struct span s)
{
	size_t n = 0, len;
	for (;;) {
		n += utf8_ascii((struct span){s.p + n, s.n - n});
		while (n < s.n && (unsigned char)s.p[n] >= 0x80) {
			if (utf8_step((struct span){s.p + n, s.n - n}, &len) != UTF8_CHAR)
				return n;
			n += len;
		}
		if (n == s.n)
			return n;
	}
}

uint32_t
utf8_get(struct span s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	if (p[0] < 0x80)
		return p[0];
	if (p[0] < 0xe0)
		return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
	if (p[0] < 0xf0)
		return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
	return (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 |
	       (p[3] & 0x3fu);
}

/* ---- writing */

void
text_put(struct buf *out, struct span valid)
{
	size_t max = out->max ? out->max : BUF_DEFAULT_MAX;
	size_t room = max > out->n ? max - out->n : 0;
	if (out->overflow)
		return;
	if (valid.n <= room) {
		buf_add_span(out, valid);
		return;
	}
	while (room > 0 && ((unsigned char)valid.p[room] & 0xc0) == 0x80)
		room--;
	buf_add(out, valid.p, room);
	out->overflow = true;
}

void
text_put_char(struct buf *out, uint32_t c)
{
	char p[4];
	size_t n = 0;
	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		c = UTF8_REPLACEMENT;
	if (c < 0x80) {
		p[n++] = (char)c;
	} else if (c < 0x800) {
		p[n++] = (char)(0xc0 | c >> 6);
	} else if (c < 0x10000) {
		p[n++] = (char)(0xe0 | c >> 12);
		p[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	} else {
		p[n++] = (char)(0xf0 | c >> 18);
		p[n++] = (char)(0x80 | (c >> 12 & 0x3f));
		p[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	}
	if (c >= 0x80)
		p[n++] = (char)(0x80 | (c & 0x3f));
	text_put(out, (struct span){p, n});
}

/* ---- white space */

static bool
is_seen(unsigned char c)
{
	return c > ' ' && c != 0x7f;
}

/* Blanks of Unicode; c: the character at p. */
static bool
is_wide_blank(uint32_t c)
{
	return c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
	       c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000 || c == 0x85;
}

/* What mailers fill the beginning of their mail with, so that a preview ends there. */
static bool
is_invisible(uint32_t c)
{
	return c == 0xad || c == 0x34f || (c >= 0x200b && c <= 0x200f) || c == 0xfeff ||
	       c == 0x2060;
}

/* The octets at the beginning that are seen; what follows them goes up to *next. */
static size_t
seen(struct squeeze *q, struct span s, size_t *next)
{
	size_t n = 0, len;
	for (; n < s.n && is_seen((unsigned char)s.p[n]); n++) {
		if (!q->wide || (unsigned char)s.p[n] < 0xc2)
			continue;
		struct span rest = {s.p + n, s.n - n};
		uint32_t c = utf8_get(rest);
		if (!is_wide_blank(c) && !(is_invisible(c) && n == 0))
			continue;
		(void)utf8_step(rest, &len);
		*next = n + len;
		if (is_wide_blank(c) || q->blank || !q->any)
			return n;
	}
	*next = n < s.n ? n + 1 : n;
	return n;
}

void
squeeze_put(struct squeeze *q, struct span valid)
{
	while (valid.n > 0 && !q->out->overflow) {
		size_t next, n = seen(q, valid, &next);
		if (n > 0) {
			if (q->blank && q->any)
				text_put(q->out, SPAN(" "));
			text_put(q->out, (struct span){valid.p, n});
			q->any = true;
			q->blank = false;
		}
		q->blank = q->blank || next > n;
		valid.p += next;
		valid.n -= next;
	}
}
