/* SPDX-License-Identifier: ISC */
/*
 * resolver - answers from the DNS, for mail.
 *
 * One resolver per io thread; it is not thread-safe.  It asks the transport
 * (c-ares in the daemon, a script in the talks) raw questions, parses the
 * answers itself (dnsmsg.h), keeps them in a cache until their TTL ends, and
 * asks equal questions once.
 *
 *	q = resolver_mx_start(r, domain, flags, on_mx, session);
 *	... later, on the loop: on_mx(session, answer); the answer lives until it returns
 *
 * start never fails and never calls back before it has returned; the callback
 * comes exactly once; after resolver_cancel(&q) it never comes.  The callback's
 * owner clears his handle first (it is dead when the callback is called).
 *
 * Rules of mail routing: RFC 5321 5.1, RFC 7505 (null MX).  The outcome table
 * is in resolver/README.md.
 */
#ifndef RESOLVER_RESOLVER_H
#define RESOLVER_RESOLVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/net.h"
#include "base/span.h"

/* Hard caps (an answer cannot make us try for ever). */
#define MX_HOST_MAX 20       /* hosts of one answer that are looked at */
#define MX_ADDR_MAX 8        /* addresses per host */
#define MX_NAME_MAX 256      /* a domain name as text, NUL included */
#define MX_DEADLINE_MS 30000 /* for a whole MX look-up, addresses included */

enum mx_outcome {
	MX_HOSTS, /* at least one host with at least one address */
	MX_NULL,  /* null MX: the domain takes no mail (RFC 7505): permanent, 5.1.10 */
	MX_NO_DOMAIN, /* NXDOMAIN: permanent, 5.1.2 */
	MX_NO_HOST,   /* MX or implicit MX, but no host has an address, for sure:
			 permanent, 5.4.4 */
	MX_SELF,      /* only ourselves are left: permanent, 5.4.6 */
	MX_TEMPORARY, /* SERVFAIL, timeout, malformed, ...: try again, 4.4.3 */
};
#define MX_OUTCOMES (MX_TEMPORARY + 1)

/* What look-ups came to, of all resolvers that share it: relaxed. */
struct resolver_counters {
	atomic_uint_fast64_t outcome[MX_OUTCOMES];
	atomic_uint_fast64_t cached; /* of them: nothing was asked */
};

struct mx_host {
	char name[MX_NAME_MAX]; /* lower case, no trailing dot; an address literal's text
				   for literals */
	uint16_t preference;
	struct net_addr addr[MX_ADDR_MAX]; /* families interleaved, IPv6 first; port 0 */
	size_t addrs;
	bool temporary; /* no address, but only for now */
};

struct mx_answer {
	enum mx_outcome outcome;
	bool implicit; /* no MX record: the domain's own addresses */
	bool cached;   /* nothing was asked for this */
	size_t hosts;  /* those with addresses first, in the order to try */
	struct mx_host *host;
	char why[256]; /* for people and diagnostics: "MX example.org: SERVFAIL from
			  127.0.0.1:53" */
};

enum resolver_flags {
	RESOLVE_MX = 0,
	/* No MX: the name's own addresses (a named next hop); "192.0.2.1" is then a
	   literal too. */
	RESOLVE_HOST = 1,
	RESOLVE_ALLOW_SPECIAL =
	    2, /* loopback and link-local addresses are fine (tests, split DNS) */
	RESOLVE_ALLOW_SELF = 4, /* do not drop our own hosts */
	RESOLVE_IPV4_ONLY = 8,
	RESOLVE_IPV6_ONLY = 16,
	RESOLVE_FILE =
	    32, /* with RESOLVE_HOST: first look into the machine's hosts file */
};

struct resolver;
struct mx_request;
typedef void mx_fn(void *arg, const struct mx_answer *answer);

/* ---- transport: how raw questions travel */

/*
 * A finished raw query.  status OK: `answer` is a whole DNS message; otherwise
 * ERR_TIMEOUT, ERR_REFUSED (no server can be reached), ERR_FULL (too many
 * questions wait) or ERR_IO, and answer is empty.
 */
typedef void dns_fn(void *arg, enum err status, struct span answer);

struct dns_transport {
	/* Send a complete query message (with its id). Calls fn once, never before
	 * returning. */
	void (*ask)(struct dns_transport *t, struct span query, dns_fn *fn, void *arg);
	void (*free)(
	    struct dns_transport *t); /* pending callbacks do not come any more */
	/* One line naming the servers, for people. */
	void (*describe)(struct dns_transport *t, struct buf *out);
};

struct dns_options {
	const char *servers;     /* "127.0.0.1:53,[::1]:5353"; NULL or "": resolv.conf,
				    watched for change */
	int64_t timeout_ms;      /* of one try to one server; 0: 5 s */
	unsigned tries;          /* 0: 3 */
	const char *resolv_conf; /* NULL: /etc/resolv.conf */
};

/* c-ares. On error NULL, and `why` says what to do. */
struct dns_transport *dns_cares_new(
    struct loop *l, struct log *log, const struct dns_options *o, struct buf *why);

/* ---- resolver */

struct resolver_options {
	const char *const *own_names; /* our host names, NULL-terminated; may be NULL */
	const struct net_addr *own_addr;
	size_t own_addrs;
	size_t cache_max;                   /* entries; 0: 20,000 */
	const char *hosts_file;             /* "/etc/hosts"; a constant; NULL: none */
	struct resolver_counters *counters; /* borrowed; NULL: nobody counts */
};

/* Takes the transport. own_* are copied. */
struct resolver *resolver_new(struct loop *l, struct log *log, struct dns_transport *t,
    const struct resolver_options *o);
void resolver_free(struct resolver **r); /* callbacks of pending requests never come */

/*
 * Where mail for `domain` goes.  domain: an A-label name, or an address literal
 * "[192.0.2.1]" / "[IPv6:...]" (no question is asked then).  The shuffle inside
 * equal preferences is new for each request, cached or not.
 */
struct mx_request *resolver_mx_start(
    struct resolver *r, struct span domain, unsigned flags, mx_fn *fn, void *arg);

/*
 * The words of a name: its first TXT record, in printable ASCII, at most DNS_TEXT_MAX
 * octets; empty if there is none or nobody has told.
 */
typedef void txt_fn(void *arg, struct span words);
struct mx_request *
resolver_txt_start(struct resolver *r, struct span name, txt_fn *fn, void *arg);

void resolver_cancel(struct mx_request **q); /* either kind; *q may be NULL */

void resolver_flush(struct resolver *r); /* forget all cached answers */
size_t resolver_cached(const struct resolver *r);

/* "no-domain", "null-mx", ... for logs and JSON. */
const char *mx_outcome_name(enum mx_outcome o);

#endif
