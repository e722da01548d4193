/* SPDX-License-Identifier: ISC */
/*
 * notify - NOTIFY (RFC 5465): a session hears of mailboxes that it has not selected.
 *
 * A listener is known to the hub by the owner and the numbers of his mailboxes; the
 * writer notes in it what has changed, and wakes the session, which says it between two
 * commands.
 */
#ifndef RELAY_IMAP_NOTIFY_H
#define RELAY_IMAP_NOTIFY_H

#include "relay/imap/view.h"

#define LISTENER_NEWS_MAX 1000 /* changes of names that wait; more are left out */

struct listener;

struct news { /* of a name */
	enum mail_event_kind kind;
	uint32_t number;
	char name[MAILBOX_NAME_MAX + 1];
};

/* fn comes on the loop of this inbox, once for any number of changes before it. */
struct listener *listener_start(
    struct hub *h, struct span owner, struct inbox *to, void (*fn)(void *arg), void *arg);
void listener_stop(struct listener **l); /* on that loop; NULL inside is fine */

/* What has happened since the last time: mailboxes whose mail has changed (by number),
 * and names. Both handed over. */
void
listener_take(struct listener *l, struct set *changed, struct news **news, size_t *n);

/* hub.c: events of one commit, under the hub's lock. */
void listeners_tell(struct hub *h, const struct mail_event *event, size_t n);

#endif
