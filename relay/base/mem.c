/* SPDX-License-Identifier: ISC */
/* mem - malloc and friends that abort instead of returning NULL. */
#include "base/mem.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hand.h"

static void *
must(void *p)
{
	if (p == NULL)
		hand_blameless();
	CHECK(p != NULL);
	return p;
}

void *
mem_alloc(size_t n)
{
	return must(calloc(1, n ? n : 1));
}

void *
mem_alloc_raw(size_t n)
{
	return must(malloc(n ? n : 1));
}

void *
mem_resize(void *p, size_t count, size_t size)
{
	size_t n;
	CHECK(!__builtin_mul_overflow(count, size, &n));
	return must(realloc(p, n ? n : 1));
}

void *
mem_dup(const void *p, size_t n)
{
	CHECK(n < SIZE_MAX);
	char *q = mem_alloc_raw(n + 1);
	if (n > 0)
		memcpy(q, p, n);
	q[n] = '\0';
	return q;
}

char *
mem_strdup(const char *s)
{
	return mem_dup(s, strlen(s));
}

void
mem_free_impl(void **pp)
{
	free(*pp);
	*pp = NULL;
}

bool
mem_give_back(size_t *kept)
{
	size_t spare = mallinfo2().fordblks;
	if (spare < *kept)
		*kept = spare;
	if (spare - *kept <= MEM_KEEP)
		return false;
	(void)malloc_trim(0); /* its pages go, but it still counts as spare */
	*kept = spare;
	return true;
}
