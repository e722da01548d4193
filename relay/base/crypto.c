/* SPDX-License-Identifier: ISC */
/* crypto - libcrypto's one-shot calls; they fail only when memory does. */
#include "base/crypto.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

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

#define KEYS_LEAST 32 /* octets of its smallest piece */
#define KEYS_CERTIFICATES ((size_t)1 << 20)

/* What libcrypto calls gets no argument of ours; hence a thread's own flag. */
static _Thread_local bool wipes;

static void *
take(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(n);
}

static void
give_back(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (wipes && p != NULL)
		OPENSSL_cleanse(p, malloc_usable_size(p));
	free(p);
}

static void *
take_anew(void *p, size_t n, const char *file, int line)
{
	if (!wipes || p == NULL)
		return realloc(p, n);
	size_t had = malloc_usable_size(p);
	void *q = malloc(n);
	if (q == NULL)
		return NULL;
	memcpy(q, p, had < n ? had : n);
	give_back(p, file, line);
	return q;
}

void
crypto_wipe_freed(bool on)
{
	wipes = on;
}

static size_t keys_room; /* set once, before there are threads */

bool
crypto_lock_keys(size_t connections)
{
	size_t room = CRYPTO_KEYS_ROOM;
	while ((room - KEYS_CERTIFICATES) / CRYPTO_KEYS_EACH < connections)
		room *= 2; /* as libcrypto wants it */
	(void)CRYPTO_set_mem_functions(take, take_anew, give_back);
	int rc = CRYPTO_secure_malloc_init(room, KEYS_LEAST);
	keys_room = rc != 0 ? room : 0;
	return rc == 1;
}

size_t
crypto_keys_room(void)
{
	return keys_room;
}

size_t
crypto_keys_connections(void)
{
	return keys_room > 0 ? (keys_room - KEYS_CERTIFICATES) / CRYPTO_KEYS_EACH
			     : SIZE_MAX;
}

bool
crypto_keys_full(void)
{
	void *p = keys_room > 0 ? OPENSSL_secure_malloc(CRYPTO_KEYS_EACH) : NULL;
	bool full = keys_room > 0 && p == NULL;
	OPENSSL_secure_free(p);
	return full;
}

bool
same_secret(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}
