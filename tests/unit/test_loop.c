/* SPDX-License-Identifier: ISC */
/* Turns: timers on a clock that stands still, descriptors, laters, the inbox's place,
 * signals; the real world; base64. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/loop.h"
#include "base/mem.h"
#include "tests/lib/fake_world.h"

struct fixture {
	struct fake_world w;
	struct loop *loop;
	struct buf seen; /* a letter per call */
	struct act {
		struct fixture *f;
		struct timer timer;
		struct later later;
		struct watch watch;
		struct parcel parcel;
		char name;
		unsigned again; /* so many times more */
	} a, b, c;
};

static int
setup(void **state)
{
	struct fixture *f = NEW(struct fixture);
	fake_world_init(&f->w);
	f->loop = loop_new(&f->w.world);
	f->a = (struct act){.f = f, .name = 'a'};
	f->b = (struct act){.f = f, .name = 'b'};
	f->c = (struct act){.f = f, .name = 'c'};
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	loop_free(&f->loop);
	assert_null(f->loop);
	loop_free(&f->loop); /* NULL is fine */
	buf_clear(&f->seen);
	mem_free(&f);
	return 0;
}

static void
expect(struct fixture *f, const char *want)
{
	if (!span_eq(buf_span(&f->seen), span_str(want)))
		fail_msg(
		    "got \"%.*s\", expected \"%s\"", SPAN_ARG(buf_span(&f->seen)), want);
	buf_reset(&f->seen);
}

static void
note(void *arg)
{
	struct act *a = arg;
	buf_add_char(&a->f->seen, a->name);
}

/* ---- timers */

static void
set_timer(struct act *a, void (*fire)(void *), int64_t ms)
{
	timer_init(&a->timer, a->f->loop, fire, a);
	timer_set(&a->timer, ms);
}

static void
test_timers(void **state)
{
	struct fixture *f = *state;
	struct instant due, now = loop_now(f->loop);
	assert_ptr_equal(loop_world(f->loop), &f->w.world);
	assert_false(loop_next_timer(f->loop, &due));
	set_timer(&f->a, note, 3000);
	set_timer(&f->b, note, 1000);
	set_timer(&f->c, note, 3000);
	assert_true(loop_next_timer(f->loop, &due));
	assert_int_equal(instant_since(due, now), 1000);
	fake_world_pass(&f->w, 999);
	assert_false(loop_turn(f->loop, false));
	expect(f, "");
	fake_world_pass(&f->w, 1);
	assert_true(timer_is_set(&f->b.timer));
	assert_true(loop_turn(f->loop, true)); /* does not wait: one is due */
	assert_false(timer_is_set(&f->b.timer));
	expect(f, "b");
	timer_set(&f->a.timer, 2000); /* due as before, but now behind c */
	fake_world_pass(&f->w, 5 * DAY_MS);
	assert_true(loop_turn(f->loop, false));
	expect(f, "ca");
	timer_set(&f->a.timer, 10);
	timer_clear(&f->a.timer);
	timer_clear(&f->a.timer);
	assert_false(loop_next_timer(f->loop, &due));
}

static void
clear_others(void *arg)
{
	struct act *a = arg;
	note(a);
	timer_clear(&a->f->b.timer);
	timer_clear(&a->f->c.timer);
	later_clear(&a->f->b.later);
}

/* Cleared by another in the very turn in which it was due. */
static void
test_timer_clears_others(void **state)
{
	struct fixture *f = *state;
	set_timer(&f->a, clear_others, 0);
	set_timer(&f->b, note, 0);
	set_timer(&f->c, note, -5); /* at once, too */
	(void)loop_turn(f->loop, false);
	expect(f, "a");
}

static void
set_again(void *arg)
{
	struct act *a = arg;
	note(a);
	if (a->again-- > 0)
		timer_set(&a->timer, 0);
}

/* A timer that sets itself to "at once" does not keep the loop from anything else. */
static void
test_timer_sets_itself(void **state)
{
	struct fixture *f = *state;
	f->a.again = 2;
	set_timer(&f->a, set_again, 0);
	set_timer(&f->b, note, 0);
	(void)loop_turn(f->loop, true);
	expect(f, "ab");
	(void)loop_turn(f->loop, true); /* does not wait */
	expect(f, "a");
	(void)loop_turn(f->loop, true);
	expect(f, "a");
	assert_false(loop_turn(f->loop, false));
}

static void
stop(void *arg)
{
	loop_stop(((struct act *)arg)->f->loop);
}

/* Nothing but the clock wakes it; not before the time. */
static void
test_real_timer(void **state)
{
	struct world *w = world_real();
	struct fixture f = {.loop = loop_new(w)};
	(void)state;
	struct instant before = loop_now(f.loop);
	f.a.f = &f;
	set_timer(&f.a, stop, 3);
	loop_run(f.loop);
	assert_true(instant_since(world_now(w), before) >= 3);
	loop_free(&f.loop);
}

/* ---- laters */

static void
later_again(void *arg)
{
	struct act *a = arg;
	note(a);
	if (a->again-- > 0)
		later_set(&a->later);
}

static void
test_laters(void **state)
{
	struct fixture *f = *state;
	f->a.again = 2;
	later_init(&f->a.later, f->loop, later_again, &f->a);
	later_init(&f->b.later, f->loop, note, &f->b);
	later_init(&f->c.later, f->loop, note, &f->c);
	later_clear(&f->c.later); /* not set: harmless */
	later_set(&f->a.later);
	later_set(&f->b.later);
	later_set(&f->b.later);
	later_set(&f->c.later);
	later_clear(&f->c.later);
	assert_true(loop_turn(f->loop, true)); /* until nothing is put off any more */
	expect(f, "abaa");
	assert_false(loop_turn(f->loop, false));
	set_timer(&f->a, clear_others, 0);
	later_set(&f->b.later);
	(void)loop_turn(f->loop, false);
	expect(f, "a");
}

static void
test_each_turn(void **state)
{
	struct fixture *f = *state;
	loop_each_turn(f->loop, note, &f->c);
	later_init(&f->a.later, f->loop, note, &f->a);
	later_set(&f->a.later);
	(void)loop_turn(f->loop, false);
	(void)loop_turn(f->loop, false);
	expect(f, "acc");
}

/* ---- descriptors */

static int
readable_fd(void)
{
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(fd >= 0);
	return fd;
}

static void
on_ready(void *arg, unsigned what)
{
	assert_int_equal(what, WATCH_READ);
	note(arg);
}

static void
start_watch(struct act *a, void (*ready)(void *, unsigned))
{
	watch_init(&a->watch, a->f->loop, readable_fd(), ready, a);
	watch_set(&a->watch, WATCH_READ);
}

static void
end_watch(struct act *a)
{
	watch_clear(&a->watch);
	watch_clear(&a->watch);
	(void)close(a->watch.fd);
}

static void
on_both(void *arg, unsigned what)
{
	struct act *a = arg;
	buf_addf(&a->f->seen, "%u", what);
}

static void
test_watch(void **state)
{
	struct fixture *f = *state;
	start_watch(&f->a, on_both);
	(void)loop_turn(f->loop, true);
	(void)loop_turn(f->loop, true); /* level-triggered */
	expect(f, "11");
	watch_set(&f->a.watch, WATCH_READ | WATCH_WRITE);
	(void)loop_turn(f->loop, true);
	expect(f, "3");
	watch_set(&f->a.watch, WATCH_WRITE);
	(void)loop_turn(f->loop, true);
	expect(f, "2");
	watch_set(&f->a.watch, 0);
	assert_false(loop_turn(f->loop, false));
	watch_set(&f->a.watch, WATCH_READ);
	(void)loop_turn(f->loop, true);
	expect(f, "1");
	end_watch(&f->a);
	assert_false(loop_turn(f->loop, false));
}

/* Whichever comes first takes away all three and closes them: no other may be called. */
static void
clear_all(void *arg, unsigned what)
{
	struct act *a = arg;
	(void)what;
	buf_add_char(&a->f->seen, '!');
	end_watch(&a->f->a);
	end_watch(&a->f->b);
	end_watch(&a->f->c);
}

static void
test_watch_clears_others(void **state)
{
	struct fixture *f = *state;
	start_watch(&f->a, clear_all);
	start_watch(&f->b, clear_all);
	start_watch(&f->c, clear_all);
	(void)loop_turn(f->loop, true);
	expect(f, "!");
	assert_false(loop_turn(f->loop, false));
}

static void
on_ready_stop(void *arg, unsigned what)
{
	on_ready(arg, what);
	stop(arg);
}

static void
test_stop_ends_run_not_turns(void **state)
{
	struct fixture *f = *state;
	start_watch(&f->a, on_ready_stop);
	loop_run(f->loop);
	loop_run(f->loop); /* may be run again */
	expect(f, "aa");
	end_watch(&f->a);
}

/* ---- the order of a turn */

static void
open_parcel(struct parcel *p)
{
	note(CONTAINER_OF(p, struct act, parcel));
}

static void
read_now(struct fixture *f, char name)
{
	buf_addf(&f->seen, "%c%d ", name, (int)(loop_now(f->loop).ms % 1000));
}

static void
now_ready(void *arg, unsigned what)
{
	struct act *a = arg;
	(void)what;
	read_now(a->f, 'w');
	end_watch(a);
}

static void
now_parcel(struct parcel *p)
{
	read_now(CONTAINER_OF(p, struct act, parcel)->f, 'p');
}

static void
now_timer(void *arg)
{
	read_now(((struct act *)arg)->f, 't');
}

static void
now_later(void *arg)
{
	read_now(((struct act *)arg)->f, 'l');
}

/* Descriptors, then the inbox, then timers, then what was put off, and one clock for all.
 */
static void
test_order_of_a_turn(void **state)
{
	struct fixture *f = *state;
	later_init(&f->a.later, f->loop, now_later, &f->a);
	later_set(&f->a.later);
	set_timer(&f->a, now_timer, 0);
	f->a.parcel.open = now_parcel;
	inbox_post(loop_inbox(f->loop), &f->a.parcel);
	start_watch(&f->a, now_ready);
	start_watch(&f->b, now_ready);
	f->w.step_ms = 1; /* each reading of the clock gives another time */
	(void)loop_turn(f->loop, false);
	expect(f, "w1 w1 p1 t1 l1 ");
}

static void
test_inbox_wakes(void **state)
{
	struct fixture *f = *state;
	f->a.parcel.open = f->b.parcel.open = open_parcel;
	inbox_post(loop_inbox(f->loop), &f->a.parcel);
	inbox_post(loop_inbox(f->loop), &f->b.parcel);
	assert_true(loop_turn(f->loop, true));
	expect(f, "ab");
	assert_false(loop_turn(f->loop, false));
}

/* ---- signals */

static void
on_signal(void *arg, int signo)
{
	struct fixture *f = arg;
	buf_addf(&f->seen, "%s ", signo == SIGUSR1 ? "usr1" : "usr2");
}

static void
test_signals(void **state)
{
	static const int both[] = {SIGUSR1, SIGUSR2};
	struct fixture *f = *state;
	sigset_t now, before;
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &before), 0);
	loop_block_signals(both, 1);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
	assert_int_equal(sigismember(&now, SIGUSR1), 1);
	assert_int_equal(sigismember(&now, SIGUSR2), 0);
	loop_signals(f->loop, both, COUNT_OF(both), on_signal, f);
	assert_int_equal(raise(SIGUSR2), 0);
	(void)loop_turn(f->loop, true);
	expect(f, "usr2 ");
	assert_int_equal(raise(SIGUSR1), 0);
	(void)loop_turn(f->loop, true);
	expect(f, "usr1 ");
	assert_false(loop_turn(f->loop, false));
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

/* ---- the worlds */

static void
check_flags(int fd)
{
	int one = 0;
	socklen_t n = sizeof(one);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, &n), 0);
	assert_int_equal(one, 1);
}

static void
test_dial(void **state)
{
	struct net_addr at, from;
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	(void)state;
	assert_int_equal(net_parse_addr(SPAN("127.0.0.1:0"), &at), OK);
	assert_int_equal(net_parse_addr(SPAN("127.0.0.2:0"), &from), OK);
	int listener = net_listen(&at, false);
	assert_true(listener >= 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &n), 0);
	net_from_sockaddr((struct sockaddr *)&sa, &at);
	int fd = world_dial(world_real(), &at, &from);
	assert_true(fd >= 0);
	check_flags(fd);
	n = sizeof(sa);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	struct net_addr mine;
	net_from_sockaddr((struct sockaddr *)&sa, &mine);
	assert_true(net_same_ip(&mine, &from));
	close(fd);
	assert_int_equal(net_parse_addr(SPAN("192.0.2.1:0"), &from), OK);
	assert_true(
	    world_dial(world_real(), &at, &from) < 0); /* not an address of ours */
	close(listener);
}

static int
dial_seven(void *arg, const struct net_addr *to, const struct net_addr *from)
{
	assert_ptr_equal(to, from);
	*(int *)arg += 1;
	return 7;
}

static void
test_fake_world(void **state)
{
	struct fake_world w, same;
	struct net_addr a = {0};
	int dialled = 0;
	(void)state;
	fake_world_init(&w);
	fake_world_init(&same);
	assert_true(world_random_u64(&w.world) == world_random_u64(&same.world));
	assert_true(world_random_u64(&w.world) != world_random_u64(&w.world));
	fake_world_pass(&w, DAY_MS);
	assert_int_equal(
	    instant_since(world_now(&w.world), world_now(&same.world)), DAY_MS);
	assert_int_equal(
	    wall_since(world_wall(&w.world), world_wall(&same.world)), DAY_MS);
	assert_int_equal(world_dial(&w.world, &a, &a), ERR_UNREACHABLE);
	w.dial = dial_seven;
	w.dial_arg = &dialled;
	assert_int_equal(world_dial(&w.world, &a, &a), 7);
	assert_int_equal(dialled, 1);
}

static void
test_world(void **state)
{
	struct world *w = world_real();
	struct instant a = world_now(w), b = world_now(w);
	(void)state;
	assert_true(instant_since(b, a) >= 0);
	assert_true(world_wall(w).ms > INT64_C(1700000000000));
	for (int i = 0; i < 1000; i++)
		assert_true(world_random_below(w, 7) < 7);
	assert_true(world_random_u64(w) != world_random_u64(w));
	char none;
	world_random(w, &none, 0); /* nothing is no error */
}

/* ---- base64 */

static void
test_base64(void **state)
{
	static const char *const good[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
	    {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
	    {"foobar", "Zm9vYmFy"}};
	static const char *const bad[] = {"Z", "Zg", "Zg=", "Zg=a",
	    "Z===", "====", "Zm9v\n", "Zm 9", "Zm9*", "=m9v", "Zg==Zg=="};
	struct buf b;
	(void)state;
	buf_init(&b, 0);
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		buf_reset(&b);
		base64_encode(span_str(good[i][0]), &b);
		assert_true(span_eq(buf_span(&b), span_str(good[i][1])));
		buf_reset(&b);
		assert_int_equal(base64_decode(span_str(good[i][1]), &b), OK);
		assert_true(span_eq(buf_span(&b), span_str(good[i][0])));
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		buf_reset(&b);
		if (base64_decode(span_str(bad[i]), &b) == OK)
			fail_msg("\"%s\" should be refused", bad[i]);
	}
	char big[10000], *p;
	memset(big, 'x', sizeof(big));
	buf_reset(&b);
	base64_encode((struct span){big, sizeof(big)}, &b);
	p = buf_take(&b);
	assert_int_equal(base64_decode(span_str(p), &b), OK);
	assert_int_equal(b.n, sizeof(big));
	assert_memory_equal(b.p, big, sizeof(big));
	mem_free(&p);
	buf_clear(&b);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_timers),
	    T(test_timer_clears_others),
	    T(test_timer_sets_itself),
	    cmocka_unit_test(test_real_timer),
	    T(test_laters),
	    T(test_each_turn),
	    T(test_watch),
	    T(test_watch_clears_others),
	    T(test_stop_ends_run_not_turns),
	    T(test_order_of_a_turn),
	    T(test_inbox_wakes),
	    T(test_signals),
	    cmocka_unit_test(test_dial),
	    cmocka_unit_test(test_fake_world),
	    cmocka_unit_test(test_world),
	    cmocka_unit_test(test_base64),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
