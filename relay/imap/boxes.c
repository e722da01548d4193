/* SPDX-License-Identifier: ISC */
/*
 * boxes - LIST, LSUB (RFC 9051 6.3.9, RFC 5258, 5819, 6154).  All names of the owner are
 * read at once: they are a thousand at most.  Names that exist only as the upper part of
 * others are shown, too: a client that walks down level by level must find its way.
 */
#include "relay/imap/boxes.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "relay/egress/failed.h"
#include "relay/imap/queue.h"
#include "relay/imap/utf7.h"

struct box {
	struct mailbox_name row;
	bool queue;    /* an administrator's: it always is */
	bool implied;  /* only others are below it */
	bool fits;     /* a pattern */
	bool children; /* something that exists is below it */
	bool below;    /* something is that is meant, and not shown itself */
	struct mailbox_view view;
	struct status_sums sums;
};

struct listing {
	struct job job;
	struct imap *s;
	struct spool_query *query;
	char owner[MAILBOX_OWNER_MAX + 1];
	/* what is asked for */
	struct list_pattern pattern[BOXES_PATTERNS_MAX];
	size_t patterns;
	bool lsub, extended;
	bool root;                                     /* nothing but the delimiter */
	bool only_subscribed, only_special, recursive; /* selection */
	bool say_subscribed, say_special;
	unsigned status;
	const struct queue_box *queue; /* an administrator's */
	size_t queue_n;
	uint32_t trays;
	/* what there is */
	struct box *box;
	size_t n, cap;
	enum err err;
};

static void
listing_free(void *arg)
{
	struct listing *x = arg;
	mem_free(&x->box);
	mem_free(&x);
}

static void
cancel(struct imap *s)
{
	struct listing *x = CONTAINER_OF(s->job, struct listing, job);
	spool_cancel_query(&x->query);
}

/* ---- patterns */

/* INBOX, and the level of that name above others, is the same in any case (RFC 9051 5.1).
 */
static size_t
any_case(const char *name)
{
	size_t n = strlen(MAILBOX_INBOX);
	bool inbox = strncmp(name, MAILBOX_INBOX, n) == 0;
	return inbox && (name[n] == '\0' || name[n] == '/') ? n : 0;
}

bool
boxes_match(const char *pattern, const char *name)
{
	/* possible[i]: the pattern so far fits the first i octets of the name */
	bool possible[MAILBOX_NAME_MAX + 2] = {true};
	size_t n = strlen(name), upper = any_case(name);
	if (n > MAILBOX_NAME_MAX)
		return false;
	for (const char *p = pattern; *p != '\0'; p++) {
		if ((*p == '*' || *p == '%') && p[1] == *p)
			continue; /* twice is once */
		if (*p == '*' || *p == '%') {
			for (size_t i = 1; i <= n; i++)
				possible[i] =
				    possible[i] || (possible[i - 1] &&
						       (*p == '*' || name[i - 1] != '/'));
			continue;
		}
		for (size_t i = n; i > 0; i--)
			possible[i] = possible[i - 1] &&
				      (name[i - 1] == *p ||
					  (i <= upper && ascii_lower(name[i - 1]) ==
							     ascii_lower(*p)));
		possible[0] = false;
	}
	return possible[n];
}

static bool
fits(const struct listing *x, const char *name)
{
	for (size_t i = 0; i < x->patterns; i++) {
		if (boxes_match(x->pattern[i].text, name))
			return true;
	}
	return false;
}

/* ---- what there is: in the pool */

static struct box *
add_box(struct listing *x, const struct mailbox_name *row)
{
	if (x->n == x->cap) {
		x->cap = x->cap ? x->cap * 2 : 32;
		x->box = mem_resize(x->box, x->cap, sizeof(*x->box));
	}
	x->box[x->n] = (struct box){.row = *row};
	return &x->box[x->n++];
}

static int
by_name(const void *a, const void *b)
{
	const struct box *x = a, *y = b;
	return strcmp(x->row.name, y->row.name);
}

static struct box *
find_box(const struct listing *x, size_t n, const char *name)
{
	struct box key = {.queue = false};
	span_copy(span_str(name), key.row.name, sizeof(key.row.name));
	return n > 0 ? bsearch(&key, x->box, n, sizeof(key), by_name) : NULL;
}

/* The levels above each name. */
static void
add_parents(struct listing *x)
{
	size_t n = x->n;
	for (size_t i = 0; i < n; i++) {
		struct mailbox_name up = {.number = 0};
		const char *name = x->box[i].row.name;
		for (const char *c = strchr(name, '/'); c != NULL;
		     c = strchr(c + 1, '/')) {
			span_copy((struct span){name, (size_t)(c - name)}, up.name,
			    sizeof(up.name));
			if (find_box(x, n, up.name) != NULL)
				continue;
			bool there = false;
			for (size_t k = n; k < x->n && !there; k++)
				there = strcmp(x->box[k].row.name, up.name) == 0;
			if (!there) {
				add_box(x, &up)->implied = true;
				name = x->box[i].row.name;
				c = name + strlen(up.name);
			}
		}
	}
	if (x->n > n)
		qsort(x->box, x->n, sizeof(*x->box), by_name);
}

/* What is asked for, wherever it is. */
static bool
is_meant(const struct listing *x, const struct box *b)
{
	return (!x->only_subscribed || b->row.subscribed) &&
	       (!x->only_special || b->row.use != MAILBOX_PLAIN);
}

static void
mark_parents(struct listing *x)
{
	for (size_t i = 0; i < x->n; i++) {
		struct box *b = &x->box[i];
		char up[MAILBOX_NAME_MAX + 1];
		for (const char *c = strchr(b->row.name, '/'); c != NULL;
		     c = strchr(c + 1, '/')) {
			span_copy((struct span){b->row.name, (size_t)(c - b->row.name)},
			    up, sizeof(up));
			struct box *p = find_box(x, x->n, up);
			if (p == NULL)
				continue;
			p->children = p->children || b->row.number != 0;
			p->below = p->below || (!b->fits && is_meant(x, b));
		}
	}
}

/* They hide what is called as they are. */
static void
add_queue(struct listing *x, struct spool_reader *r)
{
	size_t n = x->n;
	struct mailbox_view failed;
	for (size_t i = 0; i < x->queue_n; i++) {
		struct mailbox_name row = {.number = 0};
		uint32_t number =
		    x->queue[i].failed ? 0 : tray_of(x->trays, x->queue[i].tray);
		if (number == 0 && spool_read_mailbox(r, SPAN(FAILED_OWNER),
				       SPAN(MAILBOX_INBOX), &failed) == OK)
			number = failed.number;
		span_copy(span_str(x->queue[i].name), row.name, sizeof(row.name));
		struct box *b = find_box(x, n, row.name);
		if (b == NULL)
			b = add_box(x, &row);
		b->queue = true;
		b->row.number = number;
		b->row.use = MAILBOX_PLAIN;
	}
	qsort(x->box, x->n, sizeof(*x->box), by_name);
}

static void
read_names(struct listing *x, struct spool_reader *r)
{
	struct mailbox_name *row = mem_alloc(100 * sizeof(*row));
	char after[MAILBOX_NAME_MAX + 1] = "";
	size_t n = 100;
	bool inbox = false;
	while (x->err == OK && n == 100) {
		x->err = spool_read_names(
		    r, span_str(x->owner), span_str(after), row, 100, &n);
		for (size_t i = 0; i < n; i++) {
			inbox = inbox || strcmp(row[i].name, MAILBOX_INBOX) == 0;
			(void)add_box(x, &row[i]);
			span_copy(span_str(row[i].name), after, sizeof(after));
		}
	}
	if (!inbox) {
		row[0] = (struct mailbox_name){.name = MAILBOX_INBOX};
		(void)add_box(x, &row[0]);
	}
	mem_free(&row);
	qsort(x->box, x->n, sizeof(*x->box), by_name);
	add_queue(x, r);
}

static void
run(struct spool_reader *r, void *arg)
{
	struct listing *x = arg;
	read_names(x, r);
	add_parents(x);
	for (size_t i = 0; i < x->n; i++)
		x->box[i].fits = fits(x, x->box[i].row.name);
	mark_parents(x);
	for (size_t i = 0; i < x->n && x->status != 0; i++) {
		struct box *b = &x->box[i];
		if (b->row.number != 0 &&
		    spool_read_mailbox_at(r, b->row.number, &b->view) == OK)
			status_sum(r, &b->view, x->status, &b->sums);
	}
}

/* ---- lines */

const char *
boxes_use(enum mailbox_use use)
{
	static const char *const names[] = {"", " \\All", " \\Archive", " \\Drafts",
	    " \\Flagged", " \\Junk", " \\Sent", " \\Trash"};
	return (size_t)use < COUNT_OF(names) ? names[use] : "";
}

static bool
is_inbox(const struct box *b)
{
	return strcmp(b->row.name, MAILBOX_INBOX) == 0;
}

static bool
exists(const struct box *b)
{
	return b->row.number != 0 || is_inbox(b) || b->queue;
}

static void
add_line(const struct listing *x, const struct box *b, bool childinfo, struct buf *out)
{
	const char *blank = "";
	buf_addf(out, "* %s (", x->lsub ? "LSUB" : "LIST");
	if (!exists(b)) {
		buf_add_str(out, x->lsub ? "\\Noselect" : "\\NonExistent \\Noselect");
		blank = " ";
	}
	if (!x->lsub) {
		buf_addf(out, "%s%s", blank,
		    b->children ? "\\HasChildren" : "\\HasNoChildren");
		if (x->say_subscribed && b->row.subscribed)
			buf_add_str(out, " \\Subscribed");
		buf_add_str(out, boxes_use(b->row.use));
	}
	buf_add_str(out, ") \"/\" ");
	imap_add_mailbox(x->s, span_str(b->row.name), out);
	if (childinfo)
		buf_addf(out, " (CHILDINFO (%s%s%s))",
		    x->only_subscribed ? "\"SUBSCRIBED\"" : "",
		    x->only_subscribed && x->only_special ? " " : "",
		    x->only_special ? "\"SPECIAL-USE\"" : "");
	buf_add_str(out, "\r\n");
	if (x->status != 0 && exists(b))
		status_add(
		    x->s, span_str(b->row.name), x->status, &b->view, &b->sums, out);
}

/* Only with '%', which cannot show what is below (RFC 3501 6.3.9). */
static void
add_above(const struct listing *x, const struct box *b, struct buf *out)
{
	struct box shown = *b;
	shown.row.number = 0;
	if (strchr(x->pattern[0].text, '%') != NULL)
		add_line(x, &shown, false, out);
}

/* Subscriptions of names that do not exist are shown (RFC 9051 6.3.9.3); CHILDINFO stands
 * where something that is meant would be missed otherwise (RFC 5258 3.5). */
static void
add_box_lines(const struct listing *x, const struct box *b, struct buf *out)
{
	bool childinfo = x->recursive && b->below;
	if (!b->fits)
		return;
	if (is_meant(x, b) ? x->only_subscribed || exists(b) || b->children : childinfo)
		add_line(x, b, childinfo, out);
	else if (x->lsub && b->below)
		add_above(x, b, out);
}

static void
done(void *arg)
{
	struct listing *x = arg;
	struct imap *s = x->s;
	enum err e = x->err;
	struct buf out;
	buf_init(&out, 0);
	for (size_t i = 0; i < x->n && e == OK; i++)
		add_box_lines(x, &x->box[i], &out);
	imap_say(s, buf_span(&out));
	buf_clear(&out);
	s->job = NULL;
	listing_free(x);
	if (e == OK)
		imap_ok(s, "", "listed");
	else
		imap_spool_no(s, e);
}

/* ---- the commands */

/* Patterns are names, too: decoded as they are, '%' and '*' are the same in both. */
static bool
take_pattern(struct imap *s, struct listing *x, struct span reference, struct span raw)
{
	struct buf joined, spelled, name;
	if (x->patterns == BOXES_PATTERNS_MAX) {
		imap_no(s, "[LIMIT] ", "too many patterns");
		return false;
	}
	buf_init(&joined, 0);
	buf_init(&spelled, 0);
	buf_init(&name, 0);
	buf_add_span(&joined, reference);
	buf_add_span(&joined, raw);
	bool ok = s->utf8 || utf7_decode(buf_span(&joined), &spelled);
	if (s->utf8)
		buf_add_span(&spelled, buf_span(&joined));
	ok = ok && utf8_name_ok(buf_span(&spelled));
	if (ok)
		utf8_name_settle(buf_span(&spelled), &name);
	struct span text = buf_span(&name);
	char *to = x->pattern[x->patterns].text;
	if (ok && text.n < sizeof(x->pattern[0].text)) {
		span_copy(text, to, sizeof(x->pattern[0].text));
		x->patterns++;
	}
	buf_clear(&joined);
	buf_clear(&spelled);
	buf_clear(&name);
	return true; /* what is no name fits nothing */
}

static bool
take_patterns(struct imap *s, struct lex *l, struct listing *x, struct span reference)
{
	struct span raw;
	if (!lex_char(l, '(')) {
		if (lex_list_mailbox(l, &raw)) {
			x->root = raw.n == 0;
			return take_pattern(s, x, reference, raw);
		}
		imap_bad(s, "", "a pattern is missing");
		return false;
	}
	x->extended = true;
	do {
		if (!lex_list_mailbox(l, &raw)) {
			imap_bad(s, "", "a pattern is missing");
			return false;
		}
		if (!take_pattern(s, x, reference, raw))
			return false;
	} while (lex_space(l));
	if (!lex_char(l, ')')) {
		imap_bad(s, "", "a parenthesis is missing");
		return false;
	}
	return true;
}

/* "(SUBSCRIBED RECURSIVEMATCH)" in front of the reference. */
static bool
take_selection(struct imap *s, struct lex *l, struct listing *x)
{
	bool special = false;
	if (!lex_char(l, '('))
		return true;
	x->extended = true;
	while (!lex_char(l, ')')) {
		if (lex_word(l, "SUBSCRIBED"))
			x->only_subscribed = x->say_subscribed = true;
		else if (lex_word(l, "RECURSIVEMATCH"))
			x->recursive = true;
		else if (lex_word(l, "SPECIAL-USE"))
			special = x->only_special = x->say_special = true;
		else if (!lex_word(l, "REMOTE")) {
			imap_bad(s, "", "this option to select by is not known");
			return false;
		}
		(void)lex_space(l);
	}
	if (x->recursive && !x->only_subscribed && !special) {
		imap_bad(s, "", "RECURSIVEMATCH goes with another option");
		return false;
	}
	return args_space(s);
}

static bool
take_return(struct imap *s, struct lex *l, struct listing *x)
{
	if (!lex_space(l))
		return true;
	if (!lex_word(l, "RETURN") || !lex_space(l) || !lex_char(l, '(')) {
		imap_bad(s, "", "Syntax: LIST ... RETURN (options)");
		return false;
	}
	x->extended = true;
	while (!lex_char(l, ')')) {
		if (lex_word(l, "SUBSCRIBED"))
			x->say_subscribed = true;
		else if (lex_word(l, "STATUS")) {
			if (!args_space(s) || !status_scan(s, l, &x->status))
				return false;
		} else if (!lex_word(l, "CHILDREN") && !lex_word(l, "SPECIAL-USE")) {
			imap_bad(s, "", "this option to return is not known");
			return false;
		}
		(void)lex_space(l);
	}
	return true;
}

static void
list(struct imap *s, struct lex *l, bool lsub)
{
	struct listing *x = NEW(struct listing);
	struct span reference = {NULL, 0};
	*x = (struct listing){
	    .job = {NULL, cancel}, .s = s, .lsub = lsub, .only_subscribed = lsub};
	span_copy(span_str(s->owner), x->owner, sizeof(x->owner));
	x->queue = queue_boxes(s, &x->queue_n);
	x->trays = s->trays;
	bool ok = args_space(s) && (lsub || take_selection(s, l, x));
	if (ok && !lex_astring(l, &reference)) {
		imap_bad(s, "", "a reference is missing");
		ok = false;
	}
	ok = ok && args_space(s) && take_patterns(s, l, x, reference) &&
	     (lsub || take_return(s, l, x)) && args_end(s);
	if (!ok) {
		listing_free(x);
		return;
	}
	if (x->root && !x->extended) {
		imap_sayf(s, "%s (\\Noselect) \"/\" \"\"", lsub ? "LSUB" : "LIST");
		listing_free(x);
		imap_ok(s, "", "listed");
		return;
	}
	s->job = &x->job;
	imap_wait(s);
	x->query =
	    spool_query_start(imap_spool(s), run, done, listing_free, x, imap_inbox(s));
}

void
run_list(struct imap *s, struct lex *l)
{
	list(s, l, false);
}

void
run_lsub(struct imap *s, struct lex *l)
{
	list(s, l, true);
}

void
run_namespace(struct imap *s, struct lex *l)
{
	(void)l;
	if (!args_end(s))
		return;
	imap_sayf(s, "NAMESPACE ((\"\" \"/\")) NIL NIL");
	imap_ok(s, "", "all of it is yours");
}
