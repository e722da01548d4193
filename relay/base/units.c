/* SPDX-License-Identifier: ISC */
/* units - numbers with their units, from and to text. */
#include "base/units.h"

#include "base/mem.h"
#include "base/scan.h"

struct unit {
	struct span name;
	uint64_t value;
};

enum err
units_u64(struct span s, uint64_t max, uint64_t *out)
{
	if (s.n == 0)
		return ERR_SYNTAX;
	uint64_t v = 0;
	bool over = false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (!is_digit(c))
			return ERR_SYNTAX;
		over = over || __builtin_mul_overflow(v, 10u, &v) ||
		       __builtin_add_overflow(v, (unsigned)(c - '0'), &v) || v > max;
	}
	if (over)
		return ERR_RANGE;
	*out = v;
	return OK;
}

/* Digits at the cursor, without a bound of their own below UINT64_MAX. */
static enum err
take_number(struct scan *in, uint64_t *out)
{
	struct span digits;
	if (!scan_run(in, is_digit, &digits))
		return ERR_SYNTAX;
	return units_u64(digits, UINT64_MAX, out);
}

/* Index of the unit whose name is the letters at the cursor; n if none is. */
static size_t
take_unit(struct scan *in, const struct unit *unit, size_t n)
{
	struct span name;
	if (!scan_run(in, is_alpha, &name))
		return n;
	size_t i = 0;
	while (i < n && !span_eq(unit[i].name, name))
		i++;
	return i;
}

enum err
units_duration(struct span s, int64_t *out_ms)
{
	static const struct unit unit[] = {{{"w", 1}, 604800000}, {{"d", 1}, 86400000},
	    {{"h", 1}, 3600000}, {{"m", 1}, 60000}, {{"s", 1}, 1000}, {{"ms", 2}, 1}};
	int64_t sum = 0;
	enum err e = OK;
	size_t next = 0; /* units come in falling order, each once */
	struct scan in = scan_over(s);
	if (span_eq(s, SPAN("0"))) {
		*out_ms = 0;
		return OK;
	}
	do {
		uint64_t count = 0;
		enum err number = take_number(&in, &count);
		if (number == ERR_SYNTAX)
			return ERR_SYNTAX;
		size_t i = take_unit(&in, unit, COUNT_OF(unit));
		if (i < next || i == COUNT_OF(unit))
			return ERR_SYNTAX;
		next = i + 1;
		if (number != OK ||
		    __builtin_mul_overflow(count, unit[i].value, &count) ||
		    __builtin_add_overflow(sum, count, &sum))
			e = ERR_RANGE;
	} while (!scan_done(&in));
	if (e == OK)
		*out_ms = sum;
	return e;
}

enum err
units_size(struct span s, uint64_t *out)
{
	static const struct unit unit[] = {{{"B", 1}, 1}, {{"K", 1}, 1u << 10},
	    {{"M", 1}, 1u << 20}, {{"G", 1}, 1u << 30}, {{"T", 1}, UINT64_C(1) << 40}};
	if (span_eq(s, SPAN("0"))) {
		*out = 0;
		return OK;
	}
	struct scan in = scan_over(s);
	uint64_t v = 0;
	enum err e = take_number(&in, &v);
	if (e == ERR_SYNTAX)
		return e;
	size_t i = take_unit(&in, unit, COUNT_OF(unit));
	if (i == COUNT_OF(unit) || !scan_done(&in))
		return ERR_SYNTAX;
	if (e != OK || __builtin_mul_overflow(v, unit[i].value, &v))
		return ERR_RANGE;
	*out = v;
	return OK;
}

enum err
units_percent(struct span s, unsigned *out)
{
	if (s.n == 0 || s.p[s.n - 1] != '%')
		return ERR_SYNTAX;
	uint64_t v;
	enum err e = units_u64(span_cut(s, 0, s.n - 1), 100, &v);
	if (e == OK)
		*out = (unsigned)v;
	return e;
}

void
units_add_size(struct buf *b, uint64_t n)
{
	static const char letter[] = "KMGTPE";
	if (n < 1024) {
		buf_addf(b, "%u", (unsigned)n);
		return;
	}
	size_t i = 0;
	uint64_t unit = 1024;
	while (n / unit >= 1024) {
		unit *= 1024;
		i++;
	}
	unsigned tenths = (unsigned)(n % unit * 10 / unit);
	if (tenths > 0)
		buf_addf(b, "%u.%u%c", (unsigned)(n / unit), tenths, letter[i]);
	else
		buf_addf(b, "%u%c", (unsigned)(n / unit), letter[i]);
}
