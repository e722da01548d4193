/* SPDX-License-Identifier: ISC */
/*
 * rewrite - addresses that are replaced on the way out: so that a provider
 * accepts the sender, or a LAN's inner names stay inside.
 *
 * A rewriting is "PATTERN=RESULT".  PATTERN is one of route.h; RESULT is
 *
 *	relay@provider.example     this address
 *	@office.example            the local part stays, the domain is replaced
 *
 * The first pattern that fits replaces; the null sender is never replaced, but
 * by the pattern "<>".  `masquerade = {"office.example"}` is the rewriting
 * ".office.example=@office.example" of senders and header addresses.
 */
#ifndef POLICY_REWRITE_H
#define POLICY_REWRITE_H

#include <stdbool.h>

#include "base/buf.h"
#include "policy/pattern.h"

#define REWRITTEN_MAX 2048 /* octets of an address that a rewriting makes */

struct rewrite {
	struct route_pattern match;
	char *local;  /* NULL: stays */
	char *domain; /* canonical */
};

struct rewrite_list {
	struct rewrite *rule; /* owned */
	size_t n;
};

/* ERR_SYNTAX, and `why` says what would be right. */
enum err rewrite_parse(struct span text, struct rewrite *out, struct buf *why);
/* The masquerading of one domain: office.example. */
enum err rewrite_masquerade(struct span domain, struct rewrite *out, struct buf *why);
void rewrite_list_clear(struct rewrite_list *l);

/* The address as it goes out, appended; false (and nothing appended) if it stays. */
bool rewrite_address(const struct rewrite_list *l, struct span address, struct buf *out);

/* By the first list, and what comes of that by the second; `out` is empty before. */
bool rewrite_twice(const struct rewrite_list *first, const struct rewrite_list *then,
    struct span address, struct buf *out);

/* What a route replaces. */
struct rewriting {
	struct rewrite_list sender; /* the reverse-path */
	struct rewrite_list from; /* From, Sender, Reply-To, Resent-From, Resent-Sender */
	struct rewrite_list masquerade; /* both, after those two */
	struct rewrite_list recipient;  /* the forward-path; headers stay */
	bool keep_reply_to; /* the original From goes into Reply-To, unless there is one,
			       which then stays as it is */
};

bool rewriting_is_empty(const struct rewriting *r);
void rewriting_clear(struct rewriting *r);

/*
 * The header section of a message (up to and including its empty line) with the
 * addresses of r->from replaced, appended to out; false if nothing changes (then
 * nothing is appended).  Only the addr-specs change: display names, comments,
 * groups, folding and all other fields stay octet for octet.  A field that cannot
 * be understood stays as it is.  prefix: fields that stand in front of the section
 * (ours); a Reply-To or From among them counts.  To rewrite the prefix itself, call
 * with the two changed over.
 *
 * A line that gets longer than 998 octets (RFC 5322 2.1.1) by an address is folded
 * before that.  What would exceed the bound of out: nothing changes.
 */
bool rewrite_header(
    const struct rewriting *r, struct span prefix, struct span header, struct buf *out);

#endif
