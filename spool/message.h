/* SPDX-License-Identifier: ISC */
/*
 * message - a message and its recipients, as the spool takes and gives them.
 *
 * Built by one owner, then handed to the spool, and from that instant immutable
 * and shared by reference between threads (the id is written by the spool
 * before anybody else sees it).  All spans of a message point into memory that
 * the message owns; message_keep() puts them there.
 */
#ifndef SPOOL_MESSAGE_H
#define SPOOL_MESSAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/content.h"
#include "base/span.h"
#include "base/when.h"

#define SPOOL_ID_LEN \
	13 /* an id as text: base32, digits and capitals without I, L, O, U */
#define MESSAGE_RCPT_MAX 65535

enum message_flag {
	MESSAGE_8BIT = 1 << 0,      /* a byte over 0x7f in the content */
	MESSAGE_SMTPUTF8 = 1 << 1,  /* needs SMTPUTF8 at the next hop (RFC 6531) */
	MESSAGE_BINARY = 1 << 2,    /* BODY=BINARYMIME */
	MESSAGE_LONG_LINE = 1 << 3, /* a line over 998 octets */
	MESSAGE_NO_CRLF = 1 << 4,   /* the content does not end with CRLF (BDAT) */
	MESSAGE_RET_FULL = 1 << 5,  /* DSN RET=FULL */
	MESSAGE_RET_HDRS = 1 << 6,  /* DSN RET=HDRS */
	MESSAGE_NOTICE = 1 << 7, /* written by us: a bounce, warning or success notice */
	MESSAGE_OWN = 1 << 8,    /* from our own networks or a signed-in account */
	MESSAGE_PLAIN = 1 << 9,  /* goes behind DATA as it is: nothing but lines that end
				    with CRLF, none begins with a dot */
};

enum notify_flag { /* RFC 3461 4.1; 0: not given (failure and delay) */
	NOTIFY_NEVER = 1,
	NOTIFY_SUCCESS = 2,
	NOTIFY_FAILURE = 4,
	NOTIFY_DELAY = 8,
};

enum recipient_state {
	RECIPIENT_WAITING, /* due at some time */
	RECIPIENT_HELD,    /* by an administrator or a rule; expires all the same */
	RECIPIENT_ASIDE,   /* the message is damaged; shown, never sent */
};

struct recipient {
	uint16_t index;      /* place in the envelope as accepted, from 0 */
	uint8_t notify;      /* enum notify_flag */
	struct span address; /* local@domain */
	struct span orcpt;   /* "rfc822;..." as given, still xtext; empty: none */
	struct span dest;    /* the destination's key (policy: route_key) */
	/* what happened so far; zero in a message that is being accepted, except due and
	 * state (a recipient may be accepted as RECIPIENT_HELD) */
	enum recipient_state state;
	uint32_t attempts;
	struct wall due;
	struct wall first_try, last_try; /* 0: never */
	struct span
	    reply; /* last verdict, "451 4.3.0 text"; empty: none; at most 300 octets */
	struct span
	    host; /* who said it: "mx1.example.org [192.0.2.1]:25"; empty: nobody */
};

/* One mail that a message becomes in the mailbox INBOX of an owner (spool/mailbox.h). */
struct drop {
	struct span owner;     /* the account's name in lower case */
	struct span recipient; /* the address that it came for */
	struct span own;       /* header fields of this mail alone, each with its CRLF */
};

struct message {
	atomic_uint refs;
	uint64_t id;    /* 0 until accepted */
	uint32_t flags; /* enum message_flag */
	bool warned;    /* the delay warning has been considered */
	struct wall arrival;
	uint64_t size; /* octets of the content, prefix not counted */
	uint64_t file; /* number of the content's file; 0: inside the spool's database */
	uint32_t crc;  /* CRC32C of the content (inline content) */
	struct span sender; /* reverse-path; empty: null */
	struct span envid;  /* still xtext; empty: none */
	struct span client; /* "192.0.2.1"; empty: ourselves */
	struct span helo, protocol, listener, account;
	struct span prefix; /* header fields in front of the content: Received, ... */
	struct span
	    message_id; /* the header field, for history; only while it is accepted */
	struct span structure; /* of prefix and content, for listings (spool/mailbox.h);
				  kept if a mailbox gets it; empty: none */
	size_t id_at; /* offset in prefix of SPOOL_ID_LEN octets where the id goes;
			 SIZE_MAX: nowhere */
	struct content *content; /* a reference; NULL in a message read without it */
	struct recipient *rcpt;  /* those not yet finished */
	size_t rcpts;
	struct drop *drop; /* only while it is accepted; rcpts may then be 0 */
	size_t drops;
	/* private: where the spans live */
	struct message_memory *memory;
	size_t rcpt_cap, drop_cap;
};

struct message *message_new(void); /* one reference, zeroed, id_at = SIZE_MAX */
struct message *message_ref(struct message *m);
void message_unref(
    struct message **m); /* the content's reference goes with the last; NULL is fine */

/* Copy bytes into the message's own memory (a NUL behind them); only while building. */
struct span message_keep(struct message *m, struct span s);

/* Add a recipient: spans are kept, index is set. CHECKs rcpts < MESSAGE_RCPT_MAX. Returns
 * it. */
struct recipient *message_add_rcpt(struct message *m, const struct recipient *r);

/* Add a mail for an owner: spans are kept. CHECKs drops < MESSAGE_RCPT_MAX. */
void message_add_drop(struct message *m, const struct drop *d);

/* The recipient with this index; NULL if it is finished (or m is NULL). */
const struct recipient *message_find_rcpt(const struct message *m, uint16_t index);

void spool_id_format(uint64_t id, char out[SPOOL_ID_LEN + 1]);
bool
spool_id_parse(struct span text, uint64_t *id); /* any case; I and L read as 1, O as 0 */
struct wall spool_id_time(uint64_t id); /* when it was given out, to the millisecond */

#endif
