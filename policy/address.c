/* SPDX-License-Identifier: ISC */
/*
 * address - the envelope's grammar by recursive descent without recursion:
 * each production is one function that consumes its part of the cursor.
 */
#include "policy/address.h"

#include <string.h>
#include <unistr.h>

#define ROUTE_HOPS_MAX 128

/* atext (RFC 5322 3.2.3); RFC 6531 adds UTF8-non-ascii */
static bool
is_atext(unsigned char c)
{
	return is_alnum(c) || (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL) ||
	       c >= 0x80;
}

static bool
is_domain_char(unsigned char c)
{
	return is_alnum(c) || c == '-' || c == '_' || c >= 0x80;
}

static bool
is_ascii(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

/* UTF8-non-ascii (RFC 6531 3.3) as RFC 3629 has it, without the C1 controls: a terminal
 * obeys them. */
static bool
is_utf8_text(struct span s)
{
	if (u8_check((const uint8_t *)s.p, s.n) != NULL)
		return false;
	for (size_t i = 0; i + 1 < s.n; i++)
		if ((unsigned char)s.p[i] == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0)
			return false;
	return true;
}

static struct span
since(const char *from, const struct scan *s)
{
	return (struct span){from, (size_t)(s->p - from)};
}

/* Dot-string = Atom *("." Atom) */
static bool
dot_string(struct scan *s)
{
	struct scan at = *s;
	struct span atom;
	do
		if (!scan_run(&at, is_atext, &atom))
			return false;
	while (scan_char(&at, '.'));
	*s = at;
	return true;
}

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE
 * qtextSMTP = %d32-33 / %d35-91 / %d93-126; quoted-pairSMTP = %d92 %d32-126 */
static bool
quoted_string(struct scan *s)
{
	struct scan at = *s;
	if (!scan_char(&at, '"'))
		return false;
	while (!scan_done(&at)) {
		unsigned char c = (unsigned char)*at.p++;
		if (c == '"') {
			*s = at;
			return true;
		}
		if (c == '\\') {
			if (scan_done(&at))
				return false;
			c = (unsigned char)*at.p++;
			if (c < 0x20 || c > 0x7e)
				return false;
		} else if (c < 0x20 || c == 0x7f) {
			return false;
		}
	}
	return false;
}

/* Domain = sub-domain *("." sub-domain); sub-domain = Let-dig [Ldh-str] (and U-labels) */
static bool
domain_name(struct scan *s)
{
	struct scan at = *s;
	struct span label;
	bool any = false;
	/* a dot is taken only with the label behind it */
	while (scan_run(&at, is_domain_char, &label) && label.p[0] != '-' &&
	       label.p[label.n - 1] != '-') {
		*s = at;
		any = true;
		if (!scan_char(&at, '.'))
			return true;
	}
	return any;
}

/* address-literal = "[" ( IPv4-address-literal / IPv6-address-literal ) "]" */
static bool
literal(struct scan *s)
{
	struct scan at = *s;
	struct span inside;
	struct net_addr addr;
	const char *from = at.p;
	if (!scan_char(&at, '[') || !scan_until(&at, ']', &inside) ||
	    address_literal(since(from, &at), &addr) != OK)
		return false;
	*s = at;
	return true;
}

enum err
address_literal(struct span text, struct net_addr *out)
{
	if (text.n < 3 || text.p[0] != '[' || text.p[text.n - 1] != ']')
		return ERR_SYNTAX;
	struct span inside = span_cut(text, 1, text.n - 2);
	bool tagged = span_istarts(inside, SPAN("IPv6:"));
	if (tagged)
		inside = span_cut(inside, 5, inside.n);
	/* told by the colon, not by the family: a mapped address comes back as IPv4 */
	bool six = span_find(inside, ':') < inside.n;
	return six == tagged ? net_parse_ip(inside, out) : ERR_SYNTAX;
}

/* Mailbox = Local-part "@" ( Domain / address-literal ) */
static enum err
mailbox(struct scan *s, struct address *out)
{
	struct scan at = *s;
	const char *from = at.p;
	if (!dot_string(&at) && !quoted_string(&at))
		return ERR_SYNTAX;
	out->local = since(from, &at);
	if (!scan_char(&at, '@'))
		return ERR_NOT_FOUND; /* perhaps <Postmaster> */
	const char *domain = at.p;
	out->literal = literal(&at);
	if (!out->literal && !domain_name(&at))
		return ERR_SYNTAX;
	out->domain = since(domain, &at);
	out->text = since(from, &at);
	if (out->local.n > LOCAL_PART_MAX || out->domain.n > DOMAIN_MAX ||
	    out->text.n > PATH_MAX_OCTETS - 2)
		return ERR_RANGE;
	out->utf8 = !is_ascii(out->text);
	if (out->utf8 && !is_utf8_text(out->text))
		return ERR_SYNTAX;
	*s = at;
	return OK;
}

/* A-d-l = At-domain *( "," At-domain ) ":": accepted and ignored (Appendix C) */
static bool
source_route(struct scan *s)
{
	struct scan at = *s;
	if (scan_peek(&at) != '@')
		return true;
	for (int i = 0; i < ROUTE_HOPS_MAX; i++) {
		if (!scan_char(&at, '@') || !domain_name(&at))
			return false;
		if (scan_char(&at, ':')) {
			*s = at;
			return true;
		}
		if (!scan_char(&at, ','))
			return false;
	}
	return false;
}

static enum err
inside_path(struct scan *at, enum address_kind kind, struct address *out)
{
	if (kind == ADDRESS_REVERSE && scan_peek(at) == '>') {
		out->text = out->local = out->domain = (struct span){at->p, 0};
		return OK;
	}
	if (!source_route(at))
		return ERR_SYNTAX;
	enum err e = mailbox(at, out);
	if (e != ERR_NOT_FOUND)
		return e;
	if (kind != ADDRESS_FORWARD || !span_ieq(out->local, SPAN("Postmaster")))
		return ERR_SYNTAX;
	at->p += out->local.n;
	out->text = out->local;
	out->domain = (struct span){at->p, 0};
	return OK;
}

enum err
address_path(struct scan *s, enum address_kind kind, bool utf8_ok, struct address *out)
{
	struct scan at = *s;
	*out = (struct address){0};
	if (!scan_char(&at, '<'))
		return ERR_SYNTAX;
	enum err e = inside_path(&at, kind, out);
	if (e != OK)
		return e;
	struct span whole = since(s->p, &at); /* the source route too */
	if (!scan_char(&at, '>') ||
	    (!is_ascii(whole) && (!utf8_ok || !is_utf8_text(whole))))
		return ERR_SYNTAX;
	*s = at;
	return OK;
}

enum err
address_parse(struct span text, struct address *out)
{
	struct scan s = scan_over(text);
	*out = (struct address){0};
	enum err e = mailbox(&s, out);
	if (e == ERR_NOT_FOUND || (e == OK && !scan_done(&s)))
		e = ERR_SYNTAX;
	return e;
}

bool
address_is_helo(struct span name)
{
	struct scan s = scan_over(name);
	if (name.n == 0 || name.n > DOMAIN_MAX || !is_ascii(name))
		return false;
	if (scan_peek(&s) == '[')
		return literal(&s) && scan_done(&s);
	if (!domain_name(&s))
		return false;
	(void)scan_char(&s, '.'); /* an absolute name: some clients say it so */
	return scan_done(&s);
}

/* ---- comparing */

/* The next byte of a local part with its quoting undone; -1 at the end. */
static int
next_local(struct scan *s)
{
	while (!scan_done(s)) {
		unsigned char c = (unsigned char)*s->p++;
		if (c == '"')
			continue;
		if (c == '\\' && !scan_done(s))
			c = (unsigned char)*s->p++;
		return c;
	}
	return -1;
}

static int
fold(int c)
{
	return c >= 0 ? (unsigned char)ascii_lower((char)c) : c;
}

static bool
same_local(struct span a, struct span b, bool any_case)
{
	/* quotes are only quotes in a quoted string; elsewhere the byte cannot occur */
	struct scan x = scan_over(a), y = scan_over(b);
	int c, d;
	do {
		c = next_local(&x);
		d = next_local(&y);
		if (c != d && (!any_case || fold(c) != fold(d)))
			return false;
	} while (c >= 0);
	return true;
}

bool
address_local_alike(struct span a, struct span b)
{
	return same_local(a, b, true);
}

bool
address_same(const struct address *a, const struct address *b)
{
	if (!same_local(a->local, b->local, false))
		return false;
	if (span_ieq(a->domain, b->domain))
		return true;
	if (is_ascii(a->domain) && is_ascii(b->domain))
		return false;
	struct buf x, y;
	buf_init(&x, 1024);
	buf_init(&y, 1024);
	bool same = domain_canonical(a->domain, &x) == OK &&
		    domain_canonical(b->domain, &y) == OK &&
		    span_eq(buf_span(&x), buf_span(&y));
	buf_clear(&x);
	buf_clear(&y);
	return same;
}
