/* SPDX-License-Identifier: ISC */
/*
 * A request's head, forms, cookies and escaping: whatever the octets, an answer that is
 * there does not change with what comes behind it, what is read lies inside of what came,
 * and nothing that is escaped can end a text or a tag.
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "relay/control/page_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
inside(struct span part, struct span all)
{
	CHECK(part.n == 0 || (part.p >= all.p && part.p + part.n <= all.p + all.n));
}

static void
try_head(struct span in)
{
	struct http_request r, part;
	size_t head, part_head;
	unsigned status, part_status;
	enum http_parsed p = http_parse(in, &r, &head, &status);
	CHECK((p == HTTP_WRONG) == (status != 0));
	CHECK(p != HTTP_MORE || in.n < HTTP_HEAD_MAX);
	if (p == HTTP_OK) {
		CHECK(head > 0 && head <= in.n && head <= HTTP_HEAD_MAX);
		CHECK(
		    r.length <= HTTP_BODY_MAX && r.host.p != NULL && r.path.p[0] == '/');
		inside(r.path, in);
		inside(r.query, in);
		inside(r.host, in);
		inside(r.cookie, in);
		CHECK(http_parse(span_cut(in, 0, head), &part, &part_head,
			  &part_status) == HTTP_OK &&
		      part_head == head);
		(void)http_cookie(r.cookie, "relayd-session");
	}
	for (size_t i = 0; i < in.n && i < 300 && p == HTTP_MORE; i++)
		CHECK(http_parse(span_cut(in, 0, i), &part, &part_head, &part_status) ==
		      HTTP_MORE);
}

static void
try_form(struct span in)
{
	struct buf b, out;
	buf_init(&b, 4096);
	buf_init(&out, 65536);
	for (unsigned i = 0; i < 3; i++)
		if (form_get(in, "a", i, &b))
			CHECK(b.n == 0 || memchr(b.p, '\0', b.n) == NULL);
	if (in.n < 4096) {
		struct buf back;
		buf_add_str(&out, "a=");
		form_add(&out, in);
		buf_init(&back, 4096);
		bool zero = in.n > 0 && memchr(in.p, '\0', in.n) != NULL;
		CHECK(form_get(buf_span(&out), "a", 0, &back) == !zero);
		CHECK(zero || span_eq(buf_span(&back), in));
		buf_clear(&back);
	}
	buf_reset(&out);
	html_escape(&out, in);
	for (size_t i = 0; i < out.n; i++)
		CHECK(strchr("<>\"'", out.p[i]) == NULL || out.p[i] == '\0');
	json_t *s = query_selector(in);
	json_decref(s);
	buf_clear(&b);
	buf_clear(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span in = {(const char *)data, n};
	try_head(in);
	try_form(in);
	return 0;
}
