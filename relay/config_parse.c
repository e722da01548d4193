/* SPDX-License-Identifier: ISC */
/*
 * config_parse - libconfuse 3.3 with the schema's sections and keys; out come
 * blocks of settings, every value still text, each with its file and line.
 *
 * Three things are done in a way of our own, because libconfuse does not tell
 * enough about them:
 *  - The line of a titled section: its first option (OPENING) has a default that
 *    libconfuse reads at the very moment it opens the section.
 *  - Unknown keys: libconfuse stops at the first.  Its name is learned as one more
 *    option (then as a section, if it turns out to be one), and all is parsed
 *    again, until there is nothing left to learn.  Each is reported once.
 *  - Includes: libconfuse's own keep a file open and a slot taken for each error
 *    inside, so that a daemon that is reloaded often ends up without.
 *
 * libconfuse's lexer is one per process, and so a configuration is read by one
 * thread at a time: the main thread.
 */
#include "relay/config_private.h"

#include <confuse.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

#define OPENING "\001"
#define ROOT "root" /* libconfuse's name of the outermost section */
#define UNKNOWN_MAX 60

enum shape { SHAPE_KEY, SHAPE_SECTION, SHAPE_TITLED };

/*
 * libconfuse's callbacks get no argument of ours.  Set while it works for this
 * thread, NULL while it only reads the defaults of lists.
 */
static _Thread_local struct reading *reading_now;

static struct place
here(const struct reading *r, const cfg_t *cfg)
{
	return (struct place){r->now, cfg->line > 0 ? (unsigned)cfg->line : 1};
}

/* The section's name in the schema. */
static const char *
section_name(const cfg_t *cfg)
{
	return strcmp(cfg->name, ROOT) == 0 ? "" : cfg->name;
}

/* ---- blocks and settings */

static struct block *
block_new(struct reading *r, const cfg_t *cfg, const struct config_section *section)
{
	r->block = mem_resize(r->block, r->blocks + 1, sizeof(*r->block));
	struct block *b = &r->block[r->blocks++];
	*b = (struct block){.section = section, .at = here(r, cfg), .id = cfg};
	if (cfg->title != NULL)
		b->title = mem_strdup(cfg->title);
	return b;
}

/* NULL inside of an unknown section. */
static struct block *
block_of(struct reading *r, const cfg_t *cfg)
{
	for (size_t i = 0; i < r->blocks; i++)
		if (r->block[i].id == cfg)
			return &r->block[i];
	const struct config_section *section = config_section_find(section_name(cfg));
	return section != NULL ? block_new(r, cfg, section) : NULL;
}

static struct setting *
add_setting(struct block *b, const struct config_key *k, struct place at)
{
	b->setting = mem_resize(b->setting, b->settings + 1, sizeof(*b->setting));
	struct setting *s = &b->setting[b->settings++];
	*s = (struct setting){.key = k, .at = at, .first = true};
	return s;
}

/* An empty list calls nobody; it shows as an option that was set and has no value. */
static void
note_empty_lists(struct reading *r, cfg_t *cfg)
{
	for (cfg_opt_t *o = cfg->opts; o->name != NULL; o++) {
		const struct config_key *k = config_key_find(section_name(cfg), o->name);
		if (k != NULL && (o->flags & CFGF_LIST) && (o->flags & CFGF_MODIFIED) &&
		    o->nvalues == 0) {
			struct block *b = block_of(r, cfg);
			add_setting(b, k, b->at);
		}
	}
}

/* A section without settings calls nobody either.  libconfuse makes those that are not
 * there, too, but then they begin in no line. */
static void
note_all_empty(struct reading *r, cfg_t *root)
{
	note_empty_lists(r, root);
	for (const struct config_section *s = config_sections + 1; s->name != NULL; s++) {
		for (unsigned i = 0; i < cfg_size(root, s->name); i++) {
			cfg_t *section = cfg_getnsec(root, s->name, i);
			note_empty_lists(r, section);
			if (section->line > 0)
				(void)block_of(r, section);
		}
	}
}

/* ---- what libconfuse finds wrong */

static struct unknown *
unknown_find(struct reading *r, const char *section, const char *name)
{
	for (size_t i = 0; i < r->unknowns; i++)
		if (strcmp(r->unknown[i].section, section) == 0 &&
		    strcmp(r->unknown[i].name, name) == 0)
			return &r->unknown[i];
	return NULL;
}

static void
report_unknown(struct reading *r, const cfg_t *cfg, const char *name)
{
	const char *section = section_name(cfg);
	const struct block *b = block_of(r, cfg);
	struct buf line;
	if (b == NULL)
		return; /* its section is unknown, and that has been said */
	buf_init(&line, 4096);
	block_add_name(b, &line);
	buf_addf(
	    &line, "unknown %s \"%.60s\"", *section ? "key" : "key or section", name);
	config_hint_key(section, name, &line);
	reading_problem(r, here(r, cfg), "%.*s", SPAN_ARG(buf_span(&line)));
	buf_clear(&line);
}

static void
learn(struct reading *r, const cfg_t *cfg, const char *name)
{
	const struct block *b = block_of(r, cfg);
	report_unknown(r, cfg, name);
	if (r->unknowns == UNKNOWN_MAX ||
	    unknown_find(r, section_name(cfg), name) != NULL)
		return;
	r->unknown = mem_resize(r->unknown, r->unknowns + 1, sizeof(*r->unknown));
	r->unknown[r->unknowns++] = (struct unknown){
	    .section = mem_strdup(section_name(cfg)),
	    .name = mem_strdup(name),
	    .shape = SHAPE_KEY,
	    .block = b != NULL ? b->at : here(r, cfg),
	};
	r->again = true;
}

/*
 * It was not what we took it for, but one shape further.  Not so one of our own
 * sections in a wrong place, nor what libconfuse would take for the outermost.
 */
static void
learn_shape(struct reading *r, const cfg_t *cfg, struct unknown *u, enum shape known)
{
	if (u->shape != known || config_section_find(u->name) != NULL ||
	    config_section_find(section_name(cfg)) == NULL || strcmp(u->name, ROOT) == 0)
		return;
	u->shape++;
	r->again = true;
}

/* The value of a key that has been learned: another listener or route may have it, too.
 */
static void
on_unknown_value(
    struct reading *r, const cfg_t *cfg, const struct block *b, const char *name)
{
	const struct unknown *u = unknown_find(r, section_name(cfg), name);
	if (u != NULL && b != NULL && b->section->titled &&
	    (b->at.file != u->block.file || b->at.line != u->block.line))
		report_unknown(r, cfg, name);
}

static int
on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct reading *r = reading_now;
	*(const char **)result = value;
	if (r == NULL)
		return 0;
	struct block *b = block_of(r, cfg);
	const struct config_key *k =
	    b != NULL ? config_key_find(b->section->name, opt->name) : NULL;
	if (k == NULL) {
		on_unknown_value(r, cfg, b, opt->name);
		return 0;
	}
	bool earlier = block_setting(b, k->name) != NULL;
	struct setting *s = add_setting(b, k, here(r, cfg));
	s->text = mem_strdup(value);
	/* The values so far, this one and those of the default included. */
	s->first = opt->nvalues <= 1 || !earlier;
	s->adds = opt->nvalues > 1 && !earlier;
	return 0;
}

enum { NO_SUCH, NO_EQUALS, NO_BRACE };

static const struct complaint {
	const char *format; /* libconfuse's, with one %s */
	const char *ours;
} complaints[] = {
    [NO_SUCH] = {"no such option '%s'", ""},
    [NO_EQUALS] = {"missing equal sign after option '%s'",
	"\"%s\" is a key; write %s = and its value"},
    [NO_BRACE] = {"missing opening brace for section '%s'",
	"section \"%s\" needs a { here"},
    {"unexpected token '%s'", "\"%s\" does not fit here; one value stands in quotes, "
			      "several in { } with commas"},
    {"found duplicate title '%s'",
	"there already is one called \"%s\"; give this one another name"},
    {"missing title for section '%s'",
	"section \"%s\" needs a name: write %s \"NAME\" { }"},
    {"attempt to append to non-list option '%s'",
	"\"%s\" is not a list; write = instead of +="},
    {"missing parenthesis for function '%s'", "write %s(\"FILE\")"},
    {"syntax error in call of function '%s'", "write %s(\"FILE\")"},
};

/* ours, with every %s being the word. */
static void
complain(struct reading *r, struct place at, const char *ours, const char *word)
{
	struct buf text;
	buf_init(&text, 4096);
	for (const char *p = ours; *p != '\0'; p++) {
		if (strncmp(p, "%s", 2) == 0) {
			buf_addf(&text, "%.60s", word);
			p++;
		} else {
			buf_add_char(&text, *p);
		}
	}
	reading_problem(r, at, "%.*s", SPAN_ARG(buf_span(&text)));
	buf_clear(&text);
}

/* A complaint that we know, in our words.  What is unknown has been reported. */
static void
on_complaint(
    struct reading *r, const cfg_t *cfg, const struct complaint *c, const char *word)
{
	struct unknown *u = unknown_find(r, section_name(cfg), word);
	if (c == &complaints[NO_SUCH])
		learn(r, cfg, word);
	else if (u != NULL && c == &complaints[NO_EQUALS])
		learn_shape(r, cfg, u, SHAPE_KEY);
	else if (u != NULL && c == &complaints[NO_BRACE])
		learn_shape(r, cfg, u, SHAPE_SECTION);
	else
		complain(r, here(r, cfg), c->ours, word);
}

static void __attribute__((format(printf, 2, 0)))
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	struct reading *r = reading_now;
	if (r == NULL)
		return;
	for (size_t i = 0; i < COUNT_OF(complaints); i++) {
		if (strcmp(fmt, complaints[i].format) == 0) {
			const char *word = va_arg(ap, const char *);
			on_complaint(r, cfg, &complaints[i], word != NULL ? word : "");
			return;
		}
	}
	if (strcmp(fmt, "premature end of file") == 0) {
		reading_problem(r, here(r, cfg), "the file ends where more was to come");
		return;
	}
	struct buf text;
	buf_init(&text, 4096);
	buf_addv(&text, fmt, ap);
	reading_problem(r, here(r, cfg), "%.*s", SPAN_ARG(buf_span(&text)));
	buf_clear(&text);
}

/* ---- includes */

static int
parse_text(cfg_t *cfg, char *text)
{
	FILE *f = fmemopen(text, strlen(text), "r");
	CHECK(f != NULL);
	int failed = cfg_parse_fp(cfg, f);
	(void)fclose(f);
	return failed;
}

/* Relative names begin where the including file is. */
static char *
include_path(const struct reading *r, const char *name)
{
	const char *from = r->file[r->now];
	const char *slash = strrchr(from, '/');
	struct buf path;
	buf_init(&path, 8192);
	if (*name != '/' && slash != NULL)
		buf_add(&path, from, (size_t)(slash - from) + 1);
	buf_add_str(&path, name);
	return buf_take(&path);
}

static int
include_file(struct reading *r, cfg_t *cfg, const char *path)
{
	struct place at = here(r, cfg);
	char *text = source_load(r, path, at);
	if (text == NULL)
		return 1;
	unsigned outer = r->now;
	int line = cfg->line, failed = 1;
	r->now = reading_file(r, path);
	r->depth++;
	if (source_prepare(r, r->now, text))
		failed = parse_text(cfg, text);
	r->depth--;
	r->now = outer;
	cfg->line = line;
	mem_free(&text);
	return failed;
}

static int
on_include(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	struct reading *r = reading_now;
	if (argc != 1) {
		reading_problem(r, here(r, cfg),
		    "%s takes one file; write include(\"FILE\")", opt->name);
		return 1;
	}
	if (r->depth == CONFIG_INCLUDE_MAX) {
		reading_problem(r, here(r, cfg),
		    "files include each other %d deep; is it a circle?",
		    CONFIG_INCLUDE_MAX);
		return 1;
	}
	char *path = include_path(r, argv[0]);
	int failed = include_file(r, cfg, path);
	mem_free(&path);
	return failed;
}

/* ---- options for libconfuse */

struct options {
	cfg_opt_t *opt; /* the last is empty */
	size_t n;
	struct buf fallback; /* what `parsed` of a list points into */
};

static void
add_option(struct options *o, cfg_opt_t opt)
{
	o->opt = mem_resize(o->opt, o->n + 2, sizeof(*o->opt));
	o->opt[o->n++] = opt;
	o->opt[o->n] = (cfg_opt_t){0};
}

/*
 * A list outside of titled sections tells libconfuse its default, so that "+="
 * is seen to add to something; the values themselves are set by config_build.c.
 */
static void
add_key(struct options *o, const struct config_key *k, bool titled)
{
	cfg_opt_t opt = {.name = k->name,
	    .type = CFGT_STR,
	    .flags = CFGF_NODEFAULT,
	    .parsecb = on_value};
	const char *fallback = config_fallback(k);
	if (value_is_list(k->type))
		opt.flags |= CFGF_LIST;
	if (value_is_list(k->type) && fallback != NULL && !titled) {
		CHECK(
		    o->fallback.n == 0); /* one such list in a section is all there is */
		buf_addf(&o->fallback, "{%s}", fallback);
		buf_add_char(&o->fallback, '\0');
		opt.flags &= ~CFGF_NODEFAULT;
		opt.def.parsed = o->fallback.p;
	}
	add_option(o, opt);
}

static void
add_keys(struct options *o, const char *section, bool titled)
{
	for (const struct config_key *k = config_schema; k->name != NULL; k++)
		if (strcmp(k->section, section) == 0)
			add_key(o, k, titled);
}

static void options_for(const struct reading *r, const char *section, struct options *o);

static void
free_options(cfg_opt_t *list)
{
	for (cfg_opt_t *o = list; o != NULL && o->name != NULL; o++)
		if (o->subopts != NULL)
			free_options(o->subopts);
	mem_free(&list);
}

static void
options_clear(struct options *o)
{
	free_options(o->opt);
	buf_clear(&o->fallback);
	*o = (struct options){0};
}

/* The array goes to the option, and is freed with it.  An unknown section knows no keys.
 */
static void
add_section(const struct reading *r, struct options *o, const char *name, bool titled)
{
	struct options sub = {0};
	options_for(r, name, &sub);
	CHECK(sub.fallback.n == 0); /* only the outermost has one */
	cfg_opt_t opt = {.name = name, .type = CFGT_SEC, .subopts = sub.opt};
	if (titled)
		opt.flags = CFGF_MULTI | CFGF_TITLE;
	if (titled && config_section_find(name) != NULL)
		opt.flags |= CFGF_NO_TITLE_DUPES;
	add_option(o, opt);
}

static void
add_unknown(const struct reading *r, struct options *o, const char *section)
{
	for (size_t i = 0; i < r->unknowns; i++) {
		const struct unknown *u = &r->unknown[i];
		if (strcmp(u->section, section) != 0)
			continue;
		if (u->shape == SHAPE_KEY)
			add_option(o, (cfg_opt_t){.name = u->name,
					  .type = CFGT_STR,
					  .flags = CFGF_NODEFAULT | CFGF_LIST,
					  .parsecb = on_value});
		else
			add_section(r, o, u->name, u->shape == SHAPE_TITLED);
	}
}

static void
options_for(const struct reading *r, const char *section, struct options *o)
{
	static char opened[] = "x";
	const struct config_section *s = config_section_find(section);
	bool titled = s != NULL && s->titled;
	if (titled)
		add_option(o, (cfg_opt_t){.name = OPENING,
				  .type = CFGT_STR,
				  .def.parsed = opened,
				  .parsecb = on_value});
	add_option(
	    o, (cfg_opt_t){.name = "include", .type = CFGT_FUNC, .func = on_include});
	add_keys(o, section, titled);
	add_unknown(r, o, section);
	for (s = config_sections + 1; *section == '\0' && s->name != NULL; s++)
		add_section(r, o, s->name, s->titled);
}

/* ---- the passes */

static void
parse_once(struct reading *r, unsigned file, char *text)
{
	struct options o = {0};
	r->now = file;
	r->again = r->broken = false;
	reading_clear_blocks(r);
	options_for(r, "", &o);
	cfg_t *root = cfg_init(o.opt, CFGF_NONE);
	CHECK(root != NULL);
	options_clear(&o); /* libconfuse has made its own copy */
	(void)cfg_set_error_function(root, on_error);
	reading_now = r;
	r->broken = parse_text(root, text) != 0;
	if (!r->broken)
		note_all_empty(r, root);
	if (r->broken && !r->again && r->errors == 0)
		reading_problem(r, here(r, root), "this cannot be understood");
	reading_now = NULL;
	(void)cfg_free(root);
}

void
reading_parse(struct reading *r, unsigned file, char *text)
{
	do {
		parse_once(r, file, text);
	} while (r->again);
}
