/* SPDX-License-Identifier: ISC */
/*
 * maildrop (private to pickup) - what one POP3 session sees of a mailbox: the mails that
 * were there when it signed in, numbered from 1 (RFC 1939 4), and which of them it has
 * marked.
 *
 * uids that follow each other are one run, so that a mailbox of any size is a few octets,
 * unless mails have gone from between.  Marks are bitmaps, made with the first mark.
 */
#ifndef RELAY_PICKUP_MAILDROP_H
#define RELAY_PICKUP_MAILDROP_H

#include "spool/mailbox.h"

#define MAILDROP_MAX 1000000 /* mails that are shown, the oldest */

struct maildrop {
	uint32_t mailbox; /* its number; 0: nothing was ever delivered to it */
	uint32_t count;
	uint64_t octets; /* of all, marked or not */
	struct uid_run {
		uint32_t uid; /* of the first */
		uint32_t
		    number; /* of the first; the next run tells where this one ends */
	} * run;
	size_t runs, cap;
	unsigned char *deleted, *picked; /* a bit for each number; NULL: none */
	uint32_t deleted_n, picked_n;
	uint64_t deleted_octets;
};

void maildrop_clear(struct maildrop *d);

/* In a query: read it all. */
enum err maildrop_read(struct spool_reader *r, struct span owner, struct maildrop *d);

/* While it is read: one more, of a higher uid. False: it is full. */
bool maildrop_add(struct maildrop *d, uint32_t uid, uint64_t size);

uint32_t maildrop_uid(const struct maildrop *d, uint32_t number); /* 1..count */

bool maildrop_is_deleted(const struct maildrop *d, uint32_t number);
void maildrop_delete(struct maildrop *d, uint32_t number, uint64_t size);
void maildrop_pick(struct maildrop *d, uint32_t number);
void maildrop_reset(struct maildrop *d); /* RSET: nothing is marked as deleted */

/* What QUIT does; NULL: nothing. */
struct mail_change *maildrop_change(const struct maildrop *d, struct span owner);

#endif
