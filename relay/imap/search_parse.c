/* SPDX-License-Identifier: ISC */
/* search_parse - the keys of a search become a tree (RFC 9051 9, search-key). */
#include <string.h>
#include <unistr.h>

#include "base/mem.h"
#include "relay/imap/search_private.h"
#include "relay/imap/utf7.h"
#include "relay/mime/text.h"

struct parsing {
	struct lex *l;
	struct search *s;
	const struct search_options *o;
	struct span charset;    /* p == NULL: UTF-8 */
	unsigned depth, octets; /* keys that read octets */
	enum search_error error;
};

static uint32_t
add_node(struct parsing *p, enum search_key key)
{
	struct search *s = p->s;
	p->octets += key == KEY_HEADER || key == KEY_BODY || key == KEY_TEXT;
	if (s->nodes == SEARCH_KEYS_MAX || p->octets > SEARCH_OCTETS_MAX) {
		p->error = SEARCH_TOO_DEEP;
		return 0;
	}
	if (s->nodes == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 8;
		s->node = mem_resize(s->node, s->cap, sizeof(*s->node));
	}
	s->node[s->nodes] = (struct search_node){.key = key};
	return (uint32_t)s->nodes++;
}

static bool
fail(struct parsing *p)
{
	if (p->error == SEARCH_FINE)
		p->error = SEARCH_SYNTAX;
	return false;
}

/* ---- arguments */

/* In UTF-8, folded. */
static bool
take_text(struct parsing *p, uint32_t n)
{
	struct span raw;
	struct buf utf8;
	if (!lex_space(p->l) || !lex_astring(p->l, &raw))
		return fail(p);
	buf_init(&utf8, 0);
	if (p->charset.p != NULL && !span_ieq(p->charset, SPAN("UTF-8")))
		text_to_utf8(p->charset, raw, &utf8);
	else
		buf_add_span(&utf8, raw);
	bool ok = utf8.n == 0 || u8_check((const uint8_t *)utf8.p, utf8.n) == NULL;
	if (ok && utf8.n > 0)
		text_fold(buf_span(&utf8), &p->s->node[n].text);
	buf_clear(&utf8);
	return ok || fail(p);
}

static bool
take_name(struct parsing *p, uint32_t n)
{
	struct span name;
	if (!lex_space(p->l) || !lex_astring(p->l, &name))
		return fail(p);
	p->s->node[n].name = span_dup(name);
	return true;
}

static bool
take_number(struct parsing *p, uint32_t n, uint64_t max)
{
	uint64_t v = 0;
	if (!lex_space(p->l) || !lex_number(p->l, max, &v))
		return fail(p);
	p->s->node[n].number = (int64_t)v;
	return true;
}

static bool
take_day(struct parsing *p, uint32_t n)
{
	return (lex_space(p->l) && lex_date(p->l, &p->s->node[n].number)) || fail(p);
}

static bool
take_uids(struct parsing *p, uint32_t n)
{
	struct set set;
	if (!lex_space(p->l) || !lex_set(p->l, &set))
		return fail(p);
	p->s->node[n].set = set;
	if (set.saved)
		p->s->node[n].key = KEY_SAVED;
	return true;
}

/* "MODSEQ ["/flags/\\Draft" all] 620162338": we keep one modseq for all flags */
static bool
take_modseq(struct parsing *p, uint32_t n)
{
	struct span entry;
	struct lex at = *p->l;
	if (lex_space(&at) && lex_string(&at, &entry)) {
		if (!lex_space(&at) ||
		    (!lex_word(&at, "priv") && !lex_word(&at, "shared") &&
			!lex_word(&at, "all")))
			return fail(p);
		*p->l = at;
	}
	return take_number(p, n, INT64_MAX);
}

/* "M" and the id of the first of all copies. */
static bool
take_emailid(struct parsing *p, uint32_t n)
{
	struct span id;
	uint64_t v = 0;
	if (!lex_space(p->l) || !lex_atom(p->l, &id))
		return fail(p);
	bool ours = id.n == SPOOL_ID_LEN + 1 && id.p[0] == 'M' &&
		    spool_id_parse(span_cut(id, 1, id.n), &v);
	if (!ours)
		p->s->node[n].key = KEY_NONE;
	p->s->node[n].number = (int64_t)v;
	return true;
}

/* ---- keys */

static const struct {
	const char *name;
	enum search_key key;
	uint32_t flag;
	bool want;
} flag_keys[] = {
    {"ANSWERED", KEY_FLAG, MAIL_ANSWERED, true},
    {"UNANSWERED", KEY_FLAG, MAIL_ANSWERED, false},
    {"DELETED", KEY_FLAG, MAIL_DELETED, true},
    {"UNDELETED", KEY_FLAG, MAIL_DELETED, false},
    {"DRAFT", KEY_FLAG, MAIL_DRAFT, true},
    {"UNDRAFT", KEY_FLAG, MAIL_DRAFT, false},
    {"FLAGGED", KEY_FLAG, MAIL_FLAGGED, true},
    {"UNFLAGGED", KEY_FLAG, MAIL_FLAGGED, false},
    {"SEEN", KEY_FLAG, MAIL_SEEN, true},
    {"UNSEEN", KEY_FLAG, MAIL_SEEN, false},
    {"ALL", KEY_ALL, 0, false},
    {"SAVEDATESUPPORTED", KEY_ALL, 0, false},
};

static const struct {
	const char *name;
	enum search_key key;
	bool (*take)(struct parsing *p, uint32_t n);
} keys[] = {
    {"BEFORE", KEY_BEFORE, take_day},
    {"ON", KEY_ON, take_day},
    {"SINCE", KEY_SINCE, take_day},
    {"SENTBEFORE", KEY_SENT_BEFORE, take_day},
    {"SENTON", KEY_SENT_ON, take_day},
    {"SENTSINCE", KEY_SENT_SINCE, take_day},
    {"SAVEDBEFORE", KEY_SAVED_BEFORE, take_day},
    {"SAVEDON", KEY_SAVED_ON, take_day},
    {"SAVEDSINCE", KEY_SAVED_SINCE, take_day},
    {"BCC", KEY_BCC, take_text},
    {"CC", KEY_CC, take_text},
    {"FROM", KEY_FROM, take_text},
    {"SUBJECT", KEY_SUBJECT, take_text},
    {"TO", KEY_TO, take_text},
    {"BODY", KEY_BODY, take_text},
    {"TEXT", KEY_TEXT, take_text},
    {"UID", KEY_UIDS, take_uids},
    {"MODSEQ", KEY_MODSEQ, take_modseq},
    {"EMAILID", KEY_EMAILID, take_emailid},
    {"THREADID", KEY_NONE, take_name},
};

static bool parse_key(struct parsing *p, uint32_t *out);

static bool
parse_flag_key(struct parsing *p, uint32_t *out)
{
	for (size_t i = 0; i < COUNT_OF(flag_keys); i++) {
		if (!lex_word(p->l, flag_keys[i].name))
			continue;
		*out = add_node(p, flag_keys[i].key);
		if (p->error == SEARCH_FINE) {
			p->s->node[*out].flag = flag_keys[i].flag;
			p->s->node[*out].want = flag_keys[i].want;
		}
		return true;
	}
	return false;
}

/* \Recent went with IMAP4rev2. */
static bool
parse_recent(struct parsing *p, uint32_t *out)
{
	if (p->o->rev2)
		return false;
	if (lex_word(p->l, "RECENT")) {
		*out = add_node(p, KEY_RECENT);
		p->s->node[*out].want = true;
	} else if (lex_word(p->l, "OLD")) {
		*out = add_node(p, KEY_RECENT);
	} else if (lex_word(p->l, "NEW")) {
		*out = add_node(p, KEY_NEW);
	} else {
		return false;
	}
	return true;
}

static bool
parse_simple(struct parsing *p, uint32_t *out)
{
	for (size_t i = 0; i < COUNT_OF(keys); i++) {
		if (!lex_word(p->l, keys[i].name))
			continue;
		*out = add_node(p, keys[i].key);
		if (p->error == SEARCH_FINE)
			(void)keys[i].take(p, *out);
		return true;
	}
	return parse_flag_key(p, out) || parse_recent(p, out);
}

static bool
parse_with_number(struct parsing *p, uint32_t *out)
{
	static const struct {
		const char *name;
		enum search_key key;
		int64_t min;
		uint64_t max;
	} sizes[] = {{"LARGER", KEY_LARGER, 0, INT64_MAX},
	    {"SMALLER", KEY_SMALLER, 0, INT64_MAX}, {"OLDER", KEY_OLDER, 1, UINT32_MAX},
	    {"YOUNGER", KEY_YOUNGER, 1, UINT32_MAX}};
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		if (!lex_word(p->l, sizes[i].name))
			continue;
		*out = add_node(p, sizes[i].key);
		if (p->error == SEARCH_FINE && take_number(p, *out, sizes[i].max) &&
		    p->s->node[*out].number < sizes[i].min)
			(void)fail(p);
		return true;
	}
	return false;
}

static bool
parse_named(struct parsing *p, uint32_t *out)
{
	bool not = false;
	if (lex_word(p->l, "HEADER")) {
		*out = add_node(p, KEY_HEADER);
		return p->error != SEARCH_FINE || !take_name(p, *out) ||
		       take_text(p, *out) || true;
	}
	if (!lex_word(p->l, "KEYWORD") && !(not = lex_word(p->l, "UNKEYWORD")))
		return false;
	struct span name;
	*out = add_node(p, KEY_KEYWORD);
	if (p->error != SEARCH_FINE)
		return true;
	p->s->node[*out].want = !not ;
	if (!lex_space(p->l) || !lex_flag(p->l, &name))
		return fail(p) || true;
	p->s->node[*out].name = span_dup(name);
	return true;
}

static void
add_child(struct parsing *p, uint32_t parent, uint32_t *last, uint32_t child)
{
	if (*last == 0)
		p->s->node[parent].first = child;
	else
		p->s->node[*last].next = child;
	*last = child;
}

/* One or more keys, all of which must hold. */
static bool
parse_all(struct parsing *p, uint32_t *out)
{
	uint32_t last = 0, child = 0;
	*out = add_node(p, KEY_AND);
	do {
		if (p->error != SEARCH_FINE || !parse_key(p, &child))
			return false;
		add_child(p, *out, &last, child);
	} while (lex_space(p->l));
	return true;
}

static bool
parse_or(struct parsing *p, uint32_t *out)
{
	uint32_t last = 0, child = 0;
	*out = add_node(p, KEY_OR);
	for (int i = 0; i < 2 && p->error == SEARCH_FINE; i++) {
		if (!lex_space(p->l))
			return fail(p);
		if (!parse_key(p, &child))
			return false;
		add_child(p, *out, &last, child);
	}
	return p->error == SEARCH_FINE;
}

static bool
parse_not(struct parsing *p, uint32_t *out)
{
	uint32_t last = 0, child = 0;
	*out = add_node(p, KEY_NOT);
	if (!lex_space(p->l))
		return fail(p);
	if (p->error != SEARCH_FINE || !parse_key(p, &child))
		return false;
	add_child(p, *out, &last, child);
	return true;
}

static bool
parse_set(struct parsing *p, uint32_t *out)
{
	struct set set;
	if (!lex_set(p->l, &set))
		return fail(p);
	*out = add_node(p, set.saved ? KEY_SAVED : KEY_NUMBER);
	if (p->error != SEARCH_FINE) {
		set_clear(&set);
		return false;
	}
	p->s->node[*out].set = set;
	return true;
}

static bool
parse_inner(struct parsing *p, uint32_t *out)
{
	if (lex_char(p->l, '(')) {
		if (!parse_all(p, out))
			return false;
		return lex_char(p->l, ')') || fail(p);
	}
	if (lex_word(p->l, "OR"))
		return parse_or(p, out);
	if (lex_word(p->l, "NOT"))
		return parse_not(p, out);
	if (lex_word(p->l, "FUZZY"))
		return lex_space(p->l) ? parse_key(p, out) : fail(p);
	if (parse_simple(p, out) || parse_with_number(p, out) || parse_named(p, out))
		return p->error == SEARCH_FINE;
	return parse_set(p, out);
}

static bool
parse_key(struct parsing *p, uint32_t *out)
{
	if (p->depth == SEARCH_DEPTH_MAX) {
		p->error = SEARCH_TOO_DEEP;
		return false;
	}
	p->depth++;
	bool ok = parse_inner(p, out);
	p->depth--;
	return ok && p->error == SEARCH_FINE;
}

/* ---- all of it */

static bool
take_charset(struct parsing *p)
{
	if (p->o->charset)
		p->charset = p->o->name;
	else if (!lex_word(p->l, "CHARSET"))
		return true;
	else if (!lex_space(p->l) || !lex_astring(p->l, &p->charset) || !lex_space(p->l))
		return fail(p);
	if (text_charset_known(p->charset))
		return true;
	p->error = SEARCH_BAD_CHARSET;
	return false;
}

enum search_error
search_parse(struct lex *l, const struct search_options *o, struct search **out)
{
	struct search *s = NEW(struct search);
	struct parsing p = {.l = l, .s = s, .o = o};
	uint32_t root;
	/* a node 0 that is nobody's child */
	bool ok = take_charset(&p) && parse_all(&p, &root) && lex_done(l);
	if (!ok)
		(void)fail(&p);
	*out = p.error == SEARCH_FINE ? s : NULL;
	if (p.error != SEARCH_FINE)
		search_free(&s);
	return p.error;
}

void
search_free(struct search **sp)
{
	struct search *s = *sp;
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->nodes; i++) {
		set_clear(&s->node[i].set);
		mem_free(&s->node[i].name);
		buf_clear(&s->node[i].text);
	}
	mem_free(&s->node);
	buf_clear(&s->scratch);
	buf_clear(&s->folded);
	mem_free(sp);
}

/* ---- looking at it */

static bool
has_key(const struct search *s, enum search_key key)
{
	for (size_t i = 0; i < s->nodes; i++) {
		if (s->node[i].key == key)
			return true;
	}
	return false;
}

size_t
search_size(const struct search *s)
{
	return s->nodes;
}

bool
search_reads_octets(const struct search *s)
{
	return has_key(s, KEY_HEADER) || has_key(s, KEY_BODY) || has_key(s, KEY_TEXT);
}

bool
search_uses_modseq(const struct search *s)
{
	return has_key(s, KEY_MODSEQ);
}

bool
search_uses_numbers(const struct search *s)
{
	return has_key(s, KEY_NUMBER);
}

bool
search_has_bad_number(const struct search *s, uint32_t exists)
{
	for (size_t i = 0; i < s->nodes; i++) {
		if (s->node[i].key == KEY_NUMBER && set_exceeds(&s->node[i].set, exists))
			return true;
	}
	return false;
}

void
search_resolve(struct search *s, uint32_t exists, uint32_t last_mail, uint32_t last_uid,
    const struct set *saved, int (*known)(void *arg, struct span keyword), void *arg,
    struct wall now)
{
	s->saved = saved;
	s->now = now;
	for (size_t i = 0; i < s->nodes; i++) {
		struct search_node *n = &s->node[i];
		if (n->key == KEY_NUMBER)
			set_resolve(&n->set, exists);
		else if (n->key == KEY_UIDS)
			set_resolve_uids(&n->set, last_mail, last_uid);
		else if (n->key == KEY_KEYWORD)
			n->bit = known(arg, span_str(n->name));
	}
}
