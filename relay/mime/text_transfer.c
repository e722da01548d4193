/* SPDX-License-Identifier: ISC */
/*
 * text_transfer - base64 and quoted-printable (RFC 2045 6.7, 6.8), decoded as they come.
 * What is kept between two calls is short: three letters of base64; or of
 * quoted-printable the blanks that a line may end with, and an escape that is not whole.
 */
#include <string.h>

#include "base/mem.h"
#include "relay/mime/shape.h"
#include "relay/mime/text.h"

/* As much as there is room for, and nothing behind that: it stays a beginning. */
static void
put(struct buf *out, const char *p, size_t n)
{
	size_t max = out->max ? out->max : BUF_DEFAULT_MAX;
	size_t room = max > out->n ? max - out->n : 0;
	if (out->overflow)
		return;
	buf_add(out, p, n < room ? n : room);
	out->overflow = n > room;
}

/* ---- base64 */

#define NO 64 /* no letter of the alphabet */

static unsigned
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : NO;
}

/* Two to four letters are one to three octets. */
static void
put_group(struct text_decoder *d, struct buf *out)
{
	unsigned v = 0;
	for (size_t i = 0; i < 4; i++)
		v = v << 6 | (i < d->kept_n ? value_of(d->kept[i]) : 0);
	const char octets[] = {(char)(v >> 16), (char)(v >> 8), (char)v};
	if (d->kept_n > 1)
		put(out, octets, d->kept_n - 1);
	else if (d->kept_n == 1)
		d->bad = true;
	d->kept_n = 0;
}

/* Whole groups without anything between them: most of what comes. */
static size_t
take_groups(struct span s, struct buf *out)
{
	char some[3 * 64];
	size_t at = 0, n = 0;
	for (; s.n - at >= 4; at += 4) {
		const char *p = s.p + at;
		unsigned a = value_of(p[0]), b = value_of(p[1]), c = value_of(p[2]),
			 d = value_of(p[3]);
		if (((a | b | c | d) & NO) != 0)
			break;
		some[n++] = (char)(a << 2 | b >> 4);
		some[n++] = (char)(b << 4 | c >> 2);
		some[n++] = (char)(c << 6 | d);
		if (n == sizeof(some)) {
			put(out, some, n);
			n = 0;
		}
	}
	put(out, some, n);
	return at;
}

static void
take_base64(struct text_decoder *d, struct span s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		if (d->kept_n == 0)
			i += take_groups((struct span){s.p + i, s.n - i}, out);
		if (i == s.n)
			return;
		char c = s.p[i];
		if (value_of(c) != NO) {
			d->kept[d->kept_n++] = c;
			if (d->kept_n == 4)
				put_group(d, out);
		} else if (c == '=') {
			put_group(d, out);
		} else if (c != '\r' && c != '\n' && c != ' ' && c != '\t') {
			d->bad = true;
		}
	}
}

/* ---- quoted-printable */

#define NO_HEX 16u

static unsigned
hex(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : NO_HEX;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void
put_kept(struct text_decoder *d, struct buf *out)
{
	put(out, d->kept, d->kept_n);
	d->kept_n = 0;
}

static void
hold(struct text_decoder *d, char c, struct buf *out)
{
	if (d->kept_n == sizeof(d->kept)) /* no line is as long (RFC 2045 6.7 (5)) */
		put_kept(d, out);
	d->kept[d->kept_n++] = c;
}

/* The next octet of what begins with "=". False: it does not belong to it. */
static bool
take_escape(struct text_decoder *d, char c, struct buf *out)
{
	char last = d->kept[d->kept_n - 1];
	if (last == '\r') { /* the line end that is none */
		d->kept_n = 0;
		return c == '\n';
	}
	unsigned high = hex(last), low = hex(c);
	if (d->kept_n == 2 && high < NO_HEX && low < NO_HEX) {
		const char octet = (char)(high << 4 | low);
		put(out, &octet, 1);
		d->kept_n = 0;
		return true;
	}
	bool fits = high == NO_HEX && (c == '\r' || c == '\n' || is_blank(c));
	fits = fits || (d->kept_n == 1 && low < NO_HEX);
	if (fits && d->kept_n < sizeof(d->kept)) {
		hold(d, c, out);
		if (c == '\n')
			d->kept_n = 0;
		return true;
	}
	d->bad = true;
	put_kept(d, out);
	return false;
}

/* Up to the next escape or line end; blanks in front of a line end are not of the text.
 */
static size_t
take_plain(struct text_decoder *d, struct span s, struct buf *out)
{
	size_t n = 0, blanks = 0;
	while (n < s.n && s.p[n] != '=' && s.p[n] != '\r' && s.p[n] != '\n') {
		blanks = is_blank(s.p[n]) ? blanks + 1 : 0;
		n++;
	}
	bool escape = n < s.n && s.p[n] == '=';
	if (escape)
		blanks = 0; /* they are of the text */
	if (escape || blanks < n)
		put_kept(d, out);
	put(out, s.p, n - blanks);
	for (size_t i = n - blanks; i < n; i++)
		hold(d, s.p[i], out);
	if (n < s.n && !escape)
		d->kept_n = 0;
	return n;
}

static void
take_quoted(struct text_decoder *d, struct span s, struct buf *out)
{
	size_t i = 0;
	while (i < s.n) {
		if (d->kept_n > 0 && d->kept[0] == '=') {
			i += take_escape(d, s.p[i], out);
			continue;
		}
		i += take_plain(d, (struct span){s.p + i, s.n - i}, out);
		if (i == s.n)
			return;
		if (s.p[i] == '=')
			hold(d, '=', out);
		else
			put(out, s.p + i, 1);
		i++;
	}
}

/* ---- either */

void
text_decode(struct text_decoder *d, struct span octets, struct buf *out)
{
	if (octets.n == 0)
		return;
	if (d->encoding == SHAPE_BASE64)
		take_base64(d, octets, out);
	else if (d->encoding == SHAPE_QUOTED)
		take_quoted(d, octets, out);
	else
		put(out, octets.p, octets.n);
}

void
text_decode_end(struct text_decoder *d, struct buf *out)
{
	if (d->encoding == SHAPE_BASE64)
		put_group(d, out);
	if (d->kept_n == 2 && d->kept[0] == '=' && hex(d->kept[1]) < NO_HEX) {
		d->bad = true;
		put_kept(d, out);
	}
	d->kept_n = 0; /* blanks at the end, or a line end that is none */
}
