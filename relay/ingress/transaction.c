/* SPDX-License-Identifier: ISC */
/*
 * transaction - the envelope.  The same mailbox twice is one recipient; a list
 * of thousands must not cost a comparison of each with each.
 */
#include "relay/ingress/transaction.h"

#include "base/map.h"
#include "base/mem.h"

#define FEW 8 /* up to so many are simply looked at */

struct transaction *
transaction_new(struct world *w)
{
	struct transaction *t = NEW(struct transaction);
	t->message = message_new();
	t->world = w;
	return t;
}

void
transaction_free(struct transaction **tp)
{
	struct transaction *t = *tp;
	if (t == NULL)
		return;
	receive_free(&t->receive);
	message_unref(&t->message);
	mem_free(&t->set.slot);
	mem_free(&t->copies.route);
	mem_free(&t->copies.at);
	for (size_t i = 0; i < t->lates; i++)
		mem_free(&t->late[i].why);
	mem_free(&t->late);
	mem_free(tp);
}

/* The local part without its quotes, then the domain in lower case: equal for
 * address_same. */
static uint64_t
hash_address(const struct rcpt_set *set, const struct address *a)
{
	struct buf key;
	buf_init(&key, 2 * (LOCAL_PART_MAX + DOMAIN_MAX) + 1);
	bool quoted = a->local.n >= 2 && a->local.p[0] == '"';
	struct span local = quoted ? span_cut(a->local, 1, a->local.n - 2) : a->local;
	for (size_t i = 0; i < local.n; i++) {
		if (quoted && local.p[i] == '\\' && i + 1 < local.n)
			i++;
		buf_add_char(&key, local.p[i]);
	}
	buf_add_char(&key, '\0');
	for (size_t i = 0; i < a->domain.n; i++)
		buf_add_char(&key, ascii_lower(a->domain.p[i]));
	uint64_t hash = siphash(set->seed, buf_span(&key));
	buf_clear(&key);
	return hash;
}

static bool
is_recipient(const struct message *m, size_t i, const struct address *a)
{
	struct address other;
	return address_parse(m->rcpt[i].address, &other) == OK && address_same(&other, a);
}

struct recipient *
transaction_find(const struct transaction *t, const struct address *a)
{
	const struct rcpt_set *set = &t->set;
	const struct message *m = t->message;
	if (set->cap == 0) {
		for (size_t i = 0; i < m->rcpts; i++) {
			if (is_recipient(m, i, a))
				return &m->rcpt[i];
		}
		return NULL;
	}
	uint64_t hash = hash_address(set, a);
	for (size_t i = hash & (set->cap - 1);; i = (i + 1) & (set->cap - 1)) {
		const struct rcpt_slot *slot = &set->slot[i];
		if (slot->at == 0)
			return NULL;
		if (slot->hash == hash && is_recipient(m, slot->at - 1, a))
			return &m->rcpt[slot->at - 1];
	}
}

static void
set_put(struct rcpt_set *set, uint64_t hash, uint32_t at)
{
	size_t i = hash & (set->cap - 1);
	while (set->slot[i].at != 0)
		i = (i + 1) & (set->cap - 1);
	set->slot[i] = (struct rcpt_slot){hash, at};
}

static void
set_grow(struct rcpt_set *set, const struct message *m, struct world *w)
{
	if (set->cap == 0) /* most messages never come so far */
		world_random(w, set->seed, sizeof(set->seed));
	struct rcpt_set old = *set;
	set->cap = old.cap ? 2 * old.cap : (size_t)(4 * FEW);
	set->slot = mem_alloc(set->cap * sizeof(*set->slot));
	for (size_t i = 0; i < old.cap; i++) {
		if (old.slot[i].at != 0)
			set_put(set, old.slot[i].hash, old.slot[i].at);
	}
	for (size_t i = 0; old.cap == 0 && i < m->rcpts; i++) {
		struct address a;
		if (address_parse(m->rcpt[i].address, &a) == OK)
			set_put(set, hash_address(set, &a), (uint32_t)i + 1);
	}
	mem_free(&old.slot);
}

void
transaction_add(struct transaction *t, const struct recipient *r, const struct address *a)
{
	struct rcpt_set *set = &t->set;
	struct message *m = t->message;
	if (m->rcpts >= (set->cap ? set->cap / 2 : FEW))
		set_grow(set, m, t->world);
	message_add_rcpt(m, r);
	if (set->cap != 0)
		set_put(set, hash_address(set, a), (uint32_t)m->rcpts);
}

/* ---- copies */

void
transaction_add_copy(
    struct transaction *t, const struct recipient *r, const struct address *a)
{
	struct copies *c = &t->copies;
	transaction_add(t, r, a);
	c->at = mem_resize(c->at, c->n + 1, sizeof(*c->at));
	c->at[c->n++] = t->message->rcpt[t->message->rcpts - 1].index;
}

bool
transaction_is_copy(const struct transaction *t, const struct recipient *r)
{
	for (size_t i = 0; i < t->copies.n; i++)
		if (t->copies.at[i] == r->index)
			return true;
	return false;
}

void
transaction_name_copy(
    struct transaction *t, struct recipient *r, const struct recipient *named)
{
	struct copies *c = &t->copies;
	for (size_t i = 0; i < c->n; i++)
		if (c->at[i] == r->index)
			c->at[i--] = c->at[--c->n];
	r->notify = named->notify;
	r->orcpt = message_keep(t->message, named->orcpt);
	r->state = named->state;
}

void
transaction_answer_late(struct transaction *t, uint16_t index)
{
	t->late = mem_resize(t->late, t->lates + 1, sizeof(*t->late));
	t->late[t->lates++] = (struct late){.index = index};
}

void
transaction_refuse_late(struct transaction *t, uint16_t index, const struct verdict *why)
{
	for (size_t i = 0; i < t->lates; i++)
		if (t->late[i].index == index && t->late[i].why == NULL) {
			t->late[i].why = NEW(struct verdict);
			*t->late[i].why = *why;
		}
}

size_t
transaction_named(const struct transaction *t)
{
	return t->message->rcpts - t->copies.n;
}

bool
transaction_first_of_route(struct transaction *t, const struct route *route)
{
	struct copies *c = &t->copies;
	for (size_t i = 0; i < c->routes; i++)
		if (c->route[i] == route)
			return false;
	c->route = mem_resize(c->route, c->routes + 1, sizeof(const struct route *));
	c->route[c->routes++] = route;
	return true;
}
