/* SPDX-License-Identifier: ISC */
/*
 * client_body - the content on the wire: prefix, content, and behind DATA the
 * final dot (RFC 5321 4.5.2; RFC 3030 for BDAT).
 *
 * It is queued piece by piece, never more than IO_HIGH ahead of the peer, so
 * that its size costs no memory and io goes on reading.  What needs no stuffing
 * goes out by reference: content that was seen to be plain lines when it came
 * (MESSAGE_PLAIN), or a piece in memory that is now.
 *
 * What goes out behind DATA is lines (smuggling: CVE-2023-51764): a bare CR, a bare LF or
 * a NUL is not sent and not repaired.  Content of that kind should have come here as
 * MESSAGE_BINARY; the transaction is broken off before its dot, and the message
 * fails for good.
 */
#include <inttypes.h>
#include <string.h>

#include "relay/egress/client_private.h"

#define PIECE (16u << 10)

static const struct client_state *on_body(struct client *c);
static const struct client_state *on_dot(struct client *c);

const struct client_state CLIENT_BODY = {
    "the peer to take the message", on_body, CLIENT_TIMEOUT(block_ms), STAGE_DATA};
const struct client_state CLIENT_DOT = {
    "the answer to the message", on_dot, CLIENT_TIMEOUT(dot_ms), STAGE_DOT};

/* ---- what a piece holds */

enum piece { PIECE_PLAIN, PIECE_DOTS, PIECE_BARE };

/* At the beginning of a line: does it begin with a dot? */
static bool
dot_at(const char *p, const char *end)
{
	return p < end && *p == '.';
}

/* Look at the next octets of the content; the position in the line is kept in b. */
static enum piece
look(struct body *b, struct span s)
{
	const char *p = s.p, *end = s.p + s.n;
	if (memchr(p, '\0', s.n) != NULL)
		return PIECE_BARE;
	if (b->after_cr && *p++ != '\n')
		return PIECE_BARE;
	bool line_start = b->line_start || b->after_cr;
	bool dots = line_start && dot_at(p, end);
	b->line_start = line_start && p == end;
	b->after_cr = false;
	while (p < end) {
		const char *cr = memchr(p, '\r', (size_t)(end - p));
		if (memchr(p, '\n', (size_t)((cr ? cr : end) - p)) != NULL)
			return PIECE_BARE;
		if (cr == NULL)
			break;
		b->after_cr = cr + 1 == end;
		if (b->after_cr)
			break;
		if (cr[1] != '\n')
			return PIECE_BARE;
		p = cr + 2;
		dots = dots || dot_at(p, end);
		b->line_start = p == end;
	}
	return dots ? PIECE_DOTS : PIECE_PLAIN;
}

/* At the beginning of a line (behind a header that is ours), and plain to its end. */
static bool
is_plain(const struct client *c)
{
	return (c->mail->message->flags & MESSAGE_PLAIN) != 0 && c->body.line_start;
}

/* Let dot_stuff know what went past it. */
static void
stuff_past(struct client *c, struct span s)
{
	buf_reset(&c->out);
	dot_stuff_add(&c->body.stuff, &c->out, span_cut(s, s.n > 2 ? s.n - 2 : 0, 2));
}

static void
add_stuffed(struct client *c, struct span s)
{
	buf_reset(&c->out);
	dot_stuff_add(&c->body.stuff, &c->out, s);
	io_add_span(c->io, buf_span(&c->out));
}

/* ---- pieces */

static const struct client_state *
bare(struct client *c)
{
	struct verdict v = verdict_make(554, "5.6.0",
	    "the message has a bare CR, a bare LF or a NUL, and cannot be sent in lines");
	return client_lost(c, &v, true);
}

/* Bytes that are ours only for now. False: they may not be sent. */
static bool
add_copied(struct client *c, struct span s)
{
	if (c->body.raw || s.n == 0) {
		io_add_span(c->io, s);
		return true;
	}
	switch (look(&c->body, s)) {
	case PIECE_PLAIN:
		stuff_past(c, s);
		io_add_span(c->io, s);
		return true;
	case PIECE_DOTS: add_stuffed(c, s); return true;
	case PIECE_BARE: break;
	}
	return false;
}

static const struct client_state *
piece_of_header(struct client *c)
{
	struct span piece = span_cut(c->body.header, 0, PIECE);
	if (!add_copied(c, piece))
		return bare(c);
	c->body.header = span_cut(c->body.header, piece.n, c->body.header.n);
	return &CLIENT_BODY;
}

/* Needs no look: BDAT, or lines that were looked at when they came. */
static const struct client_state *
piece_by_reference(struct client *c, struct content *content)
{
	struct body *b = &c->body;
	uint64_t left = content_size(content) - b->at;
	uint64_t n = IO_HIGH - io_queued(c->io);
	n = left < n ? left : n;
	io_add_content(c->io, content, b->at, n);
	b->at += n;
	return &CLIENT_BODY;
}

static const struct client_state *
piece_from_memory(struct client *c, struct content *content)
{
	struct body *b = &c->body;
	struct span s = content_slice(content, b->at / CONTENT_SLICE);
	s = span_cut(s, b->at % CONTENT_SLICE, s.n);
	enum piece kind = look(b, s);
	if (kind == PIECE_BARE)
		return bare(c);
	if (kind == PIECE_DOTS) {
		add_stuffed(c, s);
	} else {
		stuff_past(c, s);
		io_add_content(c->io, content, b->at, s.n);
	}
	b->at += s.n;
	return &CLIENT_BODY;
}

static const struct client_state *
piece_from_file(struct client *c, struct content *content)
{
	char piece[PIECE];
	size_t got = 0;
	enum err e = content_read(content, c->body.at, piece, sizeof(piece), &got);
	if (e != OK || got == 0) {
		struct verdict v =
		    verdict_make(451, "4.3.0", "the stored message cannot be read");
		return client_lost(c, &v, true);
	}
	if (!add_copied(c, (struct span){piece, got}))
		return bare(c);
	c->body.at += got;
	return &CLIENT_BODY;
}

static const struct client_state *
end_of_content(struct client *c)
{
	if (c->body.raw)
		return &CLIENT_DOT;
	if (c->body.after_cr)
		return bare(c);
	buf_reset(&c->out);
	dot_stuff_end(&c->body.stuff, &c->out);
	io_add_span(c->io, buf_span(&c->out));
	return &CLIENT_DOT;
}

/* ---- streaming */

const struct client_state *
body_fill(struct client *c)
{
	struct content *content = c->mail->message->content;
	const struct client_state *next = &CLIENT_BODY;
	while (next == &CLIENT_BODY) {
		bool header = c->body.header.n > 0;
		if (!header && c->body.at == content_size(content))
			next = end_of_content(c);
		else if (io_queued(c->io) + PIECE > IO_HIGH)
			break;
		else if (header)
			next = piece_of_header(c);
		else if (c->body.raw || is_plain(c))
			next = piece_by_reference(c, content);
		else if (content_in_memory(content))
			next = piece_from_memory(c, content);
		else
			next = piece_from_file(c, content);
	}
	if (next == &CLIENT_BODY) {
		c->body.written = io_bytes_out(c->io);
		io_want_drained(c->io);
	}
	return next;
}

const struct client_state *
body_start(struct client *c)
{
	const struct message *m = c->mail->message;
	c->body = (struct body){.raw = c->bdat, .line_start = true};
	c->body.header = transaction_header(c, &c->body.at);
	if (c->bdat)
		io_addf(c->io, "BDAT %" PRIu64 " LAST\r\n",
		    transaction_prefix(c).n + c->body.header.n +
			content_size(m->content) - c->body.at);
	io_tap_hide(c->io, false, true);
	if (!add_copied(c, transaction_prefix(c)))
		return bare(c);
	return body_fill(c);
}

bool
body_moved(const struct client *c)
{
	return io_bytes_out(c->io) > c->body.written;
}

/* ---- answers */

/* Before all of it has left: a refusal is the peer's verdict, but this transaction has no
 * end. */
static const struct client_state *
on_body(struct client *c)
{
	if (reply_class(&c->reply) < 4 || c->wish.lmtp) /* there it would be for one */
		return client_garbled(c, "an answer before the end of the message");
	return client_refused(c);
}

static const struct client_state *
on_dot(struct client *c)
{
	if (io_queued(c->io) > 0)
		return on_body(c);
	if (reply_class(&c->reply) == 3)
		return client_garbled(c, "neither taken nor refused");
	struct verdict v = reply_verdict(&c->reply);
	c->dirty = reply_class(&c->reply) != 2;
	if (!c->wish.lmtp)
		c->whole = v;
	else if (transaction_settle(c, &v))
		return &CLIENT_DOT; /* the next recipient's answer */
	transaction_end(c);
	return &CLIENT_IDLE;
}
