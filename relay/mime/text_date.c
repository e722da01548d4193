/* SPDX-License-Identifier: ISC */
/*
 * text_date - the Date field (RFC 5322 3.3, 4.3).  As RFC 5256 2.2 wants it, a zone or a
 * time of day that cannot be read is UTC, or midnight: the day is what must be there.
 */
#include "base/mem.h"
#include "base/scan.h"
#include "relay/mime/text.h"

#define DAY_MINUTES 1440

/* Blanks, line ends and comments, which may nest. */
static void
skip(struct scan *s)
{
	unsigned depth = 0;
	for (; !scan_done(s); s->p++) {
		char c = *s->p;
		bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
		if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (c == '\\' && depth > 0 && s->p + 1 < s->end)
			s->p++;
		else if (depth == 0 && !blank)
			return;
	}
}

static bool
scan_number(struct scan *s, size_t max_digits, unsigned *out, size_t *digits)
{
	struct span run;
	struct scan at = *s;
	skip(&at);
	if (!scan_run(&at, is_digit, &run) || run.n > max_digits)
		return false;
	*out = 0;
	for (size_t i = 0; i < run.n; i++)
		*out = *out * 10 + (unsigned)(run.p[i] - '0');
	*digits = run.n;
	*s = at;
	return true;
}

static bool
scan_letters(struct scan *s, struct span *out)
{
	skip(s);
	return scan_run(s, is_alpha, out);
}

/* ---- the day */

static bool
month_of(struct span name, unsigned *out)
{
	static const char months[12][4] = {"jan", "feb", "mar", "apr", "may", "jun",
	    "jul", "aug", "sep", "oct", "nov", "dec"};
	for (unsigned i = 0; i < COUNT_OF(months); i++) {
		if (name.n >= 3 && span_istarts(name, span_str(months[i]))) {
			*out = i + 1;
			return true;
		}
	}
	return false;
}

static unsigned
days_of(unsigned year, unsigned month)
{
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	if (month == 2)
		return leap ? 29 : 28;
	return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* Days from 1970-01-01; years begin in March here, so that February is the last month. */
static int64_t
day_number(unsigned year, unsigned month, unsigned day)
{
	int64_t y = (int64_t)year - (month <= 2);
	int64_t since_march = (month + 9) % 12;
	int64_t day_of_year = (153 * since_march + 2) / 5 + day - 1;
	return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

/* A dash or blanks between the parts. */
static void
skip_dash(struct scan *s)
{
	skip(s);
	(void)scan_char(s, '-');
}

/* "Tue, 10 Nov 2020" */
static bool
scan_day(struct scan *s, int64_t *days)
{
	unsigned day, month, year;
	struct span word;
	size_t digits;
	if (scan_letters(s, &word)) {
		skip(s);
		(void)scan_char(s, ',');
	}
	if (!scan_number(s, 2, &day, &digits))
		return false;
	skip_dash(s);
	if (!scan_letters(s, &word) || !month_of(word, &month))
		return false;
	skip_dash(s);
	if (!scan_number(s, 4, &year, &digits))
		return false;
	if (digits < 4) /* RFC 5322 4.3 */
		year += digits == 2 && year < 50 ? 2000 : 1900;
	if (day < 1 || year < 1 || day > days_of(year, month))
		return false;
	*days = day_number(year, month, day);
	return true;
}

/* ---- the time */

/* "12:34:56" */
static bool
scan_time(struct scan *s, int64_t *seconds)
{
	unsigned hour, minute, second = 0;
	struct scan at = *s;
	size_t digits;
	if (!scan_number(&at, 2, &hour, &digits))
		return false;
	skip(&at);
	if (!scan_char(&at, ':') || !scan_number(&at, 2, &minute, &digits))
		return false;
	*s = at;
	skip(&at);
	if (scan_char(&at, ':') && scan_number(&at, 2, &second, &digits))
		*s = at;
	if (hour > 23 || minute > 59 || second > 60) /* a leap second is one */
		return false;
	*seconds = hour * 3600 + minute * 60 + second;
	return true;
}

/* "+0100", "EST", "GMT"; what else there is is UTC (RFC 5322 4.3). */
static int16_t
scan_zone(struct scan *s)
{
	static const struct {
		const char *name;
		int16_t hours;
	} zones[] = {{"EDT", -4}, {"EST", -5}, {"CDT", -5}, {"CST", -6}, {"MDT", -6},
	    {"MST", -7}, {"PDT", -7}, {"PST", -8}};
	struct span word;
	unsigned n;
	size_t digits;
	skip(s);
	bool west = scan_char(s, '-');
	if (west || scan_char(s, '+')) {
		if (!scan_number(s, 4, &n, &digits) || digits != 4 || n % 100 > 59)
			return 0;
		int minutes = (int)(n / 100 * 60 + n % 100);
		if (minutes >= DAY_MINUTES)
			return 0;
		return (int16_t)(west ? -minutes : minutes);
	}
	if (!scan_letters(s, &word))
		return 0;
	for (size_t i = 0; i < COUNT_OF(zones); i++)
		if (span_ieq(word, span_str(zones[i].name)))
			return (int16_t)(zones[i].hours * 60);
	return 0;
}

bool
text_date(struct span body, struct wall *when, int16_t *zone)
{
	struct scan s = scan_over(body);
	int64_t days, seconds = 0;
	if (!scan_day(&s, &days))
		return false;
	*zone = scan_time(&s, &seconds) ? scan_zone(&s) : 0;
	int64_t minutes = days * DAY_MINUTES - *zone;
	*when = (struct wall){minutes * MINUTE_MS + seconds * SECOND_MS};
	return true;
}
