/* SPDX-License-Identifier: ISC */
/*
 * fetch - rows and mails come from the pool.  What one query has brought is kept for a
 * moment: clients ask for one message after the other, so mails are read ahead as soon
 * as they do.
 */
#include "base/mem.h"
#include "relay/pickup/pop.h"

#define KEEP_MS (2 * SECOND_MS)

struct fetch {
	struct pop *pop; /* NULL: it went away */
	struct spool_query *query;
	void (*told)(struct pop *s);
	uint32_t mailbox;
	bool whole;
	size_t n;
	uint32_t uid[FETCH_ROWS];
	struct fetched *result;
};

static void
fetched_free(struct fetched **fp)
{
	struct fetched *f = *fp;
	if (f == NULL)
		return;
	for (size_t i = 0; i < f->mails; i++)
		mail_free(&f->mail[i]);
	mem_free(fp);
}

/* ---- in the pool */

static void
read_rows(struct spool_reader *r, const struct fetch *f)
{
	struct fetched *out = f->result;
	struct mail_row row[FETCH_ROWS];
	size_t n = 0, k = 0;
	(void)spool_read_mails(r, f->mailbox, f->uid[0] - 1,
	    f->uid[f->n - 1] == UINT32_MAX ? 0 : f->uid[f->n - 1] + 1, row, FETCH_ROWS,
	    &n);
	for (size_t i = 0; i < f->n; i++) {
		while (k < n && row[k].uid < f->uid[i])
			k++;
		if (k < n && row[k].uid == f->uid[i])
			out->row[i] = row[k];
	}
	out->rows = f->n;
}

static void
read_mails(struct spool_reader *r, const struct fetch *f)
{
	struct fetched *out = f->result;
	uint64_t octets = 0;
	for (size_t i = 0; i < f->n && octets < FETCH_AHEAD; i++) {
		out->err[i] =
		    spool_read_mail(r, f->mailbox, f->uid[i], true, &out->mail[i]);
		if (out->err[i] == OK) {
			out->row[i] = out->mail[i]->row;
			octets += out->row[i].size;
		}
		out->rows = out->mails = i + 1;
	}
}

static void
run(struct spool_reader *r, void *arg)
{
	const struct fetch *f = arg;
	if (f->whole)
		read_mails(r, f);
	else
		read_rows(r, f);
}

/* ---- on the loop */

static void
drop(void *arg)
{
	struct fetch *f = arg;
	fetched_free(&f->result);
	mem_free(&f);
}

static void
done(void *arg)
{
	struct fetch *f = arg;
	struct pop *s = f->pop;
	void (*told)(struct pop *) = f->told;
	s->fetch = NULL;
	s->fetched = f->result;
	mem_free(&f);
	timer_set(&s->forget, KEEP_MS);
	told(s);
	if (s->sending == NULL)
		pop_go_on(s);
}

static bool
is_there(const struct pop *s, uint32_t number, bool whole)
{
	const struct fetched *f = s->fetched;
	if (f == NULL || number < f->first)
		return false;
	size_t i = number - f->first;
	if (!whole)
		return i < f->rows && f->row[i].uid != 0;
	return i < f->mails && f->mail[i] != NULL;
}

void
fetch_start(struct pop *s, uint32_t number, bool whole, void (*told)(struct pop *s))
{
	if (is_there(s, number, whole)) {
		told(s);
		return;
	}
	fetch_forget(s);
	/* a whole mail alone, unless it is the one behind the last */
	size_t most = whole && number != s->sequence + 1 ? 1 : FETCH_ROWS;
	struct fetch *f = NEW(struct fetch);
	*f = (struct fetch){.pop = s,
	    .told = told,
	    .mailbox = s->drop.mailbox,
	    .whole = whole,
	    .result = NEW(struct fetched)};
	f->result->first = number;
	for (; f->n < most && number + f->n <= s->drop.count; f->n++)
		f->uid[f->n] = maildrop_uid(&s->drop, number + (uint32_t)f->n);
	s->fetch = f;
	pop_wait(s);
	f->query = spool_query_start(
	    s->pickup->o.spool, run, done, drop, f, loop_inbox(s->pickup->o.loop));
}

const struct mail_row *
fetch_row(const struct pop *s, uint32_t number)
{
	return is_there(s, number, false) ? &s->fetched->row[number - s->fetched->first]
					  : NULL;
}

void
fetch_forget(struct pop *s)
{
	timer_clear(&s->forget);
	fetched_free(&s->fetched);
}

void
fetch_cancel(struct pop *s)
{
	if (s->fetch != NULL)
		spool_cancel_query(&s->fetch->query);
	s->fetch = NULL;
}
