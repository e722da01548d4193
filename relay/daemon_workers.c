/* SPDX-License-Identifier: ISC */
/* daemon_workers - one io thread per core: its loop and all that lives on it. */
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/daemon_private.h"

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

void
call_worker(struct worker *w, void (*fn)(struct worker *, void *), void *arg)
{
	call_post(loop_inbox(w->loop), w, fn, arg);
}

void
call_main(struct worker *w, void (*fn)(struct worker *, void *), void *arg)
{
	call_post(loop_inbox(w->daemon->loop), w, fn, arg);
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

static void
flush_log(void *arg)
{
	log_flush(arg);
}

static enum err
worker_open(
    struct daemon *d, struct worker *w, const struct daemon_options *o, struct buf *why)
{
	w->daemon = d;
	list_init(&w->probes);
	w->loop = d->single ? d->loop : loop_new(d->world);
	loop_each_turn(w->loop, flush_log, d->log);
	struct dns_transport *t = make_dns(d, o, w->loop, why);
	if (t == NULL)
		return ERR_CONFIG;
	const char *names[] = {d->config->policy.hostname, NULL};
	struct net_addr own[CONFIG_LISTENER_MAX];
	struct resolver_options ro = {.own_names = names, .own_addr = own};
	if (o->dns == NULL)
		ro.hosts_file = "/etc/hosts";
	ro.counters = &d->resolver_counters;
	ro.own_addrs = own_addresses(d->config, own, COUNT_OF(own));
	w->resolver = resolver_new(w->loop, d->log, t, &ro);
	w->signin = daemon_signin(d, w->loop, (unsigned)(w - d->worker));
	struct pickup_options po = {
	    .loop = w->loop,
	    .signin = w->signin,
	    .log = d->log,
	    .spool = d->spool,
	    .directory = d->directory,
	    .drops = d->drops,
	    .hub = d->hub,
	    .patrons = d->patrons,
	    .desk = d->desk,
	    .budget = &d->budget,
	    .census = d->census,
	    .counters = &d->pickup_counters,
	    .config = d->config,
	};
	w->pickup = pickup_new(&po);
	struct ingress_options io = {
	    .loop = w->loop,
	    .resolver = w->resolver,
	    .signin = w->signin,
	    .meters = d->meters,
	    .log = d->log,
	    .spool = d->spool,
	    .census = d->census,
	    .budget = &d->budget,
	    .counters = &d->ingress_counters,
	    .paused = &d->paused_in,
	    .pickup = w->pickup,
	    .directory = d->directory,
	    .config = d->config,
	};
	w->ingress = ingress_new(&io);
	struct courier_options co = {w->loop, d->log, d->spool, w->resolver, d->config,
	    d->directory, &d->egress_counters};
	w->courier = courier_new(&co);
	return OK;
}

/* On the worker's own thread: end everything that belongs to its loop. */
static void
worker_close(struct worker *w, void *arg)
{
	(void)arg;
	probes_end(w);
	courier_free(&w->courier);
	ingress_free(&w->ingress);
	pickup_free(&w->pickup);
	signin_free(&w->signin);
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

void
workers_run(struct daemon *d)
{
	for (unsigned i = 0; !d->single && i < d->workers; i++) {
		struct worker *w = &d->worker[i];
		CHECK(pthread_create(&w->thread, NULL, worker_main, w) == 0);
		w->running = true;
	}
}

unsigned
worker_count(const struct daemon *d)
{
	if (d->single)
		return 1;
	long n =
	    d->config->threads ? (long)d->config->threads : sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (unsigned)n;
}

enum err
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

void
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
