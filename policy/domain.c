/* SPDX-License-Identifier: ISC */
/* domain - the one form of a domain that the DNS and our keys use. */
#include <idn2.h>
#include <string.h>

#include "base/mem.h"
#include "policy/address.h"

#define NAME_MAX_OCTETS 253
#define LABEL_MAX 63

static bool
is_ldh(unsigned char c)
{
	return is_alnum(c) || c == '-' || c == '_';
}

/* Labels of letters, digits, hyphens and underscores; no empty one. */
static bool
well_formed(struct span name)
{
	if (name.n == 0 || name.n > NAME_MAX_OCTETS)
		return false;
	size_t label = 0;
	for (size_t i = 0; i <= name.n; i++) {
		if (i < name.n && name.p[i] != '.') {
			if (!is_ldh((unsigned char)name.p[i]) || ++label > LABEL_MAX)
				return false;
			continue;
		}
		if (label == 0)
			return false;
		label = 0;
	}
	return true;
}

static void
add_lower(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_add_char(out, ascii_lower(s.p[i]));
}

static enum err
add_literal(struct span domain, struct buf *out)
{
	struct net_addr a;
	char text[NET_TEXT];
	enum err e = address_literal(domain, &a);
	if (e == OK) {
		net_format_literal(&a, text);
		buf_add_str(out, text);
	}
	return e;
}

static enum err
add_a_labels(struct span domain, struct buf *out)
{
	char *text = span_dup(domain), *ascii = NULL;
	int rc = IDN2_DISALLOWED;
	if (strlen(text) == domain.n)
		rc =
		    idn2_to_ascii_8z(text, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
	mem_free(&text);
	if (rc != IDN2_OK)
		return ERR_SYNTAX;
	struct span a = span_str(ascii);
	bool fine = well_formed(a);
	if (fine)
		add_lower(out, a);
	idn2_free(ascii);
	return fine ? OK : ERR_SYNTAX;
}

enum err
domain_canonical(struct span domain, struct buf *out)
{
	if (domain.n > 0 && domain.p[0] == '[')
		return add_literal(domain, out);
	if (domain.n > 1 && domain.p[domain.n - 1] == '.')
		domain.n--;
	for (size_t i = 0; i < domain.n; i++)
		if ((unsigned char)domain.p[i] >= 0x80)
			return add_a_labels(domain, out);
	if (!well_formed(domain))
		return ERR_SYNTAX;
	add_lower(out, domain);
	return OK;
}
