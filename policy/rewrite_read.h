/* SPDX-License-Identifier: ISC */
/*
 * rewrite_read - the addresses in a From field and its like (RFC 5322 3.4, 4.4;
 * groups in any of them: RFC 6854), with the place where each stands.  It is
 * linear in the field, does not recurse, and understands all or nothing.
 *
 * Beyond the grammar it takes what has one meaning only and is often seen: "@",
 * dots and brackets in a display name, dots at the end of a local part or two of
 * them, a local part without a domain, "<>".
 */
#ifndef POLICY_REWRITE_READ_H
#define POLICY_REWRITE_READ_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define COMMENT_DEPTH_MAX 1000  /* comments in comments */
#define HEADER_ADDRESS_MAX 1024 /* octets of one address, without its comments */

/* Places are offsets in the field's value. */
struct address_place {
	size_t start;         /* of the "<", or of the address where there is none */
	size_t from, to;      /* the addr-spec */
	struct span text;     /* it without comments, blanks and folds */
	struct span comments; /* those inside it, with the blanks before them */
};

typedef void address_place_fn(void *arg, const struct address_place *a);

/*
 * Calls back for each address in order; the spans live for the call only.  ERR_SYNTAX:
 * not understood, perhaps after some calls: their effect must be undone.  An address
 * over HEADER_ADDRESS_MAX is passed over.
 */
enum err address_list_read(struct span value, address_place_fn *fn, void *arg);

#endif
