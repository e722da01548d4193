/* SPDX-License-Identifier: ISC */
/*
 * boxes - mailboxes as administrators see them: what relayd's control and relayctl with a
 * stopped spool have in common.  A slice is read with a reader (in the pool, or here),
 * its owners or mails become one JSON object each.
 */
#ifndef RELAY_CONTROL_BOXES_H
#define RELAY_CONTROL_BOXES_H

#include <jansson.h>

#include "base/json.h"
#include "relay/config.h"
#include "spool/mailbox.h"

#define BOX_SLICE 50
#define BOX_SLICE_OCTETS (256u << 10)
#define BOX_IDS_MAX 1000

/* Whose mailboxes an account's are: its name in lower case. */
void box_owner(const char *account, char out[MAILBOX_OWNER_MAX + 1]);

/* Which mails: all of a mailbox unless something is said. */
struct box_selector {
	char owner[MAILBOX_OWNER_MAX + 1]; /* in lower case */
	char folder[MAILBOX_NAME_MAX + 1]; /* INBOX, where none is named */
	int64_t older_ms;                  /* 0: any age */
	uint64_t *id;                      /* their own ids (UIDL); NULL: any */
	size_t ids;
	bool all; /* said in so many words */
};

/* "name", "folder", "older", "uidl" (a list), "all".  False: `why` says what is wrong. */
bool box_selector_read(struct box_selector *s, const json_t *request, struct buf *why);
void box_selector_clear(struct box_selector *s);
bool box_selector_says_nothing(const struct box_selector *s);

struct box_slice {
	bool owners;       /* owners, or mails of one */
	bool with_content; /* of mails */
	char owner[MAILBOX_OWNER_MAX + 1], folder[MAILBOX_NAME_MAX + 1];
	uint32_t after; /* mails: behind this uid */
	/* what was read */
	enum err err;
	bool more; /* there may be more behind it */
	size_t n;
	struct owner_row row[BOX_SLICE];
	struct box_mail {
		struct mail_row row;
		struct kept_mail *mail; /* NULL: it cannot be read, err says why */
		enum err err;
	} mail[BOX_SLICE];
};

/* Read on: owner or after is what it goes on behind. */
void box_slice_read(struct spool_reader *r, struct box_slice *s);
void box_slice_clear(struct box_slice *s); /* what was read; the place stays */

bool
box_selected(const struct box_selector *s, const struct mail_row *row, struct wall now);

/* One object each. settings may be NULL; known: there is an account of this name. */
void box_show_owner(struct json *j, const struct owner_row *o,
    const struct mailbox_config *settings, bool known);
void box_show_mail(struct json *j, const struct box_mail *m);
/* EXPORT: the octets of the mail that came last end here, before their end. */
void box_show_cut(struct json *j, const struct box_mail *m, enum err why);
void box_show_settings(
    struct json *j, const char *owner, const struct mailbox_config *settings);

/* The octets of a mail as POP3 sends it: n = 0 at the end. *at goes on. */
enum err box_mail_piece(
    const struct kept_mail *m, uint64_t *at, char *room, size_t size, size_t *n);

#endif
