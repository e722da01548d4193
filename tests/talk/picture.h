/* SPDX-License-Identifier: ISC */
/*
 * picture - an owner's mailboxes as one line, to compare with: what is in each, in the
 * order of their names; those without mail that everybody has are left out.
 *
 *	INBOX 1 2TS$k ; Sent 1 2 ; p
 *
 * A mail is its uid, the letters of its flags (R answered, F flagged, T deleted, S seen,
 * D draft) and its keywords.
 */
#ifndef TESTS_TALK_PICTURE_H
#define TESTS_TALK_PICTURE_H

#include "base/buf.h"
#include "spool/mailbox.h"

void picture_of(struct spool_reader *r, struct span owner, struct buf *out);

#endif
