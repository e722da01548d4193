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
#include "policy/lists.h"
#include "policy/pattern.h"
#include "policy/rate.h"
#include "policy/rewrite.h"
#include "policy/verdict.h"

#define ROUTE_HOP_MAX 16
#define ROUTE_MAX 1000

enum route_deliver {
	ROUTE_MX,      /* by the recipient domain's MX records */
	ROUTE_VIA,     /* to an ordered list of next hops */
	ROUTE_DISCARD, /* taken and dropped */
	ROUTE_REJECT,  /* refused with a text */
	ROUTE_HOLD,    /* kept until an administrator releases it */
	ROUTE_LMTP,    /* as via, but by LMTP (RFC 2033): an answer per recipient */
	ROUTE_MAILBOX, /* into the mailboxes of accounts, for pickup */
};

enum route_tls {
	ROUTE_TLS_NONE,          /* never */
	ROUTE_TLS_OPPORTUNISTIC, /* if it is offered, whatever the certificate */
	ROUTE_TLS_REQUIRED,      /* or the mail waits; whatever the certificate */
	ROUTE_TLS_VERIFY, /* and the certificate must be right: name, CA or fingerprint */
};

enum route_family {
	ROUTE_FAMILY_ANY, /* as the resolver orders them */
	ROUTE_FAMILY_IPV4,
	ROUTE_FAMILY_IPV6,
	ROUTE_FAMILY_IPV4_FIRST,
	ROUTE_FAMILY_IPV6_FIRST,
};

struct route_hop {
	char *host;           /* name or address, without brackets */
	struct net_addr addr; /* family NET_NONE: a name, to be resolved */
	uint16_t port;
	bool tls;  /* implicit TLS: port 465, or written smtps://host */
	bool bare; /* written without a port */
};

struct route {
	char *name;
	unsigned line; /* in the configuration file, for messages */

	/* what it is for; an empty list: any */
	struct pattern_list to, from;
	struct name_list accounts;   /* who signed in */
	struct name_list listeners;  /* where it came in */
	struct network_list clients; /* from whom */
	bool inbound;                /* strangers may send to recipients of this route */

	/* what is done */
	enum route_deliver deliver;
	struct route_hop hop[ROUTE_HOP_MAX];
	size_t hops;
	uint16_t port;       /* ROUTE_MX: 25 unless set */
	bool allow_loopback; /* ROUTE_MX: special addresses are fine */
	char *reject_text;   /* ROUTE_REJECT */
	char *catch_all; /* ROUTE_MAILBOX: the account that gets what nobody else does */

	/* to whom, and as whom, we speak (MX, VIA, LMTP) */
	enum route_tls tls;
	char *tls_name; /* the name that the certificate must have; NULL: the host's */
	char *tls_ca; /* PEM file of the authorities for this route; NULL: the global ones
		       */
	struct name_list fingerprints; /* SHA-256, 64 hexadecimal digits each */
	char *user;                    /* sign in there; NULL: do not */
	char *secret_file;             /* as configured */
	char *secret;                  /* its first line; read by config_open() */
	bool auth_in_clear;
	struct net_addr source[2]; /* own address: at most one of a family */
	size_t sources;
	char *helo; /* NULL: our hostname */
	enum route_family family;
	bool ipv4_fallback;      /* refused by policy over IPv6: at once again by IPv4 */
	struct route_hop *socks; /* a SOCKS5 proxy; NULL: none */
	size_t socks_n;          /* 0 or 1 */

	/* how much at once, and in a time; for all mail of the route together */
	unsigned concurrency; /* connections to one destination; 0: the default */
	struct rate_list rates;

	/* what is changed */
	struct rewriting rewriting;
	char *always_bcc; /* one more recipient of every message for this route; NULL */
};

struct route_table {
	struct route *route; /* owned array, in order */
	size_t n;
};

void route_clear(struct route *r);
void route_table_clear(struct route_table *t);

/* Addresses as in the envelope ("local@domain", "" for the null sender). */
struct route_facts {
	struct span sender, recipient;
	struct span account, listener; /* empty: none, ours */
	struct net_addr client;        /* NET_NONE: ourselves */
};

/* The first route that fits; NULL if none does. */
const struct route *route_find(const struct route_table *t, const struct route_facts *f);
const struct route *route_named(const struct route_table *t, struct span name);

/*
 * The key of the destination that this recipient's mail waits for: all mail with
 * one key shares connections, concurrency and fate.  "mx:example.org" (canonical
 * domain) where the route speaks to others as every plain one does;
 * "mx/ROUTE:example.org" where it has a way of its own (TLS, source address, rate, ...:
 * route_is_plain()); "via:ROUTE" (LMTP, too), "hold:ROUTE", "discard:ROUTE",
 * "mailbox:ROUTE".  ERR_SYNTAX if the recipient's domain has no canonical form.
 */
enum err route_key(const struct route *r, struct span recipient, struct buf *out);

bool route_is_plain(const struct route *r);

/* What a key names: the route ("" for a plain mx) and the domain ("" unless mx). */
struct route_key_parts {
	struct span kind, route, domain;
};
struct route_key_parts route_key_split(struct span key);

/* A sentence for people: "route \"world\" (relayd.conf line 14): by MX of example.org,
 * port 25". */
void route_describe(const struct route *r, struct span recipient, struct buf *out);

#endif
