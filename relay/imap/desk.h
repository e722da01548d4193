/* SPDX-License-Identifier: ISC */
/*
 * desk - where administrators who read by IMAP look at the queue and act on it.  One desk
 * lives on the main thread, beside the scheduler; sessions of all threads ask it.
 *
 *	desk = desk_new(&options);                        main thread
 *	desk_watch(desk, true); ... desk_watch(desk, false);   while one is signed in
 *	q = desk_look_start(desk, inbox, done, arg);      the trays as the queue is now
 *	q = desk_act_start(desk, &order, inbox, done, arg);
 *	desk_cancel(&q);
 *
 * While anybody watches, the queue is looked at every few seconds (spool/tray.h), so that
 * sessions in IDLE hear of it.  An action is what relayctl does (scheduler_act) for all
 * recipients of a message, once; each is in the log with the account that asked for it.
 * Once an action is done its mails have left the tray (move), or are marked so that they
 * may be expunged.
 */
#ifndef RELAY_IMAP_DESK_H
#define RELAY_IMAP_DESK_H

#include "relay/egress/egress.h"
#include "spool/tray.h"

#define DESK_LOOK_MS (3 * SECOND_MS)
#define DESK_AT_ONCE 50 /* messages that one order has under way */

struct desk;
struct desk_options {
	struct loop *loop; /* the main thread's */
	struct log *log;
	struct spool *spool;
};

struct desk *desk_new(const struct desk_options *o);
void desk_open(struct desk *d, struct scheduler *s); /* before the first request comes */
/* Before the scheduler goes, and once all sessions are gone. */
void desk_free(struct desk **d);

/* ---- any thread */

void desk_watch(struct desk *d, bool on);

struct desk_result {
	enum err err;
	size_t applied, refused; /* messages; refused: being delivered just now, gone, or
				    not in a state for it */
};
typedef void desk_done_fn(void *arg, const struct desk_result *r);

struct desk_request;
/* done comes on the loop of `reply`. */
struct desk_request *
desk_look_start(struct desk *d, struct inbox *reply, desk_done_fn *done, void *arg);

struct desk_order {
	enum admin_action action;
	const char *account;
	uint32_t tray;       /* its number */
	const uint32_t *uid; /* copied */
	size_t n;
	bool move; /* they leave the tray */
};
struct desk_request *desk_act_start(struct desk *d, const struct desk_order *o,
    struct inbox *reply, desk_done_fn *done, void *arg);

/* Not told any more; what was begun goes on.  On the thread of `reply`; *q may be NULL.
 */
void desk_cancel(struct desk_request **q);

#endif
