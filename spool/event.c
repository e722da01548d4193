/* SPDX-License-Identifier: ISC */
/* event - what a batch has changed in mailboxes, told once it is on disk. */
#include <stdlib.h>

#include "base/mem.h"
#include "spool/private.h"

void
spool_on_mail(struct spool *s,
    void (*told)(void *arg, const struct mail_event *event, size_t n), void *arg)
{
	s->on_mail = told;
	s->on_mail_arg = arg;
}

static struct mail_event *
add(struct batch *b)
{
	if (b->spool->on_mail == NULL)
		return NULL;
	if (b->events == b->event_cap) {
		b->event_cap = b->event_cap ? b->event_cap * 2 : 16;
		b->event = mem_resize(b->event, b->event_cap, sizeof(*b->event));
	}
	return &b->event[b->events++];
}

void
event_mail(struct batch *b, enum mail_event_kind kind, const struct mbox *m, uint32_t uid,
    const struct mail_record *mail)
{
	struct mail_event *e = add(b);
	if (e == NULL)
		return;
	*e = (struct mail_event){
	    .kind = kind, .mailbox = m->number, .uid = uid, .modseq = m->record.modseq};
	if (mail != NULL) {
		e->flags = mail->flags;
		e->keywords = mail->keywords;
	}
}

/* A copy that lives until the batch has been told. */
static char *
keep(struct batch *b, struct span text)
{
	if (b->texts == b->text_cap) {
		b->text_cap = b->text_cap ? b->text_cap * 2 : 8;
		b->text = mem_resize(b->text, b->text_cap, sizeof(*b->text));
	}
	return b->text[b->texts++] = span_dup(text);
}

void
event_mailbox(struct batch *b, enum mail_event_kind kind, const struct mbox *m,
    uint32_t uid, struct span text)
{
	struct mail_event *e = add(b);
	if (e == NULL)
		return;
	*e = (struct mail_event){.kind = kind,
	    .mailbox = m->number,
	    .uid = uid,
	    .modseq = m->record.modseq,
	    .owner = keep(b, span_str(m->owner_name))};
	if (text.n > 0)
		e->text = (struct span){keep(b, text), text.n};
}

/* ---- in order */

/* A keyword before the mails that have it; what is not recent any more behind them. */
static unsigned
rank(const struct mail_event *e)
{
	return e->kind <= MAIL_GONE         ? 2
	       : e->kind == MAILBOX_MADE    ? 0
	       : e->kind == MAILBOX_KEYWORD ? 1
					    : 3;
}

/* first: the mailbox that is told of first. */
static int
compare(const struct mail_event *x, const struct mail_event *y, uint32_t first)
{
	bool later_x = x->mailbox != first, later_y = y->mailbox != first;
	unsigned rank_x = rank(x), rank_y = rank(y);
	if (later_x != later_y)
		return later_x ? 1 : -1;
	if (rank_x != rank_y)
		return rank_x < rank_y ? -1 : 1;
	return (x->uid > y->uid) - (x->uid < y->uid);
}

struct place {
	struct mail_event event;
	uint32_t first;
	size_t at;
};

static int
by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = compare(&x->event, &y->event, x->first);
	return order != 0 ? order : (x->at > y->at) - (x->at < y->at);
}

static void
sort(struct mail_event *event, size_t n)
{
	struct place *all = mem_alloc_raw(n * sizeof(*all));
	for (size_t i = 0; i < n; i++)
		all[i] = (struct place){event[i], event[0].mailbox, i};
	qsort(all, n, sizeof(*all), by_place);
	for (size_t i = 0; i < n; i++)
		event[i] = all[i].event;
	mem_free(&all);
}

void
events_in_order(struct batch *b, size_t first)
{
	size_t n = b->events - first, i = 1;
	if (n < 2)
		return;
	struct mail_event *event = b->event + first;
	while (i < n && compare(&event[i - 1], &event[i], event[0].mailbox) <= 0)
		i++;
	if (i < n)
		sort(event, n);
}

/* ---- told */

void
events_tell(struct batch *b)
{
	if (b->events > 0)
		b->spool->on_mail(b->spool->on_mail_arg, b->event, b->events);
}

void
events_clear(struct batch *b)
{
	for (size_t i = 0; i < b->texts; i++)
		mem_free(&b->text[i]);
	mem_free(&b->text);
	mem_free(&b->event);
	b->events = b->event_cap = b->texts = b->text_cap = 0;
}
