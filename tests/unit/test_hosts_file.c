/* SPDX-License-Identifier: ISC */
/* Names of /etc/hosts: which lines count, families, bounds, files that are not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "resolver/hosts_file.h"

static const char text[] = "# this machine\n"
			   "127.0.0.1\tlocalhost\n"
			   "192.0.2.1 mail.lan mail # smart.lan\n"
			   "  2001:db8::1   Mail.LAN\r\n"
			   "192.0.2.256 bad.lan\n"
			   "mail.lan 192.0.2.9\n"
			   "192.0.2.2\n"
			   "192.0.2.3 mail.lan.example last.lan";

static void
test_lines(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		enum net_family family;
		size_t n;
		const char *first;
	} cases[] = {
	    {"mail.lan", NET_NONE, 2, "192.0.2.1"},
	    {"MAIL.lan", NET_IPV6, 1, "2001:db8::1"},
	    {"mail.lan", NET_IPV4, 1, "192.0.2.1"},
	    {"mail", NET_NONE, 1, "192.0.2.1"},
	    {"last.lan", NET_NONE, 1, "192.0.2.3"},
	    {"smart.lan", NET_NONE, 0, NULL},
	    {"bad.lan", NET_NONE, 0, NULL},
	    {"lan", NET_NONE, 0, NULL},
	    {"192.0.2.9", NET_NONE, 0, NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct net_addr a[4];
		char ip[NET_TEXT];
		size_t n = hosts_text_find(
		    SPAN(text), span_str(cases[i].name), cases[i].family, a, 4);
		if (n != cases[i].n)
			fail_msg("%s: %zu", cases[i].name, n);
		if (n == 0)
			continue;
		net_format_ip(&a[0], ip);
		assert_string_equal(ip, cases[i].first);
	}
	struct net_addr one;
	assert_int_equal(
	    hosts_text_find(SPAN(text), SPAN("mail.lan"), NET_NONE, &one, 1), 1);
}

static void
test_files(void **state)
{
	(void)state;
	struct net_addr a;
	char path[] = "/tmp/relayd-hosts.XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(hosts_file_find(path, SPAN("mail.lan"), NET_NONE, &a, 1), 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(hosts_file_find(path, SPAN("mail.lan"), NET_NONE, &a, 1), 1);
	/* what stands behind the bound is not looked at */
	struct buf much;
	buf_init(&much, 0);
	while (much.n < HOSTS_FILE_MAX)
		buf_add_str(&much, "# nothing in this line\n");
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, much.p, much.n, 0), much.n);
	assert_int_equal(
	    pwrite(fd, text, sizeof(text) - 1, (off_t)much.n), sizeof(text) - 1);
	assert_int_equal(hosts_file_find(path, SPAN("mail.lan"), NET_NONE, &a, 1), 0);
	buf_clear(&much);
	close(fd);
	unlink(path);
	assert_int_equal(hosts_file_find(path, SPAN("mail.lan"), NET_NONE, &a, 1), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
