/* SPDX-License-Identifier: ISC */
/*
 * pickup - held mail is fetched: the POP3 server (RFC 1939; 2449, 2595, 3206, 5034, 6856,
 * 8314) and the sessions of the IMAP server (relay/imap).  One pickup per io thread owns
 * its sessions; which maildrops are open is known to all threads together (struct drops),
 * and so is what is in IMAP's mailboxes (struct hub).
 *
 *	drops = drops_new(world);                         once
 *	p = pickup_new(&options);                         per io thread
 *	pickup_serve(p, fd, hop, peer, listener);         the ingress has accepted it
 *	pickup_reload(p, config);
 *	pickup_drain(p, on_empty, arg);
 *	pickup_free(&p);
 *
 * A session that is idle costs its struct and its io; what a mailbox needs in memory are
 * runs of uids, not its mails.  Nothing is deleted before QUIT, and QUIT is answered when
 * the deletions are on disk.
 */
#ifndef RELAY_PICKUP_PICKUP_H
#define RELAY_PICKUP_PICKUP_H

#include "base/log.h"
#include "base/loop.h"
#include "relay/config.h"
#include "relay/directory.h"
#include "relay/ingress/ingress.h"
#include "relay/signin/signin.h"
#include "spool/mailbox.h"

/* ---- drops: the maildrops that POP3 sessions have open, over all threads (a mutex) */

struct drops;
struct drops *drops_new(struct world *w);
void drops_free(struct drops **d);

/* Open an owner's maildrop, unless somebody has it, or (LOGIN-DELAY, RFC 2449 6.5) its
 * owner has signed in less than delay_ms ago. */
enum drops_answer { DROPS_TAKEN, DROPS_IN_USE, DROPS_TOO_EARLY };
enum drops_answer
drops_take(struct drops *d, struct span owner, struct instant now, int64_t delay_ms);
void drops_leave(struct drops *d, struct span owner); /* who has taken it */

struct pickup_counters {
	atomic_uint_fast64_t sessions, logins, failed_logins, retrieved, deleted, octets;
	atomic_uint_fast64_t tls[TLS_VERSIONS], tls_failed; /* handshakes */
};

struct patrons; /* relay/imap/patrons.h */
struct hub;     /* relay/imap/view.h */
struct desk;    /* relay/imap/desk.h */

struct pickup_options {
	struct loop *loop;
	struct signin *signin; /* of the same thread; NULL: nobody can sign in */
	struct log *log;
	struct spool *spool;
	struct directory *directory;
	struct drops *drops;
	struct patrons *patrons;       /* how many sessions each account has, by IMAP */
	struct hub *hub;               /* mailboxes in memory, for IMAP; of all threads */
	struct desk *desk;             /* NULL: nobody sees the queue */
	struct content_budget *budget; /* of messages that are appended */
	struct census *census;         /* sessions leave it at their end */
	struct pickup_counters *counters;
	const struct config *config; /* a reference is taken */
};

struct pickup;
struct pickup *pickup_new(const struct pickup_options *o);
void pickup_free(struct pickup **p); /* closes everything at once */

/* Serve a connection (takes it) that the census counts as `counted`. hop: who really is
 * at the other end, peer: as a proxy told it. */
void pickup_serve(struct pickup *p, int fd, const struct net_addr *hop,
    const struct net_addr *peer, const char *listener);

void pickup_reload(struct pickup *p, const struct config *config);

/* Each session is told at its next command ("-ERR [SYS/TEMP] ..."; idle ones at once),
 * but a message that is being sent, and a QUIT, are finished. */
void pickup_drain(struct pickup *p, void (*on_empty)(void *arg), void *arg);
unsigned pickup_sessions(const struct pickup *p);

/* Sessions of this account end (it was deleted, disabled, or its password changed). */
void pickup_end_account(struct pickup *p, struct span owner);

#endif
