/* SPDX-License-Identifier: ISC */
/*
 * robot - reads commands, answers 250, and enters what it took in the ledger.
 * If a server of the script speaks TLS, it offers STARTTLS, too.
 */
#include "tests/talk/robot.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/talk/secure.h"

struct robot {
	struct link link;
	struct stage *stage;
	int fd;
	struct secure *secure;
	char address[NET_TEXT];
	bool data;
	struct buf in;
	struct ledger_body body;
};

static void
answer(struct robot *r, const char *text)
{
	if (r->secure != NULL)
		(void)secure_send(r->secure, text, strlen(text));
	else
		(void)send(r->fd, text, strlen(text), MSG_NOSIGNAL);
}

static void
start_tls(struct robot *r)
{
	char *names = script_cert_names(r->stage->script, r->address);
	struct secure_wish w = {.server = true};
	w.certificate = certs_for(stage_certs(r->stage), CERT_GOOD, names, &w.key);
	answer(r, "220 go\r\n");
	r->secure = secure_new(r->fd, &w);
	mem_free(&names);
}

void
robot_new(struct stage *s, int fd, const char *address)
{
	struct robot *r = NEW(struct robot);
	r->stage = s;
	r->fd = fd;
	span_copy(span_str(address), r->address, sizeof(r->address));
	buf_init(&r->in, 0);
	list_push(&s->robots, &r->link);
	answer(r, "220 robot\r\n");
}

static void
robot_free(struct robot *r)
{
	list_remove(&r->link);
	secure_free(&r->secure, true);
	(void)close(r->fd);
	buf_clear(&r->in);
	mem_free(&r);
}

/* The address between < and >. */
static void
note_rcpt(struct robot *r, struct span line)
{
	struct span a = span_cut(line, span_find(line, '<') + 1, SIZE_MAX);
	a = span_cut(a, 0, span_find(a, '>'));
	if (r->body.rcpts < LEDGER_RCPTS)
		span_copy(a, r->body.rcpt[r->body.rcpts++], sizeof(r->body.rcpt[0]));
}

static void
on_data_line(struct robot *r, struct span line)
{
	if (span_eq(line, SPAN("."))) {
		ledger_take(r->stage->ledger, &r->body);
		r->body.rcpts = r->body.n = 0;
		r->data = false;
		answer(r, "250 taken\r\n");
		return;
	}
	size_t room = sizeof(r->body.text) - r->body.n;
	if (line.n + 2 > room)
		return;
	memcpy(r->body.text + r->body.n, line.p, line.n);
	memcpy(r->body.text + r->body.n + line.n, "\r\n", 2);
	r->body.n += line.n + 2;
}

/* False: the session is over. */
static bool
on_command(struct robot *r, struct span line)
{
	if (span_istarts(line, SPAN("QUIT")))
		return false;
	if (span_istarts(line, SPAN("RCPT")))
		note_rcpt(r, line);
	r->data = span_istarts(line, SPAN("DATA"));
	bool offers = r->stage->script->secure_hosts && r->secure == NULL;
	if (offers && span_istarts(line, SPAN("STARTTLS")))
		start_tls(r);
	else if (offers && span_istarts(line, SPAN("EHLO")))
		answer(r, "250-robot\r\n250 STARTTLS\r\n");
	else
		answer(r, r->data ? "354 go\r\n" : "250 ok\r\n");
	return true;
}

static bool
on_lines(struct robot *r)
{
	const char *end;
	while ((end = r->in.n ? memmem(r->in.p, r->in.n, "\r\n", 2) : NULL) != NULL) {
		struct span line = {r->in.p, (size_t)(end - r->in.p)};
		if (r->data)
			on_data_line(r, line);
		else if (!on_command(r, line))
			return false;
		buf_consume(&r->in, line.n + 2);
	}
	return true;
}

static ssize_t
receive(struct robot *r, char *p, size_t n)
{
	if (r->secure == NULL)
		return recv(r->fd, p, n, MSG_DONTWAIT);
	enum secure_is is = secure_shake(r->secure);
	return is == SECURE_SHAKING  ? -1
	       : is == SECURE_FAILED ? 0
				     : secure_recv(r->secure, p, n);
}

static bool
robot_step(struct robot *r)
{
	char piece[4096];
	ssize_t n = receive(r, piece, sizeof(piece));
	if (n < 0)
		return false;
	buf_add(&r->in, piece, (size_t)n);
	if (n == 0 || !on_lines(r))
		robot_free(r);
	return true;
}

bool
robots_step(struct stage *s)
{
	bool done = false;
	LIST_EACH (&s->robots, k)
		done = robot_step(CONTAINER_OF(k, struct robot, link)) || done;
	return done;
}

void
robots_free(struct stage *s)
{
	LIST_EACH (&s->robots, k)
		robot_free(CONTAINER_OF(k, struct robot, link));
}
