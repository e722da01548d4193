/* SPDX-License-Identifier: ISC */
/* view - opening, loading, looking, watching.  hub.c keeps views up to date. */
#include "relay/imap/view.h"

#include <stdatomic.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/imap/set.h"
#include "relay/imap/view_private.h"

#define SLICE 1000 /* rows of one snapshot */

/* ---- open and close */

static void
view_free(struct view *v)
{
	CHECK(list_empty(&v->watches));
	for (size_t i = 0; i < v->keywords; i++)
		mem_free(&v->keyword[i]);
	mem_free(&v->mark);
	view_forget_backlog(v);
	(void)pthread_mutex_destroy(&v->mutex);
	(void)pthread_cond_destroy(&v->loaded);
	mem_free(&v);
}

static struct view *
view_new(struct hub *h, uint32_t number)
{
	struct view *v = NEW(struct view);
	v->hub = h;
	v->number = number;
	for (size_t i = 0; i < 4; i++)
		v->key[i] = (unsigned char)(number >> (8 * i));
	CHECK(pthread_mutex_init(&v->mutex, NULL) == 0);
	CHECK(pthread_cond_init(&v->loaded, NULL) == 0);
	list_init(&v->watches);
	map_put(&h->views, &v->node, (struct span){(char *)v->key, 4});
	return v;
}

static struct view *
idle_pop(struct hub *h)
{
	struct view *v = CONTAINER_OF(list_pop(&h->idle), struct view, link);
	h->idle_n--;
	h->idle_marks -= v->idle_marks;
	return v;
}

static void
forget_oldest(struct hub *h)
{
	struct view *v = idle_pop(h);
	map_remove(&h->views, &v->node);
	view_free(v);
}

struct hub *
hub_new(struct world *w)
{
	struct hub *h = NEW(struct hub);
	uint64_t seed[2] = {world_random_u64(w), world_random_u64(w)};
	CHECK(pthread_mutex_init(&h->mutex, NULL) == 0);
	map_init(&h->views, seed);
	list_init(&h->idle);
	list_init(&h->listeners);
	return h;
}

void
hub_free(struct hub **hp)
{
	struct hub *h = *hp;
	if (h == NULL)
		return;
	while (h->idle_n > 0)
		forget_oldest(h);
	CHECK(h->views.n == 0);
	map_clear(&h->views);
	(void)pthread_mutex_destroy(&h->mutex);
	mem_free(hp);
}

struct view *
view_open(struct hub *h, uint32_t number)
{
	unsigned char key[4];
	for (size_t i = 0; i < 4; i++)
		key[i] = (unsigned char)(number >> (8 * i));
	(void)pthread_mutex_lock(&h->mutex);
	struct map_node *k = map_get(&h->views, (struct span){(char *)key, 4});
	struct view *v = k != NULL ? CONTAINER_OF(k, struct view, node) : NULL;
	if (v == NULL) {
		v = view_new(h, number);
	} else if (v->refs == 0) {
		list_remove(&v->link);
		h->idle_n--;
		h->idle_marks -= v->idle_marks;
	}
	v->refs++;
	(void)pthread_mutex_unlock(&h->mutex);
	return v;
}

struct view *
view_ref(struct view *v)
{
	(void)pthread_mutex_lock(&v->hub->mutex);
	v->refs++;
	(void)pthread_mutex_unlock(&v->hub->mutex);
	return v;
}

void
view_close(struct view **vp)
{
	struct view *v = *vp;
	if (v == NULL)
		return;
	struct hub *h = v->hub;
	*vp = NULL;
	(void)pthread_mutex_lock(&h->mutex);
	if (--v->refs == 0) {
		v->idle_marks = v->marks;
		list_push(&h->idle, &v->link);
		h->idle_n++;
		h->idle_marks += v->idle_marks;
		while (h->idle_n > VIEWS_KEPT || h->idle_marks > VIEW_MARKS_KEPT)
			forget_oldest(h);
	}
	(void)pthread_mutex_unlock(&h->mutex);
}

void
view_lock(struct view *v)
{
	(void)pthread_mutex_lock(&v->mutex);
}

void
view_unlock(struct view *v)
{
	(void)pthread_mutex_unlock(&v->mutex);
}

/* ---- load */

struct loading {
	struct mailbox_view box;
	struct mailbox_keywords keywords;
	struct mark *mark;
	size_t marks, cap;
};

static void
add_row(struct loading *l, const struct mail_row *row)
{
	if (l->marks == l->cap) {
		l->cap = l->cap ? l->cap * 2 : (size_t)l->box.messages + 16;
		l->mark = mem_resize(l->mark, l->cap, sizeof(*l->mark));
	}
	l->mark[l->marks++] =
	    (struct mark){row->uid, row->flags, row->keywords, row->modseq};
}

static enum err
read_all(uint32_t number, struct spool_reader *r, struct loading *l)
{
	struct mail_row *row = mem_alloc(SLICE * sizeof(*row));
	uint32_t after = 0;
	size_t n = SLICE;
	enum err e = spool_read_mailbox_at(r, number, &l->box);
	if (e == OK)
		e = spool_read_keywords(r, number, &l->keywords);
	while (e == OK && n == SLICE) {
		e = spool_read_mails(r, number, after, 0, row, SLICE, &n);
		for (size_t i = 0; e == OK && i < n; i++) {
			add_row(l, &row[i]);
			after = row[i].uid;
		}
	}
	mem_free(&row);
	return e;
}

/* What came meanwhile may be in what was read already: applying it again is harmless. */
static void
take_loaded(struct view *v, struct loading *l)
{
	v->uidvalidity = l->box.uidvalidity;
	v->uidnext = l->box.uidnext;
	v->modseq = v->known = l->box.modseq;
	v->gone_since = l->box.gone_since;
	v->recent = l->box.recent;
	mem_free(&v->mark);
	v->mark = l->mark;
	v->marks = l->marks;
	v->cap = l->cap;
	for (size_t i = 0; i < l->marks; i++) {
		if (l->mark[i].modseq > v->modseq)
			v->modseq = v->known = l->mark[i].modseq;
		if (l->mark[i].uid >= v->uidnext)
			v->uidnext = l->mark[i].uid + 1;
	}
	for (size_t i = 0; i < l->keywords.n; i++)
		v->keyword[i] = l->keywords.name[i];
	v->keywords = l->keywords.n;
	for (size_t i = 0; i < v->backlogs; i++)
		view_apply(v, &v->backlog[i].event, 1);
}

enum err
view_load(struct view *v, struct spool_reader *r)
{
	struct loading l = {0};
	view_lock(v);
	while (v->state == VIEW_LOADING)
		(void)pthread_cond_wait(&v->loaded, &v->mutex);
	bool mine = v->state == VIEW_EMPTY;
	if (mine)
		v->state = VIEW_LOADING;
	view_unlock(v);
	if (!mine)
		return OK;
	enum err e = read_all(v->number, r, &l);
	view_lock(v);
	if (e == OK) {
		take_loaded(v, &l);
	} else {
		mem_free(&l.mark);
		mailbox_keywords_clear(&l.keywords);
	}
	view_forget_backlog(v);
	v->state = e == OK ? VIEW_LOADED : VIEW_EMPTY;
	(void)pthread_cond_broadcast(&v->loaded);
	view_unlock(v);
	return e;
}

/* ---- look */

size_t
view_from(const struct view *v, uint32_t uid)
{
	size_t low = 0, high = v->marks;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (v->mark[mid].uid < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct mark *
view_find(const struct view *v, uint32_t uid)
{
	size_t i = view_from(v, uid);
	return i < v->marks && v->mark[i].uid == uid ? &v->mark[i] : NULL;
}

int
view_keyword(const struct view *v, struct span name)
{
	for (size_t i = 0; i < v->keywords; i++) {
		if (span_ieq(span_str(v->keyword[i]), name))
			return (int)i;
	}
	return -1;
}

/* What lies between two mails, as far as `of` names it. */
static void
add_between(uint32_t from, uint32_t to, const struct set *of, struct set *out)
{
	if (of->n == 0) {
		set_add_range(out, from, to);
		return;
	}
	for (size_t i = set_first(of, from); i < of->n; i++) {
		const struct set_range *r = &of->range[i];
		uint32_t a = r->from > from ? r->from : from, b = r->to < to ? r->to : to;
		if (a <= b)
			set_add_range(out, a, b);
		if (r->from > to)
			break;
	}
}

/* Of one run of uids: those that are not there. */
static void
add_missing(const struct view *v, uint32_t from, uint32_t to, const struct set *of,
    struct set *out)
{
	uint32_t next = from;
	for (size_t i = view_from(v, from); i < v->marks && v->mark[i].uid <= to; i++) {
		if (v->mark[i].uid > next)
			add_between(next, v->mark[i].uid - 1, of, out);
		next = v->mark[i].uid + 1;
	}
	if (next <= to)
		add_between(next, to, of, out);
}

void
view_missing(
    const struct view *v, const struct set *gone, const struct set *of, struct set *out)
{
	if (gone == NULL) {
		if (v->uidnext > 1)
			add_missing(v, 1, v->uidnext - 1, of, out);
		return;
	}
	for (size_t i = 0; i < gone->n; i++)
		add_missing(v, gone->range[i].from, gone->range[i].to, of, out);
}
