/* SPDX-License-Identifier: ISC */
/*
 * hand - what each thread has in hand, for the case that it crashes of it.
 *
 *	uint64_t was = hand_take(id);
 *	... work on whatever id names ...
 *	hand_back(was);
 *
 * A sheet of memory has a line for each thread, and a line holds the number that the
 * thread works on: two stores, no system call.  When a signal says that we are wrong
 * (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT), its handler notes on the sheet which thread
 * it was, writes the sheet to its file, and lets the signal do its work.  hand_open() at
 * the next start judges:
 *
 *	- the thread had a message in hand: that is a suspect;
 *	- it had what is no message (HAND_SESSION): nobody is.  See below;
 *	- it had nothing: whatever any thread had, now or just before, is one, for
 *	  memory may be spoilt long before it hurts;
 *	- SIGABRT from outside (a watchdog): what threads had that stood still, which
 *	  hand_look() finds;
 *	- any other end (SIGKILL, power, a stop): nobody is, nor if memory was all
 *	  (hand_blameless()).
 *
 * A suspect has a count of crashes, which is on disk before hand_open() returns.  With
 * HAND_CRASHES it is condemned, and whoever would work on it leaves it alone.  One that
 * comes through is cleared.  Suspects should be worked on one at a time: then the next
 * crash tells who it was.
 *
 * Memory may have been spoilt by a message when a session crashes, too.  But by far the
 * likeliest reason is what the session has just read, and that is a stranger's: were
 * everything accused, he could have other people's mail set aside by crashing us twice.
 * A message that spoils memory, on the other hand, is in hand again after every start,
 * and does not hit sessions alone: the first crash in its own hand, or where nothing is
 * known, counts.  So a message that is only being stored is HAND_SESSION, and a
 * connection (io) unless somebody says which message it is for (io_in_hand()): a next
 * hop's words are put down to the mail that goes there, which would be tried again, and
 * would crash us again.
 *
 * One sheet a process, and with it the only mutable file-scope state that threads share
 * beside fault.c's:
 * a signal's handler cannot be handed anything.  Without hand_open() nothing is noted.
 */
#ifndef BASE_HAND_H
#define BASE_HAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/when.h"

#define HAND_CRASHES 2   /* then it is condemned */
#define HAND_SUSPECTS 64 /* that are known at a time; the oldest is forgotten first */
#define HAND_THREADS 128 /* what more of them have in hand is not noted */
#define HAND_SESSION UINT64_MAX /* to work on what is no message, and nobody's fault */

struct hand_crash {
	uint64_t id;
	unsigned crashes; /* this one included */
	int signal;
};

/*
 * Take the file into use (the descriptor stays the caller's), and tell of each suspect
 * of the last crash.  ERR_EXISTS: this process has a sheet already; else there is no
 * room, or the file cannot be read, written or flushed.
 */
enum err hand_open(int fd, struct wall now,
    void (*told)(void *arg, const struct hand_crash *c), void *arg);
void hand_close(void); /* when no other thread has anything in hand */

/* From now on this thread works on id (0: on what nothing is known of).  Returns what it
 * had before. */
uint64_t hand_take(uint64_t id);
void hand_back(uint64_t was); /* to hand_take()'s answer */

/* The next abort() is for want of memory: nobody's fault. */
void hand_blameless(void);

/*
 * How often did we crash with it in hand?  Any thread; one load while nothing is
 * suspect.  Once it is condemned that stays, until it is cleared.
 */
unsigned hand_crashes(uint64_t id);
bool hand_condemned(uint64_t id);
void hand_clear(uint64_t id);
/* Those that are known; returns how many (at most HAND_SUSPECTS). */
size_t hand_suspects(uint64_t id[HAND_SUSPECTS]);

/*
 * Called every so often (every_ms) by the thread that watches: who has the same message
 * in hand as twice before, and has not put it down since, stands still.  Returns the
 * longest time that one does, and what it is.
 */
int64_t hand_look(struct instant now, int64_t every_ms, uint64_t *id);

#endif
