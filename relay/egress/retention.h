/* SPDX-License-Identifier: ISC */
/*
 * retention - what becomes of mail that nobody fetches, and of mail that was fetched and
 * left (config: struct mailbox_config).  Once an hour every mailbox is looked at, from
 * its oldest mail on.
 *
 * Mail that was never fetched stays, is deleted, or goes back to its sender with a notice
 * that is stored in the transaction that deletes it.  A notice goes only to one of our
 * own clients: the sender of a stranger's message proves nothing, and a notice to him
 * would be backscatter (RFC 5321 6.1, RFC 3834), and so would one to the sender of what
 * a server of ours has handed on by LMTP; nor does one answer a list, a robot or a
 * notice. What goes without a notice is named in the log.  A mail that should go back and
 * whose message is damaged stays, and is named there each time.
 */
#ifndef RELAY_EGRESS_RETENTION_H
#define RELAY_EGRESS_RETENTION_H

#include "relay/directory.h"
#include "relay/egress/egress.h"

struct retention;

struct retention_options {
	struct loop *loop;
	struct log *log;
	struct spool *spool;
	const struct directory *directory;
	struct egress_counters *counters;
	const struct config *config; /* a reference is taken */
};

struct retention *retention_new(const struct retention_options *o); /* begins by itself */
void retention_free(struct retention **r);
void retention_reload(struct retention *r, const struct config *config);

#endif
