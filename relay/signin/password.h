/* SPDX-License-Identifier: ISC */
/*
 * password - what is kept of one: a hash by crypt(3), and for SCRAM (RFC 5802,
 * 7677) the keys that prove knowledge of it without telling it.
 */
#ifndef RELAY_SIGNIN_PASSWORD_H
#define RELAY_SIGNIN_PASSWORD_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/world.h"

#define PASSWORD_MAX 256 /* octets */
#define HASH_TEXT 384    /* what crypt(3) makes, NUL included */
#define SCRAM_SALT 16
#define SCRAM_ITERATIONS 10000

struct scram_keys {
	bool known;
	unsigned iterations;
	uint8_t salt[SCRAM_SALT];
	uint8_t stored256[SHA256_SIZE], server256[SHA256_SIZE];
	uint8_t stored1[SHA1_SIZE], server1[SHA1_SIZE];
};

/* 1 to PASSWORD_MAX octets without NUL. */
bool password_ok(struct span password);

/* yescrypt, by the system's own cost. About 20 to 100 ms. */
enum err password_hash(struct span password, char out[HASH_TEXT]);

/* Right? As long as the hash is costly. Any thread. */
bool password_fits(struct span password, const char *hash);

/* "yescrypt", "sha512crypt", "bcrypt", ...: NULL if crypt(3) does not know it, or if it
 * is too weak to be taken. */
const char *password_hash_kind(const char *hash);

/* The keys of SCRAM-SHA-256 and -SHA-1, for the salt and the count that are in k. */
void password_scram(struct span password, struct scram_keys *k);

/* Was this proof (RFC 5802 3) made with the password behind k?  said is the AuthMessage.
 */
bool password_proven(
    enum digest d, const struct scram_keys *k, struct span said, struct span proof);

/* "abcd-efgh-...": 24 letters, about 110 bits. */
void password_generate(struct world *w, struct buf *out);

#endif
