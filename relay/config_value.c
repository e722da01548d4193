/* SPDX-License-Identifier: ISC */
/* config_value - one value: from text into the field of its key, by its type. */
#include "relay/config_value.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/when.h"
#include "policy/address.h"

_Static_assert(
    sizeof(enum listener_tls) == sizeof(unsigned), "words are stored as unsigned");

struct type_info {
	const char *name;
	bool list;
	size_t size; /* of the field, to compare; 0: a string */
	bool (*take)(struct value *v);
};

static const struct type_info types[TYPE_N];

/* ---- what is wrong */

bool
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
	struct buf hint;
	buf_init(&hint, 500);
	config_hint_word(k->words, word, &hint);
	wrong(v, SHOWN " is not known%.*s", SHOW(v), SPAN_ARG(buf_span(&hint)));
	buf_clear(&hint);
	mem_free(&word);
	return false;
}

/* ---- strings */

bool
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
char *
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

char *
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
    [TYPE_DOMAINS] = {"list of domains", true, 0, take_domain_of_list},
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

static void
add_bound(const struct config_key *k, uint64_t v, struct buf *out)
{
	if (k->type == TYPE_DURATION && v > 0 && v < (uint64_t)SECOND_MS)
		buf_addf(out, "%" PRIu64 "ms", v);
	else if (k->type == TYPE_DURATION)
		duration_add(out, (int64_t)v);
	else if (k->type == TYPE_SIZE)
		units_add_size(out, v);
	else
		buf_addf(out, "%" PRIu64 "%s", v, k->type == TYPE_PERCENT ? "%" : "");
}

void
value_add_range(const struct config_key *k, struct buf *out)
{
	bool number = k->type == TYPE_COUNT || k->type == TYPE_SIZE ||
		      k->type == TYPE_PORT || k->type == TYPE_DURATION ||
		      k->type == TYPE_PERCENT;
	if (!number || k->max == 0)
		return;
	add_bound(k, k->min, out);
	buf_add_str(out, " to ");
	add_bound(k, k->max, out);
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
