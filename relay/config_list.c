/* SPDX-License-Identifier: ISC */
/* config_list - values of which there may be several: each is added to its key's list. */
#include "relay/config_value.h"

#include <string.h>

#include "base/mem.h"
#include "base/units.h"

/* Room for one more element at the end of the field's array; not yet counted. */
static void *
one_more(struct value *v, size_t size)
{
	char **array = v->field;
	*array = mem_resize(*array, *v->count + 1, size);
	return *array + *v->count * size;
}

bool
take_network(struct value *v)
{
	struct net_cidr net, wide;
	if (net_parse_cidr(v->text, &net) == OK) {
		*(struct net_cidr *)one_more(v, sizeof(net)) = net;
		++*v->count;
		return true;
	}
	/* With host bits set it is a network all the same, only not written as one. */
	size_t slash = span_find(v->text, '/');
	uint64_t bits;
	if (net_parse_cidr(span_cut(v->text, 0, slash), &wide) == OK &&
	    slash < v->text.n &&
	    units_u64(span_cut(v->text, slash + 1, v->text.n), wide.bits, &bits) == OK)
		return wrong(v,
		    SHOWN
		    " has bits set behind its first %u; write the network's own address",
		    SHOW(v), (unsigned)bits);
	return wrong(v,
	    SHOWN
	    " is not a network; write \"192.0.2.0/24\", \"2001:db8::/32\" or an address",
	    SHOW(v));
}

bool
take_bind(struct value *v)
{
	struct net_addr at;
	if (net_parse_addr(v->text, &at) != OK)
		return wrong(v,
		    SHOWN " is not an address with a port; write \"192.0.2.1:25\" or "
			  "\"[::]:25\"",
		    SHOW(v));
	if (at.port == 0)
		return wrong(v,
		    SHOWN " has no port; write 25, or another from 1 to 65535", SHOW(v));
	if (*v->count == CONFIG_BIND_MAX)
		return wrong(v, SHOWN " is one too many; %d is the most for one listener",
		    SHOW(v), CONFIG_BIND_MAX);
	((struct net_addr *)v->field)[(*v->count)++] = at;
	return true;
}

bool
take_pattern(struct value *v)
{
	struct route_pattern p;
	struct buf why;
	buf_init(&why, 1024);
	bool ok = route_pattern_parse(v->text, &p, &why) == OK;
	if (ok) {
		*(struct route_pattern *)one_more(v, sizeof(p)) = p;
		++*v->count;
	} else {
		wrong(v, "%.*s", SPAN_ARG(buf_span(&why)));
	}
	buf_clear(&why);
	return ok;
}

bool
take_name(struct value *v)
{
	bool ok = v->text.n > 0 && v->text.n <= 128;
	for (size_t i = 0; ok && i < v->text.n; i++)
		ok = (unsigned char)v->text.p[i] > 0x20 && v->text.p[i] != 0x7f;
	if (!ok)
		return wrong(v,
		    SHOWN " is not a name; it has 1 to 128 octets and no blanks",
		    SHOW(v));
	*(char **)one_more(v, sizeof(char *)) = span_dup(v->text);
	++*v->count;
	return true;
}

bool
take_domain_of_list(struct value *v)
{
	char *name = domain_name(v->text);
	if (name == NULL)
		return wrong(
		    v, SHOWN " is not a domain; write it like \"example.org\"", SHOW(v));
	*(char **)one_more(v, sizeof(char *)) = name;
	++*v->count;
	return true;
}

bool
take_file_of_list(struct value *v)
{
	if (v->text.n == 0 || v->text.n > 4000 || *v->count == TLS_FILES_MAX)
		return wrong(v, SHOWN " will not do; write up to %d names of files",
		    SHOW(v), TLS_FILES_MAX);
	*(char **)one_more(v, sizeof(char *)) = beside_config(v);
	++*v->count;
	return true;
}

/* "AB:CD:...", "sha256:abcd..." as openssl x509 -fingerprint -sha256 prints it. */
bool
take_fingerprint(struct value *v)
{
	char hex[TLS_FINGERPRINT + 1];
	if (!tls_fingerprint_parse(v->text, hex))
		return wrong(v,
		    SHOWN " is not a SHA-256 fingerprint; take the one of \"openssl x509 "
			  "-noout -fingerprint -sha256 -in FILE\"",
		    SHOW(v));
	*(char **)one_more(v, sizeof(char *)) = mem_strdup(hex);
	++*v->count;
	return true;
}

bool
take_rate(struct value *v)
{
	struct rate r;
	enum err e = rate_parse(v->text, &r);
	if (e == ERR_RANGE)
		return wrong(v,
		    SHOWN " is out of range; write 1 to 1000000000 in 1s to 366d",
		    SHOW(v));
	if (e != OK)
		return wrong(v,
		    SHOWN " is not a rate; write a number and a time: \"100/1h\"",
		    SHOW(v));
	if (*v->count == RATE_MAX)
		return wrong(v, SHOWN " is one too many; %d rates are the most", SHOW(v),
		    RATE_MAX);
	((struct rate *)v->field)[(*v->count)++] = r;
	return true;
}

static bool
take_rewriting(
    struct value *v, enum err (*parse)(struct span, struct rewrite *, struct buf *))
{
	struct rewrite rule;
	struct buf why;
	buf_init(&why, 1024);
	bool ok = parse(v->text, &rule, &why) == OK;
	if (ok) {
		*(struct rewrite *)one_more(v, sizeof(rule)) = rule;
		++*v->count;
	} else {
		wrong(v, "%.*s", SPAN_ARG(buf_span(&why)));
	}
	buf_clear(&why);
	return ok;
}

bool
take_rewrite(struct value *v)
{
	return take_rewriting(v, rewrite_parse);
}

bool
take_masquerade(struct value *v)
{
	return take_rewriting(v, rewrite_masquerade);
}

bool
take_source(struct value *v)
{
	struct net_addr a;
	struct net_addr *have = v->field;
	if (net_parse_ip(v->text, &a) != OK)
		return wrong(v,
		    SHOWN " is not an address; write \"192.0.2.1\" or \"2001:db8::1\"",
		    SHOW(v));
	if (*v->count == 2 || (*v->count == 1 && have[0].family == a.family))
		return wrong(v,
		    SHOWN " is one too many; write one IPv4 and one IPv6 address at most",
		    SHOW(v));
	have[(*v->count)++] = a;
	return true;
}

/* "host:port", "192.0.2.1:port", "[2001:db8::1]:port"; without a port it is `port`. */
static bool
split_hop(struct span text, uint16_t port, struct span *host, uint64_t *number)
{
	*number = port;
	if (text.n > 0 && text.p[0] == '[') {
		size_t end = span_find(text, ']');
		*host = span_cut(text, 1, end - 1);
		text = span_cut(text, end + 1, text.n);
		if (text.n == 0)
			return end < text.n || host->n > 0;
	} else {
		size_t colon = span_find(text, ':');
		*host = span_cut(text, 0, colon);
		if (colon == text.n)
			return host->n > 0;
		text = span_cut(text, colon, text.n);
	}
	return host->n > 0 && text.p[0] == ':' &&
	       units_u64(span_cut(text, 1, text.n), 65535, number) == OK;
}

static bool
parse_hop(struct span text, uint16_t default_port, struct route_hop *hop)
{
	struct span host;
	uint64_t port;
	char ip[NET_TEXT];
	bool tls = span_istarts(text, SPAN("smtps://"));
	if (tls)
		text = span_cut(text, 8, text.n);
	else if (span_istarts(text, SPAN("smtp://")) ||
		 span_istarts(text, SPAN("lmtp://")))
		text = span_cut(text, 7, text.n);
	if (!split_hop(text, tls ? 465 : default_port, &host, &port))
		return false;
	*hop = (struct route_hop){.port = (uint16_t)port, .tls = tls || port == 465};
	/* An address is longer than its host only by brackets, unless a port follows. */
	hop->bare = !tls && host.n + (text.p[0] == '[' ? 2 : 0) == text.n;
	if (net_parse_ip(host, &hop->addr) == OK) {
		hop->addr.port = hop->port;
		net_format_ip(&hop->addr, ip);
		hop->host = mem_strdup(ip);
	} else if (text.p[0] != '[') {
		hop->addr = (struct net_addr){0};
		hop->host = domain_name(host);
	}
	return hop->host != NULL;
}

bool
take_hop(struct value *v)
{
	struct route_hop hop;
	if (!parse_hop(v->text, 25, &hop))
		return wrong(v,
		    SHOWN " is not a server; write \"mail.example.org:25\" or "
			  "\"[2001:db8::1]:25\"",
		    SHOW(v));
	bool ok = hop.port != 0 && *v->count < ROUTE_HOP_MAX;
	if (hop.port == 0)
		wrong(v, SHOWN " has port 0; write 25, or another up to 65535", SHOW(v));
	else if (!ok)
		wrong(v, SHOWN " is one too many; %d is the most for one route", SHOW(v),
		    ROUTE_HOP_MAX);
	if (ok)
		((struct route_hop *)v->field)[(*v->count)++] = hop;
	else
		mem_free(&hop.host);
	return ok;
}

bool
take_socks(struct value *v)
{
	struct route_hop hop;
	struct span text = v->text;
	if (span_istarts(text, SPAN("socks5://")))
		text = span_cut(text, 9, text.n);
	bool ok = parse_hop(text, 1080, &hop);
	bool address = ok && hop.addr.family != NET_NONE && hop.port != 0;
	if (!address || *v->count == 1) {
		if (ok)
			mem_free(&hop.host);
		return address ? wrong(v, SHOWN " is one too many; one proxy is the most",
				     SHOW(v))
			       : wrong(v,
				     SHOWN " is not the address of a proxy; write "
					   "\"192.0.2.1:1080\"",
				     SHOW(v));
	}
	*(struct route_hop *)one_more(v, sizeof(hop)) = hop;
	++*v->count;
	return true;
}

static bool
parse_server(struct span text, struct net_addr *out)
{
	if (net_parse_addr(text, out) == OK)
		return true;
	if (text.n > 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
		text = span_cut(text, 1, text.n - 2);
	if (net_parse_ip(text, out) != OK)
		return false;
	out->port = 53;
	return true;
}

bool
take_server(struct value *v)
{
	struct net_addr at;
	if (!parse_server(v->text, &at) || at.port == 0)
		return wrong(v,
		    SHOWN " is not a name server's address; write \"192.0.2.1\" or "
			  "\"[2001:db8::1]:53\"",
		    SHOW(v));
	char one[NET_TEXT];
	net_format(&at, one);
	struct buf all;
	buf_init(&all, 4096);
	const char *before = *(char **)v->field;
	if (before != NULL)
		buf_addf(&all, "%s,", before);
	buf_add_str(&all, one);
	return keep(v, buf_take(&all));
}
