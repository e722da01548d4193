/* SPDX-License-Identifier: ISC */
/*
 * mailbox_rename - a mailbox gets another name, and all below it, with their annotations;
 * what it is called now and what would be there then is looked at before anything is
 * written.  Subscriptions stay where they are (RFC 9051 6.3.6).
 */
#include <string.h>

#include "base/fault.h"
#include "spool/mailbox_change_private.h"

enum err
rename_mailbox(struct batch *b, struct span owner, struct span from, struct span to)
{
	struct name_record r, there;
	struct mbox m;
	enum err e = get_name(b, owner, from, &r);
	if (e != OK || r.number == 0)
		return e;
	e = get_name(b, owner, to, &there);
	if (e == ERR_NOT_FOUND)
		e = OK;
	if (e == OK)
		e = mbox_open(b, owner, from, false, &m);
	if (e != OK)
		return e;
	there.number = r.number; /* subscriptions stay where they are */
	r.number = 0;
	e = put_name(b, owner, to, &there);
	if (e == OK)
		e = put_name(b, owner, from, &r);
	if (e == OK)
		e = move_notes(b, owner, from, to);
	span_copy(to, m.name, sizeof(m.name));
	event_mailbox(b, MAILBOX_RENAMED, &m, 0, to);
	return e == OK ? mbox_close(b, &m) : e;
}

/* May it?  more: how many rows of names there are more then. */
static enum err
look_at_one(
    struct batch *b, struct span owner, struct span from, struct span to, ptrdiff_t *more)
{
	struct name_record r, there;
	enum err e = get_name(b, owner, from, &r);
	if (e != OK)
		return e;
	e = get_name(b, owner, to, &there);
	if (e == OK && there.number != 0)
		return ERR_EXISTS;
	if (e != OK && e != ERR_NOT_FOUND)
		return e;
	*more += e == ERR_NOT_FOUND; /* no subscription waits there */
	*more -= !r.subscribed;      /* none stays here */
	return notes_fit(b, owner, from, to);
}

static bool
is_below(struct span name, struct span parent)
{
	return name.n > parent.n && name.p[parent.n] == '/' && span_starts(name, parent);
}

/* The mailboxes below q->name are looked at (more), or renamed (more NULL). */
static enum err
rename_below(struct batch *b, const struct mailbox_request *q, ptrdiff_t *more)
{
	char name[MAILBOX_NAME_MAX + 1] = "", to[2 * MAILBOX_NAME_MAX + 1];
	struct name_record r;
	enum err e = OK;
	while (e == OK && (e = next_name(b, q->owner, span_str(name), name, &r)) == OK) {
		struct span from = span_str(name), rest;
		if (!is_below(from, q->name) || r.number == 0)
			continue;
		rest = span_cut(from, q->name.n, from.n);
		memcpy(to, q->to.p, q->to.n);
		memcpy(to + q->to.n, rest.p, rest.n);
		struct span target = {to, q->to.n + rest.n};
		if (target.n > MAILBOX_NAME_MAX)
			return ERR_RANGE;
		e = more != NULL ? look_at_one(b, q->owner, from, target, more)
				 : rename_mailbox(b, q->owner, from, target);
	}
	return e == ERR_NOT_FOUND ? OK : e;
}

static enum err
look_at_tree(struct batch *b, const struct mailbox_request *q)
{
	struct name_record r;
	size_t above = 0;
	ptrdiff_t more = 0;
	enum err e = get_name(b, q->owner, q->name, &r);
	if (e == OK && r.number == 0)
		e = ERR_NOT_FOUND;
	if (e == OK)
		e = look_at_one(b, q->owner, q->name, q->to, &more);
	if (e == OK)
		e = rename_below(b, q, &more);
	if (e == OK)
		e = count_missing(b, q->owner, q->to, true, &above);
	more += (ptrdiff_t)above;
	return e == OK && more > 0 ? room_for(b, q->owner, (size_t)more) : e;
}

enum err
rename_mailboxes(struct batch *b, const struct mailbox_request *q)
{
	if (!new_name_ok(q->to) || is_below(q->to, q->name))
		return ERR_RANGE;
	enum err e = look_at_tree(b, q);
	if (e == OK)
		e = make_above(b, q->owner, q->to);
	if (e == OK)
		e = rename_mailbox(b, q->owner, q->name, q->to);
	(void)FAULT("spool.mailbox.renamed");
	return e == OK ? rename_below(b, q, NULL) : e;
}
