/* SPDX-License-Identifier: ISC */
/*
 * scan - a cursor over text from outside.  Every function either consumes what
 * it names and returns true, or consumes nothing and returns false.
 */
#ifndef BASE_SCAN_H
#define BASE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct scan {
	const char *p, *end;
};

static inline struct scan
scan_over(struct span s)
{
	return (struct scan){s.p, s.n ? s.p + s.n : s.p};
}

static inline bool
scan_done(const struct scan *s)
{
	return s->p == s->end;
}

static inline struct span
scan_rest(const struct scan *s)
{
	return (struct span){s->p, (size_t)(s->end - s->p)};
}

/* The next byte without consuming it; -1 at the end. */
int scan_peek(const struct scan *s);

bool scan_char(struct scan *s, char c);
bool scan_text(struct scan *s, struct span text);  /* exactly */
bool scan_itext(struct scan *s, struct span text); /* ASCII case ignored */

/* The longest run of bytes for which is(byte) holds; false if it is empty. */
bool scan_run(struct scan *s, bool (*is)(unsigned char), struct span *out);

/* Up to, not including, the first c; c itself is consumed. False (nothing consumed) if
 * there is no c. */
bool scan_until(struct scan *s, char c, struct span *out);

/* Decimal digits, value <= max; false on no digit or over max. */
bool scan_u64(struct scan *s, uint64_t max, uint64_t *out);

/* One or more / any number of spaces and tabs. */
bool scan_blanks(struct scan *s);
void scan_skip_blanks(struct scan *s);

/* The next word up to a blank or the end; false if empty. */
bool scan_word(struct scan *s, struct span *out);

bool is_digit(unsigned char c);
bool is_alpha(unsigned char c);
bool is_alnum(unsigned char c);

#endif
