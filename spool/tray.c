/* SPDX-License-Identifier: ISC */
/*
 * tray - what the trays show.  Only the writer changes it, once the transaction that its
 * request came with is on disk, and tells of it as of any mailbox; readers look under the
 * mutex.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "spool/tray_private.h"

#define UNIT_MS 100                   /* of uidvalidity: two starts are never so close */
#define LOWEST (UINT32_MAX - 3000000) /* numbers above it are of trays */

bool
tray_is(uint32_t number)
{
	return number >= LOWEST && number < UINT32_MAX;
}

/* ---- sets */

struct trays *
trays_new(struct world *w)
{
	struct trays *t = NEW(struct trays);
	CHECK(pthread_mutex_init(&t->mutex, NULL) == 0);
	t->world = w;
	t->lowest = UINT32_MAX;
	list_init(&t->sets);
	return t;
}

static void
drop_set(struct trays *t, struct tray_set *set)
{
	list_remove(&set->link);
	t->n--;
	for (size_t i = 0; i < TRAYS; i++)
		mem_free(&set->tray[i].mail);
	mem_free(&set->who);
	mem_free(&set);
}

void
trays_free(struct trays **tp)
{
	struct trays *t = *tp;
	LIST_EACH (&t->sets, k)
		drop_set(t, CONTAINER_OF(k, struct tray_set, link));
	(void)pthread_mutex_destroy(&t->mutex);
	mem_free(tp);
}

/* Of those that nobody looks at the one that was entered longest ago. */
static void
make_room(struct trays *t)
{
	LIST_EACH (&t->sets, k) {
		struct tray_set *set = CONTAINER_OF(k, struct tray_set, link);
		if (t->n >= TRAY_SETS_MAX && set->looking == 0)
			drop_set(t, set);
	}
}

static struct tray_set *
make_set(struct trays *t, struct span who)
{
	make_room(t);
	if (t->n >= TRAY_SETS_MAX || t->lowest < LOWEST + TRAYS)
		return NULL;
	int64_t units = (world_wall(t->world).ms - ID_EPOCH_MS) / UNIT_MS;
	uint32_t validity = (uint32_t)units | 1;
	if (validity <= t->uidvalidity)
		validity = t->uidvalidity + 1;
	struct tray_set *set = NEW(struct tray_set);
	t->uidvalidity = validity;
	t->lowest -= TRAYS;
	t->n++;
	set->who = span_dup(who);
	set->number = t->lowest;
	for (size_t i = 0; i < TRAYS; i++)
		set->tray[i] = (struct tray){.kind = (enum tray_kind)i,
		    .number = tray_of(set->number, (enum tray_kind)i),
		    .uidvalidity = validity,
		    .uidnext = 1,
		    .modseq = 1};
	list_push(&t->sets, &set->link);
	return set;
}

uint32_t
spool_tray_enter(struct spool *s, struct span who)
{
	struct tray_set *set = NULL;
	(void)pthread_mutex_lock(&s->trays->mutex);
	LIST_EACH (&s->trays->sets, k) {
		struct tray_set *x = CONTAINER_OF(k, struct tray_set, link);
		if (span_eq(span_str(x->who), who))
			set = x;
	}
	if (set == NULL)
		set = make_set(s->trays, who);
	if (set != NULL) {
		set->looking++;
		list_remove(&set->link);
		list_push(&s->trays->sets, &set->link);
	}
	uint32_t number = set != NULL ? set->number : 0;
	(void)pthread_mutex_unlock(&s->trays->mutex);
	return number;
}

static struct tray_set *
find_set(const struct trays *t, uint32_t number)
{
	LIST_EACH (&t->sets, k) {
		struct tray_set *set = CONTAINER_OF(k, struct tray_set, link);
		if (number >= set->number && number - set->number < TRAYS)
			return set;
	}
	return NULL;
}

void
spool_tray_leave(struct spool *s, uint32_t number)
{
	(void)pthread_mutex_lock(&s->trays->mutex);
	struct tray_set *set = find_set(s->trays, number);
	CHECK(set != NULL && set->looking > 0);
	set->looking--;
	(void)pthread_mutex_unlock(&s->trays->mutex);
}

uint32_t
tray_of(uint32_t set, enum tray_kind kind)
{
	return set + kind;
}

struct tray *
trays_get(struct spool *s, uint32_t number)
{
	struct tray_set *set = find_set(s->trays, number);
	return set != NULL ? &set->tray[number - set->number] : NULL;
}

struct tray_mail *
tray_find(const struct tray *t, uint32_t uid)
{
	size_t low = 0, high = t != NULL ? t->n : 0;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (t->mail[mid].uid < uid)
			low = mid + 1;
		else
			high = mid;
	}
	bool there =
	    t != NULL && low < t->n && t->mail[low].uid == uid && !t->mail[low].hidden;
	return there ? &t->mail[low] : NULL;
}

enum err
spool_tray_message(struct spool *s, uint32_t number, uint32_t uid, uint64_t *message)
{
	(void)pthread_mutex_lock(&s->trays->mutex);
	const struct tray_mail *m =
	    tray_is(number) ? tray_find(trays_get(s, number), uid) : NULL;
	if (m != NULL)
		*message = m->id;
	(void)pthread_mutex_unlock(&s->trays->mutex);
	return m != NULL ? OK : ERR_NOT_FOUND;
}

/* ---- telling */

struct changing {
	struct batch *b;
	struct tray *t;
	struct mbox box; /* what an event says of its mailbox */
	bool touched;
	size_t first_event;
};

static void
begin(struct changing *x, struct batch *b, struct tray *t)
{
	*x = (struct changing){.b = b, .t = t, .first_event = b->events};
	x->box.number = t->number;
}

static void
tell(struct changing *x, enum mail_event_kind kind, struct tray_mail *m)
{
	if (!x->touched)
		x->t->modseq++;
	x->touched = true;
	x->box.record.modseq = m->modseq = x->t->modseq;
	struct mail_record r = {.flags = m->flags, .keywords = m->keywords};
	event_mail(x->b, kind, &x->box, m->uid, &r);
}

/* ---- a look at the queue */

static bool
belongs(const struct tray *t, const struct tray_seen *seen)
{
	return t->kind == TRAY_QUEUE ||
	       (t->kind == TRAY_HELD && (seen->keywords >> TRAY_IS_HELD & 1));
}

static int
by_id(const void *a, const void *b)
{
	const struct tray_seen *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

static const struct tray_seen *
find_seen(const struct tray_scan *scan, const struct tray *t, uint64_t id)
{
	struct tray_seen key = {.id = id};
	const struct tray_seen *seen =
	    scan->n > 0 ? bsearch(&key, scan->seen, scan->n, sizeof(key), by_id) : NULL;
	return seen != NULL && belongs(t, seen) ? seen : NULL;
}

/* What is shown already: what becomes of it.  False: it leaves. */
static bool
look_again(struct changing *x, struct tray_mail *m, const struct tray_seen *seen)
{
	if (m->hidden)
		return seen != NULL && seen->stamp == m->stamp;
	if (seen == NULL) {
		tell(x, MAIL_GONE, m);
		return false;
	}
	m->stamp = seen->stamp;
	if (m->keywords != seen->keywords) {
		m->keywords = seen->keywords;
		tell(x, MAIL_FLAGS, m);
	}
	return true;
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* The messages that stay, by id. */
static uint64_t *
keep_old(struct changing *x, const struct tray_scan *scan)
{
	struct tray *t = x->t;
	size_t n = 0;
	for (size_t i = 0; i < t->n; i++) {
		struct tray_mail m = t->mail[i];
		if (look_again(x, &m, find_seen(scan, t, m.id)))
			t->mail[n++] = m;
	}
	t->n = n;
	uint64_t *id = mem_alloc_raw((n + 1) * sizeof(*id));
	for (size_t i = 0; i < n; i++)
		id[i] = t->mail[i].id;
	qsort(id, n, sizeof(*id), by_number);
	return id;
}

static void
add_new(struct changing *x, const struct tray_seen *seen)
{
	struct tray *t = x->t;
	if (t->uidnext == UINT32_MAX)
		return; /* until the next start */
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->mail = mem_resize(t->mail, t->cap, sizeof(*t->mail));
	}
	struct tray_mail *m = &t->mail[t->n++];
	*m = (struct tray_mail){.uid = t->uidnext++,
	    .keywords = seen->keywords,
	    .id = seen->id,
	    .stamp = seen->stamp};
	tell(x, MAIL_CAME, m);
}

static void
take_scan(struct batch *b, struct tray *t, const struct tray_scan *scan)
{
	struct changing *x = NEW(struct changing);
	begin(x, b, t);
	uint64_t *old = keep_old(x, scan);
	size_t n = t->n;
	for (size_t i = 0; i < scan->n; i++) {
		uint64_t id = scan->seen[i].id;
		if (belongs(t, &scan->seen[i]) &&
		    (n == 0 || bsearch(&id, old, n, sizeof(id), by_number) == NULL))
			add_new(x, &scan->seen[i]);
	}
	events_in_order(b, x->first_event);
	mem_free(&old);
	mem_free(&x);
}

/* ---- changes of its mails */

static void
store(struct changing *x, const struct mail_act *act, struct mail_change *c,
    struct tray_mail *m)
{
	uint32_t flags = m->flags;
	bool by_us = x->touched && m->modseq == x->t->modseq;
	if (act->kind == ACT_STORE && m->modseq > c->unless && !by_us) {
		mail_change_note_modified(c, m->uid);
		return;
	}
	if (act->kind == ACT_FLAGS)
		flags = (flags & ~act->clear) | act->set;
	else if (act->how == MAIL_STORE_ADD)
		flags |= act->set;
	else if (act->how == MAIL_STORE_REMOVE)
		flags &= ~act->set;
	else
		flags = (flags & ~(uint32_t)MAIL_FLAGS_IMAP) | act->set;
	if (flags == m->flags)
		return;
	m->flags = flags;
	tell(x, MAIL_FLAGS, m);
}

static void
hide(struct changing *x, const struct mail_act *act, struct tray_mail *m)
{
	static const uint32_t done = MAIL_DELETED | MAIL_PICKED;
	if (act->kind == ACT_EXPUNGE && (m->flags & done) != done)
		return;
	m->hidden = true;
	tell(x, MAIL_GONE, m);
}

static void
take_change(struct batch *b, struct tray *t, struct mail_change *c)
{
	struct changing *x = NEW(struct changing);
	begin(x, b, t);
	c->pairs = c->modifieds = 0;
	for (size_t i = 0; i < c->acts; i++) {
		const struct mail_act *act = &c->act[i];
		struct tray_mail *m = tray_find(t, act->uid);
		if (m == NULL)
			continue;
		if (act->kind == ACT_STORE || act->kind == ACT_FLAGS)
			store(x, act, c, m);
		else
			hide(x, act, m);
	}
	c->modseq = t->modseq;
	c->uidvalidity = t->uidvalidity;
	events_in_order(b, x->first_event);
	mem_free(&x);
}

/* ---- requests */

enum err
check_tray_change(const struct mail_change *c)
{
	return c->copies > 0 || c->appends > 0 ? ERR_RANGE : OK;
}

void
apply_to_trays(struct batch *b, const struct spool_request *q)
{
	struct trays *all = b->spool->trays;
	(void)pthread_mutex_lock(&all->mutex);
	struct tray *t =
	    q->kind == REQUEST_MAIL ? trays_get(b->spool, q->change->number) : NULL;
	LIST_EACH (&all->sets, k) {
		struct tray_set *set = CONTAINER_OF(k, struct tray_set, link);
		for (size_t i = 0;
		     q->kind == REQUEST_TRAY && set->looking > 0 && i < TRAYS; i++)
			take_scan(b, &set->tray[i], q->scan);
	}
	if (t != NULL)
		take_change(b, t, q->change);
	(void)pthread_mutex_unlock(&all->mutex);
}

bool
concerns_trays(const struct spool_request *q)
{
	return q->kind == REQUEST_TRAY ||
	       (q->kind == REQUEST_MAIL && tray_is(q->change->number));
}
