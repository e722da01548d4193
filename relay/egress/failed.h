/* SPDX-License-Identifier: ISC */
/*
 * failed - mail that has failed for good is kept for a while, where the configuration
 * says so (retry.keep-failed): in the mailbox INBOX of FAILED_OWNER, which no account can
 * be called, so that an administrator finds it (the folder Failed by IMAP, relayctl
 * mailbox show).  It is put there in the transaction that ends the delivery, shares the
 * content with whoever else holds it, and begins with fields that tell what happened.
 * retention.h lets go of it when its time is over.
 */
#ifndef RELAY_EGRESS_FAILED_H
#define RELAY_EGRESS_FAILED_H

#include "relay/egress/egress.h"

#define FAILED_OWNER "failed mail"
#define FAILED_MAX 10000      /* mails; more are not kept */
#define FAILED_RCPTS_SHOWN 50 /* of one mail */

/* Before a report is submitted: if recipients of m fail by it, and it is to be kept. */
void failed_keep(const struct spool *s, const struct config *c, struct report *r,
    const struct message *m);

#endif
