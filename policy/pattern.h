/* SPDX-License-Identifier: ISC */
/*
 * pattern - which addresses an administrator means:
 *
 *	example.org, @example.org   any address of the domain
 *	.example.org                any address of its subdomains
 *	user@example.org            this one
 *	<>                          the null sender
 *	*                           any
 */
#ifndef POLICY_PATTERN_H
#define POLICY_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct route_pattern {
	struct span local;  /* p == NULL: any local part */
	struct span domain; /* canonical; p == NULL: any domain */
	bool subdomains;    /* .example.org */
	bool null_sender;
	char *text; /* owns what local and domain point into */
};

struct pattern_list {
	struct route_pattern *pattern; /* owned */
	size_t n;
};

/* Parse one pattern into out. ERR_SYNTAX, and `why` says what would be right. */
enum err
route_pattern_parse(struct span text, struct route_pattern *out, struct buf *why);
bool route_pattern_matches(const struct route_pattern *p, struct span address);

bool pattern_list_has(const struct pattern_list *l, struct span address);
/* The same, but the empty list means any. */
bool pattern_list_fits(const struct pattern_list *l, struct span address);
void pattern_list_clear(struct pattern_list *l);

/* "local@domain" taken apart at its last "@" (a quoted local part may hold others). */
struct span address_domain_of(struct span address, struct span *local);

#endif
