/* SPDX-License-Identifier: ISC */
/*
 * daemon_directory - the directory follows the accounts: all of them are read at the
 * start, and one again after each change.  Who changed it is answered when everyone
 * here knows.  After a failure all are read again, until it works.
 */
#include "base/mem.h"
#include "relay/daemon_private.h"

#define AGAIN_MS (5 * SECOND_MS)

struct account_change {
	struct link link; /* daemon.account_changes */
	struct daemon *daemon;
	char *name;
	bool ends; /* whoever is signed in as it must go */
	void (*told)(void *arg);
	void *arg;
};

static void
on_loaded(void *arg, bool ok)
{
	struct daemon *d = arg;
	if (!ok && !d->directory_failed)
		LOG(d->log, EV_FAILED, F_STR("what", "reading the accounts"),
		    F_STR("now", "what was known of mailboxes stays in force; trying "
				 "again every few seconds"));
	d->directory_failed = !ok;
	if (!ok)
		timer_set(&d->directory_again, AGAIN_MS);
}

static void
load(void *arg)
{
	struct daemon *d = arg;
	directory_load(d->directory, d->signin, on_loaded, d);
}

void
directory_open(struct daemon *d)
{
	list_init(&d->account_changes);
	timer_init(&d->directory_again, d->loop, load, d);
	d->directory = directory_new(d->world);
}

void
directory_start(struct daemon *d)
{
	load(d);
}

static void
change_over(struct account_change *c)
{
	void (*told)(void *) = c->told;
	void *arg = c->arg;
	list_remove(&c->link);
	mem_free(&c->name);
	mem_free(&c);
	told(arg);
}

static void
worker_end_account(struct worker *w, void *arg)
{
	char *owner = arg;
	pickup_end_account(w->pickup, span_str(owner));
	ingress_end_account(w->ingress, span_str(owner));
	mem_free(&owner);
}

/* On each thread; owners are names in lower case. */
static void
end_sessions(struct daemon *d, const char *name)
{
	page_end_account(d->page, span_str(name));
	for (unsigned i = 0; i < d->workers; i++) {
		char *owner = mem_strdup(name);
		for (char *p = owner; *p != '\0'; p++)
			*p = ascii_lower(*p);
		call_worker(&d->worker[i], worker_end_account, owner);
	}
}

static void
on_refreshed(void *arg, bool ok)
{
	struct account_change *c = arg;
	if (!ok)
		on_loaded(c->daemon, false);
	if (c->ends || directory_disabled(c->daemon->directory, span_str(c->name)))
		end_sessions(c->daemon, c->name);
	change_over(c);
}

void
directory_changed(
    struct daemon *d, struct span name, bool ends, void (*told)(void *arg), void *arg)
{
	struct account_change *c = NEW(struct account_change);
	*c = (struct account_change){
	    .daemon = d, .name = span_dup(name), .ends = ends, .told = told, .arg = arg};
	list_push(&d->account_changes, &c->link);
	directory_refresh(d->directory, d->signin, name, on_refreshed, c);
}

void
directory_close(struct daemon *d)
{
	timer_clear(&d->directory_again);
	LIST_EACH (&d->account_changes, k)
		change_over(CONTAINER_OF(k, struct account_change, link));
	directory_free(&d->directory);
}
