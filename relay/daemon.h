/* SPDX-License-Identifier: ISC */
/*
 * daemon - the rooms wired together: threads, who tells whom, start, reload,
 * drain, end.
 *
 * With `single` everything runs on one loop with the writer and the pool
 * inline: that is how talks replay days in milliseconds.  Otherwise there is
 * the main thread (scheduler, control, signals), one io thread per core
 * (ingress, courier, resolver), the spool's writer and the pool.
 *
 *	daemon_new(&d, &options, &why);
 *	status = daemon_run(d);          until daemon_stop() or a signal
 *	daemon_free(&d);
 */
#ifndef RELAY_DAEMON_H
#define RELAY_DAEMON_H

#include "base/log.h"
#include "base/loop.h"
#include "base/service.h"
#include "relay/config.h"
#include "relay/egress/egress.h"
#include "resolver/resolver.h"
#include "spool/spool.h"

struct daemon;

struct daemon_options {
	const struct config *config; /* a reference is taken */
	const char *config_file;     /* read again on SIGHUP; NULL: cannot be */
	struct world *world;
	struct log *log;
	bool single;
	bool sockets;            /* open the listeners and the control socket */
	bool signals;            /* SIGTERM, SIGINT: stop; SIGHUP: reload */
	struct service *service; /* the service manager's; borrowed; NULL: none */
	/* Makes the DNS transport of a loop; NULL: c-ares with the configuration's
	 * servers. */
	struct dns_transport *(*dns)(void *arg, struct loop *l);
	void *dns_arg;
};

/* On error *out is NULL and `why` says what to do. */
enum err daemon_new(struct daemon **out, const struct daemon_options *o, struct buf *why);
int daemon_run(struct daemon *d);   /* 0, or 74 (EX_IOERR) when the spool failed */
void daemon_stop(struct daemon *d); /* drain, then daemon_run() returns; main thread */
void daemon_free(struct daemon **d);

/* Read the configuration file again and put it in force; as control's reload. */
bool daemon_reload(struct daemon *d, struct buf *text);

/* ---- doors for the talks (single) */
struct loop *daemon_loop(struct daemon *d);
struct spool *daemon_spool(struct daemon *d);
struct scheduler *daemon_scheduler(struct daemon *d);
void
daemon_serve(struct daemon *d, int fd, const struct net_addr *peer, const char *listener);
void daemon_serve_control(struct daemon *d, int fd);
bool
daemon_stopped(const struct daemon *d); /* after daemon_stop(): everything has drained */

#endif
