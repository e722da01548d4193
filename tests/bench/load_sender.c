/* SPDX-License-Identifier: ISC */
/*
 * One SMTP client per connection: waits for an answer, looks at its step, says the
 * next thing.  A connection that breaks is dialled again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "clock.h"
#include "load.h"

enum step {
	STEP_GREETING,
	STEP_STARTTLS,
	STEP_SHAKING,
	STEP_EHLO,
	STEP_AUTH,
	STEP_HOLD, /* nothing more is said */
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_DOT,
	STEP_QUIT
};

struct sender {
	struct run *run;
	struct io *io;
	enum step step;
	uint64_t message, sent, rcpts_done;
	bool in_message, inside;
	int64_t dot_us;
	struct timer redial, pause;
};

static void dial(void *arg);

/* However short the time: there are as many messages as connections. */
static bool
nothing_left(const struct run *r)
{
	return (r->over && r->next >= r->connections) || r->next >= r->messages;
}

static void
stop_sender(struct sender *s)
{
	io_free(&s->io);
	timer_clear(&s->pause);
	if (--s->run->open == 0)
		loop_stop(s->run->loop);
}

/* The connection broke or ended: what had no final answer is unknown. */
static void
lost(struct sender *s)
{
	struct run *r = s->run;
	io_free(&s->io);
	timer_clear(&s->pause);
	if (s->in_message)
		r->unknown++;
	s->in_message = false;
	bool late = instant_since(loop_now(r->loop), r->last) > r->give_up_ms;
	if (nothing_left(r) || late) {
		stop_sender(s);
		return;
	}
	r->redials++;
	timer_set(&s->redial, 20);
}

/* ---- one message */

static void
add_domain(struct sender *s)
{
	struct run *r = s->run;
	if (r->domains > 0)
		io_addf(s->io, "d%llu.", (unsigned long long)(s->message % r->domains));
	io_addf(s->io, "%s", r->domain);
}

static void
put_message(struct sender *s)
{
	struct run *r = s->run;
	io_addf(s->io,
	    "From: <load@%s>\r\nTo: <r0@%s>\r\nSubject: load\r\nDate: Mon, 23 Nov 2026 "
	    "12:00:00 +0000\r\n"
	    "Message-ID: <%s-%llu@load>\r\nX-Ledger: %s-%llu\r\n\r\n",
	    r->domain, r->domain, r->tag, (unsigned long long)s->message, r->tag,
	    (unsigned long long)s->message);
	io_add_content(s->io, r->body, 0, r->body_n);
	io_add(s->io, ".\r\n", 3);
	s->dot_us = clock_us();
	s->step = STEP_DOT;
}

static void
put_rcpt(struct sender *s)
{
	io_addf(s->io, "RCPT TO:<r%llu@", (unsigned long long)s->rcpts_done);
	add_domain(s);
	io_add(s->io, ">\r\n", 3);
}

/* Signed in and ready: that was all that is measured. */
static void
leave(struct sender *s)
{
	struct run *r = s->run;
	r->last = loop_now(r->loop);
	r->last_us = clock_us();
	if (!nothing_left(r))
		r->sent[r->accepted++] = (struct sent){r->next++, s->dot_us, r->last_us};
	io_add(s->io, "QUIT\r\n", 6);
	s->step = STEP_QUIT;
}

static void
hold(struct sender *s)
{
	struct run *r = s->run;
	s->step = STEP_HOLD;
	if (++r->held == r->connections) {
		printf("held %u\n", r->held);
		fflush(stdout);
	}
}

static void
next_message(struct sender *s)
{
	struct run *r = s->run;
	if (r->hold) {
		hold(s);
		return;
	}
	if (r->no_mail) {
		leave(s);
		return;
	}
	if (nothing_left(r) || (r->per_connection > 0 && s->sent >= r->per_connection)) {
		io_add(s->io, "QUIT\r\n", 6);
		s->step = STEP_QUIT;
		return;
	}
	s->message = r->next++;
	s->sent++;
	s->in_message = true;
	s->rcpts_done = 0;
	io_addf(s->io, "MAIL FROM:<load@%s>\r\n", r->domain);
	if (r->pipeline) {
		for (s->rcpts_done = 0; s->rcpts_done < r->rcpts; s->rcpts_done++)
			put_rcpt(s);
		io_add(s->io, "DATA\r\n", 6);
		s->rcpts_done = 0;
	}
	s->step = STEP_MAIL;
}

static void
on_pause(void *arg)
{
	next_message(arg);
}

static void
promised(struct sender *s)
{
	struct run *r = s->run;
	r->last = loop_now(r->loop);
	r->last_us = clock_us();
	r->sent[r->accepted++] = (struct sent){s->message, s->dot_us, r->last_us};
	s->in_message = false;
	if (r->ledger >= 0) {
		char line[128];
		int n = snprintf(line, sizeof(line), "%s-%llu\n", r->tag,
		    (unsigned long long)s->message);
		if (write(r->ledger, line, (size_t)n) != n)
			abort();
	}
	if (r->pause_ms > 0)
		timer_set(&s->pause, r->pause_ms);
	else
		next_message(s);
}

static void
refused(struct sender *s)
{
	s->run->refused++;
	s->in_message = false;
	if (s->run->pipeline) { /* the rest of the group would be answered, too: start
				   over */
		lost(s);
		return;
	}
	s->step =
	    STEP_AUTH; /* RSET's answer is taken as that of the last step before MAIL */
	io_add(s->io, "RSET\r\n", 6);
}

/* ---- answers */

static void
say_hello(struct sender *s)
{
	io_add(s->io, "EHLO load.test\r\n", 16);
	s->step = STEP_EHLO;
}

static void
start_tls(struct sender *s)
{
	struct tls_peer peer = {.name = "relay.test"};
	if (io_start_tls_client(s->io, s->run->tls_client, &peer) == OK)
		s->step = STEP_SHAKING;
	else
		lost(s);
}

static void
on_hello(struct sender *s)
{
	struct run *r = s->run;
	if (r->tls && !s->inside) {
		io_add(s->io, "STARTTLS\r\n", 10);
		s->step = STEP_STARTTLS;
	} else if (r->auth != NULL) {
		io_addf(s->io, "AUTH PLAIN %s\r\n", r->auth);
		s->step = STEP_AUTH;
	} else {
		next_message(s);
	}
}

static void
on_rcpt(struct sender *s)
{
	struct run *r = s->run;
	if (++s->rcpts_done < r->rcpts) {
		if (!r->pipeline)
			put_rcpt(s);
		return;
	}
	s->step = STEP_DATA;
	if (!r->pipeline)
		io_add(s->io, "DATA\r\n", 6);
}

static void
on_goodbye(struct sender *s)
{
	io_free(&s->io);
	if (nothing_left(s->run))
		stop_sender(s);
	else
		dial(s);
}

static void
on_reply(struct sender *s, struct span line)
{
	bool good = line.n >= 3 && (line.p[0] == '2' || line.p[0] == '3');
	if (line.n > 3 && line.p[3] == '-')
		return;
	if (!good && s->step != STEP_QUIT) {
		if (s->step >= STEP_MAIL)
			refused(s);
		else
			lost(s);
		return;
	}
	switch (s->step) {
	case STEP_GREETING: say_hello(s); break;
	case STEP_STARTTLS: start_tls(s); break;
	case STEP_SHAKING: break;
	case STEP_EHLO: on_hello(s); break;
	case STEP_AUTH: next_message(s); break;
	case STEP_HOLD: break;
	case STEP_MAIL:
		s->step = STEP_RCPT;
		if (!s->run->pipeline)
			put_rcpt(s);
		break;
	case STEP_RCPT: on_rcpt(s); break;
	case STEP_DATA: put_message(s); break;
	case STEP_DOT: promised(s); break;
	case STEP_QUIT: on_goodbye(s); break;
	}
}

static void
on_io(void *arg, enum io_event ev)
{
	struct sender *s = arg;
	struct span line;
	switch (ev) {
	case IO_INPUT:
		while (s->io != NULL && io_line(s->io, 4096, &line) == IO_LINE)
			on_reply(s, line);
		break;
	case IO_EOF:
	case IO_ERROR:
	case IO_TIMEOUT: lost(s); break;
	case IO_TLS:
		s->inside = true;
		say_hello(s);
		break;
	case IO_CONNECTED:
	case IO_DRAINED: break;
	}
	if (s->io != NULL)
		io_deadline(s->io, s->step == STEP_HOLD ? 0 : 60 * SECOND_MS);
}

static void
dial(void *arg)
{
	struct sender *s = arg;
	s->sent = 0;
	s->step = STEP_GREETING;
	s->inside = false;
	s->dot_us = clock_us();
	int fd = world_dial(loop_world(s->run->loop), &s->run->to, NULL);
	if (fd < 0) {
		lost(s);
		return;
	}
	s->io = io_new_dialled(s->run->loop, fd, on_io, s);
}

void
senders_start(struct run *r)
{
	r->sender = mem_alloc(r->connections * sizeof(struct sender));
	r->open = r->connections;
	for (unsigned i = 0; i < r->connections; i++) {
		struct sender *s = &r->sender[i];
		s->run = r;
		timer_init(&s->redial, r->loop, dial, s);
		timer_init(&s->pause, r->loop, on_pause, s);
		dial(s);
	}
}

void
senders_free(struct run *r)
{
	for (unsigned i = 0; i < r->connections; i++) {
		timer_clear(&r->sender[i].redial);
		timer_clear(&r->sender[i].pause);
		io_free(&r->sender[i].io);
	}
	mem_free(&r->sender);
}
