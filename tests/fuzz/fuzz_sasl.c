/* SPDX-License-Identifier: ISC */
/*
 * The engine of signing in, against hostile clients and a relayd that talks nonsense.
 * The first octet chooses: a mechanism, whose messages are the rest, cut at LF; or raw
 * records, each with its length in front.  Nobody signs in who does not know how.
 */
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/signin/accounts.h"
#include "relay/signin/engine.h"
#include "relay/signin/wire.h"
#include "tests/lib/fake_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* For "correct", by a hash that costs nothing to be checked against. */
#define SCRAM                                                             \
	"{\"iterations\":4096,\"salt\":\"AAAAAAAAAAAAAAAAAAAAAA==\","     \
	"\"stored256\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"," \
	"\"server256\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"," \
	"\"stored1\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAA=\","                   \
	"\"server1\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}"

struct rig {
	struct fake_world world;
	struct loop *loop;
	struct pool *pool;
	struct log *log;
	struct signin_engine *engine;
	bool answered;
	enum signin_kind kind;
};

static struct rig *rig;

static void
write_accounts(int dir)
{
	static const char text[] =
	    "{\"relayd-accounts\":1,\"key\":"
	    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}\n"
	    "{\"name\":\"joe\",\"secrets\":[{\"label\":\"\",\"hash\":\"$2b$04$"
	    "abcdefghijklmnopqrstuuyeG8laUfZvsCmc.AE6qIDYSPGM2efmK\",\"created\":0,"
	    "\"scram\":" SCRAM "}]}\n";
	int fd = openat(dir, "accounts", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, text, sizeof(text) - 1) == sizeof(text) - 1);
	(void)close(fd);
}

static void
rig_make(void)
{
	char dir[] = "/tmp/fuzz-sasl.XXXXXX";
	struct buf why;
	buf_init(&why, 1000);
	rig = NEW(struct rig);
	fake_world_init(&rig->world);
	rig->loop = loop_new(&rig->world.world);
	rig->pool = pool_new(0, rig->loop);
	rig->log = log_new(&rig->world.world, open("/dev/null", O_WRONLY | O_CLOEXEC));
	CHECK(mkdtemp(dir) != NULL);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	write_accounts(fd);
	struct signin_engine_options o = {
	    .loop = rig->loop, .pool = rig->pool, .dir = fd};
	rig->engine = signin_engine_new(&o, &why);
	CHECK(rig->engine != NULL);
	(void)unlinkat(fd, "accounts", 0);
	(void)unlinkat(fd, "lock", 0);
	(void)rmdir(dir);
	buf_clear(&why);
}

/* Time goes by only when nothing is left to be done: no deadline passes over a hash. */
static void
turns(void)
{
	struct instant due;
	for (int i = 0; i < 10; i++) {
		for (int n = 0; n < 20; n++)
			(void)loop_turn(rig->loop, false);
		if (loop_next_timer(rig->loop, &due))
			fake_world_pass(&rig->world, due.ms - rig->world.now.ms);
	}
}

static void
on_answer(void *arg, const struct signin_answer *a)
{
	(void)arg;
	rig->answered = true;
	rig->kind = a->kind;
	CHECK(a->kind != SIGNIN_DONE); /* nobody here knows a password */
	CHECK(a->data.n <= SIGNIN_DATA_MAX);
	/* whatever a client says, it ends no channel: those are for all */
	CHECK(a->kind != SIGNIN_FAILED ||
	      strcmp(a->why, "the helper does not answer") != 0);
}

static struct span
next_line(struct span *rest)
{
	size_t n = span_find(*rest, '\n');
	struct span line = span_cut(*rest, 0, n);
	*rest = n < rest->n ? span_cut(*rest, n + 1, rest->n) : (struct span){"", 0};
	return line;
}

static void
play_client(unsigned which, struct span rest)
{
	static const char *const names[] = {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256",
	    "SCRAM-SHA-1", "EXTERNAL", "PLAIN", "LOGIN"};
	struct signin *s = signin_new_inline(rig->loop, rig->log, rig->engine);
	struct signin_facts f = {.service = "smtp",
	    .hostname = "relay.test",
	    .exporter = SPAN("binding"),
	    .fingerprint = SPAN("00")};
	f.client.family = NET_IPV4;
	f.client.ip[3] = rig->world.dice++ & 255;
	rig->answered = false;
	struct signin_exchange *x = signin_begin(
	    s, span_str(names[which % 6]), &f, next_line(&rest), on_answer, NULL);
	for (int i = 0; i < 6; i++) {
		turns();
		if (!rig->answered || rig->kind != SIGNIN_CHALLENGE)
			break;
		rig->answered = false;
		signin_respond(x, next_line(&rest));
	}
	if (!rig->answered || rig->kind == SIGNIN_CHALLENGE)
		signin_cancel(&x);
	turns();
	signin_free(&s);
	turns();
}

static void
on_record(void *arg, struct span record)
{
	(void)arg, (void)record;
}

static void
play_records(struct span rest)
{
	struct wire *w = wire_new_inline(rig->loop, on_record, NULL);
	signin_engine_join(rig->engine, w);
	while (rest.n >= 1) {
		size_t n = (unsigned char)rest.p[0];
		char *exact = mem_alloc_raw(n + 1);
		struct span record = span_cut(rest, 1, n);
		if (record.n > 0)
			memcpy(exact, record.p, record.n);
		/* not those that would write accounts */
		if (record.n < 2 || record.p[1] != WIRE_ADMIN)
			wire_send(w, (struct span){exact, record.n});
		mem_free(&exact);
		rest = span_cut(rest, 1 + n, rest.n);
	}
	turns();
	wire_free(&w);
	turns();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (rig == NULL)
		rig_make();
	if (size < 1)
		return 0;
	struct span rest = {(const char *)data + 1, size - 1};
	if (data[0] >= 0x80)
		play_records(rest);
	else
		play_client(data[0], rest);
	return 0;
}
