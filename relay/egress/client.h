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
#include "policy/verdict.h"
#include "relay/config.h"
#include "spool/message.h"

#define CLIENT_REPLY_MAX (16u << 10) /* octets of one reply, all lines together */
#define CLIENT_REPLY_LINES 200

enum client_event { CLIENT_READY, CLIENT_SENT, CLIENT_LOST };

enum client_stage { /* how far the connection or the transaction came */
	STAGE_CONNECT,
	STAGE_GREETING,
	STAGE_EHLO,
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
};

struct client_options {
	struct net_addr to; /* with port */
	const char *host;   /* its name, for texts */
	const char *helo;   /* our name; a literal if we have none */
	const struct smtp_client_config *timeouts; /* copied, as the texts are */
	struct log *log;                           /* may be NULL */
};

struct mail_rcpt {
	const struct recipient *rcpt; /* borrowed for the transaction */
	struct verdict verdict;       /* out: the final one for this recipient */
	bool relayed; /* out: taken, but the next hop has no DSN (RFC 3461 5.2.2) */
};

struct mail {
	const struct message
	    *message; /* envelope, prefix and content; borrowed for the transaction */
	struct mail_rcpt *rcpt;
	size_t rcpts;
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
