/* SPDX-License-Identifier: ISC */
/*
 * AUTH in a session, and local users.  signin is a puppet here: PLAIN and LOGIN
 * take the password "right" (at once) and refuse others two seconds later;
 * SCRAM-SHA-256 ends with a word of its own; HANG never answers; BROKEN is out
 * of order.  What signin itself does is tested in its own room.
 */
#include "tests/unit/ingress_rig.h"

#include <pwd.h>
#include <sys/un.h>

#include "base/base64.h"
#include "relay/ingress/auth.h"
#include "relay/signin/signin.h"

#define LISTENERS                                                                       \
	"limits { errors = 1000 }\n"                                                    \
	"listener \"auth\" { bind = {\"127.0.0.1:1\"} auth = \"optional\" "             \
	"auth-in-clear = true }\n"                                                      \
	"listener \"must\" { bind = {\"127.0.0.1:2\"} auth = \"required\" "             \
	"auth-in-clear = true }\n"                                                      \
	"listener \"some\" { bind = {\"127.0.0.1:3\"} auth = \"optional\" "             \
	"auth-in-clear = true auth-in-clear-from = {\"192.0.2.0/24\"} }\n"              \
	"listener \"any\" { bind = {\"127.0.0.1:4\"} auth = \"any\" "                   \
	"clients = {\"192.0.2.0/24\"} networks = {\"203.0.113.0/24\"} }\n"              \
	"listener \"behind\" { bind = {\"127.0.0.1:5\"} proxy-from = {\"10.0.0.0/8\"} " \
	"}\n"                                                                           \
	"listener \"smtps\" { bind = {\"127.0.0.1:465\"} tls = \"implicit\" }\n"

#define RIGHT "AGFsaWNlAHJpZ2h0" /* "\0alice\0right" */
#define WRONG "AGFsaWNlAHdyb25n" /* "\0alice\0wrong" */
#define FAR "RCPT TO:<x@far.example>\r\n"

/* ---- the puppet */

struct signin {
	struct loop *loop;
	unsigned begun, answered, cancelled;
	struct signin_facts facts; /* of the last one; its spans are gone */
};

struct signin_exchange {
	struct signin *s;
	char mechanism[32];
	unsigned step;
	bool right;
	signin_fn *fn;
	void *arg;
	struct timer timer;
	struct signin_answer answer;
};

void
account_card_free(struct account_card **cp)
{
	if (*cp == NULL)
		return;
	mem_free(&(*cp)->name);
	mem_free(&(*cp)->secret);
	mem_free(cp);
}

void
signin_mechanisms(const struct signin_facts *f, bool clear_ok, struct buf *out)
{
	assert_true(clear_ok);
	buf_add_str(out, f->any ? "PLAIN LOGIN" : "SCRAM-SHA-256 PLAIN LOGIN");
}

static void
give_answer(void *arg)
{
	struct signin_exchange *x = arg;
	struct signin_answer a = x->answer;
	signin_fn *fn = x->fn;
	void *fn_arg = x->arg;
	if (a.kind != SIGNIN_CHALLENGE) {
		x->s->answered++;
		timer_clear(&x->timer);
		mem_free(&x);
	}
	fn(fn_arg, &a);
}

static void
answer_challenge(struct signin_exchange *x, struct span data)
{
	x->answer = (struct signin_answer){.kind = SIGNIN_CHALLENGE, .data = data};
	timer_set(&x->timer, 0);
}

static void
answer_failed(struct signin_exchange *x, unsigned code, const char *status)
{
	x->answer =
	    (struct signin_answer){.kind = SIGNIN_FAILED, .why = "wrong password"};
	x->answer.verdict = verdict_make(code, status, "No");
	span_copy(SPAN("al ice"), x->answer.name, sizeof(x->answer.name));
	timer_set(&x->timer, code == 535 ? 2 * SECOND_MS : 0);
}

static void
answer_done(struct signin_exchange *x, struct span last)
{
	struct account_card *c = NEW(struct account_card);
	c->name = mem_strdup(x->s->facts.any ? "" : "alice");
	c->secret = mem_strdup("phone");
	x->answer = (struct signin_answer){.kind = SIGNIN_DONE, .card = c, .last = last};
	timer_set(&x->timer, 0);
}

static void
judge(struct signin_exchange *x, struct span secret)
{
	if (span_eq(secret, SPAN("right")) || x->s->facts.any)
		answer_done(x, (struct span){0});
	else
		answer_failed(x, 535, "5.7.8");
}

static void
step(struct signin_exchange *x, struct span data)
{
	struct span m = span_str(x->mechanism);
	if (span_ieq(m, SPAN("PLAIN"))) {
		size_t at = data.n > 5 ? data.n - 5 : data.n;
		if (data.p == NULL)
			answer_challenge(x, SPAN(""));
		else
			judge(x, span_cut(data, at, 5));
	} else if (span_ieq(m, SPAN("LOGIN"))) {
		x->step += data.p != NULL;
		if (x->step == 2)
			judge(x, data);
		else
			answer_challenge(
			    x, x->step == 0 ? SPAN("User Name") : SPAN("Password"));
	} else if (span_ieq(m, SPAN("SCRAM-SHA-256"))) {
		if (x->step++ == 0)
			answer_challenge(x, SPAN("r=1"));
		else
			answer_done(x, SPAN("v=1"));
	} else if (span_ieq(m, SPAN("BROKEN"))) {
		answer_failed(x, 454, "4.7.0");
	} else if (!span_ieq(m, SPAN("HANG"))) {
		answer_failed(x, 504, "5.5.4");
	}
}

struct signin_exchange *
signin_begin(struct signin *s, struct span mechanism, const struct signin_facts *f,
    struct span initial, signin_fn *fn, void *arg)
{
	struct signin_exchange *x = NEW(struct signin_exchange);
	assert_string_equal(f->service, "smtp");
	assert_string_equal(f->hostname, HOST);
	s->begun++;
	s->facts = *f;
	x->s = s;
	x->fn = fn;
	x->arg = arg;
	span_copy(mechanism, x->mechanism, sizeof(x->mechanism));
	timer_init(&x->timer, s->loop, give_answer, x);
	step(x, initial);
	return x;
}

void
signin_respond(struct signin_exchange *x, struct span response)
{
	assert_non_null(response.p);
	assert_false(timer_is_set(&x->timer));
	step(x, response);
}

/* What fills the directory; nobody asks here. */
void
signin_admin(struct signin *s, struct span request,
    void (*told)(void *arg, struct span object, bool end), void *arg)
{
	(void)s, (void)request, (void)told, (void)arg;
}

void
signin_cancel(struct signin_exchange **xp)
{
	if (*xp == NULL)
		return;
	(*xp)->s->cancelled++;
	timer_clear(&(*xp)->timer);
	if ((*xp)->answer.kind == SIGNIN_DONE)
		account_card_free(&(*xp)->answer.card);
	mem_free(xp);
}

/* ---- the rig */

static struct rig *
auth_rig(struct signin *puppet)
{
	*puppet = (struct signin){0};
	struct rig *r =
	    rig_make(&(struct rig_options){.extra = LISTENERS, .signin = puppet});
	puppet->loop = r->loop;
	return r;
}

static void
auth_rig_free(struct rig **r, struct signin *puppet)
{
	rig_free(r);
	assert_int_equal(puppet->begun, puppet->answered + puppet->cancelled);
}

static unsigned
count(struct span text, const char *what)
{
	unsigned n = 0;
	const char *at;
	while ((at = memmem(text.p, text.n, what, strlen(what))) != NULL) {
		n++;
		text = span_cut(text, (size_t)(at - text.p) + 1, text.n);
	}
	return n;
}

/* ---- dialogues */

static void
test_dialogues(void **state)
{
	(void)state;
	static const struct {
		const char *name, *listener, *from, *send, *want;
	} cases[] = {
	    {"not offered", "smtp", OWN, HI "AUTH PLAIN " RIGHT "\r\n",
		OK_HI "502/5.5.1"},
	    {"before EHLO", "auth", OWN, "AUTH PLAIN " RIGHT "\r\n", "220 503/5.5.1"},
	    {"PLAIN at once", "auth", STRANGER, HI "AUTH PLAIN " RIGHT "\r\n" MAIL FAR,
		OK_HI "235/2.7.0 250/2.1.0 250/2.1.5"},
	    {"any case", "auth", STRANGER, HI "auth plain " RIGHT "\r\n",
		OK_HI "235/2.7.0"},
	    {"PLAIN asked for", "auth", STRANGER, HI "AUTH PLAIN\r\n" RIGHT "\r\n",
		OK_HI "334 235/2.7.0"},
	    {"LOGIN", "auth", STRANGER, HI "AUTH LOGIN\r\nYWxpY2U=\r\ncmlnaHQ=\r\n",
		OK_HI "334 334 235/2.7.0"},
	    {"LOGIN with the name", "auth", STRANGER,
		HI "AUTH LOGIN YWxpY2U=\r\ncmlnaHQ=\r\n", OK_HI "334 235/2.7.0"},
	    {"the last word", "auth", STRANGER,
		HI "AUTH SCRAM-SHA-256 bjE=\r\nYw==\r\n\r\n" MAIL FAR,
		OK_HI "334 334 235/2.7.0 250/2.1.0 250/2.1.5"},
	    {"no empty answer to it", "auth", STRANGER,
		HI "AUTH SCRAM-SHA-256 bjE=\r\nYw==\r\nYw==\r\n" MAIL FAR,
		OK_HI "334 334 501/5.5.2 250/2.1.0 550/5.7.1"},
	    {"cancelled at it", "auth", STRANGER,
		HI "AUTH SCRAM-SHA-256 bjE=\r\nYw==\r\n*\r\n" MAIL FAR,
		OK_HI "334 334 501/5.7.0 250/2.1.0 550/5.7.1"},
	    {"empty", "auth", STRANGER, HI "AUTH LOGIN =\r\ncmlnaHQ=\r\n",
		OK_HI "334 235/2.7.0"},
	    {"an empty line is an empty response", "auth", STRANGER,
		HI "AUTH LOGIN\r\n\r\ncmlnaHQ=\r\n", OK_HI "334 334 235/2.7.0"},
	    {"= is one at first only", "auth", STRANGER, HI "AUTH LOGIN\r\n=\r\nNOOP\r\n",
		OK_HI "334 501/5.5.2 250/2.0.0"},
	    {"cancelled", "auth", STRANGER, HI "AUTH PLAIN\r\n*\r\nNOOP\r\n",
		OK_HI "334 501/5.7.0 250/2.0.0"},
	    {"twice", "auth", STRANGER,
		HI "AUTH PLAIN " RIGHT "\r\nAUTH PLAIN " RIGHT "\r\n",
		OK_HI "235/2.7.0 503/5.5.1"},
	    {"in a transaction", "auth", OWN, HI MAIL "AUTH PLAIN " RIGHT "\r\n",
		OK_HI "250/2.1.0 503/5.5.1"},
	    {"unknown", "auth", OWN, HI "AUTH CRAM-MD5\r\nAUTH\r\nAUTH \r\nAUTH \xff\r\n",
		OK_HI "504/5.5.4 501/5.5.4 501/5.5.4 504/5.5.4"},
	    {"a long mechanism", "auth", OWN, HI "AUTH ABCDEFGHIJKLMNOPQRSTU\r\n",
		OK_HI "504/5.5.4"},
	    {"two responses", "auth", OWN, HI "AUTH PLAIN " RIGHT " " RIGHT "\r\n",
		OK_HI "501/5.5.2"},
	    {"out of order", "auth", OWN, HI "AUTH BROKEN\r\nNOOP\r\n",
		OK_HI "454/4.7.0 250/2.0.0"},
	    {"a NUL", "auth", OWN, HI "AUTH PLAIN\r\nAG\r\nNOOP\r\n",
		OK_HI "334 501/5.5.2 250/2.0.0"},
	    {"a bare LF", "auth", OWN, HI "AUTH PLAIN\r\n" RIGHT "\nNOOP\r\n",
		OK_HI "334 500/5.5.2 ."},
	    {"EHLO does not sign out", "auth", STRANGER,
		HI "AUTH PLAIN " RIGHT "\r\n" HI "RSET\r\n" MAIL FAR,
		OK_HI "235/2.7.0 250 250/2.0.0 250/2.1.0 250/2.1.5"},
	    {"AUTH= is looked at", "auth", OWN,
		HI "MAIL FROM:<a@c.example> AUTH=<>\r\nRSET\r\n"
		   "MAIL FROM:<a@c.example> AUTH=a+0\r\n",
		OK_HI "250/2.1.0 250/2.0.0 501/5.5.4"},
	    {"AUTH= where it is not offered", "smtp", OWN,
		HI "MAIL FROM:<a@c.example> AUTH=<>\r\n", OK_HI "555/5.5.4"},
	    {"required", "must", OWN, HI MAIL "AUTH PLAIN " RIGHT "\r\n" MAIL FAR,
		OK_HI "530/5.7.0 235/2.7.0 250/2.1.0 250/2.1.5"},
	    {"in the clear from there", "some", OWN, HI "AUTH PLAIN " RIGHT "\r\n",
		OK_HI "235/2.7.0"},
	    {"in the clear from elsewhere", "some", STRANGER,
		HI "AUTH PLAIN " RIGHT "\r\nAUTH PLAIN\r\nNOOP\r\n",
		OK_HI "538/5.7.11 538/5.7.11 250/2.0.0"},
	    {"any password, and no more than before", "any", OWN,
		HI "AUTH LOGIN\r\nYQ==\r\nYg==\r\n" MAIL FAR,
		OK_HI "334 334 235/2.7.0 250/2.1.0 550/5.7.1"},
	};
	struct signin puppet;
	struct rig *r = auth_rig(&puppet);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct client c = call_at(r, cases[i].from, cases[i].listener);
		say(&c, cases[i].send);
		expect(&c, cases[i].want, cases[i].name);
		hang_up(&c);
		run(r);
		assert_int_equal(ingress_sessions(r->in), 0);
	}
	assert_int_equal(count(buf_span(&r->lines), "why=\"not without TLS\""), 2);
	auth_rig_free(&r, &puppet);
}

static void
test_offered(void **state)
{
	(void)state;
	static const struct {
		const char *listener, *from, *line; /* NULL: none */
	} cases[] = {
	    {"smtp", OWN, NULL},
	    {"auth", OWN, "250-AUTH SCRAM-SHA-256 PLAIN LOGIN\r\n"},
	    {"some", OWN, "250-AUTH SCRAM-SHA-256 PLAIN LOGIN\r\n"},
	    {"some", STRANGER, NULL},
	    {"any", OWN, "250-AUTH PLAIN LOGIN\r\n"},
	};
	struct signin puppet;
	struct rig *r = auth_rig(&puppet);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct client c = call_at(r, cases[i].from, cases[i].listener);
		say(&c, HI);
		assert_int_equal(has(buf_span(&c.heard), "AUTH"), cases[i].line != NULL);
		if (cases[i].line != NULL)
			assert_true(has(buf_span(&c.heard), cases[i].line));
		hang_up(&c);
	}
	auth_rig_free(&r, &puppet);
}

/* A wrong password is answered when signin says so; the third one ends the connection. */
static void
test_failures(void **state)
{
	(void)state;
	struct signin puppet;
	struct rig *r = auth_rig(&puppet);
	struct client c = call_at(r, STRANGER, "auth");
	say(&c, HI "AUTH PLAIN " WRONG "\r\nNOOP\r\n");
	expect(&c, OK_HI, "not yet");
	pass(r, 1999);
	hear(&c);
	expect(&c, "", "still not");
	pass(r, 1);
	hear(&c);
	expect(&c, "535/5.7.8 250/2.0.0", "now");
	say(&c, "AUTH LOGIN\r\nYQ==\r\nYQ==\r\n");
	pass(r, 2000);
	hear(&c);
	expect(&c, "334 334 535/5.7.8", "the second");
	say(&c, "AUTH PLAIN " WRONG "\r\nAUTH PLAIN " RIGHT "\r\n");
	pass(r, 2000);
	hear(&c);
	expect(&c, "535/5.7.8 421/4.7.0 .", "the third");
	hang_up(&c);
	struct span log = buf_span(&r->lines);
	assert_int_equal(count(log, "sign-in-failed client=" STRANGER), 3);
	assert_int_equal(
	    count(log, "name=\"al ice\" mechanism=PLAIN why=\"wrong password\""), 2);
	assert_false(has(log, WRONG));
	auth_rig_free(&r, &puppet);
}

/* They are errors like others, too. */
static void
test_failures_are_errors(void **state)
{
	(void)state;
	struct signin puppet = {0};
	struct rig *r = rig_make(&(struct rig_options){
	    .extra = "limits { errors = 2 }\nlistener \"auth\" { bind = "
		     "{\"127.0.0.1:1\"} auth = \"optional\" auth-in-clear = true }\n",
	    .signin = &puppet});
	puppet.loop = r->loop;
	struct client c = call_at(r, STRANGER, "auth");
	say(&c, HI "AUTH X\r\nAUTH PLAIN\r\n*\r\nNOOP\r\n");
	expect(&c, OK_HI "504/5.5.4 334 501/5.7.0 421/4.7.0 .", "errors");
	hang_up(&c);
	auth_rig_free(&r, &puppet);
}

static void
test_message(void **state)
{
	(void)state;
	struct signin puppet;
	struct rig *r = auth_rig(&puppet);
	struct client c = call_at(r, STRANGER, "auth");
	say(&c, HI "AUTH PLAIN " RIGHT "\r\n" MAIL RCPT DATA TEXT DOT);
	expect(&c, OK_HI "235/2.7.0 250/2.1.0 250/2.1.5 354 250/2.0.0", "a message");
	say(&c, "MAIL FROM:<a@c.example> SMTPUTF8\r\n" RCPT DATA TEXT DOT);
	hang_up(&c);
	assert_int_equal(r->got_n, 2);
	assert_true(span_eq(r->got[0]->account, SPAN("alice")));
	assert_true(span_eq(r->got[0]->protocol, SPAN("ESMTPA")));
	assert_true(span_eq(r->got[1]->protocol, SPAN("UTF8SMTPA")));
	assert_true(has(r->got[0]->prefix, " with ESMTPA id "));
	struct span log = buf_span(&r->lines);
	assert_int_equal(count(log, "signed-in client=" STRANGER " account=alice "
				    "mechanism=PLAIN secret=phone"),
	    1);

	c = call_at(r, "203.0.113.9", "any");
	hang_up(&c);
	c = call_at(r, OWN, "any");
	say(&c, HI "AUTH PLAIN " WRONG "\r\n" MAIL RCPT DATA TEXT DOT);
	expect(&c, OK_HI "235/2.7.0 250/2.1.0 250/2.1.5 354 250/2.0.0", "any");
	hang_up(&c);
	assert_int_equal(r->got[2]->account.n, 0);
	assert_true(span_eq(r->got[2]->protocol, SPAN("ESMTP")));
	auth_rig_free(&r, &puppet);
}

/* ---- hostile */

/* CVE-2018-6789: every length, at both places; whatever it is, an answer and no more. */
static void
test_garbage(void **state)
{
	(void)state;
	struct signin puppet;
	struct rig *r = auth_rig(&puppet);
	for (size_t n = 1; n <= 64; n++) {
		char text[65] = {0};
		memset(text, 'A', n);
		struct client c = call_at(r, OWN, "auth");
		struct buf line = {0};
		buf_addf(&line, HI "AUTH HANG %s\r\n", text);
		if (n % 4 == 0)
			buf_addf(&line, "NOOP\r\n");
		else
			buf_addf(&line, "AUTH PLAIN\r\n%s\r\nNOOP\r\n", text);
		say_span(&c, buf_span(&line));
		expect(&c, n % 4 == 0 ? OK_HI : OK_HI "501/5.5.2 334 501/5.5.2 250/2.0.0",
		    text);
		buf_clear(&line);
		hang_up(&c);
	}
	static const char *const odd[] = {"AA==AA==", "====", "A===", "AA=A", "AAA", "A",
	    "AAAA ", " AAAA", "AAAA=", "AA\tA", "A-A_", "\xff\xff\xff\xff",
	    "==", "AAAA===="};
	for (size_t i = 0; i < COUNT_OF(odd); i++) {
		struct client c = call_at(r, OWN, "auth");
		struct buf line = {0};
		buf_addf(&line, HI "AUTH PLAIN\r\n%s\r\nNOOP\r\n", odd[i]);
		say_span(&c, buf_span(&line));
		expect(&c, OK_HI "334 501/5.5.2 250/2.0.0", odd[i]);
		buf_clear(&line);
		hang_up(&c);
	}
	auth_rig_free(&r, &puppet);
}

/* A line of 12,288 octets is one, longer is none; 8192 octets are the most that is
 * decoded. */
static void
test_long(void **state)
{
	(void)state;
	static const struct {
		size_t n;
		const char *want;
	} cases[] = {
	    {10920, "504/5.5.4"},
	    {10928, "500/5.5.6"},
	    {AUTH_LINE_MAX, "500/5.5.6"},
	    {AUTH_LINE_MAX + 1, "500/5.5.6"},
	    {100000, "500/5.5.6"},
	};
	struct signin puppet;
	struct rig *r = auth_rig(&puppet);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		for (unsigned initial = 0; initial < 2; initial++) {
			struct client c = call_at(r, OWN, "auth");
			struct buf line = {0};
			char want[100];
			buf_addf(&line, HI "AUTH %s", initial ? "NONE " : "LOGIN\r\n");
			for (size_t n = 0; n < cases[i].n; n++)
				buf_add_char(&line, 'A');
			buf_addf(&line, "\r\n%s", initial ? "" : "*\r\n");
			buf_addf(&line, "NOOP\r\n");
			say_span(&c, buf_span(&line));
			bool fits = cases[i].n < 10924;
			(void)snprintf(want, sizeof(want), OK_HI "%s%s 250/2.0.0",
			    initial ? "" : "334 ",
			    initial ? cases[i].want
			    : fits  ? "334 501/5.7.0"
				    : "500/5.5.6 500/5.5.2");
			expect(&c, want, "a long response");
			buf_clear(&line);
			hang_up(&c);
		}
	}
	auth_rig_free(&r, &puppet);
}

/* CVE-2011-1720: nothing of one attempt is there in the next. */
static void
test_alternating(void **state)
{
	(void)state;
	struct signin puppet;
	struct rig *r = auth_rig(&puppet);
	struct client c = call_at(r, STRANGER, "auth");
	say(&c, HI);
	for (unsigned i = 0; i < 100; i++) {
		buf_reset(&c.heard);
		say(&c, "AUTH CRAM-MD5\r\nAUTH LOGIN\r\n*\r\nAUTH PLAIN bad\r\n"
			"AUTH SCRAM-SHA-256 bjE=\r\n*\r\nAUTH SCRAM-SHA-256 "
			"bjE=\r\nYw==\r\n*\r\n"
			"AUTH LOGIN YQ==\r\nbad!\r\nAUTH BROKEN\r\n");
		expect(&c,
		    "504/5.5.4 334 501/5.7.0 501/5.5.2 334 501/5.7.0 334 334 501/5.7.0 "
		    "334 501/5.5.2 454/4.7.0",
		    "alternating");
	}
	say(&c, "AUTH PLAIN " RIGHT "\r\n");
	expect(&c, "235/2.7.0", "and right");
	hang_up(&c);
	auth_rig_free(&r, &puppet);
}

/* The end of everything while signin thinks. */
static void
test_cut(void **state)
{
	(void)state;
	struct signin puppet;
	struct rig *r = auth_rig(&puppet);
	struct client c = call_at(r, STRANGER, "auth");
	say(&c, HI "AUTH HANG\r\nNOOP\r\n");
	expect(&c, OK_HI, "it hangs");
	pass(r, 600 * SECOND_MS);
	hear(&c);
	expect(&c, "", "signin has a deadline, the session has none");
	struct client asked = call_at(r, STRANGER, "auth");
	say(&asked, HI "AUTH PLAIN\r\n");
	expect(&asked, OK_HI "334", "asked");
	pass(r, 300 * SECOND_MS);
	hear(&asked);
	expect(&asked, "421/4.4.2 .", "the client has");
	hang_up(&asked);
	hang_up(&c);
	ingress_free(&r->in);
	assert_int_equal(puppet.cancelled, 2);
	assert_int_equal(count(buf_span(&r->lines), "sign-in-failed"), 2);
	auth_rig_free(&r, &puppet);
}

/* A connection that breaks meanwhile takes the exchange with it. */
static void
test_reset(void **state)
{
	(void)state;
	struct signin puppet;
	struct rig *r = auth_rig(&puppet);
	struct client c = call_at(r, STRANGER, "auth");
	static const char sent[] = HI "AUTH HANG\r\n";
	assert_int_equal(send(c.fd, sent, sizeof(sent) - 1, 0), sizeof(sent) - 1);
	run(r);
	assert_int_equal(puppet.begun, 1);
	hang_up(&c); /* with answers unread: a reset */
	assert_int_equal(puppet.cancelled, 1);
	assert_int_equal(ingress_sessions(r->in), 0);
	auth_rig_free(&r, &puppet);
}

/* Who is asked when we stop is told at once; who waits for signin gets its answer first.
 */
static void
test_drain(void **state)
{
	(void)state;
	struct signin puppet;
	struct rig *r = auth_rig(&puppet);
	struct client asked = call_at(r, STRANGER, "auth"),
		      waits = call_at(r, STRANGER, "auth");
	say(&asked, HI "AUTH PLAIN\r\n");
	say(&waits, HI "AUTH PLAIN " WRONG "\r\nNOOP\r\n");
	ingress_drain(r->in, NULL, NULL);
	hear(&asked);
	expect(&asked, OK_HI "334 421/4.3.2 .", "asked");
	pass(r, 2000);
	hear(&waits);
	expect(&waits, OK_HI "535/5.7.8 421/4.3.2 .", "waits");
	hang_up(&asked);
	hang_up(&waits);
	auth_rig_free(&r, &puppet);
}

/* ---- local users */

static void
test_local(void **state)
{
	(void)state;
	struct signin puppet;
	struct rig *r = auth_rig(&puppet);
	const struct passwd *pw = getpwuid(0);
	struct buf want = {0};
	for (unsigned nameless = 0; nameless < 2; nameless++) {
		int fd[2];
		unsigned uid = nameless ? 4000000001u : 0;
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
		ingress_serve_local(r->in, fd[0], uid);
		struct client c = {.rig = r, .fd = fd[1]};
		hear(&c);
		say(&c, HI);
		assert_false(has(buf_span(&c.heard), "AUTH"));
		assert_false(has(buf_span(&c.heard), "STARTTLS"));
		say(&c,
		    "AUTH PLAIN " RIGHT
		    "\r\nSTARTTLS\r\nXCLIENT ADDR=1.2.3.4\r\n" MAIL RCPT DATA TEXT DOT);
		expect(&c,
		    OK_HI
		    "502/5.5.1 502/5.5.1 550/5.7.0 250/2.1.0 250/2.1.5 354 250/2.0.0",
		    "local");
		hang_up(&c);
	}
	assert_int_equal(r->got_n, 2);
	buf_addf(&want, "local:%s", pw != NULL ? pw->pw_name : "uid 0");
	assert_true(span_eq(r->got[0]->account, buf_span(&want)));
	assert_true(span_eq(r->got[0]->protocol, SPAN("local")));
	assert_true(has(r->got[0]->prefix, " (uid 0)\r\n\tby " HOST " with local id "));
	assert_true(r->got[0]->flags & MESSAGE_OWN);
	assert_true(span_eq(r->got[1]->account, SPAN("local:uid 4000000001")));
	assert_true(has(r->got[1]->prefix, " (uid 4000000001)\r\n"));
	buf_clear(&want);
	auth_rig_free(&r, &puppet);
}

/* By a real socket: who it is comes from the kernel. */
static void
test_local_listener(void **state)
{
	(void)state;
	struct rig *r = rig_new("limits { client-connections = 2 }\n");
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/submit", r->dir);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 5), 0);
	ingress_listen_local(r->in, fd);
	ingress_reload(r->in, r->config);
	struct client c[3];
	for (size_t i = 0; i < COUNT_OF(c); i++) {
		c[i] = (struct client){.rig = r};
		c[i].fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(c[i].fd, (struct sockaddr *)&at, sizeof(at)), 0);
		hear(&c[i]);
		say(&c[i], HI MAIL FAR);
		expect(&c[i], OK_HI "250/2.1.0 250/2.1.5", "may relay");
	}
	assert_int_equal(ingress_sessions(r->in), COUNT_OF(c));
	for (size_t i = 0; i < COUNT_OF(c); i++)
		hang_up(&c[i]);
	assert_true(has(buf_span(&r->lines), "user=local:"));
	rig_free(&r);
}

/* ---- behind a proxy */

/* Those who have not yet sent their header are counted, and closed at the end. */
static void
test_proxied(void **state)
{
	(void)state;
	static const char header[] = "PROXY TCP4 192.0.2.77 192.0.2.1 40000 25\r\n";
	struct signin puppet;
	struct rig *r = auth_rig(&puppet);
	struct client wait[5];
	for (size_t i = 0; i < COUNT_OF(wait); i++) {
		wait[i] = call_at(r, "10.0.0.1", "behind");
		expect(&wait[i], "", "no greeting yet");
	}
	assert_int_equal(census_total(r->census), 5);
	assert_int_equal(ingress_sessions(r->in), 0);
	for (size_t i = 0; i + 1 < sizeof(header); i++)
		say_span(&wait[0], (struct span){header + i, 1});
	expect(&wait[0], "220", "octet by octet");
	say(&wait[1], "PROXY TCP4 192.0.2.77 192.0.2.1 40001 25\r\n" HI QUIT);
	expect(&wait[1], "220 250 221/2.0.0 .", "with all that follows");
	assert_int_equal(census_total(r->census), 4);
	hang_up(&wait[2]);
	assert_int_equal(census_total(r->census), 3);
	pass(r, 3000);
	hear(&wait[3]);
	expect(&wait[3], ".", "too late");
	wait[2] = call_at(r, "10.0.0.1", "behind");
	ingress_drain(r->in, NULL, NULL);
	hear(&wait[2]);
	expect(&wait[2], ".", "we stop");
	for (size_t i = 0; i < COUNT_OF(wait); i++)
		hang_up(&wait[i]);
	auth_rig_free(&r, &puppet);
}

/* Never in the clear, whatever else is wrong. */
static void
test_implicit_without_certificate(void **state)
{
	(void)state;
	struct signin puppet;
	struct rig *r = auth_rig(&puppet);
	struct client c = call_at(r, OWN, "smtps");
	expect(&c, ".", "nothing is said");
	hang_up(&c);
	assert_int_equal(count(buf_span(&r->lines), "tls-failed"), 1);
	auth_rig_free(&r, &puppet);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dialogues),
	    cmocka_unit_test(test_offered),
	    cmocka_unit_test(test_failures),
	    cmocka_unit_test(test_failures_are_errors),
	    cmocka_unit_test(test_message),
	    cmocka_unit_test(test_garbage),
	    cmocka_unit_test(test_long),
	    cmocka_unit_test(test_alternating),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_reset),
	    cmocka_unit_test(test_drain),
	    cmocka_unit_test(test_local),
	    cmocka_unit_test(test_local_listener),
	    cmocka_unit_test(test_proxied),
	    cmocka_unit_test(test_implicit_without_certificate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
