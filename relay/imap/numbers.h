/* SPDX-License-Identifier: ISC */
/*
 * numbers - message sequence numbers of one session (RFC 9051 2.3.1.2): which uid has
 * which number.  uids that follow each other are one run, so that a mailbox of any size
 * is a few octets, unless mails have gone from between.
 */
#ifndef RELAY_IMAP_NUMBERS_H
#define RELAY_IMAP_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/imap/set.h"

struct uid_run {
	uint32_t uid;    /* of the first */
	uint32_t number; /* of the first; the next run tells where this one ends */
};

struct numbers {
	struct uid_run *run;
	size_t runs, cap;
	uint32_t count;
};

void numbers_clear(struct numbers *n);
void numbers_add(struct numbers *n, uint32_t uid); /* greater than all before */
uint32_t numbers_uid(const struct numbers *n, uint32_t number); /* 1..count */
uint32_t numbers_last(const struct numbers *n); /* the highest uid; 0: there is none */

/* The first number whose uid is this one or greater; count + 1: there is none. */
uint32_t numbers_from(const struct numbers *n, uint32_t uid);
uint32_t numbers_of(const struct numbers *n, uint32_t uid); /* 0: it has none */

/* Take away all whose uid is in the (resolved) set; told for each, as it is when those
 * before it have gone: the numbers of EXPUNGE. told may be NULL. */
void numbers_remove(struct numbers *n, const struct set *uids,
    void (*told)(void *arg, uint32_t number, uint32_t uid), void *arg);

/* A resolved set of numbers as one of uids. */
void numbers_to_uids(const struct numbers *n, const struct set *numbers, struct set *out);

#endif
