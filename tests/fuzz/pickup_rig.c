/* SPDX-License-Identifier: ISC */
/* pickup_rig - see pickup_rig.h. */
#include "tests/fuzz/pickup_rig.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/imap/patrons.h"
#include "relay/imap/view.h"
#include "relay/signin/engine.h"

static void
open_accounts(struct pickup_rig *p)
{
	static const char text[] =
	    "{\"relayd-accounts\":1,\"key\":"
	    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}\n"
	    "{\"name\":\"joe\",\"secrets\":[{\"label\":\"\",\"hash\":\"$2b$04$"
	    "abcdefghijklmnopqrstuuyeG8laUfZvsCmc.AE6qIDYSPGM2efmK\",\"created\":0}]}\n";
	char dir[] = "/tmp/pickup-rig.XXXXXX";
	struct buf why;
	CHECK(mkdtemp(dir) != NULL);
	int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = openat(at, "accounts", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, text, sizeof(text) - 1) == sizeof(text) - 1);
	(void)close(fd);
	buf_init(&why, 1000);
	struct signin_engine_options o = {
	    .loop = p->rig->loop, .pool = p->rig->pool, .dir = at};
	p->engine = signin_engine_new(&o, &why);
	CHECK(p->engine != NULL);
	(void)unlinkat(at, "accounts", 0);
	(void)unlinkat(at, "lock", 0);
	(void)rmdir(dir);
	buf_clear(&why);
	p->signin = signin_new_inline(p->rig->loop, p->rig->log, p->engine);
	struct signin_settings s = {
	    .delay_ms = 0, .attempts = 1000, .lockout_ms = 1, .cache_ms = DAY_MS};
	signin_settings(p->signin, &s);
}

static const struct config *
make_config(const char *protocol)
{
	struct buf text, errors;
	buf_init(&text, 10000);
	buf_init(&errors, 10000);
	buf_addf(&text,
	    "hostname = \"h.test\" spool { path = \"/tmp/x\" }\n"
	    "listener \"smtp\" { bind = {\"127.0.0.1:25\"} }\n"
	    "listener \"pickup\" { bind = {\"127.0.0.1:110\"} protocol = \"%s\" "
	    "tls = \"none\" auth-in-clear = true %s }\n",
	    protocol, strcmp(protocol, "pop3") == 0 ? "apop = true" : "");
	buf_add_char(&text, '\0');
	const struct config *c = config_parse("rig", text.p, &errors);
	CHECK(c != NULL);
	buf_clear(&text);
	buf_clear(&errors);
	return c;
}

struct pickup_rig *
pickup_rig_new(const char *protocol)
{
	struct pickup_rig *p = NEW(struct pickup_rig);
	p->rig = spool_rig_new(0);
	CHECK(spool_rig_open(p->rig) == OK);
	open_accounts(p);
	const struct config *config = make_config(protocol);
	p->drops = drops_new(&p->rig->world);
	p->hub = hub_new(&p->rig->world);
	p->patrons = patrons_new(&p->rig->world);
	p->census = census_new(&p->rig->world);
	p->budget.limit = 1u << 20;
	spool_on_mail(p->rig->spool, hub_tell, p->hub);
	struct pickup_options o = {.loop = p->rig->loop,
	    .signin = p->signin,
	    .log = p->rig->log,
	    .spool = p->rig->spool,
	    .drops = p->drops,
	    .hub = p->hub,
	    .patrons = p->patrons,
	    .budget = &p->budget,
	    .census = p->census,
	    .config = config};
	p->pickup = pickup_new(&o);
	config_unref(&config);
	return p;
}

int
pickup_rig_connect(struct pickup_rig *p)
{
	struct net_addr peer = {.family = NET_IPV4, .ip = {192, 0, 2, 1}};
	int fd[2];
	CHECK(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) == 0);
	CHECK(census_enter(p->census, &peer, 100, 100) == CENSUS_OK);
	pickup_serve(p->pickup, fd[0], &peer, &peer, "pickup");
	return fd[1];
}

bool
pickup_rig_send(struct pickup_rig *p, int fd, struct span octets)
{
	(void)p;
	return send(fd, octets.p, octets.n, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

void
pickup_rig_turns(struct pickup_rig *p, int fd)
{
	char room[4096];
	for (int i = 0; i < 6; i++) {
		(void)loop_turn(p->rig->loop, false);
		while (recv(fd, room, sizeof(room), MSG_DONTWAIT) > 0) {
		}
	}
}

void
pickup_rig_end(struct pickup_rig *p, int fd)
{
	(void)close(fd);
	for (int i = 0; i < 5000 && pickup_sessions(p->pickup) > 0; i++) {
		(void)loop_turn(p->rig->loop, false);
		atomic_fetch_add(&p->rig->mono_ms, MINUTE_MS);
	}
	CHECK(pickup_sessions(p->pickup) == 0);
	for (int i = 0; i < 6; i++) /* what nobody waits for any more comes to its end */
		(void)loop_turn(p->rig->loop, false);
	CHECK(census_total(p->census) == 0);
}

uint64_t
pickup_rig_mails(struct pickup_rig *p)
{
	struct mailbox_usage u;
	spool_mailbox_usage(p->rig->spool, SPAN("joe"), &u);
	return u.messages;
}

void
pickup_rig_fill(struct pickup_rig *p, unsigned mails)
{
	while (pickup_rig_mails(p) < mails) {
		struct message *m =
		    spool_rig_message(300 + 20000 * (pickup_rig_mails(p) == 0), 7);
		spool_rig_drop(m, "joe", "Return-Path: <a@b.test>\r\n");
		CHECK(spool_rig_accept(p->rig, m) == OK);
	}
}
