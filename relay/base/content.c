/* SPDX-License-Identifier: ISC */
/* content - an array of slices, or a descriptor, behind one reference count. */
#include "base/content.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"

struct content {
	atomic_uint refs;
	bool sealed;
	int fd; /* -1: in memory */
	uint64_t size;
	uint32_t crc;
	char **slice; /* owned, CONTENT_SLICE each */
	size_t slices, cap;
	struct content_budget *budget; /* borrowed, may be NULL */
};

struct content *
content_new(struct content_budget *budget)
{
	struct content *c = NEW(struct content);
	atomic_init(&c->refs, 1);
	c->fd = -1;
	c->budget = budget;
	return c;
}

struct content *
content_new_behind(struct content_budget *budget, uint32_t crc)
{
	struct content *c = content_new(budget);
	c->crc = crc;
	return c;
}

struct content *
content_from_file(int fd, uint64_t size)
{
	struct content *c = content_new(NULL);
	c->fd = fd;
	c->size = size;
	c->sealed = true;
	return c;
}

static void
charge(struct content *c, int64_t bytes)
{
	if (c->budget != NULL)
		atomic_fetch_add_explicit(
		    &c->budget->used, (uint64_t)bytes, memory_order_relaxed);
}

static void
add_slice(struct content *c)
{
	if (c->slices == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 4;
		c->slice = mem_resize(c->slice, c->cap, sizeof(char *));
	}
	c->slice[c->slices++] = mem_alloc_raw(CONTENT_SLICE);
	charge(c, CONTENT_SLICE);
}

void
content_append(struct content *c, const void *p, size_t n)
{
	CHECK(!c->sealed && c->fd < 0);
	const char *from = p;
	c->crc = crc32c(c->crc, p, n);
	while (n > 0) {
		size_t at = (size_t)(c->size % CONTENT_SLICE);
		if (at == 0)
			add_slice(c);
		size_t part = CONTENT_SLICE - at;
		if (part > n)
			part = n;
		memcpy(c->slice[c->slices - 1] + at, from, part);
		c->size += part;
		from += part;
		n -= part;
	}
}

void
content_seal(struct content *c)
{
	c->sealed = true;
}

struct content *
content_ref(struct content *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void
content_unref(struct content **cp)
{
	struct content *c = *cp;
	*cp = NULL;
	if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < c->slices; i++)
		mem_free(&c->slice[i]);
	charge(c, -(int64_t)(c->slices * CONTENT_SLICE));
	mem_free(&c->slice);
	if (c->fd >= 0)
		(void)close(c->fd);
	mem_free(&c);
}

uint64_t
content_size(const struct content *c)
{
	return c->size;
}

bool
content_in_memory(const struct content *c)
{
	return c->fd < 0;
}

uint32_t
content_crc(const struct content *c)
{
	return c->crc;
}

size_t
content_slices(const struct content *c)
{
	return c->slices;
}

struct span
content_slice(const struct content *c, size_t i)
{
	CHECK(i < c->slices);
	uint64_t left = c->size - (uint64_t)i * CONTENT_SLICE;
	return (struct span){
	    c->slice[i], left < CONTENT_SLICE ? (size_t)left : CONTENT_SLICE};
}

static enum err
read_file(const struct content *c, uint64_t at, char *dst, size_t n, size_t *got)
{
	while (n > 0 && at < c->size) {
		ssize_t r = pread(c->fd, dst, n, (off_t)at);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return ERR_IO; /* shorter than it was: somebody has cut it */
		dst += r;
		n -= (size_t)r;
		at += (uint64_t)r;
		*got += (size_t)r;
	}
	return OK;
}

enum err
content_read(const struct content *c, uint64_t at, void *dst, size_t n, size_t *got)
{
	*got = 0;
	if (at >= c->size)
		return OK;
	if (n > c->size - at)
		n = (size_t)(c->size - at);
	if (c->fd >= 0)
		return read_file(c, at, dst, n, got);
	while (*got < n) {
		uint64_t from = at + *got;
		struct span s = content_slice(c, (size_t)(from / CONTENT_SLICE));
		s = span_cut(s, (size_t)(from % CONTENT_SLICE), n - *got);
		memcpy((char *)dst + *got, s.p, s.n);
		*got += s.n;
	}
	return OK;
}

int
content_fd(const struct content *c)
{
	return c->fd;
}

bool
content_budget_over(const struct content_budget *b)
{
	return atomic_load_explicit(&b->used, memory_order_relaxed) > b->limit;
}
