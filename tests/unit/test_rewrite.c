/* SPDX-License-Identifier: ISC */
/* Rewriting: rules, odd but legal From fields, long lines, bombs; what is not an address
 * stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "policy/header.h"
#include "policy/rewrite.h"
#include "policy/rewrite_read.h"

#define OUT_MAX (4 * HEADER_SIZE_MAX)

static void
add_rule(struct rewrite_list *l, const char *text)
{
	struct buf why = {0};
	l->rule = mem_resize(l->rule, l->n + 1, sizeof(*l->rule));
	assert_int_equal(rewrite_parse(span_str(text), &l->rule[l->n++], &why), OK);
	buf_clear(&why);
}

/* What most tests use: any.test keeps local parts, one.test becomes one address. */
static struct rewriting
usual(void)
{
	struct rewriting r = {0};
	struct buf why = {0};
	add_rule(&r.from, "any.test=@out.example");
	add_rule(&r.from, "one.test=relay@out.example");
	add_rule(&r.from, "[192.0.2.1]=lit@out.example");
	r.masquerade.rule = mem_resize(NULL, 1, sizeof(*r.masquerade.rule));
	assert_int_equal(
	    rewrite_masquerade(SPAN("lan.example"), &r.masquerade.rule[0], &why), OK);
	r.masquerade.n = 1;
	buf_clear(&why);
	return r;
}

/* A NULL `want`: nothing changes. */
static void
check_with(
    const struct rewriting *r, const char *prefix, struct span header, const char *want)
{
	struct buf out;
	buf_init(&out, OUT_MAX);
	buf_add_str(&out, "before");
	bool changed = rewrite_header(r, span_str(prefix), header, &out);
	buf_add_char(&out, '\0');
	assert_memory_equal(out.p, "before", 6);
	assert_string_equal(out.p + 6, want != NULL ? want : "");
	assert_int_equal(changed, want != NULL);
	buf_clear(&out);
}

static void
check(const struct rewriting *r, const char *header, const char *want)
{
	check_with(r, "", span_str(header), want);
}

/* ---- one field */

static const struct {
	const char *from, *want; /* NULL: stays */
} fields[] = {
    /* plain */
    {" a@any.test", " a@out.example"},
    {" a@one.test", " relay@out.example"},
    {"a@any.test", "a@out.example"},
    {"\ta@any.test\t", "\ta@out.example\t"},
    {" <a@any.test>", " <a@out.example>"},
    {" John <a@any.test>", " John <a@out.example>"},
    {" John Q. Public <a@one.test>", " John Q. Public <relay@out.example>"},
    {" John<a@one.test>", " John<relay@out.example>"},
    {" A@ANY.TEST", " A@out.example"},
    {" a@other.test", NULL},
    {" a@sub.any.test", NULL},
    {" a@h.lan.example", " a@lan.example"},
    {" a@h.i.LAN.example", " a@lan.example"},
    {" a@lan.example", NULL},
    {" a@[192.0.2.1]", " lit@out.example"},
    {" <a@[ 192.0.2.1\r\n ]>", " <lit@out.example>"},
    {" a@[192.0.2.2]", NULL},
    /* display names */
    {" \"John, at home\" <a@any.test>", " \"John, at home\" <a@out.example>"},
    {" \"a@any.test\" <a@any.test>", " \"a@any.test\" <a@out.example>"},
    {" \"<a@any.test>\" <b@other.test>", NULL},
    {" \"q \\\" <a@any.test>\" <b@any.test>", " \"q \\\" <a@any.test>\" <b@out.example>"},
    {" a@any.test <b@any.test>", " a@any.test <b@out.example>"},
    {" [x] <b@any.test>", " [x] <b@out.example>"},
    {" . <b@any.test>", " . <b@out.example>"},
    {" =?utf-8?Q?J=C3=B6rg?= <a@any.test>", " =?utf-8?Q?J=C3=B6rg?= <a@out.example>"},
    {" =?utf-8?B?YUBhbnkudGVzdA==?=\r\n =?utf-8?Q?x?= <a@any.test>",
	" =?utf-8?B?YUBhbnkudGVzdA==?=\r\n =?utf-8?Q?x?= <a@out.example>"},
    {" J\xc3\xb6rg <a@any.test>", " J\xc3\xb6rg <a@out.example>"},
    {" J\xf6rg <a@any.test>", " J\xf6rg <a@out.example>"},
    {" \"J\xf6rg\" <\xc3\xb6@any.test>", " \"J\xf6rg\" <\xc3\xb6@out.example>"},
    /* comments */
    {" a@any.test (John)", " a@out.example (John)"},
    {" (x) a@any.test", " (x) a@out.example"},
    {" a (x) @any.test", " a@out.example (x)"},
    {" a(x)@(y)any(z).test (w)", " a@out.example(x)(y)(z) (w)"},
    {" a(x (y) \\) z)@any.test", " a@out.example(x (y) \\) z)"},
    {" (a@any.test) b@other.test", NULL},
    {" (<a@any.test>,) b@any.test", " (<a@any.test>,) b@out.example"},
    {" (\") b@any.test (\")", " (\") b@out.example (\")"},
    {" b@any.test ()", " b@out.example ()"},
    {" <(x)a@any.test(y)>", " <(x)a@out.example(y)>"},
    {" Pete(A nice \\) chap) <pete(his account)@any.test(his host)>",
	" Pete(A nice \\) chap) <pete@out.example(his account)(his host)>"},
    /* folds */
    {"\r\n a@any.test", "\r\n a@out.example"},
    {" John\r\n\t<a@any.test>", " John\r\n\t<a@out.example>"},
    {" John <\r\n a@any.test\r\n >", " John <\r\n a@out.example\r\n >"},
    {" a\r\n @\r\n any\r\n .test", " a@out.example"},
    {" a (x)\r\n @any.test", " a@out.example (x)"},
    {" a@any.test,\r\n \r\n b@any.test", " a@out.example,\r\n \r\n b@out.example"},
    {" (fold\r\n in it) a@any.test", " (fold\r\n in it) a@out.example"},
    {" \"fold\r\n in it\" <a@any.test>", " \"fold\r\n in it\" <a@out.example>"},
    {" a@any.test\r\n ", " a@out.example\r\n "},
    {" John\n <a@any.test>", " John\n <a@out.example>"},
    /* local parts */
    {" \"a b\"@any.test", " \"a b\"@out.example"},
    {" \"a\r\n b\"@any.test", " \"a b\"@out.example"},
    {" \"a@b\"@any.test", " \"a@b\"@out.example"},
    {" \"a>\\\"\"@any.test", " \"a>\\\"\"@out.example"},
    {" a.b.c@any.test", " a.b.c@out.example"},
    {" a . b @ any . test", " a.b@out.example"},
    {" a.\"b c\".d@any.test", " a.\"b c\".d@out.example"},
    {" a..b.@any.test", " a..b.@out.example"},
    {" !#$%&'*+-/=?^_`{|}~@any.test", " !#$%&'*+-/=?^_`{|}~@out.example"},
    {" \"\"@any.test", " \"\"@out.example"},
    /* lists */
    {" a@any.test, b@other.test, c@one.test",
	" a@out.example, b@other.test, relay@out.example"},
    {" a@any.test,b@any.test", " a@out.example,b@out.example"},
    {" ,, a@any.test,, ,b@any.test,", " ,, a@out.example,, ,b@out.example,"},
    {" ,(x),a@any.test", " ,(x),a@out.example"},
    {" ,", NULL},
    {" A <a@any.test>, \"B, C\" <b@any.test>, c@any.test (D)",
	" A <a@out.example>, \"B, C\" <b@out.example>, c@out.example (D)"},
    /* groups */
    {" Us:a@any.test,B <b@any.test>;", " Us:a@out.example,B <b@out.example>;"},
    {" Us (x) : a@any.test ; (y)", " Us (x) : a@out.example ; (y)"},
    {" \"a@any.test\":;", NULL},
    {" Nobody:;, a@any.test", " Nobody:;, a@out.example"},
    {" U: ,, a@any.test,;,b@any.test", " U: ,, a@out.example,;,b@out.example"},
    {" U:a@any.test;, V:b@any.test;", " U:a@out.example;, V:b@out.example;"},
    /* routes */
    {" <@x.test,@y.test:a@any.test>", " <@x.test,@y.test:a@out.example>"},
    {" J <@any.test,,@[192.0.2.1] (c):a@any.test>",
	" J <@any.test,,@[192.0.2.1] (c):a@out.example>"},
    {" <@any.test:a@other.test>", NULL},
    /* none, or no domain */
    {" <>", NULL},
    {" X <>, a@any.test", " X <>, a@out.example"},
    {" root", NULL},
    {" <root>, a@any.test", " <root>, a@out.example"},
    {"", NULL},
    {" ", NULL},
    /* not understood: not even the good half */
    {" a@any.test, John Smith", NULL},
    {" a@any.test, b@", NULL},
    {" a@any.test, @b", NULL},
    {" a@any.test, <b@any.test", NULL},
    {" a@any.test, <b c@any.test>", NULL},
    {" a@any.test, <b@c@any.test>", NULL},
    {" a@any.test, <<b@any.test>>", NULL},
    {" a@any.test, b@any.test>", NULL},
    {" a@any.test b@any.test", NULL},
    {" <a@any.test> b", NULL},
    {" <a@any.test> <b@any.test>", NULL},
    {" a@any.test; b@any.test", NULL},
    {" a@any.test;", NULL},
    {" U:a@any.test", NULL},
    {" U:V:a@any.test;;", NULL},
    {" U:a@any.test; V:b@any.test;", NULL},
    {" U:a@any.test;;", NULL},
    {" :a@any.test;", NULL},
    {" a@any.test, (b", NULL},
    {" a@any.test, b)", NULL},
    {" a@any.test (b\\", NULL},
    {" a@any.test (b\\\r\n )", NULL},
    {" a@any.test, \"b", NULL},
    {" a@any.test, \"b\\", NULL},
    {" a@any.test, b@[c", NULL},
    {" a@any.test, b@[[c]", NULL},
    {" a@any.test, b@c..d", NULL},
    {" a@any.test, b@c.", NULL},
    {" a@any.test, b@\"c\"", NULL},
    {" a@any.test, <@b a@any.test>", NULL},
    {" a@any.test \\", NULL},
    {" a@any.test\x01", NULL},
    {" a@any.test, \"\x7f\"@any.test", NULL},
    {" a@any.test, x\ry@any.test", NULL},
    {" a@any.test, (x\r)", NULL},
};

static void
test_fields(void **state)
{
	(void)state;
	static const char *const names[] = {
	    "From:", "sender:", "Reply-To:", "RESENT-FROM \t:", "Resent-Sender:"};
	struct rewriting r = usual();
	for (size_t i = 0; i < COUNT_OF(fields); i++) {
		const char *name = names[i % COUNT_OF(names)];
		struct buf in = {0}, want = {0};
		buf_addf(&in, "Subject: <x@any.test>\r\n%s%s\r\nTo: y@any.test\r\n\r\n",
		    name, fields[i].from);
		buf_addf(&want, "Subject: <x@any.test>\r\n%s%s\r\nTo: y@any.test\r\n\r\n",
		    name, fields[i].want != NULL ? fields[i].want : "");
		buf_add_char(&want, '\0');
		check_with(&r, "", buf_span(&in), fields[i].want != NULL ? want.p : NULL);
		buf_clear(&in);
		buf_clear(&want);
	}
	rewriting_clear(&r);
}

/* ---- sections */

static void
test_sections(void **state)
{
	(void)state;
	struct rewriting r = usual();
	check(&r, "", NULL);
	check(&r, "\r\n", NULL);
	check(&r, "To: a@any.test\r\nX-From: a@any.test\r\nFrom-X: a@any.test\r\n\r\n",
	    NULL);
	/* without a line end, without an empty line, with bare LF */
	check(&r, "From: a@any.test", "From: a@out.example");
	check(&r, "From: a@any.test\r\n", "From: a@out.example\r\n");
	check(&r, "From: a@any.test\nTo: x\n\n", "From: a@out.example\nTo: x\n\n");
	check(&r, "From: a@any.test\r\n ", "From: a@out.example\r\n ");
	check(&r, "From:", NULL);
	check(&r, "From:\r\n\r\n", NULL);
	check(&r, "From: a@any.test\r", NULL);
	/* what is behind the section is none of ours */
	check(&r, "X: y\r\n\r\nFrom: a@any.test\r\n", NULL);
	check(&r, "Sender: a@any.test\r\n\r\nFrom: a@any.test\r\n",
	    "Sender: a@out.example\r\n\r\nFrom: a@any.test\r\n");
	check(&r, "no field\r\nFrom: a@any.test\r\n\r\n", NULL);
	check(&r, " a blank\r\nFrom: a@any.test\r\n\r\n", NULL);
	check(&r, "From me\r\nFrom: a@any.test\r\n\r\n", NULL);
	check(&r, "Sender: a@any.test\r\nno field\r\nFrom: a@any.test\r\n",
	    "Sender: a@out.example\r\nno field\r\nFrom: a@any.test\r\n");
	/* one that is not understood does not spoil the others */
	check(&r, "Sender: a@any.test (\r\nFrom: a@any.test\r\n\r\n",
	    "Sender: a@any.test (\r\nFrom: a@out.example\r\n\r\n");
	check(&r, "From: a@any.test\r\nfrom: b@any.test\r\n\r\n",
	    "From: a@out.example\r\nfrom: b@out.example\r\n\r\n");
	/* header_scan's section is ours: it looks for the colon in 1024 octets */
	struct buf far = {0};
	buf_add_str(&far, "From");
	for (int i = 0; i < 1020; i++)
		buf_add_char(&far, ' ');
	buf_add_str(&far, ": a@any.test\r\n\r\n");
	check_with(&r, "", buf_span(&far), NULL);
	buf_clear(&far);
	/* a NUL is not understood */
	static const char nul[] = "From: a@any.test, \0b@any.test\r\n\r\n";
	check_with(&r, "", (struct span){nul, sizeof(nul) - 1}, NULL);
	rewriting_clear(&r);
}

static void
test_chain(void **state)
{
	(void)state;
	struct rewriting r = usual();
	/* `from` gives an inner name, `masquerade` hides it */
	add_rule(&r.from, "old.test=@h.lan.example");
	add_rule(&r.from, "<>=bounce@out.example");
	check(&r, "From: a@old.test\r\n\r\n", "From: a@lan.example\r\n\r\n");
	check(&r, "From: <>\r\n\r\n", NULL);
	/* the first that fits; and what does not change is no change */
	add_rule(&r.from, "same.test=@same.test");
	add_rule(&r.from, "any.test=wrong@out.example");
	check(&r, "From: a@any.test\r\n\r\n", "From: a@out.example\r\n\r\n");
	check(&r, "From: a@same.test\r\n\r\n", NULL);
	/* any: an address without a domain, too, but no misleading one */
	add_rule(&r.from, "*=@out.example");
	check(&r, "From: root\r\n\r\n", "From: root@out.example\r\n\r\n");
	check(
	    &r, "From: <root> (Cron)\r\n\r\n", "From: <root@out.example> (Cron)\r\n\r\n");
	check(&r, "From: \"a@b\"\r\n\r\n", NULL);
	check(&r, "From: x <\"a@b\">\r\n\r\n", NULL);
	check(&r, "From: J\r\n D <x\x80@\xc3\xa4.test>\r\n\r\n",
	    "From: J\r\n D <x\x80@out.example>\r\n\r\n");
	rewriting_clear(&r);
	struct rewriting none = {0};
	check(&none, "From: a@any.test\r\n\r\n", NULL);
}

static void
test_u_labels(void **state)
{
	(void)state;
	struct rewriting r = {0};
	add_rule(&r.from, "b\xc3\xbc.test=@out.example");
	add_rule(&r.from, "a@c.test=x@out.example");
	check(&r, "From: a@b\xc3\xbc.test\r\n\r\n", "From: a@out.example\r\n\r\n");
	check(&r, "From: a@xn--b-eha.test\r\n\r\n", "From: a@out.example\r\n\r\n");
	check(&r, "From: \"\\a\"@c.test\r\n\r\n", "From: x@out.example\r\n\r\n");
	check(&r, "From: A@c.test\r\n\r\n", "From: x@out.example\r\n\r\n");
	rewriting_clear(&r);
}

static void
test_reply_to(void **state)
{
	(void)state;
	struct rewriting r = usual();
	r.keep_reply_to = true;
	check(&r, "From: J (x)\r\n\t<a@any.test>\r\nTo: b\r\n\r\n",
	    "From: J (x)\r\n\t<a@out.example>\r\nReply-To: J "
	    "(x)\r\n\t<a@any.test>\r\nTo: "
	    "b\r\n\r\n");
	check(&r, "From: a@any.test", "From: a@out.example\r\nReply-To: a@any.test\r\n");
	check(&r, "From: a@any.test\r\n\r\n",
	    "From: a@out.example\r\nReply-To: a@any.test\r\n\r\n");
	check(&r, "FROM : a@any.test\r\n",
	    "FROM : a@out.example\r\nReply-To: a@any.test\r\n");
	/* only for From, and only if it changed */
	check(&r, "Sender: a@any.test\r\nFrom: b@other.test\r\n\r\n",
	    "Sender: a@out.example\r\nFrom: b@other.test\r\n\r\n");
	check(
	    &r, "Resent-From: a@any.test\r\n\r\n", "Resent-From: a@out.example\r\n\r\n");
	/* not a second one */
	check(&r, "reply-to : b@other.test\r\nFrom: a@any.test\r\n\r\n",
	    "reply-to : b@other.test\r\nFrom: a@out.example\r\n\r\n");
	check(&r, "From: a@any.test\r\nReply-To: b@any.test\r\n\r\n",
	    "From: a@out.example\r\nReply-To: b@any.test\r\n\r\n");
	check(&r, "From: a@any.test\r\nFrom: b@any.test\r\n\r\n",
	    "From: a@out.example\r\nReply-To: a@any.test\r\nFrom: b@out.example\r\n\r\n");
	check_with(&r, "X: y\r\nReply-To: <b@x>\r\n", SPAN("From: a@any.test\r\n\r\n"),
	    "From: a@out.example\r\n\r\n");
	check_with(&r, "From: <b@x>\r\n", SPAN("From: a@any.test\r\n\r\n"),
	    "From: a@out.example\r\n\r\n");
	/* behind the section there is none */
	check(&r, "From: a@any.test\r\n\r\nReply-To: b\r\n",
	    "From: a@out.example\r\nReply-To: a@any.test\r\n\r\nReply-To: b\r\n");
	rewriting_clear(&r);
}

/* ---- long lines */

static size_t
longest_line(struct span s)
{
	size_t longest = 0;
	while (s.n > 0) {
		size_t nl = span_find(s, '\n');
		size_t n = nl > 0 && s.p[nl - 1] == '\r' ? nl - 1 : nl;
		longest = n > longest ? n : longest;
		s = span_cut(s, nl + 1, s.n);
	}
	return longest;
}

static void
add_many(struct buf *b, char c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_add_char(b, c);
}

/* "From: NNN... <a@any.test> (CC...)" of a first line of n octets; the address grows
 * by 3. */
static void
long_line(struct rewriting *r, size_t name, size_t behind, size_t longest, bool folds)
{
	struct buf in = {0}, out = {0};
	buf_add_str(&in, "From: ");
	add_many(&in, 'N', name);
	buf_add_str(&in, " <a@any.test> (");
	add_many(&in, 'C', behind);
	buf_add_str(&in, ")\r\n\r\n");
	assert_true(rewrite_header(r, SPAN(""), buf_span(&in), &out));
	assert_int_equal(longest_line(buf_span(&out)), longest);
	buf_add_char(&out, '\0');
	assert_int_equal(strstr(out.p, " \r\n <a@out.example> (") != NULL, folds);
	buf_clear(&in);
	buf_clear(&out);
}

static void
test_long_lines(void **state)
{
	(void)state;
	struct rewriting r = usual();
	/* 6 + name + 15 + behind + 1: with three more, 998 is the most */
	long_line(&r, 900, 73, 998, false);
	long_line(&r, 900, 74, 907, true);
	long_line(&r, 973, 0, 998, false);
	long_line(&r, 974, 0, 981, true);
	long_line(&r, 976, 0, 983, true);
	/* at the beginning of a folded line there is nothing to fold */
	struct buf in = {0}, want = {0};
	buf_add_str(&in, "From:\r\n a@any.test (");
	add_many(&in, 'C', 984);
	buf_add_str(&in, ")\r\n\r\n");
	buf_add_str(&want, "From:\r\n a@out.example (");
	add_many(&want, 'C', 984);
	buf_add_str(&want, ")\r\n\r\n");
	buf_add_char(&want, '\0');
	check_with(&r, "", buf_span(&in), want.p);
	buf_clear(&in);
	buf_clear(&want);
	/* Reply-To is four octets longer than From */
	r.keep_reply_to = true;
	for (size_t n = 970; n <= 994; n++) {
		buf_add_str(&in, "From: a@any.test (");
		add_many(&in, 'C', n - 19);
		buf_add_str(&in, ")\r\n\r\n");
		assert_true(rewrite_header(&r, SPAN(""), buf_span(&in), &want));
		assert_true(longest_line(buf_span(&want)) <= 998);
		buf_add_char(&want, '\0');
		assert_non_null(strstr(want.p, "Reply-To: a@any.test (C"));
		buf_clear(&in);
		buf_clear(&want);
	}
	buf_add_str(&in, "From: a@any.test (");
	add_many(&in, 'C', 976);
	buf_add_str(&in, ")\r\n\r\n");
	assert_true(rewrite_header(&r, SPAN(""), buf_span(&in), &want));
	assert_true(longest_line(buf_span(&want)) <= 998);
	buf_add_char(&want, '\0');
	assert_non_null(strstr(want.p, "\r\nReply-To:\r\n a@any.test (C"));
	buf_clear(&in);
	buf_clear(&want);
	rewriting_clear(&r);
}

/* ---- bounds */

static void
test_many_addresses(void **state)
{
	(void)state;
	struct rewriting r = usual();
	struct buf in, out;
	buf_init(&in, HEADER_SIZE_MAX);
	buf_init(&out, OUT_MAX);
	buf_add_str(&in, "From: a@any.test");
	for (int i = 1; i < 10000; i++)
		buf_add_str(&in, i % 20 ? ",a@any.test" : ",\r\n a@any.test");
	buf_add_str(&in, "\r\n\r\n");
	assert_false(in.overflow);
	assert_true(rewrite_header(&r, SPAN(""), buf_span(&in), &out));
	assert_int_equal(out.n, in.n + 10000 * 3);
	assert_true(longest_line(buf_span(&out)) <= 998);
	/* as one line: what is too long stays so, but each address has room */
	in.n = out.n = 0;
	buf_add_str(&in, "From: a@any.test");
	for (int i = 1; i < 10000; i++)
		buf_add_str(&in, ",a@any.test");
	buf_add_str(&in, "\r\n\r\n");
	assert_true(rewrite_header(&r, SPAN(""), buf_span(&in), &out));
	assert_true(longest_line(buf_span(&out)) <= 999); /* and a comma */
	/* over the bound of out nothing changes */
	out.n = 0;
	out.max = in.n + 10000 * 2;
	assert_false(rewrite_header(&r, SPAN(""), buf_span(&in), &out));
	assert_int_equal(out.n, 0);
	buf_clear(&in);
	buf_clear(&out);
	rewriting_clear(&r);
}

static const char *
nested(struct buf *b, size_t depth, const char *address)
{
	buf_reset(b);
	buf_add_str(b, "From: ");
	add_many(b, '(', depth);
	add_many(b, ')', depth);
	buf_addf(b, " %s\r\n\r\n", address);
	buf_add_char(b, '\0');
	return b->p;
}

static void
test_comments_in_comments(void **state)
{
	(void)state;
	struct rewriting r = usual();
	struct buf in = {0}, want = {0};
	check(&r, nested(&in, COMMENT_DEPTH_MAX, "a@any.test"),
	    nested(&want, COMMENT_DEPTH_MAX, "\r\n a@out.example"));
	check(&r, nested(&in, COMMENT_DEPTH_MAX + 1, "a@any.test"), NULL);
	check(&r, nested(&in, 100000, "a@any.test"), NULL);
	/* one behind the other they have no bound */
	in.n = want.n = 0;
	buf_add_str(&in, "From: a");
	buf_add_str(&want, "From: a@out.example");
	for (int i = 0; i < 50000; i++) {
		buf_add_str(&in, "()");
		buf_add_str(&want, "()");
	}
	buf_add_str(&in, "@any.test\r\n\r\n");
	buf_add_str(&want, "\r\n\r\n");
	buf_add_char(&want, '\0');
	check_with(&r, "", buf_span(&in), want.p);
	buf_clear(&in);
	buf_clear(&want);
	rewriting_clear(&r);
}

static void
test_long_address(void **state)
{
	(void)state;
	struct rewriting r = usual();
	for (size_t n = HEADER_ADDRESS_MAX - 1; n <= HEADER_ADDRESS_MAX + 1; n++) {
		struct buf in = {0}, want = {0};
		buf_add_str(&in, "From: b@any.test,\r\n ");
		add_many(&in, 'a', n - SPAN("@one.test").n);
		buf_add_str(&in, "@one.test\r\n\r\n");
		if (n <= HEADER_ADDRESS_MAX) {
			buf_add_str(
			    &want, "From: b@out.example,\r\n relay@out.example\r\n\r\n");
		} else {
			buf_add_str(&want, "From: b@out.example,\r\n ");
			add_many(&want, 'a', n - SPAN("@one.test").n);
			buf_add_str(&want, "@one.test\r\n\r\n");
		}
		buf_add_char(&want, '\0');
		check_with(&r, "", buf_span(&in), want.p);
		buf_clear(&in);
		buf_clear(&want);
	}
	rewriting_clear(&r);
}

static void
test_enormous(void **state)
{
	(void)state;
	struct rewriting r = usual();
	struct buf in;
	buf_init(&in, HEADER_SIZE_MAX);
	static const char *const seeds[] = {"(", "\"", "<", ",", "a@", "a@any.test,",
	    "a ", "x:", "\\", "[", "@", ".", "\r\n ", "<>,", "<a@any.test", "(\\", ";",
	    "a:;,"};
	for (size_t i = 0; i < COUNT_OF(seeds); i++) {
		struct buf out;
		buf_init(&out, OUT_MAX);
		buf_reset(&in);
		buf_add_str(&in, "From:");
		while (in.n + strlen(seeds[i]) <= HEADER_SIZE_MAX)
			buf_add_str(&in, seeds[i]);
		bool changed = rewrite_header(&r, SPAN(""), buf_span(&in), &out);
		assert_int_equal(changed, strcmp(seeds[i], "a@any.test,") == 0);
		buf_clear(&out);
	}
	buf_clear(&in);
	rewriting_clear(&r);
}

/* ---- property: only addr-specs differ */

static uint32_t
dice(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8) % n;
}

/* Two texts in parallel: what goes in, and the same with the addresses exchanged. */
struct pair {
	struct buf in, want;
};

static void
add_both(struct pair *p, const char *s)
{
	buf_add_str(&p->in, s);
	buf_add_str(&p->want, s);
}

static void
add_gap(struct pair *p, uint32_t *seed)
{
	static const char *const gaps[] = {"", " ", "\t", "\r\n ", " (c)", "(a@any.test)",
	    " (n(<e>s)\\)t) ", "\r\n\t(x\r\n y)\r\n "};
	add_both(p, gaps[dice(seed, COUNT_OF(gaps))]);
}

static void
add_address(struct pair *p, uint32_t *seed)
{
	static const char *const locals[] = {
	    "a", "a.b", "\"a b\"", "\"a\\\"@,<\"", "x+y"};
	static const char *const domains[] = {"any.test", "ANY.test", "other.test"};
	const char *local = locals[dice(seed, COUNT_OF(locals))];
	const char *domain = domains[dice(seed, COUNT_OF(domains))];
	buf_addf(&p->in, "%s@%s", local, domain);
	buf_addf(&p->want, "%s@%s", local,
	    strcmp(domain, "other.test") == 0 ? domain : "out.example");
}

static void
add_mailbox(struct pair *p, uint32_t *seed)
{
	static const char *const names[] = {"", "John", "\"J, <a@any.test>\"", "J. D.",
	    "=?utf-8?Q?=2C?=", "\xc3\xa4", "a@any.test"};
	add_gap(p, seed);
	if (dice(seed, 2)) {
		add_both(p, names[dice(seed, COUNT_OF(names))]);
		add_gap(p, seed);
		add_both(p, dice(seed, 8) ? "<" : "<@any.test,@b:");
		add_gap(p, seed);
		add_address(p, seed);
		add_gap(p, seed);
		add_both(p, ">");
	} else {
		add_address(p, seed);
	}
	add_gap(p, seed);
}

static void
add_field(struct pair *p, uint32_t *seed)
{
	static const char *const others[] = {"To: a@any.test\r\n", "Subject: x\r\n y\r\n",
	    "X-From: <a@any.test>\r\n", "Cc:a@any.test,\r\n b@any.test\r\n"};
	static const char *const ours[] = {
	    "From:", "Sender: ", "reply-to :", "Resent-From:"};
	if (dice(seed, 3) == 0) {
		add_both(p, others[dice(seed, COUNT_OF(others))]);
		return;
	}
	add_both(p, ours[dice(seed, COUNT_OF(ours))]);
	for (uint32_t n = dice(seed, 5); n > 0; n--) {
		bool group = dice(seed, 5) == 0;
		add_both(p, group ? "G:" : "");
		add_mailbox(p, seed);
		add_both(p, group ? ";" : "");
		add_both(p, n > 1 ? "," : "");
	}
	add_both(p, "\r\n");
}

static void
test_only_addresses(void **state)
{
	(void)state;
	struct rewriting r = usual();
	unsigned changed = 0;
	for (uint32_t round = 0; round < 5000; round++) {
		uint32_t seed = round;
		struct pair p = {0};
		for (uint32_t n = dice(&seed, 6); n > 0; n--)
			add_field(&p, &seed);
		add_both(&p, "\r\n");
		bool same = span_eq(buf_span(&p.in), buf_span(&p.want));
		changed += !same;
		buf_add_char(&p.want, '\0');
		check_with(&r, "", buf_span(&p.in), same ? NULL : p.want.p);
		buf_clear(&p.in);
		buf_clear(&p.want);
	}
	assert_true(changed > 1000);
	rewriting_clear(&r);
}

/* ---- rules */

static void
test_rules(void **state)
{
	(void)state;
	static const struct {
		const char *rule, *address, *want; /* want NULL: stays */
	} cases[] = {
	    {"*=relay@out.example", "a@b.test", "relay@out.example"},
	    {"*=relay@out.example", "", NULL},
	    {"*=@out.example", "a", "a@out.example"},
	    {"<>=relay@out.example", "", "relay@out.example"},
	    {"<>=relay@out.example", "a@b.test", NULL},
	    {".b.test=@out.example", "a@c.b.test", "a@out.example"},
	    {".b.test=@out.example", "a@b.test", NULL},
	    {".b.test=@out.example", "a@xb.test", NULL},
	    {"b.test=@out.example", "a@B.Test", "a@out.example"},
	    {"@b.test=@out.example", "\"x y\"@b.test", "\"x y\"@out.example"},
	    {"b.test=@out.example", "a@c.b.test", NULL},
	    {"b.test=@out.example", "a", NULL},
	    {"a@b.test=c@out.example", "a@b.test", "c@out.example"},
	    {"a@b.test=c@out.example", "\"a\"@b.test", "c@out.example"},
	    {"a@b.test=c@out.example", "A@b.test", "c@out.example"},
	    {"a=b@c.test=@OUT.example", "a=b@c.test", "a=b@out.example"},
	    {"[192.0.2.1]=@out.example", "a@[192.0.2.1]", "a@out.example"},
	    {"b.test=@out.example", "a@..", NULL},
	    {" b.test = @out.example ", "a@b.test", "a@out.example"},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct rewrite_list l = {0};
		struct buf out = {0};
		add_rule(&l, cases[i].rule);
		bool fits = rewrite_address(&l, span_str(cases[i].address), &out);
		assert_int_equal(fits, cases[i].want != NULL);
		assert_true(span_eq(buf_span(&out),
		    cases[i].want != NULL ? span_str(cases[i].want) : SPAN("")));
		/* a pattern means the same here and in a route */
		if (*cases[i].address != '\0')
			assert_int_equal(fits, route_pattern_matches(&l.rule[0].match,
						   span_str(cases[i].address)));
		buf_clear(&out);
		rewrite_list_clear(&l);
	}
}

static void
test_bad_rules(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "=", "a@b.test", "a b=@c", "=@c.test",
	    "b.test=", "b.test=@", "b.test=c", "b.test=a b@c.test", "b.test=@c d",
	    "<>=@out.example", "b.test=*", "b.test=@-_.\x01"};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct rewrite rule;
		struct buf why = {0};
		assert_int_equal(
		    rewrite_parse(span_str(bad[i]), &rule, &why), ERR_SYNTAX);
		assert_true(why.n > 0);
		assert_null(rule.domain);
		assert_null(rule.match.text);
		buf_clear(&why);
	}
	struct rewriting r = usual();
	assert_false(rewriting_is_empty(&r));
	rewriting_clear(&r);
	assert_true(rewriting_is_empty(&r));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_sections),
	    cmocka_unit_test(test_chain),
	    cmocka_unit_test(test_u_labels),
	    cmocka_unit_test(test_reply_to),
	    cmocka_unit_test(test_long_lines),
	    cmocka_unit_test(test_many_addresses),
	    cmocka_unit_test(test_comments_in_comments),
	    cmocka_unit_test(test_long_address),
	    cmocka_unit_test(test_enormous),
	    cmocka_unit_test(test_only_addresses),
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_bad_rules),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
