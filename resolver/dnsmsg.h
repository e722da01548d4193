/* SPDX-License-Identifier: ISC */
/*
 * dnsmsg - DNS messages (RFC 1035 4, 6891): questions written, answers read.
 *
 * Pure: bytes in, an immutable struct dns_answer out.  The reader is total:
 * whatever the bytes are, it gives an answer, if need be one of the kind
 * DNS_FAILED that says what is wrong.  The rules (RFC 9267 lists the sins):
 *
 *  - a compression pointer leads strictly backwards, before the part of the
 *    name that holds it; a name has at most 255 octets; counts are believed
 *    only as far as there are bytes
 *  - id and question must be those of our question (letter case ignored)
 *  - a record counts if its class is IN and its owner is the name at the end
 *    of the CNAME chain that begins at the question (at most DNS_HOPS_MAX)
 *  - a name that is taken over (MX host, CNAME target) must be a host name:
 *    letters, digits, hyphen, underscore.  So no blank, control or dot inside
 *    a label ever reaches a log line or a command.
 *
 * Names are text in lower case without a final dot; the root is ".".
 */
#ifndef RESOLVER_DNSMSG_H
#define RESOLVER_DNSMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/net.h"
#include "base/span.h"

#define DNS_NAME_MAX \
	256            /* text, NUL included (255 octets on the wire give at most 253) */
#define DNS_HOPS_MAX 8 /* CNAMEs followed from one question */
#define DNS_RECORD_MAX \
	128 /* records kept of one answer: of MX those of lowest preference */
#define DNS_TEXT_MAX 255  /* octets kept of one TXT record, its strings together */
#define DNS_UDP_SIZE 1232 /* what we say in EDNS: no fragments */

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_OPT = 41,
};

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXRCODE = 3, /* NXDOMAIN */
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
};

enum dns_kind {
	DNS_DATA,     /* at least one record */
	DNS_NODATA,   /* the name exists, but not with this type */
	DNS_NXDOMAIN, /* the name does not exist */
	DNS_ALIAS,    /* a CNAME chain that the server did not follow: ask for `alias` */
	DNS_FAILED,   /* nothing was learnt: `trouble` says why; always temporary */
};

struct dns_record {
	struct net_addr addr; /* A, AAAA */
	uint16_t preference;  /* MX */
	char *host;           /* MX: owned; "." for the root */
	char *text; /* TXT: owned; printable ASCII, whatever else was there is "?" */
};

/* Shared by reference (one thread); does not change once it is made. */
struct dns_answer {
	unsigned refs;
	enum dns_kind kind;
	unsigned rcode;  /* with the upper bits of OPT; 0 if there was no message */
	bool authentic;  /* the AD bit */
	bool opt;        /* the server understood EDNS */
	bool incomplete; /* some records were malformed or over DNS_RECORD_MAX and are not
			    here */
	unsigned hops;   /* CNAMEs followed */
	uint32_t ttl; /* seconds, as found: smallest of chain and records; negative: RFC
			 2308 5 */
	char *alias;  /* owned: the end of the chain; NULL without CNAME */
	char trouble[128]; /* "SERVFAIL", "malformed: ..." */
	size_t n;
	struct dns_record *record; /* owned; in the order of the message */
};

struct dns_answer *dns_answer_ref(struct dns_answer *a);
void dns_answer_unref(struct dns_answer **a);       /* NULLs *a; NULL is fine */
size_t dns_answer_size(const struct dns_answer *a); /* bytes of memory */

/* A DNS_FAILED of our own making. */
struct dns_answer *dns_answer_failed(const char *trouble);

/* Text to a name in the form above; one final dot is dropped. False if it is no host
 * name. */
bool dns_name_read(struct span text, char out[DNS_NAME_MAX]);

/* Append a name (in the form above) as labels, not compressed. */
void dns_add_name(struct buf *out, const char *name);

/* Append a whole query: RD, AD, EDNS with DNS_UDP_SIZE as the last 11 octets. */
void dns_add_query(struct buf *out, uint16_t id, const char *name, uint16_t type);

/* The answer in `msg` to the question (id, name, type). Never NULL; the caller holds the
 * one reference. */
struct dns_answer *
dns_read_answer(struct span msg, uint16_t id, const char *name, uint16_t type);

/* What a query asks (for scripted servers). ERR_SYNTAX. */
struct dns_question {
	uint16_t id;
	char name[DNS_NAME_MAX];
	uint16_t type;
};
enum err dns_read_query(struct span msg, struct dns_question *out);

/* "MX", "AAAA", "TYPE99"; "SERVFAIL", "RCODE17". The buffer is used for the unknown ones.
 */
#define DNS_WORD 16
const char *dns_type_name(uint16_t type, char unknown[DNS_WORD]);
const char *dns_rcode_name(unsigned rcode, char unknown[DNS_WORD]);

#endif
