/* SPDX-License-Identifier: ISC */
/*
 * session - one client's connection, inside the room.
 *
 * A session is in one of six states, which name the function that takes its
 * input: command (a line), auth (a line of an exchange), data (DATA), chunk
 * (BDAT), skip (a refused BDAT's octets), handshake (none: TLS begins).  While it waits
 * for the spool its io is paused and nothing arrives. What one mail needs hangs at s->tx,
 * made by MAIL and gone with the final reply; a session that is idle is this struct and
 * its io.
 *
 * Any reply may end the session (the error budget): s->io is NULL then, the
 * struct itself is swept at the end of the turn.
 */
#ifndef RELAY_INGRESS_SESSION_H
#define RELAY_INGRESS_SESSION_H

#include "base/io.h"
#include "base/list.h"
#include "relay/door.h"
#include "relay/ingress/command.h"
#include "relay/ingress/ingress.h"
#include "relay/ingress/listener.h"
#include "relay/ingress/receive.h"
#include "relay/ingress/transaction.h"

#define HANDSHAKE_MS (30 * SECOND_MS)
#define AUTH_LINE_MAX 12288 /* octets of a line of AUTH (RFC 4954 4) */

struct session;

struct session_state {
	const char *name;
	bool (*take)(
	    struct session *s); /* one line or block; false: more input is needed */
};

extern const struct session_state session_command;   /* session.c */
extern const struct session_state session_handshake; /* opening.c */
extern const struct session_state session_auth;      /* verb_auth.c */
extern const struct session_state session_data;      /* verb_data.c */
extern const struct session_state session_chunk;     /* verb_bdat.c */
extern const struct session_state session_skip;      /* verb_bdat.c */

/* A BDAT whose octets are arriving. */
struct chunk {
	uint64_t size, left;
	bool last;
	struct verdict why; /* the refusal; code 0: the octets are taken */
};

struct gate;
struct auth;

enum hello { HELLO_NONE, HELLO_HELO, HELLO_EHLO };

struct session {
	struct ingress *in;
	struct link link;                       /* in->sessions or in->gone */
	struct io *io;                          /* NULL: over */
	const struct config *config;            /* a reference; renewed at MAIL */
	const struct listener_config *listener; /* in config; NULL: none of this name */
	char *listener_name;
	struct net_addr peer; /* as a proxy or XCLIENT told it, if one did */
	struct net_addr hop;  /* who really is at the other end; the same without them */
	struct net_addr counted; /* in the census; family NET_NONE: a local user */
	bool uncounted;          /* it is not, any more */
	bool local;              /* a local user, by the Unix socket */
	unsigned uid;            /* whose */
	bool may_xclient;        /* XCLIENT is for this client */
	bool xclient_told;       /* and was used: the hop's certificate is not its */
	bool greeted;
	bool watched;                     /* it has told its name to nat_watch.h */
	struct tls_server *tls;           /* a reference, for life; NULL: no TLS here */
	struct account_card *card;        /* who has signed in; NULL: nobody */
	bool account_gone;                /* and is no more */
	struct auth *auth;                /* an AUTH that is going on; NULL: none */
	struct signin_exchange *exchange; /* signing in; NULL: not */
	bool certificate;                 /* the client's certificate may relay */
	struct gate *gate; /* gate.h; NULL: nothing is asked about this client */
	const struct session_state *state;
	enum hello hello;
	char *helo; /* as the client said it; NULL: not yet */
	struct transaction *tx;
	struct chunk *chunk;
	unsigned commands, errors;
	unsigned auth_failures;
	unsigned idle;         /* commands since the last message that move nothing on */
	unsigned transactions; /* MAILs that were taken */
	unsigned accepted;     /* messages */
	struct instant began;
	struct timer turn; /* goes on in the next turn */
};

/* The room's own view of struct ingress (ingress.c). */
struct ingress {
	struct ingress_options o;
	struct ingress_counters unseen; /* where nobody wants to see them */
	const struct config *config;    /* a reference */
	struct listeners listeners;
	struct list sessions, gone;
	struct list proxied; /* proxied.c */
	unsigned sessions_n;
	struct later sweep;
	bool draining;
	void (*on_empty)(void *arg);
	void *on_empty_arg;
};

static inline struct door_client
session_client(const struct session *s)
{
	return (struct door_client){s->in->o.log, s->io, &s->peer, s->listener_name};
}

/* ---- of the ingress */

/* The header of a proxy was there: serve the client that it told of (takes fd). */
void ingress_serve_told(struct ingress *in, int fd, const struct net_addr *hop,
    const struct net_addr *told, const char *listener);

/* One log line, and count it. */
void ingress_log_turned_away(struct ingress *in, const struct net_addr *client,
    const char *listener, const char *why);

/* ---- life */

/* Takes fd. The peer has been counted; hop: who really is there. */
void session_start(struct ingress *in, int fd, const struct net_addr *hop,
    const struct net_addr *peer, const char *listener);

/* The same for a local user; counted as NET_NONE. */
void session_start_local(struct ingress *in, int fd, unsigned uid);

/* Write what is queued and let go; why: for the log. Harmless if it is over already. */
void session_end(struct session *s, const char *why);

/* account_gone: 421 and the end, unless a message's data is arriving. */
void session_leave_account(struct session *s);

/* Like session_end, but nothing more is written. */
void session_break(struct session *s, const char *why);

/* 421 and the end. */
void session_close(struct session *s, const char *status, const char *text);

/* The daemon stops: an idle session is told now, others at their next command. */
void session_drain(struct session *s);

void session_free(struct session **s); /* by ingress.c, when it is over */

/* Follow the ingress's snapshot, unless it no longer knows our listener. */
void session_follow_config(struct session *s);

/* ---- waiting */

void session_enter(struct session *s, const struct session_state *state);
void session_wait(struct session *s); /* for the disk: no input, no deadline */
void session_go_on(struct session *s);

/* A line of input; IO_BARE has been refused. */
enum io_line session_take_line(struct session *s, size_t max, struct span *line);

/* ---- answers */

/* One line and its CRLF. */
void session_say(struct session *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void session_verdict(struct session *s, const struct verdict *v);

/* An answer that counts against the error budget if it is 5xx. */
void session_refuse(struct session *s, const struct verdict *v);
void
session_error(struct session *s, unsigned code, const char *status, const char *text);

/* RFC 2033: another greeting, and after the data an answer for each recipient. */
bool session_is_lmtp(const struct session *s);

/* What is said of the message that has come: once, or (LMTP) for each recipient. */
void session_answer(struct session *s, const struct verdict *v);

/* The one log line of a refused MAIL, RCPT or message; rule and to may be NULL, {0}. */
void session_log_refused(struct session *s, const char *what, const struct verdict *v,
    const char *rule, struct span from, struct span to);

/* ---- what policy asks about */

struct access_facts session_facts(const struct session *s, struct span sender);

/* The listener's own limits, or the global ones. */
uint64_t session_message_size(const struct session *s); /* 0: none */
unsigned session_recipients_max(const struct session *s);

/* Where mail to <Postmaster> goes. */
void session_add_postmaster(const struct session *s, struct buf *out);

/* ---- the transaction */

void session_reset(struct session *s); /* forget it */

/* Forget all that the client has said: TLS begins, or XCLIENT names another one. What
 * counts against its budgets stays. */
void session_forget(struct session *s);

#endif
