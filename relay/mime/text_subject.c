/* SPDX-License-Identifier: ISC */
/*
 * text_subject - what a subject is about, without "Re:" and "(fwd)" and "[list]": the
 * steps of RFC 5256 2.1 by their numbers.
 */
#include "base/scan.h"
#include "relay/mime/text_private.h"

#define BLANK SPAN(" ")

static struct span
from(struct span s, size_t n)
{
	return span_cut(s, n, s.n);
}

/* subj-blob: "[...] "; its octets, or 0. */
static size_t
blob(struct span s)
{
	size_t n = 1;
	if (s.n == 0 || s.p[0] != '[')
		return 0;
	while (n < s.n && s.p[n] != '[' && s.p[n] != ']')
		n++;
	if (n == s.n || s.p[n] != ']')
		return 0;
	n++;
	while (n < s.n && s.p[n] == ' ')
		n++;
	return n;
}

/* subj-refwd: "re [...]:"; its octets, or 0. */
static size_t
refwd(struct span s)
{
	struct scan at = scan_over(s);
	if (!scan_itext(&at, SPAN("re")) && !scan_itext(&at, SPAN("fwd")) &&
	    !scan_itext(&at, SPAN("fw")))
		return 0;
	scan_skip_blanks(&at);
	at.p += blob(scan_rest(&at));
	return scan_char(&at, ':') ? (size_t)(at.p - s.p) : 0;
}

/* (2) */
static struct span
cut_trailers(struct span s, bool *reply)
{
	for (;;) {
		s = span_trim(s);
		if (!span_iends(s, SPAN("(fwd)")))
			return s;
		s.n -= 5;
		*reply = true;
	}
}

/* (3) to (5).  Where no subj-refwd follows the blobs at the beginning, none will when
 * some of them are gone: so they are passed over once. */
static struct span
cut_leaders(struct span s, bool *reply)
{
	for (;;) {
		size_t blobs = 0, last = 0, n;
		while (span_starts(s, BLANK))
			s = from(s, 1);
		while ((n = blob(from(s, blobs))) > 0) {
			last = blobs;
			blobs += n;
		}
		n = refwd(from(s, blobs));
		if (n == 0) /* (4): the last one stays where nothing else would */
			return from(s, blobs < s.n ? blobs : last);
		s = from(s, blobs + n);
		*reply = true;
	}
}

static bool
base_of(struct span s, struct buf *out)
{
	bool reply = false;
	for (;;) {
		s = cut_trailers(s, &reply);
		s = cut_leaders(s, &reply);
		if (!span_istarts(s, SPAN("[fwd:")) || s.p[s.n - 1] != ']')
			break;
		s = span_cut(s, 5, s.n - 6); /* (6) */
		reply = true;
	}
	text_fold(s, out);
	return reply;
}

bool
text_base_subject(struct span subject, struct buf *out)
{
	struct buf text = {0};
	struct squeeze q = {.out = &text};
	if (utf8_valid(subject) == subject.n) {
		squeeze_put(&q, subject); /* (1) */
	} else {
		struct buf utf8 = {0};
		text_to_utf8(SPAN("utf-8"), subject, &utf8);
		squeeze_put(&q, buf_span(&utf8));
		buf_clear(&utf8);
	}
	bool reply = base_of(buf_span(&text), out);
	buf_clear(&text);
	return reply;
}
