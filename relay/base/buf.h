/* SPDX-License-Identifier: ISC */
/*
 * buf - bytes that grow up to a bound.
 *
 *	struct buf b;
 *	buf_init(&b, 4096);
 *	buf_addf(&b, "250 %s", text);
 *	... b.p, b.n ...
 *	buf_clear(&b);
 *
 * What would exceed the bound is not added, and b.overflow is set: the caller
 * looks once at the end instead of after every append.  Zeroed memory is a
 * valid empty buf with the default bound.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define BUF_DEFAULT_MAX (64u << 20)

struct buf {
	char *p; /* owned; NULL while empty */
	size_t n;
	size_t cap;
	size_t max; /* 0: BUF_DEFAULT_MAX */
	bool overflow;
};

void buf_init(struct buf *b, size_t max);
void buf_clear(struct buf *b); /* free the bytes; b is empty and usable again */
void buf_wipe(struct buf *b);  /* the same for what held a secret: zeroed first */
void buf_reset(struct buf *b); /* n = 0, the memory is kept */

void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_span(struct buf *b, struct span s);
void buf_add_str(struct buf *b, const char *s);
void buf_add_char(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_addv(struct buf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* Append with every byte outside 0x20..0x7e, and '\\' and '"', written as \xNN (or
 * \\ \"). */
void buf_add_escaped(struct buf *b, struct span s);

/* Room for n more bytes at b->p + b->n, or NULL if over the bound; then b->n += what was
 * used. */
char *buf_room(struct buf *b, size_t n);

/* Drop the first n bytes. */
void buf_consume(struct buf *b, size_t n);

struct span buf_span(const struct buf *b);

/* The bytes with a NUL behind, owned by the caller; b is empty afterwards. Never NULL. */
char *buf_take(struct buf *b);

#endif
