/* SPDX-License-Identifier: ISC */
/*
 * header - a line machine over the header section: it gathers the start of
 * each line (enough to name the field and see a value) and decides at its end.
 */
#include "policy/header.h"

#include <string.h>

#include "base/scan.h"

enum { SEEKS_BY, AFTER_BY, FOUND_US }; /* h->state, anew in each Received field */
enum field { FIELD_OTHER, FIELD_RECEIVED, FIELD_MESSAGE_ID };

void
header_scan_init(struct header_scan *h, struct span own_name)
{
	*h = (struct header_scan){.own_name = own_name};
}

static bool
is_ftext(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != ':';
}

static void
keep_printable(char *dst, size_t size, struct span value)
{
	value = span_trim(value);
	size_t n = value.n < size - 1 ? value.n : size - 1;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)value.p[i];
		dst[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	dst[n] = '\0';
}

static struct span
line_of(const struct header_scan *h)
{
	return (struct span){
	    h->line, h->line_n < sizeof(h->line) ? h->line_n : sizeof(h->line)};
}

/* "by our.name" as words of a Received field; a fold may stand between the two. */
static void
look_at_received(struct header_scan *h, struct span line)
{
	struct scan s = scan_over(line);
	struct span word;
	if (h->own_name.n == 0)
		return;
	while (h->state != FOUND_US && (scan_skip_blanks(&s), scan_word(&s, &word))) {
		if (word.p[word.n - 1] == ';') /* "by our.name; Mon, 1 Jan ..." */
			word.n--;
		if (h->state == AFTER_BY && span_ieq(word, h->own_name)) {
			h->state = FOUND_US;
			h->own_hops++;
		} else {
			h->state = span_ieq(word, SPAN("by")) ? AFTER_BY : SEEKS_BY;
		}
	}
}

static void
on_field(struct header_scan *h, struct span name, struct span value)
{
	h->fields++;
	h->field = FIELD_OTHER;
	if (span_ieq(name, SPAN("Received"))) {
		h->received++;
		h->field = FIELD_RECEIVED;
		h->state = SEEKS_BY;
		look_at_received(h, value);
	} else if (span_ieq(name, SPAN("Date"))) {
		h->date = true;
	} else if (span_ieq(name, SPAN("From"))) {
		h->from = true;
	} else if (span_ieq(name, SPAN("Message-ID"))) {
		if (!h->message_id)
			keep_printable(
			    h->message_id_text, sizeof(h->message_id_text), value);
		h->message_id = true;
		h->field = FIELD_MESSAGE_ID;
	} else if (span_ieq(name, SPAN("Return-Path"))) {
		h->return_path = true;
	} else if (span_ieq(name, SPAN("To")) || span_ieq(name, SPAN("Cc")) ||
		   span_ieq(name, SPAN("Bcc"))) {
		h->to_cc_bcc = true;
	} else if (span_ieq(name, SPAN("Subject")) && h->subject_text[0] == '\0') {
		keep_printable(h->subject_text, sizeof(h->subject_text), value);
	}
}

static void
on_continuation(struct header_scan *h, struct span line)
{
	if (h->field == FIELD_RECEIVED)
		look_at_received(h, line);
	else if (h->field == FIELD_MESSAGE_ID && h->message_id_text[0] == '\0')
		keep_printable(h->message_id_text, sizeof(h->message_id_text), line);
}

static void
on_line(struct header_scan *h)
{
	struct span line = line_of(h);
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (line.n == 0) {
		h->done = true;
		return;
	}
	if (line.p[0] == ' ' || line.p[0] == '\t') {
		if (h->fields > 0)
			on_continuation(h, line);
		else
			h->done = h->malformed = true;
		return;
	}
	struct scan s = scan_over(line);
	struct span name;
	if (!scan_run(&s, is_ftext, &name)) {
		h->done = h->malformed = true;
		return;
	}
	scan_skip_blanks(&s); /* obsolete syntax: blanks before the colon */
	if (!scan_char(&s, ':'))
		h->done = h->malformed = true;
	else
		on_field(h, name, scan_rest(&s));
}

void
header_scan_take(struct header_scan *h, struct span bytes)
{
	while (!h->done && bytes.n > 0) {
		size_t nl = span_find(bytes, '\n');
		bool whole = nl < bytes.n;
		size_t taken = whole ? nl + 1 : nl;
		if (h->line_n < sizeof(h->line)) {
			size_t room = sizeof(h->line) - h->line_n,
			       part = nl < room ? nl : room;
			memcpy(h->line + h->line_n, bytes.p, part);
			h->line_n += (uint32_t)part;
		}
		h->size += taken;
		bytes = span_cut(bytes, taken, bytes.n);
		if (whole) {
			on_line(h);
			h->line_n = 0;
		}
	}
}

void
header_scan_end(struct header_scan *h)
{
	if (!h->done && h->line_n > 0)
		on_line(h);
	h->done = true;
}

struct span
header_find(struct span header, struct span name)
{
	while (header.n > 0) {
		size_t nl = span_find(header, '\n');
		struct span line = span_cut(header, 0, nl);
		if (span_istarts(line, name) && line.n > name.n &&
		    line.p[name.n] == ':') {
			size_t end = nl;
			/* up to the line that is no continuation */
			while (end + 1 < header.n &&
			       (header.p[end + 1] == ' ' || header.p[end + 1] == '\t'))
				end =
				    end + 1 +
				    span_find(span_cut(header, end + 1, header.n), '\n');
			if (end > header.n)
				end = header.n;
			struct span value =
			    span_cut(header, name.n + 1, end - name.n - 1);
			while (value.n > 0 && (value.p[value.n - 1] == '\r' ||
						  value.p[value.n - 1] == '\n'))
				value.n--;
			return span_trim(value);
		}
		header = span_cut(header, nl + 1, header.n);
	}
	return (struct span){NULL, 0};
}
