/* SPDX-License-Identifier: ISC */
/* Searching, sorting and threading (relay/imap/search.h), asked of mails made of text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/imap/search.h"

/* ---- a mail of text, with or without its octets at hand */

struct mail {
	struct buf stored;
	struct shape shape;
	struct mail_sight sight;
	struct kept_mail kept;
	struct search_mail m;
};

static void
mail_init(struct mail *x, const char *text)
{
	struct content *c = content_new(NULL);
	*x = (struct mail){.m = {.number = 2, .uid = 7, .modseq = 12}};
	content_append(c, text, strlen(text));
	content_seal(c);
	buf_init(&x->stored, 0);
	assert_int_equal(shape_of_content(c, SPAN("X-Front: ours\r\n"), &x->stored), OK);
	assert_int_equal(shape_open(&x->shape, buf_span(&x->stored)), OK);
	x->kept.message = message_new();
	x->kept.message->content = c;
	x->kept.message->size = strlen(text);
	x->sight = (struct mail_sight){.prefix = SPAN("X-Front: ours\r\n"),
	    .content = strlen(text),
	    .row = {.uid = 7,
		.size = strlen(text) + 15,
		.origin = 99,
		.internal = {(int64_t)20400 * DAY_MS + 23 * HOUR_MS},
		.arrival = {(int64_t)20402 * DAY_MS},
		.zone = 120}};
}

static void
mail_clear(struct mail *x)
{
	message_unref(&x->kept.message);
	buf_clear(&x->stored);
}

static int
known(void *arg, struct span name)
{
	(void)arg;
	return span_ieq(name, SPAN("$a")) ? 0 : span_ieq(name, SPAN("$b")) ? 1 : -1;
}

static struct search *
parse(const char *text, enum search_error expected)
{
	struct search *s = NULL;
	struct search_options o = {0};
	struct lex l = lex_over(span_str(text), false);
	enum search_error e = search_parse(&l, &o, &s);
	lex_clear(&l);
	if (e != expected)
		fail_msg("%s: %d instead of %d", text, e, expected);
	if (s != NULL)
		search_resolve(s, 5, 9, 9, NULL, known, NULL,
		    (struct wall){(int64_t)20401 * DAY_MS});
	return s;
}

/* Ask with more and more at hand, as a session does. */
static bool
found(struct mail *x, const char *text)
{
	struct search *s = parse(text, SEARCH_FINE);
	struct search_mail m = x->m;
	enum search_answer a = search_match(s, &m);
	if (a == SEARCH_SIGHT) {
		m.sight = &x->sight;
		m.shape = &x->shape;
		a = search_match(s, &m);
	}
	if (a == SEARCH_CONTENT) {
		m.mail = &x->kept;
		a = search_match(s, &m);
	}
	assert_true(a == SEARCH_YES || a == SEARCH_NO);
	search_free(&s);
	return a == SEARCH_YES;
}

#define MAIL                                                    \
	"From: =?utf-8?q?J=C3=B6rg?= Test <joerg@far.test>\r\n" \
	"To: a@b.test, c@d.test\r\n"                            \
	"Cc: e@f.test\r\n"                                      \
	"Subject: Re: =?iso-8859-1?q?Gr=FC=DFe?= und mehr\r\n"  \
	"Date: Mon, 2 Nov 2025 23:30:00 -0500\r\n"              \
	"X-Odd: folded\r\n over lines\r\n"                      \
	"Content-Type: multipart/mixed; boundary=x\r\n"         \
	"\r\n"                                                  \
	"--x\r\n"                                               \
	"Content-Type: text/plain; charset=utf-8\r\n"           \
	"Content-Transfer-Encoding: base64\r\n"                 \
	"\r\n"                                                  \
	"SMOkbGxvIFdlbHQ=\r\n"                                  \
	"--x\r\n"                                               \
	"Content-Type: text/html\r\n"                           \
	"\r\n"                                                  \
	"<p>only <b>in</b> html &amp; so</p>\r\n"               \
	"--x\r\n"                                               \
	"Content-Type: application/octet-stream\r\n"            \
	"X-Part: deep\r\n"                                      \
	"\r\n"                                                  \
	"not a text\r\n"                                        \
	"--x--\r\n"

static void
test_keys(void **state)
{
	static const struct {
		const char *text;
		bool yes;
	} cases[] = {
	    {"ALL", true},
	    {"SEEN", true},
	    {"UNSEEN", false},
	    {"NOT SEEN", false},
	    {"FLAGGED", false},
	    {"KEYWORD $A", true},
	    {"KEYWORD $b", false},
	    {"UNKEYWORD $nobody", true},
	    {"2", true},
	    {"1,3:5", false},
	    {"1:*", true},
	    {"UID 7", true},
	    {"UID 8:*", false},
	    {"MODSEQ 12", true},
	    {"MODSEQ \"/flags/\\\\Draft\" all 13", false},
	    {"RECENT", false},
	    {"OLD", true},
	    {"NEW", false},
	    {"$", false},
	    {"BEFORE 9-Nov-2025", false},
	    {"ON 9-Nov-2025", true}, /* in its own zone it is the next day */
	    {"SINCE 9-Nov-2025", true},
	    {"SAVEDON 10-Nov-2025", true},
	    {"SENTON 2-Nov-2025", true}, /* as it was there */
	    {"SENTBEFORE 2-Nov-2025", false},
	    {"SENTSINCE 3-Nov-2025", false},
	    {"LARGER 10", true},
	    {"SMALLER 10", false},
	    {"OLDER 3600", true},
	    {"YOUNGER 3600", true},
	    {"YOUNGER 3599", false},
	    {"FROM j\xc3\xb6rg", true},
	    {"FROM JOERG@FAR", true},
	    {"TO d.test", true},
	    {"CC d.test", false},
	    {"BCC \"\"", false},
	    {"SUBJECT \"GR\xc3\x9c\xc3\x9f\"", true},
	    {"SUBJECT nothing", false},
	    {"HEADER X-Odd \"folded over\"", true},
	    {"HEADER X-Odd \"\"", true},
	    {"HEADER X-Front ours", true},
	    {"HEADER X-None \"\"", false},
	    {"BODY \"h\xc3\xa4llo welt\"", true},
	    {"BODY \"ONLY IN HTML & SO\"", true},
	    {"BODY \"<b>\"", false},
	    {"BODY \"not a text\"", false},
	    {"BODY und", false},
	    {"TEXT \"und mehr\"", true},
	    {"TEXT deep", true},
	    {"TEXT nowhere", false},
	    {"OR BODY nowhere SUBJECT mehr", true},
	    {"OR NOT SEEN BODY nowhere", false},
	    {"(SEEN (BODY welt) NOT TEXT nowhere)", true},
	    {"SEEN UNSEEN", false},
	    {"FUZZY SUBJECT mehr", true},
	    {"THREADID T1", false},
	    {"EMAILID x", false},
	    {"SAVEDATESUPPORTED", true},
	};
	struct mail x;
	(void)state;
	mail_init(&x, MAIL);
	x.m.flags = MAIL_SEEN;
	x.m.keywords = 1;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char text[200];
		struct span s = span_str(cases[i].text);
		span_copy(s, text, sizeof(text));
		/* octets over 0x7f come as literals */
		char *quote = strchr(text, '"');
		bool eight = false;
		for (size_t k = 0; k < s.n; k++)
			eight = eight || (unsigned char)s.p[k] >= 0x80;
		if (eight) {
			char made[300];
			char *from = quote != NULL ? quote : strrchr(text, ' ') + 1;
			size_t n = strlen(from) - (quote != NULL ? 2 : 0);
			(void)snprintf(made, sizeof(made), "%.*s{%zu}\r\n%.*s",
			    (int)(from - text), text, n, (int)n,
			    from + (quote != NULL ? 1 : 0));
			span_copy(span_str(made), text, sizeof(text));
		}
		if (found(&x, text) != cases[i].yes)
			fail_msg("%s", cases[i].text);
	}
	mail_clear(&x);
}

/* What is decided without the disk asks for nothing. */
static void
test_needs(void **state)
{
	static const struct {
		const char *text;
		enum search_answer a;
	} cases[] = {
	    {"UNSEEN BODY x", SEARCH_NO},
	    {"OR ALL BODY x", SEARCH_YES},
	    {"BODY x UNSEEN", SEARCH_NO},
	    {"SUBJECT x", SEARCH_SIGHT},
	    {"NOT (BODY x LARGER 1)", SEARCH_SIGHT},
	};
	struct search_mail m = {.number = 1, .uid = 1, .flags = MAIL_SEEN};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct search *s = parse(cases[i].text, SEARCH_FINE);
		if (search_match(s, &m) != cases[i].a)
			fail_msg("%s", cases[i].text);
		search_free(&s);
	}
}

static void
test_wrong(void **state)
{
	static const char *const wrong[] = {"", "FOO", "NOT", "OR ALL", "(ALL", "ALL)",
	    "BEFORE 31-Feb-2026", "SUBJECT", "KEYWORD \\Seen)", "LARGER x", "UID",
	    "HEADER X", "ALL ALL x", "SUBJECT {1}\r\n\xff", "CHARSET", "MODSEQ",
	    "YOUNGER 0", "OLDER 0", "OLDER 4294967296"};
	struct buf deep;
	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong); i++)
		assert_null(parse(wrong[i], SEARCH_SYNTAX));
	assert_null(parse("CHARSET klingon ALL", SEARCH_BAD_CHARSET));
	buf_init(&deep, 0);
	for (int i = 0; i < SEARCH_DEPTH_MAX + 1; i++)
		buf_add_str(&deep, "NOT ");
	buf_add_str(&deep, "ALL");
	buf_add_char(&deep, '\0');
	assert_null(parse(deep.p, SEARCH_TOO_DEEP));
	struct search *s = parse(deep.p + 8, SEARCH_FINE);
	search_free(&s);
	buf_reset(&deep);
	for (int i = 0; i < SEARCH_KEYS_MAX; i++)
		buf_add_str(&deep, "ALL ");
	buf_add_str(&deep, "ALL");
	buf_add_char(&deep, '\0');
	assert_null(parse(deep.p, SEARCH_TOO_DEEP));
	buf_reset(&deep);
	for (int i = 0; i < SEARCH_OCTETS_MAX; i++)
		buf_add_str(&deep, i % 2 ? "BODY x SUBJECT y " : "HEADER x y ");
	size_t most = deep.n;
	buf_add_str(&deep, "ALL");
	buf_add_char(&deep, '\0');
	struct search *many = parse(deep.p, SEARCH_FINE);
	search_free(&many);
	deep.n = most;
	buf_add_str(&deep, "TEXT x");
	buf_add_char(&deep, '\0');
	assert_null(parse(deep.p, SEARCH_TOO_DEEP));
	buf_clear(&deep);
	s = parse("CHARSET UTF-8 1:3 MODSEQ 3", SEARCH_FINE);
	assert_true(search_uses_modseq(s) && search_uses_numbers(s));
	search_free(&s);
	s = parse("6", SEARCH_FINE);
	search_free(&s);
}

/* ---- SORT */

static void
test_sort(void **state)
{
	static const char *const mails[] = {
	    "From: b@x\r\nSubject: beta\r\nDate: Mon, 2 Nov 2025 10:00:00 "
	    "+0000\r\n\r\nlong body",
	    "From: \"A\" <z@x>\r\nSubject: Re: alpha\r\nDate: Mon, 3 Nov 2025 10:00:00 "
	    "+0000\r\n\r\n",
	    "From: a@x\r\nSubject: ALPHA\r\nDate: Mon, 1 Nov 2025 10:00:00 +0000\r\n\r\n",
	    "Subject: gamma\r\n\r\n",
	};
	static const struct {
		const char *program;
		uint32_t order[4];
	} cases[] = {
	    {"(DATE)", {3, 1, 2, 4}},
	    {"(REVERSE DATE)", {4, 2, 1, 3}},
	    {"(SUBJECT)", {2, 3, 1, 4}},
	    {"(SUBJECT DATE)", {3, 2, 1, 4}},
	    {"(FROM)", {4, 3, 1, 2}},
	    {"(DISPLAYFROM)", {4, 2, 3, 1}},
	    {"(SIZE)", {4, 3, 1, 2}},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct sort_program p;
		struct lex l = lex_over(span_str(cases[i].program), false);
		size_t n;
		assert_true(sort_parse(&l, &p) && lex_done(&l));
		struct sorter *s = sorter_new(&p);
		for (uint32_t k = 0; k < COUNT_OF(mails); k++) {
			struct mail x;
			mail_init(&x, mails[k]);
			assert_true(sorter_add(s, k + 1, &x.sight, &x.shape));
			mail_clear(&x);
		}
		const uint32_t *order = sorter_end(s, &n);
		assert_int_equal(n, 4);
		for (size_t k = 0; k < n; k++)
			if (order[k] != cases[i].order[k])
				fail_msg("%s: %zu", cases[i].program, k);
		sorter_free(&s);
	}
	static const char *const wrong[] = {
	    "", "()", "(FOO)", "(DATE", "DATE", "(REVERSE)"};
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		struct sort_program p;
		struct lex l = lex_over(span_str(wrong[i]), false);
		assert_false(sort_parse(&l, &p));
	}
}

/* ---- THREAD */

static char *
threads(enum thread_algorithm a, const char *const *mails, size_t n)
{
	struct threader *t = threader_new(a);
	struct buf out;
	buf_init(&out, 0);
	for (uint32_t i = 0; i < n; i++) {
		struct mail x;
		mail_init(&x, mails[i]);
		assert_true(threader_add(t, i + 1, &x.sight, &x.shape));
		mail_clear(&x);
	}
	threader_end(t, &out);
	threader_free(&t);
	return buf_take(&out);
}

static void
test_thread(void **state)
{
#define M(id, refs, subject, day)                                           \
	"Message-ID: <" id ">\r\nReferences: " refs "\r\nSubject: " subject \
	"\r\nDate: Mon, " day " Nov 2025 10:00:00 +0000\r\n\r\n"
	static const char *const chain[] = {M("1", "", "a", "1"),
	    M("2", "<1>", "Re: a", "2"), M("3", "<1> <2>", "Re: a", "3"),
	    M("4", "<1> <2>", "Re: a", "2"), M("5", "<1>", "Re: a", "4")};
	static const char *const parentless[] = {
	    M("2", "<1>", "x", "2"), M("3", "<1>", "y", "1"), M("4", "<9>", "z", "5")};
	static const char *const loop[] = {M("1", "<2>", "a", "1"),
	    M("2", "<1>", "b", "2"), M("3", "<3>", "c", "3"), M("1", "", "d", "4")};
	static const char *const subjects[] = {M("1", "", "a", "1"),
	    M("2", "", "Re: a", "2"), M("3", "", "Re: b", "3"), M("4", "", "Re: b", "4")};
	static const struct {
		const char *const *mails;
		size_t n;
		enum thread_algorithm a;
		const char *expected;
	} cases[] = {
	    {chain, 5, THREAD_REFERENCES, "(1 (2 (4)(3))(5))"},
	    {parentless, 3, THREAD_REFERENCES, "((2)(1))(3)"},
	    {loop, 4, THREAD_REFERENCES, "(2 1)(3)(4)"},
	    {subjects, 4, THREAD_REFERENCES, "(1 2)((3)(4))"},
	    {subjects, 4, THREAD_ORDEREDSUBJECT, "(1 2)(3 4)"},
	    {chain, 0, THREAD_REFERENCES, ""},
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char *got = threads(cases[i].a, cases[i].mails, cases[i].n);
		if (strcmp(got, cases[i].expected) != 0)
			fail_msg("%zu: %s instead of %s", i, got, cases[i].expected);
		mem_free(&got);
	}
}

/* A chain as long as strangers make it: no recursion, no endless time. */
static void
test_long_chain(void **state)
{
	struct threader *t = threader_new(THREAD_REFERENCES);
	struct buf out, text;
	(void)state;
	buf_init(&out, 0);
	buf_init(&text, 0);
	for (uint32_t i = 1; i <= 20000; i++) {
		struct mail x;
		buf_reset(&text);
		buf_addf(&text,
		    "Message-ID: <%u@x>\r\nReferences: <%u@x>\r\nSubject: s\r\n\r\n", i,
		    i - 1);
		buf_add_char(&text, '\0');
		mail_init(&x, text.p);
		assert_true(threader_add(t, i, &x.sight, &x.shape));
		mail_clear(&x);
	}
	threader_end(t, &out);
	buf_add_char(&out, '\0');
	assert_true(span_starts(buf_span(&out), SPAN("(1 2 3 4 ")));
	assert_true(span_iends(span_str(out.p), SPAN(" 20000)")));
	buf_clear(&out);
	buf_clear(&text);
	threader_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_keys),
	    cmocka_unit_test(test_needs),
	    cmocka_unit_test(test_wrong),
	    cmocka_unit_test(test_sort),
	    cmocka_unit_test(test_thread),
	    cmocka_unit_test(test_long_chain),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
