/* SPDX-License-Identifier: ISC */
/* The parsers of those who speak for others: PROXY headers and XCLIENT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/ingress/proxy.h"
#include "relay/ingress/xclient.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(literal)                         \
	{                                      \
		(literal), sizeof(literal) - 1 \
	}

/* ---- PROXY */

struct proxy_case {
	struct span in;
	const char *from; /* NULL: bad; "": nothing told */
	size_t rest;      /* octets that are not the header's */
};

static const struct proxy_case proxy_cases[] = {
    {BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\n"), "192.0.2.1:1", 0},
    {BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\nEHLO x\r\n"),
	"255.255.255.255:65535", 8},
    {BYTES("PROXY TCP6 2001:db8::1 ::1 1 25\r\n"), "[2001:db8::1]:1", 0},
    {BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", 0},
    {BYTES("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 25\r\n"), "192.0.2.1:1", 0},
    {BYTES("PROXY UNKNOWN\r\n"), "", 0},
    {BYTES("PROXY UNKNOWN ffff:ffff:: ::1 1 2\r\nx"), "", 1},
    {BYTES("PROXY UNKNOWNX\r\n"), NULL, 0},
    {BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 25\n"), NULL, 0},
    {BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n"), NULL, 0},
    {BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 01 25\r\n"), NULL, 0},
    {BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 -1 25\r\n"), NULL, 0},
    {BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"), NULL, 0},
    {BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 1 25 \r\n"), NULL, 0},
    {BYTES("PROXY TCP4  192.0.2.1 192.0.2.2 1 25\r\n"), NULL, 0},
    {BYTES("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 25\r\n"), NULL, 0},
    {BYTES("PROXY TCP4 192.0.2.256 192.0.2.2 1 25\r\n"), NULL, 0},
    {BYTES("PROXY TCP4 ::1 ::1 1 25\r\n"), NULL, 0},
    {BYTES("PROXY TCP6 192.0.2.1 192.0.2.2 1 25\r\n"), NULL, 0},
    {BYTES("PROXY UDP4 192.0.2.1 192.0.2.2 1 25\r\n"), NULL, 0},
    {BYTES("PROXY \r\n"), NULL, 0},
    {BYTES("proxy TCP4 192.0.2.1 192.0.2.2 1 25\r\n"), NULL, 0},
    {BYTES("EHLO x\r\n"), NULL, 0},
    {BYTES("\x16\x03\x01"), NULL, 0},
    {BYTES("\n"), NULL, 0},
    /* version 2 */
    {BYTES(SIGNATURE "\x20\0\0\0"), "", 0},
    {BYTES(SIGNATURE "\x20\x11\0\x0c............more"), "", 4},
    {BYTES(SIGNATURE "\x21\0\0\0"), "", 0},
    {BYTES(SIGNATURE "\x21\0\0\3abc!"), "", 1},
    {BYTES(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\x01\x02\0\x19"), "192.0.2.1:258",
	0},
    {BYTES(SIGNATURE "\x21\x11\0\x0f\xc0\0\2\1\xc0\0\2\2\x01\x02\0\x19\4\0\0EHLO"),
	"192.0.2.1:258", 4},
    {BYTES(SIGNATURE
	 "\x21\x21\0\x24\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0"
	 "\0\0\0\1\0\1\0\x19"),
	"[2001:db8::1]:1", 0},
    {BYTES(SIGNATURE
	 "\x21\x21\0\x24\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1\0\0\0\0\0\0\0\0\0\0\0\0"
	 "\0\0\0\1\0\1\0\x19"),
	"192.0.2.1:1", 0},
    {BYTES(SIGNATURE "\x21\x11\0\x0b\xc0\0\2\1\xc0\0\2\2\x01\x02\0"), NULL, 0},
    {BYTES(SIGNATURE "\x21\x21\0\x0c\xc0\0\2\1\xc0\0\2\2\x01\x02\0\x19"), NULL, 0},
    {BYTES(SIGNATURE "\x21\x12\0\x0c\xc0\0\2\1\xc0\0\2\2\x01\x02\0\x19"), NULL, 0},
    {BYTES(SIGNATURE "\x21\x31\0\0"), NULL, 0},
    {BYTES(SIGNATURE "\x22\x11\0\0"), NULL, 0},
    {BYTES(SIGNATURE "\x11\x11\0\0"), NULL, 0},
    {BYTES(SIGNATURE "\x21\x11\x10\x01"), NULL, 0},
    {BYTES("\r\n\r\n\0\r\nQUIT\r"), NULL, 0},
};

/* Whatever begins a header asks for more; the answer does not come sooner or change. */
static void
check_proxy(const struct proxy_case *c, size_t number)
{
	struct proxy_header h;
	size_t whole = c->in.n - c->rest;
	for (size_t n = 0; n < whole; n++) {
		enum proxy_answer a = proxy_parse(span_cut(c->in, 0, n), &h);
		if (c->from != NULL && a != PROXY_MORE)
			fail_msg("case %zu: %d after %zu octets", number, a, n);
		if (a == PROXY_BAD)
			break;
	}
	enum proxy_answer a = proxy_parse(c->in, &h);
	if (a != (c->from != NULL ? PROXY_DONE : PROXY_BAD))
		fail_msg("case %zu: %d", number, a);
	if (c->from == NULL)
		return;
	assert_int_equal(h.size, whole);
	assert_int_equal(h.told, c->from[0] != '\0');
	if (h.told) {
		char text[NET_TEXT];
		net_format(&h.from, text);
		assert_string_equal(text, c->from);
	}
}

static void
test_proxy(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(proxy_cases); i++)
		check_proxy(&proxy_cases[i], i);
}

/* 107 octets are a line, 108 are none; 4096 octets may follow in the binary one. */
static void
test_proxy_bounds(void **state)
{
	(void)state;
	struct proxy_header h;
	char line[PROXY_LINE_MAX + 2];
	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	assert_int_equal(proxy_parse((struct span){line, 106}, &h), PROXY_MORE);
	assert_int_equal(proxy_parse((struct span){line, 107}, &h), PROXY_BAD);
	memcpy(line + 105, "\r\n", 2);
	assert_int_equal(proxy_parse((struct span){line, 107}, &h), PROXY_DONE);
	memcpy(line + 105, "x\r\n", 3);
	assert_int_equal(proxy_parse((struct span){line, 108}, &h), PROXY_BAD);

	char *binary = mem_alloc(PROXY_HEADER_MAX);
	memset(binary, 0, PROXY_HEADER_MAX);
	memcpy(binary, SIGNATURE "\x21\0\x10\0", 16);
	assert_int_equal(
	    proxy_parse((struct span){binary, PROXY_HEADER_MAX - 1}, &h), PROXY_MORE);
	assert_int_equal(
	    proxy_parse((struct span){binary, PROXY_HEADER_MAX}, &h), PROXY_DONE);
	assert_int_equal(h.size, PROXY_HEADER_MAX);
	mem_free(&binary);
}

/* ---- XCLIENT */

static void
test_xclient(void **state)
{
	(void)state;
	static const struct {
		const char *args, *addr, *login; /* addr NULL: refused; "": not known */
	} cases[] = {
	    {"ADDR=192.0.2.1", "192.0.2.1:0", NULL},
	    {"addr=192.0.2.1 port=65535", "192.0.2.1:65535", NULL},
	    {"PORT=25  ADDR=192.0.2.1", "192.0.2.1:25", NULL},
	    {"ADDR=IPV6:2001:db8::1", "[2001:db8::1]:0", NULL},
	    {"ADDR=ipv6:::ffff:192.0.2.1", "192.0.2.1:0", NULL},
	    {"ADDR=192.0.2.1 NAME=a.b HELO=x+20y PROTO=smtp DESTADDR=::1 DESTPORT=25",
		"192.0.2.1:0", NULL},
	    {"ADDR=[UNAVAILABLE]", "", NULL},
	    {"ADDR=[tempunavail] NAME=[TEMPUNAVAIL]", "", NULL},
	    {"ADDR=192.0.2.1 LOGIN=al+2Bice", "192.0.2.1:0", "al+ice"},
	    {"ADDR=192.0.2.1 LOGIN=[UNAVAILABLE]", "192.0.2.1:0", NULL},
	    {"", NULL, NULL},
	    {"ADDR", NULL, NULL},
	    {"ADDR=", NULL, NULL},
	    {"=192.0.2.1", NULL, NULL},
	    {"ADDR=2001:db8::1", NULL, NULL},
	    {"ADDR=IPV6:192.0.2.1", NULL, NULL},
	    {"ADDR=[192.0.2.1]", NULL, NULL},
	    {"ADDR=192.0.2.1 ADDR=192.0.2.1", NULL, NULL},
	    {"ADDR=192.0.2.1 FOO=x", NULL, NULL},
	    {"PORT=", NULL, NULL},
	    {"PORT=65536", NULL, NULL},
	    {"PORT=1x", NULL, NULL},
	    {"DESTPORT=-1", NULL, NULL},
	    {"PROTO=HTTP", NULL, NULL},
	    {"LOGIN=", NULL, NULL},
	    {"LOGIN=a+", NULL, NULL},
	    {"LOGIN=a+0A", NULL, NULL},
	    {"LOGIN=a=b", NULL, NULL},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct xclient x;
		struct verdict why = {0};
		bool ok = xclient_parse(span_str(cases[i].args), &x, &why);
		if (ok != (cases[i].addr != NULL))
			fail_msg("XCLIENT %s", cases[i].args);
		if (!ok) {
			assert_int_equal(why.code, 501);
			continue;
		}
		char text[NET_TEXT];
		net_format(&x.address, text);
		assert_int_equal(x.addr, cases[i].addr[0] != '\0');
		assert_int_equal(x.addr_unknown, cases[i].addr[0] == '\0');
		if (x.addr)
			assert_string_equal(text, cases[i].addr);
		assert_int_equal(x.login, cases[i].login != NULL);
		assert_string_equal(x.login_name, cases[i].login ? cases[i].login : "");
	}
}

static void
test_xclient_bound(void **state)
{
	(void)state;
	char args[6 + XCLIENT_VALUE_MAX + 1];
	memset(args, 'a', sizeof(args));
	memcpy(args, "LOGIN=", 6);
	struct xclient x;
	struct verdict why;
	assert_true(xclient_parse((struct span){args, 6 + XCLIENT_VALUE_MAX}, &x, &why));
	assert_int_equal(strlen(x.login_name), XCLIENT_VALUE_MAX);
	assert_false(
	    xclient_parse((struct span){args, 6 + XCLIENT_VALUE_MAX + 1}, &x, &why));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_proxy),
	    cmocka_unit_test(test_proxy_bounds),
	    cmocka_unit_test(test_xclient),
	    cmocka_unit_test(test_xclient_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
