/* SPDX-License-Identifier: ISC */
/*
 * hub - what the writer tells after a commit goes into the views that are open, and
 * whoever watches one of them is woken.  Runs in the writer's thread: no disk, no waiting
 * but for the moments in which a session looks.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "relay/imap/notify.h"
#include "relay/imap/view_private.h"

struct view_watch {
	struct parcel parcel;
	struct link link;
	struct view *view;
	struct inbox *to;
	void (*fn)(void *arg);
	void *arg;
	atomic_bool posted; /* on its way, or in fn */
	bool stopped;       /* its own thread's */
};

/* ---- watches */

static void
open_watch(struct parcel *p)
{
	struct view_watch *w = CONTAINER_OF(p, struct view_watch, parcel);
	atomic_store(&w->posted, false);
	if (w->stopped)
		mem_free(&w);
	else
		w->fn(w->arg);
}

struct view_watch *
view_watch_start(struct view *v, struct inbox *to, void (*fn)(void *arg), void *arg)
{
	struct view_watch *w = NEW(struct view_watch);
	w->parcel.open = open_watch;
	w->view = v;
	w->to = to;
	w->fn = fn;
	w->arg = arg;
	view_lock(v);
	list_push(&v->watches, &w->link);
	view_unlock(v);
	return w;
}

/* Once it is off the list nobody posts it any more; what is posted frees it. */
void
view_watch_stop(struct view_watch **wp)
{
	struct view_watch *w = *wp;
	if (w == NULL)
		return;
	*wp = NULL;
	view_lock(w->view);
	list_remove(&w->link);
	view_unlock(w->view);
	if (atomic_load(&w->posted))
		w->stopped = true;
	else
		mem_free(&w);
}

static void
wake(struct view *v)
{
	LIST_EACH (&v->watches, k) {
		struct view_watch *w = CONTAINER_OF(k, struct view_watch, link);
		if (!atomic_exchange(&w->posted, true))
			inbox_post(w->to, &w->parcel);
	}
}

/* ---- one view */

static void
note_change(struct view *v, const struct mail_event *e, bool gone)
{
	struct view_change *c = &v->change[v->changes % VIEW_CHANGES];
	if (v->changes >= VIEW_CHANGES && c->modseq > v->known)
		v->known = c->modseq; /* it is thrown out */
	*c = (struct view_change){e->modseq, e->uid, gone};
	v->changes++;
	if (e->modseq > v->modseq)
		v->modseq = e->modseq;
}

static void
put_mark(struct view *v, const struct mail_event *e)
{
	struct mark m = {e->uid, e->flags, e->keywords, e->modseq};
	size_t i = view_from(v, e->uid);
	if (i < v->marks && v->mark[i].uid == e->uid) {
		if (v->mark[i].modseq > e->modseq)
			return;
		v->mark[i] = m;
		note_change(v, e, false);
		return;
	}
	if (e->kind != MAIL_CAME)
		return;
	if (v->marks == v->cap) {
		v->cap = v->cap ? v->cap * 2 : 16;
		v->mark = mem_resize(v->mark, v->cap, sizeof(*v->mark));
	}
	memmove(&v->mark[i + 1], &v->mark[i], (v->marks - i) * sizeof(m));
	v->mark[i] = m;
	v->marks++;
	if (e->uid >= v->uidnext)
		v->uidnext = e->uid + 1;
	note_change(v, e, false);
}

/* Deletions come in runs; those of one call leave the array together. */
static size_t
take_gone(struct view *v, const struct mail_event *event, size_t n)
{
	size_t k = 0, from = view_from(v, event[0].uid), to = from, i = from;
	for (; k < n && event[k].kind == MAIL_GONE &&
	       (k == 0 || event[k].uid > event[k - 1].uid);
	     k++) {
		while (i < v->marks && v->mark[i].uid < event[k].uid)
			v->mark[to++] = v->mark[i++];
		if (i < v->marks && v->mark[i].uid == event[k].uid)
			i++;
		note_change(v, &event[k], true);
	}
	if (i != to)
		memmove(&v->mark[to], &v->mark[i], (v->marks - i) * sizeof(*v->mark));
	v->marks -= i - to;
	return k;
}

static void
put_keyword(struct view *v, const struct mail_event *e)
{
	if (e->uid == v->keywords && v->keywords < MAILBOX_KEYWORDS_MAX)
		v->keyword[v->keywords++] = span_dup(e->text);
}

void
view_apply(struct view *v, const struct mail_event *event, size_t n)
{
	for (size_t i = 0; i < n;) {
		const struct mail_event *e = &event[i];
		if (e->kind == MAIL_GONE) {
			i += take_gone(v, e, n - i);
			continue;
		}
		if (e->kind == MAIL_CAME || e->kind == MAIL_FLAGS)
			put_mark(v, e);
		else if (e->kind == MAILBOX_KEYWORD)
			put_keyword(v, e);
		else if (e->kind == MAILBOX_RECENT && e->uid > v->recent)
			v->recent = e->uid;
		else if (e->kind == MAILBOX_REMOVED)
			v->removed = true;
		i++;
	}
}

/* ---- while it is loaded */

static void
keep_for_later(struct view *v, const struct mail_event *event, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (v->backlogs == v->backlog_cap) {
			v->backlog_cap = v->backlog_cap ? v->backlog_cap * 2 : 16;
			v->backlog =
			    mem_resize(v->backlog, v->backlog_cap, sizeof(*v->backlog));
		}
		struct view_event *b = &v->backlog[v->backlogs++];
		*b = (struct view_event){.event = event[i]};
		if (event[i].text.n > 0) {
			b->text = span_dup(event[i].text);
			b->event.text.p = b->text;
		}
	}
}

void
view_forget_backlog(struct view *v)
{
	for (size_t i = 0; i < v->backlogs; i++)
		mem_free(&v->backlog[i].text);
	mem_free(&v->backlog);
	v->backlogs = v->backlog_cap = 0;
}

/* ---- the writer's words */

static void
tell_view(struct view *v, const struct mail_event *event, size_t n)
{
	view_lock(v);
	if (v->state == VIEW_LOADING)
		keep_for_later(v, event, n);
	else if (v->state == VIEW_LOADED)
		view_apply(v, event, n);
	wake(v);
	view_unlock(v);
}

static struct view *
find(const struct hub *h, uint32_t number)
{
	unsigned char key[4];
	for (size_t i = 0; i < 4; i++)
		key[i] = (unsigned char)(number >> (8 * i));
	struct map_node *k = map_get(&h->views, (struct span){(char *)key, 4});
	return k != NULL ? CONTAINER_OF(k, struct view, node) : NULL;
}

void
hub_tell(void *hub, const struct mail_event *event, size_t n)
{
	struct hub *h = hub;
	(void)pthread_mutex_lock(&h->mutex);
	listeners_tell(h, event, n);
	for (size_t i = 0; i < n && h->views.n > 0;) {
		size_t k = i + 1;
		while (k < n && event[k].mailbox == event[i].mailbox)
			k++;
		struct view *v = find(h, event[i].mailbox);
		if (v != NULL)
			tell_view(v, &event[i], k - i);
		i = k;
	}
	(void)pthread_mutex_unlock(&h->mutex);
}
