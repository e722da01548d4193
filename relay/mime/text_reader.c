/* SPDX-License-Identifier: ISC */
/*
 * text_reader - octets of some charset become UTF-8.  ASCII and UTF-8 go through as they
 * are; iconv is opened when the first octet comes that needs it.  The octets of a
 * character that is not whole yet are kept, and the next ones added one by one until it
 * is: so every split reads the same.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "relay/mime/text_private.h"

/* 0x80 to 0x9f of Windows-1252; 0: nothing, and then it is the control character. */
static const uint16_t western[32] = {0x20ac, 0, 0x201a, 0x192, 0x201e, 0x2026, 0x2020,
    0x2021, 0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0, 0x17d, 0, 0, 0x2018, 0x2019, 0x201c,
    0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0, 0x17e, 0x178};

static void
advance(struct span *s, size_t n)
{
	s->p += n;
	s->n -= n;
}

static void
put_western(struct buf *out, struct span s)
{
	while (s.n > 0 && !out->overflow) {
		size_t n = utf8_ascii(s);
		text_put(out, (struct span){s.p, n});
		advance(&s, n);
		if (s.n == 0)
			return;
		unsigned char c = (unsigned char)s.p[0];
		bool odd = c < 0xa0 && western[c - 0x80] != 0;
		text_put_char(out, odd ? western[c - 0x80] : c);
		advance(&s, 1);
	}
}

void
text_reader_init(struct text_reader *t, struct span charset)
{
	t->set = charset_find(charset);
	t->opened = false;
	t->kept_n = 0;
	t->jis.mode = JIS_ASCII;
	t->jis.held_n = 0;
}

void
text_reader_clear(struct text_reader *t)
{
	if (t->opened)
		(void)iconv_close(t->cd);
	t->opened = false;
}

static enum charset_how
how(const struct text_reader *t)
{
	return t->set != NULL ? t->set->how : CHARSET_GUESS;
}

/* ---- UTF-8, for certain or perhaps */

/* Octets that are no character together. */
static void
put_bad(const struct text_reader *t, struct span s, struct buf *out)
{
	if (how(t) == CHARSET_GUESS)
		put_western(out, s);
	else
		text_put_char(out, UTF8_REPLACEMENT);
}

/* The kept octets and as many of the next as make a character, or as show that there is
 * none. */
static void
complete_utf8(struct text_reader *t, struct span *in, struct buf *out)
{
	size_t len;
	while (t->kept_n > 0 && in->n > 0) {
		t->kept[t->kept_n] = in->p[0];
		struct span s = {t->kept, t->kept_n + 1};
		enum utf8 what = utf8_step(s, &len);
		if (what == UTF8_BAD) { /* the new one is not to blame */
			put_bad(t, (struct span){t->kept, t->kept_n}, out);
			t->kept_n = 0;
			return;
		}
		advance(in, 1);
		t->kept_n++;
		if (what == UTF8_CHAR) {
			text_put(out, s);
			t->kept_n = 0;
		}
	}
}

static void
take_utf8(struct text_reader *t, struct span in, struct buf *out)
{
	complete_utf8(t, &in, out);
	while (in.n > 0 && !out->overflow) {
		size_t len, n = utf8_valid(in);
		text_put(out, (struct span){in.p, n});
		advance(&in, n);
		if (in.n == 0)
			return;
		if (utf8_step(in, &len) == UTF8_MORE) {
			memcpy(t->kept, in.p, in.n);
			t->kept_n = in.n;
			return;
		}
		put_bad(t, (struct span){in.p, len}, out);
		advance(&in, len);
	}
}

/* ---- the others */

static bool
open_iconv(struct text_reader *t)
{
	t->cd = iconv_open("UTF-8", t->set->iconv);
	t->opened = t->cd != (iconv_t)-1; /* NOLINT: what POSIX says */
	if (!t->opened)
		t->set = NULL; /* not installed here: guess */
	return t->opened;
}

/* How many octets cannot be read; 0: what comes next decides. */
static size_t
bad_octets(const struct charset *set, const char *p, size_t n)
{
	if (set->how == CHARSET_STATEFUL)
		return set->unit < n ? set->unit : n;
	if (set->unit == 1 || (unsigned char)p[0] < 0x80)
		return 1;
	return n < 2 ? 0 : (unsigned char)p[1] < 0x80 ? 1 : 2;
}

/* As much as can be read; what remains begins a character that is not whole. */
static void
convert(struct text_reader *t, struct span *in, struct buf *out)
{
	char utf8[1024], *from = (char *)(uintptr_t)in->p;
	size_t left = in->n;
	while (left > 0 && !out->overflow) {
		char *to = utf8;
		size_t room = sizeof(utf8);
		size_t r = iconv(t->cd, &from, &left, &to, &room);
		int e = r == (size_t)-1 ? errno : 0;
		text_put(out, (struct span){utf8, (size_t)(to - utf8)});
		if (e == EINVAL)
			break;
		if (e != EILSEQ)
			continue;
		size_t skip = bad_octets(t->set, from, left);
		if (skip == 0)
			break;
		text_put_char(out, UTF8_REPLACEMENT);
		from += skip;
		left -= skip;
	}
	*in = (struct span){from, left};
}

static void
keep(struct text_reader *t, struct span rest)
{
	memmove(t->kept, rest.p, rest.n);
	t->kept_n = rest.n;
}

/* The next octet, together with what is kept. */
static void
convert_step(struct text_reader *t, struct span *in, struct buf *out)
{
	t->kept[t->kept_n++] = in->p[0];
	advance(in, 1);
	struct span s = {t->kept, t->kept_n};
	convert(t, &s, out);
	if (s.n == sizeof(t->kept)) { /* no character is as long */
		text_put_char(out, UTF8_REPLACEMENT);
		s.n = 0;
	}
	keep(t, s);
}

void
text_reader_convert(struct text_reader *t, struct span in, struct buf *out)
{
	while (
	    in.n > 0 && !out->overflow && (t->kept_n > 0 || how(t) == CHARSET_STEPWISE))
		convert_step(t, &in, out);
	if (in.n == 0 || out->overflow)
		return;
	convert(t, &in, out);
	while (in.n > 0 && !out->overflow)
		convert_step(t, &in, out);
}

/* ASCII that may go through as it is. */
static size_t
plain_octets(const struct text_reader *t, struct span s)
{
	bool plain = how(t) == CHARSET_WESTERN || (how(t) == CHARSET_ICONV && !t->opened);
	return plain ? utf8_ascii(s) : 0;
}

void
text_reader_take(struct text_reader *t, struct span octets, struct buf *out)
{
	size_t n = plain_octets(t, octets);
	text_put(out, (struct span){octets.p, n});
	advance(&octets, n);
	if (octets.n == 0 || out->overflow)
		return;
	if (how(t) == CHARSET_WESTERN)
		put_western(out, octets);
	else if (how(t) < CHARSET_ICONV || (!t->opened && !open_iconv(t)))
		take_utf8(t, octets, out);
	else if (how(t) == CHARSET_JIS)
		text_jis_take(t, octets, out);
	else
		text_reader_convert(t, octets, out);
}

void
text_reader_end(struct text_reader *t, struct buf *out)
{
	char last[64], *to = last;
	size_t room = sizeof(last);
	text_jis_end(t, out);
	if (t->kept_n > 0)
		put_bad(t, (struct span){t->kept, t->kept_n}, out);
	t->kept_n = 0;
	if (t->opened && iconv(t->cd, NULL, NULL, &to, &room) != (size_t)-1)
		text_put(out, (struct span){last, (size_t)(to - last)});
}

/* ---- in the open */

struct text_reader *
text_reader_new(struct span charset)
{
	struct text_reader *t = NEW(struct text_reader);
	text_reader_init(t, charset);
	return t;
}

void
text_reader_free(struct text_reader **t)
{
	if (*t == NULL)
		return;
	text_reader_clear(*t);
	mem_free(t);
}

void
text_to_utf8(struct span charset, struct span octets, struct buf *out)
{
	struct text_reader t;
	text_reader_init(&t, charset);
	text_reader_take(&t, octets, out);
	text_reader_end(&t, out);
	text_reader_clear(&t);
}
