/* SPDX-License-Identifier: ISC */
/*
 * search_match - a search is asked of a mail, with what is at hand.  A key that cannot
 * tell yet says what it needs; what the others say may decide without it.
 */
#include "base/mem.h"
#include "relay/imap/search_private.h"
#include "relay/mime/text.h"

static enum search_answer
yes_if(bool b)
{
	return b ? SEARCH_YES : SEARCH_NO;
}

/* The cheaper of two needs. */
static enum search_answer
need(enum search_answer a, enum search_answer b)
{
	return a == SEARCH_SIGHT || b == SEARCH_SIGHT ? SEARCH_SIGHT : SEARCH_CONTENT;
}

/* ---- what the view knows */

static enum search_answer
match_mark(
    const struct search *s, const struct search_node *n, const struct search_mail *m)
{
	switch (n->key) {
	case KEY_ALL: return SEARCH_YES;
	case KEY_FLAG: return yes_if(((m->flags & n->flag) != 0) == n->want);
	case KEY_KEYWORD:
		return yes_if((n->bit >= 0 && (m->keywords >> n->bit & 1)) == n->want);
	case KEY_RECENT: return yes_if(m->recent == n->want);
	case KEY_NEW: return yes_if(m->recent && !(m->flags & MAIL_SEEN));
	case KEY_NUMBER: return yes_if(set_has(&n->set, m->number));
	case KEY_UIDS: return yes_if(set_has(&n->set, m->uid));
	case KEY_SAVED: return yes_if(s->saved != NULL && set_has(s->saved, m->uid));
	case KEY_MODSEQ: return yes_if(m->modseq >= (uint64_t)n->number);
	default: return SEARCH_NO;
	}
}

/* ---- what its row knows */

static enum search_answer
match_day(int64_t day, const struct search_node *n, enum search_key before)
{
	if (n->key == before)
		return yes_if(day < n->number);
	if (n->key == before + 1)
		return yes_if(day == n->number);
	return yes_if(day >= n->number);
}

static enum search_answer
match_row(const struct search *s, const struct search_node *n, const struct mail_row *row)
{
	int64_t age = s->now.ms - row->internal.ms;
	switch (n->key) {
	case KEY_BEFORE:
	case KEY_ON:
	case KEY_SINCE:
		return match_day(lex_day_of(row->internal, row->zone), n, KEY_BEFORE);
	case KEY_SAVED_BEFORE:
	case KEY_SAVED_ON:
	case KEY_SAVED_SINCE:
		return match_day(lex_day_of(row->arrival, 0), n, KEY_SAVED_BEFORE);
	case KEY_OLDER: return yes_if(age >= n->number * SECOND_MS);
	case KEY_YOUNGER: return yes_if(age <= n->number * SECOND_MS);
	case KEY_LARGER: return yes_if(row->size > (uint64_t)n->number);
	case KEY_SMALLER: return yes_if(row->size < (uint64_t)n->number);
	case KEY_EMAILID: return yes_if(row->origin == (uint64_t)n->number);
	default: return SEARCH_NO;
	}
}

/* ---- what its shape knows */

bool
search_folded(struct search *s, struct span utf8, const struct search_node *n)
{
	if (n->text.n == 0)
		return true;
	buf_reset(&s->folded);
	text_fold(utf8, &s->folded);
	return text_contains(buf_span(&s->folded), buf_span(&n->text));
}

static enum search_answer
match_field(struct search *s, const struct search_node *n, struct span field)
{
	return yes_if(field.p != NULL && search_folded(s, field, n));
}

static enum search_answer
match_shape(struct search *s, const struct search_node *n, const struct shape *x)
{
	switch (n->key) {
	case KEY_SENT_BEFORE:
	case KEY_SENT_ON:
	case KEY_SENT_SINCE:
		if (x->sent.ms == 0)
			return SEARCH_NO;
		return match_day(lex_day_of(x->sent, x->sent_zone), n, KEY_SENT_BEFORE);
	case KEY_BCC: return match_field(s, n, x->bcc);
	case KEY_CC: return match_field(s, n, x->cc);
	case KEY_FROM: return match_field(s, n, x->from);
	case KEY_SUBJECT: return match_field(s, n, x->subject);
	case KEY_TO: return match_field(s, n, x->to);
	default: return SEARCH_NO;
	}
}

/* ---- the tree */

static enum search_answer
match(struct search *s, uint32_t at, const struct search_mail *m);

static enum search_answer
match_leaf(struct search *s, const struct search_node *n, const struct search_mail *m)
{
	if (n->key < KEY_BEFORE)
		return match_mark(s, n, m);
	if (m->sight == NULL || m->shape == NULL)
		return SEARCH_SIGHT;
	if (n->key < KEY_SENT_BEFORE)
		return match_row(s, n, &m->sight->row);
	if (n->key < KEY_HEADER)
		return match_shape(s, n, m->shape);
	return n->key == KEY_HEADER ? search_header(s, n, m) : search_body(s, n, m);
}

/* decides: the answer of one child that is the answer of all. */
static enum search_answer
match_children(struct search *s, const struct search_node *n, const struct search_mail *m,
    enum search_answer decides)
{
	enum search_answer all = decides == SEARCH_NO ? SEARCH_YES : SEARCH_NO;
	bool open = false;
	enum search_answer needs = SEARCH_CONTENT;
	for (uint32_t i = n->first; i != 0; i = s->node[i].next) {
		enum search_answer a = match(s, i, m);
		if (a == decides)
			return decides;
		if (a != SEARCH_YES && a != SEARCH_NO) {
			needs = need(needs, a);
			open = true;
		}
	}
	return open ? needs : all;
}

static enum search_answer
match(struct search *s, uint32_t at, const struct search_mail *m)
{
	const struct search_node *n = &s->node[at];
	switch (n->key) {
	case KEY_AND: return match_children(s, n, m, SEARCH_NO);
	case KEY_OR: return match_children(s, n, m, SEARCH_YES);
	case KEY_NOT: break;
	default: return match_leaf(s, n, m);
	}
	enum search_answer a = match(s, n->first, m);
	return a == SEARCH_YES ? SEARCH_NO : a == SEARCH_NO ? SEARCH_YES : a;
}

enum search_answer
search_match(struct search *s, const struct search_mail *m)
{
	return match(s, 0, m);
}
