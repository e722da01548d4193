/* SPDX-License-Identifier: ISC */
/* SMTP sessions: every verb, every limit, everything hostile that has no room of its own.
 */
#include "tests/unit/ingress_rig.h"

/* ---- order: every verb in every state */

static void
test_order(void **state)
{
	(void)state;
	static const char *const before[] = {
	    "",
	    HI,
	    HI MAIL,
	    HI MAIL RCPT,
	    HI MAIL RCPT "BDAT 3\r\nabc",
	    HI MAIL RCPT DATA TEXT DOT,
	    "HELO c.example\r\n",
	};
#define SAME(x)                     \
	{                           \
		x, x, x, x, x, x, x \
	}
	static const struct {
		const char *line;
		const char *want[COUNT_OF(before)];
	} cases[] = {
	    {HI, SAME("250")},
	    {"helo c.example\r\n", SAME("250")},
	    {"EHLO [192.0.2.1]\r\n", SAME("250")},
	    {"EHLO\r\n", SAME("501/5.5.4")},
	    {"HELO \r\n", SAME("501/5.5.4")},
	    {"EHLO a b\r\n", SAME("501/5.5.4")},
	    {"EHLO a\tb\r\n", SAME("501/5.5.4")},
	    {"EHLO <script>\r\n", SAME("501/5.5.4")},
	    {MAIL, {"503/5.5.1", "250/2.1.0", "503/5.5.1", "503/5.5.1", "503/5.5.1",
		       "250/2.1.0", "250/2.1.0"}},
	    {"mail from:<>\r\n", {"503/5.5.1", "250/2.1.0", "503/5.5.1", "503/5.5.1",
				     "503/5.5.1", "250/2.1.0", "250/2.1.0"}},
	    {RCPT, {"503/5.5.1", "503/5.5.1", "250/2.1.5", "250/2.1.5", "503/5.5.1",
		       "503/5.5.1", "503/5.5.1"}},
	    {DATA, {"503/5.5.1", "503/5.5.1", "503/5.5.1", "354", "503/5.5.1",
		       "503/5.5.1", "503/5.5.1"}},
	    {"DATA x\r\n", {"503/5.5.1", "503/5.5.1", "501/5.5.4", "501/5.5.4",
			       "503/5.5.1", "503/5.5.1", "503/5.5.1"}},
	    {"BDAT 7 LAST\r\nQUIT\r\nx",
		{"503/5.5.1", "503/5.5.1", "503/5.5.1", "250/2.0.0", "250/2.0.0",
		    "503/5.5.1", "503/5.5.1"}},
	    {"BDAT 0 LAST\r\n", {"503/5.5.1", "503/5.5.1", "503/5.5.1", "250/2.0.0",
				    "250/2.0.0", "503/5.5.1", "503/5.5.1"}},
	    {"RSET\r\n", SAME("250/2.0.0")},
	    {"rset  \r\n", SAME("250/2.0.0")},
	    {"RSET x\r\n", SAME("501/5.5.4")},
	    {"NOOP\r\n", SAME("250/2.0.0")},
	    {"NOOP some words\r\n", SAME("250/2.0.0")},
	    {"VRFY u\r\n", SAME("252/2.5.0")},
	    {"VRFY\r\n", SAME("501/5.5.4")},
	    {"EXPN list\r\n", SAME("502/5.5.1")},
	    {"HELP\r\n", SAME("214/2.0.0")},
	    {"HELP MAIL\r\n", SAME("214/2.0.0")},
	    {"STARTTLS\r\n", SAME("502/5.5.1")},
	    {"AUTH PLAIN AGEAYg==\r\n", SAME("502/5.5.1")},
	    {"XYZZY\r\n", SAME("500/5.5.2")},
	    {"\r\n", {"421/4.7.0 .", "500/5.5.2", "500/5.5.2", "500/5.5.2", "500/5.5.2",
			 "500/5.5.2", "500/5.5.2"}},
	    {"RSET\nRSET\r\n", SAME("500/5.5.2 .")},
	    {"RSET\rRSET\r\n", SAME("500/5.5.2")},
	    {"QUIT x\r\n", SAME("501/5.5.4")},
	    {QUIT, SAME("221/2.0.0 .")},
	    {"GET / HTTP/1.1\r\nHost: x\r\n", SAME("421/4.7.0 .")},
	    {"post / HTTP/1.1\r\n", SAME("421/4.7.0 .")},
	};
	struct rig *r = rig_new(NULL);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		for (size_t k = 0; k < COUNT_OF(before); k++) {
			char name[128], ignored[2000];
			snprintf(name, sizeof(name), "%zu %.40s in state %zu", i,
			    cases[i].line, k);
			struct client c = call(r, OWN);
			say(&c, before[k]);
			digest(&c, ignored);
			say(&c, cases[i].line);
			expect(&c, cases[i].want[k], name);
			if (cases[i].want[k][0] != '3' && !c.closed) {
				say(&c, "NOOP\r\n");
				expect(&c, "250/2.0.0", name);
			}
			hang_up(&c);
			forget(r);
		}
	}
	rig_free(&r);
}

/* ---- dialogues */

struct dialogue {
	const char *name;
	const char *from;
	const char *send;
	const char *want;
	size_t stored;
};

static void
dialogues(struct rig *r, const struct dialogue *d, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t stored =
		    talk(r, d[i].from, span_str(d[i].send), d[i].want, d[i].name);
		if (stored != d[i].stored)
			fail_msg("%s: %zu stored", d[i].name, stored);
		forget(r);
	}
}

static void
test_dialogues(void **state)
{
	(void)state;
	static const struct dialogue cases[] = {
	    {"a whole session in one packet", OWN, HI MAIL RCPT DATA TEXT DOT QUIT,
		OK_DATA "250/2.0.0 221/2.0.0 .", 1},
	    {"the same from a stranger", STRANGER, HI MAIL RCPT DATA TEXT DOT QUIT,
		OK_DATA "250/2.0.0 221/2.0.0 .", 1},
	    {"two messages", OWN, HI MAIL RCPT DATA TEXT DOT MAIL RCPT DATA TEXT DOT QUIT,
		OK_DATA "250/2.0.0 250/2.1.0 250/2.1.5 354 250/2.0.0 221/2.0.0 .", 2},
	    {"null sender", STRANGER, HI "MAIL FROM:<>\r\n" RCPT DATA TEXT DOT,
		OK_DATA "250/2.0.0", 1},
	    {"empty message", STRANGER, HI MAIL RCPT DATA DOT, OK_DATA "250/2.0.0", 1},
	    {"a stranger may not relay", STRANGER,
		HI MAIL "RCPT TO:<x@far.example>\r\n" QUIT,
		OK_HI "250/2.1.0 550/5.7.1 221/2.0.0 .", 0},
	    {"no valid recipient, DATA in the group", STRANGER,
		HI MAIL "RCPT TO:<x@far.example>\r\n" DATA "RSET\r\n" QUIT,
		OK_HI "250/2.1.0 550/5.7.1 554/5.5.1 250/2.0.0 221/2.0.0 .", 0},
	    {"some valid", STRANGER,
		HI MAIL "RCPT TO:<x@far.example>\r\n" RCPT DATA TEXT DOT,
		OK_HI "250/2.1.0 550/5.7.1 250/2.1.5 354 250/2.0.0", 1},
	    {"EHLO resets", OWN, HI MAIL RCPT HI DATA, OK_RCPT "250 503/5.5.1", 0},
	    {"unusable EHLO does not", OWN, HI MAIL RCPT "EHLO ?\r\n" DATA TEXT DOT,
		OK_RCPT "501/5.5.4 354 250/2.0.0", 1},
	    {"the transaction ends with the reply", OWN, HI MAIL RCPT DATA TEXT DOT DATA,
		OK_DATA "250/2.0.0 503/5.5.1", 1},
	    {"NUL in a command", OWN, HI "NOOP\r\n", OK_HI "250/2.0.0", 0},
	    {"dot-stuffing", OWN, HI MAIL RCPT DATA HEAD "\r\n..\r\n.a\r\n" DOT,
		OK_DATA "250/2.0.0", 1},
	    {"998 octets", STRANGER, HI MAIL RCPT DATA HEAD "\r\n" LONG998 "\r\n" DOT,
		OK_DATA "250/2.0.0", 1},
	    {"999 octets", STRANGER, HI MAIL RCPT DATA HEAD "\r\n" LONG998 "x\r\n" DOT,
		OK_DATA "554/5.6.0", 0},
	    {"999 octets of our own", OWN,
		HI MAIL RCPT DATA HEAD "\r\n" LONG998 "x\r\n" DOT, OK_DATA "250/2.0.0",
		1},
	    {"bare LF", STRANGER, HI MAIL RCPT DATA HEAD "\r\na\nb\r\n" DOT,
		OK_DATA "554/5.6.0", 0},
	    {"bare CR", STRANGER, HI MAIL RCPT DATA HEAD "\r\na\rb\r\n" DOT,
		OK_DATA "554/5.6.0", 0},
	    {"bare LF of our own", OWN, HI MAIL RCPT DATA HEAD "\r\na\nb\rc\r\n" DOT,
		OK_DATA "250/2.0.0", 1},
	    {"8-bit bytes whatever was declared", STRANGER,
		HI MAIL RCPT DATA HEAD "\r\n\xff\xfe\r\n" DOT, OK_DATA "250/2.0.0", 1},
	    {"a foreign first line", OWN, "\x16\x03\x01", "220 421/4.7.0 .", 0},
	    {"a blank first", OWN, " EHLO x\r\n", "220 421/4.7.0 .", 0},
	    {"HELO", OWN, "HELO x\r\n" MAIL RCPT DATA TEXT DOT, OK_DATA "250/2.0.0", 1},
	    {"BDAT", OWN, HI MAIL RCPT "BDAT 3\r\nabcBDAT 2 LAST\r\nde" QUIT,
		OK_RCPT "250/2.0.0 250/2.0.0 221/2.0.0 .", 1},
	    {"BDAT holding an end of DATA", STRANGER,
		HI MAIL RCPT "BDAT 26 LAST\r\na: b\r\n\r\n.\r\nMAIL FROM:<x>\r\n" QUIT,
		OK_RCPT "250/2.0.0 221/2.0.0 .", 1},
	    {"BDAT 0 LAST alone", OWN, HI MAIL RCPT "BDAT 0 LAST\r\n",
		OK_RCPT "250/2.0.0", 1},
	    {"BDAT after LAST", OWN, HI MAIL RCPT "BDAT 0 LAST\r\nBDAT 4\r\nQUITNOOP\r\n",
		OK_RCPT "250/2.0.0 503/5.5.1 250/2.0.0", 1},
	    {"BDAT without MAIL: octets are eaten", OWN,
		HI "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", OK_HI "503/5.5.1 250/2.0.0", 0},
	    {"BDAT without recipients", STRANGER,
		HI MAIL "RCPT TO:<x@far.example>\r\nBDAT 6\r\nQUIT\r\nBDAT 6 "
			"LAST\r\nQUIT\r\n" MAIL,
		OK_HI "250/2.1.0 550/5.7.1 554/5.5.1 503/5.5.1 250/2.1.0", 0},
	    {"a bare LF in a chunk spoils the message", STRANGER,
		HI MAIL RCPT "BDAT 3\r\na\nbBDAT 6\r\nQUIT\r\nBDAT 0 LAST\r\n" MAIL,
		OK_RCPT "554/5.6.0 503/5.5.1 503/5.5.1 250/2.1.0", 0},
	    {"a bare LF in our own chunk", OWN, HI MAIL RCPT "BDAT 3 LAST\r\na\nb",
		OK_RCPT "250/2.0.0", 1},
	    {"CR and LF in two chunks", STRANGER,
		HI MAIL RCPT "BDAT 2\r\na\rBDAT 1 LAST\r\n\n",
		OK_RCPT "250/2.0.0 250/2.0.0", 1},
	    {"CR at the very end", STRANGER, HI MAIL RCPT "BDAT 2 LAST\r\na\rNOOP\r\n",
		OK_RCPT "554/5.6.0 250/2.0.0", 0},
	    {"RSET between chunks", OWN,
		HI MAIL RCPT "BDAT 3\r\nabcRSET\r\n" MAIL RCPT DATA TEXT DOT,
		OK_RCPT "250/2.0.0 250/2.0.0 250/2.1.0 250/2.1.5 354 250/2.0.0", 1},
	    {"a chunk with more words", OWN,
		HI MAIL RCPT "BDAT 6 LASTX\r\nQUIT\r\nRSET\r\n",
		OK_RCPT "501/5.5.4 250/2.0.0", 0},
	    {"BDAT -1", OWN, HI MAIL RCPT "BDAT -1\r\nNOOP\r\n", OK_RCPT "501/5.5.4 .",
		0},
	    {"BDAT x", OWN, HI MAIL RCPT "BDAT x LAST\r\nNOOP\r\n", OK_RCPT "501/5.5.4 .",
		0},
	    {"BDAT", OWN, HI MAIL RCPT "BDAT\r\nNOOP\r\n", OK_RCPT "501/5.5.4 .", 0},
	    {"BDAT 2^31", OWN, HI MAIL RCPT "BDAT 2147483648\r\nNOOP\r\n",
		OK_RCPT "552/5.3.4 .", 0},
	    {"BDAT 2^32", OWN, HI MAIL RCPT "BDAT 4294967296 LAST\r\nNOOP\r\n",
		OK_RCPT "552/5.3.4 .", 0},
	    {"BDAT 2^62", OWN, HI MAIL RCPT "BDAT 4611686018427387904\r\nNOOP\r\n",
		OK_RCPT "552/5.3.4 .", 0},
	    {"BDAT 2^63", OWN, HI MAIL RCPT "BDAT 9223372036854775808\r\nNOOP\r\n",
		OK_RCPT "501/5.5.4 .", 0},
	    {"BDAT 2^64", OWN, HI MAIL RCPT "BDAT 18446744073709551616\r\nNOOP\r\n",
		OK_RCPT "501/5.5.4 .", 0},
	    {"BDAT 2^64-1 behind another", OWN,
		HI MAIL RCPT "BDAT 1\r\nxBDAT 18446744073709551615\r\nNOOP\r\n",
		OK_RCPT "250/2.0.0 501/5.5.4 .", 0},
	    {"BDAT 2^62 behind another", OWN,
		HI MAIL RCPT "BDAT 1\r\nxBDAT 4611686018427387904\r\nNOOP\r\n",
		OK_RCPT "250/2.0.0 552/5.3.4 .", 0},
	    {"BINARYMIME needs BDAT", OWN,
		HI "MAIL FROM:<> BODY=BINARYMIME\r\n" RCPT DATA "BDAT 2 LAST\r\n\r\n",
		OK_RCPT "503/5.5.1 250/2.0.0", 1},
	    {"BINARYMIME is not looked at", STRANGER,
		HI "MAIL FROM:<> BODY=BINARYMIME\r\n" RCPT "BDAT 5 LAST\r\na\rb\nc",
		OK_RCPT "250/2.0.0", 1},
	    {"UTF-8 without SMTPUTF8", OWN,
		HI MAIL "RCPT TO:<\xc3\xa4@office.example>\r\n",
		OK_HI "250/2.1.0 553/5.6.7", 0},
	    {"UTF-8 with it", OWN,
		HI "MAIL FROM:<\xc3\xa4@c.example> SMTPUTF8\r\n"
		   "RCPT TO:<\xc3\xa4@office.example>\r\n" DATA TEXT DOT,
		OK_DATA "250/2.0.0", 1},
	    {"too much declared", OWN, HI "MAIL FROM:<> SIZE=52428801\r\n",
		OK_HI "552/5.3.4", 0},
	    {"as much as may be", OWN, HI "MAIL FROM:<> SIZE=52428800\r\n",
		OK_HI "250/2.1.0", 0},
	    {"unknown parameter", OWN, HI "MAIL FROM:<> XYZ=1\r\n", OK_HI "555/5.5.4", 0},
	    {"no recipient domain that could be", OWN,
		HI MAIL "RCPT TO:<a@-.example>\r\n", OK_HI "250/2.1.0 501/5.1.3", 0},
	};
	struct rig *r = rig_new(NULL);
	dialogues(r, cases, COUNT_OF(cases));
	rig_free(&r);
}

/* <Postmaster> is for everybody where the administrator has said who that is. */
static void
test_postmaster(void **state)
{
	(void)state;
	static const char session[] = HI MAIL "RCPT TO:<PostMaster>\r\n" DATA TEXT DOT;
	struct rig *r = rig_new("postmaster = \"root@far.example\"\n");
	talk(r, STRANGER, SPAN(session), OK_DATA "250/2.0.0", "a stranger");
	assert_true(span_eq(r->got[0]->rcpt[0].address, SPAN("root@far.example")));
	talk(r, STRANGER, SPAN(HI MAIL "RCPT TO:<root@far.example>\r\n"),
	    OK_HI "250/2.1.0 550/5.7.1", "only by that name");
	rig_free(&r);

	r = rig_new(NULL);
	talk(r, STRANGER, SPAN(HI MAIL "RCPT TO:<Postmaster>\r\n"),
	    OK_HI "250/2.1.0 550/5.7.1", "nobody was named");
	talk(r, OWN, SPAN(session), OK_DATA "250/2.0.0", "ours");
	assert_true(span_eq(r->got[0]->rcpt[0].address, SPAN("postmaster@" HOST)));
	rig_free(&r);
}

static void
test_greeting(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	struct client c = call(r, OWN);
	assert_true(span_eq(buf_span(&c.heard), SPAN("220 " HOST " ESMTP relayd\r\n")));
	buf_reset(&c.heard);
	say(&c, HI);
	assert_true(span_eq(buf_span(&c.heard),
	    SPAN("250-" HOST "\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n"
		 "250-SMTPUTF8\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n"
		 "250-BINARYMIME\r\n250 LIMITS RCPTMAX=1000 MAILMAX=1000\r\n")));
	buf_reset(&c.heard);
	say(&c, "HELO x\r\n");
	assert_true(span_eq(buf_span(&c.heard), SPAN("250 " HOST "\r\n")));
	hang_up(&c);
	rig_free(&r);
}

/* ---- lines that are too long */

static void
test_long_lines(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	static const size_t lengths[] = {2049, 4096, 65536, 200000, 4u << 20};
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		struct client c = call(r, OWN);
		struct buf line = {0};
		buf_add_str(&line, "NOOP ");
		while (line.n < lengths[i])
			buf_add_char(&line, 'x');
		say_span(&c, buf_span(&line));
		say(&c, "\r\nNOOP\r\n");
		expect(&c, "220 500/5.5.2 250/2.0.0", "a long line");
		hang_up(&c);
		buf_clear(&line);
	}
	struct client c = call(r, OWN);
	struct buf line = {0};
	buf_add_str(&line, "NOOP ");
	while (line.n < 2048)
		buf_add_char(&line, 'x');
	buf_add_str(&line, "\r\n");
	say_span(&c, buf_span(&line));
	expect(&c, "220 250/2.0.0", "as long as may be");
	hang_up(&c);
	buf_clear(&line);
	rig_free(&r);
}

/* ---- smuggling (CVE-2023-51764) */

#define INNER                                                                  \
	"MAIL FROM:<evil@c.example>\r\nRCPT TO:<u@office.example>\r\nDATA\r\n" \
	"Subject: evil\r\n\r\nevil\r\n.\r\n"

static bool
is_clean(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		bool crlf = s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n';
		if (crlf)
			i++;
		else if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
			return false;
	}
	return true;
}

static void
smuggle(struct rig *r, const char *from, struct span end)
{
	struct buf send = {0}, mail = {0};
	char name[64] = "smuggling";
	for (size_t i = 0; i < end.n; i++)
		snprintf(
		    name + strlen(name), sizeof(name) - strlen(name), " %02x", end.p[i]);
	buf_add_str(&send, HI MAIL RCPT DATA HEAD "\r\nhello");
	buf_add_span(&send, end);
	buf_add_str(&send, INNER "NOOP\r\n");
	bool own = strcmp(from, OWN) == 0;
	bool nul = memchr(end.p, '\0', end.n) != NULL;
	size_t stored = talk(r, from, buf_span(&send),
	    own && !nul ? OK_DATA "250/2.0.0 250/2.0.0" : OK_DATA "554/5.6.0 250/2.0.0",
	    name);
	assert_int_equal(stored, own && !nul ? 1 : 0);
	if (stored == 1) {
		whole(r->got[r->got_n - 1], &mail);
		assert_true(is_clean(buf_span(&mail)));
		assert_true(has(buf_span(&mail), "MAIL FROM:<evil@c.example>"));
	}
	forget(r);
	buf_clear(&send);
	buf_clear(&mail);
}

static void
test_smuggling(void **state)
{
	(void)state;
	static const struct span parts[] = {
	    {"", 0},
	    {"\n", 1},
	    {"\r", 1},
	    {"\r\n", 2},
	    {"\r\r\n", 3},
	    {"\r\n\0", 3},
	    {"\0\r\n", 3},
	    {"\n\r", 2},
	    {"\n\n", 2},
	    {"\r\r", 2},
	    {"\0", 1},
	    {"\r\0\n", 3},
	    {"\n\0", 2},
	};
	struct rig *r = rig_new(NULL);
	unsigned tried = 0;
	for (size_t i = 0; i < COUNT_OF(parts); i++) {
		for (size_t k = 0; k < COUNT_OF(parts); k++) {
			struct buf end = {0};
			buf_add_span(&end, parts[i]);
			buf_add_char(&end, '.');
			buf_add_span(&end, parts[k]);
			struct span e = buf_span(&end);
			if (!is_clean(e) && memmem(e.p, e.n, "\r\n.\r\n", 5) == NULL) {
				smuggle(r, STRANGER, e);
				smuggle(r, OWN, e);
				tried++;
			}
			buf_clear(&end);
		}
	}
	assert_true(tried > 100);
	/* the control: a real end, and the inner message is one */
	assert_int_equal(
	    talk(r, STRANGER, SPAN(HI MAIL RCPT DATA TEXT DOT INNER),
		OK_DATA "250/2.0.0 250/2.1.0 250/2.1.5 354 250/2.0.0", "control"),
	    2);
	rig_free(&r);
}

/* A line that somebody might cut: its tail is never a command. */
static void
test_cut_lines(void **state)
{
	(void)state;
	static const size_t around[] = {512, 998, 1000, 1024, 2048, 4096, 8192, 65536};
	struct rig *r = rig_new(NULL);
	for (size_t i = 0; i < COUNT_OF(around); i++) {
		for (size_t n = around[i] - 2; n <= around[i] + 2; n++) {
			struct buf send = {0};
			buf_add_str(&send, HI MAIL RCPT DATA);
			for (size_t k = 0; k < n; k++)
				buf_add_char(&send, 'a');
			buf_add_str(&send, ".\r\n" MAIL "\r\n.\r\n");
			talk(r, STRANGER, buf_span(&send),
			    n + 1 <= 998 ? OK_DATA "250/2.0.0" : OK_DATA "554/5.6.0",
			    "cut");
			forget(r);
			buf_clear(&send);
		}
	}
	rig_free(&r);
}

/* ---- any split gives the same */

#define SESSION                                                                          \
	HI MAIL RCPT "RCPT TO:<v@office.example>\r\n" DATA HEAD                          \
		     "\r\n..dot\r\n.\r\r\n.\r\n" MAIL RCPT                               \
		     "BDAT 8\r\na: b\r\n\r\nBDAT 5\r\nQUIT\r"                            \
		     "BDAT 1 LAST\r\n\nBDAT 2\r\n\r\nRSET\r\nNOOP\rx\r\n" MAIL RCPT DATA \
			 TEXT DOT QUIT

static void
test_splits(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	char want[2000], got[2000];
	struct buf first = {0};
	for (size_t step = sizeof(SESSION); step > 0; step = step > 64  ? 64
							     : step > 7 ? 7
							     : step > 3 ? 3
							     : step > 1 ? 1
									: 0) {
		struct client c = call(r, OWN);
		struct span all = SPAN(SESSION);
		for (size_t i = 0; i < all.n; i += step)
			say_span(&c, span_cut(all, i, step));
		if (first.n == 0) {
			digest(&c, want);
			assert_true(has(span_str(want), "221/2.0.0"));
		} else {
			assert_string_equal(digest(&c, got), want);
		}
		hang_up(&c);
		assert_int_equal(r->got_n, 3);
		struct buf contents = {0};
		for (size_t i = 0; i < r->got_n; i++) {
			r->got[i]->prefix.n = 0; /* dates and ids differ */
			whole(r->got[i], &contents);
		}
		if (first.n == 0)
			buf_add_span(&first, buf_span(&contents));
		assert_true(span_eq(buf_span(&first), buf_span(&contents)));
		buf_clear(&contents);
		forget(r);
	}
	buf_clear(&first);
	rig_free(&r);
}

/* ---- the client vanishes */

/* deaf: it has not even read its replies, which resets the connection. */
static void
vanish(struct rig *r, struct span session, bool deaf)
{
	for (size_t n = 0; n <= session.n; n++) {
		struct client c = call(r, OWN);
		if (deaf)
			assert_int_equal(send(c.fd, session.p, n, 0), (ssize_t)n);
		else
			say_span(&c, span_cut(session, 0, n));
		run(r);
		hang_up(&c);
		if (r->got_n != (n == session.n ? 1 : 0))
			fail_msg(
			    "vanished at %zu of %zu: %zu stored", n, session.n, r->got_n);
		forget(r);
		assert_int_equal(ingress_sessions(r->in), 0);
		assert_int_equal(census_total(r->census), 0);
		assert_int_equal(atomic_load(&r->budget.used), 0);
	}
}

static void
count_message(struct spool_reader *reader, void *arg)
{
	struct spool_stat st;
	assert_int_equal(spool_read_stat(reader, &st), OK);
	*(uint64_t *)arg = st.messages;
}

static void
nothing(void *arg)
{
	(void)arg;
}

static void
test_vanish(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	struct span data = SPAN(HI MAIL RCPT DATA TEXT DOT);
	vanish(r, data, false);
	vanish(r, data, true);
	struct span bdat = SPAN(HI MAIL RCPT "BDAT 5\r\nhelloBDAT 2 LAST\r\n\r\n");
	vanish(r, bdat, false);
	vanish(r, bdat, true);
	uint64_t messages = 99;
	spool_query_start(
	    r->spool, count_message, nothing, NULL, &messages, loop_inbox(r->loop));
	run(r);
	assert_int_equal(messages, 4);

	/* a large one: part of it is in a file already */
	struct client c = call(r, OWN);
	struct buf line = {0};
	buf_add_str(&line, LONG900 "\r\n");
	say(&c, HI MAIL RCPT DATA);
	for (unsigned i = 0; i < 300; i++)
		say_span(&c, buf_span(&line));
	expect(&c, OK_DATA, "large");
	hang_up(&c);
	assert_int_equal(r->got_n, 0);
	buf_clear(&line);
	rig_free(&r);
}

/* Without a turn of the loop between the final dot and the end. */
static void
test_vanish_at_dot(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	struct client c = call(r, OWN);
	struct span all = SPAN(HI MAIL RCPT DATA TEXT DOT);
	assert_int_equal(send(c.fd, all.p, all.n, 0), (ssize_t)all.n);
	hang_up(&c);
	assert_int_equal(ingress_sessions(r->in), 0);
	forget(r);
	rig_free(&r);
}

static void
test_half_closed(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	struct client c = call(r, OWN);
	struct span all = SPAN(HI MAIL RCPT DATA TEXT DOT "NOOP\r\n");
	assert_int_equal(send(c.fd, all.p, all.n, 0), (ssize_t)all.n);
	shutdown(c.fd, SHUT_WR);
	hear(&c);
	expect(&c, OK_DATA "250/2.0.0 250/2.0.0 .", "half closed");
	assert_int_equal(r->got_n, 1);
	hang_up(&c);
	rig_free(&r);
}

/* ---- limits, at the bound and one over */

static void
test_recipients(void **state)
{
	(void)state;
	struct rig *r = rig_new("limits { recipients = 3 }\n");
	static const struct dialogue cases[] = {
	    {"three", OWN,
		HI MAIL "RCPT TO:<a@far.example>\r\nRCPT TO:<b@far.example>\r\n"
			"RCPT TO:<c@far.example>\r\n" DATA TEXT DOT,
		OK_HI "250/2.1.0 250/2.1.5 250/2.1.5 250/2.1.5 354 250/2.0.0", 1},
	    {"four: the surplus only, and doubles are none", OWN,
		HI MAIL
		"RCPT TO:<a@far.example>\r\nRCPT TO:<b@far.example>\r\n"
		"RCPT TO:<c@far.example>\r\nRCPT TO:<d@far.example>\r\n"
		"RCPT TO:<c@FAR.example>\r\nRCPT TO:<\"a\"@far.example>\r\n" DATA TEXT
		    DOT,
		OK_HI "250/2.1.0 250/2.1.5 250/2.1.5 250/2.1.5 452/4.5.3 250/2.1.5 "
		      "250/2.1.5 354 "
		      "250/2.0.0",
		1},
	};
	dialogues(r, cases, COUNT_OF(cases));
	talk(r, OWN,
	    SPAN(HI MAIL RCPT RCPT
		"RCPT TO:<x@held.example> NOTIFY=NEVER\r\n" DATA TEXT DOT),
	    OK_HI "250/2.1.0 250/2.1.5 250/2.1.5 250/2.1.5 354 250/2.0.0", "twice");
	assert_int_equal(r->got_n, 1);
	const struct message *m = r->got[0];
	assert_int_equal(m->rcpts, 2);
	assert_true(span_eq(m->rcpt[0].dest, SPAN("via:office")));
	assert_int_equal(m->rcpt[0].state, RECIPIENT_WAITING);
	assert_true(span_eq(m->rcpt[1].dest, SPAN("hold:held")));
	assert_int_equal(m->rcpt[1].state, RECIPIENT_HELD);
	assert_int_equal(m->rcpt[1].notify, NOTIFY_NEVER);
	rig_free(&r);
}

static void
test_many_recipients(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	struct client c = call(r, OWN);
	struct buf send = {0};
	char got[2000];
	say(&c, HI MAIL);
	digest(&c, got);
	for (unsigned i = 0; i < 1001; i++)
		buf_addf(&send, "RCPT TO:<u%u@far.example>\r\n", i);
	say_span(&c, buf_span(&send));
	struct span heard = buf_span(&c.heard);
	assert_true(has(heard, "452 4.5.3"));
	assert_int_equal(heard.n, 1000 * strlen("250 2.1.5 Ok\r\n") +
				      strlen("452 4.5.3 Too many recipients\r\n"));
	buf_reset(&c.heard);
	say(&c, DATA TEXT DOT);
	expect(&c, "354 250/2.0.0", "1000 recipients");
	assert_int_equal(r->got[0]->rcpts, 1000);
	hang_up(&c);
	buf_clear(&send);
	rig_free(&r);
}

static void
test_messages(void **state)
{
	(void)state;
	struct rig *r = rig_new("limits { messages = 2 }\n");
	talk(r, OWN, SPAN(HI MAIL RCPT DATA TEXT DOT MAIL RCPT DATA TEXT DOT MAIL RCPT),
	    OK_DATA "250/2.0.0 250/2.1.0 250/2.1.5 354 250/2.0.0 421/4.7.0 .", "three");
	assert_int_equal(r->got_n, 2);
	rig_free(&r);
}

static void
test_errors(void **state)
{
	(void)state;
	struct rig *r = rig_new("limits { errors = 3 }\n");
	talk(r, OWN, SPAN(HI "X\r\nDATA\r\nNOOP\r\nX\r\nNOOP\r\n"),
	    OK_HI "500/5.5.2 503/5.5.1 250/2.0.0 500/5.5.2 421/4.7.0 .", "three errors");
	/* Policy's refusals count for strangers, not for our own (there is none to be had
	 * here: a recipient limit is temporary and counts for nobody). */
	talk(r, STRANGER,
	    SPAN(HI MAIL "RCPT TO:<a@far.example>\r\nRCPT TO:<a@far.example>\r\n"
			 "RCPT TO:<a@far.example>\r\nNOOP\r\n"),
	    OK_HI "250/2.1.0 550/5.7.1 550/5.7.1 550/5.7.1 421/4.7.0 .",
	    "three strangers");
	/* so does a message that is refused */
	talk(r, STRANGER, SPAN(HI "X\r\nX\r\n" MAIL RCPT DATA "a\nb\r\n" DOT "NOOP\r\n"),
	    OK_HI "500/5.5.2 500/5.5.2 250/2.1.0 250/2.1.5 354 554/5.6.0 421/4.7.0 .",
	    "a message");
	/* and a spoiled chunk */
	talk(r, STRANGER, SPAN(HI "X\r\nX\r\n" MAIL RCPT "BDAT 3 LAST\r\na\nbNOOP\r\n"),
	    OK_HI "500/5.5.2 500/5.5.2 250/2.1.0 250/2.1.5 554/5.6.0 421/4.7.0 .",
	    "a chunk");
	rig_free(&r);
}

/* Commands that move nothing on are free for a while. */
static void
test_idle_commands(void **state)
{
	(void)state;
	struct rig *r = rig_new("limits { errors = 3 }\n");
	struct client c = call(r, OWN);
	struct buf send = {0};
	for (unsigned i = 0; i < 2000; i++)
		buf_add_str(&send, "NOOP\r\n");
	say_span(&c, buf_span(&send));
	assert_true(c.closed);
	assert_true(has(buf_span(&c.heard), "421 4.7.0"));
	size_t taken = 0;
	struct scan all = scan_over(buf_span(&c.heard));
	for (struct span l; scan_until(&all, '\n', &l);)
		taken += span_starts(l, SPAN("250 ")) ? 1 : 0;
	assert_int_equal(taken, 103);
	hang_up(&c);
	buf_clear(&send);
	rig_free(&r);
}

static void
test_census_limits(void **state)
{
	(void)state;
	struct rig *r = rig_new("limits { connections = 3  client-connections = 2 }\n");
	struct client a = call(r, OWN), b = call(r, OWN), c = call(r, OWN);
	expect(&a, "220", "first");
	expect(&b, "220", "second");
	expect(&c, "421/4.7.0 .", "third of one client");
	struct client d = call(r, STRANGER), e = call(r, "203.0.113.1");
	expect(&d, "220", "another client");
	expect(&e, "421/4.7.0 .", "too many in all");
	hang_up(&a);
	struct client f = call(r, OWN);
	expect(&f, "220", "room again");
	assert_int_equal(ingress_sessions(r->in), 3);
	assert_int_equal(atomic_load(&r->counters.turned_away), 2);
	assert_int_equal(atomic_load(&r->counters.connections), 4);
	assert_true(has(buf_span(&r->lines), " turned-away "));
	hang_up(&b), hang_up(&c), hang_up(&d), hang_up(&e), hang_up(&f);
	rig_free(&r);
}

static size_t
send_sized(struct rig *r, bool chunk, size_t n, const char *want)
{
	struct buf send = {0};
	buf_add_str(&send, HI MAIL RCPT);
	if (chunk)
		buf_addf(&send, "BDAT 10\r\na: 567\r\n\r\nBDAT %zu LAST\r\n", n - 10);
	else
		buf_add_str(&send, DATA "a: 567\r\n\r\n");
	size_t left = n - 10;
	for (; left > 100; left -= 100)
		buf_addf(&send, "%098d\r\n", 0);
	for (; left > 2; left--)
		buf_add_char(&send, 'x');
	buf_add_str(&send, chunk ? "\r\nNOOP\r\n" : "\r\n" DOT "NOOP\r\n");
	size_t stored = talk(r, STRANGER, buf_span(&send), want, "a size");
	buf_clear(&send);
	return stored;
}

static void
test_sizes(void **state)
{
	(void)state;
	struct rig *r = rig_new("limits { message-size = \"100K\" }\n");
	assert_int_equal(send_sized(r, false, 102400, OK_DATA "250/2.0.0 250/2.0.0"), 1);
	assert_int_equal(r->got[0]->size, 102400);
	assert_int_not_equal(r->got[0]->file, 0);
	assert_int_equal(send_sized(r, false, 102401, OK_DATA "552/5.3.4 250/2.0.0"), 0);
	assert_int_equal(send_sized(r, false, 2000000, OK_DATA "552/5.3.4 250/2.0.0"), 0);
	assert_int_equal(
	    send_sized(r, true, 102400, OK_RCPT "250/2.0.0 250/2.0.0 250/2.0.0"), 1);
	assert_int_equal(
	    send_sized(r, true, 102401, OK_RCPT "250/2.0.0 552/5.3.4 250/2.0.0"), 0);
	assert_int_equal(
	    send_sized(r, true, 2000000, OK_RCPT "250/2.0.0 552/5.3.4 250/2.0.0"), 0);
	rig_free(&r);
}

static size_t
send_header(struct rig *r, unsigned n, const char *field, const char *want)
{
	struct buf send = {0};
	buf_add_str(&send, HI MAIL RCPT DATA);
	for (unsigned i = 0; i < n; i++)
		buf_addf(&send, "%s\r\n", field);
	buf_add_str(&send, "\r\n" DOT);
	size_t stored = talk(r, OWN, buf_span(&send), want, field);
	forget(r);
	buf_clear(&send);
	return stored;
}

static void
test_headers(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	static const char hop[] =
	    "Received: from a by b.example; Mon, 23 Nov 2026 11:39:00 +0000";
	static const char ours[] = "Received: from a\r\n\tby " HOST
				   " with SMTP; Mon, 23 Nov 2026 11:39:00 +0000";
	assert_int_equal(send_header(r, 50, hop, OK_DATA "250/2.0.0"), 1);
	assert_int_equal(send_header(r, 51, hop, OK_DATA "554/5.4.6"), 0);
	assert_int_equal(send_header(r, 5, ours, OK_DATA "250/2.0.0"), 1);
	assert_int_equal(send_header(r, 6, ours, OK_DATA "554/5.4.6"), 0);
	assert_int_equal(
	    send_header(r, HEADER_FIELD_MAX, "a: b", OK_DATA "250/2.0.0"), 1);
	assert_int_equal(
	    send_header(r, HEADER_FIELD_MAX + 1, "a: b", OK_DATA "554/5.6.0"), 0);
	assert_int_equal(send_header(r, 290, "a: " LONG900, OK_DATA "552/5.3.4"), 0);
	assert_int_equal(send_header(r, 289, "a: " LONG900, OK_DATA "250/2.0.0"), 1);
	assert_int_equal(
	    send_header(r, 1, "Return-Path: <x@y.example>", OK_DATA "250/2.0.0"), 1);
	rig_free(&r);
}

/* ---- the spool has no room */

static void
test_spool_full(void **state)
{
	(void)state;
	struct rig *r = rig_new_with(NULL, 200 << 10, 0);
	talk(r, OWN, SPAN(HI "MAIL FROM:<> SIZE=1000000\r\n"), OK_HI "452/4.3.1",
	    "declared");
	send_sized(r, false, 1000000, OK_DATA "452/4.3.1 250/2.0.0");
	talk(r, OWN, SPAN(HI MAIL RCPT "BDAT 1000000\r\n"), OK_RCPT, "a chunk");
	assert_int_equal(r->got_n, 0);
	rig_free(&r);
}

/* ---- time */

static void
test_timeouts(void **state)
{
	(void)state;
	struct rig *r = rig_new("timeouts { command = \"5m\" }\n");
	struct client c = call(r, OWN), d = call(r, OWN);
	say(&d, HI MAIL RCPT DATA "a: b\r\n");
	pass(r, 3 * MINUTE_MS - 1);
	hear(&d);
	expect(&d, OK_DATA, "not yet");
	pass(r, 1);
	hear(&d);
	expect(&d, "421/4.4.2 .", "data");
	pass(r, 2 * MINUTE_MS - 1);
	say(&c, "NO"); /* half a command is none */
	expect(&c, "220", "not yet");
	pass(r, 1);
	hear(&c);
	expect(&c, "421/4.4.2 .", "command");
	hang_up(&c);
	hang_up(&d);

	/* one octet at a time: alive, but for an hour only */
	struct client e = call(r, OWN);
	say(&e, HI MAIL RCPT DATA);
	for (unsigned i = 0; i < 30 && !e.closed; i++) {
		pass(r, 2 * MINUTE_MS);
		say(&e, "x");
	}
	assert_false(e.closed);
	pass(r, 2 * MINUTE_MS);
	say(&e, "x");
	expect(&e, OK_DATA "421/4.4.2 .", "drip");
	hang_up(&e);
	assert_int_equal(r->got_n, 0);
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_greeting),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_postmaster),
	    cmocka_unit_test(test_dialogues),
	    cmocka_unit_test(test_long_lines),
	    cmocka_unit_test(test_smuggling),
	    cmocka_unit_test(test_cut_lines),
	    cmocka_unit_test(test_splits),
	    cmocka_unit_test(test_vanish),
	    cmocka_unit_test(test_vanish_at_dot),
	    cmocka_unit_test(test_half_closed),
	    cmocka_unit_test(test_recipients),
	    cmocka_unit_test(test_many_recipients),
	    cmocka_unit_test(test_messages),
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_idle_commands),
	    cmocka_unit_test(test_census_limits),
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_headers),
	    cmocka_unit_test(test_spool_full),
	    cmocka_unit_test(test_timeouts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
