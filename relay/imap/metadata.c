/* SPDX-License-Identifier: ISC */
/* metadata - GETMETADATA and SETMETADATA (RFC 5464): annotations of mailboxes and of the
 * account, private ones; there is nobody to share others with. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "relay/imap/session.h"
#include "relay/mime/mime.h"

#define ENTRY_MAX 100
#define ENTRIES_MAX 50

struct entry {
	char name[ENTRY_MAX + 1]; /* in lower case */
	struct buf value;
	bool is_set; /* SETMETADATA: not NIL */
};

struct noting {
	struct job job;
	struct imap *s;
	struct spool_query *query;
	struct spool_request *request;
	char owner[MAILBOX_OWNER_MAX + 1], name[MAILBOX_NAME_MAX + 1];
	struct entry *entry;
	size_t n, step, cap;
	int depth;         /* 0, 1, or -1: infinity */
	uint64_t max_size; /* UINT64_MAX: any */
	uint64_t too_long; /* the longest that was left out */
	struct buf found;  /* "entry value ..." */
	enum err err;
};

static void
noting_free(void *arg)
{
	struct noting *x = arg;
	for (size_t i = 0; i < x->n; i++)
		buf_clear(&x->entry[i].value);
	mem_free(&x->entry);
	buf_clear(&x->found);
	mem_free(&x);
}

static void
cancel(struct imap *s)
{
	struct noting *x = CONTAINER_OF(s->job, struct noting, job);
	spool_cancel(&x->request);
	if (x->query != NULL)
		spool_cancel_query(&x->query);
	else
		noting_free(x);
}

static struct noting *
noting_new(struct imap *s)
{
	struct noting *x = NEW(struct noting);
	*x = (struct noting){.job = {NULL, cancel}, .s = s, .max_size = UINT64_MAX};
	span_copy(span_str(s->owner), x->owner, sizeof(x->owner));
	return x;
}

/* "/private/comment": in any case, no empty level, none of ours to hide. */
static bool
take_entry(struct imap *s, struct lex *l, struct noting *x)
{
	struct span name;
	if (x->n == ENTRIES_MAX || !lex_astring(l, &name)) {
		imap_bad(s, "", "an entry is missing, or there are too many");
		return false;
	}
	bool ok = name.n <= ENTRY_MAX && (span_istarts(name, SPAN("/private/")) ||
					     span_istarts(name, SPAN("/shared/")) ||
					     span_ieq(name, SPAN("/private")) ||
					     span_ieq(name, SPAN("/shared")));
	ok = ok && name.p[name.n - 1] != '/' && memchr(name.p, '*', name.n) == NULL &&
	     memchr(name.p, '%', name.n) == NULL &&
	     memmem(name.p, name.n, "//", 2) == NULL;
	if (!ok) {
		imap_bad(s, "", "entries are like /private/comment");
		return false;
	}
	if (x->n == x->cap) {
		x->cap = x->cap ? x->cap * 2 : 4;
		x->entry = mem_resize(x->entry, x->cap, sizeof(*x->entry));
	}
	struct entry *e = &x->entry[x->n++];
	*e = (struct entry){0};
	for (size_t i = 0; i < name.n; i++)
		e->name[i] = ascii_lower(name.p[i]);
	return true;
}

/* ---- GETMETADATA */

static void
found(struct noting *x, struct span entry, struct span value)
{
	if (value.n > x->max_size) {
		if (value.n > x->too_long)
			x->too_long = value.n;
		return;
	}
	if (x->found.n > 0)
		buf_add_char(&x->found, ' ');
	lex_add_astring(entry, &x->found);
	buf_add_char(&x->found, ' ');
	if (memchr(value.p, '\0', value.n) != NULL) {
		buf_addf(&x->found, "~{%zu}\r\n", value.n);
		buf_add_span(&x->found, value);
	} else {
		mime_add_nstring(value, &x->found);
	}
}

static bool
is_deep_enough(const struct noting *x, struct span below)
{
	size_t levels = 0;
	for (size_t i = 0; i < below.n; i++)
		levels += below.p[i] == '/';
	return x->depth < 0 || (x->depth == 1 && levels == 1);
}

static void
read_below(struct noting *x, struct spool_reader *r, struct span entry)
{
	struct buf name, value, after;
	buf_init(&name, 0);
	buf_init(&value, 0);
	buf_init(&after, 0);
	buf_add_span(&after, entry);
	while (spool_next_note(r, span_str(x->owner), span_str(x->name), buf_span(&after),
		   &name, &value) == OK &&
	       span_starts(buf_span(&name), entry)) {
		struct span rest = span_cut(buf_span(&name), entry.n, name.n);
		if (rest.n > 0 && rest.p[0] == '/' && is_deep_enough(x, rest))
			found(x, buf_span(&name), buf_span(&value));
		buf_reset(&after);
		buf_add_span(&after, buf_span(&name));
		buf_reset(&name);
		buf_reset(&value);
	}
	buf_clear(&name);
	buf_clear(&value);
	buf_clear(&after);
}

static void
run(struct spool_reader *r, void *arg)
{
	struct noting *x = arg;
	struct mailbox_view box;
	struct buf value;
	if (x->name[0] != '\0')
		x->err =
		    spool_read_mailbox(r, span_str(x->owner), span_str(x->name), &box);
	for (size_t i = 0; i < x->n && x->err == OK; i++) {
		struct span entry = span_str(x->entry[i].name);
		buf_init(&value, 0);
		if (spool_read_note(
			r, span_str(x->owner), span_str(x->name), entry, &value) == OK)
			found(x, entry, value.n > 0 ? buf_span(&value) : SPAN(""));
		buf_clear(&value);
		if (x->depth != 0)
			read_below(x, r, entry);
	}
}

static void
done(void *arg)
{
	struct noting *x = arg;
	struct imap *s = x->s;
	enum err e = x->err;
	struct buf out;
	char code[64] = "";
	buf_init(&out, 0);
	if (e == OK && x->found.n > 0) {
		buf_add_str(&out, "* METADATA ");
		if (x->name[0] == '\0')
			buf_add_str(&out, "\"\"");
		else
			imap_add_mailbox(s, span_str(x->name), &out);
		buf_addf(&out, " (");
		buf_add_span(&out, buf_span(&x->found));
		buf_add_str(&out, ")\r\n");
		imap_say(s, buf_span(&out));
	}
	buf_clear(&out);
	if (x->too_long > 0)
		(void)snprintf(code, sizeof(code), "[METADATA LONGENTRIES %llu] ",
		    (unsigned long long)x->too_long);
	s->job = NULL;
	noting_free(x);
	if (e == OK)
		imap_ok(s, code, "that is all");
	else
		imap_spool_no(s, e);
}

static bool
take_options(struct imap *s, struct lex *l, struct noting *x)
{
	if (!lex_char(l, '('))
		return true;
	do {
		uint64_t n = 0;
		if (lex_word(l, "MAXSIZE") && lex_space(l) &&
		    lex_number(l, UINT32_MAX, &n))
			x->max_size = n;
		else if (lex_word(l, "DEPTH") && lex_space(l))
			x->depth = lex_word(l, "infinity") ? -1
				   : lex_char(l, '1')      ? 1
				   : lex_char(l, '0')      ? 0
							   : 2;
		else
			x->depth = 2;
		if (x->depth == 2) {
			imap_bad(s, "",
			    "options are (MAXSIZE n) and (DEPTH 0, 1 or infinity)");
			return false;
		}
	} while (lex_space(l));
	if (!lex_char(l, ')')) {
		imap_bad(s, "", "a parenthesis is missing");
		return false;
	}
	return args_space(s);
}

static bool
take_name(struct imap *s, struct noting *x)
{
	return args_space(s) && args_mailbox(s, x->name) && args_space(s);
}

/* Options stand in front of the mailbox, or behind it as an earlier draft had them. */
void
run_getmetadata(struct imap *s, struct lex *l)
{
	struct noting *x = noting_new(s);
	bool ok = args_space(s) && take_options(s, l, x) && args_mailbox(s, x->name) &&
		  args_space(s);
	if (ok && lex_char(l, '(')) {
		do
			ok = take_entry(s, l, x);
		while (ok && lex_space(l));
		if (ok && !lex_char(l, ')')) {
			imap_bad(s, "", "a parenthesis is missing");
			ok = false;
		}
	} else if (ok) {
		ok = take_entry(s, l, x);
	}
	if (!ok || !args_end(s)) {
		noting_free(x);
		return;
	}
	s->job = &x->job;
	imap_wait(s);
	x->query =
	    spool_query_start(imap_spool(s), run, done, noting_free, x, imap_inbox(s));
}

/* ---- SETMETADATA */

static void next(void *arg, enum err e);

static void
start_one(struct noting *x)
{
	struct entry *e = &x->entry[x->step++];
	struct mailbox_request q = {.act = MAILBOX_NOTE,
	    .owner = span_str(x->owner),
	    .name = span_str(x->name),
	    .entry = span_str(e->name)};
	if (e->is_set)
		q.value = e->value.n > 0 ? buf_span(&e->value) : SPAN("");
	x->request = spool_mailbox_start(imap_spool(x->s), &q, imap_inbox(x->s), next, x);
}

static void
next(void *arg, enum err e)
{
	struct noting *x = arg;
	struct imap *s = x->s;
	x->request = NULL;
	if (e == OK && x->step < x->n) {
		start_one(x);
		return;
	}
	s->job = NULL;
	noting_free(x);
	if (e == OK)
		imap_ok(s, "", "noted");
	else if (e == ERR_FULL)
		imap_no(s, "[METADATA TOOMANY] ", "there are too many annotations");
	else if (e == ERR_RANGE)
		imap_no(s, "[METADATA MAXSIZE 4096] ", "this annotation is too long");
	else
		imap_spool_no(s, e);
}

static void
look(struct spool_reader *r, void *arg)
{
	struct noting *x = arg;
	struct mailbox_view box;
	if (x->name[0] != '\0')
		x->err =
		    spool_read_mailbox(r, span_str(x->owner), span_str(x->name), &box);
}

static void
looked(void *arg)
{
	struct noting *x = arg;
	x->query = NULL;
	if (x->err == OK)
		start_one(x);
	else
		next(x, x->err);
}

static bool
take_value(struct imap *s, struct lex *l, struct noting *x)
{
	struct entry *e = &x->entry[x->n - 1];
	struct span value;
	if (!lex_space(l) || !lex_nstring(l, &value)) {
		imap_bad(s, "", "a value is missing");
		return false;
	}
	e->is_set = value.p != NULL;
	buf_add_span(&e->value, value);
	return true;
}

void
run_setmetadata(struct imap *s, struct lex *l)
{
	struct noting *x = noting_new(s);
	bool ok = take_name(s, x);
	if (ok && !lex_char(l, '(')) {
		imap_bad(s, "", "Syntax: SETMETADATA mailbox (entry value ...)");
		ok = false;
	}
	if (ok) {
		do
			ok = take_entry(s, l, x) && take_value(s, l, x);
		while (ok && lex_space(l));
	}
	if (ok && !lex_char(l, ')')) {
		imap_bad(s, "", "a parenthesis is missing");
		ok = false;
	}
	if (!ok || !args_end(s)) {
		noting_free(x);
		return;
	}
	s->job = &x->job;
	imap_wait(s);
	x->query =
	    spool_query_start(imap_spool(s), look, looked, noting_free, x, imap_inbox(s));
}
