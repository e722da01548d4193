/* SPDX-License-Identifier: ISC */
/*
 * sendmail (private to relay-sendmail) - the message that was read, and the two
 * halves of the program: reading it (relay-sendmail.c), and finding relayd and
 * speaking to it (sendmail_smtp.c).
 */
#ifndef TOOLS_SENDMAIL_H
#define TOOLS_SENDMAIL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct mail {
	char *from; /* envelope sender; NULL: the caller */
	const char *full_name;
	bool from_headers; /* -t */
	bool dot_ends;     /* a line with a single dot ends the message (no -i) */
	char **rcpt;
	size_t rcpts;
	const char *notify, *envid, *ret;
	const char *config_file;
	struct buf text;   /* CRLF lines, dot-stuffed as it is sent */
	size_t header_end; /* octets of the header section, without the empty line */
};

/* Says what went wrong and ends the program; status as in sysexits.h. */
_Noreturn void sendmail_fail(int status, const char *what, const char *detail);

/*
 * Hand the message to relayd; returns when it has taken it, fails otherwise:
 * EX_TEMPFAIL (75) when relayd does not answer or says later, so that cron and
 * mail programs keep the message or say so.
 */
void sendmail_hand_in(const struct mail *m);

#endif
