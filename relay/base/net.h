/* SPDX-License-Identifier: ISC */
/*
 * net - IP addresses, ports and networks.  IPv4-mapped IPv6 addresses are
 * folded to IPv4 on the way in, so that one network list speaks of both.
 */
#ifndef BASE_NET_H
#define BASE_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

enum net_family { NET_NONE = 0, NET_IPV4 = 4, NET_IPV6 = 6 };

struct net_addr {
	uint8_t family; /* enum net_family */
	uint8_t ip[16]; /* network order; IPv4 uses the first four, the rest is zero */
	uint16_t port;  /* host order; 0 if none */
	uint32_t scope; /* IPv6 scope id, usually 0 */
};

struct net_cidr {
	struct net_addr base; /* host bits zero, port 0 */
	uint8_t bits;
};

#define NET_TEXT 64 /* enough for any address with port, NUL included */

/* "192.0.2.1", "2001:db8::1": no port, no brackets. ERR_SYNTAX otherwise. */
enum err net_parse_ip(struct span text, struct net_addr *out);

/* "192.0.2.1:25", "[2001:db8::1]:25"; the port is required, 0 is one. ERR_RANGE above
 * 65535. */
enum err net_parse_addr(struct span text, struct net_addr *out);

/* "192.0.2.0/24", "::1/128", or an address alone (all bits). Host bits set: ERR_SYNTAX.
 */
enum err net_parse_cidr(struct span text, struct net_cidr *out);

bool net_cidr_has(const struct net_cidr *net, const struct net_addr *addr);
bool net_cidr_any(const struct net_cidr *net); /* /0: everyone */

bool net_same_ip(const struct net_addr *a, const struct net_addr *b);
bool net_is_loopback(const struct net_addr *a); /* 127/8, ::1 */

/* Addresses that no MX may lead to: 0/8, 127/8, ::, ::1, multicast, broadcast,
 * link-local. */
bool net_is_special(const struct net_addr *a);

/* "192.0.2.1" / "2001:db8::1". */
void net_format_ip(const struct net_addr *a, char out[NET_TEXT]);
/* "192.0.2.1:25" / "[2001:db8::1]:25". */
void net_format(const struct net_addr *a, char out[NET_TEXT]);
/* An address literal of RFC 5321 4.1.3: "[192.0.2.1]" / "[IPv6:2001:db8::1]". */
void net_format_literal(const struct net_addr *a, char out[NET_TEXT]);

/* Folds mapped addresses. Another family gives NET_NONE. */
void net_from_sockaddr(const struct sockaddr *sa, struct net_addr *out);
socklen_t net_to_sockaddr(const struct net_addr *a, struct sockaddr_storage *out);

/*
 * A listening, non-blocking, close-on-exec stream socket with SO_REUSEADDR and,
 * if asked, SO_REUSEPORT (one socket per io thread).  Bound to "[::]" it serves
 * IPv4 too.  Returns the descriptor or a negative enum err.
 */
int net_listen(const struct net_addr *at, bool reuseport);

#endif
