/* SPDX-License-Identifier: ISC */
/* sandbox (private to signin) - what a process gives up for good. */
#ifndef RELAY_SIGNIN_SANDBOX_H
#define RELAY_SIGNIN_SANDBOX_H

#include <stdbool.h>

#include "base/err.h"

/* No core dumps, no reading of our memory, no new privileges. */
void sandbox_quiet(void);

/*
 * None of our memory goes to the swap, where the machine lets us have all of it locked
 * (RLIMIT_MEMLOCK without a bound: with one, hashing a password could fail).
 */
void sandbox_lock_memory(void);

/* Files: as sandbox_relayd() in helper.h. */
enum err
sandbox_files(const char *const *write, const char *const *read, const char *const *list);

/* Built with a sanitizer, which wants to read /proc and to make more system calls. */
bool sandbox_sanitized(void);

/* System calls: only what a worker with its threads started needs; anything else kills
 * the process.  ERR_NOT_FOUND: there is no seccomp, or a sanitizer. */
enum err sandbox_calls(void);

#endif
