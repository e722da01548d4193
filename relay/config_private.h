/* SPDX-License-Identifier: ISC */
/*
 * config_private - between the files that read a configuration.  It goes
 * through four hands:
 *
 *	config_source.c   a file's bytes, comments blanked, quotes and braces checked
 *	config_parse.c    libconfuse: blocks of settings, all still text
 *	config_value.c    one value by its type; config_list.c those of lists
 *	config_build.c    settings through the schema's types into struct config
 *	config_check.c    what only the whole can show
 *
 * What is wrong is noted in the struct reading, with its place, by whoever sees
 * it; nobody stops at the first.
 */
#ifndef RELAY_CONFIG_PRIVATE_H
#define RELAY_CONFIG_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "relay/config.h"

#define CONFIG_FILE_MAX (1u << 20) /* octets of one file */
#define CONFIG_INCLUDE_MAX 10      /* files within files */

/* ---- the schema: config_schema.c */

enum config_type {
	TYPE_COUNT,    /* unsigned */
	TYPE_PORT,     /* uint16_t */
	TYPE_SIZE,     /* uint64_t */
	TYPE_DURATION, /* int64_t, ms */
	TYPE_PERCENT,  /* unsigned */
	TYPE_BOOL,     /* bool */
	TYPE_WORD,     /* an enum: the word's index */
	TYPE_MODE,     /* unsigned, octal */
	TYPE_TEXT,     /* char *, max: length */
	TYPE_PATH,     /* the same, absolute */
	TYPE_DOMAIN,   /* char *, canonical */
	TYPE_MAILBOX,  /* char *: local@domain */
	TYPE_FILE,     /* char *: a file, relative to the configuration's directory */
	TYPE_ZONE,     /* char *, canonical: a zone of the DNS */
	/* lists: the field is the array, `count` its length */
	TYPE_NETWORKS, /* struct net_cidr * */
	TYPE_BIND,     /* struct net_addr [CONFIG_BIND_MAX] */
	TYPE_PATTERNS, /* struct route_pattern * */
	TYPE_HOPS,     /* struct route_hop [ROUTE_HOP_MAX] */
	TYPE_SERVERS,  /* char *, "host:port,..." */
	TYPE_NAMES,    /* char ** of a struct name_list: titles, account names */
	TYPE_DOMAINS,  /* the same: canonical domains */
	TYPE_PATHS,    /* the same: files; relative ones are beside the configuration */
	TYPE_FINGERPRINTS, /* the same: SHA-256 in 64 hexadecimal digits */
	TYPE_RATES,        /* struct rate [RATE_MAX] */
	TYPE_REWRITES,     /* struct rewrite * */
	TYPE_MASQUERADE,   /* the same, from domains */
	TYPE_SOURCE,       /* struct net_addr [2], one of a family */
	TYPE_SOCKS,        /* struct route_hop *, one */
	TYPE_N
};

#define KEY_RESTART 1u  /* a reload does not change it */
#define KEY_EMPTY_OK 2u /* the empty list means something */

struct config_key {
	const char *section; /* "": outside of all */
	const char *name;
	enum config_type type;
	unsigned flags;
	uint64_t min, max;
	const char *fallback; /* as one would write it, lists with ", "; in () only for
				 people, `code` in backquotes; NULL: none */
	const char *const *words; /* TYPE_WORD; ends with NULL */
	size_t field, count;      /* offsets in struct config, listener_config or route */
	const char *about;        /* its first sentence in relayd.conf(5), `code` so */
};

struct config_section {
	const char *name;
	bool titled;
	const char *about;
};

extern const struct config_section
    config_sections[]; /* the first is ""; ends with a NULL name */
extern const struct config_key config_schema[]; /* ends with a NULL name */

const struct config_section *config_section_find(const char *name);
const struct config_key *config_key_find(const char *section, const char *name);
const char *
config_fallback(const struct config_key *k); /* NULL if it has none that can be read */

/* relayd.conf(5) out of tools/relayd.conf.5.in, called name; config_manual.c says how.
 * False with what is wrong in problems, a line each. */
bool
config_manual(struct span page, const char *name, struct buf *out, struct buf *problems);

/* "; did you mean "bind"?", or where the key belongs, or what is known here. section is a
 * real one. */
void config_hint_key(const char *section, const char *name, struct buf *out);
/* "; did you mean "info"?", or "; write "a", "b" or "c"". */
void config_hint_word(const char *const *words, const char *word, struct buf *out);

/* ---- one reading: config_reading.c */

struct place {
	unsigned file; /* index into reading.file */
	unsigned line;
};

struct setting {
	const struct config_key *key;
	char *text; /* NULL: an empty list */
	struct place at;
	bool first; /* begins a value; the others continue its list */
	bool adds;  /* "+=" on the default */
};

struct block {
	const struct config_section *section;
	char *title; /* NULL if the section has none */
	struct place at;
	struct setting *setting;
	size_t settings;
	const void *id; /* libconfuse's section, while it lives */
};

struct problem {
	struct place at;
	bool warning;
	char *text;
	size_t order;
};

struct unknown {
	char *section, *name;
	unsigned shape;     /* config_parse.c */
	struct place block; /* where it was seen first */
};

struct reading {
	char **file; /* owned names */
	unsigned files;
	struct problem *problem;
	size_t problems, errors;
	struct block *block;
	size_t blocks;
	struct unknown *unknown;
	size_t unknowns;
	bool broken; /* it could not be parsed to the end: the whole says nothing */
	bool again;  /* config_parse.c: one more pass */
	unsigned now, depth; /* the file being parsed, and how deep it is included */
};

unsigned reading_file(struct reading *r, const char *name);
void reading_clear(struct reading *r);
void reading_clear_blocks(struct reading *r);

void reading_problem(struct reading *r, struct place at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void reading_warning(struct reading *r, struct place at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* All problems, by file and line, one a line. */
void reading_print(struct reading *r, struct buf *out);

/* `listener "smtp": `, `spool: `, or nothing. */
void block_add_name(const struct block *b, struct buf *out);
/* The first setting of this key; NULL if it is not there. */
const struct setting *block_setting(const struct block *b, const char *key);

/* ---- the four hands */

/* The text of a file, or NULL with a problem at `at`. mem_free it. */
char *source_load(struct reading *r, const char *path, struct place at);
/* Blank the comments in place and look at quotes and braces; false with a problem. */
bool source_prepare(struct reading *r, unsigned file, char *text);

/* Fill r->block from the prepared text. */
void reading_parse(struct reading *r, unsigned file, char *text);

/* One value into the field of its key in base. False with a problem at `at`; b may be
 * NULL. */
bool value_set(struct reading *r, const struct block *b, const struct config_key *k,
    struct span text, struct place at, void *base);
const char *value_type_name(const struct config_key *k, struct buf *room);
/* "1 to 100"; nothing where any value will do. */
void value_add_range(const struct config_key *k, struct buf *out);
bool value_is_list(enum config_type t);
bool value_same(const struct config_key *k, const void *a, const void *b);

struct config *config_build(struct reading *r, const char *name);
void config_free(struct config *c);

/* What no single value shows, but a listener, a route, or only all of it together. */
void check_listener(
    struct reading *r, const struct config *c, size_t i, const struct block *b);
void
check_listener_names(struct reading *r, const struct config *c, const struct block *b);
void
check_route(struct reading *r, const struct config *c, size_t i, const struct block *b);
void check_limit(struct reading *r, const struct limit_config *l, const struct block *b);
void check_dnsbl(struct reading *r, const struct dnsbl_config *d, const struct block *b);
/* b: NULL where the file says nothing about mailboxes. */
void
check_mailbox(struct reading *r, const struct mailbox_config *m, const struct block *b);
void check_all(struct reading *r, const struct config *c);

/* The block of an untitled section; NULL if it is not there. */
const struct block *reading_block(const struct reading *r, const char *section);
/* Where to point at for a key: its setting, else its block, else the top of the file. */
struct place reading_place(const struct reading *r, const char *section, const char *key);

#endif
