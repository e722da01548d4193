/* SPDX-License-Identifier: ISC */
/*
 * rewrite_read - three layers, each a loop: tokens (RFC 5322 3.2), the addr-spec
 * as a small automaton over tokens (3.4.1), the list of mailboxes and groups (3.4).
 */
#include "policy/rewrite_read.h"

#include <string.h>

#include "base/scan.h"

enum token {
	TOKEN_END,
	TOKEN_ATOM,
	TOKEN_QUOTED,
	TOKEN_LITERAL, /* [...] */
	TOKEN_SPECIAL, /* the character is *s->at */
	TOKEN_WRONG,
};

struct reader {
	struct span in;
	size_t at;         /* behind the token */
	size_t token_from; /* its beginning */
	size_t gap_from;   /* where the blanks and comments before it begin */
	size_t gap_used;   /* end of the last comment among them, or gap_from */
	enum token token;
	char special; /* TOKEN_SPECIAL: which */
};

/* ---- tokens */

static bool
is_atext(unsigned char c)
{
	return is_alnum(c) || (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL) ||
	       c >= 0x80;
}

static bool
is_blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* CR and LF stand in folds only. */
static bool
is_text(const struct reader *r, size_t at)
{
	unsigned char c = (unsigned char)r->in.p[at];
	if (c == '\r')
		return at + 1 < r->in.n && r->in.p[at + 1] == '\n';
	if (c == '\n')
		return at + 1 < r->in.n &&
		       (r->in.p[at + 1] == ' ' || r->in.p[at + 1] == '\t');
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

/* The character at r->at, with the one behind a backslash; false at the end or where
 * there is none that may stand here. */
static bool
step(struct reader *r, char *c)
{
	if (r->at >= r->in.n || !is_text(r, r->at))
		return false;
	*c = r->in.p[r->at++];
	if (*c != '\\')
		return true;
	*c = '\0'; /* quoted: it means nothing */
	return r->at < r->in.n && r->in.p[r->at] != '\r' && r->in.p[r->at] != '\n' &&
	       is_text(r, r->at++);
}

static bool
comment(struct reader *r)
{
	unsigned depth = 0;
	char c;
	do {
		if (!step(r, &c))
			return false;
		if (c == '(' && ++depth > COMMENT_DEPTH_MAX)
			return false;
		if (c == ')')
			depth--;
	} while (depth > 0);
	return true;
}

/* CFWS = (1*([FWS] comment) [FWS]) / FWS */
static bool
gap(struct reader *r)
{
	r->gap_from = r->gap_used = r->at;
	while (r->at < r->in.n) {
		unsigned char c = (unsigned char)r->in.p[r->at];
		if (c == '(') {
			if (!comment(r))
				return false;
			r->gap_used = r->at;
		} else if (is_blank(c) && is_text(r, r->at)) {
			r->at++;
		} else {
			return !is_blank(c);
		}
	}
	return true;
}

static enum token
enclosed(struct reader *r, char end, enum token kind)
{
	char c;
	r->at++;
	do
		if (!step(r, &c) || (kind == TOKEN_LITERAL && c == '['))
			return TOKEN_WRONG;
	while (c != end);
	return kind;
}

static enum token
read_token(struct reader *r)
{
	if (!gap(r))
		return TOKEN_WRONG;
	r->token_from = r->at;
	if (r->at == r->in.n)
		return TOKEN_END;
	char c = r->in.p[r->at];
	if (c == '"')
		return enclosed(r, '"', TOKEN_QUOTED);
	if (c == '[')
		return enclosed(r, ']', TOKEN_LITERAL);
	if (c != '\0' && strchr("<>@,;:.", c) != NULL) {
		r->special = c;
		r->at++;
		return TOKEN_SPECIAL;
	}
	while (r->at < r->in.n && is_atext((unsigned char)r->in.p[r->at]))
		r->at++;
	return r->at > r->token_from ? TOKEN_ATOM : TOKEN_WRONG;
}

static void
next(struct reader *r)
{
	r->token = read_token(r);
}

static bool
sees(const struct reader *r, char special)
{
	return r->token == TOKEN_SPECIAL && r->special == special;
}

/* ---- addr-spec */

enum spec_state {
	SPEC_START,
	SPEC_WORD,
	SPEC_DOT,
	SPEC_AT,
	SPEC_LABEL,
	SPEC_LABEL_DOT,
	SPEC_LITERAL,
	SPEC_NONE, /* it is not one; perhaps a display name */
};

struct spec {
	enum spec_state state;
	size_t from, to;
	struct buf text, comments;
};

static enum spec_state
spec_step(enum spec_state s, const struct reader *r)
{
	bool dot = sees(r, '.'), at = sees(r, '@');
	bool word = r->token == TOKEN_ATOM || r->token == TOKEN_QUOTED;
	switch (s) {
	case SPEC_START: return word ? SPEC_WORD : SPEC_NONE;
	case SPEC_WORD: return dot ? SPEC_DOT : at ? SPEC_AT : SPEC_NONE;
	case SPEC_DOT:
		return word ? SPEC_WORD : dot ? SPEC_DOT : at ? SPEC_AT : SPEC_NONE;
	case SPEC_AT:
		return r->token == TOKEN_LITERAL ? SPEC_LITERAL
		       : r->token == TOKEN_ATOM  ? SPEC_LABEL
						 : SPEC_NONE;
	case SPEC_LABEL: return dot ? SPEC_LABEL_DOT : SPEC_NONE;
	case SPEC_LABEL_DOT: return r->token == TOKEN_ATOM ? SPEC_LABEL : SPEC_NONE;
	case SPEC_LITERAL:
	case SPEC_NONE: break;
	}
	return SPEC_NONE;
}

static void
spec_start(struct spec *s)
{
	s->state = SPEC_START;
	buf_reset(&s->text);
	buf_reset(&s->comments);
	s->text.overflow = false;
}

/* Folds go; blanks go where they mean nothing, in a literal. */
static void
add_text(struct spec *s, const struct reader *r)
{
	for (size_t i = r->token_from; i < r->at; i++) {
		char c = r->in.p[i];
		if (c == '\r' || c == '\n' ||
		    (r->token == TOKEN_LITERAL && (c == ' ' || c == '\t')))
			continue;
		buf_add_char(&s->text, c);
	}
}

static void
spec_add(struct spec *s, const struct reader *r)
{
	if (s->state == SPEC_NONE)
		return;
	if (s->state == SPEC_START)
		s->from = r->token_from;
	else
		buf_add(&s->comments, r->in.p + r->gap_from, r->gap_used - r->gap_from);
	s->state = spec_step(s->state, r);
	s->to = r->at;
	if (s->state != SPEC_NONE)
		add_text(s, r);
}

static bool
spec_is_whole(const struct spec *s)
{
	return s->state == SPEC_WORD || s->state == SPEC_LABEL ||
	       s->state == SPEC_LITERAL;
}

/* ---- list */

struct list {
	struct reader r;
	struct spec spec;
	bool in_group;
	address_place_fn *fn;
	void *arg;
};

static void
found(struct list *l, size_t start)
{
	const struct spec *s = &l->spec;
	struct span text = buf_span(&s->text);
	if (s->text.overflow)
		return;
	if (s->state == SPEC_WORD && span_find(text, '@') < text.n)
		return; /* "a@b" in quotes and no domain: who reads the text is misled */
	const struct address_place a = {
	    start, s->from, s->to, text, buf_span(&s->comments)};
	l->fn(l->arg, &a);
}

/* obs-route = obs-domain-list ":", behind its first "@" */
static bool
route(struct reader *r)
{
	while (!sees(r, ':')) {
		if (r->token != TOKEN_ATOM && r->token != TOKEN_LITERAL &&
		    !sees(r, '.') && !sees(r, '@') && !sees(r, ','))
			return false;
		next(r);
	}
	next(r);
	return true;
}

/* angle-addr; the token is its "<", and afterwards the one behind its ">" */
static bool
angle(struct list *l)
{
	struct reader *r = &l->r;
	size_t start = r->token_from;
	next(r);
	if (sees(r, '@') && !route(r))
		return false;
	spec_start(&l->spec);
	for (; !sees(r, '>'); next(r)) {
		if (r->token == TOKEN_END || r->token == TOKEN_WRONG)
			return false;
		spec_add(&l->spec, r);
	}
	if (spec_is_whole(&l->spec))
		found(l, start);
	else if (l->spec.state != SPEC_START)
		return false;
	next(r);
	return true;
}

/* A mailbox, or the beginning of a group; the token is its first. */
static bool
element(struct list *l)
{
	struct reader *r = &l->r;
	size_t start = r->token_from;
	spec_start(&l->spec);
	while (r->token == TOKEN_ATOM || r->token == TOKEN_QUOTED ||
	       r->token == TOKEN_LITERAL || sees(r, '.') || sees(r, '@')) {
		spec_add(&l->spec, r);
		next(r);
	}
	if (sees(r, '<'))
		return angle(l);
	if (sees(r, ':') && !l->in_group && r->token_from > start) {
		l->in_group = true;
		next(r);
		return true;
	}
	if (!spec_is_whole(&l->spec))
		return false;
	found(l, start);
	return true;
}

/* What stands between two: "," with nothing between them as well (4.4), or the end of
 * a group. */
static bool
separators(struct list *l)
{
	struct reader *r = &l->r;
	while (sees(r, ',') || (sees(r, ';') && l->in_group)) {
		bool ends = r->special == ';';
		if (ends)
			l->in_group = false;
		next(r);
		if (ends && r->token != TOKEN_END && !sees(r, ','))
			return false;
	}
	return true;
}

static enum err
read_list(struct list *l)
{
	next(&l->r);
	bool fine = separators(l);
	while (fine && l->r.token != TOKEN_END) {
		bool was_in_group = l->in_group;
		fine = element(l) &&
		       (l->in_group != was_in_group || l->r.token == TOKEN_END ||
			   sees(&l->r, ',') || (l->in_group && sees(&l->r, ';'))) &&
		       separators(l);
	}
	return fine && !l->in_group ? OK : ERR_SYNTAX;
}

enum err
address_list_read(struct span value, address_place_fn *fn, void *arg)
{
	struct list l = {.r = {.in = value}, .fn = fn, .arg = arg};
	buf_init(&l.spec.text, HEADER_ADDRESS_MAX);
	buf_init(&l.spec.comments, value.n + 1);
	enum err e = read_list(&l);
	buf_clear(&l.spec.text);
	buf_clear(&l.spec.comments);
	return e;
}
