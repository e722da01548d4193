/* SPDX-License-Identifier: ISC */
/*
 * select - the one selector grammar of every verb, as JSON members of the same
 * names as relayctl's options:
 *
 *	id      exact            from, to   an address; "*" and "?" match as in file names
 *	domain  of the recipient route      name of the route that the recipient takes now
 *	state   waiting, held, aside, new (no attempt yet), deferred (at least one)
 *	older, younger           a duration: "2h"
 *	code    "451" or "4.7.1": what the last reply begins with or its enhanced code
 *	all     true: everything; whoever changes something must say that, or less
 */
#ifndef RELAY_CONTROL_SELECT_H
#define RELAY_CONTROL_SELECT_H

#include <jansson.h>
#include <stdbool.h>

#include "policy/route.h"
#include "spool/message.h"

struct selector {
	bool all, has_id;
	uint64_t id;
	char *from, *to, *domain, *route, *state, *code;
	int64_t older_ms, younger_ms;     /* 0: any age */
	const struct route_table *routes; /* borrowed; for `route` */
};

/* NULL or an object. False: `why` says what is wrong with it. */
bool selector_read(struct selector *s, const json_t *from, struct buf *why);
void selector_clear(struct selector *s);
bool selector_is_empty(const struct selector *s); /* nothing was said, not even all */
bool selector_matches(const struct selector *s, const struct message *m,
    const struct recipient *r, struct wall now);

/* Of an address, for people; all of one that has none. */
struct span select_domain(struct span address);

#endif
