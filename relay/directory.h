/* SPDX-License-Identifier: ISC */
/*
 * directory - whose mailbox is it?  The addresses of all accounts, for whoever must
 * answer RCPT at once; and which settings a mailbox has.
 *
 * Accounts live with the helper (signin.h).  The main thread reads them from there at
 * the start and again after each change, and puts them here; what is here holds no
 * secret.  io threads look: a lock, held for a look-up.  Until the first reading is
 * over nothing is known, and whoever asks answers 451.
 *
 * An account owns those of its addresses that are whole (local@domain).  An address may
 * belong to several accounts: each gets the mail.  The account's name itself is no
 * address unless it looks like one and is listed.
 */
#ifndef RELAY_DIRECTORY_H
#define RELAY_DIRECTORY_H

#include "base/world.h"
#include "policy/address.h"
#include "relay/config.h"
#include "relay/signin/signin.h"
#include "spool/mailbox.h"

#define DIRECTORY_OWNERS_MAX 100 /* of one address; more are not delivered to */
#define DIRECTORY_ADDRESS_MAX (LOCAL_PART_MAX + 1 + DOMAIN_MAX)

struct directory;
struct directory *directory_new(struct world *w);
void directory_free(struct directory **d);

/* ---- the main thread */

/* Read all accounts (user-list), in place of all that was known; done once, later.  After
 * a failure nothing has changed: call it again.  signin must be freed before d is. */
void directory_load(
    struct directory *d, struct signin *s, void (*done)(void *arg, bool ok), void *arg);

/* The same for one account, which may have come, changed, or gone. */
void directory_refresh(struct directory *d, struct signin *s, struct span name,
    void (*done)(void *arg, bool ok), void *arg);

/* One account, as user-list told it, in place of what was known of it. */
void directory_put(struct directory *d, struct span name, const struct span *address,
    size_t n, bool disabled);
void directory_remove(struct directory *d, struct span name);
void directory_set_ready(struct directory *d);

/* ---- any thread */

enum directory_answer {
	DIRECTORY_FOUND,
	DIRECTORY_UNKNOWN,   /* 550 5.1.1 */
	DIRECTORY_NOT_READY, /* 451 4.3.0 */
};

struct directory_owner {
	char name[ACCOUNT_NAME_MAX + 1];         /* in lower case */
	char address[DIRECTORY_ADDRESS_MAX + 1]; /* its own, by which it was found; by
						    catch-all: its first; "": it has none
						  */
	bool caught; /* by catch-all or as postmaster, not by its own address */
	bool tagged; /* the address had a +detail that was taken off */
};

struct directory_match {
	struct directory_owner owner[DIRECTORY_OWNERS_MAX];
	size_t n;
};

/*
 * Who gets mail for this address by this route (of kind mailbox).  In this order: the
 * address as it is; without its +detail (mailboxes.delimiter; the shortest that leaves
 * somebody's address); for postmaster@ the account of the configuration's postmaster; the
 * route's catch-all.  Local parts are compared without regard to ASCII case, and however
 * they are quoted.  Owners come by name.
 */
enum directory_answer directory_find(const struct directory *d, const struct config *c,
    const struct route *r, struct span address, struct directory_match *out);

/* The first reading is over. */
bool directory_ready(const struct directory *d);

/* Whether there is an account of this name (any case), whether it is disabled, and its
 * addresses, told(arg, address). */
bool directory_has(const struct directory *d, struct span name);
bool directory_disabled(const struct directory *d, struct span name);
void directory_addresses(const struct directory *d, struct span name,
    void (*told)(void *arg, struct span address), void *arg);

/* The settings of an account's mailbox: the first `mailbox "..." { }` of the
 * configuration that names the account or the domain of one of its addresses; else the
 * defaults. */
const struct mailbox_config *
directory_settings(const struct directory *d, const struct config *c, struct span name);

/* ---- into the mailbox */

/* Whether one more message of so many octets fits the owner's quota: 250, 452 4.2.2 or
 * 552 5.2.2 as the settings say. */
struct verdict directory_admit(const struct directory *d, const struct config *c,
    const struct spool *s, struct span owner, uint64_t size);

/* Of those found, the ones that have room come first; how many they are.  The others stay
 * behind them; why: what the last of them heard. */
size_t directory_keep_room(const struct directory *d, const struct config *c,
    const struct spool *s, uint64_t size, struct directory_match *m, struct verdict *why);

/* The header fields of one mail: Return-Path (RFC 5321 4.4), Delivered-To, and
 * X-Original-To where the owner was found by +detail or caught.  At most
 * MAIL_PREFIX_MAX; whatever the addresses hold, no line can begin in them. */
void directory_own_fields(struct span sender, struct span recipient,
    const struct directory_owner *o, struct buf *out);

#endif
