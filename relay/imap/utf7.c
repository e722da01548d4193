/* SPDX-License-Identifier: ISC */
/* utf7 - see utf7.h. */
#include "relay/imap/utf7.h"

#include <stdint.h>
#include <string.h>
#include <stdlib.h>
#include <uninorm.h>
#include <unistr.h>

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool
is_plain(uint32_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

static void
add_utf8(uint32_t c, struct buf *out)
{
	uint8_t room[6];
	int n = u8_uctomb(room, c, sizeof(room));
	if (n > 0)
		buf_add(out, room, (size_t)n);
}

/* ---- writing */

/* UTF-16 that is shifted into base64. */
struct shift {
	struct buf *out;
	uint32_t bits;
	unsigned n;
	bool in;
};

static void
shift_add(struct shift *s, uint32_t unit)
{
	if (!s->in)
		buf_add_char(s->out, '&');
	s->in = true;
	s->bits = (s->bits << 16 | unit) & 0x3fffff;
	for (s->n += 16; s->n >= 6; s->n -= 6)
		buf_add_char(s->out, digits[s->bits >> (s->n - 6) & 63]);
}

static void
shift_end(struct shift *s)
{
	if (!s->in)
		return;
	if (s->n > 0)
		buf_add_char(s->out, digits[s->bits << (6 - s->n) & 63]);
	buf_add_char(s->out, '-');
	*s = (struct shift){.out = s->out};
}

void
utf7_encode(struct span utf8, struct buf *out)
{
	struct shift s = {.out = out};
	const uint8_t *p = (const uint8_t *)utf8.p;
	for (size_t i = 0; i < utf8.n;) {
		ucs4_t c = 0;
		int n = u8_mbtoucr(&c, p + i, utf8.n - i);
		if (n <= 0)
			return;
		i += (size_t)n;
		if (is_plain(c)) {
			shift_end(&s);
			buf_add_char(out, (char)c);
			if (c == '&')
				buf_add_char(out, '-');
		} else if (c < 0x10000) {
			shift_add(&s, c);
		} else {
			shift_add(&s, 0xd800 + ((c - 0x10000) >> 10));
			shift_add(&s, 0xdc00 + ((c - 0x10000) & 0x3ff));
		}
	}
	shift_end(&s);
}

/* ---- reading */

/* The units of one "&...-"; a character of its own for each that is none of a pair. */
static bool
add_unit(uint32_t unit, uint32_t *high, struct buf *out)
{
	bool low = unit >= 0xdc00 && unit <= 0xdfff;
	if ((*high != 0) != low)
		return false;
	if (unit >= 0xd800 && unit <= 0xdbff) {
		*high = unit;
		return true;
	}
	uint32_t c = low ? 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00) : unit;
	*high = 0;
	if (is_plain(c))
		return false; /* it has a spelling of its own */
	add_utf8(c, out);
	return true;
}

static bool
decode_shifted(struct span in, struct buf *out)
{
	uint32_t bits = 0, high = 0;
	unsigned n = 0;
	for (size_t i = 0; i < in.n; i++) {
		const char *at = in.p[i] != '\0' ? strchr(digits, in.p[i]) : NULL;
		if (at == NULL)
			return false;
		bits = (bits << 6 | (uint32_t)(at - digits)) & 0x3fffff;
		n += 6;
		if (n < 16)
			continue;
		n -= 16;
		if (!add_unit(bits >> n & 0xffff, &high, out))
			return false;
	}
	return high == 0 && n < 6 && (bits & ((1u << n) - 1)) == 0;
}

bool
utf7_decode(struct span name, struct buf *out)
{
	bool shifted_before = false;
	for (size_t i = 0; i < name.n;) {
		unsigned char c = (unsigned char)name.p[i];
		if (!is_plain(c))
			return false;
		if (c != '&') {
			buf_add_char(out, (char)c);
			shifted_before = false;
			i++;
			continue;
		}
		struct span rest = span_cut(name, i + 1, name.n);
		size_t end = span_find(rest, '-');
		if (end == rest.n)
			return false;
		if (end == 0)
			buf_add_char(out, '&');
		else if (shifted_before || !decode_shifted(span_cut(rest, 0, end), out))
			return false; /* "&..-&..-" could have been one */
		shifted_before = end > 0;
		i += end + 2;
	}
	return !out->overflow;
}

static bool
is_ascii(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	}
	return true;
}

void
utf8_name_settle(struct span name, struct buf *out)
{
	size_t n = 0;
	if (is_ascii(name)) {
		buf_add_span(out, name);
		return;
	}
	uint8_t *to =
	    u8_normalize(UNINORM_NFC, (const uint8_t *)name.p, name.n, NULL, &n);
	if (to != NULL)
		buf_add(out, to, n);
	free(to); /* it is the library's */
}

/* U+2028 and U+2029 end lines and paragraphs. */
static bool
is_separator(struct span rest)
{
	return span_starts(rest, SPAN("\xe2\x80\xa8")) ||
	       span_starts(rest, SPAN("\xe2\x80\xa9"));
}

bool
utf8_name_ok(struct span name)
{
	if (name.n == 0)
		return true;
	if (u8_check((const uint8_t *)name.p, name.n) != NULL)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];
		if (c < 0x20 || c == 0x7f || is_separator(span_cut(name, i, name.n)) ||
		    (c == 0xc2 && i + 1 < name.n && (unsigned char)name.p[i + 1] < 0xa0))
			return false;
	}
	return true;
}
