/* SPDX-License-Identifier: ISC */
/*
 * mem - checked allocation.  Out of memory is a broken invariant (every
 * consumer of memory has its own bound), so none of these returns NULL.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

#define NEW(type) ((type *)mem_alloc(sizeof(type)))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define CONTAINER_OF(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* n zeroed bytes (n = 0 gives a valid pointer). */
void *mem_alloc(size_t n);

/* n bytes of unspecified content, for buffers that are filled at once. */
void *mem_alloc_raw(size_t n);

/* Resize to count elements of size bytes; the product is checked. New bytes are
 * unspecified. */
void *mem_resize(void *p, size_t count, size_t size);

/* A copy of n bytes at p, with a NUL added behind them. */
void *mem_dup(const void *p, size_t n);
char *mem_strdup(const char *s);

/* Free *pp and null it. */
#define mem_free(pp) mem_free_impl((void **)(void *)(pp))
void mem_free_impl(void **pp);

/*
 * What was freed between things that stay (the buffers of ten thousand handshakes
 * between ten thousand connections) is kept by malloc for later.  Called every few
 * seconds, this gives whole pages of it back to the system once that is more than
 * MEM_KEEP beyond *kept, which is the caller's, 0 at first: how much stayed free the last
 * time. True: it did.  Threads that allocate wait meanwhile, for some milliseconds at
 * most. Source: malloc_trim(3), mallinfo2(3).
 */
#define MEM_KEEP ((size_t)8 << 20)
bool mem_give_back(size_t *kept);

#endif
