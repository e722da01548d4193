/* SPDX-License-Identifier: ISC */
/*
 * content - the bytes of one message: written once, then immutable and shared
 * by reference between threads.
 *
 * Small content lives in memory in slices of CONTENT_SLICE bytes, the size
 * that the spool stores in one page without waste.  Large content is a file
 * that was written while it arrived; it is read with pread.
 *
 *	struct content *c = content_new(budget);
 *	content_append(c, p, n); ...          by its only owner
 *	content_seal(c);                      from here on immutable
 *	content_ref(c); ... content_unref(&c);
 *
 * A budget is a shared counter of bytes that contents hold in memory; it
 * decides nothing itself (see content_budget_over).
 */
#ifndef BASE_CONTENT_H
#define BASE_CONTENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

#define CONTENT_SLICE 4080

struct content_budget {
	atomic_uint_fast64_t used; /* bytes in memory now */
	uint64_t limit;
};

struct content;

/* Empty, in memory, one reference. budget may be NULL; it must outlive the content. */
struct content *content_new(struct content_budget *budget);

/* The same, but its checksum goes on from that of the octets in front of it. */
struct content *content_new_behind(struct content_budget *budget, uint32_t crc);

/* A sealed content backed by an open file of known size; takes the descriptor. */
struct content *content_from_file(int fd, uint64_t size);

void
content_append(struct content *c, const void *p, size_t n); /* unsealed, in memory only */
void content_seal(struct content *c);

struct content *content_ref(struct content *c); /* returns c */
void content_unref(struct content **c); /* NULLs *c; frees with the last; NULL is fine */

uint64_t content_size(const struct content *c);
bool content_in_memory(const struct content *c);

/* CRC32C over all bytes appended (in memory only). */
uint32_t content_crc(const struct content *c);

/* In-memory content: slice i of content_slices(); all but the last are CONTENT_SLICE
 * bytes long. */
size_t content_slices(const struct content *c);
struct span content_slice(const struct content *c, size_t i);

/*
 * Copy up to n bytes from offset `at` to dst; *got is less than n only at the
 * end.  ERR_IO if the file cannot be read.  Any thread.
 */
enum err
content_read(const struct content *c, uint64_t at, void *dst, size_t n, size_t *got);

/* The file's descriptor, borrowed, or -1 for content in memory (for sendfile). */
int content_fd(const struct content *c);

bool content_budget_over(const struct content_budget *b); /* used > limit */

#endif
