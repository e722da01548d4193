/* SPDX-License-Identifier: ISC */
/* secure - a context for each connection: nothing is kept from one to the next. */
#include "tests/lib/secure.h"

#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/check.h"
#include "base/mem.h"

struct secure {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	enum secure_is is;
	bool server, off;
};

static int
take_any(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

static int
version_of(struct span text)
{
	static const struct {
		const char *text;
		int version;
	} known[] = {{"1.0", TLS1_VERSION}, {"1.1", TLS1_1_VERSION},
	    {"1.2", TLS1_2_VERSION}, {"1.3", TLS1_3_VERSION}};
	for (size_t i = 0; i < COUNT_OF(known); i++)
		if (span_eq(text, span_str(known[i].text)))
			return known[i].version;
	return 0;
}

/* "imap,h2" as it goes over the wire. */
static void
name_protocols(SSL *ssl, struct span names)
{
	struct buf b;
	buf_init(&b, 1000);
	while (names.n > 0) {
		size_t n = span_find(names, ',');
		buf_add_char(&b, (char)n);
		buf_add_span(&b, span_cut(names, 0, n));
		names = span_cut(names, n + 1, names.n);
	}
	if (b.n > 0)
		CHECK(SSL_set_alpn_protos(ssl, (unsigned char *)b.p, (unsigned)b.n) == 0);
	buf_clear(&b);
}

struct secure *
secure_new(int fd, const struct secure_wish *w)
{
	struct secure *s = NEW(struct secure);
	int version = version_of(w->version);
	s->fd = fd;
	s->server = w->server;
	s->ctx = SSL_CTX_new(w->server ? TLS_server_method() : TLS_client_method());
	CHECK(s->ctx != NULL);
	SSL_CTX_set_security_level(s->ctx, 0);
	CHECK(SSL_CTX_set_cipher_list(s->ctx, "DEFAULT:@SECLEVEL=0") == 1);
	CHECK(
	    SSL_CTX_set_min_proto_version(s->ctx, version ? version : TLS1_VERSION) == 1);
	CHECK(SSL_CTX_set_max_proto_version(s->ctx, version) == 1);
	(void)SSL_CTX_set_options(s->ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_mode(
	    s->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(
	    s->ctx, w->server ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, take_any);
	if (w->certificate != NULL) {
		CHECK(SSL_CTX_use_certificate_chain_file(s->ctx, w->certificate) == 1);
		CHECK(SSL_CTX_use_PrivateKey_file(s->ctx, w->key, SSL_FILETYPE_PEM) == 1);
	}
	s->ssl = SSL_new(s->ctx);
	CHECK(s->ssl != NULL && SSL_set_fd(s->ssl, fd) == 1);
	CHECK(w->groups == NULL || SSL_set1_groups_list(s->ssl, w->groups) == 1);
	name_protocols(s->ssl, w->protocols);
	if (w->server)
		SSL_set_accept_state(s->ssl);
	else
		SSL_set_connect_state(s->ssl);
	return s;
}

int
secure_fd(const struct secure *s)
{
	return s->fd;
}

void
secure_free(struct secure **sp, bool notify)
{
	struct secure *s = *sp;
	if (s == NULL)
		return;
	if (notify && !s->off && s->is == SECURE_DONE)
		(void)SSL_shutdown(s->ssl);
	SSL_free(s->ssl);
	SSL_CTX_free(s->ctx);
	ERR_clear_error();
	mem_free(sp);
}

static bool
not_now(struct secure *s, int result)
{
	int e = SSL_get_error(s->ssl, result);
	ERR_clear_error();
	return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE;
}

enum secure_is
secure_shake(struct secure *s)
{
	if (s->is != SECURE_SHAKING)
		return s->is;
	ERR_clear_error();
	int result = SSL_do_handshake(s->ssl);
	if (result == 1)
		s->is = SECURE_DONE;
	else if (!not_now(s, result))
		s->is = SECURE_FAILED;
	return s->is;
}

ssize_t
secure_recv(struct secure *s, void *p, size_t n)
{
	size_t got = 0;
	ERR_clear_error();
	int result = SSL_read_ex(s->ssl, p, n, &got);
	if (result == 1)
		return (ssize_t)got;
	return not_now(s, result) ? -1 : 0;
}

ssize_t
secure_send(struct secure *s, const void *p, size_t n)
{
	size_t sent = 0;
	if (s->off)
		return send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	ERR_clear_error();
	int result = SSL_write_ex(s->ssl, p, n, &sent);
	if (result == 1)
		return (ssize_t)sent;
	(void)not_now(s, result);
	return -1;
}

void
secure_renegotiate(struct secure *s)
{
	ERR_clear_error();
	CHECK(SSL_renegotiate(s->ssl) == 1);
	(void)not_now(s, SSL_do_handshake(s->ssl));
}

void
secure_off(struct secure *s)
{
	(void)SSL_shutdown(s->ssl);
	ERR_clear_error();
	s->off = true;
}

size_t
secure_unique(struct secure *s, void *out, size_t size)
{
	return s->server ? SSL_get_peer_finished(s->ssl, out, size)
			 : SSL_get_finished(s->ssl, out, size);
}

void
secure_describe(struct secure *s, struct buf *out)
{
	char name[256] = "";
	X509 *cert = SSL_get0_peer_certificate(s->ssl);
	const char *sni = SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name);
	buf_addf(out, "%s with cipher %s (%d bits)", SSL_get_version(s->ssl),
	    SSL_get_cipher_name(s->ssl), SSL_get_cipher_bits(s->ssl, NULL));
	if (s->server && sni != NULL)
		buf_addf(out, "\nsni %s", sni);
	if (cert != NULL && X509_NAME_get_text_by_NID(X509_get_subject_name(cert),
				NID_commonName, name, sizeof(name)) > 0)
		buf_addf(out, "\ncertificate %s", name);
	const unsigned char *protocol;
	unsigned n;
	SSL_get0_alpn_selected(s->ssl, &protocol, &n);
	if (n > 0)
		buf_addf(out, "\nprotocol %.*s", (int)n, (const char *)protocol);
	if (SSL_session_reused(s->ssl) == 1)
		buf_add_str(out, "\nresumed");
}
