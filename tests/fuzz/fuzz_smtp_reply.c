/* SPDX-License-Identifier: ISC */
/*
 * The reply parser of the SMTP client.  The input is cut at LF into lines, each
 * in memory of exactly its size.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/egress/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_reply(const struct reply *r)
{
	CHECK(r->code >= 200 && r->code <= 599);
	CHECK(r->lines > 0 && r->lines <= CLIENT_REPLY_LINES);
	CHECK(r->text.n <= CLIENT_REPLY_MAX && !r->text.overflow);
	CHECK(r->klass == 0 || (r->subject <= 999 && r->detail <= 999));

	struct verdict v = reply_verdict(r);
	char status[16];
	verdict_status(&v, status);
	CHECK(v.code == r->code && (v.klass == 0 || v.klass == v.code / 100));
	CHECK(memchr(v.text, '\0', sizeof(v.text)) != NULL);
	for (const char *p = v.text; *p != '\0'; p++)
		CHECK(*p >= 0x20 && *p < 0x7f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reply r = {0};
	struct span rest = {(const char *)data, size};
	while (rest.n > 0) {
		size_t n = span_find(rest, '\n');
		char *line = mem_alloc_raw(n);
		memcpy(line, rest.p, n);
		if (reply_add_line(&r, (struct span){line, n}) == OK)
			check_reply(&r);
		else
			reply_reset(&r);
		mem_free(&line);
		rest = span_cut(rest, n + 1, rest.n);
	}
	buf_clear(&r.text);
	return 0;
}
