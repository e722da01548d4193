/* SPDX-License-Identifier: ISC */
/* Fuzz: a rewritten header is not rewritten again, has the same fields, and what is
 * behind it stays. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/header.h"
#include "policy/rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
add_rule(struct rewrite_list *l, const char *text)
{
	struct buf why = {0};
	l->rule = mem_resize(l->rule, l->n + 1, sizeof(*l->rule));
	if (rewrite_parse(span_str(text), &l->rule[l->n++], &why) != OK)
		abort();
	buf_clear(&why);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rewriting r = {0};
	struct span in = {(const char *)data, size};
	struct buf out, again;
	struct header_scan before, after;
	add_rule(&r.from, "*=@out.example");
	buf_init(&out, 0);
	buf_init(&again, 0);
	if (rewrite_header(&r, SPAN(""), in, &out)) {
		/* what was replaced is not replaced again: all of it was understood */
		if (rewrite_header(&r, SPAN(""), buf_span(&out), &again))
			abort();
		header_scan_init(&before, SPAN(""));
		header_scan_init(&after, SPAN(""));
		header_scan_take(&before, in);
		header_scan_take(&after, buf_span(&out));
		header_scan_end(&before);
		header_scan_end(&after);
		if (before.fields != after.fields || before.done != after.done ||
		    before.malformed != after.malformed)
			abort();
		/* the body, or what is behind a malformed line, is the same */
		struct span rest = span_cut(in, before.size, in.n);
		if (!span_eq(rest, span_cut(buf_span(&out), after.size, out.n)))
			abort();
	} else if (out.n != 0) {
		abort();
	}
	/* With Reply-To kept no more fields change, and there is one more at most. */
	size_t plain = out.n;
	buf_reset(&out);
	r.keep_reply_to = true;
	if (rewrite_header(&r, SPAN("Received: x\r\n"), in, &out) &&
	    (plain == 0 || out.n > plain + size + 20))
		abort();
	buf_clear(&out);
	buf_clear(&again);
	rewriting_clear(&r);
	return 0;
}
