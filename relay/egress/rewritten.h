/* SPDX-License-Identifier: ISC */
/*
 * rewritten - a message as a route wants it to go out.  Content on disk is never
 * changed; what differs is computed anew at each attempt.
 */
#ifndef RELAY_EGRESS_REWRITTEN_H
#define RELAY_EGRESS_REWRITTEN_H

#include "relay/egress/client.h"

/* What is owned by one delivery. Zeroed: nothing changes. */
struct rewriting_job {
	struct rewritten rewritten;
	bool changes; /* rewritten holds something */
	struct buf sender, prefix, header;
};

/*
 * Fill in for this route and message (with content).  A header section over
 * HEADER_SIZE_MAX or unreadable stays as it is (only the envelope changes then).
 * What was filled in before is cleared.
 */
void rewriting_prepare(
    struct rewriting_job *w, const struct route *r, const struct message *m);
void rewriting_job_clear(struct rewriting_job *w);

/* The forward-path of a recipient by this route, appended; false: it stays. */
bool rewriting_recipient(const struct route *r, struct span address, struct buf *out);

#endif
