/* SPDX-License-Identifier: ISC */
/* xtext - RFC 3461 4: "+" and two upper-case hex digits for what must not stand plain. */
#include "policy/address.h"

/* xchar = any ASCII between "!" and "~" except "+" and "=" */
static bool
is_xchar(unsigned char c)
{
	return c >= 0x21 && c <= 0x7e && c != '+' && c != '=';
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

enum err
xtext_decode(struct span in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];
		if (c == '+') {
			if (i + 2 >= in.n || hex(in.p[i + 1]) < 0 || hex(in.p[i + 2]) < 0)
				return ERR_SYNTAX;
			c = (unsigned char)(hex(in.p[i + 1]) * 16 + hex(in.p[i + 2]));
			if (c < 0x20 || c == 0x7f)
				return ERR_SYNTAX;
			i += 2;
		} else if (!is_xchar(c)) {
			return ERR_SYNTAX;
		}
		buf_add_char(out, (char)c);
	}
	return OK;
}

void
xtext_encode(struct span in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];
		if (is_xchar(c))
			buf_add_char(out, (char)c);
		else
			buf_addf(out, "+%02X", c);
	}
}
