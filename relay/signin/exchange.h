/* SPDX-License-Identifier: ISC */
/*
 * exchange (private to the engine) - one client's attempt to sign in, inside the engine.
 *
 *	engine.c      channels, exchanges, their ends and their delays, passwords checked
 *	mechanism.c   PLAIN, LOGIN, EXTERNAL
 *	scram.c       SCRAM, by libgsasl
 */
#ifndef RELAY_SIGNIN_EXCHANGE_H
#define RELAY_SIGNIN_EXCHANGE_H

#include <gsasl.h>

#include "relay/signin/accounts.h"
#include "relay/signin/engine.h"
#include "relay/signin/guard.h"
#include "relay/signin/wire.h"

#define EXCHANGES_MAX 10000 /* at once */
#define HASHING_MAX 200     /* passwords that may wait to be hashed */

struct mechanism;
struct hashing;

struct signin_engine {
	struct loop *loop;
	struct pool *pool;
	struct log *log;
	struct accounts *accounts;
	struct guard guard;
	struct signin_settings settings;
	struct list channels;
	Gsasl *gsasl;
	unsigned exchanges, hashing;
};

struct channel {
	struct link link;
	struct signin_engine *engine;
	struct wire *wire;
	struct map exchanges; /* by number */
	void (*closed)(void *arg);
	void *arg;
};

struct exchange {
	struct map_node node;
	struct channel *channel;
	struct signin_engine *engine;
	uint32_t number;
	const struct mechanism *mechanism;
	unsigned step;        /* messages from the client so far */
	struct instant began; /* the client's last message came */
	struct timer due;     /* the failure is told */
	bool over;            /* it has failed, only the time has not come */
	struct verdict verdict;
	const char *why;
	/* facts */
	char *service, *hostname, *fingerprint, *certificate_name, *certificate_email;
	char *exporter, *unique; /* in base64, as libgsasl wants them; NULL: none */
	struct net_addr client;
	bool certificate_verified, any;
	/* what the client said */
	char name[ACCOUNT_NAME_MAX + 1];
	char *password; /* wiped; NULL: none */
	struct hashing *hashing;
	Gsasl_session *session;
	struct buf said; /* SCRAM: the AuthMessage so far */
};

struct mechanism {
	const char *name;
	bool clear; /* the password itself goes over the line */
	bool plus, external;
	bool
	    client_first; /* without an initial response an empty challenge asks for it */
	void (*step)(struct exchange *x, struct span data);
	const char *gsasl; /* its name there; NULL: not by libgsasl */
	const char *only; /* for this service, and never offered as SASL; NULL: for all */
};

const struct mechanism *mechanism_find(struct span name);
extern const struct mechanism mechanisms[]; /* the best first; ends with a NULL name */

/* ---- answers; after done and fail x is gone or only waits for its time */
void exchange_challenge(struct exchange *x, struct span data);
void exchange_fail(struct exchange *x, unsigned code, const char *status,
    const char *text, const char *why);
void
exchange_wrong(struct exchange *x, struct span wrong, const char *why); /* 535, counted */
void exchange_done(
    struct exchange *x, struct account *acc, const char *label, struct span last);

/* Take a name and check a password; goes on by itself. */
void exchange_check(struct exchange *x, struct span name, struct span password);

/* ---- scram.c */
void scram_step(struct exchange *x, struct span data);
int scram_property(Gsasl *ctx, Gsasl_session *session, Gsasl_property what);

#endif
