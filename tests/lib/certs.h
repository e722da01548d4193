/* SPDX-License-Identifier: ISC */
/*
 * certs - a certificate authority for tests: files in a directory of its own,
 * made when they are asked for, valid from 2020 to 2040 whatever the clock says.
 */
#ifndef TESTS_LIB_CERTS_H
#define TESTS_LIB_CERTS_H

enum cert {
	CERT_GOOD,        /* relay.test, localhost, *.wild.test; P-256 */
	CERT_GOOD_RSA,    /* the same names; RSA */
	CERT_OTHER,       /* other.test */
	CERT_ONLY_CN,     /* relay.test as common name, and nowhere else */
	CERT_EXPIRED,     /* relay.test, until 2021 */
	CERT_SELF_SIGNED, /* relay.test */
	CERT_UNKNOWN_CA,  /* relay.test, by somebody else */
	CERT_CLIENT,      /* device.test, device@client.test */
	CERT_PASSPHRASE,  /* other.test; its key wants a passphrase */
	CERT_N
};

struct certs;

struct certs *certs_new(void);
struct certs *certs_new_in(const char *dir); /* which exists; its owner removes it */
void certs_free(struct certs **c);           /* the files of certs_new(), too */

const char *certs_dir(const struct certs *c);
const char *certs_ca(struct certs *c);
const char *certs_path(struct certs *c, enum cert which);
const char *certs_key(struct certs *c, enum cert which);

/* A certificate for this name, by the authority; owned by c. */
const char *certs_named(struct certs *c, const char *name, const char **key);

/* Another of this kind (GOOD, EXPIRED, SELF_SIGNED, UNKNOWN_CA) for these names, as
 * OpenSSL writes them: "DNS:a.test,IP:192.0.2.1". The common name is the first.
 * CERT_NUL becomes a NUL octet in both. */
#define CERT_NUL "\1"
const char *
certs_for(struct certs *c, enum cert kind, const char *names, const char **key);

#endif
