/* SPDX-License-Identifier: ISC */
/*
 * door - what sessions of every protocol ask about the door that a client came through:
 * when TLS begins, whether passwords may be said, and what sign-in must know of the
 * connection.
 */
#ifndef RELAY_DOOR_H
#define RELAY_DOOR_H

#include <stdatomic.h>

#include "base/io.h"
#include "base/log.h"
#include "relay/config.h"
#include "relay/signin/signin.h"

/* The listener of this name; NULL: there is none (any more). */
const struct listener_config *door_listener(const struct config *c, const char *name);

/* RFC 8314: TLS from the first byte, by tls = "implicit", or on the port that stands for
 * it where old devices come. */
bool door_tls_first(
    const struct listener_config *l, const struct io *io, uint16_t implicit_port);

/* Passwords may go over this connection as it is. */
bool door_clear_ok(
    const struct listener_config *l, const struct io *io, const struct net_addr *peer);

/* A verb of HTTP: a browser is being made to speak to us, and what follows is not mail.
 */
bool door_is_http(struct span word);

/* What signin_begin() wants; the channel bindings live in here. */
struct door_facts {
	struct signin_facts f;
	struct buf exporter, unique;
};
/* certificate: the client's is really its own (no proxy's). */
void door_facts_init(struct door_facts *x, const char *service, const struct config *c,
    const struct io *io, const struct net_addr *peer, bool certificate);
void door_facts_clear(struct door_facts *x);

/* ---- what is logged of a client, and counted, whatever it speaks */

struct door_client {
	struct log *log;
	const struct io *io; /* NULL: it has gone */
	const struct net_addr *peer;
	const char *listener;
};
void door_tls_stands(struct door_client c, atomic_uint_fast64_t count[TLS_VERSIONS]);
void door_tls_failed(struct door_client c, const char *why, atomic_uint_fast64_t *count);
void door_signed_in(struct door_client c, const struct account_card *card,
    const char *mechanism, atomic_uint_fast64_t *count);
/* The name is what the client says. */
void door_sign_in_failed(struct door_client c, struct span mechanism, const char *name,
    const char *why, atomic_uint_fast64_t *count);

#endif
