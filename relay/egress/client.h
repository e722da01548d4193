/* SPDX-License-Identifier: ISC */
/*
 * client - one outgoing SMTP connection (RFC 5321; RFC 2920 pipelining; RFC 3030
 * CHUNKING; RFC 1870, 6152, 6531, 3461 parameters).  It knows the protocol and
 * nothing of queues, routes or retries.
 *
 *	c = client_new(loop, &options, on_client, arg);   dials
 *	CLIENT_READY      greeted, EHLO or HELO done: client_send() may be called
 *	client_send(c, &mail)
 *	CLIENT_SENT       the transaction is over; each mail.rcpt[i].verdict is set,
 *	                  and the connection is ready for the next client_send()
 *	CLIENT_LOST       the connection cannot be used any more.  If a transaction
 *	                  was going on, the verdict of each recipient is set.
 *	client_quit(&c)   QUIT, not waiting long;  client_free(&c) closes at once
 *
 * Callbacks come from the loop, never inside one of these calls; client_quit and
 * client_free may be called from the callback.  After CLIENT_LOST only
 * client_free is allowed.  A next hop is an enemy too: replies are bounded,
 * nothing from it is reused unescaped, a reply before its command ends the
 * connection.
 */
#ifndef RELAY_EGRESS_CLIENT_H
#define RELAY_EGRESS_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/content.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/net.h"
#include "policy/route.h"
#include "policy/verdict.h"
#include "relay/config.h"
#include "spool/message.h"

#define CLIENT_REPLY_MAX (16u << 10) /* octets of one reply, all lines together */
#define CLIENT_REPLY_LINES 200

enum client_event { CLIENT_READY, CLIENT_SENT, CLIENT_LOST };

enum client_stage {    /* how far the connection or the transaction came */
	STAGE_CONNECT, /* a proxy included */
	STAGE_GREETING,
	STAGE_EHLO,
	STAGE_TLS,  /* STARTTLS and the handshake, implicit TLS included */
	STAGE_AUTH, /* signing in */
	STAGE_IDLE,
	STAGE_MAIL,
	STAGE_RCPT,
	STAGE_DATA, /* DATA or the bytes themselves */
	STAGE_DOT,  /* everything sent, the final answer is awaited: RFC 1047's window */
};

enum client_ext {
	EXT_PIPELINING = 1 << 0,
	EXT_8BITMIME = 1 << 1,
	EXT_SIZE = 1 << 2,
	EXT_DSN = 1 << 3,
	EXT_CHUNKING = 1 << 4,
	EXT_BINARYMIME = 1 << 5,
	EXT_SMTPUTF8 = 1 << 6,
	EXT_ENHANCED = 1 << 7,
	EXT_STARTTLS = 1 << 8,
	EXT_AUTH = 1 << 9,
};

struct client_options {
	struct net_addr to;      /* with port */
	const char *host;        /* its name, for texts */
	const char *destination; /* what it is for, for whoever watches; NULL: nothing */
	uint64_t message;        /* the one that it is dialled for; 0: for none */
	const char *helo;        /* our name; a literal if we have none */
	bool lmtp; /* RFC 2033: LHLO, and after the dot one answer per recipient */
	const struct net_addr *from;  /* our own address; NULL: the system's choice */
	const struct net_addr *socks; /* a SOCKS5 proxy that is dialled instead (RFC 1928,
					 no authentication); NULL: none */
	/*
	 * TLS.  NONE: never.  OPPORTUNISTIC: if it is offered; when the handshake fails
	 * the connection is lost at STAGE_TLS, and it is the owner who may dial again
	 * with NONE.  REQUIRED, VERIFY: lost (451 4.7.4 not offered, 4.7.5 not right)
	 * before a word of mail is said in the clear.
	 */
	enum route_tls tls;
	bool tls_implicit;             /* the handshake comes before the greeting */
	struct tls_client *tls_client; /* borrowed, outlives the client and its QUIT;
					  NULL: no TLS can be had */
	const struct tls_peer *peer;   /* policy of the handshake; copied, strings too */
	/* Sign in (RFC 4954) before READY; NULL: do not.  The best mechanism that the
	 * server has of SCRAM-SHA-256-PLUS, SCRAM-SHA-256, SCRAM-SHA-1, CRAM-MD5, PLAIN,
	 * LOGIN; the last two only inside TLS unless auth_in_clear.  Refused: lost at
	 * STAGE_AUTH, with the server's words (5xx as 4xx, because the mail is not to
	 * blame). */
	const char *user, *secret; /* copied, wiped afterwards */
	bool auth_in_clear;
	const struct smtp_client_config *timeouts; /* copied, as the texts are */
	struct log *log;                           /* may be NULL */
};

struct mail_rcpt {
	const struct recipient *rcpt; /* borrowed for the transaction */
	struct span address; /* goes out instead of rcpt->address; p == NULL: that one */
	/* out: the final one for this recipient. By LMTP each has his own answer; where
	 * the connection breaks between them, those without one have why it was lost. */
	struct verdict verdict;
	bool relayed; /* out: taken, but the next hop has no DSN (RFC 3461 5.2.2) */
};

struct mail {
	const struct message
	    *message; /* envelope, prefix and content; borrowed for the transaction */
	/* What a route changes (rewrite.h); NULL: nothing. Borrowed, too. */
	const struct rewritten *rewritten;
	struct mail_rcpt *rcpt;
	size_t rcpts;
};

/* A message as it goes out by a route that rewrites. */
struct rewritten {
	struct span sender; /* instead of message->sender; p == NULL: that one */
	struct span prefix; /* instead of message->prefix; p == NULL: that one */
	struct span header; /* instead of the content's first header_size octets; p ==
			       NULL: those */
	uint64_t header_size;
};

struct client;
typedef void client_fn(void *arg, enum client_event ev);

struct client *
client_new(struct loop *l, const struct client_options *o, client_fn *fn, void *arg);
void client_set_owner(struct client *c, client_fn *fn, void *arg);
void client_send(struct client *c, struct mail *mail);
void client_quit(struct client **c);
void client_free(struct client **c);

/* Why CLIENT_LOST: a verdict whose text names host, stage and cause ("connect to
 * mx1.example.org[192.0.2.1]:25: timed out"; or the server's own 4xx/5xx greeting). */
const struct verdict *client_verdict(const struct client *c);
enum client_stage client_stage(const struct client *c);
/* Set in CLIENT_LOST when the connection broke at STAGE_DOT: the other side may have the
 * mail. */
bool client_maybe_delivered(const struct client *c);
/* Set in CLIENT_LOST when a connection that had been used before was found dead by the
 * present transaction: nothing of it was answered (or only with 421), so it can be had
 * anew elsewhere. */
bool client_stale(const struct client *c);

/* NULL: in the clear. Known after CLIENT_LOST, too. */
const struct tls_info *client_tls(const struct client *c);
/* The mechanism that was used to sign in, or NULL. */
const char *client_mechanism(const struct client *c);

unsigned client_extensions(const struct client *c); /* enum client_ext */
uint64_t
client_size_limit(const struct client *c);        /* SIZE announced; 0: none or unknown */
const char *client_peer(const struct client *c);  /* "mx1.example.org[192.0.2.1]:25" */
unsigned client_messages(const struct client *c); /* transactions that are over */

/* ---- reply parser (client_reply.c), pure and fuzzed */

/*
 * Lines of one reply are added until it is complete.  Tolerant as real servers
 * need: lines without text, 8-bit text, differing codes in one reply (the highest
 * counts, so that no refusal is taken for success).  A line after a complete reply
 * begins the next one; the owner ends with buf_clear(&r->text).  ERR_SYNTAX: no reply
 * code where one must be; ERR_RANGE: over the bounds.
 */
struct reply {
	unsigned code;
	struct buf text; /* lines joined by "\n", code and enhanced code kept out of it */
	unsigned lines;
	uint8_t klass; /* enhanced code of the first line; 0: none or malformed */
	uint16_t subject, detail;
	bool complete;
};
void reply_reset(struct reply *r);
enum err reply_add_line(struct reply *r, struct span line);
/* As a verdict: the code, the enhanced code if its class fits, the text on one line,
 * printable. */
struct verdict reply_verdict(const struct reply *r);

#endif
