/* SPDX-License-Identifier: ISC */
/*
 * Text.  Octet 0 chooses what is done with the rest, octet 1 how it is split and how
 * large the buffer is: what goes out is valid UTF-8, the same in every split, and in a
 * small buffer a beginning of it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/mem.h"
#include "relay/mime/shape.h"
#include "relay/mime/text.h"
#include "relay/mime/text_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_valid(const struct buf *b)
{
	CHECK(utf8_valid(buf_span(b)) == b->n);
}

/* What add() writes; the same in a buffer of this size is how it begins. */
static void
write_bounded(void (*add)(struct span in, struct buf *out), struct span in, size_t max,
    struct buf *b)
{
	struct buf some;
	buf_init(&some, max);
	add(in, b);
	add(in, &some);
	check_valid(b);
	check_valid(&some);
	CHECK(some.n <= max && some.n <= b->n);
	CHECK(some.n == 0 || memcmp(some.p, b->p, some.n) == 0);
	CHECK(some.overflow ? some.n + 4 > max : some.n == b->n);
	buf_clear(&some);
}

/* ---- charsets */

static const char *const charsets[] = {"", "utf-8", "us-ascii", "iso-8859-1",
    "iso-8859-2", "iso-8859-8-i", "windows-1255", "windows-1258", "koi8-r", "utf-7",
    "utf-16", "utf-16be", "utf-16le", "utf-32", "iso-2022-jp", "iso-2022-jp-2",
    "iso-2022-kr", "iso-2022-cn", "gb2312", "big5", "shift_jis", "euc-jp", "euc-kr",
    "euc-tw", "johab", "tis-620", "viscii", "macintosh", "armscii-8", "no-such"};

static void
read_pieces(struct span charset, struct span in, size_t step, struct buf *out)
{
	struct text_reader *t = text_reader_new(charset);
	for (size_t i = 0; i < in.n; i += step)
		text_reader_take(t, span_cut(in, i, step), out);
	text_reader_end(t, out);
	text_reader_free(&t);
}

static void
try_charset(struct span in, size_t how)
{
	if (in.n == 0)
		return;
	struct span charset =
	    span_str(charsets[(unsigned char)in.p[0] % COUNT_OF(charsets)]);
	struct buf whole = {0}, pieces = {0}, some;
	in = span_cut(in, 1, in.n);
	text_to_utf8(charset, in, &whole);
	read_pieces(charset, in, 1 + how % 7, &pieces);
	check_valid(&whole);
	CHECK(span_eq(buf_span(&whole), buf_span(&pieces)));
	buf_init(&some, 1 + how);
	read_pieces(charset, in, 1 + how % 5, &some);
	check_valid(&some);
	CHECK(some.n <= whole.n);
	CHECK(some.n == 0 || memcmp(some.p, whole.p, some.n) == 0);
	buf_clear(&whole);
	buf_clear(&pieces);
	buf_clear(&some);
	(void)text_charset_known(in);
}

/* ---- fields, HTML, letters */

static void
check_squeezed(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		CHECK((unsigned char)s.p[i] >= ' ' && s.p[i] != 0x7f);
		if (s.p[i] == ' ')
			CHECK(i > 0 && i + 1 < s.n && s.p[i + 1] != ' ');
	}
}

static void
try_squeezed(void (*add)(struct span in, struct buf *out), struct span in, size_t how)
{
	struct buf b = {0};
	write_bounded(add, in, 1 + how, &b);
	check_squeezed(buf_span(&b));
	buf_clear(&b);
}

static void
try_fold(struct span in, size_t how)
{
	struct buf once = {0}, twice = {0}, halves = {0};
	write_bounded(text_fold, in, 1 + how, &once);
	text_fold(buf_span(&once), &twice);
	CHECK(span_eq(buf_span(&once), buf_span(&twice)));
	if (utf8_valid(in) == in.n && in.n > 0) {
		size_t half = how % in.n;
		while (((unsigned char)in.p[half] & 0xc0) == 0x80)
			half--;
		text_fold(span_cut(in, 0, half), &halves);
		text_fold(span_cut(in, half, in.n), &halves);
		CHECK(span_eq(buf_span(&once), buf_span(&halves)));
	}
	size_t n = how < once.n ? how : once.n;
	CHECK(text_contains(buf_span(&once), span_cut(buf_span(&once), n, n)));
	buf_clear(&once);
	buf_clear(&twice);
	buf_clear(&halves);
}

static void
try_subject(struct span in)
{
	struct buf base = {0}, again = {0};
	(void)text_base_subject(in, &base);
	check_valid(&base);
	if (utf8_ascii(in) == in.n) { /* others may become letters by folding */
		CHECK(!text_base_subject(buf_span(&base), &again));
		CHECK(span_eq(buf_span(&base), buf_span(&again)));
	}
	buf_clear(&base);
	buf_clear(&again);
}

static void
try_date(struct span in)
{
	struct wall when;
	int16_t zone;
	if (!text_date(in, &when, &zone))
		return;
	CHECK(zone > -1440 && zone < 1440);
	CHECK(when.ms > -62200 * 1000000000LL && when.ms < 253500 * 1000000000LL);
}

/* ---- transfer encodings */

static void
decode(int encoding, struct span in, size_t step, struct buf *out, bool *bad)
{
	struct text_decoder d = {.encoding = encoding};
	for (size_t i = 0; i < in.n; i += step)
		text_decode(&d, span_cut(in, i, step), out);
	text_decode_end(&d, out);
	*bad = d.bad;
}

static void
try_transfer(struct span in, size_t how)
{
	bool bad, bad_too;
	for (int encoding = SHAPE_IDENTITY; encoding <= SHAPE_UNKNOWN; encoding++) {
		struct buf whole = {0}, pieces = {0};
		decode(encoding, in, in.n + 1, &whole, &bad);
		decode(encoding, in, 1 + how % 90, &pieces, &bad_too);
		CHECK(span_eq(buf_span(&whole), buf_span(&pieces)) && bad == bad_too);
		buf_clear(&pieces);
		buf_init(&pieces, 1 + how);
		decode(encoding, in, 1 + how % 90, &pieces, &bad);
		CHECK(pieces.n == (whole.n < 1 + how ? whole.n : 1 + how));
		CHECK(pieces.n == 0 || memcmp(pieces.p, whole.p, pieces.n) == 0);
		buf_clear(&whole);
		buf_clear(&pieces);
	}
	struct buf text = {0}, back = {0};
	base64_encode(in, &text);
	decode(SHAPE_BASE64, buf_span(&text), 1 + how % 90, &back, &bad);
	CHECK(!bad && span_eq(buf_span(&back), in));
	buf_clear(&text);
	buf_clear(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	char *copy = mem_dup(data + 2, size - 2);
	struct span in = {copy, size - 2};
	size_t how = data[1];
	switch (data[0] % 7) {
	case 0: try_charset(in, how); break;
	case 1: try_squeezed(text_add_field, in, how); break;
	case 2: try_squeezed(text_of_html, in, how); break;
	case 3: try_fold(in, how); break;
	case 4: try_subject(in); break;
	case 5: try_date(in); break;
	default: try_transfer(in, how); break;
	}
	mem_free(&copy);
	return 0;
}
