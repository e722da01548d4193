/* SPDX-License-Identifier: ISC */
/*
 * rewrite_header - the header section is copied field by field; in the few fields
 * that name who writes, addresses are exchanged.  A field that is not understood
 * to its end is copied as it was.
 */
#include "base/mem.h"
#include "base/scan.h"
#include "policy/header.h"
#include "policy/rewrite.h"
#include "policy/rewrite_read.h"

#define LINE_MAX_OCTETS 998 /* without CRLF */
/* The colon comes before; header_scan looks no further, and both must see one section. */
#define FIELD_NAME_MAX sizeof(((struct header_scan *)NULL)->line)

/* ---- fields of a section */

struct field {
	struct span whole;       /* with the line end */
	struct span name, value; /* value: from the colon to the end, line end excluded */
};

static bool
is_ftext(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != ':';
}

/* Through the line end, and through the lines that continue it. */
static struct span
unfolded(struct span s)
{
	size_t at = 0;
	do
		at += span_find(span_cut(s, at, s.n), '\n') + 1;
	while (at < s.n && (s.p[at] == ' ' || s.p[at] == '\t'));
	return span_cut(s, 0, at);
}

/* The next field; false, nothing consumed, at the empty line, the end, or no field. */
static bool
take_field(struct scan *s, struct field *f)
{
	struct scan at = scan_over(span_cut(scan_rest(s), 0, FIELD_NAME_MAX));
	if (!scan_run(&at, is_ftext, &f->name))
		return false;
	scan_skip_blanks(&at); /* obsolete syntax: blanks before the colon */
	if (!scan_char(&at, ':'))
		return false;
	f->whole = unfolded(scan_rest(s));
	s->p += f->whole.n;
	f->value = (struct span){at.p, (size_t)(s->p - at.p)};
	if (f->value.n > 0 && f->value.p[f->value.n - 1] == '\n') {
		f->value.n--;
		if (f->value.n > 0 && f->value.p[f->value.n - 1] == '\r')
			f->value.n--;
	}
	return true;
}

static bool
section_has(struct span section, struct span name)
{
	struct scan s = scan_over(section);
	struct field f;
	while (take_field(&s, &f))
		if (span_ieq(f.name, name))
			return true;
	return false;
}

/* Where answers shall go is the author's own word when it is to be kept. */
static bool
names_author(const struct rewriting *r, struct span name)
{
	static const char *const names[] = {
	    "From", "Sender", "Reply-To", "Resent-From", "Resent-Sender"};
	if (r->keep_reply_to && span_ieq(name, SPAN("Reply-To")))
		return false;
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (span_ieq(name, span_str(names[i])))
			return true;
	return false;
}

/* ---- one field */

struct work {
	const struct rewriting *r;
	struct span value;
	size_t copied;              /* of the value */
	size_t line_end, next_line; /* of the value's line where the last address was */
	bool too_long;              /* that line was over the limit already */
	bool changed;
	struct buf address;
	struct buf *out;
};

/* Octets of out's last line, and whether they are more than blanks. */
static size_t
column(const struct buf *out, bool *blank)
{
	size_t at = out->n;
	*blank = true;
	while (at > 0 && out->p[at - 1] != '\n' && out->n - at <= LINE_MAX_OCTETS) {
		at--;
		if (out->p[at] != ' ' && out->p[at] != '\t')
			*blank = false;
	}
	return out->n - at;
}

/* The line that has the offset `at`; these only grow. */
static void
find_line(struct work *w, size_t at)
{
	while (at >= w->next_line) {
		size_t from = w->next_line;
		w->line_end =
		    from + span_find(span_cut(w->value, from, w->value.n), '\n');
		w->next_line = w->line_end + 1;
		if (w->line_end > from && w->value.p[w->line_end - 1] == '\r')
			w->line_end--;
		w->too_long = w->line_end - from > LINE_MAX_OCTETS;
	}
}

static void
copy_to(struct work *w, size_t at)
{
	buf_add_span(w->out, span_cut(w->value, w->copied, at - w->copied));
	w->copied = at;
}

/* Fold where the line would else exceed the limit; one that did before is given only
 * what the address itself needs. */
static void
fold_for(struct work *w, const struct address_place *a)
{
	bool blank;
	find_line(w, a->start);
	size_t goes = a->from - a->start + w->address.n;
	if (!w->too_long)
		goes += a->comments.n + (w->line_end > a->to ? w->line_end - a->to : 0);
	copy_to(w, a->start);
	if (column(w->out, &blank) + goes > LINE_MAX_OCTETS && !blank)
		buf_add_str(w->out, "\r\n ");
}

static void
on_address(void *arg, const struct address_place *a)
{
	struct work *w = arg;
	buf_reset(&w->address);
	if (!rewrite_twice(&w->r->from, &w->r->masquerade, a->text, &w->address) ||
	    w->address.overflow || span_eq(buf_span(&w->address), a->text))
		return;
	fold_for(w, a);
	copy_to(w, a->from);
	buf_add_span(w->out, buf_span(&w->address));
	buf_add_span(w->out, a->comments);
	w->copied = a->to;
	w->changed = true;
}

/* The field, rewritten, appended; false: as it was, and nothing appended. */
static bool
rewrite_field(const struct rewriting *r, const struct field *f, struct buf *out)
{
	struct work w = {.r = r, .value = f->value, .out = out};
	size_t start = out->n;
	buf_init(&w.address, REWRITTEN_MAX);
	buf_add(out, f->whole.p, (size_t)(f->value.p - f->whole.p));
	bool understood = address_list_read(f->value, on_address, &w) == OK;
	buf_clear(&w.address);
	if (!understood || !w.changed) {
		out->n = start;
		return false;
	}
	copy_to(&w, f->value.n);
	const char *end = f->value.p + f->value.n;
	buf_add(out, end, (size_t)(f->whole.p + f->whole.n - end));
	return true;
}

/* The author as he was, in the folds that he had. */
static void
add_reply_to(const struct field *from, struct buf *out)
{
	struct span line = span_cut(from->value, 0, span_find(from->value, '\n'));
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	bool is_long = line.n + SPAN("Reply-To:").n > LINE_MAX_OCTETS;
	if (out->n > 0 && out->p[out->n - 1] != '\n')
		buf_add_str(out, "\r\n"); /* the section ended in the field */
	buf_add_str(out, "Reply-To:");
	if (is_long && span_trim(line).n > 0)
		buf_add_str(
		    out, line.p[0] == ' ' || line.p[0] == '\t' ? "\r\n" : "\r\n ");
	buf_add_span(out, from->value);
	buf_add_str(out, "\r\n");
}

/* ---- the section */

bool
rewrite_header(
    const struct rewriting *r, struct span prefix, struct span header, struct buf *out)
{
	struct scan s = scan_over(header);
	struct field f;
	size_t start = out->n;
	bool changed = false;
	if (r->from.n + r->masquerade.n == 0)
		return false;
	bool keep = r->keep_reply_to && !section_has(prefix, SPAN("Reply-To")) &&
		    !section_has(header, SPAN("Reply-To")) &&
		    !section_has(prefix, SPAN("From"));
	while (take_field(&s, &f)) {
		if (!names_author(r, f.name) || !rewrite_field(r, &f, out)) {
			buf_add_span(out, f.whole);
			continue;
		}
		changed = true;
		if (keep && span_ieq(f.name, SPAN("From"))) {
			add_reply_to(&f, out);
			keep = false;
		}
	}
	buf_add_span(out, scan_rest(&s));
	if (changed && !out->overflow)
		return true;
	out->n = start;
	return false;
}
