/* SPDX-License-Identifier: ISC */
/*
 * secure - the TLS of the other side, by OpenSSL itself and not by the code under
 * test.  It takes any certificate and any version, never waits, and shows the
 * certificate that it is told to.
 */
#ifndef TESTS_LIB_SECURE_H
#define TESTS_LIB_SECURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/span.h"

enum secure_is { SECURE_SHAKING, SECURE_DONE, SECURE_FAILED };

struct secure_wish {
	bool server;
	const char *certificate, *key; /* NULL: none is shown */
	struct span version;           /* "1.2": this one and no other; empty: any */
	const char *groups;            /* "P-521"; NULL: what OpenSSL likes */
	struct span protocols;         /* a client's ALPN: "imap,h2"; empty: none */
};

struct secure;

/* On a descriptor that does not block; it stays the caller's. */
struct secure *secure_new(int fd, const struct secure_wish *w);

int secure_fd(const struct secure *s);

/* notify: with close_notify. */
void secure_free(struct secure **s, bool notify);

/* One step of the handshake; afterwards only what has become of it. */
enum secure_is secure_shake(struct secure *s);

/* Like recv(2) and send(2): 0 is the end, -1 is not now (or, when sending, never). */
ssize_t secure_recv(struct secure *s, void *p, size_t n);
ssize_t secure_send(struct secure *s, const void *p, size_t n);

/* Asks for another handshake (up to TLS 1.2); its first message goes out. */
void secure_renegotiate(struct secure *s);

/* close_notify; what is sent from now on goes out in the clear. */
void secure_off(struct secure *s);

/* tls-unique of a handshake that resumed nothing; its length. */
size_t secure_unique(struct secure *s, void *out, size_t size);

/* Lines: "TLSv1.3 with cipher ... (256 bits)", "sni NAME", "certificate NAME", "protocol
 * NAME", "resumed". */
void secure_describe(struct secure *s, struct buf *out);

#endif
