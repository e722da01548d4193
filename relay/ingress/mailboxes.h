/* SPDX-License-Identifier: ISC */
/*
 * mailboxes - recipients whose mail we keep ourselves (routes with deliver = "mailbox").
 *
 * RCPT asks whose it is and whether there is room.  When the data is there, each becomes
 * a mail for every owner in the very transaction that accepts the message, and leaves the
 * envelope: what remains in it goes through the queue.  Who wants to be told of success,
 * is held, or cannot be found any more stays in the queue, too, and is delivered from
 * there (egress/local.h).
 */
#ifndef RELAY_INGRESS_MAILBOXES_H
#define RELAY_INGRESS_MAILBOXES_H

#include "relay/ingress/session.h"

/* Whether some recipient may get it into a mailbox. */
bool mailboxes_wanted(const struct session *s);

/* A recipient of a mailbox route: 250, 550 5.1.1, 451 4.3.0, or what the quota says to a
 * message of the size that MAIL has declared (0: none). */
struct verdict
mailboxes_admit(const struct session *s, const struct route *r, struct span address);

/* The message is complete but for this.  False: nobody whom the client has named has room
 * for its real size, and the client hears why; so nobody is sent a notice of it whose
 * address it only bore.  LMTP: those who have no room are taken off, and session_answer()
 * knows why. */
bool mailboxes_settle(struct session *s, struct verdict *why);

/* It is on disk: a line in the log for each mail. */
void mailboxes_log(const struct session *s, const char *id);

#endif
