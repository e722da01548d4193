/* SPDX-License-Identifier: ISC */
/* field - a header, field by field, with the lines that are folded (RFC 5322 2.2.3). */
#ifndef RELAY_MIME_FIELD_H
#define RELAY_MIME_FIELD_H

#include "base/span.h"

struct header_field {
	struct span whole; /* with its line ends */
	struct span name;  /* without blanks; all of it where there is no colon */
	struct span body;  /* behind the colon; p == NULL: there is none */
};

/* The next field of *rest, which becomes what is behind it.  False: the header ends. */
bool field_next(struct span *rest, struct header_field *out);

#endif
