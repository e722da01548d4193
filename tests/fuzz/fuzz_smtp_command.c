/* SPDX-License-Identifier: ISC */
/*
 * A command line from the net: whatever it is, it is taken apart or refused with
 * a 5xx; what is accepted points into the line and keeps within its bounds; a
 * line's arguments do not depend on the blanks behind them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "relay/ingress/command.h"
#include "relay/ingress/crlf.h"

static void
inside(struct span part, struct span whole)
{
	CHECK(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static void
refused(const struct verdict *why)
{
	CHECK(why->code >= 500 && why->code < 600 && why->klass == 5);
}

static void
try_mail(struct span args)
{
	struct mail_command c;
	struct verdict why = {0};
	if (!command_mail(args, &c, &why)) {
		refused(&why);
		return;
	}
	inside(c.sender.text, args);
	inside(c.envid, args);
	CHECK(c.envid.n <= ENVID_MAX && c.size <= UINT64_C(1) << 62);
	CHECK(!(c.binary && c.eight_bit) && (c.smtputf8 || !c.sender.utf8));
	CHECK(c.sender.text.n <= PATH_MAX_OCTETS);
}

static void
try_rcpt(struct span args, bool utf8)
{
	struct rcpt_command c;
	struct verdict why = {0};
	if (!command_rcpt(args, utf8, &c, &why)) {
		refused(&why);
		return;
	}
	inside(c.recipient.text, args);
	inside(c.orcpt, args);
	CHECK(c.orcpt.n <= ORCPT_MAX && c.recipient.text.n > 0);
	CHECK(utf8 || !c.recipient.utf8);
	CHECK((c.notify & 1) == 0 || c.notify == 1);
}

static void
try_bdat(struct span args)
{
	struct bdat_command c;
	struct verdict why = {0};
	if (!command_bdat(args, &c, &why))
		refused(&why);
	else
		CHECK(c.trusted);
	CHECK(c.size <= UINT64_C(1) << 62);
}

static void
collect(void *arg, struct span s)
{
	buf_add_span(arg, s);
}

/* Whole and byte by byte are the same; repaired content has no bare CR or LF. */
static void
try_crlf(struct span in, bool repair)
{
	struct buf whole = {0}, bytes = {0}, again = {0};
	struct crlf a, b, c;
	crlf_init(&a, repair);
	crlf_take(&a, in, collect, &whole);
	crlf_end(&a, collect, &whole);
	crlf_init(&b, repair);
	for (size_t i = 0; i < in.n; i++)
		crlf_take(&b, span_cut(in, i, 1), collect, &bytes);
	crlf_end(&b, collect, &bytes);
	CHECK(span_eq(buf_span(&whole), buf_span(&bytes)));
	CHECK(a.longest == b.longest && a.bare_cr == b.bare_cr && a.bare_lf == b.bare_lf);
	CHECK(repair || span_eq(buf_span(&whole), in));
	crlf_init(&c, false);
	crlf_take(&c, buf_span(&whole), collect, &again);
	crlf_end(&c, collect, &again);
	CHECK(!repair || (!c.bare_cr && !c.bare_lf));
	buf_clear(&whole);
	buf_clear(&bytes);
	buf_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span line = {(const char *)data, n};
	try_crlf(line, false);
	try_crlf(line, true);
	struct span verb, args;
	if (n > COMMAND_LINE_MAX || !command_split(line, &verb, &args))
		return 0;
	inside(verb, line);
	inside(args, line);
	try_mail(args);
	try_rcpt(args, false);
	try_rcpt(args, true);
	try_bdat(args);
	return 0;
}
