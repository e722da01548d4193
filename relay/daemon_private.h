/* SPDX-License-Identifier: ISC */
/*
 * daemon_private - what the files of the daemon share:
 *
 *	daemon.c          start, reload, the end
 *	daemon_workers.c  io threads, and calls to them and back
 *	daemon_sockets.c  what is bound while we still may; privileges
 *	daemon_secrets.c  the helper, the sandbox, files that change
 *	daemon_directory.c  what is known of accounts follows them
 *	daemon_host.c     what control asks of us
 *	daemon_watch.c    what a service manager hears; where the spool lies
 */
#ifndef RELAY_DAEMON_PRIVATE_H
#define RELAY_DAEMON_PRIVATE_H

#include <pthread.h>

#include "base/content.h"
#include "base/pool.h"
#include "relay/control/control.h"
#include "relay/control/page.h"
#include "relay/daemon.h"
#include "relay/egress/retention.h"
#include "relay/directory.h"
#include "relay/ingress/ingress.h"
#include "relay/imap/desk.h"
#include "relay/imap/patrons.h"
#include "relay/imap/view.h"
#include "relay/pickup/pickup.h"

#define WORKERS_MAX 64

struct worker {
	struct daemon *daemon;
	pthread_t thread;
	bool running;
	struct loop *loop; /* the main loop in single mode */
	struct resolver *resolver;
	struct list probes; /* under way on its thread */
	struct signin *signin;
	struct ingress *ingress;
	struct pickup *pickup;
	unsigned full; /* of ingress and pickup, while it drains: its own thread's */
	struct courier *courier;
	struct ingress_counters counters;
	/* the watch's, of the main thread */
	bool asked;      /* whether it comes round, and has not answered */
	unsigned missed; /* turns of the watch in a row */
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
	struct pickup_counters pickup_counters;
	struct resolver_counters resolver_counters;
	struct drops *drops;
	struct hub *hub;
	struct patrons *patrons;
	struct desk *desk;
	atomic_bool paused_in;
	struct worker worker[WORKERS_MAX];
	unsigned workers;
	struct scheduler *scheduler;
	struct retention *retention;
	struct control *control;
	struct page *page;
	struct bound *bound; /* sockets not yet served */
	size_t bounds;
	int control_fd;              /* likewise; -1: none */
	int submit_fd;               /* likewise */
	int web_fd[CONFIG_BIND_MAX]; /* likewise, of the status page */
	size_t web_fds;
	struct helper *helper;        /* NULL in single mode */
	struct signin_engine *engine; /* in single mode */
	struct signin *signin;        /* the main thread's */
	struct meters *meters;
	struct directory *directory;
	struct timer directory_again; /* read the accounts again after a failure */
	bool directory_failed;        /* that is logged */
	struct list account_changes;  /* the directory is about to know them */
	struct timer look_at_files;
	bool started;
	/* the end */
	bool stopping, stopped, scheduler_idle;
	unsigned full_workers; /* that still have sessions */
	struct timer drain_timer;
	int status;
	struct timer tidy;
	size_t kept; /* mem_give_back() */
	/* the service manager's */
	struct service *service; /* borrowed; NULL: there is none */
	struct timer watch;
	unsigned silent; /* threads that have not answered yet */
	unsigned writer_missed;
	unsigned still;       /* threads that stand still */
	uint64_t still_id;    /* the message that one has in hand; 0: none */
	uint64_t spool_turns; /* when the last answer was asked for */
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

/* ---- daemon_secrets.c */
enum err open_accounts(struct daemon *d, struct buf *why);
void close_accounts(struct daemon *d);
struct signin *daemon_signin(struct daemon *d, struct loop *l, unsigned channel);
struct signin_settings daemon_signin_settings(const struct config *c);
void close_sandbox(struct daemon *d); /* before the first thread */
void watch_files(struct daemon *d);

/* ---- daemon_directory.c */
void directory_open(struct daemon *d);  /* nothing is known yet */
void directory_start(struct daemon *d); /* the main thread's signin is there */
/* An account has come, changed or gone; told comes once, later, when that is in force.
 * ends: whoever is signed in as it must go. */
void directory_changed(
    struct daemon *d, struct span name, bool ends, void (*told)(void *arg), void *arg);
void directory_close(struct daemon *d); /* after the main thread's signin */

/* ---- daemon_watch.c */
void watch_start(struct daemon *d); /* READY=1, and from now on the watchdog */
void watch_reloading(struct daemon *d, bool begins);
void watch_stopping(struct daemon *d);
void watch_end(struct daemon *d);
/* A spool that a restart may take away is said so, loudly. */
void warn_of_place(struct daemon *d);

/* ---- daemon_host.c */
struct control_host daemon_host(struct daemon *d);
struct page_host daemon_page_host(struct daemon *d);
void probes_end(struct worker *w); /* on its thread, before its courier ends */

#endif
