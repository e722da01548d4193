/* SPDX-License-Identifier: ISC */
/*
 * hosts_file - names that this machine knows by itself: /etc/hosts (hosts(5)).
 * Read anew for each question: it is small, in memory, and may have changed.
 */
#ifndef RESOLVER_HOSTS_FILE_H
#define RESOLVER_HOSTS_FILE_H

#include "base/net.h"
#include "base/span.h"

#define HOSTS_FILE_MAX (1u << 20) /* octets that are looked at */

/* The addresses of a name (lower case), in the file's order, at most max of the family
 * (NET_NONE: both). 0: it is not there, or there is no such file. */
size_t hosts_file_find(const char *path, struct span name, enum net_family family,
    struct net_addr *out, size_t max);

/* The same over the file's text. */
size_t hosts_text_find(struct span text, struct span name, enum net_family family,
    struct net_addr *out, size_t max);

#endif
