/* SPDX-License-Identifier: ISC */
/* fetch_parse - the items of a FETCH (RFC 9051 9, fetch-att). */
#include <string.h>

#include "base/mem.h"
#include "relay/imap/fetch.h"

struct fetch_program *
fetch_program_ref(struct fetch_program *p)
{
	atomic_fetch_add(&p->refs, 1);
	return p;
}

void
fetch_program_free(struct fetch_program **pp)
{
	struct fetch_program *p = *pp;
	*pp = NULL;
	if (p == NULL || atomic_fetch_sub(&p->refs, 1) > 1)
		return;
	for (size_t i = 0; i < p->n; i++) {
		mem_free(&p->item[i].label);
		for (size_t k = 0; k < p->item[i].fields; k++)
			mem_free(&p->item[i].field[k]);
		mem_free(&p->item[i].field);
	}
	mem_free(&p);
}

static const struct plain {
	const char *name;
	enum fetch_kind kind;
	unsigned needs;
} plain[] = {
    {"FLAGS", FETCH_FLAGS, 0},
    {"UID", FETCH_UID, 0},
    {"INTERNALDATE", FETCH_INTERNALDATE, NEED_ROW},
    {"RFC822.SIZE", FETCH_SIZE, NEED_ROW},
    {"ENVELOPE", FETCH_ENVELOPE, NEED_ROW | NEED_SHAPE},
    {"BODYSTRUCTURE", FETCH_BODYSTRUCTURE, NEED_ROW | NEED_SHAPE},
    {"MODSEQ", FETCH_MODSEQ, 0},
    {"PREVIEW", FETCH_PREVIEW, NEED_ROW | NEED_SHAPE},
    {"SAVEDATE", FETCH_SAVEDATE, NEED_ROW},
    {"EMAILID", FETCH_EMAILID, NEED_ROW},
    {"THREADID", FETCH_THREADID, 0},
};

void
fetch_add_item(struct fetch_program *p, enum fetch_kind kind)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->item[i].kind == kind && kind < FETCH_SECTION)
			return; /* twice is once */
	}
	if (p->n == FETCH_ITEMS_MAX)
		return;
	p->item[p->n++] = (struct fetch_item){.kind = kind};
	p->flags = p->flags || kind == FETCH_FLAGS;
	for (size_t i = 0; i < COUNT_OF(plain); i++) {
		if (plain[i].kind == kind)
			p->needs |= plain[i].needs;
	}
	if (kind == FETCH_BODY)
		p->needs |= NEED_ROW | NEED_SHAPE;
}

/* In front, where clients can tell whose literals follow. */
void
fetch_begin_with_uid(struct fetch_program *p)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->item[i].kind == FETCH_UID)
			return;
	}
	if (p->n == FETCH_ITEMS_MAX)
		return;
	memmove(&p->item[1], &p->item[0], p->n * sizeof(p->item[0]));
	p->item[0] = (struct fetch_item){.kind = FETCH_UID};
	p->n++;
}

/* ---- sections: "[1.2.HEADER.FIELDS (From To)]<0.100>" */

static bool
parse_path(struct lex *l, struct fetch_item *it)
{
	uint64_t n = 0;
	while (lex_number(l, UINT32_MAX, &n)) {
		if (n == 0 || it->path_n == FETCH_PATH_MAX)
			return false;
		it->path[it->path_n++] = (uint32_t)n;
		if (!lex_char(l, '.'))
			return true; /* the part itself */
	}
	return true;
}

static bool
parse_fields(struct lex *l, struct fetch_item *it)
{
	struct span name;
	if (!lex_space(l) || !lex_char(l, '('))
		return false;
	it->field = mem_alloc(FETCH_FIELDS_MAX * sizeof(*it->field));
	do {
		if (it->fields == FETCH_FIELDS_MAX || !lex_astring(l, &name))
			return false;
		it->field[it->fields++] = span_dup(name);
	} while (lex_space(l));
	return lex_char(l, ')');
}

static bool
parse_what(struct lex *l, struct fetch_item *it)
{
	if (lex_word(l, "HEADER.FIELDS.NOT"))
		it->what = WHAT_FIELDS_NOT;
	else if (lex_word(l, "HEADER.FIELDS"))
		it->what = WHAT_FIELDS;
	else if (lex_word(l, "HEADER"))
		it->what = WHAT_HEADER;
	else if (lex_word(l, "TEXT"))
		it->what = WHAT_TEXT;
	else if (lex_word(l, "MIME"))
		it->what = WHAT_MIME;
	else
		return false;
	if (it->what == WHAT_MIME && it->path_n == 0)
		return false;
	if (it->what == WHAT_FIELDS || it->what == WHAT_FIELDS_NOT)
		return parse_fields(l, it);
	return true;
}

static bool
parse_partial(struct lex *l, struct fetch_item *it)
{
	if (!lex_char(l, '<'))
		return true;
	it->partial = true;
	return lex_number(l, INT64_MAX, &it->from) && lex_char(l, '.') &&
	       lex_number(l, INT64_MAX, &it->count) && it->count > 0 && lex_char(l, '>');
}

/* The answer repeats what was asked, the numbers of octets but the first left out. */
static void
make_label(struct fetch_item *it, const char *word)
{
	static const char *const names[] = {[WHAT_HEADER] = "HEADER",
	    [WHAT_TEXT] = "TEXT",
	    [WHAT_MIME] = "MIME",
	    [WHAT_FIELDS] = "HEADER.FIELDS",
	    [WHAT_FIELDS_NOT] = "HEADER.FIELDS.NOT"};
	struct buf b;
	buf_init(&b, 0);
	buf_addf(&b, "%s[", word);
	for (size_t i = 0; i < it->path_n; i++)
		buf_addf(&b, "%s%u", i > 0 ? "." : "", it->path[i]);
	if (it->what != WHAT_ALL)
		buf_addf(&b, "%s%s", it->path_n > 0 ? "." : "", names[it->what]);
	for (size_t i = 0; i < it->fields; i++) {
		buf_add_str(&b, i == 0 ? " (" : " ");
		lex_add_astring(span_str(it->field[i]), &b);
	}
	buf_add_str(&b, it->fields > 0 ? ")]" : "]");
	if (it->partial && it->kind != FETCH_BINARY_SIZE)
		buf_addf(&b, "<%llu>", (unsigned long long)it->from);
	it->label = buf_take(&b);
}

static bool
parse_section(struct lex *l, struct fetch_program *p, enum fetch_kind kind, bool peek)
{
	if (p->n == FETCH_ITEMS_MAX)
		return false;
	if (kind != FETCH_SECTION && p->binaries++ == FETCH_BINARY_ITEMS_MAX)
		return false;
	struct fetch_item *it = &p->item[p->n++];
	*it = (struct fetch_item){.kind = kind};
	if (!lex_char(l, '[') || !parse_path(l, it))
		return false;
	if (scan_peek(&l->in) != ']' && (kind != FETCH_SECTION || !parse_what(l, it)))
		return false;
	if (!lex_char(l, ']') || (kind != FETCH_BINARY_SIZE && !parse_partial(l, it)))
		return false;
	make_label(it, kind == FETCH_SECTION  ? "BODY"
		       : kind == FETCH_BINARY ? "BINARY"
					      : "BINARY.SIZE");
	p->needs |= NEED_ROW | NEED_SHAPE | NEED_CONTENT;
	p->seen = p->seen || (!peek && kind != FETCH_BINARY_SIZE);
	p->whole =
	    p->whole || it->path_n > 0 || it->what == WHAT_ALL || it->what == WHAT_TEXT;
	return true;
}

/* RFC822 and its like are sections by other names. */
static bool
add_old(struct fetch_program *p, const char *label, enum fetch_what what)
{
	if (p->n == FETCH_ITEMS_MAX)
		return false;
	p->item[p->n++] = (struct fetch_item){
	    .kind = FETCH_SECTION, .label = mem_strdup(label), .what = what};
	p->needs |= NEED_ROW | NEED_SHAPE | NEED_CONTENT;
	p->seen = p->seen || what != WHAT_HEADER;
	p->whole = p->whole || what != WHAT_HEADER;
	return true;
}

/* ---- items */

static bool
parse_preview(struct lex *l)
{
	struct lex at = *l;
	if (!lex_space(&at) || !lex_char(&at, '(') || !lex_word(&at, "LAZY") ||
	    !lex_char(&at, ')'))
		return true;
	l->in = at.in;
	return true;
}

static bool
parse_plain(struct lex *l, struct fetch_program *p)
{
	for (size_t i = 0; i < COUNT_OF(plain); i++) {
		if (!lex_word(l, plain[i].name))
			continue;
		fetch_add_item(p, plain[i].kind);
		return plain[i].kind != FETCH_PREVIEW || parse_preview(l);
	}
	return false;
}

static bool
parse_item(struct lex *l, struct fetch_program *p)
{
	if (parse_plain(l, p))
		return true;
	if (lex_word(l, "RFC822.HEADER"))
		return add_old(p, "RFC822.HEADER", WHAT_HEADER);
	if (lex_word(l, "RFC822.TEXT"))
		return add_old(p, "RFC822.TEXT", WHAT_TEXT);
	if (lex_word(l, "RFC822"))
		return add_old(p, "RFC822", WHAT_ALL);
	if (lex_word(l, "BODY.PEEK"))
		return parse_section(l, p, FETCH_SECTION, true);
	if (lex_word(l, "BINARY.PEEK"))
		return parse_section(l, p, FETCH_BINARY, true);
	if (lex_word(l, "BINARY.SIZE"))
		return parse_section(l, p, FETCH_BINARY_SIZE, true);
	if (lex_word(l, "BINARY"))
		return parse_section(l, p, FETCH_BINARY, false);
	if (!lex_word(l, "BODY"))
		return false;
	if (scan_peek(&l->in) == '[')
		return parse_section(l, p, FETCH_SECTION, false);
	fetch_add_item(p, FETCH_BODY);
	return true;
}

static bool
parse_macro(struct lex *l, struct fetch_program *p)
{
	static const enum fetch_kind fast[] = {
	    FETCH_FLAGS, FETCH_INTERNALDATE, FETCH_SIZE, FETCH_ENVELOPE, FETCH_BODY};
	size_t n = lex_word(l, "FAST")   ? 3
		   : lex_word(l, "ALL")  ? 4
		   : lex_word(l, "FULL") ? 5
					 : 0;
	for (size_t i = 0; i < n; i++)
		fetch_add_item(p, fast[i]);
	return n > 0;
}

static bool
parse_items(struct lex *l, struct fetch_program *p)
{
	if (parse_macro(l, p))
		return true;
	if (!lex_char(l, '('))
		return parse_item(l, p);
	do {
		if (!parse_item(l, p))
			return false;
	} while (lex_space(l));
	return lex_char(l, ')');
}

/* " (CHANGEDSINCE 12 VANISHED)" (RFC 7162) */
static bool
parse_modifiers(struct lex *l, struct fetch_program *p)
{
	if (lex_done(l))
		return true;
	if (!lex_space(l) || !lex_char(l, '('))
		return false;
	do {
		if (lex_word(l, "CHANGEDSINCE")) {
			p->changed_since = true;
			if (!lex_space(l) || !lex_number(l, INT64_MAX, &p->since))
				return false;
		} else if (lex_word(l, "PARTIAL")) {
			p->partial = true;
			if (!lex_space(l) || !lex_partial(l, &p->part_from, &p->part_to))
				return false;
		} else if (lex_word(l, "VANISHED")) {
			p->vanished = true;
		} else {
			return false;
		}
	} while (lex_space(l));
	return lex_char(l, ')') && lex_done(l) && (!p->vanished || p->changed_since);
}

struct fetch_program *
fetch_parse(struct lex *l, const char **why)
{
	struct fetch_program *p = NEW(struct fetch_program);
	*why = NULL;
	atomic_init(&p->refs, 1);
	if (!parse_items(l, p))
		*why = "this is no item to fetch, or too many";
	else if (!parse_modifiers(l, p))
		*why = "something is wrong behind the items";
	if (*why != NULL)
		fetch_program_free(&p);
	return p;
}
