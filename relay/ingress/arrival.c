/* SPDX-License-Identifier: ISC */
/*
 * arrival - from the first byte of a message to its 250.  The reply is said
 * only when the spool has told that the message is on disk; until then the io
 * is paused.
 */
#include "relay/ingress/arrival.h"

#include "base/mem.h"
#include "relay/ingress/mailboxes.h"
#include "relay/ingress/trace.h"

/* A message may take an hour, and beyond it must have come at this rate. */
#define ALLOWANCE_MS HOUR_MS
#define OCTETS_PER_SECOND 4096

/* The rest of a message that is refused is read up to here, that the client may see the
 * answer. */
#define REFUSED_MAX (UINT64_C(1) << 30)

/* ---- bytes */

static void
on_room(void *arg)
{
	session_go_on(arg);
}

void
arrival_begin(struct session *s)
{
	const struct config *c = s->config;
	struct receive_options o = {
	    .spool = s->in->o.spool,
	    .loop = s->in->o.loop,
	    .budget = s->in->o.budget,
	    .hostname = span_str(c->policy.hostname),
	    .size_max = session_message_size(s),
	    .hops_max = c->server.hops,
	    .own = s->tx->own,
	    .binary = s->tx->binary,
	    .shape = mailboxes_wanted(s),
	    .on_room = on_room,
	    .arg = s,
	};
	s->tx->receive = receive_new(&o);
}

static bool
is_too_slow(const struct session *s)
{
	const struct receive *r = s->tx->receive;
	int64_t took_ms = instant_since(loop_now(s->in->o.loop), receive_began(r));
	int64_t due_ms = (int64_t)(receive_size(r) / OCTETS_PER_SECOND) * SECOND_MS;
	return took_ms > ALLOWANCE_MS + due_ms;
}

void
arrival_pace(struct session *s)
{
	const struct receive *r = s->tx->receive;
	if (is_too_slow(s))
		session_close(s, "4.4.2", "data comes too slowly");
	else if (receive_fault(r) != RECEIVE_FINE &&
		 receive_size(r) > REFUSED_MAX + session_message_size(s))
		session_close(s, "4.7.0", "too much data");
	else if (receive_busy(s->tx->receive))
		session_wait(s);
}

/* ---- the end */

static void
log_refused(struct session *s, const struct verdict *v)
{
	const struct message *m = s->tx->message;
	struct span to = m->rcpts > 0 ? m->rcpt[0].address : (struct span){0};
	session_log_refused(s, "message", v, NULL, m->sender, to);
}

void
arrival_refuse(struct session *s, const struct verdict *v)
{
	log_refused(s, v);
	session_refuse(s, v);
}

void
arrival_refuse_all(struct session *s, const struct verdict *v)
{
	log_refused(s, v);
	session_answer(s, v);
}

static struct verdict
verdict_of_spool(enum err e)
{
	if (e == ERR_FULL || e == ERR_DISK_FULL)
		return verdict_make(452, "4.3.1", "No room for this message now");
	return verdict_make(451, "4.3.0", "The message could not be stored");
}

static void
log_accepted(const struct session *s, const char *id)
{
	const struct transaction *t = s->tx;
	const struct message *m = t->message;
	char client[NET_TEXT];
	net_format_ip(&s->peer, client);
	LOG(s->in->o.log, EV_ACCEPTED, F_STR("id", id), F_ADDR("from", m->sender),
	    F_INT("size", m->size), F_INT("nrcpt", t->taken), F_STR("client", client),
	    F_SPAN("helo", m->helo), F_SPAN("proto", m->protocol),
	    F_SPAN("account", m->account),
	    F_STR("msgid", receive_header(t->receive)->message_id_text),
	    F_INT("ms", instant_since(loop_now(s->in->o.loop), t->began)));
}

static void
count_accepted(struct session *s)
{
	const struct message *m = s->tx->message;
	struct ingress_counters *n = s->in->o.counters;
	atomic_fetch_add_explicit(&n->messages, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&n->recipients, s->tx->taken, memory_order_relaxed);
	atomic_fetch_add_explicit(&n->bytes, m->size, memory_order_relaxed);
	s->accepted++;
	s->idle = 0;
}

static void
accepted(struct session *s)
{
	char id[SPOOL_ID_LEN + 1];
	spool_id_format(s->tx->message->id, id);
	count_accepted(s);
	log_accepted(s, id);
	mailboxes_log(s, id);
	struct verdict ok = verdict_make(250, "2.0.0", "Ok: queued as %s", id);
	session_answer(s, &ok);
}

static void
done(struct session *s)
{
	session_reset(s);
	session_enter(s, &session_command);
	if (s->in->draining && s->io != NULL)
		session_close(s, "4.3.2", "shutting down");
	if (s->account_gone)
		session_leave_account(s);
}

static void
on_stored(void *arg, enum err e)
{
	struct session *s = arg;
	if (e == OK) {
		accepted(s);
	} else {
		struct verdict v = verdict_of_spool(e);
		arrival_refuse_all(s, &v);
	}
	done(s);
	session_go_on(s);
}

/* What the session knows of the message, before the spool gets it.  False: nobody has
 * room for it. */
static bool
complete(struct session *s, struct verdict *why)
{
	struct transaction *t = s->tx;
	struct message *m = t->message;
	uint32_t seen = receive_flags(t->receive);
	m->flags |= seen;
	/* Asked for, but nothing in it needs it: let it go to hosts that have not got
	 * SMTPUTF8. */
	if (t->smtputf8 && (t->utf8_address || (seen & MESSAGE_8BIT) != 0))
		m->flags |= MESSAGE_SMTPUTF8;
	if (t->own)
		m->flags |= MESSAGE_OWN;
	if (t->binary)
		m->flags |= MESSAGE_BINARY;
	trace_complete(s, receive_header(t->receive));
	t->taken = m->rcpts;
	return mailboxes_settle(s, why);
}

/* By LMTP each has been logged with his own. */
static void
no_room(struct session *s, const struct verdict *v)
{
	if (session_is_lmtp(s))
		session_answer(s, v);
	else
		arrival_refuse_all(s, v);
	done(s);
}

void
arrival_end(struct session *s)
{
	struct transaction *t = s->tx;
	enum receive_fault fault = receive_end(t->receive);
	struct verdict v = receive_verdict(fault);
	if (fault == RECEIVE_FINE) {
		enum err e = spool_admit(s->in->o.spool, receive_size(t->receive));
		if (e == OK) {
			if (!complete(s, &v)) {
				no_room(s, &v);
				return;
			}
			session_wait(s);
			receive_store(t->receive, t->message, on_stored, s);
			return;
		}
		v = verdict_of_spool(e);
	}
	arrival_refuse_all(s, &v);
	done(s);
}
