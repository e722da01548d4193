/* SPDX-License-Identifier: ISC */
/*
 * shape_write - the record of a shape, in one go; what becomes too large is written again
 * with less in it.
 */
#include <string.h>

#include "relay/mime/shape_private.h"
#include "relay/mime/text_private.h"

#define OPENS_MAX 32 /* of iconv, for the fields of one message */

enum size { WHOLE, ONE_PART, NO_ADDRESSES, NOTHING }; /* how much is written */

struct draft {
	const struct mime *mime;
	const struct mime_part *parts; /* what is described: one, if not WHOLE */
	size_t n;
	struct mime_envelope envelope;
	unsigned opens;
	struct buf *out;
};

static void
put_number(struct buf *b, uint64_t n, size_t octets)
{
	char le[8];
	for (size_t i = 0; i < octets; i++)
		le[i] = (char)(n >> (8 * i));
	buf_add(b, le, octets);
}

static size_t
begin_span(struct buf *b)
{
	put_number(b, 0, 4);
	return b->n;
}

static void
end_span(struct buf *b, size_t from)
{
	if (b->overflow)
		return;
	size_t n = b->n - from;
	for (size_t i = 0; i < 4; i++)
		b->p[from - 4 + i] = (char)(n >> (8 * i));
}

static void
put_raw(struct buf *b, struct span s)
{
	put_number(b, s.p != NULL ? s.n : SHAPE_ABSENT, 4);
	buf_add_span(b, s);
}

static void
put_addresses(struct draft *d, struct span field)
{
	if (field.p == NULL) {
		put_raw(d->out, field);
		return;
	}
	size_t at = begin_span(d->out);
	shape_add_addresses(field, &d->opens, d->out);
	end_span(d->out, at);
}

/* True: it is a reply. */
static bool
put_subject(struct draft *d)
{
	struct span raw = d->envelope.subject;
	struct buf subject;
	if (raw.p == NULL) {
		put_raw(d->out, raw);
		put_raw(d->out, raw);
		return false;
	}
	buf_init(&subject, SHAPE_MAX);
	text_add_words(raw, &d->opens, &subject);
	size_t at = begin_span(d->out);
	text_put(d->out, buf_span(&subject));
	end_span(d->out, at);
	at = begin_span(d->out);
	bool reply = text_base_subject(buf_span(&subject), d->out);
	end_span(d->out, at);
	buf_clear(&subject);
	return reply;
}

static unsigned
flags_of(const struct mime_part *p)
{
	bool text = shape_is_text(p);
	return (unsigned)p->kind | (p->is_message ? SHAPE_IS_MESSAGE : 0) |
	       (text ? SHAPE_IS_TEXT : 0) |
	       (text && span_ieq(p->subtype, SPAN("html")) ? SHAPE_IS_HTML : 0);
}

static void
put_parts(struct draft *d)
{
	size_t names = 0;
	for (size_t i = 0; i < d->n; i++) {
		const struct mime_part *p = &d->parts[i];
		bool text = shape_is_text(p);
		struct span charset = shape_charset_of(p);
		put_number(d->out, p->header, 8);
		put_number(d->out, p->body, 8);
		put_number(d->out, p->end, 8);
		put_number(d->out, p->first, 2);
		put_number(d->out, p->next, 2);
		put_number(d->out, p->number, 2);
		put_number(d->out, flags_of(p), 1);
		put_number(d->out, (unsigned)shape_encoding_of(p), 1);
		bool named = text && charset.p != NULL;
		put_number(d->out, names, 4);
		put_number(d->out, named ? charset.n : SHAPE_ABSENT, 4);
		names += named ? charset.n : 0;
	}
	for (size_t i = 0; i < d->n; i++)
		if (shape_is_text(&d->parts[i]))
			buf_add_span(d->out, shape_charset_of(&d->parts[i]));
}

static void
put_imap(struct draft *d)
{
	struct mime_part top = d->parts[0];
	top.envelope = d->envelope;
	size_t at = begin_span(d->out);
	mime_add_envelope(d->mime, &top, d->out);
	end_span(d->out, at);
	at = begin_span(d->out);
	mime_add_structure(d->mime, &d->parts[0], true, d->out);
	end_span(d->out, at);
}

static void
write_draft(struct draft *d, const struct shape_source *s)
{
	struct wall sent = {0};
	int16_t zone = 0;
	size_t n, begin = d->out->n;
	const struct mime_envelope *e = &d->envelope;
	const struct mime_part *parts = mime_parts(s->mime, &n);
	if (!text_date(e->date, &sent, &zone))
		sent.ms = 0;
	put_number(d->out, SHAPE_VERSION, 1);
	put_number(d->out, 0, 1);
	put_number(d->out, (uint16_t)zone, 2);
	put_number(d->out, d->n, 4);
	put_number(d->out, d->parts[0].body, 8);
	put_number(d->out, d->parts[0].end, 8);
	put_number(d->out, (uint64_t)sent.ms, 8);
	put_imap(d);
	if (put_subject(d) && !d->out->overflow)
		d->out->p[begin + 1] = SHAPE_REPLY;
	put_addresses(d, e->from);
	put_addresses(d, e->to);
	put_addresses(d, e->cc);
	put_addresses(d, e->bcc);
	put_addresses(d, e->sender);
	put_addresses(d, e->reply_to);
	put_raw(d->out, e->message_id);
	put_raw(d->out, e->in_reply_to);
	put_raw(d->out, e->references);
	size_t at = begin_span(d->out);
	shape_add_preview(parts, s->plain, s->html, d->out);
	end_span(d->out, at);
	put_parts(d);
}

/* ---- as much as there is room for */

static struct mime_envelope
without(const struct mime_envelope *e, enum size size)
{
	if (size == NOTHING)
		return (struct mime_envelope){0};
	if (size < NO_ADDRESSES)
		return *e;
	return (struct mime_envelope){.date = e->date,
	    .subject = e->subject,
	    .message_id = e->message_id,
	    .in_reply_to = e->in_reply_to};
}

/* A message in one piece, whatever it is made of. */
static struct mime_part
in_one(const struct mime_part *p)
{
	struct mime_part one = {.kind = MIME_LEAF,
	    .number = 1,
	    .is_message = true,
	    .header = p->header,
	    .body = p->body,
	    .end = p->end,
	    .lines = p->lines,
	    .type = SPAN("text"),
	    .subtype = SPAN("plain")};
	if (shape_encoding_of(p) != SHAPE_UNKNOWN)
		one.encoding = p->encoding;
	return one;
}

static void
write_all(const struct shape_source *s, enum size size, struct buf *record)
{
	size_t n;
	const struct mime_part *parts = mime_parts(s->mime, &n);
	struct mime_part one = in_one(&parts[0]);
	bool whole = size == WHOLE;
	struct draft d = {.mime = s->mime,
	    .parts = whole ? parts : &one,
	    .n = whole ? n : 1,
	    .envelope = without(s->envelope, size),
	    .opens = OPENS_MAX,
	    .out = record};
	buf_reset(record);
	write_draft(&d, s);
}

void
shape_write(const struct shape_source *s, struct buf *out)
{
	struct buf record;
	enum size size = WHOLE;
	buf_init(&record, SHAPE_MAX);
	write_all(s, size, &record);
	while (record.overflow && size < NOTHING)
		write_all(s, ++size, &record);
	buf_add_span(out, buf_span(&record));
	buf_clear(&record);
}
