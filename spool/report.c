/* SPDX-License-Identifier: ISC */
/* report - outcomes with their own copies of what they say. */
#include <string.h>

#include "base/mem.h"
#include "spool/spool.h"

struct report_memory {
	struct report_memory *next;
	char bytes[];
};

static struct span
keep(struct report *r, struct span s)
{
	if (s.n == 0)
		return (struct span){"", 0};
	struct report_memory *m = mem_alloc_raw(sizeof(*m) + s.n);
	m->next = r->memory;
	r->memory = m;
	memcpy(m->bytes, s.p, s.n);
	return (struct span){m->bytes, s.n};
}

static const struct drop *
keep_drops(struct report *r, const struct drop *drop, size_t n)
{
	struct drop *kept = mem_alloc(n * sizeof(*kept));
	for (size_t i = 0; i < n; i++)
		kept[i] = (struct drop){keep(r, drop[i].owner),
		    keep(r, drop[i].recipient), keep(r, drop[i].own)};
	r->drop = mem_resize(r->drop, r->drops + 1, sizeof(struct drop *));
	return r->drop[r->drops++] = kept;
}

struct report *
report_new(uint64_t id, struct span dest, struct wall when)
{
	struct report *r = NEW(struct report);
	r->id = id;
	r->when = when;
	r->dest = keep(r, dest);
	return r;
}

void
report_add(struct report *r, const struct outcome *o)
{
	if (r->outcomes == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 1;
		r->outcome = mem_resize(r->outcome, r->cap, sizeof(struct outcome));
	}
	struct outcome *to = &r->outcome[r->outcomes++];
	*to = *o;
	to->reply = keep(r, span_cut(o->reply, 0, 300));
	to->host = keep(r, span_cut(o->host, 0, 300));
	to->dest = keep(r, o->dest);
	to->drop = o->drops > 0 ? keep_drops(r, o->drop, o->drops) : NULL;
}

void
report_keep(struct report *r, size_t i, const struct drop *d)
{
	r->outcome[i].drop = keep_drops(r, d, 1);
	r->outcome[i].drops = 1;
}

void
report_free(struct report **rp)
{
	struct report *r = *rp;
	if (r == NULL)
		return;
	while (r->memory != NULL) {
		struct report_memory *next = r->memory->next;
		mem_free(&r->memory);
		r->memory = next;
	}
	message_unref(&r->notice[0]);
	message_unref(&r->notice[1]);
	for (size_t i = 0; i < r->drops; i++)
		mem_free(&r->drop[i]);
	mem_free(&r->drop);
	mem_free(&r->outcome);
	mem_free(rp);
}
