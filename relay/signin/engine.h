/* SPDX-License-Identifier: ISC */
/*
 * engine (private to signin, the helper and tests) - accounts and exchanges.
 *
 * Messages go in and out as JSON-free little records of our own (wire.h, written
 * by whoever writes this room); the engine never blocks: hashing a password goes
 * through its pool, everything else is done at once.
 */
#ifndef RELAY_SIGNIN_ENGINE_H
#define RELAY_SIGNIN_ENGINE_H

#include "base/loop.h"
#include "base/pool.h"
#include "relay/signin/signin.h"

struct signin_engine_options {
	struct loop *loop;
	struct pool *pool; /* for hashing */
	struct log *log;   /* may be NULL: in the helper there is none */
	int dir;           /* the accounts' directory (taken) */
};

/* NULL with `why`: the file of accounts cannot be read or is damaged; it is never
 * overwritten then. A missing file is an empty one. */
struct signin_engine *
signin_engine_new(const struct signin_engine_options *o, struct buf *why);
void signin_engine_free(struct signin_engine **e);

/*
 * Serve one channel (SOCK_SEQPACKET, taken) on the engine's loop, until its other
 * side closes it: then closed(arg) is told, once.
 */
void signin_engine_serve(
    struct signin_engine *e, int fd, void (*closed)(void *arg), void *arg);

/* The same for the other end of a wire on this loop (signin_new_inline). */
struct wire;
void signin_engine_join(struct signin_engine *e, struct wire *other);

#endif
