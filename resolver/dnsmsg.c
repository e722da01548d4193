/* SPDX-License-Identifier: ISC */
/*
 * dnsmsg - DNS messages, read with a cursor that goes bad and stays bad.
 *
 * dns_read_answer() walks the whole message once to see that it is sound and to
 * find OPT and SOA; then, per hop of the CNAME chain, it walks the answer
 * section again.  Servers may order records as they like, and a message has at
 * most 64 KiB, so that walking nine times is cheaper than remembering.
 */
#include "resolver/dnsmsg.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define HEADER 12
#define WIRE_NAME_MAX 255
#define CLASS_IN 1

enum {
	FLAG_QR = 0x8000,
	FLAG_OPCODE = 0x7800,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	FLAG_AD = 0x0020
};

/* ---- the cursor */

struct cursor {
	struct span msg;
	size_t at;
	bool bad; /* something did not fit; what is read from now on is zero */
};

struct name {
	char text[DNS_NAME_MAX];
	bool host; /* every octet may stand in a host name; otherwise text is not to be
		      shown */
};

struct rr {
	struct name owner;
	uint16_t type, class;
	uint32_t ttl;
	size_t data, len; /* where the rdata is */
};

static unsigned
octet(const struct cursor *c, size_t at)
{
	return (unsigned char)c->msg.p[at];
}

static bool
have(struct cursor *c, size_t n)
{
	if (c->bad || c->msg.n - c->at < n)
		c->bad = true;
	return !c->bad;
}

static uint16_t
take16(struct cursor *c)
{
	if (!have(c, 2))
		return 0;
	unsigned v = octet(c, c->at) << 8 | octet(c, c->at + 1);
	c->at += 2;
	return (uint16_t)v;
}

static uint32_t
take32(struct cursor *c)
{
	uint32_t high = take16(c);
	return high << 16 | take16(c);
}

static bool
is_host_octet(unsigned char ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
	       (ch >= '0' && ch <= '9') || ch == '-' || ch == '_';
}

/* Append a label to the text; room was checked through the wire length. */
static size_t
add_label(struct name *out, size_t n, const char *label, size_t len)
{
	if (n > 0)
		out->text[n++] = '.';
	for (size_t i = 0; i < len; i++) {
		out->host = out->host && is_host_octet((unsigned char)label[i]);
		out->text[n++] = ascii_lower(label[i]);
	}
	return n;
}

/*
 * Follow labels from *at to the root.  Each pointer must lead before `part`, the
 * start of the part in which it stands: so there is an end to them.  Returns
 * the length of the text, or -1; *at is then behind the name in the stream.
 */
static int
walk_name(const struct cursor *c, size_t *at, struct name *out)
{
	size_t part = *at, i = *at, wire = 0, n = 0;
	bool jumped = false;
	for (;;) {
		if (i >= c->msg.n)
			return -1;
		size_t len = octet(c, i);
		if (len >= 0xc0) {
			if (i + 1 >= c->msg.n)
				return -1;
			size_t to = (len & 0x3f) << 8 | octet(c, i + 1);
			if (to >= part || to < HEADER)
				return -1;
			if (!jumped)
				*at = i + 2;
			jumped = true;
			part = i = to;
			continue;
		}
		wire += len + 1;
		if (len > 63 || len > c->msg.n - i - 1 || wire > WIRE_NAME_MAX)
			return -1;
		i++;
		if (len == 0)
			break;
		n = add_label(out, n, c->msg.p + i, len);
		i += len;
	}
	if (!jumped)
		*at = i;
	return (int)n;
}

static void
take_name(struct cursor *c, struct name *out)
{
	out->host = true;
	out->text[0] = '\0';
	if (c->bad)
		return;
	int n = walk_name(c, &c->at, out);
	if (n < 0) {
		c->bad = true;
		n = 0;
	}
	if (n == 0)
		out->text[n++] = '.';
	out->text[n] = '\0';
}

static void
take_rr(struct cursor *c, struct rr *rr)
{
	take_name(c, &rr->owner);
	rr->type = take16(c);
	rr->class = take16(c);
	rr->ttl = take32(c);
	rr->len = take16(c);
	rr->data = c->at;
	if (rr->type != DNS_OPT && rr->ttl > INT32_MAX) /* RFC 2181 8 */
		rr->ttl = 0;
	if (have(c, rr->len))
		c->at += rr->len;
}

/* A cursor over the rdata; names in it may still point back into the message. */
static struct cursor
rdata(const struct cursor *c, const struct rr *rr)
{
	return (struct cursor){.msg = {c->msg.p, rr->data + rr->len}, .at = rr->data};
}

static bool
rdata_ends(const struct cursor *d)
{
	return !d->bad && d->at == d->msg.n;
}

/* ---- answers */

struct dns_answer *
dns_answer_ref(struct dns_answer *a)
{
	a->refs++;
	return a;
}

static void
record_clear(struct dns_record *rec)
{
	mem_free(&rec->host);
	mem_free(&rec->text);
}

void
dns_answer_unref(struct dns_answer **ap)
{
	struct dns_answer *a = *ap;
	*ap = NULL;
	if (a == NULL || --a->refs > 0)
		return;
	for (size_t i = 0; i < a->n; i++)
		record_clear(&a->record[i]);
	mem_free(&a->record);
	mem_free(&a->alias);
	mem_free(&a);
}

size_t
dns_answer_size(const struct dns_answer *a)
{
	size_t size = sizeof(*a) + a->n * sizeof(a->record[0]);
	if (a->alias != NULL)
		size += strlen(a->alias) + 1;
	for (size_t i = 0; i < a->n; i++) {
		const struct dns_record *rec = &a->record[i];
		size += rec->host != NULL ? strlen(rec->host) + 1 : 0;
		size += rec->text != NULL ? strlen(rec->text) + 1 : 0;
	}
	return size;
}

static struct dns_answer *
answer_new(void)
{
	struct dns_answer *a = NEW(struct dns_answer);
	a->refs = 1;
	return a;
}

static void
fail(struct dns_answer *a, const char *trouble)
{
	a->kind = DNS_FAILED;
	span_copy(span_str(trouble), a->trouble, sizeof(a->trouble));
	for (size_t i = 0; i < a->n; i++)
		record_clear(&a->record[i]);
	a->n = 0;
}

struct dns_answer *
dns_answer_failed(const char *trouble)
{
	struct dns_answer *a = answer_new();
	fail(a, trouble);
	return a;
}

static void
set_alias(struct dns_answer *a, const char *to)
{
	mem_free(&a->alias);
	a->alias = mem_strdup(to);
}

/* The place for a record of this preference, or NULL if it is worse than all that are
 * kept. */
static struct dns_record *
record_slot(struct dns_answer *a, uint16_t preference)
{
	if (a->n < DNS_RECORD_MAX) {
		if ((a->n & (a->n - 1)) == 0)
			a->record = mem_resize(
			    a->record, a->n ? a->n * 2 : 1, sizeof(a->record[0]));
		return memset(&a->record[a->n++], 0, sizeof(a->record[0]));
	}
	a->incomplete = true;
	struct dns_record *worst = &a->record[0];
	for (size_t i = 1; i < a->n; i++)
		if (a->record[i].preference > worst->preference)
			worst = &a->record[i];
	if (worst->preference <= preference)
		return NULL;
	record_clear(worst);
	return worst;
}

static void
add_mx(struct dns_answer *a, struct cursor *d)
{
	struct name host;
	uint16_t preference = take16(d);
	take_name(d, &host);
	if (!rdata_ends(d) || !host.host) {
		a->incomplete = true;
		return;
	}
	struct dns_record *rec = record_slot(a, preference);
	if (rec == NULL)
		return;
	*rec =
	    (struct dns_record){.preference = preference, .host = mem_strdup(host.text)};
}

/* By way of a sockaddr, because that folds IPv4-mapped addresses: ::ffff:127.0.0.1 is
 * loopback. */
static void
read_ip(const char *p, uint16_t type, struct net_addr *out)
{
	struct sockaddr_storage ss = {.ss_family = type == DNS_A ? AF_INET : AF_INET6};
	if (type == DNS_A)
		memcpy(&((struct sockaddr_in *)&ss)->sin_addr, p, 4);
	else
		memcpy(&((struct sockaddr_in6 *)&ss)->sin6_addr, p, 16);
	net_from_sockaddr((const struct sockaddr *)&ss, out);
}

static void
add_address(struct dns_answer *a, const struct cursor *d, uint16_t type)
{
	size_t len = d->msg.n - d->at;
	if (len != (type == DNS_A ? 4u : 16u)) {
		a->incomplete = true;
		return;
	}
	struct dns_record *rec = record_slot(a, 0);
	if (rec == NULL)
		return;
	read_ip(d->msg.p + d->at, type, &rec->addr);
}

/* Strings of a length octet each (RFC 1035 3.3.14): together they fill the rdata. */
static bool
take_strings(struct cursor *d, struct buf *out)
{
	if (d->at == d->msg.n)
		return false;
	while (!rdata_ends(d)) {
		size_t len = have(d, 1) ? octet(d, d->at++) : 0;
		if (!have(d, len))
			return false;
		for (size_t i = 0; i < len; i++) {
			char ch = d->msg.p[d->at + i];
			buf_add_char(out, ch >= 0x20 && ch < 0x7f ? ch : '?');
		}
		d->at += len;
	}
	return true;
}

static void
add_text(struct dns_answer *a, struct cursor *d)
{
	struct buf text;
	buf_init(&text, 0);
	struct dns_record *rec = take_strings(d, &text) ? record_slot(a, 0) : NULL;
	if (rec != NULL)
		rec->text = span_dup(span_cut(buf_span(&text), 0, DNS_TEXT_MAX));
	else
		a->incomplete = true;
	buf_clear(&text);
}

static void
add_record(struct dns_answer *a, const struct cursor *c, const struct rr *rr)
{
	struct cursor d = rdata(c, rr);
	if (rr->type == DNS_MX)
		add_mx(a, &d);
	else if (rr->type == DNS_TXT)
		add_text(a, &d);
	else
		add_address(a, &d, rr->type);
}

/* ---- reading an answer */

struct reading {
	struct cursor c;
	struct dns_answer *a;
	const char *name; /* what was asked */
	uint16_t id, type;
	uint16_t flags,
	    count[4]; /* questions, answers, authorities, additional records */
	size_t answers_at;
	bool soa, ns;
	uint32_t negative_ttl;
	char soa_owner[DNS_NAME_MAX];
};

static void
see_soa(struct reading *r, const struct rr *rr)
{
	struct cursor d = rdata(&r->c, rr);
	struct name name;
	take_name(&d, &name);
	take_name(&d, &name);
	for (int i = 0; i < 4; i++)
		(void)take32(&d);
	uint32_t minimum = take32(&d);
	if (!rdata_ends(&d) || !rr->owner.host)
		return;
	r->soa = true;
	r->negative_ttl = minimum < rr->ttl ? minimum : rr->ttl;
	span_copy(span_str(rr->owner.text), r->soa_owner, sizeof(r->soa_owner));
}

static void
see_opt(struct reading *r, const struct rr *rr)
{
	r->a->opt = true;
	r->a->rcode |= (rr->ttl >> 24) << 4;
}

/* One pass over all records: the message is sound, and OPT and SOA are known. */
static bool
survey(struct reading *r)
{
	struct rr rr;
	r->answers_at = r->c.at;
	for (int section = 1; section < 4; section++)
		for (unsigned i = 0; i < r->count[section] && !r->c.bad; i++) {
			take_rr(&r->c, &rr);
			if (r->c.bad)
				break;
			if (section == 3 && rr.type == DNS_OPT && !r->a->opt)
				see_opt(r, &rr);
			if (section == 2 && rr.type == DNS_SOA && rr.class == CLASS_IN)
				see_soa(r, &rr);
			if (section == 2 && rr.type == DNS_NS && rr.class == CLASS_IN)
				r->ns = true;
		}
	return !r->c.bad;
}

static void
ttl_at_most(struct dns_answer *a, uint32_t ttl)
{
	if (ttl < a->ttl)
		a->ttl = ttl;
}

/*
 * The records of `name` in the answer section.  True if there are some of the
 * type asked for; otherwise *target is where a CNAME leads ("" if there is none).
 */
static bool
records_of(struct reading *r, const char *name, struct name *target)
{
	struct cursor c = {.msg = r->c.msg, .at = r->answers_at};
	struct rr rr;
	uint32_t cname_ttl = 0;
	bool found = false;
	target->text[0] = '\0';
	for (unsigned i = 0; i < r->count[1]; i++) {
		take_rr(&c, &rr);
		if (rr.class != CLASS_IN || !rr.owner.host ||
		    strcmp(rr.owner.text, name) != 0)
			continue;
		if (rr.type == r->type) {
			add_record(r->a, &c, &rr);
			ttl_at_most(r->a, rr.ttl);
			found = true;
		} else if (rr.type == DNS_CNAME && target->text[0] == '\0') {
			struct cursor d = rdata(&c, &rr);
			take_name(&d, target);
			target->host = target->host && rdata_ends(&d);
			cname_ttl = rr.ttl;
		}
	}
	if (!found && target->text[0] != '\0')
		ttl_at_most(r->a, cname_ttl);
	return found;
}

/* From the question along the CNAMEs to the records. Sets trouble if the chain is none.
 */
static const char *
follow(struct reading *r, bool *found)
{
	struct name target;
	const char *name = r->name;
	r->a->ttl = INT32_MAX;
	for (;;) {
		*found = records_of(r, name, &target);
		if (*found || target.text[0] == '\0')
			return NULL;
		if (!target.host)
			return "malformed: a CNAME leads to what is no host name";
		if (++r->a->hops > DNS_HOPS_MAX)
			return "malformed: CNAME loop, or a chain of more than 8";
		set_alias(r->a, target.text);
		name = r->a->alias;
	}
}

static bool
is_under(const char *name, const char *zone)
{
	struct span n = span_str(name), z = span_str(zone);
	if (strcmp(zone, ".") == 0 || span_eq(n, z))
		return true;
	return n.n > z.n && span_iends(n, z) && n.p[n.n - z.n - 1] == '.';
}

/* No records: what that means (RFC 2308 2). */
static void
judge_empty(struct reading *r)
{
	struct dns_answer *a = r->a;
	const char *last = a->alias ? a->alias : r->name;
	bool soa = r->soa && is_under(last, r->soa_owner);
	if (a->rcode == DNS_NOERROR && !soa && a->alias != NULL) {
		a->kind = DNS_ALIAS;
		return;
	}
	if (a->rcode == DNS_NOERROR && !r->soa && r->ns) {
		fail(a, "a referral instead of an answer (the server does not recurse)");
		return;
	}
	a->kind = a->rcode == DNS_NOERROR ? DNS_NODATA : DNS_NXDOMAIN;
	ttl_at_most(a, soa ? r->negative_ttl : 0);
}

static void
judge(struct reading *r)
{
	struct dns_answer *a = r->a;
	char word[DNS_WORD];
	if (a->rcode != DNS_NOERROR && a->rcode != DNS_NXRCODE) {
		fail(a, dns_rcode_name(a->rcode, word));
		return;
	}
	bool found = false;
	const char *trouble = follow(r, &found);
	if (trouble != NULL)
		fail(a, trouble);
	else if (found && a->rcode == DNS_NXRCODE)
		fail(a, "malformed: NXDOMAIN with records");
	else if (found && a->n == 0)
		fail(a, "malformed: no record has a proper form");
	else if (found)
		a->kind = DNS_DATA;
	else
		judge_empty(r);
}

static const char *
read_header(struct reading *r)
{
	if (r->c.msg.n < HEADER)
		return "malformed: shorter than a header";
	uint16_t id = take16(&r->c);
	r->flags = take16(&r->c);
	for (int i = 0; i < 4; i++)
		r->count[i] = take16(&r->c);
	r->a->rcode = r->flags & 0xf;
	r->a->authentic = (r->flags & FLAG_AD) != 0;
	if (id != r->id)
		return "malformed: the id is not that of the question";
	if ((r->flags & (FLAG_QR | FLAG_OPCODE)) != FLAG_QR)
		return "malformed: no answer to a query";
	if ((r->flags & FLAG_TC) != 0)
		return "truncated, and TCP did not help";
	return NULL;
}

static const char *
read_question(struct reading *r)
{
	struct name name;
	/* Servers that understand nothing send errors without a question. */
	bool error = r->a->rcode != DNS_NOERROR && r->a->rcode != DNS_NXRCODE;
	if (r->count[0] == 0 && error)
		return NULL;
	if (r->count[0] != 1)
		return "malformed: not exactly one question";
	take_name(&r->c, &name);
	uint16_t type = take16(&r->c);
	uint16_t class = take16(&r->c);
	if (r->c.bad)
		return "malformed: the question is cut or loops";
	if (!name.host || strcmp(name.text, r->name) != 0 || type != r->type ||
	    class != CLASS_IN)
		return "malformed: the question is not ours";
	return NULL;
}

struct dns_answer *
dns_read_answer(struct span msg, uint16_t id, const char *name, uint16_t type)
{
	struct reading r = {
	    .c = {.msg = msg}, .a = answer_new(), .name = name, .id = id, .type = type};
	const char *trouble = read_header(&r);
	if (trouble == NULL)
		trouble = read_question(&r);
	if (trouble == NULL && !survey(&r))
		trouble = "malformed: a record is cut or its name loops";
	if (trouble != NULL)
		fail(r.a, trouble);
	else
		judge(&r);
	return r.a;
}

/* ---- writing */

bool
dns_name_read(struct span text, char out[DNS_NAME_MAX])
{
	if (text.n > 0 && text.p[text.n - 1] == '.')
		text.n--;
	if (text.n == 0 || text.n > WIRE_NAME_MAX - 2)
		return false;
	size_t label = 0;
	for (size_t i = 0; i < text.n; i++) {
		bool dot = text.p[i] == '.';
		if (dot ? label == 0 : !is_host_octet((unsigned char)text.p[i]))
			return false;
		label = dot ? 0 : label + 1;
		if (label > 63)
			return false;
		out[i] = ascii_lower(text.p[i]);
	}
	out[text.n] = '\0';
	return label > 0;
}

static void
add16(struct buf *out, unsigned v)
{
	buf_add_char(out, (char)(v >> 8));
	buf_add_char(out, (char)(v & 0xff));
}

void
dns_add_name(struct buf *out, const char *name)
{
	struct span rest = span_str(strcmp(name, ".") == 0 ? "" : name);
	while (rest.n > 0) {
		size_t len = span_find(rest, '.');
		CHECK(len > 0 && len <= 63);
		buf_add_char(out, (char)len);
		buf_add(out, rest.p, len);
		rest = span_cut(rest, len + 1, rest.n);
	}
	buf_add_char(out, 0);
}

void
dns_add_query(struct buf *out, uint16_t id, const char *name, uint16_t type)
{
	add16(out, id);
	add16(out, FLAG_RD | FLAG_AD);
	add16(out, 1);
	add16(out, 0);
	add16(out, 0);
	add16(out, 1);
	dns_add_name(out, name);
	add16(out, type);
	add16(out, CLASS_IN);
	dns_add_name(out, ".");
	add16(out, DNS_OPT);
	add16(out, DNS_UDP_SIZE);
	add16(out, 0);
	add16(out, 0);
	add16(out, 0);
}

enum err
dns_read_query(struct span msg, struct dns_question *out)
{
	struct cursor c = {.msg = msg};
	struct name name;
	out->id = take16(&c);
	uint16_t flags = take16(&c);
	uint16_t questions = take16(&c);
	(void)take16(&c);
	(void)take32(&c);
	take_name(&c, &name);
	out->type = take16(&c);
	uint16_t class = take16(&c);
	if (c.bad || !name.host || (flags & (FLAG_QR | FLAG_OPCODE)) != 0 ||
	    questions != 1 || class != CLASS_IN)
		return ERR_SYNTAX;
	memcpy(out->name, name.text, sizeof(out->name));
	return OK;
}

/* ---- names of numbers */

const char *
dns_type_name(uint16_t type, char unknown[DNS_WORD])
{
	switch (type) {
	case DNS_A: return "A";
	case DNS_NS: return "NS";
	case DNS_CNAME: return "CNAME";
	case DNS_SOA: return "SOA";
	case DNS_MX: return "MX";
	case DNS_TXT: return "TXT";
	case DNS_AAAA: return "AAAA";
	default: break;
	}
	(void)snprintf(unknown, DNS_WORD, "TYPE%u", type);
	return unknown;
}

const char *
dns_rcode_name(unsigned rcode, char unknown[DNS_WORD])
{
	static const char *const name[] = {
	    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
	if (rcode < COUNT_OF(name))
		return name[rcode];
	(void)snprintf(unknown, DNS_WORD, "RCODE%u", rcode);
	return unknown;
}
