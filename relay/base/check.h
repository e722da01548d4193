/* SPDX-License-Identifier: ISC */
/*
 * check - broken invariants.
 *
 * CHECK(x) states what must be true whatever arrives from outside.  It stays
 * on in production: a process whose own state is wrong must not go on writing
 * mail.  The spool is crash-safe, so stopping is always allowed.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

/* Write the failed condition to standard error and abort. Never returns. */
_Noreturn void check_failed(const char *what, const char *file, int line);

#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))

#endif
