/* SPDX-License-Identifier: ISC */
/*
 * shape_make - the shape of a message, while it goes by: its structure is kept by struct
 * mime, and of the first text parts how they begin.  At the end all is written at once;
 * what becomes too large is written again with less in it.
 */
#include <string.h>

#include "base/content.h"
#include "base/mem.h"
#include "relay/mime/shape_private.h"
#include "relay/mime/text_private.h"

#define OPENS_MAX 32 /* of iconv, for the fields of one message */
#define READ_SIZE (64u << 10)

struct shaper {
	struct mime *mime;
	uint64_t at;     /* octets taken */
	uint32_t looked; /* parts whose header was there already */
	struct glimpse plain, html;
};

struct shaper *
shaper_new(void)
{
	struct shaper *x = NEW(struct shaper);
	x->mime = mime_new();
	buf_init(&x->plain.octets, GLIMPSE_PLAIN_MAX);
	buf_init(&x->html.octets, GLIMPSE_HTML_MAX);
	return x;
}

void
shaper_free(struct shaper **x)
{
	if (*x == NULL)
		return;
	mime_free(&(*x)->mime);
	buf_clear(&(*x)->plain.octets);
	buf_clear(&(*x)->html.octets);
	mem_free(x);
}

/* ---- taking */

/* A part whose header is there: the first of its kind is what the preview is made of. */
static void
look_at(struct shaper *x, const struct mime_part *p, uint32_t i)
{
	struct glimpse *g = span_ieq(p->subtype, SPAN("plain"))  ? &x->plain
			    : span_ieq(p->subtype, SPAN("html")) ? &x->html
								 : NULL;
	if (g == NULL || g->found || !span_ieq(p->type, SPAN("text")) ||
	    span_ieq(p->disposition, SPAN("attachment")))
		return;
	g->found = true;
	g->part = i;
}

/* What is of its part in these octets; what is not its body any more goes at the end. */
static void
glimpse_take(
    struct glimpse *g, const struct mime_part *parts, uint64_t at, struct span octets)
{
	if (!g->found || g->octets.n == g->octets.max)
		return;
	uint64_t from = parts[g->part].body + g->octets.n;
	if (from < at || from - at >= octets.n)
		return;
	size_t room = g->octets.max - g->octets.n;
	buf_add_span(&g->octets, span_cut(octets, (size_t)(from - at), room));
}

void
shaper_take(struct shaper *x, struct span octets)
{
	size_t n;
	mime_take(x->mime, octets);
	const struct mime_part *parts = mime_parts(x->mime, &n);
	for (; x->looked < n && parts[x->looked].type.p != NULL; x->looked++)
		look_at(x, &parts[x->looked], x->looked);
	glimpse_take(&x->plain, parts, x->at, octets);
	glimpse_take(&x->html, parts, x->at, octets);
	x->at += octets.n;
}

/* ---- writing */

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

static void
put_parts(struct draft *d)
{
	size_t names = 0;
	for (size_t i = 0; i < d->n; i++) {
		const struct mime_part *p = &d->parts[i];
		bool text = shape_is_text(p);
		struct span charset = shape_charset_of(p);
		unsigned flags = (unsigned)p->kind |
				 (p->is_message ? SHAPE_IS_MESSAGE : 0) |
				 (text ? SHAPE_IS_TEXT : 0) |
				 (span_ieq(p->subtype, SPAN("html")) ? SHAPE_IS_HTML : 0);
		put_number(d->out, p->header, 8);
		put_number(d->out, p->body, 8);
		put_number(d->out, p->end, 8);
		put_number(d->out, p->first, 2);
		put_number(d->out, p->next, 2);
		put_number(d->out, p->number, 2);
		put_number(d->out, flags, 1);
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
write_draft(struct draft *d, const struct shaper *x)
{
	struct wall sent = {0};
	int16_t zone = 0;
	size_t n, begin = d->out->n;
	const struct mime_envelope *e = &d->envelope;
	const struct mime_part *parts = mime_parts(x->mime, &n);
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
	shape_add_preview(parts, &x->plain, &x->html, d->out);
	end_span(d->out, at);
	put_parts(d);
}

/* ---- the end */

/* What the message itself does not say, fields in front of it do. */
static void
fill_in(struct mime_envelope *e, const struct mime_envelope *front)
{
	struct span *own[] = {&e->date, &e->subject, &e->from, &e->sender, &e->reply_to,
	    &e->to, &e->cc, &e->bcc, &e->in_reply_to, &e->message_id, &e->references};
	const struct span other[] = {front->date, front->subject, front->from,
	    front->sender, front->reply_to, front->to, front->cc, front->bcc,
	    front->in_reply_to, front->message_id, front->references};
	for (size_t i = 0; i < COUNT_OF(own); i++)
		if (own[i]->p == NULL)
			*own[i] = other[i];
}

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
write_all(
    struct shaper *x, const struct mime_envelope *e, enum size size, struct buf *record)
{
	size_t n;
	const struct mime_part *parts = mime_parts(x->mime, &n);
	struct mime_part one = in_one(&parts[0]);
	bool whole = size == WHOLE;
	struct draft d = {.mime = x->mime,
	    .parts = whole ? parts : &one,
	    .n = whole ? n : 1,
	    .envelope = without(e, size),
	    .opens = OPENS_MAX,
	    .out = record};
	buf_reset(record);
	write_draft(&d, x);
}

void
shaper_end(struct shaper *x, struct span prefix, struct buf *out)
{
	struct mime *front = prefix.n > 0 ? mime_new() : NULL;
	struct buf record;
	size_t n;
	mime_end(x->mime);
	struct mime_envelope e = mime_parts(x->mime, &n)[0].envelope;
	if (front != NULL) {
		mime_take(front, prefix);
		mime_end(front);
		fill_in(&e, &mime_parts(front, &n)[0].envelope);
	}
	buf_init(&record, SHAPE_MAX);
	enum size size = WHOLE;
	write_all(x, &e, size, &record);
	while (record.overflow && size < NOTHING)
		write_all(x, &e, ++size, &record);
	buf_add_span(out, buf_span(&record));
	buf_clear(&record);
	mime_free(&front);
}

/* ---- content that is whole */

static enum err
take_file(struct shaper *x, const struct content *c)
{
	char *some = mem_alloc_raw(READ_SIZE);
	enum err e = OK;
	uint64_t at = 0;
	size_t got = READ_SIZE;
	while (e == OK && got == READ_SIZE) {
		e = content_read(c, at, some, READ_SIZE, &got);
		if (e == OK)
			shaper_take(x, (struct span){some, got});
		at += got;
	}
	mem_free(&some);
	return e;
}

enum err
shape_of_content(const struct content *c, struct span prefix, struct buf *out)
{
	struct shaper *x = shaper_new();
	enum err e = OK;
	if (!content_in_memory(c))
		e = take_file(x, c);
	for (size_t i = 0; content_in_memory(c) && i < content_slices(c); i++)
		shaper_take(x, content_slice(c, i));
	if (e == OK)
		shaper_end(x, prefix, out);
	shaper_free(&x);
	return e;
}
