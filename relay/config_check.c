/* SPDX-License-Identifier: ISC */
/*
 * config_check - combinations.  First of all: is this an open relay?  Then what
 * can never work (an error) and what will not do what it seems to (a warning).
 */
#include "relay/config_private.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* ---- open relays */

#define OPEN_RELAY_HINT \
	"that is an open relay; if it shall be one, write i-want-an-open-relay = true"

/* Whether the list has every address of the network. */
static bool
covers(const struct network_list *l, const struct net_cidr *whole)
{
	bool touched = false;
	for (size_t i = 0; i < l->n; i++) {
		if (l->net[i].base.family != whole->base.family)
			continue;
		if (l->net[i].bits <= whole->bits &&
		    net_cidr_has(&l->net[i], &whole->base))
			return true;
		touched = touched || net_cidr_has(whole, &l->net[i].base);
	}
	if (!touched || whole->bits == (whole->base.family == NET_IPV4 ? 32 : 128))
		return false;
	struct net_cidr low = *whole, high;
	low.bits++;
	high = low;
	high.base.ip[whole->bits / 8] |= (uint8_t)(0x80 >> whole->bits % 8);
	return covers(l, &low) && covers(l, &high);
}

/*
 * All of the Internet's addresses in one of the families, however it is pieced
 * together; the special ranges at the edges may be left out.
 */
static bool
is_everyone(const struct network_list *l)
{
	static const struct net_cidr public4[] = {
	    {{.family = NET_IPV4, .ip = {16}}, 4},
	    {{.family = NET_IPV4, .ip = {32}}, 3},
	    {{.family = NET_IPV4, .ip = {64}}, 3},
	    {{.family = NET_IPV4, .ip = {128}}, 2},
	    {{.family = NET_IPV4, .ip = {192}}, 3},
	};
	static const struct net_cidr public6 = {{.family = NET_IPV6, .ip = {0x20}}, 3};
	size_t n = 0;
	while (n < COUNT_OF(public4) && covers(l, &public4[n]))
		n++;
	return n == COUNT_OF(public4) || covers(l, &public6);
}

/* Where the list says it: the network that is everyone alone, else the first of all. */
static struct place
widest(const struct block *b, const char *key)
{
	const struct setting *first = block_setting(b, key);
	for (size_t i = 0; i < b->settings; i++) {
		const struct setting *s = &b->setting[i];
		struct net_cidr net;
		if (s->key == first->key && s->text != NULL &&
		    net_parse_cidr(span_str(s->text), &net) == OK && net_cidr_any(&net))
			return s->at;
	}
	return first->at;
}

static void
check_networks(struct reading *r, const struct block *b, const struct config *c,
    const char *key, const struct network_list *l)
{
	if (c->open_relay || b == NULL || !is_everyone(l))
		return;
	struct buf name;
	buf_init(&name, 200);
	block_add_name(b, &name);
	reading_problem(r, widest(b, key), "%.*s%s has everyone in it; " OPEN_RELAY_HINT,
	    SPAN_ARG(buf_span(&name)), key);
	buf_clear(&name);
}

/* ---- listeners */

static bool
is_any_address(const struct net_addr *a)
{
	static const uint8_t zero[16];
	return memcmp(a->ip, zero, sizeof(zero)) == 0;
}

/* The same socket, or "[::]", which takes IPv4 as well, and "0.0.0.0". */
static bool
same_bind(const struct net_addr *a, const struct net_addr *b)
{
	return a->port == b->port && a->scope == b->scope &&
	       (net_same_ip(a, b) || (is_any_address(a) && is_any_address(b)));
}

static const struct listener_config *
bound_before(const struct config *c, size_t i, size_t k)
{
	for (size_t other = 0; other <= i; other++)
		for (size_t n = 0; n < (other == i ? k : c->listener[other].binds); n++)
			if (same_bind(
				&c->listener[i].bind[k], &c->listener[other].bind[n]))
				return &c->listener[other];
	return NULL;
}

/* What a setting is good for only together with another. */
static void
check_needs(struct reading *r, const struct block *b, const char *key, bool fine,
    const char *needs)
{
	const struct setting *s = block_setting(b, key);
	if (s != NULL && !fine)
		reading_problem(r, s->at, "%s \"%.60s\": %s needs %s", b->section->name,
		    b->title, key, needs);
}

/* RFC 2033 5: who speaks LMTP there is taken for an SMTP server. */
static void
check_lmtp(struct reading *r, const struct listener_config *l, const struct block *b)
{
	const struct setting *s = block_setting(b, "bind");
	for (size_t i = 0; s != NULL && i < l->binds; i++)
		if (l->bind[i].port == 25)
			reading_problem(r, s->at,
			    "listener \"%.60s\": LMTP must not be spoken on port 25, "
			    "where "
			    "all expect SMTP; write another, 24 for example",
			    l->name);
}

/* POP3 and IMAP take no mail to relay, and always ask who it is. */
static void
check_pickup(struct reading *r, const struct listener_config *l, const struct block *b)
{
	static const char *const keys[] = {
	    "auth", "networks", "xclient-from", "message-size", "recipients"};
	const char *protocol = l->protocol == LISTENER_POP3 ? "pop3" : "imap";
	for (size_t i = 0; i < COUNT_OF(keys); i++) {
		const struct setting *s = block_setting(b, keys[i]);
		if (s != NULL)
			reading_problem(r, s->at,
			    "listener \"%.60s\": %s means nothing with protocol = "
			    "\"%s\", %s; remove it",
			    l->name, keys[i], protocol,
			    i == 0 ? "where everyone signs in" : "which takes no mail");
	}
}

static void
check_apop(struct reading *r, const struct listener_config *l, const struct block *b)
{
	if (l->apop && l->protocol != LISTENER_POP3)
		reading_problem(r, block_setting(b, "apop")->at,
		    "listener \"%.60s\": APOP belongs to POP3; remove it, or write "
		    "protocol "
		    "= \"pop3\"",
		    l->name);
}

static void
check_protocol(struct reading *r, const struct listener_config *l, const struct block *b)
{
	if (l->protocol == LISTENER_LMTP)
		check_lmtp(r, l, b);
	else if (l->protocol == LISTENER_POP3 || l->protocol == LISTENER_IMAP)
		check_pickup(r, l, b);
	check_apop(r, l, b);
}

static void
check_sign_in(struct reading *r, const struct listener_config *l, const struct block *b)
{
	bool tls = l->tls != TLS_NONE;
	const struct setting *auth =
	    block_setting(b, block_setting(b, "auth") == NULL ? "protocol" : "auth");
	if ((l->auth == AUTH_OPTIONAL || l->auth == AUTH_REQUIRED) && !tls &&
	    !l->auth_in_clear && auth != NULL)
		reading_problem(r, auth->at,
		    "listener \"%.60s\": nobody could sign in, because passwords do not "
		    "go "
		    "without TLS; write tls = \"starttls\", or auth-in-clear = true",
		    l->name);
	if (l->auth == AUTH_ANY && l->clients.n == 0 && auth != NULL)
		reading_problem(r, auth->at,
		    "listener \"%.60s\": auth = \"any\" takes every password; say from "
		    "whom: "
		    "clients = {\"192.0.2.0/24\"}",
		    l->name);
	check_needs(r, b, "tls-required", tls, "tls = \"starttls\" or \"implicit\"");
	check_needs(r, b, "client-certificate", tls && l->tls != TLS_LEGACY,
	    "tls = \"starttls\" or \"implicit\"");
	check_needs(r, b, "auth-in-clear-from", l->auth_in_clear, "auth-in-clear = true");
	if (l->tls == TLS_LEGACY && l->clients.n == 0 && !l->has_networks)
		reading_problem(r, block_setting(b, "tls")->at,
		    "listener \"%.60s\": old TLS is for known devices only; name them "
		    "with "
		    "clients = {\"192.0.2.0/24\"}",
		    l->name);
}

void
check_listener(struct reading *r, const struct config *c, size_t i, const struct block *b)
{
	const struct listener_config *l = &c->listener[i];
	const struct setting *s = block_setting(b, "bind");
	bool misspelt =
	    s == NULL && r->errors > 0; /* perhaps: then the default is not meant */
	for (size_t k = 0; k < l->binds && !misspelt; k++) {
		const struct listener_config *other = bound_before(c, i, k);
		char at[NET_TEXT];
		if (other == NULL)
			continue;
		net_format(&l->bind[k], at);
		reading_problem(r, s != NULL ? s->at : b->at,
		    "listener \"%.60s\": bind = \"%s\" is taken by listener \"%.60s\" "
		    "(line %u)%s",
		    l->name, at, other->name, other->line,
		    is_any_address(&l->bind[k]) ? "; [::] takes IPv4 as well"
						: "; choose another port");
	}
	if (l->has_networks)
		check_networks(r, b, c, "networks", &l->networks);
	/* whoever may say who the client is may say that it is one of ours */
	check_networks(r, b, c, "proxy-from", &l->proxy_from);
	check_networks(r, b, c, "xclient-from", &l->xclient_from);
	check_protocol(r, l, b);
	check_sign_in(r, l, b);
}

/* ---- names of listeners */

static bool
is_listener(const struct config *c, const char *name)
{
	struct span local = SPAN("local"); /* relay-sendmail's socket */
	for (size_t i = 0; i < c->listeners; i++)
		if (span_ieq(span_str(c->listener[i].name), span_str(name)))
			return true;
	return span_ieq(span_str(name), local);
}

/* Not an error: mail that waits may have come by a listener that is gone. */
void
check_listener_names(struct reading *r, const struct config *c, const struct block *b)
{
	const struct setting *first = block_setting(b, "listener");
	for (size_t i = 0; first != NULL && i < b->settings; i++) {
		const struct setting *s = &b->setting[i];
		if (s->key == first->key && s->text != NULL && !is_listener(c, s->text))
			reading_warning(r, s->at,
			    "%s \"%.60s\": there is no listener \"%.60s\"; nothing comes "
			    "in by it",
			    b->section->name, b->title, s->text);
	}
}

/* ---- routes */

static bool
matches_any(const struct pattern_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct route_pattern *p = &l->pattern[i];
		if (p->local.p == NULL && p->domain.p == NULL && !p->null_sender)
			return true;
	}
	return l->n == 0;
}

/* It was given, but only makes sense with another way of delivery. */
static void
check_goes_with(
    struct reading *r, const struct block *b, const char *key, bool fine, const char *way)
{
	const struct setting *s = block_setting(b, key);
	if (s != NULL && !fine)
		reading_problem(r, s->at,
		    "route \"%.60s\": %s goes with deliver = \"%s\" only; remove one of "
		    "the two",
		    b->title, key, way);
}

/* The first route before i that takes all that i could get. */
static const struct route *
hidden_by(const struct config *c, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		const struct route *other = &c->policy.routes.route[k];
		if (matches_any(&other->to) && matches_any(&other->from) &&
		    other->accounts.n == 0 && other->listeners.n == 0 &&
		    other->clients.n == 0)
			return other;
	}
	return NULL;
}

static bool
carries_on(const struct route *route)
{
	return route->deliver != ROUTE_DISCARD && route->deliver != ROUTE_REJECT &&
	       route->deliver != ROUTE_MAILBOX;
}

static bool
pattern_failed(const struct block *b, const struct route *route)
{
	return (block_setting(b, "to") != NULL && route->to.n == 0) ||
	       (block_setting(b, "from") != NULL && route->from.n == 0);
}

#define NEXT_HOP "a next hop: deliver = \"mx\", \"via\" or \"lmtp\""

/* How we speak to the next hop: all of it is for routes that speak to one. */
static void
check_speaking(
    struct reading *r, const struct block *b, const struct route *route, bool speaks)
{
	static const char *const keys[] = {"tls", "tls-name", "tls-ca",
	    "tls-fingerprints", "user", "secret-file", "auth-in-clear", "source", "helo",
	    "family", "ipv4-fallback", "socks", "rate", "rewrite-sender", "rewrite-from",
	    "keep-reply-to", "rewrite-to", "masquerade"};
	for (size_t i = 0; i < COUNT_OF(keys); i++)
		check_needs(r, b, keys[i], speaks, NEXT_HOP);
	bool checks = route->tls == ROUTE_TLS_VERIFY;
	check_needs(r, b, "tls-name", checks, "tls = \"verify\"");
	check_needs(r, b, "tls-ca", checks, "tls = \"verify\"");
	check_needs(r, b, "tls-fingerprints", checks, "tls = \"verify\"");
	check_needs(r, b, "user", block_setting(b, "secret-file") != NULL,
	    "a password: secret-file = \"provider.pw\"");
	check_needs(r, b, "secret-file", block_setting(b, "user") != NULL,
	    "a name: user = \"relay@example.org\"");
	check_needs(r, b, "user", route->deliver != ROUTE_MX,
	    "one server to sign in at: via = {\"mail.example.org:587\"}");
	check_needs(r, b, "user",
	    route->auth_in_clear || route->tls >= ROUTE_TLS_REQUIRED,
	    "tls = \"verify\" (or \"required\"), so that nobody reads the password on "
	    "its "
	    "way; "
	    "or auth-in-clear = true");
	check_needs(r, b, "keep-reply-to",
	    route->rewriting.from.n > 0 || route->rewriting.masquerade.n > 0,
	    "rewrite-from or masquerade");
}

static void
check_ways(struct reading *r, const struct block *b, const struct route *route)
{
	const struct setting *s = block_setting(b, "deliver");
	bool mx = route->deliver == ROUTE_MX;
	bool via = route->deliver == ROUTE_VIA || route->deliver == ROUTE_LMTP;
	check_goes_with(r, b, "via", via, "via");
	check_goes_with(r, b, "port", mx, "mx");
	check_goes_with(r, b, "allow-loopback", mx, "mx");
	check_goes_with(r, b, "text", route->deliver == ROUTE_REJECT, "reject");
	check_goes_with(r, b, "catch-all", route->deliver == ROUTE_MAILBOX, "mailbox");
	check_needs(r, b, "concurrency", route->deliver != ROUTE_MAILBOX, NEXT_HOP);
	if (via && block_setting(b, "via") == NULL)
		reading_problem(r, s != NULL ? s->at : b->at,
		    "route \"%.60s\": deliver = \"%s\" says not where; write via = "
		    "{\"mail.example.org:25\"}",
		    b->title, route->deliver == ROUTE_LMTP ? "lmtp" : "via");
	check_speaking(r, b, route, mx || via);
}

void
check_route(struct reading *r, const struct config *c, size_t i, const struct block *b)
{
	const struct route *route = &c->policy.routes.route[i];
	const struct setting *s = block_setting(b, "inbound");
	check_ways(r, b, route);
	if (pattern_failed(b, route))
		return; /* it is not meant to be for all, only misspelt */
	if (route->inbound && !c->open_relay && carries_on(route) &&
	    matches_any(&route->to))
		reading_problem(r, s->at,
		    "route \"%.60s\": strangers could send to anyone; name our own "
		    "domains with "
		    "to = {\"example.org\"}: " OPEN_RELAY_HINT,
		    b->title);
	if (route->catch_all != NULL && matches_any(&route->to))
		reading_problem(r, block_setting(b, "catch-all")->at,
		    "route \"%.60s\": catch-all would get the mail of all the world; "
		    "name our own domains with to = {\"example.org\"}",
		    b->title);
	const struct route *other = hidden_by(c, i);
	if (other != NULL)
		reading_warning(r, b->at,
		    "route \"%.60s\" is never reached, because \"%.60s\" (line %u) takes "
		    "everything; "
		    "put it before that one",
		    b->title, other->name, other->line);
}

/* ---- limits and block lists */

void
check_limit(struct reading *r, const struct limit_config *l, const struct block *b)
{
	if (l->connections.n + l->messages.n + l->recipients.n == 0)
		reading_problem(r, b->at,
		    "limit \"%.60s\" limits nothing; write messages = {\"100/1h\"}, "
		    "recipients or connections",
		    l->name);
	check_needs(r, b, "connections", l->per == LIMIT_PER_CLIENT,
	    "per = \"client\": at connect nobody else is known");
}

void
check_dnsbl(struct reading *r, const struct dnsbl_config *d, const struct block *b)
{
	if (d->zone == NULL && block_setting(b, "zone") == NULL)
		reading_problem(r, b->at,
		    "dnsbl \"%.60s\" says not which; write zone = \"bl.example.org\"",
		    d->name);
}

/* ---- mailboxes */

#define KEEP_MIN ((int64_t)HOUR_MS)

/* A unit that was mistyped would throw mail away. */
static void
check_keeps(struct reading *r, const struct block *b, const char *name, const char *key,
    int64_t ms)
{
	const struct setting *s = block_setting(b, key);
	if (s != NULL && ms > 0 && ms < KEEP_MIN)
		reading_problem(r, s->at,
		    "%s: %s is too short to fetch mail in; write 1h or more", name, key);
}

void
check_mailbox(struct reading *r, const struct mailbox_config *m, const struct block *b)
{
	char name[100] = "mailboxes";
	if (b == NULL)
		return;
	if (b->title != NULL)
		(void)snprintf(name, sizeof(name), "mailbox \"%.60s\"", b->title);
	const struct setting *unread = block_setting(b, "unread");
	const struct setting *after = block_setting(b, "unread-after");
	check_keeps(r, b, name, "unread-after", m->unread_ms);
	check_keeps(r, b, name, "picked-after", m->picked_ms);
	if (m->unread != UNREAD_STAY && m->unread_ms == 0 && (unread || after))
		reading_problem(r, (unread ? unread : after)->at,
		    "%s: unread = \"%s\" needs unread-after, the time until then; write "
		    "unread-after = \"90d\"",
		    name, m->unread == UNREAD_DELETE ? "delete" : "return");
	if (m->unread == UNREAD_STAY && m->unread_ms > 0 && after != NULL)
		reading_problem(r, after->at,
		    "%s: unread-after says when, but not what then; write unread = "
		    "\"return\" or \"delete\"",
		    name);
	if (m->name != NULL && block_setting(b, "account") == NULL &&
	    block_setting(b, "domain") == NULL)
		reading_problem(r, b->at,
		    "%s is for nobody; write account = {\"ann\"} or domain = "
		    "{\"example.org\"}; what is for all stands in mailboxes { }",
		    name);
}

/* One that may stand in a local part without quotes, and is not part of every name. */
static void
check_delimiter(struct reading *r, const struct config *c)
{
	const char *d = c->delimiter;
	if (d == NULL || *d == '\0' || strchr("!#$%&'*+-/=?^_`{|}~.", *d) != NULL)
		return;
	reading_problem(r, reading_place(r, "mailboxes", "delimiter"),
	    "mailboxes: delimiter = \"%s\" will not do; write \"+\" or \"-\", or \"\" "
	    "for "
	    "none",
	    d);
}

/* ---- the rest */

static void
check_retry(struct reading *r, const struct retry_config *t)
{
	if (t->expire_ms < t->interval_ms)
		reading_problem(r, reading_place(r, "retry", "expire"),
		    "retry: expire is shorter than interval, and nothing would be tried "
		    "twice; "
		    "write expire = \"5d\"");
	if (t->warn_ms > 0 && t->warn_ms >= t->expire_ms)
		reading_problem(r, reading_place(r, "retry", "warn"),
		    "retry: warn is not before expire; make it shorter, or 0 for never");
}

static void
check_there(struct reading *r, const struct config *c)
{
	const struct block *spool = reading_block(r, "spool");
	if (spool == NULL || block_setting(spool, "path") == NULL)
		reading_problem(r, reading_place(r, "spool", "path"),
		    "spool: there is no path; write spool { path = \"/var/lib/relayd\" "
		    "}");
	if (c->listeners == 0)
		reading_problem(r, (struct place){0, 1},
		    "there is no listener; write listener \"smtp\" { bind = "
		    "{\"[::]:25\"} }");
}

static void
check_certificates(struct reading *r, const struct config *c)
{
	if (c->tls.keys.n > 0 && c->tls.keys.n != c->tls.certificates.n)
		reading_problem(r, reading_place(r, "tls", "key"),
		    "tls: there are %u certificates and %u keys; write one key for each, "
		    "in "
		    "the same order, or none where the files hold both",
		    (unsigned)c->tls.certificates.n, (unsigned)c->tls.keys.n);
}

static void
check_metrics_bind(struct reading *r, const struct config *c, const struct net_addr *a)
{
	char text[NET_TEXT];
	struct place at = reading_place(r, "metrics", "bind");
	net_format(a, text);
	if (!net_is_loopback(a) && !c->metrics.tls && !c->metrics.in_clear)
		reading_problem(r, at,
		    "metrics: bind = \"%s\" can be reached from other machines, and "
		    "nothing is encrypted; write tls = true, or in-clear = true if only "
		    "figures shall be read there, or bind = \"127.0.0.1:%u\"",
		    text, a->port);
	for (size_t i = 0; i < c->listeners; i++)
		for (size_t k = 0; k < c->listener[i].binds; k++)
			if (a->port != 0 && a->port == c->listener[i].bind[k].port &&
			    net_same_ip(a, &c->listener[i].bind[k]))
				reading_problem(r, at,
				    "metrics: bind = \"%s\" is also that of listener "
				    "\"%.60s\"; take another port",
				    text, c->listener[i].name);
}

static void
check_metrics(struct reading *r, const struct config *c)
{
	for (size_t i = 0; i < c->metrics.binds; i++)
		check_metrics_bind(r, c, &c->metrics.bind[i]);
}

/* The process that parses mail reads these directories: daemon_secrets.c. */
static void
check_accounts(struct reading *r, const struct config *c)
{
	static const struct span read[] = {
	    {"/etc/", 5}, {"/usr/", 5}, {"/lib/", 5}, {"/lib64/", 7}};
	struct span path = span_str(c->accounts.path);
	for (size_t i = 0; i < COUNT_OF(read); i++)
		if (span_starts(path, read[i]))
			reading_problem(r, reading_place(r, "accounts", "path"),
			    "accounts: path = \"%.200s\" is where relayd reads other "
			    "things, and no secrets may be; write path = "
			    "\"/var/lib/relayd-accounts\"",
			    c->accounts.path);
}

void
check_all(struct reading *r, const struct config *c)
{
	check_accounts(r, c);
	check_metrics(r, c);
	check_there(r, c);
	check_certificates(r, c);
	check_networks(r, reading_block(r, ""), c, "networks", &c->policy.networks);
	check_retry(r, &c->retry);
	check_mailbox(r, &c->mailbox_default, reading_block(r, "mailboxes"));
	check_delimiter(r, c);
	if (c->client.initial > c->client.concurrency)
		reading_problem(r, reading_place(r, "outgoing", "initial"),
		    "outgoing: initial is more than concurrency; write %u or less",
		    c->client.concurrency);
}
