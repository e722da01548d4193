/* SPDX-License-Identifier: ISC */
/*
 * tls - certificates and policies for connections, and what is known of a peer
 * once the handshake is over.  OpenSSL 3 stays behind this header and io.
 *
 * A server:
 *
 *	ts = tls_server_new(&options, &why);       certificates are read and checked
 *	io_start_tls_server(io, ts);               IO_TLS when it stands, else IO_ERROR
 *	tls_server_unref(&ts);                     connections keep their own reference
 *
 * A client:
 *
 *	tc = tls_client_new(ca_file, &why);        one per thread: it can resume sessions
 *	io_start_tls_client(io, tc, &peer);        IO_TLS, else IO_ERROR
 *	io_tls(io)->verified, ->trouble            what the certificate was worth
 *
 * Both are TLS 1.2 and later at security level 2, without renegotiation and
 * compression; a server of the legacy profile also takes TLS 1.0 at level 0, and
 * an opportunistic client takes any certificate at level 1.  RSA and ECDSA
 * certificates stand side by side; a client that names a host (SNI) gets the
 * certificate with that name, any other the first.  Buffers of idle connections
 * are released.  The end of a connection without close_notify is an ordinary end
 * (our protocols know by themselves whether they are complete).
 *
 * OpenSSL writes with write(2): a program that uses TLS ignores SIGPIPE.
 *
 * A struct tls_server is immutable and shared between threads; a struct
 * tls_client belongs to one thread.
 */
#ifndef BASE_TLS_H
#define BASE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "base/world.h"

#define TLS_FILES_MAX 64   /* certificates of one server */
#define TLS_FINGERPRINT 64 /* hexadecimal digits of a SHA-256, without a NUL */
#define TLS_NAME_TEXT 256
#define TLS_TROUBLE_TEXT 160

/* ---- servers */

enum tls_profile { TLS_PROFILE_MODERN, TLS_PROFILE_LEGACY };
enum tls_ask { TLS_ASK_NO, TLS_ASK_YES, TLS_ASK_REQUIRE }; /* for a client certificate */

struct tls_files {
	const char *certificate; /* PEM: the certificate, then its chain */
	const char *key;         /* PEM; NULL: in the same file */
};

struct tls_server_options {
	const struct tls_files *file;
	size_t files; /* 1 or more */
	enum tls_profile profile;
	enum tls_ask ask;
	/* Who signs client certificates; NULL: any certificate completes the handshake
	 * (its fingerprint may still be known), and is not `verified`. */
	const char *client_ca;
};

struct tls_server;

/* NULL with `why`: one sentence that names the file and what to do (missing, not
 * readable, key does not fit, expired certificates are only a warning of tls_look()). */
struct tls_server *tls_server_new(const struct tls_server_options *o, struct buf *why);
struct tls_server *tls_server_ref(struct tls_server *ts); /* NULL gives NULL */
void tls_server_unref(struct tls_server **ts);            /* NULL inside is fine */

/*
 * What a file says of itself, for `relayd -t`, logs and warnings: names joined by
 * ", ", validity, SHA-256.  ERR_NOT_FOUND, ERR_DENIED, ERR_SYNTAX.
 */
struct tls_look {
	char names[TLS_NAME_TEXT];
	struct wall from, until;
	char fingerprint[TLS_FINGERPRINT + 1];
	bool self_signed;
};
enum err tls_look(const char *certificate_file, struct tls_look *out);

/* "AB:CD:...", "sha256:abcd...", as openssl x509 -fingerprint -sha256 prints it, to
 * lower-case hexadecimal. False: it is none. */
bool tls_fingerprint_parse(struct span text, char out[TLS_FINGERPRINT + 1]);

/*
 * Write a new self-signed P-256 certificate for this host name, valid for ten
 * years from now, and its key (0600), each by way of a temporary file; existing
 * files are replaced.  `why` says what to do.
 */
enum err tls_self_signed(const char *hostname, const char *certificate_file,
    const char *key_file, struct wall now, struct buf *why);

/*
 * A number that changes when one of the files does (inode, size, time of change):
 * compare it now and then to know when to read them again.  0: one is missing.
 */
uint64_t tls_files_stamp(const struct tls_files *file, size_t files);

/* ---- clients */

enum tls_verify {
	TLS_VERIFY_NO, /* any certificate will do; `verified` still tells what it was
			  worth */
	/* signed by a known authority, and for this name (SAN only, RFC 6125); without
	 * a name it fails */
	TLS_VERIFY_NAME,
	TLS_VERIFY_FINGERPRINT, /* one of these certificates; names and dates do not
				   matter */
};

struct tls_peer {
	/* SNI, unless it is an address; and what TLS_VERIFY_NAME looks for */
	const char *name;
	enum tls_verify verify;
	/* authorities for this peer, read again when the file has changed; NULL: those
	 * of the tls_client */
	const char *ca_file;
	const char *const *fingerprint; /* lower-case hexadecimal SHA-256, TLS_FINGERPRINT
					   digits each */
	size_t fingerprints;
	const char *session; /* what may share a session with it (host, port, policy), or
				NULL: nothing is resumed. A change of ca_file, name,
				verify or fingerprints never resumes. */
};

struct tls_client;
/* ca_file: PEM; NULL: the system's (the default of OpenSSL). NULL with `why`. */
struct tls_client *tls_client_new(const char *ca_file, struct buf *why);
void tls_client_free(struct tls_client **tc);

/* ---- a connection's TLS, from io_tls() */

enum tls_version { TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3, TLS_VERSIONS };

struct tls_info {
	char version[16]; /* "TLSv1.3" */
	char cipher[64];  /* "TLS_AES_256_GCM_SHA384" */
	unsigned bits;
	bool server; /* we are */
	bool resumed;
	/* the peer's certificate */
	bool certificate; /* there is one */
	bool verified;    /* as the policy demands: name, fingerprint, or client_ca */
	char trouble[TLS_TROUBLE_TEXT]; /* why not verified: "the certificate expired on
					   2026-01-02" */
	char fingerprint[TLS_FINGERPRINT + 1];
	char subject[TLS_NAME_TEXT]; /* common name, printable; "" if none */
	char email[TLS_NAME_TEXT];   /* the first rfc822Name of its SAN; "" if none */
	char sni[TLS_NAME_TEXT];     /* asked for by the client, printable; "" if none */
};

enum tls_binding { TLS_BIND_UNIQUE, TLS_BIND_EXPORTER };

/* "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256 bits)" for Received fields and logs.
 */
void tls_describe(const struct tls_info *i, struct buf *out);

/* For those who count; TLS_1_0 stands for what is older, too. */
enum tls_version tls_version_of(const struct tls_info *i);

#endif
