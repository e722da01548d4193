/* SPDX-License-Identifier: ISC */
/* config_files: what a configuration names is a file, or is refused without waiting. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "relay/config.h"

#define PATIENCE_S 20 /* a read that waits for ever ends the test */

#define BASE                                     \
	"hostname = \"gw.example.org\"\n"        \
	"spool { path = \"/var/lib/relayd\" }\n" \
	"listener \"smtp\" { bind = {\"127.0.0.1:25\"} "

static void
refuses(const char *dir, const char *fmt, const char *name)
{
	char text[1024], want[256], path[128];
	struct buf errors;
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)snprintf(want, sizeof(want), "cannot read \"%s\": not a file", path);
	int n = snprintf(text, sizeof(text), "%s", BASE);
	/* Each text has the name once. */
	const char *at = strchr(fmt, '@');
	assert_non_null(at);
	(void)snprintf(text + n, sizeof(text) - (size_t)n, "%.*s%s%s\n", (int)(at - fmt),
	    fmt, path, at + 1);
	buf_init(&errors, 64u << 10);
	struct config *c = config_parse("t.conf", text, &errors);
	if (c == NULL)
		fail_msg("%s\ngave\n%.*s", text, SPAN_ARG(buf_span(&errors)));
	buf_reset(&errors);
	(void)alarm(PATIENCE_S);
	bool fine = config_open(c, false, &errors);
	(void)alarm(0);
	buf_add_char(&errors, '\0');
	if (fine || strstr(errors.p, want) == NULL)
		fail_msg("%s\ngave\n%s\nnot\n%s", text, errors.p, want);
	buf_clear(&errors);
	const struct config *gone = c;
	config_unref(&gone);
}

static void
test_not_files(void **state)
{
	(void)state;
	static const char *const text[] = {
	    "tls = none }\nroute a { via = {\"mx.example\"} tls = verify user = x "
	    "secret-file = \"@\" }",
	    "tls = none }\nroute a { via = {\"mx.example\"} tls = verify tls-ca = \"@\" "
	    "}",
	    "tls = none }\ntls { ca = \"@\" }",
	    "tls = starttls }\ntls { certificate = \"@\" }",
	    "tls = starttls }\ntls { certificate = \"/dev/null/x\" key = \"@\" }",
	    "tls = starttls client-certificate = ask }\n"
	    "tls { certificate = \"/dev/null/x\" client-ca = \"@\" }",
	};
	char dir[] = "/tmp/test-config-files-XXXXXX", fifo[64];
	assert_non_null(mkdtemp(dir));
	(void)snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	for (size_t i = 0; i < COUNT_OF(text); i++) {
		refuses(dir, text[i], "fifo");
		refuses(dir, text[i], ".");
	}
	assert_int_equal(unlink(fifo), 0);
	assert_int_equal(rmdir(dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_not_files),
	};
	return cmocka_run_group_tests_name("config_files", tests, NULL, NULL);
}
