/* SPDX-License-Identifier: ISC */
/*
 * mime - line by line.  A stack holds the parts that are open: the innermost takes what
 * comes.  A line that is the boundary of an open multipart ends all that is inside of it;
 * the CRLF in front of it belongs to it (RFC 2046 5.1.1).
 */
#include "relay/mime/mime.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/mime/mime_private.h"

#define LINE_KEPT 256 /* of a line: more than any boundary */

struct open_part {
	uint32_t part;
	char boundary[MIME_BOUNDARY_MAX + 1]; /* MIME_MULTIPART; "": none */
	size_t boundary_n;
	bool digest;
	uint32_t last;   /* its last child; 0: none */
	uint64_t lines0; /* that had ended when its body began */
};

struct mime {
	struct mime_part *part;
	size_t parts, cap;
	struct open_part open[2 * MIME_DEPTH_MAX + 2];
	size_t opens;
	bool in_header;    /* of the innermost */
	struct buf header; /* as it comes */
	/* the line that is coming */
	char line[LINE_KEPT];
	size_t line_n; /* of it in the buffer */
	uint64_t line_at, line_len;
	bool cr, ends_cr;  /* the last octet but one, the last: CR */
	size_t end_before; /* octets of the line end in front of it */
	uint64_t at;       /* octets taken */
	uint64_t lines;    /* that have ended */
	struct mime_memory *memory;
	size_t kept;
};

/* ---- memory */

struct mime_memory {
	struct mime_memory *next;
	char bytes[];
};

void *
mime_alloc(struct mime *m, size_t n)
{
	if (m->kept + n > MIME_KEPT_MAX)
		return NULL;
	struct mime_memory *b = mem_alloc(sizeof(*b) + n);
	b->next = m->memory;
	m->memory = b;
	m->kept += n + sizeof(*b);
	return b->bytes;
}

struct span
mime_keep(struct mime *m, struct span s)
{
	char *p = mime_alloc(m, s.n + 1);
	if (p == NULL)
		return (struct span){NULL, 0};
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return (struct span){p, s.n};
}

/* ---- parts */

static uint32_t
add_part(struct mime *m, uint32_t parent, uint64_t at)
{
	if (m->parts == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 4;
		m->part = mem_resize(m->part, m->cap, sizeof(*m->part));
	}
	uint32_t n = (uint32_t)m->parts++;
	m->part[n] = (struct mime_part){
	    .parent = parent, .header = at, .body = at, .end = at, .number = 1};
	return n;
}

static struct open_part *
innermost(struct mime *m)
{
	return &m->open[m->opens - 1];
}

static void
push(struct mime *m, uint32_t part)
{
	CHECK(m->opens < COUNT_OF(m->open));
	m->open[m->opens++] = (struct open_part){.part = part};
	m->in_header = true;
	buf_reset(&m->header);
}

/* A new part of the innermost, which begins here. False: there are too many. */
static bool
begin_child(struct mime *m, uint64_t at, bool is_message)
{
	struct open_part *o = innermost(m);
	if (m->parts >= MIME_PARTS_MAX)
		return false;
	uint32_t parent = o->part, n = add_part(m, parent, at);
	struct mime_part *p = &m->part[n];
	p->depth = (uint16_t)(m->part[parent].depth + 1);
	p->is_message = is_message;
	if (o->last == 0) {
		m->part[parent].first = n;
	} else {
		m->part[o->last].next = n;
		p->number = (uint16_t)(m->part[o->last].number + 1);
	}
	o->last = n;
	push(m, n);
	return true;
}

/* All that is open from `from` on ends at this offset. */
static void
close_parts(struct mime *m, size_t from, uint64_t end, uint64_t lines)
{
	while (m->opens > from) {
		struct open_part *o = innermost(m);
		struct mime_part *p = &m->part[o->part];
		if (m->in_header) { /* it ends in its header: there is no body */
			mime_read_header(m, p, buf_span(&m->header), false);
			p->body = end > p->header ? end : p->header;
			o->lines0 = lines;
			m->in_header = false;
		}
		/* one line end may be that of the boundary in front of the part or of its
		 * header, and of the boundary behind it */
		p->end = end > p->header ? end : p->header;
		p->body = p->body < p->end ? p->body : p->end;
		p->lines = lines > o->lines0 ? lines - o->lines0 : 0;
		m->opens--;
	}
}

/* ---- the header is complete: what follows? */

static bool
wants_inside(const struct mime *m, const struct mime_part *p)
{
	return p->depth < MIME_DEPTH_MAX && m->opens + 1 < COUNT_OF(m->open) &&
	       (p->encoding.p == NULL || p->encoding.n == 0 ||
		   span_ieq(p->encoding, SPAN("7bit")) ||
		   span_ieq(p->encoding, SPAN("8bit")) ||
		   span_ieq(p->encoding, SPAN("binary")));
}

static void
take_boundary(struct open_part *o, struct mime_part *p)
{
	for (size_t i = 0; i < p->parameters.n; i++) {
		const struct mime_parameter *x = &p->parameters.p[i];
		if (!span_ieq(x->name, SPAN("boundary")) || x->value.n == 0 ||
		    x->value.n > MIME_BOUNDARY_MAX)
			continue;
		memcpy(o->boundary, x->value.p, x->value.n);
		o->boundary_n = x->value.n;
		while (o->boundary_n > 0 && o->boundary[o->boundary_n - 1] == ' ')
			o->boundary_n--; /* it may not end so, and mail eats them */
		break;
	}
	if (o->boundary_n == 0)
		return; /* a leaf, whatever it says */
	p->kind = MIME_MULTIPART;
	o->digest = span_ieq(p->subtype, SPAN("digest"));
}

static void
header_over(struct mime *m)
{
	struct open_part *o = innermost(m);
	struct mime_part *p = &m->part[o->part];
	bool in_digest = m->opens > 1 && m->open[m->opens - 2].digest;
	mime_read_header(m, p, buf_span(&m->header), in_digest);
	p->body = m->at;
	o->lines0 = m->lines;
	m->in_header = false;
	buf_reset(&m->header);
	if (!wants_inside(m, p))
		return;
	if (span_ieq(p->type, SPAN("multipart"))) {
		take_boundary(o, p);
	} else if (span_ieq(p->type, SPAN("message")) &&
		   (span_ieq(p->subtype, SPAN("rfc822")) ||
		       span_ieq(p->subtype, SPAN("global")))) {
		uint32_t n = o->part;
		if (begin_child(m, m->at, true))
			m->part[n].kind = MIME_MESSAGE;
	}
}

/* ---- lines */

/* Which of the open multiparts this line is a boundary of; SIZE_MAX: none. last: of its
 * end. */
static size_t
boundary_of(const struct mime *m, bool *last)
{
	struct span line = {m->line, m->line_n};
	if (line.n < 3 || line.p[0] != '-' || line.p[1] != '-' || m->line_len > LINE_KEPT)
		return SIZE_MAX;
	for (size_t i = m->opens; i-- > 0;) {
		const struct open_part *o = &m->open[i];
		struct span rest = span_cut(line, 2, line.n);
		if (o->boundary_n == 0 || rest.n < o->boundary_n ||
		    memcmp(rest.p, o->boundary, o->boundary_n) != 0)
			continue;
		rest = span_cut(rest, o->boundary_n, rest.n);
		*last = rest.n >= 2 && rest.p[0] == '-' && rest.p[1] == '-';
		if (*last)
			rest = span_cut(rest, 2, rest.n);
		while (rest.n > 0 && memchr(" \t\r\n", rest.p[0], 4) != NULL)
			rest = span_cut(rest, 1, rest.n);
		if (rest.n == 0)
			return i;
	}
	return SIZE_MAX;
}

/* ended: by a line end, which has been counted already. */
static void
on_boundary(struct mime *m, size_t which, bool last, bool ended)
{
	uint64_t lines = m->lines - ended;
	if (m->end_before > 0 && lines > 0)
		lines--; /* the end of the line before belongs to the boundary */
	close_parts(m, which + 1, m->line_at - m->end_before, lines);
	struct open_part *o = innermost(m);
	m->in_header = false;
	if (last || !begin_child(m, m->at, false))
		o->boundary_n = 0; /* what follows is nobody's; or there are too many */
}

static bool
is_empty_line(const struct mime *m)
{
	return (m->line_len == 1 && m->line[0] == '\n') ||
	       (m->line_len == 2 && m->line[0] == '\r' && m->line[1] == '\n');
}

static void
on_line(struct mime *m, bool ended)
{
	bool last = false;
	size_t which = boundary_of(m, &last);
	if (which != SIZE_MAX)
		on_boundary(m, which, last, ended);
	else if (m->in_header && is_empty_line(m))
		header_over(m);
}

struct mime *
mime_new(void)
{
	struct mime *m = NEW(struct mime);
	buf_init(&m->header, MIME_HEADER_MAX);
	(void)add_part(m, 0, 0);
	m->part[0].is_message = true;
	push(m, 0);
	return m;
}

void
mime_free(struct mime **mp)
{
	struct mime *m = *mp;
	if (m == NULL)
		return;
	while (m->memory != NULL) {
		struct mime_memory *next = m->memory->next;
		mem_free(&m->memory);
		m->memory = next;
	}
	buf_clear(&m->header);
	mem_free(&m->part);
	mem_free(mp);
}

/* Octets that are the next of the line that is coming. */
static void
add_to_line(struct mime *m, struct span piece)
{
	size_t room = LINE_KEPT - m->line_n, n = piece.n < room ? piece.n : room;
	if (m->in_header && m->header.n + piece.n <= MIME_HEADER_MAX)
		buf_add_span(&m->header, piece);
	memcpy(m->line + m->line_n, piece.p, n);
	m->line_n += n;
	m->cr = piece.n > 1 ? piece.p[piece.n - 2] == '\r' : m->ends_cr;
	m->ends_cr = piece.p[piece.n - 1] == '\r';
	m->line_len += piece.n;
	m->at += piece.n;
}

void
mime_take(struct mime *m, struct span octets)
{
	while (octets.n > 0) {
		size_t n = span_find(octets, '\n');
		bool whole = n < octets.n;
		struct span piece = span_cut(octets, 0, whole ? n + 1 : n);
		add_to_line(m, piece);
		octets = span_cut(octets, piece.n, octets.n);
		if (!whole)
			return;
		m->lines++;
		size_t end = m->cr && m->line_len > 1 ? 2 : 1;
		on_line(m, true);
		m->end_before = end;
		m->line_n = 0;
		m->line_len = 0;
		m->line_at = m->at;
		m->ends_cr = false;
	}
}

void
mime_end(struct mime *m)
{
	if (m->line_len > 0)
		on_line(m, false);
	close_parts(m, 0, m->at, m->lines);
}

/* ---- looking */

const struct mime_part *
mime_parts(const struct mime *m, size_t *n)
{
	*n = m->parts;
	return m->part;
}

const struct mime_part *
mime_inside(const struct mime *m, const struct mime_part *p)
{
	return p->kind == MIME_MESSAGE && p->first != 0 ? &m->part[p->first] : NULL;
}

static const struct mime_part *
child(const struct mime *m, const struct mime_part *p, uint32_t number)
{
	uint32_t at = p->first;
	while (at != 0 && m->part[at].number != number)
		at = m->part[at].next;
	return at != 0 ? &m->part[at] : NULL;
}

const struct mime_part *
mime_find(const struct mime *m, const uint32_t *number, size_t numbers)
{
	const struct mime_part *p = &m->part[0];
	bool body =
	    false; /* p stands for the one part of a message that is no multipart */
	for (size_t i = 0; i < numbers && p != NULL; i++) {
		const struct mime_part *in = i > 0 ? mime_inside(m, p) : NULL;
		if (in != NULL)
			p = in; /* counting begins anew inside */
		else if (body)
			return NULL;
		body = p->kind != MIME_MULTIPART;
		if (!body)
			p = child(m, p, number[i]);
		else if (!p->is_message || number[i] != 1)
			return NULL;
	}
	return p;
}
