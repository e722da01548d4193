/* SPDX-License-Identifier: ISC */
/* daemon_rig - see daemon_rig.h. */
#include "tests/fuzz/daemon_rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/lib/fake_dns.h"

#define TURNS 200

static struct dns_transport *
make_dns(void *arg, struct loop *l)
{
	return fake_dns_transport(arg, l);
}

static const struct config *
make_config(const char *dir)
{
	struct buf text, errors;
	buf_init(&text, 10000);
	buf_init(&errors, 10000);
	buf_addf(&text,
	    "hostname = \"h.test\" spool { path = \"%s/spool\" }\n"
	    "networks = {\"192.0.2.0/24\"}\n"
	    "history { days = 0 }\n"
	    "limits { message-size = \"100K\" recipients = 50 }\n"
	    "listener \"smtp\" { bind = {\"127.0.0.1:25\"} auth-in-clear = true }\n"
	    "listener \"lmtp\" { bind = {\"127.0.0.1:24\"} protocol = \"lmtp\" }\n"
	    "route \"gone\" { to = {\"gone.example\"} deliver = \"discard\" }\n"
	    "route \"held\" { to = {\"held.example\"} deliver = \"hold\" }\n"
	    "route \"away\" { to = {\"away.example\"} via = {\"192.0.2.9:25\"} }\n",
	    dir);
	char *string = buf_take(&text);
	struct config *read = config_parse("rig", string, &errors);
	if (read == NULL || !config_open(read, false, &errors)) {
		(void)!write(STDERR_FILENO, errors.p, errors.n);
		abort();
	}
	mem_free(&string);
	buf_clear(&errors);
	return read;
}

static void
no_line(void *arg, enum log_level level, struct span line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void
turns(struct daemon_rig *r)
{
	for (int i = 0, idle = 0; i < TURNS && idle < 3; i++)
		idle = loop_turn(daemon_loop(r->daemon), false) ? 0 : idle + 1;
}

struct daemon_rig *
daemon_rig_new(void)
{
	char dir[] = "/tmp/daemon-rig.XXXXXX";
	struct daemon_rig *r = NEW(struct daemon_rig);
	struct buf why;
	CHECK(mkdtemp(dir) != NULL && setenv("RELAY_TEST_NOSYNC", "1", 1) == 0);
	fake_world_init(&r->world);
	r->log = log_new(&r->world.world, STDERR_FILENO);
	log_hook(r->log, no_line, NULL);
	const struct config *c = make_config(dir);
	struct daemon_options o = {.config = c,
	    .world = &r->world.world,
	    .log = r->log,
	    .single = true,
	    .dns = make_dns,
	    .dns_arg = fake_dns_new()};
	buf_init(&why, 1000);
	CHECK(daemon_new(&r->daemon, &o, &why) == OK);
	buf_clear(&why);
	config_unref(&c);
	turns(r);
	return r;
}

int
daemon_rig_connect(struct daemon_rig *r, const char *listener)
{
	struct net_addr peer = {.family = NET_IPV4, .ip = {192, 0, 2, 1}, .port = 4000};
	int fd[2];
	CHECK(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) == 0);
	if (listener != NULL)
		daemon_serve(r->daemon, fd[0], &peer, listener);
	else
		daemon_serve_control(r->daemon, fd[0]);
	r->answers = r->promises = r->tail_n = 0;
	turns(r);
	return fd[1];
}

/* A promise may be cut in two by the reading. */
static void
note(struct daemon_rig *r, const char *p, size_t n)
{
	static const char word[] = "queued as ";
	for (size_t i = 0; i < n; i++) {
		r->answers += p[i] == '\n';
		if (p[i] != word[r->tail_n])
			r->tail_n = 0;
		if (p[i] == word[r->tail_n] && word[++r->tail_n] == '\0') {
			r->promises++;
			r->tail_n = 0;
		}
	}
}

static void
drain(struct daemon_rig *r, int fd)
{
	char room[8192];
	ssize_t n;
	do {
		turns(r);
		n = recv(fd, room, sizeof(room), MSG_DONTWAIT);
		if (n > 0)
			note(r, room, (size_t)n);
	} while (n > 0);
}

void
daemon_rig_send(struct daemon_rig *r, int fd, struct span octets, size_t piece)
{
	for (size_t at = 0; at < octets.n; at += piece) {
		struct span s = span_cut(octets, at, piece);
		if (send(fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		drain(r, fd);
	}
}

void
daemon_rig_end(struct daemon_rig *r, int fd)
{
	(void)shutdown(fd, SHUT_WR);
	drain(r, fd);
	(void)close(fd);
	turns(r);
	fake_world_pass(&r->world, HOUR_MS); /* whoever tarries is thrown out */
	turns(r);
}

uint64_t
daemon_rig_messages(struct daemon_rig *r)
{
	struct spool_stat st;
	struct spool_reader *reader = spool_reader_new(daemon_spool(r->daemon));
	CHECK(spool_read_stat(reader, &st) == OK);
	spool_reader_free(&reader);
	return st.messages;
}
