/* SPDX-License-Identifier: ISC */
/* crypto - libcrypto's one-shot calls; they fail only when memory does. */
#include "base/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/check.h"

static const EVP_MD *
md_of(enum digest d)
{
	return d == DIGEST_SHA1 ? EVP_sha1() : d == DIGEST_MD5 ? EVP_md5() : EVP_sha256();
}

size_t
digest_size(enum digest d)
{
	return d == DIGEST_SHA1 ? SHA1_SIZE : d == DIGEST_MD5 ? MD5_SIZE : SHA256_SIZE;
}

void
digest_of(enum digest d, struct span data, uint8_t *out)
{
	CHECK(EVP_Digest(data.p, data.n, out, NULL, md_of(d), NULL) == 1);
}

void
hmac_of(enum digest d, struct span key, struct span data, uint8_t *out)
{
	unsigned n = 0;
	CHECK(
	    HMAC(md_of(d), key.n ? key.p : "", (int)key.n,
		(const unsigned char *)(data.n ? data.p : ""), data.n, out, &n) != NULL);
}

void
pbkdf2_of(enum digest d, struct span password, struct span salt, unsigned iterations,
    uint8_t *out)
{
	CHECK(
	    PKCS5_PBKDF2_HMAC(password.p, (int)password.n, (const unsigned char *)salt.p,
		(int)salt.n, (int)iterations, md_of(d), (int)digest_size(d), out) == 1);
}

bool
same_secret(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}
