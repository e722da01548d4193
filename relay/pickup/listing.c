/* SPDX-License-Identifier: ISC */
/*
 * listing - LIST and UIDL.  Of all messages: rows come in slices, and the next slice is
 * asked for when the peer has taken the one before.
 */
#include <stdio.h>

#include "base/mem.h"
#include "relay/pickup/pop.h"

#define SLICE 250

struct listing {
	struct sending base;
	struct pop *pop;
	struct spool_query *query; /* NULL: none runs */
	bool uidl;
	uint32_t next; /* number */
	/* of the slice */
	uint32_t mailbox, after, until;
	size_t n;
	enum err err;
	struct mail_row row[SLICE];
};

/* A mail's own id never comes back. One whose record is damaged has none to show. */
void
listing_uidl(const struct mail_row *row, char out[24])
{
	if (row->id != 0)
		spool_id_format(row->id, out);
	else
		(void)snprintf(out, 24, "damaged-%u", row->uid);
}

static void
say_row(struct pop *s, bool uidl, const char *before, uint32_t number,
    const struct mail_row *row)
{
	char id[24];
	listing_uidl(row, id);
	if (uidl)
		pop_line(s, "%s%u %s", before, number, id);
	else
		pop_line(s, "%s%u %llu", before, number, (unsigned long long)row->size);
}

/* ---- one */

static void
say_one(struct pop *s, bool uidl)
{
	const struct mail_row *row = fetch_row(s, s->asked);
	if (row != NULL)
		say_row(s, uidl, "+OK ", s->asked, row);
	else
		pop_error(s, "", "this message is gone");
}

static void
list_fetched(struct pop *s)
{
	say_one(s, false);
}

static void
uidl_fetched(struct pop *s)
{
	say_one(s, true);
}

void
listing_one(struct pop *s, bool uidl, uint32_t number)
{
	s->asked = number;
	fetch_start(s, number, false, uidl ? uidl_fetched : list_fetched);
}

/* ---- all */

static void
run(struct spool_reader *r, void *arg)
{
	struct listing *l = arg;
	l->err =
	    spool_read_mails(r, l->mailbox, l->after, l->until, l->row, SLICE, &l->n);
}

static void
drop(void *arg)
{
	struct listing *l = arg;
	mem_free(&l);
}

static void
say_slice(struct pop *s, const struct listing *l, uint32_t last)
{
	size_t k = 0;
	for (uint32_t number = l->next; number <= last; number++) {
		uint32_t uid = maildrop_uid(&s->drop, number);
		while (k < l->n && l->row[k].uid < uid)
			k++;
		if (k < l->n && l->row[k].uid == uid &&
		    !maildrop_is_deleted(&s->drop, number))
			say_row(s, l->uidl, "", number, &l->row[k]);
	}
}

static uint32_t
last_of_slice(const struct pop *s, const struct listing *l)
{
	return s->drop.count - l->next < SLICE ? s->drop.count : l->next + SLICE - 1;
}

static void
done(void *arg)
{
	struct listing *l = arg;
	struct pop *s = l->pop;
	l->query = NULL;
	if (l->err != OK) { /* a list that ends early would look whole */
		pop_break(s, "the mailbox cannot be read");
		return;
	}
	uint32_t last = last_of_slice(s, l);
	say_slice(s, l, last);
	l->next = last + 1;
	sending_more(s);
}

static bool
more(struct pop *s)
{
	struct listing *l = CONTAINER_OF(s->sending, struct listing, base);
	if (l->query != NULL)
		return true;
	if (l->next > s->drop.count) {
		pop_line(s, ".");
		return false;
	}
	if (io_queued(s->io) > IO_LOW) {
		io_want_drained(s->io);
		return true;
	}
	/* uids rise with the numbers: what lies between two of the slice is gone */
	uint32_t last = maildrop_uid(&s->drop, last_of_slice(s, l));
	l->mailbox = s->drop.mailbox;
	l->after = maildrop_uid(&s->drop, l->next) - 1;
	l->until = last == UINT32_MAX ? 0 : last + 1;
	l->query = spool_query_start(
	    s->pickup->o.spool, run, done, drop, l, loop_inbox(s->pickup->o.loop));
	return true;
}

static void
clear(struct sending *x)
{
	struct listing *l = CONTAINER_OF(x, struct listing, base);
	if (l->query != NULL)
		spool_cancel_query(&l->query); /* drop() frees it when it is over */
	else
		mem_free(&l);
}

void
listing_start(struct pop *s, bool uidl)
{
	struct listing *l = NEW(struct listing);
	l->base = (struct sending){more, clear};
	l->pop = s;
	l->uidl = uidl;
	l->next = 1;
	pop_ok(s, "%u messages", s->drop.count - s->drop.deleted_n);
	s->sending = &l->base;
	pop_wait(s);
	sending_more(s);
}
