/* SPDX-License-Identifier: ISC */
/*
 * The body of DATA.  The first octet says whether bare ends of lines are repaired and how
 * the rest is split: whatever the split, the same content comes out and the same octets
 * are left.  Sent on, it has no end of data but the last, in no reader's eyes; and who
 * reads it gets it back.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/dot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
emit(void *arg, struct span bytes)
{
	buf_add_span(arg, bytes);
}

/* How many octets were taken, in pieces. */
static size_t
take(struct undot *u, struct span in, size_t piece, struct buf *out)
{
	size_t at = 0;
	while (at < in.n && !u->end) {
		struct span s = span_cut(in, at, piece);
		size_t n = undot_take(u, s, emit, out);
		CHECK(n == s.n || u->end);
		at += n;
	}
	return at;
}

/* An end of a line in the most careless eyes, NULs, a dot, NULs, an end of a line. */
static bool
looks_like_the_end(struct span s, size_t i)
{
	if (s.p[i] != '\r' && s.p[i] != '\n')
		return false;
	size_t k = i + 1;
	while (k < s.n && s.p[k] == '\0')
		k++;
	if (k == s.n || s.p[k++] != '.')
		return false;
	while (k < s.n && s.p[k] == '\0')
		k++;
	return k < s.n && (s.p[k] == '\r' || s.p[k] == '\n');
}

static void
send_on(struct span content, size_t piece)
{
	struct buf wire, back;
	struct undot u;
	struct dot_stuff d = {0};
	buf_init(&wire, 0);
	buf_init(&back, 0);
	for (size_t at = 0; at < content.n; at += piece)
		dot_stuff_add(&d, &wire, span_cut(content, at, piece));
	dot_stuff_end(&d, &wire);
	struct span s = buf_span(&wire);
	for (size_t i = 0; i + 4 < s.n; i++)
		CHECK(!looks_like_the_end(s, i));
	undot_init(&u, false);
	CHECK(take(&u, s, piece, &back) == s.n && u.end);
	struct span got = buf_span(&back);
	if (got.n == content.n + 2) /* it had no CRLF at its end */
		got.n -= 2;
	CHECK(span_eq(got, content));
	buf_clear(&wire);
	buf_clear(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces;
	struct undot a, b;
	if (size < 2)
		return 0;
	bool repair = data[0] & 1;
	size_t piece = 1 + (data[0] >> 1);
	struct span in = {(const char *)data + 1, size - 1};
	buf_init(&whole, 0);
	buf_init(&pieces, 0);
	undot_init(&a, repair);
	undot_init(&b, repair);
	CHECK(take(&a, in, in.n, &whole) == take(&b, in, piece, &pieces));
	CHECK(span_eq(buf_span(&whole), buf_span(&pieces)));
	CHECK(a.end == b.end && a.bare_cr == b.bare_cr && a.bare_lf == b.bare_lf &&
	      a.nul == b.nul && a.eight_bit == b.eight_bit && a.dots == b.dots &&
	      a.longest == b.longest && a.wire == b.wire);
	bool lines = repair || (!a.bare_cr && !a.bare_lf);
	if (a.end && lines && !a.nul)
		send_on(buf_span(&whole), piece);
	buf_clear(&whole);
	buf_clear(&pieces);
	return 0;
}
