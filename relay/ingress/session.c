/* SPDX-License-Identifier: ISC */
/*
 * session - the life of one connection, its one callback, and its answers.
 *
 * A client that has closed its sending side (many scripts do) still gets its
 * answers: the end of input ends the session when what came before is done.
 * A connection that is reset is gone at once, and its message with it.
 */
#include "relay/ingress/session.h"

#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/ingress/auth.h"
#include "relay/ingress/gate.h"
#include "relay/ingress/local.h"
#include "relay/ingress/opening.h"
#include "relay/ingress/verbs.h"

#define STEPS_PER_TURN 100 /* lines or blocks; then others are served */
#define IDLE_COMMANDS 100  /* so many NOOPs and the like are free between messages */
#define LINGER_MS (5 * SECOND_MS) /* for the last reply to go out */

/* ---- answers */

void
session_say(struct session *s, const char *fmt, ...)
{
	char line[VERDICT_TEXT + 64];
	if (s->io == NULL)
		return;
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > 0)
		io_add_span(s->io, span_cut(span_str(line), 0, (size_t)n));
	io_add_span(s->io, SPAN("\r\n"));
}

void
session_verdict(struct session *s, const struct verdict *v)
{
	struct buf b;
	buf_init(&b, VERDICT_TEXT + 64);
	verdict_add(&b, v);
	if (s->io != NULL) {
		io_add_span(s->io, buf_span(&b));
		io_add_span(s->io, SPAN("\r\n"));
	}
	buf_clear(&b);
}

void
session_close(struct session *s, const char *status, const char *text)
{
	session_say(s, "421 %s %s: %s", status, s->config->policy.hostname, text);
	session_end(s, text);
}

static void
count_error(struct session *s)
{
	if (++s->errors >= s->config->server.errors)
		session_close(s, "4.7.0", "too many errors");
}

void
session_refuse(struct session *s, const struct verdict *v)
{
	session_verdict(s, v);
	if (verdict_permanent(v))
		count_error(s);
}

void
session_error(struct session *s, unsigned code, const char *status, const char *text)
{
	struct verdict v = verdict_make(code, status, "%s", text);
	session_refuse(s, &v);
}

bool
session_is_lmtp(const struct session *s)
{
	return s->listener != NULL && s->listener->protocol == LISTENER_LMTP;
}

void
session_answer(struct session *s, const struct verdict *v)
{
	if (!session_is_lmtp(s) || s->tx == NULL || s->tx->lates == 0) {
		session_refuse(s, v); /* counts only what is refused */
		return;
	}
	for (size_t i = 0; s->tx != NULL && i < s->tx->lates; i++) {
		const struct verdict *own = s->tx->late[i].why;
		session_verdict(s, own != NULL ? own : v);
	}
	if (verdict_permanent(v))
		count_error(s);
}

void
session_log_refused(struct session *s, const char *what, const struct verdict *v,
    const char *rule, struct span from, struct span to)
{
	atomic_fetch_add_explicit(&s->in->o.counters->refused, 1, memory_order_relaxed);
	struct buf reply;
	buf_init(&reply, VERDICT_TEXT + 64);
	verdict_add(&reply, v);
	char client[NET_TEXT];
	net_format_ip(&s->peer, client);
	LOG(s->in->o.log, EV_REFUSED, F_STR("client", client), F_STR("what", what),
	    F_SPAN("reply", buf_span(&reply)), F_STR("rule", rule ? rule : "-"),
	    F_ADDR("from", from), F_ADDR("to", to), F_STR("helo", s->helo ? s->helo : ""),
	    F_STR("listener", s->listener_name));
	buf_clear(&reply);
}

/* ---- configuration */

void
session_follow_config(struct session *s)
{
	const struct config *now = s->in->config;
	if (now == s->config)
		return;
	/* Without its listener a session would fall under the global networks, which may
	 * trust more than the listener's own list did. */
	const struct listener_config *listener =
	    s->local ? NULL : door_listener(now, s->listener_name);
	if (listener == NULL && s->listener != NULL)
		return;
	config_unref(&s->config);
	s->config = config_ref(now);
	s->listener = listener;
}

struct access_facts
session_facts(const struct session *s, struct span sender)
{
	const struct listener_config *l = s->listener;
	const struct account_card *card = s->card;
	bool defer = false;
	struct span listed = gate_listed(s, &defer);
	return (struct access_facts){
	    .policy = &s->config->policy,
	    .networks = l != NULL && l->has_networks ? &l->networks : NULL,
	    .client = &s->peer,
	    .helo = span_str(s->helo),
	    .listener = span_str(s->listener_name),
	    .account = span_str(card != NULL ? card->name : NULL),
	    .account_sender = card != NULL ? card->sender : NULL,
	    .account_senders = card != NULL ? card->senders : 0,
	    .certificate = s->certificate,
	    .auth_required = l != NULL && l->auth == AUTH_REQUIRED,
	    .listed = listed,
	    .listed_defer = defer,
	    .sender = sender,
	};
}

uint64_t
session_message_size(const struct session *s)
{
	uint64_t own = s->listener != NULL ? s->listener->message_size : 0;
	return own != 0 ? own : s->config->server.message_size;
}

unsigned
session_recipients_max(const struct session *s)
{
	unsigned own = s->listener != NULL ? s->listener->recipients : 0;
	return own != 0 ? own : s->config->server.recipients;
}

void
session_add_postmaster(const struct session *s, struct buf *out)
{
	if (s->config->postmaster != NULL)
		buf_add_str(out, s->config->postmaster);
	else
		buf_addf(out, "postmaster@%s", s->config->policy.hostname);
}

/* ---- states */

void
session_enter(struct session *s, const struct session_state *state)
{
	s->state = state;
}

static void
set_deadline(struct session *s)
{
	const struct smtp_server_config *c = &s->config->server;
	if (s->state == &session_handshake)
		io_deadline(s->io, HANDSHAKE_MS);
	else if (s->state == &session_command || s->state == &session_auth)
		io_deadline(s->io, c->command_ms);
	else
		io_deadline(s->io, c->data_ms);
}

void
session_wait(struct session *s)
{
	io_pause(s->io);
	io_deadline(s->io, 0);
}

void
session_reset(struct session *s)
{
	transaction_free(&s->tx);
}

void
session_forget(struct session *s)
{
	session_reset(s);
	mem_free(&s->helo);
	s->hello = HELLO_NONE;
	account_card_free(&s->card);
	s->commands = 0;
	s->idle = 0;
	session_enter(s, &session_command);
}

/* Something that speaks another protocol: TLS, or a line that no command begins like. */
static bool
is_foreign(const struct session *s)
{
	struct span in = io_input(s->io);
	return s->commands == 0 && in.n > 0 && !is_alpha((unsigned char)in.p[0]);
}

/* Whether the first LF that is buffered ends a line as it should. */
static bool
ends_in_crlf(struct span in)
{
	size_t nl = span_find(in, '\n');
	return nl > 0 && nl < in.n && in.p[nl - 1] == '\r';
}

/* Behind a bare LF nobody knows what was meant as a command: nothing of it is run. */
static void
refuse_bare(struct session *s, bool delimited)
{
	session_error(s, 500, "5.5.2", "A line ends with CRLF and holds no NUL");
	if (!delimited)
		session_end(s, "bare LF");
}

/* AUTH may bring an initial response (RFC 4954 4). */
static bool
is_auth(struct span in)
{
	return span_istarts(in, SPAN("AUTH "));
}

enum io_line
session_take_line(struct session *s, size_t max, struct span *line)
{
	struct span in = io_input(s->io);
	bool delimited = ends_in_crlf(in);
	io_tap_hide(s->io, s->state == &session_auth || is_auth(in), false);
	enum io_line got = io_line(s->io, max, line);
	if (got == IO_BARE)
		refuse_bare(s, delimited);
	return got;
}

static bool
take_command(struct session *s)
{
	if (is_foreign(s)) {
		session_close(s, "4.7.0", "this is a mail server");
		return false;
	}
	bool auth = is_auth(io_input(s->io));
	struct span line = {0};
	enum io_line got =
	    session_take_line(s, auth ? AUTH_LINE_MAX : COMMAND_LINE_MAX, &line);
	if (got == IO_MORE)
		return false;
	s->commands++;
	if (got == IO_BARE)
		return true;
	if (got == IO_TOO_LONG)
		session_error(s, 500, auth ? "5.5.6" : "5.5.2", "Line too long");
	else if (verb_run(s, line) && ++s->idle > IDLE_COMMANDS)
		count_error(s);
	return true;
}

const struct session_state session_command = {"command", take_command};

/* ---- the connection */

/* Nothing more will come, and what came is done. */
static void
end_at_eof(struct session *s)
{
	if (s->io != NULL && !io_paused(s->io) && io_eof(s->io))
		session_end(s, "client closed");
}

void
session_go_on(struct session *s)
{
	if (s->io == NULL)
		return;
	set_deadline(s);
	io_resume(s->io);
	if (io_input(s->io).n == 0)
		end_at_eof(s);
}

static void
on_turn(void *arg)
{
	session_go_on(arg);
}

static void
take_input(struct session *s)
{
	unsigned steps = 0;
	while (s->io != NULL && !io_paused(s->io)) {
		if (steps == STEPS_PER_TURN) {
			io_pause(s->io);
			timer_set(&s->turn, 0);
			return;
		}
		if (!s->state->take(s))
			break;
		steps++;
		if (s->io != NULL && !io_paused(s->io))
			set_deadline(s);
	}
	end_at_eof(s);
}

static void
on_error(struct session *s)
{
	if (s->state == &session_handshake)
		opening_failed(s, io_trouble(s->io));
	else
		session_break(s, err_text(io_error(s->io)));
}

static void
on_timeout(struct session *s)
{
	if (s->state == &session_handshake)
		opening_failed(s, "timeout");
	else
		session_close(s, "4.4.2", "timeout");
}

static void
on_io(void *arg, enum io_event ev)
{
	struct session *s = arg;
	switch (ev) {
	case IO_INPUT: take_input(s); break;
	case IO_EOF: end_at_eof(s); break;
	case IO_ERROR: on_error(s); break;
	case IO_TIMEOUT: on_timeout(s); break;
	case IO_TLS: opening_tls(s); break;
	case IO_CONNECTED:
	case IO_DRAINED: break;
	}
}

static struct session *
begin(struct ingress *in, const struct net_addr *hop, const struct net_addr *peer,
    const char *listener)
{
	struct session *s = NEW(struct session);
	s->in = in;
	s->config = config_ref(in->config);
	s->listener_name = mem_strdup(listener);
	s->hop = *hop;
	s->peer = *peer;
	s->state = &session_command;
	s->began = loop_now(in->o.loop);
	timer_init(&s->turn, in->o.loop, on_turn, s);
	list_push(&in->sessions, &s->link);
	in->sessions_n++;
	return s;
}

static void
tap(struct session *s)
{
	struct tap_facts f = {
	    .side = TAP_INBOUND, .who = s->peer, .name = s->listener_name};
	io_tap(s->io, log_taps(s->in->o.log), &f);
}

void
session_start(struct ingress *in, int fd, const struct net_addr *hop,
    const struct net_addr *peer, const char *listener)
{
	struct session *s = begin(in, hop, peer, listener);
	s->listener = door_listener(s->config, listener);
	s->counted = *peer;
	s->tls = tls_server_ref(config_tls(s->config, s->listener));
	s->may_xclient =
	    s->listener != NULL && network_list_has(&s->listener->xclient_from, peer);
	s->io = io_new(in->o.loop, fd, on_io, s);
	tap(s);
	opening_start(s);
	if (s->io != NULL)
		set_deadline(s);
}

void
session_start_local(struct ingress *in, int fd, unsigned uid)
{
	struct net_addr loopback;
	CHECK(net_parse_ip(SPAN("127.0.0.1"), &loopback) == OK);
	struct session *s = begin(in, &loopback, &loopback, "local");
	s->local = true;
	s->uid = uid;
	s->card = local_card(uid);
	s->io = io_new(in->o.loop, fd, on_io, s);
	tap(s);
	opening_start(s);
	if (s->io != NULL)
		set_deadline(s);
}

/* Everything but the struct: we may be inside its own callback. */
static void
let_go(struct session *s, const char *why)
{
	struct ingress *in = s->in;
	timer_clear(&s->turn);
	auth_end(s, "the client went away");
	gate_end(s);
	mem_free(&s->chunk);
	transaction_free(&s->tx);
	char client[NET_TEXT];
	net_format(&s->peer, client);
	LOG(in->o.log, EV_DISCONNECTED, F_STR("client", client), F_STR("why", why),
	    F_STR("state", s->state->name), F_INT("messages", s->accepted),
	    F_INT("errors", s->errors),
	    F_INT("ms", instant_since(loop_now(in->o.loop), s->began)));
	if (!s->uncounted)
		census_leave(in->o.census, &s->counted);
	list_remove(&s->link);
	list_push(&in->gone, &s->link);
	in->sessions_n--;
	later_set(&in->sweep);
}

void
session_end(struct session *s, const char *why)
{
	if (s->io == NULL)
		return;
	io_finish(&s->io, LINGER_MS);
	let_go(s, why);
}

void
session_break(struct session *s, const char *why)
{
	if (s->io == NULL)
		return;
	io_free(&s->io);
	let_go(s, why);
}

void
session_free(struct session **sp)
{
	struct session *s = *sp;
	config_unref(&s->config);
	tls_server_unref(&s->tls);
	account_card_free(&s->card);
	mem_free(&s->listener_name);
	mem_free(&s->helo);
	mem_free(sp);
}

void
session_leave_account(struct session *s)
{
	bool arriving = s->tx != NULL && s->tx->receive != NULL;
	if (!arriving && s->io != NULL)
		session_close(s, "4.7.0", "this account has changed; sign in again");
}

void
session_drain(struct session *s)
{
	bool between =
	    (s->state == &session_command && s->tx == NULL) || s->state == &session_auth;
	if (s->state == &session_handshake)
		session_break(s, "relayd stops");
	else if (between && !io_paused(s->io) && io_input(s->io).n == 0)
		session_close(s, "4.3.2", "shutting down");
}
