/* SPDX-License-Identifier: ISC */
/* check (private to spool) - what the files that look for violations share. */
#ifndef SPOOL_CHECK_H
#define SPOOL_CHECK_H

#include "spool/private.h"

struct check {
	struct spool_reader *r;
	struct spool *s;
	MDB_txn *t;
	void (*told)(void *arg, const char *sentence);
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	uint64_t done, total,
	    content; /* steps: a row is one, a message's content so many */
	uint64_t found;
	uint64_t account;
	bool damaged;     /* a record: the account cannot be compared then */
	uint64_t body_id; /* of the chunk before */
	uint64_t *file;   /* named so far */
	size_t files, cap;
	uint64_t highest_mail;
};

void
violation(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline struct span
check_value(const MDB_val *v)
{
	return (struct span){v->mv_data, v->mv_size};
}

bool exists(struct check *c, enum dbi d, const void *key, size_t n);
bool key_fits(struct check *c, const MDB_val *k, size_t n, const char *what);
uint64_t highest(struct check *c, enum dbi d, size_t bytes);

/* A message's own record: decodes, is accounted for, has its chunks. */
void
check_record(struct check *c, const unsigned char *key, const MDB_val *v, const char *id);

/* Each row of a table. */
void each(struct check *c, enum dbi d,
    void (*row)(struct check *, const MDB_val *k, const MDB_val *v));

/* ---- check_mail.c */
void check_mailboxes(struct check *c);
enum err
check_kept_slice(struct check *c, uint64_t after, uint64_t *id, size_t max, size_t *n);

#endif
