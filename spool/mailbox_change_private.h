/* SPDX-License-Identifier: ISC */
/* mailbox_change_private - what the files that change mailboxes share of their names. */
#ifndef SPOOL_MAILBOX_CHANGE_PRIVATE_H
#define SPOOL_MAILBOX_CHANGE_PRIVATE_H

#include <stddef.h>

#include "spool/private.h"

bool name_ok(struct span name);
bool new_name_ok(struct span name); /* one that is made: no level of it is empty */

/* *out is zeros with ERR_NOT_FOUND. */
enum err
get_name(struct batch *b, struct span owner, struct span name, struct name_record *out);
/* Number 0 without subscription: no row is left. */
enum err put_name(
    struct batch *b, struct span owner, struct span name, const struct name_record *n);
/* And it is told, if that is new. */
enum err set_subscribed(
    struct batch *b, const struct mailbox_request *q, struct name_record *r, bool on);

/* How many of a name's levels have no row; without the name itself if only_above. */
enum err count_missing(struct batch *b, struct span owner, struct span name,
    bool only_above, size_t *missing);
enum err room_for(struct batch *b, struct span owner, size_t more); /* ERR_FULL */
/* What is there is not touched. */
enum err
make_one(struct batch *b, struct span owner, struct span name, enum mailbox_use use);
enum err make_above(struct batch *b, struct span owner, struct span name);

/* Nothing is written: ERR_EXISTS, ERR_FULL, ERR_RANGE. */
enum err may_be_made(struct batch *b, struct span owner, struct span name);

/* ---- mailbox_rename.c */
/* Without what is below it; nobody has the new name, and its annotations fit. */
enum err
rename_mailbox(struct batch *b, struct span owner, struct span from, struct span to);
enum err rename_mailboxes(struct batch *b, const struct mailbox_request *q);

#endif
