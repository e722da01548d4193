/* SPDX-License-Identifier: ISC */
/*
 * mx - the choice of hosts: read records, drop ourselves, sort, shuffle, cut;
 * then attach addresses and judge.
 */
#include "resolver/mx.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define WHY_ROOM 8192 /* before it is cut to what mx_answer holds */

/* ---- why */

static void
say(struct mx_answer *out, enum mx_outcome outcome, struct buf *why)
{
	out->outcome = outcome;
	span_copy(buf_span(why), out->why, sizeof(out->why));
	if (why->n >= sizeof(out->why))
		memcpy(out->why + sizeof(out->why) - 4, "...", 4);
	buf_clear(why);
}

static void
add_heading(
    struct buf *b, const char *domain, const struct mx_rules *rules, bool implicit)
{
	if ((rules->flags & RESOLVE_HOST) != 0)
		buf_addf(b, "host %s: ", domain);
	else if (implicit)
		buf_addf(b, "MX %s: none, so the name itself: ", domain);
	else
		buf_addf(b, "MX %s: ", domain);
}

/* ---- ourselves */

static bool
is_own_name(const struct mx_rules *rules, const char *name)
{
	if ((rules->flags & RESOLVE_ALLOW_SELF) != 0 || rules->own_names == NULL)
		return false;
	for (const char *const *own = rules->own_names; *own != NULL; own++)
		if (span_ieq(span_str(*own), span_str(name)))
			return true;
	return false;
}

static bool
is_own_address(const struct mx_rules *rules, const struct net_addr *addr)
{
	for (size_t i = 0; i < rules->own_addrs; i++)
		if (net_same_ip(&rules->own_addr[i], addr))
			return true;
	return false;
}

static bool
is_usable(const struct mx_rules *rules, const struct net_addr *addr)
{
	return (rules->flags & RESOLVE_ALLOW_SPECIAL) != 0 || !net_is_special(addr);
}

static bool
has_own_address(const struct mx_rules *rules, const struct dns_answer *a)
{
	if ((rules->flags & RESOLVE_ALLOW_SELF) != 0 || a == NULL)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (is_usable(rules, &a->record[i].addr) &&
		    is_own_address(rules, &a->record[i].addr))
			return true;
	return false;
}

static bool
say_self(const char *domain, const struct mx_rules *rules, const struct mx_list *list,
    struct mx_answer *out)
{
	struct buf why;
	buf_init(&why, WHY_ROOM);
	add_heading(&why, domain, rules, list->implicit);
	buf_addf(
	    &why, "%s is this very host, and no other is preferred to it", list->self);
	say(out, MX_SELF, &why);
	return false;
}

/* ---- step one: the records */

struct choice {
	uint16_t preference;
	const char *host;
};

static int
by_preference(const void *pa, const void *pb)
{
	const struct choice *a = pa, *b = pb;
	if (a->preference != b->preference)
		return a->preference < b->preference ? -1 : 1;
	return strcmp(a->host, b->host);
}

/* Sorted; each host once, at its best preference; "." left out. */
static size_t
read_choices(const struct dns_answer *mx, struct choice *choice)
{
	size_t n = 0, kept = 0;
	for (size_t i = 0; i < mx->n; i++)
		if (strcmp(mx->record[i].host, ".") != 0)
			choice[n++] =
			    (struct choice){mx->record[i].preference, mx->record[i].host};
	qsort(choice, n, sizeof(choice[0]), by_preference);
	for (size_t i = 0; i < n; i++) {
		bool seen = false;
		for (size_t j = 0; j < kept && !seen; j++)
			seen = strcmp(choice[i].host, choice[j].host) == 0;
		if (!seen)
			choice[kept++] = choice[i];
	}
	return kept;
}

/* How many of the sorted choices are better than the first that is ours. */
static size_t
before_own(const struct mx_rules *rules, const struct choice *choice, size_t n,
    struct mx_list *list)
{
	size_t own = 0;
	while (own < n && !is_own_name(rules, choice[own].host))
		own++;
	if (own == n)
		return n;
	span_copy(span_str(choice[own].host), list->self, sizeof(list->self));
	while (own > 0 && choice[own - 1].preference == choice[own].preference)
		own--;
	return own;
}

/* Fisher and Yates, in each run of equal preference. */
static void
shuffle(const struct mx_rules *rules, struct choice *choice, size_t n)
{
	for (size_t from = 0, to; from < n; from = to) {
		to = from + 1;
		while (to < n && choice[to].preference == choice[from].preference)
			to++;
		for (size_t i = to - 1; i > from; i--) {
			size_t j = from + (size_t)rules->below(rules->arg, i - from + 1);
			struct choice swap = choice[i];
			choice[i] = choice[j];
			choice[j] = swap;
		}
	}
}

static void
add_target(struct mx_list *list, const char *name, uint16_t preference)
{
	struct mx_target *t = &list->target[list->n++];
	*t = (struct mx_target){.preference = preference};
	span_copy(span_str(name), t->name, sizeof(t->name));
}

static bool
begin_records(const char *domain, const struct dns_answer *mx,
    const struct mx_rules *rules, struct mx_list *list, struct mx_answer *out)
{
	struct choice choice[DNS_RECORD_MAX];
	struct buf why;
	size_t n = read_choices(mx, choice);
	list->uncertain = mx->incomplete;
	if (n == 0) {
		buf_init(&why, WHY_ROOM);
		buf_addf(&why, "MX %s: %s", domain,
		    mx->incomplete ? "malformed records next to a null MX"
				   : "null MX, the domain takes no mail");
		say(out, mx->incomplete ? MX_TEMPORARY : MX_NULL, &why);
		return false;
	}
	n = before_own(rules, choice, n, list);
	if (n == 0)
		return say_self(domain, rules, list, out);
	shuffle(rules, choice, n);
	if (n > MX_HOST_MAX)
		list->uncertain = true;
	for (size_t i = 0; i < n && i < MX_HOST_MAX; i++)
		add_target(list, choice[i].host, choice[i].preference);
	return true;
}

static bool
begin_name(const char *domain, const char *name, const struct mx_rules *rules,
    struct mx_list *list, struct mx_answer *out)
{
	if (is_own_name(rules, name)) {
		span_copy(span_str(name), list->self, sizeof(list->self));
		return say_self(domain, rules, list, out);
	}
	add_target(list, name, 0);
	return true;
}

bool
mx_begin(const char *domain, const struct dns_answer *mx, const struct mx_rules *rules,
    struct mx_list *list, struct mx_answer *out)
{
	*list = (struct mx_list){0};
	*out = (struct mx_answer){0};
	if (mx == NULL)
		return begin_name(domain, domain, rules, list, out);
	if (mx->kind == DNS_DATA)
		return begin_records(domain, mx, rules, list, out);
	if (mx->kind == DNS_NODATA) {
		list->implicit = true;
		return begin_name(
		    domain, mx->alias ? mx->alias : domain, rules, list, out);
	}
	bool gone = mx->kind == DNS_NXDOMAIN;
	struct buf why;
	buf_init(&why, WHY_ROOM);
	buf_addf(
	    &why, "MX %s: %s", domain, gone ? "no such domain (NXDOMAIN)" : mx->trouble);
	if (gone && mx->alias != NULL)
		buf_addf(&why, "; it is an alias of %s", mx->alias);
	say(out, gone ? MX_NO_DOMAIN : MX_TEMPORARY, &why);
	return false;
}

/* ---- step two: the addresses */

/* If an address is ours, drop that host and all that are not better (RFC 5321 5.1). */
static void
drop_own(const struct mx_rules *rules, struct mx_list *list)
{
	size_t kept = 0;
	for (size_t i = 0; i < list->n; i++) {
		const struct mx_target *t = &list->target[i];
		if (!has_own_address(rules, t->a) && !has_own_address(rules, t->aaaa))
			continue;
		span_copy(span_str(t->name), list->self, sizeof(list->self));
		while (kept < i && list->target[kept].preference < t->preference)
			kept++;
		list->n = kept;
	}
}

static void
add_address(const struct mx_rules *rules, struct mx_host *h, const struct net_addr *addr)
{
	if (h->addrs == MX_ADDR_MAX || !is_usable(rules, addr))
		return;
	for (size_t i = 0; i < h->addrs; i++)
		if (net_same_ip(&h->addr[i], addr))
			return;
	h->addr[h->addrs++] = *addr;
}

static size_t
count(const struct dns_answer *a)
{
	return a ? a->n : 0;
}

static bool
failed(const struct dns_answer *a)
{
	return a != NULL && a->kind == DNS_FAILED;
}

static void
fill_host(const struct mx_rules *rules, const struct mx_target *t, struct mx_host *h)
{
	*h = (struct mx_host){.preference = t->preference};
	memcpy(h->name, t->name, sizeof(h->name));
	for (size_t i = 0; i < count(t->a) || i < count(t->aaaa); i++) {
		if (i < count(t->aaaa))
			add_address(rules, h, &t->aaaa->record[i].addr);
		if (i < count(t->a))
			add_address(rules, h, &t->a->record[i].addr);
	}
	h->temporary = h->addrs == 0 && (failed(t->a) || failed(t->aaaa));
}

static const struct net_addr *
first_address(const struct mx_target *t)
{
	if (count(t->aaaa) > 0)
		return &t->aaaa->record[0].addr;
	return count(t->a) > 0 ? &t->a->record[0].addr : NULL;
}

static bool
is_nxdomain(const struct mx_target *t)
{
	return (t->a != NULL && t->a->kind == DNS_NXDOMAIN) ||
	       (t->aaaa != NULL && t->aaaa->kind == DNS_NXDOMAIN);
}

static void
describe_target(struct buf *b, const struct mx_target *t, const struct mx_host *h)
{
	char ip[NET_TEXT];
	const struct net_addr *special = first_address(t);
	if (h->addrs > 0) {
		buf_addf(b, "%s (%zu address%s)", t->name, h->addrs,
		    h->addrs == 1 ? "" : "es");
	} else if (h->temporary) {
		const char *type = failed(t->a) ? "A" : "AAAA";
		buf_addf(b, "%s %s: %s", t->name, type,
		    failed(t->a) ? t->a->trouble : t->aaaa->trouble);
	} else if (special != NULL) {
		net_format_ip(special, ip);
		buf_addf(b, "%s: %s is no address for mail", t->name, ip);
	} else {
		buf_addf(
		    b, "%s: %s", t->name, is_nxdomain(t) ? "no such name" : "no address");
	}
}

/* Hosts of one kind, each with what is to be said of it. */
static void
describe(struct buf *b, const struct mx_list *list, const struct mx_host *host,
    bool (*of_kind)(const struct mx_host *), const char **comma)
{
	for (size_t i = 0; i < list->n; i++)
		if (of_kind(&host[i])) {
			buf_add_str(b, *comma);
			describe_target(b, &list->target[i], &host[i]);
			*comma = "; ";
		}
}

static bool
has_address(const struct mx_host *h)
{
	return h->addrs > 0;
}

static bool
is_temporary(const struct mx_host *h)
{
	return h->temporary;
}

static bool
is_hopeless(const struct mx_host *h)
{
	return h->addrs == 0 && !h->temporary;
}

static size_t
count_hosts(const struct mx_list *list, const struct mx_host *host,
    bool (*of_kind)(const struct mx_host *))
{
	size_t n = 0;
	for (size_t i = 0; i < list->n; i++)
		n += of_kind(&host[i]);
	return n;
}

static enum mx_outcome
judge(
    const struct mx_rules *rules, const struct mx_list *list, const struct mx_host *host)
{
	if (list->n == 0)
		return MX_SELF;
	if (count_hosts(list, host, has_address) > 0)
		return MX_HOSTS;
	if (count_hosts(list, host, is_temporary) > 0 || list->uncertain)
		return MX_TEMPORARY;
	if ((rules->flags & RESOLVE_HOST) != 0 && is_nxdomain(&list->target[0]))
		return MX_NO_DOMAIN;
	return MX_NO_HOST;
}

/* Those with addresses first, otherwise the order stays. */
static void
usable_first(struct mx_host *host, size_t n)
{
	size_t usable = 0;
	for (size_t i = 0; i < n; i++) {
		if (!has_address(&host[i]))
			continue;
		struct mx_host h = host[i];
		memmove(&host[usable + 1], &host[usable], (i - usable) * sizeof(h));
		host[usable++] = h;
	}
}

void
mx_conclude(const char *domain, const struct mx_rules *rules, struct mx_list *list,
    struct mx_answer *out)
{
	const char *comma = "";
	struct buf why;
	drop_own(rules, list);
	out->implicit = list->implicit;
	out->hosts = list->n;
	for (size_t i = 0; i < list->n; i++)
		fill_host(rules, &list->target[i], &out->host[i]);
	enum mx_outcome outcome = judge(rules, list, out->host);
	if (outcome == MX_SELF) {
		(void)say_self(domain, rules, list, out);
		return;
	}
	buf_init(&why, WHY_ROOM);
	add_heading(&why, domain, rules, list->implicit);
	describe(&why, list, out->host, has_address, &comma);
	describe(&why, list, out->host, is_temporary, &comma);
	describe(&why, list, out->host, is_hopeless, &comma);
	if (list->uncertain && outcome == MX_TEMPORARY)
		buf_add_str(&why, "; other MX records were malformed or too many");
	say(out, outcome, &why);
	usable_first(out->host, out->hosts);
}

/* ---- address literals */

enum err
mx_read_literal(struct span text, struct net_addr *out)
{
	if (text.n < 2 || text.p[0] != '[' || text.p[text.n - 1] != ']')
		return ERR_SYNTAX;
	struct span inner = span_cut(text, 1, text.n - 2);
	bool six = span_istarts(inner, SPAN("IPv6:"));
	if (six)
		inner = span_cut(inner, 5, inner.n);
	if (six != (span_find(inner, ':') < inner.n))
		return ERR_SYNTAX;
	return net_parse_ip(inner, out);
}

static enum mx_outcome
judge_literal(
    const struct mx_rules *rules, const struct net_addr *addr, const char **because)
{
	if (!is_usable(rules, addr)) {
		*because = "no address for mail";
		return MX_NO_HOST;
	}
	if ((rules->flags & RESOLVE_ALLOW_SELF) == 0 && is_own_address(rules, addr)) {
		*because = "an address of this very host";
		return MX_SELF;
	}
	*because = "an address literal";
	return MX_HOSTS;
}

void
mx_from_literal(struct span text, const struct mx_rules *rules, struct mx_answer *out)
{
	struct buf why;
	struct net_addr addr = {0};
	const char *because = "no address literal";
	enum mx_outcome outcome = MX_NO_DOMAIN;
	if (mx_read_literal(text, &addr) == OK)
		outcome = judge_literal(rules, &addr, &because);
	if (outcome == MX_HOSTS) {
		out->hosts = 1;
		out->host[0] = (struct mx_host){.addr = {addr}, .addrs = 1};
		span_copy(text, out->host[0].name, sizeof(out->host[0].name));
	}
	buf_init(&why, WHY_ROOM);
	buf_add_escaped(&why, span_cut(text, 0, 80));
	buf_addf(&why, ": %s", because);
	say(out, outcome, &why);
}
