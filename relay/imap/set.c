/* SPDX-License-Identifier: ISC */
/* set - see set.h. */
#include "relay/imap/set.h"

#include <stdlib.h>

#include "base/mem.h"

void
set_clear(struct set *s)
{
	mem_free(&s->range);
	*s = (struct set){0};
}

static void
push(struct set *s, uint32_t from, uint32_t to)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 4;
		s->range = mem_resize(s->range, s->cap, sizeof(*s->range));
	}
	s->range[s->n++] = (struct set_range){from, to};
}

/* ---- reading */

/* "*" or a number.  2^32-1 may be said (RFC 9051: nz-number), and clients do, for "to the
 * end"; no mail ever has it, so it is read as the one before. */
static bool
scan_bound(struct scan *in, uint32_t *out)
{
	uint64_t n = 0;
	if (scan_char(in, '*')) {
		*out = SET_STAR;
		return true;
	}
	if (!scan_u64(in, UINT32_MAX, &n))
		return false;
	*out = n == SET_STAR ? SET_STAR - 1 : (uint32_t)n;
	return true;
}

static bool
scan_range(struct scan *in, struct set *out)
{
	uint32_t from = 0, to = 0;
	if (out->n >= SET_RANGES_MAX || !scan_bound(in, &from))
		return false;
	to = from;
	if (scan_char(in, ':') && !scan_bound(in, &to))
		return false;
	push(out, from, to);
	return true;
}

bool
set_scan(struct scan *in, struct set *out)
{
	struct scan at = *in;
	*out = (struct set){0};
	if (scan_char(&at, '$')) {
		out->saved = true;
		*in = at;
		return true;
	}
	do {
		if (!scan_range(&at, out)) {
			set_clear(out);
			return false;
		}
	} while (scan_char(&at, ','));
	*in = at;
	return true;
}

/* ---- what it means */

bool
set_exceeds(const struct set *s, uint32_t last)
{
	for (size_t i = 0; i < s->n; i++) {
		const uint32_t bound[] = {s->range[i].from, s->range[i].to};
		for (size_t k = 0; k < 2; k++) {
			if (bound[k] == 0 || (bound[k] == SET_STAR && last == 0) ||
			    (bound[k] != SET_STAR && bound[k] > last))
				return true;
		}
	}
	return false;
}

static int
by_from(const void *a, const void *b)
{
	const struct set_range *x = a, *y = b;
	return x->from < y->from ? -1 : x->from > y->from;
}

static void
merge(struct set *s)
{
	size_t k = 0;
	if (s->n == 0)
		return;
	for (size_t i = 1; i < s->n; i++) {
		struct set_range *last = &s->range[k], *r = &s->range[i];
		if (r->from <= last->to || r->from == last->to + 1) {
			if (r->to > last->to)
				last->to = r->to;
		} else {
			s->range[++k] = *r;
		}
	}
	s->n = k + 1;
}

void
set_resolve(struct set *s, uint32_t last)
{
	size_t k = 0;
	bool sorted = true;
	for (size_t i = 0; i < s->n; i++) {
		struct set_range r = s->range[i];
		r.from = r.from == SET_STAR ? last : r.from;
		r.to = r.to == SET_STAR ? last : r.to;
		if (r.from > r.to)
			r = (struct set_range){r.to, r.from};
		if (r.to == 0)
			continue;
		if (r.from == 0)
			r.from = 1;
		sorted = sorted && (k == 0 || s->range[k - 1].from <= r.from);
		s->range[k++] = r;
	}
	s->n = k;
	if (!sorted)
		qsort(s->range, s->n, sizeof(*s->range), by_from);
	merge(s);
}

void
set_resolve_uids(struct set *s, uint32_t last_mail, uint32_t last_uid)
{
	for (size_t i = 0; i < s->n && last_mail != 0; i++) {
		struct set_range *r = &s->range[i];
		if (r->from != SET_STAR && r->to != SET_STAR)
			continue;
		uint32_t from = r->from < r->to ? r->from : r->to;
		*r = (struct set_range){from < last_mail ? from : last_mail, last_uid};
	}
	set_resolve(s, last_uid);
}

size_t
set_first(const struct set *s, uint32_t number)
{
	size_t low = 0, high = s->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (s->range[mid].to < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool
set_has(const struct set *s, uint32_t number)
{
	size_t i = set_first(s, number);
	return i < s->n && s->range[i].from <= number;
}

uint64_t
set_count(const struct set *s)
{
	uint64_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		n += (uint64_t)s->range[i].to - s->range[i].from + 1;
	return n;
}

/* ---- building */

void
set_add_range(struct set *s, uint32_t from, uint32_t to)
{
	if (s->n > 0 && s->range[s->n - 1].to + 1 == from)
		s->range[s->n - 1].to = to;
	else
		push(s, from, to);
}

void
set_add(struct set *s, uint32_t number)
{
	set_add_range(s, number, number);
}

static void
slice(const struct set *s, uint64_t from, uint64_t to, struct set *out)
{
	uint64_t place = 1;
	for (size_t i = 0; i < s->n && place <= to; i++) {
		const struct set_range *r = &s->range[i];
		uint64_t last = place + (r->to - r->from);
		uint64_t a = from > place ? from : place, b = to < last ? to : last;
		if (a <= b)
			set_add_range(out, r->from + (uint32_t)(a - place),
			    r->from + (uint32_t)(b - place));
		place = last + 1;
	}
}

void
set_slice(const struct set *s, int64_t from, int64_t to, struct set *out)
{
	int64_t n = (int64_t)set_count(s);
	from += from < 0 ? n + 1 : 0;
	to += to < 0 ? n + 1 : 0;
	int64_t low = from < to ? from : to, high = from < to ? to : from;
	if (high >= 1)
		slice(s, low < 1 ? 1 : (uint64_t)low, (uint64_t)high, out);
}

void
set_remove(struct set *s, const struct set *gone)
{
	struct set left = {0};
	size_t k = 0;
	if (s->n == 0 || gone->n == 0)
		return;
	for (size_t i = 0; i < s->n; i++) {
		uint64_t at = s->range[i].from, to = s->range[i].to;
		while (k > 0 && gone->range[k - 1].to >= at)
			k--;
		for (; k < gone->n && gone->range[k].from <= to; k++) {
			if (gone->range[k].to < at)
				continue;
			if (gone->range[k].from > at)
				set_add_range(
				    &left, (uint32_t)at, gone->range[k].from - 1);
			at = (uint64_t)gone->range[k].to + 1;
			if (at > to)
				break;
		}
		if (at <= to)
			set_add_range(&left, (uint32_t)at, (uint32_t)to);
	}
	set_clear(s);
	*s = left;
}

void
set_write(const struct set *s, struct buf *out)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct set_range *r = &s->range[i];
		buf_addf(out, r->from == r->to ? "%s%u" : "%s%u:%u", i > 0 ? "," : "",
		    r->from, r->to);
	}
}
