/* SPDX-License-Identifier: ISC */
/* config_reading - what one reading has gathered: files, blocks, problems. */
#include "relay/config_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define PROBLEMS_SHOWN 50

unsigned
reading_file(struct reading *r, const char *name)
{
	for (unsigned i = 0; i < r->files; i++)
		if (strcmp(r->file[i], name) == 0)
			return i;
	r->file = mem_resize(r->file, r->files + 1, sizeof(*r->file));
	r->file[r->files] = mem_strdup(name);
	return r->files++;
}

static void
block_clear(struct block *b)
{
	for (size_t i = 0; i < b->settings; i++)
		mem_free(&b->setting[i].text);
	mem_free(&b->setting);
	mem_free(&b->title);
}

void
reading_clear_blocks(struct reading *r)
{
	for (size_t i = 0; i < r->blocks; i++)
		block_clear(&r->block[i]);
	mem_free(&r->block);
	r->blocks = 0;
}

void
reading_clear(struct reading *r)
{
	reading_clear_blocks(r);
	for (unsigned i = 0; i < r->files; i++)
		mem_free(&r->file[i]);
	for (size_t i = 0; i < r->problems; i++)
		mem_free(&r->problem[i].text);
	for (size_t i = 0; i < r->unknowns; i++) {
		mem_free(&r->unknown[i].section);
		mem_free(&r->unknown[i].name);
	}
	mem_free(&r->file);
	mem_free(&r->problem);
	mem_free(&r->unknown);
	*r = (struct reading){0};
}

/* ---- problems */

/* What stands in a file may be anything; what is printed is one harmless line. */
static void
make_printable(struct buf *b)
{
	for (size_t i = 0; i < b->n; i++)
		if ((unsigned char)b->p[i] < 0x20 || b->p[i] == 0x7f)
			b->p[i] = '?';
}

/* config_parse.c goes over a text several times, and finds the same again. */
static bool
is_noted(const struct reading *r, struct place at, const char *text)
{
	for (size_t i = 0; i < r->problems; i++)
		if (r->problem[i].at.file == at.file &&
		    r->problem[i].at.line == at.line &&
		    strcmp(r->problem[i].text, text) == 0)
			return true;
	return false;
}

static void __attribute__((format(printf, 4, 0)))
note(struct reading *r, struct place at, bool warning, const char *fmt, va_list ap)
{
	struct buf b;
	buf_init(&b, 4096);
	buf_addv(&b, fmt, ap);
	make_printable(&b);
	char *text = buf_take(&b);
	if (is_noted(r, at, text)) {
		mem_free(&text);
		return;
	}
	r->problem = mem_resize(r->problem, r->problems + 1, sizeof(*r->problem));
	r->problem[r->problems] = (struct problem){at, warning, text, r->problems};
	r->problems++;
	r->errors += !warning;
}

void
reading_problem(struct reading *r, struct place at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	note(r, at, false, fmt, ap);
	va_end(ap);
}

void
reading_warning(struct reading *r, struct place at, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	note(r, at, true, fmt, ap);
	va_end(ap);
}

static int
by_place(const void *pa, const void *pb)
{
	const struct problem *a = pa, *b = pb;
	if (a->at.file != b->at.file)
		return a->at.file < b->at.file ? -1 : 1;
	if (a->at.line != b->at.line)
		return a->at.line < b->at.line ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

void
reading_print(struct reading *r, struct buf *out)
{
	if (r->problems > 1)
		qsort(r->problem, r->problems, sizeof(*r->problem), by_place);
	for (size_t i = 0; i < r->problems && i < PROBLEMS_SHOWN; i++) {
		const struct problem *p = &r->problem[i];
		buf_addf(out, "%s:%u: %s%s\n", r->file[p->at.file], p->at.line,
		    p->warning ? "warning: " : "", p->text);
	}
	if (r->problems > PROBLEMS_SHOWN)
		buf_addf(out, "... and %zu more\n", r->problems - PROBLEMS_SHOWN);
}

/* ---- blocks */

void
block_add_name(const struct block *b, struct buf *out)
{
	if (b == NULL || *b->section->name == '\0')
		return;
	if (b->title != NULL)
		buf_addf(out, "%s \"%.60s\": ", b->section->name, b->title);
	else
		buf_addf(out, "%s: ", b->section->name);
}

const struct setting *
block_setting(const struct block *b, const char *key)
{
	for (size_t i = 0; i < b->settings; i++)
		if (strcmp(b->setting[i].key->name, key) == 0)
			return &b->setting[i];
	return NULL;
}

const struct block *
reading_block(const struct reading *r, const char *section)
{
	for (size_t i = 0; i < r->blocks; i++)
		if (strcmp(r->block[i].section->name, section) == 0)
			return &r->block[i];
	return NULL;
}

struct place
reading_place(const struct reading *r, const char *section, const char *key)
{
	const struct block *b = reading_block(r, section);
	const struct setting *s = b != NULL ? block_setting(b, key) : NULL;
	return s != NULL ? s->at : b != NULL ? b->at : (struct place){0, 1};
}
