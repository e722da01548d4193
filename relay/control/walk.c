/* SPDX-License-Identifier: ISC */
/*
 * walk - a slice of messages is read in the pool, each that matches is handed
 * on, and the next slice is read when the client has taken the lines and
 * nothing of this one is under way: a slow reader costs one slice of memory.
 */
#include "base/check.h"
#include "base/mem.h"
#include "relay/control/client.h"

#include <string.h>

#define WALK_SLICE 200

struct slice {
	struct spool *spool;
	struct walk *walk;
	uint64_t after, only; /* only: this id alone; 0: all */
	size_t n;
	enum err err;
	struct message *m[WALK_SLICE];
};

struct walk {
	struct control_client *client;
	struct walk_options o;
	struct spool_query *query;
	struct slice *slice; /* being handed on */
	size_t at;
	uint64_t after;
	uint64_t messages, recipients;
	unsigned held; /* under way */
	bool last;     /* nothing behind this slice */
	struct later step;
	uint16_t *index; /* MESSAGE_RCPT_MAX + 1, made at need */
	size_t index_cap;
	void *arg; /* owned */
};

struct control_client *
walk_client(struct walk *w)
{
	return w->client;
}

void *
walk_arg(struct walk *w)
{
	return w->arg;
}

static void
slice_free(void *arg)
{
	struct slice *s = arg;
	for (size_t i = 0; i < s->n; i++)
		message_unref(&s->m[i]);
	mem_free(&s);
}

static void
walk_free(struct walk *w)
{
	spool_cancel_query(&w->query);
	if (w->slice != NULL)
		slice_free(w->slice);
	later_clear(&w->step);
	selector_clear(&w->o.selector);
	mem_free(&w->index);
	if (w->o.drop != NULL)
		w->o.drop(w->arg);
	mem_free(&w->arg);
	mem_free(&w);
}

/* The connection is gone: acts under way still come back, so the walk stays until they
 * have. */
static void
walk_gone(struct control_client *cc)
{
	struct walk *w = cc->command;
	w->client = NULL;
	spool_cancel_query(&w->query);
	later_clear(&w->step);
	if (w->held == 0)
		walk_free(w);
}

static void
slice_run(struct spool_reader *r, void *arg)
{
	struct slice *s = arg;
	if (s->only == 0) {
		s->err = spool_read_messages(r, s->after, s->m, WALK_SLICE, &s->n);
		return;
	}
	s->err = spool_read_message(r, s->only, false, &s->m[0]);
	s->n = s->err == OK;
	if (s->err == ERR_NOT_FOUND)
		s->err = OK;
}

static void
slice_done(void *arg)
{
	struct slice *s = arg;
	struct walk *w = s->walk;
	w->query = NULL;
	w->slice = s;
	w->at = 0;
	w->last = s->err != OK || s->n < WALK_SLICE;
	if (s->n > 0)
		w->after = s->m[s->n - 1]->id;
	later_set(&w->step);
}

static void
read_slice(struct walk *w)
{
	struct control *c = w->client->control;
	struct slice *s = NEW(struct slice);
	s->walk = w;
	s->after = w->after;
	s->only = w->o.selector.has_id ? w->o.selector.id : 0;
	w->query = spool_query_start(
	    c->spool, slice_run, slice_done, slice_free, s, loop_inbox(c->loop));
}

static void
hand_on(struct walk *w, const struct message *m)
{
	struct wall now = world_wall(loop_world(w->client->control->loop));
	size_t n = 0;
	if (w->index_cap < m->rcpts) {
		w->index_cap = m->rcpts;
		w->index = mem_resize(w->index, w->index_cap, sizeof(*w->index));
	}
	for (size_t i = 0; i < m->rcpts; i++)
		if (selector_matches(&w->o.selector, m, &m->rcpt[i], now))
			w->index[n++] = m->rcpt[i].index;
	if (n == 0)
		return;
	w->messages++;
	w->recipients += n;
	w->o.each(w, m, w->index, n);
}

static void
walk_over(struct walk *w)
{
	struct control_client *cc = w->client;
	cc->command = NULL;
	cc->gone = NULL;
	cc->more = NULL;
	w->o.end(w, w->messages, w->recipients);
	walk_free(w);
}

static bool
at_limit(const struct walk *w)
{
	return w->o.limit > 0 && w->messages >= w->o.limit;
}

static void
step(void *arg)
{
	struct walk *w = arg;
	while (w->slice != NULL && w->at < w->slice->n && !at_limit(w)) {
		if (w->held > 0 && w->held >= w->o.at_once)
			return;
		if (control_full(w->client)) {
			io_want_drained(w->client->io);
			return;
		}
		hand_on(w, w->slice->m[w->at++]);
	}
	if (w->held > 0)
		return;
	if (w->last || at_limit(w)) {
		walk_over(w);
		return;
	}
	slice_free(w->slice);
	w->slice = NULL;
	read_slice(w);
}

static void
walk_more(struct control_client *cc)
{
	struct walk *w = cc->command;
	if (w->slice != NULL)
		later_set(&w->step);
}

void
walk_hold(struct walk *w)
{
	w->held++;
}

void
walk_resume(struct walk *w)
{
	CHECK(w->held > 0);
	w->held--;
	if (w->client == NULL) {
		if (w->held == 0)
			walk_free(w);
	} else if (w->slice != NULL) {
		later_set(&w->step);
	}
}

void
walk_start(struct control_client *cc, struct walk_options *o, void *arg, size_t arg_size)
{
	struct walk *w = NEW(struct walk);
	w->client = cc;
	w->o = *o;
	o->selector = (struct selector){0};
	w->arg = arg ? mem_dup(arg, arg_size) : NULL;
	later_init(&w->step, cc->control->loop, step, w);
	cc->command = w;
	cc->more = walk_more;
	cc->gone = walk_gone;
	read_slice(w);
}
