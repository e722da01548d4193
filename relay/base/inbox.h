/* SPDX-License-Identifier: ISC */
/*
 * inbox - the one way to hand something to another thread.
 *
 * A parcel is embedded in what travels.  inbox_post() may be called by any
 * thread; the receiver takes the whole list at once and opens each parcel in
 * the order of posting.  What has been posted is not touched by the sender
 * again.  A descriptor (eventfd) becomes readable when the list turns
 * non-empty: one wake-up per batch, however many parcels.
 */
#ifndef BASE_INBOX_H
#define BASE_INBOX_H

#include <stdbool.h>

struct parcel {
	struct parcel *next;
	void (*open)(struct parcel *); /* runs on the receiver's thread */
};

struct inbox;

struct inbox *inbox_new(void);
void inbox_free(struct inbox **in); /* must be empty (CHECK) */
int inbox_fd(const struct inbox *in);

void inbox_post(struct inbox *in, struct parcel *p);

/* Post a chain linked by ->next, in its order, with one wake-up. NULL: nothing. */
void inbox_post_chain(struct inbox *in, struct parcel *first);

/* Take everything, oldest first (NULL if empty), and clear the descriptor. */
struct parcel *inbox_take(struct inbox *in);

/* Take everything and open each parcel; how many were opened. */
unsigned inbox_open_all(struct inbox *in);

/* Make the receiver look, though nothing was posted. */
void inbox_wake(struct inbox *in);

/* Block until something is there (for threads that have no loop). */
void inbox_wait(struct inbox *in);

/* A chain under construction: zeroed is empty. */
struct parcel_chain {
	struct parcel *first, **last;
};
void parcel_chain_add(struct parcel_chain *c, struct parcel *p);
struct parcel *parcel_chain_take(struct parcel_chain *c);

#endif
