/* SPDX-License-Identifier: ISC */
/*
 * address - mail addresses as they stand in the envelope (RFC 5321 4.1.2, 4.1.3;
 * RFC 6531 3.3 for UTF-8).  Parsers are linear, do not recurse, allocate
 * nothing, and take spans; results point into the input.
 */
#ifndef POLICY_ADDRESS_H
#define POLICY_ADDRESS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/net.h"
#include "base/scan.h"
#include "base/span.h"

#define LOCAL_PART_MAX 64
#define DOMAIN_MAX 255
#define PATH_MAX_OCTETS 256 /* with the angle brackets */

struct address {
	struct span text;   /* local@domain as written, without source route and brackets;
			       empty: <> */
	struct span local;  /* as written, quotes included */
	struct span domain; /* as written, brackets of a literal included; empty for <>
			       and <Postmaster> */
	bool literal;       /* the domain is an address literal */
	bool utf8;          /* a byte over 0x7f in it: needs SMTPUTF8 */
};

enum address_kind {
	ADDRESS_REVERSE, /* MAIL FROM: "<>" is fine */
	ADDRESS_FORWARD, /* RCPT TO: "<Postmaster>" without a domain is fine, "<>" is not
			  */
};

/*
 * A path in angle brackets at the cursor: "<@a,@b:user@example.org>" (the source
 * route is read and dropped, Appendix C).  Without `utf8_ok`, bytes over 0x7f are
 * ERR_SYNTAX; with it, what is not UTF-8, and the C1 controls.  Over-long parts:
 * ERR_RANGE.  A domain with a trailing dot, empty labels, or characters that no
 * host name has: ERR_SYNTAX.
 */
enum err
address_path(struct scan *s, enum address_kind kind, bool utf8_ok, struct address *out);

/* A whole "local@domain" without brackets (configuration, command line). */
enum err address_parse(struct span text, struct address *out);

/* A name as EHLO takes it: domain or address literal (RFC 5321 4.1.1.1). Underscores are
 * tolerated. */
bool address_is_helo(struct span name);

/*
 * The domain as the DNS knows it: lower case, A-labels (IDNA2008, non-transitional,
 * libidn2), no trailing dot; an address literal in its canonical form.  ERR_SYNTAX
 * if it has none.  U-label and A-label of one domain give the same bytes.
 */
enum err domain_canonical(struct span domain, struct buf *out);

/* "[192.0.2.1]" or "[IPv6:...]" as an address. */
enum err address_literal(struct span literal, struct net_addr *out);

/*
 * Two envelopes' addresses meant for the same mailbox: local parts equal to the
 * byte (after undoing needless quotes), domains without case.
 */
bool address_same(const struct address *a, const struct address *b);

/*
 * What an administrator means who writes a local part: equal but for needless quotes
 * and the case of ASCII letters.  Nearly every host takes Joe@ for joe@, so that a
 * rule that told them apart could be walked around.
 */
bool address_local_alike(struct span a, struct span b);

/* ---- xtext (RFC 3461 4) */

/* Decode; ERR_SYNTAX on a bad escape or a byte that must be escaped; control characters
 * that the escape would bring in (CR, LF, NUL, any below 0x20 and 0x7f) are ERR_SYNTAX as
 * well. */
enum err xtext_decode(struct span in, struct buf *out);
void xtext_encode(struct span in, struct buf *out);

#endif
