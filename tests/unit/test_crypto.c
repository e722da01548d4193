/* SPDX-License-Identifier: ISC */
/* The primitives, by the vectors of the standards (FIPS 180, RFC 2202, 4231, 6070, 7914).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto.h"
#include "base/mem.h"

static void
expect(const uint8_t *p, size_t n, const char *hex)
{
	char text[2 * SHA256_SIZE + 1];
	for (size_t i = 0; i < n; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", p[i]);
	assert_string_equal(text, hex);
}

static void
test_digest(void **state)
{
	uint8_t out[SHA256_SIZE];
	(void)state;
	assert_int_equal(digest_size(DIGEST_SHA1), SHA1_SIZE);
	assert_int_equal(digest_size(DIGEST_SHA256), SHA256_SIZE);
	digest_of(DIGEST_SHA1, SPAN("abc"), out);
	expect(out, SHA1_SIZE, "a9993e364706816aba3e25717850c26c9cd0d89d");
	digest_of(DIGEST_SHA256, SPAN("abc"), out);
	expect(out, SHA256_SIZE,
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_of(DIGEST_SHA256, SPAN(""), out);
	expect(out, SHA256_SIZE,
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void
test_hmac(void **state)
{
	static const char b20[] = "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
				  "\x0b\x0b\x0b\x0b\x0b\x0b\x0b";
	uint8_t out[SHA256_SIZE];
	(void)state;
	hmac_of(DIGEST_SHA256, SPAN(b20), SPAN("Hi There"), out);
	expect(out, SHA256_SIZE,
	    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	hmac_of(DIGEST_SHA256, SPAN("Jefe"), SPAN("what do ya want for nothing?"), out);
	expect(out, SHA256_SIZE,
	    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	hmac_of(DIGEST_SHA1, SPAN("Jefe"), SPAN("what do ya want for nothing?"), out);
	expect(out, SHA1_SIZE, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
}

static void
test_pbkdf2(void **state)
{
	uint8_t out[SHA256_SIZE];
	(void)state;
	pbkdf2_of(DIGEST_SHA1, SPAN("password"), SPAN("salt"), 1, out);
	expect(out, SHA1_SIZE, "0c60c80f961f0e71f3a9b524af6012062fe037a6");
	pbkdf2_of(DIGEST_SHA1, SPAN("password"), SPAN("salt"), 4096, out);
	expect(out, SHA1_SIZE, "4b007901b765489abead49d926f721d065a429c1");
	pbkdf2_of(DIGEST_SHA256, SPAN("passwd"), SPAN("salt"), 1, out);
	expect(out, SHA256_SIZE,
	    "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
	pbkdf2_of(DIGEST_SHA256, SPAN("Password"), SPAN("NaCl"), 80000, out);
	expect(out, SHA256_SIZE,
	    "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
}

static void
test_same_secret(void **state)
{
	(void)state;
	assert_true(same_secret(SPAN("secret"), SPAN("secret")));
	assert_true(same_secret(SPAN(""), SPAN("")));
	assert_true(same_secret((struct span){NULL, 0}, SPAN("")));
	assert_false(same_secret(SPAN("secret"), SPAN("secreT")));
	assert_false(same_secret(SPAN("secret"), SPAN("secrets")));
	assert_false(same_secret(SPAN("a\0b"), SPAN("a\0c")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_digest),
	    cmocka_unit_test(test_hmac),
	    cmocka_unit_test(test_pbkdf2),
	    cmocka_unit_test(test_same_secret),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
