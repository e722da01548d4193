/* SPDX-License-Identifier: ISC */
/*
 * ingress - the SMTP server side (RFC 5321).  One ingress per io thread owns
 * its listeners and sessions; what all threads count together (connections in
 * all and per client) is in one census.
 *
 *	census = census_new(world);                            once
 *	in = ingress_new(&options);                            per io thread
 *	ingress_listen(in, fd, listener);                      per listening socket
 *	ingress_reload(in, config);                            a new snapshot
 *	ingress_drain(in, on_empty, arg);                      421 at each next command
 *	ingress_free(&in);
 *
 * A message is answered 250 only after the spool has said that it is on disk.
 */
#ifndef RELAY_INGRESS_INGRESS_H
#define RELAY_INGRESS_INGRESS_H

#include "base/content.h"
#include "base/log.h"
#include "base/loop.h"
#include "relay/config.h"
#include "relay/signin/signin.h"
#include "resolver/resolver.h"
#include "spool/spool.h"

/* ---- census: connections, over all threads (a mutex, taken at connect and close only)
 */

struct census;
struct census *census_new(struct world *w);
void census_free(struct census **c);

enum census_answer { CENSUS_OK, CENSUS_TOTAL, CENSUS_CLIENT };

/* Count a connection of this client unless a limit is reached. An IPv6 client is its /64.
 */
enum census_answer census_enter(struct census *c, const struct net_addr *client,
    unsigned max_total, unsigned max_client);
void census_leave(struct census *c, const struct net_addr *client);
unsigned census_total(struct census *c);

/* ---- counters, relaxed, summed over threads by whoever shows them */

struct listener_counter {
	const char *name; /* of the listener when relayd was started; NULL: none */
	atomic_uint_fast64_t connections;
};

struct ingress_counters {
	atomic_uint_fast64_t connections, turned_away, messages, recipients, bytes,
	    refused;
	atomic_uint_fast64_t tls[TLS_VERSIONS],
	    tls_failed; /* handshakes, SMTP and LMTP */
	atomic_uint_fast64_t signins, failed_signins;
	struct listener_counter listener[CONFIG_LISTENER_MAX + 1];
};

/* ---- meters: rates of clients, accounts and senders, over all threads (a mutex) */

struct meters;
struct meters *meters_new(struct world *w);
void meters_free(struct meters **m);

struct directory;
struct pickup;

struct ingress_options {
	struct loop *loop;
	struct resolver *resolver; /* of the same thread, for block lists; NULL: none */
	struct signin *signin;     /* of the same thread; NULL: nobody can sign in */
	struct meters *meters;     /* NULL: nothing is metered */
	struct log *log;
	struct spool *spool;
	struct census *census;
	struct content_budget *budget;
	struct ingress_counters *counters;
	atomic_bool *paused;         /* 421 4.3.2 for new mail while set; may be NULL */
	struct directory *directory; /* whose mailboxes are whose; NULL: nobody has one */
	struct pickup *pickup; /* of the same thread: serves listeners of its protocols */
	const struct config *config; /* a reference is taken */
};

struct ingress;
struct ingress *ingress_new(const struct ingress_options *o);
void ingress_free(struct ingress **in); /* closes everything at once */

/* Serve a listening socket (takes it). name: of the listener in the configuration. */
void ingress_listen(struct ingress *in, int fd, const char *name);

/*
 * Serve a listening Unix socket (takes it): relay-sendmail's.  Its clients are
 * local users; they relay as "local:NAME" and need no password.
 */
void ingress_listen_local(struct ingress *in, int fd);
void ingress_serve_local(struct ingress *in, int fd, unsigned uid);

/* Serve an established connection (takes it): what a listener does, and the door for
 * tests.  From one of the listener's proxies a PROXY header comes first. */
void ingress_serve(
    struct ingress *in, int fd, const struct net_addr *peer, const char *listener);

/* From now on new connections and new transactions follow this snapshot. Listeners that
 * it no longer names are closed; sessions go on. */
void ingress_reload(struct ingress *in, const struct config *config);

/* No new connections; each session is told 421 4.3.2 at its next command (an idle one at
 * once) but finishes a message whose data is arriving. on_empty comes when none is left.
 */
void ingress_drain(struct ingress *in, void (*on_empty)(void *arg), void *arg);

unsigned ingress_sessions(const struct ingress *in);

/* Whoever has signed in as this account (its name in lower case) is told 421 and goes:
 * it was deleted or disabled, or its password changed.  A message whose data is arriving
 * is finished first. */
void ingress_end_account(struct ingress *in, struct span name);

#endif
