/* SPDX-License-Identifier: ISC */
/*
 * search_text - what is found in the octets of a mail: a header field of any name, the
 * text of its parts.  All is decoded before it is compared: encoded words, transfer
 * encodings, charsets, HTML; what is ASCII as it stands is compared as it stands.
 */
#include <string.h>

#include "base/mem.h"
#include "relay/imap/search_private.h"
#include "relay/mime/field.h"
#include "relay/mime/text.h"

#define PART_MAX (16u << 20) /* octets of one part that are looked at */

/* ---- octets of the mail: own fields, prefix, content */

static uint64_t
front_of(const struct search_mail *m)
{
	return m->sight->own.n + m->sight->prefix.n;
}

/* Octets [from, to) of the content; false: they are not at hand. */
static bool
get_content(const struct search_mail *m, uint64_t from, uint64_t to, struct buf *out)
{
	size_t n = to - from < PART_MAX ? (size_t)(to - from) : PART_MAX, got = 0;
	if (to <= m->sight->head.n) {
		buf_add_span(out, span_cut(m->sight->head, (size_t)from, n));
		return true;
	}
	if (m->mail == NULL)
		return false;
	char *room = n > 0 ? buf_room(out, n) : NULL;
	if (room == NULL)
		return true;
	if (content_read(m->mail->message->content, from, room, n, &got) == OK)
		out->n += got;
	return true;
}

/* The same of all that is sent: header offsets of the message itself reach into it. */
static bool
get_octets(const struct search_mail *m, uint64_t from, uint64_t to, struct buf *out)
{
	uint64_t front = front_of(m);
	if (from < front) {
		buf_add_span(out, m->sight->own);
		buf_add_span(out, m->sight->prefix);
		from = front;
	}
	return from >= to || get_content(m, from - front, to - front, out);
}

/* ---- a field of any name */

static bool
field_matches(struct search *s, const struct search_node *n, struct span body)
{
	struct buf decoded;
	if (n->text.n == 0)
		return true;
	buf_init(&decoded, PART_MAX);
	text_add_field(body, &decoded);
	bool found = search_folded(s, buf_span(&decoded), n);
	buf_clear(&decoded);
	return found;
}

/* name NULL: any field, its name included. */
static bool
find_field(
    struct search *s, const struct search_node *n, const char *name, struct span header)
{
	struct header_field f;
	while (field_next(&header, &f)) {
		if (name == NULL) {
			if (field_matches(s, n, f.whole))
				return true;
		} else if (f.body.p != NULL && span_ieq(f.name, span_str(name)) &&
			   field_matches(s, n, f.body)) {
			return true;
		}
	}
	return false;
}

static enum search_answer
search_octets_of_header(struct search *s, const struct search_node *n,
    const struct search_mail *m, const char *name)
{
	buf_reset(&s->scratch);
	if (!get_octets(m, 0, front_of(m) + m->shape->header, &s->scratch))
		return SEARCH_CONTENT;
	return find_field(s, n, name, buf_span(&s->scratch)) ? SEARCH_YES : SEARCH_NO;
}

enum search_answer
search_header(struct search *s, const struct search_node *n, const struct search_mail *m)
{
	return search_octets_of_header(s, n, m, n->name);
}

/* ---- the text of parts */

static bool
is_ascii(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char)s.p[i] >= 0x80 || s.p[i] == 0x1b)
			return false;
	}
	return true;
}

/* As people read it. */
static void
make_readable(const struct shape_part *p, bool html, struct span octets, struct buf *out)
{
	struct buf plain, utf8;
	buf_init(&plain, PART_MAX);
	buf_init(&utf8, PART_MAX);
	if (p->encoding == SHAPE_BASE64 || p->encoding == SHAPE_QUOTED) {
		struct text_decoder d = {.encoding = (int)p->encoding};
		text_decode(&d, octets, &plain);
		text_decode_end(&d, &plain);
		octets = buf_span(&plain);
	}
	text_to_utf8(p->charset, octets, html ? &utf8 : out);
	if (html)
		text_of_html(buf_span(&utf8), out);
	buf_clear(&plain);
	buf_clear(&utf8);
}

/* UTF-16 and its like are not ASCII though their octets are. */
static bool
is_plain_charset(struct span charset)
{
	return charset.p == NULL || span_istarts(charset, SPAN("us-ascii")) ||
	       span_istarts(charset, SPAN("utf-8")) ||
	       span_istarts(charset, SPAN("iso-8859-")) ||
	       span_istarts(charset, SPAN("windows-125"));
}

static bool
part_matches(struct search *s, const struct search_node *n, const struct shape_part *p,
    struct span octets)
{
	struct buf readable;
	bool html = p->html;
	if (!html && p->encoding == SHAPE_IDENTITY && is_plain_charset(p->charset) &&
	    is_ascii(octets))
		return search_folded(s, octets, n);
	buf_init(&readable, PART_MAX);
	make_readable(p, html, octets, &readable);
	bool found = search_folded(s, buf_span(&readable), n);
	buf_clear(&readable);
	return found;
}

static enum search_answer
search_part(struct search *s, const struct search_node *n, const struct search_mail *m,
    uint32_t i)
{
	struct shape_part p;
	shape_part(m->shape, front_of(m), i, &p);
	if (n->key == KEY_TEXT && i > 0) {
		buf_reset(&s->scratch);
		if (!get_octets(m, p.header, p.body, &s->scratch))
			return SEARCH_CONTENT;
		if (find_field(s, n, NULL, buf_span(&s->scratch)))
			return SEARCH_YES;
	}
	if (!p.text)
		return SEARCH_NO;
	buf_reset(&s->scratch);
	if (!get_octets(m, p.body, p.end, &s->scratch))
		return SEARCH_CONTENT;
	return part_matches(s, n, &p, buf_span(&s->scratch)) ? SEARCH_YES : SEARCH_NO;
}

enum search_answer
search_body(struct search *s, const struct search_node *n, const struct search_mail *m)
{
	if (n->text.n == 0)
		return SEARCH_YES;
	if (n->key == KEY_TEXT) {
		enum search_answer a = search_octets_of_header(s, n, m, NULL);
		if (a != SEARCH_NO)
			return a;
	}
	for (uint32_t i = 0; i < m->shape->parts; i++) {
		enum search_answer a = search_part(s, n, m, i);
		if (a != SEARCH_NO)
			return a;
	}
	return SEARCH_NO;
}
