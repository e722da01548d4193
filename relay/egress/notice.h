/* SPDX-License-Identifier: ISC */
/*
 * notice - what the sender is told (RFC 3461, 3462, 3464, 3834; RFC 6533 for
 * UTF-8): a failure, a delay, or a success that the next hop will not report.
 * Pure: it composes a message and sends nothing.
 */
#ifndef RELAY_EGRESS_NOTICE_H
#define RELAY_EGRESS_NOTICE_H

#include "base/world.h"
#include "policy/verdict.h"
#include "spool/message.h"

#define NOTICE_CONTENT_MAX \
	(64u << 10) /* octets of the original that are returned at most */

enum notice_kind { NOTICE_FAILED, NOTICE_DELAYED, NOTICE_RELAYED, NOTICE_DELIVERED };

struct notice_recipient {
	struct span address, orcpt;
	char status[16];   /* "5.1.1" */
	struct span reply; /* the next hop's or our own words: "550 5.1.1 no such user" */
	struct span host;  /* who said it; empty: we did */
	struct wall last_try; /* 0: never */
	struct wall expires;  /* DELAYED: until when it will be tried */
};

struct notice {
	enum notice_kind kind;
	const char *hostname;
	const struct message
	    *original; /* with content, or without: then no part of it is returned */
	const struct notice_recipient *rcpt;
	size_t rcpts;
	struct wall now;
	struct world *world; /* for the boundary and the Message-ID */
};

/* May this recipient's failure (delay, success) be told? By NOTIFY and the null sender
 * rule. */
bool
notice_wanted(enum notice_kind kind, const struct message *m, const struct recipient *r);

/*
 * The notice as a message from <> to the original's sender; the caller sets its
 * recipient's dest.  NULL if the original has the null sender.
 */
struct message *notice_compose(const struct notice *n);

#endif
