/* SPDX-License-Identifier: ISC */
/*
 * utf7 - mailbox names in modified UTF-7 (RFC 3501 5.1.3), as clients have them that
 * have not asked for UTF-8.  Names are stored as UTF-8; both directions are exact, and
 * what is not the one right spelling of a name is refused: two spellings would be two
 * mailboxes to a client and one to us.
 */
#ifndef RELAY_IMAP_UTF7_H
#define RELAY_IMAP_UTF7_H

#include <stdbool.h>

#include "base/buf.h"

/* False: no modified UTF-7, or not the canonical form. out has rubbish then. */
bool utf7_decode(struct span name, struct buf *out);
/* utf8 must be valid. */
void utf7_encode(struct span utf8, struct buf *out);

/* Valid UTF-8 (no surrogates, nothing overlong) without control characters or separators
 * of lines (RFC 6855 3). */
bool utf8_name_ok(struct span name);

/* The one spelling of a name, whatever was typed: normalization form C (RFC 9051 5.1).
 * name must be valid. */
void utf8_name_settle(struct span name, struct buf *out);

#endif
