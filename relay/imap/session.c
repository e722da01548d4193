/* SPDX-License-Identifier: ISC */
/* session - the life of one session: its one callback, its deadlines, its end. */
#include "relay/imap/session.h"

#include "base/check.h"
#include "base/mem.h"
#include "relay/door.h"

#define STEPS_PER_TURN 100
#define HANDSHAKE_MS (30 * SECOND_MS)
#define DRAIN_MS (5 * SECOND_MS) /* for the rest of a command, when relayd stops */
#define PORT_IMAPS 993           /* RFC 8314: TLS from the first byte */

const struct mailbox_config *
imap_settings(const struct imap *s)
{
	const struct directory *d = s->pickup->o.directory;
	return d != NULL ? directory_settings(d, s->config, span_str(s->owner))
			 : &s->config->mailbox_default;
}

struct spool *
imap_spool(const struct imap *s)
{
	return s->pickup->o.spool;
}

struct inbox *
imap_inbox(const struct imap *s)
{
	return loop_inbox(s->pickup->o.loop);
}

/* ---- waiting */

static void
set_deadline(struct imap *s)
{
	const struct smtp_server_config *c = &s->config->server;
	io_deadline(s->io, s->handshake              ? HANDSHAKE_MS
			   : s->pickup->draining     ? DRAIN_MS
			   : s->state == IMAP_BEFORE ? c->command_ms
						     : c->imap_ms);
}

void
imap_wait(struct imap *s)
{
	if (s->io == NULL || io_paused(s->io))
		return;
	io_pause(s->io);
	io_deadline(s->io, 0);
}

/* Between two commands, with nothing on its way: the moment to end without harm. */
static bool
is_quiet(const struct imap *s)
{
	return s->io != NULL && !s->running && s->job == NULL && !io_paused(s->io);
}

static void
end_at_eof(struct imap *s)
{
	if (s->io != NULL && !io_paused(s->io) && s->job == NULL && io_eof(s->io))
		imap_end(s, "client closed");
}

void
imap_go_on(struct imap *s)
{
	if (s->io == NULL)
		return;
	set_deadline(s);
	if (io_paused(s->io))
		io_resume(s->io);
	if (io_input(s->io).n == 0)
		end_at_eof(s);
	if (s->pickup->draining && is_quiet(s) && io_input(s->io).n == 0)
		imap_bye(s, "[UNAVAILABLE] ", "relayd stops; come back in a moment");
}

/* ---- input */

static void
take_input(struct imap *s)
{
	unsigned steps = 0;
	while (s->io != NULL && !io_paused(s->io) && !s->handshake) {
		if (steps++ == STEPS_PER_TURN) {
			io_pause(s->io);
			timer_set(&s->turn, 0);
			return;
		}
		if (io_input(s->io).n == 0)
			break;
		if (io_queued(s->io) > IO_HIGH)
			return; /* the rest when the client has read its answers */
		if (!reader_take(s))
			break;
		/* who has not signed in gets no more time for each octet of a literal */
		bool between = s->state != IMAP_BEFORE || s->reader.state == READER_LINE;
		if (between && s->io != NULL && !io_paused(s->io))
			set_deadline(s);
	}
	end_at_eof(s);
}

static void
on_turn(void *arg)
{
	imap_go_on(arg);
}

/* ---- the connection */

static void
greet(struct imap *s)
{
	char client[NET_TEXT];
	struct buf line;
	net_format(&s->peer, client);
	LOG(s->pickup->o.log, EV_CONNECTED, F_STR("client", client),
	    F_STR("listener", s->listener_name));
	s->greeted = true;
	buf_init(&line, 0);
	buf_add_str(&line, "* OK [CAPABILITY ");
	capability_add(s, &line);
	buf_addf(&line, "] %s IMAP server ready\r\n", s->config->policy.hostname);
	imap_say(s, buf_span(&line));
	buf_clear(&line);
}

static void
on_tls_failed(struct imap *s, const char *why)
{
	door_tls_failed(imap_client(s), why, &s->pickup->o.counters->tls_failed);
	imap_break(s, "no TLS");
}

static void
on_tls(struct imap *s)
{
	door_tls_stands(imap_client(s), s->pickup->o.counters->tls);
	s->handshake = false;
	if (!s->greeted)
		greet(s);
	imap_go_on(s);
}

static void
bye_at_drain(struct imap *s)
{
	imap_bye(s, "[UNAVAILABLE] ", "relayd stops; come back in a moment");
}

static void
on_timeout(struct imap *s)
{
	if (s->handshake)
		on_tls_failed(s, "timeout");
	else if (s->pickup->draining)
		bye_at_drain(s);
	else
		imap_bye(s, "", "silent for too long");
}

static void
on_io(void *arg, enum io_event ev)
{
	struct imap *s = arg;
	switch (ev) {
	case IO_INPUT: take_input(s); break;
	case IO_EOF: end_at_eof(s); break;
	case IO_ERROR:
		if (s->handshake)
			on_tls_failed(s, io_trouble(s->io));
		else
			imap_break(s, err_text(io_error(s->io)));
		break;
	case IO_TIMEOUT: on_timeout(s); break;
	case IO_TLS: on_tls(s); break;
	case IO_DRAINED:
		if (s->job != NULL && s->job->drained != NULL)
			s->job->drained(s);
		else if (s->job == NULL)
			update_on_drained(s);
		break;
	case IO_CONNECTED: break;
	}
}

void
imap_start_tls(struct imap *s)
{
	s->handshake = true;
	if (s->tls == NULL)
		on_tls_failed(s, "there is no certificate");
	else if (io_start_tls_speaking(s->io, s->tls, "imap") != OK)
		imap_end(s, "input before the TLS handshake");
}

/* ---- the end */

static void
log_end(const struct imap *s, const char *why)
{
	char client[NET_TEXT];
	net_format(&s->peer, client);
	int64_t ms = instant_since(loop_now(s->pickup->o.loop), s->began);
	if (s->card == NULL)
		LOG(s->pickup->o.log, EV_DISCONNECTED, F_STR("client", client),
		    F_STR("listener", s->listener_name), F_STR("why", why),
		    F_INT("errors", s->errors), F_INT("ms", ms));
	else
		LOG(s->pickup->o.log, EV_LOOKED_IN, F_STR("client", client),
		    F_STR("account", s->card->name), F_STR("why", why),
		    F_INT("commands", s->commands), F_INT("fetched", s->fetched),
		    F_INT("octets", s->sent), F_INT("ms", ms));
}

/* Everything but the struct: we may be inside its own callback. */
static void
let_go(struct imap *s, const char *why)
{
	timer_clear(&s->turn);
	signing_end(s, "the client went away");
	if (s->job != NULL)
		s->job->cancel(s);
	s->job = NULL;
	append_free(s);
	notify_free(s);
	if (s->looking != NULL)
		spool_cancel_query(s->looking);
	s->looking = NULL;
	select_leave(s);
	log_end(s, why);
	signing_leave(s);
	reader_reset(s);
	buf_clear(&s->reader.text);
	seat_leave(&s->seat);
}

void
imap_end(struct imap *s, const char *why)
{
	if (s->io == NULL)
		return;
	io_finish(&s->io, IMAP_LINGER_MS);
	let_go(s, why);
}

void
imap_break(struct imap *s, const char *why)
{
	if (s->io == NULL)
		return;
	io_free(&s->io);
	let_go(s, why);
}

/* In the middle of a literal to the client BYE would be part of a message. */
void
imap_bye(struct imap *s, const char *code, const char *text)
{
	if (s->io == NULL)
		return;
	if (s->job == NULL)
		imap_sayf(s, "BYE %s%s", code, text);
	imap_end(s, text);
}

/* ---- as one of the pickup's */

static struct imap *
of_seat(struct seat *seat)
{
	return CONTAINER_OF(seat, struct imap, seat);
}

static void
break_seat(struct seat *seat, const char *why)
{
	imap_break(of_seat(seat), why);
}

/* A command that runs comes to its end first, unless its rest does not come; imap_go_on()
 * sees to the others. */
static void
drain_seat(struct seat *seat)
{
	struct imap *s = of_seat(seat);
	if (s->handshake)
		imap_break(s, "relayd stops");
	else if (is_quiet(s) || s->idling)
		bye_at_drain(s);
	else if (s->io != NULL && !io_paused(s->io))
		set_deadline(s); /* it is the client's turn */
}

static void
end_account(struct seat *seat, struct span owner)
{
	struct imap *s = of_seat(seat);
	if (s->card != NULL && span_eq(span_str(s->owner), owner))
		imap_bye(s, "[NOPERM] ", "this account has changed; sign in again");
}

static void
free_seat(struct seat *seat)
{
	struct imap *s = of_seat(seat);
	config_unref(&s->config);
	tls_server_unref(&s->tls);
	account_card_free(&s->card);
	mem_free(&s->listener_name);
	mem_free(&s);
}

static const struct seat_kind imap_kind = {
    break_seat, drain_seat, end_account, free_seat};

void
imap_start(struct pickup *p, int fd, const struct net_addr *hop,
    const struct net_addr *peer, const char *listener)
{
	struct imap *s = NEW(struct imap);
	s->pickup = p;
	s->config = config_ref(p->config);
	s->listener = door_listener(s->config, listener);
	s->listener_name = mem_strdup(listener);
	s->hop = *hop;
	s->peer = *peer;
	s->tls = tls_server_ref(
	    s->listener != NULL ? config_tls(s->config, s->listener) : NULL);
	s->began = loop_now(p->o.loop);
	timer_init(&s->turn, p->o.loop, on_turn, s);
	seat_take(&s->seat, p, &imap_kind, peer);
	s->io = io_new(p->o.loop, fd, on_io, s);
	if (door_tls_first(s->listener, s->io, PORT_IMAPS))
		imap_start_tls(s);
	else
		greet(s);
	if (s->io != NULL)
		set_deadline(s);
}
