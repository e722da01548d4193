/* SPDX-License-Identifier: ISC */
/*
 * sink_tally - what has come to the sink, by the number that load gave it.
 *
 * A run has a tag; its messages carry "X-Ledger: TAG-number".  Each message is
 * expected once for each of its recipients r0, r1, ...: a pair that comes a second
 * time is a duplicate, and mail without this tag a stray.
 */
#ifndef BENCH_SINK_TALLY_H
#define BENCH_SINK_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct tally;

struct tally *tally_new(void);
void tally_free(struct tally **t);

/* Forget all, and count this tag from now on. */
void tally_begin(struct tally *t, struct span tag);

/* The bit of this recipient in a transaction's set: that of "TO:<r7@...>" is 1 << 7. */
uint64_t tally_recipient(struct span command);

/* A message came whose X-Ledger is `id`, for this set of recipients, at now_us. */
void tally_add(struct tally *t, struct span id, uint64_t recipients, int64_t now_us);

uint64_t tally_pairs(const struct tally *t); /* different ones so far */

/* One JSON object on standard output: messages, pairs, duplicates, strays, first and last
 * in microseconds of the monotonic clock. */
void tally_print(const struct tally *t, uint64_t bytes, uint64_t connections);

/* "number microseconds" a line, the first arrival of each message. */
void tally_write_times(const struct tally *t, const char *file);

#endif
