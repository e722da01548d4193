/* SPDX-License-Identifier: ISC */
/*
 * show - a message as one JSON object.  The member names that other queue
 * listings of the field use are kept (queue_id, sender, arrival_time,
 * message_size, recipients[].address, delay_reason), so that scripts go on.
 */
#ifndef RELAY_CONTROL_SHOW_H
#define RELAY_CONTROL_SHOW_H

#include "base/json.h"
#include "relay/config.h"
#include "spool/spool.h"

struct scheduler;

struct show {
	const struct config *config;       /* for expiry and routes; may be NULL */
	const struct scheduler *scheduler; /* NULL: the daemon is stopped */
	struct wall now;
	bool full;  /* envelope, client, headers that were added */
	bool brief; /* what a table of the queue shows, and no more */
};

/* m with those recipients whose index is in `index` (n of them). */
void show_message(struct json *j, const struct show *s, const struct message *m,
    const uint16_t *index, size_t n);

/* Sentences: what happened so far, why it waits, when it moves next. */
void show_why(struct buf *out, const struct show *s, const struct message *m,
    const struct recipient *r);

/* What there is in a spool, and how much room it takes. */
void show_stat(struct json *j, const struct spool_stat *s);

const char *recipient_state_name(const struct recipient *r);

#endif
