/* SPDX-License-Identifier: ISC */
/*
 * witness - stands beside a next hop, hears both sides of a session, and knows nothing of
 * the SMTP client but the protocol.  Replies and commands are paired by their order; what
 * the client says is CHECKed as it comes:
 *
 *	nothing before the greeting; lines that end with CRLF, without CR, LF or NUL in
 *	them; commands in an order that may be; parameters and verbs only if they were
 *	offered; not more at once than PIPELINING allows; RSET before MAIL where the last
 *	transaction stands open; the content dot-stuffed, whole, and to nobody if nobody
 *	was accepted
 *
 *	witness_reset(w, lmtp, socks)
 *	witness_mail(w, &mail)       what is going to be sent: before each client_send()
 *	witness_says(w, octets)      the next hop's, of which the client knows nothing yet
 *	witness_hears(w, octets)     the client's
 *	witness_verdict(w, i)        what has become of recipient i, as far as was said
 */
#ifndef TESTS_WITNESS_H
#define TESTS_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define WITNESS_ITEMS 8192
#define WITNESS_RCPTS 120

enum witness_kind {
	SAYS_NOTHING, /* the greeting is awaited */
	SAYS_HELLO,
	SAYS_STARTTLS,
	SAYS_AUTH,
	SAYS_RSET,
	SAYS_MAIL,
	SAYS_RCPT,
	SAYS_DATA,
	SAYS_DOT, /* the end of the content; by LMTP once for each accepted recipient */
	SAYS_QUIT,
};

/* What is to be answered, and the answer. */
struct witness_item {
	enum witness_kind kind;
	size_t at, n; /* its line in `heard` */
};

struct witness_answer {
	unsigned code;
	size_t at, n; /* its lines in `said` */
};

struct witness_address {
	struct span is, ascii; /* as it is; in A-labels, p == NULL: cannot be had */
};

/* A mail as it should go out. */
struct witness_mail {
	struct witness_address sender, rcpt[WITNESS_RCPTS];
	size_t rcpts;
	bool eight, binary;
	struct span octets; /* prefix and content */
};

struct witness {
	bool lmtp;
	bool user, clear; /* it is to sign in; with a password in the clear */
	bool tls_must;    /* not a word of mail without TLS */
	bool tls_right;   /* nor with a certificate that is not right, and none here is */
	bool implicit;    /* TLS begins at once */
	bool unsure;      /* it may have said more than was heard */
	unsigned socks;   /* steps of the proxy that are left */
	bool dark;        /* TLS has begun: nothing is understood */
	bool secured;     /* it stands, and the witness is inside */
	bool must_end;    /* the next hop has said what must end the connection */
	size_t early;     /* the first answer that came before its command */
	struct buf heard, said;
	size_t heard_at, said_at, answer_at; /* not yet taken from there */
	unsigned code;                       /* of the answer under way */
	struct witness_item item[WITNESS_ITEMS];
	struct witness_answer answer[WITNESS_ITEMS];
	size_t items, answers;
	size_t hello; /* the last of them; 0: none */
	/* the mail */
	const struct witness_mail *mail;
	size_t from; /* its first item */
	bool utf8;
	bool body, chunk; /* the content is under way */
	struct span left; /* of the content that is still to come */
};

void witness_reset(struct witness *w, bool lmtp, bool socks);
void witness_mail(struct witness *w, const struct witness_mail *m);
void witness_says(struct witness *w, struct span octets);
void witness_hears(struct witness *w, struct span octets);
/* The next hop's handshake is done. What was said before counts no more. */
void witness_secured(struct witness *w);

/* Is it greeted, and signed in if it is to be? */
bool witness_ready(const struct witness *w);
/* Is something to be answered? */
bool witness_awaits(const struct witness *w);
/* Does the last answer to EHLO have this word? */
bool witness_offered(const struct witness *w, const char *word);
/* The answer to the item; 0: none yet. */
unsigned witness_code(const struct witness *w, size_t item);
/* The reply code that is recipient i's; 0: none as yet. */
unsigned witness_verdict(const struct witness *w, size_t i);
/* Was a recipient of the mail accepted? */
bool witness_is_for_somebody(const struct witness *w);
/* The first of this kind that belongs to the mail; w->items: none. */
size_t witness_find(const struct witness *w, enum witness_kind kind);

#endif
