/* SPDX-License-Identifier: ISC */
/*
 * mail_store - flags and keywords.  A request has keywords by numbers of its own; which
 * bits these are in the mailbox is looked up, and what is missing added, before anything
 * is written.
 */
#include "base/mem.h"
#include "spool/mail_change_private.h"

/* ---- keywords */

/* Keywords that something is to have, by number. */
static uint64_t
wanted_keywords(const struct mail_change *c)
{
	uint64_t wanted = 0;
	for (size_t i = 0; i < c->acts; i++) {
		if (c->act[i].kind == ACT_STORE && c->act[i].how != MAIL_STORE_REMOVE)
			wanted |= c->act[i].keywords;
	}
	for (size_t i = 0; i < c->appends; i++)
		wanted |= c->append[i].how.keywords;
	return wanted;
}

enum err
find_keywords(struct applying *a)
{
	uint64_t wanted = wanted_keywords(a->c);
	size_t new = 0;
	for (size_t i = 0; i < a->c->keywords; i++) {
		struct span name = span_str(a->c->keyword[i]);
		a->bit[i] = mbox_keyword(a->b, &a->box, name, false);
		if (a->bit[i] < 0 && wanted >> i & 1) {
			if (name.n == 0 || name.n > MAILBOX_KEYWORD_MAX)
				return ERR_RANGE;
			new ++;
		}
	}
	if (new > 0 && mbox_keyword_count(&a->box) + new > MAILBOX_KEYWORDS_MAX)
		return ERR_FULL;
	for (size_t i = 0; new > 0 && i < a->c->keywords; i++) {
		if (a->bit[i] < 0 && wanted >> i & 1)
			a->bit[i] =
			    mbox_keyword(a->b, &a->box, span_str(a->c->keyword[i]), true);
	}
	return OK;
}

uint64_t
map_keywords(const struct applying *a, uint64_t numbers)
{
	uint64_t bits = 0;
	for (size_t i = 0; i < a->c->keywords; i++) {
		if (numbers >> i & 1 && a->bit[i] >= 0)
			bits |= UINT64_C(1) << a->bit[i];
	}
	return bits;
}

/* ---- flags */

void
mail_change_note_modified(struct mail_change *c, uint32_t uid)
{
	if (c->modifieds == c->modified_cap) {
		c->modified_cap = c->modified_cap ? c->modified_cap * 2 : 16;
		c->modified =
		    mem_resize(c->modified, c->modified_cap, sizeof(*c->modified));
	}
	c->modified[c->modifieds++] = uid;
}

static void
new_flags(const struct applying *a, const struct mail_act *act, struct mail_record *mail)
{
	uint64_t bits = map_keywords(a, act->keywords);
	if (act->kind == ACT_FLAGS) {
		mail->flags = (mail->flags & ~act->clear) | act->set;
		return;
	}
	switch (act->how) {
	case MAIL_STORE_ADD:
		mail->flags |= act->set;
		mail->keywords |= bits;
		break;
	case MAIL_STORE_REMOVE:
		mail->flags &= ~act->set;
		mail->keywords &= ~bits;
		break;
	case MAIL_STORE_SET:
		mail->flags = (mail->flags & ~(uint32_t)MAIL_FLAGS_IMAP) | act->set;
		mail->keywords = bits;
		break;
	}
}

enum err
store_flags(struct applying *a, const struct mail_act *act)
{
	struct mail_record old = {0};
	bool damaged;
	enum err e = read_mail_row(a, act->uid, &old, &damaged);
	if (e != OK || damaged)
		return e == ERR_NOT_FOUND ? OK : e;
	bool by_us = a->box.touched && old.modseq == a->box.record.modseq;
	if (act->kind == ACT_STORE && old.modseq > a->c->unless && !by_us) {
		mail_change_note_modified(a->c, act->uid);
		return OK;
	}
	struct mail_record mail = old;
	new_flags(a, act, &mail);
	if (mail.flags == old.flags && mail.keywords == old.keywords)
		return OK;
	if ((mail.flags & MAIL_PICKED) && !(old.flags & MAIL_PICKED))
		mail.picked = world_wall(a->b->spool->world);
	mail.modseq = mbox_touch(&a->box);
	mbox_count(&a->box, &old, &mail);
	event_mail(a->b, MAIL_FLAGS, &a->box, act->uid, &mail);
	a->changed++;
	return mbox_put_mail(a->b, &a->box, act->uid, &mail);
}
