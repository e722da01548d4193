/* SPDX-License-Identifier: ISC */
/*
 * text - what the octets of a message say: charsets, encoded words, transfer encodings,
 * letters without regard to case.  Whatever comes in, what goes out is valid UTF-8 (what
 * cannot be read becomes U+FFFD) and bounded by the buf it goes to: what does not fit is
 * cut at a character, overflow is set, and nothing is added to it any more.
 */
#ifndef RELAY_MIME_TEXT_H
#define RELAY_MIME_TEXT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "base/when.h"

/* ---- charsets */

/* Whether text in this charset can be read: any case; those that mail is written in
 * (text_charsets.def), not all that iconv knows. */
bool text_charset_known(struct span charset);

/* Append as UTF-8.  An unknown charset, and ASCII with 8 bits, is read as UTF-8 where it
 * is valid, else as Latin 1 (and that as Windows-1252, which is what is meant). p ==
 * NULL: none said. */
void text_to_utf8(struct span charset, struct span octets, struct buf *out);

/* The same piece by piece: characters may be split anywhere. */
struct text_reader;
struct text_reader *text_reader_new(struct span charset);
void text_reader_take(struct text_reader *t, struct span octets, struct buf *out);
void text_reader_end(struct text_reader *t, struct buf *out);
void text_reader_free(struct text_reader **t);

/* ---- header fields */

/* A field's body, folded or not, as people read it: encoded words decoded (RFC 2047 and
 * those that are split or touch each other), runs of white space and controls made one
 * blank. */
void text_add_field(struct span body, struct buf *out);

/* ---- transfer encodings (RFC 2045 6): streams, in any split.  Errors are survived:
 * what is no base64 is skipped, a broken =XY stands as it is.  These are octets, not
 * text: where they do not fit they are cut anywhere. */
struct text_decoder {
	int encoding;  /* enum shape_encoding */
	char kept[80]; /* of what is not whole yet */
	size_t kept_n;
	bool bad; /* something was no base64, or no quoted-printable */
};
void text_decode(struct text_decoder *d, struct span octets, struct buf *out);
void text_decode_end(struct text_decoder *d, struct buf *out);

/* HTML (in UTF-8) made readable: tags, scripts and styles go, character references are
 * resolved, white space runs are made one blank. */
void text_of_html(struct span html, struct buf *out);

/* ---- letters (RFC 5051 i;unicode-casemap): for comparing, not for reading.  What is
 * folded stays as it is; folding two pieces gives the same as folding them together. */
void text_fold(struct span utf8, struct buf *out);
/* Whether `needle`, folded already, occurs in folded `hay`. "" always does. */
bool text_contains(struct span hay, struct span needle);

/* ---- subjects (RFC 5256 2.1), as text_add_field() gives them: appended folded; true if
 * it was a reply or forward */
bool text_base_subject(struct span subject, struct buf *out);

/* ---- dates (RFC 5322 3.3, obsolete forms too). False: there is no day in it.  A time
 * or zone that cannot be read is midnight, or UTC (RFC 5256 2.2). zone: minutes east. */
bool text_date(struct span body, struct wall *when, int16_t *zone);

#endif
