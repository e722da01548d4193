/* SPDX-License-Identifier: ISC */
/*
 * shape_make - the shape of a message, while it goes by: its structure is kept by struct
 * mime, and of the first text parts how they begin.
 */
#include "base/content.h"
#include "base/mem.h"
#include "relay/mime/shape_private.h"

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

void
shaper_end(struct shaper *x, struct span prefix, struct buf *out)
{
	struct mime *front = prefix.n > 0 ? mime_new() : NULL;
	size_t n;
	mime_end(x->mime);
	struct mime_envelope e = mime_parts(x->mime, &n)[0].envelope;
	if (front != NULL) {
		mime_take(front, prefix);
		mime_end(front);
		fill_in(&e, &mime_parts(front, &n)[0].envelope);
	}
	struct shape_source s = {x->mime, &e, &x->plain, &x->html};
	shape_write(&s, out);
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
