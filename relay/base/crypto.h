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

/*
 * From now on libcrypto keeps private keys in memory of their own: locked, so that it
 * does not go to the swap, in no core dump, between pages that nobody may touch, wiped
 * when it is given back.  Before the first key is read; once.  False: it is not locked
 * (RLIMIT_MEMLOCK is less than crypto_keys_room()), or there is none; keys are then where
 * all else is.
 *
 * EC and Ed25519 keys are nowhere else, if crypto_wipe_freed() is on while they are read.
 * Of an RSA key libcrypto 3.0 makes copies for its arithmetic (the primes) that it
 * allocates as anything else.
 *
 * It does not grow: with none left libcrypto reads no more keys and completes no
 * handshake.  So it is large enough for so many connections at once, whatever group their
 * clients choose, and a megabyte for the keys of certificates; an RSA key of 4096 bits
 * has 1.8 KiB.
 */
#define CRYPTO_KEYS_ROOM ((size_t)8 << 20) /* at least: anybody may lock that on Debian */
#define CRYPTO_KEYS_EACH 128 /* octets that a connection has, with P-521; else 32 or 64 */
bool crypto_lock_keys(size_t connections);

size_t crypto_keys_room(void);        /* octets; 0: there is no such memory */
size_t crypto_keys_connections(void); /* that there is room for; SIZE_MAX: any number */
bool crypto_keys_full(void);          /* not one connection more has room */

/* From here on what libcrypto frees on this thread is wiped first: a key that it reads it
 * decodes in steps, and frees what they leave as it stands.  (Without effect where
 * crypto_lock_keys() was not called.) */
void crypto_wipe_freed(bool on);

/* The same octets? In a time that depends on the lengths only. */
bool same_secret(struct span a, struct span b);

#endif
