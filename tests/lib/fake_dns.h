/* SPDX-License-Identifier: ISC */
/*
 * fake_dns - a DNS whose world is a few lines of text.
 *
 *	example.org        MX 10 mx1.example.org
 *	mx1.example.org    300 A 192.0.2.1          the TTL may be given (default 3600)
 *	mx2.example.org    AAAA 2001:db8::1
 *	alias.example      CNAME example.org        followed in the answer
 *	half.example       CNAME-ONLY example.org   not followed: the asker has to
 *	null.example       MX 0 .
 *	txt.example        TXT hello there          these words; no addresses
 *	bad.example        SERVFAIL                 also REFUSED, NOTIMP, FORMERR
 *	v6bad.example      SERVFAIL AAAA            any of these words for one type only
 *	slow.example       TIMEOUT                  nothing for FAKE_DNS_TIMEOUT_MS
 *	dead.example       UNREACHABLE              no server can be reached
 *	late.example       SLOW 9000                the true answer after so many ms
 *	gone.example       NXDOMAIN
 *	x.example          GARBAGE                  an answer that is no DNS message
 *	e.example          EMPTY                    an answer of no octets
 *	w.example          WRONGID                  also WRONGNAME: answers others
 *
 * Lines end at a newline or ';'; '#' begins a comment.  Names that no line
 * mentions do not exist (NXDOMAIN); names with other types, and names above
 * those mentioned, give NODATA; both with a SOA whose negative TTL is 300 s.
 *
 * One zone serves any number of transports, and outlives them.  An answer
 * comes through the loop, never inside ask().
 */
#ifndef TESTS_FAKE_DNS_H
#define TESTS_FAKE_DNS_H

#include "resolver/resolver.h"

#define FAKE_DNS_TIMEOUT_MS 10000

struct fake_dns;

struct fake_dns *fake_dns_new(void);
void fake_dns_free(struct fake_dns **f); /* its transports must be gone */

/* A transport on a loop; freed by its resolver. */
struct dns_transport *fake_dns_transport(struct fake_dns *f, struct loop *l);

/* False: a line could not be read (the first such in fake_dns_error); the others count.
 */
bool fake_dns_set(struct fake_dns *f, const char *text);    /* in place of all lines */
bool fake_dns_add(struct fake_dns *f, const char *text);    /* more lines */
void fake_dns_remove(struct fake_dns *f, const char *name); /* all lines of a name */
void fake_dns_clear(struct fake_dns *f);
const char *fake_dns_error(const struct fake_dns *f); /* "" if none */

/* Questions asked since the beginning, of one name and type (NULL: any; 0: any). */
unsigned fake_dns_asked(const struct fake_dns *f, const char *name, uint16_t type);
void fake_dns_forget_asked(struct fake_dns *f);

#endif
