/* SPDX-License-Identifier: ISC */
/* flags (private to imap) - lists of flags and keywords in STORE and APPEND. */
#ifndef RELAY_IMAP_FLAGS_H
#define RELAY_IMAP_FLAGS_H

#include "relay/imap/session.h"

struct flag_list {
	uint32_t flags;
	uint64_t keywords; /* numbers of the change */
};

/* "(\Seen $Forwarded)", or where parenthesis is false also without them.  Keywords become
 * those of c.  False: an answer was given. */
bool flags_scan(struct imap *s, struct lex *l, bool parenthesis, struct mail_change *c,
    struct flag_list *out);

#endif
