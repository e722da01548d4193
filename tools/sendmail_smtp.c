/* SPDX-License-Identifier: ISC */
/*
 * sendmail_smtp - finds relayd (its socket for local users, or SMTP over
 * loopback) and hands the message in.  On the socket relayd knows who we are
 * from the kernel; nobody is asked for a password.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/net.h"
#include "policy/address.h"
#include "relay/config.h"
#include "tools/sendmail.h"

#define TIMEOUT_S 600
#define USUAL_SOCKET "/run/relayd/submit.sock"

/* ---- SMTP, spoken plainly: one command, one answer */

struct smtp {
	int fd;
	struct buf in;
	struct buf reply;
};

static void
give_up(const char *what)
{
	sendmail_fail(EX_TEMPFAIL, what, errno ? strerror(errno) : "connection closed");
}

static int
reply(struct smtp *s)
{
	buf_reset(&s->reply);
	for (;;) {
		size_t nl = span_find(buf_span(&s->in), '\n');
		if (nl < s->in.n) {
			struct span line = span_cut(buf_span(&s->in), 0, nl);
			bool more = line.n > 3 && line.p[3] == '-';
			buf_reset(&s->reply);
			buf_add_span(&s->reply, span_trim(line));
			if (s->reply.n > 0 && s->reply.p[s->reply.n - 1] == '\r')
				s->reply.n--;
			buf_add_char(&s->reply, '\0');
			s->reply.n--;
			buf_consume(&s->in, nl + 1);
			if (!more)
				return s->reply.n >= 3 ? s->reply.p[0] - '0' : 0;
			continue;
		}
		char *room = buf_room(&s->in, 4096);
		ssize_t n = room ? recv(s->fd, room, 4096, 0) : -1;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			give_up(
			    "relayd broke off; the message is not sent, try again later");
		s->in.n += (size_t)n;
	}
}

static void
put(struct smtp *s, struct span bytes)
{
	size_t at = 0;
	while (at < bytes.n) {
		ssize_t n = send(s->fd, bytes.p + at, bytes.n - at, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			give_up(
			    "relayd broke off; the message is not sent, try again later");
		at += (size_t)n;
	}
}

static int
command(struct smtp *s, struct buf *line)
{
	buf_add_str(line, "\r\n");
	put(s, buf_span(line));
	buf_reset(line);
	return reply(s);
}

/* 2 and 3 are fine; 4: try later; anything else: as given. */
static void
must(struct smtp *s, int klass, int permanent)
{
	if (klass == 2 || klass == 3)
		return;
	sendmail_fail(klass == 4 ? EX_TEMPFAIL : permanent, "relayd said", s->reply.p);
}

static void
put_data(struct smtp *s, const struct mail *m)
{
	struct span rest = buf_span(&m->text);
	while (rest.n > 0) {
		size_t n = span_find(rest, '\n') + 1;
		if (n > rest.n)
			n = rest.n;
		if (rest.p[0] == '.')
			put(s, SPAN("."));
		/* long runs of lines that need no dot go out together */
		while (n < rest.n && rest.p[n] != '.' && n < (32u << 10))
			n += span_find(span_cut(rest, n, rest.n), '\n') + 1;
		if (n > rest.n)
			n = rest.n;
		put(s, span_cut(rest, 0, n));
		rest = span_cut(rest, n, rest.n);
	}
	put(s, SPAN(".\r\n"));
}

static bool
has_utf8(const struct mail *m)
{
	for (size_t i = 0; m->from && m->from[i]; i++)
		if ((unsigned char)m->from[i] >= 0x80)
			return true;
	for (size_t k = 0; k < m->rcpts; k++)
		for (size_t i = 0; m->rcpt[k][i]; i++)
			if ((unsigned char)m->rcpt[k][i] >= 0x80)
				return true;
	for (size_t i = 0; i < m->header_end; i++)
		if ((unsigned char)m->text.p[i] >= 0x80)
			return true;
	return false;
}

static void
send_mail(struct smtp *s, const struct mail *m)
{
	struct buf line;
	char host[256] = "localhost";
	buf_init(&line, 64u << 10);
	(void)gethostname(host, sizeof(host) - 1);
	must(s, reply(s), EX_UNAVAILABLE);
	buf_addf(&line, "EHLO %s", host);
	must(s, command(s, &line), EX_UNAVAILABLE);
	buf_addf(&line, "MAIL FROM:<%s>%s", m->from, has_utf8(m) ? " SMTPUTF8" : "");
	if (m->ret != NULL)
		buf_addf(&line, " RET=%s", m->ret);
	if (m->envid != NULL) {
		buf_add_str(&line, " ENVID=");
		xtext_encode(span_str(m->envid), &line);
	}
	must(s, command(s, &line), EX_NOPERM);
	for (size_t i = 0; i < m->rcpts; i++) {
		buf_addf(&line, "RCPT TO:<%s>", m->rcpt[i]);
		if (m->notify != NULL)
			buf_addf(&line, " NOTIFY=%s", m->notify);
		must(s, command(s, &line), EX_NOUSER);
	}
	buf_add_str(&line, "DATA");
	must(s, command(s, &line), EX_UNAVAILABLE);
	put_data(s, m);
	must(s, reply(s), EX_UNAVAILABLE);
	buf_add_str(&line, "QUIT");
	(void)command(s, &line);
	buf_clear(&line);
}

/* ---- where relayd listens */

static int
connect_to(const struct sockaddr *to, socklen_t n)
{
	struct timeval limit = {.tv_sec = TIMEOUT_S};
	int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, to, n) == 0)
		return fd;
	int saved = errno;
	(void)close(fd);
	errno = saved;
	return -1;
}

/* What there is to be done when nobody takes the message. */
static _Noreturn void
no_relayd(const char *where)
{
	struct buf b;
	int e = errno;
	buf_init(&b, 1024);
	buf_addf(&b, "%s: %s", where, strerror(e));
	char *detail = buf_take(&b);
	if (e == EACCES || e == EPERM)
		sendmail_fail(EX_NOPERM,
		    "no permission to hand in mail (submit { mode } in relayd.conf says "
		    "who "
		    "may)",
		    detail);
	sendmail_fail(EX_TEMPFAIL,
	    "relayd does not answer, the message is not sent; is it running?", detail);
}

static int
connect_tcp(const struct net_addr *a)
{
	struct sockaddr_storage to;
	char text[NET_TEXT];
	socklen_t n = net_to_sockaddr(a, &to);
	int fd = connect_to((const struct sockaddr *)&to, n);
	net_format(a, text);
	if (fd < 0)
		no_relayd(text);
	return fd;
}

static int
connect_local(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(at.sun_path))
		sendmail_fail(EX_CONFIG, "the path of the socket is too long", path);
	memcpy(at.sun_path, path, strlen(path) + 1);
	int fd = connect_to((const struct sockaddr *)&at, sizeof(at));
	if (fd < 0)
		no_relayd(path);
	return fd;
}

static bool
is_any(const struct net_addr *a)
{
	static const uint8_t zero[16];
	return memcmp(a->ip, zero, sizeof(zero)) == 0;
}

/* By the configuration: its socket for local users, else its first listener; port 25
 * here where it cannot be read. */
static int
connect_configured(const char *file)
{
	struct net_addr a;
	struct buf errors;
	(void)net_parse_addr(SPAN("127.0.0.1:25"), &a);
	buf_init(&errors, 64u << 10);
	const struct config *c =
	    access(file, R_OK) == 0 ? config_read(file, &errors) : NULL;
	buf_clear(&errors);
	if (c == NULL)
		return access(USUAL_SOCKET, F_OK) == 0 ? connect_local(USUAL_SOCKET)
						       : connect_tcp(&a);
	char *path = c->submit.path ? mem_strdup(c->submit.path) : NULL;
	if (c->listeners > 0 && is_any(&c->listener[0].bind[0]))
		a.port = c->listener[0].bind[0].port;
	else if (c->listeners > 0)
		a = c->listener[0].bind[0];
	config_unref(&c);
	int fd = path != NULL ? connect_local(path) : connect_tcp(&a);
	mem_free(&path);
	return fd;
}

/* $RELAYD_SUBMIT ("/run/relayd/submit.sock", "127.0.0.1:2525") goes first. */
static int
find_relayd(const struct mail *m)
{
	struct net_addr a;
	const char *env = getenv("RELAYD_SUBMIT");
	if (env == NULL || *env == '\0')
		return connect_configured(m->config_file);
	if (env[0] == '/')
		return connect_local(env);
	if (net_parse_addr(span_str(env), &a) != OK)
		sendmail_fail(
		    EX_CONFIG, "RELAYD_SUBMIT is neither /PATH nor ADDRESS:PORT", env);
	return connect_tcp(&a);
}

void
sendmail_hand_in(const struct mail *m)
{
	struct smtp s = {.fd = find_relayd(m)};
	buf_init(&s.in, 64u << 10);
	buf_init(&s.reply, 8192);
	send_mail(&s, m);
	(void)close(s.fd);
	buf_clear(&s.in);
	buf_clear(&s.reply);
}
