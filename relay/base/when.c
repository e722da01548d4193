/* SPDX-License-Identifier: ISC */
/*
 * when - points in time and durations as text.
 *
 * UTC is computed here (Howard Hinnant's days-to-civil), because every line of
 * the log needs it and gmtime_r() takes a lock of the C library.  Local time
 * is localtime_r()'s business.  Names are tables of our own: strftime() would
 * follow the locale.
 */
#include "base/when.h"

#include <time.h>

#include "base/check.h"
#include "base/mem.h"

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static struct tm
local_time(struct wall t)
{
	time_t seconds = (time_t)floor_div(t.ms, SECOND_MS);
	struct tm tm;
	/* 64 bits of milliseconds are years that fit an int: it cannot fail. */
	CHECK(localtime_r(&seconds, &tm) != NULL);
	return tm;
}

void
wall_add_rfc5322(struct buf *b, struct wall t)
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
	    "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct tm tm = local_time(t);
	long minutes = tm.tm_gmtoff / 60;
	long far = minutes < 0 ? -minutes : minutes;
	buf_addf(b, "%s, %d %s %04ld %02d:%02d:%02d %c%02ld%02ld", days[tm.tm_wday],
	    tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900L, tm.tm_hour, tm.tm_min,
	    tm.tm_sec, minutes < 0 ? '-' : '+', far / 60, far % 60);
}

void
wall_add_iso(struct buf *b, struct wall t)
{
	int64_t day = floor_div(t.ms, DAY_MS);
	int64_t ms = (t.ms % DAY_MS + DAY_MS) % DAY_MS;
	/* Years begin in March, so that the leap day is the last; an era is 400 of them.
	 */
	int64_t shifted = day + 719468;
	int64_t era = floor_div(shifted, 146097);
	int64_t doe = shifted - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	int64_t month = mp < 10 ? mp + 3 : mp - 9;
	int64_t year = yoe + era * 400 + (month <= 2);
	buf_addf(b, "%04lld-%02d-%02dT%02d:%02d:%02d.%03dZ", (long long)year, (int)month,
	    (int)(doy - (153 * mp + 2) / 5 + 1), (int)(ms / HOUR_MS),
	    (int)(ms / MINUTE_MS % 60), (int)(ms / SECOND_MS % 60),
	    (int)(ms % SECOND_MS));
}

void
wall_add_local(struct buf *b, struct wall t)
{
	struct tm tm = local_time(t);
	buf_addf(b, "%04ld-%02d-%02d %02d:%02d:%02d", tm.tm_year + 1900L, tm.tm_mon + 1,
	    tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void
duration_add(struct buf *b, int64_t ms)
{
	static const struct {
		uint64_t ms;
		char name;
	} unit[] = {{DAY_MS, 'd'}, {HOUR_MS, 'h'}, {MINUTE_MS, 'm'}, {SECOND_MS, 's'}};
	const size_t last = COUNT_OF(unit) - 1;
	uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
	if (ms < 0 && left >= (uint64_t)SECOND_MS)
		buf_add_char(b, '-');

	size_t i = 0;
	while (i < last && left < unit[i].ms)
		i++;
	buf_addf(b, "%llu%c", (unsigned long long)(left / unit[i].ms), unit[i].name);
	left %= unit[i].ms;
	if (i < last && left >= unit[i + 1].ms)
		buf_addf(b, "%llu%c", (unsigned long long)(left / unit[i + 1].ms),
		    unit[i + 1].name);
}
