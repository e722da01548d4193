/* SPDX-License-Identifier: ISC */
/*
 * dot - the body of DATA as it is on the wire (RFC 5321 4.5.2).
 *
 * Receiving: undot takes bytes in any split, gives the unstuffed content, and
 * sees the one and only end of data: CRLF "." CRLF (or "." CRLF as the very
 * first line).  A bare CR, a bare LF or a NUL is never an end of a line; it is
 * noted, and the owner decides what becomes of the message.  With `repair` a
 * bare CR or LF is written out as CRLF instead, but still ends nothing.
 *
 * Sending: dot_stuff gives content the form for the wire.
 */
#ifndef BASE_DOT_H
#define BASE_DOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

struct undot {
	bool repair;   /* set by the owner: write bare CR and bare LF as CRLF */
	uint8_t state; /* private */
	bool end;      /* the final dot has been seen */
	bool bare_cr, bare_lf, nul, eight_bit;
	bool dots;     /* a line began with a dot */
	uint64_t line; /* octets in the current line so far, CRLF not counted (private) */
	uint64_t longest; /* of the lines so far */
	uint64_t wire;    /* octets taken, stuffing and final dot included */
};

void undot_init(struct undot *u, bool repair);

/*
 * Take bytes from `in`; what belongs to the content goes to emit(arg, bytes) in
 * runs as long as possible.  Returns how many bytes of `in` were taken: all of
 * them, or fewer if the end of data was reached (u->end), where the rest
 * belongs to the next command.
 */
size_t undot_take(
    struct undot *u, struct span in, void (*emit)(void *arg, struct span), void *arg);

struct dot_stuff {
	uint8_t state; /* private: 0 = at the beginning of a line */
};

/* Append `in` to out, dots at line starts doubled. Content that was accepted has CRLF
 * only. */
void dot_stuff_add(struct dot_stuff *d, struct buf *out, struct span in);

/* Append the end: CRLF first if the content did not end with one, then ".\r\n". */
void dot_stuff_end(struct dot_stuff *d, struct buf *out);

#endif
