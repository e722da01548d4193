/* SPDX-License-Identifier: ISC */
/*
 * tls_client - authorities, the policy of each peer, and sessions to resume.
 *
 * OpenSSL is told to let every certificate pass, so that we can say afterwards
 * what was wrong with it; the connection gets its first octet of data only when
 * the policy is content.  A session is kept under the peer's name for it and
 * the whole policy: what was agreed under one policy is never resumed under another.
 */
#include "base/tls_private.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/net.h"

#define AUTHORITIES_MAX 64 /* files of authorities kept read */
#define PEERS_MAX 1000     /* peers whose sessions are kept */
#define SESSIONS_EACH 2    /* of each: tickets of TLS 1.3 are good for once */

struct authority {
	struct link link; /* the longest unused first */
	char *file;
	uint64_t stamp;
	SSL_CTX *ctx;
};

struct memory { /* of one peer under one policy */
	struct map_node node;
	struct link link; /* the longest unused first */
	char *key;
	SSL_SESSION *session[SESSIONS_EACH];
};

struct tls_client {
	SSL_CTX *ctx;
	struct list authorities;
	size_t authorities_n;
	struct map peers;
	struct list by_use;
};

/* What a connection knows of its policy: ex_data of the SSL. */
struct policy {
	struct tls_client *client;
	char *key; /* NULL: nothing is kept */
	enum tls_verify verify;
	bool named; /* there is a name that the certificate is compared with */
	char **fingerprint;
	size_t fingerprints;
};

static int policy_index;

static void
policy_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
	struct policy *p = ptr;
	(void)parent, (void)ad, (void)idx, (void)argl, (void)argp;
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->fingerprints; i++)
		mem_free(&p->fingerprint[i]);
	mem_free(&p->fingerprint);
	mem_free(&p->key);
	mem_free(&p);
}

static void
make_index(void)
{
	policy_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, policy_free);
}

/* ---- sessions */

static struct memory *
remembered(const struct tls_client *tc, const char *key)
{
	struct map_node *k = map_get(&tc->peers, span_str(key));
	return k != NULL ? CONTAINER_OF(k, struct memory, node) : NULL;
}

static void
forget(struct tls_client *tc, struct memory *m)
{
	map_remove(&tc->peers, &m->node);
	list_remove(&m->link);
	for (size_t i = 0; i < SESSIONS_EACH; i++)
		SSL_SESSION_free(m->session[i]);
	mem_free(&m->key);
	mem_free(&m);
}

static struct memory *
remember(struct tls_client *tc, const char *key)
{
	struct memory *m = remembered(tc, key);
	if (m != NULL) {
		list_remove(&m->link);
		list_push(&tc->by_use, &m->link);
		return m;
	}
	if (tc->peers.n >= PEERS_MAX)
		forget(tc, CONTAINER_OF(list_first(&tc->by_use), struct memory, link));
	m = NEW(struct memory);
	m->key = mem_strdup(key);
	map_put(&tc->peers, &m->node, span_str(m->key));
	list_push(&tc->by_use, &m->link);
	return m;
}

/* The server has given a ticket: 1 keeps our reference to it. */
static int
on_session(SSL *ssl, SSL_SESSION *session)
{
	const struct policy *p = SSL_get_ex_data(ssl, policy_index);
	if (p == NULL || p->key == NULL)
		return 0;
	struct memory *m = remember(p->client, p->key);
	SSL_SESSION_free(m->session[SESSIONS_EACH - 1]);
	memmove(
	    &m->session[1], &m->session[0], (SESSIONS_EACH - 1) * sizeof(m->session[0]));
	m->session[0] = session;
	return 1;
}

static void
resume(struct tls_client *tc, SSL *ssl, const char *key)
{
	struct memory *m = remembered(tc, key);
	if (m == NULL || m->session[0] == NULL)
		return;
	SSL_SESSION *s = m->session[0];
	(void)SSL_set_session(ssl, s);
	if (SSL_SESSION_get_protocol_version(s) < TLS1_3_VERSION)
		return; /* may be used again */
	memmove(
	    &m->session[0], &m->session[1], (SESSIONS_EACH - 1) * sizeof(m->session[0]));
	m->session[SESSIONS_EACH - 1] = NULL;
	SSL_SESSION_free(s);
}

/* ---- contexts */

static SSL_CTX *
make_context(const char *ca_file, struct buf *why)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL) { /* no room for keys (crypto.h) */
		buf_addf(why, "TLS cannot be set up: %s", tls_reason());
		return NULL;
	}
	tls_common(ctx);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	(void)SSL_CTX_set_session_cache_mode(
	    ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	ERR_clear_error();
	int ok = ca_file != NULL ? SSL_CTX_load_verify_file(ctx, ca_file)
				 : SSL_CTX_set_default_verify_paths(ctx);
	if (ok != 1 && ca_file != NULL) {
		buf_addf(why, "authorities %s: %s", ca_file,
		    access(ca_file, R_OK) != 0 ? strerror(errno)
					       : "there is no PEM certificate in it");
		SSL_CTX_free(ctx);
		ctx = NULL;
	}
	ERR_clear_error();
	return ctx;
}

struct tls_client *
tls_client_new(const char *ca_file, struct buf *why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, make_index);
	SSL_CTX *ctx = make_context(ca_file, why);
	if (ctx == NULL)
		return NULL;
	struct tls_client *tc = NEW(struct tls_client);
	uint64_t seed[2];
	CHECK(RAND_bytes((unsigned char *)seed, sizeof(seed)) == 1);
	tc->ctx = ctx;
	map_init(&tc->peers, seed);
	list_init(&tc->by_use);
	list_init(&tc->authorities);
	return tc;
}

static void
drop_authority(struct tls_client *tc, struct authority *a)
{
	list_remove(&a->link);
	tc->authorities_n--;
	SSL_CTX_free(a->ctx);
	mem_free(&a->file);
	mem_free(&a);
}

void
tls_client_free(struct tls_client **tcp)
{
	struct tls_client *tc = *tcp;
	if (tc == NULL)
		return;
	LIST_EACH (&tc->by_use, k)
		forget(tc, CONTAINER_OF(k, struct memory, link));
	LIST_EACH (&tc->authorities, k)
		drop_authority(tc, CONTAINER_OF(k, struct authority, link));
	map_clear(&tc->peers);
	SSL_CTX_free(tc->ctx);
	mem_free(tcp);
}

static uint64_t
ca_stamp(const char *ca_file)
{
	struct tls_files f = {.certificate = ca_file};
	return ca_file != NULL ? tls_files_stamp(&f, 1) : 0;
}

/* NULL: that file is not read yet, or is not the same any more. */
static struct authority *
find_authority(struct tls_client *tc, const char *ca_file, uint64_t stamp)
{
	LIST_EACH (&tc->authorities, k) {
		struct authority *a = CONTAINER_OF(k, struct authority, link);
		if (strcmp(a->file, ca_file) != 0)
			continue;
		list_remove(k);
		list_push(&tc->authorities, k);
		if (a->stamp == stamp || stamp == 0) /* gone for the moment: as it was */
			return a;
		drop_authority(tc, a);
		return NULL;
	}
	return NULL;
}

static SSL_CTX *
add_authority(struct tls_client *tc, const char *ca_file, uint64_t stamp,
    char trouble[TLS_TROUBLE_TEXT])
{
	struct buf why;
	buf_init(&why, 1024);
	SSL_CTX *ctx = make_context(ca_file, &why);
	span_copy(buf_span(&why), trouble, TLS_TROUBLE_TEXT);
	buf_clear(&why);
	if (ctx == NULL)
		return NULL;
	if (tc->authorities_n >= AUTHORITIES_MAX)
		drop_authority(tc,
		    CONTAINER_OF(list_first(&tc->authorities), struct authority, link));
	struct authority *a = NEW(struct authority);
	*a = (struct authority){.file = mem_strdup(ca_file), .stamp = stamp, .ctx = ctx};
	list_push(&tc->authorities, &a->link);
	tc->authorities_n++;
	return ctx;
}

static SSL_CTX *
context_for(struct tls_client *tc, const char *ca_file, char trouble[TLS_TROUBLE_TEXT])
{
	if (ca_file == NULL)
		return tc->ctx;
	uint64_t stamp = ca_stamp(ca_file);
	struct authority *a = find_authority(tc, ca_file, stamp);
	return a != NULL ? a->ctx : add_authority(tc, ca_file, stamp, trouble);
}

/* ---- connections */

/* Everything that the policy says, so that no two share a session. */
static char *
policy_key(const struct tls_peer *peer)
{
	if (peer->session == NULL)
		return NULL;
	struct buf key;
	buf_init(&key, 0);
	buf_addf(&key, "%s\n%s\n%d\n%s\n%llx", peer->session,
	    peer->name ? peer->name : "", (int)peer->verify,
	    peer->ca_file ? peer->ca_file : "",
	    (unsigned long long)ca_stamp(peer->ca_file));
	for (size_t i = 0; i < peer->fingerprints; i++)
		buf_addf(&key, "\n%s", peer->fingerprint[i]);
	return buf_take(&key);
}

static void
set_policy(struct tls_client *tc, SSL *ssl, const struct tls_peer *peer, bool named)
{
	struct policy *p = NEW(struct policy);
	p->named = named;
	p->client = tc;
	p->key = policy_key(peer);
	p->verify = peer->verify;
	p->fingerprints = peer->fingerprints;
	p->fingerprint = mem_alloc((peer->fingerprints + 1) * sizeof(char *));
	for (size_t i = 0; i < peer->fingerprints; i++)
		p->fingerprint[i] = mem_strdup(peer->fingerprint[i]);
	CHECK(SSL_set_ex_data(ssl, policy_index, p) == 1);
	if (p->key != NULL)
		resume(tc, ssl, p->key);
}

/*
 * What the certificate is compared with, and what is asked for.  False: that is no
 * name.  (OpenSSL would take one with a dot in front for "all below", and compares
 * nothing if it is given nothing.)
 */
static bool
set_name(SSL *ssl, const char *text)
{
	struct net_addr ip;
	struct span s = span_str(text);
	if (net_parse_ip(s, &ip) == OK)
		return X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl), ip.ip,
			   ip.family == NET_IPV4 ? 4 : 16) == 1;
	if (s.n > 0 && s.p[s.n - 1] == '.')
		s.n--; /* the root is not written in certificates */
	if (s.n == 0 || s.n >= TLS_NAME_TEXT || s.p[0] == '.')
		return false;
	char name[TLS_NAME_TEXT];
	span_copy(s, name, sizeof(name));
	SSL_set_hostflags(ssl,
	    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

SSL *
tls_client_ssl(
    struct tls_client *tc, const struct tls_peer *peer, char trouble[TLS_TROUBLE_TEXT])
{
	SSL_CTX *ctx = context_for(tc, peer->ca_file, trouble);
	if (ctx == NULL)
		return NULL;
	SSL *ssl = SSL_new(ctx);
	CHECK(ssl != NULL);
	SSL_set_connect_state(ssl);
	SSL_set_security_level(ssl, peer->verify == TLS_VERIFY_NO ? 1 : 2);
	bool named = set_name(ssl, peer->name);
	ERR_clear_error();
	if (named || peer->verify != TLS_VERIFY_NAME) {
		set_policy(tc, ssl, peer, named);
		return ssl;
	}
	(void)snprintf(
	    trouble, TLS_TROUBLE_TEXT, "there is no name to look for in the certificate");
	SSL_free(ssl);
	return NULL;
}

static bool
fingerprint_fits(const struct policy *p, const char *fingerprint)
{
	for (size_t i = 0; i < p->fingerprints; i++)
		if (strcmp(p->fingerprint[i], fingerprint) == 0)
			return true;
	return false;
}

bool
tls_client_judge(SSL *ssl, struct tls_info *info)
{
	const struct policy *p = SSL_get_ex_data(ssl, policy_index);
	X509 *cert = SSL_get0_peer_certificate(ssl);
	long code = SSL_get_verify_result(ssl);
	if (cert == NULL) {
		span_copy(SPAN("the server showed no certificate"), info->trouble,
		    sizeof(info->trouble));
	} else if (p->verify == TLS_VERIFY_FINGERPRINT) {
		info->verified = fingerprint_fits(p, info->fingerprint);
		if (!info->verified)
			(void)snprintf(info->trouble, sizeof(info->trouble),
			    "the certificate has another fingerprint (%s)",
			    info->fingerprint);
	} else {
		info->verified = code == X509_V_OK && p->named;
		tls_trouble(code, cert, info->trouble);
		if (code == X509_V_OK && !p->named)
			span_copy(SPAN("there is no name to look for in the certificate"),
			    info->trouble, sizeof(info->trouble));
	}
	return info->verified || p->verify == TLS_VERIFY_NO;
}
