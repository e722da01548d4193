/* SPDX-License-Identifier: ISC */
/*
 * tray - the relay's queue as mailboxes, for an administrator who looks at it with a mail
 * program: TRAY_QUEUE, all that is not delivered yet, and TRAY_HELD, what of it is held;
 * and TRAY_NONE, that nothing is in, for names that only take what is moved there.
 *
 * Each administrator has trays of his own, so that what he has read, marked and taken
 * from view is his, and nobody else's.  A tray is no table on disk: it is what the queue
 * held when somebody looked, in memory: the newest TRAY_MAX messages, and as many that
 * are held or aside, however old.  Its uids begin anew with each start, so flags that
 * outlive one would have no mail to belong to; its uidvalidity is the time at which it
 * was made.
 *
 *	set = spool_tray_enter(spool, account)  an administrator has signed in
 *	tray_of(set, TRAY_QUEUE)                the number of one of his trays
 *	spool_tray_leave(spool, set)            has gone; his trays wait for him
 *
 *	spool_tray_scan(reader, &scan)          in the pool: what the queue holds now
 *	tray_scan_active(scan, id)              being delivered: only the scheduler knows
 *	spool_tray_take_start(spool, scan, ...) what is new, gone or another state is told
 *
 * Whatever mailbox.h reads by number, and spool_mail_change_start(), works with a tray's
 * number as with any mailbox's, but copying from it and appending to it (ERR_RANGE), and
 * what went is never known (spool_read_gone: ERR_RANGE).  Keywords are a message's state
 * (enum tray_keyword) and cannot be stored; flags live in memory.  The own fields of a
 * mail (X-Relay-...) tell of its recipients as they are at the moment of reading; the
 * message itself is as it will be sent.
 *
 * Deleting a mail from a tray does nothing to the message: it is not shown any more until
 * its state is another one (then as a new mail).  Expunging takes only mails that have
 * MAIL_PICKED: something was done with them.
 */
#ifndef SPOOL_TRAY_H
#define SPOOL_TRAY_H

#include "spool/mailbox.h"

enum tray_kind { TRAY_QUEUE, TRAY_HELD, TRAY_NONE /* always empty */, TRAYS };

#define TRAY_SETS_MAX 32 /* that are looked at; others are dropped for them */
#define TRAY_MAX 10000
#define TRAY_RCPTS_SHOWN 50 /* recipients that the own fields tell of */

enum tray_keyword { /* also the words of relayctl's --state */
	TRAY_ACTIVE,
	TRAY_NEW, /* no attempt yet */
	TRAY_DEFERRED,
	TRAY_IS_HELD,
	TRAY_ASIDE,
	TRAY_KEYWORDS
};

bool tray_is(uint32_t number);

/* Any thread.  who: as long as it is the same, and there is room, the trays are the same.
 * Until it is left as often, scans are taken into them.  0: too many look. */
uint32_t spool_tray_enter(struct spool *s, struct span who);
void spool_tray_leave(struct spool *s, uint32_t set);
uint32_t tray_of(uint32_t set, enum tray_kind kind);

struct tray_scan;
/* ERR_NOT_FOUND never: an empty queue is one. */
enum err spool_tray_scan(struct spool_reader *r, struct tray_scan **out);
void tray_scan_active(struct tray_scan *s, uint64_t message);
void tray_scan_free(struct tray_scan **s); /* NULL inside is fine */

/* Takes the scan.  Once told (done), the trays are as it says. */
struct spool_request *spool_tray_take_start(struct spool *s, struct tray_scan *scan,
    struct inbox *reply, spool_done_fn *done, void *arg);

/* Which message a mail of a tray is; ERR_NOT_FOUND: not shown (any more).  Any thread. */
enum err
spool_tray_message(struct spool *s, uint32_t number, uint32_t uid, uint64_t *message);

#endif
