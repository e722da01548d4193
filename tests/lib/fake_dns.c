/* SPDX-License-Identifier: ISC */
/*
 * fake_dns - lines of text, looked through from top to bottom for each question.
 *
 * The answer is made when it is given, not when the question is asked, so that
 * a line changed meanwhile shows (SLOW, and the flips of e9).
 */
#include "tests/lib/fake_dns.h"

#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/scan.h"
#include "base/units.h"
#include "resolver/dnsmsg.h"

#define TTL 3600
#define NEGATIVE_TTL 300
#define CHAIN_MAX 12 /* CNAMEs put into one answer: more than the reader accepts */

enum what {
	RECORD,
	CNAME_ONLY,
	RCODE,
	TIMEOUT,
	UNREACHABLE,
	SLOW,
	GARBAGE,
	EMPTY,
	WRONGID,
	WRONGNAME,
};

struct line {
	struct link link;
	char name[DNS_NAME_MAX];
	enum what what;
	uint16_t type;   /* of the record; of a behaviour: 0 for all */
	unsigned number; /* preference, rcode, or milliseconds */
	uint32_t ttl;
	struct net_addr addr;
	char target[DNS_NAME_MAX];
};

struct asked {
	char name[DNS_NAME_MAX];
	uint16_t type;
};

struct fake_dns {
	struct list lines;
	struct asked *asked;
	size_t asked_n;
	unsigned transports;
	char error[256];
};

struct fake_transport {
	struct dns_transport transport; /* first */
	struct fake_dns *zone;
	struct loop *loop;
	struct list pending;
};

struct pending {
	struct link link;
	struct fake_transport *t;
	struct dns_question question;
	dns_fn *fn;
	void *arg;
	struct timer timer;
	struct later later;
};

/* ---- lines */

static const struct {
	const char *word;
	enum what what;
	unsigned number;
} behaviours[] = {
    {"SERVFAIL", RCODE, DNS_SERVFAIL},
    {"REFUSED", RCODE, DNS_REFUSED},
    {"NOTIMP", RCODE, DNS_NOTIMP},
    {"FORMERR", RCODE, DNS_FORMERR},
    {"NXDOMAIN", RCODE, DNS_NXRCODE},
    {"TIMEOUT", TIMEOUT, 0},
    {"UNREACHABLE", UNREACHABLE, 0},
    {"SLOW", SLOW, 0},
    {"GARBAGE", GARBAGE, 0},
    {"EMPTY", EMPTY, 0},
    {"WRONGID", WRONGID, 0},
    {"WRONGNAME", WRONGNAME, 0},
};

static uint16_t
type_of(struct span word)
{
	static const uint16_t types[] = {
	    DNS_A, DNS_AAAA, DNS_MX, DNS_CNAME, DNS_TXT, DNS_NS};
	char unknown[DNS_WORD];
	for (size_t i = 0; i < COUNT_OF(types); i++)
		if (span_ieq(word, span_str(dns_type_name(types[i], unknown))))
			return types[i];
	return 0;
}

static struct span
next_word(struct scan *s)
{
	struct span word = {0};
	scan_skip_blanks(s);
	(void)scan_word(s, &word);
	return word;
}

static bool
read_target(struct span word, char out[DNS_NAME_MAX])
{
	if (span_eq(word, SPAN("."))) {
		memcpy(out, ".", 2);
		return true;
	}
	return dns_name_read(word, out);
}

static bool
read_number(struct span word, unsigned *out)
{
	uint64_t v;
	if (units_u64(word, UINT32_MAX, &v) != OK)
		return false;
	*out = (unsigned)v;
	return true;
}

/* The rest of the line is one string of a TXT record. */
static bool
read_words(struct scan *s, char out[DNS_NAME_MAX])
{
	struct span words = span_trim((struct span){s->p, (size_t)(s->end - s->p)});
	s->p = s->end;
	if (words.n >= DNS_NAME_MAX)
		return false;
	span_copy(words, out, DNS_NAME_MAX);
	return true;
}

static bool
read_record(struct line *l, struct span type, struct scan *s)
{
	l->type = type_of(type);
	if (span_ieq(type, SPAN("CNAME-ONLY"))) {
		l->what = CNAME_ONLY;
		l->type = DNS_CNAME;
	}
	switch (l->type) {
	case DNS_MX:
		return read_number(next_word(s), &l->number) && l->number <= UINT16_MAX &&
		       read_target(next_word(s), l->target);
	case DNS_CNAME: return read_target(next_word(s), l->target);
	case DNS_A:
	case DNS_AAAA:
		return net_parse_ip(next_word(s), &l->addr) == OK &&
		       l->addr.family == (l->type == DNS_A ? NET_IPV4 : NET_IPV6);
	case DNS_TXT: return read_words(s, l->target);
	default: return false;
	}
}

static bool
read_behaviour(struct line *l, size_t which, struct scan *s)
{
	l->what = behaviours[which].what;
	l->number = behaviours[which].number;
	if (l->what == SLOW && !read_number(next_word(s), &l->number))
		return false;
	struct span type = next_word(s);
	l->type = type_of(type);
	return type.n == 0 || l->type != 0;
}

static bool
read_line(struct line *l, struct scan *s)
{
	unsigned ttl = TTL;
	if (!dns_name_read(next_word(s), l->name))
		return false;
	struct span word = next_word(s);
	if (read_number(word, &ttl))
		word = next_word(s);
	l->ttl = ttl;
	for (size_t i = 0; i < COUNT_OF(behaviours); i++)
		if (span_ieq(word, span_str(behaviours[i].word)))
			return read_behaviour(l, i, s);
	return read_record(l, word, s);
}

static void
add_line(struct fake_dns *f, struct span text)
{
	text = span_trim(span_cut(text, 0, span_find(text, '#')));
	if (text.n == 0)
		return;
	struct line *l = NEW(struct line);
	struct scan s = scan_over(text);
	bool good = read_line(l, &s);
	scan_skip_blanks(&s);
	if (good && scan_done(&s)) {
		list_push(&f->lines, &l->link);
		return;
	}
	if (f->error[0] == '\0')
		span_copy(text, f->error, sizeof(f->error));
	mem_free(&l);
}

bool
fake_dns_add(struct fake_dns *f, const char *text)
{
	const char *p = text;
	f->error[0] = '\0';
	while (*p != '\0') {
		size_t n = strcspn(p, "\r\n;");
		add_line(f, (struct span){p, n});
		p += n + (p[n] != '\0');
	}
	return f->error[0] == '\0';
}

void
fake_dns_clear(struct fake_dns *f)
{
	for (struct link *k; (k = list_pop(&f->lines)) != NULL;) {
		struct line *l = CONTAINER_OF(k, struct line, link);
		mem_free(&l);
	}
}

bool
fake_dns_set(struct fake_dns *f, const char *text)
{
	fake_dns_clear(f);
	return fake_dns_add(f, text);
}

void
fake_dns_remove(struct fake_dns *f, const char *name)
{
	LIST_EACH (&f->lines, k) {
		struct line *l = CONTAINER_OF(k, struct line, link);
		if (!span_ieq(span_str(l->name), span_str(name)))
			continue;
		list_remove(k);
		mem_free(&l);
	}
}

const char *
fake_dns_error(const struct fake_dns *f)
{
	return f->error;
}

struct fake_dns *
fake_dns_new(void)
{
	struct fake_dns *f = NEW(struct fake_dns);
	list_init(&f->lines);
	return f;
}

void
fake_dns_free(struct fake_dns **fp)
{
	if (*fp == NULL)
		return;
	CHECK((*fp)->transports == 0);
	fake_dns_clear(*fp);
	mem_free(&(*fp)->asked);
	mem_free(fp);
}

/* ---- counting */

unsigned
fake_dns_asked(const struct fake_dns *f, const char *name, uint16_t type)
{
	unsigned n = 0;
	for (size_t i = 0; i < f->asked_n; i++)
		n += (name == NULL || strcmp(f->asked[i].name, name) == 0) &&
		     (type == 0 || f->asked[i].type == type);
	return n;
}

void
fake_dns_forget_asked(struct fake_dns *f)
{
	f->asked_n = 0;
}

static void
note_asked(struct fake_dns *f, const struct dns_question *q)
{
	f->asked = mem_resize(f->asked, f->asked_n + 1, sizeof(f->asked[0]));
	struct asked *a = &f->asked[f->asked_n++];
	a->type = q->type;
	memcpy(a->name, q->name, sizeof(a->name));
}

/* ---- answers */

static const struct line *
behaviour_of(const struct fake_dns *f, const struct dns_question *q)
{
	LIST_EACH (&f->lines, k) {
		const struct line *l = CONTAINER_OF(k, struct line, link);
		if (l->what > CNAME_ONLY && strcmp(l->name, q->name) == 0 &&
		    (l->type == 0 || l->type == q->type))
			return l;
	}
	return NULL;
}

static bool
exists(const struct fake_dns *f, const char *name)
{
	struct span n = span_str(name);
	LIST_EACH (&f->lines, k) {
		struct span own = span_str(CONTAINER_OF(k, struct line, link)->name);
		if (span_eq(own, n) ||
		    (own.n > n.n && span_iends(own, n) && own.p[own.n - n.n - 1] == '.'))
			return true;
	}
	return false;
}

static void
add16(struct buf *b, unsigned v)
{
	buf_add_char(b, (char)(v >> 8));
	buf_add_char(b, (char)(v & 0xff));
}

static void
add32(struct buf *b, uint32_t v)
{
	add16(b, v >> 16);
	add16(b, v & 0xffff);
}

static void
add_rr(
    struct buf *b, const char *name, uint16_t type, uint32_t ttl, const struct buf *rdata)
{
	dns_add_name(b, name);
	add16(b, type);
	add16(b, 1);
	add32(b, ttl);
	add16(b, (unsigned)rdata->n);
	buf_add_span(b, buf_span(rdata));
}

static void
add_line_rr(struct buf *b, const struct line *l)
{
	struct buf rdata = {0};
	switch (l->type) {
	case DNS_A: buf_add(&rdata, l->addr.ip, 4); break;
	case DNS_AAAA: buf_add(&rdata, l->addr.ip, 16); break;
	case DNS_MX:
		add16(&rdata, l->number);
		dns_add_name(&rdata, l->target);
		break;
	case DNS_CNAME: dns_add_name(&rdata, l->target); break;
	case DNS_TXT:
		buf_add_char(&rdata, (char)strlen(l->target));
		buf_add_str(&rdata, l->target);
		break;
	default: buf_add(&rdata, "\4text", 5); break;
	}
	add_rr(b, l->name, l->type, l->ttl, &rdata);
	buf_clear(&rdata);
}

/* Records of the name; *next is the line of its CNAME, if that is all there is. */
static unsigned
add_records(struct buf *b, const struct fake_dns *f, const char *name, uint16_t type,
    const struct line **next)
{
	unsigned n = 0;
	*next = NULL;
	LIST_EACH (&f->lines, k) {
		const struct line *l = CONTAINER_OF(k, struct line, link);
		if (l->what > CNAME_ONLY || strcmp(l->name, name) != 0)
			continue;
		if (l->type == type) {
			add_line_rr(b, l);
			n++;
		} else if (l->type == DNS_CNAME && *next == NULL) {
			*next = l;
		}
	}
	if (n > 0)
		*next = NULL;
	return n;
}

static void
add_soa(struct buf *b)
{
	struct buf rdata = {0};
	dns_add_name(&rdata, ".");
	dns_add_name(&rdata, ".");
	for (int i = 0; i < 4; i++)
		add32(&rdata, 1);
	add32(&rdata, NEGATIVE_TTL);
	add_rr(b, ".", DNS_SOA, NEGATIVE_TTL, &rdata);
	buf_clear(&rdata);
}

struct sections {
	struct buf answer;
	unsigned answers;
	bool soa;
	unsigned rcode;
};

/* What an honest server that recurses would say. */
static void
find_answer(struct sections *s, const struct fake_dns *f, const struct dns_question *q)
{
	const char *name = q->name;
	const struct line *next;
	for (int i = 0; i < CHAIN_MAX; i++) {
		unsigned n = add_records(&s->answer, f, name, q->type, &next);
		s->answers += n;
		if (n > 0)
			return;
		if (next == NULL)
			break;
		add_line_rr(&s->answer, next);
		s->answers++;
		if (next->what == CNAME_ONLY)
			return;
		name = next->target;
	}
	if (next != NULL)
		return;
	s->soa = true;
	s->rcode = exists(f, name) ? DNS_NOERROR : DNS_NXRCODE;
}

static void
write_message(struct buf *out, const struct dns_question *q, const struct sections *s)
{
	add16(out, q->id);
	add16(out, 0x8180 | s->rcode);
	add16(out, 1);
	add16(out, s->answers);
	add16(out, s->soa);
	add16(out, 1);
	dns_add_name(out, q->name);
	add16(out, q->type);
	add16(out, 1);
	buf_add_span(out, buf_span(&s->answer));
	if (s->soa)
		add_soa(out);
	dns_add_name(out, ".");
	add16(out, DNS_OPT);
	add16(out, DNS_UDP_SIZE);
	add32(out, 0);
	add16(out, 0);
}

static enum err
make_answer(struct buf *out, const struct fake_dns *f, struct dns_question q)
{
	const struct line *l = behaviour_of(f, &q);
	struct sections s = {0};
	enum what what = l ? l->what : RECORD;
	if (what == TIMEOUT)
		return ERR_TIMEOUT;
	if (what == UNREACHABLE)
		return ERR_REFUSED;
	if (what == EMPTY)
		return OK;
	if (what == GARBAGE) {
		buf_add(out, "This is no DNS message; it only looks long enough for one.",
		    58);
		return OK;
	}
	if (what == RCODE) {
		s.rcode = l->number;
		s.soa = l->number == DNS_NXRCODE;
	} else {
		find_answer(&s, f, &q);
	}
	if (what == WRONGID)
		q.id++;
	if (what == WRONGNAME)
		memcpy(q.name, "other.example", sizeof("other.example"));
	write_message(out, &q, &s);
	buf_clear(&s.answer);
	return OK;
}

/* ---- the transport */

static void
pending_free(struct pending **pp)
{
	list_remove(&(*pp)->link);
	timer_clear(&(*pp)->timer);
	later_clear(&(*pp)->later);
	mem_free(pp);
}

static void
answer(void *arg)
{
	struct pending *p = arg;
	struct buf out = {0};
	dns_fn *fn = p->fn;
	void *fn_arg = p->arg;
	enum err status = make_answer(&out, p->t->zone, p->question);
	pending_free(&p);
	fn(fn_arg, status, buf_span(&out));
	buf_clear(&out);
}

static int64_t
delay_of(const struct fake_dns *f, const struct dns_question *q)
{
	const struct line *l = behaviour_of(f, q);
	if (l == NULL)
		return 0;
	return l->what == TIMEOUT ? FAKE_DNS_TIMEOUT_MS
	       : l->what == SLOW  ? (int64_t)l->number
				  : 0;
}

static void
fake_ask(struct dns_transport *transport, struct span query, dns_fn *fn, void *arg)
{
	struct fake_transport *t = (struct fake_transport *)transport;
	struct pending *p = NEW(struct pending);
	*p = (struct pending){.t = t, .fn = fn, .arg = arg};
	CHECK(dns_read_query(query, &p->question) == OK);
	list_push(&t->pending, &p->link);
	timer_init(&p->timer, t->loop, answer, p);
	later_init(&p->later, t->loop, answer, p);
	note_asked(t->zone, &p->question);
	int64_t delay_ms = delay_of(t->zone, &p->question);
	if (delay_ms > 0)
		timer_set(&p->timer, delay_ms);
	else
		later_set(&p->later);
}

static void
fake_free(struct dns_transport *transport)
{
	struct fake_transport *t = (struct fake_transport *)transport;
	LIST_EACH (&t->pending, k) {
		struct pending *p = CONTAINER_OF(k, struct pending, link);
		pending_free(&p);
	}
	t->zone->transports--;
	mem_free(&t);
}

static void
fake_describe(struct dns_transport *transport, struct buf *out)
{
	(void)transport;
	buf_add_str(out, "127.0.0.1:53");
}

struct dns_transport *
fake_dns_transport(struct fake_dns *f, struct loop *l)
{
	struct fake_transport *t = NEW(struct fake_transport);
	t->transport = (struct dns_transport){fake_ask, fake_free, fake_describe};
	t->zone = f;
	t->loop = l;
	list_init(&t->pending);
	f->transports++;
	return &t->transport;
}
