/* SPDX-License-Identifier: ISC */
/*
 * loop - turns on a libevent base.  libevent only waits for descriptors; the
 * time to wait comes from our own heap of timers, through one libevent timer.
 */
#include "base/loop.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#define SIGNALS_MAX 8

struct loop {
	struct world *world;
	struct event_base *base;
	struct inbox *inbox;
	struct watch inbox_watch;
	struct event *wake; /* the next timer, as libevent's */
	struct heap timers;
	struct list laters;
	struct instant now;
	bool stop;
	bool active; /* something was done in this turn */
	bool began;  /* this turn has read the clock */
	bool mail;   /* the inbox is to be opened in this turn */
	void (*each_turn)(void *arg);
	void *each_turn_arg;
	struct watch signal_watch;
	int signal_fd;
	void (*on_signal)(void *, int);
	void *signal_arg;
};

static void
on_inbox(void *arg, unsigned what)
{
	struct loop *l = arg;
	(void)what;
	l->mail = true; /* opened when all descriptors have been served */
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg; /* timers are fired by the turn itself */
}

struct loop *
loop_new(struct world *world)
{
	struct loop *l = NEW(struct loop);
	l->world = world;
	struct event_config *c = event_config_new();
	CHECK(c != NULL);
	/* not PRECISE_TIMER: a timerfd_settime() per turn, for four milliseconds */
	(void)event_config_set_flag(c, EVENT_BASE_FLAG_NOLOCK);
	l->base = event_base_new_with_config(c);
	event_config_free(c);
	CHECK(l->base != NULL);
	l->wake = event_new(l->base, -1, 0, on_wake, l);
	CHECK(l->wake != NULL);
	l->inbox = inbox_new();
	l->signal_fd = -1;
	list_init(&l->laters);
	l->now = world_now(world);
	watch_init(&l->inbox_watch, l, inbox_fd(l->inbox), on_inbox, l);
	watch_set(&l->inbox_watch, WATCH_READ);
	return l;
}

void
loop_free(struct loop **lp)
{
	struct loop *l = *lp;
	if (l == NULL)
		return;
	watch_clear(&l->inbox_watch);
	if (l->signal_fd >= 0) {
		watch_clear(&l->signal_watch);
		(void)close(l->signal_fd);
	}
	event_free(l->wake);
	event_base_free(l->base);
	heap_clear(&l->timers);
	inbox_free(&l->inbox);
	mem_free(lp);
}

struct world *
loop_world(const struct loop *l)
{
	return l->world;
}

struct inbox *
loop_inbox(const struct loop *l)
{
	return l->inbox;
}

struct instant
loop_now(const struct loop *l)
{
	return l->now;
}

/* ---- a turn */

/* The first event of a turn reads the clock for all of it. */
static void
begin_turn(struct loop *l)
{
	if (!l->began)
		l->now = world_now(l->world);
	l->began = true;
}

/* A timer that is set while timers fire waits for the next turn, due or not. */
static void
fire_timers(struct loop *l)
{
	uint64_t first_new = l->timers.next_order;
	struct heap_node *first;
	while ((first = heap_min(&l->timers)) != NULL && first->key <= l->now.ms &&
	       first->order < first_new) {
		struct timer *t = CONTAINER_OF(first, struct timer, node);
		heap_remove(&l->timers, &t->node);
		l->active = true;
		t->fire(t->arg);
	}
}

static void
run_laters(struct loop *l)
{
	struct link *k;
	while ((k = list_pop(&l->laters)) != NULL) {
		struct later *d = CONTAINER_OF(k, struct later, link);
		l->active = true;
		d->run(d->arg);
	}
}

/* How libevent is to wait: not at all, until the next timer, or for ever. */
static int
wait_flags(struct loop *l, bool wait)
{
	struct heap_node *first = heap_min(&l->timers);
	if (!wait || !list_empty(&l->laters))
		return EVLOOP_NONBLOCK | EVLOOP_ONCE;
	if (first == NULL) {
		(void)event_del(l->wake);
		return EVLOOP_ONCE;
	}
	int64_t ms = first->key - world_now(l->world).ms;
	if (ms <= 0)
		return EVLOOP_NONBLOCK | EVLOOP_ONCE;
	struct timeval tv = {
	    .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
	(void)event_add(l->wake, &tv);
	return EVLOOP_ONCE;
}

#define HELD_UP_MS 100

/* Stopped (SIGSTOP), suspended, or starved: timers are due since long. */
static bool
was_held_up(const struct loop *l)
{
	const struct heap_node *first = heap_min(&l->timers);
	return first != NULL && world_now(l->world).ms - first->key > HELD_UP_MS;
}

bool
loop_turn(struct loop *l, bool wait)
{
	l->active = l->began = l->mail = false;
	int flags = wait_flags(l, wait);
	CHECK(event_base_loop(l->base, flags) >= 0);
	/* SIGCONT ends a wait with nothing: what has come meanwhile is ahead of the time
	 * that has run out while nobody could look */
	if (was_held_up(l))
		CHECK(event_base_loop(l->base, EVLOOP_NONBLOCK | EVLOOP_ONCE) >= 0);
	begin_turn(l);
	if (l->mail)
		(void)inbox_open_all(l->inbox);
	fire_timers(l);
	run_laters(l);
	if (l->each_turn != NULL)
		l->each_turn(l->each_turn_arg);
	return l->active;
}

void
loop_each_turn(struct loop *l, void (*fn)(void *arg), void *arg)
{
	l->each_turn = fn;
	l->each_turn_arg = arg;
}

void
loop_run(struct loop *l)
{
	l->stop = false;
	while (!l->stop)
		(void)loop_turn(l, true);
}

void
loop_stop(struct loop *l)
{
	l->stop = true;
}

bool
loop_next_timer(const struct loop *l, struct instant *due)
{
	struct heap_node *first = heap_min(&l->timers);
	if (first == NULL)
		return false;
	due->ms = first->key;
	return true;
}

/* ---- timers */

void
timer_init(struct timer *t, struct loop *l, void (*fire)(void *arg), void *arg)
{
	*t = (struct timer){.loop = l, .fire = fire, .arg = arg};
}

void
timer_set(struct timer *t, int64_t after_ms)
{
	heap_set(
	    &t->loop->timers, &t->node, t->loop->now.ms + (after_ms > 0 ? after_ms : 0));
}

void
timer_clear(struct timer *t)
{
	if (t->loop != NULL)
		heap_remove(&t->loop->timers, &t->node);
}

bool
timer_is_set(const struct timer *t)
{
	return heap_has(&t->node);
}

/* ---- descriptors */

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;
	(void)fd;
	unsigned ready =
	    ((what & EV_READ) ? WATCH_READ : 0u) | ((what & EV_WRITE) ? WATCH_WRITE : 0u);
	w->loop->active = true;
	begin_turn(w->loop);
	w->ready(w->arg, ready);
}

void
watch_init(struct watch *w, struct loop *l, int fd,
    void (*ready)(void *arg, unsigned what), void *arg)
{
	*w = (struct watch){.loop = l, .ready = ready, .arg = arg, .fd = fd};
}

void
watch_set(struct watch *w, unsigned wanted)
{
	if (wanted == w->wanted)
		return;
	if (w->event == NULL)
		w->event = mem_alloc(sizeof(struct event));
	else if (w->wanted != 0)
		(void)event_del(w->event);
	w->wanted = wanted;
	if (wanted == 0)
		return;
	short what = (short)(EV_PERSIST | ((wanted & WATCH_READ) ? EV_READ : 0) |
			     ((wanted & WATCH_WRITE) ? EV_WRITE : 0));
	CHECK(event_assign(w->event, w->loop->base, w->fd, what, on_event, w) == 0);
	CHECK(event_add(w->event, NULL) == 0);
}

void
watch_clear(struct watch *w)
{
	if (w->event == NULL)
		return;
	if (w->wanted != 0)
		(void)event_del(w->event);
	mem_free(&w->event);
	w->wanted = 0;
}

/* ---- later */

void
later_init(struct later *d, struct loop *l, void (*run)(void *arg), void *arg)
{
	*d = (struct later){.loop = l, .run = run, .arg = arg};
}

void
later_set(struct later *d)
{
	if (!link_in_list(&d->link))
		list_push(&d->loop->laters, &d->link);
}

void
later_clear(struct later *d)
{
	list_remove(&d->link);
}

/* ---- signals */

static void
on_signal_fd(void *arg, unsigned what)
{
	struct loop *l = arg;
	struct signalfd_siginfo info;
	(void)what;
	while (read(l->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		l->on_signal(l->signal_arg, (int)info.ssi_signo);
}

void
loop_block_signals(const int *signo, unsigned n)
{
	sigset_t set;
	(void)sigemptyset(&set);
	for (unsigned i = 0; i < n; i++)
		(void)sigaddset(&set, signo[i]);
	CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
}

void
loop_signals(struct loop *l, const int *signo, unsigned n, void (*on_signal)(void *, int),
    void *arg)
{
	sigset_t set;
	(void)sigemptyset(&set);
	for (unsigned i = 0; i < n; i++)
		(void)sigaddset(&set, signo[i]);
	loop_block_signals(signo, n);
	CHECK(l->signal_fd < 0);
	l->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	CHECK(l->signal_fd >= 0);
	l->on_signal = on_signal;
	l->signal_arg = arg;
	watch_init(&l->signal_watch, l, l->signal_fd, on_signal_fd, l);
	watch_set(&l->signal_watch, WATCH_READ);
}
