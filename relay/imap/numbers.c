/* SPDX-License-Identifier: ISC */
/* numbers - see numbers.h. */
#include "relay/imap/numbers.h"

#include "base/check.h"
#include "base/mem.h"

void
numbers_clear(struct numbers *n)
{
	mem_free(&n->run);
	*n = (struct numbers){0};
}

void
numbers_add(struct numbers *n, uint32_t uid)
{
	const struct uid_run *last = n->runs > 0 ? &n->run[n->runs - 1] : NULL;
	uint32_t number = ++n->count;
	if (last != NULL && uid - last->uid == number - last->number)
		return;
	if (n->runs == n->cap) {
		n->cap = n->cap ? n->cap * 2 : 1;
		n->run = mem_resize(n->run, n->cap, sizeof(*n->run));
	}
	n->run[n->runs++] = (struct uid_run){uid, number};
}

/* The last run that begins at or before it, by number or by uid; the first if none does.
 */
static size_t
run_of(const struct numbers *n, uint32_t x, bool by_uid)
{
	size_t low = 0, high = n->runs;
	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;
		if ((by_uid ? n->run[mid].uid : n->run[mid].number) <= x)
			low = mid;
		else
			high = mid;
	}
	return low;
}

static uint32_t
run_length(const struct numbers *n, size_t i)
{
	uint32_t next = i + 1 < n->runs ? n->run[i + 1].number : n->count + 1;
	return next - n->run[i].number;
}

uint32_t
numbers_uid(const struct numbers *n, uint32_t number)
{
	CHECK(number >= 1 && number <= n->count);
	size_t i = run_of(n, number, false);
	return n->run[i].uid + (number - n->run[i].number);
}

uint32_t
numbers_last(const struct numbers *n)
{
	return n->count > 0 ? numbers_uid(n, n->count) : 0;
}

uint32_t
numbers_from(const struct numbers *n, uint32_t uid)
{
	if (n->count == 0)
		return 1;
	size_t i = run_of(n, uid, true);
	const struct uid_run *r = &n->run[i];
	if (uid <= r->uid)
		return r->number;
	uint32_t behind = uid - r->uid, length = run_length(n, i);
	return r->number + (behind < length ? behind : length);
}

uint32_t
numbers_of(const struct numbers *n, uint32_t uid)
{
	uint32_t number = numbers_from(n, uid);
	return number <= n->count && numbers_uid(n, number) == uid ? number : 0;
}

/* Runs are walked, not uids: a mailbox of a million in one run costs one step. */
static void
keep_run(struct numbers *to, uint32_t uid, uint32_t length)
{
	if (length == 0)
		return;
	numbers_add(to, uid);
	to->count += length - 1;
}

void
numbers_remove(struct numbers *n, const struct set *uids,
    void (*told)(void *arg, uint32_t number, uint32_t uid), void *arg)
{
	struct numbers left = {0};
	size_t k = 0;
	if (uids->n == 0)
		return;
	for (size_t i = 0; i < n->runs; i++) {
		uint32_t uid = n->run[i].uid, end = uid + (run_length(n, i) - 1);
		bool over = false;
		while (!over) {
			while (k < uids->n && uids->range[k].to < uid)
				k++;
			bool hit = k < uids->n && uids->range[k].from <= end;
			uint32_t from = hit ? uids->range[k].from : end;
			if (!hit || from > uid)
				keep_run(&left, uid, hit ? from - uid : end - uid + 1);
			if (!hit)
				break;
			uint32_t at = from > uid ? from : uid;
			uint32_t to = uids->range[k].to < end ? uids->range[k].to : end;
			for (uint32_t u = at;; u++) {
				if (told != NULL)
					told(arg, left.count + 1, u);
				if (u == to)
					break;
			}
			over = to == end;
			uid = to + 1;
		}
	}
	numbers_clear(n);
	*n = left;
}

void
numbers_to_uids(const struct numbers *n, const struct set *numbers, struct set *out)
{
	for (size_t i = 0; i < numbers->n; i++) {
		uint32_t at = numbers->range[i].from, to = numbers->range[i].to;
		if (at == 0)
			at = 1;
		if (to > n->count)
			to = n->count;
		while (at <= to) {
			size_t r = run_of(n, at, false);
			uint32_t end = n->run[r].number + run_length(n, r) - 1;
			end = end < to ? end : to;
			uint32_t uid = numbers_uid(n, at);
			set_add_range(out, uid, uid + (end - at));
			at = end + 1;
		}
	}
}
