/* SPDX-License-Identifier: ISC */
/* rate - the arithmetic; a count of n in p costs p/n each. */
#include "policy/rate.h"

#include "base/units.h"
#include "base/when.h"

#define COUNT_MAX 1000000000u
#define PERIOD_MAX (366 * DAY_MS)

enum err
rate_parse(struct span text, struct rate *out)
{
	size_t slash = span_find(text, '/');
	struct span period = span_cut(text, slash + 1, text.n);
	uint64_t count;
	if (slash == text.n || period.n == 0)
		return ERR_SYNTAX;
	enum err e = units_u64(span_cut(text, 0, slash), COUNT_MAX, &count);
	if (e != OK)
		return e;
	char one[8] = "1"; /* "10/s" is "10/1s" */
	if (period.n < sizeof(one) - 1 && (period.p[0] < '0' || period.p[0] > '9')) {
		span_copy(period, one + 1, sizeof(one) - 1);
		period = span_str(one);
	}
	e = units_duration(period, &out->period_ms);
	if (e != OK)
		return e;
	out->count = (uint32_t)count;
	bool fits =
	    count > 0 && out->period_ms >= SECOND_MS && out->period_ms <= PERIOD_MAX;
	return fits ? OK : ERR_RANGE;
}

void
rate_add(struct buf *b, const struct rate *r)
{
	buf_addf(b, "%u/", (unsigned)r->count);
	duration_add(b, r->period_ms);
}

static int64_t
cost_us(const struct rate *r, uint32_t n)
{
	return (int64_t)((double)r->period_ms * 1000.0 / r->count * n);
}

int64_t
rate_wait(const struct rate *r, const struct rate_use *u, int64_t now_us, uint32_t n)
{
	int64_t from = u->tat_us > now_us ? u->tat_us : now_us;
	uint32_t take =
	    n < r->count ? n : r->count; /* what exceeds it may go when all is free */
	int64_t over = from + cost_us(r, take) - (now_us + r->period_ms * 1000);
	return over > 0 ? over : 0;
}

void
rate_take(const struct rate *r, struct rate_use *u, int64_t now_us, uint32_t n)
{
	int64_t from = u->tat_us > now_us ? u->tat_us : now_us;
	u->tat_us = from + cost_us(r, n);
}

bool
rate_idle(const struct rate_use *u, int64_t now_us)
{
	return u->tat_us <= now_us;
}
