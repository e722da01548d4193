/* SPDX-License-Identifier: ISC */
/*
 * mime_header - what a part's header says.  Fields are unfolded (RFC 5322 2.2.3: the line
 * ends go, the blanks stay); of a field that comes twice the first counts.
 */
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"
#include "relay/mime/mime_private.h"

/* ---- fields */

struct field {
	struct span name, value;
};

/* The next field of the header; false: no more. Lines that are none are passed over. */
static bool
next_field(struct span *rest, struct field *f)
{
	while (rest->n > 0) {
		size_t end = 0;
		do { /* with the lines that go on from it */
			end += span_find(span_cut(*rest, end, rest->n), '\n');
			end = end < rest->n ? end + 1 : rest->n;
		} while (end < rest->n && (rest->p[end] == ' ' || rest->p[end] == '\t'));
		struct span line = span_cut(*rest, 0, end);
		*rest = span_cut(*rest, end, rest->n);
		size_t colon = span_find(line, ':');
		f->name = span_cut(line, 0, colon);
		while (f->name.n > 0 && (f->name.p[f->name.n - 1] == ' ' ||
					    f->name.p[f->name.n - 1] == '\t'))
			f->name.n--;
		if (colon == line.n || f->name.n == 0)
			continue;
		f->value = span_cut(line, colon + 1, line.n);
		return true;
	}
	return false;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span
trim(struct span s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = span_cut(s, 1, s.n);
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Kept without line ends and NULs; p == NULL if there is no room. */
static struct span
unfold(struct mime *m, struct span value)
{
	struct span s = trim(value);
	char *p = mime_alloc(m, s.n + 1);
	size_t n = 0;
	if (p == NULL)
		return (struct span){NULL, 0};
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '\r' && s.p[i] != '\n' && s.p[i] != '\0')
			p[n++] = s.p[i];
	return (struct span){p, n};
}

/* ---- values with parameters (RFC 2045 5.1) */

static bool
is_token(unsigned char c)
{
	return c > ' ' && c < 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

/* Blanks and comments, which may nest. */
static void
skip(struct scan *s)
{
	unsigned depth = 0;
	while (!scan_done(s)) {
		char c = *s->p;
		if (c == '\\' && depth > 0 && s->p + 1 < s->end)
			s->p++;
		else if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (depth == 0 && !is_blank(c))
			return;
		s->p++;
	}
}

/* What stands between quotes, without its backslashes. */
static struct span
take_quoted(struct mime *m, struct scan *s)
{
	char *p = mime_alloc(m, (size_t)(s->end - s->p) + 1);
	size_t n = 0;
	for (s->p++; !scan_done(s) && *s->p != '"'; s->p++) {
		if (*s->p == '\\' && s->p + 1 < s->end)
			s->p++;
		if (p != NULL && *s->p != '\r' && *s->p != '\n' && *s->p != '\0')
			p[n++] = *s->p; /* unfolded */
	}
	if (!scan_done(s))
		s->p++;
	return (struct span){p, n};
}

/* A token, or anything up to the next ";" where somebody forgot the quotes. */
static struct span
take_value(struct mime *m, struct scan *s)
{
	if (scan_peek(s) == '"')
		return take_quoted(m, s);
	const char *from = s->p;
	while (!scan_done(s) && *s->p != ';' && !is_blank(*s->p) && *s->p != '(')
		s->p++;
	return mime_keep(m, (struct span){from, (size_t)(s->p - from)});
}

static void
take_parameters(struct mime *m, struct scan *s, struct mime_parameters *out)
{
	struct mime_parameter all[MIME_PARAMETERS_MAX];
	size_t n = 0;
	for (;;) {
		struct span name;
		skip(s);
		while (scan_char(s, ';'))
			skip(s);
		if (n == COUNT_OF(all) || !scan_run(s, is_token, &name))
			break;
		skip(s);
		if (!scan_char(s, '='))
			continue; /* a word alone says nothing */
		skip(s);
		struct mime_parameter p = {mime_keep(m, name), take_value(m, s)};
		if (p.name.p != NULL && p.value.p != NULL)
			all[n++] = p;
	}
	out->p = n > 0 ? mime_alloc(m, n * sizeof(*out->p)) : NULL;
	out->n = out->p != NULL ? n : 0;
	if (out->n > 0)
		memcpy(out->p, all, n * sizeof(*out->p));
}

/* "text/plain; charset=utf-8" */
static void
take_type(struct mime *m, struct mime_part *p, struct span value)
{
	struct scan s = scan_over(value);
	struct span type, subtype;
	skip(&s);
	if (!scan_run(&s, is_token, &type))
		return;
	skip(&s);
	if (!scan_char(&s, '/'))
		return;
	skip(&s);
	if (!scan_run(&s, is_token, &subtype))
		return;
	p->type = mime_keep(m, type);
	p->subtype = mime_keep(m, subtype);
	take_parameters(m, &s, &p->parameters);
}

static void
take_disposition(struct mime *m, struct mime_part *p, struct span value)
{
	struct scan s = scan_over(value);
	struct span word;
	skip(&s);
	if (!scan_run(&s, is_token, &word))
		return;
	p->disposition = mime_keep(m, word);
	take_parameters(m, &s, &p->disposition_parameters);
}

static void
take_encoding(struct mime *m, struct mime_part *p, struct span value)
{
	struct scan s = scan_over(value);
	struct span word;
	skip(&s);
	if (scan_run(&s, is_token, &word))
		p->encoding = mime_keep(m, word);
}

/* ---- all of them */

/* Fields that are kept as they stand, and where in a part. */
#define FIELD(name, member, message)                                                \
	{                                                                           \
		name, sizeof(name) - 1, offsetof(struct mime_part, member), message \
	}
static const struct kept_field {
	const char *name;
	size_t n, at;
	bool message; /* of a message only */
} kept_fields[] = {
    FIELD("Content-ID", id, false),
    FIELD("Content-Description", description, false),
    FIELD("Content-MD5", md5, false),
    FIELD("Content-Language", language, false),
    FIELD("Content-Location", location, false),
    FIELD("Date", envelope.date, true),
    FIELD("Subject", envelope.subject, true),
    FIELD("From", envelope.from, true),
    FIELD("Sender", envelope.sender, true),
    FIELD("Reply-To", envelope.reply_to, true),
    FIELD("To", envelope.to, true),
    FIELD("Cc", envelope.cc, true),
    FIELD("Bcc", envelope.bcc, true),
    FIELD("In-Reply-To", envelope.in_reply_to, true),
    FIELD("Message-ID", envelope.message_id, true),
    FIELD("References", envelope.references, true),
};
#undef FIELD

static bool
take_text(struct mime *m, struct mime_part *p, const struct field *f)
{
	for (size_t i = 0; i < COUNT_OF(kept_fields); i++) {
		const struct kept_field *k = &kept_fields[i];
		if (k->n != f->name.n || !span_ieq(f->name, (struct span){k->name, k->n}))
			continue;
		struct span *to = (struct span *)(void *)((char *)p + k->at);
		if (to->p == NULL && (!k->message || p->is_message))
			*to = unfold(m, f->value);
		return true;
	}
	return false;
}

static void
take_field(struct mime *m, struct mime_part *p, const struct field *f)
{
	if (take_text(m, p, f))
		return;
	if (span_ieq(f->name, SPAN("Content-Type")) && p->type.p == NULL)
		take_type(m, p, f->value);
	else if (span_ieq(f->name, SPAN("Content-Disposition")) &&
		 p->disposition.p == NULL)
		take_disposition(m, p, f->value);
	else if (span_ieq(f->name, SPAN("Content-Transfer-Encoding")) &&
		 p->encoding.p == NULL)
		take_encoding(m, p, f->value);
}

void
mime_read_header(struct mime *m, struct mime_part *p, struct span header, bool in_digest)
{
	struct field f;
	while (next_field(&header, &f))
		take_field(m, p, &f);
	if (p->type.p != NULL && p->subtype.p != NULL)
		return;
	p->parameters.n = 0;
	p->type = in_digest ? SPAN("message") : SPAN("text"); /* RFC 2046 5.1.5 */
	p->subtype = in_digest ? SPAN("rfc822") : SPAN("plain");
}
