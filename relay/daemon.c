/* SPDX-License-Identifier: ISC */
/*
 * daemon - start: what must exist before what; end: the same backwards.
 *
 *	pool, loops -> spool -> resolvers, ingresses, couriers -> scheduler -> control
 *	-> sockets -> threads -> the scheduler reads the spool
 */
#include "relay/daemon.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/content.h"
#include "base/mem.h"
#include "base/pool.h"
#include "relay/control/control.h"
#include "relay/ingress/ingress.h"

#define WORKERS_MAX 64
#define POOL_THREADS 2
#define DRAIN_MS (10 * SECOND_MS) /* sessions and deliveries may take so long to end */

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

/* ---- calls to a worker's thread, and from there to the main thread */

struct call {
	struct parcel parcel;
	struct worker *worker;
	void (*fn)(struct worker *w, void *arg);
	void *arg;
};

static void
on_call(struct parcel *p)
{
	struct call *c = CONTAINER_OF(p, struct call, parcel);
	c->fn(c->worker, c->arg);
	mem_free(&c);
}

static void
call_post(
    struct inbox *to, struct worker *w, void (*fn)(struct worker *, void *), void *arg)
{
	struct call *c = NEW(struct call);
	*c = (struct call){.parcel.open = on_call, .worker = w, .fn = fn, .arg = arg};
	inbox_post(to, &c->parcel);
}

static void
call_worker(struct worker *w, void (*fn)(struct worker *, void *), void *arg)
{
	call_post(loop_inbox(w->loop), w, fn, arg);
}

static void
call_main(struct worker *w, void (*fn)(struct worker *, void *), void *arg)
{
	call_post(loop_inbox(w->daemon->loop), w, fn, arg);
}

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

/* ---- workers */

static struct dns_transport *
make_dns(
    struct daemon *d, const struct daemon_options *o, struct loop *l, struct buf *why)
{
	if (o->dns != NULL)
		return o->dns(o->dns_arg, l);
	struct dns_options dns = {
	    .servers = d->config->dns.servers, .timeout_ms = d->config->dns.timeout_ms};
	return dns_cares_new(l, d->log, &dns, why);
}

/* Our own addresses, as far as the listeners name them: an MX that leads there is
 * ourselves. */
static size_t
own_addresses(const struct config *c, struct net_addr *out, size_t max)
{
	size_t n = 0;
	for (size_t i = 0; i < c->listeners; i++)
		for (size_t k = 0; k < c->listener[i].binds && n < max; k++)
			if (!net_is_special(&c->listener[i].bind[k]))
				out[n++] = c->listener[i].bind[k];
	return n;
}

static void flush_log(void *arg);

static enum err
worker_open(
    struct daemon *d, struct worker *w, const struct daemon_options *o, struct buf *why)
{
	w->daemon = d;
	w->loop = d->single ? d->loop : loop_new(d->world);
	loop_each_turn(w->loop, flush_log, d->log);
	struct dns_transport *t = make_dns(d, o, w->loop, why);
	if (t == NULL)
		return ERR_CONFIG;
	const char *names[] = {d->config->policy.hostname, NULL};
	struct net_addr own[CONFIG_LISTENER_MAX];
	struct resolver_options ro = {.own_names = names, .own_addr = own};
	ro.own_addrs = own_addresses(d->config, own, COUNT_OF(own));
	w->resolver = resolver_new(w->loop, d->log, t, &ro);
	struct ingress_options io = {
	    .loop = w->loop,
	    .log = d->log,
	    .spool = d->spool,
	    .census = d->census,
	    .budget = &d->budget,
	    .counters = &d->ingress_counters,
	    .paused = &d->paused_in,
	    .config = d->config,
	};
	w->ingress = ingress_new(&io);
	struct courier_options co = {w->loop, d->log, d->spool, w->resolver, d->config};
	w->courier = courier_new(&co);
	return OK;
}

/* On the worker's own thread: end everything that belongs to its loop. */
static void
worker_close(struct worker *w, void *arg)
{
	(void)arg;
	courier_free(&w->courier);
	ingress_free(&w->ingress);
	resolver_free(&w->resolver);
	if (!w->daemon->single)
		loop_stop(w->loop);
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	(void)prctl(PR_SET_NAME, "relayd-io", 0, 0, 0);
	loop_run(w->loop);
	return NULL;
}

static void
workers_run(struct daemon *d)
{
	for (unsigned i = 0; !d->single && i < d->workers; i++) {
		struct worker *w = &d->worker[i];
		CHECK(pthread_create(&w->thread, NULL, worker_main, w) == 0);
		w->running = true;
	}
}

/* ---- sockets */

static unsigned
worker_count(const struct daemon *d)
{
	if (d->single)
		return 1;
	long n =
	    d->config->threads ? (long)d->config->threads : sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (unsigned)n;
}

/* Bound while we may still bind low ports; served when everything else stands. */
struct bound {
	int fd;
	const char *name; /* of the listener; borrowed from the configuration */
	unsigned worker;
};

static enum err
bind_listener(struct daemon *d, const struct listener_config *l,
    const struct net_addr *at, struct buf *why)
{
	char text[NET_TEXT];
	unsigned n = worker_count(d);
	net_format(at, text);
	for (unsigned i = 0; i < n; i++) {
		int fd = net_listen(at, n > 1);
		if (fd < 0) {
			buf_addf(why, "listener \"%s\": cannot listen on %s: %s; %s",
			    l->name, text, err_text((enum err)fd),
			    fd == ERR_UNREACHABLE
				? "this machine does not have that address"
			    : fd == ERR_DENIED
				? "ports under 1024 need root or CAP_NET_BIND_SERVICE"
				: "is another mail server running there?");
			return (enum err)fd;
		}
		d->bound = mem_resize(d->bound, d->bounds + 1, sizeof(*d->bound));
		d->bound[d->bounds++] = (struct bound){fd, l->name, i};
	}
	LOG(d->log, EV_LISTENING, F_STR("listener", l->name), F_STR("at", text),
	    F_STR("protocol", "smtp"));
	return OK;
}

static enum err
bind_sockets(struct daemon *d, struct buf *why)
{
	const struct config *c = d->config;
	enum err e = OK;
	for (size_t i = 0; i < c->listeners && e == OK; i++)
		for (size_t k = 0; k < c->listener[i].binds && e == OK; k++)
			e = bind_listener(
			    d, &c->listener[i], &c->listener[i].bind[k], why);
	if (e != OK || c->control_path == NULL)
		return e;
	d->control_fd = control_socket(c->control_path, c->control_mode);
	if (d->control_fd >= 0)
		return OK;
	e = (enum err)d->control_fd;
	buf_addf(why, "control socket %s: %s%s", c->control_path, err_text(e),
	    e == ERR_BUSY
		? "; another relayd answers there, or the path is something else"
		: "");
	return e;
}

static void
serve_sockets(struct daemon *d)
{
	for (size_t i = 0; i < d->bounds; i++)
		ingress_listen(d->worker[d->bound[i].worker].ingress, d->bound[i].fd,
		    d->bound[i].name);
	d->bounds = 0;
	mem_free(&d->bound);
	if (d->control_fd >= 0)
		control_listen(d->control, d->control_fd);
	d->control_fd = -1;
}

static void
close_sockets(struct daemon *d)
{
	for (size_t i = 0; i < d->bounds; i++)
		(void)close(d->bound[i].fd);
	mem_free(&d->bound);
	if (d->control_fd >= 0)
		(void)close(d->control_fd);
}

/* What root has made must belong to the user that relayd becomes. */
static enum err
hand_over(struct daemon *d, const struct passwd *pw, struct buf *why)
{
	const char *path = d->config->spool.path;
	if (mkdir(path, 0700) != 0 && errno != EEXIST) {
		buf_addf(why,
		    "spool %s: cannot make the directory: %s; make its parent first: "
		    "mkdir -p",
		    path, strerror(errno));
		return err_from_errno(errno);
	}
	struct stat st;
	if (stat(path, &st) == 0 && st.st_uid == 0 &&
	    chown(path, pw->pw_uid, pw->pw_gid) != 0) {
		buf_addf(why, "spool %s: cannot give it to user \"%s\": %s", path,
		    pw->pw_name, strerror(errno));
		return err_from_errno(errno);
	}
	if (d->control_fd >= 0 &&
	    chown(d->config->control_path, pw->pw_uid, pw->pw_gid) != 0) {
		buf_addf(why, "control socket: cannot give it to user \"%s\": %s",
		    pw->pw_name, strerror(errno));
		return err_from_errno(errno);
	}
	return OK;
}

static enum err
drop_privileges(struct daemon *d, struct buf *why)
{
	if (d->config->user == NULL || geteuid() != 0)
		return OK;
	const struct passwd *pw = getpwnam(d->config->user);
	if (pw == NULL) {
		buf_addf(why,
		    "user \"%s\" does not exist; make it with: adduser --system --group "
		    "%s",
		    d->config->user, d->config->user);
		return ERR_CONFIG;
	}
	enum err e = hand_over(d, pw, why);
	if (e != OK)
		return e;
	if (initgroups(pw->pw_name, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 ||
	    setuid(pw->pw_uid) != 0 || (pw->pw_uid != 0 && setuid(0) == 0)) {
		buf_addf(why, "could not become user \"%s\"", pw->pw_name);
		return ERR_DENIED;
	}
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return OK;
}

/* ---- what control asks of us */

static bool
host_reload(void *arg, struct buf *text)
{
	return daemon_reload(arg, text);
}

static void
host_pause_in(void *arg, bool pause)
{
	struct daemon *d = arg;
	atomic_store_explicit(&d->paused_in, pause, memory_order_relaxed);
}

static const struct config *
host_config(void *arg)
{
	return ((struct daemon *)arg)->config;
}

static unsigned
host_sessions(void *arg)
{
	return census_total(((struct daemon *)arg)->census);
}

/* A DNS question: to the first worker's thread and back with a copy of the answer. */
struct question {
	char *domain;
	unsigned flags;
	struct mx_request *request;
	struct worker *worker;
	struct mx_answer answer;
	void (*told)(void *arg, const struct mx_answer *a);
	void *arg;
};

static void
question_tell(struct worker *w, void *arg)
{
	struct question *q = arg;
	(void)w;
	q->told(q->arg, &q->answer);
	mem_free(&q->answer.host);
	mem_free(&q->domain);
	mem_free(&q);
}

static void
on_answer(void *arg, const struct mx_answer *a)
{
	struct question *q = arg;
	q->request = NULL;
	q->answer = *a;
	q->answer.host = mem_dup(a->host, a->hosts * sizeof(*a->host));
	call_main(q->worker, question_tell, q);
}

static void
question_ask(struct worker *w, void *arg)
{
	struct question *q = arg;
	q->worker = w;
	q->request =
	    resolver_mx_start(w->resolver, span_str(q->domain), q->flags, on_answer, q);
}

static void
host_dns(void *arg, struct span domain, unsigned flags,
    void (*told)(void *told_arg, const struct mx_answer *a), void *told_arg)
{
	struct daemon *d = arg;
	struct question *q = NEW(struct question);
	q->domain = span_dup(domain);
	q->flags = flags;
	q->told = told;
	q->arg = told_arg;
	call_worker(&d->worker[0], question_ask, q);
}

/* ---- reload */

static void
worker_reload(struct worker *w, void *arg)
{
	const struct config *c = arg;
	ingress_reload(w->ingress, c);
	courier_reload(w->courier, c);
	config_unref(&c);
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
	config_unref(&old);
}

bool
daemon_reload(struct daemon *d, struct buf *text)
{
	if (d->config_file == NULL) {
		buf_add_str(text, "this relayd runs with its built-in configuration; "
				  "start it with -c FILE");
		return false;
	}
	const struct config *c = config_read(d->config_file, text);
	if (c == NULL) {
		LOG(d->log, EV_RELOAD_FAILED, F_STR("file", d->config_file),
		    F_SPAN("errors", buf_span(text)),
		    F_STR("now", "the old configuration stays in force"));
		return false;
	}
	buf_reset(text);
	config_diff(d->config, c, text);
	put_in_force(d, c);
	LOG(d->log, EV_RELOADED, F_STR("file", d->config_file),
	    F_SPAN("notes", buf_span(text)));
	return true;
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

static void
on_ingress_empty(void *arg)
{
	call_main(arg, worker_is_empty, NULL);
}

static void
worker_drain(struct worker *w, void *arg)
{
	(void)arg;
	ingress_drain(w->ingress, on_ingress_empty, w);
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
	loop_run(d->loop);
	return d->status;
}

static void
workers_join(struct daemon *d)
{
	for (unsigned i = 0; i < d->workers; i++) {
		struct worker *w = &d->worker[i];
		if (!w->running) {
			worker_close(w, NULL);
			continue;
		}
		call_worker(w, worker_close, NULL);
		CHECK(pthread_join(w->thread, NULL) == 0);
		w->running = false;
	}
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
	control_free(&d->control);
	scheduler_free(&d->scheduler);
	spool_close(&d->spool);
	if (d->pool != NULL)
		pool_free(&d->pool);
	open_inboxes(d);
	for (unsigned i = 0; !d->single && i < d->workers; i++)
		loop_free(&d->worker[i].loop);
	timer_clear(&d->drain_timer);
	close_sockets(d);
	if (d->census != NULL)
		census_free(&d->census);
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

static enum err
open_spool(struct daemon *d, struct buf *why)
{
	const struct spool_config *c = &d->config->spool;
	struct spool_options o = {
	    .path = c->path,
	    .create = true,
	    .node = c->node,
	    .max_size = c->max_size,
	    .min_free = c->min_free,
	    .inline_max = c->inline_max,
	    .world = d->world,
	    .log = d->log,
	    .pool = d->pool,
	    .loop = d->single ? d->loop : NULL,
	    .accepted_inbox = loop_inbox(d->loop),
	    .on_accepted = on_accepted,
	    .on_failure = on_spool_failure,
	    .arg = d,
	};
	return spool_open(&d->spool, &o, why);
}

static enum err
open_workers(struct daemon *d, const struct daemon_options *o, struct buf *why)
{
	unsigned n = worker_count(d);
	for (unsigned i = 0; i < n; i++) {
		d->workers++;
		enum err e = worker_open(d, &d->worker[i], o, why);
		if (e != OK)
			return e;
	}
	return OK;
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
	struct control_options co = {
	    .loop = d->loop,
	    .log = d->log,
	    .spool = d->spool,
	    .scheduler = d->scheduler,
	    .ingress = &d->ingress_counters,
	    .egress = &d->egress_counters,
	    .host = {.reload = host_reload,
		.pause_in = host_pause_in,
		.config = host_config,
		.dns = host_dns,
		.sessions = host_sessions,
		.arg = d},
	};
	d->control = control_new(&co);
}

static enum err
open_all(struct daemon *d, const struct daemon_options *o, struct buf *why)
{
	enum err e = o->sockets ? bind_sockets(d, why) : OK;
	if (e == OK && o->sockets)
		e = drop_privileges(d, why);
	if (e == OK)
		e = open_spool(d, why);
	if (e == OK)
		e = open_workers(d, o, why);
	if (e != OK)
		return e;
	open_scheduler(d);
	serve_sockets(d);
	if (o->signals)
		loop_signals(d->loop, signals, COUNT_OF(signals), on_signal, d);
	scheduler_start(d->scheduler);
	return OK;
}

enum err
daemon_new(struct daemon **out, const struct daemon_options *o, struct buf *why)
{
	struct daemon *d = NEW(struct daemon);
	*out = NULL;
	d->control_fd = -1;
	d->world = o->world;
	d->log = o->log;
	d->single = o->single;
	d->config = config_ref(o->config);
	d->config_file = o->config_file ? mem_strdup(o->config_file) : NULL;
	if (o->signals) /* before any thread is started: only the main loop may see them
			 */
		loop_block_signals(signals, COUNT_OF(signals));
	d->loop = loop_new(d->world);
	loop_each_turn(d->loop, flush_log, d->log);
	d->pool = pool_new(d->single ? 0 : POOL_THREADS, d->loop);
	d->budget.limit = d->config->server.memory;
	d->census = census_new(d->world);
	timer_init(&d->drain_timer, d->loop, on_drain_deadline, d);
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
