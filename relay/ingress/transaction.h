/* SPDX-License-Identifier: ISC */
/* transaction - what lives from MAIL to the final reply: the envelope and the message. */
#ifndef RELAY_INGRESS_TRANSACTION_H
#define RELAY_INGRESS_TRANSACTION_H

#include "policy/address.h"
#include "relay/ingress/receive.h"
#include "spool/message.h"

/* Which recipients are there already: an open table of hashes, made when it pays. */
struct rcpt_set {
	struct rcpt_slot {
		uint64_t hash;
		uint32_t at; /* index in message.rcpt + 1; 0: free */
	} * slot;
	size_t cap; /* a power of two; 0: none yet, look at each */
	uint64_t seed[2];
};

struct route;

/* What routes have added to the envelope (always-bcc). */
struct copies {
	const struct route **route; /* seen to; compared, never looked into */
	size_t routes;
	uint16_t *at; /* their recipients: indices in message.rcpt; unnamed by the client
		       */
	size_t n;
};

struct transaction {
	struct message *message;
	struct world *world; /* borrowed */
	struct rcpt_set set;
	struct copies copies;
	struct receive *receive; /* from DATA or the first BDAT on */
	bool smtputf8, binary, own;
	bool utf8_address;  /* one of the addresses is not ASCII */
	bool chunk_refused; /* a BDAT failed: nothing can come of this any more */
	unsigned rcpts_refused;
	uint64_t declared; /* SIZE of MAIL; 0: none */
	/* LMTP (RFC 2033 4.2): an answer after the data for each RCPT that was taken */
	struct late {
		uint16_t index;      /* of the recipient, when RCPT was answered */
		struct verdict *why; /* NULL: what is said of the message */
	} * late;
	size_t lates;
	size_t taken; /* recipients, when the message was complete */
	struct instant began;
};

struct transaction *transaction_new(struct world *w);
void transaction_free(struct transaction **t); /* what is not stored is gone */

/* The recipient of the same mailbox, if it is there; NULL. */
struct recipient *transaction_find(const struct transaction *t, const struct address *a);

/* Add one that is not. */
void transaction_add(
    struct transaction *t, const struct recipient *r, const struct address *a);

/* Add one that the client has not named and does not see. */
void transaction_add_copy(
    struct transaction *t, const struct recipient *r, const struct address *a);

/* Whether r is such a copy; and it is none any more: the client has named it, too. */
bool transaction_is_copy(const struct transaction *t, const struct recipient *r);
void transaction_name_copy(
    struct transaction *t, struct recipient *r, const struct recipient *named);

/* LMTP: one more RCPT was taken, and wants an answer after the data; which is this, for
 * all RCPTs of the recipient. */
void transaction_answer_late(struct transaction *t, uint16_t index);
void
transaction_refuse_late(struct transaction *t, uint16_t index, const struct verdict *why);

/* The recipients that the client has named and that were taken. */
size_t transaction_named(const struct transaction *t);

/* True once for a route of a transaction. */
bool transaction_first_of_route(struct transaction *t, const struct route *route);

#endif
