/* SPDX-License-Identifier: ISC */
/*
 * shape_private - what the files of shapes share: the record.  Numbers are little-endian.
 *
 *	 0  version            u8
 *	 1  SHAPE_REPLY        u8
 *	 2  sent_zone          i16
 *	 4  parts              u32
 *	 8  header, size       u64 each
 *	24  sent               i64
 *	32  SHAPE_SPANS times: length u32 (SHAPE_ABSENT: p == NULL), octets
 *	    parts times an entry of SHAPE_ENTRY octets:
 *	 0	header, body, end         u64 each
 *	24	first, next, number       u16 each
 *	30	kind and flags, encoding  u8 each
 *	32	charset: where, length    u32 each; in what follows the entries
 */
#ifndef RELAY_MIME_SHAPE_PRIVATE_H
#define RELAY_MIME_SHAPE_PRIVATE_H

#include "relay/mime/mime_private.h"
#include "relay/mime/shape.h"

#define SHAPE_MAX (1u << 20) /* as MAIL_STRUCTURE_MAX */
#define SHAPE_HEAD 32
#define SHAPE_SPANS 14
#define SHAPE_ENTRY 40
#define SHAPE_ABSENT UINT32_MAX
#define SHAPE_REPLY 1

/* Of an entry: enum mime_kind, and */
#define SHAPE_KIND 3u
#define SHAPE_IS_MESSAGE 4u
#define SHAPE_IS_TEXT 8u
#define SHAPE_IS_HTML 16u

/* The spans of s, in the order of the record. */
void shape_spans(struct shape *s, struct span *out[SHAPE_SPANS]);

/* ---- what a message says, for the record (shape_text.c) */

/* "Name <a@b>, ..." of an address field as it stands. */
void shape_add_addresses(struct span field, unsigned *opens, struct buf *out);

/* The beginning of a text part, as it came. */
struct glimpse {
	uint32_t part; /* 0 and !found: none yet */
	bool found;
	struct buf octets;
};
#define GLIMPSE_PLAIN_MAX 4096
#define GLIMPSE_HTML_MAX 16384 /* its head goes first */

enum shape_encoding shape_encoding_of(const struct mime_part *p);
bool shape_is_text(const struct mime_part *p); /* as BODYSTRUCTURE has it */
struct span shape_charset_of(const struct mime_part *p);

/* At most 200 characters of one of them; parts: of the message, whole. */
void shape_add_preview(const struct mime_part *parts, const struct glimpse *plain,
    const struct glimpse *html, struct buf *out);

/* ---- the record (shape_write.c) */

struct shape_source {
	const struct mime *mime; /* at its end */
	const struct mime_envelope *envelope;
	const struct glimpse *plain, *html;
};
void shape_write(const struct shape_source *s, struct buf *out);

#endif
