/* SPDX-License-Identifier: ISC */
/*
 * xclient - the arguments of XCLIENT, by which a proxy or a test of policy says
 * as whom to treat it.  Attributes are NAME=value, the value in xtext;
 * "[UNAVAILABLE]" and "[TEMPUNAVAIL]" say that it is not known.  Pure.
 *
 *	NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT
 *
 * ADDR, PORT and LOGIN are obeyed; of the others only the form is looked at
 * (the client's own EHLO comes again).
 */
#ifndef RELAY_INGRESS_XCLIENT_H
#define RELAY_INGRESS_XCLIENT_H

#include <stdbool.h>

#include "base/net.h"
#include "base/span.h"
#include "policy/verdict.h"

#define XCLIENT_ATTRIBUTES "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
#define XCLIENT_VALUE_MAX 255 /* octets of a value, decoded */

struct xclient {
	bool addr, port, login; /* given, and known */
	bool addr_unknown;      /* given, and not known */
	struct net_addr address;
	char login_name[XCLIENT_VALUE_MAX + 1];
};

/* False: `why` is the answer (501). */
bool xclient_parse(struct span args, struct xclient *out, struct verdict *why);

#endif
