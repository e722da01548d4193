/* SPDX-License-Identifier: ISC */
/*
 * header - looks at a message's header section while it arrives (RFC 5322 2.2):
 * which fields are there, how many hops, where the body begins.  It changes
 * nothing and keeps nothing but what its struct shows.
 */
#ifndef POLICY_HEADER_H
#define POLICY_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "base/when.h"

#define HEADER_SIZE_MAX (256u << 10) /* octets of a header section that is accepted */
#define HEADER_FIELD_MAX 2000        /* fields of a header section that is accepted */

struct header_scan {
	uint64_t
	    size; /* octets up to and including the empty line (so far, until done) */
	uint32_t fields;
	uint32_t received; /* Received and nothing else: hops */
	uint32_t own_hops; /* Received fields whose "by" names us (header_scan_init), each
			      once */
	bool date, message_id, from, return_path, to_cc_bcc;
	bool done; /* the empty line, or the first line that is no field, has been seen */
	bool
	    malformed; /* ended by a line that is neither field, continuation nor empty */
	char message_id_text[256]; /* value of the first Message-ID, printable, cut; "" if
				      none */
	char subject_text[128];
	/* private */
	struct span own_name;
	char line[1024]; /* the start of the current line */
	uint32_t line_n;
	uint8_t state;
	uint8_t field;
};

/* own_name: our host name, for own_hops; borrowed for the life of the scan. */
void header_scan_init(struct header_scan *h, struct span own_name);

/* Content bytes (CRLF lines, unstuffed) in any split; cheap once h->done. */
void header_scan_take(struct header_scan *h, struct span bytes);

/* No more bytes: what is there is the header section. */
void header_scan_end(struct header_scan *h);

/* What a Received field tells (RFC 5321 4.4, RFC 3848, RFC 6531 4.3). */
struct received_facts {
	struct span helo;     /* as the client said it */
	struct span client;   /* "[192.0.2.1]": an address literal */
	struct span by;       /* our host name */
	struct span protocol; /* "ESMTP", "ESMTPSA", "UTF8SMTP", ... */
	struct span id;       /* 13 characters, or a placeholder of that length */
	struct span tls;      /* comment such as "TLSv1.3 cipher ..."; may be empty */
	struct span rcpt; /* "for <...>": only when there is one recipient; else empty */
	struct wall when;
	/* a user of this machine: "from alice (uid 1000)" takes the place of helo and
	 * client */
	bool local;
	struct span user;
	unsigned uid;
};

/*
 * The whole field with its CRLF, folded; returns the offset of the id in what
 * was added, so that the spool can write the real one when it is known.
 */
size_t header_add_received(struct buf *b, const struct received_facts *f);

/* "Date: ...", "Message-ID: <...@host>", "From: <...>" with CRLF (RFC 6409 8). */
void header_add_date(struct buf *b, struct wall when);
void header_add_message_id(struct buf *b, struct span unique, struct span host);
void header_add_from(struct buf *b, struct span address);

/*
 * The value of the first field called `name` (without colon, any case) in a
 * header section held in memory, its folds still in it; {NULL,0} if there is none.
 */
struct span header_find(struct span header, struct span name);

#endif
