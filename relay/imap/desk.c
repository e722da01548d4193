/* SPDX-License-Identifier: ISC */
/*
 * desk - see desk.h.  One look is under way at a time, and none is believed while an
 * action runs: what it saw may be older than what the action did, and mails that leave
 * the tray must be remembered in the state that they had before.
 */
#include "relay/imap/desk.h"

#include <stdatomic.h>

#include "base/list.h"
#include "base/mem.h"

struct desk {
	struct desk_options o;
	struct scheduler *scheduler;
	atomic_uint watchers;
	struct timer timer;
	struct list asked,
	    served;         /* looks that are wanted; that the one under way serves */
	struct list acting; /* orders */
	struct spool_query *query;
	struct spool_request *taking;
	bool again; /* look once more when this one is over */
};

struct item;

struct desk_request {
	struct parcel parcel;
	struct link link; /* on the main thread */
	struct desk *desk;
	struct inbox *reply;
	desk_done_fn *done;
	void *arg;
	bool cancelled; /* the thread's of `reply` */
	struct desk_result result;
	/* an action */
	bool move;
	enum admin_action action;
	char *account;
	uint32_t tray;
	uint32_t *uid;
	size_t n, next, under_way;
	struct mail_change *change; /* of the tray, afterwards */
	struct spool_request *changing;
	struct list items;
};

/* One message of an order. */
struct item {
	struct link link;
	struct desk_request *request; /* NULL: the desk is gone */
	struct spool_query *query;
	uint32_t uid;
	uint64_t id;
	struct message *message;
};

/* ---- there and back */

static void
request_free(struct desk_request *q)
{
	mem_free(&q->account);
	mem_free(&q->uid);
	mail_change_free(&q->change);
	mem_free(&q);
}

static void
open_answer(struct parcel *p)
{
	struct desk_request *q = CONTAINER_OF(p, struct desk_request, parcel);
	if (!q->cancelled && q->done != NULL)
		q->done(q->arg, &q->result);
	request_free(q);
}

static void
answer(struct desk_request *q)
{
	list_remove(&q->link);
	q->parcel.open = open_answer;
	inbox_post(q->reply, &q->parcel);
}

static void
answer_all(struct list *all, enum err e)
{
	LIST_EACH (all, k) {
		struct desk_request *q = CONTAINER_OF(k, struct desk_request, link);
		q->result.err = e;
		answer(q);
	}
}

/* ---- looking */

static void look(struct desk *d);

struct looking {
	struct desk *desk; /* main thread only */
	struct tray_scan *scan;
	enum err err;
};

static void
looking_free(void *arg)
{
	struct looking *x = arg;
	tray_scan_free(&x->scan);
	mem_free(&x);
}

static void
run_look(struct spool_reader *r, void *arg)
{
	struct looking *x = arg;
	x->err = spool_tray_scan(r, &x->scan);
}

/* Those that were to be served wait for the next look. */
static void
ask_again(struct desk *d)
{
	LIST_EACH (&d->served, k) {
		list_remove(k);
		list_push(&d->asked, k);
	}
	d->again = true;
}

static void
look_over(struct desk *d, enum err e)
{
	answer_all(&d->served, e);
	if (d->again || !list_empty(&d->asked))
		look(d);
	else if (atomic_load(&d->watchers) > 0)
		timer_set(&d->timer, DESK_LOOK_MS);
}

static void
on_taken(void *arg, enum err e)
{
	struct desk *d = arg;
	d->taking = NULL;
	look_over(d, e);
}

static void
mark_active(void *arg, uint64_t id)
{
	tray_scan_active(arg, id);
}

static void
on_looked(void *arg)
{
	struct looking *x = arg;
	struct desk *d = x->desk;
	struct tray_scan *scan = x->scan;
	enum err e = x->err;
	x->scan = NULL;
	looking_free(x);
	d->query = NULL;
	if (e != OK) {
		look_over(d, e);
	} else if (d->again) { /* something was done meanwhile */
		tray_scan_free(&scan);
		ask_again(d);
		look(d);
	} else {
		scheduler_each_running(d->scheduler, mark_active, scan);
		d->taking = spool_tray_take_start(
		    d->o.spool, scan, loop_inbox(d->o.loop), on_taken, d);
	}
}

static void
look(struct desk *d)
{
	if (d->query != NULL || d->taking != NULL || !list_empty(&d->acting)) {
		d->again = true;
		return;
	}
	struct looking *x = NEW(struct looking);
	x->desk = d;
	d->again = false;
	timer_clear(&d->timer);
	LIST_EACH (&d->asked, k) {
		list_remove(k);
		list_push(&d->served, k);
	}
	d->query = spool_query_start(
	    d->o.spool, run_look, on_looked, looking_free, x, loop_inbox(d->o.loop));
}

static void
on_timer(void *arg)
{
	look(arg);
}

static void
open_look(struct parcel *p)
{
	struct desk_request *q = CONTAINER_OF(p, struct desk_request, parcel);
	list_push(&q->desk->asked, &q->link);
	if (q->desk->query == NULL && q->desk->taking == NULL &&
	    list_empty(&q->desk->acting))
		look(q->desk);
}

/* ---- acting */

static void act_more(struct desk_request *q);

static void
item_free(void *arg)
{
	struct item *i = arg;
	list_remove(&i->link);
	message_unref(&i->message);
	mem_free(&i);
}

static void
action_over(struct desk_request *q, enum err e)
{
	struct desk *d = q->desk;
	q->result.err = e;
	answer(q);
	if (list_empty(&d->acting) && d->query == NULL && d->taking == NULL)
		look(d);
	else
		d->again = true;
}

static void
on_changed(void *arg, enum err e)
{
	struct desk_request *q = arg;
	q->changing = NULL;
	action_over(q, e == ERR_NOT_FOUND ? OK : e);
}

static void
leave_tray(struct desk_request *q)
{
	struct mail_change *c = q->change;
	if (c == NULL) {
		action_over(q, OK);
		return;
	}
	q->change = NULL;
	q->changing = spool_mail_change_start(
	    q->desk->o.spool, c, loop_inbox(q->desk->o.loop), on_changed, q);
}

static const char *
action_name(enum admin_action a)
{
	static const char *const names[] = {
	    "retry", "hold", "release", "bounce", "delete"};
	return (size_t)a < COUNT_OF(names) ? names[a] : "?";
}

static void
item_over(struct item *i, unsigned applied)
{
	struct desk_request *q = i->request;
	char id[SPOOL_ID_LEN + 1];
	spool_id_format(i->id, id);
	LOG(q->desk->o.log, EV_ADMIN, F_STR("what", action_name(q->action)),
	    F_STR("account", q->account), F_STR("id", id), F_INT("applied", applied));
	q->result.applied += applied > 0;
	q->result.refused += applied == 0;
	if (applied > 0) {
		if (q->change == NULL)
			q->change = mail_change_at(q->tray);
		if (q->move)
			mail_change_delete(q->change, i->uid);
		else
			mail_change_flags(q->change, i->uid, MAIL_PICKED, 0);
	}
	item_free(i);
	q->under_way--;
	act_more(q);
}

static void
on_acted(void *arg, unsigned applied)
{
	item_over(arg, applied);
}

static void
run_read(struct spool_reader *r, void *arg)
{
	struct item *i = arg;
	(void)spool_read_message(r, i->id, false, &i->message);
}

static void
on_read(void *arg)
{
	struct item *i = arg;
	i->query = NULL;
	if (i->message == NULL || i->message->rcpts == 0)
		item_over(i, 0);
	else
		scheduler_act(i->request->desk->scheduler, i->request->action, i->message,
		    NULL, 0, on_acted, i);
}

static void
act_more(struct desk_request *q)
{
	struct desk *d = q->desk;
	while (q->next < q->n && q->under_way < DESK_AT_ONCE) {
		uint32_t uid = q->uid[q->next++];
		uint64_t id;
		if (spool_tray_message(d->o.spool, q->tray, uid, &id) != OK) {
			q->result.refused++;
			continue;
		}
		struct item *i = NEW(struct item);
		i->request = q;
		i->uid = uid;
		i->id = id;
		list_push(&q->items, &i->link);
		q->under_way++;
		i->query = spool_query_start(
		    d->o.spool, run_read, on_read, item_free, i, loop_inbox(d->o.loop));
	}
	if (q->next == q->n && q->under_way == 0)
		leave_tray(q);
}

static void
open_act(struct parcel *p)
{
	struct desk_request *q = CONTAINER_OF(p, struct desk_request, parcel);
	list_push(&q->desk->acting, &q->link);
	if (q->desk->query != NULL)
		q->desk->again = true; /* what it sees may be of before, or after */
	act_more(q);
}

/* ---- requests */

static struct desk_request *
start(struct desk_request *q, void (*open)(struct parcel *p))
{
	q->parcel.open = open;
	list_init(&q->items);
	inbox_post(loop_inbox(q->desk->o.loop), &q->parcel);
	return q;
}

struct desk_request *
desk_look_start(struct desk *d, struct inbox *reply, desk_done_fn *done, void *arg)
{
	struct desk_request *q = NEW(struct desk_request);
	*q = (struct desk_request){.desk = d, .reply = reply, .done = done, .arg = arg};
	return start(q, open_look);
}

struct desk_request *
desk_act_start(struct desk *d, const struct desk_order *o, struct inbox *reply,
    desk_done_fn *done, void *arg)
{
	struct desk_request *q = NEW(struct desk_request);
	*q = (struct desk_request){.desk = d,
	    .reply = reply,
	    .done = done,
	    .arg = arg,
	    .move = o->move,
	    .action = o->action,
	    .account = mem_strdup(o->account),
	    .tray = o->tray,
	    .uid = o->n > 0 ? mem_dup(o->uid, o->n * sizeof(*o->uid)) : NULL,
	    .n = o->n};
	return start(q, open_act);
}

void
desk_cancel(struct desk_request **q)
{
	if (*q != NULL)
		(*q)->cancelled = true;
	*q = NULL;
}

/* ---- life */

void
desk_watch(struct desk *d, bool on)
{
	if (on)
		atomic_fetch_add(&d->watchers, 1);
	else
		atomic_fetch_sub(&d->watchers, 1);
}

struct desk *
desk_new(const struct desk_options *o)
{
	struct desk *d = NEW(struct desk);
	d->o = *o;
	timer_init(&d->timer, o->loop, on_timer, d);
	list_init(&d->asked);
	list_init(&d->served);
	list_init(&d->acting);
	return d;
}

void
desk_open(struct desk *d, struct scheduler *s)
{
	d->scheduler = s;
}

static void
abandon(struct desk_request *q)
{
	LIST_EACH (&q->items, k) {
		struct item *i = CONTAINER_OF(k, struct item, link);
		if (i->query != NULL) {
			list_remove(&i->link);
			spool_cancel_query(&i->query); /* item_free() when it is over */
		} else {
			item_free(i);
		}
	}
	spool_cancel(&q->changing);
	list_remove(&q->link);
	request_free(q);
}

static void
abandon_all(struct list *all)
{
	LIST_EACH (all, k)
		abandon(CONTAINER_OF(k, struct desk_request, link));
}

void
desk_free(struct desk **dp)
{
	struct desk *d = *dp;
	if (d == NULL)
		return;
	timer_clear(&d->timer);
	spool_cancel_query(&d->query);
	spool_cancel(&d->taking);
	abandon_all(&d->asked);
	abandon_all(&d->served);
	abandon_all(&d->acting);
	mem_free(dp);
}
