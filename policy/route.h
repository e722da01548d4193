/* SPDX-License-Identifier: ISC */
/*
 * route - where a recipient's mail goes: an ordered list, the first match wins,
 * evaluated anew at every attempt.  A route is part of an immutable
 * configuration snapshot.
 */
#ifndef POLICY_ROUTE_H
#define POLICY_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/net.h"
#include "base/span.h"
#include "policy/verdict.h"

#define ROUTE_HOP_MAX 16
#define ROUTE_MAX 1000

enum route_deliver {
	ROUTE_MX,      /* by the recipient domain's MX records */
	ROUTE_VIA,     /* to an ordered list of next hops */
	ROUTE_DISCARD, /* taken and dropped */
	ROUTE_REJECT,  /* refused with a text */
	ROUTE_HOLD,    /* kept until an administrator releases it */
};

struct route_hop {
	char *host;           /* name or address, without brackets */
	struct net_addr addr; /* family NET_NONE: a name, to be resolved */
	uint16_t port;
};

/* "example.org", ".example.org" (any subdomain), "@example.org", "user@example.org", "*"
 * (any), "<>" (null sender) */
struct route_pattern {
	struct span local;  /* p == NULL: any local part */
	struct span domain; /* canonical; p == NULL: any domain */
	bool subdomains;    /* .example.org */
	bool null_sender;
	char *text; /* owns what local and domain point into */
};

struct route {
	char *name;
	enum route_deliver deliver;
	struct route_pattern *to, *from; /* empty list: any */
	size_t to_n, from_n;
	struct route_hop hop[ROUTE_HOP_MAX];
	size_t hops;
	uint16_t port;       /* ROUTE_MX: 25 unless set */
	bool allow_loopback; /* ROUTE_MX: special addresses are fine */
	bool inbound;        /* strangers may send to recipients of this route */
	char *reject_text;   /* ROUTE_REJECT */
	unsigned
	    concurrency; /* most connections at once to one destination; 0: the default */
	unsigned line;   /* in the configuration file, for messages */
};

struct route_table {
	struct route *route; /* owned array, in order */
	size_t n;
};

/* Parse one pattern into out (owned by the route). ERR_SYNTAX, and `why` says what would
 * be right. */
enum err
route_pattern_parse(struct span text, struct route_pattern *out, struct buf *why);
bool route_pattern_matches(const struct route_pattern *p, struct span address);
void route_clear(struct route *r);
void route_table_clear(struct route_table *t);

/*
 * The first route whose `to` and `from` fit; NULL if none does.  Addresses as
 * in the envelope ("local@domain", "" for the null sender).
 */
const struct route *
route_find(const struct route_table *t, struct span sender, struct span recipient);

/*
 * The key of the destination that this recipient's mail waits for: all mail with
 * one key shares connections, concurrency and fate.  "mx:example.org" (canonical
 * domain), "via:ROUTE", "hold:ROUTE", "discard:ROUTE".  ERR_SYNTAX if the
 * recipient's domain has no canonical form.
 */
enum err route_key(const struct route *r, struct span recipient, struct buf *out);

/* A sentence for people: "route \"world\" (relayd.conf line 14): by MX of example.org,
 * port 25". */
void route_describe(const struct route *r, struct span recipient, struct buf *out);

#endif
