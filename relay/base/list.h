/* SPDX-License-Identifier: ISC */
/*
 * list - an intrusive, doubly linked ring.  Embed a struct link in what you
 * keep; get it back with CONTAINER_OF.  A link that is in no list points at
 * itself (or is zeroed), so removing it twice is harmless.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct link {
	struct link *next, *prev;
};

struct list {
	struct link head;
};

static inline void
list_init(struct list *l)
{
	l->head.next = l->head.prev = &l->head;
}

static inline bool
list_empty(const struct list *l)
{
	return l->head.next == &l->head;
}

static inline bool
link_in_list(const struct link *k)
{
	return k->next != NULL && k->next != k;
}

static inline void
link_insert_before(struct link *at, struct link *k)
{
	k->prev = at->prev;
	k->next = at;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a ring has no end */
	at->prev->next = k;
	at->prev = k;
}

static inline void
list_push(struct list *l, struct link *k) /* at the end */
{
	link_insert_before(&l->head, k);
}

static inline void
list_unshift(struct list *l, struct link *k) /* at the front */
{
	link_insert_before(l->head.next, k);
}

static inline void
list_remove(struct link *k)
{
	if (k->next == NULL)
		return;
	k->prev->next = k->next;
	k->next->prev = k->prev;
	k->next = k->prev = k;
}

static inline struct link *
list_first(const struct list *l) /* NULL if empty */
{
	return list_empty(l) ? NULL : l->head.next;
}

static inline struct link *
list_pop(struct list *l) /* from the front; NULL if empty */
{
	struct link *k = list_first(l);
	if (k != NULL)
		list_remove(k);
	return k;
}

/* The current element may be removed inside the loop. */
#define LIST_EACH(l, k)                                                             \
	for (struct link *k = (l)->head.next, *k##_next = k->next; k != &(l)->head; \
	     k = k##_next, k##_next = k->next)

#endif
