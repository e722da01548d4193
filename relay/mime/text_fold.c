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

/* Characters of which there are many, and which are what they are: CJK, jamo. */
static bool
is_plain(uint32_t c)
{
	return (c >= 0x3400 && c <= 0x9fff) || (c >= 0x1100 && c <= 0x11ff);
}

static void
fold_char(uint32_t c, unsigned depth, struct buf *out)
{
	ucs4_t parts[UC_DECOMPOSITION_MAX_LENGTH];
	int tag, n = -1;
	if (!is_plain(c)) {
		c = uc_totitle(c);
		n = depth < DEPTH_MAX ? uc_decomposition(c, &tag, parts) : 0;
	}
	for (int i = 0; i < n; i++)
		fold_char(parts[i], depth + 1, out);
	if (n <= 0)
		text_put_char(out, c);
}

/* What became of the characters of late: a text has the same ones again and again. */
#define KNOWN 64
struct known {
	uint32_t c;
	uint8_t n; /* 0: nothing is known here */
	char utf8[11];
};

static void
fold_known(struct known *known, uint32_t c, struct buf *out)
{
	struct known *k = &known[c % KNOWN];
	size_t before = out->n;
	if (k->n > 0 && k->c == c) {
		text_put(out, (struct span){k->utf8, k->n});
		return;
	}
	fold_char(c, 0, out);
	size_t n = out->n - before;
	if (out->overflow || n > sizeof(k->utf8))
		return;
	k->c = c;
	k->n = (uint8_t)n;
	memcpy(k->utf8, out->p + before, n);
}

static size_t
fold_next(struct known *known, struct span s, struct buf *out)
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
		fold_known(known, c, out);
	return len;
}

/* From the first character on that is not ASCII. */
static void
fold_all(struct span s, struct buf *out)
{
	char some[512];
	struct known known[KNOWN];
	memset(known, 0, sizeof(known));
	while (s.n > 0 && !out->overflow) {
		size_t n = fold_ascii(span_cut(s, 0, sizeof(some)), some);
		text_put(out, (struct span){some, n});
		if (n == 0)
			n = fold_next(known, s, out);
		s.p += n;
		s.n -= n;
	}
}

void
text_fold(struct span utf8, struct buf *out)
{
	char some[512];
	while (utf8.n > 0 && !out->overflow) {
		size_t n = fold_ascii(span_cut(utf8, 0, sizeof(some)), some);
		text_put(out, (struct span){some, n});
		utf8.p += n;
		utf8.n -= n;
		if (n < sizeof(some))
			break;
	}
	if (utf8.n > 0)
		fold_all(utf8, out);
}

bool
text_contains(struct span hay, struct span needle)
{
	return needle.n == 0 ||
	       (hay.n >= needle.n && memmem(hay.p, hay.n, needle.p, needle.n) != NULL);
}
