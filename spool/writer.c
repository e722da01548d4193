/* SPDX-License-Identifier: ISC */
/*
 * writer - takes everything that waits, one transaction, one commit, and then
 * tells.  The commit in progress is the window in which the next batch gathers.
 *
 *	take -> begin -> apply each -> commit (the instant) -> tell
 *
 * A full disk aborts the batch: what adds mail is refused, what finishes mail
 * is tried again alone, with the reserve file given up to make room.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/mem.h"
#include "spool/private.h"

#define BATCH_REQUESTS 2000
#define BATCH_BYTES (16u << 20)
#define LOOK_MS SECOND_MS /* at the free space of the disk */

/* ---- room */

static void
set_full(struct spool *s, bool full, const char *what)
{
	bool was = atomic_exchange_explicit(&s->full, full, memory_order_relaxed);
	if (was == full)
		return;
	LOG(s->log, full ? EV_SPOOL_FULL : EV_SPOOL_ROOM, F_STR("what", what),
	    F_INT("bytes", atomic_load(&s->bytes)), F_INT("disk_free", atomic_load(&s->disk_free)));
}

void
look_at_disk(struct spool *s)
{
	struct statvfs v;
	s->looked = world_now(s->world);
	if (fstatvfs(s->dir, &v) == 0)
		atomic_store_explicit(
		    &s->disk_free, (uint64_t)v.f_bavail * v.f_frsize, memory_order_relaxed);
	uint64_t bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed);
	uint64_t left = atomic_load_explicit(&s->disk_free, memory_order_relaxed);
	if (s->max_size > 0 && bytes >= s->max_size)
		set_full(s, true, "the spool has reached max-size");
	else if (left < s->min_free)
		set_full(s, true, "the disk has less than min-free");
	else
		set_full(s, false, "there is room");
}

enum err
spool_admit(const struct spool *s, uint64_t size)
{
	uint64_t bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed);
	uint64_t left = atomic_load_explicit(&s->disk_free, memory_order_relaxed);
	if (atomic_load_explicit(&s->failed, memory_order_relaxed))
		return ERR_IO;
	if (s->max_size > 0 && (bytes >= s->max_size || size > s->max_size - bytes))
		return ERR_FULL;
	if (left < s->min_free || size > left - s->min_free)
		return ERR_DISK_FULL;
	return OK;
}

/* A file that is given up when the disk is full, so that mail can still be finished. */
static void
make_reserve(struct spool *s)
{
	if (s->reserve || atomic_load(&s->disk_free) < s->min_free + 2 * (uint64_t)RESERVE_BYTES)
		return;
	int fd = openat(s->dir, "reserve", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	s->reserve = posix_fallocate(fd, 0, RESERVE_BYTES) == 0;
	(void)close(fd);
}

static bool
give_up_reserve(struct spool *s)
{
	if (!s->reserve)
		return false;
	s->reserve = false;
	return unlinkat(s->dir, "reserve", 0) == 0;
}

/* ---- telling */

static void
request_free(struct spool_request *q)
{
	message_unref(&q->message);
	report_free(&q->report);
	mem_free(&q);
}

static void
open_request(struct parcel *p)
{
	struct spool_request *q = CONTAINER_OF(p, struct spool_request, parcel);
	spool_done_fn *done = q->done;
	void *arg = q->arg;
	enum err result = q->result;
	bool tell = done != NULL && !atomic_load_explicit(&q->cancelled, memory_order_relaxed);
	request_free(q);
	if (tell)
		done(arg, result);
}

/* One chain, and so one wake-up, per inbox. */
struct posts {
	struct inbox *to[64];
	struct parcel_chain chain[64];
	size_t n;
};

static void
post(struct posts *p, struct inbox *to, struct parcel *parcel)
{
	size_t i = 0;
	while (i < p->n && p->to[i] != to)
		i++;
	if (i == COUNT_OF(p->to)) {
		inbox_post(to, parcel);
		return;
	}
	if (i == p->n) {
		p->to[p->n] = to;
		p->chain[p->n++] = (struct parcel_chain){0};
	}
	parcel_chain_add(&p->chain[i], parcel);
}

static void
post_all(struct posts *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (FAULT("spool.tell"))
			continue; /* never happens: the fault is to die here */
		inbox_post_chain(p->to[i], parcel_chain_take(&p->chain[i]));
	}
}

struct accepted_parcel {
	struct parcel parcel;
	struct spool *spool;
	struct message **m;
	size_t n;
};

static void
open_accepted(struct parcel *p)
{
	struct accepted_parcel *a = CONTAINER_OF(p, struct accepted_parcel, parcel);
	a->spool->on_accepted(a->spool->arg, a->m, a->n);
	mem_free(&a->m);
	mem_free(&a);
}

static void
tell_accepted(struct batch *b, struct posts *posts)
{
	struct spool *s = b->spool;
	if (b->accepted_n == 0 || s->accepted_inbox == NULL)
		return;
	struct accepted_parcel *a = NEW(struct accepted_parcel);
	a->parcel.open = open_accepted;
	a->spool = s;
	a->m = b->accepted;
	a->n = b->accepted_n;
	b->accepted = NULL;
	b->accepted_n = 0;
	post(posts, s->accepted_inbox, &a->parcel);
}

struct failure_parcel {
	struct parcel parcel;
	struct spool *spool;
	enum err err;
};

static void
open_failure(struct parcel *p)
{
	struct failure_parcel *f = CONTAINER_OF(p, struct failure_parcel, parcel);
	f->spool->on_failure(f->spool->arg, f->err);
	mem_free(&f);
}

static void
fail_for_good(struct spool *s, enum err e)
{
	if (atomic_exchange(&s->failed, true))
		return;
	LOG(s->log, EV_SPOOL_FAILED, F_STR("error", err_text(e)), F_STR("spool", s->path));
	if (s->on_failure == NULL || s->accepted_inbox == NULL)
		return;
	struct failure_parcel *f = NEW(struct failure_parcel);
	*f = (struct failure_parcel){.parcel.open = open_failure, .spool = s, .err = e};
	inbox_post(s->accepted_inbox, &f->parcel);
}

/* ---- one transaction */

static enum err
apply_all(struct batch *b, struct spool_request **q, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (q[i]->result != OK || atomic_load_explicit(&q[i]->cancelled, memory_order_relaxed))
			continue;
		enum err e = apply_request(b, q[i]);
		if (e == ERR_NOT_FOUND)
			q[i]->result = e;
		else if (e != OK)
			return e;
	}
	return OK;
}

static enum err
put_account(struct batch *b)
{
	struct spool *s = b->spool;
	uint64_t bytes = (uint64_t)((int64_t)atomic_load(&s->bytes) + b->bytes);
	enum err e = db_put_u64(b->txn, s, "id", b->last_id);
	if (e == OK)
		e = db_put_u64(b->txn, s, "bytes", bytes);
	if (e == OK && b->next_dest != s->next_dest)
		e = db_put_u64(b->txn, s, "dest", b->next_dest - 1);
	return e;
}

static int64_t
microseconds(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static enum err
commit(struct batch *b)
{
	struct spool *s = b->spool;
	if (FAULT("spool.commit.full")) {
		mdb_txn_abort(b->txn);
		return ERR_DISK_FULL;
	}
	if (FAULT("spool.commit.io")) {
		mdb_txn_abort(b->txn);
		return ERR_IO;
	}
	int64_t began = microseconds(); /* a figure for people, nothing is decided by it */
	enum err e = db_err(mdb_txn_commit(b->txn));
	if (e != OK)
		return e;
	atomic_fetch_add_explicit(&s->flush_us, (uint64_t)(microseconds() - began), memory_order_relaxed);
	atomic_fetch_add_explicit(&s->commits, 1, memory_order_relaxed);
	s->last_id = b->last_id;
	s->next_dest = b->next_dest;
	atomic_fetch_add_explicit(&s->bytes, (uint64_t)b->bytes, memory_order_relaxed);
	(void)FAULT("spool.committed");
	return OK;
}

static enum err
transaction(struct batch *b, struct spool *s, struct spool_request **q, size_t n)
{
	batch_begin(b, s);
	(void)FAULT("spool.begin");
	enum err e = db_err(mdb_txn_begin(s->env, NULL, 0, &b->txn));
	if (e != OK)
		return e;
	e = apply_all(b, q, n);
	if (e == OK)
		e = put_account(b);
	(void)FAULT("spool.applied");
	if (e != OK) {
		mdb_txn_abort(b->txn);
		return e;
	}
	return commit(b);
}

static bool
adds_mail(const struct spool_request *q)
{
	return q->kind == REQUEST_ACCEPT;
}

static bool
refuse_adding(struct spool_request **q, size_t n, enum err e)
{
	bool some = false, left = false;
	for (size_t i = 0; i < n; i++) {
		if (adds_mail(q[i]) && q[i]->result == OK) {
			q[i]->result = e;
			some = true;
		}
		left = left || q[i]->result == OK;
	}
	return some && left;
}

/* After a full disk: without new mail; then with the reserve given up; then not at all. */
static enum err
transaction_when_full(struct batch *b, struct spool *s, struct spool_request **q, size_t n)
{
	enum err e = ERR_DISK_FULL;
	(void)refuse_adding(q, n, e);
	for (int i = 0; i < 2 && e == ERR_DISK_FULL; i++) {
		for (size_t k = 0; k < n; k++)
			if (q[k]->result == ERR_NOT_FOUND)
				q[k]->result = OK; /* decided anew */
		batch_clear(b);
		e = transaction(b, s, q, n);
		if (e == ERR_DISK_FULL && i == 0 && !give_up_reserve(s))
			break;
	}
	return e;
}

static void
finish_batch(struct batch *b, struct spool *s, struct spool_request **q, size_t n, enum err e)
{
	struct posts posts = {.n = 0};
	for (size_t i = 0; i < n; i++) {
		if (e != OK && q[i]->result == OK)
			q[i]->result = e;
		bool skipped = atomic_load_explicit(&q[i]->cancelled, memory_order_relaxed);
		if (q[i]->kind == REQUEST_ACCEPT && q[i]->message->file != 0 && !skipped)
			files_settle(s, q[i]->message->file, q[i]->result == OK);
		q[i]->parcel.open = open_request;
		post(&posts, q[i]->reply, &q[i]->parcel);
	}
	if (e == OK)
		tell_accepted(b, &posts);
	post_all(&posts);
	if (e == OK && b->unlink_n > 0)
		files_unlink(s, b->unlink, b->unlink_n);
}

static void
run_batch(struct spool *s, struct spool_request **q, size_t n)
{
	struct batch b;
	enum err e = ERR_IO;
	if (atomic_load_explicit(&s->failed, memory_order_relaxed)) {
		batch_begin(&b, s);
	} else {
		e = transaction(&b, s, q, n);
		if (e == ERR_DISK_FULL)
			e = transaction_when_full(&b, s, q, n);
		if (e == ERR_DISK_FULL)
			look_at_disk(s);
		else if (e != OK)
			fail_for_good(s, e);
	}
	atomic_fetch_add_explicit(&s->requests, n, memory_order_relaxed);
	finish_batch(&b, s, q, n, e);
	batch_clear(&b);
}

static size_t
weight(const struct spool_request *q)
{
	size_t n = 1024;
	if (q->kind == REQUEST_ACCEPT && q->message->file == 0)
		n += (size_t)q->message->size;
	return n;
}

static void
run_chain(struct spool *s, struct parcel *p)
{
	struct spool_request *q[BATCH_REQUESTS];
	while (p != NULL) {
		size_t n = 0, bytes = 0;
		while (p != NULL && n < BATCH_REQUESTS && bytes < BATCH_BYTES) {
			q[n] = CONTAINER_OF(p, struct spool_request, parcel);
			p = p->next;
			bytes += weight(q[n++]);
		}
		run_batch(s, q, n);
	}
}

/* ---- the thread */

static void
look_now_and_then(struct spool *s)
{
	if (instant_since(world_now(s->world), s->looked) < LOOK_MS)
		return;
	look_at_disk(s);
	make_reserve(s);
}

static void *
writer_main(void *arg)
{
	struct spool *s = arg;
	struct pollfd p = {.fd = inbox_fd(s->in), .events = POLLIN};
	(void)prctl(PR_SET_NAME, "relayd-spool", 0, 0, 0);
	for (;;) {
		(void)poll(&p, 1, (int)LOOK_MS);
		bool stop = atomic_load(&s->stop);
		struct parcel *chain = inbox_take(s->in);
		run_chain(s, chain);
		look_now_and_then(s);
		if (stop && chain == NULL)
			return NULL;
	}
}

static void
on_later(void *arg)
{
	struct spool *s = arg;
	run_chain(s, parcel_chain_take(&s->queued));
	look_now_and_then(s);
}

enum err
writer_start(struct spool *s)
{
	look_at_disk(s);
	make_reserve(s);
	if (s->loop != NULL) {
		later_init(&s->later, s->loop, on_later, s);
		return OK;
	}
	s->in = inbox_new();
	if (pthread_create(&s->thread, NULL, writer_main, s) != 0)
		return ERR_FULL;
	s->running = true;
	return OK;
}

void
writer_stop(struct spool *s)
{
	if (s->loop != NULL) {
		on_later(s);
		later_clear(&s->later);
	}
	if (s->running) {
		atomic_store(&s->stop, true);
		inbox_wake(s->in);
		CHECK(pthread_join(s->thread, NULL) == 0);
		s->running = false;
	}
	if (s->in != NULL)
		inbox_free(&s->in);
}

/* ---- requests */

static struct spool_request *
request_new(enum request_kind kind, struct inbox *reply, spool_done_fn *done, void *arg)
{
	struct spool_request *q = NEW(struct spool_request);
	q->kind = kind;
	q->reply = reply;
	q->done = done;
	q->arg = arg;
	return q;
}

static struct spool_request *
start(struct spool *s, struct spool_request *q)
{
	CHECK(!s->read_only);
	if (s->loop != NULL) {
		parcel_chain_add(&s->queued, &q->parcel);
		later_set(&s->later);
	} else {
		inbox_post(s->in, &q->parcel);
	}
	return q;
}

struct spool_request *
spool_accept_start(struct spool *s, struct message *m, struct inbox *reply, spool_done_fn *done,
    void *arg)
{
	struct spool_request *q = request_new(REQUEST_ACCEPT, reply, done, arg);
	q->message = message_ref(m);
	return start(s, q);
}

struct spool_request *
spool_report_start(struct spool *s, struct report *r, struct inbox *reply, spool_done_fn *done,
    void *arg)
{
	struct spool_request *q = request_new(REQUEST_REPORT, reply, done, arg);
	q->report = r;
	return start(s, q);
}

struct spool_request *
spool_mark_start(struct spool *s, const char *name, uint64_t value, struct inbox *reply,
    spool_done_fn *done, void *arg)
{
	struct spool_request *q = request_new(REQUEST_MARK, reply, done, arg);
	(void)snprintf(q->name, sizeof(q->name), "mark.%s", name);
	q->value = value;
	return start(s, q);
}

void
spool_cancel(struct spool_request **qp)
{
	if (*qp != NULL)
		atomic_store_explicit(&(*qp)->cancelled, true, memory_order_relaxed);
	*qp = NULL;
}
