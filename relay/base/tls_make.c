/* SPDX-License-Identifier: ISC */
/* tls_make - a certificate of one's own, and whether files are still the same. */
#include "base/tls_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/crypto.h"
#include "base/mem.h"

#define VALID_MS (3650 * DAY_MS)

static bool
set_serial(X509 *cert)
{
	unsigned char number[16];
	if (RAND_bytes(number, sizeof(number)) != 1)
		return false;
	number[0] = (unsigned char)(number[0] & 0x7f) | 1; /* positive, and not zero */
	BIGNUM *n = BN_bin2bn(number, sizeof(number), NULL);
	bool ok = n != NULL && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
	BN_free(n);
	return ok;
}

static bool
add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool ok = e != NULL && X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static bool
set_name(X509 *cert, const char *hostname)
{
	X509_NAME *name = X509_get_subject_name(cert);
	char common[65]; /* the common name has room for 64; the alternative name has it
			    all */
	span_copy(span_str(hostname), common, sizeof(common));
	return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
		   (const unsigned char *)common, -1, -1, 0) == 1 &&
	       X509_set_issuer_name(cert, name) == 1;
}

static bool
fill_in(X509 *cert, EVP_PKEY *key, const char *hostname, struct wall now)
{
	char names[TLS_NAME_TEXT + 8];
	(void)snprintf(names, sizeof(names), "DNS:%.255s", hostname);
	time_t from = (time_t)(now.ms / SECOND_MS) - 3600;
	time_t until = (time_t)((now.ms + VALID_MS) / SECOND_MS);
	return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
	       ASN1_TIME_set(X509_getm_notBefore(cert), from) != NULL &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), until) != NULL &&
	       set_name(cert, hostname) && X509_set_pubkey(cert, key) == 1 &&
	       add_extension(cert, NID_subject_alt_name, names) &&
	       add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
	       X509_sign(cert, key, EVP_sha256()) > 0;
}

/* A file that is whole or not there. */
static enum err
write_pem(const char *path, X509 *cert, EVP_PKEY *key, struct buf *why)
{
	struct buf name;
	buf_init(&name, 0);
	buf_addf(&name, "%s.new", path);
	char *temporary = buf_take(&name);
	(void)unlink(temporary);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	    cert != NULL ? 0644 : 0600);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	char room[4096];
	if (f != NULL)
		(void)setvbuf(f, room, _IOFBF, sizeof(room));
	bool ok = f != NULL && (cert != NULL ? PEM_write_X509(f, cert)
					     : PEM_write_PrivateKey(f, key, NULL, NULL, 0,
						   NULL, NULL)) == 1;
	ok = ok && fflush(f) == 0 && fsync(fd) == 0;
	if (f != NULL)
		ok = fclose(f) == 0 && ok;
	explicit_bzero(room, sizeof(room));
	ok = ok && rename(temporary, path) == 0;
	enum err e = ok ? OK : err_from_errno(errno);
	if (!ok)
		buf_addf(why, "cannot write %s: %s", path, strerror(errno));
	mem_free(&temporary);
	return e;
}

enum err
tls_self_signed(const char *hostname, const char *certificate_file, const char *key_file,
    struct wall now, struct buf *why)
{
	crypto_wipe_freed(true);
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	enum err e = ERR_IO;
	if (key == NULL || cert == NULL || !fill_in(cert, key, hostname, now))
		buf_addf(why, "a certificate for \"%s\" cannot be made: %s", hostname,
		    tls_reason());
	else
		e = write_pem(key_file, NULL, key, why);
	if (e == OK)
		e = write_pem(certificate_file, cert, NULL, why);
	X509_free(cert);
	EVP_PKEY_free(key);
	crypto_wipe_freed(false);
	ERR_clear_error();
	return e;
}

/* ---- stamps */

static uint64_t
mix(uint64_t h, uint64_t v)
{
	return (h ^ v) * UINT64_C(0x9e3779b97f4a7c15) ^ h >> 29;
}

static bool
stamp_file(const char *name, uint64_t *h)
{
	struct stat st;
	if (name == NULL)
		return true;
	if (stat(name, &st) != 0)
		return false;
	*h = mix(*h, (uint64_t)st.st_ino);
	*h = mix(*h, (uint64_t)st.st_size);
	*h = mix(*h, (uint64_t)st.st_mtim.tv_sec);
	*h = mix(*h, (uint64_t)st.st_mtim.tv_nsec);
	return true;
}

uint64_t
tls_files_stamp(const struct tls_files *file, size_t files)
{
	uint64_t h = 1;
	for (size_t i = 0; i < files; i++)
		if (!stamp_file(file[i].certificate, &h) || !stamp_file(file[i].key, &h))
			return 0;
	return h != 0 ? h : 1;
}
