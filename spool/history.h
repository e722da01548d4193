/* SPDX-License-Identifier: ISC */
/*
 * history - what became of each recipient, kept for some days.
 *
 * The spool forgets a message with its last holder; "what happened to that
 * mail?" is asked afterwards.  The writer therefore notes, behind each commit,
 * what has become true in it: one event for each recipient, in the file of its
 * UTC day below history/.  A day's file is only ever appended to, with one
 * write() per batch and no flush; a day that is old enough, or over the size
 * that all of them may take, goes by unlink().
 *
 * Why files and not a second database: nothing is decided by history, so it
 * may lose its last moments when the power goes, and it must never slow the
 * commit down.  Five indexed inserts for each recipient would; appending costs
 * one system call per batch, and reading a day from end to end is as fast as
 * memory.  Each event has its own checksum, so damage costs the events in it
 * and no others.
 *
 *	struct history_cursor at = {0};                 from the oldest event on
 *	at.since = ...;                                 or from that time
 *	while (!at.done)
 *		spool_read_history(reader, &at, 4 MiB, on_event, arg);
 *
 * Events come in the order in which they were written, which is that of their
 * time unless the clock was set back.
 */
#ifndef SPOOL_HISTORY_H
#define SPOOL_HISTORY_H

#include "spool/spool.h"

enum history_kind {
	HISTORY_ACCEPTED = 1, /* on disk; with `owner` in that mailbox already */
	HISTORY_DELIVERED,    /* the next hop (or, with `owner`, the mailbox) has it */
	HISTORY_DEFERRED,     /* an attempt that did not succeed; tried again at `due` */
	HISTORY_FAILED,       /* for good */
	HISTORY_DELETED,      /* by an administrator */
	HISTORY_HELD,         /* waits for an administrator */
	HISTORY_RELEASED,     /* due again: released, or to be tried at once */
	HISTORY_MOVED,        /* to another destination: `dest` */
	HISTORY_ASIDE,        /* damaged, kept for inspection */
	HISTORY_KIND_END
};

struct history_event {
	enum history_kind kind;
	struct wall when;
	uint64_t id;
	uint64_t about;    /* ACCEPTED: a notice of ours about this message; 0: none */
	uint64_t size;     /* ACCEPTED: octets of the content */
	uint32_t attempts; /* so far, this one included */
	struct wall due;   /* DEFERRED, RELEASED; 0: none */
	struct span sender, recipient;
	struct span owner;             /* of the mailbox; empty: none */
	struct span client, account;   /* ACCEPTED: who handed it in */
	struct span message_id;        /* ACCEPTED: the header field; empty: none */
	struct span dest, host, reply; /* what the attempt was, and what came back */
};

/* At most so many recipients of one message get an event of their acceptance; what
 * becomes of them is noted for all. */
#define HISTORY_RCPT_MAX 1000
#define HISTORY_TEXT_MAX 320 /* octets of each span; longer ones are cut */
#define HISTORY_DAYS_MAX 3650

struct history_cursor {
	struct wall since; /* events before it are passed over; 0: from the oldest on */
	bool done;         /* nothing behind this */
	/* private */
	char day[16];
	uint64_t at;
};

/* "accepted", "delivered", ...; never NULL. */
const char *history_kind_name(enum history_kind k);

/*
 * Hand on the events behind the cursor: about `octets` of the files are read at
 * a time, so that a long search goes in slices.  on_event returns false to stop
 * right behind that event; the spans live as long as the call.  Damaged stretches are
 * passed over. OK also where there is no history at all; ERR_IO if a file cannot be read.
 */
enum err spool_read_history(struct spool_reader *r, struct history_cursor *at,
    size_t octets, bool (*on_event)(void *arg, const struct history_event *e), void *arg);

/* The time from which on a message's events can be found. */
struct wall history_begin(uint64_t id);

#endif
