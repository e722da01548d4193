/* SPDX-License-Identifier: ISC */
/*
 * client_private - what the files of the client share.
 *
 *	client.c              its life: dialling, events, being lost, telling the owner
 *	client_socks.c        through a proxy
 *	client_hello.c        greeting, EHLO, LHLO, HELO, extensions
 *	client_tls.c          STARTTLS, the handshake
 *	client_auth.c         signing in
 *	client_transaction.c  MAIL, RCPT, DATA or BDAT: what is sent and what is answered
 *	client_body.c         the content on the wire, up to the final dot
 *	client_reply.c        the reply parser
 *
 * The machine is moved by replies.  A state says what is awaited, who takes the
 * reply and how long it may take; taking it gives the next state:
 *
 *	CONNECT (-> METHODS -> CONNECT by a proxy) -> GREETING
 *	        (-> HANDSHAKE if TLS is implicit)  -> GREETING
 *	GREETING -> EHLO (-> HELO) (-> STARTTLS -> HANDSHAKE -> EHLO) (-> AUTH) -> IDLE
 *	IDLE -> RSET? MAIL RCPT... DATA -> BODY -> DOT -> IDLE       DATA
 *	IDLE -> RSET? MAIL RCPT...      -> BODY -> DOT -> IDLE       BDAT
 *	                           DATA -> LONE_DOT    -> IDLE       354 for nobody
 *	any -> LOST
 */
#ifndef RELAY_EGRESS_CLIENT_PRIVATE_H
#define RELAY_EGRESS_CLIENT_PRIVATE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/dot.h"
#include "base/io.h"
#include "policy/sasl_client.h"
#include "relay/egress/client.h"

/*
 * What may be sent without an answer when the peer has PIPELINING.  Both sides'
 * buffers hold that much, and it is below IO_HIGH, so that io goes on reading.
 */
#define WINDOW_COMMANDS 100
#define WINDOW_OCTETS (32u << 10)

#define CLIENT_PEER_TEXT 336
#define AUTH_WORDS_MAX 160 /* of the mechanisms' names that are kept for a text */

struct client_state {
	const char *name; /* what is awaited */
	const struct client_state *(*on_reply)(
	    struct client *c); /* returns the next state */
	size_t timeout_at;     /* offset in struct smtp_client_config; 0: none */
	enum client_stage stage;
};

#define CLIENT_TIMEOUT(member) offsetof(struct smtp_client_config, member)

/* What the owner asked for; copies. */
struct wish {
	struct net_addr to;
	char proxy[NET_TEXT]; /* "": none */
	bool lmtp;
	enum route_tls tls;
	bool tls_implicit;
	struct tls_client *tls_client; /* borrowed; may be NULL */
	struct tls_peer peer;          /* strings owned */
	char *user, *secret;           /* secret: NULL once it has been used */
	bool auth_in_clear;
};

/* Signing in (client_auth.c). */
struct auth {
	struct buf words; /* mechanisms as offered, for a text */
	unsigned offered; /* the known ones: set of 1u << enum sasl_mechanism */
	struct sasl_client *sasl;
	const char *mechanism;
	unsigned challenges; /* so far */
	bool done;
};

/* The content on its way (client_body.c). */
struct body {
	struct span header; /* what is left of a header section that replaces the first */
	uint64_t at;        /* content octets queued (or replaced) so far */
	bool raw;           /* BDAT: as it is; otherwise dot-stuffed */
	bool line_start;    /* the next octet begins a line */
	bool after_cr;      /* the last octet was a CR */
	struct dot_stuff stuff;
	uint64_t written; /* io_bytes_out() when the deadline was set */
};

struct client {
	struct loop *loop;
	struct io *io; /* NULL once lost */
	client_fn *fn;
	void *arg;
	struct log *log;
	struct smtp_client_config timeouts;
	char *helo; /* owned */
	char peer[CLIENT_PEER_TEXT];
	struct wish wish;
	struct auth auth;
	struct tls_info *tls; /* owned; NULL: in the clear */
	bool tls_asked;       /* STARTTLS is behind us, whatever came of it */

	const struct client_state *state;
	struct reply reply; /* as far as its lines have come */
	unsigned extensions;
	uint64_t size_limit;
	unsigned messages;
	bool dirty; /* the peer may still hold a transaction: RSET before MAIL */

	/* the transaction; steps: 0 RSET, 1 MAIL, 2.. RCPT, last DATA or BDAT */
	struct mail *mail; /* borrowed; NULL between transactions */
	size_t sent,
	    answered; /* cursors: the next step to send, the next to be answered */
	unsigned flown, landed;           /* commands sent and answered, counting on */
	uint32_t octets;                  /* of the commands in between */
	uint16_t length[WINDOW_COMMANDS]; /* of command number i % WINDOW_COMMANDS */
	size_t accepted;                  /* recipients */
	size_t settled; /* LMTP: the first of them have their own final verdicts */
	bool utf8;      /* sent with SMTPUTF8 */
	bool bdat;
	bool replied; /* a reply came to this transaction, other than 421 */
	struct verdict
	    whole; /* of all recipients that are not refused yet; code 0: none so far */
	struct body body;
	struct buf out; /* scratch: a command, a piece of content */

	/* what the owner is to be told; SENT before LOST */
	struct later tell;
	bool tell_sent, tell_lost; /* neither: READY */
	struct verdict verdict;    /* why lost */
	bool maybe_delivered, stale;
};

/* ---- client.c */
extern const struct client_state CLIENT_IDLE, CLIENT_GONE;

/* Close, and give `why` to those recipients that have no answer yet. `answered`: it is
 * the peer's own word. Returns CLIENT_GONE. */
const struct client_state *
client_lost(struct client *c, const struct verdict *why, bool answered);
/* The same for a reply that is none or not one that may come now (451 4.5.0). */
const struct client_state *client_garbled(struct client *c, const char *what);
/* The reply is a refusal of the whole connection. */
const struct client_state *client_refused(struct client *c);
void client_enter(struct client *c, const struct client_state *next);
void client_arm(struct client *c); /* set the state's deadline anew */

/* The way to the next hop stands: handshake or greeting. */
const struct client_state *client_connected(struct client *c);

/* ---- client_socks.c */

const struct client_state *socks_start(struct client *c);
void socks_input(struct client *c); /* in its states, which are those of STAGE_CONNECT */

/* ---- client_hello.c */
extern const struct client_state CLIENT_GREETING;

/* EHLO or LHLO; returns the state that awaits the answer. */
const struct client_state *hello_send(struct client *c);
/* What comes next: STARTTLS, AUTH, or being ready. */
const struct client_state *hello_done(struct client *c);

/* ---- client_tls.c */
extern const struct client_state CLIENT_HANDSHAKE;

bool tls_is_due(const struct client *c);
const struct client_state *tls_ask(struct client *c);
const struct client_state *tls_handshake(struct client *c);
const struct client_state *tls_done(struct client *c); /* IO_TLS */
/* Lost with 451 4.7.5; returns CLIENT_GONE. */
const struct client_state *tls_failed(struct client *c, const char *how);
void tls_peer_copy(struct tls_peer *to, const struct tls_peer *from);
void tls_peer_clear(struct tls_peer *p);

/* ---- client_auth.c */

void auth_take_words(struct client *c, struct span words); /* of an EHLO line */
void auth_forget(struct client *c);                        /* those words */
bool auth_is_due(const struct client *c);
const struct client_state *auth_start(struct client *c);
void auth_wipe(struct client *c); /* what was secret */

/* ---- client_transaction.c */
extern const struct client_state CLIENT_MAIL;

/* In IDLE: check what can be known beforehand, and send the first commands. */
void transaction_begin(struct client *c, struct mail *mail);
/* Every recipient gets its verdict; the owner is to be told. */
void transaction_end(struct client *c);
/* LMTP: the next of the accepted recipients has got this final answer; false: it was the
 * last. */
bool transaction_settle(struct client *c, const struct verdict *v);
/* The octets that stand for the message's own header section; p == NULL: its own. */
struct span transaction_header(const struct client *c, uint64_t *instead_of);
/* The fields in front of it. */
struct span transaction_prefix(const struct client *c);
/* Has the awaited command not even been given to the kernel? */
bool transaction_early(const struct client *c);

/* ---- client_body.c */
extern const struct client_state CLIENT_BODY, CLIENT_DOT;

/* Begin with the content; returns BODY, or DOT when all of it is queued already. */
const struct client_state *body_start(struct client *c);
/* Queue more of it, as much as fits. */
const struct client_state *body_fill(struct client *c);
/* The deadline has passed: did the peer take anything meanwhile? */
bool body_moved(const struct client *c);

static inline size_t
client_flying(const struct client *c)
{
	return c->flown - c->landed;
}

static inline bool
client_has(const struct client *c, enum client_ext ext)
{
	return (c->extensions & ext) != 0;
}

static inline unsigned
reply_class(const struct reply *r)
{
	return r->code / 100;
}

#endif
