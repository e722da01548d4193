/* SPDX-License-Identifier: ISC */
/* The ingress over its life: pausing, draining, reloading, listening; what it writes,
 * large content and a slow disk; many clients at once. */
#include "tests/unit/ingress_rig.h"

/* ---- pause, drain, reload */

static void
on_empty(void *arg)
{
	((struct rig *)arg)->empty++;
}

static void
test_pause(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	atomic_store(&r->paused, true);
	talk(r, OWN, SPAN(HI "NOOP\r\n" MAIL RCPT), OK_HI "250/2.0.0 421/4.3.2 .",
	    "paused");
	atomic_store(&r->paused, false);
	talk(r, OWN, SPAN(HI MAIL), OK_HI "250/2.1.0", "resumed");
	rig_free(&r);
}

static void
test_drain(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	struct client idle = call(r, OWN), mail = call(r, OWN), data = call(r, OWN);
	struct client bdat = call(r, OWN), half = call(r, OWN);
	say(&idle, HI);
	say(&mail, HI MAIL);
	say(&data, HI MAIL RCPT DATA "a: b\r\n");
	say(&bdat, HI MAIL RCPT "BDAT 3\r\nabc");
	say(&half, HI "NO");
	ingress_drain(r->in, on_empty, r);
	hear(&idle), hear(&mail), hear(&data), hear(&bdat), hear(&half);
	expect(&idle, OK_HI "421/4.3.2 .", "idle");
	expect(&mail, OK_HI "250/2.1.0", "in a transaction");
	expect(&data, OK_DATA, "in data");
	expect(&half, OK_HI, "in a command");
	assert_int_equal(ingress_sessions(r->in), 4);
	say(&mail, RCPT);
	expect(&mail, "421/4.3.2 .", "next command");
	say(&data, "\r\n" DOT);
	expect(&data, "250/2.0.0 421/4.3.2 .", "end of data");
	say(&bdat, "BDAT 2 LAST\r\n\r\n");
	expect(&bdat, OK_RCPT "250/2.0.0 250/2.0.0 421/4.3.2 .", "last chunk");
	assert_int_equal(r->empty, 0);
	say(&half, "OP\r\n");
	expect(&half, "421/4.3.2 .", "command");
	assert_int_equal(r->empty, 1);
	assert_int_equal(r->got_n, 2);
	struct client late = call(r, OWN);
	expect(&late, ".", "too late");
	hang_up(&idle), hang_up(&mail), hang_up(&data), hang_up(&bdat), hang_up(&half);
	hang_up(&late);
	rig_free(&r);

	r = rig_new(NULL); /* nobody there */
	ingress_drain(r->in, on_empty, r);
	run(r);
	assert_int_equal(r->empty, 1);
	rig_free(&r);
}

static void
test_reload(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	struct client c = call(r, OWN), shut = call_at(r, OWN, "shut");
	say(&c, HI MAIL RCPT);
	expect(&c, OK_RCPT, "before");
	say(&shut, HI MAIL "RCPT TO:<x@far.example>\r\nRSET\r\n");
	expect(&shut, OK_HI "250/2.1.0 550/5.7.1 250/2.0.0", "its own networks");
	const struct config *tight = read_config("limits { recipients = 1 }\n");
	ingress_reload(r->in, tight);
	config_unref(&tight);
	say(&c, "RCPT TO:<v@office.example>\r\n" DATA TEXT DOT);
	expect(&c, "250/2.1.5 354 250/2.0.0", "the old one to the end");
	say(&c, MAIL RCPT "RCPT TO:<v@office.example>\r\n");
	expect(&c, "250/2.1.0 250/2.1.5 452/4.5.3", "the new one");
	hang_up(&c);

	/* the listener is gone: its sessions do not fall under wider networks */
	struct buf errors = {0};
	const struct config *less = config_parse("test.conf",
	    "hostname = \"" HOST
	    "\"\nspool { path = \"/nowhere\" }\nnetworks = {\"192.0.2.0/24\"}\n"
	    "listener \"smtp\" { bind = {\"127.0.0.1:2525\"} protocol = \"smtp\" }\n"
	    "route \"world\" { deliver = \"mx\" }\n",
	    &errors);
	assert_non_null(less);
	ingress_reload(r->in, less);
	config_unref(&less);
	buf_clear(&errors);
	say(&shut, MAIL "RCPT TO:<x@far.example>\r\n");
	expect(&shut, "250/2.1.0 550/5.7.1", "as strict as before");
	hang_up(&shut);
	rig_free(&r);
}

/* ---- what is written */

static void
test_prefix(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	struct client c = call(r, OWN);
	say(&c, HI MAIL RCPT DATA "Subject: x\r\n\r\nbody\r\n" DOT);
	struct span heard = buf_span(&c.heard);
	const char *id = memmem(heard.p, heard.n, "queued as ", 10);
	assert_non_null(id);
	char word[64];
	snprintf(word, sizeof(word), "%.13s", id + 10);
	hang_up(&c);
	talk(r, STRANGER,
	    SPAN(
		"HELO me\r\nMAIL FROM:<a@c.example>\r\n" RCPT
		"RCPT TO:<v@office.example>\r\n" DATA "hello, this is no header\r\n" DOT),
	    OK_HI "250/2.1.0 250/2.1.5 250/2.1.5 354 250/2.0.0", "no header");
	talk(r, OWN,
	    SPAN(HI "MAIL FROM:<> SMTPUTF8 RET=HDRS ENVID=abc\r\n"
		    "RCPT TO:<u@office.example> ORCPT=rfc822;x\r\nBDAT 3 LAST\r\n\r\nx"),
	    OK_RCPT "250/2.0.0", "null sender");
	assert_int_equal(r->got_n, 3);

	struct buf mail = {0};
	const struct message *m = r->got[0];
	whole(m, &mail);
	struct span s = buf_span(&mail);
	assert_true(has(m->prefix, "Received: from c.example"));
	assert_true(has(m->prefix, "[192.0.2.7]"));
	assert_true(has(m->prefix, "ESMTP"));
	assert_true(has(m->prefix, word));
	assert_true(has(m->prefix, "for <u@office.example>"));
	assert_true(has(m->prefix, "\r\nDate: "));
	assert_true(has(m->prefix, "\r\nMessage-ID: <"));
	assert_true(has(m->prefix, "\r\nFrom: "));
	assert_true(has(s, "\r\nSubject: x\r\n\r\nbody\r\n"));
	assert_int_equal(m->flags, MESSAGE_OWN | MESSAGE_PLAIN);
	assert_true(span_eq(m->client, SPAN(OWN)));
	assert_true(span_eq(m->helo, SPAN("c.example")));
	assert_true(span_eq(m->protocol, SPAN("ESMTP")));
	assert_true(span_eq(m->listener, SPAN("smtp")));
	assert_true(span_eq(m->sender, SPAN("a@c.example")));
	assert_true(has(buf_span(&r->lines), word));

	m = r->got[1];
	assert_false(has(m->prefix, "for <"));
	assert_false(has(m->prefix, "Date:"));
	assert_true(has(m->prefix, " SMTP"));
	assert_true(
	    m->prefix.n > 4 && memcmp(m->prefix.p + m->prefix.n - 4, "\r\n\r\n", 4) == 0);
	assert_int_equal(m->flags, MESSAGE_PLAIN);

	m = r->got[2];
	assert_int_equal(m->flags, MESSAGE_OWN | MESSAGE_RET_HDRS | MESSAGE_NO_CRLF);
	assert_true(span_eq(m->envid, SPAN("abc")));
	assert_true(span_eq(m->rcpt[0].orcpt, SPAN("rfc822;x")));
	assert_true(has(m->prefix, "UTF8SMTP"));
	assert_true(has(m->prefix, "postmaster@" HOST));
	buf_clear(&mail);
	rig_free(&r);
}

static void
test_flags(void **state)
{
	(void)state;
	static const struct {
		const char *send;
		uint32_t flags;
	} cases[] = {
	    {HI MAIL RCPT DATA TEXT DOT, MESSAGE_PLAIN},
	    {HI MAIL RCPT DATA TEXT "..a\r\n" DOT, 0},
	    {HI MAIL RCPT DATA TEXT ".a\r\n" DOT, 0},
	    /* repaired: what it became has not been looked at, and holds CRLF "." CRLF */
	    {HI MAIL RCPT DATA TEXT "a\n.\nb\r\n" DOT, 0},
	    {HI MAIL RCPT DATA TEXT "a\r.\rb\r\n" DOT, 0},
	    {HI MAIL RCPT DATA DOT, 0},
	    {HI MAIL RCPT DATA TEXT "\xc3\xa4\r\n" DOT, MESSAGE_8BIT | MESSAGE_PLAIN},
	    {HI MAIL RCPT DATA TEXT LONG998 "x\r\n" DOT,
		MESSAGE_LONG_LINE | MESSAGE_PLAIN},
	    {HI MAIL RCPT "BDAT 1 LAST\r\nx", MESSAGE_NO_CRLF},
	    {HI MAIL RCPT "BDAT 2 LAST\r\n\r\n", 0},
	    {HI MAIL RCPT "BDAT 1\r\n\rBDAT 1 LAST\r\n\n", 0},
	    {HI "MAIL FROM:<> BODY=BINARYMIME\r\n" RCPT "BDAT 3 LAST\r\n\xff\r\n",
		MESSAGE_BINARY | MESSAGE_8BIT},
	    {HI "MAIL FROM:<> SMTPUTF8 RET=FULL\r\n" RCPT DATA TEXT DOT,
		MESSAGE_RET_FULL | MESSAGE_PLAIN},
	    {HI "MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<\xc3\xa4@office.example>\r\n" DATA TEXT
		    DOT,
		MESSAGE_SMTPUTF8 | MESSAGE_PLAIN},
	    {HI "MAIL FROM:<> SMTPUTF8\r\n" RCPT DATA "Subject: \xc3\xa4\r\n" DOT,
		MESSAGE_SMTPUTF8 | MESSAGE_8BIT | MESSAGE_PLAIN},
	};
	struct rig *r = rig_new(NULL);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct client c = call(r, OWN);
		say(&c, cases[i].send);
		hang_up(&c);
		assert_int_equal(r->got_n, 1);
		if (r->got[0]->flags != (cases[i].flags | MESSAGE_OWN))
			print_error("%s\n", cases[i].send);
		assert_int_equal(r->got[0]->flags, cases[i].flags | MESSAGE_OWN);
		forget(r);
	}
	rig_free(&r);
}

/* The log holds no raw byte from outside (on_line looks), and says why. */
static void
test_log(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	struct client c = call(r, STRANGER);
	say(&c, HI
	    "MAIL FROM:<\x1b[2J@c.example>\r\n" MAIL "RCPT TO:<\"\x7f\"@far.example>\r\n"
	    "RCPT TO:<x@far.example>\r\nRCPT TO:<\xc3\xa4@far.example> X\r\n" RCPT DATA
	    "Message-ID: <\x1b\xff@x>\r\n\r\n" DOT QUIT);
	hang_up(&c);
	assert_true(has(buf_span(&r->lines), " connected "));
	assert_true(has(buf_span(&r->lines), " refused "));
	assert_true(has(buf_span(&r->lines), "550 5.7.1"));
	assert_true(has(buf_span(&r->lines), " accepted "));
	assert_true(has(buf_span(&r->lines), " disconnected "));
	rig_free(&r);
}

/* ---- large content: a file, written while it comes; the client waits for the disk */

static void
add_large(struct buf *b)
{
	buf_add_str(b, HEAD "\r\n");
	for (unsigned i = 0; i < 40000; i++)
		buf_addf(
		    b, "%s%08x %0*u\r\n", i % 7 == 0 ? "." : "", i * 2654435761u, 60, i);
}

static void
check_large(struct rig *r, const struct buf *content)
{
	assert_int_equal(r->got_n, 1);
	const struct message *m = r->got[0];
	struct buf stored = {0};
	whole(m, &stored);
	assert_int_not_equal(m->file, 0);
	assert_int_equal(m->crc, crc32c(0, content->p, content->n));
	assert_true(span_eq(
	    span_cut(buf_span(&stored), m->prefix.n, stored.n), buf_span(content)));
	buf_clear(&stored);
	forget(r);
}

static void
test_large(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	struct buf content = {0}, wire = {0};
	add_large(&content);
	buf_add_str(&wire, HI MAIL RCPT DATA);
	dot_stuff_add(&(struct dot_stuff){0}, &wire, buf_span(&content));
	buf_add_str(&wire, DOT QUIT);
	talk(r, STRANGER, buf_span(&wire), OK_DATA "250/2.0.0 221/2.0.0 .", "DATA");
	check_large(r, &content);

	buf_reset(&wire);
	buf_addf(&wire, HI MAIL RCPT "BDAT %zu\r\n", content.n - 1000);
	buf_add(&wire, content.p, content.n - 1000);
	buf_add_str(&wire, "BDAT 1000 LAST\r\n");
	buf_add(&wire, content.p + content.n - 1000, 1000);
	buf_add_str(&wire, QUIT);
	talk(r, STRANGER, buf_span(&wire), OK_RCPT "250/2.0.0 250/2.0.0 221/2.0.0 .",
	    "BDAT");
	check_large(r, &content);

#ifdef RELAY_FAULTS
	for (unsigned long n = 1; n < 8; n += 3) {
		fault_plan(FAULT_FAIL, "spool.file.write", n);
		talk(r, STRANGER, buf_span(&wire),
		    OK_RCPT "250/2.0.0 452/4.3.1 221/2.0.0 .", "the disk is full");
		fault_plan(FAULT_NONE, NULL, 0);
		assert_int_equal(r->got_n, 0);
	}
#endif
	buf_clear(&content);
	buf_clear(&wire);
	rig_free(&r);
}

/* A pool with a thread of its own is slower than we are: the session waits for it, and
 * goes on. */
static void
test_slow_disk(void **state)
{
	(void)state;
	struct rig *r = rig_new_with(NULL, 0, 1);
	struct buf content = {0}, wire = {0};
	add_large(&content);
	add_large(&content);
	buf_add_str(&wire, HI MAIL RCPT DATA);
	dot_stuff_add(&(struct dot_stuff){0}, &wire, buf_span(&content));
	buf_add_str(&wire, DOT QUIT);
	struct client c = call(r, STRANGER);
	struct span left = buf_span(&wire);
	for (unsigned i = 0; i < 20000 && !c.closed; i++) {
		ssize_t n = send(c.fd, left.p, left.n, MSG_DONTWAIT | MSG_NOSIGNAL);
		left = span_cut(left, n > 0 ? (size_t)n : 0, left.n);
		hear(&c);
		if (n <= 0)
			usleep(1000);
	}
	expect(&c, OK_DATA "250/2.0.0 221/2.0.0 .", "a slow disk");
	check_large(r, &content);
	hang_up(&c);
	buf_clear(&content);
	buf_clear(&wire);
	rig_free(&r);
}

/* A disk that stands still: memory stays within bounds, nobody is told off, only reading
 * stops; when it moves again everything is taken. */

struct standstill {
	struct pool_job job;
	int wait;
	bool over;
};

static void
stand_still(struct pool_job *p)
{
	struct standstill *s = CONTAINER_OF(p, struct standstill, job);
	char octet;
	assert_int_equal(read(s->wait, &octet, 1), 1);
}

static void
moves_again(struct pool_job *p)
{
	CONTAINER_OF(p, struct standstill, job)->over = true;
}

#define PUSHERS 4
#define BUDGET (200u << 10)
#define EACH_MOST (5 * (64u << 10)) /* a piece, two behind it, what one turn reads */

/* Send as much as is taken; false if that was nothing. */
static bool
push(struct client *c, struct span *left)
{
	ssize_t n = send(c->fd, left->p, left->n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		*left = span_cut(*left, (size_t)n, left->n);
	hear(c);
	return n > 0;
}

static void
test_standstill(void **state)
{
	(void)state;
	struct rig *r = rig_new_with(NULL, 0, 1);
	struct buf content = {0}, wire = {0};
	struct standstill s = {.job = {.run = stand_still, .done = moves_again}};
	struct client c[PUSHERS];
	struct span left[PUSHERS];
	int fd[2];
	assert_int_equal(pipe(fd), 0);
	s.wait = fd[0];
	r->budget.limit = BUDGET;
	pool_start(r->pool, &s.job, loop_inbox(r->loop)); /* the only thread there is */
	add_large(&content);
	buf_add_str(&wire, HI MAIL RCPT DATA);
	dot_stuff_add(&(struct dot_stuff){0}, &wire, buf_span(&content));
	buf_add_str(&wire, DOT QUIT);
	for (unsigned i = 0; i < PUSHERS; i++) {
		c[i] = call(r, STRANGER);
		left[i] = buf_span(&wire);
	}
	for (bool taken = true; taken;) {
		taken = false;
		for (unsigned i = 0; i < PUSHERS; i++)
			taken = push(&c[i], &left[i]) || taken;
		assert_true(atomic_load(&r->budget.used) < BUDGET + PUSHERS * EACH_MOST);
	}
	for (unsigned i = 0; i < PUSHERS; i++) {
		assert_true(left[i].n > wire.n / 2); /* it is not read any more */
		assert_false(c[i].closed);
	}
	assert_int_equal(write(fd[1], "x", 1), 1);
	for (unsigned ended = 0; ended < PUSHERS;) {
		(void)loop_turn(r->loop, false);
		ended = 0;
		for (unsigned i = 0; i < PUSHERS; i++) {
			if (left[i].n > 0)
				(void)push(&c[i], &left[i]);
			else
				hear(&c[i]);
			ended += c[i].closed;
		}
	}
	assert_true(s.over);
	for (unsigned i = 0; i < PUSHERS; i++) {
		expect(&c[i], OK_DATA "250/2.0.0 221/2.0.0 .", "a disk that moves again");
		hang_up(&c[i]);
	}
	assert_int_equal(r->got_n, PUSHERS);
	close(fd[0]);
	close(fd[1]);
	buf_clear(&content);
	buf_clear(&wire);
	rig_free(&r);
}

/* The end of everything between the final dot and the spool's answer. */
static void
test_free_while_storing(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	struct client c = call(r, OWN);
	struct span all = SPAN(HI MAIL RCPT DATA TEXT DOT);
	assert_int_equal(send(c.fd, all.p, all.n, 0), (ssize_t)all.n);
	loop_turn(r->loop, false);
	ingress_free(&r->in);
	run(r);
	hear(&c);
	assert_false(has(buf_span(&c.heard), "queued as"));
	hang_up(&c);
	rig_free(&r);
}

/* ---- others are served meanwhile */

static void
test_fairness(void **state)
{
	(void)state;
	struct rig *r = rig_new("limits { errors = 1000 }\n");
	struct client greedy = call(r, OWN), modest = call(r, STRANGER);
	struct buf text = {0};
	for (unsigned i = 0; i < 400; i++)
		buf_add_str(&text, "RSET\r\n");
	struct span all = buf_span(&text);
	assert_int_equal(send(greedy.fd, all.p, all.n, MSG_DONTWAIT), (ssize_t)all.n);
	assert_int_equal(send(modest.fd, "NOOP\r\n", 6, MSG_DONTWAIT), 6);
	loop_turn(r->loop, false);
	loop_turn(r->loop, false);
	char block[16384];
	ssize_t n = recv(greedy.fd, block, sizeof(block), MSG_DONTWAIT);
	assert_in_range(n, 1, 320 * 14); /* not everything yet */
	hear(&modest);
	expect(&modest, "220 250/2.0.0", "modest");
	hear(&greedy);
	hang_up(&greedy);
	hang_up(&modest);
	buf_clear(&text);
	rig_free(&r);
}

/* ---- listening */

static int
dial(const struct net_addr *to)
{
	struct sockaddr_storage ss;
	socklen_t n = net_to_sockaddr(to, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, n), 0);
	return fd;
}

static void
listen_on(struct rig *r, const char *name, struct net_addr *at)
{
	assert_int_equal(net_parse_addr(SPAN("127.0.0.1:0"), at), OK);
	int fd = net_listen(at, false);
	assert_true(fd >= 0);
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &n), 0);
	net_from_sockaddr((struct sockaddr *)&ss, at);
	ingress_listen(r->in, fd, name);
}

static void
test_listen(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	struct net_addr at, other;
	listen_on(r, "smtp", &at);
	listen_on(r, "temporary", &other);
	struct client c = {.rig = r, .fd = dial(&at)}, d = {.rig = r, .fd = dial(&other)};
	say(&c, HI);
	expect(&c, OK_HI, "by a listener");
	say(&d, HI);
	expect(&d, OK_HI, "by another");
	ingress_reload(r->in, r->config); /* knows no "temporary" */
	say(&d, "NOOP\r\n");
	expect(&d, "250/2.0.0", "its session goes on");
	struct sockaddr_storage ss;
	socklen_t n = net_to_sockaddr(&other, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ss, n), -1);
	close(fd);
	hang_up(&c);
	hang_up(&d);
	rig_free(&r);
}

/* No descriptor is left: who comes is closed, nothing spins, and it goes on afterwards.
 */
static void
test_starved(void **state)
{
	(void)state;
	struct rig *r = rig_new(NULL);
	struct net_addr at;
	listen_on(r, "smtp", &at);
	int fd = dial(&at), second = dial(&at);
	struct rlimit old, low;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)second + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	unsigned turns = 0;
	while (loop_turn(r->loop, false))
		assert_true(++turns < 10);
	char block[64];
	assert_int_equal(recv(fd, block, sizeof(block), MSG_DONTWAIT), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_true(has(buf_span(&r->lines), "limit what=descriptors"));
	close(fd);
	struct client c = {.rig = r, .fd = second};
	hear(&c);
	expect(&c, "", "waiting");
	pass(r, SECOND_MS);
	say(&c, HI);
	expect(&c, OK_HI, "after the pause");
	hang_up(&c);
	rig_free(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pause),
	    cmocka_unit_test(test_drain),
	    cmocka_unit_test(test_reload),
	    cmocka_unit_test(test_prefix),
	    cmocka_unit_test(test_flags),
	    cmocka_unit_test(test_log),
	    cmocka_unit_test(test_large),
	    cmocka_unit_test(test_slow_disk),
	    cmocka_unit_test(test_standstill),
	    cmocka_unit_test(test_free_while_storing),
	    cmocka_unit_test(test_fairness),
	    cmocka_unit_test(test_listen),
	    cmocka_unit_test(test_starved),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
