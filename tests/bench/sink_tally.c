/* SPDX-License-Identifier: ISC */
#include "sink_tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/units.h"

#define TAG_MAX 64
#define NUMBER_MAX (UINT64_C(1) << 26)

struct arrival {
	int64_t us;
	uint64_t recipients;
};

struct tally {
	char tag[TAG_MAX];
	struct arrival *arrival; /* by number */
	uint64_t room, pairs, messages, duplicates, strays;
	int64_t first_us, last_us;
};

struct tally *
tally_new(void)
{
	return NEW(struct tally);
}

void
tally_free(struct tally **t)
{
	if (*t == NULL)
		return;
	mem_free(&(*t)->arrival);
	mem_free(t);
}

void
tally_begin(struct tally *t, struct span tag)
{
	mem_free(&t->arrival);
	*t = (struct tally){.room = 0};
	span_copy(tag, t->tag, sizeof(t->tag));
}

uint64_t
tally_recipient(struct span command)
{
	size_t at = span_find(command, '<');
	struct span local = span_cut(command, at + 2, command.n);
	uint64_t n = 0;
	if (units_u64(span_cut(local, 0, span_find(local, '@')), 63, &n) != OK)
		return 1;
	return UINT64_C(1) << n;
}

static void
make_room(struct tally *t, uint64_t number)
{
	if (number < t->room)
		return;
	uint64_t room = t->room ? t->room : 4096;
	while (room <= number)
		room *= 2;
	t->arrival = mem_resize(t->arrival, room, sizeof(*t->arrival));
	memset(t->arrival + t->room, 0, (room - t->room) * sizeof(*t->arrival));
	t->room = room;
}

static uint64_t
count_bits(uint64_t set)
{
	return (uint64_t)__builtin_popcountll(set);
}

void
tally_add(struct tally *t, struct span id, uint64_t recipients, int64_t now_us)
{
	struct span tag = span_str(t->tag);
	uint64_t number = 0;
	bool ours = id.n > tag.n && span_starts(id, tag) && id.p[tag.n] == '-' &&
		    units_u64(span_cut(id, tag.n + 1, id.n), NUMBER_MAX, &number) == OK;
	if (!ours) {
		t->strays++;
		return;
	}
	make_room(t, number);
	struct arrival *a = &t->arrival[number];
	uint64_t fresh = recipients & ~a->recipients;
	t->duplicates += count_bits(recipients & a->recipients);
	t->pairs += count_bits(fresh);
	if (a->recipients == 0) {
		t->messages++;
		a->us = now_us;
	}
	a->recipients |= fresh;
	if (t->first_us == 0)
		t->first_us = now_us;
	t->last_us = now_us;
}

uint64_t
tally_pairs(const struct tally *t)
{
	return t->pairs;
}

void
tally_print(const struct tally *t, uint64_t bytes, uint64_t connections)
{
	printf("{\"messages\":%" PRIu64 ",\"pairs\":%" PRIu64 ",\"duplicates\":%" PRIu64
	       ",\"strays\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"connections\":%" PRIu64
	       ",\"first_us\":%" PRId64 ",\"last_us\":%" PRId64 "}\n",
	    t->messages, t->pairs, t->duplicates, t->strays, bytes, connections,
	    t->first_us, t->last_us);
	fflush(stdout);
}

void
tally_write_times(const struct tally *t, const char *file)
{
	FILE *f = fopen(file, "w");
	if (f == NULL) {
		perror(file);
		exit(1);
	}
	for (uint64_t i = 0; i < t->room; i++)
		if (t->arrival[i].recipients != 0)
			fprintf(f, "%" PRIu64 " %" PRId64 "\n", i, t->arrival[i].us);
	if (fclose(f) != 0)
		exit(1);
}
