/* SPDX-License-Identifier: ISC */
/*
 * tls_private - what the files of TLS share.  Nobody else includes it, but io_tls.c.
 *
 *	tls.c          words for OpenSSL's errors, certificates looked at
 *	tls_make.c     self-signed certificates, stamps of files
 *	tls_server.c   contexts of servers, the choice by SNI
 *	tls_client.c   contexts of clients, sessions to resume, what a peer is worth
 *	io_tls.c       a connection's handshake, reading and writing
 */
#ifndef BASE_TLS_PRIVATE_H
#define BASE_TLS_PRIVATE_H

#include <openssl/ssl.h>

#include "base/tls.h"

/* ---- tls.c */

/* OpenSSL's reason for its last error, and the queue is empty afterwards. Never NULL. */
const char *tls_reason(void);

/* All names and addresses of a certificate, joined by ", ", printable; and cut. */
void tls_add_names(X509 *cert, struct buf *out);
void tls_names(X509 *cert, char out[TLS_NAME_TEXT]);
void tls_fingerprint(const X509 *cert, char out[TLS_FINGERPRINT + 1]);
void tls_subject(X509 *cert, char out[TLS_NAME_TEXT]);
void tls_email(X509 *cert, char out[TLS_NAME_TEXT]);

/* Why this certificate is not right, in words; code is OpenSSL's. */
void tls_trouble(long code, X509 *cert, char out[TLS_TROUBLE_TEXT]);

/* What every context of ours has: versions, modes, options. */
void tls_common(SSL_CTX *ctx);

/*
 * A PEM file, which may hold a key: what was read of it is wiped, and while it is open
 * what OpenSSL frees on this thread, too.  False: errno.
 */
struct tls_pem {
	BIO *bio;
	char room[4096];
};
bool tls_pem_open(struct tls_pem *p, const char *file);
void tls_pem_close(struct tls_pem *p);

/* The first certificate of a PEM file; NULL, and tls_reason() or errno tells. */
X509 *tls_read_certificate(const char *file);

/* ---- tls_server.c */

/* A new connection of this server; with its reference in it.  protocol: a literal, for
 * ALPN; NULL: any. */
SSL *tls_server_ssl(struct tls_server *ts, const char *protocol);
/* What the peer's certificate is worth to this server. */
void tls_server_judge(const struct tls_server *ts, SSL *ssl, struct tls_info *info);

/* ---- tls_client.c */

/* NULL with a phrase in trouble: the authorities cannot be read. */
SSL *tls_client_ssl(
    struct tls_client *tc, const struct tls_peer *peer, char trouble[TLS_TROUBLE_TEXT]);
/* Fills verified and trouble; false: the policy does not let this peer pass. */
bool tls_client_judge(SSL *ssl, struct tls_info *info);

#endif
