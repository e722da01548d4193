/* SPDX-License-Identifier: ISC */
/* proxy - see proxy.h. */
#include "relay/ingress/proxy.h"

#include <netinet/in.h>
#include <string.h>

#include "base/scan.h"

#define BINARY_FIXED 16 /* signature, version and command, family, length */
#define EXTRA_MAX 4096

static const struct span signature = {"\r\n\r\n\0\r\nQUIT\n", 12};
static const struct span word = {"PROXY ", 6};

/* ---- version 1 */

static bool
take_address(struct scan *s, bool ipv6, struct net_addr *out)
{
	struct span text;
	if (!scan_until(s, ' ', &text) || net_parse_ip(text, out) != OK)
		return false;
	return (span_find(text, ':') < text.n) == ipv6;
}

static bool
take_port(struct scan *s, struct net_addr *out)
{
	uint64_t port;
	bool padded = scan_peek(s) == '0';
	if (!scan_u64(s, 65535, &port) || (padded && port != 0))
		return false;
	out->port = (uint16_t)port;
	return true;
}

static bool
read_line(struct span line, struct proxy_header *out)
{
	struct scan s = scan_over(line);
	(void)scan_text(&s, word);
	if (scan_text(&s, SPAN("UNKNOWN")))
		return scan_done(&s) || scan_peek(&s) == ' ';
	bool ipv6 = scan_text(&s, SPAN("TCP6 "));
	if (!ipv6 && !scan_text(&s, SPAN("TCP4 ")))
		return false;
	out->told = true;
	return take_address(&s, ipv6, &out->from) && take_address(&s, ipv6, &out->to) &&
	       take_port(&s, &out->from) && scan_char(&s, ' ') &&
	       take_port(&s, &out->to) && scan_done(&s);
}

static enum proxy_answer
parse_text(struct span in, struct proxy_header *out)
{
	size_t nl = span_find(in, '\n');
	if (nl >= PROXY_LINE_MAX)
		return PROXY_BAD;
	if (nl == in.n)
		return in.n < PROXY_LINE_MAX ? PROXY_MORE : PROXY_BAD;
	if (in.p[nl - 1] != '\r')
		return PROXY_BAD;
	out->size = nl + 1;
	return read_line(span_cut(in, 0, nl - 1), out) ? PROXY_DONE : PROXY_BAD;
}

/* ---- version 2 */

static uint16_t
number16(const char *p)
{
	return (uint16_t)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
}

static void
read_ipv4(const char *ip, const char *port, struct net_addr *out)
{
	*out = (struct net_addr){.family = NET_IPV4, .port = number16(port)};
	memcpy(out->ip, ip, 4);
}

/* By way of a sockaddr, which folds mapped addresses. */
static void
read_ipv6(const char *ip, const char *port, struct net_addr *out)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6};
	memcpy(&a.sin6_addr, ip, 16);
	net_from_sockaddr((const struct sockaddr *)&a, out);
	out->port = number16(port);
}

static bool
read_block(unsigned family, struct span b, struct proxy_header *out)
{
	switch (family) {
	case 0x00: return true; /* AF_UNSPEC */
	case 0x11:              /* TCP over IPv4 */
		if (b.n < 12)
			return false;
		read_ipv4(b.p, b.p + 8, &out->from);
		read_ipv4(b.p + 4, b.p + 10, &out->to);
		break;
	case 0x21: /* TCP over IPv6 */
		if (b.n < 36)
			return false;
		read_ipv6(b.p, b.p + 32, &out->from);
		read_ipv6(b.p + 16, b.p + 34, &out->to);
		break;
	default: return false; /* Unix sockets and datagrams bring us no mail */
	}
	out->told = true;
	return true;
}

static enum proxy_answer
parse_binary(struct span in, struct proxy_header *out)
{
	if (in.n < BINARY_FIXED)
		return PROXY_MORE;
	unsigned command = (unsigned char)in.p[12], family = (unsigned char)in.p[13];
	size_t n = number16(in.p + 14);
	if ((command != 0x20 && command != 0x21) || n > EXTRA_MAX)
		return PROXY_BAD;
	out->size = BINARY_FIXED + n;
	if (in.n < out->size)
		return PROXY_MORE;
	if (command == 0x20) /* LOCAL: the proxy itself */
		return PROXY_DONE;
	return read_block(family, span_cut(in, BINARY_FIXED, n), out) ? PROXY_DONE
								      : PROXY_BAD;
}

/* ---- both */

static bool
begins(struct span in, struct span with)
{
	size_t n = in.n < with.n ? in.n : with.n;
	return span_eq(span_cut(in, 0, n), span_cut(with, 0, n));
}

enum proxy_answer
proxy_parse(struct span in, struct proxy_header *out)
{
	*out = (struct proxy_header){0};
	if (in.n == 0)
		return PROXY_MORE;
	if (begins(in, signature))
		return parse_binary(in, out);
	if (!begins(in, word))
		return PROXY_BAD;
	return parse_text(in, out);
}
