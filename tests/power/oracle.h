/* SPDX-License-Identifier: ISC */
/*
 * oracle - is a spool as it must be after a power cut?
 *
 * A state is good if the real spool code opens it, no invariant is violated, its rows
 * are, octet for octet, those of one of the transactions that the process had begun to
 * commit, and that transaction is not older than the last batch that was acknowledged.
 */
#ifndef TESTS_POWER_ORACLE_H
#define TESTS_POWER_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* What is known at a cut. */
struct oracle {
	uint64_t done, begun; /* batches acknowledged and handed in */
	bool opened;          /* the spool was there for certain */
	uint64_t account, account_begun;
	uint64_t *held; /* ids of messages that relayd has acknowledged, and holds */
	size_t helds, held_cap;
	uint64_t *commit; /* fingerprints of what was committed, whatever the disk has */
	size_t commits, cap;
};

enum oracle_finding {
	ORACLE_GOOD,
	ORACLE_LOST,    /* what was acknowledged is not there */
	ORACLE_DAMAGED, /* it does not open, or is not as any transaction left it */
};

/* The fingerprint of all rows, and the batch that they are of. False: there is no
 * database, or it does not open. */
bool oracle_look(const char *spool, uint64_t *fingerprint, uint64_t *number);
void oracle_held(struct oracle *o, uint64_t id);
void oracle_committed(struct oracle *o, const char *spool);
/* *number: the batch that the state is of. more: it takes a message, too, and goes on. */
enum oracle_finding oracle_judge(const struct oracle *o, const char *spool, bool more,
    uint64_t *number, struct buf *why);

#endif
