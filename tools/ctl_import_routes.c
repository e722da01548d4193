/* SPDX-License-Identifier: ISC */
/*
 * ctl_import_routes - where mail goes.  In Postfix's order of precedence: the
 * transports of single domains, the relayhosts of single senders, the relayhost, the
 * MX of everyone else.  What concerns the way to a next hop (TLS, sign-in, rewriting)
 * becomes a member of every route that has one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/net.h"
#include "tools/ctl_import.h"

/* ---- a next hop: "[host]:port", "host:port", "[host]", "host" */

struct hop {
	struct span host, port;
	bool mx; /* without brackets Postfix asks for the MX of the name */
};

static struct hop
hop_of(struct span s)
{
	struct hop h = {.host = s, .mx = true};
	if (s.n > 0 && s.p[0] == '[') {
		size_t end = span_find(s, ']');
		h.host = span_cut(s, 1, end - 1);
		h.mx = false;
		s = span_cut(s, end + 1, s.n);
	} else {
		size_t colon = span_find(s, ':');
		h.host = span_cut(s, 0, colon);
		s = span_cut(s, colon, s.n);
	}
	if (s.n > 1 && s.p[0] == ':')
		h.port = span_cut(s, 1, s.n);
	struct net_addr a;
	if (net_parse_ip(h.host, &a) == OK)
		h.mx = false;
	return h;
}

static struct span
port_number(struct span port)
{
	static const char *const names[][2] = {{"smtp", "25"}, {"submission", "587"},
	    {"submissions", "465"}, {"smtps", "465"}};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (span_eq(port, span_str(names[i][0])))
			return span_str(names[i][1]);
	return port;
}

/* "via" as we write it; 465 is TLS from the first octet where that was asked for. */
static void
put_via(struct import *im, const struct hop *h)
{
	struct span port = port_number(h->port);
	struct net_addr a;
	bool v6 = net_parse_ip(h->host, &a) == OK && a.family == NET_IPV6;
	bool wrapped = import_is(im, "smtp_tls_wrappermode", "yes");
	buf_addf(&im->routes, "    via = {\"%s%s%.*s%s", wrapped ? "smtps://" : "",
	    v6 ? "[" : "", SPAN_ARG(h->host), v6 ? "]" : "");
	if (port.n > 0)
		buf_addf(&im->routes, ":%.*s", SPAN_ARG(port));
	buf_add_str(&im->routes, "\"}\n");
	if (h->mx)
		import_hint(im,
		    "%.*s without brackets meant the MX of that name; via takes the "
		    "host itself: write its mail servers",
		    SPAN_ARG(h->host));
}

/* ---- what every route to a next hop has */

static void
put_tls(struct import *im)
{
	static const char *const words[][2] = {{"none", "none"}, {"may", "opportunistic"},
	    {"encrypt", "required"}, {"verify", "verify"}, {"secure", "verify"},
	    {"dane", "opportunistic"}, {"dane-only", "required"},
	    {"fingerprint", "required"}};
	char *level = import_get(im, "smtp_tls_security_level");
	for (size_t i = 0; level != NULL && i < COUNT_OF(words); i++) {
		if (strcmp(words[i][0], level) != 0)
			continue;
		buf_addf(&im->routes, "    tls = \"%s\"\n", words[i][1]);
		if (strncmp(level, "dane", 4) == 0 || strcmp(level, "fingerprint") == 0)
			import_hint(im,
			    "smtp_tls_security_level = %s: the route has tls = \"%s\", "
			    "which asks for less",
			    level, words[i][1]);
	}
	if (level == NULL && import_is(im, "smtp_enforce_tls", "yes"))
		buf_add_str(&im->routes, "    tls = \"required\"\n");
	(void)import_is(im, "smtp_use_tls", "yes"); /* as by default */
	mem_free(&level);
}

static void
password_row(struct import *im, struct span key, struct span value)
{
	size_t colon = span_find(value, ':');
	if (im->user == NULL && span_eq(key, im->want))
		im->user = span_dup(span_cut(value, 0, colon));
}

/* The name; the password is a secret, and goes from file to file by hand. */
static void
put_sign_in(struct import *im, struct span hop, const char *route)
{
	if (!import_is(im, "smtp_sasl_auth_enable", "yes"))
		return;
	im->want = hop;
	import_map(im, "smtp_sasl_password_maps", password_row);
	if (im->user == NULL) {
		import_note(im,
		    "smtp_sasl_password_maps has nothing for %.*s: give route \"%s\" "
		    "its user and secret-file",
		    SPAN_ARG(hop), route);
		return;
	}
	buf_add_str(&im->routes, "    user = ");
	import_quote(&im->routes, span_str(im->user));
	buf_addf(&im->routes, "\n    secret-file = \"/etc/relayd/%s.pw\"\n", route);
	import_hint(im,
	    "write the password of %s, and nothing else, into /etc/relayd/%s.pw "
	    "(root:relayd, mode 640)",
	    im->user, route);
	mem_free(&im->user);
}

static void
rewrite_row(struct import *im, struct span from, struct span to)
{
	if (span_find(from, '@') == from.n || span_find(to, '@') == to.n) {
		import_note(im,
		    "rewriting of \"%.*s\": without a domain it meant a local user",
		    SPAN_ARG(from));
		return;
	}
	buf_addf(&im->routes, "%s\"%.*s=%.*s\"", im->want.n > 0 ? ", " : "",
	    SPAN_ARG(from), SPAN_ARG(to));
	im->want = from;
}

static void
put_rewriting(struct import *im, const char *map, const char *key)
{
	char *set = import_get(im, map);
	size_t before = im->routes.n;
	if (set != NULL && *set != '\0') {
		im->want = (struct span){0};
		buf_addf(&im->routes, "    %s = {", key);
		size_t empty = im->routes.n;
		import_map(im, map, rewrite_row);
		if (im->routes.n == empty)
			im->routes.n = before;
		else
			buf_add_str(&im->routes, "}\n");
	}
	mem_free(&set);
}

static void
put_way(struct import *im, struct span hop, const char *route)
{
	char *bind = import_get(im, "smtp_bind_address"),
	     *helo = import_get(im, "smtp_helo_name");
	put_tls(im);
	if (hop.n > 0)
		put_sign_in(im, hop, route);
	if (bind != NULL && *bind)
		buf_addf(&im->routes, "    source = {\"%s\"}\n", bind);
	if (helo != NULL && *helo)
		buf_addf(&im->routes, "    helo = \"%s\"\n", helo);
	put_rewriting(im, "smtp_generic_maps", "rewrite-sender");
	put_rewriting(im, "smtp_generic_maps", "rewrite-from");
	put_rewriting(im, "sender_canonical_maps", "rewrite-sender");
	mem_free(&bind);
	mem_free(&helo);
}

/* ---- transports of single domains */

static void
begin_route(struct import *im, const char *name, const char *member, struct span pattern)
{
	buf_addf(&im->routes, "route \"%s\" {\n", name);
	if (member != NULL) {
		buf_addf(&im->routes, "    %s = {", member);
		import_quote(&im->routes, pattern);
		buf_add_str(&im->routes, "}\n");
	}
}

static bool
is_relayed(struct import *im, struct span domain)
{
	char *value = import_get(im, "relay_domains");
	struct span rest = span_str(value ? value : ""), word;
	bool is = false;
	while (!is && import_word(&rest, &word))
		is = span_ieq(word, domain);
	mem_free(&value);
	return is;
}

static void
transport_row(struct import *im, struct span key, struct span value)
{
	char name[32];
	size_t colon = span_find(value, ':');
	struct span kind = span_cut(value, 0, colon),
		    hop = span_cut(value, colon + 1, value.n);
	bool lmtp = span_eq(kind, SPAN("lmtp"));
	(void)snprintf(name, sizeof(name), "transport%u", ++im->names);
	struct span to = span_eq(key, SPAN("*")) ? SPAN("*") : key;
	if (kind.n > 0 && !lmtp && !span_eq(kind, SPAN("smtp")) &&
	    !span_eq(kind, SPAN("relay")) && !span_eq(kind, SPAN("discard")) &&
	    !span_eq(kind, SPAN("error"))) {
		import_note(im, "transport_maps: %.*s goes to the program \"%.*s\"",
		    SPAN_ARG(key), SPAN_ARG(kind));
		return;
	}
	begin_route(im, name, "to", to);
	if (span_eq(kind, SPAN("discard"))) {
		buf_add_str(&im->routes, "    deliver = \"discard\"\n}\n");
		return;
	}
	if (span_eq(kind, SPAN("error"))) {
		buf_add_str(&im->routes, "    deliver = \"reject\"\n}\n");
		return;
	}
	if (is_relayed(im, key))
		buf_add_str(&im->routes, "    inbound = true\n");
	if (lmtp)
		buf_add_str(&im->routes, "    deliver = \"lmtp\"\n");
	if (hop.n > 0) {
		struct hop h = hop_of(lmtp && span_starts(hop, SPAN("inet:"))
					  ? span_cut(hop, 5, hop.n)
					  : hop);
		put_via(im, &h);
	} else {
		buf_add_str(&im->routes, "    deliver = \"mx\"\n");
	}
	put_way(im, hop, name);
	buf_add_str(&im->routes, "}\n");
}

/* Domains that are taken from strangers, and have no transport of their own. */
static void
look_row(struct import *im, struct span key, struct span value)
{
	(void)value;
	im->known = im->known || span_ieq(key, im->want);
}

static void
relay_domains(struct import *im)
{
	char *value = import_get(im, "relay_domains");
	struct span rest = span_str(value ? value : ""), word;
	while (import_word(&rest, &word)) {
		char name[32];
		if (span_find(word, ':') < word.n || span_find(word, '/') < word.n) {
			import_note(im,
			    "relay_domains: %.*s is a table; give its domains a route "
			    "with inbound = true",
			    SPAN_ARG(word));
			continue;
		}
		im->want = word;
		im->known = false;
		import_map(im, "transport_maps", look_row);
		if (im->known)
			continue;
		(void)snprintf(name, sizeof(name), "inbound%u", ++im->names);
		begin_route(im, name, "to", word);
		buf_add_str(&im->routes, "    inbound = true\n    deliver = \"mx\"\n}\n");
		import_hint(im,
		    "%.*s goes to its MX; if that is this machine, name the server "
		    "inside with via",
		    SPAN_ARG(word));
	}
	mem_free(&value);
}

/* ---- senders with a relayhost of their own */

static void
sender_row(struct import *im, struct span key, struct span value)
{
	char name[32];
	struct hop h = hop_of(value);
	(void)snprintf(name, sizeof(name), "sender%u", ++im->names);
	begin_route(im, name, "from", span_cut(key, key.n > 0 && key.p[0] == '@', key.n));
	put_via(im, &h);
	put_way(im, value, name);
	buf_add_str(&im->routes, "}\n");
}

/* ---- local mail */

static void
own_domains(struct import *im)
{
	char *value = import_get(im, "mydestination");
	struct span rest = span_str(value ? value : ""), word;
	while (import_word(&rest, &word)) {
		if (span_istarts(word, SPAN("localhost")))
			continue;
		import_note(im,
		    "mydestination: mail for %.*s went to local users; to hold it for "
		    "pickup: route \"own\" { to = {\"%.*s\"} deliver = \"mailbox\" } and "
		    "relayctl user add NAME --address NAME@%.*s",
		    SPAN_ARG(word), SPAN_ARG(word), SPAN_ARG(word));
	}
	mem_free(&value);
}

void
import_routes(struct import *im)
{
	char *host = import_get(im, "relayhost"), *bcc = import_get(im, "always_bcc");
	own_domains(im);
	import_map(im, "transport_maps", transport_row);
	relay_domains(im);
	import_map(im, "sender_dependent_relayhost_maps", sender_row);
	const char *name = host != NULL && *host ? "smarthost" : "world";
	begin_route(im, name, NULL, (struct span){0});
	if (host != NULL && *host) {
		struct hop h = hop_of(span_str(host));
		put_via(im, &h);
	} else {
		buf_add_str(&im->routes, "    deliver = \"mx\"\n");
	}
	put_way(im, span_str(host ? host : ""), name);
	if (bcc != NULL && *bcc) {
		buf_add_str(&im->routes, "    always-bcc = ");
		import_quote(&im->routes, span_str(bcc));
		buf_add_char(&im->routes, '\n');
	}
	buf_add_str(&im->routes, "}\n");
	mem_free(&host);
	mem_free(&bcc);
}
