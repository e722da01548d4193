/* SPDX-License-Identifier: ISC */
/*
 * span - bytes that somebody else owns: a pointer and a length.  Never
 * NUL-terminated by contract, may hold any byte.  {NULL, 0} is "absent" where
 * a caller needs to tell absent from empty.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>

struct span {
	const char *p;
	size_t n;
};

/* A string literal as a span; usable in static initialisers. */
#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})

/* printf("%.*s", SPAN_ARG(s)) */
#define SPAN_ARG(s) (int)(s).n, (s).n ? (s).p : ""

struct span span_str(const char *s); /* all of a C string; NULL gives {NULL,0} */
struct span span_cut(struct span s, size_t from, size_t n); /* clipped to s */

bool span_eq(struct span a, struct span b);
bool span_ieq(struct span a, struct span b); /* ASCII case ignored */
int span_cmp(struct span a, struct span b);  /* memcmp order, shorter first */
bool span_starts(struct span s, struct span prefix);
bool span_istarts(struct span s, struct span prefix);
bool span_iends(struct span s, struct span suffix);

/* Index of the first byte c in s, or s.n. */
size_t span_find(struct span s, char c);
size_t span_find_last(struct span s, char c); /* of the last one */

/* Without blanks (space, tab) at both ends. */
struct span span_trim(struct span s);

/* A heap copy with a NUL behind; owned by the caller (free with mem_free). */
char *span_dup(struct span s);

/* Copy into dst, cut to size - 1, NUL-terminated. */
void span_copy(struct span s, char *dst, size_t size);

/* ASCII lower case of one byte. */
char ascii_lower(char c);

#endif
