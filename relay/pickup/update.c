/* SPDX-License-Identifier: ISC */
/*
 * update - QUIT (RFC 1939 6): everything that the session has marked, in one transaction,
 * and an answer when it is on disk.  The maildrop stays taken until then, also if the
 * client does not wait for it.
 */
#include "base/mem.h"
#include "relay/pickup/pop.h"

#define PICKUP_GRAIN_MS (10 * MINUTE_MS) /* how exactly the last visit is known */

struct updating {
	struct pop *pop; /* NULL: it went away */
	struct drops *drops;
	struct pickup_counters *counters;
	uint32_t deleted;
	char owner[MAILBOX_OWNER_MAX + 1];
};

static void
goodbye(struct pop *s, enum err e)
{
	if (e == OK || e == ERR_NOT_FOUND) { /* who was gone already is gone */
		pop_ok(s, "Bye (%u left)", s->drop.count - s->drop.deleted_n);
		pop_end(s, "QUIT");
	} else {
		s->state = POP_TRANSACTION; /* for the log: nothing was deleted */
		pop_line(s, "-ERR [SYS/TEMP] nothing was deleted; try again later");
		pop_end(s, "the spool cannot be written");
	}
}

static void
done(void *arg, enum err e)
{
	struct updating *u = arg;
	struct pop *s = u->pop;
	drops_leave(u->drops, span_str(u->owner));
	if (e == OK)
		atomic_fetch_add_explicit(
		    &u->counters->deleted, u->deleted, memory_order_relaxed);
	mem_free(&u);
	if (s == NULL)
		return;
	s->updating = NULL;
	s->holds = false;
	goodbye(s, e);
}

/* A visit that changes nothing, soon after another, costs no commit. */
static bool
is_worth_noting(const struct pop *s)
{
	struct mailbox_usage usage;
	spool_mailbox_usage(s->pickup->o.spool, span_str(s->owner), &usage);
	struct wall now = world_wall(loop_world(s->pickup->o.loop));
	return wall_since(now, usage.last_pickup) >= PICKUP_GRAIN_MS ||
	       wall_since(now, usage.last_pickup) < 0;
}

void
update_start(struct pop *s)
{
	struct span owner = span_str(s->owner);
	struct mail_change *c = maildrop_change(&s->drop, owner);
	s->state = POP_UPDATE;
	if (c == NULL && !is_worth_noting(s)) {
		login_leave(s);
		goodbye(s, OK);
		return;
	}
	if (c == NULL)
		c = mail_change_new(owner, SPAN(MAILBOX_INBOX));
	mail_change_pickup(c);
	struct updating *u = NEW(struct updating);
	u->pop = s;
	u->drops = s->pickup->o.drops;
	u->counters = s->pickup->o.counters;
	u->deleted = s->drop.deleted_n;
	span_copy(owner, u->owner, sizeof(u->owner));
	s->updating = u;
	pop_wait(s);
	struct spool_request *q = spool_mail_change_start(
	    s->pickup->o.spool, c, loop_inbox(s->pickup->o.loop), done, u);
	(void)q; /* never cancelled: what the client has asked for is done */
}

void
update_orphan(struct pop *s)
{
	if (s->updating == NULL)
		return;
	s->updating->pop = NULL;
	s->updating = NULL;
	s->holds = false; /* done() gives the maildrop back */
}
