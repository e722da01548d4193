/* SPDX-License-Identifier: ISC */
/* boxes (private to imap) - the names of an owner's mailboxes, as LIST shows them. */
#ifndef RELAY_IMAP_BOXES_H
#define RELAY_IMAP_BOXES_H

#include "relay/imap/session.h"

#define BOXES_PATTERNS_MAX 20

enum status_item {
	STATUS_MESSAGES = 1 << 0,
	STATUS_UIDNEXT = 1 << 1,
	STATUS_UIDVALIDITY = 1 << 2,
	STATUS_UNSEEN = 1 << 3,
	STATUS_RECENT = 1 << 4,
	STATUS_SIZE = 1 << 5,
	STATUS_DELETED = 1 << 6,
	STATUS_HIGHESTMODSEQ = 1 << 7,
	STATUS_MAILBOXID = 1 << 8,
	STATUS_APPENDLIMIT = 1 << 9,
	STATUS_DELETED_STORAGE = 1 << 10,
};

/* "(MESSAGES UNSEEN)"; false: an answer was given. */
bool status_scan(struct imap *s, struct lex *l, unsigned *items);
/* What no record has a sum of: mails are looked at, if items ask for it.  In the pool. */
struct status_sums {
	uint64_t recent, deleted_octets;
};
void status_sum(struct spool_reader *r, const struct mailbox_view *box, unsigned items,
    struct status_sums *out);
/* "* STATUS name (...)" */
void status_add(struct imap *s, struct span name, unsigned items,
    const struct mailbox_view *box, const struct status_sums *sums, struct buf *out);

struct list_pattern {
	char text[2 * MAILBOX_NAME_MAX + 1];
};

/* Whether a name fits a pattern: '*' is anything, '%' anything on one level. */
bool boxes_match(const char *pattern, const char *name);

/* " \\Drafts", or nothing. */
const char *boxes_use(enum mailbox_use use);

#endif
