/* SPDX-License-Identifier: ISC */
/*
 * client_mails - what the fuzz target of the SMTP client has to send: a mail of each kind
 * that the client treats in a way of its own, with the form that it should have on the
 * wire.
 */
#ifndef TESTS_CLIENT_MAILS_H
#define TESTS_CLIENT_MAILS_H

#include "relay/egress/client.h"
#include "tests/fuzz/witness.h"

enum client_mail_kind {
	MAIL_SIMPLE,
	MAIL_DOTS,    /* three recipients, and one wants to know of success */
	MAIL_NO_CRLF, /* BDAT if it can be had */
	MAIL_EIGHT,   /* from nobody */
	MAIL_DOMAINS, /* recipients in UTF-8: a local part, a domain */
	MAIL_UTF8,    /* needs SMTPUTF8; DSN parameters */
	MAIL_BINARY,
	MAIL_BIG,       /* over what io buffers, from memory */
	MAIL_MANY,      /* recipients, over what a window holds */
	MAIL_BARE,      /* LF: cannot be sent */
	MAIL_REWRITTEN, /* another sender, header, prefix, recipient */
	MAIL_FILE,      /* big, in a file */
	MAIL_PLAIN,     /* the same, known to be plain lines */
	MAIL_EVIL,      /* recipients: one with CRLF in his address, one without */
	MAIL_KINDS
};

struct client_mail {
	struct message message;
	struct recipient rcpt[WITNESS_RCPTS];
	struct mail_rcpt to[WITNESS_RCPTS];
	struct mail mail;
	struct rewritten rewritten;
	struct buf octets; /* as they should go out */
	struct witness_mail should;
};

/* Made at its first use, and kept. */
struct client_mail *client_mail(enum client_mail_kind kind);

#endif
