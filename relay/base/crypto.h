/* SPDX-License-Identifier: ISC */
/* crypto - a few primitives by libcrypto, for those rooms that do not know OpenSSL. */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

enum digest { DIGEST_SHA1, DIGEST_SHA256, DIGEST_MD5 /* for APOP alone */ };

#define MD5_SIZE 16
#define SHA1_SIZE 20
#define SHA256_SIZE 32

size_t digest_size(enum digest d);
void digest_of(enum digest d, struct span data, uint8_t *out);
void hmac_of(enum digest d, struct span key, struct span data, uint8_t *out);

/* PBKDF2 with HMAC (RFC 8018): as many octets as the digest has. */
void pbkdf2_of(enum digest d, struct span password, struct span salt, unsigned iterations,
    uint8_t *out);

/* The same octets? In a time that depends on the lengths only. */
bool same_secret(struct span a, struct span b);

#endif
