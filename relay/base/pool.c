/* SPDX-License-Identifier: ISC */
/* pool - threads that share one list of jobs; or none, and the loop does them. */
#include "base/pool.h"

#include <pthread.h>

#include "base/check.h"
#include "base/mem.h"

#define THREADS_MAX 16

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct parcel_chain jobs;
	bool stop;
	unsigned threads;
	pthread_t thread[THREADS_MAX];
	struct loop *loop; /* inline */
	struct later later;
};

static void
open_done(struct parcel *p)
{
	struct pool_job *job = CONTAINER_OF(p, struct pool_job, parcel);
	job->done(job);
}

static void
run_job(struct parcel *p)
{
	struct pool_job *job = CONTAINER_OF(p, struct pool_job, parcel);
	job->run(job);
	job->parcel.open = open_done;
	inbox_post(job->reply, &job->parcel);
}

static struct parcel *
next_job(struct pool *p)
{
	struct parcel *job = p->jobs.first;
	if (job != NULL) {
		p->jobs.first = job->next;
		if (p->jobs.first == NULL)
			p->jobs = (struct parcel_chain){0};
	}
	return job;
}

static void *
thread_main(void *arg)
{
	struct pool *p = arg;
	(void)pthread_mutex_lock(&p->lock);
	for (;;) {
		struct parcel *job = next_job(p);
		if (job != NULL) {
			(void)pthread_mutex_unlock(&p->lock);
			run_job(job);
			(void)pthread_mutex_lock(&p->lock);
		} else if (p->stop) {
			break;
		} else {
			(void)pthread_cond_wait(&p->more, &p->lock);
		}
	}
	(void)pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void
run_inline(void *arg)
{
	struct pool *p = arg;
	struct parcel *job;
	while ((job = next_job(p)) != NULL)
		run_job(job);
}

struct pool *
pool_new(unsigned threads, struct loop *loop)
{
	struct pool *p = NEW(struct pool);
	CHECK(threads <= THREADS_MAX);
	CHECK(pthread_mutex_init(&p->lock, NULL) == 0);
	CHECK(pthread_cond_init(&p->more, NULL) == 0);
	p->loop = loop;
	if (threads == 0)
		later_init(&p->later, loop, run_inline, p);
	for (; p->threads < threads; p->threads++)
		CHECK(pthread_create(&p->thread[p->threads], NULL, thread_main, p) == 0);
	return p;
}

void
pool_free(struct pool **pp)
{
	struct pool *p = *pp;
	if (p == NULL)
		return;
	(void)pthread_mutex_lock(&p->lock);
	p->stop = true;
	(void)pthread_cond_broadcast(&p->more);
	(void)pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->threads; i++)
		CHECK(pthread_join(p->thread[i], NULL) == 0);
	if (p->threads == 0) {
		run_inline(p);
		later_clear(&p->later);
	}
	(void)pthread_cond_destroy(&p->more);
	(void)pthread_mutex_destroy(&p->lock);
	mem_free(pp);
}

void
pool_start(struct pool *p, struct pool_job *job, struct inbox *reply)
{
	job->reply = reply;
	if (p->threads == 0) {
		parcel_chain_add(&p->jobs, &job->parcel);
		later_set(&p->later);
		return;
	}
	(void)pthread_mutex_lock(&p->lock);
	parcel_chain_add(&p->jobs, &job->parcel);
	(void)pthread_cond_signal(&p->more);
	(void)pthread_mutex_unlock(&p->lock);
}
