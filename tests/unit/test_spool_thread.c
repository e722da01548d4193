/* SPDX-License-Identifier: ISC */
/*
 * The writer's own thread, and several threads that give it work: each answer
 * comes once, on its own loop; what was stored is there; what was finished is
 * gone; readers in the pool see whole messages only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/lib/spool_rig.h"

#define B "smtp b.example"
#define PRODUCERS 4
#define EACH 600
#define WINDOW 40 /* requests of one producer under way */

struct producer {
	pthread_t thread;
	struct spool_rig *rig;
	struct loop *loop;
	unsigned started, answered, open, cancelled, stored, finished, queries;
	uint64_t kept[EACH];
	unsigned kept_n;
};

struct item {
	struct producer *p;
	struct message *m;
	struct spool_request *q;
	unsigned seed;
};

static void
item_free(struct item *i)
{
	i->p->open--;
	i->p->answered++;
	message_unref(&i->m);
	mem_free(&i);
}

static void
on_finished(void *arg, enum err e)
{
	struct item *i = arg;
	CHECK(e == OK);
	i->p->finished++;
	item_free(i);
}

static void
on_stored(void *arg, enum err e)
{
	struct item *i = arg;
	struct producer *p = i->p;
	CHECK(e == OK && i->m->id != 0);
	i->q = NULL;
	p->stored++;
	if (i->seed % 3 == 0) {
		p->kept[p->kept_n++] = i->m->id;
		item_free(i);
		return;
	}
	struct report *rep = report_new(i->m->id, SPAN(B), (struct wall){RIG_WALL_MS});
	struct outcome o = {.kind = OUTCOME_DELIVERED};
	report_add(rep, &o);
	(void)spool_report_start(p->rig->spool, rep, loop_inbox(p->loop), on_finished, i);
}

static void
start_one(struct producer *p)
{
	struct item *i = NEW(struct item);
	i->p = p;
	i->seed = p->started++;
	i->m = spool_rig_message(200 + i->seed * 7 % 9000, i->seed);
	spool_rig_rcpt(i->m, "u@b.example", B, 0);
	p->open++;
	i->q = spool_accept_start(p->rig->spool, i->m, loop_inbox(p->loop), on_stored, i);
	if (i->seed % 10 ==
	    9) { /* the client has gone: it may be stored or not, nobody is told */
		spool_cancel(&i->q);
		p->cancelled++;
		item_free(i);
	}
}

struct look {
	struct producer *p;
	uint64_t id;
	enum err err;
	bool whole;
};

static void
look_run(struct spool_reader *r, void *arg)
{
	struct look *l = arg;
	struct message *m = NULL;
	l->err = spool_read_message(r, l->id, true, &m);
	l->whole = m != NULL && m->rcpts == 1 && content_size(m->content) == m->size;
	message_unref(&m);
}

static void
look_done(void *arg)
{
	struct look *l = arg;
	CHECK(l->err == OK && l->whole);
	l->p->queries--;
	mem_free(&l);
}

static void
look_at_last(struct producer *p)
{
	struct look *l = NEW(struct look);
	l->p = p;
	l->id = p->kept[p->kept_n - 1];
	p->queries++;
	(void)spool_query_start(
	    p->rig->spool, look_run, look_done, NULL, l, loop_inbox(p->loop));
}

static void *
produce(void *arg)
{
	struct producer *p = arg;
	while (p->started < EACH || p->open > 0 || p->queries > 0) {
		while (p->started < EACH && p->open < WINDOW)
			start_one(p);
		if (p->kept_n > 0 && p->queries < 2 && p->started < EACH)
			look_at_last(p);
		(void)loop_turn(p->loop, true);
	}
	return NULL;
}

static void
assert_kept(struct spool_rig *r, const struct producer *p)
{
	struct spool_reader *reader = spool_reader_new(r->spool);
	for (unsigned i = 0; i < p->kept_n; i++) {
		struct message *m = NULL;
		assert_int_equal(spool_read_message(reader, p->kept[i], true, &m), OK);
		message_unref(&m);
	}
	spool_reader_free(&reader);
}

static void
run_producers(uint64_t zeros_from)
{
	struct spool_rig *r = spool_rig_new(2);
	r->options.zeros_from = zeros_from;
	struct producer *p = mem_alloc(PRODUCERS * sizeof(*p));
	assert_int_equal(spool_rig_open(r), OK);
	for (unsigned i = 0; i < PRODUCERS; i++) {
		p[i].rig = r;
		p[i].loop = loop_new(world_real());
		assert_int_equal(pthread_create(&p[i].thread, NULL, produce, &p[i]), 0);
	}
	unsigned kept = 0, stored = 0, cancelled = 0;
	for (unsigned i = 0; i < PRODUCERS; i++) {
		assert_int_equal(pthread_join(p[i].thread, NULL), 0);
		assert_int_equal(p[i].answered, EACH);
		kept += p[i].kept_n;
		stored += p[i].stored;
		cancelled += p[i].cancelled;
	}
	assert_int_equal(stored + cancelled, PRODUCERS * EACH);
	spool_rig_run(r);
	assert_true(r->tolds >= stored && r->tolds <= stored + cancelled);
	spool_rig_clean(r);
	spool_rig_reopen(r);
	spool_rig_clean(r);
	struct spool_reader *reader = spool_reader_new(r->spool);
	struct spool_stat st;
	assert_int_equal(spool_read_stat(reader, &st), OK);
	assert_true(st.messages >= kept && st.messages <= kept + cancelled);
	spool_reader_free(&reader);
	for (unsigned i = 0; i < PRODUCERS; i++) {
		assert_kept(r, &p[i]);
		(void)inbox_open_all(loop_inbox(p[i].loop)); /* of those cancelled */
		loop_free(&p[i].loop);
	}
	mem_free(&p);
	spool_rig_free(&r);
}

static void
test_producers(void **state)
{
	(void)state;
	run_producers(0);
}

/* The pool appends zeros to the database while the writer makes it longer. */
static void
test_zeros_beside_the_writer(void **state)
{
	(void)state;
	run_producers(1);
}

/* Closed with work in every state: what was queued is stored, and closing takes no
 * second. */
static void
test_close_under_load(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		struct spool_rig *r = spool_rig_new(2);
		assert_int_equal(spool_rig_open(r), OK);
		for (unsigned i = 0; i < 300; i++) {
			struct message *m = spool_rig_message(1000, i);
			spool_rig_rcpt(m, "u@b.example", B, 0);
			(void)spool_accept_start(
			    r->spool, m, loop_inbox(r->loop), NULL, NULL);
			message_unref(&m);
		}
		struct instant before = world_now(world_real());
		spool_close(&r->spool);
		assert_true(instant_since(world_now(world_real()), before) < 900);
		spool_rig_run(r);
		assert_int_equal(r->tolds, 300);
		assert_int_equal(spool_rig_open(r), OK);
		spool_rig_clean(r);
		spool_rig_free(&r);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_producers),
	    cmocka_unit_test(test_zeros_beside_the_writer),
	    cmocka_unit_test(test_close_under_load),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
