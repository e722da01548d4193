/* SPDX-License-Identifier: ISC */
/*
 * trace - the prefix of a message: our Received field; for our own clients the
 * fields that every message must have and theirs has not (RFC 6409 8); and an
 * empty line where the content begins with its body, so that no line of it is
 * read as a field.  A Return-Path that came along stays: content is not changed.
 */
#include "relay/ingress/trace.h"

#include <stdio.h>

#include "base/mem.h"
#include "relay/ingress/auth.h"
#include "relay/ingress/local.h"

#define PREFIX_MAX 8192
#define ID_PLACEHOLDER "0000000000000" /* SPOOL_ID_LEN; the spool writes the real one */

/* RFC 3848, RFC 6531 4.3: S with TLS, A for who has signed in. */
static struct span
protocol(const struct session *s)
{
	static const char *const names[4][4] = {
	    {"ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"},
	    {"UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"},
	    {"LMTP", "LMTPA", "LMTPS", "LMTPSA"},
	    {"UTF8LMTP", "UTF8LMTPA", "UTF8LMTPS", "UTF8LMTPSA"},
	};
	if (s->local)
		return SPAN("local");
	if (s->hello != HELLO_EHLO)
		return SPAN("SMTP");
	unsigned tls = io_tls(s->io) != NULL ? 2 : 0;
	unsigned lmtp = session_is_lmtp(s) ? 2 : 0;
	return span_str(names[lmtp + s->tx->smtputf8][tls + auth_has_name(s)]);
}

static void
add_received(struct session *s, struct buf *b)
{
	struct message *m = s->tx->message;
	char literal[NET_TEXT];
	net_format_literal(&s->peer, literal);
	struct buf tls;
	buf_init(&tls, 0);
	if (io_tls(s->io) != NULL)
		tls_describe(io_tls(s->io), &tls);
	struct received_facts f = {
	    .helo = m->helo,
	    .client = span_str(literal),
	    .by = span_str(s->config->policy.hostname),
	    .protocol = m->protocol,
	    .id = SPAN(ID_PLACEHOLDER),
	    .tls = buf_span(&tls),
	    .local = s->local,
	    .user = s->local ? local_user(s->card) : (struct span){0},
	    .uid = s->uid,
	    .rcpt = transaction_named(s->tx) == 1 ? m->rcpt[0].address : (struct span){0},
	    .when = m->arrival,
	};
	m->id_at = header_add_received(b, &f);
	buf_clear(&tls);
}

static void
add_from(const struct session *s, struct buf *b)
{
	struct span sender = s->tx->message->sender;
	if (sender.n > 0) {
		header_add_from(b, sender);
		return;
	}
	struct buf postmaster;
	buf_init(&postmaster, 0);
	session_add_postmaster(s, &postmaster);
	header_add_from(b, buf_span(&postmaster));
	buf_clear(&postmaster);
}

static void
add_message_id(const struct session *s, struct buf *b)
{
	char unique[48];
	uint64_t chance = world_random_u64(loop_world(s->in->o.loop));
	int n = snprintf(unique, sizeof(unique), "%llx.%016llx",
	    (unsigned long long)s->tx->message->arrival.ms, (unsigned long long)chance);
	header_add_message_id(
	    b, (struct span){unique, (size_t)n}, span_str(s->config->policy.hostname));
}

static void
add_missing(const struct session *s, const struct header_scan *h, struct buf *b)
{
	if (!h->date)
		header_add_date(b, s->tx->message->arrival);
	if (!h->message_id)
		add_message_id(s, b);
	if (!h->from)
		add_from(s, b);
}

void
trace_complete(struct session *s, const struct header_scan *h)
{
	struct message *m = s->tx->message;
	char client[NET_TEXT];
	net_format_ip(&s->peer, client);
	m->arrival = world_wall(loop_world(s->in->o.loop));
	m->client = message_keep(m, span_str(client));
	m->helo = message_keep(m, span_str(s->helo));
	m->protocol = message_keep(m, protocol(s));
	m->listener = message_keep(m, span_str(s->listener_name));
	m->message_id = message_keep(m, span_str(h->message_id_text));
	if (s->card != NULL)
		m->account = message_keep(m, span_str(s->card->name));

	struct buf b;
	buf_init(&b, PREFIX_MAX);
	add_received(s, &b);
	if (s->tx->own)
		add_missing(s, h, &b);
	if (h->malformed && h->fields == 0)
		buf_add_span(&b, SPAN("\r\n"));
	m->prefix = message_keep(m, buf_span(&b));
	buf_clear(&b);
}
