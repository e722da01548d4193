/* SPDX-License-Identifier: ISC */
/*
 * pickup_rig - whole sessions of POP3 or IMAP against a real spool and real accounts, on
 * one loop and a clock that we turn: what the fuzz targets of both talk to.
 *
 *	struct pickup_rig *p = pickup_rig_new("pop3");
 *	int fd = pickup_rig_connect(p);
 *	pickup_rig_send(p, fd, octets); pickup_rig_turns(p, fd);
 *	pickup_rig_end(p, fd);                 nobody stays behind
 *
 * The account is joe, with the password "Hello world!".
 */
#ifndef TESTS_PICKUP_RIG_H
#define TESTS_PICKUP_RIG_H

#include "relay/pickup/pickup.h"
#include "tests/lib/spool_rig.h"

struct pickup_rig {
	struct spool_rig *rig;
	struct signin_engine *engine;
	struct signin *signin;
	struct pickup *pickup;
	struct drops *drops;
	struct hub *hub;
	struct patrons *patrons;
	struct census *census;
	struct content_budget budget;
};

struct pickup_rig *pickup_rig_new(const char *protocol);
int pickup_rig_connect(struct pickup_rig *p); /* the client's end */
bool pickup_rig_send(struct pickup_rig *p, int fd, struct span octets);
/* A few turns; what comes back is thrown away. */
void pickup_rig_turns(struct pickup_rig *p, int fd);
/* Closes it, lets time pass until all sessions are over, and CHECKs that they are. */
void pickup_rig_end(struct pickup_rig *p, int fd);

uint64_t pickup_rig_mails(struct pickup_rig *p);
void
pickup_rig_fill(struct pickup_rig *p, unsigned mails); /* of joe's: so many at least */

#endif
