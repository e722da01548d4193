/* SPDX-License-Identifier: ISC */
/* listener - what NOTIFY waits for, noted by the writer's thread (notify.h). */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "relay/imap/notify.h"
#include "relay/imap/set.h"
#include "relay/imap/view_private.h"

#define CHANGED_MAX 4096 /* mailboxes that wait; the oldest are told in time */

struct listener {
	struct parcel parcel;
	struct link link; /* in hub->listeners, under its lock */
	struct hub *hub;
	char owner[MAILBOX_OWNER_MAX + 1];
	struct inbox *to;
	void (*fn)(void *arg);
	void *arg;
	atomic_bool posted;
	bool stopped; /* its own thread's */
	/* under the hub's lock */
	uint32_t changed[CHANGED_MAX];
	size_t changes;
	struct news *news;
	size_t news_n, news_cap;
};

static void
listener_free(struct listener *l)
{
	mem_free(&l->news);
	mem_free(&l);
}

static void
open_listener(struct parcel *p)
{
	struct listener *l = CONTAINER_OF(p, struct listener, parcel);
	atomic_store(&l->posted, false);
	if (l->stopped)
		listener_free(l);
	else
		l->fn(l->arg);
}

struct listener *
listener_start(
    struct hub *h, struct span owner, struct inbox *to, void (*fn)(void *arg), void *arg)
{
	struct listener *l = NEW(struct listener);
	l->parcel.open = open_listener;
	l->hub = h;
	span_copy(owner, l->owner, sizeof(l->owner));
	l->to = to;
	l->fn = fn;
	l->arg = arg;
	(void)pthread_mutex_lock(&h->mutex);
	list_push(&h->listeners, &l->link);
	(void)pthread_mutex_unlock(&h->mutex);
	return l;
}

void
listener_stop(struct listener **lp)
{
	struct listener *l = *lp;
	if (l == NULL)
		return;
	*lp = NULL;
	(void)pthread_mutex_lock(&l->hub->mutex);
	list_remove(&l->link);
	(void)pthread_mutex_unlock(&l->hub->mutex);
	if (atomic_load(&l->posted))
		l->stopped = true; /* what is on its way frees it */
	else
		listener_free(l);
}

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

void
listener_take(struct listener *l, struct set *changed, struct news **news, size_t *n)
{
	(void)pthread_mutex_lock(&l->hub->mutex);
	qsort(l->changed, l->changes, sizeof(l->changed[0]), by_number);
	for (size_t i = 0; i < l->changes; i++) {
		if (i == 0 || l->changed[i] != l->changed[i - 1])
			set_add(changed, l->changed[i]);
	}
	l->changes = 0;
	*news = l->news;
	*n = l->news_n;
	l->news = NULL;
	l->news_n = l->news_cap = 0;
	(void)pthread_mutex_unlock(&l->hub->mutex);
}

/* ---- the writer's thread */

/* Of any owner: whose it is the session knows. */
static void
note_mail(struct listener *l, uint32_t mailbox)
{
	if (l->changes > 0 && l->changed[l->changes - 1] == mailbox)
		return;
	if (l->changes < CHANGED_MAX)
		l->changed[l->changes++] = mailbox;
}

static bool
note_name(struct listener *l, const struct mail_event *e)
{
	if (strcmp(l->owner, e->owner) != 0 || l->news_n == LISTENER_NEWS_MAX)
		return false;
	if (l->news_n == l->news_cap) {
		l->news_cap = l->news_cap ? l->news_cap * 2 : 4;
		l->news = mem_resize(l->news, l->news_cap, sizeof(*l->news));
	}
	struct news *x = &l->news[l->news_n++];
	*x = (struct news){.kind = e->kind, .number = e->mailbox};
	span_copy(e->text, x->name, sizeof(x->name));
	return true;
}

static bool
note(struct listener *l, const struct mail_event *e)
{
	switch (e->kind) {
	case MAIL_CAME:
	case MAIL_FLAGS:
	case MAIL_GONE: note_mail(l, e->mailbox); return true;
	case MAILBOX_MADE:
	case MAILBOX_RENAMED:
	case MAILBOX_REMOVED:
	case MAILBOX_SUBSCRIPTION: return note_name(l, e);
	case MAILBOX_KEYWORD:
	case MAILBOX_RECENT: break;
	}
	return false;
}

void
listeners_tell(struct hub *h, const struct mail_event *event, size_t n)
{
	LIST_EACH (&h->listeners, k) {
		struct listener *l = CONTAINER_OF(k, struct listener, link);
		bool something = false;
		for (size_t i = 0; i < n; i++)
			something = note(l, &event[i]) || something;
		if (something && !atomic_exchange(&l->posted, true))
			inbox_post(l->to, &l->parcel);
	}
}
