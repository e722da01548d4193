/* SPDX-License-Identifier: ISC */
/*
 * ledger - what was promised and what was taken, in memory that outlives the
 * process that dies: for which messages a client saw 250, and which bodies a
 * server answered 250.  In a crash run each message carries a field of its own,
 * "X-Talk: N", by which it is found again in the spool, at a server, or inside
 * the notice about it; a notice that had to go without the original names its queue id.
 * The clock of the talk lives here, too.
 */
#ifndef TESTS_TALK_LEDGER_H
#define TESTS_TALK_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "spool/mailbox.h"

#define LEDGER_MESSAGES 64
#define LEDGER_BODIES 256
#define LEDGER_RCPTS 8
#define LEDGER_BODY 8192

struct ledger_message {
	unsigned number;
	char id[SPOOL_ID_LEN + 1]; /* "" by LMTP, perhaps */
	size_t rcpts;
	char rcpt[LEDGER_RCPTS][128];
};

struct ledger_body {
	size_t rcpts;
	char rcpt[LEDGER_RCPTS][128];
	size_t n;
	char text[LEDGER_BODY];
};

struct ledger {
	/* the clock and the dice */
	int64_t mono_ms, wall_ms;
	uint64_t dice;
	/* where the talk stands */
	size_t step;
	bool dying;   /* a death is planned: it is no failure */
	bool failing; /* a call is planned to fail: what the talk expects may not come */
	unsigned long faults; /* passes counted by the process that came to its end */
	/* the books */
	bool marks;     /* give every message its field */
	unsigned given; /* numbers */
	size_t messages, bodies;
	struct ledger_message message[LEDGER_MESSAGES];
	struct ledger_body body[LEDGER_BODIES];
};

struct ledger *ledger_new(void); /* shared with processes that are forked from here on */
void ledger_free(struct ledger **l);
void ledger_reset(struct ledger *l);

/* A client saw 250 after its data / a server is about to send it. */
void ledger_promise(struct ledger *l, const struct ledger_message *m);
void ledger_take(struct ledger *l, const struct ledger_body *b);

/* True: each recipient of each promised message is in the spool or was taken. Else `why`.
 */
bool ledger_check(struct ledger *l, struct spool_reader *r, struct buf *why);

#endif
