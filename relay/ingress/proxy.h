/* SPDX-License-Identifier: ISC */
/*
 * proxy - the header of the PROXY protocol, versions 1 (a line of text) and 2
 * (binary), by which a proxy tells whose connection it passes on.  Pure: bytes
 * in, addresses out.
 *
 * "UNKNOWN", LOCAL and AF_UNSPEC tell nothing: the connection's real address
 * stays.  What version 2 adds behind the addresses is skipped.
 */
#ifndef RELAY_INGRESS_PROXY_H
#define RELAY_INGRESS_PROXY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/net.h"
#include "base/span.h"

#define PROXY_LINE_MAX 107           /* of version 1, with its CRLF */
#define PROXY_HEADER_MAX (16 + 4096) /* of version 2 */

enum proxy_answer {
	PROXY_MORE, /* all bytes so far belong to the header, and it is not complete */
	PROXY_DONE,
	PROXY_BAD, /* something else */
};

struct proxy_header {
	size_t size; /* octets of the header; what follows is the client's */
	bool told;   /* false: from and to are not known */
	struct net_addr from, to;
};

enum proxy_answer proxy_parse(struct span in, struct proxy_header *out);

#endif
