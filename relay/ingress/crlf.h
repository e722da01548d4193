/* SPDX-License-Identifier: ISC */
/*
 * crlf - looks at the line ends of content that came by BDAT, where no dot ends
 * anything: what undot tells of DATA.  With `repair` a bare CR or LF is written
 * out as CRLF.
 */
#ifndef RELAY_INGRESS_CRLF_H
#define RELAY_INGRESS_CRLF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct crlf {
	bool repair;
	bool bare_cr, bare_lf, nul, eight_bit;
	uint64_t longest; /* of the lines so far, CRLF not counted */
	/* private */
	bool cr; /* a CR was withheld: what follows decides */
	uint64_t line;
};

void crlf_init(struct crlf *c, bool repair);

/* Bytes in any split; what belongs to the content goes to emit in long runs. */
void crlf_take(
    struct crlf *c, struct span in, void (*emit)(void *arg, struct span), void *arg);

/* No more bytes. */
void crlf_end(struct crlf *c, void (*emit)(void *arg, struct span), void *arg);

/* Whether a byte is over 0x7f. */
bool bytes_eight_bit(struct span s);

#endif
