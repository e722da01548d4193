/* SPDX-License-Identifier: ISC */
/*
 * writer - takes everything that waits, one transaction, one commit, and then
 * tells.  The commit in progress is the window in which the next batch gathers.
 *
 *	take -> begin -> apply each -> commit (the instant) -> tell
 *
 * A full disk aborts the batch, and less of it is tried again: first without
 * new mail, then with the reserve given up, then without notices.  A request that
 * meets a damaged record is refused, and the others are tried again without it: what
 * else it had written goes with the aborted transaction.  Any other error is final
 * (fail_for_good): what a failed flush has left on the disk nobody knows, so nothing
 * is written behind it.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/hand.h"
#include "base/mem.h"
#include "spool/private.h"
#include "spool/tray.h"

#define BATCH_REQUESTS 2000
#define BATCH_BYTES (16u << 20)
#define IDLE_MS 1000 /* then the free space of the disk is looked at */

void
fail_for_good(struct spool *s, enum err e)
{
	if (atomic_exchange(&s->failed, true))
		return;
	LOG(s->log, EV_SPOOL_FAILED, F_STR("error", err_text(e)),
	    F_STR("spool", s->path));
	tell_failure(s, e);
}

/* ---- one transaction */

static bool
is_own_error(enum err e)
{
	return e == ERR_NOT_FOUND || e == ERR_RANGE || e == ERR_FULL || e == ERR_EXISTS;
}

/* The message that a crash over it is put down to (hand.h). One that is only arriving is
 * a stranger's octets still. */
static uint64_t
in_hand(const struct spool_request *q)
{
	if (q->kind == REQUEST_REPORT)
		return q->report->id;
	if (q->kind == REQUEST_STRUCTURE)
		return q->value;
	return q->kind == REQUEST_ACCEPT ? HAND_SESSION : 0;
}

/* Apply until the transaction is large enough; *n becomes how many were looked at. */
static enum err
apply_all(struct batch *b, struct spool_request **q, size_t *n)
{
	size_t i = 0;
	for (; i < *n && b->work < BATCH_BYTES; i++) {
		if (q[i]->result != OK ||
		    atomic_load_explicit(&q[i]->cancelled, memory_order_relaxed))
			continue;
		uint64_t was = hand_take(in_hand(q[i]));
		enum err e = apply_request(b, q[i]);
		hand_back(was);
		q[i]->applied = e == OK;
		if (is_own_error(e) || e == ERR_DAMAGED)
			q[i]->result = e;
		if (e != OK && !is_own_error(e))
			return e;
	}
	*n = i;
	return OK;
}

/* Was it a record of ours, and not one of LMDB's pages?  That would stop the
 * transaction. */
static bool
is_sound(const struct batch *b)
{
	uint64_t version;
	return db_get_u64(b->txn, b->spool, "format", &version) == OK;
}

static enum err
put_account(struct batch *b)
{
	struct spool *s = b->spool;
	uint64_t bytes = atomic_load(&s->bytes) + (uint64_t)b->bytes;
	enum err e = db_put_u64(b->txn, s, "id", b->last_id);
	if (e == OK)
		e = db_put_u64(b->txn, s, "bytes", bytes);
	if (e == OK && b->next_dest != s->next_dest)
		e = db_put_u64(b->txn, s, "dest", b->next_dest - 1);
	if (e == OK && b->next_mbox != s->next_mbox)
		e = db_put_u64(b->txn, s, "mailbox", b->next_mbox - 1);
	if (e == OK && b->uidvalidity != s->uidvalidity)
		e = db_put_u64(b->txn, s, "uidvalidity", b->uidvalidity);
	return e;
}

/* For figures, and for how long to wait: what is done is not decided by it. */
static uint64_t
microseconds(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static enum err
commit(struct batch *b)
{
	struct spool *s = b->spool;
	enum err e = FAULT("spool.commit.full") ? ERR_DISK_FULL : OK;
	if (FAULT("spool.commit.io"))
		e = ERR_IO;
	if (e != OK) {
		mdb_txn_abort(b->txn);
		return e;
	}
	uint64_t began = microseconds();
	atomic_store_explicit(
	    &s->meters.committing_since, world_now(s->world).ms, memory_order_relaxed);
	e = db_err(mdb_txn_commit(b->txn));
	atomic_store_explicit(&s->meters.committing_since, 0, memory_order_relaxed);
	if (e != OK)
		return e == ERR_DAMAGED ? ERR_IO : e; /* nobody's own */
	(void)FAULT("spool.committed");
	uint64_t took = microseconds() - began;
	histogram_add(&s->meters.commit_us, took);
	atomic_fetch_add_explicit(&s->flush_us, took, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->commits, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->bytes, (uint64_t)b->bytes, memory_order_relaxed);
	s->last_id = b->last_id;
	s->next_dest = b->next_dest;
	s->next_mbox = b->next_mbox;
	s->uidvalidity = b->uidvalidity;
	s->freed = b->freed;
	usage_apply(b);
	ahead_look(s);
	return OK;
}

static enum err
transaction(struct batch *b, struct spool *s, struct spool_request **q, size_t *n)
{
	batch_begin(b, s);
	(void)FAULT("spool.begin");
	enum err e = db_err(mdb_txn_begin(s->env, NULL, 0, &b->txn));
	if (e != OK)
		return e;
	e = apply_all(b, q, n);
	if (e == ERR_DAMAGED && !is_sound(b))
		e = ERR_IO;
	if (e == OK && (e = put_account(b)) == ERR_DAMAGED)
		e = ERR_IO;
	(void)FAULT("spool.applied");
	if (e == OK)
		return commit(b);
	mdb_txn_abort(b->txn);
	return e;
}

/* ---- when the disk is full, or a record damaged */

static bool
is_new_mail(const struct spool_request *q)
{
	return q->kind == REQUEST_ACCEPT ||
	       (q->kind == REQUEST_MAIL && mail_change_appends(q->change));
}

static bool
has_notice(const struct spool_request *q)
{
	if (q->kind == REQUEST_MAIL)
		return mail_change_get_notice(q->change) != NULL;
	return q->kind == REQUEST_REPORT &&
	       (q->report->notice[0] != NULL || q->report->notice[1] != NULL);
}

/* Refuse some; true if others are left to be tried. */
static bool
refuse(struct spool_request **q, size_t n, bool (*these)(const struct spool_request *))
{
	size_t left = 0;
	for (size_t i = 0; i < n; i++) {
		q[i]->applied = false;
		if (is_own_error(q[i]->result))
			q[i]->result = OK; /* decided anew */
		if (q[i]->result == OK && these(q[i]))
			q[i]->result = ERR_DISK_FULL;
		left += q[i]->result == OK;
	}
	return left > 0;
}

static bool
none(const struct spool_request *q)
{
	(void)q;
	return false;
}

/* Each time one request fewer: the one that has met it knows its result. */
static enum err
transaction_without_damage(
    struct batch *b, struct spool *s, struct spool_request **q, size_t *n)
{
	enum err e = transaction(b, s, q, n);
	while (e == ERR_DAMAGED) {
		LOG(s->log, EV_FAILED, F_STR("what", "changing what is damaged"),
		    F_STR("spool", s->path),
		    F_STR("now", "that one change is refused: relayctl spool check"));
		(void)refuse(q, *n, none);
		batch_clear(b);
		e = transaction(b, s, q, n);
	}
	return e;
}

/* OK if something was committed or nothing is left; requests that were refused know it.
 */
static enum err
transaction_when_full(
    struct batch *b, struct spool *s, struct spool_request **q, size_t *n)
{
	static const struct {
		bool (*refuse)(const struct spool_request *);
		bool reserve;
	} step[] = {{is_new_mail, false}, {none, true}, {has_notice, false}};
	enum err e = ERR_DISK_FULL;
	for (size_t i = 0; i < COUNT_OF(step) && e == ERR_DISK_FULL; i++) {
		if (!refuse(q, *n, step[i].refuse))
			return ERR_DISK_FULL;
		if (step[i].reserve && !give_up_reserve(s))
			continue;
		batch_clear(b);
		e = transaction_without_damage(b, s, q, n);
	}
	return e;
}

/* Returns how many of them are done with. */
static size_t
run_batch(struct spool *s, struct spool_request **q, size_t n)
{
	struct batch b;
	enum err e = ERR_IO;
	if (atomic_load_explicit(&s->failed, memory_order_relaxed)) {
		batch_begin(&b, s);
	} else {
		e = transaction_without_damage(&b, s, q, &n);
		if (e == ERR_DISK_FULL) {
			e = transaction_when_full(&b, s, q, &n);
			look_at_disk(s);
		}
		if (e != OK && e != ERR_DISK_FULL)
			fail_for_good(s, e);
	}
	atomic_fetch_add_explicit(&s->requests, n, memory_order_relaxed);
	if (e == OK)
		histogram_add(&s->meters.batch, n);
	tell_batch(&b, q, n, e);
	if (e == OK && b.unlink_n > 0)
		files_unlink(s->commons, b.unlink, b.unlink_n, s->accepted_inbox);
	if (e == OK)
		history_write(&b);
	batch_clear(&b);
	return n;
}

static void
run_chain(struct spool *s, struct parcel *p)
{
	struct spool_request *q[BATCH_REQUESTS];
	size_t n = 0;
	while (p != NULL || n > 0) {
		for (; p != NULL && n < BATCH_REQUESTS; p = p->next)
			q[n++] = CONTAINER_OF(p, struct spool_request, parcel);
		size_t done = run_batch(s, q, n);
		n -= done;
		for (size_t i = 0; i < n; i++)
			q[i] = q[i + done];
	}
}

/* ---- content that is let go of in slices */

static enum err
free_some(struct batch *b, struct spool *s)
{
	enum err e = db_err(mdb_txn_begin(s->env, NULL, 0, &b->txn));
	if (e != OK)
		return e;
	(void)FAULT("spool.free");
	e = release_slice(b, &b->freed);
	if (e == OK)
		e = put_account(b);
	if (e == OK)
		return commit(b);
	mdb_txn_abort(b->txn);
	return e;
}

/* One slice, if there is any; false: nothing is left to do now. */
static bool
run_freed(struct spool *s)
{
	struct batch b;
	if (!s->freed || atomic_load_explicit(&s->failed, memory_order_relaxed))
		return false;
	batch_begin(&b, s);
	enum err e = free_some(&b, s);
	if (e == OK && b.unlink_n > 0)
		files_unlink(s->commons, b.unlink, b.unlink_n, s->accepted_inbox);
	if (e == ERR_DISK_FULL)
		(void)give_up_reserve(s);
	else if (e != OK)
		fail_for_good(s, e);
	batch_clear(&b);
	return e == OK && s->freed;
}

/* ---- the thread */

static void
block_signals(void)
{
	static const int ours[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
	sigset_t set;
	(void)sigfillset(&set);
	for (size_t i = 0; i < COUNT_OF(ours); i++)
		(void)sigdelset(&set, ours[i]);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/*
 * Fewer flushes, and more mail in all, when more requests share one:
 *
 * While requests come fast, those that somebody waits for linger a moment.  A lone
 * client never waits, because his batches are small (FEW), nor does a batch that
 * is large already (ENOUGH).
 *
 * Nobody waits for the report that a message has been delivered.  It goes along with
 * the next request that somebody waits for, or when there are enough of them, or
 * after PATIENCE_MS: by so much the time grows in which a crash would have the
 * message sent a second time (RFC 1047).  A report with a notice is not held back.
 */
#define LINGER_NS 1000000
#define PATIENCE_MS 5
#define FEW 6
#define ENOUGH 64
#define ENOUGH_REPORTS 256

struct gathering {
	struct parcel_chain chain;
	size_t urgent, patient;
	size_t last;    /* urgent ones of the last batch */
	uint64_t since; /* microseconds: of the first patient one */
};

static bool
is_patient(const struct spool_request *q)
{
	const struct report *r = q->report;
	return q->kind == REQUEST_REPORT && r->notice[0] == NULL && r->notice[1] == NULL;
}

static void
gather(struct spool *s, struct gathering *g)
{
	struct parcel *next;
	for (struct parcel *p = inbox_take(s->in); p != NULL; p = next) {
		next = p->next;
		bool patient = is_patient(CONTAINER_OF(p, struct spool_request, parcel));
		if (patient && g->patient++ == 0)
			g->since = microseconds();
		g->urgent += !patient;
		parcel_chain_add(&g->chain, p);
	}
}

static void
linger(struct spool *s, struct gathering *g)
{
	const struct timespec wait = {.tv_nsec = LINGER_NS};
	if (g->urgent > 0 && g->urgent < ENOUGH && g->last >= FEW) {
		(void)nanosleep(&wait, NULL);
		gather(s, g);
	}
	if (g->urgent > 0)
		g->last = g->urgent;
}

/* How long what is there may wait for more; 0: not at all. */
static int
patience(const struct gathering *g)
{
	if (g->urgent > 0 || g->patient >= ENOUGH_REPORTS)
		return 0;
	if (g->patient == 0)
		return IDLE_MS;
	uint64_t waited = (microseconds() - g->since) / 1000;
	return waited < PATIENCE_MS ? (int)(PATIENCE_MS - waited) : 0;
}

static void *
writer_main(void *arg)
{
	struct spool *s = arg;
	struct pollfd p = {.fd = inbox_fd(s->in), .events = POLLIN};
	(void)prctl(PR_SET_NAME, "relayd-spool", 0, 0, 0);
	block_signals();
	struct gathering g = {.urgent = 0};
	bool more = false;
	for (;;) {
		(void)poll(&p, 1, atomic_load(&s->stop) || more ? 0 : patience(&g));
		bool stop = atomic_load(&s->stop);
		atomic_fetch_add_explicit(&s->turns, 1, memory_order_relaxed);
		gather(s, &g);
		if (!stop && g.patient > 0 && patience(&g) > 0) {
			more = run_freed(s);
			continue;
		}
		if (!stop)
			linger(s, &g);
		struct parcel *chain = parcel_chain_take(&g.chain);
		g.urgent = g.patient = 0;
		run_chain(s, chain);
		look_now_and_then(s);
		more = run_freed(s);
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
	if (run_freed(s))
		later_set(&s->later);
}

enum err
writer_start(struct spool *s)
{
	look_at_disk(s);
	s->looked.ms -= IDLE_MS;
	if (s->loop != NULL) {
		later_init(&s->later, s->loop, on_later, s);
		if (s->freed)
			later_set(&s->later);
		look_now_and_then(s);
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
	if (s->later.loop != NULL) {
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

uint64_t
spool_turns(const struct spool *s)
{
	return atomic_load_explicit(&s->turns, memory_order_relaxed);
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

/* What the content itself knows better than its owner. */
static void
measure(struct message *m)
{
	if (m == NULL || m->content == NULL || !content_in_memory(m->content))
		return;
	m->file = 0;
	m->size = content_size(m->content);
	m->crc = content_crc(m->content);
}

struct spool_request *
spool_accept_start(struct spool *s, struct message *m, struct inbox *reply,
    spool_done_fn *done, void *arg)
{
	struct spool_request *q = request_new(REQUEST_ACCEPT, reply, done, arg);
	measure(m);
	q->message = message_ref(m);
	if (m->file != 0) {
		q->file = file_use_find(s->commons, m->file);
		q->result = q->file == NULL ? ERR_NOT_FOUND : OK;
	}
	return start(s, q);
}

struct spool_request *
spool_report_start(struct spool *s, struct report *r, struct inbox *reply,
    spool_done_fn *done, void *arg)
{
	struct spool_request *q = request_new(REQUEST_REPORT, reply, done, arg);
	measure(r->notice[0]);
	measure(r->notice[1]);
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

struct spool_request *
spool_mail_change_start(struct spool *s, struct mail_change *c, struct inbox *reply,
    spool_done_fn *done, void *arg)
{
	struct spool_request *q = request_new(REQUEST_MAIL, reply, done, arg);
	measure(mail_change_get_notice(c));
	q->change = c;
	q->result = mail_change_hold_files(c, s->commons, measure);
	return start(s, q);
}

struct spool_request *
spool_mailbox_start(struct spool *s, const struct mailbox_request *m, struct inbox *reply,
    spool_done_fn *done, void *arg)
{
	struct spool_request *q = request_new(REQUEST_MAILBOX, reply, done, arg);
	q->order = mailbox_order_new(m);
	return start(s, q);
}

struct spool_request *
spool_structure_start(struct spool *s, uint64_t message, struct span structure,
    struct inbox *reply, spool_done_fn *done, void *arg)
{
	struct spool_request *q = request_new(REQUEST_STRUCTURE, reply, done, arg);
	q->value = message;
	buf_init(&q->octets, 0);
	buf_add_span(&q->octets, structure);
	return start(s, q);
}

struct spool_request *
spool_tray_take_start(struct spool *s, struct tray_scan *scan, struct inbox *reply,
    spool_done_fn *done, void *arg)
{
	struct spool_request *q = request_new(REQUEST_TRAY, reply, done, arg);
	q->scan = scan;
	return start(s, q);
}

struct spool_request *
spool_owner_delete_start(struct spool *s, struct span owner, struct inbox *reply,
    spool_done_fn *done, void *arg)
{
	struct spool_request *q = request_new(REQUEST_OWNER, reply, done, arg);
	if (owner.n == 0 || owner.n > MAILBOX_OWNER_MAX) /* not another's, cut short */
		q->result = ERR_NOT_FOUND;
	else
		span_copy(owner, q->name, sizeof(q->name));
	return start(s, q);
}

void
spool_cancel(struct spool_request **qp)
{
	if (*qp != NULL)
		atomic_store_explicit(&(*qp)->cancelled, true, memory_order_relaxed);
	*qp = NULL;
}
