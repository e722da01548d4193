/* SPDX-License-Identifier: ISC */
/*
 * tls_server - contexts with certificates, one for each set of names: an RSA and
 * an ECDSA certificate of the same names share one, and OpenSSL takes what the
 * client can.  The name that a client asks for chooses the context.
 */
#include "base/tls_private.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/check.h"
#include "base/mem.h"

struct names {
	SSL_CTX *ctx;
	char *text; /* "a.example, *.b.example" in lower case */
};

struct tls_server {
	atomic_uint refs;
	enum tls_ask ask;
	bool has_ca;
	struct names
	    set[TLS_FILES_MAX]; /* the first is for whoever asks for no name of ours */
	size_t sets;
};

/* ---- choosing */

static bool
name_fits(struct span pattern, struct span name)
{
	if (!span_starts(pattern, SPAN("*.")))
		return span_ieq(pattern, name);
	size_t dot = span_find(name, '.');
	return dot > 0 && dot < name.n &&
	       span_ieq(span_cut(pattern, 1, pattern.n), span_cut(name, dot, name.n));
}

static bool
set_has(const struct names *s, struct span name, bool wildcards)
{
	struct span rest = span_str(s->text);
	while (rest.n > 0) {
		size_t end = span_find(rest, ',');
		struct span one = span_trim(span_cut(rest, 0, end));
		if (span_starts(one, SPAN("*")) == wildcards && name_fits(one, name))
			return true;
		rest = span_cut(rest, end + 1, rest.n);
	}
	return false;
}

static const struct names *
choose(const struct tls_server *ts, struct span name)
{
	for (int wildcards = 0; wildcards <= 1; wildcards++)
		for (size_t i = 0; i < ts->sets; i++)
			if (set_has(&ts->set[i], name, wildcards != 0))
				return &ts->set[i];
	return &ts->set[0];
}

static int
on_sni(SSL *ssl, int *alert, void *arg)
{
	const struct tls_server *ts = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	(void)alert;
	if (name != NULL)
		(void)SSL_set_SSL_CTX(ssl, choose(ts, span_str(name))->ctx);
	return SSL_TLSEXT_ERR_OK;
}

/*
 * A browser that was led to a port for mail means HTTP and says so: what it would send
 * there in somebody's name is refused before the first word (RFC 7301 3.2).
 */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
    const unsigned char *in, unsigned n, void *arg)
{
	const char *protocol = SSL_get_app_data(ssl);
	(void)arg;
	if (protocol == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	size_t length = strlen(protocol);
	for (unsigned at = 0; at < n; at += 1u + in[at]) {
		if (in[at] == length && length < n - at &&
		    memcmp(in + at + 1, protocol, length) == 0) {
			*out = in + at + 1;
			*out_n = in[at];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Every certificate completes the handshake; what it is worth is asked afterwards. */
static int
on_verify(int ok, X509_STORE_CTX *store)
{
	(void)ok;
	(void)store;
	return 1;
}

/* Never prompt for a passphrase. */
static int
on_passphrase(char *buf, int size, int rw, void *arg)
{
	(void)buf;
	(void)size;
	(void)rw;
	(void)arg;
	return 0;
}

/* ---- making */

static bool
set_profile(SSL_CTX *ctx, enum tls_profile profile)
{
	tls_common(ctx);
	(void)SSL_CTX_set_num_tickets(ctx, 1);
	/* clients keep their own sessions, as tickets */
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_dh_auto(ctx, 1);
	if (profile == TLS_PROFILE_MODERN) {
		SSL_CTX_set_security_level(ctx, 2);
		return true;
	}
	return SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(ctx, "DEFAULT:@SECLEVEL=0") == 1;
}

static bool
set_asking(SSL_CTX *ctx, const struct tls_server_options *o, struct buf *why)
{
	static const unsigned char session[] = "relayd";
	int mode = SSL_VERIFY_NONE;
	if (o->ask != TLS_ASK_NO)
		mode = SSL_VERIFY_PEER;
	if (o->ask == TLS_ASK_REQUIRE)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx, mode, on_verify);
	(void)SSL_CTX_set_session_id_context(ctx, session, sizeof(session) - 1);
	if (o->client_ca == NULL)
		return true;
	STACK_OF(X509_NAME) *list = SSL_load_client_CA_file(o->client_ca);
	if (list == NULL || SSL_CTX_load_verify_file(ctx, o->client_ca) != 1) {
		buf_addf(why, "client-ca %s: %s", o->client_ca,
		    access(o->client_ca, R_OK) != 0 ? strerror(errno)
						    : "no certificate in it");
		sk_X509_NAME_pop_free(list, X509_NAME_free);
		ERR_clear_error();
		return false;
	}
	SSL_CTX_set_client_CA_list(ctx, list);
	return true;
}

static SSL_CTX *
make_context(struct tls_server *ts, const struct tls_server_options *o, struct buf *why)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	if (ctx == NULL) { /* no room for keys (crypto.h) */
		buf_addf(why, "TLS cannot be set up: %s", tls_reason());
		return NULL;
	}
	SSL_CTX_set_default_passwd_cb(ctx, on_passphrase);
	(void)SSL_CTX_set_tlsext_servername_callback(ctx, on_sni);
	(void)SSL_CTX_set_tlsext_servername_arg(ctx, ts);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	if (set_profile(ctx, o->profile) && set_asking(ctx, o, why))
		return ctx;
	if (why->n == 0)
		buf_addf(why, "TLS cannot be set up: %s", tls_reason());
	SSL_CTX_free(ctx);
	return NULL;
}

/* The certificate, and behind it those that lead to its authority. */
static bool
load_chain(SSL_CTX *ctx, const char *file)
{
	struct tls_pem p;
	if (!tls_pem_open(&p, file))
		return false;
	X509 *cert = PEM_read_bio_X509_AUX(p.bio, NULL, on_passphrase, NULL);
	bool ok = cert != NULL && SSL_CTX_use_certificate(ctx, cert) == 1 &&
		  SSL_CTX_clear_chain_certs(ctx) == 1;
	X509_free(cert);
	while (
	    ok && (cert = PEM_read_bio_X509(p.bio, NULL, on_passphrase, NULL)) != NULL) {
		ok = SSL_CTX_add1_chain_cert(ctx, cert) == 1;
		X509_free(cert);
	}
	tls_pem_close(&p);
	ok = ok && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	if (ok) /* that was its end */
		ERR_clear_error();
	return ok;
}

static bool
load_key(SSL_CTX *ctx, const char *file)
{
	struct tls_pem p;
	if (!tls_pem_open(&p, file))
		return false;
	EVP_PKEY *key = PEM_read_bio_PrivateKey(p.bio, NULL, on_passphrase, NULL);
	bool ok = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1;
	EVP_PKEY_free(key);
	tls_pem_close(&p);
	return ok;
}

static bool
load_pair(SSL_CTX *ctx, const struct tls_files *f, struct buf *why)
{
	const char *key = f->key != NULL ? f->key : f->certificate;
	ERR_clear_error();
	if (!load_chain(ctx, f->certificate))
		buf_addf(why, "certificate %s: %s", f->certificate, tls_reason());
	else if (access(key, R_OK) != 0)
		buf_addf(why, "key %s: %s", key, strerror(errno));
	else if (!load_key(ctx, key))
		buf_addf(why,
		    "key %s: %s; it must be a PEM key without a passphrase, and that of "
		    "%s",
		    key, tls_reason(), f->certificate);
	else if (SSL_CTX_check_private_key(ctx) != 1)
		buf_addf(
		    why, "key %s is not that of the certificate %s", key, f->certificate);
	ERR_clear_error();
	return why->n == 0;
}

/* In lower case; a certificate of the old kind has its name as common name. */
static char *
names_of(X509 *cert)
{
	char common[TLS_NAME_TEXT];
	struct buf b;
	buf_init(&b, 0);
	tls_add_names(cert, &b);
	if (b.n == 0) {
		tls_subject(cert, common);
		buf_add_str(&b, common);
	}
	for (size_t i = 0; i < b.n; i++)
		b.p[i] = ascii_lower(b.p[i]);
	return buf_take(&b);
}

static bool
add_files(struct tls_server *ts, const struct tls_server_options *o,
    const struct tls_files *f, struct buf *why)
{
	X509 *cert = tls_read_certificate(f->certificate);
	if (cert == NULL) {
		buf_addf(why, "certificate %s: %s", f->certificate,
		    errno != 0 ? strerror(errno) : "there is no PEM certificate in it");
		ERR_clear_error();
		return false;
	}
	char *names = names_of(cert);
	X509_free(cert);
	size_t i = 0;
	while (i < ts->sets && strcmp(ts->set[i].text, names) != 0)
		i++;
	struct names *s = &ts->set[i];
	if (i < ts->sets) {
		mem_free(&names);
	} else {
		s->text = names;
		s->ctx = make_context(ts, o, why);
		ts->sets++;
	}
	return s->ctx != NULL && load_pair(s->ctx, f, why);
}

struct tls_server *
tls_server_new(const struct tls_server_options *o, struct buf *why)
{
	CHECK(o->files > 0 && o->files <= TLS_FILES_MAX);
	struct tls_server *ts = NEW(struct tls_server);
	atomic_init(&ts->refs, 1);
	ts->ask = o->ask;
	ts->has_ca = o->client_ca != NULL;
	bool ok = true;
	for (size_t i = 0; ok && i < o->files; i++)
		ok = add_files(ts, o, &o->file[i], why);
	if (!ok)
		tls_server_unref(&ts);
	return ts;
}

struct tls_server *
tls_server_ref(struct tls_server *ts)
{
	if (ts != NULL)
		atomic_fetch_add_explicit(&ts->refs, 1, memory_order_relaxed);
	return ts;
}

void
tls_server_unref(struct tls_server **tsp)
{
	struct tls_server *ts = *tsp;
	*tsp = NULL;
	if (ts == NULL ||
	    atomic_fetch_sub_explicit(&ts->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < ts->sets; i++) {
		SSL_CTX_free(ts->set[i].ctx);
		mem_free(&ts->set[i].text);
	}
	mem_free(&ts);
}

/* ---- connections */

SSL *
tls_server_ssl(struct tls_server *ts, const char *protocol)
{
	SSL *ssl = SSL_new(ts->set[0].ctx);
	CHECK(ssl != NULL);
	CHECK(SSL_set_app_data(ssl, (void *)(uintptr_t)protocol) == 1);
	SSL_set_accept_state(ssl);
	return ssl;
}

void
tls_server_judge(const struct tls_server *ts, SSL *ssl, struct tls_info *info)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	long code = SSL_get_verify_result(ssl);
	if (cert == NULL)
		return;
	info->verified = ts->has_ca && code == X509_V_OK;
	if (!info->verified)
		tls_trouble(
		    code != X509_V_OK ? code : X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, cert,
		    info->trouble);
}
