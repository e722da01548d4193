/* SPDX-License-Identifier: ISC */
/*
 * local (private to egress) - a recipient that waited in the queue and whose route is a
 * mailbox: a notice for one of ours, mail that was held, or that came when the route was
 * another.  No connection and no host: what is decided here goes into the report, and the
 * mail is in the mailbox when the report is on disk.
 */
#ifndef RELAY_EGRESS_LOCAL_H
#define RELAY_EGRESS_LOCAL_H

#include "relay/egress/job.h"
#include "relay/directory.h"

/* Adds the recipient's result to the job. */
void local_deliver(struct job *j, const struct directory *d, const struct config *c,
    const struct spool *s, const struct route *route, const struct recipient *r);

#endif
