/* SPDX-License-Identifier: ISC */
/*
 * set - a set of message numbers or uids (RFC 9051 9, sequence-set): "1:3,7,12:*".
 * Ranges of a set that has been resolved rise and do not touch each other.
 */
#ifndef RELAY_IMAP_SET_H
#define RELAY_IMAP_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/scan.h"

#define SET_STAR UINT32_MAX /* as it is read: "*" */
#define SET_RANGES_MAX 20000

struct set_range {
	uint32_t from, to;
};

struct set {
	struct set_range *range; /* owned */
	size_t n, cap;
	bool saved; /* "$": the result of the last search (RFC 5182); n is 0 */
};

void set_clear(struct set *s);

/* As it is written; false: it is none, or has too many ranges. */
bool set_scan(struct scan *in, struct set *out);

/* "*" becomes `last` (0: nothing is there, and "*" is nobody); sorted and merged. */
void set_resolve(struct set *s, uint32_t last);

/* Of uids: "*" is that of the last mail; a range that ends with it reaches to the last
 * uid that ever was, so that it names what has vanished there, too.  last_mail 0: there
 * is no mail, and "*" is last_uid. */
void set_resolve_uids(struct set *s, uint32_t last_mail, uint32_t last_uid);

/* Whether it names, as it is written, 0 or a number over `last` ("*" is fine unless last
 * is 0): of a sequence number that is BAD. */
bool set_exceeds(const struct set *s, uint32_t last);

/* Of a resolved one. */
bool set_has(const struct set *s, uint32_t number);
uint64_t set_count(const struct set *s);
/* Index of the first range that ends at this number or behind it. */
size_t set_first(const struct set *s, uint32_t number);

/* Add one that is greater than all before it; or a range of such. */
void set_add(struct set *s, uint32_t number);
void set_add_range(struct set *s, uint32_t from, uint32_t to);

/* Of its members those from this place to that, counted from 1; negative places count
 * from the end (RFC 9394).  Added to out. */
void set_slice(const struct set *s, int64_t from, int64_t to, struct set *out);

/* Take away what is in another one. */
void set_remove(struct set *s, const struct set *gone);

void set_write(const struct set *s, struct buf *out);

#endif
