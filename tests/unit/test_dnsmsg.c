/* SPDX-License-Identifier: ISC */
/* dnsmsg: questions written, honest answers read, dishonest ones seen through. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "resolver/dnsmsg.h"

#define ID 0x1234

/* ---- a message under construction */

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
header(struct buf *b, unsigned flags, unsigned an, unsigned ns, unsigned ar)
{
	add16(b, ID);
	add16(b, flags);
	add16(b, 1);
	add16(b, an);
	add16(b, ns);
	add16(b, ar);
}

static void
question(struct buf *b, const char *name, unsigned type)
{
	dns_add_name(b, name);
	add16(b, type);
	add16(b, 1);
}

static void
raw_rr(struct buf *b, const char *name, unsigned type, uint32_t ttl, const void *rdata,
    size_t n)
{
	dns_add_name(b, name);
	add16(b, type);
	add16(b, 1);
	add32(b, ttl);
	add16(b, (unsigned)n);
	buf_add(b, rdata, n);
}

static void
cname(struct buf *b, const char *name, uint32_t ttl, const char *target)
{
	struct buf d = {0};
	dns_add_name(&d, target);
	raw_rr(b, name, DNS_CNAME, ttl, d.p, d.n);
	buf_clear(&d);
}

static void
mx(struct buf *b, const char *name, uint32_t ttl, unsigned preference, const char *host)
{
	struct buf d = {0};
	add16(&d, preference);
	dns_add_name(&d, host);
	raw_rr(b, name, DNS_MX, ttl, d.p, d.n);
	buf_clear(&d);
}

static void
soa(struct buf *b, const char *zone, uint32_t ttl, uint32_t minimum)
{
	struct buf d = {0};
	dns_add_name(&d, "ns.example");
	dns_add_name(&d, ".");
	for (int i = 0; i < 4; i++)
		add32(&d, 7);
	add32(&d, minimum);
	raw_rr(b, zone, DNS_SOA, ttl, d.p, d.n);
	buf_clear(&d);
}

static void
opt(struct buf *b, unsigned rcode_high)
{
	raw_rr(b, ".", DNS_OPT, rcode_high << 24, NULL, 0);
	/* the class field is the UDP size there; 1 is as good as any */
}

static struct dns_answer *
read_it(struct buf *b, const char *name, unsigned type)
{
	struct dns_answer *a = dns_read_answer(buf_span(b), ID, name, (uint16_t)type);
	buf_clear(b);
	return a;
}

static void
expect_trouble(struct buf *b, const char *name, unsigned type, const char *trouble)
{
	struct dns_answer *a = read_it(b, name, type);
	assert_int_equal(a->kind, DNS_FAILED);
	assert_non_null(strstr(a->trouble, trouble));
	assert_int_equal(a->n, 0);
	dns_answer_unref(&a);
	assert_null(a);
}

/* ---- names and queries */

static void
test_names(void **state)
{
	(void)state;
	static const char label63[] =
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const struct {
		const char *text, *want; /* NULL: refused */
	} cases[] = {
	    {"example.org", "example.org"},
	    {"Example.ORG.", "example.org"},
	    {"_25._tcp.mx-1.example", "_25._tcp.mx-1.example"},
	    {"localhost", "localhost"},
	    {label63, label63},
	    {"xn--bcher-kva.example", "xn--bcher-kva.example"},
	    {"", NULL},
	    {".", NULL},
	    {"..", NULL},
	    {"a..b", NULL},
	    {".a", NULL},
	    {"a b", NULL},
	    {"a\r\nRCPT", NULL},
	    {"a;b", NULL},
	    {"b\xc3\xbc"
	     "cher",
		NULL},
	};
	char out[DNS_NAME_MAX], text[400];
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(
		    dns_name_read(span_str(cases[i].text), out), cases[i].want != NULL);
		if (cases[i].want != NULL)
			assert_string_equal(out, cases[i].want);
	}
	memset(text, 'a', sizeof(text));
	assert_false(dns_name_read((struct span){text, 64}, out));
	for (size_t i = 63; i < sizeof(text); i += 64)
		text[i] = '.';
	assert_true(dns_name_read((struct span){text, 253}, out));
	assert_false(dns_name_read((struct span){text, 255}, out));
	assert_false(dns_name_read((struct span){"a\0b", 3}, out));
}

static void
test_query(void **state)
{
	(void)state;
	static const char want[] = "\x12\x34\x01\x20\0\1\0\0\0\0\0\1"
				   "\7example\3org\0\0\x0f\0\1"
				   "\0\0\x29\x04\xd0\0\0\0\0\0\0";
	struct buf b = {0};
	struct dns_question q;
	dns_add_query(&b, ID, "example.org", DNS_MX);
	assert_int_equal(b.n, sizeof(want) - 1);
	assert_memory_equal(b.p, want, b.n);
	assert_int_equal(dns_read_query(buf_span(&b), &q), OK);
	assert_int_equal(q.id, ID);
	assert_int_equal(q.type, DNS_MX);
	assert_string_equal(q.name, "example.org");
	for (size_t n = 0; n < 12 + 13 + 4; n++)
		assert_int_equal(dns_read_query((struct span){b.p, n}, &q), ERR_SYNTAX);
	b.p[2] |= (char)0x80;
	assert_int_equal(dns_read_query(buf_span(&b), &q), ERR_SYNTAX);
	buf_clear(&b);
}

static void
test_words(void **state)
{
	(void)state;
	char word[DNS_WORD];
	assert_string_equal(dns_type_name(DNS_AAAA, word), "AAAA");
	assert_string_equal(dns_type_name(65535, word), "TYPE65535");
	assert_string_equal(dns_rcode_name(5, word), "REFUSED");
	assert_string_equal(dns_rcode_name(4095, word), "RCODE4095");
}

/* ---- honest answers */

static void
test_mx_records(void **state)
{
	(void)state;
	struct buf b = {0};
	header(&b, 0x81a0, 3, 0, 1);
	question(&b, "example.org", DNS_MX);
	mx(&b, "EXAMPLE.org", 300, 20, "B.Example.org");
	mx(&b, "example.org", 200, 10, "a.example.org");
	mx(&b, "other.org", 1, 1, "evil.example.org");
	opt(&b, 0);
	struct dns_answer *a = read_it(&b, "example.org", DNS_MX);
	assert_int_equal(a->kind, DNS_DATA);
	assert_int_equal(a->n, 2);
	assert_string_equal(a->record[0].host, "b.example.org");
	assert_int_equal(a->record[0].preference, 20);
	assert_string_equal(a->record[1].host, "a.example.org");
	assert_int_equal(a->ttl, 200);
	assert_true(a->authentic);
	assert_true(a->opt);
	assert_false(a->incomplete);
	assert_null(a->alias);
	assert_true(dns_answer_size(a) > sizeof(*a));
	struct dns_answer *same = dns_answer_ref(a);
	dns_answer_unref(&a);
	assert_int_equal(same->n, 2);
	dns_answer_unref(&same);
	dns_answer_unref(&same);
}

static void
test_compression(void **state)
{
	(void)state;
	struct buf b = {0};
	header(&b, 0x8180, 2, 0, 0);
	question(&b, "example.org", DNS_MX);
	/* owner: pointer to 12; host: "mx1" + pointer to 12, then pointer to that host */
	buf_add(&b, "\xc0\x0c\0\x0f\0\1\0\0\0\x3c\0\x08\0\x0a\3mx1\xc0\x0c", 20);
	buf_add(&b, "\xc0\x0c\0\x0f\0\1\0\0\0\x3c\0\x08\0\x14\3sub\xc0\x2b", 20);
	struct dns_answer *a = read_it(&b, "example.org", DNS_MX);
	assert_int_equal(a->kind, DNS_DATA);
	assert_int_equal(a->n, 2);
	assert_string_equal(a->record[0].host, "mx1.example.org");
	assert_string_equal(a->record[1].host, "sub.mx1.example.org");
	dns_answer_unref(&a);
}

static void
test_null_mx(void **state)
{
	(void)state;
	struct buf b = {0};
	header(&b, 0x8180, 1, 0, 0);
	question(&b, "example.org", DNS_MX);
	mx(&b, "example.org", 300, 0, ".");
	struct dns_answer *a = read_it(&b, "example.org", DNS_MX);
	assert_int_equal(a->n, 1);
	assert_string_equal(a->record[0].host, ".");
	dns_answer_unref(&a);
}

static void
test_addresses(void **state)
{
	(void)state;
	struct buf b = {0};
	char text[NET_TEXT];
	header(&b, 0x8180, 3, 0, 0);
	question(&b, "mx.example", DNS_A);
	raw_rr(&b, "mx.example", DNS_A, 60, "\300\0\2\1", 4);
	raw_rr(&b, "mx.example", DNS_A, 60, "\300\0\2\2\0", 5); /* one octet too many */
	raw_rr(&b, "mx.example", DNS_A, 0x80000000, "\300\0\2\3", 4);
	struct dns_answer *a = read_it(&b, "mx.example", DNS_A);
	assert_int_equal(a->n, 2);
	assert_true(a->incomplete);
	assert_int_equal(a->ttl, 0);
	net_format_ip(&a->record[1].addr, text);
	assert_string_equal(text, "192.0.2.3");
	dns_answer_unref(&a);

	header(&b, 0x8180, 2, 0, 0);
	question(&b, "mx.example", DNS_AAAA);
	raw_rr(
	    &b, "mx.example", DNS_AAAA, 60, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	raw_rr(
	    &b, "mx.example", DNS_AAAA, 60, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
	a = read_it(&b, "mx.example", DNS_AAAA);
	assert_int_equal(a->n, 2);
	net_format_ip(&a->record[0].addr, text);
	assert_string_equal(text, "2001:db8::1");
	net_format_ip(&a->record[1].addr, text);
	assert_string_equal(
	    text, "127.0.0.1"); /* folded, so that it is seen for what it is */
	dns_answer_unref(&a);
}

static void
test_cname_in_any_order(void **state)
{
	(void)state;
	struct buf b = {0};
	header(&b, 0x8180, 3, 0, 0);
	question(&b, "a.example", DNS_MX);
	mx(&b, "c.example", 300, 10, "mx.example");
	cname(&b, "b.example", 50, "c.example");
	cname(&b, "a.example", 70, "b.example");
	struct dns_answer *a = read_it(&b, "a.example", DNS_MX);
	assert_int_equal(a->kind, DNS_DATA);
	assert_int_equal(a->hops, 2);
	assert_int_equal(a->ttl, 50);
	assert_string_equal(a->alias, "c.example");
	dns_answer_unref(&a);
}

static struct dns_answer *
chain(unsigned length, bool closed)
{
	struct buf b = {0};
	char from[32], to[32];
	header(&b, 0x8180, length + 1, 0, 0);
	question(&b, "n0.example", DNS_MX);
	for (unsigned i = 0; i < length; i++) {
		(void)snprintf(from, sizeof(from), "n%u.example", i);
		(void)snprintf(
		    to, sizeof(to), "n%u.example", closed ? (i + 1) % length : i + 1);
		cname(&b, from, 60, to);
	}
	(void)snprintf(to, sizeof(to), "n%u.example", length);
	mx(&b, to, 60, 10, "mx.example");
	return read_it(&b, "n0.example", DNS_MX);
}

static void
test_cname_hops(void **state)
{
	(void)state;
	struct dns_answer *a = chain(8, false);
	assert_int_equal(a->kind, DNS_DATA);
	dns_answer_unref(&a);
	a = chain(9, false);
	assert_int_equal(a->kind, DNS_FAILED);
	dns_answer_unref(&a);
	for (unsigned n = 1; n < 4; n++) {
		a = chain(n, true);
		assert_int_equal(a->kind, DNS_FAILED);
		assert_non_null(strstr(a->trouble, "CNAME loop"));
		dns_answer_unref(&a);
	}
}

static void
test_cname_alone(void **state)
{
	(void)state;
	struct buf b = {0};
	header(&b, 0x8180, 1, 0, 0);
	question(&b, "a.example", DNS_MX);
	cname(&b, "a.example", 60, "b.example");
	struct dns_answer *a = read_it(&b, "a.example", DNS_MX);
	assert_int_equal(a->kind, DNS_ALIAS);
	assert_string_equal(a->alias, "b.example");
	dns_answer_unref(&a);

	/* A SOA of the target's zone: followed, and there is nothing. */
	header(&b, 0x8180, 1, 1, 0);
	question(&b, "a.example", DNS_MX);
	cname(&b, "a.example", 60, "b.example");
	soa(&b, "example", 900, 120);
	a = read_it(&b, "a.example", DNS_MX);
	assert_int_equal(a->kind, DNS_NODATA);
	assert_int_equal(a->ttl, 60);
	dns_answer_unref(&a);

	/* A SOA of some other zone proves nothing about the target. */
	header(&b, 0x8180, 1, 1, 0);
	question(&b, "a.example", DNS_MX);
	cname(&b, "a.example", 60, "b.test");
	soa(&b, "example", 900, 120);
	a = read_it(&b, "a.example", DNS_MX);
	assert_int_equal(a->kind, DNS_ALIAS);
	dns_answer_unref(&a);
}

static void
test_negative(void **state)
{
	(void)state;
	static const struct {
		unsigned rcode;
		const char *zone;
		uint32_t ttl, minimum;
		enum dns_kind kind;
		uint32_t want_ttl;
	} cases[] = {
	    {0, "org", 900, 120, DNS_NODATA, 120},
	    {0, "example.org", 60, 120, DNS_NODATA, 60},
	    {3, "org", 900, 900, DNS_NXDOMAIN, 900},
	    {3, ".", 900, 900, DNS_NXDOMAIN, 900},
	    {3, "rg", 900, 900, DNS_NXDOMAIN, 0}, /* not above example.org */
	    {0, NULL, 0, 0, DNS_NODATA, 0},
	    {3, NULL, 0, 0, DNS_NXDOMAIN, 0},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf b = {0};
		header(&b, 0x8180 | cases[i].rcode, 0, cases[i].zone != NULL, 0);
		question(&b, "example.org", DNS_MX);
		if (cases[i].zone != NULL)
			soa(&b, cases[i].zone, cases[i].ttl, cases[i].minimum);
		struct dns_answer *a = read_it(&b, "example.org", DNS_MX);
		assert_int_equal(a->kind, cases[i].kind);
		assert_int_equal(a->ttl, cases[i].want_ttl);
		dns_answer_unref(&a);
	}
}

static void
test_rcodes(void **state)
{
	(void)state;
	static const struct {
		unsigned rcode, high;
		const char *trouble;
	} cases[] = {
	    {1, 0, "FORMERR"},
	    {2, 0, "SERVFAIL"},
	    {4, 0, "NOTIMP"},
	    {5, 0, "REFUSED"},
	    {9, 0, "RCODE9"},
	    {0, 1, "RCODE16"},
	    {3, 1, "RCODE19"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf b = {0};
		header(&b, 0x8180 | cases[i].rcode, 0, 0, 1);
		question(&b, "example.org", DNS_MX);
		opt(&b, cases[i].high);
		expect_trouble(&b, "example.org", DNS_MX, cases[i].trouble);
	}
	struct buf b = {0};
	buf_add(
	    &b, "\x12\x34\x80\1\0\0\0\0\0\0\0\0", 12); /* FORMERR, nothing but a header */
	expect_trouble(&b, "example.org", DNS_MX, "FORMERR");
	struct dns_answer *a = dns_answer_failed("of our own");
	assert_string_equal(a->trouble, "of our own");
	dns_answer_unref(&a);
}

/* ---- dishonest ones */

static void
test_header_and_question(void **state)
{
	(void)state;
	static const struct {
		unsigned flags;
		const char *name;
		unsigned type;
		const char *trouble;
	} cases[] = {
	    {0x0180, "example.org", DNS_MX, "no answer"},
	    {0x8980, "example.org", DNS_MX, "no answer"}, /* another opcode */
	    {0x8380, "example.org", DNS_MX, "truncated"},
	    {0x8180, "example.com", DNS_MX, "question"},
	    {0x8180, "example.org", DNS_A, "question"},
	    {0x8183, "example.com", DNS_MX, "question"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf b = {0};
		header(&b, cases[i].flags, 0, 0, 0);
		question(&b, cases[i].name, cases[i].type);
		expect_trouble(&b, "example.org", DNS_MX, cases[i].trouble);
	}
	struct buf b = {0};
	header(&b, 0x8180, 0, 0, 0);
	question(&b, "example.org", DNS_MX);
	b.p[0] ^= 1;
	expect_trouble(&b, "example.org", DNS_MX, "id");
	header(&b, 0x8180, 0, 0, 0);
	question(&b, "example.org", DNS_MX);
	b.p[5] = 2;
	expect_trouble(&b, "example.org", DNS_MX, "one question");
	expect_trouble(&b, "example.org", DNS_MX, "shorter");
	header(&b, 0x8180, 0, 0, 0);
	question(&b, "ExAmPlE.oRg", DNS_MX);
	struct dns_answer *a = read_it(&b, "example.org", DNS_MX);
	assert_int_equal(a->kind, DNS_NODATA);
	dns_answer_unref(&a);
}

/* Owner names that lead nowhere (RFC 9267 2). */
static void
test_bad_names(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t n;
	} cases[] = {
	    {"\xc0\x1d", 2},     /* to itself */
	    {"\xc0\x1e", 2},     /* into itself */
	    {"\xc0\xff", 2},     /* behind itself */
	    {"\xff\xff", 2},     /* behind the message */
	    {"\xc0\x00", 2},     /* into the header */
	    {"\xc0\x0b", 2},     /* still in the header */
	    {"\1a\xc0\x1d", 4},  /* a round of two steps */
	    {"\x40zzzzzzzz", 9}, /* reserved label types */
	    {"\x80zzzzzzzz", 9},
	    {"\x3fzz", 3}, /* a label cut by the end of the message */
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf b = {0};
		header(&b, 0x8180, 1, 0, 0);
		question(&b, "example.org", DNS_MX);
		assert_int_equal(b.n, 0x1d);
		buf_add(&b, cases[i].bytes, cases[i].n);
		if (i + 1 < COUNT_OF(cases))
			buf_add(&b, "\0\x0f\0\1\0\0\0\x3c\0\3\0\1\0", 13);
		expect_trouble(&b, "example.org", DNS_MX, "cut or its name loops");
	}
}

/* 128 labels of one letter are 257 octets; 126 (with the question's two) are allowed. */
static void
test_long_name(void **state)
{
	(void)state;
	for (unsigned labels = 120; labels < 140; labels++) {
		struct buf b = {0}, d = {0};
		header(&b, 0x8180, 1, 0, 0);
		question(&b, "x", DNS_MX);
		add16(&d, 10);
		for (unsigned i = 0; i < labels; i++)
			buf_add(&d, "\1a", 2);
		buf_add(&d, "\xc0\x0c", 2);
		raw_rr(&b, "x", DNS_MX, 60, d.p, d.n);
		buf_clear(&d);
		struct dns_answer *a = read_it(&b, "x", DNS_MX);
		assert_int_equal(a->kind, labels <= 126 ? DNS_DATA : DNS_FAILED);
		if (a->kind == DNS_DATA)
			assert_int_equal(strlen(a->record[0].host), labels * 2 + 1);
		dns_answer_unref(&a);
	}
}

/* MX hosts that must not get into a log or a command. */
static void
test_bad_hosts(void **state)
{
	(void)state;
	static const struct span bad[] = {
	    {"\0\1\x0e"
	     "a\r\nRCPT TO:<x>\0",
		19},
	    {"\0\1\3;id\0", 7}, {"\0\1\3a.b\0", 7}, {"\0\1\2\303\274\0", 6},
	    {"\0\1\1\0\0", 5}, {"\0\1\1 \0", 5}, {"\0", 1},
	    {"\0\1\1a\0x", 6}, /* something behind the name */
	};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct buf b = {0};
		header(&b, 0x8180, 1, 0, 0);
		question(&b, "example.org", DNS_MX);
		raw_rr(&b, "example.org", DNS_MX, 60, bad[i].p, bad[i].n);
		expect_trouble(&b, "example.org", DNS_MX, "no record has a proper form");
		header(&b, 0x8180, 2, 0, 0);
		question(&b, "example.org", DNS_MX);
		raw_rr(&b, "example.org", DNS_MX, 60, bad[i].p, bad[i].n);
		mx(&b, "example.org", 60, 10, "good.example");
		struct dns_answer *a = read_it(&b, "example.org", DNS_MX);
		assert_int_equal(a->n, 1);
		assert_true(a->incomplete);
		assert_string_equal(a->record[0].host, "good.example");
		dns_answer_unref(&a);
	}
	struct buf b = {0};
	header(&b, 0x8180, 1, 0, 0);
	question(&b, "example.org", DNS_MX);
	raw_rr(&b, "example.org", DNS_CNAME, 60, "\3a b\0", 5);
	expect_trouble(&b, "example.org", DNS_MX, "no host name");
}

static void
test_other_sins(void **state)
{
	(void)state;
	struct buf b = {0};
	header(&b, 0x8180, 1, 0, 0); /* another class */
	question(&b, "example.org", DNS_MX);
	mx(&b, "example.org", 60, 10, "mx.example");
	b.p[12 + 13 + 4 + 13 + 3] = 3;
	struct dns_answer *a = read_it(&b, "example.org", DNS_MX);
	assert_int_equal(a->kind, DNS_NODATA);
	dns_answer_unref(&a);

	header(&b, 0x8183, 1, 0, 0);
	question(&b, "example.org", DNS_MX);
	mx(&b, "example.org", 60, 10, "mx.example");
	expect_trouble(&b, "example.org", DNS_MX, "NXDOMAIN with records");

	header(&b, 0x8100, 0, 1, 0);
	question(&b, "example.org", DNS_MX);
	raw_rr(&b, "org", DNS_NS, 60, "\1a\0", 3);
	expect_trouble(&b, "example.org", DNS_MX, "referral");

	header(&b, 0x8180, 65535, 65535, 65535);
	question(&b, "example.org", DNS_MX);
	mx(&b, "example.org", 60, 10, "mx.example");
	expect_trouble(&b, "example.org", DNS_MX, "cut");
}

static void
test_many_records(void **state)
{
	(void)state;
	struct buf b = {0};
	char host[32];
	header(&b, 0x8180, 300, 0, 0);
	question(&b, "example.org", DNS_MX);
	for (unsigned i = 0; i < 300; i++) {
		(void)snprintf(host, sizeof(host), "mx%u.example", i);
		mx(&b, "example.org", 60, 1000 - i, host);
	}
	struct dns_answer *a = read_it(&b, "example.org", DNS_MX);
	assert_int_equal(a->n, DNS_RECORD_MAX);
	assert_true(a->incomplete);
	for (size_t i = 0; i < a->n; i++)
		assert_in_range(a->record[i].preference, 701, 700 + DNS_RECORD_MAX);
	dns_answer_unref(&a);
}

/* Cut anywhere, and with any one octet changed: no crash, and a cut is never believed. */
static void
test_cut_and_flip(void **state)
{
	(void)state;
	struct buf b = {0};
	header(&b, 0x8180, 3, 1, 1);
	question(&b, "a.example", DNS_MX);
	cname(&b, "a.example", 60, "b.example");
	mx(&b, "b.example", 60, 10, "mx.example");
	buf_add(&b, "\xc0\x0c\0\x0f\0\1\0\0\0\x3c\0\x08\0\x0a\3mx1\xc0\x0c", 20);
	soa(&b, "example", 60, 60);
	opt(&b, 0);
	for (size_t n = 0; n < b.n; n++) {
		char *exact = mem_dup(b.p, n);
		struct dns_answer *a =
		    dns_read_answer((struct span){exact, n}, ID, "a.example", DNS_MX);
		assert_int_equal(a->kind, DNS_FAILED);
		dns_answer_unref(&a);
		mem_free(&exact);
	}
	for (size_t i = 0; i < b.n; i++)
		for (int v = 0; v < 256; v++) {
			char kept = b.p[i];
			b.p[i] = (char)v;
			struct dns_answer *a =
			    dns_read_answer(buf_span(&b), ID, "a.example", DNS_MX);
			dns_answer_unref(&a);
			b.p[i] = kept;
		}
	buf_clear(&b);
}

/* Strings fill the rdata exactly; what cannot be shown is not taken over. */
static void
test_text(void **state)
{
	(void)state;
	char many[4 * 101], kept[DNS_TEXT_MAX + 1] = {0};
	for (size_t i = 0; i < sizeof(many); i++)
		many[i] = i % 101 == 0 ? 100 : 'x';
	memset(kept, 'x', DNS_TEXT_MAX);
	struct {
		const char *rdata;
		size_t n;
		const char *want; /* NULL: malformed */
	} cases[] = {
	    {"\5hello", 6, "hello"},
	    {"\2he\0\3llo", 8, "hello"},
	    {"\0", 1, ""},
	    {"\5a\r\n\0b", 6, "a???b"},
	    {"\3\x7f\xc3\xa4", 4, "???"},
	    {many, sizeof(many), kept},
	    {"", 0, NULL},
	    {"\6hello", 6, NULL},
	    {"\4hello", 6, NULL},
	    {"\5hello\1", 7, NULL},
	    {"\377x", 2, NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b = {0};
		header(&b, 0x8180, 1, 0, 0);
		question(&b, "example.org", DNS_TXT);
		raw_rr(&b, "example.org", DNS_TXT, 60, cases[i].rdata, cases[i].n);
		if (cases[i].want == NULL) {
			expect_trouble(&b, "example.org", DNS_TXT,
			    "malformed: no record has a proper form");
			continue;
		}
		struct dns_answer *a = read_it(&b, "example.org", DNS_TXT);
		assert_int_equal(a->kind, DNS_DATA);
		assert_string_equal(a->record[0].text, cases[i].want);
		assert_null(a->record[0].host);
		assert_true(dns_answer_size(a) > sizeof(*a) + strlen(cases[i].want));
		dns_answer_unref(&a);
	}
}

/* No more records than are kept, whatever comes. */
static void
test_many_texts(void **state)
{
	(void)state;
	struct buf b = {0};
	header(&b, 0x8180, DNS_RECORD_MAX + 5, 0, 0);
	question(&b, "example.org", DNS_TXT);
	for (unsigned i = 0; i < DNS_RECORD_MAX + 5; i++)
		raw_rr(&b, "example.org", DNS_TXT, 60, "\1x", 2);
	struct dns_answer *a = read_it(&b, "example.org", DNS_TXT);
	assert_int_equal(a->n, DNS_RECORD_MAX);
	assert_true(a->incomplete);
	dns_answer_unref(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_query),
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_mx_records),
	    cmocka_unit_test(test_compression),
	    cmocka_unit_test(test_null_mx),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_cname_in_any_order),
	    cmocka_unit_test(test_cname_hops),
	    cmocka_unit_test(test_cname_alone),
	    cmocka_unit_test(test_negative),
	    cmocka_unit_test(test_rcodes),
	    cmocka_unit_test(test_header_and_question),
	    cmocka_unit_test(test_bad_names),
	    cmocka_unit_test(test_long_name),
	    cmocka_unit_test(test_bad_hosts),
	    cmocka_unit_test(test_other_sins),
	    cmocka_unit_test(test_many_records),
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_many_texts),
	    cmocka_unit_test(test_cut_and_flip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
