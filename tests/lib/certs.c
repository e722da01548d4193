/* SPDX-License-Identifier: ISC */
/* certs - keys and certificates by OpenSSL, at the time when they are needed. */
#include "tests/lib/certs.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/span.h"

#define NAMED_MAX 64
#define PATH_MAX_HERE 256
#define NAME_MAX_HERE 64 /* of a common name */

struct pair {
	char cert[PATH_MAX_HERE], key[PATH_MAX_HERE], names[400];
	enum cert kind;
	bool made;
};

struct certs {
	char dir[PATH_MAX_HERE / 2];
	bool own_dir;
	char ca_file[PATH_MAX_HERE];
	EVP_PKEY *ca_key, *other_key;
	X509 *ca, *other;
	struct pair pair[CERT_N], named[NAMED_MAX];
	size_t named_n;
};

static X509_EXTENSION *
make_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	CHECK(e != NULL);
	return e;
}

static void
add_extension(X509 *cert, X509_EXTENSION *e)
{
	CHECK(X509_add_ext(cert, e, -1) == 1);
	X509_EXTENSION_free(e);
}

/* OpenSSL's own words for names end at a NUL, so they have CERT_NUL until here. */
static void
put_nuls(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] == CERT_NUL[0])
			p[i] = '\0';
}

static X509_EXTENSION *
make_names(X509 *cert, const char *text)
{
	X509_EXTENSION *words = make_extension(cert, NID_subject_alt_name, text);
	GENERAL_NAMES *names = X509V3_EXT_d2i(words);
	CHECK(names != NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		if (n->type != GEN_IPADD)
			put_nuls(n->d.ia5->data, (size_t)n->d.ia5->length);
	}
	X509_EXTENSION *e = X509V3_EXT_i2d(NID_subject_alt_name, 0, names);
	CHECK(e != NULL);
	GENERAL_NAMES_free(names);
	X509_EXTENSION_free(words);
	return e;
}

static void
add_common(X509_NAME *name, const char *text)
{
	unsigned char common[NAME_MAX_HERE];
	size_t n = strlen(text);
	CHECK(n <= sizeof(common));
	memcpy(common, text, n);
	put_nuls(common, n);
	CHECK(X509_NAME_add_entry_by_txt(
		  name, "CN", MBSTRING_UTF8, common, (int)n, -1, 0) == 1);
}

struct wish {
	const char *common, *names; /* names NULL: no alternative names */
	const char *until;
	bool authority;
};

static X509 *
make(const struct wish *w, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	static long serial;
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	CHECK(X509_set_version(cert, X509_VERSION_3) == 1);
	CHECK(ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial + getpid()) == 1);
	CHECK(ASN1_TIME_set_string(X509_getm_notBefore(cert), "20200101000000Z") == 1);
	CHECK(ASN1_TIME_set_string(X509_getm_notAfter(cert), w->until) == 1);
	add_common(name, w->common);
	CHECK(X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : name) ==
	      1);
	CHECK(X509_set_pubkey(cert, key) == 1);
	if (w->names != NULL)
		add_extension(cert, make_names(cert, w->names));
	add_extension(cert, make_extension(cert, NID_basic_constraints,
				w->authority ? "critical,CA:TRUE" : "critical,CA:FALSE"));
	CHECK(X509_sign(cert, issuer ? issuer_key : key, EVP_sha256()) > 0);
	return cert;
}

static void
write_cert(const char *path, X509 *cert)
{
	FILE *f = fopen(path, "w");
	CHECK(f != NULL && PEM_write_X509(f, cert) == 1 && fclose(f) == 0);
}

static void
write_key(const char *path, EVP_PKEY *key, const char *passphrase)
{
	FILE *f = fopen(path, "w");
	const EVP_CIPHER *cipher = passphrase ? EVP_aes_128_cbc() : NULL;
	CHECK(f != NULL);
	CHECK(PEM_write_PrivateKey(f, key, cipher, (const unsigned char *)passphrase,
		  passphrase ? (int)strlen(passphrase) : 0, NULL, NULL) == 1);
	CHECK(fclose(f) == 0);
}

struct certs *
certs_new(void)
{
	char dir[] = "/tmp/relayd-certs.XXXXXX";
	CHECK(mkdtemp(dir) != NULL);
	struct certs *c = certs_new_in(dir);
	c->own_dir = true;
	return c;
}

struct certs *
certs_new_in(const char *dir)
{
	static const struct wish authority = {
	    "Test Authority", NULL, "20400101000000Z", true};
	static const struct wish stranger = {
	    "Somebody Else", NULL, "20400101000000Z", true};
	struct certs *c = NEW(struct certs);
	CHECK(strlen(dir) < sizeof(c->dir));
	(void)snprintf(c->dir, sizeof(c->dir), "%s", dir);
	c->ca_key = EVP_EC_gen("P-256");
	c->other_key = EVP_EC_gen("P-256");
	c->ca = make(&authority, c->ca_key, NULL, NULL);
	c->other = make(&stranger, c->other_key, NULL, NULL);
	(void)snprintf(c->ca_file, sizeof(c->ca_file), "%s/ca.pem", c->dir);
	write_cert(c->ca_file, c->ca);
	return c;
}

void
certs_free(struct certs **cp)
{
	struct certs *c = *cp;
	char command[PATH_MAX_HERE];
	if (c == NULL)
		return;
	X509_free(c->ca);
	X509_free(c->other);
	EVP_PKEY_free(c->ca_key);
	EVP_PKEY_free(c->other_key);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", c->dir);
	CHECK(!c->own_dir || system(command) == 0);
	mem_free(cp);
}

const char *
certs_dir(const struct certs *c)
{
	return c->dir;
}

const char *
certs_ca(struct certs *c)
{
	return c->ca_file;
}

static void
put(struct certs *c, struct pair *p, const char *file, const struct wish *w,
    enum cert which)
{
	EVP_PKEY *key = which == CERT_GOOD_RSA ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	X509 *issuer = which == CERT_SELF_SIGNED  ? NULL
		       : which == CERT_UNKNOWN_CA ? c->other
						  : c->ca;
	EVP_PKEY *issuer_key = which == CERT_UNKNOWN_CA ? c->other_key : c->ca_key;
	X509 *cert = make(w, key, issuer, issuer_key);
	(void)snprintf(p->cert, sizeof(p->cert), "%s/%s.pem", c->dir, file);
	(void)snprintf(p->key, sizeof(p->key), "%s/%s.key", c->dir, file);
	write_cert(p->cert, cert);
	write_key(p->key, key, which == CERT_PASSPHRASE ? "secret" : NULL);
	X509_free(cert);
	EVP_PKEY_free(key);
	p->made = true;
}

static const struct wish wishes[CERT_N] = {
    [CERT_GOOD] = {"relay.test", "DNS:relay.test,DNS:localhost,DNS:*.wild.test",
	"20400101000000Z", false},
    [CERT_GOOD_RSA] = {"relay.test", "DNS:relay.test,DNS:localhost,DNS:*.wild.test",
	"20400101000000Z", false},
    [CERT_OTHER] = {"other.test", "DNS:other.test", "20400101000000Z", false},
    [CERT_ONLY_CN] = {"relay.test", NULL, "20400101000000Z", false},
    [CERT_EXPIRED] = {"relay.test", "DNS:relay.test", "20210101000000Z", false},
    [CERT_SELF_SIGNED] = {"relay.test", "DNS:relay.test", "20400101000000Z", false},
    [CERT_UNKNOWN_CA] = {"relay.test", "DNS:relay.test", "20400101000000Z", false},
    [CERT_CLIENT] = {"device.test", "DNS:device.test,email:device@client.test",
	"20400101000000Z", false},
    [CERT_PASSPHRASE] = {"other.test", "DNS:other.test", "20400101000000Z", false},
};

static struct pair *
get(struct certs *c, enum cert which)
{
	struct pair *p = &c->pair[which];
	char file[16];
	(void)snprintf(file, sizeof(file), "cert%d", (int)which);
	if (!p->made)
		put(c, p, file, &wishes[which], which);
	return p;
}

const char *
certs_path(struct certs *c, enum cert which)
{
	return get(c, which)->cert;
}

const char *
certs_key(struct certs *c, enum cert which)
{
	return get(c, which)->key;
}

/* The first name, without its kind. */
static void
common_name(const char *names, char *out, size_t size)
{
	struct span first = span_cut(span_str(names), 0, span_find(span_str(names), ','));
	span_copy(span_cut(first, span_find(first, ':') + 1, first.n), out, size);
}

const char *
certs_for(struct certs *c, enum cert kind, const char *names, const char **key)
{
	size_t i = 0;
	while (i < c->named_n &&
	       (c->named[i].kind != kind || strcmp(c->named[i].names, names) != 0))
		i++;
	struct pair *p = &c->named[i];
	if (i == c->named_n) {
		char common[NAME_MAX_HERE + 1], file[32];
		CHECK(c->named_n < NAMED_MAX && strlen(names) < sizeof(p->names));
		c->named_n++;
		p->kind = kind;
		(void)snprintf(p->names, sizeof(p->names), "%s", names);
		common_name(names, common, sizeof(common));
		(void)snprintf(file, sizeof(file), "named%zu", i);
		put(c, p, file, &(struct wish){common, names, wishes[kind].until, false},
		    kind);
	}
	*key = p->key;
	return p->cert;
}

const char *
certs_named(struct certs *c, const char *name, const char **key)
{
	char names[200];
	(void)snprintf(names, sizeof(names), "DNS:%.120s", name);
	return certs_for(c, CERT_GOOD, names, key);
}
