/* SPDX-License-Identifier: ISC */
/*
 * spool - what is on disk.
 *
 * All changes are requests to one writer thread, which takes everything that
 * waits, applies it in one transaction, commits (synced), and then tells each
 * requester through his inbox: the commit in progress is the window in which
 * the next batch gathers.  A request's success means that it is on disk.
 *
 *	spool_open(&s, &options, &why);
 *	q = spool_accept_start(s, message, loop_inbox(l), on_stored, session);
 *	... on_stored(session, OK): now 250 may be said
 *	spool_close(&s);          takes and commits what is queued first
 *
 * start never fails and never calls back before it has returned; the callback
 * comes exactly once, on the loop whose inbox was given; after
 * spool_cancel(&q) it never comes.
 *
 * Reading happens on snapshots: spool_query_start() runs a function with a
 * reader in the pool and then its done() on the asking loop.  Programs that
 * work on a spool offline (relayctl) open it and use a reader directly.
 *
 * spool/STATES.md says which states a message can be in, who moves it, and
 * which invariants hold.  ERR_FULL and ERR_DISK_FULL refuse new mail and leave
 * everything as it was; any other failed commit is final: the spool turns
 * every further request away with ERR_IO and calls on_failure once.
 */
#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include "base/histogram.h"
#include "base/inbox.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/pool.h"
#include "spool/message.h"

struct spool;
struct spool_reader;
struct spool_request;

struct spool_options {
	const char *path; /* directory; made (0700) if create is set */
	bool create;
	bool
	    read_only; /* for looking at a stopped spool: no writer, no lock taken away */
	bool thorough; /* look at every page of the database first (pages.h): as long as
			  reading it takes */
	bool hands;    /* what the threads have in hand is noted in the file `hands`
			  (base/hand.h) */
	unsigned node; /* 0..1023, part of every id */
	uint64_t max_size;   /* quota for content and records; 0: none */
	uint64_t min_free;   /* refuse new mail when the file system has less; 0: never */
	uint64_t inline_max; /* larger content goes to a file; 0: 256 KiB */
	uint64_t zeros_from; /* a database of this size gets zeros behind its end, so that
				it grows faster (ahead.c); 0: 32 MiB */
	unsigned history_days; /* of what became of each recipient (history.h); 0: none */
	uint64_t history_max;  /* octets of all of it; 0: no bound */
	/* The one spelling of a mailbox's name. Those of a spool that has them as they were
	 * typed are put into it. NULL: they are left. */
	void (*spell)(struct span name, struct buf *out);
	struct world *world;
	struct log *log;
	struct pool *pool; /* for reads and files; NULL only with read_only */
	struct loop *
	    loop; /* not NULL: no thread, write at the end of this loop's turns (talks) */
	/* Told after each commit, through this inbox: newly waiting messages, notices
	 * included. Each reference is handed over. May be NULL. */
	struct inbox *accepted_inbox;
	void (*on_accepted)(void *arg, struct message **m, size_t n);
	/* Told once if the spool can no longer be written (same inbox). */
	void (*on_failure)(void *arg, enum err e);
	void *arg;
};

/* On error *out is NULL and `why` is one sentence that says what to do. ERR_BUSY: another
 * process has it; ERR_VERSION: a newer relayd wrote it (nothing is touched). */
enum err spool_open(struct spool **out, const struct spool_options *o, struct buf *why);
void spool_close(struct spool **s);

/* How often the writer's thread has come round: at least once a second, unless a commit
 * takes longer.  Any thread. */
uint64_t spool_turns(const struct spool *s);

/* ---- room for new mail (any thread, no system call) */

/* OK, ERR_FULL (quota) or ERR_DISK_FULL (free space), for a message of so many octets;
 * ERR_IO once the spool has failed. */
enum err spool_admit(const struct spool *s, uint64_t size);

/* ---- the content of a message that is arriving */

/*
 * Bytes go in as they come; small content stays in memory, large content (over
 * inline_max, or over the budget) is written to a file meanwhile by the pool.
 * While spool_body_busy(), stop reading: on_room comes when there is room.
 */
struct spool_body;

struct spool_body_result {
	struct content *content; /* sealed; a reference is handed over */
	uint64_t file;           /* 0: inline */
	uint32_t crc;
};

struct spool_body *spool_body_new(struct spool *s, struct loop *l,
    struct content_budget *budget, void (*on_room)(void *arg), void *arg);
void spool_body_add(struct spool_body *b, struct span bytes);
bool spool_body_busy(const struct spool_body *b);
uint64_t spool_body_size(const struct spool_body *b);
/* No more bytes. done comes once, later: OK and the result, or why it could not be
 * written. */
void spool_body_finish(struct spool_body *b,
    void (*done)(void *arg, enum err e, const struct spool_body_result *r), void *arg);
/* Give up, or let go once the content was given to spool_accept_start(): a file that no
 * message holds in the end is removed. */
void spool_body_free(struct spool_body **b);

/* ---- changes */

typedef void spool_done_fn(void *arg, enum err e);

/*
 * Store m and its recipients, due at rcpt[i].due (0: now).  Takes a reference.
 * m->id is set before done; the 13 characters at prefix + id_at are written.
 * ERR_RANGE: it cannot be stored (a destination's key of no octets or over 299,
 * neither recipient nor drop, no content, an envelope of megabytes); the spool goes on.
 */
struct spool_request *spool_accept_start(struct spool *s, struct message *m,
    struct inbox *reply, spool_done_fn *done, void *arg);

/* Not told any more; if the writer has not taken the request yet, it is dropped. *q may
 * be NULL. */
void spool_cancel(struct spool_request **q);

enum outcome_kind {
	OUTCOME_DELIVERED, /* finished: the next hop has it */
	OUTCOME_FAILED,    /* finished: for good */
	OUTCOME_DELETED,   /* finished: an administrator's word */
	OUTCOME_WAIT,      /* waits until due (also: retry now, release) */
	OUTCOME_HELD,      /* waits for an administrator */
	OUTCOME_ASIDE,     /* damaged: kept for inspection */
	OUTCOME_MOVED,     /* waits until due for another destination */
};

struct outcome {
	uint16_t index; /* of the recipient */
	enum outcome_kind kind;
	bool attempted; /* count an attempt, set first_try and last_try, reply and host */
	struct wall due; /* WAIT, MOVED */
	struct span reply, host;
	struct span dest; /* MOVED: the new key */
	const struct drop
	    *drop; /* DELIVERED, FAILED: into these mailboxes, in the same transaction */
	size_t drops;
};

/* What became of some recipients of one message at one destination: one transaction. */
struct report {
	uint64_t id;
	struct span dest;
	struct wall when;
	bool warned;             /* set the message's warned mark */
	struct outcome *outcome; /* report_add() */
	size_t outcomes;
	struct message *notice[2]; /* stored in the same transaction if any outcome
				      applied; may be NULL */
	/* private */
	struct report_memory *memory;
	struct drop **drop;
	size_t drops, cap;
};

struct report *report_new(uint64_t id, struct span dest, struct wall when);
void report_add(struct report *r, const struct outcome *o); /* spans are copied */
/* One mail more for outcome i, which is DELIVERED or FAILED and has none: copied. */
void report_keep(struct report *r, size_t i, const struct drop *d);
void report_free(struct report **r); /* notices too */

/*
 * Apply a report (takes it).  Recipients that are gone meanwhile are skipped;
 * ERR_NOT_FOUND if that was all of them (notices are then not stored).  When
 * the last recipient is finished the message and its content go in the same
 * transaction.  A report without outcomes marks the message as warned and
 * stores its notices, once: ERR_NOT_FOUND if it is marked already.
 */
struct spool_request *spool_report_start(struct spool *s, struct report *r,
    struct inbox *reply, spool_done_fn *done, void *arg);

/* A named number that outlives the process (sweep positions). */
struct spool_request *spool_mark_start(struct spool *s, const char *name, uint64_t value,
    struct inbox *reply, spool_done_fn *done, void *arg);

/*
 * While it is kept (each true has its false), the files of messages that are gone stay
 * under big/: for whoever copies the spool from outside.
 */
void spool_keep_files(struct spool *s, bool keep);

/* ---- snapshot reads */

/*
 * run(reader, arg) in the pool, then done(arg) on the loop of `reply`.  After
 * spool_cancel_query(&q) done never comes, but run may still be running: arg is
 * then given to drop(arg) on that loop when it is over (may be NULL).
 */
struct spool_query;
struct spool_query *
spool_query_start(struct spool *s, void (*run)(struct spool_reader *, void *arg),
    void (*done)(void *arg), void (*drop)(void *arg), void *arg, struct inbox *reply);
void spool_cancel_query(struct spool_query **q);

/* For one thread at a time. Each function below reads one snapshot and lets it go. */
struct spool_reader *spool_reader_new(struct spool *s);
void spool_reader_free(struct spool_reader **r);

/* One message with its unfinished recipients; with its content if asked (checked:
 * ERR_DAMAGED). */
enum err spool_read_message(
    struct spool_reader *r, uint64_t id, bool with_content, struct message **out);

/* Up to max messages with id > after, by id, without content; *n may be 0 at the end. */
enum err spool_read_messages(
    struct spool_reader *r, uint64_t after, struct message **out, size_t max, size_t *n);

/* What waits for one destination: rows by (due, id), strictly after the cursor, due <=
 * until. */
struct due_row {
	struct wall due;
	uint64_t id;
};
enum err spool_read_due(struct spool_reader *r, struct span dest, struct due_row after,
    struct wall until, struct due_row *out, size_t max, size_t *n);

/* All destinations with waiting mail, by internal order, up to max of them: start with
 * *cursor = 0; fewer than max only at the end. */
struct dest_row {
	uint32_t number;
	char key[300];
	struct wall head; /* earliest due */
};
enum err spool_read_dests(struct spool_reader *r, uint32_t *cursor, struct dest_row *out,
    size_t max, size_t *n);

uint64_t spool_read_mark(struct spool_reader *r, const char *name); /* 0 if never set */

struct spool_stat {
	uint64_t messages, recipients, waiting_rows, destinations;
	uint64_t kept;       /* messages that only mailboxes hold */
	uint64_t mails;      /* in all mailboxes */
	uint64_t bytes;      /* content and records, as the quota counts */
	uint64_t file_bytes; /* of data.mdb, with the zeros behind its end */
	uint64_t free_pages, used_pages;
	uint64_t commits, flush_us_total, requests; /* since start */
	uint64_t disk_free;
};
enum err spool_read_stat(struct spool_reader *r, struct spool_stat *out);

/* The writer's figures, counted as it goes; of any thread to read. */
struct spool_meters {
	struct histogram commit_us; /* a transaction's commit, its flushes included */
	struct histogram batch;     /* requests that shared one */
	atomic_int_fast64_t committing_since; /* world's instant, ms; 0: no commit runs */
};
const struct spool_meters *spool_meters(const struct spool *s);

/*
 * Check every invariant of STATES.md and every checksum; told(arg, sentence) for
 * each violation, progress(arg, done, total), which may be NULL, now and then and at
 * the end.  Returns OK with *found = how many.
 */
enum err
spool_check(struct spool_reader *r, void (*told)(void *arg, const char *sentence),
    void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg,
    uint64_t *found);

#endif
