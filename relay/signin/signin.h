/* SPDX-License-Identifier: ISC */
/*
 * signin - who is it?  Accounts, their secrets, and the exchanges (SASL, RFC
 * 4422) by which a client shows that it knows one of them.
 *
 * The process that parses mail must never be able to read a hash.  So accounts
 * live in a directory that only the helper can open: relayd runs itself once
 * more (helper.h), under seccomp and landlock, and speaks with it through one
 * socket per thread.  What arrives from a client during AUTH goes there as it
 * is; the mechanisms, the failures and their limits, the cache of successes are
 * all there, in the engine (engine.h).  The talks run the same engine inside
 * their one process.
 *
 *	sessions (io threads)  --signin_begin/respond-->  engine in the helper
 *	control (main thread)  --signin_admin---------->
 *
 *	x = signin_begin(s, "SCRAM-SHA-256", &facts, initial, on_answer, session);
 *	on_answer(session, &a):
 *		SIGNIN_CHALLENGE   send a->data, then signin_respond(x, ...)
 *		SIGNIN_DONE        a->card says who it is (x is gone)
 *		SIGNIN_FAILED      a->verdict is the answer (x is gone)
 *	signin_cancel(&x);       no more answers; the client said "*" or went away
 *
 * An answer never comes before the call has returned, and always on the loop of
 * the struct signin.  A failure comes when it is due, not sooner: `delay` after
 * the client's last message, whatever went wrong, so that neither words nor time tell a
 * wrong password from an unknown name.  If the helper does not answer within
 * SIGNIN_WAIT_MS the exchange fails with 454 4.7.0.
 */
#ifndef RELAY_SIGNIN_SIGNIN_H
#define RELAY_SIGNIN_SIGNIN_H

#include "base/log.h"
#include "base/loop.h"
#include "base/net.h"
#include "policy/route.h"
#include "policy/verdict.h"

#define SIGNIN_DATA_MAX 8192       /* octets of one message of an exchange, decoded */
#define SIGNIN_DELAY_MAX MINUTE_MS /* the longest delay that may be configured */
#define SIGNIN_WAIT_MS (SIGNIN_DELAY_MAX + 20 * SECOND_MS)
#define ACCOUNT_NAME_MAX 128
#define ACCOUNT_SENDERS_MAX 100 /* patterns that one account is bound to */

/* Who has signed in. */
struct account_card {
	char *name;   /* canonical: as it was added */
	char *secret; /* the label of the secret that was used; "" for the first */
	bool queue;   /* the secret that was used shows the relay's queue by IMAP */
	struct route_pattern *sender; /* bound to these; none: any sender */
	size_t senders;
};
void account_card_free(struct account_card **c);

/* Whether this account may send as this address ("" is the null sender: always). */
bool account_card_may_send(const struct account_card *c, struct span sender);

struct signin_facts {
	const char *service; /* "smtp", "pop3", "imap", "queue" (the status page): secrets
				may be for one of them only */
	struct net_addr client;
	const char *hostname; /* ours */
	/* TLS channel bindings of the connection; empty: none */
	struct span exporter, unique;
	/* the client's certificate, for EXTERNAL; empty: none */
	struct span fingerprint; /* 64 hexadecimal digits */
	bool
	    certificate_verified; /* by our client authority: its names may be believed */
	struct span certificate_name, certificate_email;
	/* The listener takes any name and password (devices that insist on signing in):
	 * PLAIN and LOGIN succeed with a card of an empty name. */
	bool any;
};

enum signin_kind { SIGNIN_CHALLENGE, SIGNIN_DONE, SIGNIN_FAILED };

struct signin_answer {
	enum signin_kind kind;
	struct span data;          /* CHALLENGE: not encoded, may be empty */
	struct account_card *card; /* DONE: handed over */
	struct span last; /* DONE: data that goes with success (SCRAM's v=); p == NULL:
			     none. SMTP sends it as one more challenge and expects an
			     empty response before its 235. */
	struct verdict
	    verdict; /* FAILED: 535 5.7.8, 454 4.7.0, 501 5.5.2, 432 4.7.12 ... */
	char name[ACCOUNT_NAME_MAX +
		  1];    /* who it claimed to be, printable, for the log; "" */
	const char *why; /* FAILED: for our own log only: "wrong password", "no such
			    account", "locked" */
};

typedef void signin_fn(void *arg, const struct signin_answer *a);

struct signin;
struct signin_exchange;
struct signin_engine;

/* fd: one end of a channel to the helper (taken). */
struct signin *signin_new(struct loop *l, struct log *log, int fd);
/* The engine in this very process (talks, tests); borrowed. */
struct signin *
signin_new_inline(struct loop *l, struct log *log, struct signin_engine *e);
void
signin_free(struct signin **s); /* its exchanges must have been cancelled or answered */

/* The mechanisms that make sense here, joined by blanks, the best first: with a
 * binding the -PLUS ones, with a certificate EXTERNAL, PLAIN and LOGIN when clear_ok
 * (TLS, or the listener allows it). Appends nothing if there is none. */
void signin_mechanisms(const struct signin_facts *f, bool clear_ok, struct buf *out);

/*
 * Begin.  mechanism in any case ("APOP" is one for pop3, with name NUL timestamp NUL
 * digest as its initial response); one that is not known or not offered for these
 * facts fails with 504 5.5.4.  initial: the decoded initial response, p == NULL if
 * there is none.  Facts and initial are copied.
 */
struct signin_exchange *signin_begin(struct signin *s, struct span mechanism,
    const struct signin_facts *f, struct span initial, signin_fn *fn, void *arg);
void
signin_respond(struct signin_exchange *x, struct span response); /* after a CHALLENGE */
void signin_cancel(struct signin_exchange **x);                  /* NULL inside is fine */

/* ---- for the main thread */

struct signin_settings {
	int64_t delay_ms;   /* until a failure is answered: 2s */
	unsigned attempts;  /* failures of one client address (IPv6: its /64) until it is
			       locked: 10; of one account from one address: half of it */
	int64_t lockout_ms; /* so long: 15m; failures older than that are forgotten */
	int64_t cache_ms; /* a password that was right is believed again without hashing:
			     5m; 0: never */
};
void signin_settings(struct signin *s, const struct signin_settings *settings);

/*
 * One administrator's request, a JSON object as in relay/control/README.md
 * ("user-add", "user-passwd", "user-list", "user-delete", "user-secret-add",
 * "user-secret-delete", "user-set").  told comes once per object of the answer, at
 * last with end = true and {"end":true,"status":...,"error":...}.
 */
void signin_admin(struct signin *s, struct span request,
    void (*told)(void *arg, struct span object, bool end), void *arg);

#endif
