/* SPDX-License-Identifier: ISC */
/* Inboxes: order, wake-ups, chains; two posting threads against a loop and against a
 * thread without one. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/inbox.h"
#include "base/loop.h"
#include "base/mem.h"

#define SENDERS 2
#define PARCELS 20000

struct receiver;

struct counted {
	struct parcel parcel;
	unsigned number;
	struct receiver *to;
};

struct receiver {
	struct loop *loop; /* NULL: waits by inbox_wait() */
	struct inbox *inbox;
	unsigned got, next[SENDERS];
	struct counted parcel[SENDERS][PARCELS];
};

static void
on_counted(struct parcel *p)
{
	struct counted *c = CONTAINER_OF(p, struct counted, parcel);
	struct receiver *r = c->to;
	unsigned sender = c >= r->parcel[1];
	assert_int_equal(c->number, r->next[sender]++); /* in the order of posting */
	if (++r->got == SENDERS * PARCELS && r->loop != NULL)
		loop_stop(r->loop);
}

static struct receiver *
make_receiver(void)
{
	struct receiver *r = NEW(struct receiver);
	for (unsigned s = 0; s < SENDERS; s++)
		for (unsigned i = 0; i < PARCELS; i++)
			r->parcel[s][i] = (struct counted){{NULL, on_counted}, i, r};
	return r;
}

static void *
post_singly(void *arg)
{
	struct counted *c = arg;
	for (unsigned i = 0; i < PARCELS; i++)
		inbox_post(c->to->inbox, &c[i].parcel);
	return NULL;
}

static void *
post_in_chains(void *arg)
{
	struct counted *c = arg;
	struct parcel_chain chain = {0};
	for (unsigned i = 0; i < PARCELS; i++) {
		parcel_chain_add(&chain, &c[i].parcel);
		if (i % 7 == 0)
			inbox_post_chain(c->to->inbox, parcel_chain_take(&chain));
	}
	inbox_post_chain(c->to->inbox, parcel_chain_take(&chain));
	return NULL;
}

static void
receive_all(struct receiver *r)
{
	pthread_t thread[SENDERS];
	void *(*const post[SENDERS])(void *) = {post_singly, post_in_chains};
	for (unsigned s = 0; s < SENDERS; s++)
		assert_int_equal(
		    pthread_create(&thread[s], NULL, post[s], r->parcel[s]), 0);
	if (r->loop != NULL)
		loop_run(r->loop);
	while (r->got < SENDERS * PARCELS) {
		inbox_wait(r->inbox);
		(void)inbox_open_all(r->inbox);
	}
	for (unsigned s = 0; s < SENDERS; s++)
		assert_int_equal(pthread_join(thread[s], NULL), 0);
	assert_int_equal(r->got, SENDERS * PARCELS);
}

static void
test_threads_to_loop(void **state)
{
	struct receiver *r = make_receiver();
	(void)state;
	r->loop = loop_new(world_real());
	r->inbox = loop_inbox(r->loop);
	receive_all(r);
	loop_free(&r->loop);
	mem_free(&r);
}

static void
test_threads_to_thread(void **state)
{
	struct receiver *r = make_receiver();
	(void)state;
	r->inbox = inbox_new();
	receive_all(r);
	inbox_free(&r->inbox);
	assert_null(r->inbox);
	inbox_free(&r->inbox); /* NULL is fine */
	mem_free(&r);
}

static bool
readable(const struct inbox *in)
{
	struct pollfd p = {.fd = inbox_fd(in), .events = POLLIN};
	return poll(&p, 1, 0) == 1;
}

static void
test_descriptor(void **state)
{
	struct inbox *in = inbox_new();
	struct parcel a = {0}, b = {0};
	(void)state;
	assert_false(readable(in));
	assert_null(inbox_take(in));
	inbox_post_chain(in, NULL);
	assert_false(readable(in));
	inbox_post(in, &a);
	inbox_post(in, &b);
	assert_true(readable(in));
	assert_ptr_equal(inbox_take(in), &a);
	assert_ptr_equal(a.next, &b);
	assert_null(b.next);
	assert_false(readable(in));
	inbox_wake(in);
	assert_true(readable(in));
	inbox_wait(in); /* comes back, though nothing was posted */
	assert_int_equal(inbox_open_all(in), 0);
	assert_false(readable(in));
	inbox_free(&in);
}

static void
test_chain(void **state)
{
	struct parcel_chain c = {0};
	struct parcel p[3] = {0};
	(void)state;
	assert_null(parcel_chain_take(&c));
	for (unsigned round = 0; round < 2; round++) { /* taken, it can be filled again */
		for (unsigned i = 0; i < COUNT_OF(p); i++)
			parcel_chain_add(&c, &p[i]);
		assert_ptr_equal(parcel_chain_take(&c), &p[0]);
		assert_ptr_equal(p[0].next, &p[1]);
		assert_ptr_equal(p[1].next, &p[2]);
		assert_null(p[2].next);
		assert_null(parcel_chain_take(&c));
	}
}

struct again {
	struct parcel parcel;
	struct inbox *in;
	unsigned left;
};

static void
post_again(struct parcel *p)
{
	struct again *a = CONTAINER_OF(p, struct again, parcel);
	if (a->left-- > 0)
		inbox_post(a->in, &a->parcel);
}

/* A parcel that posts itself is opened in the next round: one cannot hold up the rest. */
static void
test_post_from_open(void **state)
{
	struct inbox *in = inbox_new();
	struct again a = {{NULL, post_again}, in, 2};
	(void)state;
	inbox_post(in, &a.parcel);
	assert_int_equal(inbox_open_all(in), 1);
	assert_true(readable(in));
	assert_int_equal(inbox_open_all(in), 1);
	assert_int_equal(inbox_open_all(in), 1);
	assert_int_equal(inbox_open_all(in), 0);
	inbox_free(&in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_chain),
	    cmocka_unit_test(test_descriptor),
	    cmocka_unit_test(test_post_from_open),
	    cmocka_unit_test(test_threads_to_loop),
	    cmocka_unit_test(test_threads_to_thread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
