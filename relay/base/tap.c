/* SPDX-License-Identifier: ISC */
/* tap - lines of connections, to whoever watches. */
#include "base/tap.h"

#include <fnmatch.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"

struct tap_watch {
	struct link link; /* board.watches, under its mutex */
	struct tap_board *board;
	atomic_uint refs; /* the watcher's, and one for each line on its way */
	enum tap_side side;
	struct net_cidr net;
	char name[TAP_NAME_MAX]; /* "": any */
	struct inbox *reply;
	void (*on_line)(void *arg, const struct tap_line *line);
	void *arg;
	bool stopped; /* the watcher's thread */
	atomic_uint unread;
	uint64_t lost; /* under the board's mutex */
};

struct tap_board {
	pthread_mutex_t mutex;
	struct list watches;
	atomic_uint watched; /* how many there are */
	atomic_uint_fast64_t connections;
};

struct tap {
	struct tap_board *board;
	uint64_t connection;
	enum tap_side side;
	struct net_addr who;
	char name[TAP_NAME_MAX], about[TAP_NAME_MAX];
	bool hide_came, hide_sent;
	char line[TAP_LINE_MAX]; /* being sent */
	size_t n;
	uint64_t hidden; /* octets sent */
};

/* A line on its way to one watcher. */
struct told {
	struct parcel parcel;
	struct tap_watch *watch;
	struct tap_line line;
	char name[TAP_NAME_MAX], about[TAP_NAME_MAX];
	char text[];
};

struct tap_board *
tap_board_new(void)
{
	struct tap_board *b = NEW(struct tap_board);
	CHECK(pthread_mutex_init(&b->mutex, NULL) == 0);
	list_init(&b->watches);
	return b;
}

void
tap_board_free(struct tap_board **bp)
{
	struct tap_board *b = *bp;
	if (b == NULL)
		return;
	CHECK(list_empty(&b->watches));
	(void)pthread_mutex_destroy(&b->mutex);
	mem_free(bp);
}

/* ---- watches */

struct tap_watch *
tap_watch_start(struct tap_board *b, const struct tap_want *want, struct inbox *reply,
    void (*on_line)(void *arg, const struct tap_line *line), void *arg)
{
	struct tap_watch *w = NULL;
	(void)pthread_mutex_lock(&b->mutex);
	if (atomic_load(&b->watched) < TAP_WATCHES_MAX) {
		w = NEW(struct tap_watch);
		w->board = b;
		atomic_init(&w->refs, 1);
		w->side = want->side;
		w->net = want->net;
		span_copy(span_str(want->name), w->name, sizeof(w->name));
		w->reply = reply;
		w->on_line = on_line;
		w->arg = arg;
		list_push(&b->watches, &w->link);
		atomic_fetch_add(&b->watched, 1);
	}
	(void)pthread_mutex_unlock(&b->mutex);
	return w;
}

static void
watch_unref(struct tap_watch *w)
{
	if (atomic_fetch_sub(&w->refs, 1) == 1)
		mem_free(&w);
}

void
tap_watch_stop(struct tap_watch **wp)
{
	struct tap_watch *w = *wp;
	*wp = NULL;
	if (w == NULL)
		return;
	w->stopped = true;
	(void)pthread_mutex_lock(&w->board->mutex);
	list_remove(&w->link);
	atomic_fetch_sub(&w->board->watched, 1);
	(void)pthread_mutex_unlock(&w->board->mutex);
	watch_unref(w);
}

static bool
name_like(const char *pattern, const char *name)
{
	return fnmatch(pattern, name, FNM_CASEFOLD | FNM_NOESCAPE) == 0;
}

/* "mx:example.org" is example.org, too. */
static const char *
behind_colon(const char *about)
{
	const char *colon = strchr(about, ':');
	return colon != NULL ? colon + 1 : about;
}

static bool
wants(const struct tap_watch *w, enum tap_side side, const struct net_addr *who,
    const char *name, const char *about)
{
	return w->side == side &&
	       (w->net.base.family == NET_NONE || net_cidr_has(&w->net, who)) &&
	       (w->name[0] == '\0' || name_like(w->name, name) ||
		   name_like(w->name, about) || name_like(w->name, behind_colon(about)));
}

/* ---- telling */

static void
told_open(struct parcel *p)
{
	struct told *t = CONTAINER_OF(p, struct told, parcel);
	struct tap_watch *w = t->watch;
	atomic_fetch_sub(&w->unread, 1);
	if (!w->stopped)
		w->on_line(w->arg, &t->line);
	watch_unref(w);
	mem_free(&t);
}

static void
tell_one(struct tap_watch *w, const struct tap *t, bool sent, struct span text)
{
	if (atomic_load(&w->unread) >= TAP_UNREAD_MAX) {
		w->lost++;
		return;
	}
	struct told *x = mem_alloc(sizeof(*x) + text.n + 1);
	memcpy(x->name, t->name, sizeof(x->name));
	memcpy(x->about, t->about, sizeof(x->about));
	if (text.n > 0)
		memcpy(x->text, text.p, text.n);
	x->line = (struct tap_line){.connection = t->connection,
	    .side = t->side,
	    .who = t->who,
	    .sent = sent,
	    .text = {x->text, text.n},
	    .name = x->name,
	    .about = x->about,
	    .lost = w->lost};
	w->lost = 0;
	x->watch = w;
	x->parcel.open = told_open;
	atomic_fetch_add(&w->refs, 1);
	atomic_fetch_add(&w->unread, 1);
	inbox_post(w->reply, &x->parcel);
}

static void
tell(struct tap *t, bool sent, struct span text)
{
	struct tap_board *b = t->board;
	(void)pthread_mutex_lock(&b->mutex);
	LIST_EACH (&b->watches, k) {
		struct tap_watch *w = CONTAINER_OF(k, struct tap_watch, link);
		if (wants(w, t->side, &t->who, t->name, t->about))
			tell_one(w, t, sent, span_cut(text, 0, TAP_LINE_MAX));
	}
	(void)pthread_mutex_unlock(&b->mutex);
}

/* ---- taps */

static bool
wanted(struct tap_board *b, const struct tap_facts *f)
{
	bool any = false;
	(void)pthread_mutex_lock(&b->mutex);
	LIST_EACH (&b->watches, k)
		any = any || wants(CONTAINER_OF(k, struct tap_watch, link), f->side,
				 &f->who, f->name, f->about != NULL ? f->about : "");
	(void)pthread_mutex_unlock(&b->mutex);
	return any;
}

struct tap *
tap_new(struct tap_board *b, const struct tap_facts *f)
{
	if (b == NULL || atomic_load_explicit(&b->watched, memory_order_relaxed) == 0 ||
	    !wanted(b, f))
		return NULL;
	struct tap *t = NEW(struct tap);
	t->board = b;
	t->connection = atomic_fetch_add(&b->connections, 1) + 1;
	t->side = f->side;
	t->who = f->who;
	span_copy(span_str(f->name), t->name, sizeof(t->name));
	span_copy(span_str(f->about), t->about, sizeof(t->about));
	return t;
}

void
tap_free(struct tap **tp)
{
	if (*tp == NULL)
		return;
	tell(*tp, false, SPAN("(closed)"));
	mem_free(tp);
}

void
tap_came(struct tap *t, struct span line)
{
	tell(t, false, t->hide_came ? SPAN("(not shown)") : line);
}

static void
sent_line(struct tap *t)
{
	while (t->n > 0 && t->line[t->n - 1] == '\r')
		t->n--;
	tell(t, true, (struct span){t->line, t->n});
	t->n = 0;
}

void
tap_sent(struct tap *t, struct span octets)
{
	if (t->hide_sent) {
		t->hidden += octets.n;
		return;
	}
	for (size_t i = 0; i < octets.n; i++) {
		if (octets.p[i] == '\n')
			sent_line(t);
		else if (t->n < sizeof(t->line))
			t->line[t->n++] = octets.p[i];
	}
}

void
tap_passed(struct tap *t, uint64_t octets)
{
	t->hidden += octets;
}

void
tap_hide(struct tap *t, bool came, bool sent)
{
	t->hide_came = came;
	if (t->hide_sent && !sent && t->hidden > 0) {
		char text[64];
		(void)snprintf(text, sizeof(text), "(%llu octets not shown)",
		    (unsigned long long)t->hidden);
		tell(t, true, span_str(text));
		t->hidden = 0;
	}
	t->hide_sent = sent;
}
