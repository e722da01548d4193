/* SPDX-License-Identifier: ISC */
/*
 * text_jis - ISO-2022-JP (RFC 1468) is made EUC: escape sequences say what the octets
 * behind them are, and those get bit 8.  iconv's own reader refuses what Japanese mail is
 * full of (circled numbers, kana of half the width), and then loses its place.
 */
#include <string.h>

#include "base/mem.h"
#include "relay/mime/text_private.h"

#define ESCAPE '\x1b'

struct euc {
	struct text_reader *t;
	struct buf *out;
	char some[256]; /* that has not been converted yet */
	size_t n;
};

static void
flush(struct euc *e)
{
	text_reader_convert(e->t, (struct span){e->some, e->n}, e->out);
	e->n = 0;
}

static void
put(struct euc *e, unsigned octet)
{
	if (e->n == sizeof(e->some))
		flush(e);
	e->some[e->n++] = (char)octet;
}

static void
put_bad(struct euc *e)
{
	flush(e);
	text_put_char(e->out, UTF8_REPLACEMENT);
}

/* ---- escape sequences */

static const struct {
	const char *text;
	enum jis_mode mode;
} escapes[] = {{"\x1b(B", JIS_ASCII}, {"\x1b(J", JIS_ASCII}, {"\x1b(H", JIS_ASCII},
    {"\x1b$@", JIS_KANJI}, {"\x1b$B", JIS_KANJI}, {"\x1b$(D", JIS_KANJI_TOO},
    {"\x1b(I", JIS_KANA}};

/* Whether what is held begins one; at its end the mode changes. */
static bool
hold_escape(struct jis *j)
{
	struct span held = {j->held, j->held_n};
	for (size_t i = 0; i < COUNT_OF(escapes); i++) {
		struct span whole = span_str(escapes[i].text);
		if (!span_starts(whole, held))
			continue;
		if (whole.n == held.n) {
			j->mode = escapes[i].mode;
			j->held_n = 0;
		}
		return true;
	}
	return false;
}

/* ---- octets */

static bool
is_graphic(char c)
{
	return c > ' ' && c < 0x7f;
}

/* The first or the second octet of a character. */
static void
take_kanji(struct euc *e, char c)
{
	struct jis *j = &e->t->jis;
	if (j->held_n == 0) {
		j->held[j->held_n++] = c;
		return;
	}
	if (j->mode == JIS_KANJI_TOO)
		put(e, 0x8f);
	put(e, 0x80u | (unsigned char)j->held[0]);
	put(e, 0x80u | (unsigned char)c);
	j->held_n = 0;
}

static void
take_octet(struct euc *e, char c)
{
	struct jis *j = &e->t->jis;
	if (j->mode != JIS_ASCII && is_graphic(c)) {
		if (j->mode != JIS_KANA) {
			take_kanji(e, c);
		} else {
			put(e, 0x8e);
			put(e, 0x80u | (unsigned char)c);
		}
		return;
	}
	if (j->held_n > 0)
		put_bad(e);
	j->held_n = 0;
	if (c == ESCAPE)
		j->held[j->held_n++] = c;
	else if ((unsigned char)c < 0x80)
		put(e, (unsigned char)c);
	else
		put_bad(e);
	if (c == '\n')
		j->mode = JIS_ASCII; /* every line begins so */
}

/* What follows ESC, or shows that it was none. */
static void
take_escape(struct euc *e, char c)
{
	struct jis *j = &e->t->jis;
	char held[sizeof(j->held)];
	j->held[j->held_n++] = c;
	if (hold_escape(j))
		return;
	size_t n = j->held_n;
	memcpy(held, j->held, n);
	j->held_n = 0;
	put_bad(e);
	for (size_t i = 1; i < n; i++)
		take_octet(e, held[i]);
}

void
text_jis_take(struct text_reader *t, struct span in, struct buf *out)
{
	struct euc e = {.t = t, .out = out};
	for (size_t i = 0; i < in.n && !out->overflow; i++) {
		if (t->jis.held_n > 0 && t->jis.held[0] == ESCAPE)
			take_escape(&e, in.p[i]);
		else
			take_octet(&e, in.p[i]);
	}
	flush(&e);
}

void
text_jis_end(struct text_reader *t, struct buf *out)
{
	if (t->jis.held_n > 0)
		text_put_char(out, UTF8_REPLACEMENT);
	t->jis.held_n = 0;
}
