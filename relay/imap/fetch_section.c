/* SPDX-License-Identifier: ISC */
/*
 * fetch_section - octets of a message: BODY[...], BINARY[...] (RFC 9051 6.4.5, 6.4.5.2).
 * What is sent is our own fields, the message's prefix, and its content; offsets count
 * from the first of them.
 */
#include <string.h>

#include "base/mem.h"
#include "relay/imap/fetch.h"
#include "relay/mime/field.h"
#include "relay/mime/text.h"

#define HEADER_MAX (256u << 10) /* octets of a header whose fields are chosen from */
#define BINARY_MAX (16u << 20)  /* octets of a part that are decoded in memory */

struct range {
	uint64_t from, to;
};

static uint64_t
front_of(const struct fetch_source *src)
{
	return src->sight->own.n + src->sight->prefix.n;
}

/* ---- octets of the whole, wherever they are */

/* False: they are not at hand. */
static bool
add_content(
    struct fetch_out *out, const struct fetch_source *src, uint64_t from, uint64_t n)
{
	const struct span head = src->sight->head;
	if (n == 0)
		return true;
	if (from + n <= head.n) {
		buf_add_span(&out->text, span_cut(head, (size_t)from, (size_t)n));
		return true;
	}
	return src->kept != NULL &&
	       fetch_out_content(out, src->kept->message->content, from, n) == OK;
}

static bool
add_range(struct fetch_out *out, const struct fetch_source *src, struct range r)
{
	const struct mail_sight *x = src->sight;
	const struct span part[] = {x->own, x->prefix};
	uint64_t at = 0;
	for (size_t i = 0; i < 2; i++) {
		uint64_t end = at + part[i].n;
		uint64_t a = r.from > at ? r.from : at, b = r.to < end ? r.to : end;
		if (a < b)
			buf_add_span(&out->text,
			    span_cut(part[i], (size_t)(a - at), (size_t)(b - a)));
		at = end;
	}
	uint64_t end = at + x->content;
	uint64_t a = r.from > at ? r.from : at, b = r.to < end ? r.to : end;
	if (a < b && !add_content(out, src, a - at, b - a))
		return false;
	/* a line end that the content lacks (BINARYMIME) */
	static const char crlf[] = "\r\n";
	a = r.from > end ? r.from : end;
	b = r.to;
	for (; a < b && a - end < 2; a++)
		buf_add_char(&out->text, crlf[a - end]);
	return true;
}

static uint64_t
whole_of(const struct fetch_source *src)
{
	return front_of(src) + src->sight->content +
	       (src->sight->message_flags & MESSAGE_NO_CRLF ? 2 : 0);
}

/* ---- which octets a section is */

/* False: there is no such part. */
static bool
find_range(const struct fetch_item *it, const struct fetch_source *src, struct range *r)
{
	struct shape_part part;
	bool inside = it->path_n > 0 && it->what != WHAT_ALL && it->what != WHAT_MIME;
	if (it->path_n == 0 && it->what == WHAT_ALL) {
		*r = (struct range){0, whole_of(src)};
		return true;
	}
	if (shape_find(src->shape, front_of(src), it->path, it->path_n, inside, &part) !=
	    OK)
		return false;
	if (it->path_n == 0) {
		part.header = 0;
		part.end = whole_of(src);
	}
	switch (it->what) {
	case WHAT_ALL:
	case WHAT_TEXT: *r = (struct range){part.body, part.end}; break;
	case WHAT_HEADER:
	case WHAT_MIME:
	case WHAT_FIELDS:
	case WHAT_FIELDS_NOT: *r = (struct range){part.header, part.body}; break;
	}
	return true;
}

/* ---- fields of a header */

static bool
is_listed(const struct fetch_item *it, struct span name)
{
	for (size_t i = 0; i < it->fields; i++) {
		if (span_ieq(span_str(it->field[i]), name))
			return true;
	}
	return false;
}

static void
choose_fields(const struct fetch_item *it, struct span header, struct buf *out)
{
	bool listed = it->what == WHAT_FIELDS;
	struct header_field f;
	while (field_next(&header, &f)) {
		if (is_listed(it, f.name) == listed && (f.body.p != NULL || !listed))
			buf_add_span(out, f.whole);
	}
	buf_add_str(out, "\r\n");
}

/* The part that was asked for of octets that are all here. */
static struct span
partial_of(const struct fetch_item *it, struct span all)
{
	if (!it->partial)
		return all;
	uint64_t from = it->from < all.n ? it->from : all.n;
	uint64_t n = it->count < all.n - from ? it->count : all.n - from;
	return span_cut(all, (size_t)from, (size_t)n);
}

static void
add_literal(struct fetch_out *out, const char *label, struct span octets, bool eight)
{
	buf_addf(&out->text, "%s %s{%zu}\r\n", label, eight ? "~" : "", octets.n);
	buf_add_span(&out->text, octets);
}

/* The header is put behind the answer for a moment, in pieces that are copied, never sent
 * from where they are. */
static bool
write_fields(const struct fetch_item *it, const struct fetch_source *src, struct range r,
    struct fetch_out *out)
{
	size_t from = out->text.n;
	bool ok = true;
	if (r.to - r.from > HEADER_MAX)
		r.to = r.from + HEADER_MAX;
	for (uint64_t at = r.from; at < r.to && ok; at += FETCH_COPY_MAX)
		ok = add_range(out, src,
		    (struct range){
			at, at + FETCH_COPY_MAX < r.to ? at + FETCH_COPY_MAX : r.to});
	buf_reset(&out->chosen);
	if (ok)
		choose_fields(
		    it, span_cut(buf_span(&out->text), from, out->text.n), &out->chosen);
	out->text.n = from;
	if (ok)
		add_literal(
		    out, it->label, partial_of(it, buf_span(&out->chosen)), false);
	return ok;
}

bool
fetch_write_section(
    const struct fetch_item *it, const struct fetch_source *src, struct fetch_out *out)
{
	struct range r;
	if (!find_range(it, src, &r)) {
		buf_addf(&out->text, "%s NIL", it->label);
		return true;
	}
	if (it->what == WHAT_FIELDS || it->what == WHAT_FIELDS_NOT)
		return write_fields(it, src, r, out);
	if (it->partial) {
		r.from = it->from < r.to - r.from ? r.from + it->from : r.to;
		r.to = it->count < r.to - r.from ? r.from + it->count : r.to;
	}
	buf_addf(
	    &out->text, "%s {%llu}\r\n", it->label, (unsigned long long)(r.to - r.from));
	return add_range(out, src, r);
}

/* ---- decoded (RFC 3516) */

static bool
decode(const struct fetch_source *src, const struct shape_part *part, struct buf *out)
{
	struct text_decoder d = {.encoding = (int)part->encoding};
	bool ok = true;
	for (uint64_t at = part->body; at < part->end && ok; at += FETCH_COPY_MAX) {
		struct fetch_out piece = {0};
		uint64_t end =
		    at + FETCH_COPY_MAX < part->end ? at + FETCH_COPY_MAX : part->end;
		buf_init(&piece.text, 0);
		ok = add_range(&piece, src, (struct range){at, end});
		if (ok && part->encoding == SHAPE_IDENTITY)
			buf_add_span(out, buf_span(&piece.text));
		else if (ok)
			text_decode(&d, buf_span(&piece.text), out);
		fetch_out_clear(&piece);
	}
	if (part->encoding != SHAPE_IDENTITY)
		text_decode_end(&d, out);
	return ok;
}

bool
fetch_write_binary(
    const struct fetch_item *it, const struct fetch_source *src, struct fetch_out *out)
{
	struct shape_part part;
	struct buf octets;
	if (src->kept == NULL)
		return false;
	if (shape_find(src->shape, front_of(src), it->path, it->path_n, false, &part) !=
	    OK) {
		buf_addf(
		    &out->text, it->kind == FETCH_BINARY ? "%s NIL" : "%s 0", it->label);
		return true;
	}
	if (it->path_n == 0)
		part = (struct shape_part){.end = whole_of(src)};
	if (part.encoding == SHAPE_UNKNOWN) {
		out->unknown_cte++;
		buf_addf(
		    &out->text, it->kind == FETCH_BINARY ? "%s NIL" : "%s 0", it->label);
		return true;
	}
	buf_init(&octets, BINARY_MAX);
	bool ok = decode(src, &part, &octets);
	if (ok && octets.overflow) {
		out->too_big++;
		buf_addf(
		    &out->text, it->kind == FETCH_BINARY ? "%s NIL" : "%s 0", it->label);
	} else if (ok && it->kind == FETCH_BINARY_SIZE) {
		buf_addf(&out->text, "%s %zu", it->label, octets.n);
	} else if (ok) {
		struct span s = partial_of(it, buf_span(&octets));
		add_literal(out, it->label, s, s.n > 0 && memchr(s.p, '\0', s.n) != NULL);
	}
	buf_clear(&octets);
	return ok;
}
