/* SPDX-License-Identifier: ISC */
/*
 * story - what is done to a spool while its stream is recorded: mail comes (small,
 * large, into mailboxes), is delivered, deferred, held, bounced; mailboxes are read,
 * changed, renamed; accounts are added; the process ends, is killed, and comes back.
 *
 * What is done next is chosen by dice from what the spool holds, so that a process
 * goes on where the one before was killed.  Each batch of requests raises the number
 * "story" in the same transaction: by it a state says how far it is.
 */
#ifndef TESTS_POWER_STORY_H
#define TESTS_POWER_STORY_H

#include <stdbool.h>
#include <stdint.h>

#define STORY_NUMBER "power" /* of spool_mark_start() */
#define STORY_INLINE_MAX 9000

/* Series of marks. */
enum story_mark {
	STORY_DONE,     /* acknowledged: batch number at */
	STORY_BEGUN,    /* batch number at is handed in */
	STORY_DELIVERS, /* the same, and it finishes mail that a next hop has taken */
	STORY_ACCOUNT,  /* acknowledged: account number at */
	STORY_ACCOUNT_BEGUN,
	STORY_HELD, /* acknowledged by relayd itself: the message with id at, which stays
		     */
};

struct story_options {
	const char *root; /* the spool is "spool" in it */
	const char *stream;
	uint64_t seed;
	unsigned phase;
	unsigned batches;
	unsigned long dies; /* at this pass of a fault point; 0: it ends */
	bool early;         /* acknowledge before the commit: a bug, to be caught */
};

/* Exit status 0, or FAULT_EXIT. */
int story_play(const struct story_options *o);

#endif
