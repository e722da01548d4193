/* SPDX-License-Identifier: ISC */
/* Where private keys are, once crypto_lock_keys() has been called: how much of that room
 * is taken, that it is given back, and what happens when there is none left. */
#include "tests/unit/tls_rig.h"

#include <sys/resource.h>

#include <openssl/crypto.h>

#include "base/crypto.h"
#include "relay/config.h"
#include "tests/lib/secure.h"

#define RELOADS 50

static struct tls_files
files_of(struct fixture *f, enum cert which)
{
	return (struct tls_files){
	    certs_path(f->certs, which), certs_key(f->certs, which)};
}

/* Both kinds of keys, again and again, as many generations at once as connections hold.
 */
static void
test_reloads(void **state)
{
	struct fixture *f = *state;
	struct tls_files file[] = {files_of(f, CERT_GOOD), files_of(f, CERT_GOOD_RSA)};
	struct tls_server_options o = {.file = file, .files = COUNT_OF(file)};
	struct tls_server *ts[RELOADS], *first = serve(f, &o);
	size_t before = CRYPTO_secure_used();
	for (size_t i = 0; i < RELOADS; i++)
		ts[i] = serve(f, &o);
	size_t each = (CRYPTO_secure_used() - before) / RELOADS;
	assert_true(each >= 32 + 5 * 128); /* of P-256, and of RSA with 2048 bits */
	assert_true(each < CRYPTO_KEYS_ROOM / 4096);
	for (size_t i = 0; i < RELOADS; i++)
		tls_server_unref(&ts[i]);
	assert_int_equal(CRYPTO_secure_used(), before);
	tls_server_unref(&first);
}

static void
test_connections(void **state)
{
	struct fixture *f = *state;
	shake(f, f->ts, &right); /* what is made once */
	assert_true(f->server.tls && f->client.tls);
	end_sides(f);
	settle(f);
	size_t before = CRYPTO_secure_used();
	for (unsigned i = 0; i < RELOADS; i++) {
		shake(f, f->ts, &right);
		assert_true(CRYPTO_secure_used() - before <= 2 * 128); /* of both sides */
		end_sides(f);
		settle(f);
	}
	assert_int_equal(CRYPTO_secure_used(), before);
}

/* What a connection keeps of it for as long as it lives, by the group that its client
 * wants: that is what the room is made for. */
static void
test_groups(void **state)
{
	static const char *const groups[] = {"X25519", "P-256", "P-384", "P-521", "X448",
	    "ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192"};
	struct fixture *f = *state;
	size_t most = 0;
	for (size_t i = 0; i < COUNT_OF(groups); i++) {
		struct secure_wish wish = {.groups = groups[i]};
		int fd[2];
		size_t before = CRYPTO_secure_used();
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
		assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
		side_init(f, &f->server, fd[0]);
		assert_int_equal(io_start_tls_server(f->server.io, f->ts), OK);
		struct secure *s = secure_new(fd[1], &wish);
		for (int k = 0; k < 20 && secure_shake(s) == SECURE_SHAKING; k++)
			settle(f);
		settle(f);
		assert_true(f->server.tls);
		secure_free(&s, false);
		size_t each = CRYPTO_secure_used() - before;
		most = each > most ? each : most;
		(void)close(fd[1]);
		end_sides(f);
	}
	assert_int_equal(most, CRYPTO_KEYS_EACH);
}

static struct config *
config_of(const char *limits)
{
	char text[400];
	struct buf why;
	buf_init(&why, 4096);
	(void)snprintf(text, sizeof(text),
	    "hostname = \"relay.test\"\nspool { path = \"/nowhere\" }\n"
	    "control { path = \"/nowhere/sock\" }\nnetworks = {\"127.0.0.1\"}\n"
	    "listener \"smtp\" { bind = {\"127.0.0.1:2525\"} }\n%s\n"
	    "route \"world\" { deliver = \"mx\" }\n",
	    limits);
	struct config *c = config_parse("test", text, &why);
	if (c == NULL)
		fail_msg("%.*s", SPAN_ARG(buf_span(&why)));
	buf_clear(&why);
	return c;
}

/* The room is as large as the limits want it, and a reload that wants more is told. */
static void
test_limits(void **state)
{
	struct rlimit old, r;
	struct buf notes;
	(void)state;
	buf_init(&notes, 4096);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	const struct config
	    *few = config_of(""),
	    *many = config_of(
		"limits { connections = 900000 }\noutgoing { connections = 90000 }");
	assert_true(config_connections(few) <= 10000 + 500 + 1000);
	assert_true(config_connections(many) <= old.rlim_max);
	assert_true(crypto_keys_connections() > 50000);
	config_diff(few, few, &notes);
	assert_int_equal(notes.n, 0);
	r = (struct rlimit){1000000, 1000000};
	if (setrlimit(RLIMIT_NOFILE, &r) == 0) { /* only root may */
		assert_int_equal(config_connections(many), 991000);
		config_diff(few, many, &notes);
		assert_true(span_starts(
		    buf_span(&notes), SPAN("limits connections: restart relayd")));
	}
	r = (struct rlimit){.rlim_cur = 256, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0); /* it is raised later */
	assert_int_equal(
	    config_connections(few), old.rlim_max < 11500 ? old.rlim_max : 11500);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	buf_clear(&notes);
	config_unref(&few);
	config_unref(&many);
}

static char *
take_all(void)
{
	char *taken = NULL, *piece;
	for (size_t n = crypto_keys_room() / 2; n >= 32; n /= 2)
		while ((piece = OPENSSL_secure_malloc(n)) != NULL) {
			memcpy(piece, &taken, sizeof(taken));
			taken = piece;
		}
	return taken;
}

static void
give_back(char *taken)
{
	while (taken != NULL) {
		char *piece = taken;
		memcpy(&taken, piece, sizeof(taken));
		OPENSSL_secure_free(piece);
	}
}

static void
assert_says_what_to_do(const char *text)
{
	if (strstr(text, "room for keys is full: restart relayd") == NULL)
		fail_msg("%s", text);
}

/* What there is none of is an error that is told, and goes by. */
static void
test_no_room(void **state)
{
	struct fixture *f = *state;
	struct tls_files file = files_of(f, CERT_GOOD);
	struct tls_server_options o = {.file = &file, .files = 1};
	struct tls_peer other = right;
	struct buf why;
	void *inside;
	char *text;
	buf_init(&why, 0);
	other.ca_file = certs_path(f->certs, CERT_SELF_SIGNED);
	assert_int_equal(setup(&inside), 0);
	struct fixture *in = inside;
	shake(in, in->ts, &right);
	assert_true(in->server.tls && in->client.tls);
	char *taken = take_all();
	assert_true(crypto_keys_full());
	assert_null(tls_server_new(&o, &why));
	assert_true(span_starts(buf_span(&why), SPAN("TLS cannot be set up: ")));
	text = buf_take(&why);
	assert_says_what_to_do(text);
	mem_free(&text);
	shake(f, f->ts, &right);
	assert_true(f->server.error && !f->server.tls);
	assert_says_what_to_do(f->client.error ? f->client.trouble : f->server.trouble);
	end_sides(f);
	shake(f, f->ts, &other); /* whose authorities are not read yet */
	assert_true(f->client.error && !f->client.tls);
	assert_says_what_to_do(f->client.trouble);
	end_sides(f);
	/* who is inside stays inside */
	io_add_span(in->client.io, SPAN("still here"));
	settle(in);
	assert_true(span_eq(buf_span(&in->server.got), SPAN("still here")));
	give_back(taken);
	assert_false(crypto_keys_full());
	shake(f, f->ts, &right);
	assert_true(f->server.tls && f->client.tls);
	(void)teardown(&inside);
	buf_clear(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_reloads, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_connections, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_groups, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
	};
	(void)crypto_lock_keys(1); /* locked or not */
	assert_int_equal(CRYPTO_secure_malloc_initialized(), 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
