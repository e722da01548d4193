/* SPDX-License-Identifier: ISC */
/*
 * client - the life of one outgoing connection: it is dialled, replies move its
 * states, it is lost.
 *
 * Nothing is told from inside the machine: what the owner is to hear is noted,
 * and told at the end of the loop's turn, so that he may send or free from his
 * callback.  A connection that breaks right after the last answer brings SENT
 * first and LOST afterwards; what he hands over in between finds a dead
 * connection, and comes back with LOST.
 *
 * A reply is taken only if the command that it answers has left; what comes
 * earlier (injected: CVE-2011-0411) or when nothing is awaited ends the connection.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/egress/client_private.h"

static const struct client_state *on_reply_idle(struct client *c);

static const struct client_state CONNECT = {
    "the connection", NULL, CLIENT_TIMEOUT(connect_ms), STAGE_CONNECT};
const struct client_state CLIENT_IDLE = {"a message", on_reply_idle, 0, STAGE_IDLE};
const struct client_state CLIENT_GONE = {"nothing", NULL, 0, STAGE_IDLE};

/* ---- states */

void
client_arm(struct client *c)
{
	int64_t ms = 0;
	if (c->state->timeout_at != 0)
		memcpy(
		    &ms, (const char *)&c->timeouts + c->state->timeout_at, sizeof(ms));
	io_deadline(c->io, ms);
}

void
client_enter(struct client *c, const struct client_state *next)
{
	if (c->io != NULL)
		io_tap_hide(c->io, false, next == &CLIENT_BODY);
	if (next == &CLIENT_GONE)
		return; /* the state that it was lost in stays to be asked for */
	c->state = next;
	client_arm(c);
}

/* ---- being lost */

/* Everything is with the peer, the final dot included, and no word came back. */
static bool
in_doubt(const struct client *c)
{
	return c->mail != NULL && c->state == &CLIENT_DOT && io_queued(c->io) == 0;
}

static void
give_up_mail(struct client *c, const struct verdict *why)
{
	struct mail *m = c->mail;
	const struct verdict *v = c->whole.code != 0 ? &c->whole : why;
	for (size_t i = c->settled; i < m->rcpts; i++) {
		struct mail_rcpt *r = &m->rcpt[i];
		if (r->verdict.code == 0 || verdict_ok(&r->verdict))
			r->verdict = *v;
	}
	c->mail = NULL;
	c->stale = c->messages > 0 && !c->replied;
}

const struct client_state *
client_lost(struct client *c, const struct verdict *why, bool answered)
{
	if (c->io == NULL)
		return &CLIENT_GONE;
	c->maybe_delivered = !answered && in_doubt(c);
	c->verdict = *why;
	c->tell_lost = true;
	io_free(&c->io);
	auth_wipe(c);
	if (c->mail != NULL)
		give_up_mail(c, why);
	later_set(&c->tell);
	return &CLIENT_GONE;
}

const struct client_state *
client_garbled(struct client *c, const char *what)
{
	struct verdict v = verdict_make(451, "4.5.0",
	    "%s: protocol error waiting for %s: %s", c->peer, c->state->name, what);
	return client_lost(c, &v, false);
}

const struct client_state *
client_refused(struct client *c)
{
	struct verdict v = reply_verdict(&c->reply);
	return client_lost(c, &v, true);
}

static struct verdict
cannot_connect(const struct client *c, const char *how)
{
	bool proxy = c->wish.proxy[0] != '\0';
	return verdict_make(451, "4.4.1", "connect to %s%s%s: %s", c->peer,
	    proxy ? ": proxy " : "", c->wish.proxy, how);
}

/* The connection itself failed. */
static void
broken(struct client *c, const char *how)
{
	struct verdict v;
	if (c->state == &CLIENT_HANDSHAKE) {
		tls_failed(c, how);
		return;
	}
	if (c->state->stage == STAGE_CONNECT)
		v = cannot_connect(c, how);
	else
		v = verdict_make(451, "4.4.2", "%s: %s while waiting for %s", c->peer,
		    how, c->state->name);
	client_lost(c, &v, false);
}

/* ---- replies */

static const struct client_state *
on_reply_idle(struct client *c)
{
	return reply_class(&c->reply) >= 4 ? client_refused(c)
					   : client_garbled(c, "an answer to nothing");
}

static void
on_reply(struct client *c)
{
	bool last = client_flying(c) <= 1; /* nothing more is awaited behind this one */
	const struct client_state *was = c->state;
	const struct client_state *next;
	if (c->reply.code == 421)
		next = client_refused(c);
	else if (transaction_early(c))
		next = client_garbled(c, "an answer before its command");
	else
		next = c->state->on_reply(c);
	reply_reset(&c->reply);
	client_enter(c, next);
	if (was == &CLIENT_DOT && next == &CLIENT_DOT)
		last = false; /* LMTP: the next recipient's may have come with it */
	if (last && c->io != NULL && io_input(c->io).n > 0)
		client_garbled(c, "an answer before its command");
}

static void
take_input(struct client *c)
{
	struct span line;
	if (c->io != NULL && c->state->stage == STAGE_CONNECT)
		socks_input(c);
	while (c->io != NULL && c->state->on_reply != NULL) {
		enum io_line got = io_line(c->io, CLIENT_REPLY_MAX, &line);
		if (got == IO_MORE)
			return;
		if (got != IO_LINE || reply_add_line(&c->reply, line) != OK)
			client_garbled(c, "not a reply");
		else if (c->reply.complete)
			on_reply(c);
	}
}

/* ---- events */

static void
on_timeout(struct client *c)
{
	if (c->state == &CLIENT_BODY && body_moved(c))
		client_enter(c, body_fill(c));
	else
		broken(c, "timed out");
}

static void
on_io(void *arg, enum io_event ev)
{
	struct client *c = arg;
	switch (ev) {
	case IO_CONNECTED:
		client_enter(
		    c, c->wish.proxy[0] != '\0' ? socks_start(c) : client_connected(c));
		break;
	case IO_INPUT: take_input(c); break;
	case IO_DRAINED:
		if (c->state == &CLIENT_BODY)
			client_enter(c, body_fill(c));
		break;
	case IO_EOF:
	case IO_ERROR:
		take_input(c); /* last words */
		if (c->io != NULL)
			broken(c, ev == IO_EOF ? "connection closed" : io_trouble(c->io));
		break;
	case IO_TIMEOUT: on_timeout(c); break;
	case IO_TLS: client_enter(c, tls_done(c)); break;
	}
}

/* Tell one thing; the owner may free the client in his callback. */
static void
on_tell(void *arg)
{
	struct client *c = arg;
	enum client_event ev = CLIENT_LOST;
	if (c->tell_sent)
		ev = CLIENT_SENT;
	else if (!c->tell_lost)
		ev = CLIENT_READY;
	c->tell_sent = false;
	if (ev == CLIENT_SENT && c->tell_lost)
		later_set(&c->tell);
	else if (ev == CLIENT_LOST && c->mail != NULL)
		give_up_mail(c, &c->verdict);
	c->fn(c->arg, ev);
}

/* ---- life */

/* "mx1.example.org[192.0.2.1]:25" */
static void
format_peer(struct client *c, const char *host, const struct net_addr *to)
{
	char ip[NET_TEXT];
	net_format_ip(to, ip);
	snprintf(c->peer, sizeof(c->peer), "%.255s[%s]:%u", host ? host : "", ip,
	    (unsigned)to->port);
}

/* Why there is not even a socket. */
static struct verdict
cannot_dial(const struct client *c, enum err e, const struct net_addr *from)
{
	char ip[NET_TEXT], how[NET_TEXT + 100];
	if (from == NULL)
		return cannot_connect(c, err_text(e));
	net_format_ip(from, ip);
	snprintf(how, sizeof(how), "%s from %s%s", err_text(e), ip,
	    e == ERR_UNREACHABLE ? ", which may be no address of this machine" : "");
	return cannot_connect(c, how);
}

static void
tap(struct client *c, const struct client_options *o)
{
	struct tap_facts f = {.side = TAP_OUTBOUND,
	    .who = o->to,
	    .name = o->host != NULL ? o->host : "",
	    .about = o->destination};
	if (c->log != NULL)
		io_tap(c->io, log_taps(c->log), &f);
}

static void
dial(struct client *c, const struct client_options *o)
{
	const struct net_addr *to = o->socks != NULL ? o->socks : &o->to, *from = o->from;
	int fd = world_dial(loop_world(c->loop), to, from);
	if (fd >= 0) {
		c->io = io_new_dialled(c->loop, fd, on_io, c);
		io_in_hand(c->io, o->message);
		tap(c, o);
		client_enter(c, &CONNECT);
		return;
	}
	c->verdict = cannot_dial(c, (enum err)fd, from);
	c->tell_lost = true;
	later_set(&c->tell);
}

const struct client_state *
client_connected(struct client *c)
{
	return c->wish.tls_implicit ? tls_handshake(c) : &CLIENT_GREETING;
}

static void
take_wishes(struct wish *w, const struct client_options *o)
{
	w->to = o->to;
	if (o->socks != NULL)
		net_format(o->socks, w->proxy);
	w->lmtp = o->lmtp;
	w->tls = o->tls;
	w->tls_implicit = o->tls_implicit;
	w->tls_client = o->tls_client;
	if (o->peer != NULL)
		tls_peer_copy(&w->peer, o->peer);
	if (o->user != NULL && o->secret != NULL) {
		w->user = mem_strdup(o->user);
		w->secret = mem_strdup(o->secret);
	}
	w->auth_in_clear = o->auth_in_clear;
}

struct client *
client_new(struct loop *l, const struct client_options *o, client_fn *fn, void *arg)
{
	CHECK(o->helo != NULL);
	struct client *c = NEW(struct client);
	c->loop = l;
	c->fn = fn;
	c->arg = arg;
	c->log = o->log;
	c->timeouts = *o->timeouts;
	c->helo = mem_strdup(o->helo);
	c->state = &CONNECT;
	later_init(&c->tell, l, on_tell, c);
	format_peer(c, o->host, &o->to);
	take_wishes(&c->wish, o);
	dial(c, o);
	return c;
}

void
client_set_owner(struct client *c, client_fn *fn, void *arg)
{
	c->fn = fn;
	c->arg = arg;
}

void
client_send(struct client *c, struct mail *mail)
{
	CHECK(c->mail == NULL && mail->rcpts > 0 && mail->message->content != NULL);
	for (size_t i = 0; i < mail->rcpts; i++) {
		mail->rcpt[i].verdict = (struct verdict){0};
		mail->rcpt[i].relayed = false;
	}
	c->whole = (struct verdict){0};
	c->replied = false;
	c->settled = 0;
	if (c->io == NULL) { /* it broke meanwhile; LOST is about to be told */
		CHECK(c->tell_lost);
		c->mail = mail;
		c->state = &CLIENT_MAIL;
		return;
	}
	CHECK(c->state == &CLIENT_IDLE);
	if (c->log != NULL && c->messages > 0)
		LOG(c->log, EV_NEXT_HOP, F_STR("host", c->peer),
		    F_STR("connection", "reused"));
	transaction_begin(c, mail);
}

void
client_quit(struct client **cp)
{
	struct client *c = *cp;
	if (c == NULL)
		return;
	if (c->io != NULL && c->state == &CLIENT_IDLE) {
		io_add_span(c->io, SPAN("QUIT\r\n"));
		io_finish(&c->io, c->timeouts.quit_ms);
	}
	client_free(cp);
}

void
client_free(struct client **cp)
{
	struct client *c = *cp;
	if (c == NULL)
		return;
	later_clear(&c->tell);
	if (c->io != NULL)
		io_free(&c->io);
	auth_wipe(c);
	tls_peer_clear(&c->wish.peer);
	buf_clear(&c->reply.text);
	buf_clear(&c->out);
	mem_free(&c->wish.user);
	mem_free(&c->tls);
	mem_free(&c->helo);
	mem_free(cp);
}

/* ---- what it knows */

const struct verdict *
client_verdict(const struct client *c)
{
	return &c->verdict;
}

enum client_stage
client_stage(const struct client *c)
{
	return c->state->stage;
}

bool
client_maybe_delivered(const struct client *c)
{
	return c->maybe_delivered;
}

bool
client_stale(const struct client *c)
{
	return c->stale;
}

const struct tls_info *
client_tls(const struct client *c)
{
	return c->tls;
}

const char *
client_mechanism(const struct client *c)
{
	return c->auth.done ? c->auth.mechanism : NULL;
}

unsigned
client_extensions(const struct client *c)
{
	return c->extensions;
}

uint64_t
client_size_limit(const struct client *c)
{
	return c->size_limit;
}

const char *
client_peer(const struct client *c)
{
	return c->peer;
}

unsigned
client_messages(const struct client *c)
{
	return c->messages;
}
