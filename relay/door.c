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

const char *
door_tls_text(const struct io *io)
{
	const struct tls_info *i = io != NULL ? io_tls(io) : NULL;
	return i != NULL ? i->version : "-";
}
