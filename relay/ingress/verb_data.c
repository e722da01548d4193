/* SPDX-License-Identifier: ISC */
/* verb_data - DATA (RFC 5321 4.1.1.4): lines up to CRLF "." CRLF. */
#include "relay/ingress/arrival.h"
#include "relay/ingress/verbs.h"

/* Without a recipient there is no 354, and a client that pipelined DATA sends no
 * body (RFC 2920 3.1): what follows are commands.  LMTP wants 503 whether any were
 * refused or not (RFC 2033 4.2). */
bool
check_data(struct session *s, struct span args, union command *c)
{
	(void)args, (void)c;
	if (s->tx->binary)
		session_error(s, 503, "5.5.1", "BODY=BINARYMIME needs BDAT");
	else if (s->tx->message->rcpts > 0)
		return true;
	else if (s->tx->rcpts_refused > 0 && !session_is_lmtp(s))
		session_error(s, 554, "5.5.1", "No valid recipients");
	else
		session_error(s, 503, "5.5.1", "Send RCPT first");
	return false;
}

void
proceed_data(struct session *s, const union command *c)
{
	(void)c;
	arrival_begin(s);
	session_enter(s, &session_data);
	session_say(s, "354 End data with <CRLF>.<CRLF>");
}

static bool
take_data(struct session *s)
{
	struct span in = io_input(s->io);
	if (in.n == 0)
		return false;
	struct receive *r = s->tx->receive;
	io_consume(s->io, receive_data(r, in));
	if (receive_ended(r))
		arrival_end(s);
	else
		arrival_pace(s);
	return true;
}

const struct session_state session_data = {"data", take_data};
