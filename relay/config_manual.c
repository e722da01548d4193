/* SPDX-License-Identifier: ISC */
/*
 * config_manual - relayd.conf(5) out of the schema and a page to be filled in
 * (tools/relayd.conf.5.in), which is mdoc with lines that begin with "@":
 *
 *	@section NAME	a section of the configuration: its heading, what the schema
 *			says of it, the lines that follow, and all of its keys
 *	@key NAME	more about one key, behind what the schema says of it
 *	@after		lines behind the keys of the section
 *	@text		here the section ends, and plain mdoc goes on
 *	@restart	the keys that a reload does not change
 *
 * So a key, its type, bounds, default and first sentence stand in one place, and
 * the page can forget none: every section must be asked for, and nothing may be
 * described that is not there.  It runs when relayd is built, never in it.
 */
#include "relay/config_private.h"

#include <stdarg.h>
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"

#define LINE_LONG 60 /* octets, after which one is broken between words */

struct manual {
	const char *name; /* the page's, for messages */
	unsigned line;
	struct buf *out, *problems;
	const struct config_section *section; /* NULL: outside of one */
	const struct config_key *key;         /* that is being described, or NULL */
	bool after;
	struct buf *more; /* for each key of the schema */
	struct buf opening, closing;
	bool *told; /* for each section of the schema */
};

static void __attribute__((format(printf, 2, 3)))
problem(struct manual *m, const char *fmt, ...)
{
	va_list ap;
	buf_addf(m->problems, "%s:%u: ", m->name, m->line);
	va_start(ap, fmt);
	buf_addv(m->problems, fmt, ap);
	va_end(ap);
	buf_add_char(m->problems, '\n');
}

/* ---- the schema's words as mdoc */

/* The characters of a word, none of them understood as mdoc. */
static void
add_plain(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			buf_add_str(out, "\\(dq");
		else if (s.p[i] == '\\')
			buf_add_str(out, "\\e");
		else
			buf_add_char(out, s.p[i]);
	}
}

/* An argument of a macro; a lone mark is an argument like any other. */
static void
add_argument(struct buf *out, struct span word)
{
	if (word.n == 1 && strchr(".,:;()[]?!|", word.p[0]) != NULL)
		buf_add_str(out, "\\&");
	add_plain(out, word);
}

static void
end_line(struct buf *out)
{
	if (out->n > 0 && out->p[out->n - 1] == ' ')
		out->n--;
	if (out->n > 0 && out->p[out->n - 1] != '\n')
		buf_add_char(out, '\n');
}

/* Between two words: a blank, or a new line. */
static void
add_blank(struct buf *out)
{
	size_t n = 0;
	while (n < out->n && out->p[out->n - n - 1] != '\n')
		n++;
	if (n > LINE_LONG)
		buf_add_char(out, '\n');
	else if (n > 0)
		buf_add_char(out, ' ');
}

/* What follows a macro's argument without a blank: marks, as arguments of their own. */
static struct span
add_marks(struct buf *out, struct span rest)
{
	size_t n = 0;
	while (n < rest.n && strchr(".,:;)", rest.p[n]) != NULL)
		buf_addf(out, " %c", rest.p[n++]);
	buf_add_char(out, '\n');
	return span_cut(rest, n, rest.n);
}

/* "relayctl(8)" at the start of s: its length without the section, or 0. */
static size_t
page_name(struct span s)
{
	size_t n = 0;
	while (n < s.n && (is_alnum((unsigned char)s.p[n]) || s.p[n] == '-'))
		n++;
	bool is = n > 0 && n + 2 < s.n && s.p[n] == '(' &&
		  is_digit((unsigned char)s.p[n + 1]) && s.p[n + 2] == ')';
	return is ? n : 0;
}

/* Words with single blanks; `code` and page(8) become macros, each on its own line. */
static void
add_sentence(struct buf *out, struct span s)
{
	while (s.n > 0) {
		size_t end = s.p[0] == '`' ? span_find(span_cut(s, 1, s.n), '`') : 0;
		size_t page = page_name(s);
		if (s.p[0] == '`' && end < s.n - 1) {
			end_line(out);
			buf_add_str(out, ".Cm ");
			add_argument(out, span_cut(s, 1, end));
			s = add_marks(out, span_cut(s, end + 2, s.n));
		} else if (page > 0) {
			end_line(out);
			buf_addf(out, ".Xr %.*s %c", (int)page, s.p, s.p[page + 1]);
			s = add_marks(out, span_cut(s, page + 3, s.n));
		} else {
			struct span word = span_cut(s, 0, span_find(s, ' '));
			bool begins = out->n == 0 || out->p[out->n - 1] == '\n';
			if (begins && strchr(".'", word.p[0]) != NULL)
				buf_add_str(out, "\\&");
			add_plain(out, word);
			s = span_cut(s, word.n, s.n);
		}
		if (s.n > 0 && s.p[0] == ' ') {
			s = span_cut(s, 1, s.n);
			add_blank(out);
		}
	}
	end_line(out);
}

static void
add_range(struct buf *out, const struct config_key *k)
{
	struct buf range;
	buf_init(&range, 200);
	value_add_range(k, &range);
	struct span s = buf_span(&range), to = SPAN(" to ");
	for (size_t i = 0; i + to.n < s.n; i++)
		if (span_starts(span_cut(s, i, s.n), to))
			buf_addf(out, "From\n.Cm %.*s\nto\n.Cm %.*s .\n", (int)i, s.p,
			    (int)(s.n - i - to.n), s.p + i + to.n);
	buf_clear(&range);
}

static void
add_default(struct buf *out, const struct config_key *k)
{
	if (k->fallback == NULL)
		return;
	struct span s = span_str(k->fallback);
	buf_add_str(out, "Default:\n");
	if (s.p[0] == '(') {
		struct buf words;
		buf_init(&words, 1000);
		buf_add_span(&words, span_cut(s, 1, s.n - 2));
		buf_add_char(&words, '.');
		add_sentence(out, buf_span(&words));
		buf_clear(&words);
		return;
	}
	if (!value_is_list(k->type)) {
		buf_add_str(out, ".Cm ");
		add_argument(out, s);
		buf_add_str(out, " .\n");
		return;
	}
	buf_add_str(out, ".Li {");
	for (size_t from = 0; from < s.n;) {
		struct span rest = span_cut(s, from, s.n);
		size_t n = span_find(rest, ',');
		n = n < rest.n ? n : rest.n;
		buf_addf(out, "%s\\(dq%.*s\\(dq", from > 0 ? ", " : "", (int)n, rest.p);
		from += n + 2;
	}
	buf_add_str(out, "} .\n");
}

static void
add_key(struct manual *m, const struct config_key *k)
{
	struct buf room;
	buf_init(&room, 200);
	buf_addf(m->out, ".It Cm %s No = Ar %s\n", k->name, value_type_name(k, &room));
	buf_clear(&room);
	add_sentence(m->out, span_str(k->about));
	buf_add_span(m->out, buf_span(&m->more[k - config_schema]));
	add_range(m->out, k);
	add_default(m->out, k);
}

/* ---- the page */

static void
close_section(struct manual *m)
{
	const struct config_section *s = m->section;
	if (s == NULL)
		return;
	buf_addf(m->out, ".Ss %s%s\n", *s->name ? s->name : "Outside of all sections",
	    !*s->name   ? ""
	    : s->titled ? " \\(dqNAME\\(dq { }"
			: " { }");
	add_sentence(m->out, span_str(s->about));
	buf_add_span(m->out, buf_span(&m->opening));
	buf_add_str(m->out, ".Bl -tag -width Ds\n");
	for (const struct config_key *k = config_schema; k->name != NULL; k++)
		if (strcmp(k->section, s->name) == 0)
			add_key(m, k);
	buf_add_str(m->out, ".El\n");
	buf_add_span(m->out, buf_span(&m->closing));
	buf_reset(&m->opening);
	buf_reset(&m->closing);
	m->section = NULL;
	m->key = NULL;
	m->after = false;
}

static void
on_section(struct manual *m, const char *name)
{
	close_section(m);
	const struct config_section *s = config_section_find(name);
	if (s == NULL) {
		problem(m, "there is no section \"%s\"", name);
		return;
	}
	if (m->told[s - config_sections])
		problem(m, "section \"%s\" was told already", name);
	m->told[s - config_sections] = true;
	m->section = s;
}

static void
on_key(struct manual *m, const char *name)
{
	m->key = m->section != NULL ? config_key_find(m->section->name, name) : NULL;
	if (m->key == NULL)
		problem(m, "there is no key \"%s\" here", name);
	else if (m->more[m->key - config_schema].n > 0)
		problem(m, "key \"%s\" was told already", name);
}

/* ".Cm path , max-size" and ".Li spool { } ;" */
static void
add_restart(struct buf *out)
{
	for (const struct config_section *s = config_sections; s->name != NULL; s++) {
		unsigned n = 0;
		for (const struct config_key *k = config_schema; k->name != NULL; k++)
			if (strcmp(k->section, s->name) == 0 && (k->flags & KEY_RESTART))
				buf_addf(out, "%s%s", n++ == 0 ? ".Cm " : " , ", k->name);
		if (n == 0)
			continue;
		if (*s->name)
			buf_addf(out, "\nin\n.Cm %s { } ;\n", s->name);
		else
			buf_add_str(out, " ;\n");
	}
}

static void
on_word(struct manual *m, struct span line)
{
	struct scan in = scan_over(line);
	struct span word = {0};
	scan_word(&in, &word);
	scan_skip_blanks(&in);
	char *name = span_dup(span_trim(scan_rest(&in)));
	if (span_eq(word, SPAN("@section")))
		on_section(m, name);
	else if (span_eq(word, SPAN("@key")))
		on_key(m, name);
	else if (span_eq(word, SPAN("@after")) && m->section != NULL)
		m->after = true;
	else if (span_eq(word, SPAN("@text")))
		close_section(m);
	else if (span_eq(word, SPAN("@restart")) && m->section == NULL)
		add_restart(m->out);
	else
		problem(m, "%.*s is not understood here", SPAN_ARG(word));
	mem_free(&name);
}

static struct buf *
where(struct manual *m)
{
	if (m->section == NULL)
		return m->out;
	if (m->after)
		return &m->closing;
	return m->key != NULL ? &m->more[m->key - config_schema] : &m->opening;
}

bool
config_manual(struct span page, const char *name, struct buf *out, struct buf *problems)
{
	struct manual m = {.name = name, .out = out, .problems = problems};
	size_t keys = 0, sections = 0, before = problems->n;
	while (config_schema[keys].name != NULL)
		keys++;
	while (config_sections[sections].name != NULL)
		sections++;
	m.more = mem_alloc(keys * sizeof(*m.more));
	for (size_t i = 0; i < keys; i++)
		buf_init(&m.more[i], 0);
	m.told = mem_alloc(sections * sizeof(*m.told));
	buf_init(&m.opening, 0);
	buf_init(&m.closing, 0);

	while (page.n > 0) {
		size_t n = span_find(page, '\n');
		struct span line = span_cut(page, 0, n < page.n ? n : page.n);
		page = span_cut(page, line.n + 1, page.n);
		m.line++;
		if (line.n > 0 && line.p[0] == '@') {
			on_word(&m, line);
			continue;
		}
		buf_add_span(where(&m), line);
		buf_add_char(where(&m), '\n');
	}
	close_section(&m);
	for (size_t i = 0; i < sections; i++)
		if (!m.told[i])
			problem(&m, "section \"%s\" is not asked for",
			    config_sections[i].name);

	for (size_t i = 0; i < keys; i++)
		buf_clear(&m.more[i]);
	mem_free(&m.more);
	mem_free(&m.told);
	buf_clear(&m.opening);
	buf_clear(&m.closing);
	return problems->n == before;
}
