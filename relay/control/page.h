/* SPDX-License-Identifier: ISC */
/*
 * page - figures, health and the status page, by HTTP, on the main thread.
 *
 *	/metrics  Prometheus text; names in relayd-metrics(7)
 *	/healthz  every thread turns        /readyz  mail is taken
 *	/         the status page: figures and plots for whoever may connect; addresses,
 *	          search and actions for who has signed in
 *
 * Without signing in nothing is told of any address, domain or message.  What the pages
 * show and do they ask of control (control_ask), as relayctl does: one set of commands,
 * one journal.  Who may sign in: an account with a secret for the service "queue", as for
 * IMAP's folder Queue; guesses are counted by signin's guard.
 *
 *	p = page_new(&options);
 *	page_listen(p, fd);          takes it
 *	page_free(&p);               before control, the scheduler and the spool
 */
#ifndef RELAY_CONTROL_PAGE_H
#define RELAY_CONTROL_PAGE_H

#include "base/content.h"
#include "relay/control/control.h"

/* What the page asks of the daemon around it. */
struct page_host {
	const struct config *(*config)(void *arg); /* borrowed until the next turn */
	unsigned (*sessions)(void *arg);           /* open connections, all threads */
	/* NULL: mail is taken; else why it is not. */
	const char *(*not_ready)(void *arg);
	bool (*paused_in)(void *arg);
	/* back(back_arg) comes on the main loop when thread i (from 0) has turned once.
	 */
	void (*ping)(void *arg, unsigned i, void (*back)(void *back_arg), void *back_arg);
	unsigned (*still)(void *arg); /* threads that stand still; NULL: nobody looks */
	unsigned threads;             /* at most PAGE_THREADS_MAX */
	void *arg;
};

#define PAGE_THREADS_MAX 64

struct page_options {
	struct loop *loop;
	struct log *log;
	struct spool *spool;
	struct scheduler *scheduler;
	struct control *control;
	struct signin *signin; /* NULL: nobody can sign in */
	const struct ingress_counters *ingress;
	const struct egress_counters *egress;
	const struct pickup_counters *pickup;
	const struct resolver_counters *resolver;
	const struct content_budget *budget;
	struct page_host host;
};

struct page;
struct page *page_new(const struct page_options *o);
void page_free(struct page **p);
void page_listen(struct page *p, int fd);
/* An established connection (takes it): the door for tests. */
void page_serve(struct page *p, int fd, const struct net_addr *peer);

/* Whoever is signed in as this account is so no longer. */
void page_end_account(struct page *p, struct span name);

#endif
