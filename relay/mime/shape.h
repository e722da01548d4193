/* SPDX-License-Identifier: ISC */
/*
 * shape - what is known of a message without looking at its body: made once, when the
 * message comes, stored beside it (message->structure), and enough for listings,
 * for finding parts, for sorting, and for searches of the usual header fields.
 *
 *	x = shaper_new();
 *	shaper_take(x, octets of the content); ...     in any split, as they arrive
 *	shaper_end(x, prefix, &out);                   our own fields in front of it
 *
 *	shape_open(&s, stored);                        spans of s point into `stored`
 *	shape_find(&s, path, depth, &part);
 *
 * Offsets in a stored shape count from the first octet of the content; what is in front
 * of it when it is sent (a mail's own fields, the message's prefix) belongs to the header
 * of the message itself, and is added by shape_find().  A field of the prefix counts
 * where the content has none of that name.
 */
#ifndef RELAY_MIME_SHAPE_H
#define RELAY_MIME_SHAPE_H

#include "base/err.h"
#include "base/when.h"
#include "relay/mime/mime.h"

#define SHAPE_VERSION 1
#define SHAPE_PREVIEW_MAX 256 /* octets; RFC 8970: at most 200 characters */

/* ---- making */

struct shaper;
struct shaper *shaper_new(void);
void shaper_free(struct shaper **x); /* NULL inside is fine */
void shaper_take(struct shaper *x, struct span octets);
/* Appends the record; nothing more can be taken. What would be larger than
 * MAIL_STRUCTURE_MAX is stored as a message of one part; if it still is, without its
 * addresses, and at last without its fields. */
void shaper_end(struct shaper *x, struct span prefix, struct buf *out);

/* ---- reading */

enum shape_encoding {   /* Content-Transfer-Encoding */
	SHAPE_IDENTITY, /* 7bit, 8bit, binary, none */
	SHAPE_BASE64,
	SHAPE_QUOTED,
	SHAPE_UNKNOWN,
};

struct shape {
	uint64_t header; /* octets of the content's own header, empty line included */
	uint64_t size;   /* of the content */
	struct span envelope;  /* "(...)": as IMAP writes it */
	struct span structure; /* BODYSTRUCTURE, "(...)" */
	/* decoded (RFC 2047), UTF-8, unfolded: what searching and sorting wants.
	 * p == NULL: there is no such field */
	struct span subject;      /* whole */
	struct span base_subject; /* RFC 5256 2.1, in upper case as i;unicode-casemap */
	/* "Name <a@b>, c@d, \"Last, First\" <e@f>, Group: g@h;": what is written of a
	 * name in quotes is decoded, too; without one there are no <> */
	struct span from, to, cc, bcc, sender, reply_to;
	struct span message_id, in_reply_to, references; /* as they stand */
	bool reply;        /* base_subject took a re: or fwd: off (RFC 5256 2.1) */
	struct wall sent;  /* of Date, in UTC; 0: none, or it cannot be read */
	int16_t sent_zone; /* minutes east */
	struct span
	    preview; /* of the first text part, UTF-8, white space made one blank */
	uint32_t parts;
	struct span table; /* private */
};

/* ERR_VERSION: made by another version: make it anew. ERR_DAMAGED. */
enum err shape_open(struct shape *s, struct span stored);

struct shape_part {
	/* offsets in what is sent: front + content */
	uint64_t header, body, end;
	bool is_message; /* the message itself, or the one inside a message/rfc822 */
	bool multipart, text, message;
	bool html; /* of the texts */
	enum shape_encoding encoding;
	struct span charset; /* of a text part; p == NULL: not said */
};

/*
 * The part of these numbers (see mime_find()).  front: octets that are sent in front of
 * the content.  ERR_NOT_FOUND: there is none.  inside: of a message/rfc822 the message in
 * it, which is what HEADER and TEXT are of; without numbers the message itself.
 */
enum err shape_find(const struct shape *s, uint64_t front, const uint32_t *number,
    size_t numbers, bool inside, struct shape_part *out);

/* Part i of s->parts in the order of their beginnings. */
void
shape_part(const struct shape *s, uint64_t front, uint32_t i, struct shape_part *out);

/* BODY: the structure without extension data, made of s->structure. */
void shape_add_body(const struct shape *s, struct buf *out);

/* A shape for content that is whole in memory or in an open file. */
struct content;
enum err shape_of_content(const struct content *c, struct span prefix, struct buf *out);

#endif
