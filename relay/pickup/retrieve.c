/* SPDX-License-Identifier: ISC */
/*
 * retrieve - RETR and TOP: a message on its way out, byte-stuffed, never more than a
 * few pieces ahead of the peer.  No snapshot lives meanwhile: the content is in memory or
 * an open file, checked against its checksum before the first octet.
 */
#include <string.h>

#include "base/hand.h"
#include "base/mem.h"
#include "relay/pickup/pop.h"

#define PIECE (16u << 10)

struct retrieve {
	struct sending base;
	struct kept_mail *mail;
	uint32_t number;
	unsigned part; /* own fields, the message's prefix, its content */
	uint64_t at;   /* in the part */
	struct dot_stuff stuff;
	/* TOP */
	bool top, body, ended;
	uint64_t lines; /* of the body, still to come */
	size_t line;    /* octets in the current line, its end not counted */
};

/* ---- TOP: how many octets of a piece still belong to it */

static size_t
cut(struct retrieve *r, struct span s)
{
	if (r->ended || (r->body && r->lines == 0)) {
		r->ended = true;
		return 0;
	}
	for (size_t at = 0; at < s.n;) {
		const char *nl = memchr(s.p + at, '\n', s.n - at);
		size_t end = nl != NULL ? (size_t)(nl - s.p) + 1 : s.n;
		r->line += end - at;
		at = end;
		if (nl == NULL)
			break;
		bool empty = r->line <= 2; /* CRLF alone */
		r->line = 0;
		if (r->body)
			r->lines--;
		r->body = r->body || empty;
		if (r->body && r->lines == 0) {
			r->ended = true;
			return at;
		}
	}
	return s.n;
}

/* ---- pieces */

static struct span
part_of(const struct retrieve *r)
{
	return r->part == 0 ? r->mail->own : r->mail->message->prefix;
}

/* The next octets; n = 0: there are none. ERR_IO: a file that was there is not readable.
 */
static enum err
next_piece(struct retrieve *r, char *room, struct span *out)
{
	*out = (struct span){room, 0};
	while (r->part < 2 && out->n == 0) {
		*out = span_cut(part_of(r), (size_t)r->at, PIECE);
		if (out->n == 0) {
			r->part++;
			r->at = 0;
		}
	}
	if (r->part == 2) {
		size_t got = 0;
		enum err e =
		    content_read(r->mail->message->content, r->at, room, PIECE, &got);
		if (e != OK)
			return e;
		out->p = room;
		out->n = got;
	}
	r->at += out->n;
	return OK;
}

static bool
send_pieces(struct pop *s)
{
	struct retrieve *r = CONTAINER_OF(s->sending, struct retrieve, base);
	char room[PIECE];
	struct buf out;
	struct span piece;
	buf_init(&out, 0);
	while (io_queued(s->io) < IO_HIGH / 2 && !r->ended) {
		if (next_piece(r, room, &piece) != OK) {
			buf_clear(&out);
			pop_break(s, "the message cannot be read any more");
			return false;
		}
		if (piece.n == 0)
			break;
		if (r->top)
			piece = span_cut(piece, 0, cut(r, piece));
		buf_reset(&out);
		dot_stuff_add(&r->stuff, &out, piece);
		io_add_span(s->io, buf_span(&out));
		s->sent += piece.n;
		atomic_fetch_add_explicit(
		    &s->pickup->o.counters->octets, piece.n, memory_order_relaxed);
	}
	bool full = io_queued(s->io) >= IO_HIGH / 2;
	if (full) {
		io_want_drained(s->io);
	} else {
		buf_reset(&out);
		dot_stuff_end(&r->stuff, &out);
		io_add_span(s->io, buf_span(&out));
	}
	buf_clear(&out);
	if (full)
		return true;
	if (!r->top) {
		maildrop_pick(&s->drop, r->number);
		s->retrieved++;
		atomic_fetch_add_explicit(
		    &s->pickup->o.counters->retrieved, 1, memory_order_relaxed);
	}
	return false;
}

static bool
more(struct pop *s)
{
	const struct retrieve *r = CONTAINER_OF(s->sending, struct retrieve, base);
	uint64_t was = hand_take(r->mail->message->id);
	bool full = send_pieces(s);
	hand_back(was);
	return full;
}

static void
clear(struct sending *x)
{
	struct retrieve *r = CONTAINER_OF(x, struct retrieve, base);
	kept_mail_free(&r->mail);
	mem_free(&r);
}

/* ---- sending, of whatever kind */

void
sending_more(struct pop *s)
{
	io_deadline(s->io, s->config->server.pickup_ms);
	if (s->sending->more(s))
		return;
	if (s->io == NULL)
		return;
	sending_free(s);
	pop_go_on(s);
}

void
sending_free(struct pop *s)
{
	struct sending *x = s->sending;
	s->sending = NULL;
	if (x != NULL)
		x->clear(x);
}

/* ---- the beginning */

static void
refuse(struct pop *s, enum err e)
{
	if (e == ERR_NOT_FOUND)
		pop_error(s, "", "this message is gone");
	else if (e == ERR_DAMAGED)
		pop_error(
		    s, "[SYS/PERM] ", "this message is damaged; ask the postmaster");
	else
		pop_error(s, "[SYS/TEMP] ", "this message cannot be read now");
}

/* What lines cannot carry, and what the client has not said that it can read. */
static bool
is_presentable(struct pop *s, const struct message *m)
{
	if (m->flags & MESSAGE_BINARY)
		pop_error(
		    s, "[SYS/PERM] ", "this message is binary; POP3 cannot carry it");
	else if ((m->flags & MESSAGE_SMTPUTF8) && !s->utf8)
		pop_error(
		    s, "[UTF8] ", "its header is in UTF-8; say UTF8 before signing in");
	else
		return true;
	return false;
}

static void
begin(struct pop *s)
{
	struct fetched *f = s->fetched;
	size_t i = s->asked - f->first;
	if (i >= f->mails || f->err[i] != OK) {
		refuse(s, i < f->mails ? f->err[i] : ERR_NOT_FOUND);
		return;
	}
	if (!is_presentable(s, f->mail[i]->message))
		return;
	struct retrieve *r = NEW(struct retrieve);
	r->base = (struct sending){more, clear};
	r->mail = f->mail[i];
	f->mail[i] = NULL;
	r->number = s->asked;
	r->top = s->asked_top;
	r->lines = s->asked_lines;
	if (r->top)
		pop_ok(s, "the top of it follows");
	else
		pop_ok(s, "%llu octets", (unsigned long long)r->mail->row.size);
	s->sending = &r->base;
	if (!io_paused(s->io))
		pop_wait(s);
	sending_more(s);
}

void
retrieve_start(struct pop *s, uint32_t number, bool top, uint64_t lines)
{
	s->asked_top = top;
	s->asked_lines = lines;
	s->asked = number;
	fetch_start(s, number, true, begin);
	s->sequence = number;
}
