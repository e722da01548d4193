/* SPDX-License-Identifier: ISC */
/*
 * verb_bdat - BDAT (RFC 3030): so many octets behind the command, whatever they
 * are.  Whether a chunk is taken or refused, its octets are never commands: a
 * refusal is said when they have been taken away, and where their number cannot
 * be believed, or is beyond reason, the connection ends.
 *
 * A refused chunk spoils the message: further chunks are read and refused up to
 * LAST or RSET.
 */
#include "base/mem.h"
#include "relay/ingress/arrival.h"
#include "relay/ingress/verbs.h"

#define SKIP_MAX (UINT64_C(256) << 20) /* a refused chunk of more is not read */

/* What is wrong with this chunk before any of it is there: code 0, nothing. */
static struct verdict
refusal(const struct session *s, const struct bdat_command *c)
{
	const struct transaction *t = s->tx;
	if (t == NULL)
		return verdict_make(503, "5.5.1", "Send MAIL first");
	if (t->chunk_refused)
		return verdict_make(
		    503, "5.5.1", "An earlier chunk was refused; send RSET");
	if (t->message->rcpts == 0 && t->rcpts_refused > 0 && !session_is_lmtp(s))
		return verdict_make(554, "5.5.1", "No valid recipients");
	if (t->message->rcpts == 0)
		return verdict_make(503, "5.5.1", "Send RCPT first");
	uint64_t before = t->receive ? receive_size(t->receive) : 0;
	uint64_t max = s->config->server.message_size;
	if (max != 0 && (c->size > max || before > max - c->size))
		return receive_verdict(RECEIVE_TOO_LARGE);
	if (spool_admit(s->in->o.spool, before + c->size) != OK)
		return verdict_make(452, "4.3.1", "No room for mail now");
	return (struct verdict){0};
}

/* The message comes to nothing. */
static void
spoil(struct session *s, bool last)
{
	session_enter(s, &session_command);
	if (s->tx == NULL || s->io == NULL)
		return;
	s->tx->chunk_refused = true;
	receive_free(&s->tx->receive);
	if (last)
		session_reset(s);
}

static void
chunk_refused(struct session *s, const struct verdict *v, bool last)
{
	if (s->tx == NULL)
		session_refuse(s, v);
	else if (last)
		arrival_refuse_all(s, v);
	else
		arrival_refuse(s, v);
	spoil(s, last);
}

/* All octets of the chunk are there. */
static void
chunk_done(struct session *s)
{
	struct chunk c = *s->chunk;
	mem_free(&s->chunk);
	if (c.why.code != 0) {
		chunk_refused(s, &c.why, c.last);
		return;
	}
	enum receive_fault fault = receive_fault(s->tx->receive);
	if (fault != RECEIVE_FINE) {
		struct verdict v = receive_verdict(fault);
		chunk_refused(s, &v, c.last);
	} else if (c.last) {
		arrival_end(s);
	} else {
		session_say(s, "250 2.0.0 %llu octets", (unsigned long long)c.size);
		session_enter(s, &session_command);
	}
}

static void
chunk_begin(struct session *s, const struct bdat_command *b, const struct verdict *why)
{
	s->chunk = NEW(struct chunk);
	*s->chunk = (struct chunk){b->size, b->size, b->last, *why};
	session_enter(s, why->code != 0 ? &session_skip : &session_chunk);
	if (b->size == 0)
		chunk_done(s);
}

bool
check_bdat(struct session *s, struct span args, union command *c)
{
	struct verdict why;
	bool well_formed = command_bdat(args, &c->bdat, &why);
	if (well_formed)
		why = refusal(s, &c->bdat);
	if (why.code == 0)
		return true;
	if (!c->bdat.trusted || c->bdat.size > SKIP_MAX) {
		session_refuse(s, &why);
		session_end(s, "the size of a chunk cannot be believed");
	} else {
		chunk_begin(s, &c->bdat, &why);
	}
	return false;
}

void
proceed_bdat(struct session *s, const union command *c)
{
	if (s->tx->receive == NULL)
		arrival_begin(s);
	struct verdict none = {0};
	chunk_begin(s, &c->bdat, &none);
}

/* The part of the chunk that is buffered. */
static struct span
chunk_input(const struct session *s)
{
	struct span in = io_input(s->io);
	return in.n > s->chunk->left ? span_cut(in, 0, (size_t)s->chunk->left) : in;
}

static bool
take_chunk(struct session *s)
{
	struct span in = chunk_input(s);
	if (in.n == 0)
		return false;
	receive_chunk(s->tx->receive, in);
	io_consume(s->io, in.n);
	s->chunk->left -= in.n;
	arrival_pace(s);
	if (s->io != NULL && s->chunk->left == 0)
		chunk_done(s);
	return true;
}

const struct session_state session_chunk = {"chunk", take_chunk};

static bool
take_skip(struct session *s)
{
	struct span in = chunk_input(s);
	if (in.n == 0)
		return false;
	io_consume(s->io, in.n);
	s->chunk->left -= in.n;
	if (s->chunk->left == 0)
		chunk_done(s);
	return true;
}

const struct session_state session_skip = {"skip", take_skip};
