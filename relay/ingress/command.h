/* SPDX-License-Identifier: ISC */
/*
 * command - a line from the client taken apart: the verb, and the arguments of
 * those verbs that have more than a word.  Pure: bytes in, a struct or the
 * refusal out; all spans point into the line.
 *
 * MAIL (RFC 5321 4.1.1.2): SIZE (RFC 1870), BODY (RFC 6152, 3030), SMTPUTF8
 * (RFC 6531), RET and ENVID (RFC 3461), AUTH (RFC 4954 5: looked at, not
 * believed).  RCPT: NOTIFY and ORCPT (RFC 3461).  A parameter that is not in
 * the table is refused with 555, one given twice with 501.
 */
#ifndef RELAY_INGRESS_COMMAND_H
#define RELAY_INGRESS_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "policy/address.h"
#include "policy/verdict.h"

/* Octets of a command line: 512 and what all parameters together may add. */
#define COMMAND_LINE_MAX 2048

#define ENVID_MAX 100      /* RFC 3461 4.4 */
#define ORCPT_MAX 500      /* RFC 3461 4.2 */
#define AUTH_PARAM_MAX 500 /* RFC 4954 3 */

/* "rcpt to:<x>  " -> "rcpt", "to:<x>". False if there is no verb. */
bool command_split(struct span line, struct span *verb, struct span *args);

struct mail_command {
	struct address sender; /* empty text: <> */
	uint64_t size;         /* declared; 0: not */
	bool eight_bit, binary;
	bool smtputf8;
	bool auth;         /* AUTH= was there */
	uint32_t ret;      /* MESSAGE_RET_FULL, MESSAGE_RET_HDRS or 0 */
	struct span envid; /* still xtext; empty: none */
};

struct rcpt_command {
	struct address recipient; /* domain empty: <Postmaster> */
	uint8_t notify;           /* enum notify_flag */
	struct span orcpt;        /* "rfc822;...", still xtext; empty: none */
};

struct bdat_command {
	uint64_t size;
	bool trusted; /* the size is a number that can be believed, whatever else is wrong
		       */
	bool last;
};

/* False: `why` is the answer. */
bool command_mail(struct span args, struct mail_command *out, struct verdict *why);

/* utf8_ok: MAIL came with SMTPUTF8. */
bool command_rcpt(
    struct span args, bool utf8_ok, struct rcpt_command *out, struct verdict *why);

/* out is filled as far as possible in any case: the chunk's octets must be taken away. */
bool command_bdat(struct span args, struct bdat_command *out, struct verdict *why);

#endif
