/* SPDX-License-Identifier: ISC */
/*
 * mime_imap - structure and envelope in the words of IMAP (RFC 9051 7.5.2).  Addresses
 * are read as tolerantly as people write them: whatever is there comes out as something
 * that a client can parse.
 */
#include <string.h>

#include "base/mem.h"
#include "relay/mime/mime_private.h"

/* ---- strings */

void
mime_add_nstring(struct span s, struct buf *out)
{
	bool quoted = true;
	if (s.p == NULL) {
		buf_add_str(out, "NIL");
		return;
	}
	for (size_t i = 0; i < s.n && quoted; i++)
		quoted = s.p[i] >= ' ' && s.p[i] < 0x7f;
	if (!quoted) {
		buf_addf(out, "{%zu}\r\n", s.n);
		buf_add_span(out, s);
		return;
	}
	buf_add_char(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, s.p[i]);
	}
	buf_add_char(out, '"');
}

static void
add_or(struct span s, const char *otherwise, struct buf *out)
{
	mime_add_nstring(s.p != NULL && s.n > 0 ? s : span_str(otherwise), out);
}

/* ---- addresses (RFC 5322 3.4) */

struct addresses {
	struct span rest;
	struct buf *out;
	size_t n; /* written so far */
	bool in_group;
	struct buf phrase; /* words in front of "<", ":" or the end of the address */
	struct buf plain;  /* the same as an address is written: without blanks */
	struct buf comment;
	bool word; /* phrase ends with a word */
};

static void
add_address(struct addresses *a, struct span name, struct span route, struct span local,
    struct span domain)
{
	if (a->n++ == 0)
		buf_add_char(a->out, '(');
	buf_add_char(a->out, '(');
	mime_add_nstring(name, a->out);
	buf_add_char(a->out, ' ');
	mime_add_nstring(route, a->out);
	buf_add_char(a->out, ' ');
	mime_add_nstring(local, a->out);
	buf_add_char(a->out, ' ');
	mime_add_nstring(domain, a->out);
	buf_add_char(a->out, ')');
}

static struct span
or_nothing(const struct buf *b)
{
	return b->n > 0 ? buf_span(b) : (struct span){NULL, 0};
}

/* local@domain; without a domain it is an empty one: NIL would begin a group. */
static void
add_spec(struct addresses *a, struct span name, struct span route, struct span spec)
{
	size_t at = spec.n;
	while (at > 0 && spec.p[at - 1] != '@')
		at--;
	if (spec.n == 0)
		add_address(a, name, route, SPAN(""), SPAN(""));
	else if (at == 0)
		add_address(a, name, route, spec, SPAN(""));
	else
		add_address(a, name, route, span_cut(spec, 0, at - 1),
		    span_cut(spec, at, spec.n));
}

static void
next_address(struct addresses *a)
{
	buf_reset(&a->phrase);
	buf_reset(&a->plain);
	buf_reset(&a->comment);
	a->word = false;
}

static char
take(struct addresses *a)
{
	char c = a->rest.p[0];
	a->rest = span_cut(a->rest, 1, a->rest.n);
	return c;
}

static void
take_comment(struct addresses *a)
{
	unsigned depth = 1;
	bool keep = a->comment.n == 0;
	(void)take(a);
	while (a->rest.n > 0 && depth > 0) {
		char c = take(a);
		if (c == '\\' && a->rest.n > 0)
			c = take(a);
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			return;
		if (keep)
			buf_add_char(&a->comment, c);
	}
}

static void
add_word(struct addresses *a, struct span word)
{
	if (a->phrase.n > 0 && !a->word)
		buf_add_char(&a->phrase, ' ');
	buf_add_span(&a->phrase, word);
	a->word = true;
}

static void
take_quoted(struct addresses *a)
{
	struct buf text;
	buf_init(&text, MIME_HEADER_MAX);
	buf_add_char(&a->plain, take(a));
	while (a->rest.n > 0 && a->rest.p[0] != '"') {
		char c = take(a);
		buf_add_char(&a->plain, c);
		if (c == '\\' && a->rest.n > 0) {
			c = take(a);
			buf_add_char(&a->plain, c);
		}
		buf_add_char(&text, c);
	}
	if (a->rest.n > 0)
		buf_add_char(&a->plain, take(a));
	add_word(a, buf_span(&text));
	buf_clear(&text);
}

/* "<@a,@b:local@domain>" */
static void
take_angle(struct addresses *a)
{
	struct buf spec;
	size_t colon;
	bool quoted = false;
	buf_init(&spec, MIME_HEADER_MAX);
	(void)take(a);
	while (a->rest.n > 0 && (quoted || a->rest.p[0] != '>')) {
		char c = take(a);
		quoted = quoted != (c == '"');
		if (quoted || (c != ' ' && c != '\t'))
			buf_add_char(&spec, c);
	}
	if (a->rest.n > 0)
		(void)take(a);
	struct span s = buf_span(&spec), route = {NULL, 0};
	if (s.n > 0 && s.p[0] == '@' && (colon = span_find(s, ':')) < s.n) {
		route = span_cut(s, 0, colon);
		s = span_cut(s, colon + 1, s.n);
	}
	add_spec(a, or_nothing(&a->phrase), route, s);
	buf_clear(&spec);
	next_address(a);
}

/* What stood alone is an address, and a comment behind it a name. */
static void
end_plain(struct addresses *a)
{
	if (a->plain.n > 0)
		add_spec(a, or_nothing(&a->comment), (struct span){NULL, 0},
		    buf_span(&a->plain));
	next_address(a);
}

static void
take_group(struct addresses *a, bool begins)
{
	struct span none = {NULL, 0};
	if (begins && !a->in_group) {
		add_address(a, none, none,
		    a->phrase.n > 0 ? buf_span(&a->phrase) : SPAN(""), none);
		a->in_group = true;
	} else if (!begins && a->in_group) {
		end_plain(a);
		add_address(a, none, none, none, none);
		a->in_group = false;
	}
	next_address(a);
}

static void
take_one(struct addresses *a)
{
	switch (a->rest.p[0]) {
	case '(': take_comment(a); return;
	case '"': take_quoted(a); return;
	case '<': take_angle(a); return;
	default: break;
	}
	char c = take(a);
	if (c == ',')
		end_plain(a);
	else if (c == ':')
		take_group(a, true);
	else if (c == ';')
		take_group(a, false);
	else if (c == ' ' || c == '\t')
		a->word = false;
	else {
		add_word(a, (struct span){&c, 1});
		buf_add_char(&a->plain, c);
	}
}

static void
add_addresses(struct span list, struct buf *out)
{
	struct addresses a = {.rest = list, .out = out};
	buf_init(&a.phrase, MIME_HEADER_MAX);
	buf_init(&a.plain, MIME_HEADER_MAX);
	buf_init(&a.comment, MIME_HEADER_MAX);
	while (a.rest.n > 0)
		take_one(&a);
	end_plain(&a);
	take_group(&a, false);
	buf_add_str(out, a.n > 0 ? ")" : "NIL");
	buf_clear(&a.phrase);
	buf_clear(&a.plain);
	buf_clear(&a.comment);
}

/* ---- the envelope */

void
mime_add_envelope(const struct mime *m, const struct mime_part *p, struct buf *out)
{
	const struct mime_envelope *e = &p->envelope;
	(void)m;
	struct span sender = e->sender.n > 0 ? e->sender : e->from;
	struct span reply_to = e->reply_to.n > 0 ? e->reply_to : e->from;
	const struct span lists[] = {e->from, sender, reply_to, e->to, e->cc, e->bcc};
	buf_add_char(out, '(');
	mime_add_nstring(e->date, out);
	buf_add_char(out, ' ');
	mime_add_nstring(e->subject, out);
	for (size_t i = 0; i < COUNT_OF(lists); i++) {
		buf_add_char(out, ' ');
		add_addresses(lists[i], out);
	}
	buf_add_char(out, ' ');
	mime_add_nstring(e->in_reply_to, out);
	buf_add_char(out, ' ');
	mime_add_nstring(e->message_id, out);
	buf_add_char(out, ')');
}

/* ---- the structure */

static void
add_parameters(const struct mime_parameters *p, struct buf *out)
{
	if (p->n == 0) {
		buf_add_str(out, "NIL");
		return;
	}
	for (size_t i = 0; i < p->n; i++) {
		buf_add_char(out, i == 0 ? '(' : ' ');
		mime_add_nstring(p->p[i].name, out);
		buf_add_char(out, ' ');
		mime_add_nstring(p->p[i].value, out);
	}
	buf_add_char(out, ')');
}

/* RFC 3282: one tag, or a list of them. */
static void
add_languages(struct span list, struct buf *out)
{
	size_t n = 0;
	if (list.p == NULL || span_find(list, ',') == list.n) {
		mime_add_nstring(list, out);
		return;
	}
	while (list.n > 0) {
		size_t end = span_find(list, ',');
		struct span tag = span_cut(list, 0, end);
		while (tag.n > 0 && tag.p[0] == ' ')
			tag = span_cut(tag, 1, tag.n);
		list = span_cut(list, end + 1, list.n);
		if (tag.n == 0)
			continue;
		buf_add_char(out, n++ == 0 ? '(' : ' ');
		mime_add_nstring(tag, out);
	}
	buf_add_str(out, n > 0 ? ")" : "NIL");
}

static void
add_extension(const struct mime_part *p, struct buf *out)
{
	buf_add_char(out, ' ');
	if (p->disposition.p == NULL) {
		buf_add_str(out, "NIL");
	} else {
		buf_add_char(out, '(');
		mime_add_nstring(p->disposition, out);
		buf_add_char(out, ' ');
		add_parameters(&p->disposition_parameters, out);
		buf_add_char(out, ')');
	}
	buf_add_char(out, ' ');
	add_languages(p->language, out);
	buf_add_char(out, ' ');
	mime_add_nstring(p->location, out);
}

static void
add_multipart(
    const struct mime *m, const struct mime_part *p, bool extended, struct buf *out)
{
	size_t n;
	const struct mime_part *all = mime_parts(m, &n);
	if (p->first == 0) /* none came: clients want one */
		buf_add_str(out, "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)");
	for (uint32_t i = p->first; i != 0; i = all[i].next)
		mime_add_structure(m, &all[i], extended, out);
	buf_add_char(out, ' ');
	mime_add_nstring(p->subtype, out);
	if (!extended)
		return;
	buf_add_char(out, ' ');
	add_parameters(&p->parameters, out);
	add_extension(p, out);
}

static bool
is_type(const struct mime_part *p, const char *type)
{
	return span_ieq(p->type, span_str(type));
}

/* What a message inside would be like if its inside had been looked at: the grammar has
 * it of every message/rfc822. */
#define UNSEEN                                       \
	" (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)" \
	" (\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)"

static void
add_leaf(const struct mime *m, const struct mime_part *p, bool extended, struct buf *out)
{
	const struct mime_part *inside = mime_inside(m, p);
	bool message = is_type(p, "message") && (span_ieq(p->subtype, SPAN("rfc822")) ||
						    span_ieq(p->subtype, SPAN("global")));
	bool partless = is_type(p, "multipart"); /* what it holds can be read at least */
	bool text = partless || is_type(p, "text");
	mime_add_nstring(partless ? SPAN("text") : p->type, out);
	buf_add_char(out, ' ');
	mime_add_nstring(partless ? SPAN("plain") : p->subtype, out);
	buf_add_char(out, ' ');
	add_parameters(&p->parameters, out);
	buf_add_char(out, ' ');
	mime_add_nstring(p->id, out);
	buf_add_char(out, ' ');
	mime_add_nstring(p->description, out);
	buf_add_char(out, ' ');
	add_or(p->encoding, "7bit", out);
	buf_addf(out, " %llu", (unsigned long long)(p->end - p->body));
	if (inside != NULL) {
		buf_add_char(out, ' ');
		mime_add_envelope(m, inside, out);
		buf_add_char(out, ' ');
		mime_add_structure(m, inside, extended, out);
	} else if (message) {
		buf_add_str(out, UNSEEN);
	}
	if (message || text)
		buf_addf(out, " %llu", (unsigned long long)p->lines);
	if (!extended)
		return;
	buf_add_char(out, ' ');
	mime_add_nstring(p->md5, out);
	add_extension(p, out);
}

/* What is nested deeper than MIME_DEPTH_MAX is a leaf: so this does not go deeper. */
void
mime_add_structure(
    const struct mime *m, const struct mime_part *p, bool extended, struct buf *out)
{
	buf_add_char(out, '(');
	if (p->kind == MIME_MULTIPART)
		add_multipart(m, p, extended, out);
	else
		add_leaf(m, p, extended, out);
	buf_add_char(out, ')');
}
