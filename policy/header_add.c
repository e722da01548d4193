/* SPDX-License-Identifier: ISC */
/* header_add - the fields that a relay writes; nothing from outside goes in unescaped. */
#include "policy/header.h"

#include <unistr.h>

#define HELO_MAX 128
#define RCPT_MAX 256

/* The first max bytes or so: a character is not cut in two. */
static struct span
cut(struct span s, size_t max)
{
	if (s.n <= max)
		return s;
	for (int i = 0; i < 3 && ((unsigned char)s.p[max] & 0xc0) == 0x80; i++)
		max--;
	return span_cut(s, 0, max);
}

/* Printable ASCII; UTF-8 stays where the message is SMTPUTF8 mail. No parentheses or
 * brackets that would end a comment. */
static void
put_clean(struct buf *b, struct span s, size_t max, bool utf8)
{
	s = cut(s, max);
	bool valid = utf8 && u8_check((const uint8_t *)s.p, s.n) == NULL;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool fine = (c > 0x20 && c < 0x7f && c != '(' && c != ')' && c != '\\') ||
			    (c >= 0x80 && valid);
		buf_add_char(b, fine ? (char)c : '?');
	}
}

/* An address between angle brackets: quoted local parts keep their blanks and quotes. */
static void
put_address(struct buf *b, struct span s, bool utf8)
{
	s = cut(s, RCPT_MAX);
	bool valid = utf8 && u8_check((const uint8_t *)s.p, s.n) == NULL;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		buf_add_char(
		    b, (c >= 0x20 && c < 0x7f) || (c >= 0x80 && valid) ? (char)c : '?');
	}
}

static void
put_from(struct buf *b, const struct received_facts *f, bool utf8)
{
	struct span name = f->local ? f->user : f->helo;
	buf_add_str(b, "Received: from ");
	put_clean(b, name.n ? name : SPAN("unknown"), HELO_MAX, utf8);
	buf_add_str(b, " (");
	if (f->local)
		buf_addf(b, "uid %u", f->uid);
	else
		put_clean(b, f->client, HELO_MAX, false);
	buf_add_char(b, ')');
}

size_t
header_add_received(struct buf *b, const struct received_facts *f)
{
	bool utf8 = span_starts(f->protocol, SPAN("UTF8"));
	put_from(b, f, utf8);
	buf_add_str(b, "\r\n\tby ");
	put_clean(b, f->by, HELO_MAX * 2, false);
	buf_add_str(b, " with ");
	put_clean(b, f->protocol, HELO_MAX, false);
	buf_add_str(b, " id ");
	size_t id_at = b->n;
	put_clean(b, f->id, 64, false);
	if (f->tls.n > 0) {
		buf_add_str(b, "\r\n\t(");
		for (size_t i = 0; i < f->tls.n && i < 200; i++)
			buf_add_char(b,
			    f->tls.p[i] >= ' ' && f->tls.p[i] < 0x7f && f->tls.p[i] != ')'
				? f->tls.p[i]
				: '?');
		buf_add_char(b, ')');
	}
	if (f->rcpt.n > 0) {
		buf_add_str(b, "\r\n\tfor <");
		put_address(b, f->rcpt, utf8);
		buf_add_char(b, '>');
	}
	buf_add_str(b, ";\r\n\t");
	wall_add_rfc5322(b, f->when);
	buf_add_str(b, "\r\n");
	return id_at;
}

void
header_add_date(struct buf *b, struct wall when)
{
	buf_add_str(b, "Date: ");
	wall_add_rfc5322(b, when);
	buf_add_str(b, "\r\n");
}

void
header_add_message_id(struct buf *b, struct span unique, struct span host)
{
	buf_add_str(b, "Message-ID: <");
	put_clean(b, unique, HELO_MAX, false);
	buf_add_char(b, '@');
	put_clean(b, host, HELO_MAX * 2, false);
	buf_add_str(b, ">\r\n");
}

void
header_add_from(struct buf *b, struct span address)
{
	buf_add_str(b, "From: <");
	put_address(b, address, true);
	buf_add_str(b, ">\r\n");
}
