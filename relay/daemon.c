/* SPDX-License-Identifier: ISC */
/*
 * daemon - start: what must exist before what; end: the same backwards.
 *
 *	pool, loops -> spool -> resolvers, ingresses, couriers -> scheduler -> control
 *	-> sockets -> threads -> the scheduler reads the spool
 */
#include "relay/daemon.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/daemon_private.h"
#include "relay/imap/utf7.h"

#define POOL_THREADS 4
#define LOCAL_LISTENER "local"    /* what counts relay-sendmail's connections */
#define DRAIN_MS (10 * SECOND_MS) /* sessions and deliveries may take so long to end */
#define TIDY_MS (5 * SECOND_MS)

/* ---- the spool speaks */

static void
on_accepted(void *arg, struct message **m, size_t n)
{
	struct daemon *d = arg;
	if (d->scheduler != NULL) {
		scheduler_accepted(d->scheduler, m, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		message_unref(&m[i]);
}

static void
on_spool_failure(void *arg, enum err e)
{
	struct daemon *d = arg;
	LOG(d->log, EV_FAILED, F_STR("what", "the spool cannot be written any more"),
	    F_STR("error", err_text(e)),
	    F_STR("do", "look at the disk; relayd ends now and acknowledges nothing"));
	d->status = 74;
	daemon_stop(d);
}

/* ---- reload */

static void
worker_reload(struct worker *w, void *arg)
{
	const struct config *c = arg;
	ingress_reload(w->ingress, c);
	pickup_reload(w->pickup, c);
	courier_reload(w->courier, c);
	config_unref(&c);
}

static void
settle_signin(struct daemon *d)
{
	struct signin_settings settings = daemon_signin_settings(d->config);
	signin_settings(d->signin, &settings);
}

static void
put_in_force(struct daemon *d, const struct config *c)
{
	const struct config *old = d->config;
	d->config = c;
	d->budget.limit = c->server.memory;
	log_set(d->log, c->log_level, c->log_format);
	for (unsigned i = 0; i < d->workers; i++)
		call_worker(&d->worker[i], worker_reload, config_ref(c));
	scheduler_reload(d->scheduler, c);
	retention_reload(d->retention, c);
	settle_signin(d);
	config_unref(&old);
}

static bool
read_again(struct daemon *d, struct buf *text)
{
	if (d->config_file == NULL) {
		buf_add_str(text, "this relayd runs with its built-in configuration; "
				  "start it with -c FILE");
		return false;
	}
	struct config *fresh = config_read(d->config_file, text);
	bool fine = fresh != NULL && config_open(fresh, true, text);
	const struct config *c = fresh;
	if (!fine) {
		LOG(d->log, EV_RELOAD_FAILED, F_STR("file", d->config_file),
		    F_SPAN("errors", buf_span(text)),
		    F_STR("now", "the old configuration stays in force"));
		config_unref(&c);
		return false;
	}
	buf_reset(text);
	config_diff(d->config, c, text);
	put_in_force(d, c);
	LOG(d->log, EV_RELOADED, F_STR("file", d->config_file),
	    F_SPAN("notes", buf_span(text)));
	return true;
}

bool
daemon_reload(struct daemon *d, struct buf *text)
{
	watch_reloading(d, true);
	bool fine = read_again(d, text);
	watch_reloading(d, false);
	return fine;
}

/* ---- memory that a burst has left */

static void
on_tidy(void *arg)
{
	struct daemon *d = arg;
	(void)mem_give_back(&d->kept);
	timer_set(&d->tidy, TIDY_MS);
}

/* ---- the end */

static void
finish(struct daemon *d)
{
	if (d->stopped)
		return;
	d->stopped = true;
	timer_clear(&d->drain_timer);
	if (!d->single)
		loop_stop(d->loop);
}

static void
maybe_finish(struct daemon *d)
{
	if (d->scheduler_idle && d->full_workers == 0)
		finish(d);
}

static void
on_scheduler_idle(void *arg)
{
	struct daemon *d = arg;
	d->scheduler_idle = true;
	maybe_finish(d);
}

static void
worker_is_empty(struct worker *w, void *arg)
{
	(void)arg;
	w->daemon->full_workers--;
	maybe_finish(w->daemon);
}

/* One of the two that have sessions. */
static void
on_empty(void *arg)
{
	struct worker *w = arg;
	if (--w->full == 0)
		call_main(w, worker_is_empty, NULL);
}

static void
worker_drain(struct worker *w, void *arg)
{
	(void)arg;
	w->full = 2;
	ingress_drain(w->ingress, on_empty, w);
	pickup_drain(w->pickup, on_empty, w);
}

static void
on_drain_deadline(void *arg)
{
	struct daemon *d = arg;
	LOG(d->log, EV_LIMIT, F_STR("what", "draining took too long"),
	    F_INT("sessions", census_total(d->census)),
	    F_STR("now", "what is left is cut off; nothing acknowledged is lost"));
	finish(d);
}

void
daemon_stop(struct daemon *d)
{
	if (d->stopping)
		return;
	d->stopping = true;
	watch_stopping(d);
	LOG(d->log, EV_STOPPING, F_INT("sessions", census_total(d->census)));
	timer_set(&d->drain_timer, DRAIN_MS);
	d->full_workers = d->workers;
	for (unsigned i = 0; i < d->workers; i++)
		call_worker(&d->worker[i], worker_drain, NULL);
	scheduler_drain(d->scheduler, on_scheduler_idle, d);
}

bool
daemon_stopped(const struct daemon *d)
{
	return d->stopped;
}

static void
on_signal(void *arg, int signo)
{
	struct daemon *d = arg;
	if (signo == SIGHUP) {
		struct buf text;
		buf_init(&text, 64u << 10);
		(void)daemon_reload(d, &text);
		buf_clear(&text);
	} else {
		daemon_stop(d);
	}
}

int
daemon_run(struct daemon *d)
{
	workers_run(d);
	watch_start(d);
	loop_run(d->loop);
	return d->status;
}

static void
open_inboxes(struct daemon *d)
{
	unsigned opened;
	do {
		opened = inbox_open_all(loop_inbox(d->loop));
		for (unsigned i = 0; !d->single && i < d->workers; i++)
			if (d->worker[i].loop != NULL)
				opened += inbox_open_all(loop_inbox(d->worker[i].loop));
	} while (opened > 0);
}

void
daemon_free(struct daemon **dp)
{
	struct daemon *d = *dp;
	if (d == NULL)
		return;
	workers_join(d);
	open_inboxes(d); /* jobs that were cut off come back */
	page_free(&d->page);
	control_free(&d->control);
	desk_free(&d->desk);
	signin_free(&d->signin);
	directory_close(d);
	close_accounts(d);
	timer_clear(&d->look_at_files);
	watch_end(d);
	retention_free(&d->retention);
	scheduler_free(&d->scheduler);
	spool_close(&d->spool);
	if (d->pool != NULL)
		pool_free(&d->pool);
	open_inboxes(d);
	for (unsigned i = 0; !d->single && i < d->workers; i++)
		loop_free(&d->worker[i].loop);
	timer_clear(&d->drain_timer);
	timer_clear(&d->tidy);
	close_sockets(d);
	if (d->census != NULL)
		census_free(&d->census);
	if (d->meters != NULL)
		meters_free(&d->meters);
	drops_free(&d->drops);
	hub_free(&d->hub);
	patrons_free(&d->patrons);
	for (size_t i = 0; i < COUNT_OF(d->ingress_counters.listener); i++)
		mem_free(&d->ingress_counters.listener[i].name);
	loop_free(&d->loop);
	if (d->started)
		LOG(d->log, EV_STOPPED, F_INT("status", d->status));
	log_flush(d->log);
	config_unref(&d->config);
	mem_free(&d->config_file);
	mem_free(dp);
}

/* ---- the beginning */

static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

static void
flush_log(void *arg)
{
	log_flush(arg);
}

static void
open_pool(struct daemon *d)
{
	if (d->pool == NULL)
		d->pool = pool_new(d->single ? 0 : POOL_THREADS, d->loop);
}

static enum err
open_spool(struct daemon *d, struct spool **out, struct buf *why)
{
	const struct spool_config *c = &d->config->spool;
	struct spool_options o = {
	    .path = c->path,
	    .create = true,
	    .hands = true,
	    .node = c->node,
	    .max_size = c->max_size,
	    .min_free = c->min_free,
	    .inline_max = c->inline_max,
	    .history_days = d->config->history.days,
	    .history_max = d->config->history.max_size,
	    .spell = utf8_name_settle,
	    .world = d->world,
	    .log = d->log,
	    .pool = d->pool,
	    .loop = d->single ? d->loop : NULL,
	    .accepted_inbox = loop_inbox(d->loop),
	    .on_accepted = on_accepted,
	    .on_failure = on_spool_failure,
	    .arg = d,
	};
	enum err e = spool_open(out, &o, why);
	if (e == OK)
		spool_on_mail(*out, hub_tell, d->hub);
	return e;
}

/* What a spool is made of, as it was left: after a restore some of it is missing. */
static bool
spool_is_made(const char *path, bool history)
{
	static const char *const files[] = {"data.mdb", "data.mdb-lock", "owner.lock",
	    "reserve", "hands", "big", "history"};
	bool there = true;
	for (size_t i = 0; i < COUNT_OF(files) - (history ? 0u : 1u); i++) {
		struct buf file;
		buf_init(&file, 0);
		buf_addf(&file, "%s/%s", path, files[i]);
		char *name = buf_take(&file);
		there = there && access(name, F_OK) == 0;
		mem_free(&name);
	}
	return there;
}

/* The sandbox will know files, not names: so a new spool is made before it closes. */
static enum err
make_spool(struct daemon *d, struct buf *why)
{
	struct spool *made = NULL;
	bool there = spool_is_made(d->config->spool.path, d->config->history.days > 0);
	if (there || d->single)
		return OK;
	open_pool(d);
	enum err e = open_spool(d, &made, why);
	if (e == OK)
		spool_close(&made);
	pool_free(&d->pool);
	return e;
}

static void
open_page(struct daemon *d)
{
	struct page_options o = {
	    .loop = d->loop,
	    .log = d->log,
	    .spool = d->spool,
	    .scheduler = d->scheduler,
	    .control = d->control,
	    .signin = d->signin,
	    .ingress = &d->ingress_counters,
	    .egress = &d->egress_counters,
	    .pickup = &d->pickup_counters,
	    .resolver = &d->resolver_counters,
	    .budget = &d->budget,
	    .host = daemon_page_host(d),
	};
	d->page = page_new(&o);
}

static void
open_scheduler(struct daemon *d)
{
	struct courier *courier[WORKERS_MAX];
	for (unsigned i = 0; i < d->workers; i++)
		courier[i] = d->worker[i].courier;
	struct scheduler_options o = {
	    .loop = d->loop,
	    .log = d->log,
	    .spool = d->spool,
	    .courier = courier,
	    .couriers = d->workers,
	    .counters = &d->egress_counters,
	    .budget = &d->budget,
	    .config = d->config,
	};
	d->scheduler = scheduler_new(&o);
	desk_open(d->desk, d->scheduler);
	struct retention_options ro = {.loop = d->loop,
	    .log = d->log,
	    .spool = d->spool,
	    .directory = d->directory,
	    .counters = &d->egress_counters,
	    .config = d->config};
	d->retention = retention_new(&ro);
	struct control_options co = {
	    .loop = d->loop,
	    .log = d->log,
	    .spool = d->spool,
	    .scheduler = d->scheduler,
	    .ingress = &d->ingress_counters,
	    .egress = &d->egress_counters,
	    .pickup = &d->pickup_counters,
	    .host = daemon_host(d),
	};
	d->control = control_new(&co);
	if (!d->single || d->config->metrics.binds > 0)
		open_page(d); /* nobody can visit it without metrics { }; it watches */
}

static enum err
open_all(struct daemon *d, const struct daemon_options *o, struct buf *why)
{
	enum err e = o->sockets ? bind_sockets(d, why) : OK;
	if (e == OK && o->sockets)
		e = drop_privileges(d, why);
	if (e == OK)
		e = make_spool(d, why);
	if (e == OK && !d->single)
		warn_of_place(d);
	if (e == OK && !d->single)
		e = open_accounts(d, why);
	if (e == OK && o->sockets)
		close_sandbox(d);
	if (e == OK)
		open_pool(d);
	if (e == OK)
		e = open_spool(d, &d->spool, why);
	if (e == OK && d->single)
		e = open_accounts(d, why);
	if (e == OK)
		d->desk = desk_new(&(struct desk_options){d->loop, d->log, d->spool});
	if (e == OK)
		e = open_workers(d, o, why);
	if (e != OK)
		return e;
	d->signin = daemon_signin(d, d->loop, d->workers);
	settle_signin(d);
	directory_start(d);
	open_scheduler(d);
	watch_files(d);
	serve_sockets(d);
	if (o->signals)
		loop_signals(d->loop, signals, COUNT_OF(signals), on_signal, d);
	scheduler_start(d->scheduler);
	return OK;
}

/* As they are named now: a listener comes and goes with a restart only. */
static void
count_by_listener(struct daemon *d)
{
	struct listener_counter *to = d->ingress_counters.listener;
	bool local = false;
	for (size_t i = 0; i < d->config->listeners; i++) {
		const char *name = d->config->listener[i].name;
		local = local || strcmp(name, LOCAL_LISTENER) == 0;
		(to++)->name = mem_strdup(name);
	}
	if (!local)
		to->name = mem_strdup(LOCAL_LISTENER);
}

enum err
daemon_new(struct daemon **out, const struct daemon_options *o, struct buf *why)
{
	struct daemon *d = NEW(struct daemon);
	*out = NULL;
	d->control_fd = d->submit_fd = -1;
	d->world = o->world;
	d->log = o->log;
	d->single = o->single;
	d->service = o->service;
	d->config = config_ref(o->config);
	d->config_file = o->config_file ? mem_strdup(o->config_file) : NULL;
	if (o->signals) /* before any thread is started: only the main loop may see them
			 */
		loop_block_signals(signals, COUNT_OF(signals));
	d->loop = loop_new(d->world);
	loop_each_turn(d->loop, flush_log, d->log);
	if (d->single)
		open_pool(d);
	d->budget.limit = d->config->server.memory;
	count_by_listener(d);
	egress_counters_init(&d->egress_counters);
	d->census = census_new(d->world);
	d->meters = meters_new(d->world);
	d->drops = drops_new(d->world);
	d->hub = hub_new(d->world);
	d->patrons = patrons_new(d->world);
	directory_open(d);
	timer_init(&d->drain_timer, d->loop, on_drain_deadline, d);
	timer_init(&d->tidy, d->loop, on_tidy, d);
	if (!d->single)
		timer_set(&d->tidy, TIDY_MS);
	enum err e = open_all(d, o, why);
	if (e != OK) {
		daemon_free(&d);
		return e;
	}
	d->started = true;
	*out = d;
	return OK;
}

/* ---- doors */

struct loop *
daemon_loop(struct daemon *d)
{
	return d->loop;
}

struct spool *
daemon_spool(struct daemon *d)
{
	return d->spool;
}

struct scheduler *
daemon_scheduler(struct daemon *d)
{
	return d->scheduler;
}

void
daemon_serve(struct daemon *d, int fd, const struct net_addr *peer, const char *listener)
{
	ingress_serve(d->worker[0].ingress, fd, peer, listener);
}

void
daemon_serve_control(struct daemon *d, int fd)
{
	control_serve(d->control, fd);
}
