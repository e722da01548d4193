/* SPDX-License-Identifier: ISC */
/*
 * client_socks - by way of a SOCKS5 proxy (RFC 1928), before anything else is said.
 *
 *	METHODS  we offer "no authentication" only      05 01 00 -> 05 00
 *	CONNECT  to the next hop's address              05 01 00 atyp address port
 *	         -> 05 00 00 atyp bound-address port, then all is the next hop's
 *
 * Names are looked up here and never handed to the proxy.  Each octet of an answer
 * is judged as soon as it has come; the longest answer has 262 of them.
 */
#include <string.h>

#include "relay/egress/client_private.h"

enum { SOCKS_VERSION = 5, SOCKS_IPV4 = 1, SOCKS_NAME = 3, SOCKS_IPV6 = 4 };

static const struct client_state METHODS = {
    "the proxy's greeting", NULL, CLIENT_TIMEOUT(connect_ms), STAGE_CONNECT};
static const struct client_state CONNECT = {
    "the proxy to connect", NULL, CLIENT_TIMEOUT(connect_ms), STAGE_CONNECT};

static const struct client_state *
proxy_lost(struct client *c, const char *why)
{
	struct verdict v = verdict_make(
	    451, "4.4.1", "connect to %s: proxy %s: %s", c->peer, c->wish.proxy, why);
	return client_lost(c, &v, false);
}

static const char *
refusal(uint8_t reply)
{
	static const char *const words[] = {
	    [1] = "it failed",
	    [2] = "its rules do not allow this connection",
	    [3] = "network unreachable",
	    [4] = "host unreachable",
	    [5] = "connection refused by destination",
	    [6] = "the destination is too many hops away",
	    [7] = "it cannot connect",
	    [8] = "it does not know this kind of address",
	};
	return reply < sizeof(words) / sizeof(words[0]) && words[reply] != NULL
		   ? words[reply]
		   : "it failed for a reason that it has no code for";
}

static void
send_connect(struct client *c)
{
	const struct net_addr *to = &c->wish.to;
	bool six = to->family == NET_IPV6;
	char request[4 + 16 + 2] = {
	    SOCKS_VERSION, 1, 0, (char)(six ? SOCKS_IPV6 : SOCKS_IPV4)};
	size_t n = six ? 16 : 4;
	memcpy(request + 4, to->ip, n);
	request[4 + n] = (char)(to->port >> 8);
	request[5 + n] = (char)(to->port & 0xff);
	io_add(c->io, request, n + 6);
}

/* How long an answer to CONNECT is as far as can be known from n octets. */
static size_t
answer_length(const uint8_t *p, size_t n)
{
	if (n < 5)
		return 5;
	switch (p[3]) {
	case SOCKS_IPV4: return 4 + 4 + 2;
	case SOCKS_IPV6: return 4 + 16 + 2;
	default: return 4 + 1 + (size_t)p[4] + 2;
	}
}

/* Each of these returns the state that it stays in while octets are missing. */
static const struct client_state *
take_method(struct client *c, const uint8_t *p, size_t n)
{
	if (p[0] != SOCKS_VERSION)
		return proxy_lost(c, "it does not speak SOCKS5");
	if (n < 2)
		return &METHODS;
	if (p[1] != 0)
		return proxy_lost(c, "it wants to be signed in at");
	if (n > 2)
		return proxy_lost(c, "it answers before it is asked");
	io_consume(c->io, 2);
	send_connect(c);
	return &CONNECT;
}

static const struct client_state *
take_answer(struct client *c, const uint8_t *p, size_t n)
{
	if (p[0] != SOCKS_VERSION)
		return proxy_lost(c, "it does not speak SOCKS5");
	if (n >= 2 && p[1] != 0)
		return proxy_lost(c, refusal(p[1]));
	if (n >= 4 && p[3] != SOCKS_IPV4 && p[3] != SOCKS_NAME && p[3] != SOCKS_IPV6)
		return proxy_lost(c, "its answer has an unknown kind of address");
	size_t length = answer_length(p, n);
	if (n < length)
		return &CONNECT;
	io_consume(c->io, length);
	return client_connected(c);
}

void
socks_input(struct client *c)
{
	struct span in = io_input(c->io);
	const uint8_t *p = (const uint8_t *)in.p;
	if (in.n == 0)
		return;
	const struct client_state *was = c->state, *next;
	if (io_queued(c->io) > 0)
		next = proxy_lost(c, "it answers before it is asked");
	else
		next =
		    was == &METHODS ? take_method(c, p, in.n) : take_answer(c, p, in.n);
	if (next != was)
		client_enter(c, next);
}

const struct client_state *
socks_start(struct client *c)
{
	static const char methods[] = {SOCKS_VERSION, 1, 0};
	io_add(c->io, methods, sizeof(methods));
	return &METHODS;
}
