/* SPDX-License-Identifier: ISC */
/*
 * shape - reading a stored one.  All of it is looked at once, in shape_open(): children
 * and siblings come behind, so that no walk is endless, and every offset is within its
 * bounds.
 */
#include "relay/mime/shape.h"

#include <string.h>

#include "relay/mime/shape_private.h"

/* ---- numbers */

static uint64_t
number(const char *p, size_t octets)
{
	uint64_t n = 0;
	for (size_t i = octets; i-- > 0;)
		n = n << 8 | (unsigned char)p[i];
	return n;
}

static uint16_t
u16(const char *p)
{
	return (uint16_t)number(p, 2);
}

static uint32_t
u32(const char *p)
{
	return (uint32_t)number(p, 4);
}

static uint64_t
u64(const char *p)
{
	return number(p, 8);
}

/* ---- the whole */

void
shape_spans(struct shape *s, struct span *out[SHAPE_SPANS])
{
	struct span *all[SHAPE_SPANS] = {&s->envelope, &s->structure, &s->subject,
	    &s->base_subject, &s->from, &s->to, &s->cc, &s->bcc, &s->sender, &s->reply_to,
	    &s->message_id, &s->in_reply_to, &s->references, &s->preview};
	memcpy(out, all, sizeof(all));
}

static bool
take_span(struct span *rest, struct span *out)
{
	if (rest->n < 4)
		return false;
	size_t n = u32(rest->p);
	*rest = span_cut(*rest, 4, rest->n);
	*out = (struct span){NULL, 0};
	if (n == SHAPE_ABSENT)
		return true;
	if (n > rest->n)
		return false;
	*out = (struct span){rest->p, n};
	*rest = span_cut(*rest, n, rest->n);
	return true;
}

static const char *
entry(const struct shape *s, uint32_t i)
{
	return s->table.p + (size_t)i * SHAPE_ENTRY;
}

static uint32_t
first(const char *e)
{
	return u16(e + 24);
}

static uint32_t
next(const char *e)
{
	return u16(e + 26);
}

static unsigned
kind(const char *e)
{
	return (unsigned char)e[30] & SHAPE_KIND;
}

static bool
entry_fits(const struct shape *s, uint32_t i)
{
	const char *e = entry(s, i);
	uint64_t header = u64(e), body = u64(e + 8), end = u64(e + 16);
	size_t names = s->table.n - (size_t)s->parts * SHAPE_ENTRY;
	size_t at = u32(e + 32), n = u32(e + 36);
	if (header > body || body > end || end > s->size)
		return false;
	if ((first(e) != 0 && (first(e) <= i || first(e) >= s->parts)) ||
	    (next(e) != 0 && (next(e) <= i || next(e) >= s->parts)))
		return false;
	if (kind(e) > MIME_MESSAGE || (unsigned char)e[31] > SHAPE_UNKNOWN)
		return false;
	return n == SHAPE_ABSENT || (at <= names && n <= names - at);
}

enum err
shape_open(struct shape *s, struct span stored)
{
	struct span *spans[SHAPE_SPANS], rest = span_cut(stored, SHAPE_HEAD, stored.n);
	*s = (struct shape){0};
	if (stored.n > 0 && (unsigned char)stored.p[0] != SHAPE_VERSION)
		return ERR_VERSION;
	if (stored.n < SHAPE_HEAD)
		return ERR_DAMAGED;
	s->reply = (stored.p[1] & SHAPE_REPLY) != 0;
	s->sent_zone = (int16_t)u16(stored.p + 2);
	s->parts = u32(stored.p + 4);
	s->header = u64(stored.p + 8);
	s->size = u64(stored.p + 16);
	s->sent.ms = (int64_t)u64(stored.p + 24);
	shape_spans(s, spans);
	for (size_t i = 0; i < SHAPE_SPANS; i++)
		if (!take_span(&rest, spans[i]))
			return ERR_DAMAGED;
	s->table = rest;
	if (s->parts < 1 || s->parts > MIME_PARTS_MAX || s->header > s->size ||
	    rest.n / SHAPE_ENTRY < s->parts)
		return ERR_DAMAGED;
	for (uint32_t i = 0; i < s->parts; i++)
		if (!entry_fits(s, i))
			return ERR_DAMAGED;
	return OK;
}

/* ---- parts */

static void
get(const struct shape *s, uint64_t front, uint32_t i, struct shape_part *out)
{
	const char *e = entry(s, i);
	unsigned flags = (unsigned char)e[30];
	size_t names = (size_t)s->parts * SHAPE_ENTRY, n = u32(e + 36);
	*out = (struct shape_part){
	    .header = i > 0 ? front + u64(e) : 0,
	    .body = front + u64(e + 8),
	    .end = front + u64(e + 16),
	    .is_message = (flags & SHAPE_IS_MESSAGE) != 0,
	    .multipart = kind(e) == MIME_MULTIPART,
	    .message = kind(e) == MIME_MESSAGE,
	    .text = (flags & SHAPE_IS_TEXT) != 0,
	    .html = (flags & SHAPE_IS_HTML) != 0,
	    .encoding = (enum shape_encoding)(unsigned char)e[31],
	};
	if (n != SHAPE_ABSENT)
		out->charset = (struct span){s->table.p + names + u32(e + 32), n};
}

void
shape_part(const struct shape *s, uint64_t front, uint32_t i, struct shape_part *out)
{
	*out = (struct shape_part){0};
	if (i < s->parts)
		get(s, front, i, out);
}

/* The child of this number; 0: there is none. */
static uint32_t
child(const struct shape *s, uint32_t part, uint32_t wanted)
{
	uint32_t i = first(entry(s, part));
	while (i != 0 && u16(entry(s, i) + 28) != wanted)
		i = next(entry(s, i));
	return i;
}

/* The message inside; 0: it is no message/rfc822. */
static uint32_t
message_in(const struct shape *s, uint32_t part)
{
	const char *e = entry(s, part);
	return kind(e) == MIME_MESSAGE ? first(e) : 0;
}

/* As mime_find(); false: there is none. */
static bool
find(const struct shape *s, const uint32_t *wanted, size_t numbers, uint32_t *at)
{
	bool body = false; /* *at is the one part of a message that is no multipart */
	*at = 0;
	for (size_t i = 0; i < numbers; i++) {
		uint32_t inside = i > 0 ? message_in(s, *at) : 0;
		if (inside == 0 && body)
			return false;
		if (inside != 0)
			*at = inside;
		const char *e = entry(s, *at);
		body = kind(e) != MIME_MULTIPART;
		if (body &&
		    (((unsigned char)e[30] & SHAPE_IS_MESSAGE) == 0 || wanted[i] != 1))
			return false;
		if (!body && (*at = child(s, *at, wanted[i])) == 0)
			return false;
	}
	return true;
}

enum err
shape_find(const struct shape *s, uint64_t front, const uint32_t *wanted, size_t numbers,
    bool inside, struct shape_part *out)
{
	uint32_t at;
	if (!find(s, wanted, numbers, &at))
		return ERR_NOT_FOUND;
	if (inside && numbers > 0 && (at = message_in(s, at)) == 0)
		return ERR_NOT_FOUND;
	get(s, front, at, out);
	return OK;
}
