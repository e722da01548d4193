/* SPDX-License-Identifier: ISC */
/*
 * idle - IDLE (RFC 2177): from "+" to DONE the client is told of each change as it is
 * committed; nobody polls.  Nothing is sent to keep the connection alive: that drains
 * telephones, and TCP can do it.
 */
#include "relay/imap/queue.h"
#include "relay/imap/session.h"

#define DONE_MAX 64 /* octets of the line that ends it */

void
run_idle(struct imap *s, struct lex *l)
{
	(void)l;
	if (!args_end(s))
		return;
	s->idling = true;
	imap_say(s, SPAN("+ idling\r\n"));
	update_tell(s, true);
	if (s->io != NULL && s->pickup->draining)
		imap_bye(s, "[UNAVAILABLE] ", "relayd stops; come back in a moment");
}

bool
idling_take(struct imap *s)
{
	struct span line = {0};
	switch (io_line(s->io, DONE_MAX, &line)) {
	case IO_MORE: return false;
	case IO_LINE:
		s->idling = false;
		if (span_ieq(line, SPAN("DONE")))
			imap_ok(s, "", "no longer idle");
		else
			imap_bad(s, "", "DONE was expected");
		return true;
	case IO_BARE:
	case IO_TOO_LONG: break;
	}
	imap_bye(s, "", "DONE was expected");
	return false;
}

void
run_noop(struct imap *s, struct lex *l)
{
	(void)l;
	if (!args_end(s))
		return;
	if (queue_selected(s))
		queue_poll(s);
	else
		imap_ok(s, "", "here");
}

void
run_check(struct imap *s, struct lex *l)
{
	(void)l;
	if (args_end(s))
		imap_ok(s, "", "all is on disk");
}
