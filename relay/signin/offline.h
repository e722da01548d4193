/* SPDX-License-Identifier: ISC */
/* offline - an administrator's request about accounts while relayd does not run. */
#ifndef RELAY_SIGNIN_OFFLINE_H
#define RELAY_SIGNIN_OFFLINE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/*
 * signin_admin() on the accounts' directory itself, at once.  told as there.
 * ERR_BUSY: a relayd has it open; other errors: it cannot be read or written, or is
 * damaged.  Then told has not been called, and `why` says what to do.
 */
enum err accounts_admin_offline(const char *dir, struct span request,
    void (*told)(void *arg, struct span object, bool end), void *arg, struct buf *why);

#endif
