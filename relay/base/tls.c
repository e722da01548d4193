/* SPDX-License-Identifier: ISC */
/* tls - what is the same for both sides: errors in words, certificates in words. */
#include "base/tls_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "base/net.h"

const char *
tls_reason(void)
{
	unsigned long code = ERR_peek_last_error();
	if (code != 0 && crypto_keys_full()) { /* whatever it stumbled over for want of */
		ERR_clear_error();
		return "the room for keys is full: restart relayd, and it is as large as "
		       "limits { connections } wants it";
	}
	ERR_clear_error();
	const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;
	return text != NULL ? text : "unknown error";
}

void
tls_common(SSL_CTX *ctx)
{
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
					SSL_MODE_ENABLE_PARTIAL_WRITE |
					SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					   SSL_OP_IGNORE_UNEXPECTED_EOF |
					   SSL_OP_CLEANSE_PLAINTEXT |
					   SSL_OP_CIPHER_SERVER_PREFERENCE);
	/* a call returns after each record, so that no peer keeps us inside one */
	(void)SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	(void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
}

/* ---- words */

/* Printable ASCII, other octets as "?"; behind a comma if it is not the first. */
static void
add_name(struct buf *out, const unsigned char *p, int n)
{
	if (out->n > 0)
		buf_add_str(out, ", ");
	for (int i = 0; i < n; i++)
		buf_add_char(out, p[i] >= 0x20 && p[i] < 0x7f ? (char)p[i] : '?');
}

static void
add_string(struct buf *out, const ASN1_STRING *s)
{
	add_name(out, ASN1_STRING_get0_data(s), ASN1_STRING_length(s));
}

static void
add_address(struct buf *out, const ASN1_STRING *s)
{
	struct net_addr a = {.family = ASN1_STRING_length(s) == 4 ? NET_IPV4 : NET_IPV6};
	char text[NET_TEXT];
	if (ASN1_STRING_length(s) != 4 && ASN1_STRING_length(s) != 16)
		return;
	memcpy(a.ip, ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
	net_format_ip(&a, text);
	add_name(out, (const unsigned char *)text, (int)strlen(text));
}

/* The names of one kind in the subject's alternative names; at most max of them. */
static void
alternative_names(X509 *cert, int kind, int max, struct buf *out)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && max > 0; i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		if (n->type != kind)
			continue;
		max--;
		if (kind == GEN_IPADD)
			add_address(out, n->d.ip);
		else
			add_string(out, n->d.ia5);
	}
	GENERAL_NAMES_free(names);
	ERR_clear_error();
}

void
tls_add_names(X509 *cert, struct buf *out)
{
	alternative_names(cert, GEN_DNS, 1000, out);
	alternative_names(cert, GEN_IPADD, 1000, out);
}

static void
take_text(struct buf *b, char out[TLS_NAME_TEXT])
{
	span_copy(buf_span(b), out, TLS_NAME_TEXT);
	buf_clear(b);
}

void
tls_names(X509 *cert, char out[TLS_NAME_TEXT])
{
	struct buf b;
	buf_init(&b, 0);
	tls_add_names(cert, &b);
	take_text(&b, out);
}

void
tls_email(X509 *cert, char out[TLS_NAME_TEXT])
{
	struct buf b;
	buf_init(&b, 0);
	alternative_names(cert, GEN_EMAIL, 1, &b);
	take_text(&b, out);
}

void
tls_subject(X509 *cert, char out[TLS_NAME_TEXT])
{
	struct buf b;
	X509_NAME *name = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	buf_init(&b, 0);
	if (at >= 0)
		add_string(&b, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	take_text(&b, out);
}

void
tls_fingerprint(const X509 *cert, char out[TLS_FINGERPRINT + 1])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	out[0] = '\0';
	if (X509_digest(cert, EVP_sha256(), md, &n) != 1 || n != TLS_FINGERPRINT / 2)
		return;
	for (unsigned i = 0; i < n; i++) {
		out[i * 2] = digits[md[i] >> 4];
		out[i * 2 + 1] = digits[md[i] & 15];
	}
	out[n * 2] = '\0';
}

bool
tls_fingerprint_parse(struct span text, char out[TLS_FINGERPRINT + 1])
{
	size_t n = 0;
	if (span_istarts(text, SPAN("sha256:")))
		text = span_cut(text, 7, text.n);
	for (size_t i = 0; i < text.n; i++) {
		char c = ascii_lower(text.p[i]);
		bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
		if (c == ':')
			continue;
		if (!digit || n == TLS_FINGERPRINT)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return n == TLS_FINGERPRINT;
}

static struct wall
wall_of(const ASN1_TIME *t)
{
	struct tm tm;
	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return (struct wall){0};
	return (struct wall){(int64_t)timegm(&tm) * SECOND_MS};
}

static void
add_date(char *out, size_t size, const char *words, const ASN1_TIME *t)
{
	struct buf day;
	buf_init(&day, 64);
	wall_add_iso(&day, wall_of(t));
	(void)snprintf(out, size, "%s %.*s", words, 10, day.p);
	buf_clear(&day);
}

void
tls_trouble(long code, X509 *cert, char out[TLS_TROUBLE_TEXT])
{
	char names[TLS_NAME_TEXT];
	switch (code) {
	case X509_V_OK: out[0] = '\0'; return;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		if (X509_cmp_current_time(X509_get0_notAfter(cert)) > 0) {
			(void)snprintf(out, TLS_TROUBLE_TEXT,
			    "a certificate that signs the certificate has expired");
			return;
		}
		add_date(out, TLS_TROUBLE_TEXT, "the certificate expired on",
		    X509_get0_notAfter(cert));
		return;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		add_date(out, TLS_TROUBLE_TEXT, "the certificate is not valid before",
		    X509_get0_notBefore(cert));
		return;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		tls_names(cert, names);
		(void)snprintf(out, TLS_TROUBLE_TEXT,
		    "the certificate is for other names (%.100s)",
		    names[0] ? names : "none at all");
		return;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		(void)snprintf(out, TLS_TROUBLE_TEXT, "the certificate is self-signed");
		return;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		(void)snprintf(out, TLS_TROUBLE_TEXT,
		    "the certificate is signed by an unknown authority");
		return;
	default:
		(void)snprintf(out, TLS_TROUBLE_TEXT,
		    "the certificate is not right: %.100s",
		    X509_verify_cert_error_string(code));
	}
}

void
tls_describe(const struct tls_info *i, struct buf *out)
{
	buf_addf(out, "%s with cipher %s (%u bits)", i->version, i->cipher, i->bits);
}

/* ---- files */

bool
tls_pem_open(struct tls_pem *p, const char *file)
{
	FILE *f = fopen(file, "re");
	if (f == NULL)
		return false;
	(void)setvbuf(f, p->room, _IOFBF, sizeof(p->room));
	crypto_wipe_freed(true);
	p->bio = BIO_new_fp(f, BIO_CLOSE);
	CHECK(p->bio != NULL);
	return true;
}

void
tls_pem_close(struct tls_pem *p)
{
	(void)BIO_free(p->bio);
	explicit_bzero(p->room, sizeof(p->room));
	crypto_wipe_freed(false);
}

X509 *
tls_read_certificate(const char *file)
{
	struct tls_pem p;
	ERR_clear_error();
	if (!tls_pem_open(&p, file))
		return NULL;
	X509 *cert = PEM_read_bio_X509_AUX(p.bio, NULL, NULL, NULL);
	tls_pem_close(&p);
	errno = 0;
	return cert;
}

enum err
tls_look(const char *certificate_file, struct tls_look *out)
{
	*out = (struct tls_look){0};
	X509 *cert = tls_read_certificate(certificate_file);
	if (cert == NULL) {
		ERR_clear_error();
		return errno != 0 ? err_from_errno(errno) : ERR_SYNTAX;
	}
	tls_names(cert, out->names);
	tls_fingerprint(cert, out->fingerprint);
	out->from = wall_of(X509_get0_notBefore(cert));
	out->until = wall_of(X509_get0_notAfter(cert));
	out->self_signed =
	    X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(cert)) == 0;
	X509_free(cert);
	return OK;
}

enum tls_version
tls_version_of(const struct tls_info *i)
{
	static const char *const names[TLS_VERSIONS] = {
	    [TLS_1_1] = "TLSv1.1", [TLS_1_2] = "TLSv1.2", [TLS_1_3] = "TLSv1.3"};
	for (unsigned v = TLS_1_1; v < TLS_VERSIONS; v++)
		if (strcmp(i->version, names[v]) == 0)
			return (enum tls_version)v;
	return TLS_1_0;
}
