/* SPDX-License-Identifier: ISC */
/* directory_private - between directory.c and directory_read.c, which fills it. */
#ifndef RELAY_DIRECTORY_PRIVATE_H
#define RELAY_DIRECTORY_PRIVATE_H

#include <pthread.h>

#include "base/list.h"
#include "base/map.h"
#include "relay/directory.h"

struct address_entry;

struct account_entry {
	struct map_node node;
	char name[ACCOUNT_NAME_MAX + 1]; /* in lower case: its key */
	bool disabled;
	struct address_entry **address; /* borrowed; in the order of the account */
	size_t n;
};

struct address_entry {
	struct map_node node;
	char *key;
	struct account_entry **owner; /* borrowed; by name; never none */
	size_t n;
};

struct directory_tables {
	struct map accounts, addresses;
};

struct directory {
	pthread_rwlock_t lock;
	struct directory_tables now;
	bool ready;
	uint64_t seed[2];
	struct list readings; /* under way; the main thread's */
};

void tables_init(struct directory_tables *t, const uint64_t seed[2]);
void tables_clear(struct directory_tables *t);
void tables_put(struct directory_tables *t, struct span name, const struct span *address,
    size_t n, bool disabled);
void tables_remove(struct directory_tables *t, struct span name);
struct account_entry *tables_account(const struct directory_tables *t, struct span name);

/* What is known is t's from now on, and t has what was known. */
void directory_replace(struct directory *d, struct directory_tables *t);

void readings_clear(struct directory *d);

#endif
