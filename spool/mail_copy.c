/* SPDX-License-Identifier: ISC */
/*
 * mail_copy - mails that come into a mailbox by their owner's hand: copied or moved from
 * another, or appended.  A copy holds the same content; what is moved hands its hold on.
 */
#include "base/fault.h"
#include "base/mem.h"
#include "spool/mail_change_private.h"

static void
note_pair(struct mail_change *c, uint32_t from, uint32_t to)
{
	if (c->pairs == c->pair_cap) {
		c->pair_cap = c->pair_cap ? c->pair_cap * 2 : 16;
		c->from = mem_resize(c->from, c->pair_cap, sizeof(*c->from));
		c->to = mem_resize(c->to, c->pair_cap, sizeof(*c->to));
	}
	c->from[c->pairs] = from;
	c->to[c->pairs++] = to;
}

/* Looked up once for all mails: a mailbox may have many keywords, and many mails. */
static int
keyword_there(struct applying *a, unsigned bit)
{
	uint64_t mask = UINT64_C(1) << bit;
	if (!(a->asked & mask)) {
		struct span name = mbox_keyword_name(&a->box, bit);
		a->asked |= mask;
		a->there[bit] =
		    name.p != NULL ? mbox_keyword(a->b, a->to, name, true) : -1;
	}
	return a->there[bit];
}

/* The same names may have other bits there; what there is no room for is left out. */
static uint64_t
keywords_there(struct applying *a, uint64_t bits)
{
	uint64_t there = 0;
	if (a->to == &a->box)
		return bits;
	for (unsigned i = 0; i < MAILBOX_KEYWORDS_MAX && bits >> i != 0; i++) {
		int bit = bits >> i & 1 ? keyword_there(a, i) : -1;
		if (bit >= 0)
			there |= UINT64_C(1) << bit;
	}
	return there;
}

/* A new mail in the target. */
static enum err
put_new(struct applying *a, struct mail_record *mail, uint32_t *uid)
{
	struct batch *b = a->b;
	struct wall now = world_wall(b->spool->world);
	b->last_id = id_next(b->last_id, now, b->spool->node);
	mail->id = b->last_id;
	if (mail->origin == 0)
		mail->origin = mail->id;
	mail->arrival = now;
	if (mail->internal.ms == 0)
		mail->internal = now;
	mail->modseq = mbox_touch(a->to);
	*uid = a->to->record.uidnext++;
	mbox_count(a->to, NULL, mail);
	b->bytes += MAIL_OVERHEAD;
	event_mail(b, MAIL_CAME, a->to, *uid, mail);
	a->changed++;
	return mbox_put_mail(b, a->to, *uid, mail);
}

enum err
copy_mail(struct applying *a, const struct mail_act *act)
{
	struct mail_record old = {0};
	bool damaged;
	uint32_t uid = 0;
	enum err e = read_mail_row(a, act->uid, &old, &damaged);
	if (e != OK || damaged) /* gone meanwhile; a damaged one holds nothing to copy */
		return e == ERR_NOT_FOUND ? OK : e;
	struct mail_record mail = old;
	mail.keywords = keywords_there(a, old.keywords);
	mail.picked = (struct wall){0};
	mail.flags &= ~(uint32_t)MAIL_PICKED;
	e = put_new(a, &mail, &uid);
	if (e == OK && act->kind == ACT_COPY)
		e = hold_message(a->b, old.message, 1);
	if (e == OK && act->kind == ACT_MOVE) {
		a->deleted++;
		e = delete_mail(a, act->uid, &old, false);
	}
	note_pair(a->c, act->uid, uid);
	return e;
}

/* ---- appended */

enum err
check_appends(const struct mail_change *c)
{
	for (size_t i = 0; i < c->appends; i++) {
		const struct message *m = c->append[i].message;
		if (m->rcpts + m->drops > 0 || !content_storable(m))
			return ERR_RANGE; /* it comes into this mailbox, and nowhere else
					   */
	}
	return OK;
}

static uint64_t
append_size(const struct message *m)
{
	return m->prefix.n + m->size + (m->flags & MESSAGE_NO_CRLF ? 2 : 0);
}

static enum err
append_mail(struct applying *a, const struct append_one *one)
{
	struct message *m = one->message;
	uint32_t uid = 0;
	enum err e = accept_message(a->b, m, 0);
	struct mail_record mail = {
	    .message = m->id,
	    .size = append_size(m),
	    .flags = one->how.flags & MAIL_FLAGS_IMAP,
	    .keywords = keywords_there(a, map_keywords(a, one->how.keywords)),
	    .internal = one->how.internal,
	    .zone = one->how.zone,
	};
	if (e == OK)
		e = hold_message(a->b, m->id, 1);
	if (e == OK)
		e = put_new(a, &mail, &uid);
	note_pair(a->c, 0, uid);
	(void)FAULT("spool.mail.appended");
	return e;
}

enum err
append_mails(struct applying *a)
{
	enum err e = OK;
	for (size_t i = 0; i < a->c->appends && e == OK; i++)
		e = append_mail(a, &a->c->append[i]);
	return e;
}

/* ---- quota: looked at before anything is written */

static enum err
sum_new(struct applying *a, uint64_t *messages, uint64_t *octets)
{
	const struct mail_change *c = a->c;
	*messages = c->appends;
	*octets = 0;
	for (size_t i = 0; i < c->appends; i++)
		*octets += append_size(c->append[i].message);
	for (size_t i = 0; i < c->acts; i++) {
		struct mail_record mail = {0};
		bool damaged;
		if (c->act[i].kind != ACT_COPY)
			continue; /* what is moved is held already */
		enum err e = read_mail_row(a, c->act[i].uid, &mail, &damaged);
		if (e == ERR_NOT_FOUND || (e == OK && damaged))
			continue;
		if (e != OK)
			return e;
		*messages += 1;
		*octets += mail.size;
	}
	return OK;
}

enum err
check_quota(struct applying *a)
{
	struct mail_change *c = a->c;
	uint64_t messages, octets;
	struct owner_record o;
	if (a->to == NULL || (c->quota_messages == 0 && c->quota_octets == 0))
		return OK;
	enum err e = sum_new(a, &messages, &octets);
	if (e != OK || messages == 0)
		return e;
	e = read_owner(a->b, span_str(a->to->owner_name), &o);
	if (e != OK)
		return e;
	bool many = c->quota_messages > 0 && o.messages + messages > c->quota_messages;
	bool much = c->quota_octets > 0 && o.octets + octets > c->quota_octets;
	c->over_quota = many || much;
	return c->over_quota ? ERR_FULL : OK;
}
