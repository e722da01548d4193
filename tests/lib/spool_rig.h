/* SPDX-License-Identifier: ISC */
/*
 * spool_rig - a real spool in a directory of its own, on a clock that we turn.
 *
 *	struct spool_rig *r = spool_rig_new(0);     0: everything on one loop
 *	spool_rig_open(r);
 *	assert_int_equal(spool_rig_accept(r, m), OK);
 *	spool_rig_clean(r);                         the invariants hold
 *	spool_rig_free(&r);                         the directory goes, too
 *
 * Options may be changed in r->options before spool_rig_open().
 */
#ifndef TESTS_SPOOL_RIG_H
#define TESTS_SPOOL_RIG_H

#include <stdatomic.h>

#include "base/loop.h"
#include "base/pool.h"
#include "spool/mailbox.h"

#define RIG_WALL_MS INT64_C(1795435200000) /* 2026-11-23T12:00:00Z */

struct spool_rig {
	struct world world;
	atomic_int_fast64_t mono_ms, wall_ms;
	atomic_uint_fast64_t dice;
	struct loop *loop;
	struct log *log;
	struct pool *pool;
	struct spool *spool;
	struct spool_options options;
	unsigned threads; /* of the pool; 0: inline */
	char dir[64];
	char why[512];         /* of the last spool_rig_open() */
	struct message **told; /* by on_accepted; references */
	size_t tolds, told_cap;
	unsigned failures; /* on_failure came */
	struct buf lines;  /* of the log */
};

struct spool_rig *spool_rig_new(unsigned threads);
void spool_rig_free(struct spool_rig **r);

enum err spool_rig_open(struct spool_rig *r);
void spool_rig_close(struct spool_rig *r); /* and what is under way comes to its end */
void spool_rig_reopen(struct spool_rig *r);

/* Turns until nothing happens any more (inline) */
void spool_rig_run(struct spool_rig *r);
/* Turns until *flag */
void spool_rig_wait(struct spool_rig *r, const bool *flag);

/* A message with content of so many octets; its recipients are added by spool_rig_rcpt().
 */
struct message *spool_rig_message(size_t size, unsigned seed);
void
spool_rig_rcpt(struct message *m, const char *address, const char *dest, int64_t due_ms);
/* The octet at an offset of the content made from this seed. */
char spool_rig_octet(unsigned seed, uint64_t at);
/* Is the content what spool_rig_message(size, seed) made? */
bool spool_rig_content_is(const struct message *m, size_t size, unsigned seed);

/* Start, and wait for the answer. The message's reference is taken. */
enum err spool_rig_accept(struct spool_rig *r, struct message *m);
/* The same, and the message's id. */
uint64_t spool_rig_stored(struct spool_rig *r, struct message *m);
enum err spool_rig_report(struct spool_rig *r, struct report *rep);
/* One outcome. */
enum err spool_rig_outcome(struct spool_rig *r, uint64_t id, const char *dest,
    uint16_t index, enum outcome_kind kind, int64_t due_ms, const char *to);
enum err spool_rig_mark(struct spool_rig *r, const char *name, uint64_t value);

void spool_rig_drop(struct message *m, const char *owner, const char *own);
enum err spool_rig_change(struct spool_rig *r, struct mail_change *c);
enum err spool_rig_owner_delete(struct spool_rig *r, const char *owner);

/* Large content through a spool_body. */
enum err spool_rig_body(struct spool_rig *r, size_t size, unsigned seed,
    struct spool_body **body, struct spool_body_result *result);

/* What spool_check() finds; the sentences go to out (may be NULL). */
uint64_t spool_rig_check(struct spool_rig *r, struct buf *out);
/* CHECKs that it finds something, and a sentence with these words. */
void spool_rig_violates(struct spool_rig *r, const char *what);
void spool_rig_clean(struct spool_rig *r); /* CHECKs that it finds nothing */

/* All that is stored, as text: one line per message and recipient. */
void spool_rig_dump(struct spool_rig *r, struct buf *out);

unsigned spool_rig_files(const struct spool_rig *r); /* under big/ */

#endif
