/* SPDX-License-Identifier: ISC */
/*
 * verbs - the commands of SMTP.  A verb is a row of the table in verbs.c with a
 * pair of functions in a file of its own: check_x reads the arguments and says
 * no itself; proceed_x does it.  Rules of order that are the same for many
 * verbs are flags of the row.
 */
#ifndef RELAY_INGRESS_VERBS_H
#define RELAY_INGRESS_VERBS_H

#include "relay/ingress/session.h"
#include "relay/ingress/xclient.h"

union command {
	struct mail_command mail;
	struct rcpt_command rcpt;
	struct bdat_command bdat;
	struct xclient xclient;
	struct span text;
};

enum verb_rule {
	VERB_HELLO = 1,       /* only after EHLO or HELO */
	VERB_MAIL = 2,        /* only after MAIL */
	VERB_NO_MAIL = 4,     /* not after MAIL */
	VERB_BEFORE_DATA = 8, /* not once a BDAT has come */
	VERB_NO_ARGS = 16,
	VERB_IDLE = 32,       /* moves nothing on: too many count as errors */
	VERB_ALWAYS = 64,     /* also while the daemon stops */
	VERB_CLEAR = 128,     /* also in the clear, where TLS is required */
	VERB_SIGNED_IN = 256, /* only for those who have signed in, where that is required
			       */
};

struct verb {
	struct span name;
	unsigned rules; /* enum verb_rule */
	bool (*check)(struct session *s, struct span args, union command *c);
	void (*proceed)(struct session *s, const union command *c);
};

/* Do a line. True: it was one of the commands that move nothing on. */
bool verb_run(struct session *s, struct span line);

bool check_ehlo(struct session *s, struct span args, union command *c);
bool check_helo(struct session *s, struct span args, union command *c);
bool check_mail(struct session *s, struct span args, union command *c);
bool check_rcpt(struct session *s, struct span args, union command *c);
bool check_data(struct session *s, struct span args, union command *c);
bool check_bdat(struct session *s, struct span args, union command *c);
bool check_vrfy(struct session *s, struct span args, union command *c);
bool check_not_offered(struct session *s, struct span args, union command *c);
bool check_auth(struct session *s, struct span args, union command *c);
bool check_starttls(struct session *s, struct span args, union command *c);
bool check_xclient(struct session *s, struct span args, union command *c);
bool check_nothing(struct session *s, struct span args, union command *c);

void proceed_ehlo(struct session *s, const union command *c);
void proceed_helo(struct session *s, const union command *c);
void proceed_mail(struct session *s, const union command *c);
void proceed_rcpt(struct session *s, const union command *c);
void proceed_data(struct session *s, const union command *c);
void proceed_bdat(struct session *s, const union command *c);
void proceed_auth(struct session *s, const union command *c);
void proceed_starttls(struct session *s, const union command *c);
void proceed_xclient(struct session *s, const union command *c);
void proceed_rset(struct session *s, const union command *c);
void proceed_noop(struct session *s, const union command *c);
void proceed_vrfy(struct session *s, const union command *c);
void proceed_help(struct session *s, const union command *c);
void proceed_quit(struct session *s, const union command *c);

#endif
