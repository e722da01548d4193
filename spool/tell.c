/* SPDX-License-Identifier: ISC */
/*
 * tell - after a batch: every requester through his inbox, and the messages
 * that came in to on_accepted.  One chain, and so one wake-up, per inbox.
 *
 * A parcel that is on its way knows nothing of the spool: it may be opened
 * after spool_close().
 */
#include "base/fault.h"
#include "base/mem.h"
#include "spool/private.h"
#include "spool/tray.h"

#define INBOXES 64

struct posts {
	struct inbox *to[INBOXES];
	struct parcel_chain chain[INBOXES];
	size_t n;
};

static void
post(struct posts *p, struct inbox *to, struct parcel *parcel)
{
	size_t i = 0;
	while (i < p->n && p->to[i] != to)
		i++;
	if (i == INBOXES) {
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
		(void)FAULT("spool.tell");
		inbox_post_chain(p->to[i], parcel_chain_take(&p->chain[i]));
	}
}

/* ---- one request, on its owner's loop */

static void
open_request(struct parcel *p)
{
	struct spool_request *q = CONTAINER_OF(p, struct spool_request, parcel);
	spool_done_fn *done = q->done;
	void *arg = q->arg;
	enum err result = q->result;
	bool tell =
	    done != NULL && !atomic_load_explicit(&q->cancelled, memory_order_relaxed);
	file_use_release(&q->file, q->reply);
	if (q->change != NULL)
		mail_change_release_files(q->change, q->reply);
	message_unref(&q->message);
	report_free(&q->report);
	mail_change_free(&q->change);
	mailbox_order_free(&q->order);
	tray_scan_free(&q->scan);
	buf_clear(&q->octets);
	mem_free(&q);
	if (tell)
		done(arg, result);
}

/* ---- new messages */

struct accepted_parcel {
	struct parcel parcel;
	void (*on_accepted)(void *arg, struct message **m, size_t n);
	void *arg;
	struct message **m;
	size_t n;
};

static void
open_accepted(struct parcel *p)
{
	struct accepted_parcel *a = CONTAINER_OF(p, struct accepted_parcel, parcel);
	a->on_accepted(a->arg, a->m, a->n);
	mem_free(&a->m);
	mem_free(&a);
}

static void
post_accepted(struct batch *b, struct posts *posts)
{
	struct spool *s = b->spool;
	if (b->accepted_n == 0 || s->accepted_inbox == NULL || s->on_accepted == NULL)
		return;
	struct accepted_parcel *a = NEW(struct accepted_parcel);
	*a = (struct accepted_parcel){
	    {NULL, open_accepted}, s->on_accepted, s->arg, b->accepted, b->accepted_n};
	b->accepted = NULL;
	b->accepted_n = 0;
	post(posts, s->accepted_inbox, &a->parcel);
}

void
tell_batch(struct batch *b, struct spool_request **q, size_t n, enum err e)
{
	struct posts posts = {.n = 0};
	for (size_t i = 0; i < n && e == OK; i++)
		if (q[i]->applied && concerns_trays(q[i]))
			apply_to_trays(b, q[i]);
	if (e == OK) /* first: with more inboxes than INBOXES a post does not wait */
		events_tell(b);
	for (size_t i = 0; i < n; i++) {
		if (e != OK && q[i]->result == OK)
			q[i]->result = e;
		else if (e == OK && q[i]->applied && q[i]->file != NULL)
			file_use_stored(q[i]->file);
		if (e == OK && q[i]->applied && q[i]->change != NULL)
			mail_change_stored(q[i]->change);
		q[i]->parcel.open = open_request;
		post(&posts, q[i]->reply, &q[i]->parcel);
	}
	if (e == OK)
		post_accepted(b, &posts);
	post_all(&posts);
}

/* ---- the end of writing */

struct failure_parcel {
	struct parcel parcel;
	void (*on_failure)(void *arg, enum err e);
	void *arg;
	enum err err;
};

static void
open_failure(struct parcel *p)
{
	struct failure_parcel *f = CONTAINER_OF(p, struct failure_parcel, parcel);
	f->on_failure(f->arg, f->err);
	mem_free(&f);
}

void
tell_failure(struct spool *s, enum err e)
{
	if (s->on_failure == NULL || s->accepted_inbox == NULL)
		return;
	struct failure_parcel *f = NEW(struct failure_parcel);
	*f = (struct failure_parcel){{NULL, open_failure}, s->on_failure, s->arg, e};
	inbox_post(s->accepted_inbox, &f->parcel);
}
