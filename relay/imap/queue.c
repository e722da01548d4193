/* SPDX-License-Identifier: ISC */
/* queue - see queue.h. */
#include "relay/imap/queue.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static const struct queue_box boxes[] = {
    {"!Bounce", TRAY_NONE, false, true, ADMIN_BOUNCE},
    {"!Discard", TRAY_NONE, false, true, ADMIN_DELETE},
    {"!Hold", TRAY_NONE, false, true, ADMIN_HOLD},
    {"!Release", TRAY_NONE, false, true, ADMIN_RELEASE},
    {"!Retry now", TRAY_NONE, false, true, ADMIN_RETRY},
    {"Failed", TRAY_NONE, true, false, ADMIN_RETRY},
    {"Quarantine", TRAY_HELD, false, false, ADMIN_RETRY},
    {"Queue", TRAY_QUEUE, false, false, ADMIN_RETRY},
};

static bool
may_see(const struct imap *s)
{
	return s->trays != 0;
}

const struct queue_box *
queue_boxes(const struct imap *s, size_t *n)
{
	*n = may_see(s) ? COUNT_OF(boxes) : 0;
	return boxes;
}

const struct queue_box *
queue_box(const struct imap *s, const char *name)
{
	for (size_t i = 0; may_see(s) && i < COUNT_OF(boxes); i++) {
		if (strcmp(boxes[i].name, name) == 0)
			return &boxes[i];
	}
	return NULL;
}

uint32_t
queue_number(const struct imap *s, const struct queue_box *b)
{
	return b->failed ? 0 : tray_of(s->trays, b->tray);
}

bool
queue_selected(const struct imap *s)
{
	return s->selected != NULL && tray_is(s->selected->view->number);
}

bool
queue_refuses(struct imap *s, const char *name, const char *text)
{
	if (queue_box(s, name) == NULL)
		return false;
	imap_no(s, "[NOPERM] ", text);
	return true;
}

void
queue_enter(struct imap *s)
{
	if (s->card == NULL || !s->card->queue || s->pickup->o.desk == NULL)
		return;
	/* a uid is never shown in two ways */
	char who[ACCOUNT_NAME_MAX + 8];
	s->admin_view = s->config->admin_view;
	(void)snprintf(who, sizeof(who), "%s %d", s->card->name, (int)s->admin_view);
	s->trays = spool_tray_enter(imap_spool(s), span_str(who));
	if (!may_see(s)) {
		imap_sayf(s, "NO [LIMIT] too many administrators look at the queue: it "
			     "is not shown now");
		return;
	}
	desk_watch(s->pickup->o.desk, true);
	(void)desk_look_start(s->pickup->o.desk, imap_inbox(s), NULL, NULL);
}

void
queue_leave(struct imap *s)
{
	if (!may_see(s))
		return;
	desk_watch(s->pickup->o.desk, false);
	spool_tray_leave(imap_spool(s), s->trays);
	s->trays = 0;
}

/* ---- what the desk is asked for */

struct asking {
	struct job job;
	struct imap *s;
	struct desk_request *request;
	bool move;
	struct mail_change *change; /* behind an action: what else leaves the tray */
	struct spool_request *changing;
	struct desk_result result;
	size_t kept; /* \Deleted, but nothing was done with them */
};

static void
asking_free(struct asking *x)
{
	mail_change_free(&x->change);
	mem_free(&x);
}

static void
cancel(struct imap *s)
{
	struct asking *x = CONTAINER_OF(s->job, struct asking, job);
	desk_cancel(&x->request);
	spool_cancel(&x->changing);
	asking_free(x);
}

static struct asking *
asking_new(struct imap *s)
{
	struct asking *x = NEW(struct asking);
	*x = (struct asking){.job = {NULL, cancel}, .s = s};
	s->job = &x->job;
	imap_wait(s);
	return x;
}

static void
on_polled(void *arg, const struct desk_result *r)
{
	struct asking *x = arg;
	struct imap *s = x->s;
	(void)r; /* what cannot be seen now will be later */
	s->job = NULL;
	asking_free(x);
	imap_ok(s, "", "looked");
}

void
queue_poll(struct imap *s)
{
	struct asking *x = asking_new(s);
	x->request = desk_look_start(s->pickup->o.desk, imap_inbox(s), on_polled, x);
}

/* ---- acting */

static void
finish(struct imap *s, struct asking *x)
{
	char text[160];
	struct desk_result r = x->result;
	size_t kept = x->kept;
	s->job = NULL;
	asking_free(x);
	if (r.err != OK) {
		imap_spool_no(s, r.err);
	} else if (r.refused > 0) {
		(void)snprintf(text, sizeof(text),
		    "%zu of %zu: being delivered just now, gone, or not in a state for "
		    "this",
		    r.refused, r.refused + r.applied);
		imap_no(s, "[INUSE] ", text);
	} else if (kept > 0) {
		(void)snprintf(text, sizeof(text),
		    "%zu stay: nothing was done with them; move them to !Discard", kept);
		imap_no(s, "[NOPERM] ", text);
	} else {
		imap_ok(s, "", "done");
	}
}

static void
on_changed(void *arg, enum err e)
{
	struct asking *x = arg;
	x->changing = NULL;
	if (e != OK && e != ERR_NOT_FOUND)
		x->result.err = e;
	finish(x->s, x);
}

static void
leave(struct asking *x)
{
	struct mail_change *c = x->change;
	x->change = NULL;
	if (c == NULL)
		finish(x->s, x);
	else
		x->changing = spool_mail_change_start(
		    imap_spool(x->s), c, imap_inbox(x->s), on_changed, x);
}

static void
on_acted(void *arg, const struct desk_result *r)
{
	struct asking *x = arg;
	x->request = NULL;
	x->result = *r;
	leave(x);
}

struct uids {
	uint32_t *uid;
	size_t n, cap;
};

static void
add_uid(struct uids *u, uint32_t uid)
{
	if (u->n == u->cap) {
		u->cap = u->cap ? u->cap * 2 : 64;
		u->uid = mem_resize(u->uid, u->cap, sizeof(*u->uid));
	}
	u->uid[u->n++] = uid;
}

static void
act(struct asking *x, enum admin_action action, const struct uids *u, bool move)
{
	struct imap *s = x->s;
	const struct desk_order o = {.action = action,
	    .account = s->card->name,
	    .tray = s->selected->view->number,
	    .uid = u->uid,
	    .n = u->n,
	    .move = move};
	x->request = desk_act_start(s->pickup->o.desk, &o, imap_inbox(s), on_acted, x);
}

bool
queue_copy(struct imap *s, const struct set *uids, const char *name, bool move)
{
	const struct queue_box *box = queue_box(s, name);
	const struct numbers *n = &s->selected->numbers;
	struct uids u = {0};
	bool from = queue_selected(s);
	if (box == NULL && !from)
		return false;
	if (from && s->selected->read_only) {
		imap_no(s, "[READ-ONLY] ", "this mailbox is selected to be read only");
		return true;
	}
	if (box == NULL || !box->acts || !from) {
		imap_no(s, "[CANNOT] ",
		    from ? "from here mail goes to folders that act, like !Release"
			 : "this is no place to keep mail");
		return true;
	}
	for (size_t i = 0; i < uids->n; i++) {
		for (uint32_t k = numbers_from(n, uids->range[i].from); k <= n->count;
		     k++) {
			uint32_t uid = numbers_uid(n, k);
			if (uid > uids->range[i].to)
				break;
			add_uid(&u, uid);
		}
	}
	act(asking_new(s), box->action, &u, move);
	mem_free(&u.uid);
	return true;
}

void
queue_expunge(struct imap *s, const struct set *only)
{
	struct asking *x = asking_new(s);
	const struct view *v = s->selected->view;
	bool discard = s->config->admin_expunge == ADMIN_EXPUNGE_DISCARD;
	struct uids rest = {0};
	x->change = mail_change_at(v->number);
	view_lock(s->selected->view);
	for (size_t i = 0; i < v->marks; i++) {
		const struct mark *m = &v->mark[i];
		if (!(m->flags & MAIL_DELETED) ||
		    (only != NULL && !set_has(only, m->uid)) ||
		    numbers_of(&s->selected->numbers, m->uid) == 0)
			continue;
		if (m->flags & MAIL_PICKED)
			mail_change_expunge(x->change, m->uid);
		else
			add_uid(&rest, m->uid);
	}
	view_unlock(s->selected->view);
	x->kept = discard ? 0 : rest.n;
	if (discard && rest.n > 0)
		act(x, ADMIN_DELETE, &rest, true);
	else
		leave(x);
	mem_free(&rest.uid);
}
