/* SPDX-License-Identifier: ISC */
/*
 * veil (private to imap) - mail in an administrator's folders as a text about it, for
 * those who do not want a mail program to open what was held for a good reason
 * (mailboxes.admin-view).  What is queued stays as it is, and is released as it is.
 */
#ifndef RELAY_IMAP_VEIL_H
#define RELAY_IMAP_VEIL_H

#include "relay/config.h"
#include "spool/mailbox.h"

#define VEIL_HEADER_MAX (64u << 10)  /* octets of the header that are shown */
#define VEIL_SOURCE_MAX (256u << 10) /* of the whole */

/*
 * In place of k's message another: the fields that a listing shows (From, To, Cc, Date,
 * Subject, Message-ID), and as its one part, text/plain, the message's header, or all of
 * it, line by line as it stands.  k was read with its content; ERR_IO: that cannot be
 * read.  Not for ADMIN_VIEW_WHOLE.
 */
enum err veil_mail(struct kept_mail *k, enum admin_view view);

#endif
