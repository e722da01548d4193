/* SPDX-License-Identifier: ISC */
/* patrons - how many sessions each account has open, over all threads (a mutex). */
#ifndef RELAY_IMAP_PATRONS_H
#define RELAY_IMAP_PATRONS_H

#include "base/world.h"

struct patrons;
struct patrons *patrons_new(struct world *w);
void patrons_free(struct patrons **p);

/* One more of this owner's; false: it has `max` already. */
bool patrons_enter(struct patrons *p, struct span owner, unsigned max);
void patrons_leave(struct patrons *p, struct span owner); /* who has entered */

#endif
