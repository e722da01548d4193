/* SPDX-License-Identifier: ISC */
/* lex_date - days and instants as commands have them (RFC 9051 9, date and date-time). */
#include <stdio.h>

#include "relay/imap/lex.h"

static const char months[12][4] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

#define DAY_MINUTES 1440

/* ---- the calendar: days since 1970-01-01, in the Gregorian one */

static bool
is_leap(unsigned y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static unsigned
days_of_month(unsigned y, unsigned month)
{
	static const unsigned char days[] = {
	    31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	return days[month] + (month == 1 && is_leap(y) ? 1u : 0u);
}

/* Days before the first of January of this year, counted from the year 0. */
static int64_t
days_before_year(unsigned y)
{
	int64_t n = (int64_t)y * 365;
	return y == 0 ? 0 : n + (y - 1) / 4 - (y - 1) / 100 + (y - 1) / 400 + 1;
}

static int64_t
day_number(unsigned y, unsigned month, unsigned day)
{
	int64_t n = days_before_year(y) - days_before_year(1970) + day - 1;
	for (unsigned m = 0; m < month; m++)
		n += days_of_month(y, m);
	return n;
}

static void
day_split(int64_t n, unsigned *y, unsigned *month, unsigned *day)
{
	int64_t guess = 1970 + n / 366;
	*y = guess < 1 ? 1 : guess > 9998 ? 9998 : (unsigned)guess;
	while (*y < 9999 && day_number(*y + 1, 0, 1) <= n)
		++*y;
	while (*y > 0 && day_number(*y, 0, 1) > n)
		--*y;
	n -= day_number(*y, 0, 1);
	for (*month = 0; *month < 11 && n >= days_of_month(*y, *month); ++*month)
		n -= days_of_month(*y, *month);
	*day = n < 0 ? 1 : n > 30 ? 31 : (unsigned)n + 1;
}

/* ---- reading */

static bool
scan_month(struct scan *in, unsigned *out)
{
	for (unsigned i = 0; i < 12; i++) {
		if (scan_itext(in, span_str(months[i]))) {
			*out = i;
			return true;
		}
	}
	return false;
}

static bool
scan_digits(struct scan *in, size_t min, size_t max, uint64_t limit, uint64_t *out)
{
	const char *from = in->p;
	struct scan at = *in;
	if (!scan_u64(&at, limit, out) || (size_t)(at.p - from) < min ||
	    (size_t)(at.p - from) > max)
		return false;
	*in = at;
	return true;
}

/* "1-Feb-2026"; the blank in front of a single digit is fixed in a date-time. */
static bool
scan_day(struct scan *in, int64_t *out)
{
	uint64_t d = 0, y = 0;
	unsigned m = 0;
	if (!scan_digits(in, 1, 2, 31, &d) || !scan_char(in, '-') ||
	    !scan_month(in, &m) || !scan_char(in, '-') ||
	    !scan_digits(in, 4, 4, 9999, &y) || y == 0 || d == 0 ||
	    d > days_of_month((unsigned)y, m))
		return false;
	*out = day_number((unsigned)y, m, (unsigned)d);
	return true;
}

bool
lex_date(struct lex *l, int64_t *day)
{
	struct scan at = l->in;
	bool quoted = scan_char(&at, '"');
	if (!scan_day(&at, day) || (quoted && !scan_char(&at, '"')))
		return false;
	l->in = at;
	return true;
}

static bool
scan_time(struct scan *in, int64_t *seconds)
{
	uint64_t h = 0, m = 0, s = 0;
	if (!scan_digits(in, 2, 2, 23, &h) || !scan_char(in, ':') ||
	    !scan_digits(in, 2, 2, 59, &m) || !scan_char(in, ':') ||
	    !scan_digits(in, 2, 2, 60, &s))
		return false;
	if (s == 60) /* a leap second; behind that of 31-Dec-9999 there is no date */
		s = 59;
	*seconds = (int64_t)(h * 3600 + m * 60 + s);
	return true;
}

static bool
scan_zone(struct scan *in, int16_t *zone)
{
	uint64_t n = 0;
	bool west = scan_char(in, '-');
	if ((!west && !scan_char(in, '+')) || !scan_digits(in, 4, 4, 9959, &n) ||
	    n % 100 > 59 || n > 2400)
		return false;
	int minutes = (int)(n / 100 * 60 + n % 100);
	*zone = (int16_t)(west ? -minutes : minutes);
	return true;
}

bool
lex_date_time(struct lex *l, struct wall *when, int16_t *zone)
{
	struct scan at = l->in;
	int64_t day = 0, seconds = 0;
	if (!scan_char(&at, '"'))
		return false;
	(void)scan_char(&at, ' ');
	if (!scan_day(&at, &day) || !scan_char(&at, ' ') || !scan_time(&at, &seconds) ||
	    !scan_char(&at, ' ') || !scan_zone(&at, zone) || !scan_char(&at, '"'))
		return false;
	when->ms = day * DAY_MS + seconds * SECOND_MS - *zone * MINUTE_MS;
	l->in = at;
	return true;
}

/* ---- writing */

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int64_t
lex_day_of(struct wall when, int16_t zone)
{
	return floor_div(when.ms + zone * MINUTE_MS, DAY_MS);
}

void
lex_add_date_time(struct wall when, int16_t zone, struct buf *out)
{
	unsigned y, month, day;
	int64_t local = when.ms + zone * MINUTE_MS, n = floor_div(local, DAY_MS);
	unsigned second = (unsigned)((local - n * DAY_MS) / SECOND_MS);
	unsigned minutes = (unsigned)(zone < 0 ? -zone : zone);
	day_split(n, &y, &month, &day);
	buf_addf(out, "\"%2u-%s-%04u %02u:%02u:%02u %c%02u%02u\"", day, months[month], y,
	    second / 3600, second / 60 % 60, second % 60, zone < 0 ? '-' : '+',
	    minutes / 60, minutes % 60);
}
