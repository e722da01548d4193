/* SPDX-License-Identifier: ISC */
/*
 * thread - THREAD (RFC 5256 4 and its appendix): messages that belong together, as trees.
 *
 * REFERENCES links each message to the one it answers by message ids; ids that nobody
 * here has become dummies, which hold their children together and go in the end.  Chains
 * are as long as strangers make them, so no walk is recursive.  ORDEREDSUBJECT is a tree
 * of one level for each base subject.
 */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/scan.h"
#include "relay/imap/search.h"
#include "relay/mime/text.h"

#define REFERENCES_MAX 500 /* of one message; the last ones count */

struct container {
	struct map_node node;
	char *id;        /* owned; NULL: it has none of its own */
	char *subject;   /* base subject; owned; NULL: a dummy, or empty */
	uint32_t number; /* 0: a dummy */
	bool reply;
	int64_t date;
	struct container *parent, *child, *last, *next, *prev; /* tree */
	struct container *all;                                 /* the one made before */
};

struct threader {
	enum thread_algorithm algorithm;
	struct map by_id, by_subject;
	struct container *all;
	struct container root;
	size_t n, octets;
};

struct threader *
threader_new(enum thread_algorithm a)
{
	static const uint64_t seed[2] = {0x7468726561640001, 0x7468726561640002};
	struct threader *t = NEW(struct threader);
	t->algorithm = a;
	map_init(&t->by_id, seed);
	map_init(&t->by_subject, seed);
	return t;
}

void
threader_free(struct threader **tp)
{
	struct threader *t = *tp;
	if (t == NULL)
		return;
	map_clear(&t->by_id);
	map_clear(&t->by_subject);
	while (t->all != NULL) {
		struct container *c = t->all;
		t->all = c->all;
		mem_free(&c->id);
		mem_free(&c->subject);
		mem_free(&c);
	}
	mem_free(tp);
}

/* ---- containers */

static struct container *
container_new(struct threader *t, struct span id)
{
	struct container *c = NEW(struct container);
	c->all = t->all;
	t->all = c;
	t->octets += sizeof(*c) + id.n + 1;
	if (id.n > 0) {
		c->id = span_dup(id);
		map_put(&t->by_id, &c->node, (struct span){c->id, id.n});
	}
	return c;
}

static struct container *
find_or_make(struct threader *t, struct span id)
{
	struct map_node *k = map_get(&t->by_id, id);
	return k != NULL ? CONTAINER_OF(k, struct container, node) : container_new(t, id);
}

static void
unlink_child(struct container *c)
{
	struct container *p = c->parent;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		p->child = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	else
		p->last = c->prev;
	c->parent = c->next = c->prev = NULL;
}

static void
add_child(struct container *p, struct container *c)
{
	c->parent = p;
	c->next = NULL;
	c->prev = p->last;
	if (p->last == NULL)
		p->child = c;
	else
		p->last->next = c;
	p->last = c;
}

/* Whether `above` is c or one of those above it. */
static bool
is_above(const struct container *above, const struct container *c)
{
	if (above->child == NULL)
		return above == c;
	for (; c != NULL; c = c->parent) {
		if (c == above)
			return true;
	}
	return false;
}

/* ---- message ids: "<...>" anywhere in a field */

static bool
next_id(struct span *rest, struct span *id)
{
	size_t open = span_find(*rest, '<');
	if (open == rest->n)
		return false;
	struct span behind = span_cut(*rest, open + 1, rest->n);
	size_t close = span_find(behind, '>');
	if (close == behind.n)
		return false;
	*id = span_cut(behind, 0, close);
	*rest = span_cut(behind, close + 1, behind.n);
	return true;
}

/* The last REFERENCES_MAX of a field. */
static size_t
collect_ids(struct span field, struct span id[REFERENCES_MAX])
{
	struct span one;
	size_t n = 0;
	while (next_id(&field, &one)) {
		if (one.n == 0)
			continue;
		if (n == REFERENCES_MAX) {
			memmove(id, id + 1, (n - 1) * sizeof(*id));
			n--;
		}
		id[n++] = one;
	}
	return n;
}

/* ---- one message */

static void
fill(struct threader *t, struct container *c, uint32_t number, const struct mail_sight *x,
    const struct shape *s)
{
	c->number = number;
	c->date = s->sent.ms != 0 ? s->sent.ms : x->row.internal.ms;
	c->reply = s->reply;
	if (s->base_subject.n > 0)
		c->subject = span_dup(s->base_subject);
	t->octets += s->base_subject.n + 1;
	t->n++;
}

/* Each reference is the child of the one before, unless that would be a loop or it has a
 * parent already (appendix, step 1.B). */
static struct container *
link_references(struct threader *t, const struct span *id, size_t n)
{
	struct container *before = NULL;
	for (size_t i = 0; i < n; i++) {
		struct container *c = find_or_make(t, id[i]);
		if (before != NULL && c->parent == NULL && !is_above(c, before))
			add_child(before, c);
		before = c;
	}
	return before;
}

/* The message's own parent is the last reference, whatever others have said of it (1.C).
 */
static void
link_parent(struct container *c, struct container *parent)
{
	if (c->parent == parent || (parent != NULL && is_above(c, parent)))
		return;
	if (c->parent != NULL)
		unlink_child(c);
	if (parent != NULL)
		add_child(parent, c);
}

bool
threader_add(struct threader *t, uint32_t number, const struct mail_sight *x,
    const struct shape *s)
{
	struct span id[REFERENCES_MAX], own = {NULL, 0}, field = s->message_id;
	if (t->octets > SORT_MEMORY_MAX)
		return false;
	if (t->algorithm == THREAD_ORDEREDSUBJECT) {
		fill(t, container_new(t, own), number, x, s);
		return true;
	}
	if (!next_id(&field, &own))
		own = (struct span){NULL, 0};
	struct map_node *k = own.n > 0 ? map_get(&t->by_id, own) : NULL;
	struct container *c = k != NULL ? CONTAINER_OF(k, struct container, node) : NULL;
	if (c == NULL || c->number != 0) /* the same id twice: it has none (1.A) */
		c = container_new(t, c == NULL ? own : (struct span){NULL, 0});
	fill(t, c, number, x, s);
	size_t n = collect_ids(s->references, id);
	if (n == 0 && collect_ids(s->in_reply_to, id) > 0)
		n = 1;
	link_parent(c, link_references(t, id, n));
	return true;
}

/* ---- walks without recursion */

/* The deepest first of a tree: where a walk that sees children before parents begins. */
static struct container *
deepest(struct container *c)
{
	while (c->child != NULL)
		c = c->child;
	return c;
}

static struct container *
walk_up(const struct container *top, struct container *c)
{
	if (c->next != NULL)
		return deepest(c->next);
	return c->parent == top ? NULL : c->parent;
}

/* ---- step 3: dummies that hold nothing together */

/* Its children take its place. */
static void
splice(struct container *c)
{
	struct container *p = c->parent;
	if (c->child == NULL) {
		unlink_child(c);
		return;
	}
	for (struct container *k = c->child; k != NULL; k = k->next)
		k->parent = p;
	c->child->prev = c->prev;
	if (c->prev != NULL)
		c->prev->next = c->child;
	else
		p->child = c->child;
	c->last->next = c->next;
	if (c->next != NULL)
		c->next->prev = c->last;
	else
		p->last = c->last;
	c->child = c->last = c->parent = c->next = c->prev = NULL;
}

static bool
is_needless(const struct threader *t, const struct container *c)
{
	if (c->number != 0)
		return false;
	if (c->child == NULL)
		return true;
	/* at the top a dummy holds several children together */
	return c->parent != &t->root || c->child->next == NULL;
}

static void
prune(struct threader *t)
{
	struct container *c = t->root.child != NULL ? deepest(t->root.child) : NULL;
	while (c != NULL) {
		struct container *next = walk_up(&t->root, c);
		if (is_needless(t, c))
			splice(c);
		c = next;
	}
}

/* ---- order among siblings: by sent date, a dummy by its first child's (steps 4, 6) */

static int64_t
date_of(const struct container *c)
{
	return c->number != 0 || c->child == NULL ? c->date : c->child->date;
}

static uint32_t
number_of(const struct container *c)
{
	return c->number != 0 || c->child == NULL ? c->number : c->child->number;
}

static int
by_date(const void *pa, const void *pb)
{
	const struct container *a = *(const struct container *const *)pa,
			       *b = *(const struct container *const *)pb;
	int64_t x = date_of(a), y = date_of(b);
	if (x != y)
		return x < y ? -1 : 1;
	return number_of(a) < number_of(b) ? -1 : number_of(a) > number_of(b);
}

static void
sort_children(struct container *p)
{
	size_t n = 0;
	if (p->child == NULL || p->child->next == NULL)
		return;
	for (struct container *c = p->child; c != NULL; c = c->next)
		n++;
	struct container **all = mem_alloc(n * sizeof(struct container *));
	n = 0;
	for (struct container *c = p->child; c != NULL; c = c->next)
		all[n++] = c;
	qsort(all, n, sizeof(struct container *), by_date);
	p->child = p->last = NULL;
	for (size_t i = 0; i < n; i++)
		add_child(p, all[i]);
	mem_free(&all);
}

static void
sort_all(struct threader *t)
{
	/* children first: a dummy's date is that of its first child */
	struct container *c = t->root.child != NULL ? deepest(t->root.child) : NULL;
	while (c != NULL) {
		struct container *next = walk_up(&t->root, c);
		sort_children(c);
		c = next;
	}
	sort_children(&t->root);
}

/* ---- step 5: threads of one subject */

static struct container *
speaker(struct container *c)
{
	return c->number == 0 && c->child != NULL ? c->child : c;
}

/* 5.B: of each subject the thread that others join. */
static void
note_subject(struct threader *t, struct container *c)
{
	const struct container *s = speaker(c);
	if (s->subject == NULL)
		return;
	struct span key = span_str(s->subject);
	struct map_node *k = map_get(&t->by_subject, key);
	if (k == NULL) {
		/* the node of a container at the top is in by_id only if it has an id */
		struct container *slot = NEW(struct container);
		slot->all = t->all;
		t->all = slot;
		slot->last = c;
		map_put(&t->by_subject, &slot->node, key);
		return;
	}
	struct container *slot = CONTAINER_OF(k, struct container, node),
			 *has = slot->last;
	bool better =
	    (c->number == 0 && has->number != 0) ||
	    (speaker(has)->reply && !s->reply && (c->number == 0) == (has->number == 0));
	if (better)
		slot->last = c;
}

/* Where the head of its subject is noted; NULL: it has no subject. */
static struct container *
slot_of(struct threader *t, struct container *c)
{
	const struct container *s = speaker(c);
	if (s->subject == NULL)
		return NULL;
	struct map_node *k = map_get(&t->by_subject, span_str(s->subject));
	return k != NULL ? CONTAINER_OF(k, struct container, node) : NULL;
}

static void
move_children(struct container *from, struct container *to)
{
	while (from->child != NULL) {
		struct container *k = from->child;
		unlink_child(k);
		add_child(to, k);
	}
}

/* 5.C: c joins the thread of the same subject. */
static void
join(struct threader *t, struct container *c, struct container *slot)
{
	struct container *h = slot->last;
	if (c->number == 0 && h->number == 0) {
		unlink_child(c);
		move_children(c, h);
	} else if (h->number == 0 || (c->reply && !h->reply && c->number != 0)) {
		unlink_child(c);
		add_child(h, c);
	} else {
		struct container *both = container_new(t, (struct span){NULL, 0});
		unlink_child(c);
		unlink_child(h);
		add_child(&t->root, both);
		add_child(both, h);
		add_child(both, c);
		slot->last = both;
	}
}

static void
gather_subjects(struct threader *t)
{
	for (struct container *c = t->root.child; c != NULL; c = c->next)
		note_subject(t, c);
	size_t n = 0;
	for (struct container *c = t->root.child; c != NULL; c = c->next)
		n++;
	struct container **all = mem_alloc((n + 1) * sizeof(struct container *));
	n = 0;
	for (struct container *c = t->root.child; c != NULL; c = c->next)
		all[n++] = c;
	for (size_t i = 0; i < n; i++) {
		struct container *slot = slot_of(t, all[i]);
		if (slot != NULL && slot->last != all[i] && all[i]->parent == &t->root)
			join(t, all[i], slot);
	}
	mem_free(&all);
}

/* ---- ORDEREDSUBJECT (RFC 5256 2.2): by date; then each subject's first with the others
 * below it */

static int
by_subject_and_date(const void *pa, const void *pb)
{
	const struct container *a = *(const struct container *const *)pa,
			       *b = *(const struct container *const *)pb;
	int c = strcmp(
	    a->subject != NULL ? a->subject : "", b->subject != NULL ? b->subject : "");
	return c != 0 ? c : by_date(pa, pb);
}

static void
order_by_subject(struct threader *t)
{
	size_t n = 0;
	struct container **all = mem_alloc((t->n + 1) * sizeof(struct container *));
	for (struct container *c = t->all; c != NULL; c = c->all)
		all[n++] = c;
	if (n > 0)
		qsort(all, n, sizeof(struct container *), by_subject_and_date);
	struct container *head = NULL;
	for (size_t i = 0; i < n; i++) {
		bool same = head != NULL &&
			    strcmp(head->subject != NULL ? head->subject : "",
				all[i]->subject != NULL ? all[i]->subject : "") == 0;
		if (!same)
			head = all[i];
		add_child(same ? head : &t->root, all[i]);
	}
	mem_free(&all);
	sort_children(&t->root);
}

/* ---- the answer */

/* "(3 6 (4 23)(44 7 96))": one child follows, several have parentheses of their own. */
static void
write_tree(struct container *top, struct buf *out)
{
	struct container *c = top;
	unsigned blank = 0;
	buf_add_char(out, '(');
	while (c != NULL) {
		if (c->number != 0)
			buf_addf(out, blank ? " %u" : "%u", c->number);
		blank = c->number != 0;
		bool several = c->child != NULL && c->child->next != NULL;
		if (c->child != NULL) {
			if (several) {
				buf_add_str(out, blank ? " (" : "(");
				blank = 0;
			}
			c = c->child;
			continue;
		}
		while (c != top && c->next == NULL) {
			struct container *p = c->parent;
			if (p->child != c)
				buf_add_char(out, ')'); /* the last of several */
			c = p;
		}
		if (c == top)
			break;
		buf_add_str(out, ")(");
		blank = 0;
		c = c->next;
	}
	buf_add_char(out, ')');
}

void
threader_end(struct threader *t, struct buf *out)
{
	if (t->algorithm == THREAD_ORDEREDSUBJECT) {
		order_by_subject(t);
	} else {
		for (struct container *c = t->all, *before; c != NULL; c = before) {
			before = c->all;
			if (c->parent == NULL)
				add_child(&t->root, c);
		}
		prune(t);
		sort_all(t);
		gather_subjects(t);
		sort_all(t);
	}
	for (struct container *c = t->root.child; c != NULL; c = c->next)
		write_tree(c, out);
}
