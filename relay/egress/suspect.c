/* SPDX-License-Identifier: ISC */
/*
 * suspect - messages that relayd had in hand when it crashed (base/hand.h).
 *
 * They are tried one at a time, beside all others: if it crashes again, that tells who
 * it was.  Whoever comes through is cleared; who is condemned is set aside when its turn
 * comes (delivery.c does not touch it, outcome.c reports).  What has gone is forgotten.
 */
#include "base/mem.h"
#include "relay/egress/scheduler.h"

#define PUT_OFF_MS SECOND_MS /* while another one is tried */

bool
suspect_waits(struct entry *e)
{
	struct dest *d = e->key.dest;
	struct scheduler *s = d->scheduler;
	if (hand_crashes(e->key.id) == 0)
		return false;
	if (s->suspects == 0 || s->suspect == e->key.id) {
		s->suspect = e->key.id;
		s->suspects++;
		e->suspect = true;
		return false;
	}
	struct wall later = wall_after(scheduler_now(s), PUT_OFF_MS);
	dest_look_again(d, (struct wall){0});
	if (later.ms < d->head.ms)
		d->head = later;
	return true;
}

void
suspect_ended(struct entry *e)
{
	if (e->suspect)
		e->key.dest->scheduler->suspects--;
	e->suspect = false;
}

void
suspect_reported(const struct job *j)
{
	if (hand_condemned(j->id))
		return;
	for (size_t i = 0; j->end == JOB_DONE && i < j->results; i++)
		if (j->result[i].kind == OUTCOME_DELIVERED ||
		    j->result[i].kind == OUTCOME_FAILED) {
			hand_clear(j->id);
			return;
		}
}

/* The file `hands` may be lost, or have forgotten it (a backup does not have it): then
 * the reply still says so. */
bool
suspect_is_aside(uint64_t id, const struct recipient *r)
{
	return r->state == RECIPIENT_ASIDE &&
	       (hand_condemned(id) ||
		   span_starts(r->reply, SPAN("451 4.3.0 " SUSPECT_REPLY)));
}

/* ---- those that have gone */

struct roll {
	struct scheduler *scheduler;
	uint64_t id[HAND_SUSPECTS];
	bool gone[HAND_SUSPECTS];
	size_t n;
};

static void
roll_run(struct spool_reader *r, void *arg)
{
	struct roll *roll = arg;
	for (size_t i = 0; i < roll->n; i++) {
		struct message *m = NULL;
		roll->gone[i] =
		    spool_read_message(r, roll->id[i], false, &m) == ERR_NOT_FOUND;
		message_unref(&m);
	}
}

static void
roll_drop(void *arg)
{
	struct roll *roll = arg;
	mem_free(&roll);
}

static void
roll_done(void *arg)
{
	struct roll *roll = arg;
	roll->scheduler->roll = NULL;
	for (size_t i = 0; i < roll->n; i++)
		if (roll->gone[i])
			hand_clear(roll->id[i]);
	mem_free(&roll);
}

void
suspects_call(struct scheduler *s)
{
	uint64_t id[HAND_SUSPECTS];
	size_t n = hand_suspects(id);
	if (n == 0 || s->roll != NULL || s->draining)
		return;
	struct roll *roll = NEW(struct roll);
	roll->scheduler = s;
	roll->n = n;
	for (size_t i = 0; i < n; i++)
		roll->id[i] = id[i];
	s->roll = spool_query_start(
	    s->spool, roll_run, roll_done, roll_drop, roll, loop_inbox(s->loop));
}
