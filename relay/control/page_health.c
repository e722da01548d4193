/* SPDX-License-Identifier: ISC */
/*
 * page_health - does every thread turn, is mail taken?  Whoever asks sends a question
 * through each thread; one that is not back within HEALTH_MS does not turn.  At most one
 * is under way in each thread, however many ask.
 */
#include "base/mem.h"
#include "relay/control/page_private.h"

#define HEALTH_MS (2 * SECOND_MS)
#define COMMIT_MS (60 * SECOND_MS) /* a commit that takes longer hangs */

struct health_visit {
	struct link link;
	struct page *page;
	struct http_client *client;
};

static void
on_gone(void *arg)
{
	struct health_visit *v = arg;
	list_remove(&v->link);
	mem_free(&v);
}

static bool
writer_hangs(const struct page *p)
{
	int64_t since = (int64_t)atomic_load_explicit(
	    &spool_meters(p->o.spool)->committing_since, memory_order_relaxed);
	return since != 0 && loop_now(p->o.loop).ms - since > COMMIT_MS;
}

static void
answer_all(struct page *p)
{
	struct health_check *h = &p->health;
	struct buf b;
	struct link *k;
	buf_init(&b, 4096);
	for (unsigned i = 0; i < p->o.host.threads; i++)
		if (h->ping[i].out)
			buf_addf(&b, "io thread %u does not turn\n", i);
	if (writer_hangs(p))
		buf_add_str(&b, "the spool's writer hangs in a commit\n");
	unsigned status = b.n > 0 ? 503 : 200;
	if (b.n == 0)
		buf_add_str(&b, "ok\n");
	timer_clear(&h->deadline);
	while ((k = list_pop(&h->waiting)) != NULL) {
		struct health_visit *v = CONTAINER_OF(k, struct health_visit, link);
		struct http_reply r = {.status = status,
		    .type = "text/plain; charset=utf-8",
		    .body = buf_span(&b)};
		http_answer(v->client, &r);
		mem_free(&v);
	}
	buf_clear(&b);
}

static void
on_deadline(void *arg)
{
	answer_all(arg);
}

static void
on_back(void *arg)
{
	struct ping *x = arg;
	struct page *p = x->page;
	x->out = false;
	for (unsigned i = 0; i < p->o.host.threads; i++)
		if (p->health.ping[i].out)
			return;
	if (!list_empty(&p->health.waiting))
		answer_all(p);
}

void
health_serve(struct page *p, struct http_client *c)
{
	struct health_check *h = &p->health;
	struct health_visit *v = NEW(struct health_visit);
	v->page = p;
	v->client = c;
	http_on_gone(c, on_gone, v);
	list_push(&h->waiting, &v->link);
	if (!timer_is_set(&h->deadline))
		timer_set(&h->deadline, HEALTH_MS);
	bool send[PAGE_THREADS_MAX] = {false};
	for (unsigned i = 0; i < p->o.host.threads; i++) {
		send[i] = !h->ping[i].out;
		h->ping[i].out = true;
	}
	for (unsigned i = 0; i < p->o.host.threads; i++)
		if (send[i])
			p->o.host.ping(p->o.host.arg, i, on_back, &h->ping[i]);
}

void
ready_serve(struct page *p, struct http_client *c)
{
	const char *why = p->o.host.not_ready(p->o.host.arg);
	struct buf b;
	buf_init(&b, 300);
	buf_addf(&b, "%s\n", why != NULL ? why : "ready");
	struct http_reply r = {.status = why != NULL ? 503 : 200,
	    .type = "text/plain; charset=utf-8",
	    .body = buf_span(&b)};
	http_answer(c, &r);
	buf_clear(&b);
}

void
health_start(struct page *p)
{
	list_init(&p->health.waiting);
	timer_init(&p->health.deadline, p->o.loop, on_deadline, p);
	for (unsigned i = 0; i < PAGE_THREADS_MAX; i++)
		p->health.ping[i].page = p;
}

void
health_stop(struct page *p)
{
	timer_clear(&p->health.deadline);
}
