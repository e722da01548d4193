/* SPDX-License-Identifier: ISC */
/*
 * pop (private to pickup) - one POP3 session.
 *
 * Lines come one at a time; while a session waits for the pool, the spool or sign-in its
 * io is paused and nothing arrives, so that answers come in the order of the commands
 * however many were sent at once (PIPELINING).  Any answer may end the session: io is
 * NULL then, and the struct is swept at the end of the turn.
 *
 *	pop.c       life, lines, answers      verbs.c     the commands
 *	login.c     USER, PASS, AUTH          listing.c   LIST, UIDL
 *	retrieve.c  RETR, TOP                 fetch.c     mails and rows from the spool
 *	update.c    QUIT
 */
#ifndef RELAY_PICKUP_POP_H
#define RELAY_PICKUP_POP_H

#include "base/dot.h"
#include "base/io.h"
#include "base/list.h"
#include "relay/door.h"
#include "relay/pickup/maildrop.h"
#include "relay/pickup/seat.h"

#define POP_LINE_MAX 255        /* octets with CRLF (RFC 2449 4) */
#define POP_AUTH_LINE_MAX 12288 /* RFC 5034 4 */
#define POP_AUTH_FAILURES 3     /* in one connection */
#define POP_LINGER_MS (5 * SECOND_MS)
#define FETCH_ROWS 32            /* rows that are kept from the last query */
#define FETCH_AHEAD (128u << 10) /* octets of mails that are read ahead */

enum pop_state { POP_AUTHORIZATION, POP_TRANSACTION, POP_UPDATE };

/* What the last query has brought: rows from `first` on, and the first of them whole. */
struct fetched {
	uint32_t first; /* number; 0: nothing */
	size_t rows, mails;
	struct mail_row row[FETCH_ROWS];    /* uid 0: it is gone */
	struct kept_mail *mail[FETCH_ROWS]; /* NULL: `e` of it, or handed over */
	enum err err[FETCH_ROWS];
};

struct fetch;    /* a query that runs */
struct sending;  /* a message or a listing on its way out */
struct signing;  /* an exchange */
struct updating; /* a QUIT */

struct pop {
	struct seat seat;
	struct pickup *pickup;
	struct io *io; /* NULL: over */
	const struct config *config;
	const struct listener_config *listener; /* in config; NULL: it is no more */
	char *listener_name;
	struct net_addr peer, hop;
	struct tls_server *tls;
	bool handshake, greeted, utf8;
	char timestamp[160]; /* of the greeting, for APOP; "": it is not offered */
	enum pop_state state;
	char *user;                /* USER's; NULL: none */
	struct signing *signing;   /* NULL: not */
	struct account_card *card; /* who has signed in */
	char owner[MAILBOX_OWNER_MAX + 1];
	bool holds; /* the maildrop is ours */
	struct maildrop drop;
	struct fetched *fetched; /* NULL: nothing is kept */
	struct timer forget;     /* what is kept and not asked for */
	struct fetch *fetch;
	struct sending *sending;
	struct updating *updating;
	uint32_t sequence; /* of the last message that was sent as a whole */
	uint32_t asked;    /* for this one */
	bool asked_top;
	uint64_t asked_lines;
	unsigned commands, errors, auth_failures;
	uint64_t retrieved, sent;
	struct instant began;
	struct timer turn; /* goes on in the next turn */
};

static inline struct door_client
pop_client(const struct pop *s)
{
	return (struct door_client){s->pickup->o.log, s->io, &s->peer, s->listener_name};
}

/* ---- pop.c */
void pop_start(struct pickup *p, int fd, const struct net_addr *hop,
    const struct net_addr *peer, const char *listener);
void pop_end(struct pop *s, const char *why);   /* what is queued still goes out */
void pop_break(struct pop *s, const char *why); /* at once */
void pop_drain(struct pop *s);
void pop_wait(struct pop *s); /* for somebody here: no input, no deadline */
void pop_go_on(struct pop *s);
void pop_forget(struct pop *s); /* all that the client has said: TLS begins */
void pop_start_tls(struct pop *s);
void pop_ok(struct pop *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* code: "[AUTH] " or ""; counts against the error budget. */
void pop_error(struct pop *s, const char *code, const char *text);
void pop_line(struct pop *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const struct mailbox_config *pop_settings(const struct pop *s);

/* ---- verbs.c */
void pop_run(struct pop *s, struct span line);
/* A message number of one of ours that is not deleted; 0: an answer was given. */
uint32_t pop_number(struct pop *s, struct span text);

/* ---- login.c */
bool login_clear_ok(const struct pop *s); /* passwords may go over this connection */
void login_mechanisms(const struct pop *s, struct buf *out);
void login_user(struct pop *s, struct span args);
void login_pass(struct pop *s, struct span args);
void login_auth(struct pop *s, struct span args);
void login_apop(struct pop *s, struct span args);
bool login_take_response(struct pop *s); /* a line of an exchange; false: not yet */
bool login_expects_line(const struct pop *s);
void login_end(struct pop *s, const char *why); /* give up what is going on */
void login_leave(struct pop *s);                /* the maildrop is free again */

/* ---- fetch.c: told(s) when the row (the mail, if whole) of this number is in s->fetched
 */
void fetch_start(struct pop *s, uint32_t number, bool whole, void (*told)(struct pop *s));
const struct mail_row *
fetch_row(const struct pop *s, uint32_t number); /* NULL: not there */
void fetch_forget(struct pop *s);
void fetch_cancel(struct pop *s);

/* ---- listing.c, retrieve.c: multi-line answers */
void listing_start(struct pop *s, bool uidl);
void listing_one(struct pop *s, bool uidl, uint32_t number);
void retrieve_start(struct pop *s, uint32_t number, bool top, uint64_t lines);
void sending_more(struct pop *s); /* the peer has taken some */
void sending_free(struct pop *s);

/* A row as UIDL shows it. */
void listing_uidl(const struct mail_row *row, char out[24]);

struct sending {
	bool (*more)(struct pop *s); /* queue more; false: that was all, or the end */
	void (*clear)(struct sending *x);
};

/* ---- update.c */
void update_start(struct pop *s);
void update_orphan(struct pop *s); /* the session goes while it runs */

#endif
