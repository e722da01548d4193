/* SPDX-License-Identifier: ISC */
/*
 * lex - the words of a command (RFC 9051 9).  What is read is a whole command as it was
 * sent: its lines with their CRLF, and behind "{n}" CRLF the n octets of a literal.
 *
 * Every function either consumes what it names and returns true, or consumes nothing and
 * returns false.  Spans point into the command, or into the memory of the lex (quoted
 * strings with escapes), which goes with lex_clear().
 */
#ifndef RELAY_IMAP_LEX_H
#define RELAY_IMAP_LEX_H

#include "base/scan.h"
#include "base/when.h"
#include "relay/imap/set.h"

struct lex_memory;

struct lex {
	struct scan in;
	bool utf8; /* octets over 0x7f in quoted strings (RFC 9051, RFC 6855) */
	struct lex_memory *memory;
};

struct lex lex_over(struct span command, bool utf8);
void lex_clear(struct lex *l);

bool lex_done(const struct lex *l);
bool lex_space(struct lex *l); /* one SP */
bool lex_char(struct lex *l, char c);
/* This word, in any case, and then no letter, digit, '.' or '-'. */
bool lex_word(struct lex *l, const char *word);
/* Letters, digits, '.', '-', '=', '_': names of items and options. */
bool lex_name(struct lex *l, struct span *out);

bool lex_atom(struct lex *l, struct span *out);
bool lex_string(struct lex *l, struct span *out); /* quoted, or a literal */
bool lex_astring(struct lex *l, struct span *out);
bool lex_nstring(struct lex *l, struct span *out);      /* NIL: p == NULL */
bool lex_list_mailbox(struct lex *l, struct span *out); /* with % and * */
bool lex_number(struct lex *l, uint64_t max, uint64_t *out);
bool lex_set(struct lex *l, struct set *out);
/* "1:100", "-1:-100": places of a result (RFC 9394). */
bool lex_partial(struct lex *l, int64_t *from, int64_t *to);

/* A flag or a keyword: "\Seen", "$Forwarded". */
bool lex_flag(struct lex *l, struct span *out);

/* "1-Feb-2026" or "\"1-Feb-2026\"": the day, as days since 1970-01-01. */
bool lex_date(struct lex *l, int64_t *day);
/* "\" 1-Feb-2026 01:02:03 +0100\"" */
bool lex_date_time(struct lex *l, struct wall *when, int16_t *zone);

/* As it is written in answers: " 1-Feb-2026 01:02:03 +0100" in quotes. */
void lex_add_date_time(struct wall when, int16_t zone, struct buf *out);
/* The day of it, in its own zone, as days since 1970-01-01. */
int64_t lex_day_of(struct wall when, int16_t zone);

/* An astring as answers have it: an atom if it can be, else quoted, else a literal. */
void lex_add_astring(struct span s, struct buf *out);

#endif
