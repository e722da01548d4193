/* SPDX-License-Identifier: ISC */
/*
 * guard (private to signin) - who has failed how often, and what was right a
 * moment ago.  Both tables are bounded; the longest unused goes first.
 *
 * Failures are counted for an address, and for an account from an address: so a
 * guesser locks himself out, and not the account's owner elsewhere.  The same wrong
 * password again (a device with an old one) is not counted.
 */
#ifndef RELAY_SIGNIN_GUARD_H
#define RELAY_SIGNIN_GUARD_H

#include "base/crypto.h"
#include "base/list.h"
#include "base/map.h"
#include "base/net.h"
#include "base/when.h"
#include "base/world.h"

#define GUARD_MAX 100000   /* addresses, and accounts from addresses */
#define BELIEVED_MAX 10000 /* passwords that were right */

struct guard {
	struct map failures, believed;
	struct list failures_by_use, believed_by_use;
	uint8_t key[SHA256_SIZE]; /* of this process: nothing in the tables can be guessed
				     at */
};

void guard_init(struct guard *g, struct world *w);
void guard_clear(struct guard *g);

struct guard_limits {
	unsigned attempts;
	int64_t lockout_ms;
};

/* Locked out: this address, or this name from this address. */
bool guard_locked(
    struct guard *g, const struct net_addr *client, struct span name, struct instant now);

/* A wrong password (or another proof that was wrong). */
void guard_failed(struct guard *g, const struct net_addr *client, struct span name,
    struct span wrong, const struct guard_limits *l, struct instant now);

/* A password of this client is being hashed (begins: true), or that is over.  False: so
 * many are under way already that this one must not begin: guesses made at once would all
 * be answered before the first is counted. */
bool guard_hashing(struct guard *g, const struct net_addr *client, bool begins,
    const struct guard_limits *l);

/* Right: failures of this account from this address are forgotten. */
void guard_succeeded(struct guard *g, const struct net_addr *client, struct span name);

/* ---- what was right */

/* The label of the secret that this password was; NULL: not known, or not any more.
 * changed: account.changed, for which it must have been said. */
const char *guard_believed(struct guard *g, struct span name, struct span password,
    const char *service, uint64_t changed, struct instant now);
void guard_believe(struct guard *g, struct span name, struct span password,
    const char *service, const char *label, uint64_t changed, struct instant until);

#endif
