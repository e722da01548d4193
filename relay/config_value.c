/* SPDX-License-Identifier: ISC */
/* config_value - one value: from text into the field of its key, by its type. */
#include "relay/config_private.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/when.h"
#include "policy/address.h"

#define SHOWN "\"%.*s\""
#define SHOW(v) \
	((v)->text.n > 80 ? 80 : (int)(v)->text.n), ((v)->text.n ? (v)->text.p : "")

_Static_assert(
    sizeof(enum listener_tls) == sizeof(unsigned), "words are stored as unsigned");

struct value {
	struct reading *r;
	const struct block *block;
	const struct config_key *key;
	struct span text;
	struct place at;
	void *field;
	size_t *count;
};

struct type_info {
	const char *name;
	bool list;
	size_t size; /* of the field, to compare; 0: a string */
	bool (*take)(struct value *v);
};

static const struct type_info types[TYPE_N];

/* ---- what is wrong */

static bool __attribute__((format(printf, 2, 3)))
wrong(const struct value *v, const char *fmt, ...)
{
	struct buf text;
	va_list ap;
	buf_init(&text, 4096);
	block_add_name(v->block, &text);
	buf_addf(&text, "%s = ", v->key->name);
	va_start(ap, fmt);
	buf_addv(&text, fmt, ap);
	va_end(ap);
	reading_problem(v->r, v->at, "%.*s", SPAN_ARG(buf_span(&text)));
	buf_clear(&text);
	return false;
}

static void
add_amount(const struct config_key *k, uint64_t n, struct buf *out)
{
	switch (k->type) {
	case TYPE_SIZE:
		units_add_size(out, n);
		buf_add_str(out, n != 0 && n < 1024 ? "B" : "");
		break;
	case TYPE_DURATION:
		if (n > 0 && n < (uint64_t)SECOND_MS)
			buf_addf(out, "%ums", (unsigned)n);
		else if (n > 0)
			duration_add(out, (int64_t)n);
		else
			buf_add_char(out, '0');
		break;
	case TYPE_PERCENT: buf_addf(out, "%u%%", (unsigned)n); break;
	default: buf_addf(out, "%u", (unsigned)n);
	}
}

static bool
in_range(const struct value *v, enum err e, uint64_t n)
{
	const struct config_key *k = v->key;
	if (e == OK && n >= k->min && n <= k->max)
		return true;
	struct buf bounds;
	buf_init(&bounds, 200);
	add_amount(k, k->min, &bounds);
	buf_add_str(&bounds, " to ");
	add_amount(k, k->max, &bounds);
	wrong(v, SHOWN " is out of range; write %.*s", SHOW(v),
	    SPAN_ARG(buf_span(&bounds)));
	buf_clear(&bounds);
	return false;
}

/* ---- numbers */

static bool
take_number(const struct value *v, uint64_t *n)
{
	*n = 0;
	enum err e = units_u64(v->text, UINT64_MAX, n);
	if (e == ERR_SYNTAX)
		return wrong(
		    v, SHOWN " is not a number; write digits without a unit", SHOW(v));
	return in_range(v, e, *n);
}

static bool
take_count(struct value *v)
{
	uint64_t n;
	if (!take_number(v, &n))
		return false;
	*(unsigned *)v->field = (unsigned)n;
	return true;
}

static bool
take_port(struct value *v)
{
	uint64_t n;
	if (!take_number(v, &n))
		return false;
	*(uint16_t *)v->field = (uint16_t)n;
	return true;
}

static bool
take_size(struct value *v)
{
	uint64_t n = 0;
	enum err e = units_size(v->text, &n);
	if (e == ERR_SYNTAX)
		return wrong(v,
		    SHOWN " is not a size; write a number with B, K, M, G or T: \"64M\"",
		    SHOW(v));
	if (!in_range(v, e, n))
		return false;
	*(uint64_t *)v->field = n;
	return true;
}

static bool
take_duration(struct value *v)
{
	int64_t ms = 0;
	enum err e = units_duration(v->text, &ms);
	if (e == ERR_SYNTAX)
		return wrong(v,
		    SHOWN " is not a duration; write numbers with ms, s, m, h, d or w: "
			  "\"1h30m\"",
		    SHOW(v));
	if (!in_range(v, e, (uint64_t)ms))
		return false;
	*(int64_t *)v->field = ms;
	return true;
}

static bool
take_percent(struct value *v)
{
	unsigned n = 0;
	enum err e = units_percent(v->text, &n);
	if (e == ERR_SYNTAX)
		return wrong(
		    v, SHOWN " is not a percentage; write it like \"10%%\"", SHOW(v));
	if (!in_range(v, e, n))
		return false;
	*(unsigned *)v->field = n;
	return true;
}

static bool
take_mode(struct value *v)
{
	unsigned mode = 0;
	bool octal = v->text.n >= 3 && v->text.n <= 4;
	for (size_t i = 0; octal && i < v->text.n; i++) {
		octal = v->text.p[i] >= '0' && v->text.p[i] <= '7';
		mode = mode * 8 + (unsigned)(v->text.p[i] - '0');
	}
	if (!octal || mode > v->key->max)
		return wrong(
		    v, SHOWN " is not a mode; write octal digits like \"0660\"", SHOW(v));
	*(unsigned *)v->field = mode;
	return true;
}

/* ---- words */

static bool
take_bool(struct value *v)
{
	static const char *const words[] = {
	    "true", "false", "yes", "no", "on", "off", NULL};
	for (size_t i = 0; words[i] != NULL; i++) {
		if (span_ieq(v->text, span_str(words[i]))) {
			*(bool *)v->field = i % 2 == 0;
			return true;
		}
	}
	return wrong(v, SHOWN " is neither true nor false; write one of them", SHOW(v));
}

static bool
take_word(struct value *v)
{
	const struct config_key *k = v->key;
	for (unsigned i = 0; k->words[i] != NULL; i++) {
		if (span_eq(v->text, span_str(k->words[i]))) {
			*(unsigned *)v->field = i;
			return true;
		}
	}
	char *word = span_dup(v->text);
	const char *later = config_later(k->section, k->name, word);
	struct buf hint;
	buf_init(&hint, 500);
	config_hint_word(k->words, word, &hint);
	if (later != NULL)
		wrong(v, SHOWN ": %s", SHOW(v), later);
	else
		wrong(v, SHOWN " is not known%.*s", SHOW(v), SPAN_ARG(buf_span(&hint)));
	buf_clear(&hint);
	mem_free(&word);
	return false;
}

/* ---- strings */

static bool
keep(struct value *v, char *text)
{
	mem_free((char **)v->field);
	*(char **)v->field = text;
	return true;
}

static bool
take_text(struct value *v)
{
	if (v->text.n < v->key->min)
		return wrong(v, "\"\" is empty; leave the line out instead");
	if (v->text.n > v->key->max)
		return wrong(v, SHOWN " is too long; %u octets are the most", SHOW(v),
		    (unsigned)v->key->max);
	for (size_t i = 0; i < v->text.n; i++)
		if ((unsigned char)v->text.p[i] < 0x20 || v->text.p[i] == 0x7f)
			return wrong(v,
			    SHOWN " has control characters in it; remove them", SHOW(v));
	return keep(v, span_dup(v->text));
}

/* Relative to the configuration's own directory: a file and its secrets move together. */
static char *
beside_config(const struct value *v)
{
	const char *file = v->r->files > 0 ? v->r->file[0] : "";
	const char *slash = strrchr(file, '/');
	struct buf path;
	buf_init(&path, 0);
	if (slash != NULL && v->text.p[0] != '/')
		buf_add(&path, file, (size_t)(slash - file) + 1);
	buf_add_span(&path, v->text);
	return buf_take(&path);
}

static bool
take_file(struct value *v)
{
	if (!take_text(v))
		return false;
	return keep(v, beside_config(v));
}

static bool
take_path(struct value *v)
{
	if (v->text.n > 0 && v->text.p[0] != '/')
		return wrong(
		    v, SHOWN " is a relative path; write all of it, from the /", SHOW(v));
	return take_text(v);
}

/* A domain's canonical form, NULL if it is none. An address is not. */
static char *
domain_name(struct span text)
{
	struct net_addr ip;
	struct buf b;
	buf_init(&b, 1024);
	char *name = NULL;
	if (text.n > 0 && text.p[0] != '[' && net_parse_ip(text, &ip) != OK &&
	    domain_canonical(text, &b) == OK)
		name = buf_take(&b);
	buf_clear(&b);
	return name;
}

/* Labels as RFC 1123 2.1 has them; the DNS itself would take more. */
static bool
is_host_name(const char *name)
{
	for (const char *p = name; *p != '\0'; p++) {
		bool first = p == name || p[-1] == '.',
		     last = p[1] == '.' || p[1] == '\0';
		if (*p == '_' || (*p == '-' && (first || last)))
			return false;
	}
	return true;
}

static bool
take_domain(struct value *v)
{
	char *name = domain_name(v->text);
	if (name != NULL && !is_host_name(name))
		mem_free(&name);
	if (name == NULL)
		return wrong(v,
		    SHOWN " is not a domain name; write it like \"mail.example.org\"",
		    SHOW(v));
	return keep(v, name);
}

static bool
take_zone(struct value *v)
{
	char *name = domain_name(v->text);
	if (name == NULL)
		return wrong(v,
		    SHOWN " is not a zone of the DNS; write it like \"bl.example.org\"",
		    SHOW(v));
	return keep(v, name);
}

static bool
take_mailbox(struct value *v)
{
	struct address a;
	if (address_parse(v->text, &a) != OK || a.domain.n == 0)
		return wrong(v,
		    SHOWN " is not a mail address; write it like \"root@example.org\"",
		    SHOW(v));
	return keep(v, span_dup(v->text));
}

/* ---- lists */

/* Room for one more element at the end of the field's array; not yet counted. */
static void *
one_more(struct value *v, size_t size)
{
	char **array = v->field;
	*array = mem_resize(*array, *v->count + 1, size);
	return *array + *v->count * size;
}

static bool
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

static bool
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

static bool
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

static bool
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

static bool
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
static bool
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

static bool
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

static bool
take_rewrite(struct value *v)
{
	return take_rewriting(v, rewrite_parse);
}

static bool
take_masquerade(struct value *v)
{
	return take_rewriting(v, rewrite_masquerade);
}

static bool
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

static bool
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

static bool
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

static bool
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

/* ---- the types */

static const struct type_info types[TYPE_N] = {
    [TYPE_COUNT] = {"number", false, sizeof(unsigned), take_count},
    [TYPE_PORT] = {"number", false, sizeof(uint16_t), take_port},
    [TYPE_SIZE] = {"size", false, sizeof(uint64_t), take_size},
    [TYPE_DURATION] = {"duration", false, sizeof(int64_t), take_duration},
    [TYPE_PERCENT] = {"percentage", false, sizeof(unsigned), take_percent},
    [TYPE_BOOL] = {"boolean", false, sizeof(bool), take_bool},
    [TYPE_WORD] = {"word", false, sizeof(unsigned), take_word},
    [TYPE_MODE] = {"octal mode", false, sizeof(unsigned), take_mode},
    [TYPE_TEXT] = {"text", false, 0, take_text},
    [TYPE_PATH] = {"absolute path", false, 0, take_path},
    [TYPE_DOMAIN] = {"domain name", false, 0, take_domain},
    [TYPE_MAILBOX] = {"mail address", false, 0, take_mailbox},
    [TYPE_FILE] = {"file", false, 0, take_file},
    [TYPE_ZONE] = {"zone", false, 0, take_zone},
    [TYPE_NETWORKS] = {"list of networks", true, 0, take_network},
    [TYPE_BIND] = {"list of addresses with ports", true, 0, take_bind},
    [TYPE_PATTERNS] = {"list of patterns", true, 0, take_pattern},
    [TYPE_HOPS] = {"list of servers", true, 0, take_hop},
    [TYPE_SERVERS] = {"list of addresses", true, 0, take_server},
    [TYPE_NAMES] = {"list of names", true, 0, take_name},
    [TYPE_PATHS] = {"list of files", true, 0, take_file_of_list},
    [TYPE_FINGERPRINTS] = {"list of fingerprints", true, 0, take_fingerprint},
    [TYPE_RATES] = {"list of rates", true, 0, take_rate},
    [TYPE_REWRITES] = {"list of rewritings", true, 0, take_rewrite},
    [TYPE_MASQUERADE] = {"list of domains", true, 0, take_masquerade},
    [TYPE_SOURCE] = {"list of addresses", true, 0, take_source},
    [TYPE_SOCKS] = {"proxy", true, 0, take_socks},
};

bool
value_set(struct reading *r, const struct block *b, const struct config_key *k,
    struct span text, struct place at, void *base)
{
	struct value v = {r, b, k, text, at, (char *)base + k->field, NULL};
	v.count = (size_t *)(void *)((char *)base + k->count);
	return types[k->type].take(&v);
}

bool
value_is_list(enum config_type t)
{
	return types[t].list;
}

const char *
value_type_name(const struct config_key *k, struct buf *room)
{
	if (k->type != TYPE_WORD)
		return types[k->type].name;
	for (const char *const *w = k->words; *w != NULL; w++)
		buf_addf(room, "%s%s", w == k->words ? "" : w[1] ? ", " : " or ", *w);
	buf_add_char(room, '\0');
	return room->p;
}

static bool
same_string(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool
value_same(const struct config_key *k, const void *a, const void *b)
{
	const struct type_info *t = &types[k->type];
	const char *fa = (const char *)a + k->field, *fb = (const char *)b + k->field;
	if (t->size > 0)
		return memcmp(fa, fb, t->size) == 0;
	CHECK(!t->list || k->type == TYPE_SERVERS);
	return same_string(
	    *(char *const *)(const void *)fa, *(char *const *)(const void *)fb);
}
