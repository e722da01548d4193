/* SPDX-License-Identifier: ISC */
/*
 * mime_imap - structure and envelope in the words of IMAP (RFC 9051 7.5.2).
 */
#include <string.h>

#include "base/mem.h"
#include "relay/mime/mime_private.h"

/* ---- strings */

static bool
can_be_quoted(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] >= 0x7f)
			return false;
	return true;
}

static void
add_quoted(struct span s, struct buf *out)
{
	buf_add_char(out, '"');
	while (s.n > 0) {
		size_t n = 0;
		while (n < s.n && s.p[n] != '"' && s.p[n] != '\\')
			n++;
		buf_add(out, s.p, n);
		if (n < s.n) {
			const char escaped[] = {'\\', s.p[n]};
			buf_add(out, escaped, sizeof(escaped));
		}
		s = span_cut(s, n + 1, s.n);
	}
	buf_add_char(out, '"');
}

void
mime_add_nstring(struct span s, struct buf *out)
{
	if (s.p == NULL) {
		buf_add_str(out, "NIL");
	} else if (can_be_quoted(s)) {
		add_quoted(s, out);
	} else {
		buf_addf(out, "{%zu}\r\n", s.n);
		buf_add_span(out, s);
	}
}

static void
add_or(struct span s, const char *otherwise, struct buf *out)
{
	mime_add_nstring(s.p != NULL && s.n > 0 ? s : span_str(otherwise), out);
}

/* ---- addresses */

struct list {
	struct buf *out;
	size_t n; /* written so far */
};

static void
add_address(void *arg, const struct mime_address *a)
{
	struct list *l = arg;
	buf_add_char(l->out, '(');
	if (l->n++ == 0)
		buf_add_char(l->out, '(');
	mime_add_nstring(a->name, l->out);
	buf_add_char(l->out, ' ');
	mime_add_nstring(a->route, l->out);
	buf_add_char(l->out, ' ');
	mime_add_nstring(a->local, l->out);
	buf_add_char(l->out, ' ');
	mime_add_nstring(a->domain, l->out);
	buf_add_char(l->out, ')');
}

static void
add_addresses(struct span list, struct buf *out)
{
	struct list l = {.out = out};
	mime_each_address(list, add_address, &l);
	buf_add_str(out, l.n > 0 ? ")" : "NIL");
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
