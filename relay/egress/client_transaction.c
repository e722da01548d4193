/* SPDX-License-Identifier: ISC */
/*
 * client_transaction - MAIL, RCPT, DATA or BDAT: one message to some recipients.
 *
 * The transaction is a row of steps with two cursors on it: what has been sent,
 * and what has been answered.  With PIPELINING (RFC 2920) the first runs ahead
 * within a window; without, the window is one command.
 *
 *	0 RSET   only if the peer may still hold an earlier transaction
 *	1 MAIL
 *	2 ..     RCPT of recipient step - 2, unless it was refused here already
 *	n + 2    DATA, or the BDAT command with all of the content behind it
 *
 * A recipient's verdict is empty until his RCPT is answered; 2xx: accepted, and
 * replaced by the answer to the content; 4xx, 5xx: final.
 *
 * DATA is used even where CHUNKING is offered, except for content that cannot
 * be sent in lines (binary, or without an end of line at its end): 354 refuses
 * before the content is sent, stuffing costs next to nothing, and CHUNKING is
 * the corner with the most bugs in this trade's history, at the peers too.  For
 * the same reason BDAT waits for the answers to all RCPT: its octets go out
 * only if somebody was accepted.
 */
#include <inttypes.h>

#include "base/check.h"
#include "policy/address.h"
#include "relay/egress/client_private.h"

enum { STEP_RSET, STEP_MAIL, STEP_RCPT };

static const struct client_state *on_rset(struct client *c);
static const struct client_state *on_mail(struct client *c);
static const struct client_state *on_rcpt(struct client *c);
static const struct client_state *on_data(struct client *c);
static const struct client_state *on_lone_dot(struct client *c);

static const struct client_state RSET = {
    "the answer to RSET", on_rset, CLIENT_TIMEOUT(mail_ms), STAGE_MAIL};
const struct client_state CLIENT_MAIL = {
    "the answer to MAIL", on_mail, CLIENT_TIMEOUT(mail_ms), STAGE_MAIL};
static const struct client_state RCPT = {
    "the answer to RCPT", on_rcpt, CLIENT_TIMEOUT(rcpt_ms), STAGE_RCPT};
static const struct client_state DATA = {
    "the answer to DATA", on_data, CLIENT_TIMEOUT(data_ms), STAGE_DATA};
static const struct client_state LONE_DOT = {
    "the answer to an empty message", on_lone_dot, CLIENT_TIMEOUT(data_ms), STAGE_DATA};

/* ---- what can be known without asking */

static bool
is_ascii(struct span s)
{
	unsigned char all = 0;
	for (size_t i = 0; i < s.n; i++)
		all |= (unsigned char)s.p[i];
	return all < 0x80;
}

/* Nothing that could end a command or hide in it; stored bytes are not trusted blindly.
 */
static bool
is_clean(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

/* An xtext parameter as it may be passed on. */
static bool
is_parameter(struct span s)
{
	return s.n > 0 && is_clean(s) && is_ascii(s) && span_find(s, ' ') == s.n;
}

/* Where the domain begins; s.n if there is none. */
static size_t
domain_at(struct span s)
{
	size_t at = span_find_last(s, '@');
	return at < s.n ? at + 1 : s.n;
}

static bool
local_is_ascii(struct span address)
{
	return is_ascii(span_cut(address, 0, domain_at(address)));
}

/* The address in the form that this transaction can carry: as it is, or its domain in
 * A-labels. */
static enum err
add_address(const struct client *c, struct buf *out, struct span address)
{
	if (!is_clean(address))
		return ERR_SYNTAX;
	if (c->utf8 || is_ascii(address)) {
		buf_add_span(out, address);
		return OK;
	}
	size_t at = domain_at(address);
	struct span local = span_cut(address, 0, at);
	if (!is_ascii(local))
		return ERR_SYNTAX;
	buf_add_span(out, local);
	return domain_canonical(span_cut(address, at, address.n), out);
}

static bool
address_fits(struct client *c, struct span address)
{
	buf_reset(&c->out);
	return add_address(c, &c->out, address) == OK;
}

static struct span
sender_of(const struct mail *mail)
{
	const struct rewritten *r = mail->rewritten;
	return r != NULL && r->sender.p != NULL ? r->sender : mail->message->sender;
}

static struct span
address_of(const struct mail_rcpt *r)
{
	return r->address.p != NULL ? r->address : r->rcpt->address;
}

struct span
transaction_header(const struct client *c, uint64_t *instead_of)
{
	const struct rewritten *r = c->mail->rewritten;
	*instead_of = 0;
	if (r == NULL || r->header.p == NULL)
		return (struct span){0};
	CHECK(r->header_size <= content_size(c->mail->message->content));
	*instead_of = r->header_size;
	return r->header;
}

struct span
transaction_prefix(const struct client *c)
{
	const struct rewritten *r = c->mail->rewritten;
	return r != NULL && r->prefix.p != NULL ? r->prefix : c->mail->message->prefix;
}

static uint64_t
wire_size(const struct client *c)
{
	const struct message *m = c->mail->message;
	uint64_t instead_of;
	struct span header = transaction_header(c, &instead_of);
	return transaction_prefix(c).n + header.n + content_size(m->content) - instead_of;
}

static bool
wants_utf8(const struct mail *mail)
{
	const struct message *m = mail->message;
	if ((m->flags & MESSAGE_SMTPUTF8) != 0 || !local_is_ascii(sender_of(mail)))
		return true;
	for (size_t i = 0; i < mail->rcpts; i++)
		if (!local_is_ascii(address_of(&mail->rcpt[i])))
			return true;
	return false;
}

static struct verdict
lacking(const struct client *c, unsigned code, const char *status, const char *ext)
{
	return verdict_make(
	    code, status, "%s does not offer %s, which is needed", c->peer, ext);
}

/* Must the message go back without being tried, and why? */
static bool
refuse_message(struct client *c, struct verdict *why)
{
	const struct message *m = c->mail->message;
	bool binary = (m->flags & MESSAGE_BINARY) != 0;
	bool eight = !binary && (m->flags & MESSAGE_8BIT) != 0;
	struct span sender = sender_of(c->mail);
	bool utf8 = (m->flags & MESSAGE_SMTPUTF8) != 0 || !local_is_ascii(sender);
	uint64_t size = wire_size(c);

	if (utf8 && !c->utf8)
		*why = lacking(c, 550, "5.6.7", "SMTPUTF8");
	else if (binary && !client_has(c, EXT_BINARYMIME))
		*why = lacking(c, 554, "5.6.3", "BINARYMIME");
	else if (binary && !client_has(c, EXT_CHUNKING))
		*why = lacking(c, 554, "5.6.3", "CHUNKING");
	else if (eight && !client_has(c, EXT_8BITMIME))
		*why = lacking(c, 554, "5.6.3", "8BITMIME");
	else if (c->size_limit > 0 && size > c->size_limit)
		*why = verdict_make(552, "5.3.4",
		    "%s takes %" PRIu64 " octets; the message has %" PRIu64, c->peer,
		    c->size_limit, size);
	else if (!address_fits(c, sender))
		*why = verdict_make(
		    553, "5.1.7", "%s cannot be given the sender's address", c->peer);
	else
		return false;
	return true;
}

/* Refuse recipients whose address cannot be given; returns how many are left. */
static size_t
refuse_recipients(struct client *c)
{
	size_t left = 0;
	for (size_t i = 0; i < c->mail->rcpts; i++) {
		struct mail_rcpt *r = &c->mail->rcpt[i];
		struct span address = address_of(r);
		if (address_fits(c, address))
			left++;
		else if (is_clean(address) && !c->utf8 && !local_is_ascii(address))
			r->verdict = lacking(c, 553, "5.6.7", "SMTPUTF8");
		else
			r->verdict = verdict_make(
			    553, "5.1.3", "%s cannot be given this address", c->peer);
	}
	return left;
}

/* ---- commands */

static void
add_mail_parameters(struct client *c, struct buf *out)
{
	const struct message *m = c->mail->message;
	if (client_has(c, EXT_SIZE))
		buf_addf(out, " SIZE=%" PRIu64, wire_size(c));
	if ((m->flags & MESSAGE_BINARY) != 0)
		buf_add_str(out, " BODY=BINARYMIME");
	else if ((m->flags & MESSAGE_8BIT) != 0)
		buf_add_str(out, " BODY=8BITMIME");
	if (c->utf8)
		buf_add_str(out, " SMTPUTF8");
	if (!client_has(c, EXT_DSN))
		return;
	if ((m->flags & MESSAGE_RET_FULL) != 0)
		buf_add_str(out, " RET=FULL");
	else if ((m->flags & MESSAGE_RET_HDRS) != 0)
		buf_add_str(out, " RET=HDRS");
	if (is_parameter(m->envid)) {
		buf_add_str(out, " ENVID=");
		buf_add_span(out, m->envid);
	}
}

static void
add_notify(struct buf *out, unsigned notify)
{
	static const struct {
		unsigned bit;
		const char *word;
	} words[] = {{NOTIFY_SUCCESS, "SUCCESS"}, {NOTIFY_FAILURE, "FAILURE"},
	    {NOTIFY_DELAY, "DELAY"}};

	if ((notify & NOTIFY_NEVER) != 0) {
		buf_add_str(out, " NOTIFY=NEVER");
		return;
	}
	const char *before = " NOTIFY=";
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if ((notify & words[i].bit) == 0)
			continue;
		buf_add_str(out, before);
		buf_add_str(out, words[i].word);
		before = ",";
	}
}

static void
add_rcpt_parameters(const struct client *c, struct buf *out, const struct recipient *r)
{
	if (!client_has(c, EXT_DSN))
		return;
	add_notify(out, r->notify);
	if (is_parameter(r->orcpt)) {
		buf_add_str(out, " ORCPT=");
		buf_add_span(out, r->orcpt);
	}
}

static void
add_mail(struct client *c, struct buf *out)
{
	buf_add_str(out, "MAIL FROM:<");
	CHECK(add_address(c, out, sender_of(c->mail)) == OK);
	buf_add_char(out, '>');
	add_mail_parameters(c, out);
}

static void
add_rcpt(struct client *c, struct buf *out, const struct mail_rcpt *r)
{
	buf_add_str(out, "RCPT TO:<");
	CHECK(add_address(c, out, address_of(r)) == OK);
	buf_add_char(out, '>');
	add_rcpt_parameters(c, out, r->rcpt);
}

/* ---- steps */

static size_t
step_data(const struct client *c)
{
	return STEP_RCPT + c->mail->rcpts;
}

static bool
step_skipped(const struct client *c, size_t step)
{
	if (step == STEP_RSET)
		return !c->dirty;
	return step >= STEP_RCPT && step < step_data(c) &&
	       c->mail->rcpt[step - STEP_RCPT].verdict.code != 0;
}

static const struct client_state *
step_state(const struct client *c, size_t step)
{
	if (step == STEP_RSET)
		return &RSET;
	if (step == STEP_MAIL)
		return &CLIENT_MAIL;
	return step < step_data(c) ? &RCPT : &DATA;
}

static void
send_step(struct client *c, size_t step)
{
	struct buf *out = &c->out;
	buf_reset(out);
	if (step == STEP_RSET)
		buf_add_str(out, "RSET");
	else if (step == STEP_MAIL)
		add_mail(c, out);
	else if (step < step_data(c))
		add_rcpt(c, out, &c->mail->rcpt[step - STEP_RCPT]);
	else
		buf_add_str(out, "DATA");
	buf_add_str(out, "\r\n");
	CHECK(out->n <= UINT16_MAX);
	io_add_span(c->io, buf_span(out));
	c->length[c->flown++ % WINDOW_COMMANDS] = (uint16_t)out->n;
	c->octets += (uint32_t)out->n;
}

static bool
window_open(const struct client *c)
{
	if (!client_has(c, EXT_PIPELINING))
		return client_flying(c) == 0;
	return client_flying(c) < WINDOW_COMMANDS && c->octets < WINDOW_OCTETS;
}

/* Is it time for DATA?  Ahead of the answers, as long as one of them may accept somebody.
 */
static bool
data_due(const struct client *c)
{
	return !c->bdat && (client_flying(c) > 0 || c->accepted > 0);
}

/* Send what the window allows. */
static void
pump(struct client *c)
{
	while (c->whole.code == 0 && c->sent <= step_data(c) && window_open(c)) {
		if (c->sent == step_data(c) && !data_due(c))
			break;
		if (!step_skipped(c, c->sent))
			send_step(c, c->sent);
		c->sent++;
	}
	while (c->answered < c->sent && step_skipped(c, c->answered))
		c->answered++;
}

bool
transaction_early(const struct client *c)
{
	if (c->state == &CLIENT_BODY || c->state == &CLIENT_DOT)
		return false; /* they look for themselves */
	size_t behind = 0;    /* octets of commands behind the awaited one */
	if (client_flying(c) > 0)
		behind = c->octets - c->length[c->landed % WINDOW_COMMANDS];
	return io_queued(c->io) > behind;
}

/* The awaited step is answered. */
static void
land(struct client *c)
{
	c->replied = true;
	c->octets -= c->length[c->landed++ % WINDOW_COMMANDS];
	c->answered++;
}

static const struct client_state *
finish(struct client *c)
{
	transaction_end(c);
	return &CLIENT_IDLE;
}

static const struct client_state *
next(struct client *c)
{
	pump(c);
	if (client_flying(c) > 0)
		return step_state(c, c->answered);
	if (c->whole.code == 0 && c->bdat && c->accepted > 0)
		return body_start(c);
	return finish(c);
}

/* ---- answers */

static const struct client_state *
on_rset(struct client *c)
{
	if (reply_class(&c->reply) !=
	    2) /* nothing against this message is said by that */
		return client_garbled(c, "RSET is refused");
	land(c);
	c->dirty = false;
	return next(c);
}

static const struct client_state *
on_mail(struct client *c)
{
	if (reply_class(&c->reply) == 3)
		return client_garbled(c, "neither taken nor refused");
	land(c);
	if (reply_class(&c->reply) >= 4)
		c->whole = reply_verdict(&c->reply);
	else
		c->dirty = true;
	return next(c);
}

/* "552 too many recipients" is meant for now only (RFC 5321 4.5.3.1.10); "552 5.2.2 full"
 * is not it. */
static void
soften_552(struct verdict *v)
{
	if (v->code != 552 || (v->klass != 0 && !(v->subject == 5 && v->detail == 3)))
		return;
	v->code = 452;
	v->klass = 4;
	v->subject = 5;
	v->detail = 3;
}

static const struct client_state *
on_rcpt(struct client *c)
{
	if (reply_class(&c->reply) == 3)
		return client_garbled(c, "neither taken nor refused");
	struct mail_rcpt *r = &c->mail->rcpt[c->answered - STEP_RCPT];
	land(c);
	if (c->whole.code ==
	    0) { /* otherwise MAIL was refused, and this says nothing new */
		r->verdict = reply_verdict(&c->reply);
		soften_552(&r->verdict);
		c->accepted += verdict_ok(&r->verdict);
	}
	return next(c);
}

static const struct client_state *
on_data(struct client *c)
{
	bool nobody = c->whole.code != 0 || c->accepted == 0;
	if (reply_class(&c->reply) == 2 ||
	    (reply_class(&c->reply) == 3 && c->reply.code != 354))
		return client_garbled(c, "no 354");
	land(c);
	if (c->reply.code == 354 && nobody && c->wish.lmtp) /* no answer to wait for */
		return client_garbled(c, "354 for nobody");
	if (c->reply.code == 354 && nobody) {
		io_add_span(c->io, SPAN(".\r\n"));
		return &LONE_DOT;
	}
	if (c->reply.code == 354)
		return body_start(c);
	if (!nobody)
		c->whole = reply_verdict(&c->reply);
	return finish(c);
}

static const struct client_state *
on_lone_dot(struct client *c)
{
	return finish(c);
}

/* ---- beginning and end */

void
transaction_begin(struct client *c, struct mail *mail)
{
	c->mail = mail;
	io_in_hand(c->io, mail->message->id); /* and it stays, for what follows the dot */
	c->flown = c->landed = 0;
	c->octets = 0;
	c->accepted = c->settled = 0;
	c->bdat = client_has(c, EXT_CHUNKING) &&
		  (mail->message->flags & (MESSAGE_BINARY | MESSAGE_NO_CRLF)) != 0;
	c->utf8 = client_has(c, EXT_SMTPUTF8) && wants_utf8(mail);
	c->sent = c->answered = STEP_RSET;
	if (refuse_message(c, &c->whole) || refuse_recipients(c) == 0) {
		transaction_end(c);
		return;
	}
	client_enter(c, next(c));
}

static void
take_final(const struct client *c, struct mail_rcpt *r, const struct verdict *v)
{
	r->verdict = *v;
	r->relayed = verdict_ok(v) && !client_has(c, EXT_DSN) &&
		     (r->rcpt->notify & NOTIFY_SUCCESS) != 0;
}

static size_t
next_accepted(const struct client *c, size_t from)
{
	while (from < c->mail->rcpts && !verdict_ok(&c->mail->rcpt[from].verdict))
		from++;
	return from;
}

bool
transaction_settle(struct client *c, const struct verdict *v)
{
	size_t i = next_accepted(c, c->settled);
	CHECK(i < c->mail->rcpts);
	take_final(c, &c->mail->rcpt[i], v);
	c->settled = i + 1;
	if (next_accepted(c, c->settled) < c->mail->rcpts)
		return true;
	c->settled = c->mail->rcpts;
	return false;
}

void
transaction_end(struct client *c)
{
	struct mail *m = c->mail;
	for (size_t i = c->settled; i < m->rcpts; i++) {
		struct mail_rcpt *r = &m->rcpt[i];
		if (r->verdict.code != 0 && !verdict_ok(&r->verdict))
			continue;
		CHECK(c->whole.code != 0);
		take_final(c, r, &c->whole);
	}
	c->mail = NULL;
	c->messages++;
	c->tell_sent = true;
	later_set(&c->tell);
}
