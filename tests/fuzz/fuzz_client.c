/* SPDX-License-Identifier: ISC */
/*
 * Whole sessions of the SMTP client with a hostile next hop, and up to four mails to
 * send.  The first octets choose the way there and the mails, as do_session() has it;
 * the rest is what the next hop says, inside of TLS where that has begun.  It is cut into
 * pieces, each of which the client has judged before the next comes, and some octets that
 * no UTF-8 has are other things that happen:
 *
 *	ff  a piece ends            fe  a minute goes by
 *	fd  the next hop takes nothing from now on, or does so again
 *	fc  the owner quits         fb  the owner lets go
 *
 * What the client says is judged by a witness (witness.h).  Here it is what it tells its
 * owner: READY once; each mail ends once; each recipient has one verdict, and it is what
 * the next hop's answers make of it, so that nobody counts as delivered without a 2yz to
 * the end of the content; where that is awaited the link breaks in doubt.  A reply
 * without its command, and what is no reply, end the connection; in silence it ends, too.
 */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/io.h"
#include "base/mem.h"
#include "tests/fuzz/client_mails.h"
#include "tests/lib/fake_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD 4
#define MAILS 4
#define LONGEST (11 * MINUTE_MS) /* any deadline */
#define SMALL 4096               /* a narrow socket */

static const struct smtp_client_config timeouts = {.connect_ms = 30 * SECOND_MS,
    .greeting_ms = 5 * MINUTE_MS,
    .helo_ms = 5 * MINUTE_MS,
    .mail_ms = 5 * MINUTE_MS,
    .rcpt_ms = 5 * MINUTE_MS,
    .data_ms = 2 * MINUTE_MS,
    .block_ms = 3 * MINUTE_MS,
    .dot_ms = 10 * MINUTE_MS,
    .quit_ms = 5 * SECOND_MS};

static struct session {
	struct fake_world world;
	struct loop *loop;
	struct tls_client *tls;
	struct tls_server *tls_hop;
	struct witness witness;
	/* of one session */
	struct client *client; /* NULL: let go */
	int peer;              /* the next hop's side; -1: closed, or inside of hop */
	struct io *hop;        /* the same with TLS */
	bool speaks_tls;       /* the next hop, if it is asked to */
	bool narrow, at_once;  /* the next mail is handed over inside the callback */
	bool deaf;             /* the next hop takes nothing */
	bool ready, lost, in_call;
	enum client_mail_kind queue[MAILS];
	size_t queued;
	struct client_mail *mail; /* under way */
	struct client_mail *past; /* the last that is over, and its verdicts */
	uint16_t code[WITNESS_RCPTS];
	unsigned sent;
} s;

static int
on_dial(void *arg, const struct net_addr *to, const struct net_addr *from)
{
	int fd[2], size = SMALL;
	(void)arg;
	(void)to;
	(void)from;
	CHECK(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	if (s.narrow)
		CHECK(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
	s.peer = fd[1];
	return fd[0];
}

static bool
hear(void)
{
	static char room[1 << 18];
	if (s.hop != NULL) {
		struct span in = io_input(s.hop);
		witness_hears(&s.witness, in);
		size_t n = in.n;
		io_consume(s.hop, n);
		if (n > 0)
			io_resume(s.hop); /* it may have been full */
		return n > 0;
	}
	ssize_t n = s.peer < 0 ? 0 : recv(s.peer, room, sizeof(room), MSG_DONTWAIT);
	if (n > 0)
		witness_hears(&s.witness, (struct span){room, (size_t)n});
	return n > 0;
}

static void
on_hop(void *arg, enum io_event ev)
{
	(void)arg;
	if (ev == IO_TLS)
		witness_secured(&s.witness);
}

/* The next hop has said, or it is agreed, that TLS begins. */
static void
begin_tls(void)
{
	if (!s.witness.dark || s.witness.must_end || !s.speaks_tls || s.hop != NULL)
		return;
	s.hop = io_new(s.loop, s.peer, on_hop, NULL);
	s.peer = -1;
	CHECK(io_start_tls_server(s.hop, s.tls_hop) == OK);
}

/* Returns how many octets it could. */
static size_t
tell_client(struct span octets)
{
	if (s.hop != NULL && !s.witness.dark)
		io_add_span(s.hop, octets);
	if (s.hop != NULL)
		return s.witness.dark ? 0 : octets.n;
	ssize_t n = send(s.peer, octets.p, octets.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	return n > 0 ? (size_t)n : 0;
}

static void
hang_up(void)
{
	if (s.hop != NULL)
		io_free(&s.hop);
	if (s.peer >= 0)
		(void)close(s.peer);
	s.peer = -1;
}

/* ---- what the owner is told */

/* Nothing is changed in a mail that is over. */
static void
check_past(void)
{
	if (s.past == NULL || s.past == s.mail) /* the same goes out again */
		return;
	for (size_t i = 0; i < s.past->mail.rcpts; i++)
		CHECK(s.past->to[i].verdict.code == s.code[i]);
}

static void
send_next(void)
{
	if (s.client == NULL || s.lost || !s.ready || s.mail != NULL || s.queued == 0)
		return;
	check_past();
	s.mail = client_mail(s.queue[--s.queued]);
	witness_mail(&s.witness, &s.mail->should);
	bool outer = s.in_call;
	s.in_call = true;
	client_send(s.client, &s.mail->mail);
	s.in_call = outer;
}

static void
mail_over(void)
{
	for (size_t i = 0; i < s.mail->mail.rcpts; i++)
		s.code[i] = s.mail->to[i].verdict.code;
	s.past = s.mail;
	s.mail = NULL;
}

/* Recipient i's verdict, if it was said; his address was refused to be said; or `why`, if
 * nothing was. */
static void
check_verdict(size_t i, unsigned why)
{
	const struct witness *w = &s.witness;
	const struct verdict *v = &s.mail->to[i].verdict;
	unsigned said = witness_verdict(w, i);
	bool nameless = s.mail->should.rcpt[i].ascii.p == NULL && !w->utf8;
	CHECK(v->code >= 200 && v->code <= 599);
	if (nameless && witness_find(w, SAYS_MAIL) < w->items)
		CHECK(v->code == 553);
	else if (v->code != said && v->code != why)
		CHECK(said == 552 && v->code == 452); /* too many recipients: softened */
}

static void
check_relayed(const struct mail_rcpt *r)
{
	bool wants = (r->rcpt->notify & NOTIFY_SUCCESS) != 0;
	CHECK(r->relayed == (wants && verdict_ok(&r->verdict) &&
				!(client_extensions(s.client) & EXT_DSN)));
}

static void
on_ready(void)
{
	const char *mechanism = client_mechanism(s.client);
	CHECK(!s.ready && s.mail == NULL && witness_ready(&s.witness));
	/* by SCRAM a stranger cannot prove himself */
	CHECK(mechanism == NULL || strncmp(mechanism, "SCRAM", 5) != 0);
	CHECK((mechanism != NULL) == s.witness.user);
	CHECK((client_tls(s.client) != NULL) == s.witness.secured);
	s.ready = true;
}

static void
on_sent(void)
{
	const struct witness *w = &s.witness;
	CHECK(s.mail != NULL && client_messages(s.client) == ++s.sent);
	CHECK(!witness_awaits(w) || w->unsure || w->must_end);
	for (size_t i = 0; i < s.mail->mail.rcpts; i++) {
		const struct mail_rcpt *r = &s.mail->to[i];
		unsigned code = r->verdict.code, said = witness_verdict(w, i);
		check_verdict(i, said == 0 && code >= 500 ? code : 0);
		CHECK(!verdict_ok(&r->verdict) || w->items <= w->early);
		check_relayed(r);
	}
	mail_over();
}

/* Is the first command of the mail answered by a word that may answer it? */
static bool
spoken_to(void)
{
	const struct witness *w = &s.witness;
	unsigned code = witness_code(w, w->from);
	if (w->from >= w->items || code == 0 || code == 421)
		return false;
	return code / 100 == 2 || (code >= 400 && w->item[w->from].kind == SAYS_MAIL);
}

/* With the mail under way: the link's end is the end for those without an answer. */
static void
lost_in_mail(void)
{
	const struct witness *w = &s.witness;
	unsigned why = client_verdict(s.client)->code;
	size_t dot = witness_find(w, SAYS_DOT);
	for (size_t i = 0; i < s.mail->mail.rcpts; i++) {
		const struct verdict *v = &s.mail->to[i].verdict;
		unsigned said = witness_verdict(w, i);
		check_verdict(i, why);
		CHECK(!verdict_ok(v) || (w->lmtp && v->code == said));
	}
	if (client_stale(s.client))
		CHECK(s.sent > 0 && (!spoken_to() || w->unsure));
	if (!witness_is_for_somebody(w)) /* a lone dot after a 354 for nobody */
		dot = w->items;
	if (client_maybe_delivered(s.client))
		CHECK(dot < w->items);
	else if (!w->unsure)
		CHECK(dot >= w->items || w->answers > dot);
	mail_over();
}

static void
on_client(void *arg, enum client_event ev)
{
	(void)arg;
	CHECK(!s.lost && !s.in_call && s.client != NULL);
	while (hear())
		;
	s.in_call = true;
	switch (ev) {
	case CLIENT_READY: on_ready(); break;
	case CLIENT_SENT: on_sent(); break;
	case CLIENT_LOST:
		s.lost = true;
		CHECK(client_verdict(s.client)->code >= 400);
		if (s.mail != NULL)
			lost_in_mail();
		break;
	}
	s.in_call = false;
	if (s.at_once)
		send_next();
}

/* ---- time goes on */

static void
settle(void)
{
	do
		while (loop_turn(s.loop, false))
			;
	while (!s.deaf && hear());
}

/* Everything has been said that can be said now. */
static void
check(void)
{
	const struct witness *w = &s.witness;
	if (s.client == NULL || s.lost || s.deaf)
		return;
	CHECK(!w->must_end || w->unsure);
	if (!s.ready || s.mail != NULL)
		CHECK(w->dark || w->socks > 0 || w->unsure || witness_awaits(w));
	else
		CHECK(client_stage(s.client) == STAGE_IDLE);
}

static void
go_on(void)
{
	settle();
	send_next();
	settle();
	check();
}

static void
pass(int64_t ms)
{
	fake_world_pass(&s.world, ms);
	go_on();
}

static void
say(struct span octets)
{
	if (s.lost || s.client == NULL || octets.n == 0 ||
	    s.witness.answers + octets.n >= WITNESS_ITEMS)
		return;
	s.witness.unsure |= s.deaf;
	witness_says(&s.witness, span_cut(octets, 0, tell_client(octets)));
	begin_tls();
	go_on();
}

static void
let_go(bool quit)
{
	s.in_call = true; /* nothing is told */
	if (quit)
		client_quit(&s.client);
	else
		client_free(&s.client);
	s.in_call = false;
}

static void
happen(uint8_t what)
{
	switch (what) {
	case 0xfe: pass(MINUTE_MS); break;
	case 0xfd:
		s.deaf = !s.deaf && s.witness.socks == 0 && s.hop == NULL;
		go_on();
		break;
	case 0xfc:
	case 0xfb:
		let_go(what == 0xfc);
		go_on();
		break;
	default: break;
	}
}

/* In pieces of so many octets; 0: of a line. */
static void
say_all(const uint8_t *p, size_t n, size_t piece)
{
	size_t from = 0;
	for (size_t at = 0; at < n; at++) {
		bool event = p[at] >= 0xfb;
		bool line = piece == 0 && p[at] == '\n';
		size_t end = at + !event;
		if (!event && !line && end - from != piece)
			continue;
		say((struct span){(const char *)p + from, end - from});
		if (event)
			happen(p[at]);
		from = at + 1;
	}
	say((struct span){(const char *)p + from, n - from});
}

/* ---- a session */

static void
dial(uint8_t way, uint8_t more)
{
	struct client_options o = {.host = "mx.test",
	    .helo = "me.test",
	    .timeouts = &timeouts,
	    .lmtp = way & 1,
	    .auth_in_clear = way & 4,
	    .tls = (enum route_tls)(way >> 4 & 3),
	    .tls_client = s.tls};
	struct tls_peer peer = {.name = "mx.test"};
	struct net_addr proxy;
	o.peer = &peer;
	if (way & 2) {
		o.user = "u";
		o.secret = "secret";
	}
	CHECK(net_parse_addr(SPAN("192.0.2.1:25"), &o.to) == OK);
	CHECK(net_parse_addr(SPAN("192.0.2.9:1080"), &proxy) == OK);
	if (way & 8)
		o.socks = &proxy;
	o.tls_implicit = more & 0x80;
	s.speaks_tls = (more + 0x40) & 0x80; /* 1, 2 of the two bits */
	s.narrow = more & 8;
	witness_reset(&s.witness, o.lmtp, o.socks != NULL);
	s.witness.user = o.user != NULL;
	s.witness.clear = o.auth_in_clear;
	s.witness.tls_must = o.tls >= ROUTE_TLS_REQUIRED;
	s.witness.tls_right = o.tls == ROUTE_TLS_VERIFY;
	s.witness.implicit = o.tls_implicit;
	s.witness.dark = o.tls_implicit && o.socks == NULL;
	s.in_call = true;
	s.client = client_new(s.loop, &o, on_client, NULL);
	s.in_call = false;
	begin_tls();
	settle();
}

/* Greeted already, if the input wants it so. */
static void
greet(uint8_t more)
{
	static const char *const hello[] = {"250 mx\r\n",
	    "250-mx\r\n250-DSN\r\n250 PIPELINING\r\n",
	    ("250-mx\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250-DSN\r\n"
	     "250-CHUNKING\r\n250-BINARYMIME\r\n250-AUTH PLAIN\r\n250-STARTTLS\r\n250 "
	     "SMTPUTF8\r\n")};
	size_t which = more >> 4 & 3;
	if (which == 0 || s.witness.dark)
		return;
	say(SPAN("220 mx ESMTP\r\n"));
	say(span_str(hello[which - 1]));
	if (s.witness.item[s.witness.items - 1].kind == SAYS_AUTH)
		say(SPAN("235 welcome\r\n"));
}

/* The next hop goes, is silent, says no more, or nobody wants it any more. */
static void
end(uint8_t way)
{
	unsigned how = way >> 6;
	while (how == 0 && hear())
		;
	if (how == 0) {
		hang_up();
	} else if (how == 2) {
		(void)shutdown(s.hop != NULL ? io_fd(s.hop) : s.peer, SHUT_WR);
	} else if (how == 3) {
		let_go(false);
	}
	settle();
	for (int i = 0; i < 3 && how == 1; i++)
		pass(LONGEST);
	bool idle = how == 1 && s.ready && s.mail == NULL;
	CHECK(s.client == NULL || s.lost || idle ||
	      (s.deaf && how == 2)); /* what is to be said goes first */
}

static void
do_session(const uint8_t *p, size_t n)
{
	/* 0: protocol, sign-in, in the clear, proxy, TLS (2 bits), end (2 bits) */
	/* 1: pieces (2), next mail inside, narrow, greeted (2), TLS (2): none, by
	 * STARTTLS, implicit, */
	/*    implicit with a next hop that speaks none */
	/* 2, 3: mails, the last first; a number that no kind has: none */
	static const size_t piece[] = {0, SIZE_MAX, 1, 7};
	uint8_t way = p[0], more = p[1];
	s.at_once = more & 4;
	for (size_t i = 0; i < MAILS; i++) {
		unsigned kind = p[2 + i / 2] >> (i % 2 * 4) & 15;
		if (kind < MAIL_KINDS)
			s.queue[s.queued++] = (enum client_mail_kind)kind;
	}
	dial(way, more);
	go_on();
	greet(more);
	say_all(p + HEAD, n - HEAD, piece[more & 3]);
	end(way);
	check_past();
	let_go(true);
	settle();
	hang_up();
	pass(MINUTE_MS); /* what io_finish() left behind */
}

/* Nobody can verify its certificate. */
static void
make_hop(void)
{
	char dir[] = "/tmp/fuzz-client.XXXXXX", certificate[64], key[64];
	struct buf why = {0};
	CHECK(mkdtemp(dir) != NULL);
	snprintf(certificate, sizeof(certificate), "%s/crt", dir);
	snprintf(key, sizeof(key), "%s/key", dir);
	CHECK(tls_self_signed("mx.test", certificate, key, s.world.wall, &why) == OK);
	struct tls_files files = {certificate, key};
	struct tls_server_options o = {.file = &files, .files = 1};
	s.tls_hop = tls_server_new(&o, &why);
	CHECK(s.tls_hop != NULL);
	(void)unlink(certificate);
	(void)unlink(key);
	(void)rmdir(dir);
	buf_clear(&why);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (s.loop == NULL) {
		struct buf why = {0};
		(void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2) */
		fake_world_init(&s.world);
		s.world.dial = on_dial;
		s.loop = loop_new(&s.world.world);
		s.tls = tls_client_new(NULL, &why);
		CHECK(s.tls != NULL);
		make_hop();
	}
	if (size < HEAD)
		return 0;
	s.client = NULL;
	s.mail = s.past = NULL;
	s.deaf = s.ready = s.lost = false;
	s.queued = s.sent = 0;
	s.peer = -1;
	do_session(data, size);
	return 0;
}
