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

struct control_host
daemon_host(struct daemon *d)
{
	return (struct control_host){
	    host_reload, host_pause_in, host_config, host_dns, host_sessions, d};
}
