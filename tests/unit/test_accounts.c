/* SPDX-License-Identifier: ISC */
/* The file of accounts: what is written is read again, what is damaged is left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "relay/signin/accounts.h"
#include "relay/signin/offline.h"
#include "tests/lib/fake_world.h"

#define HASH                                                                    \
	"$6$rounds=1000$saltstring$Zu2Vknok2/f53APfN687ADnzeNBLcsEgTwvcBHMD2./" \
	"07rZQAt8vsuKVufD15dyZh.LOLB/uZKf6I3GyON4bp/"

struct rig {
	struct fake_world world;
	char dir[40], file[60];
	struct accounts *a;
	struct buf told, why;
};

static enum err
rig_open(struct rig *r)
{
	buf_reset(&r->why);
	int dir = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	enum err e = accounts_open(&r->a, &r->world.world, dir, &r->why);
	assert_true((e == OK) == (r->a != NULL));
	return e;
}

static void
rig_init(struct rig *r)
{
	*r = (struct rig){0};
	fake_world_init(&r->world);
	(void)snprintf(r->dir, sizeof(r->dir), "/tmp/accounts.XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	(void)snprintf(r->file, sizeof(r->file), "%s/accounts", r->dir);
	buf_init(&r->why, 4096);
	assert_int_equal(rig_open(r), OK);
}

static void
rig_clear(struct rig *r)
{
	char name[80];
	if (r->a != NULL)
		accounts_close(&r->a);
	static const char *const files[] = {"accounts", "accounts.new", "lock"};
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		(void)snprintf(name, sizeof(name), "%s/%s", r->dir, files[i]);
		if (unlink(name) != 0)
			(void)rmdir(name);
	}
	assert_int_equal(rmdir(r->dir), 0);
	buf_clear(&r->told);
	buf_clear(&r->why);
}

static void
on_told(void *arg, struct span object, bool end)
{
	struct rig *r = arg;
	(void)end;
	buf_add_span(&r->told, object);
	buf_add_char(&r->told, '\n');
}

static const char *
admin(struct rig *r, int status, const char *request)
{
	char end[40];
	buf_reset(&r->told);
	accounts_admin(r->a, span_str(request), on_told, r);
	buf_add_char(&r->told, '\0');
	(void)snprintf(end, sizeof(end), "\"end\":true,\"status\":%d", status);
	if (strstr(r->told.p, end) == NULL)
		fail_msg("%s\ngave\n%s", request, r->told.p);
	return r->told.p;
}

static void
write_file(struct rig *r, const char *text, size_t n)
{
	int fd = open(r->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), (ssize_t)n);
	(void)close(fd);
}

static size_t
read_file(struct rig *r, char *out, size_t max)
{
	int fd = open(r->file, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	ssize_t n = read(fd, out, max);
	assert_true(n >= 0 && (size_t)n < max);
	(void)close(fd);
	return (size_t)n;
}

/* ---- */

static void
test_round_trip(void **state)
{
	struct rig r;
	struct stat st;
	(void)state;
	rig_init(&r);
	(void)admin(&r, 0,
	    "{\"cmd\":\"user-add\",\"name\":\"Joe\",\"password\":\"open sesame\","
	    "\"address\":[\"joe@me.test\",\".sales.test\"],\"service\":[\"smtp\"]}");
	(void)admin(
	    &r, 0, "{\"cmd\":\"user-add\",\"name\":\"ann\",\"hash\":\"" HASH "\"}");
	(void)admin(
	    &r, 0, "{\"cmd\":\"user-secret-add\",\"name\":\"ann\",\"label\":\"phone\"}");
	(void)admin(&r, 0, "{\"cmd\":\"user-set\",\"name\":\"ann\",\"disabled\":true}");
	assert_int_equal(stat(r.file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	char before[4000];
	(void)snprintf(
	    before, sizeof(before), "%s", admin(&r, 0, "{\"cmd\":\"user-list\"}"));
	accounts_close(&r.a);
	assert_int_equal(rig_open(&r), OK);
	assert_string_equal(admin(&r, 0, "{\"cmd\":\"user-list\"}"), before);
	assert_null(strstr(before, "$y$")); /* never a hash */
	assert_null(strstr(before, "$6$"));
	struct account *joe = accounts_find(r.a, SPAN("JOE"));
	assert_non_null(joe);
	assert_string_equal(joe->name, "Joe");
	assert_true(joe->secret[0].scram.known);
	assert_true(secret_serves(&joe->secret[0], "smtp"));
	assert_false(secret_serves(&joe->secret[0], "pop3"));
	assert_int_equal(strncmp(joe->secret[0].hash, "$y$", 3), 0);
	struct account *ann = accounts_find(r.a, SPAN("ann"));
	assert_true(ann->disabled);
	assert_int_equal(ann->secrets, 2);
	assert_false(ann->secret[0].scram.known); /* a hash tells no keys */
	rig_clear(&r);
}

static void
test_refused(void **state)
{
	static const struct {
		int status;
		const char *request;
	} table[] = {
	    {2, ""},
	    {2, "{"},
	    {2, "[]"},
	    {2, "{\"cmd\":\"user-fly\",\"name\":\"x\"}"},
	    {1, "{\"cmd\":\"user-add\",\"name\":\"JOE\",\"password\":\"x\"}"},
	    {2, "{\"cmd\":\"user-add\",\"name\":\"\",\"password\":\"x\"}"},
	    {2, "{\"cmd\":\"user-add\",\"name\":\"a b\",\"password\":\"x\"}"},
	    {2, "{\"cmd\":\"user-add\",\"name\":\"new\",\"password\":\"\"}"},
	    {2, "{\"cmd\":\"user-add\",\"name\":\"new\",\"password\":\"x\",\"address\":["
		"\"@\"]}"},
	    {2, "{\"cmd\":\"user-add\",\"name\":\"new\",\"password\":\"x\",\"address\":"
		"\"a@b\"}"},
	    {2, "{\"cmd\":\"user-add\",\"name\":\"new\",\"password\":\"x\",\"service\":["
		"\"ftp\"]}"},
	    {2, "{\"cmd\":\"user-add\",\"name\":\"new\",\"certificate\":[\"12\"]}"},
	    {1, "{\"cmd\":\"user-passwd\",\"name\":\"nobody\",\"password\":\"x\"}"},
	    {1, "{\"cmd\":\"user-delete\",\"name\":\"nobody\"}"},
	    {1, "{\"cmd\":\"user-list\",\"name\":\"nobody\"}"},
	    {1, "{\"cmd\":\"user-secret-delete\",\"name\":\"joe\",\"label\":\"none\"}"},
	};
	struct rig r;
	char before[4000], after[4000];
	(void)state;
	rig_init(&r);
	(void)admin(
	    &r, 0, "{\"cmd\":\"user-add\",\"name\":\"joe\",\"hash\":\"" HASH "\"}");
	size_t n = read_file(&r, before, sizeof(before));
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		buf_reset(&r.told);
		accounts_admin(r.a, span_str(table[i].request), on_told, &r);
		buf_add_char(&r.told, '\0');
		if (strstr(r.told.p, "\"status\":0") != NULL ||
		    strstr(r.told.p, "\"error\":") == NULL)
			fail_msg("%s\ngave\n%s", table[i].request, r.told.p);
		assert_int_equal(read_file(&r, after, sizeof(after)), n);
		assert_memory_equal(before, after, n);
	}
	rig_clear(&r);
}

/* ---- bounds */

static void
test_bounds(void **state)
{
	struct rig r;
	char name[ACCOUNT_NAME_MAX + 2], request[8000];
	(void)state;
	rig_init(&r);
	for (size_t over = 0; over < 2; over++) {
		memset(name, 'n', sizeof(name));
		name[ACCOUNT_NAME_MAX + over] = '\0';
		(void)snprintf(request, sizeof(request),
		    "{\"cmd\":\"user-add\",\"name\":\"%s\",\"hash\":\"" HASH "\"}", name);
		(void)admin(&r, over ? 2 : 0, request);
	}
	(void)admin(
	    &r, 0, "{\"cmd\":\"user-add\",\"name\":\"joe\",\"hash\":\"" HASH "\"}");
	for (int i = 1; i <= SECRETS_MAX; i++) {
		(void)snprintf(request, sizeof(request),
		    "{\"cmd\":\"user-secret-add\",\"name\":\"joe\",\"label\":\"l%d\"}",
		    i);
		if (i < SECRETS_MAX) /* the main one counts, too */
			(void)admin(&r, 0, request);
		else
			(void)admin(&r, 1, request);
	}
	for (int n = ACCOUNT_SENDERS_MAX; n <= ACCOUNT_SENDERS_MAX + 1; n++) {
		size_t at = (size_t)snprintf(request, sizeof(request),
		    "{\"cmd\":\"user-set\",\"name\":\"joe\",\"address\":[");
		for (int i = 0; i < n; i++)
			at += (size_t)snprintf(request + at, sizeof(request) - at,
			    "%s\"a%d@b.test\"", i ? "," : "", i);
		(void)snprintf(request + at, sizeof(request) - at, "]}");
		(void)admin(&r, n > ACCOUNT_SENDERS_MAX ? 2 : 0, request);
	}
	accounts_close(&r.a);
	assert_int_equal(rig_open(&r), OK);
	struct account *joe = accounts_find(r.a, SPAN("joe"));
	assert_int_equal(joe->secrets, SECRETS_MAX);
	assert_int_equal(joe->senders.n, ACCOUNT_SENDERS_MAX);
	rig_clear(&r);
}

/* ---- what is damaged */

static void
test_damaged(void **state)
{
	struct rig r;
	char good[4000], bad[4200];
	(void)state;
	rig_init(&r);
	(void)admin(
	    &r, 0, "{\"cmd\":\"user-add\",\"name\":\"joe\",\"hash\":\"" HASH "\"}");
	size_t n = read_file(&r, good, sizeof(good));
	accounts_close(&r.a);
	/* cut anywhere: refused, or as it was with fewer whole lines */
	size_t first = (size_t)((char *)memchr(good, '\n', n) - good) + 1;
	for (size_t cut = 1; cut < n; cut++) {
		write_file(&r, good, cut);
		assert_int_equal(rig_open(&r), cut == first ? OK : ERR_DAMAGED);
		if (r.a != NULL)
			accounts_close(&r.a);
		assert_int_equal(read_file(&r, bad, sizeof(bad)), cut); /* left alone */
	}
	/* the same account twice */
	memcpy(bad, good, n);
	memcpy(bad + n, good + first, n - first);
	write_file(&r, bad, 2 * n - first);
	assert_int_equal(rig_open(&r), ERR_DAMAGED);
	assert_true(r.why.n > 20);
	/* by a newer relayd */
	static const char newer[] = "{\"relayd-accounts\":2,\"key\":\"\"}\n";
	write_file(&r, newer, sizeof(newer) - 1);
	assert_int_equal(rig_open(&r), ERR_VERSION);
	/* a hash that anybody could guess at */
	static const char weak[] = "{\"name\":\"x\",\"secrets\":[{\"label\":\"\","
				   "\"hash\":\"rl.3StKT.4T8M\"}]}\n";
	memcpy(bad, good, first);
	memcpy(bad + first, weak, sizeof(weak) - 1);
	write_file(&r, bad, first + sizeof(weak) - 1);
	assert_int_equal(rig_open(&r), ERR_DAMAGED);
	/* open to others */
	write_file(&r, good, n);
	assert_int_equal(chmod(r.file, 0640), 0);
	assert_int_equal(rig_open(&r), ERR_DENIED);
	assert_int_equal(chmod(r.file, 0600), 0);
	assert_int_equal(rig_open(&r), OK);
	rig_clear(&r);
}

static void
test_lock(void **state)
{
	struct rig r;
	struct accounts *second;
	(void)state;
	rig_init(&r);
	int dir = open(r.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(accounts_open(&second, &r.world.world, dir, &r.why), ERR_BUSY);
	assert_null(second);
	buf_reset(&r.why);
	assert_int_equal(accounts_admin_offline(
			     r.dir, SPAN("{\"cmd\":\"user-list\"}"), on_told, &r, &r.why),
	    ERR_BUSY);
	assert_true(r.why.n > 10);
	accounts_close(&r.a);
	assert_int_equal(
	    accounts_admin_offline(r.dir,
		SPAN("{\"cmd\":\"user-add\",\"name\":\"joe\",\"hash\":\"" HASH "\"}"),
		on_told, &r, &r.why),
	    OK);
	assert_int_equal(rig_open(&r), OK);
	assert_non_null(accounts_find(r.a, SPAN("joe")));
	rig_clear(&r);
}

/* What could not be written has not happened: a directory stands where the new file
 * should. */
static void
test_not_written(void **state)
{
	struct rig r;
	char name[80];
	(void)state;
	rig_init(&r);
	(void)admin(
	    &r, 0, "{\"cmd\":\"user-add\",\"name\":\"joe\",\"hash\":\"" HASH "\"}");
	(void)snprintf(name, sizeof(name), "%s/accounts.new", r.dir);
	assert_int_equal(mkdir(name, 0700), 0);
	(void)admin(
	    &r, 1, "{\"cmd\":\"user-add\",\"name\":\"ann\",\"hash\":\"" HASH "\"}");
	(void)admin(&r, 1, "{\"cmd\":\"user-delete\",\"name\":\"joe\"}");
	assert_null(accounts_find(r.a, SPAN("ann")));
	assert_non_null(accounts_find(r.a, SPAN("joe")));
	assert_int_equal(rmdir(name), 0);
	(void)admin(&r, 0, "{\"cmd\":\"user-delete\",\"name\":\"joe\"}");
	assert_null(accounts_find(r.a, SPAN("joe")));
	rig_clear(&r);
}

/* Asked what would be done: what would be refused is refused, and nothing is changed. */
static void
test_dry_run(void **state)
{
	static const struct {
		int status;
		const char *request; /* behind "dry_run" */
	} table[] = {
	    {0, "\"cmd\":\"user-add\",\"name\":\"ann\",\"address\":[\"ann@me.test\"]}"},
	    {0, "\"cmd\":\"user-add\",\"name\":\"ann\",\"password\":\"x y\"}"},
	    {1, "\"cmd\":\"user-add\",\"name\":\"Joe\"}"},
	    {2, "\"cmd\":\"user-add\",\"name\":\"ann\",\"address\":[\"a b\"]}"},
	    {2, "\"cmd\":\"user-add\",\"name\":\"ann\",\"hash\":\"weak\"}"},
	    {0, "\"cmd\":\"user-passwd\",\"name\":\"joe\"}"},
	    {2, "\"cmd\":\"user-passwd\",\"name\":\"joe\",\"password\":\"\"}"},
	    {1, "\"cmd\":\"user-passwd\",\"name\":\"ann\"}"},
	    {0, "\"cmd\":\"user-set\",\"name\":\"joe\",\"disabled\":true}"},
	    {2, "\"cmd\":\"user-set\",\"name\":\"joe\",\"certificate\":[\"x\"]}"},
	    {0, "\"cmd\":\"user-delete\",\"name\":\"joe\"}"},
	    {1, "\"cmd\":\"user-delete\",\"name\":\"ann\"}"},
	    {0, "\"cmd\":\"user-secret-add\",\"name\":\"joe\",\"label\":\"tablet\"}"},
	    {1, "\"cmd\":\"user-secret-add\",\"name\":\"joe\",\"label\":\"phone\"}"},
	    {2, "\"cmd\":\"user-secret-add\",\"name\":\"joe\",\"label\":\"x\","
		"\"service\":[\"y\"]}"},
	    {0, "\"cmd\":\"user-secret-delete\",\"name\":\"joe\",\"label\":\"phone\"}"},
	    {1, "\"cmd\":\"user-secret-delete\",\"name\":\"joe\",\"label\":\"tablet\"}"},
	};
	struct rig r;
	char list[4000], before[4000], after[4000], request[400];
	(void)state;
	rig_init(&r);
	(void)admin(
	    &r, 0, "{\"cmd\":\"user-add\",\"name\":\"joe\",\"hash\":\"" HASH "\"}");
	(void)admin(
	    &r, 0, "{\"cmd\":\"user-secret-add\",\"name\":\"joe\",\"label\":\"phone\"}");
	(void)snprintf(list, sizeof(list), "%s", admin(&r, 0, "{\"cmd\":\"user-list\"}"));
	size_t n = read_file(&r, before, sizeof(before));
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		(void)snprintf(
		    request, sizeof(request), "{\"dry_run\":true,%s", table[i].request);
		const char *said = admin(&r, table[i].status, request);
		assert_true((strstr(said, "{\"dry_run\":true,\"action\":\"user-") !=
				NULL) == (table[i].status == 0));
		assert_null(strstr(said, "password\":")); /* none was made */
		assert_string_equal(admin(&r, 0, "{\"cmd\":\"user-list\"}"), list);
		assert_int_equal(read_file(&r, after, sizeof(after)), n);
		assert_memory_equal(after, before, n);
	}
	rig_clear(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_damaged),
	    cmocka_unit_test(test_lock),
	    cmocka_unit_test(test_not_written),
	    cmocka_unit_test(test_dry_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
