/* SPDX-License-Identifier: ISC */
/* form - application/x-www-form-urlencoded, as browsers send it. */
#include "base/scan.h"
#include "relay/control/http.h"

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	char lower = ascii_lower(c);
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool
decode(struct span in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];
		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			bool whole = in.n - i > 2;
			int high = whole ? hex(in.p[i + 1]) : -1;
			int low = whole ? hex(in.p[i + 2]) : -1;
			if (high < 0 || low < 0)
				return false;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (c == '\0')
			return false;
		buf_add_char(out, c);
	}
	return !out->overflow;
}

bool
form_get(struct span form, const char *name, unsigned nth, struct buf *out)
{
	while (form.n > 0) {
		struct span field = span_cut(form, 0, span_find(form, '&'));
		form = span_cut(form, field.n + 1, form.n);
		size_t mark = span_find(field, '=');
		if (!span_eq(span_cut(field, 0, mark), span_str(name)) || nth-- > 0)
			continue;
		buf_reset(out);
		return decode(mark < field.n ? span_cut(field, mark + 1, field.n)
					     : (struct span){"", 0},
		    out);
	}
	return false;
}

void
form_add(struct buf *out, struct span value)
{
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];
		if (is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~')
			buf_add_char(out, value.p[i]);
		else
			buf_addf(out, "%%%02X", c);
	}
}
