/* SPDX-License-Identifier: ISC */
/* Text: charsets, encoded words, transfer encodings, HTML, folding, subjects, dates; each
 * whole and in every split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/mime/shape.h"
#include "relay/mime/text.h"
#include "relay/mime/text_private.h"

#define REPLACED "\xef\xbf\xbd"

static void
assert_buf(struct buf *b, const char *expected)
{
	buf_add_char(b, '\0');
	assert_string_equal(b->p, expected);
	buf_clear(b);
}

/* ---- UTF-8 */

static void
steps_of_utf8(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		enum utf8 what;
		size_t len;
	} table[] = {
	    {"a", UTF8_CHAR, 1},
	    {"\xc3\xa9", UTF8_CHAR, 2},
	    {"\xe2\x82\xac", UTF8_CHAR, 3},
	    {"\xf0\x9f\x98\x80", UTF8_CHAR, 4},
	    {"\xf4\x8f\xbf\xbf", UTF8_CHAR, 4},
	    {"\xc3", UTF8_MORE, 1},
	    {"\xe2\x82", UTF8_MORE, 2},
	    {"\xf0\x9f\x98", UTF8_MORE, 3},
	    {"\x80", UTF8_BAD, 1},
	    {"\xc0\xaf", UTF8_BAD, 1},
	    {"\xc1\xbf", UTF8_BAD, 1},
	    {"\xe0\x80\xaf", UTF8_BAD, 1},
	    {"\xed\xa0\x80", UTF8_BAD, 1},
	    {"\xf0\x80\x80\xaf", UTF8_BAD, 1},
	    {"\xf4\x90\x80\x80", UTF8_BAD, 1},
	    {"\xf5\x80\x80\x80", UTF8_BAD, 1},
	    {"\xff", UTF8_BAD, 1},
	    {"\xe2\x82x", UTF8_BAD, 2},
	    {"\xf0\x9f\x98x", UTF8_BAD, 3},
	};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		size_t len;
		assert_int_equal(utf8_step(span_str(table[i].in), &len), table[i].what);
		assert_int_equal(len, table[i].len);
	}
}

/* Every character there is, put and got. */
static void
all_of_utf8(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x110000; c++) {
		char room[4];
		size_t len;
		struct buf b = {.p = room, .cap = 4, .max = 4};
		text_put_char(&b, c);
		assert_int_equal(utf8_step(buf_span(&b), &len), UTF8_CHAR);
		assert_int_equal(len, b.n);
		bool surrogate = c >= 0xd800 && c < 0xe000;
		assert_int_equal(
		    utf8_get(buf_span(&b)), surrogate ? UTF8_REPLACEMENT : c);
	}
}

static void
a_full_buffer_ends_with_a_character(void **state)
{
	(void)state;
	for (size_t max = 1; max < 8; max++) {
		struct buf b;
		buf_init(&b, max);
		text_to_utf8(SPAN("utf-8"), SPAN("\xe2\x82\xac\xe2\x82\xac"), &b);
		assert_int_equal(b.n, max < 6 ? max / 3 * 3 : 6);
		assert_int_equal(b.overflow, max < 6);
		text_put(&b, SPAN("a")); /* what has overflowed stays a beginning */
		assert_int_equal(b.n, max < 6 ? max / 3 * 3 : max < 7 ? 6 : 7);
		buf_clear(&b);
	}
}

/* ---- charsets */

struct charset_case {
	const char *charset, *in, *out;
	size_t n; /* 0: strlen(in) */
};

static const struct charset_case charset_cases[] = {
    {NULL, "plain", "plain", 0},
    {NULL, "caf\xc3\xa9 caf\xe9", "caf\xc3\xa9 caf\xc3\xa9", 0},
    {NULL, "\xe2\x82", "\xc3\xa2\xe2\x80\x9a", 0},
    {NULL, "\xf0\x9f\x98x", "\xc3\xb0\xc5\xb8\xcb\x9cx", 0},
    {"no-such", "\x93q\x94", "\xe2\x80\x9cq\xe2\x80\x9d", 0},
    {"us-ascii", "na\xefve", "na\xc3\xafve", 0},
    {"utf-8", "ok \xc3\xa9", "ok \xc3\xa9", 0},
    {"UTF-8", "\xe9t\xe9", REPLACED "t" REPLACED, 0},
    {"utf-8", "\xe2\x82", REPLACED, 0},
    {"utf-8", "\xe2\x82\xe2\x82\xac", REPLACED "\xe2\x82\xac", 0},
    {"utf-8", "\xed\xa0\x80", REPLACED REPLACED REPLACED, 0},
    {"utf-8", "a\0b", "a", 3},
    {"iso-8859-1", "\xe9\x80\xff", "\xc3\xa9\xe2\x82\xac\xc3\xbf", 0},
    {"\"ISO-8859-1\"", "\xe9", "\xc3\xa9", 0},
    {"windows-1252", "\x81", "\xc2\x81", 0},
    {"iso-8859-15", "\xa4", "\xe2\x82\xac", 0},
    {"iso-8859-2", "\xb1", "\xc4\x85", 0},
    {"koi8-r", "\xf0\xd2\xc9", "\xd0\x9f\xd1\x80\xd0\xb8", 0},
    {"windows-1251", "\xcf\xf0\xe8\x98!", "\xd0\x9f\xd1\x80\xd0\xb8" REPLACED "!", 0},
    {"gb2312", "\xc4\xe3\xba\xc3", "\xe4\xbd\xa0\xe5\xa5\xbd", 0},
    {"gb18030", "\x81\x30\x81\x30", "\xc2\x80", 0},
    {"big5", "\xa7\x41\xa6\x6e", "\xe4\xbd\xa0\xe5\xa5\xbd", 0},
    {"shift_jis", "\x93\xfa\x96\x7b", "\xe6\x97\xa5\xe6\x9c\xac", 0},
    {"euc-jp", "\xc6\xfc\xcb\xdc", "\xe6\x97\xa5\xe6\x9c\xac", 0},
    {"euc-kr", "\xc7\xd1", "\xed\x95\x9c", 0},
    {"iso-2022-jp", "\x1b$BF|K\\\x1b(B.", "\xe6\x97\xa5\xe6\x9c\xac.", 0},
    {"iso-2022-jp", "\x1b$B-!\x1b(I1\x1b(J\\x", "\xe2\x91\xa0\xef\xbd\xb1\\x", 0},
    {"iso-2022-jp", "\x1b$BF|K\nF|", "\xe6\x97\xa5" REPLACED "\nF|", 0},
    {"iso-2022-jp", "\x1b$BF| K\x1b(Ba", "\xe6\x97\xa5 " REPLACED "a", 0},
    {"iso-2022-jp",
	"a\x1b"
	"b\x1b$c\x1b\x1b(Bd\xe9\x1b",
	"a" REPLACED "b" REPLACED "$c" REPLACED "d" REPLACED REPLACED, 0},
    {"iso-2022-jp", "\x1b$(D0!\x1b(B.", "\xe4\xb8\x82.", 0},
    {"iso-2022-jp-2", "\x1b$BF|\x1b(B\x1b.A\x1bNi", "\xe6\x97\xa5\xc3\xa9", 0},
    {"iso-2022-kr", "\x1b$)C\x0eGQ\x0f.", "\xed\x95\x9c.", 0},
    {"gb2312",
	"\xff\xff\xc4\xe3\xff"
	"a\xc4",
	REPLACED "\xe4\xbd\xa0" REPLACED "a" REPLACED, 0},
    {"utf-7", "Hi Mom -+Jjo--!", "Hi Mom -\xe2\x98\xba-!", 0},
    {"utf-16le", "a\0\xac\x20", "a\xe2\x82\xac", 4},
    {"utf-16be", "\0a\xd8\x3d\xde\x00", "a\xf0\x9f\x98\x80", 6},
    {"utf-16be", "\xd8\x3d\0a", REPLACED "a", 4},
    {"utf-16be", "\0a\0", "a" REPLACED, 3},
};

static struct span
case_in(const struct charset_case *c)
{
	return (struct span){c->in, c->n > 0 ? c->n : strlen(c->in)};
}

static void
charsets_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(charset_cases); i++) {
		const struct charset_case *c = &charset_cases[i];
		struct buf b = {0};
		text_to_utf8(span_str(c->charset), case_in(c), &b);
		assert_buf(&b, c->out);
	}
}

static void
charsets_are_read_in_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(charset_cases); i++) {
		const struct charset_case *c = &charset_cases[i];
		struct span in = case_in(c);
		for (size_t at = 0; at <= in.n + 1; at++) {
			struct buf b = {0};
			struct text_reader *t = text_reader_new(span_str(c->charset));
			/* in two; at last octet by octet */
			for (size_t k = 0; at > in.n && k < in.n; k++)
				text_reader_take(t, span_cut(in, k, 1), &b);
			text_reader_take(t, span_cut(in, 0, at > in.n ? 0 : at), &b);
			if (at <= in.n)
				text_reader_take(t, span_cut(in, at, in.n), &b);
			text_reader_end(t, &b);
			text_reader_free(&t);
			assert_null(t);
			assert_buf(&b, c->out);
		}
	}
}

static void
charsets_are_known(void **state)
{
	(void)state;
	static const char *const known[] = {"utf-8", "UTF-8", "us-ascii", "ISO-8859-1",
	    "iso-8859-15", "Windows-1252", "KOI8-R", "GB2312", "gbk", "Big5", "Shift_JIS",
	    "ISO-2022-JP", "EUC-KR", "x-sjis", "utf-7", "iso-8859-8-i"};
	static const char *const unknown[] = {"", "no-such", "utf-8//TRANSLIT", "WCHAR_T",
	    "INTERNAL", "unknown-8bit", "utf", "iso-8859-", "ISO-2022-CN-EXT",
	    "a-name-that-is-longer-than-any-charset-has", "../../x"};
	for (size_t i = 0; i < COUNT_OF(known); i++)
		assert_true(text_charset_known(span_str(known[i])));
	for (size_t i = 0; i < COUNT_OF(unknown); i++)
		assert_false(text_charset_known(span_str(unknown[i])));
	assert_false(text_charset_known((struct span){NULL, 0}));
	assert_false(text_charset_known((struct span){"utf-8\0x", 7}));
}

/* What the table says that iconv knows, it does. */
static void
charsets_can_all_be_opened(void **state)
{
	(void)state;
	static const char *const names[] = {
#define CHARSET(name, iconv, how, unit) name,
#include "relay/mime/text_charsets.def"
#undef CHARSET
	};
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		const struct charset *c = charset_find(span_str(names[i]));
		assert_non_null(c);
		assert_string_equal(c->name, names[i]);
		if (i > 0)
			assert_true(strcmp(names[i - 1], names[i]) < 0);
		if (c->iconv == NULL)
			continue;
		iconv_t cd = iconv_open("UTF-8", c->iconv);
		assert_true(cd != (iconv_t)-1);
		(void)iconv_close(cd);
	}
}

/* ---- fields */

static void
fields_are_decoded(void **state)
{
	(void)state;
	static const char *const table[][2] = {
	    {"", ""},
	    {"plain", "plain"},
	    {" \t two  words\t\r\n here ", "two words here"},
	    /* RFC 2047 8 */
	    {"(=?ISO-8859-1?Q?a?=)", "(a)"},
	    {"(=?ISO-8859-1?Q?a?= b)", "(a b)"},
	    {"(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"},
	    {"(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"},
	    {"(=?ISO-8859-1?Q?a?=\r\n  =?ISO-8859-1?Q?b?=)", "(ab)"},
	    {"(=?ISO-8859-1?Q?a_b?=)", "(a b)"},
	    {"(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"},
	    {"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>",
		"Keith Moore <moore@cs.utk.edu>"},
	    {"=?ISO-8859-1?Q?Andr=E9?= Pirard <PIRARD@vm1.ulg.ac.be>",
		"Andr\xc3\xa9 Pirard <PIRARD@vm1.ulg.ac.be>"},
	    {"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n"
	     " =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
		"If you can read this you understand the example."},
	    /* RFC 2231 5 */
	    {"=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"},
	    /* a character, and a group of base64, in two words */
	    {"=?utf-8?q?caf=C3?= =?utf-8?q?=A9?=", "caf\xc3\xa9"},
	    {"=?utf-8?b?Y2Fmww==?= =?UTF-8?B?qQ==?=", "caf\xc3\xa9"},
	    {"=?utf-8?b?Y2Fmw6?= =?utf-8?b?kh?=", "caf\xc3\xa9!"},
	    {"=?utf-8?q?=C3?= =?utf-8?b?qQ==?=", REPLACED REPLACED},
	    {"=?utf-8?q?=C3?=", REPLACED},
	    {"=?utf-8?q?=C3?= x", REPLACED " x"},
	    /* touching, quoted, with blanks, too long */
	    {"a=?utf-8?q?b?=c", "abc"},
	    {"\"=?utf-8?q?b?=\"", "\"b\""},
	    {"=?utf-8?q?b?==?utf-8?q?c?=", "bc"},
	    {"=?utf-8?q?a b?=", "a b"},
	    {"=?utf-8?q?really?\?=", "really?"},
	    {"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "\xe6\x97\xa5\xe6\x9c\xac"},
	    {"=?gb2312?B?xOO6ww==?=", "\xe4\xbd\xa0\xe5\xa5\xbd"},
	    /* none */
	    {"=?", "=?"},
	    {"=?\?=", "=?\?="},
	    {"=?a?=", "=?a?="},
	    {"=?a?q", "=?a?q"},
	    {"=?a?q?", "=?a?q?"},
	    {"=?a?q?b", "=?a?q?b"},
	    {"=?a?x?b?=", "=?a?x?b?="},
	    {"=??q?b?=", "=??q?b?="},
	    {"=?=?utf-8?q?b?=", "=?b"},
	    {"1 =? 2 =?utf-8?q?x?= =?", "1 =? 2 x =?"},
	    /* broken inside, empty */
	    {"=?utf-8?q?\?=", ""},
	    {"a =?utf-8?q?\?= b", "a b"},
	    {"=?utf-8?q?=zz=4?=", "=zz=4"},
	    {"=?utf-8?b?!?=", ""},
	    {"=?nothing?q?=E9?=", "\xc3\xa9"},
	    /* what is in words cannot break a line */
	    {"=?utf-8?q?a=0D=0Ab=00c?=", "a b c"},
	    /* 8 bits */
	    {"caf\xe9 \xc3\xa9", "caf\xc3\xa9 \xc3\xa9"},
	};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct buf b = {0};
		text_add_field(span_str(table[i][0]), &b);
		assert_buf(&b, table[i][1]);
	}
}

/* ---- transfer encodings */

struct transfer_case {
	int encoding;
	const char *in, *out;
	bool bad;
};

static const struct transfer_case transfer_cases[] = {
    {SHAPE_IDENTITY, "a=3D \r\n", "a=3D \r\n", false},
    {SHAPE_UNKNOWN, "YQ==", "YQ==", false},
    /* RFC 4648 10 */
    {SHAPE_BASE64, "", "", false},
    {SHAPE_BASE64, "Zg==", "f", false},
    {SHAPE_BASE64, "Zm8=", "fo", false},
    {SHAPE_BASE64, "Zm9v", "foo", false},
    {SHAPE_BASE64, "Zm9vYg==", "foob", false},
    {SHAPE_BASE64, "Zm9vYmE=", "fooba", false},
    {SHAPE_BASE64, "Zm9vYmFy", "foobar", false},
    {SHAPE_BASE64, "Zm9v\r\nYmFy\r\n", "foobar", false},
    {SHAPE_BASE64, " Zm9 v\tYm\nFy", "foobar", false},
    {SHAPE_BASE64, "Zm9vYmFy\r\n--\r\nfoo", "foobar~\x8a", true},
    {SHAPE_BASE64, "Zm9vYg", "foob", false},
    {SHAPE_BASE64, "Zm9vY", "foo", true},
    {SHAPE_BASE64, "Zg==Zg==", "ff", false},
    {SHAPE_BASE64, "Z=g=", "", true},
    {SHAPE_BASE64, "====", "", false},
    {SHAPE_BASE64, "Zm!9v", "foo", true},
    {SHAPE_BASE64,
	"Zm\x80\xff"
	"9v",
	"foo", true},
    {SHAPE_QUOTED, "plain", "plain", false},
    {SHAPE_QUOTED, "a=3Db=3db", "a=b=b", false},
    {SHAPE_QUOTED, "a=\r\nb", "ab", false},
    {SHAPE_QUOTED, "a=\nb", "ab", false},
    {SHAPE_QUOTED, "a= \t\r\nb", "ab", false},
    {SHAPE_QUOTED, "a \t\r\nb \nc ", "a\r\nb\nc", false},
    {SHAPE_QUOTED, "a =\r\n b", "a  b", false},
    {SHAPE_QUOTED, "a  b\t c", "a  b\t c", false},
    {SHAPE_QUOTED, "a=20\r\nb", "a \r\nb", false},
    {SHAPE_QUOTED, "=zz", "=zz", true},
    {SHAPE_QUOTED, "=4z", "=4z", true},
    {SHAPE_QUOTED, "==3D", "==", true},
    {SHAPE_QUOTED, "= x", "= x", true},
    {SHAPE_QUOTED, "a=", "a", false},
    {SHAPE_QUOTED, "a=4", "a=4", true},
    {SHAPE_QUOTED, "a=\r", "a", false},
    {SHAPE_QUOTED, "a=\rb", "ab", false},
    {SHAPE_QUOTED, "=E9\xe9", "\xe9\xe9", false},
};

static void
transfer_encodings(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(transfer_cases); i++) {
		const struct transfer_case *c = &transfer_cases[i];
		struct span in = span_str(c->in);
		for (size_t step = 1; step <= in.n + 1; step++) {
			struct buf b = {0};
			struct text_decoder d = {.encoding = c->encoding};
			for (size_t at = 0; at < in.n; at += step)
				text_decode(&d, span_cut(in, at, step), &b);
			text_decode(&d, SPAN(""), &b);
			text_decode_end(&d, &b);
			assert_buf(&b, c->out);
			assert_int_equal(d.bad, c->bad);
		}
	}
}

static void
a_full_buffer_of_octets(void **state)
{
	(void)state;
	for (size_t max = 1; max < 8; max++) {
		struct buf b;
		struct text_decoder d = {.encoding = SHAPE_BASE64};
		buf_init(&b, max);
		text_decode(&d, SPAN("Zm9vYmFy"), &b);
		text_decode_end(&d, &b);
		assert_int_equal(b.overflow, max < 6);
		assert_int_equal(b.n, max < 6 ? max : 6);
		assert_memory_equal(b.p, "foobar", b.n);
		buf_clear(&b);
	}
}

/* Blanks without end are not kept without end. */
static void
many_blanks(void **state)
{
	(void)state;
	for (size_t n = 70; n < 200; n++) {
		for (int escaped = 0; escaped < 2; escaped++) {
			struct buf in = {0}, one = {0}, two = {0};
			struct text_decoder d = {.encoding = SHAPE_QUOTED}, e = d;
			buf_add_str(&in, escaped ? "x=" : "x");
			for (size_t i = 0; i < n; i++)
				buf_add_char(&in, ' ');
			buf_add_str(&in, "\r\ny");
			text_decode(&d, buf_span(&in), &one);
			text_decode_end(&d, &one);
			for (size_t i = 0; i < in.n; i++)
				text_decode(&e, span_cut(buf_span(&in), i, 1), &two);
			text_decode_end(&e, &two);
			assert_true(span_eq(buf_span(&one), buf_span(&two)));
			if (n < 78)
				assert_string_equal((buf_add_char(&one, '\0'), one.p),
				    escaped ? "xy" : "x\r\ny");
			buf_clear(&in);
			buf_clear(&one);
			buf_clear(&two);
		}
	}
}

/* ---- HTML */

static void
html_is_read(void **state)
{
	(void)state;
	static const char *const table[][2] = {
	    {"", ""},
	    {"plain", "plain"},
	    {"<p>one</p><p>two</p>", "one two"},
	    {"b<b>o</b>ld <i>x</i>", "bold x"},
	    {"a<br>b<br/>c", "a b c"},
	    {"<td>1</td><td>2</td>", "1 2"},
	    {"<a href=\"x>y\">link</a>", "link"},
	    {"<a href='x>y'>link</a>", "link"},
	    {"<a href=it's>link</a>", "link"},
	    {"<a \">x", "x"},
	    {"<style>p{x}</style>a<SCRIPT>if(a<b)</Script >b", "a b"},
	    {"<script>never ends", ""},
	    {"<head><title>t</title></head>x", "x"},
	    {"a<!-- <b> -->b", "ab"},
	    {"a<!-- never", "a"},
	    {"<!DOCTYPE html>x<?xml y?>z", "x z"},
	    {"a < b", "a < b"},
	    {"1<2", "1<2"},
	    {"<", "<"},
	    {"</", "</"},
	    {"a<b", "a<b"},
	    {"x &amp; y &lt;z&gt; &quot;&apos;", "x & y <z> \"'"},
	    {"&eacute;&#233;&#xe9;&#XE9;", "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"},
	    {"&euro;&#128;&hellip;", "\xe2\x82\xac\xe2\x82\xac\xe2\x80\xa6"},
	    {"&nope; &; & &amp &#; &#x; &#1a;", "&nope; &; & &amp &#; &#x; &#1a;"},
	    {"&#0;&#xd800;&#x110000;", REPLACED REPLACED REPLACED},
	    {"&#99999999999;", REPLACED},
	    {"&#999999999999;", "&#999999999999;"},
	    {"a\r\n  b\tc", "a b c"},
	    {"\xe9", REPLACED},
	};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct buf b = {0};
		text_of_html(span_str(table[i][0]), &b);
		assert_buf(&b, table[i][1]);
	}
}

/* ---- folding */

static void
letters_are_folded(void **state)
{
	(void)state;
	static const char *const table[][2] = {
	    {"", ""},
	    {"Hello, World_9 {|}~@`", "HELLO, WORLD_9 {|}~@`"},
	    {"\xc3\xa9", "E\xcc\x81"}, /* e acute */
	    {"e\xcc\x81", "E\xcc\x81"},
	    {"\xd0\xbf\xd1\x80\xd0\xb8", "\xd0\x9f\xd0\xa0\xd0\x98"},
	    {"\xcf\x83\xcf\x82\xce\xa3", "\xce\xa3\xce\xa3\xce\xa3"}, /* sigmas */
	    {"\xef\xac\x81n", "FIN"},                                 /* a ligature */
	    {"\xc7\x86", "DZ\xcc\x8c"},                               /* dz with caron */
	    {"\xef\xbc\xa1\xef\xbd\x81", "AA"},                       /* full width */
	    {"a\xc2\xa0z", "A Z"},                                    /* no-break space */
	    {"\xe4\xbd\xa0", "\xe4\xbd\xa0"},
	    {"\xed\x95\x9c", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab"},
	    {"x\xffy", "X" REPLACED "Y"},
	    {"\xe2\x82", REPLACED},
	};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct buf b = {0};
		text_fold(span_str(table[i][0]), &b);
		assert_buf(&b, table[i][1]);
	}
}

/* Every character, alone: what is folded stays as it is. */
static void
folding_twice_is_folding_once(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x110000; c++) {
		struct buf b = {0}, once = {0}, twice = {0};
		text_put_char(&b, c);
		text_fold(buf_span(&b), &once);
		text_fold(buf_span(&once), &twice);
		if (!span_eq(buf_span(&once), buf_span(&twice)))
			fail_msg("U+%04X", c);
		assert_int_equal(utf8_valid(buf_span(&once)), once.n);
		buf_clear(&b);
		buf_clear(&once);
		buf_clear(&twice);
	}
}

/* All of ASCII at every place of a word of eight octets. */
static void
ascii_is_folded_anywhere(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 128; c++) {
		for (size_t at = 0; at < 20; at++) {
			char text[21] = "....................";
			struct buf b = {0};
			text[at] = (char)c;
			text_fold((struct span){text, 20}, &b);
			assert_int_equal(b.n, 20);
			char up = (char)(c >= 'a' && c <= 'z' ? c - 32 : c);
			for (size_t i = 0; i < 20; i++)
				assert_int_equal(b.p[i], i == at ? up : '.');
			buf_clear(&b);
		}
	}
}

static void
needles_in_hay(void **state)
{
	(void)state;
	struct span none = {NULL, 0};
	assert_true(text_contains(SPAN("HELLO"), SPAN("")));
	assert_true(text_contains(none, none));
	assert_true(text_contains(SPAN("HELLO"), SPAN("HELLO")));
	assert_true(text_contains(SPAN("HELLO"), SPAN("LO")));
	assert_false(text_contains(SPAN("HELLO"), SPAN("HELLO!")));
	assert_false(text_contains(SPAN("HELLO"), SPAN("lo")));
	assert_false(text_contains(none, SPAN("A")));
}

/* ---- subjects */

static void
base_subjects(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
		bool reply;
	} table[] = {
	    {"", "", false},
	    {"hello", "HELLO", false},
	    {"Re: hello", "HELLO", true},
	    {"RE:hello", "HELLO", true},
	    {"re : hello", "HELLO", true},
	    {"fw: hello", "HELLO", true},
	    {"Fwd: hello", "HELLO", true},
	    {"fwdd: hello", "FWDD: HELLO", false},
	    {"red: hello", "RED: HELLO", false},
	    {"re hello", "RE HELLO", false},
	    {"Re: Re: fwd:RE : hello", "HELLO", true},
	    {"Re[2]: hello", "HELLO", true},
	    {"Re [2] : hello", "HELLO", true},
	    {"Re [2] [3]: hello", "RE [2] [3]: HELLO", false},
	    {"[list] hello", "HELLO", false},
	    {"[list] Re: hello", "HELLO", true},
	    {"Re: [list] hello", "HELLO", true},
	    {"[a][b] [c] Re: [d] Re: hello", "HELLO", true},
	    {"[list]", "[LIST]", false},
	    {"[a] [b]", "[B]", false},
	    {"Re: [a] [b]", "[B]", true},
	    {"[a [b] hello", "[A [B] HELLO", false},
	    {"hello (fwd)", "HELLO", true},
	    {"hello(fwd)(FWD) ", "HELLO", true},
	    {"hello (fwd", "HELLO (FWD", false},
	    {"(fwd)", "", true},
	    {"Re:", "", true},
	    {"[fwd: hello]", "HELLO", true},
	    {"[Fwd: Re: hello (fwd)] (fwd)", "HELLO", true},
	    {"[fwd: [fwd: [x] hello]]", "HELLO", true},
	    {"[fwd: hello", "[FWD: HELLO", false},
	    {"[fwd:]", "", true},
	    {"[fwd: a] b", "B", false},
	    {"  many\t \r\n blanks  ", "MANY BLANKS", false},
	    {"Re: \xc3\xa9t\xc3\xa9", "E\xcc\x81TE\xcc\x81", true},
	    {"\xff", REPLACED, false},
	};
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct buf b = {0};
		bool reply = text_base_subject(span_str(table[i].in), &b);
		assert_int_equal(reply, table[i].reply);
		assert_buf(&b, table[i].out);
	}
}

/* ---- dates */

static void
dates(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		int64_t seconds;
		int zone;
	} table[] = {
	    {"Fri, 21 Nov 1997 09:55:06 -0600", 880127706, -360},
	    {"Tue, 1 Jul 2003 10:52:37 +0200", 1057049557, 120},
	    {"Thu, 13 Feb 1969 23:32:54 -0330", -27723426, -210},
	    /* RFC 5322 A.5, A.6.2 */
	    {"Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n"
	     "               -0330 (Newfoundland Time)",
		-27723480, -210},
	    {"21 Nov 97 09:55:06 GMT", 880106106, 0},
	    {"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706, -360},
	    {"21 Nov 97 09:55 EST", 880124100, -300},
	    {"21 Nov 97 09:55 EDT", 880120500, -240},
	    {"21 Nov 97 09:55 PDT", 880131300, -420},
	    {"21 Nov 97 09:55 CST", 880127700, -360},
	    {"21 Nov 97 09:55 Z", 880106100, 0},
	    {"21 Nov 97 09:55 UT", 880106100, 0},
	    {"21 Nov 97 09:55 A", 880106100, 0},
	    {"21 Nov 97 09:55 XYZT", 880106100, 0},
	    {"21 Nov 97 09:55", 880106100, 0},
	    {"21 Nov 97 09:55 +9999", 880106100, 0},
	    {"21 Nov 97 09:55 +0160", 880106100, 0},
	    {"21 Nov 97 09:55 +01", 880106100, 0},
	    {"21 Nov 97 25:55:00 +0100", 880070400, 0},
	    {"21 Nov 97", 880070400, 0},
	    {"(a (nested\\)) one) Fri(x) ,21 Nov 1997", 880070400, 0},
	    {"Fri 21 November 1997", 880070400, 0},
	    {"21-Nov-1997 09:55:06 +0000", 880106106, 0},
	    {"1 Jan 00 00:00:00 +0000", 946684800, 0},
	    {"1 Jan 49 00:00:00 +0000", 2493072000, 0},
	    {"1 Jan 50 00:00:00 +0000", -631152000, 0},
	    {"1 Jan 100 00:00:00 +0000", 946684800, 0},
	    {"29 Feb 2000 00:00:00 +0000", 951782400, 0},
	    {"31 Dec 2016 23:59:60 +0000", 1483228800, 0},
	    {"1 Jan 1970 00:00:00 +0000", 0, 0},
	    {"31 Dec 9999 23:59:59 -2359", 253402300799 + 23 * 3600 + 59 * 60, -1439},
	};
	static const char *const none[] = {"", "x", "Fri", "Fri,", "21", "21 Nov",
	    "0 Nov 1997", "31 Nov 1997", "29 Feb 1997", "32 Jan 1997", "21 Xyz 1997",
	    "21 Nov x", "211 Nov 1997", "21 Nov 19970", "Nov 21 1997", "(never",
	    "21 No 97", "1 Jan 0000"};
	struct wall when;
	int16_t zone;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		if (!text_date(span_str(table[i].in), &when, &zone))
			fail_msg("%s", table[i].in);
		if (when.ms != table[i].seconds * 1000)
			fail_msg("%s: %lld", table[i].in, (long long)when.ms / 1000);
		assert_int_equal(zone, table[i].zone);
	}
	for (size_t i = 0; i < COUNT_OF(none); i++)
		assert_false(text_date(span_str(none[i]), &when, &zone));
}

/* Every day of four hundred years, as the C library counts them. */
static void
days_are_counted(void **state)
{
	(void)state;
	for (int64_t day = -40000; day < 110000; day++) {
		char text[64];
		time_t t = (time_t)day * 86400;
		struct tm tm;
		struct wall when;
		int16_t zone;
		assert_non_null(gmtime_r(&t, &tm));
		assert_true(strftime(text, sizeof(text), "%a, %d %b %Y", &tm) > 0);
		assert_true(text_date(span_str(text), &when, &zone));
		assert_int_equal(when.ms, day * DAY_MS);
	}
}

/* ---- time */

/* Hostile text of 64 KiB and more costs no more than its length. */
static void
nothing_is_quadratic(void **state)
{
	(void)state;
	static const char *const bits[] = {"=?", "=?a?q?",
	    "=?utf-8?q?x?= ", "=?x?q?=E9?=", "=?gb2312?q?=E9?= =?big5?q?=E9?= ", "[]",
	    "[", "re:", "[fwd:", "[] re:", "(fwd)", "<", "<a ", "<a '", "<a \"", "<!--",
	    "<script>", "</", "&", "&x;", "&#1", "(", ")", "=", "= ", " ", "\t", "\xe9",
	    "\xf0\x9f", "\xed\x95\x9c", "\xef\xb7\xba", "(\\"};
	clock_t begin = clock();
	for (size_t i = 0; i < COUNT_OF(bits); i++) {
		struct buf in = {0}, out = {0};
		struct wall when;
		int16_t zone;
		while (in.n < (256u << 10))
			buf_add_str(&in, bits[i]);
		text_add_field(buf_span(&in), &out);
		buf_reset(&out);
		text_of_html(buf_span(&in), &out);
		buf_reset(&out);
		(void)text_base_subject(buf_span(&in), &out);
		(void)text_date(buf_span(&in), &when, &zone);
		buf_clear(&in);
		buf_clear(&out);
	}
	assert_true(clock() - begin < 20 * CLOCKS_PER_SEC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(steps_of_utf8),
	    cmocka_unit_test(all_of_utf8),
	    cmocka_unit_test(a_full_buffer_ends_with_a_character),
	    cmocka_unit_test(charsets_are_read),
	    cmocka_unit_test(charsets_are_read_in_pieces),
	    cmocka_unit_test(charsets_are_known),
	    cmocka_unit_test(charsets_can_all_be_opened),
	    cmocka_unit_test(fields_are_decoded),
	    cmocka_unit_test(transfer_encodings),
	    cmocka_unit_test(a_full_buffer_of_octets),
	    cmocka_unit_test(many_blanks),
	    cmocka_unit_test(html_is_read),
	    cmocka_unit_test(letters_are_folded),
	    cmocka_unit_test(folding_twice_is_folding_once),
	    cmocka_unit_test(ascii_is_folded_anywhere),
	    cmocka_unit_test(needles_in_hay),
	    cmocka_unit_test(base_subjects),
	    cmocka_unit_test(dates),
	    cmocka_unit_test(days_are_counted),
	    cmocka_unit_test(nothing_is_quadratic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
