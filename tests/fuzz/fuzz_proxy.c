/* SPDX-License-Identifier: ISC */
/*
 * The first bytes of a proxy, and the arguments of XCLIENT: whatever they are, they
 * are taken, refused or found too short.  An answer that is not "more" is the same
 * however much more there is; a header is never longer than the bound.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "relay/ingress/proxy.h"
#include "relay/ingress/xclient.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
try_header(struct span in)
{
	struct proxy_header whole, part;
	enum proxy_answer answer = proxy_parse(in, &whole);
	CHECK(answer != PROXY_MORE || in.n < PROXY_HEADER_MAX);
	if (answer == PROXY_DONE) {
		CHECK(whole.size <= in.n && whole.size <= PROXY_HEADER_MAX);
		CHECK(whole.told == (whole.from.family != NET_NONE));
		CHECK(proxy_parse(span_cut(in, 0, whole.size), &part) == PROXY_DONE);
		CHECK(part.size == whole.size && part.told == whole.told);
		CHECK(proxy_parse(span_cut(in, 0, whole.size - 1), &part) == PROXY_MORE);
	}
	for (size_t i = 0; i < in.n && answer == PROXY_MORE; i++)
		CHECK(proxy_parse(span_cut(in, 0, i), &part) == PROXY_MORE);
}

static void
try_xclient(struct span args)
{
	struct xclient x;
	struct verdict why = {0};
	if (!xclient_parse(args, &x, &why)) {
		CHECK(why.code == 501);
		return;
	}
	CHECK(!(x.addr && x.addr_unknown));
	CHECK(memchr(x.login_name, '\0', sizeof(x.login_name)) != NULL);
	for (const char *p = x.login_name; *p != '\0'; p++)
		CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span in = {(const char *)data, n};
	try_header(in);
	try_xclient(in);
	return 0;
}
