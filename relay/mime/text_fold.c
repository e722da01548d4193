/* SPDX-License-Identifier: ISC */
/*
 * text_fold - i;unicode-casemap (RFC 5051): each character in title case, then taken
 * apart into what it is made of.  Unlike the RFC, what comes of that is folded again, so
 * that the ligature fi is the same as F and I, and what is folded stays as it is.
 */
#include <string.h>

#include <unictype.h>
#include <unicase.h>
#include <uninorm.h>

#include "relay/mime/text_private.h"

#define DEPTH_MAX 8 /* of characters made of characters; Unicode has 4 */
#define ONES UINT64_C(0x0101010101010101)

/* ---- ASCII, eight octets at a time */

static uint64_t
upper_word(uint64_t w)
{
	uint64_t above_z = w + (0x7f - 'z') * ONES; /* bit 7: it is */
	uint64_t from_a = w + (0x80 - 'a') * ONES;
	return w - (((from_a ^ above_z) & (0x80 * ONES)) >> 2);
}

/* The ASCII at the beginning, in upper case; returns how many octets. */
static size_t
fold_ascii(struct span s, char *to)
{
	size_t n = 0;
	uint64_t w;
	for (; s.n - n >= sizeof(w); n += sizeof(w)) {
		memcpy(&w, s.p + n, sizeof(w));
		if ((w & (0x80 * ONES)) != 0)
			break;
		w = upper_word(w);
		memcpy(to + n, &w, sizeof(w));
	}
	for (; n < s.n && (unsigned char)s.p[n] < 0x80; n++)
		to[n] = (char)(s.p[n] >= 'a' && s.p[n] <= 'z' ? s.p[n] - 32 : s.p[n]);
	return n;
}

/* ---- the others */

static void
fold_char(uint32_t c, unsigned depth, struct buf *out)
{
	ucs4_t parts[UC_DECOMPOSITION_MAX_LENGTH];
	int tag;
	c = uc_totitle(c);
	int n = depth < DEPTH_MAX ? uc_decomposition(c, &tag, parts) : 0;
	for (int i = 0; i < n; i++)
		fold_char(parts[i], depth + 1, out);
	if (n <= 0)
		text_put_char(out, c);
}

/* Characters of which there are many, and which are what they are. */
static bool
is_plain(uint32_t c)
{
	return (c >= 0x3041 && c <= 0x304b) || (c >= 0x3400 && c <= 0x9fff);
}

static size_t
fold_next(struct span s, struct buf *out)
{
	size_t len;
	if (utf8_step(s, &len) != UTF8_CHAR) {
		text_put_char(out, UTF8_REPLACEMENT);
		return len;
	}
	s.n = len;
	uint32_t c = utf8_get(s);
	if (is_plain(c))
		text_put(out, s);
	else
		fold_char(c, 0, out);
	return len;
}

void
text_fold(struct span utf8, struct buf *out)
{
	char some[512];
	while (utf8.n > 0 && !out->overflow) {
		size_t n = fold_ascii(span_cut(utf8, 0, sizeof(some)), some);
		text_put(out, (struct span){some, n});
		if (n == 0)
			n = fold_next(utf8, out);
		utf8.p += n;
		utf8.n -= n;
	}
}

bool
text_contains(struct span hay, struct span needle)
{
	return needle.n == 0 ||
	       (hay.n >= needle.n && memmem(hay.p, hay.n, needle.p, needle.n) != NULL);
}
