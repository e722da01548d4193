/* SPDX-License-Identifier: ISC */
/* daemon_host - control lives on the main thread; what it asks of others goes there and
 * back. */
#include "base/mem.h"
#include "relay/daemon_private.h"

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

static bool
host_paused_in(void *arg)
{
	struct daemon *d = arg;
	return atomic_load_explicit(&d->paused_in, memory_order_relaxed);
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

/* ---- a probe: on the first worker's thread, its findings told on the main one */

struct probing {
	struct link link; /* worker.probes */
	struct worker *worker;
	struct probe *probe;
	char *route, *domain;
	void (*told)(void *arg, const struct probe_finding *f);
	void (*done)(void *arg, const char *why);
	void *arg;
	char *why; /* of the end; NULL: none */
};

struct finding {
	struct probing *probing;
	struct probe_finding found;
	char *host, *stage, *text;
};

static void
finding_tell(struct worker *w, void *arg)
{
	struct finding *f = arg;
	(void)w;
	f->probing->told(f->probing->arg, &f->found);
	mem_free(&f->host);
	mem_free(&f->stage);
	mem_free(&f->text);
	mem_free(&f);
}

static void
on_finding(void *arg, const struct probe_finding *found)
{
	struct probing *p = arg;
	struct finding *f = NEW(struct finding);
	f->probing = p;
	f->host = mem_strdup(found->host);
	f->stage = mem_strdup(found->stage);
	f->text = mem_strdup(found->text);
	f->found =
	    (struct probe_finding){f->host, found->ok, f->stage, f->text, found->ms};
	call_main(p->worker, finding_tell, f);
}

static void
probing_tell(struct worker *w, void *arg)
{
	struct probing *p = arg;
	(void)w;
	p->done(p->arg, p->why);
	mem_free(&p->why);
	mem_free(&p->route);
	mem_free(&p->domain);
	mem_free(&p);
}

static void
on_probed(void *arg, const char *why)
{
	struct probing *p = arg;
	p->probe = NULL;
	p->why = why != NULL ? mem_strdup(why) : NULL;
	list_remove(&p->link);
	call_main(p->worker, probing_tell, p);
}

static void
probing_begin(struct worker *w, void *arg)
{
	struct probing *p = arg;
	p->worker = w;
	list_push(&w->probes, &p->link);
	p->probe = probe_start(w->courier, span_str(p->route), span_str(p->domain),
	    on_finding, on_probed, p);
}

void
probes_end(struct worker *w)
{
	LIST_EACH (&w->probes, k) {
		struct probing *p = CONTAINER_OF(k, struct probing, link);
		probe_cancel(&p->probe);
		on_probed(p, "relayd stops");
	}
}

static void
host_probe(void *arg, struct span route, struct span domain,
    void (*told)(void *told_arg, const struct probe_finding *f),
    void (*done)(void *told_arg, const char *why), void *told_arg)
{
	struct daemon *d = arg;
	struct probing *p = NEW(struct probing);
	p->route = span_dup(route);
	p->domain = span_dup(domain);
	p->told = told;
	p->done = done;
	p->arg = told_arg;
	call_worker(&d->worker[0], probing_begin, p);
}

static void
host_account_changed(
    void *arg, struct span name, bool ends, void (*told)(void *told_arg), void *told_arg)
{
	directory_changed(arg, name, ends, told, told_arg);
}

struct control_host
daemon_host(struct daemon *d)
{
	return (struct control_host){
	    .reload = host_reload,
	    .pause_in = host_pause_in,
	    .paused_in = host_paused_in,
	    .config = host_config,
	    .dns = host_dns,
	    .sessions = host_sessions,
	    .probe = host_probe,
	    .account_changed = host_account_changed,
	    .directory = d->directory,
	    .signin = d->signin,
	    .arg = d,
	};
}

/* ---- what the status page asks */

static const char *
host_not_ready(void *arg)
{
	const struct daemon *d = arg;
	if (d->stopping)
		return "relayd is stopping";
	if (atomic_load_explicit(&d->paused_in, memory_order_relaxed))
		return "an administrator has paused taking mail: relayctl resume in";
	switch (spool_admit(d->spool, 0)) {
	case OK: return NULL;
	case ERR_FULL: return "the spool is full: max-size is reached";
	case ERR_DISK_FULL: return "the spool's disk has less than min-free left";
	default: return "the spool cannot be written";
	}
}

/* There and back through a worker's loop. */
struct echo {
	void (*back)(void *arg);
	void *arg;
};

static void
echo_back(struct worker *w, void *arg)
{
	struct echo *e = arg;
	(void)w;
	e->back(e->arg);
	mem_free(&e);
}

static void
echo_there(struct worker *w, void *arg)
{
	call_main(w, echo_back, arg);
}

static void
host_ping(void *arg, unsigned i, void (*back)(void *back_arg), void *back_arg)
{
	struct daemon *d = arg;
	struct echo *e = NEW(struct echo);
	*e = (struct echo){back, back_arg};
	call_worker(&d->worker[i], echo_there, e);
}

static unsigned
host_still(void *arg)
{
	return ((struct daemon *)arg)->still;
}

struct page_host
daemon_page_host(struct daemon *d)
{
	return (struct page_host){
	    .config = host_config,
	    .sessions = host_sessions,
	    .not_ready = host_not_ready,
	    .paused_in = host_paused_in,
	    .ping = host_ping,
	    .still = host_still,
	    .threads = d->workers,
	    .arg = d,
	};
}
