/* SPDX-License-Identifier: ISC */
/* lex - see lex.h. */
#include "relay/imap/lex.h"

#include <string.h>

#include "base/mem.h"

struct lex_memory {
	struct lex_memory *next;
	size_t n;
	char bytes[];
};

struct lex
lex_over(struct span command, bool utf8)
{
	return (struct lex){.in = scan_over(command), .utf8 = utf8};
}

void
lex_clear(struct lex *l)
{
	while (l->memory != NULL) {
		struct lex_memory *next = l->memory->next;
		explicit_bzero(l->memory->bytes, l->memory->n); /* LOGIN's words, too */
		mem_free(&l->memory);
		l->memory = next;
	}
}

static char *
keep(struct lex *l, size_t n)
{
	struct lex_memory *m = mem_alloc(sizeof(*m) + n + 1);
	m->next = l->memory;
	m->n = n;
	l->memory = m;
	return m->bytes;
}

/* ---- characters (RFC 9051 9) */

static bool
is_atom(unsigned char c)
{
	return c > 0x20 && c < 0x7f && memchr("(){%*\"\\]", c, 8) == NULL;
}

static bool
is_astring(unsigned char c)
{
	return is_atom(c) || c == ']';
}

static bool
is_list(unsigned char c)
{
	return is_astring(c) || c == '%' || c == '*';
}

static bool
is_name(unsigned char c)
{
	return is_alnum(c) || c == '.' || c == '-' || c == '=' || c == '_';
}

/* ---- words */

bool
lex_done(const struct lex *l)
{
	return scan_done(&l->in);
}

bool
lex_space(struct lex *l)
{
	return scan_char(&l->in, ' ');
}

bool
lex_char(struct lex *l, char c)
{
	return scan_char(&l->in, c);
}

bool
lex_word(struct lex *l, const char *word)
{
	struct scan at = l->in;
	if (!scan_itext(&at, span_str(word)))
		return false;
	int next = scan_peek(&at);
	if (next >= 0 && (is_alnum((unsigned char)next) || next == '.' || next == '-'))
		return false;
	l->in = at;
	return true;
}

bool
lex_name(struct lex *l, struct span *out)
{
	return scan_run(&l->in, is_name, out);
}

bool
lex_atom(struct lex *l, struct span *out)
{
	return scan_run(&l->in, is_atom, out);
}

/* A ']' may be in keywords: clients have been seen to send them. */
bool
lex_flag(struct lex *l, struct span *out)
{
	struct scan at = l->in;
	struct span rest;
	const char *from = at.p;
	(void)scan_char(&at, '\\');
	if (!scan_run(&at, is_astring, &rest))
		return false;
	*out = (struct span){from, (size_t)(at.p - from)};
	l->in = at;
	return true;
}

bool
lex_number(struct lex *l, uint64_t max, uint64_t *out)
{
	return scan_u64(&l->in, max, out);
}

bool
lex_set(struct lex *l, struct set *out)
{
	return set_scan(&l->in, out);
}

bool
lex_partial(struct lex *l, int64_t *from, int64_t *to)
{
	struct scan at = l->in;
	uint64_t a = 0, b = 0;
	bool minus = scan_char(&at, '-');
	if (!scan_u64(&at, UINT32_MAX, &a) || !scan_char(&at, ':') ||
	    minus != scan_char(&at, '-') || !scan_u64(&at, UINT32_MAX, &b) || a == 0 ||
	    b == 0)
		return false;
	*from = minus ? -(int64_t)a : (int64_t)a;
	*to = minus ? -(int64_t)b : (int64_t)b;
	l->in = at;
	return true;
}

/* ---- strings */

static bool
quoted_octet_ok(const struct lex *l, unsigned char c)
{
	return c != '\0' && c != '\r' && c != '\n' && (c < 0x80 || l->utf8);
}

/* The closing quote; NULL: there is none, or something that may not be inside. */
static const char *
find_close(const struct lex *l, const char *p, size_t *escapes)
{
	for (*escapes = 0; p < l->in.end && *p != '"'; p++) {
		if (*p == '\\') {
			if (++p == l->in.end || (*p != '"' && *p != '\\'))
				return NULL;
			(*escapes)++;
		}
		if (!quoted_octet_ok(l, (unsigned char)*p))
			return NULL;
	}
	return p < l->in.end ? p : NULL;
}

static bool
lex_quoted(struct lex *l, struct span *out)
{
	size_t escapes = 0;
	if (scan_peek(&l->in) != '"')
		return false;
	const char *from = l->in.p + 1, *close = find_close(l, from, &escapes);
	if (close == NULL)
		return false;
	*out = (struct span){from, (size_t)(close - from)};
	if (escapes > 0) {
		char *to = keep(l, out->n);
		size_t n = 0;
		for (const char *p = from; p < close; p++) {
			p += *p == '\\';
			to[n++] = *p;
		}
		*out = (struct span){to, n};
	}
	l->in.p = close + 1;
	return true;
}

/* No NUL in it, unless it is a literal8. */
static bool
lex_literal(struct lex *l, struct span *out)
{
	struct scan at = l->in;
	uint64_t n = 0;
	bool eight = scan_char(&at, '~');
	if (!scan_char(&at, '{') || !scan_u64(&at, SIZE_MAX / 2, &n))
		return false;
	(void)scan_char(&at, '+');
	if (!scan_char(&at, '}'))
		return false;
	(void)scan_char(&at, '\r');
	if (!scan_char(&at, '\n') || scan_rest(&at).n < n)
		return false;
	*out = span_cut(scan_rest(&at), 0, (size_t)n);
	if (!eight && memchr(out->p, '\0', out->n) != NULL)
		return false;
	at.p += n;
	l->in = at;
	return true;
}

bool
lex_string(struct lex *l, struct span *out)
{
	return lex_quoted(l, out) || lex_literal(l, out);
}

bool
lex_astring(struct lex *l, struct span *out)
{
	return scan_run(&l->in, is_astring, out) || lex_string(l, out);
}

bool
lex_nstring(struct lex *l, struct span *out)
{
	if (lex_word(l, "NIL")) {
		*out = (struct span){NULL, 0};
		return true;
	}
	return lex_string(l, out);
}

bool
lex_list_mailbox(struct lex *l, struct span *out)
{
	return scan_run(&l->in, is_list, out) || lex_string(l, out);
}

static bool
fits_quoted(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < 0x20 || c >= 0x7f)
			return false;
	}
	return s.n <= 1000;
}

static bool
fits_atom(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_astring((unsigned char)s.p[i]))
			return false;
	}
	return s.n > 0 && s.n <= 1000 && !span_ieq(s, SPAN("NIL"));
}

void
lex_add_astring(struct span s, struct buf *out)
{
	if (fits_atom(s)) {
		buf_add_span(out, s);
	} else if (fits_quoted(s)) {
		buf_add_char(out, '"');
		for (size_t i = 0; i < s.n; i++) {
			if (s.p[i] == '"' || s.p[i] == '\\')
				buf_add_char(out, '\\');
			buf_add_char(out, s.p[i]);
		}
		buf_add_char(out, '"');
	} else {
		buf_addf(out, "{%zu}\r\n", s.n);
		buf_add_span(out, s);
	}
}
