/* SPDX-License-Identifier: ISC */
/*
 * sort - SORT (RFC 5256 3, RFC 5957): of each mail that was found the keys that are asked
 * for are kept, then all are sorted; where they are equal the order of numbers decides.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "relay/imap/search.h"
#include "relay/mime/text.h"

struct sort_value {
	int64_t number;
	char *text; /* owned; NULL: none, which comes first */
};

struct sort_entry {
	uint32_t number;
	const struct sort_program *program;
	struct sort_value value[];
};

struct sorter {
	struct sort_program program;
	struct sort_entry **entry;
	size_t n, cap;
	size_t octets;
	uint32_t *result;
};

bool
sort_parse(struct lex *l, struct sort_program *out)
{
	static const struct {
		const char *name;
		enum sort_key key;
	} keys[] = {{"ARRIVAL", SORT_ARRIVAL}, {"CC", SORT_CC}, {"DATE", SORT_DATE},
	    {"DISPLAYFROM", SORT_DISPLAYFROM}, {"DISPLAYTO", SORT_DISPLAYTO},
	    {"FROM", SORT_FROM}, {"SIZE", SORT_SIZE}, {"SUBJECT", SORT_SUBJECT},
	    {"TO", SORT_TO}};
	*out = (struct sort_program){0};
	if (!lex_char(l, '('))
		return false;
	do {
		size_t i = 0;
		bool reverse = lex_word(l, "REVERSE");
		if ((reverse && !lex_space(l)) || out->n == SORT_KEYS_MAX)
			return false;
		while (i < COUNT_OF(keys) && !lex_word(l, keys[i].name))
			i++;
		if (i == COUNT_OF(keys))
			return false;
		out->key[out->n].key = keys[i].key;
		out->key[out->n++].reverse = reverse;
	} while (lex_space(l));
	return lex_char(l, ')');
}

struct sorter *
sorter_new(const struct sort_program *p)
{
	struct sorter *s = NEW(struct sorter);
	s->program = *p;
	return s;
}

static void
entry_free(struct sort_entry *e)
{
	for (size_t i = 0; i < e->program->n; i++)
		mem_free(&e->value[i].text);
	mem_free(&e);
}

void
sorter_free(struct sorter **sp)
{
	struct sorter *s = *sp;
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n; i++)
		entry_free(s->entry[i]);
	mem_free(&s->entry);
	mem_free(&s->result);
	mem_free(sp);
}

/* ---- values */

/* The first address of "Name <a@b>, ..."; its mailbox, or where display is wanted its
 * name, if it has one (RFC 5957). */
static struct span
first_of(struct span list, bool display)
{
	bool quoted = false;
	size_t end = 0, open = list.n, close;
	for (; end < list.n && (quoted || list.p[end] != ','); end++) {
		quoted = quoted != (list.p[end] == '"');
		if (!quoted && list.p[end] == '<')
			open = end;
	}
	struct span one = span_trim(span_cut(list, 0, end)), spec = one;
	struct span name = {"", 0};
	if (open < end) {
		name = span_trim(span_cut(list, 0, open));
		spec = span_cut(list, open + 1, end - open - 1);
		close = span_find(spec, '>');
		spec = span_cut(spec, 0, close);
	}
	if (display && name.n > 1 && name.p[0] == '"')
		name = span_cut(name, 1, name.n - 2);
	if (display && name.n > 0)
		return name;
	return display ? spec : span_cut(spec, 0, span_find(spec, '@'));
}

static char *
folded(struct sorter *s, struct span text)
{
	struct buf b;
	if (text.n == 0)
		return NULL;
	buf_init(&b, 0);
	text_fold(text, &b);
	s->octets += b.n + 1;
	return buf_take(&b);
}

static struct sort_value
value_of(struct sorter *s, enum sort_key key, const struct mail_sight *x,
    const struct shape *shape)
{
	struct sort_value v = {0};
	switch (key) {
	case SORT_ARRIVAL: v.number = x->row.internal.ms; break;
	case SORT_DATE:
		v.number = shape->sent.ms != 0 ? shape->sent.ms : x->row.internal.ms;
		break;
	case SORT_SIZE: v.number = (int64_t)x->row.size; break;
	case SORT_CC: v.text = folded(s, first_of(shape->cc, false)); break;
	case SORT_FROM: v.text = folded(s, first_of(shape->from, false)); break;
	case SORT_TO: v.text = folded(s, first_of(shape->to, false)); break;
	case SORT_DISPLAYFROM: v.text = folded(s, first_of(shape->from, true)); break;
	case SORT_DISPLAYTO: v.text = folded(s, first_of(shape->to, true)); break;
	case SORT_SUBJECT: v.text = folded(s, shape->base_subject); break;
	}
	return v;
}

bool
sorter_add(struct sorter *s, uint32_t number, const struct mail_sight *x,
    const struct shape *shape)
{
	size_t size =
	    sizeof(struct sort_entry) + s->program.n * sizeof(struct sort_value);
	if (s->octets + size > SORT_MEMORY_MAX)
		return false;
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 64;
		s->entry = mem_resize(s->entry, s->cap, sizeof(struct sort_entry *));
	}
	struct sort_entry *e = mem_alloc(size);
	e->number = number;
	e->program = &s->program;
	for (size_t i = 0; i < s->program.n; i++)
		e->value[i] = value_of(s, s->program.key[i].key, x, shape);
	s->entry[s->n++] = e;
	s->octets += size + sizeof(e);
	return true;
}

/* ---- order */

static int
compare_values(const struct sort_value *a, const struct sort_value *b)
{
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	if (a->text == NULL || b->text == NULL)
		return (a->text != NULL) - (b->text != NULL);
	return strcmp(a->text, b->text);
}

static int
compare(const void *pa, const void *pb)
{
	const struct sort_entry *a = *(const struct sort_entry *const *)pa,
				*b = *(const struct sort_entry *const *)pb;
	for (size_t i = 0; i < a->program->n; i++) {
		int c = compare_values(&a->value[i], &b->value[i]);
		if (c != 0)
			return a->program->key[i].reverse ? -c : c;
	}
	return a->number < b->number ? -1 : a->number > b->number;
}

const uint32_t *
sorter_end(struct sorter *s, size_t *n)
{
	if (s->n > 0)
		qsort(s->entry, s->n, sizeof(struct sort_entry *), compare);
	mem_free(&s->result);
	s->result = mem_alloc((s->n + 1) * sizeof(*s->result));
	for (size_t i = 0; i < s->n; i++)
		s->result[i] = s->entry[i]->number;
	*n = s->n;
	return s->result;
}
