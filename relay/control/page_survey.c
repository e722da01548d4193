/* SPDX-License-Identifier: ISC */
/*
 * page_survey - a walk over the whole queue, now and then, a slice at a time in the pool:
 * how much waits in which state and how old it is; and the watchdog.
 *
 * The walk takes at most a twentieth of one thread: the longer it took, the longer until
 * the next.
 *
 * The watchdog looks whether each recipient that waits is in somebody's hands
 * (scheduler_will_come_back).  What a snapshot shows may be over a moment later, so a
 * recipient is only a suspect at first; if the next survey finds it so again, it is
 * stuck, and the log says it.  It looks whether there are metrics { } or not.
 */
#include <string.h>

#include "base/mem.h"
#include "relay/control/page_private.h"

#define SLICE 200
#define PERIOD_MS (10 * SECOND_MS)
#define UNSEEN_MS (20 * SECOND_MS) /* the same, when nobody can see the figures */
#define SHARE 20

const int64_t survey_age_ms[SURVEY_AGES - 1] = {MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS,
    2 * HOUR_MS, 8 * HOUR_MS, DAY_MS, 3 * DAY_MS};
const char *const survey_age_name[SURVEY_AGES] = {
    "1m", "5m", "30m", "2h", "8h", "1d", "3d", "older"};
const char *const survey_state_name[SURVEY_STATES] = {"new", "deferred", "held", "aside"};

struct slice {
	struct page *page;
	uint64_t after;
	size_t n;
	enum err err;
	struct message *m[SLICE];
};

static void
slice_free(void *arg)
{
	struct slice *s = arg;
	for (size_t i = 0; i < s->n; i++)
		message_unref(&s->m[i]);
	mem_free(&s);
}

static void
run_slice(struct spool_reader *r, void *arg)
{
	struct slice *s = arg;
	s->err = spool_read_messages(r, s->after, s->m, SLICE, &s->n);
}

/* ---- counting */

static size_t
age_of(int64_t ms)
{
	size_t i = 0;
	while (i < SURVEY_AGES - 1 && ms > survey_age_ms[i])
		i++;
	return i;
}

static enum survey_state
state_of(const struct recipient *r)
{
	switch (r->state) {
	case RECIPIENT_HELD: return SURVEY_HELD;
	case RECIPIENT_ASIDE: return SURVEY_ASIDE;
	case RECIPIENT_WAITING: break;
	}
	return r->attempts > 0 ? SURVEY_DEFERRED : SURVEY_NEW;
}

static void
suspect(struct tally *t, const struct message *m, const struct recipient *r)
{
	if (t->suspects < SUSPECTS_MAX)
		t->suspect[t->suspects++] = (struct suspect){m->id, r->index};
}

static void
count_message(struct page *p, const struct message *m)
{
	struct tally *t = &p->survey.now;
	struct wall now = world_wall(loop_world(p->o.loop));
	size_t age = age_of(wall_since(now, m->arrival));
	if (m->rcpts == 0)
		return;
	t->messages++;
	if (t->oldest.ms == 0 || m->arrival.ms < t->oldest.ms)
		t->oldest = m->arrival;
	for (size_t i = 0; i < m->rcpts; i++) {
		const struct recipient *r = &m->rcpt[i];
		t->recipients[state_of(r)][age]++;
		if (r->state == RECIPIENT_WAITING &&
		    !scheduler_will_come_back(p->o.scheduler, m, r))
			suspect(t, m, r);
	}
}

/* ---- the watchdog */

static bool
was_suspect(const struct tally *t, const struct suspect *x)
{
	for (size_t i = 0; i < t->suspects; i++)
		if (t->suspect[i].id == x->id && t->suspect[i].index == x->index)
			return true;
	return false;
}

static void
watch(struct page *p)
{
	struct survey *s = &p->survey;
	const struct suspect *first = NULL;
	s->stuck = 0;
	for (size_t i = 0; s->known && i < s->now.suspects; i++) {
		if (!was_suspect(&s->last, &s->now.suspect[i]))
			continue;
		if (s->stuck++ == 0)
			first = &s->now.suspect[i];
	}
	if (first != NULL && !s->told_stuck) {
		char id[SPOOL_ID_LEN + 1];
		spool_id_format(first->id, id);
		LOG(p->o.log, EV_STUCK, F_STR("id", id), F_INT("recipients", s->stuck),
		    F_STR(
			"do", "relayctl retry this id, and tell the authors of relayd"));
	}
	s->told_stuck = first != NULL;
}

/* ---- one slice after the other */

static void read_slice(struct page *p);

static void
finish(struct page *p)
{
	struct survey *s = &p->survey;
	struct instant now = loop_now(p->o.loop);
	watch(p);
	s->last = s->now;
	s->known = true;
	s->finished = now;
	s->took_ms = instant_since(now, s->began);
	int64_t pause = s->took_ms * SHARE,
		least = page_config(p)->metrics.binds > 0 ? PERIOD_MS : UNSEEN_MS;
	timer_set(&s->timer, pause > least ? pause : least);
}

static void
on_slice(void *arg)
{
	struct slice *x = arg;
	struct page *p = x->page;
	struct survey *s = &p->survey;
	s->query = NULL;
	for (size_t i = 0; i < x->n; i++)
		count_message(p, x->m[i]);
	bool more = x->err == OK && x->n == SLICE, failed = x->err != OK;
	if (x->n > 0)
		s->after = x->m[x->n - 1]->id;
	slice_free(x);
	if (more)
		read_slice(p);
	else if (failed) /* what was counted is not the whole */
		timer_set(&s->timer, PERIOD_MS);
	else
		finish(p);
}

static void
read_slice(struct page *p)
{
	struct slice *x = NEW(struct slice);
	x->page = p;
	x->after = p->survey.after;
	p->survey.query = spool_query_start(
	    p->o.spool, run_slice, on_slice, slice_free, x, loop_inbox(p->o.loop));
}

static void
begin(void *arg)
{
	struct page *p = arg;
	struct survey *s = &p->survey;
	memset(&s->now, 0, sizeof(s->now));
	s->after = 0;
	s->began = loop_now(p->o.loop);
	read_slice(p);
}

void
survey_start(struct page *p)
{
	timer_init(&p->survey.timer, p->o.loop, begin, p);
	timer_set(&p->survey.timer, 2 * SECOND_MS);
}

void
survey_stop(struct page *p)
{
	timer_clear(&p->survey.timer);
	spool_cancel_query(&p->survey.query);
}
