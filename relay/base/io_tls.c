/* SPDX-License-Identifier: ISC */
/*
 * io_tls - a connection inside TLS: the handshake, and reading and writing by
 * OpenSSL in place of the kernel's calls.
 *
 *	clear    what was queued before goes out as it is (clear octets of it are left)
 *	shaking  the handshake; nothing is read for the owner, nothing of his is written
 *	inside   IO_TLS has been told
 *
 * OpenSSL's errors stand in a queue per thread; it is emptied before and after
 * every call, so that no connection suffers from another's.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "base/check.h"
#include "base/io_private.h"
#include "base/mem.h"
#include "base/tls_private.h"

#define RECORD (16u << 10) /* octets of one TLS record at most */

struct io_tls {
	SSL *ssl;
	struct tls_server *server; /* a reference; NULL: we are the client */
	struct tls_info info;
	size_t clear;         /* octets of the queue that belong before the handshake */
	bool inside;          /* the handshake is done */
	bool wants_write;     /* OpenSSL must write before it can read on */
	bool waits_for_input; /* or read before it can write on */
	bool closed;          /* close_notify is sent */
	char trouble[TLS_TROUBLE_TEXT + 8];
};

/* ---- starting */

/* OpenSSL writes with write(2), which a broken connection would answer with a signal. */
static void
ignore_sigpipe(void)
{
	struct sigaction sa;
	if (sigaction(SIGPIPE, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL)
		(void)signal(SIGPIPE, SIG_IGN);
}

static enum err
start(struct io *io, SSL *ssl, struct tls_server *server)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, ignore_sigpipe);
	struct io_tls *t = NEW(struct io_tls);
	CHECK(SSL_set_fd(ssl, io->watch.fd) == 1);
	t->ssl = ssl;
	t->server = server;
	t->clear = io->queued;
	t->info.server = server != NULL;
	io->tls = t;
	io->flags |= IO_F_SHAKING;
	later_set(&io->later);
	return OK;
}

static bool
may_start(const struct io *io)
{
	CHECK(io->tls == NULL && !io_has(io, IO_F_CONNECTING));
	return io_buffered(io) == 0 && io->deflate == NULL &&
	       !io_has(io, IO_F_DEAD | IO_F_ERROR | IO_F_EOF);
}

enum err
io_start_tls_server(struct io *io, struct tls_server *ts)
{
	return io_start_tls_speaking(io, ts, NULL);
}

enum err
io_start_tls_speaking(struct io *io, struct tls_server *ts, const char *protocol)
{
	if (!may_start(io))
		return ERR_SYNTAX;
	return start(io, tls_server_ssl(ts, protocol), tls_server_ref(ts));
}

enum err
io_start_tls_client(struct io *io, struct tls_client *tc, const struct tls_peer *peer)
{
	char trouble[TLS_TROUBLE_TEXT] = "";
	if (!may_start(io))
		return ERR_SYNTAX;
	SSL *ssl = tls_client_ssl(tc, peer, trouble);
	if (ssl != NULL)
		return start(io, ssl, NULL);
	io->tls = NEW(struct io_tls); /* only to hold the words */
	(void)snprintf(io->tls->trouble, sizeof(io->tls->trouble), "TLS: %s", trouble);
	io_fail(io, ERR_CONFIG);
	return OK;
}

void
io_tls_free(struct io *io)
{
	struct io_tls *t = io->tls;
	if (t == NULL)
		return;
	/* A connection that ends without close_notify does not make its session a bad
	 * one. */
	if (t->inside && t->trouble[0] == '\0')
		SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	if (t->ssl != NULL)
		SSL_free(t->ssl);
	tls_server_unref(&t->server);
	mem_free(&io->tls);
}

/* ---- what OpenSSL says */

static void
set_trouble(struct io_tls *t, const char *what)
{
	if (t->trouble[0] == '\0')
		(void)snprintf(
		    t->trouble, sizeof(t->trouble), "TLS: %.*s", TLS_TROUBLE_TEXT, what);
}

/* After a call that did not succeed: ERR_AGAIN, ERR_CLOSED (the end), or a failure. */
static enum err
outcome(struct io_tls *t, int result)
{
	int saved = errno;
	int code = SSL_get_error(t->ssl, result);
	if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE)
		return ERR_AGAIN;
	if (code == SSL_ERROR_ZERO_RETURN)
		return ERR_CLOSED;
	if (code == SSL_ERROR_SYSCALL && ERR_peek_error() == 0)
		return saved == 0 ? ERR_CLOSED : err_from_errno(saved);
	set_trouble(t, tls_reason());
	return ERR_IO;
}

/* ---- the handshake */

static void
take_info(struct io_tls *t)
{
	struct tls_info *i = &t->info;
	X509 *cert = SSL_get0_peer_certificate(t->ssl);
	const char *sni = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
	span_copy(span_str(SSL_get_version(t->ssl)), i->version, sizeof(i->version));
	span_copy(span_str(SSL_get_cipher_name(t->ssl)), i->cipher, sizeof(i->cipher));
	i->bits = (unsigned)SSL_get_cipher_bits(t->ssl, NULL);
	i->resumed = SSL_session_reused(t->ssl) == 1;
	i->certificate = cert != NULL;
	if (cert != NULL) {
		tls_fingerprint(cert, i->fingerprint);
		tls_subject(cert, i->subject);
		tls_email(cert, i->email);
	}
	struct buf name; /* hostile bytes on their way to a log */
	buf_init(&name, 0);
	buf_add_escaped(&name, span_str(sni));
	span_copy(buf_span(&name), i->sni, sizeof(i->sni));
	buf_clear(&name);
}

static void
shaken(struct io *io)
{
	struct io_tls *t = io->tls;
	bool fine = true;
	take_info(t);
	if (t->server != NULL)
		tls_server_judge(t->server, t->ssl, &t->info);
	else
		fine = tls_client_judge(t->ssl, &t->info);
	if (!fine) {
		set_trouble(t, t->info.trouble);
		(void)SSL_shutdown(t->ssl);
		ERR_clear_error();
		io_fail(io, ERR_DENIED);
		return;
	}
	t->inside = true;
	io->flags &= ~(unsigned)IO_F_SHAKING;
}

bool
io_tls_shake(struct io *io)
{
	struct io_tls *t = io->tls;
	if (t->clear > 0 || io_has(io, IO_F_ERROR | IO_F_DEAD))
		return false;
	ERR_clear_error();
	errno = 0;
	int result = SSL_do_handshake(t->ssl);
	t->wants_write = SSL_want_write(t->ssl);
	if (result == 1) {
		shaken(io);
		return t->inside;
	}
	enum err e = outcome(t, result);
	if (e == ERR_CLOSED)
		set_trouble(t, "the connection ended during the handshake");
	if (e != ERR_AGAIN)
		io_fail(io, e);
	return false;
}

/* ---- reading and writing */

ssize_t
io_tls_take(struct io *io, char *p, size_t n, enum err *e)
{
	struct io_tls *t = io->tls;
	size_t got = 0;
	ERR_clear_error();
	errno = 0;
	int result = SSL_read_ex(t->ssl, p, n, &got);
	t->wants_write = result != 1 && SSL_want_write(t->ssl);
	if (result == 1)
		return (ssize_t)got;
	*e = outcome(t, result);
	return *e == ERR_CLOSED ? 0 : -1;
}

/* The first octets of the vector in one piece: OpenSSL makes a record of each call. */
static size_t
join(const struct iovec *v, size_t n, size_t skip, char *record)
{
	size_t have = 0;
	for (size_t i = 0; i < n && have < RECORD; i++) {
		size_t len = v[i].iov_len;
		if (skip >= len) {
			skip -= len;
			continue;
		}
		size_t part = len - skip < RECORD - have ? len - skip : RECORD - have;
		memcpy(record + have, (const char *)v[i].iov_base + skip, part);
		have += part;
		skip = 0;
	}
	return have;
}

ssize_t
io_tls_give(struct io *io, const struct iovec *v, size_t n, enum err *e)
{
	struct io_tls *t = io->tls;
	char record[RECORD];
	size_t sent = 0;
	for (;;) {
		size_t have = join(v, n, sent, record), done = 0;
		if (have == 0)
			return (ssize_t)sent;
		ERR_clear_error();
		errno = 0;
		int result = SSL_write_ex(t->ssl, record, have, &done);
		t->waits_for_input = result != 1 && SSL_want_read(t->ssl);
		if (result == 1) {
			sent += done;
			continue;
		}
		*e = outcome(t, result);
		if (*e == ERR_CLOSED)
			*e = ERR_REFUSED;
		return sent > 0 && *e == ERR_AGAIN ? (ssize_t)sent : -1;
	}
}

size_t
io_tls_clear(const struct io *io)
{
	return io->tls != NULL && !io->tls->inside ? io->tls->clear : SIZE_MAX;
}

void
io_tls_sent_clear(struct io *io, size_t n)
{
	if (io->tls != NULL && !io->tls->inside)
		io->tls->clear -= n;
}

bool
io_tls_inside(const struct io *io)
{
	return io->tls != NULL && io->tls->inside;
}

size_t
io_tls_pending(const struct io *io)
{
	int n = io_tls_inside(io) ? SSL_pending(io->tls->ssl) : 0;
	return n > 0 ? (size_t)n : 0;
}

bool
io_tls_wants_write(const struct io *io)
{
	return io->tls != NULL && io->tls->wants_write;
}

bool
io_tls_waits_for_input(const struct io *io)
{
	return io->tls != NULL && io->tls->waits_for_input;
}

bool
io_tls_close(struct io *io)
{
	struct io_tls *t = io->tls;
	if (t == NULL || !t->inside || t->closed)
		return true;
	ERR_clear_error();
	int result = SSL_shutdown(t->ssl);
	t->closed = result >= 0 || SSL_get_error(t->ssl, result) != SSL_ERROR_WANT_WRITE;
	ERR_clear_error();
	return t->closed;
}

/* ---- what is known */

const struct tls_info *
io_tls(const struct io *io)
{
	return io_tls_inside(io) ? &io->tls->info : NULL;
}

const char *
io_trouble(const struct io *io)
{
	if (io->tls != NULL && io->tls->trouble[0] != '\0')
		return io->tls->trouble;
	if (io_deflate_damaged(io))
		return "compressed data is damaged";
	return err_text(io->error);
}

/* RFC 5929 3: the first Finished message of the handshake. */
static size_t
first_finished(const struct io_tls *t, unsigned char *out, size_t size)
{
	bool ours = t->info.server == t->info.resumed;
	return ours ? SSL_get_finished(t->ssl, out, size)
		    : SSL_get_peer_finished(t->ssl, out, size);
}

enum err
io_tls_binding(const struct io *io, enum tls_binding kind, struct buf *out)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	static const unsigned char context[1];
	unsigned char data[64];
	size_t n = 32;
	if (!io_tls_inside(io))
		return ERR_NOT_FOUND;
	SSL *ssl = io->tls->ssl;
	bool extended =
	    SSL_version(ssl) >= TLS1_3_VERSION || SSL_get_extms_support(ssl) == 1;
	if (!extended || (kind == TLS_BIND_UNIQUE && SSL_version(ssl) != TLS1_2_VERSION))
		return ERR_NOT_FOUND;
	ERR_clear_error();
	if (kind == TLS_BIND_UNIQUE)
		n = first_finished(io->tls, data, sizeof(data));
	else if (SSL_export_keying_material(
		     ssl, data, n, label, sizeof(label) - 1, context, 0, 1) != 1)
		n = 0;
	ERR_clear_error();
	if (n == 0 || n > sizeof(data))
		return ERR_NOT_FOUND;
	buf_add(out, data, n);
	return OK;
}
