/* SPDX-License-Identifier: ISC */
/*
 * daemon_private - what the files of the daemon share:
 *
 *	daemon.c          start, reload, the end
 *	daemon_workers.c  io threads, and calls to them and back
 *	daemon_sockets.c  what is bound while we still may; privileges
 *	daemon_secrets.c  the helper, the sandbox, files that change
 *	daemon_host.c     what control asks of us
 */
#ifndef RELAY_DAEMON_PRIVATE_H
#define RELAY_DAEMON_PRIVATE_H

#include <pthread.h>

#include "base/content.h"
#include "base/pool.h"
#include "relay/control/control.h"
#include "relay/daemon.h"
#include "relay/ingress/ingress.h"

#define WORKERS_MAX 64

struct worker {
	struct daemon *daemon;
	pthread_t thread;
	bool running;
	struct loop *loop; /* the main loop in single mode */
	struct resolver *resolver;
	struct ingress *ingress;
	struct courier *courier;
	struct ingress_counters counters;
};

/* Bound while we may still bind low ports; served when everything else stands. */
struct bound {
	int fd;
	const char *name; /* of the listener; borrowed from the configuration */
	unsigned worker;
};

struct daemon {
	struct world *world;
	struct log *log;
	bool single;
	const struct config *config;
	char *config_file;
	struct loop *loop;
	struct pool *pool;
	struct spool *spool;
	struct content_budget budget;
	struct census *census;
	struct ingress_counters ingress_counters;
	struct egress_counters egress_counters;
	atomic_bool paused_in;
	struct worker worker[WORKERS_MAX];
	unsigned workers;
	struct scheduler *scheduler;
	struct control *control;
	struct bound *bound; /* sockets not yet served */
	size_t bounds;
	int control_fd; /* likewise; -1: none */
	bool started;
	/* the end */
	bool stopping, stopped, scheduler_idle;
	unsigned full_workers; /* that still have sessions */
	struct timer drain_timer;
	int status;
};

/* ---- daemon_workers.c */

/* Run fn(w, arg) on the worker's thread, or on the main one. */
void call_worker(struct worker *w, void (*fn)(struct worker *, void *), void *arg);
void call_main(struct worker *w, void (*fn)(struct worker *, void *), void *arg);

unsigned worker_count(const struct daemon *d);
enum err open_workers(struct daemon *d, const struct daemon_options *o, struct buf *why);
void workers_run(struct daemon *d);
void workers_join(struct daemon *d);

/* ---- daemon_sockets.c */
enum err bind_sockets(struct daemon *d, struct buf *why);
void serve_sockets(struct daemon *d);
void close_sockets(struct daemon *d); /* those that are not served */
enum err drop_privileges(struct daemon *d, struct buf *why);

/* ---- daemon_host.c */
struct control_host daemon_host(struct daemon *d);

#endif
