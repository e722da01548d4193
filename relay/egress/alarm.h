/* SPDX-License-Identifier: ISC */
/*
 * alarm - an administrator is told, once per incident, that a next hop refuses our
 * sign-in: an event in the log, and a mail to the postmaster (at most one a day
 * and route, over restarts too).  The incident lasts until that host takes us again,
 * or the destination that was down because of it works.
 */
#ifndef RELAY_EGRESS_ALARM_H
#define RELAY_EGRESS_ALARM_H

#include "base/list.h"
#include "base/loop.h"
#include "policy/verdict.h"
#include "relay/config.h"
#include "spool/spool.h"

#define ALARMS_MAX ROUTE_MAX /* incidents at once; the oldest is forgotten */
#define ALARM_MAIL_MS DAY_MS

struct alarms {
	struct loop *loop;
	struct log *log;
	struct spool *spool;
	struct list incidents;
	size_t n;
};

void alarms_init(struct alarms *a, struct loop *l, struct log *log, struct spool *s);
void alarms_clear(struct alarms *a);

/* host refuses to let us sign in for this route. */
void alarm_raise(struct alarms *a, const struct config *config, struct span route,
    const char *host, const struct verdict *why);

/* A session for this route stands: at host, or (host NULL) where all were refused. */
void alarm_over(struct alarms *a, struct span route, const char *host);

/* The mail, without its destination (pure). NULL: the address cannot be one. */
struct message *alarm_compose(const struct config *config, struct span route,
    const char *host, const struct verdict *why, struct world *world);

#endif
