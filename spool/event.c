/* SPDX-License-Identifier: ISC */
/* event - what a batch has changed in mailboxes, told once it is on disk. */
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
