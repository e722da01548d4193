/* SPDX-License-Identifier: ISC */
/* dot: one end of data and no other, in any split; stuffing and back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/dot.h"
#include "base/mem.h"

/* What an attacker sends behind a spelling that he hopes is an end. */
#define INNER                              \
	"MAIL FROM:<evil@x.test>\r\nRCPT " \
	"TO:<a@y.test>\r\nDATA\r\ninner\r\n.\r\nQUIT\r\n"

struct result {
	struct undot u;
	struct buf content;
	size_t taken;
	unsigned emits;
};

static void
collect(void *arg, struct span s)
{
	struct result *r = arg;
	assert_true(s.n > 0);
	buf_add_span(&r->content, s);
	r->emits++;
}

/* Each piece in memory of its own size, so that a sanitizer sees a look beyond it. */
static void
feed(struct result *r, struct span piece)
{
	char *copy = mem_alloc_raw(piece.n);
	if (piece.n > 0)
		memcpy(copy, piece.p, piece.n);
	size_t n = undot_take(&r->u, (struct span){copy, piece.n}, collect, r);
	assert_true(n <= piece.n);
	assert_true(n == piece.n || r->u.end);
	r->taken += n;
	mem_free(&copy);
}

static struct result
undot_pieces(struct span in, bool repair, size_t first, size_t then)
{
	struct result r = {0};
	undot_init(&r.u, repair);
	feed(&r, span_cut(in, 0, first));
	for (size_t at = first; at < in.n; at += then)
		feed(&r, span_cut(in, at, then));
	return r;
}

static void
assert_same(const struct result *a, const struct result *b)
{
	assert_int_equal(a->taken, b->taken);
	assert_true(span_eq(buf_span(&a->content), buf_span(&b->content)));
	assert_int_equal(a->u.end, b->u.end);
	assert_int_equal(a->u.state, b->u.state);
	assert_int_equal(a->u.bare_cr, b->u.bare_cr);
	assert_int_equal(a->u.bare_lf, b->u.bare_lf);
	assert_int_equal(a->u.nul, b->u.nul);
	assert_int_equal(a->u.eight_bit, b->u.eight_bit);
	assert_int_equal(a->u.dots, b->u.dots);
	assert_int_equal(a->u.line, b->u.line);
	assert_int_equal(a->u.longest, b->u.longest);
	assert_int_equal(a->u.wire, b->u.wire);
}

/* What is sent behind DATA as it is must not hold a line that begins with a dot. */
static void
assert_dots_are_told(const struct result *r)
{
	const struct undot *u = &r->u;
	if (u->dots || u->bare_cr || u->bare_lf || r->content.n == 0)
		return;
	assert_true(r->content.p[0] != '.');
	assert_null(memmem(r->content.p, r->content.n, "\r\n.", 3));
}

/* As a whole, byte by byte, in threes, at each split in two: one result, which is
 * returned. */
static struct result
undot_all_ways(struct span in, bool repair)
{
	struct result whole = undot_pieces(in, repair, in.n, 1);
	assert_int_equal(whole.u.wire, whole.taken);
	assert_dots_are_told(&whole);
	for (size_t first = 0; first <= in.n; first++) {
		struct result r = undot_pieces(in, repair, first, in.n);
		assert_same(&whole, &r);
		buf_clear(&r.content);
	}
	for (size_t step = 1; step <= 3; step++) {
		struct result r = undot_pieces(in, repair, 0, step);
		assert_same(&whole, &r);
		buf_clear(&r.content);
	}
	return whole;
}

/* The bytes up to the end of the first CRLF.CRLF, the data being behind a CRLF; 0 if
 * there is none. */
static size_t
oracle_end(struct span in)
{
	struct buf b = {0};
	buf_add_str(&b, "\r\n");
	buf_add_span(&b, in);
	const char *at = memmem(b.p, b.n, "\r\n.\r\n", 5);
	size_t end = at ? (size_t)(at - b.p) + 5 - 2 : 0;
	buf_clear(&b);
	return end;
}

#define S(literal)                             \
	{                                      \
		(literal), sizeof(literal) - 1 \
	}

/* The spellings that smuggling used (CVE-2023-51764), and their relatives. */
static const struct span spellings[] = {
    S("\n.\n"),
    S("\n.\r\n"),
    S("\r\n.\n"),
    S("\r.\r"),
    S("\r.\r\n"),
    S("\r\n.\r"),
    S("\n.\r"),
    S("\r\n\0.\r\n"),
    S("\r\n.\0\r\n"),
    S("\r\n.\r\r\n"),
    S("\r.\n"),
    S("\n\r.\r\n"),
    S("\n\r.\n\r"),
    S("\r\n.\n\r"),
    S("\r\n.\n\r\n"),
    S("\r\n.\r\0\n"),
    S("\r\0\n.\r\n"),
    S("\r\n\0.\0\r\n"),
    S("\n.\0\n"),
    S("\n\0.\r\n"),
    S("\r\n .\r\n"),
    S("\r\n. \r\n"),
    S("\r\n.\t\r\n"),
    S("\r\n..\r\n"),
    S("\r\n.\x85"),
    S("\xe2\x80\xa8.\xe2\x80\xa8"),
    S("\x0b.\x0b"),
    S("\x0c.\r\n"),
    S("\r\n\x8d\x8a.\r\n"),
    S("\r\n\xae\r\n"),
    S("\0.\0"),
    S("\n\n.\n\n"),
    S("\r\r.\r\r"),
    S("\r\n\r.\r\n"),
    S("\r\n\n.\r\n"),
    S("\r\n.\r \n"),
};

static void
test_smuggling(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * COUNT_OF(spellings); i++) {
		bool repair = i % 2 != 0;
		struct buf in = {0};
		buf_add_str(&in, "Subject: x\r\n\r\nbody");
		buf_add_span(&in, spellings[i / 2]);
		size_t behind = in.n;
		buf_add_str(&in, INNER);
		struct result r = undot_all_ways(buf_span(&in), repair);
		assert_true(r.u.end);
		assert_true(r.taken > behind); /* the inner commands are content */
		assert_true(
		    span_eq(span_cut(buf_span(&in), r.taken, in.n), SPAN("QUIT\r\n")));
		assert_int_equal(r.taken, oracle_end(buf_span(&in)));
		assert_non_null(
		    memmem(r.content.p, r.content.n, "RCPT TO:<a@y.test>", 18));
		buf_clear(&r.content);
		buf_clear(&in);
	}
}

/* The positive control: what does end. */
static void
test_ends(void **state)
{
	(void)state;
	static const struct {
		struct span in, content;
		bool bare;
	} cases[] = {
	    {S(".\r\n"), S(""), false},
	    {S("\r\n.\r\n"), S("\r\n"), false},
	    {S("a\r\n.\r\n"), S("a\r\n"), false},
	    {S("a\r\r\n.\r\n"), S("a\r\r\n"), true},
	    {S("a\n\r\n.\r\n"), S("a\n\r\n"), true},
	    {S("..\r\n.\r\n"), S(".\r\n"), false},
	    {S(".a\r\n...\r\n.\r\n"), S("a\r\n..\r\n"), false},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf in = {0};
		buf_add_span(&in, cases[i].in);
		buf_add_str(&in, "\r\n.\r\nNOOP\xff");
		buf_add_char(&in, '\0');
		struct result r = undot_all_ways(buf_span(&in), false);
		assert_true(r.u.end);
		assert_int_equal(r.taken, cases[i].in.n);
		assert_true(span_eq(buf_span(&r.content), cases[i].content));
		assert_int_equal(r.u.bare_cr || r.u.bare_lf, cases[i].bare);
		assert_false(r.u.nul || r.u.eight_bit); /* those are the next command's */
		assert_int_equal(undot_take(&r.u, SPAN("more"), collect, &r), 0);
		buf_clear(&r.content);
		buf_clear(&in);
	}
}

static void
test_bare(void **state)
{
	(void)state;
	static const struct {
		struct span in, as_is, repaired;
		bool cr, lf, nul, eight;
		uint64_t longest, longest_repaired;
	} cases[] = {
	    {S("ab\r\nc\r\n"), S("ab\r\nc\r\n"), S("ab\r\nc\r\n"), 0, 0, 0, 0, 2, 2},
	    {S("ab\nc\r\n"), S("ab\nc\r\n"), S("ab\r\nc\r\n"), 0, 1, 0, 0, 4, 2},
	    {S("ab\rc\r\n"), S("ab\rc\r\n"), S("ab\r\nc\r\n"), 1, 0, 0, 0, 4, 2},
	    {S("\r\r\n\n\n"), S("\r\r\n\n\n"), S("\r\n\r\n\r\n\r\n"), 1, 1, 0, 0, 2, 0},
	    {S("a\n.\r\n"), S("a\n.\r\n"), S("a\r\n.\r\n"), 0, 1, 0, 0, 3, 1},
	    {S("a\n..b\r\n"), S("a\n..b\r\n"), S("a\r\n..b\r\n"), 0, 1, 0, 0, 5, 3},
	    {S("a\r\n.\n"), S("a\r\n\n"), S("a\r\n\r\n"), 0, 1, 0, 0, 1, 1},
	    {S("a\r\n.\rb\r\n"), S("a\r\n\rb\r\n"), S("a\r\n\r\nb\r\n"), 1, 0, 0, 0, 2,
		1},
	    {S("a\r\n.\r\r\n"), S("a\r\n\r\r\n"), S("a\r\n\r\n\r\n"), 1, 0, 0, 0, 1, 1},
	    {S("a\0b\r\n"), S("a\0b\r\n"), S("a\0b\r\n"), 0, 0, 1, 0, 3, 3},
	    {S("\xe4\r\n"), S("\xe4\r\n"), S("\xe4\r\n"), 0, 0, 0, 1, 1, 1},
	    {S("12345678\x80\r\n"), S("12345678\x80\r\n"), S("12345678\x80\r\n"), 0, 0, 0,
		1, 9, 9},
	    {S("..abc\r\n"), S(".abc\r\n"), S(".abc\r\n"), 0, 0, 0, 0, 4, 4},
	    {S("no end of line"), S("no end of line"), S("no end of line"), 0, 0, 0, 0,
		14, 14},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		for (int repair = 0; repair < 2; repair++) {
			struct result r = undot_all_ways(cases[i].in, repair);
			assert_false(r.u.end);
			assert_true(span_eq(buf_span(&r.content),
			    repair ? cases[i].repaired : cases[i].as_is));
			assert_int_equal(r.u.bare_cr, cases[i].cr);
			assert_int_equal(r.u.bare_lf, cases[i].lf);
			assert_int_equal(r.u.nul, cases[i].nul);
			assert_int_equal(r.u.eight_bit, cases[i].eight);
			assert_int_equal(r.u.longest,
			    repair ? cases[i].longest_repaired : cases[i].longest);
			buf_clear(&r.content);
		}
	}
}

/* Row 3: a long line that ends in ".\r\n" is no end; a CR at the end of a buffer is kept.
 */
static void
test_long_lines(void **state)
{
	(void)state;
	static const size_t lengths[] = {511, 512, 998, 1000, 4096, 65535, 65536, 65537};
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		size_t n = lengths[i];
		struct buf in = {0};
		memset(buf_room(&in, n), 'a', n);
		in.n = n;
		buf_add_str(&in, ".\r\nMAIL FROM:<x@y>\r\n.\r\n");
		for (size_t first = n - 2; first < n + 5; first++) {
			struct result r = undot_pieces(buf_span(&in), false, first, in.n);
			assert_true(r.u.end);
			assert_int_equal(r.taken, in.n);
			assert_int_equal(r.content.n, in.n - 3);
			assert_int_equal(r.u.longest, n + 1);
			buf_clear(&r.content);
		}
		buf_clear(&in);
	}
}

static void
test_clean_text_is_one_run(void **state)
{
	(void)state;
	struct buf in = {0};
	for (int i = 0; i < 1000; i++)
		buf_add_str(&in, "a line of a message. with dots.\r\n");
	struct result r = undot_pieces(buf_span(&in), true, in.n, 1);
	assert_int_equal(r.emits, 1);
	assert_int_equal(r.content.n, in.n);
	buf_clear(&r.content);
	buf_clear(&in);
}

/* ---- every short string over the bytes that matter */

static const char alphabet[] = {'\r', '\n', '.', 'x', '\0'};

static struct span
nth_string(unsigned n, char *room, size_t len)
{
	for (size_t i = 0; i < len; i++, n /= sizeof(alphabet))
		room[i] = alphabet[n % sizeof(alphabet)];
	return (struct span){room, len};
}

#define LEN 7
#define STRINGS 78125 /* 5 to the 7th */

static void
test_all_short_strings(void **state)
{
	(void)state;
	char room[LEN];
	for (unsigned n = 0; n < STRINGS; n++) {
		struct span in = nth_string(n, room, LEN);
		struct result whole = undot_pieces(in, n % 2, LEN, 1);
		struct result bytes = undot_pieces(in, n % 2, 0, 1);
		struct result halves = undot_pieces(in, n % 2, n % LEN, LEN);
		assert_same(&whole, &bytes);
		assert_same(&whole, &halves);
		size_t end = oracle_end(in);
		assert_int_equal(whole.u.end, end > 0);
		assert_int_equal(whole.taken, end ? end : LEN);
		buf_clear(&whole.content);
		buf_clear(&bytes.content);
		buf_clear(&halves.content);
	}
}

static struct buf
stuffed(struct span content, size_t first, size_t then)
{
	struct dot_stuff d = {0};
	struct buf out = {0};
	dot_stuff_add(&d, &out, span_cut(content, 0, first));
	for (size_t at = first; at < content.n; at += then)
		dot_stuff_add(&d, &out, span_cut(content, at, then));
	dot_stuff_end(&d, &out);
	return out;
}

static void
test_stuff(void **state)
{
	(void)state;
	static const struct {
		struct span in, want;
	} cases[] = {
	    {{NULL, 0}, S(".\r\n")},
	    {S("a\r\n"), S("a\r\n.\r\n")},
	    {S("a"), S("a\r\n.\r\n")},
	    {S("."), S("..\r\n.\r\n")},
	    {S(".\r\n"), S("..\r\n.\r\n")},
	    {S("..\r\n.\r\n"), S("...\r\n..\r\n.\r\n")},
	    {S("a.b\r\n.c\r\n\r\n.\r\n"), S("a.b\r\n..c\r\n\r\n..\r\n.\r\n")},
	    {S("MAIL\r\n.\r\nFROM"), S("MAIL\r\n..\r\nFROM\r\n.\r\n")}, /* row 5 */
	    {S("a\r"), S("a\r\r\n.\r\n")},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		for (size_t first = 0; first <= cases[i].in.n; first++) {
			struct buf whole = stuffed(cases[i].in, first, SIZE_MAX - first);
			struct buf bytes = stuffed(cases[i].in, 0, 1);
			assert_true(span_eq(buf_span(&whole), cases[i].want));
			assert_true(span_eq(buf_span(&bytes), cases[i].want));
			buf_clear(&whole);
			buf_clear(&bytes);
		}
	}
}

/* undot of stuff is the content, with the CRLF added that it lacked. */
static void
test_round_trip(void **state)
{
	(void)state;
	char room[LEN];
	for (unsigned n = 0; n < STRINGS; n++) {
		struct span content = nth_string(n, room, n % (LEN + 1));
		struct buf wire = stuffed(content, n % LEN, 3);
		struct result r = undot_pieces(buf_span(&wire), false, n % 5, 4);
		assert_true(r.u.end);
		assert_int_equal(r.taken, wire.n);
		struct buf want = {0};
		buf_add_span(&want, content);
		if (content.n > 0 && !span_iends(content, SPAN("\r\n")))
			buf_add_str(&want, "\r\n");
		assert_true(span_eq(buf_span(&r.content), buf_span(&want)));
		buf_clear(&want);
		buf_clear(&r.content);
		buf_clear(&wire);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_smuggling),
	    cmocka_unit_test(test_ends),
	    cmocka_unit_test(test_bare),
	    cmocka_unit_test(test_long_lines),
	    cmocka_unit_test(test_clean_text_is_one_run),
	    cmocka_unit_test(test_all_short_strings),
	    cmocka_unit_test(test_stuff),
	    cmocka_unit_test(test_round_trip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
