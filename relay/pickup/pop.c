/* SPDX-License-Identifier: ISC */
/* pop - the life of one session, its one callback, and its answers. */
#include "relay/pickup/pop.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"
#include "relay/door.h"

#define STEPS_PER_TURN 100
#define HANDSHAKE_MS (30 * SECOND_MS)
#define PORT_POP3S 995 /* RFC 8314: TLS from the first byte */

/* ---- answers */

__attribute__((format(printf, 3, 0))) static void
say(struct pop *s, const char *begin, const char *fmt, va_list ap)
{
	char line[480]; /* RFC 2449 4: 512 octets */
	if (s->io == NULL)
		return;
	int n = vsnprintf(line, sizeof(line), fmt, ap);
	io_add_span(s->io, span_str(begin));
	if (n > 0)
		io_add_span(s->io, span_cut(span_str(line), 0, (size_t)n));
	io_add_span(s->io, SPAN("\r\n"));
}

void
pop_ok(struct pop *s, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(s, "+OK ", fmt, ap);
	va_end(ap);
}

void
pop_line(struct pop *s, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(s, "", fmt, ap);
	va_end(ap);
}

void
pop_error(struct pop *s, const char *code, const char *text)
{
	pop_line(s, "-ERR %s%s", code, text);
	if (++s->errors >= s->config->server.errors && s->io != NULL) {
		pop_line(s, "-ERR [SYS/TEMP] too many errors");
		pop_end(s, "too many errors");
	}
}

/* ---- configuration */

const struct mailbox_config *
pop_settings(const struct pop *s)
{
	const struct directory *d = s->pickup->o.directory;
	return d != NULL ? directory_settings(d, s->config, span_str(s->owner))
			 : &s->config->mailbox_default;
}

/* ---- waiting */

static void
set_deadline(struct pop *s)
{
	const struct smtp_server_config *c = &s->config->server;
	io_deadline(s->io, s->handshake                    ? HANDSHAKE_MS
			   : s->state == POP_AUTHORIZATION ? c->command_ms
							   : c->pickup_ms);
}

void
pop_wait(struct pop *s)
{
	if (s->io == NULL)
		return;
	io_pause(s->io);
	io_deadline(s->io, 0);
}

static void
end_at_eof(struct pop *s)
{
	if (s->io != NULL && !io_paused(s->io) && s->sending == NULL && io_eof(s->io))
		pop_end(s, "client closed");
}

void
pop_go_on(struct pop *s)
{
	if (s->io == NULL)
		return;
	set_deadline(s);
	io_resume(s->io);
	if (io_input(s->io).n == 0)
		end_at_eof(s);
	if (s->io != NULL && s->pickup->draining && io_input(s->io).n == 0)
		pop_drain(s);
}

/* ---- input */

/* Behind a bare LF nobody knows what was meant as a command: nothing of it is run. */
static bool
refuse_bare(struct pop *s)
{
	pop_error(s, "", "a line ends with CRLF and holds no NUL");
	login_end(s, "a bare LF or a NUL");
	pop_end(s, "bare LF or NUL");
	return false;
}

static bool
take_command(struct pop *s)
{
	struct span line = {0}, in = io_input(s->io);
	if (s->commands == 0 && !is_alpha((unsigned char)in.p[0])) {
		pop_line(s, "-ERR [SYS/PERM] this is a mail server");
		pop_end(s, "speaks another protocol"); /* TLS, most likely */
		return false;
	}
	bool auth = span_istarts(in, SPAN("AUTH "));
	switch (io_line(s->io, (auth ? POP_AUTH_LINE_MAX : POP_LINE_MAX) - 2, &line)) {
	case IO_MORE: return false;
	case IO_BARE: return refuse_bare(s);
	case IO_TOO_LONG:
		s->commands++;
		pop_error(s, "", "line too long");
		return true;
	case IO_LINE: break;
	}
	s->commands++;
	pop_run(s, line);
	return true;
}

static bool
take_response(struct pop *s)
{
	struct span in = io_input(s->io);
	if (memchr(in.p, '\0', in.n) != NULL)
		return refuse_bare(s);
	return login_take_response(s);
}

static void
take_input(struct pop *s)
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
		if (!(login_expects_line(s) ? take_response(s) : take_command(s)))
			break;
		if (s->io != NULL && !io_paused(s->io))
			set_deadline(s);
	}
	end_at_eof(s);
}

static void
on_turn(void *arg)
{
	struct pop *s = arg;
	pop_go_on(s);
}

/* ---- the connection */

static void
greet(struct pop *s)
{
	char client[NET_TEXT];
	net_format(&s->peer, client);
	LOG(s->pickup->o.log, EV_CONNECTED, F_STR("client", client),
	    F_STR("listener", s->listener_name));
	s->greeted = true;
	if (s->listener != NULL && s->listener->apop) { /* unlike any other, ever */
		struct world *w = loop_world(s->pickup->o.loop);
		(void)snprintf(s->timestamp, sizeof(s->timestamp),
		    "<%016llx.%llx@%.100s>", (unsigned long long)world_random_u64(w),
		    (unsigned long long)world_wall(w).ms, s->config->policy.hostname);
	}
	pop_ok(s, "%s POP3 server ready%s%s", s->config->policy.hostname,
	    s->timestamp[0] != '\0' ? " " : "", s->timestamp);
}

static void
on_tls_failed(struct pop *s, const char *why)
{
	door_tls_failed(pop_client(s), why, &s->pickup->o.counters->tls_failed);
	pop_break(s, "no TLS");
}

static void
on_tls(struct pop *s)
{
	door_tls_stands(pop_client(s), s->pickup->o.counters->tls);
	s->handshake = false;
	pop_forget(s);
	if (!s->greeted)
		greet(s);
	pop_go_on(s);
}

static void
on_timeout(struct pop *s)
{
	if (s->handshake) {
		on_tls_failed(s, "timeout");
		return;
	}
	/* RFC 1939 3: without UPDATE, so nothing is deleted */
	if (s->sending == NULL)
		pop_line(s, "-ERR [SYS/TEMP] silent for too long");
	pop_end(s, "timeout");
}

static void
on_io(void *arg, enum io_event ev)
{
	struct pop *s = arg;
	switch (ev) {
	case IO_INPUT: take_input(s); break;
	case IO_EOF: end_at_eof(s); break;
	case IO_ERROR:
		if (s->handshake)
			on_tls_failed(s, io_trouble(s->io));
		else
			pop_break(s, err_text(io_error(s->io)));
		break;
	case IO_TIMEOUT: on_timeout(s); break;
	case IO_TLS: on_tls(s); break;
	case IO_DRAINED:
		if (s->sending != NULL)
			sending_more(s);
		break;
	case IO_CONNECTED: break;
	}
}

void
pop_start_tls(struct pop *s)
{
	s->handshake = true;
	if (s->tls == NULL)
		on_tls_failed(s, "there is no certificate");
	else if (io_start_tls_speaking(s->io, s->tls, "pop3") != OK)
		pop_end(s, "input before the TLS handshake");
}

/* ---- life */

static void
on_forget(void *arg)
{
	fetch_forget(arg);
}

static void
log_end(const struct pop *s, const char *why)
{
	char client[NET_TEXT];
	net_format(&s->peer, client);
	int64_t ms = instant_since(loop_now(s->pickup->o.loop), s->began);
	if (s->card == NULL)
		LOG(s->pickup->o.log, EV_DISCONNECTED, F_STR("client", client),
		    F_STR("listener", s->listener_name), F_STR("why", why),
		    F_INT("errors", s->errors), F_INT("ms", ms));
	else
		LOG(s->pickup->o.log, EV_PICKED_UP, F_STR("client", client),
		    F_STR("account", s->card->name), F_STR("why", why),
		    F_INT("retrieved", s->retrieved), F_INT("octets", s->sent),
		    F_INT("deleted", s->state == POP_UPDATE ? s->drop.deleted_n : 0),
		    F_INT("left",
			s->drop.count - (s->state == POP_UPDATE ? s->drop.deleted_n : 0)),
		    F_INT("ms", ms));
}

/* Everything but the struct: we may be inside its own callback. */
static void
let_go(struct pop *s, const char *why)
{
	timer_clear(&s->turn);
	timer_clear(&s->forget);
	login_end(s, "the client went away");
	fetch_cancel(s);
	fetch_forget(s);
	sending_free(s);
	log_end(s, why);
	update_orphan(s);
	login_leave(s);
	maildrop_clear(&s->drop);
	seat_leave(&s->seat);
}

void
pop_end(struct pop *s, const char *why)
{
	if (s->io == NULL)
		return;
	io_finish(&s->io, POP_LINGER_MS);
	let_go(s, why);
}

void
pop_break(struct pop *s, const char *why)
{
	if (s->io == NULL)
		return;
	io_free(&s->io);
	let_go(s, why);
}

static void
free_seat(struct seat *seat)
{
	struct pop *s = CONTAINER_OF(seat, struct pop, seat);
	config_unref(&s->config);
	tls_server_unref(&s->tls);
	account_card_free(&s->card);
	mem_free(&s->user);
	mem_free(&s->listener_name);
	mem_free(&s);
}

/* An answer that is on its way, and a QUIT, come to their end first. */
void
pop_drain(struct pop *s)
{
	if (s->handshake) {
		pop_break(s, "relayd stops");
	} else if (s->sending == NULL && s->updating == NULL && !io_paused(s->io)) {
		pop_line(s, "-ERR [SYS/TEMP] shutting down; nothing was deleted");
		pop_end(s, "relayd stops");
	}
}

static void
drain_seat(struct seat *seat)
{
	pop_drain(CONTAINER_OF(seat, struct pop, seat));
}

static void
break_seat(struct seat *seat, const char *why)
{
	pop_break(CONTAINER_OF(seat, struct pop, seat), why);
}

static void
end_account(struct seat *seat, struct span owner)
{
	struct pop *s = CONTAINER_OF(seat, struct pop, seat);
	if (!s->holds || !span_eq(span_str(s->owner), owner) || s->updating != NULL)
		return;
	if (s->sending == NULL)
		pop_line(s, "-ERR [SYS/PERM] this account has changed; sign in again");
	pop_end(s, "the account has changed");
}

static const struct seat_kind pop_kind = {break_seat, drain_seat, end_account, free_seat};

void
pop_start(struct pickup *p, int fd, const struct net_addr *hop,
    const struct net_addr *peer, const char *listener)
{
	struct pop *s = NEW(struct pop);
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
	timer_init(&s->forget, p->o.loop, on_forget, s);
	seat_take(&s->seat, p, &pop_kind, peer);
	s->io = io_new(p->o.loop, fd, on_io, s);
	if (door_tls_first(s->listener, s->io, PORT_POP3S))
		pop_start_tls(s);
	else
		greet(s);
	if (s->io != NULL)
		set_deadline(s);
}

void
pop_forget(struct pop *s)
{
	login_end(s, "TLS begins");
	mem_free(&s->user);
	s->utf8 = false;
}
