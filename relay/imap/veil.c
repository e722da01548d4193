/* SPDX-License-Identifier: ISC */
/* veil - see veil.h. */
#include "relay/imap/veil.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "relay/mime/field.h"

static const char *const shown[] = {
    "From", "To", "Cc", "Date", "Subject", "Message-ID", NULL};

/* prefix and content, up to max octets. */
static enum err
read_source(const struct message *m, size_t max, struct buf *out)
{
	size_t got = 0, n = m->prefix.n < max ? m->prefix.n : max;
	buf_add(out, m->prefix.p, n);
	enum err e = content_read(m->content, 0, buf_room(out, max - n), max - n, &got);
	out->n += got;
	return e;
}

/* Octets of the header, without the empty line. */
static size_t
header_size(struct span source)
{
	struct span rest = source;
	struct header_field f;
	while (field_next(&rest, &f))
		;
	return source.n - rest.n;
}

/* What a terminal or a mail program might obey is not shown. */
static void
add_text(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		bool plain =
		    (c >= ' ' && c != 0x7f) || c == '\t' || c == '\r' || c == '\n';
		buf_add_char(out, plain ? (char)c : '?');
	}
	if (text.n > 0 && text.p[text.n - 1] != '\n')
		buf_add_str(out, "\r\n");
}

static void
add_listed(struct buf *out, struct span header)
{
	struct header_field f;
	while (field_next(&header, &f)) {
		for (size_t i = 0; shown[i] != NULL; i++) {
			if (span_ieq(f.name, span_str(shown[i])))
				add_text(out, f.whole);
		}
	}
}

/* The message that is shown. */
static struct message *
make(const struct kept_mail *k, struct buf *text)
{
	struct message *m = message_new();
	m->id = k->message->id;
	m->arrival = k->message->arrival;
	m->flags = MESSAGE_8BIT;
	m->size = text->n;
	m->content = content_new(NULL);
	content_append(m->content, text->p, text->n);
	content_seal(m->content);
	return m;
}

enum err
veil_mail(struct kept_mail *k, enum admin_view view)
{
	bool whole = view == ADMIN_VIEW_SOURCE;
	size_t max = whole ? VEIL_SOURCE_MAX : VEIL_HEADER_MAX;
	uint64_t size = k->message->prefix.n + k->message->size;
	struct buf source, text;
	buf_init(&source, VEIL_SOURCE_MAX);
	buf_init(&text, 0);
	enum err e = read_source(k->message, max, &source);
	if (e == OK) {
		struct span header =
		    span_cut(buf_span(&source), 0, header_size(buf_span(&source)));
		struct span body = whole ? buf_span(&source) : header;
		add_listed(&text, header);
		buf_addf(&text,
		    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
		    "Content-Transfer-Encoding: 8bit\r\nX-Relay-View: %s\r\n\r\n",
		    whole ? "source" : "header");
		add_text(&text, body);
		if (size > body.n)
			buf_addf(&text, "\r\n[%llu octets more are not shown]\r\n",
			    (unsigned long long)(size - body.n));
		struct message *m = make(k, &text);
		k->own = message_keep(m, k->own);
		k->recipient = message_keep(m, k->recipient);
		k->row.size = k->own.n + m->size;
		message_unref(&k->message);
		k->message = m;
	}
	buf_clear(&source);
	buf_clear(&text);
	return e;
}
