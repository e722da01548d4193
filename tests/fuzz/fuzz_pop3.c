/* SPDX-License-Identifier: ISC */
/*
 * Whole POP3 sessions of a hostile client, with a real spool and real accounts.  The
 * first octet says whether the client has signed in already, and how its octets are cut
 * into pieces.  Mail is deleted only by DELE and QUIT, and nobody stays behind.
 */
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/pickup/pickup.h"
#include "relay/signin/engine.h"
#include "tests/lib/spool_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAILS 3
#define SIGN_IN "USER joe\r\nPASS Hello world!\r\n"

static struct spool_rig *rig;
static struct signin_engine *engine;
static struct signin *signin;
static struct pickup *pickup;
static struct drops *drops;
static struct census *census;

static void
open_accounts(void)
{
	static const char text[] =
	    "{\"relayd-accounts\":1,\"key\":"
	    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}\n"
	    "{\"name\":\"joe\",\"secrets\":[{\"label\":\"\",\"hash\":\"$2b$04$"
	    "abcdefghijklmnopqrstuuyeG8laUfZvsCmc.AE6qIDYSPGM2efmK\",\"created\":0}]}\n";
	char dir[] = "/tmp/fuzz-pop3.XXXXXX";
	struct buf why;
	CHECK(mkdtemp(dir) != NULL);
	int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = openat(at, "accounts", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, text, sizeof(text) - 1) == sizeof(text) - 1);
	(void)close(fd);
	buf_init(&why, 1000);
	struct signin_engine_options o = {
	    .loop = rig->loop, .pool = rig->pool, .dir = at};
	engine = signin_engine_new(&o, &why);
	CHECK(engine != NULL);
	(void)unlinkat(at, "accounts", 0);
	(void)unlinkat(at, "lock", 0);
	(void)rmdir(dir);
	buf_clear(&why);
	signin = signin_new_inline(rig->loop, rig->log, engine);
	struct signin_settings s = {
	    .delay_ms = 0, .attempts = 1000, .lockout_ms = 1, .cache_ms = DAY_MS};
	signin_settings(signin, &s);
}

static void
begin(void)
{
	struct buf errors;
	buf_init(&errors, 10000);
	rig = spool_rig_new(0);
	CHECK(spool_rig_open(rig) == OK);
	open_accounts();
	struct config *c = config_parse("fuzz",
	    "hostname = \"h.test\" spool { path = \"/tmp/x\" }\n"
	    "listener \"smtp\" { bind = {\"127.0.0.1:25\"} }\n"
	    "listener \"pop\" { bind = {\"127.0.0.1:110\"} protocol = \"pop3\" "
	    "tls = \"none\" auth-in-clear = true apop = true }\n",
	    &errors);
	CHECK(c != NULL);
	const struct config *config = c;
	drops = drops_new(&rig->world);
	census = census_new(&rig->world);
	struct pickup_options o = {.loop = rig->loop,
	    .signin = signin,
	    .log = rig->log,
	    .spool = rig->spool,
	    .drops = drops,
	    .census = census,
	    .config = config};
	pickup = pickup_new(&o);
	config_unref(&config);
	buf_clear(&errors);
}

static uint64_t
mails(void)
{
	struct mailbox_usage u;
	spool_mailbox_usage(rig->spool, SPAN("joe"), &u);
	return u.messages;
}

static void
refill(void)
{
	while (mails() < MAILS) {
		struct message *m = spool_rig_message(300 + 20000 * (mails() == 0), 7);
		spool_rig_drop(m, "joe", "Return-Path: <a@b.test>\r\n");
		CHECK(spool_rig_accept(rig, m) == OK);
	}
}

static void
turns(int fd)
{
	char room[4096];
	for (int i = 0; i < 6; i++) {
		(void)loop_turn(rig->loop, false);
		while (recv(fd, room, sizeof(room), MSG_DONTWAIT) > 0) {
		}
	}
}

static bool
holds(const uint8_t *data, size_t n, const char *word)
{
	size_t len = strlen(word);
	for (size_t i = 0; i + len <= n; i++)
		if (strncasecmp((const char *)data + i, word, len) == 0)
			return true;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_addr peer = {.family = NET_IPV4, .ip = {192, 0, 2, 1}};
	int fd[2];
	if (pickup == NULL)
		begin();
	if (size < 1)
		return 0;
	refill();
	CHECK(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) == 0);
	CHECK(census_enter(census, &peer, 100, 100) == CENSUS_OK);
	pickup_serve(pickup, fd[0], &peer, &peer, "pop");
	if (data[0] & 1) {
		CHECK(send(fd[1], SIGN_IN, sizeof(SIGN_IN) - 1, MSG_NOSIGNAL) > 0);
		turns(fd[1]);
	}
	size_t piece = data[0] & 2 ? 1 + (data[0] >> 2) : size;
	for (size_t at = 1; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;
		if (send(fd[1], data + at, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
		turns(fd[1]);
	}
	(void)close(fd[1]);
	for (int i = 0; i < 50 && pickup_sessions(pickup) > 0; i++) {
		(void)loop_turn(rig->loop, false);
		atomic_fetch_add(&rig->mono_ms, MINUTE_MS);
	}
	CHECK(pickup_sessions(pickup) == 0);
	for (int i = 0; i < 6; i++) /* a QUIT that nobody waits for comes to its end */
		(void)loop_turn(rig->loop, false);
	CHECK(census_total(census) == 0);
	if (mails() < MAILS)
		CHECK(holds(data, size, "DELE") && holds(data, size, "QUIT"));
	/* nobody has the maildrop any more */
	struct instant now = {atomic_load(&rig->mono_ms)};
	CHECK(drops_take(drops, SPAN("joe"), now, 0) == DROPS_TAKEN);
	drops_leave(drops, SPAN("joe"));
	return 0;
}
