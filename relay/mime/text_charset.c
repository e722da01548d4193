/* SPDX-License-Identifier: ISC */
/*
 * text_charset - the names of charsets.  Only those of the table are read, not all that
 * iconv knows: hundreds of them are never in mail, and the code that reads them is the
 * less trodden the rarer they are.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "relay/mime/text_private.h"

#define NAME_MAX_OCTETS 32

static const struct charset charsets[] = {
#define CHARSET(name, iconv, how, unit) {name, iconv, CHARSET_##how, unit},
#include "relay/mime/text_charsets.def"
#undef CHARSET
};

static int
compare(const void *key, const void *element)
{
	return strcmp(key, ((const struct charset *)element)->name);
}

static struct span
without_quotes(struct span s)
{
	s = span_trim(s);
	while (s.n > 0 && (s.p[0] == '"' || s.p[0] == '\''))
		s = span_cut(s, 1, s.n);
	while (s.n > 0 && (s.p[s.n - 1] == '"' || s.p[s.n - 1] == '\''))
		s.n--;
	return s;
}

const struct charset *
charset_find(struct span name)
{
	char lower[NAME_MAX_OCTETS];
	name = without_quotes(name);
	if (name.n == 0 || name.n >= sizeof(lower) || memchr(name.p, '\0', name.n))
		return NULL;
	for (size_t i = 0; i < name.n; i++)
		lower[i] = ascii_lower(name.p[i]);
	lower[name.n] = '\0';
	return bsearch(lower, charsets, COUNT_OF(charsets), sizeof(charsets[0]), compare);
}

bool
text_charset_known(struct span charset)
{
	const struct charset *c = charset_find(charset);
	if (c == NULL || c->iconv == NULL)
		return c != NULL;
	iconv_t cd = iconv_open("UTF-8", c->iconv);
	bool known = cd != (iconv_t)-1; /* NOLINT: what POSIX says */
	if (known)
		(void)iconv_close(cd);
	return known;
}
