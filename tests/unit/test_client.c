/* SPDX-License-Identifier: ISC */
/* The SMTP client against scripted next hops: what is said, in which order, and each
 * failure. */
#include <errno.h>

#include "tests/unit/client_rig.h"

#define PLAIN "250 mx.test\r\n"
#define ALL                                                                             \
	"250-mx.test\r\n250-PIPELINING\r\n250-size "                                    \
	"1000000\r\n250-8BITMIME\r\n250-DSN\r\n"                                        \
	"250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-STARTTLS\r\n" \
	"250 SMTPUTF8\r\n"

/* ---- happy ways */

static void
test_plain(void **state)
{
	struct rig *r = *state;
	rig_go(r);
	assert_int_equal(client_stage(r->client), STAGE_GREETING);
	rig_says(r, "220-mx.test\r\n220 ESMTP\r\n");
	rig_hears(r, "EHLO me.test\r\n");
	assert_int_equal(client_stage(r->client), STAGE_EHLO);
	rig_says(r, PLAIN);
	assert_int_equal(client_extensions(r->client), 0);
	assert_string_equal(client_peer(r->client), "mx.test[192.0.2.1]:25");
	rig_message(r, 2);
	rig_post(r);
	assert_int_equal(client_stage(r->client), STAGE_MAIL);
	rig_hears(r, "MAIL FROM:<a@me.test>\r\n");
	rig_says(r, "250 ok\r\n");
	assert_int_equal(client_stage(r->client), STAGE_RCPT);
	rig_hears(r, "RCPT TO:<r0@x.test>\r\n");
	rig_says(r, "250 ok\r\n");
	rig_hears(r, "RCPT TO:<r1@x.test>\r\n");
	rig_says(r, "251 will forward\r\n");
	assert_int_equal(client_stage(r->client), STAGE_DATA);
	rig_hears(r, "DATA\r\n");
	rig_says(r, "354 go\r\n");
	assert_int_equal(client_stage(r->client), STAGE_DOT);
	rig_hears(r, BODY ".\r\n");
	assert_int_equal(r->sent, 0);
	rig_says(r, "250 2.6.0 taken\r\n");
	assert_int_equal(r->sent, 1);
	assert_int_equal(client_messages(r->client), 1);
	rig_rcpt(r, 0, "250 2.6.0 taken");
	rig_rcpt(r, 1, "250 2.6.0 taken");
	client_quit(&r->client);
	assert_null(r->client);
	rig_hears(r, "QUIT\r\n");
}

static void
test_pipelining(void **state)
{
	struct rig *r = *state;
	rig_ready(r, PIPE);
	assert_int_equal(client_extensions(r->client), EXT_PIPELINING);
	rig_message(r, 3);
	rig_post(r);
	rig_hears(r,
	    "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nRCPT TO:<r1@x.test>\r\n"
	    "RCPT TO:<r2@x.test>\r\nDATA\r\n");
	rig_says(r, "250 ok\r\n250 ok\r\n450 4.2.1 later\r\n550 5.1.1 no\r\n354 go\r\n");
	rig_hears(r, BODY ".\r\n");
	rig_says(r, "250 taken\r\n");
	assert_int_equal(r->sent, 1);
	rig_rcpt(r, 0, "250 2.0.0 taken");
	rig_rcpt(r, 1, "450 4.2.1 later");
	rig_rcpt(r, 2, "550 5.1.1 no");
}

static void
test_extensions(void **state)
{
	struct rig *r = *state;
	rig_ready(r, ALL);
	assert_int_equal(client_extensions(r->client), 0x1ff);
	assert_int_equal(client_size_limit(r->client), 1000000);
	rig_message(r, 3);
	r->message.flags = MESSAGE_8BIT | MESSAGE_SMTPUTF8 | MESSAGE_RET_HDRS;
	r->message.envid = SPAN("QQ+3D1");
	r->message.sender = SPAN("\xc3\xa4@me.test");
	r->rcpt[0].notify = NOTIFY_SUCCESS | NOTIFY_DELAY;
	r->rcpt[0].orcpt = SPAN("rfc822;r0@x.test");
	r->rcpt[1].notify = NOTIFY_NEVER;
	r->rcpt[2].orcpt = SPAN("rfc822;evil\r\nRSET"); /* not passed on */
	rig_post(r);
	rig_hears(r,
	    "MAIL FROM:<\xc3\xa4@me.test> SIZE=35 BODY=8BITMIME SMTPUTF8 RET=HDRS "
	    "ENVID=QQ+3D1\r\n"
	    "RCPT TO:<r0@x.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;r0@x.test\r\n"
	    "RCPT TO:<r1@x.test> NOTIFY=NEVER\r\nRCPT TO:<r2@x.test>\r\nDATA\r\n");
	rig_says(r, "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	rig_hears(r, BODY ".\r\n");
	rig_says(r, "250 taken\r\n");
	assert_int_equal(r->sent, 1);
	assert_false(r->to[0].relayed); /* the next hop has DSN */
}

static void
test_size_words(void **state)
{
	struct rig *r = *state;
	rig_ready(
	    r, "250-mx\r\n250-SIZE 99999999999999999999999999\r\n250-\r\n250 - \r\n");
	assert_int_equal(client_extensions(r->client), EXT_SIZE);
	assert_int_equal(client_size_limit(r->client), 0);
}

static void
test_relayed(void **state)
{
	struct rig *r = *state;
	rig_ready(r, PIPE);
	rig_message(r, 3);
	r->message.sender = (struct span){0};
	r->rcpt[0].notify = NOTIFY_SUCCESS;
	r->rcpt[1].notify = NOTIFY_SUCCESS | NOTIFY_FAILURE;
	rig_post(r);
	rig_hears(r, "MAIL FROM:<>\r\nRCPT TO:<r0@x.test>\r\nRCPT TO:<r1@x.test>\r\n"
		     "RCPT TO:<r2@x.test>\r\nDATA\r\n");
	rig_says(r, "250 ok\r\n250 ok\r\n550 no\r\n252 perhaps\r\n354 go\r\n");
	rig_hears(r, BODY ".\r\n");
	rig_says(r, "250 taken\r\n");
	assert_true(r->to[0].relayed);
	assert_false(r->to[1].relayed);
	assert_false(r->to[2].relayed);
	rig_rcpt(r, 2, "250 2.0.0 taken");
}

static void
test_bdat(void **state)
{
	struct rig *r = *state;
	rig_ready(r, ALL);
	rig_message(r, 2);
	r->message.flags = MESSAGE_BINARY | MESSAGE_NO_CRLF;
	rig_content_is(r, "\r\n.\r\nbare \n and \r;\r\n..");
	rig_post(r);
	rig_hears(r,
	    "MAIL FROM:<a@me.test> SIZE=35 BODY=BINARYMIME\r\nRCPT TO:<r0@x.test>\r\n"
	    "RCPT TO:<r1@x.test>\r\n");
	rig_says(r, "250 ok\r\n550 no\r\n250 ok\r\n");
	rig_hears(r, "BDAT 35 LAST\r\nReceived: x\r\n\r\n.\r\nbare \n and \r;\r\n..");
	rig_says(r, "250 taken\r\n");
	assert_int_equal(r->sent, 1);
	rig_rcpt(r, 0, "550 5.0.0 no");
	rig_rcpt(r, 1, "250 2.0.0 taken");

	/* nobody accepted: no BDAT */
	rig_message(r, 1);
	rig_post(r);
	rig_hears(r,
	    "MAIL FROM:<a@me.test> SIZE=35 BODY=BINARYMIME\r\nRCPT TO:<r0@x.test>\r\n");
	rig_says(r, "250 ok\r\n550 no\r\n");
	assert_int_equal(r->sent, 2);
	rig_hears(r, "");
}

static void
test_helo(void **state)
{
	struct rig *r = *state;
	rig_go(r);
	rig_says(r, "220 old\r\n");
	rig_hears(r, "EHLO me.test\r\n");
	rig_says(r, "502 what?\r\n");
	rig_hears(r, "HELO me.test\r\n");
	rig_says(r, "250-old\r\n250 PIPELINING\r\n");
	assert_int_equal(r->ready, 1);
	assert_int_equal(client_extensions(r->client), 0);
}

static void
test_reuse(void **state)
{
	struct rig *r = *state;
	rig_ready(r, PLAIN);
	for (unsigned i = 1; i <= 3; i++) {
		rig_message(r, 1);
		rig_post(r);
		rig_hears(r, "MAIL FROM:<a@me.test>\r\n");
		rig_says(r, "250 ok\r\n");
		rig_hears(r, "RCPT TO:<r0@x.test>\r\n");
		rig_says(r, "250 ok\r\n");
		rig_hears(r, "DATA\r\n");
		rig_says(r, "354 go\r\n");
		rig_hears(r, BODY ".\r\n");
		rig_says(r, "250 taken\r\n");
		assert_int_equal(client_messages(r->client), i);
		rig_pass(r, HOUR_MS); /* no deadline while idle */
	}
	assert_int_equal(r->sent, 3);
	assert_int_equal(r->lost, 0);
}

/* After a transaction that the peer may still hold, RSET leads the next one. */
static void
test_reset(void **state)
{
	struct rig *r = *state;
	rig_ready(r, PIPE);
	rig_message(r, 1);
	rig_post(r);
	rig_hears(r, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nDATA\r\n");
	rig_says(r, "250 ok\r\n550 no\r\n554 nobody\r\n");
	assert_int_equal(r->sent, 1);
	rig_post(r);
	rig_hears(r, "RSET\r\nMAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nDATA\r\n");
	rig_says(r, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
	rig_hears(r, BODY ".\r\n");
	rig_says(r, "250 taken\r\n");
	rig_rcpt(r, 0, "250 2.0.0 taken");
	rig_post(r);
	rig_hears(r, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nDATA\r\n");
}

static void
test_reset_plain(void **state)
{
	struct rig *r = *state;
	rig_ready(r, PLAIN);
	rig_message(r, 1);
	rig_post(r);
	rig_hears(r, "MAIL FROM:<a@me.test>\r\n");
	rig_says(r, "250 ok\r\n");
	rig_hears(r, "RCPT TO:<r0@x.test>\r\n");
	rig_says(r, "550 no\r\n");
	assert_int_equal(r->sent, 1);
	rig_hears(r, "");
	rig_post(r);
	rig_hears(r, "RSET\r\n");
	rig_says(r, "500 what?\r\n");
	assert_int_equal(r->lost, 1);
	rig_rcpt(r, 0, "451 4.5.0");
	assert_true(client_stale(r->client));
}

/* ---- refusals in the transaction */

static void
test_mail_refused(void **state)
{
	struct rig *r = *state;
	rig_ready(r, PIPE);
	rig_message(r, 2);
	rig_post(r);
	rig_hears(r, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nRCPT "
		     "TO:<r1@x.test>\r\nDATA\r\n");
	rig_says(r, "450 4.7.1 not you\r\n503 mail first\r\n503 mail first\r\n354 go on "
		    "then\r\n");
	rig_hears(r, ".\r\n");
	assert_int_equal(r->sent, 0);
	rig_says(r, "554 nothing\r\n");
	assert_int_equal(r->sent, 1);
	rig_rcpt(r, 0, "450 4.7.1 not you");
	rig_rcpt(r, 1, "450 4.7.1 not you");

	rig_post(r); /* nothing to forget there */
	rig_hears(r, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nRCPT "
		     "TO:<r1@x.test>\r\nDATA\r\n");
}

static void
test_all_refused_354(void **state)
{
	struct rig *r = *state;
	rig_ready(r, PIPE);
	rig_message(r, 2);
	rig_post(r);
	rig_hears(r, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nRCPT "
		     "TO:<r1@x.test>\r\nDATA\r\n");
	rig_says(r, "250 ok\r\n550 no\r\n450 later\r\n354 go\r\n");
	rig_hears(r, ".\r\n");
	rig_says(r, "250 taken\r\n"); /* means nothing */
	assert_int_equal(r->sent, 1);
	rig_rcpt(r, 0, "550 5.0.0 no");
	rig_rcpt(r, 1, "450 4.0.0 later");
}

static void
test_data_refused(void **state)
{
	struct rig *r = *state;
	rig_ready(r, PIPE);
	rig_message(r, 2);
	rig_post(r);
	rig_hears(r, "MAIL FROM:<a@me.test>\r\nRCPT TO:<r0@x.test>\r\nRCPT "
		     "TO:<r1@x.test>\r\nDATA\r\n");
	rig_says(r, "250 ok\r\n250 ok\r\n550 5.1.1 no\r\n451 4.3.0 no room\r\n");
	assert_int_equal(r->sent, 1);
	rig_rcpt(r, 0, "451 4.3.0 no room");
	rig_rcpt(r, 1, "550 5.1.1 no");
	rig_hears(r, "");
}

static void
test_too_many(void **state)
{
	struct rig *r = *state;
	rig_ready(r, PIPE);
	rig_message(r, 4);
	rig_post(r);
	rig_says(r,
	    "250 ok\r\n250 ok\r\n552 too many\r\n552 5.5.3 too many\r\n552 5.2.2 full\r\n"
	    "354 go\r\n");
	rig_says(r, "550 5.7.1 spam\r\n");
	assert_int_equal(r->sent, 1);
	rig_rcpt(r, 0, "550 5.7.1 spam");
	rig_rcpt(r, 1, "452 4.5.3 too many");
	rig_rcpt(r, 2, "452 4.5.3 too many");
	rig_rcpt(r, 3, "552 5.2.2 full");
}

/* ---- refused here */

static void
assert_refused_here(struct rig *r, const char *want)
{
	int sent = r->sent;
	rig_post(r);
	assert_int_equal(r->sent, sent + 1);
	rig_rcpt(r, 0, want);
	rig_hears(r, "");
}

static void
test_needs(void **state)
{
	struct rig *r = *state;
	rig_ready(r, "250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 SIZE 40\r\n");
	rig_message(r, 1);
	r->message.flags = MESSAGE_SMTPUTF8 | MESSAGE_8BIT;
	assert_refused_here(r, "550 5.6.7 mx.test[192.0.2.1]:25 does not offer SMTPUTF8");
	r->message.flags = MESSAGE_8BIT;
	assert_refused_here(r, "554 5.6.3 mx.test[192.0.2.1]:25 does not offer 8BITMIME");
	r->message.flags = MESSAGE_BINARY;
	assert_refused_here(
	    r, "554 5.6.3 mx.test[192.0.2.1]:25 does not offer BINARYMIME");
	r->message.flags = 0;
	r->message.sender = SPAN("\xc3\xa4@me.test");
	assert_refused_here(r, "550 5.6.7");
	r->message.sender = SPAN("a\r\nRSET\r\n@me.test");
	assert_refused_here(r, "553 5.1.7");
	r->message.sender = SPAN("a@me.test");
	r->rcpt[0].address = SPAN("\xc3\xa4@x.test");
	assert_refused_here(r, "553 5.6.7");
	r->rcpt[0].address = SPAN("a\r\nRSET@x.test");
	assert_refused_here(r, "553 5.1.3");
	rig_message(r, 1);
	rig_content_is(r, "123456789 123456789 1234567\r\n");
	assert_refused_here(r, "552 5.3.4 mx.test[192.0.2.1]:25 takes 40 octets; "
			       "the message has 42");
	assert_int_equal(r->lost, 0);
}

/* One that cannot be named does not keep the others from being served. */
static void
test_one_unnameable(void **state)
{
	struct rig *r = *state;
	rig_ready(r, PIPE);
	rig_message(r, 3);
	r->rcpt[0].address = SPAN("\xc3\xa4@x.test");
	r->rcpt[1].address = SPAN("b@b\xc3\xbc"
				  "cher.test");
	r->rcpt[2].address = SPAN("\xc3\xa4@x.test");
	rig_post(r);
	rig_hears(
	    r, "MAIL FROM:<a@me.test>\r\nRCPT TO:<b@xn--bcher-kva.test>\r\nDATA\r\n");
	rig_says(r, "250 ok\r\n250 ok\r\n354 go\r\n");
	rig_hears(r, BODY ".\r\n");
	rig_says(r, "250 taken\r\n");
	rig_rcpt(r, 0, "553 5.6.7");
	rig_rcpt(r, 1, "250 2.0.0 taken");
	rig_rcpt(r, 2, "553 5.6.7");
}

/* ---- each failure at each step */

/* What the server says up to a step; the step's own answer is the failure. */
static const struct step {
	const char *before;
	enum client_stage stage;
	int64_t timeout_ms;
	bool transaction;
} steps[] = {
    {"", STAGE_GREETING, 301 * SECOND_MS, false},
    {"220 mx\r\n", STAGE_EHLO, 302 * SECOND_MS, false},
    {"220 mx\r\n|250 mx\r\n", STAGE_MAIL, 303 * SECOND_MS, true},
    {"220 mx\r\n|250 mx\r\n|250 ok\r\n", STAGE_RCPT, 304 * SECOND_MS, true},
    {"220 mx\r\n|250 mx\r\n|250 ok\r\n|250 ok\r\n", STAGE_DATA, 120 * SECOND_MS, true},
    {"220 mx\r\n|250 mx\r\n|250 ok\r\n|250 ok\r\n|354 go\r\n", STAGE_DOT, 600 * SECOND_MS,
	true},
};

static void
walk_to(struct rig *r, const struct step *to)
{
	rig_message(r, 1);
	r->send_in_callback = &r->mail;
	rig_go(r);
	struct span rest = span_str(to->before);
	while (rest.n > 0) {
		size_t n = span_find(rest, '|');
		rig_says_bytes(r, rest.p, n);
		rest = span_cut(rest, n + 1, rest.n);
	}
	assert_int_equal(client_stage(r->client), to->stage);
	assert_int_equal(r->sent + r->lost, 0);
}

/* Do `fail` at every step; `want` is the verdict, NULL: see the caller. */
static void
at_each_step(void (*failure)(struct rig *r, const struct step *at))
{
	for (size_t i = 0; i < COUNT_OF(steps); i++) {
		void *state;
		rig_setup(&state);
		walk_to(state, &steps[i]);
		failure(state, &steps[i]);
		rig_teardown(&state);
	}
}

static const struct verdict *
verdict_at(struct rig *r, const struct step *at)
{
	return at->transaction ? &r->to[0].verdict : client_verdict(r->client);
}

static void
assert_lost(struct rig *r, const struct step *at, const char *want)
{
	assert_int_equal(r->lost, 1);
	assert_int_equal(r->sent, 0);
	assert_int_equal(client_stage(r->client), at->stage);
	rig_verdict(client_verdict(r->client), want);
	rig_verdict(verdict_at(r, at), want);
	assert_false(client_stale(r->client));
}

static void
fail_close(struct rig *r, const struct step *at)
{
	char sink[1000];
	while (read(r->peer, sink, sizeof(sink)) > 0)
		;
	rig_hang_up(r);
	rig_settle(r);
	assert_lost(r, at,
	    "451 4.4.2 mx.test[192.0.2.1]:25: connection closed while waiting for");
	assert_int_equal(client_maybe_delivered(r->client), at->stage == STAGE_DOT);
}

static void
fail_reset(struct rig *r, const struct step *at)
{
	rig_hang_up(
	    r); /* with unread commands: a reset, except before the first of them */
	rig_settle(r);
	assert_lost(r, at, "451 4.4.2 mx.test[192.0.2.1]:25: ");
	assert_int_equal(client_maybe_delivered(r->client), at->stage == STAGE_DOT);
}

static void
fail_half_reply(struct rig *r, const struct step *at)
{
	rig_says(r, "250-and\r\n25");
	fail_close(r, at);
}

static void
fail_silence(struct rig *r, const struct step *at)
{
	rig_pass(r, at->timeout_ms - 1);
	assert_int_equal(r->lost, 0);
	rig_pass(r, 1);
	assert_lost(
	    r, at, "451 4.4.2 mx.test[192.0.2.1]:25: timed out while waiting for");
	assert_int_equal(client_maybe_delivered(r->client), at->stage == STAGE_DOT);
	rig_hears_the_end(r);
}

static void
fail_drip(struct rig *r, const struct step *at)
{
	for (int i = 0; i < 10; i++) {
		rig_pass(r, at->timeout_ms / 10 - 1);
		rig_says_bytes(r, &"250-xxxxxx"[i], 1);
	}
	rig_pass(r, 10);
	assert_int_equal(r->lost, 1);
}

static void
fail_421(struct rig *r, const struct step *at)
{
	rig_says(r, "421 4.3.2 going down\r\n");
	assert_lost(r, at, "421 4.3.2 going down");
	assert_false(client_maybe_delivered(r->client));
}

static void
fail_refused(struct rig *r, const struct step *at, const char *reply, const char *want)
{
	bool five = reply[0] == '5';
	rig_says(r, reply);
	if (at->stage == STAGE_EHLO && five) {
		assert_int_equal(r->events, 0);
		rig_says(r, reply); /* to HELO */
	}
	rig_verdict(verdict_at(r, at), want);
	assert_int_equal(r->sent, at->transaction);
	assert_int_equal(r->lost, !at->transaction);
	assert_false(client_maybe_delivered(r->client));
}

static void
fail_4xx(struct rig *r, const struct step *at)
{
	fail_refused(r, at, "450-4.2.1 not\r\n450 4.2.1 now\r\n", "450 4.2.1 not now");
}

static void
fail_5xx(struct rig *r, const struct step *at)
{
	fail_refused(r, at, "554 5.7.1 never\r\n", "554 5.7.1 never");
}

static void
test_each_failure(void **state)
{
	(void)state;
	at_each_step(fail_close);
	at_each_step(fail_reset);
	at_each_step(fail_half_reply);
	at_each_step(fail_silence);
	at_each_step(fail_drip);
	at_each_step(fail_421);
	at_each_step(fail_4xx);
	at_each_step(fail_5xx);
}

static void
test_garbage(void **state)
{
	(void)state;
	static char huge[100000], many[20000];
	memset(huge, 'x', sizeof(huge) - 1);
	memcpy(huge, "250 ", 4);
	for (size_t i = 0; i + 7 < sizeof(many); i += 7)
		memcpy(many + i, "250-x\r\n", 7);
	const char *garbage[] = {"553-\n", "553\n", "55\r\n", "\r\n", "553-\r\n\r\n",
	    "354x\r\n", "HTTP/1.1 200 OK\r\n", "300 what\r\n", "250 ok\rRSET\r\n", huge,
	    many};
	for (size_t g = 0; g < COUNT_OF(garbage); g++) {
		for (size_t i = 0; i < COUNT_OF(steps); i++) {
			void *p;
			rig_setup(&p);
			struct rig *r = p;
			walk_to(r, &steps[i]);
			send(r->peer, garbage[g], strlen(garbage[g]), MSG_NOSIGNAL);
			rig_settle(r);
			assert_lost(r, &steps[i],
			    "451 4.5.0 mx.test[192.0.2.1]:25: protocol error");
			assert_int_equal(client_maybe_delivered(r->client),
			    steps[i].stage == STAGE_DOT);
			rig_teardown(&p);
		}
	}
}

/* An answer before its command: behind the awaited one, at every step. */
static void
test_early(void **state)
{
	(void)state;
	static const char *answer[] = {"220 mx\r\n250 mx\r\n", "250 mx\r\n250 ok\r\n",
	    "250 ok\r\n250 ok\r\n", "250 ok\r\n354 go\r\n", "354 go\r\n250 taken\r\n"};
	for (size_t i = 0; i < COUNT_OF(answer); i++) {
		void *p;
		rig_setup(&p);
		struct rig *r = p;
		walk_to(r, &steps[i]);
		rig_says(r, answer[i]);
		assert_int_equal(r->lost, 1);
		assert_int_equal(r->sent, 0);
		rig_verdict(client_verdict(r->client), "451 4.5.0");
		if (steps[i].transaction)
			rig_rcpt(r, 0, "451 4.5.0");
		assert_false(client_maybe_delivered(r->client));
		rig_teardown(&p);
	}
}

/* After the last answer: the transaction counts, the connection does not. */
static void
test_chatter_afterwards(void **state)
{
	struct rig *r = *state;
	walk_to(r, &steps[5]);
	r->send_in_callback = &r->mail;
	rig_says(r, "250 taken\r\n421 enough\r\n");
	assert_int_equal(r->sent, 1);
	assert_int_equal(r->lost, 1); /* with what was handed over in SENT */
	assert_true(client_stale(r->client));
	assert_int_equal(client_stage(r->client), STAGE_MAIL);
	assert_false(client_maybe_delivered(r->client));
}

static void
test_idle_input(void **state)
{
	struct rig *r = *state;
	rig_ready(r, PIPE);
	rig_says(r, "421 4.4.2 idle too long\r\n");
	assert_int_equal(r->lost, 1);
	rig_verdict(client_verdict(r->client), "421 4.4.2 idle too long");
}

static void
test_stale(void **state)
{
	struct rig *r = *state;
	walk_to(r, &steps[5]);
	rig_says(r, "250 taken\r\n");
	assert_int_equal(r->sent, 1);
	rig_hang_up(r);
	client_send(r->client, &r->mail); /* before the loop has seen it */
	rig_settle(r);
	assert_int_equal(r->lost, 1);
	assert_int_equal(client_stage(r->client), STAGE_MAIL);
	assert_true(client_stale(r->client));
	rig_rcpt(r, 0, "451 4.4.2");
}

static void
test_stale_421(void **state)
{
	struct rig *r = *state;
	walk_to(r, &steps[5]);
	rig_says(r, "250 taken\r\n");
	rig_post(r);
	rig_says(r, "421 idle too long\r\n");
	assert_int_equal(r->lost, 1);
	assert_true(client_stale(r->client));
}

static void
test_not_stale(void **state)
{
	struct rig *r = *state;
	walk_to(r, &steps[5]);
	rig_says(r, "250 taken\r\n");
	rig_post(r);
	rig_says(r, "250 ok\r\n");
	rig_hang_up(r);
	rig_settle(r);
	assert_int_equal(r->lost, 1);
	assert_false(client_stale(r->client));
}

static void
test_lost_with_mixed(void **state)
{
	struct rig *r = *state;
	rig_ready(r, PIPE);
	rig_message(r, 4);
	rig_post(r);
	rig_says(r, "250 ok\r\n250 ok\r\n550 5.1.1 no\r\n421 4.3.2 bye\r\n");
	assert_int_equal(r->lost, 1);
	rig_rcpt(r, 0, "421 4.3.2 bye");
	rig_rcpt(r, 1, "550 5.1.1 no");
	rig_rcpt(r, 2, "421 4.3.2 bye");
	rig_rcpt(r, 3, "421 4.3.2 bye");
}

static void
test_mail_refused_then_421(void **state)
{
	struct rig *r = *state;
	rig_ready(r, PIPE);
	rig_message(r, 1);
	rig_post(r);
	rig_says(r, "550 5.7.1 not you\r\n421 4.3.2 bye\r\n");
	assert_int_equal(r->lost, 1);
	rig_rcpt(r, 0, "550 5.7.1 not you");
	rig_verdict(client_verdict(r->client), "421 4.3.2 bye");
}

static void
test_dial_fails(void **state)
{
	struct rig *r = *state;
	r->dial_fails = ERR_UNREACHABLE;
	rig_go(r);
	assert_int_equal(r->lost, 1);
	assert_int_equal(client_stage(r->client), STAGE_CONNECT);
	rig_verdict(
	    client_verdict(r->client), "451 4.4.1 connect to mx.test[192.0.2.1]:25: ");
}

static void
test_free_in_callback(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(steps); i++) {
		void *p;
		rig_setup(&p);
		struct rig *r = p;
		walk_to(r, &steps[i]);
		r->free_in_callback = true;
		rig_hang_up(r);
		rig_settle(r);
		assert_int_equal(r->lost, 1);
		assert_null(r->client);
		rig_teardown(&p);
	}
	for (size_t i = 0; i < COUNT_OF(steps); i++) { /* and out of the blue */
		void *p;
		rig_setup(&p);
		struct rig *r = p;
		walk_to(r, &steps[i]);
		int before = r->events;
		if (i % 2 == 0)
			client_free(&r->client);
		else
			client_quit(&r->client);
		rig_settle(r);
		assert_int_equal(r->events, before);
		rig_teardown(&p);
	}
}

static void
on_other(void *arg, enum client_event ev)
{
	assert_int_equal(ev, CLIENT_LOST);
	++*(int *)arg;
}

static void
test_owner(void **state)
{
	struct rig *r = *state;
	int lost = 0;
	rig_ready(r, PIPE);
	client_set_owner(r->client, on_other, &lost);
	rig_hang_up(r);
	rig_settle(r);
	assert_int_equal(lost, 1);
	assert_int_equal(r->lost, 0);
}

/* ---- any split */

static void
test_byte_by_byte(void **state)
{
	struct rig *r = *state;
	static const char *const replies[] = {"220-mx\r\n220 x\r\n", ALL,
	    "250 2.1.0 ok\r\n250-2.1.5 one\r\n250 2.1.5 ok\r\n550-5.1.1 no\r\n550 5.1.1 "
	    "no\r\n"
	    "354 go\r\n",
	    "250 2.0.0 taken\r\n"};
	rig_message(r, 2);
	r->send_in_callback = &r->mail;
	rig_go(r);
	for (size_t i = 0; i < COUNT_OF(replies); i++)
		for (const char *p = replies[i]; *p != '\0'; p++)
			rig_says_bytes(r, p, 1);
	assert_int_equal(r->sent, 1);
	assert_int_equal(client_extensions(r->client), 0x1ff);
	rig_rcpt(r, 0, "250 2.0.0 taken");
	rig_rcpt(r, 1, "550 5.1.1 no no");
}

/* ---- the window */

static size_t
count_lines(struct rig *r)
{
	static char got[1 << 16];
	size_t lines = 0;
	rig_settle(r);
	for (ssize_t k; (k = read(r->peer, got, sizeof(got))) > 0; rig_settle(r))
		for (ssize_t i = 0; i < k; i++)
			lines += got[i] == '\n';
	return lines;
}

static void
test_window(void **state)
{
	struct rig *r = *state;
	rig_ready(r, PIPE);
	rig_message(r, 300);
	rig_post(r);
	assert_int_equal(count_lines(r), WINDOW_COMMANDS);
	for (size_t i = 0; i < 203; i++) { /* one answered, one more sent, DATA at last */
		rig_says(r, i > 0 && i % 2 == 0 ? "550 no\r\n" : "250 ok\r\n");
		assert_int_equal(count_lines(r), i < 202);
	}
	for (size_t i = 203; i < 301; i++)
		rig_says(r, "250 ok\r\n");
	rig_says(r, "354 go\r\n");
	rig_hears(r, BODY ".\r\n");
	rig_says(r, "250 taken\r\n");
	assert_int_equal(r->sent, 1);
	rig_rcpt(r, 0, "250 2.0.0 taken");
	rig_rcpt(r, 1, "550 5.0.0 no");
	rig_rcpt(r, 299, "250 2.0.0 taken");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    RIG_TEST(test_plain),
	    RIG_TEST(test_pipelining),
	    RIG_TEST(test_extensions),
	    RIG_TEST(test_size_words),
	    RIG_TEST(test_relayed),
	    RIG_TEST(test_bdat),
	    RIG_TEST(test_helo),
	    RIG_TEST(test_reuse),
	    RIG_TEST(test_reset),
	    RIG_TEST(test_reset_plain),
	    RIG_TEST(test_mail_refused),
	    RIG_TEST(test_all_refused_354),
	    RIG_TEST(test_data_refused),
	    RIG_TEST(test_too_many),
	    RIG_TEST(test_needs),
	    RIG_TEST(test_one_unnameable),
	    cmocka_unit_test(test_each_failure),
	    cmocka_unit_test(test_garbage),
	    cmocka_unit_test(test_early),
	    RIG_TEST(test_chatter_afterwards),
	    RIG_TEST(test_idle_input),
	    RIG_TEST(test_stale),
	    RIG_TEST(test_stale_421),
	    RIG_TEST(test_not_stale),
	    RIG_TEST(test_lost_with_mixed),
	    RIG_TEST(test_mail_refused_then_421),
	    RIG_TEST(test_dial_fails),
	    cmocka_unit_test(test_free_in_callback),
	    RIG_TEST(test_owner),
	    RIG_TEST(test_byte_by_byte),
	    RIG_TEST(test_window),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
