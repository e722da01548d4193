/* SPDX-License-Identifier: ISC */
/*
 * accounts (private to signin) - the file of accounts, and the same in memory.
 *
 * The file `accounts` in the directory is text: a first line that names its
 * version and holds a secret of this installation, then one JSON object per
 * account.  It is written anew for each change: a temporary file, synced, renamed,
 * the directory synced.  Who holds the lock (file `lock`) is the only writer.
 * What is damaged or was written by a newer relayd is refused, and never
 * overwritten.
 */
#ifndef RELAY_SIGNIN_ACCOUNTS_H
#define RELAY_SIGNIN_ACCOUNTS_H

#include "base/list.h"
#include "base/map.h"
#include "base/when.h"
#include "policy/lists.h"
#include "relay/signin/password.h"
#include "relay/signin/signin.h"

#define ACCOUNTS_MAX 100000
#define SECRETS_MAX 20      /* of one account */
#define CERTIFICATES_MAX 20 /* of one account */
#define SERVICES_MAX 8
#define LABEL_MAX 64

struct secret {
	char *label;               /* "" is the main one */
	struct name_list services; /* empty: all */
	char *hash;
	char *plain; /* recoverable, for APOP; NULL: nobody could read it back */
	struct scram_keys scram;
	struct wall created;
};

struct account {
	struct map_node node; /* accounts.by_name */
	char *name;
	char *key; /* in lower case: what it is found by */
	struct name_list senders, certificates;
	bool disabled;
	struct secret secret[SECRETS_MAX];
	size_t secrets;
	uint64_t changed; /* another number after each change: what was believed is not
			     any more */
	struct wall last; /* last sign-in since start; 0: none */
};

struct accounts {
	struct world *world;
	int dir, lock;
	struct map by_name;
	uint8_t salt_key[SHA256_SIZE]; /* for the salts of those who are not there */
	uint64_t changes;
	bool lost; /* the file could not be read again: it must not be written over */
};

/* Takes dir. ERR_BUSY: somebody else has the lock. On error dir is closed and `why` says
 * what to do. */
enum err accounts_open(struct accounts **out, struct world *w, int dir, struct buf *why);
void accounts_close(struct accounts **a);

struct account *accounts_find(const struct accounts *a, struct span name);
struct account *
accounts_with_certificate(const struct accounts *a, struct span fingerprint);
bool secret_serves(const struct secret *s, const char *service);
/* The right to see the relay's queue by IMAP: only of a secret that was made for it. */
bool secret_shows_queue(const struct secret *s);

/* Write all of it. On failure nothing on disk has changed. */
enum err accounts_save(struct accounts *a);

/* After a change that could not be written: as the file has it. */
void accounts_reload(struct accounts *a);

/* ---- changes in memory, for accounts_admin.c */

struct account *account_new(struct span name); /* not yet in the table */
void account_free(struct account **acc);
/* OK, or why it could not be added: ERR_EXISTS, ERR_FULL. */
enum err accounts_room(const struct accounts *a, const struct account *acc);
enum err accounts_add(struct accounts *a, struct account *acc);
void accounts_remove(struct accounts *a, struct account *acc);
void account_touch(struct accounts *a, struct account *acc);
struct secret *account_secret(struct account *acc, struct span label);
struct secret *
account_add_secret(struct account *acc, struct span label); /* NULL: full */
void account_drop_secret(struct account *acc, struct secret *s);
/* s is one of the account's; password empty: an imported hash, without SCRAM. */
void secret_set(const struct accounts *a, struct account *acc, struct secret *s,
    const char *hash, struct span password);

/*
 * The salt and the count of SCRAM that belong to this name, whether or not there is such
 * an account (acc NULL).  All secrets of an account share them, so that a client, who is
 * told them before it has proven anything, may know any of the secrets: they are made of
 * the installation's own secret and the name.  Accounts of older versions have secrets
 * each with a salt of its own; then it is that of the first that serves (service NULL:
 * any), the main one before all others, and never that of `but`.
 */
void accounts_salt(const struct accounts *a, const struct account *acc, struct span name,
    const char *service, const struct secret *but, struct scram_keys *out);

bool account_name_ok(struct span name);
void names_add(struct name_list *l, const char *text);

/* One request of signin_admin(); told at once. */
void accounts_admin(struct accounts *a, struct span request,
    void (*told)(void *arg, struct span object, bool end), void *arg);

#endif
