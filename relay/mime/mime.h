/* SPDX-License-Identifier: ISC */
/*
 * mime - the structure of a message (RFC 2045, 2046, 2183, 3282, 2557), found while its
 * octets go by once: which parts there are, where each begins and ends, and what their
 * header fields say of them.
 *
 *	m = mime_new();
 *	mime_take(m, octets); ...           in any split
 *	mime_end(m);
 *	mime_parts(m, &n);                  parts[0] is the message itself
 *	mime_find(m, path, depth);          part 2.1.3 by its numbers (RFC 9051 6.4.5)
 *	mime_free(&m);
 *
 * Nothing that a message can hold is an error: a multipart without a boundary is one
 * leaf, what is nested deeper, is more, or has a longer header than the bounds allow is a
 * leaf whose inside is not looked at.  Offsets count octets of the whole as it was taken.
 * Fields are kept as they stand, unfolded; encoded words are not decoded.
 */
#ifndef RELAY_MIME_MIME_H
#define RELAY_MIME_MIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

#define MIME_DEPTH_MAX 50      /* multiparts and messages inside each other */
#define MIME_PARTS_MAX 1000    /* of one message */
#define MIME_HEADER_MAX 65536u /* octets of one part's header that are read */
#define MIME_KEPT_MAX \
	(1u << 20)             /* octets of fields that are kept of all parts together */
#define MIME_PARAMETERS_MAX 50 /* of one field */
#define MIME_BOUNDARY_MAX 70   /* RFC 2046 5.1.1 */

enum mime_kind {
	MIME_LEAF,
	MIME_MULTIPART,
	MIME_MESSAGE, /* message/rfc822: its one child is the message in it */
};

struct mime_parameter {
	struct span name, value; /* without quotes */
};

struct mime_parameters {
	struct mime_parameter *p;
	size_t n;
};

/* What the header of a message says (RFC 9051 7.5.2, ENVELOPE; and References). p ==
 * NULL: not there. */
struct mime_envelope {
	struct span date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to,
	    message_id, references;
};

struct mime_part {
	enum mime_kind kind;
	uint32_t parent;      /* index; of the message itself: 0 */
	uint32_t first, next; /* child and sibling; 0: none */
	uint16_t number;      /* among its siblings, from 1 */
	uint16_t depth;       /* of the message itself: 0 */
	bool is_message;      /* the message itself, or the one inside a MIME_MESSAGE */
	uint64_t header, body, end; /* offsets; header to body includes the empty line */
	uint64_t lines;             /* that end in [body, end) */
	/* p == NULL: not said; type and subtype always are (text/plain, or in a digest
	 * message/rfc822) */
	struct span type, subtype, id, description, encoding, md5, disposition, language,
	    location;
	struct mime_parameters parameters, disposition_parameters;
	struct mime_envelope envelope; /* if is_message */
};

struct mime;

struct mime *mime_new(void);
void mime_free(struct mime **m); /* NULL inside is fine */
void mime_take(struct mime *m, struct span octets);
void mime_end(struct mime *m);

const struct mime_part *mime_parts(const struct mime *m, size_t *n);

/*
 * The part of these numbers, as IMAP counts: 1 is the first part of a multipart, or the
 * only one of a message that is none; inside a message/rfc822 counting begins anew.
 * NULL: there is none.  No numbers: the message itself.
 */
const struct mime_part *
mime_find(const struct mime *m, const uint32_t *number, size_t numbers);

/* The message inside a message/rfc822; NULL: it is no such part. */
const struct mime_part *mime_inside(const struct mime *m, const struct mime_part *p);

/* ---- as IMAP writes it (mime_imap.c) */

/* "(date subject from ...)"; RFC 9051 7.5.2. */
void mime_add_envelope(const struct mime *m, const struct mime_part *p, struct buf *out);

/* BODYSTRUCTURE, or without extension data BODY. */
void mime_add_structure(
    const struct mime *m, const struct mime_part *p, bool extended, struct buf *out);

/* NIL, a quoted string, or a literal: whatever holds these octets. */
void mime_add_nstring(struct span s, struct buf *out);

#endif
