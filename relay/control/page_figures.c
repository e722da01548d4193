/* SPDX-License-Identifier: ISC */
/* page_figures - the spool's figures, read in the pool; samples for the plots. */
#include "base/mem.h"
#include "relay/control/page_private.h"

#define FRESH_MS SECOND_MS /* figures that are no older will do */

struct reading {
	struct page *page;
	struct spool_stat stat;
	enum err err;
};

static void
run_read(struct spool_reader *r, void *arg)
{
	struct reading *x = arg;
	x->err = spool_read_stat(r, &x->stat);
}

static void
free_reading(void *arg)
{
	struct reading *x = arg;
	mem_free(&x);
}

static void
on_read(void *arg)
{
	struct reading *x = arg;
	struct page *p = x->page;
	struct figures *f = &p->figures;
	f->query = NULL;
	f->err = x->err;
	if (x->err == OK) {
		f->stat = x->stat;
		f->known = true;
	}
	f->read = loop_now(p->o.loop);
	mem_free(&x);
	struct link *k;
	struct list told;
	list_init(&told);
	while ((k = list_pop(&f->waiting)) != NULL)
		list_push(&told, k);
	while ((k = list_pop(&told)) != NULL) {
		struct figures_wait *w = CONTAINER_OF(k, struct figures_wait, link);
		w->told(w->arg);
	}
}

static void
read_now(struct page *p)
{
	struct figures *f = &p->figures;
	if (f->query != NULL)
		return;
	struct reading *x = NEW(struct reading);
	x->page = p;
	f->query = spool_query_start(
	    p->o.spool, run_read, on_read, free_reading, x, loop_inbox(p->o.loop));
}

void
figures_want(struct page *p, struct figures_wait *w)
{
	struct figures *f = &p->figures;
	if (f->known && instant_since(loop_now(p->o.loop), f->read) < FRESH_MS) {
		w->told(w->arg);
		return;
	}
	list_push(&f->waiting, &w->link);
	read_now(p);
}

/* ---- series */

const struct sample *
series_at(const struct series *s, size_t i)
{
	return &s->sample[(s->next + SAMPLES - s->n + i) % SAMPLES];
}

static void
series_add(struct series *s, const struct sample *x)
{
	s->sample[s->next] = *x;
	s->next = (s->next + 1) % SAMPLES;
	if (s->n < SAMPLES)
		s->n++;
}

static void
on_tick(void *arg)
{
	struct page *p = arg;
	struct figures *f = &p->figures;
	struct sample x = {
	    .at = world_wall(loop_world(p->o.loop)),
	    .accepted = page_load(&p->o.ingress->messages),
	    .delivered = page_load(&p->o.egress->delivered),
	    .deferred = page_load(&p->o.egress->deferred),
	    .bounced = page_load(&p->o.egress->failed),
	    .messages = f->stat.messages - f->stat.kept, /* of the last reading */
	};
	if (f->known) {
		series_add(&f->hour, &x);
		if (f->ticks++ % SAMPLES_PER_SLOW == 0)
			series_add(&f->day, &x);
	}
	read_now(p);
	timer_set(&f->timer, SAMPLE_MS);
}

void
figures_start(struct page *p)
{
	struct figures *f = &p->figures;
	list_init(&f->waiting);
	timer_init(&f->timer, p->o.loop, on_tick, p);
	timer_set(&f->timer, SECOND_MS);
	read_now(p);
}

struct sample
figures_since(const struct page *p)
{
	const struct series *s = &p->figures.hour;
	return s->n == SAMPLES ? *series_at(s, 0) : (struct sample){.at = p->started};
}

void
figures_stop(struct page *p)
{
	timer_clear(&p->figures.timer);
	spool_cancel_query(&p->figures.query);
}
