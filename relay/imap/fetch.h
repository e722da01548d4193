/* SPDX-License-Identifier: ISC */
/*
 * fetch (private to imap) - FETCH (RFC 9051 6.4.5, 7162, 8514, 8474, 8970, 3516): what is
 * asked for, read once; then mails in slices, each written out in the pool.
 *
 *	fetch_parse.c   the items          fetch_write.c   one mail, as it is sent
 *	fetch.c         the command        fetch_section.c  its parts and fields
 *
 * A program is a thing of its own: the pool may still be reading it when the session has
 * gone.
 */
#ifndef RELAY_IMAP_FETCH_H
#define RELAY_IMAP_FETCH_H

#include <stdatomic.h>

#include "relay/imap/lex.h"
#include "relay/imap/view.h"
#include "relay/mime/shape.h"

#define FETCH_ITEMS_MAX 100
#define FETCH_PATH_MAX 60
#define FETCH_BINARY_ITEMS_MAX 4 /* each is decoded in memory */
#define FETCH_FIELDS_MAX 200
#define FETCH_SLICE 256            /* mails of one query */
#define FETCH_OCTETS (256u << 10)  /* of one slice, roughly: then the next one waits */
#define FETCH_COPY_MAX (32u << 10) /* longer pieces are sent from where they are */

enum fetch_kind {
	FETCH_FLAGS,
	FETCH_UID,
	FETCH_INTERNALDATE,
	FETCH_SIZE,
	FETCH_ENVELOPE,
	FETCH_BODY,
	FETCH_BODYSTRUCTURE,
	FETCH_MODSEQ,
	FETCH_PREVIEW,
	FETCH_SAVEDATE,
	FETCH_EMAILID,
	FETCH_THREADID,
	FETCH_SECTION, /* BODY[...], RFC822, RFC822.HEADER, RFC822.TEXT */
	FETCH_BINARY,
	FETCH_BINARY_SIZE,
};

enum fetch_what {
	WHAT_ALL,
	WHAT_HEADER,
	WHAT_TEXT,
	WHAT_MIME,
	WHAT_FIELDS,
	WHAT_FIELDS_NOT
};

struct fetch_item {
	enum fetch_kind kind;
	char *label; /* as the answer calls it: "BODY[1.MIME]<0>" */
	uint32_t path[FETCH_PATH_MAX];
	size_t path_n;
	enum fetch_what what;
	char **field;
	size_t fields;
	bool partial;
	uint64_t from, count;
};

enum fetch_need {
	NEED_ROW = 1 << 0, /* its record */
	NEED_SHAPE = 1 << 1,
	NEED_CONTENT = 1 << 2, /* its octets; of headers only the first of them */
};

struct fetch_program {
	atomic_uint refs;
	struct fetch_item item[FETCH_ITEMS_MAX];
	size_t n, binaries;
	unsigned needs;
	bool whole; /* nothing can be written without the content */
	bool seen;  /* some item sets \Seen */
	bool flags; /* FLAGS is among them */
	bool changed_since, vanished, partial;
	int64_t part_from, part_to; /* places among the mails (RFC 9394) */
	uint64_t since;
};

/* From the items on to their end; NULL: why says what is wrong (static). */
struct fetch_program *fetch_parse(struct lex *l, const char **why);
struct fetch_program *fetch_program_ref(struct fetch_program *p);
void fetch_program_free(struct fetch_program **p); /* a reference */
void fetch_add_item(struct fetch_program *p, enum fetch_kind kind);
void fetch_begin_with_uid(struct fetch_program *p);

/* ---- writing */

struct fetch_piece { /* comes in at octet `at` of the text */
	size_t at;
	struct content *content; /* a reference */
	uint64_t from, n;
};

struct fetch_mail { /* one of a slice */
	uint32_t number, uid;
	struct mark mark;
	struct span flags; /* "(\\Seen ...)" */
};

struct fetch_found { /* a structure that was not stored yet */
	uint64_t message;
	struct buf structure;
};

struct fetch_out {
	struct buf text;
	struct fetch_piece *piece;
	size_t pieces, cap;
	struct fetch_found *found;
	size_t founds, found_cap;
	uint64_t octets;
	struct buf chosen;  /* scratch */
	size_t unknown_cte; /* mails with a BINARY that cannot be decoded */
	size_t too_big;     /* that would be too much in memory */
};
void fetch_out_clear(struct fetch_out *o);
void fetch_out_found(struct fetch_out *o, uint64_t message, struct buf *structure);
/* Octets of a content from where they are: large ones by reference. */
enum err
fetch_out_content(struct fetch_out *o, struct content *c, uint64_t from, uint64_t n);

/* What one mail needs to be written; in a snapshot's callback, or with its content. */
struct fetch_source {
	const struct fetch_mail *mail;
	const struct mail_sight *sight; /* NULL: nothing of it is needed */
	const struct shape *shape;      /* NULL: not needed */
	const struct kept_mail *kept;   /* NULL: not read */
	bool uidonly;
};

/* Append "* n FETCH (...)".  false: it needs more than `src` has (its content): nothing
 * was appended. */
bool fetch_write(
    const struct fetch_program *p, const struct fetch_source *src, struct fetch_out *out);

/* One section's octets as a literal (fetch_section.c). */
bool fetch_write_section(
    const struct fetch_item *it, const struct fetch_source *src, struct fetch_out *out);
bool fetch_write_binary(
    const struct fetch_item *it, const struct fetch_source *src, struct fetch_out *out);

#endif
