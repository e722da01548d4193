/* SPDX-License-Identifier: ISC */
/*
 * cache - DNS answers by (name, type) until their time is over.
 *
 *	data                  its TTL, but 5 s..1 d
 *	no data, no domain    the negative TTL (RFC 2308), but 5 s..15 min
 *	failure               5 s, then 10, 20, 30 while it goes on failing (RFC 9520 3.2)
 *
 * Bounded in entries and in bytes; the one not used for longest goes first.
 * Pure: the time is an argument.
 */
#ifndef RESOLVER_CACHE_H
#define RESOLVER_CACHE_H

#include "base/when.h"
#include "resolver/dnsmsg.h"

#define CACHE_TTL_MIN_MS (5 * SECOND_MS)
#define CACHE_TTL_MAX_MS DAY_MS
#define CACHE_NEGATIVE_MAX_MS (15 * MINUTE_MS)
#define CACHE_FAILED_MAX_MS (30 * SECOND_MS)
#define CACHE_BYTES_PER_ENTRY 1024 /* on average, over all entries allowed */

struct dns_cache;

/* max > 0. seed: of the hash table (map.h). */
struct dns_cache *dns_cache_new(size_t max, const uint64_t seed[2]);
void dns_cache_free(struct dns_cache **c);

/* name as dnsmsg.h writes it. Borrowed until the next put or flush; NULL: not there, or
 * too old. */
struct dns_answer *
dns_cache_get(struct dns_cache *c, const char *name, uint16_t type, struct instant now);

/* Keep a reference to the answer, in place of an older one. A DNS_ALIAS is not for
 * keeping (CHECK). */
void dns_cache_put(struct dns_cache *c, const char *name, uint16_t type,
    struct dns_answer *a, struct instant now);

void dns_cache_flush(struct dns_cache *c);
size_t dns_cache_count(const struct dns_cache *c); /* entries, those too old included */

#endif
