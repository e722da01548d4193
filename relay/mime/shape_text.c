/* SPDX-License-Identifier: ISC */
/* shape_text - what people read of a message, for its shape: names and addresses, and
 * how its text begins. */
#include <string.h>

#include "relay/mime/shape_private.h"
#include "relay/mime/text_private.h"

#define PREVIEW_CHARACTERS 200 /* RFC 8970 3.1 */
#define PREVIEW_STEP 512       /* octets that are decoded at once */

/* ---- addresses */

struct people {
	struct buf *out;
	struct buf name;
	unsigned *opens;
	bool any; /* there is one in front, which wants a comma */
};

/* A name that reads like something else without quotes. */
static bool
wants_quotes(struct span name)
{
	for (size_t i = 0; i < name.n; i++)
		if (memchr("()<>[]:;@\\,\"", name.p[i], 12) != NULL)
			return true;
	return false;
}

static void
add_name(struct people *p, struct span raw)
{
	buf_reset(&p->name);
	text_add_words(raw, p->opens, &p->name);
	struct span name = buf_span(&p->name);
	if (!wants_quotes(name)) {
		text_put(p->out, name);
		return;
	}
	text_put(p->out, SPAN("\""));
	while (name.n > 0) {
		size_t n = 0;
		while (n < name.n && name.p[n] != '"' && name.p[n] != '\\')
			n++;
		text_put(p->out, span_cut(name, 0, n));
		if (n < name.n)
			text_put(p->out, SPAN("\\"));
		if (n < name.n)
			text_put(p->out, span_cut(name, n, 1));
		name = span_cut(name, n + 1, name.n);
	}
	text_put(p->out, SPAN("\""));
}

/* What is no name: read as it stands. */
static void
add_plain(struct people *p, struct span s)
{
	struct squeeze to = {.out = p->out};
	if (utf8_valid(s) == s.n) {
		squeeze_put(&to, s);
		return;
	}
	buf_reset(&p->name);
	text_to_utf8((struct span){NULL, 0}, s, &p->name);
	squeeze_put(&to, buf_span(&p->name));
}

static void
add_spec(struct people *p, const struct mime_address *a)
{
	add_plain(p, a->local);
	if (a->domain.n == 0)
		return;
	text_put(p->out, SPAN("@"));
	add_plain(p, a->domain);
}

static void
add_one(void *arg, const struct mime_address *a)
{
	struct people *p = arg;
	if (a->local.p == NULL) { /* the end of a group */
		text_put(p->out, SPAN(";"));
		p->any = true;
		return;
	}
	if (p->any)
		text_put(p->out, SPAN(", "));
	p->any = a->domain.p != NULL;
	if (!p->any) { /* the beginning of one */
		add_name(p, a->local);
		text_put(p->out, SPAN(": "));
		return;
	}
	if (a->name.n == 0) {
		add_spec(p, a);
		return;
	}
	add_name(p, a->name);
	text_put(p->out, SPAN(" <"));
	add_spec(p, a);
	text_put(p->out, SPAN(">"));
}

void
shape_add_addresses(struct span field, unsigned *opens, struct buf *out)
{
	struct people p = {.out = out, .opens = opens};
	mime_each_address(field, add_one, &p);
	buf_clear(&p.name);
}

/* ---- what the preview is made of */

enum shape_encoding
shape_encoding_of(const struct mime_part *p)
{
	struct span e = p->encoding;
	if (e.n == 0 || span_ieq(e, SPAN("7bit")) || span_ieq(e, SPAN("8bit")) ||
	    span_ieq(e, SPAN("binary")))
		return SHAPE_IDENTITY;
	if (span_ieq(e, SPAN("base64")))
		return SHAPE_BASE64;
	return span_ieq(e, SPAN("quoted-printable")) ? SHAPE_QUOTED : SHAPE_UNKNOWN;
}

bool
shape_is_text(const struct mime_part *p)
{
	return p->kind == MIME_LEAF &&
	       (span_ieq(p->type, SPAN("text")) || span_ieq(p->type, SPAN("multipart")));
}

struct span
shape_charset_of(const struct mime_part *p)
{
	for (size_t i = 0; i < p->parameters.n; i++)
		if (span_ieq(p->parameters.p[i].name, SPAN("charset")))
			return p->parameters.p[i].value;
	return (struct span){NULL, 0};
}

/* ---- the preview */

/* At most so many octets of `from` as UTF-8; stops when out is full. */
static void
decode(const struct mime_part *p, struct span from, bool whole, struct squeeze *to,
    struct buf *out)
{
	struct text_decoder d = {.encoding = (int)shape_encoding_of(p)};
	struct text_reader r;
	struct buf octets = {0}, piece = {0};
	struct buf *utf8 = to != NULL ? &piece : out;
	text_reader_init(&r, shape_charset_of(p));
	while (from.n > 0 && !(to != NULL && to->out->overflow)) {
		buf_reset(&octets);
		buf_reset(&piece);
		text_decode(&d, span_cut(from, 0, PREVIEW_STEP), &octets);
		from = span_cut(from, PREVIEW_STEP, from.n);
		if (from.n == 0 && whole)
			text_decode_end(&d, &octets);
		text_reader_take(&r, buf_span(&octets), utf8);
		if (from.n == 0 && whole)
			text_reader_end(&r, utf8);
		if (to != NULL)
			squeeze_put(to, buf_span(utf8));
	}
	text_reader_clear(&r);
	buf_clear(&octets);
	buf_clear(&piece);
}

static void
preview_html(const struct mime_part *p, struct span from, bool whole, struct squeeze *to)
{
	struct buf html = {0}, text;
	buf_init(&text, 4 * SHAPE_PREVIEW_MAX); /* more than can be of use */
	decode(p, from, whole, NULL, &html);
	size_t n = html.n;
	while (!whole && n > 0 && html.p[n - 1] != '<' && html.p[n - 1] != '>')
		n--; /* a tag that is cut is none */
	if (!whole && n > 0 && html.p[n - 1] == '<')
		html.n = n - 1;
	text_of_html(buf_span(&html), &text);
	squeeze_put(to, buf_span(&text));
	buf_clear(&html);
	buf_clear(&text);
}

/* A part of it is enough for most. */
static void
preview_of(const struct mime_part *p, const struct glimpse *g, bool html, struct buf *out)
{
	struct span all = buf_span(&g->octets), some;
	if (p->end - p->body < all.n)
		all.n = (size_t)(p->end - p->body);
	bool whole = p->end - p->body == all.n;
	if (shape_encoding_of(p) == SHAPE_UNKNOWN)
		return;
	for (size_t n = GLIMPSE_PLAIN_MAX; !out->overflow; n = all.n) {
		struct squeeze to = {.out = out, .wide = true};
		some = span_cut(all, 0, n);
		bool last = some.n == all.n;
		buf_reset(out);
		if (html)
			preview_html(p, some, whole && last, &to);
		else
			decode(p, some, whole && last, &to, NULL);
		if (last)
			return;
	}
}

/* The text where there are both, and one is the other's alternative; else what comes
 * first. */
static bool
html_first(const struct mime_part *parts, const struct glimpse *plain,
    const struct glimpse *html)
{
	if (!plain->found || !html->found)
		return !plain->found;
	uint32_t parent = parts[html->part].parent;
	return html->part < plain->part &&
	       !(parts[plain->part].parent == parent &&
		   span_ieq(parts[parent].subtype, SPAN("alternative")));
}

void
shape_add_preview(const struct mime_part *parts, const struct glimpse *plain,
    const struct glimpse *html, struct buf *out)
{
	struct buf text;
	size_t n = 0, len;
	bool swap = html_first(parts, plain, html);
	buf_init(&text, SHAPE_PREVIEW_MAX);
	for (int i = 0; i < 2 && text.n == 0; i++) {
		const struct glimpse *g = (i == 0) == swap ? html : plain;
		if (g->found)
			preview_of(&parts[g->part], g, g == html, &text);
	}
	for (size_t i = 0; i < PREVIEW_CHARACTERS && n < text.n; i++, n += len)
		(void)utf8_step((struct span){text.p + n, text.n - n}, &len);
	while (n > 0 && text.p[n - 1] == ' ')
		n--;
	text_put(out, (struct span){text.p, n});
	buf_clear(&text);
}
