/* SPDX-License-Identifier: ISC */
/*
 * update - what has changed since the client was told last (RFC 9051 7.5).  The view
 * knows the mailbox as it is, the session what it has told; here is the difference, said
 * at moments that the protocol allows: deletions change the numbers of all mails behind,
 * so they wait while a command that speaks in numbers runs.
 *
 * If the latest changes are all in the view's ring they cost one step each; otherwise the
 * whole view is walked once.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "relay/imap/session.h"
#include "spool/tray.h"

struct telling {
	struct imap *s;
	struct selected *x;
	struct view *v;
	struct buf out;
	uint32_t last; /* mails up to here had been told of before */
};

static void
say(struct telling *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
say(struct telling *t, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	buf_addv(&t->out, fmt, ap);
	va_end(ap);
}

/* ---- keywords */

void
update_add_flag_list(
    const struct imap *s, const struct view *v, bool permanent, struct buf *out)
{
	bool fixed = s->selected != NULL && s->selected->read_only;
	buf_add_str(out, "(");
	if (!permanent || !fixed) {
		buf_add_str(out, "\\Answered \\Flagged \\Deleted \\Seen \\Draft");
		bool fixed_words = permanent && tray_is(v->number);
		for (size_t i = 0; i < v->keywords && !fixed_words; i++)
			buf_addf(out, " %s", v->keyword[i]);
		if (permanent && !fixed_words && v->keywords < MAILBOX_KEYWORDS_MAX)
			buf_add_str(out, " \\*");
	}
	buf_add_str(out, ")");
}

static void
tell_keywords(struct telling *t)
{
	if (t->x->keywords == t->v->keywords)
		return;
	t->x->keywords = t->v->keywords;
	say(t, "* FLAGS ");
	update_add_flag_list(t->s, t->v, false, &t->out);
	say(t, "\r\n* OK [PERMANENTFLAGS ");
	update_add_flag_list(t->s, t->v, true, &t->out);
	say(t, "] there are new keywords\r\n");
}

/* ---- deletions */

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static void
gone_of_ring(const struct telling *t, struct set *gone)
{
	uint32_t uid[VIEW_CHANGES] = {0};
	size_t n = 0;
	uint64_t first = t->v->changes > VIEW_CHANGES ? t->v->changes - VIEW_CHANGES : 0;
	for (uint64_t i = first; i < t->v->changes; i++) {
		const struct view_change *c = &t->v->change[i % VIEW_CHANGES];
		if (c->gone && c->modseq > t->x->told_gone &&
		    numbers_of(&t->x->numbers, c->uid) != 0)
			uid[n++] = c->uid;
	}
	qsort(uid, n, sizeof(uid[0]), by_number);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || uid[i] != uid[i - 1])
			set_add(gone, uid[i]);
	}
}

static void
gone_of_all(const struct telling *t, struct set *gone)
{
	size_t k = 0;
	for (uint32_t n = 1; n <= t->x->numbers.count; n++) {
		uint32_t uid = numbers_uid(&t->x->numbers, n);
		while (k < t->v->marks && t->v->mark[k].uid < uid)
			k++;
		if (k == t->v->marks || t->v->mark[k].uid != uid)
			set_add(gone, uid);
	}
}

static void
say_expunged(void *arg, uint32_t number, uint32_t uid)
{
	(void)uid;
	say(arg, "* %u EXPUNGE\r\n", number);
}

static void
tell_gone(struct telling *t)
{
	struct set gone = {0};
	bool vanished = t->s->qresync || t->s->uidonly;
	if (t->x->told_gone == t->v->modseq)
		return;
	if (t->x->told_gone >= t->v->known)
		gone_of_ring(t, &gone);
	else
		gone_of_all(t, &gone);
	t->x->told_gone = t->v->modseq;
	if (gone.n == 0)
		return;
	if (vanished) {
		say(t, "* VANISHED ");
		set_write(&gone, &t->out);
		say(t, "\r\n");
	}
	numbers_remove(&t->x->numbers, &gone, vanished ? NULL : say_expunged, t);
	set_remove(&t->x->recent, &gone);
	set_remove(&t->x->saved, &gone);
	set_clear(&gone);
}

/* ---- arrivals */

/* Who is told first has it as \Recent, nobody else (RFC 3501 2.3.2). */
static void
claim(struct telling *t, uint32_t uid)
{
	if (t->s->rev2 || uid < t->v->recent)
		return;
	set_add(&t->x->recent, uid);
	if (t->x->read_only)
		return;
	t->v->recent = uid + 1;
	t->x->claimed = true;
}

static void
tell_new(struct telling *t)
{
	uint32_t before = t->x->numbers.count;
	for (size_t i = view_from(t->v, t->x->last + 1); i < t->v->marks; i++) {
		numbers_add(&t->x->numbers, t->v->mark[i].uid);
		claim(t, t->v->mark[i].uid);
	}
	if (t->v->uidnext > 0 && t->v->uidnext - 1 > t->x->last)
		t->x->last = t->v->uidnext - 1;
	if (t->x->numbers.count == before)
		return;
	say(t, "* %u EXISTS\r\n", t->x->numbers.count);
	if (!t->s->rev2)
		say(t, "* %llu RECENT\r\n", (unsigned long long)set_count(&t->x->recent));
}

/* ---- flags */

void
update_add_fetch(const struct imap *s, const struct view *v, const struct mark *m,
    uint32_t number, struct buf *out)
{
	if (s->uidonly)
		buf_addf(out, "* %u UIDFETCH (FLAGS ", m->uid);
	else if (s->qresync || s->by_uid)
		buf_addf(out, "* %u FETCH (UID %u FLAGS ", number, m->uid);
	else
		buf_addf(out, "* %u FETCH (FLAGS ", number);
	imap_add_flags(s, v, m, set_has(&s->selected->recent, m->uid), out);
	if (s->condstore)
		buf_addf(out, " MODSEQ (%llu)", (unsigned long long)m->modseq);
	buf_add_str(out, ")\r\n");
}

static void
tell_flags_of(struct telling *t, const struct mark *m)
{
	uint32_t number = m->uid <= t->last ? numbers_of(&t->x->numbers, m->uid) : 0;
	if (number != 0)
		update_add_fetch(t->s, t->v, m, number, &t->out);
}

static void
tell_mark(struct telling *t, const struct mark *m)
{
	if (m->modseq > t->x->told && m->modseq != t->x->own_modseq)
		tell_flags_of(t, m);
}

static void
flags_of_ring(struct telling *t)
{
	uint64_t first = t->v->changes > VIEW_CHANGES ? t->v->changes - VIEW_CHANGES : 0;
	for (uint64_t i = first; i < t->v->changes; i++) {
		const struct view_change *c = &t->v->change[i % VIEW_CHANGES];
		const struct mark *m = c->gone ? NULL : view_find(t->v, c->uid);
		if (m == NULL)
			continue;
		if (m->modseq == c->modseq) /* its last change */
			tell_mark(t, m);
		else if (m->modseq == t->x->own_modseq && c->modseq > t->x->told)
			tell_flags_of(t, m); /* another's, that ours has covered */
	}
}

static void
tell_flags(struct telling *t)
{
	if (t->x->told == t->v->modseq)
		return;
	if (t->x->told >= t->v->known) {
		flags_of_ring(t);
	} else {
		for (size_t i = 0; i < t->v->marks && t->v->mark[i].uid <= t->last; i++)
			tell_mark(t, &t->v->mark[i]);
	}
	t->x->told = t->v->modseq;
}

/* ---- all of it */

void
update_tell(struct imap *s, bool expunges)
{
	struct selected *x = s->selected;
	if (x == NULL || s->io == NULL)
		return;
	struct telling t = {.s = s, .x = x, .v = x->view, .last = x->last};
	buf_init(&t.out, 0);
	view_lock(x->view);
	bool removed = x->view->removed;
	if (!removed) {
		tell_keywords(&t);
		if (expunges)
			tell_gone(&t);
		tell_new(&t);
		tell_flags(&t);
	}
	view_unlock(x->view);
	imap_say(s, buf_span(&t.out));
	buf_clear(&t.out);
	if (removed)
		imap_bye(s, "", "the selected mailbox was deleted");
}

void
update_tell_keywords(struct imap *s)
{
	struct telling t = {.s = s, .x = s->selected, .v = s->selected->view};
	buf_init(&t.out, 0);
	view_lock(t.v);
	tell_keywords(&t);
	view_unlock(t.v);
	imap_say(s, buf_span(&t.out));
	buf_clear(&t.out);
}

/* While IDLE waits the client hears of it at once (RFC 2177); one that does not read
 * hears of all of it together once it does. */
void
update_on_change(void *arg)
{
	struct imap *s = arg;
	bool expunges = false;
	if (s->io == NULL)
		return;
	if (io_queued(s->io) > IO_HIGH) {
		io_want_drained(s->io);
		return;
	}
	if (s->idling)
		update_tell(s, true);
	else if (!s->running && notify_of_selected(s, &expunges))
		update_tell(s, expunges);
}

void
update_on_drained(struct imap *s)
{
	if (s->selected != NULL)
		update_on_change(s);
	notify_tell(s);
}
