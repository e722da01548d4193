/* SPDX-License-Identifier: ISC */
/*
 * meters - who has sent how much: the limits of the configuration, counted over
 * all threads.  A subject is a client's address (an IPv6 client is its /64), an
 * account or a sender; it is known by the limit's name, so that a reload forgets
 * nothing.  At most METERS_MAX are kept, the least recently used go first.
 */
#ifndef RELAY_INGRESS_METERS_H
#define RELAY_INGRESS_METERS_H

#include "relay/ingress/ingress.h"

#define METERS_MAX 100000

enum meter_kind { METER_CONNECTION, METER_MESSAGE, METER_RECIPIENT };

struct meter_subject {
	const struct net_addr *client;         /* family NET_NONE: a local user */
	struct span listener, account, sender; /* empty: none; such are not counted */
};

struct meter_refusal {
	const struct limit_config *limit; /* in the configuration that was asked about */
	const struct rate *rate;
	int64_t wait_ms; /* then it would fit */
	bool first;      /* of this subject in this period: to be logged */
};

/*
 * Count one of its kind against every limit that fits, or, if one has no room,
 * against none: false, and why.  Takes no lock where no limit fits.
 */
bool meters_take(struct meters *m, const struct config *c, enum meter_kind kind,
    const struct meter_subject *who, struct instant now, struct meter_refusal *why);

size_t meters_subjects(struct meters *m);

/* "limit NAME: 100 messages in 1h; come again in 4m" */
void
meters_explain(const struct meter_refusal *why, enum meter_kind kind, struct buf *out);

#endif
