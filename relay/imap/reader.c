/* SPDX-License-Identifier: ISC */
/*
 * reader - lines and literals become a command (RFC 9051 4.3, RFC 7888).  The text of a
 * command is what the client sent, "{n}" CRLF and the n octets behind it included; the
 * message of an APPEND alone goes elsewhere as it comes.
 *
 * A literal that is refused is answered in place of its "+", and is not waited for; one
 * that needs no "+" comes whatever we say, and is thrown away.
 */
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"
#include "relay/door.h"
#include "relay/imap/session.h"

#define TEXT_KEPT 2048 /* octets of memory that an idle session keeps for the next */

void
reader_reset(struct imap *s)
{
	struct reader *r = &s->reader;
	lex_clear(&s->lex);
	if (r->secret && r->text.p != NULL)
		explicit_bzero(r->text.p, r->text.cap);
	r->secret = false;
	if (r->text.cap > TEXT_KEPT)
		buf_clear(&r->text);
	buf_reset(&r->text);
	r->text.max = IMAP_COMMAND_MAX + IMAP_LINE_MAX;
	r->refused = false;
}

/* What follows is taken from the client and kept, and may be a password. */
static void
guard_secret(struct imap *s, uint64_t octets)
{
	if (s->state != IMAP_BEFORE)
		return;
	size_t n = octets < IMAP_COMMAND_BEFORE ? (size_t)octets : IMAP_COMMAND_BEFORE;
	io_forget(s->io);
	s->reader.secret = true;
	(void)buf_room(&s->reader.text, n + TEXT_KEPT / 2); /* growing leaves a copy */
}

/* ---- literals */

struct literal {
	uint64_t octets;
	bool eight, sync; /* "~{", without "+" */
	bool absurd;      /* no number that anybody could mean */
};

/* What the line ends with; false: no literal. */
static bool
ends_with_literal(struct span line, struct literal *out)
{
	size_t at = line.n;
	*out = (struct literal){.sync = true};
	if (at == 0 || line.p[at - 1] != '}')
		return false;
	at--;
	if (at > 0 && line.p[at - 1] == '+') {
		out->sync = false;
		at--;
	}
	size_t end = at;
	while (at > 0 && is_digit((unsigned char)line.p[at - 1]))
		at--;
	if (at == 0 || line.p[at - 1] != '{')
		return false;
	struct scan in = scan_over(span_cut(line, at, end - at));
	out->absurd = !scan_u64(&in, (uint64_t)UINT32_MAX, &out->octets);
	if (at == end)
		return false; /* "{}" */
	out->eight = at > 1 && line.p[at - 2] == '~';
	return true;
}

/* The command so far has been answered. */
static void
refuse(struct imap *s, const struct literal *l)
{
	if (s->io == NULL)
		return;
	if (l->sync) {
		reader_reset(s);
		return;
	}
	size_t most = s->state == IMAP_BEFORE ? IMAP_DRAIN_BEFORE : IMAP_DRAIN_MAX;
	if (l->absurd || l->octets > most) {
		imap_bye(s, "[TOOBIG] ", "this literal is too large");
		return;
	}
	s->reader.state = READER_DRAIN;
	s->reader.left = l->octets;
	s->reader.refused = true;
}

static void
answer_too_big(struct imap *s, const char *text)
{
	struct lex l = lex_over(buf_span(&s->reader.text), s->utf8);
	if (s->append != NULL) { /* not its first message: the tag has gone by */
		append_free(s);
	} else {
		s->commands++;
		(void)imap_take_tag(s, &l);
	}
	lex_clear(&l);
	imap_no(s, "[TOOBIG] ", text);
}

static void
begin_literal(struct imap *s, const struct literal *l)
{
	struct reader *r = &s->reader;
	bool before = s->state == IMAP_BEFORE;
	if (imap_is_too_much(s))
		return;
	if (imap_is_append(s) && !l->absurd) {
		append_begin_literal(s, l->octets, l->eight, l->sync);
		r->left = l->octets;
		return;
	}
	uint64_t most = before ? IMAP_LITERAL_BEFORE : IMAP_LITERAL_MAX;
	size_t all = before ? IMAP_COMMAND_BEFORE : IMAP_COMMAND_MAX;
	if (l->absurd || l->octets > most || r->text.n + l->octets > all) {
		struct literal copy = *l;
		answer_too_big(s, "this literal is too large");
		refuse(s, &copy);
		return;
	}
	r->state = READER_LITERAL;
	r->left = l->octets;
	if (l->sync)
		imap_say(s, SPAN("+ go on\r\n"));
}

void
reader_accept_literal(struct imap *s)
{
	s->reader.state = READER_APPEND;
}

/* The answer has been given; what is on its way is thrown away. */
void
reader_refuse_literal(struct imap *s)
{
	if (s->reader.left > IMAP_DRAIN_MAX) {
		imap_bye(s, "[TOOBIG] ", "this literal is too large");
		return;
	}
	s->reader.state = READER_DRAIN;
	s->reader.refused = true;
}

static void
literal_over(struct imap *s)
{
	struct reader *r = &s->reader;
	bool append = r->state == READER_APPEND;
	r->state = READER_LINE;
	if (append)
		append_literal_over(s);
}

static bool
take_octets(struct imap *s)
{
	struct reader *r = &s->reader;
	if (r->state == READER_APPEND && r->left > 0 && append_busy(s))
		return false; /* it goes on when the disk has caught up */
	struct span in = io_input(s->io);
	size_t n = in.n < r->left ? in.n : (size_t)r->left;
	in = span_cut(in, 0, n);
	if (r->state == READER_APPEND)
		append_octets(s, in);
	else if (r->state == READER_LITERAL) {
		guard_secret(s, in.n);
		buf_add_span(&r->text, in);
	}
	r->left -= n;
	io_consume(s->io, n);
	if (r->left == 0)
		literal_over(s);
	return true;
}

/* ---- lines */

static bool
end_of_line(struct imap *s, struct span line)
{
	struct reader *r = &s->reader;
	struct literal l;
	bool literal = ends_with_literal(line, &l);
	if (r->refused) { /* the rest of a command that has its answer */
		if (literal && !l.sync)
			refuse(s, &l);
		else
			reader_reset(s);
		return true;
	}
	guard_secret(s, line.n + (literal && !l.absurd ? l.octets : 0));
	buf_add_span(&r->text, line);
	if (literal) {
		buf_add_str(&r->text, "\r\n");
		begin_literal(s, &l);
		return true;
	}
	s->commands++;
	imap_run(s);
	return true;
}

static bool
refuse_bare(struct imap *s)
{
	imap_sayf(s, "BAD a line ends with CRLF and holds no NUL");
	signing_end(s, "a bare LF or a NUL");
	imap_bye(s, "", "a line ends with CRLF and holds no NUL");
	return false;
}

/* TLS on a port for the clear, a browser: what follows are no commands. */
static bool
is_stranger(struct imap *s)
{
	struct span in = io_input(s->io);
	if (s->commands > 0 || s->reader.text.n > 0)
		return false;
	return (unsigned char)in.p[0] < 0x20 ||
	       door_is_http(span_cut(in, 0, span_find(in, ' ')));
}

static bool
take_line(struct imap *s)
{
	struct span line = {0};
	size_t most = s->state == IMAP_BEFORE ? IMAP_LINE_BEFORE : IMAP_LINE_MAX;
	if (is_stranger(s)) {
		imap_bye(s, "", "this is a mail server");
		return false;
	}
	if (signing_expects_line(s))
		return signing_take_response(s);
	if (s->idling)
		return idling_take(s);
	switch (io_line(s->io, most, &line)) {
	case IO_MORE: return false;
	case IO_BARE: return refuse_bare(s);
	case IO_TOO_LONG:
		imap_sayf(s, "BAD line too long");
		imap_bye(s, "", "line too long");
		return false;
	case IO_LINE: break;
	}
	return end_of_line(s, line);
}

bool
reader_take(struct imap *s)
{
	if (s->reader.state == READER_LINE)
		return take_line(s);
	return take_octets(s);
}
