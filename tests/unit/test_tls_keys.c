/* SPDX-License-Identifier: ISC */
/* Where private keys are, once crypto_lock_keys() has been called: how much of that room
 * is taken, that it is given back, and what happens when there is none left. */
#include "tests/unit/tls_rig.h"

#include <openssl/crypto.h>

#include "base/crypto.h"

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

/* What there is none of is an error that is told, and goes by. */
static void
test_no_room(void **state)
{
	struct fixture *f = *state;
	struct tls_files file = files_of(f, CERT_GOOD);
	struct tls_server_options o = {.file = &file, .files = 1};
	struct buf why;
	char *taken = NULL, *piece;
	buf_init(&why, 0);
	for (size_t n = CRYPTO_KEYS_ROOM / 2; n >= 32; n /= 2)
		while ((piece = OPENSSL_secure_malloc(n)) != NULL) {
			memcpy(piece, &taken, sizeof(taken));
			taken = piece;
		}
	assert_null(tls_server_new(&o, &why));
	assert_true(span_starts(buf_span(&why), SPAN("TLS cannot be set up: ")));
	shake(f, f->ts, &right);
	assert_true(f->server.error && !f->server.tls);
	while (taken != NULL) {
		piece = taken;
		memcpy(&taken, piece, sizeof(taken));
		OPENSSL_secure_free(piece);
	}
	end_sides(f);
	shake(f, f->ts, &right);
	assert_true(f->server.tls && f->client.tls);
	buf_clear(&why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_reloads, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_connections, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
	};
	(void)crypto_lock_keys(); /* locked or not */
	assert_int_equal(CRYPTO_secure_malloc_initialized(), 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
