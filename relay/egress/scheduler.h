/* SPDX-License-Identifier: ISC */
/*
 * scheduler (private to egress) - destinations and entries in memory.
 *
 * The truth is in the spool: every waiting recipient is in one schedule row.
 * In memory is a bounded window on it.  An entry is one (message, destination)
 * that is being dealt with: ready to go, running at a courier, or being
 * reported to the spool.  A destination exists in memory while anything waits
 * for it; `head` is a lower bound of the due times of its rows that are not in
 * memory.
 *
 *	         accepted / fetch          pump             on_job_ended
 *	(spool) ------------------> READY ------> RUNNING --------------> REPORTING
 *
 * and when the report is on disk, it is gone.
 *
 * A destination is UP, or DOWN until retry_at after a failure of all its hosts;
 * then one entry goes out as a probe (PROBING), and its fate decides for all.
 *
 * Whose turn it is.  Destinations that have something ready and a connection free
 * go round, one job each.  Within a destination the entries stand in TURNS
 * queues that are served in turn: one for what was read from the spool, by due
 * time, the others for fresh mail in memory, by a hash of who handed it in (the
 * account, else the client's address).  So the backlog of one client costs
 * another one no more than a place in turn, unless they share a queue.  Fresh mail
 * is taken into memory past a backlog that waits in the spool, up to FRESH_MAX
 * of each queue: more is a backlog itself, and goes by due time.
 *
 * The dead do not keep the living waiting: destinations stand in three rows, by what is
 * known of them, that are served in turn; of all connections those that have failed get
 * half at most, and with those of which nothing is known three quarters.
 *
 * A destination whose route has a rate (throttle.h) stands in the route's lane
 * instead while the rate lets nothing go.
 *
 * Bounds, whatever the spool holds.  Rows are read in slices, each once: `seen` is
 * how far a destination's rows have been read, and goes back only when a row may have
 * appeared before it.  Destinations that want rows stand in `hungry`, and FETCHES_MAX
 * of them are served at a time.  A destination that nothing is ready for has no queues.
 */
#ifndef RELAY_EGRESS_SCHEDULER_H
#define RELAY_EGRESS_SCHEDULER_H

#include "base/hand.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "relay/egress/backoff.h"
#include "relay/egress/egress.h"
#include "relay/egress/feedback.h"
#include "relay/egress/health.h"
#include "relay/egress/alarm.h"
#include "relay/egress/job.h"
#include "relay/egress/notice.h"
#include "relay/egress/throttle.h"

#define ENTRIES_MAX 20000 /* in memory, all destinations */
#define READY_MAX 5000    /* in memory and ready, of one destination */
#define FETCH_ROWS 300    /* schedule rows read at once */
#define FETCH_LEAST 10    /* the same, when many destinations share ENTRIES_MAX */
#define FETCHES_MAX 16    /* under way at a time */
#define TURNS 32          /* queues of one destination's ready entries */
#define FRESH_MAX 100     /* of one of them, taken in past a backlog */
#define COURIERS_MAX 64
#define NO_HEAD INT64_MAX

enum dest_state { DEST_UP, DEST_DOWN, DEST_PROBING };

/* What is known of a destination: it takes mail, nothing yet, it is or was down. */
enum standing { STANDING_GOOD, STANDING_NEW, STANDING_BAD, STANDINGS };
enum entry_state { ENTRY_READY, ENTRY_RUNNING, ENTRY_REPORTING, ENTRY_STUCK };

struct turns {
	struct list ready[TURNS];
	uint16_t n[TURNS]; /* entries in each */
	uint8_t last;      /* the queue that was served last */
};

struct dest {
	struct map_node node;   /* scheduler.dests, by key */
	struct heap_node timer; /* scheduler.timers, by the wall time of its next step */
	struct link runnable;   /* scheduler.runnable[standing], or lane.waiting */
	struct scheduler *scheduler;
	char *key;
	enum dest_state state;
	struct feedback feedback;
	struct link hungry;  /* scheduler.hungry: wants rows */
	struct turns *turns; /* owned; NULL: nothing is ready */
	struct lane *lane;   /* the rates of its route; NULL: none */
	unsigned ready_n, running, entries;
	unsigned failures; /* in a row, of the whole destination */
	bool proven;       /* the last job has got mail over, or a clear no */
	bool at_once; /* DOWN because TLS or our sign-in is refused: every message would
		       * fail alike */
	struct wall retry_at;      /* DOWN */
	struct verdict *reason;    /* owned: of the last failure; NULL: it works */
	struct wall head;          /* earliest row not in memory; ms = NO_HEAD: none */
	struct due_row seen;       /* rows up to here are in memory, or were */
	struct wall back;          /* a row of then has come while a slice was read */
	struct spool_query *fetch; /* under way */
	uint16_t *idle; /* owned: connections that each courier is believed to keep */
};

struct entry_key {
	uint64_t id;
	struct dest *dest;
};

struct entry {
	struct map_node node; /* scheduler.entries, by key */
	struct link link;     /* dest.ready[turn] */
	uint8_t turn;
	struct entry_key key;
	enum entry_state state;
	struct message
	    *message;   /* a reference while the content is kept in memory; or NULL */
	size_t courier; /* RUNNING: where */
	enum standing standing; /* RUNNING: of its destination when it began */
	struct wall began;      /* RUNNING: rows due later are not part of the job */
	bool again; /* other rows of it are due: look at them when this is over */
	bool probe;
	bool suspect; /* it is the one that is tried, until it is reported */
};

struct pause {
	struct link link;
	char *key;
	char *reason;
	struct wall until; /* 0: until resumed */
};

struct scheduler {
	struct loop *loop;
	struct world *world;
	struct log *log;
	struct spool *spool;
	struct courier *courier[COURIERS_MAX];
	unsigned load[COURIERS_MAX]; /* jobs running at each */
	size_t couriers;
	const struct config *config;
	const struct content_budget *budget;
	struct egress_counters *counters;
	struct health *health; /* owned; couriers use it through their jobs */
	struct throttle throttle;
	struct alarms alarms;

	struct map dests, entries;
	struct heap timers;
	struct list runnable[STANDINGS], hungry;
	enum standing served; /* the last one */
	unsigned fetching;
	unsigned running, busy[STANDINGS]; /* jobs; and by standing */
	struct list pauses;
	struct list held;    /* changes whose notice may yet tell of more failures */
	struct list changes; /* struct change under way, for the end */
	uint64_t suspect;    /* the message that is tried, by so many jobs: suspect.c */
	unsigned suspects;
	struct spool_query *roll;
	struct later pump;
	struct timer tick;
	struct spool_query *scan; /* reading all destinations at start, or a sweep */
	struct timer sweep_timer;
	uint64_t warn_mark, expire_mark, bounce_mark; /* sweep positions: ids */
	uint64_t unswept; /* the first whose change was not written; 0: none */
	struct wall
	    sweep_wall; /* clocks at the last sweep: a jump is seen by comparing them */
	struct instant sweep_mono, expire_hold;
	bool started, draining;
	void (*on_idle)(void *arg);
	void *on_idle_arg;
};

static inline struct wall
scheduler_now(const struct scheduler *s)
{
	return world_wall(s->world);
}

/* ---- dest.c */
struct dest *dest_get(struct scheduler *s, struct span key); /* made if need be */
struct dest *dest_find(const struct scheduler *s, struct span key);
void dest_expect(struct dest *d, struct wall due); /* a row due then is in the spool */
void dest_wake(struct dest *d);                    /* look again what is to be done */
void dest_step(struct dest *d);          /* its timer has come, or dest_wake() */
bool dest_may_run(const struct dest *d); /* a slot is free and something is ready */
/* A session could not be had. at_once: it is no use to try with another message. */
void dest_failed(struct dest *d, const struct verdict *why, bool at_once);
void dest_worked(struct dest *d);
void dest_probe_now(struct dest *d);                     /* an administrator asks */
void dest_look_again(struct dest *d, struct wall from);  /* rows of then may be new */
const struct verdict *dest_reason(const struct dest *d); /* code 0: none */
size_t dest_in_turn(const struct dest *d, uint8_t turn); /* ready entries of a queue */
void
dest_drop_ready(struct dest *d); /* forget ready entries; their rows are in the spool */
void dest_free_unused(struct dest *d); /* if nothing refers to it any more */
void dest_free(struct dest *d);
struct entry *entry_find(const struct scheduler *s, uint64_t id, struct dest *d);
struct entry *
entry_new(struct dest *d, uint64_t id, struct message *m); /* READY, not yet listed */
void entry_ready(struct entry *e);
struct entry *dest_next(struct dest *d);  /* whose turn it is, taken out; NULL: nobody */
bool dest_has_room(const struct dest *d); /* for one more entry */
/* The queue for fresh mail of this message's client. */
uint8_t dest_turn(const struct dest *d, const struct message *m);
void dest_configure(struct dest *d); /* its limits, from the configuration in force */
void entry_free(struct entry *e);

enum standing dest_standing(const struct dest *d);

/* ---- scheduler.c */
void scheduler_line_up(struct dest *d); /* it has something ready and a connection free */
void scheduler_count(struct entry *e, int n); /* its job has begun (1), is over (-1) */
void scheduler_pump_soon(struct scheduler *s);
void scheduler_arm(struct scheduler *s);
const struct pause *scheduler_paused(const struct scheduler *s, const struct dest *d);
void scheduler_check_idle(struct scheduler *s);

/* ---- change.c: one report on its way to the spool, with the notices it calls for */

struct notice_item {
	uint16_t index;
	enum notice_kind kind;
	char status[16];
	/* from the outcome, taken when the change is submitted */
	char *reply,
	    *host; /* owned; NULL: nothing was said now, what was said before counts */
	bool attempted;
};

struct change {
	struct link link; /* scheduler.changes */
	struct scheduler *scheduler;
	struct entry *entry; /* REPORTING; freed when the change is over; may be NULL */
	struct dest *dest;
	struct report *report;    /* owned until given to the spool */
	uint64_t id;              /* of the message */
	struct notice_item *item; /* owned */
	size_t items;
	const struct config *config; /* a reference: routes for the notices */
	struct spool_query *query;
	struct spool_request *request;
	struct job *job; /* kept to report again if the disk refuses now; may be NULL */
	struct timer again;
	struct wall earliest; /* of the WAIT outcomes; NO_HEAD: none */
	char *wake; /* owned; this destination is looked at when it is written; or NULL */
	struct link
	    held; /* scheduler.held: failures that wait for the message's other jobs */
	struct change *then; /* given to the spool when this one is there (its notice
			      * tells of that one's recipients as well); NULL: none */
	void (*done)(void *arg, enum err e);
	void *arg;
};

struct change *change_new(struct scheduler *s, struct entry *e, struct report *r);
void change_notice(
    struct change *c, uint16_t index, enum notice_kind kind, const char *status);
void change_submit(struct change *c);
/* What the disk has refused is tried now, for the last time. */
void changes_drain(struct scheduler *s);
void change_abandon(struct change *c); /* at the end of the process */

/* ---- outcome.c */
void on_job_ended(struct job *j);

/* ---- suspect.c: messages that relayd had in hand when it crashed */

/* What is kept as the reply of a recipient that is set aside for it. */
#define SUSPECT_REPLY "set aside: relayd has crashed"

/* True: another one is tried just now, and this one comes back to it later. */
bool suspect_waits(struct entry *e);
void suspect_ended(struct entry *e);        /* the next one may be tried */
void suspect_reported(const struct job *j); /* on disk: did it come through? */
bool suspect_is_aside(uint64_t id, const struct recipient *r); /* for our crashes */
void suspects_call(struct scheduler *s); /* those that have gone are forgotten */

/* ---- sweep.c */
void sweep_start(struct scheduler *s);
void sweep_stop(struct scheduler *s);
/* What a sweep wanted of this message was not written: the next one looks again. */
void sweep_failed(struct scheduler *s, uint64_t id, enum err e);
bool sweep_may_expire(
    const struct scheduler *s); /* false for a while after the clock jumped ahead */

/* All unfinished recipients of m fail with this reply (empty: the last one known, else
 * that of the destination), or those for which `chosen` holds; busy ones are skipped
 * (*busy counts them). done(arg, OK) comes once per destination; returns how many
 * recipients it concerns. */
struct fail_all {
	const struct message *m;
	const char *status;
	struct verdict verdict;
	bool (*chosen)(void *arg, const struct recipient *r);
	void (*done)(void *arg, enum err e);
	void *arg;
	unsigned busy, changes;
};
unsigned fail_recipients(struct scheduler *s, struct fail_all *f);

#endif
