/* SPDX-License-Identifier: ISC */
/*
 * mx - from DNS answers to the list of hosts to try (RFC 5321 5.1, RFC 7505).
 *
 * Pure, in two steps, with the address look-ups in between:
 *
 *	mx_begin()     what the MX answer means: an outcome, or hosts to look up
 *	mx_conclude()  with the addresses of those hosts: the outcome
 *
 * The outcome table is in README.md.  The one rule above all others: what was
 * not learnt for sure is temporary; a bounce needs proof.
 */
#ifndef RESOLVER_MX_H
#define RESOLVER_MX_H

#include "resolver/dnsmsg.h"
#include "resolver/resolver.h"

struct mx_rules {
	unsigned flags;                  /* enum resolver_flags */
	const char *const *own_names;    /* lower case, NULL-terminated; may be NULL */
	const struct net_addr *own_addr; /* ports do not matter */
	size_t own_addrs;
	uint64_t (*below)(void *arg, uint64_t bound); /* a random number in [0, bound) */
	void *arg;
};

struct mx_target {
	char name[MX_NAME_MAX];
	uint16_t preference;
	const struct dns_answer *a, *aaaa; /* borrowed; NULL: not asked, by the rules */
};

struct mx_list {
	struct mx_target target[MX_HOST_MAX]; /* in the order to try */
	size_t n;
	bool implicit;          /* no MX: the name itself */
	char self[MX_NAME_MAX]; /* this one is ours; it and what is not better was dropped
				 */
	bool uncertain; /* there are hosts that were not looked at, or records that could
			   not be read */
};

/*
 * domain: lower case, as asked.  mx: the answer to its MX question, or NULL with
 * RESOLVE_HOST.  True: look up the addresses of list->target[0..n).
 * False: out->outcome and out->why are set, and that is all.
 */
bool mx_begin(const char *domain, const struct dns_answer *mx,
    const struct mx_rules *rules, struct mx_list *list, struct mx_answer *out);

/*
 * Fills out and out->host, which is room for MX_HOST_MAX hosts given by the
 * caller.  May drop targets from the list (our own host, found by address).
 */
void mx_conclude(const char *domain, const struct mx_rules *rules, struct mx_list *list,
    struct mx_answer *out);

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 4.1.3). ERR_SYNTAX. */
enum err mx_read_literal(struct span text, struct net_addr *out);

/* A list of one literal, as if it had been looked up; then as mx_conclude(). */
void
mx_from_literal(struct span text, const struct mx_rules *rules, struct mx_answer *out);

#endif
