/* SPDX-License-Identifier: ISC */
/* The pure parts of the ingress: commands and parameters, line ends of chunks, census,
 * recipients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "relay/ingress/command.h"
#include "relay/ingress/crlf.h"
#include "relay/ingress/ingress.h"
#include "relay/ingress/opening.h"
#include "relay/ingress/transaction.h"

/* ---- the verb */

static void
test_split(void **state)
{
	(void)state;
	static const struct {
		const char *line, *verb, *args;
	} cases[] = {
	    {"NOOP", "NOOP", ""},
	    {"noop  x y  ", "noop", "x y"},
	    {"MAIL FROM:<a@b>", "MAIL", "FROM:<a@b>"},
	    {"  QUIT\t", "QUIT", ""},
	    {"", NULL, NULL},
	    {"<a", NULL, NULL},
	    {"MAIL:x", NULL, NULL},
	    {"QUIT\xc3\xa4", NULL, NULL},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct span verb, args;
		bool ok = command_split(span_str(cases[i].line), &verb, &args);
		assert_int_equal(ok, cases[i].verb != NULL);
		if (!ok)
			continue;
		assert_true(span_eq(verb, span_str(cases[i].verb)));
		assert_true(span_eq(args, span_str(cases[i].args)));
	}
}

/* ---- MAIL */

#define X10 "xxxxxxxxxx"
#define X50 X10 X10 X10 X10 X10
#define X100 X50 X50
#define X480 X100 X100 X100 X100 X10 X10 X10 X10 X10 X10 X10 X10

static void
test_mail(void **state)
{
	(void)state;
	static const struct {
		const char *args, *answer, *sender;
	} cases[] = {
	    {"FROM:<a@b.example>", "", "a@b.example"},
	    {"from:<a@b.example>", "", "a@b.example"},
	    {"FROM: <a@b.example>", "", "a@b.example"},
	    {"FROM:<>", "", ""},
	    {"FROM:<\"a b\"@b.example>", "", "\"a b\"@b.example"},
	    {"FROM:<a@[192.0.2.1]>", "", "a@[192.0.2.1]"},
	    {"FROM:<a@[IPv6:2001:db8::1]>", "", "a@[IPv6:2001:db8::1]"},
	    {"FROM:<;touch /tmp/canary;>", "501 5.1.7", NULL},
	    {"FROM:<a@b.example.>", "501 5.1.7", NULL},
	    {"FROM:<a@b.example", "501 5.1.7", NULL},
	    {"FROM:a@b.example", "501 5.1.7", NULL},
	    {"FROM:<a@b.example>x", "501 5.1.7", NULL},
	    {"FROM:<a@b.example>SIZE=1", "501 5.1.7", NULL},
	    {"FROM:", "501 5.1.7", NULL},
	    {"", "501 5.5.4", NULL},
	    {"TO:<a@b.example>", "501 5.5.4", NULL},
	    {"FROM <a@b.example>", "501 5.5.4", NULL},
	    /* SIZE */
	    {"FROM:<a@b.example> SIZE=0", "", "a@b.example"},
	    {"FROM:<a@b.example> size=1000", "", "a@b.example"},
	    {"FROM:<a@b.example>  SIZE=1000  BODY=7BIT", "", "a@b.example"},
	    {"FROM:<> SIZE=00000000000000000001", "", ""},
	    {"FROM:<> SIZE=000000000000000000001", "501 5.5.4", NULL},
	    {"FROM:<> SIZE=", "501 5.5.4", NULL},
	    {"FROM:<> SIZE", "501 5.5.4", NULL},
	    {"FROM:<> SIZE=-1", "501 5.5.4", NULL},
	    {"FROM:<> SIZE=+1", "501 5.5.4", NULL},
	    {"FROM:<> SIZE=abc", "501 5.5.4", NULL},
	    {"FROM:<> SIZE=1x", "501 5.5.4", NULL},
	    {"FROM:<> SIZE=9223372036854775808", "552 5.3.4", NULL},
	    {"FROM:<> SIZE=18446744073709551616", "552 5.3.4", NULL},
	    {"FROM:<> SIZE=18446744073709551617", "552 5.3.4", NULL},
	    {"FROM:<> SIZE=99999999999999999999999999", "501 5.5.4", NULL},
	    {"FROM:<> SIZE=1 SIZE=1", "501 5.5.4", NULL},
	    {"FROM:<> SIZE=1 size=2", "501 5.5.4", NULL},
	    /* BODY */
	    {"FROM:<> BODY=7BIT", "", ""},
	    {"FROM:<> BODY=8bitmime", "", ""},
	    {"FROM:<> BODY=BINARYMIME", "", ""},
	    {"FROM:<> BODY=9BIT", "501 5.5.4", NULL},
	    {"FROM:<> BODY=", "501 5.5.4", NULL},
	    {"FROM:<> BODY", "501 5.5.4", NULL},
	    {"FROM:<> BODY=7BIT BODY=7BIT", "501 5.5.4", NULL},
	    /* SMTPUTF8 */
	    {"FROM:<> SMTPUTF8", "", ""},
	    {"FROM:<\xc3\xa4@b.example> SMTPUTF8", "", "\xc3\xa4@b.example"},
	    {"FROM:<\xc3\xa4@b.example>", "553 5.6.7", NULL},
	    {"FROM:<a@\xc3\xa4.example>", "553 5.6.7", NULL},
	    {"FROM:<> SMTPUTF8=1", "501 5.5.4", NULL},
	    {"FROM:<> SMTPUTF8=", "501 5.5.4", NULL},
	    {"FROM:<> SMTPUTF8 SMTPUTF8", "501 5.5.4", NULL},
	    /* RET, ENVID */
	    {"FROM:<> RET=FULL", "", ""},
	    {"FROM:<> RET=hdrs ENVID=abc", "", ""},
	    {"FROM:<> RET=BOTH", "501 5.5.4", NULL},
	    {"FROM:<> RET=FULL RET=HDRS", "501 5.5.4", NULL},
	    {"FROM:<> ENVID=a+20b", "", ""},
	    {"FROM:<> ENVID=", "501 5.5.4", NULL},
	    {"FROM:<> ENVID=a+0D+0AX-Inj:", "501 5.5.4", NULL},
	    {"FROM:<> ENVID=a+2", "501 5.5.4", NULL},
	    {"FROM:<> ENVID=a=b", "501 5.5.4", NULL},
	    {"FROM:<> ENVID=\xc3\xa4", "501 5.5.4", NULL},
	    {"FROM:<> ENVID=" X100, "", ""},
	    {"FROM:<> ENVID=" X100 "x", "501 5.5.4", NULL},
	    /* not ours */
	    {"FROM:<> AUTH=<>", "", ""},
	    {"FROM:<> AUTH=a+2Bb@c", "", ""},
	    {"FROM:<> AUTH=a+0Ab", "501 5.5.4", NULL},
	    {"FROM:<> AUTH=", "501 5.5.4", NULL},
	    {"FROM:<> AUTH", "501 5.5.4", NULL},
	    {"FROM:<> AUTH=<> AUTH=<>", "501 5.5.4", NULL},
	    {"FROM:<> NOTIFY=NEVER", "555 5.5.4", NULL},
	    {"FROM:<> SIZ=1", "555 5.5.4", NULL},
	    {"FROM:<> =1", "555 5.5.4", NULL},
	    {"FROM:<> <b@c.example>", "555 5.5.4", NULL},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct mail_command c;
		struct verdict why = {0};
		bool ok = command_mail(span_str(cases[i].args), &c, &why);
		char got[32] = "", status[16];
		if (!ok) {
			verdict_status(&why, status);
			snprintf(got, sizeof(got), "%u %s", why.code, status);
		}
		if (strcmp(got, cases[i].answer) != 0)
			print_error("MAIL %s\n", cases[i].args);
		assert_string_equal(got, cases[i].answer);
		if (ok)
			assert_true(span_eq(c.sender.text, span_str(cases[i].sender)));
	}
}

static void
test_mail_values(void **state)
{
	(void)state;
	struct mail_command c;
	struct verdict why;
	assert_true(command_mail(SPAN("FROM:<a@b.example> RET=HDRS SIZE=4711 SMTPUTF8 "
				      "ENVID=Q+41 BODY=BINARYMIME"),
	    &c, &why));
	assert_int_equal(c.size, 4711);
	assert_true(c.binary && c.smtputf8 && !c.eight_bit);
	assert_int_equal(c.ret, MESSAGE_RET_HDRS);
	assert_true(span_eq(c.envid, SPAN("Q+41")));
	assert_true(command_mail(SPAN("FROM:<> BODY=8BITMIME RET=FULL"), &c, &why));
	assert_true(c.eight_bit && !c.binary && c.size == 0 && c.envid.n == 0);
	assert_int_equal(c.ret, MESSAGE_RET_FULL);
}

/* ---- RCPT */

static void
test_rcpt(void **state)
{
	(void)state;
	static const struct {
		const char *args, *answer;
		bool utf8;
		unsigned notify;
	} cases[] = {
	    {"TO:<a@b.example>", "", false, 0},
	    {"to: <a@b.example>", "", false, 0},
	    {"TO:<Postmaster>", "", false, 0},
	    {"TO:<postmaster>", "", false, 0},
	    {"TO:<>", "501 5.1.3", false, 0},
	    {"TO:<a>", "501 5.1.3", false, 0},
	    {"TO:<a@b@c.example>", "501 5.1.3", false, 0},
	    {"TO:<a@b.example> <c@d.example>", "555 5.5.4", false, 0},
	    {"TO:<a@b.example>,<c@d.example>", "501 5.1.3", false, 0},
	    {"TO:", "501 5.1.3", false, 0},
	    {"FROM:<a@b.example>", "501 5.5.4", false, 0},
	    {"TO:<" X50 X10 "xxxx@b.example>", "", false, 0},
	    {"TO:<" X50 X10 "xxxxx@b.example>", "501 5.1.3", false, 0},
	    {"TO:<\xc3\xa4@b.example>", "", true, 0},
	    {"TO:<\xc3\xa4@b.example>", "553 5.6.7", false, 0},
	    /* NOTIFY */
	    {"TO:<a@b.example> NOTIFY=NEVER", "", false, NOTIFY_NEVER},
	    {"TO:<a@b.example> notify=success,Delay", "", false,
		NOTIFY_SUCCESS | NOTIFY_DELAY},
	    {"TO:<a@b.example> NOTIFY=SUCCESS,FAILURE,DELAY", "", false,
		NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY},
	    {"TO:<a@b.example> NOTIFY=NEVER,FAILURE", "501 5.5.4", false, 0},
	    {"TO:<a@b.example> NOTIFY=FAILURE,NEVER", "501 5.5.4", false, 0},
	    {"TO:<a@b.example> NOTIFY=FAILURE,", "501 5.5.4", false, 0},
	    {"TO:<a@b.example> NOTIFY=,FAILURE", "501 5.5.4", false, 0},
	    {"TO:<a@b.example> NOTIFY=", "501 5.5.4", false, 0},
	    {"TO:<a@b.example> NOTIFY", "501 5.5.4", false, 0},
	    {"TO:<a@b.example> NOTIFY=SOON", "501 5.5.4", false, 0},
	    {"TO:<a@b.example> NOTIFY=DELAY NOTIFY=DELAY", "501 5.5.4", false, 0},
	    /* ORCPT */
	    {"TO:<a@b.example> ORCPT=rfc822;x@y.example", "", false, 0},
	    {"TO:<a@b.example> ORCPT=x400;abc+2Bd NOTIFY=DELAY", "", false, NOTIFY_DELAY},
	    {"TO:<a@b.example> ORCPT=rfc822;a+0Ab", "501 5.5.4", false, 0},
	    {"TO:<a@b.example> ORCPT=rfc822;", "501 5.5.4", false, 0},
	    {"TO:<a@b.example> ORCPT=;a", "501 5.5.4", false, 0},
	    {"TO:<a@b.example> ORCPT=rfc822", "501 5.5.4", false, 0},
	    {"TO:<a@b.example> ORCPT=", "501 5.5.4", false, 0},
	    {"TO:<a@b.example> ORCPT=rfc822;" X480 "xxxxxxxxxxxxx", "", false, 0},
	    {"TO:<a@b.example> ORCPT=rfc822;" X480 "xxxxxxxxxxxxxx", "501 5.5.4", false,
		0},
	    {"TO:<a@b.example> ORCPT=utf-8;\xc3\xa4@x.example", "", true, 0},
	    {"TO:<a@b.example> ORCPT=utf-8;\\x{E4}@x.example", "", false, 0},
	    {"TO:<a@b.example> ORCPT=utf-8;\xc3\xa4@x.example", "501 5.5.4", false, 0},
	    {"TO:<a@b.example> ORCPT=rfc822;\xc3\xa4@x.example", "501 5.5.4", true, 0},
	    {"TO:<a@b.example> ORCPT=utf-8;\xc3\xa4+0A@x.example", "501 5.5.4", true, 0},
	    /* not ours */
	    {"TO:<a@b.example> SIZE=1", "555 5.5.4", false, 0},
	    {"TO:<a@b.example> RRVS=2014-04-03T23:01:00Z", "555 5.5.4", false, 0},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct rcpt_command c;
		struct verdict why = {0};
		bool ok = command_rcpt(span_str(cases[i].args), cases[i].utf8, &c, &why);
		char got[32] = "", status[16];
		if (!ok) {
			verdict_status(&why, status);
			snprintf(got, sizeof(got), "%u %s", why.code, status);
		}
		if (strcmp(got, cases[i].answer) != 0)
			print_error("RCPT %s\n", cases[i].args);
		assert_string_equal(got, cases[i].answer);
		if (ok)
			assert_int_equal(c.notify, cases[i].notify);
	}
}

/* ---- BDAT */

static void
test_bdat(void **state)
{
	(void)state;
	static const struct {
		const char *args;
		bool ok, trusted, last;
		uint64_t size;
	} cases[] = {
	    {"0", true, true, false, 0},
	    {"17", true, true, false, 17},
	    {"0 LAST", true, true, true, 0},
	    {"5  last", true, true, true, 5},
	    {"2147483648", true, true, false, UINT64_C(1) << 31},
	    {"4294967296 LAST", true, true, true, UINT64_C(1) << 32},
	    {"5 LASTX", false, true, false, 5},
	    {"5 LAST LAST", false, true, false, 5},
	    {"5 6", false, true, false, 5},
	    {"", false, false, false, 0},
	    {"LAST", false, false, false, 0},
	    {"-1", false, false, false, 0},
	    {"+1", false, false, false, 0},
	    {"1x", false, false, false, 0},
	    {"0x10", false, false, false, 0},
	    {"9223372036854775808", false, false, false, 0},
	    {"18446744073709551615 LAST", false, false, false, 0},
	    {"18446744073709551616", false, false, false, 0},
	    {"99999999999999999999999999", false, false, false, 0},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct bdat_command c;
		struct verdict why = {0};
		bool ok = command_bdat(span_str(cases[i].args), &c, &why);
		assert_int_equal(ok, cases[i].ok);
		assert_int_equal(c.trusted, cases[i].trusted);
		assert_int_equal(c.last, cases[i].last);
		if (c.trusted)
			assert_int_equal(c.size, cases[i].size);
		if (!ok)
			assert_int_equal(why.code, 501);
	}
}

/* ---- line ends of chunks */

static void
collect(void *arg, struct span s)
{
	buf_add_span(arg, s);
}

static void
run_crlf(struct crlf *c, bool repair, struct span in, size_t step, struct buf *out)
{
	crlf_init(c, repair);
	for (size_t i = 0; i < in.n; i += step)
		crlf_take(c, span_cut(in, i, step), collect, out);
	crlf_end(c, collect, out);
}

static void
test_crlf(void **state)
{
	(void)state;
	static const struct {
		struct span in;
		const char *repaired;
		bool cr, lf;
		uint64_t longest;
	} cases[] = {
	    {{"", 0}, "", false, false, 0},
	    {{"a", 1}, "a", false, false, 1},
	    {{"ab\r\ncde\r\n", 9}, "ab\r\ncde\r\n", false, false, 3},
	    {{"ab\ncd", 5}, "ab\r\ncd", false, true, 5},
	    {{"ab\rcd", 5}, "ab\r\ncd", true, false, 5},
	    {{"ab\r", 3}, "ab\r\n", true, false, 3},
	    {{"\n", 1}, "\r\n", false, true, 1},
	    {{"\r\r\n", 3}, "\r\n\r\n", true, false, 1},
	    {{"\n\r\n.\r\n\r\n", 8}, "\r\n\r\n.\r\n\r\n", false, true, 1},
	    {{"\r\n\r", 3}, "\r\n\r\n", true, false, 1},
	    {{"a\r\r\nb\n\rc\r\n", 10}, "a\r\n\r\nb\r\n\r\nc\r\n", true, true, 4},
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		for (size_t step = 1; step <= 10; step++) {
			struct crlf c;
			struct buf out = {0};
			run_crlf(&c, true, cases[i].in, step, &out);
			assert_true(span_eq(buf_span(&out), span_str(cases[i].repaired)));
			buf_reset(&out);
			run_crlf(&c, false, cases[i].in, step, &out);
			assert_true(span_eq(buf_span(&out), cases[i].in));
			assert_int_equal(c.bare_cr, cases[i].cr);
			assert_int_equal(c.bare_lf, cases[i].lf);
			assert_int_equal(c.longest, cases[i].longest);
			assert_false(c.nul || c.eight_bit);
			buf_clear(&out);
		}
	}
	struct crlf c;
	struct buf out = {0};
	run_crlf(&c, false, (struct span){"a\0\xff", 3}, 2, &out);
	assert_true(c.nul && c.eight_bit);
	buf_clear(&out);
	assert_true(bytes_eight_bit(SPAN("0123456789abcdef\x80")));
	assert_true(bytes_eight_bit(SPAN("\x80"
					 "123456789abcdef")));
	assert_false(bytes_eight_bit(SPAN("0123456789abcdef\x7f")));
}

/* ---- census */

static struct net_addr
ip(const char *text)
{
	struct net_addr a;
	assert_int_equal(net_parse_ip(span_str(text), &a), OK);
	return a;
}

static void
test_census(void **state)
{
	(void)state;
	struct census *c = census_new(world_real());
	struct net_addr a = ip("192.0.2.1"), b = ip("192.0.2.2"), d = ip("192.0.2.3");
	assert_int_equal(census_enter(c, &a, 4, 2), CENSUS_OK);
	a.port = 4711; /* of no account */
	assert_int_equal(census_enter(c, &a, 4, 2), CENSUS_OK);
	assert_int_equal(census_enter(c, &a, 4, 2), CENSUS_CLIENT);
	assert_int_equal(census_enter(c, &b, 4, 2), CENSUS_OK);
	assert_int_equal(census_enter(c, &d, 4, 2), CENSUS_OK);
	assert_int_equal(census_enter(c, &b, 4, 2), CENSUS_TOTAL);
	assert_int_equal(census_total(c), 4);
	census_leave(c, &a);
	assert_int_equal(census_enter(c, &a, 4, 2), CENSUS_OK);
	census_leave(c, &a);
	census_leave(c, &a);
	census_leave(c, &b);
	assert_int_equal(census_total(c), 1);

	struct net_addr e = ip("2001:db8:1:2::1"), f = ip("2001:db8:1:2:ffff::2");
	struct net_addr g = ip("2001:db8:1:3::1");
	assert_int_equal(census_enter(c, &e, 9, 1), CENSUS_OK);
	assert_int_equal(census_enter(c, &f, 9, 1), CENSUS_CLIENT); /* the same /64 */
	assert_int_equal(census_enter(c, &g, 9, 1), CENSUS_OK);
	assert_int_equal(census_enter(c, &g, 9, 0), CENSUS_CLIENT);
	census_free(&c); /* with some still in it */
	assert_null(c);
}

/* ---- recipients */

static void
add(struct transaction *t, const char *text, bool there)
{
	struct address a;
	assert_int_equal(address_parse(span_str(text), &a), OK);
	if ((transaction_find(t, &a) != NULL) != there)
		print_error("recipient %s\n", text);
	assert_int_equal(transaction_find(t, &a) != NULL, there);
	if (!there)
		transaction_add(t, &(struct recipient){.address = a.text}, &a);
}

static void
test_recipients(void **state)
{
	(void)state;
	struct transaction *t = transaction_new(world_real());
	add(t, "a@b.example", false);
	add(t, "a@B.Example", true);
	add(t, "A@b.example", false);
	add(t, "\"a\"@b.example", true);
	add(t, "\"a b\"@b.example", false);
	for (unsigned i = 0; i < 5000; i++) {
		char text[64];
		snprintf(text, sizeof(text), "u%u@d%u.example", i, i % 7);
		add(t, text, false);
		snprintf(text, sizeof(text), "\"u%u\"@D%u.EXAMPLE", i / 2, i / 2 % 7);
		add(t, text, true);
	}
	add(t, "\"\\a\"@b.example", true);
	add(t, "\"a b\"@b.EXAMPLE", true);
	add(t, "\"a\\ b\"@b.example", true);
	assert_int_equal(t->message->rcpts, 5003);
	transaction_free(&t);
	assert_null(t);
}

/* What a route has added counts as nobody's, until the client names him. */
static void
test_copies(void **state)
{
	(void)state;
	struct transaction *t = transaction_new(world_real());
	struct route one = {0}, other = {0};
	assert_true(transaction_first_of_route(t, &one));
	assert_false(transaction_first_of_route(t, &one));
	assert_true(transaction_first_of_route(t, &other));
	assert_false(transaction_first_of_route(t, &other));
	assert_false(transaction_first_of_route(t, &one));
	struct address a;
	for (unsigned i = 0; i < 40; i++) {
		char text[64];
		snprintf(text, sizeof(text), "u%u@b.example", i);
		assert_int_equal(address_parse(span_str(text), &a), OK);
		struct recipient r = {.address = a.text, .notify = NOTIFY_NEVER};
		if (i % 2 == 0)
			transaction_add(t, &r, &a);
		else
			transaction_add_copy(t, &r, &a);
		struct recipient *there = transaction_find(t, &a);
		assert_non_null(there);
		assert_int_equal(there->index, i);
		assert_int_equal(transaction_is_copy(t, there), i % 2);
	}
	assert_int_equal(t->message->rcpts, 40);
	assert_int_equal(transaction_named(t), 20);
	for (unsigned i = 1; i < 40; i += 2) {
		struct recipient *r = &t->message->rcpt[i];
		transaction_name_copy(t, r,
		    &(struct recipient){.notify = NOTIFY_FAILURE,
			.orcpt = SPAN("rfc822;x@y"),
			.state = RECIPIENT_HELD});
		assert_false(transaction_is_copy(t, r));
		assert_int_equal(r->notify, NOTIFY_FAILURE);
		assert_int_equal(r->state, RECIPIENT_HELD);
		assert_true(span_eq(r->orcpt, SPAN("rfc822;x@y")));
		assert_int_equal(transaction_named(t), 20 + (i + 1) / 2);
	}
	transaction_free(&t);
}

/* ---- clients' certificates */

static void
test_certificate(void **state)
{
	(void)state;
	static char ca[] = "/etc/ca.pem", known[] = "ab12", other[] = "cd34";
	char *names[] = {known, other};
	struct config *c = NEW(struct config);
	struct listener_config l = {.certificate = CERTIFICATE_ASK};
	struct tls_info shown = {.certificate = true, .fingerprint = "AB12"};
	struct tls_info signed_ = {
	    .certificate = true, .verified = true, .fingerprint = "ee"};
	struct tls_info none = {.verified = true};
	assert_false(opening_certificate(c, &l, &shown));   /* nobody is named */
	assert_false(opening_certificate(c, &l, &signed_)); /* by whom? */
	c->tls.client_ca = ca;
	assert_false(opening_certificate(c, &l, &shown));
	assert_true(opening_certificate(c, &l, &signed_));
	assert_false(opening_certificate(c, &l, &none));
	c->tls.client_fingerprints = (struct name_list){names, 2};
	assert_true(opening_certificate(c, &l, &shown));
	c->tls.client_ca = NULL;
	assert_true(opening_certificate(c, &l, &shown));
	assert_false(opening_certificate(c, &l, &signed_));
	assert_false(opening_certificate(c, &l, &none));
	l.certificate = CERTIFICATE_NO;
	assert_false(opening_certificate(c, &l, &shown));
	assert_false(opening_certificate(c, NULL, &shown));
	mem_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_split),
	    cmocka_unit_test(test_mail),
	    cmocka_unit_test(test_mail_values),
	    cmocka_unit_test(test_rcpt),
	    cmocka_unit_test(test_bdat),
	    cmocka_unit_test(test_crlf),
	    cmocka_unit_test(test_census),
	    cmocka_unit_test(test_recipients),
	    cmocka_unit_test(test_copies),
	    cmocka_unit_test(test_certificate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
