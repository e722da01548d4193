/* SPDX-License-Identifier: ISC */
/*
 * egress - mail on its way out.
 *
 * The scheduler (one, on the main thread) knows destinations and times, never
 * contents.  All mail with one destination key (policy: route_key) shares one
 * queue, its connections and its fate.  Couriers (one per io thread) know the
 * DNS, connections and contents, never times.  Between them travels a job: one
 * message for one destination, there and back through the inboxes.
 *
 *	spool --on_accepted--> scheduler --job--> courier --> next hop
 *	spool <----report----- scheduler <--job-- courier
 *
 * What a route says of the way out is obeyed in these rooms: hops.h (whom to dial,
 * and how), throttle.h (its rates), health.h (which of its hosts do not work),
 * alarm.h (who must be told that a sign-in is refused), rewritten.h (addresses), failed.h
 * (what is kept of mail that failed).
 *
 *	for each io thread: couriers[i] = courier_new(&courier_options);
 *	s = scheduler_new(&scheduler_options);
 *	scheduler_start(s);                     reads what waits in the spool
 *	scheduler_accepted(s, m, n);            the spool's on_accepted
 *	scheduler_drain(s, on_idle, arg);       no new jobs; told when none runs
 *	courier_free(&c)                        on its thread; jobs come back cancelled
 *	scheduler_free(&s)                      when they have come back
 */
#ifndef RELAY_EGRESS_EGRESS_H
#define RELAY_EGRESS_EGRESS_H

#include "base/histogram.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/tls.h"
#include "relay/config.h"
#include "resolver/resolver.h"
#include "spool/spool.h"

/* ---- courier: an io thread's outgoing side */

struct courier;
struct directory;
struct egress_counters;

struct courier_options {
	struct loop *loop;
	struct log *log;
	struct spool *spool;
	struct resolver *resolver;        /* borrowed; the same thread's */
	const struct config *config;      /* a reference is taken */
	struct directory *directory;      /* borrowed; NULL: nobody has a mailbox */
	struct egress_counters *counters; /* borrowed; NULL: nobody counts */
};

struct courier *courier_new(const struct courier_options *o);
void courier_free(struct courier **c); /* open connections are closed at once */
void courier_reload(
    struct courier *c, const struct config *config); /* on the courier's thread */
void courier_close_idle(struct courier *c);          /* QUIT all unused connections */

/* ---- scheduler: the main thread's side */

struct scheduler;

/* Why recipients came back, by the enhanced status (RFC 3463 3.2 to 3.8). */
enum bounce_class {
	BOUNCE_OTHER,    /* x.0.z, and none */
	BOUNCE_ADDRESS,  /* x.1: there is no such address */
	BOUNCE_MAILBOX,  /* x.2: full, disabled */
	BOUNCE_SYSTEM,   /* x.3 */
	BOUNCE_NETWORK,  /* x.4: routes and hosts */
	BOUNCE_PROTOCOL, /* x.5 */
	BOUNCE_CONTENT,  /* x.6 */
	BOUNCE_POLICY,   /* x.7: security and policy */
	BOUNCE_EXPIRED,  /* tried for as long as the configuration says */
	BOUNCE_CLASSES
};
const char *bounce_class_name(enum bounce_class c);

struct egress_counters {
	atomic_uint_fast64_t fetches, rows; /* slices of the schedule, rows in them */
	atomic_uint_fast64_t attempts, delivered, deferred, failed, notices, duplicates;
	atomic_uint_fast64_t bounced_by[BOUNCE_CLASSES];
	/* connections that mail could be sent on: by TLS version, or without */
	atomic_uint_fast64_t tls[TLS_VERSIONS], clear;
	atomic_uint_fast64_t tls_failed; /* those that TLS has kept from that */
	struct histogram seconds;        /* from arrival to delivery, of each recipient */
};
void egress_counters_init(struct egress_counters *c);
void egress_count_connection(
    struct egress_counters *c, const struct tls_info *tls); /* NULL: in the clear */
void egress_count_bounce(struct egress_counters *c, const char *status); /* "5.4.7" */

struct scheduler_options {
	struct loop *loop;
	struct log *log;
	struct spool *spool;
	struct courier **courier; /* the array is copied */
	size_t couriers;
	struct egress_counters *counters;
	const struct content_budget
	    *budget; /* over it, fresh mail is not kept in memory; may be NULL */
	const struct config *config; /* a reference is taken */
};

struct scheduler *scheduler_new(const struct scheduler_options *o);
void scheduler_free(struct scheduler **s);
void scheduler_start(struct scheduler *s);
void scheduler_reload(struct scheduler *s, const struct config *config);
void scheduler_accepted(
    struct scheduler *s, struct message **m, size_t n); /* takes the references */
void scheduler_drain(struct scheduler *s, void (*on_idle)(void *arg), void *arg);

/* ---- what an administrator does; each tells done(arg, applied) once, on the main loop
 */

enum admin_action {
	ADMIN_RETRY, /* due now, and a destination that is down is probed at once */
	ADMIN_HOLD,
	ADMIN_RELEASE, /* due now, if held */
	ADMIN_BOUNCE,  /* failed now, with a notice that says an administrator did it */
	ADMIN_DELETE,  /* gone, without a notice */
};

/*
 * Act on recipients of one message: those with an index in `index` (n of them),
 * or all if index is NULL.  A recipient that is being delivered right now is
 * left alone.  applied: how many recipients it applied to.
 */
void scheduler_act(struct scheduler *s, enum admin_action action, const struct message *m,
    const uint16_t *index, size_t n, void (*done)(void *arg, unsigned applied),
    void *arg);

/*
 * Stop (until > 0: until then; 0: until resumed) or go on delivering: key is a
 * destination key, "route:NAME", or "out" for everything.  Lasts until a restart.
 */
void scheduler_pause(
    struct scheduler *s, struct span key, struct wall until, struct span reason);
bool scheduler_resume(struct scheduler *s, struct span key); /* false: was not paused */

/* ---- what an administrator sees */

struct scheduler_status {
	uint64_t destinations, down, running, ready, paused;
	uint64_t stuck;       /* damaged in the spool, and not tried */
	bool all_paused;      /* "out" */
	struct wall next_due; /* the scheduler's next step; 0: nothing waits for a time */
};
void scheduler_status(const struct scheduler *s, struct scheduler_status *out);

struct destination_view {
	struct span key;
	const char *state; /* "up", "down", "probing", "paused" */
	unsigned running, ready, window;
	unsigned failures;  /* in a row */
	struct wall next;   /* of the next attempt; 0: now or nothing waits */
	struct span reason; /* the last failure; empty: none */
};
/* The messages that are being delivered just now; one may be told several times. */
void scheduler_each_running(
    const struct scheduler *s, void (*told)(void *arg, uint64_t id), void *arg);

/* told(arg, view) for each destination in memory. */
void scheduler_each_destination(const struct scheduler *s,
    void (*told)(void *arg, const struct destination_view *v), void *arg);

/* Why this recipient has not gone out yet and when it moves next: one or two sentences.
 */
void scheduler_explain(const struct scheduler *s, const struct message *m,
    const struct recipient *r, struct buf *out);

/* Whether somebody has this waiting recipient in hand, or will look at its row when it is
 * due: what must hold of each; the watchdog asks. */
bool scheduler_will_come_back(
    const struct scheduler *s, const struct message *m, const struct recipient *r);

/* When the next attempt for it will be made; 0: now or running. */
struct wall scheduler_next_attempt(
    const struct scheduler *s, const struct message *m, const struct recipient *r);

#endif
