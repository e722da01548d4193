/* SPDX-License-Identifier: ISC */
/*
 * config_build - blocks of text settings into a struct config: first each key's
 * default, then what the file says, then what follows from both.
 */
#include "relay/config_private.h"

#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/scan.h"
#include "policy/address.h"

/* ---- one key of one block */

static void
set_fallback(struct reading *r, const struct config_key *k, void *base)
{
	struct span rest = span_str(config_fallback(k));
	if (rest.p == NULL)
		return;
	while (rest.n > 0) {
		size_t end = value_is_list(k->type) ? span_find(rest, ',') : rest.n;
		struct span one = span_trim(span_cut(rest, 0, end));
		CHECK(value_set(r, NULL, k, one, (struct place){0}, base));
		rest = span_cut(rest, end + 1, rest.n);
	}
}

static void
set_text(struct reading *r, const struct block *b, const struct setting *s, void *base)
{
	if (s->text != NULL) {
		(void)value_set(r, b, s->key, span_str(s->text), s->at, base);
	} else if (!(s->key->flags & KEY_EMPTY_OK)) {
		struct buf name;
		buf_init(&name, 200);
		block_add_name(b, &name);
		reading_problem(r, s->at,
		    "%.*s%s = {} is empty; leave the line out instead",
		    SPAN_ARG(buf_span(&name)), s->key->name);
		buf_clear(&name);
	}
}

static void
report_twice(struct reading *r, const struct block *b, const struct setting *s)
{
	struct buf name;
	buf_init(&name, 200);
	block_add_name(b, &name);
	const struct place *at = &block_setting(b, s->key->name)->at;
	reading_problem(r, s->at,
	    "%.*s\"%s\" is given twice; it is in line %u%s%s already",
	    SPAN_ARG(buf_span(&name)), s->key->name, at->line,
	    at->file != s->at.file ? " of " : "",
	    at->file != s->at.file ? r->file[at->file] : "");
	buf_clear(&name);
}

/* b may be NULL: the file says nothing about this section. */
static void
build_key(
    struct reading *r, const struct block *b, const struct config_key *k, void *base)
{
	const struct setting *given = b != NULL ? block_setting(b, k->name) : NULL;
	if (given == NULL || given->adds || !value_is_list(k->type))
		set_fallback(r, k, base);
	if (given == NULL)
		return;
	for (size_t i = 0; i < b->settings; i++) {
		const struct setting *s = &b->setting[i];
		if (s->key != k)
			continue;
		if (s->first && s != given) {
			report_twice(r, b, s);
			return;
		}
		set_text(r, b, s, base);
	}
}

static void
build_keys(struct reading *r, const struct block *b, const char *section, void *base)
{
	for (const struct config_key *k = config_schema; k->name != NULL; k++)
		if (strcmp(k->section, section) == 0)
			build_key(r, b, k, base);
}

/* ---- titled sections */

#define LMTP_PORT 24
#define IMAP_PORT 143
#define IMAPS_PORT 993
#define POP3_PORT 110
#define POP3S_PORT 995

/* A title becomes a word in logs, keys and file names of the spool's schedule. */
static bool
title_ok(struct reading *r, const struct block *b)
{
	size_t n = strlen(b->title);
	bool ok = n > 0 && n <= 64;
	for (size_t i = 0; i < n; i++)
		ok = ok && (is_alnum((unsigned char)b->title[i]) ||
			       strchr("-_.", b->title[i]) != NULL);
	if (!ok)
		reading_problem(r, b->at,
		    "%s \"%.60s\": this name will not do; use up to 64 letters, digits, "
		    "-, _ and .",
		    b->section->name, b->title);
	return ok;
}

/* What a protocol brings with it. */
static void
settle_protocol(const struct block *b, struct listener_config *l)
{
	uint16_t port = l->bind[0].port;
	if (l->protocol == LISTENER_LMTP)
		port = LMTP_PORT;
	else if (l->protocol == LISTENER_POP3)
		port = l->tls == TLS_IMPLICIT ? POP3S_PORT : POP3_PORT;
	else if (l->protocol == LISTENER_IMAP)
		port = l->tls == TLS_IMPLICIT ? IMAPS_PORT : IMAP_PORT;
	for (size_t i = 0; block_setting(b, "bind") == NULL && i < l->binds; i++)
		l->bind[i].port = port;
	if (l->protocol == LISTENER_POP3 || l->protocol == LISTENER_IMAP)
		l->auth = AUTH_REQUIRED;
}

static void
build_listener(struct reading *r, const struct block *b, struct config *c)
{
	if (c->listeners == CONFIG_LISTENER_MAX) {
		reading_problem(r, b->at,
		    "listener \"%.60s\" is one too many; %d are the most", b->title,
		    CONFIG_LISTENER_MAX);
		return;
	}
	struct listener_config *l = &c->listener[c->listeners++];
	(void)title_ok(r, b);
	l->name = mem_strdup(b->title);
	l->line = b->at.line;
	build_keys(r, b, "listener", l);
	l->has_networks = block_setting(b, "networks") != NULL;
	if (block_setting(b, "tls") == NULL && c->tls.certificates.n > 0)
		l->tls = TLS_STARTTLS;
	settle_protocol(b, l);
}

static bool
has_room(struct reading *r, const struct block *b, size_t n, size_t max)
{
	if (n < max)
		return title_ok(r, b);
	reading_problem(r, b->at, "%s \"%.60s\" is one too many; %u are the most",
	    b->section->name, b->title, (unsigned)max);
	return false;
}

static void
build_rule(struct reading *r, const struct block *b, struct config *c)
{
	struct rule_table *t = &c->policy.rules;
	if (!has_room(r, b, t->n, RULE_MAX))
		return;
	t->rule = mem_resize(t->rule, t->n + 1, sizeof(*t->rule));
	struct rule *rule = &t->rule[t->n++];
	*rule = (struct rule){.name = mem_strdup(b->title), .line = b->at.line};
	build_keys(r, b, "rule", rule);
	/* as the last one that may be meant */
	if (t->n == 1 && rule->action != RULE_ACCEPT &&
	    rule->from.n + rule->to.n + rule->helo.n + rule->clients.n +
		    rule->listeners.n + rule->accounts.n ==
		0)
		reading_warning(r, b->at,
		    "rule \"%.60s\" fits all mail; say what it is for: to = "
		    "{\"example.org\"}, from, client, ...",
		    b->title);
}

static void
build_limit(struct reading *r, const struct block *b, struct config *c)
{
	if (!has_room(r, b, c->limits, CONFIG_LIMIT_MAX))
		return;
	struct limit_config *l = &c->limit[c->limits++];
	l->name = mem_strdup(b->title);
	l->line = b->at.line;
	build_keys(r, b, "limit", l);
}

static void
build_dnsbl(struct reading *r, const struct block *b, struct config *c)
{
	if (!has_room(r, b, c->dnsbls, CONFIG_DNSBL_MAX))
		return;
	struct dnsbl_config *d = &c->dnsbl[c->dnsbls++];
	d->name = mem_strdup(b->title);
	d->line = b->at.line;
	build_keys(r, b, "dnsbl", d);
}

/* What is not said is as in mailboxes { }, which is built by now. */
static void
build_mailbox(struct reading *r, const struct block *b, struct config *c)
{
	if (!has_room(r, b, c->mailboxes, CONFIG_MAILBOX_MAX))
		return;
	struct mailbox_config *m = &c->mailbox[c->mailboxes++];
	*m = c->mailbox_default;
	m->name = mem_strdup(b->title);
	m->line = b->at.line;
	build_keys(r, b, "mailbox", m);
}

static struct route *
add_route(struct config *c, const char *name)
{
	struct route_table *t = &c->policy.routes;
	t->route = mem_resize(t->route, t->n + 1, sizeof(*t->route));
	struct route *route = &t->route[t->n++];
	*route = (struct route){.name = mem_strdup(name)};
	return route;
}

static void
build_route(struct reading *r, const struct block *b, struct config *c)
{
	if (c->policy.routes.n == ROUTE_MAX) {
		reading_problem(r, b->at,
		    "route \"%.60s\" is one too many; %d are the most", b->title,
		    ROUTE_MAX);
		return;
	}
	struct route *route = add_route(c, b->title);
	(void)title_ok(r, b);
	route->line = b->at.line;
	build_keys(r, b, "route", route);
	if (block_setting(b, "deliver") == NULL && block_setting(b, "via") != NULL)
		route->deliver = ROUTE_VIA;
	if (block_setting(b, "inbound") == NULL && route->deliver == ROUTE_MAILBOX)
		route->inbound = true;
	for (size_t i = 0; route->deliver == ROUTE_LMTP && i < route->hops; i++)
		if (route->hop[i].bare)
			route->hop[i].port = route->hop[i].addr.port = LMTP_PORT;
}

/* ---- what follows from the rest */

/* This machine's name as mail needs it: one of a domain. */
static void
find_hostname(struct reading *r, struct config *c)
{
	char name[DOMAIN_MAX + 1] = "";
	struct buf b;
	buf_init(&b, 1024);
	if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
		memcpy(name, "localhost", sizeof("localhost"));
	if (domain_canonical(span_str(name), &b) != OK) {
		buf_reset(&b);
		buf_add_str(&b, "localhost");
	}
	if (span_find(buf_span(&b), '.') == b.n) {
		buf_add_str(&b, ".localdomain");
		reading_warning(r, (struct place){0, 1},
		    "this machine does not know its full name, and other servers may "
		    "refuse \"%.*s\"; "
		    "write hostname = \"mail.example.org\"",
		    SPAN_ARG(buf_span(&b)));
	}
	c->policy.hostname = buf_take(&b);
}

/* A destination that takes less than we would begin with sets where we begin. */
static void
fit_initial(const struct reading *r, struct config *c)
{
	const struct block *b = reading_block(r, "outgoing");
	if (b != NULL && block_setting(b, "initial") == NULL &&
	    c->client.initial > c->client.concurrency)
		c->client.initial = c->client.concurrency;
}

/* Mail that stays, stays: whoever looks at unread_ms alone sees it. */
static void
fit_unread(struct mailbox_config *m)
{
	if (m->unread == UNREAD_STAY)
		m->unread_ms = 0;
}

/* The section alone is a wish for the usual place. */
static void
fit_metrics(const struct reading *r, struct config *c)
{
	static const struct net_addr usual = {NET_IPV4, {127, 0, 0, 1}, 9525, 0};
	const struct block *b = reading_block(r, "metrics");
	if (b != NULL && block_setting(b, "bind") == NULL) {
		c->metrics.bind[0] = usual;
		c->metrics.binds = 1;
	}
}

static void
complete(struct reading *r, struct config *c)
{
	const struct block *top = reading_block(r, "");
	if (c->policy.hostname == NULL &&
	    (top == NULL || block_setting(top, "hostname") == NULL))
		find_hostname(r, c);
	if (c->policy.routes.n == 0) {
		struct route *route = add_route(c, "default");
		for (const struct config_key *k = config_schema; k->name != NULL; k++)
			if (strcmp(k->section, "route") == 0)
				set_fallback(r, k, route);
	}
	c->policy.message_size_max = c->server.message_size;
	fit_initial(r, c);
	fit_metrics(r, c);
}

static void
check_blocks(struct reading *r, const struct config *c)
{
	size_t listener = 0, route = 0, limit = 0, dnsbl = 0, mailbox = 0;
	for (size_t i = 0; i < r->blocks; i++) {
		const struct block *b = &r->block[i];
		check_listener_names(r, c, b);
		if (strcmp(b->section->name, "listener") == 0 && listener < c->listeners)
			check_listener(r, c, listener++, b);
		else if (strcmp(b->section->name, "route") == 0 &&
			 route < c->policy.routes.n)
			check_route(r, c, route++, b);
		else if (strcmp(b->section->name, "limit") == 0 && limit < c->limits)
			check_limit(r, &c->limit[limit++], b);
		else if (strcmp(b->section->name, "dnsbl") == 0 && dnsbl < c->dnsbls)
			check_dnsbl(r, &c->dnsbl[dnsbl++], b);
		else if (strcmp(b->section->name, "mailbox") == 0 &&
			 mailbox < c->mailboxes)
			check_mailbox(r, &c->mailbox[mailbox++], b);
	}
}

static const struct {
	const char *section;
	void (*build)(struct reading *r, const struct block *b, struct config *c);
} titled[] = {
    {"listener", build_listener},
    {"route", build_route},
    {"rule", build_rule},
    {"limit", build_limit},
    {"dnsbl", build_dnsbl},
    {"mailbox", build_mailbox},
};

struct config *
config_build(struct reading *r, const char *name)
{
	struct config *c = NEW(struct config);
	atomic_init(&c->refs, 1);
	c->file = mem_strdup(name);
	for (const struct config_section *s = config_sections; s->name != NULL; s++)
		if (!s->titled)
			build_keys(r, reading_block(r, s->name), s->name, c);
	for (size_t i = 0; i < r->blocks; i++) {
		for (size_t k = 0; k < COUNT_OF(titled); k++)
			if (strcmp(r->block[i].section->name, titled[k].section) == 0)
				titled[k].build(r, &r->block[i], c);
	}
	complete(r, c);
	check_blocks(r, c);
	if (!r->broken)
		check_all(r, c);
	fit_unread(&c->mailbox_default);
	for (size_t i = 0; i < c->mailboxes; i++)
		fit_unread(&c->mailbox[i]);
	return c;
}

static void
listener_clear(struct listener_config *l)
{
	mem_free(&l->name);
	network_list_clear(&l->networks);
	network_list_clear(&l->auth_in_clear_from);
	network_list_clear(&l->clients);
	network_list_clear(&l->proxy_from);
	network_list_clear(&l->xclient_from);
}

static void
limit_clear(struct limit_config *l)
{
	mem_free(&l->name);
	name_list_clear(&l->listeners);
	network_list_clear(&l->clients);
}

static void
dnsbl_clear(struct dnsbl_config *d)
{
	mem_free(&d->name);
	mem_free(&d->zone);
	mem_free(&d->text);
	network_list_clear(&d->answers);
}

static void
mailbox_clear(struct mailbox_config *m)
{
	mem_free(&m->name);
	name_list_clear(&m->accounts);
	name_list_clear(&m->domains);
}

static void
tls_clear(struct config *c)
{
	name_list_clear(&c->tls.certificates);
	name_list_clear(&c->tls.keys);
	name_list_clear(&c->tls.client_fingerprints);
	mem_free(&c->tls.client_ca);
	mem_free(&c->tls.ca);
	tls_server_unref(&c->tls_modern);
	tls_server_unref(&c->tls_legacy);
	tls_server_unref(&c->tls_modern_ask);
	tls_server_unref(&c->tls_modern_require);
}

void
config_free(struct config *c)
{
	for (size_t i = 0; i < c->listeners; i++)
		listener_clear(&c->listener[i]);
	for (size_t i = 0; i < c->limits; i++)
		limit_clear(&c->limit[i]);
	for (size_t i = 0; i < c->dnsbls; i++)
		dnsbl_clear(&c->dnsbl[i]);
	for (size_t i = 0; i < c->mailboxes; i++)
		mailbox_clear(&c->mailbox[i]);
	mem_free(&c->delimiter);
	tls_clear(c);
	network_list_clear(&c->policy.networks);
	rule_table_clear(&c->policy.rules);
	route_table_clear(&c->policy.routes);
	mem_free(&c->policy.hostname);
	mem_free(&c->file);
	mem_free(&c->accounts.path);
	mem_free(&c->submit.path);
	mem_free(&c->spool.path);
	name_list_clear(&c->metrics.hosts);
	mem_free(&c->dns.servers);
	mem_free(&c->postmaster);
	mem_free(&c->control_path);
	mem_free(&c->user);
	mem_free(&c);
}
