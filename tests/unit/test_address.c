/* SPDX-License-Identifier: ISC */
/* Addresses, domains and xtext as tables: what is taken, what is refused, at the bounds and over. */
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
    {"<u%there.example@here.example>", ADDRESS_FORWARD, false, OK, "u%there.example", "here.example"},
    {"<there.example!u@here.example>", ADDRESS_FORWARD, false, OK, "there.example!u", "here.example"},
    {"<=?utf-8?q?a=40b?=@x.example>", ADDRESS_FORWARD, false, OK, "=?utf-8?q?a=40b?=", "x.example"},
    {"<j\xc3\xbcrgen@x.example>", ADDRESS_FORWARD, true, OK, "j\xc3\xbcrgen", "x.example"},
    {"<j\xc3\xbcrgen@x.example>", ADDRESS_FORWARD, false, ERR_SYNTAX, NULL, NULL},
    {"<u@b\xc3\xbc.example>", ADDRESS_FORWARD, true, OK, "u", "b\xc3\xbc.example"},
    {"<j\xc3@x.example>", ADDRESS_FORWARD, true, ERR_SYNTAX, NULL, NULL},
    {"<j\xc0\x80@x.example>", ADDRESS_FORWARD, true, ERR_SYNTAX, NULL, NULL},
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
		if (!span_eq(a.local, span_str(c->local)) || !span_eq(a.domain, span_str(c->domain)))
			fail_msg("%s: %.*s / %.*s", c->text, SPAN_ARG(a.local), SPAN_ARG(a.domain));
	}
}

static enum err
path_of_sizes(size_t local, size_t domain)
{
	struct buf b;
	struct address a;
	buf_init(&b, 4096);
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
	assert_int_equal(path_of_sizes(64, 189), OK);  /* 256 with brackets and @ */
	assert_int_equal(path_of_sizes(64, 190), ERR_RANGE);
	assert_int_equal(path_of_sizes(1, 256), ERR_RANGE);
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
	static const char *const good[] = {"example.org", "a", "a_b.example", "[192.0.2.1]",
	    "[IPv6:::1]", "EXAMPLE.org.", "1.2.3.4"};
	static const char *const bad[] = {"", "a b", "-a", "a..b", "[192.0.2.1", "[nonsense]",
	    "a\tb", "<script>", "b\xc3\xbc.example", "a@b"};
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
	    {"b\xc3\xbc" "cher.example", "xn--bcher-kva.example"},
	    {"B\xc3\x9c" "CHER.example", "xn--bcher-kva.example"},
	    {"xn--bcher-kva.example", "xn--bcher-kva.example"},
	    {"[192.0.2.1]", "[192.0.2.1]"},
	    {"[ipv6:2001:DB8:0::1]", "[IPv6:2001:db8::1]"},
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
	assert_true(same("a@b\xc3\xbc.example", "a@xn--b-xga.example") ||
	    same("a@b\xc3\xbc" "cher.example", "a@xn--bcher-kva.example"));
	assert_false(same("A@x.example", "a@x.example"));
	assert_false(same("a@x.example", "a@y.example"));
	assert_false(same("a@x.example", "ab@x.example"));
}

static void
test_xtext(void **state)
{
	static const struct {
		const char *in, *out;
	} good[] = {{"abc", "abc"}, {"a+2Bb", "a+b"}, {"a+3Db", "a=b"}, {"+20", " "}, {"", ""}};
	static const char *const bad[] = {"a+0Ab", "a+0Db", "a+00", "a+7F", "a+2", "a+", "a+2b",
	    "a b", "a=b", "a+GG", "\x80", "a\x7f"};
	struct buf b;
	(void)state;
	buf_init(&b, 1024);
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		buf_reset(&b);
		assert_int_equal(xtext_decode(span_str(good[i].in), &b), OK);
		assert_true(span_eq(buf_span(&b), span_str(good[i].out)));
	}
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		buf_reset(&b);
		if (xtext_decode(span_str(bad[i]), &b) != ERR_SYNTAX)
			fail_msg("%s should be refused", bad[i]);
	}
	buf_reset(&b);
	xtext_encode(SPAN("a+b=c d\xc3"), &b);
	assert_true(span_eq(buf_span(&b), SPAN("a+2Bb+3Dc+20d+C3")));
	buf_clear(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_paths),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_helo),
	    cmocka_unit_test(test_canonical),
	    cmocka_unit_test(test_same),
	    cmocka_unit_test(test_xtext),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
