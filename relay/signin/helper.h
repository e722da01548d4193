/* SPDX-License-Identifier: ISC */
/*
 * helper - the second process, which alone may open the accounts' directory.
 *
 *	helper_start(&h, "/var/lib/relayd/accounts", channels, &why);
 *	signin_new(loop, log, helper_channel(h, i));        one channel per thread
 *	sandbox_relayd(...)                                 only after this
 *	helper_stop(&h);                                    closes, waits, then kills
 *
 * relayd executes itself (/proc/self/exe) as "relayd: accounts".  The process
 * that is started first is a keeper: it forks the one that works and forks it
 * again when it dies, because relayd itself could not any more once it has
 * locked itself in.  Both end when relayd does (end of file on the channels,
 * PR_SET_PDEATHSIG).  The working process: no dumps, no ptrace, landlock on the
 * accounts' directory only, a seccomp list of what it needs (violations kill
 * it), no network, no exec.
 */
#ifndef RELAY_SIGNIN_HELPER_H
#define RELAY_SIGNIN_HELPER_H

#include "base/buf.h"
#include "base/err.h"

#define HELPER_CHANNELS_MAX 80

struct helper;

/* The directory is made (0700) if it is missing. `why` says what to do. */
enum err helper_start(
    struct helper **out, const char *accounts_dir, unsigned channels, struct buf *why);
int helper_channel(struct helper *h, unsigned i); /* the caller's now; each once */
void helper_stop(struct helper **h);

/* What main() runs when it finds argv[1] equal to HELPER_ARGUMENT; returns the exit
 * status. */
#define HELPER_ARGUMENT "--accounts-helper"
int helper_main(int argc, char **argv);

/*
 * Lock this process in (landlock, as far as the kernel knows it; no new
 * privileges in any case): after this it reads and writes files under `write`
 * (and makes and removes them there), reads under `read`, opens the directories of
 * `list` only to see names, and opens nothing else.  A path may be a directory, for all
 * that is under it, or a file.  System calls that relayd never makes (execve, ptrace,
 * mount, ...) end it from now on.  The lists end with NULL; what does not exist is
 * skipped. Before the first thread is started.  ERR_NOT_FOUND: this kernel has no
 * landlock (the caller logs it).
 */
enum err sandbox_relayd(
    const char *const *write, const char *const *read, const char *const *list);

#endif
