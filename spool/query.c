/* SPDX-License-Identifier: ISC */
/*
 * query - reads in the pool, with a reader from a small stock; and the commons:
 * what jobs share with the spool and may need after it is closed.
 */
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "spool/private.h"

/* ---- commons */

struct commons *
commons_new(struct pool *p, struct world *w)
{
	struct commons *c = NEW(struct commons);
	atomic_init(&c->refs, 1);
	c->pool = p;
	c->world = w;
	c->big = -1;
	list_init(&c->files);
	CHECK(pthread_mutex_init(&c->mutex, NULL) == 0);
	CHECK(pthread_cond_init(&c->idle, NULL) == 0);
	return c;
}

struct commons *
commons_ref(struct commons *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void
commons_unref(struct commons **cp)
{
	struct commons *c = *cp;
	*cp = NULL;
	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
		return;
	if (c->big >= 0)
		(void)close(c->big);
	(void)pthread_cond_destroy(&c->idle);
	(void)pthread_mutex_destroy(&c->mutex);
	mem_free(&c->late); /* they are swept at the next start */
	mem_free(&c);
}

void
commons_close(struct commons *c)
{
	(void)pthread_mutex_lock(&c->mutex);
	c->closed = true;
	while (c->running > 0)
		(void)pthread_cond_wait(&c->idle, &c->mutex);
	(void)pthread_mutex_unlock(&c->mutex);
}

static bool
enter(struct commons *c)
{
	(void)pthread_mutex_lock(&c->mutex);
	bool open = !c->closed;
	c->running += open;
	(void)pthread_mutex_unlock(&c->mutex);
	return open;
}

static void
leave(struct commons *c)
{
	(void)pthread_mutex_lock(&c->mutex);
	if (--c->running == 0)
		(void)pthread_cond_signal(&c->idle);
	(void)pthread_mutex_unlock(&c->mutex);
}

/* ---- the stock of readers */

static struct spool_reader *
borrow_reader(struct spool *s)
{
	struct spool_reader *r = NULL;
	(void)pthread_mutex_lock(&s->mutex);
	if (s->readers > 0)
		r = s->reader[--s->readers];
	(void)pthread_mutex_unlock(&s->mutex);
	return r ? r : spool_reader_new(s);
}

static void
return_reader(struct spool *s, struct spool_reader *r)
{
	(void)pthread_mutex_lock(&s->mutex);
	if (s->readers < READERS_KEPT) {
		s->reader[s->readers++] = r;
		r = NULL;
	}
	(void)pthread_mutex_unlock(&s->mutex);
	spool_reader_free(&r);
}

/* ---- queries */

struct spool_query {
	struct pool_job job;
	struct commons *commons;
	struct spool *spool; /* valid while inside enter() and leave() */
	void (*run)(struct spool_reader *, void *arg);
	void (*done)(void *arg);
	void (*drop)(void *arg);
	void *arg;
	bool cancelled; /* the loop's */
};

static void
query_run(struct pool_job *job)
{
	struct spool_query *q = CONTAINER_OF(job, struct spool_query, job);
	if (!enter(q->commons))
		return;
	struct spool_reader *r = borrow_reader(q->spool);
	q->run(r, q->arg);
	return_reader(q->spool, r);
	leave(q->commons);
}

static void
query_done(struct pool_job *job)
{
	struct spool_query *q = CONTAINER_OF(job, struct spool_query, job);
	void (*fn)(void *) = q->cancelled ? q->drop : q->done;
	void *arg = q->arg;
	commons_unref(&q->commons);
	mem_free(&q);
	if (fn != NULL)
		fn(arg);
}

struct spool_query *
spool_query_start(struct spool *s, void (*run)(struct spool_reader *, void *arg),
    void (*done)(void *arg), void (*drop)(void *arg), void *arg, struct inbox *reply)
{
	struct spool_query *q = NEW(struct spool_query);
	q->commons = commons_ref(s->commons);
	q->spool = s;
	q->run = run;
	q->done = done;
	q->drop = drop;
	q->arg = arg;
	q->job.run = query_run;
	q->job.done = query_done;
	pool_start(s->pool, &q->job, reply);
	return q;
}

void
spool_cancel_query(struct spool_query **qp)
{
	if (*qp != NULL)
		(*qp)->cancelled = true;
	*qp = NULL;
}
