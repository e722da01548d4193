/* SPDX-License-Identifier: ISC */
/*
 * daemon_rig - a whole relayd on one loop, with a real spool, a scripted DNS and nobody
 * to dial: what the fuzz targets of SMTP sessions and of the control protocol talk to.
 * Mail that it takes is for a route that throws it away, a mailbox, or a next hop that
 * cannot be reached.
 *
 *	struct daemon_rig *r = daemon_rig_new();
 *	int fd = daemon_rig_connect(r, "smtp");        NULL: an administrator
 *	daemon_rig_send(r, fd, octets, piece)          in pieces of so many octets
 *	daemon_rig_end(r, fd)                          nobody stays behind
 */
#ifndef TESTS_DAEMON_RIG_H
#define TESTS_DAEMON_RIG_H

#include "relay/daemon.h"
#include "tests/lib/fake_world.h"

struct daemon_rig {
	struct fake_world world;
	struct log *log;
	struct daemon *daemon;
	size_t answers;  /* lines that came back since daemon_rig_connect() */
	size_t promises; /* of them: "queued as" */
	char tail[16];   /* of what came back, across pieces */
	size_t tail_n;
};

struct daemon_rig *daemon_rig_new(void);
int daemon_rig_connect(struct daemon_rig *r, const char *listener);
void daemon_rig_send(struct daemon_rig *r, int fd, struct span octets, size_t piece);
/* Closes it and CHECKs that its session ends. */
void daemon_rig_end(struct daemon_rig *r, int fd);
/* Messages in the spool. */
uint64_t daemon_rig_messages(struct daemon_rig *r);

#endif
