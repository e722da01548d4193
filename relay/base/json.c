/* SPDX-License-Identifier: ISC */
/*
 * json - JSON text (RFC 8259) with every string made safe.
 *
 * Clean bytes go out in runs.  Control characters are escaped, DEL and those
 * of U+0080..U+009F too, which a terminal may obey.  A sequence that is not
 * UTF-8 becomes one U+FFFD per maximal subpart, as Unicode (3.9) advises.
 */
#include "base/json.h"

#include <inttypes.h>
#include <string.h>

static const char replacement[] = "\xef\xbf\xbd";

/* What may follow a lead byte: how many bytes in all, and the range of the second. */
struct utf8_form {
	unsigned char first, last; /* lead bytes */
	unsigned char len;
	unsigned char low, high;
};

static const struct utf8_form *
utf8_form(unsigned char lead)
{
	static const struct utf8_form forms[] = {
	    {0xc2, 0xdf, 2, 0x80, 0xbf},
	    {0xe0, 0xe0, 3, 0xa0, 0xbf}, /* nothing overlong */
	    {0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f}, /* no surrogates */
	    {0xee, 0xef, 3, 0x80, 0xbf}, {0xf0, 0xf0, 4, 0x90, 0xbf},
	    {0xf1, 0xf3, 4, 0x80, 0xbf},
	    {0xf4, 0xf4, 4, 0x80, 0x8f}, /* nothing over U+10FFFF */
	};
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (lead >= forms[i].first && lead <= forms[i].last)
			return &forms[i];
	return NULL;
}

/* Length of the sequence at s (not empty), or of what is wrong with it; *good tells
 * which. */
static size_t
utf8_length(struct span s, bool *good)
{
	*good = false;
	const struct utf8_form *f = utf8_form((unsigned char)s.p[0]);
	if (f == NULL)
		return 1;
	unsigned char low = f->low, high = f->high;
	for (size_t i = 1; i < f->len; i++) {
		if (i == s.n)
			return i;
		unsigned char c = (unsigned char)s.p[i];
		if (c < low || c > high)
			return i;
		low = 0x80;
		high = 0xbf;
	}
	*good = true;
	return f->len;
}

static bool
is_clean(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void
add_ascii(struct buf *out, unsigned char c)
{
	static const char letters[] = "\"\\\b\f\n\r\t";
	const char *at = c ? strchr(letters, c) : NULL;
	if (at != NULL)
		buf_addf(out, "\\%c", "\"\\bfnrt"[at - letters]);
	else
		buf_addf(out, "\\u%04x", c);
}

/* One character or wrong sequence that is not clean; how many bytes it was. */
static size_t
add_unclean(struct buf *out, struct span s)
{
	unsigned char c = (unsigned char)s.p[0];
	if (c < 0x80) {
		add_ascii(out, c);
		return 1;
	}
	bool good;
	size_t n = utf8_length(s, &good);
	if (!good)
		buf_add_str(out, replacement);
	else if (c == 0xc2 && (unsigned char)s.p[1] < 0xa0)
		buf_addf(out, "\\u%04x", (unsigned)(unsigned char)s.p[1]);
	else
		buf_add(out, s.p, n);
	return n;
}

static void
add_string(struct buf *out, struct span s)
{
	buf_add_char(out, '"');
	for (size_t i = 0; i < s.n;) {
		size_t from = i;
		while (i < s.n && is_clean((unsigned char)s.p[i]))
			i++;
		buf_add(out, s.p + from, i - from);
		if (i < s.n)
			i += add_unclean(out, span_cut(s, i, s.n));
	}
	buf_add_char(out, '"');
}

/* The comma and the name in front of a value. */
static void
begin(struct json *j, const char *name)
{
	if (j->comma)
		buf_add_char(j->out, ',');
	j->comma = true;
	if (name != NULL) {
		add_string(j->out, span_str(name));
		buf_add_char(j->out, ':');
	}
}

void
json_open(struct json *j, char bracket)
{
	json_open_as(j, NULL, bracket);
}

void
json_open_as(struct json *j, const char *name, char bracket)
{
	begin(j, name);
	buf_add_char(j->out, bracket);
	j->comma = false;
}

void
json_close(struct json *j, char bracket)
{
	buf_add_char(j->out, bracket);
	j->comma = true;
}

void
json_str(struct json *j, const char *name, struct span value)
{
	begin(j, name);
	add_string(j->out, value);
}

void
json_cstr(struct json *j, const char *name, const char *value)
{
	if (value == NULL)
		json_nothing(j, name);
	else
		json_str(j, name, span_str(value));
}

void
json_int(struct json *j, const char *name, int64_t value)
{
	begin(j, name);
	buf_addf(j->out, "%" PRId64, value);
}

void
json_bool(struct json *j, const char *name, bool value)
{
	begin(j, name);
	buf_add_str(j->out, value ? "true" : "false");
}

void
json_nothing(struct json *j, const char *name)
{
	begin(j, name);
	buf_add_str(j->out, "null");
}
