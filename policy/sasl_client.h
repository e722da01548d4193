/* SPDX-License-Identifier: ISC */
/*
 * sasl_client - signing in at somebody else's server: the client's side of SASL
 * (RFC 4422) without a protocol around it.  Pure: messages in, messages out, as
 * octets; base64 and lines are the protocol's.
 *
 *	offered = sasl_mechanisms(span of words)
 *	if (sasl_choose(offered, allowed, &m))
 *		sc = sasl_client_new(m, &credentials)
 *	sasl_client_step(sc, challenge, &answer)      ERR_SYNTAX: give up
 *	... the server says that it is over: sasl_client_proven(sc)?
 *	sasl_client_free(&sc)                         wipes what was secret
 *
 * SCRAM (RFC 5802, 7677) is libgsasl's: the server must prove in its last message
 * that it knows the secret, too.  CRAM-MD5 (RFC 2195) is libgsasl's; PLAIN
 * (RFC 4616) and LOGIN are so simple that they are done here.
 */
#ifndef POLICY_SASL_CLIENT_H
#define POLICY_SASL_CLIENT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define SASL_CHALLENGE_MAX 9216 /* octets: what 12,288 of base64 hold (RFC 4954 4) */
#define SASL_ITERATIONS_MAX \
	500000 /* of SCRAM; each costs us time that the server chooses */

enum sasl_mechanism { /* the best first */
	SASL_SCRAM_SHA_256_PLUS,
	SASL_SCRAM_SHA_256,
	SASL_SCRAM_SHA_1,
	SASL_CRAM_MD5,
	SASL_PLAIN,
	SASL_LOGIN,
	SASL_MECHANISMS
};

/* Those that show the secret to whoever listens. */
#define SASL_IN_CLEAR (1u << SASL_PLAIN | 1u << SASL_LOGIN)
#define SASL_ALL ((1u << SASL_MECHANISMS) - 1)

const char *sasl_mechanism_name(enum sasl_mechanism m);

/* The known ones among words with blanks between: a set of 1u << mechanism. */
unsigned sasl_mechanisms(struct span words);

/* The best that is in both sets; false: none. */
bool sasl_choose(unsigned offered, unsigned allowed, enum sasl_mechanism *out);

enum sasl_binding { SASL_BIND_NONE, SASL_BIND_UNIQUE, SASL_BIND_EXPORTER };

struct sasl_credentials {
	const char *user, *secret;
	/* for SCRAM-SHA-256-PLUS: what ties it to the TLS connection (RFC 5929, 9266) */
	enum sasl_binding binding;
	struct span binding_data;
};

struct sasl_client;

/* The credentials are copied. */
struct sasl_client *
sasl_client_new(enum sasl_mechanism m, const struct sasl_credentials *credentials);
void sasl_client_free(struct sasl_client **sc);

/* Does the client speak first, so that its first message (the answer to an empty
 * challenge) can go out with the mechanism's name? */
bool sasl_client_first(const struct sasl_client *sc);

/*
 * Append the answer to a challenge.  ERR_SYNTAX: not a challenge that may come now,
 * or the server proved to be another one; ERR_RANGE: over a bound.  Any number of
 * challenges may be put; after the last that its mechanism has, each is ERR_SYNTAX.
 */
enum err
sasl_client_step(struct sasl_client *sc, struct span challenge, struct buf *answer);

/* May the server's "you are signed in" be believed?  For SCRAM only after it has
 * proven itself. */
bool sasl_client_proven(const struct sasl_client *sc);

#endif
