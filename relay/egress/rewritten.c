/* SPDX-License-Identifier: ISC */
/* rewritten - the sender and the header section of one message by one route. */
#include "relay/egress/rewritten.h"

#include "policy/header.h"

#define PIECE (16u << 10)
#define GROWN_MAX (4 * HEADER_SIZE_MAX) /* a section with its addresses replaced */

static void
rewrite_sender(struct rewriting_job *w, const struct rewriting *r, struct span sender)
{
	buf_init(&w->sender, REWRITTEN_MAX);
	if (!rewrite_twice(&r->sender, &r->masquerade, sender, &w->sender) ||
	    w->sender.overflow || span_eq(buf_span(&w->sender), sender))
		return;
	w->rewritten.sender = buf_span(&w->sender);
	w->changes = true;
}

/* The header section; false: over HEADER_SIZE_MAX, or it cannot be read. */
static bool
read_section(const struct content *c, struct buf *section)
{
	struct header_scan scan;
	size_t got;
	header_scan_init(&scan, SPAN(""));
	while (!scan.done && section->n < HEADER_SIZE_MAX) {
		char *room = buf_room(section, PIECE);
		if (room == NULL || content_read(c, section->n, room, PIECE, &got) != OK)
			return false;
		header_scan_take(&scan, (struct span){room, got});
		section->n += got;
		if (got < PIECE)
			header_scan_end(&scan);
	}
	if (!scan.done || scan.size > HEADER_SIZE_MAX)
		return false;
	section->n = scan.size;
	return true;
}

/* Our own fields in front of the section have a From if the client sent none. */
static void
rewrite_fields(
    struct rewriting_job *w, const struct rewriting *r, const struct message *m)
{
	struct buf section;
	buf_init(&section, HEADER_SIZE_MAX + PIECE);
	buf_init(&w->header, GROWN_MAX);
	buf_init(&w->prefix, GROWN_MAX);
	bool readable = m->content != NULL && read_section(m->content, &section);
	struct span header = buf_span(&section);
	if (readable && rewrite_header(r, m->prefix, header, &w->header)) {
		w->rewritten.header = buf_span(&w->header);
		w->rewritten.header_size = header.n;
		w->changes = true;
	}
	if (readable && rewrite_header(r, header, m->prefix, &w->prefix)) {
		w->rewritten.prefix = buf_span(&w->prefix);
		w->changes = true;
	}
	buf_clear(&section);
}

void
rewriting_prepare(struct rewriting_job *w, const struct route *r, const struct message *m)
{
	const struct rewriting *rules = &r->rewriting;
	rewriting_job_clear(w);
	rewrite_sender(w, rules, m->sender);
	if (rules->from.n + rules->masquerade.n > 0)
		rewrite_fields(w, rules, m);
}

void
rewriting_job_clear(struct rewriting_job *w)
{
	buf_clear(&w->sender);
	buf_clear(&w->header);
	buf_clear(&w->prefix);
	*w = (struct rewriting_job){0};
}

bool
rewriting_recipient(const struct route *r, struct span address, struct buf *out)
{
	return rewrite_address(&r->rewriting.recipient, address, out);
}
