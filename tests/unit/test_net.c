/* SPDX-License-Identifier: ISC */
/* net: what is an address and what is not, networks, text, sockets. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/net.h"

static struct net_addr
ip(const char *text)
{
	struct net_addr a;
	assert_int_equal(net_parse_ip(span_str(text), &a), OK);
	return a;
}

static void
test_parse_ip(void **state)
{
	(void)state;
	static const struct {
		const char *text, *want; /* NULL: ERR_SYNTAX */
	} cases[] = {
	    {"192.0.2.1", "192.0.2.1"},
	    {"0.0.0.0", "0.0.0.0"},
	    {"255.255.255.255", "255.255.255.255"},
	    {"::", "::"},
	    {"2001:DB8:0:0::1", "2001:db8::1"},
	    {"::ffff:192.0.2.1", "192.0.2.1"},
	    {"::ffff:c000:201", "192.0.2.1"},
	    {"0:0:0:0:0:ffff:127.0.0.1", "127.0.0.1"},
	    {"1111:2222:3333:4444:5555:6666:123.123.123.123",
		"1111:2222:3333:4444:5555:6666:7b7b:7b7b"},
	    {"", NULL},
	    {"1", NULL},
	    {"127.1", NULL},
	    {"192.0.2.01", NULL},
	    {"192.0.2.256", NULL},
	    {"0x7f.0.0.1", NULL},
	    {"192.0.2.1 ", NULL},
	    {" 192.0.2.1", NULL},
	    {"192.0.2.1.", NULL},
	    {"192.0.2", NULL},
	    {"+1.2.3.4", NULL},
	    {"::ffff:192.0.2.01", NULL},
	    {":::", NULL},
	    {"1::2::3", NULL},
	    {"fe80::1%lo", NULL},
	    {"[::1]", NULL},
	    {"12345::", NULL},
	    {"localhost", NULL},
	    {"0000000000000000000000000000000000000000000000000000000000000000:1", NULL},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct net_addr a;
		enum err e = net_parse_ip(span_str(cases[i].text), &a);
		assert_int_equal(e, cases[i].want ? OK : ERR_SYNTAX);
		if (e != OK)
			continue;
		char text[NET_TEXT];
		net_format_ip(&a, text);
		assert_string_equal(text, cases[i].want);
		assert_int_equal(a.port, 0);
	}
	struct net_addr a;
	assert_int_equal(net_parse_ip(SPAN("192.0.2.1\0x"), &a), ERR_SYNTAX);
	assert_int_equal(net_parse_ip((struct span){NULL, 0}, &a), ERR_SYNTAX);
}

static void
test_parse_addr(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum err err;
		const char *want, *literal;
	} cases[] = {
	    {"192.0.2.1:25", OK, "192.0.2.1:25", "[192.0.2.1]"},
	    {"[2001:db8::1]:65535", OK, "[2001:db8::1]:65535", "[IPv6:2001:db8::1]"},
	    {"[::]:0", OK, "[::]:0", "[IPv6:::]"},
	    {"[::ffff:192.0.2.1]:25", OK, "192.0.2.1:25", "[192.0.2.1]"},
	    {"192.0.2.1", ERR_SYNTAX, NULL, NULL},
	    {"192.0.2.1:", ERR_SYNTAX, NULL, NULL},
	    {"192.0.2.1:65536", ERR_RANGE, NULL, NULL},
	    {"192.0.2.1:99999999999999999999", ERR_RANGE, NULL, NULL},
	    {"192.0.2.1:025", ERR_SYNTAX, NULL, NULL},
	    {"192.0.2.1:+25", ERR_SYNTAX, NULL, NULL},
	    {"192.0.2.1:25 ", ERR_SYNTAX, NULL, NULL},
	    {"[192.0.2.1]:25", ERR_SYNTAX, NULL, NULL},
	    {"::1:25", ERR_SYNTAX, NULL, NULL},
	    {"[::1]", ERR_SYNTAX, NULL, NULL},
	    {"[::1]25", ERR_SYNTAX, NULL, NULL},
	    {"[::1:25", ERR_SYNTAX, NULL, NULL},
	    {"[]:25", ERR_SYNTAX, NULL, NULL},
	    {":25", ERR_SYNTAX, NULL, NULL},
	    {"", ERR_SYNTAX, NULL, NULL},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct net_addr a;
		assert_int_equal(
		    net_parse_addr(span_str(cases[i].text), &a), cases[i].err);
		if (cases[i].err != OK)
			continue;
		char text[NET_TEXT];
		net_format(&a, text);
		assert_string_equal(text, cases[i].want);
		net_format_literal(&a, text);
		assert_string_equal(text, cases[i].literal);
	}
}

static void
test_format_longest_and_none(void **state)
{
	(void)state;
	char text[NET_TEXT];
	struct net_addr a = ip("1111:2222:3333:4444:5555:6666:7777:8888");
	a.port = 65535;
	net_format(&a, text);
	assert_string_equal(text, "[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
	net_format_literal(&a, text);
	assert_string_equal(text, "[IPv6:1111:2222:3333:4444:5555:6666:7777:8888]");
	struct net_addr none = {0};
	net_format_ip(&none, text);
	assert_string_equal(text, "none");
}

static void
test_cidr(void **state)
{
	(void)state;
	static const struct {
		const char *net, *in, *out;
	} cases[] = {
	    {"192.0.2.0/24", "192.0.2.255", "192.0.3.0"},
	    {"192.0.2.128/25", "192.0.2.128", "192.0.2.127"},
	    {"192.0.2.4/30", "192.0.2.7", "192.0.2.8"},
	    {"192.0.2.1", "192.0.2.1", "192.0.2.0"},
	    {"192.0.2.1/32", "192.0.2.1", "192.0.2.3"},
	    {"128.0.0.0/1", "255.0.0.1", "127.255.255.255"},
	    {"0.0.0.0/0", "203.0.113.9", "::1"},
	    {"10.0.0.0/8", "::ffff:10.9.9.9", "2001:db8::a"},
	    {"::1/128", "::1", "::2"},
	    {"::1", "::1", "127.0.0.1"},
	    {"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"},
	    {"::/0", "2001:db8::1", "192.0.2.1"},
	    {"::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"},
	    {"::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct net_cidr net;
		assert_int_equal(net_parse_cidr(span_str(cases[i].net), &net), OK);
		struct net_addr in = ip(cases[i].in), out = ip(cases[i].out);
		assert_true(net_cidr_has(&net, &in));
		assert_false(net_cidr_has(&net, &out));
	}
}

static void
test_cidr_refused_and_any(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum err err;
		bool any;
	} cases[] = {
	    {"0.0.0.0/0", OK, true},
	    {"::/0", OK, true},
	    {"::ffff:0.0.0.0/96", OK, true},
	    {"0.0.0.0", OK, false},
	    {"::/1", OK, false},
	    {"192.0.2.1/24", ERR_SYNTAX, false},
	    {"::1/0", ERR_SYNTAX, false},
	    {"::ffff:0.0.0.0/95", ERR_SYNTAX, false},
	    {"192.0.2.0/33", ERR_RANGE, false},
	    {"::/129", ERR_RANGE, false},
	    {"192.0.2.0/", ERR_SYNTAX, false},
	    {"192.0.2.0/024", ERR_SYNTAX, false},
	    {"192.0.2.0/-1", ERR_SYNTAX, false},
	    {"192.0.2.0/24/24", ERR_SYNTAX, false},
	    {"192.0.2.0/255.255.255.0", ERR_SYNTAX, false},
	    {"192.0.2/24", ERR_SYNTAX, false},
	    {"/24", ERR_SYNTAX, false},
	    {"", ERR_SYNTAX, false},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct net_cidr net = {0};
		assert_int_equal(
		    net_parse_cidr(span_str(cases[i].text), &net), cases[i].err);
		assert_int_equal(net_cidr_any(&net), cases[i].any);
	}
	struct net_cidr nothing = {0};
	struct net_addr none = {0};
	assert_false(net_cidr_has(&nothing, &none));
}

static void
test_special(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool special, loopback;
	} cases[] = {
	    {"0.0.0.0", true, false},
	    {"0.1.2.3", true, false},
	    {"127.0.0.1", true, true},
	    {"127.255.0.66", true, true},
	    {"128.0.0.1", false, false},
	    {"169.254.0.1", true, false},
	    {"169.253.0.1", false, false},
	    {"223.255.255.255", false, false},
	    {"224.0.0.1", true, false},
	    {"239.255.255.255", true, false},
	    {"255.255.255.255", true, false},
	    {"255.255.255.254", false, false},
	    {"10.0.0.1", false, false},
	    {"::", true, false},
	    {"::1", true, true},
	    {"::2", false, false},
	    {"::ffff:127.0.0.1", true, true},
	    {"fe80::1", true, false},
	    {"febf::1", true, false},
	    {"fec0::1", false, false},
	    {"ff02::1", true, false},
	    {"2001:db8::1", false, false},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct net_addr a = ip(cases[i].text);
		assert_int_equal(net_is_special(&a), cases[i].special);
		assert_int_equal(net_is_loopback(&a), cases[i].loopback);
	}
}

static void
test_sockaddr(void **state)
{
	(void)state;
	static const char *const texts[] = {
	    "192.0.2.1:25", "[2001:db8::1]:587", "[fe80::1]:1"};
	struct sockaddr_storage sa;
	struct net_addr a, b;
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		assert_int_equal(net_parse_addr(span_str(texts[i]), &a), OK);
		a.scope = a.family == NET_IPV6 ? 3 : 0;
		socklen_t want = a.family == NET_IPV6 ? sizeof(struct sockaddr_in6)
						      : sizeof(struct sockaddr_in);
		assert_int_equal(net_to_sockaddr(&a, &sa), want);
		net_from_sockaddr((const struct sockaddr *)&sa, &b);
		assert_true(net_same_ip(&a, &b));
		assert_int_equal(a.port, b.port);
		assert_int_equal(a.scope, b.scope);
	}
	struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(99)};
	memcpy(&mapped.sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1", 16);
	net_from_sockaddr((const struct sockaddr *)&mapped, &a);
	b = ip("192.0.2.1");
	assert_true(net_same_ip(&a, &b));
	assert_int_equal(a.port, 99);
	b = ip("192.0.2.2");
	assert_false(net_same_ip(&a, &b));
	b = ip("c000:201::");
	assert_false(net_same_ip(&a, &b));

	struct sockaddr local = {.sa_family = AF_UNIX};
	net_from_sockaddr(&local, &a);
	assert_int_equal(a.family, NET_NONE);
	assert_int_equal(net_to_sockaddr(&a, &sa), 0);
	assert_true(net_is_special(&a));
}

static struct net_addr
bound_to(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	struct net_addr a;
	net_from_sockaddr((const struct sockaddr *)&sa, &a);
	return a;
}

static bool
can_connect(const struct net_addr *to)
{
	struct sockaddr_storage sa;
	socklen_t len = net_to_sockaddr(to, &sa);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	bool good = connect(fd, (const struct sockaddr *)&sa, len) == 0;
	close(fd);
	return good;
}

static void
test_listen(void **state)
{
	(void)state;
	struct net_addr at = ip("127.0.0.1");
	int fd = net_listen(&at, false);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	at = bound_to(fd);
	assert_true(can_connect(&at));
	assert_int_equal(net_listen(&at, false), ERR_BUSY);
	close(fd);

	at.port = 0;
	int first = net_listen(&at, true);
	assert_true(first >= 0);
	at = bound_to(first);
	int second = net_listen(&at, true);
	assert_true(second >= 0);
	close(first);
	close(second);

	at = ip("192.0.2.1");
	assert_int_equal(net_listen(&at, false), ERR_UNREACHABLE);
	assert_int_equal(net_listen(&(struct net_addr){0}, false), ERR_CONFIG);
}

static void
test_listen_both(void **state)
{
	(void)state;
	struct net_addr at = ip("::");
	int probe = socket(AF_INET6, SOCK_STREAM, 0);
	if (probe < 0)
		skip();
	close(probe);
	int fd = net_listen(&at, false);
	assert_true(fd >= 0);
	struct net_addr four = ip("127.0.0.1");
	four.port = bound_to(fd).port;
	assert_true(can_connect(&four));
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse_ip),
	    cmocka_unit_test(test_parse_addr),
	    cmocka_unit_test(test_format_longest_and_none),
	    cmocka_unit_test(test_cidr),
	    cmocka_unit_test(test_cidr_refused_and_any),
	    cmocka_unit_test(test_special),
	    cmocka_unit_test(test_sockaddr),
	    cmocka_unit_test(test_listen),
	    cmocka_unit_test(test_listen_both),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
