/* SPDX-License-Identifier: ISC */
/*
 * The words of IMAP commands, apart from sessions, which are slow.  Octet 0 chooses:
 * names in modified UTF-7 have one spelling; a set is what its ranges say; patterns of
 * LIST fit what a plain matcher says; words are consumed whole or not at all; dates come
 * out as they went in; and whatever SEARCH is asked, it answers within its bounds.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "relay/imap/boxes.h"
#include "relay/imap/lex.h"
#include "relay/imap/search.h"
#include "relay/imap/utf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- names */

static void
try_name(struct span in)
{
	struct buf name, spelling, settled, again;
	buf_init(&name, 0);
	buf_init(&spelling, 0);
	buf_init(&settled, 0);
	buf_init(&again, 0);
	if (utf7_decode(in, &name)) {
		utf7_encode(buf_span(&name), &spelling);
		CHECK(span_eq(buf_span(&spelling), in));
	}
	if (utf8_name_ok(in)) {
		buf_reset(&name);
		buf_reset(&spelling);
		utf7_encode(in, &spelling);
		CHECK(utf7_decode(buf_span(&spelling), &name));
		CHECK(span_eq(buf_span(&name), in));
		utf8_name_settle(in, &settled);
		utf8_name_settle(buf_span(&settled), &again);
		CHECK(span_eq(buf_span(&settled), buf_span(&again)));
	}
	buf_clear(&name);
	buf_clear(&spelling);
	buf_clear(&settled);
	buf_clear(&again);
}

/* ---- sets */

#define LAST 40

static bool
names(const struct set *as_written, uint32_t number)
{
	for (size_t i = 0; i < as_written->n; i++) {
		uint32_t a = as_written->range[i].from, b = as_written->range[i].to;
		a = a == SET_STAR ? LAST : a;
		b = b == SET_STAR ? LAST : b;
		if (number >= (a < b ? a : b) && number <= (a < b ? b : a))
			return true;
	}
	return false;
}

static void
check_resolved(const struct set *s)
{
	uint64_t count = 0;
	for (size_t i = 0; i < s->n; i++) {
		CHECK(s->range[i].from > 0 && s->range[i].from <= s->range[i].to);
		CHECK(i == 0 ||
		      (uint64_t)s->range[i - 1].to + 1 < (uint64_t)s->range[i].from);
		count += (uint64_t)s->range[i].to - s->range[i].from + 1;
	}
	CHECK(set_count(s) == count);
}

static void
try_set(struct span in)
{
	struct set written, resolved, slice = {0};
	struct scan a = scan_over(in), b = scan_over(in);
	if (!set_scan(&a, &written)) {
		CHECK(a.p == in.p && !set_scan(&b, &resolved));
		return;
	}
	CHECK(set_scan(&b, &resolved) && a.p == b.p);
	CHECK(written.n <= SET_RANGES_MAX);
	set_resolve(&resolved, LAST);
	check_resolved(&resolved);
	for (uint32_t i = 1; i < 2 * LAST; i++)
		CHECK(set_has(&resolved, i) == names(&written, i));
	set_slice(&resolved, 2, -2, &slice);
	check_resolved(&slice);
	uint64_t left = set_count(&resolved);
	CHECK(left > 2 ? set_count(&slice) == left - 2 : set_count(&slice) <= left);
	set_remove(&resolved, &slice);
	check_resolved(&resolved);
	CHECK(set_count(&resolved) == left - set_count(&slice));
	set_clear(&written);
	set_clear(&resolved);
	set_clear(&slice);
}

/* ---- patterns of LIST */

#define PATTERN_MAX 60

/* Not that of INBOX, whose case does not matter. */
static bool
plainly_fits(const char *pattern, const char *name)
{
	bool fits[PATTERN_MAX + 1][PATTERN_MAX + 1] = {
	    {false}}; /* from here to both ends */
	size_t p = strlen(pattern), n = strlen(name);
	for (size_t i = p + 1; i-- > 0;) {
		for (size_t j = n + 1; j-- > 0;) {
			if (i == p)
				fits[i][j] = j == n;
			else if (pattern[i] == '*' || pattern[i] == '%')
				fits[i][j] =
				    fits[i + 1][j] ||
				    (j < n && (pattern[i] == '*' || name[j] != '/') &&
					fits[i][j + 1]);
			else
				fits[i][j] =
				    j < n && pattern[i] == name[j] && fits[i + 1][j + 1];
		}
	}
	return fits[0][0];
}

static void
try_pattern(struct span in)
{
	char pattern[PATTERN_MAX], name[PATTERN_MAX];
	size_t n = span_find(in, '\n');
	span_copy(span_cut(in, 0, n), pattern, sizeof(pattern));
	span_copy(span_cut(in, n + 1, in.n), name, sizeof(name));
	bool fits = boxes_match(pattern, name);
	if (ascii_lower(name[0]) != 'i')
		CHECK(fits == plainly_fits(pattern, name));
}

/* ---- words */

static void
inside(struct lex *l, const char *before, bool taken, struct span whole)
{
	CHECK(l->in.p >= before && l->in.p <= whole.p + whole.n);
	CHECK(taken || l->in.p == before);
}

static void
try_words(struct span in)
{
	struct lex l = lex_over(in, in.n % 2 == 0);
	while (!lex_done(&l)) {
		const char *before = l.in.p;
		int64_t a, b;
		uint64_t number;
		struct span s;
		struct set set;
		inside(&l, before, lex_partial(&l, &a, &b), in);
		before = l.in.p;
		inside(&l, before, lex_number(&l, 1000, &number), in);
		before = l.in.p;
		inside(&l, before, lex_flag(&l, &s), in);
		before = l.in.p;
		inside(&l, before, lex_nstring(&l, &s), in);
		before = l.in.p;
		inside(&l, before, lex_astring(&l, &s), in);
		before = l.in.p;
		inside(&l, before, lex_list_mailbox(&l, &s), in);
		before = l.in.p;
		inside(&l, before, lex_name(&l, &s), in);
		before = l.in.p;
		bool is_set = lex_set(&l, &set);
		inside(&l, before, is_set, in);
		if (is_set)
			set_clear(&set);
		if (lex_done(&l) || lex_space(&l))
			continue;
		l.in.p++;
	}
	lex_clear(&l);
}

/* What answers have is read as what it was. */
static void
try_string(struct span in)
{
	struct buf b;
	struct span s;
	buf_init(&b, 0);
	lex_add_astring(in, &b);
	struct lex l = lex_over(buf_span(&b), false);
	if (memchr(in.p, '\0', in.n) == NULL)
		CHECK(lex_astring(&l, &s) && lex_done(&l) && span_eq(s, in));
	lex_clear(&l);
	buf_clear(&b);
}

static void
try_date(struct span in)
{
	struct wall when, again;
	int16_t zone, z;
	int64_t day;
	struct buf b;
	struct lex l = lex_over(in, false);
	buf_init(&b, 0);
	(void)lex_date(&l, &day);
	if (lex_date_time(&l, &when, &zone)) {
		lex_add_date_time(when, zone, &b);
		struct lex back = lex_over(buf_span(&b), false);
		CHECK(lex_date_time(&back, &again, &z) && lex_done(&back));
		CHECK(again.ms == when.ms && z == zone);
	}
	lex_clear(&l);
	buf_clear(&b);
}

/* ---- SEARCH */

static int
known(void *arg, struct span keyword)
{
	(void)arg;
	return keyword.n % 2 == 0 ? (int)(keyword.n % 64) : -1;
}

static void
try_search(struct span in)
{
	struct search *s = NULL;
	struct search_options o = {.rev2 = in.n % 2 == 0};
	struct lex l = lex_over(in, false);
	enum search_error e = search_parse(&l, &o, &s);
	if (e == SEARCH_FINE) {
		struct search_mail m = {
		    .number = 3, .uid = 7, .flags = 1, .keywords = 4, .modseq = 9};
		struct set saved = {0};
		CHECK(search_size(s) <= SEARCH_KEYS_MAX);
		(void)search_has_bad_number(s, LAST);
		search_resolve(s, LAST, LAST, LAST + 5, &saved, known, NULL,
		    (struct wall){INT64_C(1795435200000)});
		enum search_answer first = search_match(s, &m);
		CHECK(first == search_match(s, &m));
		CHECK(first != SEARCH_CONTENT || search_reads_octets(s));
	}
	search_free(&s);
	lex_clear(&l);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const tries[])(struct span in) = {
	    try_name, try_set, try_pattern, try_words, try_string, try_date, try_search};
	if (size == 0)
		return 0;
	char *exact = mem_alloc_raw(size - 1);
	memcpy(exact, data + 1, size - 1);
	tries[data[0] % COUNT_OF(tries)]((struct span){exact, size - 1});
	mem_free(&exact);
	return 0;
}
