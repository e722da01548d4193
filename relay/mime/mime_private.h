/* SPDX-License-Identifier: ISC */
/* mime_private - what the files of the MIME structure share. */
#ifndef RELAY_MIME_MIME_PRIVATE_H
#define RELAY_MIME_MIME_PRIVATE_H

#include "relay/mime/mime.h"

/* Memory that goes with m; NULL: as much is kept as may be. */
void *mime_alloc(struct mime *m, size_t n);
struct span mime_keep(struct mime *m, struct span s); /* p == NULL likewise */

/* mime_header.c: the fields of a part, of its header as it came. */
void
mime_read_header(struct mime *m, struct mime_part *p, struct span header, bool in_digest);

/* mime_address.c */

/* p == NULL: not there. All but name and route: a group begins with this name; all of
 * them: it ends. A route is "@a,@b". */
struct mime_address {
	struct span name, route, local, domain;
};
/* Each address of a list, and the beginning and end of each group. */
void mime_each_address(
    struct span list, void (*found)(void *arg, const struct mime_address *a), void *arg);

#endif
