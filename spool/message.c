/* SPDX-License-Identifier: ISC */
/* message - an envelope whose bytes live in a few blocks that go with it. */
#include "spool/message.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define BLOCK 1024

struct message_memory {
	struct message_memory *next;
	size_t n, cap;
	char bytes[];
};

struct message *
message_new(void)
{
	struct message *m = NEW(struct message);
	atomic_init(&m->refs, 1);
	m->id_at = SIZE_MAX;
	return m;
}

struct message *
message_ref(struct message *m)
{
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

void
message_unref(struct message **mp)
{
	struct message *m = *mp;
	*mp = NULL;
	if (m == NULL || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) > 1)
		return;
	while (m->memory != NULL) {
		struct message_memory *next = m->memory->next;
		mem_free(&m->memory);
		m->memory = next;
	}
	content_unref(&m->content);
	mem_free(&m->rcpt);
	mem_free(&m->drop);
	mem_free(&m);
}

struct span
message_keep(struct message *m, struct span s)
{
	struct message_memory *b = m->memory;
	if (b == NULL || b->cap - b->n < s.n + 1) {
		size_t cap = s.n + 1 > BLOCK ? s.n + 1 : BLOCK;
		b = mem_alloc_raw(sizeof(*b) + cap);
		*b = (struct message_memory){.next = m->memory, .cap = cap};
		m->memory = b;
	}
	char *at = b->bytes + b->n;
	if (s.n > 0)
		memcpy(at, s.p, s.n);
	at[s.n] = '\0';
	b->n += s.n + 1;
	return (struct span){at, s.n};
}

struct recipient *
message_add_rcpt(struct message *m, const struct recipient *r)
{
	CHECK(m->rcpts < MESSAGE_RCPT_MAX);
	if (m->rcpts == m->rcpt_cap) {
		m->rcpt_cap = m->rcpt_cap ? m->rcpt_cap * 2 : 1;
		m->rcpt = mem_resize(m->rcpt, m->rcpt_cap, sizeof(struct recipient));
	}
	struct recipient *to = &m->rcpt[m->rcpts];
	*to = *r;
	to->index = (uint16_t)m->rcpts++;
	to->address = message_keep(m, r->address);
	to->orcpt = message_keep(m, r->orcpt);
	to->dest = message_keep(m, r->dest);
	to->reply = message_keep(m, r->reply);
	to->host = message_keep(m, r->host);
	return to;
}

void
message_add_drop(struct message *m, const struct drop *d)
{
	CHECK(m->drops < MESSAGE_RCPT_MAX);
	if (m->drops == m->drop_cap) {
		m->drop_cap = m->drop_cap ? m->drop_cap * 2 : 1;
		m->drop = mem_resize(m->drop, m->drop_cap, sizeof(struct drop));
	}
	m->drop[m->drops++] = (struct drop){
	    .owner = message_keep(m, d->owner),
	    .recipient = message_keep(m, d->recipient),
	    .own = message_keep(m, d->own),
	};
}

const struct recipient *
message_find_rcpt(const struct message *m, uint16_t index)
{
	for (size_t i = 0; m != NULL && i < m->rcpts; i++)
		if (m->rcpt[i].index == index)
			return &m->rcpt[i];
	return NULL;
}
