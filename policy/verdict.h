/* SPDX-License-Identifier: ISC */
/*
 * verdict - every answer that we give or get in mail: a reply code (RFC 5321
 * 4.2), an enhanced status code (RFC 3463) and a text.
 */
#ifndef POLICY_VERDICT_H
#define POLICY_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define VERDICT_TEXT 300

struct verdict {
	uint16_t code; /* 250, 451, 550; 0: none */
	uint8_t klass; /* 2, 4, 5; 0: no enhanced code */
	uint16_t subject, detail;
	bool peer;               /* the other side's words; else our own */
	char text[VERDICT_TEXT]; /* printable ASCII, one line; longer is cut */
};

/* verdict_make(550, "5.1.1", "no such %s", x). enhanced may be NULL. The text is made
 * printable. */
struct verdict verdict_make(unsigned code, const char *enhanced, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static inline bool
verdict_ok(const struct verdict *v)
{
	return v->code >= 200 && v->code < 400;
}
static inline bool
verdict_temporary(const struct verdict *v)
{
	return v->code >= 400 && v->code < 500;
}
static inline bool
verdict_permanent(const struct verdict *v)
{
	return v->code >= 500;
}

/* "5.1.1", or the class's ".0.0" where the verdict has no enhanced code. */
void verdict_status(const struct verdict *v, char out[16]);

/* "550 5.1.1 text" */
void verdict_add(struct buf *b, const struct verdict *v);

#endif
