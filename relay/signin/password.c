/* SPDX-License-Identifier: ISC */
/* password - by libxcrypt and libcrypto. */
#include "relay/signin/password.h"

#include <crypt.h>
#include <gsasl.h>
#include <string.h>

#include "base/mem.h"

#define GENERATED_LETTERS 24
#define GROUP 4

bool
password_ok(struct span password)
{
	return password.n > 0 && password.n <= PASSWORD_MAX &&
	       memchr(password.p, '\0', password.n) == NULL;
}

/* crypt(3) with room of its own, which held a password; false if it failed. */
static bool
run_crypt(struct span password, const char *setting, char out[HASH_TEXT])
{
	char text[PASSWORD_MAX + 1];
	struct crypt_data *room = NEW(struct crypt_data);
	span_copy(password, text, sizeof(text));
	const char *made = crypt_rn(text, setting, room, sizeof(*room));
	bool ok = made != NULL && strlen(made) < HASH_TEXT;
	if (ok)
		memcpy(out, made, strlen(made) + 1);
	explicit_bzero(text, sizeof(text));
	explicit_bzero(room, sizeof(*room));
	mem_free(&room);
	return ok;
}

enum err
password_hash(struct span password, char out[HASH_TEXT])
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	if (!password_ok(password))
		return ERR_SYNTAX;
	if (crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof(setting)) == NULL)
		return ERR_IO;
	return run_crypt(password, setting, out) ? OK : ERR_IO;
}

bool
password_fits(struct span password, const char *hash)
{
	char made[HASH_TEXT] = "";
	bool fits = password_ok(password) && run_crypt(password, hash, made) &&
		    same_secret(span_str(made), span_str(hash));
	explicit_bzero(made, sizeof(made));
	return fits;
}

/* "$6$rounds=999999999$": one sign-in would take hours. */
static bool
is_too_costly(const char *hash)
{
	static const char rounds[] = "rounds=";
	if (hash[1] == '2') /* "$2b$12$" */
		return strlen(hash) < 7 || hash[4] > '1' ||
		       (hash[4] == '1' && hash[5] > '4');
	const char *given = strstr(hash, rounds);
	return given != NULL && strspn(given + sizeof(rounds) - 1, "0123456789") > 6;
}

const char *
password_hash_kind(const char *hash)
{
	static const struct {
		const char *prefix, *kind;
	} kinds[] = {{"$y$", "yescrypt"}, {"$gy$", "gost-yescrypt"}, {"$7$", "scrypt"},
	    {"$2b$", "bcrypt"}, {"$2y$", "bcrypt"}, {"$2a$", "bcrypt"},
	    {"$6$", "sha512crypt"}, {"$5$", "sha256crypt"}};
	size_t n = strlen(hash);
	if (n >= HASH_TEXT || n < 20)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (hash[i] <= ' ' || hash[i] > '~' || strchr(":*!", hash[i]) != NULL)
			return NULL;
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		if (strncmp(hash, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
			return crypt_checksalt(hash) == CRYPT_SALT_INVALID ||
				       is_too_costly(hash)
				   ? NULL
				   : kinds[i].kind;
	return NULL;
}

/* ---- SCRAM */

static void
scram_pair(enum digest d, struct span password, const struct scram_keys *k,
    uint8_t *stored, uint8_t *server)
{
	uint8_t salted[SHA256_SIZE], client[SHA256_SIZE];
	size_t n = digest_size(d);
	struct span salt = {(const char *)k->salt, sizeof(k->salt)};
	pbkdf2_of(d, password, salt, k->iterations, salted);
	struct span key = {(const char *)salted, n};
	hmac_of(d, key, SPAN("Client Key"), client);
	digest_of(d, (struct span){(const char *)client, n}, stored);
	hmac_of(d, key, SPAN("Server Key"), server);
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(client, sizeof(client));
}

void
password_scram(struct span password, struct scram_keys *k)
{
	char text[PASSWORD_MAX + 1], *prepared = NULL;
	int trouble = 0;
	span_copy(password, text, sizeof(text));
	/* The client prepares it, too (RFC 5802 2.2); what cannot be prepared stays. */
	if (gsasl_saslprep(text, GSASL_ALLOW_UNASSIGNED, &prepared, &trouble) != GSASL_OK)
		prepared = NULL;
	struct span key = prepared != NULL ? span_str(prepared) : password;
	k->known = true;
	scram_pair(DIGEST_SHA256, key, k, k->stored256, k->server256);
	scram_pair(DIGEST_SHA1, key, k, k->stored1, k->server1);
	if (prepared != NULL)
		explicit_bzero(prepared, strlen(prepared));
	gsasl_free(prepared);
	explicit_bzero(text, sizeof(text));
}

bool
password_proven(
    enum digest d, const struct scram_keys *k, struct span said, struct span proof)
{
	uint8_t key[SHA256_SIZE], made[SHA256_SIZE];
	size_t n = digest_size(d);
	const char *stored = (const char *)(d == DIGEST_SHA1 ? k->stored1 : k->stored256);
	if (proof.n != n)
		return false;
	hmac_of(d, (struct span){stored, n}, said, key);
	for (size_t i = 0; i < n; i++)
		key[i] ^= (uint8_t)proof.p[i];
	digest_of(d, (struct span){(const char *)key, n}, made);
	explicit_bzero(key, sizeof(key));
	return same_secret(
	    (struct span){(const char *)made, n}, (struct span){stored, n});
}

void
password_generate(struct world *w, struct buf *out)
{
	for (int i = 0; i < GENERATED_LETTERS; i++) {
		if (i > 0 && i % GROUP == 0)
			buf_add_char(out, '-');
		buf_add_char(out, (char)('a' + (char)world_random_below(w, 26)));
	}
}
