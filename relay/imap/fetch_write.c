/* SPDX-License-Identifier: ISC */
/* fetch_write - one mail as FETCH answers it; in the pool. */
#include "base/mem.h"
#include "relay/imap/fetch.h"

void
fetch_out_clear(struct fetch_out *o)
{
	for (size_t i = 0; i < o->pieces; i++)
		content_unref(&o->piece[i].content);
	for (size_t i = 0; i < o->founds; i++)
		buf_clear(&o->found[i].structure);
	mem_free(&o->piece);
	mem_free(&o->found);
	buf_clear(&o->text);
	buf_clear(&o->chosen);
	*o = (struct fetch_out){0};
}

void
fetch_out_found(struct fetch_out *o, uint64_t message, struct buf *structure)
{
	if (o->founds == o->found_cap) {
		o->found_cap = o->found_cap ? o->found_cap * 2 : 4;
		o->found = mem_resize(o->found, o->found_cap, sizeof(*o->found));
	}
	o->found[o->founds++] = (struct fetch_found){message, *structure};
	*structure = (struct buf){0};
}

static void
add_piece(struct fetch_out *o, struct content *c, uint64_t from, uint64_t n)
{
	if (o->pieces == o->cap) {
		o->cap = o->cap ? o->cap * 2 : 8;
		o->piece = mem_resize(o->piece, o->cap, sizeof(*o->piece));
	}
	o->piece[o->pieces++] = (struct fetch_piece){o->text.n, content_ref(c), from, n};
	o->octets += n;
}

enum err
fetch_out_content(struct fetch_out *o, struct content *c, uint64_t from, uint64_t n)
{
	size_t got = 0;
	if (n > FETCH_COPY_MAX) {
		add_piece(o, c, from, n);
		return OK;
	}
	char *room = n > 0 ? buf_room(&o->text, (size_t)n) : NULL;
	if (room == NULL)
		return OK;
	enum err e = content_read(c, from, room, (size_t)n, &got);
	if (e == OK && got < n)
		e = ERR_DAMAGED;
	o->text.n += got;
	return e;
}

/* A quoted string or a literal, of UTF-8 that stays on one line. */
static void
add_text(struct span s, struct buf *out)
{
	if (s.n == 0)
		buf_add_str(out, "\"\"");
	else
		mime_add_nstring(s, out);
}

static void
add_id(uint64_t id, struct buf *out)
{
	char text[SPOOL_ID_LEN + 1];
	spool_id_format(id, text);
	buf_addf(out, "EMAILID (M%s)", text);
}

static void
write_row(const struct fetch_item *it, const struct mail_row *row, struct buf *out)
{
	switch (it->kind) {
	case FETCH_INTERNALDATE:
		buf_add_str(out, "INTERNALDATE ");
		lex_add_date_time(row->internal, row->zone, out);
		break;
	case FETCH_SIZE:
		buf_addf(out, "RFC822.SIZE %llu", (unsigned long long)row->size);
		break;
	case FETCH_SAVEDATE:
		buf_add_str(out, "SAVEDATE ");
		lex_add_date_time(row->arrival, 0, out);
		break;
	default: add_id(row->origin, out); break;
	}
}

static void
write_shape(const struct fetch_item *it, const struct shape *shape, struct buf *out)
{
	switch (it->kind) {
	case FETCH_ENVELOPE:
		buf_add_str(out, "ENVELOPE ");
		buf_add_span(out, shape->envelope);
		break;
	case FETCH_BODYSTRUCTURE:
		buf_add_str(out, "BODYSTRUCTURE ");
		buf_add_span(out, shape->structure);
		break;
	case FETCH_BODY:
		buf_add_str(out, "BODY ");
		shape_add_body(shape, out);
		break;
	default:
		buf_add_str(out, "PREVIEW ");
		add_text(shape->preview, out);
		break;
	}
}

static bool
write_item(
    const struct fetch_item *it, const struct fetch_source *src, struct fetch_out *out)
{
	const struct fetch_mail *m = src->mail;
	switch (it->kind) {
	case FETCH_FLAGS:
		buf_add_str(&out->text, "FLAGS ");
		buf_add_span(&out->text, m->flags);
		return true;
	case FETCH_UID: buf_addf(&out->text, "UID %u", m->uid); return true;
	case FETCH_MODSEQ:
		buf_addf(&out->text, "MODSEQ (%llu)", (unsigned long long)m->mark.modseq);
		return true;
	case FETCH_THREADID: buf_add_str(&out->text, "THREADID NIL"); return true;
	case FETCH_INTERNALDATE:
	case FETCH_SIZE:
	case FETCH_SAVEDATE:
	case FETCH_EMAILID: write_row(it, &src->sight->row, &out->text); return true;
	case FETCH_ENVELOPE:
	case FETCH_BODYSTRUCTURE:
	case FETCH_BODY:
	case FETCH_PREVIEW: write_shape(it, src->shape, &out->text); return true;
	case FETCH_SECTION: return fetch_write_section(it, src, out);
	case FETCH_BINARY:
	case FETCH_BINARY_SIZE: return fetch_write_binary(it, src, out);
	}
	return true;
}

bool
fetch_write(
    const struct fetch_program *p, const struct fetch_source *src, struct fetch_out *out)
{
	size_t text = out->text.n, pieces = out->pieces;
	const char *blank = "";
	if (src->uidonly)
		buf_addf(&out->text, "* %u UIDFETCH (", src->mail->uid);
	else
		buf_addf(&out->text, "* %u FETCH (", src->mail->number);
	for (size_t i = 0; i < p->n; i++) {
		if (p->item[i].kind == FETCH_UID && src->uidonly)
			continue;
		buf_add_str(&out->text, blank);
		blank = " ";
		if (write_item(&p->item[i], src, out))
			continue;
		out->text.n = text;
		while (out->pieces > pieces)
			content_unref(&out->piece[--out->pieces].content);
		return false;
	}
	buf_add_str(&out->text, ")\r\n");
	return true;
}
