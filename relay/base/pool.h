/* SPDX-License-Identifier: ISC */
/*
 * pool - a few threads for what blocks: files, checksums of large mail, spool
 * reads.  A job runs once in the pool, then its done() on the loop whose inbox
 * was named.  With threads = 0 jobs run on the loop itself at the end of the
 * turn: the talks are deterministic that way.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/inbox.h"
#include "base/loop.h"

struct pool;

struct pool_job {
	struct parcel parcel;           /* the pool's */
	struct inbox *reply;            /* the pool's */
	void (*run)(struct pool_job *); /* in the pool: may block, touches only the job */
	void (*done)(struct pool_job *); /* back on the loop; owns the job again */
};

/* threads = 0: run on `loop` at the end of its turns; otherwise loop may be NULL. */
struct pool *pool_new(unsigned threads, struct loop *loop);

/* Runs what is queued, then joins. done() parcels stay in their inboxes. */
void pool_free(struct pool **p);

/* Queue a job (owned by the pool until done()); never calls back before it has returned.
 */
void pool_start(struct pool *p, struct pool_job *job, struct inbox *reply);

#endif
