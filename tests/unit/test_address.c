/* SPDX-License-Identifier: ISC */
/* Addresses and domains as tables: what is taken, what is refused, at the bounds and
 * over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "policy/address.h"

static const struct path_case {
	const char *text;
	enum address_kind kind;
	bool utf8_ok;
	enum err want;
	const char *local, *domain; /* where want is OK */
} paths[] = {
    {"<a@example.org>", ADDRESS_FORWARD, false, OK, "a", "example.org"},
    {"<A.b-c+d@Example.ORG>", ADDRESS_FORWARD, false, OK, "A.b-c+d", "Example.ORG"},
    {"<>", ADDRESS_REVERSE, false, OK, "", ""},
    {"<>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<Postmaster>", ADDRESS_FORWARD, false, OK, "Postmaster", ""},
    {"<postMASTER>", ADDRESS_FORWARD, false, OK, "postMASTER", ""},
    {"<Postmaster>", ADDRESS_REVERSE, false, ERR_SYNTAX, NULL, NULL},
    {"<root>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<\"a b\"@x.example>", ADDRESS_FORWARD, false, OK, "\"a b\"", "x.example"},
    {"<\"a\\\"b\"@x.example>", ADDRESS_FORWARD, false, OK, "\"a\\\"b\"", "x.example"},
    {"<\"a@b\"@x.example>", ADDRESS_FORWARD, false, OK, "\"a@b\"", "x.example"},
    {"<\"a\"b@x.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<\"a@x.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<@a.example,@b.example:u@c.example>", ADDRESS_FORWARD, false, OK, "u", "c.example"},
    {"<@a.example:u@c.example>", ADDRESS_REVERSE, false, OK, "u", "c.example"},
    {"<@a.example u@c.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@[192.0.2.1]>", ADDRESS_FORWARD, false, OK, "u", "[192.0.2.1]"},
    {"<u@[IPv6:2001:db8::1]>", ADDRESS_FORWARD, false, OK, "u", "[IPv6:2001:db8::1]"},
    {"<u@[2001:db8::1]>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@[IPv6:192.0.2.1]>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@[192.0.2.256]>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@[]>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@example.org.>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@.example.org>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@example..org>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@-example.org>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@example-.org>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<.u@example.org>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u.@example.org>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u..v@example.org>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u v@example.org>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@exa mple.org>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@example.org", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"u@example.org>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@@example.org>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@a.example@b.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@a.example,v@b.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u(comment)@example.org>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u\t@example.org>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<;touch x;@example.org>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u%there.example@here.example>", ADDRESS_FORWARD, false, OK, "u%there.example",
	"here.example"},
    {"<there.example!u@here.example>", ADDRESS_FORWARD, false, OK, "there.example!u",
	"here.example"},
    {"<=?utf-8?q?a=40b?=@x.example>", ADDRESS_FORWARD, false, OK,
	"=?utf-8?q?a=40b?=", "x.example"},
    {"<j\xc3\xbcrgen@x.example>", ADDRESS_FORWARD, true, OK, "j\xc3\xbcrgen",
	"x.example"},
    {"<j\xc3\xbcrgen@x.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@b\xc3\xbc.example>", ADDRESS_FORWARD, true, OK, "u", "b\xc3\xbc.example"},
    {"<j\xc3@x.example>", ADDRESS_FORWARD, true, ERR_SYNTAX, NULL, NULL},
    {"<j\xc0\x80@x.example>", ADDRESS_FORWARD, true, ERR_SYNTAX, NULL, NULL},
    /* UTF-8 that is none: cut, over-long, surrogate, beyond U+10FFFF, a lone tail; C1
       controls */
    {"<u@x.ex\xe2\x82>", ADDRESS_FORWARD, true, ERR_SYNTAX, NULL, NULL},
    {"<u\xf0\x9f\x98@x.example>", ADDRESS_FORWARD, true, ERR_SYNTAX, NULL, NULL},
    {"<u\xed\xa0\x80@x.example>", ADDRESS_FORWARD, true, ERR_SYNTAX, NULL, NULL},
    {"<u\xf4\x90\x80\x80@x.example>", ADDRESS_FORWARD, true, ERR_SYNTAX, NULL, NULL},
    {"<\x80@x.example>", ADDRESS_FORWARD, true, ERR_SYNTAX, NULL, NULL},
    {"<\"\xc3\"@x.example>", ADDRESS_FORWARD, true, ERR_SYNTAX, NULL, NULL},
    {"<u\xc2\x9b@x.example>", ADDRESS_FORWARD, true, ERR_SYNTAX, NULL, NULL},
    {"<\"\xc2\x85\"@x.example>", ADDRESS_FORWARD, true, ERR_SYNTAX, NULL, NULL},
    {"<u@\xc2\x80.example>", ADDRESS_FORWARD, true, ERR_SYNTAX, NULL, NULL},
    {"<u\xc2\xa0@x.example>", ADDRESS_FORWARD, true, OK, "u\xc2\xa0", "x.example"},
    {"<\"j\xc3\xbc r\"@x.example>", ADDRESS_FORWARD, true, OK, "\"j\xc3\xbc r\"",
	"x.example"},
    {"<\"\\\xc3\xbc\"@x.example>", ADDRESS_FORWARD, true, ERR_SYNTAX, NULL, NULL},
    /* the source route is held to the same bytes */
    {"<@\xff.example:u@c.example>", ADDRESS_FORWARD, true, ERR_SYNTAX, NULL, NULL},
    {"<@b\xc3\xbc.example:u@c.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<@b\xc3\xbc.example:u@c.example>", ADDRESS_FORWARD, true, OK, "u", "c.example"},
    {"<@a.example,:u@c.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<@:u@c.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<@a.example:>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<@a.example:Postmaster>", ADDRESS_FORWARD, false, OK, "Postmaster", ""},
    {"<@[192.0.2.1]:u@c.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<@a.example@b.example:u@c.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL,
	NULL},
    /* literals */
    {"<u@[IPv6:::1]>", ADDRESS_FORWARD, false, OK, "u", "[IPv6:::1]"},
    {"<u@[ipv6:2001:DB8:0:0:0:0:0:1]>", ADDRESS_FORWARD, false, OK, "u",
	"[ipv6:2001:DB8:0:0:0:0:0:1]"},
    {"<u@[IPv6:::ffff:192.0.2.1]>", ADDRESS_FORWARD, false, OK, "u",
	"[IPv6:::ffff:192.0.2.1]"},
    {"<u@[::ffff:192.0.2.1]>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@[IPv6:fe80::1%eth0]>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@[IPv6:1::2::3]>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@[IPv6:]>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@[127.1]>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@[2130706433]>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@[0x7f.0.0.1]>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@[0177.0.0.1]>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@[192.0.2.1>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@192.0.2.1]>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@[192.0.2.1].example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@[ 192.0.2.1]>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@[x400:a]>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    /* quoting */
    {"<\"\"@x.example>", ADDRESS_FORWARD, false, OK, "\"\"", "x.example"},
    {"<\"\\\\\"@x.example>", ADDRESS_FORWARD, false, OK, "\"\\\\\"", "x.example"},
    {"<\"\\>@x.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<\"a\\", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<\"a\tb\"@x.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<\"a\\\tb\"@x.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<\"a\nb\"@x.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<\"a\\\rb\"@x.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<\"a\177b\"@x.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<\"a\"\"b\"@x.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<\"a\".b@x.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<\"a\" @x.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<a\\@b@x.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<\"><b@y.example>\"@x.example>", ADDRESS_FORWARD, false, OK, "\"><b@y.example>\"",
	"x.example"},
    /* ends */
    {"", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<a", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<a@", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<@", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<a@x.example.", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"< a@x.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<a@x.example >", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<<a@x.example>>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<a@x_y.example>", ADDRESS_FORWARD, false, OK, "a", "x_y.example"},
    {"<a@x.example\r\n>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
};

static void
test_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		const struct path_case *c = &paths[i];
		struct scan s = scan_over(span_str(c->text));
		struct address a;
		enum err e = address_path(&s, c->kind, c->utf8_ok, &a);
		if (e != c->want)
			fail_msg("%s: %s", c->text, err_text(e));
		if (e != OK) {
			assert_ptr_equal(s.p, c->text); /* nothing consumed */
			continue;
		}
		assert_true(scan_done(&s));
		if (!span_eq(a.local, span_str(c->local)) ||
		    !span_eq(a.domain, span_str(c->domain)))
			fail_msg("%s: %.*s / %.*s", c->text, SPAN_ARG(a.local),
			    SPAN_ARG(a.domain));
	}
}

static enum err
path_of_sizes(size_t local, size_t domain)
{
	struct buf b;
	struct address a;
	buf_init(&b, 1u << 20);
	buf_add_char(&b, '<');
	for (size_t i = 0; i < local; i++)
		buf_add_char(&b, 'l');
	buf_add_char(&b, '@');
	for (size_t i = 0; i < domain; i++)
		buf_add_char(&b, i % 60 == 59 && i + 1 < domain ? '.' : 'd');
	buf_add_char(&b, '>');
	struct scan s = scan_over(buf_span(&b));
	enum err e = address_path(&s, ADDRESS_FORWARD, false, &a);
	buf_clear(&b);
	return e;
}

static void
test_bounds(void **state)
{
	(void)state;
	assert_int_equal(path_of_sizes(64, 100), OK);
	assert_int_equal(path_of_sizes(65, 100), ERR_RANGE);
	assert_int_equal(path_of_sizes(1, 252), OK);
	assert_int_equal(path_of_sizes(64, 189), OK); /* 256 with brackets and @ */
	assert_int_equal(path_of_sizes(64, 190), ERR_RANGE);
	assert_int_equal(path_of_sizes(1, 253), ERR_RANGE);
	assert_int_equal(path_of_sizes(1, 256), ERR_RANGE);
	assert_int_equal(path_of_sizes(100000, 100000), ERR_RANGE);
}

/* "<@h,@h,...:u@c.example>" of so many hops */
static enum err
path_of_hops(size_t hops)
{
	struct buf b;
	struct address a;
	buf_init(&b, 1u << 20);
	buf_add_char(&b, '<');
	for (size_t i = 0; i < hops; i++)
		buf_add_str(&b, i ? ",@h.example" : "@h.example");
	buf_add_str(&b, ":u@c.example>");
	struct scan s = scan_over(buf_span(&b));
	enum err e = address_path(&s, ADDRESS_FORWARD, false, &a);
	buf_clear(&b);
	return e;
}

static void
test_hops(void **state)
{
	(void)state;
	assert_int_equal(path_of_hops(1), OK);
	assert_int_equal(path_of_hops(128), OK);
	assert_int_equal(path_of_hops(129), ERR_SYNTAX);
	assert_int_equal(path_of_hops(50000), ERR_SYNTAX);
}

/* No control character, wherever it stands in a path. */
static void
test_controls(void **state)
{
	static const char path[] = "<@r.example:\"q q\"@d.example>";
	(void)state;
	for (size_t at = 1; at < sizeof(path) - 1; at++)
		for (int c = 0; c < 0x100; c = c == 0x1f   ? 0x7f
					       : c == 0x7f ? 0x100
							   : c + 1) {
			char text[sizeof(path)];
			struct address a;
			memcpy(text, path, sizeof(path));
			text[at] = (char)c;
			struct scan s = scan_over((struct span){text, sizeof(path) - 1});
			if (address_path(&s, ADDRESS_FORWARD, true, &a) != ERR_SYNTAX)
				fail_msg("byte 0x%02x at %zu is taken", (unsigned)c, at);
		}
}

/* Cut anywhere it is refused, and nothing behind the end is read (under ASan). */
static void
test_cut(void **state)
{
	static const char path[] = "<@r.example:\"q\\\"\"@[IPv6:2001:db8::1]>";
	(void)state;
	for (size_t n = 0; n < sizeof(path) - 1; n++) {
		struct address a;
		char *text = mem_alloc_raw(n ? n : 1);
		memcpy(text, path, n);
		struct scan s = scan_over((struct span){text, n});
		assert_int_equal(address_path(&s, ADDRESS_FORWARD, true, &a), ERR_SYNTAX);
		mem_free(&text);
	}
}

/* Open relay tricks: refused, or the domain is not the one that we relay
 * for. */
static void
test_relay_tricks(void **state)
{
	static const char *const tricks[] = {
	    "<victim%far.test@ours.example>",
	    "<victim@far.test@ours.example>",
	    "<@ours.example:victim@far.test>",
	    "<@ours.example,@ours.example:victim@far.test>",
	    "<far.test!victim>",
	    "<far.test!victim@ours.example>",
	    "<ours.example!victim@far.test>",
	    "<\"victim@far.test\">",
	    "<\"victim@far.test\"@ours.example>",
	    "<\"victim%far.test\"@ours.example>",
	    "<victim\\@far.test@ours.example>",
	    "<\"victim\"@far.test>",
	    "<victim@ours.example@far.test>",
	    "<victim@ours.example.far.test>",
	    "<victim@farours.example>",
	    "<victim@far.test.>",
	    "<victim@ours.example.>",
	    "<victim@[198.51.100.1]>",
	    "<victim@[IPv6:::ffff:198.51.100.1]>",
	    "<victim@198.51.100.1>",
	    "<victim@far.test,x@ours.example>",
	    "<victim@far.test><x@ours.example>",
	    "<victim@far.test>,<x@ours.example>",
	    "<victim(x@ours.example)@far.test>",
	    "<victim@far.test(@ours.example)>",
	    "<victim@far.test\t@ours.example>",
	    "<victim@far.test\r@ours.example>",
	    "<victim@far.test\n@ours.example>",
	    "<victim@far.test\xef\xbc\xa0ours.example>",
	    "<victim@ours.example\xef\xbc\x8exfar.test>",
	    "<:victim@far.test>",
	    "<victim@far.test:25>",
	    "<victim@far.test/@ours.example>",
	    "victim@far.test",
	    "<mailto:victim@far.test>",
	    "<victim@>",
	    "<@far.test>",
	    "<victim>",
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(tricks); i++) {
		struct scan s = scan_over(span_str(tricks[i]));
		struct address a;
		struct buf b;
		buf_init(&b, 1024);
		if (address_path(&s, ADDRESS_FORWARD, true, &a) == OK && scan_done(&s) &&
		    domain_canonical(a.domain, &b) == OK &&
		    span_eq(buf_span(&b), SPAN("ours.example")) &&
		    a.local.p !=
			tricks[i] + 1) /* ours: then all before its "@" is local part */
			fail_msg("%s", tricks[i]);
		buf_clear(&b);
	}
}

static void
test_parse(void **state)
{
	struct address a;
	(void)state;
	assert_int_equal(address_parse(SPAN("a@b.example"), &a), OK);
	assert_true(span_eq(a.text, SPAN("a@b.example")));
	assert_int_equal(address_parse(SPAN("a@b.example "), &a), ERR_SYNTAX);
	assert_int_equal(address_parse(SPAN("a"), &a), ERR_SYNTAX);
	assert_int_equal(address_parse(SPAN(""), &a), ERR_SYNTAX);
	assert_int_equal(address_parse(SPAN("a@b\0c.example"), &a), ERR_SYNTAX);
}

static void
test_helo(void **state)
{
	static const char *const good[] = {"example.org", "a", "a_b.example",
	    "[192.0.2.1]", "[IPv6:::1]", "EXAMPLE.org.", "1.2.3.4"};
	static const char *const bad[] = {"", "a b", "-a", "a..b", "[192.0.2.1",
	    "[nonsense]", "a\tb", "<script>", "b\xc3\xbc.example", "a@b"};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++)
		if (!address_is_helo(span_str(good[i])))
			fail_msg("%s should be fine", good[i]);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		if (address_is_helo(span_str(bad[i])))
			fail_msg("%s should be refused", bad[i]);
	char longname[400];
	memset(longname, 'a', sizeof(longname));
	assert_false(address_is_helo((struct span){longname, sizeof(longname)}));
}

static void
test_canonical(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: none */
	} cases[] = {
	    {"Example.ORG", "example.org"},
	    {"example.org.", "example.org"},
	    {"b\xc3\xbc"
	     "cher.example",
		"xn--bcher-kva.example"},
	    {"B\xc3\x9c"
	     "CHER.example",
		"xn--bcher-kva.example"},
	    {"xn--bcher-kva.example", "xn--bcher-kva.example"},
	    {"[192.0.2.1]", "[192.0.2.1]"},
	    {"[ipv6:2001:DB8:0::1]", "[IPv6:2001:db8::1]"},
	    {"_dmarc.Example.org", "_dmarc.example.org"},
	    {"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
	    {"fa\xc3\x9f.example",
		"xn--fa-hia.example"}, /* non-transitional: not "fass" */
	    {"b\xc3\xbc\xe3\x80\x82"
	     "example",
		"xn--b-eha.example"}, /* an ideographic full stop */
	    {"[IPv6:::ffff:192.0.2.1]", "[192.0.2.1]"},
	    {"[IPv6:0:0:0:0:0:0:0:1]", "[IPv6:::1]"},
	    {"[::ffff:192.0.2.1]", NULL},
	    {"example.org..", NULL},
	    {".example.org", NULL},
	    {"a/b.example", NULL},
	    {"a@b.example", NULL},
	    {"a\tb", NULL},
	    {"b\xc3\xbc b.example", NULL},
	    {"b\xc3\xbc\xef\xbc\xa0"
	     "x.example",
		NULL}, /* a full-width "@" */
	    {"b\xc3\xbc\xc2\x9b.example", NULL},
	    {"b\xc3.example", NULL},
	    {"\xe3\x80\x82", NULL},
	    {"[", NULL},
	    {"[]", NULL},
	    {"", NULL},
	    {".", NULL},
	    {"a..b", NULL},
	    {"a b.example", NULL},
	    {"[nonsense]", NULL},
	    {"\xff.example", NULL},
	};
	struct buf b;
	(void)state;
	buf_init(&b, 1024);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		buf_reset(&b);
		enum err e = domain_canonical(span_str(cases[i].in), &b);
		if ((e == OK) != (cases[i].out != NULL))
			fail_msg("%s: %s", cases[i].in, err_text(e));
		if (e == OK && !span_eq(buf_span(&b), span_str(cases[i].out)))
			fail_msg("%s: %.*s", cases[i].in, SPAN_ARG(buf_span(&b)));
	}
	buf_clear(&b);
}

/* Labels of 60 and so many more, in all n octets. */
static enum err
canonical_of_size(size_t label, size_t n)
{
	char text[300];
	struct buf b;
	assert_true(n <= sizeof(text));
	for (size_t i = 0; i < n; i++)
		text[i] = i % (label + 1) == label && i + 1 < n ? '.' : 'D';
	buf_init(&b, 1024);
	enum err e = domain_canonical((struct span){text, n}, &b);
	assert_int_equal(b.n, e == OK ? n : 0); /* nothing is left by a failure */
	buf_clear(&b);
	return e;
}

static void
test_canonical_bounds(void **state)
{
	struct buf b;
	(void)state;
	assert_int_equal(canonical_of_size(63, 63), OK);
	assert_int_equal(canonical_of_size(64, 64), ERR_SYNTAX);
	assert_int_equal(canonical_of_size(63, 200), OK);
	assert_int_equal(canonical_of_size(60, 253), OK);
	assert_int_equal(canonical_of_size(60, 254), ERR_SYNTAX);
	buf_init(&b, 1024);
	assert_int_equal(domain_canonical(SPAN("a\0.example"), &b), ERR_SYNTAX);
	assert_int_equal(domain_canonical(SPAN("b\xc3\xbc\0.example"), &b), ERR_SYNTAX);
	assert_int_equal(b.n, 0);
	buf_clear(&b);
}

static void
test_literal(void **state)
{
	struct net_addr a;
	(void)state;
	assert_int_equal(address_literal(SPAN("[192.0.2.1]"), &a), OK);
	assert_int_equal(a.family, NET_IPV4);
	assert_int_equal(address_literal(SPAN("[IPv6:2001:db8::1]"), &a), OK);
	assert_int_equal(a.family, NET_IPV6);
	assert_int_equal(address_literal(SPAN("[IPv6:::ffff:127.0.0.1]"), &a), OK);
	assert_true(a.family == NET_IPV4 && net_is_loopback(&a));
	assert_int_equal(address_literal(SPAN("[::ffff:127.0.0.1]"), &a), ERR_SYNTAX);
	assert_int_equal(address_literal(SPAN("192.0.2.1"), &a), ERR_SYNTAX);
	assert_int_equal(address_literal(SPAN("[192.0.2.1]x"), &a), ERR_SYNTAX);
	assert_int_equal(address_literal(SPAN("[192.0.2.1\0]"), &a), ERR_SYNTAX);
}

static bool
same(const char *x, const char *y)
{
	struct address a, b;
	assert_int_equal(address_parse(span_str(x), &a), OK);
	assert_int_equal(address_parse(span_str(y), &b), OK);
	return address_same(&a, &b);
}

static void
test_same(void **state)
{
	(void)state;
	assert_true(same("a@x.example", "a@X.EXAMPLE"));
	assert_true(same("\"a\"@x.example", "a@x.example"));
	assert_true(same("\"a\\b\"@x.example", "ab@x.example"));
	assert_true(same("a@b\xc3\xbc.example", "a@xn--b-eha.example"));
	assert_true(same("a@B\xc3\x9c"
			 "cher.example",
	    "a@XN--BCHER-KVA.example"));
	assert_true(same("\"a@b\"@x.example", "\"\\a@b\"@x.example"));
	assert_false(same("\"a b\"@x.example", "ab@x.example"));
	assert_false(same("a@b\xc3\xbc.example", "a@b.example"));
	assert_false(same("A@x.example", "a@x.example"));
	assert_false(same("a@x.example", "a@y.example"));
	assert_false(same("a@x.example", "ab@x.example"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_paths),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_hops),
	    cmocka_unit_test(test_controls),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_relay_tricks),
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_helo),
	    cmocka_unit_test(test_canonical),
	    cmocka_unit_test(test_canonical_bounds),
	    cmocka_unit_test(test_literal),
	    cmocka_unit_test(test_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
