/* SPDX-License-Identifier: ISC */
/* maildrop - see maildrop.h. */
#include "relay/pickup/maildrop.h"

#include "base/check.h"
#include "base/mem.h"

#define SLICE 500 /* rows of one snapshot */

void
maildrop_clear(struct maildrop *d)
{
	mem_free(&d->run);
	mem_free(&d->deleted);
	mem_free(&d->picked);
	*d = (struct maildrop){0};
}

bool
maildrop_add(struct maildrop *d, uint32_t uid, uint64_t size)
{
	if (d->count == MAILDROP_MAX)
		return false;
	const struct uid_run *last = d->runs > 0 ? &d->run[d->runs - 1] : NULL;
	uint32_t number = ++d->count;
	d->octets += size;
	if (last != NULL && uid - last->uid == number - last->number)
		return true;
	if (d->runs == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 1;
		d->run = mem_resize(d->run, d->cap, sizeof(*d->run));
	}
	CHECK(d->run != NULL);
	d->run[d->runs++] = (struct uid_run){uid, number};
	return true;
}

enum err
maildrop_read(struct spool_reader *r, struct span owner, struct maildrop *d)
{
	struct mailbox_view box;
	enum err e = spool_read_mailbox(r, owner, SPAN(MAILBOX_INBOX), &box);
	if (e != OK)
		return e == ERR_NOT_FOUND ? OK : e;
	struct mail_row *row = mem_alloc(SLICE * sizeof(*row));
	uint32_t after = 0;
	size_t n = SLICE;
	d->mailbox = box.number;
	while (e == OK && n == SLICE && d->count < MAILDROP_MAX) {
		e = spool_read_mails(r, box.number, after, box.uidnext, row, SLICE, &n);
		for (size_t i = 0; e == OK && i < n; i++)
			(void)maildrop_add(d, after = row[i].uid, row[i].size);
	}
	mem_free(&row);
	return e;
}

uint32_t
maildrop_uid(const struct maildrop *d, uint32_t number)
{
	CHECK(number >= 1 && number <= d->count);
	size_t low = 0, high = d->runs; /* the last run that begins at or before it */
	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;
		if (d->run[mid].number <= number)
			low = mid;
		else
			high = mid;
	}
	return d->run[low].uid + (number - d->run[low].number);
}

/* ---- marks */

static bool
get_bit(const unsigned char *bits, uint32_t number)
{
	return bits != NULL && (bits[(number - 1) / 8] >> ((number - 1) % 8) & 1);
}

/* False: it was set already. */
static bool
set_bit(const struct maildrop *d, unsigned char **bits, uint32_t number)
{
	CHECK(number >= 1 && number <= d->count);
	if (get_bit(*bits, number))
		return false;
	if (*bits == NULL)
		*bits = mem_alloc((d->count + 7) / 8);
	(*bits)[(number - 1) / 8] |= (unsigned char)(1 << ((number - 1) % 8));
	return true;
}

bool
maildrop_is_deleted(const struct maildrop *d, uint32_t number)
{
	return get_bit(d->deleted, number);
}

void
maildrop_delete(struct maildrop *d, uint32_t number, uint64_t size)
{
	if (!set_bit(d, &d->deleted, number))
		return;
	d->deleted_n++;
	d->deleted_octets += size;
}

void
maildrop_pick(struct maildrop *d, uint32_t number)
{
	d->picked_n += set_bit(d, &d->picked, number);
}

void
maildrop_reset(struct maildrop *d)
{
	mem_free(&d->deleted);
	d->deleted_n = 0;
	d->deleted_octets = 0;
}

struct mail_change *
maildrop_change(const struct maildrop *d, struct span owner)
{
	if (d->deleted_n == 0 && d->picked_n == 0)
		return NULL;
	struct mail_change *c = mail_change_new(owner, SPAN(MAILBOX_INBOX));
	for (uint32_t n = 1; n <= d->count; n++) {
		if (get_bit(d->deleted, n))
			mail_change_delete(c, maildrop_uid(d, n));
		else if (get_bit(d->picked, n))
			mail_change_flags(
			    c, maildrop_uid(d, n), MAIL_SEEN | MAIL_PICKED, 0);
	}
	return c;
}
