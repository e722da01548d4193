/* SPDX-License-Identifier: ISC */
/*
 * net - addresses from and to text and sockaddrs, and listening sockets.
 *
 * The address proper is read by inet_pton(), which takes no octal, no leading
 * zeros, no short forms.  Whatever comes in passes fold(): no struct net_addr
 * of ours holds an IPv4-mapped IPv6 address.
 */
#include "base/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"

#define BACKLOG 1024

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool
is_mapped(const uint8_t ip[16])
{
	return memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

static void
fold(struct net_addr *a)
{
	if (a->family != NET_IPV6 || !is_mapped(a->ip))
		return;
	memmove(a->ip, a->ip + 12, 4);
	memset(a->ip + 4, 0, 12);
	a->family = NET_IPV4;
	a->scope = 0;
}

static unsigned
all_bits(const struct net_addr *a)
{
	return a->family == NET_IPV4 ? 32 : 128;
}

/* ---- from text */

/* As written, a mapped address still being IPv6. */
static enum err
parse_unfolded(struct span text, struct net_addr *out)
{
	char s[INET6_ADDRSTRLEN];
	if (text.n == 0 || text.n >= sizeof(s) || span_find(text, '\0') < text.n)
		return ERR_SYNTAX;
	span_copy(text, s, sizeof(s));
	*out = (struct net_addr){0};
	bool six = span_find(text, ':') < text.n;
	if (inet_pton(six ? AF_INET6 : AF_INET, s, out->ip) != 1)
		return ERR_SYNTAX;
	out->family = six ? NET_IPV6 : NET_IPV4;
	return OK;
}

enum err
net_parse_ip(struct span text, struct net_addr *out)
{
	struct net_addr a;
	enum err e = parse_unfolded(text, &a);
	if (e != OK)
		return e;
	fold(&a);
	*out = a;
	return OK;
}

/* Digits with no leading zero. */
static enum err
parse_number(struct span text, uint64_t max, uint64_t *out)
{
	if (text.n > 1 && text.p[0] == '0')
		return ERR_SYNTAX;
	return units_u64(text, max, out);
}

enum err
net_parse_addr(struct span text, struct net_addr *out)
{
	size_t colon = text.n;
	while (colon > 0 && text.p[colon - 1] != ':')
		colon--;
	if (colon == 0)
		return ERR_SYNTAX;
	struct span host = span_cut(text, 0, colon - 1);
	uint64_t port;
	enum err e = parse_number(span_cut(text, colon, text.n), UINT16_MAX, &port);
	if (e != OK)
		return e;

	bool bracketed = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
	if (bracketed)
		host = span_cut(host, 1, host.n - 2);
	if (bracketed != (span_find(host, ':') < host.n))
		return ERR_SYNTAX;
	e = net_parse_ip(host, out);
	if (e == OK)
		out->port = (uint16_t)port;
	return e;
}

/* No bit of ip is set behind the first n. */
static bool
host_bits_clear(const uint8_t ip[16], unsigned n)
{
	for (unsigned i = n; i < 128; i++)
		if (ip[i / 8] & (0x80u >> (i % 8)))
			return false;
	return true;
}

enum err
net_parse_cidr(struct span text, struct net_cidr *out)
{
	size_t slash = span_find(text, '/');
	struct net_addr base;
	enum err e = parse_unfolded(span_cut(text, 0, slash), &base);
	if (e != OK)
		return e;
	uint64_t bits = all_bits(&base);
	if (slash < text.n) {
		e = parse_number(span_cut(text, slash + 1, text.n), bits, &bits);
		if (e != OK)
			return e;
	}
	if (!host_bits_clear(base.ip, (unsigned)bits))
		return ERR_SYNTAX;
	/* A mapped prefix that passed has its ffff inside: at least 96 bits. */
	if (base.family == NET_IPV6 && is_mapped(base.ip))
		bits -= 96;
	fold(&base);
	*out = (struct net_cidr){base, (uint8_t)bits};
	return OK;
}

/* ---- questions */

bool
net_cidr_has(const struct net_cidr *net, const struct net_addr *addr)
{
	if (net->base.family != addr->family || addr->family == NET_NONE)
		return false;
	unsigned whole = net->bits / 8, rest = net->bits % 8;
	if (memcmp(net->base.ip, addr->ip, whole) != 0)
		return false;
	return rest == 0 || ((net->base.ip[whole] ^ addr->ip[whole]) >> (8 - rest)) == 0;
}

bool
net_cidr_any(const struct net_cidr *net)
{
	return net->base.family != NET_NONE && net->bits == 0;
}

bool
net_same_ip(const struct net_addr *a, const struct net_addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, all_bits(a) / 8) == 0;
}

static bool
is_ip6_number(const struct net_addr *a, uint8_t last)
{
	static const uint8_t zero[15];
	return memcmp(a->ip, zero, sizeof(zero)) == 0 && a->ip[15] == last;
}

bool
net_is_loopback(const struct net_addr *a)
{
	if (a->family == NET_IPV4)
		return a->ip[0] == 127;
	return a->family == NET_IPV6 && is_ip6_number(a, 1);
}

static bool
is_special4(const uint8_t ip[4])
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};
	return ip[0] == 0 || ip[0] == 127 || (ip[0] & 0xf0) == 224 ||
	       (ip[0] == 169 && ip[1] == 254) || memcmp(ip, broadcast, 4) == 0;
}

bool
net_is_special(const struct net_addr *a)
{
	if (a->family == NET_IPV4)
		return is_special4(a->ip);
	if (a->family != NET_IPV6)
		return true;
	bool link_local = a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
	return is_ip6_number(a, 0) || is_ip6_number(a, 1) || a->ip[0] == 0xff ||
	       link_local;
}

/* ---- to text */

static void
ip_text(const struct net_addr *a, char out[INET6_ADDRSTRLEN])
{
	int family = a->family == NET_IPV6 ? AF_INET6 : AF_INET;
	if (a->family == NET_NONE ||
	    inet_ntop(family, a->ip, out, INET6_ADDRSTRLEN) == NULL)
		span_copy(SPAN("none"), out, INET6_ADDRSTRLEN);
}

void
net_format_ip(const struct net_addr *a, char out[NET_TEXT])
{
	ip_text(a, out);
}

void
net_format(const struct net_addr *a, char out[NET_TEXT])
{
	bool six = a->family == NET_IPV6;
	char ip[INET6_ADDRSTRLEN];
	ip_text(a, ip);
	(void)snprintf(out, NET_TEXT, "%s%s%s:%u", six ? "[" : "", ip, six ? "]" : "",
	    (unsigned)a->port);
}

void
net_format_literal(const struct net_addr *a, char out[NET_TEXT])
{
	char ip[INET6_ADDRSTRLEN];
	ip_text(a, ip);
	(void)snprintf(out, NET_TEXT, "[%s%s]", a->family == NET_IPV6 ? "IPv6:" : "", ip);
}

/* ---- sockets */

void
net_from_sockaddr(const struct sockaddr *sa, struct net_addr *out)
{
	*out = (struct net_addr){0};
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, sa, sizeof(in));
		out->family = NET_IPV4;
		memcpy(out->ip, &in.sin_addr, 4);
		out->port = ntohs(in.sin_port);
	} else if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, sa, sizeof(in6));
		out->family = NET_IPV6;
		memcpy(out->ip, &in6.sin6_addr, 16);
		out->port = ntohs(in6.sin6_port);
		out->scope = in6.sin6_scope_id;
		fold(out);
	}
}

socklen_t
net_to_sockaddr(const struct net_addr *a, struct sockaddr_storage *out)
{
	*out = (struct sockaddr_storage){.ss_family = AF_UNSPEC};
	if (a->family == NET_IPV4) {
		struct sockaddr_in in = {
		    .sin_family = AF_INET, .sin_port = htons(a->port)};
		memcpy(&in.sin_addr, a->ip, 4);
		memcpy(out, &in, sizeof(in));
		return sizeof(in);
	}
	if (a->family == NET_IPV6) {
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
		    .sin6_port = htons(a->port),
		    .sin6_scope_id = a->scope};
		memcpy(&in6.sin6_addr, a->ip, 16);
		memcpy(out, &in6, sizeof(in6));
		return sizeof(in6);
	}
	return 0;
}

static bool
set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static bool
bind_and_listen(int fd, const struct net_addr *at, bool reuseport)
{
	struct sockaddr_storage sa;
	socklen_t len = net_to_sockaddr(at, &sa);
	bool both = at->family == NET_IPV6 && is_ip6_number(at, 0);
	return set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
	       (!reuseport || set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
	       (!both || set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) &&
	       bind(fd, (const struct sockaddr *)&sa, len) == 0 &&
	       listen(fd, BACKLOG) == 0;
}

int
net_listen(const struct net_addr *at, bool reuseport)
{
	if (at->family == NET_NONE)
		return ERR_CONFIG;
	int family = at->family == NET_IPV6 ? AF_INET6 : AF_INET;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_from_errno(errno);
	if (!bind_and_listen(fd, at, reuseport)) {
		enum err e = err_from_errno(errno);
		close(fd);
		return e;
	}
	return fd;
}
