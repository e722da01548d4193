/* SPDX-License-Identifier: ISC */
/*
 * queue (private to imap) - the relay's queue among the mailboxes of an administrator:
 * who signed in with a secret for it (relayctl user secret add, --service queue) sees
 *
 *	Queue         all that is not delivered yet, its state as keywords: $New $Deferred
 *	              $Active $Held $Aside
 *	Quarantine    what of it is held
 *	Failed        what has failed, as long as it is kept (egress/failed.h): an
 *	              ordinary mailbox, and nobody's
 *	!Release, !Retry now, !Hold, !Bounce, !Discard
 *	              always empty: what is moved or copied there is acted upon, once
 *
 * Flags in Queue and Quarantine are the administrator's own, and last as long as relayd
 * runs, as the uids do (spool/tray.h); those in Failed are on disk, and all share them.
 *
 * These names hide mailboxes of the account's own that are called so.  What is in Queue
 * and Quarantine cannot be copied to an ordinary mailbox, nothing can be appended to
 * them, and EXPUNGE takes from view what was copied to an action, and nothing else unless
 * the configuration says so (mailboxes.admin-expunge).
 */
#ifndef RELAY_IMAP_QUEUE_H
#define RELAY_IMAP_QUEUE_H

#include "relay/imap/desk.h"
#include "relay/imap/session.h"

struct queue_box {
	const char *name;
	enum tray_kind tray;
	bool failed; /* no tray: the mailbox of mail that has failed */
	bool acts;
	enum admin_action action;
};

/* All of them; none for whoever has no such right. */
const struct queue_box *queue_boxes(const struct imap *s, size_t *n);
const struct queue_box *
queue_box(const struct imap *s, const char *name); /* NULL: none */
uint32_t queue_number(
    const struct imap *s, const struct queue_box *b); /* of its tray; 0: Failed */
bool queue_selected(const struct imap *s);            /* a tray is */

/* NO, if this name is one of them. */
bool queue_refuses(struct imap *s, const char *name, const char *text);

/* Signed in; over. */
void queue_enter(struct imap *s);
void queue_leave(struct imap *s);

/* NOOP, CHECK: look at once, and tell. */
void queue_poll(struct imap *s);

/* COPY and MOVE where one side is a tray; false: none is, nothing was said. */
bool queue_copy(struct imap *s, const struct set *uids, const char *name, bool move);

/* EXPUNGE in a tray: what is \Deleted of these (NULL: of all). */
void queue_expunge(struct imap *s, const struct set *only);

#endif
