/* SPDX-License-Identifier: ISC */
/* door - see door.h. */
#include "relay/door.h"

#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

const struct listener_config *
door_listener(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->listeners; i++)
		if (strcmp(c->listener[i].name, name) == 0)
			return &c->listener[i];
	return NULL;
}

/* The port that the client has called; of a socket pair, the one it stands for. */
static uint16_t
port_here(const struct listener_config *l, const struct io *io)
{
	struct sockaddr_storage sa = {0};
	socklen_t n = sizeof(sa);
	struct net_addr here = {0};
	if (getsockname(io_fd(io), (struct sockaddr *)&sa, &n) == 0)
		net_from_sockaddr((const struct sockaddr *)&sa, &here);
	if (here.family != NET_NONE)
		return here.port;
	return l->binds > 0 ? l->bind[0].port : 0;
}

bool
door_tls_first(
    const struct listener_config *l, const struct io *io, uint16_t implicit_port)
{
	if (l == NULL)
		return false;
	return l->tls == TLS_IMPLICIT ||
	       (l->tls == TLS_LEGACY && port_here(l, io) == implicit_port);
}

bool
door_clear_ok(
    const struct listener_config *l, const struct io *io, const struct net_addr *peer)
{
	if (io_tls(io) != NULL || l->auth == AUTH_ANY)
		return true;
	return l->auth_in_clear && (l->auth_in_clear_from.n == 0 ||
				       network_list_has(&l->auth_in_clear_from, peer));
}

bool
door_is_http(struct span word)
{
	static const char *const verbs[] = {"GET", "POST", "PUT", "HEAD", "CONNECT",
	    "OPTIONS", "TRACE", "DELETE", "PATCH", "PRI"};
	for (size_t i = 0; i < COUNT_OF(verbs); i++)
		if (span_ieq(word, span_str(verbs[i])))
			return true;
	return false;
}

void
door_facts_init(struct door_facts *x, const char *service, const struct config *c,
    const struct io *io, const struct net_addr *peer, bool certificate)
{
	*x = (struct door_facts){
	    .f = {.service = service, .client = *peer, .hostname = c->policy.hostname}};
	if (io_tls_binding(io, TLS_BIND_EXPORTER, &x->exporter) == OK)
		x->f.exporter = buf_span(&x->exporter);
	if (io_tls_binding(io, TLS_BIND_UNIQUE, &x->unique) == OK)
		x->f.unique = buf_span(&x->unique);
	const struct tls_info *i = io_tls(io);
	if (i == NULL || !i->certificate || !certificate)
		return;
	x->f.fingerprint = span_str(i->fingerprint);
	x->f.certificate_verified = i->verified && c->tls.client_ca != NULL;
	x->f.certificate_name = span_str(i->subject);
	x->f.certificate_email = span_str(i->email);
}

void
door_facts_clear(struct door_facts *x)
{
	buf_clear(&x->exporter);
	buf_clear(&x->unique);
}

/* ---- the log */

static void
count_one(atomic_uint_fast64_t *count)
{
	atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

void
door_tls_stands(struct door_client c, atomic_uint_fast64_t count[TLS_VERSIONS])
{
	const struct tls_info *i = io_tls(c.io);
	char client[NET_TEXT];
	net_format_ip(c.peer, client);
	count_one(&count[tls_version_of(i)]);
	LOG(c.log, EV_TLS, F_STR("client", client), F_STR("listener", c.listener),
	    F_STR("version", i->version), F_STR("cipher", i->cipher),
	    F_STR("sni", i->sni),
	    F_STR("certificate", i->certificate ? i->fingerprint : "-"),
	    F_STR("subject", i->subject),
	    F_STR("trouble", i->certificate && !i->verified ? i->trouble : "-"));
}

void
door_tls_failed(struct door_client c, const char *why, atomic_uint_fast64_t *count)
{
	char client[NET_TEXT];
	net_format_ip(c.peer, client);
	count_one(count);
	LOG(c.log, EV_TLS_FAILED, F_STR("client", client), F_STR("listener", c.listener),
	    F_STR("why", why));
}

/* "TLSv1.3", or "-". */
static const char *
tls_text(const struct io *io)
{
	const struct tls_info *i = io != NULL ? io_tls(io) : NULL;
	return i != NULL ? i->version : "-";
}

void
door_signed_in(struct door_client c, const struct account_card *card,
    const char *mechanism, atomic_uint_fast64_t *count)
{
	char client[NET_TEXT];
	net_format_ip(c.peer, client);
	count_one(count);
	LOG(c.log, EV_SIGNED_IN, F_STR("client", client), F_STR("account", card->name),
	    F_STR("mechanism", mechanism),
	    F_STR("secret", card->secret != NULL ? card->secret : ""),
	    F_STR("tls", tls_text(c.io)), F_STR("listener", c.listener));
}

void
door_sign_in_failed(struct door_client c, struct span mechanism, const char *name,
    const char *why, atomic_uint_fast64_t *count)
{
	char client[NET_TEXT];
	net_format_ip(c.peer, client);
	count_one(count);
	LOG(c.log, EV_SIGN_IN_FAILED, F_STR("client", client), F_STR("name", name),
	    F_SPAN("mechanism", mechanism), F_STR("why", why),
	    F_STR("tls", tls_text(c.io)), F_STR("listener", c.listener));
}
