/* SPDX-License-Identifier: ISC */
/*
 * loop - one thread, one event base, one turn at a time.
 *
 * A turn: wait for descriptors or the next timer, call what is ready, open the
 * inbox, fire due timers, then run what was put off with later_set() until
 * nothing is put off any more.  Output that was queued during a turn is
 * written by such a later call: one write per connection and turn.
 *
 * Timers live in our own heap on the world's clock, not in libevent, so that a
 * scripted clock can let days pass.  A timer that a timer sets fires in a later
 * turn, even if it is due at once.  Everything here belongs to the thread
 * that runs the loop; other threads reach it only through loop_inbox().
 *
 *	struct loop *l = loop_new(world);
 *	... timers, watches ...
 *	loop_run(l);             until loop_stop(l)
 *	loop_free(&l);
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/heap.h"
#include "base/inbox.h"
#include "base/list.h"
#include "base/world.h"

struct loop;

struct loop *loop_new(struct world *world);
void loop_free(
    struct loop **l); /* timers, watches and laters must be gone or never fire again */

struct world *loop_world(const struct loop *l);
struct inbox *loop_inbox(const struct loop *l);

/* The monotonic clock as it was when this turn began: cheap, and one value per turn. */
struct instant loop_now(const struct loop *l);

void loop_run(struct loop *l);
void loop_stop(struct loop *l); /* ends loop_run() after this turn; own thread only */

/* One turn. wait = false: only what is ready now. Returns whether anything was done. */
bool loop_turn(struct loop *l, bool wait);

/* When the next timer is due; false if none is set (for scripted clocks). */
bool loop_next_timer(const struct loop *l, struct instant *due);

/* ---- timers */

struct timer {
	struct loop *loop;
	void (*fire)(void *arg);
	void *arg;
	struct heap_node node;
};

void timer_init(struct timer *t, struct loop *l, void (*fire)(void *arg), void *arg);
void timer_set(
    struct timer *t, int64_t after_ms); /* from loop_now(); replaces an earlier setting */
void
timer_clear(struct timer *t); /* fire() does not come any more; harmless if not set */
bool timer_is_set(const struct timer *t);

/* ---- descriptors */

enum { WATCH_READ = 1, WATCH_WRITE = 2 };

struct watch {
	struct loop *loop;
	void (*ready)(void *arg, unsigned what); /* what: WATCH_READ and/or WATCH_WRITE */
	void *arg;
	int fd;
	unsigned wanted;
	void *event; /* libevent's, hidden */
};

void watch_init(struct watch *w, struct loop *l, int fd,
    void (*ready)(void *arg, unsigned what), void *arg);
void
watch_set(struct watch *w, unsigned wanted); /* persistent, level-triggered; 0 stops */
void watch_clear(struct watch *w); /* before the descriptor is closed; harmless twice */

/* ---- later: once, at the end of this turn */

struct later {
	struct loop *loop;
	void (*run)(void *arg);
	void *arg;
	struct link link;
};

void later_init(struct later *d, struct loop *l, void (*run)(void *arg), void *arg);
void later_set(struct later *d); /* setting twice runs once */
void later_clear(struct later *d);

/* Call fn(arg) at the very end of every turn (one per loop): flushing a log, say. */
void loop_each_turn(struct loop *l, void (*fn)(void *arg), void *arg);

/* ---- signals, for the main thread's loop */

/* Block these signals in the calling thread and those it starts from now on. */
void loop_block_signals(const int *signo, unsigned n);

/* Block these signals and call on_signal(arg, signo) on the loop when one arrives. */
void loop_signals(struct loop *l, const int *signo, unsigned n,
    void (*on_signal)(void *, int), void *arg);

#endif
